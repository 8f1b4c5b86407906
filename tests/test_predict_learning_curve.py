"""`predict_learning_curve` and `replica predict`: verdicts, checks, refusals, files."""

import json
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import replica.cli
from replica import estimate_inputs, predict_learning_curve
from replica.prediction.draw import draw
from replica.prediction.folds import Folds, split
from replica.prediction.measured import train
from replica.prediction.table import Table
from replica.prediction.verdicts import C_ONLY, REFUSED, TRUSTED, Cell, verdict

K = np.arange(1, 31.0)
OMEGA, MU = K**-1.2, 0.3 * K**-0.6


def sample(rows, seed, mu=MU, positive=0.4):
    rng = np.random.default_rng(seed)
    y = np.where(rng.permutation(rows) < positive * rows, 1.0, -1.0)
    return y[:, None] * mu + np.sqrt(OMEGA) * rng.standard_normal((rows, len(OMEGA))), y


X, Y = sample(300, 0, mu=0.6 * MU)
CURVE = predict_learning_curve(X, Y, [30, 100, 300, 2000])


# ----------------------------------------------------------------------------- the record


def test_a_normal_table_is_trusted_and_what_lies_beyond_it_refused():
    assert CURVE.verdict == (TRUSTED, TRUSTED, TRUSTED, REFUSED)
    assert "beyond the 300 rows" in CURVE.reason[3] or "more than 3 times" in CURVE.reason[3]
    assert np.all(np.diff(CURVE.best_error) < 0)
    assert np.all(CURVE.best_error_low < CURVE.best_error)
    assert np.all(CURVE.best_error < CURVE.best_error_high)
    np.testing.assert_array_less(CURVE.best_error, np.nanmin(CURVE.error, axis=1) * (1 + 1e-9))
    # what is measured and drawn beside it, in standard errors of so few rows
    here = ~np.isnan(CURVE.measured_error)
    assert here.tolist() == [True, True, False, False]
    off = (CURVE.measured_error - CURVE.best_error) / CURVE.measured_standard_error
    assert np.all(np.abs(off[here]) < 4)
    assert np.all(np.abs(CURVE.gap) < 4 * CURVE.drawn_standard_error / CURVE.drawn_error)
    assert CURVE.drawn_examples.tolist() == [30, 100, 180, 180]


def test_the_conclusion_is_a_sentence_with_its_numbers():
    low, high = 100 * CURVE.best_error_low[2], 100 * CURVE.best_error_high[2]
    assert CURVE.conclusion == (
        f"C = {CURVE.best_C[2]:.2g}; expect {low:.1f} to {high:.1f}% errors with 300 labels."
    )
    said = predict_learning_curve(X, Y, [2000], check=False).conclusion
    assert said.startswith("No C is recommended: ")
    unchecked = predict_learning_curve(X, Y, [300], check=False)
    assert unchecked.verdict == (C_ONLY,)
    assert "nothing is claimed (without a draw check)" in unchecked.conclusion


def test_a_record_is_frozen_and_becomes_json():
    with pytest.raises(ValueError, match="read-only"):
        CURVE.error[0, 0] = 0.0
    found = json.loads(json.dumps(CURVE.to_dict()))
    assert found["conclusion"] == CURVE.conclusion
    assert found["inputs"]["rows"] == 300
    assert np.shape(found["error"]) == CURVE.error.shape == (4, 40)


def test_norms_and_penalties_are_one_path():
    at_c = predict_learning_curve(X, Y, [30, 100], C=[0.01, 1.0], check=False)
    for k in range(2):
        at_norm = predict_learning_curve(X, Y, [30, 100], lam=at_c.lam[k], check=False)
        # an interpolated norm, then the equations at its C: the error belongs to that C
        np.testing.assert_allclose(at_norm.C[k], at_c.C[k], rtol=1e-3)
        np.testing.assert_allclose(at_norm.error[k], at_c.error[k], rtol=1e-4)


def test_extrapolation_comes_with_a_power_law():
    x, y = sample(1000, 3, mu=0.5 * MU)
    found = predict_learning_curve(x, y, [1000, 3000, 3001])
    assert found.verdict == (TRUSTED, C_ONLY, REFUSED)
    assert np.all(np.isfinite(found.power_law))
    assert "if one extrapolates, " in found.conclusion
    assert "with 3000 labels" in found.conclusion
    assert "3001" not in found.conclusion


# --------------------------------------------------------------------------- what is checked


