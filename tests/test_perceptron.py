"""The experiment's data, products and minimiser, without the theory; then against it."""

import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import replica
from perceptron import minimize_at_norm, over_seeds, random_labels, teacher_student
from perceptron.data import Examples
from perceptron.learning.fixed_norm import NoMinimiser
from perceptron.learning.newton import NotConverged
from perceptron.losses import Logistic
from perceptron.products import Products

ROOT = Path(__file__).parents[1]

# -------------------------------------------------------------------------------- data


@given(st.integers(10, 80), st.floats(0.1, 6), st.integers(0, 10**6))
def test_examples(n, alpha, seed):
    data = teacher_student(n, alpha, seed)
    assert data.inputs.shape == (round(alpha * n), n)
    assert data.inputs.dtype == data.labels.dtype == np.int8
    assert set(np.unique(data.inputs)) <= {-1, 1}
    assert data.teacher @ data.teacher == pytest.approx(n, rel=1e-12)
    np.testing.assert_array_equal(data.labels, np.sign(data.inputs @ data.teacher))
    again = teacher_student(n, alpha, seed)
    np.testing.assert_array_equal(again.inputs, data.inputs)
    assert np.any(teacher_student(n, alpha, seed + 1).inputs != data.inputs)


def test_inputs_are_fair_and_independent():
    x = teacher_student(400, 10.0, seed=3).inputs.astype(float)
    assert abs(x.mean()) < 4 / np.sqrt(x.size)
    overlap = (x.T @ x - np.diag(np.full(400, 4000.0))) / np.sqrt(4000)
    assert np.std(overlap[np.triu_indices(400, 1)]) == pytest.approx(1, abs=0.02)
    gauss = teacher_student(100, 10.0, seed=3, inputs="gaussian").inputs
    assert gauss.dtype == np.float32
    assert np.std(gauss) == pytest.approx(1, abs=0.01)


def test_flips_and_random_labels():
    clean, flipped = (teacher_student(200, 50.0, 1, label_flip=p) for p in (0.0, 0.1))
    np.testing.assert_array_equal(clean.inputs, flipped.inputs)
    rate = np.mean(clean.labels != flipped.labels)
    assert abs(rate - 0.1) < 4 * np.sqrt(0.09 / 10_000)
    storage = random_labels(200, 50.0, 1)
    assert storage.teacher is None
    assert abs(storage.labels.mean()) < 4 / np.sqrt(10_000)
    np.testing.assert_array_equal(storage.inputs, clean.inputs)


def test_bits_do_not_depend_on_the_process(tmp_path):
    code = (
        "import hashlib; from perceptron import teacher_student as t; d = t(300, 4.0, 7);"
        "print(hashlib.sha256(d.inputs.tobytes() + d.labels.tobytes()).hexdigest())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": threads},
            capture_output=True, text=True, check=True,
        ).stdout
        for threads in ("1", "2")
    }  # fmt: skip
    assert len(said) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: teacher_student(5, 1.0), "`N` must be an integer of at least 10; got 5"),
        (lambda: teacher_student(10.5, 1.0), "`N` must be an integer.*got 10.5"),
        (lambda: teacher_student(10, -1.0), "`alpha` must be positive and finite; got -1"),
        (lambda: teacher_student(10, 0.01), "`alpha` must give at least one example"),
        (lambda: teacher_student(10, 1.0, seed=-1), "`seed` must be a non-negative integer"),
        (lambda: teacher_student(10, 1.0, inputs="ising"), "`inputs` must be one of rademacher"),
        (lambda: teacher_student(10, 1.0, label_flip=0.6), r"`label_flip` must be in \[0, 0.5\]"),
        (lambda: random_labels(10, np.nan), "`alpha` must be positive"),
        (
            lambda: Examples(np.ones((3, 10), np.int64), np.ones(3, np.int8), None, 0),
            "`inputs` must be a",
        ),
        (lambda: Examples(np.ones((3, 10), np.int8), np.ones(3), None, 0), "`labels` must be a"),
        (lambda: Examples(np.ones((3, 10), np.int8), np.zeros(3, np.int8), None, 0), "-1 or 1"),
    ],
)
def test_bad_data(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------------------- products


@settings(max_examples=15)
@given(st.integers(1, 70), st.integers(1, 90), st.booleans(), st.integers(0, 10**6))
def test_products_are_the_products(p, n, gaussian, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((p, n)).astype(np.float32) if gaussian else (
        rng.integers(0, 2, (p, n)).astype(np.int8) * np.int8(2) - np.int8(1)
    )  # fmt: skip
    labels = (rng.integers(0, 2, p) * 2 - 1).astype(np.int8)
    products, v, weights = Products(x, labels), rng.standard_normal(n), rng.standard_normal(p)
    plain = x.astype(float)
    np.testing.assert_allclose(products.fields(v), plain @ v / np.sqrt(n), atol=1e-12)
    np.testing.assert_allclose(products.combine(weights), weights @ plain / np.sqrt(n), atol=1e-12)
    np.testing.assert_allclose(
        products.weighted(v, weights), plain.T @ (weights * (plain @ v)) / n, atol=1e-11
    )
    margins = labels * (plain @ v) / np.sqrt(n)
    pull = -2 * labels / (1 + np.exp(2 * 0.7 * margins)) @ plain / np.sqrt(n)
    fields, gradient = products.gradient(v, 0.7)
    np.testing.assert_allclose(labels * fields, margins, atol=1e-12)
    np.testing.assert_allclose(gradient, pull, atol=1e-11)
    np.testing.assert_allclose(products.gradient(v, 0.7, single=True)[1], pull, atol=1e-4)


def test_threads_do_not_change_a_bit():
    data = teacher_student(500, 4.0, seed=2)
    v = np.random.default_rng(0).standard_normal(500)
    results = [
        Products(data.inputs, data.labels, threads=threads).gradient(v, 1.0, single=single)[1]
        for single in (False, True)
        for threads in (1, 2, 3, 8)
    ]
    for other in results[1:4]:
        np.testing.assert_array_equal(results[0], other)
    for other in results[5:]:
        np.testing.assert_array_equal(results[4], other)


def test_examples_travel_to_other_processes():
    data = teacher_student(200, 40.0, seed=2)
    v = np.ones(200)
    before = data.products.fields(v)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(data)).products.fields(v), before)


