"""Where the measured pair (gamma_1, gamma_2) lies in the phase diagram of structured perceptrons.

A perceptron whose inputs have the eigenvalues k^-a and a signal of source r has one pair of
exponents; `replica.scaling.effective_spectrum` inverts that (docs/theory.md, eq. 87). Some pairs
belong to inputs for which gamma_meas = gamma_1 gamma_2, some to inputs for which it is less, some
to none.
"""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from deepnorm.figures import panels, style
from deepnorm.verdict import no_law, number
from replica.common.arguments import InvalidArgument
from replica.scaling import Analysis, EffectiveSpectrum, Estimate, effective_spectrum

__all__ = [
    "FAILS",
    "HOLDS",
    "HOLDS_TOO",
    "alt",
    "caption",
    "draw",
    "finding",
    "has_pair",
]

Array = NDArray[np.float64]

#: Light colours of regions: where the law must hold (two regimes), where it does not, nowhere.
HOLDS, HOLDS_TOO, FAILS, NOWHERE = "#E3EEF8", "#D3E8E0", "#F9E4D9", "white"
REGIONS = {
    HOLDS: r"$\gamma_{\rm meas}=\gamma_1\gamma_2$ must hold: one master curve",
    HOLDS_TOO: "it must hold: the optimum ends the early law",
    FAILS: "it fails",
    NOWHERE: "no inputs have such a pair",
}
#: gamma_1 and gamma_2 that are shown at least.
SHOWN = (0.1, 2.5), (0.15, 4.0)
#: How far the axes reach beyond the ellipses, as a factor.
BEYOND = 1.4
#: Points of a side of the plane: a pixel or so in print.
SIDE = 700
#: The ellipse of 95% has this radius in standard errors: 1 - exp(-radius^2/2) = 0.95.
RADIUS = math.sqrt(-2 * math.log(0.05))
#: Probabilities closer to 0 or 1 than this are told as bounds.
CLOSE = 0.01

PAIR: style.Style = {"ls": "none", "marker": "o", "ms": 4.0, "color": "#0072B2", "zorder": 5}
STATISTICAL: style.Style = {"color": PAIR["color"], "lw": 1.3, "zorder": 4}
BOTH: style.Style = {**STATISTICAL, "lw": 1.0, "ls": (0, (4, 2))}
CONVENTIONS: style.Style = {"color": "#555555", "ls": (0, (1, 1.5)), "lw": 1.0, "zorder": 3}


def has_pair(analysis: Analysis) -> bool:
    """Whether gamma_1 and gamma_2 are concluded and positive, so that there is a pair to place."""
    pair = analysis.gamma_1, analysis.gamma_2
    return not (no_law(analysis) or analysis.gamma_2.reason) and all(one.value > 0 for one in pair)


def _placed(analysis: Analysis) -> EffectiveSpectrum:
    """The inputs that have the pair; statistical and systematic errors in quadrature."""
    return effective_spectrum(
        analysis.gamma_1.value,
        analysis.gamma_2.value,
        gamma_1_error=np.nan_to_num(analysis.gamma_1.total),
        gamma_2_error=np.nan_to_num(analysis.gamma_2.total),
    )


def draw(analysis: Analysis) -> Figure:
    """The plane of pairs by what must hold there, and the measured one with its 95% ellipses.

    Raises
    ------
    ValueError
        If gamma_1 and gamma_2 are not both concluded and positive.
    """
    if not has_pair(analysis):
        raise InvalidArgument("analysis", "must have concluded a positive gamma_1 and gamma_2")
    figure = style.canvas(style.FULL, 3.6)
    axes = figure.add_subplot()
    g1, g2 = analysis.gamma_1, analysis.gamma_2
    inner = _ellipse(analysis, 0.0, 0.0)
    outer = _ellipse(analysis, g1.systematic, g2.systematic)
    edges: list[Array] = []
    for axis, shown, one, rim in (
        (axes.xaxis, SHOWN[0], g1, outer[0]),
        (axes.yaxis, SHOWN[1], g2, outer[1]),
    ):
        low = max(float(rim.min()), one.value / 4)  # an error larger than the value has no end
        ends = np.array([min(shown[0], low / BEYOND), max(shown[1], float(rim.max()) * BEYOND)])
        edges.append(np.geomspace(ends[0], ends[1], SIDE + 1))
        panels.log_scale(axis, ends)
        axes.set(**{f"{axis.axis_name}lim": tuple(ends)})
    _plane(axes, *edges)
    product = g1.value * g2.value
    axes.plot(edges[0], product / edges[0], **CONVENTIONS)
    for rim, look in ((outer, BOTH), (inner, STATISTICAL)):
        axes.plot(*np.maximum(rim, 1e-9), **look)
    axes.plot(g1.value, g2.value, **PAIR)
    axes.set(
        xlabel=r"$\gamma_1$ of the early law, $\epsilon\sim\lambda^{-\gamma_1}$",
        ylabel=r"$\gamma_2$ of the norm, $\lambda_{\rm opt}\sim P^{\gamma_2}$",
    )
    handles = [Patch(fc=colour, ec="#777777", lw=0.4, label=t) for colour, t in REGIONS.items()]
    lines = [Line2D([], [], **PAIR, label="measured pair")]
    lines += [Line2D([], [], **STATISTICAL, label="95%, statistical")]
    lines += [Line2D([], [], **BOTH, label="with systematic errors")]
    lines += [Line2D([], [], **CONVENTIONS, label="the pair for other powers of the norm")]
    figure.legend(handles=[*handles, *lines], loc="outside right upper")
    return figure


