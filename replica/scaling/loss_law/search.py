"""The best law, and profiles of it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, least_squares

from replica.scaling.loss_law.surface import Runs

__all__ = ["END_OF", "Objective", "end", "search"]

Array = NDArray[np.float64]

#: Exponents that are looked at: below the first a term is a logarithm over any range of runs,
#: above the last it is gone within a factor 10.
EXPONENTS = np.geomspace(0.02, 3.0, 24)
#: Basins of the scan that are followed to their bottom: a choice.
STARTS = 3
#: Beyond these an exponent is not told from 0 or from infinity.
SMALLEST, LARGEST = 1e-3, 30.0
#: A term that is e^-30 of the least loss is rounding.
ABSENT = 30.0
#: A start with a term of e^-8 of the least loss: from there it can still come back.
FAINT = 8.0
#: A start lies this far inside its bounds, as the method asks.
INSIDE = 1e-9
#: Convergence of least squares, as part of the sum, of the parameters and of the slope.
STOP = 1e-12
#: Twenty steps are usual, a hundred with Huber's corners.
EVALUATIONS = 200
#: The ends of an interval are known to this part of a standard error.
END = 1e-3
#: Each step away from the estimate is so many times the one before, until the profile is high.
STRIDE = 1.5
#: Names of the parameters with profiles, the value at each end of what they may be.
END_OF = {"E": (0.0, np.inf), "alpha": (0.0, np.inf), "beta": (0.0, np.inf), "a": (0.0, 1.0)}


@dataclass(frozen=True)
class Objective:
    """Twice the sum of rho(residual): squares, or Huber's loss with corners at +-delta."""

    runs: Runs
    delta: float | None = None

    def value(self, p: Array) -> float:
        """The objective at parameters p."""
        r = np.abs(self.runs.residuals(p))
        inner = r if self.delta is None else np.minimum(r, self.delta)
        return float(inner @ (2 * r - inner))

    def lowest(self, start: Array, turn: Array, shift: Array) -> Array:
        """The least over z of the objective at p = turn z + shift, from a start p."""
        low, high = _bounds(self.runs)
        rows = np.argmax(turn != 0, axis=0)  # each z is one of the p
        low, high = low[rows], high[rows]
        z = np.clip(start[rows], low + INSIDE, high - INSIDE)
        # In units of delta the sum is of order one: no tolerance is met by accident.
        unit = self.delta or 1.0

        def residuals(z: Array) -> Array:
            return self.runs.residuals(turn @ z + shift) / unit

        def slopes(z: Array) -> Array:
            return self.runs.slopes(turn @ z + shift) @ turn / unit

        found = least_squares(
            residuals,
            z,
            jac=slopes,
            bounds=(low, high),
            loss="linear" if self.delta is None else "huber",
            x_scale="jac",
            ftol=STOP,
            xtol=STOP,
            gtol=STOP,
            max_nfev=EVALUATIONS,
        )
        return np.asarray(turn @ found.x + shift)

    def nearest(self, start: Array) -> Array:
        """The minimum next to some parameters."""
        return self.lowest(start, np.eye(5), np.zeros(5))


def _bounds(runs: Runs) -> tuple[Array, Array]:
    """What the parameters may be."""
    gone, most = runs.log_L.min() - ABSENT, runs.log_L.max() + ABSENT
    return (
        np.array([gone, gone, gone, SMALLEST, SMALLEST]),
        np.array([runs.log_L.max(), most, most, LARGEST, LARGEST]),
    )


def search(objective: Objective) -> Array:
    """The best law of all: a scan of both exponents, then descents from the best of it."""
    return min(map(objective.nearest, _scan(objective.runs)), key=objective.value)


