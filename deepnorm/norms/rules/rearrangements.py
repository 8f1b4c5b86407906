"""Entries moved, dropped, copied, converted: nothing is computed from them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from deepnorm.norms import scalars
from deepnorm.norms.calls import Call, Cut, Moved, Value, tensors_in
from deepnorm.norms.rules.lookups import look_up
from deepnorm.norms.rules.registry import rule

__all__ = ["REARRANGED", "SAME"]

SAME = (
    *scalars.CASTS,
    *("clone", "contiguous", "alias", "lift_fresh", "resolve_conj", "resolve_neg", "positive"),
    *("real", "view_as_real", "view_as_complex", "conj", "_conj", "conj_physical", "nan_to_num"),
    *("pin_memory", "lift", "detach"),
)
REARRANGED = (
    *("view", "reshape", "flatten", "unflatten", "permute", "transpose", "swapaxes", "swapdims"),
    *("movedim", "moveaxis", "squeeze", "unsqueeze", "t", "ravel", "view_as", "reshape_as"),
    *("numpy_T", "mT", "mH", "matrix_H", "adjoint", "_unsafe_view", "_reshape_alias", "unfold"),
    *("unbind", "chunk", "split", "tensor_split", "split_with_sizes", "unsafe_chunk"),
    *("unsafe_split", "unsafe_split_with_sizes", "hsplit", "vsplit", "dsplit", "narrow"),
    *("select", "slice", "index_select", "gather", "take", "take_along_dim", "index", "roll"),
    *("flip", "fliplr", "flipud", "rot90", "expand", "expand_as", "repeat", "tile"),
    *("repeat_interleave", "broadcast_to", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle"),
    *("as_strided", "diagonal", "native_channel_shuffle", "atleast_1d", "atleast_2d"),
    *("atleast_3d", "tril"),
    *("triu", "masked_select", "im2col", "upsample_nearest1d", "upsample_nearest2d", "diag"),
    *("upsample_nearest3d", "_upsample_nearest_exact1d", "_upsample_nearest_exact2d"),
    *("_upsample_nearest_exact3d", "select_copy", "view_copy", "unsafe_chunk", "split_copy"),
)


@rule(*SAME)
def same(call: Call) -> None:
    """The same numbers; a conversion to integers jumps."""
    data = next(tensors_in(call.arguments))
    if call.value(data) is None:  # `type_as` data
        return
    value, result = call.inputs[id(data)], call.result
    from_numbers, to_numbers = (t.is_floating_point() or t.is_complex() for t in (data, result))
    if from_numbers and not to_numbers:
        if result.dtype != torch.bool:
            node = call.unknown("it rounds to integers, and jumps")
            call.tracer.put(result, Value(node))
        return
    if to_numbers and not from_numbers:
        call.tracer.converted = True
        if not call.tracer.integers:
            return
    tag = "detach" if call.name == "detach" else "shape"
    index = call.through(data, tag=tag, bounds=value.bounds)
    call.tracer.put(result, Value(index, value.cuts, value.bounds, value.moved))


@rule("complex")
def parts(call: Call) -> None:
    """Real and imaginary part: side by side."""
    call.emit("stack" if len(call.data) > 1 else "map", list(call.data))


@rule(
    *("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like"),
    *("new_zeros", "new_ones", "new_empty", "new_full", "new_tensor", "new_empty_strided"),
)
def constant(call: Call) -> None:
    """Of the size or kind of another tensor, and of nothing else of it."""


@rule(*REARRANGED)
def rearranged(call: Call) -> None:
    """The root of the largest number of copies of an entry.

    The same operator is applied to the numbers of the entries, and tells where each went.
    """
    first = next(iter(call.arguments))
    data = call[first]
    value = call.value(data)
    if value is None:
        # The data choose among constants, or tell the shape alone.
        if call.tracer.trained(data) and call.name in ("index", "index_select", "gather", "take"):
            look_up(call, data, call.data[0])
        return
    moved = _places(call, first, data)
    for out, index in zip(tensors_in(call.out), moved, strict=True):
        places = index.reshape(-1).long() - 1
        shown = places[places >= 0]
        copies = int(torch.bincount(shown).max()) if shown.numel() else 0
        tag = "shape" if copies == 1 else "copies"
        bounds = value.bounds
        if len(shown) < len(places):
            bounds = min(bounds[0], 0.0), max(bounds[1], 0.0)
        move(call, data, out, places, math.sqrt(copies), tag, bounds)


def _places(call: Call, first: str, data: Tensor) -> list[Tensor]:
    # From 1 on: a zero is then a padding, which is a constant.
    numbers = torch.arange(1, data.numel() + 1, dtype=torch.float64, device=data.device)
    numbers = numbers.view(data.shape)
    if call.name == "as_strided":  # by places in memory
        numbers = torch.empty_like(data, dtype=torch.float64).copy_(numbers)
    if call.function._schema.is_mutable:  # transpose_, squeeze_: the shape of before is gone
        return [numbers.view(call.result.shape)]
    return list(tensors_in(call.function(**(call.arguments | {first: numbers}))))


def move(
    call: Call,
    data: Tensor,
    out: Tensor,
    places: Tensor,
    factor: float,
    tag: str,
    bounds: tuple[float, float],
) -> None:
    """One result of a rearrangement, whose entries stood at these places before."""
    value = call.inputs[id(data)]
    known = bool(value.cuts) and bool((places >= 0).all())
    kept = [(cut, cut.rows.reshape(-1)[places].view(out.shape)) for cut in value.cuts if known]
    fewer = bool(kept) and all(
        len(torch.unique(rows)) < len(torch.unique(cut.rows)) for cut, rows in kept
    )
    moved = None
    if places.numel() < data.numel() or value.moved is not None:
        earlier = value.moved or Moved(value.node, torch.arange(data.numel(), device=places.device))
        found = torch.where(places >= 0, earlier.places[places.clamp(min=0)], -1)
        moved = Moved(earlier.node, found, earlier.factor)
    parts = []
    for cut, rows in kept:
        if fewer:
            parts.append(
                call.emit(
                    "map",
                    [cut.node],
                    [factor],
                    tag="cut",
                    out=out,
                    rows=torch.unique(rows),
                    origin=cut.origin,
                )
            )
        elif len(kept) > 1:
            parts.append(call.emit("map", [cut.node], [factor], tag=tag, out=out))
    if fewer:
        node = parts[0]
        if len(parts) > 1:
            node = call.emit("add", list(parts), weights=[1.0] * len(parts), out=out)
        call.tracer.put(out, Value(node, (), bounds, moved))
        return
    node = call.emit("map", [data], [factor], tag=tag, out=out)
    parts = parts or [node]
    cuts = [
        Cut(cut.origin, part, rows) for (cut, rows), part in zip(kept, parts, strict=bool(kept))
    ]
    call.tracer.put(out, Value(node, tuple(cuts), bounds, moved))


@rule("constant_pad_nd", "pad", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d")
def pad(call: Call) -> None:
    """Padding: the root of the number of copies; a convolution that follows takes it in."""
    _pad(call, call.get("mode", "reflect" if call.name.startswith("refl") else "constant"))


@rule("replication_pad1d", "replication_pad2d", "replication_pad3d")
def pad_by_copies(call: Call) -> None:
    """The same, with the nearest entry."""
    _pad(call, "replicate")


def _pad(call: Call, mode: str) -> None:
    data = call.data[0]
    amounts = list(call.get("pad", call.get("padding")))
    axes = len(amounts) // 2
    indices: list[Any] = []
    copies = 1.0
    for axis in range(axes):
        length = data.shape[-axes + axis]
        pair = tuple(amounts[2 * (axes - 1 - axis) : 2 * (axes - axis)])
        numbers = torch.arange(1, length + 1, dtype=torch.float64)[None, None]
        index = torch.nn.functional.pad(numbers, pair, mode=mode)[0, 0].long() - 1
        indices.append(index)
        copies *= int(torch.bincount(index[index >= 0], minlength=1).max())
    before = call.node(data)
    assert before is not None
    node = call.through(data, math.sqrt(copies), tag="shape" if copies == 1 else "copies")
    if axes <= data.dim() - 2:
        call.tracer.paddings[node] = (before, tuple(data.shape), indices)
