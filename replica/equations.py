r"""The saddle point of a problem: a channel joined with weights (docs/theory.md, sections 4 and 9).

Its unknowns have names. All problems share log c, with c = R / sqrt(1 - R^2), and log x (log kappa
for maximum stability); weights and channels may bring more.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replica.channel import Channel
from replica.solver import Equations
from replica.weights import Weights

__all__ = ["SaddlePointEquations"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Gauss-Legendre nodes a panel in Newton's iterations: 4e-14 over the plane of docs/theory.md,
#: section 6.
ORDER = 20


@dataclass(frozen=True)
class SaddlePointEquations:
    """The equations of n points with one loss and one kind of inputs.

    Parameters
    ----------
    channel : Channel
        Loss and labels.
    weights : Weights
        The sphere, or a spectrum.
    count : (n,) array
        Examples; per dimension (alpha) where the inputs are a density.
    """

    channel: Channel
    weights: Weights
    count: Array

    def __len__(self) -> int:
        return len(self.count)

    @property
    def unknowns(self) -> tuple[str, ...]:
        """Names of the unknowns, in the order of their columns."""
        own = self.channel.unknowns
        return (own[0], "log_x", *self.weights.unknowns, *own[1:])

    def select(self, which: Indices) -> SaddlePointEquations:
        """The equations of some of the points."""
        return SaddlePointEquations(
            self.channel.select(which), self.weights.select(which), self.count[which]
        )

    def at_scale(self, log_scale: Array) -> SaddlePointEquations:
        """The same problem with V(s D)/s."""
        return dataclasses.replace(self, channel=self.channel.at_scale(log_scale))

    def moments(
        self,
        z: Array,
        which: Indices,
        *,
        order: int = ORDER,
        columns: int | None = None,
        refine: int = 0,
        origin: Array | None = None,
    ) -> Array:
        """The averages over examples at unknowns ``z`` (m, k) of the points ``which``."""
        return self.channel.moments(
            z,
            which,
            order=order,
            columns=self.weights.columns if columns is None else columns,
            refine=refine,
            log_scale=self.weights.log_scale(z),
            origin=origin,
        )

    def residuals(self, z: Array, which: Indices, moments: Array) -> tuple[Array, Array]:
        """F (m, k) and its Jacobian (m, k, k)."""
        return self.weights.residuals(self.channel, self.count[which], z, which, moments)

    def system(self, order: int = ORDER) -> Equations:
        """Residuals and Jacobian as the solver asks for them."""

        def system(z: Array, which: Indices) -> tuple[Array, Array]:
            return self.residuals(z, which, self.moments(z, which, order=order))

        return system

    def start(self) -> Array:
        """A first guess of the unknowns, (n, k)."""
        return self.weights.start(self.channel, self.count)
