"""Tables 1 and 2: published, by the authors' recipe from their own curves, and by rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from replica.scaling import Analysis, table_1, table_2
from validation import pairs, style, words

__all__ = ["Data", "attachments", "caption", "compute", "draw", "verdict"]

#: How close the recipe has to come to what the authors saved.
WITHIN = 1e-3
LOOKS: dict[str, style.Style] = {
    "published": {"marker": "s", "mfc": "white", "color": "#555555"},
    "recipe": {"marker": "o", "color": "#0072B2"},
    "rule": {"marker": "D", "color": "#A63C00"},
}
LABELS = {
    "published": "published",
    "recipe": "authors' recipe, from their curves",
    "rule": "windows by rule",
}


@dataclass(frozen=True)
class Data:
    """The pairs and their two analyses, by title."""

    pairs: dict[str, pairs.Pair]
    recipe: dict[str, Analysis]
    rule: dict[str, Analysis]


def compute() -> Data:
    """Both analyses of the five pairs."""
    found = {pair.title: pair for pair in pairs.load().values()}
    return Data(found, pairs.by_recipe(), pairs.by_rule())


def verdict(data: Data) -> str | None:
    """The recipe has to give what the authors saved."""
    for title, pair in data.pairs.items():
        a = data.recipe[title]
        for name, value in (
            ("gamma_1", a.gamma_1.value),
            ("err_gamma_1", a.gamma_1.error),
            ("gamma_2", a.gamma_2.value),
            ("err_gamma_2", a.gamma_2.error),
        ):
            saved = float(pair.saved[name])
            if not abs(value / saved - 1) < WITHIN:
                return f"{title}: {name} is {value:.6g}; the authors saved {saved:.6g}"
    return None


def draw(data: Data) -> Figure:
    """gamma_pred and gamma_meas of every pair, three times."""
    figure = style.canvas(style.FULL, 3.0)
    axes = figure.subplots(1, 2, sharey=True)
    for letter, panel, name, symbol in (
        ("a", axes[0], "gamma_pred", r"\gamma_{\rm pred}=\gamma_1\gamma_2"),
        ("b", axes[1], "gamma_meas", r"\gamma_{\rm meas}"),
    ):
        _panel(panel, data, name)
        panel.set(xlabel=f"${symbol}$")
        style.panel(panel, letter, "predicted" if letter == "a" else "measured")
    axes[0].set_yticks(range(len(data.pairs)), labels=list(data.pairs))
    axes[0].set_ylim(len(data.pairs) - 0.5, -0.5)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _panel(axes: Axes, data: Data, name: str) -> None:
    """One exponent: thick bars are statistical errors, thin ones add the systematic."""
    for offset, (source, look) in zip((-0.22, 0.0, 0.22), LOOKS.items(), strict=True):
        label = LABELS[source]
        for k, (title, pair) in enumerate(data.pairs.items()):
            if source == "published":
                table = pair.saved["published_table_1"]
                value, error, total = table[name], np.nan, np.nan
            else:
                found = getattr(getattr(data, source)[title], name)
                value, error, total = found.value, found.error, found.error + found.systematic
            y = k + offset
            axes.errorbar(value, y, xerr=total, color=look["color"], lw=0.7, capsize=0)
            axes.errorbar(value, y, xerr=error, color=look["color"], lw=2.2, capsize=0)
            axes.plot(value, y, ls="none", ms=4, label=label if k == 0 else None, **look)
    axes.axvline(0, color="#999999", lw=0.5)
    axes.tick_params(axis="y", which="both", length=0)
    axes.minorticks_off()


def attachments(data: Data) -> dict[str, bytes]:
    """All numbers as one CSV."""
    return {".csv": _long(data).to_csv(index=False).encode()}


def _long(data: Data) -> pd.DataFrame:
    frames = []
    for source in ("recipe", "rule"):
        analyses = getattr(data, source)
        both = table_2(analyses).merge(table_1(analyses), on="curves")
        frames.append(both.assign(windows=source))
    published = pd.DataFrame(
        [
            {"curves": title, "windows": "published", **pair.saved["published_table_1"]}
            for title, pair in data.pairs.items()
        ]
    )
    return pd.concat([published, *frames], ignore_index=True)


def caption(data: Data) -> str:
    """The tables in plain text, and what they say."""
    agree = [pairs.Pair(name, None, {}).title for name in pairs.PUBLISHED]  # type: ignore[arg-type]
    text = words.paragraphs(
        f"""
        Tables 1 and 2. Predicted and measured exponents of the test error for the five pairs at
        hand: as published (squares; those of {", ".join(agree)} are of these curves, the other was
        trained again later), by the authors' recipe with their windows (circles), and by rule
        (diamonds). Thick bars: one statistical standard error; thin bars add the systematic error,
        half the range over admissible choices.
        """,
        """
        By rule gamma_2, and with it gamma_pred, is that of the elbows where the minimum of most
        curves is the end of training.
        """,
        words.AUTHORS_CURVES,
    )
    for source in ("recipe", "rule"):
        analyses = getattr(data, source)
        for number, table in ((1, table_1(analyses)), (2, table_2(analyses))):
            text += f"\nTable {number}, {LABELS[source]}\n"
            text += table.to_string(index=False, float_format=lambda x: f"{x:.4f}") + "\n"
    return text
