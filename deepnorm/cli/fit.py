"""`deepnorm fit`: from learning curves to exponents, on a terminal, as JSON, as a report."""

# pandas, scipy, matplotlib and rich are imported where they are needed: help stays quick.
from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from deepnorm.cli.common import CONVENTIONS, WORDS, Suggested, drawing_quietly, library, pairs
from deepnorm.cli.reading import in_a_shell, is_of_runs, option_names, reading, source_of, tables
from deepnorm.cli.runs import of_runs
from replica.common.progress import bar
from replica.common.start import require_memory
from replica.common.terminal import (
    FILE,
    BadInput,
    Command,
    check_outputs,
    json_option,
    table,
    terminal,
    write_json,
    writing,
    written,
)
from replica.common.text import printable

if TYPE_CHECKING:
    from deepnorm.report.statements import Row
    from replica.scaling import Analysis, Curves

__all__ = ["fit"]

EXAMPLES = """\b
Examples:
  deepnorm fit curves.csv --json fit.json --report report.html
  deepnorm fit runs --norm bartlett --where model=cnn-small
  deepnorm fit sweep.parquet --percent \\
      --map norm=spectral_norm --map test_error=error
  deepnorm fit logs --pattern 'P{P}/seed{seed}' --accuracy
  deepnorm fit curves.csv --method paper --window 0 0.3 \\
      --gamma1-from 28000 --gamma2-from 28000 --optimum optimum.json
"""

#: Of a parameter that was typed.
GIVEN = click.core.ParameterSource.COMMANDLINE
#: numpy's OpenBLAS and scipy's each want a buffer of 32 MB at their first product, and where there
#: is none ask the system for it again, for ever.
BUFFERS = 80 << 20
#: Arguments of the library that are parameters under another name here.
RENAMED = {"gamma_1_from": "gamma1_from", "gamma_2_from": "gamma2_from"}


