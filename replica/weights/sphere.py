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
Mask = NDArray[np.bool_]

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


@kernel(error_model="numpy")
def guess(count, hebb_pull, sharpness, z, push, kappa):
    """Log c, the scale of u and of the margins, by interpolation."""
    for i in range(len(count)):
        clean = hebb_pull[i] / SQRT_2_OVER_PI
        hebb = 2.0 * count[i] / pi * clean * clean
        # c^2 grows from Hebb's 2 alpha/pi by alpha lam/(pi C)^2 = 3.24 lam 2 alpha/pi, up to
        # 1/(0.5005 pi)^2 alpha^2 = 0.635 alpha 2 alpha/pi; noise keeps it near Hebb.
        late = 1.0 / (3.24 * sharpness[i]) + 1.0 / (0.635 * count[i]) + (1.0 - clean) * 3.0
        z[i, 0] = 0.5 * log(hebb * (1.0 + 1.0 / late)) if hebb > 0.0 else 0.0
        push[i] = 1.0 / sqrt(count[i] * (1.0 + hebb))  # Hebb's x
        kappa[i] = 1.0 / sqrt(count[i] + (count[i] / 1.0045) ** 2)


@kernel(error_model="numpy")
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


@kernel(error_model="numpy")
def fill_along(moments, along):
    """dF/dlog lam; without a signal there is no pull."""
    for i in range(len(moments)):
        along[i, 0] = moments[i, m.STEP_DL] / moments[i, m.STEP]
        pull = moments[i, m.PULLED]
        along[i, 1] = moments[i, m.PULLED_DL] / pull if pull > 0.0 else 0.0


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

    def start(self, channel: Channel, count: Array) -> Array:
        """Good to tens of percent over the whole plane (docs/theory.md, section 6).

        Interpolates Hebb, the early law eps = C (alpha lam)^(-1/2) and maximum stability; Newton
        needs three steps from it.
        """
        sharp = channel.loss.sharp
        sharpness = channel.parameter if sharp else np.full(len(count), np.inf)
        z, push, kappa = np.empty((len(count), 2)), np.empty(len(count)), np.empty(len(count))
        guess(count, channel.hebb_pull, sharpness, z, push, kappa)
        z[:, 1] = channel.loss.first_guess(channel.parameter, push, kappa)
        return z

    def multiplier(self, count: Array, curved: Array) -> Array:
        return count * curved

    def nu(self, channel: Channel, z: Array, which: Indices, count: Array, moments: Array) -> Array:
        """1 - alpha G = 1 - R^2 + alpha E_W[t u] by parts, section 5 of the page.

        With few flips p at large alpha it is of the size of p, which 1 - alpha G has lost
        at p = 1e-12.
        """
        merged = channel.merged(moments)
        if not channel.by_parts:
            return 1 - count * merged[:, m.CURVED]
        c = np.exp(z[:, 0])
        c[channel.storage[which]] = 0.0
        return 1 / (1 + c * c) + count * merged[:, m.PUSHED]

    def replicon(self, z: Array, count: Array, curved2: Array) -> Array:
        return count * curved2

    def along_scale(self, moments: Array, jacobian: Array) -> Array:
        along = np.empty((len(moments), 2))
        fill_along(moments, along)
        return along

    def beyond(self, z: Array, multiplier: Array) -> Mask:
        return multiplier > 1


class ScalingLimit(Sphere):
    """Isotropic inputs, alpha -> inf at lam = ell alpha; c stands for alpha c."""

    flat = True

    def start(self, channel: Channel, count: Array) -> Array:
        blunt = 1 / (3.24 * 2 / pi * channel.parameter) if channel.loss.sharp else 0.0
        a = -0.5 * np.log(blunt + np.full(len(count), (0.5005 * pi) ** 2))
        push, kappa = np.full(len(count), sqrt(pi / 2)), np.full(len(count), 1.0045)
        return np.stack([a, channel.loss.first_guess(channel.parameter, push, kappa)], axis=1)
