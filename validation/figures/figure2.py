"""All the curves are two functions: an early law of lam and a master curve of lam/alpha."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray

from replica import (
    EARLY_LAW_CONSTANT,
    early_law,
    logistic_teacher_student,
    master_curve,
    master_optimum,
    optimal_norm,
)
from replica.scaling import PowerLawFit, fit_power_law, houdayer_hartmann
from validation import style, words

__all__ = ["Data", "caption", "compute", "draw"]

Array = NDArray[np.float64]

#: Examples per dimension: ten curves over six decades.
ALPHA = np.geomspace(1.0, 1e6, 10)
#: Norms: from Hebb to maximum stability for every alpha.
LAM = (1e-2, 1e9)
#: lam/alpha of the master curve.
ELL = (1e-8, 1e3)
#: alphas of the insets, and from where on their power laws are fitted (a choice).
TREND = np.geomspace(1.0, 1e6, 19)
FIT_FROM = 1e2
#: Small alphas at which the caption states lam_opt/alpha.
SMALL_ALPHA = np.array([1.0, 2.0, 5.0, 10.0])
#: The collapse is quoted over lam < alpha/WINDOW early, and over lam > WINDOW late.
WINDOW = 1e3
#: In units of their minima the curves are compared from this norm on: before it they follow the
#: early law, which does not scale with the minimum.
COLLAPSED_FROM = 1e1


@dataclass(frozen=True)
class Data:
    """The curves, their optima, and the limits on which they collapse.

    Attributes
    ----------
    alpha : (k,) array
        Examples per dimension.
    lam : (n,) array
        Norms, the same for every alpha.
    error, exponent : (k, n) array
        Generalization error eps, and -d log eps / d log lam.
    optimal_lam, optimal_error : (k,) array
        The minima.
    trend_alpha, trend_lam, trend_error : (m,) array
        The minima at more values of alpha.
    lam_law, error_law : PowerLawFit
        Fitted to them at large alpha; y = k alpha^(-gamma).
    wide_lam_law, wide_error_law : PowerLawFit
        Fitted to all of them.
    distance, distance_raw : float
        Root mean square distance of a curve from the others in log eps, in units of the minima
        and as they are, at lam > COLLAPSED_FROM.
    small_ratio : (4,) array
        lam_opt/alpha at `SMALL_ALPHA`, where it is not constant.
    early : (n,) array
        The limit of sqrt(alpha) eps at each norm.
    early_gap : (k, n) array
        sqrt(alpha) eps / early - 1.
    ell, master : (l,) array
        The limit of alpha eps against lam/alpha.
    master_gap : (k, n) array
        alpha eps / F(lam/alpha) - 1.
    best_ell, best_value, end : float
        Minimum of the master curve, and its value at infinity.
    constant : float
        C of eps = C (alpha lam)^(-1/2) between the two.
    steepest : (k,) array
        The largest local exponent of each curve.
    smallest_gap, largest_gap : float
        The extremes of eps_opt/eps_Bayes - 1 over `trend_alpha`.
    """

    alpha: Array
    lam: Array
    error: Array
    exponent: Array
    optimal_lam: Array
    optimal_error: Array
    trend_alpha: Array
    trend_lam: Array
    trend_error: Array
    lam_law: PowerLawFit
    error_law: PowerLawFit
    wide_lam_law: PowerLawFit
    wide_error_law: PowerLawFit
    distance: float
    distance_raw: float
    small_ratio: Array
    early: Array
    early_gap: Array
    ell: Array
    master: Array
    master_gap: Array
    best_ell: float
    best_value: float
    end: float
    constant: float
    steepest: Array
    smallest_gap: float
    largest_gap: float

    @property
    def early_spread(self) -> Array:
        """Largest distance of each curve from the early law at lam < alpha/WINDOW."""
        inside = self.lam < self.alpha[:, None] / WINDOW
        return np.max(np.abs(self.early_gap), axis=1, where=inside, initial=0.0)

    @property
    def master_spread(self) -> Array:
        """Largest distance of each curve from the master curve at lam > WINDOW."""
        return np.max(np.abs(self.master_gap), axis=1, where=self.lam > WINDOW, initial=0.0)


def compute() -> Data:
    """Solve every curve on one grid of norms, find the minima, and evaluate the limits."""
    lam = np.geomspace(*LAM, 441)
    alpha = ALPHA[:, None]
    curves = logistic_teacher_student(alpha, lam)
    best, trend = optimal_norm(ALPHA), optimal_norm(TREND)
    error, slope = np.asarray(curves.generalization_error), np.asarray(curves.slope)
    best_lam, best_error = np.asarray(best.lam), np.asarray(best.generalization_error)
    trend_lam, trend_error = np.asarray(trend.lam), np.asarray(trend.generalization_error)
    early = np.asarray(early_law(lam))
    ell = np.geomspace(*ELL, 441)
    optimum = master_optimum()
    late_part = lam > COLLAPSED_FROM
    late = np.asarray(master_curve((lam / alpha).ravel())).reshape(curves.shape)
    return Data(
        alpha=ALPHA,
        lam=lam,
        error=error,
        exponent=-slope,
        optimal_lam=best_lam,
        optimal_error=best_error,
        trend_alpha=TREND,
        trend_lam=trend_lam,
        trend_error=trend_error,
        lam_law=_fit(TREND, trend_lam, FIT_FROM),
        error_law=_fit(TREND, trend_error, FIT_FROM),
        wide_lam_law=_fit(TREND, trend_lam),
        wide_error_law=_fit(TREND, trend_error),
        distance=houdayer_hartmann(
            [np.log(lam[late_part] / at) for at in best_lam],
            list(np.log(error[:, late_part] / best_error[:, None])),
        ),
        distance_raw=houdayer_hartmann(
            [np.log(lam[late_part])] * len(ALPHA),
            list(np.log(error[:, late_part])),
        ),
        small_ratio=optimal_norm(SMALL_ALPHA).lam / SMALL_ALPHA,
        early=early,
        early_gap=np.sqrt(alpha) * error / early - 1,
        ell=ell,
        master=np.asarray(master_curve(ell)),
        master_gap=alpha * error / late - 1,
        best_ell=optimum.ell,
        best_value=optimum.value,
        end=float(master_curve(np.inf)),
        constant=EARLY_LAW_CONSTANT,
        steepest=np.max(-curves.slope, axis=1),
        smallest_gap=float(np.min(trend.bayes_gap)),
        largest_gap=float(np.max(trend.bayes_gap)),
    )


def _fit(alpha: Array, value: Array, first: float = 0.0) -> PowerLawFit:
    """The power law through the points from some alpha on, with its 95% interval."""
    large = alpha >= first
    return fit_power_law(alpha[large], value[large], relative=True, offset=False)


def draw(data: Data) -> Figure:
    """Two columns wide: the curves, their collapse on the optimum, and the two exact limits."""
    figure = style.canvas(style.FULL, 7.3)
    grid = figure.add_gridspec(3, 2, height_ratios=(3.1, 2.4, 1.0))
    colours = style.scale(data.alpha[0], data.alpha[-1])
    upper = [figure.add_subplot(grid[0, column]) for column in (0, 1)]
    middle = [figure.add_subplot(grid[1, column]) for column in (0, 1)]
    lower = [figure.add_subplot(grid[2, column], sharex=middle[column]) for column in (0, 1)]
    _curves(upper[0], data, colours)
    _rescaled(upper[1], data, colours)
    _early(middle[0], lower[0], data, colours)
    _late(middle[1], lower[1], data, colours)
    bar = figure.colorbar(colours, ax=[*upper, *middle, *lower], aspect=55, pad=0.015)
    bar.set_label(r"examples per dimension $\alpha$")
    bar.set_ticks(style.decades(0, 6, 1).tolist())
    bar.ax.tick_params(which="minor", length=0)
    for column in (0, 1):
        figure.align_ylabels([upper[column], middle[column], lower[column]])
    return figure


def _family(axes: Axes, data: Data, colours: ScalarMappable, x: Array, y: Array) -> None:
    """One line for each alpha."""
    x = np.broadcast_to(x, y.shape)
    for alpha, abscissa, ordinate in zip(data.alpha, x, y, strict=True):
        axes.plot(abscissa, ordinate, color=colours.to_rgba(alpha), lw=1.0)


def _curves(axes: Axes, data: Data, colours: ScalarMappable) -> None:
    """(a): the curves as they are, their minima, and in the inset their local exponents."""
    _family(axes, data, colours, data.lam, data.error)
    axes.plot(data.optimal_lam, data.optimal_error, **style.STAR)
    axes.set(xscale="log", yscale="log", xlim=LAM, ylim=(1e-10, 1))
    axes.set(xlabel=r"norm $\lambda$", ylabel=r"generalization error $\epsilon$")
    axes.set(xticks=style.decades(-2, 8, 2), yticks=style.decades(-10, 0, 2))
    style.panel(axes, "a", "learning curves and their minima")
    inset = axes.inset_axes((0.105, 0.09, 0.37, 0.255))
    _family(inset, data, colours, data.lam, data.exponent)
    inset.axhline(0.5, **style.LAW)
    inset.set(xscale="log", xlim=(1e-2, 1e8), ylim=(-0.12, 0.62))
    inset.set_yticks((0, 0.5), labels=("0", "1/2"))
    inset.set_xticks(style.decades(-2, 8, 5))
    inset.minorticks_off()
    title = "local exponent\n" + r"$-{\rm d}\,\ln\epsilon\,/\,{\rm d}\,\ln\lambda$"
    inset.set_title(title, **_SMALL_TITLE)
    middle, last = _index(data.alpha, 1e2), len(data.alpha) - 1
    power = f"{np.log10(data.alpha[last]):.0f}"
    text = "\n".join(
        [
            "exponent exactly 1/2 for",
            r"$1\ll\lambda\ll\alpha\to\infty$; at most",
            rf"{data.steepest[middle]:.3f} at $\alpha=10^2$,",
            rf"{data.steepest[last]:.5f} at $\alpha=10^{power}$",
        ]
    )
    style.note(axes, 0.975, 0.04, text, ha="right", va="bottom", linespacing=1.1)


def _rescaled(axes: Axes, data: Data, colours: ScalarMappable) -> None:
    """(b): the curves in units of their optimum; insets: how the optimum moves."""
    x = data.lam / data.optimal_lam[:, None]
    _family(axes, data, colours, x, data.error / data.optimal_error[:, None])
    axes.plot(1, 1, **style.STAR)
    axes.set(xscale="log", yscale="log", xlim=ELL, ylim=(0.3, 2e4))
    axes.set(xlabel=r"$\lambda/\lambda_{\rm opt}$", ylabel=r"$\epsilon/\epsilon_{\rm opt}$")
    axes.set(xticks=style.decades(-8, 2, 2))
    style.panel(axes, "b", "rescaled by the minimum")
    upper = axes.inset_axes((0.60, 0.71, 0.375, 0.215))
    lower = axes.inset_axes((0.60, 0.395, 0.375, 0.215))
    at = data.trend_alpha
    ratio, product = data.trend_lam / at, data.trend_error * at
    _trend(upper, at, ratio, data.lam_law(at) / at, (0.8, 1.25), (0.9, 1.2))
    _trend(lower, at, product, data.error_law(at) * at, (0.2, 0.49), (0.3, 0.4))
    upper.set_title(r"$\lambda_{\rm opt}/\alpha$", **_SMALL_TITLE)
    lower.set_title(r"$\alpha\,\epsilon_{\rm opt}$", **_SMALL_TITLE)
    upper.set_xticklabels([])
    lower.set_xlabel(r"$\alpha$", fontsize=style.SMALL, labelpad=0)
    for inset, height, law in ((upper, 0.6, data.lam_law), (lower, 0.38, data.error_law)):
        inset.text(
            0.94,
            height,
            rf"fit at $\alpha\geq{FIT_FROM:g}$:"
            "\n"
            rf"${-law.gamma:.6f}({(law.gamma_high - law.gamma_low) / 2 * 1e6:.0f})$",
            transform=inset.transAxes,
            ha="right",
            va="center",
            fontsize=style.SMALL,
            linespacing=1.1,
        )
    text = (
        r"$\lambda_{\rm opt}$ is linear in $\alpha$"
        "\nat large $\\alpha$ only:\n"
        rf"$\lambda_{{\rm opt}}/\alpha\to{data.best_ell:.4f}$"
    )
    style.note(axes, 0.03, 0.05, text, va="bottom")


_SMALL_TITLE: style.Style = {"fontsize": style.SMALL, "pad": 3, "loc": "left", "linespacing": 1.0}


def _trend(
    inset: Axes,
    alpha: Array,
    value: Array,
    fit: Array,
    limits: tuple[float, float],
    ticks: tuple[float, ...],
) -> None:
    """A quantity that tends to a constant, and the power law fitted at large alpha."""
    inset.plot(alpha, fit, **{**style.LIMIT, "zorder": 2})
    inset.plot(alpha, value, ls="none", marker="o", ms=2.2, color=style.THEORY["color"])
    inset.set(xscale="log", xlim=(0.5, 2 * alpha[-1]), ylim=limits, yticks=ticks)
    inset.set_xticks(style.decades(0, 6, 2))
    inset.minorticks_off()


def _index(alpha: Array, value: float) -> int:
    """Where a value stands."""
    return int(np.argmin(np.abs(np.log(alpha / value))))


def _early(axes: Axes, strip: Axes, data: Data, colours: ScalarMappable) -> None:
    """(c1): lam fixed, alpha -> inf; below, what is left of the collapse."""
    _family(axes, data, colours, data.lam, np.sqrt(data.alpha)[:, None] * data.error)
    constant = rf"$C\lambda^{{-1/2}}$, $C={data.constant:.4f}$"
    late = data.lam[data.lam >= 1]
    axes.plot(late, data.constant * late**-0.5, **style.LAW, label=constant)
    axes.plot(data.lam, data.early, **style.LIMIT, label=r"early law, $\alpha\to\infty$")
    axes.set(xscale="log", yscale="log", xlim=(1e-2, 1e8), ylim=(6e-5, 1.5))
    axes.set_ylabel(r"$\sqrt{\alpha}\,\epsilon$")
    axes.tick_params(labelbottom=False)
    axes.annotate(
        r"Hebb: $1/\sqrt{2\pi}$",
        (1e-2, data.early[0]),
        xytext=(4, 3),
        textcoords="offset points",
        fontsize=style.SMALL,
    )
    axes.legend(loc="lower left", reverse=True)
    style.along(axes, 60.0, 0.35 * data.constant * 60.0**-0.5, "slope $-1/2$", -0.5)
    style.panel(axes, "c1", r"$\alpha\to\infty$ at fixed $\lambda$")
    _family(strip, data, colours, data.lam, np.abs(data.early_gap))
    _strip(strip, r"norm $\lambda$")


def _late(axes: Axes, strip: Axes, data: Data, colours: ScalarMappable) -> None:
    """(c2): lam/alpha fixed, alpha -> inf; below, what is left of the collapse."""
    x = data.lam / data.alpha[:, None]
    _family(axes, data, colours, x, data.alpha[:, None] * data.error)
    early = data.ell[data.ell <= 1]
    axes.plot(early, data.constant * early**-0.5, **style.LAW, label=r"$C(\lambda/\alpha)^{-1/2}$")
    axes.plot(data.ell, data.master, **style.LIMIT, label=r"master curve, $\alpha\to\infty$")
    minimum = f"minimum {data.best_value:.5f}\nat " + rf"$\lambda/\alpha={data.best_ell:.5f}$"
    axes.plot(data.best_ell, data.best_value, **style.STAR, label=minimum)
    axes.set(xscale="log", yscale="log", xlim=ELL, ylim=(0.1, 5e3))
    axes.set_ylabel(r"$\alpha\,\epsilon$")
    axes.set_xticks(style.decades(-8, 2, 2))
    axes.tick_params(labelbottom=False)
    axes.annotate(
        f"maximum\nstability: {data.end:.4f}",
        (ELL[1], data.end),
        xytext=(-3, 4),
        textcoords="offset points",
        ha="right",
        linespacing=1.0,
        fontsize=style.SMALL,
    )
    handles, labels = axes.get_legend_handles_labels()
    order = (1, 0, 2)
    legend = axes.legend([handles[i] for i in order], [labels[i] for i in order], loc="upper right")
    for entry in legend.get_texts():
        entry.set_linespacing(1.0)
    style.panel(axes, "c2", r"$\alpha\to\infty$ at fixed $\lambda/\alpha$")
    _family(strip, data, colours, x, np.abs(data.master_gap))
    _strip(strip, r"$\lambda/\alpha$")


def _strip(strip: Axes, label: str) -> None:
    """The axes of the relative distances to a limit."""
    strip.set(yscale="log", ylim=(1e-8, 3), xlabel=label)
    strip.set_ylabel("relative\ndistance", linespacing=1.0)
    strip.set_yticks(style.decades(-8, 0, 2))
    strip.set_yticks([], minor=True)


def caption(data: Data) -> str:
    """The caption, with its numbers computed."""
    first, last = data.alpha[[0, -1]]
    hundred = _index(data.alpha, 1e2)
    lam_law, error_law = data.lam_law, data.error_law
    return words.paragraphs(
        f"""
        Figure 2. Generalization error eps of the minimiser of the logistic loss at fixed norm
        lam, for {len(data.alpha)} values of alpha from {first:g} to {last:g}, evenly spaced in
        the logarithm (dark to light).
        """,
        """
        (a) The curves and their minima (stars). Inset: local exponent -d log eps/d log lam;
        band: 1/2.
        """,
        f"""
        (b) The same in units of the minimum. Insets: lam_opt/alpha and alpha eps_opt against
        alpha (dots), with power laws fitted by least squares of the logarithms at
        alpha >= {FIT_FROM:g} (dashed): lam_opt = {lam_law.k:.5f} alpha^x with x in
        [{-lam_law.gamma_high:.6f}, {-lam_law.gamma_low:.6f}] and
        eps_opt = {error_law.k:.5f} alpha^-x with x in
        [{error_law.gamma_low:.6f}, {error_law.gamma_high:.6f}]; in the inset, in brackets, half
        of the interval in the last digits. There is no noise: the 95% intervals are from the
        scatter about the law, which is systematic (its residuals drift, p =
        {lam_law.serial_p:.1g}), and need not contain the exponent of the limit, 1. A fit to all
        alpha from {data.trend_alpha[0]:g} on would give
        {-data.wide_lam_law.gamma:.4f} and {data.wide_error_law.gamma:.4f}. At
        lam > {COLLAPSED_FROM:g} rescaling takes the root mean square distance of a curve from the
        others, in log eps, from {data.distance_raw:.2f} to {data.distance:.4f}.
        """,
        f"""
        (c1) sqrt(alpha) eps against lam tends to the early law (dashed), from
        {data.early[0]:.4f} at lam = {data.lam[0]:g}, close to Hebb's 1/sqrt(2 pi), to
        C lam^(-1/2) (band) with C = sqrt(sqrt(2 pi) (log 2 - 1/2))/pi = {data.constant:.8f}.
        (c2) alpha eps against lam/alpha tends to the master curve (dashed), from
        C (lam/alpha)^(-1/2) (band) through its minimum {data.best_value:.8f} at
        lam/alpha = {data.best_ell:.8f} (star) to {data.end:.8f}, maximum stability.
        Below: absolute relative distance of each curve to the limit. At alpha = {last:g} it is
        at most {data.early_spread[-1]:.1e} for lam < alpha/{WINDOW:g} in (c1), where the dip is
        a change of sign, and at most {data.master_spread[-1]:.1e} for lam > {WINDOW:g} in (c2).
        The two match for 1 << lam << alpha, where eps = C (alpha lam)^(-1/2).
        """,
        "Where the theory corrects the paper.",
        f"""
        (i) At large alpha the power law in lam has one exponent, exactly 1/2. Exponents that
        seem to depend on alpha are crossovers: the steepest slope is
        -{data.steepest[hundred]:.4f} at alpha = {data.alpha[hundred]:.0f} and
        -{data.steepest[-1]:.5f} at alpha = {last:g}.
        """,
        f"""
        (ii) lam_opt is linear in alpha at large alpha only: lam_opt/alpha is
        {words.listed(data.small_ratio, ".3f")} at alpha = {words.listed(SMALL_ALPHA, "g")}, and
        tends to {data.best_ell:.6f}. Likewise alpha eps_opt is
        {data.trend_error[0] * data.trend_alpha[0]:.3f} at alpha = {data.trend_alpha[0]:g} and
        tends to {data.best_value:.6f}.
        """,
        f"""
        (iii) The minimum never equals the Bayes-optimal error: for alpha from
        {data.trend_alpha[0]:g} to {data.trend_alpha[-1]:g} it lies above it by
        {data.smallest_gap:.1e} to {data.largest_gap:.2e} of its value.
        """,
        f"(iv) {words.EQUATION}",
        f"{words.THEORY_ONLY} {words.CONVENTION.strip()}",
    )
