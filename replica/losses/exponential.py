"""The exponential loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica import ranges
from replica.losses import edge
from replica.losses.adaptive import Measure
from replica.losses.base import Force, Loss
from replica.losses.hard_margin import HardMargin
from replica.losses.linear import Linear
from replica.quadrature import Breaks, Nodes, Rule

__all__ = ["Exponential"]

Array = NDArray[np.float64]

FLOOR = 0.0  # V' = -1/e^y


@dataclass(frozen=True)
class Exponential(Loss):
    """V(D) = exp(-lam D) / lam; Hebb as lam -> 0, maximum stability as lam -> inf.

    Parameters
    ----------
    lam : float or array
        Sharpness, in [0, inf]; the ends stand for the two limits.
    """

    lam: ArrayLike
    parameter = "lam"
    range = ranges.SHARPNESS
    scaling = 1
    rate = 1.0

    def value(self, margin: ArrayLike) -> Array:
        return np.exp(-np.multiply(self.lam, margin)) / np.asarray(self.lam)

    def derivative(self, margin: ArrayLike) -> Array:
        return -np.exp(-np.multiply(self.lam, margin))

    def curvature(self, margin: ArrayLike) -> Array:
        return np.asarray(self.lam) * np.exp(-np.multiply(self.lam, margin))

    needs_rescaling = False

    def check(self) -> None:
        pass

    def limits(self) -> Mapping[float, Loss]:
        return {0.0: Linear(), np.inf: HardMargin()}

    def force(self, parameter: Array) -> Force:
        return Force(1 / parameter, parameter, [], endless=True)

    def log_force(self, margin: Array) -> tuple[Array, Array, Array]:
        lam = np.asarray(self.lam)
        return np.ones(()), -lam * margin, np.log(lam) - lam * margin

    def first_guess(self, parameter: Array, push: Array, kappa: Array) -> Array:
        return np.log(push) + parameter * kappa

    def nodes(
        self, parameter: Array, b: Array, breaks: Breaks, rule: Rule, measure: Measure
    ) -> Nodes:
        return edge.nodes(FLOOR, *_rate_and_edge(parameter, b), breaks, rule)

    def proximal(self, parameter: Array, b: Array, t: Array) -> Array:
        return edge.proximal(FLOOR, *_rate_and_edge(parameter, b), t)

    def field_of_margin(self, parameter: Array, b: Array, margin: Array) -> tuple[Array, Array]:
        return edge.field_of_margin(FLOOR, *_rate_and_edge(parameter, b), margin)


def _rate_and_edge(lam: Array, b: Array) -> tuple[Array, Array]:
    """Y = lam D and L = log(lam x)."""
    return lam, b + np.log(lam)
