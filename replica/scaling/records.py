"""What the analysis of learning curves returns: frozen records that say how well they know.

Logarithms are natural throughout, and the norm is kept as its logarithm: the
norm of a deep network may reach 1e75, and its cousins more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replica.common.arguments import InvalidArgument, quoted
from replica.scaling.flags import Flag
from replica.scaling.verdict import Collapse

__all__ = [
    "Analysis",
    "Basis",
    "Estimate",
    "Forecast",
    "JointLaw",
    "MeanCurve",
    "NormOffset",
    "Regimes",
    "Samples",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number with its statistical and its systematic error.

    Attributes
    ----------
    value : float
        The estimate; nan where nothing can be concluded.
    error : float
        One statistical standard error.
    low, high : float
        95% interval, statistical.
    systematic : float
        Half of the range of the value over the admissible choices of the analysis; nan where
        no choice was varied.
    reason : str
        Why nothing can be concluded; empty otherwise.
    """

    value: float
    error: float
    low: float
    high: float
    systematic: float = float("nan")
    reason: str = ""

    @property
    def total(self) -> float:
        """Both errors added in quadrature; the statistical one alone where no choice was varied."""
        return float(np.hypot(self.error, np.nan_to_num(self.systematic)))


@dataclass(frozen=True)
class MeanCurve:
    """The learning curve of one P, averaged over seeds at equal norm.

    Attributes
    ----------
    P : float
        Number of training examples.
    log_norm : (n,) array
        Grid of ln(norm), increasing.
    error : (n,) array
        Mean test error.
    members : (seeds, n) array
        Test error of each seed on the grid, nan beyond its own range; one row where the curve
        came averaged.
    variance : (n,) array
        Variance of ln(error) of the mean, from the pooled noise of all curves.
    level : (seeds,) array
        Error of each seed over that of the mean curve, 1 on average; 1 for all where every seed
        covers the whole grid.
    noise : (2,) array
        The terms a and b of the noise of one seed, eq. (S2).
    """

    P: float
    log_norm: Array
    error: Array
    members: Array
    variance: Array
    level: Array
    noise: Array

    @property
    def seeds(self) -> int:
        """How many seeds were averaged here; 1 where the curve came averaged."""
        return len(self.members)


@dataclass(frozen=True)
class JointLaw:
    """One law for every P: a common early power law, each P with its own elbow, eq. (S5).

    ln(error - offset) = log_k - drift ln(P/P[-1]) - gamma ln(norm)
                         + (bend/rate) softplus(rate (ln(norm) - elbow_P))

    Attributes
    ----------
    P : (m,) array
        The numbers of examples that took part.
    log_k, gamma, bend, rate, offset, drift : float
        The early law is error = offset + exp(log_k) norm^(-gamma); past the elbow the local
        exponent changes by `bend` over a width 1/`rate` in ln(norm). `drift` is zero unless
        the law was allowed to move with P.
    elbow : (m,) array
        ln(norm) of the elbow of each P.
    start : float
        ln(norm) from which records took part.
    chi2 : float
        Sum of squared residuals in units of the noise.
    dof : int
        Points less parameters.
    """

    P: Array
    log_k: float
    gamma: float
    bend: float
    rate: float
    offset: float
    drift: float
    elbow: Array
    start: float
    chi2: float
    dof: int

    def early(self, log_norm: Array) -> Array:
        """The early power law, the same for every P (that of the largest if it drifts)."""
        return np.asarray(self.offset + np.exp(self.log_k - self.gamma * np.asarray(log_norm)))

    def __call__(self, log_norm: Array, P: float) -> Array:
        """Test error at ln(norm) of the curve of one of its P."""
        place = np.flatnonzero(self.P == P)
        if len(place) == 0:
            known = self.P.tolist()
            raise InvalidArgument("P", f"must be one of those that took part, {known}", quoted(P))
        x = np.asarray(log_norm, dtype=np.float64)
        late = np.logaddexp(0.0, self.rate * (x - self.elbow[place[0]])) * self.bend / self.rate
        level = self.log_k - self.drift * np.log(P / self.P[-1])
        return np.asarray(self.offset + np.exp(level - self.gamma * x + late))


@dataclass(frozen=True)
class Regimes:
    """The combined law eps(P) = k1 (k2 P^gamma_2 + q2)^(-gamma_1) + q1 and its thresholds, eq. (6).

    Attributes
    ----------
    log_k1, gamma_1, q1, log_k2, gamma_2, q2 : float
        Its parameters; k1 is that of the optima, not of the early law.
    q1_high, q2_high : float
        95% upper limits of the offsets.
    q1_p, q2_p : float
        p-values of q1 = 0 and of q2 = 0.
    P_minus, P_plus : float
        Between them the error falls as a power of P: 0 and inf where the offsets are zero.
    P_minus_high, P_plus_low : float
        95% limits of the two, from those of the offsets.
    """

    log_k1: float
    gamma_1: float
    q1: float
    log_k2: float
    gamma_2: float
    q2: float
    q1_high: float
    q2_high: float
    q1_p: float
    q2_p: float
    P_minus: float
    P_plus: float
    P_minus_high: float
    P_plus_low: float

    def __call__(self, P: Array) -> Array:
        """The test error at the optimum for P examples."""
        P = np.asarray(P, dtype=np.float64)
        with np.errstate(divide="ignore"):  # q2 = 0
            log_norm = np.logaddexp(self.log_k2 + self.gamma_2 * np.log(P), np.log(self.q2))
        return np.asarray(self.q1 + np.exp(self.log_k1 - self.gamma_1 * log_norm))


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
class Samples:
    """The analysis repeated: on seeds drawn anew, or without one P at a time.

    Attributes
    ----------
    kind : str
        "bootstrap" or "jackknife".
    P : (m,) array
    log_lam_opt, log_eps_opt, log_elbow : (repetitions, m) array
        Minima and elbows by P; nan where a P did not take part.
    gamma_1, drift : (repetitions,) array
    present : (repetitions, m) array
        1 where a P took part in a repetition, else 0.
    freedom : int
        Degrees of freedom of that variance.
    """

    kind: str
    P: Array
    log_lam_opt: Array
    log_eps_opt: Array
    log_elbow: Array
    gamma_1: Array
    drift: Array
    present: Array
    freedom: int


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


