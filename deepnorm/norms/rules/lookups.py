"""Tables that integers are looked up in: where the flow of numbers begins."""

from __future__ import annotations

from torch import Tensor

from deepnorm.norms.calls import LOOKUPS, Call
from deepnorm.norms.rules.registry import rule

__all__ = ["look_up"]


@rule(*LOOKUPS)
def embedding(call: Call) -> None:
    """A table of vectors; the gain is that from what was looked up."""
    look_up(call, call["weight"], call["indices"])


def look_up(call: Call, table: Tensor, indices: Tensor) -> None:
    """Vectors of a table that does not depend on the input, by integers that do."""
    call.role(table, "embedding", "a table of vectors, not a linear map of the data: not counted")
    if call.node(indices) is None:
        call.unknown("its table depends on the input", [table])
        return
    node = call.node(indices)
    if node is not None and call.tracer.nodes[node].unknown:
        # The index was computed from data (a code book): a choice, which varies by jumps.
        return
    call.through(
        indices,
        note="embedding: the gain is the network's from the looked-up vectors on",
    )
