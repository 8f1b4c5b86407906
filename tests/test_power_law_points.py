"""Bands of a fitted power law, repetitions of a point, and a point that does not belong."""

import pickle

import numpy as np
import pytest
from grids import slow
from scipy.optimize import curve_fit
from scipy.stats import norm, t

from replica.scaling import fit_power_law
from replica.scaling.power_law import Band

X = np.geomspace(1e3, 1e5, 12)
#: Beside the points, between them, and a factor 10 beyond.
PLACES = np.array([1e3, 2e4, 1e6])
TRIALS = 250
#: Shares lie within so many standard deviations of a binomial.
DEVIATIONS = 4.0
SPREAD = DEVIATIONS * np.sqrt(0.95 * 0.05 / TRIALS)
# Sums of a dozen products, of numbers within a factor 1e4: rounding stays below.
ROUNDING = 1e-9


def law(x, gamma=0.5, q=0.3):
    return q + (x / 1e4) ** -gamma


def noisy(rng, x, size, relative):
    noise = size * rng.normal(size=np.shape(x))
    return law(x) * np.exp(noise) if relative else law(x) + noise


# ------------------------------------------------------------------------------- bands


@pytest.mark.parametrize(("relative", "known"), [(False, False), slow(True, True), (False, True)])
def test_bands_hold_the_law_and_new_points_as_often_as_they_say(relative, known):
    rng = np.random.default_rng(5)
    inside, caught, wrong = np.zeros(3), np.zeros(3), np.zeros(3)
    for _ in range(TRIALS):
        errors = {"relative" if relative else "sigma": 0.02 if known else relative or None}
        fit = fit_power_law(X, noisy(rng, X, 0.02, relative), intervals=False, **errors)
        band = fit.band(PLACES)
        new = noisy(rng, PLACES, 0.02, relative)
        inside += (band.low <= law(PLACES)) & (law(PLACES) <= band.high)
        caught += (band.new_low <= new) & (new <= band.new_high)
        wrong += (band.low <= new) & (new <= band.high)
    np.testing.assert_allclose(inside / TRIALS, 0.95, atol=SPREAD)
    np.testing.assert_allclose(caught / TRIALS, 0.95, atol=SPREAD)
    # The band of the law is none of new points.
    assert np.all(wrong[:2] / TRIALS < 0.95 - SPREAD)


def test_a_band_is_that_of_the_linearised_law():
    rng = np.random.default_rng(0)
    y = noisy(rng, X, 0.01, False)
    fit = fit_power_law(X, y)

    def model(x, gamma, log_k, q):
        return q + np.exp(log_k - gamma * np.log(x))

    start = np.array([fit.gamma, fit.log_k, fit.q])
    _, covariance = curve_fit(model, X, y, start)
    steps = 1e-6 * np.eye(3)
    gradient = np.array(
        [(model(PLACES, *(start + s)) - model(PLACES, *(start - s))) for s in steps]
    )
    gradient /= 2e-6
    error = np.sqrt(np.einsum("ip,ij,jp->p", gradient, covariance, gradient))
    band = fit.band(PLACES, level=0.9)
    quantile = t.ppf(0.95, len(X) - 3)
    # curve_fit differentiates numerically.
    np.testing.assert_allclose(band.high - band.law, quantile * error, rtol=1e-3)
    np.testing.assert_allclose(
        band.new_high - band.law, quantile * np.hypot(error, fit.scatter), rtol=1e-3
    )
    np.testing.assert_allclose(band.law, fit(PLACES), rtol=ROUNDING)
    assert isinstance(band, Band)
    assert band.level == 0.9


