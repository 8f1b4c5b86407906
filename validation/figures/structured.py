"""The paper's Figures 3, 4, 8 and 9 by theory alone: a perceptron with power-law inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from replica import (
    PowerLaw,
    logistic_teacher_student,
    max_stability,
    optimal_norm,
    population_curve,
    scaling_exponents,
    structured_master_curve,
)
from validation import style, words

__all__ = ["Data", "caption", "compute", "draw"]

Array = NDArray[np.float64]

#: Capacity and source of the curves.
LAW = (1.5, 0.3)
#: Numbers of examples of the curves, and of their optima.
P: Array = np.logspace(2, 8, 7)
#: The range of the norm.
LAM = (3e-2, 1e6)
#: Laws whose best norms are shown, one from each regime of the optimum.
GROWTH = (LAW, (1.5, 0.8), (3.0, 0.7))
#: Laws whose exponents are shown: where the product law must hold, and where it does not.
LAWS = (
    (3.0, 0.05),
    (3.0, 0.15),
    LAW,
    (2.0, 0.25),
    (4.0, 0.4),
    (1.5, 0.6),
    (1.5, 0.8),
    (1.5, 1.3),
    (2.5, 0.6),
    (3.0, 0.7),
    (3.0, 1.3),
    (5.0, 0.8),
)
#: Between these numbers of examples the exponents are measured.
DECADE = (1e7, 1e8)
#: The collapse is judged where norms are above this part of the best one: below, a curve leaves the
#: master curve as the early law leaves its power of the norm.
FROM = 0.1


@dataclass(frozen=True)
class Data:
    """Curves of one power law of the inputs, and exponents of several.

    Attributes
    ----------
    P : (m,) array
        Numbers of examples.
    lam : (n,) array
        Norms.
    error : (m, n) array
        Generalization error of each P at each norm.
    early_lam, early_error : (k,) array
        The early law: the error of endlessly many examples.
    early_constant : float
        It ends as early_constant lam^-gamma_1.
    best_lam, best_error, end_error : (m,) array
        The minima, and the error of maximum stability.
    gamma_1, gamma_2, gamma_meas : float
        Exponents of the law in closed form.
    master_lam, master_error : (k,) array
        The master curve in scaled units.
    master_best_lam, master_best_error, master_end_error : float
        Its minimum and its end.
    early_spread : float
        Largest relative distance from the early law at lam = 1 among P >= 10^3.
    apart : (m, n) array
        Relative distance of each curve from the master curve.
    spread : (m,) array
        The largest of each P, from `FROM` of the best norm on.
    growth_lam : (3, m) array
        The best norms of `GROWTH`.
    growth_constant, growth_exponent : (3,) array
        Their law in closed form.
    predicted, measured, closed : (l,) array
        For each of `LAWS` gamma_1 gamma_2, the exponent of its smallest error over `DECADE`,
        and gamma_meas in closed form.
    holds : (l,) array of bool
        Whether the product law must hold.
    """

    P: Array
    lam: Array
    error: Array
    early_lam: Array
    early_error: Array
    early_constant: float
    best_lam: Array
    best_error: Array
    end_error: Array
    gamma_1: float
    gamma_2: float
    gamma_meas: float
    master_lam: Array
    master_error: Array
    master_best_lam: float
    master_best_error: float
    master_end_error: float
    early_spread: float
    apart: Array
    spread: Array
    growth_lam: Array
    growth_constant: Array
    growth_exponent: Array
    predicted: Array
    measured: Array
    closed: Array
    holds: NDArray[np.bool_]


def compute() -> Data:
    """Solve the curves, their limits, and the optima of the other laws."""
    inputs = PowerLaw(*LAW)
    lam = np.geomspace(*LAM, 151)
    error = logistic_teacher_student(P[:, None], lam, inputs=inputs).generalization_error
    best = optimal_norm(P, inputs=inputs)
    early = population_curve(lam, inputs=inputs)
    exponents = scaling_exponents(*LAW)
    gamma_2, gamma_meas = exponents.gamma_2, exponents.gamma_meas
    scaled = lam * P[:, None] ** -gamma_2
    master = structured_master_curve(*LAW, np.geomspace(scaled.min(), scaled.max(), 401))
    at = structured_master_curve(*LAW, scaled).error.reshape(scaled.shape)
    apart = error * P[:, None] ** gamma_meas / at - 1
    late = lam >= FROM * np.asarray(best.lam)[:, None]
    one = np.array([1.0])
    common = population_curve(1.0, inputs=inputs).generalization_error
    at_one = logistic_teacher_student(P[P >= 1e3, None], one, inputs=inputs).generalization_error
    laws = [_decade(*law) for law in LAWS]
    closed = scaling_exponents(*np.array(LAWS).T)
    curves = [structured_master_curve(*law, [1.0]) for law in GROWTH]
    return Data(
        P=P,
        lam=lam,
        error=np.asarray(error),
        early_lam=lam,
        early_error=np.asarray(early.generalization_error),
        early_constant=master.early_constant,
        best_lam=np.asarray(best.lam),
        best_error=np.asarray(best.generalization_error),
        end_error=np.asarray(max_stability(P, inputs=inputs).generalization_error),
        gamma_1=float(exponents.gamma_1),
        gamma_2=float(gamma_2),
        gamma_meas=float(gamma_meas),
        master_lam=master.lam,
        master_error=master.error,
        master_best_lam=master.optimum_lam,
        master_best_error=master.optimum_error,
        master_end_error=master.end_error,
        early_spread=float(np.max(np.abs(np.asarray(at_one) / common - 1))),
        apart=apart,
        spread=np.max(np.abs(apart), axis=1, where=late, initial=0.0),
        growth_lam=np.stack([np.asarray(optimal_norm(P, inputs=PowerLaw(*g)).lam) for g in GROWTH]),
        growth_constant=np.array([curve.optimum_lam for curve in curves]),
        growth_exponent=np.array([curve.lam_exponent for curve in curves]),
        predicted=np.asarray(closed.gamma_1) * np.asarray(closed.gamma_2),
        measured=np.array(laws),
        closed=np.asarray(closed.gamma_meas),
        holds=np.asarray(closed.product_law),
    )


def _decade(capacity: float, source: float) -> float:
    """The exponent of the smallest error over a decade of P."""
    best = optimal_norm(np.array(DECADE), inputs=PowerLaw(capacity, source)).generalization_error
    return float(-np.diff(np.log(best))[0] / np.diff(np.log(DECADE))[0])


def draw(data: Data) -> Figure:
    """Curves above, exponents below."""
    figure = style.canvas(style.FULL, 5.3)
    grid = figure.add_gridspec(2, 2, height_ratios=(1.15, 1))
    collapse = grid[0, 1].subgridspec(2, 1, height_ratios=(2.6, 1), hspace=0.0)
    colours = style.scale(data.P[0], data.P[-1]).to_rgba(data.P)
    _curves(figure.add_subplot(grid[0, 0]), data, colours)
    upper = figure.add_subplot(collapse[0])
    _collapse(upper, data, colours)
    _distances(figure.add_subplot(collapse[1], sharex=upper), data, colours)
    _growth(figure.add_subplot(grid[1, 0]), data)
    _product(figure.add_subplot(grid[1, 1]), data)
    return figure


def _curves(axes: Axes, data: Data, colours: Array) -> None:
    """Every P on the early law, up to its minimum."""
    axes.loglog(data.early_lam, data.early_error, **style.LAW)
    for count, error, colour in zip(data.P, data.error, colours, strict=True):
        axes.plot(data.lam, error, color=colour, label=rf"$10^{{{np.log10(count):.0f}}}$")
    axes.plot(data.best_lam, data.best_error, **style.STAR)
    axes.set(
        xlim=LAM,
        ylim=(4e-4, 0.45),
        xlabel=r"norm $\lambda$",
        ylabel=r"generalization error $\epsilon$",
    )
    axes.legend(loc="lower left", ncols=2, title="$P$", title_fontsize=style.SMALL)
    # below the band
    x = 2.0
    style.along(axes, x, 0.5 * data.early_constant * x**-data.gamma_1, "early law", -data.gamma_1)
    style.panel(axes, "a", f"$a = {LAW[0]:g}$, $r = {LAW[1]:g}$: one early law")


def _collapse(axes: Axes, data: Data, colours: Array) -> None:
    """The same in scaled units, on the master curve."""
    for count, error, colour in zip(data.P, data.error, colours, strict=True):
        x, y = data.lam * count**-data.gamma_2, error * count**data.gamma_meas
        axes.loglog(x, y, color=colour, lw=1.6)
    axes.plot(data.master_lam, data.master_error, **style.LIMIT, label="closed form")
    axes.plot(data.master_best_lam, data.master_best_error, **style.STAR)
    axes.set(xlim=(1e-4, 1e3), ylim=(0.3, 40), ylabel=rf"$\epsilon\,P^{{\,{data.gamma_meas:.3f}}}$")
    axes.tick_params(labelbottom=False)
    axes.legend(loc="upper right")
    style.panel(axes, "b", "the collapse is a master curve")


def _distances(axes: Axes, data: Data, colours: Array) -> None:
    """What is left of the collapse."""
    for count, apart, colour in zip(data.P, data.apart, colours, strict=True):
        axes.semilogx(data.lam * count**-data.gamma_2, 100 * apart, color=colour)
    axes.axhline(0, **style.LIMIT)
    axes.set(
        ylim=(-9, 9),
        yticks=(-5, 0, 5),
        ylabel="apart, %",
        xlabel=rf"$\lambda\,P^{{-{data.gamma_2:.3f}}}$",
    )
    axes.minorticks_off()


#: How the laws of the two lower panels look: markers also tell the regimes apart without colour.
GROWTH_LOOKS: tuple[style.Style, ...] = (
    {"color": "#0072B2", "marker": "o"},
    {"color": "#006B4F", "marker": "s"},
    {"color": "#A63C00", "marker": "D"},
)


def _growth(axes: Axes, data: Data) -> None:
    """Best norms, on power laws that nothing was fitted for."""
    rows = zip(
        GROWTH, data.growth_lam, data.growth_constant, data.growth_exponent, GROWTH_LOOKS,
        strict=True,
    )  # fmt: skip
    for (a, r), best, constant, gamma, look in rows:
        axes.loglog(data.P, constant * data.P**gamma, color=look["color"], lw=0.9)
        label = rf"$a={a:g},\ r={r:g}$: $\gamma_2={gamma:.3f}$"
        axes.plot(data.P, best, ls="none", ms=4, mfc="white", label=label, **look)
    axes.set(
        xlim=(50, 2e8),
        ylim=(2, 3e6),
        xlabel="number of examples $P$",
        ylabel=r"best norm $\lambda_{\rm opt}$",
    )
    axes.legend(loc="upper left", handlelength=1.0)
    style.panel(axes, "c", r"$\lambda_{\rm opt}\propto P^{\gamma_2}$, lines in closed form")


def _product(axes: Axes, data: Data) -> None:
    """The product law, where it must hold and where it does not."""
    top = 1.32
    axes.plot((0, top), (0, top), color="#777777", lw=0.8)
    axes.plot(data.predicted, data.closed, "x", color="black", ms=6, mew=0.7, label="closed form")
    a, r = np.array(LAWS).T
    for chosen, look, label in (
        (r < 0.5, GROWTH_LOOKS[0], r"$r<1/2$"),
        ((r > 0.5) & (a < 2), GROWTH_LOOKS[1], r"$r>1/2,\ a<2$"),
        (~data.holds, GROWTH_LOOKS[2], r"$r>1/2,\ a>2$"),
    ):
        axes.plot(
            data.predicted[chosen], data.measured[chosen], ls="none", ms=5.5, mfc="none",
            label=label, **look,
        )  # fmt: skip
    fails = np.flatnonzero(~data.holds)
    for at, below in zip(fails, np.arange(len(fails)) % 2 == 0, strict=True):  # clear of the next
        axes.annotate(
            "({:g}, {:g})".format(*LAWS[at]),
            (data.predicted[at], data.measured[at]),
            xytext=(0, -7 if below else 6),
            textcoords="offset points",
            ha="center",
            va="top" if below else "bottom",
            fontsize=style.SMALL,
        )
    axes.set(
        xlim=(0, top),
        ylim=(0, top),
        xlabel=r"predicted, $\gamma_1\gamma_2$",
        ylabel=r"measured, $\gamma_{\rm meas}$",
        yticks=np.arange(0, 1.3, 0.25),
        xticks=np.arange(0, 1.3, 0.25),
    )
    axes.legend(loc="upper left")
    style.panel(axes, "d", "the product law, and beyond it")


def caption(data: Data) -> str:
    """The caption, with its numbers computed."""
    a, r = LAW
    growth = [
        f"{constant:.4f} P^{gamma:.4f} at a = {a:g}, r = {r:g} (the last point is off by "
        f"{100 * (best[-1] / (constant * data.P[-1] ** gamma) - 1):+.2f}%)"
        for (a, r), constant, gamma, best in zip(
            GROWTH, data.growth_constant, data.growth_exponent, data.growth_lam, strict=True
        )
    ]
    told = [
        f"({a:g}, {r:g}) {product:.4f} and {measured:.4f}"
        for (a, r), product, measured in zip(LAWS, data.predicted, data.measured, strict=True)
    ]
    holds = [text for text, law in zip(told, data.holds, strict=True) if law]
    fails = [text for text, law in zip(told, data.holds, strict=True) if not law]
    worst = float(np.max(np.abs(data.measured - data.closed)))
    local = np.diff(np.log(data.best_lam))[-1] / np.diff(np.log(data.P))[-1]
    slope = -np.diff(np.log(data.best_error))[-1] / np.diff(np.log(data.P))[-1]
    return words.paragraphs(
        f"""
        Structured. The paper's Figures 3, 4, 8 and 9 without a network: the minimiser of the
        logistic loss at fixed norm lam, inputs with the eigenvalues k^-a and a noiseless teacher
        whose signal falls like k^-(1 + 2 a r), endlessly many modes with exact sums.
        (a) Generalization error at a = {a:g}, r = {r:g} for P = 10^2, 10^3, ..., 10^8 (dark to
        light), on one early law (band: the limit of endlessly many examples, which ends as
        {data.early_constant:.4f} lam^-{data.gamma_1:g}). At lam = 1 all curves from P = 10^3 on
        lie within {100 * data.early_spread:.1f}% of it. Stars: minima, from
        {data.best_error[0]:.4f} at lam = {data.best_lam[0]:.2f} to {data.best_error[-1]:.6f} at
        lam = {data.best_lam[-1]:.0f}.
        """,
        f"""
        (b) The same in units of P^{data.gamma_2:.4f} and P^-{data.gamma_meas:.4f}, on the master
        curve in closed form (dashed), with its minimum {data.master_best_error:.5f} at
        {data.master_best_lam:.5f} and its end {data.master_end_error:.5f}, maximum stability.
        Below:
        the distance from it. From {FROM:g} of the best norm on it is at most
        {words.listed(100 * data.spread, ".2g")}% for these P. To the left each curve leaves the
        master curve where lam is of order 1 and the early law is no power law yet.
        """,
        f"""
        (c) Best norms for one law from each regime of the optimum; lines, in closed form and not
        fitted: {"; ".join(growth)}. For a = {a:g}, r = {r:g} the last decade has the exponents
        {local:.4f} of the norm and {slope:.4f} of the error.
        """,
        f"""
        (d) gamma_1 gamma_2 in closed form against the exponent of the smallest error from P = 10^7
        to 10^8, regimes marked as in (c); crosses: that exponent in closed form, at most
        {worst:.4f} away. The
        product law must hold (circles and squares, on the line) for (a, r), predicted and measured:
        {"; ".join(holds)}. For r > 1/2 and a > 2 the optimum does not end the early law, and the
        product law fails (diamonds, with their a, r): {"; ".join(fails)}.
        """,
        words.THEORY_ONLY,
        """
        lam is the Euclidean norm of the weights for the loss log(1 + exp(-2 y w.x)); the textbook
        loss log(1 + exp(-z)) has its best norm at 2 lam.
        """,
    )
