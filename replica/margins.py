"""P(Delta): the distribution of the margins among the minimisers of a loss."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica import adaptive, fields, kernels
from replica.common import arguments, compiled
from replica.equations import PerceptronEquations
from replica.losses import SmoothLoss

__all__ = ["Atom", "Margins"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Gauss-Legendre nodes a panel for mean and variance, as in the check of a solution.
ORDER = 28
#: Margins drawn at a time; far above what memory holds.
LARGEST_SAMPLE = 2**40


@dataclass(frozen=True)
class Atom:
    """Margins that share one value: where, and which fraction of all (0: there is none)."""

    position: float | Array
    weight: float | Array


class Margins:
    r"""The distribution P(Delta) of eqs. (16)-(17) of the paper, docs/theory.md eq. (18).

    The margin of a training example is D0(t), with t the field it would have
    had if it had been left out, and D0 the proximal point of the loss. Methods
    broadcast their argument against the shape of the solution; entries without
    a solution give nan.

    Parameters
    ----------
    shape : tuple of int
        Shape of the solution.
    groups : list of PerceptronEquations
        One for each loss that occurs.
    group, local : (n,) int arrays
        Group of each flat entry (-1: none) and its place there.
    unknowns : (n, 2) array
        log c and log x (log kappa for maximum stability) of each flat entry.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        groups: list[PerceptronEquations],
        group: Indices,
        local: Indices,
        unknowns: Array,
    ):
        self.shape = shape
        self._groups = groups
        self._group = group
        self._local = local
        self._unknowns = unknowns

    def __repr__(self) -> str:
        return f"Margins(shape={self.shape})"

    def __getitem__(self, key: Any) -> Margins:
        """The margins of a part of the solution, with numpy's indexing."""
        which = np.arange(len(self._group)).reshape(self.shape)[key]
        flat = np.ravel(which)
        return Margins(
            np.shape(which),
            self._groups,
            self._group[flat],
            self._local[flat],
            self._unknowns[flat],
        )

    def pdf(self, margin: ArrayLike) -> float | Array:
        """Density at ``margin`` of the continuous part (an `atom` is not in it)."""
        return self._evaluate("margin", margin, self._pdf)

    def cdf(self, margin: ArrayLike) -> float | Array:
        """P(Delta <= margin), atom included, to an absolute accuracy of 1e-15.

        The left tail of the fields is good to 1e-13 of itself, however small.
        """
        return self._evaluate("margin", margin, self._cdf)

    def quantile(self, p: ArrayLike) -> float | Array:
        """The smallest margin with P(Delta <= margin) >= p.

        Raises
        ------
        ValueError
            If ``p`` leaves [0, 1].
        """
        p = arguments.numbers("p", p)
        outside = ~((p >= 0) & (p <= 1))
        if outside.any():
            raise ValueError(f"`p` must lie in [0, 1]; got {arguments.show(p[outside][0])}")
        return self._evaluate("p", p, self._quantile)

    def mean(self) -> float | Array:
        """Mean margin."""
        return self._evaluate("margin", 0.0, self._mean)

    def var(self) -> float | Array:
        """Variance of the margins, without cancellation where it is small."""
        return self._evaluate("margin", 0.0, self._var)

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
            raise ValueError(f"`size` must be an integer; got {arguments.quoted(size)}") from None
        if not 0 <= count <= LARGEST_SAMPLE:
            rule = "non-negative" if count < 0 else f"at most {LARGEST_SAMPLE}"
            raise ValueError(f"`size` must be {rule}; got {arguments.quoted(size)}")
        try:
            rng = np.random.default_rng(seed)
        except (TypeError, ValueError):
            raise ValueError(
                "`seed` must be a non-negative integer, a numpy Generator or None; "
                f"got {arguments.quoted(seed)}"
            ) from None

        def draw(equations: PerceptronEquations, at: Indices, z: Array, _: Array) -> Array:
            return _proximal(equations, at, z, fields.sample(rng, _mixture(equations, at, z)))

        blank = np.zeros((count,) + (1,) * len(self.shape))
        return np.asarray(self._evaluate("size", blank, draw))

    @property
    def atom(self) -> Atom:
        """Where margins pile up: at kappa for maximum stability, at the hinge's own margin."""
        position = self._evaluate("margin", 0.0, self._atom_position)
        return Atom(position, self._evaluate("margin", 0.0, self._atom_weight))

    # Each of the following answers for the points ``at`` of one group, all arrays flat.

    def _pdf(self, equations: PerceptronEquations, at: Indices, z: Array, margin: Array) -> Array:
        mixture = _mixture(equations, at, z)
        t, stretch = _field(equations, at, z, margin)
        density = np.zeros_like(t)
        inside = np.isfinite(t)
        density[inside] = fields.pdf(t[inside], mixture[inside]) * stretch[inside]
        return density

    def _cdf(self, equations: PerceptronEquations, at: Indices, z: Array, margin: Array) -> Array:
        return fields.cdf(_field(equations, at, z, margin)[0], _mixture(equations, at, z))

    def _quantile(self, equations: PerceptronEquations, at: Indices, z: Array, p: Array) -> Array:
        t = fields.quantile(p, _mixture(equations, at, z))
        inside = np.isfinite(t)
        result = t.copy()
        result[inside] = _proximal(equations, at[inside], z[inside], t[inside])
        if equations.loss.code == kernels.HARD_MARGIN:
            result[t == -np.inf] = _stability(z)[t == -np.inf]
        return result

    def _mean(self, equations: PerceptronEquations, at: Indices, z: Array, _: Array) -> Array:
        centre, moments = self._centred(equations, at, z)
        return centre + moments[:, kernels.MEAN]

    def _var(self, equations: PerceptronEquations, at: Indices, z: Array, _: Array) -> Array:
        _, moments = self._centred(equations, at, z)
        # The mean of (D - centre) is rounding noise; below alpha = 1e-9 so is the variance.
        return np.maximum(moments[:, kernels.SQUARE_MEAN] - moments[:, kernels.MEAN] ** 2, 0.0)

    def _centred(
        self, equations: PerceptronEquations, at: Indices, z: Array
    ) -> tuple[Array, Array]:
        """A first mean, and the moments about it.

        A total weight that is 1 only to rounding (1e-7 at alpha = 1e-15) then counts as that
        part of the width, not of the mean.
        """
        centre = _margin_moments(equations, at, z, np.zeros(len(at)))[:, kernels.MEAN]
        return centre, _margin_moments(equations, at, z, centre)

    def _atom_position(
        self, equations: PerceptronEquations, at: Indices, z: Array, _: Array
    ) -> Array:
        if equations.loss.code == kernels.HARD_MARGIN:
            return _stability(z)
        if equations.loss.code == kernels.HINGE:
            return equations.parameter[at]
        return np.full(len(at), np.nan)

    def _atom_weight(
        self, equations: PerceptronEquations, at: Indices, z: Array, _: Array
    ) -> Array:
        mixture = _mixture(equations, at, z)
        if equations.loss.code == kernels.HARD_MARGIN:
            return fields.cdf(_stability(z), mixture)
        if equations.loss.code == kernels.HINGE:
            edge = equations.parameter[at]
            below = fields.cdf(edge - np.exp(z[:, 1]), mixture)
            return fields.cdf(edge, mixture) - below
        return np.zeros(len(at))

    def _evaluate(
        self,
        name: str,
        argument: ArrayLike,
        answer: Callable[[PerceptronEquations, Indices, Array, Array], Array],
    ) -> float | Array:
        """Broadcast ``argument`` against the solution and let each group answer its part."""
        argument = arguments.numbers(name, argument)
        entries = np.arange(len(self._group)).reshape(self.shape)
        try:
            argument, entries = np.broadcast_arrays(argument, entries)
        except ValueError:
            raise ValueError(
                f"`{name}` must broadcast against the solution's shape {self.shape}; "
                f"got shape {argument.shape}"
            ) from None
        flat, values = entries.ravel(), argument.ravel()
        result = np.full(len(flat), np.nan)
        for g, equations in enumerate(self._groups):
            here = np.flatnonzero((self._group[flat] == g) & ~np.isnan(values))
            if len(here):
                entry = flat[here]
                at, z = self._local[entry], self._unknowns[entry]
                result[here] = answer(equations, at, z, values[here])
        return float(result[0]) if entries.shape == () else result.reshape(entries.shape)


