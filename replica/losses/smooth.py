"""A loss of the user's own, from three functions; and any loss at another scale of the field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.common.arguments import InvalidArgument
from replica.losses import adaptive
from replica.losses.base import Loss
from replica.losses.piecewise import Pieces, PiecewiseLoss

__all__ = ["Rescaled", "RescaledPieces", "SmoothLoss", "rescaled"]

Array = NDArray[np.float64]
Function = Callable[[Array], ArrayLike]


@dataclass(frozen=True)
class SmoothLoss(Loss):
    """A convex, twice differentiable loss of your own.

    Parameters
    ----------
    V, dV, d2V : callable
        V(Delta), V'(Delta) and V''(Delta); each takes a float64 array and
        returns one of the same shape. V'' must be non-negative, and V' must be
        negative somewhere (a loss that never pushes margins up learns nothing).
    name : str
        For messages and tables.

    Raises
    ------
    ValueError
        If one of the three is missing; and from `solve` if they are not functions of
        arrays, not derivatives of one another, or if V'' is negative (on margins from
        -6 to 6).

    Examples
    --------
    >>> from replica import Problem, SmoothLoss, Teacher, solve
    >>> quartic = SmoothLoss(
    ...     V=lambda d: (d - 2) ** 4 / 4,
    ...     dV=lambda d: (d - 2) ** 3,
    ...     d2V=lambda d: 3 * (d - 2) ** 2,
    ... )
    >>> solution = solve(Problem(alpha=5.0, loss=quartic, teacher=Teacher()))
    """

    V: Function
    dV: Function
    d2V: Function
    name: str = field(default="a loss of the user's own", kw_only=True)

    def __post_init__(self) -> None:
        for which in ("V", "dV", "d2V"):
            if not callable(getattr(self, which)):
                raise InvalidArgument(
                    which,
                    "must be a function of the margin (a smooth loss needs V and its first two "
                    "derivatives)",
                    repr(getattr(self, which)),
                )

    def check(self) -> None:
        adaptive.check(self)

    def value(self, margin: ArrayLike) -> Array:
        return _called(self.V, margin)

    def derivative(self, margin: ArrayLike) -> Array:
        return _called(self.dV, margin)

    def curvature(self, margin: ArrayLike) -> Array:
        return _called(self.d2V, margin)


def _called(function: Function, margin: ArrayLike) -> Array:
    """A user's function; the search for a root asks it at margins where it may overflow."""
    with np.errstate(all="ignore"):
        found = function(np.asarray(margin, dtype=float))
        values = np.asarray(found)
        if values.dtype.kind not in "biuf" or isinstance(found, np.ma.MaskedArray):
            raise TypeError(f"{type(found).__name__} of {values.dtype}, not real numbers")
        return values.astype(float)


@dataclass(frozen=True)
class Rescaled(Loss):
    """V(s D)/s of a loss that has no parameter of its own for it.

    Parameters
    ----------
    loss : Loss
        V.
    numbers : (..., 2) array
        V's own parameter (anything if it has none) and the scale s.
    """

    loss: Loss
    numbers: ArrayLike = (0.0, 1.0)

    @property
    def _parts(self) -> tuple[Loss, Array]:
        numbers = np.asarray(self.numbers)
        return self.loss.with_parameter(numbers[..., 0]), numbers[..., 1]

    def with_parameter(self, values: ArrayLike) -> Rescaled:
        return Rescaled(self.loss, values)

    def scaled(self, parameter: Array, b: Array, log_scale: Array) -> tuple[Array, Array]:
        scale = parameter[:, 1] * np.exp(log_scale)
        return np.stack([parameter[:, 0], scale], axis=1), b

    def value(self, margin: ArrayLike) -> Array:
        loss, scale = self._parts
        return loss.value(scale * np.asarray(margin)) / scale

    def derivative(self, margin: ArrayLike) -> Array:
        loss, scale = self._parts
        return loss.derivative(scale * np.asarray(margin))

    def curvature(self, margin: ArrayLike) -> Array:
        loss, scale = self._parts
        return loss.curvature(scale * np.asarray(margin)) * scale


@dataclass(frozen=True)
class RescaledPieces(PiecewiseLoss, Rescaled):
    """The same of a loss that knows its pieces: U's at x and t are V's at s x and s t, over s."""

    proved = True

    def pieces(self, parameter: Array, b: Array) -> Pieces:
        loss = self.loss
        assert isinstance(loss, PiecewiseLoss)
        scale = parameter[:, 1]
        at, over = loss.pieces(parameter[:, 0], b + np.log(scale)), 1 / scale[:, None]
        return Pieces(
            ends=at.ends * over,
            target=at.target / scale,
            level=at.level * over,
            gain=at.gain,
            level_slope=at.level_slope * over,
            gain_slope=at.gain_slope,
            gaps=None if at.gaps is None else at.gaps * over,
        )

    def with_parameter(self, values: ArrayLike) -> RescaledPieces:
        return RescaledPieces(self.loss, values)

    def atom(self, parameter: Array, b: Array) -> tuple[Array, Array, Array] | None:
        scale = parameter[:, 1]
        atom = self.loss.atom(parameter[:, 0], b + np.log(scale))
        if atom is None:
            return None
        position, low, high = atom
        return position / scale, low / scale, high / scale


def rescaled(loss: Loss) -> Rescaled:
    """V(s D)/s, parameter and scale side by side."""
    return RescaledPieces(loss) if isinstance(loss, PiecewiseLoss) else Rescaled(loss)
