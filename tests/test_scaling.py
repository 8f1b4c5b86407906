"""The analysis of learning curves: known exponents come back, with errors that are theirs."""

import numpy as np
import pandas as pd
import pytest
from grids import slow
from known_curves import EXACT, FAR, FEW, P, curves_of, noiseless

from replica import logistic_teacher_student
from replica.scaling import (
    SyntheticLaw,
    analyse,
    averages,
    curves_from_table,
    forecast,
    synthetic_curves,
    table_1,
    table_2,
)


@pytest.fixture(scope="module")
def law():
    return SyntheticLaw()


@pytest.fixture(scope="module")
def exact(law):
    """Of curves without noise."""
    return analyse(curves_from_table(noiseless(law)))


@pytest.fixture(scope="module")
def found(law):
    return analyse(curves_of(law), bootstrap=FEW)


# ---------------------------------------------------------------- what is known comes back


@pytest.mark.parametrize("shape", ["logistic", slow("erf")])
def test_known_exponents_come_back(shape):
    law = SyntheticLaw(shape=shape)
    a = analyse(curves_of(law, seed=3), bootstrap=FEW)
    truth = {
        "gamma_1": law.gamma_1,
        "gamma_2": law.gamma_2,
        "gamma_2_elbow": law.gamma_2,
        "gamma_pred": law.gamma_1 * law.gamma_2,
        "gamma_meas": law.gamma_1 * law.gamma_2,
        "drift": 0.0,
    }
    for name, value in truth.items():
        estimate = getattr(a, name)
        assert abs(estimate.value - value) < FAR * estimate.error, name
        assert 0 < estimate.error < 0.1, name
        assert estimate.low < estimate.value < estimate.high
    assert abs(a.difference) < FAR
    assert a.flags == ()


def test_without_noise_the_joint_law_is_exact(law, exact):
    a = exact
    assert a.gamma_1.value == pytest.approx(law.gamma_1, rel=EXACT)
    assert a.joint.rate == pytest.approx(law.rate, rel=1e-2)
    assert a.joint.elbow == pytest.approx(law.log_elbow(P), abs=1e-2)
    assert a.gamma_2_elbow.value == pytest.approx(law.gamma_2, rel=1e-3)
    assert a.collapse.rms < 1e-3 < 0.1 < a.collapse.rms_raw
    assert a.collapse_elbow.rms < 1e-3


def test_a_floor_is_found_where_there_is_one_and_only_there(found):
    floor = 0.05
    table = noiseless(SyntheticLaw())
    rng = np.random.default_rng(0)
    seeds = [
        table.assign(
            seed=s,
            test_error=(table["test_error"] + floor) * np.exp(rng.normal(0, 0.005, len(table))),
        )
        for s in range(5)
    ]
    a = analyse(curves_from_table(pd.concat(seeds)), bootstrap=FEW)
    assert a.settings["offset"] is True
    assert a.joint.offset == pytest.approx(floor, rel=0.1)
    assert found.settings["offset"] is False
    assert analyse(curves_from_table(pd.concat(seeds)), bootstrap=20, offset="no").joint.offset == 0


def test_an_early_law_that_moves_with_P_is_found_out():
    kappa = 0.2
    table = synthetic_curves(SyntheticLaw(), P.tolist(), 5, np.random.default_rng(0))
    moved = table.assign(test_error=table["test_error"] * (table["P"] / P[0]) ** -kappa)
    a = analyse(curves_from_table(moved), bootstrap=FEW)
    assert a.drift.value == pytest.approx(kappa, abs=0.02)
    assert any(flag.kind == "drift" for flag in a.flags)
    assert a.gamma_meas.value == pytest.approx(0.27 + kappa, abs=0.02)


