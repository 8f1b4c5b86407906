"""The largest singular value of an operator that is only known by what it does.

Davidson's method in blocks of two on the normal operator B = A A^T or A^T A: in a growing space
the Ritz values approach the eigenvalues from below, so that the largest is a rigorous lower bound
at any moment; the residuals, preconditioned where something is known of B, are what the space
grows by. Without a preconditioner it is the block Lanczos method with all orthogonalities kept.
Equations (N...) are those of docs/norms.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepnorm.norms.torus import Preconditioner

__all__ = ["BLOCK", "Normal", "Singular", "largest_singular_value", "random_vectors"]

Array = NDArray[np.float64]

#: Vectors that the space grows by in a step. A real kernel treats a wave and its mirror image
#: alike, so that the largest singular values come in pairs that lie close together: one vector
#: alone stops at whichever it meets, for as long as they cannot be told apart.
BLOCK = 2
#: Up to so many dimensions B is written out and diagonalised, by one product with a batch: a space
#: that small is exhausted before an estimate means anything.
WHOLE = 256
#: A larger tolerance is read as this one: from two or three vectors there is no estimate.
COARSEST = 1e-3
#: Vectors in the space, and bytes of it and its image, before a third of it is kept (a thick
#: restart, K. Wu and H. Simon 2000), and products in all.
LONGEST, ROOM, MOST_STEPS = 60, 240_000_000, 6000
#: In single precision the space is good for residuals down to this part of theta, as rounding
#: leaves some 1e-6; the rest is done in double precision.
SINGLE = 2e-6
#: Steps in which the residual must have halved, or single precision is left: some machines
#: have less of it than they say (TF32, bfloat16). A residual above NEAR may stand still for some 50
#: while a vector that was overtaken leaves; one below it is that of rounding.
PATIENCE, IMPATIENCE, NEAR = 120, 20, 1e-4
#: How many times larger the error may be than eq. (N15) says, since Ritz values make the gaps too
#: wide. With 1, three of 400 singular values of random and of smooth kernels were further off than
#: they said, by a tenth at most; with 2, none.
CAUTION = 2.0
#: The residual, in parts of the tolerance, above which no estimate is believed: a vector that has
#: a part along the largest singular vector, and along one that is hardly smaller, has a small
#: residual. With 1000, two of 576 singular values of random and of smooth kernels were further
#: off than they said, by a factor of two; with 200, none.
BELIEVED = 200.0
#: Part of a new vector that is left by the space below which it is rounding.
DEPENDENT = 1e-3
#: What is left of the square of a new vector's length, above which single precision gains nothing
#: from a second time: what the first one leaves is then some 1e-6.
CLEAN = 1e-2


@dataclass(frozen=True)
class Normal:
    """The normal operator: B x = back(out(x)) for x of ``shape``, in a batch.

    Attributes
    ----------
    shape : tuple of int
        Of one vector.
    out, back : callable
        From the weight and a batch of vectors to their images under A (or its transpose), and
        back by the transpose of the same.
    """

    shape: tuple[int, ...]
    out: Callable[[Tensor, Tensor], Tensor]
    back: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Singular:
    """What the iteration found.

    Attributes
    ----------
    value : float
        ||A v|| of the first vector: never above sigma, but for rounding.
    error : float
        Estimate of (sigma - value) / sigma.
    vectors : Tensor
        The vectors of the largest singular values, orthonormal, (2, *shape) or fewer.
    steps : int
        Products with B.
    converged : bool
        Whether the error is below what was asked for.
    """

    value: float
    error: float
    vectors: Tensor
    steps: int
    converged: bool


def random_vectors(count: int, shape: tuple[int, ...], like: Tensor, seed: int) -> Tensor:
    """Vectors with random directions, the same ones on every device, of about unit length."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn((count, *shape), generator=generator, dtype=torch.float64)
    return (vectors / max(vectors[0].numel(), 1) ** 0.5).to(like.device)


