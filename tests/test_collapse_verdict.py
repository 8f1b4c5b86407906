"""Curves of different P differ by less than seeds of equal P, by more, or nobody can tell."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from replica.scaling import SyntheticLaw, Verdict, curves_from_table, synthetic_curves
from replica.scaling.averages import MeanCurve, average
from replica.scaling.collapse import collapse
from replica.scaling.optima import neighbourhood, optimum
from replica.scaling.pipeline import minima
from replica.scaling.variation import PLACES, between, seed_points

# Sums in another order: of 65 places, with numbers of order one and squares of the noise.
ORDER = 1e-9

SIZES = np.array([1e3, 2e3, 4e3, 8e3, 1.6e4, 3.2e4, 6.4e4])
COMMON = SyntheticLaw()
#: Past the elbow the curves of small P rise slowly, those of large P fast.
BROKEN = [SyntheticLaw(rise=0.02 * 2**k) for k in range(len(SIZES))]
#: The elbow is the sharper the larger P is.
SHARPENED = [SyntheticLaw(rate=0.5 * 1.4**k) for k in range(len(SIZES))]
#: A sweep of less noise than a usual one.
QUIET = {"level": 0.005, "test_images": 200_000}


def found(laws, seeds, trial, at="optimum", **noise):
    """The collapse of a made sweep; one law, or one for each P."""
    rng = np.random.default_rng([trial, seeds])
    laws = laws if isinstance(laws, list) else [laws] * len(SIZES)
    tables = [
        synthetic_curves(law, [P], seeds, rng, **noise)
        for law, P in zip(laws, SIZES.tolist(), strict=True)
    ]
    means = average(curves_from_table(pd.concat(tables)))
    ends = minima(means, neighbourhood(means))
    log_lam = [end.log_norm for end in ends]
    if at == "elbow":
        log_lam = [float(law.log_elbow(P)) for law, P in zip(laws, SIZES, strict=True)]
    return collapse(means, log_lam, [end.log_error for end in ends], at=at)


def phi(u):
    """ln of a curve with its minimum at (0, 0)."""
    return np.logaddexp(-0.3 * u, 0.2 * u + np.log(1.5)) - np.log(2.5)


POINT = 4 + np.log(SIZES / 1e3)
DEPTH = -1 - 0.3 * np.log(SIZES / 1e3)


def curves(seeds, level, *, bend=0.0, white=0.01, points=60, random=0):
    """Mean curves whose seeds differ by a factor of ln ``level``, and at every record.

    ``bend`` is how much the shape past the minimum differs between the smallest and largest P.
    """
    rng = np.random.default_rng(random)
    means = []
    for P, lam, eps in zip(SIZES, POINT, DEPTH, strict=True):
        x = np.linspace(0, lam + 2, points)
        shape = eps + phi(x - lam) + bend * np.log(P / SIZES[3]) * np.maximum(x - lam, 0) ** 2
        noise = level * rng.normal(size=(seeds, 1)) + white * rng.normal(size=(seeds, points))
        members = np.exp(shape + noise)
        variance = np.full(points, (level**2 + white**2) / seeds)
        means.append(
            MeanCurve(
                P, x, members.mean(axis=0), members, variance, np.ones(len(members)), np.zeros(2)
            )
        )
    return means


def judged(means, at="end", **more):
    """In units of the known points, which are those of the seeds at="end"."""
    return collapse(means, POINT, DEPTH, at=at, **more)


# --------------------------------------------------------------------------- the statistic


def test_the_mean_squares_word_by_word():
    means = curves(4, 0.02, white=0.03, bend=0.05)
    points = [
        seed_points(m, "end", *at, rise=0.1) for m, *at in zip(means, POINT, DEPTH, strict=True)
    ]
    value = between(means, POINT, DEPTH, points, np.random.default_rng(0), 100)
    # The curves begin at u = -lam and end at u = 2: two reach from the second longest on.
    grid = np.linspace(-POINT[-2], 2, PLACES)
    total, within, noise, degrees = 0.0, 0.0, 0.0, 0
    for u in grid:
        rows = []
        for mean, lam, (own_lam, own_eps) in zip(means, POINT, points, strict=True):
            if -lam <= u:
                logs = [np.interp(u, mean.log_norm - lam, np.log(e)) for e in mean.members]
                assert np.all(own_lam == lam)
                rows.append(np.array(logs) - own_eps)
        if len(rows) < 2:
            continue
        middle = [row.mean() for row in rows]
        total += np.sum((middle - np.mean(middle)) ** 2)
        part = 1 - 1 / len(rows)
        within += part * sum(row.var(ddof=1) for row in rows)
        noise += part * sum(row.var(ddof=1) / len(row) for row in rows)
        degrees += len(rows) - 1
    assert value.spread == pytest.approx(np.sqrt(within / degrees), rel=ORDER)
    assert value.residual == pytest.approx(np.sqrt((total - noise) / degrees), rel=ORDER)
    assert value.ratio == pytest.approx(value.residual / value.spread, rel=ORDER)
    assert value.low < value.ratio < value.high


def test_a_known_difference_is_what_is_left_beyond_the_noise():
    exact = judged(curves(3, 0.0, white=1e-6, bend=0.05))
    noisy = [judged(curves(5, 0.1, white=0.02, bend=0.05, random=k)) for k in range(8)]
    # Of each: noise of a mean, 0.01 with that of the point, against 0.1; in eight, a third of it.
    assert np.mean([one.residual for one in noisy]) == pytest.approx(exact.residual, rel=0.05)
    # Of white noise linear interpolation leaves 2/3, on average over the way between records,
    # and t^2 + (1 - t)^2 at the point, a part t of that way.
    ways = [(lam / (lam + 2) * 59) % 1 for lam in POINT]
    spread = 0.02 * np.sqrt(2 / 3 + np.mean([t**2 + (1 - t) ** 2 for t in ways]))
    assert np.mean([one.spread for one in noisy]) == pytest.approx(spread, rel=0.1)


def test_the_point_takes_away_what_seeds_have_in_common():
    # Seeds that differ by a factor alone are the same curve in units of any point of theirs.
    found = judged(curves(4, 0.3, white=1e-7))
    assert found.spread < 1e-6


def test_units_of_norm_and_error_do_not_matter():
    means = curves(4, 0.05, bend=0.02)
    one = judged(means, "optimum")
    moved = [
        replace(m, log_norm=m.log_norm + 16, error=m.error / 4, members=m.members / 4)
        for m in means
    ]
    two = collapse(moved, POINT + 16, DEPTH - np.log(4))
    for name in ("residual", "spread", "ratio", "ratio_low", "ratio_high"):
        assert getattr(two, name) == pytest.approx(getattr(one, name), rel=1e-6)


# ------------------------------------------------------------------------ points of seeds


def test_points_of_seeds():
    mean = curves(3, 0.2)[4]
    lam, eps = seed_points(mean, "optimum", 0.0, 0.0, rise=0.1)
    own = [optimum(mean.log_norm, e, 3 * mean.variance, 0.1) for e in mean.members]
    np.testing.assert_array_equal(lam, [one.log_norm for one in own])
    np.testing.assert_array_equal(eps, [one.log_error for one in own])
    at, level = seed_points(mean, "end", mean.log_norm[-1], 0.0, rise=0.1)
    np.testing.assert_array_equal(at, mean.log_norm[-1])
    np.testing.assert_allclose(level, np.log(mean.members[:, -1]))


def test_the_elbow_of_a_seed_moves_with_its_curve():
    x = np.linspace(0, 10, 200)
    shifts = np.array([-0.1, 0.03, 0.07])
    members = np.exp([phi(x - 6 - shift) for shift in shifts])
    mean = MeanCurve(
        1e3,
        x,
        members.mean(axis=0),
        members,
        np.full(200, 1e-6),
        np.ones(len(members)),
        np.zeros(2),
    )
    lam, eps = seed_points(mean, "elbow", 5.0, 0.0, rise=0.1)
    # To first order in the shift.
    np.testing.assert_allclose(lam - 5, shifts, atol=0.1**2)
    np.testing.assert_allclose(eps, 0, atol=1e-3)


def test_seeds_without_records_or_logarithm():
    means = curves(5, 0.05)
    gone = [m.members.copy() for m in means]
    gone[2][0, 5:] = np.nan  # no half of the grid
    gone[4][1, 20] = 0.0
    gone[5][3, :4] = np.nan
    holes = [replace(m, members=rows) for m, rows in zip(means, gone, strict=True)]
    lam, _ = seed_points(holes[2], "optimum", 0.0, 0.0, rise=0.1)
    assert np.isnan(lam).tolist() == [True, False, False, False, False]
    lam, _ = seed_points(holes[4], "end", POINT[4], 0.0, rise=0.1)
    assert np.isnan(lam).tolist() == [False, True, False, False, False]
    without = judged(holes)
    fewer = [
        replace(m, members=np.delete(m.members, out, axis=0)) if out is not None else m
        for m, out in zip(means, [None, None, 0, None, 1, None, None], strict=True)
    ]
    fewer[5] = holes[5]
    assert without.spread == judged(fewer).spread
    assert without.residual == judged(fewer).residual
    assert without.verdict == Verdict.COLLAPSE


# ------------------------------------------------------------------------------- verdicts


@pytest.mark.parametrize("noise", [{}, QUIET], ids=["usual", "quiet"])
def test_a_collapse_by_construction(noise):
    verdicts = [found(COMMON, 10, trial, **noise) for trial in range(2)]
    for one in verdicts:
        assert one.verdict == Verdict.COLLAPSE
        assert one.ratio_low <= one.ratio < one.ratio_high < 1 < one.residual_raw / one.spread
        assert one.sentence.startswith("Collapse: curves of different P differ by ")


@pytest.mark.parametrize("at", ["optimum", "elbow"])
def test_a_rise_that_depends_on_P_is_no_collapse(at):
    one = found(BROKEN, 5, 0, at=at, **QUIET)
    assert one.verdict == Verdict.NONE
    assert one.at == at
    assert 1 < one.ratio_low < one.ratio < one.ratio_high
    times = f"{one.ratio:.2g} times (95%: {one.ratio_low:.2g} to {one.ratio_high:.2g}) the spread"
    assert one.sentence.startswith("No collapse: ")
    assert times in one.sentence


@pytest.mark.parametrize("laws", [COMMON, BROKEN], ids=["common", "broken"])
def test_noise_hides_both(laws):
    one = found(laws, 5, 0, level=0.4)
    assert one.verdict == Verdict.UNKNOWN
    assert one.sentence.startswith("Cannot tell: ")
    assert one.residual_raw < one.spread


@pytest.mark.parametrize(
    ("means", "words"),
    [
        (curves(1, 0.01), "there are no seeds to compare with"),
        (curves(2, 0.01), "too few seeds, three at two or more P are needed"),
        (curves(3, 0.01, white=0.0), "seeds of equal P do not differ"),
        (curves(4, 0.1, white=0.05, bend=0.04, random=3), "times .95%. the spread between seeds"),
        (curves(5, 0.1, white=0.5), "noise hides what rescaling could show"),
    ],
)
def test_why_nothing_can_be_told(means, words):
    one = judged(means)
    assert one.verdict == Verdict.UNKNOWN
    assert re.search(words, one.sentence)
    assert one.sentence.startswith("Cannot tell: ")


def test_curves_that_came_averaged_are_judged_by_their_roughness():
    one = judged(curves(1, 0.0, white=0.02, bend=0.05))
    exact = judged(curves(3, 0.0, white=1e-6, bend=0.05))
    assert np.isnan([one.spread, one.ratio, one.ratio_low, one.ratio_high]).all()
    # 0.02 over 65 places, of which a third are independent, against 0.1.
    assert one.residual == pytest.approx(exact.residual, rel=0.05)
    assert f"differ by {100 * np.expm1(one.residual):.2g}% rms beyond the roughness" in one.sentence


def test_curves_that_never_meet():
    means = curves(5, 0.05)
    one = collapse(means, POINT + 1e3 * np.arange(len(SIZES)), DEPTH, at="end")
    assert np.isnan(one.residual)
    assert one.sentence == "Cannot tell: no two curves reach a common range in these units"
    assert collapse(means, POINT, DEPTH, from_P=6e4).verdict == Verdict.UNKNOWN
    assert collapse([], [], []).verdict == Verdict.UNKNOWN


def test_what_interpolation_makes_is_no_difference():
    # Exact curves, with few records: what differs is the curvature between them.
    coarse, fine = (judged(curves(4, 0.0, white=1e-5, points=n)) for n in (12, 13 * 40))
    assert coarse.ratio_low > 1
    assert coarse.verdict == Verdict.UNKNOWN
    assert "no more than records so far apart resolve" in coarse.sentence
    assert fine.verdict == Verdict.COLLAPSE
    assert judged(curves(4, 0.0, white=1e-5, bend=0.2, points=24)).verdict == Verdict.NONE


def test_the_same_seed_draws_the_same_interval():
    means = curves(4, 0.05)
    assert judged(means, seed=1).ratio_high == judged(means, seed=1).ratio_high
    assert judged(means, seed=1).ratio_high != judged(means, seed=2).ratio_high


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"at": "knee"}, "`at` must be one of optimum, elbow, end; got 'knee'"),
        ({"bootstrap": 19}, "`bootstrap` must be at least 20 for an interval; got 19"),
        ({"seed": -1}, "`seed` must be a whole number of at least 0; got -1"),
    ],
)
def test_arguments_are_checked(more, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        judged(curves(3, 0.05), **more)


# ------------------------------------------------------------------------ how often, in sweeps

#: Draws of a sweep: a verdict that 98% of them have is that of fewer than 95 once in 50 times.
DRAWS, OFTEN = 100, 0.93


@pytest.mark.slow
@pytest.mark.parametrize(
    ("laws", "noise", "verdict"),
    [
        (COMMON, QUIET, Verdict.COLLAPSE),
        (COMMON, {}, Verdict.COLLAPSE),
        (COMMON, {"level": 0.05}, Verdict.COLLAPSE),
        (BROKEN, QUIET, Verdict.NONE),
        (SHARPENED, {}, Verdict.NONE),
        (COMMON, {"level": 0.4}, Verdict.UNKNOWN),
        (BROKEN, {"level": 0.4}, Verdict.UNKNOWN),
    ],
)
def test_the_verdict_is_right_in_most_draws(laws, noise, verdict):
    counts = Counter(found(laws, 10, trial, **noise).verdict for trial in range(DRAWS))
    assert counts[verdict] >= OFTEN * DRAWS
    # Wrong, and not only undecided.
    assert sum(counts[one] for one in Verdict if one not in (verdict, Verdict.UNKNOWN)) <= 5


@pytest.mark.slow
def test_the_interval_of_the_ratio_holds_it():
    laws = [SyntheticLaw(rise=0.05 * 1.35**k) for k in range(len(SIZES))]
    trials = [found(laws, 5, trial) for trial in range(2 * DRAWS)]
    # Both squares are unbiased, so that their means over trials are the truth.
    truth = np.sqrt(
        np.mean([one.residual**2 for one in trials]) / np.mean([one.spread**2 for one in trials])
    )
    assert 1 < truth < 1.3
    inside = np.mean([one.ratio_low <= truth <= one.ratio_high for one in trials])
    # 200 trials know it to 1.5%. A sweep with a moderate range of rises: with the steeper one of
    # BROKEN the interval holds less, see docs/scaling.md, section 8.
    assert 0.90 <= inside <= 0.995
