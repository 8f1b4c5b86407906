"""Tensors that do not depend on the input: which parameters they are made of, and how.

A weight that is computed from parameters (weight norm, a transpose, a sum of low rank) is kept as
the operators that made it, so that it can be had again after the parameters have changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_map

from deepnorm.norms.graph import Source, Tensors

__all__ = ["Constants"]


@dataclass(frozen=True, eq=False)
class _Computed:
    """A tensor as the result number ``place`` of an operator."""

    function: Callable[..., Any]
    args: Any
    kwargs: Any
    place: int

    def read(self, tensors: Tensors) -> Tensor:
        """Compute it again."""

        def put(leaf: Any) -> Any:
            return leaf.read(tensors) if isinstance(leaf, (_Held, _Computed)) else leaf

        out = self.function(*tree_map(put, self.args), **tree_map(put, self.kwargs))
        result: Tensor = out if isinstance(out, Tensor) else out[self.place]
        return result


@dataclass(frozen=True)
class _Held:
    """A parameter or buffer by its name."""

    name: str

    def read(self, tensors: Tensors) -> Tensor:
        """As it is now."""
        return tensors[self.name].detach()


class Constants:
    """What is known of the constants of one pass."""

    def __init__(self, tensors: Mapping[str, Tensor], parameters: frozenset[str]):
        self._names: dict[int, tuple[str, ...]] = {}
        self._recipes: dict[int, _Held | _Computed | None] = {}
        self._parameters = parameters
        for name, tensor in tensors.items():
            if id(tensor) not in self._names:
                self._names[id(tensor)] = (name,)
                self._recipes[id(tensor)] = _Held(name)

    def knows(self, tensor: Tensor) -> bool:
        """Whether it was seen to be held, or computed."""
        return id(tensor) in self._recipes

    def names_of(self, tensor: Tensor) -> tuple[str, ...]:
        """The parameters and buffers that it is or was made of."""
        return self._names.get(id(tensor), ())

    def trained(self, tensor: Tensor) -> bool:
        """Whether one of those is a parameter."""
        return not self._parameters.isdisjoint(self.names_of(tensor))

    def compute(
        self, function: Any, args: Any, kwargs: Any, results: list[Tensor], written: bool
    ) -> None:
        """An operator made constants of constants; what it wrote in place has no recipe."""
        parts = [t for t in _leaves((args, kwargs)) if id(t) in self._names]
        names = tuple(dict.fromkeys(name for t in parts for name in self._names[id(t)]))
        known = all(self._recipes.get(id(t), 0) is not None for t in parts) and not written

        def take(leaf: Any) -> Any:
            recipe = self._recipes.get(id(leaf)) if isinstance(leaf, Tensor) else None
            return leaf if recipe is None else recipe

        for place, tensor in enumerate(results):
            if isinstance(self._recipes.get(id(tensor)), _Held):
                continue
            self._recipes[id(tensor)] = None
            if names:
                self._names[id(tensor)] = names
                if known:
                    again = tree_map(take, args), tree_map(take, kwargs)
                    self._recipes[id(tensor)] = _Computed(function, *again, place)

    def source(self, tensor: Tensor) -> Source:
        """Where a weight comes from."""
        recipe = self._recipes.get(id(tensor))
        return Source(tensor, self.names_of(tensor), None if recipe is None else recipe.read)


def _leaves(value: Any) -> list[Tensor]:
    found: list[Tensor] = []
    tree_map(lambda leaf: found.append(leaf) if isinstance(leaf, Tensor) else None, value)
    return found
