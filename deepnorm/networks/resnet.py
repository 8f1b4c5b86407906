"""Residual networks of basic blocks, with the stem for small images.

K. He, X. Zhang, S. Ren, J. Sun (2016). The stem is one 3x3 convolution without pooling, as
their networks for CIFAR have it.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from deepnorm.networks.initial import widened
from replica.common.arguments import InvalidArgument

__all__ = ["SIZES", "BasicBlock", "ResNet", "Size"]


@dataclass(frozen=True)
class Size:
    """Blocks of each stage, and its channels."""

    blocks: tuple[int, ...]
    channels: tuple[int, ...]


SIZES = {
    "resnet": Size(blocks=(2, 2, 2, 2), channels=(64, 128, 256, 512)),
    "resnet-mnist": Size(blocks=(2, 2, 2, 2), channels=(16, 32, 64, 128)),
    "resnet-cifar100": Size(blocks=(3, 4, 6, 3), channels=(64, 128, 256, 512)),
    "resnet-small": Size(blocks=(1, 1, 1), channels=(16, 32, 64)),
}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input goes straight on.

    Where stride or channels change, the straight way is a 1x1 convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Halve the image if the stride is 2."""
        y = self.relu1(self.norm1(self.conv1(x)))  # (B, C, H, W) -> (B, C', H', W')
        y = self.norm2(self.conv2(y))  # (B, C', H', W')
        # The pixels that a 1x1 convolution with this stride sees, taken out beforehand: with
        # channels last, oneDNN 3.12 writes the gradient of such a kernel past the end of its
        # scratchpad where there are fewer than 8 input channels (AVX2) or 16 (AVX-512), as for
        # (32, 4, 8, 8) to (32, 8, 4, 4): github.com/uxlfoundation/oneDNN/issues/6035.
        pixels = x[:, :, :: self.stride, :: self.stride]  # (B, C, H', W')
        y = self.relu2(y + self.shortcut(pixels))  # (B, C', H', W')
        return y


class ResNet(nn.Module):
    """A stem, stages of blocks of which each but the first halves the image, one dense layer."""

    def __init__(self, size: Size, shape: tuple[int, int, int], classes: int, width: float):
        super().__init__()
        halvings = len(size.blocks) - 1
        if min(shape[1:]) <= 2**halvings:
            raise InvalidArgument(
                "input_shape",
                f"must be more than {2**halvings} x {2**halvings}, since {halvings} of "
                "the stages halve it and batch norm needs more than one pixel",
                f"{shape[1]} x {shape[2]}",
            )
        channels = widened(size.channels[0], width)
        self.stem = nn.Sequential(
            nn.Conv2d(shape[0], channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        stages = []
        for stage, (count, base) in enumerate(zip(size.blocks, size.channels, strict=True)):
            blocks = []
            for block in range(count):
                out = widened(base, width)
                blocks.append(BasicBlock(channels, out, stride=2 if stage and not block else 1))
                channels = out
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of images."""
        x = self.stem(images)  # (B, C, H, W) -> (B, C_1, H, W)
        x = self.stages(x)  # (B, C_S, H/2^(S-1), W/2^(S-1))
        x = self.flatten(self.pool(x))  # (B, C_S)
        x = self.head(x)  # (B, classes)
        return x
