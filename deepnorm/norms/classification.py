"""Margins of a classifier, in units of its norm (Figure 6 right)."""

from __future__ import annotations

import math
import numbers
from typing import Any

import torch
from torch import Tensor, nn

from deepnorm.norms.calls import tensors_in
from deepnorm.norms.trace import quiet
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["margins", "read_batches"]

#: ln R beyond this is no norm, and leaves nothing of a margin.
LARGEST = 1e6


def margins(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    log_norm: float = 0.0,
    batch: int = 1000,
) -> Tensor:
    """(f_y(x) - max_{j != y} f_j(x)) / R, for every image.

    Parameters
    ----------
    model : Module
        Maps images to one score a class (the first tensor of a mapping, tuple or dataclass); run
        in evaluation mode and left as it was.
    images : (n, ...) Tensor
        As the model takes them.
    labels : (n,) Tensor of integers
        The true classes.
    log_norm : float
        ln R, `Complexity.log_value`; 0 leaves the margins as they are.
    batch : int
        Images at a time.

    Returns
    -------
    (n,) Tensor
        In double precision, on the model's device.

    Raises
    ------
    ValueError
        If the arguments do not fit together, or the model has fewer than two classes.
    """
    _check_log_norm(log_norm)
    parts = []
    with quiet(model):
        for some, truth in read_batches(model, images, labels, batch):
            scores = next(tensors_in(model(some))).double()
            if scores.dim() != 2 or scores.shape[1] < 2:
                raise InvalidArgument(
                    "model",
                    "must give each image one score a class, of two or more",
                    f"shape {tuple(scores.shape)}",
                )
            index = truth[:, None]
            if int(index.min()) < 0 or int(index.max()) >= scores.shape[1]:
                raise InvalidArgument(
                    "labels",
                    f"must lie between 0 and {scores.shape[1] - 1}",
                    f"{int(index.min())} to {int(index.max())}",
                )
            own = scores.gather(1, index)[:, 0]
            best = scores.scatter(1, index, -torch.inf).amax(dim=1)
            parts.append(own - best)
    # exp(-log_norm) would overflow or vanish for what a double can hold as a quotient
    value = torch.cat(parts)
    return value.sign() * torch.exp(value.abs().log() - log_norm)


def read_batches(model: Any, images: Any, labels: Any, batch: Any) -> list[tuple[Tensor, Tensor]]:
    """Images and their classes, some at a time, on the model's device.

    Raises
    ------
    ValueError
        If they are not what they should be.
    """
    if not isinstance(model, nn.Module):
        raise InvalidArgument("model", "must be a torch.nn.Module", f"{type(model).__name__}")
    for name, tensor in (("images", images), ("labels", labels)):
        if not isinstance(tensor, Tensor) or tensor.dim() == 0:
            raise InvalidArgument(name, "must be a tensor with an axis of images", quoted(tensor))
    if isinstance(batch, bool) or not isinstance(batch, numbers.Integral):
        raise InvalidArgument("batch", "must be a whole number", quoted(batch))
    if int(batch) < 1:
        raise InvalidArgument("batch", "must be positive", quoted(batch))
    if len(images) == 0 or labels.shape != (len(images),):
        raise InvalidArgument(
            "labels",
            "must hold one class for each of the `images`",
            f"shapes {tuple(labels.shape)} and {tuple(images.shape)}",
        )
    if labels.is_floating_point():
        raise InvalidArgument("labels", "must be integers", f"{labels.dtype}")
    parameter = next(model.parameters(), None)
    device = images.device if parameter is None else parameter.device
    size = min(int(batch), len(images))
    pairs = zip(images.split(size), labels.split(size), strict=True)
    return [(some.to(device), truth.to(device).long()) for some, truth in pairs]


def _check_log_norm(log_norm: Any) -> None:
    try:
        value = float(log_norm) if isinstance(log_norm, numbers.Real) else math.nan
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise InvalidArgument("log_norm", "must be finite", quoted(log_norm))
    if abs(value) > LARGEST:
        raise InvalidArgument(
            "log_norm", f"must lie between -{LARGEST:g} and {LARGEST:g}", quoted(value)
        )
