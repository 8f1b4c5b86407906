"""The command line: ``python -m validation figure1``, ``python -m validation figures``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from validation import settings, stamp
from validation.figures import FIGURES, OF_CURVES

Report = Callable[[str], None]

NO_CURVES = (
    "needs the paper's learning curves: name the folder that holds paper_curves/ with "
    f"--data or {settings.VARIABLE}"
)

EPILOG = """\b
Examples:
  python -m validation figures
  python -m validation figure2 --output paper/figures
  python -m validation figures --force

Figures 3, 4, 8 and 9 and the tables are of the learning curves that the paper's
authors published. Name the folder that holds them, as paper_curves/, with --data
or REPLICA_LEARNING_DATA; without it `figures` leaves them out and says so.

\b
Every figure NAME becomes NAME.png (300 dpi), NAME.pdf, NAME.txt (its caption)
and NAME.json (by which a later run knows that it is up to date).

Exit codes: 0 all is drawn or up to date, 1 a figure could not be drawn or
written, 2 the command line was not understood."""


class _Figures(click.Group):
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
        metavar="FOLDER",
        help="Where the paper's learning curves are.",
    )(command)
    command = click.option(
        "--full", is_flag=True, help="Simulate at the paper's sizes where there is a simulation."
    )(command)
    return click.option(
        "--output",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("figures"),
        show_default=True,
        metavar="FOLDER",
        help="Where the files go; made if it is missing.",
    )(command)


@click.group(
    cls=_Figures,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def main() -> None:
    """Draw the theory's figures for print, and skip those that are up to date."""


def _add(name: str, claim: str) -> None:
    @main.command(name=name, help=f"{claim}.", short_help=f"{claim}.")
    @_options
    def command(output: Path, force: bool, full: bool, data: Path | None) -> None:
        if name in OF_CURVES and not _has_curves(data):
            _give_up(f"{name} {NO_CURVES}")
        _draw([name], output, force, full)
        if name in ("agreement", "tables"):
            click.echo((output / f"{name}.txt").read_text(encoding="utf-8"))


for _name, _claim in FIGURES.items():
    _add(_name, _claim)


@main.command(short_help="All of them.")
@_options
def figures(output: Path, force: bool, full: bool, data: Path | None) -> None:
    """Draw every figure that is out of date."""
    there = _has_curves(data)
    _draw([name for name in FIGURES if there or name not in OF_CURVES], output, force, full)
    for name in () if there else OF_CURVES:
        click.echo(f"{name}  left out: it {NO_CURVES}")


@main.command(short_help="Make a sweep of your own part of the project.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--command", required=True, help="The command that filled the folder.")
def keep(folder: Path, command: str) -> None:
    """Keep the records of a folder of runs as the tables that the mnist figures are drawn from."""
    from validation import evidence

    try:
        evidence.keep(folder, command)
    except (ValueError, OSError) as error:
        _give_up(str(error))


def _has_curves(data: Path | None) -> bool:
    """Whether the paper's learning curves are there; an option counts before the environment."""
    if data is not None:
        os.environ[settings.VARIABLE] = str(data)
    return settings.folder() is not None


def _draw(names: list[str], output: Path, force: bool, full: bool) -> None:
    """Bring figures up to date, one line each."""
    stale = [name for name in names if force or not stamp.is_fresh(name, output, full=full)]
    objections = []
    with _progress(len(stale)) as (say, advance):
        for name in names:
            if name not in stale:
                say(f"{name}  up to date")
                continue
            advance(name)
            try:
                _, objection = stamp.update(name, output, force=True, full=full)
            except OSError as error:
                _give_up(f"cannot write {name}: {error.strerror or error}: {error.filename}")
            say(f"{name}  drawn: {output / name}{{{','.join(stamp.suffixes)}}}")
            if objection is not None:
                objections.append(f"{name}: {objection}")
            advance("")
    if objections:
        _give_up("; ".join(objections))


def _give_up(message: str) -> NoReturn:
    raise click.ClickException(message)


@contextmanager
def _progress(total: int) -> Iterator[tuple[Report, Report]]:
    """How to print a line and how to move on: a bar on a terminal, else lines alone."""
    if total == 0 or not sys.stdout.isatty():
        yield click.echo, lambda _: None
        return
    # imported here: a run that draws nothing should not wait for it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("", total=total)

        def advance(name: str) -> None:
            """The name of the figure begun; empty when it is done."""
            progress.update(task, description=name, advance=0 if name else 1)

        def say(line: str) -> None:
            progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

        yield say, advance


if __name__ == "__main__":
    main(prog_name="python -m validation")
