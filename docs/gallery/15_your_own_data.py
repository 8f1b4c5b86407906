"""
Your own data
=============

A table with two classes is all that it takes: `perceptron.examples` reads lists, arrays, data
frames and sparse matrices with labels of any two values. Three tables that come with scikit-learn
are followed from start to end: are the classes separable, with which margin, which norm predicts
best, and how sure is all that?
"""

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.model_selection import train_test_split

from deepnorm.figures import style
from perceptron import NotSeparable, examples, max_stability, minimize_at_norm
from perceptron.estimators import FixedNormClassifierCV

# %%
# **Iris.** Which pairs of species does a plane separate? The answer comes with a proof either
# way: a margin that was checked, or multipliers with which the examples cancel exactly. With
# ``intercept=True`` the plane need not pass through the origin; the intercept is no part of the
# norm.

iris = load_iris(as_frame=True)
table, species = iris.data, iris.target_names[iris.target]
for first, second in (("setosa", "versicolor"), ("versicolor", "virginica")):
    pair = np.isin(species, [first, second])
    data = examples(table[pair], species[pair], intercept=True)
    try:
        stable = max_stability(data)
        print(f"{first}, {second}: separable, smallest margin {stable.stability:.4f} cm")
    except NotSeparable as proof:
        print(
            f"{first}, {second}: not separable;", np.sum(proof.multipliers > 0), "examples prove it"
        )

# %%
# Of the pair that no plane separates the norm has an end: there the loss has its minimum, that of
# logistic regression without a penalty. Up to it there is one minimiser for each norm.

data = examples(table[pair], species[pair], intercept=True, scale="standard")
path = minimize_at_norm(data, [0.1, 1.0, 5.0])
print(
    pd.DataFrame({"norm": [p.norm for p in path], "training error": [p.train_error for p in path]})
)
print("a flower of 6.0, 2.8, 4.9, 1.7 cm:", path[-1].predict([[6.0, 2.8, 4.9, 1.7]])[0])

# %%
# **Breast cancer.** 30 columns of very different size: ``scale="standard"`` makes them
# comparable. The best norm is found by cross-validation, each norm starting the next one;
# `FixedNormClassifierCV` is an estimator like any of scikit-learn's. What is unknown of a table
# without a teacher, ``generalization_error``, is nan: a held-out part estimates it.

X, y = load_breast_cancer(return_X_y=True)
train, test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=0, stratify=y)
model = FixedNormClassifierCV(lams=np.geomspace(0.02, 50, 21), scale="standard").fit(train, y_train)
mean = 1 - model.scores_.mean(axis=0)
error = model.scores_.std(axis=0, ddof=1) / np.sqrt(len(model.scores_))
print(f"best norm {model.lam_:.3g}; error on held-out patients {1 - model.score(test, y_test):.3f}")

# %%
# **Digits.** 3 against 8: separable, with the margins of the path closing in on those of maximum
# stability.

X, y = load_digits(return_X_y=True)
pair = (y == 3) | (y == 8)
digits = examples(X[pair], y[pair], intercept=True, scale="unit")
stable = max_stability(digits)
norms = [1.0, 10.0, 100.0]
minima = minimize_at_norm(digits, norms)
print(f"largest smallest margin {stable.stability:.5f}, gap {stable.duality_gap:.0e}")
for one in minima:
    print(
        f"norm {one.norm:5.0f}: smallest margin {one.margins.min():8.5f}, "
        f"errors {one.train_error:.4f}"
    )

with style.context():
    figure = style.canvas(style.FULL, 2.8)
    left, right = figure.subplots(1, 2)
    left.errorbar(model.lams_, mean, error, color="0.2", capsize=2, label="5 folds")
    left.axvline(model.lam_, color="0.6", ls=":")
    left.set(xscale="log", xlabel=r"norm $\lambda$", ylabel="validation error", ylim=(0, None))
    style.panel(left, "a", "breast cancer")
    for one, colour in zip(minima, style.series(len(minima))):
        right.plot(
            np.sort(one.margins),
            np.arange(1, digits.P + 1) / digits.P,
            color=colour,
            label=rf"$\lambda={one.norm:.0f}$",
        )
    right.axvline(stable.stability, color="0.3", ls=":", label=r"$\kappa_\mathrm{max}$")
    right.set(xlabel=r"margin $\Delta$", ylabel="fraction below", xlim=(-0.5, 2.5))
    right.legend()
    style.panel(right, "b", "digits 3 and 8")
