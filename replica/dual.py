"""Numbers with their gradient: equations are written once, their Jacobian follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dual"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Dual:
    """n values (n,) and their gradients (n, k) with respect to k unknowns."""

    value: Array
    gradient: Array

    @classmethod
    def unknown(cls, z: Array, column: int) -> Dual:
        """One of the unknowns itself."""
        gradient = np.zeros(z.shape)
        gradient[:, column] = 1.0
        return cls(z[:, column], gradient)

    @classmethod
    def of(cls, value: Array, slope: Array, column: int, size: int) -> Dual:
        """A function of one unknown, from its value and slope."""
        gradient = np.zeros((len(value), size))
        gradient[:, column] = slope
        return cls(value, gradient)

    def __add__(self, other: Dual | Array | float) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value + other.value, self.gradient + other.gradient)
        return Dual(self.value + other, self.gradient)

    __radd__ = __add__

    def __neg__(self) -> Dual:
        return Dual(-self.value, -self.gradient)

    def __sub__(self, other: Dual | Array | float) -> Dual:
        return self + (-other)

    def __rsub__(self, other: Array | float) -> Dual:
        return -self + other

    def __mul__(self, other: Dual | Array | float) -> Dual:
        if isinstance(other, Dual):
            gradient = self.value[:, None] * other.gradient + other.value[:, None] * self.gradient
            return Dual(self.value * other.value, gradient)
        other = np.asarray(other, dtype=float)
        return Dual(self.value * other, self.gradient * (other[:, None] if other.ndim else other))

    __rmul__ = __mul__

    def log(self) -> Dual:
        """The natural logarithm."""
        return Dual(np.log(self.value), self.gradient / self.value[:, None])

    def exp(self) -> Dual:
        """The exponential."""
        value = np.exp(self.value)
        return Dual(value, self.gradient * value[:, None])

    def where(self, mask: NDArray[np.bool_], other: Dual) -> Dual:
        """Itself where the mask holds, else the other."""
        return Dual(
            np.where(mask, self.value, other.value),
            np.where(mask[:, None], self.gradient, other.gradient),
        )