def largest_singular_value(
    normal: Normal,
    weight: Tensor,
    start: Tensor,
    tolerance: float,
    preconditioner: Preconditioner | None = None,
) -> Singular:
    """The largest singular value, from products with A and its transpose.

    The iteration stops when the estimate of eq. (N15), for sigma, is below ``tolerance`` and the
    residual is not much larger. On a processor it begins in single precision; what is returned was
    computed in double precision.

    Parameters
    ----------
    normal : Normal
        What the operator does.
    weight : Tensor
        Its weight in double precision, the largest entry about one.
    start : Tensor
        Vectors to begin with, (count, *shape); together they must have a part along the answer.
    tolerance : float
        Relative error of the singular value; at most 1e-3 is asked for.
    preconditioner : Preconditioner, optional
        What is known of B.
    """
    space, steps, tolerance = start.reshape(len(start), -1), 0, min(tolerance, COARSEST)
    if space.shape[1] <= WHOLE:
        whole = _Search(normal, weight, None)
        vectors, _, value = whole.check(torch.eye(space.shape[1], dtype=space.dtype).to(space))
        return Singular(value, 0.0, vectors[:BLOCK].view(-1, *normal.shape), len(vectors), True)
    if weight.device.type == "cpu":
        search = _Search(normal, weight.float(), preconditioner)
        space, error, enough = search.run(space.float(), tolerance, SINGLE)
        space, steps = space.double(), search.steps
        if enough:  # looked at once more, in double precision
            vectors = torch.linalg.qr(space[:BLOCK].mT).Q.mT.contiguous()
            search = _Search(normal, weight, preconditioner, search.gaps)
            vectors, error, value = search.check(vectors)
            if error <= tolerance:
                steps += len(vectors)
                return Singular(value, error, vectors.view(-1, *normal.shape), steps, True)
    search = _Search(normal, weight, preconditioner)
    search.steps = steps
    space, error, enough = search.run(space, tolerance, 0.0)
    vectors = space[:BLOCK]
    value = float(torch.linalg.vector_norm(normal.out(weight, vectors[:1].view(1, *normal.shape))))
    return Singular(value, error, vectors.view(-1, *normal.shape), search.steps, enough)


