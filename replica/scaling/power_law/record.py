"""What a fit of a power law says: the record that comes back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from replica.common import arguments
from replica.common.arguments import POSITIVE, InvalidArgument, Range, quoted

__all__ = ["Band", "PowerLawFit"]

Array = NDArray[np.float64]


#: Levels of confidence.
LEVEL = Range(0.0, 1.0, "must lie between 0 and 1", low_open=True, high_open=True)


@dataclass(frozen=True)
class Band:
    """Where a fitted law lies, and where a new point will (eqs. S4a and S4b of `docs/scaling.md`).

    Attributes
    ----------
    x, law : array
        Where, and the fitted law there.
    low, high : array
        Confidence interval of the law at each x by itself, not of all at once.
    new_low, new_high : array
        Prediction interval of one new point at each x.
    level : float
        Level of both.
    """

    x: Array
    law: Array
    low: Array
    high: Array
    new_low: Array
    new_high: Array
    level: float


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
    residuals : array
        (y - law)/error, or (ln y - ln law)/error where errors are relative, in the order and
        the shape of the data; unknown errors are taken as `noise`; nan for points left out.
    largest : float
        The largest of their absolute values.
    serial_p : float
        Probability of residuals that are more alike from one x to the next, if they are
        unrelated (Durbin and Watson's ratio, beta approximation): small where the law is
        systematically off. nan with fewer than two degrees of freedom.
    noise, noise_dof : float
        Error of one point, of ln y where errors are relative, and the degrees of freedom that it
        was estimated with: inf for given errors, and nan for a noise that they do not agree on.
    replicate_dof : int
        Points less different x.
    misfit_p : float
        Lack of fit: probability of means over equal x that miss the law by more, if they only
        scatter as points at equal x do (F test). nan without points at equal x.
    outlier : int
        The point that is furthest from the law fitted without it, by its place in the data
        (``residuals.flat[outlier]``).
    outlier_p : float
        Probability that any point of so many is as far (externally studentised residual,
        Bonferroni); nan where too few points are left to tell. ``without=fit.outlier`` fits again.
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
    noise: float
    noise_dof: float
    replicate_dof: int
    misfit_p: float
    outlier: int
    outlier_p: float
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

    def band(self, x: ArrayLike, *, level: float | None = None, noise: float | None = None) -> Band:
        r"""Confidence band of the law, and prediction band of a new point, by the delta method.

        .. math:: f(x) \pm t\,s(x), \quad f(x) \pm t\sqrt{s(x)^2+\sigma^2}, \quad
            s^2 = g^{\mathsf T} C g, \quad g = \partial f/\partial(\gamma, \ln k, q)

        with C the covariance and t the quantile of Student with `noise_dof` degrees of freedom;
        where errors are relative the same for ln f. Eqs. (S4a) and (S4b) of `docs/scaling.md`.

        Parameters
        ----------
        x : array
            Positive; any shape.
        level : float, optional
            In (0, 1); that of the fit by default.
        noise : float, optional
            Error of the new point, of ln y where errors are relative; `noise` by default.

        Returns
        -------
        Band
            With nan where the covariance is unknown.

        Raises
        ------
        InvalidArgument
            If `x` or `noise` is not positive, `level` not in (0, 1), or `noise` is needed: where
            given errors differ from point to point.
        """
        places = arguments.numbers("x", x)
        if not np.all((places > 0) & np.isfinite(places)):
            wrong = places[~((places > 0) & np.isfinite(places))][0]
            raise InvalidArgument("x", "must be positive and finite", quoted(float(wrong)))
        level = self.level if level is None else arguments.number("level", level, LEVEL)
        if noise is not None:
            noise = arguments.number("noise", noise, POSITIVE)
        elif np.isnan(self.noise) and np.isinf(self.noise_dof):
            raise InvalidArgument("noise", "must be given where errors differ from point to point")
        else:
            noise = self.noise
        law, log_x = self(places), np.log(places)
        with np.errstate(over="ignore", under="ignore"):
            power = self.sign * np.exp(self.log_k - self.gamma * log_x)
        gradient = np.stack([-log_x * power, power, np.ones_like(power)], axis=-1)
        if self.relative:
            gradient, middle = gradient / law[..., None], np.log(law)
        else:
            middle = law
        variance = np.einsum("...i,ij,...j->...", gradient, self.covariance, gradient)
        t = _quantile(level, self.noise_dof)
        half, new = t * np.sqrt(variance), t * np.sqrt(variance + noise * noise)
        ends = [middle - half, middle + half, middle - new, middle + new]
        low, high, new_low, new_high = (np.exp(end) if self.relative else end for end in ends)
        return Band(places, law, low, high, new_low, new_high, level)


def _quantile(level: float, dof: float) -> float:
    """Two-sided quantile of Student, or of a normal distribution."""
    upper = (1 + level) / 2
    return float(special.ndtri(upper) if np.isinf(dof) else special.stdtrit(dof, upper))
