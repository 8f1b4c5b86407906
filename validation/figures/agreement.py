"""Simulated perceptrons meet the theory within standard errors; wrong theories do not."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from validation import agreement, style, words
from validation.agreement import Comparison, Draw, Verdict

__all__ = ["Data", "attachments", "caption", "compute", "draw", "matrix", "verdict"]

#: Columns of the matrix, as they are printed.
HEADS = {
    "logistic": "logistic",
    "exponential": "expo-\nnential",
    "linear": "linear",
    "hinge": "hinge",
    "squared hinge": "squared\nhinge",
    "square": "square",
    "hard margin": "hard\nmargin",
    "Bayes": "Bayes",
    "logistic, ridge": "ridge",
    "flow": "flow",
}
#: Darkness of a cell, by its largest z.
SHADES = ListedColormap(["#FFFFFF", "#E3EEF6", "#BFD9EA", "#8FBFDD", "#5BA0CC", "#D55E00"])
BOUND = 6.0


@dataclass(frozen=True)
class Data:
    """All comparisons, the verdicts on the theory and on wrong ones, and what was drawn."""

    comparisons: list[Comparison]
    verdict: Verdict
    controls: dict[str, Verdict]
    draws: list[Draw]


def compute(full: bool = False) -> Data:
    """Simulate, extrapolate, compare; the controls are judged on the same samples."""
    draws = agreement.full_draws() if full else agreement.default_draws()
    samples = agreement.simulate(draws, say=_say)
    comparisons = agreement.compare(samples)
    controls = {
        name: agreement.judge(found)
        for name, wrong in agreement.CONTROLS.items()
        if (found := agreement.compare(samples, wrong))
    }
    return Data(
        comparisons, agreement.judge(comparisons), controls, [sample.draw for sample in samples]
    )


def _say(line: str) -> None:
    """Minutes of silence are long: a line for each size, if someone is there to read it."""
    if sys.stderr.isatty():
        print(line, file=sys.stderr)


def verdict(data: Data) -> str | None:
    """What is wrong, if anything: a failed agreement, or a control that passed."""
    found = data.verdict
    if not found.passes:
        worst = found.worst
        return (
            f"theory and experiment disagree: max |z| = {found.largest:.2f} of at most "
            f"{found.largest_allowed:.2f} ({worst.loss} {worst.value:g}, {worst.quantity}; "
            f"{worst.teacher}, {worst.inputs}, alpha = {worst.alpha:g}), "
            f"rms z = {found.rms:.2f} of at most {found.rms_allowed:.2f}"
        )
    for name, control in data.controls.items():
        if control.passes:
            return f"the wrong theory ({name}) passes too: the comparison is too weak"
    return None


# ------------------------------------------------------------------------------ the matrix


@dataclass(frozen=True)
class Row:
    """A draw of the matrix: where it is, and the scores of each loss that learned it."""

    teacher: str
    inputs: str
    alpha: float
    scores: dict[str, list[float]]
    asked: frozenset[str]

    @property
    def words(self) -> tuple[str, str, str]:
        """As they are printed."""
        inputs = self.inputs.removeprefix("flow, ")
        return self.teacher, inputs, "" if np.isnan(self.alpha) else f"{self.alpha:g}"

    @property
    def label(self) -> str:
        """For an axis."""
        teacher, inputs, alpha = self.words
        named = inputs if teacher == "clusters" else f"{teacher}, {inputs}"
        return rf"{named}, $\alpha={alpha}$" if alpha else named

    def empty(self, loss: str) -> str:
        """Why nothing was measured."""
        reason = agreement.why_empty(loss, self.teacher, self.inputs)
        if reason:
            return reason
        return "some draw has no answer" if loss in self.asked else "not in this run"


def matrix(comparisons: Sequence[Comparison], draws: Sequence[Draw]) -> list[Row]:
    """A row a teacher, inputs and alpha."""
    rows: dict[tuple[str, str, str], Row] = {}
    for each in draws:
        where = (each.teacher, each.inputs, f"{each.alpha:g}")
        asked = frozenset(each.losses)
        if where in rows:
            asked |= rows[where].asked
        rows[where] = Row(each.teacher, each.inputs, each.alpha, {}, asked)
    for c in comparisons:
        row = rows[c.teacher, c.inputs, f"{c.alpha:g}"]
        row.scores.setdefault(c.loss, []).append(c.z)
    return list(rows.values())


def draw(data: Data) -> Figure:
    """Left: the matrix. Right: the distribution of z."""
    rows = matrix(data.comparisons, data.draws)
    figure = style.canvas(style.FULL, 1.3 + 0.17 * max(len(rows), 14))
    left, right = figure.subplots(1, 2, width_ratios=(2.1, 1))
    style.panel(left, "a", "")
    _map(left, rows)
    _histogram(right, data)
    return figure


def _map(axes: Axes, rows: list[Row]) -> None:
    norm = Normalize(0, BOUND)
    for i, row in enumerate(rows):
        for j, loss in enumerate(HEADS):
            scores = row.scores.get(loss)
            if not scores:
                mark = "–" if row.empty(loss) != "not in this run" else ""
                axes.text(j, i, mark, ha="center", va="center", fontsize=style.SMALL, color="0.5")
                continue
            worst = max(scores, key=abs)
            axes.add_patch(
                Rectangle((j - 0.5, i - 0.5), 1, 1, fc=SHADES(norm(abs(worst))), ec="white", lw=0.6)
            )
            axes.text(j, i, f"{worst:+.1f}", ha="center", va="center", fontsize=style.SMALL)
    axes.set(xlim=(-0.5, len(HEADS) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xticks(range(len(HEADS)), list(HEADS.values()), rotation=0, linespacing=0.8)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.xaxis.set_ticks_position("top")
    axes.tick_params(length=0, labelsize=style.SMALL)
    for x in range(len(HEADS) - 1):
        axes.axvline(x + 0.5, color="0.9", lw=0.4, zorder=0)
    bar = axes.figure.colorbar(
        ScalarMappable(norm, SHADES), ax=axes, location="bottom", shrink=0.5, aspect=30,
        pad=0.01,
    )  # fmt: skip
    bar.set_label(r"largest $|z|$ in the cell (printed with its sign)")
    bar.set_ticks(list(range(7)), labels=[*"012345", r"$>5$"])


def _histogram(axes: Axes, data: Data) -> None:
    z = np.array([c.z for c in data.comparisons])
    edges = [0.5 * k for k in range(-10, 11)]
    axes.hist(np.clip(z, -4.99, 4.99), edges, density=True, color="#8FBFDD", ec="white", lw=0.5)
    x = np.linspace(-5, 5, 201)
    axes.plot(x, np.exp(-x * x / 2) / np.sqrt(2 * np.pi), color="black", lw=1.0)
    for limit in (-data.verdict.largest_allowed, data.verdict.largest_allowed):
        axes.axvline(limit, color="black", lw=0.7, ls="--")
    found = data.verdict
    style.panel(axes, "b", f"{found.count} quantities")
    controls = "\n".join(
        f"{name}:\n max $|z|={v.largest:.0f}$, rms ${v.rms:.1f}$"
        for name, v in data.controls.items()
    )
    said = rf"max $|z|={found.largest:.2f}$, rms ${found.rms:.2f}$"
    style.note(axes, 0.5, 0.985, f"{said}\n\nwrong theories:\n{controls}", ha="center", va="top")
    axes.set(xlabel="simulated minus predicted\n(standard errors)", ylabel="density")
    axes.set(xlim=(-5.3, 5.3), ylim=(0, 1.5))


# ------------------------------------------------------------------------------- in words


def table(data: Data) -> str:
    """The matrix: the z of largest size and the number of quantities, or why there is none."""
    rows = matrix(data.comparisons, data.draws)
    losses = list(HEADS)
    reasons: dict[str, str] = {}
    lines = [["teacher", "inputs", "alpha", *losses]]
    for row in rows:
        cells = []
        for loss in losses:
            scores = row.scores.get(loss)
            if scores:
                cells.append(f"{max(scores, key=abs):+.2f} ({len(scores)})")
                continue
            reason = row.empty(loss)
            mark = "" if reason == "not in this run" else reasons.setdefault(
                reason, "abcdefgh"[len(reasons)]
            )  # fmt: skip
            cells.append(mark)
        lines.append([*row.words, *cells])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    notes = "\n".join(f"{mark}: {reason}" for reason, mark in reasons.items())
    return f"{text}\n{notes}" if notes else text


def caption(data: Data) -> str:
    """The caption and the table."""
    found = data.verdict
    controls = "; ".join(
        f"{name}: max |z| = {v.largest:.0f}, rms z = {v.rms:.1f} over {v.count} quantities, "
        f"{'passes' if v.passes else 'fails'}"
        for name, v in data.controls.items()
    )
    seeds = sum(count for each in data.draws for _, count in each.sizes)
    text = words.paragraphs(
        f"""
        Agreement of simulated perceptrons with the theory: {len(data.draws)} laws of examples and
        {seeds} draws of them, no seed twice. Each is learned by several losses, at norms, margins
        and ridges that have an answer; errors, losses, norms and the variance of the inputs along
        w count by their logarithm, margins by their mean and by the share below predicted
        quantiles. (a) The z of largest size in each cell: mean minus prediction, extrapolated to
        1/N = 0 (or 1/P = 0 where inputs count modes), in standard errors; a dash: no answer, for
        the reason below; blank: not in this run. (b) All z beside the normal density; dashed: the
        limit of the rule. Inputs called modes a, r are power laws that count modes: their number
        is fixed, and what grows is the number of examples.
        """,
        f"""
        Rule: max |z| < {found.largest_allowed:.2f} and rms z < {found.rms_allowed:.2f}, each
        broken by a right theory once in a thousand runs. Found over {found.count} quantities:
        max |z| = {found.largest:.2f}, rms z = {found.rms:.2f}:
        {"agreement" if found.passes else "NO agreement"}. Negative controls on the same samples:
        {controls}.
        """,
        """
        Quantities of one law are measured on the same samples and so are correlated: where those
        of one row lie on one side together, that is one fluctuation.
        """,
        "The z of largest size in each cell, and of how many quantities:",
    )
    return f"{text.rstrip()}\n\n{table(data)}\n"


def attachments(data: Data) -> dict[str, bytes]:
    """The comparisons as CSV."""
    buffer = io.StringIO(newline="")
    agreement.write_csv(data.comparisons, buffer)
    return {".csv": buffer.getvalue().encode()}
