r"""The law that examples are drawn from, from which the exact error on new ones follows.

Inputs are x = sum_k sqrt(omega_k) xi_k e_k with independent xi_k, the eigenvectors e_k being
the coordinates. The field of weights w is w.x/sqrt(N), of variance sum_k omega_k w_k^2/N; all
formulas take it as normal, which it is for normal inputs and, for inputs -1 or 1, in the limit
of large N.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from perceptron.data.teachers import LabelModel, disagreement

__all__ = ["ClusterLaw", "Law", "RandomLaw", "TeacherLaw"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Law(ABC):
    """What new examples look like.

    Attributes
    ----------
    deviations : (N,) array
        Standard deviation of each input, sqrt(omega_k); of clusters that within one.
    """

    deviations: Array

    @abstractmethod
    def overlap(self, weights: Array) -> float:
        """Correlation of the weights' field with what gives the labels; nan if nothing does."""

    @abstractmethod
    def error(self, weights: Array, intercept: float) -> float:
        """Probability to disagree with what gives the labels, before any noise."""

    def test_error(self, weights: Array, intercept: float) -> float:
        """Probability to miss the label of a new example, noise and all."""
        return self.error(weights, intercept)

    def input_variance(self, weights: Array) -> float:
        r"""Q, the variance of the inputs along w: sum omega_k w_k^2/\|w\|^2."""
        unit = weights / np.linalg.norm(weights)
        return float(np.sum((self.deviations * unit) ** 2))

    def threshold(self, weights: Array, intercept: float) -> float:
        """The intercept in standard deviations of the field."""
        spread = float(np.linalg.norm(self.deviations * weights)) / np.sqrt(len(weights))
        return intercept / spread if intercept else 0.0


@dataclass(frozen=True, eq=False)
class TeacherLaw(Law):
    """Labels from a teacher.

    Attributes
    ----------
    teacher : (N,) array
        Its weights, of any length.
    model : LabelModel
        From its field, divided by the deviation of that, to the label.
    """

    teacher: Array
    model: LabelModel

    def overlap(self, weights: Array) -> float:
        along, across = self._units(weights)
        return float(across @ along)

    def error(self, weights: Array, intercept: float) -> float:
        return disagreement(self._angle(weights), self.threshold(weights, intercept))

    def test_error(self, weights: Array, intercept: float) -> float:
        return self.model.test_error(self._angle(weights), self.threshold(weights, intercept))

    def _units(self, weights: Array) -> tuple[Array, Array]:
        """Both in the metric of the covariance, of length 1."""
        along, across = self.deviations * weights, self.deviations * self.teacher
        return along / np.linalg.norm(along), across / np.linalg.norm(across)

    def _angle(self, weights: Array) -> float:
        """Between weights and teacher; arccos loses half of the digits near overlap 1."""
        along, across = self._units(weights)
        return float(2 * np.arctan2(np.linalg.norm(along - across), np.linalg.norm(along + across)))


@dataclass(frozen=True, eq=False)
class RandomLaw(Law):
    """Labels that know nothing of the inputs."""

    def overlap(self, weights: Array) -> float:
        return float("nan")

    def error(self, weights: Array, intercept: float) -> float:
        return 0.5


@dataclass(frozen=True, eq=False)
class ClusterLaw(Law):
    """x = y mean + sqrt(omega) xi, y = 1 with probability ``positive``.

    Attributes
    ----------
    mean : (N,) array
    positive : float
    """

    mean: Array
    positive: float

    def overlap(self, weights: Array) -> float:
        """The centre's margin in deviations, over the largest that any direction gives."""
        along = self.deviations * weights
        best = self.mean / self.deviations
        return float(along @ best / np.linalg.norm(along) / np.linalg.norm(best))

    def error(self, weights: Array, intercept: float) -> float:
        """Probability to take a new example for one of the other cluster."""
        spread = float(np.linalg.norm(self.deviations * weights))
        centre = float(self.mean @ weights) / spread
        b = self.threshold(weights, intercept)
        missed = self.positive * ndtr(-centre - b) + (1 - self.positive) * ndtr(-centre + b)
        return float(missed)