def test_the_draw_check_sees_tails_that_moments_do_not():
    # one row in twelve lies beyond the middle, as no normal cloud would have it
    x, y = sample(1000, 5, mu=1.6 * MU)
    rare = np.random.default_rng(1).random(1000) < 1 / 12
    x[rare] -= 1.2 * y[rare, None] * 1.6 * MU
    tailed = predict_learning_curve(x, y, [300])
    assert tailed.gap[0] > 0.1 + tailed.drawn_standard_error[0] / tailed.drawn_error[0]
    assert tailed.verdict == (REFUSED,)
    assert tailed.conclusion.startswith("No C is recommended: ")
    # and the drawn error is what is measured there, within the errors of both
    both = np.hypot(tailed.drawn_standard_error, tailed.measured_standard_error)
    assert np.all(np.abs(tailed.drawn_error - tailed.measured_error) < 4 * both)
    assert tailed.best_error_high[0] < tailed.measured_error[0]


def test_no_more_labels_are_drawn_than_moments_allow():
    table = Table.read(X, Y)
    few = draw(Folds.of(table).held_out(), np.array([50.0, 5000.0]), np.array([0.3, 0.3]))
    assert np.isfinite(few.error[0])
    assert np.isnan(few.error[1])


def test_repeated_rows_are_held_out_together():
    x, y = np.vstack([X, X[:100]]), np.append(Y, Y[:100])
    table = Table.read(x, y)
    fold = split(table)
    assert table.duplicates == 100
    np.testing.assert_array_equal(fold[:100], fold[300:])
    counts = np.bincount(split(Table.read(X, Y))[Y > 0])
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
def test_what_is_measured_is_logistic_regression(C):
    w, b = train(X + 3, Y, C)
    linear_model = pytest.importorskip("sklearn.linear_model")
    right = linear_model.LogisticRegression(C=C, tol=1e-10, max_iter=10000).fit(X + 3, Y)
    np.testing.assert_allclose(w, right.coef_[0], atol=1e-3 * np.abs(right.coef_).max())
    assert b == pytest.approx(right.intercept_[0], rel=1e-2, abs=1e-3)


CELL = {
    "examples": 500.0,
    "rows": 1000,
    "error": 0.2,
    "low": 0.18,
    "high": 0.22,
    "gap": 0.02,
    "gap_error": 0.01,
    "at_edge": False,
}


@pytest.mark.parametrize(
    ("change", "word", "why"),
    [
        ({}, TRUSTED, "above 10%"),
        ({"at_edge": True}, TRUSTED, "end of the range of C"),
        ({"gap": 0.12}, REFUSED, "13% more often"),
        ({"gap": 0.12, "gap_error": 0.03}, TRUSTED, "agrees"),
        ({"gap": -0.2}, C_ONLY, "18% less often"),
        ({"gap": np.nan, "gap_error": np.nan}, C_ONLY, "without a draw check"),
        ({"error": 0.08}, C_ONLY, "below 10%"),
        ({"error": 0.02}, REFUSED, "below 3%"),
        ({"error": np.nan}, REFUSED, "1000 rows do not determine"),
        ({"cut": True}, REFUSED, "1000 rows do not determine"),
        ({"low": 0.1, "high": 0.3}, C_ONLY, "factor of two"),
        ({"examples": 2000.0}, C_ONLY, "power law"),
        ({"examples": 2000.0, "rows": 900}, REFUSED, "beyond the 900 rows"),
        ({"examples": 4000.0}, REFUSED, "more than 3 times"),
    ],
)
def test_verdicts(change, word, why):
    found, reason = verdict(Cell(**{**CELL, **change}))
    assert (found, why in reason) == (word, True), reason


@pytest.mark.slow
def test_most_intervals_hold_the_error():
    """Of normal tables, at P = P0 and at half of it: 83% of those of 90%, and so it is told."""
    from replica import Clusters, at_ridge

    for rows in (50, 200):
        count = np.array([rows / 2, rows])
        ridge = np.geomspace(1e-4, 1e4, 60) * OMEGA.sum()
        right = at_ridge(
            count[:, None], ridge, inputs=Clusters(OMEGA, MU, positive=0.4)
        ).generalization_error.min(axis=1)
        inside = []
        for seed in range(100):
            x, y = sample(rows, seed)
            found = predict_learning_curve(x, y, count, check=False)
            inside.append((found.best_error_low < right) & (right < found.best_error_high))
        share = np.mean(inside, axis=0)
        # four standard errors of 100 tables below
        assert np.all(share > 0.83 - 4 * np.sqrt(0.83 * 0.17 / 100)), (rows, share)


