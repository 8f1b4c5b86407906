"""Structured inputs: digits, laws that need no digits, published numbers, losses of one's own."""

import dataclasses
import itertools

import mpmath
import numpy as np
import pytest
from grids import diagonal
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ndtr
from structured_digits import ENDLESS, STRUCTURED, THREE, TWO, UNEQUAL

from replica import (
    Exponential,
    HardMargin,
    Hinge,
    Linear,
    Logistic,
    LogisticTeacher,
    Problem,
    RandomLabels,
    SmoothLoss,
    Square,
    SquaredHinge,
    Teacher,
    at_ridge,
    bayes_optimal,
    convexity_limit,
    hebb,
    logistic_clusters,
    logistic_storage,
    logistic_teacher_student,
    max_stability,
    optimal_norm,
    separability_capacity,
    solve,
)
from replica.channel import moments as m
from replica.common.arguments import InvalidArgument
from replica.inputs import Clusters, Isotropic, MarchenkoPastur, PowerLaw, Spectrum
from replica.losses import Loss
from replica.losses.piecewise import Pieces, PiecewiseLoss
from replica.population import population_curve
from replica.problem import pose

#: What is promised of every number, and of the logarithm of x and of kappa.
BUDGET = 1e-12
#: Two ways to the same doubles: a few hundred roundings, and what c makes of them.
ROUNDING = 2e-13


def logarithmic(low, high):
    return st.floats(np.log10(low), np.log10(high)).map(lambda e: 10.0**e)


# ------------------------------------------------------------------------------------ digits


@pytest.mark.parametrize("row", STRUCTURED, ids=lambda row: row.name)
def test_digits(row):
    found = solve(Problem(row.count, row.loss, row.teacher, row.inputs))
    with mpmath.workdps(30):

        def off(value, exact):
            exact = mpmath.mpf(exact)
            return float(abs(mpmath.mpf(value) - exact) / (abs(exact) or 1))

        Q = mpmath.mpf(row.input_variance)
        error = off(found.generalization_error, row.generalization_error)
        assert error <= min(found.error_estimate, BUDGET)
        assert off(found.one_minus_overlap, row.one_minus_overlap) <= BUDGET
        if row.stability is None:
            x = mpmath.mpf(row.log_x)
            assert abs(mpmath.mpf(found.log_x) - x) <= BUDGET * max(1, abs(x))
        else:
            kappa = mpmath.log(mpmath.mpf(row.stability))
            assert abs(mpmath.log(found.stability) - kappa) <= BUDGET * max(1, abs(kappa))
        assert off(found.input_variance, row.input_variance) <= BUDGET
        assert off(found.degrees_of_freedom, row.degrees_of_freedom) <= BUDGET
        if float(row.degrees_of_freedom) > 0:  # mu of Hebb's rule is infinite
            nu = np.exp(found.log_mu) * found.degrees_of_freedom
            assert off(nu, row.nu) <= BUDGET
            if not isinstance(row.loss, HardMargin):
                rate = row.loss.rate**2 * found.lam if row.loss.sharp else 1.0
                x = mpmath.exp(mpmath.mpf(row.log_x))
                if float(row.log_x) > 700:  # the ridge is below the doubles
                    return
                assert off(found.ridge, mpmath.mpf(row.nu) / (rate * mpmath.sqrt(Q) * x)) <= (
                    BUDGET * max(1, abs(float(row.log_x)))
                )
        if row.intercept is not None:
            assert off(found.intercept, row.intercept) <= BUDGET


# ------------------------------------------------------------------ what reduces to what

NOISES = st.one_of(
    st.just(Teacher()),
    st.floats(0.01, 0.4).map(lambda p: Teacher(label_flip=p)),
    logarithmic(1e-2, 3).map(lambda s: Teacher(label_noise=s)),
    st.just(RandomLabels()),
    st.just(LogisticTeacher(2.0)),
)
LOSSES = st.one_of(
    logarithmic(1e-2, 1e2).map(Logistic),
    logarithmic(1e-2, 1e1).map(Exponential),
    st.floats(1.0, 3).map(Hinge),
    st.floats(1.0, 3).map(SquaredHinge),
    st.floats(0.5, 3).map(Square),
    st.just(HardMargin()),
    st.just(Linear()),
)


def in_units_of_the_field(loss, scale):
    """V(s D)/s as a member of the same family; of the square losses up to a factor."""
    if loss.parameter is None:
        return loss
    return loss.with_parameter(getattr(loss, loss.parameter) * scale ** (1 if loss.sharp else -1))


