"""Initial weights, from a generator of one's own; widths times a factor."""

from __future__ import annotations

import torch
from torch import Generator, nn

from replica.common.arguments import InvalidArgument, quoted

__all__ = ["Vectors", "initialise", "widened"]

#: Standard deviation of class token and positions, as in the first vision transformers.
EMBEDDING = 0.02


class Vectors(nn.Module):
    """A module whose own parameters are learned vectors, added to its input or put beside it."""


def initialise(network: nn.Module, scale: float, generator: Generator | None) -> None:
    """Fill every parameter and buffer, in the order of the modules.

    Weights and biases of dense and convolution layers are uniform in +-scale/sqrt(fan in),
    which at scale 1 is the distribution that torch itself draws from; class token and
    positions are normal. Norm layers get their gains 1 and offsets 0.

    Raises
    ------
    TypeError
        If a module has parameters and no rule here: they would hold garbage.
    """
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                bound = scale * module.weight[0].numel() ** -0.5
                for parameter in module.parameters(recurse=False):
                    parameter.uniform_(-bound, bound, generator=generator)
            elif isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
                module.reset_parameters()
            elif isinstance(module, Vectors):
                for parameter in module.parameters(recurse=False):
                    parameter.normal_(0.0, scale * EMBEDDING, generator=generator)
            elif any(True for _ in module.parameters(recurse=False)):
                raise TypeError(f"no rule for the initial weights of {type(module).__name__}")


def widened(size: int, factor: float, multiple: int = 1) -> int:
    """``size`` times ``factor``, rounded to a multiple.

    Raises
    ------
    ValueError
        If nothing is left.
    """
    rounded = round(size * factor / multiple) * multiple
    if rounded < multiple:
        raise InvalidArgument(
            "width", f"must leave at least {multiple} of a width of {size}", quoted(factor)
        )
    return rounded
