"""Functions of one number, applied to every entry: their steepest slope, whatever the spelling.

``x * sigmoid(x)`` is SiLU, ``0.5 * x * (1 + erf(x / sqrt(2)))`` GELU, ``x * (x > 0)`` ReLU. As a
product of factors none of them has a Lipschitz constant; as a function of one number each has. So
operators that act entry by entry are kept as a tree of such functions, and where branches of one
tree meet, the whole is tried on the real line (docs/norms.md, section 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map

from deepnorm.norms import lipschitz

if TYPE_CHECKING:
    from deepnorm.norms.calls import Tracer

__all__ = ["Scalar", "functional", "joined"]

aten = torch.ops.aten
#: Operators whose every entry depends on the same entry of each argument, and on nothing else.
ENTRYWISE = frozenset(
    (
        *("add", "sub", "rsub", "subtract", "mul", "multiply", "div", "divide", "true_divide"),
        *("neg", "negative", "abs", "square", "pow", "sqrt", "rsqrt", "reciprocal", "exp", "exp2"),
        *("expm1", "log", "log1p", "log2", "log10", "sigmoid", "tanh", "sin", "cos", "erf", "erfc"),
        *("relu", "relu6", "hardtanh", "hardsigmoid", "hardswish", "silu", "mish", "gelu", "elu"),
        *("celu", "selu", "softplus", "leaky_relu", "log_sigmoid", "logsigmoid", "softsign"),
        *("softshrink", "hardshrink", "tanhshrink", "clamp", "clip", "clamp_min", "clamp_max"),
        *("maximum", "minimum", "where", "masked_fill", "gt", "lt", "ge", "le", "eq", "ne"),
        *("greater", "less", "greater_equal", "less_equal", "logical_not", "logical_and"),
        *("logical_or", "heaviside", "sinh", "cosh", "asinh", "atan", "arctan", "threshold"),
        *("sign", "sgn", "round", "floor", "ceil", "trunc", "frac", "lerp", "addcmul", "addcdiv"),
        *("clone", "alias", "contiguous", "positive", "nan_to_num", "logaddexp", "xlogy", "logit"),
    )
)
#: As these, if the type they convert to is one of floating point numbers.
CASTS = frozenset(("to", "_to_copy", "type_as", "float", "double", "half", "bfloat16"))
#: The tree may have this many operators: a loop is no activation.
MOST = 64
#: The real line, at steps that grow from 1e-3 with the distance from 0, to 1e7.
FINE = 1e-3
#: A slope this much larger farther out, or at smaller steps, has no bound.
GROWTH = 1e-3

#: Those whose constants are known to the last digit: the functions and their slopes.
KNOWN: tuple[tuple[Callable[[Tensor], Tensor], float], ...] = (
    (F.silu, lipschitz.SLOPES["silu"]),
    (F.gelu, lipschitz.GELU["none"]),
    (lambda t: F.gelu(t, approximate="tanh"), lipschitz.GELU["tanh"]),
    (F.mish, lipschitz.SLOPES["mish"]),
    (F.hardswish, lipschitz.SLOPES["hardswish"]),
    (F.selu, lipschitz.SLOPES["selu"]),
)


@dataclass(frozen=True, eq=False)
class _Leaf:
    """The entry itself."""


@dataclass(frozen=True, eq=False)
class Scalar:
    """A function of the entries of one node.

    Attributes
    ----------
    base : int
        The node.
    function, args, kwargs
        The operator; arguments are numbers, tensors of one number, and other such functions.
    joins : bool
        Whether two branches of the tree meet in this operator.
    size : int
        The number of operators.
    """

    base: int
    function: Any
    args: Any
    kwargs: Any
    joins: bool
    size: int

    def __call__(self, t: Tensor) -> Tensor:
        """The function on numbers."""

        def put(leaf: Any) -> Any:
            if isinstance(leaf, _Leaf):
                return t
            if isinstance(leaf, Scalar):
                return leaf(t)
            if isinstance(leaf, Tensor):
                leaf = leaf.detach().cpu().reshape(())
                return leaf.double() if leaf.is_floating_point() else leaf
            return leaf

        if self.function is None:
            return t
        args = tree_map(put, self.args)
        if self.function._schema.is_mutable and isinstance(args[0], Tensor):
            args = (args[0].clone(), *args[1:])
        out: Tensor = self.function(*args, **tree_map(put, self.kwargs))
        return out

    def slope(self) -> float | None:
        """Its Lipschitz constant on the real line, None if it has none.

        The largest difference quotient on a grid, and on finer ones round the steepest places:
        from below, by 1e-9 of itself where the slope is smooth and 1e-7 next to a kink.
        """
        line = _line()
        values = self(line)
        if not values.is_floating_point() or not bool(torch.isfinite(values).all()):
            return None
        start, step = self(torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist()
        if torch.allclose(values, start + (step - start) * line, rtol=1e-12, atol=1e-9):
            return abs(step - start)
        quotient = (values.diff() / line.diff()).abs()
        best = float(quotient.max())
        near = float(quotient[line[1:].abs() < 1e3].max())
        if best > near * (1 + GROWTH):
            return None
        for function, slope in KNOWN:
            close = torch.isclose(function(line), values, rtol=1e-9, atol=1e-9)
            if abs(best / slope - 1) < GROWTH and bool(close.all()):
                return slope
        for place in torch.topk(quotient, min(8, len(quotient))).indices.tolist():
            low, high = float(line[max(place - 1, 0)]), float(line[min(place + 2, len(line) - 1)])
            for _ in range(2):
                grid = torch.linspace(low, high, 1001, dtype=torch.float64)
                values = self(grid)
                steps = (values.diff() / grid.diff()).abs()
                index = int(steps.argmax())
                if float(steps[index]) > 2 * near + 1e-9:
                    return None  # it jumps
                best = max(best, float(steps[index]))
                low, high = float(grid[max(index - 1, 0)]), float(grid[min(index + 2, 1000)])
                if high - low < 1e-4 * max(abs(low), 1):
                    break
        # A slope of 1 by kinks is one by rounding.
        return round(best, 9) if abs(best - round(best, 1)) < 1e-8 else best

    def bounds(self) -> tuple[float, float]:
        """Between which its values lie."""
        values = self(_line())
        low, high = float(values.min()), float(values.max())
        middle = self(_line()[_line().abs() < 1e3])
        bounded = low >= float(middle.min()) - 1e-6 and high <= float(middle.max()) + 1e-6
        return (low, high) if bounded else (-math.inf, math.inf)


def _line() -> Tensor:
    """Numbers from -1e7 to 1e7, at steps of 1e-3 round 0."""
    half = torch.sinh(torch.linspace(0, math.asinh(1e7), 16801, dtype=torch.float64))
    near = torch.arange(1, 12001, dtype=torch.float64) * FINE
    half = torch.cat([near, half[half > float(near[-1])]])
    return torch.cat([-half.flip(0), torch.zeros(1, dtype=torch.float64), half])


def functional(function: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments as they are before the operator may change them: trees hold small tensors."""
    if not function._schema.is_mutable:
        return args
    return tuple(a.clone() if isinstance(a, Tensor) and a.numel() == 1 else a for a in args)


