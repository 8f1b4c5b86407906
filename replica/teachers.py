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

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica import checks

__all__ = ["LogisticTeacher", "RandomLabels", "Teacher"]

Array = NDArray[np.float64]


class LabelModel(abc.ABC):
    """A distribution of label-noise levels."""

    @abc.abstractmethod
    def parameters(self) -> dict[str, tuple[ArrayLike, checks.Rule]]:
        """Every parameter with the rule that it obeys."""

    def with_parameters(self, values: dict[str, Array]) -> LabelModel:
        """The same kind of teacher with other parameters."""
        return type(self)(**values)

    @abc.abstractmethod
    def mixture(self, parameters: dict[str, Array]) -> tuple[Array, Array]:
        """Weights and noise levels, each (n, K); what the weights lack of 1 is random labels."""


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

    def parameters(self) -> dict[str, tuple[ArrayLike, checks.Rule]]:
        return {
            "label_flip": (self.label_flip, checks.FLIP),
            "label_noise": (self.label_noise, checks.NOISE),
        }

    def mixture(self, parameters: dict[str, Array]) -> tuple[Array, Array]:
        noise = parameters["label_noise"]
        random = np.isinf(noise)
        weight = np.where(random, 0.0, 1.0 - 2.0 * parameters["label_flip"])
        return weight[:, None], np.where(random, 0.0, noise)[:, None]


@dataclass(frozen=True)
class RandomLabels(LabelModel):
    """Labels that know nothing of the inputs: the storage problem."""

    def parameters(self) -> dict[str, tuple[ArrayLike, checks.Rule]]:
        return {}

    def mixture(self, parameters: dict[str, Array]) -> tuple[Array, Array]:
        return np.zeros((1, 1)), np.zeros((1, 1))


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

    def parameters(self) -> dict[str, tuple[ArrayLike, checks.Rule]]:
        if np.ndim(self.slope) != 0:
            raise ValueError(f"`slope` must be one number; got shape {np.shape(self.slope)}")
        return {"slope": (self.slope, checks.SLOPE)}

    def with_parameters(self, values: dict[str, Array]) -> LabelModel:
        return self  # its slope is one number, whatever the shape of the problem

    def mixture(self, parameters: dict[str, Array]) -> tuple[Array, Array]:
        k = np.geomspace(self._LOW, self._HIGH, self._NODES)
        j = np.arange(1, 41)[:, None]
        # Kolmogorov's density; at k = 0.16 the alternating series needs j up to about 25
        # and leaves rounding noise of either sign.
        density = 8 * k * np.sum((-1.0) ** (j + 1) * j**2 * np.exp(-2 * j**2 * k**2), axis=0)
        weight = k * np.maximum(density, 0.0)
        weight = weight / weight.sum()
        slope = parameters["slope"][:, None]
        return np.broadcast_to(weight, (len(slope), self._NODES)).copy(), 2 * k / slope
