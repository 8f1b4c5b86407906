"""Which predictions are to be trusted: the rules, and the sentence that goes with each."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["C_ONLY", "REFUSED", "TRUSTED", "Cell", "verdict"]

TRUSTED, C_ONLY, REFUSED = "trusted", "C only", "refused"

#: Predicted errors above which the Gaussian law of a new example's field holds on real data, and
#: below which it says nothing: choices, from a study of 21 real tasks (docs/predict.md, section 4).
GOOD_ERROR, LEAST_ERROR = 0.1, 0.03
#: Log of drawn over predicted error that the draw check lets pass.
LARGEST_GAP = 0.1
#: Standard errors of a gap that count as chance: a small table cannot say more.
CHANCE = 1.0
#: Extrapolation: from so many rows on, and so far.
ROWS_TO_EXTRAPOLATE, FARTHEST = 1000, 3.0
#: A 90% interval whose ends differ by more than this factor says nothing of the error.
WIDEST = 2.0


@dataclass(frozen=True)
class Cell:
    """What is known of one number of training examples.

    Attributes
    ----------
    examples, rows : float
        P, and the rows P0 that the moments come from.
    error, low, high : float
        Predicted at the best C, with its interval.
    gap, gap_error : float
        Of the draw check; nan without one.
    at_edge : bool
        Whether the least error lies at an end of the path.
    cut : bool
        Whether the path ends there because the sample knows of no smaller nu.
    """

    examples: float
    rows: int
    error: float
    low: float
    high: float
    gap: float
    gap_error: float
    at_edge: bool
    cut: bool = False


def verdict(cell: Cell) -> tuple[str, str]:
    """One of the three words, and why."""
    P, rows = cell.examples, cell.rows
    if FARTHEST * rows < P:
        return REFUSED, f"more than {FARTHEST:g} times the {rows} rows at hand"
    if rows < P and rows < ROWS_TO_EXTRAPOLATE:
        return REFUSED, (
            f"beyond the {rows} rows at hand (it takes {ROWS_TO_EXTRAPOLATE} to extrapolate)"
        )
    if math.isnan(cell.error) or cell.cut:
        return REFUSED, f"{rows} rows do not determine what {P:g} examples would learn"
    if cell.error < LEAST_ERROR:
        return REFUSED, (
            f"predicted below {LEAST_ERROR:.0%}, where tails decide that two moments do not know"
        )
    if cell.gap > LARGEST_GAP + CHANCE * cell.gap_error:
        return REFUSED, (
            f"weights drawn from the theory err {math.expm1(cell.gap):.0%} more often on held-out "
            "rows than on normal ones"
        )
    if cell.error < GOOD_ERROR:
        return C_ONLY, f"predicted below {GOOD_ERROR:.0%}, where the theory is mostly optimistic"
    if not cell.high <= WIDEST * cell.low:
        return C_ONLY, "the error is not determined to a factor of two"
    if rows < P:
        return C_ONLY, "an extrapolation, no better than the power law beside it"
    if math.isnan(cell.gap):
        return C_ONLY, "without a draw check"
    if -cell.gap > LARGEST_GAP + CHANCE * cell.gap_error:
        return C_ONLY, (
            f"weights drawn from the theory err {-math.expm1(cell.gap):.0%} less often on held-out "
            "rows than on normal ones"
        )
    if cell.at_edge:
        return TRUSTED, "the error still falls, or rises, at the end of the range of C"
    return TRUSTED, "predicted above 10%, and the draw check agrees"
