"""ResNet-18 and ResNet-50 for images of 224 pixels, and the head of VGG-16, written plainly.

K. He et al. 2016 (arXiv:1512.03385, table 1; the stride of a bottleneck on its 3 x 3, as in
torchvision) and K. Simonyan and A. Zisserman 2015 (arXiv:1409.1556). Weights are PyTorch's own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["LARGE", "resnet18", "resnet50", "vgg_head"]


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Block(nn.Module):
    """Two convolutions of 3 x 3, or a bottleneck: 1 x 1, 3 x 3, 1 x 1 to four times the width."""

    def __init__(self, inputs: int, width: int, stride: int, *, bottleneck: bool):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        if bottleneck:
            self.branch = nn.Sequential(
                _convolution(inputs, width, 1), nn.ReLU(),
                _convolution(width, width, 3, stride), nn.ReLU(),
                _convolution(width, outputs, 1),
            )  # fmt: skip
        else:
            self.branch = nn.Sequential(
                _convolution(inputs, width, 3, stride), nn.ReLU(), _convolution(width, width, 3)
            )
        changes = stride > 1 or inputs != outputs
        self.skip = _convolution(inputs, outputs, 1, stride) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.skip(x) + self.branch(x))


def _resnet(depths: tuple[int, ...], *, bottleneck: bool) -> nn.Sequential:
    layers: list[nn.Module] = [_convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        for number in range(depth):
            stride = 2 if stage and not number else 1
            layers.append(Block(inputs, width, stride, bottleneck=bottleneck))
            inputs = 4 * width if bottleneck else width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


def resnet18() -> nn.Sequential:
    """11.7 million weights."""
    return _resnet((2, 2, 2, 2), bottleneck=False)


def resnet50() -> nn.Sequential:
    """25.6 million weights."""
    return _resnet((3, 4, 6, 3), bottleneck=True)


def vgg_head() -> nn.Sequential:
    """The three dense matrices of VGG-16: 124 million weights, 103 in the first."""
    return nn.Sequential(
        nn.Linear(25088, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000)
    )


#: What is measured, with the shape of one input.
LARGE = {
    "ResNet-18, 224 x 224": (resnet18, (3, 224, 224)),
    "ResNet-50, 224 x 224": (resnet50, (3, 224, 224)),
    "the head of VGG-16": (vgg_head, (25088,)),
}
