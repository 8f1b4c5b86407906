"""Error against norm at alpha = 5, fixed or grown by training: Hebb, optimum, stability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from perceptron import gradient_descent, gradient_flow, largest_curvature, teacher_student
from replica import bayes_optimal, hebb, logistic_teacher_student, max_stability, optimal_norm
from validation import style, words

__all__ = ["Data", "caption", "compute", "draw"]

Array = NDArray[np.float64]

#: Examples per dimension, as in the paper.
ALPHA = 5.0
#: Range of the norm on the page, and in the inset around the minimum in units of lam_opt.
LAM = (1e-2, 1e3)
ZOOM = (0.72, 1.42)
#: The trained perceptron: dimensions by default and in full, where every step is done.
N, FULL_N = 4000, 1000
#: Steps of gradient descent, as in the paper.
STEPS = 10**6
#: Where the gap to Bayes is surveyed for the caption.
SURVEY = np.geomspace(1e-2, 1e6, 65)


@dataclass(frozen=True)
class Data:
    """The curve of one alpha and the rules along it.

    Attributes
    ----------
    alpha : float
        Examples per dimension.
    lam, error : (n,) array
        The norm and the generalization error there.
    optimal_lam, optimal_error : float
        The minimum.
    hebb, bayes, max_stability : float
        Generalization error of the classical rules.
    bayes_gap : float
        eps_opt/eps_Bayes - 1 at this alpha.
    smallest_gap, largest_gap : float
        The extremes of that over `SURVEY`.
    zoom_lam, zoom_gap : (m,) array
        The norm around the minimum, and eps/eps_Bayes - 1 there.
    approach : float
        lam (eps_max_stability - eps(lam)) at the right end of the curve.
    trained_lam, trained_error, trained_step : (k,) array
        Norm and error along the training of one perceptron with free norm, and the
        steps of gradient descent done by then.
    dimensions : int
        N of that perceptron.
    full : bool
        Whether it was trained by every step of gradient descent; else by the flow
        that these steps follow.
    """

    alpha: float
    lam: Array
    error: Array
    optimal_lam: float
    optimal_error: float
    hebb: float
    bayes: float
    max_stability: float
    bayes_gap: float
    smallest_gap: float
    largest_gap: float
    zoom_lam: Array
    zoom_gap: Array
    approach: float
    trained_lam: Array
    trained_error: Array
    trained_step: Array
    dimensions: int
    full: bool


def compute(full: bool = False) -> Data:
    """Solve the saddle point along the path, and the rules at its ends; train a perceptron."""
    examples = teacher_student(FULL_N if full else N, ALPHA, seed=0)
    rate = 0.1 / largest_curvature(examples)
    if full:
        trained = gradient_descent(examples, STEPS, rate)
    else:
        trained = gradient_flow(examples, until_time=STEPS * rate)
    shown = trained.norm >= LAM[0]
    best = optimal_norm(ALPHA)
    lam = np.geomspace(*LAM, 301)
    zoom_lam = best.lam * np.linspace(*ZOOM, 141)
    error = np.asarray(logistic_teacher_student(ALPHA, lam).generalization_error)
    zoom = np.asarray(logistic_teacher_student(ALPHA, zoom_lam).generalization_error)
    bayes = float(bayes_optimal(ALPHA).generalization_error)
    stable = float(max_stability(ALPHA).generalization_error)
    survey = optimal_norm(SURVEY).bayes_gap
    return Data(
        alpha=ALPHA,
        lam=lam,
        error=error,
        optimal_lam=float(best.lam),
        optimal_error=float(best.generalization_error),
        hebb=float(hebb(ALPHA).generalization_error),
        bayes=bayes,
        max_stability=stable,
        bayes_gap=float(best.bayes_gap),
        smallest_gap=float(np.min(survey)),
        largest_gap=float(np.max(survey)),
        zoom_lam=zoom_lam,
        zoom_gap=zoom / bayes - 1,
        approach=float(lam[-1] * (stable - error[-1])),
        trained_lam=trained.norm[shown],
        trained_error=trained.generalization_error[shown],
        trained_step=trained.time[shown] / rate,
        dimensions=examples.N,
        full=full,
    )


def draw(data: Data) -> Figure:
    """One column wide; the inset shows what the panel cannot resolve."""
    figure = style.canvas(style.COLUMN, 3.15)
    axes = figure.add_subplot()
    _rules(axes, data)
    axes.plot(data.lam, data.error, **style.THEORY, zorder=3)
    _training(figure, axes, data)
    axes.plot(data.optimal_lam, data.optimal_error, **style.STAR)
    axes.set(
        xscale="log",
        xlim=LAM,
        ylim=(0.072, 0.174),
        xlabel=r"norm $\lambda$",
        ylabel=r"generalization error $\epsilon$",
        yticks=np.arange(0.08, 0.171, 0.02),
    )
    axes.text(0.014, 0.127, "fixed norm", color=style.THEORY["color"])
    axes.text(0.014, 0.117, rf"$\alpha = {data.alpha:g}$", color=style.THEORY["color"])
    _inset(axes.inset_axes((0.55, 0.365, 0.42, 0.42)), data)
    return figure


def _training(figure: Figure, axes: Axes, data: Data) -> None:
    """One perceptron whose norm grows while it learns, coloured by the steps it has done."""
    points = np.stack([data.trained_lam, data.trained_error], axis=1)
    norm = LogNorm(max(1.0, data.trained_step[0]), STEPS)
    line = LineCollection(
        list(np.stack([points[:-1], points[1:]], axis=1)),
        cmap="plasma",
        norm=norm,
        array=data.trained_step[1:],
        lw=2.2,
        zorder=4,
        capstyle="round",
    )
    axes.add_collection(line)
    figure.colorbar(
        line, ax=axes, location="top", label="training: steps of gradient descent", aspect=40
    )


def _rules(axes: Axes, data: Data) -> None:
    """The classical rules, each named on its line."""
    left, right = LAM[0] * 1.25, LAM[1] / 1.25
    rules = [
        (data.hebb, "Hebb", style.HEBB, right, "right", 1),
        (data.max_stability, "maximum stability", style.STABLE, left, "left", 1),
        (data.bayes, "Bayes-optimal", style.BAYES, left, "left", -1),
    ]
    for error, name, look, x, side, above in rules:
        axes.axhline(error, **look, zorder=2)
        axes.annotate(
            name,
            (x, error),
            xytext=(0, 2.5 * above),
            textcoords="offset points",
            ha=side,
            va="bottom" if above > 0 else "top",
            color=look["color"],
            fontsize=style.SMALL,
        )


def _inset(inset: Axes, data: Data) -> None:
    """The relative distance to Bayes around the minimum."""
    percent = 100 * data.bayes_gap
    inset.axhline(0, **style.BAYES)
    inset.plot(data.zoom_lam, 100 * data.zoom_gap, **style.THEORY)
    inset.plot(data.optimal_lam, percent, **{**style.STAR, "ms": 5.5})
    inset.set(xlim=(data.zoom_lam[0], data.zoom_lam[-1]), ylim=(-0.17, 0.25), xticks=(4, 5, 6))
    inset.set_yticks((0.0, 0.1, 0.2))
    inset.set_xlabel(r"$\lambda$", fontsize=style.SMALL, labelpad=0)
    inset.set_title(r"$\epsilon/\epsilon_{\rm Bayes}-1$  (%)", fontsize=style.SMALL, pad=3)
    inset.vlines(data.optimal_lam, 0, percent, color="black", lw=0.8)
    text = f"the minimum stays\n{percent:.3f}% above Bayes"
    style.note(inset, 0.5, 0.32, text, ha="center", va="top")


def caption(data: Data) -> str:
    """The caption, with its numbers computed."""
    return words.paragraphs(
        f"""
        Figure 1. Generalization error eps of the minimiser of the logistic loss at fixed norm
        lam, alpha = {data.alpha:g} (solid line), in the limit of infinite dimension. The curve
        starts at Hebb's rule, eps = {data.hebb:.6f}, for lam -> 0, has its minimum
        {data.optimal_error:.6f} at lam_opt = {data.optimal_lam:.4f} (star), and tends to the
        rule of maximum stability, {data.max_stability:.6f}, from which it still differs by
        {data.approach:.3f}/lam at lam = {data.lam[-1]:g}. Horizontal lines: the classical rules.
        Inset: relative distance to the Bayes-optimal error, {data.bayes:.6f}, around the minimum.
        """,
        f"""
        Coloured: one perceptron of N = {data.dimensions} dimensions (one seed), inputs -1 and 1,
        trained at free norm from w = 0 on log(1 + exp(-2 Delta)); lam is its norm |w|/sqrt(N).
        {"Every one of the" if data.full else "The flow that is followed by the"} {STEPS:.0e} steps
        of gradient descent, of size 0.1 over the largest curvature{
            "" if data.full else "; draw with --full for the steps themselves"
        }. It is a single sample, whose error around the minimum scatters by about
        {100 / np.sqrt(data.dimensions):.1f}%, and may fall below what is best on average; and it is
        not on the curve of fixed norm: see the figure `trajectory`.
        """,
        "Where the theory corrects the paper.",
        f"""
        (i) The minimum is close to the Bayes-optimal error and does not reach it: at this alpha
        it stays {100 * data.bayes_gap:.3f}% above. At {len(SURVEY)} values of alpha from
        {SURVEY[0]:g} to {SURVEY[-1]:g} the relative gap lies between {data.smallest_gap:.1e} and
        {data.largest_gap:.2e}.
        """,
        f"(ii) {words.EQUATION}",
        words.CONVENTION,
    )
