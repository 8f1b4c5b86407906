"""How well curves fall on one another: about 1 if they do, and much more if they do not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from patience import lines

from replica.scaling.averages import MeanCurve
from replica.scaling.collapse import collapse
from replica.scaling.distances import houdayer_hartmann, mean_master_curve

# The same sums in another order.
ORDER = 1e-12
# A shift by 50 takes two digits from x, which are a quarter apart.
SHIFT = 1e-11
# S of a true collapse of 350 points scatters by 0.08 (200 sets of curves).
SCATTER = 0.08
# Of one set of curves, and of the worst of twenty; the distribution leans to the right.
COLLAPSED = 5 * SCATTER

SIZES = np.array([1e3, 2e3, 4e3, 8e3, 1.6e4, 3.2e4, 6.4e4])
GAMMA_1, GAMMA_2 = 0.4, 1.2
NOISE = 0.02


def phi(u):
    """ln of a master curve of which a minimum at (0, 0) is known."""
    return np.logaddexp(-GAMMA_1 * u, 0.2 * u + np.log(2)) - np.log(3)


LOG_LAM = 10 + GAMMA_2 * np.log(SIZES / 1e3)
LOG_EPS = -0.7 - GAMMA_1 * GAMMA_2 * np.log(SIZES / 1e3)


def means(seed, noise=NOISE, points=50):
    """Mean curves that collapse exactly but for their noise."""
    rng = np.random.default_rng(seed)
    curves = []
    for P, lam, eps in zip(SIZES, LOG_LAM, LOG_EPS, strict=True):
        x = np.sort(rng.uniform(4, lam + 3, points))
        error = np.exp(eps + phi(x - lam) + noise * rng.normal(size=points))
        curves.append(
            MeanCurve(P, x, error, error[None], np.full(points, noise**2), np.ones(1), np.zeros(2))
        )
    return curves


def rescaled(curves):
    pairs = list(zip(curves, LOG_LAM, LOG_EPS, strict=True))
    return (
        [m.log_norm - lam for m, lam, _ in pairs],
        [np.log(m.error) - eps for m, _, eps in pairs],
        [np.sqrt(m.variance) for m in curves],
    )


def naive(xs, ys, errors=None):
    """Houdayer and Hartmann's formula, word by word."""
    terms = []
    for i in range(len(xs)):
        for x, y, j in zip(xs[i], ys[i], range(len(xs[i])), strict=True):
            near = []
            for k in range(len(xs)):
                for low in range(len(xs[k]) - 1):
                    last = low == len(xs[k]) - 2 and x == xs[k][-1]
                    if k != i and (xs[k][low] <= x < xs[k][low + 1] or last):
                        near += [(k, low), (k, low + 1)]
            if not near:
                continue
            X = np.array([xs[k][at] for k, at in near])
            Y = np.array([ys[k][at] for k, at in near])
            w = np.array([1.0 if errors is None else errors[k][at] ** -2 for k, at in near])
            design = np.stack([np.ones_like(X), X - x], axis=1)
            inverse = np.linalg.inv(design.T @ (w[:, None] * design))
            value, variance = (inverse @ (design.T @ (w * Y)))[0], inverse[0, 0]
            if errors is None:
                terms.append((y - value) ** 2)
            else:
                terms.append((y - value) ** 2 / (errors[i][j] ** 2 + variance))
    if not terms:
        return np.nan
    return np.sqrt(np.mean(terms)) if errors is None else np.mean(terms)


def ragged(seed):
    """A few curves of different length, here and there, with unequal errors."""
    rng = np.random.default_rng(seed)
    xs, ys, errors = [], [], []
    for _ in range(rng.integers(2, 6)):
        count = int(rng.integers(1, 9))
        # Quarters: points of different curves coincide.
        xs.append(rng.choice(np.arange(24), count, replace=False) / 4 + rng.integers(0, 2))
        xs[-1].sort()
        ys.append(rng.normal(size=count))
        errors.append(np.exp(rng.normal(size=count)))
    return xs, ys, errors


# ----------------------------------------------------------------------- Houdayer-Hartmann


