"""Prediction from two clusters: the equations, what a sample says of them, and trained weights."""

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

from perceptron import examples, minimize_at_ridge
from replica import Clusters, at_ridge, estimate_inputs, predict_learning_curve
from replica.prediction.averages import averages, proximal
from replica.prediction.moments import Moments, Sums
from replica.prediction.path import Path
from replica.prediction.penalised import Penalised
from replica.prediction.spectral import SpectralFunctions
from replica.prediction.total import TotalFunctions

K = np.arange(1, 61.0)
OMEGA, MU = K**-1.2, 0.35 * K**-0.6
EXACT = SpectralFunctions(OMEGA, MU**2)
C_GRID = np.geomspace(1e-2, 1e3, 24)


def sample(rows, seed, positive=0.5, omega=OMEGA, mu=MU):
    """Exactly so large a share of positive rows, shifted, in a random order."""
    rng = np.random.default_rng(seed)
    y = np.where(rng.permutation(rows) < positive * rows, 1.0, -1.0)
    x = y[:, None] * mu + np.sqrt(omega) * rng.standard_normal((rows, len(omega)))
    return x + 0.7, y


def functions(x, y, **kind):
    return Moments.of(x, y).functions(**kind)


# ------------------------------------------------------------------------- the equations


@pytest.mark.parametrize("positive", [0.5, 0.2])
def test_they_are_those_of_the_fixed_norm(positive):
    count = np.array([30.0, 200.0])
    path = Path.along(EXACT, positive, count, np.zeros(2), C_GRID)
    inputs = Clusters(OMEGA, MU, positive=positive)
    right = at_ridge(count[:, None], 1 / C_GRID, inputs=inputs)
    # both solvers stop far below 1e-12; their quadratures share nothing
    np.testing.assert_allclose(np.exp(path.log_error), right.generalization_error, rtol=1e-11)
    np.testing.assert_allclose(np.exp(path.log_norm), 2 * right.lam, rtol=1e-11)
    other = at_ridge(count[:, None], 1 / C_GRID, inputs=Clusters(OMEGA, MU, positive=0.35))
    assert np.abs(np.exp(path.log_error) / other.generalization_error - 1).max() > 0.01


def test_the_proximal_point_solves_its_equation():
    h0, gamma = np.meshgrid(np.linspace(-300, 60, 73), np.geomspace(1e-8, 1e6, 29))
    h = proximal(h0, gamma)
    push = gamma / (1 + np.exp(np.minimum(h, 700.0)))
    rounding = 1e-14 * (np.abs(h0) + gamma + 1)
    assert np.all(np.abs(h - h0 - push) < rounding)


def test_averages_beside_quad():
    gamma, m, q, b, share = 3.0, 0.8, 2.5, -0.4, 0.3
    found = averages(np.log([[gamma, m, q, 1.0]]) * [[1, 1, 1, 0]] + [[0, 0, 0, b]], share)

    def mean(f):
        def one(sign):
            def at(z):
                h0 = m + sign * b + np.sqrt(q) * z
                h = brentq(lambda h: h - h0 - gamma * expit(-h), h0, h0 + gamma, xtol=1e-14)
                return f(expit(-h), sign) * norm.pdf(z)

            return quad(at, -9, 9, epsabs=1e-14, epsrel=1e-13, limit=200)[0]

        return share * one(1) + (1 - share) * one(-1)

    def curved(p, sign):
        return p * (1 - p) / (1 + gamma * p * (1 - p))

    assert found.square[0][0] == pytest.approx(mean(lambda p, s: p**2), rel=1e-12)
    assert found.push[0][0] == pytest.approx(mean(lambda p, s: p), rel=1e-12)
    assert found.curved[0][0] == pytest.approx(mean(curved), rel=1e-12)
    assert found.balance[0][0] == pytest.approx(mean(lambda p, s: s * p), rel=1e-11)


