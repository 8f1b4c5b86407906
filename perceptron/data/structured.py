"""Inputs whose directions differ in variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perceptron import ranges
from replica.common import arguments
from replica.common.arguments import InvalidArgument, Range, quoted

__all__ = ["StructuredInputs", "positive_numbers", "power_law"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StructuredInputs:
    r"""Normal inputs x_k = sqrt(omega_k) xi_k, k = 1...N, and the teacher that goes with them.

    Delta = y w.x/sqrt(N) at \|w\|^2 = N is y n.x with a unit vector n: what the theory of inputs
    that count modes calls a margin. On P examples `lam`, margins, losses, intercept and Q mean
    the same on both sides, with P for the theory's ``alpha``; its ``ridge``, which stands beside
    fields w.x without the root, is N times that of `minimize_at_ridge`.

    Parameters
    ----------
    eigenvalues : (N,) array
        omega_k, positive, in [1e-60, 1e60].
    teacher : (N,) array, optional
        Squared components theta_k^2 of the teacher up to a common factor, not all zero; equal by
        default. Their signs are drawn.

    Raises
    ------
    InvalidArgument
        If an argument breaks its rule.
    """

    eigenvalues: Array
    teacher: Array | None = None

    def __post_init__(self) -> None:
        omega = positive_numbers("eigenvalues", self.eigenvalues, ranges.EIGENVALUE)
        object.__setattr__(self, "eigenvalues", omega)
        if self.teacher is not None:
            rule = "non-negative finite numbers, not all zero"
            theta2 = arguments.vector("teacher", self.teacher, len(omega), rule)
            if not (np.all(theta2 >= 0) and np.any(theta2 > 0)):
                raise InvalidArgument("teacher", f"must be {rule}", quoted(self.teacher))
            object.__setattr__(self, "teacher", theta2 / theta2.max())

    @property
    def N(self) -> int:
        """Number of dimensions."""
        return len(self.eigenvalues)

    def components(self, rng: np.random.Generator) -> Array:
        r"""A teacher's weights, of random signs and length sqrt(N)."""
        size = np.ones(self.N) if self.teacher is None else np.sqrt(self.teacher)
        signed = size * (2.0 * rng.integers(0, 2, self.N) - 1)
        return np.asarray(signed * (np.sqrt(self.N) / np.linalg.norm(signed)))


def power_law(capacity: float, source: float, modes: int) -> StructuredInputs:
    """omega_k = k^-a and omega_k theta_k^2 proportional to k^-(1 + 2 a r), k = 1...modes.

    Parameters
    ----------
    capacity : float
        a, in (0, 20].
    source : float
        r, in [1e-3, 10].
    modes : int
        So few that the least eigenvalue is at least 1e-60, and theta_k^2 between 1e-300 and 1e300.

    Raises
    ------
    InvalidArgument
        If an argument breaks its rule.
    """
    a = arguments.number("capacity", capacity, ranges.CAPACITY)
    r = arguments.number("source", source, ranges.SOURCE)
    n = arguments.whole("modes", modes, 1, 10**9, "a positive integer")
    log_last = np.log(n)
    if a * log_last > 60 * np.log(10) or (1 + 2 * a * r) * log_last > 300 * np.log(10):
        raise InvalidArgument(
            "modes", "must leave eigenvalues and teacher within the doubles' range", quoted(modes)
        )
    log_k = np.log(np.arange(1.0, n + 1))
    return StructuredInputs(np.exp(-a * log_k), np.exp(-(1 + 2 * a * r - a) * log_k))


def positive_numbers(name: str, value: ArrayLike, rule: Range) -> Array:
    """A list of numbers within their range; a copy."""
    result = arguments.numbers(name, value)
    if result.ndim != 1 or len(result) == 0:
        raise InvalidArgument(
            name, "must be a list of numbers", f"an array of shape {result.shape}"
        )
    broken = result[~rule.holds(result)]
    if len(broken):
        raise InvalidArgument(name, rule.words, f"{broken[0]:g} among them")
    return result
