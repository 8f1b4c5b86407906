r"""Losses V(Delta) of the margin Delta = y (w.x/sqrt(N) + b), with their first two derivatives.

The margin is that at \|w\|^2 = N. Definitions are those of the theory, the code is not.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from perceptron import ranges
from replica.common import arguments

__all__ = ["Exponential", "Hinge", "Linear", "Logistic", "Loss", "Square", "SquaredHinge"]

Array = NDArray[np.float64]


class Loss(ABC):
    """A convex function of the margin.

    One of your own gives `value`, `slope` and `curvature` of arrays, and has a continuous slope.
    """

    #: Whether the slope is continuous; Newton's method needs that.
    smooth: bool = True
    #: Whether V is least at some finite margin, so that many weights may reach that.
    reaches_minimum: bool = False
    #: The loss ell(z) of free weights is V of `textbook` at z = rate Delta.
    rate: ClassVar[float] = 1.0

    @property
    def steepest(self) -> float:
        """Largest second derivative; inf where there is no bound, or none is known."""
        return math.inf

    @abstractmethod
    def value(self, margins: Array) -> Array:
        """V."""

    @abstractmethod
    def slope(self, margins: Array) -> Array:
        """V'; on a kink, that of the left side."""

    @abstractmethod
    def curvature(self, margins: Array) -> Array:
        """V''; zero on a kink."""

    def mean(self, margins: Array) -> float:
        """Mean of V over the margins."""
        return float(np.mean(self.value(margins)))

    def at_norm(self, lam: float) -> Loss:
        """The loss V(lam Delta)/lam of margins at full length, where V is that at norm 1."""
        return self if lam == 1 else _AtNorm(self, lam)

    @property
    def textbook(self) -> Loss:
        """The member of the family that stands for free weights."""
        return self


@dataclass(frozen=True)
class _AtNorm(Loss):
    """V(lam Delta)/lam."""

    loss: Loss
    lam: float

    def __post_init__(self) -> None:
        arguments.number("lam", self.lam, arguments.POSITIVE)
        for name in ("smooth", "reaches_minimum"):
            object.__setattr__(self, name, getattr(self.loss, name))

    def value(self, margins: Array) -> Array:
        return self.loss.value(self.lam * margins) / self.lam

    @property
    def steepest(self) -> float:
        return self.lam * self.loss.steepest

    def slope(self, margins: Array) -> Array:
        return self.loss.slope(self.lam * margins)

    def curvature(self, margins: Array) -> Array:
        return self.lam * self.loss.curvature(self.lam * margins)

    def at_norm(self, lam: float) -> Loss:
        return self.loss.at_norm(self.lam * lam)


@dataclass(frozen=True)
class Logistic(Loss):
    """log(1 + exp(-2 lam Delta)) / lam, lam >= 0: the paper's eq. (1) at norm lam.

    The ends stand for the limits: lam = 0 is infinite, with the slope of Hebb's rule, and
    lam = inf is max(0, -2 Delta), with a kink at zero; the minimiser there is `max_stability`.
    """

    lam: float = 1.0
    rate = 2.0

    def __post_init__(self) -> None:
        arguments.number("lam", self.lam, ranges.SHARPNESS)
        object.__setattr__(self, "smooth", not math.isinf(self.lam))

    def value(self, margins: Array) -> Array:
        if self.lam == 0:
            return np.full_like(margins, np.inf)
        if np.isinf(self.lam):
            return np.maximum(-2 * margins, 0.0)
        return np.asarray(-log_expit(2 * self.lam * margins) / self.lam)

    @property
    def steepest(self) -> float:
        return self.lam

    def slope(self, margins: Array) -> Array:
        if np.isinf(self.lam):
            return np.where(margins <= 0, -2.0, 0.0)
        return np.asarray(-2 * expit(-2 * self.lam * margins))

    def curvature(self, margins: Array) -> Array:
        if np.isinf(self.lam):
            return np.zeros_like(margins)
        z = 2 * self.lam * margins
        return np.asarray(4 * self.lam * expit(z) * expit(-z))

    def at_norm(self, lam: float) -> Loss:
        return Logistic(self.lam * lam)

    @property
    def textbook(self) -> Loss:
        return Logistic()


@dataclass(frozen=True)
class Exponential(Loss):
    """exp(-lam Delta) / lam, lam positive."""

    lam: float = 1.0

    def __post_init__(self) -> None:
        arguments.number("lam", self.lam, arguments.POSITIVE)

    def value(self, margins: Array) -> Array:
        return self._exp(margins) / self.lam

    def slope(self, margins: Array) -> Array:
        return -self._exp(margins)

    def curvature(self, margins: Array) -> Array:
        return self.lam * self._exp(margins)

    def _exp(self, margins: Array) -> Array:
        with np.errstate(over="ignore"):  # a step that goes so far is halved
            return np.asarray(np.exp(-self.lam * margins))

    def at_norm(self, lam: float) -> Loss:
        return Exponential(self.lam * lam)

    @property
    def textbook(self) -> Loss:
        return Exponential()


@dataclass(frozen=True)
class Linear(Loss):
    """-Delta: Hebb's rule."""

    def value(self, margins: Array) -> Array:
        return -margins

    @property
    def steepest(self) -> float:
        return 0.0

    def slope(self, margins: Array) -> Array:
        return np.full_like(margins, -1.0)

    def curvature(self, margins: Array) -> Array:
        return np.zeros_like(margins)


@dataclass(frozen=True)
class Hinge(Loss):
    """max(margin - Delta, 0)."""

    margin: float = 1.0
    reaches_minimum = True
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
    reaches_minimum = True

    def __post_init__(self) -> None:
        arguments.number("margin", self.margin, ranges.FINITE)

    def value(self, margins: Array) -> Array:
        return np.maximum(self.margin - margins, 0.0) ** 2 / 2

    @property
    def steepest(self) -> float:
        return 1.0

    def slope(self, margins: Array) -> Array:
        return np.minimum(margins - self.margin, 0.0)

    def curvature(self, margins: Array) -> Array:
        return np.where(margins < self.margin, 1.0, 0.0)


@dataclass(frozen=True)
class Square(Loss):
    """(margin - Delta)^2 / 2."""

    margin: float = 1.0
    reaches_minimum = True

    def __post_init__(self) -> None:
        arguments.number("margin", self.margin, ranges.FINITE)

    def value(self, margins: Array) -> Array:
        return (self.margin - margins) ** 2 / 2

    @property
    def steepest(self) -> float:
        return 1.0

    def slope(self, margins: Array) -> Array:
        return margins - self.margin

    def curvature(self, margins: Array) -> Array:
        return np.ones_like(margins)
