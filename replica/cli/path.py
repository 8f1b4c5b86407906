"""`replica path`: the whole curve at one alpha, as CSV."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any

import click

from replica.cli.common import clouds_have_no_teacher, count_option, library, teacher_options
from replica.cli.inputs import INPUTS, inputs_options, read_inputs
from replica.common.terminal import FILE, Command, check_outputs, write, written

if TYPE_CHECKING:
    from replica import Teacher
    from replica.inputs import Inputs

__all__ = ["COLUMNS", "path"]

EXAMPLES = """\b
Examples:
  replica path --alpha 5 -o path.csv
  replica path --alpha 5 --from 0.01 --to 100 --points 50 -o -
  replica path --alpha 5 --label-flip 0.05 -o noisy.csv
  replica path --alpha 1e4 --inputs power-law:1.5,0.3 --to 1e4 -o -
"""

#: The columns, in order.
COLUMNS = (
    "rule",
    "lam",
    "field_norm",
    "input_variance",
    "overlap",
    "one_minus_overlap",
    "generalization_error",
    "error_estimate",
    "overlap_error",
    "variance_error",
    "log_x_error",
    "log_x",
    "train_loss",
    "train_error",
    "multiplier",
    "degrees_of_freedom",
    "ridge",
    "replicon",
    "slope",
    "intercept",
    "margin_mean",
    "margin_var",
    "status",
)


@click.command(cls=Command, epilog=EXAMPLES + INPUTS)
@count_option
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
@inputs_options
@teacher_options
def path(
    alpha: float,
    output: str,
    low: float,
    high: float,
    points: int,
    inputs: str,
    positive: float | None,
    label_flip: float,
    label_noise: float,
) -> None:
    """Write the whole curve at one alpha as CSV.

    The column `rule` says what a row is: hebb (lam = 0), path, optimum (the best norm, unless
    it is one of the ends), max_stability (lam = inf) or bayes_optimal (no norm: the best that
    any rule can do; for clusters that are known). Rows are in order of lam.

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
    from replica import Teacher

    with library():
        spread = read_inputs(inputs, positive)
        noise = {"label_flip": label_flip, "label_noise": label_noise}
        clouds_have_no_teacher(spread, noise)
        rows = _rows(alpha, low, high, points, Teacher(**noise), spread)
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    write(buffer.getvalue(), output)
    unsolved = sum(row["status"] != "converged" for row in rows)
    note = f", {unsolved} of them without a solution (see `status`)" if unsolved else ""
    written(output, note=f", {len(rows)} rows{note}")


def _rows(
    alpha: float, low: float, high: float, points: int, teacher: Teacher, inputs: Inputs
) -> list[dict[str, str]]:
    """The rows, in order of lam."""
    import numpy as np

    from replica import logistic_teacher_student, optimal_norm
    from replica.losses import Logistic
    from replica.problem import Problem, pose

    # one scalar first: a bad alpha or noise is refused, not marked in every row
    posed = pose(Problem(alpha, Logistic(0.0), teacher, inputs))
    named = [("hebb", 0.0), *(("path", lam) for lam in np.geomspace(low, high, points))]
    learnable = not posed.labels.storage[0]  # random labels have neither optimum nor bound
    if learnable:
        best = optimal_norm(alpha, teacher=teacher, inputs=inputs)
        # the error may fall up to maximum stability, or rise from Hebb's rule on: both have rows
        named += [("optimum", best.lam)] if 0 < best.lam < math.inf else []
    named.append(("max_stability", math.inf))
    named.sort(key=lambda row: row[1])
    curve = logistic_teacher_student(
        alpha, [lam for _, lam in named], teacher=teacher, inputs=inputs
    )
    table = {
        "rule": [name for name, _ in named],
        **curve.to_dict(),
        "margin_mean": np.asarray(curve.margins.mean()).tolist(),
        "margin_var": np.asarray(curve.margins.var()).tolist(),
    }
    rows = [{name: _cell(table[name][i]) for name in COLUMNS} for i in range(len(named))]
    if learnable:
        rows.append({"rule": "bayes_optimal", **_bayes(alpha, teacher, inputs)})
    return rows


def _bayes(alpha: float, teacher: Teacher, inputs: Inputs) -> dict[str, str]:
    """What is known of the best that any rule can do."""
    from replica import bayes_optimal
    from replica.inputs import Clusters
    from replica.rules import known_clusters

    if isinstance(inputs, Clusters):
        error = _cell(known_clusters(inputs))
        return {"generalization_error": error, "status": "converged"}
    best = bayes_optimal(alpha, teacher=teacher, inputs=inputs).to_dict()
    return {name: _cell(best[name]) for name in COLUMNS if name in best}


def _cell(value: Any) -> str:
    """One cell: numbers as `repr`, which reads back to the same double; nan is empty."""
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return str(value)
