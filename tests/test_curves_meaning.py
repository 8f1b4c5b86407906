"""What the numbers of a table are: accuracies, losses, percent, gaps, parts, a norm of zero."""

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from replica.scaling import SyntheticLaw, curves_from_table, synthetic_curves

SIZES = [1000.0, 2000.0, 4000.0]


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(1)
    return synthetic_curves(SyntheticLaw(), SIZES, seeds=2, rng=rng, records=12)


def same(found, table, note=""):
    # 1 - (1 - x) is x within a rounding of 1
    expected = curves_from_table(table).table
    assert_frame_equal(found.table, expected, rtol=0, atol=2.3e-16, check_exact=False)
    assert any(note in said for said in found.notes), found.notes


def test_curves_know_in_words_what_they_are_of_and_follow(table):
    steps = table.drop(columns="norm").assign(step=table["step"] + 1)
    epochs = steps.rename(columns={"step": "epoch"})
    last = steps.groupby(["P", "seed"], as_index=False)["test_error"].min()
    found = [curves_from_table(rows) for rows in (table, steps, epochs, last)]
    assert [curves.along for curves in found] == ["norm", "step", "epoch", ""]
    assert {curves.word for curves in found} == {"error"}
    losses = table.rename(columns={"test_error": "val_loss"})
    assert curves_from_table(losses, quantity="loss").word == "loss"


# ------------------------------------------------------------------------------ accuracies


def test_accuracies_named_errors_are_refused_with_the_way_out(table):
    accuracy = table.assign(test_error=1 - table["test_error"])
    sentence = (
        r"`test_error` rises along 6 of 6 curves from its lowest value on, as accuracies do; if "
        r"they are accuracies, pass `accuracy=True` \(`--accuracy`\), and if they are errors, "
        r"`accuracy=False` \(`--no-accuracy`\)$"
    )
    with pytest.raises(ValueError, match=sentence):
        curves_from_table(accuracy)
    expected = curves_from_table(table).table
    found = curves_from_table(accuracy, accuracy=True)
    assert_frame_equal(found.table, expected, rtol=0, atol=2.3e-16)
    as_it_is = curves_from_table(accuracy, accuracy=False).table["test_error"]
    assert as_it_is.tolist() == accuracy["test_error"].tolist()
    percent = accuracy.assign(test_error=100 * accuracy["test_error"])
    found = curves_from_table(percent, accuracy=True, percent=True)
    assert_frame_equal(found.table, expected, rtol=0, atol=4e-16)


def test_errors_that_rise_past_an_optimum_are_errors(table):
    """A curve from its optimum on, and one that overfits to twice its lowest error."""
    late = table.assign(test_error=0.1 + 0.01 * (table["step"] % 12))
    for errors in (late, table.assign(test_error=table["test_error"] * 0.2)):
        assert curves_from_table(errors).quantity == "test_error"


@pytest.mark.parametrize("title", ["val_acc", "test/accuracy", "eval_top1", "score_test"])
def test_a_name_of_accuracies_is_read_as_such_and_said(table, title):
    named = table.assign(**{title: 1 - table["test_error"]}).drop(columns="test_error")
    same(curves_from_table(named), table, f"{title!r} is read as the accuracy on examples held out")
    mapped = curves_from_table(named, columns={"test_error": title})
    same(mapped, table, f"{title!r} is read as the accuracy")
    own = curves_from_table(named, columns={"test_error": title}, accuracy=False)
    assert own.table["test_error"].tolist() == named[title].tolist()


@pytest.mark.parametrize("title", ["val_err", "test/error", "valid error"])
def test_a_name_of_errors_is_read_as_such_and_said(table, title):
    named = table.rename(columns={"test_error": title})
    same(curves_from_table(named), table, f"{title!r} is read as the error of examples held out")


@pytest.mark.parametrize("title", ["accuracy", "score", "error"])
def test_a_name_that_may_be_of_training_is_suggested_only(table, title):
    named = table.rename(columns={"test_error": title})
    with pytest.raises(ValueError, match=f"if '{title}' is of examples held out, say so: .*--map"):
        curves_from_table(named)


@pytest.mark.parametrize("title", ["train_acc", "val_acc_std", "val_norm", "best_val_acc"])
def test_names_beside_are_not_taken(table, title):
    named = table.rename(columns={"test_error": title})
    with pytest.raises(ValueError, match="no column `test_error`"):
        curves_from_table(named)


def test_two_names_have_to_be_told_apart(table):
    named = table.assign(val_acc=0.5, test_acc=0.5).drop(columns="test_error")
    with pytest.raises(
        ValueError, match=r"several columns may be the error: 'val_acc', 'test_acc'"
    ):
        curves_from_table(named)
    both = table.rename(columns={"test_error": "val_error"}).assign(val_acc=0.5)
    same(curves_from_table(both), table, "'val_error' is read as the error")


# ---------------------------------------------------------------------------------- losses


def test_a_loss_may_exceed_one(table):
    loss = table.assign(test_error=2.5 * table["test_error"])
    with pytest.raises(ValueError, match=r"these are losses, as they look, pass `quantity='loss'`"):
        curves_from_table(loss)
    found = curves_from_table(loss, quantity="loss")
    assert found.quantity == "loss"
    assert found.table["test_error"].tolist() == loss["test_error"].tolist()
    named = loss.rename(columns={"test_error": "val_loss"})
    assert_frame_equal(curves_from_table(named, quantity="loss").table, found.table)
    with pytest.raises(ValueError, match=r"for the loss 'val_loss' say quantity='loss'"):
        curves_from_table(named)
    falls = loss.assign(test_error=-loss["test_error"])
    with pytest.raises(ValueError, match=r"must be finite and not negative, being a loss; got -"):
        curves_from_table(falls, quantity="loss")
    with pytest.raises(ValueError, match=r"log-likelihood, take its negative as a loss"):
        curves_from_table(falls)
    with pytest.raises(ValueError, match=r"`accuracy` must not be set where `quantity` is 'loss'"):
        curves_from_table(loss, quantity="loss", accuracy=True)
    with pytest.raises(ValueError, match=r"`quantity` must be one of test_error, loss; got 'x'"):
        curves_from_table(loss, quantity="x")


