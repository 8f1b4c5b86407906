"""The logistic loss of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit

from replica import ranges
from replica.losses import edge
from replica.losses.adaptive import Measure
from replica.losses.base import Force, Loss
from replica.losses.hard_margin import HardMargin
from replica.losses.linear import Linear
from replica.quadrature import Breaks, Nodes, Rule

__all__ = ["Logistic"]

Array = NDArray[np.float64]

FLOOR = 1.0  # V' = -2/(1 + e^y)


@dataclass(frozen=True)
class Logistic(Loss):
    r"""V(D) = log(1 + exp(-2 lam D)) / lam, the paper's eq. (1).

    Parameters
    ----------
    lam : float or array
        Sharpness, equal to the norm of the weights in units of sqrt(N) when
        the loss is log(1 + exp(-2 Delta)); in [0, inf], where 0 stands for
        the limit of Hebb and inf for that of maximum stability. The textbook loss
        log(1 + exp(-z)) at weight norm \|w\| = sqrt(q N) is lam = sqrt(q)/2.
    """

    lam: ArrayLike
    parameter = "lam"
    range = ranges.SHARPNESS
    scaling = 1
    rate = 2.0

    def value(self, margin: ArrayLike) -> Array:
        return -log_expit(2 * np.multiply(self.lam, margin)) / np.asarray(self.lam)

    def derivative(self, margin: ArrayLike) -> Array:
        return -2 * expit(-2 * np.multiply(self.lam, margin))

    def curvature(self, margin: ArrayLike) -> Array:
        y = 2 * np.multiply(self.lam, margin)
        return 4 * np.asarray(self.lam) * expit(y) * expit(-y)

    needs_rescaling = False

    def check(self) -> None:
        pass

    def limits(self) -> Mapping[float, Loss]:
        return {0.0: Linear(), np.inf: HardMargin()}

    def force(self, parameter: Array) -> Force:
        return Force(1 / parameter, 2 * parameter, [])

    def log_force(self, margin: Array) -> tuple[Array, Array, Array]:
        lam = np.asarray(self.lam)
        falling, rising = log_expit(-2 * lam * margin), log_expit(2 * lam * margin)
        return np.ones(()), np.log(2) + falling, np.log(4 * lam) + falling + rising

    def first_guess(self, parameter: Array, push: Array, kappa: Array) -> Array:
        return np.log(push) + np.logaddexp(0.0, 2 * parameter * kappa) - np.log(2.0)

    def nodes(
        self, parameter: Array, b: Array, breaks: Breaks, rule: Rule, measure: Measure
    ) -> Nodes:
        return edge.nodes(FLOOR, *_rate_and_edge(parameter, b), breaks, rule)

    def proximal(self, parameter: Array, b: Array, t: Array) -> Array:
        return edge.proximal(FLOOR, *_rate_and_edge(parameter, b), t)

    def field_of_margin(self, parameter: Array, b: Array, margin: Array) -> tuple[Array, Array]:
        return edge.field_of_margin(FLOOR, *_rate_and_edge(parameter, b), margin)


def _rate_and_edge(lam: Array, b: Array) -> tuple[Array, Array]:
    """Y = 2 lam D and L = log(4 lam x), eq. (17)."""
    return 2.0 * lam, b + np.log(4.0 * lam)
