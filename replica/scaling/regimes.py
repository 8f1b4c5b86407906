"""The combined law eps(P), eq. (6) of the paper, and the range in which it is a power law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replica.scaling.power_law import fit_power_law

__all__ = ["Regimes", "regimes"]

Array = NDArray[np.float64]

#: An offset is believed when zero is rejected at this level; else it is zero, with a limit.
REJECTED = 0.01


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
