"""Laws of the exponents of structured inputs, and of their inverse."""

import functools

import naive_structured as naive
import numpy as np
import pytest
from grids import slow
from hypothesis import given
from hypothesis import strategies as st

from replica.exponents import Regime, effective_spectrum, end_slope, scaling_exponents

#: Rounding of a formula of ten operations, and of its inverse, which divides by a difference.
ROUNDING, INVERTED = 1e-14, 1e-11
#: Standard errors that a random comparison may be off; seeded, so that it is so for good.
SIGMAS = 4.5
#: The published exponents of the nine pairs: gamma_1, its error, gamma_2, its error.
PUBLISHED = {
    "CNN on MNIST": (0.46, 0.05, 1.94, 0.80),
    "CNN on CIFAR-10": (0.21, 0.01, 1.32, 0.32),
    "CNN on CIFAR-100": (0.112, 0.003, 1.44, 0.22),
    "ResNet on MNIST": (1.15, 0.14, 0.50, 0.02),
    "ResNet on CIFAR-10": (0.51, 0.02, 0.97, 0.09),
    "ResNet on CIFAR-100": (0.29, 0.01, 1.17, 0.17),
    "ViT on MNIST": (0.14, 0.01, 3.41, 0.11),
    "ViT on CIFAR-10": (0.0105, 0.0003, 21.8, 3.3),
    "ViT on CIFAR-100": (0.0053, 0.0002, 39.7, 14.2),
}

capacities = st.floats(1.001, 50).filter(lambda a: a != 2)
sources = st.floats(1e-3, 3).filter(lambda r: r not in (0.5, 1.0))


@functools.cache
def found(a, r, P):
    """Optimum and end from sums over modes."""
    modes = naive.Modes(a, r)
    e = scaling_exponents(a, r)
    # a guess of s is needed within an order of magnitude
    return naive.optimum(modes, P), naive.end(modes, P, P**-e.gamma_end)


def local(a, r, P, Q):
    """gamma_2, gamma_meas and gamma_end between two P."""
    (low, low_end), (high, high_end) = found(a, r, P), found(a, r, Q)
    step = np.log(Q / P)
    return np.array(
        [
            np.log(high.lam / low.lam) / step,
            -np.log(high.error / low.error) / step,
            -np.log(high_end.error / low_end.error) / step,
        ]
    )


def predicted(a, r):
    e = scaling_exponents(a, r)
    return np.array([e.gamma_2, e.gamma_meas, e.gamma_end])


# One point a regime. From 1e4 to 1e8, where data are, the exponents come within 0.06 (a = 3, r =
# 0.7 has passed its second early law for one decade only) and they go on to the formulas: what is
# left at 1e12..1e16 is K^-(2r-1)a or K^-1 of the last mode K = 1e4..1e10 in lam, less in eps.
# The others meet sums by default where those are compared with the scaled curve
# (`tests/test_structured_master.py`).
REGIMES = [
    slow(1.5, 0.3, Regime.ONE_CURVE),
    slow(3.0, 0.15, Regime.ONE_CURVE),
    slow(1.5, 0.8, Regime.EARLY_OPTIMUM),
    (3.0, 0.7, Regime.LATE_OPTIMUM),
    (1.5, 1.5, Regime.SATURATED_EARLY),
    slow(3.0, 1.5, Regime.SATURATED_LATE),
    (2.0, 0.8, Regime.LINE_TWO),
]
DATA, LARGE = 0.06, 1.5e-3


@pytest.mark.parametrize(("a", "r", "regime"), REGIMES)
def test_exponents_from_sums_tend_to_the_formulas(a, r, regime):
    assert scaling_exponents(a, r).regime == regime
    near = np.abs(local(a, r, 1e4, 1e8) - predicted(a, r))
    far = np.abs(local(a, r, 1e12, 1e16) - predicted(a, r))
    assert near.max() < DATA
    assert far.max() < LARGE
    assert far.max() < near.max()


@pytest.mark.parametrize(("a", "r"), [slow(1.5, 0.8), (3.0, 0.7), (1.5, 1.5), slow(3.0, 1.5)])
def test_formulas_of_another_regime_do_not_pass(a, r):
    # those of r < 1/2, continued, and the unsaturated source
    wrong = np.array([a / (2 * (1 + a * r)), a * r / (1 + a * r), a * r / (1 + a * r)])
    assert np.abs(local(a, r, 1e12, 1e16) - wrong).max() > 20 * LARGE
    if r > 1 and a < 2:
        width = 1 + 2 * a * r - a / 2
        unsaturated = np.array([a / 2 / width, a * r / width])
        assert np.abs(local(a, r, 1e12, 1e16)[:2] - unsaturated).max() > 20 * LARGE


