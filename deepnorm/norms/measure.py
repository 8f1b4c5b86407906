"""From weights to the norms of the maps: sigma with a bracket, and the (2,1) norm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from deepnorm.norms.graph import Use
from deepnorm.norms.lanczos import (
    BELIEVED,
    TOLERANCE,
    Singular,
    largest_singular_value,
    random_vector,
)
from deepnorm.norms.maps import Dense, Diagonal, LinearMap

__all__ = ["Sigma", "logs", "norm_21", "sigma_cold", "sigma_warm"]

#: Seed of the first vector of Lanczos's method; its direction decides nothing.
SEED = 1
#: The same for a tracked sigma, from a start that is nearly right. With 5e-6 in place of 1e-6 one
#: of 476 convolutions of ResNets was off by 2e-4 (and a tenth of a random vector, below).
WARM_TOLERANCE, WARM_BELIEVED = 1e-8, 1e-6
#: Part of a random vector in a warm start, so that a singular vector that has overtaken the old
#: one is found even where the old one has no part along it (groups, symmetries). In 4000 steps
#: of a small CNN on MNIST ln R was off by 4e-6 at most (1.3e-5 with 0.1, 2.3e-5 with 0.3), where
#: two singular values 1e-5 apart had crossed; 1 takes a fifth longer than 0.1.
FRESH = 1.0
#: Multiplications below which a Gram matrix is quicker than an iteration, and above which
#: (out^2 in) an exact sigma is not waited for, were it a minute.
SMALL, LARGE = 3e5, 3e11


@dataclass(frozen=True)
class Sigma:
    """The largest singular value of a map: an estimate between two bounds, and its method."""

    value: float
    lower: float
    upper: float
    method: str


def sigma_cold(linear_map: LinearMap, weight: Tensor) -> Sigma:
    """Sigma, from nothing: by a matrix where one decides it, else by Lanczos's method."""
    kind, core = linear_map.core(weight)
    if isinstance(kind, Diagonal) or (isinstance(kind, Dense) and _cost(kind) < LARGE):
        value = kind.exact(core)
        assert value is not None
        return Sigma(value, value, value, "exact")
    if not bool(core.any()):
        return Sigma(0.0, 0.0, 0.0, "exact")
    found = _lanczos(kind, core, random_vector(kind.domain, core, SEED), TOLERANCE, True, BELIEVED)
    method = f"lanczos, {found.steps} steps"
    if not found.converged:
        method += f", stopped at a relative error of about {found.error:.0e}"
    # Rounding may lift the last digit of a norm above the truth.
    lower = found.value * (1 - 1e-14)
    upper = _coarse(core) if isinstance(kind, Dense) else kind.upper(core)
    return Sigma(found.value, lower, max(upper, found.value), method)


def sigma_warm(
    linear_map: LinearMap, weight: Tensor, vector: Tensor | None, seed: int
) -> tuple[float, Tensor | None]:
    """Sigma and its right singular vector, begun from the vector of the last time."""
    kind, core = linear_map.core(weight)
    if isinstance(kind, Diagonal) or (isinstance(kind, Dense) and _cost(kind) < SMALL):
        value = kind.exact(core)
        assert value is not None
        return value, None
    if not bool(core.any()):
        return 0.0, vector
    start = random_vector(kind.domain, core, seed)
    if vector is not None:
        start = vector.to(core.device) + FRESH * start
    found = _lanczos(kind, core, start, WARM_TOLERANCE, False, WARM_BELIEVED)
    return found.value, found.vector


def norm_21(
    use: Use, weight: Tensor, reference: str, initial: Tensor | None
) -> tuple[float, float]:
    """Average and sum of the row norms of A - M."""
    if use.kind == "identity":  # A = 1 and, unless M = 0, M = 1
        return (1.0, float(use.map.rows)) if reference == "zero" else (0.0, 0.0)
    if initial is not None:
        weight = weight - initial.to(weight.device)
    average, total = use.map.norm_21(weight)
    return float(average), float(total)


def logs(values: list[float]) -> NDArray[np.float64]:
    """Natural logarithms, -inf for zero."""
    with np.errstate(divide="ignore"):
        return np.log(np.array(values, dtype=np.float64))


def _lanczos(
    kind: LinearMap,
    weight: Tensor,
    start: Tensor,
    tolerance: float,
    careful: bool,
    believed: float,
) -> Singular:
    return largest_singular_value(
        lambda x: kind.apply(weight, x),
        lambda y: kind.adjoint(weight, y),
        start,
        tolerance,
        careful=careful,
        believed=believed,
    )


def _cost(dense: Dense) -> float:
    """Multiplications of a Gram matrix and, some ten times its size cubed, its eigenvalues."""
    small, large = sorted(dense.shape[-2:])
    return math.prod(dense.shape[:-2]) * small**2 * (large + 10.0 * small)


def _coarse(matrix: Tensor) -> float:
    """The root of the largest row sum times the largest column sum: a bound of sigma."""
    size = matrix.abs()
    return math.sqrt(float(size.sum(dim=-1).max()) * float(size.sum(dim=-2).max()))
