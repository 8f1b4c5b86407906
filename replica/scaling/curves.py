"""The table of learning curves that a user brings, read and checked once.

Test error against the norm, record by record, for several P and, where there are
any, several seeds. Rows are never dropped in silence: a table is refused with the
row that is wrong, or kept whole with a note of what was noticed.
"""

from __future__ import annotations

import math
import numbers
import os
import re
import zlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replica.common.arguments import InvalidArgument, as_double, quoted, show

__all__ = ["Curves", "curves_from_table", "read_curves"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Index = NDArray[np.intp]

#: Names a table may use, in the order of the canonical table.
NAMES = ("P", "seed", "step", "epoch", "norm", "log_norm", "test_error", "train_error", "loss")
#: Text that stands for a missing value, in lower case.
MISSING = frozenset({"", "na", "n/a", "#n/a", "<na>", "nan", "none", "null"})
#: Text that is an integer and nothing else ("007" is a name); 18 digits fit in 64 bits.
INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
#: ln(norm) beyond this is no norm (1e6 is a norm of 10^434294), and its squares lose digits.
LARGEST_LOG_NORM = 1e6
#: So many column names are listed in a message: a choice.
MOST_LISTED = 20


@dataclass(frozen=True, eq=False)
class Curves:
    """Learning curves, as `curves_from_table` or `read_curves` found them.

    Attributes
    ----------
    table : DataFrame
        One row for each record, by P, seed and `step` or `epoch`: `P`, `seed` (if the table
        has seeds: integers, or whatever names them), `step` and `epoch` (if given), `log_norm`
        (natural), `test_error` in [0, 1], `train_error` and `loss` (if given), and `used`:
        whether the norm exceeds every norm before it in the curve. Only these records are
        taken where the error is a function of the norm.
    averaged : bool
        There is one curve for each P: nothing is known of the spread over seeds.
    notes : tuple of str
        What was noticed, left out or lost.
    quantity : str
        What the column `test_error` holds: "test_error", in [0, 1], or "loss", not negative and
        not bounded by 1.
    abscissa : str
        What `log_norm` holds: "norm", ln of the norm; "step", ln of the step or epoch, where the
        table has no norm; "none", zero, where each curve is a single record.
    """

    table: pd.DataFrame
    averaged: bool
    notes: tuple[str, ...]
    quantity: str = "test_error"
    abscissa: str = "norm"

    @cached_property
    def P(self) -> Array:
        """The distinct P, ascending, shape (m,)."""
        return _frozen(np.array(list(self._curves), dtype=np.float64))

    def of(self, P: float) -> list[tuple[Hashable, Array, Array]]:
        """Seed, ln(norm) and test error of every curve of one P, by seed.

        The seed is None where the curves came averaged. ln(norm) increases strictly: records
        whose norm does not exceed those before are left out. The arrays are read-only.

        Raises
        ------
        ValueError
            If there is no such P.
        """
        try:
            return list(self._curves[float(P)])
        except KeyError:
            known = ", ".join(show(p) for p in self._curves)
            raise InvalidArgument("P", f"must be one of {known}", f"{show(P)}") from None

    @cached_property
    def _curves(self) -> dict[float, list[tuple[Hashable, Array, Array]]]:
        """The curves of each P, by increasing P."""
        used = self.table[self.table["used"]]
        P, x, error = (used[name].to_numpy(np.float64) for name in ("P", "log_norm", "test_error"))
        if self.averaged:
            seeds: list[Hashable] = [None] * len(used)
            marks = _marks(P)
        else:
            seeds = used["seed"].tolist()
            marks = _marks(P, pd.factorize(used["seed"])[0])
        starts = np.flatnonzero(marks).tolist()
        curves: dict[float, list[tuple[Hashable, Array, Array]]] = {}
        for start, stop in zip(starts, [*starts[1:], len(used)], strict=True):
            curve = (seeds[start], _frozen(x[start:stop]), _frozen(error[start:stop]))
            curves.setdefault(float(P[start]), []).append(curve)
        return curves


def curves_from_table(
    table: Any, *, columns: Mapping[str, Hashable] | None = None, percent: bool = False
) -> Curves:
    """Learning curves from a table, checked.

    Parameters
    ----------
    table : DataFrame, mapping of columns, or whatever ``pandas.DataFrame`` accepts
        One row for each record. `P` (positive), `norm` (positive) or `log_norm` (natural), and
        `test_error` are required; `seed` (integers or names), `step` or `epoch`,
        `train_error` and `loss` are optional. Names are case-sensitive; other columns are
        ignored, and noted. Where both are given, `step` decides the order and `epoch` is
        carried along; where neither is, the rows of a curve are taken in their order.
    columns : mapping, optional
        From the names above to those of the table, as in ``{"norm": "spectral_norm"}``.
    percent : bool
        The errors are in percent.

    Returns
    -------
    Curves

    Raises
    ------
    ValueError
        If a column is missing or given twice; if a value is missing, no number or out of range;
        if records are repeated; if a curve has a single record; if every test error is the same;
        if the norm of a curve falls so often that fewer than half of its records exceed all
        before them. Messages name the column and the row; rows count from 1, which is
        the first row of data, whatever the index.
    """
    frame = _frame(table)
    if len(frame) == 0:
        raise InvalidArgument("table", "has no rows: there is nothing to fit")
    where = _find(frame, {} if columns is None else columns)
    records = _read({name: _column(frame, name, at) for name, at in where.items()}, percent)
    _refuse_repeats(records)
    _refuse_constant(records)
    order, curve = _sorted(records)
    _refuse_single_records(records, order, curve)
    notes = _note_ignored(frame, where)
    if records.clock is None:
        order = _turned(order, records.log_norm[order], curve, notes)
    used, dip = _climbing(records.log_norm[order], curve)
    _refuse_falling(records, order, curve, used)
    if not used.all():
        notes.append(
            f"{_of(int(np.sum(~used)), len(used), 'record')} (in "
            f"{_of(len(np.unique(curve[~used])), int(curve[-1]) + 1, 'curve')}) do not exceed the "
            "largest norm before them and are left out where the error is read as a function of "
            f"the norm; the deepest dip is {dip.max():.3g} in ln(norm)"
        )
    averaged = _judge_seeds(records, order[_marks(curve)], notes)
    columns_out = {name: column[order] for name, column in records.columns().items()}
    return Curves(pd.DataFrame(columns_out | {"used": used}), averaged, tuple(notes))


def read_curves(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, Hashable] | None = None,
    percent: bool = False,
) -> Curves:
    """Learning curves from a file, checked.

    Parameters
    ----------
    path : path
        A table with a header: ``.csv`` or ``.csv.gz`` (commas, UTF-8), ``.parquet`` or ``.pq``.
    columns, percent
        As for `curves_from_table`.

    Returns
    -------
    Curves

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If a Parquet file is asked for and pyarrow is not installed.
    ValueError
        If the file cannot be read as what its suffix says, or for the reasons of
        `curves_from_table`. Rows count from 1, which is the first below the header; blank
        lines do not count.
    """
    if not isinstance(path, str | os.PathLike):
        raise InvalidArgument("path", "must be the path of a file", quoted(path))
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"`path` must be a file of learning curves; {path} does not exist")
    if path.is_dir():
        raise InvalidArgument("path", f"must be a file of learning curves; {path} is a directory")
    if not path.is_file():  # a pipe would be waited for, a device may never end
        raise InvalidArgument(
            "path", f"must be a regular file; {path} is a pipe, a socket or a device"
        )
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        frame = _read_csv(path)
    elif name.endswith((".parquet", ".pq")):
        frame = _read_parquet(path)
    else:
        raise InvalidArgument("path", "must end in .csv, .csv.gz, .parquet or .pq", f"{path}")
    try:
        return curves_from_table(frame, columns=columns, percent=percent)
    except InvalidArgument as error:
        if error.argument != "table":  # what was asked for, not what is in the file
            raise
        raise ValueError(f"{path}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


# ------------------------------------------------------------------------- files


def _read_csv(path: Path) -> pd.DataFrame:
    """A CSV file as text, cell by cell: left alone, pandas guesses types, gaps and an index."""
    try:
        # The header is read as a row, so that a row wider than the header is an error;
        # one that is too short ends in empty text, which is missing.
        text = pd.read_csv(path, header=None, dtype=object, na_filter=False, skipinitialspace=True)
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path} is empty") from None
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as CSV in UTF-8: {str(error).strip()}") from None
    frame = text.iloc[1:]
    return frame.set_axis([str(title).strip() for title in text.iloc[0]], axis=1)


