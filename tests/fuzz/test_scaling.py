"""The doors of `replica.scaling`: a refusal that says why, or an answer that is right."""

import decimal
import fractions

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from pandas.testing import assert_frame_equal

from fuzz.strategies import DRESSED, NO_NUMBERS, any_float, any_number, guard
from fuzz.tables import expect, odd_curves, sound, times
from replica.scaling import (
    SyntheticLaw,
    analyse,
    collapse,
    curves_from_table,
    fit_power_law,
    forecast,
    houdayer_hartmann,
    mean_master_curve,
    synthetic_curves,
)

#: Exponents of data that obey a law to rounding, over at least a decade of x.
RECOVERED = 1e-6
#: What a change of units or of the order of rows may do to an analysis: sums in another order, and
#: fits that stop at a relative gain of 1e-8 of chi2.
ROUNDING = 1e-5
#: The joint law is fitted until chi2, some hundreds, gains less than 1e-8 of itself: its parameters
#: are then within the root of that, in units of their errors.
STOPPED = 2e-3
#: Parts of an analysis that have a value with an error.
ESTIMATES = ("gamma_1", "gamma_2", "gamma_pred", "gamma_meas", "gamma_2_elbow", "drift")


def refusal(error):
    """Whether a message says what is wrong with what."""
    said = str(error)
    words = ("must", "needs", "is 0 for", "share less", "hardly changes", "bootstrap samples")
    words += ("repeat one record", "nothing to fit", "not in order", "no forecast", "is missing")
    words += (
        "falls along",
        "rises along",
        "no range of the norm in common",
        "looks like",
        "no column",
        "is there twice",
        "are both given",
        "both",
    )
    return any(word in said for word in words)


# ------------------------------------------------------------------------------ power laws


columns = st.lists(any_float, min_size=1, max_size=9)
powers = st.floats(-8, 8).map(lambda e: 10.0**e)


@times(3)
@given(data=st.data(), x=columns, offset=st.booleans(), nonnegative=st.booleans())
def test_a_power_law_of_anything(data, x, offset, nonnegative):
    n = len(x)
    same = st.lists(any_float, min_size=n, max_size=n)
    options = {"offset": offset, "nonnegative": nonnegative}
    options["level"] = data.draw(st.sampled_from([0.95, 0.5, 1 - 1e-9, 0, 1, np.nan]))
    errors = st.one_of(st.none(), any_float, same, st.just(1.0))
    options[data.draw(st.sampled_from(["sigma", "relative"]))] = data.draw(errors)
    if data.draw(st.booleans()):
        x = np.sort(np.abs(x))
    with guard():
        try:
            fit = fit_power_law(x, data.draw(same), **options)
        except ValueError as error:
            expect(str(error).startswith("`"), error)
            expect(refusal(error), error)
            return
    assert np.isfinite(fit.q)
    assert fit.chi2 >= 0
    assert np.isnan(fit.log_k) == np.isnan(fit.chi2) == False  # noqa: E712
    for error in (fit.gamma_error, fit.q_error, fit.log_k_error):
        assert np.isnan(error) or error >= 0
    if np.isfinite(fit.gamma) and not np.isnan(fit.gamma_low):
        slack = 1e-8 * abs(fit.gamma)
        assert fit.gamma_low <= fit.gamma + slack
        assert fit.gamma_high >= fit.gamma - slack
    if not np.isnan(fit.q_low):
        slack = 1e-8 * abs(fit.q)
        assert fit.q_low <= fit.q + slack
        assert fit.q_high >= fit.q - slack


@times(0.5)
@given(
    gamma=st.floats(0.05, 3),
    sign=st.sampled_from([-1, 1]),
    k=powers,
    unit=powers,
    n=st.integers(5, 30),
    relative=st.booleans(),
    offset=st.booleans(),
    order=st.integers(0, 2**32),
)
def test_an_exact_law_is_found(gamma, sign, k, unit, n, relative, offset, order):
    x = unit * np.logspace(0, 2, n)
    y = k * (x / unit) ** (-sign * gamma)
    rows = np.random.default_rng(order).permutation(n)
    with guard():
        fit = fit_power_law(
            x[rows], y[rows], relative=True if relative else None, offset=offset, intervals=False
        )
    assert_allclose(fit.gamma, sign * gamma, rtol=RECOVERED)
    assert_allclose(fit(x), y, rtol=RECOVERED)
    assert abs(fit.q) <= RECOVERED * y.max()