def _ellipse(analysis: Analysis, *systematic: float) -> Array:
    """The rim (2, n) of the 95% ellipse of the pair, systematic errors added to the diagonal."""
    names = ["gamma_1", "gamma_2"]
    covariance = np.nan_to_num(analysis.covariance.loc[names, names].to_numpy(dtype=np.float64))
    covariance = covariance + np.diag(np.nan_to_num(systematic) ** 2)
    variance, axis = np.linalg.eigh(covariance)
    turn = np.linspace(0, 2 * math.pi, 400)
    rim = np.sqrt(np.maximum(variance, 0.0))[:, None] * np.stack([np.cos(turn), np.sin(turn)])
    centre = np.array([[analysis.gamma_1.value], [analysis.gamma_2.value]])
    return np.asarray(centre + RADIUS * axis @ rim)


def _plane(axes: Axes, edges_1: Array, edges_2: Array) -> None:
    """Colours by what must hold."""
    middle = [np.sqrt(edges[1:] * edges[:-1]) for edges in (edges_1, edges_2)]
    found = effective_spectrum(middle[0], middle[1][:, None])
    exists, law = np.isfinite(found.capacity), np.asarray(found.product_law)
    steep = np.broadcast_to(middle[0] > 1, exists.shape)
    which = np.select([~exists, ~law, steep], [3, 2, 1], 0)
    colours = ListedColormap(list(REGIONS))
    axes.pcolormesh(
        edges_1, edges_2, which, cmap=colours, vmin=-0.5, vmax=3.5, zorder=0, rasterized=True
    )


def finding(analysis: Analysis) -> str:
    """Whether the product law must hold for the measured pair, in a sentence."""
    found = _placed(analysis)
    holds, nowhere = found.product_law_probability, found.outside_probability
    regime = found.regime.sentence  # type: ignore[union-attr]  # of a pair of numbers
    if found.product_law:
        return f"The pair lies where the product law must hold, with probability {_short(holds)}."
    if math.isfinite(float(found.capacity)):
        return (
            f"The pair lies where the product law fails ({regime}); that the law must hold has "
            f"probability {_short(holds)}."
        )
    return (
        f"The pair lies outside of what any spectrum gives ({regime}): with probability "
        f"{_short(nowhere)}, while that the product law must hold has probability {_short(holds)}."
    )


def _short(probability: float | Array) -> str:
    """A probability, as a bound next to 0 and 1."""
    if probability > 1 - CLOSE:
        return f"above {1 - CLOSE:g}"
    return f"{probability:.2f}" if probability >= CLOSE else f"below {CLOSE:g}"


def alt(analysis: Analysis) -> str:
    """What is to be seen, for who does not see it."""
    return (
        "A plane of gamma_1 and gamma_2 on logarithmic axes in four colours, with a point at "
        f"gamma_1 = {analysis.gamma_1.value:.3g}, gamma_2 = {analysis.gamma_2.value:.3g} in two "
        "ellipses, and a falling dotted line through it."
    )


def caption(analysis: Analysis) -> str:
    """What is shown, with the inputs that would have the pair."""
    return (
        "Pairs of exponents of the perceptron at fixed norm with structured inputs, coloured by "
        "whether the exponent of its smallest error is gamma_1 gamma_2. Point: gamma_1 = "
        f"{number(analysis.gamma_1)} and gamma_2 = {number(analysis.gamma_2)}; ellipses: 95%, "
        "statistical with the covariance of the two (solid), and with the systematic errors added "
        f"in quadrature (dashed).{_inputs(_placed(analysis))} Probabilities take both errors as "
        "normal and independent. Dotted: where a norm that is a power of this one would have put "
        "the pair, with the same product. That networks are perceptrons is not said."
    )


def _inputs(found: EffectiveSpectrum) -> str:
    """Capacity and source, where some inputs have the pair."""
    if not math.isfinite(float(found.capacity)):
        return ""
    high = float(found.capacity_high)
    until = f"to {high:.2g}" if math.isfinite(high) else "without an upper end"
    source = Estimate(
        float(found.source), float(found.source_error), math.nan, math.nan, systematic=0.0
    )
    return (
        f" Inputs with eigenvalues k^-a would have it for a = {float(found.capacity):.2g} "
        f"({float(found.capacity_low):.2g} {until}, 68%) and the source r = {number(source)}."
    )
