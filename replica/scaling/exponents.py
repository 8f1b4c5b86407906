"""The exponents of a set of mean curves, with statistical errors and their covariance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replica.common.arguments import InvalidArgument
from replica.scaling import choices, pipeline, resampling
from replica.scaling.choices import LawChoice, LineChoice, half_range
from replica.scaling.optima import Optimum, neighbourhood, of_seeds
from replica.scaling.pipeline import Window
from replica.scaling.records import Estimate, MeanCurve, Samples
from replica.scaling.resampling import Progress

__all__ = ["FEWEST", "Exponents", "Line", "Question", "exponents"]

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
class Question:
    """How the exponents are to be found.

    Attributes
    ----------
    averaged : bool
        The curves came averaged: errors from leaving out one P at a time.
    no_norm : str
        Why nothing can be said of the norm, where the table has none; empty otherwise.
    gamma_1_from, gamma_2_from : float or None
        The smallest P, or None for the rule.
    own : (m,) array or None
        ln of the user's own lam_opt.
    offset : bool or None
        Whether the early law has a floor; None tries both.
    bootstrap, seed : int
        Repetitions, and the seed of the random choice of seeds.
    progress : callable or None
    """

    averaged: bool
    no_norm: str = ""
    gamma_1_from: float | None = None
    gamma_2_from: float | None = None
    own: Array | None = None
    offset: bool | None = None
    bootstrap: int = 1000
    seed: int = 0
    progress: Progress | None = None


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


@dataclass(frozen=True)
class Exponents:
    """Exponents, and all that they were made of.

    Attributes
    ----------
    ends : list of Optimum
    laws : list of LawChoice
        Joint laws by window, the chosen one first; empty if the early law was not seen.
    samples : Samples
    growth, elbow, fall : Line
        lam_opt(P) (minima inside the curves only), lam_elbow(P), eps_opt(P).
    inside : (m,) array of bool
        Whose minimum took part in `growth`.
    by_elbow : bool
        gamma_pred was made with the elbows, for want of minima.
    gamma_1, gamma_2, gamma_2_elbow, gamma_pred, gamma_meas, drift : Estimate
    covariance : (4, 4) array
        Of gamma_1, the gamma_2 in gamma_pred, gamma_pred and gamma_meas.
    """

    ends: list[Optimum]
    laws: list[LawChoice]
    samples: Samples
    growth: Line
    elbow: Line
    fall: Line
    inside: NDArray[np.bool_]
    by_elbow: bool
    gamma_1: Estimate
    gamma_2: Estimate
    gamma_2_elbow: Estimate
    gamma_pred: Estimate
    gamma_meas: Estimate
    drift: Estimate
    covariance: Array

    @property
    def used(self) -> Line:
        """The law whose exponent is in gamma_pred."""
        return self.elbow if self.by_elbow else self.growth

    @property
    def difference(self) -> float:
        """(gamma_pred - gamma_meas) in standard errors, with their covariance; nan without one."""
        c = self.covariance
        variance = c[2, 2] + c[3, 3] - 2 * c[2, 3]
        if not variance > 0:
            return float("nan")
        return float((self.gamma_pred.value - self.gamma_meas.value) / np.sqrt(variance))

    def error(self, line: Line, repeated: Array) -> Array:
        """Standard errors of what a line was fitted to, for every P; nan where unknown."""
        if self.samples.kind == "bootstrap":
            variance = [_covariance(self.samples, [column])[0, 0] for column in repeated.T]
            return np.sqrt(np.array(variance))
        error = np.full(repeated.shape[1], np.nan)
        if not line.reason:
            error[line.took_part] = np.sqrt(line.variance)
        return error

    def table(self) -> pd.DataFrame:
        """The scan of choices, see `Analysis.choices`."""
        lines = {
            "gamma_2": self.growth.choices,
            "gamma_2_elbow": self.elbow.choices,
            "gamma_meas": self.fall.choices,
        }
        return choices.table(self.laws, lines)


def exponents(means: Sequence[MeanCurve], question: Question) -> Exponents:
    """Minima, joint law and power laws of P, repeated for their errors, eqs. (S3) to (S8)."""
    P = np.array([mean.P for mean in means])
    rise = neighbourhood(means)
    ends = pipeline.minima(means, rise)
    laws: list[LawChoice] = []
    for drift in (False, True):  # an early law that moves with P only where none stands still
        if not question.no_norm:
            laws = laws or choices.laws(
                means, ends, rise, from_P=question.gamma_1_from, offset=question.offset, drift=drift
            )
    samples = _repeat(means, ends, laws, question)
    readings = _readings(means, question)
    inside = np.array([not (end.at_end or end.at_start) for end in ends])
    if question.own is not None:
        inside[:] = True

    noise = np.array(
        [
            np.interp(end.log_norm, m.log_norm, m.variance)
            for m, end in zip(means, ends, strict=True)
        ]
    )
    growth = _growth(P, inside, readings, noise, samples, question)
    if question.no_norm:
        growth = elbow = _no_line(question.no_norm, samples)
    elif laws and not laws[0].bends:
        elbow = _no_line(
            "no elbow is seen: one power law without any describes the curves as well", samples
        )
    else:
        elbow = _line(
            P, _elbow_readings(means, ends, laws), samples.log_elbow, noise, samples, None
        )
    fall = _line(P, [(w, eps) for w, _, eps in readings], samples.log_eps_opt, noise, samples, None)
    by_elbow = bool(growth.reason) and not elbow.reason
    used = elbow if by_elbow else growth

    three = _covariance(samples, [samples.gamma_1, used.repeated, fall.repeated])
    widen = np.array([1.0, used.widen, fall.widen])
    three = three * np.outer(widen, widen) + np.diag([0.0, used.extra, 0.0])
    early = laws[0].law if laws else None
    no_early = (
        "the early power law is not seen: no window holds enough records, well before the "
        f"elbow, of at least {min(3, len(P))} values of P"
    )
    no_early = "" if early else question.no_norm or no_early
    gamma_1 = _estimate(early.gamma if early else np.nan, three[0, 0], samples, no_early)
    gamma_1 = replace(gamma_1, systematic=half_range([c.law.gamma for c in laws if c.admissible]))
    gamma_pred, covariance = _product(gamma_1, used, three, samples, laws)
    drifts = _covariance(samples, [samples.drift])[0, 0]
    no_drift = no_early or ("" if len(P) > 1 else "one value of P has no drift")
    return Exponents(
        ends=ends,
        laws=laws,
        samples=samples,
        growth=growth,
        elbow=elbow,
        fall=fall,
        inside=inside,
        by_elbow=by_elbow,
        gamma_1=gamma_1,
        gamma_2=_of_line(growth, samples),
        gamma_2_elbow=_of_line(elbow, samples),
        gamma_pred=gamma_pred,
        gamma_meas=_of_line(fall, samples, sign=-1),
        drift=_estimate(_drift(means, ends, laws), drifts, samples, no_drift),
        covariance=covariance,
    )


def _repeat(
    means: Sequence[MeanCurve],
    ends: Sequence[Optimum],
    laws: Sequence[LawChoice],
    question: Question,
) -> Samples:
    """The repetitions that errors are taken from, in the chosen window."""
    if laws:
        window, law, guess = laws[0].window, laws[0].law, laws[0].parameters
    else:
        begin = min(float(mean.log_norm[0]) for mean in means)
        window = Window(begin, means[0].P, neighbourhood(means))
        law, guess = None, None
    if question.averaged:
        return resampling.jackknife(means, ends, window, law, guess)
    rng = np.random.default_rng(question.seed)
    return resampling.bootstrap(means, window, guess, question.bootstrap, rng, question.progress)


def _readings(means: Sequence[MeanCurve], question: Question) -> list[tuple[str, Array, Array]]:
    """Several readings of the optima: words, ln(lam_opt), ln(eps_opt); the first one counts."""
    found = []
    for rise in (part * neighbourhood(means) for part in RISES):
        ends = pipeline.minima(means, rise)
        lam = np.array([end.log_norm for end in ends])
        eps = np.array([end.log_error for end in ends])
        found.append((f"minimum within {rise:.2g}", lam, eps))
    if not question.averaged:
        seeds = np.array([of_seeds(mean, neighbourhood(means))[0] for mean in means])
        if np.all(np.isfinite(seeds)):
            found.append(("mean over the seeds' minima", seeds, found[0][2]))
    if question.own is not None:
        found = [("given optima", question.own, found[0][2])]
    return found


def _growth(
    P: Array,
    inside: NDArray[np.bool_],
    readings: Sequence[tuple[str, Array, Array]],
    noise: Array,
    samples: Samples,
    question: Question,
) -> Line:
    """lam_opt(P), from the minima that lie inside their curves."""
    count = int(np.count_nonzero(inside))
    if len(P) >= FEWEST > count:
        return _no_line(
            f"only {count} of {len(P)} curves have their minimum inside: at the others lam_opt is "
            "the end of the records, which measures how long was trained",
            samples,
        )
    return _line(
        P,
        [(words, np.where(inside, lam, np.nan)) for words, lam, _ in readings],
        None if question.own is not None else samples.log_lam_opt,
        noise,
        samples,
        question.gamma_2_from,
    )


def _elbow_readings(
    means: Sequence[MeanCurve], ends: Sequence[Optimum], laws: Sequence[LawChoice]
) -> list[tuple[str, Array]]:
    """The elbows of the chosen joint law, where the curves have reached them."""
    nowhere = np.full(len(means), np.nan)
    found = pipeline.elbows(laws[0].law, means, ends) if laws else nowhere
    return [("elbows of the joint law", found)]


def _line(
    P: Array,
    readings: Sequence[tuple[str, Array]],
    repeated: Array | None,
    noise: Array,
    samples: Samples,
    from_P: float | None,
) -> Line:
    """A power law of P through readings; ``repeated`` None if they were not repeated."""
    known = np.isfinite(readings[0][1])
    if np.count_nonzero(known) < FEWEST:
        count = int(np.count_nonzero(known))
        return _no_line(
            f"a power law of P needs at least {FEWEST} values of P; there are {count}", samples
        )
    if from_P is not None and np.count_nonzero(P[known] >= from_P) < FEWEST:
        raise InvalidArgument(
            "gamma_2_from",
            f"must leave at least {FEWEST} values of P with a minimum inside",
            f"{from_P:g}",
        )
    P, log_y, present = P[known], readings[0][1][known], samples.present[:, known]
    if repeated is None or samples.kind == "jackknife":
        variance = _roughness(np.log(P), log_y)
    else:
        variance = _pooled(samples, repeated[:, known], noise[known])
    found = choices.lines(P, [(words, y[known]) for words, y in readings], variance, from_P=from_P)
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


def _no_line(reason: str, samples: Samples) -> Line:
    nothing, nobody = np.empty(0), np.zeros(len(samples.P), dtype=bool)
    return Line(reason, [], nobody, nothing, nothing, np.full(len(samples.present), np.nan))


def _pooled(samples: Samples, repeated: Array, noise: Array) -> Array:
    """Variance of each column: in proportion to the noise of its curve, by one common factor.

    The variances themselves, from a handful of seeds, scatter far too much to be weights.
    """
    own = np.array([_covariance(samples, [column])[0, 0] for column in repeated.T])
    return np.clip(noise * np.mean(own / noise), EXACT, VAGUE)


def _roughness(x: Array, y: Array) -> Array:
    """Variance of y about a smooth curve, the same for all, from lines through neighbours."""
    if len(x) < FEWEST:
        return np.full(len(x), EXACT)
    part = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
    distance = y[1:-1] - (1 - part) * y[:-2] - part * y[2:]
    square = distance**2 / (1 + part**2 + (1 - part) ** 2)
    return np.full(len(x), max(float(square.mean()), EXACT))


def _covariance(samples: Samples, columns: Sequence[Array]) -> Array:
    """Covariance of repeated quantities; nan in the rows of those that have no values."""
    stack = np.stack(columns, axis=1)
    known = np.isfinite(stack).any(axis=0)
    result = np.full((stack.shape[1],) * 2, np.nan)
    if known.any():
        result[np.ix_(known, known)] = resampling.covariance(samples, stack[:, known])
    return result


def _estimate(value: float, variance: float, samples: Samples, reason: str) -> Estimate:
    if not reason and not (variance >= 0 and samples.freedom > 0):
        reason = "there is nothing to take an error from"
    if reason:
        return Estimate(np.nan, np.nan, np.nan, np.nan, np.nan, reason)
    return resampling.estimate(value, float(np.sqrt(variance)), samples.freedom)


def _of_line(line: Line, samples: Samples, sign: int = 1) -> Estimate:
    """The slope of a line with its error and its spread over choices."""
    variance = _covariance(samples, [line.repeated])[0, 0] * line.widen**2 + line.extra
    result = _estimate(sign * line.slope, variance, samples, line.reason)
    return replace(result, systematic=half_range([c.slope for c in line.choices if c.admissible]))


def _product(
    gamma_1: Estimate, growth: Line, three: Array, samples: Samples, laws: Sequence[LawChoice]
) -> tuple[Estimate, Array]:
    """gamma_pred = gamma_1 gamma_2 with the covariance of all four, to first order, eq. (S8)."""
    slope = growth.slope
    jacobian = np.array([[1, 0, 0], [0, 1, 0], [slope, gamma_1.value, 0], [0, 0, 1]])
    covariance = jacobian @ np.nan_to_num(three) @ jacobian.T
    # eps_opt falls with P: the fourth is minus the slope
    sign = np.array([1, 1, 1, -1])
    covariance = covariance * np.outer(sign, sign)
    missing = np.isnan(np.diag(three)[[0, 1, 1, 2]]) | np.array(
        [False, False, bool(gamma_1.reason), False]
    )
    covariance[missing, :], covariance[:, missing] = np.nan, np.nan
    reason = gamma_1.reason or growth.reason
    result = _estimate(gamma_1.value * slope, covariance[2, 2], samples, reason)
    products = [
        law.law.gamma * line.slope
        for law in laws
        for line in growth.choices
        if law.admissible and line.admissible
    ]
    return replace(result, systematic=half_range(products)), covariance


def _drift(means: Sequence[MeanCurve], ends: Sequence[Optimum], laws: Sequence[LawChoice]) -> float:
    """The drift of the joint law that may move with P, in the chosen window."""
    if not laws:
        return float("nan")
    window = replace(laws[0].window, drift=True)
    result = pipeline.fit_law(means, ends, window, laws[0].parameters)
    return result[0].drift if result else float("nan")