@given(seed=st.integers(0, 10**6))
def test_the_formula_word_by_word(seed):
    xs, ys, errors = ragged(seed)
    assert houdayer_hartmann(xs, ys, errors) == pytest.approx(
        naive(xs, ys, errors), rel=ORDER, nan_ok=True
    )
    assert houdayer_hartmann(xs, ys) == pytest.approx(naive(xs, ys), rel=ORDER, nan_ok=True)


def test_two_curves_by_hand():
    # At 1 the other curve is at 1 with variance (1 + 1)/4, at 0 and 2 there is none.
    xs, ys = [[0.0, 1.0, 2.0], [0.5, 1.5]], [[0.0, 3.0, 0.0], [0.5, 1.5]]
    errors = [[1.0, 1.0, 1.0], [1.0, 1.0]]
    # At 0.5 the first is at 1.5, and so at 1.5, each with variance 1/2.
    expected = ((3 - 1) ** 2 / 1.5 + (0.5 - 1.5) ** 2 / 1.5 + 0) / 3
    assert houdayer_hartmann(xs, ys, errors) == pytest.approx(expected, rel=ORDER)
    assert houdayer_hartmann(xs, ys) == pytest.approx(np.sqrt((4 + 1) / 3), rel=ORDER)


def test_a_true_collapse_is_about_one():
    qualities = [houdayer_hartmann(*rescaled(means(seed))) for seed in range(20)]
    assert all(abs(quality - 1) < COLLAPSED for quality in qualities)
    # The line through neighbours has errors of its own, and they are counted: no bias is left.
    assert np.mean(qualities) == pytest.approx(1, abs=COLLAPSED / np.sqrt(len(qualities)))


@pytest.mark.parametrize("part", [0.9, 1.1])
def test_a_wrong_exponent_is_seen(part):
    x, y, errors = rescaled(means(0))
    shift = (part - 1) * GAMMA_2 * np.log(SIZES / 1e3)
    x = [curve + s for curve, s in zip(x, shift, strict=True)]
    assert houdayer_hartmann(x, y, errors) > 3
    assert houdayer_hartmann(x, y) > 1.5 * houdayer_hartmann(*rescaled(means(0))[:2])


def test_the_root_mean_square_without_errors_is_that_of_the_noise():
    x, y, _ = rescaled(means(0))
    rms = houdayer_hartmann(x, y)
    # The distance of a point to a line through twelve others or less.
    assert 0.9 * NOISE < rms < 1.5 * NOISE
    exact = rescaled(means(0, noise=1e-9))
    # What is left is the curvature between the points: 0.13 of the noise, and scatters by 0.03.
    assert houdayer_hartmann(*exact[:2]) < 0.3 * NOISE


@given(seed=st.integers(0, 10**6), right=st.floats(-50, 50), up=st.floats(-5, 5))
def test_neither_order_nor_origin_matter(seed, right, up):
    xs, ys, errors = ragged(seed)
    S = houdayer_hartmann(xs, ys, errors)
    order = np.random.default_rng(seed).permutation(len(xs))
    same = houdayer_hartmann(
        [xs[i] for i in order], [ys[i] for i in order], [errors[i] for i in order]
    )
    assert same == pytest.approx(S, rel=ORDER, nan_ok=True)
    shifted = houdayer_hartmann([x + right for x in xs], [y + up for y in ys], errors)
    assert shifted == pytest.approx(S, rel=SHIFT, nan_ok=True)


@given(seed=st.integers(0, 10**6), c=st.floats(0.01, 100))
def test_larger_errors_make_a_smaller_distance(seed, c):
    xs, ys, errors = ragged(seed)
    S = houdayer_hartmann(xs, ys, errors)
    inflated = houdayer_hartmann(xs, ys, [c * e for e in errors])
    assert inflated == pytest.approx(S / c**2, rel=ORDER, nan_ok=True)
    # Without errors, all equal is the same as none.
    equal = [np.full(len(x), 0.3) for x in xs]
    stretched = houdayer_hartmann(xs, [c * y for y in ys])
    assert stretched == pytest.approx(c * houdayer_hartmann(xs, ys), rel=ORDER, nan_ok=True)
    assert np.isnan(houdayer_hartmann(xs, ys, equal)) == np.isnan(stretched)


