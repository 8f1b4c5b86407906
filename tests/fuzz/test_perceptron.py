"""The experiment's doors: every answer is right or refused, whatever is given."""

import copy
import functools
import inspect
import math
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import perceptron
from fuzz import strategies as draw
from fuzz.strategies import check_refusal, guard, part
from perceptron import (
    BayesOptimal,
    DescentError,
    Ensemble,
    Examples,
    FixedNorm,
    Learned,
    LogisticTeacher,
    MaximumStability,
    NoMinimiser,
    NotConverged,
    NotSeparable,
    Trajectory,
    Undecided,
    adam,
    bayes_optimal,
    clusters,
    coordinate_descent,
    gradient_descent,
    gradient_flow,
    hebb_rule,
    largest_curvature,
    max_stability,
    minimize_at_norm,
    minimize_at_ridge,
    momentum_descent,
    over_seeds,
    power_law,
    random_labels,
    sign_descent,
    steepest_descent,
    stochastic_gradient_descent,
    teacher_student,
)

FEW = teacher_student(20, 2.0, 0)
NEAR = np.full(FEW.N, 0.1)


@functools.cache
def trained():
    """When a test asks for it: at collection every worker would compile the kernels."""
    return gradient_descent(FEW, 3, progress=False)


def experiment(seed):
    return {"number": seed, "array": np.arange(3.0) + seed}


