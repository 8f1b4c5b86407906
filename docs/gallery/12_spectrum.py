"""
A spectrum of your own
======================

Inputs are rarely isotropic. Give the eigenvalues of their covariance and, along each, the squared
component of the teacher: every function that takes ``inputs`` then solves your problem, mode by
mode. Here the eigenvalues are those of 8x8 images of digits, and the same eigenvalues are easy or
hard, depending on where the signal lies.
"""

import numpy as np
from sklearn.datasets import load_digits

from deepnorm.figures import style
from replica import Spectrum, logistic_teacher_student, optimal_norm, population_curve
from replica.highprecision import certify

pixels = load_digits().data
eigenvalues = np.linalg.eigvalsh(np.cov(pixels, rowvar=False))[::-1]
eigenvalues = eigenvalues[eigenvalues > 1e-9 * eigenvalues[0]] / eigenvalues.sum()
print(f"{len(eigenvalues)} modes from {eigenvalues[0]:.3f} down to {eigenvalues[-1]:.1e}")

# %%
# A teacher that looks at what varies most, one that weighs all directions alike, and one that looks
# at what hardly varies: theta^2 goes like a power of the eigenvalue. Without weights each entry
# counts as one mode, so that ``alpha`` is the number of examples P, and ``lam`` the norm itself.

TEACHERS = {"large eigenvalues": 1.0, "all alike": 0.0, "small eigenvalues": -0.5}
P, LAM = np.array([100.0, 1000.0, 10000.0]), np.geomspace(0.1, 1e5, 121)
curves, early = {}, {}
for name, power in TEACHERS.items():
    inputs = Spectrum(eigenvalues, teacher=eigenvalues**power)
    curves[name] = logistic_teacher_student(P[:, None], LAM, inputs=inputs)
    early[name] = population_curve(LAM, inputs=inputs)
    best = optimal_norm(P, inputs=inputs)
    print(f"{name:18} best norms {best.lam.round(1)}, errors {best.generalization_error.round(4)}")

# %%
# ``Solution`` tells the norm of the field lam' that an example sees, the variance Q of the inputs
# along the weights, and how many modes were learned. Any point can be certified.

one = logistic_teacher_student(1000.0, 30.0, inputs=Spectrum(eigenvalues, eigenvalues))
print(
    f"lam' = {one.field_norm:.6f}, Q = {one.input_variance:.6f}, g = {one.degrees_of_freedom:.3f}"
)
print(f"error of {one.generalization_error:.15f}: {float(certify(one, 20).relative_error):.0e}")

# %%
# Each teacher has one early curve, dashed, that all numbers of examples share: the limit of
# endlessly many. The more of the signal lies in small eigenvalues, the more norm it takes.

with style.context():
    figure = style.canvas(style.FULL, 2.7)
    panels = figure.subplots(1, 3, sharey=True)
    for axes, letter, (name, curve) in zip(panels, "abc", curves.items()):
        axes.loglog(LAM, early[name].generalization_error, **style.LIMIT)
        for count, error, colour in zip(P, curve.generalization_error, style.series(3)):
            axes.plot(LAM, error, color=colour, label=f"$P={count:.0f}$")
        axes.set(xlabel=r"norm $\lambda$", xlim=(LAM[0], LAM[-1]), ylim=(2e-3, 0.5))
        style.panel(axes, letter, name)
    panels[0].set_ylabel(r"generalization error $\epsilon$")
    panels[2].legend(loc="lower left")
