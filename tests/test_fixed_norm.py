"""Losses at a norm and beside a ridge: laws, twins, proofs, units, intercepts, and the theory."""

import pickle

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize
from scipy.special import expit

import replica
from perceptron import (
    Examples,
    Exponential,
    Hinge,
    Learned,
    Linear,
    Logistic,
    Loss,
    NoMinimiser,
    NotConverged,
    Square,
    SquaredHinge,
    clusters,
    hebb_rule,
    minimize_at_norm,
    minimize_at_ridge,
    over_seeds,
    power_law,
    random_labels,
    teacher_student,
)
from perceptron.learning import hinge

#: On an angle; what is asked for by default.
TOLERANCE = 1e-8
#: Weights at |w|^2 = N of two ways to one minimiser: some sqrt(N) of that.
WEIGHTS = 1e-6
#: What SLSQP leaves of a small quadratic program.
TWIN = 1e-6


class Arcs(Loss):
    """A loss of the user's own: sqrt(1 + (2 - Delta)^2), a rounded distance."""

    def __repr__(self):
        """Without an address: workers must collect the same names."""
        return "Arcs()"

    def value(self, margins):
        return np.sqrt(1 + (2 - margins) ** 2)

    def slope(self, margins):
        return (margins - 2) / self.value(margins)

    def curvature(self, margins):
        return self.value(margins) ** -3


def own(x, y, dtype=np.float64, **options):
    return Examples(np.asarray(x, dtype=dtype), np.asarray(y, dtype=np.int8), **options)


def signed(examples):
    """y x/sqrt(N), one a row."""
    return examples.labels[:, None] * examples.inputs.astype(float) / np.sqrt(examples.N)


# ------------------------------------------------------------------------------- losses

FORMULAS = {
    Logistic(0.7): lambda d: mpmath.log(1 + mpmath.exp(-2 * 0.7 * d)) / 0.7,
    Exponential(1.3): lambda d: mpmath.exp(-1.3 * d) / 1.3,
    Linear(): lambda d: -d,
    Hinge(0.8): lambda d: max(0.8 - d, mpmath.mpf(0)),
    SquaredHinge(0.8): lambda d: max(0.8 - d, mpmath.mpf(0)) ** 2 / 2,
    Square(0.8): lambda d: (0.8 - d) ** 2 / 2,
}


@pytest.mark.parametrize("loss", FORMULAS, ids=repr)
@pytest.mark.parametrize("lam", [1.0, 2.5])
def test_losses_and_their_derivatives(loss, lam):
    margins = np.array([-30.0, -2.1, -0.3, 0.0, 0.31, 0.9, 3.0, 40.0])
    read = loss.at_norm(lam)
    with mpmath.workdps(60):

        def formula(d):
            return FORMULAS[loss](lam * mpmath.mpf(d)) / lam

        for got, order in ((read.value, 0), (read.slope, 1), (read.curvature, 2)):
            right = [
                float(mpmath.diff(formula, m, order, h=mpmath.mpf(10) ** -15)) for m in margins
            ]
            np.testing.assert_allclose(got(margins), right, rtol=1e-12, atol=1e-14)
    assert read.mean(margins) == pytest.approx(np.mean(read.value(margins)), rel=1e-14)


def test_the_theory_has_the_same_losses():
    margins = np.linspace(-3, 4, 29)
    for ours, theirs in (
        (Logistic(1.7), replica.Logistic(1.7)),
        (Exponential(1.7), replica.Exponential(1.7)),
        (Linear(), replica.Linear()),
        (Hinge(0.4), replica.Hinge(0.4)),
        (SquaredHinge(0.4), replica.SquaredHinge(0.4)),
        (Square(0.4), replica.Square(0.4)),
    ):
        np.testing.assert_allclose(ours.value(margins), theirs.value(margins), rtol=1e-14)
        np.testing.assert_allclose(ours.slope(margins), theirs.derivative(margins), rtol=1e-13)


