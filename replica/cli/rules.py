"""`replica rules`: the classical learning rules side by side."""

from __future__ import annotations

from typing import Any

import click

from replica.cli.common import alpha_option, convert, letters, library, number
from replica.common.terminal import (
    Command,
    check_outputs,
    json_option,
    table,
    terminal,
    write_json,
    written,
)

__all__ = ["rules"]

EXAMPLES = """\b
Examples:
  replica rules --alpha 5
  replica rules --alpha 0.5 --json
"""
#: The rules in words, from the worst idea to the best.
WORDS = {
    "hebb": "Hebb",
    "gibbs": "Gibbs",
    "max_stability": "maximum stability",
    "optimal_norm": "logistic, best norm",
    "bayes_optimal": "Bayes-optimal",
}


@click.command(cls=Command, epilog=EXAMPLES)
@alpha_option
@json_option
def rules(alpha: float, json_to: str | None) -> None:
    """Compare the classical learning rules at one alpha.

    Hebb, Gibbs, maximum stability (with its margin kappa), the logistic loss at its best norm
    and the Bayes-optimal rule, for a noiseless teacher: the generalization error of each, and
    how far it is above the Bayes-optimal one.
    """
    check_outputs(json_to)
    import replica.rules

    with library():
        found = {name: getattr(replica.rules, name)(alpha) for name in WORDS}
    if json_to is not None:
        record: dict[str, Any] = {"alpha": alpha}
        for name, rule in found.items():
            record[name] = rule.to_dict()
            del record[name]["alpha"]
        write_json(convert(record), json_to)
    if json_to != "-":
        _print(alpha, found)
        written(json_to)


def _print(alpha: float, found: dict[str, Any]) -> None:
    """The table, and the two numbers that belong to it."""
    console = terminal()
    letter = letters(console)
    best = found["bayes_optimal"].generalization_error
    rows = []
    for name, rule in found.items():
        eps = rule.generalization_error
        above = rule.bayes_gap if name == "optimal_norm" else eps / best - 1
        told = "" if name == "bayes_optimal" else f"{100 * above:.3g} %"
        rows.append((WORDS[name], number(eps), number(rule.overlap), told))
    console.print(
        f"Learning rules at {letter('α', 'alpha')} = {number(alpha)}, noiseless teacher",
        soft_wrap=True,
    )
    console.print()
    table(
        console,
        ("rule", letter("error ε", "error eps"), "overlap R", "above Bayes"),
        rows,
        wrapped=("rule", "above Bayes"),
    )
    console.print()
    stability, norm = found["max_stability"].stability, found["optimal_norm"].lam
    console.print(f"maximum stability: {letter('κ', 'kappa')} = {number(stability)}")
    console.print(f"best norm: {letter('λ', 'lam')} = {number(norm)}")
