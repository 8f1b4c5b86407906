"""y = q + k x^(-gamma): the best fit is the best of all, and says truly how well it is known."""

import numpy as np
import pytest
from grids import diagonal
from hypothesis import assume, given
from hypothesis import strategies as st
from power_laws import X, given_as, law, sample
from scipy.optimize import brentq, curve_fit, least_squares

from replica.scaling.power_law import fit_power_law

# Data without noise carry 1e-16 of rounding; an exponent amplifies it by at most 1e4 here.
ROUNDING = 1e-11
# Intervals end where chi2 crosses a limit; the search for an extreme of q stops at 1e-6.
END = 1e-5
# scipy's least squares, with derivatives by differences, stop at this part of the parameters.
TWIN = 1e-4
# chi2 is flat there: it is known to the square.
LEAST = TWIN**2

GAMMAS = [-3.0, -1.0, -0.3, 0.05, 0.3, 1.0, 2.0, 5.0]


def residuals(parameters, x, y, errors, relative):
    """Of a plain implementation, for scipy; parameters are gamma, ln k at the middle, q."""
    gamma, log_k, q = parameters
    u = np.log(x) - np.log(x).mean()
    model = q + np.exp(np.clip(log_k - gamma * u, -600, 600))
    return (np.log(y / np.maximum(model, 1e-280)) if relative else y - model) / errors


def brute_force(x, y, errors, relative, starts, fixed=None):
    """Least chi2 by scipy from many starts, perhaps with one parameter (index, value) fixed."""
    free = [i for i in range(3) if fixed is None or i != fixed[0]]

    def of_free(values):
        everything = np.empty(3)
        everything[free] = values
        if fixed is not None:
            everything[fixed[0]] = fixed[1]
        return residuals(everything, x, y, errors, relative)

    low = np.array([-np.inf, -np.inf, 0.0])[free]
    fits = [
        least_squares(
            of_free,
            np.maximum(np.asarray(start, dtype=float)[free], low + 1e-12),
            bounds=(low, np.full(len(free), np.inf)),
            x_scale="jac",
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
            max_nfev=300,
        )
        for start in starts
    ]
    best = min(fits, key=lambda fit: fit.cost)
    return 2 * best.cost, best.x


def start_grid(x, y):
    """Starting points all over the place."""
    return [
        (t / np.ptp(np.log(x)), np.log(np.abs(y).max()) - abs(t) / 4, part * np.abs(y).max())
        for t in (-12, -3, -0.5, 0.5, 3, 12)
        for part in (1e-3, 0.3)
    ]


# ---------------------------------------------------------------------------- the fit


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("q", [0.0, 0.02, 1.0])
@pytest.mark.parametrize("gamma", GAMMAS)
def test_a_law_without_noise_is_recovered(gamma, q, relative):
    fit = fit_power_law(X, law(X, gamma, q), relative=relative)
    assert fit.gamma == pytest.approx(gamma, abs=ROUNDING * max(1, abs(gamma)))
    # Absolutely, q is known to the rounding of the largest y; relatively, of the smallest. As gamma
    # tends to 0 only k gamma, the slope, is seen: what gamma is off by, q is by k/gamma times.
    y = law(X, gamma, q)
    known = (y.min() if relative else y.max()) / min(1, abs(gamma))
    assert fit.q == pytest.approx(q, abs=ROUNDING * known)
    np.testing.assert_allclose(fit(X), y, rtol=0, atol=ROUNDING * y.max())
    # Without residuals nothing is known about errors.
    assert "the residuals are rounding" in fit.status
    for value in (fit.gamma_error, fit.q_error, fit.gamma_low, fit.q_high, fit.offset_p):
        assert np.isnan(value)


@pytest.mark.parametrize(("seed", "relative"), diagonal(range(8), [False, True]))
def test_nothing_fits_better(seed, relative):
    x, y, errors = sample(seed, relative)
    fit = fit_power_law(x, y, **given_as(errors, relative))
    chi2, (gamma, _, q) = brute_force(x, y, errors, relative, start_grid(x, y))
    assert fit.chi2 == pytest.approx(chi2, rel=LEAST)
    assert fit.gamma == pytest.approx(gamma, rel=TWIN)
    assert fit.q == pytest.approx(q, rel=TWIN, abs=TWIN / 100)
    assert np.sum(fit.residuals**2) == pytest.approx(fit.chi2, rel=1e-9)