def _mixture(equations: PerceptronEquations, at: Indices, z: Array) -> fields.Mixture:
    """The field's density at m points."""
    labels = equations.labels[at]
    weight, noise = labels.signal, labels.noise
    c = np.exp(z[:, :1])
    slope = np.where(weight > 0, c / np.sqrt(1 + noise**2 * (1 + c * c)), 0.0)
    return fields.Mixture(weight, slope, labels.random)


def _stability(z: Array) -> Array:
    """Kappa, where margins pile up: the same double wherever it is asked for.

    numpy and the compiled kernels round exp differently, and so may two memory layouts; a
    margin that misses the atom by one bit would have cdf 0 instead of the atom's weight.
    """
    return np.asarray(np.exp(np.ascontiguousarray(z[:, 1])))


def _margin_moments(equations: PerceptronEquations, at: Indices, z: Array, centre: Array) -> Array:
    return equations.moments(z, at, order=ORDER, full=kernels.MARGINS, centre=centre)


def _proximal(equations: PerceptronEquations, at: Indices, z: Array, t: Array) -> Array:
    """D0(t)."""
    if isinstance(equations.loss, SmoothLoss):
        return adaptive.proximal(equations.loss, np.exp(z[:, 1]), t)
    if equations.loss.code == kernels.HARD_MARGIN:
        return np.maximum(t, _stability(z))
    out = np.empty_like(t)
    b = np.ascontiguousarray(z[:, 1])
    with compiled.notice(kernels.proximal):
        kernels.proximal(equations.loss.code, equations.parameter[at], b, t, out)
    return out


def _field(
    equations: PerceptronEquations, at: Indices, z: Array, margin: Array
) -> tuple[Array, Array]:
    """The largest t with D0(t) <= margin, and dt/dD there."""
    loss, parameter = equations.loss, equations.parameter[at]
    if loss.code == kernels.HARD_MARGIN:
        free = margin >= _stability(z)
        return np.where(free, margin, -np.inf), free.astype(float)
    if loss.code in (kernels.LOGISTIC, kernels.EXPONENTIAL):
        t, slope = np.empty_like(margin), np.empty_like(margin)
        b = np.ascontiguousarray(z[:, 1])
        with compiled.notice(kernels.field_of_margin):
            kernels.field_of_margin(loss.code, parameter, b, margin, t, slope)
        return t, slope
    loss = loss.with_parameter(parameter)
    x = np.exp(z[:, 1])
    with np.errstate(over="ignore"):  # at margins that no example has
        return margin + x * loss.derivative(margin), 1 + x * loss.curvature(margin)
