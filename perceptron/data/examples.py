"""Examples: inputs, labels and, if there is one, the teacher who gave the labels."""

from __future__ import annotations

import numbers
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perceptron.data.laws import Law, TeacherLaw
from perceptron.data.tables import Table
from perceptron.data.teachers import Teacher
from perceptron.products import Products
from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["Examples", "check_examples"]

#: For those who come with a table of another kind.
WAY = " (`perceptron.examples` reads tables and labels of any kind)"

Inputs = NDArray[np.int8] | NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Examples:
    r"""P labelled examples in N dimensions.

    Attributes
    ----------
    inputs : (P, N) int8, float32 or float64 array
        Any finite numbers. Of those that are drawn here, -1 or 1 are int8 and normal ones float32.
    labels : (P,) int8 array
        -1 or 1.
    teacher : (N,) float64 array or None
        \|w*\|^2 = N; None for random labels, for clusters, and where nobody knows one.
    seed : int or None
        From which everything was drawn; the same seed gives the same bits on
        every machine and with any number of threads. None for data from elsewhere.
    intercept : bool
        Whether what learns from these has a threshold, free and no part of the norm: the
        classifier is sign(w.x/sqrt(N) + b).
    law : Law or None
        What new examples look like, from which `error_of` follows. By default that of independent
        inputs of unit variance with the labels of ``teacher``; None without one: a seed does not
        say that labels are random.
    table : Table or None
        How rows of a table became these inputs and labels, where `perceptron.examples` made them.
    largest : float
        The largest input in absolute value.
    """

    inputs: Inputs
    labels: NDArray[np.int8]
    teacher: NDArray[np.float64] | None = None
    seed: int | None = None
    intercept: bool = False
    law: Law | None = field(default=None, repr=False)
    table: Table | None = field(default=None, repr=False)
    largest: float = field(init=False, repr=False)
    products: Products = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("inputs", "labels"):
            value = arguments.instance(name, getattr(self, name), np.ndarray, WAY)
            if isinstance(value, np.ma.MaskedArray):
                raise InvalidArgument(name, "must be an array without a mask", quoted(value))
        if self.inputs.ndim != 2 or self.inputs.dtype not in (np.int8, np.float32, np.float64):
            raise InvalidArgument(
                "inputs",
                f"must be a (P, N) array of int8, float32 or float64{WAY}",
                f"shape {self.inputs.shape} and dtype {self.inputs.dtype}",
            )
        if self.inputs.size == 0:
            raise InvalidArgument(
                "inputs", "must hold at least one example", f"shape {self.inputs.shape}"
            )
        # least and largest without an array of their own size; nan shows in either
        largest = max(float(self.inputs.max()), -float(self.inputs.min()))
        if not np.isfinite(largest):
            raise InvalidArgument("inputs", "must be finite", "inf or nan among them")
        object.__setattr__(self, "largest", largest)
        if self.labels.shape != self.inputs.shape[:1] or self.labels.dtype != np.int8:
            raise InvalidArgument(
                "labels",
                f"must be a ({self.P},) array of int8{WAY}",
                f"shape {self.labels.shape} and dtype {self.labels.dtype}",
            )
        if not np.all(np.abs(self.labels) == 1):
            raise InvalidArgument("labels", f"must be -1 or 1{WAY}", "other values")
        if self.teacher is not None:
            teacher = arguments.vector("teacher", self.teacher, self.N)
            if not np.any(teacher):
                raise InvalidArgument("teacher", "must have a direction", "zeros only")
            object.__setattr__(self, "teacher", teacher)
        if self.law is None:
            object.__setattr__(self, "law", self._isotropic())
        elif self._dimensions_of(self.law) != self.N:
            raise InvalidArgument("law", f"must be a Law of {self.N} inputs", quoted(self.law))
        for name in ("inputs", "labels"):  # the kernels are compiled for rows that lie in memory
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name)))
        object.__setattr__(self, "products", Products(self.inputs, self.labels))

    @property
    def P(self) -> int:
        """Number of examples."""
        return int(self.inputs.shape[0])

    @property
    def N(self) -> int:
        """Number of dimensions."""
        return int(self.inputs.shape[1])

    @property
    def alpha(self) -> float:
        """P/N."""
        return self.P / self.N

    def overlap_of(self, weights: NDArray[np.float64]) -> float:
        """Correlation of the field w.x of a new example with the teacher's.

        w.w*/N for independent inputs at full length. Of clusters the margin of their centre over
        the largest that any direction gives; nan where nothing is known, or there is nothing.
        """
        return float("nan") if self.law is None else self.law.overlap(self._weights(weights))

    def error_of(self, weights: NDArray[np.float64], intercept: float = 0.0) -> float:
        """Generalization error of sign(w.x/sqrt(N) + intercept), exact.

        Probability to disagree with the noiseless teacher, or to take a new example for one of
        the other cluster: what the theory calls so. arccos(overlap)/pi without intercept; 1/2 for
        random labels; nan for data from elsewhere, of which nobody knows where they come from.

        Parameters
        ----------
        weights : (N,) array
            Of any length but zero.
        intercept : float
            In units of the field at that length.
        """
        if self.law is None:
            return float("nan")
        return self.law.error(self._weights(weights), intercept)

    def test_error_of(self, weights: NDArray[np.float64], intercept: float = 0.0) -> float:
        """Probability to miss the label of a new example, which is as noisy as these are.

        p + (1 - 2p) error with flips of probability p. Parameters as of `error_of`.
        """
        if self.law is None:
            return float("nan")
        return self.law.test_error(self._weights(weights), intercept)

    def _weights(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """N numbers, not all zero."""
        w = arguments.vector("weights", weights, self.N)
        if not np.any(w):
            raise InvalidArgument("weights", "must have a direction", "zeros only")
        return w

    @staticmethod
    def _dimensions_of(law: object) -> int:
        """Of a law; 0 of what is none."""
        return len(law.deviations) if isinstance(law, Law) else 0

    def _isotropic(self) -> Law | None:
        """The law that examples without one follow, if they were drawn."""
        if self.teacher is not None:
            return TeacherLaw(np.ones(self.N), self.teacher, Teacher())
        return None


def check_examples(examples: Examples, theory: str = "") -> None:
    """Refuse anything else; ``theory`` names the function of alpha that bears the same name.

    Raises
    ------
    InvalidArgument
        Whoever gives a number is told of the theory.
    """
    if theory and isinstance(examples, numbers.Real | np.ndarray | list | tuple):
        arguments.instance(
            "examples", examples, Examples, f": the theory's function of alpha is `{theory}`"
        )
    arguments.instance("examples", examples, Examples)
