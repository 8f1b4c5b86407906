"""Averages over seeds at equal norm, and the noise that is left in them.

Seeds reach a given norm at different times, so curves are averaged as functions of
ln(norm), by linear interpolation, each over its own range.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from replica.common.arguments import InvalidArgument
from replica.common.compiled import kernel

__all__ = [
    "FEWEST_RECORDS",
    "NARROWEST",
    "MeanCurve",
    "Members",
    "Seed",
    "average",
    "average_again",
    "common_grid",
    "drawn",
    "mean_of",
    "noise_of",
    "on_grid",
    "per_count",
]

Array = NDArray[np.float64]

#: Relative noise below which curves count as exact (curves of the theory): a choice.
EXACT = 1e-6
#: Smoothing over five records, and roughness from four neighbours, take as many.
FEWEST_RECORDS = 5
#: A curve has to cover more than this of its ln(norm), or of 1 if that is larger: seven digits are
#: then left of the distances between its records.
NARROWEST = 1e-9
#: A smaller mean error is no count of wrong answers; the square of this one is still a float.
SMALLEST_ERROR = 1e-100

#: Name, ln(norm) and error of one curve.
Seed = tuple[Hashable, Array, Array]


@dataclass(frozen=True)
class MeanCurve:
    """The learning curve of one P, averaged over seeds at equal norm.

    Attributes
    ----------
    P : float
        Number of training examples.
    log_norm : (n,) array
        Grid of ln(norm), increasing.
    error : (n,) array
        Mean test error.
    members : (seeds, n) array
        Test error of each seed on the grid, nan beyond its own range; one row where the curve
        came averaged.
    variance : (n,) array
        Variance of ln(error) of the mean, from the pooled noise of all curves.
    level : (seeds,) array
        Error of each seed over that of the mean curve, 1 on average; 1 for all where every seed
        covers the whole grid.
    noise : (2,) array
        The terms a and b of the noise of one seed, eq. (S2).
    """

    P: float
    log_norm: Array
    error: Array
    members: Array
    variance: Array
    level: Array
    noise: Array

    @property
    def seeds(self) -> int:
        """How many seeds were averaged here; 1 where the curve came averaged."""
        return len(self.members)


class Members(Protocol):
    """The curves of several P: `Curves`, or those that take part."""

    @property
    def P(self) -> Array:
        """The distinct P, ascending."""

    @property
    def quantity(self) -> str:
        """What the curves are of."""

    def of(self, P: float) -> list[Seed]:
        """The curves of one P."""


def average(curves: Members) -> tuple[MeanCurve, ...]:
    """The mean curve of every P on a grid in ln(norm), eq. (S1), and the variance of its logarithm.

    Each seed counts over its own range; the grid is what two thirds of them reach.
    The noise is pooled over all curves, eq. (S2): a seed-to-seed spread and the binomial noise of a
    finite test set, from the scatter of seeds or, where curves came averaged, from their
    roughness.

    Raises
    ------
    ValueError
        If a curve has too few records, or its test error vanishes on the whole set of seeds.
    """
    grids = [_members(P, curves.of(P)) for P in curves.P.tolist()]
    bare = [_curve(P, *grid) for P, grid in zip(curves.P.tolist(), grids, strict=True)]
    scatter = [_roughness(x, e[0]) if len(e) == 1 else _scatter(e) for x, e in grids]
    noise = noise_of([mean.error for mean in bare], scatter, curves.quantity)
    return tuple(_with_noise(mean, noise, curves.quantity) for mean in bare)


def average_again(mean: MeanCurve, seeds: Sequence[Seed], quantity: str) -> MeanCurve | None:
    """The mean curve of the same P over other seeds, its noise as it was; None if it has none."""
    try:
        curve = _curve(mean.P, *_members(mean.P, seeds))
    except ValueError:
        return None
    return _with_noise(curve, mean.noise, quantity)


def _curve(P: float, x: Array, members: Array) -> MeanCurve:
    """A mean curve whose noise is not known yet."""
    level = _levels(members)
    error = mean_of(members, level)
    _refuse_nothing(P, error)
    return MeanCurve(P, x, error, members, np.zeros_like(error), level, np.zeros(2))


def _with_noise(mean: MeanCurve, noise: Array, quantity: str) -> MeanCurve:
    present = np.count_nonzero(np.isfinite(mean.members), axis=0)
    variance = (noise[0] + noise[1] * per_count(mean.error, quantity)) / present
    return replace(mean, variance=np.maximum(variance, EXACT**2), noise=noise)


def drawn(mean: MeanCurve, rng: np.random.Generator) -> MeanCurve:
    """The same curve averaged over S - 1 of its S seeds, drawn with replacement.

    Where none of them has records it is the mean curve itself, at their level. (To draw again would
    leave out those draws that hold the most of the variance.)
    """
    index = rng.integers(0, mean.seeds, max(mean.seeds - 1, 1))
    error = _mean_of_drawn(mean.members, mean.level, index, mean.error)
    return replace(mean, error=error, members=mean.members[index], level=mean.level[index])


@kernel(error_model="numpy")
def _mean_of_drawn(members, level, index, error):
    """`mean_of` some of the seeds; ``error``, at their level, where none of them has records."""
    total, levels = np.zeros(members.shape[1]), np.zeros(members.shape[1])
    all_levels = 0.0
    for k in index:
        all_levels += level[k]
        for i in range(members.shape[1]):
            if np.isfinite(members[k, i]):
                total[i] += members[k, i]
                levels[i] += level[k]
    for i in range(members.shape[1]):
        whole = total[i] / levels[i] if levels[i] > 0 else error[i]
        total[i] = whole * (all_levels / len(index))
    return total


def mean_of(members: Array, level: Array) -> Array:
    """Mean over the seeds that are there, each in units of its level, eq. (S1)."""
    there = np.isfinite(members)
    if there.all():
        return np.asarray(members.mean(axis=0))
    total = np.where(there, members, 0.0).sum(axis=0)
    return np.asarray(total / (there * level[:, None]).sum(axis=0) * level.mean())


def _levels(members: Array) -> Array:
    """Each seed's level: its error over that of the mean curve where it has records; 1 on average.

    The two are found in turn; four rounds settle them to the square of a seed's noise.
    """
    level = np.ones(len(members))
    if np.isfinite(members).all():
        return level
    there = np.isfinite(members)
    for _ in range(4):
        mean = mean_of(members, level)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(there & (mean > 0), members / mean, np.nan)
        count = np.isfinite(ratio).sum(axis=1)
        total = np.where(np.isfinite(ratio), ratio, 0.0).sum(axis=1)
        level = np.where(count > 0, total / np.maximum(count, 1), 1.0)
        level = np.maximum(level, 1e-3) / max(float(level.mean()), 1e-3)
    return level


def per_count(error: Array, quantity: str) -> Array:
    """The term of eq. (S2) that counts give: of an error rate, or of a positive quantity."""
    with np.errstate(divide="ignore"):
        return np.asarray(((1 - error) if quantity == "test_error" else 1.0) / error)


def common_grid(seeds: Sequence[Seed]) -> Array:
    """ln(norm) where at least two thirds of the seeds have records, and at least two of several."""
    first = np.sort([x[0] for _, x, _ in seeds])
    last = np.sort([x[-1] for _, x, _ in seeds])[::-1]
    need = max((2 * len(seeds) + 2) // 3, min(2, len(seeds)))
    low, high = float(first[need - 1]), float(last[need - 1])
    density = []
    for _, x, _ in seeds:
        inside = x[(x >= low) & (x <= high)]
        if len(inside) > 1:
            length = min(high, x[-1]) - max(low, x[0])
            # the ratio first: it is 1 exactly for a seed that covers the grid, in any units
            density.append(len(inside) * ((high - low) / length))
    return np.linspace(low, high, max(FEWEST_RECORDS, int(np.median(density or [0]))))


def on_grid(x: Array, seeds: Sequence[Seed]) -> Array:
    """The errors (seeds, n) on a grid; nan beyond each seed's own range."""
    return np.array([np.interp(x, own, e, left=np.nan, right=np.nan) for _, own, e in seeds])


