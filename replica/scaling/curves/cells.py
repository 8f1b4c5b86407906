"""Cells of a column as numbers or names; what is neither is named with its row."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replica.common.arguments import as_double, quoted
from replica.scaling.curves.rows import Rows
from replica.scaling.curves.words import more, said

__all__ = ["Column", "missing"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Index = NDArray[np.intp]

#: Text that stands for a missing value, in lower case.
MISSING = frozenset({"", "na", "n/a", "#n/a", "<na>", "nan", "none", "null"})
#: Text that is an integer and nothing else ("007" is a name); 18 digits fit in 64 bits.
INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
#: A number with a decimal comma, which only a file with another separator may have.
COMMA = re.compile(r"\s*[+-]?[0-9]+,[0-9]+\s*")


@dataclass(frozen=True)
class Column:
    """A column on its way in.

    Attributes
    ----------
    label : str
        How messages name it.
    cells : Series
    rows : Rows
    """

    label: str
    cells: pd.Series[Any]
    rows: Rows

    @classmethod
    def at(cls, frame: pd.DataFrame, name: str, place: int, rows: Rows) -> Column:
        """The column at a position, with a label that also tells its name in the table."""
        title = frame.columns[place]
        label = f"`{name}`" if title == name else f"`{name}` (column {title!r})"
        return cls(label, frame.iloc[:, place], rows)

    def take(self, rows: Index | Mask) -> Column:
        """Some of the rows."""
        return Column(self.label, self.cells.iloc[rows], self.rows.take(rows))

    def gaps(self) -> Mask:
        """Which cells are missing."""
        if isinstance(self.cells.dtype, np.dtype) and self.cells.dtype.kind in "iuf":
            return np.isnan(self.cells.to_numpy())
        if isinstance(self.cells.dtype, pd.CategoricalDtype):
            lacking = np.array([*map(missing, self.cells.cat.categories), True])
            return lacking[self.cells.cat.codes]
        return np.fromiter(map(missing, self.cells.tolist()), np.bool_, len(self.cells))

    def loose(self) -> Array:
        """The cells as numbers; nan where one is missing or no number."""
        if isinstance(self.cells.dtype, np.dtype) and self.cells.dtype.kind in "iuf":
            with np.errstate(over="ignore"):  # of an extended float: inf, and refused as such
                return self.cells.to_numpy().astype(np.float64)
        cells = self.cells.astype(object).tolist()
        plain = _texts(cells)
        return np.array([*map(_number, cells)], dtype=np.float64) if plain is None else plain

    def numbers(self) -> Array:
        """The cells as numbers; refuses what is missing or no number."""
        values = self.loose()
        bad = np.isnan(values)
        if bad.any():
            self.refuse_gaps(bad)
            cell = self.cells.iloc[int(np.argmax(bad))]
            comma = isinstance(cell, str) and COMMA.fullmatch(cell)
            self.refuse(bad, "must be a number", "; write a decimal point" if comma else "")
        return values

    def refuse_gaps(self, bad: Mask) -> None:
        """Refuse the rows marked, if the first of them is missing."""
        if bad.any() and missing(self.cells.iloc[int(np.argmax(bad))]):
            raise ValueError(
                f"{self.label} is missing in row {self.counted(bad)}; fill the gap, or have such "
                "rows left out by `drop_missing=True` (`--drop-missing`)"
            )

    def refuse(self, bad: Mask, rule: str, way_out: str = "") -> None:
        """Refuse the rows marked."""
        if bad.any():
            value = self.shown(int(np.argmax(bad)))
            raise ValueError(
                f"{self.label} {rule}; got {value} in row {self.counted(bad)}{way_out}"
            )

    def counted(self, bad: Mask) -> str:
        """The first row marked, and how many more."""
        return f"{self.rows.number_of(int(np.argmax(bad)))}{more(int(np.count_nonzero(bad)) - 1)}"

    def shown(self, row: int) -> str:
        """A cell as the table has it: numbers plain, anything else as Python writes it."""
        cell = self.cells.iloc[row]
        if math.isnan(_number(cell)):
            return quoted(cell.item() if isinstance(cell, np.generic) else cell)
        if isinstance(cell, str):
            return said(cell.strip())
        return said(cell).removesuffix(".0")

    def names(self) -> tuple[Index, NDArray[Any]]:
        """For each row the place of its name among the distinct names, and these, sorted.

        Text is stripped, and names that are all written as integers are integers: a table is the
        same before and after a CSV file.
        """
        found, distinct = self._factorized()
        plain = [_plain(name) for name in distinct]
        lacking = np.array([*map(missing, plain), True])  # found is -1, the last, at None and nan
        self.refuse_gaps(lacking[found])
        if all(isinstance(name, str) and INTEGER.fullmatch(name) for name in plain):
            plain = [int(name) for name in plain]
        try:
            names = sorted(set(plain))
        except TypeError:  # integers beside names
            names = sorted(set(plain), key=lambda name: (type(name).__name__, str(name)))
        place = {name: i for i, name in enumerate(names)}
        integers = all(type(name) is int and abs(name) < 2**63 for name in names)
        array = np.empty(len(names), dtype=np.int64 if integers else object)
        array[:] = names
        return np.array([place[name] for name in plain], dtype=np.intp)[found], array

    def _factorized(self) -> tuple[Index, list[Any]]:
        """For each row the place of its cell among the distinct cells; -1 where there is none."""
        if isinstance(self.cells.dtype, pd.CategoricalDtype):
            codes = self.cells.cat.codes.to_numpy().astype(np.intp)
            here, codes = np.unique(codes, return_inverse=True)
            shift = int(here[0] < 0)  # the first, where a cell is missing
            return codes - shift, [self.cells.cat.categories[code] for code in here[shift:]]
        cells = self.cells.astype(object)
        try:
            found, distinct = pd.factorize(cells.to_numpy())
        except TypeError:
            self.refuse(~np.array([*map(_hashable, cells)]), "must be an integer or a name")
            raise
        return found, list(distinct)


def missing(cell: Any) -> bool:
    """Whether a cell stands for a missing value."""
    if isinstance(cell, str):
        return cell.strip().lower() in MISSING
    return pd.api.types.is_scalar(cell) and bool(pd.isna(cell))


def _texts(cells: Sequence[Any]) -> Array | None:
    """The cells as numbers if all are text that Python reads as such: the fast way."""
    if set(map(type, cells)) != {str} or "_" in "".join(cells):
        return None
    try:
        return np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None


def _number(cell: Any) -> float:
    """A cell as a number; nan if it is missing or no number."""
    if isinstance(cell, bool | np.bool_):  # a mark, which nobody counts
        return math.nan
    try:
        if isinstance(cell, str):
            return math.nan if "_" in cell else float(cell)  # Python reads "1_0" as 10
        found = as_double(cell)
    except ValueError:
        return math.nan
    except OverflowError:  # an integer beyond 1e308
        return math.inf
    return math.nan if found is None else found


def _hashable(name: Any) -> bool:
    """Whether a name can tell one curve from another."""
    try:
        hash(name)
    except TypeError:
        return False
    return True


def _plain(name: Any) -> Any:
    """A name as Python's own int or str where it is one; pandas makes floats of integers."""
    if isinstance(name, str):
        return name.strip()
    if isinstance(name, np.generic):
        name = name.item()
    if isinstance(name, bool) or not isinstance(name, numbers.Real | Decimal):
        return name
    try:
        whole = int(name)  # type: ignore[arg-type]
        return whole if name == whole else name
    except (ArithmeticError, ValueError):  # inf, nan
        return name
