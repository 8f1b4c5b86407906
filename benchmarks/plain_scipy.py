"""The equations of the paper, written down as they stand: what an afternoon with scipy gives.

Eq. (13) is stationary in (x, R); the two derivatives are set to zero by
`scipy.optimize.root`, each integral over t is done by `scipy.integrate.quad`,
and each value of the integrand finds its proximal point by `brentq`. No trick
of `replica` is used, and no trap is set either: the tolerances are as tight as
double precision bears, the integrals end where the Gaussians do and are told
of the margin's edge, the start is the exact Hebb solution, and where that is
too far away lam is raised in steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.integrate import quad
from scipy.optimize import brentq, root
from scipy.special import ndtr

#: Relative accuracy asked of each integral, and step at which the root finder stops.
TOLERANCE = 1e-12
#: Where it converges from the exact Hebb solution, quickly: (alpha, lam).
EASY = [(alpha, lam) for alpha in (0.5, 1.0, 5.0, 20.0) for lam in (0.5, 2.0, 4.5)]
#: exp(-t^2/2) is 1e-20 of its peak here.
WIDTH = 9.6
#: Factor by which lam is raised where the Hebb solution is too far away to start from.
STRIDE = 2.0


@dataclass(frozen=True)
class Plain:
    """One solution of the plain code."""

    R: float
    x: float
    generalization_error: float
    attempts: int


def loss(D: float, lam: float) -> float:
    """V(D) = log(1 + exp(-2 lam D)) / lam, without overflow."""
    z = 2 * lam * D
    return (math.log1p(math.exp(-abs(z))) + max(-z, 0.0)) / lam


def slope(D: float, lam: float) -> float:
    """V'(D)."""
    z = 2 * lam * D
    if z > 0:
        e = math.exp(-z)
        return -2 * e / (1 + e)
    return -2 / (1 + math.exp(z))


def proximal(t: float, x: float, lam: float) -> float:
    """D0(t): V(D) + (D - t)^2 / (2 x) is smallest where D - t + x V'(D) = 0."""
    # -2 < V' < 0 brackets it; the upper end is a little wider, against rounding
    return brentq(
        lambda D: D - t + x * slope(D, lam), t, t + 2.001 * x, xtol=1e-15, rtol=8.9e-16, maxiter=500
    )


def integrate(f, low: float, high: float, points: list[float], tolerance: float) -> float:
    inside = [p for p in points if low < p < high]
    return quad(f, low, high, epsabs=0.0, epsrel=tolerance, limit=200, points=inside)[0]


def equations(unknowns, alpha: float, lam: float, tolerance: float) -> tuple[float, float]:
    """x^2 de/dx and x de/dR of eq. (13), which vanish at the saddle point."""
    x, R = unknowns
    if x <= 0 or not 0 < R < 1:
        raise ArithmeticError("the root finder left x > 0, 0 < R < 1")
    s = math.sqrt(1 - R * R)
    c = R / s
    # where margins pile up at large lam, and where H(-ct) bends
    points = [-s, 0.0, s, math.log1p(4 * lam * x) / (2 * lam)]

    def pull(t: float) -> float:
        u = proximal(t, x, lam) - t
        return math.exp(-t * t / 2) * 2 * ndtr(c * t) * u * u

    def torque(t: float) -> float:
        D = proximal(t, x, lam)
        energy = loss(D, lam) + (D - t) ** 2 / (2 * x)
        return math.exp(-t * t / (2 * s * s)) * t * energy

    first = integrate(pull, -WIDTH, WIDTH, points, tolerance) / math.sqrt(2 * math.pi)
    second = integrate(torque, -WIDTH * s, WIDTH * s, points, tolerance) / math.pi
    return 1 - R * R - alpha * first, R + alpha * x * second / s**3


def attempt(
    start: tuple[float, float], alpha: float, lam: float, tolerance: float
) -> tuple[float, float] | None:
    try:
        found = root(equations, start, args=(alpha, lam, tolerance), method="hybr", tol=tolerance)
    except (ArithmeticError, ValueError, RuntimeError):  # left the domain, or brentq gave up
        return None
    # "not making good progress" is what hybr says when rounding stops it: judge by the residual
    return tuple(found.x) if max(abs(found.fun)) < 1e3 * tolerance else None


def solve(alpha: float, lam: float, tolerance: float = TOLERANCE) -> Plain | None:
    """The saddle point, or None where it was not found."""
    R = math.sqrt(2 * alpha / (2 * alpha + math.pi))
    hebb = (math.sqrt((1 - R * R) / alpha), R)
    found, attempts = attempt(hebb, alpha, lam, tolerance), 1
    if found is None:
        at, found = min(lam, 0.25) / STRIDE, hebb
        while at < lam and found is not None:
            at = min(lam, at * STRIDE)
            found, attempts = attempt(found, alpha, at, tolerance), attempts + 1
    if found is None:
        return None
    x, R = found
    return Plain(R, x, math.acos(R) / math.pi, attempts)
