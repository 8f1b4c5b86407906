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
from scipy.special import erf, erfc, ndtr, ndtri, owens_t

__all__ = ["Mixture", "cdf", "pdf", "quantile", "sample"]

Array = NDArray[np.float64]


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
    signal = mixture.weight * erfc(-mixture.slope * t[:, None] / np.sqrt(2))
    label = mixture.random + np.sum(signal, axis=1)
    return np.exp(-0.5 * t * t) / np.sqrt(2 * np.pi) * label


def cdf(t: Array, mixture: Mixture) -> Array:
    """P(field <= t) = Phi(t) - 2 sum_k w_k T(t, c_k), eq. (10), T being Owen's function.

    For c > 1 Owen's identity for T(t, c) + T(c t, 1/c) turns the difference into
    Phi(c t) erf(t/sqrt 2) + 2 T(c t, 1/c), which keeps its relative accuracy
    where the fields of the wrong sign number 1/c.
    """
    h, c = np.broadcast_arrays(t[:, None], mixture.slope)
    steep = c > 1
    gentle = ndtr(h) - 2 * owens_t(h, np.where(steep, 0.0, c))
    with np.errstate(over="ignore", invalid="ignore"):  # inf * 0 is not used
        ch = np.where(steep, c * h, 0.0)
    sharp = ndtr(ch) * erf(h / np.sqrt(2)) + 2 * owens_t(ch, 1 / np.where(steep, c, 1.0))
    signal = np.sum(mixture.weight * np.where(steep, sharp, gentle), axis=1)
    return np.clip(mixture.random * ndtr(t) + signal, 0.0, 1.0)


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
    result[inside] = np.asarray(found.x)
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
