"""Attention as one operator."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from deepnorm.norms.calls import Call
from deepnorm.norms.rules.registry import rule

__all__ = ["ATTENTION"]

ATTENTION = (
    "attention: not globally Lipschitz; by convention the matrices of queries, keys, values and "
    "output count as a chain, and the softmax and its scale not at all"
)


@rule(
    *("scaled_dot_product_attention", "_scaled_dot_product_flash_attention"),
    *("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_efficient_attention"),
    *("_scaled_dot_product_cudnn_attention", "_scaled_dot_product_attention_math"),
)
def attention(call: Call) -> None:
    """Queries, keys and values."""
    operands = [call["query"], call["key"], call["value"]]
    mask = call.get("attn_mask", call.get("attn_bias"))
    if call.node(mask) is not None and mask.is_floating_point():
        call.unknown("its mask depends on the input")
        return
    call.role(mask, "additive", "an additive constant does not enter eq. (2)")
    sizes = [
        float(torch.linalg.vector_norm(t.detach().double(), dim=(-2, -1)).max()) for t in operands
    ]
    query, key, _value = operands
    scale = call.get("scale") or 1 / math.sqrt(query.shape[-1])
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
