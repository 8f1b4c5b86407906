"""Products with matrices."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from deepnorm.norms import patterns
from deepnorm.norms.calls import Call, tensors_in
from deepnorm.norms.maps import Dense
from deepnorm.norms.rules.products import product
from deepnorm.norms.rules.registry import rule

__all__: list[str] = []


def _rows(weight: Tensor) -> Tensor:
    """A weight of one axis as a matrix of one row."""
    return weight if weight.dim() == 2 else weight.reshape(1, -1)


@rule("linear")
def linear(call: Call) -> None:
    """X W^T + b."""
    data, weight, bias = call["input"], call["weight"], call["bias"]
    call.bias(bias)
    if call.node(weight) is not None:
        operands = [t for t in (data, weight) if call.node(t) is not None]
        if len(operands) > 1:
            of_two(call, data, weight, "linear with a computed weight")
        else:
            call.unknown("its weight depends on the input and what it acts on does not")
    elif call.node(bias) is not None:
        call.unknown("its bias depends on the input")
    else:
        copies = call.result.numel() // max(_rows(weight).shape[0], 1)
        call.dense(data, weight, copies=copies, reads=None if weight.dim() == 2 else _rows)


def of_two(call: Call, first: Tensor, second: Tensor, what: str, scale: float = 1.0) -> None:
    """A product of two matrices that depend on the input."""
    local = [abs(scale) * _size(second), abs(scale) * _size(first)]
    factors = [abs(scale), 1.0]
    product(call, [first, second], what, factors=factors, local=local)


def _size(matrix: Tensor) -> float:
    """A bound of the largest singular value of blocks, from their entries."""
    matrix = matrix.detach().double()
    if matrix.dim() < 2 or not matrix.numel():
        return float(torch.linalg.vector_norm(matrix))
    squares = float(matrix.square().sum((-2, -1)).max())
    size = matrix.abs()
    sums = float((size.sum(-1).amax(-1) * size.sum(-2).amax(-1)).max())
    return math.sqrt(min(squares, sums))


@rule("matmul", "mm", "bmm", "mv", "dot", "inner", "vdot", "linalg_matmul", "_sparse_mm")
def matmul(call: Call) -> None:
    """A product with a matrix on either side, or of two tensors that depend on the input."""
    first, second = list(tensors_in(call.arguments))[:2]
    if len(call.data) > 1:
        of_two(call, first, second, "matmul")
        return
    left = call.node(second) is not None  # the matrix stands on the left
    weight, data = (first, second) if left else (second, first)
    transposed = not left and call.name != "inner"

    def reads(tensor: Tensor) -> Tensor:
        if tensor.dim() == 1:
            return tensor.reshape(1, -1)
        tensor = tensor.mT if transposed else tensor
        return tensor if tensor.dim() == 2 else tensor.reshape(-1, *tensor.shape[-2:])

    shape = tuple(reads(weight).shape)
    copies = max(call.result.numel() // max(math.prod(shape[:-1]), 1), 1)
    if left or weight.dim() != 2:
        _blocks(call, data, weight, shape, copies, reads)
    else:
        call.dense(data, weight, copies=copies, reads=reads)


def _blocks(
    call: Call, data: Tensor, weight: Tensor, shape: tuple[int, ...], copies: int, reads: Any
) -> None:
    """A matrix on the left, or one for each block; copies of the data were made for either."""
    spread = 1.0
    if weight.dim() > 2 and data.dim() <= weight.dim():
        # Blocks that act on the same data: each sees a copy of it.
        have = data.shape[:-2] if data.dim() > 1 else ()
        full = torch.broadcast_shapes(have, weight.shape[:-2])
        spread = math.sqrt(math.prod(full) / max(math.prod(have), 1))
    operand: Any = call.through(data, spread, tag="copies") if spread != 1 else data
    if call.tracer.trained(weight):
        call.layer(operand, "dense", Dense(shape, copies), weight, reads=reads)
    else:
        call.through(operand, call.constant_norm(weight, reads(weight)))


@rule("addmm", "addmv", "addbmm", "baddbmm")
def addmm(call: Call) -> None:
    """Beta bias + alpha x W."""
    names = {
        "addmm": ("mat1", "mat2"),
        "addmv": ("mat", "vec"),
        "addbmm": ("batch1", "batch2"),
        "baddbmm": ("batch1", "batch2"),
    }
    first, second = (call[name] for name in names[call.name])
    bias, alpha, beta = call["self"], float(call["alpha"]), float(call["beta"])
    if call.name == "addbmm":
        call.unknown()
        return
    call.bias(bias)
    shifted = call.node(bias) is not None and beta != 0
    if call.node(first) is not None and call.node(second) is not None:
        of_two(call, first, second, call.name, alpha)
    elif call.node(first) is None and call.node(second) is None:
        call.through(bias, abs(beta) * math.sqrt(call.result.numel() / bias.numel()))
        return
    else:
        left = call.node(second) is not None
        weight, data = (first, second) if left else (second, first)

        def reads(tensor: Tensor) -> Tensor:
            if tensor.dim() == 1:
                return alpha * tensor.reshape(1, -1)
            return alpha * (tensor if left else tensor.mT)

        shape = tuple(reads(weight).shape)
        copies = max(call.result.numel() // max(math.prod(shape[:-1]), 1), 1)
        if left or weight.dim() != 2:
            _blocks(call, data, weight, shape, copies, reads)
        else:
            call.dense(data, weight, copies=copies, reads=reads)
    if shifted:
        spread = abs(beta) * math.sqrt(call.result.numel() / bias.numel())
        call.emit("add", [call.emitted[-1], bias], [1.0, spread])


@rule("_grouped_mm")
def experts(call: Call) -> None:
    """Rows in groups, each with a matrix of its own: which is a choice, and varies by jumps."""
    data, weight = call["self"], call["mat2"]
    if call.node(data) is None or data.dim() != 2 or weight.dim() != 3:
        call.unknown("only rows that depend on the input and a matrix for each group are known")
        return
    call.bias(call["bias"])
    shape = (len(weight), weight.shape[2], weight.shape[1])
    kind = Dense(shape, max(len(call.result) // len(weight), 1))
    call.layer(data, "dense", kind, weight, reads=lambda tensor: tensor.mT)


@rule("einsum")
def einsum(call: Call) -> None:
    """Data and a matrix whose letters are either summed, kept, or new in the result."""
    equation, operands = call["equation"], list(call["tensors"])
    if len(operands) != 2 or "." in equation:
        call.unknown("only two operands in letters are known")
        return
    if len(call.data) > 1:
        local = [float(torch.linalg.vector_norm(t.detach().double())) for t in operands[::-1]]
        product(call, operands, "einsum", local=local)
        return
    terms, _, result = equation.replace(" ", "").partition("->")
    letters = terms.split(",")
    right = call.node(operands[0]) is not None
    weight = operands[1] if right else operands[0]
    data = operands[0] if right else operands[1]
    own, other = (letters[1], letters[0]) if right else (letters[0], letters[1])
    if not result or len(set(own)) < len(own) or len(set(other)) < len(other):
        call.unknown("a repeated letter, or no result in letters")
        return
    blocks = [c for c in own if c in other and c in result]
    summed = [c for c in own if c in other and c not in result]
    new = [c for c in own if c not in other and c in result]
    if len(blocks) + len(summed) + len(new) < len(own):
        call.unknown("the matrix has a letter that stands nowhere else")
        return
    lost = math.prod(data.shape[other.index(c)] for c in other if c not in result and c not in own)
    order = [own.index(c) for c in (*blocks, *new, *summed)]
    sizes = {c: weight.shape[own.index(c)] for c in own}
    shape = tuple(math.prod(sizes[c] for c in group) for group in (blocks, new, summed))
    shape = shape if blocks else shape[1:]
    copies = max(call.result.numel() // math.prod(shape[:-1]), 1)
    operand: Any = call.through(data, math.sqrt(lost)) if lost > 1 else data

    def reads(tensor: Tensor) -> Tensor:
        return tensor.permute(order).reshape(shape)

    if not call.tracer.trained(weight):
        call.through(operand, call.constant_norm(weight, reads(weight)))
    else:
        call.layer(operand, "dense", Dense(shape, copies), weight, reads=reads)


@rule("scatter_add", "index_add", "scatter_reduce", "index_reduce")
def gathered(call: Call) -> None:
    """Entries put together by an index: groups that share none, each a sum, a mean, a largest.

    Rows that another index has taken before are a propagation matrix.
    """
    if call.node(call["index"]) is not None:
        call.unknown("its index depends on the input")
        return
    if patterns.attended(call) or patterns.propagated(call):
        return
    target, index = call["self"], call["index"]
    source = call.get("src", call.get("source"))
    counts = torch.zeros(target.shape, dtype=torch.float64)
    ones = torch.ones(source.shape, dtype=torch.float64)
    if call.name.startswith("index"):
        counts.index_add_(call["dim"], index.cpu(), ones)
    else:
        counts.scatter_add_(call["dim"], index.cpu(), ones)
    reduce = call.get("reduce", "sum")
    own = bool(call.get("include_self", True))
    # A largest of a group moves by no more than the group.
    factors = [1.0, 1.0]
    if reduce == "sum":
        factors[1] = abs(float(call.get("alpha", 1))) * math.sqrt(float(counts.max()))
    elif reduce == "mean":
        factors[1] = float((counts.sqrt() / (counts + own).clamp(min=1)).max())
    elif reduce not in ("amax", "amin"):
        call.unknown(f"its `reduce` is {reduce}")
        return
    pairs = [(t, f) for t, f in zip((target, source), factors, strict=True) if call.value(t)]
    kind = "map" if len(pairs) == 1 else "stack" if reduce.startswith("a") else "add"
    call.emit(kind, [t for t, _ in pairs], [factor for _, factor in pairs])
