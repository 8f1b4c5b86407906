"""Several operators that are one thing: found by how a node came about, whatever the spelling.

Norms written out, softmax written out, straight-through estimators, means with a gate for weight,
propagation along the edges of a graph, and matrices of low rank beside a matrix.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from deepnorm.norms import lipschitz, scalars
from deepnorm.norms.graph import Node, Source, Use
from deepnorm.norms.maps import Dense

if TYPE_CHECKING:
    from deepnorm.norms.calls import Call, Made, Tracer

__all__ = [
    "CHAIN",
    "STRAIGHT_THROUGH",
    "attended",
    "mixture",
    "normalised",
    "propagated",
    "special_sum",
    "summed_product",
]

CHAIN = (
    "a product of tensors that depend on the input is not globally Lipschitz; by convention its "
    "factors count as a chain"
)

STRAIGHT_THROUGH = (
    "straight-through estimator: a step function with the gradient of the identity; it counts as "
    "the identity"
)
WRITTEN_OUT = (
    "a norm written out: dividing by a statistic of the input is not globally Lipschitz; it counts "
    "as 1 by convention"
)
MIXTURE = (
    "a mean of two tensors with a gate for weight counts as their sum, the gate as 1; its matrices "
    "enter eq. (2) as a chain of gain 1"
)
#: Steps back that are looked at: a statistic has a dozen operators at most.
DEEP = 16
CASTS = scalars.CASTS | {"clone"}
LOOKS = CASTS | frozenset(
    (
        *("contiguous", "alias", "view", "reshape", "flatten", "unflatten", "unsqueeze", "squeeze"),
        *("expand", "expand_as", "permute", "transpose", "_unsafe_view", "_reshape_alias", "t"),
        *("broadcast_to", "view_as", "movedim", "lift_fresh", "positive"),
    )
)
#: What takes rows by an index, and what adds them up.
TAKES = frozenset(("index_select", "index", "gather"))
SUMS = frozenset(("sum", "scatter_add", "index_add", "scatter_reduce"))


def _stem(tracer: Tracer, node: int, through: frozenset[str] = LOOKS) -> int:
    """The node of which this is another view."""
    while (made := tracer.made.get(node)) is not None and made.name in through:
        if len(made.operands) != 1:
            break
        node = made.operands[0]
    return node


def _equal(tracer: Tracer, first: int, second: int, depth: int = 0) -> bool:
    """Whether two nodes are the same, or were made alike of the same."""
    first, second = _stem(tracer, first), _stem(tracer, second)
    if first == second:
        return True
    one, two = tracer.made.get(first), tracer.made.get(second)
    if one is None or two is None or depth > DEEP:
        return False
    if one.name != two.name or len(one.operands) != len(two.operands) or not one.operands:
        return False

    def others(made: Made) -> list[Any]:
        values = made.arguments.values()
        return [id(v) if isinstance(v, Tensor) else str(v) for v in values if not _data(tracer, v)]

    return others(one) == others(two) and all(
        _equal(tracer, a, b, depth + 1) for a, b in zip(one.operands, two.operands, strict=True)
    )


def _data(tracer: Tracer, value: Any) -> bool:
    return isinstance(value, Tensor) and id(value) in tracer.values


def _mean_of(tracer: Tracer, node: int) -> int | None:
    """The node of which this is the mean over some axes."""
    made = tracer.made.get(_stem(tracer, node))
    if made is None or made.name not in ("mean", "var_mean", "std_mean"):
        return None
    return _stem(tracer, made.operands[0])


def _root(tracer: Tracer, node: int) -> int:
    """The node of which this is another view, less its mean."""
    node = _stem(tracer, node)
    made = tracer.made.get(node)
    if made is not None and made.name == "sub" and len(made.operands) == 2:
        first = _stem(tracer, made.operands[0])
        if _mean_of(tracer, made.operands[1]) == first:
            return _root(tracer, first)
    return node


@dataclass(frozen=True)
class _Size:
    """Of which node something is a size, which power of it, and whether by a root of squares."""

    node: int
    power: float
    euclidean: bool = True

    def to(self, exponent: float) -> _Size:
        """A power of it."""
        return replace(self, power=self.power * exponent)


def _power(tracer: Tracer, node: int) -> _Size | None:
    """What the entries are a power of, in absolute value, and which."""
    node = _stem(tracer, node)
    made = tracer.made.get(node)
    if made is None:
        return None
    squares = made.name == "mul" and len(made.operands) == 2
    if squares and _stem(tracer, made.operands[0]) == _stem(tracer, made.operands[1]):
        return _Size(_root(tracer, made.operands[0]), 2.0)
    if made.name == "square" or (made.name == "pow" and made.arguments.get("exponent") == 2):
        return _Size(_root(tracer, made.operands[0]), 2.0)
    if made.name == "abs":
        return _Size(_root(tracer, made.operands[0]), 1.0, False)
    return None


def _statistic(tracer: Tracer, node: int, depth: int = 0) -> _Size | None:
    """Of which node this is a size, and which power of it: mean(x^2) is (x, 2)."""
    made = tracer.made.get(node)
    if made is None or depth > DEEP or not made.operands:
        return None
    name, first = made.name, made.operands[0]
    if name in ("mean", "sum", "amax", "max"):
        positive = name in ("mean", "sum") and tracer.nodes[first].bounds[0] >= 0
        own = _Size(_root(tracer, first), 1.0, False) if positive else None
        return _power(tracer, first) or _statistic(tracer, first, depth + 1) or own
    sizes = {"var": 2.0, "var_mean": 2.0, "std": 1.0, "std_mean": 1.0, "norm": 1.0}
    if name in sizes or name == "linalg_vector_norm":
        euclidean = made.arguments.get("p", made.arguments.get("ord", 2)) in (2, None, "fro")
        return _Size(_root(tracer, first), sizes.get(name, 1.0), euclidean)
    if name == "sub" and len(made.operands) == 2:  # mean(x^2) - mean(x)^2
        inner = _statistic(tracer, first, depth + 1)
        square = tracer.made.get(_stem(tracer, made.operands[1]))
        if inner is None or inner.power != 2 or square is None:
            return None
        squared = square.name in ("pow", "square", "mul")
        return inner if squared and _mean_of(tracer, square.operands[0]) == inner.node else None
    if len(made.operands) > 1:
        return None
    exponent = made.arguments.get("exponent")
    powers = {"sqrt": 0.5, "rsqrt": -0.5, "reciprocal": -1.0, "square": 2.0}
    if name == "pow" and isinstance(exponent, (int, float)):
        powers["pow"] = float(exponent)
    same = name in LOOKS or name in (
        *("add", "sub", "mul", "div", "clamp_min", "clamp", "maximum", "clip", "masked_fill"),
    )
    if not same and name not in powers:
        return None
    inner = _statistic(tracer, first, depth + 1)
    return None if inner is None else inner.to(powers.get(name, 1.0))


def normalised(call: Call, first: Tensor, second: Tensor, *, divides: bool = False) -> bool:
    """A tensor over a size of itself, as layer norm, RMS norm and softmax are."""
    tracer = call.tracer
    if divides and _softmax(call, first, second):
        return True
    pairs = [(first, second)] if divides else [(first, second), (second, first)]
    for data, size in pairs:
        nodes = [call.node(t) for t in (data, size)]
        assert nodes[0] is not None
        assert nodes[1] is not None
        found = _statistic(tracer, nodes[1])
        if found is None or not math.isclose(found.power, 1.0 if divides else -1.0):
            continue
        root, own = _root(tracer, nodes[0]), _statistic(tracer, nodes[0])
        if found.node != root and (own is None or own.node != found.node):
            continue
        values = size.detach().double().abs()
        local = 1 / float(values.min()) if divides else float(values.max())
        if not found.euclidean:
            # x/s(x) has the derivative (1 - x (grad s)^T/s)/s, an oblique projection: for a mean of
            # absolute values, or the largest, its norm is at most the root of their number.
            local *= math.sqrt(data.numel())
        call.emit("map", [data], local=[local], note=WRITTEN_OUT)
        return True
    return False


def _softmax(call: Call, first: Tensor, second: Tensor) -> bool:
    """exp(x) / sum(exp(x)), perhaps with the largest x taken off before."""
    tracer = call.tracer
    over, under = call.node(first), call.node(second)
    assert over is not None
    assert under is not None
    over, under = _stem(tracer, over), _stem(tracer, under)
    # Over the edges of a graph the sum is one by an index, and is handed back by it.
    under = _stem(tracer, under, LOOKS | TAKES | {"add"})
    top, bottom = tracer.made.get(over), tracer.made.get(under)
    if top is None or bottom is None or top.name != "exp" or bottom.name not in SUMS:
        return False
    if not _equal(tracer, bottom.operands[0], over):
        return False
    base = top.operands[0]
    inner = tracer.made.get(base)
    if inner is not None and inner.name == "sub" and len(inner.operands) == 2:
        largest = tracer.made.get(_stem(tracer, inner.operands[1], LOOKS | TAKES))
        same = largest is not None and largest.name in ("max", "amax", "scatter_reduce")
        own = LOOKS | {"detach"}
        if same and _stem(tracer, largest.operands[0], own) == _stem(tracer, inner.operands[0]):  # type: ignore[union-attr]
            base = inner.operands[0]
    call.through(base, 0.5, tag="softmax", bounds=(0.0, 1.0))
    return True


# ------------------------------------------------------------------------------ sums


def summed_product(call: Call) -> bool:
    """The sum of a product, entry by entry, over some axes: a scalar product of two tensors.

    With a parameter for one of them it is a dense matrix of one row, or one for each block.
    """
    tracer, data = call.tracer, call["self"]
    node = call.node(data)
    made = None if node is None else tracer.made.get(node)
    if node is None or made is None or made.name != "mul" or call.get("dtype") is not None:
        return False
    given = call.get("dim")
    given = range(data.dim()) if given is None else given
    axes = sorted(axis % data.dim() for axis in (given if not isinstance(given, int) else [given]))
    factors = made.arguments["self"], made.arguments["other"]
    if not axes or not all(isinstance(t, Tensor) for t in factors):
        return False
    if len(made.operands) == 2:
        if tracer.nodes[node].kind != "product" or tracer.nodes[node].gates:
            return False
        spreads = [math.sqrt(data.numel() / max(t.numel(), 1)) for t in factors]
        sizes = [
            float(torch.linalg.vector_norm(_whole(t, data), dim=axes).max()) for t in factors[::-1]
        ]
        local = [spread * size for spread, size in zip(spreads, sizes, strict=True)]
        note = f"a scalar product: {CHAIN}"
        call.emit("product", list(made.operands), spreads, note=note, local=local)
        return True
    number = tracer.nodes[node].use
    weight = next((t for t in factors if tracer.trained(t)), None)
    if number is None or weight is None or tracer.uses[number].map.rows != data.numel():
        return False
    shape = (1,) * (data.dim() - weight.dim()) + tuple(weight.shape)
    if any(shape[axis] != data.shape[axis] for axis in axes):
        return False
    blocks = [axis for axis in range(data.dim()) if axis not in axes and shape[axis] > 1]
    rows = (math.prod(shape[axis] for axis in blocks), 1, math.prod(shape[axis] for axis in axes))
    order = [*blocks, *(axis for axis in range(data.dim()) if axis not in blocks)]

    def reads(tensor: Tensor) -> Tensor:
        return tensor.reshape(shape).permute(order).reshape(rows if blocks else rows[1:])

    kind = Dense(rows if blocks else rows[1:], call.result.numel() // rows[0])
    parent = tracer.nodes[node].parents[0]
    call.layer(parent, "dense", kind, weight, reads=reads, label=tracer.uses[number].label)
    return True


def _whole(tensor: Tensor, like: Tensor) -> Tensor:
    """A constant or data in double precision, of the size of a product."""
    return torch.broadcast_to(tensor.detach().double(), like.shape)


def special_sum(
    call: Call, operands: list[Tensor], weights: list[float] | None, spreads: list[float]
) -> bool:
    """A sum of two that is less than the sum of its terms."""
    nodes = [call.inputs[id(t)].node for t in operands]
    tracer = call.tracer
    signs = weights or [1.0, -1.0 if call.name in ("sub", "subtract") else 1.0]
    if signs == [1.0, -1.0] and spreads[0] == 1:
        mean = _mean_of(tracer, nodes[1])
        if mean is not None and mean == _stem(tracer, nodes[0]):  # a projection
            call.through(operands[0])
            return True
    if weights is None:
        return False
    return (
        _cancelled(call, nodes, weights)
        or (weights == [1.0, 1.0] and _mixed(call, nodes))
        or (tracer.merge and weights == [1.0, 1.0] and _low_rank(call, nodes))
    )


def _cancelled(call: Call, nodes: list[int], weights: list[float]) -> bool:
    """X + (q - x) is q; where the second x is detached, q counts as x does."""
    terms: dict[tuple[int, bool], float] = {}
    size = sum(
        _expand(call.tracer, node, weight, False, terms, 0)
        for node, weight in zip(nodes, weights, strict=True)
    )
    left = sum(map(abs, terms.values()))
    through = any(
        terms[node, False] and math.isclose(terms[node, False], -terms.get((node, True), 0.0))
        for node, detached in terms
        if not detached
    )
    if through:
        kept = {node: weight for (node, detached), weight in terms.items() if not detached}
    elif left < size * (1 - 1e-9):
        kept = {}
        for (node, _), weight in terms.items():
            kept[node] = kept.get(node, 0.0) + weight
    else:
        return False
    kept = {node: weight for node, weight in kept.items() if abs(weight) > 1e-12 * size}
    if kept:
        signs = list(kept.values())
        kind = "add" if len(kept) > 1 else "map"
        note = STRAIGHT_THROUGH if through else ""
        local = [math.inf] * len(kept) if through else None
        tag = "shape" if signs == [1.0] and not through else ""
        factors = [abs(sign) for sign in signs]
        call.emit(kind, list(kept), factors, weights=signs, note=note, local=local, tag=tag)
    return True


def _expand(
    tracer: Tracer,
    node: int,
    weight: float,
    detached: bool,
    terms: dict[tuple[int, bool], float],
    depth: int,
) -> float:
    """A node as a sum of others; the sum of the sizes of the weights, nothing cancelled."""
    here = tracer.nodes[node]
    if depth < 6:
        if here.tag == "detach":
            return _expand(tracer, here.parents[0], weight, True, terms, depth + 1)
        if here.kind in ("add", "map") and here.weights is not None and not here.note:
            return sum(
                _expand(tracer, parent, weight * sign, detached, terms, depth + 1)
                for parent, sign in zip(here.parents, here.weights, strict=True)
            )
        if here.tag == "shape" and here.name in CASTS:
            return _expand(tracer, here.parents[0], weight, detached, terms, depth + 1)
    terms[node, detached] = terms.get((node, detached), 0.0) + weight
    return abs(weight)


def _mixed(call: Call, nodes: list[int]) -> bool:
    """N + z (h - n) and (1 - z) n + z h, where z lies between 0 and 1."""
    tracer = call.tracer

    def gated(node: int) -> list[tuple[int, int]]:
        """The gates of a product, each with what it acts on."""
        made = tracer.made.get(node)
        if made is None or made.name != "mul" or len(made.operands) != 2:
            return []
        return [
            (gate, content)
            for gate, content in itertools.permutations(made.operands)
            if tracer.nodes[gate].bounds[0] >= 0 and tracer.nodes[gate].bounds[1] <= 1
        ]

    for plain, part in itertools.permutations(nodes):
        for gate, content in gated(part):
            inner = tracer.nodes[content]
            if inner.kind == "add" and inner.weights in ([1.0, -1.0], [-1.0, 1.0]):
                plus = inner.parents[inner.weights.index(1.0)]
                minus = inner.parents[inner.weights.index(-1.0)]
                if minus == plain:
                    _mix(call, plus, minus, gate)
                    return True
            made = tracer.made.get(content)
            if inner.kind == "map" and inner.weights == [-1.0] and inner.parents == [plain]:
                assert made is not None
                fixed = [v for v in made.arguments.values() if not _data(tracer, v)]
                if made.name in ("sub", "rsub") and _mix_fixed(
                    call, plain, fixed[0], gate, content
                ):
                    return True
    for one, other in itertools.permutations(nodes):
        for (rest, first), (gate, second) in itertools.product(gated(one), gated(other)):
            complement = tracer.nodes[rest]
            if complement.weights == [-1.0] and complement.parents == [gate]:
                _mix(call, second, first, gate)
                return True
    return False


def _mix(call: Call, first: int, second: int, gate: int) -> None:
    """A mean of two nodes: Lipschitz if they are bounded, else a gate by convention."""
    tracer, size = call.tracer, call.result.numel()
    ends = [tracer.nodes[node].bounds for node in (first, second)]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    apart = max(ends[0][1] - ends[1][0], ends[1][1] - ends[0][0])
    if math.isfinite(apart):
        call.emit("add", [first, second, gate], [1.0, 1.0, apart], bounds=(low, high))
        return
    inner = tracer.append(Node("add", [first, second], [1.0, 1.0], size=size, name="mean"))
    call.emit("product", [gate, inner], gates=(0,), local=[math.inf, 1.0], note=MIXTURE)


def _mix_fixed(call: Call, plain: int, fixed: Any, gate: int, content: int) -> bool:
    """A mean of a node and a constant, where both are bounded."""
    nodes = call.tracer.nodes
    ends = [nodes[plain].bounds, call.bounds(fixed)]
    apart = max(map(abs, nodes[content].bounds))
    if not math.isfinite(apart):
        return False
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    call.emit("add", [plain, gate], [1.0, apart], bounds=(low, high))
    return True


def mixture(call: Call, first: Tensor, second: Tensor, weight: Tensor) -> bool:
    """(1 - w) a + w b with a gate w; False if w may leave the numbers from 0 to 1."""
    low, high = call.bounds(weight)
    nodes = [call.node(t) for t in (first, second, weight)]
    if low < 0 or high > 1 or None in nodes:
        return False
    a, b, gate = (node for node in nodes if node is not None)
    _mix(call, b, a, gate)
    return True


# -------------------------------------------------------------------- graphs, low rank


def propagated(call: Call) -> bool:
    """Rows of x, taken along the edges of a graph, weighted and added up: one sparse matrix."""
    source = call.get("src", call.get("source"))
    node, index = call.node(source), _rows_added(call, source)
    if node is None or index is None or call.get("reduce", "sum") not in ("sum", "mean"):
        return False
    edges = len(index)
    weights = torch.full((edges,), float(call.get("alpha", 1)), dtype=torch.float64)
    made: Made | None
    while (made := call.tracer.made.get(node)) is not None:
        if made.name in CASTS or made.name == "contiguous":
            node = made.operands[0]
        elif made.name == "mul" and len(made.operands) == 1:
            other = _other(call, made, node)
            if other is None:
                return False
            weights = weights * other
            node = made.operands[0]
        elif made.name in ("index_select", "index") and len(made.operands) == 1:
            break
        else:
            return False
    if made is None or (taken := _rows_taken(made, edges)) is None:
        return False
    rows, columns = call.result.shape[0], made.arguments["self"].shape[0]
    if call.get("reduce") == "mean":
        weights = weights / torch.bincount(index, minlength=rows)[index]
    values, into, out_of = (t.cpu().numpy() for t in (weights, index, taken))
    factor = lipschitz.sparse_norm(values, into, out_of, (rows, columns))
    call.emit("map", [made.operands[0]], [factor])
    return True


def _rows_added(call: Call, source: Tensor) -> Tensor | None:
    """Where each row of a tensor is added to, if whole rows are, and to a constant."""
    index = call["index"]
    if call.node(call["self"]) is not None or call["dim"] not in (0, -source.dim()):
        return None
    while index.dim() > 1:
        if not bool((index == index.narrow(-1, 0, 1)).all()):
            return None
        index = index.select(-1, 0)
    return index if isinstance(index, Tensor) else None


def _rows_taken(made: Made, edges: int) -> Tensor | None:
    """Which rows a call has taken, one an edge."""
    taken = made.arguments.get("index", made.arguments.get("indices"))
    if isinstance(taken, (list, tuple)):
        taken = taken[0] if len(taken) == 1 else None
    first = made.arguments.get("dim", 0) in (0, -made.arguments["self"].dim())
    whole = isinstance(taken, Tensor) and first and taken.shape == (edges,)
    return taken if whole else None


def attended(call: Call) -> bool:
    """Rows weighted by a softmax over edges, and added up: a product of matrices, as attention."""
    tracer = call.tracer
    source = call.get("src", call.get("source"))
    node = call.node(source)
    index = None if node is None else _rows_added(call, source)
    made = None if node is None else tracer.made.get(node)
    if index is None or made is None or made.name != "mul" or len(made.operands) != 2:
        return False
    if call.get("reduce", "sum") != "sum" or call.get("alpha", 1) != 1:
        return False
    factors = [made.arguments["self"], made.arguments["other"]]
    for (gate, alpha), (content, values) in itertools.permutations(
        zip(made.operands, factors, strict=True)
    ):
        weights = tracer.nodes[_stem(tracer, gate, LOOKS | {"dropout"})]
        taken = tracer.made.get(content)
        if weights.tag != "softmax" or taken is None or taken.name not in TAKES:
            continue
        if (start := _rows_taken(taken, len(index))) is None:
            continue
        wide = torch.broadcast_to(alpha, source.shape).detach().double().cpu()
        squares = values.detach().double().cpu().square()
        ends, starts = index.cpu(), start.cpu()
        rows, columns = len(call.result), len(taken.arguments["self"])
        sizes = squares.new_zeros((rows, *squares.shape[1:])).index_add_(0, ends, squares)
        sums = [
            wide.new_zeros((n, *wide.shape[1:])).index_add_(0, place, wide)
            for n, place in ((rows, ends), (columns, starts))
        ]
        local = [
            math.sqrt(float(sizes.flatten(1).sum(1).max())),
            math.sqrt(float(sums[0].max() * sums[1].max())),
        ]
        note = f"a softmax over edges, times rows: {CHAIN}"
        call.emit("product", [gate, taken.operands[0]], note=note, local=local)
        return True
    return False


def _other(call: Call, made: Made, node: int) -> Tensor | None:
    """The constant of a product, one number an edge."""
    for key in ("self", "other"):
        value = made.arguments[key]
        if isinstance(value, (int, float)):
            return torch.tensor(float(value), dtype=torch.float64)
        if id(value) not in call.tracer.values and isinstance(value, Tensor):
            if call.tracer.trained(value) or value.numel() not in (1, made.shape[0]):
                return None
            return value.detach().double().reshape(-1).cpu()
    return None


def _low_rank(call: Call, nodes: list[int]) -> bool:
    """W x + s B A x as the one matrix W + s B A."""
    tracer = call.tracer

    def strip(node: int) -> tuple[int, float]:
        scale = 1.0
        while (here := tracer.nodes[node]).use is None and here.tag in ("shape", "scale"):
            if here.tag == "scale":
                if here.weights is None:
                    break
                scale *= here.weights[0]
            node = here.parents[0]
        return node, scale

    def dense(node: int) -> Use | None:
        number = tracer.nodes[node].use
        use = None if number is None else tracer.uses[number]
        plain = use is not None and isinstance(use.map, Dense) and len(use.map.shape) == 2
        return use if plain else None

    for one, two in itertools.permutations(nodes):
        main, (outer, scale) = strip(one)[0], strip(two)
        whole, up = dense(main), dense(outer)
        if whole is None or up is None or strip(one)[1] != 1.0:
            continue
        inner, more = strip(tracer.nodes[outer].parents[0])
        down = dense(inner)
        if down is None:
            continue
        start, last = strip(tracer.nodes[inner].parents[0])
        if start != strip(tracer.nodes[main].parents[0])[0]:
            continue
        factor = scale * more * last

        def read(tensors: Any, parts: Any = (whole, up, down), factor: float = factor) -> Tensor:
            weight, left, right = (part.raw(tensors) for part in parts)
            return weight + factor * (left @ right)

        names = tuple(
            name for use in (whole, up, down) for source in use.sources for name in source.names
        )
        source = Source(read(tracer.tensors), names, read)
        call.merged(tracer.nodes[main].parents[0], source, whole)
        return True
    return False
