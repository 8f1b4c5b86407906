"""`CurveRecorder`: the table that `deepnorm fit` reads, written by one's own training loop."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from deepnorm.norms import NormTracker
from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["CurveRecorder"]

COLUMNS = ("P", "seed", "step", "log_norm", "test_error")


class CurveRecorder:
    """Records of one training: the norm is measured, the error is handed over.

    Each record is a line of a CSV file, which is closed in between; several trainings may append to
    one file, one after the other. `deepnorm fit` and `read_curves` read it as it is.

    Parameters
    ----------
    model : Module
    path : path
        The file; its directory has to exist.
    P : int
        Number of training examples, at least 1.
    seed : int or str
        What tells the trainings of one P apart.
    input_shape, example
        As for `spectral_complexity`: the shape of one input, or an input.
    convention : str
        Of the norm, a name of `CONVENTIONS`.
    per_doubling : int
        Records for each doubling of the step, see `due`.

    Raises
    ------
    ValueError
        If an argument is not what is written above, the file holds another table, or the model
        cannot be measured.
    OSError
        If the file cannot be written.
    """

    def __init__(
        self,
        model: nn.Module,
        path: str | os.PathLike[str],
        *,
        P: int,
        seed: int | str,
        input_shape: Sequence[Any] | Mapping[str, Any] | Tensor | None = None,
        example: Sequence[Any] | Mapping[str, Any] | Tensor | None = None,
        convention: str = "eq2",
        per_doubling: int = 4,
    ):
        self._P = arguments.whole("P", P, 1)
        if isinstance(seed, bool) or not isinstance(seed, int | str):
            raise InvalidArgument("seed", "must be an integer or a name", quoted(seed))
        self._seed = seed
        self._per_doubling = arguments.whole("per_doubling", per_doubling, 1)
        self._tracker = NormTracker(model, input_shape, example=example, conventions=(convention,))
        self._convention = convention
        self._path = Path(path)
        self._last = -1
        self._due = 0
        self._check_file()

    def due(self, step: int) -> bool:
        """Whether a record is due: at step 0 and then on a logarithmic clock.

        Steps are round(2^(k/per_doubling)), k = 0, 1, ...: a record at each distinct one, or at
        the first step asked about after it.
        """
        return arguments.whole("step", step, 0) >= self._due

    def record(self, step: int, *, test_error: float) -> float:
        """Measure the norm and write one line; returns ln of the norm.

        Raises
        ------
        ValueError
            If ``step`` does not exceed that of the last record, or the error is not finite.
        """
        step = arguments.whole("step", step, 0)
        if step <= self._last:
            raise InvalidArgument(
                "step", f"must exceed that of the last record, {self._last}", f"{step}"
            )
        error = arguments.number("test_error", test_error)
        if not math.isfinite(error):
            raise InvalidArgument("test_error", "must be finite", f"{error}")
        log_norm = self._tracker.measure()[self._convention]
        self._write([self._P, self._seed, step, repr(log_norm), repr(error)])
        self._last = step
        k = math.floor(self._per_doubling * math.log2(max(step, 1)))
        while round(2 ** (k / self._per_doubling)) <= step:
            k += 1
        self._due = round(2 ** (k / self._per_doubling))
        return log_norm

    def _check_file(self) -> None:
        """Begin the file, or see that it holds such a table and ends with a whole line."""
        if self._path.exists() and not self._path.is_file():
            raise InvalidArgument("path", "must be a regular file", str(self._path))
        if not self._path.exists() or self._path.stat().st_size == 0:
            self._write(COLUMNS)
            return
        with self._path.open("rb") as file:
            header = file.readline(1000).decode("utf-8", "replace").strip()
            file.seek(-1, os.SEEK_END)
            whole = file.read(1) == b"\n"
        if header != ",".join(COLUMNS):
            raise InvalidArgument(
                "path", f"must be new, or begin with {','.join(COLUMNS)}", quoted(header[:80])
            )
        if not whole:  # a training was killed within a line
            with self._path.open("a", encoding="utf-8") as file:
                file.write("\n")

    def _write(self, row: Sequence[Any]) -> None:
        """Append a line; the file is open for as long as that takes."""
        with self._path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(row)
