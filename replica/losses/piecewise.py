r"""Losses whose push is linear between kinks: u(t) = level + gain (target - t).

Such a loss is a table of numbers (`Pieces`): where its pieces end and what each of them is.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from replica.common.arguments import InvalidArgument
from replica.common.compiled import kernel
from replica.losses import adaptive
from replica.losses.adaptive import Measure
from replica.losses.base import Loss
from replica.quadrature import (
    CAPACITY,
    CURVED,
    FIELD,
    MARGIN,
    MAX_EDGES,
    PUSH,
    ROWS,
    SLOPE,
    WIDTH,
    Breaks,
    Nodes,
    Rule,
    gauss_legendre,
    workspace,
)

#: Width of a piece, in parts of its target, below which it is measured from the target; a
#: choice. The piece is then far from t = 0, around which the fields' measure is fine.
NARROW = 1e-3

__all__ = ["Pieces", "PiecewiseLoss"]

Array = NDArray[np.float64]


#: Distance on both sides of a margin at which V' is asked for.
STEP = 1e-6


@dataclass(frozen=True)
class Pieces:
    """The push of n points, in S pieces each.

    Attributes
    ----------
    ends : (n, S - 1) array
        Fields at which a piece ends, ascending. A field where the margin changes sign is one
        too, so that whole panels have negative margins.
    target : (n,) array
        The margin that pulls.
    level, gain : (n, S) arrays
        u = level + gain (target - t); 1 - D0' = gain.
    level_slope, gain_slope : (n, S) arrays
        du/dlog x = level_slope + gain_slope (target - t).
    gaps : (n, S - 1) array, optional
        target - ends to its own digits, for pieces far narrower than their target is large.
    """

    ends: Array
    target: Array
    level: Array
    gain: Array
    level_slope: Array
    gain_slope: Array
    gaps: Array | None = None


@kernel
def fill(
    ends,
    target,
    level,
    gain,
    level_slope,
    gain_slope,
    gaps,
    breaks,
    count,
    node,
    weight,
    refine,
    values,
    start,
):
    """Nodes of the points that fit into ``values``; returns how many points that are."""
    edges = np.empty(MAX_EDGES)
    at = 0
    start[0] = 0
    for i in range(len(target)):
        edges[0] = breaks[i, 0]
        n = 1
        for k in range(1, count[i]):
            for s in range(ends.shape[1]):
                if breaks[i, k - 1] < ends[i, s] < breaks[i, k]:
                    edges[n] = ends[i, s]
                    n += 1
            if breaks[i, k] < np.inf:  # in the flat limit the last kink is the end
                edges[n] = breaks[i, k]
                n += 1
        parts = 2**refine
        if at + (n - 1) * parts * len(node) > values.shape[1]:
            return i
        piece = 0
        for panel in range(n - 1):
            while piece < ends.shape[1] and edges[panel] >= ends[i, piece]:
                piece += 1
            left, right = edges[panel], edges[panel + 1]
            narrow = 0 < piece < ends.shape[1]
            narrow = narrow and abs(gaps[i, piece - 1]) < NARROW * abs(target[i])
            high, low = target[i] - left, target[i] - right
            if narrow:  # the subtractions have lost the width of the piece
                high = gaps[i, piece - 1] if left == ends[i, piece - 1] else high
                low = gaps[i, piece] if right == ends[i, piece] else low
                half = 0.5 * (high - low) / parts
            else:
                half = 0.5 * (right - left) / parts
            if half <= 0.0:
                continue
            for part in range(parts):
                for j in range(len(node)):
                    if narrow:
                        gap = high - (2 * part + 1) * half - half * node[j]
                        t = target[i] - gap
                    else:
                        t = left + (2 * part + 1) * half + half * node[j]
                        gap = target[i] - t
                    u = level[i, piece] + gain[i, piece] * gap
                    values[FIELD, at] = t
                    values[PUSH, at] = u
                    values[SLOPE, at] = level_slope[i, piece] + gain_slope[i, piece] * gap
                    values[CURVED, at] = gain[i, piece]
                    values[WIDTH, at] = half * weight[j]
                    # an atom is the target to the last bit
                    atom = gain[i, piece] == 1.0 and level[i, piece] == 0.0
                    values[MARGIN, at] = target[i] if atom else t + u
                    at += 1
        start[i + 1] = at
    return len(target)


class PiecewiseLoss(Loss):
    """A loss that gives its `pieces`, and nothing else."""

    @abc.abstractmethod
    def pieces(self, parameter: Array, b: Array) -> Pieces:
        """The push at these parameters and log x."""

    #: Whether tests compare the pieces with the formula; else every problem does.
    proved: ClassVar[bool] = False

    def check(self) -> None:
        if not self.proved:
            super().check()

    def compare(self) -> None:
        """Compare V, V' and V'' with one another, and with the pieces.

        u = D0 - t is -x V' at D0, between its values on both sides where V has a kink.
        """
        adaptive.check(self, kinks=True)
        t = np.linspace(-4.03, 4.07, 82)
        for x in (0.3, 3.0):
            parameter = np.zeros(len(t))
            if self.parameter is not None:
                parameter += np.asarray(getattr(self, self.parameter), dtype=float)
            margin = self.proximal(parameter, np.full(len(t), np.log(x)), t)
            low, high = (x * self.derivative(margin + h) for h in (-STEP, STEP))
            slack = 1e-3 * STEP + 1e-9 * (1 + np.abs(low) + np.abs(high))
            wrong = ~((low - slack <= t - margin) & (t - margin <= high + slack))
            if wrong.any():
                i = int(np.flatnonzero(wrong)[0])
                raise InvalidArgument(
                    "pieces",
                    f"must be those of V: at t = {t[i]:.4g}, x = {x:g} the margin is "
                    f"{margin[i]:.6g}, where D - t + x V'(D) is not 0",
                    f"{margin[i] - t[i] + high[i]:.6g}",
                )

    def first_guess(self, parameter: Array, push: Array, kappa: Array) -> Array:
        return np.log(push)

    def nodes(
        self, parameter: Array, b: Array, breaks: Breaks, rule: Rule, measure: Measure
    ) -> Nodes:
        return _nodes(self.pieces(parameter, b), breaks, rule)

    def proximal(self, parameter: Array, b: Array, t: Array) -> Array:
        return _proximal(self.pieces(parameter, b), t)


def _nodes(pieces: Pieces, breaks: Breaks, rule: Rule) -> Nodes:
    """Nodes of as many of the points as fit, at least one."""
    node, weight = gauss_legendre(rule.order)
    start = np.zeros(len(pieces.target) + 1, dtype=np.int64)
    gaps = pieces.target[:, None] - pieces.ends if pieces.gaps is None else pieces.gaps
    room = CAPACITY
    while True:
        values = workspace("nodes", ROWS, room)
        done = fill(
            pieces.ends,
            pieces.target,
            pieces.level,
            pieces.gain,
            pieces.level_slope,
            pieces.gain_slope,
            gaps,
            breaks.at,
            breaks.count,
            node,
            weight,
            rule.refine,
            values,
            start,
        )
        if done:
            return Nodes(start[: done + 1], values)
        room *= 4


def _proximal(pieces: Pieces, t: Array) -> Array:
    """D0(t) = t + u(t), one field a point; on a piece of gain 1 the target, to the last bit."""
    piece = np.sum(t[:, None] >= pieces.ends, axis=1)
    here = np.arange(len(t)), piece
    gap = pieces.target - t
    level, gain = pieces.level[here], pieces.gain[here]
    return np.where((gain == 1) & (level == 0), pieces.target, t + level + gain * gap)
