"""Nodes of the integrals over the field: what losses fill and channels average.

The field t of an example lies on panels that end where the integrand has structure; each
panel carries a Gauss-Legendre rule. A loss turns break points in t into nodes with everything
that it knows there (`Nodes`); no integral is done here.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Breaks", "Nodes", "Rule", "gauss_legendre", "workspace"]

Array = NDArray[np.float64]

#: Half-window of a Gaussian factor: exp(-8.6^2/2) = 8.7e-17.
REACH = 8.6
#: Widest panel in units of the Gaussian's width: 3 panels each side.
GAUSS_WIDTH = REACH / 3.0
#: A mixture of teachers at c = 1e300 has 3500 break points.
MAX_EDGES = 8192
#: Nodes of one round, unless a single point has more: six rows of them fit the caches.
CAPACITY = 8192

# Rows of `Nodes.values`.
FIELD = 0  # t
PUSH = 1  # u(t) = D0(t) - t
SLOPE = 2  # du / dlog x at fixed t
CURVED = 3  # 1 - D0'(t)
WIDTH = 4  # weight of the node in an integral over t
MARGIN = 5  # D0(t)
ROWS = 6


@cache
def gauss_legendre(order: int) -> tuple[Array, Array]:
    """Nodes and weights on [-1, 1]."""
    node, weight = np.polynomial.legendre.leggauss(order)
    return node, weight


@dataclass(frozen=True)
class Rule:
    """How a panel is integrated.

    Parameters
    ----------
    order : int
        Gauss-Legendre nodes a panel.
    refine : int
        How often each panel is halved first.
    whole : bool
        Whether the nodes go on to the end of the window where u has long vanished.
    observables : bool
        Whether V and the margin are averaged too, and not only what Newton needs.
    """

    order: int
    refine: int = 0
    whole: bool = False
    observables: bool = False


@dataclass(frozen=True)
class Breaks:
    """Fields t at which panels end: row i holds ``count[i]`` of them, ascending."""

    at: Array
    count: NDArray[np.int64]

    def __getitem__(self, which: slice) -> Breaks:
        return Breaks(self.at[which], self.count[which])


@dataclass(frozen=True)
class Nodes:
    """Nodes of several points: those of point i are columns ``start[i]:start[i + 1]``.

    A point without nodes could not be integrated (an iterate far from any solution).
    """

    start: NDArray[np.int64]
    values: Array

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def owner(self) -> NDArray[np.intp]:
        """The point that each node belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))


class _Workspace(threading.local):
    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}


_workspace = _Workspace()


def workspace(name: str, rows: int, columns: int) -> Array:
    """An array of this thread that is used again: fresh pages cost more than the sums."""
    array = _workspace.arrays.get(name)
    if array is None or array.shape[0] != rows or array.shape[1] < columns:
        array = _workspace.arrays[name] = np.empty((rows, columns))
    return array
