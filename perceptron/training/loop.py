"""The loop of training, once for every rule: init, step, measure, until the end that was asked for.

Records, resumption, interruption and progress belong here; a rule knows of none of them.
"""

from __future__ import annotations

import math
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptron.data import Examples, check_examples
from perceptron.losses import Loss
from perceptron.powers import power_mean
from perceptron.training.objective import Objective, Point
from perceptron.training.rule import LARGE_ENOUGH, SMALLEST, Descent, Rule, earlier_rule, options
from perceptron.training.trajectory import DescentError, Records, State, Trajectory
from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted
from replica.common.interruption import Interrupted, Interruption
from replica.common.progress import bar

__all__ = ["MOST_RECORDS", "RECORDS", "CountedSteps", "End", "train", "train_steps"]

Array = NDArray[np.float64]

#: Records in each factor of ten of the steps, or of the time. A choice.
RECORDS = 20
#: More in a factor of ten than any run could use; far more would leave a step no room.
MOST_RECORDS = 10**6
#: The steps between two looks at the keyboard take about so long.
CHUNK_S = 0.2
#: Relative growth of the loss that single precision may cause by itself.
ROUNDING = 1e-6
#: Weights beyond this are no numbers to work with: single precision ends at 3e38.
LARGEST = 1e30


