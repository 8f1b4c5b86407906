"""The path norm: one forward pass of ones through squared weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from deepnorm.norms.calls import function_name, tensors_in
from deepnorm.norms.lipschitz import SLOPES
from deepnorm.norms.rules import RULES, constant, per_axis, rearranged, same
from deepnorm.norms.trace import example, quiet

__all__ = ["log_path_norm"]

#: Functions that act on the sum over paths as they act on data.
UNCHANGED = {
    *(name for name, rule in RULES.items() if rule in (rearranged, same, constant)),
    *("cat", "concat", "concatenate", "stack", "hstack", "vstack", "column_stack"),
    *("sum", "__setitem__"),
}
#: Activations count as the identity: a path is a product of weights.
TRANSPARENT = {
    *SLOPES,
    *("gelu", "leaky_relu", "rrelu", "elu", "celu", "softplus", "dropout", "dropout1d"),
    *("dropout2d", "dropout3d", "feature_dropout", "alpha_dropout", "log_softmax"),
}
CONVOLUTIONS: dict[str, Callable[..., Tensor]] = {
    "conv1d": F.conv1d,
    "conv2d": F.conv2d,
    "conv3d": F.conv3d,
    "conv_transpose1d": F.conv_transpose1d,
    "conv_transpose2d": F.conv_transpose2d,
    "conv_transpose3d": F.conv_transpose3d,
}
AVERAGES = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


class _Unknown(Exception):
    """A function through which paths cannot be counted."""


class _Squares(TorchFunctionMode):
    """Replaces every function by what it does to sums of squares over paths."""

    def __init__(self, start: Tensor):
        super().__init__()
        self.seen = {id(start)}
        self.alive: list[Any] = [start]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The substitute, where a tensor that holds such sums goes in."""
        kwargs = kwargs or {}
        paths = [t for t in tensors_in((args, kwargs)) if id(t) in self.seen]
        if not paths:
            out = func(*args, **kwargs)
        else:
            out = _substitute(func, function_name(func), args, kwargs, self.seen)
            self.seen.update(id(t) for t in tensors_in(out) if t.is_floating_point())
            if function_name(func) == "__setitem__":
                self.seen.add(id(args[0]))
        self.alive.append((args, kwargs, out))
        return out


def log_path_norm(model: nn.Module, input_shape: tuple[int, ...] | Tensor) -> tuple[float, str]:
    """Ln sqrt(sum over paths of prod w^2), eq. (N12); nan, and why, where there is none."""
    start = example(model, input_shape)
    if not start.is_floating_point():
        return math.nan, "the input is not a vector of numbers"
    start = torch.ones_like(start, dtype=torch.float64)
    with quiet(model):
        try:
            with _Squares(start) as mode:
                out = model(start)
        except _Unknown as error:
            return math.nan, str(error)
    total = sum(float(t.sum()) for t in tensors_in(out) if id(t) in mode.seen)
    if math.isnan(total):  # an infinite sum times zero
        return math.inf, ""
    return 0.5 * math.log(total) if total > 0 else -math.inf, ""


def _squared(weight: Any) -> Tensor:
    return weight.detach().double().square()


