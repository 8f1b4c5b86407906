"""What holds for every table of learning curves: the same table whichever way it comes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from sound_tables import plain, same

from replica.scaling import curves_from_table, read_curves

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
