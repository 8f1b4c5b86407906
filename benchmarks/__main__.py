"""`python -m benchmarks`: one table of timings, accuracies and memory."""

from __future__ import annotations

import datetime
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks import PARTS, page
from benchmarks.machine import sentence, surroundings
from benchmarks.running import load, measure_apart
from benchmarks.table import Group, Part, markdown, terminal

# "\b" keeps click from wrapping the paragraph that follows.
EXAMPLES = """\b
Examples:
  python -m benchmarks                    everything, about seven minutes
  python -m benchmarks theory start       two parts
  python -m benchmarks --list             what there is, without measuring
  python -m benchmarks --markdown --json numbers.json
  python -m benchmarks --update README.md docs/benchmarks.md
"""
#: A load above this many cores, and the figures are not worth much.
BUSY = 0.5
#: Columns of a table that goes into a file or a pipe.
WIDTH = 140


def show_list(names: tuple[str, ...]) -> None:
    for name in names:
        part = load(name)
        click.echo(f"{name}: {part.title}")
        for row in part.rows:
            beside = f"  ({row.theirs})" if row.theirs else ""
            click.echo(f"  {'*' if row.short else ' '} {row.name}{beside}")
    click.echo("* in the short table too")


@click.command(
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)
@click.argument("arguments", nargs=-1, metavar="[PARTS]...")
@click.option("--list", "listed", is_flag=True, help="Name parts and rows, measure nothing.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the table as Markdown.")
@click.option(
    "--update",
    is_flag=True,
    help="Write it into pages: what is named are FILES, each with lines "
    "`<!-- benchmarks:begin -->` (or `benchmarks:begin short`) and `<!-- benchmarks:end -->`.",
)
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the numbers too.")
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Repetitions of each measurement; at most 3 of the slowest.",
)
def main(
    arguments: tuple[str, ...],
    listed: bool,
    as_markdown: bool,
    update: bool,
    output: Path | None,
    repeats: int,
) -> None:
    """Time this library beside what else there is: all PARTS, or those that are named.

    Exits with 1 if a row failed; the others are there all the same.
    """
    names, pages = _read(arguments, update)
    if listed:
        show_list(names)
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    notes = Console(stderr=True, highlight=False)
    about = surroundings()
    if about["load"] is not None and about["load"] > BUSY * about["cores"]:
        notes.print(f"Something else runs here (load {about['load']:.1f}): the spread will tell.")
    begin, groups = time.perf_counter(), []
    for name in names:
        notes.print(f"{name} ...", end=" ")
        since = time.perf_counter()
        groups.append((_heading(load(name)), measure_apart(name, repeats)))
        notes.print(f"{time.perf_counter() - since:.0f} s")
    told = _told(about, repeats, time.perf_counter() - begin)
    if as_markdown:
        click.echo(f"{markdown(groups)}\n{told}")
    else:
        console.print(terminal(groups))
        console.print(f"\n{told}", soft_wrap=True)
    if output is not None:
        output.write_text(json.dumps(_record(about, names, groups), indent=2) + "\n", "utf-8")
    for path in pages:
        page.update(
            path,
            full=f"{markdown(groups)}\n{told}",
            short=f"{markdown(groups, short=True)}\n{told}",
        )
    if any(result.failure for _, results in groups for result in results):
        sys.exit(1)


def _read(arguments: tuple[str, ...], update: bool) -> tuple[tuple[str, ...], list[Path]]:
    """Parts to run, and pages to write, checked before anything takes minutes."""
    if not update:
        for name in arguments:
            if name not in PARTS:
                raise click.BadParameter(f"there is no part {name!r}: {', '.join(PARTS)}")
        return tuple(name for name in PARTS if name in arguments) or PARTS, []
    pages = [Path(name) for name in arguments]
    if not pages:
        raise click.UsageError("--update needs the files that it shall update")
    for path in pages:
        try:
            page.find(path)
        except (OSError, ValueError) as error:
            raise click.UsageError(str(error)) from error
    return PARTS, pages


def _heading(part: Part) -> str:
    return f"{part.title} (one thread)" if part.threads == 1 else part.title


def _told(about: dict[str, Any], repeats: int, took: float) -> str:
    """Below the table: how it came about."""
    typed = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    date = datetime.datetime.now(datetime.UTC).date()
    return f"`{typed}`, {date}, {took:.0f} s, {repeats} repeats: {sentence(about)}."


def _record(about: dict[str, Any], names: tuple[str, ...], groups: list[Group]) -> dict[str, Any]:
    rows = [
        {"part": name, **result.record()}
        for name, (_, results) in zip(names, groups, strict=True)
        for result in results
    ]
    return {"surroundings": about, "rows": rows}


if __name__ == "__main__":
    main()
