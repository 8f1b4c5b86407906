"""What the commands share: errors become sentences, tables look alike.

Exit codes: 0 done; 1 a file could not be written, or a run failed; 2 a bad argument or data that
bear no answer; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["INTERRUPTED", "WORDS", "BadInput", "library", "table", "terminal", "writing"]

#: Exit codes beside 0 and click's 1; 130 is what shells expect after Ctrl-C (128 + SIGINT).
BAD_INPUT, INTERRUPTED = 2, 130
#: Packages that not every installation has, and the extra that brings them.
OPTIONAL = {"torch": "deep", "sklearn": "deep", "distributed": "dask", "submitit": "slurm"}
#: Where the words of the command line are kept for a report.
WORDS = "deepnorm.words"


class BadInput(click.ClickException):
    """One line on the standard error stream, without the usage text of a mistyped command."""

    exit_code = BAD_INPUT


def in_options(message: str, options: Mapping[str, str]) -> str:
    """The message in one line, with options in place of arguments."""
    names = "|".join(options)
    return re.sub(f"`({names})`", lambda m: options[m[1]], " ".join(message.split()))


@contextlib.contextmanager
def library(options: Mapping[str, str], *, files: bool = True) -> Iterator[None]:
    """Around calls of the library: what it refuses becomes a message.

    With ``files`` a file that cannot be read does too.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        raise BadInput(
            f'{error.name} is not installed: pip install "replica-learning[{OPTIONAL[error.name]}]"'
        ) from error
    except (ValueError, ImportError) as error:
        raise BadInput(in_options(str(error), options)) from error
    except OSError as error:
        if not files:
            raise
        reason = error.strerror or str(error)
        named = f"cannot read {error.filename}: " if error.filename else ""
        raise BadInput(f"{named}{reason}") from error


@contextlib.contextmanager
def writing(name: str) -> Iterator[None]:
    """Around the writing of a file: why it cannot be written becomes a message."""
    try:
        yield
    except OSError as error:
        raise click.ClickException(f"cannot write {name}: {error.strerror or error}") from error


def terminal() -> Console:
    """Where tables go: no colour and no escape codes unless this is a terminal."""
    from rich.console import Console

    return Console(highlight=False)


def table(console: Console, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A plain table; narrow terminals wrap words, never digits."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for i, title in enumerate(titles):
        last = i == len(titles) - 1
        table.add_column(title, no_wrap=not last, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)
