"""The `deepnorm` command: from a table of learning curves to exponents on a terminal.

Exit codes: 0 done; 1 a file could not be written; 2 a bad argument or curves that bear no
analysis; 130 interrupted.
"""

# pandas, scipy, matplotlib and rich are imported where a command needs them: help stays quick.
from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from deepnorm import statements
from deepnorm.export import as_json, read_optimum
from deepnorm.files import check_writable, replace_file

if TYPE_CHECKING:
    from rich.console import Console

    from replica.scaling import Analysis

__all__ = ["main"]

#: Exit codes beside 0 and click's 1; 130 is what shells expect after Ctrl-C (128 + SIGINT).
BAD_INPUT, INTERRUPTED = 2, 130
#: Where the words of the command line are kept for the report.
WORDS = "deepnorm.words"

# "\b" keeps click from wrapping the paragraph that follows.
EXAMPLES = """\b
Examples:
  deepnorm fit curves.csv                        exponents on the terminal
  deepnorm fit curves.csv --report report.html   with figures, in one file
  deepnorm fit curves.csv --json -               every number, for a script
"""
FIT_EXAMPLES = """\b
Examples:
  deepnorm fit curves.csv --json fit.json --report report.html
  deepnorm fit sweep.parquet --map norm=spectral_norm --map test_error=error --percent
  deepnorm fit curves.csv --method paper --window 0 0.3 --gamma1-from 28000 \\
      --gamma2-from 28000 --optimum optimum.json
"""


# ---------------------------------------------------------------- errors become sentences


class _BadInput(click.ClickException):
    """One line on the standard error stream, without the usage text of a mistyped command."""

    exit_code = BAD_INPUT


#: The library names arguments; whoever types a command knows the option.
READING = {"columns": "--map", "percent": "--percent"}
FITTING = {
    "gamma_1_from": "--gamma1-from",
    "gamma_2_from": "--gamma2-from",
    "method": "--method",
    "window": "--window",
    "optimum": "--optimum",
    "offset": "--offset",
    "bootstrap": "--bootstrap",
}


def _in_options(message: str, options: Mapping[str, str]) -> str:
    """The message in one line, with options in place of arguments."""
    names = "|".join(options)
    return re.sub(f"`({names})`", lambda m: options[m[1]], " ".join(message.split()))


@contextlib.contextmanager
def _library(options: Mapping[str, str]) -> Iterator[None]:
    """Around calls of the library: what it refuses becomes a message."""
    try:
        yield
    except (ValueError, ImportError) as error:
        raise _BadInput(_in_options(str(error), options)) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise _BadInput(f"cannot read {error.filename}: {reason}") from error


@contextlib.contextmanager
def _writing(name: str) -> Iterator[None]:
    """Around the writing of a file: why it cannot be written becomes a message."""
    try:
        yield
    except OSError as error:
        raise click.ClickException(f"cannot write {name}: {error.strerror or error}") from error


class _Commands(click.Group):
    """A group of commands that leaves quietly when interrupted."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words as they were typed, for the report."""
        ctx.meta[WORDS] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; Ctrl-C leaves without a traceback."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


# ---------------------------------------------------------------------------- the commands


@click.group(
    cls=_Commands,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)
@click.version_option(package_name="replica-learning", prog_name="deepnorm")
def main() -> None:
    """Learning curves of deep networks as a function of their norm."""


