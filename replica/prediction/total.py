"""Spectral functions within the classes from the covariance of rows without labels, eq. (P12)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replica.prediction.moments import NOTHING, Moments
from replica.prediction.spectral import SpectralFunctions, Values

__all__ = ["TotalFunctions"]

Array = NDArray[np.float64]

#: Step in log l of the one derivative that is a difference: its error is the square, relatively.
NUDGE = 1e-4


@dataclass(frozen=True, eq=False)
class TotalFunctions(SpectralFunctions):
    """Of S = T - rho mu mu', T being the covariance of all rows, whatever their labels.

    Parameters
    ----------
    eigenvalues, squares, outside, freedom, effective
        As in `SpectralFunctions`, of T and of the mean in its directions.
    rho : float
        4 times the product of the shares of the classes.
    """

    rho: float = 1.0

    @classmethod
    def of(cls, moments: Moments, unlabelled: Array) -> TotalFunctions:
        """Means of labelled rows, covariance of others."""
        moved = unlabelled - unlabelled.mean(axis=0)
        freedom = len(unlabelled) - 1
        if len(moved) > moved.shape[1]:
            values, directions = np.linalg.eigh(moved.T @ moved / freedom)
            kept = values > NOTHING * values[-1]
            directions = directions[:, kept]
        else:
            values, vectors = np.linalg.eigh(moved @ moved.T / freedom)
            kept = values > NOTHING * values[-1]
            kept[0] = False  # the mean is gone: one is zero but for rounding
            directions = moved.T @ vectors[:, kept] / np.sqrt(values[kept] * freedom)
        squares = (moments.mean @ directions) ** 2
        outside = max(float(moments.mean @ moments.mean) - float(squares.sum()), 0.0)
        rho = 4 * moments.positive * (1 - moments.positive)
        return cls(values[kept], squares, outside, float(freedom), moments.effective, rho)

    def at(self, ridge: Array) -> Values:
        """The functions at ridges l of T."""
        ridge = np.asarray(ridge, dtype=float)
        total, t, t_b = self._of_total(ridge)
        low, high = (self._of_total(ridge * np.exp(step)) for step in (-NUDGE, NUDGE))
        w = t - t_b  # -nu t'
        along = ((high[1] - high[2]) - (low[1] - low[2])) / np.log(high[0].nu / low[0].nu)
        with np.errstate(divide="ignore", invalid="ignore"):
            left = np.where(self.rho * t < 1, 1 - self.rho * t, np.nan)  # else S were negative
            a = t / left
            df1 = total.df1 - self.rho * w / left
            df2 = total.df2 - self.rho * ((w + along) / left - self.rho * (w / left) ** 2)
            signal = np.maximum(t_b - self.rho * t**2, 0.0)
            noise = 4 * signal / self.effective + 2 * df2 / self.effective**2
            noise = noise + 2 * t_b**2 / self.freedom
            variance = noise / np.maximum(1 - total.df2 / self.freedom, 1 / (1 + self.freedom))
            return Values(total.nu, df1, df2, a, a - w / left**2, variance / left**4)

    def _of_total(self, ridge: Array) -> tuple[Values, Array, Array]:
        """Those of T, with t = mu (T + nu)^-1 mu and t + nu t' free of the noise of the mean."""
        values = super().at(ridge)
        free = 1 - self.rho / self.effective  # that noise has the covariance S, not T
        return values, values.a / free, values.b / free