def test_a_curve_that_meets_no_other_does_not_count():
    x, y, errors = rescaled(means(0))
    S = houdayer_hartmann(x, y, errors)
    far = houdayer_hartmann([*x, x[0] + 1e3], [*y, 50 * np.ones_like(y[0])], [*errors, errors[0]])
    assert far == pytest.approx(S, rel=ORDER)
    assert np.isnan(houdayer_hartmann([x[0], x[0] + 1e3], [y[0], y[0]]))
    assert np.isnan(houdayer_hartmann(x[:1], y[:1], errors[:1]))
    assert np.isnan(houdayer_hartmann([], []))
    # A single point has neighbours, but is none.
    assert houdayer_hartmann([[1.0], [0.0, 2.0]], [[3.0], [1.0, 1.0]]) == pytest.approx(2)


def test_more_points_are_no_more_work_for_python():
    rng = np.random.default_rng(0)

    def work(points):
        xs = [np.sort(rng.uniform(0, 10, points)) for _ in range(12)]
        ys, errors = [np.sin(x) for x in xs], [np.ones(points) for _ in xs]
        return lines(lambda: houdayer_hartmann(xs, ys, errors))

    assert work(50) == work(200)


@pytest.mark.parametrize(
    ("x", "y", "sigma", "words"),
    [
        ([[1, 2], [1, 2]], [[1, 2]], None, r"`y` must have as many curves as x; got 1"),
        ([[1, 2], [1, 2]], [[1, 2], [1]], None, r"`y\[1\]` must have as many points .* 1 for 2"),
        ([[1, 2], [2, 2]], [[1, 2], [1, 2]], None, r"`x\[1\]` must increase; got 2 after 2: sort"),
        ([[1, 2], [2, 1]], [[1, 2], [1, 2]], None, r"`x\[1\]` must increase; got 1 after 2"),
        ([[1, np.nan]], [[1, 2]], None, r"`x\[0\]` must be finite; got nan at row 1"),
        ([[1, 2]], [[1, -np.inf]], None, r"`y\[0\]` must be finite; got -inf at row 1"),
        ([[[1, 2]]], [[1, 2]], None, r"`x\[0\]` must be a one-dimensional array .* \(1, 2\)"),
        ([[]], [[]], None, r"`x\[0\]` must be a one-dimensional array that is not empty"),
        ([["a"]], [[1]], None, r"`x\[0\]` must be a real number or an array of real numbers"),
        ([[1, 2]], [[1, 2]], [[0.1, 0]], r"`sigma\[0\]` must be positive; got 0 at row 1"),
        ([[1, 2]], [[1, 2]], [], r"`sigma` must have as many curves as x; got 0"),
        ([[1, 2]], [[1, 2]], [[0.1]], r"`sigma\[0\]` must have as many points as x; got 1 for 2"),
    ],
)
def test_bad_curves_are_named(x, y, sigma, words):
    with pytest.raises(ValueError, match=words):
        houdayer_hartmann(x, y, sigma)


# --------------------------------------------------------------------------- master curve


def test_the_master_curve_is_the_one_that_curves_share():
    x, y, errors = rescaled(means(3, noise=1e-6, points=400))
    master = mean_master_curve(x, y, errors, points=33)
    assert list(master.columns) == ["log_ratio", "phi", "low", "high", "curves"]
    # What is left is linear interpolation between points 0.04 apart.
    np.testing.assert_allclose(np.log(master["phi"]), phi(master["log_ratio"]), atol=1e-3)
    assert np.all((master["low"] <= master["phi"]) & (master["phi"] <= master["high"]))


def test_its_band_holds_the_curves():
    x, y, errors = rescaled(means(4))
    master = mean_master_curve(x, y, errors)
    grid, low, high = (master[name].to_numpy() for name in ("log_ratio", "low", "high"))
    inside = [
        (np.interp(grid, u, v, left=np.nan, right=np.nan) <= np.log(high))
        & (np.interp(grid, u, v, left=np.nan, right=np.nan) >= np.log(low))
        for u, v in zip(x, y, strict=True)
    ]
    reached = [(grid >= u[0]) & (grid <= u[-1]) for u in x]
    # Seven correlated curves: 95% within a few percent.
    assert 0.9 <= np.sum(inside) / np.sum(reached) <= 1
    np.testing.assert_array_equal(master["curves"], np.sum(reached, axis=0))
    # The band is not wider than the noise makes it.
    assert np.mean(np.log(high / low)) < 2 * 1.96 * 1.2 * NOISE


