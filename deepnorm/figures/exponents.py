"""The predicted exponent of the error beside the measured one (Figure 9)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from deepnorm.figures import panels, style
from deepnorm.verdict import difference, no_prediction, verdict
from replica.scaling import Analysis

__all__ = ["alt", "caption", "draw", "finding"]

PREDICTED: style.Style = {"color": "#A63C00", "ls": (0, (5, 2)), "lw": 1.2, "zorder": 3}
PREDICTED_BAND: style.Style = {"color": "#D55E00", "alpha": 0.16, "lw": 0, "zorder": 2}
POINT: style.Style = {"ls": "none", "marker": "o", "ms": 3.4, "color": "black", "zorder": 5}
AT_END: style.Style = {**POINT, "mfc": "white", "mew": 0.7}
COMBINED: style.Style = {"ls": "none", "marker": "s", "ms": 3.0, "color": "#A63C00", "zorder": 6}
DIRECT: style.Style = {"ls": "none", "marker": "D", "ms": 2.8, "color": "#0072B2", "zorder": 6}
#: Forecasts stand beside the point that they forecast, at this factor of its P.
ASIDE = 1.06


def draw(analyses: panels.Analyses) -> Figure:
    """One panel for each analysis: eps_opt(P), the measured fit, the predicted exponent."""
    found = panels.titled(analyses)
    grid = panels.grid(list(found), 3.6 if len(found) == 1 else 2.65)
    for axes, analysis in zip(grid.axes, found.values(), strict=True):
        _panel(axes, analysis)
    all_of = list(found.values())
    handles = []
    if not all(analysis.optima["at_end"].all() for analysis in all_of):
        handles.append(Line2D([], [], **POINT, label=f"${panels.quantities(analyses).lowest}(P)$"))
    if any(analysis.optima["at_end"].any() for analysis in all_of):
        words = r"$\epsilon_{\rm opt}(P)$ at the end of training"
        handles.append(Line2D([], [], **AT_END, label=words))
    if any(np.isfinite(analysis.gamma_meas.value) for analysis in all_of):
        words = r"fit, exponent $\gamma_{\rm meas}$"
        handles.append(Line2D([], [], **panels.MEASURED, label=words))
    if not all(no_prediction(analysis) for analysis in all_of):
        words = r"predicted $\gamma_{\rm pred}=\gamma_1\gamma_2$"
        handles.append(Line2D([], [], **PREDICTED, label=words))
    if any(analysis.forecast is not None for analysis in found.values()):
        if not all(no_prediction(analysis) for analysis in all_of):
            handles.append(Line2D([], [], **COMBINED, label="forecast by eq. (6)"))
        handles.append(Line2D([], [], **DIRECT, label="forecast by the fit"))
    grid.key(handles)
    return grid.figure


def _panel(axes: Axes, analysis: Analysis) -> None:
    """The minima of one analysis and the two power laws."""
    table, of = analysis.optima, panels.quantities(analysis)
    P, eps = table["P"].to_numpy(), table["eps_opt"].to_numpy()
    error, at_end = table["log_eps_opt_error"].to_numpy(), table["at_end"].to_numpy()
    yerr = np.nan_to_num([eps * -np.expm1(-error), eps * np.expm1(error)])
    axes.errorbar(P, eps, yerr, ls="none", ecolor="black", elinewidth=0.7, zorder=4)
    axes.plot(P[~at_end], eps[~at_end], **POINT)
    axes.plot(P[at_end], eps[at_end], **AT_END)
    shown_P, shown = [P], [eps]
    predicted = not no_prediction(analysis)
    if analysis.forecast is not None:
        future = analysis.forecast.table
        at = future["P"].to_numpy()
        shown_P.append(at)
        routes = [("direct", DIRECT, ASIDE)] + [("combined", COMBINED, 1 / ASIDE)] * predicted
        for route, look, place in routes:
            value, low, high = (future[f"{route}{end}"].to_numpy() for end in ("", "_low", "_high"))
            axes.errorbar(at * place, value, (value - low, high - value), **look, elinewidth=1.0)
            shown += [low[np.isfinite(low) & (low > 0)], high[np.isfinite(high)]]
    fitted = (analysis.settings["gamma_meas_from"] or 0) <= P
    laws = [(analysis.gamma_meas, panels.MEASURED, panels.MEASURED_BAND)]
    laws += [(analysis.gamma_pred, PREDICTED, PREDICTED_BAND)] * predicted
    for slope, look, band in laws:
        if np.isfinite(slope.value):
            x = np.log(np.geomspace(P[fitted].min(), max(ends.max() for ends in shown_P), 50))
            line, half = panels.power_law(
                np.log(P[fitted]), np.log(eps[fitted]), error[fitted], slope, x, sign=-1
            )
            axes.fill_between(np.exp(x), np.exp(line - half), np.exp(line + half), **band)
            axes.plot(np.exp(x), np.exp(line), **look)
    panels.log_scale(axes.xaxis, np.concatenate(shown_P))
    panels.log_scale(axes.yaxis, np.concatenate(shown))
    axes.set(xlabel=r"training examples $P$", ylabel=panels.error_label(of, of.lowest))
    lines = [panels.exponent(r"\gamma_{\rm meas}", analysis.gamma_meas)]
    if predicted:
        lines.append(panels.exponent(r"\gamma_{\rm pred}", analysis.gamma_pred))
    elif of.has_norm:
        lines.append(r"$\gamma_{\rm pred}$: no prediction")
    lines += filter(None, difference(analysis).split(", "))
    style.note(axes, 0.03, 0.05, "\n".join(lines), linespacing=1.2)


def finding(analysis: Analysis) -> str:
    """What can be concluded: the verdict."""
    return verdict(analysis).sentence


def alt(analysis: Analysis) -> str:
    """What is to be seen, for who does not see it."""
    table, future = analysis.optima, analysis.forecast
    of = panels.quantities(analysis)
    lines = "a solid line, the power law fitted to them"
    if not no_prediction(analysis):
        lines += ", and a dashed line of the predicted slope, in shaded bands"
    beside = "" if future is None else "; symbols beside the last are forecasts"
    return (
        f"{len(table)} points on logarithmic axes, the lowest {of.error} against P, from "
        f"{table['eps_opt'].iloc[0]:.2g} at P = {table['P'].iloc[0]:g} to "
        f"{table['eps_opt'].iloc[-1]:.2g} at P = {table['P'].iloc[-1]:g}; {lines}{beside}."
    )


def caption(analyses: panels.Analyses) -> str:
    """What is shown."""
    found = panels.titled(analyses)
    predicted = not all(no_prediction(analysis) for analysis in found.values())
    of = panels.quantities(analyses)
    at = " at the optimum" if of.abscissa else ""
    hollow = ", hollow at the end of training" if of.abscissa else ""
    text = (
        f"{of.error.capitalize()}{at} against P (circles{hollow}), with one standard error. Solid: "
        "power law fitted to them."
    )
    if predicted:
        text += (
            " Dashed: the predicted exponent; only the exponent is predicted, so that its line is "
            "drawn through the centre of the same points."
        )
    text += (
        " Bands: 95%, with the systematic errors added in quadrature. Errors of exponents are the "
        "statistical and the systematic one."
    )
    if any(analysis.forecast is not None for analysis in found.values()):
        text += (
            " Diamonds, drawn beside their P: forecasts from smaller P with 95% intervals by the "
            "power law of the minima"
        )
        text += "; squares: by the combined law with the predicted exponent." if predicted else "."
    return text