@times(0.5)
@given(
    seed=st.integers(0, 1000),
    a=powers,
    b=powers,
    offset=st.booleans(),
    relative=st.booleans(),
    order=st.integers(0, 2**32),
)
def test_units_and_order_do_not_matter_to_a_power_law(seed, a, b, offset, relative, order):
    rng = np.random.default_rng(seed)
    x = np.logspace(0, 2, 12)
    y = (0.05 + x**-0.7) * np.exp(0.02 * rng.normal(size=12))
    rows = np.random.default_rng(order).permutation(12)
    options = {"relative": 0.02} if relative else {"sigma": 0.02 * y}
    moved = {"relative": 0.02} if relative else {"sigma": b * 0.02 * y[rows]}
    with guard():
        one = fit_power_law(x, y, offset=offset, **options)
        two = fit_power_law(a * x[rows], b * y[rows], offset=offset, **moved)
    assert_allclose([two.gamma, two.q], [one.gamma, b * one.q], rtol=ROUNDING, atol=1e-12 * b)
    assert_allclose(two.gamma_error, one.gamma_error, rtol=ROUNDING)
    assert_allclose([two.gamma_low, two.gamma_high], [one.gamma_low, one.gamma_high], rtol=1e-3)
    assert_allclose(two.chi2, one.chi2, rtol=ROUNDING)


# -------------------------------------------------------------------------------- the table


CELLS = st.one_of(
    any_number,
    st.sampled_from([*DRESSED.values()]).map(lambda pair: pair[0]),
    st.sampled_from([v for v in NO_NUMBERS.values() if np.isscalar(v) or v is pd.NA]),
    st.text(max_size=3),
    st.sampled_from(["", " 5 ", "nan", "1e999", "1_0", "0x10", "٣", "5,0", "None", "-0", "1e400"]),
)


@times(1)
@given(
    cell=CELLS,
    column=st.sampled_from(["P", "seed", "step", "norm", "test_error"]),
    row=st.integers(0, 35),
    percent=st.booleans(),
)
@example(cell=[], column="seed", row=0, percent=False)
@example(cell=np.str_("5"), column="norm", row=3, percent=False)
def test_any_cell_is_read_or_named(cell, column, row, percent):
    table = sound()
    if percent:
        table["test_error"] = 100 * table["test_error"]
    cells = table[column].astype(object).tolist()
    cells[row] = cell
    other = table.assign(**{column: pd.Series(cells, dtype=object)})
    with guard():
        try:
            found = curves_from_table(other, percent=percent)
        except ValueError as error:
            expect(refusal(error), error)
            return
    values = found.table[["P", "log_norm", "test_error"]].to_numpy()
    assert len(found.table) == len(table)
    assert np.isfinite(values).all()
    assert (found.table["P"] > 0).all()
    assert found.table["test_error"].between(0, 1).all()


FORMS = {
    "object": object,
    "text": str,
    "categories": "category",
    "Int64": "Int64",
    "Float64": "Float64",
    "float32": np.float32,
    "longdouble": np.longdouble,
    "big-endian": ">f8",
    "arrow": "double[pyarrow]",
    "arrow text": "string[pyarrow]",
    "pandas text": "string",
    "int16": np.int16,
}


@pytest.mark.parametrize("form", [*FORMS, "Decimal", "Fraction", "numpy objects"])
def test_the_type_of_a_column_does_not_matter(form):
    if "arrow" in form:
        pytest.importorskip("pyarrow")
    table = sound()
    others = {"Decimal": decimal.Decimal, "Fraction": fractions.Fraction}
    others["numpy objects"] = np.float64
    made = table.copy()
    for name in table:
        whole = name in ("P", "seed", "step")
        if form in ("Int64", "int16") and not whole:
            continue
        if form in others:
            made[name] = pd.Series([others[form](v) for v in table[name].tolist()], dtype=object)
        elif form in ("text", "arrow text", "pandas text"):
            made[name] = pd.Series([str(v) for v in table[name].tolist()]).astype(FORMS[form])
        else:
            made[name] = table[name].astype(FORMS[form])
    with guard():
        assert_frame_equal(curves_from_table(made).table, curves_from_table(table).table)


