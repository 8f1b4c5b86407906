"""Errors of ln y: one more unknown, rho = q/A, at fixed gamma."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from replica.scaling.power_law.law import EVERYWHERE, LOOKS, ROUNDING, Fits, Law

__all__ = ["Relative"]

Array = NDArray[np.float64]

#: Where to look for ln(q/A), relative errors: below the smallest e, among the e (as parts of
#: the way down), above them (as parts of the way to where a power is 1e-6 of what is seen).
BELOW = np.array([35.0, 24.0, 16.0, 11.0, 7.5, 5.0, 3.5, 2.0, 1.0])
AMONG = np.linspace(1.0, 0.0, 13)
ABOVE = np.linspace(0.0, 1.0, 8)[1:]
UNSEEN = 1e-6
#: Where to look for the ends of an interval of it, in units of its half-width if symmetric.
NEARBY = np.linspace(-1.5, 1.5, 15)
#: Newton's steps, bisections included, for one ln(q/A): enough to bisect to rounding.
STEPS = 80
#: Newton's convergence is quadratic: the step after this one would be rounding.
SETTLED = 1e-7


class Relative(Law):
    """ln y = ln A + ln(e + rho) + noise with rho = q/A >= 0: linear in ln A."""

    def decades(self) -> float:
        return float(np.ptp(self.y))

    def fits(self, gamma: Array) -> Fits:
        """The best ln(rho) at each gamma by Newton's method, ln A in closed form."""
        d, log_e = self.exponents(gamma)
        log_rho = np.full(len(gamma), -np.inf)
        if self.offset:
            log_rho = self._ratio(log_e)
        v, part = self._power(log_e, log_rho)
        away = self.y - v
        log_A = away @ self.w / self.W
        away = away - log_A[:, None]
        chi2 = (away * away) @ self.w
        slope = (away * d * (1 - part)) @ self.w
        with np.errstate(over="ignore"):  # only where gamma is absurd
            A, q = np.exp(log_A), np.exp(log_A + log_rho)
        if self.offset:
            middle = self.y @ self.w / self.W
            flat = (self.y - middle) ** 2 @ self.w <= chi2
            slope, A = np.where(flat, 0.0, slope), np.where(flat, 0.0, A)
            q = np.where(flat, np.exp(middle), q)
        return Fits(gamma, chi2, slope, q, A)

    @staticmethod
    def _power(log_e: Array, log_rho: Array) -> tuple[Array, Array]:
        """ln(e + rho), and the part of rho in it."""
        v = np.logaddexp(log_e, log_rho[:, None])
        return v, np.exp(log_rho[:, None] - v)

    def _places(self, log_e: Array) -> Array:
        """ln(rho) worth a look for each gamma, increasing: from invisible to overwhelming."""
        lowest = log_e.min(axis=1, keepdims=True)
        top = -np.log(UNSEEN * min(self.decades(), 1.0))
        above = np.broadcast_to(top * ABOVE, (len(log_e), len(ABOVE)))
        # exp(-700) is the smallest rho whose inverse is a float.
        return np.maximum(np.hstack([lowest - BELOW, lowest * AMONG, above]), -700.0)

    def _chi2(self, e: Array, log_rho: Array) -> tuple[Array, Array]:
        """chi2 and ln A for several ln(rho) at each gamma, (gamma, rho)."""
        away = self.y - np.log(e[:, None, :] + np.exp(log_rho)[:, :, None])
        log_A = away @ self.w / self.W
        away -= log_A[:, :, None]
        return (away * away) @ self.w, log_A

    def _ratio(self, log_e: Array) -> Array:
        """The best ln(rho) at each gamma; -inf where no offset is best."""
        e, places = np.exp(log_e), self._places(log_e)
        chi2, _ = self._chi2(e, places)
        rows, best, last = np.arange(len(places)), np.argmin(chi2, axis=1), places.shape[1] - 1
        now = places[rows, best]
        inside = (best > 0) & (best < last)
        low = np.where(inside, places[rows, best - 1], now)
        high = np.where(inside, places[rows, np.minimum(best + 1, last)], now)
        for _ in range(STEPS):
            rho = np.exp(now)[:, None]
            v = e + rho
            part, away = rho / v, self.y - np.log(v)
            away = away - (away @ self.w / self.W)[:, None]
            centred = part - (part @ self.w / self.W)[:, None]
            slope = -(away * part) @ self.w
            bend = (centred * centred - away * part * (1 - part)) @ self.w
            low, high = np.where(slope < 0, now, low), np.where(slope < 0, high, now)
            newton = now - slope / np.where(bend > 0, bend, 1.0)
            good = (bend > 0) & (newton >= low) & (newton <= high)
            step = np.where(inside, np.where(good, newton, (low + high) / 2) - now, 0.0)
            now = now + step
            if np.abs(step).max() < SETTLED:
                break
        with_offset, without = self._two_chi2(log_e, now)
        return np.where(without <= with_offset * (1 + ROUNDING), -np.inf, now)

    def _two_chi2(self, log_e: Array, log_rho: Array) -> tuple[Array, Array]:
        """chi2 with this offset and with none."""
        both = []
        for v in (self._power(log_e, log_rho)[0], log_e):
            away = self.y - v
            away = away - (away @ self.w / self.W)[:, None]
            both.append((away * away) @ self.w)
        return both[0], both[1]

    def furthest(self, gamma: Array, limit: float, side: float) -> Array:
        # q = A rho, with the extremes of A at each rho in closed form
        fits = self.fits(gamma)
        _, log_e = self.exponents(gamma)
        e, places = np.exp(log_e), self._places(log_e)
        with np.errstate(divide="ignore"):
            best = np.clip(np.log(fits.q) - np.log(fits.A), places[:, 0], places[:, -1])
        # Half the width of the interval, were chi2 a parabola.
        part = self._power(log_e, best)[1]
        part = part - (part @ self.w / self.W)[:, None]
        half = np.sqrt(
            np.maximum(limit - fits.chi2, 0.0) / np.maximum((part * part) @ self.w, 1e-200)
        )
        near = best[:, None] + np.minimum(half, 10.0)[:, None] * NEARBY
        places = np.sort(np.hstack([places, np.clip(near, -700.0, None)]), axis=1)
        rows, last = np.arange(len(places)), places.shape[1] - 1
        log_q = np.full(len(places), -np.inf)
        for _ in range(LOOKS):
            chi2, log_A = self._chi2(e, places)
            spare = np.sqrt(np.maximum(limit - chi2, 0.0) / self.W)
            value = np.where(chi2 <= limit, side * (log_A + places) + spare, -np.inf)
            peak = np.argmax(value, axis=1)
            log_q = np.maximum(log_q, value[rows, peak])
            low, high = (
                places[rows, np.maximum(peak - 1, 0)],
                places[rows, np.minimum(peak + 1, last)],
            )
            places, last = low[:, None] + (high - low)[:, None] * EVERYWHERE, len(EVERYWHERE) - 1
        with np.errstate(over="ignore"):  # a side that never closes
            end = side * np.exp(side * log_q)
        if side < 0:
            end = np.where(self._two_chi2(log_e, best)[1] <= limit, 0.0, end)
        return np.where(fits.chi2 <= limit, end, -np.inf)

    def residuals(self, fit: Fits) -> Array:
        log_e = self.exponents(fit.gamma)[1][0]
        return (self.y - self._log_law(log_e, fit)) / self.sigma

    def slopes(self, fit: Fits) -> Array:
        d, log_e = self.exponents(fit.gamma)
        law = self._log_law(log_e[0], fit)
        part = fit.A * np.exp(log_e[0] - law)
        with np.errstate(over="ignore"):
            of_q = np.exp(-law)
            return np.stack([-d[0] * part, part, of_q], axis=1) / self.sigma[:, None]

    @staticmethod
    def _log_law(log_e: Array, fit: Fits) -> Array:
        """ln(q + A e)."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.logaddexp(log_e + np.log(fit.A), np.log(fit.q)))
