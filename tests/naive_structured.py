"""A slow twin of the structured equations: power-law inputs, sums over modes, scipy only.

The equations are those of docs/theory.md, eqs. (45)-(49), at a finite number P of examples: the
sums are taken mode by mode and, beyond the first ones, by the midpoint rule with its end
correction; the fields are averaged with their Gaussian measure.
"""

import itertools

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit, log_ndtr, zeta

#: Modes that are summed one by one; the midpoint rule after them, corrected by the first
#: difference, leaves 17/5760 of the third, 1e-11 of a term.
FIRST = 600
#: Sums end, in log k, where k^-min(a - 1, 2ar) has fallen by exp(40) from K = exp(100) on, or at
#: the largest double.
LARGEST_K, FALL, LARGEST = 100.0, 40.0, 690.0
NODE, WEIGHT = np.polynomial.legendre.leggauss(20)
#: Residuals of a solved point: logarithms of sums of 10^4 terms.
SOLVED = 1e-11


class Modes:
    """Sums over omega_k = k^-a with p_k = omega_k theta_k^2 = k^(-1-2ar) / zeta(1 + 2ar)."""

    def __init__(self, a, r):
        self.a, self.r = a, r
        # the poles of f lie pi/a from the real axis of log k: panels half as wide leave 1e-20
        end = min(LARGEST, LARGEST_K + FALL / min(a - 1, 2 * a * r))
        edge = np.linspace(np.log(FIRST + 0.5), end, int(np.ceil(end * max(0.5, a / 3))))
        half = 0.5 * np.diff(edge)[:, None]
        log_k = (edge[:-1, None] + half + half * NODE).ravel()
        first = np.arange(1.0, FIRST + 2)
        ones = np.ones_like(first)
        ones[-2:] = 1 - 1 / 24, 1 / 24
        self.log_k = np.concatenate([np.log(first), log_k])
        self.weight = np.concatenate([ones, np.exp(log_k) * (half * WEIGHT).ravel()])
        self.power = self.weight * np.exp(-(1 + 2 * a * r) * self.log_k) / zeta(1 + 2 * a * r)

    def learned(self, log_last):
        """Sum of f, at log K."""
        return self.weight @ expit(-self.a * (self.log_k - log_last))

    def sums(self, log_last):
        """Sums of f^2, p (1-f), p (1-f)^2, k^a f^2 and p k^a f^2; k^a f = K^a (1-f)."""
        z = self.a * (self.log_k - log_last)
        f, rest, scale = expit(-z), expit(z), np.exp(self.a * log_last)
        return (
            self.weight @ f**2,
            self.power @ rest,
            self.power @ rest**2,
            scale * (self.weight @ (f * rest)),
            scale * (self.power @ (f * rest)),
        )

    def last(self, g):
        """log K of a given g = sum f."""
        many = np.log(g) - np.log(np.pi / self.a / np.sin(np.pi / self.a))
        few = (np.log(g) - np.log(zeta(self.a))) / self.a
        low, high = min(many, few) - 4, max(many, few) + 4
        miss = lambda z: np.log(self.learned(z) / g)  # noqa: E731
        return brentq(miss, low, high, xtol=1e-13, rtol=1e-15)


def moments(lam, s, edge):
    """A, sqrt(2/pi) B, G and E_W[t u] of the logistic loss at the norm of the field lam.

    ``edge`` is log(4 lam x); at lam = inf it is kappa/s, of maximum stability.
    """
    c = np.sqrt(1 - s * s) / s
    reach = 9.0
    breaks = sorted({*(j * 3.0 * s for j in range(-3, 4)), *(j * 3.0 for j in range(1, 4))})
    breaks = [t for t in breaks if -reach <= t <= reach]

    def margin(t):  # y = 2 lam D
        z = 2 * lam * t
        value = lambda y: y - np.exp(min(edge - np.logaddexp(0, y), 700.0)) - z  # noqa: E731
        high = max(z, edge, 0) + 5
        while value(high) < 0:
            high += 5
        return brentq(value, z, high, xtol=1e-13, rtol=1e-15)

    if np.isinf(lam):
        kappa = edge * s
        cuts = sorted({*(t for t in breaks if t < kappa), kappa})
    else:
        last = max(edge, 0) + 42.0
        edges = [y for y in map(margin, breaks) if y < last] + [last]
        cuts = [edges[0]]
        for low, high in itertools.pairwise(edges):
            cuts += list(np.linspace(low, high, int(np.ceil((high - low) / 2.5)) + 1)[1:])
    cuts = np.array(cuts)
    half = 0.5 * np.diff(cuts)[:, None]
    v, dv = (cuts[:-1, None] + half + half * NODE).ravel(), (half * WEIGHT).ravel()
    if np.isinf(lam):
        t, u, curved, dt = v, kappa - v, np.ones_like(v), dv
    else:
        q = np.exp(edge - np.logaddexp(0, v))
        bend = q * expit(v)
        t, u = (v - q) / (2 * lam), q / (2 * lam)
        curved, dt = bend / (1 + bend), dv * (1 + bend) / (2 * lam)
    w = np.exp(-0.5 * t * t) / np.sqrt(2 * np.pi) * 2 * np.exp(log_ndtr(c * t)) * dt
    pull = np.sqrt(2 / np.pi) * np.exp(-0.5 * (t / s) ** 2) / (np.sqrt(2 * np.pi) * s) * dt
    return w @ u**2, pull @ u, w @ curved, w @ (t * u)


