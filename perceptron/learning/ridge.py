"""The minimiser of a loss beside a ridge penalty: regularised logistic regression and others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perceptron import ranges
from perceptron.data import Examples, check_examples
from perceptron.learning import hinge
from perceptron.learning.fixed_norm import check_labels, checked_loss
from perceptron.learning.newton import NotConverged, Point, Problem, free_minimum, unit_of
from perceptron.losses import Hinge, Logistic, Loss
from perceptron.records import Learned
from replica.common import arguments
from replica.common.arguments import InvalidArgument

__all__ = ["RidgeMinimum", "minimize_at_ridge"]

Array = NDArray[np.float64]

#: Newton steps: the norm of separable examples grows by about one step per e-fold of the ridge.
MOST_STEPS = 1000


@dataclass(frozen=True, eq=False, kw_only=True)
class RidgeMinimum(Learned):
    r"""The minimiser at one ridge.

    ``weights`` have \|w\|^2 = N, as everywhere; the minimiser itself is rate * norm * weights,
    with the intercept rate * norm * intercept.

    Attributes
    ----------
    ridge : float
        Strength of the penalty.
    coefficients : (N,) array
        The minimiser.
    bias : float
        Its intercept, in units of z.
    gradient_norm : float
        Length of the gradient over that of the penalty's, which bounds the distance to the
        minimiser in parts of its length.
    duality_gap : float
        Of a hinge loss: upper bound on how far the objective is from the least one, in units of
        that at zero weights; nan for others.
    steps, products : int
        Newton steps, and passes over the inputs.
    """

    ridge: float
    coefficients: Array
    bias: float
    gradient_norm: float
    duality_gap: float = float("nan")
    steps: int
    products: int


def minimize_at_ridge(
    examples: Examples, ridge: float, *, loss: Loss | None = None, tolerance: float = 1e-8
) -> RidgeMinimum:
    r"""Minimise sum_mu ell(y (w.x/sqrt(N) + b)) + ridge \|w\|^2 / 2.

    ell(z) = log(1 + exp(-z)) by default, exp(-z) for the exponential loss, V itself for the
    others, which is what the theory's ``at_ridge`` and ``Solution.ridge`` mean. In the limit of
    large N `norm`, margins and losses of the result are those of the theory at this ridge. Where
    inputs count modes, the theory's fields have no root, and its ridge is N times this one.
    scikit-learn's LogisticRegression(C=1/ridge) on X/sqrt(N) has the same coefficients.

    Parameters
    ----------
    examples : Examples
        With ``intercept`` b is free and has no penalty; else it is zero.
    ridge : float
        Positive, in [1e-30, 1e30].
    loss : Loss, optional
        Of `perceptron.losses`, or one of your own with a continuous derivative. A sharpness
        lam that it may have does not count: the norm is an outcome here.
    tolerance : float
        On ``gradient_norm``, of a hinge loss on the duality gap; in (0, 0.1].

    Returns
    -------
    RidgeMinimum
        At the ``norm`` that the penalty leaves: \|w\| = 2 lam sqrt(N) for the logistic loss, lam
        sqrt(N) for others. `minimize_at_norm` at that norm, with the ``loss`` of the result, has
        the same weights.

    Raises
    ------
    ValueError
        For a bad argument.
    NotConverged
        If rounding keeps the tolerance out of reach.
    """
    check_examples(examples)
    ridge = arguments.number("ridge", ridge, ranges.RIDGE)
    tolerance = arguments.number("tolerance", tolerance, ranges.tolerance(0.1))
    given = Logistic() if loss is None else checked_loss(loss)
    if examples.intercept:
        check_labels(examples, given)
    c = unit_of(examples)
    textbook, rate = given.textbook, given.rate
    # u = c v/rate, v = w/sqrt(N): fields x.u/c are z/rate, and V of those is ell
    strength = ridge * (rate / c) ** 2 * examples.N
    if isinstance(textbook, Hinge):
        exact = hinge.beside_ridge(examples, textbook.margin, strength, tolerance)
        return _record(
            examples, ridge, given, exact.v, exact.b, exact.angle, exact.gap, exact.steps,
            exact.products,
        )  # fmt: skip
    problem = Problem(examples, textbook)
    v = np.zeros(examples.N)
    here, steps, arrived = free_minimum(
        problem,
        v,
        problem.best_intercept(v),
        strength / examples.P,
        tolerance=tolerance,
        most_steps=MOST_STEPS,
    )
    error = _error(problem, here, strength / examples.P)
    if not arrived:
        error = min(error, _bound(problem, here, strength / examples.P))
    if not error <= tolerance:
        raise NotConverged(
            f"`tolerance` must be one that rounding lets the gradient reach; got {tolerance:g}, "
            f"reached {error:.1e} at ridge = {ridge:g}"
        )
    return _record(
        examples, ridge, given, here.v, here.b, error, float("nan"), steps, problem.passes
    )


def _error(problem: Problem, here: Point, ridge: float) -> float:
    """The gradient over that of the penalty."""
    gradient = np.hypot(np.linalg.norm(here.gradient + ridge * here.v), here.along_b)
    return float(gradient / max(ridge * float(np.linalg.norm(here.v)), 1e-300))


def _bound(problem: Problem, here: Point, ridge: float) -> float:
    """Where that is rounding: the gradient over the least curvature and the length."""
    least = problem.least_curvature(here, ridge)
    noise = problem.noise(here)
    gradient = float(np.hypot(np.linalg.norm(here.gradient + ridge * here.v), here.along_b))
    length = float(np.linalg.norm(here.v))
    return (gradient + noise) / (least * length) if least > 0 and length > 0 else np.inf


def _record(
    examples: Examples,
    ridge: float,
    loss: Loss,
    u: Array,
    b: float,
    error: float,
    gap: float,
    steps: int,
    products: int,
) -> RidgeMinimum:
    """From weights u in the unit of the inputs to the record."""
    c, rate = unit_of(examples), loss.rate
    norm = float(np.linalg.norm(u)) / c
    if not norm > 0:
        raise InvalidArgument(
            "examples", "must pull the weights in some direction", "a minimiser of zero weights"
        )
    return RidgeMinimum(
        examples,
        u / c,
        norm,
        loss.textbook,
        b / norm,
        ridge=ridge,
        coefficients=u * (rate / c * np.sqrt(examples.N)),
        bias=rate * b,
        gradient_norm=error,
        duality_gap=gap,
        steps=steps,
        products=products,
    )
