r"""The field t: what the margin of an example would be, had the example not been learned.

Two families: a mixture of skew-normal numbers for a teacher's labels, with density phi(t) W(t)
(docs/theory.md, eqs. 8-9), and a mixture of normal numbers for two clouds. Here t has shape (n,).
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import elementwise
from scipy.special import erf, erfc, erfcx, ndtr, ndtri, owens_t

__all__ = ["Clouds", "Fields", "SkewNormal"]

Array = NDArray[np.float64]

#: Standard deviations of t sqrt(1 + c^2) from which on the left tail is integrated; a choice.
FAR = 4.0


@dataclass(frozen=True)
class Fields(abc.ABC):
    """The distributions of n fields."""

    def __getitem__(self, which: Any) -> Self:
        """The distributions of some of them."""
        return type(self)(*(getattr(self, part.name)[which] for part in fields(self)))

    @abc.abstractmethod
    def pdf(self, t: Array) -> Array:
        """The density at t."""

    @abc.abstractmethod
    def cdf(self, t: Array) -> Array:
        """P(field <= t)."""

    @abc.abstractmethod
    def bracket(self, p: Array) -> tuple[Array, Array]:
        """Fields between which the quantile lies."""

    @abc.abstractmethod
    def sample(self, rng: np.random.Generator) -> Array:
        """One field for each of the n rows."""

    def quantile(self, p: Array) -> Array:
        """The t with P(field <= t) = p; -inf at 0, inf at 1."""
        result = np.where(p <= 0, -np.inf, np.inf)
        inside = np.flatnonzero((p > 0) & (p < 1))
        if len(inside) == 0:
            return result
        part, target = self[inside], p[inside]
        low, high = part.bracket(target)

        def excess(t: Any, index: Any) -> Any:
            j = index.astype(int)
            return part[j].cdf(t) - target[j]

        index = np.arange(len(inside), dtype=float)
        found = elementwise.find_root(
            excess, (low, high), args=(index,), tolerances={"xatol": 1e-15, "xrtol": 1e-15}
        )
        # weights that sum to 1 only to rounding do not reach the last p below 1
        t = np.where(excess(high, index) <= 0, high, np.asarray(found.x))
        result[inside] = t
        return result


@dataclass(frozen=True)
class SkewNormal(Fields):
    """w_k and c_k, each (n, K), and the share (n,) of random labels."""

    weight: Array
    slope: Array
    random: Array

    def pdf(self, t: Array) -> Array:
        """phi(t) W(t)."""
        with np.errstate(over="ignore"):  # of c t and t^2, where the density is zero or W is 2
            signal = self.weight * erfc(-self.slope * t[:, None] / np.sqrt(2))
            label = self.random + np.sum(signal, axis=1)
            return np.asarray(np.exp(-0.5 * t * t) / np.sqrt(2 * np.pi) * label)

    def cdf(self, t: Array) -> Array:
        """Phi(t) - 2 sum_k w_k T(t, c_k), eq. (10), T being Owen's function.

        For c > 1 Owen's identity for T(t, c) + T(c t, 1/c) turns the difference into
        Phi(c t) erf(t/sqrt 2) + 2 T(c t, 1/c), which keeps its relative accuracy
        where the fields of the wrong sign number 1/c. Far to the left both cancel, and the
        integral itself is done.
        """
        h, c = np.broadcast_arrays(t[:, None], self.slope)
        steep = c > 1
        gentle = ndtr(h) - 2 * owens_t(h, np.where(steep, 0.0, c))
        with np.errstate(over="ignore", invalid="ignore"):  # inf * 0 is not used
            ch = np.where(steep, c * h, 0.0)
            far = (h * np.hypot(1.0, c) < -FAR) & (self.weight > 0)
        sharp = ndtr(ch) * erf(h / np.sqrt(2)) + 2 * owens_t(ch, 1 / np.where(steep, c, 1.0))
        share = np.where(steep, sharp, gentle)
        share[far] = _left_tail(-h[far], c[far])
        signal = np.sum(self.weight * share, axis=1)
        return np.clip(self.random * ndtr(t) + signal, 0.0, 1.0)

    def bracket(self, p: Array) -> tuple[Array, Array]:
        """F(t) <= 2 Phi(t) and 1 - F(t) <= 2 (1 - Phi(t)), as W <= 2."""
        return ndtri(p / 2) - 1e-3, -ndtri((1 - p) / 2) + 1e-3

    def sample(self, rng: np.random.Generator) -> Array:
        """(c |z1| + z2) / sqrt(1 + c^2), c drawn by weight."""
        weight, slope = self.weight, self.slope
        n, kinds = weight.shape
        pick = np.sum(rng.random((n, 1)) > np.cumsum(weight, axis=1), axis=1)
        here = np.minimum(pick, kinds - 1)[:, None]
        c = np.where(pick < kinds, np.take_along_axis(slope, here, 1)[:, 0], 0.0)
        z1, z2 = rng.standard_normal((2, n))
        return (c * np.abs(z1) + z2) / np.sqrt(1 + c * c)


@dataclass(frozen=True)
class Clouds(Fields):
    """Normal fields of unit variance about (n, K) centres, with weights (n, K) of sum 1."""

    weight: Array
    centre: Array

    def pdf(self, t: Array) -> Array:
        away = t[:, None] - self.centre
        density = self.weight * np.exp(-0.5 * away**2) / np.sqrt(2 * np.pi)
        return np.sum(density, axis=1)

    def cdf(self, t: Array) -> Array:
        return np.clip(np.sum(self.weight * ndtr(t[:, None] - self.centre), axis=1), 0.0, 1.0)

    def bracket(self, p: Array) -> tuple[Array, Array]:
        """Between the quantiles of the lowest and of the highest cloud."""
        z = ndtri(p)
        return self.centre.min(axis=1) + z - 1e-3, self.centre.max(axis=1) + z + 1e-3

    def sample(self, rng: np.random.Generator) -> Array:
        n, kinds = self.weight.shape
        pick = np.sum(rng.random((n, 1)) > np.cumsum(self.weight, axis=1), axis=1)
        here = np.minimum(pick, kinds - 1)[:, None]
        return np.take_along_axis(self.centre, here, 1)[:, 0] + rng.standard_normal(n)


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