def test_the_ends_of_the_logistic_loss():
    margins = np.array([-2.0, 0.0, 3.0])
    np.testing.assert_array_equal(Logistic(np.inf).value(margins), [4.0, 0.0, 0.0])
    np.testing.assert_array_equal(Logistic(np.inf).curvature(margins), 0.0)
    # which has a kink, and so have the losses that are made of it
    assert not Logistic(np.inf).smooth
    assert not Logistic(np.inf).at_norm(2.0).smooth
    assert all(Logistic(lam).smooth for lam in (0.0, 1.0, 1e3))
    np.testing.assert_array_equal(Logistic(0.0).slope(margins), -1.0)
    assert np.all(np.isinf(Logistic(0.0).value(margins)))
    np.testing.assert_allclose(
        Logistic(1e3).value(margins), Logistic(np.inf).value(margins), atol=np.log(2) / 1e3
    )


# ------------------------------------------------------------------------------ at norm

SMOOTH = [
    Logistic(2.0), Exponential(0.8), Square(2.0), SquaredHinge(2.0), SquaredHinge(0.9), Arcs(),
]  # fmt: skip


@settings(max_examples=8)
@given(st.integers(0, 10**6), st.floats(1.5, 4), st.booleans())
@pytest.mark.parametrize("loss", SMOOTH, ids=repr)
def test_the_gradient_vanishes_along_the_sphere(loss, seed, alpha, intercept):
    """Sum V' y x = -mu w with mu > 0, and sum V' y = 0 if there is an intercept."""
    drawn = teacher_student(30, alpha, seed, "gaussian", label_flip=0.05)
    data = Examples(drawn.inputs, drawn.labels, drawn.teacher, seed, intercept, drawn.law)
    try:
        found = minimize_at_norm(data, loss=loss)
    except NoMinimiser as error:
        assume(not (error.limit < 1 or "many weights are" in str(error)))
        raise
    force = loss.slope(found.margins)
    pull = -force @ signed(data) * np.sqrt(30)
    n = found.weights / np.sqrt(30)
    along = pull @ n
    assert along > 0
    assert np.linalg.norm(pull - along * n) <= 2 * TOLERANCE * along
    assert found.train_loss == pytest.approx(np.mean(loss.value(found.margins)), rel=1e-14)
    if intercept:
        assert abs(force @ data.labels) <= 2 * TOLERANCE * along
    else:
        assert found.intercept == 0.0
    # no weights nearby are better
    rng = np.random.default_rng(seed)
    for size in (1e-3, 0.1, 1.0):
        w = found.weights + size * rng.standard_normal(30)
        w *= np.sqrt(30) / np.linalg.norm(w)
        b = found.intercept + intercept * size * rng.standard_normal()
        there = loss.value(data.labels * (data.inputs @ w / np.sqrt(30) + b)).mean()
        assert there >= found.train_loss * (1 - 1e-12)


def test_conjugate_gradients_and_a_factorised_matrix_end_at_one_place(monkeypatch):
    drawn = teacher_student(80, 3.0, 4, "gaussian", label_flip=0.02)
    for intercept in (False, True):
        data = Examples(drawn.inputs, drawn.labels, intercept=intercept)
        for loss in SMOOTH:
            monkeypatch.setattr("perceptron.learning.newton.DENSE_UP_TO", 200)
            dense = minimize_at_norm(data, loss=loss)
            monkeypatch.setattr("perceptron.learning.newton.DENSE_UP_TO", 0)
            monkeypatch.setattr("perceptron.learning.newton.DENSE_SOMETIMES_UP_TO", 0)
            sparse = minimize_at_norm(data, loss=loss)
            assert sparse.products > dense.products
            np.testing.assert_allclose(sparse.weights, dense.weights, atol=WEIGHTS)
            assert sparse.intercept == pytest.approx(dense.intercept, abs=WEIGHTS)


def test_the_linear_loss_is_hebbs_rule():
    data = teacher_student(40, 3.0, 1)
    np.testing.assert_array_equal(
        minimize_at_norm(data, loss=Linear()).weights, hebb_rule(data).weights
    )
    assert minimize_at_norm(data, 3.0, loss=Linear()).train_loss == pytest.approx(
        -minimize_at_norm(data, 3.0, loss=Linear()).margins.mean(), rel=1e-13
    )


