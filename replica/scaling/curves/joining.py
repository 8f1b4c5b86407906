"""Rows that complement each other, rows that lack something, and records at norm zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from replica.scaling.curves.cells import Column
from replica.scaling.curves.checks import Records
from replica.scaling.curves.rows import Rows
from replica.scaling.curves.words import marks, more, of

__all__ = ["Cells", "begin_above_zero", "join", "leave_out"]

Mask = NDArray[np.bool_]
Index = NDArray[np.intp]
Cells = dict[str, Column]

#: Columns that say which record a row belongs to.
KEYS = ("P", "seed", "step", "epoch")


def join(cells: Cells, rows: Rows, notes: list[str]) -> tuple[Cells, Rows]:
    """Rows of equal P, seed and step as one, where each has what the other lacks.

    Only rows among which one has a gap are looked at: a record that is complete and there twice
    is a mistake, and is left to be refused as one.

    Raises
    ------
    ValueError
        If two such rows have different values of one column.
    """
    clock = next((name for name in ("step", "epoch") if name in cells), None)
    keys = [name for name in ("P", "seed", clock) if name is not None and name in cells]
    gaps = {name: column.gaps() for name, column in cells.items()}
    values = [name for name in cells if name not in keys]
    lacking = np.any([gaps[name] for name in values], axis=0)
    whole = ~np.any([gaps[name] for name in keys], axis=0)
    if clock is None or not (lacking & whole).any():
        return cells, rows
    record = _records(cells, keys, whole)
    touched = np.zeros(int(record.max()) + 1, dtype=np.bool_)
    touched[record[lacking & whole]] = True
    many = np.bincount(record) > 1
    joined = (touched & many)[record] & whole
    if not joined.any():
        return cells, rows
    group = record[joined]
    place = np.flatnonzero(joined)
    base = _first(group, place, len(many))  # the first row of each record
    chosen = np.arange(len(record))
    columns: Cells = {}
    for name, column in cells.items():
        source = chosen.copy()
        if name in values:
            there = ~gaps[name][place]
            first = _first(group[there], place[there], len(many))
            found = first[group] >= 0
            source[base[group[found]]] = first[group[found]]
            _refuse_conflict(column, rows, first, group[there], place[there])
        columns[name] = Column(column.label, column.cells.take(source), rows)
    keep = ~joined
    keep[base[base >= 0]] = True
    notes.append(
        f"{int((~keep).sum()) + int((base >= 0).sum())} rows that hold parts of "
        f"{int((base >= 0).sum())} records, at equal {', '.join(keys)}, are joined"
    )
    return {name: column.take(keep) for name, column in columns.items()}, rows.take(keep)


def _records(cells: Cells, keys: Sequence[str], whole: Mask) -> Index:
    """For each row the number of its record, where all its keys are there; else 0."""
    codes = []
    for name in keys:
        column = cells[name].take(whole)
        codes.append(column.names()[0] if name == "seed" else column.numbers())
    order = np.lexsort(codes[::-1])
    number = np.empty(len(order), dtype=np.intp)
    number[order] = np.cumsum(marks(*[code[order] for code in codes])) - 1
    record = np.zeros(len(whole), dtype=np.intp)
    record[whole] = number
    return record


def _first(group: Index, place: Index, groups: int) -> Index:
    """The first place of each group; -1 where it has none."""
    first = np.full(groups, -1, dtype=np.intp)
    first[group[::-1]] = place[::-1]
    return first


def _refuse_conflict(column: Column, rows: Rows, first: Index, group: Index, place: Index) -> None:
    """Refuse two values of one column in one record."""
    if len(place) == 0:
        return
    values = column.loose()
    other = (values[place] != values[first[group]]) & (place != first[group])
    if other.any():
        k = int(np.argmax(other))
        one, two = int(first[group[k]]), int(place[k])
        raise ValueError(
            f"{rows.pair(one, two)} hold parts of one record, and different {column.label}: "
            f"{column.shown(one)} and {column.shown(two)}{more(int(other.sum()) - 1)}; take one of "
            "them out"
        )


def leave_out(
    cells: Cells, rows: Rows, *, holes: bool, drop: bool, notes: list[str]
) -> tuple[Cells, Rows]:
    """The rows without gaps, where that was asked for or the file is a log with holes.

    In a log a row without the error is none of its records, and is left out; so is, with what is
    lost said, a record of the error at which the norm was not logged. Columns that are not
    needed and have gaps are left out in the place of rows.

    Raises
    ------
    ValueError
        If nothing is left.
    """
    if not holes and not drop:
        return cells, rows
    gaps: Mapping[str, Mask] = {name: column.gaps() for name, column in cells.items()}
    clock = next((name for name in ("step", "epoch") if name in cells), None)
    needed = [n for n in ("P", "seed", clock, "norm", "log_norm", "test_error") if n in cells]
    keep = ~np.any([gaps[name] for name in needed], axis=0)
    if not keep.any():
        lacking = {name: int(gaps[name].sum()) for name in needed if gaps[name].any()}
        counts = ", ".join(f"{cells[name].label} in {n}" for name, n in lacking.items())
        raise ValueError(
            f"no row of {len(keep)} holds a whole record: missing are {counts}; log the error and "
            "the norm at the same steps (`deepnorm.recording.CurveRecorder` does)"
        )
    if not keep.all():
        without = gaps["test_error"] & ~keep
        other = int((~keep & ~without).sum())
        said = []
        if without.any():
            said.append(f"{of(int(without.sum()), len(keep), 'row')} without {_label(cells)}")
        for name in needed:
            if name != "test_error" and (lost := int((gaps[name] & ~keep & ~without).sum())):
                said.append(f"{lost} with it and without {cells[name].label}")
        notes.append(f"left out: {'; '.join(said) or of(other, len(keep), 'row')}")
    spare = [name for name in cells if name not in needed and gaps[name][keep].any()]
    if spare:
        listed = ", ".join(cells[name].label for name in spare)
        notes.append(f"not read, since it is missing in some records: {listed}")
    taken = {name: column.take(keep) for name, column in cells.items() if name not in spare}
    return taken, rows.take(keep)


def _label(cells: Cells) -> str:
    return cells["test_error"].label


def begin_above_zero(records: Records, notes: list[str]) -> Records:
    """The records without those at norm zero with which curves begin: a head that starts at zero.

    Raises
    ------
    ValueError
        If a norm vanishes later in a curve.
    """
    zero = records.log_norm == -np.inf
    if not zero.any():
        return records
    name = next(n for n in ("log_norm", "norm", "step", "epoch") if n in records.cells)
    order, curve = records.sorted()
    begins = np.zeros(len(zero), dtype=np.bool_)
    begins[order] = marks(curve)
    later = zero & ~begins
    if later.any():
        rule = "must be finite" if name == "log_norm" else "must be finite and positive"
        if name in ("step", "epoch"):
            rule = "must be positive but for the first of a curve, being read in place of the norm"
        records.cells[name].refuse(later, rule)
    if zero.all():
        records.cells[name].refuse(zero, "must not be 0 in every record")
    shown = records.cells[name].shown(int(np.argmax(zero)))
    notes.append(
        f"{of(int(zero.sum()), int(curve[-1]) + 1, 'curve')} begin at {name} = {shown}, of which "
        "there is no logarithm: that record is left out"
    )
    return records.take(~zero)
