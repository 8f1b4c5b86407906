"""The table of learning curves: what is read, what is refused and in which words."""

import dataclasses
import datetime
import decimal
import fractions
import gzip
import re
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from patience import lines

from replica.scaling import curves_from_table, read_curves

GAP = "; fill the gap, or have such rows left out by `drop_missing=True` (`--drop-missing`)"


def frame(P=(1000, 2000, 4000), seeds=(0, 1), records=6, *, clock="step"):
    """A sound table: ln(norm) grows by 0.5 in every record, the error falls with it."""
    rows = []
    for p in P:
        for seed in seeds:
            for record in range(records):
                log_norm = 1 + 0.5 * record + 0.01 * (seed or 0)
                rows.append((p, seed, 10 * record, np.exp(log_norm), 0.8 * np.exp(-0.2 * log_norm)))
    table = pd.DataFrame(rows, columns=["P", "seed", clock or "step", "norm", "test_error"])
    if clock is None:
        table = table.drop(columns="step")
    return table if seeds != (None,) else table.drop(columns="seed")


def plain(**kwargs):
    """A sound table without seeds or steps, as the published ones are."""
    return frame(seeds=(None,), clock=None, **kwargs)


def put(table, column, row, value):
    """The table with another value in a row, counted from 1, as messages count."""
    cells = table[column].tolist()
    cells[row - 1] = value
    plain = all(type(cell) is float or (type(cell) is int and cell < 2**63) for cell in cells)
    return table.assign(**{column: pd.Series(cells, dtype=None if plain else object)})


def exactly(sentence):
    """A pattern for the whole of a message."""
    return f"^{re.escape(sentence)}$"


def same(left, right):
    assert_frame_equal(left.table, right.table, check_exact=True)
    assert left.averaged == right.averaged
    assert left.notes == right.notes


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


# ----------------------------------------------------------------------------------- laws

positive = st.floats(1e-300, 1e300)
names = st.text("abcXYZ019 ,;'\"_-.é\n", min_size=1).map(str.strip)
seed_names = st.one_of(
    st.integers(-(10**17), 10**17),
    names.filter(lambda name: name.lower() not in {"", "na", "nan", "none", "null"}),
)


@st.composite
def tables(draw, clocks=("step", "epoch", None), logarithms=(True, False)):
    """Any sound table: rising norms, with or without seeds, steps and the optional columns."""
    clock = draw(st.sampled_from(clocks))
    seeds = draw(
        st.none()
        | st.lists(st.integers(-(10**17), 10**17), min_size=1, max_size=3, unique=True)
        | st.lists(
            seed_names.filter(lambda name: isinstance(name, str)),
            min_size=1, max_size=3, unique=True,
        )
    )  # fmt: skip
    log = draw(st.sampled_from(logarithms))
    rows = []
    for P in draw(st.lists(positive, min_size=1, max_size=3, unique=True)):
        for seed in seeds if seeds is not None else [None]:
            norms = draw(
                st.lists(
                    st.floats(-1e6, 1e6) if log else positive,
                    min_size=2, max_size=4, unique_by=lambda v: v if log else np.log(v),
                )
            )  # fmt: skip
            times = draw(st.integers(-9, 9)) + draw(st.sampled_from([0.25, 7])) * np.arange(4)
            for at, norm in zip(times, sorted(norms), strict=False):
                rows.append((P, seed, at, norm, error := draw(st.floats(0, 1)), -9 * error))
    columns = ["P", "seed", clock or "step", "log_norm" if log else "norm", "test_error", "loss"]
    table = pd.DataFrame(rows, columns=columns)
    assume(table["test_error"].nunique() > 1)
    drop = [] if clock else ["step"]
    return table.drop(columns=drop if seeds is not None else [*drop, "seed"])


