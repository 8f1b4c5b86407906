"""A problem: how many examples, which loss, which teacher."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica import ranges
from replica.common import arguments
from replica.losses import Loss
from replica.teachers import LabelModel, Labels, Teacher

__all__ = ["Posed", "Problem"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    r"""The minimiser of a loss on the sphere \|w\|^2 = N, given alpha N labelled examples.

    Parameters
    ----------
    alpha : float or array
        Examples per dimension, P/N; positive.
    loss : Loss
        V of the margin (`replica.losses`); its parameter may be an array.
    teacher : Teacher, LogisticTeacher or RandomLabels
        Who gives the labels (`replica.teachers`); its parameters may be arrays.

    All arrays broadcast together.
    """

    alpha: ArrayLike
    loss: Loss
    teacher: LabelModel = field(default_factory=Teacher)

    def __post_init__(self) -> None:
        if not isinstance(self.loss, Loss):
            raise ValueError(
                "`loss` must be a Loss such as Logistic(lam=1.0); "
                f"got {arguments.quoted(self.loss)}"
            )
        if not isinstance(self.teacher, LabelModel):
            raise ValueError(
                f"`teacher` must be a Teacher, LogisticTeacher or RandomLabels; "
                f"got {arguments.quoted(self.teacher)}"
            )

    def part(self, shape: tuple[int, ...], key: Any) -> Problem:
        """The problems at ``key`` of the array of ``shape`` that this one broadcasts to."""

        def take(value: ArrayLike) -> Any:
            return np.broadcast_to(arguments.numbers("parameter", value), shape)[key]

        loss, teacher = self.loss, self.teacher
        if loss.parameter is not None:
            loss = loss.with_parameter(take(getattr(loss, loss.parameter)))
        numbers = {name: take(value) for name, (value, _) in teacher.parameters().items()}
        teacher = teacher.with_parameters(numbers)
        return Problem(alpha=take(self.alpha), loss=loss, teacher=teacher)


@dataclass(frozen=True)
class Posed:
    """A problem that went through the door: flat float64 arrays of one length."""

    problem: Problem
    shape: tuple[int, ...]
    alpha: Array
    parameter: Array
    labels: Labels
    complaints: arguments.Complaints

    def __len__(self) -> int:
        return len(self.alpha)


def pose(problem: Problem) -> Posed:
    """Check, broadcast and flatten a problem.

    Raises
    ------
    ValueError
        For a scalar problem with a bad number, or arrays that do not broadcast.
    """
    loss, teacher = problem.loss, problem.teacher
    given = {"alpha": (problem.alpha, ranges.ALPHA), **teacher.parameters()}
    if loss.parameter is not None:
        given[loss.parameter] = (getattr(loss, loss.parameter), loss.rule)
    values = {name: value for name, (value, _) in given.items()}
    shape, flat = arguments.broadcast(values, arguments.BYTES_OF_SOLUTION)
    complaints = arguments.Complaints(shape)
    for name, (_, rule) in given.items():
        complaints.check(name, flat[name], rule)
    size = len(flat["alpha"])
    with np.errstate(over="ignore", invalid="ignore"):  # of entries that were refused
        labels = teacher.mixture(flat, size)
    return Posed(
        problem=problem,
        shape=shape,
        alpha=flat["alpha"],
        parameter=flat[loss.parameter] if loss.parameter else np.zeros(size),
        labels=labels,
        complaints=complaints,
    )
