"""Where the paper's learning curves are: the one setting that names a folder of data.

Imports nothing heavy: that a figure is up to date is known without reading a curve.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

__all__ = ["PAIRS", "VARIABLE", "digest", "folder"]

#: The environment variable that names the folder of data.
VARIABLE = "REPLICA_LEARNING_DATA"
SUFFIXES = (".csv", ".json")
PAIRS = ("CNN_CIFAR10", "CNN_CIFAR100", "ResNet_CIFAR100", "ResNet_MNIST", "ViT_MNIST")


def folder() -> Path | None:
    """Where the curves are; None if they are nowhere."""
    named = os.environ.get(VARIABLE)
    if not named:
        return None
    path = Path(named) / "paper_curves"
    files = (path / f"{name}{suffix}" for name in PAIRS for suffix in SUFFIXES)
    return path if all(file.is_file() for file in files) else None


def digest() -> str:
    """Fingerprint of the files; empty if there are none."""
    path = folder()
    if path is None:
        return ""
    value = hashlib.sha256()
    for name in PAIRS:
        for suffix in SUFFIXES:
            value.update(path.joinpath(name + suffix).read_bytes())
    return value.hexdigest()
