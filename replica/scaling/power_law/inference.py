"""Errors, tests of hypotheses, and the words for what stands out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from replica.scaling.power_law.data import LARGEST, SMALLEST
from replica.scaling.power_law.law import ROUNDING

__all__ = [
    "bend_p",
    "decomposed",
    "misfit",
    "offset_p",
    "outlier",
    "quantile",
    "serial_p",
    "status",
    "unscaled",
]

Array = NDArray[np.float64]

#: A statement about the residuals is made below this p-value: a choice.
SUSPICIOUS = 0.01
#: A point is on the law whatever its value is, if this part of it or less is left as residual.
PINNED = 1e-9


def quantile(level: float, dof: int | None) -> float:
    """Rise of chi2, in units of the variance, at the ends of an interval (None: known errors)."""
    upper = (1 + level) / 2
    return float(special.ndtri(upper) if dof is None else special.stdtrit(dof, upper)) ** 2


def decomposed(slopes: Array) -> tuple[Array | None, Array]:
    """Orthonormal basis of what a change of the parameters does, and their covariance.

    The basis is None where derivatives overflow; the covariance, the inverse of the Fisher matrix,
    is nan there and where the parameters cannot be told apart.
    """
    nothing = np.full((slopes.shape[1], slopes.shape[1]), np.nan)
    size = np.abs(slopes).max(axis=0)
    if not (size.min() > SMALLEST and size.max() < LARGEST):
        return None, nothing
    U, s, V = np.linalg.svd(slopes / size, full_matrices=False)
    if s[-1] < ROUNDING * s[0]:
        return U, nothing
    half = V.T / s / size[:, None]
    return U, half @ half.T


def unscaled(covariance: Array, end: float, scale: float) -> tuple[Array, Array]:
    """Standard errors and covariance of gamma, ln k, q, from those of gamma, ln A, q/scale."""
    turn = np.eye(3)
    turn[1, 0] = end  # ln k = ln A + gamma end
    turned, units = turn @ covariance @ turn.T, np.array([1.0, 1.0, scale])
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # scale^2
        return np.sqrt(np.diag(turned)) * units, units[:, None] * turned * units


def offset_p(gain: float, dof: int | None, nonnegative: bool, q: float) -> float:
    """p-value of q = 0 from the fall of chi2, in units of the variance (None: known errors)."""
    if nonnegative and (q == 0 or gain <= 0):
        return 1.0
    gain = max(gain, 0.0)  # but for rounding
    tail = special.chdtrc(1, gain) if dof is None else special.fdtrc(1, dof, gain)
    # With q >= 0 half of the samples from q = 0 have no gain at all.
    return float(tail / 2 if nonnegative else tail)


def bend_p(slopes: Array, residuals: Array, dof: int | None) -> float:
    """p-value of q = 0 against q < 0: the first step that the fit would take out of its bound."""
    covariance = decomposed(slopes)[1]
    if np.isnan(covariance[2, 2]):
        return np.nan
    z = float(covariance[2] @ (slopes.T @ residuals)) / np.sqrt(covariance[2, 2])
    return float(special.ndtr(z) if dof is None else special.stdtr(dof, z))


def outlier(Q: Array | None, residuals: Array, known: bool) -> tuple[int, float]:
    """The point furthest from the law of the others, and its p-value, eq. (S4d).

    The law is linearised: the residual of a point from a law fitted without it is its own over
    1 - h, with h the leverage. A point of leverage 1 has no residual and is never named.
    """
    if Q is None or len(residuals) - Q.shape[1] < (1 if known else 2):
        return int(np.argmax(np.abs(residuals))), np.nan
    free = len(residuals) - Q.shape[1]
    left = 1 - np.einsum("ij,ij->i", Q, Q)
    square = np.where(left > PINNED, residuals * residuals / np.maximum(left, PINNED), 0.0)
    row = int(np.argmax(square))
    tail = special.chdtrc(1, square[row]) if known else 0.0
    if free > 1:
        rest = max(float(residuals @ residuals) - square[row], 0.0) / (free - 1)
        others = special.fdtrc(1, free - 1, square[row] / rest) if rest > 0 else 0.0
        # Where the law is rejected as a whole, every point is off in units of given errors.
        tail = max(tail, others)
    return row, min(1.0, len(residuals) * float(tail))


def misfit(
    log_x: Array, y: Array, w: Array, chi2: float, parameters: int
) -> tuple[int, float, float]:
    """Degrees of freedom of points at equal x, their chi2, and the p-value of lack of fit."""
    new = log_x[1:] > log_x[:-1]
    if new.all():
        return 0, np.nan, np.nan
    starts = np.flatnonzero(np.append(True, new))
    dof, free = len(y) - len(starts), len(starts) - parameters
    mean = np.add.reduceat(w * y, starts) / np.add.reduceat(w, starts)
    away = y - np.repeat(mean, np.diff(np.append(starts, len(y))))
    pure = float((away * away) @ w)
    if free < 1 or np.abs(away).max() <= ROUNDING:
        return dof, pure, np.nan
    ratio = max(chi2 - pure, 0.0) / free / (pure / dof)
    return dof, pure, float(special.fdtrc(free, dof, ratio))


def serial_p(Q: Array | None, residuals: Array) -> float:
    """Durbin and Watson's test by a beta distribution with their two moments (1951)."""
    if Q is None or len(residuals) - Q.shape[1] < 2:
        return np.nan
    n, free = len(residuals), len(residuals) - Q.shape[1]
    D = Q[1:] - Q[:-1]
    DQ = np.concatenate([-D[:1], D[:-1] - D[1:], D[-1:]])  # the matrix of second differences
    inner = D.T @ D
    P = 2 * (n - 1) - np.vdot(D, D)
    S = 6 * n - 8 - 2 * np.vdot(DQ, DQ) + np.vdot(inner, inner)
    mean = P / free
    variance = 2 * (S - P * mean) / (free * (free + 2))
    steps = residuals[1:] - residuals[:-1]
    ratio = float(steps @ steps) / float(residuals @ residuals)
    if variance <= 0:
        return np.nan
    both = mean * (4 - mean) / variance - 1  # a + b of a beta distribution on [0, 4]
    return float(special.betainc(mean * both / 4, (1 - mean / 4) * both, ratio / 4))


