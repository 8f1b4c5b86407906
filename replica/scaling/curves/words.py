"""Counts, rows and names, as messages about tables say them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replica.common.arguments import quoted
from replica.common.text import cut, printable

__all__ = ["listed_titles", "marks", "more", "of", "said"]

#: So many column names are listed in a message: a choice.
MOST_LISTED = 20


def marks(*keys: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a sorted table begins a new group: true wherever a key differs from the row above."""
    begins = np.ones(len(keys[0]), dtype=np.bool_)
    begins[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return begins


def said(value: Any) -> str:
    """A cell in its own words, if it has any, in one printable line."""
    try:
        return printable(cut(str(value), 500))
    except ValueError:  # more digits than Python writes
        return quoted(value)


def more(count: int, noun: str = "") -> str:
    """How many more, in words; may be empty."""
    if count == 0:
        return ""
    return f" and {count} more" if not noun else f" ({count} more {noun}{'s' * (count > 1)} so)"


def of(part: int, whole: int, noun: str) -> str:
    """A part of a whole, in words."""
    return f"{part} of {whole} {noun}{'s' * (whole != 1)}"


def listed_titles(titles: Iterable[Hashable]) -> str:
    """Names of columns, not too many of them."""
    shown = [repr(title) for title in titles]
    return ", ".join(shown[:MOST_LISTED]) + more(max(0, len(shown) - MOST_LISTED))
