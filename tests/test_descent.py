"""Gradient descent and its flow: laws of the path, bits, interruptions, and the door."""

import os
import signal
import threading

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rounding import gamma

from perceptron import (
    DescentError,
    Trajectory,
    gradient_descent,
    gradient_flow,
    largest_curvature,
    random_labels,
    teacher_student,
)
from perceptron.products import Products

#: Plain kernels take a thousand times longer.
COMPILED = not numba.config.DISABLE_JIT
compiled_only = pytest.mark.skipif(not COMPILED, reason="too slow when not compiled")


@pytest.fixture(scope="module")
def examples():
    return teacher_student(60 if COMPILED else 10, 3.0, seed=3)


def mean_loss(data, w):
    margins = data.labels * (data.inputs.astype(float) @ w) / np.sqrt(data.N)
    return np.mean(np.logaddexp(0, -2 * margins))


def same_bits(a: Trajectory, b: Trajectory) -> bool:
    pairs = [(a.columns[name], b.columns[name]) for name in a.columns]
    same = all(np.array_equal(x, y, equal_nan=True) for x, y in [*pairs, (a.weights, b.weights)])
    return same and a.complete == b.complete


# ------------------------------------------------------------------------- the path


@settings(deadline=None, max_examples=15 if COMPILED else 3)
@given(
    seed=st.integers(0, 10**6),
    inputs=st.sampled_from(["rademacher", "gaussian"]),
    size=st.floats(0.01, 4.0),
)
def test_a_step_is_the_gradient_by_finite_differences(seed, inputs, size):
    data = teacher_student(10, 2.3, seed, inputs)
    w, along = size * np.random.default_rng(seed).standard_normal((2, 10))
    done = gradient_descent(data, 1, 1e-3, start=w, records=[1], precision="double", progress=False)
    slope = (w - done.weights) @ along / 1e-3
    h = 1e-5
    by_difference = data.P * (mean_loss(data, w + h * along) - mean_loss(data, w - h * along))
    # differences cancel ten digits of a loss of some tens: 1e-15 * 1e2 / 1e-5
    assert slope == pytest.approx(by_difference / (2 * h), rel=1e-6, abs=1e-6)


def test_records_are_what_they_say(examples):
    run = gradient_descent(examples, 40, 0.05, progress=False)
    w, d = run.weights, examples
    margins = d.labels * (d.inputs.astype(float) @ w) / np.sqrt(d.N)
    overlap = w @ d.teacher / np.linalg.norm(w) / np.linalg.norm(d.teacher)
    assert run.step[0] == 0
    assert run.step[-1] == 40
    assert run.time == pytest.approx(0.05 * run.step, rel=1e-14)
    assert run.norm[-1] == pytest.approx(np.linalg.norm(w) / np.sqrt(d.N), rel=1e-14)
    assert run.overlap[-1] == pytest.approx(overlap, rel=1e-12)
    assert run.generalization_error[-1] == pytest.approx(np.arccos(overlap) / np.pi, rel=1e-10)
    assert run.train_loss[-1] == pytest.approx(mean_loss(d, w), rel=1e-12)
    assert run.train_error[-1] == np.mean(margins < 0)
    assert run.complete


def test_the_norm_grows_and_the_loss_falls_from_hebbs_rule(examples):
    hebb = examples.labels @ examples.inputs.astype(float)
    at_hebb = hebb @ examples.teacher / np.linalg.norm(hebb) / np.linalg.norm(examples.teacher)
    for run in (
        gradient_descent(examples, 3000 if COMPILED else 30, progress=False),
        gradient_flow(examples, until_norm=4.0 if COMPILED else 0.1, progress=False),
    ):
        assert run.norm[0] == 0.0
        assert run.train_loss[0] == pytest.approx(np.log(2), rel=gamma(examples.P))
        assert run.overlap[0] == pytest.approx(at_hebb, rel=1e-12)
        # the second record is Hebb's rule but for the steps being finite, and single precision
        assert run.overlap[1] == pytest.approx(at_hebb, abs=1e-3)
        assert np.all(np.diff(run.norm) > 0)
        assert np.all(np.diff(run.train_loss) < 0)


