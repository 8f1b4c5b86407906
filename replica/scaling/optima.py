"""The minimum of a learning curve: where, how deep, and whether it is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replica.scaling.averages import MeanCurve

__all__ = ["Optimum", "neighbourhood", "of_seeds", "optimum"]

Array = NDArray[np.float64]

#: The minimum is read off a cubic through what lies within a rise of ln(error) above it: this
#: many times the noise, within bounds. More lets the cubic miss the shape, less lets noise
#: move the minimum; the bounds matter for theory's curves and for single seeds. Choices.
PER_NOISE, SMALLEST, LARGEST = 15.0, 0.02, 0.2
#: Records on each side over which a curve is smoothed before its lowest point is sought.
HALF_WIDTH = 2
#: Part of a distance that is rounding at most, if ln(norm) changes by more than 1e-9 of itself.
TIE = 1e-6
#: `flat`: the minimum is within its noise over more than this part of the curve. A choice.
FLAT = 0.25


@dataclass(frozen=True)
class Optimum:
    """The minimum of one curve.

    Attributes
    ----------
    log_norm, log_error : float
        ln(lam_opt) and ln(eps_opt).
    at_end, at_start : bool
        The curve is lowest at its last, or at its first records: it has no minimum inside.
    flat : bool
        It stays within its noise of the minimum over more than a quarter of its length.
    """

    log_norm: float
    log_error: float
    at_end: bool
    at_start: bool
    flat: bool


def neighbourhood(means: Sequence[MeanCurve]) -> float:
    """The rise of ln(error) within which minima are sought, the same for all curves.

    One for all, since a cubic that misses the shape then moves every minimum by the same factor,
    which leaves the exponents alone.
    """
    noise = float(np.median([np.sqrt(np.median(mean.variance)) for mean in means]))
    return min(max(PER_NOISE * noise, SMALLEST), LARGEST)


def optimum(log_norm: Array, error: Array, variance: Array, rise: float) -> Optimum:
    """The minimum of ln(error) against ln(norm), by cubics through its neighbourhood, eq. (S3).

    A neighbourhood is where the smoothed curve lies within a rise of its lowest point,
    neither side more than twice as long as the other. The place is the minimum of a cubic through
    the neighbourhood of `rise`; the depth is read off a second one, through that of a quarter of
    the rise, at that place.
    """
    x, y, end = log_norm, np.log(error), len(log_norm) - 1
    if end == 0:  # an error for each P and no curve: there is nothing to look for
        return Optimum(float(x[0]), float(y[0]), at_end=False, at_start=False, flat=False)
    ones = np.full(2 * HALF_WIDTH + 1, 1 / (2 * HALF_WIDTH + 1))
    smooth = np.convolve(np.pad(y, HALF_WIDTH, mode="edge"), ones, "valid")
    lowest = int(np.argmin(smooth))
    where = _lowest(_Cubic(*_near(x, y, smooth, lowest, rise)))
    depth = _Cubic(*_near(x, y, smooth, lowest, rise / 4)).clipped(where)
    within = x[smooth < depth + np.sqrt(variance[lowest])]
    return Optimum(
        log_norm=where,
        log_error=depth,
        at_end=bool(where >= x[end - HALF_WIDTH]),
        at_start=bool(where <= x[HALF_WIDTH]),
        flat=bool(len(within) and np.ptp(within) > FLAT * (x[end] - x[0])),
    )


def _near(x: Array, y: Array, smooth: Array, lowest: int, rise: float) -> tuple[Array, Array]:
    """The records in the neighbourhood of the lowest point: at least two on each side."""
    end = len(x) - 1
    above = np.flatnonzero(smooth > smooth[lowest] + rise)
    first = int(above[above < lowest].max(initial=-1)) + 1
    last = int(above[above > lowest].min(initial=end + 1)) - 1
    if first < lowest < last:
        # Grids are even: a record at exactly twice the distance is left out, whatever the rounding.
        reach = (2 - TIE) * min(x[lowest] - x[first], x[last] - x[lowest])
        first = max(first, int(np.searchsorted(x, x[lowest] - reach)))
        last = min(last, int(np.searchsorted(x, x[lowest] + reach, side="right")) - 1)
    first, last = min(first, max(lowest - HALF_WIDTH, 0)), max(last, min(lowest + HALF_WIDTH, end))
    return x[first : last + 1], y[first : last + 1]


class _Cubic:
    """Least squares through points by c0 + c1 z + c2 z^2 + c3 z^3, z from -1 to 1 across them."""

    def __init__(self, x: Array, y: Array):
        self.centre, self.half = (x[0] + x[-1]) / 2, (x[-1] - x[0]) / 2
        powers = np.vander((x - self.centre) / self.half, min(4, len(x) - 1), increasing=True)
        self.c = np.zeros(4)
        self.c[: powers.shape[1]] = np.linalg.lstsq(powers, y, rcond=None)[0]

    def at(self, z: float) -> float:
        c0, c1, c2, c3 = self.c.tolist()
        return ((c3 * z + c2) * z + c1) * z + c0

    def clipped(self, x: float) -> float:
        """The value at x, or at the nearer end of the points."""
        return self.at(min(max((x - self.centre) / self.half, -1.0), 1.0))


def _lowest(cubic: _Cubic) -> float:
    """Where the cubic is lowest among the points that it was fitted to."""
    _, c1, c2, c3 = cubic.c.tolist()
    places = [-1.0, 1.0]
    square = c2**2 - 3 * c1 * c3
    if square > 0 and c2 + square**0.5 != 0:
        # the root of c1 + 2 c2 z + 3 c3 z^2 at which the slope grows, without cancellation
        # where the cubic term is small
        turn = -c1 / (c2 + square**0.5)
        if abs(turn) < 1:
            places.append(turn)
    best = min(places, key=cubic.at)
    return float(cubic.centre + cubic.half * best)


def of_seeds(mean: MeanCurve, rise: float) -> tuple[float, float]:
    """Mean over the seeds of the ln(norm) of their own minima, and its standard error.

    Seeds whose error vanishes somewhere have no minimum in ln(error), and those that do not cover
    the curve may have theirs elsewhere: they are left out.
    """
    own = [
        optimum(mean.log_norm, error, mean.variance * mean.seeds, rise).log_norm
        for error in mean.members
        if np.all(error > 0)  # nan is not
    ]
    if not own:
        return float("nan"), float("nan")
    spread = float(np.std(own, ddof=1) / np.sqrt(len(own))) if len(own) > 1 else float("nan")
    return float(np.mean(own)), spread
