"""What the figures share: a grid of panels, logarithmic axes of any range, power laws.

A norm may exceed the range of a double, so that an axis of norms carries log10 of it on a
linear scale, with ticks that say 10^k.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from deepnorm import quantities as words
from deepnorm.figures import style
from deepnorm.quantities import Quantities
from deepnorm.words import plain, power_of_ten, quoted
from replica.common.arguments import InvalidArgument
from replica.scaling import Analysis, Estimate

__all__ = [
    "AT_END",
    "LN10",
    "MEASURED",
    "MEASURED_BAND",
    "NORMAL_95",
    "STAR",
    "Analyses",
    "Grid",
    "abscissa_label",
    "colours",
    "error_label",
    "exponent",
    "grid",
    "log_scale",
    "norm_label",
    "norm_scale",
    "number",
    "optimum_symbol",
    "power",
    "power_law",
    "quantities",
    "remark",
    "titled",
]

Array = NDArray[np.float64]
Analyses: TypeAlias = Analysis | Mapping[str, Analysis]

LN10 = math.log(10)
#: Half the width of a 95% interval, in standard errors.
NORMAL_95 = 1.96
#: A minimum, and what stands for one where training ended before it.
STAR: style.Style = {**style.STAR, "ms": 6.0}
AT_END: style.Style = {**STAR, "mfc": "white"}
#: A power law fitted to the points of a panel, and its 95% band.
MEASURED: style.Style = {**style.THEORY, "lw": 1.2, "zorder": 3}
MEASURED_BAND: style.Style = {"color": MEASURED["color"], "alpha": 0.16, "lw": 0, "zorder": 2}
#: Leading digits that may carry a label, from few labels to many.
DIGITS = ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 4, 5, 7))
SPACE = "\N{NO-BREAK SPACE}"  # the font has no thin one
#: Fewest and most labels on a logarithmic axis.
FEWEST, MOST = 3, 7


@dataclass(frozen=True)
class Grid:
    """A figure, its panels in order, and the cell that is left over if there is one."""

    figure: Figure
    axes: list[Axes]
    spare: SubplotSpec | None = None

    def key(self, handles: Sequence[Artist]) -> None:
        """One legend for all panels: in the cell that is left over, or below them."""
        if self.spare is None:
            for columns in range(len(handles), 0, -1):  # as many as the page is wide
                legend = self.figure.legend(
                    handles=handles, loc="outside lower center", ncols=columns
                )
                width = legend.get_window_extent().width
                if width <= self.figure.bbox.width or columns == 1:
                    break
                legend.remove()
        else:
            cell = self.figure.add_subplot(self.spare)
            cell.set_axis_off()
            cell.legend(handles=handles, loc="center")


def colours(axes: Axes, analysis: Analysis) -> ScalarMappable:
    """Colours by the number of examples, with their bar beside a panel."""
    P = analysis.optima["P"]
    map_ = style.scale(P.min(), P.max())
    bar = axes.figure.colorbar(map_, ax=axes, aspect=28, pad=0.02)
    bar.ax.set_xlabel("$P$", labelpad=4)
    label(bar.ax.yaxis, P.min(), P.max())
    return map_


def remark(axes: Axes, text: str) -> None:
    """A remark on a panel, below its title, where it covers nothing."""
    title = axes.get_title(loc="left")
    lines = [title, text] if title else [text]
    axes.set_title("\n".join(lines), loc="left", pad=4, linespacing=1.15)


def titled(analyses: Analyses) -> dict[str, Analysis]:
    """Several analyses by title; a single one has none.

    Raises
    ------
    ValueError
        If there is nothing to draw.
    """
    if isinstance(analyses, Analysis):
        return {"": analyses}
    if not analyses:
        raise InvalidArgument("analyses", "must hold at least one analysis", "none")
    return dict(analyses)


def quantities(analyses: Analyses) -> Quantities:
    """What the curves of all of them are of, and functions of."""
    return words.common(words.of_analysis(one) for one in titled(analyses).values())


def grid(titles: Sequence[str], height: float) -> Grid:
    """Panels over the full width, one for each title, two or three in a row; inches."""
    columns = min(len(titles), 2 if len(titles) <= 6 else 3)
    rows = math.ceil(len(titles) / columns)
    figure = style.canvas(style.FULL, rows * height)
    cells = figure.add_gridspec(rows, columns)
    places = [cells[divmod(i, columns)] for i in range(rows * columns)]
    axes = [figure.add_subplot(place) for place in places[: len(titles)]]
    for i, (panel, title) in enumerate(zip(axes, titles, strict=True)):
        if title:
            style.panel(panel, chr(ord("a") + i), title)
    return Grid(figure, axes, places[-1] if len(places) > len(titles) else None)


# --------------------------------------------------------------------------------- axes


def error_label(of: Quantities, symbol: str = r"\epsilon") -> str:
    """What an axis of errors, or of losses, says."""
    return f"{of.error} ${symbol}$"


def abscissa_label(of: Quantities, unit: str = "", convention: str = "") -> str:
    """What the other axis says: a norm, of a convention, or a time; ``unit`` is a subscript."""
    if of.has_norm and not unit:
        return norm_label(convention)
    below = f"/{optimum_symbol(of, unit)}" if unit else ""
    return rf"{of.along} ${of.symbol}{below}$"


def optimum_symbol(of: Quantities, unit: str = "opt") -> str:
    """The abscissa of the optimum, or of the elbow, as it is set."""
    return rf"{of.symbol}_{{\rm {unit}}}"


def norm_label(convention: str = "") -> str:
    """What an axis of norms says; the convention where it is known."""
    known = {"": "", "eq2": " (eq. 2)"}.get(convention, f" ({convention})")
    return rf"norm $\lambda${known}"


def norm_scale(axis: XAxis | YAxis, values: Array, *, plain: bool = False) -> None:
    """Ticks 10^k on an axis of log10(norm) that shows these values of it.

    ``plain`` writes them out where they are short, as one writes times.
    """
    low, high = _widened(values)
    labelled, minor = _ticks(low, high)
    axis.axes.set(**{f"{axis.axis_name}lim": (low, high)})
    axis.set_ticks(labelled, labels=[_text(tick, plain=plain) for tick in labelled])
    axis.set_ticks(minor, minor=True)


def log_scale(axis: XAxis | YAxis, values: Array) -> None:
    """A logarithmic axis that shows these values, labelled as one writes numbers."""
    low, high = (10.0**end for end in _widened(np.log10(values)))
    axis.axes.set(**{f"{axis.axis_name}scale": "log", f"{axis.axis_name}lim": (low, high)})
    label(axis, low, high)


def _widened(values: Array) -> tuple[float, float]:
    """The range of values, with a margin."""
    low, high = float(np.min(values)), float(np.max(values))
    margin = 0.05 * (high - low) or 0.1
    return low - margin, high + margin


def label(axis: XAxis | YAxis, low: float, high: float) -> None:
    """Labels and ticks of an axis that is logarithmic already."""
    labelled, minor = _ticks(math.log10(low), math.log10(high))
    axis.set_ticks(10**labelled, labels=[_text(tick, plain=True) for tick in labelled])
    axis.set_ticks(10**minor, minor=True, labels=[""] * len(minor))


def _ticks(low: float, high: float) -> tuple[Array, Array]:
    """log10 of what is labelled between two values of log10, and of the smaller ticks."""
    first, last = math.floor(low), math.ceil(high)
    digits = np.log10(np.arange(1, 10))

    def inside(ticks: Array) -> Array:
        return ticks[(ticks >= low - 1e-9) & (ticks <= high + 1e-9)]

    def leading(digits: Array) -> Array:
        return inside(np.add.outer(np.arange(first, last + 1.0), digits).ravel())

    if high - low >= FEWEST - 1:
        locator = MaxNLocator(MOST, integer=True, steps=[1, 2, 5])
        labelled = inside(np.asarray(locator.tick_values(low, high)))
        step = labelled[1] - labelled[0]
        if step == 1:
            return labelled, leading(digits)
        return labelled, inside(np.arange(first, last + 1, max(1.0, step / 5)))
    for few in DIGITS:
        labelled = leading(np.log10(few))
        if len(labelled) >= FEWEST:
            return labelled, leading(digits)
    # less than half a decade: evenly spaced numbers
    locator = MaxNLocator(5, steps=[1, 2, 5, 10])
    even = np.asarray(locator.tick_values(10 ** (low - first), 10 ** (high - first)))
    return inside(first + np.log10(even[even > 0])), np.empty(0)


def _text(tick: float, *, plain: bool) -> str:
    """10^tick, in figures where it is plain and short, else as a power of ten."""
    power = math.floor(tick + 1e-9)
    mantissa = f"{10 ** (tick - power):.6g}"
    if plain and -4 < tick < 5:
        return f"{10**tick:,.6g}".replace(",", SPACE)
    if mantissa == "1":
        return rf"$10^{{{power}}}$"
    return rf"${mantissa}\times10^{{{power}}}$"


def power(log_value: float) -> str:
    """A number in a sentence, of which the logarithm is given: it may be no double."""
    parts = power_of_ten(log_value)
    return plain(parts) or f"{parts[0]}e{parts[1]}"


def number(value: float) -> str:
    """A positive number with two digits, for a panel."""
    if not 0 < value < math.inf:
        return r"$\infty$" if value > 0 else f"{value:g}"
    power = math.floor(math.log10(value))
    return _text(math.log10(round(value / 10**power, 1)) + power, plain=True)


# --------------------------------------------------------------------------- power laws


def power_law(
    x: Array, y: Array, error: Array, slope: Estimate, at: Array, sign: float = 1.0
) -> tuple[Array, Array]:
    """A straight line of given slope through the centre of points, and half of its 95% band.

    Everything in logarithms; the slope is ``sign`` times the estimate. The centre is weighted
    by the errors of the points where all have one. The band is that of the slope, to whose 95%
    the systematic error is added in quadrature, and of the height of the line.
    """
    known = bool(np.all(np.isfinite(error) & (error > 0)))
    weight = error**-2.0 if known else np.ones_like(y)
    centre, height = np.average(x, weights=weight), np.average(y, weights=weight)
    height_error = weight.sum() ** -0.5 if known else 0.0
    line = height + sign * slope.value * (at - centre)
    slope_error = math.hypot(NORMAL_95 * slope.error, float(np.nan_to_num(slope.systematic)))
    return line, np.hypot(slope_error * (at - centre), NORMAL_95 * height_error)


def exponent(symbol: str, estimate: Estimate, against: str = "") -> str:
    """An exponent with its errors for a panel, statistical and systematic; or what is said of none.

    ``against`` is what speaks against a value that there is.
    """
    if against or math.isnan(estimate.value):
        return f"${symbol}$: nothing can be concluded"
    number = quoted(estimate.value, estimate.error, estimate.systematic)
    return f"${symbol} = {number}$".replace("±", r"\pm")
