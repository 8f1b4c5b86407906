"""The pickled batches of CIFAR, read without running what a pickle may ask for.

A batch is a dictionary that holds one matrix of unsigned bytes, a row of 3072 for each image
(red, green and blue planes of 32x32), and lists of labels. A pickle may name any function and
have it called; here it may name the three with which numpy rebuilds a matrix, and even these
are replaced by stand-ins that accept nothing but unsigned bytes.
"""

from __future__ import annotations

import io
import math
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepnorm.datasets.files import Reader, Source
from deepnorm.datasets.images import Images
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["load_batches", "parse"]

SHAPE = (3, 32, 32)


class _Type:
    """Stands for numpy's dtype and remembers its code."""

    __slots__ = ("code",)

    def __init__(self, code: str | bytes, *_: object):
        self.code = code.decode("ascii") if isinstance(code, bytes) else code

    def __setstate__(self, state: object) -> None:
        """Byte order and fields, which unsigned bytes do not have."""


class _Matrix:
    """Stands for numpy's ndarray while it is being rebuilt."""

    __slots__ = ("array",)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, by_columns, content = state
        if not isinstance(kind, _Type) or kind.code not in ("u1", "|u1", "B") or by_columns:
            raise ValueError("its matrix is not one of unsigned bytes, row by row")
        if not isinstance(content, bytes) or len(content) != math.prod(shape):
            raise ValueError(f"its matrix does not hold the bytes of the shape {shape}")
        self.array = np.frombuffer(content, np.uint8).reshape(shape)


class _Refused(Exception):
    """The pickle names something that no batch needs."""


class _Unpickler(pickle.Unpickler):
    """Knows the three names that a batch needs; nothing else is imported, let alone called."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return lambda *_: _Matrix()
        if (module, name) == ("numpy", "ndarray"):
            return None  # only ever an argument of _reconstruct
        if (module, name) == ("numpy", "dtype"):
            return lambda *arguments: _Type(*arguments)
        raise _Refused(f"{module}.{name}")


def load_batches(
    source: Source,
    classes: int,
    parts: Mapping[str, Sequence[str]],
    label: str,
    folder: str | os.PathLike[str] | None,
    check: bool,
) -> Images:
    """Read the batches of the two ``parts``, each a list of files, with the labels ``label``.

    Raises
    ------
    ValueError
        If a file is no such batch, is cut short, or differs from the published one.
    OSError
        If a file is missing or cannot be read.
    """
    reader = Reader(source, folder, check)
    images: dict[str, Tensor] = {}
    labels: dict[str, Tensor] = {}
    for part, names in parts.items():
        batches = []
        for name in names:
            path = reader.path(name)
            batches.append(parse(path, reader.content(path), label, classes))
        images[part] = torch.cat([pixels for pixels, _ in batches])
        labels[part] = torch.cat([numbers for _, numbers in batches])
    return Images(
        name=source.name,
        train_images=images["train"],
        train_labels=labels["train"],
        test_images=images["test"],
        test_labels=labels["test"],
        classes=classes,
        notes=reader.notes,
    )


def parse(path: Path, content: bytes, label: str, classes: int) -> tuple[Tensor, Tensor]:
    """Images (n, 3, 32, 32) and labels (n,) of one batch.

    Raises
    ------
    ValueError
        If it is anything else; ``path`` is for the message.
    """
    try:
        batch = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except _Refused as refused:
        raise ValueError(
            f"{path} asks for {refused}, which no batch of images needs; it was not run. "
            "Do not use this file"
        ) from None
    except Exception as error:  # a damaged pickle fails in any way
        raise ValueError(f"{path} is no batch of CIFAR, or a damaged one: {error}") from None
    if not isinstance(batch, dict):
        raise ValueError(f"{path} must hold a dictionary; got {type(batch).__name__}")
    # Python 2 wrote byte strings.
    batch = {key.decode() if isinstance(key, bytes) else key: batch[key] for key in batch}
    for key in ("data", label):
        if key not in batch:
            raise ValueError(f"{path} lacks `{key}`; it has {', '.join(map(str, batch))}")
    array = getattr(batch["data"], "array", None)
    if array is None or array.ndim != 2 or array.shape[1] != math.prod(SHAPE) or not len(array):
        shape = "none" if array is None else array.shape
        raise InvalidArgument("data", f"in {path} must be a matrix with 3072 columns", f"{shape}")
    numbers = batch[label]
    if not isinstance(numbers, list) or len(numbers) != len(array):
        raise InvalidArgument(
            label, f"in {path} must be a list of {len(array)} labels, one an image"
        )
    for number in numbers:
        if type(number) is not int or not 0 <= number < classes:
            raise InvalidArgument(
                label, f"in {path} must be integers from 0 to {classes - 1}", quoted(number)
            )
    return torch.from_numpy(array.reshape(-1, *SHAPE).copy()), torch.tensor(numbers)
