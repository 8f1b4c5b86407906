"""The exponents of a set of mean curves, with statistical errors and their covariance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replica.scaling import choices, laws_of_P, pipeline, resampling
from replica.scaling.averages import MeanCurve
from replica.scaling.choices import LawChoice, half_range
from replica.scaling.laws_of_P import Line, exponent_of, no_line
from replica.scaling.optima import Optimum, neighbourhood
from replica.scaling.pipeline import Window
from replica.scaling.question import Question
from replica.scaling.resampling import Estimate, Samples, estimate, together

__all__ = ["Exponents", "exponents"]

Array = NDArray[np.float64]


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
            variance = [together(self.samples, [column])[0, 0] for column in repeated.T]
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
    readings = laws_of_P.readings(means, question)
    inside = np.array([not (end.at_end or end.at_start) for end in ends])
    if question.own is not None:
        inside[:] = True

    noise = np.array(
        [
            np.interp(end.log_norm, m.log_norm, m.variance)
            for m, end in zip(means, ends, strict=True)
        ]
    )
    growth = laws_of_P.growth(P, inside, readings, noise, samples, question)
    if question.no_norm:
        growth = elbow = no_line(question.no_norm, samples)
    elif laws and not laws[0].bends:
        elbow = no_line(
            "no elbow is seen: one power law without any describes the curves as well", samples
        )
    else:
        elbow = laws_of_P.line(
            P, laws_of_P.elbow_readings(means, ends, laws), samples.log_elbow, noise, samples, None
        )
    fall = laws_of_P.line(
        P, [(w, eps) for w, _, eps in readings], samples.log_eps_opt, noise, samples, None
    )
    by_elbow = bool(growth.reason) and not elbow.reason
    used = elbow if by_elbow else growth

    three = together(samples, [samples.gamma_1, used.repeated, fall.repeated])
    widen = np.array([1.0, used.widen, fall.widen])
    three = three * np.outer(widen, widen) + np.diag([0.0, used.extra, 0.0])
    early = laws[0].law if laws else None
    no_early = (
        "the early power law is not seen: no window holds enough records, well before the "
        f"elbow, of at least {min(3, len(P))} values of P"
    )
    no_early = "" if early else question.no_norm or no_early
    gamma_1 = estimate(early.gamma if early else np.nan, three[0, 0], samples, no_early)
    gamma_1 = replace(gamma_1, systematic=half_range([c.law.gamma for c in laws if c.admissible]))
    gamma_pred, covariance = _product(gamma_1, used, three, samples, laws)
    drifts = together(samples, [samples.drift])[0, 0]
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
        gamma_2=exponent_of(growth, samples),
        gamma_2_elbow=exponent_of(elbow, samples),
        gamma_pred=gamma_pred,
        gamma_meas=exponent_of(fall, samples, sign=-1),
        drift=estimate(_drift(means, ends, laws), drifts, samples, no_drift),
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
    result = estimate(gamma_1.value * slope, covariance[2, 2], samples, reason)
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
