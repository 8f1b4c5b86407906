"""`max_stability` against scikit-learn's LinearSVC with a large C.

LinearSVC solves the same problem by coordinate ascent and stops where its own tolerance says; so it
is timed at several, and beside each time stands the margin that was reached, as the part of the
largest one that is missing: ours proves it by its duality gap.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.table import Part, Result, Row
from benchmarks.timing import side_by_side
from perceptron.data import Examples, teacher_student
from perceptron.learning.max_margin import MaximumStability, max_stability

N, ALPHA = 1000, 5.0
#: Far above the largest multiplier, so that no margin is given up for slack.
SLACK = 1e6
#: Its passes suffice for both tolerances.
PASSES = 1_000_000
#: Examples, a seed each, of which there are at most so many.
MOST = 2

PART = Part("Maximum stability")
#: By LinearSVC's tolerance: its default, and a loose one.
TOLERANCES = {
    1e-4: Row(
        f"maximum stability, N = {N}, P = {round(ALPHA * N)}",
        f"LinearSVC(loss='hinge', C={SLACK:g})",
        short=True,
    ),
    1e-2: Row("  the same, theirs in a hurry", "LinearSVC, tol=1e-2", short=True),
}


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


@PART.measures(*TOLERANCES.values())
def both(repeats: int) -> Iterator[Result]:
    """Both on the same examples, other ones each round."""
    small = teacher_student(20, 2.0)
    max_stability(small)  # compiled before the clock starts
    theirs(small, small.inputs.astype(float), 1e-2)
    examples = [teacher_student(N, ALPHA, seed) for seed in range(min(repeats, MOST))]
    inputs = [data.inputs.astype(float) for data in examples]
    for tolerance, row in TOLERANCES.items():
        stable: dict[int, MaximumStability] = {}
        others: dict[int, np.ndarray] = {}
        found = side_by_side(
            {
                "ours": lambda k, stable=stable: stable.update({k: max_stability(examples[k])}),
                "theirs": lambda k, others=others, tolerance=tolerance: others.update(
                    {k: theirs(examples[k], inputs[k], tolerance)}
                ),
            },
            len(examples),
            warm=False,
        )
        gap = max(best.duality_gap for best in stable.values())
        short = max(missing(examples[k], w, stable[k]) for k, w in others.items())
        note = (
            f"tol={tolerance:g}, {len(examples)} seeds; "
            f"margin short by {gap:.0e}, theirs {short:.0e}, at most"
        )
        yield row.measured(found["ours"], found["theirs"], note)
