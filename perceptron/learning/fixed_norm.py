"""The minimiser of the logistic loss on the sphere: eq. (1) of the paper at finite N."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from perceptron import ranges
from perceptron.data import Examples, check_examples
from perceptron.learning.hebb import pull_of_all
from perceptron.records import Learned, measure
from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["FixedNorm", "NoMinimiser", "minimize_at_norm"]

Array = NDArray[np.float64]

#: The norm is raised by about this factor from one minimiser to the next one's start.
STRIDE = 2.0
#: Tolerance of the minimisers between; a choice.
ROUGH = 1e-4
#: Up to this norm single precision serves in the products with the Hessian: the
#: curvatures then differ by few orders of magnitude.
SINGLE_UP_TO = 10.0
#: Where a path without a start begins: there Hebb's rule is a good guess.
FIRST_NORM = 0.5
#: Newton steps at one norm; 5 to 12 are usual.
MOST_STEPS = 100
#: Products with the Hessian for one Newton step.
MOST_PRODUCTS = 500
#: Squared residuals that have grown by this factor will not fall again; a choice.
DIVERGES = 1e8
#: A norm below this would make 1/lam, the size of the loss, a number without use.
SMALLEST = 1e-30
#: A mean loss below this has lost its small terms to underflow.
SMALLEST_LOSS = 1e-280


@dataclass(frozen=True, eq=False)
class FixedNorm(Learned):
    """The minimiser at one norm.

    Attributes
    ----------
    gradient_norm : float
        Length of the gradient's part along the sphere over its part along w:
        the angle, in radians, between w and the direction that the examples
        pull in. Zero at the minimum.
    steps, products : int
        Newton steps, and passes over the inputs.
    """

    gradient_norm: float
    steps: int
    products: int


class NoMinimiser(ValueError):
    """The norm is beyond that of the unconstrained minimiser, or the descent stalled."""


@overload
def minimize_at_norm(
    examples: Examples, lam: float, *, start: Array | None = None, tolerance: float = 1e-8
) -> FixedNorm: ...
@overload
def minimize_at_norm(
    examples: Examples,
    lam: Sequence[float] | Array,
    *,
    start: Array | None = None,
    tolerance: float = 1e-8,
) -> list[FixedNorm]: ...
def minimize_at_norm(
    examples: Examples,
    lam: float | Sequence[float] | Array,
    *,
    start: Array | None = None,
    tolerance: float = 1e-8,
) -> FixedNorm | list[FixedNorm]:
    r"""Minimise sum_mu V_lam(Delta^mu), V_lam = log(1 + exp(-2 lam Delta))/lam, at \|w\|^2 = N.

    Newton's method on the sphere. Each step is found by conjugate gradients
    with products of the inputs alone, in single precision; gradients and
    losses are in double precision.

    Parameters
    ----------
    examples : Examples
    lam : float or sequence of floats
        The norm, positive and finite. A sequence is solved in ascending order,
        each minimiser starting the next, and answered in the order given. The
        textbook loss log(1 + exp(-z)) at \|w\| = sqrt(q N) is lam = sqrt(q)/2.
    start : (N,) array, optional
        Direction to start from; Hebb's rule otherwise.
    tolerance : float
        On ``gradient_norm``, in (0, 0.1].

    Returns
    -------
    FixedNorm, or a list of them

    Raises
    ------
    ValueError
        For a bad argument.
    NoMinimiser
        If the data are not separable and ``lam`` exceeds the norm of the
        unconstrained minimiser, where the problem is no longer convex; or if
        ``lam`` is so large that every exp(-2 lam Delta) underflows.
    """
    tolerance = arguments.number("tolerance", tolerance, ranges.tolerance(0.1))
    check_examples(examples)
    scalar, norms = _norms(lam)
    unit = _direction(examples, start)
    results: dict[int, FixedNorm] = {}
    path = [] if start is None else [(np.inf, unit)]
    for i in np.argsort(norms, kind="stable"):
        lowest = path[-1][0] * STRIDE if path else FIRST_NORM
        for rung in _rungs(lowest, norms[i]):
            unit = _minimise(examples, rung, _predict(path, rung, unit), ROUGH)[0]
            path.append((rung, unit))
        unit, gradient_norm, steps, products = _minimise(
            examples, norms[i], _predict(path, norms[i], unit), tolerance
        )
        path.append((norms[i], unit))
        results[int(i)] = FixedNorm(
            **measure(examples, unit, norms[i]),  # type: ignore[arg-type]
            gradient_norm=gradient_norm,
            steps=steps,
            products=products,
        )
    ordered = [results[i] for i in range(len(norms))]
    return ordered[0] if scalar else ordered


def _norms(lam: Any) -> tuple[bool, list[float]]:
    """Whether one norm was given, and the norms."""
    rule = "positive and finite"
    try:
        if isinstance(lam, np.ma.MaskedArray | bytearray):
            raise TypeError
        values = np.asarray(lam, dtype=object)
    except (TypeError, ValueError, UserWarning):  # ragged, or masked
        raise InvalidArgument(
            "lam", f"must be {rule}, or a sequence of such numbers", quoted(lam)
        ) from None
    if values.ndim > 1:
        raise InvalidArgument("lam", "must be one number or a sequence", f"shape {values.shape}")
    norms = [
        arguments.number("lam", v, arguments.POSITIVE, ranges.at_least(SMALLEST))
        for v in values.ravel()
    ]
    return values.ndim == 0, norms


def _rungs(lowest: float, goal: float) -> list[float]:
    """Norms between, none of them more than a factor `STRIDE` from the next."""
    rungs = []
    while lowest < goal / STRIDE**0.5:
        rungs.append(lowest)
        lowest *= STRIDE
    return rungs


def _predict(path: list[tuple[float, Array]], lam: float, unit: Array) -> Array:
    """The direction at ``lam`` from the last two: it is nearly linear in 1/lam at large lam.

    There Delta = kappa + O(1/lam) on the support, while an error of the direction
    counts lam times in the exponent.
    """
    if len(path) < 2 or not np.isfinite(path[-2][0]) or path[-2][0] == path[-1][0]:
        return unit
    (before, first), (last, second) = path[-2:]
    ratio = (1 / lam - 1 / last) / (1 / last - 1 / before)
    guess = second + ratio * (second - first)
    return guess / np.linalg.norm(guess)


def _direction(examples: Examples, start: Array | None) -> Array:
    """A unit vector to start from."""
    if start is None:
        vector = pull_of_all(examples)
    else:
        vector = arguments.vector("start", start, examples.N)
        vector /= np.max(np.abs(vector)) or 1.0  # whose length does not overflow
    length = np.linalg.norm(vector)
    if not (length > 0 and np.isfinite(length)):
        raise InvalidArgument(
            "start", "must be a finite vector other than zero", f"length {length}"
        )
    return vector / length


@dataclass
class _Point:
    """A point of the sphere: margins, the logarithm of the mean loss and its gradient.

    The loss itself may be exp(-600); its logarithm has gradients of order lam.
    """

    unit: Array
    margins: Array
    log_loss: float
    gradient: Array  # along the sphere
    radial: float  # -n.grad, positive where the loss falls with the norm

    @classmethod
    def at(cls, examples: Examples, unit: Array, lam: float) -> _Point:
        n, p = examples.N, examples.P
        fields, pull = examples.products.gradient(unit * np.sqrt(n), lam)
        margins = examples.labels * fields
        loss = -np.mean(log_expit(2 * lam * margins)) / lam
        if loss < SMALLEST_LOSS:
            raise NoMinimiser(
                f"`lam` must be small enough that exp(-2 lam Delta) of some example is not zero in "
                f"double precision (max_stability gives the limit lam -> inf); got {lam:g}"
            )
        gradient = pull * (np.sqrt(n) / p / loss)
        radial = -float(unit @ gradient)
        return cls(unit, margins, float(np.log(loss)), gradient + radial * unit, radial)

    @property
    def angle(self) -> float:
        """Tangential over radial gradient."""
        return float(np.linalg.norm(self.gradient) / max(abs(self.radial), 1e-300))


def _minimise(
    examples: Examples, lam: float, unit: Array, tolerance: float
) -> tuple[Array, float, int, int]:
    """Newton on the sphere from one unit vector to the minimiser."""
    here = _Point.at(examples, unit, lam)
    products = 1
    for steps in range(MOST_STEPS):
        if here.angle <= tolerance:
            if here.radial <= 0:
                raise _beyond(examples, lam)
            return here.unit, here.angle, steps, products
        step, spent = _newton_step(examples, here, lam)
        there, tries = _line_search(examples, here, step, lam)
        products += spent + tries
        if there is None:
            break
        here = there
    if here.radial <= 0:
        raise _beyond(examples, lam)
    raise NoMinimiser(
        f"`tolerance` must be one that rounding lets the gradient reach; got {tolerance:g}, "
        f"reached {here.angle:.1e} at lam = {lam:g}"
    )


def _newton_step(examples: Examples, here: _Point, lam: float) -> tuple[Array, int]:
    """Solve (H + radial) step = -gradient along the sphere by conjugate gradients.

    H = (1/P) sum V'' x x^T over the mean loss. The shift is the curvature of the sphere; far from
    the minimum it may be negative, and is then replaced by the gradient's length.
    """
    n, p = examples.N, examples.P
    y = 2 * lam * here.margins
    curvature = 4 * lam * expit(y) * expit(-y) * (n / p * np.exp(-here.log_loss))
    length = float(np.linalg.norm(here.gradient))
    shift = here.radial if here.radial > 0 else length
    goal = min(0.1, max(here.angle, 1e-4)) * length
    step = np.zeros(n)
    residual = -here.gradient
    direction = residual.copy()
    first = rr = float(residual @ residual)
    for k in range(MOST_PRODUCTS):
        product = examples.products.weighted(direction, curvature, single=lam <= SINGLE_UP_TO)
        product -= (product @ here.unit) * here.unit
        product += shift * direction
        bend = float(direction @ product)
        if not bend > 0:  # rounding in single precision
            return (step if k else residual), k + 1
        a = rr / bend
        step += a * direction
        residual -= a * product
        new = float(residual @ residual)
        if new <= goal * goal or new > DIVERGES * first:  # the gradient is rounding itself
            return step, k + 1
        direction = residual + (new / rr) * direction
        direction -= (direction @ here.unit) * here.unit
        rr = new
    return step, MOST_PRODUCTS


def _line_search(
    examples: Examples, here: _Point, step: Array, lam: float
) -> tuple[_Point | None, int]:
    """Halve the step until the loss, or near the minimum the gradient, has fallen."""
    size = 1.0
    slope = float(here.gradient @ step)
    for tries in range(1, 40):
        unit = here.unit + size * step
        there = _Point.at(examples, unit / np.linalg.norm(unit), lam)
        if there.log_loss <= here.log_loss + 1e-4 * size * slope:
            return there, tries
        # near the minimum the loss changes by less than its rounding; the gradient decides
        if there.angle < 0.9 * here.angle and there.log_loss < here.log_loss + 1e-9:
            return there, tries
        size *= 0.5
    return None, tries


def _beyond(examples: Examples, lam: float) -> NoMinimiser:
    return NoMinimiser(
        f"`lam` must not exceed the norm of the unconstrained minimiser of these "
        f"{examples.P} examples, which are not separable: the loss grows with the norm here; "
        f"got {lam:g}"
    )
