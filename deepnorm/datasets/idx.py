"""The idx format of MNIST: a magic number, sizes in big-endian 32-bit words, then bytes.

The magic number is two zeros, the type (8: unsigned bytes) and the number of dimensions.
"""

from __future__ import annotations

import math
import os
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from deepnorm.datasets.files import Reader, Source
from deepnorm.datasets.images import Images

__all__ = ["FILES", "load_idx"]

#: Images and labels of the two parts, as every set of this family names them.
FILES = {
    "train_images": "train-images-idx3-ubyte.gz",
    "train_labels": "train-labels-idx1-ubyte.gz",
    "test_images": "t10k-images-idx3-ubyte.gz",
    "test_labels": "t10k-labels-idx1-ubyte.gz",
}
#: Tells zlib to expect the header of gzip around 32 KiB of window.
GZIP = 31
UNSIGNED_BYTES = 8
#: Bytes that a file may hold, 20 times those of MNIST: what swells without end is not waited for.
MOST = 1 << 30


def load_idx(
    source: Source, classes: int, folder: str | os.PathLike[str] | None, check: bool
) -> Images:
    """Read a set of the MNIST family from its four files, gzipped or plain.

    Raises
    ------
    ValueError
        If a file is no idx file, is cut short, or differs from the published one.
    OSError
        If a file is missing or cannot be read.
    """
    reader = Reader(source, folder, check)
    arrays = {}
    for part, name in FILES.items():
        path = reader.path(name)
        dimensions = 3 if part.endswith("images") else 1
        arrays[part] = torch.from_numpy(parse(path, reader.content(path), dimensions).copy())
    for part in ("train", "test"):
        counts = len(arrays[f"{part}_images"]), len(arrays[f"{part}_labels"])
        if counts[0] != counts[1]:
            raise ValueError(
                f"{reader.path(FILES[f'{part}_images'])} holds {counts[0]} images, but "
                f"{reader.path(FILES[f'{part}_labels'])} holds {counts[1]} labels"
            )
    return Images(
        name=source.name,
        train_images=arrays["train_images"].unsqueeze(1),
        train_labels=arrays["train_labels"].to(torch.int64),
        test_images=arrays["test_images"].unsqueeze(1),
        test_labels=arrays["test_labels"].to(torch.int64),
        classes=classes,
        notes=reader.notes,
    )


def parse(path: Path, content: bytes, dimensions: int) -> NDArray[np.uint8]:
    """The array in an idx file that has ``dimensions`` dimensions of unsigned bytes.

    Raises
    ------
    ValueError
        If it is anything else; ``path`` is for the message.
    """
    if path.suffix == ".gz":
        content = _unzip(path, content)
    magic = bytes([0, 0, UNSIGNED_BYTES, dimensions])
    if content[:4] != magic:
        raise ValueError(
            f"{path} must start with the magic number {magic.hex()} (idx, unsigned bytes, "
            f"{dimensions} dimensions); got {content[:4].hex() or 'nothing'}"
        )
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise ValueError(f"{path} is cut short within its header of {start} bytes")
    shape = np.frombuffer(content, ">u4", dimensions, 4).tolist()
    if len(content) - start != math.prod(shape):
        raise ValueError(
            f"{path} announces {' x '.join(map(str, shape))} bytes but holds "
            f"{len(content) - start}; it is cut short or damaged"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _unzip(path: Path, content: bytes) -> bytes:
    """What a gzipped file holds (0.2 s for MNIST; the module gzip takes 0.3)."""
    inflater = zlib.decompressobj(GZIP)
    try:
        plain = inflater.decompress(content, MOST)
    except zlib.error as error:
        raise ValueError(f"{path} is no whole gzip file: {error}") from None
    if inflater.unconsumed_tail:
        raise ValueError(f"{path} holds more than {MOST} bytes, which no set of this family does")
    if not inflater.eof:
        raise ValueError(f"{path} is no whole gzip file: it is cut short")
    return plain
