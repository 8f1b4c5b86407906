"""Figure 8 from a sweep of our own, under three norms."""

from __future__ import annotations

from matplotlib.figure import Figure

from deepnorm.figures import fits
from replica.scaling import Analysis
from validation import evidence, words

__all__ = ["caption", "compute", "draw"]


def compute() -> dict[str, Analysis]:
    """The same trainings, each norm analysed by rule."""
    return evidence.analyses()


def draw(data: dict[str, Analysis]) -> Figure:
    """A panel for each norm."""
    return fits.draw(data)


def caption(data: dict[str, Analysis]) -> str:
    """What is shown, and of which trainings."""
    return words.paragraphs(
        f"Figure 8, own sweep. {fits.caption(data)}", words.trainings(evidence.load().about)
    )
