"""Figure 4: learning curves in units of their optimum collapse, and how well."""

from __future__ import annotations

from matplotlib.figure import Figure

from deepnorm.figures import collapse
from replica.scaling import Analysis
from validation import pairs, words

__all__ = ["caption", "compute", "draw"]


def compute() -> dict[str, Analysis]:
    """The five pairs, analysed by rule."""
    return pairs.by_rule()


def draw(data: dict[str, Analysis]) -> Figure:
    """A panel for each pair."""
    return collapse.draw(data)


def caption(data: dict[str, Analysis]) -> str:
    """What is shown, with the gain of rescaling."""
    gains = [f"{t}: {a.collapse.rms_raw:.3f} to {a.collapse.rms:.3f}" for t, a in data.items()]
    return words.paragraphs(
        f"Figure 4. {collapse.caption(data)}",
        f"""
        Rescaling takes the root mean square distance of a curve from the others, in ln(error), from
        {"; ".join(gains)}. Where the minimum is the end of training the curves are rescaled by
        that.
        """,
        words.AUTHORS_CURVES,
    )
