"""Where the exponents come from: local power laws, and lam_opt against P (Figure 8).

Of curves along training, for want of a norm, the time of the optimum takes the place of lam_opt,
and is all that is drawn.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from deepnorm.figures import panels, style
from deepnorm.figures.collapse import rescaled
from deepnorm.figures.panels import LN10
from deepnorm.tables import rows
from deepnorm.verdict import no_elbows, no_law, number
from replica.scaling import Analysis, Estimate

__all__ = ["alt", "caption", "draw", "finding"]

LOCAL: style.Style = {"color": "black", "ls": (0, (3, 1.5)), "lw": 0.8, "zorder": 4}
ELBOW: style.Style = {
    "ls": "none",
    "marker": "s",
    "ms": 3.0,
    "mfc": "white",
    "mew": 0.7,
    "color": "#777777",
}


def draw(analyses: panels.Analyses) -> Figure:
    """One row for each analysis: local fits on the left, lam_opt(P) on the right.

    Where none of them has a norm there is nothing on the left.
    """
    found = panels.titled(analyses)
    early = any(panels.quantities(analysis).has_norm for analysis in found.values())
    figure = style.canvas(style.FULL, 3.4 if len(found) == 1 else 1.95 * len(found))
    cells = figure.subplots(len(found), 1 + early, squeeze=False)
    grid = panels.Grid(figure, list(cells.ravel()))
    for i, (title, analysis) in enumerate(found.items()):
        letter = chr(ord("a") + i)
        if early:
            style.panel(cells[i, 0], f"{letter}1", title)
            _local(cells[i, 0], analysis)
        if early or title:
            style.panel(cells[i, -1], f"{letter}2" if early else letter, title)
        _optima(cells[i, -1], analysis)
    all_of, of = list(found.values()), panels.quantities(analyses)
    handles = []
    if any(len(analysis.local_fits) for analysis in all_of):
        handles.append(Line2D([], [], **LOCAL, label="power law in its window"))
    if not all(analysis.optima["at_end"].all() for analysis in all_of):
        handles.append(Line2D([], [], **panels.STAR, label=f"${panels.optimum_symbol(of)}$"))
    if any(analysis.optima["at_end"].any() for analysis in all_of):
        handles.append(Line2D([], [], **panels.AT_END, label="end of training"))
    if not all(_against(analysis) for analysis in all_of):
        handles.append(Line2D([], [], **panels.MEASURED, label="fit and its band"))
    if any(analysis.optima["log_elbow"].notna().any() for analysis in found.values()):
        handles.append(Line2D([], [], **ELBOW, label=f"${panels.optimum_symbol(of, 'elbow')}$"))
    grid.key(handles)
    return figure


def _local(axes: Axes, analysis: Analysis) -> None:
    """Rescaled curves, each with the straight line through its window."""
    rescaled(axes, analysis)
    for fit in rows(analysis.local_fits):
        x = np.array([fit.log_ratio_low, fit.log_ratio_high])
        axes.plot(x / LN10, np.exp(fit.intercept - fit.gamma * x), **LOCAL)
    if panels.quantities(analysis).has_norm:
        panels.remark(axes, panels.exponent(r"\gamma_1", analysis.gamma_1, no_law(analysis)))


def _slope(analysis: Analysis) -> Estimate:
    """The exponent whose power law is drawn."""
    by_elbow = analysis.settings["gamma_2_of"] == "elbows"
    return analysis.gamma_2_elbow if by_elbow else analysis.gamma_2


def _optima(axes: Axes, analysis: Analysis) -> None:
    """lam_opt and the elbow against P, and the power law from which gamma_2 comes."""
    table = analysis.optima
    P, log_P, at_end = (
        table["P"].to_numpy(),
        np.log(table["P"].to_numpy()),
        table["at_end"].to_numpy(),
    )
    y, error = table["log_lam_opt"].to_numpy(), table["log_lam_opt_error"].to_numpy()
    elbow, elbow_error = table["log_elbow"].to_numpy(), table["log_elbow_error"].to_numpy()
    axes.errorbar(P, elbow / LN10, elbow_error / LN10, **ELBOW, elinewidth=0.7)
    axes.errorbar(P, y / LN10, error / LN10, ls="none", ecolor="black", elinewidth=0.7)
    axes.plot(P[at_end], y[at_end] / LN10, **panels.AT_END)
    axes.plot(P[~at_end], y[~at_end] / LN10, **panels.STAR)
    by_elbow = analysis.settings["gamma_2_of"] == "elbows"
    slope = _slope(analysis)
    if not _against(analysis):
        if by_elbow:
            y, error = elbow, elbow_error
        fitted = (analysis.settings["gamma_2_from"] <= P) & np.isfinite(y)
        if analysis.method == "default" and not (
            by_elbow or "optimum" in analysis.settings["chosen_by_user"]
        ):
            fitted &= ~at_end
        at = np.linspace(log_P[fitted][0], log_P[fitted][-1], 50)
        line, half = panels.power_law(log_P[fitted], y[fitted], error[fitted], slope, at)
        low, high = (line - half) / LN10, (line + half) / LN10
        axes.fill_between(np.exp(at), low, high, **panels.MEASURED_BAND)
        axes.plot(np.exp(at), line / LN10, **panels.MEASURED)
    panels.log_scale(axes.xaxis, P)
    shown = np.concatenate([table["log_lam_opt"], elbow[np.isfinite(elbow)]])
    of = panels.quantities(analysis)
    panels.norm_scale(axes.yaxis, shown / LN10, plain=not of.has_norm)
    elbows = f", ${panels.optimum_symbol(of, 'elbow')}$" if np.isfinite(elbow).any() else ""
    label = f"{of.along} ${panels.optimum_symbol(of)}${elbows}"
    axes.set(xlabel=r"training examples $P$", ylabel=label)
    symbol = r"\gamma_2^{\rm elbow}" if by_elbow else r"\gamma_2"
    if not of.has_norm:
        return
    panels.remark(axes, panels.exponent(symbol, slope, _against(analysis)))


def _against(analysis: Analysis) -> str:
    """Why there is no law to draw; empty where there is one."""
    slope, by_elbow = _slope(analysis), analysis.settings["gamma_2_of"] == "elbows"
    why = slope.reason or (no_elbows(analysis) if by_elbow else "")
    return why or ("" if np.isfinite(slope.value) else "it has no value")


def finding(analysis: Analysis) -> str:
    """How the norm at the minimum, or at the elbow, grows with P, in a sentence."""
    slope, by_elbow = _slope(analysis), analysis.settings["gamma_2_of"] == "elbows"
    what = "the elbow" if by_elbow else "the minimum"
    of = panels.quantities(analysis)
    along = of.along
    if not of.has_norm:
        table = analysis.optima.iloc[[0, -1]]
        ends = [
            f"at {of.abscissa} {panels.power(row.log_lam_opt)} for P = {row.P:g}"
            for row in rows(table)
        ]
        return f"The {of.error} is lowest {' and '.join(ends)}."
    if why := _against(analysis):
        return f"How the {along} at {what} grows with P cannot be concluded: {why}."
    if slope.low <= 0 <= slope.high:
        return f"The norm at {what} shows no growth with P: its exponent is {number(slope)}."
    instead = "; no law of the minima can be concluded" if by_elbow else ""
    return f"The norm at {what} goes like P^{number(slope)}{instead}."


def alt(analysis: Analysis) -> str:
    """What is to be seen, for who does not see it."""
    table = analysis.optima
    elbows = int(np.isfinite(table["log_elbow"]).sum())
    count, of = len(analysis.local_fits), panels.quantities(analysis)
    if not of.has_norm:
        return (
            f"{len(table)} stars on logarithmic axes, the {of.along} at which the {of.error} is "
            "lowest against P."
        )
    straight = f", {count} of them with a short dashed line along their early part" if count else ""
    line = "" if _against(analysis) else ", with a line through those that were fitted"
    squares = f" and {elbows} squares for the elbows" if elbows else ""
    return (
        f"Two panels. Left: curves in units of their optimum{straight}. Right: {len(table)} stars "
        f"for the {of.along} at the minimum against P{squares}, on logarithmic axes{line}."
    )


def caption(analyses: panels.Analyses) -> str:
    """What is shown."""
    of = panels.quantities(analyses)
    hollow = "(stars, hollow where it is the end of training), with one standard error"
    if not of.has_norm:
        return (
            f"The {of.along} at which the {of.error} is lowest, against P {hollow}. Without a norm "
            "there are no exponents of it to be fitted."
        )
    left = f"Left: {of.error} against {of.along}, both in units of the optimum of each curve"
    right = f"Right: the {of.along} at the minimum against P {hollow}"
    return (
        f"{left}; dashed: a straight line through the "
        "logarithms in the window of each curve, whose slope is its own gamma_1; a curve without "
        f"one has too few records there. {right}; squares: the elbow. Line: "
        "the power law through those that were fitted, with the 95% band of its height and slope, "
        "to which the systematic error is added in quadrature. Errors of exponents are the "
        "statistical and the systematic one."
    )
