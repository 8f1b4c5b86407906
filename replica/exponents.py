r"""The exponents of the structured perceptron in closed form, and which inputs have given ones.

Inputs of a power-law covariance, omega_k = k^-a and omega_k theta_k^2 ~ k^(-1-2ar), with the
capacity a > 1 and the source r > 0. Derived in docs/theory.md, section 11: `scaling_exponents` is
the map from (a, r) to exponents, `effective_spectrum` its inverse.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from replica import ranges
from replica.common import arguments
from replica.common.refusals import Refusals
from replica.flat import hard, softened

__all__ = [
    "EffectiveSpectrum",
    "Regime",
    "ScalingExponents",
    "effective_spectrum",
    "scaling_exponents",
]

Array = NDArray[np.float64]
FloatOrArray = float | NDArray[np.float64]
BoolOrArray = bool | NDArray[np.bool_]


class Regime(enum.IntEnum):
    """Where a point (capacity, source), or a pair of exponents, lies; ``sentence`` says what holds.

    Codes from 0 on are regions and lines of the plane (a, r); negative codes are pairs
    (gamma_1, gamma_2) that no power law of the inputs has.
    """

    ONE_CURVE = 0
    EARLY_OPTIMUM = 1
    LATE_OPTIMUM = 2
    SATURATED_EARLY = 3
    SATURATED_LATE = 4
    LINE_HALF = 5
    LINE_TWO = 6
    LINE_ONE = 7
    REFUSED = -1
    NOT_SUMMABLE = -2
    TOO_STEEP = -3
    BETWEEN = -4
    TOO_FAST = -5
    NO_EARLY_LAW = -6

    @property
    def sentence(self) -> str:
        """What holds there, in words."""
        return _SENTENCES[self]

    @property
    def exists(self) -> bool:
        """Whether some (capacity, source) lies there."""
        return self >= 0


_SENTENCES = {
    Regime.ONE_CURVE: "r < 1/2: early law, optimum and maximum stability are one master curve",
    Regime.EARLY_OPTIMUM: "1/2 < r < 1, a < 2: the optimum ends the early law; maximum stability "
    "decays more slowly",
    Regime.LATE_OPTIMUM: "1/2 < r < 1, a > 2: optimum and maximum stability share an exponent, "
    "below that of the product law",
    Regime.SATURATED_EARLY: "r > 1, a < 2: the source counts as r = 1, and the optimum ends the "
    "early law",
    Regime.SATURATED_LATE: "r > 1, a > 2: the source counts as r = 1, and optimum and maximum "
    "stability share an exponent",
    Regime.LINE_HALF: "r = 1/2: on the line between regimes, with powers of log P",
    Regime.LINE_TWO: "a = 2, r > 1/2: on the line between an early and a late optimum, where "
    "gamma_2 belongs to neither",
    Regime.LINE_ONE: "r = 1: on the line where the source saturates, with powers of log P",
    Regime.REFUSED: "the arguments were refused",
    Regime.NOT_SUMMABLE: "gamma_2 is too small: it would need a capacity of at most 1, inputs of "
    "infinite variance",
    Regime.TOO_STEEP: "gamma_2 is too large for this gamma_1: no capacity, however large, has it",
    Regime.BETWEEN: "gamma_2 lies in the gap between 1/(2 gamma_1) and 1/2, which gamma_2 jumps "
    "over at capacity 2",
    Regime.TOO_FAST: "gamma_1 is above 2, where the source saturates",
    Regime.NO_EARLY_LAW: "gamma_1 is not positive: there is no early law",
}


def _shaped(values: Array, shape: tuple[int, ...]) -> FloatOrArray:
    """Flat values in their shape, read-only; a float where the shape is ()."""
    if shape == ():
        return float(values[0])
    values = values.reshape(shape)
    values.flags.writeable = False
    return values


def _flags(values: NDArray[np.bool_], shape: tuple[int, ...]) -> BoolOrArray:
    if shape == ():
        return bool(values[0])
    values = values.reshape(shape)
    values.flags.writeable = False
    return values


def _regimes(codes: NDArray[np.int8], shape: tuple[int, ...]) -> Regime | NDArray[np.int8]:
    if shape == ():
        return Regime(int(codes[0]))
    codes = codes.reshape(shape)
    codes.flags.writeable = False
    return codes


def _blocks(which: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Entries in blocks whose integrals are taken together; none for none."""
    return np.array_split(which, len(which) // BLOCK + 1) if len(which) else []


# ------------------------------------------------------------------- from inputs to exponents


@dataclass(frozen=True)
class ScalingExponents:
    r"""Exponents of the structured perceptron as P -> infinity, each of one broadcast shape.

    Quantities go like ``P^-gamma (log P)^gamma_log``, and along the early law like
    ``lam^-gamma_1 (log lam)^gamma_1_log``; the powers of the logarithm are 0 off the lines.

    Attributes
    ----------
    capacity, source : float or array
        a and r.
    gamma_1, gamma_1_log : float or array
        Of the early law, common to all P: eps ~ lam^-gamma_1; 2 min(r, 1).
    gamma_2, gamma_2_log : float or array
        Of the norm where the early law is left, lam_opt ~ P^gamma_2 (log P)^gamma_2_log.
    gamma_meas, gamma_meas_log : float or array
        Of the smallest error.
    gamma_end, gamma_end_log : float or array
        Of the error of maximum stability.
    regime : Regime or array of int8
        Its code; ``Regime(code).sentence`` says what holds there.
    product_law : bool or array
        Whether gamma_meas = gamma_1 gamma_2.
    finite_optimum : bool or array
        Whether the smallest error is met at a finite norm. Where it is not, near a = 1 with
        r < 1/2, the error falls down to maximum stability, and gamma_2 is the exponent
        of the norms at which the early law bends (eq. 77).
    """

    capacity: FloatOrArray
    source: FloatOrArray
    gamma_1: FloatOrArray
    gamma_2: FloatOrArray
    gamma_meas: FloatOrArray
    gamma_end: FloatOrArray
    gamma_1_log: FloatOrArray
    gamma_2_log: FloatOrArray
    gamma_meas_log: FloatOrArray
    gamma_end_log: FloatOrArray
    regime: Regime | NDArray[np.int8]
    product_law: BoolOrArray
    finite_optimum: BoolOrArray


def scaling_exponents(capacity: ArrayLike, source: ArrayLike) -> ScalingExponents:
    r"""Exponents of the fixed-norm perceptron with power-law inputs, eqs. (73), (81)-(86).

    gamma_1 = 2 min(r, 1), and

    - r <= 1/2: gamma_2 = a/(2(1+ar)), gamma_meas = ar/(1+ar), that of maximum stability too;
    - r > 1/2, a < 2, with m = min(r, 1): gamma_2 = (a/2)/(1+2am-a/2), gamma_meas = am/(1+2am-a/2);
    - r > 1/2, a > 2: gamma_2 = gamma_meas = a/(2+a);
    - r > 1/2: maximum stability has a/(2+a).

    Parameters
    ----------
    capacity : float or array
        a of omega_k = k^-a, above 1: the variance of the inputs is finite.
    source : float or array
        r of omega_k theta_k^2 ~ k^(-1-2ar), positive.

    Returns
    -------
    ScalingExponents
        Frozen; of the broadcast shape of the arguments.

    Raises
    ------
    ValueError
        If a scalar is out of range; such entries of arrays are nan, with a warning.
    """
    shape, flat = arguments.broadcast({"capacity": capacity, "source": source})
    refusals = Refusals(shape)
    refusals.check("capacity", flat["capacity"], ranges.LAW_CAPACITY)
    refusals.check("source", flat["source"], ranges.LAW_SOURCE)
    refusals.warn()
    bad = refusals.bad
    # any point stands in for what is refused, and is written over below
    a, r = np.where(bad, 1.5, flat["capacity"]), np.where(bad, 0.25, flat["source"])
    values, regime, law = _exponents(a, r)
    finite = np.ones(len(a), dtype=bool)
    island = np.flatnonzero((r < 0.5) & (a < ISLAND))
    for part in _blocks(island):
        finite[part] = end_slope(a[part], r[part]) < 0
    values[:, bad] = np.nan
    regime[bad] = Regime.REFUSED
    law[bad] = finite[bad] = False
    given = flat["capacity"].copy(), flat["source"].copy()
    shown = dict(zip(ROWS, (_shaped(row, shape) for row in values), strict=True))
    return ScalingExponents(
        capacity=_shaped(given[0], shape),
        source=_shaped(given[1], shape),
        regime=_regimes(regime, shape),
        product_law=_flags(law, shape),
        finite_optimum=_flags(finite, shape),
        **shown,
    )


#: Rows of `_exponents`.
ROWS = (
    "gamma_1",
    "gamma_2",
    "gamma_meas",
    "gamma_end",
    "gamma_1_log",
    "gamma_2_log",
    "gamma_meas_log",
    "gamma_end_log",
)


def _exponents(a: Array, r: Array) -> tuple[Array, NDArray[np.int8], NDArray[np.bool_]]:
    """The eight rows of exponents, the codes, and whether the product law holds."""
    m = np.minimum(r, 1.0)
    one, early, late = r <= 0.5, (r > 0.5) & (a < 2), (r > 0.5) & (a > 2)
    half, two, unit = r == 0.5, a == 2, r == 1.0
    width = 1 + 2 * a * m - a / 2
    both = a / (2 + a)
    limited = a * np.minimum(r, 0.5)
    end = limited / (1 + limited)
    gamma_1 = 2 * m
    gamma_2 = np.select([one, early, late], [a / (2 * (1 + a * r)), a / 2 / width, both])
    gamma_2 = np.where(two & ~one, 1 / (1 + 2 * m), gamma_2)  # eq. (84)
    gamma_meas = np.select([one, early], [end, a * m / width], both)

    # eqs. (85) and (86): powers of the logarithm on the lines r = 1/2 and r = 1
    share = a / (2 * (2 + a))
    gamma_1_log = np.where(unit, 0.5, 0.0)
    gamma_2_log = np.zeros_like(a)
    gamma_2_log[half] = (np.sign(a - 2) * share)[half]
    gamma_meas_log = np.zeros_like(a)
    gamma_meas_log[half] = np.where(a < 2, share, 1 / (2 + a))[half]
    falls = unit & (a < 2)
    gamma_2_log[falls] = (a / (2 + 3 * a))[falls]
    gamma_meas_log[falls] = ((2 - a) / (2 * (2 + 3 * a)))[falls]
    gamma_2_log[unit & two] = 1 / 6
    gamma_end_log = np.where(half, 1 / (2 + a), 0.0)

    regime = np.select(
        [half, two & (r > 0.5), unit, one, early & (r < 1), late & (r < 1), early],
        [
            Regime.LINE_HALF,
            Regime.LINE_TWO,
            Regime.LINE_ONE,
            Regime.ONE_CURVE,
            Regime.EARLY_OPTIMUM,
            Regime.LATE_OPTIMUM,
            Regime.SATURATED_EARLY,
        ],
        Regime.SATURATED_LATE,
    ).astype(np.int8)
    rows = [
        gamma_1,
        gamma_2,
        gamma_meas,
        end,
        gamma_1_log,
        gamma_2_log,
        gamma_meas_log,
        gamma_end_log,
    ]
    return np.stack(rows), regime, one | early


#: `end_slope` is negative from here on, whatever the source: its zero has its tip at
#: a = 1.162, r = 0.264.
ISLAND = 1.2
#: Points whose integrals are taken together; a choice (arrays of 4 MB).
BLOCK = 256
#: Halvings of the bracket of kappa: from 10^5 down to the last digit.
HALVINGS = 70


def end_kappa(a: Array, r: Array) -> Array:
    """kappa/s of maximum stability in the scaling limit: the root of eq. (75)."""
    source, noise = np.maximum(1 - 2 * r, 0.0), 1 - 1 / a
    low = np.zeros_like(a)
    # A/G is at least kappa^2/3 and E at least kappa^2/6: beyond this the left side exceeds 1
    high = 1 + 3 / np.sqrt(noise + source / 2)
    for _ in range(HALVINGS):
        kappa = 0.5 * (low + high)
        at = hard(kappa)
        above = source * at.E + noise * at.A / at.G > 1
        low, high = np.where(above, low, kappa), np.where(above, kappa, high)
    return 0.5 * (low + high)


def end_slope(a: Array, r: Array) -> Array:
    """Slope of log eps in 1/(2 ell) at 0: a finite norm does better if negative (eq. 77)."""
    share, noise = np.minimum(2 * r, 1.0), 1 - 1 / a
    kappa = end_kappa(a, r)
    at = hard(kappa)
    A, G, E = softened(kappa)
    ratio = at.A / at.G
    pull = (1 - share) * at.E_edge + noise * (at.A_edge - ratio * at.G_edge) / at.G
    push = (1 - share) * E + noise * (A - ratio * G) / at.G
    shift = -push / pull
    rise = (E + at.E_edge * shift) / at.E + a * share * (G + at.G_edge * shift) / at.G
    return -rise / (2 + a * share)


# ------------------------------------------------------------------- from exponents to inputs

#: Quantiles of the capacity that are reported: one standard error of a normal number each side.
LOW, HIGH = float(ndtr(-1.0)), float(ndtr(1.0))


@dataclass(frozen=True)
class EffectiveSpectrum:
    r"""The power law of inputs that has given exponents, each of one broadcast shape.

    Errors take those of gamma_1 and gamma_2 as independent and normal.

    Attributes
    ----------
    gamma_1, gamma_2 : float or array
        What was given.
    capacity, source : float or array
        a and r; nan where none has these exponents. For gamma_1 = 2 the source is 1 or more.
    capacity_error, source_error : float or array
        Standard errors to first order in those of the exponents.
    covariance : float or array
        Of capacity and source, to first order.
    capacity_low, capacity_high : float or array
        The quantiles at 16% and 84% of the capacity, beyond the first order. inf where more than
        16% of the pairs are too steep for any capacity; pairs below the strip count as less
        than 1.
    regime : Regime or array of int8
        Where the pair lies; ``Regime(code).sentence`` says what holds there, or why no inputs
        have these exponents.
    product_law : bool or array
        Whether the pair lies where gamma_meas = gamma_1 gamma_2 must hold.
    product_law_probability : float or array
        The probability of that, given the errors.
    outside_probability : float or array
        The probability that no (a, r) has the pair, given the errors.
    """

    gamma_1: FloatOrArray
    gamma_2: FloatOrArray
    capacity: FloatOrArray
    source: FloatOrArray
    capacity_error: FloatOrArray
    source_error: FloatOrArray
    covariance: FloatOrArray
    capacity_low: FloatOrArray
    capacity_high: FloatOrArray
    product_law_probability: FloatOrArray
    outside_probability: FloatOrArray
    regime: Regime | NDArray[np.int8]
    product_law: BoolOrArray


def effective_spectrum(
    gamma_1: ArrayLike,
    gamma_2: ArrayLike,
    *,
    gamma_1_error: ArrayLike = 0.0,
    gamma_2_error: ArrayLike = 0.0,
) -> EffectiveSpectrum:
    r"""Capacity and source of the inputs whose perceptron has these exponents, eq. (87).

    r = gamma_1/2, and a = 2 gamma_2/(1 - gamma_1 gamma_2) for gamma_1 <= 1. For 1 < gamma_1 <= 2
    it is 2 gamma_2/(1 - (2 gamma_1 - 1) gamma_2) where that is below 2, and
    2 gamma_2/(1 - gamma_2) where that is above 2. No pair has two answers; some have none.

    Parameters
    ----------
    gamma_1, gamma_2 : float or array
        eps ~ lam^-gamma_1 early, lam_opt ~ P^gamma_2.
    gamma_1_error, gamma_2_error : float or array
        Their standard errors, by default 0.

    Returns
    -------
    EffectiveSpectrum
        Frozen; of the broadcast shape of the arguments.

    Raises
    ------
    ValueError
        If a scalar is not finite or an error negative; such entries of arrays are nan, with a
        warning.
    """
    given = {
        "gamma_1": gamma_1,
        "gamma_2": gamma_2,
        "gamma_1_error": gamma_1_error,
        "gamma_2_error": gamma_2_error,
    }
    shape, flat = arguments.broadcast(given)
    refusals = Refusals(shape)
    for name in ("gamma_1", "gamma_2"):
        refusals.check(name, flat[name], ranges.EXPONENT)
    for name in ("gamma_1_error", "gamma_2_error"):
        refusals.check(name, flat[name], ranges.ERROR_OF_EXPONENT)
    refusals.warn()
    bad = refusals.bad
    g1, g2 = np.where(bad, 0.5, flat["gamma_1"]), np.where(bad, 0.5, flat["gamma_2"])
    error_1, error_2 = (
        np.where(bad, 0.0, flat[name]) for name in ("gamma_1_error", "gamma_2_error")
    )
    regime = _regime_of_pair(g1, g2)
    inside = regime >= 0
    a, slope_1, slope_2 = _capacity_of_pair(g1, g2)
    with np.errstate(invalid="ignore", over="ignore"):  # slopes outside, which are not looked at
        error = np.where(inside, np.hypot(slope_1 * error_1, slope_2 * error_2), np.nan)
        covariance = np.where(inside, slope_1 * error_1**2 / 2, np.nan)
    rows = np.empty((len(SPECTRUM_ROWS), len(a)))
    rows[0] = np.where(inside, a, np.nan)
    rows[1] = np.where((g1 > 0) & (g1 <= 2), g1 / 2, np.nan)
    rows[2], rows[3], rows[4] = error, error_1 / 2, covariance
    rows[5] = rows[6] = _continued_capacity(g1, g2)
    rows[7], rows[8] = np.isin(regime, PRODUCT_LAW), ~inside
    blurred = np.flatnonzero(~bad & (error_1 + error_2 > 0))
    for part in _blocks(blurred):
        pair = _Pair(g1[part], g2[part], error_1[part], error_2[part])
        rows[5, part], rows[6, part] = pair.quantile(LOW), pair.quantile(HIGH)
        rows[7, part], rows[8, part] = pair.product_law(), pair.outside()
    law = np.isin(regime, PRODUCT_LAW)
    rows[:, bad] = np.nan
    regime[bad] = Regime.REFUSED
    law[bad] = False
    shown = dict(zip(SPECTRUM_ROWS, (_shaped(row, shape) for row in rows), strict=True))
    return EffectiveSpectrum(
        gamma_1=_shaped(flat["gamma_1"].copy(), shape),
        gamma_2=_shaped(flat["gamma_2"].copy(), shape),
        regime=_regimes(regime, shape),
        product_law=_flags(law, shape),
        **shown,
    )


#: Where a pair must obey the product law.
PRODUCT_LAW = (
    Regime.ONE_CURVE,
    Regime.LINE_HALF,
    Regime.EARLY_OPTIMUM,
    Regime.SATURATED_EARLY,
)
#: Rows of numbers in `effective_spectrum`.
SPECTRUM_ROWS = (
    "capacity",
    "source",
    "capacity_error",
    "source_error",
    "covariance",
    "capacity_low",
    "capacity_high",
    "product_law_probability",
    "outside_probability",
)


def _regime_of_pair(g1: Array, g2: Array) -> NDArray[np.int8]:
    """Codes of pairs, by the bounds of each strip of gamma_1."""
    shallow, steep = (g1 > 0) & (g1 <= 1), (g1 > 1) & (g1 <= 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        floor = np.where(shallow, 1 / (2 + g1), 1 / (1 + 2 * g1))
        # 1 at gamma_1 = 1, from both sides
        ceiling = np.where(shallow, 1 / g1, 1.0)
        early = steep & (g2 < 1 / (2 * g1))
        late = steep & (g2 > 0.5)
    codes = np.select(
        [
            g1 <= 0,
            g1 > 2,
            g2 <= floor,
            g2 >= ceiling,
            g1 == 1,
            shallow,
            (g1 == 2) & early,
            (g1 == 2) & late,
            early,
            late,
        ],
        [
            Regime.NO_EARLY_LAW,
            Regime.TOO_FAST,
            Regime.NOT_SUMMABLE,
            Regime.TOO_STEEP,
            Regime.LINE_HALF,
            Regime.ONE_CURVE,
            Regime.SATURATED_EARLY,
            Regime.SATURATED_LATE,
            Regime.EARLY_OPTIMUM,
            Regime.LATE_OPTIMUM,
        ],
        Regime.BETWEEN,
    ).astype(np.int8)
    return np.where(steep & (g2 == 1 / (1 + g1)), Regime.LINE_TWO, codes).astype(np.int8)


def _capacity_of_pair(g1: Array, g2: Array) -> tuple[Array, Array, Array]:
    """Capacity of eq. (87), with derivatives by gamma_1, gamma_2; nonsense outside the strips."""
    shallow = g1 <= 1
    early = ~shallow & (g2 <= 0.5)
    # in each strip 2/a = 1/gamma_2 - k, with k linear in gamma_1
    k = np.select([shallow, early], [g1, 2 * g1 - 1], 1.0)
    k_1 = np.select([shallow, early], [1.0, 2.0], 0.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        a = 2 * g2 / (1 - k * g2)
        slope_1, slope_2 = 0.5 * a * a * k_1, 0.5 * (a / g2) ** 2
    on_two = ~shallow & (g2 == 1 / (1 + g1))
    return np.where(on_two, 2.0, a), slope_1, slope_2


def _continued_capacity(g1: Array, g2: Array) -> Array:
    """Capacity of a pair, the strips continued beyond their ends: from 0 to inf, 2 in the gap."""
    with np.errstate(divide="ignore"):
        inverse = np.where(g2 > 0, 1 / g2, np.inf)
        steep = np.minimum(g1, 2.0)
        early, late = inverse + 1 - 2 * steep, inverse - 1
        rate = np.where(g1 <= 1, inverse - g1, np.where(early > 1, early, np.minimum(late, 1.0)))
        found: Array = np.where(rate > 0, 2 / rate, np.inf)
    return found


#: Panel edges about the middle of a normal density, or of a step, in its own widths: beyond the
#: last 2 (1 - Phi(9)) = 2e-19 is left, and 16 nodes on each panel leave 1e-12.
STEPS = np.array([-9.0, -6.0, -4.5, -3.0, -1.5, 0.0, 1.5, 3.0, 4.5, 6.0, 9.0])
NODE, WEIGHT = np.polynomial.legendre.leggauss(16)
#: Halvings of the quantile in log a, between e^-40 and e^40: to the last digit.
QUANTILE_HALVINGS = 58


@dataclass(frozen=True)
class _Pair:
    """Normal pairs (gamma_1, gamma_2), and the probabilities of the strips of eq. (87)."""

    g1: Array
    g2: Array
    error_1: Array
    error_2: Array

    def product_law(self) -> Array:
        """Of the region of the product law: a > 1 for gamma_1 <= 1, 1 < a < 2 up to gamma_1 = 2."""
        shallow = self._below(0.0, 1.0, 0.0, 1.0) - self._below(0.0, 1.0, 2.0, 1.0)
        return shallow + self._below(1.0, 2.0, 0.0, 2.0) - self._below(1.0, 2.0, 1.0, 2.0)

    def outside(self) -> Array:
        """Of what neither the product law nor the late optimum claims."""
        late = self._below(1.0, 2.0, 1.0, 0.0) - self._below(1.0, 2.0, 2.0, 0.0)
        return np.clip(1.0 - self.product_law() - late, 0.0, 1.0)

    def quantile(self, level: float) -> Array:
        """The capacity that this share of the pairs does not exceed; inf if there is none."""
        low, high = np.full(len(self.g1), -40.0), np.full(len(self.g1), 40.0)
        for _ in range(QUANTILE_HALVINGS):
            log_a = 0.5 * (low + high)
            enough = self._capacity_below(np.exp(log_a)) >= level
            low, high = np.where(enough, low, log_a), np.where(enough, log_a, high)
        return np.where(high == 40.0, np.inf, np.where(low == -40.0, 0.0, np.exp(high)))

    def _capacity_below(self, a: Array) -> Array:
        """The share of pairs of at most this capacity; strips are continued beyond their ends."""
        early = a < 2
        steep = self._below(1.0, 2.0, np.where(early, 2 / a - 1, 2 / a + 1), np.where(early, 2, 0))
        rest = self._below(2.0, np.inf, np.where(early, 2 / a + 3, 2 / a + 1), 0.0)
        return self._below(-np.inf, 1.0, 2 / a, 1.0) + steep + rest

    def _below(self, left: float, right: float, u: ArrayLike, w: ArrayLike) -> Array:
        """The probability of left < gamma_1 <= right and gamma_2 <= 1/(u + w gamma_1).

        The bound counts as infinite where u + w gamma_1 <= 0.
        """
        u, w = np.broadcast_to(u, self.g1.shape), np.broadcast_to(w, self.g1.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            # the pair of exact gamma_1, and that of exact gamma_2: one step each
            fixed = (left < self.g1) & (self.g1 <= right)
            point = np.where(fixed, self._share(self.g1, u, w, self.g2, self.error_2), 0.0)
            inverse = np.where(self.g2 > 0, 1 / self.g2, np.inf)
            until = np.where(w > 0, (inverse - u) / w, np.where(u <= inverse, np.inf, -np.inf))
            line = self._mass(left, np.clip(until, left, right))
        spread = (self.error_1 > 0) & (self.error_2 > 0)
        found = np.where(self.error_1 > 0, line, point)
        which = np.flatnonzero(spread)
        if len(which):
            found[which] = self._integral(which, left, right, u[which], w[which], until[which])
        return found

    def _mass(self, left: float, right: Array) -> Array:
        """The probability of left < gamma_1 <= right."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return ndtr((right - self.g1) / self.error_1) - ndtr((left - self.g1) / self.error_1)

    @staticmethod
    def _share(x: Array, u: Array, w: Array, g2: Array, error_2: Array) -> Array:
        """The probability of gamma_2 <= 1/(u + w x)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            bound = np.where(u + w * x > 0, 1 / (u + w * x), np.inf)
            normal = ndtr((bound - g2) / error_2)
        return np.where(error_2 > 0, normal, bound >= g2)

    def _integral(
        self, which: NDArray[np.intp], left: float, right: float, u: Array, w: Array, until: Array
    ) -> Array:
        """The same where both have errors: panels about gamma_1 and about the step in it."""
        g1, g2 = self.g1[which, None], self.g2[which, None]
        error_1, error_2 = self.error_1[which, None], self.error_2[which, None]
        u, w, until = u[:, None], w[:, None], until[:, None]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            step = until + STEPS * error_2 / (w * g2 * g2)
            pole = -u / w
        cuts = np.concatenate([g1 + STEPS * error_1, step, pole], axis=1)
        cuts = np.where(np.isfinite(cuts), cuts, g1)
        low, high = np.maximum(left, g1 - 9 * error_1), np.minimum(right, g1 + 9 * error_1)
        cuts = np.sort(np.clip(cuts, low, np.maximum(low, high)), axis=1)
        half = 0.5 * np.diff(cuts, axis=1)[:, :, None]
        x = cuts[:, :-1, None] + half * (1 + NODE)
        z = (x - g1[:, :, None]) / error_1[:, :, None]
        share = self._share(x, u[:, :, None], w[:, :, None], g2[:, :, None], error_2[:, :, None])
        density = np.exp(-0.5 * z * z) / (np.sqrt(2 * np.pi) * error_1[:, :, None])
        return np.sum(half * WEIGHT * density * share, axis=(1, 2))
