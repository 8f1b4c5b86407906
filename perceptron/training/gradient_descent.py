"""Gradient descent: the training of the paper, in steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perceptron import kernels
from perceptron.data import Examples
from perceptron.losses import Logistic, Loss
from perceptron.training.curvature import careful_rate, largest_curvature
from perceptron.training.loop import RECORDS, train_steps
from perceptron.training.objective import Objective, Point
from perceptron.training.rule import LOGISTIC, Descent
from perceptron.training.trajectory import State, Trajectory

__all__ = ["GradientDescent", "gradient_descent"]

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class GradientDescent(Descent):
    """w <- w - eta dF/dw."""

    name = "gradient descent"
    function = "gradient_descent"
    descends = True

    def step(self, point: Point, state: State, done: int) -> tuple[Point, State]:
        v = point.v - self.learning_rate * point.gradient
        return point.objective.at(v), State(time=(done + 1) * self.learning_rate)

    def advance(self, point: Point, state: State, done: int, steps: int) -> tuple[Point, State]:
        """Where one compiled sweep is a gradient, with nothing between two of them but a move."""
        objective, eta = point.objective, self.learning_rate
        if not objective.plain:
            return super().advance(point, state, done, steps)
        assert isinstance(self.loss, Logistic)
        products, keep = objective.examples.products, 1.0 - eta * self.weight_decay
        w, fields, sums = (
            point.v.copy(),
            np.zeros(objective.examples.P),
            products.sums(objective.single),
        )
        v, total = w.astype(sums.dtype), np.empty_like(w)
        for _ in range(steps):
            # this mode reads no weights, and the fields stand in for them
            products.sweep(kernels.LOGISTIC, fields, self.loss.lam, v, fields, sums)
            kernels.move(sums, eta, keep, total, w, v)
        return objective.at(w), State(time=(done + steps) * eta)

    def complaint(self, objective: Objective, words: str) -> str:
        """With the bound that holds for a sum of losses whose second derivative has one."""
        steepest = self.loss.steepest * largest_curvature(objective.examples) + self.weight_decay
        bound = f"; below {2 / steepest:.3g} it never grows" if 0 < steepest < np.inf else ""
        return super().complaint(objective, words) + bound


def gradient_descent(
    examples: Examples,
    steps: int = 10**6,
    learning_rate: float | None = None,
    *,
    loss: Loss = LOGISTIC,
    weight_decay: float = 0.0,
    start: Array | None = None,
    records: int | Sequence[int] = RECORDS,
    resume: Trajectory | None = None,
    precision: str = "single",
    progress: bool = True,
) -> Trajectory:
    r"""Full-batch gradient descent on the sum of the losses, at free norm.

    w <- w - learning_rate * (sum_mu V'(Delta) y x/sqrt(N) + weight_decay w), from w = 0,
    so that the first step is Hebb's rule. The default loss is the paper's, log(1 + exp(-2 Delta)):
    the norm lam = \|w\|/sqrt(N) is then the lam of V_lam at \|w\|^2 = N; for log(1 + exp(-z)) it
    would be half of that. On separable examples the direction tends to that of maximum
    stability, as 1/log(steps) (D. Soudry et al., J. Mach. Learn. Res. 19, 70 (2018)).

    Parameters
    ----------
    examples : Examples
    steps : int
        Counted from the start of the run, also where it is resumed.
    learning_rate : float, optional
        Positive; by default 0.1 over the largest curvature (`largest_curvature` times the
        largest V'', 1 for the default loss), which is stable throughout and follows the path of
        small steps. Below 2 over it the loss never grows.
    loss : Loss
        Any with a continuous derivative; those but the logistic take up to twice the time.
    weight_decay : float
        Not negative: the objective is sum_mu V + weight_decay \|w\|^2/2. An intercept does
        not decay.
    start : (N,) array, optional
        First weights, instead of 0; an intercept starts at 0.
    records : int or sequence of int
        Records in each factor of ten of the steps, or the steps to record at.
        The last step always is; with a number of records, so is step 0.
    resume : Trajectory, optional
        Of an earlier call with the same arguments; the result is the same to the bit
        as that of one uninterrupted run.
    precision : {"single", "double"}
        Of the products with the inputs. Weights are summed in double precision,
        and records taken in it, in any case.
    progress : bool
        Show the remaining time, if the standard error stream is a terminal.

    Returns
    -------
    Trajectory
        Where w = 0 the direction recorded is the one that the first step takes.
        Interrupted from the keyboard, the run warns and returns what it has, with
        ``complete=False`` and the step that it reached as its last record.

    Raises
    ------
    ValueError
        If an argument breaks its rule.
    DescentError
        If the loss grows beyond that at the start, or out of the numbers.
    """
    return train_steps(
        GradientDescent,
        examples,
        steps,
        learning_rate,
        lambda loss, decay: careful_rate(loss, largest_curvature(examples), decay),
        loss=loss,
        weight_decay=weight_decay,
        start=start,
        records=records,
        resume=resume,
        precision=precision,
        progress=progress,
    )
