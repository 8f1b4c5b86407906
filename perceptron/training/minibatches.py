"""Stochastic gradient descent: a few of the examples a step, in an order that a seed decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from perceptron.data import Examples, check_examples
from perceptron.losses import Loss
from perceptron.training.curvature import careful_rate, largest_curvature, largest_row
from perceptron.training.loop import RECORDS, train_steps
from perceptron.training.objective import Point
from perceptron.training.rule import DECAY, LOGISTIC, Descent
from perceptron.training.trajectory import State, Trajectory
from replica.common import arguments

__all__ = ["StochasticGradientDescent", "stochastic_gradient_descent"]

Array = NDArray[np.float64]

#: Examples of a batch, where nobody says. A choice.
USUAL = 32


@lru_cache(maxsize=4)
def order(seed: int, epoch: int, p: int) -> NDArray[np.int64]:
    """The examples as one epoch takes them."""
    return np.random.default_rng([seed, epoch]).permutation(p)


@dataclass(frozen=True, kw_only=True)
class StochasticGradientDescent(Descent):
    """w <- w - eta (P/B sum over a batch of B of dV/dw + weight_decay w)."""

    name = "stochastic gradient descent"
    function = "stochastic_gradient_descent"

    batch_size: int
    seed: int

    def step(self, point: Point, state: State, done: int) -> tuple[Point, State]:
        p = point.objective.examples.P
        epoch, batch = divmod(done, -(-p // self.batch_size))
        first = batch * self.batch_size
        rows = order(self.seed, epoch, p)[first : first + self.batch_size]
        eta = self.rate(done)
        v = point.v - eta * point.objective.gradient_of(rows, point.v)
        return point.objective.at(v), State(time=state.time + eta)


def stochastic_gradient_descent(
    examples: Examples,
    steps: int,
    learning_rate: float | None = None,
    *,
    batch_size: int | None = None,
    seed: int = 0,
    decay: float = 0.0,
    loss: Loss = LOGISTIC,
    weight_decay: float = 0.0,
    start: Array | None = None,
    records: int | Sequence[int] = RECORDS,
    resume: Trajectory | None = None,
    precision: str = "single",
    progress: bool = True,
) -> Trajectory:
    r"""Stochastic gradient descent, in batches without replacement.

    Each step follows P/B times the gradient of the losses of B examples: on average that
    of all, so that ``time``, the sum of the learning rates, is that of `gradient_flow`. An epoch
    takes every example once, in an order of its own that follows from the seed; its last batch
    has what is left.

    Parameters
    ----------
    examples : Examples
    steps : int
        Batches, counted from the start of the run, also where it is resumed; an epoch has
        P/batch_size of them, rounded up.
    learning_rate : float, optional
        Positive; by default 0.1 over a bound on the curvature of a batch, where V'' is largest:
        the less of P/B times `largest_curvature` and P max \|x\|^2/N.
    batch_size : int, optional
        B, from 1 to P; by default 32, or P if that is less.
    seed : int
        Not negative.
    decay : float
        In [0, 1]: step t = 1, 2, ... has the rate learning_rate/t^decay.
    loss, weight_decay, start, records, resume, precision, progress
        As of `gradient_descent`. Some records of the training loss may lie above the first.

    Returns
    -------
    Trajectory

    Raises
    ------
    ValueError
        If an argument breaks its rule.
    DescentError
        If the weights grow out of the numbers.
    """
    check_examples(examples)
    if batch_size is None:
        batch_size = min(USUAL, examples.P)
    batch = arguments.whole("batch_size", batch_size, 1, examples.P, "a positive integer")
    return train_steps(
        StochasticGradientDescent,
        examples,
        steps,
        learning_rate,
        lambda loss, decay: careful_rate(loss, _curvature_of_batches(examples, batch), decay),
        batch_size=batch,
        seed=arguments.whole("seed", seed, 0, words="a non-negative integer"),
        decay=arguments.number("decay", decay, DECAY),
        loss=loss,
        weight_decay=weight_decay,
        start=start,
        records=records,
        resume=resume,
        precision=precision,
        progress=progress,
    )


def _curvature_of_batches(examples: Examples, batch: int) -> float:
    """A bound on the curvature of every batch where V'' = 1.

    Neither more than P/B times that of all, nor than that of P examples like the largest.
    """
    smallest = examples.P % batch or batch
    size = examples.N + int(examples.intercept)
    alike = examples.P * largest_row(examples, 2.0) ** 2 * size / examples.N
    return min(largest_curvature(examples) * examples.P / smallest, alike)
