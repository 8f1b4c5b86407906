"""Products and quotients, entry by entry."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from deepnorm.norms import patterns
from deepnorm.norms.calls import INFINITE, Call, Value
from deepnorm.norms.rules.entrywise import magnitude
from deepnorm.norms.rules.registry import rule
from deepnorm.norms.rules.sums import broadcast

__all__ = ["product", "times"]

GATE = (
    "a gate, a factor between 0 and 1 that depends on the input, counts as 1; its matrices enter "
    "eq. (2) as a chain of gain 1"
)


def product(
    call: Call,
    operands: list[Any],
    what: str,
    factors: list[float] | None = None,
    local: list[float] | None = None,
) -> None:
    """Several tensors that depend on the input, multiplied."""
    call.emit("product", operands, factors, note=f"{what}: {patterns.CHAIN}", local=local)


@rule("mul", "multiply")
def multiply(call: Call) -> None:
    """By a number, a constant tensor, a parameter (a diagonal matrix) or other data."""
    first, second = call["self"], call["other"]
    if len(call.data) > 1:
        if not patterns.normalised(call, first, second):
            both(call, first, second)
        return
    data, other = (first, second) if call.node(first) is not None else (second, first)
    times(call, data, other)


def times(call: Call, data: Tensor, other: Any, *, divides: bool = False) -> None:
    """Data times, or divided by, a constant or a parameter."""
    spread = broadcast(call, data)
    if call.tracer.trained(other):
        inner: Any = call.through(data, spread, tag="copies") if spread != 1 else data
        reads = torch.reciprocal if divides else None
        call.gain(
            inner,
            other,
            call.result.numel(),
            reads=reads,
            reason="enters eq. (2) as a diagonal matrix",
        )
        return
    call.constant(other)
    if isinstance(other, Tensor) and other.dtype == torch.bool:
        other = other.to(data.dtype)
    by = 1 / other if divides else other
    ends = [a * b for a in _finite(call.bounds(data)) for b in _finite(call.bounds(by))]
    bounds = (min(ends), max(ends)) if ends else INFINITE
    if isinstance(by, Tensor) and by.numel() == 1:
        by = by.detach().reshape(()).item()
    single = not isinstance(by, Tensor) and spread == 1
    real = not isinstance(by, complex)
    index = call.through(
        data,
        spread * magnitude(by),
        tag="scale" if single else "",
        weights=[float(by)] if single and real else None,
        bounds=bounds,
    )
    moved = call.inputs[id(data)].moved
    if single and moved is not None:
        moved = replace(moved, factor=moved.factor * magnitude(by))
        call.tracer.put(call.result, Value(index, (), bounds, moved))


def _finite(bounds: tuple[float, float]) -> tuple[float, ...]:
    return bounds if all(math.isfinite(end) for end in bounds) else ()


def both(call: Call, first: Tensor, second: Tensor) -> None:
    """Two tensors that depend on the input: bounded ones, a gate, or a chain by convention."""
    ends = [call.bounds(t) for t in (first, second)]
    sizes = [max(abs(low), abs(high)) for low, high in ends]
    spreads = [broadcast(call, t) for t in (first, second)]
    local = [
        spread * magnitude(other) for spread, other in zip(spreads, (second, first), strict=True)
    ]
    bounded = sizes[0] * sizes[1] if all(map(math.isfinite, sizes)) else math.inf
    bounds = (0.0 if min(ends[0][0], ends[1][0]) >= 0 else -bounded, bounded)
    gates = [place for place in (0, 1) if ends[place][0] >= 0 and ends[place][1] <= 1]
    if math.isfinite(bounded):  # |d(ab)| <= max|a| |db| + max|b| |da|
        factors = [spreads[0] * sizes[1], spreads[1] * sizes[0]]
        call.emit("add", [first, second], factors, bounds=bounds, local=local)
    elif gates:
        place = gates[0]
        factors = [1.0 if i == place else spreads[i] for i in (0, 1)]
        operands = [first, second]
        call.emit("product", operands, factors, gates=(place,), note=GATE, local=local)
    elif first is second:
        call.unknown("a square has no Lipschitz constant", [first])
    else:
        product(call, [first, second], "product", spreads, local)


@rule("div", "divide", "true_divide")
def divided(call: Call) -> None:
    """By a constant or a parameter; by data only where that is a statistic of what is divided."""
    first, second = call["self"], call["other"]
    if call.node(second) is None:
        times(call, first, second, divides=True)
        if call.get("rounding_mode"):
            call.unknown("it rounds, and jumps", [call.emitted[-1]])
    elif call.node(first) is None or not patterns.normalised(call, first, second, divides=True):
        call.unknown("it divides by something that depends on the input", call.data)


@rule("reciprocal", "rsqrt", "sqrt", "exp", "exp2", "expm1", "log", "log1p", "log2", "log10")
def steep(call: Call) -> None:
    """Without a Lipschitz constant on the real line."""
    call.unknown("it has no Lipschitz constant", [call.data[0]])


@rule("pow", "square")
def power(call: Call) -> None:
    """Powers but the first have none."""
    exponent = call.get("exponent", 2)
    if not isinstance(exponent, Tensor) and exponent == 1:
        call.through(call.data[0], tag="shape")
    else:
        call.unknown("a power has no Lipschitz constant", call.data)
