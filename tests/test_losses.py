"""Losses and teachers: derivatives, proximal points, mixtures."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replica import (
    Exponential,
    HardMargin,
    Hinge,
    Linear,
    Logistic,
    LogisticTeacher,
    Problem,
    RandomLabels,
    Square,
    SquaredHinge,
    Teacher,
)
from replica.problem import pose
from replica.teachers import LabelModel

SMOOTH = [Logistic(0.01), Logistic(3.0), Exponential(2.0), Linear(), Square(1.5)]
KINKED = [Hinge(1.2), Hinge(-0.5), SquaredHinge(0.7)]


@pytest.mark.parametrize("loss", SMOOTH + KINKED, ids=repr)
def test_derivatives(loss):
    margin = np.linspace(-3.03, 4.01, 41)
    h = 1e-5
    slope = (loss.value(margin + h) - loss.value(margin - h)) / (2 * h)
    np.testing.assert_allclose(loss.derivative(margin), slope, rtol=1e-6, atol=1e-8)
    bend = (loss.derivative(margin + h) - loss.derivative(margin - h)) / (2 * h)
    np.testing.assert_allclose(loss.curvature(margin), bend, rtol=1e-6, atol=1e-8)
    assert np.all(loss.curvature(margin) >= 0)
    assert loss.value(1.0).shape == loss.derivative(1.0).shape == ()


def test_textbook_normalisation():
    """log(1 + exp(-z)) at |w| = sqrt(q N) is lam V_lam with lam = sqrt(q)/2; Hebb's V' is -1."""
    q, margin = 7.0, np.linspace(-2, 2, 9)
    lam = np.sqrt(q) / 2
    textbook = np.log1p(np.exp(-np.sqrt(q) * margin))
    np.testing.assert_allclose(lam * Logistic(lam).value(margin), textbook, rtol=1e-14)
    assert Logistic(0.3).derivative(0.0) == -1
    # the paper's eq. (1): -(lam Delta - log 2 cosh(lam Delta)) / lam
    paper = -(lam * margin - np.log(2 * np.cosh(lam * margin))) / lam
    np.testing.assert_allclose(Logistic(lam).value(margin), paper, rtol=1e-13)


def proximal(loss, x, t):
    parameter = getattr(loss, loss.parameter) if loss.parameter else 0.0
    return loss.proximal(np.full_like(t, parameter), np.full_like(t, np.log(x)), t)


@given(
    st.one_of(
        st.floats(-4, 4).map(lambda e: Logistic(10.0**e)),
        st.floats(-4, 4).map(lambda e: Exponential(10.0**e)),
        st.floats(-2, 3).map(Hinge),
        st.floats(-2, 3).map(SquaredHinge),
        st.floats(0.1, 3).map(Square),
        st.just(Linear()),
    ),
    st.floats(-6, 4),
    st.floats(-9, 9),
)
def test_proximal_optimality(loss, log_x, field):
    """0 is a subgradient of V(D) + (D - t)^2/(2x): zero lies between its one-sided slopes."""
    x, t = 10.0**log_x, np.array([field])
    d = proximal(loss, x, t)
    step = 1e-9 * (1 + np.abs(d))
    with np.errstate(over="ignore"):
        right = (d + step - t) + x * loss.derivative(d + step)
        left = (d - step - t) + x * loss.derivative(d - step)
        scale = 1e-12 * (np.abs(d - t) + np.abs(t) + 1)
    assert left[0] <= scale[0]
    assert right[0] >= -scale[0]


@given(st.floats(0, 8), st.floats(-9, 9), st.floats(-3, 6))
def test_proximal_point_where_x_overflows(log_lam, field, kappa_scale):
    """At lam = 1e8 x is exp(1e8): only its logarithm exists, and D0 is kappa or t."""
    lam = 10.0**log_lam
    b = 2 * lam * 10.0**kappa_scale * 1e-3
    out = Logistic(lam).proximal(np.array([lam]), np.array([b]), np.array([field]))
    assert np.isfinite(out[0])
    assert out[0] >= field
    with mpmath.workdps(40):
        d, t, rate = mpmath.mpf(out[0]), mpmath.mpf(field), 2 * mpmath.mpf(lam)
        # log of both sides of (D - t) (1 + e^(rate D)) = 2 x
        side = mpmath.log(d - t) + mpmath.log1p(mpmath.exp(rate * d)) if d > t else None
        if side is not None and d - t > 1e-6 * max(1, abs(d)):
            assert abs(side - mpmath.mpf(b) - mpmath.log(2)) < 1e-9 * max(1, rate * abs(d))


def test_hard_margin_projects():
    t = np.array([-1.0, 0.3, 0.7])
    out = HardMargin().proximal(np.zeros(3), np.full(3, np.log(0.5)), t)
    np.testing.assert_allclose(out, [0.5, 0.5, 0.7], rtol=1e-15)
    assert HardMargin().value(0.3) == 0


def test_mixtures():
    posed = pose(Problem(1.0, Linear(), Teacher([0.0, 0.1, 0.5, 0.1], [0.0, 2.0, 0.0, np.inf])))
    np.testing.assert_allclose(posed.labels.signal[:, 0], [1, 0.8, 0, 0])
    np.testing.assert_allclose(posed.labels.noise[:, 0], [0, 2, 0, 0])
    storage = pose(Problem([1.0, 2.0], Linear(), RandomLabels()))
    assert not storage.labels.signal.any()
    assert storage.labels.signal.shape == (2, 1)
    assert issubclass(LogisticTeacher, LabelModel)


@pytest.mark.parametrize("slope", [0.1, 1.0, 2.236, 30.0])
def test_logistic_teacher_is_a_mixture_of_probits(slope):
    """sum_k w_k Phi(z/sigma_k) is 1/(1 + exp(-slope z)), to the accuracy that it claims."""
    posed = pose(Problem(1.0, Linear(), LogisticTeacher(slope)))
    weight, sigma = posed.labels.signal[0], posed.labels.noise[0]
    assert weight.sum() == pytest.approx(1, abs=1e-15)
    for z in (-3.0, -0.2, 0.01, 1.0, 4.0):
        mixture = sum(
            w * 0.5 * mpmath.erfc(-z / s / mpmath.sqrt(2))
            for w, s in zip(weight, sigma, strict=True)
        )
        assert float(mixture) == pytest.approx(1 / (1 + np.exp(-slope * z)), rel=1e-12, abs=1e-14)
