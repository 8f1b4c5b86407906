"""The command line: ``python -m validation figure1``, ``python -m validation figures``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from deepnorm.cli.common import drawing_quietly
from replica.common import interruption
from replica.common.progress import bar
from replica.common.terminal import (
    Command,
    Commands,
    group,
    refusal,
    table,
    terminal,
)
from validation import settings
from validation.figures import FIGURES, OF_CURVES, SIMULATED

__all__ = ["main"]

NO_CURVES = (
    "the paper's learning curves: name the folder that holds paper_curves/ with "
    f"--data or {settings.VARIABLE}"
)
#: Of these the text is shown too: it is what was asked for.
TEXTS = ("agreement", "tables")

EXAMPLES = """\b
Examples:
  python -m validation figures
  python -m validation figure2 -o paper/figures
  python -m validation figures --force

Figures 3, 4, 8 and 9 and the tables are of the learning curves that the paper's
authors published. Name the folder that holds them, as paper_curves/, with --data
or REPLICA_LEARNING_DATA; without it `figures` leaves them out and says so.

\b
Every figure NAME becomes NAME.png (300 dpi), NAME.pdf, NAME.txt (its caption)
and NAME.json (by which a later run knows that it is up to date).
"""
KEEP_EXAMPLES = """\b
Examples:
  deepnorm sweep --dataset mnist --data data -o runs
  python -m validation keep runs \\
      --command "deepnorm sweep --dataset mnist --data data -o runs"
"""


SOAK_EXAMPLES = """\b
Examples:
  python -m validation soak --points 20
  python -m validation soak --points 20000 --seed 2 -o soak.csv
"""


class _Figures(Commands):
    """A group whose complaint about an unknown figure lists those that there are."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            ctx.fail(
                f"there is no figure `{args[0]}`; choose one of {', '.join(FIGURES)}, "
                "or `figures` for all of them"
            )
        return super().resolve_command(ctx, args)


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that every command has."""
    command = click.option("--force", is_flag=True, help="Draw again even what is up to date.")(
        command
    )
    command = click.option(
        "--data",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        envvar=settings.VARIABLE,
        show_envvar=True,
        metavar="FOLDER",
        help="Where the paper's learning curves are.",
    )(command)
    command = click.option(
        "--full",
        is_flag=True,
        help=f"Simulate at the paper's sizes: {', '.join(sorted(SIMULATED))}.",
    )(command)
    return click.option(
        "-o",
        "--output",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("figures"),
        show_default=True,
        metavar="FOLDER",
        help="Where the files go; made if it is missing.",
    )(command)


@group("validation", EXAMPLES, _Figures)
def main() -> None:
    """Draw the figures for print, and skip those that are up to date."""


@main.command(
    cls=Command,
    epilog="""\b
Examples:
  python -m validation figures
  python -m validation figures --data data -o paper/figures
