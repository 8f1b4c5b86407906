"""Errors, or losses, against norm: the early part is one power law for every P (Figure 3)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from deepnorm.figures import panels, style
from deepnorm.figures.panels import LN10
from deepnorm.tables import rows
from deepnorm.verdict import no_law, number, seen
from replica.scaling import Analysis

__all__ = ["alt", "caption", "draw", "finding"]

ELBOW: style.Style = {
    "ls": "none",
    "marker": "o",
    "ms": 3.0,
    "mfc": "white",
    "mec": "black",
    "mew": 0.6,
    "zorder": 6,
}


def draw(analyses: panels.Analyses, convention: str = "") -> Figure:
    """One panel for each analysis: curves, minima, elbows and the early law.

    ``convention`` is that of the norm, for the axis; empty where it is not known.
    """
    found = panels.titled(analyses)
    grid = panels.grid(list(found), 3.8 if len(found) == 1 else 2.65)
    for axes, analysis in zip(grid.axes, found.values(), strict=True):
        _panel(axes, analysis, convention)
    handles = []
    if not all(analysis.optima["at_end"].all() for analysis in found.values()):
        handles.append(Line2D([], [], **panels.STAR, label="minimum"))
    if any(analysis.optima["at_end"].any() for analysis in found.values()):
        handles.append(Line2D([], [], **panels.AT_END, label="lowest at the end of training"))
    if any(analysis.joint is not None for analysis in found.values()):
        handles.append(Line2D([], [], **style.LIMIT, label="early law, the same for all $P$"))
    if any(analysis.optima["log_elbow"].notna().any() for analysis in found.values()):
        handles.append(Line2D([], [], **ELBOW, label=r"elbow $\lambda_{\rm elbow}(P)$"))
    grid.key(handles)
    return grid.figure


def _panel(axes: Axes, analysis: Analysis, convention: str) -> None:
    """The curves of one analysis."""
    colours = panels.colours(axes, analysis)
    for mean, row in zip(analysis.means, rows(analysis.optima), strict=True):
        x, spread = mean.log_norm / LN10, panels.NORMAL_95 * np.sqrt(mean.variance)
        colour = colours.to_rgba(np.asarray(mean.P))
        band = mean.error * np.exp(-spread), mean.error * np.exp(spread)
        axes.fill_between(x, *band, color=colour, alpha=0.2, lw=0)
        axes.plot(x, mean.error, color=colour, lw=1.0)
        axes.plot(
            row.log_lam_min / LN10, row.eps_opt, **(panels.AT_END if row.at_end else panels.STAR)
        )
        if np.isfinite(row.log_elbow):
            at = np.interp(row.log_elbow, mean.log_norm, mean.error)
            axes.plot(row.log_elbow / LN10, at, **ELBOW)
    if analysis.joint is not None:
        x = np.linspace(analysis.joint.start, analysis.joint.elbow.max(), 100)
        axes.plot(x / LN10, analysis.joint.early(x), **style.LIMIT)
    of = panels.quantities(analysis)
    shown = np.concatenate([mean.log_norm for mean in analysis.means]) / LN10
    panels.norm_scale(axes.xaxis, shown, plain=not of.has_norm)
    panels.log_scale(axes.yaxis, np.concatenate([m.error for m in analysis.means]))
    axes.set(xlabel=panels.abscissa_label(of, convention=convention), ylabel=panels.error_label(of))
    if of.has_norm:
        panels.remark(axes, panels.exponent(r"\gamma_1", analysis.gamma_1, no_law(analysis)))


def finding(analysis: Analysis) -> str:
    """What the figure shows, in a sentence."""
    law, against, of = analysis.joint, no_law(analysis), panels.quantities(analysis)
    if not of.has_norm:
        table = analysis.optima
        return (
            f"The lowest {of.error} of a curve goes from {table['eps_opt'].iloc[0]:.3g} at P = "
            f"{table['P'].iloc[0]:g} to {table['eps_opt'].iloc[-1]:.3g} at P = "
            f"{table['P'].iloc[-1]:g}."
        )
    if law is None or against or not np.isfinite(analysis.gamma_1.value):
        return f"No early law of these curves can be concluded: {against or 'none was fitted'}."
    bends = analysis.optima["log_elbow"].notna().any()
    until = "up to their elbows" if bends else "up to their minima"
    floor = f" above a floor of {law.offset:.2g}" if law.offset > 0 else ""
    but = f", which is {seen(analysis)}" if seen(analysis) else ""
    return f"Early curves share lam^-{number(analysis.gamma_1)}{floor} {until}{but}."


def alt(analysis: Analysis) -> str:
    """What is to be seen, for who does not see it."""
    of = panels.quantities(analysis)
    P, at_end = analysis.optima["P"], int(analysis.optima["at_end"].sum())
    turns = {0: "each ends beyond its minimum, a star", len(P): "each is lowest at its end"}
    law = "a dashed straight line is their early law; " if analysis.joint is not None else ""
    return (
        f"{len(P)} curves on logarithmic axes, {of.error} against {of.along}, one for each P "
        f"from {P.min():g} (dark) to {P.max():g} (light); {law}"
        f"{turns.get(at_end, f'{at_end} are lowest at their end, the others have a minimum')}."
    )


def caption(analyses: panels.Analyses) -> str:
    """What is shown."""
    found = panels.titled(analyses)
    of = panels.quantities(analyses)
    equal = "norm" if of.has_norm else "time"
    text = (
        f"{of.error.capitalize()} against {of.along} for every P (colour), averaged over seeds at "
        f"equal {equal}; "
        "shaded: 95% band of the mean. Stars: minima; hollow where the lowest point is the end "
        "of training, so that the minimum may lie further on."
    )
    if any(analysis.joint is not None for analysis in found.values()):
        text += (
            " Dashed: the early power law that all P share, fitted to all curves at once; "
            "circles: the elbow, where a curve leaves it. gamma_1 is given with its statistical "
            "and its systematic error."
        )
    if any(analysis.joint is not None and analysis.joint.drift for analysis in found.values()):
        text += " Where the early law moves with P, that of the largest P is drawn."
    return text
