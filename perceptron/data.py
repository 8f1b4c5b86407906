"""Examples: inputs, labels and, if there is one, the teacher who gave the labels."""

from __future__ import annotations

import numbers
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perceptron import ranges
from perceptron.products import Products
from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["Examples", "check_examples", "random_labels", "teacher_student"]

#: Inputs are drawn so many bytes at a time, which bounds the memory beyond the inputs.
BLOCK_BYTES = 1 << 24
#: Below this the laws of large numbers that everything rests on mean nothing.
SMALLEST_N = 10


@dataclass(frozen=True, eq=False)
class Examples:
    r"""P labelled examples in N dimensions.

    Attributes
    ----------
    inputs : (P, N) int8 or float32 array
        Independent components: -1 or 1 (int8), or standard normal (float32).
    labels : (P,) int8 array
        -1 or 1.
    teacher : (N,) float64 array or None
        \|w*\|^2 = N; None for random labels.
    seed : int
        From which everything was drawn; the same seed gives the same bits on
        every machine and with any number of threads.
    """

    inputs: NDArray[np.int8] | NDArray[np.float32]
    labels: NDArray[np.int8]
    teacher: NDArray[np.float64] | None
    seed: int
    products: Products = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("inputs", "labels"):
            value = arguments.instance(name, getattr(self, name), np.ndarray)
            if isinstance(value, np.ma.MaskedArray):
                raise InvalidArgument(name, "must be an array without a mask", quoted(value))
        if self.inputs.ndim != 2 or self.inputs.dtype not in (np.int8, np.float32):
            raise InvalidArgument(
                "inputs",
                "must be a (P, N) array of int8 or float32",
                f"shape {self.inputs.shape} and dtype {self.inputs.dtype}",
            )
        if self.inputs.size == 0:
            raise InvalidArgument(
                "inputs", "must hold at least one example", f"shape {self.inputs.shape}"
            )
        # least and largest without an array of their own size; nan shows in either
        if not (np.isfinite(self.inputs.min()) and np.isfinite(self.inputs.max())):
            raise InvalidArgument("inputs", "must be finite", "inf or nan among them")
        if self.labels.shape != self.inputs.shape[:1] or self.labels.dtype != np.int8:
            raise InvalidArgument(
                "labels",
                f"must be a ({self.P},) array of int8",
                f"shape {self.labels.shape} and dtype {self.labels.dtype}",
            )
        if not np.all(np.abs(self.labels) == 1):
            raise InvalidArgument("labels", "must be -1 or 1", "other values")
        if self.teacher is not None:
            teacher = arguments.vector("teacher", self.teacher, self.N)
            if not np.any(teacher):
                raise InvalidArgument("teacher", "must have a direction", "zeros only")
            object.__setattr__(self, "teacher", teacher)
        for name in ("inputs", "labels"):  # the kernels are compiled for rows that lie in memory
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name)))
        object.__setattr__(self, "products", Products(self.inputs, self.labels))

    @property
    def P(self) -> int:
        """Number of examples."""
        return int(self.inputs.shape[0])

    @property
    def N(self) -> int:
        """Number of dimensions."""
        return int(self.inputs.shape[1])

    @property
    def alpha(self) -> float:
        """P/N."""
        return self.P / self.N


def check_examples(examples: Examples, theory: str = "") -> None:
    """Refuse anything else; ``theory`` names the function of alpha that bears the same name.

    Raises
    ------
    InvalidArgument
        Whoever gives a number is told of the theory.
    """
    if theory and isinstance(examples, numbers.Real | np.ndarray | list | tuple):
        arguments.instance(
            "examples", examples, Examples, f": the theory's function of alpha is `{theory}`"
        )
    arguments.instance("examples", examples, Examples)


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
