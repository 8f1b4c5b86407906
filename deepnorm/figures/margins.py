"""The margins of a network as its norm grows, in units of the norm (Figure 6, right)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from deepnorm.figures import panels, style
from deepnorm.figures.panels import LN10
from deepnorm.tables import rows
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["alt", "caption", "draw", "draw_on", "finding", "normalised"]

Array = NDArray[np.float64]

#: Records whose distribution is drawn, evenly spaced in ln(norm) between the first in which
#: half of the training images are right and the last.
DRAWN = 5
#: Width of the smoothing of a density, as part of the distance between the 5% and 95% quantiles.
SMOOTHING = 0.04
#: The quantile that counts as the lower edge: a choice.
EDGE = 0.01
#: Quantiles whose change with the norm is drawn, and their words.
LEVELS = {0.5: "median", EDGE: "1% quantile"}


def normalised(records: pd.DataFrame, convention: str = "eq2") -> pd.DataFrame:
    """Quantiles of the training margins divided by the norm, record by record.

    Parameters
    ----------
    records : DataFrame
        Of one run, from `deepnorm.sweeps.read_runs`: columns ``train_margin_<q>``,
        ``log_norm_<convention>`` and ``train_error``.
    convention : str
        Of the norm.

    Returns
    -------
    DataFrame
        `log_norm`, `train_error`, and a column for each q, a float: the quantile of
        (f_y - max_{j != y} f_j)/lam.

    Raises
    ------
    ValueError
        If columns are missing.
    """
    name = f"log_norm_{convention}"
    if name not in records:
        known = [str(c)[9:] for c in records if str(c).startswith("log_norm_")]
        raise InvalidArgument(
            "convention", f"must be one that was recorded, {known}", quoted(convention)
        )
    levels = {
        float(match[1]): str(column)
        for column in records
        if (match := re.fullmatch(r"train_margin_(.*)", str(column)))
    }
    if len(levels) < 5:
        raise InvalidArgument("records", "must hold quantiles of the margins", f"{sorted(levels)}")
    scale = np.exp(-records[name].to_numpy(dtype=np.float64))
    table = {q: records[column].to_numpy() * scale for q, column in sorted(levels.items())}
    front = {"log_norm": records[name].to_numpy(), "train_error": records["train_error"].to_numpy()}
    return pd.DataFrame(front | table)


def _density(levels: Array, quantiles: Array) -> tuple[Array, Array]:
    """The density of a monotone interpolation of the distribution function, smoothed."""
    distinct = np.flatnonzero(np.diff(quantiles, prepend=-np.inf) > 0)
    x, F = quantiles[distinct], levels[distinct]
    low, high = np.interp([0.05, 0.95], levels, quantiles)
    width = SMOOTHING * (high - low)
    at = np.linspace(x[0] - 3 * width, x[-1] + 3 * width, 1001)
    inside = np.clip(at, x[0], x[-1])
    F_at = np.asarray(PchipInterpolator(x, F)(inside))
    step = at[1] - at[0]
    reach = int(np.ceil(4 * width / step))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / width) ** 2)
    padded = np.pad(np.gradient(F_at, step), reach)
    return at, np.convolve(padded, kernel / kernel.sum(), mode="valid")


def _chosen(table: pd.DataFrame) -> Array:
    """Rows to draw, see `DRAWN`."""
    right = np.flatnonzero(table["train_error"].to_numpy() <= 0.5)
    first = int(right[0]) if len(right) else 0
    x = table["log_norm"].to_numpy()
    wanted = np.linspace(x[first], x[-1], DRAWN)
    nearest = [first + int(np.argmin(np.abs(x[first:] - w))) for w in wanted]
    return np.unique(nearest)


def draw(records: pd.DataFrame, convention: str = "eq2") -> Figure:
    """Distributions on the left, two quantiles against the norm on the right; of one run."""
    figure = style.canvas(style.FULL, 2.7)
    left, right = figure.subplots(1, 2)
    draw_on(left, right, records, convention)
    style.panel(left, "a", "distribution of the margins")
    style.panel(right, "b", "centre and lower edge")
    return figure


def draw_on(left: Axes, right: Axes, records: pd.DataFrame, convention: str = "eq2") -> None:
    """The same on two panels of another figure."""
    table = normalised(records, convention)
    levels = np.array([c for c in table if isinstance(c, float)])
    chosen = _chosen(table)
    log_norm = table["log_norm"].to_numpy()
    colours = style.series(max(len(chosen), 2))
    unit = 10.0 ** np.floor(np.log10(np.abs(table[0.5].to_numpy()[chosen]).max()))
    for k, colour in zip(chosen, colours, strict=False):
        at, density = _density(levels, table.loc[k, levels].to_numpy(dtype=np.float64) / unit)
        mantissa = _norm(log_norm[k])
        left.plot(at, density, color=colour, lw=1.0, label=mantissa)
    left.set(ylim=(0, None), xlabel=_units(r"margin$/\lambda$", unit), ylabel="density")
    left.legend(title=r"$\lambda$", title_fontsize=style.SMALL, labelspacing=0.15)
    first = int(chosen[0])
    looks: list[style.Style] = [{"ls": "-"}, {"ls": (0, (3, 1, 1, 1))}]
    for (level, word), look in zip(LEVELS.items(), looks, strict=True):
        column = levels[np.argmin(np.abs(levels - level))]
        values = table[column].to_numpy()[first:] / unit
        right.plot(log_norm[first:] / LN10, values, color="black", lw=1.1, label=word, **look)
    panels.norm_scale(right.xaxis, log_norm[first:] / LN10)
    right.set(xlabel=panels.norm_label(convention), ylabel=_units(r"margin$/\lambda$", unit))
    right.legend()


def _norm(log_norm: float) -> str:
    """A norm with two digits."""
    power = int(np.floor(log_norm / LN10))
    return rf"${np.exp(log_norm - power * LN10):.1f}\times10^{{{power}}}$"


def _units(name: str, unit: float) -> str:
    """A name with its power of ten."""
    return rf"{name} ($10^{{{round(np.log10(unit))}}}$)"


def finding(records: pd.DataFrame, convention: str = "eq2") -> str:
    """How the lower edge of the margins moves in units of the norm, in a sentence."""
    table = normalised(records, convention)
    chosen = _chosen(table)
    first, last = (table.iloc[k][EDGE] for k in (chosen[0], chosen[-1]))
    return (
        f"As the norm grows the {100 * EDGE:g}% quantile of the margins, in units of the norm, "
        f"goes from {first:.3g} to {last:.3g}."
    )


def alt(records: pd.DataFrame, convention: str = "eq2") -> str:
    """What is to be seen, for who does not see it."""
    count = len(_chosen(normalised(records, convention)))
    return (
        f"Two panels. Left: {count} densities of the margins in units of the norm, dark to light "
        "as it grows. Right: their median and their 1% quantile against the norm."
    )


def caption(records: pd.DataFrame, convention: str = "eq2") -> str:
    """What is shown, with its numbers."""
    table = normalised(records, convention)
    chosen = _chosen(table)
    first, last = table.iloc[chosen[0]], table.iloc[chosen[-1]]
    run: Mapping[str, object] = next(iter(rows(records)))._asdict()
    return (
        f"Margins f_y - max f_j of the training images in units of the norm ({convention}), for "
        f"{run['model']} on {run['dataset']} with P = {run['P']}, one run (seed {run['seed']}), at "
        f"{len(chosen)} norms (dark to light); densities from the recorded quantiles, smoothed. "
        f"The median goes from {first[0.5]:.3g} to {last[0.5]:.3g}, the {100 * EDGE:g}% quantile "
        f"from {first[EDGE]:.3g} to {last[EDGE]:.3g}."
    )
