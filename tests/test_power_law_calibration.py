"""Intervals and tests of a fitted power law are right as often as they say."""

import numpy as np
import pytest
from grids import slow
from power_laws import X, given_as, law

from replica.scaling.power_law import fit_power_law

TRIALS = 250
# Shares of trials lie within so many standard deviations of a binomial: beyond by chance once in
# 16,000, and there are some thirty of them.
DEVIATIONS = 4.0
# The share of 95% intervals that hold the truth.
CALIBRATED = 0.95 + DEVIATIONS * np.sqrt(0.95 * 0.05 / TRIALS) * np.array([-1, 1])


def trials(count, gamma, q, size, relative, errors, seed, **options):
    """Fits to noisy samples of one law."""
    rng = np.random.default_rng(seed)
    y = law(X, gamma, q)
    fits = []
    for _ in range(count):
        noise = size * rng.normal(size=len(X))
        seen = y * np.exp(noise) if relative else y + noise
        known = size if errors else (relative or None)
        fits.append(fit_power_law(X, seen, **given_as(known, relative), **options))
    return fits


def covered(fits, name, truth):
    return np.mean([getattr(f, f"{name}_low") <= truth <= getattr(f, f"{name}_high") for f in fits])


def assert_uniform(p, levels):
    """Values below a level are as many as it says."""
    for level in levels:
        deviation = np.sqrt(level * (1 - level) / len(p))
        assert np.mean(p < level) == pytest.approx(level, abs=DEVIATIONS * deviation)


@pytest.mark.parametrize(
    ("gamma", "q", "errors"), [(0.5, 0.3, False), (0.5, 0.3, True), slow(-0.5, 0.5, False)]
)
def test_intervals_hold_the_truth_as_often_as_they_say(gamma, q, errors):
    fits = trials(TRIALS, gamma, q, 0.02, False, errors, seed=1)
    for name, truth in (("gamma", gamma), ("q", q)):
        assert CALIBRATED[0] <= covered(fits, name, truth) <= CALIBRATED[1]
    # They do so for the right law only.
    assert covered(fits, "gamma", 1.5 * gamma) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("errors", [False, True])
def test_intervals_of_relative_errors_hold_the_truth_as_often_as_they_say(errors):
    fits = trials(TRIALS, 0.5, 0.3, 0.02, True, errors, seed=1)
    for name, truth in (("gamma", 0.5), ("q", 0.3)):
        assert CALIBRATED[0] <= covered(fits, name, truth) <= CALIBRATED[1]


@pytest.mark.parametrize(("relative", "errors"), [(False, False), (False, True), slow(True, True)])
def test_an_offset_is_found_where_there_is_none_once_in_twenty(relative, errors):
    fits = trials(TRIALS, 0.5, 0.0, 0.02, relative, errors, seed=2, intervals=False)
    p = np.array([fit.offset_p for fit in fits])
    assert_uniform(p, (0.05, 0.25))
    # Half of the samples ask for a negative offset, and get none.
    assert np.mean(p == 1) == pytest.approx(0.5, abs=DEVIATIONS * np.sqrt(0.25 / TRIALS))
    assert all((fit.q == 0) == (fit.offset_p == 1) for fit in fits)
    # Where there is one, it is found.
    there = trials(20, 0.5, 0.6, 0.02, relative, errors, seed=2, intervals=False)
    assert np.mean([fit.offset_p < 0.05 for fit in there]) > 0.9


def test_a_free_offset_is_tested_on_both_sides():
    fits = trials(TRIALS, 0.5, 0.0, 0.02, False, True, seed=3, intervals=False, nonnegative=False)
    p = np.array([fit.offset_p for fit in fits])
    assert_uniform(p, (0.05, 0.25, 0.5, 0.75))
    negative = np.mean([fit.q < 0 for fit in fits])
    assert negative == pytest.approx(0.5, abs=DEVIATIONS * np.sqrt(0.25 / TRIALS))
    assert np.mean([fit.chi2 for fit in fits]) == pytest.approx(
        9, abs=DEVIATIONS * np.sqrt(18 / TRIALS)
    )


def test_residuals_of_the_right_law_do_not_drift():
    fits = trials(TRIALS, 0.5, 0.3, 0.02, False, False, seed=4, intervals=False)
    p = np.array([fit.serial_p for fit in fits])
    assert_uniform(p, (0.05, 0.25, 0.5, 0.75))
    # Those of a law that misses the offset do.
    wrong = trials(20, 0.5, 0.6, 0.002, False, False, seed=4, intervals=False, offset=False)
    assert all(fit.serial_p < 0.01 for fit in wrong)
