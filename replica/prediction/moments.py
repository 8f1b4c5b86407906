"""Means and covariance within the classes of a table, with its eigenvalues."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replica.prediction.spectral import SpectralFunctions

__all__ = ["Moments", "Sums"]

Array = NDArray[np.float64]

#: Eigenvalues below this share of the largest are rounding of a sum of squares.
NOTHING = 1e-12


@dataclass(frozen=True, eq=False)
class Moments:
    """What a sample says.

    Attributes
    ----------
    count : int
        Rows P0.
    positive : float
        Share of the positive class.
    middle, mean : (N,) arrays
        Half the sum, and half the difference, of the means of the classes.
    eigenvalues : (M,) array
        Of the pooled covariance with P0 - 2 degrees of freedom; zeros left out.
    directions : (N, M) array
        Its eigenvectors.
    """

    count: int
    positive: float
    middle: Array
    mean: Array
    eigenvalues: Array
    directions: Array

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the covariance."""
        return self.count - 2.0

    @property
    def effective(self) -> float:
        """4 n+ n- / P0: the noise of ``mean`` has the covariance S over this."""
        return 4 * self.count * self.positive * (1 - self.positive)

    @property
    def components(self) -> Array:
        """Of the mean along the directions."""
        return np.asarray(self.mean @ self.directions)

    def functions(self, *, exact: bool = False) -> SpectralFunctions:
        """The spectral functions; ``exact`` takes the covariance for that of the population."""
        squares = self.components**2
        outside = max(float(self.mean @ self.mean) - float(squares.sum()), 0.0)
        freedom = np.inf if exact else self.freedom
        return SpectralFunctions(self.eigenvalues, squares, outside, freedom, self.effective)

    @classmethod
    def of(cls, features: Array, signs: Array) -> Moments:
        """Of rows and their classes; by the Gram matrix where rows are fewer than columns."""
        count, columns = features.shape
        if count > columns:
            return Sums.of(features, signs).moments()
        up = signs > 0
        plus, minus = features[up].mean(axis=0), features[~up].mean(axis=0)
        centred = features - np.where(up[:, None], plus, minus)
        gram = centred @ centred.T / (count - 2)
        values, vectors = np.linalg.eigh(gram)
        kept = values > NOTHING * values[-1]
        kept[:2] = False  # the two means are gone: so many are zero but for rounding
        lengths = np.sqrt(values[kept] * (count - 2))
        directions = centred.T @ vectors[:, kept] / lengths
        return cls(
            count,
            float(np.mean(up)),
            (plus + minus) / 2,
            (plus - minus) / 2,
            values[kept],
            directions,
        )


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over rows, which add: those of all rows but a fold are a difference.

    Attributes
    ----------
    sizes : (2,) array
        Rows of the negative and of the positive class.
    totals : (2, N) array
        Their sums.
    scatter : (N, N) array
        Sum of products over all rows.
    origin : (N,) array
        Subtracted from every row first, lest squares of a large mean eat the digits.
    """

    sizes: Array
    totals: Array
    scatter: Array
    origin: Array

    @classmethod
    def of(cls, features: Array, signs: Array, origin: Array | None = None) -> Sums:
        """Over the rows of a table."""
        origin = features.mean(axis=0) if origin is None else origin
        moved = features - origin
        up = signs > 0
        totals = np.stack([moved[~up].sum(axis=0), moved[up].sum(axis=0)])
        sizes = np.array([np.sum(~up), np.sum(up)], dtype=float)
        return cls(sizes, totals, moved.T @ moved, origin)

    def joined(self, *others: Sums) -> Sums:
        """Over the rows of all of them, which have one origin."""
        return Sums(
            sum((part.sizes for part in others), self.sizes),
            sum((part.totals for part in others), self.totals),
            sum((part.scatter for part in others), self.scatter),
            self.origin,
        )

    def moments(self) -> Moments:
        """Means, covariance within the classes, eigenvalues."""
        count = int(self.sizes.sum())
        means = self.totals / self.sizes[:, None]
        within = self.scatter - (means.T * self.sizes) @ means
        values, directions = np.linalg.eigh(within / (count - 2))
        kept = values > NOTHING * values[-1]
        return Moments(
            count,
            float(self.sizes[1] / count),
            (means[0] + means[1]) / 2 + self.origin,
            (means[1] - means[0]) / 2,
            values[kept],
            np.ascontiguousarray(directions[:, kept]),
        )
