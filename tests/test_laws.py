"""Limits and laws of the fixed-norm path, for problems drawn at random."""

import numpy as np
import pytest
from grids import slow
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import average, free_energy, proximal

from replica import (
    Exponential,
    Hinge,
    Linear,
    Logistic,
    Problem,
    RandomLabels,
    SmoothLoss,
    Square,
    SquaredHinge,
    Teacher,
    bayes_optimal,
    convexity_limit,
    gibbs,
    hebb,
    logistic_storage,
    logistic_teacher_student,
    max_stability,
    optimal_norm,
    solve,
    storage_max_stability,
)
from replica.problem import pose

# Equality of two ways to the same double: a few hundred roundings.
ROUNDING = 1e-13


def logarithmic(low, high):
    return st.floats(np.log10(low), np.log10(high)).map(lambda e: 10.0**e)


alphas = logarithmic(1e-3, 1e8)
lams = logarithmic(1e-6, 1e6)


@given(alphas)
def test_zero_norm_is_hebb(alpha):
    exact = hebb(alpha)
    assert exact.overlap == pytest.approx(np.sqrt(2 * alpha / (2 * alpha + np.pi)), rel=1e-15)
    zero = logistic_teacher_student(alpha, 0.0)
    assert zero.generalization_error == pytest.approx(exact.generalization_error, rel=ROUNDING)
    assert zero.train_loss == np.inf
    # the first correction in lam is of order lam times a typical margin
    near = logistic_teacher_student(alpha, 1e-9 * min(1, alpha**0.5))
    assert near.generalization_error == pytest.approx(exact.generalization_error, rel=1e-8)
    linear = solve(Problem(alpha, Linear()))
    assert linear.generalization_error == zero.generalization_error


@given(alphas)
def test_infinite_norm_is_maximum_stability(alpha):
    infinite, stable = logistic_teacher_student(alpha, np.inf), max_stability(alpha)
    assert infinite.generalization_error == stable.generalization_error
    assert infinite.stability == stable.stability == stable.margins.atom.position
    assert infinite.train_error == 0
    assert infinite.margins.atom.weight * alpha == pytest.approx(infinite.multiplier, rel=1e-10)


@given(logarithmic(0.1, 1e5))
def test_maximum_stability_is_approached_as_one_over_lam(alpha):
    """The distance falls tenfold with lam tenfold larger, and log x is 2 lam kappa."""
    stable = max_stability(alpha)
    scale = 1e4 * (1 + alpha)
    path = logistic_teacher_student(alpha, [scale, 10 * scale])
    gap = np.abs(stable.generalization_error - path.generalization_error)
    assert gap[0] / gap[1] == pytest.approx(10, rel=0.01)
    kappa = path.log_x / (2 * path.lam)
    assert kappa[1] == pytest.approx(stable.stability, rel=1e-2)


@given(logarithmic(0.05, 1e7))
def test_optimum_stays_above_bayes(alpha):
    best = optimal_norm(alpha)
    assert 0 < best.bayes_gap < 7e-4
    around = logistic_teacher_student(alpha, best.lam * np.array([0.9, 0.99, 1.01, 1.1]))
    assert np.all(around.generalization_error > best.generalization_error)
    assert best.generalization_error < min(
        hebb(alpha).generalization_error,
        gibbs(alpha).generalization_error,
        max_stability(alpha).generalization_error,
    )


@given(alphas, lams, st.floats(1.01, 10))
def test_error_falls_with_more_examples(alpha, lam, factor):
    few, many = logistic_teacher_student([alpha, alpha * factor], lam).generalization_error
    assert many < few


@given(alphas, lams)
def test_no_rule_beats_bayes(alpha, lam):
    here = logistic_teacher_student(alpha, lam)
    slack = 1 + 1e-14
    assert here.generalization_error * slack >= bayes_optimal(alpha).generalization_error
    assert here.multiplier < 1 + 1e-12
    assert here.replicon <= here.multiplier * slack
    assert here.error_estimate < 1e-12


@given(logarithmic(1e-2, 1e6), logarithmic(1e-3, 1e4))
def test_slope_is_the_derivative_of_the_curve(alpha, lam):
    h = 1e-4
    eps = logistic_teacher_student(alpha, lam * np.exp([-h, 0.0, h]))
    finite = np.diff(np.log(eps.generalization_error[[0, 2]]))[0] / (2 * h)
    assert eps.slope[1] == pytest.approx(finite, abs=2e-9, rel=1e-6)


