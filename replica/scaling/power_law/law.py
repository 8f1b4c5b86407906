"""The law at fixed gamma, and what a search over gamma asks of it.

x is sorted and y scaled; d is ln x measured from the end where the power is largest, and
e = exp(-gamma d) lies in [0, 1]: the law reads q + A e.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["EVERYWHERE", "LOOKS", "ROUNDING", "Fits", "Law"]

Array = NDArray[np.float64]

#: Step of the scan in asinh(gamma ln(xmax/xmin)). chi2 is built of the e, which change by a
#: factor of order one when that argument does; ten points to such a change are a choice.
STEP = 0.1
#: exp(-35) < 1e-15: beyond gamma * gap = 35 the law is its first point and a constant.
INVISIBLE = 35.0
#: Where a bracket is looked at, to find a peak in it.
EVERYWHERE = np.linspace(0.0, 1.0, 17)
#: Each look for a maximum divides a bracket by 8; its value is known to the square of the rest.
LOOKS = 5
#: Residuals below this part of the largest |y| (of y, where errors are relative) are rounding.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Fits:
    """The best law at each of some gamma: chi2, half its slope in gamma, and what is linear."""

    gamma: Array
    chi2: Array
    slope: Array
    q: Array
    A: Array

    def only(self, row: int) -> Fits:
        """One of them."""
        kept = slice(row, row + 1)
        return Fits(self.gamma[kept], self.chi2[kept], self.slope[kept], self.q[kept], self.A[kept])


@dataclass(frozen=True)
class Law(abc.ABC):
    """q + A e and its data; every method takes an array of gamma, one row each."""

    log_x: Array
    y: Array
    sigma: Array
    known: bool
    offset: bool
    nonnegative: bool

    @cached_property
    def w(self) -> Array:
        """Weights, the inverse variances."""
        return 1 / self.sigma**2

    @cached_property
    def W(self) -> float:
        """Their sum."""
        return float(np.sum(self.w))

    @cached_property
    def mean(self) -> float:
        """Weighted mean of y."""
        return float(self.y @ self.w) / self.W

    @cached_property
    def weighted(self) -> Array:
        """Weights times y."""
        return self.w * self.y

    @cached_property
    def span(self) -> float:
        """ln(xmax/xmin)."""
        return float(self.log_x[-1] - self.log_x[0])

    @cached_property
    def centred(self) -> tuple[Array, Array]:
        """The y less their mean, and these times the weights."""
        away = self.y - self.mean
        return away, self.w * away

    @cached_property
    def from_ends(self) -> tuple[Array, Array]:
        """Logarithms of x, measured from the first point, and from the last."""
        return self.log_x - self.log_x[0], self.log_x - self.log_x[-1]

    @abc.abstractmethod
    def fits(self, gamma: Array) -> Fits:
        """The best law at each gamma."""

    @abc.abstractmethod
    def furthest(self, gamma: Array, limit: float, side: float) -> Array:
        """The largest side * q with chi2 <= limit at each gamma; -inf where none has."""

    @abc.abstractmethod
    def residuals(self, fit: Fits) -> Array:
        """Residuals of one law in units of `sigma`."""

    @abc.abstractmethod
    def slopes(self, fit: Fits) -> Array:
        """Derivatives of one law by gamma, ln|A| and q in units of `sigma`, (n, 3)."""

    @abc.abstractmethod
    def decades(self) -> float:
        """Logarithm of the range over which values of y can be told from one another."""

    def exponents(self, gamma: Array) -> tuple[Array, Array]:
        """The distance d from the end where the power is largest, and ln e = -gamma d."""
        column = gamma[:, None]
        if len(gamma) == 1:  # as a search for a root asks
            d = self.from_ends[0 if gamma[0] > 0 else 1][None]
        else:
            d = np.where(column > 0, *self.from_ends)
        return d, -column * d

    @cached_property
    def grid(self) -> Array:
        """Every gamma between the two at which the law is one point and a constant, but 0."""
        gaps = np.diff(self.log_x)
        gaps = gaps[gaps > 0]
        end = np.arcsinh(self.span * (INVISIBLE + self.decades()) / min(gaps[0], gaps[-1]))
        steps = int(np.ceil(end / STEP))
        return np.sinh(np.linspace(-end, end, 2 * steps)) / self.span
