"""Margins as the norm grows: stored random labels, in theory and simulated; and a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepnorm.figures import margins
from perceptron import minimize_at_norm, over_seeds, random_labels
from replica import Margins, logistic_storage
from validation import evidence, style, words

__all__ = ["Data", "caption", "compute", "draw"]

Array = NDArray[np.float64]

#: Examples per dimension, as in the paper.
ALPHA = 0.4
#: Norms whose distribution is drawn, and the range of those whose summary is.
LAM = np.array([0.3, 1.0, 3.0, 10.0, 30.0])
RANGE = (0.1, 300.0)
#: The lower edge is where this fraction of the margins lies below (a choice).
EDGE = 1e-3
#: The experiment: dimensions, seeds by default and in full, bins of equal expected count.
N, SEEDS, FULL_SEEDS, BINS = 1000, 25, 250, 24
#: Where the density is drawn; at the smallest norm 1e-6 of the mass lies outside.
MARGIN = (-2.5, 6.5)


@dataclass(frozen=True)
class Data:
    """Distributions of the margins, and how they change with the norm.

    Attributes
    ----------
    alpha : float
        Examples per dimension.
    lam : (k,) array
        Norms of the distributions drawn.
    margin : (n,) array
        Margins.
    density : (n, k) array
        P(Delta).
    limit_margin, limit_density : (m,) array
        The continuous part at lam = inf, which starts at kappa.
    kappa, weight : float
        The atom at lam = inf: the largest smallest margin, and how many have it.
    summary_lam, mean, edge : (l,) array
        Mean margin and lower edge against the norm.
    limit_mean : float
        Mean margin at lam = inf.
    mean_at, edge_at : (k,) array
        Both at the norms drawn.
    bins : (k, BINS + 1) array
        Predicted quantiles of the margins at each norm.
    counted, error : (k, BINS) array
        Simulated density in the bins, and its standard error over the seeds.
    place : (k, BINS) array
        Where in its bin the predicted density equals its average over the bin.
    seeds : int
        How many.
    network : DataFrame
        Records of a network that was trained, with its margins.
    """

    alpha: float
    lam: Array
    margin: Array
    density: Array
    limit_margin: Array
    limit_density: Array
    kappa: float
    weight: float
    summary_lam: Array
    mean: Array
    edge: Array
    limit_mean: float
    mean_at: Array
    edge_at: Array
    bins: Array
    place: Array
    counted: Array
    error: Array
    seeds: int
    network: pd.DataFrame


def compute(full: bool = False) -> Data:
    """Solve the storage problem and read the margins off its solutions; store random labels."""
    seeds = FULL_SEEDS if full else SEEDS
    drawn = logistic_storage(ALPHA, LAM).margins
    limit = logistic_storage(ALPHA, np.inf).margins
    lam = np.geomspace(*RANGE, 141)
    summary = logistic_storage(ALPHA, lam).margins
    kappa = float(limit.atom.position)
    # the peaks of large norms are 1/lam wide: a grid that is fine around kappa
    margin = np.unique(
        np.concatenate([np.linspace(*MARGIN, 1201), kappa + np.linspace(-1, 1, 2001) ** 3 * 0.8])
    )
    above = np.linspace(kappa, MARGIN[1], 801)
    # the outermost bins, which have no end, are left out
    bins = np.asarray(drawn.quantile(np.linspace(0, 1, BINS + 3)[1:-1, None])).T

    def count(seed: int) -> dict[str, Array]:
        minima = minimize_at_norm(random_labels(N, ALPHA, seed), LAM)
        found = [
            np.histogram(minimum.margins, edges)[0] / (len(minimum.margins) * np.diff(edges))
            for minimum, edges in zip(minima, bins, strict=True)
        ]
        return {"density": np.stack(found)}

    counts = over_seeds(count, seeds)
    return Data(
        alpha=ALPHA,
        lam=LAM,
        margin=margin,
        density=np.asarray(drawn.pdf(margin[:, None])),
        limit_margin=above,
        limit_density=np.asarray(limit.pdf(above)),
        kappa=kappa,
        weight=float(limit.atom.weight),
        summary_lam=lam,
        mean=np.asarray(summary.mean()),
        edge=np.asarray(summary.quantile(EDGE)),
        limit_mean=float(limit.mean()),
        mean_at=np.asarray(drawn.mean()),
        edge_at=np.asarray(drawn.quantile(EDGE)),
        bins=bins,
        place=np.stack([_place(drawn[i], edges) for i, edges in enumerate(bins)]),
        counted=counts.mean("density"),
        error=counts.standard_error("density"),
        seeds=seeds,
        network=evidence.load().margins,
    )


def _place(margins: Margins, edges: Array) -> Array:
    """Where to draw the count of a wide bin (G. Lafferty and T. Wyatt, NIM A 355, 541 (1995))."""
    fine = np.linspace(edges[:-1], edges[1:], 401)
    average = np.diff(np.asarray(margins.cdf(edges))) / np.diff(edges)
    nearest = np.argmin(np.abs(np.asarray(margins.pdf(fine)) - average), axis=0)
    return fine[nearest, np.arange(len(average))]


def draw(data: Data) -> Figure:
    """Theory on the left, a network on the right: distributions, below them centre and edge."""
    figure = style.canvas(style.FULL, 4.2)
    (top, top_right), (bottom, bottom_right) = figure.subplots(2, 2, height_ratios=(1.5, 1))
    colours = style.scale(LAM[0], LAM[-1]).to_rgba(data.lam)
    _distributions(top, data, colours)
    _summary(bottom, data, colours)
    margins.draw_on(top_right, bottom_right, data.network)
    style.panel(top_right, "c", "margins of a small CNN on MNIST")
    style.panel(bottom_right, "d", "the same against its norm")
    return figure


def _distributions(axes: Axes, data: Data, colours: Array) -> None:
    """P(Delta) for each norm, and the limit with its atom."""
    bottom, top = 5e-3, 300.0
    for lam, density, colour in zip(data.lam, data.density.T, colours, strict=True):
        axes.plot(data.margin, density, color=colour, label=f"{lam:g}", lw=0.9)
    for place, counted, error, colour in zip(
        data.place, data.counted, data.error, colours, strict=True
    ):
        axes.errorbar(place, counted, error, fmt="o", ms=2.0, color=colour, lw=0.7, zorder=5)
    limit = {"color": "black", "lw": 1.1, "ls": style.STABLE["ls"], "zorder": 4}
    axes.plot(data.limit_margin, data.limit_density, **limit, label=r"$\infty$")
    axes.set(
        yscale="log",
        xlim=(-0.3, 3.2),
        ylim=(bottom, top),
        xlabel=r"margin $\Delta$",
        ylabel=r"$P(\Delta)$",
    )
    # an atom has no height among densities: the arrow runs over the peaks, and says its weight
    axes.annotate(
        "",
        (data.kappa, 0.8 * top),
        (data.kappa, bottom),
        arrowprops={
            "arrowstyle": "-|>,head_width=0.15,head_length=0.3",
            "lw": 0.9,
            "color": "black",
            "shrinkA": 0,
            "shrinkB": 0,
        },
        zorder=1,
    )
    axes.annotate(
        rf"$\lambda=\infty$: atom at $\kappa={data.kappa:.4f}$,"
        "\n"
        rf"weight {data.weight:.4f}",
        (data.kappa, 0.8 * top),
        xytext=(5, 1),
        textcoords="offset points",
        va="top",
        linespacing=1.0,
        fontsize=style.SMALL,
    )
    axes.legend(
        title=r"$\lambda$",
        title_fontsize=style.SMALL,
        loc="upper right",
        bbox_to_anchor=(1, 0.88),
        labelspacing=0.15,
    )
    style.panel(axes, "a", rf"margins of stored random labels, $\alpha = {data.alpha:g}$")


def _summary(axes: Axes, data: Data, colours: Array) -> None:
    """Mean and lower edge against the norm, with their common scale kappa."""
    axes.axhline(data.kappa, **style.STABLE)
    axes.plot(data.summary_lam, data.mean, color="black", lw=1.2)
    axes.plot(data.summary_lam, data.edge, color="black", lw=1.2, ls=(0, (3, 1, 1, 1)))
    for values in (data.mean_at, data.edge_at):
        axes.scatter(data.lam, values, s=20, color=colours, zorder=4, ec="black", lw=0.4)
    axes.set(xscale="log", xlim=RANGE, ylim=(-1.5, 2.2))
    axes.set(xlabel=r"norm $\lambda$", ylabel=r"margin $\Delta$", yticks=(-1, 0, 1, 2))
    small: style.Style = {"fontsize": style.SMALL, "linespacing": 1.0}
    axes.text(RANGE[1] / 1.2, 1.42, rf"mean $\to{data.limit_mean:.4f}$", ha="right", **small)
    axes.text(
        RANGE[0] * 1.2, 1.16, r"$\kappa$", color=style.STABLE["color"], va="top", fontsize=9.0
    )
    axes.text(0.68, 0.08, f"lower edge\n({100 * EDGE:g}% quantile)", va="top", **small)
    style.note(
        axes,
        0.98,
        0.05,
        "no sharp edge at finite $\\lambda$:\n$P(\\Delta)>0$ for every $\\Delta$",
        ha="right",
        va="bottom",
    )
    style.panel(axes, "b", "the mean falls, the lower edge rises")


def caption(data: Data) -> str:
    """The caption, with its numbers computed."""
    return words.paragraphs(
        f"""
        Figure 6. (a) Distribution P(Delta) of the margins among the minimisers of the
        logistic loss at fixed norm lam, for {data.alpha:g} N random labels (storage), at
        lam = {words.listed(data.lam, "g")} (solid lines, dark to light), and its limit
        lam -> inf (dashed): an atom at the largest stability, kappa = {data.kappa:.6f}, which
        holds the fraction {data.weight:.6f} of the examples (arrow; its height means nothing),
        and the Gaussian tail above kappa. Dots: {data.seeds} simulated perceptrons of N = {N}
        dimensions, {BINS} bins of equal expected count, with standard errors over the seeds, drawn
        where the density equals its average over the bin. (b) The mean margin falls from
        {data.mean[0]:.4f} at lam = {data.summary_lam[0]:g} towards {data.limit_mean:.6f}
        (solid), while the lower edge, here the {100 * EDGE:g}% quantile, rises from
        {data.edge[0]:.4f} towards kappa
        (dash-dotted; kappa is dashed). Circles: the norms of (a), with means
        {words.listed(data.mean_at, ".4f")} and edges {words.listed(data.edge_at, ".4f")}.
        """,
        "Where the theory corrects the paper.",
        """
        (i) The paper speaks of a minimum of the margins that rises with the norm. At finite lam
        the density is positive at every margin: in infinite dimension there is no minimum, and
        what rises is a low quantile. A sharp lower edge exists in the limit lam -> inf only.
        """,
        f"(ii) {words.EQUATION} Here with R = 0; the density is the paper's eq. (17).",
        words.CONVENTION,
        f"(c, d) {margins.caption(data.network)}",
        words.trainings(evidence.load().about),
    )