#: Every door: a call, the name of the argument, and whether it takes several numbers.
DOORS = {
    "teacher_student N": (lambda v: teacher_student(v, 2.0), "N"),
    "teacher_student alpha": (lambda v: teacher_student(20, v), "alpha"),
    "teacher_student seed": (lambda v: teacher_student(20, 2.0, v), "seed"),
    "teacher_student inputs": (lambda v: teacher_student(20, 2.0, inputs=v), "inputs"),
    "teacher_student label_flip": (lambda v: teacher_student(20, 2.0, label_flip=v), "label_flip"),
    "random_labels N": (lambda v: random_labels(v, 2.0), "N"),
    "random_labels alpha": (lambda v: random_labels(20, v), "alpha"),
    "random_labels seed": (lambda v: random_labels(20, 2.0, v), "seed"),
    "minimize_at_norm lam": (lambda v: minimize_at_norm(FEW, v), "lam"),
    "minimize_at_norm start": (lambda v: minimize_at_norm(FEW, 1.0, start=v), "start"),
    "minimize_at_norm tolerance": (lambda v: minimize_at_norm(FEW, 1.0, tolerance=v), "tolerance"),
    "minimize_at_norm loss": (lambda v: minimize_at_norm(FEW, loss=v), "loss"),
    "minimize_at_ridge ridge": (lambda v: minimize_at_ridge(FEW, v), "ridge"),
    "minimize_at_ridge tolerance": (
        lambda v: minimize_at_ridge(FEW, 1.0, tolerance=v), "tolerance"),
    "minimize_at_ridge loss": (lambda v: minimize_at_ridge(FEW, 1.0, loss=v), "loss"),
    "minimize_at_ridge examples": (lambda v: minimize_at_ridge(v, 1.0), "examples"),
    "teacher_student label_noise": (
        lambda v: teacher_student(20, 2.0, label_noise=v), "label_noise"),
    "teacher_student teacher": (lambda v: teacher_student(20, 2.0, teacher=v), "teacher"),
    "power_law capacity": (lambda v: power_law(v, 0.3, 10), "capacity"),
    "power_law source": (lambda v: power_law(1.5, v, 10), "source"),
    "power_law modes": (lambda v: power_law(1.5, 0.3, v), "modes"),
    "clusters P": (lambda v: clusters(v, np.ones(3), np.ones(3)), "P"),
    "clusters eigenvalues": (lambda v: clusters(5, v, np.ones(3)), "eigenvalues"),
    "clusters mean": (lambda v: clusters(5, np.ones(3), v), "mean"),
    "clusters positive": (lambda v: clusters(5, np.ones(3), np.ones(3), v), "positive"),
    "clusters seed": (lambda v: clusters(5, np.ones(3), np.ones(3), seed=v), "seed"),
    "LogisticTeacher slope": (LogisticTeacher, "slope"),
    "max_stability tolerance": (lambda v: max_stability(FEW, tolerance=v), "tolerance"),
    "max_stability start": (lambda v: max_stability(FEW, start=v), "start"),
    "bayes_optimal label_flip": (lambda v: bayes_optimal(FEW, label_flip=v), "label_flip"),
    "bayes_optimal tolerance": (lambda v: bayes_optimal(FEW, tolerance=v), "tolerance"),
    "bayes_optimal max_iterations": (
        lambda v: bayes_optimal(FEW, max_iterations=v), "max_iterations"),
    "bayes_optimal damping": (lambda v: bayes_optimal(FEW, damping=v), "damping"),
    "gradient_descent steps": (lambda v: gradient_descent(FEW, v), "steps"),
    "gradient_descent learning_rate": (lambda v: gradient_descent(FEW, 3, v), "learning_rate"),
    "gradient_descent start": (lambda v: gradient_descent(FEW, 3, start=v), "start"),
    "gradient_descent records": (lambda v: gradient_descent(FEW, 3, records=v), "records"),
    "gradient_descent precision": (lambda v: gradient_descent(FEW, 3, precision=v), "precision"),
    "gradient_descent resume": (lambda v: gradient_descent(FEW, 3, resume=v), "resume"),
    "gradient_descent weight_decay": (
        lambda v: gradient_descent(FEW, 3, weight_decay=v), "weight_decay"),
    "gradient_descent loss": (lambda v: gradient_descent(FEW, 3, loss=v), "loss"),
    "momentum_descent momentum": (lambda v: momentum_descent(FEW, 3, momentum=v), "momentum"),
    "momentum_descent nesterov": (lambda v: momentum_descent(FEW, 3, nesterov=v), "nesterov"),
    "momentum_descent learning_rate": (
        lambda v: momentum_descent(FEW, 3, learning_rate=v), "learning_rate"),
    "stochastic_gradient_descent batch_size": (
        lambda v: stochastic_gradient_descent(FEW, 3, batch_size=v), "batch_size"),
    "stochastic_gradient_descent seed": (
        lambda v: stochastic_gradient_descent(FEW, 3, seed=v), "seed"),
    "steepest_descent p": (lambda v: steepest_descent(FEW, 3, p=v, start=NEAR), "p"),
    "sign_descent decay": (lambda v: sign_descent(FEW, 3, decay=v, start=NEAR), "decay"),
    "coordinate_descent learning_rate": (
        lambda v: coordinate_descent(FEW, 3, v, start=NEAR), "learning_rate"),
    "adam beta1": (lambda v: adam(FEW, 3, beta1=v), "beta1"),
    "adam beta2": (lambda v: adam(FEW, 3, beta2=v), "beta2"),
    "adam epsilon": (lambda v: adam(FEW, 3, epsilon=v), "epsilon"),
    "gradient_flow loss": (lambda v: gradient_flow(FEW, until_time=1.0, loss=v), "loss"),
    "gradient_flow until_norm": (lambda v: gradient_flow(FEW, until_norm=v), "until_norm"),
    "gradient_flow until_time": (lambda v: gradient_flow(FEW, until_time=v), "until_time"),
    "gradient_flow tolerance": (
        lambda v: gradient_flow(FEW, until_time=1.0, tolerance=v), "tolerance"),
    "gradient_flow records": (lambda v: gradient_flow(FEW, until_time=1.0, records=v), "records"),
    "gradient_flow start": (lambda v: gradient_flow(FEW, until_time=1.0, start=v), "start"),
    "gradient_flow resume": (lambda v: gradient_flow(FEW, until_time=1.0, resume=v), "resume"),
    "over_seeds seeds": (lambda v: over_seeds(experiment, v), "seeds"),
    "over_seeds experiment": (lambda v: over_seeds(v, 2), "experiment"),
    "hebb_rule": (hebb_rule, "examples"),
    "minimize_at_norm examples": (lambda v: minimize_at_norm(v, 1.0), "examples"),
    "max_stability examples": (max_stability, "examples"),
    "bayes_optimal examples": (bayes_optimal, "examples"),
    "gradient_descent examples": (lambda v: gradient_descent(v, 3), "examples"),
    "gradient_flow examples": (lambda v: gradient_flow(v, until_time=1.0), "examples"),
    "largest_curvature": (largest_curvature, "examples"),
    "Examples inputs": (lambda v: Examples(v, FEW.labels, None, 0), "inputs"),
    "Examples labels": (lambda v: Examples(FEW.inputs, v, None, 0), "labels"),
    "Examples teacher": (lambda v: Examples(FEW.inputs, FEW.labels, v, 0), "teacher"),
}  # fmt: skip
#: Doors where something of the table of no numbers is in its place.
WELCOME = {
    ("over_seeds experiment", "function"),
    ("teacher_student seed", "huge int"),
    ("random_labels seed", "huge int"),
    ("teacher_student seed", "endless int"),
    ("random_labels seed", "endless int"),
    ("clusters seed", "huge int"),
    ("clusters seed", "endless int"),
    ("stochastic_gradient_descent seed", "huge int"),
    ("stochastic_gradient_descent seed", "endless int"),
    ("teacher_student label_flip", "tiny Decimal"),
    ("bayes_optimal label_flip", "tiny Decimal"),
    ("bayes_optimal damping", "tiny Decimal"),
}


