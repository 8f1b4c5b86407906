"""The Bayes-optimal predictor: its fixed point, its limits, refusals, and the theory."""

import mpmath
import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import norm

import replica
from perceptron.data import Examples, LogisticTeacher, random_labels, teacher_student
from perceptron.learning.hebb import hebb_rule
from perceptron.learning.max_margin import max_stability
from perceptron.learning.message_passing import _channel, bayes_optimal
from perceptron.learning.message_passing import _logistic as _levels
from perceptron.products import Products

#: Deviations in standard errors over the seeds, as in the tests of the hard margin.
DEVIATIONS = 4.0
SEEDS = 40


def deviation(values, expected: float) -> float:
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return float((np.mean(values) - expected) / error)


@pytest.fixture(scope="module")
def sample():
    """Pairs of examples and predictor at N = 1000, alpha = 2."""
    draws = [teacher_student(1000, 2.0, seed=seed) for seed in range(SEEDS)]
    return [(examples, bayes_optimal(examples)) for examples in draws]


@pytest.mark.slow  # the agreement matrix measures it, too
def test_error_and_overlap_are_those_of_the_theory(sample):
    assert all(found.converged for _, found in sample)
    errors = [found.generalization_error for _, found in sample]
    estimates = [np.arccos(np.sqrt(found.q)) / np.pi for _, found in sample]
    for values in (errors, estimates):
        expected = replica.bayes_optimal(2.0).generalization_error
        assert abs(deviation(values, expected)) < DEVIATIONS
        wrong = replica.bayes_optimal(2.0 * 1.05).generalization_error
        assert abs(deviation(values, wrong)) > DEVIATIONS


@pytest.mark.slow  # the agreement matrix measures it, too
def test_no_rule_does_better_on_average(sample):
    sample = sample[:20]
    ours = np.array([found.generalization_error for _, found in sample])
    for rule in (hebb_rule, max_stability):
        theirs = np.array([rule(examples).generalization_error for examples, _ in sample])
        assert deviation(theirs - ours, 0.0) > DEVIATIONS


@pytest.mark.slow  # the agreement matrix measures it, too
def test_the_posterior_knows_its_own_overlap_under_noise():
    draws = [teacher_student(1000, 4.0, seed=s, label_flip=0.1) for s in range(20)]
    found = [bayes_optimal(examples, label_flip=0.1) for examples in draws]
    assert all(f.converged for f in found)
    assert abs(deviation([f.overlap**2 - f.q for f in found], 0.0)) < DEVIATIONS
    # one who expects fewer flips thinks too well of himself
    wrong = [bayes_optimal(examples, label_flip=0.02) for examples in draws]
    assert deviation([f.overlap**2 - f.q for f in wrong], 0.0) < -DEVIATIONS


def naive_mean(examples, flip: float, iterations: int) -> np.ndarray:
    """Message passing with a variance for each weight and each field, and dense matrices."""
    F, y = examples.inputs / np.sqrt(examples.N), examples.labels
    mean, variance = np.zeros(examples.N), np.ones(examples.N)
    g = np.zeros(examples.P)
    for _ in range(iterations):
        V = F**2 @ variance
        omega = F @ mean - V * g
        Z = flip + (1 - 2 * flip) * norm.cdf(y * omega / np.sqrt(V))
        g = y * (1 - 2 * flip) * norm.pdf(omega / np.sqrt(V)) / (np.sqrt(V) * Z)
        Sigma = 1 / (F.T**2 @ (g**2 + omega * g / V))
        R = mean + Sigma * (F.T @ g)
        mean, variance = R / (1 + Sigma), Sigma / (1 + Sigma)
    return mean * np.sqrt(examples.N) / np.linalg.norm(mean)


@pytest.mark.parametrize("flip", [0.0, 0.1])
def test_the_mean_is_that_of_a_naive_twin(flip):
    examples = teacher_student(300, 1.5, seed=3, label_flip=flip)
    found = bayes_optimal(examples, label_flip=flip, tolerance=1e-12)
    assert found.converged
    np.testing.assert_allclose(found.weights, naive_mean(examples, flip, 300), atol=1e-9)


def test_few_examples_are_learned_by_hebb():
    examples = teacher_student(2000, 0.01, seed=4)
    overlap = bayes_optimal(examples).weights @ hebb_rule(examples).weights / examples.N
    # up to terms of order alpha
    assert overlap > 0.99


def test_damping_changes_the_way_and_not_the_end():
    examples = teacher_student(300, 1.0, seed=5)
    plain = bayes_optimal(examples, tolerance=1e-10)
    damped = bayes_optimal(examples, tolerance=1e-10, damping=0.5)
    assert damped.iterations > plain.iterations
    np.testing.assert_allclose(damped.weights, plain.weights, atol=1e-7)
    assert np.isclose(damped.q, plain.q, rtol=1e-8)


def test_the_same_bits_with_any_number_of_threads():
    first, second = (teacher_student(500, 2.0, seed=6) for _ in range(2))
    object.__setattr__(second, "products", Products(second.inputs, second.labels, 1))
    np.testing.assert_array_equal(bayes_optimal(first).weights, bayes_optimal(second).weights)


