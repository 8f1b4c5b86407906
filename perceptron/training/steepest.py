"""Steepest descent in the p-norms: of all coordinates alike, of the steepest, or in between."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptron.data import Examples, check_examples
from perceptron.losses import Loss
from perceptron.powers import conjugate, power_mean
from perceptron.training.curvature import careful_rate, largest_curvature, largest_row, round_down
from perceptron.training.loop import RECORDS, train_steps
from perceptron.training.objective import Point
from perceptron.training.rule import DECAY, LOGISTIC, Descent
from perceptron.training.trajectory import State, Trajectory
from replica.common import arguments
from replica.common.arguments import Range

__all__ = ["SteepestDescent", "coordinate_descent", "sign_descent", "steepest_descent"]

Array = NDArray[np.float64]

#: Which norms there are.
POWER = Range(1.0, math.inf, "must be at least 1, or inf")


@dataclass(frozen=True, kw_only=True)
class SteepestDescent(Descent):
    r"""w <- w - eta_t d, d.g largest among all d with (mean_j \|d_j\|^p)^(1/p) = 1, g = dF/dw.

    Not normalized, d is multiplied by (mean_j \|g_j\|^q)^(1/q), 1/p + 1/q = 1.
    """

    name = "steepest descent"
    function = "steepest_descent"

    p: float
    normalized: bool

    @property
    def power(self) -> float:
        return self.p

    def step(self, point: Point, state: State, done: int) -> tuple[Point, State]:
        g, eta = point.gradient, self.rate(done)
        size = 1.0 if self.normalized else power_mean(g, conjugate(self.p))
        v = point.v - eta * size * steepest(g, self.p)
        return point.objective.at(v), State(time=state.time + eta)

    def heading(self, pull: Array) -> Array:
        return steepest(pull, self.p)


def steepest(g: Array, p: float) -> Array:
    r"""Where g.d is largest among all d with (mean_j \|d_j\|^p)^(1/p) = 1; 0 at g = 0."""
    largest = float(np.max(np.abs(g)))
    if largest == 0.0:
        return np.zeros_like(g)
    if p == 1.0:
        d = np.zeros_like(g)
        j = int(np.argmax(np.abs(g)))
        d[j] = np.copysign(len(g), g[j])
        return d
    d = np.sign(g)
    if p < math.inf:
        d *= (np.abs(g) / largest) ** (conjugate(p) - 1)
        d /= power_mean(d, p)
    return d


def steepest_descent(
    examples: Examples,
    steps: int,
    learning_rate: float | None = None,
    *,
    p: float = 2.0,
    normalized: bool = True,
    decay: float | None = None,
    loss: Loss = LOGISTIC,
    start: Array | None = None,
    records: int | Sequence[int] = RECORDS,
    resume: Trajectory | None = None,
    precision: str = "double",
    progress: bool = True,
) -> Trajectory:
    r"""Steepest descent of the sum of the losses in a p-norm, at free norm.

    w <- w - learning_rate/t^decay d at step t = 1, 2, ..., where d is the direction of the
    steepest rise g.d under (mean_j \|d_j\|^p)^(1/p) = 1: d ~ sign(g) \|g\|^(q - 1),
    1/p + 1/q = 1, with the whole gradient g. On separable examples the direction of w tends
    to the largest margin in this norm (S. Gunasekar et al., ICML (2018)): ``stability`` to
    max_w min_mu Delta at ``natural_norm`` 1. Normalized steps do not shrink with the
    gradient, and with decay 1/2 miss it by at most O(log(t)/sqrt(t)), where steps of fixed rate
    times the gradient would miss it by 1/log(t) (M. S. Nacson et al., AISTATS (2019)).

    Parameters
    ----------
    examples : Examples
    steps : int
        Counted from the start of the run, also where it is resumed.
    learning_rate : float, optional
        Positive. Normalized, by default such that the first step changes no field by more
        than 1; else a tenth of 1/(largest curvature in this norm), from above.
    p : float
        From 1 to inf. 2 is gradient descent; 1 `coordinate_descent`; inf `sign_descent`.
    normalized : bool
        Whether a step has the length of its rate, or is multiplied by
        (mean_j \|g_j\|^q)^(1/q), which makes it gradient descent at p = 2.
    decay : float, optional
        In [0, 1]; by default 1/2 for normalized steps, and 0 for others.
    loss, start, records, resume, progress
        As of `gradient_descent`; the loss may pass that at the start for a while.
    precision : {"single", "double"}
        Of the products with the inputs. Slopes of less than 1e-38, beyond margins of 40, are lost
        in single precision, and of less than 1e-308, beyond 350, in double precision; without a
        slope the weights stay where they are.

    Returns
    -------
    Trajectory
        With ``natural_norm`` and ``stability`` in the p-norm; normalized, the former is at
        most ``time``.

    Raises
    ------
    ValueError
        If an argument breaks its rule.
    DescentError
        If the weights grow out of the numbers.
    """
    unit = arguments.instance("normalized", normalized, bool)
    if decay is None:
        decay = 0.5 if unit else 0.0
    return _descend(
        examples, steps, learning_rate, p, unit, decay, loss=loss, start=start,
        records=records, resume=resume, precision=precision, progress=progress,
    )  # fmt: skip


def sign_descent(
    examples: Examples,
    steps: int,
    learning_rate: float | None = None,
    *,
    decay: float = 0.5,
    loss: Loss = LOGISTIC,
    start: Array | None = None,
    records: int | Sequence[int] = RECORDS,
    resume: Trajectory | None = None,
    precision: str = "double",
    progress: bool = True,
) -> Trajectory:
    r"""Every weight moves by the same amount: w <- w - learning_rate/t^decay sign(dF/dw).

    `steepest_descent` at p = inf. On separable examples it tends to the weights of largest
    margin at given max \|w_j\|. Arguments, result and errors as there.
    """
    return _descend(
        examples, steps, learning_rate, math.inf, True, decay, loss=loss, start=start,
        records=records, resume=resume, precision=precision, progress=progress,
    )  # fmt: skip


def coordinate_descent(
    examples: Examples,
    steps: int,
    learning_rate: float | None = None,
    *,
    decay: float = 0.5,
    loss: Loss = LOGISTIC,
    start: Array | None = None,
    records: int | Sequence[int] = RECORDS,
    resume: Trajectory | None = None,
    precision: str = "double",
    progress: bool = True,
) -> Trajectory:
    r"""The weight with the largest slope alone moves, by N learning_rate/t^decay.

    `steepest_descent` at p = 1: boosting, with the inputs as weak classifiers. On separable
    examples it tends to the weights of largest margin at given sum \|w_j\|, of which few are not
    zero. Arguments, result and errors as there.
    """
    return _descend(
        examples, steps, learning_rate, 1.0, True, decay, loss=loss, start=start,
        records=records, resume=resume, precision=precision, progress=progress,
    )  # fmt: skip


def _descend(
    examples: Examples,
    steps: int,
    learning_rate: float | None,
    p: float,
    normalized: bool,
    decay: float,
    **common: Any,
) -> Trajectory:
    """What the three have in common."""
    check_examples(examples)
    power = arguments.number("p", p, POWER)

    def default_rate(loss: Loss, weight_decay: float) -> float:
        if normalized:
            size = examples.N + int(examples.intercept)
            change = size / math.sqrt(examples.N) * largest_row(examples, conjugate(power))
            return round_down(1 / change)
        # no d of unit p-norm is longer than this, squared
        stretch = examples.N ** max(0.0, 2 / power - 1)
        return careful_rate(loss, stretch * largest_curvature(examples))

    return train_steps(
        SteepestDescent,
        examples,
        steps,
        learning_rate,
        default_rate,
        p=power,
        normalized=normalized,
        decay=arguments.number("decay", decay, DECAY),
        level=5,
        **common,
    )