@pytest.mark.parametrize("thing", draw.NO_NUMBERS)
def test_what_is_no_number_is_refused(thing):
    for door, (call, name) in DOORS.items():
        if (door, thing) in WELCOME or (name == "seeds" and thing in ("set", "dict", "generator")):
            continue
        if name == "experiment" and thing == "class":
            continue
        with guard(), pytest.raises((ValueError, MemoryError)) as caught:
            call(draw.NO_NUMBERS[thing])
        check_refusal(caught.value, name)
        assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "name", [n for n in perceptron.__all__ if inspect.isfunction(getattr(perceptron, n))]
)
def test_a_misspelt_keyword_is_a_type_error(name):
    with pytest.raises(TypeError, match="alhpa"):
        getattr(perceptron, name)(alhpa=1.0)


def check_learned(found, examples):
    """What holds for any weights."""
    assert isinstance(found, Learned)
    assert found.weights.shape == (examples.N,)
    assert found.weights @ found.weights == pytest.approx(examples.N, rel=1e-10)
    np.testing.assert_allclose(
        found.margins,
        examples.labels * (examples.inputs.astype(float) @ found.weights) / np.sqrt(examples.N),
        atol=1e-10,
    )
    assert found.train_error == np.mean(found.margins < 0)
    assert not math.isnan(found.train_loss)
    if examples.teacher is not None:
        assert -1 <= found.overlap <= 1
        assert 0 <= found.generalization_error <= 1
        error = np.arccos(np.clip(found.overlap, -1, 1)) / np.pi
        assert found.generalization_error == pytest.approx(error, abs=1e-7)
    else:
        assert math.isnan(found.overlap)
        assert found.generalization_error == 0.5


def check_sentence(error, name):
    """Of an error that names an argument only after it has tried."""
    assert f"`{name}`" in str(error), error


#: Whose loss never passes that at the start.
DESCENTS = "gradient_descent", "gradient_flow", "momentum_descent"


def check_answer(answer, door):
    """Whatever comes back is whole."""
    for one in answer if isinstance(answer, list) else [answer]:
        if isinstance(one, Learned):
            check_learned(one, FEW)
        elif isinstance(one, Trajectory):
            assert one.complete
            assert np.all(np.diff(one.step) > 0)
            assert np.all(np.isfinite(one.weights))
            assert np.all(np.isfinite(one.norm))
            if door.startswith(DESCENTS) and "start" not in door:
                assert np.all(one.train_loss <= np.log(2) * 1.01)
        elif isinstance(one, Examples):
            assert one.inputs.shape == (one.P, one.N)
        elif isinstance(one, Ensemble):
            assert one.complete
            assert one.n == len(one.values["number"])


@part(2)
@given(st.sampled_from(list(DOORS)), draw.any_number)
@example("gradient_flow records", 10**17)
@example("gradient_descent records", 10**9)
@example("gradient_descent steps", 10**30)
@example("over_seeds seeds", 10**12)
@example("teacher_student alpha", 1e300)
@example("teacher_student N", 10**12)
@example("minimize_at_norm lam", 5e-324)
@example("gradient_flow until_time", 5e-324)
@example("gradient_flow until_norm", 5e-324)
@example("gradient_flow until_norm", 1e-18)
@example("gradient_flow until_norm", 3.854228868623107e-18)
@example("gradient_flow until_time", 1.7e308)
@example("gradient_descent learning_rate", 5e-324)
@example("gradient_descent learning_rate", 1.7e308)
def test_any_number_at_any_door(door, value):
    call, name = DOORS[door]
    # what these ask for may be done, and takes long
    assume(not (name == "steps" and 10**5 < value <= 10**15))
    assume(not (name in ("N", "alpha") and 10**4 < value < 10**8))
    assume(not (name == "seeds" and 10**3 < value <= 10**6))
    with guard():
        try:
            answer = call(value)
        except (ValueError, MemoryError) as error:
            check_refusal(error, name, "alpha", "lam", "tolerance", "N")
            return
        except DescentError as error:
            assert name in ("learning_rate", "until_norm")
            check_sentence(error, name)
            return
    check_answer(answer, door)


