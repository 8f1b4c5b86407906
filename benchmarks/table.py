"""The lines of the table, and how it is printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table

from benchmarks.timing import Sample


@dataclass(frozen=True)
class Row:
    """One line of the table; `ratio` is theirs over ours, above 1 where ours is better."""

    name: str
    unit: str
    ours: Sample
    theirs: Sample | None = None
    ratio: Sample | None = None
    note: str = ""

    def record(self) -> dict[str, Any]:
        parts = {"ours": self.ours, "theirs": self.theirs, "ratio": self.ratio}
        numbers = {name: part and part.record() for name, part in parts.items()}
        return {"name": self.name, "unit": self.unit, **numbers, "note": self.note}


def number(value: float, unit: str) -> str:
    """Three digits; seconds with the prefix that suits them."""
    if unit == "s":
        for size, prefix in ((1.0, ""), (1e-3, "m"), (1e-6, "u")):
            if value >= size or prefix == "u":
                return f"{value / size:.3g} {prefix}s"
    if unit == "":
        return f"{value:.1e}"
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def cell(sample: Sample | None, unit: str) -> str:
    if sample is None:
        return ""
    text = number(sample.median, unit)
    if len(sample.values) > 1:
        text += f"\n{number(sample.low, unit)}\n{number(sample.high, unit)}"
    return text


def table(rows: list[Row]) -> Table:
    """Name, ours, theirs, ratio."""
    result = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, leading=1)
    result.add_column("median, smallest, largest")
    for name in ("ours", "theirs", "theirs/ours"):
        result.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        name = f"{row.name}\n[dim]({row.note})[/dim]" if row.note else row.name
        cells = cell(row.ours, row.unit), cell(row.theirs, row.unit), cell(row.ratio, "x")
        result.add_row(name, *cells)
    return result
