"""
Theory against simulation, in standard errors
=============================================

``perceptron`` has N dimensions, ``replica`` infinitely many, and they share no code. Means over
seeds at several N are extrapolated to 1/N = 0 and compared with the theory. A theory that forgets
the 2 of log(1 + exp(-2 Delta)) has to fail where the error depends on the norm.
"""

import numpy as np

from deepnorm.figures import style
from perceptron import minimize_at_norm, over_seeds, teacher_student
from replica import logistic_teacher_student

ALPHA, LAM = 2.0, np.array([0.3, 1.0, 3.0, 10.0])
SIZES = {125: 96, 250: 48, 500: 24}


def means(N, seeds):
    """Mean generalization error at each norm, and its standard error."""

    def experiment(seed):
        minima = minimize_at_norm(teacher_student(N, ALPHA, seed), LAM)
        return {"error": [minimum.generalization_error for minimum in minima]}

    found = over_seeds(experiment, range(1000 * N, 1000 * N + seeds))
    return found.mean("error"), found.standard_error("error")


theory = logistic_teacher_student(ALPHA, LAM).generalization_error
wrong = logistic_teacher_student(ALPHA, 2 * LAM).generalization_error
inverse = 1 / np.array(list(SIZES))
mean, error = (np.array(part) for part in zip(*(means(*item) for item in SIZES.items())))

# %%
# A straight line in 1/N through each norm's means, weighted by their errors.

fits = [np.polyfit(inverse, m, 1, w=1 / s, cov="unscaled") for m, s in zip(mean.T, error.T)]
limit = np.array([line[-1] for line, _ in fits])
sigma = np.array([np.sqrt(covariance[-1, -1]) for _, covariance in fits])
for lam, z, control in zip(LAM, (limit - theory) / sigma, (limit - wrong) / sigma):
    print(
        f"lam = {lam:4g}: {z:+.1f} standard errors from the theory; without the 2, {control:+.1f}"
    )

# %%
# Circles: means over seeds. Squares: the theory, at 1/N = 0. Lines: the fits.

with style.context():
    figure = style.canvas(style.COLUMN, 2.8)
    axes = figure.add_subplot()
    colours = style.series(len(LAM))
    for i, (lam, colour) in enumerate(zip(LAM, colours)):
        axes.errorbar(inverse, mean[:, i], error[:, i], fmt="o", ms=3, color=colour, lw=0.8)
        axes.plot(0, theory[i], "s", ms=4, color=colour, clip_on=False, zorder=5)
        x = np.array([0, inverse[0]])
        axes.plot(x, np.polyval(fits[i][0], x), color=colour, lw=0.8, label=rf"$\lambda={lam:g}$")
    axes.set(xlabel="$1/N$", ylabel=r"generalization error $\epsilon$", title=r"$\alpha=2$")
    axes.set_xlim(0, 1.08 * inverse[0])
    axes.legend(ncols=2)
