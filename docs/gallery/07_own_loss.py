"""
A loss of your own
==================

Any convex loss can be solved: give its value and two derivatives. Here a hinge whose corner is
rounded: far beyond its margin it is flat, far below it a straight line. The margin is swept, beside
that of the built-in hinge.
"""

import numpy as np
from scipy.special import expit

from deepnorm.figures import style
from replica import (
    Hinge,
    Problem,
    SmoothLoss,
    bayes_optimal,
    logistic_teacher_student,
    max_stability,
    solve,
)

ALPHA, WIDTH = 3.0, 0.2
KAPPA = max_stability(ALPHA).stability


def rounded_hinge(margin):
    """WIDTH softplus((margin - D) / WIDTH): the hinge as WIDTH goes to zero."""

    def turn(d):
        return expit((margin - d) / WIDTH)

    return SmoothLoss(
        V=lambda d: WIDTH * np.logaddexp(0, (margin - d) / WIDTH),
        dV=lambda d: -turn(d),
        d2V=lambda d: turn(d) * (1 - turn(d)) / WIDTH,
        name="a rounded hinge",
    )


margin = np.linspace(0, 4, 81)
rounded = [solve(Problem(ALPHA, rounded_hinge(m))).generalization_error for m in margin]

# %%
# At margin zero it is the logistic loss at lam = 1/(2 WIDTH), which two different integrals
# confirm:

logistic = logistic_teacher_student(ALPHA, 1 / (2 * WIDTH)).generalization_error
print(f"{rounded[0]:.14f}, {logistic:.14f}")

# %%
# The derivatives are compared with differences before anything is solved, so that a slip is found
# at once:

wrong = SmoothLoss(lambda d: (d - 3) ** 4, lambda d: (d - 3) ** 3, lambda d: 3 * (d - 3) ** 2)
try:
    solve(Problem(ALPHA, wrong))
except ValueError as reason:
    print(reason)

# %%
# The hinge itself has one minimiser only above the maximum stability, dotted; in an array the
# entries below are nan, with the reason in ``status``.

hinge = solve(Problem(ALPHA, Hinge(margin)))
print(f"{np.isnan(hinge.generalization_error).sum()} margins refused: {hinge.status[0]}")

with style.context():
    figure = style.canvas(style.COLUMN, 2.6)
    axes = figure.add_subplot()
    axes.plot(margin, rounded, **style.THEORY, label="rounded hinge, of our own")
    axes.plot(margin, hinge.generalization_error, color="#D55E00", ls="--", label="hinge")
    axes.axvline(KAPPA, color="0.3", ls=":", lw=1)
    bayes = bayes_optimal(ALPHA).generalization_error
    axes.axhline(bayes, color="0.4", ls="-.", lw=0.8, label="Bayes-optimal")
    axes.set(xlabel="margin of the loss", ylabel=r"generalization error $\epsilon$")
    axes.set(xlim=(0, 4), title=rf"$\alpha={ALPHA:g}$")
    axes.legend()