def _mapping(_: click.Context, __: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    """norm=spectral_norm, ... as a dictionary."""
    columns: dict[str, str] = {}
    for pair in pairs:
        name, equals, title = pair.partition("=")
        if not (name and equals and title):
            raise click.BadParameter(f"must be NAME=COLUMN, such as norm=R; got {pair!r}")
        if name in columns:
            raise click.BadParameter(f"maps `{name}` twice")
        columns[name] = title
    return columns


@main.command(epilog=FIT_EXAMPLES)
@click.argument("curves", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--method",
    type=click.Choice(["default", "paper"]),
    default="default",
    show_default=True,
    help="Windows by rule and errors by bootstrap, or the recipe of the paper's authors.",
)
@click.option(
    "--window",
    type=(float, float),
    metavar="LO HI",
    help="Range of lam/lam_opt in which straight lines are fitted; for --method paper.",
)
@click.option("--gamma1-from", type=float, metavar="P", help="Smallest P for the early law.")
@click.option("--gamma2-from", type=float, metavar="P", help="Smallest P for lam_opt(P).")
@click.option(
    "--optimum",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Your own lam_opt for gamma_2: a JSON object with lists P and mean_optimal_norm.",
)
@click.option(
    "--map",
    "columns",
    multiple=True,
    callback=_mapping,
    metavar="NAME=COLUMN",
    help="Where a column has another name, as in norm=spectral_norm; may be repeated.",
)
@click.option("--percent", is_flag=True, help="Errors are in percent.")
@click.option(
    "--offset",
    type=click.Choice(["auto", "yes", "no"]),
    default="auto",
    show_default=True,
    help="Whether the early law may tend to a floor above zero.",
)
@click.option(
    "--bootstrap",
    type=click.IntRange(min=20),
    default=1000,
    show_default=True,
    metavar="N",
    help="Repetitions on other seeds, for the errors.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap.")
@click.option("--json", "json_to", metavar="FILE", help='Every number as JSON; "-" is stdout.')
@click.option("--report", "report_to", metavar="FILE", help="A page in HTML, all in one file.")
@click.option("--title", help="Title of the report.  [default: name of the table]")
@click.pass_context
def fit(
    ctx: click.Context,
    curves: str,
    method: str,
    window: tuple[float, float] | None,
    gamma1_from: float | None,
    gamma2_from: float | None,
    optimum: str | None,
    columns: dict[str, str],
    percent: bool,
    offset: str,
    bootstrap: int,
    seed: int,
    json_to: str | None,
    report_to: str | None,
    title: str | None,
) -> None:
    """Fit the exponents of learning curves.

    CURVES is a table (.csv, .csv.gz, .parquet) with a row for each record: the number of
    training examples P, the norm (or log_norm, natural), the test_error, and where there are
    several the seed; step or epoch give the order.

    Prints the exponents with statistical and systematic errors, the optimum of every P, and
    what cannot be concluded. With --json nan becomes null and the infinities the strings
    "inf" and "-inf". Files are replaced in one step, once everything is computed.
    """
    for name in (json_to, report_to):
        if name is not None and name != "-":
            with _writing(name):
                check_writable(name)
    analysis = _analysis(
        curves,
        columns,
        percent,
        optimum,
        method=method,
        window=window,
        gamma_1_from=gamma1_from,
        gamma_2_from=gamma2_from,
        offset=offset,
        bootstrap=bootstrap,
        seed=seed,
    )
    if json_to is not None:
        _write_json(analysis, json_to)
    if report_to is not None:
        from deepnorm.report import write_report

        command = shlex.join(["deepnorm", *ctx.meta[WORDS]])
        heading = os.path.basename(curves) if title is None else title
        with _writing(report_to):
            write_report(
                analysis, report_to, title=heading, source=_source(curves), command=command
            )
    if json_to != "-":
        _print(analysis, curves)
        for name in (json_to, report_to):
            if name is not None:
                click.echo(f"written: {name}", err=True)


def _analysis(
    path: str, columns: dict[str, str], percent: bool, optimum: str | None, **options: Any
) -> Analysis:
    """The analysis of the table, with a bar on a terminal."""
    from replica.scaling import analyse, read_curves

    with _library(READING):
        curves = read_curves(path, columns=columns, percent=percent)
    with _library({}):
        own = None if optimum is None else read_optimum(optimum, curves.P.tolist())
    with _library(FITTING), _progress() as progress:
        return analyse(curves, optimum=own, progress=progress, **options)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """A bar for the bootstrap, on the standard error stream if that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("bootstrap"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("")
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _source(path: str) -> str:
    """The name of a file and the digest of what it holds, which says more than its date."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{os.path.basename(path)}, SHA-256 {digest}"


def _write_json(analysis: Analysis, name: str) -> None:
    """Every number, to a file or to the standard output."""
    text = json.dumps(as_json(analysis), indent=2, allow_nan=False) + "\n"
    if name == "-":
        click.echo(text, nl=False)
        return
    with _writing(name):
        replace_file(name, text)


# ------------------------------------------------------------------------------- the tables


def _print(analysis: Analysis, path: str) -> None:
    """Exponents, optima, collapse, thresholds, forecast, and what stands out."""
    console = _console()

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False)

    how = "the paper's recipe" if analysis.method == "paper" else "windows by rule"
    say(f"{os.path.basename(path)}: {statements.headline(analysis)}; {how}")
    say("")
    rows = statements.exponents(analysis)
    _table(
        console,
        ("", "value", "stat.", "95%", "syst.", "law"),
        [(r.name, r.value, r.error, r.interval, r.systematic, r.law) for r in rows],
    )
    if analysis.difference == analysis.difference:
        say(f"gamma_pred - gamma_meas: {analysis.difference:+.2g} statistical standard errors")
    say("")
    _table(
        console,
        ("P", "lam_opt", "error of ln", "eps_opt", "error of ln", "lam_elbow", ""),
        [
            (
                row["P"],
                _power(row["lam_opt"]),
                row["lam_error"],
                row["eps_opt"],
                row["eps_error"],
                _power(row["elbow"]),
                row["marks"],
            )
            for row in statements.optima(analysis)
        ],
    )
    say("")
    for line in statements.laws(analysis):
        say(line)
    say("\nWhat stands out, and what cannot be concluded:")
    for line in statements.standing_out(analysis) or ["nothing"]:
        say(f"- {line}")


def _console() -> Console:
    """Where tables go: no colour and no escape codes unless this is a terminal."""
    from rich.console import Console

    return Console(highlight=False)


def _table(console: Console, titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
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


def _power(number: tuple[str, int] | None) -> str:
    """A norm as 1.57e38."""
    return "-" if number is None else f"{number[0]}e{number[1]}"


if __name__ == "__main__":
    main()
