"""The first sentence of an analysis: what can be concluded, and why not more."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from deepnorm.quantities import of_analysis
from deepnorm.report import statements
from deepnorm.verdict import (
    NO_RANGE,
    Conclusion,
    difference,
    no_prediction,
    power_of_P,
    thresholds,
    verdict,
)
from replica import scaling
from replica.scaling import Estimate, Flag, Kind

P = (500, 1000, 2000, 4000, 8000)
GOOD = Estimate(0.26, 0.02, 0.22, 0.30, 0.0)
MEASURED = Estimate(0.27, 0.01, 0.25, 0.29, 0.0)
NONE = Estimate(math.nan, math.nan, math.nan, math.nan, reason="a power law needs 3 values of P")


@pytest.fixture(scope="module")
def swept():
    rng = np.random.default_rng(5)
    table = scaling.synthetic_curves(scaling.SyntheticLaw(), P, 2, rng, records=20)
    return scaling.analyse(scaling.curves_from_table(table), bootstrap=20)


@pytest.fixture(scope="module")
def clean(swept):
    """An analysis of plain numbers, from which each test departs."""
    return replace(
        swept,
        gamma_pred=GOOD,
        gamma_meas=MEASURED,
        difference=-1.1,
        flags=(),
        joint=replace(swept.joint, P=np.array(P, dtype=float)),
        optima=swept.optima.assign(at_end=False, log_elbow=1.0),
        settings={**swept.settings, "gamma_2_of": "optima", "gamma_2_from": P[0]},
    )


def flagged(analysis, *kinds, P=(), **changes):
    return replace(analysis, flags=tuple(Flag(kind, "so", P) for kind in kinds), **changes)


def by_elbows(analysis):
    return {**analysis.settings, "gamma_2_of": "elbows"}


def test_prediction_and_measurement_are_compared(clean):
    found = verdict(clean)
    assert found.conclusion is Conclusion.COMPARED
    assert found.no_prediction == ""
    assert found.sentence == (
        "The test error at the optimum falls as P^-0.270 +- 0.010; the early law and the growth of "
        "the norm predict 0.260 +- 0.020 (1.1 statistical standard errors apart)."
    )


def test_losses_and_tables_without_curves_have_their_own_words(clean):
    loss = replace(clean, settings={**clean.settings, "quantity": "loss"})
    assert verdict(loss).sentence.startswith("The loss at the optimum falls as P^-0.270")
    bare = replace(clean, settings={**clean.settings, "abscissa": "none"})
    assert verdict(bare).sentence.startswith("The test error falls as P^-0.270")
    assert all(row["lam_opt"] is None for row in statements.optima(bare))
    steps = replace(clean, settings={**clean.settings, "abscissa": "step"})
    assert [of_analysis(a).letter for a in (clean, steps)] == ["lam", "step"]


def test_a_disagreement_is_called_one_unless_choices_explain_it(clean):
    apart = flagged(clean, Kind.DISAGREEMENT, difference=-9.8)
    assert "which disagrees: 9.8 statistical standard errors apart." in verdict(apart).sentence
    wide = replace(apart, gamma_pred=replace(GOOD, systematic=0.1))
    assert "(9.8 statistical standard errors apart, within the systematic error)" in (
        verdict(wide).sentence
    )
    assert "disagrees" not in verdict(wide).sentence
    assert difference(replace(wide, difference=0.5)) == "0.5 statistical standard errors apart"
    assert difference(replace(wide, difference=math.nan)) == ""


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Kind.POOR_LAW, "no window holds"),
        (Kind.DRIFTING_LAW, "share no early law"),
        (Kind.SHORT_WINDOW, "less than half a decade"),
    ],
)
def test_without_an_early_law_there_is_no_prediction(clean, kind, why):
    found = verdict(flagged(clean, kind))
    assert found.conclusion is Conclusion.MEASURED
    assert why in found.no_prediction
    assert found.sentence.startswith(
        "Only the measured exponent can be concluded: the test error at the optimum falls as "
        "P^-0.270 +- 0.010. There is no prediction, because "
    )
    assert found.no_prediction in found.sentence
    assert "0.260" not in found.sentence


@pytest.mark.parametrize(
    ("unseen", "said"), [(5, "at none of the 5 P"), (3, "at only 2 of the 5 P"), (2, ""), (0, "")]
)
def test_fewer_than_three_P_that_show_the_early_law_are_too_few(clean, unseen, said):
    found = no_prediction(flagged(clean, Kind.EARLY_LAW_UNSEEN, P=P[:unseen]))
    assert bool(found) == bool(said)
    assert said in found


def test_elbows_before_which_the_law_was_not_seen_make_no_prediction(clean):
    optima = clean.optima.assign(log_elbow=[1.0, 2.0, 3.0, 4.0, math.nan])
    elbows = replace(clean, optima=optima, settings=by_elbows(clean))
    few = flagged(elbows, Kind.EARLY_LAW_UNSEEN, Kind.BY_ELBOWS, P=P[:2])
    assert "at only 2 of the 4 P whose elbows are used" in no_prediction(few)
    assert verdict(few).conclusion is Conclusion.MEASURED
    assert no_prediction(replace(few, settings=clean.settings)) == ""
    enough = flagged(elbows, Kind.EARLY_LAW_UNSEEN, P=P[:1])
    assert "growth of the norm at the elbow predict" in verdict(enough).sentence
    assert "but the early law is seen at only 4 of 5 P" in verdict(enough).sentence


def test_what_weakens_a_prediction_stands_beside_it(clean):
    drifting = flagged(clean, Kind.DRIFT, drift=Estimate(-0.29, 0.07, -0.45, -0.13))
    assert "but the early law moves with P (drift -0.290 +- 0.070)" in verdict(drifting).sentence
    wide = replace(clean, gamma_pred=replace(GOOD, systematic=0.3))
    assert "as large as the prediction itself" in verdict(wide).sentence


def test_without_a_measurement_only_the_prediction_is_left(clean):
    found = verdict(replace(clean, gamma_meas=NONE))
    assert found.conclusion is Conclusion.PREDICTED
    assert "growth of the norm predict 0.260 +- 0.020. There is no" in found.sentence
    assert found.sentence.endswith(f"because {NONE.reason}.")


def test_nothing_is_concluded_from_nothing(clean):
    found = verdict(replace(clean, gamma_meas=NONE, gamma_pred=NONE, difference=math.nan))
    assert found.conclusion is Conclusion.NOTHING
    assert found.sentence == f"Nothing can be concluded: {NONE.reason}."


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.01, "shows no fall with P: its exponent is"), (-0.3, "rises with P: its exponent is")],
)
def test_an_error_that_does_not_fall_is_not_said_to_fall(clean, value, said):
    flat = replace(MEASURED, value=value, low=value - 0.02, high=value + 0.02)
    assert said in verdict(replace(clean, gamma_meas=flat)).sentence


def test_minima_at_the_end_of_training_are_not_called_optima(clean):
    every = replace(clean, optima=clean.optima.assign(at_end=True))
    some = replace(clean, optima=clean.optima.assign(at_end=[True, False, False, False, True]))
    assert verdict(every).sentence.startswith("The test error at the end of training, since no")
    assert verdict(some).sentence.startswith("The lowest test error, at 2 of 5 P that of the end")


def test_the_row_of_a_prediction_that_is_none_does_not_stand(clean):
    rows = {row.name: row for row in statements.exponents(flagged(clean, Kind.POOR_LAW))}
    assert rows["gamma_pred"].statement.startswith("no prediction: no window holds")
    assert rows["gamma_1"].statement.startswith("nothing can be concluded: no window holds")
    struck = {name for name, row in rows.items() if not row.stands}
    assert struck == {"gamma_1", "gamma_pred", "gamma_2_elbow"}
    assert all(row.stands for row in statements.exponents(clean))


REGIMES = scaling.Regimes(
    log_k1=0.0,
    gamma_1=0.5,
    q1=0.0,
    log_k2=0.0,
    gamma_2=0.5,
    q2=0.0,
    q1_high=0.1,
    q2_high=0.1,
    q1_p=1.0,
    q2_p=1.0,
    P_minus=0.0,
    P_plus=math.inf,
    P_minus_high=20.0,
    P_plus_low=5e6,
)


def test_the_combined_law_says_nothing_without_a_prediction(clean):
    assert power_of_P(replace(clean, regimes=REGIMES)) == thresholds(REGIMES)
    assert power_of_P(replace(clean, regimes=None)).startswith(NO_RANGE)
    poor = flagged(clean, Kind.POOR_LAW, regimes=REGIMES)
    assert power_of_P(poor) == f"{NO_RANGE}: {no_prediction(poor)}"
    assert not any("eq. (6)," in line for line in statements.laws(poor))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "above P_- < 20.0 and below P_. > 5.00e6 .an inequality is a 95% limit"),
        ({"P_minus": 7.0, "P_plus": 900.0}, "is a power of P above P_- = 7.00 and below P_. = 900"),
        ({"P_plus_low": math.inf}, "is a power of P above P_- < 20.0 .an inequality"),
        ({"P_minus_high": 0.0, "P_plus_low": math.inf}, "neither found nor allowed"),
        ({"gamma_2": -0.1}, "no range .* does not fall with P, gamma_1 gamma_2 = -0.05"),
        ({"P_minus_high": math.inf}, "no range .* on the plateau"),
        ({"P_minus_high": math.nan}, "no range .* on the plateau"),
        ({"P_plus_low": 0.0}, "no range .* on the floor"),
        ({"P_minus": 900.0, "P_plus": 7.0}, "no range .* reaches up to 900, .* begins at 7.00$"),
        (
            {"P_minus_high": 900.0, "P_plus": 7.0},
            "no range .* may reach up to 900, .* begin at 7.00$",
        ),
    ],
)
def test_a_range_of_P_has_finite_ends_in_order_or_is_none(changes, said):
    sentence = thresholds(replace(REGIMES, **changes))
    assert re.search(said, sentence)
    assert "inf" not in sentence.split()
    assert "nan" not in sentence.split()