def test_a_line_in_logarithms_has_the_textbook_band():
    rng = np.random.default_rng(1)
    y = np.exp(1 - 0.3 * np.log(X) + 0.05 * rng.normal(size=len(X)))
    fit = fit_power_law(X, y, relative=0.05, offset=False)
    u = np.log(X) - np.log(X).mean()
    at = np.log(PLACES) - np.log(X).mean()
    half = norm.ppf(0.975) * 0.05 * np.sqrt(1 / len(X) + at**2 / np.sum(u * u))
    band = fit.band(PLACES)
    np.testing.assert_allclose(np.log(band.high / band.law), half, rtol=ROUNDING)
    np.testing.assert_allclose(np.log(band.law / band.low), half, rtol=ROUNDING)
    wide = fit.band(PLACES, noise=0.5)
    assert np.all(wide.new_high > band.new_high)
    np.testing.assert_array_equal(wide.high, band.high)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda fit: fit.band([1.0, 0.0]), r"`x` must be positive and finite; got 0"),
        (lambda fit: fit.band(2.0, level=1.0), r"`level` must lie between 0 and 1; got 1"),
        (lambda fit: fit.band(2.0, noise=-1), r"`noise` must be positive and finite; got -1"),
        (lambda fit: fit.band(2.0), r"`noise` must be given where errors differ from point"),
    ],
)
def test_bands_of_nonsense_are_refused(call, words):
    fit = fit_power_law(X, law(X), sigma=np.linspace(0.01, 0.02, len(X)), intervals=False)
    with pytest.raises(ValueError, match=words):
        call(fit)


def test_a_fit_that_knows_no_errors_has_no_band():
    band = fit_power_law(X, law(X)).band(PLACES)
    assert np.isnan([band.low, band.high, band.new_low, band.new_high]).all()
    np.testing.assert_allclose(band.law, law(PLACES), rtol=ROUNDING)


# ------------------------------------------------------------------------- repetitions


def test_seeds_in_rows_are_points_at_equal_x():
    y = noisy(np.random.default_rng(2), np.tile(X, (4, 1)), 0.02, False)
    rows = fit_power_law(X, y, sigma=np.full(len(X), 0.02))
    flat = fit_power_law(np.tile(X, 4), y.ravel(), sigma=0.02)
    assert (rows.gamma, rows.q_high, rows.misfit_p) == (flat.gamma, flat.q_high, flat.misfit_p)
    assert rows.residuals.shape == y.shape
    np.testing.assert_array_equal(rows.residuals.ravel(), flat.residuals)
    assert rows.replicate_dof == 3 * len(X)
    assert np.isnan(fit_power_law(X, y[0]).misfit_p)


def test_the_noise_is_that_of_the_repetitions_where_they_know_it_better():
    rng = np.random.default_rng(3)
    # A law that does not hold: off by 0.1, five times the noise.
    y = law(X) + 0.1 * np.sin(3 * np.log(X)) + 0.02 * rng.normal(size=(3, len(X)))
    fit = fit_power_law(X, y)
    pure = np.sqrt(np.sum((y - y.mean(axis=0)) ** 2) / (2 * len(X)))
    assert fit.noise == pytest.approx(pure, rel=ROUNDING)
    assert fit.noise_dof == fit.replicate_dof == 2 * len(X)
    assert fit.scatter > 2 * fit.noise
    assert fit.misfit_p < 1e-6
    assert "the law misses the means of points at equal `x` (p = " in fit.status
    # One pair among many points tells less than the residuals do.
    once = fit_power_law(np.r_[X, X[0]], np.r_[y[0], y[1, 0]])
    assert once.replicate_dof == 1
    assert once.noise == once.scatter
    assert once.noise_dof == once.dof


def test_lack_of_fit_is_found_by_chance_as_often_as_it_says():
    rng = np.random.default_rng(4)
    fits = [
        fit_power_law(X, noisy(rng, np.tile(X, (3, 1)), 0.02, False), intervals=False)
        for _ in range(TRIALS)
    ]
    p = np.array([fit.misfit_p for fit in fits])
    for level in (0.05, 0.25, 0.75):
        deviation = np.sqrt(level * (1 - level) / TRIALS)
        assert np.mean(p < level) == pytest.approx(level, abs=DEVIATIONS * deviation)
    covered = np.mean([abs(fit.gamma - 0.5) < t.ppf(0.975, 24) * fit.gamma_error for fit in fits])
    assert covered == pytest.approx(0.95, abs=SPREAD)


# ---------------------------------------------------------------------------- outliers


