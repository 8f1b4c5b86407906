"""What every kind of weights gives to the equations."""

from __future__ import annotations

import abc

import numpy as np
from numpy.typing import NDArray

from replica.channel import Channel

__all__ = ["Weights"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


class Weights(abc.ABC):
    """Weights on a sphere, whatever the inputs look like."""

    #: Names of the unknowns beside log c and log x, in their order.
    unknowns: tuple[str, ...] = ()
    #: Columns of the moments that `residuals` reads.
    columns: int

    @abc.abstractmethod
    def log_scale(self, z: Array) -> Array | None:
        """log of the field's standard deviation at weights of norm 1; None where it is 0."""

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
