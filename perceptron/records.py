"""What the learning rules return."""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perceptron.data import Examples, Table
from perceptron.losses import Logistic, Loss

__all__ = ["Learned"]

Array = NDArray[np.float64]

#: Labels of examples that came from no table.
SIGNS = np.array([-1, 1], dtype=np.int8)


@dataclass(frozen=True, eq=False)
class Learned:
    r"""Weights, and how well they do on the examples and on new ones.

    The classifier is sign(w.x/sqrt(N) + intercept). What a rule adds to this record, a record
    of its own derives from it.

    Parameters
    ----------
    examples : Examples
        What they were learned from; not kept.
    weights : (N,) array
        Of any length but zero.

    Attributes
    ----------
    weights : (N,) array
        \|w\|^2 = N; the direction is what was learned.
    norm : float
        lam, the norm in units of sqrt(N) at which the loss is read.
    loss : Loss
        V, at norm 1.
    intercept : float
        In units of the field at \|w\|^2 = N; zero without one.
    table : Table
        How new inputs are read and labels are called.
    overlap : float
        Correlation with the teacher's field, w.w*/N for independent inputs
        (`Examples.overlap_of`); nan without a teacher.
    generalization_error : float
        `Examples.error_of`: arccos(overlap)/pi without intercept; 1/2 for labels drawn at random,
        nan for data from elsewhere, whose teacher nobody knows.
    train_loss : float
        Mean of V(lam Delta)/lam over the examples, at \|w\|^2 = N: of the logistic loss
        log(1 + exp(-2 lam Delta))/lam, inf at lam = 0.
    train_error : float
        Fraction of negative margins.
    margins : (P,) array
        Delta = y (w.x/sqrt(N) + intercept) at \|w\|^2 = N.
    """

    examples: InitVar[Examples]
    weights: Array
    norm: float
    loss: Loss = field(default_factory=Logistic)
    intercept: float = 0.0
    table: Table = field(init=False, repr=False)
    overlap: float = field(init=False)
    generalization_error: float = field(init=False)
    train_loss: float = field(init=False)
    train_error: float = field(init=False)
    margins: Array = field(init=False)

    def __post_init__(self, examples: Examples) -> None:
        w = self.weights * (np.sqrt(examples.N) / np.linalg.norm(self.weights))
        margins = examples.labels * (examples.products.fields(w) + self.intercept)
        for name, value in (
            ("weights", w),
            ("table", examples.table or Table(SIGNS, examples.N)),
            ("norm", float(self.norm)),
            ("overlap", examples.overlap_of(w)),
            ("generalization_error", examples.error_of(w, self.intercept)),
            ("train_loss", self.loss.at_norm(self.norm).mean(margins)),
            ("train_error", float(np.mean(margins < 0))),
            ("margins", margins),
        ):
            object.__setattr__(self, name, value)

    def decision_function(self, X: Any) -> Array:
        r"""Fields w.x/sqrt(N) + intercept of new inputs, (Q,), at \|w\|^2 = N.

        Parameters
        ----------
        X : (Q, N) table
            Of any kind that `perceptron.examples` reads, in the units of the table that the
            examples were made from.

        Raises
        ------
        InvalidArgument
            If X has another shape, or holds what is no finite number.
        """
        x = self.table.inputs(X)
        return np.asarray(x @ self.weights / np.sqrt(len(self.weights)) + self.intercept)

    def predict(self, X: Any) -> NDArray[Any]:
        """Labels of new inputs, (Q,), as the examples have them; of a field of zero the second."""
        return self.table.labels(np.where(self.decision_function(X) < 0, -1, 1))

    def score(self, X: Any, y: Any) -> float:
        """Fraction of new inputs whose label is predicted."""
        fields = self.decision_function(X)
        return float(np.mean(np.where(fields < 0, -1, 1) == self.table.signs(y, len(fields))))