def _read_parquet(path: Path) -> pd.DataFrame:
    """A Parquet file."""
    try:
        return pd.read_parquet(path, engine="pyarrow", page_checksum_verification=True)
    except ImportError:
        raise ImportError(
            f'reading {path} needs pyarrow: pip install "replica-learning[parquet]"'
        ) from None
    except Exception as error:  # of a broken file; damaged metadata alone raises four kinds
        raise ValueError(f"{path} cannot be read as Parquet: {error}") from None


# ----------------------------------------------------------------------- columns


def _frame(table: Any) -> pd.DataFrame:
    """The table as a DataFrame, with the named levels of its index among the columns."""
    if isinstance(table, str | os.PathLike):
        raise InvalidArgument("table", "must be a table", f"the path {table!r}: use `read_curves`")
    try:
        frame = pd.DataFrame(table)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(
            "table", f"must be something pandas reads as a table: {error}"
        ) from None
    levels = [name for name in frame.index.names if name is not None and name not in frame.columns]
    return frame.reset_index(level=levels) if levels else frame


def _find(frame: pd.DataFrame, columns: Mapping[str, Hashable]) -> dict[str, int]:
    """Position of each canonical column that is there."""
    titles: list[Hashable] = list(frame.columns)
    wanted = _mapped(columns, titles)
    mapped = set(wanted.values())
    norms = {"norm", "log_norm"}
    for name in NAMES:
        settled = name in norms and not norms.isdisjoint(columns)
        if name not in wanted and name in titles and name not in mapped and not settled:
            wanted[name] = name
    if norms <= set(wanted):
        raise ValueError(
            "the table has both `norm` and `log_norm`: choose one, as in "
            "columns={'log_norm': 'log_norm'} (`--map log_norm=log_norm`)"
        )
    _refuse_incomplete(wanted, titles)
    for name, title in wanted.items():
        if titles.count(title) > 1:
            raise ValueError(f"column {title!r}, read as `{name}`, is there twice: rename one")
    return {name: titles.index(wanted[name]) for name in NAMES if name in wanted}