def same(found, isotropic, scale, total=1.0):
    """A structured solution in which every direction has the variance scale^2."""
    slack = 4 * (found.error_estimate + isotropic.error_estimate) + ROUNDING
    assert found.generalization_error == pytest.approx(isotropic.generalization_error, rel=slack)
    for name in ("overlap", "one_minus_overlap", "multiplier", "replicon", "train_error"):
        ours, theirs = getattr(found, name), getattr(isotropic, name)
        assert ours == pytest.approx(theirs, rel=1e3 * slack, abs=1e-15), name
    assert found.degrees_of_freedom == pytest.approx(total * found.multiplier, rel=ROUNDING)
    assert found.input_variance == pytest.approx(scale**2, rel=1e2 * slack)
    stability = isotropic.stability * scale
    assert found.stability == pytest.approx(stability, rel=1e3 * slack, nan_ok=True)
    assert found.slope == pytest.approx(isotropic.slope, rel=1e-9, abs=1e-11, nan_ok=True)
    for p in (0.02, 0.5, 0.9):
        assert found.margins.quantile(p) == pytest.approx(
            scale * isotropic.margins.quantile(p), rel=1e-9, abs=1e-9 * scale
        )


def attempt(problem):
    """The solution, or the refusal."""
    try:
        return solve(problem)
    except InvalidArgument as refused:
        return refused


def refused_alike(here, there):
    """For the same reason, but for a condition that isotropic inputs have in closed form."""
    assert isinstance(here, InvalidArgument)
    known_beforehand = there.argument == "margin" and here.argument == "alpha"
    assert here.argument == there.argument or known_beforehand


@settings(max_examples=10)
@given(LOSSES, NOISES, logarithmic(0.1, 1e4), logarithmic(1e-3, 1e3))
def test_one_level_is_isotropic(loss, teacher, alpha, omega):
    scale = np.sqrt(omega)
    here = attempt(Problem(alpha, loss, teacher, Spectrum([omega], teacher=[3.0])))
    there = attempt(Problem(alpha, in_units_of_the_field(loss, scale), teacher))
    if isinstance(there, InvalidArgument):
        refused_alike(here, there)
        return
    same(here, there, scale)


@settings(max_examples=7)
@given(
    LOSSES,
    NOISES,
    logarithmic(0.1, 1e2),
    st.lists(st.floats(0.01, 5), min_size=2, max_size=6),
    st.booleans(),
)
def test_equal_eigenvalues_are_isotropic_whatever_the_teacher(loss, teacher, alpha, theta2, modes):
    """As a density, and as M modes with M alpha examples."""
    total = len(theta2)
    weights = None if modes else np.full(total, 1 / total)
    inputs = Spectrum(np.ones(total), theta2, weights)
    count = alpha * total if modes else alpha
    here, there = (
        attempt(Problem(count, loss, teacher, inputs)),
        attempt(Problem(alpha, loss, teacher)),
    )
    if isinstance(there, InvalidArgument):
        refused_alike(here, there)
        return
    same(here, there, 1.0, total if modes else 1.0)


@settings(max_examples=7)
@given(LOSSES, NOISES, logarithmic(0.3, 30), st.floats(0.1, 0.9), st.integers(0, 2))
def test_splitting_a_mode_changes_nothing(loss, teacher, alpha, part, which):
    omega, theta2, p = np.array([3.0, 1.0, 0.2]), np.array([0.1, 1.0, 4.0]), [0.2, 0.3, 0.5]
    whole = Spectrum(omega, theta2, p)
    cut = np.insert(p, which, p[which] * part)
    cut[which + 1] = p[which] - cut[which]
    double = [np.insert(v, which, v[which]) for v in (omega, theta2)]
    a, b = (attempt(Problem(alpha, loss, teacher, s)) for s in (whole, Spectrum(*double, cut)))
    if isinstance(a, InvalidArgument):
        assert b.argument == a.argument
        return
    slack = 4 * (a.error_estimate + b.error_estimate) + ROUNDING
    assert b.generalization_error == pytest.approx(a.generalization_error, rel=slack)
    for name in ("log_x", "input_variance", "degrees_of_freedom", "replicon", "train_error"):
        assert getattr(b, name) == pytest.approx(getattr(a, name), rel=1e-10, abs=1e-13), name


def test_splitting_a_mode_of_clusters_changes_nothing():
    """Of weight 4 with a component mu, into two of weight 2 with the same component each."""
    whole = Clusters([2.0, 0.5], [0.4, 0.3], [4, 6], positive=0.3)
    cut = Clusters([2.0, 2.0, 0.5], [0.4, -0.4, 0.3], [3, 1, 6], positive=0.3)
    a, b = (logistic_clusters(30.0, 2.0, inputs=inputs) for inputs in (whole, cut))
    for name in ("generalization_error", "log_x", "input_variance", "intercept", "ridge"):
        assert getattr(b, name) == pytest.approx(getattr(a, name), rel=BUDGET), name


def test_a_scale_of_the_inputs_is_one_of_the_norm():
    """omega -> 4 omega and lam -> lam/2 is the same problem; the ridge grows fourfold."""
    a = logistic_teacher_student(3.0, 2.0, inputs=THREE)
    wide = Spectrum(4 * THREE.eigenvalues, THREE.teacher, THREE.weights)
    b = logistic_teacher_student(3.0, 1.0, inputs=wide)
    assert b.generalization_error == pytest.approx(a.generalization_error, rel=BUDGET)
    assert b.field_norm == pytest.approx(a.field_norm, rel=BUDGET)
    assert b.ridge == pytest.approx(4 * a.ridge, rel=BUDGET)


