"""`replica optimum`: the norm, and the ridge, at which the logistic loss generalizes best."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from replica.cli.common import (
    clouds_have_no_teacher,
    convert,
    count_option,
    headline,
    letters,
    library,
    number,
    rounded,
    teacher_options,
)
from replica.cli.inputs import INPUTS, inputs_options, read_inputs
from replica.common.terminal import (
    Command,
    check_outputs,
    json_option,
    table,
    terminal,
    write_json,
    written,
)

if TYPE_CHECKING:
    from replica.inputs import Inputs

__all__ = ["optimum"]

EXAMPLES = """\b
Examples:
  replica optimum --alpha 5
  replica optimum --alpha 5 --label-flip 0.05 --json
  replica optimum --alpha 1e4 --inputs power-law:1.5,0.3
"""


@click.command(cls=Command, epilog=EXAMPLES + INPUTS)
@count_option
@inputs_options
@teacher_options
@json_option
def optimum(
    alpha: float,
    inputs: str,
    positive: float | None,
    label_flip: float,
    label_noise: float,
    json_to: str | None,
) -> None:
    """Find the best norm of the logistic loss.

    The norm lam at which the generalization error is smallest, that error, the ridge whose
    minimiser has this norm with scikit-learn's C = 1/ridge, and by how much the error exceeds
    the smallest that any rule reaches. lam is inf where the error falls up to maximum
    stability, the limit of convexity, where the ridge is zero, if it falls up to there, and 0 where
    it rises from Hebb's rule on.
    """
    check_outputs(json_to)
    from replica import optimal_norm

    asked = {"inputs": inputs, "label_flip": label_flip, "label_noise": label_noise}
    with library():
        spread = read_inputs(inputs, positive)
        clouds_have_no_teacher(spread, asked)
        best = optimal_norm(alpha, label_flip=label_flip, label_noise=label_noise, inputs=spread)
    found = best.to_dict()
    found["C"] = 1 / found["ridge"] if found["ridge"] else math.inf
    if json_to is not None:
        write_json(convert({**found, **asked}), json_to)
    if json_to != "-":
        _print(found, asked, spread)
        written(json_to)


def _print(found: dict[str, Any], asked: dict[str, Any], inputs: Inputs) -> None:
    """The table of the optimum."""
    console = terminal()
    letter = letters(console)
    eps = letter("ε", "eps")
    relative = found["error_estimate"]
    error = found["generalization_error"] * relative
    rows = [
        ("best norm", letter("λ", "lam"), number(found["lam"])),
        ("generalization error there", eps, number(found["generalization_error"])),
        (
            "its error, estimated",
            letter("±", "+-"),
            f"{rounded(error)} (relative {rounded(relative)})",
        ),
        ("overlap", "R", number(found["overlap"])),
    ]
    if 0 < found["ridge"] < math.inf:
        rows += [
            ("ridge whose minimiser this is", "r", number(found["ridge"])),
            ("scikit-learn's C = 1/r", "C", number(found["C"])),
        ]
    gap = found["bayes_gap"]
    rows.append(("above the Bayes-optimal error", "", f"{100 * gap:.3g} %"))
    problem = headline({}, asked, inputs, letter, found["alpha"])
    console.print(f"Best norm. {problem}", soft_wrap=True)
    console.print()
    table(console, ("quantity", "symbol", "value"), rows, wrapped=("quantity",))
    if found["lam"] == 0:
        console.print("\nThe error rises from Hebb's rule on: no ridge is too strong.")
    elif not found["ridge"] > 0:
        end = "maximum stability" if math.isinf(found["lam"]) else "the limit of convexity"
        console.print(f"\nThe error falls all the way to {end}: no ridge is best.", soft_wrap=True)
