r"""The field t: what the margin of an example would be, had the example not been learned.

Its density phi(t) W(t) is that of a mixture of skew-normal numbers
(docs/theory.md, eqs. 8-9): W(t) = offset + sum_k w_k 2 H(-c_k t), with
offset = 1 - sum_k w_k. Here ``weight`` and ``slope`` (w_k and c_k) have shape
(n, K), and t has shape (n,).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import elementwise
from scipy.special import erf, erfc, ndtr, ndtri, owens_t

__all__ = ["cdf", "pdf", "quantile", "sample"]

Array = NDArray[np.float64]


def pdf(t: Array, weight: Array, slope: Array) -> Array:
    """phi(t) W(t)."""
    label = 1 - weight.sum(axis=1) + np.sum(weight * erfc(-slope * t[:, None] / np.sqrt(2)), axis=1)
    return np.exp(-0.5 * t * t) / np.sqrt(2 * np.pi) * label


def cdf(t: Array, weight: Array, slope: Array) -> Array:
    """P(field <= t) = Phi(t) - 2 sum_k w_k T(t, c_k), eq. (10), T being Owen's function.

    For c > 1 Owen's identity for T(t, c) + T(c t, 1/c) turns the difference into
    Phi(c t) erf(t/sqrt 2) + 2 T(c t, 1/c), which keeps its relative accuracy
    where the fields of the wrong sign number 1/c.
    """
    h, c = np.broadcast_arrays(t[:, None], slope)
    steep = c > 1
    gentle = ndtr(h) - 2 * owens_t(h, np.where(steep, 0.0, c))
    with np.errstate(over="ignore", invalid="ignore"):  # inf * 0 is not used
        ch = np.where(steep, c * h, 0.0)
    sharp = ndtr(ch) * erf(h / np.sqrt(2)) + 2 * owens_t(ch, 1 / np.where(steep, c, 1.0))
    random = (1 - weight.sum(axis=1)) * ndtr(t)
    return np.clip(random + np.sum(weight * np.where(steep, sharp, gentle), axis=1), 0.0, 1.0)


def quantile(p: Array, weight: Array, slope: Array) -> Array:
    """The t with P(field <= t) = p; -inf at 0, inf at 1."""
    result = np.where(p <= 0, -np.inf, np.inf)
    inside = np.flatnonzero((p > 0) & (p < 1))
    if len(inside) == 0:
        return result
    w, c, target = weight[inside], slope[inside], p[inside]
    # F(t) <= 2 Phi(t) and 1 - F(t) <= 2 (1 - Phi(t)), as W <= 2
    low = ndtri(target / 2) - 1e-3
    high = -ndtri((1 - target) / 2) + 1e-3

    def excess(t: Any, index: Any) -> Any:
        j = index.astype(int)
        return cdf(t, w[j], c[j]) - target[j]

    index = np.arange(len(inside), dtype=float)
    found = elementwise.find_root(
        excess, (low, high), args=(index,), tolerances={"xatol": 1e-15, "xrtol": 1e-15}
    )
    result[inside] = np.asarray(found.x)
    return result


def sample(rng: np.random.Generator, weight: Array, slope: Array) -> Array:
    """One field for each of the n rows: (c |z1| + z2) / sqrt(1 + c^2), c drawn by weight."""
    n, kinds = weight.shape
    pick = np.sum(rng.random((n, 1)) > np.cumsum(weight, axis=1), axis=1)
    c = np.where(
        pick < kinds, np.take_along_axis(slope, np.minimum(pick, kinds - 1)[:, None], 1)[:, 0], 0.0
    )
    z1, z2 = rng.standard_normal((2, n))
    return (c * np.abs(z1) + z2) / np.sqrt(1 + c * c)
