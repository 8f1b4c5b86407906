r"""Teachers: who gives the labels. One family, a mixture of noise levels.

A label is y = sign(z + sigma xi) with z the teacher's unit-variance field and
xi a standard normal number; a teacher is a distribution of sigma. Noiseless is
sigma = 0; random labels are sigma = inf; flips with probability p mix the two,
1 - 2p of the first and 2p of the second; probit noise is one finite sigma; a
logistic teacher is a continuous mixture.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica import ranges
from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["LogisticTeacher", "RandomLabels", "Teacher"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NoiseMixture:
    """The mixtures of n teachers, eq. (8) of docs/theory.md: w_k and sigma_k, and what is random.

    Parameters
    ----------
    signal, noise : (n, K) arrays
        Weights w_k and noise levels sigma_k. A row of zeros in ``signal`` is storage.
    random : (n,) array
        1 - sum_k w_k, the share of random labels. Kept beside the weights: at one flip in a
        million the difference would have lost half of its digits.
    """

    signal: Array
    noise: Array
    random: Array

    def __getitem__(self, which: Any) -> NoiseMixture:
        """The mixtures of some of the teachers."""
        if len(self.random) == 1 and isinstance(which, np.ndarray) and which.shape == (1,):
            return self  # a single one
        return NoiseMixture(self.signal[which], self.noise[which], self.random[which])

    @cached_property
    def storage(self) -> NDArray[np.bool_]:
        """Where the labels know nothing of the teacher."""
        return self.signal.max(axis=1) <= 0

    @cached_property
    def centre(self) -> Array:
        """The centres of the fields: zero."""
        return np.zeros(len(self.random))

    @cached_property
    def some_storage(self) -> bool:
        """Whether there is any such."""
        return bool(self.storage.any())

    @cached_property
    def correlation(self) -> Array:
        """sum_k w_k / sqrt(1 + sigma_k^2): the pull of Hebb's rule, 1 without noise."""
        return (self.signal / np.sqrt(1 + self.noise**2)).sum(axis=1)


class LabelModel(abc.ABC):
    """A distribution of label-noise levels."""

    @abc.abstractmethod
    def parameters(self) -> dict[str, tuple[ArrayLike, arguments.Range]]:
        """Every parameter with the rule that it obeys."""

    def with_parameters(self, values: dict[str, Array]) -> LabelModel:
        """The same kind of teacher with other parameters."""
        return type(self)(**values)

    @abc.abstractmethod
    def mixture(self, parameters: dict[str, Array], size: int) -> NoiseMixture:
        """The mixtures of ``size`` teachers with these parameters."""


@dataclass(frozen=True)
class Teacher(LabelModel):
    """Noiseless by default; labels flipped at random; probit noise; or both.

    Parameters
    ----------
    label_flip : float or array
        Probability that a label is inverted, in [0, 0.5].
    label_noise : float or array
        Standard deviation sigma of Gaussian noise added to the teacher's
        unit-variance field before the sign is taken, in [0, inf].
    """

    label_flip: ArrayLike = 0.0
    label_noise: ArrayLike = 0.0

    def parameters(self) -> dict[str, tuple[ArrayLike, arguments.Range]]:
        return {
            "label_flip": (self.label_flip, ranges.FLIP),
            "label_noise": (self.label_noise, ranges.NOISE),
        }

    def mixture(self, parameters: dict[str, Array], size: int) -> NoiseMixture:
        flip, noise = parameters["label_flip"], parameters["label_noise"]
        return _single(flip.item(), noise.item()) if size == 1 else _noisy(flip, noise)


def _noisy(flip: Array, noise: Array) -> NoiseMixture:
    endless = np.isinf(noise)
    random = np.where(endless, 1.0, 2.0 * flip)
    return NoiseMixture((1.0 - random)[:, None], np.where(endless, 0.0, noise)[:, None], random)


@lru_cache(maxsize=256)
def _single(flip: float, noise: float) -> NoiseMixture:
    """One teacher, whom calls for single points ask for again and again."""
    return _noisy(np.array([flip]), np.array([noise]))


@dataclass(frozen=True)
class RandomLabels(LabelModel):
    """Labels that know nothing of the inputs: the storage problem."""

    def parameters(self) -> dict[str, tuple[ArrayLike, arguments.Range]]:
        return {}

    def mixture(self, parameters: dict[str, Array], size: int) -> NoiseMixture:
        return NoiseMixture(np.zeros((size, 1)), np.zeros((size, 1)), np.ones(size))


@dataclass(frozen=True)
class LogisticTeacher(LabelModel):
    r"""P(y = 1 | z) = 1 / (1 + exp(-slope z)), z the teacher's unit-variance field.

    A standard logistic number is 2 K xi with xi normal and K from Kolmogorov's
    distribution (Andrews and Mallows 1974), so this teacher is a mixture of
    probit teachers with sigma = 2 K / slope. The mixture is discretised by the
    trapezoidal rule in log K, where the density falls doubly exponentially on
    both sides.

    Parameters
    ----------
    slope : float
        Strength gamma of the signal, positive.
    """

    slope: float

    #: Beyond [0.16, 4.2] the density is below 2e-14 of its largest value; 28 nodes give
    #: P(y|z) to 1e-15, 24 nodes to 1e-13.
    _NODES = 28
    _LOW, _HIGH = 0.16, 4.2

    def parameters(self) -> dict[str, tuple[ArrayLike, arguments.Range]]:
        shape = arguments.numbers("slope", self.slope).shape
        if shape != ():
            raise InvalidArgument("slope", "must be one number", f"shape {shape}")
        return {"slope": (self.slope, ranges.SLOPE)}

    def with_parameters(self, values: dict[str, Array]) -> LabelModel:
        return self  # its slope is one number, whatever the shape of the problem

    def mixture(self, parameters: dict[str, Array], size: int) -> NoiseMixture:
        k = np.geomspace(self._LOW, self._HIGH, self._NODES)
        j = np.arange(1, 41)[:, None]
        # Kolmogorov's density; at k = 0.16 the alternating series needs j up to about 25
        # and leaves rounding noise of either sign.
        density = 8 * k * np.sum((-1.0) ** (j + 1) * j**2 * np.exp(-2 * j**2 * k**2), axis=0)
        weight = k * np.maximum(density, 0.0)
        weight = weight / weight.sum()
        signal = np.tile(weight, (size, 1))
        return NoiseMixture(signal, 2 * k / parameters["slope"][:, None], np.zeros(size))


def given_teacher(
    teacher: LabelModel | None, label_flip: ArrayLike, label_noise: ArrayLike
) -> LabelModel:
    """The teacher itself, or the one that the two numbers describe.

    Raises
    ------
    InvalidArgument
        If both are given.
    """
    if teacher is None:
        return Teacher(label_flip=label_flip, label_noise=label_noise)
    if np.any(np.asarray(label_flip) != 0) or np.any(np.asarray(label_noise) != 0):
        raise InvalidArgument(
            "teacher", "must not be given together with label_flip or label_noise", quoted(teacher)
        )
    return teacher
