"""A convolution on a torus: a rigorous bound of sigma, and what speeds an iteration up.

On a torus that holds the image the Fourier transform leaves one small matrix for each frequency.
Only the normal matrix A A^T (or A^T A) is formed, from the autocorrelation of the kernel.
Equations (N...) are those of docs/norms.md.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["Axis", "Preconditioner", "Torus", "axis_of", "largest_eigenvalue", "rounded_up"]

#: Rounding of an eigenvalue of an n by n Gram matrix: n times this, relative.
ROUNDING = 4e-16
#: The bound of a convolution looks at no more frequencies than this along an axis; where
#: there are more, eq. (N9) pays for those in between (0.3% for 3 x 3 kernels): a choice.
FREQUENCIES = 40
#: Complex numbers held at once while frequencies are gone through (64 MB): a choice.
ROOM = 4_000_000
#: Steps of Lanczos's method that tell which frequencies may hold the maximum, and how many rows
#: of their matrices are looked at exactly before the others are proved to lie below: they decide
#: time alone.
LANCZOS_STEPS, EXACT = 12, 256
#: Part of the largest image that is rounding, in single precision.
NOTHING = 1e-4
#: How far above the torus' own maximum the preconditioner has its pole, relative: between 0.01
#: and 0.1 the number of steps differs by a fifth.
POLE = 0.04
#: Frequencies of a long axis that the preconditioner knows, those with the largest eigenvalues.
KNOWN = 2000


def rounded_up(value: float, size: int) -> float:
    """A bound that rounding in a computation of this size cannot have made too small."""
    return value * (1 + ROUNDING * max(size, 1))


def largest_eigenvalue(matrices: Tensor) -> float:
    """Of a batch of Hermitian matrices, the largest one of all."""
    return float(torch.linalg.eigvalsh(matrices)[..., -1].max())


@dataclass(frozen=True)
class Axis:
    """One axis of a torus on which the convolution fits, as its outputs see it.

    Attributes
    ----------
    length : int
        Outputs around the torus.
    lags : dict of int to int
        Distances of two taps that meet at one input, seen from two outputs: in taps, and in
        outputs.
    points : int
        Frequencies that the bound looks at: all ``length`` of them, or fewer.
    factor : float
        What that multiplies the bound by, and what copied coordinates do.
    holds : bool
        Whether the outputs are the first ones of the torus, in their order.
    """

    length: int
    lags: dict[int, int]
    points: int
    factor: float
    holds: bool


def axis_of(taps: Tensor, n: int, stride: int, dilation: int) -> Axis:
    """The smallest torus that holds one axis of a convolution, eq. (N7)."""
    places, k = taps.shape
    shifts = dilation * torch.arange(k)
    outputs = torch.arange(places)[:, None]
    hit = taps >= 0
    # What coordinate the first tap would have, were the axis endless.
    origin = (taps - stride * outputs - shifts)[hit]
    if len(origin) == 0 or bool((origin == origin[0]).all()):  # zeros around it, or nothing
        length = _smooth(-(-(n + dilation * (k - 1)) // stride))
        # No tap may reach the image from its other side, as it would with a wide padding.
        first = int(origin[0]) if len(origin) else 0
        around = (first + stride * outputs + shifts) % (length * stride) < n
        holds = places <= length and bool((around == hit).all())
        return _axis(k, length, stride, dilation, 1.0, holds=holds)
    wraps = bool(((origin - origin[0]) % n == 0).all()) and bool(hit.all())
    if wraps and stride * (places - 1) < n:  # padded by its own other end
        if n % stride == 0:
            return _axis(k, n // stride, stride, dilation, 1.0)
        return _axis(k, n, 1, dilation, 1.0, holds=False)
    # Otherwise: copy coordinates first, then convolve what is then simply longer. The copying
    # multiplies norms by at most the root of the number of copies.
    longer = stride * (places - 1) + dilation * (k - 1) + 1
    seen = torch.full((longer,), -1)
    seen[(stride * outputs + shifts).flatten()] = taps.flatten()
    copies = int(torch.bincount(seen[seen >= 0], minlength=1).max())
    size = longer + dilation * (k - 1)
    length = _smooth(-(-size // stride))
    return _axis(k, length, stride, dilation, math.sqrt(copies), holds=False)


def _axis(
    kernel: int, length: int, stride: int, dilation: int, factor: float, *, holds: bool = True
) -> Axis:
    lags = {
        tap: dilation * tap // stride
        for tap in range(1 - kernel, kernel)
        if dilation * tap % stride == 0
    }
    degree = math.ceil(dilation * (kernel - 1) // stride / 2)
    points = max(FREQUENCIES, 16 * degree)
    if length <= points:
        return Axis(length, lags, length, factor, holds)
    # |p| between the frequencies by eq. (N9), for a polynomial of this degree
    return Axis(length, lags, points, factor / math.cos(math.pi * degree / points), holds)


def _smooth(length: int) -> int:
    """The first number from here on that a fast Fourier transform likes."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1


