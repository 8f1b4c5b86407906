r"""Averages over training examples at a fixed penalty, eqs. (P1) and (P2) of docs/predict.md.

The margin of an example of the class s = +-1, before it is trained on, is h0 = m + s b + sqrt(q) z
with z normal; training moves it to h = h0 + gamma sigma(-h).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr, wrightomega

__all__ = ["Averages", "averages", "error_of", "proximal"]

Array = NDArray[np.float64]

#: The trapezoidal rule in z: the tails beyond hold 1e-16, and the integrand is analytic in a strip
#: of half-width pi/sqrt(q), so that the error is exp(-2 pi^2/(STEP sqrt(q))): rounding up to
#: sqrt(q) = 8, and 1e-3 of the averages at sqrt(q) = 40.
REACH, STEP = 8.54, 0.07
Z = np.arange(-REACH, REACH + STEP / 2, STEP)
WEIGHTS = np.exp(-(Z**2) / 2) * STEP / np.sqrt(2 * np.pi)
#: Newton's steps for h from a bound that they approach from one side: quadratic, and six round.
STEPS = 7
#: Unknowns the averages depend on, in the order of their gradients.
LOG_GAMMA, LOG_M, LOG_Q, INTERCEPT = range(4)


@dataclass(frozen=True)
class Averages:
    """Values (n,) and gradients (n, 4) by log gamma, log m, log q and b.

    Attributes
    ----------
    square : tuple
        A = E[p^2] of the push p = sigma(-h).
    push : tuple
        B = E[p].
    curved : tuple
        G = E[l''/(1 + gamma l'')], l'' = p (1 - p).
    balance : tuple
        E[s p], which the intercept makes zero.
    """

    square: tuple[Array, Array]
    push: tuple[Array, Array]
    curved: tuple[Array, Array]
    balance: tuple[Array, Array]


def proximal(h0: Array, gamma: Array) -> Array:
    """H with h = h0 + gamma sigma(-h): from a bound on the side from which Newton never leaves."""
    # above 0 sigma(-h) >= exp(-h)/2, below it is at most 1; there f is concave, here convex
    above = h0 + gamma / 2 > 0
    with np.errstate(over="ignore"):
        low = h0 + np.real(wrightomega(np.log(gamma / 2) - h0))
    h = np.where(above, np.maximum(low, 0.0), np.minimum(h0 + gamma, 0.0))
    for _ in range(STEPS):
        p = expit(-h)
        h = h - (h - h0 - gamma * p) / (1 + gamma * p * (1 - p))
    return np.asarray(h)


def averages(unknowns: Array, positive: float) -> Averages:
    """At log gamma, log m, log q and b, (n, 4), with a share ``positive`` of one class."""
    gamma, m, q = (np.exp(unknowns[:, k]) for k in (LOG_GAMMA, LOG_M, LOG_Q))
    root = np.sqrt(q)
    out = np.zeros((4, len(unknowns), 5))  # which average; of which system; value and gradient
    for sign, share in ((1.0, positive), (-1.0, 1 - positive)):
        h0 = (m + sign * unknowns[:, INTERCEPT])[:, None] + root[:, None] * Z
        p = expit(-proximal(h0, gamma[:, None]))
        bend = p * (1 - p)
        flat = 1 / (1 + gamma[:, None] * bend)  # dh/dh0
        w = bend * flat
        third = -bend * (1 - 2 * p) * flat * flat
        # by h0 and by gamma, of p and of w
        p_h, p_g = -w, -p * w
        w_h, w_g = third * flat, third * flat * p - w * w
        for row, value, by_h, by_g in (
            (0, p * p, 2 * p * p_h, 2 * p * p_g),
            (1, p, p_h, p_g),
            (2, w, w_h, w_g),
        ):
            mean = np.stack(
                [
                    value @ WEIGHTS,
                    gamma * (by_g @ WEIGHTS),
                    m * (by_h @ WEIGHTS),
                    root / 2 * (by_h @ (Z * WEIGHTS)),
                    sign * (by_h @ WEIGHTS),
                ],
                axis=1,
            )
            out[row] += share * mean
            if row == 1:
                out[3] += sign * share * mean
    return Averages(*((part[:, 0], part[:, 1:]) for part in out))


def error_of(m: Array, q: Array, intercept: Array, positive: float) -> Array:
    """Share of new examples on the wrong side, eq. (P4)."""
    root = np.sqrt(q)
    return np.asarray(
        positive * ndtr(-(m + intercept) / root) + (1 - positive) * ndtr(-(m - intercept) / root)
    )
