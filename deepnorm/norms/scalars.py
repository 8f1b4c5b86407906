"""Functions of one number, applied to every entry: their steepest slope, whatever the spelling.

``x * sigmoid(x)`` is SiLU, ``0.5 * x * (1 + erf(x / sqrt(2)))`` GELU, ``x * (x > 0)`` ReLU. As a
product of factors none of them has a Lipschitz constant; as a function of one number each has. So
operators that act entry by entry are kept as a tree of such functions, and where branches of one
tree meet, the whole is tried on the real line (docs/norms.md, section 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map

from deepnorm.norms import lipschitz

if TYPE_CHECKING:
    from deepnorm.norms.calls import Tracer

__all__ = ["CASTS", "Scalar", "functional", "joined"]

Bounds = tuple[float, float]
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
#: Conversions of type: as these, if it is one of floating point numbers.
CASTS = frozenset(("to", "_to_copy", "type_as"))
#: Operators in a row: a loop is no activation.
DEEPEST = 64
#: Functions whose slopes are remembered: a network has the same activation many times.
REMEMBERED = 256
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


_found: dict[Hashable, tuple[float | None, Bounds | None]] = {}


@dataclass(eq=False)
class Scalar:
    """A function of the entries of one node.

    Attributes
    ----------
    base : int
        The node.
    function, args, kwargs
        The operator; arguments are numbers, tensors of one number, and other such functions. None
        for the entries themselves.
    joins : bool
        Whether two branches of the tree meet in this operator.
    node : int or None
        Of its own value.
    depth : int
        Operators in a row.
    """

    base: int
    function: Any = None
    args: Any = ()
    kwargs: Any = None
    joins: bool = False
    node: int | None = None
    depth: int = 0

    @property
    def parts(self) -> list[Scalar]:
        """The functions that it is made of."""
        leaves: list[Any] = []
        tree_map(leaves.append, (self.args, self.kwargs or {}))
        return [leaf for leaf in leaves if isinstance(leaf, Scalar)]

    def __call__(self, t: Tensor, start: Scalar) -> Tensor:
        """The function on numbers, which are the values of ``start``."""
        return self._at({id(start): t})

    def _at(self, known: dict[int, Tensor]) -> Tensor:
        if id(self) in known:
            return known[id(self)]

        def put(leaf: Any) -> Any:
            if isinstance(leaf, Scalar):
                return leaf._at(known)
            if isinstance(leaf, Tensor):
                leaf = leaf.detach().cpu().reshape(())
                return leaf.double() if leaf.is_floating_point() else leaf
            return leaf

        args = tree_map(put, self.args)
        if self.function._schema.is_mutable and isinstance(args[0], Tensor):
            args = (args[0].clone(), *args[1:])
        out: Tensor = self.function(*args, **tree_map(put, self.kwargs))
        known[id(self)] = out
        return out

    def starts(self) -> list[Scalar]:
        """The functions that all branches pass, the nearest first: each may stand for the entry."""
        order: list[Scalar] = []
        seen: set[int] = set()

        def visit(tree: Scalar) -> None:
            if id(tree) not in seen:
                seen.add(id(tree))
                for part in tree.parts:
                    visit(part)
                order.append(tree)

        visit(self)
        return [tree for tree in reversed(order[:-1]) if self._passes(tree)]

    def _passes(self, through: Scalar) -> bool:
        """Whether no branch reaches the entries without this function."""
        front, seen = [self], {id(through)}
        while front:
            tree = front.pop()
            if id(tree) in seen:
                continue
            seen.add(id(tree))
            if tree.function is None:
                return False
            front.extend(tree.parts)
        return True

    def steepest(self, usable: Callable[[int], bool]) -> tuple[int, float, Bounds] | None:
        """The node it is best seen as a function of, its slope, and its bounds; None if no slope.

        The nearest function that all branches pass is tried first, so that a chain of activations
        has the product of their slopes, as in another spelling.
        """
        for start in self.starts():
            if start.node is None or (start.function is not None and not usable(start.node)):
                continue
            key = self._key({id(start): "x"})
            if key not in _found:
                slope = self.slope(start)
                ends = None if slope is None else self.bounds(start)
                if len(_found) >= REMEMBERED:
                    _found.clear()
                _found[key] = slope, ends
            slope, ends = _found[key]
            if slope is not None and ends is not None:
                return start.node, slope, ends
        return None

    def _key(self, known: dict[int, Hashable]) -> Hashable:
        """What it computes, in terms of a start that is known."""
        if id(self) not in known:

            def put(leaf: Any) -> Hashable:
                if isinstance(leaf, Scalar):
                    return leaf._key(known)
                return leaf.item() if isinstance(leaf, Tensor) else str(leaf)

            leaves: list[Hashable] = []
            tree_map(lambda leaf: leaves.append(put(leaf)), (self.args, self.kwargs))
            # a number stands for what is shared, so that a key is no longer than its tree
            known[id(self)] = hash((str(self.function), *leaves))
        return known[id(self)]

    def slope(self, start: Scalar) -> float | None:
        """Its Lipschitz constant on the real line, None if it has none.

        The largest difference quotient on a grid, and on finer ones round the steepest places:
        from below, by 1e-9 of itself where the slope is smooth and 1e-7 next to a kink.
        """
        line = _line()
        values = self(line, start)
        if not values.is_floating_point() or values.shape != line.shape:
            return None
        if not bool(torch.isfinite(values).all()):
            return None
        first, second = self(torch.tensor([0.0, 1.0], dtype=torch.float64), start).tolist()
        if torch.allclose(values, first + (second - first) * line, rtol=1e-12, atol=1e-9):
            return float(abs(second - first))
        quotient = (values.diff() / line.diff()).abs()
        best = float(quotient.max())
        near = float(quotient[line[1:].abs() < 1e3].max())
        if best > near * (1 + GROWTH):
            return None
        for function, slope in KNOWN:
            close = torch.isclose(function(line), values, rtol=1e-9, atol=1e-9)
            if abs(best / slope - 1) < GROWTH and bool(close.all()):
                return slope
        for place in torch.topk(quotient, 8).indices.tolist():
            low, high = float(line[max(place - 1, 0)]), float(line[min(place + 2, len(line) - 1)])
            for _ in range(2):
                grid = torch.linspace(low, high, 1001, dtype=torch.float64)
                steps = (self(grid, start).diff() / grid.diff()).abs()
                index = int(steps.argmax())
                if float(steps[index]) > 2 * near + 1e-9:
                    return None  # it jumps
                best = max(best, float(steps[index]))
                low, high = float(grid[max(index - 1, 0)]), float(grid[min(index + 2, 1000)])
                if high - low < 1e-4 * max(abs(low), 1):
                    break
        # The slopes of lines that meet in kinks are known but for rounding.
        tenth = round(best, 1)
        return tenth if abs(best - tenth) < 1e-8 else best

    def bounds(self, start: Scalar) -> Bounds:
        """Between which its values lie."""
        line = _line()
        values = self(line, start)
        low, high = float(values.min()), float(values.max())
        middle = values[line.abs() < 1e3]
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
        return tracer.scalars.get(id(args[0]))
    if name not in ENTRYWISE:
        return None
    bases: list[int] = []
    shapes: list[torch.Size] = []

    def take(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        known = tracer.scalars.get(id(leaf))
        value = tracer.values.get(id(leaf))
        if known is None and value is None:
            if leaf.numel() != 1 or tracer.trained(leaf):
                bases.append(-1)
            elif tracer.names_of(leaf):
                tracer.fixed = False  # a buffer may change, and the slope with it
            return leaf
        if known is None and value is not None:
            known = tracer.entries(value.node)
        assert known is not None
        bases.append(known.base)
        shapes.append(leaf.shape)
        return known

    taken = tree_map(take, args), tree_map(take, kwargs)
    if not bases or -1 in bases or len(set(bases)) > 1 or len(set(shapes)) != 1:
        return None
    whole = Scalar(bases[0], function, *taken, joins=len(bases) > 1)
    whole.depth = 1 + max(part.depth for part in whole.parts)
    return whole if whole.depth <= DEEPEST else None