def test_the_band_of_curves_that_agree_is_that_of_their_errors():
    x = [np.linspace(0, 1, 5)] * 3
    master = mean_master_curve(x, [np.zeros(5)] * 3, [np.full(5, 0.1)] * 3, points=4)
    np.testing.assert_allclose(master["high"], np.exp(0.196))
    np.testing.assert_allclose(master["low"], np.exp(-0.196))
    bare = mean_master_curve(x, [np.zeros(5)] * 3, points=4)
    np.testing.assert_array_equal(bare["high"], 1)
    apart = mean_master_curve(x, [np.full(5, shift) for shift in (-1.0, 0.0, 1.0)], points=4)
    np.testing.assert_allclose(apart["high"], np.exp(1.96))


def test_it_covers_what_two_curves_reach():
    x = [np.array([0.0, 2.0]), np.array([1.0, 3.0]), np.array([5.0, 7.0]), np.array([6.0, 9.0])]
    master = mean_master_curve(x, [np.zeros(2)] * 4, points=61)
    np.testing.assert_allclose(master["log_ratio"].iloc[[0, -1]], [1, 7])
    assert not ((master["log_ratio"] > 2 + 1e-9) & (master["log_ratio"] < 6 - 1e-9)).any()
    assert (master["curves"] == 2).all()
    none = mean_master_curve(x[::2], [np.zeros(2)] * 2)
    assert len(none) == 0
    assert list(none.columns) == list(master.columns)


def test_a_grid_needs_two_points():
    with pytest.raises(ValueError, match=r"`points` must be at least 2; got 1"):
        mean_master_curve([[0, 1], [0, 1]], [[0, 1], [0, 1]], points=1)


# ------------------------------------------------------------------------------- collapse


def test_rescaling_by_the_optima_collapses_the_curves():
    curves = means(5)
    found = collapse(curves, LOG_LAM, LOG_EPS)
    x, y, errors = rescaled(curves)
    assert found.quality == houdayer_hartmann(x, y, errors)
    assert found.rms == houdayer_hartmann(x, y)
    assert found.quality == pytest.approx(1, abs=COLLAPSED)
    assert found.quality_raw > 100
    assert found.rms_raw > 5 * found.rms
    assert found.from_P == 1e3
    pd.testing.assert_frame_equal(found.master, mean_master_curve(x, y, errors))


def test_small_sizes_can_be_left_out():
    curves = means(6)
    wrong = LOG_LAM.copy()
    wrong[:2] += 1  # the small ones do not collapse
    assert collapse(curves, wrong, LOG_EPS).quality > 10
    late = collapse(curves, wrong, LOG_EPS, from_P=4e3)
    assert late.quality == pytest.approx(1, abs=COLLAPSED)
    assert late.from_P == 4e3
    assert late.quality_raw == collapse(curves[2:], wrong[2:], LOG_EPS[2:]).quality_raw


@pytest.mark.parametrize(("from_P", "left"), [(6.4e4, 6.4e4), (1e9, np.nan)])
def test_fewer_than_two_curves_say_nothing(from_P, left):
    found = collapse(means(7), LOG_LAM, LOG_EPS, from_P=from_P)
    assert np.isnan([found.quality, found.quality_raw, found.rms, found.rms_raw]).all()
    assert len(found.master) == 0
    assert found.from_P == pytest.approx(left, nan_ok=True)


def test_optima_have_to_be_known():
    curves = means(8)
    with pytest.raises(ValueError, match=r"`log_lam` must have one value .* 7 curves.*\(6,\)"):
        collapse(curves, LOG_LAM[:6], LOG_EPS)
    LOG = LOG_EPS.copy()
    LOG[2] = np.nan
    with pytest.raises(ValueError, match=r"`log_eps` must be finite; got nan at row 2"):
        collapse(curves, LOG_LAM, LOG)
