"""Figure 3: learning curves against the norm have an early phase in common."""

from __future__ import annotations

from matplotlib.figure import Figure

from deepnorm.figures import curves
from replica.scaling import Analysis
from validation import pairs, words

__all__ = ["caption", "compute", "draw"]


def compute() -> dict[str, Analysis]:
    """The five pairs, analysed by rule."""
    return pairs.by_rule()


def draw(data: dict[str, Analysis]) -> Figure:
    """A panel for each pair."""
    return curves.draw(data)


def caption(data: dict[str, Analysis]) -> str:
    """What is shown, and how well a common early law describes it."""
    quality = [
        f"{title}: {a.joint.chi2 / a.joint.dof:.3g} (kappa = {a.drift.value:.3f} +- "
        f"{a.drift.error:.3f})"
        for title, a in data.items()
        if a.joint is not None
    ]
    return words.paragraphs(
        f"Figure 3. {curves.caption(data)}",
        f"""
        chi2 per degree of freedom of the joint law, and the exponent kappa by which the early law
        moves with P (the paper's has none): {"; ".join(quality)}. Where chi2 is well above 1 no
        window holds a power law, common to all P, within the noise of the curves.
        """,
        words.AUTHORS_CURVES,
    )
