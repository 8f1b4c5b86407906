"""What each torch function does to norms: one rule for every function that is known.

A rule is told of one call and adds nodes to the graph. Functions are known by name, so that
``torch.relu``, ``F.relu``, ``x.relu_()`` and the operator of an exported program share one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from deepnorm.norms import lipschitz
from deepnorm.norms.calls import Call, Rule, Value, batch_norm, normalise, tensors_in
from deepnorm.norms.maps import Convolution, Dense

__all__ = ["RULES"]

RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Enter a rule under these names."""

    def enter(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return enter


def per_axis(value: Any, axes: int) -> tuple[int, ...]:
    """One number for each axis."""
    if isinstance(value, (tuple, list)):
        return tuple(value) * axes if len(value) == 1 else tuple(value)
    return (value,) * axes


def largest(constant: Any) -> float:
    """The largest absolute value of a number or a tensor."""
    if not isinstance(constant, Tensor):
        return abs(float(constant))
    return float(constant.detach().abs().max()) if constant.numel() else 0.0


# --------------------------------------------------------------------- nothing to norms


@rule(
    *("to", "_to_copy", "float", "double", "half", "bfloat16", "type", "type_as", "cpu", "cuda"),
    *("clone", "contiguous", "detach", "alias", "lift_fresh", "requires_grad", "as_subclass"),
    *("get data", "identity", "retain_grad", "positive", "nan_to_num"),
)
def same(call: Call) -> None:
    """The same numbers."""
    data = call.data[0]
    value = call.value(data)
    if value is None or not call.result.is_floating_point():
        constant(call)
        return
    index = call.through(data, tag="shape")
    call.tracer.values[id(call.result)] = Value(index, value.origin, value.rows)


@rule(
    "dropout",
    "feature_dropout",
    "alpha_dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
)
def dropout(call: Call) -> None:
    """The identity in evaluation."""
    training = call.get(2, "training", call.get(2, "train", True))
    if training:
        call.unknown("it is active in evaluation too (pass `training=self.training`)")
    else:
        same(call)


@rule(
    *("view", "reshape", "flatten", "unflatten", "permute", "transpose", "swapaxes", "swapdims"),
    *("movedim", "moveaxis", "squeeze", "unsqueeze", "t", "ravel", "view_as", "reshape_as"),
    *("get T", "get mT", "get H", "get mH", "adjoint", "numpy_T", "_unsafe_view", "unfold"),
    *("unbind", "chunk", "split", "tensor_split", "split_with_sizes", "unsafe_chunk"),
    *("unsafe_split", "hsplit", "vsplit", "dsplit", "narrow", "select", "slice", "__getitem__"),
    *("index_select", "gather", "take", "take_along_dim", "index", "roll", "flip", "fliplr"),
    *("flipud", "rot90", "expand", "expand_as", "repeat", "tile", "repeat_interleave"),
    *("broadcast_to", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "diagonal"),
    *("as_strided", "native_channel_shuffle", "atleast_2d", "atleast_3d"),
)
def rearranged(call: Call) -> None:
    """Entries moved, dropped or copied: the root of the largest number of copies.

    The same function is applied to the numbers of the entries, and tells where each went.
    """
    data = call.args[0] if call.args else call.data[0]
    value = call.value(data)
    if value is None:  # the data choose among constants
        call.unknown("its first argument does not depend on the input, another one does")
        return
    # From 1 on: a zero is then a padding, which is a constant.
    numbers = torch.arange(1, data.numel() + 1, dtype=torch.float64, device=data.device)
    args = (numbers.view(data.shape), *call.args[1:])
    moved = tensors_in(call.function(*args, **call.kwargs))
    for out, index in zip(tensors_in(call.out), moved, strict=True):
        places = index.reshape(-1).long() - 1
        shown = places[places >= 0]
        copies = int(torch.bincount(shown).max()) if shown.numel() else 0
        factor = [math.sqrt(copies)]
        tag = "shape" if copies == 1 else "copies"
        if value.rows is None or len(shown) < len(places):
            call.emit("map", [data], factor, tag=tag, out=out)
            continue
        rows = value.rows.reshape(-1)[places]
        here = torch.unique(rows)
        if len(here) < len(torch.unique(value.rows)):
            call.emit("map", [data], factor, tag="cut", out=out, rows=here, origin=value.origin)
        else:
            node = call.emit("map", [data], factor, tag=tag, out=out)
            call.tracer.values[id(out)] = Value(node, value.origin, rows.view(out.shape))


@rule(
    *("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like"),
    *("new_zeros", "new_ones", "new_empty", "new_full", "new_tensor", "bernoulli"),
    *("argmax", "argmin", "argsort", "sign", "round", "floor", "ceil", "isnan", "isinf"),
    *("isfinite", "gt", "lt", "ge", "le", "eq", "ne", "__gt__", "__lt__", "__ge__", "__le__"),
    *("__eq__", "__ne__", "greater", "less", "any", "all", "logical_not", "logical_and"),
    *("logical_or", "nonzero", "count_nonzero", "long", "int", "bool", "get grad"),
)
def constant(call: Call) -> None:
    """What does not vary with the input, or only by jumps (masks, indices)."""
    for tensor in tensors_in(call.out):
        call.tracer.values.pop(id(tensor), None)


# -------------------------------------------------------------------------- activations


def _activation(call: Call) -> None:
    call.through(call.data[0], lipschitz.SLOPES[call.name])


RULES.update(dict.fromkeys(lipschitz.SLOPES, _activation))


@rule("clamp", "clip", "clamp_min", "clamp_max")
def clamped(call: Call) -> None:
    """1-Lipschitz as long as the bounds are constants."""
    data = call.args[0]
    if len(call.data) > 1:
        call.emit("stack", list(call.data))
    else:
        call.through(data)
    for bound in tensors_in((call.args[1:], call.kwargs)):
        call.role(bound, "bound", "a bound does not enter eq. (2)")


@rule("gelu")
def gelu(call: Call) -> None:
    """Both forms."""
    call.through(call.data[0], lipschitz.GELU[call.get(1, "approximate", "none")])


@rule("leaky_relu")
def leaky_relu(call: Call) -> None:
    """The steeper of its two sides."""
    call.through(call.data[0], max(1.0, abs(call.get(1, "negative_slope", 0.01))))


@rule("rrelu")
def rrelu(call: Call) -> None:
    """In evaluation the slope is the mean of its bounds."""
    slope = (call.get(1, "lower", 1 / 8) + call.get(2, "upper", 1 / 3)) / 2
    call.through(call.data[0], max(1.0, abs(slope)))


@rule("elu")
def elu(call: Call) -> None:
    """Just left of zero the slope is alpha (times the scales of the operator)."""
    alpha = abs(call.get(1, "alpha", 1.0))
    scale = abs(call.get(2, "scale", 1.0)) if call.exported else 1.0
    inner = abs(call.get(3, "input_scale", 1.0)) if call.exported else 1.0
    call.through(call.data[0], scale * max(1.0, alpha * inner))


@rule("celu")
def celu(call: Call) -> None:
    """Its slope is one at zero whatever alpha."""
    call.through(call.data[0])


@rule("softplus")
def softplus(call: Call) -> None:
    """log(1 + exp(beta x))/beta."""
    call.through(call.data[0])


@rule("threshold", "_threshold")
def threshold(call: Call) -> None:
    """Continuous only if the value is the threshold."""
    if call.get(1, "threshold") == call.get(2, "value"):
        call.through(call.data[0])
    else:
        call.unknown("it jumps where the threshold is not the value")


@rule("prelu")
def prelu(call: Call) -> None:
    """The steeper side; the slope is a parameter."""
    slope = call.get(1, "weight")
    call.tracer.fixed = False
    call.role(slope, "slope", "sets the Lipschitz constant of an activation: max(1, |slope|)")
    call.through(call.data[0], max(1.0, largest(slope)))


@rule("softmax", "_softmax", "softmin")
def softmax(call: Call) -> None:
    """The Jacobian diag(p) - p p^T has norm at most 1/2, at p = (1/2, 1/2)."""
    call.through(call.data[0], 0.5, tag="softmax")


@rule("log_softmax", "_log_softmax")
def log_softmax(call: Call) -> None:
    """The Jacobian 1 - 1 p^T has norm at most sqrt(n), where p is one class."""
    axis = call.get(1, "dim", -1)
    call.through(call.data[0], math.sqrt(call.result.shape[axis if axis is not None else -1]))


@rule(
    "max",
    "min",
    "amax",
    "amin",
    "sort",
    "topk",
    "logsumexp",
    "median",
    "norm",
    "vector_norm",
    "linalg_vector_norm",
    "msort",
    "maximum",
    "minimum",
)
def order(call: Call) -> None:
    """1-Lipschitz functions, of one tensor or of two side by side.

    A norm is one where p >= 2; the largest of disjoint groups moves no more than they do.
    """
    if "norm" in call.name:
        p = call.get(1, "p", call.get(1, "ord", 2))
        if p in ("fro", None):
            p = 2
        if not isinstance(p, (int, float)) or p < 2:
            call.unknown("only norms with p >= 2 are known")
            return
    data = [tensor for tensor in call.data if tensor.is_floating_point()]
    call.emit("stack" if len(data) > 1 else "map", list(data))


# ------------------------------------------------------------------ sums and side by side


def _spread(call: Call, tensor: Tensor) -> float:
    """What broadcasting to the size of the result does to a norm."""
    return math.sqrt(call.result.numel() / max(tensor.numel(), 1))


@rule(
    "add",
    "sub",
    "subtract",
    "rsub",
    "__add__",
    "__radd__",
    "__iadd__",
    "__sub__",
    "__rsub__",
    "__isub__",
    "where",
    "masked_fill",
    "lerp",
)
def add(call: Call) -> None:
    """A sum of two tensors that depend on the input, or of one and a constant."""
    operands = call.data
    alpha = abs(float(call.kwargs.get("alpha", 1)))
    for tensor in tensors_in((call.args, call.kwargs)):
        if id(tensor) not in call.inputs:
            call.role(tensor, "additive", "an additive constant does not enter eq. (2)")
    first, second = call.get(0, "input"), call.get(1, "other")
    factors = []
    for tensor in operands:
        scaled = second if call.name != "rsub" else first
        weight = alpha if tensor is scaled else 1.0
        factors.append(weight * _spread(call, tensor))
    if first is second and len(operands) == 2:
        call.through(first, 2.0, tag="scale")
    elif len(operands) == 1:
        call.through(operands[0], factors[0], tag="shape" if factors[0] == 1 else "copies")
    else:
        call.emit("stack" if call.name == "where" else "add", list(operands), factors)


@rule("cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack", "column_stack")
def side_by_side(call: Call) -> None:
    """Parts of one vector: the root of the sum of squares."""
    operands = call.data
    for tensor in tensors_in(call.args):
        if id(tensor) not in call.inputs:
            call.role(tensor, "additive", "a constant part of a vector does not enter eq. (2)")
    if len(operands) == 1:
        call.through(operands[0], tag="shape")
    else:
        call.emit("stack", list(operands))


@rule("__setitem__", "copy", "fill", "zero", "index_put")
def write(call: Call) -> None:
    """Part of a tensor is replaced: old and new side by side."""
    target = call.args[0]
    value = call.get(2 if call.name == "__setitem__" else 1, "value")
    if call.name == "index_put":
        call.unknown()
        return
    parts = [part for part in (target, value) if call.node(part) is not None]
    if call.name in ("copy", "fill", "zero"):
        parts = [value] if call.node(value) is not None else []
    if not parts:
        call.tracer.values.pop(id(target), None)
    elif target._base is not None and id(target._base) in call.tracer.values:
        call.unknown("it writes into a view of a tensor")
    else:
        filled = target[call.args[1]] if call.name == "__setitem__" else target
        spread = math.sqrt(filled.numel() / value.numel()) if isinstance(value, Tensor) else 1.0
        factors = [1.0 if part is target else spread for part in parts]
        call.emit("stack" if len(parts) > 1 else "map", list(parts), factors, out=target)


@rule("mean", "sum", "nanmean", "nansum")
def reduced(call: Call) -> None:
    """Adding n entries multiplies a norm by at most sqrt(n); a mean divides by n."""
    data = call.data[0]
    count = data.numel() / max(call.result.numel(), 1)
    call.through(data, math.sqrt(count) if "sum" in call.name else 1 / math.sqrt(count))


# ---------------------------------------------------------------------- products


def product(call: Call, operands: list[Any], what: str, factors: list[float] | None = None) -> None:
    """Several tensors that depend on the input, multiplied."""
    call.say(
        f"{what}: a product of tensors that depend on the input is not globally Lipschitz; by "
        "convention its factors count as a chain"
    )
    call.emit("product", operands, factors)


@rule(
    "mul",
    "multiply",
    "__mul__",
    "__rmul__",
    "__imul__",
    "div",
    "divide",
    "true_divide",
    "__truediv__",
    "__itruediv__",
)
def multiply(call: Call) -> None:
    """By a number, a constant tensor, a parameter (a diagonal matrix) or other data."""
    first, second = call.get(0, "input"), call.get(1, "other")
    divides = "div" in call.name
    if len(call.data) > 1 or (divides and call.node(second) is not None):
        if divides:
            call.unknown("it divides by something that depends on the input")
        else:
            product(call, [first, second], "product")
        return
    data, other = (first, second) if call.node(first) is not None else (second, first)
    spread = _spread(call, data)
    names = call.tracer.names_of(other) if isinstance(other, Tensor) else ()
    if names:
        inner = call.through(data, spread, tag="copies") if spread != 1 else data
        size = call.result.numel()
        reads = torch.reciprocal if divides else None
        call.gain(inner, other, size, reads=reads, reason="enters eq. (2) as a diagonal matrix")
    else:
        factor = largest(1 / other if divides else other)
        uniform = not isinstance(other, Tensor) or other.numel() == 1
        call.through(data, spread * factor, tag="scale" if uniform and spread == 1 else "")


def _blocks(weight: Tensor) -> Tensor:
    """A weight with any number of leading axes as (blocks, out, in), or (out, in)."""
    return weight if weight.dim() == 2 else weight.reshape(-1, *weight.shape[-2:])


@rule("linear")
def linear(call: Call) -> None:
    """X W^T + b."""
    data, weight, bias = call.get(0, "input"), call.get(1, "weight"), call.get(2, "bias")
    call.bias(bias)
    if call.node(weight) is not None:
        operands = [t for t in (data, weight) if call.node(t) is not None]
        if len(operands) > 1:
            product(call, operands, "linear with a computed weight")
        else:
            call.unknown("its weight depends on the input and what it acts on does not")
        return
    outputs = weight.shape[0] if weight.dim() == 2 else 1
    reads = None if weight.dim() == 2 else lambda w: w.reshape(1, -1)
    copies = call.result.numel() // max(outputs, 1)
    if call.node(bias) is not None:
        call.unknown("its bias depends on the input")
    elif weight.dim() == 2:
        call.dense(data, weight, copies=copies)
    else:
        call.layer(data, "dense", Dense((1, weight.shape[0]), copies), weight, reads=reads)


@rule("matmul", "mm", "bmm", "mv", "dot", "__matmul__", "__rmatmul__", "inner")
def matmul(call: Call) -> None:
    """A product with a matrix on either side, or of two tensors that depend on the input."""
    first, second = call.get(0, "input"), call.get(1, "other", call.get(1, "mat2"))
    if call.name == "__rmatmul__":
        first, second = second, first
    if len(call.data) > 1:
        product(call, [first, second], "matmul")
        return
    left = call.node(second) is not None  # the matrix stands on the left
    weight, data = (first, second) if left else (second, first)
    transposed = not left and call.name != "inner"

    def reads(tensor: Tensor) -> Tensor:
        if tensor.dim() == 1:
            return tensor.reshape(1, -1)
        return _blocks(tensor.mT if transposed else tensor)

    shape = tuple(reads(weight).shape)
    copies = max(call.result.numel() // max(math.prod(shape[:-1]), 1), 1)
    if left or weight.dim() != 2:
        call.layer(data, "dense", Dense(shape, copies), weight, reads=reads)
    else:
        call.dense(data, weight, copies=copies, reads=reads)


@rule("addmm", "addmv", "addbmm", "baddbmm")
def addmm(call: Call) -> None:
    """Beta bias + alpha x W."""
    bias, data, weight = call.args[:3]
    if call.node(bias) is not None or call.node(weight) is not None or weight.dim() != 2:
        call.unknown("only a constant plus data times a matrix is known")
        return
    call.bias(bias)
    alpha = float(call.kwargs.get("alpha", 1))
    call.dense(
        data,
        weight,
        copies=call.result.numel() // weight.shape[1],
        reads=lambda w: alpha * w.mT,
    )


@rule("einsum")
def einsum(call: Call) -> None:
    """Data and a matrix whose letters are either summed, kept, or new in the result."""
    equation = call.args[0]
    operands = list(tensors_in(call.args[1:]))
    if not isinstance(equation, str) or len(operands) != 2 or "." in equation:
        call.unknown("only two operands in letters are known")
        return
    if len(call.data) > 1:
        product(call, operands, "einsum")
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
    order = [own.index(c) for c in (*blocks, *new, *summed)]
    sizes = {c: weight.shape[own.index(c)] for c in own}
    shape = tuple(math.prod(sizes[c] for c in group) for group in (blocks, new, summed))
    shape = shape if blocks else shape[1:]
    copies = max(call.result.numel() // math.prod(shape[:-1]), 1)
    call.layer(
        data,
        "dense",
        Dense(shape, copies),
        weight,
        reads=lambda w: w.permute(order).reshape(shape),
    )


# ---------------------------------------------------------------------- convolutions


def _convolve(
    call: Call,
    *,
    transposed: bool,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> None:
    data, weight, bias = call.get(0, "input"), call.get(1, "weight"), call.get(2, "bias")
    call.bias(bias)
    value = call.value(data)
    if value is None or call.node(weight) is not None:
        call.unknown("its kernel depends on the input")
        return
    axes = weight.dim() - 2
    strides, dilations = per_axis(stride, axes), per_axis(dilation, axes)
    pads = None
    operand: Any = data
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilations, weight.shape[2:], strict=True)]
        paddings = [(total // 2, total - total // 2) for total in totals]
    elif padding == "valid":
        paddings = [(0, 0)] * axes
    else:
        paddings = [(p, p) for p in per_axis(padding, axes)]
    size = tuple((call.result if transposed else data).shape[-axes:])
    earlier = call.tracer.paddings.get(value.node)
    if earlier is not None and not transposed:
        operand, shape, indices = earlier
        size = shape[-axes:]
        pads = [torch.arange(n) for n in size[: axes - len(indices)]] + indices
    convolution = Convolution(
        tuple(weight.shape),
        size,
        stride=strides,
        padding=paddings,
        dilation=dilations,
        groups=groups,
        pads=pads,
        transposed=transposed,
        image=tuple(data.shape[-axes:]) if transposed else None,
    )
    kind = f"conv_transpose{axes}d" if transposed else f"conv{axes}d"
    call.layer(operand, kind, convolution, weight)


@rule("conv1d", "conv2d", "conv3d")
def convolution(call: Call) -> None:
    """A convolution."""
    _convolve(
        call,
        transposed=False,
        stride=call.get(3, "stride", 1),
        padding=call.get(4, "padding", 0),
        dilation=call.get(5, "dilation", 1),
        groups=call.get(6, "groups", 1),
    )


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def convolution_transposed(call: Call) -> None:
    """Its transpose; the output padding shows in the size of the result."""
    _convolve(
        call,
        transposed=True,
        stride=call.get(3, "stride", 1),
        padding=call.get(4, "padding", 0),
        dilation=call.get(7, "dilation", 1),
        groups=call.get(6, "groups", 1),
    )


@rule("convolution", "_convolution")
def convolution_any(call: Call) -> None:
    """The operator behind both."""
    _convolve(
        call,
        transposed=call.get(6, "transposed", False),
        stride=call.get(3, "stride", 1),
        padding=call.get(4, "padding", 0),
        dilation=call.get(5, "dilation", 1),
        groups=call.get(8, "groups", 1),
    )


@rule(
    "pad",
    "constant_pad_nd",
    "reflection_pad1d",
    "reflection_pad2d",
    "replication_pad1d",
    "replication_pad2d",
)
def pad(call: Call) -> None:
    """Padding: the root of the number of copies; a convolution that follows takes it in."""
    data, amounts = call.get(0, "input"), list(call.get(1, "pad"))
    mode = call.get(2, "mode", "constant")
    if not isinstance(mode, str):  # the operator of constant padding has the value here
        mode = "constant"
    mode = {"reflection_pad": "reflect", "replication_pad": "replicate"}.get(call.name[:-2], mode)
    axes = len(amounts) // 2
    indices, copies = [], 1.0
    for axis in range(axes):
        length = data.shape[-axes + axis]
        pair = tuple(amounts[2 * (axes - 1 - axis) : 2 * (axes - axis)])
        numbers = torch.arange(1, length + 1, dtype=torch.float64)[None, None]
        index = torch.nn.functional.pad(numbers, pair, mode=mode)[0, 0].long() - 1
        indices.append(index)
        copies *= int(torch.bincount(index[index >= 0], minlength=1).max())
    before = call.node(data)
    assert before is not None
    node = call.through(data, math.sqrt(copies), tag="shape" if copies == 1 else "copies")
    if axes <= data.dim() - 2:
        call.tracer.paddings[node] = (before, tuple(data.shape), indices)


# ---------------------------------------------------------------------- normalisation


@rule("batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm")
def batch_normalisation(call: Call) -> None:
    """A batch norm with its running statistics; torch has two orders of arguments."""
    if call.exported or call.function is torch.batch_norm:
        gain, bias, mean, variance = (call.get(i, "") for i in (1, 2, 3, 4))
        short = call.name.startswith("_native")
        training = False if short else call.get(5, "training", False)
        eps = call.get(6 if short else 7, "eps", 1e-5)
    else:
        mean, variance = call.get(1, "running_mean"), call.get(2, "running_var")
        gain, bias = call.get(3, "weight"), call.get(4, "bias")
        training, eps = call.get(5, "training", False), call.get(7, "eps", 1e-5)
    call.bias(bias)
    call.role(mean, "running mean", "a shift does not enter eq. (2)")
    batch_norm(call, gain, mean, variance, eps, training)


@rule("instance_norm")
def instance_norm(call: Call) -> None:
    """Statistics of one image, or running ones."""
    if call.exported or call.function is torch.instance_norm:
        gain, bias, mean, variance = (call.get(i, "") for i in (1, 2, 3, 4))
    else:
        mean, variance = call.get(1, "running_mean"), call.get(2, "running_var")
        gain, bias = call.get(3, "weight"), call.get(4, "bias")
    own = call.get(5, "use_input_stats", True)
    call.bias(bias)
    call.role(mean, "running mean", "a shift does not enter eq. (2)")
    if own:
        normalise(call, call.args[0], gain, call.result.numel(), "instance norm")
    else:
        batch_norm(call, gain, mean, variance, call.get(7, "eps", 1e-5), False)


@rule("layer_norm", "native_layer_norm")
def layer_norm(call: Call) -> None:
    """Layer norm."""
    call.bias(call.get(3, "bias"))
    gain = call.get(2, "weight")
    normalise(call, call.get(0, "input"), gain, call.result.numel(), "layer norm")


@rule("rms_norm")
def rms_norm(call: Call) -> None:
    """RMS norm."""
    gain = call.get(2, "weight")
    normalise(call, call.get(0, "input"), gain, call.result.numel(), "RMS norm")


@rule("group_norm")
def group_norm(call: Call) -> None:
    """Group norm."""
    call.bias(call.get(3, "bias"))
    gain = call.get(2, "weight")
    normalise(call, call.get(0, "input"), gain, call.result.numel(), "group norm")


@rule("normalize")
def unit_length(call: Call) -> None:
    """Division by the norm."""
    normalise(call, call.get(0, "input"), None, 0, "normalize")


# ---------------------------------------------------------------------------- pooling


@rule(*(f"max_pool{n}d{end}" for n, end in itertools.product((1, 2, 3), ("", "_with_indices"))))
def max_pool(call: Call) -> None:
    """Max pooling: exact, the root of the largest number of windows that see one input."""
    axes = int(call.name[8])
    data, out = call.get(0, "input"), call.result
    kernel = per_axis(call.get(1, "kernel_size"), axes)
    stride = call.get(2, "stride") or kernel
    call.through(
        data,
        lipschitz.overlap(
            data.shape[-axes:],
            out.shape[-axes:],
            kernel,
            per_axis(stride, axes),
            per_axis(call.get(3, "padding", 0), axes),
            per_axis(call.get(4, "dilation", 1), axes),
        ),
    )


@rule(*(f"adaptive_max_pool{n}d{end}" for n in (1, 2, 3) for end in ("", "_with_indices")))
def adaptive_max_pool(call: Call) -> None:
    """The same for windows that follow from the sizes."""
    axes = int(call.name[17])
    sizes = call.get(0, "input").shape[-axes:]
    call.through(call.get(0, "input"), lipschitz.adaptive_overlap(sizes, call.result.shape[-axes:]))


@rule("avg_pool1d", "avg_pool2d", "avg_pool3d")
def avg_pool(call: Call) -> None:
    """Average pooling: exact."""
    axes = int(call.name[8])
    kernel = per_axis(call.get(1, "kernel_size"), axes)
    sizes = call.get(0, "input").shape[-axes:]
    stride = call.get(2, "stride") or kernel
    padding = per_axis(call.get(3, "padding", 0), axes)
    whole = call.get(5, "count_include_pad", True)
    divisor = call.get(6, "divisor_override")
    factor = 1.0 if divisor is None else math.prod(kernel) / abs(divisor)
    ceil = call.get(4, "ceil_mode", False)
    if divisor is not None:
        whole = True  # what is divided by does not depend on what the window holds
        if ceil:
            call.unknown("`divisor_override` with `ceil_mode`")
            return
    call.through(
        call.get(0, "input"),
        factor * lipschitz.average(sizes, kernel, per_axis(stride, axes), padding, ceil, whole),
    )


@rule("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "_adaptive_avg_pool2d")
def adaptive_avg_pool(call: Call) -> None:
    """Adaptive average pooling: exact."""
    axes = int(call.name[-2])
    sizes = call.get(0, "input").shape[-axes:]
    call.through(call.get(0, "input"), lipschitz.adaptive_average(sizes, call.result.shape[-axes:]))


@rule("interpolate", "upsample")
def interpolate(call: Call) -> None:
    """Nearest neighbours are copies, linear interpolation is exact; others are not known."""
    mode = call.get(3, "mode", "nearest")
    if mode.startswith("nearest") or mode == "area":
        if mode == "area":
            call.unknown("mode 'area'")
        else:
            rearranged(call)
    elif mode in ("linear", "bilinear", "trilinear") and not call.get(6, "antialias", False):
        data = call.get(0, "input")
        axes = data.dim() - 2
        scale = call.get(2, "scale_factor")
        scales = per_axis(scale, axes) if scale is not None else None
        factor = lipschitz.interpolation(
            data.shape[-axes:], call.result.shape[-axes:], scales, call.get(4, "align_corners")
        )
        call.through(data, factor)
    else:
        call.unknown(f"mode {mode!r}")


# ---------------------------------------------------------------------- attention


ATTENTION = (
    "attention: not globally Lipschitz; by convention the matrices of queries, keys, values and "
    "output count as a chain, and the softmax and its scale not at all"
)


QUERIES = {"query": "queries", "key": "keys", "value": "values"}


@rule("scaled_dot_product_attention")
def attention(call: Call) -> None:
    """Queries, keys and values."""
    operands = [call.get(i, name) for i, name in enumerate(("query", "key", "value"))]
    _attend(call, [operand for operand in operands if call.node(operand) is not None])


def _attend(call: Call, operands: list[Any]) -> int:
    call.say(ATTENTION)
    if len(operands) == 1:
        return call.through(operands[0])
    return call.emit("product", operands, tag="attention")


@rule("multi_head_attention_forward")
def multi_head_attention(call: Call) -> None:
    """The attention module: three matrices, stored as one or apart, attention, and a fourth."""
    names = tuple(QUERIES)
    inputs = [call.get(i, name) for i, name in enumerate(names)]
    size, joint = call.get(3, "embed_dim_to_check"), call.get(5, "in_proj_weight")
    apart = call.get(17, "use_separate_proj_weight", False)
    out_weight = call.get(11, "out_proj_weight")
    for place, name in ((6, "in_proj_bias"), (7, "bias_k"), (8, "bias_v"), (12, "out_proj_bias")):
        call.bias(call.get(place, name))
    operands: list[Any] = []
    for number, (name, tensor) in enumerate(zip(names, inputs, strict=True)):
        weight = call.get(18 + number, f"{name[0]}_proj_weight") if apart else joint
        reads = None if apart else _third(number, size)
        value = call.value(tensor)
        if value is None:
            call.role(
                weight, "dense", f"the {QUERIES[name]} do not depend on the input: not counted"
            )
            continue
        shape = tuple((weight if reads is None else reads(weight)).shape)
        operands.append(
            call.layer(
                value.node,
                "dense",
                Dense(shape, tensor.numel() // tensor.shape[-1]),
                weight,
                reads=reads,
                part="" if apart else f"[{name}]",
                reason=f"enters eq. (2) as the matrix of {QUERIES[name]}, in a chain by convention",
            )
        )
    mixed = _attend(call, operands)
    copies = call.result.numel() // out_weight.shape[0]
    call.layer(mixed, "dense", Dense(tuple(out_weight.shape), copies), out_weight)


def _third(number: int, size: int) -> Callable[[Tensor], Tensor]:
    """Rows of queries, keys or values."""
    return lambda weight: weight[number * size : (number + 1) * size]


@rule("embedding", "embedding_bag")
def embedding(call: Call) -> None:
    """A table that integers are looked up in: where the data flow of numbers begins."""
    data, table = call.get(0, "input"), call.get(1, "weight")
    if call.exported:
        data, table = table, data
    call.role(table, "embedding", "a table of vectors, not a linear map of the data: not counted")
    call.say("embedding: the gain is that of the network from the looked-up vectors on")
    call.through(data)
