"""What if one had chosen otherwise: windows by rule, and the spread over those that fit.

Every admissible choice has a criterion, eq. (S7),

    chi2/s^2 + 2 (parameters) + 2 (points left out),

after Jay and Neil, Phys. Rev. D 103, 114502 (2021): leaving out a point costs what a
parameter costs. s^2 is the chi2 per degree of freedom of the best choice, if above 1, so
that a law that holds only roughly is not fitted to ever fewer points. The widest choice stands
unless another one's criterion is lower by more than `RELUCTANCE`; then the lowest is chosen;
a floor is taken if that lowers the criterion by as much again. The systematic error is half the
range of the values over all choices whose chi2 per degree of freedom is at most twice that of
the best: no choice that fits as well is left out of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replica.scaling import joint, pipeline
from replica.scaling.averages import MeanCurve
from replica.scaling.joint import JointLaw
from replica.scaling.optima import Optimum
from replica.scaling.pipeline import Window

__all__ = ["FEWEST_P", "LawChoice", "LineChoice", "half_range", "laws", "lines", "table"]

Array = NDArray[np.float64]

#: Curves that a choice has to keep, if there are as many.
FEWEST_P = 4
#: Smallest P that are tried, evenly spread where there are more; fewer beyond 50 values of P, which
#: cost more each. A choice.
MOST_FIRST = 12
#: A choice keeps at least this part of the records of the widest window. A choice.
LEAST_PART = 0.5
#: Starts tried: parts of the way from the first record to the first minimum.
STARTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
#: What the criterion has to gain before the widest window without a floor is given up. Choosing
#: the least criterion outright, often without cause, doubles the scatter of gamma_2. A choice.
RELUCTANCE = 6.0
#: A fit is admissible up to this multiple of the best chi2 per degree of freedom. A choice.
AS_GOOD = 2.0


@dataclass(frozen=True)
class LawChoice:
    """The joint law in one window."""

    window: Window
    law: JointLaw
    parameters: Array
    criterion: float
    admissible: bool
    bends: bool  # a law without elbows does not describe the records as well

    @property
    def words(self) -> str:
        """The choice in a few words."""
        floor = ", floor free" if self.window.offset else ""
        return f"P >= {self.window.from_P:g}, ln(norm) >= {self.window.start:.4g}{floor}"


@dataclass(frozen=True)
class LineChoice:
    """A power law of P through the optima from some P on."""

    from_P: float
    words: str
    slope: float
    level: float
    chi2: float
    dof: int
    criterion: float
    admissible: bool


def laws(
    means: Sequence[MeanCurve],
    ends: Sequence[Optimum],
    rise: float,
    *,
    from_P: float | None = None,
    offset: bool | None = None,
    drift: bool = False,
) -> list[LawChoice]:
    """The joint law in every admissible window, the chosen one first; empty if there is none.

    ``from_P`` fixes the smallest P, ``offset`` the floor; None tries. ``drift`` lets the law
    move with P. A window counts only if the early law was seen in at least three of its curves, or
    in all where there are fewer.
    """
    found: list[tuple[Window, JointLaw, Array]] = []
    tried = set()
    widest = 0
    for window in _windows(means, ends, rise, from_P, offset, drift):
        records = pipeline.fitted(means, ends, window)
        if records is None or len(records.x) < LEAST_PART * widest:
            continue
        same = (window.from_P, window.offset, len(records.x))  # no record between two starts
        if same in tried:
            continue
        tried.add(same)
        widest = max(widest, len(records.x))
        # the last fit to the same curves is close by
        neighbour = next((p for w, _, p in reversed(found) if w.from_P == window.from_P), None)
        result = pipeline.fit_law(means, ends, window, neighbour, thorough=True)
        if result is None:
            continue
        law, parameters = result
        enough = min(3, len(law.P))
        if law.gamma > 0 < law.bend and np.count_nonzero(pipeline.seen(law, means)) >= enough:
            found.append((window, law, parameters))
    if not found:
        return []
    points = [law.dof + _parameters(law, window) for window, law, _ in found]
    best = max(1.0, min(law.chi2 / law.dof for _, law, _ in found))
    criteria = [
        law.chi2 / best + 2 * _parameters(law, window) - 2 * count
        for (window, law, _), count in zip(found, points, strict=True)
    ]
    plain = [k for k, (window, *_) in enumerate(found) if not window.offset] or [0]
    first = _reluctant(criteria, plain)
    first = _reluctant(criteria, [first, *(k for k in range(len(found)) if k not in plain)])
    order = [first, *(k for k in np.argsort(criteria, kind="stable").tolist() if k != first)]
    chosen = found[first][1]
    limit = AS_GOOD * max(best, chosen.chi2 / chosen.dof)
    return [
        LawChoice(
            window=window,
            law=law,
            parameters=parameters,
            criterion=criteria[k] - criteria[first],
            admissible=law.chi2 <= limit * law.dof,
            bends=_bends(means, ends, window, law),
        )
        for k, (window, law, parameters) in ((k, found[k]) for k in order)
    ]


def _bends(
    means: Sequence[MeanCurve], ends: Sequence[Optimum], window: Window, law: JointLaw
) -> bool:
    """Whether elbows gain more than they cost, by the criterion that chooses windows."""
    records = pipeline.fitted(means, ends, window)
    if records is None:
        return False
    chi2, parameters = joint.straight(records, drift=window.drift)
    gain = (chi2 - law.chi2) / max(1.0, law.chi2 / law.dof)
    return gain > 2 * (_parameters(law, window) - parameters) + RELUCTANCE


def _parameters(law: JointLaw, window: Window) -> int:
    """Number of free parameters: log_k, gamma, bend, rate, perhaps a floor, and elbows."""
    return 4 + window.offset + window.drift + len(law.P)


def _windows(
    means: Sequence[MeanCurve],
    ends: Sequence[Optimum],
    rise: float,
    from_P: float | None,
    offset: bool | None,
    drift: bool,
) -> Iterator[Window]:
    """Windows to try, from the widest on; a floor is tried after its window without one."""
    P = [mean.P for mean in means]
    if from_P is None:
        last = max(0, len(P) - FEWEST_P)
        count = min(last + 1, MOST_FIRST, max(MOST_FIRST * 50 // len(P), 3))
        first = np.unique(np.linspace(0, last, count).round().astype(int))
    else:
        first = np.array([np.searchsorted(P, from_P)])
    begin = min(float(mean.log_norm[0]) for mean in means)
    for k in first.tolist():
        for part in STARTS:
            start = begin + part * (min(end.log_norm for end in ends[k:]) - begin)
            for floor in (False, True) if offset is None else (offset,):
                yield Window(start, P[k], rise, offset=floor, drift=drift)


def lines(
    P: Array,
    values: Sequence[tuple[str, Array]],
    variance: Array,
    *,
    from_P: float | None = None,
) -> list[LineChoice]:
    """Power laws of P through ln(value), the chosen one first.

    ``values`` holds several readings of the same quantity, each with its words; the first is the
    one to be chosen, with its own smallest P. ``variance`` is that of ln(value).
    """
    x = np.log(P)
    firsts = range(max(1, len(P) - FEWEST_P + 1)) if from_P is None else [_first(P, from_P)]
    rows = []
    for number, (words, y) in enumerate(values):
        for first in firsts:
            w = 1 / variance[first:]
            slope, level = pipeline.slopes(x[first:], y[first:], w)
            chi2 = float((w * (y[first:] - level - slope * x[first:]) ** 2).sum())
            rows.append((number, first, words, float(slope), float(level), chi2))
    freedoms = [max(len(P) - first - 2, 1) for _, first, *_ in rows]
    ratio = [row[-1] / dof for row, dof in zip(rows, freedoms, strict=True)]
    best = max(1.0, min(r for r, row in zip(ratio, rows, strict=True) if row[0] == 0))
    criteria = [row[-1] / best + 2 * row[1] for row in rows]
    candidates = [k for k, row in enumerate(rows) if row[0] == 0]
    chosen = _reluctant(criteria, candidates)
    limit = AS_GOOD * max(best, ratio[chosen])
    choices = [
        LineChoice(
            from_P=float(P[first]),
            words=f"P >= {P[first]:g}, {words}",
            slope=slope,
            level=level,
            chi2=chi2,
            dof=len(P) - first - 2,
            criterion=criteria[k] - criteria[chosen],
            admissible=ratio[k] <= limit,
        )
        for k, (_, first, words, slope, level, chi2) in enumerate(rows)
    ]
    return [choices[chosen], *(c for k, c in enumerate(choices) if k != chosen)]


def _first(P: Array, from_P: float) -> int:
    return int(np.searchsorted(P, from_P))


def _reluctant(criteria: Sequence[float], among: Sequence[int]) -> int:
    """Of some choices the one with the least criterion, or the first if that is not much worse."""
    least = min(among, key=lambda k: criteria[k])
    return among[0] if criteria[among[0]] - criteria[least] <= RELUCTANCE else least


def half_range(values: Sequence[float]) -> float:
    """Half of the distance between the largest and the smallest; nan for fewer than two."""
    return (max(values) - min(values)) / 2 if len(values) > 1 else float("nan")


def table(
    law_choices: Sequence[LawChoice], line_choices: dict[str, Sequence[LineChoice]]
) -> pd.DataFrame:
    """All choices in one table."""
    rows = [
        ("gamma_1", c.words, c.law.gamma, c.law.chi2, c.law.dof, c.criterion, c.admissible, k == 0)
        for k, c in enumerate(law_choices)
    ]
    for name, choices in line_choices.items():
        sign = -1 if name == "gamma_meas" else 1
        rows += [
            (name, c.words, sign * c.slope, c.chi2, c.dof, c.criterion, c.admissible, k == 0)
            for k, c in enumerate(choices)
        ]
    columns = ["exponent", "choice", "value", "chi2", "dof", "criterion", "admissible", "chosen"]
    return pd.DataFrame(rows, columns=columns)