# --------------------------------------------------------------------------- minimiser


@settings(max_examples=12)
@given(st.integers(10, 60), st.floats(0.3, 5), st.floats(-1.5, 1.2), st.integers(0, 10**6))
def test_conditions_of_the_minimum(n, alpha, log_lam, seed):
    """w is parallel to the pull of the examples: sum V' y x = -mu w with mu > 0."""
    lam = 10.0**log_lam
    data = teacher_student(n, alpha, seed)
    found = minimize_at_norm(data, lam)
    w = found.weights
    assert w @ w == pytest.approx(n, rel=1e-12)
    np.testing.assert_allclose(found.margins, data.labels * (data.inputs @ w) / np.sqrt(n))
    force = -2 * data.labels / (1 + np.exp(2 * lam * found.margins))
    pull = force @ data.inputs
    cosine = -(pull @ w) / np.linalg.norm(pull) / np.linalg.norm(w)
    assert np.sqrt(max(0, 1 - cosine**2)) < 2e-7  # the angle itself is below 1e-8
    assert found.gradient_norm <= 1e-8
    assert found.train_loss == pytest.approx(Logistic(lam).mean(found.margins), rel=1e-12)
    assert found.overlap == pytest.approx(w @ data.teacher / n, rel=1e-12)
    assert found.generalization_error == pytest.approx(np.arccos(found.overlap) / np.pi, abs=1e-9)


def test_minimum_against_a_general_minimiser():
    data = teacher_student(15, 3.0, seed=5)
    lam = 1.3

    def loss(v):
        w = v * np.sqrt(15) / np.linalg.norm(v)
        return Logistic(lam).mean(data.labels * (data.inputs @ w) / np.sqrt(15))

    best = min(
        minimize(loss, np.random.default_rng(k).standard_normal(15), options={"gtol": 1e-9}).fun
        for k in range(3)
    )
    assert minimize_at_norm(data, lam).train_loss == pytest.approx(best, rel=1e-10)


def test_a_path_equals_its_points():
    data = teacher_student(120, 4.0, seed=1)
    lams = [30.0, 0.02, 2.0, 2.0]
    path = minimize_at_norm(data, lams)
    assert [point.norm for point in path] == lams
    for lam, point in zip(lams, path, strict=True):
        alone = minimize_at_norm(data, lam)
        np.testing.assert_allclose(alone.weights, point.weights, atol=1e-6)
        warm = minimize_at_norm(data, lam, start=path[0].weights)
        np.testing.assert_allclose(warm.weights, point.weights, atol=1e-6)


