"""What the analysis of learning curves does not conclude, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from known_curves import FAR, FEW, P, curves_of

from replica.scaling import SyntheticLaw, analyse, curves_from_table, forecast, synthetic_curves


@pytest.fixture(scope="module")
def law():
    return SyntheticLaw()


def test_curves_that_never_bend_have_no_optimum():
    frames = []
    rng = np.random.default_rng(0)
    for count in P:
        for seed in range(5):
            x = np.linspace(0, 8, 40)
            y = np.log(0.9) - 0.3 * x + rng.normal(0, 0.01, 40)
            frames.append(
                pd.DataFrame({"P": count, "seed": seed, "log_norm": x, "test_error": np.exp(y)})
            )
    a = analyse(curves_from_table(pd.concat(frames)), bootstrap=FEW)
    assert np.isnan(a.gamma_2.value)
    assert "only 0 of 7 curves have their minimum inside" in a.gamma_2.reason
    # ... nor an elbow, though a law with elbows can always be fitted to them
    assert a.gamma_2_elbow.reason.startswith("no elbow is seen")
    assert a.gamma_pred.reason
    assert a.optima["log_elbow"].isna().all()
    assert a.collapse_elbow is None
    assert a.gamma_1.value == pytest.approx(0.3, abs=0.002)
    assert any(flag.kind == "at_end" for flag in a.flags)


def test_curves_that_saturate_have_elbows_but_no_optimum():
    law = SyntheticLaw(rise=0.0, rate=3.0)
    a = analyse(curves_of(law, seed=1), bootstrap=FEW)
    inside = ~a.optima["at_end"]
    if inside.sum() < 3:  # noise puts the lowest record of a plateau anywhere
        assert a.gamma_2.reason
    assert abs(a.gamma_2_elbow.value - law.gamma_2) < FAR * a.gamma_2_elbow.error
    assert abs(a.gamma_1.value - law.gamma_1) < FAR * a.gamma_1.error
    assert any(flag.kind in ("at_end", "flat") for flag in a.flags)


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_values_of_P_are_no_power_law(law, count):
    a = analyse(curves_of(law, P=P[:count]), bootstrap=FEW)
    for name in ("gamma_2", "gamma_2_elbow", "gamma_meas", "gamma_pred"):
        estimate = getattr(a, name)
        assert np.isnan(estimate.value)
        assert np.isnan(estimate.error)
        assert f"needs at least 3 values of P; there are {count}" in estimate.reason
    assert a.forecast is None
    assert a.regimes is None
    with pytest.raises(ValueError, match="`analysis` bears no forecast: a power law of P needs"):
        forecast(a, 1e5)
    assert abs(a.gamma_1.value - law.gamma_1) < FAR * a.gamma_1.error


def test_an_error_that_only_rises_is_no_learning():
    frames = []
    rng = np.random.default_rng(0)
    for count in P:
        x = np.linspace(0, 8, 40)
        y = -2 + 0.1 * x + rng.normal(0, 0.01, 40)
        frames.append(pd.DataFrame({"P": count, "log_norm": x, "test_error": np.exp(y)}))
    a = analyse(curves_from_table(pd.concat(frames)))
    for name in ("gamma_1", "gamma_2", "gamma_pred"):
        assert np.isnan(getattr(a, name).value), name
    assert any(flag.kind == "at_start" for flag in a.flags)


def test_averaged_curves_say_what_they_lost(law):
    table = synthetic_curves(law, P.tolist(), 1, np.random.default_rng(0)).drop(columns="seed")
    a = analyse(curves_from_table(table))
    assert a.averaged
    assert a.settings["errors"] == "leaving out one P at a time"
    assert abs(a.gamma_1.value - law.gamma_1) < FAR * a.gamma_1.error
    assert abs(a.gamma_meas.value - 0.27) < FAR * a.gamma_meas.error


def test_few_records_are_refused(law):
    with pytest.raises(ValueError, match=r"needs at least 5 records .*; P = 1000, seed 0 has 4"):
        analyse(curves_of(law, records=4))


def test_an_error_of_zero_has_no_logarithm(law):
    """Of a test set of twenty images zero wrong answers are a count as good as one."""
    table = synthetic_curves(law, P.tolist(), 2, np.random.default_rng(0), test_images=20)
    table.loc[(table["P"] == P[-1]) & table["step"].between(15, 30), "test_error"] = 0.0
    with pytest.raises(ValueError, match=r"is 0 for every seed at some norm.*larger test set"):
        analyse(curves_from_table(table))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "best"}, '`method` must be "default" or "paper"; got \'best\''),
        ({"method": "paper"}, '`window` of lam/lam_opt is needed by method="paper"'),
        ({"window": (0, 0.3)}, '`window` belongs to method="paper"'),
        ({"offset": "maybe"}, "`offset` must be one of auto, yes, no; got 'maybe'"),
        ({"bootstrap": 3}, "`bootstrap` must be at least 20 for an error bar; got 3"),
        ({"gamma_1_from": 1e9}, "`gamma_1_from` must not lie above the largest P, 64000"),
        ({"gamma_2_from": 60000.0}, "`gamma_2_from` must leave at least 3 values of P"),
        ({"optimum": {1000.0: 5.0}}, "`optimum` needs a norm for every P .* lacks P = 2000, 4000"),
        ({"optimum": dict.fromkeys(P.tolist(), -1.0)}, "`optimum` must be positive and finite"),
    ],
)
def test_bad_arguments_are_named(law, options, message):
    with pytest.raises(ValueError, match=message):
        analyse(curves_of(law, seeds=2), **{"bootstrap": 20, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": "step"}, "`shape` must be"),
        ({"gamma_1": 0.0}, "`gamma_1` must be positive; got 0.0"),
        ({"rise": -0.1}, "`rise` must be non-negative; got -0.1"),
    ],
)
def test_a_law_without_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SyntheticLaw(**options)