# ------------------------------------------------------------------------------- bad tables


def changed(row, column, value):
    x = X.astype(object)
    x[row, column] = value
    return x


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (X[:9], Y[:9], r"`X` must have at least 10 rows; got 9"),
        (changed(3, 2, np.nan), Y, r"`X` must hold finite numbers .*; got nan in row 3, column 2"),
        (changed(3, 2, np.inf), Y, r"`X` must hold finite numbers .*; got inf in row 3, column 2"),
        (changed(4, 1, "red"), Y, r"`X` must hold numbers only; got 'red' in row 4, column 1"),
        (
            pd.DataFrame(X[:, :3], columns=["a", "b", "c"]).assign(b="x"),
            Y,
            r"`X` must hold numbers only; got 'x' in row 0, column 'b'",
        ),
        (X[:, 0], Y, r"`X` must be a table of finite numbers, .*; got an array of shape \(300,\)"),
        (X[:, :0], Y, r"`X` must hold at least one number"),
        (X.astype(complex), Y, r"`X` must be a table of finite numbers, .*; got an array of comp"),
        (np.ones((20, 3)), Y[:20], r"`X` must have a column that varies; got 3 columns"),
        (np.repeat(X[:10], 3, axis=0), np.repeat(Y[:10], 3), r"`X` must hold mostly different"),
        (X, np.ones(300), r"`y` must hold exactly two different values; got 1: 1\.0"),
        (X, np.arange(300) % 3, r"`y` must hold exactly two different values; got 3: 0, 1, 2"),
        (X, np.arange(300), r"`y` must hold exactly two .*; got 300: 0, 1, 2, 3, \.\.\."),
        (X, Y[:-1], r"`y` must be 300 labels, one for each row; got an array of shape \(299,\)"),
        (
            X,
            np.where(np.arange(300) == 7, np.nan, Y),
            r"`y` must not lack a label; got none in row 7",
        ),
        (
            X,
            np.array([None, *Y[1:]], dtype=object),
            r"`y` must not lack a label; got none in row 0",
        ),
        (X, np.array(["a", *Y[1:]], dtype=object), r"`y` must hold labels of one kind"),
        (
            X,
            np.where(np.arange(300) == 0, 5, 6),
            r"`y` must hold each label at least 2 times; got 5 ",
        ),
    ],
)
def test_bad_tables_are_refused_in_clear_words(x, y, said):
    for call in (estimate_inputs, predict_learning_curve):
        with pytest.raises(ValueError, match=said):
            call(x, y)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"examples": 5}, r"`examples` must be between 10 and 1e12; got 5"),
        ({"examples": []}, r"`examples` must be a list of numbers"),
        ({"examples": "many"}, r"`examples` must be a real number"),
        ({"C": 0.0}, r"`C` must be positive and finite; got 0"),
        ({"lam": -1.0}, r"`lam` must be positive and finite; got -1"),
        ({"C": 1.0, "lam": 1.0}, r"`lam` must be left out where `C` is given"),
    ],
)
def test_bad_numbers_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        predict_learning_curve(X, Y, **options)


@pytest.mark.parametrize(
    ("unlabelled", "said"),
    [
        (X[:, :5], "`unlabelled` must have 30 columns; got 5"),
        (X[:5], "`unlabelled` must have at least 10 rows; got 5"),
        (np.ones((20, 30)), "`unlabelled` must have a column that varies"),
        (np.full((20, 30), np.nan), "`unlabelled` must hold finite numbers"),
    ],
)
def test_bad_rows_without_labels_are_refused(unlabelled, said):
    with pytest.raises(ValueError, match=said):
        estimate_inputs(X, Y, unlabelled=unlabelled)
    with pytest.raises(ValueError, match=said):
        predict_learning_curve(X, Y, unlabelled=unlabelled)
    with pytest.raises(ValueError, match="`unlabelled` must be left out where `method`"):
        estimate_inputs(X, Y, unlabelled=X, method="plug-in")


def test_rows_without_labels_take_part():
    few, labels = sample(25, 8)
    others, _ = sample(400, 9)
    found = predict_learning_curve(few, labels, [25], unlabelled=others, check=False)
    assert found.inputs.unlabelled == 400
    assert found.inputs.least_nu == 0
    assert found.best_error_low[0] < found.best_error[0] < found.best_error_high[0]


def test_the_method_is_one_of_two():
    with pytest.raises(ValueError, match="`method` must be one of resolvent, plug-in; got 'lw'"):
        estimate_inputs(X, Y, method="lw")