teachers = st.one_of(
    st.just(Teacher()),
    st.floats(0.0, 0.5).map(lambda p: Teacher(label_flip=p)),
    logarithmic(1e-2, 1e2).map(lambda s: Teacher(label_noise=s)),
    st.tuples(st.floats(0.0, 0.5), st.floats(0.0, 3.0)).map(lambda n: Teacher(*n)),
)
losses = st.one_of(
    logarithmic(1e-2, 1e2).map(Logistic),
    logarithmic(1e-2, 1e2).map(Exponential),
    st.floats(0.5, 3).map(Hinge),
    st.floats(0.5, 3).map(SquaredHinge),
    st.floats(0.5, 3).map(Square),
)


@settings(max_examples=8)
@given(losses, teachers, logarithmic(0.2, 20), st.floats(0.1, 0.9), logarithmic(0.05, 5))
def test_equations_are_the_gradient_of_the_free_energy(loss, teacher, alpha, r, x):
    """Anywhere, not only at the solution: de/dx and de/dR of eq. (4), the latter by differences."""
    noise = {"flip": teacher.label_flip, "sigma": teacher.label_noise}
    equations = pose(Problem(alpha, loss, teacher)).equations(np.array([0]))
    z = np.array([[np.log(r / np.sqrt(1 - r * r)), np.log(x)]])
    moments = equations.moments(z, np.array([0]), order=20)
    residuals, _ = equations.residuals(z, np.array([0]), moments)
    step, pull = np.array([1 - r * r, r]) * np.exp(residuals[0])  # alpha A, alpha sqrt(2/pi) B
    kinks = [loss.margin - x, loss.margin] if hasattr(loss, "margin") else []

    def envelope(t):
        d = proximal(loss, x, t)
        return float(loss.value(d)) + (d - t) ** 2 / (2 * x)

    def push_squared(t):
        return (proximal(loss, x, t) - t) ** 2

    assert step == pytest.approx(alpha * average(push_squared, r, breaks=kinks, **noise), rel=1e-8)
    # d/dR of alpha int Dt W M must be -alpha sqrt(2/pi) B / x; five points, error h^4
    h = 0.01 * min(r, 1 - r)
    energy = [alpha * average(envelope, r + k * h, breaks=kinks, **noise) for k in (-2, -1, 1, 2)]
    slope = (energy[0] - 8 * energy[1] + 8 * energy[2] - energy[3]) / (12 * h)
    if teacher.label_flip < 0.5:
        assert pull == pytest.approx(-x * slope, rel=1e-5, abs=1e-8 * alpha)


@pytest.mark.parametrize(
    (
        "loss",
        "noise",
    ),  # every loss; every noise with a smooth and a bent one
    [
        slow(Logistic(2.0), {}),
        (Hinge(1.2), {}),
        (Logistic(2.0), {"flip": 0.1}),
        slow(SquaredHinge(1.0), {"flip": 0.1}),
        (Square(1.5), {"flip": 0.2, "sigma": 0.3}),
        slow(Hinge(1.2), {"flip": 0.2, "sigma": 0.3}),
    ],
)
def test_free_energy_is_stationary_at_the_solution(loss, noise):
    teacher = Teacher(label_flip=noise.get("flip", 0.0), label_noise=noise.get("sigma", 0.0))
    solution = solve(Problem(2.0, loss, teacher), require_convex=False)
    x, r = np.exp(solution.log_x), solution.overlap

    def e(x, r):
        return free_energy(loss, 2.0, x, r, **noise)

    h = 1e-3
    scale = 1 / x
    # central differences: h^2 of the third derivatives, which are of the scale of e itself
    assert abs(e(x * (1 + h), r) - e(x * (1 - h), r)) / (2 * h) < 1e-4 * scale
    assert abs(e(x, r + h) - e(x, r - h)) / (2 * h) < 1e-4 * scale
    # and not so a little off it: the test can fail
    assert abs(e(x, 0.9 * r + h) - e(x, 0.9 * r - h)) / (2 * h) > 1e-3 * scale


