"""Convolutions of 3x3 with ReLU, now and then a pooling, then dense layers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from deepnorm.networks.initial import widened
from replica.common.arguments import InvalidArgument

__all__ = ["CNN", "SIZES", "Size"]


@dataclass(frozen=True)
class Size:
    """Channels of the convolutions, those after which there is a 2x2 pooling, dense widths."""

    channels: tuple[int, ...]
    pooled: tuple[int, ...]
    dense: tuple[int, ...]
    dropout: float = 0.0


SIZES = {
    "cnn": Size(channels=(32, 64, 128), pooled=(2,), dense=(512,)),
    "cnn-cifar100": Size(
        channels=(64, 128, 256, 512), pooled=(2, 4), dense=(1024, 512), dropout=0.1
    ),
    "cnn-small": Size(channels=(16, 32), pooled=(1, 2), dense=(64,)),
}


class CNN(nn.Module):
    """Padded 3x3 convolutions, so that only poolings change the size of an image."""

    def __init__(self, size: Size, shape: tuple[int, int, int], classes: int, width: float):
        super().__init__()
        channels, rows, columns = shape
        smallest = 2 ** len(size.pooled)
        if min(rows, columns) < smallest:
            raise InvalidArgument(
                "input_shape",
                f"must be at least {smallest} x {smallest} for {len(size.pooled)} poolings",
                f"{rows} x {columns}",
            )
        features: list[nn.Module] = []
        for layer, base in enumerate(size.channels, start=1):
            out = widened(base, width)
            features += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU()]
            channels = out
            if layer in size.pooled:
                features.append(nn.MaxPool2d(2))
                rows, columns = rows // 2, columns // 2
        inputs = channels * rows * columns
        head: list[nn.Module] = []
        for base in size.dense:
            out = widened(base, width)
            head += [nn.Linear(inputs, out), nn.ReLU()]
            if size.dropout:
                head.append(nn.Dropout(size.dropout))
            inputs = out
        head.append(nn.Linear(inputs, classes))
        self.features = nn.Sequential(*features)
        self.flatten = nn.Flatten()
        self.head = nn.Sequential(*head)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of images."""
        x = self.features(images)  # (B, C, H, W) -> (B, C', H', W')
        x = self.flatten(x)  # (B, C' H' W')
        x = self.head(x)  # (B, classes)
        return x