""",
)
@_options
def figures(output: Path, force: bool, full: bool, data: Path | None) -> None:
    """Draw every figure that is out of date."""
    there = _has_curves(data)
    _draw([name for name in FIGURES if there or name not in OF_CURVES], output, force, full)
    if not there:
        click.echo(f"left out: {', '.join(OF_CURVES)}: they need {NO_CURVES}")


def _add(name: str, claim: str) -> None:
    data = " --data data" if name in OF_CURVES else ""
    examples = f"\b\nExample:\n  python -m validation {name}{data}\n"

    @main.command(name=name, cls=Command, help=f"{claim}.", short_help=f"{claim}.", epilog=examples)
    @_options
    def command(output: Path, force: bool, full: bool, data: Path | None) -> None:
        if name in OF_CURVES and not _has_curves(data):
            raise click.ClickException(f"{name} needs {NO_CURVES}")
        _draw([name], output, force, full)
        if name in TEXTS:
            click.echo((output / f"{name}.txt").read_text(encoding="utf-8"))


for _name, _claim in FIGURES.items():
    _add(_name, _claim)


@main.command(
    cls=Command, short_help="Make a sweep of your own part of the project.", epilog=KEEP_EXAMPLES
)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--command", required=True, help="The command that filled the folder.")
def keep(folder: Path, command: str) -> None:
    """Keep the records of a folder of runs as the tables that the mnist figures are drawn from."""
    from validation import evidence

    try:
        with interruption.interruptible():
            evidence.keep(folder, command)
    except ValueError as error:
        raise refusal(error) from error
    except OSError as error:
        raise click.ClickException(str(error)) from error


@main.command(
    cls=Command, short_help="Hold random problems against certificates.", epilog=SOAK_EXAMPLES
)
@click.option(
    "--points",
    type=click.IntRange(min=1),
    metavar="N",
    default=500,
    show_default=True,
    help="How many; 8 a second and processor.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    default=1,
    show_default=True,
    help="Of the random draws.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    default=None,
    show_default="as many as cores",
    help="Processes.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    help="Keep every point in this CSV file, and go on from what it holds.",
)
@click.option("--markdown", is_flag=True, help="The table for a page.")
def soak(points: int, seed: int, workers: int | None, output: Path | None, markdown: bool) -> None:
    """Solve random problems of every loss and teacher in doubles and to 18 digits, and compare.

    The table shows the worst of each number; a point beyond its budget, one whose estimate is
    too small, or one that was not solved makes the exit code 1, and is shown.
    """
    from validation import soak as soaking

    try:
        with (
            interruption.interruptible(),
            bar("points", points) as progress,
            soaking.workers(workers) as executor,
        ):
            found = []
            for point in soaking.points(points, seed, output, executor):
                found.append(point)
                progress.advance()
    except ValueError as error:
        raise refusal(error) from error
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror or error}") from error
    titles, *rows = soaking.table(found)
    if markdown:
        for row in (titles, ["---"] * len(titles), *rows):
            click.echo(f"| {' | '.join(row)} |")
    else:
        table(terminal(), titles, rows, wrapped=titles[:1])
    bad = [point for point in found if not soaking.sound(point)]
    for point in bad:
        click.echo(f"{point}", err=True)
    if bad:
        raise click.ClickException(f"{len(bad)} of {len(found)} points are not as promised")


def _has_curves(data: Path | None) -> bool:
    """Whether the paper's learning curves are there; an option counts before the environment."""
    if data is not None:
        os.environ[settings.VARIABLE] = str(data)
    return settings.folder() is not None


def _draw(names: list[str], output: Path, force: bool, full: bool) -> None:
    """Bring figures up to date, one line each."""
    from validation import stamp

    drawing_quietly()
    stale = [name for name in names if force or not stamp.is_fresh(name, output, full=full)]
    objections = []
    with _progress(len(stale)) as (say, advance):
        for name in names:
            if name not in stale:
                say(f"{name}  up to date")
                continue
            if name in SIMULATED:
                usual, at_full_size = SIMULATED[name]
                say(f"{name}  simulating; takes {at_full_size if full else usual}")
            advance(name)
            try:
                _, objection = stamp.update(
                    name, output, force=True, full=full, writing=interruption.interruptible
                )
            except OSError as error:
                reason = error.strerror or error
                raise click.ClickException(
                    f"cannot write {name}: {reason}: {error.filename}"
                ) from error
            say(f"{name}  drawn: {output / name}{{{','.join(stamp.suffixes)}}}")
            if objection is not None:
                objections.append(f"{name}: {objection}")
            advance("")
    if objections:
        raise click.ClickException("; ".join(objections))


@contextlib.contextmanager
def _progress(total: int) -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """How to print a line and how to move on: below a bar on a terminal, else lines alone."""
    # a run that draws nothing should not wait for it
    with bar("", total, wanted=total > 0) as shown:
        if not shown.shown:
            yield click.echo, lambda _: None
            return

        def advance(name: str) -> None:
            """The name of the figure begun; empty when it is done."""
            shown.update(text=name)
            shown.advance(0 if name else 1)

        # above the bar where both are on the terminal
        yield shown.line if sys.stdout.isatty() else click.echo, advance