def test_the_jacobian_is_the_derivative():
    systems = Penalised(EXACT, 0.3, np.array([50.0]), np.zeros(1))
    equations = systems.system(np.array([0.5]))
    y, first, h = np.array([[-2.0, 0.3, -0.2, 0.4, 0.6]]), np.array([0]), 1e-5
    _, jacobian = equations(y, first)
    for k in range(5):
        step = h * np.eye(5)[k]
        slope = (equations(y + step, first)[0] - equations(y - step, first)[0]) / (2 * h)
        # differences of h: h^2 and rounding/h; the column of log l is itself one, of 1e-3
        np.testing.assert_allclose(jacobian[:, :, k], slope, atol=1e-6 if k == 0 else 1e-8)


def test_trained_weights_agree_with_the_prediction():
    # eq. (P4) with moments that are known, and with those of one sample each, in 25 seeds
    count, penalty, positive = 120, np.array([10.0, 1.0, 0.1]), 0.3
    exact = Path.along(EXACT, positive, np.array([120.0]), np.zeros(1), 1 / penalty)
    errors, norms, own = [], [], []
    for seed in range(25):
        x, y = sample(count, seed, positive)
        data = examples(x, y, intercept=True)
        one_error, one_norm = [], []
        for ridge in penalty / len(K):  # fields there are w.x/sqrt(N)
            found = minimize_at_ridge(data, ridge)
            w, b = found.coefficients / np.sqrt(len(K)), found.bias
            spread = np.sqrt(w @ (OMEGA * w))
            centre = b + 0.7 * w.sum()
            one_error.append(
                positive * norm.cdf(-(w @ MU + centre) / spread)
                + (1 - positive) * norm.cdf(-(w @ MU - centre) / spread)
            )
            one_norm.append(np.linalg.norm(w))
        errors.append(one_error)
        norms.append(one_norm)
        path = Path.along(functions(x, y), positive, np.array([120.0]), np.zeros(1), 1 / penalty)
        own.append(np.exp(path.log_error[0]))
    error, norm_there = np.exp(exact.log_error[0]), np.exp(exact.log_norm[0])
    assert np.all(np.abs(deviation(errors, error)) < 4)
    assert np.all(np.abs(deviation(norms, norm_there)) < 4)
    assert np.all(np.abs(deviation(own, error)) < 4)
    wrong = Path.along(EXACT, positive, np.array([240.0]), np.zeros(1), 1 / penalty)
    assert np.abs(deviation(errors, np.exp(wrong.log_error[0]))).max() > 8


# ------------------------------------------------------------------ what a sample says


