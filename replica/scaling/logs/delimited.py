"""Tables as text: the separator and the decimal sign are found out, numbers are read fast."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replica.common.text import printable

__all__ = ["read_delimited"]

#: Separators, and what a note calls them; the first is what a CSV file has.
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
#: So much of the text is looked at for the separator: a choice. A line is not cut.
SAMPLE = 1 << 14
#: Numbers to the last bit, which later versions read by default.
LATER = tuple(int(part) for part in pd.__version__.split(".")[:2]) >= (3, 1)
EXACT: dict[str, Any] = {} if LATER else {"float_precision": "round_trip"}
#: What stands before a number and after it, where a comma does not separate cells.
BEFORE, AFTER = rb"(?:^|[;\t\n\r])[ ]*[+-]?", rb"(?:[eE][+-]?[0-9]+)?[ ]*(?=[;\t\n\r]|$)"
#: A decimal comma that cannot be one of thousands: not three digits after it, or a zero before.
DECIMAL = re.compile(BEFORE + rb"(?:0,[0-9]+|[0-9]+,(?:[0-9]{1,2}|[0-9]{4,}))" + AFTER)
#: A number with a point.
POINT = re.compile(BEFORE + rb"[0-9]*\.[0-9]+" + AFTER)
#: Commas with three digits after each, which may be either.
EITHER = re.compile(BEFORE + rb"[0-9]+(?:,[0-9]{3})+" + AFTER)


def read_delimited(
    content: bytes, path: Path, names: frozenset[Hashable], allow: Callable[[int], None]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """A table of text with a header.

    Columns in which every cell is a number are read as such, to the last bit; of the others, and of
    those in ``names``, the text is kept cell by cell.

    Parameters
    ----------
    content : bytes
        UTF-8; blank lines do not count.
    path : Path
        For messages.
    names : frozenset
        Titles of columns that are kept as text.
    allow : callable
        Called with the number of columns, before the table is read; raises if there are too many.
    """
    shown = printable(str(path))
    separator = _separator(content)
    allow(content[: _line_end(content)].count(separator.encode()) + 1)
    decimal, notes = _decimal(content, separator, shown)
    options: dict[str, Any] = {"sep": separator, "skipinitialspace": True}
    try:
        header = pd.read_csv(
            io.BytesIO(content), header=None, nrows=1, dtype=object, na_filter=False, **options
        )
        titles = [str(title) for title in header.iloc[0]]
        frame = _fast(content, titles, names, options | {"decimal": decimal})
        if frame is None:
            frame = _text(content, options)
            if decimal == ",":
                frame = frame.map(lambda cell: str(cell).replace(",", "."))
    except pd.errors.EmptyDataError:
        raise ValueError(f"{shown} is empty") from None
    except (ValueError, EOFError) as error:
        reason = printable(str(error).strip())
        raise ValueError(f"{shown} cannot be read as CSV in UTF-8: {reason}") from None
    return frame.set_axis([title.strip() for title in titles], axis=1), notes


def _line_end(content: bytes) -> int:
    """Where the first line ends that is not blank."""
    start = len(content) - len(content.lstrip(b"\r\n"))
    ends = [at for at in (content.find(b"\n", start), content.find(b"\r", start)) if at >= 0]
    return min(ends, default=len(content))


def _separator(content: bytes) -> str:
    """What separates the cells: of what the first line has, what most rows agree in."""
    start = len(content) - len(content.lstrip(b"\r\n"))
    sample = content[start : start + max(SAMPLE, _line_end(content) - start)]
    text = sample.decode("utf-8-sig", errors="replace")
    lines = text.splitlines()[:20]
    if len(sample) < len(content) - start and len(lines) > 1:
        lines = lines[:-1]  # cut in the middle
    widths = {}
    for separator in SEPARATORS:
        try:
            rows = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        except csv.Error:  # a cell of 131,072 characters: no separator of these
            continue
        if rows and rows[0] > 1:
            widths[separator] = (sum(row == rows[0] for row in rows), rows[0])
    return max(widths, key=lambda separator: widths[separator], default=",")


def _decimal(content: bytes, separator: str, shown: str) -> tuple[str, tuple[str, ...]]:
    """The decimal sign, and a note of what was found out.

    A comma is one where it does not separate cells and some number shows that it does not group
    thousands.
    """
    if separator == ",":
        return ".", ()
    cells = f"cells are separated by {SEPARATORS[separator]}"
    if DECIMAL.search(content):
        if POINT.search(content):
            raise ValueError(
                f"{shown}: {cells}, and numbers have decimal commas and points; write points only, "
                "and no sign for thousands"
            )
        return ",", (f"{cells}, and numbers have decimal commas",)
    if EITHER.search(content):
        raise ValueError(
            f"{shown}: {cells}, and a comma in its numbers may be a decimal sign or group "
            "thousands, as in 1,000; write decimal points, and no sign for thousands"
        )
    return ".", (cells,)


def _fast(
    content: bytes, titles: list[str], names: frozenset[Hashable], options: dict[str, Any]
) -> pd.DataFrame | None:
    """The table with numbers read in C; None where rows differ in length from the header."""
    kept = {title: str for title in titles if title.strip() in names}
    common: dict[str, Any] = {**options, "index_col": False, "keep_default_na": False, **EXACT}
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # of rows longer than the header
        try:
            frame = pd.read_csv(
                io.BytesIO(content),
                na_values=[""],
                dtype=kept,
                low_memory=False,
                **common,
            )
            if len(frame.columns) != len(titles):
                return None
            columns = [
                frame.iloc[:, at].astype("category") if title in kept else frame.iloc[:, at]
                for at, title in enumerate(titles)
            ]
            unsure = [at for at, column in enumerate(columns) if not _settled(column)]
            if unsure:
                text = pd.read_csv(
                    io.BytesIO(content), na_filter=False, dtype=object, usecols=unsure, **common
                )
                for place, at in enumerate(unsure):
                    columns[at] = text.iloc[:, place]
                    if options["decimal"] == ",":
                        columns[at] = columns[at].str.replace(",", ".", regex=False)
        except (pd.errors.ParserWarning, ValueError, OverflowError):
            return None
    return pd.concat(columns, axis=1)


def _settled(column: pd.Series[Any]) -> bool:
    """Whether all are names, or numbers that doubles hold; else they are read again as text."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return True
    if not isinstance(column.dtype, np.dtype) or column.dtype.kind not in "iuf":
        return False
    values = column.to_numpy(np.float64)
    return bool(np.isfinite(values).all())


def _text(content: bytes, options: dict[str, Any]) -> pd.DataFrame:
    """The table as text, cell by cell."""
    # The header is read as a row, so that a row wider than the header is an error;
    # one that is too short ends in empty text, which is missing.
    text = pd.read_csv(io.BytesIO(content), header=None, dtype=object, na_filter=False, **options)
    return text.iloc[1:].reset_index(drop=True)