@given(alphas, lams)
def test_flips_at_one_half_and_infinite_noise_are_storage(alpha, lam):
    if lam > convexity_limit(alpha, label_flip=0.5) * (1 - 1e-9):
        return
    storage = logistic_storage(alpha, lam)
    for noise in ({"label_flip": 0.5}, {"label_noise": np.inf}):
        same = logistic_teacher_student(alpha, lam, **noise)
        assert same.log_x == storage.log_x
        assert same.overlap == 0
        assert same.generalization_error == 0.5
    near = logistic_teacher_student(alpha, lam, label_flip=0.5 - 1e-9)
    assert near.overlap < 1e-4
    assert near.log_x == pytest.approx(storage.log_x, rel=1e-6, abs=1e-6)


@given(logarithmic(1e-2, 1.99))
def test_storage_at_infinite_norm_is_gardner(alpha):
    kappa = storage_max_stability(alpha)
    assert logistic_storage(alpha, np.inf).stability == pytest.approx(kappa, rel=1e-10)


@settings(max_examples=10)
@given(logarithmic(2.05, 1e4))
def test_multiplier_is_one_at_the_limit_of_convexity(alpha):
    limit = convexity_limit(alpha, label_flip=0.5)
    at = logistic_storage(alpha, limit * (1 - 1e-12))
    assert at.multiplier == pytest.approx(1, abs=1e-10)
    with pytest.raises(ValueError, match=r"`lam` must not exceed .* the limit of convexity"):
        logistic_storage(alpha, limit * 1.01)


@settings(max_examples=10)
@given(logarithmic(2.1, 50))
def test_beyond_the_limit_of_convexity_a_larger_norm_no_longer_lowers_the_loss(alpha):
    """lam V_lam is the loss at norm lam: its slope in the norm changes sign at the limit."""
    limit = convexity_limit(alpha, label_flip=0.3)
    if not np.isfinite(limit):
        return
    teacher = Teacher(label_flip=0.3)
    path = solve(
        Problem(alpha, Logistic(limit * np.array([0.5, 0.99, 1.0, 1.01])), teacher),
        require_convex=False,
    )
    loss = path.lam * path.train_loss
    assert loss[0] > loss[1] > loss[2] < loss[3]


@settings(max_examples=20)
@given(logarithmic(1e-1, 1e4), logarithmic(1e-3, 1e2))
def test_user_loss_equals_the_built_in_one(alpha, lam):
    built_in = Logistic(lam)
    own = SmoothLoss(built_in.value, built_in.derivative, built_in.curvature)
    a, b = solve(Problem(alpha, built_in)), solve(Problem(alpha, own))
    assert b.generalization_error == pytest.approx(a.generalization_error, rel=1e-12)
    for name in ("train_loss", "multiplier", "replicon"):
        assert getattr(b, name) == pytest.approx(getattr(a, name), rel=1e-10)
    assert b.train_error == pytest.approx(a.train_error, rel=1e-9, abs=1e-15)
    assert abs(b.generalization_error / a.generalization_error - 1) < 2 * b.error_estimate


def test_square_loss_has_a_closed_form():
    """Eq. (27): a cubic for g = x/(1 + x)."""
    alpha, k, noise = 3.0, 1.3, 0.7
    teacher = Teacher(label_flip=0.05, label_noise=noise)
    solution = solve(Problem(alpha, Square(k), teacher))
    rho = alpha * np.sqrt(2 / np.pi) * k * 0.9 / np.sqrt(1 + noise**2)
    roots = np.roots([-2 * rho**2, alpha * (k**2 + 1) + rho**2, 0, -1])
    g = next(root.real for root in roots if abs(root.imag) < 1e-12 and 0 < root.real < 1)
    assert solution.overlap == pytest.approx(rho * g, rel=1e-12)
    assert np.exp(-solution.log_x) == pytest.approx(1 / g - 1, rel=1e-12)


def test_storage_of_a_hinge_reaches_the_edge_of_its_stability():
    """A hinge margin at Gardner's kappa(alpha) is the last that can be given to all."""
    alpha = 0.7
    kappa = storage_max_stability(alpha)
    just_above = solve(Problem(alpha, Hinge(kappa * 1.0001), RandomLabels()))
    assert just_above.train_loss < 1e-4
    with pytest.raises(ValueError, match="`margin` must exceed the maximum stability"):
        solve(Problem(alpha, Hinge(kappa * 0.9999), RandomLabels()))
