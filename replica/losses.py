r"""Losses V(Delta) of the margin, one small class each.

A loss knows its own formula and nothing of saddle points. The classes with a
compiled twin in `replica.kernels` carry its integer ``code``; `SmoothLoss` is
the door for a loss of your own.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit

from replica import kernels, ranges
from replica.common import arguments

__all__ = [
    "Exponential",
    "HardMargin",
    "Hinge",
    "Linear",
    "Logistic",
    "Loss",
    "SmoothLoss",
    "Square",
    "SquaredHinge",
]

Array = NDArray[np.float64]
Function = Callable[[Array], ArrayLike]


class Loss(abc.ABC):
    """A convex, differentiable-almost-everywhere function of the margin."""

    #: Which compiled margin map serves this loss (None: the NumPy path).
    code: ClassVar[int | None] = None
    #: The name of the one parameter, if there is one.
    parameter: ClassVar[str | None] = None
    #: What the parameter must satisfy.
    rule: ClassVar[arguments.Range] = ranges.MARGIN
    #: Whether the parameter runs from Hebb (0) to maximum stability (inf).
    interpolates: ClassVar[bool] = False

    def with_parameter(self, values: ArrayLike) -> Loss:
        """The same loss with another value, or an array of values, of its parameter."""
        if self.parameter is None:
            return self
        return type(self)(**{self.parameter: values})

    def check(self) -> None:  # noqa: B027 - the built-in losses are right
        """Raise `ValueError` if the loss is not what it claims to be."""

    @abc.abstractmethod
    def value(self, margin: ArrayLike) -> Array:
        """V(Delta)."""

    @abc.abstractmethod
    def derivative(self, margin: ArrayLike) -> Array:
        """V'(Delta); where V has a kink, the derivative from the right."""

    @abc.abstractmethod
    def curvature(self, margin: ArrayLike) -> Array:
        """V''(Delta), without the point masses of a kink."""


@dataclass(frozen=True)
class Logistic(Loss):
    r"""V(D) = log(1 + exp(-2 lam D)) / lam, the paper's eq. (1).

    Parameters
    ----------
    lam : float or array
        Sharpness, equal to the norm of the weights in units of sqrt(N) when
        the loss is log(1 + exp(-2 Delta)); in [0, inf], where 0 stands for
        the limit of Hebb and inf for that of maximum stability. The textbook loss
        log(1 + exp(-z)) at weight norm \|w\| = sqrt(q N) is lam = sqrt(q)/2.
    """

    lam: ArrayLike
    code = kernels.LOGISTIC
    parameter = "lam"
    rule = ranges.SHARPNESS
    interpolates = True

    def value(self, margin: ArrayLike) -> Array:
        return -log_expit(2 * np.multiply(self.lam, margin)) / np.asarray(self.lam)

    def derivative(self, margin: ArrayLike) -> Array:
        return -2 * expit(-2 * np.multiply(self.lam, margin))

    def curvature(self, margin: ArrayLike) -> Array:
        y = 2 * np.multiply(self.lam, margin)
        return 4 * np.asarray(self.lam) * expit(y) * expit(-y)


@dataclass(frozen=True)
class Exponential(Loss):
    """V(D) = exp(-lam D) / lam; Hebb as lam -> 0, maximum stability as lam -> inf.

    Parameters
    ----------
    lam : float or array
        Sharpness, in [0, inf]; the ends stand for the two limits.
    """

    lam: ArrayLike
    code = kernels.EXPONENTIAL
    parameter = "lam"
    rule = ranges.SHARPNESS
    interpolates = True

    def value(self, margin: ArrayLike) -> Array:
        return np.exp(-np.multiply(self.lam, margin)) / np.asarray(self.lam)

    def derivative(self, margin: ArrayLike) -> Array:
        return -np.exp(-np.multiply(self.lam, margin))

    def curvature(self, margin: ArrayLike) -> Array:
        return np.asarray(self.lam) * np.exp(-np.multiply(self.lam, margin))


@dataclass(frozen=True)
class Linear(Loss):
    """V(D) = -D, whose minimiser on the sphere is Hebb's rule."""

    code = kernels.LINEAR

    def value(self, margin: ArrayLike) -> Array:
        return -np.asarray(margin, dtype=float)

    def derivative(self, margin: ArrayLike) -> Array:
        return np.full(np.shape(margin), -1.0)

    def curvature(self, margin: ArrayLike) -> Array:
        return np.zeros(np.shape(margin))


@dataclass(frozen=True)
class Hinge(Loss):
    """V(D) = max(margin - D, 0); a fraction of the margins sits exactly at ``margin``.

    Parameters
    ----------
    margin : float or array
        Where the loss reaches zero; finite. It must exceed the maximum
        stability, else many weights reach zero loss and none is *the* minimiser.
    """

    margin: ArrayLike = 1.0
    code = kernels.HINGE
    parameter = "margin"

    def value(self, margin: ArrayLike) -> Array:
        return np.maximum(np.subtract(self.margin, margin), 0.0)

    def derivative(self, margin: ArrayLike) -> Array:
        return np.where(np.less(margin, self.margin), -1.0, 0.0)

    def curvature(self, margin: ArrayLike) -> Array:
        return np.zeros(np.broadcast_shapes(np.shape(margin), np.shape(self.margin)))