def _selection(ctx: click.Context, _: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    return pairs("NAME=VALUE, such as model=cnn", ctx, given)


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("curves", type=click.Path(exists=True), nargs=-1, required=True)
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
@click.option(
    "--gamma1-from",
    type=float,
    metavar="P",
    show_default="by rule",
    help="Smallest P for the early law.",
)
@click.option(
    "--gamma2-from",
    type=float,
    metavar="P",
    show_default="by rule",
    help="Smallest P for lam_opt(P).",
)
@click.option(
    "--optimum",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Your own lam_opt for gamma_2: a JSON object with lists P and mean_optimal_norm.",
)
@reading
@click.option(
    "--norm",
    "convention",
    type=Suggested(CONVENTIONS),
    metavar="NAME",
    help="Of a folder of runs: the norm to take, as --norm of `deepnorm sweep` recorded it.  "
    "[default: eq2]",
)
@click.option(
    "--where",
    multiple=True,
    callback=_selection,
    metavar="NAME=VALUE",
    help="Only rows, or runs, in which a column has that value, as in model=cnn; may be repeated.",
)
@click.option(
    "--offset",
    type=click.Choice(["auto", "yes", "no"]),
    default="auto",
    show_default=True,
    help="Whether the early law may tend to a floor above zero.",
)
@click.option(
    "--norm-offset",
    default="test",
    show_default=True,
    metavar="test|yes|no|LAM_0",
    help="Whether norms count from a lam_0 above zero: say so, take it, do not look, or its value.",
)
@click.option(
    "--robust/--all-seeds",
    default=True,
    show_default=True,
    help="Whether seeds at chance, that jump or stay apart are left out; they are named anyway.",
)
@click.option(
    "--bootstrap",
    type=click.IntRange(min=20),
    show_default="1000; fewer beyond 50 values of P",
    metavar="N",
    help="Repetitions on other seeds, for the errors.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, metavar="N", help="Of the bootstrap."
)
@json_option
@click.option(
    "--report",
    "report_to",
    type=FILE,
    metavar="FILE",
    help="Write a page in HTML, all in one file.",
)
@click.option("--title", show_default="name of the table", help="Title of the report.")
@click.pass_context
def fit(
    ctx: click.Context,
    /,
    curves: tuple[str, ...],
    method: str,
    window: tuple[float, float] | None,
    gamma1_from: float | None,
    gamma2_from: float | None,
    optimum: str | None,
    convention: str | None,
    where: dict[str, str],
    offset: str,
    norm_offset: str,
    robust: bool,
    bootstrap: int | None,
    seed: int,
    json_to: str | None,
    report_to: str | None,
    title: str | None,
    **held: Any,
) -> None:
    """Fit the exponents of learning curves.

    CURVES is a table with a row for each record: the number of training examples P, the norm (or
    log_norm, natural), the test_error, and where there are several the seed; step or epoch give
    the order. Or it is what a training wrote: an export of wandb or TensorBoard, the log of
    Lightning, Keras or transformers, a table of LCDB; several files, or a folder of them. Or it
    is a folder that `deepnorm sweep` has filled.

    Prints the exponents with statistical and systematic errors, the optimum of every P, and
    what cannot be concluded. Files are replaced in one step, once everything is computed.
    """
    if report_to == "-":
        raise BadInput("--report must be a file; got '-'")
    check_outputs(json_to, report_to)
    if is_of_runs(curves):
        if any(ctx.get_parameter_source(name) == GIVEN for name in held):
            options = ", ".join(option_names())
            raise BadInput(f"{options} are of tables; a folder of runs needs none of them")
        trained = of_runs(curves[0], "eq2" if convention is None else convention, where)
        read, source = trained.curves, trained.source
    else:
        if convention is not None:
            raise BadInput("--norm is of folders of runs; for a table use --map")
        with library():
            read = tables(curves, held | {"where": where})
        trained, source = None, source_of(curves)
    analysis = _analysis(
        read,
        optimum,
        method=method,
        window=window,
        gamma_1_from=gamma1_from,
        gamma_2_from=gamma2_from,
        offset=offset,
        norm_offset=_norm_offset(norm_offset),
        robust=robust,
        bootstrap=bootstrap,
        seed=seed,
    )
    if json_to is not None:
        from deepnorm.report.export import as_json

        write_json(as_json(analysis), json_to)
    if report_to is not None:
        drawing_quietly()
        from deepnorm.report.page import Training, write_report

        command = shlex.join(["deepnorm", *ctx.meta[WORDS]])
        heading = _name(curves[0]) if title is None else title
        shown = None
        if trained is not None:
            shown = Training(trained.curves, trained.longest, trained.convention)
        with writing(report_to):
            write_report(
                analysis,
                report_to,
                title=heading,
                source=source,
                command=command,
                training=shown,
            )
    if json_to != "-":
        _print(analysis, curves[0])
    written(json_to, report_to)


def _norm_offset(given: str) -> str | float:
    """A number where it is one; what else it may be, the analysis says."""
    try:
        return float(given)
    except ValueError:
        return given


def _name(path: str) -> str:
    """The last part of a path, also of one that ends in a slash."""
    return os.path.basename(os.path.normpath(path))


def _analysis(curves: Curves, optimum: str | None, **options: Any) -> Analysis:
    """The analysis of the curves, with a bar on a terminal."""
    import scipy.linalg  # noqa: F401  # before the room that it leaves is asked for

    from deepnorm.report.export import read_optimum
    from replica.scaling import analyse

    with library():
        own = None if optimum is None else read_optimum(optimum, curves.P.tolist())
    require_memory(BUFFERS)
    with library(RENAMED), _progress() as progress:
        return analyse(curves, optimum=own, progress=progress, **options)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """A bar for the bootstrap, on a terminal."""
    with bar("bootstrap") as shown:
        if not shown.shown:
            yield None
            return
        yield lambda done, total: shown.update(done, total=total)


# ------------------------------------------------------------------------------- the tables


def _print(analysis: Analysis, path: str) -> None:
    """Exponents, optima, collapse, thresholds, forecast, and what stands out."""
    from deepnorm.report import statements
    from deepnorm.verdict import verdict

    console = terminal()

    def say(text: str) -> None:
        console.print(printable(text), soft_wrap=True)

    how = "the paper's recipe" if analysis.method == "paper" else "windows by rule"
    say(verdict(analysis).sentence)
    say("")
    say(f"{_name(path)}: {statements.headline(analysis)}; {how}")
    say("")
    rows = statements.exponents(analysis)
    table(
        console,
        ("", "value", "stat.", "95%", "syst.", "law"),
        [_cells(r) for r in rows],
        wrapped=("law",),
    )
    for reason in dict.fromkeys(row.statement for row in rows if not row.stands):
        say(f"in brackets: {reason}")
    say("")
    titles, optima = _optima(analysis)
    table(console, titles, optima, wrapped=("",))
    say("")
    for line in statements.laws(analysis):
        say(line)
    say("")
    say("What stands out, and what cannot be concluded:")
    for line in statements.standing_out(analysis) or ["nothing"]:
        say(f"- {in_a_shell(line)}")


def _optima(analysis: Analysis) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The optimum of each P: titles and rows, without the columns that the table cannot fill."""
    from deepnorm.quantities import of_analysis
    from deepnorm.report import statements

    of = of_analysis(analysis)
    told = statements.optima(analysis)
    columns = [("P", [row["P"] for row in told])]
    if of.abscissa:
        columns.append((f"{of.letter}_opt", [_power(row["lam_opt"]) for row in told]))
        columns.append(("error of ln", [row["lam_error"] for row in told]))
    columns.append(("eps_opt", [row["eps_opt"] for row in told]))
    columns.append(("error of ln", [row["eps_error"] for row in told]))
    if of.has_norm:
        columns.append((f"{of.letter}_elbow", [_power(row["elbow"]) for row in told]))
    columns.append(("", [row["marks"] for row in told]))
    titles, cells = zip(*columns, strict=True)
    return titles, list(zip(*cells, strict=True))


def _cells(row: Row) -> tuple[str, ...]:
    """An exponent as a row; in brackets where nothing may rest on it."""
    numbers = [row.value, row.error, row.interval, row.systematic]
    if not row.stands:
        numbers = [f"({number})" for number in numbers]
    return (row.name, *numbers, row.law)


def _power(number: tuple[str, int] | None) -> str:
    """A norm as 12.3, or as 1.57e38."""
    from deepnorm.words import plain

    return "-" if number is None else plain(number) or f"{number[0]}e{number[1]}"
