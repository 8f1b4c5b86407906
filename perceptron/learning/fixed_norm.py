"""The minimiser of a loss on the sphere: eq. (1) of the paper at finite N, and other losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from perceptron import ranges
from perceptron.data import Examples, check_examples
from perceptron.learning import hinge
from perceptron.learning.hebb import pull_of_all
from perceptron.learning.newton import (
    NotConverged,
    Point,
    Problem,
    check_underflow,
    free_minimum,
    least_reached,
    sphere_minimum,
    unit_of,
)
from perceptron.losses import Exponential, Hinge, Linear, Logistic, Loss
from perceptron.records import Learned
from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted, show

__all__ = ["FixedNorm", "NoMinimiser", "minimize_at_norm"]

Array = NDArray[np.float64]

#: The norm is raised by about this factor from one minimiser to the next one's start.
STRIDE = 2.0
#: Tolerance of the minimisers between; a choice.
ROUGH = 1e-4
#: Where a path without a start begins: there Hebb's rule is a good guess.
FIRST_NORM = 0.5
#: Fields of the first guess between 1/4 and 4 count as those of inputs of unit variance; a choice.
USUAL = 4.0
#: A norm below this would make 1/lam, the size of the loss, a number without use.
SMALLEST = 1e-60
#: Descents through the ball, each back to a lower point of the sphere; one is usual.
MOST_DESCENTS = 20
#: Where the gradient counts as zero, over its terms and the longest input: some units of rounding.
AT_REST = 1e-12
#: A pull of so many times its rounding cannot have an angle of 1e-8; and a gradient of so few
#: times its rounding is zero.
FAINT, STILL = 1e8, 10.0
#: On a step of Newton's, in units of 1/lam, at the end of a descent; a choice.
SMALL_STEP = 1e-3
#: A duality gap of a hinge loss that counts as exact; a choice above rounding.
EXACT_GAP = 1e-10


@dataclass(frozen=True, eq=False, kw_only=True)
class FixedNorm(Learned):
    """The minimiser at one norm.

    Attributes
    ----------
    gradient_norm : float
        Length of the gradient's part along the sphere (its part in the intercept included) over
        its part along w: the angle, in radians, between w and the direction that the examples
        pull in. Zero at the minimum. Where that pull is next to rounding, as it is at large norm
        if only some of the examples can be separated, a bound on the angle between w and the
        minimiser from the least curvature along the sphere, if that is less. The loss is least to
        rounding in any case; pi says that this leaves the direction open. Of a hinge loss, whose
        gradient jumps, the angle of its multipliers' pull.
    duality_gap : float
        Of a hinge loss: upper bound on how far the loss is from the least one, in units of that at
        margins of zero; nan for others.
    steps, products : int
        Newton steps, and passes over the inputs.
    """

    gradient_norm: float
    duality_gap: float = float("nan")
    steps: int
    products: int


class NoMinimiser(ValueError):
    """The norm is beyond that of the unconstrained minimiser, or many weights are as good.

    Attributes
    ----------
    limit : float
        The norm of the unconstrained minimiser; nan where the reason is another.
    """

    def __init__(self, message: str, limit: float = float("nan")):
        super().__init__(message)
        self.limit = limit

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """So that it comes back from another process."""
        return type(self), (str(self), self.limit)


@overload
def minimize_at_norm(
    examples: Examples,
    lam: float = 1.0,
    *,
    loss: Loss | None = None,
    start: Array | None = None,
    tolerance: float = 1e-8,
) -> FixedNorm: ...
@overload
def minimize_at_norm(
    examples: Examples,
    lam: Sequence[float] | Array,
    *,
    loss: Loss | None = None,
    start: Array | None = None,
    tolerance: float = 1e-8,
) -> list[FixedNorm]: ...
def minimize_at_norm(
    examples: Examples,
    lam: float | Sequence[float] | Array = 1.0,
    *,
    loss: Loss | None = None,
    start: Array | None = None,
    tolerance: float = 1e-8,
) -> FixedNorm | list[FixedNorm]:
    r"""Minimise sum_mu V(lam Delta^mu)/lam at \|w\|^2 = N: the loss V at the norm lam.

    The logistic loss by default, log(1 + exp(-2 lam Delta))/lam. Any other at lam = 1 is
    sum_mu V(Delta^mu) itself, with the theory's V.

    Newton's method on the sphere. In more than 200 dimensions each step is found by conjugate
    gradients with products of the inputs alone, in single precision where that suffices;
    gradients and losses are in double precision. A hinge loss takes proximal steps, each of them
    such a problem, until its duality gap proves the answer.

    Parameters
    ----------
    examples : Examples
        With ``intercept`` Delta = y (w.x/sqrt(N) + b), and b is free.
    lam : float or sequence of floats
        The norm, positive and finite. A sequence is solved in ascending order,
        each minimiser starting the next, and answered in the order given. The
        textbook loss log(1 + exp(-z)) at \|w\| = sqrt(q N) is lam = sqrt(q)/2.
    loss : Loss, optional
        `perceptron.losses.Logistic` at norm 1 by default. Linear, hinge, or one with a continuous
        derivative, of your own if you like.
    start : (N,) array, optional
        Direction to start from; Hebb's rule otherwise.
    tolerance : float
        On ``gradient_norm``, in (0, 0.1]; of a hinge loss on the duality gap, which is brought to
        1e-10 if that is less.

    Returns
    -------
    FixedNorm, or a list of them

    Raises
    ------
    ValueError
        For a bad argument.
    NoMinimiser
        If ``lam`` exceeds the norm of the unconstrained minimiser, where the problem is no longer
        convex; or if every margin reaches that of the loss's minimum, as many weights' then do.
    NotConverged
        If rounding keeps the tolerance out of reach, or ``lam`` is so large that every
        exp(-2 lam Delta) underflows.
    """
    tolerance = arguments.number("tolerance", tolerance, ranges.tolerance(0.1))
    check_examples(examples)
    loss = Logistic() if loss is None else checked_loss(loss)
    scalar, norms = _norms(lam)
    if examples.intercept:
        check_labels(examples, loss)
    unit = _direction(examples, start)
    if isinstance(loss, Linear):
        ordered = [_hebbian(examples, loss, norm) for norm in norms]
    elif isinstance(loss, Hinge):
        ordered = [_hinge(examples, loss, norm, unit, tolerance) for norm in norms]
    else:
        ordered = _path(examples, loss, norms, unit, start is None, tolerance)
    return ordered[0] if scalar else ordered


def checked_loss(loss: object) -> Loss:
    """A loss that can be minimised."""
    if not isinstance(loss, Loss):
        raise InvalidArgument("loss", "must be a Loss of perceptron.losses", quoted(loss))
    if isinstance(loss, Logistic) and not 0 < loss.lam < np.inf:
        raise InvalidArgument("loss", "must have a positive and finite lam", quoted(loss))
    if not (loss.smooth or isinstance(loss, Hinge)):
        raise InvalidArgument("loss", "must have a continuous slope, or be Hinge", quoted(loss))
    return loss


def check_labels(examples: Examples, loss: Loss) -> None:
    """Refuse what leaves an intercept without a minimum."""
    if isinstance(loss, Linear):
        raise InvalidArgument(
            "loss", "must not be Linear where there is an intercept, which runs away", quoted(loss)
        )
    if abs(int(examples.labels.sum(dtype=np.int64))) == examples.P:
        raise InvalidArgument(
            "examples", "must have both labels where there is an intercept", "one"
        )


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


def _path(
    examples: Examples,
    loss: Loss,
    norms: list[float],
    unit: Array,
    from_hebb: bool,
    tolerance: float,
) -> list[FixedNorm]:
    """Newton's minimisers in ascending order of the norm, rungs between them included."""
    results: dict[int, FixedNorm] = {}
    path: list[tuple[float, Array]] = [] if from_hebb else [(np.inf, unit)]
    first = FIRST_NORM / _sharpness(examples, loss, unit)
    for i in np.argsort(norms, kind="stable"):
        goal = norms[i]
        lowest = path[-1][0] * STRIDE if path else first
        for rung in _rungs(lowest, goal):
            unit = _minimise(examples, loss, rung, goal, _predict(path, rung, unit), ROUGH)[0].v
            path.append((rung, unit))
        here, error, steps, products = _minimise(
            examples, loss, goal, goal, _predict(path, goal, unit), tolerance
        )
        unit = here.v
        path.append((goal, unit))
        results[int(i)] = FixedNorm(
            examples,
            unit,
            goal,
            loss,
            here.b * unit_of(examples),
            gradient_norm=error,
            steps=steps,
            products=products,
        )
    return [results[i] for i in range(len(norms))]