def _mapped(columns: Any, titles: Sequence[Hashable]) -> dict[str, Hashable]:
    """The user's mapping of names, checked."""
    if not isinstance(columns, Mapping):
        raise InvalidArgument(
            "columns", "must map names of this library to those of the table", quoted(columns)
        )
    for name, title in columns.items():
        if name not in NAMES:
            raise InvalidArgument(
                "columns",
                f"must map one of {', '.join(NAMES)} to a column of the table",
                quoted(name),
            )
        if title not in titles:
            raise InvalidArgument(
                "columns",
                f"must map `{name}` to a column of the table",
                f"{title!r}, and its columns are {_list(titles)}",
            )
    if len(set(columns.values())) < len(columns):
        raise InvalidArgument("columns", "must not map two names to one column", f"{dict(columns)}")
    if "norm" in columns and "log_norm" in columns:
        raise InvalidArgument("columns", "must map `norm` or `log_norm`, not both")
    return dict(columns)


def _refuse_incomplete(wanted: Mapping[str, Hashable], titles: Iterable[Hashable]) -> None:
    """Refuse a table without P, norm or test error, and suggest what may be meant."""
    free = [title for title in titles if title not in wanted.values()]
    lacking: list[str] = []
    alike: list[str] = []
    for names in (("P",), ("norm", "log_norm"), ("test_error",)):
        if not any(name in wanted for name in names):
            lacking.append(" or ".join(f"`{name}`" for name in names))
            alike += filter(None, [_suggestion(name, free) for name in names])
    if lacking:
        out = alike or ["name it, as in columns={'norm': 'spectral_norm'} (`--map norm=...`)"]
        raise ValueError(
            f"the table has no column {', no column '.join(lacking)}; its columns are "
            f"{_list(titles)}; {'; '.join(out)}"
        )


