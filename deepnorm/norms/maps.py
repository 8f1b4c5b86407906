"""Linear maps of a network: what they do, and their norms, with the weight as an argument.

A map knows its geometry (sizes, stride, padding) and is built once; the weight changes as
the network trains. Everything is in double precision and stays on the weight's device.
Equations (N...) are those of docs/norms.md.
"""

from __future__ import annotations

import abc
import itertools
import math
from collections.abc import Sequence
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from deepnorm.norms.davidson import Normal
from deepnorm.norms.torus import Torus, axis_of, rounded_up

__all__ = ["Convolution", "Dense", "Diagonal", "LinearMap"]

CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
#: Rows of a matrix whose absolute values are held at once: a choice.
ROWS = 128
SPREAD = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def spectral_norm(matrices: Tensor) -> float:
    """The largest singular value among a batch of matrices, by their smaller Gram matrices."""
    if matrices.numel() == 0:
        return 0.0
    if matrices.shape[-1] < matrices.shape[-2]:
        matrices = matrices.mH
    # The largest eigenvalue of a Gram matrix is exact to rounding (the small ones are not).
    largest = torch.linalg.eigvalsh(matrices @ matrices.mH)[..., -1].max()
    return math.sqrt(max(float(largest), 0.0))


class LinearMap(abc.ABC):
    """A linear map whose weight is given with every call.

    Attributes
    ----------
    domain : tuple of int
        Shape of what it acts on, without the batch.
    rows : int
        Coordinates of its output: rows of the matrix that it is.
    channels : int
        Output channels, on which a batch norm that follows acts.
    """

    domain: tuple[int, ...]
    rows: int
    channels: int

    @abc.abstractmethod
    def row_norms(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Euclidean norms of the rows of A, and how many rows have each (broadcastable)."""

    @abc.abstractmethod
    def scaled(self, weight: Tensor, scale: Tensor) -> Tensor:
        """The weight of diag(scale) A, with one scale for each output channel."""

    @abc.abstractmethod
    def matrix(self, weight: Tensor) -> Tensor:
        """The weight as the matrix (out, in k k) that the authors' conventions speak of."""

    @abc.abstractmethod
    def upper(self, weight: Tensor) -> float:
        """A rigorous upper bound of sigma."""

    def core(self, weight: Tensor) -> tuple[LinearMap, Tensor]:
        """A smaller map with the same sigma, where there is one, and its weight."""
        return self, weight

    def exact(self, weight: Tensor) -> float | None:
        """Sigma to rounding, where a matrix decides it."""
        return None

    def normal(self) -> Normal:
        """A A^T or A^T A, the smaller one, for an iteration: where `exact` has no answer."""
        raise NotImplementedError(f"{type(self).__name__} has its sigma from a matrix")

    def torus(self, weight: Tensor) -> Torus | None:
        """The torus that the map is a part of, where there is one."""
        return None

    def norm_21(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Average and sum of the row norms: ||A^T||_{2,1}, eq. (N3)."""
        norms, counts = self.row_norms(weight)
        total = (norms * counts).sum()
        return total / self.rows, total


class Dense(LinearMap):
    """y = A x on the last axis, the same A at ``copies`` places.

    The weight is (out, in), or (blocks, out, in) for a block-diagonal matrix.
    """

    def __init__(self, shape: tuple[int, ...], copies: int = 1):
        self.shape, self.copies = tuple(shape), copies
        self.domain = (*shape[:-2], shape[-1])
        self.channels = math.prod(shape[:-1])
        self.rows = copies * self.channels

    def row_norms(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Norms of the rows, each of them `copies` times."""
        return torch.linalg.vector_norm(weight, dim=-1), weight.new_tensor(float(self.copies))

    def scaled(self, weight: Tensor, scale: Tensor) -> Tensor:
        """Rows times their scales."""
        return weight * scale.view(self.shape[:-1])[..., None]

    def matrix(self, weight: Tensor) -> Tensor:
        """The matrix; blocks are put below one another."""
        return weight.reshape(-1, self.shape[-1])

    def exact(self, weight: Tensor) -> float:
        """By the smaller Gram matrix."""
        return spectral_norm(weight)

    def normal(self) -> Normal:
        """On the shorter side."""
        *_, out, inputs = self.shape

        def forward(weight: Tensor, x: Tensor) -> Tensor:
            return _columns(weight, x)

        def back(weight: Tensor, x: Tensor) -> Tensor:
            return _columns(weight.mT, x)

        if out < inputs:
            return Normal((*self.shape[:-2], out), back, forward)
        return Normal(self.domain, forward, back)

    def upper(self, weight: Tensor) -> float:
        """The root of the largest row sum times the largest column sum."""
        # By rows: torch takes 25 times as long for the sum over the last axis but one.
        rows, columns = 0.0, weight.new_zeros(())
        for some in weight.split(ROWS, dim=-2):
            size = some.abs()
            rows = max(rows, float(size.sum(dim=-1).max()))
            columns = columns + size.sum(dim=-2)
        columns = columns.max()
        return rounded_up(math.sqrt(float(rows) * float(columns)), sum(self.shape[-2:]))


def _columns(matrices: Tensor, x: Tensor) -> Tensor:
    """Matrices (..., out, in) on a batch of vectors (batch, ..., in).

    As rows from the left: MKL takes 75 times as long for a transposed matrix times two columns.
    """
    return (x.movedim(0, -2) @ matrices.mT).movedim(-2, 0)


class Diagonal(LinearMap):
    """y = d x, elementwise, each entry of d at ``copies`` places; d may have any shape."""

    def __init__(self, size: int, copies: int = 1):
        self.copies = copies
        self.domain, self.channels = (size,), size
        self.rows = copies * size

    def row_norms(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Absolute values, each of them `copies` times."""
        return weight.abs().reshape(-1), weight.new_tensor(float(self.copies))

    def scaled(self, weight: Tensor, scale: Tensor) -> Tensor:
        """Entry by entry."""
        return weight.reshape(-1) * scale

    def matrix(self, weight: Tensor) -> Tensor:
        """The diagonal matrix."""
        return torch.diag(weight.reshape(-1))

    def exact(self, weight: Tensor) -> float:
        """The largest absolute value."""
        return float(weight.abs().max())

    def upper(self, weight: Tensor) -> float:
        """Sigma itself."""
        return self.exact(weight)


class Convolution(LinearMap):
    """A convolution with its padding, stride, dilation and groups; or its transpose.

    Along each axis, output i sees through tap a the input coordinate ``taps[i, a]``, or
    nothing (-1) where the tap lies in a padding of zeros. The table holds every kind of
    padding at once: ``pads`` names, for an axis that was padded before, the coordinate that
    each padded one is a copy of.

    Parameters
    ----------
    shape : tuple of int
        Of the weight: (out, in/groups, k...), or (in, out/groups, k...) if transposed.
    size : tuple of int
        Spatial size of the input; of the output, if transposed.
    stride, padding, dilation : sequences of int
        One an axis; padding is a pair (before, after).
    groups : int
        Blocks of channels that do not see one another.
    pads : sequence of tensors or None
        Indices of an earlier padding, -1 for zeros; None for none.
    transposed : bool
        Whether this is the transpose of the convolution described so far.
    image : tuple of int, optional
        Spatial size of the output (of the input, if transposed), where it is smaller than
        it could be: a transposed convolution may be padded by more than its stride.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        size: tuple[int, ...],
        *,
        stride: Sequence[int],
        padding: Sequence[tuple[int, int]],
        dilation: Sequence[int],
        groups: int = 1,
        pads: Sequence[Tensor] | None = None,
        transposed: bool = False,
        image: tuple[int, ...] | None = None,
    ):
        self.shape, self.size, self.groups = tuple(shape), tuple(size), groups
        self.stride, self.dilation = tuple(stride), tuple(dilation)
        self.transposed = transposed
        self.kernel, self.axes = tuple(shape[2:]), len(shape) - 2
        # The convolution itself, from `inputs` channels to `outputs`.
        self.outputs, self.inputs = shape[0], shape[1] * groups
        native = pads is None and all(left == right for left, right in padding)
        self.padding = tuple(left for left, _ in padding) if native else (0,) * self.axes
        #: For each axis the source of every padded coordinate, where torch does not pad.
        self.sources: tuple[Tensor, ...] | None = None
        sources = [
            F.pad(torch.arange(n) if pads is None else pads[axis].cpu(), padding[axis], value=-1)
            for axis, n in enumerate(size)
        ]
        if not native:
            self.sources = tuple(sources)
        self.taps = [
            _taps(source, k, s, d)
            for source, k, s, d in zip(
                sources, self.kernel, self.stride, self.dilation, strict=True
            )
        ]
        self.whole = tuple(len(taps) for taps in self.taps)
        if image is not None:
            self.taps = [taps[:n] for taps, n in zip(self.taps, image, strict=True)]
        self.image = tuple(len(taps) for taps in self.taps)
        padded = [n + 2 * p for n, p in zip(size, self.padding, strict=True)]
        if self.sources is not None:
            padded = [len(source) for source in self.sources]
        #: What a transposed convolution has to add at the end to reach the padded input.
        self.remainder = tuple(
            n - d * (k - 1) - 1 - (m - 1) * s
            for n, k, s, d, m in zip(
                padded, self.kernel, self.stride, self.dilation, self.image, strict=True
            )
        )
        domain, image = (self.inputs, *size), (self.outputs, *self.image)
        self.domain, self.codomain = (image, domain) if transposed else (domain, image)
        self.channels = self.codomain[0]
        self.rows = math.prod(self.codomain)

    # ------------------------------------------------------------------ what it does

    def _gather(self, weight: Tensor, x: Tensor) -> Tensor:
        """The convolution, of a batch."""
        if self.sources is not None:
            for axis, source in enumerate(self.sources, start=2):
                index = source.to(x.device)
                shown = (index >= 0).to(x.dtype).view(-1, *(1,) * (self.axes + 1 - axis))
                x = x.index_select(axis, index.clamp(min=0)) * shown
        y = CONVOLVE[self.axes](
            x, weight, None, self.stride, self.padding, self.dilation, self.groups
        )
        if self.image != self.whole:
            for axis, n in enumerate(self.image, start=2):
                y = y.narrow(axis, 0, n)
        return y

    def _spread(self, weight: Tensor, y: Tensor) -> Tensor:
        """Its transpose."""
        x = SPREAD[self.axes](
            y,
            weight,
            None,
            self.stride,
            self.padding,
            self.remainder,
            self.groups,
            self.dilation,
        )
        if self.sources is not None:
            for axis, source in enumerate(self.sources, start=2):
                index = source.to(x.device)
                shown = (index >= 0).to(x.dtype).view(-1, *(1,) * (self.axes + 1 - axis))
                shape = (*x.shape[:axis], self.size[axis - 2], *x.shape[axis + 1 :])
                x = x.new_zeros(shape).index_add_(axis, index.clamp(min=0), x * shown)
        return x

    # -------------------------------------------------------------------- (2,1) norms

    def row_norms(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Norms of the rows for every kind of output position, and how many there are.

        A row holds the taps that hit the input, eq. (N4); positions with the same taps have
        the same row, and a 3 x 3 kernel with padding 1 knows nine kinds.
        """
        patterns = [(table.to(weight.device), many.to(weight)) for table, many in self._patterns]
        counts = torch.ones((), dtype=weight.dtype, device=weight.device)
        for _, many in patterns:
            counts = counts[..., None] * many
        if self._collisions:
            # Taps that hit the same coordinate add up before they are squared.
            sums = weight
            for table, _ in patterns:
                sums = torch.tensordot(sums, table, dims=([2], [2]))
            # (out, in, kinds, taps, kinds, taps, ...): square, sum over in and taps
            taps = [1, *range(3, 3 + 2 * self.axes, 2)]
            return sums.square().sum(dim=taps).sqrt(), counts
        squares = weight.square()
        if self.transposed:
            split = squares.view(self.groups, -1, *squares.shape[1:])
            squares = split.sum(dim=1).reshape(-1, *self.kernel)
        else:
            squares = squares.sum(dim=1)
        for table, _ in patterns:
            squares = torch.tensordot(squares, table.to(weight.dtype), dims=([1], [1]))
        return squares.sqrt(), counts

    @cached_property
    def _collisions(self) -> bool:
        """Whether two taps of one output may see the same input."""
        return not self.transposed and any(_collide(taps) for taps in self.taps)

    @cached_property
    def _patterns(self) -> list[tuple[Tensor, Tensor]]:
        """For each axis the kinds of positions, as masks of taps, and how many there are.

        With collisions a kind is a matrix that adds each tap to the first one with the same
        coordinate.
        """
        result = []
        for taps, n in zip(self.taps, self.size, strict=True):
            k = taps.shape[1]
            if self.transposed:
                masks = torch.zeros((n, k), dtype=torch.bool)
                _, tap = torch.where(taps >= 0)
                masks[taps[taps >= 0], tap] = True
            elif self._collisions:
                same = (taps[:, :, None] == taps[:, None, :]) & (taps >= 0)[:, :, None]
                # the first of the taps that are equal to this one
                first = torch.where(same, torch.arange(k)[None, :, None], k).amin(dim=1)
                place = torch.arange(k)[None, :, None]
                masks = (first[:, None, :] == place) & (taps >= 0)[:, None, :]
            else:
                masks = taps >= 0
            kinds, counts = torch.unique(masks, dim=0, return_counts=True)
            result.append((kinds.to(torch.float64), counts.to(torch.float64)))
        return result

    def scaled(self, weight: Tensor, scale: Tensor) -> Tensor:
        """Output channels times their scales."""
        if not self.transposed:
            return weight * scale.view(-1, *(1,) * (self.axes + 1))
        split = weight.view(self.groups, -1, *weight.shape[1:])
        return (split * scale.view(self.groups, 1, -1, *(1,) * self.axes)).view(weight.shape)

    def matrix(self, weight: Tensor) -> Tensor:
        """The kernel reshaped to (out, in k k)."""
        if not self.transposed:
            return weight.flatten(start_dim=1)
        split = weight.view(self.groups, -1, *weight.shape[1:])
        return split.transpose(1, 2).reshape(self.channels, -1)

    # -------------------------------------------------------------------------- sigma

    @cached_property
    def _apart(self) -> bool:
        """Whether windows share no input and one of them is whole: the kernel is the map."""
        return all(
            len(torch.unique(taps[taps >= 0])) == int((taps >= 0).sum())
            and bool((taps >= 0).all(dim=1).any())
            for taps in self.taps
        )

    def core(self, weight: Tensor) -> tuple[LinearMap, Tensor]:
        """The reshaped kernel, where windows do not overlap (patches, 1 x 1)."""
        if not self._apart:
            return self, weight
        matrices = weight.reshape(self.groups, self.outputs // self.groups, -1)
        return Dense(tuple(matrices.shape)), matrices

    def exact(self, weight: Tensor) -> float | None:
        """The norm of the reshaped kernel, where windows do not overlap."""
        smaller, matrices = self.core(weight)
        return None if smaller is self else smaller.exact(matrices)

    @property
    def _inner(self) -> bool:
        """Whether A^T A of the convolution (not of its transpose) is looked at, not A A^T.

        With a stride the inputs fall into phases; the outputs never do.
        """
        return set(self.stride) == {1} and self.inputs < self.outputs

    def normal(self) -> Normal:
        """On the side with fewer channels or, with a stride, of the outputs."""
        if self._inner:
            return Normal((self.inputs, *self.size), self._gather, self._spread)
        return Normal((self.outputs, *self.image), self._spread, self._gather)

    def torus(self, weight: Tensor) -> Torus:
        """The convolution on the smallest torus that holds it, eq. (N7)."""
        axes = [
            axis_of(taps, n, s, d)
            for taps, n, s, d in zip(self.taps, self.size, self.stride, self.dilation, strict=True)
        ]
        kernel = weight.reshape(self.groups, -1, *self.shape[1:])
        return Torus(kernel, axes, inner=self._inner)

    def upper(self, weight: Tensor) -> float:
        """A bound from the convolution on a torus, eqs. (N7) to (N9)."""
        exact = self.exact(weight)
        if exact is not None:
            return rounded_up(exact, math.prod(self.shape[1:]))
        return self.torus(weight).upper()


def _taps(source: Tensor, kernel: int, stride: int, dilation: int) -> Tensor:
    """The input coordinate under each tap of each output along one axis, -1 for none."""
    places = (len(source) - dilation * (kernel - 1) - 1) // stride + 1
    index = stride * torch.arange(places)[:, None] + dilation * torch.arange(kernel)
    return source[index]


def _collide(taps: Tensor) -> bool:
    """Whether one output sees one input coordinate twice."""
    pairs = itertools.combinations(range(taps.shape[1]), 2)
    return any(bool(((taps[:, a] == taps[:, b]) & (taps[:, a] >= 0)).any()) for a, b in pairs)
