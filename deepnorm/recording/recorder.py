"""`CurveRecorder`: the norm and the test error of a network while it trains, row by row."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from torch import Tensor, nn

from deepnorm.norms import NormTracker
from deepnorm.recording import table
from replica.common import arguments
from replica.common.arguments import POSITIVE, InvalidArgument, quoted, show
from replica.common.text import printable

__all__ = ["CurveRecorder"]

#: Columns that a record may have beside those that it must have.
OPTIONAL = ("train_error", "loss")
#: Records in a doubling of the step: some 130 in 10,000 steps. A choice: an analysis takes at least
#: 8 records of a curve, and its minimum is read off its neighbourhood, a doubling or so.
PER_DOUBLING = 12


class CurveRecorder:
    """Records of one run, on a logarithmic clock, in a table that `deepnorm fit` reads.

    The table has the columns P, seed, step, log_norm, test_error and, if they are recorded,
    train_error and loss. A record is on disk, whole, when `record` returns; several runs may
    write to one file, also at once, or each to its own.

    Parameters
    ----------
    model : Module
        Measured as it is whenever a record is made.
    path : path
        Of the table; created where there is none.
    P : float
        Number of training examples.
    seed : int or str
        Of the run.
    input_shape, example
        As for `spectral_complexity`: what the model takes.
    convention : str
        Of the norm, a name of `CONVENTIONS`.
    per_doubling : int
        Records in a doubling of the step, for `due`.
    resume : bool
        Go on with a run that the table holds already: records up to its last step are not
        written again.

    Raises
    ------
    ValueError
        If the table holds this run already and ``resume`` is False; if it has other columns; as
        `NormTracker`.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> curve = CurveRecorder(model, "curves.csv", P=1000, seed=0, input_shape=(1, 28, 28))
    >>> for step in range(steps):
    ...     if curve.due(step):
    ...         curve.record(step, test_error=evaluate(model))
    ...     train(model)
    """

    def __init__(
        self,
        model: nn.Module,
        path: str | os.PathLike[str],
        *,
        P: float,
        seed: int | str,
        input_shape: Sequence[Any] | Mapping[str, Any] | Tensor | None = None,
        example: Sequence[Any] | Mapping[str, Any] | Tensor | None = None,
        convention: str = "eq2",
        per_doubling: int = PER_DOUBLING,
        resume: bool = False,
    ):
        self._path = os.fspath(path)
        self._P = arguments.number("P", P, POSITIVE)
        self._seed = _seed(seed)
        self._growth = 2 ** (1 / arguments.whole("per_doubling", per_doubling, 1))
        self._convention = convention
        self._tracker = NormTracker(model, input_shape, example=example, conventions=(convention,))
        self._titles: tuple[str, ...] | None = None
        self._last: float | None = None
        self._recorded = self._steps_there(resume)

    def _steps_there(self, resume: bool) -> float:
        """The last step of this run in the table; -1 without one."""
        last = -1.0
        for row in table.read_rows(self._path):
            if row["seed"] == self._seed and float(row["P"]) == self._P:
                last = max(last, float(row["step"]))
        if last >= 0 and not resume:
            raise InvalidArgument(
                "path",
                f"must not hold this run (P = {show(self._P)}, seed = {self._seed}) yet; to go on "
                "with it pass `resume=True`, and for another run another `seed` or file",
                f"{printable(self._path)} with records up to step {show(last)}",
            )
        if last >= 0:
            self._last = last
        return last

    def due(self, step: int) -> bool:
        """Whether a record is due: the first, and each at 2^(1/per_doubling) times the last step.

        After step s the next one is the first that is at least max(s + 1, 2^(1/n) s): all of the
        early steps, then n in a doubling, whichever steps are asked about.
        """
        step = arguments.whole("step", step, 0)
        return self._last is None or step >= max(self._last + 1, self._growth * self._last)

    def record(
        self,
        step: int,
        test_error: float,
        *,
        train_error: float | None = None,
        loss: float | None = None,
    ) -> bool:
        """Measure the norm, and write a row.

        Parameters
        ----------
        step : int
            Optimizer steps so far; larger than in the record before.
        test_error : float
            In [0, 1]; or a test loss, which `deepnorm fit --quantity loss` reads.
        train_error, loss : float, optional
            The same of all records, or of none.

        Returns
        -------
        bool
            False if the table has this step already (``resume``), and nothing was written.

        Raises
        ------
        ValueError
            If the step does not increase; if a number is not finite, or negative; if the columns
            change; if the norm cannot be measured.
        OSError
            If the row cannot be written; the table is then as it was.
        """
        step = arguments.whole("step", step, 0)
        if step <= self._recorded:
            return False
        if self._titles is not None and self._last is not None and step <= self._last:
            raise InvalidArgument("step", f"must exceed that before, {show(self._last)}", f"{step}")
        values = {"test_error": _value("test_error", test_error)}
        for name, value in zip(OPTIONAL, (train_error, loss), strict=True):
            if value is not None:
                values[name] = _value(name, value)
        titles = ("P", "seed", "step", "log_norm", *values)
        if self._titles is not None and titles != self._titles:
            raise InvalidArgument(
                next(name for name in OPTIONAL if (name in titles) != (name in self._titles)),
                "must be given in every record of a run, or in none",
            )
        log_norm = self._tracker.measure()[self._convention]
        if math.isnan(log_norm) or log_norm == math.inf:
            raise InvalidArgument("model", "must have a finite norm", f"ln R = {log_norm}")
        cells = (show(self._P), self._seed, str(step), repr(float(log_norm)))
        row = (*cells, *(repr(value) for value in values.values()))
        table.append(self._path, titles, row)
        self._titles, self._last = titles, float(step)
        return True

    def __enter__(self) -> CurveRecorder:
        """The recorder itself: nothing is held open between records."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is left to be done: every record is on disk."""


def _seed(seed: object) -> str:
    """A seed as the table has it."""
    if isinstance(seed, str) and seed.strip() == seed and seed and seed.isprintable():
        return seed
    try:
        return str(arguments.whole("seed", seed))
    except InvalidArgument:
        raise InvalidArgument(
            "seed", "must be an integer, or a name in one printable line", quoted(seed)
        ) from None


def _value(name: str, value: object) -> float:
    """A number of a record; tensors of one element on any device are read."""
    found = arguments.as_double(value)
    if found is None or not math.isfinite(found) or found < 0:
        raise InvalidArgument(name, "must be finite and not negative", quoted(value))
    return found
