"""Pooling and interpolation."""

from __future__ import annotations

import itertools
import math

from deepnorm.norms import lipschitz
from deepnorm.norms.calls import Call
from deepnorm.norms.rules.registry import per_axis, rule

__all__: list[str] = []


@rule(*(f"max_pool{n}d{end}" for n, end in itertools.product((1, 2, 3), ("", "_with_indices"))))
def max_pool(call: Call) -> None:
    """Max pooling: exact, the root of the largest number of windows that see one input."""
    axes = int(call.name[8])
    data, out = call["self"], call.result
    kernel = per_axis(call["kernel_size"], axes)
    call.through(
        data,
        lipschitz.overlap(
            data.shape[-axes:],
            out.shape[-axes:],
            kernel,
            per_axis(call["stride"] or kernel, axes),
            per_axis(call["padding"], axes),
            per_axis(call["dilation"], axes),
        ),
        bounds=call.bounds(data),
    )


@rule(*(f"adaptive_max_pool{n}d" for n in (1, 2, 3)))
def adaptive_max_pool(call: Call) -> None:
    """The same for windows that follow from the sizes."""
    axes = int(call.name[17])
    data = call["self"]
    sizes = call.result.shape[-axes:]
    call.through(
        data, lipschitz.adaptive_overlap(data.shape[-axes:], sizes), bounds=call.bounds(data)
    )


@rule("avg_pool1d", "avg_pool2d", "avg_pool3d")
def avg_pool(call: Call) -> None:
    """Average pooling: exact."""
    axes = int(call.name[8])
    data = call["self"]
    kernel = per_axis(call["kernel_size"], axes)
    stride = per_axis(call["stride"] or kernel, axes)
    whole, ceil, divisor = (
        call["count_include_pad"],
        call["ceil_mode"],
        call.get("divisor_override"),
    )
    factor = 1.0
    if divisor is not None:
        if ceil:
            call.unknown("`divisor_override` with `ceil_mode`")
            return
        whole = True  # what is divided by does not depend on what the window holds
        factor = math.prod(kernel) / abs(divisor)
    padding = per_axis(call["padding"], axes)
    average = lipschitz.average(data.shape[-axes:], kernel, stride, padding, ceil, whole)
    call.through(data, factor * average)


@rule(
    *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
    *("_adaptive_avg_pool2d", "_adaptive_avg_pool3d"),
)
def adaptive_avg_pool(call: Call) -> None:
    """Adaptive average pooling: exact."""
    axes = int(call.name[-2])
    data = call["self"]
    sizes = call.result.shape[-axes:]
    factor = lipschitz.adaptive_average(data.shape[-axes:], sizes)
    call.through(data, factor, bounds=call.bounds(data))


@rule("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")
def interpolate(call: Call) -> None:
    """Linear interpolation: exact, one along each axis in turn."""
    data = call.get("input", call.get("self"))
    axes = data.dim() - 2
    scales = call.get("scale_factors")
    call.through(
        data,
        lipschitz.interpolation(
            data.shape[-axes:], call.result.shape[-axes:], scales, call["align_corners"]
        ),
    )
