"""Test error at larger P: by the combined law and by direct extrapolation, with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from replica.scaling import pipeline
from replica.scaling.records import Basis, Forecast, Samples
from replica.scaling.resampling import LEVEL, covariance, misfit

__all__ = ["predict"]

Array = NDArray[np.float64]

#: Standard errors of disagreement between gamma_pred and gamma_meas from which on the combined law
#: is not believed as it stands, and its intervals grow. A choice.
TENSION = 2.0


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
