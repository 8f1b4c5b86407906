"""What is drawn: numbers of all sizes, things that are no numbers, and problems that make sense."""

import contextlib
import datetime
import decimal
import fractions
import math
import signal
import threading
import time
import warnings

import numpy as np
import pandas as pd
from hypothesis import settings
from hypothesis import strategies as st
from patience import HANGS

import replica
from replica import (
    Exponential,
    HardMargin,
    Hinge,
    Linear,
    Logistic,
    LogisticTeacher,
    RandomLabels,
    SmoothLoss,
    Square,
    SquaredHinge,
    Teacher,
)

#: Seconds that one example may take.
LIMIT_S = HANGS


class Hangs(AssertionError):
    """An example took longer than any should."""


@contextlib.contextmanager
def guard(seconds=LIMIT_S):
    """No warning of numpy leaks, and nothing hangs."""

    def stop(number, frame):
        raise Hangs(f"no answer in {seconds:g} s")

    alarmed = threading.current_thread() is threading.main_thread()
    if alarmed:
        before = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with warnings.catch_warnings(), np.errstate(all="warn", under="ignore"):
            warnings.simplefilter("error")
            yield
    finally:
        if alarmed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def check_refusal(error, *names):
    """A message names one of the arguments, a rule, and what came."""
    said = str(error)
    named = any(f"`{name}`" in said for name in names) if names else said.startswith("`")
    assert named, said
    assert " must " in said, said
    assert "got " in said, said


# ------------------------------------------------------------------------------- numbers

#: Ends of the doubles, of the admitted ranges, and what lies just beyond them.
EDGES = [
    0.0, -0.0, 5e-324, -5e-324, 2.3e-308, 1e-300, 1e-100, 1e-30, 0.99e-30, 1e-15, 0.99e-15, 1e-6,
    0.5, 0.5 - 2**-54, 0.5 + 2**-52, 0.49999999999, 1.0, 1 - 2**-53, 2.0, 2 - 2**-52, 1e6, 1.01e6,
    1e15, 1.01e15, 1e20, 1.01e20, 1e100, 1e154, 1e160, 1e300, 1.7976931348623157e308, math.inf,
    -math.inf, math.nan, -1.0,
]  # fmt: skip
any_float = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True),
    st.sampled_from(EDGES),
    st.floats(-320, 308).map(lambda e: 10.0**e),
)
any_number = st.one_of(any_float, st.integers(-(10**400), 10**400), st.booleans())


def powers(low, high):
    """Floats, uniform in the logarithm from 10**low to 10**high, ends included."""
    ends = st.sampled_from([10.0**low, 10.0**high])
    drawn = st.floats(low, high).map(lambda e: min(max(10.0**e, 10.0**low), 10.0**high))
    return st.one_of(drawn, drawn, ends)


alphas = powers(-15, 15)
#: Over which the digits are promised.
usual_alphas = powers(-3, 8)
norms = st.one_of(powers(-30, 20), powers(-3, 3), st.sampled_from([0.0, math.inf]))
flips = st.one_of(
    st.just(0.0),
    st.floats(0, 0.5),
    powers(-300, -1),
    powers(-16, -1).map(lambda p: 0.5 - p),
    st.sampled_from([0.5, 5e-324, 0.5 - 2**-54]),
)
noises = st.one_of(
    st.just(0.0), powers(-3, 3), powers(-300, 100), st.sampled_from([5e-324, math.inf])
)
hinges = st.one_of(st.floats(-3, 30), powers(-6, 6), powers(-6, 6).map(lambda k: -k))
targets = powers(-6, 6)
probabilities = st.one_of(st.floats(0, 1), powers(-300, 0), powers(-16, 0).map(lambda p: 1 - p))

teachers = st.one_of(
    st.just(Teacher()),
    st.builds(Teacher, label_flip=flips, label_noise=noises),
    st.just(RandomLabels()),
    st.builds(LogisticTeacher, slope=powers(-6, 6)),
)
built_in = st.one_of(
    st.builds(Logistic, lam=norms),
    st.builds(Exponential, lam=norms),
    st.just(Linear()),
    st.builds(Hinge, margin=hinges),
    st.builds(SquaredHinge, margin=hinges),
    st.builds(Square, margin=targets),
    st.just(HardMargin()),
)


def _own_logistic(lam):
    twin = Logistic(lam)
    return SmoothLoss(twin.value, twin.derivative, twin.curvature, name=f"logistic at {lam}")


own = st.one_of(
    st.floats(-1, 1).map(lambda e: _own_logistic(10.0**e)),
    st.floats(0.5, 4).map(
        lambda k: SmoothLoss(
            lambda d: (d - k) ** 4 / 4, lambda d: (d - k) ** 3, lambda d: 3 * (d - k) ** 2
        )
    ),
)

# -------------------------------------------------------------------------------- things


class Boom:
    """An object whose words fail."""

    def __repr__(self):
        raise RuntimeError("no words")


