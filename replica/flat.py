r"""The three integrals of the scaling limit, where the measure of the fields is flat.

Near the optimum the fields live on the scale s = pi eps -> 0: t = s z, u = s v, lam' = ell/s, and
the Gaussian measure of t is the constant 1/sqrt(2 pi). With v the push of the logistic loss at ell,

    A = (1/sqrt 2pi) int dz 2H(-z) v^2,    G = sqrt(2/pi) int Dz v,
    E = 1 + (1/G)(1/sqrt 2pi) int dz 2H(-z) z v                                 [eq. (67)]

In y = 2 ell D and with the edge L = log(4 ell xi), 2 ell v = q = exp(L - softplus(y)) and
2 ell z = y - q, as in eq. (17): at fixed L one shape q, which ell only stretches. `soft` gives
the integrals and their derivatives, `hard` those of maximum stability, v = (kappa - z)+, in
closed form, and `softened` how they change to first order in 1/(2 ell). The code calls z ``tau``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

__all__ = ["Flat", "hard", "soft", "softened"]

Array = NDArray[np.float64]

#: Half-window of a Gaussian factor: exp(-8.7^2/2) = 4e-17.
REACH = 8.7
#: Panels of a Gaussian on that window: 20 nodes on a half-width of 1.45 leave 1e-17.
GAUSS_PANELS = 6
#: Right of the edge q falls like exp(-eta): exp(-40) = 4e-18.
ETA_REACH = 40.0
#: Widest panel in eta: the poles of the logistic lie pi from the real axis, and 20 nodes on a
#: half-width of 1.5 leave (2.1 + sqrt(1 + 2.1^2))^-40 = 1e-26.
ETA_WIDTH = 3.0
#: Points that share their panels; a choice (arrays of 1 MB).
BLOCK = 32
#: Iterations of `_offset`, which converges quadratically from above; six are typical.
OFFSET_STEPS = 60


@dataclass(frozen=True)
class Flat:
    """A, G and E = 1 + e/G with derivatives with respect to two coordinates, each an array (n,).

    The coordinates of `soft` are log ell at fixed L (``_ell``) and L at fixed ell (``_edge``).
    """

    A: Array
    G: Array
    E: Array
    A_ell: Array
    G_ell: Array
    E_ell: Array
    A_edge: Array
    G_edge: Array
    E_edge: Array


@cache
def _rule(order: int) -> tuple[Array, Array]:
    node, weight = np.polynomial.legendre.leggauss(order)
    return node, weight


def _offset(edge: Array, at: Array) -> Array:
    """Solve y - q(y) = at for eta = y - max(edge, 0), by Newton in w = log q, convex in w."""
    w = edge - np.logaddexp(0.0, at)
    # w and, as softplus(y) >= y, log(edge - at) bound the root from above
    w = np.where(w > 0, np.minimum(w, np.log(np.maximum(edge - at, 1.0))), w)
    for _ in range(OFFSET_STEPS):
        y = at + np.exp(w)
        step = (w + np.logaddexp(0.0, y) - edge) / (1.0 + np.exp(w) * expit(y))
        w = w - step
        if np.all(np.abs(step) <= 1e-14 * np.maximum(1.0, np.abs(w))):
            break
    y = at + np.exp(w)
    # for y > 0 > -edge: eta = y - L = -w - log(1 + exp(-y)), where y itself has lost digits
    beyond = np.where(y > 0, -w - np.log1p(np.exp(-np.abs(y))), y - edge)
    return np.where(edge > 0, beyond, y)


def soft(log_ell: Array, edge: Array, order: int = 20) -> Flat:
    """The integrals at (n,) arrays of log ell and L, by Gauss-Legendre panels."""
    n = len(edge)
    out = np.empty((9, n))
    # neighbours in L have panels of like widths
    ranked = np.argsort(edge, kind="stable")
    for part in np.array_split(ranked, max(1, math.ceil(n / BLOCK))):
        if len(part):
            out[:, part] = _soft(log_ell[part], edge[part], order)
    return Flat(*out)


def _panels(rate: Array, edge: Array) -> Array:
    """Edges in eta, (n, m): the Gaussian's panels in tau, each cut to the width of the logistic."""
    tau = np.linspace(-REACH, REACH, GAUSS_PANELS + 1)
    ends = np.minimum(_offset(edge[:, None], rate[:, None] * tau), ETA_REACH)
    ends = np.concatenate([ends, np.full((len(edge), 1), ETA_REACH)], axis=1)
    parts = [ends[:, :1]]
    for left, right in zip(ends.T[:-1], ends.T[1:], strict=True):
        count = max(1, math.ceil(float((right - left).max()) / ETA_WIDTH))
        parts.append(left[:, None] + (right - left)[:, None] * np.arange(1, count + 1) / count)
    return np.concatenate(parts, axis=1)


