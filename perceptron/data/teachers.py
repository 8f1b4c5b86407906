"""Teachers: from a field z of unit variance to a label, and how often that label is missed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import expit, ndtr, owens_t

from perceptron import ranges
from replica.common import arguments

__all__ = ["LabelModel", "LogisticTeacher", "Teacher", "disagreement"]

Array = NDArray[np.float64]

#: Beyond so many standard deviations a normal number has a probability of 1e-32.
FAR = 12.0


class LabelModel(ABC):
    """How labels follow from the teacher's field."""

    @abstractmethod
    def labels(
        self, fields: Array, flips: np.random.Generator, noise: np.random.Generator
    ) -> NDArray[np.int8]:
        """Labels, -1 or 1, of fields of unit variance."""

    @abstractmethod
    def test_error(self, angle: float, threshold: float) -> float:
        """Probability that sign(s + threshold) is not the label of a new example.

        s has unit variance and the correlation cos(angle) with the field.
        """


@dataclass(frozen=True)
class Teacher(LabelModel):
    """y = sign(z + label_noise xi), xi standard normal, inverted with probability ``label_flip``.

    Parameters
    ----------
    label_flip : float
        In [0, 0.5].
    label_noise : float
        Standard deviation of what is added to the field, in [0, inf].
    """

    label_flip: float = 0.0
    label_noise: float = 0.0

    def __post_init__(self) -> None:
        arguments.number("label_flip", self.label_flip, ranges.within(0.0, 0.5))
        arguments.number("label_noise", self.label_noise, ranges.NOISE)

    def labels(
        self, fields: Array, flips: np.random.Generator, noise: np.random.Generator
    ) -> NDArray[np.int8]:
        labels = np.ones(len(fields), dtype=np.int8)
        if np.isinf(self.label_noise):
            fields = noise.standard_normal(len(fields))
        elif self.label_noise > 0:
            fields = fields + self.label_noise * noise.standard_normal(len(fields))
        labels[fields < 0] = -1
        labels[flips.random(len(fields)) < self.label_flip] *= -1
        return labels

    def test_error(self, angle: float, threshold: float) -> float:
        if np.isinf(self.label_noise):
            return 0.5
        # the correlation with z + sigma xi is R/sqrt(1 + sigma^2)
        noisy = np.arctan2(np.hypot(np.sin(angle), self.label_noise), np.cos(angle))
        return self.label_flip + (1 - 2 * self.label_flip) * disagreement(float(noisy), threshold)


@dataclass(frozen=True)
class LogisticTeacher(LabelModel):
    """P(y = 1 | z) = 1/(1 + exp(-slope z)).

    Parameters
    ----------
    slope : float
        Positive.
    """

    slope: float

    def __post_init__(self) -> None:
        arguments.number("slope", self.slope, arguments.POSITIVE)

    def labels(
        self, fields: Array, flips: np.random.Generator, noise: np.random.Generator
    ) -> NDArray[np.int8]:
        positive = noise.random(len(fields)) < expit(self.slope * fields)
        return positive.astype(np.int8) * np.int8(2) - np.int8(1)

    def test_error(self, angle: float, threshold: float) -> float:
        R, S = np.cos(angle), np.sin(angle)

        def wrong(z: float) -> float:
            # s given z is normal with mean R z and deviation S
            negative = ndtr(-(threshold + R * z) / S) if S > 0 else float(threshold + R * z < 0)
            p = expit(self.slope * z)
            return float(
                (p * negative + (1 - p) * (1 - negative)) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
            )

        # one piece on each side of where either factor changes
        ends = np.unique(np.clip([-FAR, -threshold / R if R else 0.0, 0.0, FAR], -FAR, FAR))
        return float(
            sum(
                quad(wrong, low, high, epsabs=1e-13, epsrel=1e-11, limit=200)[0]
                for low, high in pairwise(ends)
            )
        )


def disagreement(angle: float, threshold: float) -> float:
    """P(sign z != sign(s + threshold)) of unit normals z and s with correlation cos(angle).

    1/2 - 2 T(threshold, cot(angle)) with Owen's T; angle/pi without a threshold.
    """
    if threshold == 0:
        return angle / np.pi
    cotangent = np.cos(angle) / np.sin(angle) if np.sin(angle) > 0 else np.inf * np.cos(angle)
    return float(0.5 - 2 * owens_t(threshold, cotangent))