@pytest.mark.parametrize("inputs", [TWO, ENDLESS, MarchenkoPastur(2.0)], ids=repr)
def test_random_labels(inputs):
    """R = 0, whoever the teacher would have been; half of the labels flipped is the same."""
    count = 0.7 if inputs.nodes.density else 700.0
    found = logistic_storage(count, 2.0, inputs=inputs)
    assert found.overlap == 0
    assert found.generalization_error == 0.5
    for noise in ({"label_flip": 0.5}, {"label_noise": np.inf}):
        other = logistic_teacher_student(count, 2.0, inputs=inputs, **noise)
        assert other.log_x == found.log_x
        assert other.input_variance == found.input_variance
    if isinstance(inputs, Spectrum):
        other = Spectrum(inputs.eigenvalues, [5.0, 1.0], inputs.weights)
        assert logistic_storage(count, 2.0, inputs=other).log_x == pytest.approx(
            found.log_x, rel=BUDGET
        )
    # labels that know next to nothing are next to it
    near = logistic_teacher_student(count, 2.0, label_flip=0.5 - 1e-7, inputs=inputs)
    assert near.log_x == pytest.approx(found.log_x, abs=1e-5)


# ------------------------------------------------------------------------------- equations

NARROW = [Clusters(UNEQUAL.eigenvalues, UNEQUAL.mean / 6, UNEQUAL.weights, p) for p in (0.5, 0.3)]
PLACES = {
    "list": (THREE, 3.0), "modes": (Spectrum([2.0, 1.0, 0.1], [1, 0, 2], [4, 7, 20]), 50.0),
    "power law": (ENDLESS, 1e3), "density": (MarchenkoPastur(0.5), 2.0),
    "even clusters": (NARROW[0], 40.0), "unequal clusters": (NARROW[1], 40.0),
}  # fmt: skip


@pytest.mark.parametrize("loss", [Logistic(2.0), Hinge(1.3), Square(2.5), HardMargin()], ids=repr)
@pytest.mark.parametrize("where", PLACES)
def test_jacobian_is_that_of_differences(where, loss):
    """In every unknown, off the root as well: differences of fourth order.

    The balance of two clouds is measured by a pull that counts as constant, so that its row is
    exact where the balance is zero.
    """
    inputs, count = PLACES[where]
    clusters = isinstance(inputs, Clusters)
    teacher = Teacher() if clusters else Teacher(label_flip=0.05, label_noise=0.3)
    one = np.array([0])
    equations = pose(Problem(count, loss, teacher, inputs)).equations(one)
    k = len(equations.unknowns)
    assert k == (5 if where == "unequal clusters" else 4)

    def residuals(z):
        moments = equations.moments(z, one, order=40)
        F, jacobian = equations.residuals(z, one, moments)
        pull = equations.channel.averages(z, one, moments, 3).pull.value
        scale = np.ones(k)
        scale[4:] = pull[0]
        return F[0] * scale, jacobian[0] * scale[:, None]

    rng = np.random.default_rng(5)
    middle = np.log(inputs.nodes.eigenvalue.max()) - 1.0
    for _ in range(3):
        z = np.array([[0.4, -0.3, middle, 0.1, 0.2]])[:, :k] + rng.uniform(-0.4, 0.4, (1, k))
        _, jacobian = residuals(z)
        h = 1e-3
        for j in range(k):
            F = [residuals(z + step * h * np.eye(k)[j])[0] for step in (-2, -1, 1, 2)]
            slope = (F[0] - 8 * F[1] + 8 * F[2] - F[3]) / (12 * h)
            # h^4 = 1e-12 of a fifth derivative that is at most some hundred times the first
            np.testing.assert_allclose(jacobian[:, j], slope, rtol=1e-8, atol=1e-8)


@settings(max_examples=15)
@given(
    LOSSES,
    NOISES,
    st.sampled_from([(THREE, 3.0), (ENDLESS, 300.0), (MarchenkoPastur(3.0), 0.4)]),
)
def test_the_multiplier_by_parts(loss, teacher, where):
    """g = R K - n E_W[t u], which says that the norm's equation and the push belong together."""
    inputs, count = where
    found = attempt(Problem(count, loss, teacher, inputs))
    if isinstance(found, InvalidArgument):
        return
    posed = pose(found.problem)
    equations = posed.equations(np.array([0]))
    # the unknowns, from what a user sees
    second = np.log(found.stability) if loss.hard else found.log_x
    log_s = np.log(found.input_variance) / 2
    if loss.hard:
        second = second - log_s
    c = 0.0 if found.overlap == 0 else found.log_c
    z = np.array([[c, second, found.log_mu, log_s]])
    moments = equations.moments(z, np.array([0]), order=40, columns=m.COUPLED)[0]
    K = count * np.sqrt(2 / np.pi) * moments[m.PULLED]
    g = found.overlap * K - count * moments[m.PUSHED]
    size = found.overlap * K + count * abs(moments[m.PUSHED])
    assert found.degrees_of_freedom == pytest.approx(g, rel=1e-11, abs=1e-12 * size)
    # and the sums over the spectrum that belong to it
    omega, p, tau = inputs.nodes.eigenvalue, inputs.nodes.count, inputs.nodes.signal
    if loss.hebbian:
        return
    mu = np.exp(found.log_mu)
    rho = omega / (mu + omega)
    nu = mu * (p @ rho)
    # where nearly all is learned mu is known better than g by itself
    assert p @ rho == pytest.approx(found.degrees_of_freedom, rel=1e-9)
    g = nu / mu
    if found.overlap > 0:
        learned = tau @ (omega / (nu + g * omega))
        assert found.overlap == pytest.approx(K * learned, rel=1e-9)
    A = moments[m.STEP]
    W2, W1 = p @ (omega / (nu + g * omega)) ** 2, p @ (omega / (nu + g * omega) ** 2)
    T3, T2 = tau @ (omega / (nu + g * omega)) ** 2, tau @ (omega / (nu + g * omega) ** 2)
    K = K if found.overlap > 0 else 0.0
    assert count * A * W2 + K**2 * T3 == pytest.approx(1, rel=1e-9)
    assert 1 / (count * A * W1 + K**2 * T2) == pytest.approx(found.input_variance, rel=1e-9)