def _note_ignored(frame: pd.DataFrame, where: Mapping[str, int]) -> list[str]:
    """A note of the columns that are not read, or none."""
    ignored = [title for at, title in enumerate(frame.columns) if at not in where.values()]
    if not ignored:
        return []
    alike = filter(None, [_suggestion(name, ignored) for name in NAMES if name not in where])
    return ["; ".join([f"ignored columns: {_list(ignored)}", *alike])]


def _suggestion(name: str, titles: Iterable[Hashable]) -> str:
    """How to say that a column is meant which differs from ``name`` in case only; may be empty."""
    for title in titles:
        if isinstance(title, str) and title != name and title.strip().lower() == name.lower():
            return (
                f"if {title!r} is `{name}`, say so: columns={{{name!r}: {title!r}}} "
                f"(`--map {name}={title}`)"
            )
    return ""


@dataclass(frozen=True)
class _Column:
    """A column on its way in."""

    label: str  # how messages name it
    cells: pd.Series[Any]

    def numbers(self) -> Array:
        """The cells as numbers; refuses what is missing or no number."""
        kind = self.cells.dtype.kind if isinstance(self.cells.dtype, np.dtype) else "O"
        if kind in "iuf":
            with np.errstate(over="ignore"):  # of an extended float: inf, and refused as such
                values = self.cells.to_numpy().astype(np.float64)
        else:
            cells = self.cells.astype(object).tolist()
            plain = _texts(cells)
            values = np.array([*map(_number, cells)]) if plain is None else plain
        bad = np.isnan(values)
        self.refuse_gaps(bad)
        self.refuse(bad, "must be a number")
        return values

    def refuse_gaps(self, bad: Mask) -> None:
        """Refuse the rows marked, if the first of them is missing."""
        if bad.any() and _missing(self.cells.iloc[int(np.argmax(bad))]):
            raise ValueError(
                f"{self.label} is missing in row {_rows(bad)}; fill the gap or take the row out"
            )

    def refuse(self, bad: Mask, rule: str, way_out: str = "") -> None:
        """Refuse the rows marked."""
        if bad.any():
            value = self.shown(int(np.argmax(bad)))
            raise ValueError(f"{self.label} {rule}; got {value} in row {_rows(bad)}{way_out}")

    def shown(self, row: int) -> str:
        """A cell as the table has it: numbers plain, anything else as Python writes it."""
        cell = self.cells.iloc[row]
        if math.isnan(_number(cell)):
            return quoted(cell.item() if isinstance(cell, np.generic) else cell)
        if isinstance(cell, str):
            return cell.strip()
        return _said(cell).removesuffix(".0")


def _column(frame: pd.DataFrame, name: str, at: int) -> _Column:
    """The column at a position, with a label that also tells its name in the table."""
    title = frame.columns[at]
    label = f"`{name}`" if title == name else f"`{name}` (column {title!r})"
    return _Column(label, frame.iloc[:, at])


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


def _missing(cell: Any) -> bool:
    """Whether a cell stands for a missing value."""
    if isinstance(cell, str):
        return cell.strip().lower() in MISSING
    return pd.api.types.is_scalar(cell) and bool(pd.isna(cell))


# ----------------------------------------------------------------------- records


