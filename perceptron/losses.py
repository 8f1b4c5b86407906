"""Losses V(Delta) of the margin Delta = y w.x/sqrt(N), each with its first two derivatives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from perceptron import ranges
from replica.common import arguments

__all__ = ["Exponential", "Hinge", "Linear", "Logistic", "Loss", "Square", "SquaredHinge"]

Array = NDArray[np.float64]


class Loss(ABC):
    """A convex function of the margin."""

    #: Whether the derivative is continuous; Newton's method needs that.
    smooth: bool = True

    @abstractmethod
    def value(self, margins: Array) -> Array:
        """V."""

    @abstractmethod
    def slope(self, margins: Array) -> Array:
        """V'; on a kink, that of the left side."""

    @abstractmethod
    def curvature(self, margins: Array) -> Array:
        """V''; zero on a kink."""


@dataclass(frozen=True)
class Logistic(Loss):
    """log(1 + exp(-2 lam Delta)) / lam, lam positive: the paper's eq. (1) at norm lam."""

    lam: float = 1.0

    def __post_init__(self) -> None:
        arguments.number("lam", self.lam, arguments.POSITIVE)

    def value(self, margins: Array) -> Array:
        return np.asarray(-log_expit(2 * self.lam * margins) / self.lam)

    def slope(self, margins: Array) -> Array:
        return np.asarray(-2 * expit(-2 * self.lam * margins))

    def curvature(self, margins: Array) -> Array:
        z = 2 * self.lam * margins
        return np.asarray(4 * self.lam * expit(z) * expit(-z))


@dataclass(frozen=True)
class Exponential(Loss):
    """exp(-lam Delta) / lam, lam positive."""

    lam: float = 1.0

    def __post_init__(self) -> None:
        arguments.number("lam", self.lam, arguments.POSITIVE)

    def value(self, margins: Array) -> Array:
        return np.asarray(np.exp(-self.lam * margins) / self.lam)

    def slope(self, margins: Array) -> Array:
        return np.asarray(-np.exp(-self.lam * margins))

    def curvature(self, margins: Array) -> Array:
        return np.asarray(self.lam * np.exp(-self.lam * margins))


@dataclass(frozen=True)
class Linear(Loss):
    """-Delta: Hebb's rule."""

    def value(self, margins: Array) -> Array:
        return -margins

    def slope(self, margins: Array) -> Array:
        return np.full_like(margins, -1.0)

    def curvature(self, margins: Array) -> Array:
        return np.zeros_like(margins)


@dataclass(frozen=True)
class Hinge(Loss):
    """max(margin - Delta, 0)."""

    margin: float = 1.0
    smooth = False

    def __post_init__(self) -> None:
        arguments.number("margin", self.margin, ranges.FINITE)

    def value(self, margins: Array) -> Array:
        return np.maximum(self.margin - margins, 0.0)

    def slope(self, margins: Array) -> Array:
        return np.where(margins <= self.margin, -1.0, 0.0)

    def curvature(self, margins: Array) -> Array:
        return np.zeros_like(margins)


@dataclass(frozen=True)
class SquaredHinge(Loss):
    """max(margin - Delta, 0)^2 / 2."""

    margin: float = 1.0

    def __post_init__(self) -> None:
        arguments.number("margin", self.margin, ranges.FINITE)

    def value(self, margins: Array) -> Array:
        return np.maximum(self.margin - margins, 0.0) ** 2 / 2

    def slope(self, margins: Array) -> Array:
        return np.minimum(margins - self.margin, 0.0)

    def curvature(self, margins: Array) -> Array:
        return np.where(margins < self.margin, 1.0, 0.0)


@dataclass(frozen=True)
class Square(Loss):
    """(margin - Delta)^2 / 2."""

    margin: float = 1.0

    def __post_init__(self) -> None:
        arguments.number("margin", self.margin, ranges.FINITE)

    def value(self, margins: Array) -> Array:
        return (self.margin - margins) ** 2 / 2

    def slope(self, margins: Array) -> Array:
        return margins - self.margin

    def curvature(self, margins: Array) -> Array:
        return np.ones_like(margins)
