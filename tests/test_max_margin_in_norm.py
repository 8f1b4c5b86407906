"""Maximum margins in the p-norms: bounds, twins, units, refusals, and the theory's values."""

import numpy as np
import pytest
from scipy.optimize import minimize

from perceptron.data import Examples, random_labels, teacher_student
from perceptron.learning.max_margin import max_stability
from perceptron.learning.norms import max_margin_in_norm
from perceptron.training.steepest import steepest_descent

NORMS = (1.0, np.inf)
#: The ends of the range, the middle, and both sides of it.
BETWEEN = (1.05, 1.5, 2.0, 3.0, 20.0)
#: The interior point method's goal; rounding of 1e-15 over multipliers of 1e-5 is ten times that.
SMOOTH_GAP = 1e-9
#: What the program's tolerance on constraints, 1e-10, leaves of margins of 1e-2.
GAP = 1e-7
#: (teacher, alpha, p): margin and error of the theory of isotropic inputs without noise.
THEORY = {
    ("gaussian", 2.0, 1.0): (0.603930, 0.200025),
    ("gaussian", 2.0, np.inf): (0.247289, 0.218220),
    ("signs", 5.0, np.inf): (0.145864, 0.069329),
    ("signs", 5.0, 1.0): (0.206654, 0.105145),
}


def size(w: np.ndarray, p: float) -> float:
    return float(np.abs(w).max() if p == np.inf else np.mean(np.abs(w) ** p) ** (1 / p))


@pytest.mark.parametrize("p", NORMS + BETWEEN)
@pytest.mark.parametrize("intercept", [False, True])
def test_no_other_weights_have_a_larger_margin(p, intercept):
    drawn = teacher_student(30, 3.0, seed=1, inputs="gaussian")
    examples = Examples(drawn.inputs, drawn.labels, drawn.teacher, 1, intercept)
    found = max_margin_in_norm(examples, p)
    assert np.isclose(size(found.weights_in_norm, p), 1.0)
    assert 0 <= found.duality_gap <= GAP
    a = examples.labels[:, None] * examples.inputs.astype(float) / np.sqrt(examples.N)
    length = np.linalg.norm(found.weights_in_norm) / np.sqrt(examples.N)
    fields = a @ found.weights_in_norm + examples.labels * found.intercept * length
    assert np.isclose(fields.min(), found.margin, rtol=1e-9)
    np.testing.assert_allclose(found.margins * length, fields, atol=1e-9)
    # Hoelder, written anew
    b = found.multipliers
    pull = b @ a
    q = np.inf if p == 1.0 else 1 / (1 - 1 / p)
    dual = examples.N ** (1 / p) * np.linalg.norm(pull, q)
    assert np.isclose(found.margin, dual, rtol=GAP)
    assert not intercept or abs(b @ examples.labels) < 1e-9
    # among rivals, the maximum in the Euclidean norm
    rival = max_stability(examples)
    assert rival.stability / size(rival.weights, p) <= found.margin * (1 + GAP)
    assert found.margin / length * (1 - 1e-9) <= rival.stability


@pytest.mark.parametrize("p", [*NORMS, 1.3, 6.0])
@pytest.mark.parametrize("c", [1e-30, 1e20])
def test_the_margin_is_in_the_units_of_the_inputs(p, c):
    drawn = teacher_student(20, 2.0, seed=2, inputs="gaussian")
    inputs = drawn.inputs.astype(np.float64)
    first, second = (max_margin_in_norm(Examples(k * inputs, drawn.labels), p) for k in (1.0, c))
    assert np.isclose(second.margin, c * first.margin, rtol=1e-7)


def averages(N: int, seeds: int, teacher: str, alpha: float, p: float) -> np.ndarray:
    """Margin and error: means and their standard errors."""
    values = []
    for seed in range(seeds):
        drawn = teacher_student(N, alpha, seed, "gaussian")
        w = drawn.teacher if teacher == "gaussian" else np.sign(drawn.teacher)
        labels = np.where(drawn.inputs @ w < 0, -1, 1).astype(np.int8)
        found = max_margin_in_norm(Examples(drawn.inputs, labels, w, seed), p)
        values.append((found.margin, found.generalization_error))
    return np.array([np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(seeds)])


def close(found: np.ndarray, expected: tuple[float, float], N: int) -> bool:
    return bool(np.all(np.abs(found[0] - expected) < 3 * found[1] + 1 / N))


