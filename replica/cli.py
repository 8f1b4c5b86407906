"""The `replica` command: solutions, whole curves and classical rules on a terminal.

Exit codes: 0 done; 1 a solver stopped short or a file could not be written;
2 a bad argument or a problem without an answer; 130 interrupted.
"""

# The numerical modules and rich are imported where a command needs them: help stays quick.
from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from replica.highprecision import Certificate
    from replica.solution import Solution

__all__ = ["main"]

#: Exit codes beside 0 and click's 1; 130 is what shells expect after Ctrl-C (128 + SIGINT).
BAD_INPUT, INTERRUPTED = 2, 130
#: Digits in tables: what a double holds, up to its last bit.
DIGITS = 15

# "\b" keeps click from wrapping the paragraph that follows.
EXAMPLES = """\b
Examples:
  replica solve --alpha 5 --lam 4.5               one point
  replica solve --alpha 5 --lam inf --certify 30  maximum stability, 30 digits
  replica path --alpha 5 -o path.csv              the whole curve
  replica rules --alpha 5                         the classical rules

\b
Norms: the loss is log(1 + exp(-2 lam Delta)) on the sphere |w|^2 = N. The
textbook loss log(1 + exp(-z)) at weight norm |w| has lam = |w|/(2 sqrt(N)).
"""
SOLVE_EXAMPLE = """\b
Example:
  replica solve --alpha 5 --lam 4.5 --json
"""
PATH_EXAMPLE = """\b
Example:
  replica path --alpha 5 --from 0.01 --to 100 -o path.csv
"""
RULES_EXAMPLE = """\b
Example:
  replica rules --alpha 5
"""

#: The columns of `replica path`, in order.
COLUMNS = (
    "rule",
    "lam",
    "overlap",
    "one_minus_overlap",
    "generalization_error",
    "error_estimate",
    "log_x",
    "train_loss",
    "train_error",
    "multiplier",
    "replicon",
    "slope",
    "margin_mean",
    "margin_var",
    "status",
)


# ---------------------------------------------------------------- errors become sentences


class _BadInput(click.ClickException):
    """One line on the standard error stream, without the usage text of a mistyped command."""

    exit_code = BAD_INPUT


def _in_options(message: str) -> str:
    """The library names arguments, `lam`; whoever types a command knows the option, --lam."""
    options = {"digits": "--certify", "label_flip": "--label-flip", "label_noise": "--label-noise"}
    names = "alpha|lam|label_flip|label_noise|digits"
    one_line = " ".join(message.split())
    return re.sub(f"`({names})`", lambda m: options.get(m[1], f"--{m[1]}"), one_line)


@contextlib.contextmanager
def _library() -> Iterator[None]:
    """Around calls of the library: what it refuses or cannot do becomes a message."""
    from replica.solution import ConvergenceError

    try:
        yield
    except ValueError as error:
        raise _BadInput(_in_options(str(error))) from error
    except ConvergenceError as error:
        raise click.ClickException(_in_options(str(error))) from error