def _scan(runs: Runs) -> list[Array]:
    """Starts: at fixed exponents the law is linear in its three sizes, eq. (S21).

    ln L - ln f is (L - f)/L to first order, so that these are weighted linear least squares with
    sizes that may not be negative: the best of the seven subsets of terms.
    """
    alpha, beta = (grid.ravel() for grid in np.meshgrid(EXPONENTS, EXPONENTS, indexing="ij"))
    powers = [
        np.zeros((len(alpha), len(runs.u))),
        -alpha[:, None] * runs.u,
        -beta[:, None] * runs.v,
    ]
    terms = np.exp(np.stack(powers, axis=2) - (runs.log_L + np.log(runs.error))[:, None])
    scale = np.linalg.norm(terms, axis=1)
    terms = terms / scale[:, None]
    gram = np.swapaxes(terms, 1, 2) @ terms
    target = np.einsum("knj,n->kj", terms, 1 / runs.error)
    least, sizes = np.full(len(alpha), np.inf), np.zeros((len(alpha), 3))
    for rows in itertools.chain.from_iterable(
        itertools.combinations(range(3), k) for k in (1, 2, 3)
    ):
        part = list(rows)
        # Terms that are alike leave a singular matrix; the ridge is rounding.
        inner = gram[:, part][:, :, part] + 1e-12 * np.eye(len(part))
        size = np.linalg.solve(inner, target[:, part, None])[..., 0]
        value = -np.einsum("ki,ki->k", size, target[:, part])
        better = np.all(size >= 0, axis=1) & (value < least)
        least = np.where(better, value, least)
        sizes[better] = 0.0
        sizes[np.ix_(better, part)] = size[better]
    square = np.pad(least.reshape(len(EXPONENTS), -1), 1, constant_values=np.inf)
    around = np.lib.stride_tricks.sliding_window_view(square, (3, 3)).min(axis=(2, 3)).ravel()
    basins = np.flatnonzero(least <= around)
    basins = basins[np.argsort(least[basins], kind="stable")[:STARTS]]
    floor = np.exp(runs.log_L.min() - FAINT)
    sizes = np.log(np.maximum(sizes / scale, floor))
    return [np.array([*sizes[row], alpha[row], beta[row]]) for row in basins]


def end(
    objective: Objective, best: Array, name: str, limit: float, error: float, side: int
) -> float:
    """Where the profile of a parameter crosses a limit; the end of what it may be, if never."""
    place, edges = _place(name, best, objective.runs)
    known = {place: best}

    def rise(there: float) -> float:
        near = known[min(known, key=lambda seen: abs(seen - there))]
        known[there] = objective.lowest(near, *_pinned(name, there))
        return objective.value(known[there]) - limit

    error = error if 0 < error < 1 else 1.0
    stride = error
    edge = edges[0] if side < 0 else edges[1]
    while True:
        beyond = place + side * stride
        if side * (beyond - edge) >= 0:
            if rise(edge) <= 0:
                return END_OF[name][0 if side < 0 else 1]
            beyond = edge
            break
        if rise(beyond) > 0:
            break
        place, stride = beyond, stride * STRIDE
    root = float(brentq(rise, place, beyond, xtol=END * error, rtol=1e-12))
    return float(np.exp(root)) if name != "a" else float(1 / (1 + np.exp(-root)))


def _place(name: str, p: Array, runs: Runs) -> tuple[float, tuple[float, float]]:
    """The logarithm of a parameter (of a/(1 - a)), and what it may be."""
    low, high = _bounds(runs)
    if name == "E":
        return float(p[0]), (float(low[0]), float(high[0]))
    whole = float(np.log(LARGEST / SMALLEST))
    if name == "a":
        return float(np.log(p[4] / p[3])), (-whole / 2, whole / 2)
    return float(np.log(p[3 if name == "alpha" else 4])), (np.log(SMALLEST), np.log(LARGEST))


def _pinned(name: str, place: float) -> tuple[Array, Array]:
    """The p at which a parameter has a value: turn z + shift, with four free z."""
    row = {"E": 0, "alpha": 3, "beta": 4, "a": 4}[name]
    turn, shift = np.delete(np.eye(5), row, axis=1), np.zeros(5)
    if name == "a":
        turn[4, 3] = np.exp(place)  # beta = alpha a/(1 - a)
    else:
        shift[row] = place if name == "E" else np.exp(place)
    return turn, shift