def _sharpness(examples: Examples, loss: Loss, unit: Array) -> float:
    """Margins in units of what the loss tells apart at norm 1: 1 for inputs of unit variance."""
    sharpness = loss.lam if isinstance(loss, Logistic | Exponential) else 1.0
    if examples.inputs.dtype == np.int8:
        return sharpness
    c = unit_of(examples)
    spread = c * float(np.std(examples.products.fields(unit * (np.sqrt(examples.N) / c))))
    return sharpness if 1 / USUAL < spread < USUAL else sharpness * (spread or 1.0)


def _minimise(
    examples: Examples,
    loss: Loss,
    lam: float,
    asked: float,
    unit: Array,
    tolerance: float,
) -> tuple[Point, float, int, int]:
    """From one unit vector to the minimiser: point, angle or bound, steps, passes."""
    problem = Problem(examples, loss.at_norm(lam * unit_of(examples)))
    here = problem.at(unit, problem.best_intercept(unit))
    check_underflow(problem, here, asked)
    total = 0
    for _ in range(MOST_DESCENTS):
        here, steps = sphere_minimum(problem, here, tolerance)
        total += steps
        check_underflow(problem, here, asked)
        if least_reached(problem, here):
            raise _attained(examples, loss, asked)
        if here.angle <= tolerance and here.radial > 0:
            return here, here.angle, total, problem.passes
        noise = problem.noise(here)
        if here.radial > -noise:
            bound = _bound(problem, here)
            faint = here.radial <= FAINT * noise and here.error <= STILL * noise
            if bound <= tolerance or faint:
                known = here.angle if here.radial > noise else np.pi
                return here, float(min(bound, known)), total, problem.passes
        if here.radial > noise:
            break
        # F grows with the norm here. Downhill through the ball lies the unconstrained minimiser,
        # or a lower point of the sphere
        free, steps, arrived = free_minimum(
            problem, here.v, here.b, tolerance=AT_REST, inside=1.0 + 1e-12
        )
        total += steps
        norm = float(np.linalg.norm(free.v))
        if arrived or norm < 1.0:
            if least_reached(problem, free):
                raise _attained(examples, loss, asked)
            raise _beyond(examples, lam * norm, asked)
        here = problem.at(free.v / norm, free.b)
    raise NotConverged(
        f"`tolerance` must be one that rounding lets the gradient reach; got {tolerance:g}, "
        f"reached {here.angle:.1e} at lam = {lam:g}"
    )


