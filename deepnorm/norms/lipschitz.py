"""Lipschitz constants of what a network does between its matrices.

All constants are with respect to Euclidean norms and are the best possible ones, unless the
line says "bound".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "SLOPES",
    "adaptive_average",
    "adaptive_overlap",
    "average",
    "interpolation",
    "operator_norm",
    "overlap",
    "sparse_norm",
]

#: A sparse matrix of more rows and columns is not made dense.
LARGE = 300

#: The steepest slope of activations without a parameter.
SLOPES = {
    **dict.fromkeys(
        (
            *("relu", "relu6", "tanh", "softsign", "logsigmoid", "log_sigmoid", "tanhshrink"),
            *("hardtanh", "softshrink", "abs", "absolute", "sin", "cos", "atan", "arctan"),
            *("asinh", "arcsinh", "neg", "negative"),
        ),
        1.0,
    ),
    "sigmoid": 1 / 4,
    "hardsigmoid": 1 / 6,
    "erf": 2 / math.sqrt(math.pi),
    "selu": 1.0507009873554805 * 1.6732632423543772,  # scale * alpha, just left of zero
    "silu": 1.0998393201288670,  # at x = 2.3994, where x tanh(x/2) = 2
    "mish": 1.0884981616478612,  # at x = 1.4906
    "hardswish": 1.5,  # at x = 3
}
#: At x = sqrt(2): Phi(x) + x phi(x). The tanh approximation is steepest at x = 1.4185.
GELU = {"none": 1.1289041451202666, "tanh": 1.1289930686587718}


def operator_norm(matrix: Tensor) -> float:
    """The largest singular value of a constant; of blocks, the largest of theirs."""
    matrix = matrix.detach()
    if matrix.layout != torch.strided:
        matrix = matrix.to_sparse_coo().coalesce().cpu()
        rows, columns = matrix.indices().numpy()
        return sparse_norm(matrix.values().double().numpy(), rows, columns, tuple(matrix.shape))
    if not matrix.numel():
        return 0.0
    kind = torch.complex128 if matrix.is_complex() else torch.float64
    return float(torch.linalg.matrix_norm(matrix.to(kind), 2).max())


def sparse_norm(values: Any, rows: Any, columns: Any, shape: tuple[int, ...]) -> float:
    """The same of a sparse matrix by its entries, of which those at one place add up."""
    matrix = scipy.sparse.csr_array((values, (rows, columns)), shape=(shape[0], shape[1]))
    if min(shape) <= LARGE:
        return float(np.linalg.norm(matrix.toarray(), 2)) if min(shape) else 0.0
    start = np.ones(min(shape))
    found = scipy.sparse.linalg.svds(matrix, k=1, v0=start, return_singular_vectors=False)
    return float(found[0])


def _windows(
    length: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int
) -> Tensor:
    """How many windows of a pooling see each coordinate, along one axis."""
    places = stride * torch.arange(outputs)[:, None] - padding + dilation * torch.arange(kernel)
    inside = places[(places >= 0) & (places < length)]
    return torch.bincount(inside, minlength=length)


def overlap(
    sizes: Sequence[int],
    outputs: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> float:
    """Of max pooling: the root of the number of windows that one input may be largest in."""
    axes = zip(sizes, outputs, kernel, stride, padding, dilation, strict=True)
    return math.sqrt(math.prod(int(_windows(*axis).max()) for axis in axes))


def _adaptive(length: int, outputs: int) -> Tensor:
    """The windows of an adaptive pooling along one axis, as rows of ones."""
    index, places = torch.arange(outputs), torch.arange(length)
    first = (index * length) // outputs
    last = -((-(index + 1) * length) // outputs)
    return ((places >= first[:, None]) & (places < last[:, None])).to(torch.float64)


def adaptive_overlap(sizes: Sequence[int], outputs: Sequence[int]) -> float:
    """Of adaptive max pooling."""
    counts = (_adaptive(n, m).sum(dim=0).max() for n, m in zip(sizes, outputs, strict=True))
    return math.sqrt(math.prod(float(count) for count in counts))


def adaptive_average(sizes: Sequence[int], outputs: Sequence[int]) -> float:
    """Of adaptive average pooling: the product of the norms along the axes."""
    return math.prod(
        _norm(_rows_averaged(_adaptive(*axis))) for axis in zip(sizes, outputs, strict=True)
    )


def average(
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
) -> float:
    """Of average pooling: an average over a rectangle is one along each axis in turn."""
    result = 1.0
    for n, k, s, p in zip(sizes, kernel, stride, padding, strict=True):
        identity = torch.eye(n, dtype=torch.float64)[:, None]
        result *= _norm(F.avg_pool1d(identity, k, s, p, ceil_mode, count_include_pad)[:, 0])
    return result


def interpolation(
    sizes: Sequence[int],
    outputs: Sequence[int],
    scales: Sequence[float] | None,
    align: bool | None,
) -> float:
    """Of linear interpolation, which is one along each axis in turn."""
    result = 1.0
    for axis, (n, m) in enumerate(zip(sizes, outputs, strict=True)):
        identity = torch.eye(n, dtype=torch.float64)[:, None]
        size, scale = (m, None) if scales is None else (None, scales[axis])
        lines = F.interpolate(identity, size, scale, mode="linear", align_corners=align)
        result *= _norm(lines[:, 0])
    return result


def _rows_averaged(windows: Tensor) -> Tensor:
    return windows / windows.sum(dim=1, keepdim=True)


def _norm(matrix: Tensor) -> float:
    return float(torch.linalg.matrix_norm(matrix, 2))
