"""The squared hinge loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica import ranges
from replica.losses.base import Force
from replica.losses.piecewise import Pieces, PiecewiseLoss

__all__ = ["SquaredHinge"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SquaredHinge(PiecewiseLoss):
    """V(D) = max(margin - D, 0)**2 / 2.

    Parameters
    ----------
    margin : float or array
        Where the loss reaches zero; finite, and above the maximum stability.
    """

    proved = True
    needs_rescaling = False

    margin: ArrayLike = 1.0
    parameter = "margin"
    range = ranges.MARGIN
    scaling = -1
    reaches_minimum = True
    step_scaling = 1

    def value(self, margin: ArrayLike) -> Array:
        return np.maximum(np.subtract(self.margin, margin), 0.0) ** 2 / 2

    def derivative(self, margin: ArrayLike) -> Array:
        return -np.maximum(np.subtract(self.margin, margin), 0.0)

    def curvature(self, margin: ArrayLike) -> Array:
        return np.where(np.less_equal(margin, self.margin), 1.0, 0.0)

    def force(self, parameter: Array) -> Force:
        one = np.ones(len(parameter))
        return Force(one, np.inf * one, [(parameter, 0.0)])

    def pieces(self, parameter: Array, b: Array) -> Pieces:
        """U = (k - t) x/(1 + x) up to k; D0 changes sign at -x k, or at 0 if k < 0."""
        k, zero = parameter, np.zeros(len(b))
        share = 1 / (1 + np.exp(-b))
        above = k > 0
        ends = np.stack([np.where(above, -np.exp(b) * k, k), np.where(above, k, 0.0)], axis=1)
        gain = np.stack([share, np.where(above, share, 0.0), zero], axis=1)
        none = np.zeros_like(gain)
        return Pieces(ends, k, none, gain, none, gain * (1 - share)[:, None])
