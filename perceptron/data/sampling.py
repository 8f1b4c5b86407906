"""Examples that are drawn: independent inputs, and labels from a teacher or from nobody."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perceptron import ranges
from perceptron.data.examples import Examples
from perceptron.products import Products
from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["random_labels", "teacher_student"]

#: Inputs are drawn so many bytes at a time, which bounds the memory beyond the inputs.
BLOCK_BYTES = 1 << 24
#: Below this the laws of large numbers that everything rests on mean nothing.
SMALLEST_N = 10


def teacher_student(
    N: int, alpha: float, seed: int = 0, inputs: str = "rademacher", label_flip: float = 0.0
) -> Examples:
    """Examples labelled by a random teacher on the sphere, y = sign(x.w*).

    Parameters
    ----------
    N : int
        Dimensions, at least 10.
    alpha : float
        P/N, positive; P is rounded to the nearest integer and must be at least 1.
    seed : int
        Non-negative.
    inputs : {"rademacher", "gaussian"}
        Components -1 or 1 as int8, or standard normal as float32.
    label_flip : float
        Probability that a label is inverted, in [0, 0.5].

    Raises
    ------
    ValueError
        If an argument breaks its rule.
    MemoryError
        If the inputs do not fit in this machine; before anything is allocated.
    """
    n, p, streams = _sizes(N, alpha, seed, inputs)
    seed = int(seed)
    flip = arguments.number("label_flip", label_flip, ranges.within(0.0, 0.5))
    x = _inputs(n, p, inputs, streams[0])
    teacher = np.random.default_rng(streams[1]).standard_normal(n)
    teacher *= np.sqrt(n) / np.linalg.norm(teacher)
    labels = np.ones(p, dtype=np.int8)
    labels[Products(x, labels).fields(teacher) < 0] = -1
    labels[np.random.default_rng(streams[2]).random(p) < flip] *= -1
    return Examples(x, labels, teacher, seed)


def random_labels(N: int, alpha: float, seed: int = 0, inputs: str = "rademacher") -> Examples:
    """Examples whose labels are drawn at random: the storage problem.

    Parameters and errors as in `teacher_student`.
    """
    n, p, streams = _sizes(N, alpha, seed, inputs)
    seed = int(seed)
    x = _inputs(n, p, inputs, streams[0])
    labels = np.random.default_rng(streams[2]).integers(0, 2, p, dtype=np.int8) * np.int8(2) - 1
    return Examples(x, labels.astype(np.int8), None, seed)


def _sizes(
    N: int, alpha: float, seed: int, inputs: str
) -> tuple[int, int, list[np.random.SeedSequence]]:
    n = arguments.whole("N", N, SMALLEST_N, words=f"an integer of at least {SMALLEST_N}")
    a = arguments.number("alpha", alpha, arguments.POSITIVE)
    seed = arguments.whole("seed", seed, 0, words="a non-negative integer")
    kind = arguments.word("inputs", inputs, ("rademacher", "gaussian"))
    wide = float(min(n, 10**100))
    size = a * wide * wide
    arguments.check_memory(
        "`N` and `alpha` must leave room in memory",
        f"an array of alpha N^2 = {size:.3g} inputs takes",
        size * (4 if kind == "gaussian" else 1),
    )
    p = round(a * n)
    if p < 1:
        raise InvalidArgument("alpha", f"must give at least one example at N = {n}", quoted(alpha))
    return n, p, np.random.SeedSequence(seed).spawn(3)


def _inputs(
    n: int, p: int, kind: str, stream: np.random.SeedSequence
) -> NDArray[np.int8] | NDArray[np.float32]:
    rng = np.random.default_rng(stream)
    if kind == "gaussian":
        x = np.empty((p, n), dtype=np.float32)
        rng.standard_normal(out=x, dtype=np.float32)
        return x
    signs = np.empty((p, n), dtype=np.int8)
    width = -(-n // 8)
    rows = max(1, BLOCK_BYTES // width)
    for start in range(0, p, rows):
        block = signs[start : start + rows]
        packed = np.frombuffer(rng.bytes(len(block) * width), dtype=np.uint8)
        bits = np.unpackbits(packed.reshape(len(block), width), axis=1, count=n)
        np.multiply(bits.view(np.int8), 2, out=block)
        block -= 1
    return signs