@given(order=st.integers(0, 2**32), data=st.data())
def test_index_extra_columns_and_order_do_not_matter_to_a_table(order, data):
    table = sound()
    rows = np.random.default_rng(order).permutation(len(table))
    other = table.iloc[rows]
    index = data.draw(st.sampled_from(["same", "twice", "names", "several", "dates"]))
    if index == "twice":
        other = other.set_axis([0] * len(other))
    elif index == "names":
        other = other.set_axis([f"r{i}" for i in range(len(other))])
    elif index == "several":
        other = other.set_index(["P", "seed"])
    elif index == "dates":
        other = other.set_axis(pd.date_range("2025", periods=len(other)))
    extra = data.draw(st.lists(st.sampled_from(["note", 7, ("a", 1), None]), unique=True))
    for name in extra:
        other = pd.concat([other, pd.Series(np.nan, index=other.index, name=name)], axis=1)
    with guard():
        found = curves_from_table(other)
    assert_frame_equal(found.table, curves_from_table(table).table)
    assert bool(found.notes) == bool(extra)


@pytest.mark.parametrize(
    "table",
    [None, [], {}, 5, "x.csv", b"x", object(), {"P": []}, pd.DataFrame(), [[1, 2], [3, 4]], {1, 2},
     np.zeros((2, 2, 2)), pd.Series([1.0]), {"P": [1, 2], "norm": [1]}, float("nan"), {"P": 1}],
)  # fmt: skip
def test_what_is_no_table_is_refused(table):
    with guard(), pytest.raises(ValueError, match=r"`table` must|`table` has no rows|no column"):
        curves_from_table(table)


@pytest.mark.parametrize(
    "columns", [5, "norm", [], {"norms": "norm"}, {"norm": "none"}, {"norm": []}, {"P": "norm"}]
)
def test_a_mapping_that_maps_nothing_is_refused(columns):
    with (
        guard(),
        pytest.raises(
            ValueError, match=r"`columns`|is there twice|needs|no column|both|in place of the norm"
        ),
    ):
        curves_from_table(sound(), columns=columns)


# ------------------------------------------------------------------------------- analyses


def check(found):
    """What holds for every analysis."""
    for name in ESTIMATES:
        estimate = getattr(found, name)
        if estimate.reason:
            assert np.isnan(estimate.value), name
            continue
        assert np.isfinite(estimate.value), name
        assert 0 <= estimate.error < np.inf, name
        assert estimate.low <= estimate.value <= estimate.high, name
        assert np.isnan(estimate.systematic) or estimate.systematic >= 0, name
    optima = found.optima
    assert np.isfinite(optima[["log_lam_opt", "eps_opt", "log_lam_min"]]).all(axis=None)
    assert optima["eps_opt"].between(0, 2).all()
    assert found.collapse.master[["phi", "low"]].notna().all(axis=None)


@times(1)
@given(
    table=odd_curves(),
    start=st.sampled_from([None, None, None, 0, 2000, 1e300, np.nan]),
    last=st.sampled_from([None, None, None, 0, 2000, 1e300]),
    own=st.sampled_from([None, None, None, None, 3.0, 1e300, 1e-320, "odd"]),
    paper=st.sampled_from([None, None, None, (0, 0.3), (0, 10.0), (0.01, 1e9)]),
)
def test_any_numbers_are_analysed_or_refused(table, start, last, own, paper):
    options = {"gamma_1_from": start, "gamma_2_from": last}
    if own is not None:
        P = table["P"].unique().tolist()
        sizes = [1e300, 1e-320, 3.0]
        options["optimum"] = {p: sizes[k % 3] if own == "odd" else own for k, p in enumerate(P)}
    options |= {"bootstrap": 20} if paper is None else {"method": "paper", "window": paper}
    with guard():
        try:
            found = analyse(curves_from_table(table), **options)
        except ValueError as error:
            expect(refusal(error), error)
            return
        check(found)
        if found.basis is not None:
            ahead = forecast(found, [1.0, 1e6, 1e18]).table
            assert ahead["direct"].notna().all()
            assert ahead["combined"].isna().all() == bool(found.gamma_pred.reason)
            assert (ahead["direct_low"] <= ahead["direct_high"]).all()


class Known(tuple):
    """A table and its analysis, of few words where an example is printed."""

    def __repr__(self):
        return "known"


@pytest.fixture(scope="module")
def known():
    table = synthetic_curves(
        SyntheticLaw(), [1000.0 * 2**k for k in range(5)], 3, np.random.default_rng(3), records=24
    )
    return Known((table, analyse(curves_from_table(table), bootstrap=20)))


def words(found):
    return [getattr(found, name).reason for name in ESTIMATES]


