"""The certificates, and the float solver measured against them."""

import dataclasses
import math
from decimal import Decimal

import mpmath
import numpy as np
import pytest
from grids import slow

from replica import (
    Clusters,
    Exponential,
    HardMargin,
    Hinge,
    Linear,
    Logistic,
    LogisticTeacher,
    Problem,
    RandomLabels,
    SmoothLoss,
    Square,
    SquaredHinge,
    Teacher,
    logistic_teacher_student,
    solve,
)
from replica.highprecision import CertificationError, certify, saddle_point
from validation import soak

#: How far off a start may be: what the doors promise.
OFF = 1e-3
#: What the project promises of the float solver over its whole plane.
BUDGET = 1e-12
#: Digits of a certificate that measures a float: its error is a hundredth of an ulp.
ENOUGH = 18


def half_a_unit(digits):
    """Half a unit in the last place of a decimal string."""
    return mpmath.mpf(10) ** Decimal(digits).as_tuple().exponent / 2


# ------------------------------------------------------------------ digits known beforehand

# Found with 34 digits of work by an earlier code of ours; of the doubles nearest to alpha and
# lam, and every digit is good.
REFERENCE = [
    (5.0, 4.5, "0.0839803599987673392178", "-0.0862780811029043918270"),
    (5.0, 0.01, "0.161669961455269452025", "-1.51639531639645273183"),
    slow(5.0, 1000.0, "0.0937250206574493898628", "391.573838192482203580"),
    slow(1.0, 1.0, "0.254606823518608465400", "0.973488723208119471799"),
    slow(0.1, 0.3, "0.419785264680818082272", "2.44821963565028360752"),
    slow(0.01, 10000.0, "0.474622151363040033346", "199635.562939037214189"),
    slow(100.0, 88.5, "0.00441916421943873889538", "-3.03369079049669365654"),
    (1e6, 885000.0, "4.41978025666181527518e-7", "-12.2438265981470899402"),
]


@pytest.mark.parametrize(("alpha", "lam", "eps", "log_x"), REFERENCE)
def test_reference_digits_come_back_from_a_perturbed_start(alpha, lam, eps, log_x):
    log_c = -math.log(math.tan(math.pi * float(eps)))
    found = saddle_point(
        alpha,
        Logistic(lam),
        Teacher(),
        log_c=log_c + OFF * max(1, abs(log_c)),
        log_x=float(log_x) - OFF * max(1, abs(float(log_x))),
        digits=22,
    )
    with mpmath.workdps(30):
        assert abs(found.generalization_error - mpmath.mpf(eps)) <= half_a_unit(eps)
        assert abs(found.log_x - mpmath.mpf(log_x)) <= half_a_unit(log_x)


@pytest.mark.parametrize(
    ("alpha", "eps", "kappa"),
    [
        ("1", "0.265711469938", "0.786549842"),
        ("5", "0.093827007807", "0.196709612"),
        ("10", "0.049183396296", "0.099888671"),
    ],
)
def test_reference_digits_of_maximum_stability(alpha, eps, kappa):
    log_c = -math.log(math.tan(math.pi * float(eps)))
    found = saddle_point(
        alpha, HardMargin(), Teacher(), log_c=log_c + OFF, stability=float(kappa) * (1 + OFF),
        digits=15,
    )  # fmt: skip
    with mpmath.workdps(30):
        assert abs(found.generalization_error - mpmath.mpf(eps)) <= half_a_unit(eps)
        assert abs(found.stability - mpmath.mpf(kappa)) <= half_a_unit(kappa)


def test_reference_digits_of_storage_and_of_flipped_labels():
    for lam, log_x in (("1", "2.4156978856"), ("10", "24.6994669878")):
        found = saddle_point(
            "0.4", Logistic(lam), RandomLabels(), log_c=0, log_x=float(log_x) + OFF, digits=12
        )
        assert abs(found.log_x - mpmath.mpf(log_x)) <= half_a_unit(log_x)
        assert found.overlap == 0
    start = logistic_teacher_student(5.0, 1.0, label_flip=0.1)
    found = saddle_point(
        "5",
        Logistic("1"),
        Teacher(label_flip="0.1"),
        log_c=start.log_c,
        log_x=start.log_x,
        digits=15,
    )
    assert abs(found.overlap - mpmath.mpf("0.8613370011413")) <= half_a_unit("0.8613370011413")


# --------------------------------------------------------------------------- closed forms


