"""Attention as one operator."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from deepnorm.norms.calls import Call
from deepnorm.norms.maps import Dense
from deepnorm.norms.patterns import CHAIN
from deepnorm.norms.rules.registry import rule

__all__ = ["ATTENTION"]

ATTENTION = (
    "attention: not globally Lipschitz; by convention the matrices of queries, keys, values and "
    "output count as a chain, and the softmax and its scale not at all"
)

APART = f"attention with a bias, or with queries, that count by themselves: {CHAIN}"


@rule(
    *("scaled_dot_product_attention", "_scaled_dot_product_flash_attention"),
    *("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_efficient_attention"),
    *("_scaled_dot_product_cudnn_attention", "_scaled_dot_product_attention_math"),
)
def attention(call: Call) -> None:
    """Queries, keys and values."""
    query, key, _ = operands = [call["query"], call["key"], call["value"]]
    mask = call.get("attn_mask", call.get("attn_bias"))
    sizes = [
        float(torch.linalg.vector_norm(t.detach().double(), dim=(-2, -1)).max()) for t in operands
    ]
    scale = call.get("scale") or 1 / math.sqrt(query.shape[-1])
    shifted = call.node(mask) is not None and mask.is_floating_point()
    if call.tracer.trained(query) or shifted:
        _written_out(call, mask if shifted else None, scale, sizes)
        return
    call.role(mask, "additive", "an additive constant does not enter eq. (2)")
    # |d softmax| <= 1/2; the rows of a softmax have the sum 1, its columns at most the queries'
    local = [scale / 2 * sizes[1] * sizes[2], scale / 2 * sizes[0] * sizes[2]]
    local.append(math.sqrt(query.shape[-2]))
    # Heads that share keys see copies of them.
    groups = math.sqrt(max(query.shape[-3] / key.shape[-3], 1)) if query.dim() > 2 else 1.0
    local = [local[0], local[1] * groups, local[2] * groups]
    known: list[tuple[Any, float]] = [
        (t, size) for t, size in zip(operands, local, strict=True) if call.node(t) is not None
    ]
    tensors: list[Tensor] = [t for t, _ in known]
    here = [size for _, size in known]
    if len(tensors) == 1:
        call.through(tensors[0], note=ATTENTION, local=here)
    else:
        call.emit("product", tensors, tag="attention", note=ATTENTION, local=here)


def _written_out(call: Call, mask: Any, scale: float, sizes: list[float]) -> None:
    """Where queries are parameters, or a bias depends on the input: as it is if written out."""
    query, key, value = call["query"], call["key"], call["value"]
    if call.node(key) is None or call.node(value) is None:
        call.unknown("its keys or values do not depend on the input")
        return
    copies = math.sqrt(max(query.shape[-3] / key.shape[-3], 1)) if query.dim() > 2 else 1.0
    if call.node(query) is None:
        shape = (math.prod(query.shape[:-2]), *query.shape[-2:])

        def reads(tensor: Tensor) -> Tensor:
            return scale * tensor.reshape(shape)

        seen = call.through(key, copies, tag="copies")
        places = math.prod(key.shape[:-3]) * key.shape[-2]
        scores = call.layer(seen, "dense", Dense(shape, places), query, reads=reads)
    else:
        local = [scale * copies * sizes[1], scale * copies * sizes[0]]
        factors = [scale, copies]
        scores = call.emit("product", [query, key], factors, note=APART, local=local)
    if mask is not None:
        size = math.prod(query.shape[:-1]) * key.shape[-2]
        scores = call.emit("add", [scores, mask], [1.0, math.sqrt(size / mask.numel())])
    weights = call.through(scores, 0.5, tag="softmax")
    local = [copies * sizes[2], copies * math.sqrt(query.shape[-2])]
    call.emit("product", [weights, value], [1.0, copies], note=APART, local=local)
