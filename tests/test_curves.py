"""The table of learning curves: what comes out of it, in which order, and by which seed."""

import dataclasses
import decimal
import fractions

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sound_tables import exactly, frame, plain, put, same

from replica.scaling import curves_from_table

# ---------------------------------------------------------------------------- what comes out


def test_canonical_table():
    table = frame().assign(epoch=1, loss=2, train_error=0.25)
    shuffled = table.sample(frac=1, random_state=1)[table.columns[::-1]]
    curves = curves_from_table(shuffled)
    assert list(curves.table.columns) == [
        "P", "seed", "step", "epoch", "log_norm", "test_error", "train_error", "loss", "used",
    ]  # fmt: skip
    assert curves.table["P"].dtype == np.float64
    assert curves.table["seed"].dtype == np.int64
    assert curves.table["used"].dtype == np.bool_
    assert curves.table.index.equals(pd.RangeIndex(len(table)))
    assert curves.table[["P", "seed", "step"]].equals(
        table[["P", "seed", "step"]].astype({"P": float, "step": float})
    )
    assert not curves.averaged
    assert curves.notes == ()


def test_curves_of_one_P():
    table = frame()
    curves = curves_from_table(table)
    assert curves.P.tolist() == [1000, 2000, 4000]
    assert [seed for seed, _, _ in curves.of(2000)] == [0, 1]
    for P in curves.P:
        for seed, log_norm, error in curves.of(P):
            own = table[(table["P"] == P) & (table["seed"] == seed)]
            assert log_norm.tolist() == np.log(own["norm"]).tolist()
            assert error.tolist() == own["test_error"].tolist()


def test_curves_cannot_be_changed_by_those_who_were_given_them():
    curves = curves_from_table(frame())
    with pytest.raises(ValueError, match="read-only"):
        curves.of(1000)[0][1][0] = 3
    with pytest.raises(ValueError, match="read-only"):
        curves.P[0] = 3
    curves.of(1000).clear()
    assert len(curves.of(1000)) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        curves.averaged = True


def test_unknown_P_names_those_there_are():
    sentence = "`P` must be one of 1000, 2000, 4000; got 3000"
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(frame()).of(3000)


def test_P_need_not_be_an_integer():
    assert curves_from_table(plain(P=(0.5, 1.25))).P.tolist() == [0.5, 1.25]


def test_input_is_left_as_it_was():
    table = frame(records=5).iloc[::-1]
    before = table.copy(deep=True)
    curves = curves_from_table(table)
    curves.of(1000)
    assert_frame_equal(table, before)


def test_whatever_pandas_reads_is_a_table():
    table = frame()
    expected = curves_from_table(table)
    same(curves_from_table(table.to_dict("list")), expected)
    same(curves_from_table(table.to_dict("records")), expected)
    same(curves_from_table(table.to_records(index=False)), expected)
    same(curves_from_table(table.set_index(["P", "seed"])), expected)
    same(curves_from_table(table.astype(str)), expected)
    same(curves_from_table(table.convert_dtypes()), expected)
    same(curves_from_table(table.astype({"P": "category", "seed": "category"})), expected)


def test_exact_numbers_of_other_kinds_are_numbers():
    table = plain(P=(1, 2), records=2).assign(test_error=[0.5, 0.25, 0.5, 0.25])
    other = table.assign(
        P=pd.Series([fractions.Fraction(1)] * 2 + [np.int8(2)] * 2, dtype=object),
        test_error=[decimal.Decimal("0.5"), "0.25", np.float32(0.5), 0.25],
    )
    same(curves_from_table(other), curves_from_table(table))


# ---------------------------------------------------------------------- records and their order


def test_repeated_steps_are_refused():
    table = frame()
    table.loc[[8, 20, 21], "step"] = [0, 10, 10]
    sentence = (
        "rows 7 and 9 repeat one record (P = 1000, seed = 1, step = 0) and 2 more; take one of "
        "them out"
    )
    table.loc[19, "step"] = 10
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(table)


