"""`replica predict`: which C, and what errors, on a table of one's own."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from replica.cli.common import convert, number
from replica.common.terminal import (
    BadInput,
    Command,
    check_outputs,
    json_option,
    refusal,
    say,
    table,
    terminal,
    unreadable,
    write_json,
    written,
)
from replica.common.text import printable

if TYPE_CHECKING:
    from replica.prediction import LearningCurve

__all__ = ["predict"]

EXAMPLES = """\b
Examples:
  replica predict patients.csv --label outcome
  replica predict patients.csv --label outcome --standardise --examples 30,100
  replica predict features.npz --label y --json

\b
Tables: .csv and .tsv with a line of names, .parquet, and .npz with one array
of labels and one of features. All columns but the label must be numbers.
"""
TITLES = ("labels", "C", "error", "90%", "drawn", "measured", "verdict")
#: Endings, and what separates columns there.
SEPARATORS = {".csv": ",", ".tsv": "\t"}


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--label", required=True, metavar="NAME", help="Column of the labels: two values.")
@click.option(
    "--examples",
    metavar="P,P,...",
    help="Numbers of training examples; a tenth, a third and all rows by default.",
)
@click.option(
    "--standardise",
    is_flag=True,
    help="Subtract the mean of each column and divide by its standard deviation first.",
)
@click.option(
    "--no-check",
    "check",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Leave out the held-out rows: quicker, and no error is then called trusted.",
)
@json_option
def predict(
    data: Path,
    label: str,
    examples: str | None,
    standardise: bool,
    check: bool,
    json_to: str | None,
) -> None:
    """Predict the error of logistic regression, and its best C, on a table.

    Two clouds with the means and the covariance of the two classes stand for the data; nothing is
    fitted. "drawn" are errors on held-out rows of weights that follow the theory, "measured"
    those of classifiers that are really trained. A prediction is trusted where it exceeds 10%
    and the drawn weights agree, and refused where experience says that it fails.
    """
    check_outputs(json_to)
    X, y = _read(data, label)
    sizes = None if examples is None else _numbers(examples)
    from replica.prediction import predict_learning_curve

    try:
        if standardise:
            X = _standardised(X)
        found = predict_learning_curve(X, y, sizes, check=check)
    except ValueError as error:
        raise refusal(error, {"X": "data", "y": "label"}) from error
    if json_to is not None:
        write_json(_plain(found.to_dict()), json_to)
    if json_to != "-":
        _print(found, data)
        written(json_to)


def _numbers(text: str) -> list[float]:
    """Of "100,300"."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise BadInput(f"--examples must be numbers, separated by commas; got {text!r}") from None


def _read(data: Path, label: str) -> tuple[Any, Any]:
    """Features and labels of a file."""
    ending = data.suffix.lower()
    if not data.is_file():  # a pipe, or a device, of which there might be no end
        raise BadInput(f"DATA must be a regular file; got {data}")
    try:
        if ending == ".npz":
            return _arrays(data, label)
        if ending == ".parquet":
            from pandas import read_parquet

            frame = read_parquet(data)
        elif ending in SEPARATORS:
            from pandas import read_csv

            frame = read_csv(data, sep=SEPARATORS[ending])
        else:
            raise BadInput(f"DATA must end in .csv, .tsv, .parquet or .npz; got {ending!r}")
    except OSError as error:
        raise unreadable(error) from error
    except ImportError as error:
        raise BadInput('cannot read .parquet: pip install "replica-learning[parquet]"') from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:  # those of parsers are ValueErrors
        raise BadInput(f"cannot read {data}: {' '.join(str(error).split())}") from error
    if label not in frame.columns:
        some = ", ".join(repr(str(name)) for name in frame.columns[:6])
        raise BadInput(f"--label must be a column of {data}, such as {some}; got {label!r}")
    return frame.drop(columns=label), frame[label].to_numpy()


def _arrays(data: Path, label: str) -> tuple[Any, Any]:
    """The two arrays of an .npz file."""
    import numpy as np

    with np.load(data, allow_pickle=False) as file:
        others = [name for name in file.files if name != label]
        if label not in file.files or len(others) != 1:
            held = ", ".join(map(repr, file.files))
            raise BadInput(
                f"--label must be one of two arrays in {data}, the other being the features; got "
                f"{label!r} of {held}"
            )
        return file[others[0]], file[label]


def _standardised(X: Any) -> Any:
    """Columns of mean 0 and variance 1; those of one value become 0."""
    from replica.prediction.table import read_features

    x = read_features("X", X)
    x = x - x.mean(axis=0)
    spread = x.std(axis=0)
    spread[spread == 0] = 1.0
    return x / spread


def _plain(value: Any) -> Any:
    """As JSON has it, lists included."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return convert(value)


def _print(found: LearningCurve, data: Path) -> None:
    """The sentence, then a line for each number of labels."""
    inputs = found.inputs
    say(f"{data}: {found.conclusion}")
    counts = f"{inputs.rows} rows, {inputs.columns} columns"
    if inputs.constant:
        counts += f", {inputs.constant} of one value"
    if inputs.duplicates:
        counts += f"; {inputs.duplicates} rows repeat others"
    first, second = (printable(repr(label)) for label in inputs.classes)
    say(f"{counts}; {first} against {second}, of which {inputs.positive:.1%}.")
    console = terminal()
    console.print()
    rows = [
        (
            f"{P:g}",
            number(found.best_C[i], 3),
            _percent(found.best_error[i]),
            f"{_percent(found.best_error_low[i])} to {_percent(found.best_error_high[i])}",
            _with_error(found.drawn_error[i], found.drawn_standard_error[i]),
            _with_error(found.measured_error[i], found.measured_standard_error[i]),
            found.verdict[i],
        )
        for i, P in enumerate(found.examples)
    ]
    table(console, TITLES, rows, wrapped=())
    why: dict[str, list[str]] = {}
    for P, word, reason in zip(found.examples, found.verdict, found.reason, strict=True):
        why.setdefault(f"{word}, {reason}", []).append(f"{P:g}")
    console.print()
    for reason, sizes in why.items():
        console.print(f"{', '.join(sizes)} labels: {printable(reason)}.", soft_wrap=True)


def _percent(share: float) -> str:
    return "-" if share != share else f"{100 * share:.1f}%"


def _with_error(share: float, error: float) -> str:
    return "-" if share != share else f"{100 * share:.1f} +- {100 * error:.1f}%"
