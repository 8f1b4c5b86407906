"""Maximum margins in the norms 1 and inf: bounds, units, refusals, and the theory's values."""

import numpy as np
import pytest

from perceptron.data import Examples, random_labels, teacher_student
from perceptron.learning.max_margin import max_stability
from perceptron.learning.norms import max_margin_in_norm

NORMS = (1.0, np.inf)
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
    return float(np.abs(w).max() if p == np.inf else np.abs(w).mean())


@pytest.mark.parametrize("p", NORMS)
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
    dual = examples.N * np.abs(pull).max() if p == 1.0 else np.abs(pull).sum()
    assert np.isclose(found.margin, dual, rtol=GAP)
    assert not intercept or abs(b @ examples.labels) < 1e-9
    # among rivals, the maximum in the Euclidean norm
    rival = max_stability(examples)
    assert rival.stability / size(rival.weights, p) <= found.margin * (1 + GAP)
    assert found.margin / length * (1 - 1e-9) <= rival.stability


@pytest.mark.parametrize("p", NORMS)
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


@pytest.mark.parametrize("p", [2, 0.5, np.nan, "1", None])
def test_other_norms_are_refused(p):
    with pytest.raises(ValueError, match=r"`p` must be 1 or inf .*`max_stability`"):
        max_margin_in_norm(teacher_student(20, 1.0), p)


@pytest.mark.parametrize("p", NORMS)
def test_what_nothing_separates_is_refused(p):
    with pytest.raises(
        ValueError, match=r"`examples` must be linearly separable.*found no weights"
    ):
        max_margin_in_norm(random_labels(20, 5.0, 0), p)