def test_the_linear_loss_is_hebbs_rule():
    found = saddle_point("0.7", Linear(), Teacher(), log_c=-0.4, log_x=0.5, digits=60)
    with mpmath.workdps(65):
        alpha = mpmath.mpf("0.7")
        hebb = mpmath.sqrt(2 * alpha / (2 * alpha + mpmath.pi))
        assert abs(found.overlap / hebb - 1) <= mpmath.mpf(10) ** -60


def test_hard_margin_with_random_labels_is_gardners_formula():
    found = saddle_point("0.4", HardMargin(), RandomLabels(), log_c=0, stability=1.242, digits=60)
    with mpmath.workdps(65):
        kappa = found.stability
        alpha = 1 / ((1 + kappa**2) * mpmath.ncdf(kappa) + kappa * mpmath.npdf(kappa))
        assert abs(alpha / mpmath.mpf("0.4") - 1) <= mpmath.mpf(10) ** -59


# ----------------------------------------------------- the free energy, written down naively


def free_energy(alpha, lam, x, R):
    """e(x, R) = (1 - R^2)/(2x) - alpha int Dt 2 H(-c t) M(t), with mpmath's own tools."""
    c = R / mpmath.sqrt(1 - R * R)

    def integrand(t):
        slope = lambda D: D - t - 2 * x / (1 + mpmath.exp(2 * lam * D))  # noqa: E731
        D = mpmath.findroot(slope, (t, t + 2 * x), solver="anderson")
        moreau = mpmath.log1p(mpmath.exp(-2 * lam * D)) / lam + (D - t) ** 2 / (2 * x)
        return mpmath.npdf(t) * 2 * mpmath.ncdf(c * t) * moreau

    return (1 - R * R) / (2 * x) - alpha * mpmath.quad(integrand, [-8, -2, 0, 2, 8])


def test_a_certificate_is_a_stationary_point_of_the_free_energy():
    alpha, lam = 2.0, 1.5
    found = certify(logistic_teacher_student(alpha, lam))
    with mpmath.workdps(15):
        x, R = mpmath.exp(found.log_x), found.overlap
        h = mpmath.mpf("1e-4")

        def gradient(x, R):
            in_x = free_energy(alpha, lam, x + h, R) - free_energy(alpha, lam, x - h, R)
            in_R = free_energy(alpha, lam, x, R + h) - free_energy(alpha, lam, x, R - h)
            return in_x / (2 * h), in_R / (2 * h)

        # Central differences leave h^2/6 times a third derivative of at most about 10.
        assert max(abs(g) for g in gradient(x, R)) < 1e-7
        # A wrong point must not pass.
        assert min(abs(g) for g in gradient(x * (1 + OFF), R * (1 - OFF))) > 1e-5


# ------------------------------------------------------------- what a certificate says of itself


@pytest.mark.parametrize("few", [10, slow(20)])
@pytest.mark.parametrize(
    "problem",
    [
        Problem(5.0, Logistic(4.5)),
        Problem(3.0, Exponential(50.0)),
        Problem(5.0, Logistic(1.0), Teacher(label_flip=0.1, label_noise=0.3)),
        Problem(2.0, HardMargin()),
        Problem(0.4, Logistic(10.0), RandomLabels()),
    ],
    ids=repr,
)
def test_few_digits_agree_with_more(problem, few):
    solution = solve(problem)
    short, long = certify(solution, few), certify(solution, few + 10)
    assert short.error <= mpmath.mpf(10) ** -few
    assert long.error <= mpmath.mpf(10) ** -(few + 10)
    with mpmath.workdps(40):
        bound = max(short.error, mpmath.mpf(10) ** -few)
        for name in ("generalization_error", "one_minus_overlap"):
            assert abs(getattr(short, name) / getattr(long, name) - 1) <= 2 * bound
        if long.stability is None:
            assert abs(short.log_x - long.log_x) <= 2 * bound * max(1, abs(long.log_x))
        else:
            assert abs(short.stability / long.stability - 1) <= 2 * bound


def test_a_decimal_string_is_not_its_float():
    start = solve(Problem(0.1, Logistic(0.3)))
    guess = {"log_c": start.log_c, "log_x": start.log_x}
    exact = saddle_point("0.1", Logistic("0.3"), Teacher(), **guess, digits=22)
    rounded = saddle_point(0.1, Logistic(0.3), Teacher(), **guess, digits=22)
    with mpmath.workdps(40):
        # 0.1 and 0.3 are off by 6e-17 and 4e-17 (relative) as floats.
        assert 1e-19 < abs(exact.generalization_error / rounded.generalization_error - 1) < 1e-16
    assert mpmath.nstr(exact.alpha, 30) == "0.1"
    assert mpmath.nstr(rounded.alpha, 30) == "0.100000000000000005551115123126"


