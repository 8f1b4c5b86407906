"""Drawn examples: the bits of a seed, laws of the draws, and errors beside fresh examples."""

import hashlib

import numpy as np
import pytest
from scipy.special import expit

from perceptron import (
    Examples,
    LogisticTeacher,
    StructuredInputs,
    Teacher,
    clusters,
    power_law,
    random_labels,
    teacher_student,
)
from perceptron.data.laws import RandomLaw

#: Deviations of a binomial number in standard errors; beyond by chance: 1 in 16,000.
DEVIATIONS = 4.0
FRESH = 40_000

K = np.arange(1.0, 61)
POWERS = power_law(1.5, 0.3, 60)
MODELS = [
    Teacher(),
    Teacher(label_flip=0.1),
    Teacher(label_noise=0.7),
    Teacher(label_flip=0.05, label_noise=2.0),
    Teacher(label_noise=np.inf),
    LogisticTeacher(2.5),
]


@pytest.mark.pinned
def test_a_seed_keeps_its_bits():
    """What these calls drew when there was nothing but noiseless and flipped teachers."""
    said = hashlib.sha256()
    for data in (
        teacher_student(300, 4.0, 7),
        teacher_student(100, 2.0, 3, "gaussian"),
        teacher_student(100, 2.0, 3, "rademacher", 0.1),
        random_labels(50, 2.0, 1),
        random_labels(50, 2.0, 1, "gaussian"),
        teacher_student(101, 0.5, 10**20),
    ):
        said.update(data.inputs.tobytes() + data.labels.tobytes())
    assert said.hexdigest() == "67d660f4634586792a8a461a5b8dd1d9b7afa31d4e9b6f68e7a5f695d749c895"


def off(count, probability, observed):
    """Distance of a share from its probability, in standard errors."""
    return abs(observed - probability) / np.sqrt(probability * (1 - probability) / count)


def fresh(data, inputs, seed):
    """New examples of the same teacher: their inputs, clean labels and labels."""
    other = teacher_student(data.N, FRESH / data.N, seed, inputs)
    fields = other.inputs @ data.teacher
    fields /= np.linalg.norm(data.law.deviations * data.teacher)
    rng = np.random.default_rng(seed + 1)
    return other.inputs, np.where(fields < 0, -1, 1), data.law.model.labels(fields, rng, rng)


@pytest.mark.parametrize("model", MODELS, ids=repr)
@pytest.mark.parametrize("inputs", ["gaussian", POWERS], ids=["independent", "power law"])
def test_errors_of_a_teacher_beside_fresh_examples(model, inputs):
    data = teacher_student(60, 1.0, 3, inputs, teacher=model)
    x, clean, labels = fresh(data, inputs, 50)
    along = data.teacher / np.linalg.norm(data.teacher)
    across = np.random.default_rng(8).standard_normal(60)
    for length, spoilt, threshold in ((1.0, 0.05, 0.0), (3.0, 0.2, 0.4), (1.0, -0.1, -1.5)):
        w = length * (along + spoilt * across)
        b = threshold * np.linalg.norm(data.law.deviations * w) / np.sqrt(60)
        answers = np.where(x @ w / np.sqrt(60) + b < 0, -1, 1)
        assert off(FRESH, data.error_of(w, b), np.mean(answers != clean)) < DEVIATIONS
        assert off(FRESH, data.test_error_of(w, b), np.mean(answers != labels)) < DEVIATIONS
    # the control: independent inputs have another metric
    if inputs is POWERS:
        w = along + 0.2 * across
        isotropic = np.arccos(w @ along / np.linalg.norm(w)) / np.pi
        answers = np.where(x @ w < 0, -1, 1)
        assert off(FRESH, isotropic, np.mean(answers != clean)) > 2 * DEVIATIONS


@pytest.mark.parametrize("positive", [0.5, 0.2])
def test_errors_of_clouds_beside_fresh_examples(positive):
    omega, mean = K**-1.3, 0.8 / K
    data = clusters(FRESH, omega, mean, positive, seed=4)
    assert data.intercept == (positive != 0.5)
    assert clusters(10, omega, mean, positive, intercept=False).intercept is False
    assert off(FRESH, positive, np.mean(data.labels == 1)) < DEVIATIONS
    within = data.inputs - data.labels[:, None] * mean
    np.testing.assert_allclose(within.mean(axis=0), 0, atol=5 / np.sqrt(FRESH))
    np.testing.assert_allclose(within.var(axis=0) / omega, 1, atol=6 * np.sqrt(2 / FRESH))
    for w, b in ((mean / omega, 0.02), (np.ones(60), -0.1), (mean, 0.0)):
        answers = np.where(data.inputs @ w / np.sqrt(60) + b < 0, -1, 1)
        assert off(FRESH, data.error_of(w, b), np.mean(answers != data.labels)) < DEVIATIONS
        assert data.test_error_of(w, b) == data.error_of(w, b)
    assert data.overlap_of(mean / omega) == pytest.approx(1, abs=1e-14)
    assert data.overlap_of(mean) < 0.999
    # an intercept that is too large takes everybody for one cluster
    assert data.error_of(mean, 1e6) == pytest.approx(1 - positive, abs=1e-12)


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_the_share_of_labels_that_are_not_the_teachers(model):
    data = teacher_student(100, 200.0, 5, "gaussian", teacher=model)
    clean = np.where(data.inputs @ data.teacher < 0, -1, 1)
    share = np.mean(data.labels != clean)
    if model == Teacher():
        assert share == 0
    else:
        assert off(data.P, data.test_error_of(data.teacher), share) < DEVIATIONS
    # what is known: flips, the arc tangent of the noise, the integral of the logistic function
    z = np.linspace(0, 12, 200_001)
    known = {
        MODELS[0]: 0.0,
        MODELS[1]: 0.1,
        MODELS[2]: np.arctan(0.7) / np.pi,
        MODELS[3]: 0.05 + 0.9 * np.arctan(2.0) / np.pi,
        MODELS[4]: 0.5,
        MODELS[5]: 2 * np.trapezoid(expit(-2.5 * z) * np.exp(-z * z / 2), z) / np.sqrt(2 * np.pi),
    }
    assert data.test_error_of(data.teacher) == pytest.approx(known[model], abs=1e-9)
    assert data.error_of(data.teacher) < 1e-15