#: Numbers in other clothes, with the values that they stand for.
DRESSED = {
    "bool": (True, 1.0),
    "numpy bool": (np.True_, 1.0),
    "int": (5, 5.0),
    "int8": (np.int8(5), 5.0),
    "uint64": (np.uint64(5), 5.0),
    "float16": (np.float16(5), 5.0),
    "longdouble": (np.longdouble(5), 5.0),
    "0-d": (np.array(5.0), 5.0),
    "0-d object": (np.array(5, dtype=object), 5.0),
    "Decimal": (decimal.Decimal("0.5"), 0.5),
    "Fraction": (fractions.Fraction(1, 4), 0.25),
}
DRESSED_ARRAYS = {
    "list": ([5, 1], [5.0, 1.0]),
    "tuple": ((5.0, True), [5.0, 1.0]),
    "float32": (np.array([5, 0.25], np.float32), [5.0, 0.25]),
    "int16": (np.array([5, 1], np.int16), [5.0, 1.0]),
    "bool": (np.array([True, True]), [1.0, 1.0]),
    "longdouble": (np.array([5, 1], np.longdouble), [5.0, 1.0]),
    "big-endian": (np.array([5, 1], ">f8"), [5.0, 1.0]),
    "big-endian int": (np.array([5, 1], ">i4"), [5.0, 1.0]),
    "reversed": (np.array([1.0, 5.0])[::-1], [5.0, 1.0]),
    "strided": (np.array([5.0, 7.0, 1.0])[::2], [5.0, 1.0]),
    "read-only": (np.broadcast_to(np.array([5.0]), (2,)), [5.0, 5.0]),
    "Fortran": (np.asfortranarray([[5.0, 1.0], [2.0, 3.0]]), [[5.0, 1.0], [2.0, 3.0]]),
    "objects": (np.array([5, decimal.Decimal(1)], dtype=object), [5.0, 1.0]),
    "arrays in a list": ([np.array([5.0, 1.0]), [2, 3]], [[5.0, 1.0], [2.0, 3.0]]),
    "range": (range(1, 3), [1.0, 2.0]),
    "empty": ([], []),
    "empty 2-d": (np.zeros((0, 3)), np.zeros((0, 3))),
    "Series": (pd.Series([5.0, 1.0], index=["b", "a"]), [5.0, 1.0]),
    "Series of ints": (pd.Series([5, 1], dtype="Int64"), [5.0, 1.0]),
    "categories": (pd.Series([5.0, 1.0]).astype("category"), [5.0, 1.0]),
    "DataFrame": (pd.DataFrame({"a": [5.0, 1.0], "b": [2, 3]}), [[5.0, 2.0], [1.0, 3.0]]),
    "Index": (pd.Index([5.0, 1.0]), [5.0, 1.0]),
}
#: What is no number, or no number that a double holds.
NO_NUMBERS = {
    "complex": 5 + 0j,
    "numpy complex": np.complex64(5),
    "complex array": np.array([5 + 0j]),
    "complex objects": np.array([np.complex128(5 + 1j)], dtype=object),
    "text": "5",
    "numpy text": np.str_("5"),
    "text array": np.array(["5", "1"]),
    "text objects": np.array(["5"], dtype=object),
    "text in a list": ["5", 1.0],
    "bytes": b"5",
    "bytearray": bytearray(b"5"),
    "bytes objects": np.array([b"5"], dtype=object),
    "None in a list": [None, 5.0],
    "huge int": 10**400,
    "endless int": 10**5000,
    "huge int in a list": [10**400, 5],
    "huge Decimal": decimal.Decimal("1e400"),
    "tiny Decimal": decimal.Decimal("1e-400"),
    "datetime": datetime.datetime(2025, 1, 1),
    "datetime64": np.datetime64("2025-01-01"),
    "timedelta64": np.timedelta64(5, "s"),
    "timedelta64 array": np.array([5, 1], "m8[s]"),
    "timedelta64 objects": np.array([np.timedelta64(5, "s")], dtype=object),
    "masked": np.ma.masked,
    "masked array": np.ma.masked_array([5.0, 1.0], [0, 1]),
    "unmasked masked array": np.ma.masked_array([5.0, 1.0]),
    "masked in a list": [np.ma.masked, 5.0],
    "masked arrays in a list": [np.ma.masked_array([5.0, 1.0], [0, 1])] * 2,
    "NA": pd.NA,
    "NaT": pd.NaT,
    "Series of text": pd.Series(["5", "1"]),
    "categories of text": pd.Series(["5", "1"]).astype("category"),
    "DataFrame with text": pd.DataFrame({"a": [5.0], "b": ["x"]}),
    "dates": pd.date_range("2025-01-01", periods=2),
    "ragged": [[5.0], [1.0, 2.0]],
    "record array": np.array([(5.0,)], dtype=[("a", float)]),
    "set": {5.0},
    "dict": {"a": 5.0},
    "generator": (x for x in [5.0]),
    "function": len,
    "class": float,
    "object": object(),
    "object without words": Boom(),
    "void": np.void(b"abc"),
}
if np.finfo(np.longdouble).max > np.finfo(float).max:
    NO_NUMBERS["huge longdouble"] = np.longdouble("1e400")


def warm():
    """Compile, or load, everything once, so that no example has to wait for it."""
    begin = time.perf_counter()
    replica.logistic_teacher_student([5.0, 5.0], [0.0, 1.0]).margins.quantile(0.5)
    replica.max_stability(5.0)
    return time.perf_counter() - begin


def part(share):
    """So many of the examples that the profile asks for: of those that take longer."""
    return settings(max_examples=max(1, round(share * settings.default.max_examples)))