class Point:
    """eps, lam and what they come from, at P examples and a norm lam' of the field."""

    def __init__(self, modes, P, field_norm, log_s, edge):
        self.field_norm, self.z = field_norm, np.array([log_s, edge])
        s = np.exp(log_s)
        A, B, G, tu = moments(field_norm, s, edge)
        g = P * G
        self.last = modes.last(g)
        S2, T, T2, U1, U2 = modes.sums(self.last)
        R = np.sqrt(1 - s * s)
        h = R / (1 - T)
        self.residuals = np.array(
            [
                np.log((s * s + R * tu / B) / T),
                np.log((P * A * S2 / g**2 + h * h * (T2 - T * T)) / (s * s)),
            ]
        )
        self.error = np.arctan(s / R) / np.pi
        self.variance = 1 / (P * A * U1 / g**2 + h * h * U2)
        self.lam = field_norm / np.sqrt(self.variance)


def solve(modes, P, field_norm, start):
    """The point at P and lam', by Newton with differences and halved steps, from (log s, edge)."""

    def at(z):
        if z[0] >= 0 or not np.all(np.isfinite(z)):
            return None
        return Point(modes, P, field_norm, *z)

    def size(point):
        return np.inf if point is None else np.abs(point.residuals).max()

    z = np.array(start, dtype=float)
    point = at(z)
    for _ in range(60):
        if size(point) < SOLVED:
            return point
        shifts = 1e-6 * np.eye(2)
        jacobian = np.array([(at(z + d).residuals - point.residuals) / 1e-6 for d in shifts]).T
        step = np.linalg.solve(jacobian, -point.residuals)
        step *= min(1.0, 3.0 / abs(step[0]), (3.0 + abs(z[1]) / 2) / abs(step[1]))
        while size(new := at(z + step)) > size(point) and np.abs(step).max() > 1e-12:
            step = step / 2
        if new is None or size(new) >= size(point):
            break
        z, point = z + step, new
    assert size(point) < 100 * SOLVED, (P, field_norm, z, point.residuals)
    return point


def path(modes, P, stop=None, stride=1.0):
    """Points from lam' = 1 on, a factor exp(stride) apart, until ``stop(points)``."""
    z = np.array([-1.0, -3.0])
    for fewer in np.geomspace(100.0, P, max(2, int(np.log10(P) / 2))):
        z = solve(modes, fewer, 1.0, z).z
    points = [solve(modes, P, 1.0, z)]
    while not stop(points):
        start = points[-1].z if len(points) < 2 else 2 * points[-1].z - points[-2].z
        field_norm = points[-1].field_norm * np.exp(stride)
        try:
            points.append(solve(modes, P, field_norm, start))
        except (AssertionError, AttributeError, ValueError, np.linalg.LinAlgError):
            points.append(solve(modes, P, field_norm, points[-1].z))
    return points


def rises(points):
    """Whether the last two steps raised the error."""
    return len(points) > 2 and points[-1].error > points[-2].error > points[-3].error


def optimum(modes, P):
    """The point of least error."""
    *_, before, best, after = path(modes, P, rises)[:-1]
    bracket = tuple(np.log([p.field_norm for p in (before, best, after)]))
    value = lambda x: solve(modes, P, np.exp(x), best.z).error  # noqa: E731
    found = minimize_scalar(value, bracket=bracket, tol=1e-6)
    return solve(modes, P, np.exp(found.x), best.z)


def end(modes, P, scaled_error):
    """Maximum stability, from a guess of s."""
    return solve(modes, P, np.inf, (np.log(scaled_error), 1.0))