class _Commands(click.Group):
    """A group of commands that leaves quietly when interrupted."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; Ctrl-C leaves without a traceback."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


# ---------------------------------------------------------------------------- the commands

Command = Callable[..., None]

_alpha = click.option(
    "--alpha", type=float, required=True, help="Examples per dimension P/N; positive."
)
_json = click.option(
    "--json", "as_json", is_flag=True, help='Print one JSON object: nan is null, inf is "inf".'
)


def _teacher(command: Command) -> Command:
    """The options of a noisy teacher."""
    flip = click.option(
        "--label-flip",
        type=float,
        default=0.0,
        metavar="P",
        help="Probability that a label is inverted, in [0, 0.5].",
    )
    noise = click.option(
        "--label-noise",
        type=float,
        default=0.0,
        metavar="S",
        help="Standard deviation of the noise on the teacher's field.",
    )
    return flip(noise(command))


@click.group(
    cls=_Commands,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)
@click.version_option(package_name="replica-learning", prog_name="replica")
def main() -> None:
    """The fixed-norm perceptron, solved.

    How well the minimiser of the logistic loss generalizes at every norm lam: from Hebb
    (lam = 0) through the optimum to maximum stability (lam = inf).
    """


@main.command(epilog=SOLVE_EXAMPLE)
@_alpha
@click.option("--lam", type=float, required=True, help="The norm: 0 is Hebb, inf max. stability.")
@_teacher
@click.option("--storage", is_flag=True, help="Random labels: the storage problem.")
@_json
@click.option(
    "--certify",
    type=int,
    metavar="DIGITS",
    help="Solve again, independently, to that many digits (5 to 200).",
)
def solve(
    alpha: float,
    lam: float,
    label_flip: float,
    label_noise: float,
    storage: bool,
    as_json: bool,
    certify: int | None,
) -> None:
    """Solve one point.

    Prints the generalization error with its error estimate, the overlap with the teacher,
    the margins and what else the saddle point tells. With --json every number has full
    precision; nan becomes null and the infinities the strings "inf" and "-inf". Certified
    digits are strings.
    """
    if storage and (label_flip or label_noise):
        raise click.UsageError("--storage has no teacher: leave out --label-flip and --label-noise")
    from replica.rules import logistic_storage, logistic_teacher_student

    with _library():
        if storage:
            solution = logistic_storage(alpha, lam)
        else:
            solution = logistic_teacher_student(
                alpha, lam, label_flip=label_flip, label_noise=label_noise
            )
    certificate = None if certify is None else _certify(solution, certify)
    asked = {"storage": storage, "label_flip": label_flip, "label_noise": label_noise}
    if as_json:
        _print_json(_solution_record(solution, asked, certificate))
        return
    _print_solution(solution, asked)
    if certificate is not None:
        click.echo("\n".join(_certificate_lines(certificate)))


@main.command(epilog=PATH_EXAMPLE)
@_alpha
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help='CSV file to write; "-" is the standard output.',
)
@click.option("--from", "low", type=float, default=1e-3, show_default=True, help="Smallest lam.")
@click.option("--to", "high", type=float, default=1e3, show_default=True, help="Largest lam.")
@click.option(
    "--points",
    type=click.IntRange(min=2),
    default=200,
    show_default=True,
    help="Number of norms, evenly spaced in log lam.",
)
@_teacher
def path(
    alpha: float,
    output: str,
    low: float,
    high: float,
    points: int,
    label_flip: float,
    label_noise: float,
) -> None:
    """Write the whole curve at one alpha as CSV.

    The column `rule` says what a row is: hebb (lam = 0), path, optimum (the best norm),
    max_stability (lam = inf) or bayes_optimal (no norm: the best that any rule can do). Rows
    are in order of lam. The optimum and the Bayes-optimal rule are known for a noiseless
    teacher only; with noise their rows are left out.

    The first line names the columns. Numbers have full precision; infinities are "inf" and
    numbers that do not exist are empty. A norm without a solution (noisy labels, beyond the
    limit of convexity) keeps its row, with the reason in `status`. A file is replaced in one
    step, once everything is computed.
    """
    # `not` also refuses nan
    if not 0 < low < math.inf:
        raise click.BadParameter(
            f"must be positive and finite (Hebb, lam = 0, has its own row); got {low:g}",
            param_hint="'--from'",
        )
    if not low < high < math.inf:
        raise click.BadParameter(
            f"must be finite and larger than --from (maximum stability, lam = inf, has its own "
            f"row); got {high:g}",
            param_hint="'--to'",
        )
    rows = _path_rows(alpha, low, high, points, label_flip, label_noise)
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    if output == "-":
        click.echo(buffer.getvalue(), nl=False)
        return
    _replace_file(output, buffer.getvalue())
    unsolved = sum(row["status"] != "converged" for row in rows)
    note = f", {unsolved} of them without a solution (see `status`)" if unsolved else ""
    click.echo(f"{len(rows)} rows written to {output}{note}", err=True)


@main.command(epilog=RULES_EXAMPLE)
@_alpha
@_json
def rules(alpha: float, as_json: bool) -> None:
    """Compare the classical learning rules at one alpha.

    Hebb, Gibbs, maximum stability (with its margin kappa), the logistic loss at its best norm
    and the Bayes-optimal rule, for a noiseless teacher: the generalization error of each, and
    how far it is above the Bayes-optimal one.
    """
    from replica.rules import bayes_optimal, gibbs, hebb, max_stability, optimal_norm

    with _library():
        found = {
            "hebb": hebb(alpha),
            "gibbs": gibbs(alpha),
            "max_stability": max_stability(alpha),
            "optimal_norm": optimal_norm(alpha),
            "bayes_optimal": bayes_optimal(alpha),
        }
    if as_json:
        record: dict[str, Any] = {"alpha": alpha}
        for name, rule in found.items():
            record[name] = rule.to_dict()
            del record[name]["alpha"]
        _print_json(record)
        return
    _print_rules(alpha, found)


# ------------------------------------------------------------------------------ the records


def _solution_record(
    solution: Solution, asked: dict[str, Any], certificate: Certificate | None
) -> dict[str, Any]:
    """What `replica solve --json` prints."""
    atom = solution.margins.atom
    record = {
        **solution.to_dict(),
        "margin_mean": solution.margins.mean(),
        "margin_var": solution.margins.var(),
        "atom_position": atom.position,
        "atom_weight": atom.weight,
        **asked,
    }
    del record["log_c"]  # the solver's own unknown; overlap and one_minus_overlap say it
    if certificate is not None:
        record["certificate"] = {
            "digits": certificate.digits,
            **_certified(certificate),
            "error": float(certificate.error),
            "relative_error": None
            if certificate.relative_error is None
            else float(certificate.relative_error),
        }
    return record


def _certify(solution: Solution, digits: int) -> Certificate:
    """The independent solution; exit code 1 if it stops short."""
    from replica import highprecision

    try:
        with _library():
            return highprecision.certify(solution, digits=digits)
    except highprecision.CertificationError as error:
        raise click.ClickException(_in_options(str(error))) from error


def _certified(certificate: Certificate) -> dict[str, str]:
    """The certified numbers by name, as strings of so many digits."""
    import mpmath

    names = ("generalization_error", "overlap", "one_minus_overlap", "log_x", "stability")
    numbers = {name: getattr(certificate, name) for name in names}
    return {
        name: str(mpmath.nstr(number, certificate.digits)).lstrip("+")
        for name, number in numbers.items()
        if number is not None
    }


def _jsonable(value: Any) -> Any:
    """JSON has neither nan nor infinities: null, "inf" and "-inf" stand for them."""
    if isinstance(value, dict):
        return {name: _jsonable(part) for name, part in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _print_json(record: dict[str, Any]) -> None:
    click.echo(json.dumps(_jsonable(record), indent=2, allow_nan=False))


def _path_rows(
    alpha: float, low: float, high: float, points: int, label_flip: float, label_noise: float
) -> list[dict[str, Any]]:
    """The rows of `replica path`, in order of lam."""
    import numpy as np

    from replica.rules import bayes_optimal, logistic_teacher_student, optimal_norm

    noiseless = label_flip == 0 and label_noise == 0
    noise = {"label_flip": label_flip, "label_noise": label_noise}
    with _library():
        # one scalar first: a bad alpha or noise is refused, not marked in every row
        logistic_teacher_student(alpha, 0.0, **noise)
        named = [("hebb", 0.0), *(("path", lam) for lam in np.geomspace(low, high, points))]
        if noiseless:
            named.append(("optimum", optimal_norm(alpha).lam))
        named.append(("max_stability", math.inf))
        named.sort(key=lambda row: row[1])
        curve = logistic_teacher_student(alpha, [lam for _, lam in named], **noise)
        table = {
            "rule": [name for name, _ in named],
            **curve.to_dict(),
            "margin_mean": np.asarray(curve.margins.mean()).tolist(),
            "margin_var": np.asarray(curve.margins.var()).tolist(),
        }
        best = bayes_optimal(alpha).to_dict() if noiseless else None
    rows = [{name: _cell(table[name][i]) for name in COLUMNS} for i in range(len(named))]
    if best is not None:
        known = {name: _cell(best[name]) for name in COLUMNS if name in best}
        rows.append({"rule": "bayes_optimal", **known})
    return rows


def _cell(value: Any) -> str:
    """One cell: numbers as `repr`, which reads back to the same double; nan is empty."""
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return str(value)


def _replace_file(name: str, text: str) -> None:
    """Write beside the file and move into place: no reader ever sees half of it."""
    target = os.path.realpath(name)  # through a link, to what it points at
    folder = os.path.dirname(target)
    try:
        try:
            mode = os.stat(target).st_mode
        except FileNotFoundError:
            mode = None
        if mode is not None and stat.S_ISDIR(mode):
            raise IsADirectoryError(0, "it is a directory")
        if mode is not None and not os.access(target, os.W_OK):
            raise PermissionError(0, "it exists and is read-only")
        if mode is not None and not stat.S_ISREG(mode):
            with open(target, "w", encoding="utf-8", newline="") as device:  # /dev/null, a pipe
                device.write(text)
            return
        handle, draft = tempfile.mkstemp(dir=folder, prefix=".replica-", suffix=".csv")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            os.chmod(draft, stat.S_IMODE(mode) if mode is not None else 0o666 & ~_umask())
            os.replace(draft, target)
        except BaseException:
            os.unlink(draft)
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise click.ClickException(f"cannot write {name}: {reason}") from error


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


# ------------------------------------------------------------------------------- the tables


def _console() -> Console:
    """Where tables go: no colour and no escape codes unless this is a terminal."""
    from rich.console import Console

    return Console(highlight=False)


def _letters(console: Console, greek: str, plain: str) -> str:
    """Greek where the output can show it."""
    try:
        greek.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return plain
    return greek


def _number(value: float, digits: int = DIGITS) -> str:
    return f"{value:.{digits}g}"


def _print_solution(solution: Solution, asked: dict[str, Any]) -> None:
    """A table of one solution: what it is, its symbol, its value."""
    from rich import box
    from rich.table import Table

    console = _console()

    def letters(greek: str, plain: str) -> str:
        return _letters(console, greek, plain)

    eps = letters("ε", "eps")
    margins = solution.margins
    error = solution.generalization_error * solution.error_estimate
    lines: list[tuple[str, str, float]] = [
        ("generalization error", eps, solution.generalization_error),
        ("its absolute error, estimated", letters("±", "+-"), float(f"{error:.1e}")),
        ("overlap with the teacher", "R", solution.overlap),
        ("one minus overlap", "1 - R", solution.one_minus_overlap),
    ]
    if math.isinf(solution.lam):
        lines += [
            ("stability: the smallest margin", letters("κ", "kappa"), solution.stability),
            ("fraction of margins there", "", float(margins.atom.weight)),
        ]
    else:
        lines.append(
            (letters("log of x = β(1 - q)", "log of beta(1 - q)"), "log x", solution.log_x)
        )
    lines += [
        ("mean margin", letters("⟨Δ⟩", "<D>"), float(margins.mean())),
        ("variance of the margins", letters("Var Δ", "Var D"), float(margins.var())),
        ("training loss", "V", solution.train_loss),
        ("training error", "", solution.train_error),
        ("multiplier (convex below 1)", "", solution.multiplier),
        ("replicon (stable below 1)", "", solution.replicon),
    ]
    if not (asked["storage"] or math.isnan(solution.slope)):
        gamma, lam = letters("γ₁", "gamma_1"), letters("λ", "lam")
        lines.append((f"local exponent: {eps} ~ {lam}^-{gamma}", gamma, -solution.slope))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("quantity", overflow="fold")
    table.add_column("symbol", no_wrap=True)
    table.add_column("value", no_wrap=True)  # narrow terminals wrap words, never digits
    for name, symbol, value in lines:
        table.add_row(name, symbol, _number(value))
    console.print(_headline(solution, asked, letters), soft_wrap=True, markup=False)
    console.print()
    console.print(table)


def _headline(solution: Solution, asked: dict[str, Any], letters: Callable[[str, str], str]) -> str:
    """The problem in one line."""
    if asked["storage"]:
        labels = "random labels"
    elif asked["label_flip"] or asked["label_noise"]:
        labels = "labels of a noisy teacher"
        if asked["label_flip"]:
            labels += f", flipped with probability {_number(asked['label_flip'])}"
        if asked["label_noise"]:
            labels += f", field noise {_number(asked['label_noise'])}"
    else:
        labels = "labels of a noiseless teacher"
    limit = {0.0: " (Hebb)", math.inf: " (maximum stability)"}.get(solution.lam, "")
    alpha, lam = letters("α", "alpha"), letters("λ", "lam")
    at = f"{alpha} = {_number(solution.alpha)}, {lam} = {_number(solution.lam)}{limit}"
    return f"Logistic loss at {at}, {labels}"


def _certificate_lines(certificate: Certificate) -> list[str]:
    """The certified digits, unwrapped so that they can be copied."""
    words = {
        "generalization_error": "generalization error",
        "overlap": "overlap",
        "one_minus_overlap": "one minus overlap",
        "log_x": "log x",
        "stability": "stability",
    }
    lines = ["", f"Certified to {certificate.digits} digits by an independent calculation:"]
    lines += [f"  {words[name]:<22}{digits}" for name, digits in _certified(certificate).items()]
    lines.append(f"  {'its relative error':<22}{float(certificate.error):.1e}")
    if certificate.relative_error is not None:
        lines.append(f"  {'of the value above':<22}{float(certificate.relative_error):.1e}")
    return lines


def _print_rules(alpha: float, found: dict[str, Any]) -> None:
    """The table of the classical rules, from the worst idea to the best."""
    from rich import box
    from rich.table import Table

    console = _console()

    def letters(greek: str, plain: str) -> str:
        return _letters(console, greek, plain)

    words = {
        "hebb": "Hebb",
        "gibbs": "Gibbs",
        "max_stability": "maximum stability",
        "optimal_norm": "logistic, best norm",
        "bayes_optimal": "Bayes-optimal",
    }
    best = found["bayes_optimal"].generalization_error
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("rule", overflow="fold")
    table.add_column(letters("error ε", "error eps"), overflow="fold", min_width=8)
    table.add_column("overlap R", overflow="fold", min_width=8)
    table.add_column("above Bayes", overflow="fold")
    for name, rule in found.items():
        eps = rule.generalization_error
        above = rule.bayes_gap if name == "optimal_norm" else eps / best - 1
        table.add_row(
            words[name],
            _number(eps),
            _number(rule.overlap),
            "" if name == "bayes_optimal" else f"{100 * above:.3g} %",
        )
    kappa, lam = letters("κ", "kappa"), letters("λ", "lam")
    heading = f"Learning rules at {letters('α', 'alpha')} = {_number(alpha)}, noiseless teacher"
    console.print(heading, soft_wrap=True)
    console.print()
    console.print(table)
    console.print()
    stability, norm = found["max_stability"].stability, found["optimal_norm"].lam
    console.print(f"maximum stability: {kappa} = {_number(stability)}", soft_wrap=True)
    console.print(f"best norm: {lam} = {_number(norm)}", soft_wrap=True)


if __name__ == "__main__":
    main()