class End(ABC):
    """When to record, and when a run is over."""

    #: Whether weights at rest are an end as well.
    rests = False

    @abstractmethod
    def begin(self, done: int, point: Point, state: State) -> None:
        """Refuse a start that is beyond the end."""

    @abstractmethod
    def recorded(self, steps: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the steps are among the records."""

    @abstractmethod
    def next_record(self, done: int) -> int:
        """The step after those done that is recorded next."""

    @abstractmethod
    def reached(self, done: int, point: Point, state: State) -> bool:
        """Whether this is the end."""

    @abstractmethod
    def share(self, done: int, point: Point, state: State) -> float:
        """How much of the way lies behind, for the bar."""

    @abstractmethod
    def where(self, done: int, point: Point, state: State) -> str:
        """The point reached, for whoever interrupted."""


class CountedSteps(End):
    """So many steps, recorded at some of them.

    Parameters
    ----------
    steps : int
    records : int or sequence of int
        Records in each factor of ten of the steps, or the steps to record at. The
        last step always is; with a number of records, so is step 0.
    """

    def __init__(self, steps: int, records: int | Sequence[int]):
        self.steps = arguments.whole("steps", steps, 1, 10**15, "a positive integer")
        self.marks = _marks(records, self.steps)

    def begin(self, done: int, point: Point, state: State) -> None:
        if done > self.steps:
            raise InvalidArgument(
                "steps", f"must be at least those of `resume`, {done}", f"{self.steps}"
            )

    def recorded(self, steps: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.isin(steps, self.marks)

    def next_record(self, done: int) -> int:
        return int(self.marks[np.searchsorted(self.marks, done, side="right")])

    def reached(self, done: int, point: Point, state: State) -> bool:
        return done == self.steps

    def share(self, done: int, point: Point, state: State) -> float:
        return done / self.steps

    def where(self, done: int, point: Point, state: State) -> str:
        return f"step {done} of {self.steps}"


def train(
    rule: Rule,
    examples: Examples,
    end: End,
    *,
    start: Array | None,
    resume: Trajectory | None,
    progress: bool,
    level: int = 3,
) -> Trajectory:
    """Follow the rule to the end; the arguments are those of the public functions.

    Interrupted from the keyboard, it warns and returns what it has; ``level`` says how far up
    the user's line stands, to which the warning points.

    Raises
    ------
    InvalidArgument
        If ``start`` or ``resume`` does not fit the examples, the rule or the end.
    DescentError
        If the weights grow out of the numbers or, where the rule descends, the
        objective beyond that at the start.
    """
    objective = Objective(examples, rule.loss, rule.weight_decay, single=rule.precision == "single")
    book = _Book(rule, end)
    if resume is None:
        point = objective.at(_first_parameters(objective, start))
        done, state, first = 0, rule.init(point), point.value
    else:
        rule.check_resumed(resume.rule)
        point = objective.at(_last_parameters(objective, start, resume))
        done, state, first = int(resume.step[-1]), resume.state, book.keep(resume, objective)
    end.begin(done, point, state)
    if resume is None and end.recorded(np.array([0]))[0]:
        book.add(0, point, state)
    chunk, stopped, resting = 1, False, False
    with (
        Interruption(answered=True, twice=True) as interruption,
        bar(rule.name, 1.0, wanted=progress, unit="percent", remaining=True, kept=True) as shown,
        np.errstate(over="ignore", invalid="ignore"),  # what comes of it is looked at below
    ):
        objective.asked_to_stop = lambda: interruption.requested
        while not (stopped or resting or end.reached(done, point, state)):
            mark = end.next_record(done)
            try:
                while done < mark and not stopped:
                    now = min(chunk, mark - done)
                    before = time.perf_counter()
                    point, state = rule.advance(point, state, done, now)
                    done += now
                    each = (time.perf_counter() - before) / now
                    chunk = max(1, min(2 * chunk, int(CHUNK_S / max(each, 1e-9))))
                    stopped = interruption.requested
                    shown.update(end.share(done, point, state))
            except Interrupted:  # steps that were begun are left undone
                stopped = True
            resting = state.at_rest and not stopped
            value = book.add(done, point, state)
            limit = first + ROUNDING * abs(first) if rule.descends else math.inf
            if not value <= limit or value == math.inf:
                words = (
                    f"the mean loss went from {first:.4g} to {value:.4g} "
                    f"in {done} step{'s' * (done != 1)}"
                )
                raise DescentError(
                    rule.complaint(objective, words), book.trajectory(point, state, complete=False)
                )
    complete = end.reached(done, point, state) or (resting and end.rests)
    if stopped and not complete:
        warnings.warn(
            f"{rule.name} was interrupted at {end.where(done, point, state)}; "
            "pass the result as `resume` to go on",
            RuntimeWarning,
            stacklevel=level,
        )
    return book.trajectory(point, state, complete=complete)


def train_steps(
    kind: type[Descent],
    examples: Examples,
    steps: int,
    learning_rate: float | None,
    default_rate: Callable[[Loss, float], float],
    *,
    loss: Loss,
    start: Array | None,
    records: int | Sequence[int],
    resume: Trajectory | None,
    precision: str,
    progress: bool,
    weight_decay: float = 0.0,
    level: int = 4,
    **parameters: Any,
) -> Trajectory:
    """`train` a rule that counts its steps: what the public functions of all of them do.

    ``default_rate`` makes a learning rate of the loss and the weight decay, where none is
    given and no earlier run had one; ``parameters`` are the rule's own, checked; ``level`` is
    that of `train`.
    """
    check_examples(examples)
    end = CountedSteps(steps, records)
    common = options(loss, precision, weight_decay)
    earlier = earlier_rule(resume, kind)
    if learning_rate is not None:
        rate = arguments.number("learning_rate", learning_rate, *LARGE_ENOUGH)
    elif earlier is not None:
        rate = earlier.learning_rate
    else:
        rate = default_rate(common["loss"], common["weight_decay"])
    rule = kind(learning_rate=rate, **common, **parameters)
    return train(rule, examples, end, start=start, resume=resume, progress=progress, level=level)


class _Book:
    """The records of a run, one after the other."""

    def __init__(self, rule: Rule, end: End):
        self.rule, self.end = rule, end
        self.rows: list[tuple[float, ...]] = []

    def keep(self, earlier: Trajectory, objective: Objective) -> float:
        """Take over the records of an earlier run that are wanted; its first F/P."""
        those = self.end.recorded(earlier.step)
        columns = [column[those].tolist() for column in earlier.columns.values()]
        self.rows = [tuple(row) for row in zip(*columns, strict=True)]
        examples = objective.examples
        decay = objective.weight_decay * examples.N * float(earlier.norm[0]) ** 2 / 2
        return float(earlier.train_loss[0]) + decay / examples.P

    def add(self, step: int, point: Point, state: State) -> float:
        """Record one step, if it is none of the records and its weights are numbers; its F/P."""
        if not np.all(np.abs(point.v) < LARGEST):
            return math.inf
        if not self.rows or self.rows[-1][0] < step:
            self.rows.append((step, state.time, *self._scores(point)))
        return point.value

    def _scores(self, point: Point) -> tuple[float, ...]:
        """The columns after the time."""
        examples = point.objective.examples
        p, margins = self.rule.power, point.margins
        natural = point.norm if p == 2.0 else power_mean(point.w, p)
        stability = float(margins.min() / natural) if natural else math.nan
        along, intercept = point.w, point.intercept
        if not np.any(along):
            heading = point.objective.at(self.rule.heading(point.objective.pull()))
            along, intercept, margins = heading.w, heading.intercept, heading.margins
        return (
            point.norm,
            natural,
            examples.overlap_of(along),
            examples.error_of(along, intercept),
            point.loss,
            float(np.mean(margins < 0)),
            stability,
        )

    def trajectory(self, point: Point, state: State, *, complete: bool) -> Trajectory:
        """All of it."""
        names = [column.name for column in fields(Records)]
        table = np.array(self.rows, dtype=np.float64).reshape(-1, len(names)).T
        columns: dict[str, Any] = dict(zip(names, table, strict=True))
        columns["step"] = columns["step"].astype(np.int64)
        return Trajectory(
            **columns,
            weights=point.w,
            constant=float(point.v[-1]) if point.objective.examples.intercept else 0.0,
            rule=self.rule,
            state=state,
            complete=complete,
        )


def _first_parameters(objective: Objective, start: Array | None) -> Array:
    """Weights to begin with, and the constant's, which is zero."""
    first = np.zeros(objective.size)
    if start is None:
        objective.pull()  # from zero the first step needs a direction
        return first
    w = arguments.vector("start", start, objective.examples.N)
    largest = float(np.max(np.abs(w)))
    if not (largest == 0 or SMALLEST <= largest < LARGEST):
        raise InvalidArgument(
            "start",
            f"must be zero, or its largest weight between {SMALLEST:g} and {LARGEST:g}",
            f"{largest:g}",
        )
    first[: len(w)] = w
    return first


def _last_parameters(objective: Objective, start: Array | None, resume: Trajectory) -> Array:
    """The weights of an earlier run, which must be one on these examples."""
    if start is not None:
        raise InvalidArgument("start", "must not be given with `resume`", "both")
    w = np.array(resume.weights, dtype=np.float64)
    loss = math.nan
    if w.shape == (objective.examples.N,):
        if objective.examples.intercept:
            w = np.append(w, resume.constant)
        loss = objective.at(w).loss
    # another machine may add in another order
    if not math.isclose(loss, resume.train_loss[-1], rel_tol=1e-9):
        raise InvalidArgument(
            "resume", "must come from the same examples", "weights with another loss on these"
        )
    return w


def _marks(records: int | Sequence[int], steps: int) -> NDArray[np.int64]:
    """Steps to record at, in order; the last one is ``steps``."""
    rule = "a positive integer or a list of steps"
    marks = _steps(records)
    if marks is None and not isinstance(records, Sequence):
        a_decade = arguments.whole("records", records, 1, MOST_RECORDS, rule)
        exponents = np.arange(math.floor(a_decade * math.log10(steps)) + 1) / a_decade
        marks = np.concatenate([[0], np.rint(10.0**exponents).astype(np.int64)])
    elif marks is None or np.any(marks < 0):
        raise InvalidArgument("records", f"must be {rule} that are not negative", quoted(records))
    return np.unique(np.append(marks[marks <= steps], steps).astype(np.int64))


def _steps(records: Any) -> NDArray[np.int64] | None:
    """The steps of a list of integers; None for anything else, which may be a number."""
    if isinstance(records, np.ma.MaskedArray | bytearray):
        return None
    try:
        marks = np.asarray(records)
    except (TypeError, ValueError, UserWarning):  # ragged, or masked
        return None
    if marks.ndim != 1 or (marks.size and marks.dtype.kind not in "iu"):
        return None
    return np.array([min(int(mark), 10**15) for mark in marks], dtype=np.int64)
