"""What acts on every entry by itself, and what chooses among entries."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from deepnorm.norms import lipschitz, patterns
from deepnorm.norms.calls import INFINITE, Call, Value
from deepnorm.norms.rules.registry import RULES, rule

__all__: list[str] = []

#: Between which the values of some of them lie.
BOUNDS = {
    "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hardtanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "erf": (-1.0, 1.0),
    "sin": (-1.0, 1.0),
    "cos": (-1.0, 1.0),
    "relu6": (0.0, 6.0),
}


def _activation(call: Call) -> None:
    data = call.data[0]
    low, high = BOUNDS.get(call.name, INFINITE)
    if call.name == "hardtanh":
        low, high = float(call["min_val"]), float(call["max_val"])
    if call.name == "relu":
        low, high = 0.0, max(call.bounds(data)[1], 0.0)
    index = call.through(data, lipschitz.SLOPES[call.name], bounds=(low, high))
    if call.name in ("neg", "negative"):
        ends = call.bounds(data)
        call.tracer.nodes[index].weights = [-1.0]
        call.tracer.nodes[index].bounds = -ends[1], -ends[0]
        before = call.inputs[id(data)]
        call.tracer.put(call.result, Value(index, (), (-ends[1], -ends[0]), before.moved))


RULES.update(dict.fromkeys(lipschitz.SLOPES, _activation))


@rule("clamp", "clip", "clamp_min", "clamp_max")
def clamped(call: Call) -> None:
    """1-Lipschitz as long as the limits are constants."""
    if len(call.data) > 1:
        call.emit("stack", list(call.data))
        return
    limits = {"clamp_min": (call.get("min"), None), "clamp_max": (None, call.get("max"))}
    least, most = limits.get(call.name, (call.get("min"), call.get("max")))
    low, high = call.bounds(call.data[0])
    if least is not None:
        low, high = (max(end, call.bounds(least)[0]) for end in (low, high))
    if most is not None:
        low, high = (min(end, call.bounds(most)[1]) for end in (low, high))
    call.through(call.data[0], bounds=(low, high))
    for limit in (least, most):
        call.role(limit, "bound", "a bound does not enter eq. (2)")


@rule("gelu")
def gelu(call: Call) -> None:
    """Both forms."""
    call.through(call["self"], lipschitz.GELU[call["approximate"]])


@rule("leaky_relu")
def leaky_relu(call: Call) -> None:
    """The steeper of its two sides."""
    call.through(call["self"], max(1.0, abs(call["negative_slope"])))


@rule("rrelu", "rrelu_with_noise")
def rrelu(call: Call) -> None:
    """In evaluation the slope is the mean of its bounds."""
    if call["training"]:
        call.unknown("it is random in evaluation too (pass `training=self.training`)")
        return
    call.through(call["self"], max(1.0, abs(call["lower"] + call["upper"]) / 2))


@rule("elu")
def elu(call: Call) -> None:
    """Just left of zero the slope is alpha times the scales."""
    inner = abs(call["alpha"] * call["input_scale"])
    call.through(call["self"], abs(call["scale"]) * max(1.0, inner))


@rule("celu", "softplus")
def slope_one(call: Call) -> None:
    """The slope of CELU is one at zero whatever alpha; that of softplus one far out."""
    call.through(call["self"])


@rule("threshold")
def threshold(call: Call) -> None:
    """Continuous only if the value is the threshold."""
    if call["threshold"] == call["value"]:
        call.through(call["self"])
    else:
        call.unknown("it jumps where the threshold is not the value")


@rule("prelu", "_prelu_kernel")
def prelu(call: Call) -> None:
    """The steeper side; the slope is a parameter."""
    slope = call["weight"]
    call.tracer.fixed = False
    call.role(slope, "slope", "sets the Lipschitz constant of an activation: max(1, |slope|)")
    call.through(call["self"], max(1.0, float(slope.detach().abs().max())))


@rule("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "native_dropout")
def dropout(call: Call) -> None:
    """The identity in evaluation."""
    if call["train"] and call["p"]:
        call.unknown("it is active in evaluation too (pass `training=self.training`)")
        return
    data = call.data[0]  # `input`, or `self` where it is changed in place
    value = call.inputs[id(data)]
    node = call.through(data, tag="shape")
    call.tracer.put(call.result, Value(node, value.cuts, value.bounds))


@rule("round", "floor", "ceil", "trunc", "fix", "sign", "sgn", "heaviside", "frac", "bernoulli")
def jump(call: Call) -> None:
    """Steps are not Lipschitz; inside a straight-through estimator they do not count."""
    call.unknown("it jumps, and has no Lipschitz constant", [call.data[0]])


@rule(
    *("fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine"),
    *("_fake_quantize_learnable_per_tensor_affine", "fused_moving_avg_obs_fake_quant"),
    "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams",
)
def fake_quantised(call: Call) -> None:
    """Rounding whose gradient is that of the identity."""
    call.through(call["self"], note=patterns.STRAIGHT_THROUGH)


@rule("softmax", "_softmax", "_safe_softmax")
def softmax(call: Call) -> None:
    """The Jacobian diag(p) - p p^T has norm at most 1/2, at p = (1/2, 1/2)."""
    call.through(call["self"], 0.5, tag="softmax", bounds=(0.0, 1.0))


@rule("log_softmax", "_log_softmax")
def log_softmax(call: Call) -> None:
    """The Jacobian 1 - 1 p^T has norm at most sqrt(n), where p is one class."""
    call.through(
        call["self"], math.sqrt(call.result.shape[call["dim"]] if call.result.dim() else 1)
    )


@rule(
    *("max", "min", "amax", "amin", "sort", "topk", "logsumexp", "median", "msort", "maximum"),
    *("minimum", "fmax", "fmin", "aminmax", "kthvalue", "cummax", "cummin"),
)
def order(call: Call) -> None:
    """1-Lipschitz functions, of one tensor or of two side by side.

    The largest of disjoint groups moves no more than they do.
    """
    data = [tensor for tensor in call.data if tensor.is_floating_point()]
    if call.name.startswith("cum"):
        call.unknown("an entry may be the largest of many ranges")
        return
    if call.name == "aminmax":
        call.emit("map", data, [math.sqrt(2)])
        return
    bounds = INFINITE
    if call.name != "logsumexp":
        ends = [call.bounds(t) for name in ("self", "other") if (t := call.get(name)) is not None]
        bounds = min(low for low, _ in ends), max(high for _, high in ends)
    call.emit("stack" if len(data) > 1 else "map", list(data), bounds=bounds)


@rule("norm", "linalg_vector_norm", "linalg_norm", "frobenius_norm")
def norm(call: Call) -> None:
    """A norm is 1-Lipschitz where p >= 2."""
    p: Any = call.get("p", call.get("ord", 2))
    if p in ("fro", None):
        p = 2
    if not isinstance(p, (int, float)) or p < 2:
        call.unknown("only norms with p >= 2 are known")
        return
    call.emit("map", list(call.data))


def magnitude(constant: Any) -> float:
    """The largest absolute value of a number or a tensor."""
    if not isinstance(constant, Tensor):
        return abs(constant)
    return float(constant.detach().abs().max()) if constant.numel() else 0.0
