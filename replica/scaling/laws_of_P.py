"""Power laws of P: how lam_opt, lam_elbow and eps_opt go with the number of examples.

A straight line of ln y against ln P, weighted by errors pooled over all P, from a P on that is
chosen by rule. docs/scaling.md, section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from replica.common.arguments import InvalidArgument
from replica.scaling import choices, pipeline, resampling
from replica.scaling.averages import MeanCurve
from replica.scaling.choices import LawChoice, LineChoice, half_range
from replica.scaling.optima import Optimum, neighbourhood, of_seeds
from replica.scaling.question import Question
from replica.scaling.resampling import Estimate, Samples, estimate, together

__all__ = [
    "FEWEST",
    "Line",
    "elbow_readings",
    "exponent_of",
    "growth",
    "line",
    "no_line",
    "readings",
]

Array = NDArray[np.float64]

#: Values of P below which a power law of P cannot be told from any other curve.
FEWEST = 3
#: Variance of a logarithm below which it counts as exact.
EXACT = 1e-12
#: Above this it says nothing, whatever it is.
VAGUE = 1e4
#: Neighbourhoods of the minimum that the scan of choices tries, in units of the one by rule.
RISES = (1.0, 0.5, 1.5)


@dataclass(frozen=True)
class Line:
    """A power law of P: ln y = level + slope ln P.

    Attributes
    ----------
    reason : str
        Why there is none; the rest is then empty or nan.
    choices : sequence of LineChoice
        The chosen one first.
    took_part : (all P,) array of bool
        Which P it was fitted to.
    log_y, variance : (m,) array
        What it was fitted to, and the variance of that.
    repeated : (repetitions,) array
        Its slope in each repetition.
    widen : float
        Factor for scatter about the law beyond the noise, `resampling.misfit`.
    extra : float
        Variance of the slope that the repetitions do not have.
    """

    reason: str
    choices: Sequence[LineChoice]
    took_part: NDArray[np.bool_]
    log_y: Array
    variance: Array
    repeated: Array
    widen: float = 1.0
    extra: float = 0.0

    @property
    def slope(self) -> float:
        """The exponent; nan if there is no law."""
        return self.choices[0].slope if not self.reason else float("nan")


def readings(means: Sequence[MeanCurve], question: Question) -> list[tuple[str, Array, Array]]:
    """Several readings of the optima: words, ln(lam_opt), ln(eps_opt); the first one counts."""
    if all(len(mean.log_norm) == 1 for mean in means):  # no curves, and one reading
        lam = np.array([mean.log_norm[0] for mean in means])
        return [("the only record", lam, np.log([mean.error[0] for mean in means]))]
    found = []
    own = neighbourhood(means)
    for rise in (part * own for part in RISES):
        ends = pipeline.minima(means, rise)
        lam = np.array([end.log_norm for end in ends])
        eps = np.array([end.log_error for end in ends])
        found.append((f"minimum within {rise:.2g}", lam, eps))
    if not question.averaged:
        seeds = np.array([of_seeds(mean, own)[0] for mean in means])
        if np.all(np.isfinite(seeds)):
            found.append(("mean over the seeds' minima", seeds, found[0][2]))
    if question.own is not None:
        found = [("given optima", question.own, found[0][2])]
    return found


def growth(
    P: Array,
    inside: NDArray[np.bool_],
    found: Sequence[tuple[str, Array, Array]],
    noise: Array,
    samples: Samples,
    question: Question,
) -> Line:
    """lam_opt(P), from the minima that lie inside their curves."""
    count = int(np.count_nonzero(inside))
    if len(P) >= FEWEST > count:
        return no_line(
            f"only {count} of {len(P)} curves have their minimum inside: at the others lam_opt is "
            "the end of the records, which measures how long was trained",
            samples,
        )
    return line(
        P,
        [(words, np.where(inside, lam, np.nan)) for words, lam, _ in found],
        None if question.own is not None else samples.log_lam_opt,
        noise,
        samples,
        question.gamma_2_from,
    )


def elbow_readings(
    means: Sequence[MeanCurve], ends: Sequence[Optimum], laws: Sequence[LawChoice]
) -> list[tuple[str, Array]]:
    """The elbows of the chosen joint law, where the curves have reached them."""
    nowhere = np.full(len(means), np.nan)
    found = pipeline.elbows(laws[0].law, means, ends) if laws else nowhere
    return [("elbows of the joint law", found)]


def line(
    P: Array,
    given: Sequence[tuple[str, Array]],
    repeated: Array | None,
    noise: Array,
    samples: Samples,
    from_P: float | None,
) -> Line:
    """A power law of P through readings of y; ``repeated`` None if they were not repeated."""
    known = np.isfinite(given[0][1])
    if np.count_nonzero(known) < FEWEST:
        count = int(np.count_nonzero(known))
        return no_line(
            f"a power law of P needs at least {FEWEST} values of P; there are {count}", samples
        )
    if from_P is not None and np.count_nonzero(P[known] >= from_P) < FEWEST:
        raise InvalidArgument(
            "gamma_2_from",
            f"must leave at least {FEWEST} values of P with a minimum inside",
            f"{from_P:g}",
        )
    P, log_y, present = P[known], given[0][1][known], samples.present[:, known]
    if repeated is None or samples.kind == "jackknife":
        variance = _roughness(np.log(P), log_y)
    else:
        variance = _pooled(samples, repeated[:, known], noise[known])
    found = choices.lines(P, [(words, y[known]) for words, y in given], variance, from_P=from_P)
    take = found[0].from_P <= P
    widen = resampling.misfit(found[0].chi2, found[0].dof)
    if repeated is None:
        dx = np.log(P[take]) - np.log(P[take]).mean()
        still = np.full(len(present), found[0].slope)
        extra = float(widen**2 * variance[0] / (dx**2).sum())
        return Line("", found, known, log_y, variance, still, extra=extra)
    weight = present * take / variance
    slope, _ = pipeline.slopes(np.log(P), np.nan_to_num(repeated[:, known]), weight)
    if samples.kind == "jackknife":  # leaving out a P feels the scatter by itself
        widen = 1.0
    return Line("", found, known, log_y, variance, slope, widen=widen)


def no_line(reason: str, samples: Samples) -> Line:
    """No law, and why."""
    nothing, nobody = np.empty(0), np.zeros(len(samples.P), dtype=bool)
    return Line(reason, [], nobody, nothing, nothing, np.full(len(samples.present), np.nan))


def exponent_of(law: Line, samples: Samples, sign: int = 1) -> Estimate:
    """The slope of a law with its error and its spread over choices."""
    variance = together(samples, [law.repeated])[0, 0] * law.widen**2 + law.extra
    result = estimate(sign * law.slope, variance, samples, law.reason)
    return replace(result, systematic=half_range([c.slope for c in law.choices if c.admissible]))


def _pooled(samples: Samples, repeated: Array, noise: Array) -> Array:
    """Variance of each column: in proportion to the noise of its curve, by one common factor.

    The variances themselves, from a handful of seeds, scatter far too much to be weights.
    """
    own = np.array([together(samples, [column])[0, 0] for column in repeated.T])
    return np.clip(noise * np.mean(own / noise), EXACT, VAGUE)


def _roughness(x: Array, y: Array) -> Array:
    """Variance of y about a smooth curve, the same for all, from lines through neighbours."""
    if len(x) < FEWEST:
        return np.full(len(x), EXACT)
    part = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
    distance = y[1:-1] - (1 - part) * y[:-2] - part * y[2:]
    square = distance**2 / (1 + part**2 + (1 - part) ** 2)
    return np.full(len(x), max(float(square.mean()), EXACT))