@dataclass(frozen=True)
class _Records:
    """The rows of a table as numbers, in its own order."""

    P: Array
    seed: Index  # place in `seeds`; 0 without seeds
    seeds: NDArray[Any] | None  # the distinct seeds, sorted
    log_norm: Array
    values: Mapping[str, Array]  # what else was given
    cells: Mapping[str, _Column]

    @property
    def clock(self) -> str | None:
        """The column that decides the order."""
        return next((name for name in ("step", "epoch") if name in self.values), None)

    def curve(self, row: int) -> str:
        """The curve of a row, in words."""
        seed = "" if self.seeds is None else f", seed = {_said(self.seeds[self.seed[row]])}"
        return f"P = {show(self.P[row])}{seed}"

    def columns(self) -> dict[str, NDArray[Any]]:
        """The canonical columns."""
        columns = {"P": self.P, "log_norm": self.log_norm, **self.values}
        if self.seeds is not None:
            columns["seed"] = self.seeds[self.seed]
        return {name: columns[name] for name in NAMES if name in columns}


def _read(cells: Mapping[str, _Column], percent: bool) -> _Records:
    """Every column as numbers within their range."""
    P = cells["P"].numbers()
    cells["P"].refuse(~(np.isfinite(P) & (P > 0)), "must be finite and positive")
    seed, seeds = _seeds(cells["seed"]) if "seed" in cells else (np.zeros(len(P), np.intp), None)
    values: dict[str, Array] = {}
    for name in ("step", "epoch", "loss"):
        if name in cells:
            values[name] = cells[name].numbers()
            cells[name].refuse(~np.isfinite(values[name]), "must be finite")
    log_norm = _log_norm(cells)
    for name in ("test_error", "train_error"):
        if name in cells:
            values[name] = _rate(cells[name], percent)
    return _Records(P, seed, seeds, log_norm, values, cells)


def _log_norm(cells: Mapping[str, _Column]) -> Array:
    """ln(norm), from whichever of the two columns there is."""
    if "log_norm" in cells:
        values = cells["log_norm"].numbers()
        cells["log_norm"].refuse(~np.isfinite(values), "must be finite")
        beyond = np.abs(values) > LARGEST_LOG_NORM
        most = f"{LARGEST_LOG_NORM:g}"
        cells["log_norm"].refuse(beyond, f"must lie between -{most} and {most}")
        return values
    norm = cells["norm"].numbers()
    bad = ~(np.isfinite(norm) & (norm > 0))
    first = norm[np.argmax(bad)]
    way_out = ""
    if first < 0:
        way_out = "; if it is the natural logarithm of the norm, name it `log_norm`"
    elif first == np.inf:
        way_out = "; a norm beyond 1e308 has to come as `log_norm`"
    cells["norm"].refuse(bad, "must be finite and positive", way_out)
    return np.asarray(np.log(norm))


def _rate(column: _Column, percent: bool) -> Array:
    """A column of errors as fractions."""
    values = column.numbers()
    most = float(values.max())
    if percent:
        column.refuse(~((values >= 0) & (values <= 100)), "must lie in [0, 100], being in percent")
        if 0 < most <= 1:
            raise ValueError(
                f"{column.label} looks like fractions: its largest value is {show(most)}, but "
                "`percent` is set; leave out `percent=True` (`--percent`)"
            )
        return values / 100
    way_out = ""
    if values.min() >= 0 and most <= 100:
        way_out = (
            f"; the largest is {show(most)}: if these are percent, as they look, pass "
            "`percent=True` (`--percent`)"
        )
    column.refuse(~((values >= 0) & (values <= 1)), "must lie in [0, 1]", way_out)
    return values


