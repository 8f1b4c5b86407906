r"""The field t: what the margin of an example would be, had the example not been learned.

Its density phi(t) W(t) is that of a mixture of skew-normal numbers
(docs/theory.md, eqs. 8-9): W(t) = random + sum_k w_k 2 H(-c_k t), with
random = 1 - sum_k w_k. Here t has shape (n,).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import elementwise
from scipy.special import erf, erfc, erfcx, ndtr, ndtri, owens_t

__all__ = ["Mixture", "cdf", "pdf", "quantile", "sample"]

Array = NDArray[np.float64]

#: Standard deviations of t sqrt(1 + c^2) from which on the left tail is integrated; a choice.
FAR = 4.0


@dataclass(frozen=True)
class Mixture:
    """w_k and c_k, each (n, K), and the share (n,) of random labels."""

    weight: Array
    slope: Array
    random: Array

    def __getitem__(self, which: Any) -> Mixture:
        """The mixtures of some of the fields."""
        return Mixture(*(part[which] for part in astuple(self)))


def pdf(t: Array, mixture: Mixture) -> Array:
    """phi(t) W(t)."""
    with np.errstate(over="ignore"):  # of c t and t^2, where the density is zero or W is 2
        signal = mixture.weight * erfc(-mixture.slope * t[:, None] / np.sqrt(2))
        label = mixture.random + np.sum(signal, axis=1)
        return np.asarray(np.exp(-0.5 * t * t) / np.sqrt(2 * np.pi) * label)


def cdf(t: Array, mixture: Mixture) -> Array:
    """P(field <= t) = Phi(t) - 2 sum_k w_k T(t, c_k), eq. (10), T being Owen's function.

    For c > 1 Owen's identity for T(t, c) + T(c t, 1/c) turns the difference into
    Phi(c t) erf(t/sqrt 2) + 2 T(c t, 1/c), which keeps its relative accuracy
    where the fields of the wrong sign number 1/c. Far to the left both cancel, and the
    integral itself is done.
    """
    h, c = np.broadcast_arrays(t[:, None], mixture.slope)
    steep = c > 1
    gentle = ndtr(h) - 2 * owens_t(h, np.where(steep, 0.0, c))
    with np.errstate(over="ignore", invalid="ignore"):  # inf * 0 is not used
        ch = np.where(steep, c * h, 0.0)
        far = (h * np.hypot(1.0, c) < -FAR) & (mixture.weight > 0)
    sharp = ndtr(ch) * erf(h / np.sqrt(2)) + 2 * owens_t(ch, 1 / np.where(steep, c, 1.0))
    share = np.where(steep, sharp, gentle)
    share[far] = _left_tail(-h[far], c[far])
    signal = np.sum(mixture.weight * share, axis=1)
    return np.clip(mixture.random * ndtr(t) + signal, 0.0, 1.0)


def _left_tail(h: Array, c: Array) -> Array:
    """int_h^inf ds phi(s) erfc(c s/sqrt 2), h > 0.

    With s = h + y/(h k), k = 1 + c^2, the integrand is exp(-y) times what varies slowly:
    24 Gauss-Laguerre nodes leave 5e-15 of it at h sqrt(k) = `FAR`, and less beyond.
    """
    y, weight = np.polynomial.laguerre.laggauss(24)
    width = h * np.hypot(1.0, c)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # h = inf: zero
        step = y / (np.hypot(1.0, c) * width)[:, None]
        slow = np.exp(-0.5 * (y / width[:, None]) ** 2)
        slow *= erfcx(c[:, None] * (h[:, None] + step) / np.sqrt(2))
        front = np.exp(-0.5 * width**2) / (np.sqrt(2 * np.pi) * np.hypot(1.0, c) * width)
        tail = front * np.sum(slow * weight, axis=1)  # BLAS adds in an order of its own
    return np.where(front > 0, tail, 0.0)


def quantile(p: Array, mixture: Mixture) -> Array:
    """The t with P(field <= t) = p; -inf at 0, inf at 1."""
    result = np.where(p <= 0, -np.inf, np.inf)
    inside = np.flatnonzero((p > 0) & (p < 1))
    if len(inside) == 0:
        return result
    part, target = mixture[inside], p[inside]
    # F(t) <= 2 Phi(t) and 1 - F(t) <= 2 (1 - Phi(t)), as W <= 2
    low = ndtri(target / 2) - 1e-3
    high = -ndtri((1 - target) / 2) + 1e-3

    def excess(t: Any, index: Any) -> Any:
        j = index.astype(int)
        return cdf(t, part[j]) - target[j]

    index = np.arange(len(inside), dtype=float)
    found = elementwise.find_root(
        excess, (low, high), args=(index,), tolerances={"xatol": 1e-15, "xrtol": 1e-15}
    )
    # weights that sum to 1 only to rounding do not reach the last p below 1
    t = np.where(excess(high, index) <= 0, high, np.asarray(found.x))
    result[inside] = t
    return result


def sample(rng: np.random.Generator, mixture: Mixture) -> Array:
    """One field for each of the n rows: (c |z1| + z2) / sqrt(1 + c^2), c drawn by weight."""
    weight, slope = mixture.weight, mixture.slope
    n, kinds = weight.shape
    pick = np.sum(rng.random((n, 1)) > np.cumsum(weight, axis=1), axis=1)
    c = np.where(
        pick < kinds, np.take_along_axis(slope, np.minimum(pick, kinds - 1)[:, None], 1)[:, 0], 0.0
    )
    z1, z2 = rng.standard_normal((2, n))
    return (c * np.abs(z1) + z2) / np.sqrt(1 + c * c)