@given(table=tables(), zipped=st.booleans())
def test_csv_brings_back_the_same_table(table, zipped, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / f"trip.csv{'.gz' if zipped else ''}"
    table.to_csv(path, index=False)
    expected = curves_from_table(table)
    same(read_curves(path), expected)
    expected.table.to_csv(path, index=False)  # the canonical table is a table, too
    again = read_curves(path)
    assert_frame_equal(again.table, expected.table, check_exact=True)
    assert again.notes[1:] == expected.notes
    assert again.notes[0] == "ignored columns: 'used'"


@given(table=tables())
def test_parquet_brings_back_the_same_table(table, tmp_path_factory):
    pytest.importorskip("pyarrow")
    path = tmp_path_factory.getbasetemp() / "trip.parquet"
    table.to_parquet(path)
    same(read_curves(path), curves_from_table(table))


@given(table=tables(clocks=("step", "epoch")), random=st.randoms(use_true_random=False))
def test_with_a_step_the_order_of_rows_does_not_matter(table, random):
    rows = list(range(len(table)))
    random.shuffle(rows)
    same(curves_from_table(table.iloc[rows]), curves_from_table(table))


@given(table=tables(clocks=(None,)), random=st.randoms(use_true_random=False))
def test_without_a_step_the_order_of_curves_does_not_matter(table, random):
    keys = ["P", "seed"] if "seed" in table else ["P"]
    groups = [group for _, group in table.groupby(keys)]
    random.shuffle(groups)
    same(curves_from_table(pd.concat(groups)), curves_from_table(table))


@given(table=tables(logarithms=(False,)))
def test_norm_and_its_logarithm_are_the_same_table(table):
    logarithm = table.assign(log_norm=np.log(table["norm"].to_numpy())).drop(columns="norm")
    same(curves_from_table(logarithm), curves_from_table(table))


@given(table=tables(), titles=st.permutations(["P", "norm", "log_norm", "test_error", "a", 7]))
def test_columns_may_have_any_names(table, titles):
    new = dict(zip(table.columns, titles, strict=False))
    renamed = table.rename(columns=new)
    same(curves_from_table(renamed, columns=new), curves_from_table(table))


@given(
    st.lists(st.lists(st.integers(0, 30), min_size=2, max_size=12), min_size=1, max_size=4),
)
def test_records_in_use_are_those_above_every_record_before(curves):
    """Against a loop that says what is meant."""
    rows = [(P + 1, at, x) for P, curve in enumerate(curves) for at, x in enumerate(curve)]
    table = pd.DataFrame(rows, columns=["P", "step", "log_norm"])
    table["test_error"] = np.linspace(0.1, 0.9, len(table))
    used = [all(before < x for before in curve[:at])
            for curve in curves for at, x in enumerate(curve)]  # fmt: skip
    kept = [sum(used[i] for i, row in enumerate(rows) if row[0] == P + 1)
            for P in range(len(curves))]  # fmt: skip
    if any(n < 2 or 2 * n < len(curve) for n, curve in zip(kept, curves, strict=True)):
        with pytest.raises(ValueError, match="the norm falls along P = "):
            curves_from_table(table)
        return
    result = curves_from_table(table, accuracy=False)  # the errors of a ramp rise
    assert result.table["used"].tolist() == used
    for P in result.P:
        _, log_norm, error = result.of(P)[0]
        assert np.all(np.diff(log_norm) > 0)
        own = table[(table["P"] == P) & np.array(used)]
        assert error.tolist() == own["test_error"].tolist()


@given(st.lists(st.floats(0, 100), min_size=6, max_size=6))
def test_percent_is_a_hundred_times_the_fraction(errors):
    assume(max(errors) > 1)
    assume(len(set(errors)) > 1)
    table = plain(P=(10,)).assign(test_error=errors)
    result = curves_from_table(table, percent=True, accuracy=False).table["test_error"]
    assert result.tolist() == [error / 100 for error in errors]


# ---------------------------------------------------------------------------------- columns


def test_mapping_reads_one_column_instead_of_another():
    table = plain().assign(spectral=lambda t: t["norm"] ** 2)
    curves = curves_from_table(table, columns={"norm": "spectral"})
    same_but_squared = curves_from_table(table.assign(norm=table["norm"] ** 2))
    assert_frame_equal(curves.table, same_but_squared.table)
    assert curves.notes[0] == "ignored columns: 'norm'"


def test_a_mapped_column_is_not_read_twice():
    table = plain().assign(train_error=0.1)
    table["train_error"] = table["test_error"] / 2
    curves = curves_from_table(table, columns={"test_error": "train_error"})
    assert "train_error" not in curves.table
    assert curves.table["test_error"].tolist() == (table["test_error"] / 2).tolist()
    assert curves.notes[0] == "ignored columns: 'test_error'"


def test_norm_or_log_norm_has_to_be_chosen():
    table = plain().assign(log_norm=np.arange(18.0))
    sentence = (
        "the table has both `norm` and `log_norm`: choose one, as in "
        "columns={'log_norm': 'log_norm'} (`--map log_norm=log_norm`)"
    )
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(table)
    chosen = curves_from_table(table, columns={"log_norm": "log_norm"})
    assert sorted(chosen.table["log_norm"]) == list(range(18))
    same(
        curves_from_table(table, columns={"norm": "norm"}),
        dataclasses.replace(curves_from_table(plain()), notes=(
            "ignored columns: 'log_norm'", *curves_from_table(plain()).notes)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (
            {"nrom": "norm"},
            "`columns` must map one of P, seed, step, epoch, norm, log_norm, test_error, "
            "train_error, loss to a column of the table; got 'nrom'",
        ),
        (
            {"norm": "spectral"},
            "`columns` must map `norm` to a column of the table; got 'spectral', and its columns "
            "are 'P', 'norm', 'test_error'",
        ),
        (
            {"norm": ["norm"]},
            "`columns` must map `norm` to a column of the table; got ['norm'], and its columns "
            "are 'P', 'norm', 'test_error'",
        ),
        (
            {"step": "P", "P": "P"},
            "`columns` must not map two names to one column; got {'step': 'P', 'P': 'P'}",
        ),
        ({"norm": "norm", "log_norm": "P"}, "`columns` must map `norm` or `log_norm`, not both"),
        (
            "norm=a",
            "`columns` must map names of this library to those of the table; got 'norm=a'",
        ),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(columns, sentence):
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(plain(), columns=columns)


@pytest.mark.parametrize(
    ("new", "sentence"),
    [
        (
            {"P": "p"},
            "the table has no column `P`; its columns are 'p', 'norm', 'test_error'; if 'p' is "
            "`P`, say so: columns={'P': 'p'} (`--map P=p`)",
        ),
        (
            {"norm": "Log_Norm"},
            "the table has no column `norm` or `log_norm`; its columns are 'P', 'Log_Norm', "
            "'test_error'; if 'Log_Norm' is `log_norm`, say so: columns={'log_norm': 'Log_Norm'} "
            "(`--map log_norm=Log_Norm`)",
        ),
        (
            {"norm": "spectral", "test_error": "err"},
            "the table has no column `norm` or `log_norm`, no column `test_error`; its columns are "
            "'P', 'spectral', 'err'; if 'err' is of examples held out, say so: "
            "columns={'test_error': 'err'} (`--map test_error=err`)",
        ),
    ],
)
def test_a_missing_column_is_named_with_those_there_are(new, sentence):
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(plain().rename(columns=new))


def test_a_long_list_of_columns_is_cut():
    wide = plain().assign(**{f"x{i}": 0 for i in range(30)}).drop(columns="P")
    with pytest.raises(ValueError, match=r"'x17' and 12 more; where it stands"):
        curves_from_table(wide)


def test_a_column_that_is_there_twice_is_refused():
    table = plain()
    twice = pd.concat([table, table["norm"]], axis=1)
    sentence = "column 'norm', read as `norm`, is there twice: rename one"
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(twice)
    other = pd.concat([table.assign(x=1), table["norm"].rename("x")], axis=1)
    assert curves_from_table(other).notes[0] == "ignored columns: 'x', 'x'"


def test_ignored_columns_are_noted_and_those_that_look_alike_named():
    curves = curves_from_table(plain().assign(Seed=3, lr=0.1))
    assert curves.notes[0] == (
        "ignored columns: 'Seed', 'lr'; if 'Seed' is `seed`, say so: columns={'seed': 'Seed'} "
        "(`--map seed=Seed`)"
    )


@pytest.mark.parametrize("empty", [{}, [], {"P": [], "norm": [], "test_error": []}, None])
def test_an_empty_table_is_refused(empty):
    sentence = "`table` has no rows: there is nothing to fit"
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(empty)


def test_what_is_no_table_is_refused():
    with pytest.raises(ValueError, match="`table` must be something pandas reads as a table: "):
        curves_from_table(3.5)
    sentence = "`table` must be a table; got the path 'curves.csv': use `read_curves`"
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table("curves.csv")


# ----------------------------------------------------------------------------------- values


@pytest.mark.parametrize("column", ["P", "seed", "step", "norm", "test_error", "loss"])
@pytest.mark.parametrize(
    "gap", [float("nan"), None, pd.NA, pd.NaT, "", "nan", "NaN", " NA ", "N/A", "null", "None"]
)
def test_a_gap_is_an_error_never_a_row_less(column, gap):
    table = put(frame().assign(loss=1.0), column, 7, gap)
    sentence = f"`{column}` is missing in row 7{GAP}"
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(table)


def test_gaps_are_counted():
    table = put(put(put(frame(), "norm", 7, None), "norm", 9, "abc"), "norm", 10, None)
    sentence = f"`norm` is missing in row 7 and 2 more{GAP}"
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(table)


def test_masked_values_are_gaps():
    norm = np.ma.array(np.exp(np.arange(18.0)), mask=np.arange(18) == 4)
    columns = plain().to_dict("list") | {"norm": norm}
    with pytest.raises(ValueError, match="`norm` is missing in row 5;"):
        curves_from_table(columns)
    nullable = plain().astype({"norm": "Float64"})
    nullable.loc[4, "norm"] = pd.NA
    with pytest.raises(ValueError, match="`norm` is missing in row 5;"):
        curves_from_table(nullable)


def test_some_rows_without_a_seed_are_refused():
    table = frame()
    table["seed"] = table["seed"].where(table["seed"] == 1)  # floats with nan, as pandas does
    sentence = f"`seed` is missing in row 1 and 17 more{GAP}"
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(table)


@pytest.mark.parametrize("column", ["P", "step", "norm", "test_error", "train_error", "loss"])
@pytest.mark.parametrize(
    "value", ["abc", "1,5", "1_000", "0x10", True, 1j, [1], datetime.date(2020, 1, 1)]
)
def test_what_is_no_number_is_named(column, value):
    table = put(frame().assign(loss=1.0, train_error=0.1), column, 7, value)
    hint = "; write a decimal point" if value == "1,5" else ""
    sentence = f"`{column}` must be a number; got {value!r} in row 7{hint}"
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(table)


def test_booleans_are_no_numbers():
    with pytest.raises(ValueError, match=r"`loss` must be a number; got True in row 1 and 35 more"):
        curves_from_table(frame().assign(loss=True))


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("P", 0, "`P` must be finite and positive; got 0 in row 7"),
        ("P", -1.5, "`P` must be finite and positive; got -1.5 in row 7"),
        ("P", np.inf, "`P` must be finite and positive; got inf in row 7"),
        (
            "norm",
            " -1.50 ",
            "`norm` must be finite and positive; got -1.50 in row 7; if it is the "
            "natural logarithm of the norm, name it `log_norm`",
        ),
        (
            "norm",
            -2.5,
            "`norm` must be finite and positive; got -2.5 in row 7; if it is the natural "
            "logarithm of the norm, name it `log_norm`",
        ),
        (
            "norm",
            "1e400",
            "`norm` must be finite and positive; got 1e400 in row 7; a norm beyond 1e308 has to "
            "come as `log_norm`",
        ),
        (
            "norm",
            10**400,
            f"`norm` must be finite and positive; got {10**400} in row 7; a norm beyond 1e308 has "
            "to come as `log_norm`",
        ),
        ("log_norm", np.inf, "`log_norm` must be finite; got inf in row 7"),
        ("step", -np.inf, "`step` must be finite; got -inf in row 7"),
        ("epoch", np.inf, "`epoch` must be finite; got inf in row 7"),
        ("loss", "inf", "`loss` must be finite; got inf in row 7"),
        ("test_error", -0.25, "`test_error` must lie in [0, 1]; got -0.25 in row 7"),
        ("test_error", 101, "`test_error` must lie in [0, 1]; got 101 in row 7"),
        ("test_error", np.inf, "`test_error` must lie in [0, 1]; got inf in row 7"),
        ("train_error", -0.25, "`train_error` must lie in [0, 1]; got -0.25 in row 7"),
    ],
)
def test_what_is_out_of_range_is_named(column, value, sentence):
    table = frame().assign(loss=1.0, train_error=0.1, epoch=1.0)
    if column == "log_norm":
        table = table.assign(log_norm=np.log(table["norm"])).drop(columns="norm")
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(put(table, column, 7, value))


def test_norms_beyond_a_double_come_as_logarithms():
    table = plain().drop(columns="norm").assign(log_norm=1e4 + np.arange(18.0))
    assert curves_from_table(table).of(4000)[0][1][-1] == 10017


def test_an_extended_float_beyond_a_double_is_refused():
    wide = np.exp(np.arange(18).astype(np.longdouble))
    if np.finfo(np.longdouble).maxexp > 1024:
        wide[4] = np.longdouble(10) ** 400
        with pytest.raises(
            ValueError, match=r"`norm` must be finite and positive; got .* in row 5"
        ):
            curves_from_table(plain().assign(norm=wide))
    else:
        pytest.skip("long double is double here")


def test_further_rows_are_counted_and_mapped_columns_named():
    table = frame().rename(columns={"norm": "spectral_norm"})
    table.loc[[7, 8, 31], "spectral_norm"] = 0
    sentence = (
        "`norm` (column 'spectral_norm') must be finite and positive; got 0 in row 8 and 2 more"
    )
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(table, columns={"norm": "spectral_norm"})


def test_rows_are_counted_from_one_whatever_the_index():
    table = put(frame(), "norm", 8, 0.0)
    table.index = table.index[::-1] + 100
    with pytest.raises(ValueError, match=r"got 0 in row 8$"):
        curves_from_table(table)


# ---------------------------------------------------------------------------------- percent


@pytest.mark.parametrize("column", ["test_error", "train_error"])
def test_percent_has_to_be_declared(column):
    table = plain().assign(train_error=lambda t: t["test_error"] / 2)
    table[column] *= 100
    most = repr(float(table[column].max())).removesuffix(".0")
    first = repr(float(table[column][0])).removesuffix(".0")
    sentence = (
        f"`{column}` must lie in [0, 1]; got {first} in row 1 and 17 more; the largest is {most}: "
        "if these are percent, as they look, pass `percent=True` (`--percent`)"
    )
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(table)


@pytest.mark.parametrize("column", ["test_error", "train_error"])
def test_fractions_declared_percent_are_refused(column):
    table = plain().assign(test_error=np.linspace(90, 1, 18), train_error=np.linspace(90, 0, 18))
    assert curves_from_table(table, percent=True).table["train_error"].max() == 0.9
    table[column] /= 90
    sentence = (
        f"`{column}` looks like fractions: its largest value is 1, but `percent` is set; leave "
        "out `percent=True` (`--percent`)"
    )
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(table, percent=True)


def test_percent_ends_at_a_hundred():
    table = put(plain().assign(test_error=np.linspace(90, 1, 18)), "test_error", 7, 101)
    sentence = "`test_error` must lie in [0, 100], being in percent; got 101 in row 7"
    with pytest.raises(ValueError, match=exactly(sentence)):
        curves_from_table(table, percent=True)


def test_a_train_error_that_vanishes_is_zero_in_either_unit():
    table = plain().assign(test_error=np.linspace(90, 1, 18), train_error=0)
    assert not curves_from_table(table, percent=True).table["train_error"].any()


def test_equal_errors_leave_nothing_to_fit():
    with pytest.raises(ValueError, match=exactly("nothing to fit: every `test_error` is 0.1")):
        curves_from_table(plain().assign(test_error=0.1))


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


# ------------------------------------------------------------------------------------ files


@pytest.fixture
def write(tmp_path):
    def write(text, name="curves.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


ROWS = "1000,1.5,0.5\n1000,2.5,0.25\n"


@pytest.mark.parametrize(
    "text",
    [
        f"P,norm,test_error\n{ROWS}",
        f"\ufeffP,norm,test_error\n{ROWS}",  # as spreadsheets write it
        f"P, norm ,test_error\r\n\r\n{ROWS}\n\n".replace(",", ", "),
        f'"P", "norm", "test_error"\n{ROWS}',
        "\nP,norm,test_error\n1e3,15e-1,5e-1\n+1000.,2.5,.25\n",
    ],
)
def test_csv_in_its_dialects(write, text):
    curves = read_curves(write(text))
    [(_, log_norm, error)] = curves.of(1000)
    assert log_norm.tolist() == np.log([1.5, 2.5]).tolist()
    assert error.tolist() == [0.5, 0.25]


def test_suffixes_are_read_in_any_case(write):
    text = f"P,norm,test_error\n{ROWS}".encode()
    same(
        read_curves(str(write(text, "A.CSV"))), read_curves(write(gzip.compress(text), "b.CSV.GZ"))
    )


@pytest.mark.parametrize("digits", ["0.1", "0.30000000000000004", "1e-300", "0.12345678901234567"])
def test_csv_is_read_to_the_last_bit(write, digits):
    curves = read_curves(write(f"P,norm,test_error\n{ROWS}1000,3,{digits}\n"))
    assert curves.table["test_error"].tolist()[-1] == float(digits)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            "\n1000,-1.50,0.5\n",
            "`norm` must be finite and positive; got -1.5 in row 3; if it is the natural "
            "logarithm of the norm, name it `log_norm`",
        ),
        (
            "1000,,0.5\n",
            "`norm` is missing in row 3" + GAP,
        ),
        (
            "1000,3\n",
            "`test_error` is missing in row 3" + GAP,
        ),
        (
            "1000,nan,0.5\n",
            "`norm` is missing in row 3" + GAP,
        ),
        ("1000,3,True\n", "`test_error` must be a number; got 'True' in row 3"),
        ("1_000,3,0.1\n", "`P` must be a number; got '1_000' in row 3"),
        ("1000,3.0.1,0.1\n", "`norm` must be a number; got '3.0.1' in row 3"),
        (
            ",,\n",
            "`P` is missing in row 3" + GAP,
        ),
    ],
)
def test_rows_of_a_file_are_named_as_the_file_has_them(write, rows, sentence):
    path = write(f"P,norm,test_error\n{ROWS}{rows}")
    with pytest.raises(ValueError, match=exactly(f"{path}: {sentence}")):
        read_curves(path)