def test_the_norm_scales_the_argument_of_any_loss():
    data = teacher_student(40, 3.0, 1, label_flip=0.05)
    for loss, twin in ((Exponential(), Exponential(1.4)), (Hinge(3.0), Hinge(3.0 / 1.4))):
        found, right = minimize_at_norm(data, 1.4, loss=loss), minimize_at_norm(data, loss=twin)
        np.testing.assert_allclose(found.weights, right.weights, atol=WEIGHTS)
        assert found.train_loss == pytest.approx(right.train_loss, rel=1e-9)
        assert (found.norm, right.norm) == (1.4, 1.0)


# -------------------------------------------------------------------------------- hinge


def program(examples, margin, ridge=None):
    """SLSQP on the quadratic program: on the ball if no ridge is given; v and objective."""
    a, y = signed(examples), examples.labels.astype(float)
    p, n = a.shape
    with_b = float(examples.intercept)

    def objective(z):
        return z[n + 1 :].sum() + (0.5 * ridge * z[:n] @ z[:n] if ridge else 0.0)

    def gradient(z):
        return np.concatenate([(ridge or 0.0) * z[:n], [0.0], np.ones(p)])

    rows = np.column_stack([a, with_b * y, np.eye(p)])
    constraints = [{"type": "ineq", "fun": lambda z: rows @ z - margin, "jac": lambda z: rows}]
    if ridge is None:
        constraints.append(
            {
                "type": "ineq",
                "fun": lambda z: n - z[:n] @ z[:n],
                "jac": lambda z: np.concatenate([-2 * z[:n], np.zeros(p + 1)]),
            }
        )
    start = np.concatenate([np.zeros(n), [0.0], np.full(p, margin)])
    start[:n] = a.sum(axis=0) / np.linalg.norm(a.sum(axis=0))
    bounds = [(None, None)] * (n + 1) + [(0, None)] * p
    found = minimize(
        objective, start, jac=gradient, constraints=constraints, bounds=bounds, method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )  # fmt: skip
    return found.x[:n], found.fun


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_hinge_loss_beside_a_quadratic_program(seed, intercept):
    drawn = teacher_student(10, 2.5, seed, "gaussian", label_flip=0.1)
    data = Examples(drawn.inputs, drawn.labels, intercept=intercept)
    found = minimize_at_norm(data, loss=Hinge(2.0))
    right, loss = program(data, 2.0)
    assert found.duality_gap <= 1e-10
    assert found.train_loss == pytest.approx(loss / data.P, rel=TWIN)
    np.testing.assert_allclose(found.weights, right, atol=1e-3)  # the loss is flat to second order
    beside = minimize_at_ridge(data, 0.3, loss=Hinge(2.0))
    right, objective = program(data, 2.0, 0.3)
    assert beside.duality_gap <= 1e-8
    reached = np.maximum(2.0 - beside.norm * beside.margins, 0).sum()
    reached += 0.15 * beside.coefficients @ beside.coefficients
    assert reached == pytest.approx(objective, rel=TWIN)
    np.testing.assert_allclose(beside.coefficients, right, atol=1e-3)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.floats(0.5, 5), st.floats(0.6, 3), st.booleans())
def test_multipliers_prove_the_least_hinge_loss(seed, alpha, margin, intercept):
    """Any beta in [0, 1]^P with sum y beta = 0 bounds the loss of all weights from below."""
    drawn = random_labels(25, alpha, seed, "gaussian")
    data = Examples(drawn.inputs, drawn.labels, None, seed, intercept)
    if intercept and abs(data.labels.sum()) == data.P:
        return
    unit = hebb_rule(drawn).weights / 5.0
    found = hinge.at_length(data, margin, unit, 1e-10)
    if found.limit is not None or found.attained:
        return
    beta = found.multipliers
    assert np.all((beta >= 0) & (beta <= 1))
    if intercept:
        assert abs(beta @ data.labels) <= 1e-12 * beta.sum()
    bound = margin * beta.sum() - np.sqrt(25) * np.linalg.norm(beta @ signed(data))
    margins = data.labels * (data.inputs @ found.v + found.b)
    loss = np.maximum(margin - margins, 0).sum()
    assert loss - bound <= 2e-10 * margin * data.P
    record = minimize_at_norm(data, loss=Hinge(margin))
    assert record.train_loss * data.P == pytest.approx(loss, abs=2e-10 * margin * data.P)
    # those that lie on the margin pull in part, those beyond it not at all
    assert np.all(beta[margins > margin + 1e-6] == 0)
    assert np.all(beta[margins < margin - 1e-6] >= 1 - 1e-9)  # balanced for the intercept


