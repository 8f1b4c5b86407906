"""`replica solve`: one point, as a table, as JSON, with certified digits."""

# The numerical modules and rich are imported where a command needs them: help stays quick.
from __future__ import annotations

import math
from collections.abc import Callable
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
    from replica.highprecision import Certificate
    from replica.solution import Solution

__all__ = ["solve"]

EXAMPLES = """\b
Examples:
  replica solve --alpha 5 --lam 4.5
  replica solve --alpha 5 --lam 1 --label-flip 0.1 --json
  replica solve --alpha 0.4 --lam 1 --storage
  replica solve --alpha 5 --lam inf --certify 30 --json point.json
  replica solve --alpha 1000 --lam 3 --inputs power-law:1.5,0.3
"""
#: Certified numbers, in words.
CERTIFIED = {
    "generalization_error": "generalization error",
    "overlap": "overlap",
    "one_minus_overlap": "one minus overlap",
    "log_x": "log x",
    "stability": "stability",
}


@click.command(cls=Command, epilog=EXAMPLES + INPUTS)
@count_option
@click.option(
    "--lam",
    type=float,
    required=True,
    metavar="L",
    help="The norm: 0 is Hebb, inf is maximum stability.",
)
@inputs_options
@teacher_options
@click.option("--storage", is_flag=True, help="Random labels: the storage problem.")
@click.option(
    "--certify",
    type=int,
    metavar="DIGITS",
    help="Solve again, independently, to that many digits, 5 to 200.",
)
@json_option
def solve(
    alpha: float,
    lam: float,
    inputs: str,
    positive: float | None,
    label_flip: float,
    label_noise: float,
    storage: bool,
    certify: int | None,
    json_to: str | None,
) -> None:
    """Solve one point.

    Prints the generalization error with its error estimate, the overlap with the teacher,
    the margins and what else the saddle point tells: the ridge whose minimiser has this norm, with
    scikit-learn's C, and for inputs with structure the norm lam' of the field and the variance Q
    of the inputs along the weights. In JSON every number has full precision; certified digits
    are strings.
    """
    if storage and (label_flip or label_noise):
        raise click.UsageError("--storage has no teacher: leave out --label-flip and --label-noise")
    check_outputs(json_to)
    from replica import logistic_storage, logistic_teacher_student

    asked = {
        "inputs": inputs,
        "storage": storage,
        "label_flip": label_flip,
        "label_noise": label_noise,
    }
    with library():
        spread = read_inputs(inputs, positive)
        clouds_have_no_teacher(spread, asked)
        if storage:
            solution = logistic_storage(alpha, lam, inputs=spread)
        else:
            solution = logistic_teacher_student(
                alpha, lam, label_flip=label_flip, label_noise=label_noise, inputs=spread
            )
    certificate = None if certify is None else _certify(solution, certify)
    if json_to is not None:
        write_json(_record(solution, asked, certificate), json_to)
    if json_to != "-":
        _print(solution, asked)
        if certificate is not None:
            click.echo("\n".join(_certificate_lines(certificate, letters(terminal()))))
        written(json_to)


def _certify(solution: Solution, digits: int) -> Certificate:
    """The independent solution; exit code 1 if it stops short."""
    from replica import highprecision

    try:
        with library():
            return highprecision.certify(solution, digits=digits)
    except highprecision.CertificationError as error:
        raise click.ClickException(" ".join(str(error).split())) from error


def _certified(certificate: Certificate) -> dict[str, str]:
    """The certified numbers by name, as strings of so many digits."""
    import mpmath

    numbers = {name: getattr(certificate, name) for name in CERTIFIED}
    return {
        name: str(mpmath.nstr(number, certificate.digits)).lstrip("+")
        for name, number in numbers.items()
        if number is not None
    }


def _record(
    solution: Solution, asked: dict[str, Any], certificate: Certificate | None
) -> dict[str, Any]:
    """Every number, for JSON."""
    atom = solution.margins.atom
    record = {
        **solution.to_dict(),
        "C": solution.C,
        "margin_mean": solution.margins.mean(),
        "margin_var": solution.margins.var(),
        "atom_position": atom.position,
        "atom_weight": atom.weight,
        **asked,
    }
    # the solver's own unknowns; overlap, one_minus_overlap and degrees_of_freedom say them
    del record["log_c"], record["log_mu"]
    if certificate is not None:
        record["certificate"] = {
            "digits": certificate.digits,
            **_certified(certificate),
            "error": float(certificate.error),
            "relative_error": None
            if certificate.relative_error is None
            else float(certificate.relative_error),
        }
    converted: dict[str, Any] = convert(record)
    return converted


# -------------------------------------------------------------------------------- the table


