"""Convolutions and their transposes."""

from __future__ import annotations

from typing import Any

import torch

from deepnorm.norms.calls import Call
from deepnorm.norms.maps import Convolution
from deepnorm.norms.measure import sigma_cold
from deepnorm.norms.rules.registry import per_axis, rule

__all__: list[str] = []


@rule("conv1d", "conv2d", "conv3d")
def convolution(call: Call) -> None:
    """A convolution."""
    _convolve(call, transposed=False)


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def convolution_transposed(call: Call) -> None:
    """Its transpose; the output padding shows in the size of the result."""
    _convolve(call, transposed=True)


@rule("convolution", "_convolution", "mkldnn_convolution", "convolution_overrideable")
def convolution_any(call: Call) -> None:
    """The operator behind both."""
    _convolve(call, transposed=bool(call.get("transposed", False)))


def _convolve(call: Call, *, transposed: bool) -> None:
    data = call.get("input", call.get("self"))
    weight, padding = call["weight"], call["padding"]
    call.bias(call["bias"])
    value = call.value(data)
    if value is None or call.node(weight) is not None:
        call.unknown("its kernel depends on the input")
        return
    axes = weight.dim() - 2
    dilations = per_axis(call["dilation"], axes)
    pads = None
    operand: Any = data
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilations, weight.shape[2:], strict=True)]
        paddings = [(total // 2, total - total // 2) for total in totals]
    elif padding == "valid":
        paddings = [(0, 0)] * axes
    else:
        paddings = [(p, p) for p in per_axis(padding, axes)]
    size = tuple((call.result if transposed else data).shape[-axes:])
    earlier = call.tracer.paddings.get(value.node)
    if earlier is not None and not transposed:
        operand, shape, indices = earlier
        size = shape[-axes:]
        pads = [torch.arange(n) for n in size[: axes - len(indices)]] + indices
    convolution = Convolution(
        tuple(weight.shape),
        size,
        stride=per_axis(call["stride"], axes),
        padding=paddings,
        dilation=dilations,
        groups=call["groups"],
        pads=pads,
        transposed=transposed,
        image=tuple(data.shape[-axes:]) if transposed else None,
    )
    if not call.tracer.trained(weight):  # a filter that nobody trains (blur before pooling)
        call.constant(weight)
        call.through(operand, sigma_cold(convolution, weight.detach().double()).value)
        return
    kind = f"conv_transpose{axes}d" if transposed else f"conv{axes}d"
    call.layer(operand, kind, convolution, weight)
