"""Means against predictions, in standard errors; the rule; and what the numbers are kept in."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import chi2

from validation.agreement import theory
from validation.agreement.experiment import Sample
from validation.agreement.theory import RIGHT, Wrong, key

__all__ = ["Comparison", "Verdict", "compare", "extrapolate", "judge", "write_csv"]

Array = NDArray[np.float64]

#: How often a right theory may be rejected by each half of the rule.
RISK = 1e-3
#: Independent directions among the quantities of one draw, by the participation ratio of their
#: correlations (`directions`): 2.4 to 5 were measured.
DIRECTIONS = 2
#: A quantity that fluctuates less is the same in every draw; the solvers' own error is below.
STILL = 1e-9
#: Seeds of one size of which at most so many may have no answer: the others are then no fair
#: sample, and the cell is empty.
MOST_MISSING = 0


@dataclass(frozen=True)
class Comparison:
    """One quantity: what was predicted, what was simulated, and how far they are apart.

    Attributes
    ----------
    loss, teacher, inputs : str
        The cell.
    alpha : float
        P/N; nan where inputs count modes.
    value : float
        Of the loss's parameter: a norm, a margin, a ridge, a time; nan without one.
    quantity : str
    sizes : tuple of int
        N, or P where inputs count modes.
    predictions : tuple of float
        At each size; all the same in the limit of infinite N.
    means, errors : tuple of float
        Over the seeds, and the standard error.
    deviation, error : float
        a of mean - prediction = a + b/size, and its standard error.
    """

    loss: str
    teacher: str
    inputs: str
    alpha: float
    value: float
    quantity: str
    sizes: tuple[int, ...]
    predictions: tuple[float, ...]
    means: tuple[float, ...]
    errors: tuple[float, ...]
    deviation: float
    error: float

    @property
    def z(self) -> float:
        """The deviation in standard errors."""
        return self.deviation / self.error

    @property
    def draw(self) -> tuple[str, str, str, str]:
        """Whose quantities are correlated."""
        return self.teacher, self.inputs, f"{self.alpha:g}", str(self.sizes)


@dataclass(frozen=True)
class Verdict:
    r"""Whether a list of comparisons agrees.

    Attributes
    ----------
    largest, rms : float
        Of \|z\| over the quantities.
    largest_allowed, rms_allowed : float
        By the rule, for so many quantities and draws.
    worst : Comparison
        Where the largest is.
    count : int
        How many quantities.
    """

    largest: float
    rms: float
    largest_allowed: float
    rms_allowed: float
    worst: Comparison
    count: int

    @property
    def passes(self) -> bool:
        """By the rule."""
        return self.largest < self.largest_allowed and self.rms < self.rms_allowed


def judge(comparisons: Sequence[Comparison]) -> Verdict:
    """Apply the rule of the package's page."""
    z = np.array([c.z for c in comparisons])
    worst = int(np.argmax(np.abs(z)))
    count, directions = len(z), DIRECTIONS * len({c.draw for c in comparisons})
    return Verdict(
        largest=float(np.abs(z[worst])),
        rms=float(np.sqrt(np.mean(z**2))),
        largest_allowed=float(-ndtri(0.5 * RISK / count)),
        rms_allowed=float(np.sqrt(chi2.isf(RISK, directions) / directions)),
        worst=comparisons[worst],
        count=count,
    )


def compare(samples: Sequence[Sample], wrong: Wrong = RIGHT) -> list[Comparison]:
    """Set every quantity beside its prediction.

    Parameters
    ----------
    samples : sequence of Sample
        Of `simulate`; of those that were interrupted, draws with two sizes or more count.
    wrong : Wrong
        The theory: by default the right one. Of a control, where it differs from that.
    """
    found = []
    for sample in samples:
        sizes = sorted(sample.measured)
        if len(sizes) < 2:
            continue
        draw = sample.draw
        predicted: dict[str, list[float]] = {}
        names: dict[str, tuple[str, float, str]] = {}
        for size in sizes:
            at = size if draw.counted else 0
            for learner, quantity, value in theory.predictions(
                draw, at, list(sample.learners[size]), wrong
            ):
                name = key(learner.loss, learner.value, quantity)
                predicted.setdefault(name, []).append(value)
                names[name] = (learner.loss, learner.value, quantity)
        for name, (loss, value, quantity) in names.items():
            measured = {size: sample.measured[size].values[name] for size in sizes}
            missing = max(int(np.isnan(each).sum()) for each in measured.values())
            if len(predicted[name]) < len(sizes) or missing > MOST_MISSING:
                continue
            means, errors, a, error = extrapolate(
                {s: m - p for (s, m), p in zip(measured.items(), predicted[name], strict=True)},
                pooled=not draw.counted,
            )
            found.append(
                Comparison(
                    loss, draw.teacher, draw.inputs, draw.alpha, value, quantity, tuple(sizes),
                    tuple(predicted[name]),
                    tuple(m + p for m, p in zip(means, predicted[name], strict=True)),
                    errors, a, error,
                )
            )  # fmt: skip
    return found


def extrapolate(
    values: dict[int, Array], *, pooled: bool = True
) -> tuple[tuple[float, ...], tuple[float, ...], float, float]:
    """Means, their standard errors, a of a + b/size and its standard error.

    Parameters
    ----------
    values : dict of (n,) arrays
        One number a seed, by size.
    pooled : bool
        Whether the variance is s^2/size with one s^2, as that of a self-averaging quantity; else
        every size has its own.
    """
    sizes = np.array(sorted(values), dtype=float)
    counts = np.array([len(values[int(n)]) for n in sizes])
    means = np.array([values[int(n)].mean() for n in sizes])
    variances = np.array([values[int(n)].var(ddof=1) for n in sizes])
    if pooled:
        s2 = np.sum(sizes * (counts - 1) * variances) / np.sum(counts - 1)
        variances = s2 / sizes
    errors = np.sqrt(np.maximum(variances, STILL**2) / counts)
    design = np.stack([np.ones_like(sizes), 1 / sizes], axis=1) / errors[:, None]
    covariance = np.linalg.inv(design.T @ design)
    a = covariance[0] @ (design.T @ (means / errors))
    return (
        tuple(means.tolist()),
        tuple(errors.tolist()),
        float(a),
        float(np.sqrt(covariance[0, 0])),
    )


def directions(sample: Sample) -> float:
    """Participation ratio of the correlations among the quantities of a draw.

    n^2 over the sum of all squared correlations: how many independent normal numbers have a mean
    square that varies as much.
    """
    names = list(next(iter(sample.measured.values())).values)
    blocks = []
    for size, ensemble in sample.measured.items():
        table = np.stack([ensemble.values[name] for name in names])
        blocks.append((table - table.mean(axis=1, keepdims=True)) * np.sqrt(size))
    whole = np.concatenate(blocks, axis=1)
    whole = whole[np.all(np.isfinite(whole), axis=1)]
    moving = whole[whole.std(axis=1) > STILL]
    return float(len(moving) ** 2 / np.sum(np.corrcoef(moving) ** 2))


def write_csv(comparisons: Sequence[Comparison], file: TextIO) -> None:
    """One row a quantity and size, with the extrapolation repeated."""
    by_size = ("sizes", "predictions", "means", "errors")
    fixed = [f.name for f in dataclasses.fields(Comparison) if f.name not in by_size]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*fixed, "z", "size", "predicted", "mean", "standard_error"])
    for c in comparisons:
        head = [getattr(c, name) for name in fixed]
        for row in zip(c.sizes, c.predictions, c.means, c.errors, strict=True):
            writer.writerow([*head, c.z, *row])
