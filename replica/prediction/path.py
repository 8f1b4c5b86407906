"""The whole path of penalties, its best point, and points between: for several P at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from replica.prediction.penalised import TOLERANCE, Penalised, Trained, solve_penalised
from replica.prediction.spectral import SpectralFunctions
from replica.solver import newton

__all__ = ["Best", "Path"]

Array = NDArray[np.float64]

#: Columns of what is interpolated between points of a path beside the five unknowns.
UNKNOWNS = 5


@dataclass(frozen=True)
class Best:
    """Where the error is least; (n,) arrays, nan where there is no path.

    Attributes
    ----------
    error, C, norm : arrays
        There.
    at_edge : array of bool
        Whether that is an end of the path.
    cut : array of bool
        Whether it is the end because the sample knows of no smaller nu.
    """

    error: Array
    C: Array
    norm: Array
    at_edge: NDArray[np.bool_]
    cut: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Path:
    """Minimisers at penalties 1/C, C rising.

    Attributes
    ----------
    systems : Penalised
        n of them.
    log_c : (J,) array
        log C.
    log_error, log_norm : (n, J) arrays
        nan beyond the range of the sample.
    unknowns : (n, J, 5) array
    """

    systems: Penalised
    log_c: Array
    log_error: Array
    log_norm: Array
    unknowns: Array

    @classmethod
    def along(
        cls, functions: SpectralFunctions, positive: float, count: Array, shift: Array, C: Array
    ) -> Path:
        """Of systems with ``count`` examples, a and b moved by ``shift``, at rising ``C``."""
        systems = Penalised(functions, positive, count, shift)
        found = solve_penalised(systems, 1 / C)
        with np.errstate(divide="ignore", invalid="ignore"):
            return cls(
                systems,
                np.log(C),
                np.log(np.stack([t.error for t in found], axis=1)),
                np.log(np.stack([t.norm for t in found], axis=1)),
                np.stack([t.unknowns for t in found], axis=1),
            )

    def at(self, log_c: Array) -> Trained:
        """At (n, k) other penalties within the path, each refined from its neighbours."""
        n, k = log_c.shape
        start = np.full((n, k, UNKNOWNS), np.nan)
        for i in range(n):
            good = np.isfinite(self.log_error[i])
            if good.sum() > 1:
                start[i] = PchipInterpolator(
                    self.log_c[good], self.unknowns[i, good], extrapolate=False
                )(log_c[i])
        which = np.repeat(np.arange(n), k)
        systems = self.systems.select(which)
        penalty = np.exp(-log_c.ravel())
        flat = start.reshape(n * k, UNKNOWNS)
        root = newton(systems.system(penalty), flat, TOLERANCE)
        return systems.read(np.where(root.converged[:, None], root.unknowns, np.nan))

    def log_c_of_norm(self, norm: Array) -> Array:
        """The log C that leaves each of the norms (k,), (n, k); nan where none on the path does."""
        out = np.full((len(self.log_error), len(norm)), np.nan)
        for i, (path, error) in enumerate(zip(self.log_norm, self.log_error, strict=True)):
            good = np.isfinite(error)
            if good.sum() > 1 and np.all(np.diff(path[good]) > 0):
                curve = PchipInterpolator(path[good], self.log_c[good], extrapolate=False)
                out[i] = curve(np.log(norm))
        return out

    def best(self) -> Best:
        """The least error: the vertex of a parabola through the three lowest points, refined."""
        n, points = self.log_error.shape
        filled = np.where(np.isfinite(self.log_error), self.log_error, np.inf)
        lowest = np.argmin(filled, axis=1)
        inner = np.clip(lowest, 1, points - 2)
        rows = np.arange(n)
        below, here, above = (filled[rows, inner + k] for k in (-1, 0, 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            bend = below - 2 * here + above
            move = 0.5 * (below - above) / bend
        edge = (inner != lowest) | ~np.isfinite(bend) | ~(bend > 0)
        step = self.log_c[1] - self.log_c[0]  # of an even grid
        at = self.log_c[lowest] + np.where(edge, 0.0, move) * step
        found = self.at(at[:, None])
        none = ~np.isfinite(self.log_error).any(axis=1)
        cut = (
            edge
            & (lowest < points - 1)
            & ~np.isfinite(filled[rows, np.minimum(lowest + 1, points - 1)])
        )
        return Best(found.error, np.where(none, np.nan, np.exp(at)), found.norm, edge, cut)
