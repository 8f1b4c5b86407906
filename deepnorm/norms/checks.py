"""Arguments of `deepnorm.norms`, read and refused here."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepnorm.norms import accounting
from deepnorm.norms.calls import tensors_in
from deepnorm.norms.conventions import CONVENTIONS, Convention, MatrixConvention
from deepnorm.norms.graph import Graph
from deepnorm.norms.measure import largest, weight_of
from deepnorm.norms.state import load_state
from deepnorm.norms.trace import Example, Shape, named_tensors, trace
from replica.common.arguments import InvalidArgument, Range, number, quoted

__all__ = [
    "REFERENCES",
    "UncountedLayerWarning",
    "account",
    "complete",
    "convention_named",
    "conventions_named",
    "finite",
    "graph_of",
    "initial_weights",
    "read_model",
    "read_reference",
    "read_tolerance",
    "require",
    "warn",
]

#: Numbers of one input, 4 GB in single precision: a system that promises more memory than it has
#: kills whoever uses it. A choice.
MOST_NUMBERS = 10**9
#: Of ln R, relative: sums of double precision are good to no more, and above there is no digit.
TOLERANCES = Range(1e-12, 0.1, "must lie between 1e-12 and 0.1")
#: What is subtracted from the matrices before their (2,1) norm is taken.
REFERENCES = ("paper", "zero", "initial")


class UncountedLayerWarning(UserWarning):
    """A function on the way from input to output has no known effect on norms."""


def read_model(model: Any, input_shape: Any, example: Any = None) -> tuple[nn.Module, Example]:
    """The model, and a shape or the arguments of one pass, or a ``ValueError``."""
    if not isinstance(model, nn.Module):
        raise InvalidArgument("model", "must be a torch.nn.Module", f"{type(model).__name__}")
    # A compiled model runs its graph where no call can be seen; it holds the original.
    model = getattr(model, "_orig_mod", model)
    complete(model)
    if (input_shape is None) == (example is None):
        raise InvalidArgument(
            "input_shape", "or `example` must be given, and not both", quoted(input_shape)
        )
    if example is not None:
        if isinstance(example, Tensor):
            example = (example,)
        tensors = list(tensors_in(example))
        if not isinstance(example, (tuple, list, Mapping)) or not tensors:
            raise InvalidArgument(
                "example",
                "must be the arguments of one pass: a tensor, a tuple of them, or a mapping",
                f"{type(example).__name__}",
            )
        _with_data("example", tensors)
        return model, example
    if isinstance(input_shape, Tensor):
        _with_data("input_shape", [input_shape])
        if input_shape.dim() == 0 or input_shape.shape[0] != 1:
            raise InvalidArgument(
                "input_shape",
                "given as an example must have a batch axis of length 1",
                f"shape {tuple(input_shape.shape)}",
            )
        return model, input_shape
    several = isinstance(input_shape, Mapping) or (
        isinstance(input_shape, (tuple, list))
        and any(isinstance(item, (tuple, list, Tensor)) for item in input_shape)
    )
    if not several:
        return model, _shape(input_shape)
    items = input_shape.items() if isinstance(input_shape, Mapping) else enumerate(input_shape)
    parts: dict[Any, Any] = {
        key: item if isinstance(item, Tensor) or item is None else Shape(_shape(item))
        for key, item in items
    }
    _with_data("input_shape", list(tensors_in(parts)))
    return model, parts if isinstance(input_shape, Mapping) else tuple(parts.values())


def _with_data(name: str, tensors: list[Tensor]) -> None:
    for tensor in tensors:
        if tensor.is_meta or tensor.layout != torch.strided:
            raise InvalidArgument(name, "given as an example must be a dense tensor with data")


def _shape(input_shape: Any) -> tuple[int, ...]:
    """The shape of one input."""
    try:
        shape = tuple(int(n) for n in input_shape)
        whole = all(n == m for n, m in zip(shape, input_shape, strict=True))
    except Exception:  # of whatever was given in its place
        shape, whole = (), False
    if not whole or not shape or min(shape) < 1:
        raise InvalidArgument(
            "input_shape",
            "must be the shape of one input, positive integers without the batch, as in "
            "(1, 28, 28), or an example input",
            quoted(input_shape),
        )
    if math.prod(shape) > MOST_NUMBERS:
        raise InvalidArgument(
            "input_shape", f"must have at most {MOST_NUMBERS:g} numbers", f"{shape}"
        )
    return shape


def complete(model: nn.Module) -> None:
    """Refuse parameters without a shape, or without numbers."""
    for name, tensor in named_tensors(model).items():
        if nn.parameter.is_lazy(tensor):
            raise InvalidArgument(
                "model", f"must have its parameters; `{name}` has no shape yet (run the model once)"
            )
    finite(model)


def finite(model: nn.Module) -> None:
    """Refuse weights that are not numbers."""
    for name, tensor in named_tensors(model).items():
        if tensor.is_meta:
            raise InvalidArgument(
                "model",
                f"must have its numbers; `{name}` is on the meta device, where there are none",
            )
        if tensor.layout != torch.strided:
            raise InvalidArgument("model", f"must have dense tensors; `{name}` is {tensor.layout}")
        if not tensor.is_floating_point():
            continue
        if tensor.itemsize == 1:  # there is no arithmetic in 8 bits
            tensor = tensor.float()
        if not math.isfinite(largest(tensor)):
            raise InvalidArgument(
                "model",
                f"must have finite weights; `{name}` holds nan or inf (has the training diverged?)",
            )


def convention_named(name: Any) -> Convention:
    """The convention of this name."""
    if not isinstance(name, str) or name not in CONVENTIONS:
        raise InvalidArgument(
            "convention", f"must be one of {', '.join(CONVENTIONS)}", quoted(name)
        )
    return CONVENTIONS[name]


def conventions_named(names: Iterable[Any]) -> dict[str, Convention]:
    """Several of them."""
    try:
        listed = [names] if isinstance(names, str) else list(names)
    except TypeError:
        raise InvalidArgument("conventions", "must be one or more names", quoted(names)) from None
    result = {str(name): convention_named(name) for name in listed}
    if not result:
        raise InvalidArgument("conventions", f"must name at least one of {', '.join(CONVENTIONS)}")
    return result


def read_tolerance(tolerance: Any) -> float:
    """A relative error that double precision can tell."""
    return number("tolerance", tolerance, TOLERANCES)


def read_reference(reference: Any) -> str:
    """One of the three."""
    if not isinstance(reference, str) or reference not in REFERENCES:
        raise InvalidArgument(
            "reference", f"must be one of {', '.join(REFERENCES)}", quoted(reference)
        )
    return str(reference)


def graph_of(model: nn.Module, input_shape: Example, *, merge_low_rank: bool = False) -> Graph:
    """The graph, which must hold at least one matrix."""
    graph = trace(model, input_shape, merge_low_rank=merge_low_rank)
    if not any(use.kind != "identity" for use in graph.uses):
        raise InvalidArgument("model", "must have a matrix that acts on its input; none was seen")
    return graph


def require(graph: Graph, conventions: Sequence[Convention]) -> None:
    """Refuse a convention whose list of matrices is empty for this model."""
    for convention in conventions:
        if isinstance(convention, MatrixConvention) and not convention.chosen(graph.uses):
            raise InvalidArgument(
                "convention",
                f"{convention.name} needs a model with the matrices of its list "
                f"({type(convention).__name__} says which); none was found",
            )


def account(
    model: nn.Module,
    input_shape: Example,
    graph: Graph,
    log_sigma: NDArray[np.float64] | None,
    *,
    strict: bool,
    stacklevel: int = 4,
) -> list[str]:
    """Say what could not be counted, and what the model does that the graph does not, or raise.

    Returns notes.
    """
    errors, notes = accounting.complaints(model, input_shape, graph, log_sigma)
    parts = []
    if graph.unknown:
        parts.append("not counted in the norm: " + "; ".join(graph.unknown))
    parts.extend(errors)
    if strict and parts:
        raise InvalidArgument("strict", f"allows only what is known; {'; '.join(parts)}")
    for part in parts:
        warn(part, stacklevel=stacklevel)
    idle = accounting.idle_parameters(model, graph)
    if idle:
        notes.append(accounting.unused_note(model, idle))
    return [*(f"not counted: {item}" for item in graph.unknown), *errors, *notes]


def warn(message: str, stacklevel: int = 3) -> None:
    """Say that a number leaves something out."""
    warnings.warn(message, UncountedLayerWarning, stacklevel=stacklevel)


def initial_weights(
    model: nn.Module,
    graph: Graph,
    input_shape: Example,
    initial: Any,
    *,
    merge_low_rank: bool = False,
) -> list[Tensor]:
    """The weights of every use, batch norms folded in, of a model or state to start from."""
    if isinstance(initial, nn.Module):
        first = initial
    elif isinstance(initial, Mapping):
        first = copy.deepcopy(model)
        try:
            load_state(first, initial)
        except ValueError as error:
            raise InvalidArgument(
                "initial", f"must be a state of the same model: {error}"
            ) from error
    else:
        raise InvalidArgument(
            "initial",
            "must be the model at its start, or its state_dict, where `reference` is 'initial'",
            f"{type(initial).__name__}",
        )
    finite(first)
    other = trace(first, input_shape, merge_low_rank=merge_low_rank)
    tensors = named_tensors(first)
    weights = [weight_of(use, tensors) for use in other.uses]
    ours = [(use.label, use.map.rows, use.map.domain) for use in graph.uses]
    theirs = [(use.label, use.map.rows, use.map.domain) for use in other.uses]
    if ours != theirs:
        raise InvalidArgument(
            "initial", "must have the layers of `model`; its data flow is another one"
        )
    return weights