def test_noise_changes_neither_inputs_nor_teacher():
    clean = teacher_student(60, 3.0, 1, POWERS)
    for other in (
        teacher_student(60, 3.0, 1, POWERS, label_noise=1.0),
        teacher_student(60, 3.0, 1, POWERS, 0.2),
        teacher_student(60, 3.0, 1, POWERS, teacher=LogisticTeacher(1.0)),
        teacher_student(60, 3.0, 1, POWERS, label_noise=np.inf),
    ):
        np.testing.assert_array_equal(other.inputs, clean.inputs)
        np.testing.assert_array_equal(other.teacher, clean.teacher)
        assert np.any(other.labels != clean.labels)
    both = teacher_student(60, 3.0, 1, POWERS, 0.2, label_noise=1.0)
    np.testing.assert_array_equal(
        both.labels, teacher_student(60, 3.0, 1, POWERS, teacher=Teacher(0.2, 1.0)).labels
    )


def test_inputs_have_their_variances_and_the_teacher_its_powers():
    data = teacher_student(60, 400.0, 2, POWERS)
    assert data.inputs.dtype == np.float32
    variances = np.mean(data.inputs.astype(float) ** 2, axis=0)
    np.testing.assert_allclose(variances / K**-1.5, 1, atol=6 * np.sqrt(2 / data.P))
    assert data.teacher @ data.teacher == pytest.approx(60, rel=1e-12)
    np.testing.assert_allclose(
        POWERS.eigenvalues * data.teacher**2 / data.teacher[0] ** 2, K ** -(1 + 2 * 1.5 * 0.3)
    )
    assert np.any(np.sign(data.teacher) != np.sign(data.teacher[0]))
    unit = np.ones(60) / np.sqrt(60)
    assert data.law.input_variance(3 * unit) == pytest.approx(np.mean(K**-1.5), rel=1e-12)
    equal = teacher_student(60, 1.0, 2, StructuredInputs(K))
    np.testing.assert_allclose(np.abs(equal.teacher), 1, rtol=1e-14)
    storage = random_labels(60, 1.0, 2, POWERS)
    assert (storage.teacher, storage.error_of(unit)) == (None, 0.5)


def test_what_nobody_knows_is_nan():
    own = Examples(np.eye(3), np.array([1, -1, 1], dtype=np.int8))
    assert np.isnan(own.error_of(np.ones(3)))
    assert np.isnan(own.test_error_of(np.ones(3)))
    assert np.isnan(own.overlap_of(np.ones(3)))
    numbered = Examples(np.eye(3), np.array([1, -1, 1], dtype=np.int8), None, 5)
    assert np.isnan(numbered.error_of(np.ones(3)))
    assert random_labels(20, 1.0, 5).error_of(np.ones(20)) == 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: teacher_student(50, 1.0, inputs=POWERS),
            "`N` must be that of `inputs`, 60; got 5",
        ),
        (lambda: teacher_student(50, 1.0, label_noise=-1), "`label_noise` must be non-negative"),
        (
            lambda: teacher_student(50, 1.0, label_flip=0.1, teacher=Teacher()),
            "`teacher` must not be given together",
        ),
        (lambda: teacher_student(50, 1.0, teacher="me"), "`teacher` must be a Teacher"),
        (lambda: LogisticTeacher(0.0), "`slope` must be positive"),
        (lambda: Teacher(label_flip=0.7), r"`label_flip` must be in \[0, 0.5\]; got 0.7"),
        (lambda: StructuredInputs([1.0, 0.0]), "`eigenvalues` must be positive, .*; got 0 among"),
        (lambda: StructuredInputs([1.0, 2.0], [0.0, 0.0]), "`teacher` must be non-negative"),
        (lambda: StructuredInputs([[1.0]]), "`eigenvalues` must be a list of numbers"),
        (lambda: power_law(1.5, 0.0, 10), "`source` must be positive"),
        (lambda: power_law(20.0, 0.3, 10**6), "`modes` must leave eigenvalues"),
        (lambda: clusters(0, K, K), "`P` must be a positive integer"),
        (lambda: clusters(9, K, 0 * K), "`mean` must be at most 1e"),
        (lambda: clusters(9, K, K, positive=1.0), r"`positive` must be in \(0, 1\)"),
        (lambda: clusters(9, K, K[1:]), r"`mean` must have shape \(60,\)"),
        (lambda: clusters(9, K, K, intercept=1), "`intercept` must be of type bool"),
        (lambda: clusters(10**14, K, K), "`P` must leave room in memory"),
        (
            lambda: Examples(np.eye(3), np.ones(3, np.int8), law=RandomLaw(np.ones(2))),
            "`law` must be a Law of 3 inputs",
        ),
        (
            lambda: teacher_student(50, 1.0).error_of(np.zeros(50)),
            "`weights` must have a direction",
        ),
    ],
)
def test_bad_data(call, message):
    with pytest.raises((ValueError, MemoryError), match=message):
        call()
