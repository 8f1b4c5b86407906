"""What every kind of weights gives to the equations."""

from __future__ import annotations

import abc

import numpy as np
from numpy.typing import NDArray

from replica.channel import Channel

__all__ = ["Weights"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]


class Weights(abc.ABC):
    """Weights on a sphere, whatever the inputs look like."""

    #: Names of the unknowns beside log c and log x, in their order.
    unknowns: tuple[str, ...] = ()
    #: Columns of the moments that `residuals` reads.
    columns: int

    #: Whether `start` is near enough for Newton everywhere; otherwise a path leads from it.
    direct = True
    #: The part of a sum over the spectrum that rounding can move.
    rounding = 0.0

    def select(self, which: Indices) -> Weights:
        """The weights of some of the points."""
        return self

    @abc.abstractmethod
    def start(self, channel: Channel, count: Array) -> Array:
        """A first guess of the unknowns, (n, k)."""

    @abc.abstractmethod
    def multiplier(self, count: Array, curved: Array) -> Array:
        """What reaches 1 at the norm of the unconstrained minimiser, eq. (20)."""

    def filled(self, z: Array) -> Array:
        """The multiplier at a first guess, to first order; 0 where there is no end to it."""
        return np.zeros(len(z))

    @abc.abstractmethod
    def nu(self, channel: Channel, z: Array, which: Indices, count: Array, moments: Array) -> Array:
        """nu, twice x times the norm's lagrangian multiplier: 1 - multiplier if isotropic."""

    @abc.abstractmethod
    def replicon(self, z: Array, count: Array, curved2: Array) -> Array:
        """What stays below 1 where replica symmetry is stable, eq. (21)."""

    @abc.abstractmethod
    def along_scale(self, moments: Array, jacobian: Array) -> Array:
        """dF/dlog lam at fixed unknowns, (m, k)."""

    @abc.abstractmethod
    def beyond(self, z: Array, multiplier: Array) -> Mask:
        """Where the norm exceeds that of the unconstrained minimiser."""

    @abc.abstractmethod
    def log_scale(self, z: Array) -> Array | None:
        """Log of the field's standard deviation at weights of norm 1; None where it is 0."""

    @abc.abstractmethod
    def residuals(
        self, channel: Channel, count: Array, z: Array, which: Indices, moments: Array
    ) -> tuple[Array, Array]:
        """F (m, k) and its Jacobian (m, k, k) at the unknowns of some points.

        Parameters
        ----------
        channel : Channel
            Of all n points.
        count : (m,) array
            Examples, per dimension for a density.
        z, which : (m, k) array, (m,) array
            Unknowns, and the points they belong to.
        moments : (m, ...) array
            Of the channel there.
        """