def _members(P: float, seeds: Sequence[Seed]) -> tuple[Array, Array]:
    """Grid of ln(norm) for one P, and each seed's test error there."""
    if all(len(x) == 1 for _, x, _ in seeds):  # an error for each P, no curve
        return seeds[0][1], np.array([error for _, _, error in seeds])
    for name, x, _ in seeds:
        whose = f"P = {P:g}" if name is None else f"P = {P:g}, seed {name}"
        if x[-1] - x[0] <= NARROWEST * max(1.0, abs(x[0]), abs(x[-1])):
            raise ValueError(
                f"the norm of {whose} hardly changes: ln(norm) goes from {x[0]:.17g} to "
                f"{x[-1]:.17g}; a learning curve needs a norm that grows"
            )
        if len(x) < FEWEST_RECORDS:
            raise ValueError(
                f"a learning curve needs at least {FEWEST_RECORDS} records at increasing norm; "
                f"{whose} has {len(x)}"
            )
    if len(seeds) == 1:
        return seeds[0][1], seeds[0][2][None, :]
    x = common_grid(seeds)
    if not x[-1] > x[0]:
        raise ValueError(
            f"the seeds of P = {P:g} have no range of the norm in common: a third of them ends, "
            f"at ln(norm) = {x[-1]:.4g}, before a third of them begins, at {x[0]:.4g}"
        )
    return x, on_grid(x, seeds)


