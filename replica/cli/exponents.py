"""`replica exponents`: scaling exponents of given inputs, and the inputs of given exponents."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import click

from replica.cli.common import convert, letters, library, number
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
    from replica.exponents import EffectiveSpectrum, ScalingExponents

__all__ = ["exponents"]

EXAMPLES = """\b
Examples:
  replica exponents --capacity 1.5 --source 0.3
  replica exponents --capacity 3 --source 0.7 --json
  replica exponents --gamma-1 0.21 --gamma-2 1.32
  replica exponents --gamma-1 0.21 --gamma-2 1.32 --gamma-1-error 0.01 \\
      --gamma-2-error 0.32
"""
#: The exponents in words: what goes like which power.
WORDS = {
    "gamma_1": ("early law, {eps} ~ {lam}^-{gamma}{one}", "{gamma}{one}"),
    "gamma_2": ("best norm, {lam} ~ P^{gamma}{two}", "{gamma}{two}"),
    "gamma_meas": ("smallest error, {eps} ~ P^-{gamma}", "{gamma}_meas"),
    "gamma_end": ("maximum stability, {eps} ~ P^-{gamma}", "{gamma}_end"),
}
#: Digits of what is a fraction of small numbers, or comes with an error.
DIGITS = 6


@click.command(cls=Command, epilog=EXAMPLES)
@click.option("--capacity", type=float, metavar="A", help="a of the eigenvalues k^-a; above 1.")
@click.option(
    "--source",
    type=float,
    metavar="R",
    help="r of the signal k^-(1 + 2 a r) along the eigenvectors; positive.",
)
@click.option("--gamma-1", type=float, metavar="G", help="Exponent of the early law.")
@click.option("--gamma-2", type=float, metavar="G", help="Exponent of the best norm.")
@click.option("--gamma-1-error", type=float, metavar="S", help="Standard error of --gamma-1.")
@click.option("--gamma-2-error", type=float, metavar="S", help="Standard error of --gamma-2.")
@json_option
def exponents(
    capacity: float | None,
    source: float | None,
    gamma_1: float | None,
    gamma_2: float | None,
    gamma_1_error: float | None,
    gamma_2_error: float | None,
    json_to: str | None,
) -> None:
    """Turn a power law of the inputs into exponents, or back.

    Inputs with eigenvalues k^-a, and a teacher whose signal along them falls like
    k^-(1 + 2 a r): with --capacity a and --source r, the exponents of the early law, of the best
    norm and of the errors as the number of examples P grows, and whether the exponent of the
    smallest error is the product gamma_1 gamma_2. With --gamma-1 and --gamma-2, as measured
    on learning curves of any model, the a and r whose perceptron has them, with errors.
    """
    check_outputs(json_to)
    from replica.exponents import effective_spectrum, scaling_exponents

    inputs = (capacity, source)
    measured = (gamma_1, gamma_2, gamma_1_error, gamma_2_error)
    found: ScalingExponents | EffectiveSpectrum
    with library():
        if capacity is not None and source is not None and measured == (None,) * 4:
            found = scaling_exponents(capacity, source)
        elif gamma_1 is not None and gamma_2 is not None and inputs == (None, None):
            found = effective_spectrum(
                gamma_1,
                gamma_2,
                gamma_1_error=gamma_1_error or 0.0,
                gamma_2_error=gamma_2_error or 0.0,
            )
        else:
            raise click.UsageError(
                "give --capacity and --source, or --gamma-1 and --gamma-2 (with their errors, if "
                "there are any)"
            )
    record = _record(found)
    if json_to is not None:
        write_json(convert(record), json_to)
    if json_to != "-":
        if "gamma_meas" in record:
            _print_exponents(record)
        else:
            _print_inputs(record, errors=bool(gamma_1_error or gamma_2_error))
        written(json_to)


def _record(found: ScalingExponents | EffectiveSpectrum) -> dict[str, Any]:
    """Every number, the regime by its name and in words."""
    from replica.exponents import Regime

    record = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    regime = Regime(record["regime"])
    return {**record, "regime": regime.name.lower(), "regime_sentence": regime.sentence}


def _print_exponents(found: dict[str, Any]) -> None:
    """The exponents of given inputs."""
    console = terminal()
    letter = letters(console)
    signs = {
        "eps": letter("ε", "eps"),
        "lam": letter("λ", "lam"),
        "gamma": letter("γ", "gamma"),
        "one": letter("₁", "_1"),
        "two": letter("₂", "_2"),
    }
    # on a line between regimes each power of P comes with one of log P
    logs = any(found[f"{name}_log"] for name in WORDS)
    titles = ["what goes like which power", "exponent", "value"] + ["of the logarithm"] * logs
    rows = []
    for name, (words, symbol) in WORDS.items():
        row = [words.format(**signs), symbol.format(**signs), number(found[name])]
        rows.append(row + [number(found[f"{name}_log"], DIGITS)] * logs)
    console.print(
        f"Exponents at capacity a = {number(found['capacity'])}, "
        f"source r = {number(found['source'])}",
        soft_wrap=True,
    )
    console.print(found["regime_sentence"], soft_wrap=True)
    console.print()
    table(console, titles, rows, wrapped=titles[:1])
    console.print()
    product = "{gamma}{one} {gamma}{two} = ".format(**signs)
    product += number(found["gamma_1"] * found["gamma_2"], DIGITS)
    measured = number(found["gamma_meas"], DIGITS)
    verdict = "holds" if found["product_law"] else f"does not hold: that is {measured}"
    console.print(f"The product law, {product} for the smallest error, {verdict}.", soft_wrap=True)
    if not found["finite_optimum"]:
        console.print(
            "The error falls down to maximum stability: no finite norm is the best, and "
            "{gamma}{two} tells where the early law is left.".format(**signs),
            soft_wrap=True,
        )


def _print_inputs(found: dict[str, Any], errors: bool) -> None:
    """The inputs of given exponents, or why there are none."""
    console = terminal()
    letter = letters(console)
    given = {"gamma_1": letter("γ₁", "gamma_1"), "gamma_2": letter("γ₂", "gamma_2")}
    console.print(
        "Inputs whose exponents are "
        + ", ".join(f"{symbol} = {number(found[name])}" for name, symbol in given.items()),
        soft_wrap=True,
    )
    console.print(found["regime_sentence"], soft_wrap=True)
    console.print()
    rows = []
    for name, symbol in (("capacity", "a"), ("source", "r")):
        if not math.isnan(found[name]):
            error = found[f"{name}_error"]
            rows.append((name, symbol, number(found[name], DIGITS), number(error, 2)))
    if rows:
        table(console, ("inputs", "", "value", "error"), rows, wrapped=("inputs",))
        console.print()
    if not math.isnan(found["capacity"]):
        law = "holds" if found["product_law"] else "does not hold"
        console.print(f"There the product law {law}.")
    if errors:
        law, none = (number(found[f"{name}_probability"], 3) for name in ("product_law", "outside"))
        console.print(
            f"Given the errors, the product law holds with probability {law}, and no inputs have "
            f"such exponents with probability {none}.",
            soft_wrap=True,
        )
        low, high = (number(found[f"capacity_{end}"], 3) for end in ("low", "high"))
        console.print(f"The capacity is between {low} and {high} with probability 0.68.")
