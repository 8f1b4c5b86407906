"""Tables 1 and 2 from a sweep of our own: the same trainings under three norms."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from replica.scaling import Analysis, table_1, table_2
from validation import evidence, style, words

__all__ = ["attachments", "caption", "compute", "draw"]

#: The exponents that are drawn, as they are set.
SYMBOLS = {
    "gamma_1": r"\gamma_1",
    "gamma_2_used": r"\gamma_2",
    "gamma_pred": r"\gamma_{\rm pred}=\gamma_1\gamma_2",
    "gamma_meas": r"\gamma_{\rm meas}",
}
POINT: style.Style = {"ls": "none", "marker": "o", "ms": 4, "color": "#0072B2"}


def compute() -> dict[str, Analysis]:
    """The same trainings, each norm analysed by rule."""
    return evidence.analyses()


def draw(data: dict[str, Analysis]) -> Figure:
    """A panel for each exponent, a row for each norm."""
    figure = style.canvas(style.FULL, 0.9 + 0.3 * len(data))
    axes = figure.subplots(1, len(SYMBOLS), sharey=True)
    for letter, panel, (name, symbol) in zip("abcd", axes, SYMBOLS.items(), strict=True):
        _panel(panel, data, name)
        panel.set(xlabel=f"${symbol}$")
        panel.locator_params(axis="x", nbins=4)
        style.panel(panel, letter)
    axes[0].set_yticks(range(len(data)), labels=list(data))
    axes[0].set_ylim(len(data) - 0.5, -0.5)
    return figure


def _panel(axes: Axes, data: dict[str, Analysis], name: str) -> None:
    """One exponent: thick bars are statistical errors, thin ones add the systematic."""
    for y, analysis in enumerate(data.values()):
        found = getattr(analysis, _source(analysis, name))
        if np.isfinite(found.value):
            total = found.error + float(np.nan_to_num(found.systematic))
            axes.errorbar(found.value, y, xerr=total, color=POINT["color"], lw=0.7, capsize=0)
            axes.errorbar(found.value, y, xerr=found.error, color=POINT["color"], lw=2.2, capsize=0)
            axes.plot(found.value, y, **POINT)
    axes.tick_params(axis="y", which="both", length=0)
    axes.minorticks_off()


def _source(analysis: Analysis, name: str) -> str:
    """The estimate that is drawn: gamma_2 is that of the prediction."""
    if name != "gamma_2_used":
        return name
    return "gamma_2_elbow" if analysis.settings["gamma_2_of"] == "elbows" else "gamma_2"


def attachments(data: dict[str, Analysis]) -> dict[str, bytes]:
    """All numbers as one CSV."""
    return {".csv": table_2(data).merge(table_1(data), on="curves").to_csv(index=False).encode()}


def caption(data: dict[str, Analysis]) -> str:
    """The tables in plain text, and what stands out."""
    by_elbow = [t for t, a in data.items() if a.settings["gamma_2_of"] == "elbows"]
    text = words.paragraphs(
        """
        Tables 1 and 2, own sweep. Exponents of the same trainings under three norms, windows by
        rule. Thick bars: one statistical standard error; thin bars add the systematic error, half
        the range over admissible choices. Single exponents depend on the norm, their product
        should not.
        """,
        *(
            [f"gamma_2 is that of the elbows, for want of minima, under {', '.join(by_elbow)}."]
            if by_elbow
            else []
        ),
        words.trainings(evidence.load().about),
    )
    for number, table in ((1, table_1(data)), (2, table_2(data))):
        text += f"\nTable {number}\n"
        text += table.to_string(index=False, float_format=lambda x: f"{x:.4f}") + "\n"
    for title, analysis in data.items():
        text += "\n" + words.paragraphs(
            f"{title}: " + ("; ".join(map(str, analysis.flags)) or "nothing")
        )
    return text
