"""Fashion-MNIST: articles of clothing, 60000 + 10000, 28x28 grey, ten classes.

H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747. Its files have the names of MNIST's.
"""

from __future__ import annotations

import os

from deepnorm.datasets import mnist
from deepnorm.datasets.files import Source
from deepnorm.datasets.idx import load_idx
from deepnorm.datasets.images import Images

__all__ = ["SOURCE", "load"]

SOURCE = Source(
    name="fashion-mnist",
    title="Fashion-MNIST",
    files={
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    # Nobody publishes checksums of the unpacked files.
    unpacked=dict.fromkeys(mnist.SOURCE.unpacked),
    folders=("FashionMNIST/raw", "fashion-mnist", "fashion_mnist", "."),
    others={
        checksum: mnist.SOURCE.title
        for files in (mnist.SOURCE.files, mnist.SOURCE.unpacked)
        for checksum in files.values()
        if checksum is not None
    },
    mirrors=(
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
)


def load(folder: str | os.PathLike[str] | None, check: bool) -> Images:
    """Read the four files."""
    return load_idx(SOURCE, 10, folder, check)
