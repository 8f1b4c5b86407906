"""The combined law eps(P), eq. (6) of the paper, and the range in which it is a power law."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from replica.scaling.power_law import fit_power_law
from replica.scaling.records import Regimes

__all__ = ["regimes"]

Array = NDArray[np.float64]

#: An offset is believed when zero is rejected at this level; else it is zero, with a limit.
REJECTED = 0.01


def regimes(
    P: Array,
    log_lam_opt: Array,
    lam_variance: Array,
    log_eps_opt: Array,
    eps_variance: Array,
    gamma_1: float,
    gamma_2: float,
) -> Regimes:
    """The combined law through the optima of at least five P, and its thresholds.

    The floors q1 and q2 are those of power laws with offset in P, eqs. (3) and (4); each counts as
    zero unless that is rejected at the level of 1%, and has an upper limit either way. The
    exponents are those given, but gamma_2 is that of the fit where q2 is not zero.
    """
    x = np.log(P)
    middle = float(log_lam_opt.mean())  # lam_opt itself may overflow
    growth = fit_power_law(P, np.exp(log_lam_opt - middle), relative=np.sqrt(lam_variance))
    fall = fit_power_law(P, np.exp(log_eps_opt), relative=np.sqrt(eps_variance))
    q1 = float(fall.q) if fall.offset_p < REJECTED else 0.0
    lifted = growth.offset_p < REJECTED
    if lifted:
        gamma_2, log_k2 = -float(growth.gamma), float(growth.log_k) + middle
    else:
        log_k2 = float(np.average(log_lam_opt - gamma_2 * x, weights=1 / lam_variance))
    with np.errstate(divide="ignore", over="ignore"):
        log_q2 = np.log(growth.q) + middle if lifted else -np.inf
        log_q2_high = np.log(growth.q_high) + middle
        log_norm = np.logaddexp(log_k2 + gamma_2 * x, log_q2)
        above = np.log(np.maximum(np.exp(log_eps_opt) - q1, 1e-3 * np.exp(log_eps_opt)))
        log_k1 = float(np.average(above + gamma_1 * log_norm, weights=1 / eps_variance))
        reach = log_k1 - gamma_1 * log_k2
        return Regimes(
            log_k1=log_k1,
            gamma_1=gamma_1,
            q1=q1,
            log_k2=log_k2,
            gamma_2=gamma_2,
            q2=float(np.exp(log_q2)),
            q1_high=float(fall.q_high),
            q2_high=float(np.exp(log_q2_high)),
            q1_p=float(fall.offset_p),
            q2_p=float(growth.offset_p),
            P_minus=float(np.exp((log_q2 - log_k2) / gamma_2)),
            P_plus=float(np.exp((reach - np.log(q1)) / (gamma_1 * gamma_2))),
            P_minus_high=float(np.exp((log_q2_high - log_k2) / gamma_2)),
            P_plus_low=float(np.exp((reach - np.log(fall.q_high)) / (gamma_1 * gamma_2))),
        )
