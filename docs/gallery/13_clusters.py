"""
Two clusters
============

Labels need no teacher: real classes are often closer to two clouds of one covariance, and the label
says from which of them an example came. The error then has a floor, that of someone who knows both
clouds, and beyond separability no norm is too large any more.
"""

import numpy as np
from scipy.special import ndtr

from deepnorm.figures import style
from replica import Clusters, convexity_limit, logistic_clusters, optimal_norm

MODES = np.arange(1, 51)
EIGENVALUES = MODES**-1.5
MEAN = 0.35 * MODES**-1.0
P, LAM = np.array([50.0, 200.0, 1000.0, 10000.0]), np.geomspace(1e-2, 1e3, 151)

clouds = Clusters(EIGENVALUES, MEAN)
known = ndtr(-np.sqrt(np.sum(MEAN**2 / EIGENVALUES)))
curves = logistic_clusters(P[:, None], LAM, inputs=clouds)
best = optimal_norm(P, inputs=clouds)
print(f"whoever knows the clouds errs in {known:.6f} of the cases")
for count, lam, error, gap in zip(P, best.lam, best.generalization_error, best.bayes_gap):
    print(f"P = {count:5.0f}: best norm {lam:.4f}, error {error:.6f}, {100 * gap:.1f}% above that")

# %%
# Clouds overlap, so that many examples cannot be separated: there the norm of the unconstrained
# minimiser is finite. Beyond it entries are nan, with the reason in ``status``.

limits = [convexity_limit(count, inputs=clouds) for count in P]
print("the norm of the unconstrained minimiser:", np.round(limits, 4))
print(curves.status[-1, -1])

# %%
# With clusters of unequal size the student has an intercept, which no norm constrains; so has
# anyone's logistic regression. ``intercept`` is in units of the margin.

rare = Clusters(EIGENVALUES, MEAN, positive=0.1)
few = logistic_clusters(200.0, [0.1, 1.0, 10.0], inputs=rare)
print(
    "a tenth is positive: errors",
    few.generalization_error.round(4),
    "where naming none errs in 0.1",
)
print("intercepts", few.intercept.round(3))

# %%
# Isotropic clouds are a case of their own: Hebb's rule, the difference of the means, is the best,
# and every norm above zero does worse. A covariance makes a finite norm the best.

isotropic = Clusters(np.ones(50), np.full(50, np.sqrt(np.sum(MEAN**2 / EIGENVALUES) / 50)))
print("isotropic clouds: best norms", optimal_norm(P, inputs=isotropic).lam)

with style.context():
    figure = style.canvas(style.FULL, 2.8)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, letter, inputs, name in zip(
        panels, "ab", (clouds, isotropic), ("a covariance", "isotropic, as far apart")
    ):
        errors = logistic_clusters(P[:, None], LAM, inputs=inputs).generalization_error
        for count, error, colour in zip(P, errors, style.series(len(P))):
            axes.semilogx(LAM, error, color=colour, label=f"$P={count:.0f}$")
        axes.axhline(known, color="0.3", ls=":", lw=1)
        axes.set(xlabel=r"norm $\lambda$", xlim=(LAM[0], LAM[-1]), ylim=(0.08, 0.32))
        style.panel(axes, letter, name)
    panels[0].plot(best.lam, best.generalization_error, **style.STAR)
    panels[0].set_ylabel(r"generalization error $\epsilon$")
    panels[1].text(10, known, "both clouds known", va="top", fontsize=style.SMALL)
    panels[1].legend()
