"""Sums, averages, and tensors side by side."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from deepnorm.norms import patterns
from deepnorm.norms.calls import Call, Cut, Moved, Value, tensors_in
from deepnorm.norms.rules.registry import rule

__all__ = ["broadcast"]


def broadcast(call: Call, tensor: Tensor) -> float:
    """What copying to the size of the result does to a norm."""
    return math.sqrt(call.result.numel() / max(tensor.numel(), 1))


@rule("add", "sub", "subtract", "rsub")
def add(call: Call) -> None:
    """A sum of two tensors that depend on the input, or of one and a constant."""
    first, second, alpha = call["self"], call["other"], float(call.get("alpha", 1))
    signs = {"add": (1.0, alpha), "rsub": (-alpha, 1.0)}.get(call.name, (1.0, -alpha))
    terms = [
        (term, sign)
        for term, sign in zip((first, second), signs, strict=True)
        if call.node(term) is not None
    ]
    for term in (first, second):
        if call.node(term) is None:
            call.role(term, "additive", "an additive constant does not enter eq. (2)")
    operands = [term for term, _ in terms]
    spreads = [broadcast(call, term) for term in operands]
    factors = [abs(sign) * spread for (_, sign), spread in zip(terms, spreads, strict=True)]
    weights = [sign for _, sign in terms] if set(spreads) == {1.0} else None
    bounds = _sum_bounds(call, (first, second), signs)
    if len(operands) == 1:
        _shifted(call, operands[0], factors[0], spreads[0], weights, bounds)
    elif first is second:
        call.through(first, abs(sum(signs)), tag="scale", weights=[sum(signs)])
    elif not patterns.special_sum(call, operands, weights, spreads):
        node = call.emit("add", operands, factors, weights=weights, bounds=bounds)
        cuts = tuple(cut for term in operands for cut in call.inputs[id(term)].cuts)
        plain = weights == [1.0, 1.0] and all(call.inputs[id(term)].cuts for term in operands)
        call.tracer.put(call.result, Value(node, cuts if plain else (), bounds))


def _shifted(
    call: Call,
    data: Tensor,
    factor: float,
    spread: float,
    weights: list[float] | None,
    bounds: tuple[float, float],
) -> None:
    """Data plus a constant."""
    tag = "shape" if factor == 1 else "scale" if spread == 1 else "copies"
    index = call.through(data, factor, tag=tag, weights=weights, bounds=bounds)
    cuts = call.inputs[id(data)].cuts
    if factor == 1 and weights == [1.0] and cuts:
        moved = tuple(Cut(c.origin, index if len(cuts) == 1 else c.node, c.rows) for c in cuts)
        call.tracer.put(call.result, Value(index, moved, bounds))


def _sum_bounds(call: Call, terms: Any, signs: Any) -> tuple[float, float]:
    low = high = 0.0
    for term, sign in zip(terms, signs, strict=True):
        ends = [sign * end for end in call.bounds(term)]
        low, high = low + min(ends), high + max(ends)
    return low, high


@rule("where", "masked_fill", "masked_scatter", "where_self")
def chosen(call: Call) -> None:
    """Entries of one tensor or of another, by a mask: side by side."""
    operands = [t for t in call.data if t.is_floating_point() or t.is_complex()]
    for tensor in tensors_in(call.arguments):
        if id(tensor) not in call.inputs:
            call.role(tensor, "additive", "an additive constant does not enter eq. (2)")
    ends = [
        call.bounds(t) for name, t in call.arguments.items() if name not in ("condition", "mask")
    ]
    bounds = min(low for low, _ in ends), max(high for _, high in ends)
    factors = [broadcast(call, t) for t in operands]
    if len(operands) == 1:
        tag = "shape" if factors[0] == 1 else "copies"
        call.through(operands[0], factors[0], tag=tag, bounds=bounds)
    elif operands:
        call.emit("stack", list(operands), factors, bounds=bounds)


@rule("lerp")
def lerp(call: Call) -> None:
    """Between two tensors: (1 - w) a + w b."""
    first, second, weight = call["self"], call["end"], call["weight"]
    if call.node(weight) is not None:
        if not patterns.mixture(call, first, second, weight):
            call.unknown("its weight depends on the input, and is not between 0 and 1")
        return
    low, high = call.bounds(weight)
    if isinstance(weight, Tensor) and call.tracer.trained(weight):
        call.role(weight, "weight of a mean", "counts by its size, as a constant does")
        call.tracer.fixed = False
    sizes = (max(abs(1 - low), abs(1 - high)), max(abs(low), abs(high)))
    pairs = [
        (t, size * broadcast(call, t))
        for t, size in zip((first, second), sizes, strict=True)
        if call.node(t) is not None
    ]
    kind = "add" if len(pairs) > 1 else "map"
    call.emit(kind, [t for t, _ in pairs], [factor for _, factor in pairs])


@rule("cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack", "column_stack")
def side_by_side(call: Call) -> None:
    """Parts of one vector: the root of the sum of squares."""
    operands = call.data
    for tensor in tensors_in(call.arguments):
        if id(tensor) not in call.inputs:
            call.role(tensor, "additive", "a constant part of a vector does not enter eq. (2)")
    ends = [call.bounds(t) for t in tensors_in(call["tensors"]) if t.numel()]
    bounds = min(low for low, _ in ends), max(high for _, high in ends)
    if len(operands) == 1:
        call.through(operands[0], tag="shape", bounds=bounds)
        return
    parts = [call.inputs[id(t)].moved for t in operands]
    if all(part is not None and part.node == parts[0].node for part in parts):  # type: ignore[union-attr]
        together = [part for part in parts if part is not None]
        call.emit("map", [together[0].node], [_reassembled(together)], bounds=bounds)
        return
    call.emit("stack", list(operands), bounds=bounds)


def _reassembled(parts: list[Moved]) -> float:
    """The norm of parts of one tensor side by side: of the entry that stands in most of them."""
    counts = torch.zeros(1 + max(int(part.places.max()) for part in parts), dtype=torch.float64)
    for part in parts:
        places = part.places[part.places >= 0].cpu()
        counts.index_add_(
            0, places, torch.full((len(places),), part.factor**2, dtype=torch.float64)
        )
    return math.sqrt(float(counts.max()))


@rule("copy", "fill", "zero")
def overwritten(call: Call) -> None:
    """All of a tensor is replaced."""
    target = call["self"]
    value = call.get("src", call.get("value", 0.0))
    node = call.node(value)
    if node is None:
        return
    factor = math.sqrt(target.numel() / max(value.numel(), 1))
    whole = call.inputs[id(value)]
    index = call.through(value, factor, tag="shape" if factor == 1 else "copies")
    cuts = whole.cuts if len(whole.cuts) == 1 and value.shape == target.shape else ()
    moved = tuple(Cut(cut.origin, index, cut.rows) for cut in cuts)
    call.tracer.put(target, Value(index, moved, whole.bounds))


@rule("slice_scatter", "select_scatter", "diagonal_scatter", "index_copy", "scatter", "index_fill")
def part_overwritten(call: Call) -> None:
    """Part of a tensor is replaced: old and new side by side."""
    parts = [t for t in call.data if t.is_floating_point()]
    call.emit("stack" if len(parts) > 1 else "map", list(parts))


@rule("index_put")
def written_by_index(call: Call) -> None:
    """Entries replaced, or added to."""
    values, places = call["values"], call["indices"]
    parts = [t for t in (call["self"], values) if call.node(t) is not None]
    filled = call.result[tuple(slice(None) if i is None else i for i in places)]
    spread = math.sqrt(filled.numel() / max(values.numel(), 1))
    adds = bool(call.get("accumulate"))
    if adds:
        if any(call.node(index) is not None for index in tensors_in(places)):
            call.unknown("it adds to entries that are chosen by data")
            return
        ones = torch.ones_like(filled, dtype=torch.float64)
        counts = torch.zeros_like(call.result, dtype=torch.float64)
        counts = torch.ops.aten.index_put(counts, places, ones, True)
        spread *= math.sqrt(float(counts.max()))
    factors = [spread if t is values else 1.0 for t in parts]
    kind = "map" if len(parts) == 1 else "add" if adds else "stack"
    call.emit(kind, list(parts), factors)


@rule("mean", "sum", "nanmean", "nansum")
def reduced(call: Call) -> None:
    """Adding n entries multiplies a norm by at most sqrt(n); a mean divides by n."""
    data = call["self"]
    count = data.numel() / max(call.result.numel(), 1)
    low, high = call.bounds(data)
    if call.name == "sum" and patterns.summed_product(call):
        return
    if "sum" in call.name:
        bounds = (low * count, high * count)
        call.through(data, math.sqrt(count), bounds=bounds)
    else:
        call.through(data, 1 / math.sqrt(count), bounds=(low, high))


@rule("var", "std", "var_mean", "std_mean")
def spread(call: Call) -> None:
    """Standard deviations are 1-Lipschitz times a root; variances have no Lipschitz constant."""
    data = call["self"]
    if not call.name.startswith("std"):
        call.unknown("a variance has no Lipschitz constant")
        return
    count = data.numel() / max(call.result.numel(), 1)
    correction = call.get("correction")
    if correction is None:
        correction = 1 if call.get("unbiased", True) else 0
    factor = 1 / math.sqrt(max(count - correction, 1e-300))
    if call.name == "std_mean":
        factor = math.hypot(factor, 1 / math.sqrt(count))
    call.through(data, factor)


@rule("cumsum")
def running_sum(call: Call) -> None:
    """Its matrix of ones below the diagonal has the norm 1/(2 sin(pi/(4n+2)))."""
    n = call["self"].shape[call["dim"]] if call["self"].dim() else 1
    call.through(call["self"], 1 / (2 * math.sin(math.pi / (4 * n + 2))))
