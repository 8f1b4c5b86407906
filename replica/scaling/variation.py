"""How much normalised curves differ between P, in units of what differs between seeds.

Every seed is put in units of its own point, so that seeds of equal P are independent draws at
each place whatever the normalisation did to the errors along a curve: an analysis of variance
with P as the group, eqs. (S11a) to (S11c).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from replica.scaling.averages import MeanCurve
from replica.scaling.distances import reached
from replica.scaling.optima import optimum
from replica.scaling.verdict import Between

__all__ = ["POINTS", "between", "seed_points"]

Array = NDArray[np.float64]

#: What a curve can be put in units of.
POINTS = ("optimum", "elbow", "end")
#: Places of u at which curves are compared: more than a curve has records, as a rule.
PLACES = 65
#: Seeds that a P needs to take part: of S, S - 1 are drawn, and two make a variance.
FEWEST_SEEDS = 3
#: Records that a minimum takes.
FEWEST_RECORDS = 5
#: A spread of ln(error) below this is rounding: ln(error) is at most a few hundred.
ROUNDING = 1e-12
#: The interval of the ratio: 95%.
TAILS = (0.025, 0.975)


def seed_points(
    mean: MeanCurve, at: str, log_lam: float, log_eps: float, *, rise: float
) -> tuple[Array, Array]:
    """The point of each seed's own curve, eq. (S11a).

    - "optimum": its own minimum, eq. (S3).
    - "elbow": the elbow of its P, moved by the shift in ln(norm) that best lays its curve on the
      mean; the error is that of its own minimum.
    - "end": its own error at the norm of the point of its P, the last record in common.

    Parameters
    ----------
    mean : MeanCurve
        Entries of `members` may be nan where a seed has no record.
    at : str
        One of these three.
    log_lam, log_eps : float
        ln(norm) and ln(error) of the point of the mean curve.
    rise : float
        The neighbourhood of minima, see `replica.scaling.optima.neighbourhood`.

    Returns
    -------
    log_lam, log_eps : (seeds,) array
        nan for a seed that has records on less than half of the grid, or whose error vanishes
        somewhere: it has no logarithm there.
    """
    x, template = mean.log_norm, np.log(mean.error)
    slope = np.gradient(template, x)
    own = np.full((2, len(mean.members)), np.nan)
    for row, error in enumerate(mean.members):
        there = np.isfinite(error)
        count = np.count_nonzero(there)
        if count < max(FEWEST_RECORDS, len(x) / 2) or np.any(error[there] <= 0):
            continue
        place, curve = x[there], np.log(error[there])
        if at == "end":
            if place[0] <= log_lam <= place[-1]:
                own[:, row] = log_lam, np.interp(log_lam, place, curve)
            continue
        variance = mean.variance[there] * mean.seeds
        lowest = optimum(place, error[there], variance, rise)
        own[:, row] = lowest.log_norm, lowest.log_error
        if at == "elbow":
            steepness = float(np.sum(slope[there] ** 2))
            along = float(np.sum((curve - template[there]) * slope[there]))
            own[0, row] = log_lam - (along / steepness if steepness > 0 else 0.0)
    return own[0], own[1]


def between(
    means: Sequence[MeanCurve],
    log_lam: Array,
    log_eps: Array,
    seeds: Sequence[tuple[Array, Array]] = (),
    rng: np.random.Generator | None = None,
    draws: int = 0,
) -> Between:
    """What differs between P beyond the noise, and between seeds: eqs. (S11b) and (S11c).

    Parameters
    ----------
    means : sequence of MeanCurve
        One for each P.
    log_lam, log_eps : (m,) array
        The point of each.
    seeds : sequence of two (seeds,) arrays
        The points of the seeds of each, from `seed_points`.
    rng, draws :
        For the interval of the ratio.

    Returns
    -------
    Between
        P with fewer than three seeds do not take part if two others do. Where fewer than two P
        have as many the mean curves are compared, with their pooled noise, eq. (S2), and only the
        residual is known.
    """
    if rng is not None:
        rows = [_rows(mean, *own) for mean, own in zip(means, seeds, strict=True)]
        full = [k for k, own in enumerate(rows) if len(own) >= FEWEST_SEEDS]
        if len(full) >= 2:
            return _with_seeds([rows[k] for k in full], [means[k] for k in full], rng, draws)
    shifts = zip(log_lam.tolist(), log_eps.tolist(), strict=True)
    curves = [
        (mean.log_norm - lam, np.log(mean.error) - eps)
        for mean, (lam, eps) in zip(means, shifts, strict=True)
    ]
    places = _Places([(x[0], x[-1]) for x, _ in curves])
    if not places.degrees:
        return Between(float("nan"))
    values, noise = np.zeros((2, *places.inside.shape))
    for k, ((x, y), mean) in enumerate(zip(curves, means, strict=True)):
        values[k] = places.values(k, x, y)
        noise[k] = places.noise(k, x, mean.variance)
    total = float(np.sum(places.apart(values) ** 2)) / places.degrees
    return Between(float(np.sqrt(max(total - float(np.sum(places.weight * noise)), 0.0))))


class _Places:
    """Places u that at least two P reach, and sums over them: eq. (S11b).

    Attributes
    ----------
    u : (n,) array
    inside : (m, n) array of bool
        Which P reach which place.
    curves : (n,) array
        How many do.
    degrees : int
        Degrees of freedom between P, summed over places; zero where no two P meet.
    weight : (m, n) array
        Part of the variance of a P at a place in the mean square between P.
    """

    def __init__(self, ranges: Sequence[tuple[float, float]]):
        shared = [(max(a[0], b[0]), min(a[1], b[1])) for a, b in itertools.combinations(ranges, 2)]
        shared = [(low, high) for low, high in shared if low < high]
        u = np.empty(0)
        if shared:
            u = np.linspace(min(s[0] for s in shared), max(s[1] for s in shared), PLACES)
        inside = np.zeros((len(ranges), len(u)), bool)
        for row, ends in enumerate(ranges):
            inside[row] = reached(np.array(ends), u)
        kept = np.count_nonzero(inside, axis=0) >= 2
        self.u, self.inside = u[kept], inside[:, kept]
        self.curves = np.count_nonzero(self.inside, axis=0)
        self.degrees = int(np.sum(self.curves - 1))
        self.weight = np.where(self.inside, 1 - 1 / self.curves, 0) / max(self.degrees, 1)

    def values(self, row: int, x: Array, y: Array) -> Array:
        """A curve at the places that its P reaches, and zero elsewhere."""
        return np.where(self.inside[row], np.interp(self.u, x, y), 0.0)

    def noise(self, row: int, x: Array, variance: Array) -> Array:
        """Variance of `values` for records with independent errors."""
        left = np.clip(np.searchsorted(x, self.u, side="right") - 1, 0, len(x) - 2)
        part = (self.u - x[left]) / (x[left + 1] - x[left])
        mixed = (1 - part) ** 2 * variance[left] + part**2 * variance[left + 1]
        return np.where(self.inside[row], mixed, 0.0)

    def apart(self, values: Array) -> Array:
        """Distance of each P from the mean over the P that reach the place."""
        return np.where(self.inside, values - values.sum(axis=0) / self.curves, 0.0)


def _rows(mean: MeanCurve, log_lam: Array, log_eps: Array) -> list[tuple[Array, Array]]:
    """U and v of every seed that has a point."""
    rows = []
    for error, lam, eps in zip(mean.members, log_lam.tolist(), log_eps.tolist(), strict=True):
        if np.isfinite(lam):
            there = np.isfinite(error)
            rows.append((mean.log_norm[there] - lam, np.log(error[there]) - eps))
    return rows


def _with_seeds(
    rows: Sequence[Sequence[tuple[Array, Array]]],
    means: Sequence[MeanCurve],
    rng: np.random.Generator,
    draws: int,
) -> Between:
    """Mean squares between and within P, and the interval of their ratio."""
    places = _Places([(max(u[0] for u, _ in r), min(u[-1] for u, _ in r)) for r in rows])
    if not places.degrees:
        return Between(float("nan"))
    seeds = [np.array([places.values(k, *own) for own in r]) for k, r in enumerate(rows)]
    middle = np.array([own.mean(axis=0) for own in seeds])
    variance = np.array([own.var(axis=0, ddof=1) for own in seeds])
    counts = np.array([len(own) for own in seeds])
    apart = places.apart(middle)
    total = float(np.sum(apart**2)) / places.degrees
    within = float(np.sum(places.weight * variance))
    noise = float(np.sum(places.weight * variance / counts[:, None]))
    residual, spread = float(np.sqrt(max(total - noise, 0.0))), float(np.sqrt(within))
    if spread < ROUNDING:
        return Between(residual, spread=0.0)
    # Of every draw: the mean square of the noise of the means, its product with what was
    # observed, and the variance within P.
    square, cross, drawn = np.zeros((3, draws))
    together = np.zeros((draws, len(places.u)))
    for k, own in enumerate(seeds):
        size, rest = len(own) - 1, own - middle[k]
        times = rng.multinomial(size, np.full(len(own), 1 / len(own)), size=draws)
        shift = times @ rest / size
        # unbiased for `variance`: draws of a sample have (S - 1)/S of its variance
        scale = size / (size - 1) * len(own) / size
        drawn += scale * ((times @ rest**2) / size - shift**2) @ places.weight[k]
        square += np.sum(shift**2, axis=1)
        cross += shift @ apart[k]
        together += shift
    square = (square - np.sum(together**2 / places.curves, axis=1)) / places.degrees
    cross /= places.degrees
    # The factor c on what was observed at which c^2 total + 2 c cross + square, over the drawn
    # variance, is what it was: eq. (S11c).
    room = total * drawn / within - square
    root = np.sqrt(np.maximum(cross**2 + total * room, 0.0))
    factor = np.where((room > 0) & (total > 0), (root - cross) / max(total, ROUNDING**2), 0.0)
    low, high = np.quantile(factor * np.sqrt(total / within), TAILS).tolist()
    return Between(
        residual=residual,
        spread=spread,
        ratio=residual / spread,
        low=low,
        high=high,
        unresolved=_unresolved(places, rows, means),
    )


def _unresolved(
    places: _Places, rows: Sequence[Sequence[tuple[Array, Array]]], means: Sequence[MeanCurve]
) -> float:
    """Rms of what linear interpolation may be wrong by, onto the grid and from it.

    Each is at most a quarter of the distance of a record from the chord of its neighbours.
    """
    sag = np.zeros(places.inside.shape)
    for k, (own, mean) in enumerate(zip(rows, means, strict=True)):
        x, y = mean.log_norm, np.log(mean.error)
        chord = y[:-2] + (y[2:] - y[:-2]) * (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
        shift = np.mean([u[0] for u, _ in own]) - x[0]
        sag[k] = places.values(k, x[1:-1] + shift, np.abs(y[1:-1] - chord) / 2)
    return float(np.sqrt(np.sum(places.weight * sag**2)))