@pytest.mark.parametrize(("relative", "known"), [(False, False), (True, True), (True, False)])
def test_an_outlier_is_named_and_can_be_left_out(relative, known):
    y = noisy(np.random.default_rng(6), X, 0.01, relative)
    order = np.random.default_rng(7).permutation(len(X))
    x, y = X[order], y[order]
    y[4] *= 1.15  # fifteen errors
    options = {"relative": 0.01 if known else True} if relative else {}
    fit = fit_power_law(x, y, **options)
    assert fit.outlier == 4
    assert fit.outlier_p < 1e-3
    assert "point 4 is off the law of the others (p = " in fit.status
    assert "`without=4` fits without it" in fit.status
    better = fit_power_law(x, y, **options, without=fit.outlier)
    same = fit_power_law(np.delete(x, 4), np.delete(y, 4), **options)
    assert (better.gamma, better.q_low, better.status) == (same.gamma, same.q_low, same.status)
    assert np.isnan(better.residuals[4])
    np.testing.assert_array_equal(np.delete(better.residuals, 4), same.residuals)
    assert abs(better.gamma - 0.5) < 5 * better.gamma_error
    assert better.outlier_p > 1e-5


def test_the_residual_of_an_outlier_is_that_from_the_fit_without_it():
    y = noisy(np.random.default_rng(8), X, 0.002, True)
    fit = fit_power_law(X, y, relative=True, offset=False)  # a straight line: exact
    rest = fit_power_law(X, y, relative=True, offset=False, without=fit.outlier)
    i = fit.outlier
    u = np.delete(np.log(X), i)
    away = np.log(y[i] / rest(X[i]))
    spread = 1 + 1 / len(u) + (np.log(X[i]) - u.mean()) ** 2 / np.sum((u - u.mean()) ** 2)
    studentised = abs(away) / rest.scatter / np.sqrt(spread)
    p = len(X) * 2 * t.sf(studentised, len(X) - 3)
    assert fit.outlier_p == pytest.approx(min(1, p), rel=1e-6)


def test_outliers_are_found_by_chance_as_often_as_they_say():
    rng = np.random.default_rng(9)
    fits = [
        fit_power_law(X, noisy(rng, X, 0.02, False), sigma=sigma, intervals=False)
        for sigma in [None, 0.02]
        for _ in range(TRIALS)
    ]
    # Bonferroni's bound is nearly reached: residuals of different points hardly correlate.
    share = np.mean([fit.outlier_p < 0.1 for fit in fits])
    assert 0.04 < share < 0.1 + DEVIATIONS * np.sqrt(0.09 / len(fits))


def test_a_point_that_the_law_goes_through_anyway_is_no_outlier():
    rng = np.random.default_rng(10)
    y = 1 + 0.01 * rng.normal(size=len(X))
    y[0] = 5.0  # the first point and a constant: a power law of a very large exponent
    fit = fit_power_law(X, y, sigma=0.01)
    assert fit.outlier != 0
    assert fit.outlier_p > 1e-5


def test_the_record_can_be_sent_to_another_process():
    fit = fit_power_law(X, noisy(np.random.default_rng(0), X, 0.01, False))
    assert pickle.loads(pickle.dumps(fit)).gamma == fit.gamma


@pytest.mark.parametrize(
    ("y", "options", "words"),
    [
        (np.ones((2, 3, 4)), {}, r"`y` must have one row, or two dimensions \(seeds, n\)"),
        (np.ones((3, 5)), {}, r"`y` must have as many values as `x`; got 5 for 12"),
        (law(X), {"without": 12}, r"`without` must hold places from 0 to 11; got 12 at row 0"),
        (law(X), {"without": [1, 2.5]}, r"`without` must hold places .*; got 2.5 at row 1"),
        (law(X), {"without": range(9)}, r"`x` must have at least 4 values .*; got 3"),
        (np.tile(law(X), (2, 1)), {"sigma": [1.0] * 24}, r"`sigma` must have as many .* 24 for 12"),
    ],
)
def test_bad_points_are_named(y, options, words):
    with pytest.raises(ValueError, match=words):
        fit_power_law(X, y, **options)
