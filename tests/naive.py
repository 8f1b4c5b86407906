"""Slow twins of the fast code, written as the formulas stand: scipy only."""

import itertools

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import log_ndtr
from scipy.stats import norm


def proximal(loss, x, t):
    """The minimiser of V(D) + (D - t)^2 / (2 x)."""
    span = 1.0
    while t - span + x * loss.derivative(t - span) > t:
        span *= 2
    low = t - span
    span = 1.0
    while t + span + x * loss.derivative(t + span) < t:
        span *= 2
    return brentq(lambda d: d + x * loss.derivative(d) - t, low, t + span, xtol=1e-15, rtol=1e-14)


def weight(t, r, flip=0.0, sigma=0.0):
    """W(t) of eq. (8) for flips and probit noise."""
    c = r / np.sqrt(1 + sigma**2 - r**2)
    return 2 * flip + 2 * (1 - 2 * flip) * np.exp(log_ndtr(c * t))


def integrate(function, breaks):
    """quad over the whole line, cut at the breaks."""
    ends = [-12.0, *sorted(b for b in breaks if -12 < b < 12), 12.0]
    return sum(
        quad(function, a, b, epsabs=1e-13, epsrel=1e-12, limit=200)[0]
        for a, b in itertools.pairwise(ends)
    )


def average(function, r, *, flip=0.0, sigma=0.0, breaks=()):
    """int Dt W(t) function(t)."""
    return integrate(
        lambda t: norm.pdf(t) * weight(t, r, flip, sigma) * function(t), [-1, 0, 1, *breaks]
    )


def free_energy(loss, alpha, x, r, *, flip=0.0, sigma=0.0):
    """e(x, R) of eq. (4)."""

    def envelope(t):
        d = proximal(loss, x, t)
        return float(loss.value(d)) + (d - t) ** 2 / (2 * x)

    return (1 - r**2) / (2 * x) - alpha * average(envelope, r, flip=flip, sigma=sigma)
