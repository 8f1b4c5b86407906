"""
Your own data
=============

A table with two classes is all that it takes: `perceptron.examples` reads lists, arrays, data
frames and sparse matrices with labels of any two values. Three tables that come with scikit-learn
are followed from start to end: are the classes separable, with which margin, which norm predicts
best, and how sure is all that?
"""

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.model_selection import train_test_split

from deepnorm.figures import style
from perceptron import NotSeparable, examples, max_stability, minimize_at_norm
from perceptron.estimators import FixedNormClassifierCV

# %%
# **Iris.** Which pairs of species does a plane separate? The answer comes with a proof either way:
# a margin that was checked, or multipliers with which the examples cancel exactly. With
# ``intercept=True`` the plane need not pass through the origin.

iris = load_iris(as_frame=True)
species = iris.target_names[iris.target]
for first, second in (("setosa", "versicolor"), ("versicolor", "virginica")):
    pair = np.isin(species, [first, second])
    data = examples(iris.data[pair], species[pair], intercept=True)
    try:
        print(f"{first}, {second}: separable, margin {max_stability(data).stability:.4f} cm")
    except NotSeparable as proof:
        count = np.sum(proof.multipliers > 0)
        print(f"{first}, {second}: not separable, as {count} examples prove")

# %%
# Of the pair that no plane separates the norm has an end: there the loss has its minimum, that of
# logistic regression without a penalty. Up to it there is one minimiser for each norm.

data = examples(iris.data[pair], species[pair], intercept=True, scale="standard")
for found in minimize_at_norm(data, [0.1, 1.0, 5.0]):
    print(f"norm {found.norm}: training error {found.train_error}")
print("a flower of 6.0, 2.8, 4.9, 1.7 cm:", found.predict([[6.0, 2.8, 4.9, 1.7]])[0])

# %%
# **Breast cancer.** 30 columns of very different size: ``scale="standard"`` makes them comparable.
# The best norm is found by cross-validation, each norm starting the next one. Nobody knows the
# teacher of such a table, and ``generalization_error`` is nan: a held-out part estimates it.

X, y = load_breast_cancer(return_X_y=True)
train, test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=0, stratify=y)
model = FixedNormClassifierCV(np.geomspace(0.02, 50, 21), scale="standard").fit(train, y_train)
print(f"best norm {model.lam_:.3g}; held-out error {1 - model.score(test, y_test):.3f}")

# %%
# **Digits.** 3 against 8: separable, and the margins of the path close in on the maximum stability.

X, y = load_digits(return_X_y=True)
pair = (y == 3) | (y == 8)
digits = examples(X[pair], y[pair], intercept=True, scale="unit")
stable = max_stability(digits)
minima = minimize_at_norm(digits, [1.0, 10.0, 100.0])
print(f"maximum stability {stable.stability:.5f}, proved to 1e-10:", stable.duality_gap < 1e-10)
print("smallest margins:", [round(float(one.margins.min()), 5) for one in minima])

with style.context():
    figure = style.canvas(style.FULL, 2.8)
    left, right = figure.subplots(1, 2)
    errors = 1 - model.scores_
    spread = errors.std(axis=0, ddof=1) / np.sqrt(len(errors))
    left.errorbar(model.lams_, errors.mean(axis=0), spread, color="0.2", capsize=2, label="5 folds")
    left.axvline(model.lam_, color="0.6", ls=":", label=r"best $\lambda$")
    left.set(xscale="log", xlabel=r"norm $\lambda$", ylabel="validation error", ylim=(0, None))
    left.legend()
    style.panel(left, "a", "breast cancer")
    share = np.arange(1, digits.P + 1) / digits.P
    for one, colour in zip(minima, style.series(len(minima))):
        right.plot(np.sort(one.margins), share, color=colour, label=rf"$\lambda={one.norm:.0f}$")
    right.axvline(stable.stability, color="0.3", ls=":", label=r"$\kappa_\mathrm{max}$")
    right.set(xlabel=r"margin $\Delta$", ylabel="fraction below", xlim=(-0.5, 2.5))
    right.legend()
    style.panel(right, "b", "digits 3 and 8")