def test_large_norm_tends_to_maximum_stability():
    """min Delta approaches kappa as 1/lam, although the loss itself is exp(-300)."""
    data = teacher_student(100, 3.0, seed=1)
    path = minimize_at_norm(data, [50.0, 100.0, 200.0, 400.0])
    kappa = np.array([point.margins.min() for point in path])
    steps = np.diff(kappa)
    assert np.all(steps > 0)
    np.testing.assert_allclose(steps[:-1] / steps[1:], 2, rtol=0.2)


def test_beyond_the_unconstrained_minimiser():
    data = random_labels(200, 3.0, seed=1)
    assert minimize_at_norm(data, 0.9).train_loss > 0
    with pytest.raises(NoMinimiser, match="`lam` must not exceed the norm of the unconstrained"):
        minimize_at_norm(data, 3.0)
    with pytest.raises(NotConverged, match="is not zero in double precision"):
        minimize_at_norm(teacher_student(50, 1.0), 1e5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lam": 0.0}, "`lam` must be positive and finite; got 0"),
        ({"lam": [1.0, np.inf]}, "`lam` must be positive and finite; got inf"),
        ({"lam": "x"}, "`lam` must be positive"),
        ({"lam": 1.0, "tolerance": 0.0}, r"`tolerance` must be in \(0, 0.1\]; got 0"),
        ({"lam": 1.0, "start": np.zeros(3)}, r"`start` must have shape \(50,\); got \(3,\)"),
        ({"lam": 1.0, "start": np.zeros(50)}, "`start` must be a finite vector other than zero"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        minimize_at_norm(teacher_student(50, 1.0), **options)


# ------------------------------------------------------------------------------- seeds


def experiment(seed):
    minimum = minimize_at_norm(teacher_student(40, 2.0, seed), [0.5, 2.0])
    return {"error": [m.generalization_error for m in minimum], "loss": minimum[0].train_loss}


@pytest.mark.pinned
def test_seeds_with_any_executor():
    own = over_seeds(experiment, 6)
    assert own.n == 6
    assert own.complete
    assert own.values["error"].shape == (6, 2)
    np.testing.assert_allclose(own.mean("loss"), np.mean([experiment(s)["loss"] for s in range(6)]))
    spread = own.values["error"].std(axis=0, ddof=1) / np.sqrt(6)
    np.testing.assert_allclose(own.standard_error("error"), spread)
    with (
        ThreadPoolExecutor(3) as threads,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes,
    ):
        for executor in (threads, processes):
            other = over_seeds(experiment, [5, 3, 1, 0, 2, 4], executor=executor)
            np.testing.assert_array_equal(own.values["error"], other.values["error"])


def test_bad_seeds_and_failing_experiments():
    for seeds in (0, [], [1, 1], [-1]):
        with pytest.raises(ValueError, match="`seeds` must be"):
            over_seeds(experiment, seeds)
    with pytest.raises(ZeroDivisionError):
        over_seeds(lambda seed: {"x": 1 / (seed - 2)}, 4)
    assert np.isnan(over_seeds(experiment, 1).standard_error("loss"))


def test_an_interruption_keeps_what_was_done():
    def interrupted(seed):
        if seed == 3:
            raise KeyboardInterrupt
        return {"x": float(seed)}

    with ThreadPoolExecutor(1) as one, pytest.warns(RuntimeWarning, match="seeds are kept"):
        partial = over_seeds(interrupted, 6, executor=one)
    assert not partial.complete
    assert set(partial.seeds) <= {0, 1, 2, 4, 5}
    np.testing.assert_array_equal(partial.values["x"], partial.seeds)


# --------------------------------------------------------------------- with the theory


def test_agreement_with_the_theory_at_one_size():
    """N = 500, 40 seeds: within 4 standard errors plus a bias of order 1/N.

    The control: the theory at twice the norm is out by more than 8.
    """
    lams = [0.3, 1.0, 4.0]

    def one(seed):
        minima = minimize_at_norm(teacher_student(500, 3.0, seed), lams)
        return {
            "error": [m.generalization_error for m in minima],
            "mean": [m.margins.mean() for m in minima],
        }

    found = over_seeds(one, 40)
    theory = replica.logistic_teacher_student(3.0, lams)
    wrong = replica.logistic_teacher_student(3.0, 2 * np.array(lams))
    for name, right, bad in (
        ("error", theory.generalization_error, wrong.generalization_error),
        ("mean", theory.margins.mean(), wrong.margins.mean()),
    ):
        off = np.abs(found.mean(name) - right) - 2 * np.abs(right) / 500
        assert np.all(off < 4 * found.standard_error(name)), name
        assert np.any(np.abs(found.mean(name) - bad) > 8 * found.standard_error(name)), name
