r"""The master curve of the structured perceptron: the limit P -> infinity in scaled units.

Inputs of a power-law covariance, omega_k = k^-a and omega_k theta_k^2 ~ k^(-1-2ar). For r < 1/2
early law, optimum and maximum stability are one curve, in units lam P^-a/2(1+ar) and
eps P^ar/(1+ar); for r > 1/2 they separate, and the curve is that around the optimum. Derived in
docs/theory.md, section 11; the integrals are those of `replica.flat`.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline
from scipy.special import zeta

from replica import ranges
from replica.common import arguments
from replica.exponents import Regime, end_kappa, end_slope, scaling_exponents
from replica.flat import Flat, hard, soft

__all__ = ["StructuredMasterCurve", "structured_master_curve"]

Array = NDArray[np.float64]

#: Where the path of the edge L is followed. Below, the law of small norms holds to exp(-36); above,
#: the expansion about maximum stability to (log(ell)/ell)^2 = 1e-12.
FIRST, LAST = -36.0, 1e7
#: Points of the table that first guesses are read from, spaced evenly in asinh(L); a choice.
TABLE = 96
#: Gauss-Legendre nodes a panel of the value, and of its check.
ORDER, FINER = 20, 28
#: Newton steps at most; from the table three to five are taken.
STEPS = 40
#: Rounding of the three integrals: sums of some 400 positive terms; measured at most 2e-15.
ROUNDING = 4e-15


@dataclass(frozen=True)
class StructuredMasterCurve:
    r"""The limit curve of the error over the norm, in units of powers of P.

    ``lam`` stands for lam P^-lam_exponent and ``error`` for eps P^error_exponent. Equation numbers
    are those of docs/theory.md.

    Attributes
    ----------
    capacity, source : float
        a and r.
    regime : Regime
        Where (a, r) lies; ``regime.sentence`` says what holds there.
    lam_exponent, error_exponent : float
        gamma_2 and gamma_meas of `scaling_exponents`.
    lam, error : (n,) arrays
        Points of the curve; at ``lam = inf`` the error is that of maximum stability, where it
        lies on this curve, and inf where it does not.
    slope : (n,) array
        d log eps / d log lam.
    error_estimate : (n,) array
        Of the relative error of ``error`` at its ``lam``: a finer rule plus rounding.
    optimum_lam, optimum_error : float
        The minimum; ``optimum_lam`` is inf where the error falls down to maximum stability.
    end_error, end_exponent : float
        Maximum stability: eps P^end_exponent -> end_error. For r > 1/2 and a < 2 the exponent is
        smaller than ``error_exponent``.
    early_constant, early_exponent : float
        The early law eps = early_constant lam^-early_exponent, common to all P: unscaled eps, lam.
    small_lam_constant, small_lam_exponent : float
        The curve's own law at small lam. It is the early law but for r > 1/2 and a > 2, where a
        second one, P^-1/2 lam^-(1/2-1/a), comes between early law and optimum (eq. 83).
    """

    capacity: float
    source: float
    regime: Regime
    lam_exponent: float
    error_exponent: float
    lam: Array
    error: Array
    slope: Array
    error_estimate: Array
    optimum_lam: float
    optimum_error: float
    end_error: float
    end_exponent: float
    early_constant: float
    early_exponent: float
    small_lam_constant: float
    small_lam_exponent: float


def structured_master_curve(
    capacity: float, source: float, lam: ArrayLike | None = None, *, points: int = 201
) -> StructuredMasterCurve:
    r"""Error over norm as P -> infinity, for power-law inputs, in scaled units.

    For r < 1/2 eqs. (71)-(72), with early law and maximum stability as its ends. For r > 1/2 and
    a < 2, with lam = (pi/sqrt 24) k^(a/2),

        (pi eps)^2 = V k^-b + (N/P) k^(1-a/2)                                       [eq. (80)]

    around the optimum, which maximum stability is far above. For r > 1/2 and a > 2 eq. (82), from
    the second early law through the optimum to maximum stability.

    At finite P the curve is approached like K^-min(1, 2ar) below r = 1/2 and, more slowly, like
    K^-min(1, (2r-1)a) above, with the last learned mode K ~ P^(2 gamma_2/a) at the optimum.

    Parameters
    ----------
    capacity : float
        a, between 1.0001 and 100, and not 2 where r > 1/2.
    source : float
        r, between 1e-4 and 5, and neither 1/2 nor, where a < 2, 1.
    lam : array, optional
        Scaled norms lam P^-lam_exponent, positive or inf; by default ``points`` of them, from deep
        in the law of small lam to close to maximum stability.
    points : int, optional
        At least 2; counts only without ``lam``.

    Returns
    -------
    StructuredMasterCurve
        Frozen. The relative accuracy is 1e-12; less within 1e-3 of a = 1 and r = 1/2, as the
        error estimate says.

    Raises
    ------
    InvalidArgument
        If an argument is out of range, or (a, r) lies on a line where no curve is the limit but
        powers of log P remain; its rule names `scaling_exponents`, which knows those.
    """
    a, r = arguments.number("capacity", capacity), arguments.number("source", source)
    _check("capacity", a, ranges.CAPACITY_OF_CURVE)
    _check("source", r, ranges.SOURCE_OF_CURVE)
    exponents = scaling_exponents(a, r)
    regime = Regime(int(exponents.regime))
    if regime in (Regime.LINE_HALF, Regime.LINE_ONE) and (r == 0.5 or a < 2):
        raise arguments.InvalidArgument(
            "source",
            f"must not lie on the line r = {r:g}, where powers of log P remain and no curve is the "
            "limit (`scaling_exponents` gives them)",
            arguments.show(r),
        )
    if regime == Regime.LINE_TWO:
        raise arguments.InvalidArgument(
            "capacity",
            "must not be 2 for a source above 1/2, where the error stays on a plateau "
            "(`scaling_exponents` gives the exponents)",
            arguments.show(a),
        )
    if lam is None:
        count = arguments.whole("points", points)
        if not 2 <= count <= arguments.MANY:
            raise arguments.InvalidArgument(
                "points", f"must be at least 2 and at most {arguments.MANY}", str(count)
            )
        wanted = None
    else:
        count = 0
        wanted = np.atleast_1d(arguments.numbers("lam", lam)).ravel()
        for value in wanted[~ranges.SCALED_NORM.holds(wanted)][:1]:
            _check("lam", float(value), ranges.SCALED_NORM)
    curve, optimum, early = _prepared(a, r)
    if wanted is None:
        wanted = curve.default(count)
    log_error, slope, estimate = curve.at(wanted)
    small = _second_law(a, r) if r > 0.5 and a > 2 else early
    error = np.exp(log_error)
    for array in (wanted, error, slope, estimate):
        array.flags.writeable = False
    return StructuredMasterCurve(
        capacity=a,
        source=r,
        regime=regime,
        lam_exponent=float(exponents.gamma_2),
        error_exponent=float(exponents.gamma_meas),
        lam=wanted,
        error=error,
        slope=slope,
        error_estimate=estimate,
        optimum_lam=optimum[0],
        optimum_error=optimum[1],
        end_error=math.exp(_log_end(a, r)[0]),
        end_exponent=float(exponents.gamma_end),
        early_constant=early[0],
        early_exponent=early[1],
        small_lam_constant=small[0],
        small_lam_exponent=small[1],
    )


def _check(name: str, value: float, rule: arguments.Range) -> None:
    """Refuse a number that breaks its rule."""
    if not rule.holds(np.array([value]))[0]:
        raise arguments.InvalidArgument(name, rule.words, arguments.show(value))


@functools.lru_cache(maxsize=64)
def _prepared(
    a: float, r: float
) -> tuple[_Path | _Explicit, tuple[float, float], tuple[float, float]]:
    """What does not depend on lam and takes most of the time: curve, optimum, early law."""
    curve = _Explicit(a, r) if r > 0.5 and a < 2 else _Path(a, r)
    return curve, curve.optimum(), _early_law(a, r)


# ------------------------------------------------------------------- constants of the spectrum


def _log_modes(a: float) -> float:
    """The logarithm of I_0 = (pi/a)/sin(pi/a), g = I_0 k_mu: eq. (68)."""
    # sin(pi/a) = sin(pi (1 - 1/a)) keeps its digits close to a = 1
    return math.log(math.pi / a) - math.log(math.sin(math.pi * (a - 1) / a))


def _teacher(a: float, r: float) -> float:
    """The squared norm of the teacher, sum theta_k^2 at unit field, eq. (78); r > 1/2."""
    return float(zeta(1 + a * (2 * r - 1)) / zeta(1 + 2 * a * r))


def _unlearned(a: float, r: float) -> float:
    """The constant of E_tau h = constant k_mu^-min(2r, 1)a, eqs. (69) and (78)."""
    if r > 0.5:
        return _teacher(a, r)
    return math.pi / (a * float(zeta(1 + 2 * a * r)) * math.sin(2 * math.pi * r))


def _bias(a: float, r: float) -> tuple[float, float]:
    """V and b of eqs. (74), (78): the error of what is not learned, (pi eps)^2 = V k_mu^-b."""
    if r < 1:
        return (1 - 2 * r) * math.pi / (
            a * float(zeta(1 + 2 * a * r)) * math.sin(2 * math.pi * r)
        ), 2 * a * r
    # the variance of k^a - 1, in which the first mode drops out: nothing large is subtracted
    rest = [float(zeta(1 + 2 * a * r - j * a, 2.0)) for j in range(3)]
    whole = float(zeta(1 + 2 * a * r))
    mean, square = (rest[1] - rest[0]) / whole, (rest[2] - 2 * rest[1] + rest[0]) / whole
    return square - mean * mean, 2 * a


def _noise(a: float, r: float) -> float:
    """N of eq. (80): the error that the examples leave, (pi eps)^2 = (N/P) k_mu^(1-a/2)."""
    share = (a - 1) * (2 * math.log(2) - 1) / a
    return math.exp(_log_modes(a)) * math.sqrt(12 * _teacher(a, r) / math.pi) * share


def _early_law(a: float, r: float) -> tuple[float, float]:
    """Constant and exponent of the early law, eqs. (74) and (80)."""
    if r == 1:  # only with a > 2: its logarithm is not on the curve around the optimum
        return math.nan, 2.0
    V, b = _bias(a, r)
    if r > 0.5:
        return math.sqrt(V) / math.pi * (math.pi / math.sqrt(24)) ** (b / a), b / a
    scale = 2 * float(_condition(a, r, np.array([FIRST]))[0]) + math.log(2 * r / (1 - 2 * r))
    return math.sqrt(V) / math.pi * math.exp(r * scale), 2 * r


def _second_law(a: float, r: float) -> tuple[float, float]:
    """Constant and exponent of eq. (83), in scaled units: the error of eq. (80) without V."""
    power = 0.5 - 1 / a
    return math.sqrt(_noise(a, r)) / math.pi * (math.sqrt(24) / math.pi) ** -power, power


# ------------------------------------------------- around the optimum, for r > 1/2 and a < 2


class _Explicit:
    """Eq. (80) with lam = (pi/sqrt 24) k^(a/2)."""

    def __init__(self, a: float, r: float):
        self.a = a
        V, self.b = _bias(a, r)
        self.log_bias, self.log_noise = math.log(V), math.log(_noise(a, r))
        # of zeta(1 + x) at small x and of sin(2 pi r) at r close to 1/2 and 1
        self.rounding = 1e-15 * (2 + 1 / (a * (2 * r - 1)) + 1 / max(abs(1 - r), 1e-15))

    def at(self, lam: Array) -> tuple[Array, Array, Array]:
        """The logarithm of eps, its slope and the error estimate."""
        log_k = (2 / self.a) * (np.log(lam) + math.log(math.sqrt(24) / math.pi))
        bias = self.log_bias - self.b * log_k
        noise = self.log_noise + (1 - self.a / 2) * log_k
        both = np.logaddexp(bias, noise)
        slope = (np.exp(noise - both) * (1 - self.a / 2) - np.exp(bias - both) * self.b) / self.a
        slope[np.isinf(lam)] = (1 - self.a / 2) / self.a
        estimate = self.rounding + 2e-16 * (4 + np.abs(log_k)) * (1 + self.b)
        return 0.5 * both - math.log(math.pi), slope, np.where(np.isinf(lam), 0.0, estimate)

    def optimum(self) -> tuple[float, float]:
        """Norm and error."""
        rise = 1 - self.a / 2
        log_k = (self.log_bias - self.log_noise + math.log(self.b / rise)) / (self.b + rise)
        lam = math.pi / math.sqrt(24) * math.exp(self.a / 2 * log_k)
        return lam, math.exp(self.at(np.array([lam]))[0][0])

    def default(self, count: int) -> Array:
        """Three decades of the norm on each side of the optimum."""
        values: Array = self.optimum()[0] * np.geomspace(1e-3, 1e3, count)
        return values


# ------------------------------------------------------------------- along the path of (ell, L)


def _condition(a: float, r: float, edge: Array, start: Array | None = None) -> Array:
    """The logarithm of ell of eq. (71) at each L: safeguarded Newton, from a guess if given."""
    share, noise = 1 - min(2 * r, 1.0), 1 - 1 / a
    # small: ell -> e^(L/2) where E grows without bound; large: L = 2 ell kappa, kappa > 0.01
    low, high = np.minimum(edge / 2, 0.0) - 20, np.log1p(np.abs(edge)) + 7
    guess = np.log(np.maximum(edge, 2.0) / 2) + np.minimum(edge / 2, 0.0) * (share == 0)
    log_ell = guess if start is None else start.copy()
    left = np.arange(len(edge))
    for _ in range(4 * STEPS):
        at = soft(log_ell[left], edge[left], ORDER)
        ratio = at.A / at.G
        value = share * at.E - 1 + noise * ratio
        slope = share * at.E_ell + noise * (at.A_ell - ratio * at.G_ell) / at.G
        old = log_ell[left]
        low[left], high[left] = (
            np.where(value > 0, old, low[left]),
            np.where(value > 0, high[left], old),
        )
        new = old - value / slope
        safe = (new > low[left]) & (new < high[left])
        log_ell[left] = np.where(safe, new, 0.5 * (low[left] + high[left]))
        left = left[np.abs(log_ell[left] - old) > 1e-13 * np.maximum(1.0, np.abs(old))]
        if len(left) == 0:
            break
    return log_ell


def _log_end(a: float, r: float) -> tuple[float, float]:
    """Of maximum stability: log of eps, and of lam/ell, in scaled units."""
    at = hard(end_kappa(np.array([a]), np.array([r])))
    log_error, log_lam = _scaled(a, r, at)
    return float(log_error[0]), float(log_lam[0])


def _scaled(a: float, r: float, at: Flat) -> tuple[Array, Array]:
    """Logarithms of eps and lam/ell, of eqs. (71)-(72) and (82)."""
    share = min(2 * r, 1.0)
    log_I = _log_modes(a)
    log_theta = math.log(_unlearned(a, r))
    log_s = (log_theta - np.log(at.E) + a * share * (log_I - np.log(at.G))) / (2 + a * share)
    log_k = log_s + np.log(at.G) - log_I
    log_lam = a / 2 * log_k + 0.5 * np.log(at.A / (a * at.G) + share * at.E)
    return log_s - math.log(math.pi), log_lam


class _Path:
    """The curve as a path in (log ell, L), from the law of small norms to maximum stability."""

    def __init__(self, a: float, r: float):
        self.a, self.r = a, r
        self.share, self.noise = min(2 * r, 1.0), 1 - 1 / a
        few = np.linspace(np.arcsinh(FIRST), np.arcsinh(LAST), TABLE // 6)
        coarse = CubicSpline(few, _condition(a, r, np.sinh(few)))
        mapped = np.linspace(few[0], few[-1], TABLE)
        self.edge = np.sinh(mapped)
        self.log_ell = _condition(a, r, self.edge, coarse(mapped))
        self.guess = CubicSpline(mapped, self.log_ell)
        self.log_error, self.log_lam = self._values(soft(self.log_ell, self.edge), self.log_ell)

    def _values(self, at: Flat, log_ell: Array) -> tuple[Array, Array]:
        """Logarithms of eps and lam, in scaled units."""
        log_error, log_lam = _scaled(self.a, self.r, at)
        return log_error, log_lam + log_ell

    def _derivatives(self, at: Flat) -> tuple[Array, Array, Array]:
        """Of the condition, of log lam and of log eps: (2, n) by log ell and L."""
        a, share = self.a, self.share
        A, G, E = (
            np.stack(pair)
            for pair in ((at.A_ell, at.A_edge), (at.G_ell, at.G_edge), (at.E_ell, at.E_edge))
        )
        ratio = at.A / at.G
        ratio_d = (A - ratio * G) / at.G
        condition = (1 - share) * E + self.noise * ratio_d
        error = -(E / at.E + a * share * G / at.G) / (2 + a * share)
        lam = a / 2 * (error + G / at.G)
        lam += 0.5 * (ratio_d / a + share * E) / (ratio / a + share * at.E)
        lam[0] += 1.0
        return condition, lam, error

    def _miss(self, at: Flat) -> Array:
        """The condition of eq. (71)."""
        value: Array = (1 - self.share) * at.E - 1 + self.noise * at.A / at.G
        return value

    def _slope(self, at: Flat) -> Array:
        """Slope d log eps / d log lam along the path."""
        condition, lam, error = self._derivatives(at)
        slope: Array = (error[1] * condition[0] - error[0] * condition[1]) / (
            lam[1] * condition[0] - lam[0] * condition[1]
        )
        return slope

    def at(self, lam: Array) -> tuple[Array, Array, Array]:
        """The logarithm of eps, its slope and the error estimate."""
        log_lam = np.log(lam)
        # constants are zetas close to their pole, and a sine close to its zero
        near = min(2 * self.a * self.r, self.a * abs(1 - 2 * self.r), 1.0)
        base = ROUNDING * (2 + 0.1 / near)
        log_error, slope = np.empty_like(lam), np.empty_like(lam)
        estimate = np.full_like(lam, base)
        small, large = log_lam <= self.log_lam[0], log_lam >= self.log_lam[-1]
        constant, power = (_second_law if self.r > 0.5 else _early_law)(self.a, self.r)
        log_error[small] = math.log(constant) - power * log_lam[small]
        slope[small] = -power
        estimate[small] += math.exp(FIRST) + 1e-15 * np.abs(log_lam[small])
        if large.any():
            end, log_unit = _log_end(self.a, self.r)
            first = float(end_slope(np.array([self.a]), np.array([self.r]))[0])
            inverse = 0.5 * np.exp(log_unit - log_lam[large])  # 1/(2 ell)
            log_error[large] = end + first * inverse
            slope[large] = -first * inverse
            estimate[large] += (20 * inverse) ** 2  # log(2 ell)/(2 ell) squared
        middle = np.flatnonzero(~small & ~large)
        if len(middle):
            part = self._solve(log_lam[middle])
            log_error[middle], slope[middle] = part[0], part[1]
            estimate[middle] += part[2]
        return log_error, slope, estimate

    def _solve(self, target: Array) -> tuple[Array, Array, Array]:
        """The same between the ends: Newton in (log ell, L), checked by the finer rule."""
        mapped = np.arcsinh(self.edge)
        edge = np.sinh(np.interp(target, self.log_lam, mapped))
        log_ell = np.interp(target, self.log_lam, self.log_ell)
        for _ in range(STEPS):
            _, d_ell, d_edge, _ = self._step(log_ell, edge, target, ORDER)
            d_ell = np.clip(d_ell, -1.0, 1.0)
            widest = 1.0 + 0.3 * np.abs(edge)
            d_edge = np.clip(d_edge, -widest, widest)
            log_ell, edge = log_ell + d_ell, edge + d_edge
            small = np.maximum(np.abs(d_ell), np.abs(d_edge) / (1.0 + np.abs(edge)))
            if small.max() < 1e-12:
                break
        log_error, _, _, sensitivity = self._step(log_ell, edge, target, ORDER)
        slope = self._slope(soft(log_ell, edge, ORDER))
        finer, d_ell, d_edge, _ = self._step(log_ell, edge, target, FINER)
        at = soft(log_ell, edge, FINER)
        error = self._derivatives(at)[2]
        change = np.abs(finer + error[0] * d_ell + error[1] * d_edge - log_error)
        return log_error, slope, change + sensitivity

    def _step(
        self, log_ell: Array, edge: Array, target: Array, order: int
    ) -> tuple[Array, Array, Array, Array]:
        """The logarithm of eps, a Newton step, and the error of the former by rounding."""
        at = soft(log_ell, edge, order)
        log_error, log_lam = self._values(at, log_ell)
        F, lam, error = self._derivatives(at)
        miss, off = self._miss(at), log_lam - target
        det = F[0] * lam[1] - F[1] * lam[0]
        d_ell = -(lam[1] * miss - F[1] * off) / det
        d_edge = -(F[0] * off - lam[0] * miss) / det
        by_miss = (error[0] * lam[1] - error[1] * lam[0]) / det
        by_off = (error[1] * F[0] - error[0] * F[1]) / det
        terms = (1 - self.share) * at.E + 1 + self.noise * at.A / at.G
        rounding = ROUNDING * (1 + np.abs(by_miss) * terms + np.abs(by_off) * (2 + self.a / 2))
        return log_error, d_ell, d_edge, rounding + 1e-15 * np.abs(by_off * target)

    def optimum(self) -> tuple[float, float]:
        """Norm and error of the minimum; inf and the end where the error falls down to it."""
        a, r = self.a, self.r
        end, _ = _log_end(a, r)
        lowest = int(np.argmin(self.log_error))
        if end_slope(np.array([a]), np.array([r]))[0] >= 0 or lowest == len(self.edge) - 1:
            return math.inf, math.exp(end)
        low, high = self.edge[max(lowest - 1, 0)], self.edge[lowest + 1]

        def at(edge: float) -> tuple[Array, Flat]:
            here = np.array([edge])
            log_ell = _condition(a, r, here, self.guess(np.arcsinh(here)))
            return log_ell, soft(log_ell, here)

        for _ in range(60):
            edge = 0.5 * (low + high)
            rising = self._slope(at(edge)[1])[0] > 0
            low, high = (low, edge) if rising else (edge, high)
            if high - low < 1e-13 * max(1.0, abs(high)):
                break
        log_ell, found = at(0.5 * (low + high))
        log_error, log_lam = self._values(found, log_ell)
        return math.exp(log_lam[0]), math.exp(log_error[0])

    def default(self, count: int) -> Array:
        """From the law of small norms, reached to exp(-16), to 1e-3 from maximum stability."""
        mapped = np.linspace(np.arcsinh(-16.0), np.arcsinh(1e3), count)
        edge = np.sinh(mapped)
        log_ell = _condition(self.a, self.r, edge, self.guess(mapped))
        values: Array = np.exp(self._values(soft(log_ell, edge), log_ell)[1])
        return values
