"""`deepnorm fetch`: the only command that uses a network, and only because it was asked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import click

from deepnorm.cli.common import FETCHED, library
from replica.common import interruption
from replica.common.progress import Bar, bar
from replica.common.terminal import Command, say, writing

__all__ = ["fetch"]

EXAMPLES = """\b
Examples:
  deepnorm fetch mnist -o data
  deepnorm sweep --dataset mnist --data data -o runs
"""


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
    with library():
        from deepnorm import datasets
    try:
        with (
            library({"folder": "output"}, files=False),
            writing(output),
            interruption.interruptible(),
            _progress() as progress,
        ):
            place = datasets.fetch(name, output, progress, timeout=timeout)
    except ConnectionError as error:
        raise click.ClickException(str(error)) from error
    say(f"{name}: {place}")


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, int, int | None], None] | None]:
    """A bar for each file, on a terminal."""
    with bar(unit="bytes") as shown:
        if not shown.shown:
            yield None
            return
        files: dict[str, Bar] = {}

        def report(file: str, done: int, total: int | None) -> None:
            if file not in files:
                files[file] = shown.another(file)
            files[file].update(done, total=total)

        yield report
