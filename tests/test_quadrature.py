"""The panels: convergence at the order of the rule, over the whole plane."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replica import (
    Exponential,
    HardMargin,
    Hinge,
    Logistic,
    LogisticTeacher,
    Problem,
    RandomLabels,
    SquaredHinge,
    Teacher,
    logistic_teacher_student,
    solve,
)
from replica.channel import moments as columns
from replica.equations import ORDER
from replica.problem import pose
from replica.saddle_point import CHECK_ORDER, ROUNDING

ONE = np.array([0])


def integrals(problem, z, **rule):
    """A and B at a given iterate."""
    moments = pose(problem).equations(ONE).moments(np.array([z]), ONE, **rule)
    return moments[0, [columns.STEP, columns.PULLED]]


@pytest.mark.parametrize("lam", [1e-3, 1.0, 1e2, 1e6])
@pytest.mark.parametrize("loss", [Logistic, Exponential], ids=["logistic", "exponential"])
def test_integrals_round_as_their_error_estimate_counts(loss, lam):
    """Next to the root F is a straight line, and what scatters about it is rounding."""
    draw = np.random.default_rng(12)
    for alpha in (1e-3, 0.1, 5.0, 1e4, 1e8):
        solution = solve(Problem(alpha, loss(lam)))
        if not solution.converged:
            continue  # beyond the norm where this loss is least
        equations = pose(Problem(alpha, loss(lam))).equations(ONE)
        root = np.array([[np.log(solution.overlap) - np.log(solution.one_minus_overlap) / 2, 0.0]])
        root[0, 0] -= np.log1p(solution.overlap) / 2  # c = R / sqrt((1 - R) (1 + R))
        root[0, 1] = solution.log_x

        def at(z, equations=equations):
            moments = equations.moments(z, ONE, order=CHECK_ORDER, columns=columns.OBSERVABLES)
            return equations.residuals(z, ONE, moments)

        _, jacobian = at(root)
        scatter = []
        for step in 1e-9 * draw.normal(size=(32, 1, 2)):
            z = root + step
            scatter.append(at(z)[0][0] - jacobian[0] @ (z - root)[0])
        assert np.std(scatter, axis=0).max() <= ROUNDING, (alpha, lam)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize(
    "problem",
    [
        Problem(5.0, Logistic(4.5)),
        Problem(5.0, Logistic(1.0), Teacher(label_flip=0.1, label_noise=0.3)),
        Problem(1.0, Exponential(3.0)),
        Problem(5.0, HardMargin()),
        Problem(2.0, Hinge(1.0)),
        Problem(2.0, SquaredHinge(1.0)),
    ],
)
def test_convergence_order(problem, order):
    """m nodes a panel: halving the panels divides the error by at least 2^(2m).

    More where panels of equal width follow one another and their leading errors
    telescope to the ends, where nothing is left.
    """
    solution = solve(problem)
    second = solution.log_x if np.isfinite(solution.log_x) else np.log(solution.stability)
    z = (solution.log_c, second)
    exact = integrals(problem, z, order=24, refine=1)
    coarse, fine = (
        np.abs(integrals(problem, z, order=order, refine=k) / exact - 1) for k in (3, 5)
    )
    assert np.all(fine > 1e-14)  # else rounding hides the order
    per_halving = np.log2(coarse / fine) / 2
    assert np.all(per_halving > 2 * order - 0.3)
    if isinstance(problem.loss, HardMargin):  # u ends abruptly at kappa
        np.testing.assert_allclose(per_halving, 2 * order, atol=0.3)


@given(st.floats(-3, 8), st.floats(-6, 6))
def test_working_rule_is_converged_over_the_plane(log_alpha, log_lam):
    alpha, lam = 10.0**log_alpha, 10.0**log_lam
    solution = logistic_teacher_student(alpha, lam)
    z = (solution.log_c, solution.log_x)
    problem = Problem(alpha, Logistic(lam))
    fine = integrals(problem, z, order=CHECK_ORDER, refine=1)
    # 1e-13 is a tenth of the promised accuracy
    np.testing.assert_allclose(integrals(problem, z, order=ORDER), fine, rtol=1e-13)
    np.testing.assert_allclose(integrals(problem, z, order=CHECK_ORDER), fine, rtol=1e-13)


@given(
    st.floats(-3, 6), st.floats(-4, 4), st.floats(0, 0.5), st.one_of(st.just(0.0), st.floats(0, 9))
)
def test_working_rule_is_converged_anywhere_newton_may_go(log_alpha, log_lam, flip, noise):
    """Not at a solution: at the starting guess, with noise."""
    problem = Problem(10.0**log_alpha, Logistic(10.0**log_lam), Teacher(flip, noise))
    z = pose(problem).equations(ONE).start()[0]
    fine = integrals(problem, z, order=CHECK_ORDER, refine=2)
    used = fine > 0  # no B without signal
    np.testing.assert_allclose(integrals(problem, z, order=ORDER)[used], fine[used], rtol=2e-13)


def test_mixture_of_teachers_needs_no_finer_panels():
    problem = Problem(2.0, Logistic(1.0), LogisticTeacher(30.0))
    z = pose(problem).equations(ONE).start()[0]
    fine = integrals(problem, z, order=CHECK_ORDER, refine=2)
    np.testing.assert_allclose(integrals(problem, z, order=ORDER), fine, rtol=1e-13)


def test_an_iterate_far_from_any_solution_gives_nan_and_not_a_crash():
    problem = Problem(1.0, Logistic(1e4), RandomLabels())
    for b in (1e300, -1e300, np.inf, np.nan, 1e18):
        integrals(problem, (0.0, b), order=ORDER)
    assert np.isnan(integrals(problem, (0.0, np.nan), order=ORDER)).any()


def test_jacobian_is_the_derivative():
    """All six columns that Newton uses, for every kind of loss."""
    problems = [
        Problem(3.0, Logistic(2.0), Teacher(0.1, 0.4)),
        Problem(3.0, Exponential(2.0), Teacher(0.1, 0.4)),
        Problem(3.0, Hinge(1.0), Teacher(0.1, 0.4)),
        Problem(3.0, SquaredHinge(1.0), Teacher(0.1, 0.4)),
        Problem(3.0, HardMargin()),
    ]
    h = 1e-5
    for problem in problems:
        equations = pose(problem).equations(ONE)
        z = np.array([[0.3, -0.4]])

        def residuals(point, equations=equations):
            moments = equations.moments(point, ONE, order=ORDER)
            return equations.residuals(point, ONE, moments)

        _, jacobian = residuals(z)
        for k in range(2):
            step = np.zeros((1, 2))
            step[0, k] = h
            finite = (residuals(z + step)[0] - residuals(z - step)[0]) / (2 * h)
            np.testing.assert_allclose(jacobian[0, :, k], finite[0], rtol=1e-8, atol=1e-9)