def _seeds(column: _Column) -> tuple[Index, NDArray[Any]]:
    """For each row the place of its seed among the distinct seeds, and these, sorted.

    Text is stripped, and seeds that are all written as integers are integers: a table is the
    same before and after a CSV file.
    """
    cells = column.cells.astype(object)
    try:
        found, distinct = pd.factorize(cells.to_numpy())
    except TypeError:
        column.refuse(~np.array([*map(_hashable, cells)]), "must be an integer or a name")
        raise
    plain = [_plain(seed) for seed in distinct]
    missing = np.array([*map(_missing, plain), True])  # found is -1, the last, at None and nan
    column.refuse_gaps(missing[found])
    if all(isinstance(seed, str) and INTEGER.fullmatch(seed) for seed in plain):
        plain = [int(seed) for seed in plain]
    try:
        seeds = sorted(set(plain))
    except TypeError:  # integers beside names
        seeds = sorted(set(plain), key=lambda seed: (type(seed).__name__, str(seed)))
    place = {seed: i for i, seed in enumerate(seeds)}
    integers = all(type(seed) is int and abs(seed) < 2**63 for seed in seeds)
    array = np.empty(len(seeds), dtype=np.int64 if integers else object)
    array[:] = seeds
    return np.array([place[seed] for seed in plain], dtype=np.intp)[found], array


def _hashable(seed: Any) -> bool:
    """Whether a seed can tell one curve from another."""
    try:
        hash(seed)
    except TypeError:
        return False
    return True


def _plain(seed: Any) -> Any:
    """A seed as Python's own int or str where it is one; pandas makes floats of integers."""
    if isinstance(seed, str):
        return seed.strip()
    if isinstance(seed, np.generic):
        seed = seed.item()
    if isinstance(seed, bool) or not isinstance(seed, numbers.Real | Decimal):
        return seed
    try:
        whole = int(seed)  # type: ignore[arg-type]
        return whole if seed == whole else seed
    except (ArithmeticError, ValueError):  # inf, nan
        return seed


def _refuse_repeats(records: _Records) -> None:
    """Refuse two records of one curve at the same time or, without a time, at the same norm."""
    clock = records.clock
    keys = (records.P, records.seed, records.log_norm if clock is None else records.values[clock])
    order = np.lexsort(keys[::-1])
    again = np.flatnonzero(~_marks(*[key[order] for key in keys]))
    if len(again) == 0:
        return
    second = again[np.argmin(order[again])]  # the first row of the table that repeats another
    first, row = int(order[second - 1]), int(order[second])
    name = clock or ("norm" if "norm" in records.cells else "log_norm")
    way_out = (
        "if they are of different seeds, the table lacks a `seed` column, or it has to be named "
        "(`--map seed=...`)"
        if records.seeds is None
        else "take one of them out"
    )
    raise ValueError(
        f"rows {first + 1} and {row + 1} repeat one record ({records.curve(row)}, {name} = "
        f"{records.cells[name].shown(row)}){_more(len(again) - 1)}; {way_out}"
    )


def _refuse_constant(records: _Records) -> None:
    """Refuse a table in which every test error is the same."""
    error, column = records.values["test_error"], records.cells["test_error"]
    if np.all(error == error[0]):
        raise ValueError(f"nothing to fit: every {column.label} is {column.shown(0)}")


def _sorted(records: _Records) -> tuple[Index, Index]:
    """The rows by P, seed and time, and the number of the curve that each then belongs to."""
    time = [] if records.clock is None else [records.values[records.clock]]
    order = np.lexsort((*time, records.seed, records.P))  # stable: the table's order without a time
    return order, np.cumsum(_marks(records.P[order], records.seed[order])) - 1


def _refuse_single_records(records: _Records, order: Index, curve: Index) -> None:
    """Refuse curves of a single record."""
    alone = np.flatnonzero(np.bincount(curve) == 1)
    if len(alone):
        row = int(order[np.searchsorted(curve, alone[0])])
        raise ValueError(
            f"a curve needs at least 2 records; {records.curve(row)} has one, in row {row + 1}"
            f"{_more(len(alone) - 1)}"
        )


def _turned(order: Index, log_norm: Array, curve: Index, notes: list[str]) -> Index:
    """The order with the curves turned round whose norm falls strictly from row to row."""
    falls = np.ones(len(curve), dtype=np.bool_)
    falls[1:] = (np.diff(log_norm) < 0) | (np.diff(curve) > 0)
    turned = np.bincount(curve, weights=~falls) == 0
    if turned.any():
        notes.append(
            f"the rows of {_of(int(np.sum(turned)), len(turned), 'curve')} are in order of "
            "falling norm, without `step` or `epoch`: they were sorted by increasing norm"
        )
    position = np.arange(len(curve))
    return order[np.lexsort((np.where(turned[curve], -position, position), curve))]


