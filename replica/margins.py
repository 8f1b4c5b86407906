"""P(Delta): the distribution of the margins among the minimisers of a loss."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.channel import moments as m
from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted, show
from replica.fields import Fields
from replica.saddle_point import CHECK_ORDER, Group

__all__ = ["Atom", "Margins", "Solved"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
FloatOrArray = float | Array

#: Margins drawn at a time; far above what memory holds.
LARGEST_SAMPLE = 2**40


@dataclass(frozen=True)
class Atom:
    """Margins that share one value: where, and which fraction of all (0: there is none)."""

    position: FloatOrArray
    weight: FloatOrArray


@dataclass(frozen=True)
class Solved:
    """Where the entries of an array of problems were solved.

    Attributes
    ----------
    shape : tuple of int
        Of the array.
    groups : tuple of Group
        Entries of one loss each.
    group, place : (n,) arrays of int
        The group of each flat entry (-1: none), and its place there.
    """

    shape: tuple[int, ...]
    groups: tuple[Group, ...]
    group: Indices
    place: Indices

    def __getitem__(self, key: Any) -> Solved:
        """A part of the array, with numpy's indexing."""
        which = np.arange(len(self.group)).reshape(self.shape)[key]
        flat = np.ravel(which)
        return Solved(np.shape(which), self.groups, self.group[flat], self.place[flat])


class Margins:
    r"""The distribution P(Delta) of eqs. (16)-(17) of the paper, docs/theory.md eq. (18).

    The margin of a training example is D0(t), with t the field it would have
    had if it had been left out, and D0 the proximal point of the loss. Methods
    broadcast their argument against the shape of the solution; entries without
    a solution give nan.

    Parameters
    ----------
    solved : Solved
        The solution's groups.
    """

    def __init__(self, solved: Solved):
        self._solved = solved

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the solution."""
        return self._solved.shape

    def __repr__(self) -> str:
        return f"Margins(shape={self.shape})"

    def __getitem__(self, key: Any) -> Margins:
        """The margins of a part of the solution, with numpy's indexing."""
        return Margins(self._solved[key])

    def pdf(self, margin: ArrayLike) -> FloatOrArray:
        """Density at ``margin`` of the continuous part (an `atom` is not in it)."""
        return self._evaluate("margin", margin, _GroupMargins.pdf)

    def cdf(self, margin: ArrayLike) -> FloatOrArray:
        """P(Delta <= margin), atom included, to an absolute accuracy of 1e-15.

        The left tail of the fields is good to 1e-13 of itself, however small.
        """
        return self._evaluate("margin", margin, _GroupMargins.cdf)

    def quantile(self, p: ArrayLike) -> FloatOrArray:
        """The smallest margin with P(Delta <= margin) >= p.

        Raises
        ------
        InvalidArgument
            If ``p`` leaves [0, 1].
        """
        p = arguments.numbers("p", p)
        outside = ~((p >= 0) & (p <= 1))
        if outside.any():
            raise InvalidArgument("p", "must lie in [0, 1]", show(p[outside][0]))
        return self._evaluate("p", p, _GroupMargins.quantile)

    def mean(self) -> FloatOrArray:
        """Mean margin."""
        return self._evaluate("margin", 0.0, lambda part, _: part.mean())

    def var(self) -> FloatOrArray:
        """Variance of the margins, without cancellation where it is small."""
        return self._evaluate("margin", 0.0, lambda part, _: part.var())

    def sample(self, size: int = 1, seed: int | np.random.Generator | None = None) -> Array:
        """``size`` independent margins for each entry, shape ``(size, *shape)``.

        Parameters
        ----------
        size : int
            How many, non-negative.
        seed : int, Generator or None
            The same integer gives the same margins.
        """
        try:
            count = operator.index(size)
        except TypeError:
            raise InvalidArgument("size", "must be an integer", quoted(size)) from None
        if not 0 <= count <= LARGEST_SAMPLE:
            rule = "non-negative" if count < 0 else f"at most {LARGEST_SAMPLE}"
            raise InvalidArgument("size", f"must be {rule}", quoted(size))
        try:
            rng = np.random.default_rng(seed)
        except (TypeError, ValueError):
            raise InvalidArgument(
                "seed", "must be a non-negative integer, a numpy Generator or None", quoted(seed)
            ) from None
        blank = np.zeros((count,) + (1,) * len(self.shape))
        return np.asarray(self._evaluate("size", blank, lambda part, _: part.sample(rng)))

    @property
    def atom(self) -> Atom:
        """Where margins pile up: at kappa for maximum stability, at the hinge's own margin."""
        position = self._evaluate("margin", 0.0, lambda part, _: part.atom()[0])
        return Atom(position, self._evaluate("margin", 0.0, lambda part, _: part.atom()[1]))

    def _evaluate(
        self,
        name: str,
        argument: ArrayLike,
        answer: Callable[[_GroupMargins, Array], Array],
    ) -> FloatOrArray:
        """Broadcast ``argument`` against the solution and let each group answer its part."""
        argument = arguments.numbers(name, argument)
        solved = self._solved
        entries = np.arange(len(solved.group)).reshape(self.shape)
        try:
            argument, entries = np.broadcast_arrays(argument, entries)
        except ValueError:
            raise InvalidArgument(
                name,
                f"must broadcast against the solution's shape {self.shape}",
                f"shape {argument.shape}",
            ) from None
        flat, values = entries.ravel(), argument.ravel()
        result = np.full(len(flat), np.nan)
        for number, group in enumerate(solved.groups):
            here = np.flatnonzero((solved.group[flat] == number) & ~np.isnan(values))
            if len(here):
                result[here] = answer(_GroupMargins(group, solved.place[flat[here]]), values[here])
        return float(result[0]) if entries.shape == () else result.reshape(entries.shape)