@times(0.1)
@given(
    order=st.integers(0, 2**32),
    c=st.floats(-8, 8).map(lambda e: 10.0**e),
    P=st.floats(-3, 6).map(lambda e: 10.0**e),
    logarithm=st.booleans(),
    percent=st.booleans(),
    names=st.booleans(),
)
def test_units_order_and_names_do_not_matter_to_an_analysis(
    known, order, c, P, logarithm, percent, names
):
    table, expected = known
    rows = np.random.default_rng(order).permutation(len(table))
    other = table.iloc[rows].assign(P=P * table["P"], norm=c * table["norm"], extra="x")
    if logarithm:
        other = other.assign(log_norm=np.log(other["norm"])).drop(columns="norm")
    if percent:
        other = other.assign(test_error=100 * other["test_error"])
    if names:
        other = other.assign(seed="s" + other["seed"].astype(str))
    with guard():
        found = analyse(curves_from_table(other, percent=percent), bootstrap=20)
    assert words(found) == words(expected)
    for name in ESTIMATES:
        ours, theirs = getattr(found, name), getattr(expected, name)
        if not theirs.reason:
            scale = max(abs(theirs.value), theirs.error)
            close = max(ROUNDING * scale, STOPPED * theirs.error)
            assert_allclose(ours.value, theirs.value, atol=close)
            assert_allclose(ours.error, theirs.error, rtol=1e-3)
    shift = found.optima["log_lam_opt"] - expected.optima["log_lam_opt"]
    assert_allclose(shift, np.log(c), atol=1e-6)
    assert_allclose(found.collapse.rms, expected.collapse.rms, rtol=1e-6)


@given(a=st.floats(0.05, 20))
@times(0.07)
def test_a_power_of_the_norm_changes_exponents_as_it_should(known, a):
    table, expected = known
    other = table.assign(log_norm=a * np.log(table["norm"])).drop(columns="norm")
    with guard():
        found = analyse(curves_from_table(other), bootstrap=20)
    assert_allclose(found.gamma_1.value, expected.gamma_1.value / a, rtol=1e-4)
    assert_allclose(found.gamma_2.value, expected.gamma_2.value * a, rtol=1e-4)
    assert_allclose(found.gamma_pred.value, expected.gamma_pred.value, rtol=1e-4)


ARGUMENTS = ("method", "window", "gamma_1_from", "gamma_2_from", "optimum", "offset")


@times(1)
@given(
    name=st.sampled_from([*ARGUMENTS, "bootstrap", "seed"]),
    value=st.one_of(any_number, st.sampled_from([*NO_NUMBERS.values(), [], (1, 2, 3), (0.3, 0)])),
)
def test_any_option_is_taken_or_named(known, name, value):
    assume(not (isinstance(value, int) and value > 100 and name in ("bootstrap", "seed")))
    table, _ = known
    few = curves_from_table(table[table["P"] < 5000])
    options = {"method": "paper"} if name == "window" else {"bootstrap": 20}
    with guard():
        try:
            check(analyse(few, **(options | {name: value})))
        except ValueError as error:
            expect(f"`{name}`" in str(error), error)


@times(2)
@given(P=st.one_of(any_number, columns, st.sampled_from([*NO_NUMBERS.values()])))
def test_any_P_is_forecast_or_refused(known, P):
    _, found = known
    with guard():
        try:
            table = forecast(found, P).table
        except ValueError as error:
            expect("`P` must" in str(error), error)
            return
    assert table[["combined", "direct"]].notna().all(axis=None)


@pytest.mark.parametrize("thing", [None, 5, "x", pd.DataFrame(), {}])
def test_what_is_no_set_of_curves_is_refused(thing):
    with pytest.raises(ValueError, match=r"`curves` must come from"):
        analyse(thing)
    with pytest.raises(ValueError, match=r"`analysis` must come from"):
        forecast(thing, 5.0)


def test_one_optimum_for_all_P_has_an_exponent_of_zero(known):
    """Products with it once divided by it."""
    table, _ = known
    curves = curves_from_table(table)
    with guard():
        found = analyse(curves, method="paper", window=(0, 0.3), optimum=dict.fromkeys(curves.P, 7))
    assert found.gamma_2.value == pytest.approx(0, abs=1e-12)
    assert found.gamma_pred.error >= 0


# ------------------------------------------------------------------------------- collapse


