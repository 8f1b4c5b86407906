"""Gradient descent beside the two products that everybody writes.

"Theirs" keeps the inputs as float64, or as float32, and lets numpy's BLAS multiply, in all
threads. All do the same steps from the same weights. On a busy machine BLAS, whose threads wait for
each other, loses far more than we do: the ratios mean something only where nothing else runs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.table import Part, Result, Row
from benchmarks.timing import side_by_side
from perceptron import Examples, gradient_descent, gradient_flow, teacher_student

ALPHA = 5.0
RATE = 0.01
#: A large problem, where a step is timed by itself.
LARGE_N, LARGE_STEPS, LARGE_PLAIN_STEPS = 4000, 40, 4
#: The size of the paper's training, and how much of it is timed.
PAPER_N, PAPER_STEPS, PAPER_SAMPLE, PLAIN_SAMPLE = 1000, 10**6, 10_000, 50

PART = Part("Gradient descent")
LARGE = f"a step of gradient descent, N = {LARGE_N}, P = {round(ALPHA * LARGE_N)}"
STEP = Row(LARGE, "two float64 products of BLAS", short=True)
STEP_SINGLE = Row("  beside single precision", "two float32 products of BLAS", short=True)
TRAINING = Row(
    f"10^6 steps, N = {PAPER_N}, P = {round(ALPHA * PAPER_N)}, from samples",
    "two float64 products of BLAS",
    short=True,
)
FLOW = Row("  gradient flow to the same time", "our 10^6 steps, from samples", short=True)


def plain(x: np.ndarray, y: np.ndarray, steps: int) -> np.ndarray:
    """The textbook's steps; x: (P, N) and y: (P,), both float64 or both float32."""
    root = np.sqrt(x.shape[1], dtype=x.dtype)
    w = np.zeros(x.shape[1], dtype=x.dtype)
    for _ in range(steps):
        margins = y * (x @ w) / root
        w += RATE * (x.T @ (2 * y / (1 + np.exp(2 * margins)))) / root
    return w


def ours(examples: Examples, steps: int) -> np.ndarray:
    return gradient_descent(examples, steps, RATE, records=[steps], progress=False).weights


def distance(examples: Examples, x: np.ndarray, y: np.ndarray) -> float:
    """Between the weights of the two after 20 steps, relative."""
    a, b = ours(examples, 20), plain(x, y, 20)
    found = float(np.linalg.norm(a - b) / np.linalg.norm(b))
    if found > 1e-5:
        raise RuntimeError(f"the two gradient descents differ by {found:.0e}")
    return found


def converted(examples: Examples, kind: type) -> tuple[np.ndarray, np.ndarray]:
    return examples.inputs.astype(kind), examples.labels.astype(kind)


@PART.measures(STEP, STEP_SINGLE)
def step(repeats: int) -> Iterator[Result]:
    """Some steps of ours, some of theirs."""
    examples = teacher_student(LARGE_N, ALPHA, seed=0)
    for row, kind in ((STEP, np.float64), (STEP_SINGLE, np.float32)):
        x, y = converted(examples, kind)
        found = side_by_side(
            {
                "ours": lambda _: ours(examples, LARGE_STEPS),
                "theirs": lambda _, x=x, y=y: plain(x, y, LARGE_PLAIN_STEPS),
            },
            repeats,
        )
        note = (
            f"{examples.products.threads} threads; weights differ by {distance(examples, x, y):.0e}"
        )
        yield row.measured(
            found["ours"].times(1 / LARGE_STEPS), found["theirs"].times(1 / LARGE_PLAIN_STEPS), note
        )


@PART.measures(TRAINING, FLOW)
def training(repeats: int) -> Iterator[Result]:
    """A part of the steps of both; the flow in full."""
    examples = teacher_student(PAPER_N, ALPHA, seed=0)
    x, y = converted(examples, np.float64)
    until = PAPER_STEPS * RATE
    found = side_by_side(
        {
            "ours": lambda _: ours(examples, PAPER_SAMPLE),
            "theirs": lambda _: plain(x, y, PLAIN_SAMPLE),
            "flow": lambda _: gradient_flow(examples, until_time=until, progress=False),
        },
        repeats,
    )
    steps = found["ours"].times(PAPER_STEPS / PAPER_SAMPLE)
    yield TRAINING.measured(
        steps,
        found["theirs"].times(PAPER_STEPS / PLAIN_SAMPLE),
        f"from {PAPER_SAMPLE:,} of ours and {PLAIN_SAMPLE} of theirs; "
        f"weights differ by {distance(examples, x, y):.0e} after 20",
    )
    yield FLOW.measured(found["flow"], steps, f"time {until:g}, rate {RATE:g}")
