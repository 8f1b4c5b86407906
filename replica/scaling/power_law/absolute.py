"""Errors of y itself: linear least squares at fixed gamma."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from replica.scaling.power_law.law import Fits, Law

__all__ = ["Absolute"]

Array = NDArray[np.float64]

#: Below gamma ln(xmax/xmin) = 1e-9 the law is a logarithm, to 1e-9 of its variation.
LOGARITHM = 1e-9


class Absolute(Law):
    """y = q + A e + noise: linear in q and A."""

    def decades(self) -> float:
        # scaled |y| is at most 1
        return float(np.log1p(1 / self.sigma.min())) if self.known else 0.0

    def fits(self, gamma: Array) -> Fits:
        """Weighted linear regression of y on e, with the bounds of q and A."""
        least = LOGARITHM / self.span
        if np.abs(gamma).min() < least:
            gamma = np.where(np.abs(gamma) < least, np.copysign(least, gamma), gamma)
        d, log_e = self.exponents(gamma)
        e = np.exp(log_e)
        if self.offset:
            A, q, away, _ = self._free(log_e)
            if self.nonnegative:
                A, q, away = self._bounded(e, A, q, away)
        else:
            A = self._without(e)
            q, away = np.zeros_like(A), self.y - A[:, None] * e
        chi2 = (away * away) @ self.w
        return Fits(gamma, chi2, A * ((away * d * e) @ self.w), q, A)

    def _free(self, log_e: Array) -> tuple[Array, Array, Array, Array]:
        """A, q and residuals without bounds, and what A adds to the variance 1/W of q."""
        E = np.expm1(log_e)  # e - 1, exact where gamma is small
        middle = E @ self.w / self.W
        E = E - middle[:, None]
        spread = (E * E) @ self.w
        away, weighted = self.centred
        A = E @ weighted / spread
        return A, self.mean - A * (1 + middle), away - A[:, None] * E, (1 + middle) ** 2 / spread

    def _without(self, e: Array) -> Array:
        """A without offset."""
        A = e @ (self.weighted) / ((e * e) @ self.w)
        return np.maximum(A, 0.0) if self.nonnegative else A

    def _bounded(self, e: Array, A: Array, q: Array, away: Array) -> tuple[Array, Array, Array]:
        """The same where a bound is broken: the better of q = 0 and A = 0."""
        if A.min() >= 0 and q.min() >= 0:
            return A, q, away
        broken = (A < 0) | (q < 0)
        bare = self._without(e)
        flat = max(self.mean, 0.0)
        off_bare, off_flat = self.y - bare[:, None] * e, self.y - flat
        better = (off_bare * off_bare) @ self.w <= (off_flat * off_flat) @ self.w
        A = np.where(broken, np.where(better, bare, 0.0), A)
        q = np.where(broken, np.where(better, 0.0, flat), q)
        at_bound = np.where(better[:, None], off_bare, off_flat)
        return A, q, np.where(broken[:, None], at_bound, away)

    def furthest(self, gamma: Array, limit: float, side: float) -> Array:
        # chi2 is a parabola in q, and another one where A = 0
        fits = self.fits(gamma)
        _, log_e = self.exponents(fits.gamma)
        _, q, away, more = self._free(log_e)
        end = q + side * np.sqrt(
            np.maximum(limit - (away * away) @ self.w, 0.0) * (1 / self.W + more)
        )
        if self.nonnegative:
            e = np.exp(log_e)
            turn = e @ (self.weighted) / (e @ self.w)  # A < 0 above
            flat = np.sqrt(max(limit - float((self.y - self.mean) ** 2 @ self.w), 0.0) / self.W)
            end = np.maximum(np.where(end <= turn, end, self.mean + side * flat), 0.0)
        return np.where(fits.chi2 <= limit, side * end, -np.inf)

    def residuals(self, fit: Fits) -> Array:
        e = np.exp(self.exponents(fit.gamma)[1][0])
        return (self.y - fit.q - fit.A * e) / self.sigma

    def slopes(self, fit: Fits) -> Array:
        d, log_e = self.exponents(fit.gamma)
        power = fit.A * np.exp(log_e[0])
        return np.stack([-d[0] * power, power, np.ones_like(power)], axis=1) / self.sigma[:, None]
