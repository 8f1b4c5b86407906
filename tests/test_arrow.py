"""The fit of the joint law of learning curves: elbows eliminated, steps along a curved valley."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from replica.scaling import arrow, joint

P = np.array([100.0, 300.0, 1000.0])
LOG_P = np.log(P / P[-1])


def written_out(p, x, row):
    """Eq. (S5) by numpy: ln(error)."""
    rate = np.exp(p[joint.RATE])
    soft = np.logaddexp(0.0, rate * (x - p[joint.ELBOWS :][row]))
    line = p[joint.LOG_K] - p[joint.DRIFT] * LOG_P[row] - p[joint.GAMMA] * x
    return np.log(p[joint.OFFSET] + np.exp(line + p[joint.BEND] / rate * soft))


def of_kernel(p, x, row, along=1.0):
    slope = np.empty((len(x), arrow.COMMON + 1))
    values = [
        arrow.model(p, j, at, LOG_P[j], along, slope[i])
        for i, (at, j) in enumerate(zip(x, row, strict=True))
    ]
    return np.array(values), slope


def records(p, noise=0.0, count=60, top=8.0, seed=0):
    draw = np.random.default_rng(seed)
    x = np.tile(np.linspace(0, top, count), len(P))
    row = np.repeat(np.arange(len(P)), count)
    y = written_out(p, x, row) + noise * draw.normal(size=len(x))
    weight = np.full(len(x), 1 / max(noise, 1e-3))
    return joint.Records(P=P, x=x, y=y, weight=weight, row=row, start=0.0)


TRUTH = np.array([-0.1, 0.3, 0.4, 0.4, 0.05, 0.2, 3.0, 4.0, 5.0])


def test_the_kernel_is_the_formula():
    x, row = np.linspace(-3, 12, 31), np.arange(31) % 3
    assert of_kernel(TRUTH, x, row)[0] == pytest.approx(written_out(TRUTH, x, row), abs=1e-14)


@pytest.mark.parametrize("along", [1.0, 0.0])
@pytest.mark.parametrize("bend", [0.4, -0.4])
def test_slopes_are_those_of_the_steps(along, bend):
    """Along, elbows move with the bend and the rate, so that what is seen before them stays."""
    truth = TRUTH.copy()
    truth[joint.BEND] = bend
    x, row = np.linspace(-3, 12, 31), np.arange(31) % 3
    _, slope = of_kernel(truth, x, row, along)
    free = np.full(len(truth), 1e9)
    low = -free
    for k in range(len(truth)):
        step = np.zeros(len(truth))
        ends = []
        for step[k] in (-1e-6, 1e-6):
            trial = np.empty(len(truth))
            assert not arrow.stepped(truth, step, low, free, along, trial)
            ends.append(written_out(trial, x, row))
        own = row == k - joint.ELBOWS if k >= joint.ELBOWS else np.ones(len(x), dtype=bool)
        expected = (ends[1] - ends[0]) / 2e-6
        found = np.where(own, slope[:, min(k, arrow.COMMON)], 0.0)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize("drift", [False, True])
def test_exact_curves_give_their_law_back(offset, drift):
    truth = TRUTH.copy()
    truth[[joint.OFFSET, joint.DRIFT]] *= offset, drift
    law, found = joint.fit(records(truth), offset=offset, drift=drift)
    assert found == pytest.approx(truth, abs=1e-4)
    assert law.chi2 == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("top", [4.0, 8.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_minimum_is_that_of_another_optimiser(top, seed):
    """Also where records end before the elbows, and bend and elbows are nearly one parameter."""
    truth = TRUTH.copy()
    truth[[joint.OFFSET, joint.DRIFT]] = 0
    data = records(truth, noise=0.01, top=top, seed=seed)
    law, found = joint.fit(data)
    width = np.ptp(data.x)
    free = [k for k in range(len(truth)) if k not in (joint.OFFSET, joint.DRIFT)]
    low, high = np.full(len(truth), -np.inf), np.full(len(truth), np.inf)
    low[joint.BEND] = arrow.STRAIGHT
    low[joint.RATE], high[joint.RATE] = np.log(joint.SOFTEST / width), np.log(400 / width)
    low[joint.ELBOWS :], high[joint.ELBOWS :] = data.x.min() - width, data.x.max() + width

    def rest(q):
        whole = np.zeros(len(truth))
        whole[free] = q
        return (data.y - written_out(whole, data.x, data.row)) * data.weight

    start = np.clip(found, low + 1e-9, high - 1e-9)[free]
    other = least_squares(rest, start, bounds=(low[free], high[free]), xtol=1e-14, ftol=1e-14)
    assert law.chi2 == pytest.approx(float(np.sum(rest(found[free]) ** 2)))
    assert law.chi2 <= 2 * other.cost * (1 + 1e-5)


def test_curves_that_bend_the_other_way_are_seen_to():
    """Such a law is no elbow, and has to win where it is the better one."""
    truth = np.array([-0.1, 0.2, -0.3, 0.4, 0.0, 0.0, 3.0, 4.0, 5.0])
    law, found = joint.fit(records(truth))
    assert found == pytest.approx(truth, abs=1e-4)
    assert law.bend < 0


def test_straight_curves_cost_nothing_more():
    data = records(np.array([-0.1, 0.3, 0.0, 0.4, 0.0, 0.0, 3.0, 4.0, 5.0]), noise=0.01)
    law, _ = joint.fit(data)
    assert law.chi2 <= joint.straight(data)[0] * (1 + 1e-9)


def test_curves_that_have_not_bent_leave_the_elbows_of_the_others_alone():
    truth = np.array([-0.1, 0.3, 0.4, 0.4, 0.0, 0.0, 2.0, 3.0, 14.0])
    law, found = joint.fit(records(truth, noise=1e-4))
    assert found[: joint.ELBOWS + 2] == pytest.approx(truth[: joint.ELBOWS + 2], abs=5e-3)
    assert law.chi2 < 2 * law.dof


@pytest.mark.parametrize("sharp", [5.0, 15.0, 45.0])
def test_a_poor_start_leads_to_the_same_minimum(sharp):
    """A step cut off component by component left elbows at their bounds, at 100 times the chi2."""
    truth = TRUTH.copy()
    truth[[joint.OFFSET, joint.DRIFT]] = 0
    data = records(truth, noise=1e-4, top=12.0)
    start = np.array([2.0, 1.0, 1.0, np.log(sharp / 12), 0.0, 0.0, 12.0, 1.0, 6.0])
    assert joint.fit(data, guess=start)[0].chi2 == pytest.approx(joint.fit(data)[0].chi2, rel=1e-5)


def test_an_arrow_is_solved_like_the_whole_matrix():
    draw = np.random.default_rng(3)
    m, count = 4, 60
    jacobian = draw.normal(size=(count, arrow.COMMON))
    row, own = np.arange(count) % m, draw.normal(size=count)
    whole = np.hstack([jacobian, own[:, None] * np.eye(m)[row]])
    rest = draw.normal(size=count)
    free = np.array([True, True, True, False, True, True])
    normal, right = whole.T @ whole, whole.T @ rest
    c, step = arrow.COMMON, np.empty(arrow.COMMON + m)
    diagonal = np.diag(normal)[c:].copy()
    assert arrow.solve_arrow(
        normal[:c, :c].copy(),
        normal[:c, c:].copy(),
        diagonal,
        right[:c],
        right[c:],
        free,
        0.1,
        step,
    )
    keep = np.append(free, np.ones(m, dtype=bool))
    damped = normal + 0.1 * np.diag(np.diag(normal) + 1e-12 * np.trace(normal[np.ix_(keep, keep)]))
    expected = np.zeros(c + m)
    expected[keep] = np.linalg.solve(damped[np.ix_(keep, keep)], right[keep])
    assert step == pytest.approx(expected, abs=1e-12)
