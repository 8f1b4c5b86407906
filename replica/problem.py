"""A problem: how many examples, of what kind, which loss, which teacher."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica import ranges
from replica.channel import Channel, CloudChannel, TeacherChannel
from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted
from replica.common.refusals import Refusals
from replica.equations import SaddlePointEquations
from replica.inputs import Clusters, Inputs, Isotropic
from replica.losses import Loss
from replica.losses.smooth import rescaled
from replica.teachers import LabelModel, NoiseMixture, Teacher
from replica.weights import SpectrumWeights, Sphere, Weights

__all__ = ["Posed", "Problem", "pose"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Problem:
    r"""The minimiser of a loss at given norm of the weights, given labelled examples.

    Parameters
    ----------
    alpha : float or array
        Examples: per dimension, P/N, where the inputs are a density (isotropic ones are); their
        number P where the inputs count modes. Positive.
    loss : Loss
        V of the margin (`replica.losses`); its parameter may be an array.
    teacher : Teacher, LogisticTeacher or RandomLabels
        Who gives the labels (`replica.teachers`); its parameters may be arrays. The labels of
        `Clusters` are those of the clusters, and there must be no noise beside.
    inputs : Isotropic, Spectrum, PowerLaw, MarchenkoPastur or Clusters
        The covariance of the inputs (`replica.inputs`). The norm is \|w\|^2 = N for a density,
        \|w\|^2 = 1 otherwise.

    All arrays broadcast together.
    """

    alpha: ArrayLike
    loss: Loss
    teacher: LabelModel = field(default_factory=Teacher)
    inputs: Inputs = field(default_factory=Isotropic)

    def __post_init__(self) -> None:
        for name, value, kind, rule in (
            ("loss", self.loss, Loss, "must be a Loss such as Logistic(lam=1.0)"),
            (
                "teacher",
                self.teacher,
                LabelModel,
                "must be a Teacher, LogisticTeacher or RandomLabels",
            ),
            (
                "inputs",
                self.inputs,
                Inputs,
                "must be Isotropic(), a Spectrum, PowerLaw, MarchenkoPastur or Clusters",
            ),
        ):
            if not isinstance(value, kind):
                raise InvalidArgument(name, rule, quoted(value))
        if isinstance(self.inputs, Clusters) and self.teacher != Teacher():
            raise InvalidArgument(
                "teacher",
                "must be left out with Clusters, whose labels are those of the clusters",
                quoted(self.teacher),
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
        return Problem(alpha=take(self.alpha), loss=loss, teacher=teacher, inputs=self.inputs)


@dataclass(frozen=True)
class Posed:
    """A problem whose arguments were checked: flat float64 arrays of one length."""

    problem: Problem
    shape: tuple[int, ...]
    alpha: Array
    parameter: Array
    labels: NoiseMixture
    refusals: Refusals

    def __len__(self) -> int:
        return len(self.alpha)

    @property
    def weights(self) -> Weights:
        """The weights' side of the problem."""
        inputs = self.problem.inputs
        return Sphere() if isinstance(inputs, Isotropic) else SpectrumWeights(inputs.nodes)

    def channel(self, loss: Loss, which: Indices) -> Channel:
        """The data's side of some of the entries, with their own or another loss."""
        inputs, parameter = self.problem.inputs, self.parameter[which]
        if not isinstance(inputs, Isotropic) and loss.needs_rescaling:
            parameter = np.stack([parameter, np.ones(len(which))], axis=1)
            loss = rescaled(loss)
        if isinstance(inputs, Clusters):
            distance = float(np.sqrt(inputs.nodes.distance))
            return CloudChannel(loss, parameter, distance, inputs.positive)
        return TeacherChannel(loss, parameter, self.labels[which])

    def equations(self, which: Indices, loss: Loss | None = None) -> SaddlePointEquations:
        """The equations of some of the entries."""
        loss = self.problem.loss if loss is None else loss
        return SaddlePointEquations(self.channel(loss, which), self.weights, self.alpha[which])


def pose(problem: Problem) -> Posed:
    """Check, broadcast and flatten a problem.

    Raises
    ------
    InvalidArgument
        For a scalar problem with a bad number.
    ValueError
        For arrays that do not broadcast.
    """
    loss, teacher = problem.loss, problem.teacher
    given = {"alpha": (problem.alpha, ranges.ALPHA), **teacher.parameters()}
    if loss.parameter is not None:
        given[loss.parameter] = (getattr(loss, loss.parameter), loss.range)
    values = {name: value for name, (value, _) in given.items()}
    shape, flat = arguments.broadcast(values, arguments.BYTES_OF_SOLUTION)
    refusals = Refusals(shape)
    for name, (_, allowed) in given.items():
        refusals.check(name, flat[name], allowed)
    size = len(flat["alpha"])
    with np.errstate(over="ignore", invalid="ignore"):  # of entries that were refused
        labels = teacher.mixture(flat, size)
    return Posed(
        problem=problem,
        shape=shape,
        alpha=flat["alpha"],
        parameter=flat[loss.parameter] if loss.parameter else np.zeros(size),
        labels=labels,
        refusals=refusals,
    )
