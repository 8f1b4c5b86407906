"""`max_stability` against scikit-learn's LinearSVC with a large C.

LinearSVC solves the same problem by coordinate ascent and stops where its own
tolerance says; so it is timed at several, and beside each time stands the margin
that was reached, as the part of the largest one that is missing: ours proves it
by its duality gap. `python -m benchmarks.max_margin --large` adds N = 4000, P = 40000.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings

import click
import numpy as np
from rich.console import Console

from benchmarks.table import Row, table
from benchmarks.timing import Sample, seconds
from perceptron.data import Examples, teacher_student
from perceptron.max_margin import MaximumStability, max_stability

N, ALPHA = 1000, 5.0
LARGE_N, LARGE_ALPHA = 4000, 10.0
#: Far above the largest multiplier, so that no margin is given up for slack.
SLACK = 1e6
#: LinearSVC's tolerances: a loose one, and the default. Its passes suffice for both.
TOLERANCES = (1e-2, 1e-4)
PASSES = 1_000_000


def theirs(data: Examples, inputs: np.ndarray, tolerance: float) -> np.ndarray:
    from sklearn.svm import LinearSVC

    model = LinearSVC(
        loss="hinge", C=SLACK, fit_intercept=False, tol=tolerance, max_iter=PASSES, random_state=0
    )
    return model.fit(inputs, data.labels).coef_[0]


def missing(data: Examples, w: np.ndarray, best: MaximumStability) -> float:
    """1 - kappa/kappa_max, with the upper bound on kappa_max."""
    margins = data.labels * (data.inputs @ w)
    return 1 - margins.min() / np.linalg.norm(w) * (1 - best.duality_gap) / best.stability


def rows(repeats: int) -> list[Row]:
    """Both on the same examples, one after the other, a seed each time."""
    if importlib.util.find_spec("sklearn") is None:
        print("max_margin: left out, as scikit-learn is not installed", file=sys.stderr)
        return []
    max_stability(teacher_student(20, 2.0))  # compiled before the clock starts
    lines = []
    for tolerance in TOLERANCES:
        times, short = [], []
        for seed in range(min(repeats, 3)):
            data = teacher_student(N, ALPHA, seed)
            inputs = data.inputs.astype(float)
            results: list[MaximumStability] = []
            others: list[np.ndarray] = []

            def ours(data=data, results=results) -> None:
                results.append(max_stability(data))

            def fit(data=data, inputs=inputs, others=others, tolerance=tolerance) -> None:
                others.append(theirs(data, inputs, tolerance))

            times.append((seconds(ours), seconds(fit)))
            short.append((results[0].duality_gap, missing(data, others[0], results[0])))
        mine, other = (Sample.of([pair[k] for pair in times]) for k in (0, 1))
        name = f"maximum stability, N = {N}, P = {round(ALPHA * N)}"
        note = f"theirs: LinearSVC, hinge, C = {SLACK:g}, tol = {tolerance:g}"
        lines.append(Row(name, "s", mine, other, other.over(mine), note))
        mine, other = (Sample.of([pair[k] for pair in short]) for k in (0, 1))
        lines.append(Row("  missing part of the margin", "", mine, other))
    return lines


def large() -> Row:
    """Ours alone, where nobody waits for the other."""
    data = teacher_student(LARGE_N, LARGE_ALPHA)
    results: list[MaximumStability] = []
    time = seconds(lambda: results.append(max_stability(data)))
    name = f"maximum stability, N = {LARGE_N}, P = {data.P}"
    note = f"once; missing part of the margin {results[0].duality_gap:.0e}"
    return Row(name, "s", Sample.of([time]), note=note)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Seeds.")
@click.option("--large", "add_large", is_flag=True, help="A large problem, too: minutes.")
def main(repeats: int, add_large: bool) -> None:
    """Time `max_stability` beside LinearSVC, with the margins that both reach."""
    warnings.simplefilter("ignore")
    Console(highlight=False).print(table(rows(repeats) + ([large()] if add_large else [])))


if __name__ == "__main__":
    main()
