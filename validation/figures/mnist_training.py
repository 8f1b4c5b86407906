"""Figure 7 from a sweep of our own: training time is not the norm."""

from __future__ import annotations

from matplotlib.figure import Figure

from deepnorm.figures import training
from replica.scaling import Curves
from validation import evidence, words

__all__ = ["caption", "compute", "draw"]


def compute() -> Curves:
    """The trainings with the norm of eq. (2)."""
    return evidence.load().curves("eq2")


def draw(data: Curves) -> Figure:
    """Test error and norm against epochs."""
    return training.draw(data)


def caption(data: Curves) -> str:
    """What is shown, and of which trainings."""
    return words.paragraphs(
        f"Figure 7, own sweep. {training.caption(data)} The norm is that of eq. (2).",
        words.trainings(evidence.load().about),
    )
