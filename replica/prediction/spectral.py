r"""What a sample says of the covariance and of the clusters' distance: spectral functions.

With the covariance S within a cluster and the mean mu (half the difference of the two),

    df1(nu) = tr S (S + nu)^-1,  df2(nu) = tr S^2 (S + nu)^-2,
    a(nu) = mu (S + nu)^-1 mu,   b(nu) = mu S (S + nu)^-2 mu,

are all that the equations of docs/predict.md ask of the inputs. A sample gives them at the ridge l
(eqs. (P5) to (P9)), l being a parameter that nu grows with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SpectralFunctions", "Values"]

Array = NDArray[np.float64]

#: Ridges of the table from which l(nu) is first guessed, a decade; the guess is then refined.
A_DECADE = 8
#: Below the smallest eigenvalue, and above the largest, by which factor l is tabulated.
BEYOND = 1e6
#: Newton's steps from that guess: the map is smooth in logarithms, and three already round.
REFINEMENTS = 6


@dataclass(frozen=True)
class Values:
    """The functions at some ridges; arrays of one shape.

    Attributes
    ----------
    nu : array
        The eigenvalue down to which modes are learned.
    df1, df2 : arrays
        Degrees of freedom.
    a, b : arrays
        The clusters' squared distance as a student sees it that learns down to nu.
    variance : array
        Of the estimate of a, eq. (P10); 0 of moments that are known.
    """

    nu: Array
    df1: Array
    df2: Array
    a: Array
    b: Array
    variance: Array


@dataclass(frozen=True, eq=False)
class SpectralFunctions:
    r"""The functions read from a sample at its ridge l, or from moments that are known.

    Parameters
    ----------
    eigenvalues : (M,) array
        Of the covariance, those that are zero left out; in units of the features squared.
    squares : (M,) array
        Squared components of the mean along these directions.
    outside : float
        Squared length of the mean outside of them.
    freedom : float
        Degrees of freedom of the sample covariance, P0 - 2; inf where it counts as exact.
    effective : float
        4 n+ n- / P0, the number whose inverse times S is the covariance of the sample mean; inf
        where it is exact.
    """

    eigenvalues: Array
    squares: Array
    outside: float = 0.0
    freedom: float = math.inf
    effective: float = math.inf

    @property
    def trace(self) -> float:
        """Tr S, the same at any ridge."""
        return float(np.sum(self.eigenvalues))

    @property
    def least_nu(self) -> float:
        """The limit of nu for l -> 0, eq. (P6): nothing is known below. 0 if l = 0 gives 0.

        With fewer examples than dimensions d -> M and, as M = freedom, nu -> 1/sum(1/lambda).
        """
        if len(self.eigenvalues) < self.freedom:
            return 0.0
        return float(self.freedom / np.sum(1 / self.eigenvalues))

    def at(self, ridge: Array) -> Values:
        """The functions at ridges l, eqs. (P5) to (P10)."""
        ridge = np.asarray(ridge, dtype=float)
        omega, u2 = self.eigenvalues, self.squares
        inverse = 1 / (omega + ridge[..., None])
        share = omega * inverse
        d = np.sum(share, axis=-1)
        d2 = np.sum(share * share, axis=-1)
        e = np.sum(share * inverse, axis=-1) * ridge  # -l d'
        c = inverse @ u2 + self.outside / ridge
        f = (share * inverse) @ u2
        kappa = self._kappa(ridge)
        psi = 1 - e / (self.freedom * kappa)  # dlog nu/dlog l
        df2 = (d2 - d * e / (self.freedom * kappa)) / psi
        a = kappa * c - d / self.effective
        b = kappa * f / psi - df2 / self.effective
        return Values(ridge / kappa, d, df2, a, b, self._variance(df2, b))

    def _variance(self, df2: Array, b: Array) -> Array:
        """Of the estimate of a, eq. (P10)."""
        signal = np.maximum(b, 0.0)
        left = np.maximum(1 - df2 / self.freedom, 1 / (1 + self.freedom))
        noise = 4 * signal / self.effective + 2 * df2 / self.effective**2
        return np.asarray((noise + 2 * signal**2 / self.freedom) / left)

    def nu_at(self, ridge: Array) -> Array:
        """Nu at ridges l alone, eq. (P5)."""
        return np.asarray(ridge / self._kappa(ridge))

    def _kappa(self, ridge: Array) -> Array:
        """1 - d/n, of which the difference would lose the digits where l is small and d -> n."""
        if not math.isfinite(self.freedom):
            return np.ones(ridge.shape)
        lost = np.sum(ridge[..., None] / (self.eigenvalues + ridge[..., None]), axis=-1)
        return np.asarray((self.freedom - len(self.eigenvalues) + lost) / self.freedom)

    def ridge_at(self, nu: Array) -> Array:
        """The ridge l that gives nu; nan below `least_nu`."""
        nu = np.asarray(nu, dtype=float)
        if not math.isfinite(self.freedom):
            return np.where(nu > 0, nu, np.nan)
        low = np.log(self.eigenvalues.min() / BEYOND)
        top = np.log(max(self.eigenvalues.max() * BEYOND, float(np.max(nu)) * 2))
        table = np.linspace(low, top, int(A_DECADE * (top - low) / np.log(10)) + 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            goal = np.log(np.where(nu > self.least_nu, nu, np.nan))
        x = np.interp(goal, np.log(self.nu_at(np.exp(table))), table)
        for _ in range(REFINEMENTS):
            here = np.log(self.nu_at(np.exp(x)))
            ahead = np.log(self.nu_at(np.exp(x + 1e-4)))
            with np.errstate(divide="ignore", invalid="ignore"):
                x = x - np.clip((here - goal) * 1e-4 / (ahead - here), -2.0, 2.0)
        return np.asarray(np.exp(np.where(np.isfinite(goal), x, np.nan)))
