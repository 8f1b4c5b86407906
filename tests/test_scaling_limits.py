"""The two limits of many examples, against the full solver at alpha up to 1e8."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from replica import (
    EARLY_LAW_CONSTANT,
    Logistic,
    bayes_optimal,
    early_law,
    hebb,
    logistic_teacher_student,
    master_curve,
    master_optimum,
    max_stability,
    optimal_norm,
)

# Digits from an independent high-precision computation.
MASTER = [
    (0.01, 2.23256447704),
    (0.1, 0.758162199426),
    (2.0, 0.458151963597),
    (100, 0.499323489532),
]


@pytest.mark.parametrize(("ell", "value"), MASTER)
def test_master_curve_digits(ell, value):
    assert master_curve(ell) == pytest.approx(value, rel=5e-12)


def test_minimum_of_the_master_curve():
    best = master_optimum()
    assert best.value == pytest.approx(0.4419779178204, abs=5e-14)
    # the position of a minimum is often quoted from values; this one is a zero of the slope
    assert best.ell == pytest.approx(0.88358510, abs=2e-8)
    around = master_curve(best.ell * np.array([0.9, 0.999, 1.001, 1.1]))
    assert np.all(around > best.value)


@given(st.floats(-3, 3))
def test_master_curve_is_the_limit_of_the_solver(log_ell):
    """Corrections shrink with alpha; at small ell they are those of the early law."""
    ell = 10.0**log_ell
    limit = master_curve(ell)
    at = np.array([1e4, 1e8])
    full = at * logistic_teacher_student(at, ell * at).generalization_error
    assert full[1] == pytest.approx(limit, rel=1e-6)
    assert abs(full[0] / limit - 1) < 1e-3
    if ell > 0.1:
        assert full[1] == pytest.approx(limit, rel=1e-12)
    assert abs(full[1] / limit - 1) <= max(abs(full[0] / limit - 1), 1e-13)


@given(st.floats(-4, 2))
def test_early_law_is_the_limit_of_the_solver(log_lam):
    """Corrections are of order lam/alpha and alpha^(-1/2)."""
    lam = 10.0**log_lam
    limit = early_law(lam)
    at = np.array([1e4, 1e6, 1e8])
    full = np.sqrt(at) * logistic_teacher_student(at, lam).generalization_error
    error = np.abs(full / limit - 1)
    assert error[2] < 1e-5
    assert error[0] > error[1] > error[2] or error[2] < 1e-10


@given(st.floats(-6, 6))
def test_early_law_is_its_integral(log_lam):
    lam = 10.0**log_lam
    loss = Logistic(lam)
    cuts = np.concatenate([[0.0], np.minimum(9, np.array([0.5, 2.0, 8.0, 20.0]) / lam), [9.0]])
    integral = sum(
        quad(
            lambda t: np.exp(-t * t / 2) / np.sqrt(2 * np.pi) * loss.derivative(t) ** 2,
            a, b, epsabs=1e-13 / lam, epsrel=1e-12,
        )[0]
        for a, b in itertools.pairwise(cuts)
        if b > a
    )  # fmt: skip
    assert early_law(lam) == pytest.approx(np.sqrt(integral / np.pi), rel=1e-11)


def test_constant_in_closed_form_joins_both_laws():
    assert pytest.approx(0.2214824306, abs=5e-11) == EARLY_LAW_CONSTANT
    assert early_law(1e8) * 1e4 == pytest.approx(EARLY_LAW_CONSTANT, rel=1e-8)
    assert master_curve(1e-8) * 1e-4 == pytest.approx(EARLY_LAW_CONSTANT, rel=1e-7)
    # and the solver between them: 1 << lam << alpha
    middle = logistic_teacher_student(1e12, 1e6)
    assert middle.generalization_error * 1e9 == pytest.approx(EARLY_LAW_CONSTANT, rel=1e-4)
    assert middle.slope == pytest.approx(-0.5, abs=1e-4)


def test_ends_of_the_laws():
    assert early_law(0.0) == pytest.approx(1 / np.sqrt(2 * np.pi), rel=1e-14)
    assert early_law(0.0) == pytest.approx(1e4 * hebb(1e8).generalization_error, rel=1e-7)
    assert early_law(np.inf) == 0
    stable = 1e12 * max_stability(1e12).generalization_error
    assert master_curve(np.inf) == pytest.approx(stable, rel=1e-12)


def test_laws_of_the_optimum():
    """gamma_2 = 1 and eps_opt ~ 1/alpha, with the constants of the master curve."""
    best, limit = optimal_norm(np.array([1e4, 1e6, 1e8])), master_optimum()
    np.testing.assert_allclose(best.lam / best.alpha, limit.ell, rtol=1e-4)
    np.testing.assert_allclose(best.lam[1:] / best.alpha[1:], limit.ell, rtol=1e-9)
    np.testing.assert_allclose(best.generalization_error * best.alpha, limit.value, rtol=1e-4)
    gap = limit.value / (1e8 * bayes_optimal(1e8).generalization_error) - 1
    assert gap == pytest.approx(6.291e-4, abs=1e-7)
    # and lam_opt is not linear in alpha where alpha is of order one
    few = optimal_norm(np.array([1.0, 2.0, 5.0, 10.0, 20.0]))
    np.testing.assert_allclose(few.lam / few.alpha, [1.186, 0.999, 0.907, 0.890, 0.885], atol=6e-4)


def test_arrays_and_bad_input():
    np.testing.assert_array_equal(early_law([0.5, 2.0]), [early_law(0.5), early_law(2.0)])
    np.testing.assert_allclose(
        master_curve([[0.5], [2.0]]), [[master_curve(0.5)], [master_curve(2.0)]], rtol=1e-14
    )
    with pytest.raises(ValueError, match=r"`ell` must be positive.*; got 0"):
        master_curve(0.0)
    with pytest.raises(ValueError, match=r"`lam` must be non-negative.*; got -1"):
        early_law(-1.0)
    with pytest.warns(RuntimeWarning, match="1 of 2 entries are nan: `ell` must be positive"):
        values = master_curve([1.0, -1.0])
    assert np.isnan(values[1])
    assert values[0] == pytest.approx(master_curve(1.0), rel=1e-14)
