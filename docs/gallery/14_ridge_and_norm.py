"""
Ridge and norm
==============

Most people choose a penalty and not a norm. The two are one path: every ridge leaves a norm, and
every norm has its ridge, 1/C for scikit-learn. The translation is checked on samples: means over
seeds of LogisticRegression, and how far they are from the theory in standard errors.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression

from deepnorm.figures import style
from replica import PowerLaw, at_ridge, logistic_teacher_student, optimal_norm

INPUTS = PowerLaw(capacity=1.5, source=0.3, modes=150)
P, SEEDS, RIDGE = 300, 16, np.geomspace(1e-2, 1e2, 7)
theory = at_ridge(float(P), RIDGE, inputs=INPUTS)
back = logistic_teacher_student(float(P), theory.lam, inputs=INPUTS)
print("ridge to norm and back, relative:", np.abs(back.ridge / RIDGE - 1).max())

# %%
# The inputs count modes: fields are w.x, and the penalised weights have norm 2 lam. The error of
# weights is the angle between two fields, which needs no test set.

k = np.arange(1, INPUTS.modes + 1.0)
omega = k**-INPUTS.capacity
theta = k ** (-0.5 - INPUTS.capacity * INPUTS.source) / np.sqrt(omega)


def sample(seed):
    """Norm and error of the minimiser at each ridge."""
    rng = np.random.default_rng(seed)
    x = np.sqrt(omega) * rng.standard_normal((P, len(omega)))
    y = np.sign(x @ theta)
    found = []
    for ridge in RIDGE:
        model = LogisticRegression(C=1 / ridge, fit_intercept=False, solver="newton-cholesky")
        w = model.fit(x, y).coef_[0]
        overlap = np.sum(omega * w * theta) / np.sqrt(
            np.sum(omega * w**2) * np.sum(omega * theta**2)
        )
        found.append((np.linalg.norm(w) / 2, np.arccos(overlap) / np.pi))
    return np.array(found).T


found = np.stack([sample(seed) for seed in range(SEEDS)])
mean, error = found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(SEEDS)
z = (mean - [theory.lam, theory.generalization_error]) / error
for ridge, lam, eps, norm, angle in zip(RIDGE, theory.lam, theory.generalization_error, *z):
    print(f"C = {1 / ridge:8.3g}: lam {lam:8.4f} ({norm:+.1f}), error {eps:.4f} ({angle:+.1f})")

# %%
# The same curve against the ridge and against the norm. The best ridge comes from the best norm:

best = optimal_norm(float(P), inputs=INPUTS)
print(
    f"best C = {1 / best.ridge:.3f} at lam = {best.lam:.3f}: error {best.generalization_error:.5f}"
)

with style.context():
    figure = style.canvas(style.FULL, 2.7)
    panels = figure.subplots(1, 2, sharey=True)
    fine = at_ridge(float(P), np.geomspace(RIDGE[0] / 10, RIDGE[-1] * 3, 121), inputs=INPUTS)
    for axes, x, at, star in (
        (panels[0], fine.ridge, RIDGE, best.ridge),
        (panels[1], fine.lam, mean[0], best.lam),
    ):
        axes.semilogx(x, fine.generalization_error, **style.THEORY)
        axes.errorbar(at, mean[1], error[1], fmt="o", ms=3, color="black", lw=0.8, zorder=5)
        axes.plot(star, best.generalization_error, **style.STAR)
    panels[0].set(xlabel=r"ridge $1/C$", ylabel=r"generalization error $\epsilon$")
    panels[1].set(xlabel=r"norm $\lambda=|w|/2$")
    style.panel(panels[0], "a", rf"$P={P}$: theory, and {SEEDS} samples")
    style.panel(panels[1], "b", "the same against the norm")
