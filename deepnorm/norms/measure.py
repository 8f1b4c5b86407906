"""From weights to the norms of the maps, and from these to ln R: cold, or warm again and again."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepnorm.norms.conventions import (
    Convention,
    MatrixConvention,
    OperatorConvention,
    ParameterConvention,
)
from deepnorm.norms.davidson import BLOCK, largest_singular_value, random_vectors
from deepnorm.norms.graph import Graph, Use
from deepnorm.norms.maps import Dense, Diagonal, LinearMap
from replica.common.arguments import InvalidArgument
from replica.common.progress import Bar

__all__ = [
    "Cold",
    "Measured",
    "Measurement",
    "Sigma",
    "Warm",
    "logs",
    "measure",
    "sigma_cold",
    "weight_of",
]

Array = NDArray[np.float64]

#: The largest entry of a matrix lies between these, or is zero: fourth powers and their sums, which
#: the iteration needs, are then floats. Nothing that is stored in single precision leaves them.
FAINTEST, GREATEST = 1e-70, 1e70
#: Of a sigma that is asked for alone, relative: a choice.
TOLERANCE = 1e-9
#: Seed of the first vectors of an iteration; their directions decide nothing.
SEED = 1
#: Multiplications of a Gram matrix and its eigenvalues that are waited for (a second or two; in
#: a training two milliseconds); above, an iteration.
LARGE, LARGE_WARM = 3e10, 3e7
#: Part of a random vector in each vector of a warm start, so that a singular vector that has
#: overtaken the kept ones is found even where they have no part along it (groups, symmetries).
FRESH = 1.0
#: A sigma counts at least so much, and is asked for no less than so precisely: what a first
#: look says of the sensitivity of ln R is true to a factor.
LEAST, ROUGHEST = 0.02, 1e-3
#: Products of the first look.
GLIMPSE = 4
#: Part of its torus that an image fills, below which the border outweighs what the preconditioner
#: knows: 512 channels of 7 x 7, 0.6 of it, take fewer steps without, 256 of 14 x 14, 0.77, with.
WORTH = 0.65
#: Largest entries between these need no scaling: their fourth powers are single floats.
FINE = (1e-6, 1e6)
#: Step in ln sigma over which ln R is compared: by convexity what is found is too large, if
#: anything, by a few per cent.
STEP = 0.05


@dataclass(frozen=True)
class Sigma:
    """The largest singular value of a map.

    Attributes
    ----------
    value : float
        Where exact or iterated to the tolerance: sigma.
    lower, upper : float
        Rigorous bounds.
    method : str
        How it was found.
    error : float
        Estimate of the relative error of the value: 0 where a matrix decides.
    """

    value: float
    lower: float
    upper: float
    method: str
    error: float = 0.0


class Finder(abc.ABC):
    """How sigma is found, and to which tolerance of ln R, relative to max(1, abs(ln R))."""

    #: Multiplications of a Gram matrix that are waited for.
    large: float

    def __init__(self, tolerance: float):
        self.tolerance = tolerance

    def exact(self, linear_map: LinearMap, weight: Tensor) -> Sigma | None:
        """By a matrix, where one decides it quickly."""
        kind, core = linear_map.core(weight)
        if isinstance(kind, Diagonal) or (isinstance(kind, Dense) and _cost(kind) < self.large):
            value = kind.exact(core)
            assert value is not None
            return Sigma(value, value, value, "exact")
        return None if largest(core) else Sigma(0.0, 0.0, 0.0, "exact")

    @abc.abstractmethod
    def glimpse(self, linear_map: LinearMap, weight: Tensor) -> float:
        """Sigma at a first look, as far as `shares` needs it."""

    @abc.abstractmethod
    def shares(self, items: Sequence[_Item], weigh: Callable[[list[float]], Array]) -> Array:
        """The error that each iterated sigma may have, of those whose entry is none yet."""

    @abc.abstractmethod
    def iterated(self, key: str, linear_map: LinearMap, weight: Tensor, tolerance: float) -> Sigma:
        """By an iteration."""


class Cold(Finder):
    """From nothing, with a bound."""

    large = LARGE

    def glimpse(self, linear_map: LinearMap, weight: Tensor) -> float:
        """To some ten per cent, by a few steps of the power method in single precision."""
        kind, core = linear_map.core(weight)
        scale, core = _scaled(core)
        normal, single = kind.normal(), core.float()
        vector = random_vectors(1, normal.shape, core, SEED).float()
        value = 0.0
        for _ in range(GLIMPSE):
            image = normal.out(single, vector / torch.linalg.vector_norm(vector))
            value = float(torch.linalg.vector_norm(image))
            vector = normal.back(single, image)
        return scale * value

    def shares(self, items: Sequence[_Item], weigh: Callable[[list[float]], Array]) -> Array:
        """In inverse proportion to what ln R owes to each, eq. (N16)."""
        values = [item.sigma.value if item.sigma else item.glimpse for item in items]
        log_value, weights = weigh(values)[0], weigh(values)[1:]
        open_items = max(sum(item.sigma is None for item in items), 1)
        allowed = self.tolerance * max(1.0, abs(log_value)) if np.isfinite(log_value) else 0.0
        allowed = max(allowed, self.tolerance)
        return np.minimum(allowed / (open_items * np.maximum(weights, LEAST)), ROUGHEST)

    def iterated(self, key: str, linear_map: LinearMap, weight: Tensor, tolerance: float) -> Sigma:
        """With the torus as preconditioner, where there is one."""
        kind, core = linear_map.core(weight)
        scale, core = _scaled(core)
        normal = kind.normal()
        start = random_vectors(BLOCK, normal.shape, core, SEED)
        torus = kind.torus(core)
        known = None
        if torus is not None:
            upper = torus.upper()
            if torus.holds and torus.share(normal.shape) > WORTH:
                known = torus.preconditioner()
                start = known.apply(known.apply(start))
        else:
            upper = kind.upper(core)
        found = largest_singular_value(normal, core, start, tolerance, known)
        method = f"iteration, {found.steps} products"
        if not found.converged:
            method += f", stopped at a relative error of about {found.error:.0e}"
        # Rounding may lift the last digit of a norm above the truth.
        lower = found.value * (1 - 1e-14)
        return Sigma(
            scale * found.value,
            scale * lower,
            scale * max(upper, found.value),
            method,
            found.error,
        )


class Warm(Finder):
    """From the singular vectors of the last time, without a bound.

    Attributes
    ----------
    vectors : dict of str to Tensor
        Two singular vectors of each map that was iterated, by its key.
    """

    large = LARGE_WARM

    def __init__(self, tolerance: float):
        super().__init__(tolerance)
        self.vectors: dict[str, Tensor] = {}
        self.measurements = 0

    def glimpse(self, linear_map: LinearMap, weight: Tensor) -> float:
        """None: all are asked for alike."""
        return math.nan

    def shares(self, items: Sequence[_Item], weigh: Callable[[list[float]], Array]) -> Array:
        """The same for all, as if ln R owed each of them all that it can: one."""
        return np.full(len(items), self.tolerance / max(sum(i.sigma is None for i in items), 1))

    def iterated(self, key: str, linear_map: LinearMap, weight: Tensor, tolerance: float) -> Sigma:
        """From the kept vectors, with random ones added; those found are kept."""
        kind, core = linear_map.core(weight)
        scale, core = _scaled(core)
        normal = kind.normal()
        kept = self.vectors.get(key)
        start = random_vectors(BLOCK, normal.shape, core, self.measurements)
        if kept is not None and tuple(kept.shape[1:]) == normal.shape:
            start[: len(kept)] += kept.to(core.device) / FRESH
        found = largest_singular_value(normal, core, start, tolerance)
        self.vectors[key] = found.vectors
        value = scale * found.value
        return Sigma(value, value, math.inf, f"iteration, {found.steps} products", found.error)


def sigma_cold(linear_map: LinearMap, weight: Tensor, tolerance: float = TOLERANCE) -> Sigma:
    """Sigma of one map from nothing, to a relative tolerance."""
    cold = Cold(tolerance)
    return cold.exact(linear_map, weight) or cold.iterated("", linear_map, weight, tolerance)


def weight_of(use: Use, tensors: Mapping[str, Tensor], *, raw: bool = False) -> Tensor:
    """The weight of a matrix, with its batch norm folded in or (``raw``) as it is stored.

    Raises
    ------
    ValueError
        If it is not finite, not real, or too large or too small to be squared.
    """
    for source in use.sources:
        if source.read(tensors).is_complex():
            raise InvalidArgument("model", f"must have real weights; `{use.label}` is complex")
    weight = use.raw(tensors) if raw else use.weight(tensors)
    size = largest(weight)
    if not math.isfinite(size):
        if use.fold is None:
            why = "holds nan or inf (has the training diverged?)"
        else:
            why = "with its batch norm holds nan or inf (its variances must be positive)"
        raise InvalidArgument("model", f"must have finite weights; `{use.label}` {why}")
    if size and not FAINTEST <= size <= GREATEST:
        raise InvalidArgument(
            "model",
            f"must have matrices whose largest entry lies between {FAINTEST:g} and "
            f"{GREATEST:g}, or is zero; in `{use.label}` it is {size:.3g}",
        )
    return weight


def largest(tensor: Tensor) -> float:
    """The largest absolute value, nan if one of them is; without a copy of the tensor."""
    if tensor.numel() == 0:
        return 0.0
    low, high = map(float, torch.aminmax(tensor.detach()))
    return max(abs(low), abs(high))


# ------------------------------------------------------------------------------ all of them


@dataclass(frozen=True)
class Measured:
    """A matrix of the sum.

    Its sigma, its (2,1) norm, its share of the gain (nan in a list of stored matrices), and of
    a stored matrix the shape.
    """

    sigma: Sigma
    norm: float
    share: float = math.nan
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Measurement:
    """Ln R under one convention, an estimate of its error, and the matrices by their use."""

    log_value: float
    error: float
    matrices: Mapping[int, Measured]


@dataclass
class _Item:
    """A matrix whose sigma is looked for, or has been; its weight is made anew for an iteration."""

    key: str
    map: Any
    weight: Callable[[], Tensor]
    norms: tuple[float, float]
    sigma: Sigma | None
    glimpse: float


def measure(
    graph: Graph,
    tensors: Mapping[str, Tensor],
    conventions: Sequence[Convention],
    sigma: Finder,
    *,
    reference: str = "paper",
    initial: Mapping[int, Tensor] | None = None,
    parameters: Sequence[Tensor] = (),
    bar: Bar | None = None,
) -> dict[str, Measurement]:
    """Ln R under each convention, from the weights as they are.

    Parameters
    ----------
    graph : Graph
        The data flow.
    tensors : mapping of str to Tensor
        Parameters and buffers by name.
    conventions : sequence of Convention
        What is called R.
    sigma : Cold or Warm
        How the largest singular values are found.
    reference : str
        M of eq. (2).
    initial : mapping of int to Tensor, optional
        For each use the weight to subtract.
    parameters : sequence of Tensor
        All of them, for norms of the parameters as one vector.
    bar : Bar, optional
        Told how far it has come, in multiplications.
    """
    result = {}
    by_operator = [c for c in conventions if isinstance(c, OperatorConvention)]
    if by_operator:
        items = [_of_use(use, tensors, reference, (initial or {}).get(index), sigma)
                 for index, use in enumerate(graph.uses)]  # fmt: skip

        def values_of(log_sigma: Array) -> list[float]:
            gains = graph.gains(log_sigma)
            return [c.log_value(logs([i.norms[c.sums] for i in items]), gains) for c in by_operator]

        found, errors = _find(items, sigma, values_of, bar)
        log_sigma = logs([s.value for s in found])
        gains = graph.gains(log_sigma)
        with np.errstate(invalid="ignore"):
            shares = np.exp(log_sigma + gains.before + gains.after - gains.total)
        for one, value, error in zip(by_operator, values_of(log_sigma), errors, strict=True):
            rows = {
                index: Measured(found[index], item.norms[one.sums], float(shares[index]))
                for index, item in enumerate(items)
            }
            result[one.name] = Measurement(value, error, rows)
    for convention in conventions:
        if isinstance(convention, MatrixConvention):
            result[convention.name] = _by_matrix(convention, graph, tensors, sigma, bar)
        elif isinstance(convention, ParameterConvention):
            result[convention.name] = Measurement(convention.log_value(parameters), 0.0, {})
    return {convention.name: result[convention.name] for convention in conventions}


def _by_matrix(
    convention: MatrixConvention,
    graph: Graph,
    tensors: Mapping[str, Tensor],
    sigma: Finder,
    bar: Bar | None,
) -> Measurement:
    """Ln R from the matrices of the list, as they are stored."""
    listed = convention.chosen(graph.uses)
    items = []
    for index in listed:
        use = graph.uses[index]

        def weight(use: Use = use) -> Tensor:
            return use.map.matrix(weight_of(use, tensors, raw=True))

        matrix = weight()
        norm = float(convention.norm_21(matrix))
        kind = Dense(tuple(matrix.shape))
        found, rough = _at_once(sigma, kind, matrix)
        key = f"{use.label}, {convention.name}"
        items.append(_Item(key, kind, weight, (norm, norm), found, rough))
    log_t = logs([item.norms[0] for item in items])

    def values_of(log_sigma: Array) -> list[float]:
        return [convention.log_value(log_sigma, log_t)]

    every, (error,) = _find(items, sigma, values_of, bar)
    (value,) = values_of(logs([s.value for s in every]))
    rows = {
        index: Measured(s, item.norms[0], shape=item.map.shape)
        for index, s, item in zip(listed, every, items, strict=True)
    }
    return Measurement(value, error, rows)


def _of_use(
    use: Use, tensors: Mapping[str, Tensor], reference: str, initial: Tensor | None, sigma: Finder
) -> _Item:
    """The true map of a use, with what is quick to know of it."""
    weight = weight_of(use, tensors)
    if use.kind == "identity":  # A = 1 and, unless M = 0, M = 1
        norms = (1.0, float(use.map.rows)) if reference == "zero" else (0.0, 0.0)
    else:
        rest = weight if initial is None else weight - initial.to(weight.device)
        average, total = use.map.norm_21(rest)
        norms = (float(average), float(total))
    found, rough = _at_once(sigma, use.map, weight)
    return _Item(use.label, use.map, lambda: weight_of(use, tensors), norms, found, rough)


def _at_once(sigma: Finder, linear_map: LinearMap, weight: Tensor) -> tuple[Sigma | None, float]:
    """Sigma where a matrix decides it; otherwise what a first look finds."""
    found = sigma.exact(linear_map, weight)
    return found, math.nan if found else sigma.glimpse(linear_map, weight)


def _find(
    items: Sequence[_Item],
    sigma: Finder,
    values_of: Callable[[Array], list[float]],
    bar: Bar | None,
) -> tuple[list[Sigma], list[float]]:
    """Sigma of all, and the error of ln R that they make, eq. (N16)."""
    left = [index for index, item in enumerate(items) if item.sigma is None]

    def slopes(values: list[float]) -> tuple[Array, Array]:
        """Ln R under each convention, and for each sigma that is left d ln R/d ln sigma."""
        log_sigma = logs(values)
        here = np.array(values_of(log_sigma))
        result = np.zeros((len(here), len(items)))
        for index in left:
            log_sigma[index] += STEP
            with np.errstate(invalid="ignore"):
                result[:, index] = (np.array(values_of(log_sigma)) - here) / STEP
            log_sigma[index] -= STEP
        return here, np.clip(np.nan_to_num(result, nan=1.0), 0.0, 1.0)

    def weigh(values: list[float]) -> Array:
        """The smallest |ln R|, then the largest slope of each sigma."""
        here, found = slopes(values)
        return np.concatenate([[np.abs(here).min()], found.max(axis=0)])

    if left:
        allowed = sigma.shares(items, weigh)
        costs = {index: float(math.prod(items[index].map.domain)) for index in left}
        if bar is not None:
            bar.update(0, total=sum(costs.values()))
        for index in left:
            item = items[index]
            item.sigma = sigma.iterated(item.key, item.map, item.weight(), float(allowed[index]))
            if bar is not None:
                bar.advance(costs[index])
    found = [item.sigma for item in items if item.sigma is not None]
    errors = np.array([s.error for s in found])
    if not errors.any():
        return found, [0.0] * len(values_of(logs([s.value for s in found])))
    _, result = slopes([s.value for s in found])
    return found, [float(row @ errors) for row in result]


def logs(values: Sequence[float]) -> Array:
    """Natural logarithms, -inf for zero."""
    with np.errstate(divide="ignore"):
        return np.log(np.array(values, dtype=np.float64))


def _scaled(weight: Tensor) -> tuple[float, Tensor]:
    """A factor and a weight whose fourth powers are single floats."""
    low, high = torch.aminmax(weight)
    largest = max(-float(low), float(high))
    if FINE[0] <= largest <= FINE[1]:
        return 1.0, weight
    return largest, weight / largest


def _cost(dense: Dense) -> float:
    """Multiplications of a Gram matrix and, some ten times its size cubed, its eigenvalues."""
    small, large = sorted(dense.shape[-2:])
    return math.prod(dense.shape[:-2]) * small**2 * (large + 10.0 * small)