@pytest.mark.parametrize(("a", "r"), [(1.5, 0.3), (1.5, 0.8), (3.0, 0.7), (1.5, 1.5)])
def test_the_early_law_is_common_to_all_numbers_of_examples(a, r):
    modes = naive.Modes(a, r)
    gamma = scaling_exponents(a, r).gamma_1
    curves = [naive.path(modes, P, lambda points: points[-1].lam > 300)[-3:] for P in (1e18, 1e20)]
    for one, other in zip(*curves, strict=True):
        # the noise of eq. (80) is at most 2e-6 of the bias there
        assert one.lam == pytest.approx(other.lam, rel=1e-3)
        assert one.error == pytest.approx(other.error, rel=1e-3)
    first, last = curves[1][0], curves[1][-1]
    slope = -np.log(last.error / first.error) / np.log(last.lam / first.lam)
    # lam = 40..300 is K = 200..2000 for a = 1.5: K^-(2r-1)a = 0.03 is left for r = 0.8
    assert slope == pytest.approx(gamma, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(("a", "r", "P"), [(1.5, 0.5, 1e30), (3.0, 0.5, 1e30), (1.5, 1.0, 1e30)])
def test_logarithms_on_the_lines(a, r, P):
    e = scaling_exponents(a, r)
    powers = np.array([e.gamma_2_log, e.gamma_meas_log, e.gamma_end_log])
    # local slopes less the powers of P, per d log log P; errors fall, so that their sign is turned
    rest = (local(a, r, P, P * P) - predicted(a, r)) * np.log(P) / np.log(2.0)
    measured = rest * np.array([1.0, -1.0, -1.0])
    # what is left is 1/log K, and K = P^0.4 at least: 0.036 for each slowly varying factor
    assert np.abs(measured - powers).max() < 0.11
    assert np.abs(measured).max() > 0.15  # without logarithms nothing would be left


def test_the_optimum_is_lost_close_to_capacity_one():
    # eq. (77), and the same from sums: inside the island the error falls to the end
    inside, outside = scaling_exponents(1.05, 0.3), scaling_exponents(1.5, 0.3)
    assert not inside.finite_optimum
    assert outside.finite_optimum
    for a, finite in ((1.05, False), (1.5, True)):
        points = naive.path(
            naive.Modes(a, 0.3), 1e6, lambda p: naive.rises(p) or p[-1].field_norm > 1e4
        )
        assert naive.rises(points) == finite


def test_the_island_ends_where_it_is_said_to():
    r = np.linspace(0.001, 0.499, 250)
    assert np.all(end_slope(np.full_like(r, 1.1623), r) < 0)
    assert end_slope(np.array([1.1621]), np.array([0.264]))[0] > 0


@given(st.floats(1.001, 50), st.sampled_from([0.5, 1.0]))
def test_exponents_are_continuous_in_the_source(a, r):
    step = 1e-9
    below, above = scaling_exponents(a, r - step), scaling_exponents(a, r + step)
    for name in ("gamma_1", "gamma_2", "gamma_meas", "gamma_end"):
        if name == "gamma_2" and a == 2:
            continue
        # derivatives by r are at most 2 a
        change = 4 * max(a, 1) * step + ROUNDING
        assert getattr(below, name) == pytest.approx(getattr(above, name), abs=change)


def test_only_gamma_2_jumps_at_capacity_2():
    below, on, above = (scaling_exponents(a, 0.8) for a in (2 - 1e-9, 2.0, 2 + 1e-9))
    for name in ("gamma_1", "gamma_meas", "gamma_end"):
        assert getattr(below, name) == pytest.approx(getattr(above, name), abs=1e-8)
    assert below.gamma_2 < on.gamma_2 < above.gamma_2


@given(capacities, sources)
def test_the_product_law_is_said_to_hold_where_it_does(a, r):
    e = scaling_exponents(a, r)
    product = e.gamma_1 * e.gamma_2
    assert e.product_law == (r < 0.5 or a < 2)
    if e.product_law:
        assert e.gamma_meas == pytest.approx(product, rel=ROUNDING)
    else:
        assert e.gamma_meas < product
    assert e.gamma_meas >= e.gamma_end * (1 - ROUNDING)


@given(capacities, sources)
def test_the_inverse_inverts(a, r):
    e = scaling_exponents(a, r)
    s = effective_spectrum(e.gamma_1, e.gamma_2)
    # 1 - k gamma_2 = 2 gamma_2 / a loses a/(2 gamma_2) <= 100 digits' worth of rounding
    assert s.capacity == pytest.approx(a, rel=INVERTED)
    assert s.source == pytest.approx(min(r, 1.0), rel=ROUNDING)
    assert s.regime == e.regime
    assert s.product_law == e.product_law
    assert s.product_law_probability == float(e.product_law)
    assert s.outside_probability == 0
    assert s.capacity_low == pytest.approx(s.capacity, rel=INVERTED)


@pytest.mark.parametrize(
    ("pair", "regime"),
    [
        ((0.5, 0.39), Regime.NOT_SUMMABLE),
        ((1.5, 0.24), Regime.NOT_SUMMABLE),
        ((0.5, 2.1), Regime.TOO_STEEP),
        ((1.5, 1.0), Regime.TOO_STEEP),
        ((1.5, 0.45), Regime.BETWEEN),
        ((2.1, 0.5), Regime.TOO_FAST),
        ((-0.1, 0.5), Regime.NO_EARLY_LAW),
        ((1.0, 0.5), Regime.LINE_HALF),
        ((1.6, 1 / 2.6), Regime.LINE_TWO),
        ((2.0, 0.23), Regime.SATURATED_EARLY),
        ((2.0, 0.75), Regime.SATURATED_LATE),
    ],
)
def test_pairs_without_an_answer_are_told_why(pair, regime):
    s = effective_spectrum(*pair)
    assert s.regime == regime
    assert np.isnan(s.capacity) == (not regime.exists)
    assert len(regime.sentence) > 20


def test_every_regime_has_a_sentence():
    assert len({regime.sentence for regime in Regime}) == len(Regime)


def test_small_errors_are_propagated_to_first_order():
    rng = np.random.default_rng(1)
    draws, size = 40_000, 1e-3
    for g1, g2 in ((0.6, 0.52), (1.6, 0.283), (1.4, 0.6)):
        given = effective_spectrum(g1, g2, gamma_1_error=size, gamma_2_error=2 * size)
        one = g1 + size * rng.standard_normal(draws)
        two = g2 + 2 * size * rng.standard_normal(draws)
        drawn = effective_spectrum(one, two)
        # the standard error of a standard deviation; curvature adds (size/gamma)^2 = 1e-5
        slack = SIGMAS / np.sqrt(2 * draws) + 1e-4
        assert np.std(drawn.capacity) == pytest.approx(given.capacity_error, rel=slack)
        assert np.std(drawn.source) == pytest.approx(given.source_error, rel=slack)
        both = np.cov(drawn.capacity, drawn.source)[0, 1]
        scale = given.capacity_error * given.source_error
        assert both == pytest.approx(given.covariance, abs=2 * slack * scale)
        share = np.mean(drawn.capacity < given.capacity_high)
        assert share == pytest.approx(0.8413447, abs=SIGMAS * np.sqrt(0.13 / draws))
        # a law with only one of the two errors fails
        alone = effective_spectrum(g1, g2, gamma_2_error=size)
        assert abs(np.std(drawn.capacity) / alone.capacity_error - 1) > slack


@pytest.mark.parametrize("name", PUBLISHED)
def test_probabilities_of_the_published_pairs(name):
    g1, error_1, g2, error_2 = PUBLISHED[name]
    s = effective_spectrum(g1, g2, gamma_1_error=error_1, gamma_2_error=error_2)
    rng = np.random.default_rng(2)
    draws = 40_000
    drawn = effective_spectrum(
        g1 + error_1 * rng.standard_normal(draws), g2 + error_2 * rng.standard_normal(draws)
    )
    outside = np.mean(np.asarray(drawn.regime) < 0)
    for value, share in (
        (s.product_law_probability, np.mean(drawn.product_law)),
        (s.outside_probability, outside),
    ):
        # 10/draws where the variance of a share close to 0 or 1 says nothing
        slack = SIGMAS * np.sqrt(value * (1 - value) / draws) + 10 / draws
        assert share == pytest.approx(value, abs=slack)
    assert s.capacity_low <= s.capacity_high


def test_probabilities_meet_their_limits():
    # one error alone is the limit of a small other one
    for one, two in ((0.05, 0.0), (0.0, 0.05)):
        sharp = effective_spectrum(0.9, 0.95, gamma_1_error=one, gamma_2_error=two)
        soft = effective_spectrum(
            0.9, 0.95, gamma_1_error=max(one, 1e-9), gamma_2_error=max(two, 1e-9)
        )
        for name in ("product_law_probability", "outside_probability"):
            # the density at the edges times 1e-9
            assert getattr(sharp, name) == pytest.approx(getattr(soft, name), abs=1e-6)
    never = effective_spectrum(0.46, 1.94, gamma_1_error=0.05, gamma_2_error=0.8)
    assert never.capacity_high == np.inf  # more than 16% beyond gamma_1 gamma_2 = 1


def test_arrays_broadcast_and_mark_what_is_refused():
    e = scaling_exponents([[1.5], [3.0]], [0.3, 0.8, 1.5])
    assert np.shape(e.gamma_2) == (2, 3)
    assert Regime(int(e.regime[0, 1])) is Regime.EARLY_OPTIMUM
    with pytest.warns(RuntimeWarning, match="`capacity` must be above 1"):
        e = scaling_exponents([1.5, 1.0], 0.3)
    assert np.isnan(e.gamma_1[1])
    assert e.regime[1] == Regime.REFUSED
    assert e.gamma_1[0] == 0.6


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: scaling_exponents(1.0, 0.3), r"`capacity` must be above 1.*got 1"),
        (lambda: scaling_exponents(1.5, 0.0), r"`source` must be positive.*got 0"),
        (lambda: scaling_exponents(np.nan, 0.3), r"`capacity` must be above 1.*got nan"),
        (lambda: effective_spectrum(np.inf, 1.0), r"`gamma_1` must be finite.*got inf"),
        (
            lambda: effective_spectrum(0.5, 1.0, gamma_2_error=-0.1),
            r"`gamma_2_error` must be non-negative.*got -0\.1",
        ),
    ],
)
def test_refusals(call, match):
    with pytest.raises(ValueError, match=match):
        call()