def _bound(problem: Problem, here: Point) -> float:
    """Of the angle to the minimiser: the gradient along the sphere over the least curvature."""
    least = problem.least_curvature(here)
    return (here.error + problem.noise(here)) / least if least > 0 else np.inf


def _beyond(examples: Examples, limit: float, asked: float) -> NoMinimiser:
    return NoMinimiser(
        f"`lam` must not exceed the norm of the unconstrained minimiser of these {examples.P} "
        f"examples, {limit:.4g}, beyond which the loss grows with the norm; got {show(asked)}",
        limit,
    )


def _attained(examples: Examples, loss: Loss, asked: float) -> NoMinimiser:
    return NoMinimiser(
        f"`lam` must be so small that these {examples.P} examples cannot all reach the minimum of "
        f"{loss}, where many weights are as good and none is the minimiser; got {show(asked)}"
    )


def _hebbian(examples: Examples, loss: Loss, norm: float) -> FixedNorm:
    """The linear loss, at any norm."""
    return FixedNorm(
        examples, pull_of_all(examples), norm, loss, gradient_norm=0.0, steps=0, products=1
    )


def _hinge(
    examples: Examples, loss: Hinge, norm: float, unit: Array, tolerance: float
) -> FixedNorm:
    """A hinge loss at one norm, max(margin - lam Delta, 0)/lam."""
    found = hinge.at_length(examples, loss.margin / norm, unit, min(tolerance, EXACT_GAP))
    if found.attained:
        raise _attained(examples, loss, norm)
    if found.limit is not None:
        raise _beyond(examples, norm * found.limit, norm)
    return FixedNorm(
        examples,
        found.v,
        norm,
        loss,
        found.b,
        gradient_norm=found.angle,
        duality_gap=found.gap,
        steps=found.steps,
        products=found.products,
    )
