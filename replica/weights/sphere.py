r"""Isotropic inputs: the weights' side in closed form.

With the moments A and B of eqs. (15)-(16) the residuals are

    F1 = log(alpha A) + log(1 + c^2)                       [eq. (13)]
    F2 = log(alpha sqrt(2/pi) B) - a + log(1 + c^2) / 2    [eq. (14)]

and, in the limit alpha -> inf at lam = ell alpha (`ScalingLimit`), eqs. (31)-(32):

    F1 = log(A) + 2 a,    F2 = log(sqrt(2/pi) B).
"""

from __future__ import annotations

from math import exp, log, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from replica.channel import Channel
from replica.channel import moments as m
from replica.common.compiled import kernel
from replica.weights.base import Weights

__all__ = ["ScalingLimit", "Sphere"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

SQRT_2_OVER_PI = sqrt(2.0 / pi)
#: Logarithmic residuals below this are computed from products; a choice.
NEAR = 0.5


@kernel
def log_of_product(first, second, third):
    """log(first * second * third).

    Near a root the logarithms cancel, each rounded at its own size (4e-15 at
    alpha = 1e6), where the logarithm of the product keeps 1e-15.
    """
    if first <= 0.0 or second <= 0.0 or third <= 0.0:
        return np.nan
    value = log(first) + log(second) + log(third)
    if abs(value) < NEAR:
        value = log(first * second * third)
    return value


@kernel
def fill(count, storage, flat, z, moments, residuals, jacobian):
    """Residuals and Jacobian of every point; nan where the moments are."""
    for i in range(len(count)):
        a = z[i, 0]
        step, pull = moments[i, m.STEP], moments[i, m.PULLED]
        c = exp(min(a, 700.0))
        if flat:
            square, root, p = c * c, c, 1.0
        elif storage[i]:
            # alpha E[u^2] = 1 alone (eq. 19), and a rests at its start
            square, root, p = 1.0, 1.0, 0.0
        else:
            square, root, p = 1.0 + c * c, sqrt(1.0 + c * c), 1.0 / (1.0 + exp(-2.0 * a))  # R^2
        residuals[i, 0] = log_of_product(count[i], step, square)
        jacobian[i, 0, 0] = moments[i, m.STEP_D] / step + 2.0 * p
        jacobian[i, 0, 1] = moments[i, m.STEP_DB] / step
        if storage[i]:
            residuals[i, 1] = 0.0
            jacobian[i, 0, 0] = 0.0
            jacobian[i, 1, 0] = 1.0
            jacobian[i, 1, 1] = 0.0
        else:
            residuals[i, 1] = log_of_product(count[i] * SQRT_2_OVER_PI, pull, root / c)
            jacobian[i, 1, 0] = moments[i, m.PULLED_D] / pull - 1.0 + p
            jacobian[i, 1, 1] = moments[i, m.PULLED_DB] / pull


class Sphere(Weights):
    """Isotropic inputs, weights of norm sqrt(N)."""

    columns = m.NEWTON
    flat = False

    def log_scale(self, z: Array) -> Array | None:
        return None

    def residuals(
        self, channel: Channel, count: Array, z: Array, which: Indices, moments: Array
    ) -> tuple[Array, Array]:
        residuals, jacobian = np.empty((len(z), 2)), np.empty((len(z), 2, 2))
        fill(count, channel.storage[which], self.flat, z, moments, residuals, jacobian)
        return residuals, jacobian


class ScalingLimit(Sphere):
    """Isotropic inputs, alpha -> inf at lam = ell alpha; c stands for alpha c."""

    flat = True