def test_a_certificate_tells_how_far_off_the_float_is():
    solution = logistic_teacher_student(5.0, 4.5)
    wrong = dataclasses.replace(
        solution, generalization_error=solution.generalization_error * (1 + 1e-9)
    )
    assert certify(wrong, 12).relative_error == pytest.approx(1e-9, rel=1e-6)
    assert "the float solution is off by 1.0e-9" in str(certify(wrong, 12))


def test_the_precision_of_mpmath_is_left_alone():
    solution = logistic_teacher_student(5.0, 4.5)
    users = solve(Problem(5.0, soak.OWN))
    with mpmath.workdps(23):
        certify(solution, 5)
        certify(users, 5, loss=soak.OWN_IN_MPMATH)
        with pytest.raises(ValueError, match="take and return mpmath numbers"):
            certify(users, 5, loss=soak.OWN)
        assert mpmath.mp.dps == 23


# ------------------------------------------------------------ the float solver's own estimate


def measured(solution, loss=None):
    """True relative errors of eps and 1 - R, and that of log x (absolute below 1)."""
    exact = certify(solution, ENOUGH, loss=loss)
    with mpmath.workdps(30):
        eps = abs(solution.generalization_error / exact.generalization_error - 1)
        rest = abs(solution.one_minus_overlap / exact.one_minus_overlap - 1)
        if exact.stability is None:
            log_x = abs(solution.log_x - exact.log_x) / max(1, abs(exact.log_x))
        else:
            log_x = abs(solution.stability / exact.stability - 1)
        return float(eps), float(rest), float(log_x)


NOISY = Teacher(label_flip=0.1)
PROBIT = Teacher(label_noise=0.7)


@pytest.mark.parametrize(
    "problem",
    [
        Problem(5.0, Logistic(4.5)),
        Problem(1e-3, Logistic(1e6)),
        Problem(1e8, Logistic(1e6)),
        slow(Problem(1e8, Logistic(1e-6))),
        slow(Problem(5.0, Logistic(0.0))),
        Problem(5.0, Logistic(np.inf)),
        Problem(5.0, Logistic(1.0), NOISY),
        slow(Problem(5.0, Logistic(0.5), PROBIT)),
        Problem(2.0, Logistic(0.5), Teacher(label_flip=0.05, label_noise=0.4)),
        Problem(0.4, Logistic(10.0), RandomLabels()),
        slow(Problem(3.0, Logistic(1.0), RandomLabels())),
        slow(Problem(3.0, Exponential(2.0))),
        Problem(3.0, Exponential(200.0)),
        Problem(2.0, Exponential(0.2), NOISY),
        Problem(4.0, Linear(), PROBIT),
        slow(Problem(3.0, Hinge(1.0))),
        Problem(3.0, Hinge(1.0), Teacher(label_flip=0.05)),
        Problem(0.3, Hinge(2.0), RandomLabels()),
        slow(Problem(3.0, SquaredHinge(1.0))),
        Problem(1.5, SquaredHinge(1.5), NOISY),
        slow(Problem(1.5, Square(1.0))),
        Problem(1.2, Square(2.0), PROBIT),
        slow(Problem(4.0, HardMargin())),
        Problem(1.0, HardMargin(), PROBIT),
        Problem(0.4, HardMargin(), RandomLabels()),
        slow(Problem(5.0, Logistic(1.0), LogisticTeacher(slope=2.0))),
        # pushes grow exponentially: those that decide come from beyond 8.6 standard deviations
        slow(Problem(1e8, Exponential(2.0), Teacher(label_flip=1e-4))),
        Problem(1e12, Exponential(3.5), Teacher(label_flip=1e-6)),
        # ... and from a tail of the clouds
        Problem(1e4, Exponential(4.0), inputs=Clusters([1.0], [4.0], [1.0])),
        Problem(20.0, Logistic(100.0), inputs=Clusters([1.0], [3.0], [1.0])),
    ],
    ids=repr,
)
def test_the_error_estimate_covers_the_error(problem):
    solution = solve(problem)
    eps, rest, log_x = measured(solution)
    assert eps <= solution.error_estimate
    assert rest <= solution.overlap_error
    size = max(1.0, abs(solution.log_x)) if np.isnan(solution.stability) else 1.0
    assert log_x * size <= solution.log_x_error
    assert max(eps, rest, log_x) <= BUDGET