@compiled_only
def test_flow_is_the_limit_of_small_steps(examples):
    """The difference at one time falls in proportion to the learning rate."""
    until = 4.0
    flow = gradient_flow(examples, until_time=until, tolerance=1e-8, progress=False)
    rates = np.array([4e-3, 2e-3, 1e-3])
    runs = [
        gradient_descent(examples, round(until / rate), rate, precision="double", progress=False)
        for rate in rates
    ]
    for name in ("norm", "overlap"):
        off = np.array([getattr(run, name)[-1] - getattr(flow, name)[-1] for run in runs])
        # second-order terms are of the size rate * curvature, below 5% here
        assert off[:-1] / off[1:] == pytest.approx(2.0, abs=0.1)
        assert np.abs(off[-1]) < 3 * rates[-1]


@compiled_only
def test_tolerance_of_the_flow_is_kept(examples):
    """A hundred times tighter steps change the weights by a few tolerances."""
    runs = [
        gradient_flow(examples, until_time=1e3, tolerance=tol, progress=False)
        for tol in (1e-4, 1e-6)
    ]
    off = np.linalg.norm(runs[0].weights - runs[1].weights) / np.linalg.norm(runs[1].weights)
    assert off < 1e-3


@compiled_only
def test_late_norm_grows_like_log_time(examples):
    """d lam / d log t -> 1/(2 kappa), kappa the largest stability."""
    run = gradient_flow(examples, until_time=1e10, progress=False)
    decades = np.interp(np.log(10) * np.arange(7, 11), np.log(run.time[1:]), run.norm[1:])
    slopes = np.diff(decades) / np.log(10)
    assert slopes == pytest.approx(slopes.mean(), rel=0.01)
    margins = examples.labels * examples.products.fields(run.weights)
    # the margin still misses O(1 / log t) of kappa
    assert slopes[-1] == pytest.approx(run.norm[-1] / (2 * margins.min()), rel=0.05)
    assert run.train_error[-1] == 0.0


@compiled_only
def test_flow_ends_where_it_was_told(examples):
    by_norm = gradient_flow(examples, until_norm=2.0, tolerance=1e-6, progress=False)
    assert by_norm.norm[-1] == pytest.approx(2.0, rel=1e-14)
    at = float(by_norm.time[-1])
    by_time = gradient_flow(examples, until_time=at, tolerance=1e-6, progress=False)
    assert by_time.time[-1] == at
    assert by_time.weights == pytest.approx(by_norm.weights, rel=1e-4, abs=1e-5)
    further = gradient_flow(examples, until_norm=3.0, resume=by_norm, progress=False)
    assert further.norm[-1] == pytest.approx(3.0, rel=1e-14)
    assert np.array_equal(further.norm[: len(by_norm.norm)], by_norm.norm)


@compiled_only
def test_flow_comes_to_rest_on_data_that_cannot_be_separated():
    data = teacher_student(40, 6.0, seed=1, label_flip=0.2)
    rest = gradient_flow(data, until_time=1e9, progress=False)
    assert rest.complete
    assert rest.time[-1] < 1e9
    slope = data.products.gradient(rest.weights, 1.0)[1]
    assert np.linalg.norm(slope) < 1e-5 * np.sqrt(data.P)
    descent = gradient_descent(data, 3000, 0.05, precision="double", progress=False)
    assert descent.weights == pytest.approx(rest.weights, abs=1e-4)
    with pytest.raises(DescentError, match=r"`until_norm` must be a norm .* got 30\.0") as failure:
        gradient_flow(data, until_norm=30.0, progress=False)
    assert failure.value.trajectory.norm[-1] == pytest.approx(rest.norm[-1], rel=1e-3)


def test_random_labels_have_no_teacher():
    data = random_labels(12, 0.4, seed=1)
    run = gradient_descent(data, 20, progress=False)
    assert np.all(np.isnan(run.overlap))
    assert np.all(run.generalization_error == 0.5)
    assert run.train_loss[-1] < run.train_loss[0]