@dataclass(frozen=True)
class Preconditioner:
    """T of eq. (N14), on a batch of vectors, and its pole mu."""

    apply: Callable[[Tensor], Tensor]
    pole: float


@dataclass(frozen=True)
class Spectrum:
    """Largest eigenvalues at some frequencies: the maximum, proved; estimates, and vectors."""

    largest: float
    values: Tensor  # (frequencies, groups)
    vectors: Tensor  # (frequencies, groups, side)


class Torus:
    """The normal matrix of one kernel at the frequencies of a torus.

    Parameters
    ----------
    kernel : Tensor
        (groups, out, in, taps...), in double precision.
    axes : sequence of Axis
        One for each axis of taps.
    inner : bool
        A^T A in place of A A^T; without stride alone, where the two see the same torus.
    """

    def __init__(self, kernel: Tensor, axes: Sequence[Axis], *, inner: bool):
        self.axes = tuple(axes)
        self.terms = math.prod(kernel.shape[1:])
        if inner:
            # (A^T A): out and in change places, and the taps are read backwards.
            kernel = kernel.transpose(1, 2).flip(list(range(3, kernel.dim())))
        self.groups, self.side = kernel.shape[:2]
        self._lags, self._parts = _autocorrelation(kernel, self.axes)

    def at(self, indices: Tensor, points: Sequence[int]) -> Tensor:
        """The matrices at so many frequencies: (frequencies, groups, side, side), Hermitian.

        ``indices`` counts along each axis the frequencies 2 pi j / points.
        """
        turns = torch.zeros((len(indices), len(self._lags)), dtype=torch.float64)
        for axis, count in enumerate(points):
            turns += (indices[:, axis, None] * self._lags[:, axis] % count).double() / count
        angles = (2 * math.pi * turns).to(self._parts.device)
        flat = self._parts.flatten(start_dim=1)
        half = torch.empty(
            (len(indices), self.groups, self.side, self.side), dtype=flat.dtype, device=flat.device
        )
        result = torch.empty_like(half, dtype=torch.complex128)
        torch.mm(angles.cos(), flat, out=half.view(len(indices), -1))
        torch.add(half, half.mT, out=result.real)
        torch.mm(angles.sin(), flat, out=half.view(len(indices), -1))
        torch.sub(half, half.mT, out=result.imag)
        return result

    @cached_property
    def _grid(self) -> tuple[list[int], Tensor]:
        """Frequencies of the bound; a real kernel is the same at opposite ones."""
        points = [axis.points for axis in self.axes]
        ends = [*points[:-1], points[-1] // 2 + 1]
        return points, torch.cartesian_prod(*map(torch.arange, ends)).view(-1, len(points))

    @cached_property
    def spectrum(self) -> Spectrum:
        """At the frequencies of the bound.

        Few can hold the maximum. Those that Lanczos's method leaves ahead are computed; that no
        other one is larger is proved by a Cholesky decomposition of the difference.
        """
        points, indices = self._grid
        few = max(1, EXACT // self.side)
        best, values, vectors = 0.0, [], []
        for matrices in self._pieces(indices, points):
            rough, vector = _lanczos(matrices.to(torch.complex64))
            values.append(rough)
            vectors.append(vector)
            rough = rough.amax(dim=1)
            left = torch.arange(len(rough), device=rough.device)
            look = best == 0 or float(rough.max()) > best
            while len(left):
                ahead = left[:0]
                if look:
                    ahead = left[rough[left].topk(min(few, len(left))).indices]
                    best = max(best, largest_eigenvalue(matrices[ahead]))
                below = -matrices[left]
                below.diagonal(dim1=-2, dim2=-1).add_(best * (1 + ROUNDING * self.side))
                beyond = (torch.linalg.cholesky_ex(below).info > 0).any(dim=1)
                # What is known is not above, whatever rounding made of the difference.
                left, look = left[beyond & ~torch.isin(left, ahead)], True
        return Spectrum(best, torch.cat(values), torch.cat(vectors))

    def _pieces(self, indices: Tensor, points: Sequence[int]) -> Iterator[Tensor]:
        """The matrices at some frequencies, as many at once as there is room for."""
        for part in indices.split(max(1, ROOM // (self.groups * self.side**2))):
            yield self.at(part, points)

    def upper(self) -> float:
        """A rigorous bound of sigma, eqs. (N7) to (N9)."""
        factor = math.prod(axis.factor for axis in self.axes)
        return rounded_up(factor * math.sqrt(self.spectrum.largest), 4 * self.terms)

    # ---------------------------------------------------------------------- the iteration

    @property
    def holds(self) -> bool:
        """Whether the map is a part of the torus, in its order."""
        return all(axis.holds for axis in self.axes)

    def share(self, shape: Sequence[int]) -> float:
        """Part of the torus that vectors (groups * side, image...) fill."""
        return math.prod(shape[1:]) / math.prod(axis.length for axis in self.axes)

    def preconditioner(self) -> Preconditioner:
        """T of eq. (N14) on vectors (batch, groups * side, image...).

        In single precision, which is enough for a direction.
        """
        found = self.spectrum
        top = found.largest
        pole = top * (1 + POLE)
        lengths = [axis.length for axis in self.axes]
        points, _ = self._grid
        half = [*lengths[:-1], lengths[-1] // 2 + 1]
        values, vectors, chosen = found.values, found.vectors, None
        if lengths != points:  # of a long axis: near the strongest of those that were looked at
            indices = torch.cartesian_prod(*map(torch.arange, half)).view(-1, len(lengths))
            ends = [*points[:-1], points[-1] // 2 + 1]
            place = torch.zeros(len(indices), dtype=torch.long)
            for axis, end in enumerate(ends):
                near = (indices[:, axis] * points[axis] / lengths[axis]).round().long()
                place = place * end + (near % points[axis]).clamp(max=end - 1)
            rough = found.values.amax(dim=1).cpu()[place]
            chosen = rough.topk(min(len(rough), KNOWN)).indices.sort().values
            pieces = self._pieces(indices[chosen], lengths)
            pairs = [_lanczos(matrices.to(torch.complex64)) for matrices in pieces]
            values, vectors = (torch.cat(part) for part in zip(*pairs, strict=True))
            chosen = chosen.to(vectors.device)
        values = values.clamp(max=top)
        # (groups, 1, frequencies) and (groups, side, frequencies)
        gain = (values / (pole - values)).mT[:, None].float()
        vectors = vectors.permute(1, 2, 0).contiguous()
        dims = list(range(2, 2 + len(lengths)))

        def precondition(x: Tensor) -> Tensor:
            waves = torch.fft.rfftn(x.to(torch.float32), s=lengths, dim=dims)
            flat = waves.view(len(x), self.groups, self.side, -1)
            seen = flat if chosen is None else flat[..., chosen]
            more = (seen * vectors.conj()).sum(dim=2, keepdim=True) * gain * vectors
            if chosen is None:
                flat += more
            else:
                flat.index_add_(3, chosen, more)
            back = torch.fft.irfftn(waves, s=lengths, dim=dims)
            return back[(..., *(slice(n) for n in x.shape[2:]))].to(x.dtype)

        return Preconditioner(precondition, pole)


def _lanczos(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """The largest eigenvalues of a batch, from below, and their vectors, by a few steps.

    On rows from the left: MKL takes four times as long for a matrix times one column. Ritz values
    of so few steps are below the eigenvalues but for the rounding of single precision.
    """
    side = matrices.shape[-1]
    generator = torch.Generator().manual_seed(0)
    start = torch.randn((1, side), generator=generator, dtype=torch.float64).to(matrices)
    row = _unit(start.expand(*matrices.shape[:-2], 1, side))
    basis, largest = [row], torch.zeros((), device=row.device)
    steps = min(LANCZOS_STEPS, side)
    inside = torch.zeros((*matrices.shape[:-2], steps, steps), dtype=torch.float64)
    for step in range(steps):
        image = row @ matrices
        largest = torch.maximum(largest, torch.linalg.vector_norm(image, dim=-1, keepdim=True))
        for place, known in list(enumerate(basis))[-2:]:
            cross = (image * known.conj()).sum(dim=-1, keepdim=True)
            image = image - cross * known
            inside[..., step, place] = cross[..., 0, 0].real.double().cpu()
        size = torch.linalg.vector_norm(image, dim=-1, keepdim=True)
        # What is left of an image that the vectors so far hold is rounding.
        row = torch.where(size > NOTHING * largest, _unit(image), 0)
        basis.append(row)
    values, weights = torch.linalg.eigh(inside)
    found = weights[..., -1:].mT.to(row) @ torch.cat(basis[:-1], dim=-2)
    return values[..., -1].to(matrices.device), _unit(found)[..., 0, :].conj()


def _unit(rows: Tensor) -> Tensor:
    """Rows of unit length; zeros stay."""
    tiny = torch.finfo(torch.float32).tiny
    return rows / torch.linalg.vector_norm(rows, dim=-1, keepdim=True).clamp(min=tiny)


def _autocorrelation(kernel: Tensor, axes: Sequence[Axis]) -> tuple[Tensor, Tensor]:
    """Lags in outputs, one of each pair of opposite ones, and the matrices that belong to them.

    R_q = sum over taps whose distance is that lag of W_tau W_tau'^T, eq. (N13); the matrix of
    lag zero is halved, since it is added to its transpose.
    """
    lags, parts = [], []
    zero = (0,) * len(axes)
    for taps in itertools.product(*(axis.lags for axis in axes)):
        if taps < zero:
            continue
        one, other = kernel, kernel
        for dim, (tap, size) in enumerate(zip(taps, kernel.shape[3:], strict=True), start=3):
            one = one.narrow(dim, max(tap, 0), size - abs(tap))
            other = other.narrow(dim, max(-tap, 0), size - abs(tap))
        matrix = one.flatten(start_dim=2) @ other.flatten(start_dim=2).mT
        lags.append([axis.lags[tap] for axis, tap in zip(axes, taps, strict=True)])
        parts.append(matrix / 2 if taps == zero else matrix)
    return torch.tensor(lags), torch.stack(parts)
