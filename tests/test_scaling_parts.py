"""The parts of the analysis: minima, the joint law, lines, and what repetitions say of errors."""

import dataclasses

import numpy as np
import pytest

from replica.scaling import SyntheticLaw, optima, pipeline, resampling
from replica.scaling.resampling import Samples


@pytest.fixture(scope="module")
def law():
    return SyntheticLaw()


# ---------------------------------------------------------------- its parts


@pytest.mark.parametrize("rise", [0.1, 0.2, 0.3])
@pytest.mark.parametrize("where", [3.2, 5.0, 7.9])
def test_the_minimum_of_a_cubic_is_found_exactly(rise, where):
    x = np.linspace(0, 10, 81)
    u = x - where
    y = 0.05 * u**2 + 0.002 * u**3 - 2.0
    best = optima.optimum(x, np.exp(y), np.full(81, 1e-6), rise)
    assert best.log_norm == pytest.approx(where, abs=1e-9)
    assert best.log_error == pytest.approx(-2.0, abs=1e-12)
    assert [best.at_end, best.at_start, best.flat] == [False, False, False]


@pytest.mark.parametrize(("slope", "flag"), [(-0.1, "at_end"), (0.1, "at_start")])
def test_a_curve_without_a_minimum_says_so(slope, flag):
    x = np.linspace(0, 10, 40)
    best = optima.optimum(x, np.exp(slope * x - 2), np.full(40, 1e-6), 0.2)
    assert getattr(best, flag)
    assert best.log_norm == pytest.approx(10 if slope < 0 else 0)


def test_a_flat_minimum_is_called_flat():
    x = np.linspace(0, 10, 40)
    y = 0.002 * (x - 5) ** 2
    assert optima.optimum(x, np.exp(y - 2), np.full(40, 0.01**2), 0.2).flat
    assert not optima.optimum(x, np.exp(50 * y - 2), np.full(40, 0.01**2), 0.2).flat


def test_lines_leave_out_what_has_no_weight():
    x = np.array([0.0, 1.0, 2.0, 3.0])
    y = np.array([[1.0, 3.0, 5.0, 100.0]])
    slope, level = pipeline.slopes(x, y, np.array([[1.0, 1.0, 1.0, 0.0]]))
    assert (slope[0], level[0]) == pytest.approx((2.0, 1.0))


def test_a_jackknife_of_a_mean_is_its_standard_error():
    rng = np.random.default_rng(0)
    y = rng.normal(size=9)
    left = np.array([np.delete(y, k).mean() for k in range(9)])
    samples = dataclasses.replace(_empty_samples("jackknife"), P=np.arange(9.0))
    variance = resampling.covariance(samples, left[:, None])[0, 0]
    assert variance == pytest.approx(y.var(ddof=1) / 9)


def test_a_repetition_gone_astray_does_not_decide_an_error():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1000, 1))
    values[0] = 1e9
    assert resampling.covariance(_empty_samples("bootstrap"), values)[0, 0] == pytest.approx(
        1, rel=0.2
    )


def _empty_samples(kind):

    none = np.empty(0)
    return Samples(kind, none, none, none, none, none, none, none, 8)
