"""`replica path`: the whole curve at one alpha, as CSV."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import click

from replica.cli.common import alpha_option, library, teacher_options
from replica.common.terminal import FILE, Command, check_outputs, write, written

__all__ = ["COLUMNS", "path"]

EXAMPLES = """\b
Examples:
  replica path --alpha 5 -o path.csv
  replica path --alpha 5 --from 0.01 --to 100 --points 50 -o -
  replica path --alpha 5 --label-flip 0.05 -o noisy.csv
"""

#: The columns, in order.
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


@click.command(cls=Command, epilog=EXAMPLES)
@alpha_option
@click.option(
    "-o",
    "--output",
    type=FILE,
    required=True,
    metavar="FILE",
    help='CSV file to write; "-" is the standard output.',
)
@click.option(
    "--from",
    "low",
    type=float,
    default=1e-3,
    show_default=True,
    metavar="L",
    help="Smallest lam, positive.",
)
@click.option(
    "--to",
    "high",
    type=float,
    default=1e3,
    show_default=True,
    metavar="L",
    help="Largest lam, finite.",
)
@click.option(
    "--points",
    type=click.IntRange(min=2),
    default=200,
    show_default=True,
    metavar="N",
    help="Number of norms, evenly spaced in log lam.",
)
@teacher_options
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
    check_outputs(output)
    rows = _rows(alpha, low, high, points, label_flip, label_noise)
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    write(buffer.getvalue(), output)
    unsolved = sum(row["status"] != "converged" for row in rows)
    note = f", {unsolved} of them without a solution (see `status`)" if unsolved else ""
    written(output, note=f", {len(rows)} rows{note}")


def _rows(
    alpha: float, low: float, high: float, points: int, label_flip: float, label_noise: float
) -> list[dict[str, str]]:
    """The rows, in order of lam."""
    import numpy as np

    from replica import bayes_optimal, logistic_teacher_student, optimal_norm

    noiseless = label_flip == 0 and label_noise == 0
    noise = {"label_flip": label_flip, "label_noise": label_noise}
    with library():
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
