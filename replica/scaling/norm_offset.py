"""An early law in lam - lam_0 rather than in lam: tested beside, or in its place, eq. (S5a)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted
from replica.scaling import pipeline
from replica.scaling.averages import MeanCurve
from replica.scaling.choices import RELUCTANCE, STARTS, LawChoice
from replica.scaling.exponents import Exponents, exponents
from replica.scaling.joint import JointLaw
from replica.scaling.optima import Optimum
from replica.scaling.question import FEWEST_DRAWS, Question

__all__ = ["against", "asked_for", "best_offset", "fit_offset", "shift_means", "with_its_error"]

Array = NDArray[np.float64]

#: lam_0 in parts of the smallest norm that are tried first; closer to 1 the first record decides.
PARTS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95)
MOST = 0.98
#: chi-squared of one degree of freedom exceeds this with 5%: the rise at the ends of an interval.
RISE = 3.84
#: A start is a record's own norm but for rounding.
TIE = 1e-9


@dataclass(frozen=True)
class NormOffset:
    """The offset lam_0 of the norm in which the early curves are straightest.

    Attributes
    ----------
    log_value : float
        ln(lam_0); -inf where none is better than any.
    log_low, log_high : float
        95% profile interval of it, in the window where it is best.
    gain : float
        By how much criterion (S7) falls below that of the law in ln(lam).
    preferred : bool
        Whether that is more than 6, as for a floor.
    gamma_1, gamma_2, gamma_pred : float
        Exponents of the law in lam - lam_0, their product; nan where there are none.
    """

    log_value: float
    log_low: float
    log_high: float
    gain: float
    preferred: bool
    gamma_1: float
    gamma_2: float
    gamma_pred: float


def asked_for(means: tuple[MeanCurve, ...], question: Question, asked: str | float) -> NormOffset:
    """The offset that is best, for "yes", or the one given.

    Raises
    ------
    ValueError
        If it is no norm below all of the curves, or there is no early law to find it by.
    """
    if asked == "yes":
        found = best_offset(means, exponents(means, _quick(question)))
        if found is None:
            raise ValueError(
                "`norm_offset` cannot be found: no window of these curves shows an early law with "
                "an elbow; give lam_0 as a number, such as the norm before training"
            )
        return found
    smallest = np.exp(min(float(mean.log_norm[0]) for mean in means))
    value = arguments.number("norm_offset", asked)
    if not 0 < value < smallest:
        raise InvalidArgument(
            "norm_offset",
            f"must be test, yes, no or a norm between 0 and the smallest, {smallest:g}",
            quoted(asked),
        )
    at = float(np.log(value))
    return NormOffset(at, at, at, np.nan, True, np.nan, np.nan, np.nan)


def best_offset(means: Sequence[MeanCurve], found: Exponents) -> NormOffset | None:
    """The best lam_0 beside the law in lam; None where there is no law with elbows."""
    if not found.laws or not found.laws[0].bends:
        return None
    return fit_offset(means, found.ends, found.laws[0], found.inside)


def against(
    means: Sequence[MeanCurve], question: Question, log_offset: float
) -> tuple[tuple[MeanCurve, ...], Question]:
    """The curves, and the user's own lam_opt, in lam - lam_0."""
    own = None if question.own is None else _shift(question.own, log_offset)
    return shift_means(means, log_offset), replace(question, own=own)


def with_its_error(
    means: Sequence[MeanCurve], question: Question, offset: NormOffset, found: Exponents
) -> Exponents:
    """Exponents in lam - lam_0; the ends of its interval count among their systematic errors.

    ``means`` and ``question`` are those in lam.
    """
    ends = [at for at in (offset.log_low, offset.log_high) if at != offset.log_value]
    others = [exponents(*against(means, _quick(question), at)) for at in ends]
    changed = {}
    for name in ("gamma_1", "gamma_2", "gamma_2_elbow", "gamma_pred"):
        own = getattr(found, name)
        far = [abs(getattr(other, name).value - own.value) for other in others]
        known = [number for number in (own.systematic, *far) if np.isfinite(number)]
        changed[name] = replace(own, systematic=max(known, default=np.nan))
    return replace(found, **changed)


def _quick(question: Question) -> Question:
    """The same question where only values are asked for, and no error is looked at."""
    return replace(question, bootstrap=FEWEST_DRAWS, progress=None)


