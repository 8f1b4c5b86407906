"""What a training rule is: init and step. The loop, its records and its resumption know no more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from perceptron import ranges
from perceptron.losses import Logistic, Loss
from perceptron.training.objective import Objective, Point
from perceptron.training.trajectory import State, Trajectory
from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted

__all__ = [
    "DECAY",
    "LARGE_ENOUGH",
    "LOGISTIC",
    "SMALLEST",
    "Descent",
    "Rule",
    "earlier_rule",
    "options",
]

Array = NDArray[np.float64]
Kind = TypeVar("Kind", bound="Rule")

#: The paper's loss, log(1 + exp(-2 Delta)).
LOGISTIC = Logistic(1.0)
#: Below this the squares of weights are no numbers.
SMALLEST = 1e-100
#: What `decay` may be: steps that shrink faster than 1/t have a finite sum.
DECAY = ranges.within(0.0, 1.0)
LARGE_ENOUGH = (arguments.POSITIVE, ranges.at_least(SMALLEST))


@dataclass(frozen=True, kw_only=True)
class Rule(ABC):
    """A rule with its parameters, which decide the run together with the examples and the start.

    Attributes
    ----------
    loss : Loss
    weight_decay : float
    precision : {"single", "double"}
        That of the products with the inputs.
    """

    #: In words, and the public function.
    name: ClassVar[str]
    function: ClassVar[str]
    #: Whether the objective must stay below that at the start: it does in small steps.
    descends: ClassVar[bool] = False

    loss: Loss
    weight_decay: float = 0.0
    precision: str = "double"

    @property
    def power(self) -> float:
        """The p of the norm in which the rule's steps are steepest."""
        return 2.0

    def init(self, point: Point) -> State:
        """What there is beside the weights before the first step."""
        return State()

    @abstractmethod
    def step(self, point: Point, state: State, done: int) -> tuple[Point, State]:
        """One step, when ``done`` are done; changes neither of the two that it gets."""

    def advance(self, point: Point, state: State, done: int, steps: int) -> tuple[Point, State]:
        """So many steps."""
        for i in range(steps):
            point, state = self.step(point, state, done + i)
        return point, state

    def heading(self, pull: Array) -> Array:
        """Direction of the first step from zero, where the examples pull like this."""
        return pull

    def complaint(self, objective: Objective, words: str) -> str:
        """Why a run failed whose loss or weights grew as the words say."""
        return words

    def check_resumed(self, earlier: Rule) -> None:
        """Refuse to go on with other parameters."""
        for parameter in fields(self):
            was, now = getattr(earlier, parameter.name), getattr(self, parameter.name)
            if parameter.compare and was != now:
                raise InvalidArgument(
                    parameter.name, f"must be that of `resume`, {was!r}", quoted(now)
                )


@dataclass(frozen=True, kw_only=True)
class Descent(Rule):
    """A rule with a learning rate, eta_t = learning_rate / t^decay at step t = 1, 2, ..."""

    learning_rate: float
    decay: float = 0.0

    def rate(self, done: int) -> float:
        """Learning rate of the next step."""
        return self.learning_rate / (done + 1) ** self.decay if self.decay else self.learning_rate

    def complaint(self, objective: Objective, words: str) -> str:
        """With the learning rate that is to blame."""
        return f"`learning_rate` = {self.learning_rate:g} is too large: {words}"


def earlier_rule(resume: Trajectory | None, kind: type[Kind]) -> Kind | None:
    """The rule of the run that is to go on, which must be of this kind.

    Raises
    ------
    InvalidArgument
        If it is of another, or no trajectory.
    """
    if resume is None:
        return None
    rule = arguments.instance("resume", resume, Trajectory).rule
    if not isinstance(rule, kind):
        raise InvalidArgument(
            "resume",
            f"must come from {kind.function}",
            f"a run of {rule.function} (continue another rule with `start=resume.weights`)",
        )
    return rule


def options(loss: object, precision: object, weight_decay: object = 0.0) -> dict[str, Any]:
    """The parameters that all rules have, checked.

    Raises
    ------
    InvalidArgument
        If one breaks its rule; the loss must have a gradient.
    """
    found = arguments.instance("loss", loss, Loss)  # type: ignore[type-abstract]
    infinite = isinstance(found, Logistic) and found.lam == 0
    if infinite or not found.smooth:
        raise InvalidArgument(
            "loss", "must be finite and have a continuous derivative", quoted(loss)
        )
    return {
        "loss": found,
        "precision": arguments.word("precision", precision, ("single", "double")),
        "weight_decay": arguments.number("weight_decay", weight_decay, arguments.NOT_NEGATIVE),
    }
