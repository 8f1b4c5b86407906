"""Error and norm against training time: time is not the norm (Figure 7)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepnorm.figures import panels, style
from deepnorm.figures.panels import LN10
from deepnorm.quantities import common, of_curves
from replica.common.arguments import InvalidArgument
from replica.scaling import Curves

__all__ = ["alt", "caption", "draw", "finding"]

Array = NDArray[np.float64]


def draw(curves: Mapping[str, Curves] | Curves, convention: str = "") -> Figure:
    """One row for each set of curves: error, or loss, on the left, norm on the right.

    Raises
    ------
    ValueError
        If a set has neither `epoch` nor `step`, or no norm, or there is none at all.
    """
    found = _titled(curves)
    figure = style.canvas(style.FULL, 2.9 if len(found) == 1 else 2.3 * len(found))
    cells = figure.subplots(len(found), 2, squeeze=False)
    for i, (title, one) in enumerate(found.items()):
        letter = chr(ord("a") + i)
        style.panel(cells[i, 0], f"{letter}1", title)
        style.panel(cells[i, 1], f"{letter}2", title)
        _row(cells[i, 0], cells[i, 1], one, convention)
    return figure


def _titled(curves: Mapping[str, Curves] | Curves) -> dict[str, Curves]:
    """Several sets by title; a single one has none."""
    found = {"": curves} if isinstance(curves, Curves) else dict(curves)
    if not found:
        raise InvalidArgument("curves", "must hold at least one set of curves", "none")
    for title, one in found.items():
        if _clock(one) is None:
            raise InvalidArgument("curves", f"{title!r} must have a column `epoch` or `step`")
        if not of_curves(one).has_norm:
            raise InvalidArgument("curves", f"{title!r} must have a norm beside the time")
    return found


def _clock(curves: Curves) -> str | None:
    """The column that says when."""
    return next((name for name in ("epoch", "step") if name in curves.table), None)


def averaged(curves: Curves) -> pd.DataFrame:
    """Mean over seeds at equal times: P, the time, test_error (arithmetic) and log_norm.

    Times that not every seed of a P has recorded are left out.
    """
    clock = _clock(curves)
    table = curves.table[curves.table[clock] > 0]
    groups = table.groupby(["P", clock])
    mean = groups[["test_error", "log_norm"]].mean()
    count = groups.size()
    whole = count == count.groupby("P").transform("max")
    return mean[whole.to_numpy()].reset_index()


def _row(left: Axes, right: Axes, curves: Curves, convention: str) -> None:
    """Error and norm against time."""
    clock = str(_clock(curves))
    table = averaged(curves)
    colours = _colours(right, table["P"].to_numpy())
    for P, curve in table.groupby("P"):
        look: style.Style = {"color": colours.to_rgba(np.asarray(P)), "lw": 1.0}
        left.plot(curve[clock], curve["test_error"], **look)
        right.plot(curve[clock], curve["log_norm"] / LN10, **look)
    times = table[clock].to_numpy(dtype=np.float64)
    word = "epochs of training" if clock == "epoch" else "steps of training"
    for axes in (left, right):
        panels.log_scale(axes.xaxis, times)
        axes.set(xlabel=word)
    panels.log_scale(left.yaxis, table["test_error"].to_numpy())
    panels.norm_scale(right.yaxis, table["log_norm"].to_numpy() / LN10)
    left.set(ylabel=panels.error_label(of_curves(curves)))
    right.set(ylabel=panels.norm_label(convention))


def _colours(axes: Axes, P: Array) -> ScalarMappable:
    """Colours by P, with their bar beside a panel."""
    map_ = style.scale(P.min(), P.max())
    bar = axes.figure.colorbar(map_, ax=axes, aspect=28, pad=0.02)
    bar.ax.set_xlabel("$P$", labelpad=4)
    panels.label(bar.ax.yaxis, P.min(), P.max())
    return map_


def finding(curves: Curves) -> str:
    """What training ends with, at the smallest and the largest P, in a sentence."""
    last = averaged(curves).groupby("P").last()
    of = "a loss of" if of_curves(curves).error == "loss" else "an error of"
    (few, first), (many, final) = [(last.index[k], last.iloc[k]) for k in (0, -1)]
    return (
        f"Training ends at {of} {first['test_error']:.2g} and a norm of "
        f"{panels.power(first['log_norm'])} for P = {few:g}, of {final['test_error']:.2g} and "
        f"{panels.power(final['log_norm'])} for P = {many:g}."
    )


def alt(curves: Curves) -> str:
    """What is to be seen, for who does not see it."""
    count = curves.table["P"].nunique()
    return (
        f"Two panels on logarithmic axes against training time, {count} curves each, one for each "
        f"P: the {of_curves(curves).error} on the left, the norm on the right."
    )


def caption(curves: Mapping[str, Curves] | Curves) -> str:
    """What is shown."""
    found = _titled(curves)
    of = common(of_curves(one) for one in found.values())
    counts = sorted(
        {int(one.table.groupby("P")["seed"].nunique().max()) for one in found.values()}
        if all("seed" in one.table for one in found.values())
        else set()
    )
    seeds = f" ({counts[0]} seeds)" if len(counts) == 1 else ""
    return (
        f"{of.error.capitalize()} (left) and norm (right) against training time, averaged over "
        f"seeds{seeds} at equal times, the norm in its logarithm."
    )
