"""What makes a table a set of learning curves: no record twice, curves that climb, seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replica.common.arguments import show
from replica.scaling.curves.cells import Column
from replica.scaling.curves.columns import NAMES
from replica.scaling.curves.rows import Rows
from replica.scaling.curves.words import marks, more, of, said

__all__ = [
    "Records",
    "climbing",
    "judge_seeds",
    "refuse_accuracies",
    "refuse_constant",
    "refuse_falling",
    "refuse_repeats",
    "refuse_single_records",
    "turned",
]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Index = NDArray[np.intp]

#: A column counts as accuracies if in most curves of so many records the first record or the
#: second is the lowest, the last lies so far above it, and the middle one at least this part as
#: far. Choices: a curve that begins beyond its optimum rises too, but by less.
FEWEST, RISE, HALFWAY = 5, 0.25, 0.25


@dataclass(frozen=True)
class Records:
    """The rows of a table as numbers, in its own order.

    Attributes
    ----------
    P, log_norm : (n,) array
    seed : (n,) array
        Place in `seeds`; 0 without seeds.
    seeds : array or None
        The distinct seeds, sorted.
    values : mapping of str to (n,) array
        What else was given.
    cells : mapping of str to Column
    rows : Rows
    """

    P: Array
    seed: Index
    seeds: NDArray[Any] | None
    log_norm: Array
    values: Mapping[str, Array]
    cells: Mapping[str, Column]
    rows: Rows

    @property
    def clock(self) -> str | None:
        """The column that decides the order."""
        return next((name for name in ("step", "epoch") if name in self.values), None)

    def take(self, rows: Mask) -> Records:
        """Some of the rows."""
        return Records(
            self.P[rows],
            self.seed[rows],
            self.seeds,
            self.log_norm[rows],
            {name: column[rows] for name, column in self.values.items()},
            {name: column.take(rows) for name, column in self.cells.items()},
            self.rows.take(rows),
        )

    def curve(self, row: int) -> str:
        """The curve of a row, in words."""
        seed = "" if self.seeds is None else f", seed = {said(self.seeds[self.seed[row]])}"
        return f"P = {show(self.P[row])}{seed}"

    def columns(self) -> dict[str, NDArray[Any]]:
        """The canonical columns."""
        columns = {"P": self.P, "log_norm": self.log_norm, **self.values}
        if self.seeds is not None:
            columns["seed"] = self.seeds[self.seed]
        return {name: columns[name] for name in NAMES if name in columns}

    def sorted(self) -> tuple[Index, Index]:
        """The rows by P, seed and time, and the number of the curve that each then belongs to."""
        time = [] if self.clock is None else [self.values[self.clock]]
        order = np.lexsort((*time, self.seed, self.P))  # stable: the table's order without a time
        return order, np.cumsum(marks(self.P[order], self.seed[order])) - 1


def refuse_repeats(records: Records) -> None:
    """Refuse two records of one curve at the same time or, without a time, at the same norm."""
    clock = records.clock
    keys = (records.P, records.seed, records.log_norm if clock is None else records.values[clock])
    order = np.lexsort(keys[::-1])
    again = np.flatnonzero(~marks(*[key[order] for key in keys]))
    if len(again) == 0:
        return
    second = again[np.argmin(order[again])]  # the first row of the table that repeats another
    first, row = int(order[second - 1]), int(order[second])
    name = clock or next((name for name in ("norm", "log_norm") if name in records.cells), None)
    way_out = (
        "if they are of different seeds, the table lacks a `seed` column, or it has to be named "
        "(`--map seed=...`)"
        if records.seeds is None
        else "take one of them out"
    )
    at = "" if name is None else f", {name} = {records.cells[name].shown(row)}"
    raise ValueError(
        f"{records.rows.pair(first, row)} repeat one record ({records.curve(row)}{at})"
        f"{more(len(again) - 1)}; {way_out}"
    )


def refuse_constant(records: Records) -> None:
    """Refuse a table in which every test error is the same."""
    error, column = records.values["test_error"], records.cells["test_error"]
    if np.all(error == error[0]):
        raise ValueError(f"nothing to fit: every {column.label} is {column.shown(0)}")


def refuse_accuracies(error: Array, curve: Index, label: str) -> None:
    """Refuse errors that rise along most curves from the first record on, as accuracies do."""
    starts = np.flatnonzero(marks(curve))
    stops = np.append(starts[1:], len(curve))
    long = stops - starts >= FEWEST
    if not long.any():
        return
    lowest = np.minimum.reduceat(error, starts)
    first, second = error[starts], error[np.minimum(starts + 1, len(error) - 1)]
    begins = np.minimum(first, second) == lowest
    rise = error[stops - 1] - lowest
    middle = error[(starts + stops) // 2] - lowest
    rising = long & begins & (rise >= RISE) & (middle >= HALFWAY * rise)
    if 2 * rising.sum() > len(starts):
        raise ValueError(
            f"{label} rises along {of(int(rising.sum()), len(starts), 'curve')} from its lowest "
            "value on, as accuracies do; if they are accuracies, pass `accuracy=True` "
            "(`--accuracy`), and if they are errors, `accuracy=False` (`--no-accuracy`)"
        )


def refuse_single_records(records: Records, order: Index, curve: Index) -> None:
    """Refuse curves of a single record."""
    alone = np.flatnonzero(np.bincount(curve) == 1)
    if len(alone):
        row = int(order[np.searchsorted(curve, alone[0])])
        raise ValueError(
            f"a curve needs at least 2 records; {records.curve(row)} has one, in "
            f"{records.rows.words(row)}{more(len(alone) - 1)}"
        )


def turned(order: Index, log_norm: Array, curve: Index, notes: list[str]) -> Index:
    """The order with the curves turned round whose norm falls strictly from row to row."""
    falls = np.ones(len(curve), dtype=np.bool_)
    falls[1:] = (np.diff(log_norm) < 0) | (np.diff(curve) > 0)
    around = np.bincount(curve, weights=~falls) == 0
    if around.any():
        notes.append(
            f"the rows of {of(int(np.sum(around)), len(around), 'curve')} are in order of "
            "falling norm, without `step` or `epoch`: they were sorted by increasing norm"
        )
    position = np.arange(len(curve))
    return order[np.lexsort((np.where(around[curve], -position, position), curve))]


def climbing(log_norm: Array, curve: Index) -> tuple[Mask, Array]:
    """Whether each record exceeds every norm before it in its curve, and how far it lies below."""
    levels, rank = np.unique(log_norm, return_inverse=True)
    # An offset for each curve lets one running maximum start afresh at every curve.
    offset = curve * len(levels)
    highest = np.maximum.accumulate(rank + offset)
    used = np.ones(len(curve), dtype=np.bool_)
    used[1:] = highest[1:] > highest[:-1]
    return used, levels[highest - offset] - log_norm


def refuse_falling(records: Records, order: Index, curve: Index, used: Mask) -> None:
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
        f"{more(len(falling) - 1, 'curve')}"
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


def judge_seeds(records: Records, first: Index, notes: list[str]) -> bool:
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
