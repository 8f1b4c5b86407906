"""The same curves in units of their elbows, where the minimum is the end of training."""

from __future__ import annotations

from matplotlib.figure import Figure

from deepnorm.figures import collapse
from replica.scaling import Analysis
from validation import evidence, words

__all__ = ["caption", "compute", "draw"]


def compute() -> dict[str, Analysis]:
    """The same trainings, each norm analysed by rule."""
    return evidence.analyses()


def draw(data: dict[str, Analysis]) -> Figure:
    """A panel for each norm."""
    return collapse.draw(data, "elbow")


def caption(data: dict[str, Analysis]) -> str:
    """What is shown, and of which trainings."""
    return words.paragraphs(
        f"Own sweep, by the elbows. {collapse.caption(data, unit='elbow')}",
        words.trainings(evidence.load().about),
    )
