"""What is said of a fitted power law: its status, its limits, and which data are refused."""

import dataclasses
import itertools

import numpy as np
import pytest
from power_laws import X, given_as, law, sample

from replica.scaling.power_law import fit_power_law

# ------------------------------------------------------------------------- in words


def test_a_determined_fit_says_so():
    x, y, errors = sample(1, False)
    fit = fit_power_law(x, y, sigma=errors)
    assert fit.status == "determined"
    assert fit.offset
    assert not fit.relative
    assert fit.largest == np.abs(fit.residuals).max()
    with pytest.raises(dataclasses.FrozenInstanceError):
        fit.gamma = 0.0


def test_a_law_that_does_not_hold_is_rejected():
    y = law(X, 0.5, 0.0) * (1 + 0.2 * np.sin(2 * np.log(X)))
    fit = fit_power_law(X, y, sigma=0.01)
    assert "the law is rejected (p = " in fit.status
    assert fit.p_value < 1e-9
    assert fit.scatter > 3


def test_errors_that_are_too_large_are_noticed():
    rng = np.random.default_rng(0)
    fit = fit_power_law(X, law(X, 0.5, 0.3) + 0.01 * rng.normal(size=len(X)), sigma=0.1)
    assert "residuals are smaller than their errors (p = " in fit.status


@pytest.mark.parametrize("relative", [False, True])
def test_residuals_that_drift_are_noticed(relative):
    fit = fit_power_law(X, law(X, 0.3, 0.1) + law(X, 3.0, 0.2), relative=relative, offset=False)
    assert "residuals drift along `x` (p = " in fit.status


@pytest.mark.parametrize("relative", [False, True])
def test_a_curve_that_bends_the_other_way(relative):
    rng = np.random.default_rng(0)
    y = 2.0 - (X / 1e5) ** 0.5 + 0.003 * rng.normal(size=len(X))
    fit = fit_power_law(X, y, **given_as(0.003, relative))
    assert fit.q == 0
    assert fit.offset_p == 1
    assert "q is at its bound 0: the curve bends the other way (p = " in fit.status
    free = fit_power_law(X, y, sigma=0.003, nonnegative=False)
    assert "k is negative: the curve bends the other way" in free.status
    assert free.gamma == pytest.approx(-0.5, abs=4 * free.gamma_error)
    assert free.k < 0
    np.testing.assert_allclose(free(X), y, atol=0.02)


@pytest.mark.parametrize("relative", [False, True])
def test_a_hump_is_no_power_law(relative):
    y = np.array([1.0, 1.4, 1.6, 1.7, 1.6, 1.4, 1.0])
    fit = fit_power_law(np.geomspace(1, 100, 7), y, **given_as(0.1, relative))
    assert "no power law with q >= 0 and k > 0 fits better than a constant" in fit.status
    assert np.isnan(fit.gamma)
    assert np.isnan(fit.gamma_error)
    assert (fit.gamma_low, fit.gamma_high) == (-np.inf, np.inf)
    assert (fit.k, fit.log_k) == (0, -np.inf)
    middle = np.exp(np.log(y).mean()) if relative else y.mean()
    np.testing.assert_allclose(fit([1.0, 10.0]), middle)
    assert fit.q_low < middle < fit.q_high


@pytest.mark.parametrize("relative", [False, True])
def test_noise_around_a_constant_has_no_exponent(relative):
    rng = np.random.default_rng(1)
    y = 1 + 0.01 * rng.normal(size=len(X))
    fit = fit_power_law(X, y, **given_as(0.01, relative))
    assert "the exponent cannot be concluded: it has no limits at 95%" in fit.status
    assert (fit.gamma_low, fit.gamma_high) == (-np.inf, np.inf)
    # But where the constant lies is known: within three errors of a mean of twelve.
    assert fit.q_high == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize(("turned", "side"), [(False, "upper"), (True, "lower")])
def test_one_point_off_a_constant_gives_a_limit_on_one_side(turned, side, relative):
    y = np.r_[2.0, 1 + 0.01 * np.array([1, -1, 1, -1, 1, 0, -1, 1, -1, 1, -1])]
    x = 1 / X if turned else X
    fit = fit_power_law(x, y, **given_as(0.01, relative))
    assert f"gamma has no {side} limit at 95%" in fit.status
    assert (fit.gamma_low if turned else fit.gamma_high) == (-np.inf if turned else np.inf)