def test_repeated_norms_are_refused_where_there_is_no_step():
    table = frame(clock=None)
    table.loc[8, "norm"] = table.loc[6, "norm"]
    shown = repr(float(table.loc[6, "norm"]))
    sentence = (
        f"rows 7 and 9 repeat one record (P = 1000, seed = 1, norm = {shown}); take one of them out"
    )
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(table)


def test_the_repeat_named_is_the_first_in_the_table():
    table = plain(P=(4000, 1000))
    table.loc[[3, 9], "norm"] = table.loc[[2, 8], "norm"].to_numpy()
    with pytest.raises(ValueError, match=r"^rows 3 and 4 repeat .* and 1 more; "):
        curves_from_table(table)


@pytest.mark.parametrize("clock", ["step", "epoch"])
def test_repeats_without_seeds_suggest_that_these_are_lacking(clock):
    table = frame(clock=clock).drop(columns="seed")
    sentence = (
        f"rows 1 and 7 repeat one record (P = 1000, {clock} = 0) and 17 more; if they are of "
        "different seeds, the table lacks a `seed` column, or it has to be named "
        "(`--map seed=...`)"
    )
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(table)


def test_the_step_decides_where_there_is_an_epoch_too():
    table = frame().assign(epoch=0)  # several records in one epoch
    assert curves_from_table(table).table["epoch"].tolist() == [0] * len(table)


def test_a_curve_of_one_record_is_refused():
    table = pd.concat([frame(), frame(P=(500, 700), seeds=(4,), records=1)])
    sentence = "a curve needs at least 2 records; P = 500, seed = 4 has one, in row 37 and 1 more"
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(table)
    lone = pd.concat([plain(), plain(P=(500,), records=1)])
    sentence = "a curve needs at least 2 records; P = 500 has one, in row 19"
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(lone)


@pytest.mark.parametrize("clock", ["step", None])
def test_dips_are_marked_and_noted(clock):
    table = frame(clock=clock)
    log_norm = np.log(table["norm"].to_numpy())
    log_norm[[3, 14]] -= [0.75, 0.625]  # each now a little below the record before it
    table = table.assign(log_norm=log_norm).drop(columns="norm")
    curves = curves_from_table(table)
    assert np.flatnonzero(~curves.table["used"]).tolist() == [3, 14]
    assert len(curves.table) == len(table)
    assert len(curves.of(1000)[0][1]) == 5
    assert len(curves.of(1000)[1][1]) == 6
    assert curves.notes == (
        "2 of 36 records (in 2 of 6 curves) do not exceed the largest norm before them and are "
        "left out where the error is read as a function of the norm; the deepest dip is 0.25 in "
        "ln(norm)",
    )


def test_a_norm_that_falls_is_refused():
    table = frame(records=7)
    falling = (table["P"] == 2000) & (table["seed"] == 1)
    table.loc[falling, "norm"] = [1, 2, 3, 2.9, 2.8, 2.7, 2.6]
    sentence = (
        "the norm falls along P = 2000, seed = 1: test error is not a function of the norm; only "
        "3 of its 7 records exceed every norm before them; let the curve begin where its norm "
        "starts to grow, or take another norm"
    )
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(table)
    table.loc[falling, "norm"] = [1, 2, 3, 2.9, 2.8, 2.7, 4]  # four of seven
    assert len(curves_from_table(table).of(2000)[1][1]) == 4
    every = frame().assign(norm=lambda t: 1 / t["norm"])
    with pytest.raises(ValueError, match=r"only 1 of its 6 records .* \(5 more curves so\);"):
        curves_from_table(every)
    two = frame(seeds=(None,), records=2).assign(norm=[2, 1, 1, 2, 2, 1])
    with pytest.raises(ValueError, match=r"P = 1000: .* 1 of its 2 .* \(1 more curve so\);"):
        curves_from_table(two)


