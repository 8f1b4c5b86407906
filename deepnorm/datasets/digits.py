"""The 8x8 digits that ship with scikit-learn: 1200 + 597, grey, ten classes; no files needed.

The test part of "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak (1998).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch

from deepnorm.datasets.images import Images, random_order

__all__ = ["load"]

#: Training images; the other 597 are for test, which resolves an error rate to 0.2%: a choice.
TRAINING = 1200
#: Entropy of the split: a choice, made once.
SPLIT = 0
#: Pixels run from 0 to 16 in the source and from 0 to 240 here, which is exact in uint8.
SCALE = 15
#: Rows of 64 pixels and a label. To import `sklearn.datasets` for it costs every worker of a
#: sweep a second.
FILE = Path("datasets") / "data" / "digits.csv.gz"


def load() -> Images:
    """Split the digits at random, always in the same way.

    The source is ordered by writer; its last images come from other hands than its first,
    and would be a test of another question.

    Raises
    ------
    ModuleNotFoundError
        If scikit-learn is not installed.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError(
            "the data set digits ships with scikit-learn, which is not installed: "
            'pip install "replica-learning[deep]"'
        )
    (folder,) = package.submodule_search_locations
    source = np.loadtxt(Path(folder) / FILE, delimiter=",", dtype=np.uint8)
    source = source[random_order(len(source), SPLIT)]
    images = torch.from_numpy(source[:, :-1] * np.uint8(SCALE)).reshape(-1, 1, 8, 8)
    labels = torch.from_numpy(source[:, -1]).to(torch.int64)
    return Images(
        name="digits",
        train_images=images[:TRAINING],
        train_labels=labels[:TRAINING],
        test_images=images[TRAINING:],
        test_labels=labels[TRAINING:],
        classes=10,
    )
