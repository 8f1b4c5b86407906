"""The door: arguments are read and refused here, in one wording."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

__all__ = ["count", "number", "one_of"]


def number(
    name: str,
    value: Any,
    rule: str,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    low_open: bool = False,
) -> float:
    """One finite real number within [low, high], or (low, high] if ``low_open``."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        result = np.nan
    inside = (result > low if low_open else result >= low) and result <= high
    if not (inside and np.isfinite(result)):
        raise ValueError(f"`{name}` must be {rule}; got {value!r}")
    return result


def count(name: str, value: Any, low: int, rule: str) -> int:
    """One integer of at least ``low``."""
    try:
        result = operator.index(value)
    except TypeError:
        result = low - 1
    if result < low:
        raise ValueError(f"`{name}` must be {rule}; got {value!r}")
    return result


def one_of(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """One of the words."""
    if value not in choices:
        words = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"`{name}` must be one of {words}; got {value!r}")
    return str(value)
