r"""A power law with offset, y = q + k x^(-gamma), eqs. (3) and (4) of the paper.

At fixed gamma little is left to fit (variable projection), so chi2 is searched as a
function of gamma alone: a scan that no minimum can hide from, then the root of its slope.
The same function gives the profile-likelihood intervals.

Inside this file x is sorted and y scaled; d is ln x measured from the end where the power
is largest, and e = exp(-gamma d) lies in [0, 1]: the law reads q + A e.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted, show

__all__ = ["PowerLawFit", "fit_power_law"]

Array = NDArray[np.float64]

#: Step of the scan in asinh(gamma ln(xmax/xmin)). chi2 is built of the e, which change by a
#: factor of order one when that argument does; ten points to such a change are a choice.
STEP = 0.1
#: Basins of the scan that are followed to their bottom; 3000 noisy fits had three at most.
BASINS = 4
#: exp(-35) < 1e-15: beyond gamma * gap = 35 the law is its first point and a constant.
INVISIBLE = 35.0
#: Below gamma ln(xmax/xmin) = 1e-9 the law is a logarithm, to 1e-9 of its variation.
LOGARITHM = 1e-9
#: Where a bracket is looked at: everywhere, or ever closer to where a straight line crosses 0.
EVERYWHERE = np.linspace(0.0, 1.0, 17)
AROUND = np.outer([-1, 1], [1.0, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-6]).ravel()
#: A bracket this narrow is left to a straight line; four rounds are usual, sixteen at a kink.
NARROW, ROUNDS = 1e-12, 24
#: Each look for a maximum divides a bracket by 8; its value is known to the square of the rest.
LOOKS = 5
#: Residuals below this part of the largest |y| (of y, where errors are relative) are rounding.
ROUNDING = 1e-12
#: Errors outside these bounds, in units of the largest |y|, overflow when squared; so do
#: derivatives, of what is then not determined by any standard.
SMALLEST, LARGEST = 1e-100, 1e100
#: The largest |y| lies between these where errors are absolute: chi2 is as large as its square.
FAINTEST, GREATEST = 1e-150, 1e150
#: Errors span less than this: from there on weights, their inverse squares, leave nothing of the
#: other points in a double.
ERRORS_SPAN = 1e8
#: A statement about the residuals is made below this p-value: a choice.
SUSPICIOUS = 0.01
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


def fit_power_law(
    x: ArrayLike,
    y: ArrayLike,
    *,
    sigma: ArrayLike | None = None,
    relative: ArrayLike | bool | None = None,
    offset: bool = True,
    nonnegative: bool = True,
    intervals: bool = True,
    level: float = 0.95,
) -> PowerLawFit:
    r"""Fit y = q + k x^(-gamma) by weighted least squares; gamma may have either sign.

    .. math:: \chi^2 = \sum_i (y_i - q - k x_i^{-\gamma})^2 / \sigma_i^2

    or, where errors are relative, :math:`\ln y_i - \ln(q + k x_i^{-\gamma})` in units of the
    errors of :math:`\ln y_i`; with ``offset=False`` that is the weighted straight line through
    ln y against ln x. An interval holds the values of one parameter at which chi2, least over
    the others, exceeds its minimum by no more than the quantile of chi-squared with one
    degree of freedom (of F, where errors are estimated from the residuals).

    Parameters
    ----------
    x : (n,) array
        Positive; its logarithm is all that matters.
    y : (n,) array
        Finite; positive where errors are relative.
    sigma : float or (n,) array, optional
        Standard errors of y. Without `sigma` and `relative` they are equal and unknown.
    relative : float or (n,) array or True, optional
        Standard errors of ln y, for y that spans decades; True: equal and unknown.
    offset : bool
        Whether q is fitted; else it is 0.
    nonnegative : bool
        Whether q >= 0 and k > 0 are required, as of floors of an error or of a norm.
    intervals : bool
        Whether to compute the profile intervals, which take most of the time.
    level : float
        Their confidence level, in (0, 1).

    Raises
    ------
    ValueError
        If there are fewer than 3 points (4 with offset), fewer than 2 different `x` (3), if all
        `y` are the same, or if an argument is not what is written above; also for
        ``nonnegative=False`` with relative errors, since ln y bounds the law by itself.
    """
    data = _read(x, y, sigma, relative, offset, nonnegative, level)
    law = data.law(offset)
    scan, fit = _least(law)
    A, q, chi2 = float(fit.A[0]), float(fit.q[0]), float(fit.chi2[0])
    dof = len(data.y) - (3 if offset else 2)
    residuals = law.residuals(fit)
    exact = bool(np.abs(residuals * data.sigma).max() <= ROUNDING)
    vague = exact and not data.known
    unit = 1.0 if data.known or vague else chi2 / dof
    limit = chi2 + unit * _quantile(level, None if data.known else dof)

    bare = float(_least(data.law(False))[1].chi2[0]) if offset else chi2
    gammas, offsets = (np.nan, np.nan), (np.nan, np.nan)
    if intervals and not vague:
        gammas = _gamma_interval(law, scan, fit, limit)
        offsets = _offset_interval(law, fit, gammas, limit) if offset else (0.0, 0.0)
        if nonnegative and bare <= limit:
            offsets = (0.0, offsets[1])

    slopes, residuals = law.slopes(fit), residuals / np.sqrt(unit)
    end = float(data.log_x[0] if fit.gamma[0] > 0 else data.log_x[-1])
    scaled = np.zeros((3, 3))
    fitted = slice(3 if offset else 2)
    scaled[fitted, fitted] = _covariance(slopes[:, fitted]) * (np.nan if vague else unit)
    deviation, covariance = _unscaled(scaled, end, data.scale)

    p_value = float(special.chdtrc(dof, chi2)) if data.known else np.nan
    serial_p = np.nan if exact else _serial_p(slopes[:, [A != 0, A != 0, q != 0]], residuals)
    pushed = offset and nonnegative and q == 0 and A != 0 and not vague
    scatter = float(np.sqrt(chi2 / dof)) * (1.0 if data.known or data.relative else data.scale)
    return PowerLawFit(
        gamma=float(fit.gamma[0]) if A else np.nan,
        log_k=float(np.log(abs(A)) + np.log(data.scale) + fit.gamma[0] * end) if A else -np.inf,
        q=q * data.scale,
        sign=-1.0 if A < 0 else 1.0,
        gamma_error=float(deviation[0]),
        log_k_error=float(deviation[1]),
        q_error=float(deviation[2]),
        covariance=covariance,
        gamma_low=gammas[0],
        gamma_high=gammas[1],
        q_low=offsets[0] * data.scale,
        q_high=offsets[1] * data.scale,
        level=level,
        chi2=scatter * scatter * dof,
        dof=dof,
        scatter=scatter,
        p_value=p_value,
        offset_p=np.nan
        if vague or not offset
        else _offset_p((bare - chi2) / unit, None if data.known else dof, nonnegative, q),
        residuals=residuals[data.rank],
        largest=float(np.abs(residuals).max()),
        serial_p=serial_p,
        offset=offset,
        relative=data.relative,
        status=_status(
            level,
            A=A,
            vague=vague,
            open_low=bool(scan.chi2[0] <= limit),
            open_high=bool(scan.chi2[-1] <= limit),
            bend_p=_bend_p(slopes, residuals, None if data.known else dof) if pushed else np.nan,
            p_value=p_value,
            serial_p=serial_p,
        ),
    )


# ------------------------------------------------------------------- what comes in


@dataclass(frozen=True)
class _Data:
    """Points by increasing x, with y scaled: y/max|y|, or ln y less its mean."""

    log_x: Array
    y: Array
    sigma: Array
    scale: float
    rank: NDArray[np.intp]
    known: bool
    relative: bool
    nonnegative: bool

    def law(self, offset: bool) -> _Law:
        """The law with or without an offset, ready to be fitted."""
        kind = _Relative if self.relative else _Absolute
        return kind(self.log_x, self.y, self.sigma, self.known, offset, self.nonnegative)


def _column(name: str, value: ArrayLike) -> Array:
    """A one-dimensional array of finite numbers, or a `ValueError`."""
    values = arguments.numbers(name, value)
    if values.ndim != 1:
        raise InvalidArgument(name, "must be one-dimensional", f"shape {values.shape}")
    _refuse(name, "must be finite", values, ~np.isfinite(values))
    return values


def _refuse(name: str, rule: str, values: Array, bad: NDArray[np.bool_], way_out: str = "") -> None:
    """Raise `ValueError` for the first row that breaks a rule."""
    if np.any(bad):
        row = int(np.argmax(bad))
        raise InvalidArgument(name, f"{rule}", f"{show(values[row])} at row {row}{way_out}")


def _read(
    x: ArrayLike,
    y: ArrayLike,
    sigma: ArrayLike | None,
    relative: ArrayLike | bool | None,
    offset: bool,
    nonnegative: bool,
    level: float,
) -> _Data:
    """Checked, sorted and scaled data."""
    x, y = _column("x", x), _column("y", y)
    equal = isinstance(relative, bool | np.bool_)
    is_relative = bool(relative) if equal else relative is not None
    _refuse("x", "must be positive", x, x <= 0)
    if len(y) != len(x):
        raise InvalidArgument("y", "must have as many values as `x`", f"{len(y)} for {len(x)}")
    least = 4 if offset else 3
    words = "with" if offset else "without"
    way_out = ": `offset=False` needs one less" if offset else ""
    if len(x) < least:
        raise InvalidArgument(
            "x",
            f"must have at least {least} values for a power law {words} offset",
            f"{len(x)}{way_out}",
        )
    order = np.argsort(x, kind="stable")
    log_x = np.log(x[order])
    different = len(np.unique(log_x))
    if different < least - 1:
        raise InvalidArgument(
            "x",
            f"must have at least {least - 1} different values for a power law {words} offset",
            f"{different}{way_out}",
        )
    if np.all(y == y[0]):
        raise InvalidArgument(
            "y",
            "must not be the same everywhere",
            f"{show(y[0])} in all {len(y)} rows: a constant has no exponent",
        )
    if not 0 < level < 1:
        raise InvalidArgument("level", "must lie between 0 and 1", quoted(level))
    if is_relative and sigma is not None:
        raise InvalidArgument("sigma", "and `relative` are both given; errors are one or the other")
    if is_relative and offset and not nonnegative:
        raise InvalidArgument(
            "nonnegative=False", "needs absolute errors; give `sigma`, not `relative`"
        )
    if is_relative:
        _refuse("y", "must be positive where errors are relative", y, y <= 0, ": give `sigma`")
        span = float(np.ptp(np.log(y)))
        if span == 0 or span > 2 * np.log(LARGEST):
            rule = "have more than one logarithm" if span == 0 else "span less than a factor 1e+200"
            raise InvalidArgument(
                "y", f"must {rule}", f"values from {show(y.min())} to {show(y.max())}"
            )
    elif not FAINTEST <= np.abs(y).max() <= GREATEST:
        raise InvalidArgument(
            "y",
            f"must have its largest value between {FAINTEST:g} and {GREATEST:g}",
            f"{show(y[np.argmax(np.abs(y))])}: take another unit",
        )
    name, given = ("relative", relative) if is_relative else ("sigma", sigma)
    known = given is not None and not (is_relative and equal)
    y = y[order]
    scale = float(np.exp(np.log(y).mean()) if is_relative else np.abs(y).max())
    unit = 1.0 if is_relative else scale
    errors = np.ones(len(y))
    if known:
        errors = _errors(name, given, len(y), unit)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return _Data(
        log_x=log_x,
        y=np.log(y) - np.log(scale) if is_relative else y / scale,
        sigma=errors[order],
        scale=scale,
        rank=rank,
        known=known,
        relative=is_relative,
        nonnegative=nonnegative,
    )


def _errors(name: str, given: ArrayLike | None, count: int, unit: float) -> Array:
    """Standard errors in units of the largest value; one for each point, or one for all."""
    values = np.asarray(given)
    errors = _column(name, values[None] if values.ndim == 0 else values)
    _refuse(name, "must be positive", errors, errors <= 0)
    if values.ndim and len(errors) != count:
        raise InvalidArgument(name, "must have as many values as `x`", f"{len(errors)} for {count}")
    with np.errstate(over="ignore"):  # inf is outside
        parts = errors / unit
    outside = (parts < SMALLEST) | (parts > LARGEST)
    _refuse(name, f"must lie between {SMALLEST:g} and {LARGEST:g} of the values", errors, outside)
    if parts.max() > ERRORS_SPAN * parts.min():
        raise InvalidArgument(
            name,
            f"must span less than a factor {ERRORS_SPAN:g}",
            f"errors from {show(errors.min())} to {show(errors.max())}: leave out the "
            "points that tell nothing",
        )
    return np.broadcast_to(parts, count)


# --------------------------------------------------------------- the law at fixed gamma


@dataclass(frozen=True)
class _Fits:
    """The best law at each of some gamma: chi2, half its slope in gamma, and what is linear."""

    gamma: Array
    chi2: Array
    slope: Array
    q: Array
    A: Array

    def only(self, row: int) -> _Fits:
        """One of them."""
        kept = slice(row, row + 1)
        return _Fits(
            self.gamma[kept], self.chi2[kept], self.slope[kept], self.q[kept], self.A[kept]
        )


@dataclass(frozen=True)
class _Law(abc.ABC):
    """q + A e and its data; every method takes an array of gamma, one row each."""

    log_x: Array
    y: Array
    sigma: Array
    known: bool
    offset: bool
    nonnegative: bool
    w: Array = field(init=False)
    W: float = field(init=False)
    span: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "w", 1 / self.sigma**2)
        object.__setattr__(self, "W", float(np.sum(self.w)))
        object.__setattr__(self, "span", float(self.log_x[-1] - self.log_x[0]))

    @abc.abstractmethod
    def fits(self, gamma: Array) -> _Fits:
        """The best law at each gamma."""

    @abc.abstractmethod
    def furthest(self, gamma: Array, limit: float, side: float) -> Array:
        """The largest side * q with chi2 <= limit at each gamma; -inf where none has."""

    @abc.abstractmethod
    def residuals(self, fit: _Fits) -> Array:
        """Residuals of one law in units of `sigma`."""

    @abc.abstractmethod
    def slopes(self, fit: _Fits) -> Array:
        """Derivatives of one law by gamma, ln|A| and q in units of `sigma`, (n, 3)."""

    @abc.abstractmethod
    def decades(self) -> float:
        """Logarithm of the range over which values of y can be told from one another."""

    def exponents(self, gamma: Array) -> tuple[Array, Array]:
        """The distance d from the end where the power is largest, and ln e = -gamma d."""
        column = gamma[:, None]
        d = np.where(column > 0, self.log_x - self.log_x[0], self.log_x - self.log_x[-1])
        return d, -column * d

    def grid(self) -> Array:
        """Every gamma between the two at which the law is one point and a constant, but 0."""
        gaps = np.diff(np.unique(self.log_x))
        end = np.arcsinh(self.span * (INVISIBLE + self.decades()) / min(gaps[0], gaps[-1]))
        steps = int(np.ceil(end / STEP))
        return np.sinh(np.linspace(-end, end, 2 * steps)) / self.span


class _Absolute(_Law):
    """y = q + A e + noise: linear in q and A."""

    def decades(self) -> float:
        """See the base class; scaled |y| is at most 1."""
        return float(np.log1p(1 / self.sigma.min())) if self.known else 0.0

    def fits(self, gamma: Array) -> _Fits:
        """Weighted linear regression of y on e, with the bounds of q and A."""
        least = LOGARITHM / self.span
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
        return _Fits(gamma, chi2, A * ((away * d * e) @ self.w), q, A)

    def _free(self, log_e: Array) -> tuple[Array, Array, Array, Array]:
        """A, q and residuals without bounds, and the variance of q."""
        E = np.expm1(log_e)  # e - 1, exact where gamma is small
        middle = E @ self.w / self.W
        E = E - middle[:, None]
        mean = self.y @ self.w / self.W
        y, spread = self.y - mean, (E * E) @ self.w
        A = E @ (self.w * y) / spread
        variance = 1 / self.W + (1 + middle) ** 2 / spread
        return A, mean - A * (1 + middle), y - A[:, None] * E, variance

    def _without(self, e: Array) -> Array:
        """A without offset."""
        A = e @ (self.w * self.y) / ((e * e) @ self.w)
        return np.maximum(A, 0.0) if self.nonnegative else A

    def _bounded(self, e: Array, A: Array, q: Array, away: Array) -> tuple[Array, Array, Array]:
        """The same where a bound is broken: the better of q = 0 and A = 0."""
        broken = (A < 0) | (q < 0)
        bare = self._without(e)
        flat = max(float(self.y @ self.w) / self.W, 0.0)
        off_bare, off_flat = self.y - bare[:, None] * e, self.y - flat
        better = (off_bare * off_bare) @ self.w <= (off_flat * off_flat) @ self.w
        A = np.where(broken, np.where(better, bare, 0.0), A)
        q = np.where(broken, np.where(better, 0.0, flat), q)
        at_bound = np.where(better[:, None], off_bare, off_flat)
        return A, q, np.where(broken[:, None], at_bound, away)

    def furthest(self, gamma: Array, limit: float, side: float) -> Array:
        """See the base class; chi2 is a parabola in q, and another one where A = 0."""
        fits = self.fits(gamma)
        _, log_e = self.exponents(fits.gamma)
        _, q, away, variance = self._free(log_e)
        end = q + side * np.sqrt(np.maximum(limit - (away * away) @ self.w, 0.0) * variance)
        if self.nonnegative:
            e, mean = np.exp(log_e), self.y @ self.w / self.W
            turn = e @ (self.w * self.y) / (e @ self.w)  # A < 0 above
            flat = np.sqrt(max(limit - float((self.y - mean) ** 2 @ self.w), 0.0) / self.W)
            end = np.maximum(np.where(end <= turn, end, mean + side * flat), 0.0)
        return np.where(fits.chi2 <= limit, side * end, -np.inf)

    def residuals(self, fit: _Fits) -> Array:
        """See the base class."""
        e = np.exp(self.exponents(fit.gamma)[1][0])
        return (self.y - fit.q - fit.A * e) / self.sigma

    def slopes(self, fit: _Fits) -> Array:
        """See the base class."""
        d, log_e = self.exponents(fit.gamma)
        power = fit.A * np.exp(log_e[0])
        return np.stack([-d[0] * power, power, np.ones_like(power)], axis=1) / self.sigma[:, None]


class _Relative(_Law):
    """ln y = ln A + ln(e + rho) + noise with rho = q/A >= 0: linear in ln A."""

    def decades(self) -> float:
        """See the base class."""
        return float(np.ptp(self.y))

    def fits(self, gamma: Array) -> _Fits:
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
        return _Fits(gamma, chi2, slope, q, A)

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
        """See the base class; q = A rho, with the extremes of A at each rho in closed form."""
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

    def residuals(self, fit: _Fits) -> Array:
        """See the base class."""
        log_e = self.exponents(fit.gamma)[1][0]
        return (self.y - self._log_law(log_e, fit)) / self.sigma

    def slopes(self, fit: _Fits) -> Array:
        """See the base class."""
        d, log_e = self.exponents(fit.gamma)
        law = self._log_law(log_e[0], fit)
        part = fit.A * np.exp(log_e[0] - law)
        with np.errstate(over="ignore"):
            of_q = np.exp(-law)
            return np.stack([-d[0] * part, part, of_q], axis=1) / self.sigma[:, None]

    @staticmethod
    def _log_law(log_e: Array, fit: _Fits) -> Array:
        """ln(q + A e)."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.logaddexp(log_e + np.log(fit.A), np.log(fit.q)))


