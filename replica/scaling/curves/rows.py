"""Where the rows of a table came from: a message names the row that its reader can look up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replica.common.text import cut, printable

__all__ = ["Log", "Rows"]

Index = NDArray[np.intp]


@dataclass(frozen=True)
class Rows:
    """Rows of a table, each with its number in the file that it came from.

    Attributes
    ----------
    number : (n,) array
        Counted from 1, which is the first row of data.
    place : (n,) array
        Of the file among `names`.
    names : tuple of str
        Files, or runs within a file; empty where there is only one.
    """

    number: Index
    place: Index
    names: tuple[str, ...] = ()

    @classmethod
    def counted(cls, n: int) -> Rows:
        """The n rows of one table."""
        return cls(np.arange(1, n + 1), np.zeros(n, dtype=np.intp))

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Rows:
        """Some of the rows."""
        return Rows(self.number[rows], self.place[rows], self.names)

    def number_of(self, row: int) -> str:
        """The number of a row, and the file if there are several."""
        file = f" of {printable(cut(self.names[self.place[row]]))}" if self.names else ""
        return f"{self.number[row]}{file}"

    def words(self, row: int) -> str:
        """A row, as in "row 7 of a.csv"."""
        return f"row {self.number_of(row)}"

    def pair(self, one: int, other: int) -> str:
        """Two rows, as in "rows 7 and 9"."""
        if not self.names:
            return f"rows {self.number[one]} and {self.number[other]}"
        return f"{self.words(one)} and {self.words(other)}"


@dataclass(frozen=True)
class Log:
    """A table on its way in.

    Attributes
    ----------
    frame : DataFrame
        With the titles that the file has, or those of the canonical table where its format
        settles what a column holds.
    rows : Rows
    notes : tuple of str
        What was found out about the file.
    holes : bool
        The file is a log of several quantities, each on rows of its own: a row without the error
        is no record, and no gap.
    labelled : str
        What P and seed were told by the file's name or configuration, in words; may be empty.
    """

    frame: pd.DataFrame
    rows: Rows
    notes: tuple[str, ...] = ()
    holes: bool = False
    labelled: str = ""