floats = st.lists(draw.any_float, min_size=20, max_size=20)


@given(
    st.sampled_from(["minimize_at_norm", "gradient_descent", "gradient_flow", "max_stability"]),
    st.one_of(floats, floats.map(lambda v: np.nan_to_num(v, posinf=1.0, neginf=-1.0)),
              st.lists(st.floats(-2, 2), min_size=20, max_size=20)),
)  # fmt: skip
def test_any_start(door, values):
    start = np.array(list(values) * 2 if door == "max_stability" else values)
    call, name = DOORS[door + " start"]
    with guard():
        try:
            answer = call(start)
        except ValueError as error:
            check_refusal(error, name, "tolerance")
            return
        except DescentError as error:
            check_sentence(error, "learning_rate")
            return
    check_answer(answer, door + " start")
    if door in ("minimize_at_norm", "max_stability"):
        expected = call(None)
        np.testing.assert_allclose(answer.weights, expected.weights, atol=1e-5)


CLOTHES = {
    "list": lambda v: list(v),
    "tuple": lambda v: tuple(v),
    "float32": lambda v: np.asarray(v, np.float32),
    "big-endian": lambda v: np.asarray(v, ">f8"),
    "strided": lambda v: np.repeat(v, 2)[::2],
    "longdouble": lambda v: np.asarray(v, np.longdouble),
    "objects": lambda v: np.asarray(v, dtype=object),
    "Series": lambda v: pd.Series(v, index=range(len(v))[::-1]),
    "Index": lambda v: pd.Index(v),
}


@pytest.mark.parametrize("clothes", CLOTHES)
def test_starts_and_norms_in_other_clothes(clothes):
    dress = CLOTHES[clothes]
    start = np.round(np.linspace(-1, 1, 20), 1).astype(np.float32).astype(float)
    for rule in (
        lambda v: minimize_at_norm(FEW, 1.0, start=v),
        lambda v: gradient_descent(FEW, 3, start=v),
        lambda v: gradient_flow(FEW, until_time=0.1, start=v),
    ):
        np.testing.assert_array_equal(rule(dress(start)).weights, rule(start).weights)
    norms = [0.5, 2.0]
    for one, other in zip(
        minimize_at_norm(FEW, dress(norms)), minimize_at_norm(FEW, norms), strict=True
    ):
        np.testing.assert_array_equal(one.weights, other.weights)
    assert minimize_at_norm(FEW, []) == []


def test_examples_in_other_clothes():
    expected = minimize_at_norm(FEW, 2.0)
    twins = {
        "Fortran": np.asfortranarray(FEW.inputs),
        "strided": np.repeat(FEW.inputs, 2, axis=1)[:, ::2],
    }
    for clothes, inputs in twins.items():
        found = minimize_at_norm(Examples(inputs, FEW.labels, FEW.teacher, 0), 2.0)
        np.testing.assert_allclose(found.weights, expected.weights, atol=1e-7, err_msg=clothes)


@pytest.mark.slow  # kernels of their own
def test_examples_that_cannot_be_written():
    inputs = FEW.inputs.copy()
    inputs.flags.writeable = False
    found = minimize_at_norm(Examples(inputs, FEW.labels, FEW.teacher, 0), 2.0)
    np.testing.assert_array_equal(found.weights, minimize_at_norm(FEW, 2.0).weights)
    assert max_stability(Examples(inputs, FEW.labels, None, 0)).duality_gap < 1e-10


def test_examples_that_cancel():
    """Two equal inputs with opposite labels: Hebb's sum has no direction but that of rounding."""
    twice = Examples(
        np.concatenate([FEW.inputs] * 2),
        np.concatenate([FEW.labels, -FEW.labels]),
        FEW.teacher,
        0,
    )
    for call in (
        hebb_rule,
        lambda e: minimize_at_norm(e, 1.0),
        lambda e: gradient_descent(e, 3),
        lambda e: gradient_flow(e, until_time=1.0),
    ):
        with guard(), pytest.raises(ValueError, match="`examples` must not cancel in Hebb's sum"):
            call(twice)
    with guard(), pytest.raises(NotSeparable, match="`examples` must be linearly separable"):
        max_stability(twice)
    # what comes twice is correlated beyond chance
    with guard(), pytest.raises(ValueError, match="independent components"):
        bayes_optimal(twice)


