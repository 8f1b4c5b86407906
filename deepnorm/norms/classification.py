"""Margins of a classifier, in units of its norm (Figure 6 right)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from deepnorm.norms.trace import quiet

__all__ = ["margins"]


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
        Maps images to one score a class; run in evaluation mode and left as it was.
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
    if len(images) == 0 or labels.shape != (len(images),):
        raise ValueError(
            "`labels` must hold one class for each of the `images`; got shapes "
            f"{tuple(labels.shape)} and {tuple(images.shape)}"
        )
    if labels.is_floating_point():
        raise ValueError(f"`labels` must be integers; got {labels.dtype}")
    if batch < 1:
        raise ValueError(f"`batch` must be positive; got {batch!r}")
    if not math.isfinite(log_norm):
        raise ValueError(f"`log_norm` must be finite; got {log_norm!r}")
    parameter = next(model.parameters(), None)
    device = images.device if parameter is None else parameter.device
    parts = []
    with quiet(model):
        for some, truth in zip(images.split(batch), labels.split(batch), strict=True):
            scores = model(some.to(device)).double()
            if scores.dim() != 2 or scores.shape[1] < 2:
                raise ValueError(
                    "`model` must give each image one score a class, of two or more; got shape "
                    f"{tuple(scores.shape)}"
                )
            index = truth.to(device)[:, None].long()
            if int(index.min()) < 0 or int(index.max()) >= scores.shape[1]:
                raise ValueError(
                    f"`labels` must lie between 0 and {scores.shape[1] - 1}; got "
                    f"{int(index.min())} to {int(index.max())}"
                )
            own = scores.gather(1, index)[:, 0]
            best = scores.scatter(1, index, -torch.inf).amax(dim=1)
            parts.append(own - best)
    # exp(-log_norm) would overflow or vanish for what a double can hold as a quotient
    value = torch.cat(parts)
    return value.sign() * torch.exp(value.abs().log() - log_norm)
