"""What a fit of a power law says: the record that comes back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["PowerLawFit"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PowerLawFit:
    """The fitted law y = q + k x^(-gamma), and how well it is known.

    Attributes
    ----------
    gamma, log_k, q : float
        Exponent, ln|k| and offset. gamma is nan, and log_k is -inf, where no power law fits
        better than a constant.
    sign : float
        Sign of k: 1, or -1 where ``nonnegative=False`` allowed it.
    gamma_error, log_k_error, q_error : float
        Standard errors, from the law linearised at the fit as if q had no bound; nan where
        they cannot be had.
    covariance : (3, 3) array
        Of gamma, log_k and q; zero for q without offset.
    gamma_low, gamma_high, q_low, q_high : float
        Profile-likelihood intervals; infinite where a side never closes, nan where none was
        asked for or the noise cannot be known. q_low is 0 where q = 0 lies inside.
    level : float
        Their confidence level.
    chi2 : float
        Sum of squared residuals in units of their errors; as they are where errors are unknown.
    dof : int
        Points less parameters (an offset at its bound still counts).
    scatter : float
        sqrt(chi2/dof): about 1 if the errors are right; the error of one point if unknown.
    p_value : float
        Probability of a larger chi2; nan where errors are unknown.
    offset_p : float
        p-value of q = 0: likelihood ratio, or F test where errors are unknown; one-sided, hence
        halved, where q >= 0 is required (1 if q is at that bound). nan without offset.
    residuals : (n,) array
        (y - law)/error, or (ln y - ln law)/error where errors are relative, in the order of the
        data; unknown errors are taken as `scatter`.
    largest : float
        The largest of their absolute values.
    serial_p : float
        Probability of residuals that are more alike from one x to the next, if they are
        unrelated (Durbin and Watson's ratio, beta approximation): small where the law is
        systematically off. nan with fewer than two degrees of freedom.
    offset, relative : bool
        Whether an offset was fitted; whether errors are those of ln y.
    status : str
        What is odd about the fit, or cannot be concluded; "determined" where nothing is.
    """

    gamma: float
    log_k: float
    q: float
    sign: float
    gamma_error: float
    log_k_error: float
    q_error: float
    covariance: Array
    gamma_low: float
    gamma_high: float
    q_low: float
    q_high: float
    level: float
    chi2: float
    dof: int
    scatter: float
    p_value: float
    offset_p: float
    residuals: Array
    largest: float
    serial_p: float
    offset: bool
    relative: bool
    status: str

    @property
    def k(self) -> float:
        """The prefactor; inf or 0 where only its logarithm is a float."""
        with np.errstate(over="ignore", under="ignore"):
            return float(self.sign * np.exp(self.log_k))

    @property
    def k_error(self) -> float:
        """Standard error of the prefactor."""
        return abs(self.k) * self.log_k_error

    def __call__(self, x: ArrayLike) -> Array:
        """The law at x > 0."""
        log_x = np.log(np.asarray(x, dtype=np.float64))
        if self.log_k == -np.inf:
            return np.full(log_x.shape, self.q)
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(self.q + self.sign * np.exp(self.log_k - self.gamma * log_x))