def test_derivatives_are_those_of_what_they_derive_from():
    x, y = sample(50, 1)
    found = functions(x, y)
    ridge, step = np.geomspace(1e-4, 1e2, 9), 1e-5
    at, low, high = (found.at(ridge * np.exp(k * step)) for k in (0, -1, 1))
    by_nu = np.log(high.nu / low.nu)
    np.testing.assert_allclose(at.df2, at.df1 + (high.df1 - low.df1) / by_nu, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(at.b, at.a + (high.a - low.a) / by_nu, rtol=1e-5, atol=1e-8)


def test_large_nu_keeps_its_digits():
    # beside mpmath, where a difference of df1 and its derivative would keep none
    x, y = sample(80, 2)
    found = functions(x, y)
    with mpmath.workdps(50):
        ridge, n, n_e = mpmath.mpf(10) ** 9, found.freedom, found.effective
        omega, u2 = ([mpmath.mpf(v) for v in part] for part in (found.eigenvalues, found.squares))

        def df1(at):
            return sum(w / (w + at) for w in omega)

        def nu(at):
            return at / (1 - df1(at) / n)

        def a(at):
            product = sum(u / (w + at) for w, u in zip(omega, u2, strict=True))
            return at / nu(at) * product - df1(at) / n_e

        slope = mpmath.diff(nu, ridge)
        right = [float(f(ridge) + nu(ridge) * mpmath.diff(f, ridge) / slope) for f in (df1, a)]
    at = found.at(np.array([1e9]))
    assert at.df2[0] == pytest.approx(right[0], rel=1e-11)
    assert at.b[0] == pytest.approx(right[1], rel=1e-11)


def test_small_nu_is_the_distance_of_mahalanobis():
    x, y = sample(200, 3)
    moments = Moments.of(x, y)
    at = moments.functions().at(np.array([1e-9]))
    n = len(K)
    distance = np.sum(moments.components**2 / moments.eigenvalues)
    assert at.df1[0] == pytest.approx(n, rel=1e-6)
    assert at.a[0] == pytest.approx((1 - n / 198) * distance - n / moments.effective, rel=1e-6)


def test_nothing_is_known_below_the_least_nu():
    x, y = sample(40, 4)
    found = functions(x, y)
    assert found.least_nu == pytest.approx(38 / np.sum(1 / found.eigenvalues))
    assert found.at(np.array([1e-13])).nu[0] == pytest.approx(found.least_nu, rel=1e-6)
    assert np.isnan(found.ridge_at(np.array([0.99 * found.least_nu]))[0])
    inputs = estimate_inputs(x, y)
    with pytest.raises(ValueError, match=r"`nu` must be positive and above .* 40 rows"):
        inputs.separation(0.5 * found.least_nu)
    nu = found.least_nu * np.array([1.01, 3.0, 1e4])
    np.testing.assert_allclose(found.at(found.ridge_at(nu)).nu, nu, rtol=1e-12)
    # and predictions end there: 2000 labels at a vanishing penalty learn more than 40 rows show
    path = Path.along(found, 0.5, np.array([2000.0]), np.zeros(1), np.geomspace(1e-3, 1e5, 30))
    assert np.isfinite(path.log_error[0, 0])
    known = np.isfinite(path.log_error[0])
    assert not known[-1]
    assert np.all(np.diff(known.astype(int)) <= 0)
    at = path.systems.select(np.zeros(known.sum(), dtype=int)).read(path.unknowns[0, known])
    assert np.all(at.nu > found.least_nu)
    assert predict_learning_curve(x, y, [40], check=False).verdict == ("C only",)


@pytest.mark.parametrize(("rows", "positive"), [(16, 0.5), (40, 0.3)])
def test_the_estimate_is_unbiased_and_knows_its_error(rows, positive):
    omega, mu = OMEGA[:24], MU[:24]  # more dimensions than rows, and fewer
    exact = SpectralFunctions(omega, mu**2)
    nu = np.array([0.1, 0.5, 50.0])
    right, draws = exact.at(nu), 200
    found, plug_in = [], []
    for seed in range(draws):
        moments = Moments.of(*sample(rows, seed, positive, omega, mu))
        one = moments.functions()
        at = one.at(one.ridge_at(nu))
        found.append([at.df1, at.df2, at.a, at.b])
        plug = moments.functions(exact=True).at(nu)
        plug_in.append([plug.df1, plug.df2, plug.a, plug.b])
    expected = np.array([right.df1, right.df2, right.a, right.b])
    off = np.mean(found, axis=0) - expected
    error = np.std(found, axis=0, ddof=1) / np.sqrt(draws)
    assert np.all(np.abs(off) < 4 * error + np.abs(expected) / rows)  # a bias of order 1/P0
    assert np.abs(deviation(plug_in, expected)).max() > 15
    # eq. (P10): the standard deviation of 200 numbers is known to 5%, times four
    known = SpectralFunctions(
        omega, mu**2, freedom=rows - 2, effective=4 * rows * positive * (1 - positive)
    )
    spread = np.std(np.array(found)[:, 2], axis=0, ddof=1)
    np.testing.assert_allclose(np.sqrt(known._variance(right.df2, right.b)), spread, rtol=0.2)
    # eq. (P13): the regression of b on a, whose slope is known to the residual over sqrt(200)
    a, b = np.array(found)[:, 2] - expected[2], np.array(found)[:, 3] - expected[3]
    measured = np.sum(a * b, axis=0) / np.sum(a * a, axis=0)
    left = np.std(b - measured * a, axis=0) / np.std(a, axis=0) / np.sqrt(draws)
    step = 1e-4
    low, high = (exact.at(nu * np.exp(k * step)) for k in (-1, 1))
    ends = [np.log(known._variance(at.df2, at.b)) for at in (low, high)]
    slope = 1 + (ends[1] - ends[0]) / (4 * step)
    assert np.all(np.abs(measured - slope) < 4 * left + 0.1 * np.abs(slope))
    assert np.abs(measured - 1).max() > 0.3  # b does not simply follow


def test_sums_add_and_the_gram_matrix_says_the_same():
    x, y = sample(90, 5)
    origin = x.mean(axis=0)
    parts = [Sums.of(x[rows], y[rows], origin) for rows in (slice(20, 50), slice(50, 90))]
    rest = parts[0].joined(parts[1]).moments().functions()
    right = functions(x[20:], y[20:])
    ridge = np.geomspace(1e-3, 1e2, 5)
    np.testing.assert_allclose(rest.at(ridge).a, right.at(ridge).a, rtol=1e-9)
    wide = np.hstack([x, np.zeros((90, 60))])  # more columns than rows: the other branch
    same, plain = functions(wide, y).at(ridge), functions(x, y).at(ridge)
    np.testing.assert_allclose(same.b, plain.b, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(same.df2, plain.df2, rtol=1e-9)


def test_a_known_covariance_of_all_rows_is_that_within_the_classes_and_a_mean():
    # eq. (P12) is exact where nothing is noisy: T's eigenvalues against those of S
    rho, nu = 0.64, np.geomspace(1e-3, 1e3, 9)
    values, directions = np.linalg.eigh(np.diag(OMEGA) + rho * np.outer(MU, MU))
    found = TotalFunctions(values, (MU @ directions) ** 2, rho=rho).at(nu)
    right = EXACT.at(nu)
    for name in ("df1", "a", "b"):
        np.testing.assert_allclose(getattr(found, name), getattr(right, name), rtol=1e-9)
    np.testing.assert_allclose(found.df2, right.df2, rtol=1e-6)  # holds a difference


def test_rows_without_labels_lower_the_range_and_are_as_unbiased():
    omega, mu = OMEGA[:24], MU[:24] / 2  # far apart, few rows would not always know S positive
    exact, nu = SpectralFunctions(omega, mu**2), np.array([0.1, 0.5, 50.0])
    right = exact.at(nu)
    found, errors = [], []
    x, y = sample(20, 0, 0.4, omega, mu)
    others, _ = sample(240, 1, 0.4, omega, mu)
    assert estimate_inputs(x, y, unlabelled=others).least_nu == 0 < estimate_inputs(x, y).least_nu
    for seed in range(100):
        x, y = sample(60, seed, 0.4, omega, mu)
        others, _ = sample(240, 1000 + seed, 0.4, omega, mu)
        inputs = estimate_inputs(x, y, unlabelled=others)
        at = inputs.functions.at(inputs.functions.ridge_at(nu))
        found.append([at.df1, at.df2, at.a])
        errors.append(np.sqrt(at.variance))
    expected = np.array([right.df1, right.df2, right.a])
    off = np.mean(found, axis=0) - expected
    spread = np.std(found, axis=0, ddof=1)
    # a = t/(1 - rho t) is convex in the t that is unbiased: that much, and orders of 1/P0
    assert np.all(np.abs(off) < 4 * spread / np.sqrt(100) + np.abs(expected) / 20)
    np.testing.assert_allclose(np.mean(errors, axis=0), spread[2], rtol=0.35)


# -------------------------------------------------------------------------- symmetries


def test_a_rotation_a_shift_and_a_scale_change_nothing_but_the_unit_of_C():
    x, y = sample(120, 6, 0.4)
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((60, 60)))[0]
    one = predict_learning_curve(x, y, [40, 120], C=[0.1, 3.0], check=False)
    other = predict_learning_curve(5 * x @ turn - 4, y, [40, 120], C=[0.1 / 25, 0.12], check=False)
    np.testing.assert_allclose(one.error, other.error, rtol=1e-8)
    np.testing.assert_allclose(one.best_error, other.best_error, rtol=1e-8)
    np.testing.assert_allclose(one.best_C, 25 * other.best_C, rtol=1e-5)
    np.testing.assert_allclose(one.lam, 5 * other.lam, rtol=1e-7)
    flipped = predict_learning_curve(x, -y, [40, 120], C=[0.1, 3.0], check=False)
    np.testing.assert_allclose(one.error, flipped.error, rtol=1e-8)


def deviation(values, right):
    """Of the mean from what is right, in standard errors."""
    values = np.asarray(values)
    return (values.mean(axis=0) - right) / (values.std(axis=0, ddof=1) / np.sqrt(len(values)))
