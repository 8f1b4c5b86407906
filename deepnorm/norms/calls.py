"""The operators of a forward pass: one by one they become the nodes of a graph.

Every operator that the dispatcher runs is intercepted below autograd, where functions, modules,
methods, exported programs, scripted code and ``vmap`` have come down to one list of operators with
a schema: arguments have names. Parameters are recognised by being the same tensor, tensors that
share memory by their storage. What each operator does to norms is told by its rule.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from deepnorm.norms import lipschitz, scalars
from deepnorm.norms.constants import Constants
from deepnorm.norms.graph import Node, Role, Source, Use
from deepnorm.norms.maps import Dense, Diagonal, LinearMap

__all__ = [
    "LOOKUPS",
    "Call",
    "Cut",
    "Made",
    "Moved",
    "Rule",
    "RuleFailed",
    "Tracer",
    "Value",
    "Watcher",
    "bound_arguments",
    "operator_name",
    "tensors_in",
]

Rule = Callable[["Call"], Any]
INFINITE = (-math.inf, math.inf)
#: Operators that look vectors up in a table.
LOOKUPS = ("embedding", "embedding_bag", "_embedding_bag", "_embedding_bag_forward_only")


@dataclass(frozen=True)
class Cut:
    """Part of the output of a dense matrix: its node, where the part stands, and its rows."""

    origin: int
    node: int
    rows: Tensor


@dataclass(frozen=True)
class Moved:
    """Entries of a node that were only moved: where each stood, and times what."""

    node: int
    places: Tensor
    factor: float = 1.0


@dataclass(frozen=True)
class Value:
    """A tensor that depends on the input.

    Attributes
    ----------
    node : int
    cuts : tuple of Cut
        The dense matrices whose outputs it is the sum of, while it is only rearranged.
    bounds : (float, float)
        Between which its entries lie whatever the input.
    moved : Moved or None
        Part of another value, so that parts of one that share no entry may be put together again.
    """

    node: int
    cuts: tuple[Cut, ...] = ()
    bounds: tuple[float, float] = INFINITE
    moved: Moved | None = None


@dataclass(frozen=True)
class Made:
    """How a node came about: its operator, the nodes that went in, and its other arguments."""

    name: str
    operands: tuple[int, ...]
    arguments: Mapping[str, Any]
    shape: tuple[int, ...]


class RuleFailed(Exception):
    """A rule stopped at a call; the message says which."""


def tensors_in(value: Any) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists, mappings and dataclasses."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for item in dataclasses.fields(value):
            yield from tensors_in(getattr(value, item.name))


def operator_name(function: Any) -> str:
    """``add`` for ``aten::add.Tensor`` and ``aten::add_.Scalar`` alike."""
    name = str(function._schema.name).split("::")[-1]
    return name if name.startswith("__") else name.rstrip("_")


def bound_arguments(
    function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by the names of the schema, defaults filled in."""
    result: dict[str, Any] = {}
    for index, argument in enumerate(function._schema.arguments):
        if index < len(args) and not argument.kwarg_only:
            result[argument.name] = args[index]
        elif argument.name in kwargs:
            result[argument.name] = kwargs[argument.name]
        elif argument.has_default_value():
            result[argument.name] = argument.default_value
    return result