# ------------------------------------------------------------------------------------ paths


@pytest.mark.parametrize(
    ("inputs", "count", "noise"),
    [
        (THREE, 3.0, {}),
        (ENDLESS, 1e4, {}),
        (ENDLESS, 100.0, {"label_flip": 0.1}),
        (PowerLaw(3.0, 0.7), 1e3, {}),
        (MarchenkoPastur(2.0), 0.8, {"label_noise": 0.3}),
    ],
    ids=repr,
)
def test_the_path_is_continuous_and_the_field_grows_with_the_norm(inputs, count, noise):
    """lam grows with lam' = lam sqrt(Q); log eps moves by its slope."""
    lam = np.geomspace(1e-3, 1e4, 211)
    limit = convexity_limit(count, inputs=inputs, **noise)
    path = logistic_teacher_student(count, lam[lam < limit], inputs=inputs, **noise)
    assert np.all(np.diff(path.field_norm) > 0)
    positive = path.ridge > 1e-300
    assert np.all(np.diff(path.ridge[positive]) < 0)
    step = np.diff(np.log(path.lam))
    moved = np.diff(np.log(path.generalization_error))
    # the trapezoidal rule of the slopes: h^2/12 of their second derivative, of order one
    expected = step * (path.slope[1:] + path.slope[:-1]) / 2
    np.testing.assert_allclose(moved, expected, atol=step[0] ** 3)
    assert np.all(path.error_estimate < BUDGET)
    ends = (hebb, max_stability) if not noise else (hebb,)
    for rule, at in zip(ends, (0, -1), strict=False):
        end = rule(count, inputs=inputs, **noise).generalization_error
        assert path.generalization_error[at] == pytest.approx(end, rel=1e-2)


@pytest.mark.parametrize("inputs", [THREE, ENDLESS, PowerLaw(2.5, 0.6)], ids=repr)
def test_the_population_is_approached_as_one_over_its_size(inputs):
    lam = 2.0
    limit = population_curve(lam, inputs=inputs)
    count = 1e6 * np.array([1.0, 4.0, 16.0])
    found = logistic_teacher_student(count, lam, inputs=inputs)
    gap = found.generalization_error / limit.generalization_error - 1
    np.testing.assert_allclose(gap[:-1] / gap[1:], 4, rtol=1e-2)
    assert found.input_variance[-1] == pytest.approx(limit.input_variance, rel=1e-4)
    assert np.log(found.input_variance[-1]) == pytest.approx(
        2 * np.log(found.field_norm[-1] / lam), rel=1e-9
    )


def test_one_early_curve_for_all_numbers_of_examples():
    """The table of a = 1.5, r = 0.3: what is common to P = 1e3, 1e4, 1e5."""
    found = logistic_teacher_student(
        np.array([1e3, 1e4, 1e5])[:, None], [1.0, 3.0], inputs=PowerLaw(1.5, 0.3)
    )
    expected = [[0.1249, 0.0799], [0.1235, 0.0759], [0.1234, 0.0754]]
    np.testing.assert_allclose(found.generalization_error, expected, atol=5e-5)
    gap = found.generalization_error / found.generalization_error[-1] - 1
    assert np.all(gap < 0.06)  # isotropic inputs: a factor 10


@pytest.mark.parametrize(
    ("where", "noise"),
    diagonal(
        [(THREE, 3.0), (ENDLESS, 1e3), (MarchenkoPastur(0.5), 5.0)],
        [{}, {"label_flip": 0.1}, {"label_noise": 0.5}],
    ),
    ids=repr,
)
def test_no_norm_beats_bayes(where, noise):
    inputs, count = where
    limit = convexity_limit(count, inputs=inputs, **noise)
    lam = np.geomspace(1e-2, min(1e3, limit * (1 - 1e-6)), 25)
    path = logistic_teacher_student(count, lam, inputs=inputs, **noise)
    bayes = bayes_optimal(count, inputs=inputs, **noise).generalization_error
    assert np.all(path.generalization_error > bayes)
    best = optimal_norm(count, inputs=inputs, **noise)
    assert best.generalization_error <= path.generalization_error.min() * (1 + ROUNDING)
    assert best.generalization_error > bayes
    assert best.bayes_gap == pytest.approx(best.generalization_error / bayes - 1, rel=1e-9)


