"""Training at free norm against the minimiser at fixed norm, on the same examples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from perceptron import gradient_flow, minimize_at_norm, over_seeds, teacher_student
from replica import logistic_teacher_student
from validation import style, words

__all__ = ["Data", "caption", "compute", "draw"]

Array = NDArray[np.float64]

#: Examples per dimension; the first panel shows the middle one.
ALPHAS = (1.0, 5.0, 20.0)
SHOWN = 5.0
#: Norms at which the two are compared.
LAM = np.geomspace(0.03, 20.0, 25)
#: Dimensions and seeds, by default and in full.
N, SEEDS = 500, 16
FULL_N, FULL_SEEDS = 2000, 24


@dataclass(frozen=True)
class Data:
    """Errors of both, seed by seed.

    Attributes
    ----------
    alphas : tuple of float
        Examples per dimension.
    lam : (k,) array
        Norms.
    free, free_error : (3, k) array
        Mean generalization error of the flow when it has grown to lam, and its standard error.
    fixed : (3, k) array
        The same for the minimiser at lam, on the same examples.
    theory : (3, k) array
        Prediction for the minimiser.
    deviation, deviation_error : (3, k) array
        Mean over seeds of free/fixed - 1, and its standard error.
    dimensions, seeds : int
        N, and how many seeds.
    """

    alphas: tuple[float, ...]
    lam: Array
    free: Array
    free_error: Array
    fixed: Array
    theory: Array
    deviation: Array
    deviation_error: Array
    dimensions: int
    seeds: int


def compute(full: bool = False) -> Data:
    """Train and minimise on the same examples: the sample's own error cancels in the ratio."""
    n, seeds = (FULL_N, FULL_SEEDS) if full else (N, SEEDS)
    rows: dict[str, list[Array]] = {
        name: []
        for name in ("free", "free_error", "fixed", "theory", "deviation", "deviation_error")
    }
    for alpha in ALPHAS:

        def race(seed: int, alpha: float = alpha) -> dict[str, Array]:
            examples = teacher_student(n, alpha, seed)
            flow = gradient_flow(examples, until_norm=1.02 * LAM[-1], progress=False)
            grown = flow.norm > 0
            free = np.exp(
                np.interp(
                    np.log(LAM),
                    np.log(flow.norm[grown]),
                    np.log(flow.generalization_error[grown]),
                )
            )
            fixed = np.array([m.generalization_error for m in minimize_at_norm(examples, LAM)])
            return {"free": free, "fixed": fixed, "deviation": free / fixed - 1}

        found = over_seeds(race, seeds)
        rows["free"].append(found.mean("free"))
        rows["free_error"].append(found.standard_error("free"))
        rows["fixed"].append(found.mean("fixed"))
        rows["deviation"].append(found.mean("deviation"))
        rows["deviation_error"].append(found.standard_error("deviation"))
        theory = logistic_teacher_student(alpha, LAM).generalization_error
        rows["theory"].append(np.asarray(theory))
    return Data(
        alphas=ALPHAS,
        lam=LAM,
        dimensions=n,
        seeds=seeds,
        **{name: np.stack(values) for name, values in rows.items()},
    )


def draw(data: Data) -> Figure:
    """One column: the two curves at one alpha, and their relative distance at three."""
    figure = style.canvas(style.COLUMN, 4.2)
    top, bottom = figure.subplots(2, 1, sharex=True)
    _curves(top, data)
    _deviation(bottom, data)
    return figure


def _curves(axes: Axes, data: Data) -> None:
    k = data.alphas.index(SHOWN)
    axes.plot(data.lam, data.theory[k], **style.THEORY, label="fixed norm, theory")
    axes.plot(
        data.lam, data.fixed[k], "o", color=style.THEORY["color"], ms=3, mfc="white", mew=0.8,
        label="fixed norm, simulated",
    )  # fmt: skip
    axes.errorbar(
        data.lam, data.free[k], data.free_error[k], fmt="s", color=style.STABLE["color"], ms=2.6,
        lw=0.8, label="free norm, simulated",
    )  # fmt: skip
    axes.set(xscale="log", ylabel=r"generalization error $\epsilon$")
    axes.legend(loc="lower left")
    style.panel(axes, "a", rf"$\alpha = {SHOWN:g}$")


def _deviation(axes: Axes, data: Data) -> None:
    axes.axhline(0, color="black", lw=0.7)
    colours = style.series(len(data.alphas))
    for alpha, deviation, error, colour in zip(
        data.alphas, data.deviation, data.deviation_error, colours, strict=True
    ):
        axes.errorbar(
            data.lam, 100 * deviation, 100 * error, fmt="o-", ms=2.6, lw=0.9, color=colour,
            label=rf"$\alpha={alpha:g}$",
        )  # fmt: skip
    axes.set(xlabel=r"norm $\lambda$", ylabel="free over fixed norm, minus 1 (%)")
    axes.legend(loc="upper right")
    style.panel(axes, "b", "the price of a free norm")


def caption(data: Data) -> str:
    """The caption, with its numbers computed."""
    peaks = []
    for alpha, deviation, error in zip(
        data.alphas, data.deviation, data.deviation_error, strict=True
    ):
        i = int(np.argmax(deviation))
        peaks.append(
            f"{100 * deviation[i]:.1f} +- {100 * error[i]:.1f}% at lam = {data.lam[i]:.2g} for "
            f"alpha = {alpha:g}"
        )
    k = data.alphas.index(SHOWN)
    last = f"{100 * data.deviation[k][-1]:.2f} +- {100 * data.deviation_error[k][-1]:.2f}%"
    return words.paragraphs(
        f"""
        Training at free norm against the minimiser at fixed norm. (a) alpha = {SHOWN:g}:
        generalization error of gradient flow on log(1 + exp(-2 Delta)) from w = 0 when its norm
        has grown to lam (squares), and of the minimiser at that norm on the same examples
        (circles), with the theory of the latter (line). (b) Their ratio minus 1, which is free of
        the fluctuations that both share. N = {data.dimensions}, {data.seeds} seeds, standard
        errors over the seeds.
        """,
        f"""
        The trajectory is not the curve of fixed norm: it lies above by up to {"; ".join(peaks)}.
        It comes back: at lam = {data.lam[-1]:g} and alpha = {SHOWN:g} the distance is {last}.
        """,
        words.CONVENTION,
    )