@dataclass
class Call:
    """One call of an operator, as its rule sees it."""

    tracer: Tracer
    function: Any
    name: str
    arguments: dict[str, Any]
    out: Any
    inputs: dict[int, Value]
    emitted: list[int] = field(default_factory=list)

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An argument, or what stands for it where the schema has none of this name."""
        return self.arguments.get(name, default)

    def value(self, tensor: Any) -> Value | None:
        """What is known of a tensor that depended on the input when the operator was called."""
        return self.inputs.get(id(tensor)) if isinstance(tensor, Tensor) else None

    def node(self, tensor: Any) -> int | None:
        """Its node."""
        value = self.value(tensor)
        return None if value is None else value.node

    @property
    def data(self) -> list[Tensor]:
        """All arguments that depend on the input, in the order of the schema."""
        return [t for t in tensors_in(self.arguments) if id(t) in self.inputs]

    @property
    def result(self) -> Tensor:
        """The first tensor that came out."""
        return next(tensors_in(self.out))

    def bounds(self, operand: Any) -> tuple[float, float]:
        """Between which the entries of a tensor or a number lie, whatever the input."""
        value = self.value(operand)
        if value is not None:
            return value.bounds
        if isinstance(operand, Tensor):
            if not operand.numel() or operand.is_complex():
                return INFINITE
            return float(operand.min()), float(operand.max())
        return float(operand), float(operand)

    # ------------------------------------------------------------------- what rules say

    def emit(
        self,
        kind: str,
        operands: list[Any],
        factors: list[float] | None = None,
        *,
        out: Any = None,
        bounds: tuple[float, float] = INFINITE,
        **more: Any,
    ) -> int:
        """A node whose value is ``out``, all of the result unless told otherwise.

        Operands are tensors, or numbers of nodes; further keywords are those of `Node`.
        """
        parents = []
        for operand in operands:
            node = operand if isinstance(operand, int) else self.node(operand)
            assert node is not None
            parents.append(node)
        factors = [1.0] * len(parents) if factors is None else factors
        if all(map(math.isfinite, bounds)) and self._names_constants():
            self.tracer.fixed = False  # they may have come from these
        results = list(tensors_in(self.out if out is None else out))
        more.setdefault("size", results[0].numel() if results else 0)
        index = self.tracer.append(
            Node(kind, parents, factors, name=self.name, bounds=bounds, **more)
        )
        self.emitted.append(index)
        numbers = any(t.is_floating_point() or t.is_complex() for t in self.data)
        for tensor in results:
            if tensor.is_floating_point() or tensor.is_complex() or not numbers:
                self.tracer.put(tensor, Value(index, bounds=bounds))
        return index

    def _names_constants(self) -> bool:
        """Whether a parameter or buffer went in."""
        given = tensors_in(self.arguments)
        return any(self.tracer.names_of(t) for t in given if id(t) not in self.inputs)

    def through(self, operand: Any, factor: float = 1.0, tag: str = "", **more: Any) -> int:
        """A node with one input and no matrix."""
        return self.emit("map", [operand], [factor], tag=tag, **more)

    def layer(
        self,
        operand: Any,
        kind: str,
        linear_map: LinearMap,
        weight: Any,
        *,
        reads: Callable[[Tensor], Tensor] | None = None,
        label: str = "",
        foldable: bool = False,
        note: str = "",
        **about: Any,
    ) -> int:
        """A node with a matrix; ``reads`` leads from the stored tensor to the weight."""
        source = None if weight is None else self.tracer.source(weight)
        label = label or self.tracer.label(source, kind)
        if reads is not None:
            about["view"] = reads
        number = len(self.tracer.uses)
        self.tracer.uses.append(Use(label, kind, linear_map, source, **about))
        return self.emit("map", [operand], use=number, foldable=foldable, note=note)

    def dense(
        self,
        operand: Any,
        weight: Tensor,
        *,
        copies: int,
        reads: Callable[[Tensor], Tensor] | None = None,
        **about: Any,
    ) -> int:
        """A dense matrix; the rows of its output stay known while it is only rearranged.

        A matrix that nobody trains is a constant, and counts with its largest singular value.
        """
        matrix = weight if reads is None else reads(weight)
        shape = tuple(matrix.shape)
        if not self.tracer.trained(weight):
            return self.through(operand, self.constant_norm(weight, matrix))
        index = self.layer(operand, "dense", Dense(shape, copies), weight, reads=reads, **about)
        if len(shape) == 2 and isinstance(self.out, Tensor) and self.out.shape[-1:] == shape[:1]:
            self._know_rows(index)
        return index

    def merged(self, parent: int, source: Source, whole: Use) -> int:
        """A dense matrix that is the sum of another one and a product of low rank."""
        reason = "enters eq. (2) as one matrix, with the product of low rank added"
        number = len(self.tracer.uses)
        self.tracer.uses.append(Use(whole.label, "dense", whole.map, source, reason=reason))
        index = self.emit("map", [parent], use=number)
        self._know_rows(index)
        return index

    def _know_rows(self, index: int) -> None:
        """The last axis of the result holds the rows of a matrix."""
        out = self.result
        rows = torch.arange(out.shape[-1], device=out.device).expand(out.shape)
        self.tracer.put(out, Value(index, (Cut(index, index, rows),)))

    def constant_norm(self, tensor: Any, matrix: Tensor) -> float:
        """The largest singular value of a constant (of blocks, the largest of theirs)."""
        self.constant(tensor)
        return lipschitz.operator_norm(matrix)

    def gain(
        self, operand: Any, weight: Any, size: int, *, kind: str = "diagonal", **about: Any
    ) -> int:
        """A diagonal matrix; ``size`` is the number of coordinates that it acts on."""
        entries = weight.numel()
        diagonal = Diagonal(entries, max(size // max(entries, 1), 1))
        return self.layer(operand, kind, diagonal, weight, **about)

    def role(self, tensor: Any, kind: str, reason: str, counted: bool = False) -> None:
        """What becomes of a parameter here (nothing to say of other tensors)."""
        if isinstance(tensor, Tensor):
            for name in self.tracer.names_of(tensor):
                self.tracer.roles.append(Role(name, kind, reason, counted))

    def bias(self, tensor: Any) -> None:
        """A bias."""
        self.role(tensor, "bias", "a bias does not enter eq. (2)")

    def constant(self, tensor: Any) -> None:
        """A constant whose size counts: a buffer may change, and is looked at each time."""
        self.role(tensor, "constant", "nobody trains it: its size counts as a constant's does")
        if isinstance(tensor, Tensor) and self.tracer.names_of(tensor):
            self.tracer.fixed = False

    def unknown(self, why: str = "", operands: list[Any] | None = None) -> int:
        """An operator that no rule covers: taken as 1-Lipschitz in each input, and said so."""
        data: list[Any] = list(self.data) if operands is None else operands
        why = why or "the tracer does not know it"
        name = self.tracer.whole or self.name
        message = f"{name}: {why}; it counts as if it were 1-Lipschitz"
        for tensor in tensors_in(self.arguments):
            if id(tensor) not in self.inputs:
                self.role(tensor, "unknown", f"not counted: read by `{name}`, {why}")
        kind = "add" if len(data) > 1 else "map"
        local = [math.inf] * len(data)
        return self.emit(kind, data, unknown=message, local=local)


class Watcher(TorchDispatchMode):
    """A mode that torch does not import its compiler for, which takes two seconds."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