def test_gaussian_inputs_are_learned_too():
    examples = teacher_student(1000, 2.0, seed=7, inputs="gaussian")
    found = bayes_optimal(examples)
    assert found.converged
    # one sample: its spread is 6 standard errors of the 40 above
    assert abs(found.generalization_error - replica.bayes_optimal(2.0).generalization_error) < 0.02


@pytest.mark.parametrize("flip", [0.0, 1e-12, 0.1, 0.49])
def test_the_channel_is_the_derivative_of_its_logarithm(flip):
    labels = np.tile(np.array([-1, 1], dtype=np.int8), 200)
    centre, variance, h = np.linspace(-4, 4, 400), 0.3, 1e-5

    def log_z(x):
        return np.log(flip + (1 - 2 * flip) * ndtr(labels * x / np.sqrt(variance)))

    def channel(x):
        return _channel(labels, x, np.full(400, 0.2), np.array([0.1]), np.ones(1), flip)

    first, second = channel(centre)
    difference = (log_z(centre + h) - log_z(centre - h)) / (2 * h)
    # h^2 and 1e-16/h
    np.testing.assert_allclose(first, difference, rtol=1e-6, atol=1e-8)
    up, down = (channel(centre + e)[0] for e in (h, -h))
    np.testing.assert_allclose(second, (up - down) / (2 * h), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("slope", [0.1, 2.0, 50.0])
def test_the_logistic_channel_is_that_of_the_integral(slope):
    spread = 0.4
    labels = np.tile(np.array([-1, 1], dtype=np.int8), 4)
    centre = np.linspace(-12, 12, 8) / max(slope, 4.0)  # arguments of the logistic to 12

    def average(y: int, c: float) -> list[mpmath.mpf]:
        """Z, dZ/dc and its second derivative: of the Gaussian's mean, by parts."""
        y, c, v = mpmath.mpf(int(y)), mpmath.mpf(c), mpmath.mpf(spread)
        root = mpmath.sqrt(v)
        points = sorted({-9, 9, *(float(x) for x in (-c / root,) if abs(x) < 9)})
        return [
            mpmath.quad(
                lambda t, d=d: (
                    d(t) * mpmath.npdf(t) / (1 + mpmath.exp(-slope * y * (c + mpmath.sqrt(v) * t)))
                ),
                points,
            )
            for d in (lambda t: 1, lambda t: t / root, lambda t: (t * t - 1) / v)
        ]

    exact = [average(y, c) for y, c in zip(labels, centre, strict=True)]
    levels, shares = _levels(slope)
    first, second = _channel(labels, centre, np.full(8, spread), levels**2, shares, 0.0)
    for k, (z, dz, d2z) in enumerate(exact):
        # 1e-14 of P(y | z), and rounding of sums of 56 terms that cancel by a factor of 10
        assert first[k] == pytest.approx(float(dz / z), rel=1e-11, abs=1e-11)
        assert second[k] == pytest.approx(float(d2z / z - (dz / z) ** 2), rel=1e-10, abs=1e-10)


def test_logistic_labels_are_learned_as_well_as_theory_says():
    slope, errors, gaps, blind = 3.0, [], [], []
    for seed in range(12):
        examples = teacher_student(300, 4.0, seed, teacher=LogisticTeacher(slope))
        found = bayes_optimal(examples, slope=slope)
        assert found.converged
        assert found.slope == slope
        errors.append(found.generalization_error)
        gaps.append(found.overlap**2 - found.q)
        if seed < 5:  # which expects less noise
            wrong = bayes_optimal(examples, slope=2 * slope)
            blind.append(wrong.overlap**2 - wrong.q)
    theory = replica.bayes_optimal(4.0, teacher=replica.LogisticTeacher(slope))
    assert abs(deviation(errors, theory.generalization_error)) < 3.0
    # steeper by half, the labels would teach more
    steep = replica.bayes_optimal(4.0, teacher=replica.LogisticTeacher(1.5 * slope))
    assert deviation(errors, steep.generalization_error) > DEVIATIONS
    assert abs(deviation(gaps, 0.0)) < DEVIATIONS
    assert deviation(blind, 0.0) < -DEVIATIONS


@pytest.mark.parametrize("flip", [0.0, 1e-300, 0.2])
def test_the_channel_never_overflows(flip):
    labels = np.ones(7, dtype=np.int8)
    centre = np.array([-1e6, -1e3, -40.0, 0.0, 40.0, 1e3, 1e6])
    first, second = _channel(labels, centre, np.ones(7), np.zeros(1), np.ones(1), flip)
    assert np.all(np.isfinite(first))
    assert np.all(np.isfinite(second))
    assert np.all(first >= 0)
    if flip == 0:
        np.testing.assert_allclose(first[:2], -centre[:2], rtol=1e-5)
        assert np.all((second <= 1e-4) & (second >= -1.01))


def test_examples_without_a_posterior_are_flagged():
    found = bayes_optimal(random_labels(200, 5.0, seed=8))
    assert not found.converged
    assert np.all(np.isfinite(found.weights))
    assert bayes_optimal(random_labels(500, 0.5, seed=8)).converged
    assert not bayes_optimal(teacher_student(500, 2.0), max_iterations=3).converged


def own(inputs, labels) -> Examples:
    return Examples(np.asarray(inputs, dtype=np.float64), np.asarray(labels, dtype=np.int8))


def test_what_is_called_converged_obeys_its_equations():
    found = bayes_optimal(teacher_student(200, 2.0, seed=9), tolerance=1e-9)
    assert found.converged
    assert found.residual <= 1e-9
    unfinished = bayes_optimal(teacher_student(200, 2.0, seed=9), max_iterations=5)
    assert unfinished.residual > 1e-7
    assert not unfinished.converged


def test_an_input_of_zeros_says_nothing():
    with pytest.raises(ValueError, match=r"`examples` must hold no input of zeros.* got 1 of 4"):
        bayes_optimal(own([[0, 0], [1, 1], [0, 1], [1, 0]], [1, 1, -1, -1]))


def test_examples_that_cancel_have_no_direction():
    with pytest.raises(ValueError, match="`examples` must not cancel in Hebb's sum"):
        bayes_optimal(own([[1, 0], [0, 1], [-1, 0], [0, -1]], [1, 1, 1, 1]))


def test_correlated_inputs_and_an_intercept_are_refused():
    load_digits = pytest.importorskip("sklearn.datasets").load_digits

    x, y = load_digits(return_X_y=True)
    chosen = (y == 3) | (y == 8)
    x, y = x[chosen], np.where(y[chosen] == 3, 1, -1)
    with pytest.raises(ValueError, match=r"independent components of mean zero.* whose means are"):
        bayes_optimal(own(x, y))
    with pytest.raises(ValueError, match=r"independent components of mean zero.* correlations"):
        bayes_optimal(own(x - x.mean(axis=0), y))
    with pytest.raises(ValueError, match="`examples` must have no intercept"):
        bayes_optimal(Examples(x, y.astype(np.int8), intercept=True))


def test_units_do_not_matter():
    examples = teacher_student(200, 2.0, seed=2, inputs="gaussian")
    first = bayes_optimal(examples)
    other = bayes_optimal(own(1e-20 * examples.inputs.astype(float), examples.labels))
    np.testing.assert_allclose(other.weights, first.weights, atol=1e-5)


def test_components_of_different_size_have_variances_of_their_own():
    examples = uneven(seed=1)
    found = bayes_optimal(examples, tolerance=1e-12, label_flip=0.05)
    assert found.converged
    size = np.sqrt(np.mean(examples.inputs**2))
    twin = Examples(examples.inputs / size, examples.labels)
    np.testing.assert_allclose(found.weights, naive_mean(twin, 0.05, 400), atol=1e-8)


def uneven(seed: int) -> Examples:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((600, 200)) * np.exp(rng.standard_normal(200))
    w = rng.standard_normal(200)
    w *= np.sqrt(200) / np.linalg.norm(w)
    return Examples(x, np.where(x @ w < 0, -1, 1).astype(np.int8), w)


def test_the_posterior_knows_its_own_overlap_under_noise_of_the_field():
    sigma, gaps, wrong = 0.5, [], []
    for seed in range(20):
        clean = teacher_student(500, 4.0, seed=seed)
        noise = np.random.default_rng([seed, 1]).standard_normal(clean.P)
        z = clean.products.fields(clean.teacher) + sigma * noise
        examples = Examples(clean.inputs, np.where(z < 0, -1, 1).astype(np.int8), clean.teacher)
        found = bayes_optimal(examples, label_noise=sigma)
        assert found.converged
        gaps.append(found.overlap**2 - found.q)
        other = bayes_optimal(examples, label_noise=2 * sigma)
        wrong.append(other.overlap**2 - other.q)
    assert abs(deviation(gaps, 0.0)) < DEVIATIONS
    assert deviation(wrong, 0.0) > DEVIATIONS


@pytest.mark.parametrize(
    ("argument", "value", "rule"),
    [
        ("label_flip", 0.5, r"in \[0, 0\.5\)"),
        ("label_flip", -0.1, r"in \[0, 0\.5\)"),
        ("tolerance", 0.0, r"in \(0, 0\.1\]"),
        ("max_iterations", 0, "a positive integer"),
        ("damping", 1.0, r"in \[0, 1\)"),
        ("label_noise", -1.0, "0 or positive and finite"),
        ("slope", 0.0, "positive and finite"),
    ],
)
def test_bad_arguments_are_refused(argument, value, rule):
    with pytest.raises(ValueError, match=f"`{argument}` must be {rule}; got {value}"):
        bayes_optimal(teacher_student(20, 1.0), **{argument: value})


def test_a_slope_is_noise_enough():
    with pytest.raises(ValueError, match=r"`label_noise` must be 0 where there is a `slope`.*0\.5"):
        bayes_optimal(teacher_student(20, 1.0), slope=1.0, label_noise=0.5)