@pytest.mark.parametrize("inputs", ["rademacher", "gaussian"])
def test_largest_curvature_is_that_of_the_dense_matrix(inputs):
    data = teacher_student(50, 2.0, seed=5, inputs=inputs) if COMPILED else teacher_student(10, 2.0)
    x = data.inputs.astype(float)
    exact = np.linalg.eigvalsh(x.T @ x / data.N)[-1]
    # from above, but for single precision; 20 Lanczos steps come this close
    assert exact * (1 - 1e-5) < largest_curvature(data) < 1.1 * exact


# --------------------------------------------------------------------------- the bits


@compiled_only
@pytest.mark.parametrize("precision", ["single", "double"])
def test_every_number_of_threads_gives_the_same_bits(precision):
    data = teacher_student(210, 4.99, seed=2)  # the last part is short, and its rows odd
    runs = []
    for threads in (1, 2, 3, 8):
        data.products.threads = threads
        runs.append(gradient_descent(data, 500, 0.02, precision=precision, progress=False))
    assert all(same_bits(runs[0], run) for run in runs[1:])


@compiled_only
def test_flow_has_the_same_bits_in_all_threads():
    data = teacher_student(210, 4.99, seed=2)
    runs = []
    for threads in (1, 2, 3):
        data.products.threads = threads
        runs.append(gradient_flow(data, until_norm=3.0, progress=False))
    assert all(same_bits(runs[0], run) for run in runs[1:])


@pytest.mark.parametrize("cut", [1, 7, 20, 33])
def test_a_resumed_run_is_the_uninterrupted_one(examples, cut):
    whole = gradient_descent(examples, 40, progress=False)
    first = gradient_descent(examples, cut, progress=False)
    assert same_bits(whole, gradient_descent(examples, 40, resume=first, progress=False))


def main_thread_only():
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("only the main thread can be interrupted")


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupted_descent_keeps_its_records_and_goes_on(examples, threads):
    examples.products.threads = threads
    gradient_descent(examples, 2, 0.01, progress=False)  # compiles
    main_thread_only()
    cut = None
    for delay in (0.1, 1.0, 10.0, 100.0):  # a busy machine may not have begun after the first
        timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        try:
            with pytest.warns(RuntimeWarning, match="interrupted at step .* `resume` to go on"):
                cut = gradient_descent(examples, 10**9, 0.01, progress=False)
            break
        except KeyboardInterrupt:
            continue
        finally:
            timer.join()
    examples.products.threads = 1
    assert not cut.complete
    assert 0 < cut.step[-1] < 10**9
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    total = int(cut.step[-1]) + 100
    on = gradient_descent(examples, total, resume=cut, progress=False)
    assert same_bits(on, gradient_descent(examples, total, 0.01, progress=False))


