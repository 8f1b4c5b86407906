"""Tables of one's own: whatever people bring becomes examples, or is refused by name."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from perceptron import Examples, examples, minimize_at_norm
from replica.common.arguments import InvalidArgument

X = np.array([[0.0, 1.0], [1.0, 0.5], [2.0, 2.0], [-1.0, 0.25]])
Y = np.array([0, 0, 1, 1])
SIGNS = np.array([-1, -1, 1, 1])


@pytest.mark.parametrize(
    "table",
    [
        X.tolist(),
        X,
        X.astype(np.float32),
        X.astype(np.float16),
        np.asfortranarray(X),
        X.astype(object),
        pd.DataFrame(X, columns=["age", "dose"]),
        pd.DataFrame({"age": X[:, 0], "dose": X[:, 1].astype(object)}),
        scipy.sparse.csr_matrix(X),
        scipy.sparse.coo_array(X),
    ],
    ids=lambda table: type(table).__name__,
)
def test_every_kind_of_table(table):
    data = examples(table, Y)
    assert np.array_equal(data.inputs, X)
    assert data.inputs.dtype in (np.float32, np.float64)
    assert data.teacher is None
    assert data.seed is None


@pytest.mark.parametrize(
    "labels",
    [
        Y,
        Y.tolist(),
        Y.astype(bool),
        2 * Y - 1,
        (2 * Y - 1).astype(np.int8),
        Y.astype(float),
        np.where(Y == 1, "yes", "no"),
        ["no", "no", "yes", "yes"],
        np.where(Y == 1, "yes", "no").astype(object),
        pd.Series(Y),
        pd.Series(["no", "no", "yes", "yes"], dtype="category"),
        Y[:, None],
        1000 + 7 * Y,
    ],
    ids=lambda labels: f"{type(labels).__name__}",
)
def test_labels_of_any_two_values(labels):
    data = examples(X, labels)
    assert np.array_equal(data.labels, SIGNS)
    given = np.asarray(labels).ravel()
    assert np.array_equal(data.table.labels(data.labels), given)
    assert np.array_equal(data.table.signs(labels, 4), SIGNS)


def test_wide_numbers_stay_exact():
    """float64 is not cut to single precision: a margin of 1e-12 would be gone."""
    data = examples([[1.0, 1e-12], [-1.0, 1e-12]], [1, -1])
    assert data.inputs.dtype == np.float64
    assert data.inputs[0, 1] == 1e-12
    assert examples(np.array([[2**53 - 1, 0], [1, 1]]), [0, 1]).inputs[0, 0] == 2**53 - 1


def test_standard_scale():
    rng = np.random.default_rng(0)
    raw = rng.normal([5.0, -300.0, 2.0], [0.1, 50.0, 0.0], (200, 3))
    data = examples(raw, rng.random(200) < 0.5, scale="standard")
    assert data.inputs[:, :2].mean(axis=0) == pytest.approx([0, 0], abs=1e-12)
    assert data.inputs[:, :2].std(axis=0) == pytest.approx([1, 1])
    assert not data.inputs[:, 2].any()  # the constant column
    # new rows of the table go the same way
    assert np.array_equal(data.table.inputs(raw[:7]), data.inputs[:7])


@pytest.mark.parametrize("unit", [1e-200, 1.0, 1e200])
def test_unit_scale(unit):
    data = examples(X * unit, Y, scale="unit")
    assert np.mean(data.inputs**2) == pytest.approx(1)
    assert examples(X * unit, Y, scale=unit).inputs == pytest.approx(X)


@pytest.mark.parametrize(
    ("table", "labels", "options", "message"),
    [
        (X[:, 0], Y, {}, r"`X` must be a table .* \(a single column is X\[:, None\]\)"),
        ([[1.0, 2.0], [3.0]], [0, 1], {}, "`X` must be a table"),
        (np.zeros((0, 3)), [], {}, "`X` must hold at least one"),
        ("table.csv", Y, {}, "`X` must be a table"),
        (X + 1j, Y, {}, "`X` must be a table"),
        ([[1.0, "a"], [2.0, 3.0]], [0, 1], {}, "`X` must"),
        (
            pd.DataFrame({"age": [1.0, 2.0], "name": ["ann", "bob"]}),
            [0, 1],
            {},
            "`X` must hold numbers only; got 'ann' in row 0, column 'name'",
        ),
        (
            pd.DataFrame({"age": [1.0, np.nan]}),
            [0, 1],
            {},
            "`X` must hold finite numbers .* got nan in row 1, column 'age'",
        ),
        (np.where(X == 2, np.inf, X), Y, {}, "inf in row 2, column 0"),
        (np.ma.masked_array(X), Y, {}, "`X` must be a table"),
        (X, Y[:3], {}, "`y` must be 4 labels"),
        (X, [1, 1, 1, 1], {}, "`y` must hold exactly two different values; got 1: 1"),
        (X, [0, 1, 2, 2], {}, "`y` must hold exactly two different values; got 3: 0, 1, 2"),
        (X, [0, 1, np.nan, 1], {}, "`y` must not lack a label; got none in row 2"),
        (X, ["a", None, "b", "b"], {}, "`y` must not lack a label; got none in row 1"),
        (X, np.array(["a", 1, "b", 1], dtype=object), {}, "`y` must hold labels of one kind"),
        (X, Y, {"scale": "minmax"}, "`scale` must be"),
        (X, Y, {"scale": -1.0}, "`scale` must be positive"),
        (X, Y, {"intercept": "yes"}, "`intercept` must be True or False"),
        (0 * X, Y, {"scale": "unit"}, "`X` must not be zero throughout"),
    ],
)
def test_refused_by_name(table, labels, options, message):
    with pytest.raises(InvalidArgument, match=message):
        examples(table, labels, **options)


def test_a_sparse_table_that_would_not_fit():
    wide = scipy.sparse.csr_matrix((10**6, 10**6))
    with pytest.raises(MemoryError, match="its dense copy takes 8e\\+03 GB"):
        examples(wide, np.arange(10**6) % 2)


def test_new_rows_must_be_of_the_same_table():
    table = examples(X, Y).table
    with pytest.raises(InvalidArgument, match="`X` must have 2 columns; got 3"):
        table.inputs(np.ones((2, 3)))
    with pytest.raises(InvalidArgument, match="`y` must hold 0, 1 only; got 5"):
        table.signs([0, 5], 2)


def test_nobody_is_told_an_error_without_a_teacher():
    """A perfect classifier was said to err at 1/2, whatever seed the table was given."""
    rng = np.random.default_rng(0)
    y = np.repeat([1, -1], 500).astype(np.int8)
    x = (rng.standard_normal((1000, 2)) + 6 * y[:, None]).astype(np.float32)
    for data in (examples(x[::2], y[::2]), Examples(x[::2], y[::2], None, 0)):
        found = minimize_at_norm(data, 1.0)
        assert np.isnan(found.generalization_error)
        assert np.isnan(found.overlap)
        assert found.score(x[1::2], y[1::2]) == 1.0
