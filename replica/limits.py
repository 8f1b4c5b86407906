"""The scaling laws of the fixed-norm perceptron: two limits of alpha -> inf, exactly.

At fixed lam the error falls like alpha^(-1/2) (`early_law`); at fixed
ell = lam/alpha like 1/alpha (`master_curve`). They match for
1 << lam << alpha, where eps = C (alpha lam)^(-1/2) with C in closed form
(`EARLY_LAW_CONSTANT`). Derived in docs/theory.md, section 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import elementwise
from scipy.special import expit

from replica import ranges
from replica.channel import TeacherChannel
from replica.common import arguments
from replica.common.refusals import Refusals
from replica.equations import SaddlePointEquations
from replica.losses import HardMargin, Logistic, Loss
from replica.quadrature import gauss_legendre
from replica.saddle_point import solve_equations
from replica.solution import FloatOrArray, shaped
from replica.teachers import NoiseMixture
from replica.weights import ScalingLimit

__all__ = ["EARLY_LAW_CONSTANT", "MasterOptimum", "early_law", "master_curve", "master_optimum"]

Array = NDArray[np.float64]

#: C of eps = C (alpha lam)^(-1/2), 1 << lam << alpha: eq. (34), about 0.22148.
EARLY_LAW_CONSTANT: float = float(np.sqrt(np.sqrt(2 * np.pi) * (np.log(2) - 0.5)) / np.pi)


def early_law(lam: ArrayLike) -> FloatOrArray:
    r"""The limit of sqrt(alpha) eps as alpha -> inf at fixed lam, eq. (33).

    (1/pi) sqrt(pi int_0^inf Dt V'(t)^2), from Hebb's 1/sqrt(2 pi) at lam = 0 to
    C lam^(-1/2) at large lam.

    Parameters
    ----------
    lam : float or array
        The norm, in [0, inf); at inf the limit is zero.

    Returns
    -------
    float or array
        Relative accuracy 1e-14.
    """
    shape, flat = arguments.broadcast({"lam": lam})
    refusals = Refusals(shape)
    refusals.check("lam", flat["lam"], ranges.SHARPNESS)
    refusals.warn()
    values = np.where(refusals.bad, np.nan, flat["lam"])
    node, weight = gauss_legendre(24)
    # V' falls like exp(-2 lam t), the Gaussian like exp(-t^2/2): panels of a width that
    # resolves both, over 9 Gaussian or 20 exponential lengths, whichever ends first.
    with np.errstate(divide="ignore"):
        end = np.minimum(9.0, 20.0 / values)
    half = end[:, None, None] / 16
    t = half * (2 * np.arange(8)[None, :, None] + 1 + node)
    with np.errstate(invalid="ignore"):
        force = 2 * expit(-2 * values[:, None, None] * t)
    density = np.exp(-0.5 * t * t) / np.sqrt(2 * np.pi)
    integral = np.sum(half * weight * density * force**2, axis=(1, 2))
    integral[np.isinf(values)] = 0.0
    return shaped(np.sqrt(np.pi * integral) / np.pi, shape)


def master_curve(ell: ArrayLike) -> FloatOrArray:
    """The limit of alpha eps as alpha -> inf at lam = ell alpha, eqs. (31)-(32).

    Parameters
    ----------
    ell : float or array
        lam / alpha, in (0, inf]; inf is maximum stability, 0.500489...

    Returns
    -------
    float or array
        F(ell), which behaves as C ell^(-1/2) for small ell; relative accuracy 1e-13.
    """
    shape, flat = arguments.broadcast({"ell": ell})
    refusals = Refusals(shape)
    refusals.check("ell", flat["ell"], ranges.RATIO)
    refusals.warn()
    value = np.full(len(flat["ell"]), np.nan)
    endless = np.isinf(flat["ell"])
    groups: list[tuple[Loss, Any]] = [(Logistic(1.0), ~endless), (HardMargin(), endless)]
    for loss, part in groups:
        which = np.flatnonzero(part & ~refusals.bad)
        if len(which):
            value[which] = _master(loss, flat["ell"][which])[0]
    return shaped(value, shape)


def _master(loss: Loss, ell: Array) -> tuple[Array, Array]:
    """F(ell) and d log F / d log ell."""
    n = len(ell)
    noiseless = NoiseMixture(np.ones((n, 1)), np.zeros((n, 1)), np.zeros(n))
    channel = TeacherChannel(loss, ell, noiseless, flat=True)
    found = solve_equations(SaddlePointEquations(channel, ScalingLimit(), np.ones(n)))
    seen = found.observables
    return np.where(found.converged, seen.generalization_error, np.nan), seen.slope


@dataclass(frozen=True)
class MasterOptimum:
    """The minimum of the master curve.

    Attributes
    ----------
    ell : float
        lam_opt / alpha at large alpha, 0.88358...
    value : float
        alpha eps_opt at large alpha, 0.44197...
    """

    ell: float
    value: float


def master_optimum() -> MasterOptimum:
    """Where the master curve is smallest: the laws lam_opt = ell alpha, eps_opt = F/alpha."""

    def slope(log_ell: Array) -> Array:
        return _master(Logistic(1.0), np.exp(np.atleast_1d(log_ell)))[1]

    root = elementwise.find_root(slope, (np.log([0.5]), np.log([2.0])), tolerances={"xatol": 1e-14})
    ell = np.exp(root.x)
    return MasterOptimum(ell=float(ell[0]), value=float(_master(Logistic(1.0), ell)[0][0]))
