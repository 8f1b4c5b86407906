"""Division by a statistic: running ones are a diagonal matrix, the input's own a convention."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from deepnorm.norms.calls import Call
from deepnorm.norms.graph import Fold
from deepnorm.norms.maps import Dense, Diagonal
from deepnorm.norms.rules.registry import rule

__all__: list[str] = []


@rule(
    *("batch_norm", "native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm"),
    *("_native_batch_norm_legit_no_training", "_batch_norm_with_update", "_batch_norm_no_update"),
)
def batch_normalisation(call: Call) -> None:
    """A batch norm: a diagonal matrix, to be folded if it can be."""
    mean, variance = call.get("running_mean"), call.get("running_var")
    call.bias(call["bias"])
    call.role(mean, "running mean", "a shift does not enter eq. (2)")
    _batch_norm(call, call["weight"], variance, bool(call.get("training", False)))


def _batch_norm(call: Call, gain: Any, variance: Any, training: bool) -> None:
    data, eps, tracer = call["input"], float(call["eps"]), call.tracer
    if training or variance is None:
        axes = [axis for axis in range(data.dim()) if axis != 1]
        normalise(call, data, gain, "batch norm without running statistics", axes, eps)
        return
    fold = Fold(None if gain is None else tracer.source(gain), tracer.source(variance), eps)
    value = call.value(data)
    assert value is not None
    before = tracer.nodes[value.node]
    foldable = False
    if before.use is not None:
        # Its channels are the map's only if nothing came between them.
        earlier = tracer.uses[before.use].map
        channels_second = not isinstance(earlier, Dense) or data.dim() == 2
        foldable = channels_second and not isinstance(earlier, Diagonal)
    size = data.shape[1]
    call.layer(
        data,
        "batch norm",
        Diagonal(size, max(data.numel() // size, 1)),
        None,
        label=tracer.label(fold.gain or fold.variance, "batch norm"),
        fold=fold,
        foldable=foldable,
        reason="enters eq. (2) as a diagonal matrix: no map before it that it could be folded into",
    )


@rule("instance_norm")
def instance_norm(call: Call) -> None:
    """Statistics of one image, or running ones."""
    call.bias(call["bias"])
    call.role(call["running_mean"], "running mean", "a shift does not enter eq. (2)")
    if call["use_input_stats"]:
        data = call["input"]
        axes = list(range(2, data.dim()))
        normalise(call, data, call["weight"], "instance norm", axes, float(call["eps"]))
    else:
        _batch_norm(call, call["weight"], call["running_var"], False)


@rule("layer_norm", "native_layer_norm")
def layer_norm(call: Call) -> None:
    """Layer norm."""
    call.bias(call["bias"])
    axes = [-1 - axis for axis in range(len(call["normalized_shape"]))]
    normalise(call, call["input"], call["weight"], "layer norm", axes, float(call["eps"]))


@rule("rms_norm", "_fused_rms_norm")
def rms_norm(call: Call) -> None:
    """RMS norm."""
    axes = [-1 - axis for axis in range(len(call["normalized_shape"]))]
    data = call["input"]
    eps = call["eps"]
    eps = torch.finfo(data.dtype).eps if eps is None else float(eps)
    normalise(call, data, call["weight"], "RMS norm", axes, eps, centred=False)


@rule("group_norm", "native_group_norm")
def group_norm(call: Call) -> None:
    """Group norm."""
    call.bias(call["bias"])
    data = call["input"]
    groups = call.get("num_groups", call.get("group"))
    apart = data.reshape(data.shape[0], groups, -1)
    normalise(call, data, call["weight"], "group norm", [-1], float(call["eps"]), apart=apart)


def normalise(
    call: Call,
    data: Tensor,
    gain: Any,
    what: str,
    axes: list[int],
    eps: float,
    *,
    centred: bool = True,
    apart: Tensor | None = None,
) -> None:
    """Statistics of the input itself: 1-Lipschitz by convention, then a gain."""
    values = (data if apart is None else apart).detach().double()
    squares = values.var(axes, correction=0) if centred else values.square().mean(axes)
    local = 1 / math.sqrt(float(squares.min()) + eps) if squares.numel() else math.inf
    index = call.through(data, note=convention(what), local=[local])
    if gain is not None:
        call.gain(
            index,
            gain,
            call.result.numel(),
            kind="gain",
            reason=f"enters eq. (2) as a diagonal matrix; the normalisation before it ({what}) "
            "counts as 1 by convention",
        )


def convention(what: str) -> str:
    """What the notes say of a normalisation."""
    return (
        f"{what}: dividing by a statistic of the input is not globally Lipschitz; it counts as 1 "
        "by convention, and its gain as a diagonal matrix"
    )