def _soft(log_ell: Array, edge: Array, order: int) -> Array:
    """The nine rows of `Flat` for points that share the number of panels."""
    node, weight = _rule(order)
    rate = 2.0 * np.exp(log_ell)
    edges = _panels(rate, edge)
    half = 0.5 * np.diff(edges, axis=1)[:, :, None]
    eta = edges[:, :-1, None] + half * (1.0 + node)
    L = edge[:, None, None]
    y = np.maximum(L, 0.0) + eta
    # measured from the edge where there is one: L - y is then exact
    q = np.exp(np.where(L > 0, -eta - np.logaddexp(0.0, -y), L - np.logaddexp(0.0, y)))
    bend = 1.0 + q * expit(y)  # dY/dy
    v, tau = q / rate[:, None, None], (y - q) / rate[:, None, None]
    dv = v / bend  # with respect to L
    dtau = half * weight * bend / rate[:, None, None]
    bell = dtau * np.exp(-0.5 * tau * tau) / math.sqrt(2 * math.pi)
    label = dtau * 2.0 * ndtr(tau) / math.sqrt(2 * math.pi)

    def total(values: Array) -> Array:
        return np.sum(values, axis=(1, 2))

    tilt = math.sqrt(2 / math.pi) * bell * tau  # d label / d log tau
    A, A_edge = total(label * v * v), total(label * 2 * v * dv)
    G, G_edge = math.sqrt(2 / math.pi) * total(bell * v), math.sqrt(2 / math.pi) * total(bell * dv)
    e, e_edge = total(label * tau * v), total(label * tau * dv)
    A_ell = -3 * A - total(tilt * v * v)
    G_ell = -2 * G + total(tilt * tau * v)
    e_ell = -3 * e - total(tilt * tau * v)
    ratio = e / G
    return np.stack(
        [
            A,
            G,
            1.0 + ratio,
            A_ell,
            G_ell,
            (e_ell - ratio * G_ell) / G,
            A_edge,
            G_edge,
            (e_edge - ratio * G_edge) / G,
        ]
    )


def hard(kappa: Array) -> Flat:
    r"""The integrals of maximum stability, v = (kappa - z)+; ``_edge`` is d/d kappa.

    With E_n the mean of (kappa - z)+^n over a normal number z: G = sqrt(2/pi) E_1,
    A = sqrt(2/pi) E_3/3 and e = sqrt(2/pi) (kappa E_2/2 - E_3/3), by parts.
    """
    cdf, bell = ndtr(kappa), np.exp(-0.5 * kappa * kappa) / math.sqrt(2 * math.pi)
    first = kappa * cdf + bell
    second = (kappa * kappa + 1) * cdf + kappa * bell
    third = kappa * (kappa * kappa + 3) * cdf + (kappa * kappa + 2) * bell
    root = math.sqrt(2 / math.pi)
    ratio = (kappa * second / 2 - third / 3) / first
    slope = (kappa * first - second / 2 - ratio * cdf) / first
    zero = np.zeros_like(kappa)
    return Flat(
        root * third / 3,
        root * first,
        1 + ratio,
        zero,
        zero,
        zero,
        root * second,
        root * cdf,
        slope,
    )


def softened(kappa: Array) -> tuple[Array, Array, Array]:
    r"""dA, dG and dE per 1/(2 ell) at fixed kappa, where ell -> inf and xi is large.

    There log q + q = L - Y, so that v = kappa - tau - log(kappa - tau)/(2 ell) up to the second
    order, log(2 ell)/(2 ell) taken into kappa (eq. 77). For kappa > 0, as it is on every curve.
    """
    node, weight = _rule(20)
    # w = kappa - tau: in log w from exp(-40) on, where w log w is 2e-16, up to the window of the
    # Gaussian, and there in panels of w that it and log w, with its branch at 0, allow
    start = np.maximum(kappa - REACH, 0.5)[:, None]
    low = np.exp(np.log(start) - (np.log(start) + ETA_REACH) * np.linspace(1, 0, 96))
    high = start + (kappa[:, None] + REACH - start) * np.linspace(0, 1, 17)[1:]
    edges = np.log(np.concatenate([low, high], axis=1))
    half = 0.5 * np.diff(edges, axis=1)[:, :, None]
    log_w = edges[:, :-1, None] + half * (1 + node)
    w = np.exp(log_w)
    tau = kappa[:, None, None] - w
    drop = -half * weight * w * log_w
    root = math.sqrt(2 / math.pi)
    bell = np.exp(-0.5 * tau * tau) / math.sqrt(2 * math.pi)
    A = 2 * root * np.sum(drop * ndtr(tau) * w, axis=(1, 2))
    G = root * np.sum(drop * bell, axis=(1, 2))
    e = root * np.sum(drop * ndtr(tau) * tau, axis=(1, 2))
    at = hard(kappa)
    return A, G, (e - (at.E - 1) * G) / at.G
