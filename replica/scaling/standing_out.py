"""What stands out about an analysis, and what cannot be concluded: flags by kind."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
import pandas as pd

from replica.common.arguments import quoted
from replica.scaling.averages import MeanCurve
from replica.scaling.curves import Curves
from replica.scaling.exponents import Exponents
from replica.scaling.flags import Flag, Kind, listed
from replica.scaling.norm_offset import NormOffset
from replica.scaling.pipeline import BEFORE_ELBOW, elbows, seen
from replica.scaling.question import Question
from replica.scaling.regimes import Regimes

__all__ = ["standing_out"]

#: A law whose chi2 per degree of freedom is above this does not describe the curves. A choice.
POOR = 3.0
#: Standard errors at which a drift, or a disagreement, is spoken of.
NOTED = 3.0
#: A straight line over less than this is no power law.
FEWEST_DECADES = 0.5
#: So many seeds of a kind are named in a sentence; all are in `Analysis.seeds`. A choice.
MOST_SEEDS = 3
#: What is done with seeds that take part all the same.
TREATED = {
    Kind.ENDS_EARLY: "used over its own range",
    Kind.STARTS_LATE: "used over its own range",
    Kind.ZERO: "used without those records",
    Kind.SPIKE: "used without those records",
}


def standing_out(
    curves: Curves,
    question: Question,
    seeds: pd.DataFrame,
    means: Sequence[MeanCurve],
    found: Exponents,
    combined: Regimes | None,
    offset: NormOffset | None,
    taken: bool,
) -> tuple[Flag, ...]:
    """Flags in the order of the steps: the table, the exponents, minima, early law, product."""
    return (
        *(Flag(Kind.NOTE, note) for note in curves.notes),
        *_of_spread(curves, question),
        *_of_seeds(seeds),
        *_not_concluded(found),
        *_of_minima(curves, means, found),
        *_of_early_law(means, found),
        *_of_offset(offset, taken),
        *_of_product(found),
        *_of_floors(combined),
    )


def _of_spread(curves: Curves, question: Question) -> Iterator[Flag]:
    if question.averaged and not curves.averaged:
        yield Flag(
            Kind.NO_SPREAD,
            "the seeds of each P agree exactly, so that errors can only come from leaving out one "
            "P at a time",
        )


def _of_seeds(seeds: pd.DataFrame) -> Iterator[Flag]:
    """A flag for each kind: the seeds by name, and the largest shift that one of them makes."""
    for kind in Kind:
        for used in (True, False):
            rows = seeds[(seeds["kind"] == kind) & (seeds["used"] == used)]
            if len(rows):
                yield _of_kind(kind, used, rows)


def _of_kind(kind: Kind, used: bool, rows: pd.DataFrame) -> Flag:
    P, names = rows["P"].tolist(), rows["seed"].tolist()
    named = [
        f"P = {p:g}, seed {_name(name)}: {what}"
        for p, name, what in zip(P, names, rows["what"].tolist(), strict=True)
    ]
    more = f"; and {len(named) - MOST_SEEDS} more" if len(named) > MOST_SEEDS else ""
    shifts = []
    for name in ("gamma_1", "gamma_2", "gamma_meas"):
        moved = rows[f"d_{name}"].dropna().tolist()
        if moved:
            shifts.append(f"{name} by {max(moved, key=abs):+.2g}")
    several = len(named) > 1
    treated = TREATED.get(kind, "used") if used else "left out"
    if shifts:
        whom = "one of them" if several else "it"
        turned = f"leaving {whom} out" if used else f"putting {whom} in"
        treated += f"; {turned} moves {', '.join(shifts)}" + " at most" * several
    return Flag(
        kind,
        f"{'; '.join(named[:MOST_SEEDS])}{more} ({treated})",
        tuple(dict.fromkeys(P)),
        names[0] if len(set(names)) == 1 else None,
    )


def _name(seed: Hashable) -> str:
    """An integer as it is, a name in quotes and with escapes."""
    return str(seed) if isinstance(seed, int) else quoted(seed)


def _not_concluded(found: Exponents) -> Iterator[Flag]:
    """A flag for each reason, with all that it forbids."""
    names = ("gamma_1", "gamma_2", "gamma_pred", "gamma_meas", "gamma_2_elbow", "drift")
    reasons = {name: getattr(found, name).reason for name in names}
    for reason in dict.fromkeys(filter(None, reasons.values())):
        whose = ", ".join(name for name in names if reasons[name] == reason)
        yield Flag(Kind.NOT_CONCLUDED, f"{whose}: {reason}")


def _of_minima(curves: Curves, means: Sequence[MeanCurve], found: Exponents) -> Iterator[Flag]:
    error = curves.word
    optimum = f"{'lam' if curves.along == 'norm' else curves.along}_opt"

    def of(name: str) -> tuple[float, ...]:
        return tuple(m.P for m, e in zip(means, found.ends, strict=True) if getattr(e, name))

    at_end, at_start = of("at_end"), of("at_start")
    if at_end:
        yield Flag(
            Kind.AT_END,
            f"the {error} is lowest at the end of the records for P = {listed(at_end)}; "
            f"there {optimum} and eps_opt are those of the end of training",
            at_end,
        )
    if at_start:
        yield Flag(Kind.AT_START, f"the {error} never falls for P = {listed(at_start)}", at_start)
    flat = tuple(P for P in of("flat") if P not in at_end)
    if flat:
        yield Flag(
            Kind.FLAT,
            f"for P = {listed(flat)} the {error} stays within its noise of the minimum over "
            f"more than a quarter of the curve; {optimum} is poorly determined there",
            flat,
        )


def _of_early_law(means: Sequence[MeanCurve], found: Exponents) -> Iterator[Flag]:
    if not found.laws:
        return
    law = found.laws[0].law
    ratio = law.chi2 / law.dof
    if ratio > POOR:
        yield Flag(
            Kind.POOR_LAW,
            f"chi2 per degree of freedom of the joint law is {ratio:.3g}: no window "
            "holds a power law, common to all P, within the noise of the curves; gamma_1 "
            "depends on the window, see its systematic error",
        )
    unseen = tuple(law.P[~seen(law, means)].tolist())
    if unseen:
        yield Flag(
            Kind.EARLY_LAW_UNSEEN,
            f"the records of P = {listed(unseen)} begin too close to the elbow, or past it, to "
            "show the early law",
            unseen,
        )
    reached = elbows(law, means, found.ends)
    guessed = tuple(
        mean.P for mean, at in zip(means, reached, strict=True) if mean.P in law.P and np.isnan(at)
    )
    if guessed and found.laws[0].bends:
        yield Flag(
            Kind.ELBOW_UNSEEN,
            f"the curves of P = {listed(guessed)} end before the elbow that the joint law gives "
            "them; it is not used",
            guessed,
        )
    begin = np.maximum(law.start, [m.log_norm[0] for m in means if m.P in law.P])
    decades = float(np.max(law.elbow - BEFORE_ELBOW / law.rate - begin) / np.log(10))
    if found.laws[0].bends and decades < FEWEST_DECADES:
        yield Flag(
            Kind.SHORT_WINDOW,
            f"the early law is straight over {max(decades, 0.0):.2g} decades of the norm at most: "
            "less than half a decade shows no power law",
        )
    if found.laws[0].window.drift:
        yield Flag(
            Kind.DRIFTING_LAW,
            "the curves share no early law that is the same for all P; gamma_1 is that of a law "
            "that moves with P",
        )


def _of_offset(offset: NormOffset | None, taken: bool) -> Iterator[Flag]:
    """Where norms count from, if not from zero."""
    if offset is None or not (offset.preferred or taken):
        return
    with np.errstate(over="ignore"):
        value, low, high = np.exp([offset.log_value, offset.log_low, offset.log_high]).tolist()
    where = f"lam_0 = {value:.4g}"
    if low < high:
        where += f" (95%: {low:.3g} to {high:.3g})"
    if taken:
        yield Flag(Kind.NORM_OFFSET, f"norms are lam - lam_0 throughout, with {where}")
        return
    yield Flag(
        Kind.NORM_OFFSET,
        f"the early curves are straighter in lam - lam_0, {where}; criterion (S7) falls by "
        f"{offset.gain:.3g}; there gamma_1 = {offset.gamma_1:.3g}, gamma_2 = {offset.gamma_2:.3g}, "
        f'gamma_pred = {offset.gamma_pred:.3g}; norm_offset="yes" takes it',
    )


def _of_product(found: Exponents) -> Iterator[Flag]:
    if found.by_elbow and not found.gamma_pred.reason:
        yield Flag(
            Kind.BY_ELBOWS,
            "gamma_pred is made with the elbows, lam_elbow(P), in place of lam_opt(P)",
        )
    drift = found.drift
    if abs(drift.value) > NOTED * drift.error:
        both = found.gamma_pred.value + drift.value
        yield Flag(
            Kind.DRIFT,
            f"the early law moves with P, k_1 ~ P^-drift with drift = {drift.value:.3g} +- "
            f"{drift.error:.2g}; eq. (6) takes it as the same for all P: gamma_pred lacks the drift"
            + (f", and gamma_pred + drift = {both:.4g}" if np.isfinite(both) else ""),
        )
    difference = found.difference
    if abs(difference) > NOTED:
        pair = found.gamma_pred, found.gamma_meas
        gap = pair[0].value - pair[1].value
        errors = [gap / difference, *np.nan_to_num([part.systematic for part in pair])]
        covered = " (within the systematic error)" if abs(gap) <= np.linalg.norm(errors) else ""
        yield Flag(
            Kind.DISAGREEMENT,
            f"gamma_pred and gamma_meas differ by {abs(difference):.1f} statistical "
            f"standard errors{covered}",
        )


def _of_floors(combined: Regimes | None) -> Iterator[Flag]:
    if combined is None:
        return
    for name, q, p in (("q1", combined.q1, combined.q1_p), ("q2", combined.q2, combined.q2_p)):
        if q > 0:
            yield Flag(Kind.FLOOR, f"{name} = 0 is rejected (p = {p:.2g}): {name} = {q:.3g}")