def _climbing(log_norm: Array, curve: Index) -> tuple[Mask, Array]:
    """Whether each record exceeds every norm before it in its curve, and how far it lies below."""
    levels, rank = np.unique(log_norm, return_inverse=True)
    # An offset for each curve lets one running maximum start afresh at every curve.
    offset = curve * len(levels)
    highest = np.maximum.accumulate(rank + offset)
    used = np.ones(len(curve), dtype=np.bool_)
    used[1:] = highest[1:] > highest[:-1]
    return used, levels[highest - offset] - log_norm


def _refuse_falling(records: _Records, order: Index, curve: Index, used: Mask) -> None:
    """Refuse curves of which fewer than half of the records, or fewer than two, climb."""
    total = np.bincount(curve)
    kept = np.bincount(curve[used])
    falling = np.flatnonzero((2 * kept < total) | (kept < 2))
    if len(falling) == 0:
        return
    first = falling[0]
    which = records.curve(int(order[np.searchsorted(curve, first)]))
    count = (
        f"only {kept[first]} of its {total[first]} records exceed every norm before them"
        f"{_more(len(falling) - 1, 'curve')}"
    )
    if records.clock is not None:
        raise ValueError(
            f"the norm falls along {which}: test error is not a function of the norm; {count}; "
            "let the curve begin where its norm starts to grow, or take another norm"
        )
    seeds = ", or a `seed` column if several seeds are mixed" if records.seeds is None else ""
    raise ValueError(
        f"the rows of {which} are not in order of the norm: {count}; without `step` or `epoch` "
        "there is no telling a falling norm from shuffled rows; give one of them, or sort the "
        f"rows by norm{seeds}"
    )


def _judge_seeds(records: _Records, first: Index, notes: list[str]) -> bool:
    """Whether each P has one curve only, given a row of each curve; notes what that costs."""
    cost = (
        "errors can only come from leaving out one P at a time, and do not know the spread "
        "over seeds"
    )
    if records.seeds is None:
        notes.append(f"there is no `seed`: the curves count as averages; {cost}")
        return True
    distinct, count = np.unique(records.P[first], return_counts=True)
    if count.max() == 1:
        notes.append(f"every P has a single seed; {cost}")
        return True
    if count.min() == 1:
        alone = ", ".join(show(p) for p in distinct[count == 1])
        notes.append(f"P = {alone}: a single seed, where others have up to {count.max()}")
    return False


# ------------------------------------------------------------------ small helpers


def _marks(*keys: NDArray[Any]) -> Mask:
    """Where a sorted table begins a new group: true wherever a key differs from the row above."""
    marks = np.ones(len(keys[0]), dtype=np.bool_)
    marks[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return marks


def _frozen(values: Array) -> Array:
    """The same array, read-only: it is handed out more than once."""
    values.flags.writeable = False
    return values


def _said(value: Any) -> str:
    """A cell in its own words, if it has any."""
    try:
        return str(value)
    except ValueError:  # more digits than Python writes
        return quoted(value)


def _rows(bad: Mask) -> str:
    """The first row marked and how many more."""
    return f"{int(np.argmax(bad)) + 1}{_more(int(np.count_nonzero(bad)) - 1)}"


def _more(count: int, noun: str = "") -> str:
    """How many more, in words; may be empty."""
    if count == 0:
        return ""
    return f" and {count} more" if not noun else f" ({count} more {noun}{'s' * (count > 1)} so)"


def _of(part: int, whole: int, noun: str) -> str:
    """A part of a whole, in words."""
    return f"{part} of {whole} {noun}{'s' * (whole != 1)}"


def _list(titles: Iterable[Hashable]) -> str:
    """Names of columns, not too many of them."""
    shown = [repr(title) for title in titles]
    return ", ".join(shown[:MOST_LISTED]) + _more(max(0, len(shown) - MOST_LISTED))