# ------------------------------------------------------------------ the search over gamma


def _least(law: _Law) -> tuple[_Fits, _Fits]:
    """The scan over gamma, and the best law of all."""
    scan = law.fits(law.grid())
    turns = np.flatnonzero((scan.slope[:-1] < 0) & (scan.slope[1:] >= 0))
    depth = np.minimum(scan.chi2[turns], scan.chi2[turns + 1])
    turns = turns[np.argsort(depth, kind="stable")[:BASINS]]
    bottoms = _crossings(
        lambda gamma: law.fits(gamma).slope, scan.gamma[turns], scan.gamma[turns + 1]
    )
    ends = scan.gamma[[0, -1]]  # where the law is one point and a constant
    candidates = law.fits(np.concatenate([bottoms, ends]))
    return scan, candidates.only(int(np.argmin(candidates.chi2)))


def _crossings(function: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Where a function that is negative at `low` and not at `high` changes sign, row by row."""
    if len(low) == 0:
        return low
    rows, parts = np.arange(len(low)), np.tile(EVERYWHERE, (len(low), 1))
    guess = np.full(len(low), 0.5)
    for _ in range(ROUNDS):
        places = low[:, None] + (high - low)[:, None] * parts
        values = function(places.ravel()).reshape(places.shape)
        negative = values < 0
        negative[:, 0], negative[:, -1] = True, False  # as promised, whatever rounding says
        last = np.argmin(negative, axis=1)
        low, high = places[rows, last - 1], places[rows, last]
        below, above = values[rows, last - 1], values[rows, last]
        rise = np.where(above > below, above - below, np.inf)
        guess = np.clip(-below / rise, 0.0, 1.0)
        if np.all(np.abs(high - low) <= NARROW * np.abs(low + high)):
            break
        straight = parts[rows, last] - parts[rows, last - 1] < 2 / len(EVERYWHERE)
        around = np.sort(np.clip(guess[:, None] + AROUND, 0.0, 1.0), axis=1)
        around = np.hstack([around, np.ones((len(low), 1))])
        parts = np.where(straight[:, None], around, EVERYWHERE)
    return np.asarray(low + (high - low) * guess)


def _gamma_interval(law: _Law, scan: _Fits, fit: _Fits, limit: float) -> tuple[float, float]:
    """The outermost gamma with chi2 <= limit; infinite where the scan ends inside."""
    gamma = np.append(scan.gamma, fit.gamma)
    order = np.argsort(gamma)
    gamma, within = gamma[order], np.append(scan.chi2 <= limit, True)[order]
    first, last = np.flatnonzero(within)[[0, -1]]
    ends = np.array([-np.inf, np.inf])
    closed = np.array([first > 0, last < len(gamma) - 1])
    inside = gamma[np.array([first, last])[closed]]
    outside = gamma[np.array([first - 1, min(last + 1, len(gamma) - 1)])[closed]]
    ends[closed] = _crossings(lambda g: law.fits(g).chi2 - limit, inside, outside)
    return float(ends[0]), float(ends[1])


def _offset_interval(
    law: _Law, fit: _Fits, gammas: tuple[float, float], limit: float
) -> tuple[float, float]:
    """The extremes of q over all gamma of the interval."""
    if not law.nonnegative and gammas[0] < 0 < gammas[1]:
        return -np.inf, np.inf  # q grows like 1/gamma towards the logarithm
    ends = np.clip(gammas, *law.grid()[[0, -1]])
    low, high = np.arcsinh(ends * law.span)
    steps = np.sinh(np.linspace(low, high, 2 * len(EVERYWHERE))) / law.span
    start = np.sort(np.append(np.clip(steps, *ends), fit.gamma))
    return (
        -_highest(lambda gamma: law.furthest(gamma, limit, -1.0), start),
        _highest(lambda gamma: law.furthest(gamma, limit, 1.0), start),
    )


def _highest(function: Callable[[Array], Array], places: Array) -> float:
    """The maximum of a function of one variable, from places close enough to tell its peaks."""
    highest = -np.inf
    for _ in range(LOOKS):
        values = function(places)
        best = int(np.argmax(values))
        highest = max(highest, float(values[best]))
        low, high = places[max(best - 1, 0)], places[min(best + 1, len(places) - 1)]
        places = low + (high - low) * EVERYWHERE
    return highest


# ---------------------------------------------------------------- errors, tests, words


def _quantile(level: float, dof: int | None) -> float:
    """Rise of chi2, in units of the variance, at the ends of an interval (None: known errors)."""
    upper = (1 + level) / 2
    return float(special.ndtri(upper) if dof is None else special.stdtrit(dof, upper)) ** 2


def _covariance(slopes: Array) -> Array:
    """Inverse of the Fisher matrix; nan where the parameters cannot be told apart."""
    size = np.abs(slopes).max(axis=0)
    if not np.all((size > SMALLEST) & (size < LARGEST)):
        return np.full((slopes.shape[1], slopes.shape[1]), np.nan)
    _, s, V = np.linalg.svd(slopes / size, full_matrices=False)
    if s[-1] < ROUNDING * s[0]:
        return np.full((slopes.shape[1], slopes.shape[1]), np.nan)
    half = V.T / s / size[:, None]
    return np.asarray(half @ half.T)


def _unscaled(covariance: Array, end: float, scale: float) -> tuple[Array, Array]:
    """Standard errors and covariance of gamma, ln k, q, from those of gamma, ln A, q/scale."""
    turn = np.eye(3)
    turn[1, 0] = end  # ln k = ln A + gamma end
    turned, units = turn @ covariance @ turn.T, np.array([1.0, 1.0, scale])
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # scale^2
        return np.sqrt(np.diag(turned)) * units, units[:, None] * turned * units


def _offset_p(gain: float, dof: int | None, nonnegative: bool, q: float) -> float:
    """p-value of q = 0 from the fall of chi2, in units of the variance (None: known errors)."""
    if nonnegative and (q == 0 or gain <= 0):
        return 1.0
    gain = max(gain, 0.0)  # but for rounding
    tail = special.chdtrc(1, gain) if dof is None else special.fdtrc(1, dof, gain)
    # With q >= 0 half of the samples from q = 0 have no gain at all.
    return float(tail / 2 if nonnegative else tail)


def _bend_p(slopes: Array, residuals: Array, dof: int | None) -> float:
    """p-value of q = 0 against q < 0: the first step that the fit would take out of its bound."""
    covariance = _covariance(slopes)
    if np.isnan(covariance[2, 2]):
        return np.nan
    z = float(covariance[2] @ (slopes.T @ residuals)) / np.sqrt(covariance[2, 2])
    return float(special.ndtr(z) if dof is None else special.stdtr(dof, z))


def _serial_p(slopes: Array, residuals: Array) -> float:
    """Durbin and Watson's test by a beta distribution with their two moments (1951)."""
    n, free = len(residuals), len(residuals) - slopes.shape[1]
    if free < 2:
        return np.nan
    size = np.abs(slopes).max(axis=0)
    if not np.all((size > SMALLEST) & (size < LARGEST)):
        return np.nan
    Q = np.linalg.qr(slopes / size)[0]
    D = np.diff(Q, axis=0)
    DQ = np.vstack([-D[:1], -np.diff(D, axis=0), D[-1:]])  # the matrix of second differences
    inner = D.T @ D
    P = 2 * (n - 1) - np.trace(inner)
    S = 6 * n - 8 - 2 * np.sum(DQ * DQ) + np.sum(inner * inner)
    mean = P / free
    variance = 2 * (S - P * mean) / (free * (free + 2))
    ratio = float(np.sum(np.diff(residuals) ** 2) / np.sum(residuals**2))
    if variance <= 0:
        return np.nan
    both = mean * (4 - mean) / variance - 1  # a + b of a beta distribution on [0, 4]
    return float(special.betainc(mean * both / 4, (1 - mean / 4) * both, ratio / 4))


def _status(
    level: float,
    *,
    A: float,
    vague: bool,
    open_low: bool,
    open_high: bool,
    bend_p: float,
    p_value: float,
    serial_p: float,
) -> str:
    """What stands out, in words."""
    said = []
    if A == 0:
        said.append("no power law with q >= 0 and k > 0 fits better than a constant")
    elif A < 0:
        said.append("k is negative: the curve bends the other way")
    if vague:
        said.append("the residuals are rounding: they do not say how large errors are")
    elif open_low and open_high:
        said.append(f"the exponent cannot be concluded: it has no limits at {level:.0%}")
    elif open_low or open_high:
        said.append(f"gamma has no {'lower' if open_low else 'upper'} limit at {level:.0%}")
    if bend_p < SUSPICIOUS:
        said.append(f"q is at its bound 0: the curve bends the other way (p = {bend_p:.2g})")
    if p_value < SUSPICIOUS:
        said.append(f"the law is rejected (p = {p_value:.2g})")
    if p_value > 1 - SUSPICIOUS:
        said.append(f"residuals are smaller than their errors (p = {1 - p_value:.2g})")
    if serial_p < SUSPICIOUS:
        said.append(f"residuals drift along `x` (p = {serial_p:.2g})")
    return "; ".join(said) or "determined"
