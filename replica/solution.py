"""What comes back: frozen records that know how well they know."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replica.margins import Margins
from replica.problem import Problem

__all__ = ["ConvergenceError", "Record", "Solution", "shaped"]

Array = NDArray[Any]

CONVERGED = "converged"


class ConvergenceError(RuntimeError):
    """A solver stopped before it was done; ``solution`` holds its last iterate."""

    def __init__(self, message: str, solution: Record):
        super().__init__(message)
        self.solution = solution

    def __reduce__(self) -> tuple[type[ConvergenceError], tuple[str, Record]]:
        """So that it comes back from another process."""
        return type(self), (str(self), self.solution)


def shaped(values: Array, shape: tuple[int, ...]) -> Any:
    """Flat values in their shape, read-only; a Python scalar where the shape is ()."""
    if shape == ():
        return values.ravel()[0].item() if values.dtype != object else values.ravel()[0]
    values = values.reshape(shape)
    values.flags.writeable = False
    return values


@dataclass(frozen=True)
class Record:
    """Fields of one broadcast shape: Python scalars, or read-only arrays.

    A record of arrays is indexed like one: ``record[3]``, ``record[:, 0]``.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The broadcast shape of the arguments; () for scalars."""
        return np.shape(getattr(self, dataclasses.fields(self)[0].name))

    def __getitem__(self, key: Any) -> Any:
        if self.shape == ():
            raise IndexError("a record of scalars cannot be indexed")
        parts = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Problem):
                parts[field.name] = value.part(self.shape, key)
                continue
            part = value[key]
            if isinstance(part, np.generic):
                part = part.item()
            parts[field.name] = part
        return dataclasses.replace(self, **parts)

    def to_dict(self) -> dict[str, Any]:
        """The numbers and sentences by name, arrays as nested lists; for JSON and tables."""
        result = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Problem | Margins):
                continue
            result[field.name] = value.tolist() if isinstance(value, np.ndarray) else value
        return result


@dataclass(frozen=True)
class Solution(Record):
    r"""The saddle point of one problem, or of an array of them.

    All fields have the broadcast shape of the arguments; entries of an array
    that have no solution are nan and say why in ``status``. Equation numbers
    are those of docs/theory.md.

    Attributes
    ----------
    alpha : float
        Examples per dimension P/N.
    lam : float
        Sharpness of the loss, the norm in units of sqrt(N); nan for losses without one.
    overlap : float
        R = w.w*/N, in [0, 1).
    one_minus_overlap : float
        1 - R to full relative accuracy, where R itself rounds to 1.
    generalization_error : float
        arccos(R)/pi, the probability to disagree with the noiseless teacher, in (0, 1/2].
    log_x : float
        log of x = beta (1 - q); inf in the limit of maximum stability.
    train_loss : float
        Mean of V per example (inf at lam = 0, where log(2)/lam diverges).
    train_error : float
        Mass of negative margins.
    multiplier : float
        alpha E[1 - D0'], eq. (20): 1 where the norm is that of the unconstrained minimiser.
    replicon : float
        alpha E[(1 - D0')^2], eq. (21): replica symmetry is stable below 1.
    stability : float
        kappa, the smallest margin, in the limit of maximum stability; nan otherwise.
    slope : float
        d log(generalization_error) / d log(lam): minus the local exponent gamma_1; nan
        where there is no lam, or at its ends 0 and inf.
    error_estimate : float
        Of the relative error of ``generalization_error``, eq. (26): the correction by a finer
        quadrature plus rounding. Not proved, but a bound at every certified point tested.
    residual : float
        Largest logarithmic residual of the two equations by the finer rule, before its
        correction was applied.
    iterations : int
        Newton steps.
    status : str
        "converged", or the reason why there is no solution.
    margins : Margins
        The distribution P(Delta).
    log_c : float
        log(R / sqrt(1 - R^2)), the unknown that is solved for; -inf at R = 0.
    problem : Problem
        What was asked.
    """

    alpha: Any
    lam: Any
    overlap: Any
    one_minus_overlap: Any
    generalization_error: Any
    log_x: Any
    train_loss: Any
    train_error: Any
    multiplier: Any
    replicon: Any
    stability: Any
    slope: Any
    error_estimate: Any
    residual: Any
    iterations: Any
    status: Any
    margins: Margins = dataclasses.field(repr=False)
    log_c: Any = dataclasses.field(repr=False)
    problem: Problem = dataclasses.field(repr=False)

    @property
    def converged(self) -> Any:
        """Whether each entry was solved."""
        if self.shape == ():
            return self.status == CONVERGED
        return np.asarray(self.status == CONVERGED)
