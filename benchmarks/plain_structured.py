"""The equations of inputs with a covariance, as plain scipy solves them.

Section 8 of docs/theory.md in four unknowns, log c, log x, log nu and log Q, for
`scipy.optimize.root`; integrals and proximal points as in `benchmarks.plain_scipy`, sums over the
modes by NumPy, the start from Hebb's rule in closed form, and lam raised in steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import root
from scipy.special import ndtr

from benchmarks.plain_scipy import STRIDE, TOLERANCE, WIDTH, integrate, proximal

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Modes:
    """omega_k and omega_k theta_k^2, of sum 1."""

    eigenvalue: Array
    signal: Array


@dataclass(frozen=True)
class Plain:
    """One solution of the plain code."""

    generalization_error: float
    attempts: int


def power_law(capacity: float, source: float, modes: int) -> Modes:
    """omega_k = k^-a, omega_k theta_k^2 as k^(-1-2ar), k up to ``modes``."""
    k = np.arange(1.0, modes + 1)
    signal = k ** (-1 - 2 * capacity * source)
    return Modes(k**-capacity, signal / signal.sum())


def averages(c: float, x: float, norm: float, tolerance: float) -> tuple[float, float, float]:
    """A, B and G at the norm ``norm`` of the field."""
    s = 1 / math.sqrt(1 + c * c)
    points = [-s, 0.0, s, math.log1p(4 * norm * x) / (2 * norm)]

    def step(t: float) -> float:
        u = proximal(t, x, norm) - t
        return math.exp(-t * t / 2) * 2 * ndtr(c * t) * u * u

    def pull(t: float) -> float:
        return math.exp(-t * t / (2 * s * s)) * (proximal(t, x, norm) - t)

    def curved(t: float) -> float:
        y = 2 * norm * proximal(t, x, norm)
        e = math.exp(-abs(y))
        q = 4 * x * norm * e / (1 + e) ** 2
        return math.exp(-t * t / 2) * 2 * ndtr(c * t) * q / (1 + q)

    root2pi = math.sqrt(2 * math.pi)
    return (
        integrate(step, -WIDTH, WIDTH, points, tolerance) / root2pi,
        integrate(pull, -WIDTH * s, WIDTH * s, points, tolerance) / (root2pi * s),
        integrate(curved, -WIDTH, WIDTH, points, tolerance) / root2pi,
    )


def equations(unknowns: Array, P: float, lam: float, modes: Modes, tolerance: float) -> Array:
    """The four equations of section 9, each a number that vanishes."""
    log_c, log_x, log_nu, log_q = unknowns
    c, x, nu = math.exp(log_c), math.exp(log_x), math.exp(log_nu)
    A, B, G = averages(c, x, lam * math.exp(log_q / 2), tolerance)
    K, g = P * math.sqrt(2 / math.pi) * B, P * G
    R = c / math.sqrt(1 + c * c)
    omega, tau = modes.eigenvalue, modes.signal
    d = nu + g * omega
    inverse_q = P * A * np.sum(omega / d**2) + K * K * np.sum(tau * omega / d**2)
    return np.array(
        [
            1 - np.sum(omega / d),
            1 - K * np.sum(tau * omega / d) / R,
            1 - P * A * np.sum((omega / d) ** 2) - K * K * np.sum(tau * (omega / d) ** 2),
            1 - math.exp(log_q) * inverse_q,
        ]
    )


def hebb(P: float, modes: Modes) -> Array:
    """u = x for every example, G = 0."""
    omega, tau = modes.eigenvalue, modes.signal
    nu = omega.sum()
    pull = P * math.sqrt(2 / math.pi)  # K/x
    x = 1 / math.sqrt(P * np.sum(omega**2) / nu**2 + pull**2 * np.sum(tau * omega**2) / nu**2)
    R = pull * x * np.sum(tau * omega) / nu
    Q = 1 / (P * x * x * omega.sum() / nu**2 + (pull * x) ** 2 * np.sum(tau * omega) / nu**2)
    return np.log([R / math.sqrt(1 - R * R), x, nu, Q])


def attempt(start: Array, P: float, lam: float, modes: Modes, tolerance: float) -> Array | None:
    try:
        found = root(equations, start, args=(P, lam, modes, tolerance), tol=tolerance)
    except (ArithmeticError, ValueError, RuntimeError):
        return None
    return found.x if np.max(np.abs(found.fun)) < 1e3 * tolerance else None


def solve(P: float, lam: float, modes: Modes, tolerance: float = TOLERANCE) -> Plain | None:
    """The saddle point, or None where it was not found."""
    start = hebb(P, modes)
    found, attempts = attempt(start, P, lam, modes, tolerance), 1
    if found is None:
        at, found = min(lam, 0.25) / STRIDE, start
        while at < lam and found is not None:
            at = min(lam, at * STRIDE)
            found, attempts = attempt(found, P, at, modes, tolerance), attempts + 1
    if found is None:
        return None
    return Plain(math.atan(math.exp(-found[0])) / math.pi, attempts)