def status(
    level: float,
    *,
    A: float,
    vague: bool,
    open_low: bool,
    open_high: bool,
    bend_p: float,
    p_value: float,
    misfit_p: float,
    serial_p: float,
    outlier: int,
    outlier_p: float,
) -> str:
    """What stands out, in words."""
    said = []
    if A == 0:
        said.append("no power law with q >= 0 and k > 0 fits better than a constant")
    elif A < 0:
        said.append("k is negative: the curve bends the other way")
    if vague:
        said.append("the residuals are rounding: they do not say how large errors are")
    elif open_low and open_high:
        said.append(f"the exponent cannot be concluded: it has no limits at {level:.0%}")
    elif open_low or open_high:
        said.append(f"gamma has no {'lower' if open_low else 'upper'} limit at {level:.0%}")
    if bend_p < SUSPICIOUS:
        said.append(f"q is at its bound 0: the curve bends the other way (p = {bend_p:.2g})")
    if p_value < SUSPICIOUS:
        said.append(f"the law is rejected (p = {p_value:.2g})")
    if p_value > 1 - SUSPICIOUS:
        said.append(f"residuals are smaller than their errors (p = {1 - p_value:.2g})")
    if misfit_p < SUSPICIOUS:
        said.append(f"the law misses the means of points at equal `x` (p = {misfit_p:.2g})")
    if outlier_p < SUSPICIOUS:
        said.append(
            f"point {outlier} is off the law of the others (p = {outlier_p:.2g}): "
            f"`without={outlier}` fits without it"
        )
    if serial_p < SUSPICIOUS:
        said.append(f"residuals drift along `x` (p = {serial_p:.2g})")
    return "; ".join(said) or "determined"
