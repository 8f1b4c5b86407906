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
#: Vectors in the basis before a third of the space is kept (a thick restart, K. Wu and H. Simon
#: 2000), and how many steps in all.
LONGEST, MOST_STEPS = 200, 4000
#: Dimensions in which orthogonality is always kept: it costs little, and the space may be
#: exhausted.
FEW = 2000
#: Convergence is looked at after so many steps: a look costs as much as a small product, and
#: more once the projected matrix is no longer tridiagonal.
EVERY, SELDOM = 3, 30
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
    shape, size = start.shape, start.numel()
    longest = int(min(LONGEST, max(8, ROOM // size), size))
    careful = careful or size <= FEW
    basis = start.new_empty((min(16, longest), size))
    basis[0] = start.reshape(-1) / torch.linalg.vector_norm(start)
    projected = np.zeros((longest, longest))  # A^T A in the basis
    last, kept, steps, error = 0, 0, 0, np.inf
    weights, found = np.ones(1), False
    while True:
        block = basis[: last + 1]
        new = adjoint(apply(block[last].view(shape))).reshape(-1)
        steps += 1
        projected[last, last] = alpha = float(torch.dot(block[last], new))
        new = new - alpha * block[last]
        if last > kept:
            new -= projected[last, last - 1] * block[last - 1]
        if careful or kept:
            new -= (block @ new) @ block
        beta = float(torch.linalg.vector_norm(new))
        # An exhausted space (beta = 0) holds the answer, up to rounding.
        exhausted = last + 1 == size or beta <= ROUNDING * projected.diagonal().max()
        full = last + 1 == longest
        if (
            exhausted
            or full
            or steps == MOST_STEPS
            or steps % (SELDOM if kept else EVERY) == 0
            or last == 0
        ):
            values, vectors = _ritz(projected[: last + 1, : last + 1], tridiagonal=not kept)
            theta, weights = values[-1], vectors[:, -1]
            if theta <= 0:  # only zeros were met
                return Singular(0.0, 0.0, basis[0].view(shape), steps, True)
            residual = beta * abs(weights[-1]) / theta
            gap = (theta - values[-2]) / theta if last else 0.0
            error = 0.5 * (min(residual, residual**2 / gap) if gap > 0 else residual)
            found = exhausted or (error <= tolerance and residual <= believed)
            if found or steps == MOST_STEPS:
                break
            if full:
                # Go on from the best part of the space, all of it orthogonal to the next vector.
                kept = max(longest // 3, 1)
                basis[:kept] = block.new_tensor(vectors[:, -kept:].T.copy()) @ block
                basis[kept] = new / beta
                projected[:] = 0.0
                projected[range(kept), range(kept)] = values[-kept:]
                projected[kept, :kept] = projected[:kept, kept] = beta * vectors[-1, -kept:]
                last = kept
                continue
        last += 1
        if last == len(basis):
            basis = torch.cat([basis, torch.empty_like(basis)])[:longest]
        torch.mul(new, 1 / beta, out=basis[last])
        projected[last, last - 1] = projected[last - 1, last] = beta
    vector = block.new_tensor(weights.copy()) @ block
    vector = (vector / torch.linalg.vector_norm(vector)).view(shape)
    value = float(torch.linalg.vector_norm(apply(vector)))
    return Singular(value, 0.0 if exhausted else float(error), vector, steps, bool(found))


def _ritz(projected: Array, *, tridiagonal: bool) -> tuple[Array, Array]:
    """Eigenvalues, ascending, and eigenvectors in the basis."""
    if tridiagonal and len(projected) > 1:
        values, vectors = eigh_tridiagonal(projected.diagonal(), projected.diagonal(1))
    else:
        values, vectors = np.linalg.eigh(projected)
    return np.asarray(values, dtype=np.float64), np.asarray(vectors, dtype=np.float64)
