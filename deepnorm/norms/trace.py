"""One forward pass of a model, which is left as it was: from a model to its graph."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from deepnorm.norms.calls import RuleFailed, Tracer, tensors_in
from deepnorm.norms.graph import Graph, Node
from deepnorm.norms.rules import RULES
from replica.common.arguments import InvalidArgument

__all__ = [
    "Example",
    "Shape",
    "described",
    "example",
    "inputs_in",
    "named_tensors",
    "quiet",
    "trace",
]

#: Seed of the input of the pass; its values play no part in the norm.
SEED = 0
#: One pass at a time: two threads would take one another's evaluation mode for the model's own.
_alone = threading.RLock()


def _free() -> None:
    """A child begins without threads, and with nobody who could release what was held."""
    global _alone
    _alone = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free)


@dataclass(frozen=True)
class Shape:
    """Of one of several inputs, without the batch."""

    sizes: tuple[int, ...]

    def __repr__(self) -> str:
        return str(self.sizes)


#: The shape of one input, or the arguments of one pass.
Example = Sequence[int] | Tensor | Sequence[Any] | Mapping[str, Any]


def named_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by all their names."""
    result: dict[str, Tensor] = {}
    result.update(model.named_parameters(remove_duplicate=False))
    result.update(model.named_buffers(remove_duplicate=False))
    return result


@contextlib.contextmanager
def quiet(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards the model is as it was, whatever happened."""
    with _alone, _quiet(model):
        yield


def _uncompiled() -> contextlib.AbstractContextManager[Any]:
    """Compiled parts of a model as they were written, if there can be any."""
    if "torch._dynamo" not in sys.modules:
        return contextlib.nullcontext()
    stance: contextlib.AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance


@contextlib.contextmanager
def _quiet(model: nn.Module) -> Iterator[None]:
    """The same, while no other thread does it."""
    modules = list(model.modules())
    training = [module.training for module in modules]
    buffers = [dict(module._buffers) for module in modules]
    saved = [(buffer, buffer.clone()) for buffer in model.buffers()]
    fast = torch.backends.mha.get_fastpath_enabled()
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    try:
        # The fast path of attention is one function that hides its matrices.
        torch.backends.mha.set_fastpath_enabled(False)
        for module in modules:
            module.training = False
        with torch.random.fork_rng(list(devices)), torch.no_grad(), _uncompiled():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, mode, held in zip(modules, training, buffers, strict=True):
            module.training = mode
            if {name: id(b) for name, b in module._buffers.items()} != {
                name: id(b) for name, b in held.items()
            }:
                module._buffers.clear()
                module._buffers.update(held)
        with torch.no_grad():
            for buffer, before in saved:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)


def example(model: nn.Module, input_shape: Example) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments for one pass: of the shape asked for, or those that were given.

    A shape makes a random tensor with a batch of one; a tensor stands for itself, a tuple or list
    for arguments by position, a mapping for keywords.
    """
    parameter = next((p for p in model.parameters() if p.is_floating_point()), None)
    device = None if parameter is None else parameter.device
    dtype = None if parameter is None else parameter.dtype
    generator = torch.Generator().manual_seed(SEED)

    def own(leaf: Any) -> Any:
        if isinstance(leaf, Shape):
            values = torch.rand((1, *leaf.sizes), generator=generator)
            return values.to(device=device, dtype=dtype)
        return leaf.detach().clone().to(device) if isinstance(leaf, Tensor) else leaf

    if isinstance(input_shape, Tensor):
        return (own(input_shape),), {}
    if isinstance(input_shape, Mapping):
        return (), {str(name): tree_map(own, value) for name, value in input_shape.items()}
    if any(not isinstance(item, int) for item in input_shape):
        return tuple(tree_map(own, item) for item in input_shape), {}
    return (own(Shape(tuple(input_shape))),), {}


def inputs_in(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
    """The tensors among the arguments that are data: of numbers, else of integers."""
    tensors = list(tensors_in((args, kwargs)))
    numbers = [t for t in tensors if t.is_floating_point() or t.is_complex()]
    return numbers or [t for t in tensors if t.dtype != torch.bool]


def trace(model: nn.Module, input_shape: Example, *, merge_low_rank: bool = False) -> Graph:
    """The graph of a model, from one forward pass in evaluation mode.

    Raises
    ------
    ValueError
        If the model does not run on this input, or returns nothing that depends on it.
    """
    args, kwargs = example(model, input_shape)
    tracer, out = _watch(model, args, kwargs, input_shape, True, merge_low_rank)
    if any(tracer.lookups) and tracer.converted:
        # Integers that tables are looked up by are data; those that become numbers are masks.
        tracer, out = _watch(model, args, kwargs, input_shape, False, merge_low_rank)
    outputs = [t for t in tensors_in(out) if id(t) in tracer.values]
    if not outputs:
        raise InvalidArgument(
            "model",
            "must return a tensor computed from its input by torch operators",
            f"{type(out).__name__} that none was seen to lead to (what runs in another thread or "
            "library is not seen)",
        )
    ends = list(dict.fromkeys(tracer.values[id(t)].node for t in outputs))
    output = ends[0]
    if len(ends) > 1:
        size = sum(t.numel() for t in outputs)
        note = f"{len(ends)} outputs are taken as one vector, side by side"
        output = tracer.append(Node("stack", ends, [1.0] * len(ends), size=size, note=note))
    graph = Graph(
        tracer.nodes, tracer.uses, output, tracer.roles, tracer.fixed, tuple(tracer.lookups)
    )
    graph.tidy()
    return graph


def _watch(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    given: Example,
    integers: bool,
    merge: bool,
) -> tuple[Tracer, Any]:
    """One pass under a tracer."""
    parameters = frozenset(dict(model.named_parameters(remove_duplicate=False)))
    with quiet(model):
        starts = inputs_in(args, kwargs)
        tracer = Tracer(
            named_tensors(model), parameters, starts, RULES, integers=integers, merge=merge
        )
        try:
            with tracer, torch._C._AutoDispatchBelowAutograd():
                out = model(*args, **kwargs)
        except RuleFailed as error:
            raise InvalidArgument(
                "model", f"has a call that could not be followed: {error}"
            ) from error
        except Exception as error:
            raise InvalidArgument(
                "input_shape",
                "must be the shape of one input of the model, without the batch, or its arguments; "
                f"with {described(given)} it stopped: {type(error).__name__}: {error}",
            ) from error
    return tracer, out


def described(given: Example) -> str:
    """Arguments in a few words: tensors by their shapes."""

    def shape(leaf: Any) -> Any:
        return f"tensor of {tuple(leaf.shape)}" if isinstance(leaf, Tensor) else leaf

    if isinstance(given, Tensor):
        return str(tuple(given.shape))
    return str(tree_map(shape, dict(given) if isinstance(given, Mapping) else tuple(given)))
