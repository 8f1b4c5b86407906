"""The option --inputs: a covariance of the inputs, in one word of the command line."""

# What reads a table or computes is imported where a command needs it: help stays quick.
from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from replica.common.errors import InvalidArgument, quoted
from replica.common.terminal import unreadable
from replica.common.text import listed

if TYPE_CHECKING:
    from replica.inputs import Inputs

__all__ = ["INPUTS", "inputs_options", "read_inputs"]

#: What may be written, for pages of help; each in the way that `read_inputs` takes.
INPUTS = """
\b
Inputs, isotropic unless one of these is given:
  power-law:1.5,0.3       eigenvalues k^-1.5, source 0.3, endlessly many
  power-law:1.5,0.3,1000  a thousand of them
  marchenko-pastur:0.5    of a sample covariance, N/n = 0.5
  spectrum:FILE.csv       columns eigenvalue [, teacher] [, weight]
  clusters:FILE.csv       columns eigenvalue, mean [, weight]
A power law, and a table whose weights are left out or whole numbers, count
modes: --alpha is then the number of examples P, and the norm is Euclidean.
"""
#: What the shell may complete to; a colon says that something follows.
KINDS = ("isotropic", "power-law:", "marchenko-pastur:", "spectrum:", "clusters:")
#: Columns of the two tables: those that must be there, then those that may.
COLUMNS = {
    "spectrum": (("eigenvalue",), ("teacher", "weight")),
    "clusters": (("eigenvalue", "mean"), ("weight",)),
}
#: Arguments of the library that are columns here.
ARGUMENTS = {"eigenvalue": "eigenvalues", "weight": "weights"}
#: Bytes of a table: some million rows. A choice.
LARGEST = 10**8


def inputs_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say what the inputs are."""
    positive = click.option(
        "--positive",
        type=float,
        metavar="S",
        help="Share of the positive cluster, in (0, 1); half by default. With clusters only.",
    )
    inputs = click.option(
        "--inputs",
        metavar="INPUTS",
        default="isotropic",
        show_default=True,
        shell_complete=_complete,
        help="The covariance of the inputs; see below.",
    )
    return inputs(positive(command))


def _complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The kinds that begin so."""
    return [kind for kind in KINDS if kind.startswith(incomplete)]


def read_inputs(text: str, positive: float | None = None) -> Inputs:
    """The inputs of a word such as "power-law:1.5,0.3" or "spectrum:FILE.csv".

    Parameters
    ----------
    text : str
        As `INPUTS` lists them.
    positive : float, optional
        Share of the positive cluster; for clusters only.

    Raises
    ------
    InvalidArgument
        For ``inputs``, in the words of the part that is wrong, or ``positive``.
    ClickException
        If a file cannot be read.
    """
    from replica.inputs import Clusters, Isotropic, MarchenkoPastur, PowerLaw, Spectrum

    kind, _, rest = text.partition(":")
    if positive is not None and kind != "clusters":
        raise InvalidArgument("positive", "must be left out unless the inputs are clusters", "")
    try:
        if kind == "isotropic" and not rest:
            return Isotropic()
        if kind == "power-law":
            capacity, source, *modes = _numbers(text, rest, 2, 3)
            return PowerLaw(float(capacity), float(source), *map(_modes, modes))
        if kind == "marchenko-pastur":
            return MarchenkoPastur(float(*_numbers(text, rest, 1, 1)))
        if kind in COLUMNS and rest:
            columns = _columns(kind, rest)
            if kind == "spectrum":
                return Spectrum(**columns)
            # half of them where nothing else is said
            return Clusters(**columns, positive=0.5 if positive is None else positive)
    except InvalidArgument as error:
        if error.argument in ("inputs", "positive"):
            raise
        raise InvalidArgument(
            "inputs", f"must have its parts in range: {error.argument} {error.rule}", error.value
        ) from error
    raise _no_such(text)


def _no_such(text: str) -> InvalidArgument:
    return InvalidArgument(
        "inputs",
        "must be isotropic, power-law:CAPACITY,SOURCE[,MODES], marchenko-pastur:RATIO, "
        "spectrum:FILE.csv or clusters:FILE.csv",
        quoted(text),
    )


def _numbers(text: str, rest: str, fewest: int, most: int) -> list[str]:
    """The words between commas, if so many, and all of them numbers."""
    words = [word.strip() for word in rest.split(",")]
    if not fewest <= len(words) <= most or None in map(_number, words):
        raise _no_such(text)
    return words


def _number(word: str) -> float | None:
    """A number as it is written in tables; None for anything else."""
    try:
        return None if "_" in word else float(word)  # Python reads 1_000
    except ValueError:
        return None


def _modes(word: str) -> int:
    """A whole number, also as 1e3."""
    value = float(word)
    if not value.is_integer():
        raise InvalidArgument("modes", "must be a whole number", word)
    return int(value)


def _columns(kind: str, name: str) -> dict[str, list[float]]:
    """The columns of a table, by the library's names for them."""
    rows = _rows(name)
    titles = [title.strip() for title in rows[0][1]] if rows else []
    needed, known = COLUMNS[kind][0], sum(COLUMNS[kind], ())
    bad = [title for title in titles if title not in known]
    if bad or not set(needed) <= set(titles) or len(set(titles)) < len(titles):
        optional = "".join(f" [, {title}]" for title in COLUMNS[kind][1])
        raise InvalidArgument(
            "inputs",
            f"must name a table whose first line names each column once: "
            f"{', '.join(needed)}{optional}",
            listed(titles) or "an empty one",
        )
    columns: dict[str, list[float]] = {ARGUMENTS.get(title, title): [] for title in titles}
    for line, row in rows[1:]:
        values = [_number(cell.strip()) for cell in row]
        if len(row) != len(titles) or None in values:
            raise InvalidArgument(
                "inputs",
                f"must name a table with a number in each of its {len(titles)} columns",
                f"{listed(row) or 'nothing'} in line {line}",
            )
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)  # type: ignore[arg-type]  # none of them is None
    return columns


def _rows(name: str) -> list[tuple[int, list[str]]]:
    """The rows of a CSV file, each with the number of its line; empty ones left out."""
    path = os.path.expanduser(name)  # behind a colon no shell does it
    try:
        if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
            raise InvalidArgument(  # it would be waited for, or never end
                "inputs", "must name a regular file", f"{quoted(name)}, a pipe or a device"
            )
        if os.path.exists(path) and os.path.getsize(path) > LARGEST:
            raise InvalidArgument(
                "inputs",
                f"must name a table of at most {LARGEST // 10**6} MB",
                f"{quoted(name)} of {os.path.getsize(path) / 1e6:.0f} MB",
            )
        with open(path, encoding="utf-8-sig", newline="") as file:
            content = file.read()
        reader = csv.reader(io.StringIO(content))
        return [(reader.line_num, row) for row in reader if any(row)]
    except OSError as error:
        raise unreadable(error) from error
    except (UnicodeDecodeError, csv.Error):
        raise InvalidArgument(
            "inputs", "must name a table of comma-separated numbers in UTF-8", quoted(name)
        ) from None
