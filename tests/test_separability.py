"""Verdicts about separability beside exact truth and a program, on tables made to mislead."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog

from perceptron.data import Examples
from perceptron.learning.max_margin import NotSeparable, Undecided, max_stability

#: Tables of which no verdict may be missing, as a share: none of them is at the edge of doubles.
UNDECIDED = 0.01
#: Stability of the program's weights below which its tolerance of 1e-7 may have made them up.
CLEAR = 1e-5


# ------------------------------------------------------------------ exact truth


def separable(rows: np.ndarray) -> bool:
    """Whether some v has rows.v > 0: phase one of the simplex method in fractions.

    Seeks b >= 0 of sum 1 with sum b a = 0, by Bland's rule, which never cycles; there are none
    if and only if the rows are separable (Gordan).
    """
    table = [
        [Fraction(float(x)) for x in column] for column in np.vstack([rows.T, np.ones(len(rows))])
    ]
    right = [Fraction(0)] * rows.shape[1] + [Fraction(1)]
    m, p = len(table), len(rows)
    # one artificial variable for each equation; they are never needed again once they left
    basis = list(range(p, p + m))
    cost = [-sum(row[j] for row in table) for j in range(p)]
    value = -sum(right)
    while True:
        entering = next((j for j in range(p) if cost[j] < 0), None)
        if entering is None:
            return value < 0
        ratios = [
            (right[i] / table[i][entering], basis[i], i) for i in range(m) if table[i][entering] > 0
        ]
        _, _, i = min(ratios)
        pivot = table[i][entering]
        table[i] = [x / pivot for x in table[i]]
        right[i] /= pivot
        for k in range(m):
            factor = table[k][entering]
            if k != i and factor:
                table[k] = [x - factor * y for x, y in zip(table[k], table[i], strict=True)]
                right[k] -= factor * right[i]
        factor = cost[entering]
        cost = [x - factor * y for x, y in zip(cost, table[i], strict=True)]
        value -= factor * right[i]
        basis[i] = entering


def rows_of(examples: Examples) -> np.ndarray:
    """y (x, 1), the 1 where there is an intercept."""
    inputs = examples.inputs.astype(float)
    if examples.intercept:
        inputs = np.column_stack([inputs, np.ones(examples.P)])
    return examples.labels[:, None] * inputs


def program(examples: Examples) -> np.ndarray | None:
    """Weights that HiGHS finds with rows.v >= 1, the columns and rows brought to one size."""
    rows = rows_of(examples)
    columns = np.abs(rows).max(axis=0)
    rows = rows / np.where(columns > 0, columns, 1)
    rows /= np.maximum(np.abs(rows).max(axis=1), 1e-300)[:, None]
    found = linprog(np.zeros(rows.shape[1]), -rows, -np.ones(len(rows)), bounds=(None, None))
    return None if found.x is None else found.x / np.where(columns > 0, columns, 1)


# ------------------------------------------------------------------ tables


def grid(rng, P, N):
    """Small integers: ties, duplicates, zeros."""
    return rng.integers(-2, 3, (P, N)).astype(np.int8), _either(rng, P)


def taught_grid(rng, P, N):
    """Integers and an integer teacher, for whom some examples are ties."""
    x = rng.integers(-3, 4, (P, N)).astype(np.int8)
    y = np.where(x @ rng.integers(-2, 3, N) >= 0, 1, -1)
    return x, y


def normal(rng, P, N):
    return rng.standard_normal((P, N)), _either(rng, P)


def taught(rng, P, N):
    x = rng.standard_normal((P, N))
    return x, np.where(x @ rng.standard_normal(N) >= 0, 1, -1)


def duplicated(rng, P, N):
    x, y = taught(rng, max(P // 2, 1), N)
    return np.vstack([x, x]), np.append(y, y)


def contradictory(rng, P, N):
    """One example comes back with the other label."""
    x, y = taught(rng, P, N)
    return np.vstack([x, x[:1]]), np.append(y, -y[:1])


def with_zeros(rng, P, N):
    x, y = taught(rng, P, N)
    x[rng.integers(P)] = 0
    return x, y


def dependent(rng, P, N):
    """Columns that are sums of others, exactly."""
    x, y = taught_grid(rng, P, N)
    x = x.astype(float)
    return np.column_stack([x, x[:, 0] + x[:, -1], 2 * x[:, 0]]), y


def quasi_separated(rng, P, N):
    """A dummy that separates some, and both labels at zero among the others."""
    x = rng.integers(-1, 2, (P, N)).astype(float)
    y = _either(rng, P)
    x[:, 0] = (y > 0) & (rng.random(P) < 0.5)
    return x, y


def scaled_columns(rng, P, N):
    x, y = taught(rng, P, N)
    return x * 10.0 ** rng.integers(-12, 13, N), y


def scaled_columns_random(rng, P, N):
    x, y = normal(rng, P, N)
    return x * 10.0 ** rng.integers(-12, 13, N), y


def scaled_rows(rng, P, N):
    x, y = taught(rng, P, N)
    return x * 10.0 ** rng.integers(-6, 7, (P, 1)), y


def thin(rng, P, N):
    """Margins of 1e-4 to 1e-12 in a direction that is no axis."""
    x, _ = normal(rng, P, N)
    w = rng.standard_normal(N)
    w /= np.linalg.norm(w)
    y = _either(rng, P)
    return x + np.outer(y * 10.0 ** rng.integers(-12, -3) - x @ w, w), y


def units(rng, P, N):
    x, y = taught(rng, P, N)
    return x * 10.0 ** rng.integers(-30, 31), y


def one_separates(rng, P, N):
    """A biomarker in some unit beside noise (float32)."""
    x, y = normal(rng, P, N)
    x[:, 0] = y * rng.uniform(0.5, 1.5, P) * 10.0 ** rng.integers(-9, 10)
    return x.astype(np.float32), y


def corners(rng, P, N):
    return (2 * rng.integers(0, 2, (P, N)) - 1).astype(np.int8), _either(rng, P)


def dummies(rng, P, N):
    """Indicators of one category each, which add up to the column of ones."""
    x = np.eye(N)[rng.integers(0, N, P)]
    return np.column_stack([x, rng.integers(0, 3, P)]), _either(rng, P)


def _either(rng, P):
    return np.where(rng.random(P) < 0.5, -1, 1)


KINDS = (
    grid, taught_grid, normal, taught, duplicated, contradictory, with_zeros, dependent,
    quasi_separated, scaled_columns, scaled_columns_random, scaled_rows, thin, units,
    one_separates, corners, dummies,
)  # fmt: skip


def table(seed: int) -> tuple[str, Examples]:
    """One of every kind in turn: one example, fewer than dimensions, about as many, many more."""
    kind = KINDS[seed % len(KINDS)]
    rng = np.random.default_rng([91, seed])
    N = int(rng.integers(1, 7))
    P = int(rng.choice([1, 2, max(N // 2, 1), N, N + 1, 2 * N, 3 * N, 8 * N]))
    x, y = kind(rng, P, N)
    intercept = bool(rng.random() < 0.5) and abs(int(y.sum())) < len(y)
    return kind.__name__, Examples(x, y.astype(np.int8), None, None, intercept)


def verdict(examples: Examples) -> str:
    """Separable, not, or neither; what is said has to be right."""
    truth = separable(rows_of(examples))
    try:
        found = max_stability(examples)
    except NotSeparable as refusal:
        assert not truth
        b, rows = refusal.multipliers, rows_of(examples)
        assert np.all(b >= 0)
        assert np.isclose(b.sum(), 1)
        # the multipliers come rounded to double
        slack = (refusal.radius + 2.0**-50) * np.abs(rows).sum(axis=0)
        assert np.all(np.abs(b @ rows) <= slack)
        return "not separable"
    except Undecided as question:
        between = question.lower, question.upper
    else:
        between = None
    if between is not None:
        assert between[0] <= between[1]
        assert truth or not between[0] > 0
        assert not truth or between[1] > 0
        return "undecided"
    assert truth
    assert found.stability == found.margins.min() > 0
    assert found.train_error == 0
    # what the weights reach, in fractions
    w = [Fraction(float(x)) for x in found.weights]
    b0 = Fraction(found.intercept)
    root = Fraction(float(np.sqrt(examples.N)))
    least = min(
        y * (sum(Fraction(float(x)) * v for x, v in zip(row, w, strict=True)) / root + b0)
        for row, y in zip(examples.inputs, examples.labels.tolist(), strict=True)
    )
    assert least > 0
    assert np.isclose(float(least), found.stability, rtol=1e-10)
    rival = program(examples)
    if rival is not None:
        margins = rows_of(examples) @ rival
        reached = margins.min() / np.linalg.norm(rival[: examples.N])
        # no weights beat the bound
        assert reached <= found.stability / (1 - found.duality_gap) * (1 + CLEAR)
    return "separable"


def count(seeds: range) -> Counter:
    counts: Counter = Counter()
    for seed in seeds:
        kind, examples = table(seed)
        said = verdict(examples)
        counts[said] += 1
        if said == "undecided":
            counts[kind] += 1
    return counts


def test_no_verdict_contradicts_the_truth():
    counts = count(range(6 * len(KINDS)))
    assert counts["undecided"] <= UNDECIDED * counts.total()
    assert min(counts["separable"], counts["not separable"]) > 20


@pytest.mark.slow
def test_no_verdict_of_a_thousand_contradicts_the_truth():
    counts = count(range(6 * len(KINDS), 6 * len(KINDS) + 1000))
    print(counts)
    assert counts["undecided"] <= UNDECIDED * counts.total()
