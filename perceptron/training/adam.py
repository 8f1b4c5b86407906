"""Adam, on all examples at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perceptron import ranges
from perceptron.data import Examples
from perceptron.losses import Loss
from perceptron.training.loop import RECORDS, train_steps
from perceptron.training.objective import Point
from perceptron.training.rule import DECAY, LOGISTIC, Descent
from perceptron.training.trajectory import State, Trajectory
from replica.common import arguments

__all__ = ["Adam", "AdamState", "adam"]

Array = NDArray[np.float64]

#: What everybody takes, after the article.
RATE = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class AdamState(State):
    """Running means of the gradient and of its square, not yet corrected for their start at 0."""

    mean: Array
    square: Array


@dataclass(frozen=True, kw_only=True)
class Adam(Descent):
    """w <- w - eta_t m/(sqrt(s) + epsilon), m and s running means of g and g^2, g = dF/dw / P."""

    name = "Adam"
    function = "adam"

    beta1: float
    beta2: float
    epsilon: float

    @property
    def power(self) -> float:
        return math.inf

    def init(self, point: Point) -> AdamState:
        return AdamState(mean=np.zeros_like(point.v), square=np.zeros_like(point.v))

    def step(self, point: Point, state: State, done: int) -> tuple[Point, AdamState]:
        assert isinstance(state, AdamState)
        g, eta = point.gradient / point.objective.examples.P, self.rate(done)
        mean = self.beta1 * state.mean + (1 - self.beta1) * g
        square = self.beta2 * state.square + (1 - self.beta2) * g * g
        m = mean / (1 - self.beta1 ** (done + 1))
        s = np.sqrt(square / (1 - self.beta2 ** (done + 1))) + self.epsilon
        way = np.divide(m, s, out=np.zeros_like(m), where=s > 0)
        return (
            point.objective.at(point.v - eta * way),
            AdamState(time=state.time + eta, mean=mean, square=square),
        )

    def heading(self, pull: Array) -> Array:
        return np.sign(pull)


def adam(
    examples: Examples,
    steps: int,
    learning_rate: float | None = None,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    decay: float = 0.0,
    loss: Loss = LOGISTIC,
    start: Array | None = None,
    records: int | Sequence[int] = RECORDS,
    resume: Trajectory | None = None,
    precision: str = "double",
    progress: bool = True,
) -> Trajectory:
    r"""Adam on the mean of the losses over all examples (D. Kingma and J. Ba, ICLR (2015)).

    m <- beta1 m + (1 - beta1) g, s <- beta2 s + (1 - beta2) g^2, and w <- w -
    learning_rate/t^decay m'/(sqrt(s') + epsilon), where m' = m/(1 - beta1^t) and
    s' = s/(1 - beta2^t). While the slopes are far above epsilon nearly every weight moves by its
    rate, and on separable examples, with a rate that decays, the direction tends to the
    largest margin at given max \|w_j\|, that of `sign_descent` (C. Zhang, D. Zou and Y. Cao,
    NeurIPS (2024)). Where they are far below it, the run is one of gradient descent.

    Parameters
    ----------
    examples : Examples
    steps : int
        Counted from the start of the run, also where it is resumed.
    learning_rate : float, optional
        Positive; by default 1e-3.
    beta1, beta2 : float
        In [0, 1).
    epsilon : float
        In [0, 1]; at 0 a weight whose slopes were all zero stays.
    decay : float
        In [0, 1].
    loss, start, records, resume, precision, progress
        As of `steepest_descent`; squares of slopes below 1e-154 are lost.

    Returns
    -------
    Trajectory
        With ``natural_norm`` max \|w_j\|.

    Raises
    ------
    ValueError
        If an argument breaks its rule.
    DescentError
        If the weights grow out of the numbers.
    """
    return train_steps(
        Adam,
        examples,
        steps,
        learning_rate,
        lambda loss, weight_decay: RATE,
        beta1=arguments.number("beta1", beta1, ranges.share(1.0)),
        beta2=arguments.number("beta2", beta2, ranges.share(1.0)),
        epsilon=arguments.number("epsilon", epsilon, ranges.within(0.0, 1.0)),
        decay=arguments.number("decay", decay, DECAY),
        loss=loss,
        start=start,
        records=records,
        resume=resume,
        precision=precision,
        progress=progress,
    )