@dataclass(frozen=True)
class SquaredHinge(Loss):
    """V(D) = max(margin - D, 0)**2 / 2.

    Parameters
    ----------
    margin : float or array
        Where the loss reaches zero; finite, and above the maximum stability.
    """

    margin: ArrayLike = 1.0
    code = kernels.SQUARED_HINGE
    parameter = "margin"

    def value(self, margin: ArrayLike) -> Array:
        return np.maximum(np.subtract(self.margin, margin), 0.0) ** 2 / 2

    def derivative(self, margin: ArrayLike) -> Array:
        return -np.maximum(np.subtract(self.margin, margin), 0.0)

    def curvature(self, margin: ArrayLike) -> Array:
        return np.where(np.less_equal(margin, self.margin), 1.0, 0.0)


@dataclass(frozen=True)
class Square(Loss):
    """V(D) = (margin - D)**2 / 2, least squares on labels ``margin * y``.

    Parameters
    ----------
    margin : float or array
        Target of the margin; positive.
    """

    margin: ArrayLike = 1.0
    code = kernels.SQUARE
    parameter = "margin"
    rule = ranges.TARGET

    def value(self, margin: ArrayLike) -> Array:
        return np.subtract(self.margin, margin) ** 2 / 2

    def derivative(self, margin: ArrayLike) -> Array:
        return np.subtract(margin, self.margin)

    def curvature(self, margin: ArrayLike) -> Array:
        return np.ones(np.broadcast_shapes(np.shape(margin), np.shape(self.margin)))


@dataclass(frozen=True)
class HardMargin(Loss):
    """The limit of maximum stability: no margin below kappa, kappa as large as possible.

    Its second unknown is the stability kappa in place of x.
    """

    code = kernels.HARD_MARGIN

    def value(self, margin: ArrayLike) -> Array:
        return np.zeros(np.shape(margin))

    def derivative(self, margin: ArrayLike) -> Array:
        return np.zeros(np.shape(margin))

    def curvature(self, margin: ArrayLike) -> Array:
        return np.zeros(np.shape(margin))


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
                raise ValueError(
                    f"`{which}` must be a function of the margin (a smooth loss needs V and its "
                    f"first two derivatives); got {getattr(self, which)!r}"
                )

    def check(self) -> None:
        """Compare V, V' and V'' with differences of one another, and V'' with zero."""
        # bends of V at a few margins are allowed, and the grid avoids round numbers
        margin = np.linspace(-6.03, 6.07, 61)
        h = 1e-5
        with np.errstate(all="ignore"):
            ends = [margin - h, margin, margin + h]
            try:
                v, dv, d2v = (
                    np.stack([f(d) for d in ends])
                    for f in (self.value, self.derivative, self.curvature)
                )
            except (TypeError, ValueError) as error:
                raise ValueError(
                    "`V`, `dV` and `d2V` must take a float64 array and return one of its shape; "
                    f"got {error}"
                ) from error
            if not v.shape == dv.shape == d2v.shape == (3, len(margin)):
                raise ValueError(
                    "`V`, `dV` and `d2V` must return an array of the shape they are given; "
                    f"got shapes {v.shape[1:]}, {dv.shape[1:]}, {d2v.shape[1:]} for {margin.shape}"
                )
            for name, values in (("V", v), ("dV", dv), ("d2V", d2v)):
                # an exponential may overflow on one side, but not everywhere
                if np.isnan(values).any() or np.isinf(values).mean() > 0.5:
                    wrong = margin[~np.isfinite(values[1])]
                    raise ValueError(
                        f"`{name}` must be a number at every margin and finite at most; got nan "
                        f"or inf at {len(wrong)} of {len(margin)} margins from {margin[0]} to "
                        f"{margin[-1]}, first at {wrong[:1]}"
                    )
            for name, claimed, values in (("dV", dv, v), ("d2V", d2v, dv)):
                found = (values[2] - values[0]) / (2 * h)
                noise = 1e-15 * np.abs(values[1]) / h
                wrong = np.abs(found - claimed[1]) > 1e-4 * (np.abs(claimed[1]) + h) + 10 * noise
                if wrong.sum() > len(margin) // 10:
                    i = np.flatnonzero(wrong)[0]
                    raise ValueError(
                        f"`{name}` must be the derivative of `{'V' if name == 'dV' else 'dV'}`: "
                        f"at margin {margin[i]:.4g} it is {claimed[1][i]:.6g}, differences give "
                        f"{found[i]:.6g}; got {self.name}"
                    )
            if (d2v[1] < 0).any():
                i = np.flatnonzero(d2v[1] < 0)[0]
                raise ValueError(
                    f"`d2V` must not be negative (the loss must be convex): at margin "
                    f"{margin[i]:.4g}; got {d2v[1][i]:.6g}"
                )

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
