"""The door: arguments are read and refused here, in one wording."""

from __future__ import annotations

import numbers
import operator
import os
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["count", "instance", "memory", "number", "one_of", "quoted", "vector"]

Kind = TypeVar("Kind")

#: Characters of a value that a message repeats.
LONGEST_QUOTE = 200


def number(
    name: str,
    value: Any,
    rule: str,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    low_open: bool = False,
    least: float = 0.0,
) -> float:
    """One finite real number within [low, high], or (low, high] if ``low_open``.

    ``least`` is where a positive number becomes too small to compute with.
    """
    result = _float(value)
    inside = (result > low if low_open else result >= low) and result <= high
    if not (inside and np.isfinite(result)):
        raise ValueError(f"`{name}` must be {rule}; got {quoted(value)}")
    if 0 < result < least:
        raise ValueError(f"`{name}` must be at least {least:g}; got {quoted(value)}")
    return result


def _float(value: Any) -> float:
    """A number as a float; nan where it is none, although Python might read or count it."""
    # a masked number would become nan with a warning; text is read, a span of time is counted
    if isinstance(value, str | bytes | bytearray | np.ma.MaskedArray | np.timedelta64):
        return float("nan")
    if isinstance(value, numbers.Complex) and not isinstance(value, numbers.Real):
        return float("nan")
    if isinstance(value, np.ndarray) and (value.ndim > 0 or value.dtype.kind not in "biufO"):
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def count(name: str, value: Any, low: int, rule: str, *, high: int | None = None) -> int:
    """One integer of at least ``low``, and at most ``high``."""
    try:
        result = operator.index(value)
    except TypeError:
        result = low - 1
    if result < low:
        raise ValueError(f"`{name}` must be {rule}; got {quoted(value)}")
    if high is not None and result > high:
        raise ValueError(f"`{name}` must be at most {high}; got {quoted(value)}")
    return result


def one_of(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """One of the words."""
    if not isinstance(value, str) or value not in choices:
        words = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"`{name}` must be one of {words}; got {quoted(value)}")
    return str(value)


def instance(name: str, value: Any, kind: type[Kind]) -> Kind:
    """An object of one class."""
    if not isinstance(value, kind):
        raise ValueError(f"`{name}` must be of type {kind.__name__}; got {quoted(value)}")
    return value


def vector(name: str, value: Any, size: int, rule: str = "finite numbers") -> NDArray[np.float64]:
    """A copy of so many finite real numbers."""
    try:
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError
        array = np.asarray(value)
        if array.dtype.kind == "O":
            array = np.array([_float(item) for item in array.flat]).reshape(array.shape)
        if array.dtype.kind not in "biuf":
            raise TypeError
    except (TypeError, ValueError, UserWarning):
        raise ValueError(f"`{name}` must be {size} real numbers; got {quoted(value)}") from None
    if array.shape != (size,):
        raise ValueError(f"`{name}` must have shape ({size},); got {array.shape}")
    with np.errstate(over="ignore"):  # of wider floats
        result = array.astype(np.float64)
    if not np.all(np.isfinite(result)):
        wrong = result[~np.isfinite(result)][0]
        raise ValueError(f"`{name}` must be {rule}; got {wrong} among them")
    return result


def memory(names: str, needed: float, what: str) -> None:
    """Refuse what cannot fit in this machine, where the system might first give and then kill."""
    there = _memory()
    if needed > there:
        raise MemoryError(
            f"{names} must leave room in memory: {what} takes {needed / 1e9:.3g} GB; "
            f"got {there / 1e9:.3g} GB on this machine"
        )


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


def quoted(value: object) -> str:
    """What was given, as a message repeats it."""
    try:
        said = repr(value)
    except Exception:  # an integer of more than 4300 digits, or an object that has no words
        said = f"an object of type {type(value).__name__}"
    return said if len(said) <= LONGEST_QUOTE else said[:LONGEST_QUOTE] + "..."