def _refuse_nothing(P: float, error: Array) -> None:
    """Refuse a mean curve without a logarithm."""
    if np.any(error <= 0):
        raise InvalidArgument(
            "test_error",
            f"of P = {P:g} is 0 for every seed at some norm, and has no logarithm there: a "
            "larger test set is needed to follow a power law that far",
        )
    if error.min() < SMALLEST_ERROR:
        raise InvalidArgument(
            "test_error",
            f"of P = {P:g} must be at least {SMALLEST_ERROR:g}, on average over the seeds",
            f"{error.min():g}",
        )


def _scatter(members: Array) -> Array:
    """Squared relative spread of the seeds at each norm; nan where there is one."""
    count = np.count_nonzero(np.isfinite(members), axis=0)
    mean = np.nanmean(members, axis=0)
    square = np.nansum((members - mean) ** 2, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(count > 1, square / (count - 1) / mean**2, np.nan))


def _roughness(x: Array, error: Array) -> Array:
    """Squared relative distance of each record from a cubic through its four neighbours.

    Normalised so that white noise of variance v gives v on average; the ends repeat the
    nearest value. nan for fewer than five records.
    """
    if len(x) < 5:
        return np.full(len(x), np.nan)
    near = np.stack([x[:-4], x[1:-3], x[3:-1], x[4:]])
    values = np.stack([error[:-4], error[1:-3], error[3:-1], error[4:]])
    centre = x[2:-2]
    weights = np.ones_like(near)
    for i in range(4):  # Lagrange's basis
        for j in range(4):
            if i != j:
                weights[i] *= (centre - near[j]) / (near[i] - near[j])
    distance = error[2:-2] - np.sum(weights * values, axis=0)
    square = distance**2 / (1 + np.sum(weights**2, axis=0)) / error[2:-2] ** 2
    return np.pad(square, 2, mode="edge")


def noise_of(errors: Sequence[Array], scatter: Sequence[Array], quantity: str) -> Array:
    """The two terms of eq. (S2), by least squares of relative distances, reweighted."""
    error, seen = np.concatenate(errors), np.concatenate(scatter)
    known = np.isfinite(seen)
    error, seen = error[known], seen[known]
    if len(seen) == 0:
        return np.zeros(2)
    terms = np.stack([np.ones_like(error), per_count(error, quantity)], axis=1)
    model = np.full(len(seen), max(float(seen.mean()), EXACT**2))
    noise = np.zeros(2)
    for _ in range(4):  # the weights settle to a percent in three rounds
        noise, _ = nnls(terms / model[:, None], seen / model)
        model = np.maximum(terms @ noise, EXACT**2)
    return noise
