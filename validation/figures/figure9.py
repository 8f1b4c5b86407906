"""Figure 9: the predicted exponent of the test error beside the measured one."""

from __future__ import annotations

from matplotlib.figure import Figure

from deepnorm.figures import exponents
from replica.scaling import Analysis
from validation import pairs, words

__all__ = ["caption", "compute", "draw"]


def compute() -> dict[str, Analysis]:
    """The five pairs, analysed by rule."""
    return pairs.by_rule()


def draw(data: dict[str, Analysis]) -> Figure:
    """A panel for each pair."""
    return exponents.draw(data)


def caption(data: dict[str, Analysis]) -> str:
    """What is shown, and the distance of the two exponents."""
    apart = [f"{t}: {a.difference:.1f}" for t, a in data.items()]
    return words.paragraphs(
        f"Figure 9. {exponents.caption(data)}",
        f"""
        gamma_pred less gamma_meas in statistical standard errors: {"; ".join(apart)}; the
        systematic errors are larger.
        """,
        words.AUTHORS_CURVES,
    )