@pytest.mark.parametrize(("seed", "relative"), diagonal([0, 1, 2, 5], [False, True]))
def test_intervals_end_where_chi2_has_risen_by_its_quantile(seed, relative):
    x, y, errors = sample(seed, relative)
    fit = fit_power_law(x, y, **given_as(errors, relative), level=0.6826894921370859)
    middle = (fit.gamma, fit.log_k - fit.gamma * np.log(x).mean(), max(fit.q, 1e-4))

    def rise(index, value):
        return brute_force(x, y, errors, relative, [middle], (index, value))[0] - fit.chi2 - 1

    for index, value, low, high, error in (
        (0, fit.gamma, fit.gamma_low, fit.gamma_high, fit.gamma_error),
        (2, fit.q, fit.q_low, fit.q_high, fit.q_error),
    ):
        for end in (low, high):
            if index == 2 and end == 0:
                assert rise(2, 0.0) < 0
            else:
                near = (value, end + np.sign(end - value) * error)
                exact = brentq(lambda v, index=index: rise(index, v), *near, xtol=1e-12)
                assert end == pytest.approx(exact, abs=END * error)


@pytest.mark.parametrize("nonnegative", [False, True])
def test_errors_are_those_of_the_linearised_law(nonnegative):
    rng = np.random.default_rng(3)
    sigma = np.full(len(X), 0.003)
    y = law(X, 0.5, 0.3) + sigma * rng.normal(size=len(X))
    fit = fit_power_law(X, y, sigma=sigma, nonnegative=nonnegative)
    start = (fit.gamma, fit.log_k, fit.q)
    _, covariance = curve_fit(
        lambda x, gamma, log_k, q: q + np.exp(log_k - gamma * np.log(x)),
        X,
        y,
        start,
        sigma=sigma,
        absolute_sigma=True,
    )
    # curve_fit differentiates numerically.
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-3)
    np.testing.assert_allclose(
        [fit.gamma_error, fit.log_k_error, fit.q_error], np.sqrt(np.diag(fit.covariance))
    )
    assert fit.k_error == pytest.approx(fit.k * fit.log_k_error)


def test_without_offset_relative_errors_make_a_straight_line():
    x, y, errors = sample(11, True)
    fit = fit_power_law(x, y, relative=errors, offset=False)
    (slope, intercept), covariance = np.polyfit(
        np.log(x), np.log(y), 1, w=1 / errors, cov="unscaled"
    )
    assert fit.gamma == pytest.approx(-slope, rel=1e-12)
    assert fit.log_k == pytest.approx(intercept, rel=1e-12)
    assert fit.gamma_error == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-9)
    half = 1.959963984540054 * fit.gamma_error  # a parabola: the interval is symmetric
    assert fit.gamma_low == pytest.approx(fit.gamma - half, rel=1e-9)
    assert fit.gamma_high == pytest.approx(fit.gamma + half, rel=1e-9)
    assert (fit.q, fit.q_error, fit.q_low, fit.q_high) == (0, 0, 0, 0)
    assert np.isnan(fit.offset_p)


def test_relative_errors_may_be_equal_and_unknown():
    x, y, _ = sample(4, True)
    fit = fit_power_law(x, y, relative=True)
    assert fit.relative
    assert np.isnan(fit.p_value)
    same = fit_power_law(x, y, relative=fit.scatter)
    assert same.gamma == pytest.approx(fit.gamma, rel=1e-9)
    assert same.scatter == pytest.approx(1, rel=1e-9)
    for none in (False, np.False_, None):
        assert not fit_power_law(x, y, relative=none, intervals=False).relative


def test_unknown_errors_are_those_of_the_residuals():
    x, y, _ = sample(4, False)
    unknown = fit_power_law(x, y)
    known = fit_power_law(x, y, sigma=unknown.scatter)
    assert known.scatter == pytest.approx(1, rel=1e-9)
    assert known.gamma_error == pytest.approx(unknown.gamma_error, rel=1e-6)
    np.testing.assert_allclose(known.residuals, unknown.residuals, rtol=1e-5, atol=1e-6)
    # Student's quantile is wider than the normal one.
    assert unknown.gamma_high > known.gamma_high
    assert unknown.gamma_low < known.gamma_low
    assert np.isnan(unknown.p_value)
    assert 0 < known.p_value < 1


@pytest.mark.parametrize("relative", [False, True])
def test_the_order_of_the_points_does_not_matter(relative):
    x, y, errors = sample(2, relative)
    order = np.random.default_rng(0).permutation(len(x))
    fit = fit_power_law(x, y, **given_as(errors, relative))
    same = fit_power_law(x[order], y[order], **given_as(errors[order], relative))
    assert same.gamma == fit.gamma
    assert same.serial_p == fit.serial_p
    np.testing.assert_array_equal(same.residuals, fit.residuals[order])


