"""Seeds unlike the others: each over its own range, the odd ones named, left out, and weighed."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from broken_curves import FAULTS, LAW, P

from replica.scaling import (
    Curves,
    analyse,
    averages,
    curves_from_table,
    forecast,
    seeds,
    synthetic_curves,
)

#: Enough for an error bar to a third.
FEW = 20


def made(fault, number=1):
    return curves_from_table(FAULTS[fault](np.random.default_rng([number, 5])))


def clean(seeds=5, number=1):
    return synthetic_curves(LAW, P, seeds, np.random.default_rng(number))


def kinds(sample):
    return {str(remark.kind) for remark in sample.remarks}


@pytest.mark.parametrize("number", range(5))
def test_nothing_is_said_of_clean_seeds(number):
    sample = seeds.take(curves_from_table(clean(number=number)))
    assert sample.remarks == ()
    for p in P:
        assert len(sample.of(p)) == 5


@pytest.mark.parametrize(
    ("fault", "kind", "seed"),
    [
        ("cut_short", "ends_early", 0),
        ("late_start", "starts_late", 1),
        ("one_at_chance", "at_chance", 1),
        ("chance_at_every_P", "at_chance", 2),
        ("failed_evaluations", "zero", None),
        ("jumps", "jumps", 3),
    ],
)
def test_a_fault_is_named(fault, kind, seed):
    sample = seeds.take(made(fault))
    assert kinds(sample) == {kind}
    if seed is not None:
        assert {remark.seed for remark in sample.remarks} == {seed}
    left_out = kind in ("at_chance", "jumps")
    assert all(remark.used != left_out for remark in sample.remarks)
    out = {(remark.P, remark.seed) for remark in sample.remarks if not remark.used}
    for p in P:
        assert {s[0] for s in sample.of(p)} == {k for k in range(5) if (p, k) not in out}


def test_spikes_are_left_out_record_by_record():
    table = clean()
    good = curves_from_table(table)
    table.loc[table.index[30], "test_error"] *= 2.5  # in the rise behind the minimum
    sample = seeds.take(curves_from_table(table))
    (remark,) = sample.remarks
    assert (remark.P, remark.seed, str(remark.kind)) == (1000.0, 0, "spike")
    (_, x, _), (_, whole, _) = sample.of(1000.0)[0], good.of(1000.0)[0]
    assert len(x) == len(whole) - 1


def test_zeros_that_are_counts_stay():
    """Beside three wrong answers of a small test set none is nothing to wonder at."""
    table = synthetic_curves(LAW, P, 5, np.random.default_rng(0), test_images=25)
    assert (table["test_error"] == 0).any()
    assert kinds(seeds.take(curves_from_table(table))) == set()


def test_what_is_not_robust_leaves_nothing_out():
    sample = seeds.take(made("one_at_chance"), robust=False)
    assert kinds(sample) == {"at_chance"}
    assert all(remark.used for remark in sample.remarks)
    assert all(len(sample.of(p)) == 5 for p in P)


def test_if_most_seeds_are_odd_they_all_stay():
    table = clean()
    table.loc[(table["P"] == P[0]) & (table["seed"] < 3), "test_error"] = 0.9
    sample = seeds.take(curves_from_table(table))
    assert len(sample.of(P[0])) == 5


def test_equal_ranges_give_the_plain_mean_and_others_do_not_jump():
    """A seed 30% above the others ends early: the mean goes on as if it were there, eq. (S1)."""
    x = np.linspace(0.0, 3.0, 40)
    level = np.array([1.3, 1.0, 0.9, 0.8])
    members = np.exp(-0.4 * x) * level[:, None]
    one = averages.mean_of(members, np.ones(4))
    np.testing.assert_allclose(one, members.mean(axis=0), rtol=1e-15)
    cut = members.copy()
    cut[0, 20:] = np.nan
    found = averages._levels(cut)
    np.testing.assert_allclose(found, level, rtol=1e-3)
    # without levels the mean would fall by 10% at the cut
    np.testing.assert_allclose(averages.mean_of(cut, found), one, rtol=1e-3)


def test_a_seed_that_ends_early_does_not_move_the_minima():
    """The table that misled: a fifth of the seeds ends at 60% of its range."""
    shifts = []
    for number in range(4):
        table = clean(number=number)
        parts = []
        for (_, seed), rows in table.groupby(["P", "seed"]):
            x = np.log(rows["norm"])
            end = x.min() + 0.6 * (x.max() - x.min())
            parts.append(rows[x < end] if seed == 0 else rows)
        cut = type(table)(np.vstack([part.to_numpy() for part in parts]), columns=table.columns)
        with_it, without = (
            analyse(curves_from_table(some), bootstrap=FEW)
            for some in (cut, table[table["seed"] != 0])
        )
        assert {flag.kind for flag in with_it.flags} >= {"ends_early"}
        shifts.append(
            (with_it.gamma_meas.value - without.gamma_meas.value) / without.gamma_meas.error
        )
    # the two share four seeds of five: half a standard error apart
    assert np.max(np.abs(shifts)) < 1.5


def test_the_influence_of_a_seed_is_what_leaving_it_out_does():
    table = clean()
    table.loc[(table["P"] == P[2]) & (table["seed"] == 1), "test_error"] = 0.9
    found = analyse(curves_from_table(table), bootstrap=FEW)
    (row,) = found.seeds.to_dict(orient="records")
    assert (row["P"], row["seed"], row["kind"], row["used"]) == (P[2], 1, "at_chance", False)
    flag = next(flag for flag in found.flags if flag.kind == "at_chance")
    assert (flag.P, flag.seed) == ((P[2],), 1)
    assert "left out; putting it in moves gamma_1" in flag
    kept = analyse(curves_from_table(table), bootstrap=FEW, robust=False)
    moved = kept.gamma_meas.value - found.gamma_meas.value
    # weights and the smallest P are chosen anew there: the same way, and of the same size
    assert 1 / 3 < row["d_gamma_meas"] / moved < 3
    assert abs(row["d_gamma_meas"]) > found.gamma_meas.error


def test_a_flag_names_a_few_seeds_and_the_record_all():
    """Of 7 P the first seed of each ends early."""
    found = analyse(made("cut_short"), bootstrap=FEW)
    (flag,) = [flag for flag in found.flags if flag.kind == "ends_early"]
    named = [f"P = {p:g}, seed 0: ends at " for p in P]
    assert [name in flag for name in named] == [True] * 3 + [False] * 4
    assert "; and 4 more (used over its own range; leaving one of them out moves " in flag
    assert tuple(P) == flag.P
    assert flag.seed == 0
    rows = found.seeds[found.seeds["kind"] == "ends_early"]
    assert rows["P"].tolist() == P
    assert len(flag) < 400


# ------------------------------------------------------------------ tables without a norm, losses


def test_without_a_norm_the_measured_exponent_and_its_forecast_are_there():
    curves = curves_from_table(clean().eval("norm = step + 1"))
    found = analyse(dataclasses.replace(curves, abscissa="step"), bootstrap=FEW)
    truth = LAW.gamma_1 * LAW.gamma_2
    assert abs(found.gamma_meas.value - truth) < 4 * found.gamma_meas.error
    for name in ("gamma_1", "gamma_2", "gamma_pred", "gamma_2_elbow"):
        assert "the table has no norm" in getattr(found, name).reason
    ahead = forecast(found, [256_000.0]).table.iloc[0]
    assert ahead.direct_low < LAW.eps_opt([256_000.0])[0] < ahead.direct_high
    assert np.isnan(ahead.combined)
    assert [flag.kind for flag in found.flags] == ["not_concluded"]


def test_one_error_for_each_P_and_seed_is_a_law_of_P():
    rng = np.random.default_rng(0)
    rows = [
        (p, s, 0.0, 2 * p**-0.25 * np.exp(rng.normal(0, 0.03)), True) for p in P for s in range(5)
    ]
    names = ["P", "seed", "log_norm", "test_error", "used"]
    curves = Curves(pd.DataFrame(rows, columns=names), False, (), abscissa="none")
    found = analyse(curves, bootstrap=200)
    assert abs(found.gamma_meas.value - 0.25) < 4 * found.gamma_meas.error
    # the slope of a line through 7 points with independent errors of 3%/sqrt(5)
    expected = 0.03 / np.sqrt(5) / np.sqrt(np.sum((np.log(P) - np.mean(np.log(P))) ** 2))
    assert found.gamma_meas.error == pytest.approx(expected, rel=0.5)
    assert "no curves" in found.gamma_1.reason


def test_seeds_that_agree_exactly_are_no_evidence_of_no_error():
    """Two equal seeds of each P: without this the interval would be a point."""
    rng = np.random.default_rng(1)
    rows = [(p, 0.0, 2 * p**-0.25 * np.exp(rng.normal(0, 0.03)), True) for p in P]
    table = pd.DataFrame(
        [(p, seed, *rest) for p, *rest in rows for seed in (0, 1)],
        columns=["P", "seed", "log_norm", "test_error", "used"],
    )
    found = analyse(Curves(table, False, (), abscissa="none"), bootstrap=FEW)
    alone = analyse(
        Curves(table[table["seed"] == 0].drop(columns="seed"), True, (), abscissa="none")
    )
    assert found.gamma_meas.error == alone.gamma_meas.error > 0
    assert "no_spread" in [flag.kind for flag in found.flags]


def test_losses_above_one_have_the_noise_of_a_positive_number():
    table = clean()
    curves = curves_from_table(table)
    scaled = curves.table.assign(test_error=20 * curves.table["test_error"])
    found = analyse(dataclasses.replace(curves, table=scaled, quantity="loss"), bootstrap=FEW)
    plain = analyse(curves, bootstrap=FEW)
    assert found.means[0].error[0] > 1
    # weights differ a little, for lack of the binomial 1 - eps
    assert found.gamma_1.value == pytest.approx(plain.gamma_1.value, rel=0.02)
    assert found.gamma_meas.value == pytest.approx(plain.gamma_meas.value, rel=0.03)
    assert found.settings["quantity"] == "loss"


@pytest.mark.parametrize("holes", [False, True])
def test_a_drawn_mean_is_the_mean_of_the_seeds_drawn(holes):
    """Summed by hand; where none of those drawn has records the mean curve stands in."""
    draw = np.random.default_rng(4)
    members = draw.uniform(0.1, 0.5, (4, 12))
    if holes:
        members[1:, :5] = np.nan
    level = np.array([1.1, 0.9, 1.2, 0.8]) if holes else np.ones(4)
    x, error = np.arange(12.0), averages.mean_of(members, level)
    mean = averages.MeanCurve(10.0, x, error, members, np.ones(12), level, np.zeros(2))
    stood_in = 0
    for seed in range(30):
        index = np.random.default_rng(seed).integers(0, 4, 3)
        chosen, levels = members[index], level[index]
        nobody = ~np.isfinite(chosen).any(axis=0)
        stood_in += nobody.any()
        filled = np.where(nobody, levels[:, None] * error, chosen)
        expected = averages.mean_of(filled, levels)
        again = averages.drawn(mean, np.random.default_rng(seed))
        assert again.error == pytest.approx(expected, rel=1e-14)
    assert bool(stood_in) is holes