@pytest.mark.parametrize("ridge", [0.02, 1.0, None])
def test_coordinate_ascent_leaves_few_steps_and_the_same_answer(ridge, monkeypatch):
    data = teacher_student(60, 4.0, 3, "gaussian", label_flip=0.1)

    def learn():
        if ridge is None:
            return minimize_at_norm(data, loss=Hinge())
        return minimize_at_ridge(data, ridge, loss=Hinge())

    def objective(found):
        penalty = 0.0 if ridge is None else 0.5 * ridge * found.coefficients @ found.coefficients
        return np.maximum(1 - found.norm * found.margins, 0).sum() + penalty

    quick = learn()
    monkeypatch.setattr(hinge, "MOST_VISITS", 0)
    plain = learn()
    assert 2 * quick.steps < plain.steps
    gaps = (quick.duality_gap + plain.duality_gap) * data.P
    # and what sums of P losses are rounded by
    assert abs(objective(quick) - objective(plain)) <= gaps + 1e-12 * data.P


@pytest.mark.parametrize("seed", range(3))
def test_the_limit_of_a_hinge_loss_is_that_of_its_linear_program(seed):
    data = random_labels(10, 4.0, seed, "gaussian")
    a = signed(data)
    cost = np.concatenate([np.zeros(10), np.ones(data.P)])
    rows = -np.column_stack([a, np.eye(data.P)])
    bounds = [(None, None)] * 10 + [(0, None)] * data.P
    w = linprog(cost, A_ub=rows, b_ub=-np.ones(data.P), bounds=bounds).x[:10]
    limit = np.linalg.norm(w) / np.sqrt(10)
    with pytest.raises(NoMinimiser, match="must not exceed the norm of the unconstr") as caught:
        minimize_at_norm(data, 1.05 * limit, loss=Hinge())
    assert caught.value.limit == pytest.approx(limit, rel=1e-4)
    assert minimize_at_norm(data, 0.95 * limit, loss=Hinge()).train_loss > 0


# -------------------------------------------------------------------------------- ridge

RIDGED = [Logistic(), Exponential(), Linear(), Hinge(), SquaredHinge(1.2), Square(0.9), Arcs()]


def ell(loss, z):
    """The loss of free weights, as the docstring says it."""
    if isinstance(loss, Logistic):
        return np.logaddexp(0, -z)
    return np.exp(-z) if isinstance(loss, Exponential) else loss.value(z)


@pytest.mark.parametrize("loss", RIDGED, ids=repr)
@pytest.mark.parametrize("intercept", [False, True])
def test_ridge_and_norm_are_two_names_of_one_minimiser(loss, intercept):
    if intercept and isinstance(loss, Linear):
        return
    drawn = teacher_student(40, 3.0, 2, "gaussian", label_flip=0.05)
    data = Examples(drawn.inputs, drawn.labels, drawn.teacher, 2, intercept, drawn.law)
    found = minimize_at_ridge(data, 0.7, loss=loss)
    at_norm = minimize_at_norm(data, found.norm, loss=found.loss)
    np.testing.assert_allclose(found.weights, at_norm.weights, atol=1e2 * WEIGHTS)
    assert found.intercept == pytest.approx(at_norm.intercept, abs=1e2 * WEIGHTS)
    assert found.train_loss == pytest.approx(at_norm.train_loss, abs=1e-7)
    rate = 2 if isinstance(loss, Logistic) else 1
    assert np.linalg.norm(found.coefficients) == pytest.approx(rate * found.norm * np.sqrt(40))
    np.testing.assert_allclose(found.coefficients, rate * found.norm * found.weights, rtol=1e-12)

    def objective(w, b):
        z = data.labels * (data.inputs @ w / np.sqrt(40) + b)
        return ell(loss, z).sum() + 0.35 * w @ w

    least = objective(found.coefficients, found.bias)
    rng = np.random.default_rng(0)
    for size in (1e-4, 1e-2, 1.0):
        w = found.coefficients + size * rng.standard_normal(40)
        b = found.bias + intercept * size * rng.standard_normal()
        assert objective(w, b) > least


