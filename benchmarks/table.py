"""Rows of the table: declared, measured, printed."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from benchmarks.timing import Sample


@dataclass(frozen=True)
class Row:
    """What is measured beside what, known before it is."""

    name: str
    #: What stands beside ours; empty where nothing does.
    theirs: str = ""
    unit: str = "s"
    #: Whether the short table shows it.
    short: bool = False

    def measured(self, ours: Sample, theirs: Sample | str | None = None, note: str = "") -> Result:
        """With `theirs` a sample taken in pairs with `ours`, or words if it has no answer."""
        return Result(self, ours, theirs, note)


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    row: Row
    ours: Sample | None = None
    theirs: Sample | str | None = None
    note: str = ""
    failure: str = ""

    @property
    def ratio(self) -> Sample | None:
        """Theirs over ours, pair by pair: above 1 where ours is better."""
        if self.ours is None or not isinstance(self.theirs, Sample):
            return None
        return self.theirs.over(self.ours)

    def record(self) -> dict[str, Any]:
        def numbers(sample: Sample | str | None) -> Any:
            return sample.record() if isinstance(sample, Sample) else sample

        return {
            "name": self.row.name,
            "unit": self.row.unit,
            "beside": self.row.theirs,
            "ours": numbers(self.ours),
            "theirs": numbers(self.theirs),
            "ratio": numbers(self.ratio),
            "note": self.note,
            "failure": self.failure,
        }


Task = Callable[[int], Iterable[Result]]


class Part:
    """A group of rows, and the functions that measure them.

    Parameters
    ----------
    title : str
        Heading of its rows.
    threads : int, optional
        Of BLAS, OpenMP and torch, for both sides; by default as many as each likes.
    """

    def __init__(self, title: str, threads: int | None = None) -> None:
        self.title, self.threads = title, threads
        self.tasks: list[tuple[tuple[Row, ...], Task]] = []

    @property
    def rows(self) -> list[Row]:
        return [row for rows, _ in self.tasks for row in rows]

    def measures(self, *rows: Row) -> Callable[[Task], Task]:
        """Say which rows a function of the number of repeats yields the results of."""

        def enter(task: Task) -> Task:
            self.tasks.append((rows, task))
            return task

        return enter

    def results(self, repeats: int) -> Iterator[Result]:
        """Measure; a task that fails leaves its remaining rows with the reason."""
        for rows, task in self.tasks:
            found: dict[Row, Result] = {}
            failure = "not measured"
            try:
                for result in task(repeats):
                    found[result.row] = result
            except Exception as error:
                traceback.print_exc()
                failure = reason(error)
            for row in rows:
                yield found.get(row) or Result(row, failure=failure)


def reason(error: BaseException) -> str:
    """The last line of what an error says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__


# ------------------------------------------------------------------------- printing


def digits(value: float) -> str:
    """Three digits, never with an exponent where it is large."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:.0f}" if rounded >= 1000 else f"{value:.3g}"


def scale(value: float, unit: str) -> tuple[float, str]:
    """The size of the unit with the prefix that suits the value, and its name."""
    if unit == "s":
        for size, name in ((1.0, "s"), (1e-3, "ms")):
            if value >= size:
                return size, name
        return 1e-6, "us"
    return 1.0, unit


def number(value: float, unit: str) -> str:
    if unit == "":
        return f"{value:.1e}"
    size, name = scale(value, unit)
    return f"{digits(value / size)} {name}" if unit else digits(value)


def cell(sample: Sample | str | None, unit: str, *, spread: bool = True) -> str:
    """`median unit [smallest, largest]`, all three in the unit of the median."""
    if sample is None or isinstance(sample, str):
        return sample or ""
    text = number(sample.median, unit)
    if not spread or len(sample.values) == 1:
        return text
    size = scale(sample.median, unit)[0]
    write = number if unit == "" else lambda value, _: digits(value / size)
    return f"{text} [{write(sample.low, unit)}, {write(sample.high, unit)}]"


def ratio(result: Result) -> str:
    found = result.ratio
    if found is None:
        return ""
    text = digits(found.median)
    if len(found.values) > 1:
        text += f" [{digits(found.low)}, {digits(found.high)}]"
    return text


Group = tuple[str, list[Result]]


def terminal(groups: list[Group]) -> Table:
    """What is printed: notes below the names."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, leading=1)
    table.add_column("median [smallest, largest]", overflow="fold")
    for name in ("ours", "theirs", "theirs/ours"):
        table.add_column(name, justify="right", min_width=12)
    for title, results in groups:
        table.add_row(f"[bold]{escape(title)}[/bold]")
        for result in results:
            name = escape(result.row.name)
            remarks = [f"theirs: {result.row.theirs}"] if result.row.theirs else []
            remarks += [result.note] if result.note else []
            if remarks:
                name += f"\n[dim]{escape('; '.join(remarks))}[/dim]"
            ours = (
                f"failed: {result.failure}"
                if result.failure
                else cell(result.ours, result.row.unit)
            )
            theirs = cell(result.theirs, result.row.unit)
            table.add_row(name, *map(escape, (ours, theirs, ratio(result))))
    return table


def markdown(groups: list[Group], *, short: bool = False) -> str:
    """The same for a page; `short` leaves out rows, the spread of times, and notes."""
    heads = ["", "here", "there", "there / here"] + ([] if short else ["what is there, accuracy"])
    lines = [heads, ["---", *["--:"] * 3, *["---"] * (len(heads) - 4)]]
    for title, results in groups:
        shown = [result for result in results if result.row.short or not short]
        if shown:
            lines.append([f"**{title}**", *[""] * (len(heads) - 1)])
        for result in shown:
            row = result.row
            ours = cell(result.ours, row.unit, spread=not short)
            theirs = cell(result.theirs, row.unit, spread=not short)
            if result.failure:
                ours = f"failed: {result.failure}"
            if short:
                lines.append(
                    [row.name, ours, ", ".join(filter(None, (theirs, row.theirs))), ratio(result)]
                )
            else:
                remarks = "; ".join(filter(None, (row.theirs, result.note)))
                lines.append([row.name, ours, theirs, ratio(result), remarks])
    return "".join(f"| {' | '.join(map(_plain, line))} |\n" for line in lines)


def _plain(text: str) -> str:
    """Nothing that would end a cell."""
    return " ".join(text.replace("|", r"\|").split())