class _Search:
    """The space, its image under B, and B within it; in the precision of the weight."""

    def __init__(
        self,
        normal: Normal,
        weight: Tensor,
        preconditioner: Preconditioner | None,
        gaps: tuple[float, ...] = (),
    ):
        self.normal, self.weight, self.preconditioner = normal, weight, preconditioner
        #: (theta_1 - theta_k)/theta_1 of the next Ritz values.
        self.gaps = gaps
        self.steps = 0

    def check(self, space: Tensor) -> tuple[Tensor, float, float]:
        """Ritz vectors of a space found elsewhere, the estimated error of sigma, and its value."""
        image = self._product(space)
        inside = (space @ image.mT).cpu().numpy()
        values, weights = np.linalg.eigh((inside + inside.T) / 2)
        turn = space.new_tensor(weights.T[::-1].copy())
        ritz, thetas = turn @ space, space.new_tensor(values[::-1].copy())
        residual = turn @ image - thetas[:, None] * ritz
        error, _ = self._error(float(thetas[0]), residual) if values[-1] > 0 else (0.0, 0.0)
        return ritz, error, max(float(thetas[0]), 0.0) ** 0.5

    def run(self, space: Tensor, tolerance: float, floor: float) -> tuple[Tensor, float, bool]:
        """Best vectors of the last space, the estimated error of sigma, whether it is enough.

        It ends as well where the residual is below ``floor``, or does not get there.
        """
        size = space.shape[1]
        longest = int(min(LONGEST, max(4 * BLOCK, ROOM // (2 * size * space.element_size())), size))
        basis, image = (space.new_empty((min(20, longest), size)) for _ in range(2))
        inside = np.zeros((longest, longest))
        count, least, since = 0, np.inf, 0
        while True:
            new = _orthonormal(space, basis[:count])[: longest - count]
            if len(new):
                end = count + len(new)
                if end > len(basis):
                    more = min(2 * end, longest)
                    basis, image = (_longer(old, more) for old in (basis, image))
                basis[count:end] = new
                image[count:end] = self._product(new)
                self.steps += len(new)
                cross = (basis[:end] @ image[count:end].mT).double().cpu().numpy()
                inside[:end, count:end] = cross
                inside[count:end, :end] = cross.T
                inside[count:end, count:end] = (cross[count:] + cross[count:].T) / 2
                count = end
            values, weights = np.linalg.eigh(inside[:count, :count])
            values, weights = values[::-1].copy(), weights[:, ::-1].copy()
            block = min(BLOCK, count)
            if values[0] <= 0:  # only zeros were met
                return basis[:block], 0.0, True
            turn = basis.new_tensor(weights[:, :block].T)
            ritz = turn @ basis[:count]
            residual = turn @ image[:count] - basis.new_tensor(values[:block])[:, None] * ritz
            exhausted = len(new) == 0 or count == size
            self.gaps = tuple((values[0] - values[1 : BLOCK + 1]) / values[0])
            error, size_of_residual = self._error(values[0], residual)
            if exhausted:
                error = 0.0
            if size_of_residual < least / 2:
                least, since = size_of_residual, self.steps
            enough = error <= tolerance
            patience = PATIENCE if least > NEAR else IMPATIENCE
            stuck = size_of_residual <= floor or (floor and self.steps - since > patience)
            if enough or stuck or self.steps >= MOST_STEPS:
                keep = 1 if exhausted else min(4 * BLOCK, count)
                return basis.new_tensor(weights[:, :keep].T) @ basis[:count], error, enough
            if count + BLOCK > longest:
                keep = max(longest // 3, BLOCK + 1)
                turn = basis.new_tensor(weights[:, :keep].T)
                basis[:keep], image[:keep] = turn @ basis[:count], turn @ image[:count]
                inside[:] = 0.0
                inside[range(keep), range(keep)] = values[:keep]
                count = keep
            space = self._next(residual)

    def _product(self, vectors: Tensor) -> Tensor:
        """B on a batch of flat vectors."""
        vectors = vectors.view(-1, *self.normal.shape)
        out = self.normal.back(self.weight, self.normal.out(self.weight, vectors))
        return out.reshape(len(vectors), -1)

    def _next(self, residual: Tensor) -> Tensor:
        """What the space grows by."""
        if self.preconditioner is None:
            return residual
        out = self.preconditioner.apply(residual.view(-1, *self.normal.shape))
        return out.reshape(residual.shape)

    def _error(self, theta: float, residual: Tensor) -> tuple[float, float]:
        """Estimate of the relative error of sigma, eq. (N15); and the first residual over theta."""
        residual = residual.double()
        gram = (residual @ residual.mT).cpu().numpy() / theta**2
        first = float(np.sqrt(gram[0, 0]))
        candidates = [first]
        below = np.array([0.0, *self.gaps])  # (theta_1 - theta_k)/theta_1
        for k, gap in enumerate(self.gaps, start=1):
            if gap > 0:
                lifted = gram[:k, :k] / gap - np.diag(below[:k])
                candidates.append(CAUTION * np.linalg.eigvalsh(lifted)[-1])
        return 0.5 * float(max(min(candidates), first / BELIEVED)), first


def _longer(old: Tensor, rows: int) -> Tensor:
    """The same with room for more rows."""
    new = old.new_empty((rows, old.shape[1]))
    new[: len(old)] = old
    return new


def _orthonormal(vectors: Tensor, basis: Tensor) -> Tensor:
    """An orthonormal basis of what vectors add to a space; what is rounding is left out."""
    before = float(torch.linalg.vector_norm(vectors, dim=1).max()) ** 2 if len(vectors) else 0.0
    for _ in range(2):  # twice is enough (B. Parlett, The Symmetric Eigenvalue Problem, 6.9)
        if len(basis):
            vectors = torch.addmm(vectors, vectors @ basis.mT, basis, alpha=-1)
        # Of few vectors: the root of the inverse of their Gram matrix, without what is small.
        gram = (vectors @ vectors.mT).double().cpu().numpy()
        size = np.sqrt(gram.diagonal())
        size[size == 0] = 1.0
        squares, turn = np.linalg.eigh(gram / size / size[:, None])
        kept = squares > DEPENDENT**2
        clean = vectors.dtype == torch.float32 and bool((squares * size**2 > CLEAN * before).all())
        vectors = vectors.new_tensor((turn[:, kept] / squares[kept] ** 0.5).T / size) @ vectors
        if clean:
            break
    return vectors