@pytest.mark.parametrize(
    ("inputs", "labels", "teacher", "name"),
    [
        (FEW.inputs.astype(">f4"), FEW.labels, None, "inputs"),
        (FEW.inputs.astype(np.float16), FEW.labels, None, "inputs"),
        (FEW.inputs[0], FEW.labels, None, "inputs"),
        (FEW.inputs[:0], FEW.labels[:0], None, "inputs"),
        (FEW.inputs[:, :0], FEW.labels, None, "inputs"),
        (np.where(FEW.inputs > 0, np.float32(np.nan), np.float32(1)), FEW.labels, None, "inputs"),
        (np.where(FEW.inputs > 0, np.float32(np.inf), np.float32(1)), FEW.labels, None, "inputs"),
        (FEW.inputs, FEW.labels[:-1], None, "labels"),
        (FEW.inputs, FEW.labels * np.int8(2), None, "labels"),
        (FEW.inputs, np.full(40, -128, np.int8), None, "labels"),
        (FEW.inputs, FEW.labels, FEW.teacher[:-1], "teacher"),
        (FEW.inputs, FEW.labels, FEW.teacher * 0, "teacher"),
        (FEW.inputs, FEW.labels, FEW.teacher * np.nan, "teacher"),
        (np.ma.masked_array(FEW.inputs, False), FEW.labels, None, "inputs"),
        (FEW.inputs.tolist(), FEW.labels, None, "inputs"),
    ],
)
def test_examples_that_are_none(inputs, labels, teacher, name):
    with guard(), pytest.raises(ValueError, match=f"`{name}` must .*; got"):
        Examples(inputs, labels, teacher, 0)


# ----------------------------------------------------------------------------- learning

examples = st.builds(
    lambda n, alpha, seed, kind, flip: (
        teacher_student(n, max(alpha, 1 / n), seed, kind, flip)
        if flip < 0.5
        else random_labels(n, max(alpha, 1 / n), seed, kind)
    ),
    st.integers(10, 40),
    draw.powers(-2, 1),
    st.integers(0, 2**64),
    st.sampled_from(["rademacher", "gaussian"]),
    st.one_of(st.just(0.0), st.floats(0, 0.5), st.just(0.5)),
)


@part(0.5)
@given(examples, draw.powers(-20, 5))
def test_minimisers_minimise(data, lam):
    with guard():
        try:
            found = minimize_at_norm(data, lam)
        except (NoMinimiser, NotConverged) as error:
            check_refusal(error, "lam", "tolerance")
            return
        except ValueError as error:
            check_refusal(error, "start")  # Hebb's sum vanishes
            return
        check_learned(found, data)
        assert isinstance(found, FixedNorm)
        assert found.gradient_norm <= 1e-8
        rng = np.random.default_rng(0)
        for size in (1e-3, 0.1, 1.0):
            other = found.weights + size * rng.standard_normal(data.N)
            other *= np.sqrt(data.N) / np.linalg.norm(other)
            margins = data.labels * (data.inputs.astype(float) @ other) / np.sqrt(data.N)
            loss = np.mean(np.logaddexp(0, -2 * lam * margins)) / lam
            assert loss >= found.train_loss * (1 - 1e-12)


def check_proof(data, multipliers, radius):
    """Exact multipliers within the radius of these may leave no weights a positive margin."""
    assert np.all(multipliers >= 0)
    inputs = data.inputs.astype(float)
    pull = (multipliers * data.labels) @ inputs
    assert np.all(np.abs(pull) <= (radius + 2.0**-50) * np.abs(inputs).sum(axis=0))
    assert data.teacher is None or np.any(data.inputs @ data.teacher * data.labels <= 0)