@dataclass(frozen=True)
class Analysis:
    """Everything that a set of learning curves says, and what it does not.

    Attributes
    ----------
    method : str
        "default" or "paper".
    means : tuple of MeanCurve
        By increasing P.
    averaged : bool
        The curves came averaged over seeds: errors are from leaving out one P at a time.
    optima : DataFrame
        One row for each P: `P`, `seeds`, `log_lam_opt`, `log_lam_opt_error`, `lam_opt`,
        `eps_opt`, `log_eps_opt_error`, `at_end`, `flat`, `log_lam_min` (minimum of the mean curve,
        by which it is rescaled: the same unless the user gave lam_opt), `seed_log_lam_opt`,
        `seed_log_lam_opt_error` (mean over the seeds' own minima, in ln; nan where there are
        no seeds), `log_elbow`, `log_elbow_error` (nan where the joint law left that P out, or the
        curve ends before its elbow).
    joint : JointLaw or None
        None with ``method="paper"`` and where the curves do not bear one.
    gamma_1, gamma_2, gamma_pred, gamma_meas : Estimate
        Exponents of the early law, of lam_opt(P), their product, and of eps_opt(P).
    gamma_2_elbow : Estimate
        The exponent of lam_elbow(P).
    drift : Estimate
        The exponent by which the early law moves with P, k_1 ~ P^(-drift), kappa for short in
        formulas; the paper's early law has none.
    covariance : DataFrame
        Statistical covariance of gamma_1, gamma_2, gamma_pred and gamma_meas.
    difference : float
        (gamma_pred - gamma_meas) in statistical standard errors.
    collapse : Collapse
        In units of the optimum, lam_opt and eps_opt.
    collapse_elbow : Collapse or None
        In units of lam_elbow and eps_opt, of the curves with an elbow; for those whose minimum
        is the end of training. None with ``method="paper"``, or where no elbow is seen.
    regimes : Regimes or None
    forecast : Forecast or None
        The largest P, held out and predicted from the others; None where there are too few.
    choices : DataFrame
        The scan, one row for each exponent and choice: `exponent`, `choice` (words), `value`,
        `chi2`, `dof`, `criterion` (eq. S7, zero for the best), `admissible`, `chosen`.
    settings : mapping
        What was decided, by rule or by the user: `start`, `gamma_1_from`, `gamma_2_from`,
        `gamma_meas_from`, `window`, `rise`, `offset`, `bootstrap`, ...
    flags : tuple of Flag
        What stands out and what cannot be concluded: each with its `kind`, a sentence, and the P
        and the seed that it is about.
    seeds : DataFrame
        Seeds unlike the others of their P: `P`, `seed`, `kind`, `used` (whether it takes part),
        `what` was seen, and how far `d_gamma_1`, `d_gamma_2` and `d_gamma_meas` move if it is left
        out, or put in where it was left out.
    norm_offset : NormOffset or None
        The offset of the norm in which the early curves are straightest, beside the law in the
        norm, or in its place; None where it was not asked for or there is no early law.
    local_fits : DataFrame
        A straight line through the early part of each rescaled curve,
        ln(eps/eps_opt) = intercept - gamma ln(lam/lam_opt): `P`, `gamma`, `gamma_error`,
        `intercept`, `log_ratio_low`, `log_ratio_high` (the window), `records`.
    samples : Samples or None
        What the statistical errors were taken from; None with ``method="paper"``.
    basis : Basis or None
        What `forecast` goes by; None where there is none.
    """

    method: str
    means: tuple[MeanCurve, ...]
    averaged: bool
    optima: pd.DataFrame
    joint: JointLaw | None
    gamma_1: Estimate
    gamma_2: Estimate
    gamma_pred: Estimate
    gamma_meas: Estimate
    gamma_2_elbow: Estimate
    drift: Estimate
    covariance: pd.DataFrame
    difference: float
    collapse: Collapse
    collapse_elbow: Collapse | None
    regimes: Regimes | None
    forecast: Forecast | None
    choices: pd.DataFrame
    settings: Mapping[str, Any]
    flags: tuple[Flag, ...]
    seeds: pd.DataFrame
    norm_offset: NormOffset | None
    local_fits: pd.DataFrame
    samples: Samples | None
    basis: Basis | None