def test_titles_of_a_file_are_text(write):
    path = write("P,norm,test_error,NA,1\n1,1.5,0.5,,\n1,2.5,0.25,,\n")
    assert read_curves(path).notes[0] == "ignored columns: 'NA', '1'"


def test_columns_and_percent_reach_the_table(write):
    path = write("n,norm,test_error\n10,1.5,50\n10,2.5,25\n")
    assert read_curves(path, columns={"P": "n"}, percent=True).of(10)[0][2].tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("text", "name", "sentence"),
    [
        ("", "a.csv", "is empty$"),
        ("\n\n", "a.csv", "is empty$"),
        ("P,norm,test_error\n", "a.csv", ": `table` has no rows: there is nothing to fit$"),
        (f"P,norm,test_error\n{ROWS}1,2,3,4\n", "a.csv", "as CSV in UTF-8: .*line 4, saw 4$"),
        (f'P,norm,test_error\n{ROWS}1,"2,3\n', "a.csv", "as CSV in UTF-8: .*EOF inside string"),
        (b"P,norm,test_error\n\xff\xfe,1,2\n", "a.csv", "as CSV in UTF-8: .*can't decode byte"),
        (b"\x1f\x8b\x08\x00", "a.csv.gz", "as gzip: "),
        (gzip.compress(ROWS.encode(), mtime=0)[:-12], "a.csv.gz", "as gzip: "),
        ("P|norm|test_error\n1|2|3\n", "a.csv", r"its columns are 'P\|norm\|test_error';"),
        (b"PK\x03\x04...", "a.xlsx", "is a workbook or an archive: save the table as CSV$"),
        ("{", "a.json", "cannot be read as JSON: "),
    ],
)
def test_files_that_cannot_be_read_are_named(write, text, name, sentence):
    path = write(text, name)
    with pytest.raises(ValueError, match=sentence) as refused:
        read_curves(path)
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there(tmp_path):
    sentence = f"`path` must be a file of learning curves; {tmp_path / 'a.csv'} does not exist"
    with pytest.raises(FileNotFoundError, match=exactly(sentence)):
        read_curves(tmp_path / "a.csv")
    with pytest.raises(ValueError, match=f"{tmp_path} is a directory without$"):
        read_curves(tmp_path)


