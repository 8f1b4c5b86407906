"""What an analysis says, in rows of words and numbers: the terminal and the report share them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deepnorm.quantities import of_analysis
from deepnorm.tables import rows
from deepnorm.verdict import no_elbows, no_law, no_prediction, power_of_P
from deepnorm.words import places, power_of_ten, rounded

if TYPE_CHECKING:
    from replica.scaling import Analysis, Collapse, Estimate

__all__ = [
    "MEANINGS",
    "Row",
    "exponents",
    "forecast",
    "headline",
    "laws",
    "optima",
    "standing_out",
]

#: Every estimate: the law whose exponent it is, and what that says; `{}` is what curves are of.
MEANINGS = {
    "gamma_1": ("eps ~ lam^-gamma_1", "early power law, the same for all P"),
    "gamma_2": ("lam_opt ~ P^gamma_2", "norm at the minimum"),
    "gamma_pred": ("gamma_1 gamma_2", "predicted exponent of the {}"),
    "gamma_meas": ("eps_opt ~ P^-gamma_meas", "measured exponent of the {}"),
    "gamma_2_elbow": ("lam_elbow ~ P^gamma_2", "norm at the elbow"),
    "drift": ("k_1 ~ P^-drift", "how the early law moves with P"),
}


#: An error of a logarithm below this is that of doubles, not of the data.
NOTHING = 1e-12


@dataclass(frozen=True)
class Row:
    """An exponent as it is printed; ``stands`` is false for a value that nothing may rest on."""

    name: str
    law: str
    meaning: str
    value: str
    error: str
    interval: str
    systematic: str
    statement: str
    stands: bool = True


def headline(analysis: Analysis) -> str:
    """What was analysed, in one line."""
    P, seeds = analysis.optima["P"], analysis.optima["seeds"]
    few, many = int(seeds.min()), int(seeds.max())
    number = f"{few}" if few == many else f"{few} to {many}"
    curves = "averaged over seeds beforehand" if analysis.averaged else f"{number} seeds each"
    return f"{len(P)} values of P from {P.min():g} to {P.max():g}, {curves}"


def exponents(analysis: Analysis) -> list[Row]:
    """The exponents in the order of `MEANINGS`; without a norm those of it are left out."""
    of = of_analysis(analysis)
    found = [_row(name, getattr(analysis, name), of.error) for name in MEANINGS]
    if not of.has_norm:
        found = [row for row in found if row.name == "gamma_meas" or row.value != "-"]
    against = {
        "gamma_1": no_law(analysis),
        "gamma_pred": no_prediction(analysis),
        "gamma_2_elbow": no_elbows(analysis),
    }
    found = [_struck(row, against.get(row.name, "")) for row in found]
    if analysis.settings["gamma_2_of"] == "elbows":
        return [
            replace(r, law="gamma_1 gamma_2_elbow") if r.name == "gamma_pred" else r for r in found
        ]
    return found


def _struck(row: Row, against: str) -> Row:
    """The row, with what speaks against a value that it has."""
    if not against or row.value == "-":
        return row
    what = "no prediction" if row.name == "gamma_pred" else "nothing can be concluded"
    return replace(row, statement=f"{what}: {against}", stands=False)


def _row(name: str, estimate: Estimate, of: str) -> Row:
    """An estimate, rounded to its statistical error."""
    value, error = rounded(estimate.value, estimate.error)
    digits = places(error)
    there = not math.isnan(estimate.value)
    known = there and math.isfinite(estimate.low) and math.isfinite(estimate.high)
    systematic = estimate.systematic if there else math.nan
    return Row(
        name=name,
        law=MEANINGS[name][0],
        meaning=MEANINGS[name][1].format(of),
        value=value,
        error=error,
        interval=f"{estimate.low:.{digits}f} to {estimate.high:.{digits}f}" if known else "-",
        systematic=f"{systematic:.{max(digits, 1)}f}" if math.isfinite(systematic) else "-",
        statement=_statement(estimate),
    )


def _statement(estimate: Estimate) -> str:
    """How far the number can be believed."""
    if estimate.reason:
        return f"nothing can be concluded: {estimate.reason}"
    if math.isnan(estimate.value):
        return "nothing can be concluded"
    if math.isnan(estimate.systematic):
        return "there is no other choice to compare with: its systematic error is not known"
    if estimate.systematic > estimate.error:
        return "the choice of window and smallest P matters more than the noise"
    return "the noise matters more than the choice of window and smallest P"


def standing_out(analysis: Analysis) -> list[str]:
    """Every flag, and every reason that no flag tells already."""
    said = [str(flag) for flag in analysis.flags]
    for name in MEANINGS:
        reason = getattr(analysis, name).reason
        if reason and not any(reason in flag for flag in said):
            said.append(f"{name}: nothing can be concluded: {reason}")
    return said


def optima(analysis: Analysis) -> list[dict[str, Any]]:
    """The optimum of each P; norms, or steps, as mantissa and power of ten; None without curves."""
    told = []
    curves = bool(of_analysis(analysis).abscissa)
    for row in rows(analysis.optima):
        marks = [word for word, on in (("at end", row.at_end), ("flat", row.flat)) if on]
        told.append(
            {
                "P": f"{row.P:g}",
                "seeds": "-" if analysis.averaged else f"{row.seeds:g}",
                "lam_opt": power_of_ten(row.log_lam_opt) if curves else None,
                "lam_error": _error(row.log_lam_opt_error),
                "eps_opt": f"{row.eps_opt:.4g}",
                "eps_error": _error(row.log_eps_opt_error),
                "elbow": power_of_ten(row.log_elbow) if math.isfinite(row.log_elbow) else None,
                "elbow_error": _error(row.log_elbow_error) if math.isfinite(row.log_elbow) else "-",
                "marks": ", ".join(marks),
            }
        )
    return told


def forecast(analysis: Analysis) -> list[dict[str, str]]:
    """The forecasts by P, empty if there is none; dashes by eq. (6) where that predicts nothing."""
    if analysis.forecast is None:
        return []
    by_product = dict.fromkeys(("combined", "combined_interval", "combined_z"), "-")
    if not no_prediction(analysis):
        by_product = {}
    return [
        {
            "P": f"{row.P:g}",
            "measured": f"{row.measured:.3g}" if math.isfinite(row.measured) else "-",
            "combined": f"{row.combined:.3g}",
            "combined_interval": f"{row.combined_low:.3g} to {row.combined_high:.3g}",
            "combined_z": _short(row.combined_z),
            "direct": f"{row.direct:.3g}",
            "direct_interval": f"{row.direct_low:.3g} to {row.direct_high:.3g}",
            "direct_z": _short(row.direct_z),
            **by_product,
        }
        for row in rows(analysis.forecast.table)
    ]


def laws(analysis: Analysis) -> list[str]:
    """Collapse, the range of the power of P, and forecast, a line each."""
    lines = [
        f"{found.sentence} (P >= {found.from_P:g} in units of the {unit}: S = "
        f"{found.quality:.3g}, rms = {found.rms:.2g}{_raw(found)})"
        for unit, found in (("optimum", analysis.collapse), ("elbow", analysis.collapse_elbow))
        if found is not None and math.isfinite(found.rms)
    ]
    if of_analysis(analysis).has_norm:
        lines.append(power_of_P(analysis))
    for row in forecast(analysis):
        by_product = f"{row['combined']} ({row['combined_interval']}) by eq. (6), "
        lines.append(
            f"forecast at P = {row['P']}, measured {row['measured']}: "
            f"{'' if no_prediction(analysis) else by_product}{row['direct']} "
            f"({row['direct_interval']}) by the power law of the minima"
        )
    return lines


def _raw(found: Collapse) -> str:
    """What the curves were before rescaling, where they can be compared at all."""
    if not math.isfinite(found.rms_raw):
        return ""
    return f"; not rescaled {found.quality_raw:.3g}, {found.rms_raw:.2g}"


def _error(value: float) -> str:
    """The error of a logarithm; a dash for one that says nothing."""
    return _short(value) if value > NOTHING else "-"


def _short(value: float) -> str:
    return f"{value:.2g}" if math.isfinite(value) else "-"
