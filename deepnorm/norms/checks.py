"""The door of `deepnorm.norms`: arguments are read and refused here."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepnorm.norms.conventions import CONVENTIONS, Convention, MatrixConvention
from deepnorm.norms.graph import Graph
from deepnorm.norms.trace import named_tensors, trace

__all__ = [
    "REFERENCES",
    "UncountedLayerWarning",
    "convention_named",
    "conventions_named",
    "finite",
    "graph_of",
    "initial_weights",
    "read_model",
    "read_reference",
    "require",
    "warn",
    "warn_unknown",
]

#: What is subtracted from the matrices before their (2,1) norm is taken.
REFERENCES = ("paper", "zero", "initial")


class UncountedLayerWarning(UserWarning):
    """A function on the way from input to output has no known effect on norms."""


def read_model(model: Any, input_shape: Any) -> tuple[nn.Module, tuple[int, ...] | Tensor]:
    """The model and the shape of one input, or a ``ValueError``."""
    if not isinstance(model, nn.Module):
        raise ValueError(f"`model` must be a torch.nn.Module; got {type(model).__name__}")
    # A compiled model runs its graph where no call can be seen; it holds the original.
    model = getattr(model, "_orig_mod", model)
    for name, tensor in named_tensors(model).items():
        if nn.parameter.is_lazy(tensor):
            raise ValueError(
                f"`model` must have its parameters; `{name}` has no shape yet (run the model once)"
            )
    finite(model)
    if isinstance(input_shape, Tensor):
        if input_shape.dim() == 0 or input_shape.shape[0] != 1:
            raise ValueError(
                "`input_shape` given as an example must have a batch axis of length 1; "
                f"got shape {tuple(input_shape.shape)}"
            )
        return model, input_shape
    try:
        shape = tuple(int(n) for n in input_shape)
        whole = all(n == m for n, m in zip(shape, input_shape, strict=True))
    except (TypeError, ValueError):
        shape, whole = (), False
    if not whole or not shape or min(shape) < 1:
        raise ValueError(
            "`input_shape` must be the shape of one input, positive integers without the batch, "
            f"as in (1, 28, 28), or an example input; got {input_shape!r}"
        )
    return model, shape


def finite(model: nn.Module) -> None:
    """Refuse weights that are not numbers."""
    for name, tensor in named_tensors(model).items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ValueError(
                f"`model` must have finite weights; `{name}` holds nan or inf (has the training "
                "diverged?)"
            )


def convention_named(name: Any) -> Convention:
    """The convention of this name."""
    if not isinstance(name, str) or name not in CONVENTIONS:
        raise ValueError(f"`convention` must be one of {', '.join(CONVENTIONS)}; got {name!r}")
    return CONVENTIONS[name]


def conventions_named(names: Iterable[Any]) -> dict[str, Convention]:
    """Several of them."""
    result = {
        name: convention_named(name) for name in ([names] if isinstance(names, str) else names)
    }
    if not result:
        raise ValueError(f"`conventions` must name at least one of {', '.join(CONVENTIONS)}")
    return result


def read_reference(reference: Any) -> str:
    """One of the three."""
    if reference not in REFERENCES:
        raise ValueError(f"`reference` must be one of {', '.join(REFERENCES)}; got {reference!r}")
    return str(reference)


def graph_of(model: nn.Module, input_shape: tuple[int, ...] | Tensor) -> Graph:
    """The graph, which must hold at least one matrix."""
    graph = trace(model, input_shape)
    if not any(use.kind != "identity" for use in graph.uses):
        raise ValueError("`model` must have a matrix that acts on its input; none was seen")
    return graph


def require(graph: Graph, conventions: Sequence[Convention]) -> None:
    """Refuse a convention whose list of matrices is empty for this model."""
    for convention in conventions:
        if isinstance(convention, MatrixConvention) and not convention.chosen(graph.uses):
            raise ValueError(
                f"`convention` {convention.name} needs a model with the matrices of its list "
                f"({type(convention).__name__} says which); none was found"
            )


def warn_unknown(graph: Graph, strict: bool) -> None:
    """Say what could not be counted, or raise."""
    if not graph.unknown:
        return
    message = "not counted in the norm: " + "; ".join(dict.fromkeys(graph.unknown))
    if strict:
        raise ValueError(f"`strict` allows only functions that are known; {message}")
    warn(message, stacklevel=4)


def warn(message: str, stacklevel: int = 3) -> None:
    """Say that a number leaves something out."""
    warnings.warn(message, UncountedLayerWarning, stacklevel=stacklevel)


def initial_weights(
    model: nn.Module, graph: Graph, input_shape: tuple[int, ...] | Tensor, initial: Any
) -> list[Tensor]:
    """The weights of every use, batch norms folded in, of a model or state to start from."""
    if isinstance(initial, nn.Module):
        first = initial
    elif isinstance(initial, Mapping):
        first = copy.deepcopy(model)
        try:
            first.load_state_dict(initial)
        except RuntimeError as error:
            raise ValueError(f"`initial` must be a state of the same model: {error}") from error
    else:
        raise ValueError(
            "`initial` must be the model at its start, or its state_dict, where `reference` is "
            f"'initial'; got {type(initial).__name__}"
        )
    finite(first)
    other = trace(first, input_shape)
    tensors = named_tensors(first)
    weights = [use.weight(tensors) for use in other.uses]
    ours = [(use.label, use.map.rows, use.map.domain) for use in graph.uses]
    theirs = [(use.label, use.map.rows, use.map.domain) for use in other.uses]
    if ours != theirs:
        raise ValueError("`initial` must have the layers of `model`; its data flow is another one")
    return weights