def test_the_perceptron_has_the_exponents_of_its_exact_limits():
    """eps = C (alpha lam)^(-1/2) early, lam_opt ~ alpha, eps_opt ~ 1/alpha: docs/theory.md, 7.

    The early law moves with alpha, so that eq. (6) of the paper does not hold for it.
    """
    alpha = np.geomspace(1e3, 1e6, 6)
    frames = []
    for a in alpha:
        lam = np.geomspace(1, 30 * a, 60)
        error = logistic_teacher_student(a, lam).generalization_error
        frames.append(pd.DataFrame({"P": a, "norm": lam, "test_error": error}))
    a = analyse(curves_from_table(pd.concat(frames)))
    assert a.gamma_1.value == pytest.approx(1 / 2, abs=2e-3)
    assert a.drift.value == pytest.approx(1 / 2, abs=2e-3)
    assert a.gamma_2.value == pytest.approx(1, abs=1e-2)
    assert a.gamma_meas.value == pytest.approx(1, abs=1e-3)
    assert a.gamma_pred.value + a.drift.value == pytest.approx(a.gamma_meas.value, abs=1e-2)
    assert any(flag.kind == "drifting_law" for flag in a.flags)
    assert any(flag.kind == "disagreement" for flag in a.flags)


# ---------------------------------------------------------------- laws of the analysis


def test_another_convention_of_the_norm_leaves_the_product(law, found):
    """lam -> c lam^a: gamma_1/a, a gamma_2, and the same gamma_pred, to rounding."""
    a = 2.5
    table = synthetic_curves(law, P.tolist(), 5, np.random.default_rng(0))
    other = table.assign(log_norm=np.log(table["norm"]) * a + 300).drop(columns="norm")
    b = analyse(curves_from_table(other), bootstrap=FEW)
    same = 1e-5  # Levenberg and Marquardt stops at a relative change of chi2 of 1e-8
    assert b.gamma_1.value * a == pytest.approx(found.gamma_1.value, rel=same)
    assert b.gamma_2.value / a == pytest.approx(found.gamma_2.value, rel=same)
    assert b.gamma_pred.value == pytest.approx(found.gamma_pred.value, rel=same)
    # where the fit stops is felt by the repetitions, in which little else changes
    assert b.gamma_pred.error == pytest.approx(found.gamma_pred.error, rel=0.02)
    assert b.gamma_meas.value == pytest.approx(found.gamma_meas.value, rel=same)


def test_the_product_and_its_error_follow_from_the_covariance(found):
    C = found.covariance
    g1, g2 = found.gamma_1.value, found.gamma_2.value
    assert found.gamma_pred.value == pytest.approx(g1 * g2)
    variance = (
        g2**2 * C.loc["gamma_1", "gamma_1"]
        + g1**2 * C.loc["gamma_2", "gamma_2"]
        + 2 * g1 * g2 * C.loc["gamma_1", "gamma_2"]
    )
    assert C.loc["gamma_pred", "gamma_pred"] == pytest.approx(variance)
    assert found.gamma_pred.error == pytest.approx(np.sqrt(variance))
    assert np.all(np.linalg.eigvalsh(C) > -1e-12 * np.trace(C))


def test_more_seeds_make_smaller_errors(law):
    few, many = (analyse(curves_of(law, seeds=s), bootstrap=FEW) for s in (4, 16))
    # that of gamma_meas is widened by scatter about the law as well, which is a matter of luck
    minima = [found.optima["log_eps_opt_error"].mean() for found in (few, many)]
    for ratio in (few.gamma_1.error / many.gamma_1.error, minima[0] / minima[1]):
        assert 1.2 < ratio < 3.5  # 2, and an error bar from 4 seeds is good to 20%


def test_the_bootstrap_has_the_variance_of_a_mean(law):
    """Drawing S - 1 of S seeds: the spread of the mean curve is that of its standard error."""
    (mean,) = averages.average(curves_of(law, seeds=4, P=P[:1]))
    rng = np.random.default_rng(0)
    drawn = [averages.drawn(mean, rng).error for _ in range(4000)]
    reached = np.isfinite(mean.members).all(axis=0)
    assert np.count_nonzero(reached) > 30
    drawn, expected = np.array(drawn)[:, reached], mean.members[:, reached].var(axis=0, ddof=1) / 4
    # 4000 draws know a variance to 2%, and there are 40 points
    assert np.var(drawn, axis=0) == pytest.approx(expected, rel=0.12)


