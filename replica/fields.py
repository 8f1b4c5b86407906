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
from scipy.special import erfc, ndtr, ndtri, owens_t

__all__ = ["cdf", "pdf", "quantile", "sample"]

Array = NDArray[np.float64]


def pdf(t: Array, weight: Array, slope: Array) -> Array:
    """phi(t) W(t)."""
    label = 1 - weight.sum(axis=1) + np.sum(weight * erfc(-slope * t[:, None] / np.sqrt(2)), axis=1)
    return np.exp(-0.5 * t * t) / np.sqrt(2 * np.pi) * label


def cdf(t: Array, weight: Array, slope: Array) -> Array:
    """P(field <= t), to an absolute accuracy of 1e-15: Phi(t) - 2 sum_k w_k T(t, c_k).

    T is Owen's function (A. Azzalini, Scand. J. Statist. 12 (1985) 171).
    """
    below = ndtr(t) - 2 * np.sum(weight * owens_t(t[:, None], slope), axis=1)
    return np.clip(below, 0.0, 1.0)


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
