"""`spectral_complexity`: the norm of a model, and layer by layer what it is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from torch import Tensor, nn

from deepnorm.norms import checks
from deepnorm.norms.conventions import (
    Convention,
    MatrixConvention,
    OperatorConvention,
    ParameterConvention,
)
from deepnorm.norms.graph import Graph, Use
from deepnorm.norms.measure import Cold, Measurement, Sigma, logs, measure
from deepnorm.norms.trace import named_tensors
from replica.common.arguments import InvalidArgument, quoted
from replica.common.progress import bar

__all__ = ["Complexity", "spectral_complexity"]

NAN = math.nan
NOTHING = Sigma(NAN, NAN, NAN, "")
#: Of ln R, in parts of max(1, abs(ln R)): a choice.
TOLERANCE = 1e-7
COLUMNS = (
    *("name", "kind", "shape", "sigma", "norm_21", "lower", "upper", "share", "method"),
    *("counted", "reason"),
)


@dataclass(frozen=True)
class Complexity:
    """The norm of a network under one convention.

    Attributes
    ----------
    log_value : float
        ln R, the natural logarithm; -inf if R = 0.
    log_error : float
        Estimate of its error, from those of the singular values by eq. (N16); 0 where all of them
        are exact to rounding.
    layers : DataFrame
        A row for every parameter tensor: ``name``, ``kind``, ``shape``; ``sigma``, its largest
        singular value, rigorously between ``lower`` and ``upper``; ``norm_21``, the
        ||A^T - M^T||_{2,1} of the convention; ``share``, the part of the network's gain
        that passes through it (1 in a chain); ``method``; ``counted`` and ``reason``. What is
        stored as one tensor and acts as several has a row for each.
    convention, reference : str
        What was asked for; the authors' conventions always have the reference "zero".
    notes : tuple of str
        What is conventional in this number, and what was not counted.
    """

    log_value: float
    log_error: float
    layers: pd.DataFrame
    convention: str
    reference: str
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        kind = self.layers["kind"]
        counted = int(self.layers["norm_21"].notna().where(self.layers["counted"], False).sum())
        named = self.layers["shape"].map(len) > 0
        left = int((named & ~self.layers["counted"].astype(bool)).sum())
        unknown = int((kind == "unknown").sum())
        what = "matrix" if counted == 1 else "matrices"
        if not counted and kind.eq("parameter").any():
            counted = len(kind)
            what = "parameter" if counted == 1 else "parameters"
        parts = [
            f"{counted} {what} counted",
            f"{left} {'parameter' if left == 1 else 'parameters'} not",
        ]
        if unknown:
            parts.append(f"{unknown} unknown {'function' if unknown == 1 else 'functions'}")
        about = f"{self.convention}, reference {self.reference}"
        return f"ln R = {self.log_value:.6g} ({about}): {', '.join(parts)}"

    @property
    def value(self) -> float:
        """R itself; inf where only its logarithm is a double."""
        try:
            return math.exp(self.log_value)
        except OverflowError:
            return math.inf


def spectral_complexity(
    model: nn.Module,
    input_shape: Sequence[Any] | Mapping[str, Any] | Tensor | None = None,
    *,
    example: Sequence[Any] | Mapping[str, Any] | Tensor | None = None,
    convention: str = "eq2",
    reference: str = "paper",
    initial: nn.Module | Mapping[str, Tensor] | None = None,
    merge_low_rank: bool = False,
    strict: bool = False,
    tolerance: float = TOLERANCE,
    progress: bool = False,
) -> Complexity:
    """The spectral complexity of a model, eq. (2) of the paper, and its layers one by one.

    In a chain of layers, R = prod rho_i sigma_i (sum_i (t_i / sigma_i)^(2/3))^(3/2) with
    t_i = ||A_i^T - M_i^T||_{2,1}; docs/norms.md says what becomes of it where the data flow
    branches. The model is run once in evaluation mode and is left as it was.

    Parameters
    ----------
    model : Module
        Any module that maps tensors to tensors (several inputs or outputs count side by side),
        also inside a mapping, a tuple or a dataclass.
    input_shape : tuple of int, tuple of such tuples, or mapping
        Shape of one input without the batch, (1, 28, 28); of several, by position or by name.
        A tensor with a batch of one stands for itself.
    example : Tensor, tuple or mapping, instead of ``input_shape``
        The arguments of one pass, where random numbers would not do (indices of an embedding): one
        tensor, arguments by position, (ids, mask), or by name. Tensors of floating point numbers
        are the data if there are any, else those of integers are: tables are looked up by them,
        and where they become numbers beside that, they are masks, which are constants.
    convention : str
        "eq2", "bartlett", or what the authors logged: "cnn-paper", "resnet-paper", "vit-paper",
        and later "l1-paper", "frobenius-paper", "sum-21-paper", "sigma-product-paper".
        `CONVENTIONS` holds the formulas.
    reference : str
        M of eq. (2): "paper" (zero, and the identity for the skip of a residual layer), "zero",
        or "initial". The authors' conventions have M = 0 whatever is said here.
    initial : Module or state_dict
        The weights to subtract under ``reference="initial"``.
    merge_low_rank : bool
        Take W x + s B A x for one matrix W + s B A (LoRA, unmerged); otherwise they are three.
    strict : bool
        Raise if an operator is met whose effect on norms is not known, if the output depends on
        a parameter by a way that was not seen, or if the Jacobian is measured to be larger than
        its bound, eq. (N17). Otherwise an unknown operator counts as 1-Lipschitz, each of these
        is listed in the notes, and an `UncountedLayerWarning` is given.
    tolerance : float
        Of ln R, in parts of max(1, abs(ln R)), between 1e-12 and 0.1. Each singular value is found
        as precisely as that takes.
    progress : bool
        Show on a terminal how far the singular values have come, and how long it will take.

    Raises
    ------
    ValueError
        If an argument is not what it should be, the model does not run on such an input or has
        weights that are not finite; under ``strict``, in the cases above.

    Examples
    --------
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    >>> spectral_complexity(model, (1, 28, 28)).layers["counted"].tolist()
    [True, False]
    """
    chosen = checks.convention_named(convention)
    reference = checks.read_reference(reference)
    tolerance = checks.read_tolerance(tolerance)
    model, given = checks.read_model(model, input_shape, example)
    if initial is not None and reference != "initial":
        raise InvalidArgument(
            "initial", "is read where `reference` is 'initial'", quoted(reference)
        )
    graph = checks.graph_of(model, given, merge_low_rank=merge_low_rank)
    checks.require(graph, [chosen])
    tensors = named_tensors(model)
    start = None
    if reference == "initial":
        start = checks.initial_weights(model, graph, given, initial, merge_low_rank=merge_low_rank)
    if not isinstance(chosen, OperatorConvention):
        reference = "zero"
    with bar("sigma", wanted=progress, unit="percent", remaining=True) as shown:
        found = measure(
            graph,
            tensors,
            [chosen],
            Cold(tolerance),
            reference=reference,
            initial=None if start is None else dict(enumerate(start)),
            parameters=list(model.parameters()),
            bar=shown,
        )[chosen.name]
    table = _table(model, graph, tensors, _rows(chosen, graph, found, reference), chosen)
    log_sigma = None
    if isinstance(chosen, OperatorConvention):
        log_sigma = logs([found.matrices[index].sigma.value for index in range(len(graph.uses))])
    notes = [*graph.notes, *checks.account(model, given, graph, log_sigma, strict=strict)]
    return Complexity(found.log_value, found.error, table, chosen.name, reference, tuple(notes))


def _rows(
    convention: Convention, graph: Graph, found: Measurement, reference: str
) -> dict[int, dict[str, Any]]:
    """What the table says of every use."""
    rows = {}
    for index, use in enumerate(graph.uses):
        counted, reason = True, use.reason
        if index not in found.matrices:
            reason = f"not in the list of `{convention.name}`"
            rows[index] = _row(NOTHING, NAN, NAN, False, reason)
            continue
        if isinstance(convention, MatrixConvention):
            shape = found.matrices[index].shape
            reason = f"in the list of `{convention.name}`, as the stored matrix {shape}"
        elif use.kind == "identity":
            counted = reference == "zero"
            reason = "a matrix of eq. (2), as M = 0" if counted else "cancels against M = identity"
        matrix = found.matrices[index]
        rows[index] = _row(matrix.sigma, matrix.norm, matrix.share, counted, reason)
    return rows


def _row(sigma: Sigma, norm: float, share: float, counted: bool, reason: str) -> dict[str, Any]:
    return {
        "sigma": sigma.value,
        "norm_21": norm,
        "lower": sigma.lower,
        "upper": sigma.upper,
        "share": share,
        "method": sigma.method,
        "counted": counted,
        "reason": reason,
    }


def _table(
    model: nn.Module,
    graph: Graph,
    tensors: Mapping[str, Tensor],
    rows: Mapping[int, Mapping[str, Any]],
    convention: Convention,
) -> pd.DataFrame:
    """A row for every parameter, in the order of the model; then what has no parameter."""
    if isinstance(convention, ParameterConvention):
        reason = f"an entry of the vector of `{convention.name}`"
        every = [
            _plain(name, "parameter", tuple(parameter.shape), True, reason)
            for name, parameter in model.named_parameters()
        ]
        return pd.DataFrame(every, columns=list(COLUMNS))
    by_name: dict[str, list[int]] = {}
    parts: dict[str, str] = {}
    for index, use in enumerate(graph.uses):
        names = [name for source in use.sources for name in source.names]
        by_name.setdefault(names[0] if names else "", []).append(index)
        parts.update(dict.fromkeys(names[1:], use.label))
    parameters = dict(model.named_parameters())
    order = [*parameters, *(name for name in by_name if name not in parameters and name), ""]
    aliases = _aliases(model)
    result: list[dict[str, Any]] = []
    for name in order:
        shape = tuple(parameters[name].shape) if name in parameters else ()
        for index in by_name.get(name, []):
            result.append(_about(graph.uses[index], tensors) | dict(rows[index]))
        roles = list(dict.fromkeys(role for role in graph.roles if role.name == name))
        for role in roles:
            counted, reason = role.counted, role.reason
            if counted and isinstance(convention, MatrixConvention):
                counted, reason = False, f"not in the list of `{convention.name}`"
            result.append(_plain(name, role.kind, shape, counted, reason))
        if name in parameters and name not in by_name and not roles:
            if name in parts:
                result.append(_plain(name, "part", shape, True, f"a factor of {parts[name]}"))
            else:
                reason = "not counted: never used in the forward pass"
                result.append(_plain(name, "unused", shape, False, reason))
    for role in dict.fromkeys(graph.roles):  # a batch norm without a gain goes by its variance
        if role.kind == "batch norm" and role.name not in parameters:
            shape = tuple(tensors[role.name].shape)
            result.append(_plain(role.name, role.kind, shape, role.counted, role.reason))
    for item in dict.fromkeys(graph.unknown):
        name = f"({item.split(':')[0]})"
        result.append(_plain(name, "unknown", (), False, f"not counted: {item}"))
    for row in result:
        if row["name"] in aliases:
            row["reason"] += f"; the same tensor as {', '.join(aliases[row['name']])}"
    return pd.DataFrame(result, columns=list(COLUMNS))


def _about(use: Use, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    shape = tuple(use.stored(tensors).shape)
    return {"name": use.label, "kind": use.kind, "shape": shape}


def _plain(
    name: str, kind: str, shape: tuple[int, ...], counted: bool, reason: str
) -> dict[str, Any]:
    about = {"name": name, "kind": kind, "shape": shape}
    return about | _row(NOTHING, NAN, NAN, counted, reason)


def _aliases(model: nn.Module) -> dict[str, list[str]]:
    """Other names of a parameter that several modules share."""
    first: dict[int, str] = {}
    result: dict[str, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if id(parameter) in first:
            result.setdefault(first[id(parameter)], []).append(name)
        first.setdefault(id(parameter), name)
    return result
