"""Rows of a table by the names of its columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["rows"]


def rows(table: pd.DataFrame) -> Iterator[Any]:
    """Each row as a named tuple; a type checker cannot know what a column holds."""
    yield from table.itertuples()
