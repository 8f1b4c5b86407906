"""The hinge loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica import ranges
from replica.losses.base import Force
from replica.losses.piecewise import Pieces, PiecewiseLoss

__all__ = ["Hinge"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Hinge(PiecewiseLoss):
    """V(D) = max(margin - D, 0); a fraction of the margins sits exactly at ``margin``.

    Parameters
    ----------
    margin : float or array
        Where the loss reaches zero; finite. It must exceed the maximum
        stability, else many weights reach zero loss and none is *the* minimiser.
    """

    proved = True
    needs_rescaling = False

    margin: ArrayLike = 1.0
    parameter = "margin"
    range = ranges.MARGIN
    scaling = -1
    reaches_minimum = True

    def value(self, margin: ArrayLike) -> Array:
        return np.maximum(np.subtract(self.margin, margin), 0.0)

    def derivative(self, margin: ArrayLike) -> Array:
        return np.where(np.less(margin, self.margin), -1.0, 0.0)

    def curvature(self, margin: ArrayLike) -> Array:
        return np.zeros(np.broadcast_shapes(np.shape(margin), np.shape(self.margin)))

    def force(self, parameter: Array) -> Force:
        one = np.ones(len(parameter))
        return Force(one, np.inf * one, [(parameter, 1.0)])

    def pieces(self, parameter: Array, b: Array) -> Pieces:
        """U = x up to k - x, then k - t up to k; D0 changes sign at -x, or at 0 if k < 0."""
        k, x, zero = parameter, np.exp(b), np.zeros(len(b))
        above = k > 0
        ends = np.stack(
            [np.where(above, -x, k - x), np.where(above, k - x, k), np.where(above, k, 0.0)], axis=1
        )
        level = np.stack([x, np.where(above, x, 0.0), zero, zero], axis=1)
        gain = np.stack([zero, np.where(above, 0.0, 1.0), np.where(above, 1.0, 0.0), zero], axis=1)
        gaps = np.stack(
            [np.where(above, k + x, x), np.where(above, x, 0.0), np.where(above, 0.0, k)], axis=1
        )
        return Pieces(ends, k, level, gain, level, np.zeros_like(gain), gaps)

    def gentle_scale(self, parameter: Array) -> Array:
        """Where all but a thousandth of the fields lie below the kink."""
        return np.where(parameter > 0, parameter / 3, np.nan)

    def atom(self, parameter: Array, b: Array) -> tuple[Array, Array, Array]:
        return parameter, parameter - np.exp(b), parameter