@compiled_only
def test_an_interrupted_flow_goes_on_to_the_same_bits(examples, monkeypatch):
    whole = gradient_flow(examples, until_time=30.0, progress=False)
    gradient, calls = Products.gradient, 0

    def gradient_with_a_key_pressed(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == 60:
            signal.raise_signal(signal.SIGINT)
        return gradient(*arguments, **options)

    main_thread_only()
    with monkeypatch.context() as patch:
        patch.setattr(Products, "gradient", gradient_with_a_key_pressed)
        with pytest.warns(RuntimeWarning, match="interrupted at time .* `resume` to go on"):
            cut = gradient_flow(examples, until_time=30.0, progress=False)
    assert not cut.complete
    assert 0 < cut.time[-1] < 30.0
    on = gradient_flow(examples, until_time=30.0, resume=cut, progress=False)
    assert same_bits(on, whole)


# --------------------------------------------------------------------------- the door


def test_an_exploding_step_size_is_told_with_one_that_works(examples):
    with pytest.raises(
        DescentError, match=r"`learning_rate` = 50 is too large: .* in 1 step; below"
    ):
        gradient_descent(examples, 100, 50.0, progress=False)
    bound = 2 / largest_curvature(examples)
    run = gradient_descent(examples, 30, 0.99 * bound, progress=False)
    assert np.all(np.diff(run.train_loss) < 0)


@pytest.mark.parametrize("precision", ["single", "double"])
def test_weights_beyond_all_numbers_are_told_too(examples, precision):
    rate = 1e300 if COMPILED else 1e36  # plain numpy would warn of the overflow
    with pytest.raises(DescentError, match=r"`learning_rate` = 1e\+3.* is too large") as failure:
        gradient_descent(examples, 10, rate, precision=precision, progress=False)
    assert failure.value.trajectory.step[0] == 0
    assert not failure.value.trajectory.complete


def test_an_error_survives_the_way_between_processes(examples):
    import pickle

    with pytest.raises(DescentError) as failure:
        gradient_descent(examples, 10, 50.0, progress=False)
    copy = pickle.loads(pickle.dumps(failure.value))
    assert str(copy) == str(failure.value)
    assert same_bits(copy.trajectory, failure.value.trajectory)


def test_custom_records(examples):
    run = gradient_descent(examples, 20, 0.01, records=[3, 5, 50], progress=False)
    assert run.step.tolist() == [3, 5, 20]
    run = gradient_descent(examples, 20, 0.01, records=1, progress=False)
    assert run.step.tolist() == [0, 1, 10, 20]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "`steps` must be a positive integer; got 0"),
        ({"steps": 2.5}, "`steps` must be a positive integer; got 2.5"),
        ({"learning_rate": 0.0}, "`learning_rate` must be positive and finite; got 0.0"),
        ({"learning_rate": np.nan}, "`learning_rate` must be positive and finite; got nan"),
        ({"records": 0}, "`records` must be a positive integer or a list of steps; got 0"),
        ({"records": [0.5]}, "`records` must be a positive integer or a list of steps that"),
        ({"records": [-1]}, "`records` must be a positive integer or a list of steps that"),
        ({"precision": "half"}, "`precision` must be one of single, double; got 'half'"),
        (
            {"start": np.ones(3)},
            r"`start` must have shape \(\d+,\); got \(3,\)",
        ),
    ],
)
def test_descent_refuses(examples, changes, message):
    with pytest.raises(ValueError, match=message):
        gradient_descent(examples, **{"steps": 10, "progress": False, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "`until_norm` or `until_time` must be given; got neither"),
        ({"until_norm": -1.0}, "`until_norm` must be positive and finite; got -1.0"),
        ({"until_time": np.inf}, "`until_time` must be positive and finite; got inf"),
        ({"until_norm": 1.0, "tolerance": 0.5}, r"`tolerance` must be in \[1e-10, 0.01\]"),
        ({"until_norm": 1.0, "records": 0}, "`records` must be a positive integer; got 0"),
        (
            {"until_norm": 1.0, "start": "far"},
            "`until_norm` must be above that at the start, 2; got 1",
        ),
    ],
)
def test_flow_refuses(examples, changes, message):
    if "start" in changes:
        changes = {**changes, "start": 2 * np.ones(examples.N)}
    with pytest.raises(ValueError, match=message):
        gradient_flow(examples, progress=False, **changes)


def test_resume_refuses_what_it_cannot_go_on_with(examples):
    run = gradient_descent(examples, 10, 0.01, progress=False)
    for changes, message in [
        ({"start": run.weights}, "`start` must not be given with `resume`; got both"),
        ({"learning_rate": 0.02}, "`learning_rate` must be that of `resume`, 0.01; got 0.02"),
        ({"steps": 5}, "`steps` must be at least those of `resume`, 10; got 5"),
    ]:
        with pytest.raises(ValueError, match=message):
            gradient_descent(examples, **{"steps": 20, "resume": run, "progress": False, **changes})
    other = teacher_student(examples.N, 3.0, seed=4)
    with pytest.raises(ValueError, match="`resume` must come from the same examples"):
        gradient_descent(other, 20, resume=run, progress=False)
    flow = gradient_flow(examples, until_norm=0.01, progress=False)
    with pytest.raises(ValueError, match="`resume` must come from gradient_descent"):
        gradient_descent(examples, 20, resume=flow, progress=False)


def test_a_bar_shows_on_a_terminal_only(examples, monkeypatch, capsys):
    gradient_descent(examples, 5, 0.01)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    gradient_descent(examples, 5, 0.01)
    gradient_flow(examples, until_norm=0.01)
    assert "gradient descent" in capsys.readouterr().err
    gradient_descent(examples, 5, 0.01, progress=False)
    assert capsys.readouterr() == ("", "")
