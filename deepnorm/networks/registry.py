"""The networks by name."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from deepnorm.networks import cnn, resnet, vit
from deepnorm.networks.initial import initialise
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["NAMES", "build"]

#: Kinds of networks: their sizes by name, and the class that is built of one.
KINDS: tuple[tuple[Mapping[str, Any], Callable[..., nn.Module]], ...] = (
    (cnn.SIZES, cnn.CNN),
    (resnet.SIZES, resnet.ResNet),
    (vit.SIZES, vit.ViT),
)
NAMES = tuple(name for sizes, _ in KINDS for name in sizes)


def build(
    name: str,
    input_shape: Sequence[int],
    classes: int,
    *,
    width: float = 1.0,
    initial_scale: float = 1.0,
    seed: int | None = None,
) -> nn.Module:
    """A network with random weights, in training mode, on the CPU, float32.

    =================  ===============================================================
    name               what it is
    =================  ===============================================================
    "cnn"              the paper's for MNIST and CIFAR-10
    "cnn-cifar100"     the paper's for CIFAR-100, with dropout
    "cnn-small"        two convolutions, for a processor
    "resnet"           the paper's for CIFAR-10, 18 layers
    "resnet-mnist"     the paper's for MNIST, 18 narrow layers
    "resnet-cifar100"  the paper's for CIFAR-100, 34 layers
    "resnet-small"     8 layers, for a processor
    "vit"              the paper's for CIFAR-10
    "vit-mnist"        the paper's for MNIST, patches of 7x7
    "vit-cifar100"     the paper's for CIFAR-100
    "vit-small"        4 narrow blocks, for a processor
    =================  ===============================================================

    Any of them takes any images that it can divide; the names only say which sizes the
    paper used where. The sizes themselves are in the tables ``SIZES`` of the files.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    input_shape : sequence of 3 int
        Channels, height and width of an image.
    classes : int
        Outputs, at least 2.
    width : float
        Factor on every width (channels, dense layers, dimension of tokens), rounded to an
        integer, or to one for every head; positive.
    initial_scale : float
        Factor on all that is drawn at random: weights *and* biases of dense and convolution
        layers, class token and positions. Gains (1) and offsets (0) of norm layers stay.
        Positive.
    seed : int, optional
        Makes the weights a function of the arguments, and leaves torch's global random
        numbers untouched. If not given, these are used.

    Raises
    ------
    ValueError
        If an argument breaks its rule or the images do not fit the network.
    """
    if name not in NAMES:
        raise InvalidArgument("name", f"must be one of {', '.join(NAMES)}", quoted(name))
    shape = _shape(input_shape)
    if not _is_integer(classes) or classes < 2:
        raise InvalidArgument("classes", "must be an integer of at least 2", quoted(classes))
    _check_positive("width", width)
    _check_positive("initial_scale", initial_scale)
    if seed is not None and (not _is_integer(seed) or not 0 <= seed < 2**63):
        raise InvalidArgument("seed", "must be an integer between 0 and 2^63 - 1", quoted(seed))

    # Without numbers first: layers draw from the global generator as soon as they have any.
    with torch.device("meta"):
        sizes, kind = next((sizes, kind) for sizes, kind in KINDS if name in sizes)
        network = kind(sizes[name], shape, int(classes), width)
    network.to_empty(device="cpu")
    generator = None if seed is None else torch.Generator().manual_seed(int(seed))
    initialise(network, initial_scale, generator)
    return network


def _shape(value: object) -> tuple[int, int, int]:
    """Channels, height and width, or a complaint."""
    sides = tuple(value) if isinstance(value, Sequence) else ()
    if len(sides) != 3 or not all(_is_integer(side) and side > 0 for side in sides):
        raise InvalidArgument(
            "input_shape",
            "must be three positive integers: channels, height and width, without the batch",
            quoted(value),
        )
    channels, height, width = map(int, sides)
    return channels, height, width


def _check_positive(name: str, value: Any) -> None:
    """Refuse what is no positive finite number."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not 0 < value < math.inf:
        raise InvalidArgument(name, "must be positive and finite", quoted(value))


def _is_integer(value: object) -> bool:
    """Whether it counts something; True and False do not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
