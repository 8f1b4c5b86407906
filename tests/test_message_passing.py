"""The Bayes-optimal predictor: its fixed point, its limits, refusals, and the theory."""

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import norm

import replica
from perceptron.data import random_labels, teacher_student
from perceptron.learning.hebb import hebb_rule
from perceptron.learning.max_margin import max_stability
from perceptron.learning.message_passing import _channel, bayes_optimal
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


def test_error_and_overlap_are_those_of_the_theory(sample):
    assert all(found.converged for _, found in sample)
    errors = [found.generalization_error for _, found in sample]
    estimates = [np.arccos(np.sqrt(found.q)) / np.pi for _, found in sample]
    for values in (errors, estimates):
        expected = replica.bayes_optimal(2.0).generalization_error
        assert abs(deviation(values, expected)) < DEVIATIONS
        wrong = replica.bayes_optimal(2.0 * 1.05).generalization_error
        assert abs(deviation(values, wrong)) > DEVIATIONS


def test_no_rule_does_better_on_average(sample):
    sample = sample[:20]
    ours = np.array([found.generalization_error for _, found in sample])
    for rule in (hebb_rule, max_stability):
        theirs = np.array([rule(examples).generalization_error for examples, _ in sample])
        assert deviation(theirs - ours, 0.0) > DEVIATIONS


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

    first, second = _channel(labels, centre, variance, flip)
    difference = (log_z(centre + h) - log_z(centre - h)) / (2 * h)
    # h^2 and 1e-16/h
    np.testing.assert_allclose(first, difference, rtol=1e-6, atol=1e-8)
    up, down = (_channel(labels, centre + e, variance, flip)[0] for e in (h, -h))
    np.testing.assert_allclose(second, (up - down) / (2 * h), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("flip", [0.0, 1e-300, 0.2])
def test_the_channel_never_overflows(flip):
    labels = np.ones(7, dtype=np.int8)
    centre = np.array([-1e6, -1e3, -40.0, 0.0, 40.0, 1e3, 1e6])
    first, second = _channel(labels, centre, 1.0, flip)
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


@pytest.mark.parametrize(
    ("argument", "value", "rule"),
    [
        ("label_flip", 0.5, r"in \[0, 0\.5\)"),
        ("label_flip", -0.1, r"in \[0, 0\.5\)"),
        ("tolerance", 0.0, r"in \(0, 0\.1\]"),
        ("max_iterations", 0, "a positive integer"),
        ("damping", 1.0, r"in \[0, 1\)"),
    ],
)
def test_bad_arguments_are_refused(argument, value, rule):
    with pytest.raises(ValueError, match=f"`{argument}` must be {rule}; got {value}"):
        bayes_optimal(teacher_student(20, 1.0), **{argument: value})