class _GroupMargins:
    """The margins of some points of one group; all arrays flat, one entry a point."""

    def __init__(self, group: Group, at: Indices):
        self.equations, self.at, self.z = group.equations, at, group.unknowns[at]
        log_scale = self.equations.weights.log_scale(self.z)
        channel = self.equations.channel
        self.loss = channel.loss
        b = np.ascontiguousarray(self.z[:, 1])
        self.parameter, self.b = channel.scaled(at, b, log_scale)
        #: A margin in units of the field's standard deviation is a margin over this.
        self.scale = np.ones(len(at)) if log_scale is None else np.exp(log_scale)

    @property
    def fields(self) -> Fields:
        return self.equations.channel.fields(self.z, self.at)

    def pdf(self, margin: Array) -> Array:
        t, stretch = self.loss.field_of_margin(self.parameter, self.b, margin / self.scale)
        density = np.zeros_like(t)
        inside = np.isfinite(t)
        density[inside] = self.fields[inside].pdf(t[inside]) * (stretch / self.scale)[inside]
        return density

    def cdf(self, margin: Array) -> Array:
        t, _ = self.loss.field_of_margin(self.parameter, self.b, margin / self.scale)
        return self.fields.cdf(t)

    def _margin(self, t: Array) -> Array:
        return self.loss.proximal(self.parameter, self.b, t) * self.scale

    def quantile(self, p: Array) -> Array:
        t = self.fields.quantile(p)
        atom = self.loss.atom(self.parameter, self.b)
        if atom is not None:  # margins that end in an atom end there
            position, low, _ = atom
            t = np.where(np.isneginf(t) & np.isneginf(low), position, t)
        inside = np.isfinite(t)
        result = t.copy()
        parameter, b = self.parameter[inside], self.b[inside]
        result[inside] = self.loss.proximal(parameter, b, t[inside]) * self.scale[inside]
        return result

    def _centred(self) -> tuple[Array, Array]:
        """A first mean, and the moments about it.

        A total weight that is 1 only to rounding (1e-7 at alpha = 1e-15) then counts as that
        part of the width, not of the mean.
        """
        centre = self._moments(np.zeros(len(self.at)))[:, m.MEAN]
        return centre, self._moments(centre)

    def _moments(self, origin: Array) -> Array:
        equations = self.equations
        moments = equations.moments(
            self.z, self.at, order=CHECK_ORDER, columns=m.MARGINS, origin=origin
        )
        return equations.channel.merged(moments)

    def mean(self) -> Array:
        centre, moments = self._centred()
        return (centre + moments[:, m.MEAN]) * self.scale

    def var(self) -> Array:
        _, moments = self._centred()
        # The mean of (D - centre) is rounding noise; below alpha = 1e-9 so is the variance.
        variance = np.maximum(moments[:, m.SQUARE_MEAN] - moments[:, m.MEAN] ** 2, 0.0)
        return variance * self.scale**2

    def sample(self, rng: np.random.Generator) -> Array:
        return self._margin(self.fields.sample(rng))

    def atom(self) -> tuple[Array, Array]:
        atom = self.loss.atom(self.parameter, self.b)
        if atom is None:
            return np.full(len(self.at), np.nan), np.zeros(len(self.at))
        position, low, high = atom
        return position * self.scale, self.fields.cdf(high) - self.fields.cdf(low)
