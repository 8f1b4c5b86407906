"""Weights of others into a model: what does not fit is said in a sentence, however much it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deepnorm.norms.weights import Weights
from replica.common.errors import InvalidArgument
from replica.common.text import cut, listed, printable

__all__ = ["load_state", "load_weights"]

#: Names that wrappers of modules put between those of the model: of DistributedDataParallel and
#: its like, torch.compile, checkpointed activations, fully sharded data, Fabric.
WRAPPERS = frozenset(
    [
        *("module", "_orig_mod", "_checkpoint_wrapped_module"),
        *("_fsdp_wrapped_module", "_forward_module"),
    ]
)
#: Ends of names that a file may lack: a count that no norm depends on.
SPARED = "num_batches_tracked"


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


def load_weights(model: nn.Module, weights: Weights) -> tuple[str, ...]:
    """Put the weights of a file into a model, with the prefixes of training scripts taken off.

    A prefix (``module.``, ``model.``, any) is taken off if, and only if, the names behind it are
    then all those of the model and no others; what stands outside is left. So are the names of
    wrappers within names. The model becomes one of double precision if its own cannot hold the
    weights exactly, and is half changed where they are refused.

    Parameters
    ----------
    model : nn.Module
    weights : Weights
        As `read_weights` found them.

    Returns
    -------
    tuple of str
        What was taken off, and what was left, in sentences.

    Raises
    ------
    ValueError
        If names or shapes are not those of the model, or several prefixes fit.
    """
    own = model.state_dict(keep_vars=True)
    reading = _reading(own, weights)
    state = {name: weights.tensors[theirs] for name, theirs in reading.names.items()}
    for name in own.keys() - state.keys():  # tensors used twice are saved once by safetensors
        for other in state.keys() & own.keys():
            if own[other] is own[name]:
                state[name] = state[other]
                break
    if not all(_holds(own[name], state[name]) for name in own.keys() & state.keys()):
        model.double()
    try:
        load_state(model, state)
    except ValueError as error:
        said = f" (names without {reading.taken})" if reading.taken else ""
        raise ValueError(f"{error}{said}") from None
    notes = []
    if reading.taken:
        notes.append(f"names read without {reading.taken}")
    if reading.rest:
        notes.append(
            f"left unread, outside of `{printable(cut(reading.prefix))}`: {listed(reading.rest)}"
        )
    return tuple(notes)


@dataclass(frozen=True)
class _Reading:
    """The model's names and those in the file, after a prefix and perhaps names of wrappers."""

    names: dict[str, str]
    prefix: str
    wrappers: tuple[str, ...]
    rest: tuple[str, ...]

    @property
    def taken(self) -> str:
        """What was taken off, in words; empty if nothing."""
        words = [f"the prefix `{printable(cut(self.prefix))}`"] if self.prefix else []
        if self.wrappers:
            words.append("the wrappers " + ", ".join(f"`{name}`" for name in self.wrappers))
        return " and ".join(words)


def _reading(own: Mapping[str, Any], weights: Weights) -> _Reading:
    """The one way to read the names that fits; where none does, the one that comes nearest."""
    nearest: tuple[int, _Reading] | None = None
    for names, wrappers in _spellings(weights.tensors):
        prefixes = [weights.prefix] if weights.prefix is not None else _prefixes(own, names)
        fitting = []
        for prefix in prefixes:
            inside = {n[len(prefix) :]: n for n in names if n.startswith(prefix)}
            rest = tuple(theirs for n, theirs in names.items() if not n.startswith(prefix))
            reading = _Reading(
                {n: names[inner] for n, inner in inside.items()}, prefix, wrappers, rest
            )
            if _fits(own, inside):
                fitting.append(reading)
            found = len(own.keys() & inside.keys())
            if nearest is None or found > nearest[0]:
                nearest = found, reading
        plain = [reading for reading in fitting if not reading.prefix]
        if len(fitting) > 1 and not plain:
            base = f"{weights.key}." if weights.key else ""
            keys = [base + reading.prefix.removesuffix(".") for reading in fitting]
            raise InvalidArgument(
                "key", f"must say which weights of {weights.file} are meant: {listed(keys)}", "none"
            )
        if fitting:
            return (plain or fitting)[0]
    assert nearest is not None  # the names as they are, without a prefix, at least
    return nearest[1]


def _spellings(names: Iterable[str]) -> list[tuple[dict[str, str], tuple[str, ...]]]:
    """Names as they are, and without those of wrappers, each with what it is in the file."""
    plain = {name: name for name in names}
    parts = {name: name.split(".") for name in plain}
    bare = {".".join(p for p in parts[name] if p not in WRAPPERS): name for name in plain}
    found = tuple(sorted({p for some in parts.values() for p in some} & WRAPPERS))
    return [(plain, ())] + ([(bare, found)] if found and len(bare) == len(plain) else [])


def _prefixes(own: Collection[str], names: Iterable[str]) -> list[str]:
    """No prefix, and those behind which names of the model stand, the most frequent first."""
    counts = Counter({"": 0})
    for name in names:
        at = name.find(".") + 1
        while at:
            if name[at:] in own:
                counts[name[:at]] += 1
            at = name.find(".", at) + 1
    return sorted(counts, key=lambda prefix: (prefix != "", -counts[prefix]))


def _holds(own: Any, given: Tensor) -> bool:
    """Whether numbers of the given type are numbers of one's own type."""
    if not isinstance(own, Tensor) or not (own.is_floating_point() and given.is_floating_point()):
        return True
    mine, theirs = torch.finfo(own.dtype), torch.finfo(given.dtype)
    return mine.eps <= theirs.eps and mine.max >= theirs.max


def _fits(own: Mapping[str, Any], names: Collection[str]) -> bool:
    """Whether these are all the model's names and no others."""
    held = {id(own[name]) for name in names if name in own}
    return (
        bool(held)
        and all(name in own for name in names)
        and all(
            name in names or id(tensor) in held or name.endswith(SPARED)
            for name, tensor in own.items()
        )
    )
