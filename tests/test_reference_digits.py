"""Digits computed at high precision; also run without compilation (test_without_jit.py)."""

import numpy as np
import pytest

from replica import (
    Logistic,
    LogisticTeacher,
    Problem,
    bayes_optimal,
    convexity_limit,
    gardner_capacity,
    gibbs,
    hebb,
    logistic_storage,
    logistic_teacher_student,
    max_stability,
    optimal_norm,
    separability_capacity,
    solve,
    storage_max_stability,
)
from replica.existence import sharpness_limit
from replica.problem import pose

PROMISE = 1e-12  # the accuracy that the README states

# alpha, lam, eps, log x, from mpmath at 34 digits. That of the last log x corrects a
# widely copied value by one digit; replica.highprecision confirms it.
LOGISTIC = [
    (5, 4.5, 0.0839803599987673392178, -0.0862780811029043918270),
    (5, 0.01, 0.161669961455269452025, -1.51639531639645273183),
    (5, 1000, 0.0937250206574493898628, 391.573838192482203581),
    (1, 1, 0.254606823518608465400, 0.973488723208119471799),
    (0.1, 0.3, 0.419785264680818082272, 2.44821963565028360752),
    (0.01, 10000, 0.474622151363040033346, 199635.562939037214189),
    (100, 88.5, 0.00441916421943873889538, -3.03369079049669365654),
    (1e6, 885000, 4.41978025666181527518e-7, -12.2438265981470899402),
    # from replica.highprecision
    (1e8, 1e-6, 3.98941960002769602441569814228e-5, None),
    (1e8, 0.88e8, 4.41978616310851374855160387294e-9, None),
    (1e8, 1e6, 2.2325644770346015610806617773e-8, None),
    (1e-3, 1e6, 0.491969228090387537779941214064, None),
    (1e-3, 1e-6, 0.491970323240485320618476072686, None),
]

# alpha, eps of Hebb, Gibbs, Bayes, the optimum and maximum stability, lam_opt, kappa
RULES = [
    (1, 0.285634299924, 0.338359468421, 0.254372970339, 0.254404459591, 0.265711469938,
     1.18583, 0.786549842),
    (5, 0.162614400435, 0.118006033298, 0.083935169845, 0.083979911455, 0.093827007807,
     4.53610, 0.196709612),
    (10, 0.120111353217, 0.061525274063, 0.043573203965, 0.043599420921, 0.049183396296,
     8.89790, 0.099888671),
]  # fmt: skip


@pytest.mark.parametrize(("alpha", "lam", "eps", "log_x"), LOGISTIC)
def test_logistic_teacher_student(alpha, lam, eps, log_x):
    solution = logistic_teacher_student(alpha, lam)
    assert solution.generalization_error == pytest.approx(eps, rel=PROMISE, abs=0)
    assert abs(solution.generalization_error / eps - 1) <= solution.error_estimate
    if log_x is not None:
        assert abs(solution.log_x - log_x) <= PROMISE * max(1, abs(log_x))


@pytest.mark.parametrize("row", RULES)
def test_classical_rules(row):
    alpha, *errors, lam, kappa = row
    best, stable = optimal_norm(alpha), max_stability(alpha)
    rules = [hebb(alpha), gibbs(alpha), bayes_optimal(alpha), best, stable]
    for rule, eps in zip(rules, errors, strict=True):
        assert rule.generalization_error == pytest.approx(eps, abs=5e-13)
    assert best.lam == pytest.approx(lam, abs=5e-6)
    assert stable.stability == pytest.approx(kappa, abs=5e-10)


def test_rules_at_many_examples():
    alpha = 1e8
    assert alpha**0.5 * hebb(alpha).generalization_error == pytest.approx((2 * np.pi) ** -0.5)
    assert alpha * gibbs(alpha).generalization_error == pytest.approx(0.6247, abs=5e-5)
    assert alpha * bayes_optimal(alpha).generalization_error == pytest.approx(0.4417, abs=5e-5)
    assert alpha * max_stability(alpha).generalization_error == pytest.approx(0.5005, abs=5e-5)
    assert alpha * max_stability(alpha).stability == pytest.approx(1.0045, abs=5e-5)