def test_bayes_with_one_level_is_isotropic():
    one = bayes_optimal([0.5, 4.0], inputs=Spectrum([2.0, 2.0], weights=[0.5, 0.5]))
    np.testing.assert_allclose(
        one.generalization_error, bayes_optimal([0.5, 4.0]).generalization_error, rtol=BUDGET
    )


# ------------------------------------------------------------------------------- the ridge


@pytest.mark.parametrize(
    ("inputs", "count", "noise"),
    [
        (Isotropic(), 2.0, {}),
        (Isotropic(), 5.0, {"label_flip": 0.1}),
        (THREE, 3.0, {"label_noise": 0.4}),
        (ENDLESS, 1e3, {}),
        (ENDLESS, 1e7, {"label_flip": 0.02}),
        (UNEQUAL, 200.0, {}),
        (Clusters([2.0, 0.5], [0.4, 0.3], [40, 60]), 300.0, {}),
    ],
    ids=repr,
)
def test_at_ridge_is_the_inverse_of_ridge(inputs, count, noise):
    ridge = np.geomspace(1e-3, 1e3, 7)
    found = at_ridge(count, ridge, inputs=inputs, **noise)
    # lam moves by at most the move of the ridge, which Newton's tolerance bounds
    np.testing.assert_allclose(found.ridge, ridge, rtol=1e-10)
    np.testing.assert_allclose(found.C, 1 / ridge, rtol=1e-10)
    assert np.all(np.diff(found.lam) < 0)
    again = solve(dataclasses.replace(found.problem, loss=Logistic(found.lam)))
    np.testing.assert_array_equal(again.generalization_error, found.generalization_error)


def test_a_ridge_without_structure():
    """ridge = (1 - multiplier)/(4 lam x), one root away; L-BFGS at N = 600 gave lam = 1.0171(9)."""

    def excess(log_lam):
        at = logistic_teacher_student(2.0, np.exp(log_lam))
        return (1 - at.multiplier) / np.exp(at.log_x) / (4 * at.lam) - 0.1

    lam = np.exp(brentq(excess, -3, 3, xtol=1e-13))
    found = at_ridge(2.0, 0.1)
    assert found.lam == pytest.approx(lam, rel=1e-11)
    assert found.lam == pytest.approx(1.0171, abs=2 * 0.0009)


def test_a_large_ridge_is_hebb():
    """The distance falls as the inverse of the ridge, which is that of the norm."""
    for inputs, count in ((THREE, 3.0), (ENDLESS, 100.0)):
        end = hebb(count, inputs=inputs).generalization_error
        gap = np.abs(at_ridge(count, [1e4, 1e5], inputs=inputs).generalization_error / end - 1)
        assert gap[0] / gap[1] == pytest.approx(10, rel=0.05)


# --------------------------------------------------------------------- where answers end


def test_sur_and_candes():
    """kappa = 0.2, gamma^2 = 5: table 1 of Sur and Candes, and the threshold of Candes and Sur.

    In their scaling w = alpha* beta + sigma* Z/sqrt(P), |beta|^2 = gamma^2, and a proximal step
    lambda* in units of the margin z = 2 lam D.
    """
    gamma, kappa = np.sqrt(5.0), 0.2
    teacher = LogisticTeacher(gamma)
    limit = convexity_limit(1 / kappa, teacher=teacher)
    found = logistic_teacher_student(1 / kappa, limit * (1 - 1e-10), teacher=teacher)
    alpha = 2 * found.lam * found.overlap / gamma
    sigma = 2 * found.lam * np.sqrt((1 - found.overlap**2) / kappa)
    step = 4 * found.lam * np.exp(found.log_x)
    assert alpha == pytest.approx(1.4994, abs=1e-4)
    assert sigma == pytest.approx(4.7436, abs=1e-4)
    assert step == pytest.approx(3.0269, abs=1e-4)
    assert limit == pytest.approx(1.9837158, abs=1e-7)
    capacity = separability_capacity(teacher=teacher)
    assert capacity == pytest.approx(3.0713605, abs=1e-7)
    # and a spectrum of the same teacher has M times the examples
    assert separability_capacity(teacher=teacher, inputs=Spectrum([3, 1, 1])) == pytest.approx(
        3 * capacity, rel=BUDGET
    )


SPECTRA = {
    "two levels": (Spectrum([1.6, 0.4], [1.0, 3.0], [0.5, 0.5]), 1.0),
    "modes": (Spectrum([3.0, 1.0, 0.2], [1.0, 2.0, 0.3], [5, 20, 75]), 100.0),
    "finite power law": (PowerLaw(1.2, 0.4, modes=60), 60.0),
    "Marchenko-Pastur": (MarchenkoPastur(0.5), 1.0),
    "with directions of no variance": (MarchenkoPastur(4.0), 0.25),
}
TEACHERS = [
    Teacher(label_flip=0.1),
    Teacher(label_noise=0.7),
    Teacher(label_flip=0.02, label_noise=0.2),
    LogisticTeacher(3.0),
    RandomLabels(),
]


