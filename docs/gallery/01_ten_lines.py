"""
From Hebb to maximum stability in ten lines
===========================================

One call solves the perceptron at every norm. The curve starts exactly at Hebb's rule, passes an
optimum that nearly reaches the Bayes-optimal error, and ends exactly at maximum stability.
"""

import numpy as np

from deepnorm.figures import style
from replica import bayes_optimal, logistic_teacher_student, optimal_norm

path = logistic_teacher_student(alpha=5.0, lam=np.r_[0, np.geomspace(1e-2, 1e3, 201), np.inf])
best = optimal_norm(5.0)
hebb, stable = path.generalization_error[[0, -1]]
print(f"Hebb {hebb:.10f}, maximum stability {stable:.10f}")
print(f"optimum {best.generalization_error:.10f} at lam = {best.lam:.10f}")
print(f"above Bayes by {best.bayes_gap:.3e}; errors known to {path.error_estimate.max():.0e}")

# %%
# ``lam`` is the norm in units of sqrt(N). Everything is in :class:`~replica.Solution`: the
# overlap, the training loss, the margins, and how well each number is known.

with style.context():
    figure = style.canvas(style.COLUMN, 2.5)
    axes = figure.add_subplot()
    axes.semilogx(path.lam[1:-1], path.generalization_error[1:-1], **style.THEORY)
    axes.plot(best.lam, best.generalization_error, **style.STAR)
    for error, name in ((hebb, "Hebb"), (stable, "maximum stability")):
        axes.axhline(error, color="0.4", ls="--", lw=0.8)
        axes.text(10, error, name, ha="left", va="bottom", fontsize=style.SMALL)
    bayes = bayes_optimal(5.0).generalization_error
    axes.axhline(bayes, color="0.4", ls=":", lw=1)
    axes.text(0.013, bayes, "Bayes-optimal", va="top", fontsize=style.SMALL)
    axes.set(xlabel=r"norm $\lambda$", ylabel=r"generalization error $\epsilon$")
    axes.set(xlim=(1e-2, 1e3), ylim=(0.075, 0.172), title=r"$\alpha=5$")