@pytest.mark.parametrize("intercept", [False, True])
def test_logistic_regression_of_scikit_learn(intercept):
    linear_model = pytest.importorskip("sklearn.linear_model")
    drawn = teacher_student(30, 4.0, 3, "gaussian", label_flip=0.1)
    data = Examples(drawn.inputs, drawn.labels, intercept=intercept)
    found = minimize_at_ridge(data, 0.2)
    model = linear_model.LogisticRegression(
        C=5.0, fit_intercept=intercept, tol=1e-10, solver="newton-cholesky", max_iter=100
    )
    model.fit(data.inputs.astype(float) / np.sqrt(30), data.labels)
    np.testing.assert_allclose(found.coefficients, model.coef_[0], rtol=1e-6, atol=1e-8)
    assert found.bias == pytest.approx(float(np.ravel(model.intercept_)[0]), abs=1e-7)


def test_a_general_minimiser_beside_a_ridge():
    data = teacher_student(20, 2.0, 3, "gaussian", label_flip=0.1)
    a = signed(data)
    right = minimize(
        lambda w: np.logaddexp(0, -a @ w).sum() + 0.1 * w @ w,
        np.zeros(20),
        jac=lambda w: -expit(-a @ w) @ a + 0.2 * w,
        options={"gtol": 1e-10},
    )
    np.testing.assert_allclose(minimize_at_ridge(data, 0.2).coefficients, right.x, atol=1e-7)


@given(st.floats(-8, 3), st.integers(0, 1000))
@settings(max_examples=15)
def test_the_norm_falls_with_the_ridge(exponent, seed):
    data = teacher_student(20, 2.0, seed)
    norms = [minimize_at_ridge(data, 10.0**e).norm for e in (exponent, exponent + 0.3)]
    assert norms[0] > norms[1]


# ----------------------------------------------------------------- intercepts and units


@pytest.mark.parametrize("loss", [Logistic(), Square(2.0), Hinge(2.0), SquaredHinge(2.0)], ids=repr)
def test_an_intercept_takes_up_a_shift_of_the_inputs(loss):
    data = clusters(120, np.ones(20), np.full(20, 0.3), positive=0.3, seed=1)
    shift = np.random.default_rng(0).standard_normal(20)
    moved = own(data.inputs + shift, data.labels, intercept=True)
    for rule in (
        lambda e: minimize_at_norm(e, 0.9, loss=loss),
        lambda e: minimize_at_ridge(e, 0.5, loss=loss),
    ):
        here, there = rule(data), rule(moved)
        np.testing.assert_allclose(there.weights, here.weights, atol=1e3 * WEIGHTS)
        change = here.intercept - shift @ here.weights / np.sqrt(20)
        assert there.intercept == pytest.approx(change, abs=1e3 * WEIGHTS)
        assert abs(here.intercept) > 0.01