@pytest.mark.parametrize("case", THEORY)
def test_margins_and_errors_are_those_of_the_theory(case):
    found = averages(80, 12, *case)
    assert close(found, THEORY[case], 80)
    # the other norm's values at this teacher are no match
    other = next(v for k, v in THEORY.items() if k[:2] == case[:2] and k != case)
    assert not close(found, other, 80)


@pytest.mark.slow
@pytest.mark.parametrize("case", THEORY)
def test_margins_and_errors_are_those_of_the_theory_at_larger_size(case):
    assert close(averages(400, 6, *case), THEORY[case], 400)


def own(N: int, alpha: float, seed: int, intercept: bool = False) -> Examples:
    drawn = teacher_student(N, alpha, seed, inputs="gaussian")
    return Examples(drawn.inputs, drawn.labels, drawn.teacher, seed, intercept)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize(("N", "alpha"), [(40, 0.5), (20, 10.0)])
def test_the_norm_two_is_maximum_stability(N, alpha, intercept):
    examples = own(N, alpha, 4, intercept)
    found, other = max_margin_in_norm(examples, 2.0), max_stability(examples)
    assert found.duality_gap <= SMOOTH_GAP
    assert np.isclose(found.margin, other.stability, rtol=2 * SMOOTH_GAP)
    # |w - w_best|^2/N is at most about twice the gap
    np.testing.assert_allclose(found.weights, other.weights, atol=np.sqrt(2 * SMOOTH_GAP * N))
    assert np.isclose(found.intercept, other.intercept, atol=np.sqrt(2 * SMOOTH_GAP * N))


@pytest.mark.parametrize("p", [1.3, 3.0, 8.0])
def test_a_twin_by_sequential_quadratic_programs(p):
    """min ln ||v||_p with a.v >= 1; of the p-th power itself SLSQP stops short at p = 8."""
    examples = own(10, 3.0, 5)
    a = examples.labels[:, None] * examples.inputs.astype(float) / np.sqrt(examples.N)
    first = max_stability(examples)
    twin = minimize(
        lambda v: np.log(size(v, p)),
        first.weights / first.stability,
        jac=lambda v: np.sign(v) * np.abs(v) ** (p - 1) / np.sum(np.abs(v) ** p),
        constraints={"type": "ineq", "fun": lambda v: a @ v - 1, "jac": lambda v: a},
        method="SLSQP", options={"ftol": 1e-15, "maxiter": 1000},
    ).x  # fmt: skip
    found = max_margin_in_norm(examples, p)
    expected = float((a @ twin).min()) / size(twin, p)
    # the twin stops where its objective, flat to second order, changes by 1e-15
    assert expected <= found.margin * (1 + SMOOTH_GAP)
    assert np.isclose(found.margin, expected, rtol=1e-6)


@pytest.mark.parametrize("p", [1.5, 4.0])
def test_steepest_descent_in_the_norm_ends_there(p):
    """Its stability rises to this margin, by O(log t/sqrt t), and in the other norm to another."""
    examples = own(20, 2.0, 6)
    found = max_margin_in_norm(examples, p)
    run = steepest_descent(examples, 4000, p=p, decay=0.5, progress=False)
    late = run.step >= 100
    steps, short = run.step[late], 1 - run.stability[late] / found.margin
    assert np.all(short > -SMOOTH_GAP)
    law = np.log(steps) / np.sqrt(steps)
    assert np.all(short / law <= short[0] / law[0])
    w = run.weights / size(run.weights, 2.0)
    other = max_margin_in_norm(examples, 1 / (1 - 1 / p))
    assert size(w - found.weights, 2.0) < size(w - other.weights, 2.0)


@pytest.mark.parametrize("p", [1.04, 21, 0.5, np.nan, "1", None])
def test_other_norms_are_refused(p):
    with pytest.raises(ValueError, match=r"`p` must be 1, in \[1.05, 20\], or inf; got"):
        max_margin_in_norm(teacher_student(20, 1.0), p)


@pytest.mark.parametrize("p", [*NORMS, 1.3, 6.0])
def test_what_nothing_separates_is_refused(p):
    with pytest.raises(
        ValueError, match=r"`examples` must be linearly separable.*found no weights"
    ):
        max_margin_in_norm(random_labels(20, 5.0, 0), p)
