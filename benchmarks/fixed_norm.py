"""`minimize_at_norm` against scikit-learn's logistic regression with a root search on C.

No library fixes the norm: whoever wants the minimiser at a norm varies the penalty until it comes
out, each fit begun from the last. All are asked for a gradient of 1e-8.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from scipy.optimize import brentq

from benchmarks.table import Part, Result, Row
from benchmarks.timing import side_by_side
from perceptron import Examples, minimize_at_norm, teacher_student

N, ALPHA, LAM = 1000, 5.0, 4.5
#: Relative accuracy of the norm that the root search asks for: a choice.
NORM_TOLERANCE = 1e-8
#: Examples, a seed each, of which there are at most so many.
MOST = 2

PART = Part("The minimiser at a norm")
NAME = f"minimiser at lam = {LAM:g}, N = {N}, P = {round(ALPHA * N)}"
#: The first is the default, and stops short of the gradient asked for; the second reaches it.
SOLVERS = {
    "lbfgs": Row(NAME, "LogisticRegression(solver='lbfgs'), root search on C", short=True),
    "newton-cholesky": Row(
        "  beside the solver that gets there", "solver='newton-cholesky'", short=True
    ),
}


def angle(data: Examples, w: np.ndarray, lam: float) -> float:
    """Between w and the pull of the examples: the gradient along the sphere over that along w."""
    margins = data.labels * (data.inputs @ w) / np.sqrt(data.N)
    pull = (data.labels / (1 + np.exp(2 * lam * margins))) @ data.inputs
    along = (pull @ w) / (w @ w) * w
    return float(np.linalg.norm(pull - along) / np.linalg.norm(along))


def theirs(data: Examples, inputs: np.ndarray, lam: float, solver: str) -> tuple[np.ndarray, int]:
    """Weights, and the number of fits; their loss at |coef| = 2 lam has z = 2 lam Delta."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        fit_intercept=False, tol=1e-8, max_iter=10_000, solver=solver, warm_start=True
    )
    fits = 0

    def excess(log_c: float) -> float:
        nonlocal fits
        fits += 1
        model.C = np.exp(log_c)
        model.fit(inputs, data.labels)
        return float(np.log(np.linalg.norm(model.coef_)) - np.log(2 * lam))

    brentq(excess, np.log(1e-3), np.log(1e3), xtol=NORM_TOLERANCE)
    return model.coef_[0] * np.sqrt(data.N) / np.linalg.norm(model.coef_), fits


@PART.measures(*SOLVERS.values())
def both(repeats: int) -> Iterator[Result]:
    """Both on the same examples, other ones each round."""
    warnings.simplefilter("ignore")  # lbfgs tells that it stops short
    small = teacher_student(100, 1.0)
    minimize_at_norm(small, LAM)  # compiled before the clock starts
    examples = [teacher_student(N, ALPHA, seed) for seed in range(min(repeats, MOST))]
    inputs = [data.inputs.astype(float) for data in examples]
    for solver, row in SOLVERS.items():
        theirs(small, small.inputs.astype(float), LAM, solver)  # loaded
        reached: dict[str, float] = {}
        fits: list[int] = []

        def mine(k: int, reached=reached) -> None:
            reached["ours"] = k, minimize_at_norm(examples[k], LAM).weights

        def others(k: int, solver=solver, reached=reached, fits=fits) -> None:
            w, number = theirs(examples[k], inputs[k], LAM, solver)
            reached["theirs"] = k, w
            fits.append(number)

        found = side_by_side({"ours": mine, "theirs": others}, len(examples), warm=False)
        angles = {name: angle(examples[k], w, LAM) for name, (k, w) in reached.items()}
        note = (
            f"{len(examples)} seeds; gradient {angles['ours']:.0e}, theirs "
            f"{angles['theirs']:.0e} in {max(fits)} fits, each from the last"
        )
        yield row.measured(found["ours"], found["theirs"], note)
