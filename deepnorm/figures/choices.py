"""What the exponents would have been with another window or another smallest P."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from deepnorm.figures import panels, style
from deepnorm.tables import rows
from deepnorm.verdict import no_prediction
from replica.scaling import Analysis

__all__ = ["alt", "caption", "draw", "finding"]

ADMISSIBLE: style.Style = {"ls": "none", "marker": "o", "ms": 3.0, "color": "#0072B2", "zorder": 4}
REJECTED: style.Style = {**ADMISSIBLE, "color": "#999999", "mfc": "white", "mew": 0.7, "zorder": 3}
CHOSEN: style.Style = {**panels.STAR, "zorder": 5}
INTERVAL: style.Style = {"color": "#999999", "alpha": 0.35, "lw": 0, "zorder": 1}


def draw(analysis: Analysis) -> Figure:
    """A panel for each exponent: its value by choice, beside the statistical interval."""
    growth, symbols = _growth(analysis), _shown(analysis)
    figure = style.canvas(style.FULL, 2.5)
    scan = {name: analysis.choices[analysis.choices["exponent"] == name] for name in symbols}
    axes = dict(zip(symbols, figure.subplots(1, len(symbols), squeeze=False)[0], strict=True))
    for name, symbol in symbols.items():
        panel = axes[name]
        if name == "gamma_pred":
            count = _products(panel, scan["gamma_1"], scan[growth])
        else:
            count = _values(panel, scan[name])
        estimate = getattr(analysis, name)
        if np.isfinite(estimate.error):
            panel.axvspan(estimate.low, estimate.high, **INTERVAL)
        panel.set(xlabel=f"${symbol}$", ylim=(1.06 * count + 1, -0.06 * count))
        panel.locator_params(axis="x", nbins=4)
        steps = MaxNLocator(5, integer=True).tick_values(1, max(count, 2))
        panel.set_yticks([step for step in steps if 1 <= step <= count])
    next(iter(axes.values())).set_ylabel("choice, as in the table")
    if "gamma_pred" in axes:
        axes["gamma_pred"].set_ylabel(r"choice of $\gamma_1$")
    drawn = analysis.choices[analysis.choices["exponent"].isin(list(symbols))]
    good, chosen = drawn["admissible"].astype(bool), drawn["chosen"].astype(bool)
    handles: list[Artist] = []
    if chosen.any():
        handles.append(Line2D([], [], **CHOSEN, label="chosen"))
    if (good & ~chosen).any():
        handles.append(Line2D([], [], **ADMISSIBLE, label="admissible"))
    if (~good).any():
        handles.append(Line2D([], [], **REJECTED, label="rejected by the data"))
    if any(np.isfinite(getattr(analysis, name).error) for name in symbols):
        handles.append(Patch(**INTERVAL, label="95%, statistical"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _growth(analysis: Analysis) -> str:
    """Whose gamma_2 is in the prediction."""
    return "gamma_2_elbow" if analysis.settings["gamma_2_of"] == "elbows" else "gamma_2"


def _shown(analysis: Analysis) -> dict[str, str]:
    """The exponents that a choice was tried for, by name, as they are set."""
    growth, tried = _growth(analysis), set(analysis.choices["exponent"])
    symbols = {
        "gamma_1": r"\gamma_1",
        growth: r"\gamma_2" if growth == "gamma_2" else r"\gamma_2^{\rm elbow}",
        "gamma_pred": r"\gamma_{\rm pred}",
        "gamma_meas": r"\gamma_{\rm meas}",
    }
    if {"gamma_1", growth} <= tried:
        tried.add("gamma_pred")
    return {name: symbol for name, symbol in symbols.items() if name in tried}


def _values(axes: Axes, scan: pd.DataFrame) -> int:
    """The values of one exponent, from the first choice of the table down; their number."""
    value, place = scan["value"].to_numpy(), np.arange(1, len(scan) + 1)
    good, chosen = scan["admissible"].to_numpy(bool), scan["chosen"].to_numpy(bool)
    axes.plot(value[~good], place[~good], **REJECTED)
    axes.plot(value[good & ~chosen], place[good & ~chosen], **ADMISSIBLE)
    axes.plot(value[chosen], place[chosen], **CHOSEN)
    return len(scan)


def _products(axes: Axes, early: pd.DataFrame, growth: pd.DataFrame) -> int:
    """Products of admissible choices: for each gamma_1 from the least gamma_2 to the largest."""
    gamma_2 = growth.loc[growth["admissible"].astype(bool), "value"]
    for place, row in enumerate(rows(early), start=1):
        if row.admissible and len(gamma_2):
            ends = np.array([row.value * gamma_2.min(), row.value * gamma_2.max()])
            axes.plot(ends, [place, place], color=ADMISSIBLE["color"], lw=1.0, zorder=4)
            if row.chosen:
                own = growth.loc[growth["chosen"].astype(bool), "value"]
                axes.plot(row.value * own, [place] * len(own), **CHOSEN)
    return len(early)


def finding(analysis: Analysis) -> str:
    """What matters more, choices or noise, in a sentence."""
    told = []
    names = ["gamma_1", "gamma_2", "gamma_2_elbow", "gamma_meas"]
    for name in names if no_prediction(analysis) else [*names, "gamma_pred"]:
        found = getattr(analysis, name)
        if np.isfinite(found.error) and np.isfinite(found.systematic):
            told.append(f"{name} by {found.systematic:.2g} (noise: {found.error:.2g})")
    if not told:
        return "No exponent has a choice that could have been made otherwise."
    return f"Other admissible choices move {', '.join(told)}."


def alt(analysis: Analysis) -> str:
    """What is to be seen, for who does not see it."""
    good = int(analysis.choices["admissible"].sum())
    count = len(_shown(analysis))
    panels_of = "One panel" if count == 1 else f"{count} panels, one for each exponent"
    return (
        f"{panels_of}: a column of points, each the value by one choice, "
        f"beside a grey strip, the statistical interval; {good} points are filled, the others "
        "hollow, and a star marks what was chosen."
    )


def caption(analysis: Analysis) -> str:
    """What is shown."""
    products = (
        "; for the predicted exponent a line from the smallest to the largest product with an "
        "admissible gamma_2"
    )
    return (
        f"Each of the {len(analysis.choices)} choices that were tried, and the exponent that it "
        f"would have given{products if 'gamma_pred' in _shown(analysis) else ''}. Admissible are "
        "the choices that describe the data about as well as the one chosen; half the range of "
        "their values is the systematic error. "
        "Grey: the 95% interval, which is statistical and knows nothing of choices."
    )