@pytest.mark.parametrize(
    ("largest", "hint"),
    [(2.4, "these are losses, as they look"), (37.0, "these are percent, as they look"),
     (100.5, r"got 100.5 in row 1$"), (1.00001, "these are losses")],
)  # fmt: skip
def test_the_hint_fits_the_values(table, largest, hint):
    errors = table["test_error"].tolist()
    errors[0] = largest
    with pytest.raises(ValueError, match=hint):
        curves_from_table(table.assign(test_error=errors))


def test_a_rounding_beyond_the_end_is_read_as_the_end(table):
    errors = table["test_error"].tolist()
    errors[0], errors[20] = 1.0000001, -1e-8
    found = curves_from_table(table.assign(test_error=errors))
    assert found.table["test_error"].max() == 1
    assert found.table["test_error"].min() == 0
    assert any("by rounding (by at most 1e-07), in row 1 and 1 more" in n for n in found.notes)


# ----------------------------------------------------------------------- gaps, parts, zeros


def test_rows_with_gaps_are_left_out_where_that_is_asked_for(table):
    holes = table.assign(loss=1.0)
    holes.loc[[3, 17], "norm"] = np.nan
    holes.loc[5, "test_error"] = np.nan
    holes.loc[7, "loss"] = np.nan
    with pytest.raises(ValueError, match=r"`loss` is missing in row 8; .*--drop-missing"):
        curves_from_table(holes)
    found = curves_from_table(holes, drop_missing=True)
    assert_frame_equal(found.table, curves_from_table(table.drop(index=[3, 5, 17])).table)
    assert found.notes == (
        "left out: 1 of 72 rows without `test_error`; 2 with it and without `norm`",
        "not read, since it is missing in some records: `loss`",
    )
    with pytest.raises(
        ValueError, match=r"no row of 72 holds a whole record: missing are `norm` in"
    ):
        curves_from_table(table.assign(norm=np.nan), drop_missing=True)


def test_rows_keep_their_number_when_others_are_left_out(table):
    holes = table.copy()
    holes.loc[3, "norm"] = np.nan
    holes.loc[9, "test_error"] = 7.0
    with pytest.raises(ValueError, match="got 7 in row 10"):
        curves_from_table(holes, drop_missing=True)


def halves(table):
    """The norm on one row, the error on another, at the same step."""
    return pd.concat([table.assign(test_error=np.nan), table.assign(norm=np.nan)]).reset_index(
        drop=True
    )


def test_parts_of_a_record_are_joined(table):
    same(
        curves_from_table(halves(table)),
        table,
        "144 rows that hold parts of 72 records, at equal P, seed, step, are joined",
    )


def test_parts_that_contradict_each_other_are_named(table):
    parts = halves(table)
    parts.loc[72 + 4, "norm"] = 1e9
    with pytest.raises(ValueError, match=r"rows 5 and 77 hold parts of one record, and different"):
        curves_from_table(parts)
    equal = halves(table)
    equal.loc[72 + 4, "norm"] = equal.loc[4, "norm"]
    assert_frame_equal(curves_from_table(equal).table, curves_from_table(table).table)


def test_a_whole_record_that_is_there_twice_is_none_of_two_parts(table):
    twice = pd.concat([halves(table), table.iloc[[8]], table.iloc[[8]].assign(norm=2.0)])
    with pytest.raises(ValueError, match=r"rows 9 and 146 hold parts of one record, and different"):
        curves_from_table(twice)
    with pytest.raises(ValueError, match="rows 9 and 73 repeat one record"):
        curves_from_table(pd.concat([table, table.iloc[[8]]]))


@pytest.mark.parametrize(("column", "zero"), [("norm", 0.0), ("log_norm", -np.inf)])
def test_a_curve_may_begin_at_norm_zero(table, column, zero):
    own = table.assign(log_norm=np.log(table["norm"]))[["P", "seed", "step", column, "test_error"]]
    first = own.groupby(["P", "seed"]).head(1).index
    start = own.copy()
    start.loc[first, column] = zero
    found = curves_from_table(start)
    assert_frame_equal(found.table, curves_from_table(own.drop(index=first)).table)
    shown = "0" if column == "norm" else "-inf"
    assert f"6 of 6 curves begin at {column} = {shown}, of which" in found.notes[0]
    start.loc[first + 3, column] = zero
    with pytest.raises(
        ValueError, match=rf"`{column}` must be finite.*; got {shown} in row 4 and 5"
    ):
        curves_from_table(start)


def test_without_a_norm_the_step_stands_in_its_place(table):
    plain = table.drop(columns="norm").assign(step=table["step"] - table["step"].min())
    found = curves_from_table(plain)
    assert found.abscissa == "step"
    kept = found.table[["step", "log_norm"]]
    assert (kept["step"] > 0).all()
    assert kept["log_norm"].tolist() == np.log(kept["step"]).tolist()
    assert any("CurveRecorder" in note for note in found.notes)
    with pytest.raises(ValueError, match="`step` must not be negative where it takes the norm's"):
        curves_from_table(plain.assign(step=plain["step"] - 1000))