def test_the_same_seed_gives_the_same_errors_and_another_does_not(law):
    curves = curves_of(law, P=P[:5])
    one, two, three = (analyse(curves, bootstrap=20, seed=s) for s in (1, 1, 2))
    assert one.gamma_1 == two.gamma_1
    assert one.gamma_1.value == three.gamma_1.value
    assert one.gamma_1.error != three.gamma_1.error


def test_the_noise_is_that_of_the_seeds(law):
    images, level = 10_000, 0.02
    for mean in averages.average(curves_of(law, seeds=10, test_images=images, level=level)):
        expected = (level**2 + (1 - mean.error) / (images * mean.error)) / 10
        # interpolating linearly between two records averages them: 2/3 of the variance
        assert np.median(mean.variance / expected) == pytest.approx(2 / 3, rel=0.2)


def test_the_roughness_of_averaged_curves_is_their_noise():
    rng = np.random.default_rng(0)
    table = noiseless(SyntheticLaw(), records=80)
    noisy = table.assign(test_error=table["test_error"] * np.exp(rng.normal(0, 0.01, len(table))))
    for mean in averages.average(curves_from_table(noisy)):
        assert np.sqrt(np.median(mean.variance)) == pytest.approx(0.01, rel=0.2)


def test_repetitions_are_reported_as_they_are_done(law):
    calls = []
    analyse(
        curves_of(law, P=P[:4]),
        bootstrap=20,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(k, 20) for k in range(1, 21)]


def test_the_joint_law_as_a_function_is_what_was_fitted(law, exact):
    a = exact
    x = np.linspace(a.joint.start, float(law.log_lam_opt(P[3])), 20)
    assert a.joint(x, P[3]) == pytest.approx(law(x, P[3]), rel=1e-3)
    assert a.joint.early(x) == pytest.approx(law.k * np.exp(-law.gamma_1 * x), rel=1e-3)
    with pytest.raises(ValueError, match=r"`P` must be one of those that took part, .*; got 7.0"):
        a.joint(x, 7.0)


def test_a_given_optimum_is_used(law, found):
    own = {count: float(np.exp(law.log_lam_opt(count))) for count in P}
    a = analyse(curves_of(law), bootstrap=FEW, optimum=own)
    assert a.gamma_2.value == pytest.approx(law.gamma_2)
    assert a.optima["log_lam_opt"].to_numpy() == pytest.approx(law.log_lam_opt(P))
    assert a.optima["log_lam_min"].equals(found.optima["log_lam_min"])
    assert a.settings["chosen_by_user"] == ["optimum"]


# ---------------------------------------------------------------- larger P


def test_a_forecast_continues_the_law(law, found):
    table = forecast(found, [128_000, 512_000]).table
    truth = law.eps_opt(table["P"].to_numpy())
    for route in ("combined", "direct"):
        width = np.log(table[f"{route}_high"] / table[f"{route}_low"])
        # one draw in twenty leaves a 95% interval, which is 4 standard errors wide or a little
        # more; how often is what test_coverage.py counts
        away = np.log(table[route] / truth) / (width / 4)
        assert np.all(np.abs(away) < FAR)
        assert width[1] > width[0]
        assert width[1] < 0.5


def test_the_largest_P_are_held_out_and_met(found):
    held = found.forecast
    assert held.fitted_to == P[-2]
    assert held.table["P"].tolist() == [P[-1]]
    assert np.all(np.abs(held.table[["combined_z", "direct_z"]]) < FAR)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_forecast_needs_a_positive_P(found, bad):
    with pytest.raises(ValueError, match="`P` must be positive and finite; got"):
        forecast(found, bad)


# ---------------------------------------------------------------- tables


def test_the_tables_hold_what_was_found(found):
    one, two = table_1({"synthetic": found}), table_2({"synthetic": found})
    assert one["gamma_pred"].item() == found.gamma_pred.value
    assert one["sigma"].item() == pytest.approx(
        np.hypot(found.gamma_pred.error, found.gamma_meas.error)
    )
    assert (two["gamma_1"].item(), two["sigma_2"].item()) == (
        found.gamma_1.value,
        found.gamma_2.error,
    )
