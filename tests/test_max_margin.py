"""Hard margins: optimality conditions, a naive twin, symmetries, refusals, and the theory."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import nnls
from scipy.special import expit

import replica
from perceptron.data import Examples, random_labels, teacher_student
from perceptron.learning import max_margin
from perceptron.learning.active_set import exchange, exchange_in_doubles, refined
from perceptron.learning.fixed_norm import minimize_at_norm
from perceptron.learning.hebb import hebb_rule
from perceptron.learning.max_margin import NotSeparable, Undecided, max_stability
from perceptron.products import Products

#: The default tolerance on the duality gap.
GAP = 1e-10
#: A gap g bounds |w - w_best|^2/N by about 2 g, and so each margin to sqrt(2 g N): loose.
#: What the last proximal step leaves is rounding times the condition of the support.
MARGINS = 1e-7
#: Deviations in standard errors over the seeds. Beyond 4 by chance: 1 in 16,000. The finite-N
#: correction at N = 1000 is below half a standard error of 40 seeds.
DEVIATIONS = 4.0
SEEDS = 40


def draw(kind: str, N: int, alpha: float, seed: int, inputs: str) -> Examples:
    return (teacher_student if kind == "teacher" else random_labels)(N, alpha, seed, inputs)


def directions(examples: Examples) -> np.ndarray:
    """y x/sqrt(N), one a row."""
    return examples.labels[:, None] * examples.inputs.astype(float) / np.sqrt(examples.N)


#: Gradient that Lawson and Hanson's method leaves, in units of the matrix: rounding is 1e-16 N.
STATIONARY = 1e-12


def naive_stability(examples: Examples) -> float:
    """Least distance programming through non-negative least squares (Lawson and Hanson).

    With E = (A^T; 1) and f = (0, ..., 0, 1): r = E u - f at the best u >= 0 gives v = -r/r_last;
    r = 0 where there is no solution. nan where `nnls` misses its own optimality, E^T (f - E u) <= 0
    and 0 where u > 0, as that of scipy 1.15 now and then does.
    """
    A = directions(examples)
    E = np.vstack([A.T, np.ones(examples.P)])
    f = np.zeros(examples.N + 1)
    f[-1] = 1.0
    u, length = nnls(E, f, maxiter=1000 + 100 * examples.P)
    if length < 1e-7:
        return 0.0
    r = E @ u - f
    gradient = E.T @ r
    if max(np.max(-gradient), np.max(np.abs(u * gradient))) > STATIONARY * np.linalg.norm(E):
        return np.nan
    return float(np.sqrt(examples.N) / np.linalg.norm(r[:-1] / r[-1]))


problems = st.tuples(
    st.sampled_from(["teacher", "random"]),
    st.integers(10, 40),
    st.sampled_from([0.1, 0.5, 1.0, 1.5, 3.0, 8.0]),
    st.integers(0, 10_000),
    st.sampled_from(["rademacher", "gaussian"]),
)


@given(problem=problems)
def test_optimality_conditions_hold_or_a_certificate_is_given(problem):
    examples = draw(*problem)
    A = directions(examples)
    try:
        found = max_stability(examples)
    except NotSeparable as refusal:
        b = refusal.multipliers
        assert np.all(b >= 0)
        assert np.isclose(b.sum(), 1)
        assert np.sqrt(examples.N) * np.linalg.norm(A.T @ b) <= 1.01e-9
        assert not naive_stability(examples) > 0
        return
    w, b, kappa = found.weights, found.multipliers, found.stability
    assert np.isclose(w @ w, examples.N)
    assert kappa == np.min(found.margins) > 0
    assert 0 <= found.duality_gap <= GAP
    assert np.all(b >= 0)
    np.testing.assert_array_equal(np.flatnonzero(b), found.support)
    # stationarity, and complementary slackness
    np.testing.assert_allclose(A.T @ b, w, atol=MARGINS * np.abs(w).max())
    np.testing.assert_allclose(found.margins[found.support], kappa, rtol=MARGINS)
    assert np.isclose(b.sum(), examples.N / kappa)
    assert found.train_error == 0
    assert found.train_loss == 0


@given(problem=problems)
def test_stability_is_that_of_a_naive_twin(problem):
    examples = draw(*problem)
    expected = naive_stability(examples)
    assume(expected > 0)  # not for nan
    # the twin squares the condition number
    assert np.isclose(max_stability(examples).stability, expected, rtol=1e-7)


def test_no_other_weights_are_more_stable_than_the_gap_allows():
    examples = teacher_student(60, 3.0, seed=2)
    found = max_stability(examples)
    rivals = [
        minimize_at_norm(examples, 200.0).weights,
        examples.teacher,
        hebb_rule(examples).weights,
    ]
    rng = np.random.default_rng(0)
    rivals += [found.weights + 1e-3 * rng.standard_normal(examples.N) for _ in range(50)]
    A = directions(examples)
    best = max(np.min(A @ w) * np.sqrt(examples.N) / np.linalg.norm(w) for w in rivals)
    assert best < found.stability
    # the logistic path ends here
    assert np.min(A @ rivals[0]) > 0.98 * found.stability


def test_longer_inputs_change_the_stability_only():
    examples = teacher_student(50, 2.0, seed=4, inputs="gaussian")
    longer = Examples(4 * examples.inputs, examples.labels, examples.teacher, 4)
    first, second = max_stability(examples), max_stability(longer)
    np.testing.assert_allclose(second.weights, first.weights, atol=1e-9)
    assert np.isclose(second.stability, 4 * first.stability, rtol=1e-11)
    np.testing.assert_array_equal(second.support, first.support)


@pytest.mark.parametrize("inputs", ["rademacher", "gaussian"])
def test_the_order_of_the_examples_does_not_matter(inputs):
    examples = teacher_student(80, 4.0, seed=5, inputs=inputs)
    order = np.random.default_rng(1).permutation(examples.P)
    other = Examples(examples.inputs[order], examples.labels[order], examples.teacher, 5)
    first, second = max_stability(examples), max_stability(other)
    np.testing.assert_allclose(second.weights, first.weights, atol=1e-9)
    np.testing.assert_array_equal(np.sort(order[second.support]), first.support)


def test_an_example_and_its_mirror_image_say_the_same():
    examples = teacher_student(40, 2.0, seed=6)
    mirrored = Examples(-examples.inputs, -examples.labels, examples.teacher, 6)
    first, second = max_stability(examples), max_stability(mirrored)
    np.testing.assert_allclose(second.weights, first.weights, atol=1e-12)


def test_examples_seen_twice_change_nothing():
    examples = teacher_student(30, 3.0, seed=7)
    twice = Examples(
        np.concatenate([examples.inputs] * 2), np.concatenate([examples.labels] * 2), None, 7
    )
    np.testing.assert_allclose(
        max_stability(twice).weights, max_stability(examples).weights, atol=1e-9
    )


def test_more_examples_than_the_cube_has_corners():
    # every corner many times, more constraints active than dimensions
    examples = teacher_student(10, 500.0, seed=8)
    found = max_stability(examples)
    assert np.isclose(found.stability, naive_stability(examples), rtol=1e-9)


def test_a_single_example_is_learned_by_hebb():
    examples = teacher_student(20, 0.05, seed=9)
    found = max_stability(examples)
    np.testing.assert_allclose(found.weights, hebb_rule(examples).weights, atol=1e-12)
    assert np.isclose(found.stability, np.sqrt(20))


def test_one_thread_and_two_give_the_same_bits():
    examples = teacher_student(500, 2.0, seed=10)
    alone = Examples(examples.inputs, examples.labels, examples.teacher, 10)
    object.__setattr__(examples, "products", Products(examples.inputs, examples.labels, 2))
    object.__setattr__(alone, "products", Products(alone.inputs, alone.labels, 1))
    first, second = max_stability(examples), max_stability(alone)
    np.testing.assert_array_equal(first.weights, second.weights)


def test_threads_of_the_linear_algebra_change_nothing():
    task = (
        "from perceptron.data import teacher_student as t; "
        "from perceptron.learning.max_margin import max_stability as m; "
        "print(m(t(300, 3.0, seed=1)).weights.tobytes().hex())"
    )

    def run(threads: int) -> str:
        names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
        env = {**os.environ, **dict.fromkeys(names, str(threads))}
        done = subprocess.run(
            [sys.executable, "-c", task], env=env, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert run(1) == run(2)


# ------------------------------------------------------------------- starting points


def test_a_good_start_saves_passes_and_not_accuracy():
    examples = teacher_student(300, 4.0, seed=11)
    cold = max_stability(examples)
    warm = max_stability(examples, start=17.0 * cold.multipliers)
    assert warm.steps <= cold.steps
    np.testing.assert_allclose(warm.weights, cold.weights, atol=1e-9)
    logistic = minimize_at_norm(examples, 50.0)
    other = max_stability(examples, start=expit(-100.0 * logistic.margins))
    np.testing.assert_allclose(other.weights, cold.weights, atol=1e-9)


@given(seed=st.integers(0, 1000))
def test_any_start_leads_to_the_same_weights(seed):
    examples = teacher_student(25, 3.0, seed=seed)
    start = np.random.default_rng(seed).exponential(size=examples.P) ** 4
    np.testing.assert_allclose(
        max_stability(examples, start=start).weights, max_stability(examples).weights, atol=1e-6
    )


# ------------------------------------------------------------------- refusals


@pytest.mark.parametrize("alpha", [2.5, 4.0])
def test_random_labels_beyond_capacity_are_refused_with_a_proof(alpha):
    examples = random_labels(200, alpha, seed=12)
    with pytest.raises(NotSeparable, match=r"`examples` must be linearly separable; got .* prove"):
        max_stability(examples)


def test_a_contradiction_is_refused_and_the_proof_names_it():
    clean = teacher_student(50, 1.0, seed=13)
    inputs = np.concatenate([clean.inputs, clean.inputs[7:8]])
    labels = np.concatenate([clean.labels, -clean.labels[7:8]])
    with pytest.raises(NotSeparable, match="linearly separable") as caught:
        max_stability(Examples(inputs, labels, None, 13))
    proof = caught.value.multipliers
    np.testing.assert_allclose(proof[[7, 50]], 0.5, atol=1e-6)
    assert caught.value.radius <= 1e-9
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    np.testing.assert_array_equal(again.multipliers, proof)


def test_an_input_of_zeros_cannot_be_classified():
    clean = teacher_student(20, 1.0, seed=14, inputs="gaussian")
    inputs = clean.inputs.copy()
    inputs[3] = 0
    with pytest.raises(NotSeparable, match="linearly separable"):
        max_stability(Examples(inputs, clean.labels, None, 14))


@pytest.mark.parametrize("tolerance", [0.0, 1e-15, 0.5, np.nan, "tight"])
def test_the_tolerance_has_a_range(tolerance):
    with pytest.raises(ValueError, match=r"`tolerance` must be in \[1e-13, 0\.1\]; got"):
        max_stability(teacher_student(20, 1.0), tolerance=tolerance)


def test_a_start_is_a_vector_of_multipliers():
    examples = teacher_student(20, 1.0)
    with pytest.raises(ValueError, match=r"`start` must have shape \(20,\); got \(3,\)"):
        max_stability(examples, start=np.ones(3))
    for bad in (np.zeros(20), -np.ones(20), np.full(20, np.nan)):
        with pytest.raises(ValueError, match="`start` must be finite, non-negative and not all"):
            max_stability(examples, start=bad)


def test_hebb_has_no_direction_if_the_examples_cancel():
    clean = teacher_student(20, 0.05, seed=1)
    both = Examples(np.concatenate([clean.inputs] * 2), np.array([1, -1], dtype=np.int8), None, 1)
    with pytest.raises(ValueError, match="`examples` must not cancel in Hebb's sum"):
        hebb_rule(both)


# ------------------------------------------------------------------- any units

#: Weights in double precision: a rounding unit for each product, beside margins of order 1.
ROUNDING = 1e-12


def own(inputs, labels, intercept: bool = False) -> Examples:
    return Examples(np.asarray(inputs), np.asarray(labels, dtype=np.int8), None, None, intercept)


@pytest.mark.parametrize("eps", [1e-4, 1e-6, 1e-8, 1e-9, 1e-12])
def test_tiny_margins(eps):
    found = max_stability(own([[1, eps], [-1, eps], [0.5, eps], [2, eps]], [1, 1, 1, 1]))
    # w = sqrt(2) (0, 1)
    assert np.isclose(found.stability, eps, rtol=ROUNDING)
    assert found.duality_gap <= GAP


@pytest.mark.parametrize("unit", [1e9, 1.0, 1e-2, 1e-3, 1e-6, 1e-9, 1e-12])
def test_a_biomarker_separates_in_any_unit(unit):
    rng = np.random.default_rng(5)
    y = np.where(np.arange(40) < 20, 1, -1)
    marker = (y + 0.6 * rng.uniform(-1, 1, 40)) / 2
    x = np.c_[rng.uniform(20, 80, 40) / 50, rng.standard_normal(40), marker * unit]
    found = max_stability(own(x, y))
    assert found.duality_gap <= GAP
    assert found.train_error == 0
    # the marker alone is a candidate
    assert found.stability >= unit * np.abs(marker).min() * (1 - ROUNDING)
    # for a small unit nothing else helps: the least |w| has margins of 1 along the marker
    if unit <= 1e-9:
        assert np.isclose(found.stability, naive_in_units(x, y), rtol=1e-6)


def naive_in_units(x: np.ndarray, y: np.ndarray) -> float:
    """By the digits of decimals, from nothing."""
    return exchange(x * y[:, None], None, []).bound


@pytest.mark.parametrize("c", [2.0**-1000, 1e-30, 1e-4, 1e-3, 1e-2, 1e4, 1e6, 1e10, 1e30, 2.0**900])
@pytest.mark.parametrize("intercept", [False, True])
def test_the_stability_is_in_the_units_of_the_inputs(c, intercept):
    examples = teacher_student(20, 2.0, seed=0, inputs="gaussian")
    inputs = examples.inputs.astype(np.float64)
    one = max_stability(own(inputs, examples.labels, intercept))
    other = max_stability(own(c * inputs, examples.labels, intercept))
    assert np.isclose(other.stability, c * one.stability, rtol=1e-11)
    assert np.isclose(other.intercept, c * one.intercept, rtol=1e-6)
    np.testing.assert_allclose(other.weights, one.weights, atol=1e-7)


def test_breast_cancer_is_separable_as_it_comes():
    load_breast_cancer = pytest.importorskip("sklearn.datasets").load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    y = 2 * y - 1
    found = max_stability(own(np.c_[x, np.ones(len(x))], y))
    assert found.stability > 4.1e-5  # that of a linear program's weights is 2.9e-5
    assert found.duality_gap <= GAP
    assert np.isclose(found.stability, exchange(
        np.c_[x, np.ones(len(x))] * y[:, None], None, found.support.tolist()
    ).bound, rtol=1e-9)  # fmt: skip
    # free of the norm, the intercept helps
    free = max_stability(own(x, y, True))
    assert free.stability > found.stability
    moved = max_stability(own(x + 1000.0, y, True))
    assert np.isclose(moved.stability, free.stability, rtol=1e-6)


def test_an_intercept_is_free():
    examples = teacher_student(30, 3.0, seed=3, inputs="gaussian")
    x = examples.inputs.astype(np.float64)
    shift = np.random.default_rng(0).standard_normal(30)
    first, second = (max_stability(own(inputs, examples.labels, True)) for inputs in (x, x + shift))
    np.testing.assert_allclose(second.weights, first.weights, atol=1e-7)
    assert np.isclose(second.stability, first.stability, rtol=1e-9)
    moved = first.intercept - first.weights @ shift / np.sqrt(30)
    assert np.isclose(second.intercept, moved, rtol=1e-7)
    assert first.stability >= max_stability(examples).stability * (1 - GAP)
    # multipliers of both labels have one sum, and the closest points of the hulls are 2 kappa apart
    b = first.multipliers / first.multipliers.sum()
    plus, minus = b[examples.labels == 1], b[examples.labels == -1]
    assert np.isclose(plus.sum(), minus.sum(), rtol=1e-9)
    apart = 2 * (plus @ x[examples.labels == 1] - minus @ x[examples.labels == -1])
    assert np.isclose(np.linalg.norm(apart), 2 * first.stability, rtol=1e-9)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize(("N", "alpha"), [(20, 8.0), (60, 0.4), (30, 2.0)])
def test_exchanges_and_proximal_steps_prove_the_same(N, alpha, intercept, monkeypatch):
    """Few weights are left to exchanges; here proximal steps get them, too."""
    drawn = teacher_student(N, alpha, seed=4, inputs="gaussian")
    examples = own(drawn.inputs, drawn.labels, intercept)
    first = max_stability(examples)
    monkeypatch.setattr(max_margin, "FEW_WEIGHTS", 0)
    monkeypatch.setattr(max_margin, "exchange_in_doubles", None)  # not called
    second = max_stability(examples)
    for found in first, second:
        assert found.duality_gap <= GAP
    assert np.isclose(first.stability, second.stability, rtol=2 * GAP)
    np.testing.assert_array_equal(first.support, second.support)
    np.testing.assert_allclose(first.weights, second.weights, atol=MARGINS * np.sqrt(N))


def test_fewer_examples_than_dimensions_with_an_intercept():
    examples = teacher_student(60, 0.3, seed=3)
    found = max_stability(own(examples.inputs, examples.labels, True))
    wide = np.c_[examples.inputs, np.full(examples.P, 1e4)]  # all but free
    other = max_stability(own(wide, examples.labels))
    assert np.isclose(found.stability, other.stability, rtol=1e-5)


def test_labels_all_alike_have_no_stability_with_an_intercept():
    with pytest.raises(ValueError, match=r"`examples` must bear both labels .* got 2 labels 1"):
        max_stability(own(np.eye(2), [1, 1], True))


def test_doubles_and_decimals_exchange_to_the_same_end():
    examples = teacher_student(15, 3.0, seed=1, inputs="gaussian")
    rows = examples.labels[:, None] * examples.inputs.astype(float)
    long, short = exchange(rows, None, []), exchange_in_doubles(rows, None)
    assert set(long.multipliers) == set(short.multipliers)
    support = list(short.multipliers)
    weights, _, b = refined(rows[support], None)
    np.testing.assert_allclose(weights, long.weights.astype(float), rtol=ROUNDING)
    np.testing.assert_allclose(b, [float(long.multipliers[i]) for i in support], rtol=1e-9)
    assert np.isclose(long.bound, max_stability(examples).stability, rtol=GAP)


def test_what_weights_in_doubles_cannot_do_is_said():
    """Separable by 2^-60 of the inputs along (1, 1)/sqrt(2), which no rounded weights see."""
    tiny = 2.0**-52
    x = np.array([[1 + tiny, -1.0], [-1.0, 1 + tiny], [3 + 4 * tiny, -3], [-7, 7 + 8 * tiny]])
    x = np.c_[x, 1 / 3 * np.array([1, -1, 1, -1])]
    with pytest.raises(Undecided, match="the examples are separable, and the largest") as caught:
        max_stability(own(x, [1, 1, 1, 1]))
    question = caught.value
    assert 0 < question.lower <= question.upper
    assert np.isclose(question.lower, question.upper)
    again = pickle.loads(pickle.dumps(question))
    assert (str(again), again.lower) == (str(question), question.lower)


# ------------------------------------------------------------------- the theory


def deviation(values: list[float], expected: float) -> float:
    """Mean minus expected, in standard errors."""
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return float((np.mean(values) - expected) / error)


@pytest.fixture(scope="module")
def sample():
    """Maximum stability and Hebb at N = 1000, alpha = 2."""
    draws = [teacher_student(1000, 2.0, seed=seed) for seed in range(SEEDS)]
    return [(max_stability(examples), hebb_rule(examples)) for examples in draws]


@pytest.mark.slow  # the agreement matrix measures it, too
def test_stability_and_error_are_those_of_the_theory(sample):
    theory = replica.max_stability(2.0)
    assert abs(deviation([s.stability for s, _ in sample], theory.stability)) < DEVIATIONS
    errors = [s.generalization_error for s, _ in sample]
    assert abs(deviation(errors, theory.generalization_error)) < DEVIATIONS


@pytest.mark.slow  # the agreement matrix measures it, too
def test_a_theory_at_another_alpha_fails(sample):
    theory = replica.max_stability(2.0 * 1.05)
    assert abs(deviation([s.stability for s, _ in sample], theory.stability)) > DEVIATIONS
    errors = [s.generalization_error for s, _ in sample]
    assert abs(deviation(errors, theory.generalization_error)) > DEVIATIONS


@pytest.mark.slow  # the agreement matrix measures it, too
def test_hebb_is_that_of_the_theory_and_worse(sample):
    errors = [h.generalization_error for _, h in sample]
    assert abs(deviation(errors, replica.hebb(2.0).generalization_error)) < DEVIATIONS
    assert abs(deviation(errors, replica.hebb(2.0 * 1.05).generalization_error)) > DEVIATIONS
    assert all(h.norm == 0 and h.train_loss == np.inf for _, h in sample)


@pytest.mark.slow  # the agreement matrix measures it, too
def test_storage_has_gardners_stability():
    found = [max_stability(random_labels(1000, 1.0, seed)).stability for seed in range(SEEDS)]
    theory = [float(replica.storage_max_stability(alpha)) for alpha in (1.0, 1.05)]
    assert abs(deviation(found, theory[0])) < DEVIATIONS
    assert abs(deviation(found, theory[1])) > DEVIATIONS
