"""The limit of maximum stability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.losses.base import Loss
from replica.losses.piecewise import Pieces, PiecewiseLoss

__all__ = ["HardMargin"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HardMargin(PiecewiseLoss):
    """The limit of maximum stability: no margin below kappa, kappa as large as possible.

    Its second unknown is the stability kappa in place of x.
    """

    proved = True
    needs_rescaling = False

    hard = True

    def value(self, margin: ArrayLike) -> Array:
        return np.zeros(np.shape(margin))

    def derivative(self, margin: ArrayLike) -> Array:
        return np.zeros(np.shape(margin))

    def curvature(self, margin: ArrayLike) -> Array:
        return np.zeros(np.shape(margin))

    def approach(self) -> Loss:
        from replica.losses.logistic import Logistic  # whose limit this is

        return Logistic(1.0)

    def pieces(self, parameter: Array, b: Array) -> Pieces:
        """U = kappa - t up to kappa; du/dlog kappa = kappa."""
        kappa, zero = _stability(b), np.zeros(len(b))
        gain = np.stack([np.ones(len(b)), zero], axis=1)
        none = np.zeros_like(gain)
        level_slope = np.stack([kappa, zero], axis=1)
        return Pieces(kappa[:, None], kappa, none, gain, level_slope, none)

    def first_guess(self, parameter: Array, push: Array, kappa: Array) -> Array:
        return np.log(kappa)

    def field_of_margin(self, parameter: Array, b: Array, margin: Array) -> tuple[Array, Array]:
        free = margin >= _stability(b)
        return np.where(free, margin, -np.inf), free.astype(float)

    def atom(self, parameter: Array, b: Array) -> tuple[Array, Array, Array]:
        kappa = _stability(b)
        return kappa, np.full(len(b), -np.inf), kappa


def _stability(b: Array) -> Array:
    """Kappa, the same double wherever it is asked for.

    Two memory layouts may round exp differently; a margin that misses the atom by one bit would
    have cdf 0 instead of the atom's weight.
    """
    return np.asarray(np.exp(np.ascontiguousarray(b)))