def joined(tracer: Tracer, function: Any, args: tuple[Any, ...], kwargs: Any) -> Scalar | None:
    """The call as a function of the entries of one node, None if it is not one."""
    name = str(function._schema.name).split("::")[-1].rstrip("_")
    if name in CASTS:
        return _cast(tracer, args)
    if name not in ENTRYWISE:
        return None
    bases: list[int] = []
    shapes: list[torch.Size] = []
    sizes: list[int] = []

    def take(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        known = tracer.scalars.get(id(leaf))
        value = tracer.values.get(id(leaf))
        if known is None and value is None:
            if leaf.numel() != 1 or tracer.trained(leaf):
                bases.append(-1)
            return leaf
        bases.append(value.node if known is None and value is not None else known.base)
        shapes.append(leaf.shape)
        sizes.append(1 if known is None else known.size)
        return _Leaf() if known is None else known

    taken = tree_map(take, args), tree_map(take, kwargs)
    if not bases or -1 in bases or len(set(shapes)) != 1:
        return None
    if len(set(bases)) > 1:
        # The base itself, and functions of what it was made from: x tanh(x) where x = relu(y).
        return None
    if sum(sizes) >= MOST:
        return None
    return Scalar(bases[0], function, *taken, len(bases) > 1, sum(sizes) + 1)


def _cast(tracer: Tracer, args: tuple[Any, ...]) -> Scalar | None:
    known = tracer.scalars.get(id(args[0]))
    if known is None:
        return None
    return Scalar(known.base, known.function, known.args, known.kwargs, False, known.size)