def shift_means(means: Sequence[MeanCurve], log_offset: float) -> tuple[MeanCurve, ...]:
    """The curves against ln(lam - lam_0); every norm has to exceed lam_0."""
    return tuple(replace(m, log_norm=_shift(m.log_norm, log_offset)) for m in means)


def shift_ends(ends: Sequence[Optimum], log_offset: float) -> list[Optimum]:
    """Their minima: a minimum stays one, whatever the abscissa."""
    return [replace(e, log_norm=float(_shift(np.asarray(e.log_norm), log_offset))) for e in ends]


def fit_offset(
    means: Sequence[MeanCurve],
    ends: Sequence[Optimum],
    chosen: LawChoice,
    inside: NDArray[np.bool_],
) -> NormOffset | None:
    """The best lam_0 for the P of a chosen window, over all its starts; None if no law fits.

    ``inside`` marks the minima that take part in gamma_2.
    """
    window = chosen.window
    kept = [k for k, mean in enumerate(means) if window.from_P <= mean.P]
    origin = min(float(mean.log_norm[0]) for mean in means)
    first = min(ends[k].log_norm for k in kept)
    total = sum(np.count_nonzero(means[k].log_norm <= ends[k].log_norm) for k in kept)
    unit = max(1.0, chosen.law.chi2 / chosen.law.dof)

    def law(part: float, start: float) -> JointLaw | None:
        at = origin + np.log(part) if part > 0 else -np.inf
        begin = float(_shift(np.asarray(start), at)) - TIE
        where = replace(window, start=begin, offset=False, drift=False)
        guess = chosen.parameters.copy()
        elbows = guess[len(guess) - len(chosen.law.P) :]
        elbows[:] = _shift(np.maximum(elbows, origin), at)
        fitted = pipeline.fit_law(shift_means(means, at), shift_ends(ends, at), where, guess)
        return fitted[0] if fitted and fitted[0].gamma > 0 < fitted[0].bend else None

    def criterion(found: JointLaw | None, parameters: int) -> float:
        if found is None:
            return np.inf
        points = found.dof + parameters
        return float(found.chi2 / unit + 2 * parameters + 2 * (total - points))

    best = (np.inf, 0.0, 0.0)
    count = 4 + len(kept)
    for part_of_way in STARTS:
        start = origin + part_of_way * (first - origin)
        for part in PARTS:
            value = criterion(law(part, start), count + 1)
            best = min(best, (value, part, start))
    if not np.isfinite(best[0]):
        return None
    start = best[2]
    near = minimize_scalar(
        lambda part: min(criterion(law(part, start), count + 1), 1e300),
        bounds=(0.0, MOST),
        method="bounded",
        options={"xatol": 1e-3},
    )
    value, part = min((float(near.fun), float(near.x)), best[:2])
    found = law(part, start)
    if found is None:
        return None
    now = criterion(chosen.law, count + chosen.window.offset + chosen.window.drift)
    at = origin + np.log(part) if part > 0 else -np.inf
    low, high = _interval(lambda p: criterion(law(p, start), count + 1), part, value)
    x = np.log([mean.P for mean in means])
    y = np.array([end.log_norm for end in shift_ends(ends, at)])
    gamma_2 = np.nan
    if np.count_nonzero(inside) > 2:
        gamma_2 = float(pipeline.slopes(x[inside], y[inside], np.ones(inside.sum()))[0])
    return NormOffset(
        log_value=at,
        log_low=origin + np.log(low) if low > 0 else -np.inf,
        log_high=origin + np.log(high),
        gain=now - value,
        preferred=bool(now - value > RELUCTANCE),
        gamma_1=found.gamma,
        gamma_2=gamma_2,
        gamma_pred=found.gamma * gamma_2,
    )


def _interval(profile: Callable[[float], float], best: float, least: float) -> tuple[float, float]:
    """Where the profile has risen by `RISE` on either side; the bounds where it has not."""
    ends = []
    for bound in (0.0, MOST):
        inside, outside = best, bound
        if profile(bound) - least <= RISE:
            ends.append(bound)
            continue
        for _ in range(8):  # to 1/256 of the way
            middle = (inside + outside) / 2
            inside, outside = (
                (middle, outside) if profile(middle) - least <= RISE else (inside, middle)
            )
        ends.append((inside + outside) / 2)
    return ends[0], ends[1]


def _shift(log_norm: Array, log_offset: float) -> Array:
    """ln(lam - lam_0), as ln(lam) + ln(1 - lam_0/lam)."""
    return np.asarray(log_norm + np.log1p(-np.exp(log_offset - log_norm)))
