"""Two power laws in one: the error at the optimum in three regimes of P, eq. (6) (Figure 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import Transform

from deepnorm.figures import panels, style
from deepnorm.verdict import NO_RANGE, power_of_P, thresholds
from replica.scaling import Analysis, Regimes

__all__ = ["PAPER", "alt", "caption", "draw", "finding", "sketch", "sketch_caption"]

#: The paper's sketch: k_1 = 50, gamma_1 = 0.6, q_1 = 0.01, k_2 = 1, gamma_2 = 1, q_2 = 1000.
PAPER = Regimes(
    log_k1=math.log(50.0),
    gamma_1=0.6,
    q1=0.01,
    log_k2=0.0,
    gamma_2=1.0,
    q2=1000.0,
    q1_high=math.nan,
    q2_high=math.nan,
    q1_p=math.nan,
    q2_p=math.nan,
    P_minus=1000.0,  # (q2/k2)^(1/gamma_2)
    P_plus=(50.0 / 0.01) ** (1 / 0.6),  # (k1 k2^-gamma_1/q1)^(1/(gamma_1 gamma_2))
    P_minus_high=math.nan,
    P_plus_low=math.nan,
)
#: How far the axis of P reaches beyond data and thresholds, as factors.
BEYOND = 30.0

CURVE: style.Style = {**style.THEORY, "zorder": 3}
THRESHOLD: style.Style = {"color": "#555555", "ls": (0, (1, 1.5)), "lw": 1.0, "zorder": 2}
NOT_EXCLUDED: style.Style = {"color": "#999999", "alpha": 0.25, "lw": 0, "zorder": 0}
DATA: style.Style = {"ls": "none", "marker": "o", "ms": 3.2, "color": "black", "zorder": 5}
AT_END: style.Style = {**DATA, "mfc": "white", "mew": 0.7}


def sketch(law: Regimes = PAPER) -> Figure:
    """The law alone: two plateaus, a power law and the thresholds between them."""
    figure = style.canvas(style.FULL, 3.2)
    axes = figure.add_subplot()
    ends = np.array([law.P_minus / BEYOND**1.5, law.P_plus * BEYOND**1.5])
    panels.log_scale(axes.xaxis, ends)
    P = np.geomspace(*axes.get_xlim(), 400)
    first, slope = float(law(np.array(1e-300))), law.gamma_1 * law.gamma_2
    axes.plot(P, law(P), **{**CURVE, "lw": 1.8})
    for level in (first, law.q1):
        axes.axhline(level, **style.LIMIT)
    between = np.array([law.P_minus / 3, law.P_plus * 3])
    power = np.exp(law.log_k1 - law.gamma_1 * law.log_k2) * between**-slope
    axes.plot(between, power, **style.LIMIT)
    panels.log_scale(axes.yaxis, np.array([law.q1 / 2.5, 2.5 * first]))
    for threshold, name, height in ((law.P_minus, "P_-", 0.05), (law.P_plus, "P_+", 0.9)):
        axes.axvline(threshold, **THRESHOLD)
        text = f"${name}$ = {panels.number(threshold)}"
        _beside(axes, (threshold, height), text, (4, 0), transform=axes.get_xaxis_transform())
    start = rf"a random guess: $k_1q_2^{{-\gamma_1}}+q_1={first:.2f}$"
    _beside(axes, (0.02, first), start, (0, 4), transform=axes.get_yaxis_transform())
    floor = rf"floor $q_1={law.q1:g}$"
    _beside(axes, (0.02, law.q1), floor, (0, 4), transform=axes.get_yaxis_transform())
    middle = math.sqrt(law.P_minus * law.P_plus)
    style.along(axes, middle, 1.6 * float(law(np.array(middle))), rf"slope $-{slope:g}$", -slope)
    axes.set(xlabel=r"training examples $P$", ylabel=r"test error $\epsilon(P)$")
    return figure


def _beside(
    axes: Axes,
    place: tuple[float, float],
    text: str,
    offset: tuple[float, float],
    transform: Transform,
) -> None:
    """Text a few points beside a place."""
    axes.annotate(
        text,
        place,
        xycoords=transform,
        xytext=offset,
        textcoords="offset points",
        fontsize=style.SMALL,
    )


def draw(analyses: panels.Analyses) -> Figure:
    """One panel for each analysis: its minima, and the combined law fitted to them."""
    found = panels.titled(analyses)
    grid = panels.grid(list(found), 3.2 if len(found) == 1 else 2.4)
    for axes, analysis in zip(grid.axes, found.values(), strict=True):
        _panel(axes, analysis)
    grid.key(_handles(list(found.values()), grid))
    return grid.figure


def _handles(analyses: Sequence[Analysis], grid: panels.Grid) -> list[Artist]:
    """The legend, of what is drawn."""
    handles: list[Artist] = []
    if not all(analysis.optima["at_end"].all() for analysis in analyses):
        handles.append(Line2D([], [], **DATA, label=r"$\epsilon_{\rm opt}(P)$"))
    if any(analysis.optima["at_end"].any() for analysis in analyses):
        words = r"$\epsilon_{\rm opt}(P)$ at the end of training"
        handles.append(Line2D([], [], **AT_END, label=words))
    laws = [
        (analysis.regimes, axes.get_xlim())
        for analysis, axes in zip(analyses, grid.axes, strict=True)
        if analysis.regimes is not None
    ]
    if laws:
        handles.append(Line2D([], [], **CURVE, label="combined law, eq. (6)"))
    if any(left < P < right for law, (left, right) in laws for P in (law.P_minus, law.P_plus)):
        handles.append(Line2D([], [], **THRESHOLD, label=r"$P_-$ or $P_+$, where found"))
    if any(law.P_minus_high > left or law.P_plus_low < right for law, (left, right) in laws):
        handles.append(Patch(**NOT_EXCLUDED, label="a plateau is not excluded (95%)"))
    return handles


def _panel(axes: Axes, analysis: Analysis) -> None:
    """The minima of one analysis, the law and its thresholds or their limits."""
    table, law, of = analysis.optima, analysis.regimes, panels.quantities(analysis)
    P, eps = table["P"].to_numpy(), table["eps_opt"].to_numpy()
    at_end = table["at_end"].to_numpy()
    axes.plot(P[~at_end], eps[~at_end], **DATA)
    axes.plot(P[at_end], eps[at_end], **AT_END)
    axes.set(xlabel=r"training examples $P$", ylabel=panels.error_label(of, r"\epsilon_{\rm opt}"))
    ends = np.array([P.min() / BEYOND, P.max() * BEYOND])
    panels.log_scale(axes.xaxis, ends)
    if law is None:
        panels.log_scale(axes.yaxis, eps)
        panels.remark(axes, "no combined law")
        return
    left, right = axes.get_xlim()
    at = np.geomspace(left, right, 200)
    axes.plot(at, law(at), **CURVE)
    panels.log_scale(axes.yaxis, np.concatenate([law(at), eps]))
    for threshold in (law.P_minus, law.P_plus):
        if left < threshold < right:
            axes.axvline(threshold, **THRESHOLD)
    if law.P_minus_high > left:
        axes.axvspan(left, min(law.P_minus_high, right), **NOT_EXCLUDED)
    if law.P_plus_low < right:
        axes.axvspan(max(law.P_plus_low, left), right, **NOT_EXCLUDED)
    axes.set_xlim(left, right)
    if thresholds(law).startswith(NO_RANGE):
        panels.remark(axes, "no range of a power law")
    else:
        panels.remark(axes, ", ".join(filter(None, (_minus(law), _plus(law)))))


def _minus(law: Regimes) -> str:
    """P_-, or its upper limit; nothing if that is nowhere near."""
    if law.P_minus > 0:
        return f"$P_-$ = {panels.number(law.P_minus)}"
    return f"$P_-$ < {panels.number(law.P_minus_high)}" if law.P_minus_high > 0 else ""


def _plus(law: Regimes) -> str:
    """P_+, or its lower limit; nothing if that is nowhere near."""
    if math.isfinite(law.P_plus):
        return f"$P_+$ = {panels.number(law.P_plus)}"
    finite = math.isfinite(law.P_plus_low)
    return f"$P_+$ > {panels.number(law.P_plus_low)}" if finite else ""


def finding(analysis: Analysis) -> str:
    """Where the error is a power of P, in a sentence."""
    said = power_of_P(analysis)
    return f"{said[0].upper()}{said[1:]}."


def alt(analysis: Analysis) -> str:
    """What is to be seen, for who does not see it."""
    P, of = analysis.optima["P"], panels.quantities(analysis)
    return (
        f"{len(P)} points, the lowest {of.error} against P from {P.min():g} to {P.max():g}, and a "
        "curve through them that is drawn well beyond; grey on the left and on the right is where "
        "it may level off."
    )


def caption(analyses: panels.Analyses) -> str:
    """What is shown."""
    of = panels.quantities(analyses)
    return (
        f"{of.error.capitalize()} at the optimum (circles, hollow at the end of training) and the "
        "combined law eps(P) = k1 (k2 P^gamma_2 + q2)^(-gamma_1) + q1, drawn well beyond the data. "
        "Between P_- and P_+ it is a power law. Each threshold is given with its value where an "
        "offset q1 or q2 is found, else with its 95% limit; grey: where the data do not exclude a "
        "plateau."
    )


def sketch_caption(law: Regimes = PAPER) -> str:
    """What is shown, with the parameters."""
    start = float(law(np.array(1e-300)))
    return (
        "Sketch of the combined law eps(P) = k1 (k2 P^gamma_2 + q2)^(-gamma_1) + q1 with "
        f"gamma_1 = {law.gamma_1:g}, k1 = {math.exp(law.log_k1):g}, q1 = {law.q1:g}, "
        f"gamma_2 = {law.gamma_2:g}, k2 = {math.exp(law.log_k2):g}, q2 = {law.q2:g}: chosen, not "
        f"fitted. Its three regimes (dashed): a plateau at {start:.3f} for P << P_- = "
        f"(q2/k2)^(1/gamma_2) = {law.P_minus:g}, a power law of exponent gamma_1 gamma_2 = "
        f"{law.gamma_1 * law.gamma_2:g}, and the floor q1 for P >> P_+ = "
        f"(k1 k2^(-gamma_1)/q1)^(1/(gamma_1 gamma_2)) = {law.P_plus:.3g}. The first plateau should "
        "be the error of a random guess, (n - 1)/n for n classes: 0.9 for ten."
    )