@pytest.mark.parametrize(("name", "teacher"), diagonal(SPECTRA, TEACHERS), ids=repr)
def test_capacity_and_limit_of_convexity_are_isotropic_per_mode(name, teacher):
    """There every mode is learned, nu = 0, and the field alone is left."""
    inputs, modes = SPECTRA[name]
    capacity = separability_capacity(teacher=teacher)
    assert separability_capacity(teacher=teacher, inputs=inputs) == pytest.approx(
        modes * capacity, rel=BUDGET
    )
    alpha = 2 * capacity
    limit = convexity_limit(modes * alpha, teacher=teacher, inputs=inputs)
    problem = Problem(modes * alpha, Logistic(limit * (1 - 1e-7)), teacher, inputs)
    near = solve(problem)
    assert near.multiplier == pytest.approx(1, abs=1e-5)
    assert near.multiplier < 1
    isotropic = convexity_limit(alpha, teacher=teacher)
    assert near.field_norm == pytest.approx(isotropic, rel=1e-5)
    assert near.ridge < 1e-5 * solve(dataclasses.replace(problem, loss=Logistic(limit / 2))).ridge
    with pytest.raises(InvalidArgument, match="the limit of convexity"):
        solve(dataclasses.replace(problem, loss=Logistic(limit * (1 + 1e-9))))
    with pytest.raises(InvalidArgument, match="capacity above which"):
        solve(dataclasses.replace(problem, alpha=modes * capacity * 1.001, loss=HardMargin()))


def test_endless_modes_have_no_limits():
    assert separability_capacity(inputs=ENDLESS, label_flip=0.2) == np.inf
    assert convexity_limit(1e4, inputs=ENDLESS, label_flip=0.2) == np.inf


# -------------------------------------------------------------------------------- clusters


@pytest.mark.parametrize("alpha", [0.3, 2.0, 20.0])
def test_two_round_clouds(alpha):
    """Mignacco, Krzakala, Lu, Urbani and Zdeborova (2020): a large ridge is the best of all.

    Hebb's w = mean + noise/sqrt(n) errs with probability Phi(-m^2/sqrt(m^2 + 1/n)), as the
    posterior average over the direction of the mean does.
    """
    mean = 0.9
    inputs = Clusters([1.0], [mean], weights=[1.0])
    best = ndtr(-(mean**2) / np.sqrt(mean**2 + 1 / alpha))
    assert hebb(alpha, inputs=inputs).generalization_error == pytest.approx(best, rel=BUDGET)
    assert hebb(alpha, inputs=inputs).overlap == pytest.approx(
        mean / np.sqrt(mean**2 + 1 / alpha), rel=BUDGET
    )
    ridge = [0.1, 1.0, 10.0, 1e4, 1e5]
    found = at_ridge(alpha, ridge, inputs=inputs)
    excess = found.generalization_error / best - 1
    assert np.all(np.diff(excess) < 0)
    assert np.all(excess > 0)
    # w = Hebb's up to terms of 1/ridge, and the best errs more only by their square
    assert excess[-2] / excess[-1] == pytest.approx(100, rel=0.05)
    assert np.all(found.generalization_error > ndtr(-mean))


def test_clusters_in_one_direction_do_as_their_discriminant():
    """A single mode is Fisher's discriminant itself: R -> 1 with many examples."""
    inputs = Clusters([2.0, 1.0, 0.5], [0.5, 0.3, 0.4], positive=0.5)
    distance = np.sqrt(np.sum(inputs.mean**2 / inputs.eigenvalues))
    found = at_ridge([1e3, 1e6], 1e-3, inputs=inputs)
    gap = found.generalization_error / ndtr(-distance) - 1
    assert np.all(gap > 0)
    assert gap[0] / gap[1] == pytest.approx(1000, rel=0.1)


@pytest.mark.parametrize("positive", [0.3, 0.05])
def test_unequal_clouds_at_small_norm(positive):
    """The intercept is the odds' logarithm, and w that of 4 pi+ pi- n examples of even clouds.

    At small norm the examples pull by 1 - pi+ and 1 - pi-: w = sum (y - pi+) x with y in {0, 1},
    of mean 2 n pi+ pi- mu and variance n pi+ pi-.
    """
    mean, alpha = 0.9, 2.0
    inputs = Clusters([1.0], [mean], weights=[1.0], positive=positive)
    few = 4 * positive * (1 - positive) * alpha
    lam = np.array([1e-4, 1e-5])
    found = logistic_clusters(alpha, lam, inputs=inputs)
    odds = np.log(positive / (1 - positive))
    off = np.abs(2 * lam * found.intercept - odds)
    assert off[0] / off[1] == pytest.approx(10, rel=0.05)
    assert off[1] < 20 * lam[1]
    assert found.overlap[1] == pytest.approx(mean / np.sqrt(mean**2 + 1 / few), rel=1e-4)


