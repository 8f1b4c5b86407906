"""The experiment: fresh examples at every size, learned by every loss of their draw."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import groupby

import numpy as np

import perceptron
from validation.agreement import theory
from validation.agreement.cells import INPUTS, LOSSES, Draw
from validation.agreement.theory import EARLY, Learner, key, slope

__all__ = ["Experiment", "Sample", "simulate"]

#: What says that these examples have no such weights, or that they were not found.
NO_ANSWER = (
    perceptron.NoMinimiser,
    perceptron.NotConverged,
    perceptron.NotSeparable,
    perceptron.Undecided,
)


@dataclass(frozen=True)
class Experiment:
    """One draw of examples at one size, learned by every loss. It is called with a seed."""

    draw: Draw
    size: int
    learners: tuple[Learner, ...]

    def __call__(self, seed: int) -> dict[str, float]:
        """All quantities of one seed by their `key`; nan where the examples have no answer."""
        examples = self.draw.examples(self.size, seed)
        found: dict[str, float] = {}
        for name, group in groupby(self.learners, key=lambda learner: learner.loss):
            members = list(group)
            learned = _learned(name, examples, [each.value for each in members])
            errors = {}
            for member, result in zip(members, learned, strict=True):
                for quantity, value in self._measured(member, examples, result):
                    found[key(name, member.value, quantity)] = value
                    if quantity == "log error":
                        errors[member.value] = value
            if name == "logistic" and self.draw.counted:
                early = slope(errors[EARLY[0]], errors[EARLY[1]])
                found[key(name, EARLY[1], "exponent gamma_1")] = early
        return found

    def _measured(
        self, learner: Learner, examples: perceptron.Examples, learned: perceptron.Learned | None
    ) -> list[tuple[str, float]]:
        """The quantities that `theory.predictions` names."""
        draw, loss = self.draw, learner.loss
        names = [] if draw.teacher == "random" else ["log error"]
        if loss == "flow":
            names.append("log field norm")
        elif loss != "Bayes":
            names += ["log norm", "log loss", "stability", "margin mean", "intercept", "log Q"]
            names += [f"P(margin < level {i + 1})" for i in range(len(learner.levels))]
        if learned is None:
            return [(name, np.nan) for name in names]
        law, margins = examples.law, learned.margins
        assert law is not None
        q = law.input_variance(learned.weights)
        values = {
            "log norm": np.log(learned.norm) if LOSSES[loss].word == "ridge" else np.nan,
            "log field norm": np.log(learned.norm * np.sqrt(q)) if learned.norm else np.nan,
            "log loss": np.log(learned.train_loss) if LOSSES[loss].positive else np.nan,
            "stability": float(np.min(margins)),
            "margin mean": float(np.mean(margins)),
            "intercept": learned.intercept,
            "log Q": np.log(q),
            **{
                f"P(margin < level {i + 1})": float(np.mean(margins < level))
                for i, level in enumerate(learner.levels)
            },
        }
        if draw.teacher != "random":
            values["log error"] = np.log(learned.generalization_error)
        return [(name, float(values[name])) for name in names]


def _learned(
    name: str, examples: perceptron.Examples, values: list[float]
) -> Sequence[perceptron.Learned | None]:
    """By value; None where the examples have no answer, which does not spoil the others."""
    try:
        return LOSSES[name].simulated(examples, values)
    except NO_ANSWER:
        if len(values) == 1:
            return [None]
        return [found for value in values for found in _learned(name, examples, [value])]


@dataclass(frozen=True, eq=False)
class Sample:
    """What was measured of one draw.

    Attributes
    ----------
    draw : Draw
    learners : dict of tuples
        By size.
    measured : dict of perceptron.Ensemble
        By size.
    """

    draw: Draw
    learners: dict[int, tuple[Learner, ...]]
    measured: dict[int, perceptron.Ensemble]

    @property
    def complete(self) -> bool:
        """Whether every seed was done."""
        whole = len(self.measured) == len(self.draw.sizes)
        return whole and all(found.complete for found in self.measured.values())


def chosen(draw: Draw) -> dict[int, tuple[Learner, ...]]:
    """By size; at every N the same where the theory has no other size than infinity."""
    sizes = [rounded(draw, size) for size, _ in draw.sizes]
    if draw.counted:
        return {size: tuple(theory.learners(draw, size)) for size in sizes}
    return dict.fromkeys(sizes, tuple(theory.learners(draw, 0)))


def rounded(draw: Draw, size: int) -> int:
    """The next size that the inputs can have."""
    multiple = INPUTS[draw.inputs].multiple
    return -(-size // multiple) * multiple


def simulate(
    draws: Sequence[Draw],
    *,
    first: int = 0,
    executor: Executor | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Sample]:
    """Learn fresh examples of every draw, at all of its sizes.

    No seed is used twice: one seed gives the same first rows at every alpha.

    Parameters
    ----------
    draws : sequence of Draw
    first : int
        The first seed; the others follow.
    executor : concurrent.futures.Executor, optional
        Where the seeds run.
    say : callable
        Told a line before each size.

    Returns
    -------
    list of Sample
        After an interruption those that were begun, with a warning; the last may be incomplete.
    """
    samples = []
    for draw in draws:
        sample = Sample(draw, chosen(draw), {})
        samples.append(sample)
        for (_, seeds), n in zip(draw.sizes, sample.learners, strict=True):
            say(f"{draw.name}, {'P' if draw.counted else 'N'} = {n}: {seeds} seeds")
            experiment = Experiment(draw, n, sample.learners[n])
            with warnings.catch_warnings():
                # `over_seeds` tells of an interruption by a warning, which is passed on below
                warnings.simplefilter("ignore", RuntimeWarning)
                found = perceptron.over_seeds(
                    experiment, range(first, first + seeds), executor=executor
                )
            first += seeds
            if found.n:
                sample.measured[n] = found
            if not found.complete:
                warnings.warn(
                    f"interrupted: {len(samples)} of {len(draws)} draws are kept",
                    RuntimeWarning,
                    stacklevel=2,
                )
                return samples
    return samples
