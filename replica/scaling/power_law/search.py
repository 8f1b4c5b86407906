"""The search over gamma: the least chi2, and the ends of profile intervals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from replica.scaling.power_law.law import EVERYWHERE, LOOKS, Fits, Law

__all__ = ["ROUGH", "gamma_interval", "least", "offset_interval"]

Array = NDArray[np.float64]

#: Basins of the scan that are followed to their bottom; 3000 noisy fits had three at most.
BASINS = 4
#: Part of a root that is left: ten times what brentq takes at least, 4 units in the last place.
ROOT = 1e-14
#: The same where chi2 alone is asked for, which is known to the square.
ROUGH = 1e-7
#: At a kink Brent's method bisects; a bracket is halved to rounding in 53 steps.
BISECTIONS = 200


def least(law: Law, grid: Array, part: float = ROOT) -> tuple[Fits, Fits]:
    """The scan over gamma, and the best law of all, with gamma known to a part of it."""
    scan = law.fits(grid)
    turns = np.flatnonzero((scan.slope[:-1] < 0) & (scan.slope[1:] >= 0))
    depth = np.minimum(scan.chi2[turns], scan.chi2[turns + 1])
    bottoms = [
        _crossing(
            lambda gamma: law.fits(gamma).slope,
            (scan.gamma[row], scan.gamma[row + 1]),
            (scan.slope[row], scan.slope[row + 1]),
            part,
        )
        for row in turns[np.argsort(depth, kind="stable")[:BASINS]]
    ]
    ends = scan.gamma[[0, -1]]  # where the law is one point and a constant
    candidates = law.fits(np.append(bottoms, ends))
    return scan, candidates.only(int(np.argmin(candidates.chi2)))


def _crossing(
    function: Callable[[Array], Array],
    places: tuple[float, float],
    values: tuple[float, float],
    part: float = ROOT,
) -> float:
    """Where a function changes sign between two places, at which it is known already."""
    known = dict(zip(places, values, strict=True))

    def at(gamma: float) -> float:
        return float(known[gamma] if gamma in known else function(np.array([gamma]))[0])

    # One or two roots are looked for. `elementwise.find_root`, made for many, took 6 times as long
    # where errors are absolute, and 1.5 times where they are relative.
    width = part * (abs(places[0]) + abs(places[1]))
    return float(brentq(at, *places, xtol=width, rtol=part, maxiter=BISECTIONS))


def gamma_interval(law: Law, scan: Fits, fit: Fits, limit: float) -> tuple[float, float]:
    """The outermost gamma with chi2 <= limit; infinite where the scan ends inside."""
    gamma, above = np.append(scan.gamma, fit.gamma), np.append(scan.chi2, fit.chi2) - limit
    order = np.argsort(gamma)
    gamma, above = gamma[order], above[order]
    first, last = np.flatnonzero(above <= 0)[[0, -1]]
    low, high = -np.inf, np.inf
    if first > 0:
        low = _edge(law, limit, gamma[[first, first - 1]], above[[first, first - 1]])
    if last < len(gamma) - 1:
        high = _edge(law, limit, gamma[[last, last + 1]], above[[last, last + 1]])
    return low, high


def _edge(law: Law, limit: float, gamma: Array, above: Array) -> float:
    """Where chi2 = limit between two gamma."""
    return _crossing(
        lambda place: law.fits(place).chi2 - limit, (gamma[0], gamma[1]), (above[0], above[1])
    )


def offset_interval(
    law: Law, fit: Fits, gammas: tuple[float, float], limit: float
) -> tuple[float, float]:
    """The extremes of q over all gamma of the interval."""
    if not law.nonnegative and gammas[0] < 0 < gammas[1]:
        return -np.inf, np.inf  # q grows like 1/gamma towards the logarithm
    ends = np.clip(gammas, *law.grid[[0, -1]])
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
