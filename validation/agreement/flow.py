r"""The gradient flow of the population: where training goes as long as examples do not run out.

With the textbook loss log(1 + exp(-z)), z = w.x, a noiseless teacher theta and x normal of
variances omega_k, Gaussian integration of dw/ds = E[y x / (1 + exp(y w.x))] leaves

    dw_k/ds = omega_k (phi(0) theta_k - v w_k),   v = E[sigma'(F xi)],   F^2 = sum omega_k w_k^2

with sum omega_k theta_k^2 = 1, sigma the logistic function, phi(0) = 1/sqrt(2 pi) and xi standard
normal: the force of the labels is exactly constant, since sigma(z) + sigma(-z) = 1, and what
bends the loss depends on the norm F of the field alone (docs/experiment.md, eq. (E4)).

`perceptron.gradient_flow` follows the sum of log(1 + exp(-2 Delta)) over P examples, with fields
over sqrt(N): its lam' is F/2 and its time t is s N/(4 P).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.special import expit

__all__ = ["ISOTROPIC_CONSTANT", "Flow", "bend", "late_exponent", "population_flow"]

Array = NDArray[np.float64]

#: F^3 / s for isotropic inputs at large F, (pi^2/4) sqrt(2/pi).
ISOTROPIC_CONSTANT = float(np.pi**2 / 4 * np.sqrt(2 / np.pi))
#: Of the integration, per step: the result is good to 1e-5, far below any standard error here.
TOLERANCE = 1e-7
#: Where the flow begins, over the largest variance: Hebb's rule is good to 1e-5 up to there.
FIRST = 1e-5
#: The slope of the logistic function is below 1e-17 beyond; nodes of a trapezoidal rule, whose
#: error falls like exp(-pi^2/step) for a function with poles at +-i pi.
FAR, NODES = 40.0, 401


@dataclass(frozen=True, eq=False)
class Flow:
    """The flow at some times.

    Attributes
    ----------
    time : (T,) array
        s.
    field_norm : (T,) array
        F, the standard deviation of w.x.
    error : (T,) array
        Generalization error, arccos of the correlation with the teacher's field, over pi.
    """

    time: Array
    field_norm: Array
    error: Array


def population_flow(eigenvalues: Array, teacher: Array, time: Array) -> Flow:
    """Follow the population's flow from w = 0.

    Parameters
    ----------
    eigenvalues : (K,) array
        omega_k, positive.
    teacher : (K,) array
        theta_k^2 up to a factor.
    time : (T,) array
        Ascending and positive.
    """
    share = eigenvalues * teacher / np.sum(eigenvalues * teacher)
    pull = 1 / np.sqrt(2 * np.pi)
    # in units of the teacher, g_k = w_k/theta_k: signs and the size of theta_k play no part

    def change(log_s: float, g: Array) -> Array:
        return np.exp(log_s) * eigenvalues * (pull - bend(_norm(g, share)) * g)

    def jacobian(log_s: float, g: Array) -> Array:
        """A diagonal, and what every mode does to the norm of the field."""
        norm = _norm(g, share)
        step = 1e-4 * norm
        slope = (bend(norm + step) - bend(norm - step)) / (2 * step)
        outer = np.outer(eigenvalues * g, share * g) * (slope / norm)
        return -np.exp(log_s) * (np.diag(eigenvalues * bend(norm)) + outer)

    start = float(np.log(FIRST / eigenvalues.max()))
    found = solve_ivp(
        change, (start, float(np.log(time[-1]))), eigenvalues * pull * np.exp(start), method="BDF",
        t_eval=np.log(time), rtol=TOLERANCE, atol=TOLERANCE * FIRST, jac=jacobian,
    )  # fmt: skip
    if not found.success:
        raise RuntimeError(f"the flow of the population stopped: {found.message}")
    norm, error = np.empty(len(time)), np.empty(len(time))
    for i, g in enumerate(found.y.T):
        along = float(share @ g)  # covariance with the teacher's field
        norm[i], error[i] = _norm(g, share), np.arctan2(_norm(g - along, share), along) / np.pi
    return Flow(time=time, field_norm=norm, error=error)


def _norm(g: Array, share: Array) -> float:
    """Standard deviation of the field."""
    return float(np.sqrt(share @ g**2))


def bend(norm: float) -> float:
    """How much the loss bends: v = E[sigma'(F xi)], xi standard normal; 1/4 at F = 0."""
    x = np.linspace(-12.0, 12.0, NODES)
    if norm < 3.0:  # a smooth function of xi
        weight = np.exp(-x * x / 2)
        z = norm * x
        return float(np.sum(weight * expit(z) * expit(-z)) / np.sum(weight))
    z = np.linspace(-FAR, FAR, NODES)
    slope = expit(z) * expit(-z)
    return float(np.sum(slope * np.exp(-0.5 * (z / norm) ** 2)) * (z[1] - z[0])) / (
        norm * np.sqrt(2 * np.pi)
    )


def late_exponent(source: float) -> float:
    """Exponent of the field's norm in time, h/(1 + h) with h = min(r, 1/2); 1/3 if isotropic."""
    h = min(source, 0.5)
    return h / (1 + h)
