"""The columns of a table of learning curves, and what may stand in a cell of each."""

import dataclasses
import datetime

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sound_tables import GAP, exactly, frame, plain, put, same

from replica.scaling import curves_from_table

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
