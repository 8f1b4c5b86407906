"""The linear loss, Hebb's rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.losses.piecewise import Pieces, PiecewiseLoss

__all__ = ["Linear"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Linear(PiecewiseLoss):
    """V(D) = -D, whose minimiser on the sphere is Hebb's rule."""

    proved = True
    needs_rescaling = False

    hebbian = True

    def value(self, margin: ArrayLike) -> Array:
        return -np.asarray(margin, dtype=float)

    def derivative(self, margin: ArrayLike) -> Array:
        return np.full(np.shape(margin), -1.0)

    def curvature(self, margin: ArrayLike) -> Array:
        return np.zeros(np.shape(margin))

    def pieces(self, parameter: Array, b: Array) -> Pieces:
        x = np.exp(b)
        level, none = np.stack([x, x], axis=1), np.zeros((len(b), 2))
        return Pieces(-x[:, None], np.zeros(len(b)), level, none, level, none)