def test_constant_columns_say_nothing_and_do_no_harm():
    wide = np.column_stack([X[:, :7], np.full(300, 3.0), X[:, 7:], np.zeros(300)])
    found = predict_learning_curve(wide, Y, [30, 100], C=[0.1], check=False)
    plain = predict_learning_curve(X, Y, [30, 100], C=[0.1], check=False)
    np.testing.assert_allclose(found.error, plain.error, rtol=1e-9)
    assert found.inputs.constant == 2


# ------------------------------------------------------------------------------ the command


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("tables")
    frame = pd.DataFrame(X, columns=[f"c{k}" for k in range(30)])
    frame["label"] = np.where(Y > 0, "yes", "no")
    frame.to_csv(where / "t.csv", index=False)
    frame.to_csv(where / "t.tsv", index=False, sep="\t")
    if find_spec("pyarrow"):
        frame.to_parquet(where / "t.parquet")
    np.savez(where / "t.npz", features=X, label=frame["label"].to_numpy().astype(str))
    frame.assign(c3="red").to_csv(where / "words.csv", index=False)
    frame.assign(label="yes").to_csv(where / "one.csv", index=False)
    (where / "broken.csv").write_text('a,label\n1,"x\n2,3,4,5\n')
    (where / "t.txt").write_text("1")
    (where / "t2.npz").write_text("no archive")
    for ending in ("csv", "npz", "parquet"):
        (where / f"empty.{ending}").touch()
    (where / "zero.csv").symlink_to("/dev/zero")
    (where / "bytes.csv").write_bytes(bytes(range(256)))
    np.savez(where / "objects.npz", x=np.array([{}, 1], dtype=object), y=[0, 1])
    return where


def run(*arguments):
    return CliRunner().invoke(replica.cli.main, ["predict", *map(str, arguments)])


def test_a_table_becomes_a_sentence(folder):
    result = run(folder / "t.csv", "--label", "label", "--examples", "30,100,300,2000")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == f"{folder / 't.csv'}: {CURVE.conclusion}"
    assert lines[1] == "300 rows, 30 columns; 'no' against 'yes', of which 40.0%."
    assert "2000 labels: refused, more than 3 times the 300 rows at hand." in lines


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet", "t.npz"])
def test_every_format_says_the_same(folder, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    result = run(folder / name, "--label", "label", "--examples", "100", "--no-check", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert found["best_C"] == pytest.approx([CURVE.best_C[1]], rel=1e-9)
    assert found["best_error"] == pytest.approx([CURVE.best_error[1]], rel=1e-9)
    assert found["measured_error"] == [None]


def test_standardised_columns_are_those_of_the_table_times_its_scales(folder):
    options = ("--label", "label", "--examples", "100", "--no-check", "--json", "--standardise")
    found = json.loads(run(folder / "t.csv", *options).output)
    right = predict_learning_curve((X - X.mean(0)) / X.std(0), Y, [100], check=False)
    assert found["best_error"] == pytest.approx(right.best_error.tolist(), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("t.csv", ("--label", "colour"), "--label must be a column of"),
        ("t.csv", ("--label", "label", "--examples", "a"), "--examples must be numbers"),
        (
            "t.csv",
            ("--label", "label", "--examples", "5"),
            "--examples must be between 10 and 1e12",
        ),
        ("words.csv", ("--label", "label"), "DATA must hold numbers only; got 'red' in row 0, col"),
        ("one.csv", ("--label", "label"), "--label must hold exactly two different values; got 1"),
        ("broken.csv", ("--label", "label"), "cannot read"),
        ("t.txt", ("--label", "label"), "DATA must end in .csv, .tsv, .parquet or .npz"),
        ("t.npz", ("--label", "y"), "--label must be one of two arrays"),
        ("t2.npz", ("--label", "y"), "cannot read"),
        ("none.csv", ("--label", "y"), "does not exist"),
        ("empty.csv", ("--label", "y"), "cannot read"),
        ("empty.npz", ("--label", "y"), "cannot read"),
        ("empty.parquet", ("--label", "y"), "cannot read"),
        ("bytes.csv", ("--label", "y"), "cannot read"),
        ("objects.npz", ("--label", "y"), "cannot read"),
        ("zero.csv", ("--label", "y"), "DATA must be a regular file"),
    ],
)
def test_the_command_refuses_in_one_line(folder, name, options, said):
    result = run(folder / name, *options)
    assert result.exit_code == 2
    assert said in result.output.replace("\n", " ")
    assert "Traceback" not in result.output
