"""The search over gamma: the least chi2, and the ends of profile intervals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from replica.scaling.power_law.law import EVERYWHERE, LOOKS, Fits, Law

__all__ = ["gamma_interval", "least", "offset_interval"]

Array = NDArray[np.float64]

#: Basins of the scan that are followed to their bottom; 3000 noisy fits had three at most.
BASINS = 4
#: Where a bracket is looked at after EVERYWHERE: ever closer to where a straight line crosses 0.
AROUND = np.outer([-1, 1], [1.0, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-6]).ravel()
#: A bracket this narrow is left to a straight line; four rounds are usual, sixteen at a kink.
NARROW, ROUNDS = 1e-12, 24


def least(law: Law) -> tuple[Fits, Fits]:
    """The scan over gamma, and the best law of all."""
    scan = law.fits(law.grid())
    turns = np.flatnonzero((scan.slope[:-1] < 0) & (scan.slope[1:] >= 0))
    depth = np.minimum(scan.chi2[turns], scan.chi2[turns + 1])
    turns = turns[np.argsort(depth, kind="stable")[:BASINS]]
    bottoms = _crossings(
        lambda gamma: law.fits(gamma).slope, scan.gamma[turns], scan.gamma[turns + 1]
    )
    ends = scan.gamma[[0, -1]]  # where the law is one point and a constant
    candidates = law.fits(np.concatenate([bottoms, ends]))
    return scan, candidates.only(int(np.argmin(candidates.chi2)))


def _crossings(function: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Where a function that is negative at `low` and not at `high` changes sign, row by row."""
    if len(low) == 0:
        return low
    rows, parts = np.arange(len(low)), np.tile(EVERYWHERE, (len(low), 1))
    guess = np.full(len(low), 0.5)
    for _ in range(ROUNDS):
        places = low[:, None] + (high - low)[:, None] * parts
        values = function(places.ravel()).reshape(places.shape)
        negative = values < 0
        negative[:, 0], negative[:, -1] = True, False  # as promised, whatever rounding says
        last = np.argmin(negative, axis=1)
        low, high = places[rows, last - 1], places[rows, last]
        below, above = values[rows, last - 1], values[rows, last]
        rise = np.where(above > below, above - below, np.inf)
        guess = np.clip(-below / rise, 0.0, 1.0)
        if np.all(np.abs(high - low) <= NARROW * np.abs(low + high)):
            break
        straight = parts[rows, last] - parts[rows, last - 1] < 2 / len(EVERYWHERE)
        around = np.sort(np.clip(guess[:, None] + AROUND, 0.0, 1.0), axis=1)
        around = np.hstack([around, np.ones((len(low), 1))])
        parts = np.where(straight[:, None], around, EVERYWHERE)
    return np.asarray(low + (high - low) * guess)


def gamma_interval(law: Law, scan: Fits, fit: Fits, limit: float) -> tuple[float, float]:
    """The outermost gamma with chi2 <= limit; infinite where the scan ends inside."""
    gamma = np.append(scan.gamma, fit.gamma)
    order = np.argsort(gamma)
    gamma, within = gamma[order], np.append(scan.chi2 <= limit, True)[order]
    first, last = np.flatnonzero(within)[[0, -1]]
    ends = np.array([-np.inf, np.inf])
    closed = np.array([first > 0, last < len(gamma) - 1])
    inside = gamma[np.array([first, last])[closed]]
    outside = gamma[np.array([first - 1, min(last + 1, len(gamma) - 1)])[closed]]
    ends[closed] = _crossings(lambda g: law.fits(g).chi2 - limit, inside, outside)
    return float(ends[0]), float(ends[1])


def offset_interval(
    law: Law, fit: Fits, gammas: tuple[float, float], limit: float
) -> tuple[float, float]:
    """The extremes of q over all gamma of the interval."""
    if not law.nonnegative and gammas[0] < 0 < gammas[1]:
        return -np.inf, np.inf  # q grows like 1/gamma towards the logarithm
    ends = np.clip(gammas, *law.grid()[[0, -1]])
    low, high = np.arcsinh(ends * law.span)
    steps = np.sinh(np.linspace(low, high, 2 * len(EVERYWHERE))) / law.span
    start = np.sort(np.append(np.clip(steps, *ends), fit.gamma))
    return (
        -_highest(lambda gamma: law.furthest(gamma, limit, -1.0), start),
        _highest(lambda gamma: law.furthest(gamma, limit, 1.0), start),
    )


def _highest(function: Callable[[Array], Array], places: Array) -> float:
    """The maximum of a function of one variable, from places close enough to tell its peaks."""
    highest = -np.inf
    for _ in range(LOOKS):
        values = function(places)
        best = int(np.argmax(values))
        highest = max(highest, float(values[best]))
        low, high = places[max(best - 1, 0)], places[min(best + 1, len(places) - 1)]
        places = low + (high - low) * EVERYWHERE
    return highest