def _print(solution: Solution, asked: dict[str, Any]) -> None:
    """A table of one solution: what it is, its symbol, its value."""
    from replica.inputs import Clusters, Isotropic

    console = terminal()
    letter = letters(console)
    eps = letter("ε", "eps")
    margins = solution.margins
    found: dict[str, Any] = {**solution.to_dict(), "C": solution.C}
    relative = found["error_estimate"]
    error = found["generalization_error"] * relative
    estimate = f"{rounded(error)} (relative {rounded(relative)})"
    teacher = "best direction" if isinstance(solution.problem.inputs, Clusters) else "teacher"
    lines: list[tuple[str, str, float | str]] = [
        ("generalization error", eps, found["generalization_error"]),
        ("its error, estimated", letter("±", "+-"), estimate),
        (f"overlap with the {teacher}", "R", found["overlap"]),
        ("one minus overlap", "1 - R", found["one_minus_overlap"]),
    ]
    if not isinstance(solution.problem.inputs, Isotropic):
        lines += _structure(found, letter)
    if math.isinf(found["lam"]):
        lines += [
            ("stability: the smallest margin", letter("κ", "kappa"), found["stability"]),
            ("fraction of margins there", "", float(margins.atom.weight)),
        ]
    else:
        lines.append((letter("log of x = β(1 - q)", "log of beta(1 - q)"), "log x", found["log_x"]))
    lines += [
        ("mean margin", letter("⟨Δ⟩", "<D>"), float(margins.mean())),
        ("variance of the margins", letter("Var Δ", "Var D"), float(margins.var())),
        ("training loss", "V", found["train_loss"]),
        ("training error", "", found["train_error"]),
    ]
    if math.isfinite(solution.problem.inputs.nodes.total):  # endlessly many modes are never learned
        lines.append(("multiplier (convex below 1)", "", found["multiplier"]))
    lines.append(("replicon (stable below 1)", "", found["replicon"]))
    if 0 < found["ridge"] < math.inf:
        lines += [
            ("ridge whose minimiser this is", "r", found["ridge"]),
            ("scikit-learn's C = 1/r", "C", found["C"]),
        ]
    if not (asked["storage"] or math.isnan(found["slope"])):
        gamma, lam = letter("γ₁", "gamma_1"), letter("λ", "lam")
        lines.append((f"local exponent: {eps} ~ {lam}^-{gamma}", gamma, -found["slope"]))
    limit = {0.0: " (Hebb)", math.inf: " (maximum stability)"}.get(found["lam"], "")
    at = {letter("λ", "lam"): number(found["lam"]) + limit}
    inputs = solution.problem.inputs
    console.print(headline(at, asked, inputs, letter, found["alpha"]), soft_wrap=True)
    console.print()
    table(
        console,
        ("quantity", "symbol", "value"),
        [
            (name, symbol, value if isinstance(value, str) else number(value))
            for name, symbol, value in lines
        ],
        wrapped=("quantity",),
    )


def _structure(
    found: dict[str, Any], letter: Callable[[str, str], str]
) -> list[tuple[str, str, float | str]]:
    """What isotropic inputs do not have."""
    lines: list[tuple[str, str, float | str]] = [
        ("variance along the weights", "Q", found["input_variance"]),
    ]
    if 0 < found["lam"] < math.inf:
        lines.append(("norm of the field", letter("λ'", "lam'"), found["field_norm"]))
    lines.append(("degrees of freedom", "g", found["degrees_of_freedom"]))
    if found["intercept"]:
        lines.append(("intercept, in units of the margin", "b", found["intercept"]))
    return lines


def _certificate_lines(certificate: Certificate, letter: Callable[[str, str], str]) -> list[str]:
    """The certified digits, unwrapped so that they can be copied; each error below its number."""
    eps = letter("ε", "eps")
    # without a signal eps is 1/2 exactly, and what is certified is the other number
    known, symbol = "generalization_error", eps
    if certificate.overlap == 0:
        known, symbol = "log_x", "x"
        if certificate.stability is not None:
            known, symbol = "stability", letter("κ", "kappa")
    lines: list[tuple[str, str]] = []
    for name, digits in _certified(certificate).items():
        lines.append((CERTIFIED[name], digits))
        if name == known:
            lines.append((f"relative error of {symbol}", f"{float(certificate.error):.1e}"))
            if name == "generalization_error" and certificate.relative_error is not None:
                found = float(certificate.relative_error)
                lines.append((f"that of the {eps} above", f"{found:.1e}"))
    width = max(len(name) for name, _ in lines) + 2
    title = f"Certified to {certificate.digits} digits by an independent calculation:"
    return ["", title, *(f"  {name:<{width}}{value}" for name, value in lines)]
