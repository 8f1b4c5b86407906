"""`deepnorm fetch`: the only command that uses a network, and only because it was asked."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

import click

from deepnorm.cli.common import library, writing

__all__ = ["fetch"]

#: As in `deepnorm.datasets.NAMES`, which would import torch; a test holds them together.
SETS = ("mnist", "fashion-mnist", "cifar10", "cifar100")
EXAMPLES = """\b
Examples:
  deepnorm fetch mnist -o data
  deepnorm sweep --dataset mnist --data data -o runs
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", type=click.Choice(SETS))
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

    Files that are there and have the published checksums stay as they are. Each other file is
    checked before it gets its name. Nothing else in this library uses a network.
    """
    with library({"folder": "--output"}):
        from deepnorm import datasets
    try:
        with library({"folder": "--output"}, files=False), writing(output), _progress() as progress:
            place = datasets.fetch(name, output, progress, timeout=timeout)
    except ConnectionError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{name}: {place}")


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, int, int | None], None] | None]:
    """A bar for each file, on the standard error stream if that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

    tasks: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:

        def report(file: str, done: int, total: int | None) -> None:
            if file not in tasks:
                tasks[file] = bar.add_task(file)
            bar.update(tasks[file], completed=done, total=total)

        yield report