def test_rows_in_reverse_are_sorted_with_a_note():
    table = plain()
    curves = curves_from_table(table.iloc[::-1])
    assert_frame_equal(curves.table, curves_from_table(table).table)
    assert curves.notes[0] == (
        "the rows of 3 of 3 curves are in order of falling norm, without `step` or `epoch`: they "
        "were sorted by increasing norm"
    )
    some = pd.concat([table[:6], table[6:12][::-1], table[12:]])
    assert curves_from_table(some).notes[0].startswith("the rows of 1 of 3 curves are in order")
    assert_frame_equal(curves_from_table(some).table, curves.table)


def test_shuffled_rows_without_a_step_are_refused():
    table = plain().iloc[[0, 5, 3, 2, 4, 1, *range(6, 18)]]
    sentence = (
        "the rows of P = 1000 are not in order of the norm: only 2 of its 6 records exceed every "
        "norm before them; without `step` or `epoch` there is no telling a falling norm from "
        "shuffled rows; give one of them, or sort the rows by norm"
    )
    with pytest.raises(
        ValueError, match=exactly(f"{sentence}, or a `seed` column if several seeds are mixed")
    ):
        curves_from_table(table)
    with pytest.raises(ValueError, match=exactly(sentence.replace("1000", "1000, seed = a"))):
        curves_from_table(table.assign(seed="a"))


# ------------------------------------------------------------------------------------ seeds

LOSS = (
    "errors can only come from leaving out one P at a time, and do not know the spread over seeds"
)


def test_without_seeds_the_loss_is_said():
    curves = curves_from_table(plain())
    assert curves.averaged
    assert "seed" not in curves.table
    assert [seed for seed, _, _ in curves.of(1000)] == [None]
    assert curves.notes == (f"there is no `seed`: the curves count as averages; {LOSS}",)


def test_a_single_seed_is_no_better_than_an_average():
    table = frame(seeds=(0,))
    table["seed"] = table["P"] // 1000  # each P its own
    curves = curves_from_table(table)
    assert curves.averaged
    assert [seed for seed, _, _ in curves.of(1000)] == [None]
    assert curves.table["seed"].tolist() == table["seed"].tolist()
    assert curves.notes == (f"every P has a single seed; {LOSS}",)


def test_P_with_a_single_seed_beside_others_are_noted():
    table = pd.concat([frame(), frame(P=(500, 700), seeds=(4,))])
    curves = curves_from_table(table)
    assert not curves.averaged
    assert [seed for seed, _, _ in curves.of(500)] == [4]
    assert curves.notes == ("P = 500, 700: a single seed, where others have up to 2",)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["10", "9"], [9, 10]),  # all integers: integers, in their order
        ([" 3", "2 "], [2, 3]),
        ([2.0, 1.0], [1, 2]),
        ([np.int8(2), 1.0], [1, 2]),
        (["007", "7"], ["007", "7"]),  # a name that is no integer keeps all of them names
        (["b", "a"], ["a", "b"]),
        ([0.5, 1.5], [0.5, 1.5]),
        ([("x", 1), ("a", 2)], [("a", 2), ("x", 1)]),
        (["a", 1], [1, "a"]),
        ([2**70, 1], [1, 2**70]),
        (["9" * 19, "1"], ["1", "9" * 19]),
        ([True, False], [False, True]),
    ],
)
def test_seeds_may_be_integers_or_names(given, expected):
    table = frame()
    table["seed"] = pd.Series([given[seed] for seed in table["seed"]], dtype=object)
    seeds = [seed for seed, _, _ in curves_from_table(table).of(1000)]
    assert seeds == expected
    assert [type(seed) for seed in seeds] == [type(seed) for seed in expected]


@pytest.mark.parametrize("seed", [[1], ("a", [1])])
def test_a_seed_that_cannot_be_told_from_others_is_refused(seed):
    sentence = f"`seed` must be an integer or a name; got {seed!r} in row 7"
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(put(frame(), "seed", 7, seed))
