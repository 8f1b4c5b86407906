"""The calls of a forward pass: one by one they become the nodes of a graph.

Every torch function that runs is intercepted, so that layers written as modules and layers
written with bare parameters are seen alike. Parameters are recognised by being the same
tensor; what each function does to the norm of its input is told by its rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from deepnorm.norms.graph import Fold, Node, Role, Source, Use
from deepnorm.norms.maps import Dense, Diagonal, LinearMap

__all__ = [
    "Call",
    "Rule",
    "Tracer",
    "Value",
    "batch_norm",
    "function_name",
    "normalise",
    "tensors_in",
]


@dataclass(frozen=True)
class Value:
    """A tensor that depends on the input: its node and, after a dense matrix, its rows."""

    node: int
    origin: int | None = None
    rows: Tensor | None = None


def tensors_in(value: Any) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists and mappings."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)


def function_name(function: Any) -> str:
    """One name for the function, the method, the operator and the exported form."""
    name = getattr(function, "__name__", str(function))
    if name == "__get__":
        return f"get {getattr(getattr(function, '__self__', None), '__name__', '')}"
    name = name.split(".")[0]
    if name.startswith("__") and name.endswith("__"):
        return name
    return name.rstrip("_")


Rule = Callable[["Call"], Any]


@dataclass
class Call:
    """One call of a torch function: its arguments, its result, and the tracer that saw it."""

    tracer: Tracer
    function: Any
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any
    inputs: dict[int, Value]

    def get(self, position: int, name: str, default: Any = None) -> Any:
        """An argument by its place or its name."""
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(name, default)

    @property
    def exported(self) -> bool:
        """Whether this is an operator of an exported program: some have another signature."""
        return isinstance(self.function, torch._ops.OpOverload)

    def value(self, tensor: Any) -> Value | None:
        """What is known of a tensor that depended on the input when the function was called."""
        return self.inputs.get(id(tensor)) if isinstance(tensor, Tensor) else None

    def node(self, tensor: Any) -> int | None:
        """Its node."""
        value = self.value(tensor)
        return None if value is None else value.node

    @property
    def data(self) -> list[Tensor]:
        """All arguments that depend on the input."""
        return [t for t in tensors_in((self.args, self.kwargs)) if id(t) in self.inputs]

    @property
    def result(self) -> Tensor:
        """The first tensor that came out."""
        return next(tensors_in(self.out))

    # ------------------------------------------------------------------- what rules say

    def emit(
        self,
        kind: str,
        operands: list[Any],
        factors: list[float] | None = None,
        *,
        use: Use | None = None,
        tag: str = "",
        out: Any = None,
        rows: Tensor | None = None,
        origin: int | None = None,
        foldable: bool = False,
    ) -> int:
        """A node whose value is ``out``, all of the result unless told otherwise.

        Operands are tensors, or numbers of nodes.
        """
        parents = []
        for operand in operands:
            node = operand if isinstance(operand, int) else self.node(operand)
            assert node is not None
            parents.append(node)
        factors = [1.0] * len(parents) if factors is None else factors
        results = list(tensors_in(self.out if out is None else out))
        size = results[0].numel() if results else 0
        number = None
        if use is not None:
            number = len(self.tracer.uses)
            self.tracer.uses.append(use)
        self.tracer.nodes.append(
            Node(kind, parents, factors, number, tag, rows, origin, foldable, size=size)
        )
        index = len(self.tracer.nodes) - 1
        numbers = any(t.is_floating_point() or t.is_complex() for t in self.data)
        for tensor in results:
            if tensor.is_floating_point() or tensor.is_complex() or not numbers:
                self.tracer.values[id(tensor)] = Value(index)
        return index

    def through(self, operand: Any, factor: float = 1.0, tag: str = "") -> int:
        """A node with one input and no matrix."""
        return self.emit("map", [operand], [factor], tag=tag)

    def layer(
        self, operand: Any, kind: str, linear_map: LinearMap, weight: Any, **more: Any
    ) -> int:
        """A node with a matrix.

        Keywords: ``reads``, from the stored tensor to the weight; ``part``, what is added to its
        name; ``foldable``; and those of a use.
        """
        foldable, reads = more.pop("foldable", False), more.pop("reads", None)
        source = None if weight is None else self.tracer.source(weight)
        label = more.pop("label", None) or self.tracer.label(source, kind, more.pop("part", ""))
        if reads is not None:
            more["view"] = reads
        use = Use(label, kind, linear_map, source, **more)
        return self.emit("map", [operand], use=use, foldable=foldable)

    def dense(
        self, operand: Any, weight: Any, *, copies: int, reads: Any = None, **more: Any
    ) -> int:
        """A dense matrix; the rows of its output stay known while it is only rearranged."""
        shape = tuple((weight if reads is None else reads(weight)).shape)
        index = self.layer(operand, "dense", Dense(shape, copies), weight, reads=reads, **more)
        if len(shape) == 2 and isinstance(self.out, Tensor) and self.out.shape[-1:] == shape[:1]:
            rows = torch.arange(shape[0], device=self.out.device).expand(self.out.shape)
            self.tracer.values[id(self.out)] = Value(index, index, rows)
        return index

    def gain(self, operand: Any, weight: Any, size: int, **more: Any) -> int:
        """A diagonal matrix; ``size`` is the number of coordinates that it acts on."""
        entries = weight.numel()
        diagonal = Diagonal(entries, max(size // max(entries, 1), 1))
        return self.layer(operand, more.pop("kind", "diagonal"), diagonal, weight, **more)

    def say(self, note: str) -> None:
        """A note about the whole, once."""
        if note not in self.tracer.notes:
            self.tracer.notes.append(note)

    def role(self, tensor: Any, kind: str, reason: str, counted: bool = False) -> None:
        """What becomes of a parameter here (nothing to say of other tensors)."""
        if isinstance(tensor, Tensor):
            for name in self.tracer.names_of(tensor):
                self.tracer.roles.append(Role(name, kind, reason, counted))

    def bias(self, tensor: Any) -> None:
        """A bias."""
        self.role(tensor, "bias", "a bias does not enter eq. (2)")

    def unknown(self, why: str = "") -> None:
        """A function that no rule covers: taken as 1-Lipschitz in each input, and said so."""
        data = self.data
        why = why or "the tracer does not know it"
        self.tracer.unknown.append(f"{self.name}: {why}; it counts as if it were 1-Lipschitz")
        for tensor in tensors_in((self.args, self.kwargs)):
            if id(tensor) not in self.inputs:
                self.role(tensor, "unknown", f"not counted: read by `{self.name}`, {why}")
        self.emit("add" if len(data) > 1 else "map", list(data))


class Tracer(TorchFunctionMode):
    """Watches a forward pass and writes down its graph."""

    def __init__(self, tensors: Mapping[str, Tensor], start: Tensor, rules: Mapping[str, Rule]):
        super().__init__()
        self.rules = rules
        self.nodes = [Node("input", [], [], size=start.numel())]
        self.uses: list[Use] = []
        self.roles: list[Role] = []
        self.notes: list[str] = []
        self.unknown: list[str] = []
        self.fixed = True
        self.values: dict[int, Value] = {id(start): Value(0)}
        self.held: dict[int, str] = {}
        for name, tensor in tensors.items():
            self.held.setdefault(id(tensor), name)
        self.derived: dict[int, tuple[str, ...]] = {}
        self.labels: dict[str, int] = {}
        #: For a padding: the node before it, its spatial shape, and the indices of each axis.
        self.paddings: dict[int, tuple[int, tuple[int, ...], list[Tensor]]] = {}
        # An id names a tensor only while it lives.
        self.alive: list[Any] = [start, list(tensors.values())]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run the function, and let its rule say what it did."""
        kwargs = kwargs or {}
        seen = list(tensors_in((args, kwargs)))
        inputs = {id(t): self.values[id(t)] for t in seen if id(t) in self.values}
        out = func(*args, **kwargs)
        results = list(tensors_in(out))
        name = function_name(func)
        if not results and not (inputs and name == "__setitem__"):
            return out
        self.alive.append((args, kwargs, out))
        if inputs:
            call = Call(self, func, name, args, kwargs, out, inputs)
            rule = self.rules.get(name)
            if rule is None:
                call.unknown()
            else:
                rule(call)
            if args and results and results[0] is args[0]:
                self._written(args[0])
        else:
            names = tuple(dict.fromkeys(name for t in seen for name in self.names_of(t)))
            for tensor in results:
                if names and id(tensor) not in self.held:
                    self.derived[id(tensor)] = names
        return out

    def _written(self, view: Any) -> None:
        """A tensor was changed in place: if it is a view, so was what it is a view of."""
        base = view._base if isinstance(view, Tensor) else None
        if base is None or id(base) not in self.values or id(view) not in self.values:
            return
        parents = [self.values[id(view)].node]
        if view.numel() != base.numel():
            parents.append(self.values[id(base)].node)
        self.nodes.append(Node("stack", parents, [1.0] * len(parents), size=base.numel()))
        self.values[id(base)] = Value(len(self.nodes) - 1)

    def names_of(self, tensor: Tensor) -> tuple[str, ...]:
        """The parameters and buffers that a tensor is or was made of."""
        if id(tensor) in self.held:
            return (self.held[id(tensor)],)
        return self.derived.get(id(tensor), ())

    def source(self, tensor: Tensor) -> Source:
        """Where a weight comes from; one that was computed has to be computed again."""
        held = id(tensor) in self.held
        if not held and id(tensor) in self.derived:
            self.fixed = False
        return Source(tensor, self.names_of(tensor), held)

    def label(self, source: Source | None, kind: str, part: str = "") -> str:
        """A name for the table; a second use of the same tensor is numbered."""
        name = " with ".join(source.names) if source is not None and source.names else f"({kind})"
        name += part
        self.labels[name] = self.labels.get(name, 0) + 1
        return name if self.labels[name] == 1 else f"{name} (use {self.labels[name]})"