@pytest.mark.parametrize("teacher", [slow(Teacher()), NOISY, slow(RandomLabels())], ids=repr)
def test_the_error_estimate_covers_the_error_for_a_users_loss(teacher):
    solution = solve(Problem(1.5, soak.OWN, teacher))
    eps, rest, log_x = measured(solution, soak.OWN_IN_MPMATH)
    assert eps <= solution.error_estimate
    assert max(eps, rest, log_x) <= BUDGET


def test_a_users_loss_is_followed_to_where_it_pushes():
    lam, teacher = 2.0, Teacher(label_flip=1e-4)
    own = SmoothLoss(
        V=lambda d: np.exp(-lam * d) / lam,
        dV=lambda d: -np.exp(-lam * d),
        d2V=lambda d: lam * np.exp(-lam * d),
        name="exponential",
    )
    ours, theirs = solve(Problem(1e8, own, teacher)), solve(Problem(1e8, Exponential(lam), teacher))
    error = abs(ours.generalization_error / theirs.generalization_error - 1)
    assert error <= ours.error_estimate + theirs.error_estimate <= BUDGET


def test_one_entry_of_an_array_certifies():
    solutions = logistic_teacher_student(np.array([1.0, 5.0]), np.array([[0.5], [4.5]]))
    entry = solutions[1, 1]
    assert entry.alpha == 5.0
    assert entry.lam == 4.5
    exact = certify(entry, 21)
    assert mpmath.nstr(exact.generalization_error, 18) == "0.0839803599987673392"
    assert exact.relative_error <= entry.error_estimate


# ---------------------------------------------------------------------------- what is refused


def test_an_array_is_refused():
    solutions = logistic_teacher_student(np.array([1.0, 5.0, 7.0]), 4.5)
    with pytest.raises(ValueError, match=r"`solution` must be one point .*got shape \(3,\)"):
        certify(solutions)


def test_a_smooth_loss_needs_functions_of_mpmath_numbers():
    solution = solve(Problem(5.0, soak.OWN))
    with pytest.raises(ValueError, match=r"`loss` must be given for a SmoothLoss.*got None"):
        certify(solution)
    with pytest.raises(ValueError, match=r"`loss` must have functions that take and return mpmath"):
        certify(solution, loss=soak.OWN)
    with pytest.raises(
        ValueError, match=r"`loss` must be given for a SmoothLoss.*and for no other"
    ):
        certify(logistic_teacher_student(5.0, 4.5), loss=soak.OWN_IN_MPMATH)


@pytest.mark.parametrize("digits", [4, 201, 12.5, "30", None])
def test_digits_out_of_range_are_refused(digits):
    with pytest.raises(ValueError, match="`digits` must be an integer from 5 to 200; got"):
        certify(logistic_teacher_student(5.0, 4.5), digits)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": -1.0}, "`alpha` must be positive.*got -1"),
        ({"alpha": "five"}, "`alpha` must be one number; got 'five'"),
        ({"alpha": [1.0, 2.0]}, "`alpha` must be one number"),
        ({"loss": "logistic"}, "`loss` must be a Loss"),
        ({"loss": Logistic(-1)}, "`lam` must be non-negative"),
        ({"loss": HardMargin()}, "`stability` must be one finite number; got None"),
        ({"loss": HardMargin(), "stability": -0.1}, "`stability` must be positive; got -0.1"),
        ({"teacher": 0.1}, "`teacher` must be a Teacher"),
        ({"teacher": Teacher(label_flip="0.6")}, r"`label_flip` must lie in \[0, 0.5\]"),
        ({"log_c": math.nan}, "`log_c` must be one finite number; got nan"),
        ({"log_x": math.inf}, "`log_x` must be one finite number; got inf"),
    ],
)
def test_a_bad_argument_is_named(change, message):
    arguments = {"alpha": 5.0, "loss": Logistic(4.5), "teacher": Teacher()}
    arguments |= {"log_c": 1.3, "log_x": -0.1}
    with pytest.raises(ValueError, match=message):
        saddle_point(**(arguments | change))


def test_a_start_that_leads_nowhere_is_a_certification_error():
    # alpha (1 + margin^2) < 1: zero loss is within reach, x would have to be infinite.
    with pytest.raises(CertificationError, match="the equations do not determine their unknowns"):
        saddle_point(0.5, Square(0.1), RandomLabels(), log_c=0.0, log_x=0.0)
