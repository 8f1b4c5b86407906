"""What the theory predicts of a draw, and what wrong theories do.

A quantity is named by the loss, the value of its parameter and what is measured (`key`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

import replica
from replica import Solution
from replica.common.arguments import InvalidArgument
from replica.inputs import Inputs
from replica.teachers import LabelModel
from validation.agreement.cells import INPUTS, LOSSES, TEACHERS, Draw, LossPair
from validation.agreement.flow import population_flow

__all__ = ["CONTROLS", "Learner", "Wrong", "key", "learners", "predictions"]

#: Levels at which the distribution of the margins is compared.
QUANTILES = (0.1, 0.5, 0.9)
#: A level on an atom of the distribution is moved beyond it: rounding would decide otherwise.
BESIDE = 0.05
#: A problem is posed only if one at a norm larger by this factor has an answer too. At finite N
#: the norm of the unconstrained minimiser and the largest stability, beyond which there is none,
#: differ from draw to draw.
EDGE = 1.5
#: Norms between which the early exponent is read off.
EARLY = (4.0, 11.0)


@dataclass(frozen=True)
class Learner:
    """A loss at one value of its parameter, and where the margins are cut."""

    loss: str
    value: float
    levels: tuple[float, ...] = ()


def key(loss: str, value: float, quantity: str) -> str:
    """The name of a quantity within a draw."""
    return f"{loss} {value:g}: {quantity}"


@dataclass(frozen=True)
class Wrong:
    """A theory; by default the right one.

    Attributes
    ----------
    factor : float
        By which it believes the norm larger than it is.
    teacher, inputs : str
        Attribute of the pair in `TEACHERS` or `INPUTS` that it takes.
    """

    factor: float = 1.0
    teacher: str = "theory"
    inputs: str = "theory"

    def applies(self, draw: Draw, loss: str) -> bool:
        """Whether it says anything else than the right one."""
        teacher, inputs = TEACHERS[draw.teacher], INPUTS[draw.inputs]
        if self.factor != 1 and not LOSSES[loss].word:
            return False
        if getattr(teacher, self.teacher) is None or getattr(inputs, self.inputs) is None:
            return False
        # the flow of the population knows noiseless teachers, whatever their field's direction
        return loss != "flow" or (self.teacher == "theory" and self.inputs != "flat")


RIGHT = Wrong()
#: Theories that are wrong, by name: each has to fail the rule.
CONTROLS: dict[str, Wrong] = {
    "norm off by a factor of 2": Wrong(factor=2.0),
    "2% more labels flipped": Wrong(teacher="flipped"),
    "noise of another kind": Wrong(teacher="other"),
    "isotropic inputs": Wrong(inputs="flat"),
    "another source or share": Wrong(inputs="other"),
}


def learners(draw: Draw, size: int) -> list[Learner]:
    """Losses and values that have an answer, away from the edge, with the levels there."""
    found = []
    for name in draw.losses:
        pair = LOSSES[name]
        values = pair.values
        if draw.counted and name == "logistic":
            values = (values[1], *EARLY)
        for value in values:
            if name == "flow":
                found.append(Learner(name, value))
            elif _answer(draw, size, pair, value, replace(RIGHT, factor=_beyond(pair))) is not None:
                solution = _answer(draw, size, pair, value, RIGHT)
                found.append(Learner(name, value, _levels(name, value, solution)))
    return found


def _beyond(pair: LossPair) -> float:
    return EDGE if pair.word in ("lam", "margin") else 1.0


def _levels(name: str, value: float, solution: Any) -> tuple[float, ...]:
    """The predicted quantiles."""
    if name == "Bayes":
        return ()
    # the stability itself fluctuates: near the atom m(N) is no straight line in 1/N
    quantiles = QUANTILES[-1:] if name == "hard margin" else QUANTILES
    atom = value if name == "hinge" else solution.stability
    levels = (float(solution.margins.quantile(p)) for p in quantiles)
    return tuple(atom + BESIDE if abs(level - atom) < BESIDE else level for level in levels)


def predictions(
    draw: Draw, size: int, chosen: list[Learner], theory: Wrong = RIGHT
) -> Iterator[tuple[Learner, str, float]]:
    """Learner, quantity and predicted value, of what the theory has an answer to."""
    early: dict[float, float] = {}
    for learner in chosen:
        pair = LOSSES[learner.loss]
        if not theory.applies(draw, learner.loss):
            continue
        if learner.loss == "flow":
            for quantity, value in _flow(draw, learner.value, theory):
                yield learner, quantity, value
            continue
        solution = _answer(draw, size, pair, learner.value, theory)
        if solution is None:
            continue
        if draw.teacher != "random":
            early[learner.value] = float(np.log(solution.generalization_error))
            yield learner, "log error", early[learner.value]
            if draw.counted and learner.loss == "logistic" and learner.value == EARLY[1]:
                yield learner, "exponent gamma_1", slope(early[EARLY[0]], early[EARLY[1]])
        if learner.loss == "Bayes":
            continue
        yield from _of_solution(draw, pair, learner, solution, theory)


def _of_solution(
    draw: Draw, pair: LossPair, learner: Learner, solution: Solution, theory: Wrong
) -> Iterator[tuple[Learner, str, float]]:
    """What a fixed point says beside its error."""
    if pair.word == "ridge":
        yield learner, "log norm", float(np.log(solution.lam))
    elif pair.positive:
        # V at a wrong norm is another function: what is compared is the loss of the right one
        scale = theory.factor**pair.degree
        yield learner, "log loss", float(np.log(solution.train_loss * scale))
    if learner.loss == "hard margin":
        yield learner, "stability", float(solution.stability)
    yield learner, "margin mean", float(solution.margins.mean())
    for i, level in enumerate(learner.levels):
        yield learner, f"P(margin < level {i + 1})", float(solution.margins.cdf(level))
    if INPUTS[draw.inputs].structured or draw.counted:
        yield learner, "log Q", float(np.log(solution.input_variance))
    if draw.inputs == "unequal clusters":
        yield learner, "intercept", float(solution.intercept)


def slope(first: float, last: float) -> float:
    """Of -log error in log lam, between the norms of `EARLY`."""
    return -(last - first) / float(np.log(EARLY[1] / EARLY[0]))


@lru_cache(maxsize=4096)
def _answer(draw: Draw, size: int, pair: LossPair, value: float, theory: Wrong) -> Any:
    """The solution, or None where there is none."""
    teacher: LabelModel = getattr(TEACHERS[draw.teacher], theory.teacher)
    inputs: Inputs = getattr(INPUTS[draw.inputs], theory.inputs)
    alpha = draw.examples_per(size)
    try:
        if pair.name == "Bayes":
            return replica.bayes_optimal(alpha, teacher=teacher)
        if pair.word == "ridge":
            count = INPUTS[draw.inputs].modes or 1
            # of a norm believed twice as large, beside the same loss
            ridge = value * (count if draw.counted else 1) * theory.factor**2
            return replica.at_ridge(alpha, ridge, teacher=teacher, inputs=inputs)
        assert pair.theory is not None
        at = value * theory.factor if pair.word == "lam" else value / theory.factor
        return replica.solve(replica.Problem(alpha, pair.theory(at), teacher, inputs))
    except InvalidArgument:
        return None


def _flow(draw: Draw, time: float, theory: Wrong) -> Iterator[tuple[str, float]]:
    """The population's: its time is the same at every P."""
    inputs: Any = getattr(INPUTS[draw.inputs], theory.inputs)
    if isinstance(inputs, replica.Isotropic):
        omega = theta2 = (1.0,)
    else:
        k = np.arange(1.0, inputs.modes + 1)
        omega = tuple(k**-inputs.capacity)
        theta2 = tuple(k ** (inputs.capacity - 1 - 2 * inputs.capacity * inputs.source))
    norm, error = _population(omega, theta2, time)
    yield "log field norm", float(np.log(norm / 2 * theory.factor))
    if error > 0:
        yield "log error", float(np.log(error))


@lru_cache(maxsize=64)
def _population(
    omega: tuple[float, ...], theta2: tuple[float, ...], time: float
) -> tuple[float, float]:
    found = population_flow(np.array(omega), np.array(theta2), np.array([time]))
    # isotropic: the direction is the teacher's from the beginning, to rounding
    error = float(found.error[0]) if len(omega) > 1 else 0.0
    return float(found.field_norm[0]), error