def test_storage():
    one, ten = logistic_storage(0.4, 1.0), logistic_storage(0.4, 10.0)
    assert one.log_x == pytest.approx(2.4156978856, abs=5e-11)
    assert one.margins.mean() == pytest.approx(1.4216672414, abs=5e-11)
    assert one.margins.var() == pytest.approx(0.1058857955, abs=5e-11)
    assert ten.log_x == pytest.approx(24.6994669878, abs=5e-11)
    assert ten.margins.mean() == pytest.approx(1.3120121871, abs=5e-11)
    assert ten.margins.var() == pytest.approx(0.0402621453, abs=5e-11)


def test_gardner():
    assert storage_max_stability(0.4) == pytest.approx(1.2422583469, abs=5e-11)
    assert storage_max_stability(1.0) == pytest.approx(0.4706553526, abs=5e-11)
    assert gardner_capacity(1.0) == pytest.approx(0.5195722296, abs=5e-11)
    assert logistic_storage(0.4, np.inf).stability == pytest.approx(1.2422583469, abs=5e-11)


def test_multiplier_and_replicon():
    storage = solve(
        Problem(3.0, Logistic([1.0, 2.0]), logistic_storage(1.0, 1.0).problem.teacher),
        require_convex=False,
    )
    np.testing.assert_allclose(storage.multiplier, [0.9468, 1.1152], atol=5e-5)
    np.testing.assert_allclose(storage.replicon, [0.3340, 0.5422], atol=5e-5)
    flips = logistic_teacher_student(5.0, 1.0, label_flip=0.1)
    assert flips.multiplier == pytest.approx(0.82305, abs=5e-6)
    assert flips.replicon == pytest.approx(0.16467, abs=5e-6)
    assert flips.overlap == pytest.approx(0.8613370011413, abs=5e-13)


def test_high_dimensional_maximum_likelihood():
    """The unconstrained minimiser for a logistic teacher: Sur and Candes (2019), kappa = 0.2.

    There alpha* = 1.499, lambda* = 3.027 and sqrt(kappa) sigma* = 2.1214 at gamma^2 = 5.
    """
    gamma = np.sqrt(5.0)
    teacher = LogisticTeacher(gamma)
    posed = pose(Problem(5.0, Logistic(1.0), teacher))
    lam = sharpness_limit(posed.equations(np.array([0])))[0]
    mle = solve(Problem(5.0, Logistic(lam), teacher))
    field = 2 * lam  # textbook norm sqrt(q), from lam = sqrt(q)/2
    assert mle.multiplier == pytest.approx(1.0, abs=1e-12)
    assert field * mle.overlap / gamma == pytest.approx(1.499, abs=1e-3)
    assert 4 * lam * np.exp(mle.log_x) == pytest.approx(3.027, abs=5e-4)
    assert field * np.sqrt(1 - mle.overlap**2) == pytest.approx(2.1214, abs=5e-5)


@pytest.mark.parametrize(("alpha", "gamma"), [(10.0, 9.890), (5.0, 4.550)])
def test_separability_of_a_logistic_teacher(alpha, gamma):
    """Below the published frontier gamma(N/P) the maximum-likelihood estimate exists."""

    def limit(slope):
        posed = pose(Problem(alpha, Logistic(1.0), LogisticTeacher(slope)))
        return sharpness_limit(posed.equations(np.array([0])))[0]

    assert np.isfinite(limit(gamma - 0.005))
    assert np.isinf(limit(gamma + 0.005))


def test_capacity_of_noisy_teachers():
    assert separability_capacity() == np.inf
    assert separability_capacity(label_flip=0.5) == 2.0
    # Just below and above the capacity the limit of convexity turns from infinite to finite.
    capacity = separability_capacity(label_flip=0.1)
    assert capacity == pytest.approx(2.992286007, abs=5e-10)
    assert convexity_limit(0.999 * capacity, label_flip=0.1) == np.inf
    assert 1 < convexity_limit(1.2 * capacity, label_flip=0.1) < 100
