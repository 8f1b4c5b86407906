"""What a run of training returns: its records, its weights, and all that it needs to go on."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from perceptron.training.rule import Rule

__all__ = ["DescentError", "Records", "State", "Trajectory"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Records:
    r"""The columns of a run, a row for each recorded step.

    Attributes
    ----------
    step : (K,) int array
        Steps done at each record, 0 first.
    time : (K,) array
        Sum of the step sizes up to there: the time of `gradient_flow`, which every rule without
        normalisation follows where its steps are small.
    norm : (K,) array
        lam = \|w\|/sqrt(N).
    natural_norm : (K,) array
        \|w\|_p/N^(1/p) in the geometry of the rule: lam for p = 2, mean \|w_j\| for p = 1
        (`coordinate_descent`), max \|w_j\| for p = inf (`sign_descent`, `adam`).
    overlap, generalization_error : (K,) array
        Of the direction of w, and of the intercept: `Examples.overlap_of` and `error_of`; nan
        where nothing is known of new examples.
    train_loss : (K,) array
        Mean of V(Delta) at the free norm, without the weight decay.
    train_error : (K,) array
        Fraction of negative margins.
    stability : (K,) array
        Smallest margin over the natural norm, at most that of the largest margin in this geometry;
        nan at w = 0.
    """

    step: NDArray[np.int64]
    time: Array
    norm: Array
    natural_norm: Array
    overlap: Array
    generalization_error: Array
    train_loss: Array
    train_error: Array
    stability: Array

    @property
    def columns(self) -> dict[str, NDArray[np.float64] | NDArray[np.int64]]:
        """The columns by name, as a table takes them: ``pandas.DataFrame(run.columns)``."""
        return {column.name: getattr(self, column.name) for column in fields(Records)}


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """What a rule carries from step to step beside the weights; rules with more add to it.

    Attributes
    ----------
    time : float
        Sum of the step sizes so far.
    at_rest : bool
        Whether the weights have stopped.
    """

    time: float = 0.0
    at_rest: bool = False


@dataclass(frozen=True, eq=False)
class Trajectory(Records):
    r"""A run of training: `Records` of some of its steps, and where it stands.

    Attributes
    ----------
    weights : (N,) array
        At the last record, at their own norm.
    constant : float
        Weight of a constant input 1, where the examples have an intercept.
    rule : Rule
        The rule and its parameters: ``rule.learning_rate``, ``rule.loss``, ...
    state : State
        What the next step starts from, beside the weights.
    complete : bool
        False if the run was interrupted; what was recorded is here.
    """

    weights: Array
    constant: float
    rule: Rule
    state: State
    complete: bool

    @property
    def intercept(self) -> float:
        r"""The threshold b in sign(w.x/sqrt(N) + b), at the norm of w: constant/sqrt(N)."""
        return float(self.constant / np.sqrt(len(self.weights)))


class DescentError(RuntimeError):
    """A run that cannot go on; what was recorded is in ``trajectory``."""

    def __init__(self, message: str, trajectory: Trajectory):
        super().__init__(message)
        self.trajectory = trajectory

    def __reduce__(self) -> tuple[type[DescentError], tuple[str, Trajectory]]:
        return type(self), (str(self), self.trajectory)
