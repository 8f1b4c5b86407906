"""Averages over seeds at equal norm, and the noise that is left in them.

Seeds reach a given norm at different times, so curves are averaged as functions of
ln(norm), by linear interpolation, over the range that all seeds of that P cover.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from replica.common.arguments import InvalidArgument
from replica.scaling.curves import Curves
from replica.scaling.records import MeanCurve

__all__ = ["average", "with_members"]

Array = NDArray[np.float64]

#: Relative noise below which curves count as exact (curves of the theory): a choice.
EXACT = 1e-6
#: A curve shorter than this has no early law, elbow and minimum to tell apart: a choice.
FEWEST_RECORDS = 8
#: A curve has to cover more than this of its ln(norm), or of 1 if that is larger: seven digits are
#: then left of the distances between its records.
NARROWEST = 1e-9
#: A smaller mean error is no count of wrong answers; the square of this one is still a float.
SMALLEST_ERROR = 1e-100


def average(curves: Curves) -> tuple[MeanCurve, ...]:
    """The mean curve of every P on a grid in ln(norm), with the variance of its logarithm.

    The grid has as many points as a seed has records there. The noise is pooled over all
    curves, eq. (S2): var ln(error) = a + b (1 - error)/error, a seed-to-seed spread and
    the binomial noise of a finite test set; a and b from the scatter of seeds or, where
    curves came averaged, from their roughness.

    Raises
    ------
    ValueError
        If a curve has too few records, or its seeds share too little of their range, or its
        test error vanishes on the whole set of seeds.
    """
    grids = [_grid(P, curves.of(P)) for P in curves.P.tolist()]
    scatter = [_roughness(x, e[0]) if len(e) == 1 else _scatter(e) for x, e in grids]
    noise = _pooled([e.mean(axis=0) for _, e in grids], scatter)
    means = []
    for P, (x, members) in zip(curves.P.tolist(), grids, strict=True):
        error = members.mean(axis=0)
        variance = noise[0] + noise[1] * (1 - error) / error
        means.append(MeanCurve(P, x, error, members, np.maximum(variance / len(members), EXACT**2)))
    return tuple(means)


def with_members(mean: MeanCurve, index: NDArray[np.intp]) -> MeanCurve:
    """The same curve averaged over other seeds, given by their rows."""
    members = mean.members[index]
    return MeanCurve(mean.P, mean.log_norm, members.mean(axis=0), members, mean.variance)


def _grid(P: float, seeds: Sequence[tuple[object, Array, Array]]) -> tuple[Array, Array]:
    """Grid of ln(norm) common to the seeds, and each seed's test error there."""
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
        x, members = seeds[0][1], seeds[0][2][None, :]
    else:
        low, high = max(x[0] for _, x, _ in seeds), min(x[-1] for _, x, _ in seeds)
        if high - low < 0.5 * float(np.median([x[-1] - x[0] for _, x, _ in seeds])):
            first = max(seeds, key=lambda seed: seed[1][0])
            last = min(seeds, key=lambda seed: seed[1][-1])
            raise ValueError(
                f"the seeds of P = {P:g} share less than half of their range of the norm: seed "
                f"{first[0]} begins at ln(norm) = {low:.4g} and seed {last[0]} ends at {high:.4g}; "
                "leave out a seed that was cut short"
            )
        inside = [np.count_nonzero((x >= low) & (x <= high)) for _, x, _ in seeds]
        x = np.linspace(low, high, max(FEWEST_RECORDS, int(np.median(inside))))
        members = np.array([np.interp(x, own, error) for _, own, error in seeds])
    if np.any(members.mean(axis=0) <= 0):
        raise InvalidArgument(
            "test_error",
            f"of P = {P:g} is 0 for every seed at some norm, and has no logarithm there: a "
            "larger test set is needed to follow a power law that far",
        )
    lowest = float(members.mean(axis=0).min())
    if lowest < SMALLEST_ERROR:
        raise InvalidArgument(
            "test_error",
            f"of P = {P:g} must be at least {SMALLEST_ERROR:g}, on average over the seeds",
            f"{lowest:g}",
        )
    return x, members


def _scatter(members: Array) -> Array:
    """Squared relative spread of the seeds at each norm."""
    return np.asarray(members.var(axis=0, ddof=1) / members.mean(axis=0) ** 2)


def _roughness(x: Array, error: Array) -> Array:
    """Squared relative distance of each record from a cubic through its four neighbours.

    Normalised so that white noise of variance v gives v on average; the ends repeat the
    nearest value.
    """
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


def _pooled(errors: Sequence[Array], scatter: Sequence[Array]) -> Array:
    """The two terms of eq. (S2), by least squares of relative distances, reweighted."""
    error, seen = np.concatenate(errors), np.concatenate(scatter)
    terms = np.stack([np.ones_like(error), (1 - error) / error], axis=1)
    model = np.full(len(seen), max(float(seen.mean()), EXACT**2))
    noise = np.zeros(2)
    for _ in range(4):  # the weights settle to a percent in three rounds
        noise, _ = nnls(terms / model[:, None], seen / model)
        model = np.maximum(terms @ noise, EXACT**2)
    return noise
