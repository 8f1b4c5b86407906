"""What a training leaves behind: columns of numbers, one entry a record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepnorm.sweeps.configuration import Run

__all__ = ["QUANTILES", "Divergence", "Result", "columns"]

#: Of the margins that are kept: the extremes, the median and what lies between.
QUANTILES = (
    *(0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
    *(0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0),
)


def columns(run: Run) -> tuple[str, ...]:
    """The names of a record's numbers, in their order.

    ``step`` counts optimizer steps and ``epoch`` passes through the P images; errors are
    fractions and losses mean cross-entropies; ``log_norm_<convention>`` is the natural logarithm
    of the norm; ``train_margin_<q>`` is the quantile q of f_y - max_{j != y} f_j over the
    training images that are evaluated, not normalised, and ``test_margin_<q>`` that of the test.
    """
    return (
        "step",
        "epoch",
        *(f"log_norm_{name}" for name in run.conventions),
        *(
            f"{part}_{name}"
            for part in ("train", "test")
            for name in ("error", "loss", *(f"margin_{q:g}" for q in QUANTILES))
        ),
    )


@dataclass(frozen=True)
class Divergence:
    """Where a training stopped making sense.

    Attributes
    ----------
    step : int
        The first optimizer step after which something was not finite.
    reason : str
        What it was.
    """

    step: int
    reason: str


@dataclass(frozen=True)
class Result:
    """A run that is over. Two are equal if their numbers are; when and where is not compared.

    Attributes
    ----------
    run : Run
        What was asked for.
    data_digest : str
        SHA-256 of the images and labels, from `deepnorm.datasets`.
    records : mapping of str to tuple of float
        By the names of `columns`; one number for each record.
    divergence : Divergence or None
        Why the records end before the last step, if they do.
    seconds : tuple of float
        Training time up to each record, interruptions not counted.
    environment : mapping
        Versions, host, device, threads, wall time.
    """

    run: Run
    data_digest: str
    records: Mapping[str, tuple[float, ...]]
    divergence: Divergence | None = None
    seconds: tuple[float, ...] = field(default=(), compare=False)
    environment: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        """Columns as the run says, equally long, finite, and up to the last step."""
        names = columns(self.run)
        if tuple(self.records) != names:
            raise ValueError(f"the columns of the records must be {names}; got {(*self.records,)}")
        lengths = {len(column) for column in self.records.values()} | {len(self.seconds)}
        if len(lengths) > 1:
            raise ValueError(f"the columns of the records differ in length: {sorted(lengths)}")
        if not all(math.isfinite(x) for column in self.records.values() for x in column):
            raise ValueError("the records hold a number that is not finite")
        expected = self.run.record_steps
        if self.divergence is not None:
            expected = expected[: len(self.seconds)]
        if self.records["step"] != expected:
            raise ValueError(
                f"the records must be those of the steps {expected}; got {self.records['step']}"
            )

    @property
    def status(self) -> str:
        """The word for it: "finished" or "diverged"."""
        return "finished" if self.divergence is None else "diverged"
