"""The path norm: one forward pass of ones through squared weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from deepnorm.norms import scalars
from deepnorm.norms.calls import Watcher, bound_arguments, operator_name, tensors_in
from deepnorm.norms.lipschitz import SLOPES
from deepnorm.norms.rules.rearrangements import REARRANGED, SAME
from deepnorm.norms.rules.registry import per_axis
from deepnorm.norms.trace import Example, example, inputs_in, quiet

__all__ = ["log_path_norm"]

#: Operators that act on the sum over paths as they act on data.
UNCHANGED = frozenset((*REARRANGED, *SAME, "cat", "concat", "concatenate", "stack", "hstack"))
#: Activations count as the identity: a path is a product of weights.
TRANSPARENT = frozenset(
    (
        *SLOPES,
        *("gelu", "leaky_relu", "rrelu", "elu", "celu", "softplus", "dropout", "feature_dropout"),
        *("alpha_dropout", "feature_alpha_dropout", "log_softmax", "clamp", "clamp_min", "prelu"),
    )
)
CONVOLUTIONS: dict[str, Callable[..., Tensor]] = {
    "conv1d": F.conv1d,
    "conv2d": F.conv2d,
    "conv3d": F.conv3d,
    "conv_transpose1d": F.conv_transpose1d,
    "conv_transpose2d": F.conv_transpose2d,
    "conv_transpose3d": F.conv_transpose3d,
}
AVERAGES = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
NORMS = frozenset(("layer_norm", "rms_norm", "group_norm", "instance_norm"))


class _Unknown(Exception):
    """An operator through which paths cannot be counted."""


class _Squares(Watcher):
    """Replaces every operator by what it does to sums of squares over paths."""

    def __init__(self, starts: list[Tensor]):
        super().__init__()
        self.seen = {id(t) for t in starts}
        self.alive: list[Any] = [starts]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The substitute, where a tensor that holds such sums goes in."""
        kwargs = kwargs or {}
        paths = [t for t in tensors_in((args, kwargs)) if id(t) in self.seen]
        if not paths:
            out = func(*args, **kwargs)
        else:
            arguments = bound_arguments(func, args, kwargs)
            out = _substitute(func, operator_name(func), arguments, self.seen)
            if func._schema.is_mutable and isinstance(out, Tensor) and out is not args[0]:
                args[0].data = out.data
                out = args[0]
            self.seen.update(id(t) for t in tensors_in(out) if t.is_floating_point())
        self.alive.append((args, kwargs, out))
        return out


def log_path_norm(model: nn.Module, input_shape: Example) -> tuple[float, str]:
    """Ln sqrt(sum over paths of prod w^2), eq. (N12); nan, and why, where there is none."""
    args, kwargs = example(model, input_shape)
    starts = inputs_in(args, kwargs)
    if not starts or not starts[0].is_floating_point():
        return math.nan, "the input is not a vector of numbers"
    ones = {id(t): torch.ones_like(t, dtype=torch.float64) for t in starts}

    def put(leaf: Any) -> Any:
        return ones.get(id(leaf), leaf)

    with quiet(model):
        try:
            with _Squares(list(ones.values())) as mode, torch._C._AutoDispatchBelowAutograd():
                out = model(*tree_map(put, args), **tree_map(put, kwargs))
        except _Unknown as error:
            return math.nan, str(error)
    total = sum(float(t.sum()) for t in tensors_in(out) if id(t) in mode.seen)
    if math.isnan(total):  # an infinite sum times zero
        return math.inf, ""
    return 0.5 * math.log(total) if total > 0 else -math.inf, ""


def _squared(weight: Any) -> Tensor:
    return weight.detach().double().square()


def _substitute(func: Any, name: str, given: dict[str, Any], seen: set[int]) -> Any:
    """What an operator does to sums of squares over paths."""

    def path(value: Any) -> bool:
        return isinstance(value, Tensor) and id(value) in seen

    x = given[next(iter(given))]
    if name in scalars.CASTS:
        return x.clone()
    if name in TRANSPARENT:
        return x.clone()
    if name in ("add", "sub"):
        a, b = given["self"], given["other"]
        if path(a) and path(b):
            return a + abs(given.get("alpha", 1)) ** 2 * b
        return (a if path(a) else b).clone()
    if name in ("cat", "stack"):
        parts = [part if path(part) else torch.zeros_like(part, dtype=torch.float64) for part in x]
        return func(**(given | {"tensors": parts}))
    if name in UNCHANGED or name == "sum":
        return func(**given)
    if name == "copy":
        return given["self"].copy_(given["src"])
    if name == "linear":
        return F.linear(x, _squared(_constant(given["weight"], path)))
    if name in ("matmul", "mm", "bmm"):
        a, b = list(tensors_in(given))[:2]
        if path(a) and path(b):
            raise _Unknown("matmul of two tensors that depend on the input, as in attention")
        return a @ _squared(b) if path(a) else _squared(a) @ b
    if name in CONVOLUTIONS:
        weight = _squared(_constant(given["weight"], path))
        rest = {
            key: value for key, value in given.items() if key not in ("input", "weight", "bias")
        }
        return CONVOLUTIONS[name](x, weight, None, **rest)
    if name in ("mul", "multiply", "div", "true_divide"):
        a, b = given["self"], given["other"]
        if (path(a) and path(b)) or ("div" in name and path(b)):
            raise _Unknown(f"{name} of two tensors that depend on the input")
        data, other = (a, b) if path(a) else (b, a)
        square = _squared(other) if isinstance(other, Tensor) else float(other) ** 2
        return data / square if "div" in name else data * square
    if name in ("pad", "constant_pad_nd"):
        mode = given.get("mode", "constant")
        return F.pad(x, given["pad"], mode=mode)
    if name == "batch_norm":
        return _batch_norm(x, given)
    if name in NORMS:
        raise _Unknown(f"{name}, which divides by a statistic of the input")
    if name.startswith(("max_pool", "avg_pool")):
        return _pool(name, x, given)
    if name.startswith("adaptive_avg_pool") or name == "mean":
        # every path to an average of n carries 1/n once more
        count = func(**given)
        return count / (x.numel() / count.numel())
    raise _Unknown(f"{name}, through which paths cannot be counted")


def _constant(weight: Tensor, path: Callable[[Any], bool]) -> Tensor:
    if path(weight):
        raise _Unknown("a weight that depends on the input")
    return weight


def _batch_norm(x: Tensor, given: dict[str, Any]) -> Tensor:
    """Gains of a batch norm in evaluation, squared."""
    variance, gain = given["running_var"], given["weight"]
    if given["training"] or variance is None:
        raise _Unknown("batch norm without running statistics")
    square = 1 / (variance.double() + given["eps"])
    if gain is not None:
        square = square * _squared(gain)
    return x * square.view(1, -1, *(1,) * (x.dim() - 2))


def _pool(name: str, x: Tensor, given: dict[str, Any]) -> Tensor:
    """Sums over windows: all of them for max pooling, over n^2 for averages of n."""
    axes = int(name[8])
    kernel = per_axis(given["kernel_size"], axes)
    stride = per_axis(given["stride"] or kernel, axes)
    padding = per_axis(given["padding"], axes)
    count = math.prod(kernel)
    average = name.startswith("avg_pool")
    if not average and per_axis(given["dilation"], axes) != (1,) * axes:
        raise _Unknown("max pooling with dilation")
    if given["ceil_mode"] or (average and not given.get("count_include_pad", True)):
        raise _Unknown("pooling with windows of several sizes")
    sums = AVERAGES[axes](x, kernel, stride, padding) * count
    return sums / count**2 if average else sums
