"""`deepnorm fetch`: the only command that uses a network, and only because it was asked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from deepnorm.cli.common import FETCHED, library
from replica.common.terminal import Command, bar, interruptible, writing

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = ["fetch"]

EXAMPLES = """\b
Examples:
  deepnorm fetch mnist -o data
  deepnorm sweep --dataset mnist --data data -o runs
"""
OPTIONS = {"folder": "--output", "timeout": "--timeout"}


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("name", type=click.Choice(FETCHED), metavar="NAME")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False),
    required=True,
    metavar="FOLDER",
    help="Where the files go; made if it is missing.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Without an answer, after which the next mirror is tried.",
)
def fetch(name: str, output: str, timeout: float) -> None:
    """Download the standard files of a data set.

    NAME is mnist, fashion-mnist, cifar10 or cifar100. Files that are there and have the
    published checksums stay as they are. Each other file is checked before it gets its name.
    Nothing else in this library uses a network.
    """
    with library(OPTIONS):
        from deepnorm import datasets
    try:
        with (
            library(OPTIONS, files=False),
            writing(output),
            interruptible(),
            _progress() as progress,
        ):
            place = datasets.fetch(name, output, progress, timeout=timeout)
    except ConnectionError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{name}: {place}")


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, int, int | None], None] | None]:
    """A bar for each file, on a terminal."""
    with bar(bytes=True) as found:
        if found is None:
            yield None
            return
        tasks: dict[str, TaskID] = {}

        def report(file: str, done: int, total: int | None) -> None:
            if file not in tasks:
                tasks[file] = found.add_task(file)
            found.update(tasks[file], completed=done, total=total)

        yield report
