"""What comes back: frozen records that know how well they know."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from replica.common.refusals import Refusals
from replica.margins import Margins
from replica.problem import Problem

__all__ = ["ConvergenceError", "FloatOrArray", "Outcome", "Record", "Solution", "Status", "shaped"]

#: A Python float for scalar arguments, a read-only array of the broadcast shape otherwise.
FloatOrArray = float | NDArray[np.float64]


class Status(enum.IntEnum):
    """How an entry ended; `sentence` says it in words."""

    CONVERGED = 0
    NOT_CONVERGED = 1
    REFUSED = 2

    @property
    def sentence(self) -> str:
        """In words; of a refusal the rule that was broken says more."""
        return _SENTENCES[self]


_SENTENCES = {
    Status.CONVERGED: "converged",
    Status.NOT_CONVERGED: "not converged: Newton and continuation both stopped short",
    Status.REFUSED: "refused",
}
CONVERGED = _SENTENCES[Status.CONVERGED]


class ConvergenceError(RuntimeError):
    """A solver stopped before it was done; ``solution`` holds its last iterate."""

    def __init__(self, message: str, solution: Record | None = None):
        super().__init__(message)
        self.solution = solution

    def __reduce__(self) -> tuple[type[ConvergenceError], tuple[str, Record | None]]:
        """So that it comes back from another process."""
        return type(self), (str(self), self.solution)


def shaped(values: NDArray[Any], shape: tuple[int, ...]) -> Any:
    """Flat values in their shape, read-only; a Python scalar where the shape is ()."""
    if shape == ():
        return values.item() if values.dtype != object else values.ravel()[0]
    values = values.reshape(shape)
    values.flags.writeable = False
    return values


@dataclass(frozen=True, eq=False)
class Outcome:
    """The status of every entry, and the words for those that were refused.

    Attributes
    ----------
    status : array of `Status`
        In the shape of the record.
    refusals : Refusals
        Of the array that was solved.
    entry : array of int
        Where each entry stands there.
    """

    status: NDArray[np.int8]
    refusals: Refusals
    entry: NDArray[np.intp]

    def __getitem__(self, key: Any) -> Outcome:
        return Outcome(np.asarray(self.status[key]), self.refusals, np.asarray(self.entry[key]))

    @property
    def sentences(self) -> Any:
        """In words: a string, or an array of them."""
        words = np.full(self.status.size, CONVERGED, dtype=object)
        flat, entry = self.status.ravel(), self.entry.ravel()
        for i in np.flatnonzero(flat):
            status = Status(int(flat[i]))
            refused = status is Status.REFUSED
            words[i] = self.refusals.sentence(int(entry[i])) if refused else status.sentence
        return shaped(words, self.status.shape)


@dataclass(frozen=True)
class Record:
    """Fields of one broadcast shape: Python scalars, or read-only arrays.

    A record of arrays is indexed like one: ``record[3]``, ``record[:, 0]``.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The broadcast shape of the arguments; () for scalars."""
        return np.shape(getattr(self, dataclasses.fields(self)[0].name))

    def __getitem__(self, key: Any) -> Self:
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
        result: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Problem | Margins):
                continue
            if isinstance(value, Outcome):
                sentences = value.sentences
                result["status"] = sentences.tolist() if self.shape else sentences
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
        Examples: per dimension P/N, or their number P where the inputs count modes.
    lam : float
        Sharpness of the loss, the norm in units of sqrt(N) (the norm itself where the inputs
        count modes); nan for losses without one.
    overlap : float
        R, correlation of the student's field with the teacher's, in [0, 1). For `Clusters` the
        margin of their centre over the largest that any direction gives.
    one_minus_overlap : float
        1 - R to full relative accuracy, where R itself rounds to 1.
    generalization_error : float
        Probability to disagree with the noiseless teacher, arccos(R)/pi, in (0, 1/2]; for
        `Clusters` to err about the cluster of a new example.
    log_x : float
        log of x = beta (1 - q), in units of the field; inf in the limit of maximum stability.
    train_loss : float
        Mean of V per example (inf at lam = 0, where log(2)/lam diverges).
    train_error : float
        Mass of negative margins.
    multiplier : float
        alpha E[1 - D0'] over the number of modes, eq. (20): 1 where the norm is that of the
        unconstrained minimiser.
    degrees_of_freedom : float
        g = n E[1 - D0'], the effective number of learned modes.
    replicon : float
        Eq. (21): replica symmetry is stable below 1.
    stability : float
        kappa, the smallest margin, in the limit of maximum stability; nan otherwise.
    slope : float
        d log(generalization_error) / d log(lam): minus the local exponent gamma_1; nan
        where there is no lam, or at its ends 0 and inf.
    input_variance : float
        Q, variance of the inputs along the student's direction; 1 for isotropic inputs.
    field_norm : float
        lam' = lam sqrt(Q), the norm of the student's field.
    ridge : float
        Strength of the penalty ridge \|w\|^2 / 2 beside the sum of ell(y w.x) whose minimiser has
        this norm: ell(z) = log(1 + exp(-z)) for the logistic loss, exp(-z) for the exponential
        one, V itself for the others; x counts as divided by sqrt(N) where the inputs are a
        density. `C` is scikit-learn's name for its inverse.
    intercept : float
        Of a problem that has one, in units of the margin; else 0.
    error_estimate : float
        Of the relative error of ``generalization_error``, eq. (26): the correction by a finer
        quadrature plus rounding. Not proved, but a bound at every certified point tested. It is
        of that number alone: the next three are of others.
    overlap_error : float
        The same for the relative error of ``one_minus_overlap``: some twice as large.
    variance_error : float
        The same for the relative error of ``input_variance``, half of it for ``field_norm``;
        0 where that is 1.
    log_x_error : float
        The same for the absolute error of ``log_x``, or of log(``stability``).
    residual : float
        Largest logarithmic residual of the equations by the finer rule, before its
        correction was applied.
    iterations : int
        Newton steps.
    margins : Margins
        The distribution P(Delta).
    outcome : Outcome
        The status of each entry as a code.
    log_c : float
        log(R / sqrt(1 - R^2)), the unknown that is solved for; -inf at R = 0.
    log_mu : float
        log of mu = nu/g, the eigenvalue down to which modes are learned.
    problem : Problem
        What was asked.
    """

    alpha: FloatOrArray
    lam: FloatOrArray
    overlap: FloatOrArray
    one_minus_overlap: FloatOrArray
    generalization_error: FloatOrArray
    log_x: FloatOrArray
    train_loss: FloatOrArray
    train_error: FloatOrArray
    multiplier: FloatOrArray
    degrees_of_freedom: FloatOrArray
    replicon: FloatOrArray
    stability: FloatOrArray
    slope: FloatOrArray
    input_variance: FloatOrArray
    field_norm: FloatOrArray
    ridge: FloatOrArray
    intercept: FloatOrArray
    error_estimate: FloatOrArray
    overlap_error: FloatOrArray
    variance_error: FloatOrArray
    log_x_error: FloatOrArray
    residual: FloatOrArray
    iterations: int | NDArray[np.int64]
    outcome: Outcome = dataclasses.field(repr=False)
    margins: Margins = dataclasses.field(repr=False)
    log_c: FloatOrArray = dataclasses.field(repr=False)
    log_mu: FloatOrArray = dataclasses.field(repr=False)
    problem: Problem = dataclasses.field(repr=False)

    @property
    def status(self) -> Any:
        """The word converged, or the reason why there is no solution; an array for arrays."""
        return self.outcome.sentences

    @property
    def converged(self) -> Any:
        """Whether each entry was solved."""
        solved = self.outcome.status == Status.CONVERGED
        return bool(solved) if self.shape == () else solved

    @property
    def C(self) -> FloatOrArray:
        """1/ridge: the ``C`` of scikit-learn's LogisticRegression without intercept."""
        with np.errstate(divide="ignore"):
            inverse = 1 / np.asarray(self.ridge)
        return float(inverse) if self.shape == () else inverse
