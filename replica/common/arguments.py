"""The door: every public argument is read, converted and refused here, once.

A scalar that breaks its rule raises ``ValueError``; an entry of an array that
breaks it is marked with the same sentence and the other entries are kept
(`Complaints`). From here inward every number is known to be good.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Complaints",
    "InvalidArgument",
    "Range",
    "broadcast",
    "is_one_of",
    "number",
    "numbers",
    "quoted",
    "whole",
]


class InvalidArgument(ValueError):
    """An argument that breaks its rule.

    Attributes
    ----------
    argument : str
        Its name.
    rule : str
        What it must satisfy, from "must" on, and the way out if there is one.
    value : str
        What was given, in words.
    """

    def __init__(self, argument: str, rule: str, value: str):
        super().__init__(f"`{argument}` {rule}; got {value}")
        self.argument, self.rule, self.value = argument, rule, value

    def __reduce__(self) -> tuple[type[InvalidArgument], tuple[str, str, str]]:
        """So that it comes back from another process."""
        return type(self), (self.argument, self.rule, self.value)


@dataclass(frozen=True)
class Range:
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
        good: NDArray[np.bool_] = above & below
        for value in self.also:
            good |= values == value
        return good

    def allows(self, value: float) -> bool:
        """Whether one number is allowed."""
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return (above and below) or value in self.also


#: What numpy would turn into a number although it is none: text is read, a date or a span of
#: time counted, None and what is masked become nan.
NO_NUMBERS = (str, bytes, type(None), np.datetime64, np.timedelta64, np.ma.MaskedArray)
#: Memory of an entry of a broadcast array: arguments, flags and an answer; and of one that is
#: solved, measured on a grid of 10^5.
BYTES_OF_NUMBER, BYTES_OF_SOLUTION = 100, 1300
#: Fewer entries fit anywhere, and nobody is asked.
MANY = 10**5
#: Integers below this are doubles.
EXACT = 2**53
#: Characters of a value that a message repeats.
LONGEST_QUOTE = 200


def numbers(name: str, value: ArrayLike) -> NDArray[np.float64]:
    """``value`` as float64, or a ``ValueError`` that names the argument.

    Booleans count as 0 and 1, as they do in Python. Of pandas objects the values
    are read, in their order, and the index is not.
    """
    if type(value) is float or (type(value) is int and abs(value) < EXACT):
        return np.array(value + 0.0)  # -0 is 0: 1/lam is never -inf
    try:
        if isinstance(value, np.ma.MaskedArray | bytearray):
            raise TypeError
        array = np.asarray(value)
        if array.dtype.kind not in "biufO" or _masked_inside(value, array.ndim):
            raise TypeError
        if array.dtype.kind == "O" and any(
            isinstance(item, NO_NUMBERS) or np.iscomplexobj(item) for item in array.flat
        ):
            raise TypeError
        with np.errstate(over="ignore", under="ignore"):  # of wider floats; looked at below
            result = array.astype(np.float64)
    except (TypeError, ValueError, UserWarning):
        raise InvalidArgument(
            name, "must be a real number or an array of real numbers", quoted(value)
        ) from None
    except OverflowError:
        raise _out_of_range(name, value) from None
    if array.dtype.kind == "O" or array.dtype.itemsize > result.itemsize:
        # 1e400 is not inf, which has a meaning of its own, and 1e-400 is not zero
        ends = np.isinf(result) | (result == 0)
        if np.any(array[ends] != result[ends]):
            raise _out_of_range(name, value)
    return result + 0.0  # -0 is 0: 1/lam is never -inf


def _masked_inside(value: object, depth: int) -> bool:
    """Whether lists hold masked arrays, whose masks numpy drops."""
    if isinstance(value, list | tuple):
        return depth > 0 and any(_masked_inside(item, depth - 1) for item in value)
    return isinstance(value, np.ma.MaskedArray)


def _out_of_range(name: str, value: object) -> InvalidArgument:
    return InvalidArgument(name, "must be within the range of doubles", quoted(value))


def quoted(value: object) -> str:
    """What was given, as a message repeats it."""
    try:
        said = repr(value)
    except Exception:  # an integer of more than 4300 digits, or an object that has no words
        said = f"an object of type {type(value).__name__}"
    return said if len(said) <= LONGEST_QUOTE else said[:LONGEST_QUOTE] + "..."


def show(value: float) -> str:
    """The shortest digits that name this double; integers without a point."""
    return repr(float(value)).removesuffix(".0")


def _memory() -> float:
    """Bytes of this machine, or those that this process is allowed; inf if nobody says."""
    try:
        there = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):  # not POSIX
        return float("inf")
    try:
        allowed = float(Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):  # no limit, or none written there
        return there
    return min(there, allowed)


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

    def check(self, name: str, values: NDArray[np.float64], rule: Range) -> None:
        """Refuse the entries of ``values`` that break ``rule``."""
        broken = np.flatnonzero(~rule.holds(values))
        self.refuse(broken, f"`{name}` {rule.words}", values[broken])


def broadcast(
    arguments: Mapping[str, ArrayLike], entry: int = BYTES_OF_NUMBER
) -> tuple[tuple[int, ...], dict[str, NDArray[np.float64]]]:
    """Common shape of the arguments, and each one flattened to it.

    Raises
    ------
    ValueError
        If an argument is not numeric or the shapes do not broadcast.
    MemoryError
        If so many entries, of ``entry`` bytes each, do not fit in this machine: small arguments
        broadcast to large ones, and the system might first give memory and then kill.
    """
    arrays = {name: numbers(name, value) for name, value in arguments.items()}
    if all(array.ndim == 0 for array in arrays.values()):
        return (), {name: array.reshape(1) for name, array in arrays.items()}
    try:
        shape = np.broadcast_shapes(*(a.shape for a in arrays.values()))
    except ValueError:
        shapes = ", ".join(f"`{name}` {a.shape}" for name, a in arrays.items())
        raise ValueError(f"arguments must broadcast to one shape; got {shapes}") from None
    size = math.prod(shape)
    if size > MANY and size * float(entry) > (there := _memory()):
        raise MemoryError(
            f"arguments must broadcast to a shape that leaves room in memory: {shape} takes about "
            f"{size * entry / 1e9:.3g} GB; got {there / 1e9:.3g} GB on this machine (solve parts "
            "of the array in turn)"
        )
    return shape, {name: np.broadcast_to(a, shape).ravel() for name, a in arrays.items()}


def number(name: str, value: object) -> float:
    """A single real number, or a ``ValueError``."""
    values = numbers(name, value)  # type: ignore[arg-type]
    if values.ndim:
        raise InvalidArgument(name, "must be a number", quoted(value))
    return float(values)


def whole(name: str, value: object) -> int:
    """An integer of Python or numpy, or a ``ValueError``; True and False count nothing."""
    # numpy counts spans of time among the integers
    if not isinstance(value, int | np.integer) or isinstance(value, bool | np.timedelta64):
        raise InvalidArgument(name, "must be a whole number", quoted(value))
    return int(value)


def is_one_of(value: object, words: Collection[str]) -> bool:
    """Whether it is one of these words; what cannot be compared with a word is not."""
    return isinstance(value, str) and value in words
