"""What `predict_learning_curve` returns, and the one sentence that it says."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replica.prediction.estimate import EstimatedInputs
from replica.prediction.verdicts import C_ONLY, GOOD_ERROR, TRUSTED

__all__ = ["LearningCurve"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LearningCurve:
    r"""Predicted errors of regularised logistic regression, K numbers of labels by J penalties.

    Attributes
    ----------
    examples : (K,) array
        Numbers of training examples P.
    C, lam : (K, J) arrays
        Inverse penalty and norm \|w\|/2; the other of the two follows from the theory.
    error, error_low, error_high : (K, J) arrays
        Share of wrong answers on new rows, with the 90% interval that the error of the estimated
        distance of the clusters leaves; nan where the sample says nothing.
    best_error, best_error_low, best_error_high : (K,) arrays
        The least over the path of C.
    best_C, best_lam : (K,) arrays
        Where it is.
    verdict : tuple of str
        Of each P: "trusted", "C only" or "refused".
    reason : tuple of str
        Why.
    drawn_error, drawn_standard_error : (K,) arrays
        Errors on held-out rows of weights drawn from the theory at `best_C`, cross-fitted.
    drawn_examples : (K,) array
        The P of that check, below 0.6 of the rows.
    gap : (K,) array
        Log of the drawn error over the theory's own from the same moments.
    measured_error, measured_standard_error : (K,) arrays
        Of classifiers trained at `best_C` on parts of the table and tested on the rest; nan at
        sizes that the table does not afford.
    power_law : (K,) array
        Beside an extrapolation: a power law through measured errors at 0.2, 0.4 and 0.8 of the
        rows; nan where none is asked for.
    inputs : EstimatedInputs
        What was estimated.
    """

    examples: Array
    C: Array
    lam: Array
    error: Array
    error_low: Array
    error_high: Array
    best_error: Array
    best_error_low: Array
    best_error_high: Array
    best_C: Array
    best_lam: Array
    verdict: tuple[str, ...]
    reason: tuple[str, ...]
    drawn_error: Array
    drawn_standard_error: Array
    drawn_examples: Array
    gap: Array
    measured_error: Array
    measured_standard_error: Array
    power_law: Array
    inputs: EstimatedInputs = field(repr=False)

    def __post_init__(self) -> None:
        for part in dataclasses.fields(self):
            value = getattr(self, part.name)
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    @property
    def conclusion(self) -> str:
        """What follows, in one sentence: a C, a range of errors, or why neither."""
        rows = self.inputs.rows
        within = [
            i for i, P in enumerate(self.examples) if rows >= P and self.verdict[i] != "refused"
        ]
        if not within:
            last = int(np.argmax(self.examples))
            return f"No C is recommended: {self.reason[last]}."
        first = max(within, key=lambda i: float(self.examples[i]))
        parts = [f"C = {self.best_C[first]:.2g}", self._expectation(first)]
        for i in np.argsort(self.examples):
            if self.examples[i] > rows and self.verdict[i] == C_ONLY:
                parts.append(f"if one extrapolates, {self._range(int(i))}")
        return "; ".join(parts) + "."

    def _range(self, i: int) -> str:
        low, high = 100 * self.best_error_low[i], 100 * self.best_error_high[i]
        return f"{low:.1f} to {high:.1f}% errors with {self.examples[i]:g} labels"

    def _expectation(self, i: int) -> str:
        """What is said of the error at one P."""
        if self.verdict[i] == TRUSTED:
            return f"expect {self._range(i)}"
        if self.best_error[i] >= GOOD_ERROR:
            at = f"of the error with {self.examples[i]:g} labels"
            return f"{at} nothing is claimed ({self.reason[i]})"
        said = f"below {GOOD_ERROR:.0%} nothing is claimed of the error from two moments"
        if not np.isnan(self.drawn_error[i]):
            said += (
                f" (weights drawn from the theory for {self.drawn_examples[i]:g} labels make "
                f"{100 * self.drawn_error[i]:.1f} +- {100 * self.drawn_standard_error[i]:.1f}% "
                "errors on held-out rows)"
            )
        return said

    def to_dict(self) -> dict[str, Any]:
        """Numbers, words and the conclusion by name, arrays as lists; for JSON and tables."""
        result: dict[str, Any] = {"conclusion": self.conclusion}
        for part in dataclasses.fields(self):
            value = getattr(self, part.name)
            if part.name == "inputs":
                result["inputs"] = {
                    inner.name: getattr(value, inner.name)
                    for inner in dataclasses.fields(value)
                    if inner.name != "functions"
                }
                result["inputs"]["classes"] = list(value.classes)
            else:
                result[part.name] = value.tolist() if isinstance(value, np.ndarray) else list(value)
        return result
