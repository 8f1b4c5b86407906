"""Gradient descent with momentum: Polyak's heavy ball, or Nesterov's look ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perceptron import ranges
from perceptron.data import Examples
from perceptron.losses import Loss
from perceptron.training.curvature import careful_rate, largest_curvature
from perceptron.training.loop import RECORDS, train_steps
from perceptron.training.objective import Point
from perceptron.training.rule import LOGISTIC, Descent
from perceptron.training.trajectory import State, Trajectory
from replica.common import arguments

__all__ = ["Momentum", "MomentumState", "momentum_descent"]

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class MomentumState(State):
    """The sum of past gradients, each momentum times what it was a step before."""

    velocity: Array


@dataclass(frozen=True, kw_only=True)
class Momentum(Descent):
    """u <- momentum u + dF/dw; w <- w - eta u, or, of Nesterov, w - eta (dF/dw + momentum u)."""

    name = "descent with momentum"
    function = "momentum_descent"
    descends = True

    momentum: float
    nesterov: bool

    def init(self, point: Point) -> MomentumState:
        return MomentumState(velocity=np.zeros_like(point.v))

    def step(self, point: Point, state: State, done: int) -> tuple[Point, MomentumState]:
        assert isinstance(state, MomentumState)
        eta, g = self.learning_rate, point.gradient
        u = self.momentum * state.velocity + g
        way = g + self.momentum * u if self.nesterov else u
        time = (done + 1) * eta / (1 - self.momentum)
        return point.objective.at(point.v - eta * way), MomentumState(time=time, velocity=u)


def momentum_descent(
    examples: Examples,
    steps: int,
    learning_rate: float | None = None,
    *,
    momentum: float = 0.9,
    nesterov: bool = False,
    loss: Loss = LOGISTIC,
    weight_decay: float = 0.0,
    start: Array | None = None,
    records: int | Sequence[int] = RECORDS,
    resume: Trajectory | None = None,
    precision: str = "single",
    progress: bool = True,
) -> Trajectory:
    r"""Gradient descent with momentum: the heavy ball, or Nesterov's accelerated gradient.

    u <- momentum u + g, w <- w - learning_rate u, where g is the gradient of the objective of
    `gradient_descent`; with ``nesterov`` w <- w - learning_rate (g + momentum u), the form of
    I. Sutskever et al., ICML (2013). A gradient counts 1/(1 - momentum) times before it is
    forgotten, and ``time`` grows by learning_rate/(1 - momentum) a step: in small steps the run
    follows `gradient_flow` in this time.

    Parameters
    ----------
    examples : Examples
    steps : int
        Counted from the start of the run, also where it is resumed.
    learning_rate : float, optional
        Positive; by default (1 - momentum) times that of `gradient_descent`.
    momentum : float
        In [0, 1); 0 is gradient descent.
    nesterov : bool
    loss, weight_decay, start, records, resume, precision, progress
        As of `gradient_descent`.

    Returns
    -------
    Trajectory

    Raises
    ------
    ValueError
        If an argument breaks its rule.
    DescentError
        If the loss grows beyond that at the start, or out of the numbers.
    """
    share = arguments.number("momentum", momentum, ranges.share(1.0))
    return train_steps(
        Momentum,
        examples,
        steps,
        learning_rate,
        lambda loss, decay: careful_rate(loss, largest_curvature(examples) / (1 - share), decay),
        momentum=share,
        nesterov=arguments.instance("nesterov", nesterov, bool),
        loss=loss,
        weight_decay=weight_decay,
        start=start,
        records=records,
        resume=resume,
        precision=precision,
        progress=progress,
    )