def plain_distance(x, y, sigma):
    """Houdayer's and Hartmann's S, point by point; lines by `numpy.linalg.lstsq`."""
    terms = []
    for i, own in enumerate(x):
        for j, place in enumerate(own):
            u, v, s = [], [], []
            for k, other in enumerate(x):
                if k == i or len(other) < 2 or not other[0] <= place <= other[-1]:
                    continue
                right = min(
                    max(int(np.searchsorted(other, place, side="right")), 1), len(other) - 1
                )
                for at in (right - 1, right):
                    u.append(other[at] - place)
                    v.append(y[k][at])
                    s.append(1.0 if sigma is None else sigma[k][at])
            if not u:
                continue
            weighted = np.stack([np.ones_like(u), np.array(u)], axis=1) / np.array(s)[:, None]
            value = np.linalg.lstsq(weighted, np.array(v) / s, rcond=None)[0][0]
            distance = (y[i][j] - value) ** 2
            if sigma is not None:
                covariance = np.linalg.inv(weighted.T @ weighted)
                distance /= sigma[i][j] ** 2 + covariance[0, 0]
            terms.append(distance)
    if not terms:
        return np.nan
    return np.mean(terms) if sigma is not None else np.sqrt(np.mean(terms))


@times(2)
@given(seed=st.integers(0, 2**32), curves=st.integers(0, 4), weighted=st.booleans())
def test_the_distance_of_curves_is_that_of_plain_loops(seed, curves, weighted):
    rng = np.random.default_rng(seed)
    x = [np.sort(rng.uniform(-1, 1, rng.integers(1, 7))) for _ in range(curves)]
    assume(all(np.all(np.diff(c) > 1e-4) for c in x))
    y = [rng.normal(size=len(c)) for c in x]
    sigma = [10 ** rng.uniform(-3, 3, len(c)) for c in x] if weighted else None
    with guard():
        found = houdayer_hartmann(x, y, sigma)
    assert_allclose(found, plain_distance(x, y, sigma), rtol=1e-5)


@times(3)
@given(data=st.data())
def test_any_curves_are_compared_or_refused(data):
    sizes = data.draw(st.lists(st.integers(0, 5), max_size=4))
    values = st.lists(any_float, max_size=6)
    x, y, sigma = (
        [data.draw(st.one_of(st.lists(any_float, min_size=n, max_size=n), values)) for n in sizes]
        for _ in range(3)
    )
    if data.draw(st.booleans()):
        x = [np.unique(c) for c in x]
    sigma = data.draw(st.sampled_from([None, sigma, [np.abs(c) for c in sigma]]))
    with guard():
        try:
            value = houdayer_hartmann(x, y, sigma)
            band = mean_master_curve(x, y, sigma, points=data.draw(st.integers(0, 5)))
        except ValueError as error:
            expect(str(error).startswith("`"), error)
            return
    assert np.isnan(value) or 0 <= value < np.inf
    assert (band["low"] <= band["high"]).all()
    assert (band["curves"] >= 2).all()


@given(scale=st.floats(-20, 20).map(lambda e: 10.0**e), shift=st.floats(-100, 100))
def test_a_collapse_has_no_units(known, scale, shift):
    _, found = known
    optima = found.optima
    with guard():
        one = collapse(found.means, optima["log_lam_min"], np.log(optima["eps_opt"]))
        two = collapse(found.means, optima["log_lam_min"] + shift, np.log(optima["eps_opt"]))
        x = [scale * mean.log_norm for mean in found.means]
        y = [np.log(mean.error) for mean in found.means]
        stretched = houdayer_hartmann(x, y)
    assert_allclose(two.quality, one.quality, rtol=1e-6)
    assert_allclose(stretched, one.rms_raw, rtol=1e-9)


# ------------------------------------------------------------------------------- made curves


@times(4)
@given(data=st.data())
def test_made_curves_are_sound_or_refused(data):
    def drawn(usual, *more):
        return data.draw(st.one_of(st.just(usual), any_float, st.sampled_from(more or (None, "a"))))

    names = data.draw(st.lists(st.sampled_from(["gamma_1", "gamma_2", "k", "rise", "rate"])))
    counts = st.one_of(st.just(12), st.integers(-1, 3), st.sampled_from([None, 2.5, True, "3"]))
    with guard():
        try:
            law = SyntheticLaw(**{name: drawn(0.5) for name in names}, elbow=drawn(4.0))
            table = synthetic_curves(
                law,
                data.draw(st.one_of(st.just([1000.0, 2000.0]), columns, any_float)),
                data.draw(counts),
                np.random.default_rng(0),
                records=data.draw(counts),
                level=drawn(0.02),
                past=drawn(2.5),
            )
        except ValueError as error:
            expect(refusal(error), error)
            expect(str(error).startswith("`"), error)
            return
    assert np.isfinite(table.to_numpy()).all()
    assert (table["norm"] > 0).all()
    assert table["test_error"].between(0, 1).all()
