"""The curves in units of their optimum fall on one another at large P (Figure 4)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from deepnorm.figures import panels, style
from deepnorm.figures.panels import LN10
from deepnorm.tables import rows
from replica.scaling import Analysis

__all__ = ["caption", "draw", "rescaled"]

MASTER: style.Style = {**style.LIMIT, "zorder": 4}
LEFT_OUT: style.Style = {"lw": 0.8, "ls": ":"}
BAND: style.Style = {"color": "#999999", "alpha": 0.35, "lw": 0, "zorder": 3}


def draw(analyses: panels.Analyses) -> Figure:
    """One panel for each analysis: rescaled curves, master curve and its band, quality."""
    found = panels.titled(analyses)
    grid = panels.grid(list(found), 3.8 if len(found) == 1 else 2.65)
    for axes, analysis in zip(grid.axes, found.values(), strict=True):
        _panel(axes, analysis)
    grid.key(
        [
            Line2D([], [], **MASTER, label=r"master curve $\Phi$"),
            Patch(**BAND, label="95% of the curves"),
            Line2D([], [], color="#555555", **LEFT_OUT, label="too small $P$, left out"),
        ]
    )
    return grid.figure


def rescaled(axes: Axes, analysis: Analysis) -> None:
    """The curves in units of their optimum; dotted where the collapse leaves the P out."""
    colours = panels.colours(axes, analysis)
    x, y = [], []
    for mean, row in zip(analysis.means, rows(analysis.optima), strict=True):
        x.append((mean.log_norm - row.log_lam_min) / LN10)
        y.append(mean.error / row.eps_opt)
        left_out = analysis.collapse.from_P > mean.P
        look = LEFT_OUT if left_out else {"lw": 1.0}
        axes.plot(x[-1], y[-1], color=colours.to_rgba(np.asarray(mean.P)), **look)
    panels.norm_scale(axes.xaxis, np.concatenate(x))
    panels.log_scale(axes.yaxis, np.concatenate(y))
    axes.set(xlabel=r"$\lambda/\lambda_{\rm opt}$", ylabel=r"$\epsilon/\epsilon_{\rm opt}$")


def _panel(axes: Axes, analysis: Analysis) -> None:
    """The rescaled curves of one analysis, with what they fall on."""
    rescaled(axes, analysis)
    master = analysis.collapse.master
    x = master["log_ratio"].to_numpy() / LN10
    axes.fill_between(x, master["low"].to_numpy(), master["high"].to_numpy(), **BAND)
    axes.plot(x, master["phi"].to_numpy(), **MASTER)
    axes.plot(0, 1, **panels.STAR)
    found = analysis.collapse
    panels.remark(
        axes,
        f"$S$ = {_short(found.quality)} ({_short(found.quality_raw)}), "
        f"rms = {_short(found.rms)} ({_short(found.rms_raw)})",
    )


def _short(value: float) -> str:
    """Two digits, without an exponent."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def caption(analyses: panels.Analyses) -> str:
    """What is shown, with the quality of each collapse."""
    qualities = [
        f"{title + ': ' if title else ''}S = {_short(found.collapse.quality)} and rms = "
        f"{_short(found.collapse.rms)} for P from {found.collapse.from_P:g} on, against "
        f"{_short(found.collapse.quality_raw)} and {_short(found.collapse.rms_raw)} before "
        "rescaling (in brackets)"
        for title, found in panels.titled(analyses).items()
    ]
    return (
        "The curves in units of their optimum, eq. (5). Dashed: the master curve Phi; grey: the "
        "band that holds 95% of the curves; dotted: values of P too small to take part. S is "
        "Houdayer and Hartmann's quality, the mean squared distance to the other curves in "
        "units of the errors (about 1 for a collapse within errors), rms the distance in "
        f"ln(error). {'; '.join(qualities)}."
    )
