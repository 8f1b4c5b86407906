"""From a table of learning curves to everything it says, and what it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from replica.common import arguments
from replica.common.arguments import InvalidArgument
from replica.scaling import extrapolation, paper
from replica.scaling.averages import MeanCurve, average
from replica.scaling.collapse import collapse
from replica.scaling.curves import Curves
from replica.scaling.exponents import Exponents, exponents
from replica.scaling.extrapolation import Forecast, basis_of, combined_law, held_out
from replica.scaling.influence import influence
from replica.scaling.norm_offset import against, asked_for, best_offset, with_its_error
from replica.scaling.optima import neighbourhood, of_seeds
from replica.scaling.pipeline import BEFORE_ELBOW, elbows, lines_table, straight
from replica.scaling.question import Question, own_optimum, question, smallest_P, window_of_lines
from replica.scaling.record import Analysis
from replica.scaling.resampling import Progress
from replica.scaling.seeds import take
from replica.scaling.standing_out import standing_out
from replica.scaling.verdict import Collapse

__all__ = ["analyse", "forecast"]

Array = NDArray[np.float64]


def analyse(
    curves: Curves,
    *,
    method: str = "default",
    window: tuple[float, float] | None = None,
    gamma_1_from: float | None = None,
    gamma_2_from: float | None = None,
    optimum: Mapping[float, float] | None = None,
    offset: str = "auto",
    bootstrap: int | None = None,
    seed: int = 0,
    robust: bool = True,
    norm_offset: str | float = "test",
    progress: Progress | None = None,
) -> Analysis:
    """Exponents of learning curves, with errors, and how far they can be believed.

    The default method averages the seeds at equal norm, finds the minimum of each curve, fits
    one early power law with an elbow for each P to all curves up to their minima, and fits power
    laws of P to the minima; windows are chosen by the rule of eq. (S7). Statistical errors
    come from a bootstrap over seeds through all of it, or from leaving out one P at a time where
    curves came averaged. docs/scaling.md derives each step.

    Parameters
    ----------
    curves : Curves
        From `read_curves` or `curves_from_table`.
    method : str
        "default", or "paper" for the recipe of D'Amico, Bocchi and Negri (2025), which needs
        a ``window``.
    window : (float, float), optional
        For the paper's recipe: the range of lam/lam_opt in which straight lines are fitted.
    gamma_1_from, gamma_2_from : float, optional
        The smallest P for the early law and for lam_opt(P); by rule (default) or all (paper).
    optimum : mapping of float to float, optional
        The user's own lam_opt for each P, used for gamma_2 in place of the minima of the curves.
    offset : str
        Whether the early law may tend to a floor: "yes", "no", or "auto" (both are tried).
    bootstrap : int, optional
        Repetitions on other seeds, at least 20; None takes 1000 for up to 50 values of P, and for
        more 50,000 over their number, but no fewer than 200.
    seed : int
        Of the random choice of seeds.
    robust : bool
        Whether seeds that stay at chance, jump or stay apart from the others of their P, and
        records that are no counts, are left out; they are named, with their influence, either way.
        The paper's recipe leaves none out.
    norm_offset : str or float
        "test": say whether the early curves are straighter in lam - lam_0, and what exponents that
        would give; "yes": take lam - lam_0 in place of the norm, with the best lam_0; "no"; or
        lam_0 itself, below every norm. The errors are at that lam_0; what its own error does is in
        the systematic one.
    progress : callable, optional
        Called with the repetitions done and to do.

    Raises
    ------
    ValueError
        If an argument is out of range or the curves bear no analysis at all.
    """
    if not isinstance(curves, Curves):
        raise InvalidArgument(
            "curves",
            "must come from `read_curves` or `curves_from_table`",
            f"{type(curves).__name__}",
        )
    if not arguments.is_one_of(method, ("default", "paper")):
        raise InvalidArgument(
            "method", 'must be "default" or "paper"', f"{arguments.quoted(method)}"
        )
    own = own_optimum(curves, optimum)
    gamma_1_from = smallest_P("gamma_1_from", gamma_1_from, curves)
    gamma_2_from = smallest_P("gamma_2_from", gamma_2_from, curves)
    if method == "paper":
        return paper.recipe(curves, window_of_lines(window), gamma_1_from, gamma_2_from, own)
    if window is not None:
        raise InvalidArgument("window", 'belongs to method="paper"', f"{arguments.quoted(window)}")
    asked = question(
        curves,
        gamma_1_from=gamma_1_from,
        gamma_2_from=gamma_2_from,
        own=own,
        offset=offset,
        bootstrap=bootstrap,
        seed=seed,
        progress=progress,
    )
    sample = take(curves, robust=robust)
    means = average(sample)
    if not curves.averaged and _alike(means):
        asked = replace(asked, averaged=True)
    taken = not arguments.is_one_of(norm_offset, ("test", "no"))
    moved = None
    if taken:
        moved = asked_for(means, asked, norm_offset)
        plain = means, asked
        means, asked = against(*plain, moved.log_value)
        found = with_its_error(*plain, moved, exponents(means, asked))
    else:
        found = exponents(means, asked)
        if norm_offset == "test":
            moved = best_offset(means, found)
    combined = combined_law(means, found)
    seeds = influence(sample, means, found)
    return Analysis(
        method="default",
        means=means,
        averaged=curves.averaged,
        optima=_optima(means, found, own),
        joint=found.laws[0].law if found.laws else None,
        gamma_1=found.gamma_1,
        gamma_2=found.gamma_2,
        gamma_pred=found.gamma_pred,
        gamma_meas=found.gamma_meas,
        gamma_2_elbow=found.gamma_2_elbow,
        drift=found.drift,
        covariance=_covariance(found),
        difference=found.difference,
        collapse=_collapse(means, found),
        collapse_elbow=_collapse_elbow(means, found),
        regimes=combined,
        forecast=held_out(means, asked),
        choices=found.table(),
        settings=_settings(found, asked, neighbourhood(means))
        | {
            "quantity": curves.quantity,
            "abscissa": curves.abscissa,
            "along": curves.along,
            "robust": robust,
            "log_norm_offset": moved.log_value if moved is not None and taken else None,
        },
        flags=standing_out(curves, asked, seeds, means, found, combined, moved, taken),
        seeds=seeds,
        norm_offset=moved,
        local_fits=_local_fits(means, found),
        samples=found.samples,
        basis=basis_of(means, found, combined),
    )


def forecast(analysis: Analysis, P: ArrayLike) -> Forecast:
    """Test error at the optimum for other, usually larger, P, with 95% intervals.

    Raises
    ------
    ValueError
        If a P is not positive, or the analysis bears no forecast.
    """
    if not isinstance(analysis, Analysis):
        raise InvalidArgument("analysis", "must come from `analyse`", f"{type(analysis).__name__}")
    wanted = np.atleast_1d(arguments.numbers("P", P))
    if wanted.ndim > 1 or not np.all((wanted > 0) & np.isfinite(wanted)):
        raise InvalidArgument("P", "must be positive and finite", f"{arguments.quoted(P)}")
    if analysis.basis is None:
        why = analysis.gamma_meas.reason or 'method="paper" has no errors to go by'
        raise InvalidArgument("analysis", f"bears no forecast: {why}")
    return extrapolation.predict(analysis.basis, wanted)


def _alike(means: Sequence[MeanCurve]) -> bool:
    """Whether the seeds of every P agree exactly: their spread then tells no error."""
    return all(
        np.all(np.nanmax(mean.members, axis=0) == np.nanmin(mean.members, axis=0)) for mean in means
    )


def _optima(means: Sequence[MeanCurve], found: Exponents, own: Array | None) -> pd.DataFrame:
    """One row for each P."""
    P = np.array([mean.P for mean in means])
    log_lam = np.array([end.log_norm for end in found.ends])
    log_eps = np.array([end.log_error for end in found.ends])
    used = log_lam if own is None else own
    rise = neighbourhood(means)
    seeds = np.array(
        [of_seeds(mean, rise) if mean.seeds > 1 else (np.nan, np.nan) for mean in means]
    )
    log_elbow = np.full(len(P), np.nan)
    if found.laws and found.laws[0].bends:
        log_elbow = elbows(found.laws[0].law, means, found.ends)
    with np.errstate(over="ignore"):
        lam = np.exp(used)
    return pd.DataFrame(
        {
            "P": P,
            "seeds": [mean.seeds for mean in means],
            "log_lam_opt": used,
            "log_lam_opt_error": np.nan
            if own is not None
            else found.error(found.growth, found.samples.log_lam_opt),
            "lam_opt": lam,
            "eps_opt": np.exp(log_eps),
            "log_eps_opt_error": found.error(found.fall, found.samples.log_eps_opt),
            "at_end": [end.at_end for end in found.ends],
            "flat": [end.flat for end in found.ends],
            "log_lam_min": log_lam,
            "seed_log_lam_opt": seeds[:, 0],
            "seed_log_lam_opt_error": seeds[:, 1],
            "log_elbow": log_elbow,
            "log_elbow_error": found.error(found.elbow, found.samples.log_elbow),
        }
    )


def _covariance(found: Exponents) -> pd.DataFrame:
    names = ["gamma_1", "gamma_2", "gamma_pred", "gamma_meas"]
    return pd.DataFrame(found.covariance, index=names, columns=names)


def _collapse(means: Sequence[MeanCurve], found: Exponents) -> Collapse:
    if all(len(mean.log_norm) == 1 for mean in means):
        return collapse([], [], [])
    first = found.laws[0].window.from_P if found.laws else means[0].P
    log_lam = np.array([end.log_norm for end in found.ends])
    log_eps = np.array([end.log_error for end in found.ends])
    return collapse(means, log_lam, log_eps, from_P=first)


def _collapse_elbow(means: Sequence[MeanCurve], found: Exponents) -> Collapse | None:
    """The curves that have an elbow, in units of it."""
    if not found.laws or not found.laws[0].bends:
        return None
    elbow = elbows(found.laws[0].law, means, found.ends)
    inside = np.flatnonzero(np.isfinite(elbow)).tolist()
    return collapse(
        [means[k] for k in inside],
        elbow[inside],
        [found.ends[k].log_error for k in inside],
        at="elbow",
    )


def _settings(found: Exponents, question: Question, rise: float) -> dict[str, object]:
    """What was decided, and by whom."""
    window = found.laws[0].window if found.laws else None
    return {
        "start": window.start if window else None,
        "gamma_1_from": window.from_P if window else None,
        "offset": window.offset if window else None,
        "drift": window.drift if window else None,
        "gamma_2_from": found.used.choices[0].from_P if found.used.choices else None,
        "gamma_meas_from": found.fall.choices[0].from_P if found.fall.choices else None,
        "gamma_2_of": "elbows" if found.by_elbow else "optima",
        "rise": rise,
        "errors": "leaving out one P at a time" if question.averaged else "bootstrap over seeds",
        "bootstrap": None if question.averaged else question.bootstrap,
        "seed": None if question.averaged else question.seed,
        "chosen_by_user": [
            name
            for name, value in (
                ("gamma_1_from", question.gamma_1_from),
                ("gamma_2_from", question.gamma_2_from),
                ("offset", question.offset),
                ("optimum", question.own),
            )
            if value is not None
        ],
    }


def _local_fits(means: Sequence[MeanCurve], found: Exponents) -> pd.DataFrame:
    """A straight line through each rescaled curve between the start of the law and its elbow."""
    rows = []
    if found.laws:
        law = found.laws[0].law
        places = dict(zip(law.P.tolist(), law.elbow.tolist(), strict=True))
        for mean, end in zip(means, found.ends, strict=True):
            if mean.P not in places:
                continue
            last = places[mean.P] - BEFORE_ELBOW / law.rate
            line = straight(mean, end.log_norm, end.log_error, law.start, last)
            if line is not None:
                rows.append(line)
    return lines_table(rows)
