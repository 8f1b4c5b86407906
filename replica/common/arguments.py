"""Arguments are read, converted and refused where they enter, once, in one wording.

A scalar that breaks its rule raises `InvalidArgument`; an entry of an array that breaks it is
marked with the same sentence and the other entries are kept (`replica.common.refusals`).
From there inward every number is known to be good.
"""

from __future__ import annotations

import math
import numbers as kinds
import operator
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.common.errors import InvalidArgument, quoted, show

__all__ = [
    "NOT_NEGATIVE",
    "POSITIVE",
    "InvalidArgument",
    "Range",
    "as_double",
    "broadcast",
    "check_memory",
    "instance",
    "is_one_of",
    "number",
    "numbers",
    "quoted",
    "show",
    "vector",
    "whole",
    "word",
]

Kind = TypeVar("Kind")


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


POSITIVE = Range(0.0, math.inf, "must be positive and finite", low_open=True, high_open=True)
NOT_NEGATIVE = Range(0.0, math.inf, "must be 0 or positive and finite", high_open=True)

#: What Python or numpy would turn into a number although it is none: text is read, a date or a span
#: of time counted, None and what is masked become nan.
NO_NUMBERS = (
    str,
    bytes,
    bytearray,
    type(None),
    np.datetime64,
    np.timedelta64,
    np.ma.MaskedArray,
)
#: Memory of an entry of a broadcast array: arguments, flags and an answer; and of one that is
#: solved, measured on a grid of 10^5.
BYTES_OF_NUMBER, BYTES_OF_SOLUTION = 100, 1300
#: Fewer entries fit anywhere, and nobody is asked.
MANY = 10**5
#: Integers below this are doubles.
EXACT = 2**53


def as_double(value: object) -> float | None:
    """The double nearest to a number; None for what is no real number.

    Booleans count as 0 and 1, as they do in Python.

    Raises
    ------
    OverflowError
        If it is an integer beyond the range of doubles.
    """
    if isinstance(value, NO_NUMBERS):
        return None
    if isinstance(value, kinds.Complex) and not isinstance(value, kinds.Real):
        return None
    if isinstance(value, np.ndarray) and (value.ndim > 0 or value.dtype.kind not in "biufO"):
        return None
    try:
        return float(value)  # type: ignore[arg-type]  # what has no such conversion says so
    except (TypeError, ValueError, RuntimeError):  # RuntimeError is what torch raises
        return None


def numbers(name: str, value: ArrayLike) -> NDArray[np.float64]:
    """``value`` as float64, or an `InvalidArgument` that names the argument.

    Booleans count as 0 and 1, as they do in Python. Of pandas objects the values
    are read, in their order, and the index is not.
    """
    plain: object = value
    if type(plain) is float or (type(plain) is int and abs(plain) < EXACT):
        return np.array(plain + 0.0)  # -0 is 0: 1/lam is never -inf
    try:
        if isinstance(value, np.ma.MaskedArray | bytearray):
            raise TypeError
        array = np.asarray(value)
        if array.dtype.kind not in "biufO" or _masked_inside(value, array.ndim):
            raise TypeError
        if array.dtype.kind == "O":
            found = [as_double(item) for item in array.flat]
            if None in found:
                raise TypeError
            result = np.array(found, dtype=np.float64).reshape(array.shape)
        else:
            with np.errstate(over="ignore", under="ignore"):  # of wider floats; looked at below
                result = array.astype(np.float64)
    except (TypeError, ValueError, RuntimeError, UserWarning):
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
    if size > MANY:
        check_memory(
            "arguments must broadcast to a shape that leaves room in memory",
            f"{shape} takes about",
            size * float(entry),
            " (solve parts of the array in turn)",
        )
    return shape, {name: np.broadcast_to(a, shape).ravel() for name, a in arrays.items()}


def check_memory(rule: str, takes: str, needed: float, way_out: str = "") -> None:
    """Refuse what cannot fit in this machine, where the system might first give and then kill.

    Raises
    ------
    MemoryError
        "``rule``: ``takes`` 80 GB; got 8 GB on this machine``way_out``".
    """
    if needed > (there := _memory()):
        raise MemoryError(
            f"{rule}: {takes} {needed / 1e9:.3g} GB; got {there / 1e9:.3g} GB on this machine"
            f"{way_out}"
        )


def number(name: str, value: object, *rules: Range) -> float:
    """A single real number that obeys the rules.

    Parameters
    ----------
    name : str
        Of the argument.
    value : object
        What was given for it.
    *rules : Range
        Looked at in turn. Without one any double will do, nan included.

    Raises
    ------
    InvalidArgument
        In the words of the first rule that is broken.
    """
    try:
        values = numbers(name, value)  # type: ignore[arg-type]
    except InvalidArgument:
        if rules:
            raise InvalidArgument(name, rules[0].words, quoted(value)) from None
        raise
    if values.ndim:
        raise InvalidArgument(name, rules[0].words if rules else "must be a number", quoted(value))
    result = float(values)
    for rule in rules:
        if not rule.allows(result):
            raise InvalidArgument(name, rule.words, quoted(value))
    return result


def whole(
    name: str, value: object, low: int | None = None, high: int | None = None, words: str = ""
) -> int:
    """An integer of Python, numpy or torch, at least ``low`` and at most ``high``.

    True and False count nothing, and 2.0 is no integer. ``words`` say what it must be if not "a
    whole number of at least" ``low``.

    Raises
    ------
    InvalidArgument
        If it is none, or outside.
    """
    rule = words or "a whole number" + ("" if low is None else f" of at least {low}")
    try:
        # numpy counts spans of time among the integers
        if isinstance(value, bool | np.bool_ | np.timedelta64):
            raise TypeError
        result = operator.index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):  # the last two are torch's
        raise InvalidArgument(name, f"must be {rule}", quoted(value)) from None
    if low is not None and result < low:
        raise InvalidArgument(name, f"must be {rule}", quoted(value))
    if high is not None and result > high:
        raise InvalidArgument(name, f"must be at most {high}", quoted(value))
    return result


def vector(
    name: str, value: ArrayLike, size: int, words: str = "finite numbers"
) -> NDArray[np.float64]:
    """So many finite numbers, in an array of their own.

    Raises
    ------
    InvalidArgument
        If they are no numbers, or not so many, or one is not finite: they must be ``words``.
    """
    result = numbers(name, value)
    if result.shape != (size,):
        raise InvalidArgument(name, f"must have shape ({size},)", str(result.shape))
    if not np.all(np.isfinite(result)):
        wrong = result[~np.isfinite(result)][0]
        raise InvalidArgument(name, f"must be {words}", f"{wrong} among them")
    return result


def word(name: str, value: object, words: Collection[str]) -> str:
    """One of these words, or an `InvalidArgument` that lists them."""
    if not is_one_of(value, words):
        raise InvalidArgument(name, f"must be one of {', '.join(words)}", quoted(value))
    return str(value)


def instance(name: str, value: object, kind: type[Kind], way_out: str = "") -> Kind:
    """An object of one class, or an `InvalidArgument`."""
    if not isinstance(value, kind):
        raise InvalidArgument(name, f"must be of type {kind.__name__}{way_out}", quoted(value))
    return value


def is_one_of(value: object, words: Collection[str]) -> bool:
    """Whether it is one of these words; what cannot be compared with a word is not."""
    return isinstance(value, str) and value in words
