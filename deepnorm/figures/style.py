"""How figures look: a two-column journal's widths, 8 pt or more, safe for colour-blind readers.

Figures are built on the Agg canvas without pyplot, so that drawing one leaves
nothing behind in the process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

__all__ = [
    "COLUMN",
    "DPI",
    "FULL",
    "LAW",
    "LIMIT",
    "NOTE",
    "SMALL",
    "STAR",
    "THEORY",
    "along",
    "canvas",
    "context",
    "decades",
    "note",
    "panel",
    "scale",
    "series",
]

Array = NDArray[np.float64]
Style = dict[str, Any]

#: Widths in inches of one column and of the full page of a two-column journal.
COLUMN, FULL = 3.375, 7.0
#: Pixels per inch in print.
DPI = 300
#: Tick labels and remarks, in points; nothing is smaller in print.
SMALL = 8.0

RC: Any = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 9.0,
    "axes.labelsize": 9.5,
    "axes.titlesize": 9.5,
    "legend.fontsize": SMALL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.1,
    "lines.solid_capstyle": "round",
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.minor.size": 1.6,
    "ytick.minor.size": 1.6,
    "legend.frameon": False,
    "legend.handlelength": 2.0,
    "legend.borderaxespad": 0.3,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    "pdf.fonttype": 42,  # TrueType: publishers refuse type 3
    "svg.hashsalt": "deepnorm",  # otherwise the names inside an SVG are drawn by lot
    "savefig.dpi": DPI,
}

#: What a theory says; colours are Okabe and Ito's.
THEORY: Style = {"color": "#0072B2", "lw": 1.4}
#: A minimum.
STAR: Style = {
    "ls": "none",
    "marker": "*",
    "ms": 7.0,
    "mfc": "#D55E00",
    "mec": "black",
    "mew": 0.4,
    "zorder": 6,
}
#: An exact limit, over the curves that tend to it.
LIMIT: Style = {"color": "black", "ls": (0, (4, 2)), "lw": 1.0, "zorder": 5}
#: A power law: a pale band, seen under the curves that follow it.
LAW: Style = {"color": "#F4B183", "lw": 3.6, "zorder": 1, "solid_capstyle": "butt"}
#: A remark on a panel.
NOTE: Style = {"fontsize": SMALL, "color": "#333333", "fontstyle": "italic", "linespacing": 1.0}


@contextlib.contextmanager
def context() -> Iterator[None]:
    """Draw and save inside: matplotlib's defaults and ours, whatever the user's settings."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        yield


def canvas(width: float, height: float) -> Figure:
    """An empty figure of that size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def scale(low: float, high: float) -> ScalarMappable:
    """Colours for a quantity on a logarithmic scale: viridis, without its palest fifth."""
    map_ = matplotlib.colormaps["viridis"]
    # yellow on white cannot be read in print
    return ScalarMappable(LogNorm(low, high), ListedColormap(map_(np.linspace(0.0, 0.84, 256))))


def panel(axes: Axes, letter: str, title: str = "") -> None:
    """The letter of a panel and what it shows, above it."""
    axes.set_title(f"({letter}) {title}".rstrip(), loc="left", pad=4)


def series(count: int) -> NDArray[np.float64]:
    """Colours (count, 4) for so many series in an order, by the same map."""
    steps = np.geomspace(1.0, 10.0, count)
    return np.asarray(scale(1.0, 10.0).to_rgba(steps))


def note(axes: Axes, x: float, y: float, text: str, **options: Any) -> Text:
    """A remark; x, y in parts of the panel."""
    return axes.text(x, y, text, transform=axes.transAxes, **{**NOTE, "zorder": 7, **options})


def along(axes: Axes, x: float, y: float, text: str, slope: float) -> Text:
    """Text parallel to a power law y ~ x^slope on logarithmic axes."""
    angle = np.degrees(np.arctan2(slope * y, x))  # in data coordinates, whatever the layout
    return axes.text(
        x,
        y,
        text,
        rotation=float(angle),
        rotation_mode="anchor",
        transform_rotates_text=True,
        fontsize=SMALL,
        zorder=7,
    )


def decades(low: int, high: int, step: int) -> Array:
    """10^low, 10^(low + step), ..., for ticks."""
    return np.asarray(10.0 ** np.arange(low, high + 1, step), dtype=np.float64)