@pytest.mark.parametrize("c", [1e-30, 1e-8, 1e-3, 1e5, 1e30])
@pytest.mark.parametrize("n", [40, 210])
def test_units_of_the_inputs_count_in_the_norm_alone(c, n):
    drawn = teacher_student(n, 2.0, 3, "gaussian", label_flip=0.02)
    for dtype in (np.float32, np.float64):
        plain = own(drawn.inputs, drawn.labels, dtype, intercept=True)
        other = own(drawn.inputs.astype(float) * c, drawn.labels, dtype, intercept=True)
        for loss in (Logistic(), SquaredHinge(2.0), Square(2.0), Hinge(2.0)):
            if n > 100 and isinstance(loss, Hinge):
                continue
            right, found = (
                minimize_at_norm(plain, loss=loss),
                minimize_at_norm(other, 1 / c, loss=loss),
            )
            atol = 2e-4 if dtype == np.float32 else 1e2 * WEIGHTS  # of inputs rounded anew
            np.testing.assert_allclose(found.weights, right.weights, atol=atol)
            assert found.intercept / c == pytest.approx(right.intercept, abs=atol)
            assert found.train_loss / c == pytest.approx(right.train_loss, rel=1e-5)
        if 1e-14 < c < 1e14:
            norm = minimize_at_ridge(other, 0.2 * c * c).norm
            assert norm * c == pytest.approx(minimize_at_ridge(plain, 0.2).norm, rel=1e-6)


# ------------------------------------------------------------- where minimisers are, or not


def table_of_a_dummy():
    """A column that is 1 only where y = 1, beside one that does not separate the rest."""
    rng = np.random.default_rng(4)
    d = (rng.random(60) < 0.3).astype(float)
    z = rng.standard_normal(60)
    y = np.where(d == 1, 1, np.where(rng.random(60) < 1 / (1 + np.exp(-z)), 1, -1))
    return np.c_[d, z, np.ones(60)], y


@pytest.mark.parametrize("lam", [5.0, 10.0, 20.0, 50.0, 200.0, 1000.0])
def test_tables_that_separate_in_part_have_minimisers_at_every_norm(lam):
    x, y = table_of_a_dummy()
    a = x * y[:, None]

    def loss(v):
        return np.logaddexp(0, -2 * lam * (a @ (v / np.linalg.norm(v)))).mean() / lam

    tight = {"xatol": 1e-12, "fatol": 1e-16, "maxiter": 20000}
    right = minimize(loss, [1, 0.01, -0.01], method="Nelder-Mead", options=tight)
    found = minimize_at_norm(own(x, y), lam)
    assert found.train_loss <= right.fun * (1 + 1e-12)
    # two of three coordinates are those of the examples that nothing separates
    assert found.weights[0] > 0
    assert found.gradient_norm <= TOLERANCE
    other = minimize_at_norm(own(x[:, :2], y, intercept=True), lam)
    assert other.train_loss <= found.train_loss * (1 + 1e-12)  # its third coordinate is free


