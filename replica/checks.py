"""The door: every public argument is read, converted and refused here, once.

A scalar that breaks its rule raises ``ValueError``; an entry of an array that
breaks it is marked with the same sentence and the other entries are kept
(`Complaints`). From here inward every number is known to be good.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Complaints", "Rule", "broadcast", "numbers"]


@dataclass(frozen=True)
class Rule:
    """What a number must satisfy: an interval, perhaps single points, and words for it."""

    low: float
    high: float
    words: str
    low_open: bool = False
    high_open: bool = False
    also: tuple[float, ...] = ()

    def holds(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each value is allowed (nan never is)."""
        above = values > self.low if self.low_open else values >= self.low
        below = values < self.high if self.high_open else values <= self.high
        return (above & below) | np.isin(values, self.also)


# The ranges of alpha and lam are those over which the solver has been tried; it loses
# digits of log x, not of the error, like 1e-16/sqrt(alpha) below alpha = 1e-3.
ALPHA = Rule(1e-15, 1e15, "must be positive and finite, between 1e-15 and 1e15")
# Below this the curve is too flat for its minimum to be located in double precision.
ALPHA_OF_OPTIMUM = Rule(1e-6, 1e15, "must be positive and finite, between 1e-6 and 1e15 here")
SHARPNESS = Rule(
    1e-30,
    1e20,
    "must be non-negative: 0 (Hebb), between 1e-30 and 1e20, or inf (maximum stability)",
    also=(0.0, np.inf),
)
RATIO = Rule(1e-30, 1e20, "must be positive: between 1e-30 and 1e20, or inf", also=(np.inf,))
FLIP = Rule(0.0, 0.5, "must lie in [0, 0.5] (0.5 is random labels)")
NOISE = Rule(0.0, np.inf, "must be non-negative (inf is random labels)")
SLOPE = Rule(1e-6, 1e6, "must be positive, between 1e-6 and 1e6")
MARGIN = Rule(-1e6, 1e6, "must be finite, between -1e6 and 1e6")
TARGET = Rule(1e-6, 1e6, "must be positive, between 1e-6 and 1e6")


def numbers(name: str, value: ArrayLike) -> NDArray[np.float64]:
    """``value`` as float64, or a ``ValueError`` that names the argument."""
    try:
        if isinstance(value, np.ma.MaskedArray):  # numpy would drop the mask
            raise TypeError
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            if array.dtype.kind != "O":
                raise TypeError
            if any(item is None for item in array.flat):  # numpy would read nan
                raise TypeError
            array = np.asarray(array, dtype=np.float64)
        return array.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"`{name}` must be a real number or an array of real numbers; got {value!r}"
        ) from None


def show(value: float) -> str:
    """The shortest digits that name this double; integers without a point."""
    return repr(float(value)).removesuffix(".0")


class Complaints:
    """Entries of a broadcast problem that cannot be solved, each with its reason."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape
        self.reasons = np.full(int(np.prod(shape)), "", dtype=object)

    @property
    def bad(self) -> NDArray[np.bool_]:
        """Flat mask of the entries that were refused."""
        return self.reasons != ""

    def refuse(self, which: NDArray[np.intp], sentence: str, values: NDArray[np.float64]) -> None:
        """Mark the flat entries ``which`` with ``sentence; got value``.

        Raises
        ------
        ValueError
            At once, if the problem is a single scalar.
        """
        for index, value in zip(which, values, strict=True):
            reason = f"{sentence}; got {show(value)}"
            if self.shape == ():
                raise ValueError(reason)
            if self.reasons[index] == "":
                self.reasons[index] = reason

    def warn(self) -> None:
        """Warn of refused entries, for functions that return bare numbers without a status."""
        first = next((reason for reason in self.reasons if reason), None)
        if first is not None:
            warnings.warn(
                f"{int(self.bad.sum())} of {len(self.reasons)} entries are nan: {first}",
                RuntimeWarning,
                stacklevel=3,
            )

    def check(self, name: str, values: NDArray[np.float64], rule: Rule) -> None:
        """Refuse the entries of ``values`` that break ``rule``."""
        broken = np.flatnonzero(~rule.holds(values))
        self.refuse(broken, f"`{name}` {rule.words}", values[broken])


def broadcast(
    arguments: Mapping[str, ArrayLike],
) -> tuple[tuple[int, ...], dict[str, NDArray[np.float64]]]:
    """Common shape of the arguments, and each one flattened to it.

    Raises
    ------
    ValueError
        If an argument is not numeric or the shapes do not broadcast.
    """
    arrays = {name: numbers(name, value) for name, value in arguments.items()}
    try:
        shape = np.broadcast_shapes(*(a.shape for a in arrays.values()))
    except ValueError:
        shapes = ", ".join(f"`{name}` {a.shape}" for name, a in arrays.items())
        raise ValueError(f"arguments must broadcast to one shape; got {shapes}") from None
    return shape, {name: np.broadcast_to(a, shape).ravel() for name, a in arrays.items()}