def test_broken_parquet_is_named(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "curves.pq"
    frame().to_parquet(path)
    whole = path.read_bytes()
    damaged = pyarrow.Table.from_pandas(frame()).replace_schema_metadata({"pandas": "{}"})
    pyarrow.parquet.write_table(damaged, path)
    for broken in [b"", b"PAR1", whole[: len(whole) // 2], path.read_bytes()]:
        path.write_bytes(broken)
        sentence = f"{re.escape(str(path))} cannot be read as Parquet: "
        with pytest.raises(ValueError, match=sentence):
            read_curves(path)


def test_parquet_with_the_keys_in_its_index(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "curves.parquet"
    frame().set_index(["P", "seed"]).to_parquet(path)
    same(read_curves(path), curves_from_table(frame()))


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "curves.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    sentence = f'reading {path} needs pyarrow: pip install "replica-learning[parquet]"'
    with pytest.raises(ImportError, match=exactly(sentence)):
        read_curves(path)


# ------------------------------------------------------------------------------------- speed


def test_more_records_are_no_more_work_for_python(tmp_path):
    path = tmp_path / "sweep.csv"

    def work(records):
        table = frame(P=1000.0 * 2 ** np.arange(4), seeds=tuple(range(5)), records=records)
        table.to_csv(path, index=False)
        return lines(lambda: read_curves(path))

    work(50)  # what is imported late
    assert work(50) == work(200)
