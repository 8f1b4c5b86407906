"""The curves in units of their optimum, or elbow, fall on one another at large P (Figure 4)."""

from __future__ import annotations

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from deepnorm.figures import panels, style
from deepnorm.figures.panels import LN10
from deepnorm.tables import rows
from replica.common.arguments import InvalidArgument, quoted
from replica.scaling import Analysis, Collapse

__all__ = ["alt", "caption", "draw", "finding", "rescaled"]

MASTER: style.Style = {**style.LIMIT, "zorder": 4}
LEFT_OUT: style.Style = {"lw": 0.8, "ls": ":"}
BAND: style.Style = {"color": "#999999", "alpha": 0.35, "lw": 0, "zorder": 3}


#: What the norm, or the time, is divided by: its subscript, and its column among the optima.
UNITS = {"optimum": ("opt", "log_lam_min"), "elbow": ("elbow", "log_elbow")}


def draw(analyses: panels.Analyses, unit: str = "optimum") -> Figure:
    """One panel for each analysis: rescaled curves, master curve and its band, quality.

    ``unit`` is what the norm is divided by: "optimum", or "elbow" where the minimum is the end of
    training. Errors are divided by eps_opt.

    Raises
    ------
    ValueError
        If an analysis has no elbows to divide by.
    """
    found = panels.titled(analyses)
    grid = panels.grid(list(found), 3.8 if len(found) == 1 else 2.65)
    for axes, analysis in zip(grid.axes, found.values(), strict=True):
        _panel(axes, analysis, unit)
    handles: list[Artist] = []
    if any(len(_found(analysis, unit).master) for analysis in found.values()):
        handles.append(Line2D([], [], **MASTER, label=r"master curve $\Phi$"))
        handles.append(Patch(**BAND, label="95% of the curves"))
    if any(_left_out(analysis, unit) for analysis in found.values()):
        handles.append(Line2D([], [], color="#555555", **LEFT_OUT, label="too small $P$, left out"))
    grid.key(handles)
    return grid.figure


def _left_out(analysis: Analysis, unit: str) -> bool:
    """Whether a curve is drawn that the collapse leaves out."""
    table = analysis.optima
    drawn = table.loc[np.isfinite(table[UNITS[unit][1]]), "P"]
    return bool((drawn < _found(analysis, unit).from_P).any())


def _found(analysis: Analysis, unit: str) -> Collapse:
    """The collapse in that unit."""
    found = {"optimum": analysis.collapse, "elbow": analysis.collapse_elbow}.get(unit)
    if found is None or not np.isfinite(analysis.optima[UNITS[unit][1]]).any():
        raise InvalidArgument(
            "unit", 'must be "optimum", or "elbow" for an analysis with elbows', quoted(unit)
        )
    return found


def rescaled(axes: Axes, analysis: Analysis, unit: str = "optimum") -> None:
    """The curves in such units; dotted where the collapse leaves the P out."""
    found, (subscript, column) = _found(analysis, unit), UNITS[unit]
    colours = panels.colours(axes, analysis)
    x, y = [], []
    for mean, row in zip(analysis.means, rows(analysis.optima), strict=True):
        if not np.isfinite(getattr(row, column)):
            continue
        x.append((mean.log_norm - getattr(row, column)) / LN10)
        y.append(mean.error / row.eps_opt)
        look = LEFT_OUT if found.from_P > mean.P else {"lw": 1.0}
        axes.plot(x[-1], y[-1], color=colours.to_rgba(np.asarray(mean.P)), **look)
    panels.norm_scale(axes.xaxis, np.concatenate(x))
    panels.log_scale(axes.yaxis, np.concatenate(y))
    of = panels.quantities(analysis)
    axes.set(
        xlabel=panels.abscissa_label(of, subscript),
        ylabel=panels.error_label(of, r"\epsilon/\epsilon_{\rm opt}"),
    )


def _panel(axes: Axes, analysis: Analysis, unit: str) -> None:
    """The rescaled curves of one analysis, with what they fall on."""
    rescaled(axes, analysis, unit)
    found = _found(analysis, unit)
    x = found.master["log_ratio"].to_numpy() / LN10
    axes.fill_between(x, found.master["low"].to_numpy(), found.master["high"].to_numpy(), **BAND)
    axes.plot(x, found.master["phi"].to_numpy(), **MASTER)
    if unit == "optimum":
        star = panels.AT_END if analysis.optima["at_end"].all() else panels.STAR
        axes.plot(0, 1, **star)
    panels.remark(
        axes,
        f"$S$ = {_short(found.quality)} ({_short(found.quality_raw)}), "
        f"rms = {_short(found.rms)} ({_short(found.rms_raw)})",
    )


def _short(value: float) -> str:
    """Two digits, without an exponent."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


#: A distance that rescaling divides by more than this is said to vanish into a collapse: a choice.
TOGETHER = 2.0


def finding(analysis: Analysis, unit: str = "optimum") -> str:
    """Whether the curves fall on one another, and what rescaling does to them."""
    found = _found(analysis, unit)
    after, before = found.rms, found.rms_raw
    if not (np.isfinite(after) and np.isfinite(before)):
        return f"{found.sentence}."
    how = "brings the curves together"
    if after >= before:
        how = "does not bring the curves together"
    elif before < TOGETHER * after:
        how = "brings the curves somewhat closer"
    short = panels.quantities(analysis).short
    at_end = unit == "optimum" and analysis.optima["at_end"].all()
    point = "the end of training, since there is no minimum before," if at_end else f"the {unit}"
    return (
        f"{found.sentence}. Dividing by {point} {how}: their distance in ln({short}) goes from "
        f"{_short(before)} to {_short(after)} rms."
    )


def alt(analysis: Analysis, unit: str = "optimum") -> str:
    """What is to be seen, for who does not see it."""
    of = panels.quantities(analysis)
    shown = int(np.isfinite(analysis.optima[UNITS[unit][1]]).sum())
    band = ", with a dashed mean curve in a grey band" if len(_found(analysis, unit).master) else ""
    return (
        f"{shown} curves of {of.error} against {of.along}, one for each P, drawn over one another "
        f"in units of their {unit} on "
        f"logarithmic axes{band}; the finding is how far apart they lie."
    )


def caption(analyses: panels.Analyses, unit: str = "optimum") -> str:
    """What is shown, with the quality of each collapse."""
    qualities = []
    for title, analysis in panels.titled(analyses).items():
        found = _found(analysis, unit)
        qualities.append(
            f"{title + ': ' if title else ''}S = {_short(found.quality)} and rms = "
            f"{_short(found.rms)} for P from {found.from_P:g} on, against "
            f"{_short(found.quality_raw)} and {_short(found.rms_raw)} before "
            "rescaling (in brackets)"
        )
    of = panels.quantities(analyses)
    first = {
        "optimum": f"{of.error.capitalize()} against {of.along}, both in units of the optimum of "
        f"each curve{', eq. (5)' if of.has_norm else ''}.",
        "elbow": f"The curves in units of their elbow and of their lowest {of.short}.",
    }[unit]
    return (
        f"{first} Dashed: the master curve Phi; grey: the "
        "band that holds 95% of the curves; dotted: values of P too small to take part. S is "
        "Houdayer and Hartmann's quality, the mean squared distance to the other curves in "
        "units of the errors (about 1 for a collapse within errors), rms the distance in "
        f"ln({of.short}). {'; '.join(qualities)}."
    )
