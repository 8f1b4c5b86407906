"""Figure 8: where the exponents come from, by the recipe of the paper's authors."""

from __future__ import annotations

from matplotlib.figure import Figure

from deepnorm.figures import fits
from replica.scaling import Analysis
from validation import pairs, words

__all__ = ["caption", "compute", "draw"]


def compute() -> dict[str, Analysis]:
    """The five pairs, by the authors' recipe with their windows."""
    return pairs.by_recipe()


def draw(data: dict[str, Analysis]) -> Figure:
    """A row for each pair."""
    return fits.draw(data)


def caption(data: dict[str, Analysis]) -> str:
    """What is shown, and how far the windows decide it."""
    moved = [
        f"{t}: {a.gamma_1.value:.3f} +- {a.gamma_1.error:.3f} +- {a.gamma_1.systematic:.3f} and "
        f"{a.gamma_2.value:.3f} +- {a.gamma_2.error:.3f} +- {a.gamma_2.systematic:.3f}"
        for t, a in data.items()
    ]
    return words.paragraphs(
        f"Figure 8. {fits.caption(data)}",
        f"""
        gamma_1 and gamma_2 with the authors' windows, with their statistical error and half the
        range over other ends of the window and other smallest P: {"; ".join(moved)}.
        """,
        words.AUTHORS_CURVES,
    )
