"""One forward pass of a model, which is left as it was: from a model to its graph."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from deepnorm.norms.calls import Tracer, tensors_in
from deepnorm.norms.graph import Graph, Node
from deepnorm.norms.rules import RULES
from replica.common.arguments import InvalidArgument

__all__ = ["example", "named_tensors", "quiet", "trace"]

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
        with torch.random.fork_rng(list(devices)), torch.no_grad():
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


def example(model: nn.Module, input_shape: tuple[int, ...] | Tensor) -> Tensor:
    """An input for one pass: of the shape asked for, or the tensor that was given."""
    parameter = next((p for p in model.parameters() if p.is_floating_point()), None)
    device = None if parameter is None else parameter.device
    if isinstance(input_shape, Tensor):
        return input_shape.detach().clone().to(device)
    generator = torch.Generator().manual_seed(SEED)
    values = torch.rand((1, *input_shape), generator=generator)
    return values.to(device=device, dtype=None if parameter is None else parameter.dtype)


def trace(model: nn.Module, input_shape: tuple[int, ...] | Tensor) -> Graph:
    """The graph of a model, from one forward pass in evaluation mode.

    Raises
    ------
    ValueError
        If the model does not run on this input, or returns nothing that depends on it.
    """
    start = example(model, input_shape)
    tensors = named_tensors(model)
    with quiet(model):
        tracer = Tracer(tensors, start, RULES)
        try:
            with tracer:
                out = model(start)
        except Exception as error:
            shape = tuple(input_shape.shape) if isinstance(input_shape, Tensor) else input_shape
            raise InvalidArgument(
                "input_shape",
                "must be the shape of one input of the model, without the batch; with "
                f"{shape} it stopped: {type(error).__name__}: {error}",
            ) from error
    outputs = [t for t in tensors_in(out) if id(t) in tracer.values]
    if not outputs:
        raise InvalidArgument(
            "model",
            "must return a tensor computed from its input by torch functions",
            f"{type(out).__name__} that none was seen to lead to (a scripted module hides "
            "them: pass the module that it was made from)",
        )
    ends = list(dict.fromkeys(tracer.values[id(t)].node for t in outputs))
    output = ends[0]
    if len(ends) > 1:
        tracer.notes.append(f"{len(ends)} outputs are taken as one vector, side by side")
        size = sum(t.numel() for t in outputs)
        tracer.nodes.append(Node("stack", ends, [1.0] * len(ends), size=size))
        output = len(tracer.nodes) - 1
    graph = Graph(
        tracer.nodes,
        tracer.uses,
        output,
        tracer.roles,
        tracer.unknown,
        tracer.notes,
        tracer.fixed,
    )
    graph.tidy()
    return graph