@part(0.5)
@given(examples)
def test_maximum_stability_is_one_or_there_is_a_proof(data):
    with guard():
        try:
            found = max_stability(data)
        except NotSeparable as proof:
            check_proof(data, proof.multipliers, proof.radius)
            return
        except ValueError as error:
            check_refusal(error, "examples", "tolerance")
            return
        check_learned(found, data)
        assert isinstance(found, MaximumStability)
        assert found.stability == found.margins.min() > 0
        assert 0 <= found.duality_gap <= 1e-10
        if data.teacher is not None:  # the teacher is a candidate
            margins = data.labels * (data.inputs @ data.teacher) / np.sqrt(data.N)
            assert found.stability >= margins.min() - 1e-9
        # a large norm comes close to it, from below
        try:
            near = minimize_at_norm(data, 30.0)
        except ValueError:
            return
        assert near.margins.min() <= found.stability * (1 + 1e-9)


@part(0.5)
@given(examples, draw.flips.filter(lambda p: p < 0.5), st.floats(0, 0.9))
def test_messages_say_whether_they_arrived(data, flip, damping):
    with guard():
        try:
            found = bayes_optimal(data, label_flip=flip, damping=damping, max_iterations=200)
        except ValueError as error:
            check_refusal(error, "examples", "label_flip")
            return
    assert isinstance(found, BayesOptimal)
    if found.converged:
        check_learned(found, data)
        assert 0 <= found.q <= 1


@part(0.3)
@given(examples, st.integers(1, 60), st.integers(1, 60), st.sampled_from(["single", "double"]))
def test_a_resumed_descent_is_the_uninterrupted_one(data, steps, more, precision):
    with guard():
        whole = gradient_descent(data, steps + more, precision=precision)
        part_ = gradient_descent(data, steps, precision=precision)
        resumed = gradient_descent(data, steps + more, precision=precision, resume=part_)
    np.testing.assert_array_equal(whole.weights, resumed.weights)
    for name in ("step", "time", "norm", "overlap", "train_loss"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(resumed, name))
    assert np.all(np.diff(whole.train_loss) <= 1e-6)


@part(0.3)
@given(examples, draw.powers(-8, 3), draw.powers(-10, -2))
def test_the_loss_falls_along_the_flow(data, time, tolerance):
    assume(time < 1 or tolerance > 1e-6)
    with guard():
        flow = gradient_flow(data, until_time=time, tolerance=tolerance)
    assert flow.time[-1] == time or flow.complete
    assert np.all(np.diff(flow.time) > 0)
    assert np.all(np.diff(flow.train_loss) <= 1e-9)
    assert np.all(np.isfinite(flow.norm))


# -------------------------------------------------------------------------------- seeds


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5, unique=True))
def test_seeds_come_back_in_order(seeds):
    found = over_seeds(experiment, seeds)
    assert list(found.seeds) == sorted(seeds)
    np.testing.assert_array_equal(found.values["number"], np.array(sorted(seeds), dtype=float))
    assert found.values["array"].shape == (len(seeds), 3)


@pytest.mark.parametrize(
    "bad",
    [
        lambda s: 1.0,
        lambda s: None,
        lambda s: {"a": 1.0} if s else {"b": 1.0},
        lambda s: {"a": np.zeros(s + 1)},
        lambda s: {"a": "text"},
        lambda s: {"a": 1j},
        lambda s: {"a": None},
        lambda s: [1.0, 2.0],
    ],
)
def test_what_an_experiment_must_return(bad):
    with guard(), pytest.raises(ValueError, match=r"`experiment` must return .*; got"):
        over_seeds(bad, 3)


def test_what_an_experiment_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        over_seeds(lambda s: {"a": 1 / s}, 3)


# ------------------------------------------------------------------------------ records


def test_records_travel():
    flow = gradient_flow(FEW, until_time=0.1)
    records = [hebb_rule(FEW), minimize_at_norm(FEW, 1.0), max_stability(FEW),
               bayes_optimal(FEW), trained(), flow, FEW]  # fmt: skip
    for record in records:
        for twin in (pickle.loads(pickle.dumps(record)), copy.copy(record), copy.deepcopy(record)):
            field = "teacher" if record is FEW else "weights"
            np.testing.assert_array_equal(getattr(twin, field), getattr(record, field))
    ensemble = over_seeds(experiment, 3)
    twin = pickle.loads(pickle.dumps(ensemble))
    np.testing.assert_array_equal(twin.mean("array"), ensemble.mean("array"))


def test_errors_travel():
    for error in (
        DescentError("stopped", trained()),
        NotSeparable("never", np.ones(3), 0.0),
        NoMinimiser("beyond"),
        NotConverged("stalled"),
        Undecided("examples", "must be decided", "", -1.0, 1.0),
    ):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
