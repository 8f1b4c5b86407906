"""The phase diagram of power-law inputs, and where in it the published exponents lie."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from deepnorm.figures.phase_diagram import FAILS, HOLDS, HOLDS_TOO
from replica import effective_spectrum, scaling_exponents
from replica.exponents import ISLAND, Regime
from validation import pairs, style, words

__all__ = ["Data", "attachments", "caption", "compute", "draw"]

Array = NDArray[np.float64]

#: The part of the plane that is shown.
CAPACITY, SOURCE = (1.0, 400.0), (1.5e-3, 4.0)
#: Exponents of the smallest error whose lines are drawn.
LEVELS = (0.1, 0.2, 0.4, 0.6, 0.8)
#: The source at which these lines are named.
NAMED = 0.02
#: Above this probability a pair is said to lie where the product law must hold. A choice: the other
#: pairs are below 0.6.
SURE = 0.99
#: A marker for each kind of network, a colour for each verdict.
MARKERS = {"CNN": "o", "ResNet": "s", "ViT": "^"}
INSIDE, OUTSIDE = "#0072B2", "#A63C00"


@dataclass(frozen=True)
class Placed:
    """A pair in the plane.

    Attributes
    ----------
    pair : str
        Model on data set.
    gamma_1, gamma_1_error, gamma_2, gamma_2_error, gamma_meas, sigma : float
        As printed in the paper.
    gamma_pred, gamma_pred_error : float
        gamma_1 gamma_2, its error from both.
    capacity, capacity_low, capacity_high : float
        a, nan where no inputs have these exponents, and its quantiles at 16% and 84%.
    source, source_error : float
        r.
    regime, sentence : str
        Where the pair lies, as a code and in words.
    product_law : bool
        Whether the product law must hold there.
    probability, outside : float
        That the law must hold, and that no inputs have the exponents, given their errors.
    """

    pair: str
    gamma_1: float
    gamma_1_error: float
    gamma_2: float
    gamma_2_error: float
    gamma_meas: float
    sigma: float
    gamma_pred: float
    gamma_pred_error: float
    capacity: float
    capacity_low: float
    capacity_high: float
    source: float
    source_error: float
    regime: str
    sentence: str
    product_law: bool
    probability: float
    outside: float

    @property
    def look(self) -> style.Style:
        """Marker by kind of network; closed where the law must hold."""
        colour = INSIDE if self.product_law else OUTSIDE
        face = colour if self.product_law else "white"
        marker = MARKERS[self.pair.split()[0]]
        return {"ls": "none", "marker": marker, "ms": 5, "color": colour, "mfc": face}


@dataclass(frozen=True)
class Data:
    """The plane of capacity and source, and the pairs in it.

    Attributes
    ----------
    capacity : (n,) array
    source : (m,) array
    gamma_meas : (m, n) array
        Exponent of the smallest error.
    finite : (m, n) array of bool
        Whether a finite norm is best.
    pairs : tuple of Placed
        All nine.
    """

    capacity: Array
    source: Array
    gamma_meas: Array
    finite: NDArray[np.bool_]
    pairs: tuple[Placed, ...]


def compute() -> Data:
    """Exponents over the plane; capacity and source of what was published."""
    # a fine grid next to 1, where the part without a finite best norm is narrow
    beside = np.linspace(CAPACITY[0] * (1 + 1e-6), ISLAND, 61)
    capacity = np.concatenate([beside[:-1], np.geomspace(ISLAND, CAPACITY[1], 161)])
    source = np.geomspace(*SOURCE, 201)
    plane = scaling_exponents(capacity, source[:, None])
    return Data(
        capacity=capacity,
        source=source,
        gamma_meas=np.asarray(plane.gamma_meas),
        finite=np.asarray(plane.finite_optimum),
        pairs=tuple(_placed(*item) for item in pairs.TABLES.items()),
    )


def _placed(title: str, printed: pairs.Exponents) -> Placed:
    """One pair, placed by its two exponents."""
    found = effective_spectrum(
        printed.gamma_1,
        printed.gamma_2,
        gamma_1_error=printed.gamma_1_error,
        gamma_2_error=printed.gamma_2_error,
    )
    regime = Regime(int(found.regime))
    product = printed.gamma_1 * printed.gamma_2
    relative = np.hypot(
        printed.gamma_1_error / printed.gamma_1, printed.gamma_2_error / printed.gamma_2
    )
    return Placed(
        pair=title,
        gamma_1=printed.gamma_1,
        gamma_1_error=printed.gamma_1_error,
        gamma_2=printed.gamma_2,
        gamma_2_error=printed.gamma_2_error,
        gamma_meas=printed.gamma_meas,
        sigma=printed.sigma,
        gamma_pred=product,
        gamma_pred_error=float(product * relative),
        capacity=float(found.capacity),
        capacity_low=float(found.capacity_low),
        capacity_high=float(found.capacity_high),
        source=float(found.source),
        source_error=float(found.source_error),
        regime=regime.name.lower(),
        sentence=regime.sentence,
        product_law=bool(found.product_law),
        probability=float(found.product_law_probability),
        outside=float(found.outside_probability),
    )


def draw(data: Data) -> Figure:
    """The plane, and the two exponents of the error of each pair."""
    figure = style.canvas(style.FULL, 3.9)
    left, right = figure.subplots(1, 2, width_ratios=(1.45, 1))
    _plane(left, data)
    _exponents(right, data)
    return figure


def _plane(axes: Axes, data: Data) -> None:
    """Regimes, lines, and the pairs with their errors."""
    (left, right), (bottom, top) = CAPACITY, SOURCE
    for corner, width, height, colour in (
        ((left, bottom), right - left, 0.5 - bottom, HOLDS),
        ((left, 0.5), 2.0 - left, top - 0.5, HOLDS_TOO),
        ((2.0, 0.5), right - 2.0, top - 0.5, FAILS),
    ):
        axes.add_patch(Rectangle(corner, width, height, fc=colour, ec="none", zorder=0))
    axes.contourf(
        data.capacity, data.source, ~data.finite, levels=(0.5, 1.5), colors=("#777777",), zorder=1
    )
    axes.contour(
        data.capacity, data.source, data.gamma_meas, LEVELS, colors="#888888", linewidths=0.6,
        zorder=1,
    )  # fmt: skip
    for level in LEVELS:
        # below r = 1/2 such a line has a r = gamma/(1 - gamma)
        style.along(
            axes, level / (1 - level) / NAMED, 1.2 * NAMED, rf"$\gamma={level:g}$", -1.0
        ).set_color("#666666")
    look: style.Style = {"color": "black", "lw": 0.9, "zorder": 2}
    axes.hlines(0.5, left, right, **look)
    axes.vlines(2.0, 0.5, top, **look)
    axes.hlines(1.0, left, right, **{**look, "lw": 0.7, "ls": (0, (4, 2))})
    axes.set(
        xscale="log",
        yscale="log",
        xlim=CAPACITY,
        ylim=SOURCE,
        xlabel=r"capacity $a$ (eigenvalues $k^{-a}$)",
        ylabel=r"source $r$ (signal $k^{-1-2ar}$)",
    )
    for number, row in enumerate(data.pairs, start=1):
        _pair(axes, number, row)
    small: style.Style = {"fontsize": style.SMALL, "linespacing": 1.0}
    axes.text(340, 0.55, r"$r=1/2$", ha="right", va="bottom", **small)
    axes.text(340, 1.08, r"$r=1$", ha="right", va="bottom", **small)
    axes.text(2.15, 3.5, r"$a=2$", va="top", **small)
    axes.text(14, 2.0, "the product law fails", color=OUTSIDE, ha="center", **small)
    axes.text(1.42, 2.0, "it must\nhold", color="#00563F", ha="center", va="center", **small)
    axes.text(
        1.15, 0.0022, "the product law must hold,\none master curve", color="#004C7A", va="bottom",
        **small,
    )  # fmt: skip
    style.panel(axes, "a", "regimes, and nine published pairs")


def _pair(axes: Axes, number: int, row: Placed) -> None:
    """One pair; on a = 2 where no inputs are like it, since gamma_2 jumps over its own there."""
    a = row.capacity if row.product_law else 2.0
    high = min(row.capacity_high, CAPACITY[1])
    colour = row.look["color"]
    axes.errorbar(
        a,
        row.source,
        xerr=[[a - row.capacity_low], [high - a]],
        yerr=row.source_error,
        color=colour,
        lw=1.0,
        zorder=4,
    )
    if np.isinf(row.capacity_high):  # the error reaches pairs that no capacity has
        axes.plot(CAPACITY[1] / 1.06, row.source, ls="none", marker=">", ms=4, color=colour)
    axes.plot(a, row.source, **row.look, zorder=5)
    # left of the bar; above the symbol where the bar runs along others'
    endless = np.isinf(row.capacity_high)
    axes.annotate(
        str(number),
        (a if endless else row.capacity_low, row.source),
        xytext=(0, 4) if endless else (-4, 0),
        textcoords="offset points",
        ha="center" if endless else "right",
        va="bottom" if endless else "center_baseline",
        fontsize=style.SMALL,
        fontweight="bold",
        zorder=6,
    )


def _exponents(axes: Axes, data: Data) -> None:
    """gamma_1 gamma_2 with its error beside the measured exponent; probabilities on the right."""
    rows = data.pairs
    y = np.arange(len(rows))
    for at, row in zip(y.tolist(), rows, strict=True):
        colour = row.look["color"]
        axes.errorbar(row.gamma_pred, at, xerr=row.gamma_pred_error, color=colour, lw=1.0)
        axes.plot(row.gamma_pred, at, **row.look)
        axes.plot(row.gamma_meas, at, ls="none", marker="|", ms=11, mew=1.6, color="black")
    labels = [f"{n}  {row.pair}" for n, row in enumerate(rows, start=1)]
    axes.set_yticks(y, labels=labels)
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, 1.3), xlabel="exponent of the test error")
    axes.tick_params(axis="y", which="both", length=0)
    axes.minorticks_off()
    right = axes.secondary_yaxis("right")
    right.set_yticks(y, labels=[f"{row.probability:.2f}" for row in rows])
    right.tick_params(axis="y", which="both", length=0)
    right.set_ylabel("probability that the law must hold", fontsize=style.SMALL)
    handles = [
        axes.plot([], [], ls="none", marker="o", ms=5, color="#555555")[0],
        axes.plot([], [], ls="none", marker="|", ms=9, mew=1.6, color="black")[0],
    ]
    axes.legend(handles, [r"$\gamma_1\gamma_2$", "measured"], loc="lower right", handlelength=1.0)
    style.panel(axes, "b", "predicted and measured")


def attachments(data: Data) -> dict[str, bytes]:
    """The pairs as CSV."""
    table = pd.DataFrame([asdict(row) for row in data.pairs])
    return {".csv": table.to_csv(index=False).encode()}


def caption(data: Data) -> str:
    """The caption, with its numbers computed."""
    rows = data.pairs
    sure = [row for row in rows if row.probability > SURE]
    rest = [row for row in rows if row.probability <= SURE]
    where = [
        f"{row.pair}: a = {row.capacity:.3g} ({row.capacity_low:.3g} to {row.capacity_high:.3g}), "
        f"r = {row.source:.3g} +- {row.source_error:.2g}"
        for row in rows
        if row.product_law
    ]
    apart = [f"{row.pair} {(row.gamma_pred - row.gamma_meas) / row.sigma:+.1f}" for row in sure]
    told = [
        f"{row.pair}: {row.sentence}. Given the errors the law must hold with probability "
        f"{row.probability:.2f}, and no inputs have such exponents with probability "
        f"{row.outside:.2f}."
        for row in rest
    ]
    tip = float(data.capacity[~data.finite.all(axis=0)].max())
    return words.paragraphs(
        """
        Phase diagram. (a) Inputs with eigenvalues k^-a and a teacher whose signal falls like
        k^-(1 + 2 a r): where the exponent of the smallest error is gamma_1 gamma_2. It must be for
        r < 1/2, where early law, optimum and maximum stability are one master curve, and for
        r > 1/2 with a < 2, where the optimum ends the early law; it is less for r > 1/2 with
        a > 2. Above r = 1 (dashed) the source counts as 1. On r = 1/2, and on r = 1 for a < 2,
        there are powers of log P.
        """,
        f"""
        Grey lines: equal exponents of the smallest error, {words.listed(LEVELS, "g")}. Dark, at the
        left edge up to a = {tip:.2f}: no finite norm is best. Symbols: gamma_1 and gamma_2
        of Table 2 of the paper, placed by `effective_spectrum`; bars: 16% to 84% of the capacity,
        and one standard error of the source, which for most is within the symbol.
        {"; ".join(where)}.
        """,
        f"""
        Where the product law must hold with a probability above {SURE:g}, in {len(sure)} pairs of
        {len(rows)}, gamma_1 gamma_2 less the measured exponent is, in units of the paper's sigma:
        {", ".join(apart)}. The others: {" ".join(told)} Without inputs of its own a pair is
        drawn open, on a = 2 where gamma_2 jumps.
        """,
        """
        (b) gamma_1 gamma_2 from Table 2 with its error, and the measured exponent of Table 1
        (bars); on the right the probability, given the errors of both exponents as normal and
        independent, that the pair lies where the product law must hold.
        """,
        """
        What this does not say: that networks are perceptrons. And a norm that is a power b of the
        one that was logged has gamma_1/b and b gamma_2: for r < 1/2 that moves a pair along its
        grey line, a r = gamma_1 gamma_2/(1 - gamma_1 gamma_2), and leaves its place on it to
        convention. The networks' norms were logged by different formulas.
        """,
        words.THEORY_ONLY,
    )