@pytest.mark.parametrize("relative", [False, True])
def test_points_at_the_same_x(relative):
    x, y, errors = sample(2, relative)
    twice = fit_power_law(
        np.r_[x, x], np.r_[y, y], **given_as(np.r_[errors, errors] * np.sqrt(2), relative)
    )
    once = fit_power_law(x, y, **given_as(errors, relative))
    assert twice.gamma == pytest.approx(once.gamma, rel=1e-9)
    assert twice.gamma_low == pytest.approx(once.gamma_low, rel=1e-6)


# ------------------------------------------------------------------------- invariances


@given(
    seed=st.integers(0, 10**6),
    log_unit=st.floats(-200, 200),
    relative=st.booleans(),
    offset=st.booleans(),
)
def test_units_of_x_and_y_do_not_matter(seed, log_unit, relative, offset):
    x, y, errors = sample(seed, relative)
    fit = fit_power_law(x, y, **given_as(errors, relative), offset=offset)
    unit = np.exp(log_unit)
    assume(np.isfinite(fit.gamma) and abs(fit.gamma) < 5)
    moved = fit_power_law(x * unit, y, **given_as(errors, relative), offset=offset)
    # Rounding of ln x, 1e-14 here, moves gamma by at most that over its error.
    assert moved.gamma == pytest.approx(fit.gamma, rel=1e-8)
    assert moved.q == pytest.approx(fit.q, rel=1e-7, abs=1e-10)
    assert moved.log_k == pytest.approx(fit.log_k + fit.gamma * log_unit, rel=1e-7, abs=1e-6)
    assert moved.gamma_high == pytest.approx(fit.gamma_high, rel=1e-6)
    scale = np.exp(log_unit / 2)
    scaled_errors = errors if relative else errors * scale
    scaled = fit_power_law(x, y * scale, **given_as(scaled_errors, relative), offset=offset)
    assert scaled.gamma == pytest.approx(fit.gamma, rel=1e-8)
    assert scaled.q == pytest.approx(fit.q * scale, rel=1e-7, abs=1e-10 * scale)
    assert scaled.q_high == pytest.approx(fit.q_high * scale, rel=1e-5)
    assert scaled.log_k == pytest.approx(fit.log_k + log_unit / 2, rel=1e-7, abs=1e-6)
    assert scaled.chi2 == pytest.approx(fit.chi2, rel=1e-6)


@given(seed=st.integers(0, 10**6), relative=st.booleans(), offset=st.booleans())
def test_the_inverse_of_x_turns_the_exponent(seed, relative, offset):
    x, y, errors = sample(seed, relative)
    fit = fit_power_law(x, y, **given_as(errors, relative), offset=offset)
    turned = fit_power_law(1 / x, y, **given_as(errors, relative), offset=offset)
    assert turned.chi2 == pytest.approx(fit.chi2, rel=1e-8)
    if np.isfinite(fit.gamma):
        assert turned.gamma == pytest.approx(-fit.gamma, rel=1e-7)
        assert turned.gamma_low == pytest.approx(-fit.gamma_high, rel=1e-6)
        assert turned.q == pytest.approx(fit.q, rel=1e-6, abs=1e-10)
        assert turned.offset_p == pytest.approx(fit.offset_p, rel=1e-4, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("relative", [False, True])
def test_norms_at_the_end_of_the_floats(relative):
    log_x = np.linspace(670, 705, 10)
    y = 0.1 + np.exp(-0.1 * (log_x - 690))
    fit = fit_power_law(np.exp(log_x), y, relative=relative)
    assert fit.gamma == pytest.approx(0.1, rel=1e-9)
    assert fit.log_k == pytest.approx(69, rel=1e-9)
    assert fit.q == pytest.approx(0.1, rel=1e-9)
    wide = np.geomspace(1e-290, 1e300, 20)
    fit = fit_power_law(wide, wide**-0.1, relative=True)
    assert fit.gamma == pytest.approx(0.1, rel=1e-9)
    # The prefactor of a steep law need not be a float; its logarithm is.
    steep = fit_power_law(np.exp(log_x), np.exp(-2 * (log_x - 690)), relative=True, offset=False)
    assert steep.log_k == pytest.approx(1380, rel=1e-12)
    assert steep.k == np.inf
    np.testing.assert_allclose(steep(np.exp(log_x[3:5])), np.exp(-2 * (log_x[3:5] - 690)), 1e-9)