def batch_norm(call: Call, gain: Any, mean: Any, variance: Any, eps: float, training: bool) -> None:
    """A batch norm: a diagonal matrix, to be folded if it can be."""
    data = call.args[0] if call.args else call.kwargs["input"]
    if training or variance is None:
        normalise(call, data, gain, call.result.numel(), "batch norm without running statistics")
        return
    tracer = call.tracer
    fold = Fold(None if gain is None else tracer.source(gain), tracer.source(variance), float(eps))
    value = call.value(data)
    assert value is not None
    before = tracer.nodes[value.node]
    foldable = False
    if before.use is not None:
        # Its channels are the map's only if nothing came between them.
        channels_second = not isinstance(tracer.uses[before.use].map, Dense) or data.dim() == 2
        foldable = channels_second and not isinstance(tracer.uses[before.use].map, Diagonal)
    size = data.shape[1]
    label = tracer.label(fold.gain or fold.variance, "batch norm")
    call.layer(
        data,
        "batch norm",
        Diagonal(size, max(data.numel() // size, 1)),
        None,
        label=label,
        fold=fold,
        foldable=foldable,
        reason="enters eq. (2) as a diagonal matrix: no map before it that it could be folded into",
    )


def normalise(call: Call, data: Any, gain: Any, size: int, what: str) -> None:
    """Statistics of the input itself: 1-Lipschitz by convention, then a gain."""
    call.say(
        f"{what}: dividing by a statistic of the input is not globally Lipschitz; it counts as 1 "
        "by convention, and its gain as a diagonal matrix"
    )
    index = call.through(data)
    if gain is not None:
        call.gain(
            index,
            gain,
            size,
            kind="gain",
            reason=f"enters eq. (2) as a diagonal matrix; the normalisation before it ({what}) "
            "counts as 1 by convention",
        )
