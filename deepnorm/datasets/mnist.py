"""MNIST: handwritten digits, 60000 + 10000, 28x28 grey, ten classes.

Y. LeCun, C. Cortes, C. J. C. Burges (1998).
"""

from __future__ import annotations

import os

from deepnorm.datasets.files import Source
from deepnorm.datasets.idx import load_idx
from deepnorm.datasets.images import Images

__all__ = ["SOURCE", "load"]

SOURCE = Source(
    name="mnist",
    title="MNIST",
    files={
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    # Computed from the published files, whose own checksums were right.
    unpacked={
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    folders=("MNIST/raw", "mnist", "."),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
)


def load(folder: str | os.PathLike[str] | None, check: bool) -> Images:
    """Read the four files."""
    return load_idx(SOURCE, 10, folder, check)
