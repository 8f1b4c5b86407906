"""Gradient flow: the limit of gradient descent in small steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from perceptron import ranges
from perceptron.data import Examples, check_examples
from perceptron.losses import Loss
from perceptron.training.chebyshev import chebyshev, longest
from perceptron.training.curvature import STEPS, lanczos
from perceptron.training.loop import MOST_RECORDS, RECORDS, End, train
from perceptron.training.objective import Point, length
from perceptron.training.rule import LARGE_ENOUGH, LOGISTIC, Rule, earlier_rule, options
from perceptron.training.trajectory import DescentError, State, Trajectory
from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["FlowState", "GradientFlow", "gradient_flow"]

Array = NDArray[np.float64]

#: First step, as a part of the norm there is or, from zero, as lam. A choice.
FIRST = 1e-3
#: The flow is at rest where d log|w| / d log(time) is below this. On separable data
#: it is 1/log(time) or more, which stays above 1e-3 for any time that a double holds.
AT_REST = 1e-4
#: Later there would be no room for the next step.
END_OF_TIME = 1e300
#: Two Lanczos steps from the last direction find the curvature to a few percent.
LANCZOS = 2
MARGIN = 1.1
#: Of one step: rounding errors grow with the square of the stages.
MOST_STAGES = 250
#: What rounding leaves of a norm that was set.
ROUNDING = 1e-15


@dataclass(frozen=True, kw_only=True, eq=False)
class FlowState(State):
    """Where the integrator stands.

    Attributes
    ----------
    step_size : float
        The next step in time.
    direction : array or None
        Where the loss curved most, from which the next curvature is found.
    """

    step_size: float
    direction: Array | None = None


@dataclass(frozen=True, kw_only=True)
class GradientFlow(Rule):
    """dw/dt = -dF/dw."""

    name = "gradient flow"
    function = "gradient_flow"

    # a run may go on to another end, or at another pace
    tolerance: float = field(compare=False)
    growth: float = field(compare=False)
    until_norm: float = field(compare=False)
    until_time: float = field(compare=False)

    def init(self, point: Point) -> FlowState:
        # from zero not far beyond a norm that is smaller still
        way = FIRST * length(point.v) or min(FIRST, self.until_norm) * point.objective.root
        return FlowState(step_size=way / max(length(point.gradient), 1e-300))

    def step(self, point: Point, state: State, done: int) -> tuple[Point, FlowState]:
        assert isinstance(state, FlowState)
        t, h, objective = state.time, state.step_size, point.objective
        steepest, _, direction = lanczos(
            objective,
            objective.loss.curvature(point.margins),
            state.direction,
            LANCZOS if state.direction is not None else STEPS,
        )
        steepest *= MARGIN
        h = min(h, self.growth * t if t else h, longest(MOST_STAGES, steepest))
        while True:
            now = min(h, self.until_time - t)
            after = chebyshev(point, now, steepest)
            error = 0.8 * (point.v - after.v) - 0.4 * now * (point.gradient + after.gradient)
            size = length(error) / length(after.v) / self.tolerance
            # the error of a step of second order grows with its third power
            better = now * min(5.0, max(0.2, 0.8 * max(size, 1e-9) ** (-1 / 3)))
            if size <= 1:
                break
            h = better
        h = better if now == h else max(h, better)
        t = self.until_time if now == self.until_time - t else t + now
        if after.norm >= self.until_norm:
            t, after = _on_sphere(self.until_norm, t - now, now, point, after)
        rest = length(after.gradient) * t < AT_REST * length(after.v) or t > END_OF_TIME
        return after, FlowState(time=t, at_rest=rest, step_size=h, direction=direction)


class _NormOrTime(End):
    """Until a norm or a time, whichever comes first; every step is recorded."""

    def __init__(self, rule: GradientFlow):
        self.norm, self.time = rule.until_norm, rule.until_time
        self.rests = math.isfinite(self.time)
        self.first = 0.0

    def begin(self, done: int, point: Point, state: State) -> None:
        ends = ("until_norm", self.norm, point.norm), ("until_time", self.time, state.time)
        for name, last, value in ends:
            if value >= last:
                raise InvalidArgument(
                    name, f"must be above that at the start, {value:g}", quoted(last)
                )
        self.first = state.time

    def recorded(self, steps: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.ones(len(steps), dtype=bool)

    def next_record(self, done: int) -> int:
        return done + 1

    def reached(self, done: int, point: Point, state: State) -> bool:
        return point.norm >= self.norm * (1 - ROUNDING) or state.time >= self.time

    def share(self, done: int, point: Point, state: State) -> float:
        by_time = math.log1p(state.time - self.first) / math.log1p(self.time - self.first)
        return max(point.norm / self.norm, by_time)

    def where(self, done: int, point: Point, state: State) -> str:
        return f"time {state.time:.6g}, norm {point.norm:.6g}"


def gradient_flow(
    examples: Examples,
    *,
    until_norm: float | None = None,
    until_time: float | None = None,
    tolerance: float = 1e-4,
    loss: Loss = LOGISTIC,
    start: Array | None = None,
    records: int = RECORDS,
    resume: Trajectory | None = None,
    progress: bool = True,
) -> Trajectory:
    r"""The limit of gradient descent for small learning rates, at time = steps * learning_rate.

    dw/dt = - gradient of the sum of the losses, from w = 0. Steps grow
    with the time, as the loss and its curvature shrink: a factor of ten in time
    costs about a hundred gradients at alpha = 5, where fixed steps cost ten times more than all
    before. Stabilised Runge-Kutta-Chebyshev steps of second order (B. Sommeijer,
    L. Shampine and J. Verwer, J. Comput. Appl. Math. 88, 315 (1998)), all in
    double precision.

    Parameters
    ----------
    examples : Examples
    until_norm, until_time : float
        Positive; where to stop, whichever comes first. One must be given.
    tolerance : float
        Error of one step relative to \|w\|, and so in the angle of its direction and
        in the logarithm of its norm; within [1e-10, 0.01]. With the default the
        weights at a given time are good to about 3e-4.
    loss : Loss
        Any with a continuous derivative.
    start : (N,) array, optional
        First weights, instead of 0, at time 0.
    records : int
        Steps in each factor of ten of the time, at least; each is recorded.
    resume : Trajectory, optional
        Of an earlier call. One that was interrupted is continued to the same bits;
        one that was complete is continued from its last record.
    progress : bool
        Show the remaining time, if the standard error stream is a terminal.

    Returns
    -------
    Trajectory
        As of `gradient_descent`; ``state.step_size`` is the next step in time. It is
        complete, too, if the weights came to rest before ``until_time``.

    Raises
    ------
    ValueError
        If an argument breaks its rule.
    DescentError
        If the norm stops growing below ``until_norm``.
    """
    check_examples(examples)
    if until_norm is None and until_time is None:
        raise InvalidArgument("until_norm", "or `until_time` must be given", "neither")
    last_norm, last_time = _end("until_norm", until_norm), _end("until_time", until_time)
    tolerance = arguments.number("tolerance", tolerance, ranges.within(1e-10, 0.01))
    records = arguments.whole("records", records, 1, MOST_RECORDS, "a positive integer")
    earlier_rule(resume, GradientFlow)
    rule = GradientFlow(
        tolerance=tolerance,
        growth=10 ** (1 / records) - 1,
        until_norm=last_norm,
        until_time=last_time,
        **options(loss, "double"),
    )
    found = train(rule, examples, _NormOrTime(rule), start=start, resume=resume, progress=progress)
    if found.state.at_rest and not found.complete:
        raise DescentError(
            f"`until_norm` must be a norm that the weights reach; at time {found.state.time:.3g} "
            f"they have come to rest at norm {found.norm[-1]:.6g}; got {last_norm!r}",
            found,
        )
    return found


def _end(name: str, value: float | None) -> float:
    if value is None:
        return math.inf
    return arguments.number(name, value, *LARGE_ENOUGH)


def _on_sphere(lam: float, t: float, h: float, point: Point, after: Point) -> tuple[float, Point]:
    """Time and weights where the cubic through both ends of a step crosses the sphere."""
    objective = point.objective
    v, v_after, g, g_after = point.v, after.v, point.gradient, after.gradient
    n, radius = objective.examples.N, lam * objective.root

    def between(x: float) -> Array:
        values = (1 + 2 * x) * (1 - x) ** 2 * v + x * x * (3 - 2 * x) * v_after
        return values - h * x * (1 - x) * ((1 - x) * g - x * g_after)

    x = 1.0
    if length(between(x)[:n]) > radius:  # by rounding the step may end on the sphere itself
        x = brentq(lambda x: length(between(x)[:n]) - radius, 0.0, 1.0, xtol=1e-14)
    found = between(x)
    return t + x * h, objective.at(found * (radius / length(found[:n])))