def _substitute(func: Any, name: str, args: Any, kwargs: Any, seen: set[int]) -> Any:
    """What a function does to sums of squares over paths."""

    def get(position: int, keyword: str, default: Any = None) -> Any:
        return args[position] if position < len(args) else kwargs.get(keyword, default)

    def path(value: Any) -> bool:
        return isinstance(value, Tensor) and id(value) in seen

    x = get(0, "input")
    if name.startswith("get ") or name in ("size", "dim", "numel"):
        return func(*args, **kwargs)
    if name in ("to", "type", "type_as", "float", "half", "double", "bfloat16"):
        return x.clone()
    if name in TRANSPARENT or (name == "add" and not path(get(1, "other"))):
        return x.clone()
    if name in ("add", "__add__", "__radd__", "__iadd__"):
        a, b = get(0, "input"), get(1, "other")
        if path(a) and path(b):
            return a + abs(kwargs.get("alpha", 1)) ** 2 * b
        return (a if path(a) else b).clone()
    if name in ("cat", "concat", "concatenate", "stack"):
        parts = [part if path(part) else torch.zeros_like(part, dtype=torch.float64) for part in x]
        return func(parts, *args[1:], **kwargs)
    if name in UNCHANGED:
        return func(*args, **kwargs)
    if name == "linear":
        return F.linear(x, _squared(_constant(get(1, "weight"), path)))
    if name in ("matmul", "__matmul__", "mm"):
        a, b = get(0, "input"), get(1, "other", get(1, "mat2"))
        if path(a) and path(b):
            raise _Unknown("matmul of two tensors that depend on the input, as in attention")
        return a @ _squared(b) if path(a) else _squared(a) @ b
    if name in CONVOLUTIONS:
        weight = _squared(_constant(get(1, "weight"), path))
        rest = {key: value for key, value in kwargs.items() if key not in ("input", "weight")}
        rest.pop("bias", None)
        return CONVOLUTIONS[name](x, weight, None, *args[3:], **rest)
    if name in ("mul", "multiply", "__mul__", "__rmul__", "div", "__truediv__"):
        a, b = get(0, "input"), get(1, "other")
        if (path(a) and path(b)) or ("div" in name and path(b)):
            raise _Unknown(f"{name} of two tensors that depend on the input")
        data, other = (a, b) if path(a) else (b, a)
        square = _squared(other) if isinstance(other, Tensor) else float(other) ** 2
        return data / square if "div" in name else data * square
    if name == "pad":
        if isinstance(get(3, "value", None), (int, float)) and get(2, "mode") == "constant":
            return F.pad(x, get(1, "pad"))
        return func(*args, **kwargs)
    if name == "batch_norm":
        return _batch_norm(func, x, get)
    if name in ("layer_norm", "rms_norm", "group_norm", "instance_norm", "normalize"):
        raise _Unknown(f"{name}, which divides by a statistic of the input")
    if name.startswith(("max_pool", "avg_pool")):
        return _pool(name, x, get)
    if name.startswith("adaptive_avg_pool") or name == "mean":
        # every path to an average of n carries 1/n once more
        count = func(*args, **kwargs)
        return count / (x.numel() / count.numel())
    raise _Unknown(f"{name}, through which paths cannot be counted")


def _constant(weight: Tensor, path: Callable[[Any], bool]) -> Tensor:
    if path(weight):
        raise _Unknown("a weight that depends on the input")
    return weight


def _batch_norm(func: Any, x: Tensor, get: Callable[..., Any]) -> Tensor:
    """Gains of a batch norm in evaluation, squared."""
    if func is F.batch_norm:
        variance, gain, training = get(2, "running_var"), get(3, "weight"), get(5, "training")
    else:
        variance, gain, training = get(4, ""), get(1, ""), get(5, "training")
    if training or variance is None:
        raise _Unknown("batch norm without running statistics")
    square = 1 / (variance.double() + get(7, "eps", 1e-5))
    if gain is not None:
        square = square * _squared(gain)
    return x * square.view(1, -1, *(1,) * (x.dim() - 2))


def _pool(name: str, x: Tensor, get: Callable[..., Any]) -> Tensor:
    """Sums over windows: all of them for max pooling, over n^2 for averages of n."""
    axes = int(name[8])
    kernel = per_axis(get(1, "kernel_size"), axes)
    stride = per_axis(get(2, "stride") or kernel, axes)
    padding = per_axis(get(3, "padding", 0), axes)
    count = math.prod(kernel)
    average = name.startswith("avg_pool")
    dilation = 1 if average else get(4, "dilation", 1)
    if per_axis(dilation, axes) != (1,) * axes:
        raise _Unknown("max pooling with dilation")
    ceil = get(4 if average else 5, "ceil_mode", False)
    if ceil or (average and not get(5, "count_include_pad", True)):
        raise _Unknown("pooling with windows of several sizes")
    sums = AVERAGES[axes](x, kernel, stride, padding) * count
    return sums / count**2 if average else sums
