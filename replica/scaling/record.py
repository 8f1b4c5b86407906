"""What the analysis of learning curves returns: the record of all that was found.

Its parts stand beside the functions that make them. Logarithms are natural throughout, and the
norm is kept as its logarithm: the norm of a deep network may reach 1e75, and its cousins more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from replica.scaling.averages import MeanCurve
from replica.scaling.extrapolation import Basis, Forecast
from replica.scaling.flags import Flag
from replica.scaling.joint import JointLaw
from replica.scaling.norm_offset import NormOffset
from replica.scaling.regimes import Regimes
from replica.scaling.resampling import Estimate, Samples
from replica.scaling.verdict import Collapse

__all__ = ["Analysis"]


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
