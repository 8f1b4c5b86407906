"""Test error at larger P: by the combined law and by direct extrapolation, with intervals.

What a forecast goes by is taken from the exponents; the largest P, held out, are met by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from replica.scaling import pipeline
from replica.scaling.averages import MeanCurve
from replica.scaling.exponents import Exponents, exponents
from replica.scaling.optima import neighbourhood
from replica.scaling.question import Question
from replica.scaling.regimes import Regimes, regimes
from replica.scaling.resampling import LEVEL, Samples, covariance, misfit

__all__ = ["Basis", "Forecast", "basis_of", "combined_law", "held_out", "predict"]

Array = NDArray[np.float64]

#: Standard errors of disagreement between gamma_pred and gamma_meas from which on the combined law
#: is not believed as it stands, and its intervals grow. A choice.
TENSION = 2.0
#: Values of P that have to remain when the largest are held out, and the part held out.
REMAINING, HELD_OUT = 5, 0.25
#: Values of P below which a power law with offset has nothing left to be judged by.
FEWEST_WITH_OFFSET = 5
#: Optima that span more than this in ln have no law with an offset: exp of it is no float, nor
#: the optima of any training. A choice.
WIDEST = 400.0


@dataclass(frozen=True)
class Forecast:
    """Test error at the optimum for larger P, by two routes.

    Attributes
    ----------
    table : DataFrame
        One row for each P: `P`, `combined`, `combined_low`, `combined_high` (eq. 6 with the
        predicted exponent), `direct`, `direct_low`, `direct_high` (power law of the minima);
        95% intervals. Where the P was held out and measured: `measured`, `measured_error`,
        `combined_z`, `direct_z` (distance in standard errors), else nan.
    fitted_to : float
        The largest P that was used.
    """

    table: pd.DataFrame
    fitted_to: float


@dataclass(frozen=True)
class Basis:
    """What a forecast rests on.

    Attributes
    ----------
    P, log_eps_opt, variance : (m,) array
        The minima used, and the variance of their logarithms.
    repeated, present : (repetitions, m) array
        ln(eps_opt) of each repetition, and whether that P took part in it.
    gamma_1, gamma_2 : float
        Exponents whose product predicts the fall of the error.
    gamma_1_samples, gamma_2_samples : (repetitions,) array
    q1, log_offset : float
        Floor of the error, and ln(q2/k2): the combined law is
        eps = q1 + k (P^gamma_2 + q2/k2)^(-gamma_1).
    extra : float
        Variance of the product of exponents that the repetitions do not have.
    disagreement : float
        Distance of gamma_pred from gamma_meas in standard errors.
    samples : Samples
    """

    P: Array
    log_eps_opt: Array
    variance: Array
    repeated: Array
    present: Array
    gamma_1: float
    gamma_2: float
    gamma_1_samples: Array
    gamma_2_samples: Array
    q1: float
    log_offset: float
    extra: float
    disagreement: float
    samples: Samples


def combined_law(means: Sequence[MeanCurve], found: Exponents) -> Regimes | None:
    """The combined law through the optima that lie inside their curves."""
    used = found.inside
    if found.gamma_pred.reason or found.by_elbow or np.count_nonzero(used) < FEWEST_WITH_OFFSET:
        return None
    for log_y in (found.growth.log_y, found.fall.log_y[used]):
        if not 0 < np.ptp(log_y) < WIDEST:
            return None
    return regimes(
        np.array([mean.P for mean in means])[used],
        found.growth.log_y,
        found.growth.variance,
        found.fall.log_y[used],
        found.fall.variance[used],
        found.gamma_1.value,
        found.gamma_2.value,
    )


def basis_of(
    means: Sequence[MeanCurve], found: Exponents, combined: Regimes | None
) -> Basis | None:
    """What a forecast goes by; the minima from the P of the direct law on."""
    if found.gamma_meas.reason:
        return None
    P = np.array([mean.P for mean in means])
    take = found.fall.choices[0].from_P <= P
    offset, slope = -np.inf, found.used.slope
    if combined is not None and combined.q2 > 0:
        offset = float(np.log(combined.q2)) - combined.log_k2
    return Basis(
        P=P[take],
        log_eps_opt=found.fall.log_y[take],
        variance=found.fall.variance[take],
        repeated=found.samples.log_eps_opt[:, take],
        present=found.samples.present[:, take],
        gamma_1=found.gamma_1.value,
        gamma_2=slope,
        gamma_1_samples=found.samples.gamma_1,
        gamma_2_samples=slope + found.used.widen * (found.used.repeated - slope),
        q1=combined.q1 if combined is not None else 0.0,
        log_offset=offset,
        extra=found.used.extra * found.gamma_1.value**2,
        disagreement=abs(found.difference),
        samples=found.samples,
    )


def held_out(means: Sequence[MeanCurve], question: Question) -> Forecast | None:
    """The largest P predicted from the others, and compared with what was measured there."""
    count = max(1, int(HELD_OUT * len(means)))
    kept = means[: len(means) - count]
    if len(kept) < REMAINING:
        return None
    own = None if question.own is None else question.own[: len(kept)]
    first = question.gamma_1_from if (question.gamma_1_from or 0) <= kept[-1].P else None
    second = question.gamma_2_from if (question.gamma_2_from or 0) <= kept[-3].P else None
    asked = replace(question, own=own, gamma_1_from=first, gamma_2_from=second, progress=None)
    fewer = exponents(kept, asked)
    basis = basis_of(kept, fewer, combined_law(kept, fewer))
    if basis is None:
        return None
    rest = means[len(kept) :]
    ends = pipeline.minima(rest, neighbourhood(means))
    return predict(
        basis,
        [mean.P for mean in rest],
        [end.log_error for end in ends],
        # of the mean curve, read off several records: an upper bound
        [float(np.sqrt(np.median(mean.variance))) for mean in rest],
    )


def predict(
    basis: Basis,
    P: ArrayLike,
    measured: ArrayLike | None = None,
    measured_error: ArrayLike | None = None,
) -> Forecast:
    """Predict the test error at the optimum for other P, eqs. (S12) and (S13).

    Without gamma_pred the combined law is nan.
    The errors are those of the repetitions. Two factors may widen them: for direct extrapolation
    that of scatter about the law through the minima, for the combined law half the distance of
    gamma_pred from gamma_meas in standard errors, if above 1.
    Intervals by Student's t.
    ``measured`` and ``measured_error`` are ln(eps_opt) and its standard error.
    """
    new = np.atleast_1d(np.asarray(P, dtype=np.float64))
    x, at = np.log(basis.P), np.log(new)
    weight = 1 / basis.variance
    present = basis.present * weight

    slope, level = pipeline.slopes(x, basis.log_eps_opt, weight)
    direct = level + slope * at
    chi2 = float((weight * (basis.log_eps_opt - level - slope * x) ** 2).sum())
    # leaving out a P feels the scatter about the law by itself
    noisy = basis.samples.kind == "bootstrap"
    wider = misfit(chi2, len(x) - 2) if noisy else 1.0
    slopes, levels = pipeline.slopes(x, np.nan_to_num(basis.repeated), present)
    direct_error = wider * _error(basis.samples, levels[:, None] + slopes[:, None] * at)

    def law(gamma_1: Array, gamma_2: Array, log_P: Array) -> Array:
        """-ln of the combined law, up to its constant."""
        with np.errstate(invalid="ignore"):  # no exponents, no combined law: nan
            norm = np.logaddexp(np.multiply.outer(gamma_2, log_P), basis.log_offset)
        return np.asarray(np.asarray(gamma_1)[..., None] * norm)

    floor = basis.q1 * np.exp(-basis.log_eps_opt)
    above = basis.log_eps_opt + np.log(np.maximum(1 - floor, 1e-3))
    own = law(np.asarray(basis.gamma_1), np.asarray(basis.gamma_2), x)
    constant = float(np.average(above + own, weights=weight))
    combined = constant - law(np.asarray(basis.gamma_1), np.asarray(basis.gamma_2), at)
    gammas = basis.gamma_1_samples, basis.gamma_2_samples
    lifted = np.nan_to_num(basis.repeated - basis.log_eps_opt) + above + law(*gammas, x)
    constants = (present * lifted).sum(axis=1) / present.sum(axis=1)
    combined_error = max(1.0, basis.disagreement / TENSION) * np.sqrt(
        _error(basis.samples, constants[:, None] - law(*gammas, at)) ** 2
        + basis.extra * (at - np.average(x, weights=weight)) ** 2
    )

    reach = float(student.ppf((1 + LEVEL) / 2, max(basis.samples.freedom, 1)))
    columns: dict[str, Array] = {"P": new}
    for name, value, error, q in (
        ("combined", combined, combined_error, basis.q1),
        ("direct", direct, direct_error, 0.0),
    ):
        with np.errstate(over="ignore"):  # an interval without an upper end
            columns[name] = q + np.exp(value)
            columns[f"{name}_low"] = q + np.exp(value - reach * error)
            columns[f"{name}_high"] = q + np.exp(value + reach * error)
    none = np.full(len(new), np.nan)
    truth = none if measured is None else np.asarray(measured, dtype=np.float64)
    noise = none if measured_error is None else np.asarray(measured_error, dtype=np.float64)
    columns["measured"], columns["measured_error"] = np.exp(truth), np.exp(truth) * noise
    with np.errstate(divide="ignore", invalid="ignore"):
        above_floor = np.logaddexp(np.log(basis.q1), combined)
    for name, value, error in (
        ("combined", above_floor, combined_error),
        ("direct", direct, direct_error),
    ):
        columns[f"{name}_z"] = (truth - value) / np.hypot(error, noise)
    return Forecast(table=pd.DataFrame(columns), fitted_to=float(basis.P.max()))


def _error(samples: Samples, values: Array) -> Array:
    """Standard errors of repeated predictions (repetitions, k)."""
    return np.asarray(np.sqrt(np.diag(covariance(samples, values))))
