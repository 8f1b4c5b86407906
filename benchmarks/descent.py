"""Gradient descent beside the two float64 products that everybody writes.

"Theirs" keeps the inputs as float64 and lets numpy's BLAS multiply, in all
threads. Both do the same steps from the same weights, one right after the
other. On a busy machine BLAS, whose threads wait for each other, loses far more
than we do: the ratios mean something only where nothing else runs.
"""

from __future__ import annotations

import numpy as np
from rich.console import Console

from benchmarks.table import Row, table
from benchmarks.timing import Sample, seconds
from perceptron.data import Examples, teacher_student
from perceptron.descent import gradient_descent, gradient_flow

#: A large problem, where a step is timed by itself.
LARGE_N, LARGE_STEPS = 4000, 40
#: The size of the paper's training, and how much of it is timed.
PAPER_N, PAPER_STEPS, PAPER_SAMPLE, PLAIN_SAMPLE = 1000, 10**6, 10_000, 50
ALPHA = 5.0
RATE = 0.01


def plain(x: np.ndarray, y: np.ndarray, steps: int) -> np.ndarray:
    """The textbook's steps; x: (P, N) float64, y: (P,) float64."""
    root = np.sqrt(x.shape[1])
    w = np.zeros(x.shape[1])
    for _ in range(steps):
        margins = y * (x @ w) / root
        w += RATE * (x.T @ (2 * y / (1 + np.exp(2 * margins)))) / root
    return w


def ours(examples: Examples, steps: int) -> np.ndarray:
    return gradient_descent(examples, steps, RATE, records=[steps], progress=False).weights


def agree(examples: Examples, x: np.ndarray, y: np.ndarray) -> None:
    """Both do the same, to single precision."""
    a, b = ours(examples, 20), plain(x, y, 20)
    if np.linalg.norm(a - b) > 1e-5 * np.linalg.norm(b):
        raise RuntimeError("the two gradient descents differ")


def pairs(N: int, steps: int, plain_steps: int, repeats: int) -> tuple[Sample, Sample, Examples]:
    """Seconds a step, ours and theirs."""
    examples = teacher_student(N, ALPHA, seed=0)
    x, y = examples.inputs.astype(np.float64), examples.labels.astype(np.float64)
    agree(examples, x, y)
    mine, theirs = [], []
    for _ in range(repeats):
        theirs.append(seconds(plain, x, y, plain_steps) / plain_steps)
        mine.append(seconds(ours, examples, steps) / steps)
    return Sample.of(mine), Sample.of(theirs), examples


def rows(repeats: int) -> list[Row]:
    """The lines of the table."""
    result = []
    mine, theirs, examples = pairs(LARGE_N, LARGE_STEPS, 4, repeats)
    result.append(
        Row(
            f"a step of gradient descent, N = {LARGE_N}, P = {examples.P}",
            "s",
            mine,
            theirs,
            theirs.over(mine),
            f"{examples.products.threads} threads; theirs is two products of numpy in float64",
        )
    )
    mine, theirs, examples = pairs(PAPER_N, PAPER_SAMPLE, PLAIN_SAMPLE, repeats)
    result.append(
        Row(
            f"{PAPER_STEPS:,} steps, N = {PAPER_N}, P = {examples.P}",
            "s",
            *(Sample.of([PAPER_STEPS * t for t in part.values]) for part in (mine, theirs)),
            theirs.over(mine),
            f"from {PAPER_SAMPLE:,} of ours and {PLAIN_SAMPLE} of theirs",
        )
    )
    until = PAPER_STEPS * RATE
    flow = [
        seconds(lambda: gradient_flow(examples, until_time=until, progress=False))
        for _ in range(repeats)
    ]
    theirs = Sample.of([PAPER_STEPS * t for t in mine.values])
    result.append(
        Row(
            f"  gradient flow to the same time, {until:g}",
            "s",
            Sample.of(flow),
            theirs,
            theirs.over(Sample.of(flow)),
            "theirs is our gradient descent",
        )
    )
    return result


def main() -> None:
    Console(highlight=False).print(table(rows(5)))


if __name__ == "__main__":
    main()
