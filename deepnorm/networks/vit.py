"""Vision transformers: patches become tokens, a class token collects the answer.

A. Dosovitskiy et al. (2021). Norms stand before attention and MLP, and once at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepnorm.networks.initial import Vectors, widened
from replica.common.arguments import InvalidArgument

__all__ = ["SIZES", "Attention", "Block", "Size", "Tokens", "ViT"]

#: Width of the MLP's hidden layer, in dimensions of a token.
EXPANSION = 4


@dataclass(frozen=True)
class Size:
    """Side of a patch, dimension of a token, blocks, and heads of each attention."""

    patch: int
    dimension: int
    depth: int
    heads: int


SIZES = {
    "vit": Size(patch=4, dimension=192, depth=6, heads=3),
    "vit-mnist": Size(patch=7, dimension=128, depth=4, heads=4),
    "vit-cifar100": Size(patch=4, dimension=256, depth=6, heads=4),
    "vit-small": Size(patch=4, dimension=64, depth=4, heads=4),
}


class Tokens(Vectors):
    """The class token before those of the patches, then everyone's position."""

    def __init__(self, count: int, dimension: int):
        super().__init__()
        self.first = nn.Parameter(torch.empty(1, 1, dimension))
        self.positions = nn.Parameter(torch.empty(1, count + 1, dimension))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens of patches to tokens of the transformer."""
        first = self.first.expand(x.shape[0], -1, -1)  # (B, 1, D)
        x = torch.cat([first, x], dim=1)  # (B, T, D) -> (B, 1 + T, D)
        x = x + self.positions  # (B, 1 + T, D)
        return x


class Attention(nn.Module):
    """Every token looks at every token, with several heads."""

    def __init__(self, dimension: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dimension, dimension)
        self.k = nn.Linear(dimension, dimension)
        self.v = nn.Linear(dimension, dimension)
        self.o = nn.Linear(dimension, dimension)

    def forward(self, x: Tensor) -> Tensor:
        """Softmax of q k^T/sqrt(D/heads) over v, heads joined again by o."""
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, h, T, D/h)
            for layer in (self.q, self.k, self.v)
        )
        y = F.scaled_dot_product_attention(q, k, v)  # (B, h, T, D/h)
        y = self.o(y.transpose(1, 2).flatten(2))  # (B, T, D)
        return y


class Block(nn.Module):
    """Attention and an MLP, each behind a norm and around which the input goes straight on."""

    def __init__(self, dimension: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dimension)
        self.attention = Attention(dimension, heads)
        self.norm2 = nn.LayerNorm(dimension)
        self.mlp = nn.Sequential(
            nn.Linear(dimension, EXPANSION * dimension),
            nn.GELU(),
            nn.Linear(EXPANSION * dimension, dimension),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Tokens to tokens."""
        x = x + self.attention(self.norm1(x))  # (B, T, D)
        x = x + self.mlp(self.norm2(x))  # (B, T, D)
        return x


class ViT(nn.Module):
    """Patches, blocks, and one dense layer on what the class token has collected."""

    def __init__(self, size: Size, shape: tuple[int, int, int], classes: int, width: float):
        super().__init__()
        channels, rows, columns = shape
        if rows % size.patch or columns % size.patch:
            raise InvalidArgument(
                "input_shape",
                f"must have height and width that patches of {size.patch} x {size.patch} divide",
                f"{rows} x {columns}",
            )
        dimension = widened(size.dimension, width, multiple=size.heads)
        count = (rows // size.patch) * (columns // size.patch)
        self.patches = nn.Conv2d(channels, dimension, size.patch, stride=size.patch)
        self.tokens = Tokens(count, dimension)
        self.blocks = nn.Sequential(*(Block(dimension, size.heads) for _ in range(size.depth)))
        self.norm = nn.LayerNorm(dimension)
        self.head = nn.Linear(dimension, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch of images."""
        x = self.patches(images)  # (B, C, H, W) -> (B, D, H/p, W/p)
        x = x.flatten(2).transpose(1, 2)  # (B, T, D), T = H W/p^2
        x = self.tokens(x)  # (B, 1 + T, D)
        x = self.blocks(x)  # (B, 1 + T, D)
        x = self.head(self.norm(x)[:, 0])  # (B, classes)
        return x
