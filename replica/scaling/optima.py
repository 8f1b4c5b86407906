"""The minimum of a learning curve: where, how deep, and whether it is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replica.common.compiled import kernel
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
    if len(log_norm) == 1:  # an error for each P and no curve: there is nothing to look for
        x, y = float(log_norm[0]), float(np.log(error[0]))
        return Optimum(x, y, at_end=False, at_start=False, flat=False)
    return Optimum(*_read(log_norm, np.log(error), variance, rise))


@kernel(error_model="numpy")
def _read(x, y, variance, rise):
    """The columns of an `Optimum`."""
    end = len(x) - 1
    smooth = np.empty(len(x))
    for i in range(len(x)):
        total = 0.0
        for k in range(i - HALF_WIDTH, i + HALF_WIDTH + 1):
            total += y[min(max(k, 0), end)]
        smooth[i] = total / (2 * HALF_WIDTH + 1)
    lowest = 0
    for i in range(len(x)):
        if smooth[i] < smooth[lowest]:
            lowest = i
    first, last = _near(x, smooth, lowest, rise)
    c = np.empty(4)
    where = _lowest(x, y, first, last, c)
    first, last = _near(x, smooth, lowest, rise / 4)
    centre, half = _cubic(x, y, first, last, c)
    depth = _at(c, min(max((where - centre) / half, -1.0), 1.0))
    limit = depth + np.sqrt(variance[lowest])
    left, right = np.inf, -np.inf
    for i in range(len(x)):
        if smooth[i] < limit:
            left, right = min(left, x[i]), max(right, x[i])
    return (
        where,
        depth,
        where >= x[max(end - HALF_WIDTH, 0)],
        where <= x[min(HALF_WIDTH, end)],
        right - left > FLAT * (x[end] - x[0]),
    )


@kernel(error_model="numpy")
def _near(x, smooth, lowest, rise):
    """First and last record in the neighbourhood of the lowest: at least two on each side."""
    end = len(x) - 1
    first, last = 0, end
    for i in range(lowest):
        if smooth[i] > smooth[lowest] + rise:
            first = i + 1
    for i in range(end, lowest, -1):
        if smooth[i] > smooth[lowest] + rise:
            last = i - 1
    if first < lowest < last:
        # Grids are even: a record at exactly twice the distance is left out, whatever the rounding.
        reach = (2 - TIE) * min(x[lowest] - x[first], x[last] - x[lowest])
        while x[first] < x[lowest] - reach:
            first += 1
        while x[last] > x[lowest] + reach:
            last -= 1
    return (
        min(first, max(lowest - HALF_WIDTH, 0)),
        max(last, min(lowest + HALF_WIDTH, end)),
    )


@kernel(error_model="numpy")
def _cubic(x, y, first, last, c):
    """Least squares by c0 + c1 z + c2 z^2 + c3 z^3, z from -1 to 1 across the records.

    Gram-Schmidt on the columns with y as the last one, which is as good as Householder's
    reflections (Bjorck, BIT 7, 1967). Few points get a polynomial of lower degree.
    """
    n = last - first + 1
    count = min(4, n - 1)
    centre, half = (x[first] + x[last]) / 2, (x[last] - x[first]) / 2
    columns = np.empty((count + 1, n))
    for i in range(n):
        columns[0, i] = 1.0
        for k in range(1, count):
            columns[k, i] = columns[k - 1, i] * ((x[first + i] - centre) / half)
        columns[count, i] = y[first + i]
    R = np.zeros((count, count + 1))
    for k in range(count):
        size = 0.0
        for i in range(n):
            size += columns[k, i] * columns[k, i]
        R[k, k] = np.sqrt(size)
        for m in range(k + 1, count + 1):
            product = 0.0
            for i in range(n):
                product += columns[k, i] * columns[m, i]
            for i in range(n):
                columns[m, i] -= product / size * columns[k, i]
            R[k, m] = product / R[k, k]
    for k in range(4):
        c[k] = 0.0
    for k in range(count - 1, -1, -1):
        c[k] = R[k, count]
        for m in range(k + 1, count):
            c[k] -= R[k, m] * c[m]
        c[k] /= R[k, k]
    return centre, half


@kernel(error_model="numpy")
def _at(c, z):
    return ((c[3] * z + c[2]) * z + c[1]) * z + c[0]


@kernel(error_model="numpy")
def _lowest(x, y, first, last, c):
    """Where the cubic through the records is lowest among them."""
    centre, half = _cubic(x, y, first, last, c)
    best = -1.0
    if _at(c, 1.0) < _at(c, best):
        best = 1.0
    square = c[2] * c[2] - 3 * c[1] * c[3]
    if square > 0 and c[2] + np.sqrt(square) != 0:
        # the root of c1 + 2 c2 z + 3 c3 z^2 at which the slope grows, without cancellation
        # where the cubic term is small
        turn = -c[1] / (c[2] + np.sqrt(square))
        if abs(turn) < 1 and _at(c, turn) < _at(c, best):
            best = turn
    return centre + half * best


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
