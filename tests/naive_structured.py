"""A slow twin of the structured equations: power-law inputs, sums over modes, scipy only.

The equations are those of docs/theory.md, solved in the learned fractions
f = 1/(1 + (k/K)^a), K the last learned mode, with the sums taken mode by mode and,
beyond the first ones, by the midpoint rule with its end correction.
"""

import itertools

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, zeta

#: Modes that are summed one by one; the midpoint rule after them, corrected by the first
#: difference, leaves 17/5760 of the third, 1e-11 of a term.
FIRST = 600
#: Where sums end: exp(700) is the last power that a double holds.
END = 690.0
NODE, WEIGHT = np.polynomial.legendre.leggauss(20)


class Modes:
    """Sums over omega_k = k^-a with omega_k theta_k^2 = k^(-1-2ar) / zeta(1 + 2ar)."""

    def __init__(self, a, r):
        self.a, self.r = a, r
        # the poles of f lie pi/a from the real axis of log k
        edge = np.linspace(np.log(FIRST + 0.5), END, int(np.ceil(END * max(1.0, a / 2))))
        half = 0.5 * np.diff(edge)[:, None]
        log_k = (edge[:-1, None] + half + half * NODE).ravel()
        first = np.arange(1.0, FIRST + 2)
        ones = np.ones_like(first)
        ones[-2:] = 1 - 1 / 24, 1 / 24
        self.log_k = np.concatenate([np.log(first), log_k])
        self.log_weight = np.concatenate([np.log(ones), log_k + np.log((half * WEIGHT).ravel())])
        self.power = self.log_weight - (1 + 2 * a * r) * self.log_k - np.log(zeta(1 + 2 * a * r))

    def sums(self, log_last):
        """g = sum f, sum f^2, T = sum p (1-f), sum p (1-f)^2, sum f^2/omega, sum p f^2/omega."""
        z = self.a * (self.log_k - log_last)
        log_f, log_e = -np.logaddexp(0, z), -np.logaddexp(0, -z)
        rise = self.a * self.log_k

        def total(*logs):
            return np.exp(sum(logs)).sum()

        return (
            total(self.log_weight, log_f),
            total(self.log_weight, 2 * log_f),
            total(self.power, log_e),
            total(self.power, 2 * log_e),
            total(self.log_weight, 2 * log_f, rise),
            total(self.power, 2 * log_f, rise),
        )

    def last(self, g):
        """log K of a given g, from sum f alone."""

        def miss(z):
            return np.logaddexp.reduce(self.log_weight - np.logaddexp(0, z_of(z))) - np.log(g)

        def z_of(z):
            return self.a * (self.log_k - z)

        many = np.log(g) - np.log(np.pi / self.a / np.sin(np.pi / self.a))
        few = (np.log(g) - np.log(zeta(self.a))) / self.a
        low, high = min(many, few) - 4, max(many, few) + 4
        return brentq(miss, low, high, xtol=1e-13, rtol=1e-15)


def moments(lam, s, edge):
    """A, sqrt(2/pi) B, G and E_W[t u] of the logistic loss at the norm of the field lam.

    ``edge`` is log(4 lam x); at lam = inf it is kappa/s, of maximum stability.
    """
    c = np.sqrt(1 - s * s) / s
    reach = 9.0
    kappa = edge * s if np.isinf(lam) else np.nan
    breaks = sorted({*(j * 3.0 * s for j in range(-3, 4)), *(j * 3.0 for j in range(1, 4))})
    breaks = [t for t in breaks if -reach <= t <= reach]

    def margin(t):  # y = 2 lam D
        z = 2 * lam * t
        value = lambda y: y - np.exp(edge - np.logaddexp(0, y)) - z  # noqa: E731
        high = max(z, edge, 0) + 5
        while value(high) < 0:
            high += 5
        return brentq(value, z, high, xtol=1e-13, rtol=1e-15)

    if np.isinf(lam):
        edges = sorted({*(t for t in breaks if t < kappa), kappa})
        cuts = edges
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
        slope = 0.5 * (1 + np.tanh(v / 2)) * q
        t, u = (v - q) / (2 * lam), q / (2 * lam)
        curved, dt = slope / (1 + slope), dv * (1 + slope) / (2 * lam)
    gauss = np.exp(-0.5 * t * t) / np.sqrt(2 * np.pi)
    w = gauss * 2 * np.exp(log_ndtr(c * t)) * dt
    pull = np.sqrt(2 / np.pi) * np.exp(-0.5 * (t / s) ** 2) / (np.sqrt(2 * np.pi) * s) * dt
    return w @ u**2, pull @ u, w @ curved, w @ (t * u)


class Point:
    """eps, lam and what they come from, at P examples and a norm lam' of the field."""

    def __init__(self, modes, P, field_norm, log_s, edge):
        self.modes, self.P, self.field_norm = modes, P, field_norm
        self.z = np.array([log_s, edge])
        s = np.exp(log_s)
        A, B, G, tu = moments(field_norm, s, edge)
        g = P * G
        self.last = modes.last(g)
        _, S2, T, T2, U1, U2 = modes.sums(self.last)
        R = np.sqrt(1 - s * s)
        h = R / (1 - T)
        # R = h (1 - T) with g = R K - P E[t u] put in, so that 1 - R is never formed
        self.residuals = np.array(
            [
                np.log((s * s + R * tu / B) / T),
                np.log((P * A * S2 / g**2 + h * h * (T2 - T * T)) / (s * s)),
            ]
        )
        self.error = np.arctan(s / R) / np.pi
        self.variance = 1 / (P * A * U1 / g**2 + h * h * U2)
        self.lam = field_norm / np.sqrt(self.variance)
        self.share = self.modes.a * self.last / 2


def solve(modes, P, field_norm, start):
    """The point at P and lam', by Newton with differences and halved steps, from (log s, edge)."""

    def at(z):
        if z[0] >= 0 or not np.all(np.isfinite(z)) or abs(z[1]) > 600:
            return None  # no such error, or out of the range of doubles
        return Point(modes, P, field_norm, *z)

    def size(point):
        return np.inf if point is None else np.abs(point.residuals).max()

    z = np.array(start, dtype=float)
    point = at(z)
    for _ in range(60):
        if size(point) < 1e-11:
            return point
        shifts = 1e-6 * np.eye(2)
        jacobian = np.array([(at(z + d).residuals - point.residuals) / 1e-6 for d in shifts]).T
        step = np.linalg.solve(jacobian, -point.residuals)
        step *= min(1.0, 3.0 / np.abs(step).max())
        while size(new := at(z + step)) > size(point) and np.abs(step).max() > 1e-12:
            step = step / 2
        if new is None or size(new) >= size(point):
            break
        z, point = z + step, new
    assert size(point) < 1e-9, (P, field_norm, z, point.residuals)
    return point