@settings(max_examples=5)
@given(st.floats(0.05, 0.95), logarithmic(1e-2, 1e2))
def test_a_mirror_turns_the_intercept(positive, lam):
    a, b = (
        logistic_clusters(
            50.0, lam, inputs=Clusters(UNEQUAL.eigenvalues, UNEQUAL.mean / 5, UNEQUAL.weights, p)
        )
        for p in (positive, 1 - positive)
    )
    assert b.intercept == pytest.approx(-a.intercept, rel=1e-9, abs=1e-12 / lam)
    assert b.generalization_error == pytest.approx(a.generalization_error, rel=1e-11)


def test_an_intercept_that_has_nothing_to_do():
    """Next to even fractions the intercept is next to nothing."""
    even = Clusters([2.0, 0.5], [0.4, 0.3], [40, 60])
    odd = Clusters([2.0, 0.5], [0.4, 0.3], [40, 60], positive=0.5 + 1e-6)
    a, b = (logistic_clusters(100.0, 2.0, inputs=inputs) for inputs in (even, odd))
    assert 0 < b.intercept < 1e-5
    assert b.generalization_error == pytest.approx(a.generalization_error, rel=1e-10)
    assert a.intercept == 0


# ------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("ask", "argument", "words"),
    [
        (lambda: solve(Problem(3.0, Logistic(1.0), inputs="power law")), "inputs", "Spectrum"),
        (lambda: solve(Problem(0.0, Logistic(1.0), inputs=THREE)), "alpha", "positive"),
        (lambda: logistic_teacher_student(3.0, -1.0, inputs=THREE), "lam", "non-negative"),
        (
            lambda: logistic_teacher_student(30.0, 50.0, label_flip=0.2, inputs=THREE),
            "lam", "the limit of convexity",
        ),
        (
            lambda: max_stability(300.0, label_flip=0.2, inputs=Spectrum([1, 2, 3])),
            "alpha", "capacity",
        ),
        (lambda: solve(Problem(3.0, Hinge(1e-3), inputs=THREE)), "margin", "maximum stability"),
        (lambda: logistic_clusters(3.0, 1.0, inputs=THREE), "inputs", "must be Clusters"),
        (lambda: bayes_optimal(3.0, inputs=UNEQUAL), "inputs", "Gaussian prior"),
        (
            lambda: logistic_teacher_student(3.0, 1.0, label_flip=0.1, inputs=UNEQUAL),
            "teacher", "left out with Clusters",
        ),
        (
            lambda: logistic_clusters(1e4, 50.0, inputs=Clusters([1.0, 2.0], [0.1, 0.2])),
            "lam", "the limit of convexity",
        ),
        (lambda: at_ridge(3.0, 0.0, inputs=THREE), "ridge", "positive"),
        (lambda: optimal_norm(3.0, label_flip=0.5, inputs=THREE), "label_flip", "to learn"),
    ],
)  # fmt: skip
def test_what_is_refused(ask, argument, words):
    with pytest.raises(InvalidArgument, match=words) as refused:
        ask()
    assert refused.value.argument == argument


def test_entries_of_an_array_are_refused_one_by_one():
    limit = convexity_limit(30.0, label_flip=0.2, inputs=THREE)
    lam = [limit / 2, 2 * limit, -1.0, 0.0]
    found = logistic_teacher_student(30.0, lam, label_flip=0.2, inputs=THREE)
    assert found.converged.tolist() == [True, False, False, True]
    alone = logistic_teacher_student(30.0, limit / 2, label_flip=0.2, inputs=THREE)
    assert found.generalization_error[0] == pytest.approx(alone.generalization_error, rel=ROUNDING)
    assert np.isnan(found.generalization_error[1:3]).all()
    assert "limit of convexity" in found.status[1]


# ---------------------------------------------------------------------- losses of one's own


@dataclasses.dataclass(frozen=True)
class Quartic(Loss):
    """(D - margin)^4/4: formula, derivative, curvature, and no more."""

    margin: float = 3.0
    parameter = "margin"

    def value(self, margin):
        return (np.asarray(margin) - self.margin) ** 4 / 4

    def derivative(self, margin):
        return (np.asarray(margin) - self.margin) ** 3

    def curvature(self, margin):
        return 3 * (np.asarray(margin) - self.margin) ** 2


@dataclasses.dataclass(frozen=True)
class Lying(Quartic):
    """Whose derivative is that of another loss."""

    def derivative(self, margin):
        return np.asarray(margin) - self.margin


@dataclasses.dataclass(frozen=True)
class Tilted(PiecewiseLoss):
    """max(1 - D, 0) + (1 - D)^2/4: a hinge on a parabola."""

    def value(self, margin):
        gap = 1 - np.asarray(margin)
        return np.maximum(gap, 0.0) + gap**2 / 4

    def derivative(self, margin):
        gap = 1 - np.asarray(margin)
        return -np.where(gap > 0, 1.0, 0.0) - gap / 2

    def curvature(self, margin):
        return np.full(np.shape(margin), 0.5)

    def pieces(self, parameter, b):
        """u = (3 - t) x/(2 + x) below 1 - x, 1 - t up to 1, (1 - t) x/(2 + x) beyond."""
        x = np.exp(b)
        share, slope, one, zero = x / (2 + x), 2 * x / (2 + x) ** 2, np.ones_like(x), 0 * x
        # D0 changes its sign at t = -3x/2, if that is on the first piece, else at 0
        sign = np.where(x < 2, -1.5 * x, 0.0)
        ends = np.sort(np.stack([sign, 1 - x, one], axis=1), axis=1)
        middle = np.where(x < 2, share, 1.0), np.where(x < 2, 2 * share, 0.0)
        level = np.stack([2 * share, middle[1], zero, zero], axis=1)
        gain = np.stack([share, middle[0], one, share], axis=1)
        return Pieces(
            ends, one, level, gain, np.where(level > 0, 2 * slope[:, None], 0.0),
            np.where(gain == 1, 0.0, slope[:, None]),
        )  # fmt: skip


