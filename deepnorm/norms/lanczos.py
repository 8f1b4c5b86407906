"""The largest singular value of an operator that is only known by what it does.

Lanczos's method on A^T A with full reorthogonalisation: the Ritz value approaches
sigma^2 from below, so it is a rigorous lower bound at any moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

__all__ = ["BELIEVED", "TOLERANCE", "Singular", "largest_singular_value", "random_vector"]

Array = NDArray[np.float64]

#: Relative error of sigma at which the iteration stops, by its own estimate: a choice. The
#: estimate was never more than ten times too small on the operators of the tests.
TOLERANCE = 1e-9
#: ||A^T A v - theta v|| / theta below which the estimate of the error is believed. The largest
#: singular values of a convolution lie close together, and until they are told apart the
#: estimate is too small: by a factor of 1000 (for an error of 4e-7) with 1e-3 to 1e-5 here.
BELIEVED = 1e-7
#: Steps before the basis is dropped and the best vector kept, and how many steps in all.
LONGEST, MOST_STEPS = 200, 4000
#: Dimensions in which orthogonality is always kept: it costs little, and the space may be
#: exhausted.
FEW = 2000
#: Convergence is looked at after so many steps: a look costs as much as a small product.
EVERY = 3
#: Part of A^T A below which a next vector is rounding.
ROUNDING = 1e-14
#: Numbers that the basis may hold (1.6 GB in double precision).
ROOM = 2e8


@dataclass(frozen=True)
class Singular:
    """What the iteration found.

    Attributes
    ----------
    value : float
        ||A v|| of the vector below: never above sigma, but for rounding.
    error : float
        Estimate of (sigma - value) / sigma.
    vector : Tensor
        v, of unit length and of the shape of the domain.
    steps : int
        Products with A^T A.
    converged : bool
        Whether the error is below what was asked for.
    """

    value: float
    error: float
    vector: Tensor
    steps: int
    converged: bool


def random_vector(shape: tuple[int, ...], like: Tensor, seed: int) -> Tensor:
    """A unit vector with a random direction, the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    vector = torch.randn(shape, generator=generator, dtype=torch.float64)
    return (vector / torch.linalg.vector_norm(vector)).to(like.device)


def largest_singular_value(
    apply: Callable[[Tensor], Tensor],
    adjoint: Callable[[Tensor], Tensor],
    start: Tensor,
    tolerance: float = TOLERANCE,
    *,
    careful: bool = True,
    believed: float = BELIEVED,
) -> Singular:
    """The largest singular value of A, from products with A and its transpose.

    With the Ritz pair (theta, y) of A^T A and r = ||A^T A y - theta y||, theta is off by at
    most r and, the second Ritz value theta_2 standing apart, by r^2/(theta - theta_2); the
    iteration stops when the smaller of the two, for sigma, is below ``tolerance``.

    Parameters
    ----------
    apply, adjoint : callable
        x to A x and y to A^T y, in double precision.
    start : Tensor
        Where to begin, of the shape of the domain; it must have a part along the answer.
    tolerance : float
        Relative error of the singular value.
    """
    shape, steps = start.shape, 0
    vector = start.reshape(-1)
    longest = int(min(LONGEST, max(8, ROOM // vector.numel())))
    while True:
        vector, error, done = _sweep(
            lambda x: adjoint(apply(x.view(shape))).reshape(-1),
            vector,
            longest,
            tolerance,
            careful or vector.numel() <= FEW,
            believed,
        )
        steps += done
        if error <= tolerance or steps >= MOST_STEPS:
            break
    image = apply(vector.view(shape))
    value = float(torch.linalg.vector_norm(image))
    return Singular(value, error, vector.view(shape), steps, error <= tolerance)


def _sweep(
    product: Callable[[Tensor], Tensor],
    start: Tensor,
    longest: int,
    tolerance: float,
    careful: bool,
    believed: float,
) -> tuple[Tensor, float, int]:
    """Lanczos from ``start`` until it converges or the basis is full: vector, error, steps."""
    longest = min(longest, start.numel())
    store = start.new_empty((min(16, longest), start.numel()))
    store[0] = start / torch.linalg.vector_norm(start)
    alpha: list[float] = []
    beta: list[float] = []
    weights, error = np.ones(1), np.inf
    for step in range(1, longest + 1):
        block = store[:step]
        new = product(block[-1])
        alpha.append(float(torch.dot(block[-1], new)))
        new -= alpha[-1] * block[-1]
        if step > 1:
            new -= beta[-1] * block[-2]
        if careful:
            new -= (block @ new) @ block
        beta.append(float(torch.linalg.vector_norm(new)))
        exhausted = step == start.numel() or beta[-1] <= ROUNDING * max(alpha)
        if step % EVERY and step > 1 and step < longest and not exhausted:
            store = _next(store, step, longest, new, beta[-1])
            continue
        values, vectors = _ritz(alpha, beta)
        theta, weights = values[-1], vectors[:, -1]
        if theta <= 0:  # A maps the start to zero: so does A every vector, but by accident
            return block[0], 0.0, step
        residual = beta[-1] * abs(weights[-1]) / theta
        gap = (theta - values[-2]) / theta if step > 1 else 0.0
        error = 0.5 * (min(residual, residual**2 / gap) if gap > 0 else residual)
        # An exhausted space (beta = 0) holds the answer, up to rounding.
        if exhausted or (error <= tolerance and residual <= believed):
            error = 0.0 if exhausted else error
            break
        store = _next(store, step, longest, new, beta[-1])
    coefficients = torch.as_tensor(weights, dtype=start.dtype, device=start.device)
    vector = coefficients @ store[: len(alpha)]
    return vector / torch.linalg.vector_norm(vector), float(error), len(alpha)


def _ritz(alpha: list[float], beta: list[float]) -> tuple[Array, Array]:
    """Eigenvalues, ascending, and eigenvectors of the tridiagonal matrix."""
    if len(alpha) == 1:
        return np.array(alpha, dtype=np.float64), np.ones((1, 1))
    values, vectors = eigh_tridiagonal(np.array(alpha), np.array(beta[:-1]))
    return np.asarray(values, dtype=np.float64), np.asarray(vectors, dtype=np.float64)


def _next(store: Tensor, step: int, longest: int, new: Tensor, length: float) -> Tensor:
    """The basis with one vector more, in a buffer that doubles when it is full."""
    if step < longest:
        if step == len(store):
            store = torch.cat([store, torch.empty_like(store)])[:longest]
        torch.mul(new, 1 / length, out=store[step])
    return store