def test_a_logarithm_leaves_a_free_offset_open():
    rng = np.random.default_rng(2)
    y = 3 - 0.2 * np.log(X / 1e3) + 0.01 * rng.normal(size=len(X))
    fit = fit_power_law(X, y, sigma=0.01, nonnegative=False)
    assert fit.gamma_low < 0 < fit.gamma_high
    assert (fit.q_low, fit.q_high) == (-np.inf, np.inf)
    np.testing.assert_allclose(fit(X), y, atol=0.04)


def test_intervals_can_be_left_out():
    x, y, errors = sample(1, False)
    fit = fit_power_law(x, y, sigma=errors, intervals=False)
    full = fit_power_law(x, y, sigma=errors)
    assert fit.gamma == full.gamma
    assert fit.status == full.status
    assert np.isnan([fit.gamma_low, fit.gamma_high, fit.q_low, fit.q_high]).all()


def test_a_higher_level_is_wider():
    x, y, errors = sample(0, False)
    fits = [fit_power_law(x, y, sigma=errors, level=level) for level in (0.5, 0.9, 0.99)]
    for narrow, wide in itertools.pairwise(fits):
        assert wide.gamma_low < narrow.gamma_low < narrow.gamma_high < wide.gamma_high
        assert wide.q_low <= narrow.q_low < narrow.q_high < wide.q_high


# ------------------------------------------------------------------------ bad data

FIVE = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
DOWN = np.array([5.0, 4.0, 3.5, 3.2, 3.0])


@pytest.mark.parametrize(
    ("x", "y", "options", "words"),
    [
        ([1, 2, 3], [3, 2, 1], {}, r"`x` must have at least 4 values .* with offset; got 3"),
        ([1, 2], [3, 2], {"offset": False}, r"`x` must have at least 3 values .* without offset"),
        (FIVE, DOWN[:4], {}, r"`y` must have as many values as `x`; got 4 for 5"),
        (FIVE[None], DOWN, {}, r"`x` must be one-dimensional; got shape \(1, 5\)"),
        (["a"] * 5, DOWN, {}, r"`x` must be a real number or an array"),
        ([1, 2, 0, 4, 5], DOWN, {}, r"`x` must be positive; got 0 at row 2"),
        ([1, 2, np.inf, 4, 5], DOWN, {}, r"`x` must be finite; got inf at row 2"),
        (FIVE, [1, np.nan, 3, 4, 5], {}, r"`y` must be finite; got nan at row 1"),
        (np.ones(5), DOWN, {}, r"`x` must have at least 3 different values .*; got 1"),
        ([1, 1, 2, 2, 2], DOWN, {}, r"at least 3 different .* got 2: `offset=False` needs one le"),
        ([1, 1, 1], [1, 2, 3], {"offset": False}, r"`x` must have at least 2 different values"),
        (FIVE, np.full(5, 0.3), {}, r"`y` must not be the same everywhere; got 0.3 in all 5 rows"),
        (FIVE, DOWN, {"level": 95}, r"`level` must lie between 0 and 1; got 95"),
        (FIVE, DOWN - 4, {"relative": 0.1}, r"`y` must be positive .*; got 0 at row 1: give `sigm"),
        (
            FIVE,
            [1e150, 1, 1, 1, 1e-150],
            {"relative": 1},
            r"`y` must span less than a factor 1e\+2",
        ),
        (FIVE, DOWN, {"sigma": 1, "relative": True}, r"`sigma` and `relative` are both given"),
        (FIVE, DOWN, {"relative": True, "nonnegative": False}, r"`nonnegative=False` needs absol"),
        (FIVE, DOWN, {"sigma": [1, 1]}, r"`sigma` must have as many values as `x`; got 2 for 5"),
        (FIVE, DOWN, {"sigma": [1, 1, 0, 1, 1]}, r"`sigma` must be positive; got 0 at row 2"),
        (FIVE, DOWN, {"relative": -0.1}, r"`relative` must be positive; got -0.1 at row 0"),
        (FIVE, DOWN, {"sigma": [1, 1, np.nan, 1, 1]}, r"`sigma` must be finite; got nan at row 2"),
        (FIVE, DOWN, {"sigma": 1e-120}, r"`sigma` must lie between 1e-100 and 1e\+100 of the val"),
    ],
)
def test_bad_data_are_named(x, y, options, words):
    with pytest.raises(ValueError, match=words):
        fit_power_law(x, y, **options)