class Slow(Tilted):
    """2 V(D/2), with pieces of its own."""

    def value(self, margin):
        return 2 * super().value(np.asarray(margin) / 2)

    def derivative(self, margin):
        return super().derivative(np.asarray(margin) / 2)

    def curvature(self, margin):
        return super().curvature(np.asarray(margin) / 2) / 2

    def pieces(self, parameter, b):
        at = super().pieces(parameter, b - np.log(2))
        return Pieces(
            2 * at.ends, 2 * at.target, 2 * at.level, at.gain, 2 * at.level_slope, at.gain_slope
        )


class Wrong(Tilted):
    """Pieces of another loss."""

    def derivative(self, margin):
        return super().derivative(margin) - 0.1

    def value(self, margin):
        return super().value(margin) - 0.1 * np.asarray(margin)


def test_a_loss_of_three_lines_is_solved_right():
    """Never silently as one of the library's own (0.20108599933 is that of `SquaredHinge`)."""
    found = solve(Problem(2.0, Quartic(3.0)))
    assert found.generalization_error == pytest.approx(0.18206313631, abs=1e-11)
    twin = SmoothLoss(Quartic().value, Quartic().derivative, Quartic().curvature)
    for inputs, count in ((Isotropic(), 2.0), (THREE, 2.0), (PowerLaw(1.5, 0.3), 100.0)):
        a, b = (solve(Problem(count, loss, inputs=inputs)) for loss in (Quartic(3.0), twin))
        assert a.generalization_error == pytest.approx(b.generalization_error, rel=1e-13)
    array = solve(Problem(2.0, Quartic(np.array([3.0, 2.0]))))
    assert array.generalization_error[0] == pytest.approx(found.generalization_error, rel=1e-13)


def test_a_loss_that_lies_is_refused():
    with pytest.raises(InvalidArgument, match="`dV` must be the derivative of `V`"):
        solve(Problem(2.0, Lying(3.0)))
    with pytest.raises(InvalidArgument, match="`dV` must be the derivative of `V`"):
        solve(Problem(2.0, Lying(3.0), inputs=THREE))
    with pytest.raises(InvalidArgument, match="`pieces` must be those of V"):
        solve(Problem(2.0, Wrong()))


def test_a_loss_of_twenty_lines_is_solved_right():
    """With a kink, against its saddle point as scipy's quadrature and roots have it."""
    for loss in (Hinge(1.2), SquaredHinge(0.7), Square(1.5), Linear(), Tilted()):
        loss.compare()  # those of the library, which are not compared in every problem
    found = solve(Problem(2.0, Tilted()))
    x, R = np.exp(found.log_x), found.overlap
    ends = sorted({-9.0, 1 - x, 1.0, 9.0})

    def push(t):
        d = ((t + 1.5 * x) / (1 + x / 2), t, (t + 0.5 * x) / (1 + x / 2))
        return (d[0] if d[0] < 1 else d[2] if d[2] > 1 else 1.0) - t

    def average(f):
        parts = itertools.pairwise(ends)
        return sum(quad(f, a, b, epsabs=1e-13, epsrel=1e-12)[0] for a, b in parts)

    c = R / np.sqrt(1 - R * R)
    A = average(lambda t: np.exp(-t * t / 2) * 2 * ndtr(c * t) * push(t) ** 2)
    s = np.sqrt(1 - R * R)
    B = average(lambda t: np.exp(-t * t / (2 * s * s)) / s * push(t)) / np.sqrt(2 * np.pi)
    assert 2.0 * A / np.sqrt(2 * np.pi) == pytest.approx(1 - R * R, rel=1e-9)
    assert 2.0 * np.sqrt(2 / np.pi) * B == pytest.approx(R, rel=1e-9)
    assert found.margins.atom.weight == 0  # it gave none
    # on a level of variance 1/4 it is 2 V(D/2), and so is one with these pieces
    wide = solve(Problem(2.0, Tilted(), inputs=Spectrum([0.25])))
    slow = solve(Problem(2.0, Slow()))
    assert wide.generalization_error == pytest.approx(slow.generalization_error, rel=1e-12)
    assert abs(wide.generalization_error - found.generalization_error) > 1e-3
    with pytest.raises(InvalidArgument, match="`dV` must be continuous"):
        solve(Problem(2.0, SmoothLoss(Tilted().value, Tilted().derivative, Tilted().curvature)))