class Tracer(Watcher):
    """Watches a forward pass and writes down its graph."""

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        parameters: frozenset[str],
        starts: list[Tensor],
        rules: Mapping[str, Rule],
        *,
        integers: bool = True,
        merge: bool = False,
    ):
        super().__init__()
        self.tensors = tensors
        #: Whether products of low rank are added to the matrix beside them.
        self.merge = merge
        self.rules = rules
        self.nodes = [Node("input", [], [], size=sum(t.numel() for t in starts))]
        self.made: dict[int, Made] = {}
        self.uses: list[Use] = []
        self.roles: list[Role] = []
        self.fixed = True
        self.constants = Constants(tensors, parameters)
        #: Whether integers that become floating point numbers are data, not masks.
        self.integers = integers
        self.converted = False
        #: Of each embedding, whether its indices depend on the input.
        self.lookups: list[bool] = []
        self.values: dict[int, Value] = {}
        self.scalars: dict[int, scalars.Scalar] = {}
        self.leaves: dict[int, scalars.Scalar] = {}
        self.labels: dict[str, int] = {}
        #: The operator that is being taken apart.
        self.whole = ""
        #: For a padding: the node before it, its spatial shape, and the indices of each axis.
        self.paddings: dict[int, tuple[int, tuple[int, ...], list[Tensor]]] = {}
        #: Tensors of the pass by the memory they lie in.
        self.memory: dict[int, list[Tensor]] = {}
        # An id names a tensor only while it lives.
        self.alive: list[Any] = [starts, list(tensors.values())]
        for tensor in starts:
            if tensor.dtype != torch.bool:
                self.put(tensor, Value(0))

    # ----------------------------------------------------------------------- each operator

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run the operator, and let its rule say what it did."""
        kwargs = kwargs or {}
        seen = list(tensors_in((args, kwargs)))
        for tensor in seen:
            self._recognise(tensor)
        inputs = {id(t): self.values[id(t)] for t in seen if id(t) in self.values}
        name = operator_name(func)
        if inputs and name not in self.rules:
            out = self._decomposed(func, args, kwargs)
            if out is not NotImplemented:
                return out
        before = scalars.functional(func, args) if inputs else args
        out = func(*args, **kwargs)
        results = list(tensors_in(out))
        self.alive.append((args, kwargs, out))
        if not results:
            return out
        written = _written(func, args, kwargs)
        if name in LOOKUPS:
            self.lookups.append(bool(inputs))
        if not inputs:
            self.constants.compute(func, args, kwargs, results, bool(written))
            for tensor in results:
                self._remember(tensor)
            if written:
                self.fixed = self.fixed and not any(self.names_of(t) for t in seen)
            return out
        call = Call(self, func, name, bound_arguments(func, args, kwargs), out, inputs)
        try:
            self._follow(call, before, kwargs, results)
        except Exception as error:
            shapes = ", ".join(str(tuple(t.shape)) for t in seen)
            raise RuleFailed(
                f"the rule of `{name}` ({func}) stopped at a call with tensors of shapes {shapes}: "
                f"{type(error).__name__}: {error}"
            ) from error
        for tensor in results:
            self._remember(tensor)
        for tensor in written:
            self._spread(tensor)
        return out

    def _decomposed(self, func: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
        """The same by operators that have rules, NotImplemented where there are none."""
        if func._schema.is_mutable:
            return NotImplemented
        whole, fused = self.whole, torch._C._get_mkldnn_enabled()
        self.whole = whole or operator_name(func)
        try:
            if func._can_decompose():
                # oneDNN has a recurrent layer in one piece.
                torch._C._set_mkldnn_enabled(False)
                with self:
                    out = func.decompose(*args, **kwargs)
                if out is not NotImplemented:
                    return out
            from torch._decomp import decomposition_table

            other = decomposition_table.get(func)
            if other is None:
                return NotImplemented
            with self:
                return other(*args, **kwargs)
        finally:
            torch._C._set_mkldnn_enabled(fused)
            self.whole = whole

    def _follow(self, call: Call, args: tuple[Any, ...], kwargs: Any, results: list[Any]) -> None:
        """The rule of a call, or one for what it does to every number by itself."""
        number = results[0].is_floating_point() or results[0].dtype == torch.bool
        whole = None
        if len(results) == 1 and number:
            whole = scalars.joined(self, call.function, args, kwargs)
        for tensor in results:
            self.values.pop(id(tensor), None)
        rule, count = self.rules.get(call.name), len(self.nodes)
        seen = None
        if all(t.dtype == torch.bool for t in results):
            pass  # a mask varies by jumps alone
        elif whole is not None and whole.joins and (seen := whole.steepest(self._known)):
            call.through(seen[0], seen[1], bounds=seen[2])
        elif rule is not None:
            rule(call)
        elif any(t.is_floating_point() or t.is_complex() for t in results):
            call.unknown()
        if (
            whole is not None
            and call.emitted
            and self.nodes[call.emitted[-1]].unknown
            and (seen := whole.steepest(self._known))
        ):
            del self.nodes[count:]
            call.through(seen[0], seen[1], bounds=seen[2])
        for tensor in results:
            if whole is None:
                self.scalars.pop(id(tensor), None)
            elif id(tensor) in self.values or tensor.dtype == torch.bool:
                value = self.values.get(id(tensor))
                if call.name not in scalars.CASTS:
                    whole.node = None if value is None else value.node
                self.scalars[id(tensor)] = whole
        # Of `expand_as` and its like the second argument tells a shape alone.
        told = call.data[:1] if call.name.endswith("_as") else call.data
        operands = tuple(call.inputs[id(t)].node for t in told)
        for node in call.emitted[-1:]:
            shape = tuple(results[0].shape)
            self.made.setdefault(node, Made(call.name, operands, call.arguments, shape))

    def _known(self, node: int) -> bool:
        return not self.nodes[node].unknown

    # ---------------------------------------------------------------------- what is known

    def entries(self, node: int) -> scalars.Scalar:
        """The entries of a node, where functions of one number begin."""
        return self.leaves.setdefault(node, scalars.Scalar(node, node=node))

    def append(self, node: Node) -> int:
        """A further node; its number."""
        self.nodes.append(node)
        return len(self.nodes) - 1

    def put(self, tensor: Tensor, value: Value) -> None:
        """What is known of a tensor."""
        self.values[id(tensor)] = value
        self.scalars.pop(id(tensor), None)
        self._remember(tensor)

    def _remember(self, tensor: Tensor) -> None:
        place = _memory(tensor)
        if place:
            held = self.memory.setdefault(place, [])
            if not any(other is tensor for other in held):
                held.append(tensor)

    def _recognise(self, tensor: Tensor) -> None:
        """A tensor that was never seen, as numpy hands it back, may share memory with the data."""
        if id(tensor) in self.values or self.constants.knows(tensor):
            return
        held = self.memory.get(_memory(tensor), [])
        if not held or any(other is tensor for other in held):
            return
        self.alive.append(tensor)
        nodes = list(dict.fromkeys(self.values[id(t)].node for t in held if id(t) in self.values))
        if not nodes:
            return
        same = [
            self.values[id(t)].node
            for t in held
            if id(t) in self.values
            and (t.data_ptr(), t.numel()) == (tensor.data_ptr(), tensor.numel())
        ]
        parents = same[-1:] or nodes
        kind, size = "map" if len(parents) == 1 else "stack", tensor.numel()
        node = Node(kind, parents, [1.0] * len(parents), tag="detach", name="detach", size=size)
        self.put(tensor, Value(self.append(node)))
        self.made[len(self.nodes) - 1] = Made("detach", tuple(parents), {}, tuple(tensor.shape))

    def _spread(self, tensor: Tensor) -> None:
        """A tensor was changed in place: so was all that shares its memory."""
        after = self.values.get(id(tensor))
        for other in self.memory.get(_memory(tensor), []):
            if other is tensor:
                continue
            value = self.values.get(id(other))
            if value is None and after is None:
                continue
            parents = [] if after is None else [after.node]
            covered = tensor.numel() >= other.numel()
            if value is not None and not (covered and parents) and value.node not in parents:
                parents.append(value.node)
            size = other.numel()
            kind = "stack" if len(parents) > 1 else "map"
            index = self.append(Node(kind, parents, [1.0] * len(parents), tag="shape", size=size))
            self.values[id(other)] = Value(index)
            self.scalars.pop(id(other), None)

    def names_of(self, tensor: Tensor) -> tuple[str, ...]:
        """The parameters and buffers that a tensor is or was made of."""
        return self.constants.names_of(tensor)

    def trained(self, tensor: Any) -> bool:
        """Whether it is a parameter, or was made of one."""
        return isinstance(tensor, Tensor) and self.constants.trained(tensor)

    def source(self, tensor: Tensor) -> Source:
        """Where a weight comes from."""
        source = self.constants.source(tensor)
        if source.names and not source.repeatable:
            self.fixed = False
        return source

    def label(self, source: Source | None, kind: str) -> str:
        """A name for the table; a second use of the same tensor is numbered."""
        name = " with ".join(source.names) if source is not None and source.names else f"({kind})"
        self.labels[name] = self.labels.get(name, 0) + 1
        return name if self.labels[name] == 1 else f"{name} (use {self.labels[name]})"


def _written(func: Any, args: tuple[Any, ...], kwargs: Any) -> list[Tensor]:
    """The tensors that an operator changes in place."""
    names = [a.name for a in func._schema.arguments if a.alias_info and a.alias_info.is_write]
    arguments = bound_arguments(func, args, kwargs) if names else {}
    return [t for name in names for t in tensors_in(arguments.get(name))]


def _memory(tensor: Tensor) -> int:
    """The address of the memory that a tensor lies in, 0 where it has none."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):  # sparse, wrapped, quantised
        return 0