@pytest.mark.parametrize("lam", [1.0, 30.0, 1000.0])
def test_tables_that_contradict_themselves(lam):
    """One input twice, with either label: what is perpendicular to it separates the rest."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 3))
    y = np.where(x[:, 0] + 0.3 > 0, 1, -1)
    x = np.r_[x, [[0.0, 2.0, 0.5]], [[0.0, 2.0, 0.5]]]
    y = np.r_[y, 1, -1]
    x = np.c_[x, np.r_[np.ones(20), 0, 0]]
    found = minimize_at_norm(own(x, y), lam)
    twins = found.margins[-2:]
    assert twins[0] == pytest.approx(-twins[1], abs=1e-14)
    # the twins alone are left of the loss at large norm: they lie on the boundary
    assert found.train_loss >= 2 * np.log(2) / 22 / lam * (1 - 1e-12)
    if lam >= 30:
        assert found.train_loss == pytest.approx(2 * np.log(2) / 22 / lam, rel=0.2)


def test_the_refusal_names_the_norm_asked_for_and_the_limit():
    rng = np.random.default_rng(1)
    rng.standard_normal((20, 50)), rng.random(20)
    y = np.where(np.arange(300) < 3, 1, -1)
    x = rng.standard_normal((300, 20))
    x[:3] += 1
    data = own(x, y, np.float32)
    with pytest.raises(NoMinimiser, match=r"these 300 examples, \d.*, beyond.*; got 3$") as caught:
        minimize_at_norm(data, 3.0)
    # the root, beside a general minimiser
    a = signed(data)
    free = minimize(
        lambda w: np.logaddexp(0, -2 * a @ w).sum(),
        np.zeros(20),
        jac=lambda w: -2 * expit(-2 * a @ w) @ a,
        options={"gtol": 1e-9},
    )
    limit = np.linalg.norm(free.x) / np.sqrt(20)
    assert caught.value.limit == pytest.approx(limit, rel=1e-6)
    assert f"{limit:.4g}" in str(caught.value)
    near = minimize_at_norm(data, 0.999 * limit)
    np.testing.assert_allclose(near.weights * limit, free.x, atol=0.02)
    with pytest.raises(NoMinimiser):
        minimize_at_norm(data, 1.001 * limit)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.limit) == (str(caught.value), caught.value.limit)


def test_a_refusal_on_a_path_names_what_was_asked():
    data = random_labels(60, 4.0, 1)
    with pytest.raises(NoMinimiser, match=r"got 7\.5$") as caught:
        minimize_at_norm(data, [0.1, 7.5])
    assert minimize_at_norm(data, 0.99 * caught.value.limit).train_loss > 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d: minimize_at_norm(d, loss="hinge"), ValueError, "`loss` must be a Loss"),
        (lambda d: minimize_at_norm(d, loss=Logistic(0.0)), ValueError, "`loss` must have a pos"),
        (lambda d: minimize_at_norm(d, loss=Kinked()), ValueError, "must have a continuous slope"),
        (lambda d: minimize_at_norm(d, loss=Hinge(0.1)), NoMinimiser, "many weights are"),
        (lambda d: minimize_at_norm(d, loss=SquaredHinge(0.1)), NoMinimiser, "many weights are"),
        (lambda d: minimize_at_norm(d, loss=Hinge(-1.0)), NoMinimiser, "examples, 0, beyond"),
        (lambda d: minimize_at_norm(d, 1e6), NotConverged, "is not zero in double precision"),
        (lambda d: minimize_at_norm(d, 1.0, tolerance=1e-17), NotConverged, "`tolerance` must be"),
        (lambda d: minimize_at_ridge(d, 0.0), ValueError, "`ridge` must be positive"),
        (lambda d: minimize_at_ridge(d, 1.0, tolerance=1e-30), NotConverged, "`tolerance` must"),
        (lambda d: minimize_at_ridge(d, 1.0, loss=None, tolerance=1), ValueError, "`tolerance`"),
        (lambda d: hebb_rule(bent(d)), ValueError, "`examples` must have no intercept"),
        (lambda d: minimize_at_norm(bent(d), loss=Linear()), ValueError, "must not be Linear"),
        (
            lambda d: minimize_at_norm(own(d.inputs, np.ones(d.P), intercept=True)),
            ValueError,
            "`examples` must have both labels",
        ),
    ],
)  # fmt: skip
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call(teacher_student(30, 1.5, 1))


class Kinked(Arcs):
    smooth = False


def bent(examples):
    return Examples(examples.inputs, examples.labels, intercept=True)


# ------------------------------------------------------------------------------ records


def test_records_answer_for_new_inputs():
    data = clusters(400, np.ones(20), np.full(20, 0.3), positive=0.3, seed=1)
    found = minimize_at_norm(data, 1.0)
    x, y = data.inputs.astype(float), data.labels
    assert found.score(x, y) == pytest.approx(1 - found.train_error, abs=1e-12)
    np.testing.assert_allclose(y * found.decision_function(x), found.margins, atol=1e-12)
    np.testing.assert_array_equal(found.predict(x.tolist()), np.sign(found.decision_function(x)))
    assert found.predict(x).dtype == np.int8
    assert found.generalization_error == data.error_of(found.weights, found.intercept)
    twin = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(twin.predict(x), found.predict(x))
    measured = Learned(data, 7 * found.weights, 1.0, Logistic(), found.intercept)
    for name in ("norm", "intercept", "train_error"):
        assert getattr(measured, name) == getattr(found, name)
    for name in ("overlap", "generalization_error", "train_loss"):
        assert getattr(measured, name) == pytest.approx(getattr(found, name), rel=1e-12)
    for bad, name in (
        (lambda: found.predict(x[0]), "X"),
        (lambda: found.predict(x[:, 1:]), "X"),
        (lambda: found.predict(x * np.nan), "X"),
        (lambda: found.score(x, y[1:]), "y"),
        (lambda: found.score(x, np.zeros(400)), "y"),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must"):
            bad()


# --------------------------------------------------------------------- with the theory

#: Corrections of order 1/N beside four standard errors, in parts of the value: a bound from
#: runs at twice the size.
FINITE = 0.015


def measured(draw, rule, seeds):
    """Mean and standard error of what a rule finds."""

    def one(seed):
        data = draw(seed)
        found = rule(data)
        return {
            "error": found.generalization_error,
            "lam": found.norm,
            "loss": found.train_loss,
            "mean": found.margins.mean(),
            "intercept": found.intercept,
            "variance": data.law.input_variance(found.weights),
        }

    return over_seeds(one, seeds)


def compare(found, right, names):
    for name in names:
        off = abs(float(found.mean(name)) - right[name])
        assert off < 4 * found.standard_error(name) + FINITE * abs(right[name]), name


def predicted(solution):
    return {
        "error": solution.generalization_error,
        "lam": solution.lam,
        "loss": solution.train_loss,
        "mean": solution.margins.mean(),
        "intercept": solution.intercept,
        "variance": solution.input_variance,
    }


def test_the_theory_of_a_ridge():
    found = measured(
        lambda s: teacher_student(300, 2.0, s, label_noise=0.5),
        lambda d: minimize_at_ridge(d, 0.1),
        16,
    )
    compare(
        found,
        predicted(replica.at_ridge(2.0, 0.1, label_noise=0.5)),
        ("error", "lam", "loss", "mean"),
    )
    wrong = predicted(replica.at_ridge(2.0, 0.2, label_noise=0.5))
    assert abs(found.mean("lam") - wrong["lam"]) > 8 * found.standard_error("lam")


def test_the_theory_of_a_hinge_loss():
    found = measured(
        lambda s: teacher_student(200, 3.0, s, label_flip=0.05),
        lambda d: minimize_at_norm(d, loss=Hinge(2.0)),
        12,
    )
    problem = replica.Problem(3.0, replica.Hinge(2.0), replica.Teacher(label_flip=0.05))
    compare(found, predicted(replica.solve(problem)), ("error", "loss", "mean"))
    control = predicted(
        replica.solve(replica.Problem(3.0, replica.Hinge(2.0), replica.Teacher(0.2)))
    )
    assert abs(found.mean("loss") - control["loss"]) > 8 * found.standard_error("loss")


def test_the_theory_of_inputs_that_count_modes():
    """P is the theory's alpha, N ridge its ridge; norm, margins, losses and Q are the same."""
    modes, count, ridge = 400, 200, 1.0
    found = measured(
        lambda s: teacher_student(modes, count / modes, s, power_law(1.5, 0.3, modes)),
        lambda d: minimize_at_ridge(d, ridge / modes),
        16,
    )
    right = replica.at_ridge(count, ridge, inputs=replica.PowerLaw(1.5, 0.3, modes=modes))
    compare(found, predicted(right), ("error", "lam", "loss", "mean", "variance"))
    other = replica.at_ridge(count, ridge, inputs=replica.PowerLaw(1.5, 0.6, modes=modes))
    assert abs(found.mean("error") - other.generalization_error) > 8 * found.standard_error("error")


def test_the_theory_of_unequal_clusters():
    k = np.arange(1.0, 201)
    found = measured(
        lambda s: clusters(200, 1 / k, 0.8 / k, positive=0.25, seed=s),
        lambda d: minimize_at_ridge(d, 1.0 / 200),
        16,
    )
    right = replica.at_ridge(200, 1.0, inputs=replica.Clusters(1 / k, 0.8 / k, positive=0.25))
    compare(found, predicted(right), ("error", "lam", "loss", "mean", "intercept", "variance"))
    other = replica.at_ridge(200, 1.0, inputs=replica.Clusters(1 / k, 0.8 / k, positive=0.5))
    off = abs(found.mean("intercept") - other.intercept)
    assert off > 8 * found.standard_error("intercept")
