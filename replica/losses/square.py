"""The square loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica import ranges
from replica.losses.piecewise import Pieces, PiecewiseLoss

__all__ = ["Square"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Square(PiecewiseLoss):
    """V(D) = (margin - D)**2 / 2, least squares on labels ``margin * y``.

    Parameters
    ----------
    margin : float or array
        Target of the margin; positive.
    """

    proved = True
    needs_rescaling = False

    margin: ArrayLike = 1.0
    parameter = "margin"
    range = ranges.TARGET
    scaling = -1
    step_scaling = 1
    attained_on_sphere = True

    def value(self, margin: ArrayLike) -> Array:
        return np.subtract(self.margin, margin) ** 2 / 2

    def derivative(self, margin: ArrayLike) -> Array:
        return np.subtract(margin, self.margin)

    def curvature(self, margin: ArrayLike) -> Array:
        return np.ones(np.broadcast_shapes(np.shape(margin), np.shape(self.margin)))

    def attained(self, alpha: Array, parameter: Array, correlation: Array) -> NDArray[np.bool_]:
        """Eq. (27) at g = x/(1+x) = 1; below 1 its left side means that x diverges."""
        rho = alpha * np.sqrt(2 / np.pi) * parameter * correlation
        return (alpha < 1) & (alpha * (parameter**2 + 1) - rho**2 < 1)

    def pieces(self, parameter: Array, b: Array) -> Pieces:
        """U = (k - t) x/(1 + x); D0 changes sign at -x k."""
        share = 1 / (1 + np.exp(-b))
        gain = np.stack([share, share], axis=1)
        none = np.zeros_like(gain)
        ends = (-np.exp(b) * parameter)[:, None]
        return Pieces(ends, parameter, none, gain, none, gain * (1 - share)[:, None])
