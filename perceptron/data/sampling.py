"""Examples that are drawn: inputs, and labels from a teacher, from nobody, or of two clouds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perceptron import ranges
from perceptron.data.examples import Examples
from perceptron.data.laws import ClusterLaw, RandomLaw, TeacherLaw
from perceptron.data.structured import StructuredInputs, positive_numbers
from perceptron.data.teachers import LabelModel, Teacher
from perceptron.products import Products
from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["clusters", "random_labels", "teacher_student"]

#: Inputs are drawn so many bytes at a time, which bounds the memory beyond the inputs.
BLOCK_BYTES = 1 << 24
#: Below this the laws of large numbers that everything rests on mean nothing.
SMALLEST_N = 10
#: Rows of clouds that are moved to their centres together.
ROWS = 1024
#: Components of a centre: squares of these are doubles, and the numbers single precision.
LEAST_COMPONENT, LARGEST_COMPONENT = 1e-30, 1e30
#: Independent inputs.
KINDS = ("rademacher", "gaussian")


def teacher_student(
    N: int,
    alpha: float,
    seed: int = 0,
    inputs: str | StructuredInputs = "rademacher",
    label_flip: float = 0.0,
    *,
    label_noise: float = 0.0,
    teacher: LabelModel | None = None,
) -> Examples:
    r"""Examples labelled by a random teacher on the sphere, y = sign(x.w*) unless there is noise.

    Parameters
    ----------
    N : int
        Dimensions, at least 10; of structured inputs as many as they have.
    alpha : float
        P/N, positive; P is rounded to the nearest integer and must be at least 1.
    seed : int
        Non-negative.
    inputs : {"rademacher", "gaussian"} or StructuredInputs
        Components -1 or 1 as int8, standard normal as float32, or normal with the variances and
        the teacher of `StructuredInputs`, as float32.
    label_flip : float
        Probability that a label is inverted, in [0, 0.5].
    label_noise : float
        Standard deviation of the normal noise that is added to the teacher's field, divided by
        its own deviation, before the sign is taken; in [0, inf].
    teacher : LabelModel, optional
        In place of the last two: `Teacher`, `LogisticTeacher`, or one of your own.

    Raises
    ------
    ValueError
        If an argument breaks its rule.
    MemoryError
        If the inputs do not fit in this machine; before anything is allocated.
    """
    n, p, streams = _sizes(N, alpha, seed, inputs)
    model = _model(teacher, label_flip, label_noise)
    x = _inputs(n, p, inputs, streams[0])
    rng = np.random.default_rng(streams[1])
    if isinstance(inputs, StructuredInputs):
        weights = inputs.components(rng)
    else:
        weights = rng.standard_normal(n)
        weights *= np.sqrt(n) / np.linalg.norm(weights)
    law = TeacherLaw(_deviations(n, inputs), weights, model)
    fields = Products(x, np.ones(p, dtype=np.int8)).fields(weights)
    fields /= np.sqrt(law.input_variance(weights)) if isinstance(inputs, StructuredInputs) else 1.0
    flips, noise = (np.random.default_rng(stream) for stream in streams[2:])
    return Examples(x, model.labels(fields, flips, noise), weights, int(seed), law=law)


def random_labels(
    N: int, alpha: float, seed: int = 0, inputs: str | StructuredInputs = "rademacher"
) -> Examples:
    """Examples whose labels are drawn at random: the storage problem.

    Parameters and errors as in `teacher_student`.
    """
    n, p, streams = _sizes(N, alpha, seed, inputs)
    x = _inputs(n, p, inputs, streams[0])
    labels = np.random.default_rng(streams[2]).integers(0, 2, p, dtype=np.int8) * np.int8(2) - 1
    law = RandomLaw(_deviations(n, inputs))
    return Examples(x, labels.astype(np.int8), None, int(seed), law=law)


def clusters(
    P: int,
    eigenvalues: ArrayLike,
    mean: ArrayLike,
    positive: float = 0.5,
    seed: int = 0,
    *,
    intercept: bool | None = None,
) -> Examples:
    r"""Two clouds of one covariance, x = y mean + sqrt(omega) xi; labels tell which.

    N is the number of eigenvalues. Units are those of `StructuredInputs`.

    Parameters
    ----------
    P : int
        Number of examples, at least 1.
    eigenvalues : (N,) array
        omega_k of the covariance within a cloud, positive, in [1e-60, 1e60].
    mean : (N,) array
        Centre of the positive cloud; the other is at -mean. Not all zero.
    positive : float
        Probability of the positive cloud, in (0, 1).
    seed : int
        Non-negative.
    intercept : bool, optional
        Whether those who learn have a threshold; by default unless ``positive`` is 1/2.

    Raises
    ------
    ValueError
        If an argument breaks its rule.
    MemoryError
        If the inputs do not fit in this machine; before anything is allocated.
    """
    p = arguments.whole("P", P, 1, 10**15, "a positive integer")
    omega = positive_numbers("eigenvalues", eigenvalues, ranges.EIGENVALUE)
    centre = arguments.vector("mean", mean, len(omega))
    if not np.any(np.abs(centre) > LEAST_COMPONENT) or np.any(np.abs(centre) > LARGEST_COMPONENT):
        raise InvalidArgument(
            "mean",
            f"must be at most {LARGEST_COMPONENT:g} and somewhere beyond {LEAST_COMPONENT:g}",
            quoted(mean),
        )
    share = arguments.number("positive", positive, ranges.SHARE)
    seed = arguments.whole("seed", seed, 0, words="a non-negative integer")
    if intercept is not None:
        arguments.instance("intercept", intercept, bool)
    arguments.check_memory(
        "`P` must leave room in memory",
        f"an array of P N = {float(p) * len(omega):.3g} inputs takes",
        float(p) * len(omega) * 4,
    )
    streams = np.random.SeedSequence(seed).spawn(2)
    labels = np.ones(p, dtype=np.int8)
    labels[np.random.default_rng(streams[1]).random(p) >= share] = -1
    deviations = np.sqrt(omega)
    x = _normal(len(omega), p, streams[0])
    x *= deviations.astype(np.float32)
    for start in range(0, p, ROWS):
        x[start : start + ROWS] += (labels[start : start + ROWS, None] * centre).astype(np.float32)
    return Examples(
        x,
        labels,
        None,
        seed,
        intercept=share != 0.5 if intercept is None else intercept,
        law=ClusterLaw(deviations, centre, share),
    )


def _model(teacher: LabelModel | None, label_flip: float, label_noise: float) -> LabelModel:
    """The teacher itself, or the one that the two numbers describe."""
    noisy = Teacher(
        arguments.number("label_flip", label_flip, ranges.within(0.0, 0.5)),
        arguments.number("label_noise", label_noise, ranges.NOISE),
    )
    if teacher is None:
        return noisy
    if noisy != Teacher():
        raise InvalidArgument(
            "teacher", "must not be given together with label_flip or label_noise", quoted(teacher)
        )
    if not isinstance(teacher, LabelModel):
        raise InvalidArgument(
            "teacher", "must be a Teacher, a LogisticTeacher or another LabelModel", quoted(teacher)
        )
    return teacher


def _sizes(
    N: int, alpha: float, seed: int, inputs: str | StructuredInputs
) -> tuple[int, int, list[np.random.SeedSequence]]:
    n = arguments.whole("N", N, SMALLEST_N, words=f"an integer of at least {SMALLEST_N}")
    a = arguments.number("alpha", alpha, arguments.POSITIVE)
    seed = arguments.whole("seed", seed, 0, words="a non-negative integer")
    if isinstance(inputs, StructuredInputs):
        if n != inputs.N:
            raise InvalidArgument("N", f"must be that of `inputs`, {inputs.N}", quoted(N))
        size = 4
    else:
        size = 4 if arguments.word("inputs", inputs, KINDS) == "gaussian" else 1
    wide = float(min(n, 10**100))
    arguments.check_memory(
        "`N` and `alpha` must leave room in memory",
        f"an array of alpha N^2 = {a * wide * wide:.3g} inputs takes",
        a * wide * wide * size,
    )
    p = round(a * n)
    if p < 1:
        raise InvalidArgument("alpha", f"must give at least one example at N = {n}", quoted(alpha))
    # inputs, teacher, flips and noise: flipping labels changes no input
    return n, p, np.random.SeedSequence(seed).spawn(4)


def _deviations(n: int, inputs: str | StructuredInputs) -> NDArray[np.float64]:
    if isinstance(inputs, StructuredInputs):
        return np.sqrt(inputs.eigenvalues)
    return np.ones(n)


def _normal(n: int, p: int, stream: np.random.SeedSequence) -> NDArray[np.float32]:
    x = np.empty((p, n), dtype=np.float32)
    np.random.default_rng(stream).standard_normal(out=x, dtype=np.float32)
    return x


def _inputs(
    n: int, p: int, kind: str | StructuredInputs, stream: np.random.SeedSequence
) -> NDArray[np.int8] | NDArray[np.float32]:
    if kind != "rademacher":
        x = _normal(n, p, stream)
        if isinstance(kind, StructuredInputs):
            x *= np.sqrt(kind.eigenvalues).astype(np.float32)
        return x
    rng = np.random.default_rng(stream)
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
