"""A set of labelled images, as one tensor each for training and test."""

from __future__ import annotations

import hashlib
import numbers
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from replica.common.arguments import InvalidArgument, quoted

__all__ = ["Images", "random_order"]


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images, n of them for training and m for test, whole and in memory.

    Attributes
    ----------
    name : str
        What the set is called.
    train_images, test_images : Tensor
        Pixels, (n, C, H, W) and (m, C, H, W), uint8.
    train_labels, test_labels : Tensor
        Classes from 0 to ``classes - 1``, (n,) and (m,), int64.
    classes : int
        How many classes there are.
    notes : tuple of str
        What a reader of results should know about these pixels.

    Raises
    ------
    ValueError
        If a tensor has another shape or type, or a label lies outside the classes.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: int
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _is_integer(self.classes) or self.classes < 2:
            raise InvalidArgument(
                "classes", "must be an integer of at least 2", quoted(self.classes)
            )
        for part in ("train", "test"):
            self._check(part)
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise InvalidArgument(
                "train_images",
                "and `test_images` must have one shape of image",
                f"{tuple(self.train_images.shape[1:])} and {tuple(self.test_images.shape[1:])}",
            )

    def _check(self, part: str) -> None:
        """Refuse the images and labels of one part that are not what the class promises."""
        images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
        if images.dtype != torch.uint8 or images.ndim != 4 or images.numel() == 0:
            raise InvalidArgument(
                f"{part}_images",
                "must be uint8 of shape (n, C, H, W), not empty",
                f"{images.dtype} of shape {tuple(images.shape)}",
            )
        if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
            raise InvalidArgument(
                f"{part}_labels",
                f"must be int64 of shape ({len(images)},), one for each image",
                f"{labels.dtype} of shape {tuple(labels.shape)}",
            )
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= self.classes:
            raise InvalidArgument(
                f"{part}_labels",
                f"must lie between 0 and {self.classes - 1}",
                f"{low if low < 0 else high}",
            )

    def __repr__(self) -> str:
        return (
            f"Images({self.name!r}, {len(self.train_images)} + {len(self.test_images)} of shape "
            f"{self.input_shape}, {self.classes} classes)"
        )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    @cached_property
    def digest(self) -> str:
        """SHA-256 over shapes, pixels and labels, in hexadecimal: equal for equal data only."""
        total = hashlib.sha256()
        for part in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            array = part.detach().cpu().contiguous().numpy()
            # Little-endian whatever the machine, so that all machines agree.
            array = array.astype(array.dtype.newbyteorder("<"), copy=False)
            total.update(f"{array.dtype.str} {array.shape}\n".encode())
            total.update(array.data)
        return total.hexdigest()

    @cached_property
    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel over the training images, float64, (C,).

        Of all training images, also where a subset is trained on: a fixed change of units,
        the same for every P. A channel without contrast has standard deviation 1.
        """
        levels = torch.arange(256, dtype=torch.float64)
        means, deviations = [], []
        for channel in self.train_images.unbind(1):
            counts = torch.bincount(channel.flatten(), minlength=256).to(levels)
            weights = counts / counts.sum()
            mean = weights @ levels
            variance = weights @ (levels - mean) ** 2
            means.append(mean)
            deviations.append(variance.sqrt() if variance > 0 else torch.ones_like(variance))
        return torch.stack(means).cpu(), torch.stack(deviations).cpu()

    def standardise(self, images: Tensor) -> Tensor:
        """Pixels (n, C, H, W) in units of the training set: (x - mean)/deviation, float32.

        On the device of ``images``, which stay as they are.
        """
        mean, deviation = (
            part.to(images.device, torch.float32).view(1, -1, 1, 1) for part in self.statistics
        )
        return images.to(torch.float32).sub_(mean).div_(deviation)

    def standardised(self, part: Literal["train", "test"] = "train") -> Tensor:
        """All images of one part, standardised by the statistics of the training set.

        Raises
        ------
        ValueError
            If ``part`` is neither "train" nor "test".
        """
        if part not in ("train", "test"):
            raise InvalidArgument("part", "must be 'train' or 'test'", quoted(part))
        return self.standardise(self.train_images if part == "train" else self.test_images)

    def subset(self, P: int, seed: int) -> Tensor:
        """Indices of P random training images, (P,), int64: without replacement, not stratified.

        As in the paper, a small subset may lack a class. Subsets of the same seed and
        different P are independent, and the same on every machine and version: the order is
        that of 64-bit keys from PCG64, whose raw stream numpy keeps unchanged.

        Raises
        ------
        ValueError
            If there are fewer than P training images, or ``seed`` is negative.
        """
        count = len(self.train_images)
        if not _is_integer(P) or not 1 <= P <= count:
            raise InvalidArgument(
                "P",
                f"must be an integer between 1 and {count}, the number of training images "
                f"of {self.name}",
                quoted(P),
            )
        if not _is_integer(seed) or seed < 0:
            raise InvalidArgument("seed", "must be a non-negative integer", quoted(seed))
        return torch.from_numpy(random_order(count, int(seed), int(P))[:P])


def random_order(count: int, *entropy: int) -> NDArray[np.int64]:
    """A permutation of ``range(count)``, a function of its arguments and of nothing else."""
    keys = np.random.PCG64(np.random.SeedSequence(entropy)).random_raw(count)
    return np.argsort(keys, kind="stable").astype(np.int64, copy=False)


def _is_integer(value: object) -> bool:
    """Whether it counts something; True and False do not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
