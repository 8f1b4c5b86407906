"""
Certify a digit
===============

How good is the twelfth digit? ``certify`` solves a point again with mpmath, by other integrals and
equations, to as many digits as you like. What the fast solver says of its own error should be
larger than the error that is found.
"""

import numpy as np

from deepnorm.figures import style
from replica import logistic_teacher_student
from replica.highprecision import certify

solution = logistic_teacher_student(alpha=5.0, lam=4.5)
print(repr(solution.generalization_error), "in doubles")
print(certify(solution, digits=30))

# %%
# The same along the path from Hebb to maximum stability, for three numbers of examples.

LAM, ALPHA = np.geomspace(1e-2, 1e3, 9), (0.5, 5.0, 500.0)
path = logistic_teacher_student(np.array(ALPHA)[:, None], LAM)
found = [[float(certify(path[i, j], 20).relative_error) for j in range(len(LAM))] for i in range(3)]
print(f"largest error {np.max(found):.1e}, largest estimate {path.error_estimate.max():.1e}")

with style.context():
    figure = style.canvas(style.COLUMN, 2.6)
    axes = figure.add_subplot()
    for error, claimed, alpha, colour in zip(found, path.error_estimate, ALPHA, style.series(3)):
        axes.loglog(LAM, claimed, color=colour, lw=1, label=rf"$\alpha={alpha:g}$")
        # an error of zero is below any scale: a double cannot show less than this
        axes.loglog(LAM, np.maximum(error, 1e-17), "o", ms=3, color=colour)
    axes.set(xlabel=r"norm $\lambda$", ylabel=r"relative error of $\epsilon$", ylim=(5e-18, 1e-13))
    axes.legend(title="line: estimate, dots: error", loc="upper left", ncols=3)
