"""Weights of others into a model: what does not fit is said in a sentence, however much it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from replica.common.text import cut, listed, printable

__all__ = ["load_state"]


def load_state(model: nn.Module, state: Mapping[Any, Any]) -> None:
    """Put weights into a model, which is half changed where they are refused.

    Parameters
    ----------
    model : nn.Module
    state : mapping of str to Tensor
        As ``state_dict`` makes it. Only names and tensors are looked at: what else the mapping
        carries along (``_metadata``) may be anything.

    Raises
    ------
    ValueError
        If it is no such mapping, or its names or shapes are not those of the model.
    """
    if not isinstance(state, Mapping):
        raise ValueError(f"no mapping of names to tensors, but {type(state).__name__}")
    odd = [key for key in state if not isinstance(key, str)]
    if odd:
        raise ValueError(f"names that are no text: {listed(map(repr, odd))}")
    other = [
        key
        for key, value in state.items()
        if not (isinstance(value, Tensor) or key.endswith("_extra_state"))  # of a module's own
    ]
    if other:
        raise ValueError(f"no tensors under the names {listed(other)}")
    own = model.state_dict()
    wrong = [
        f"{key} is {tuple(state[key].shape)}, not {tuple(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    if wrong:
        raise ValueError(f"other shapes: {listed(wrong)}")
    try:
        found = model.load_state_dict(dict(state), strict=False)
    except Exception as error:  # of tensors that cannot be copied; torch has a dozen kinds
        raise ValueError(cut(printable(" ".join(str(error).split())))) from error
    reasons = []
    if found.missing_keys:
        reasons.append(f"missing: {listed(found.missing_keys)}")
    if found.unexpected_keys:
        reasons.append(f"unknown: {listed(found.unexpected_keys)}")
    if reasons:
        raise ValueError("; ".join(reasons))
