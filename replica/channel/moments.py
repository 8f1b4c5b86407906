"""The averages over training examples, once for every loss and every measure."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from replica.channel.measures import MASS, MASS_D, PULL, PULL_D
from replica.common import processors
from replica.common.compiled import kernel
from replica.losses import Loss
from replica.quadrature import CURVED as NODE_CURVED
from replica.quadrature import FIELD, MARGIN, PUSH, SLOPE, Breaks, Nodes, Rule

__all__ = ["COLUMNS", "Measure", "moments"]

Array = NDArray[np.float64]

# Columns. _D: with respect to the measure's own unknown (log c of a teacher); _DB: to b = log x;
# _DL: to the logarithm of the scale of the margin, at fixed x.
STEP = 0  # A = E_W[u^2]
STEP_D = 1
STEP_DB = 2
PULLED = 3  # B = sum_k w_k / sqrt(1 + sigma_k^2) int Dz u(s_k z)
PULLED_D = 4
PULLED_DB = 5
STEP_DL = 6
PULLED_DL = 7
PUSHED = 8  # E_W[(t - centre) u]
PUSHED_D = 9
PUSHED_DB = 10
PUSHED_DL = 11
CURVED = 12  # G = E_W[1 - D0']
CURVED_D = 13
PUSHED_SIZE = 14  # E_W|(t - centre) u|: what rounding of PUSHED counts by
CURVED2 = 15  # E_W[(1 - D0')^2]
LOSS = 16  # E_W[V(D0)]
NEGATIVE = 17  # mass of negative margins
MEAN = 18  # E_W[D0 - origin]
SQUARE_MEAN = 19  # E_W[(D0 - origin)^2]

# How many columns are wanted.
NEWTON = 6  # what the sphere of isotropic inputs asks for
COUPLED = 15  # what a spectrum asks for
OBSERVABLES = 18
MARGINS = 20
COLUMNS = (NEWTON, COUPLED, OBSERVABLES, MARGINS)

#: Points tried in one round: about as many as fit into the nodes' workspace.
ROUND = 32
#: Below this many points a thread costs more than it saves (30 microseconds a point).
POINTS_PER_THREAD = 32


NONE = np.empty(0)


class Measure(Protocol):
    """What the averages ask of a measure (`replica.channel.measures`)."""

    def __getitem__(self, which: slice, /) -> Measure: ...
    @property
    def centre(self) -> Array: ...
    def breaks(self) -> Breaks: ...
    def weights(self, nodes: Nodes) -> Array: ...


@kernel
def average(start, nodes, weights, centre, origin, loss, columns, moving, out):
    """Sums over the nodes of each point; ``loss`` holds V there if it is wanted.

    ``moving``: 1 where the push depends on the scale of the margin, else 0.
    """
    for i in range(len(start) - 1):
        for column in range(columns):
            out[i, column] = 0.0 if start[i] < start[i + 1] else np.nan
        for j in range(start[i], start[i + 1]):
            u, slope = nodes[PUSH, j], nodes[SLOPE, j]
            mass, pull = weights[MASS, j], weights[PULL, j]
            out[i, STEP] += mass * u * u
            out[i, STEP_D] += weights[MASS_D, j] * u * u
            out[i, STEP_DB] += 2.0 * mass * u * slope
            out[i, PULLED] += pull * u
            out[i, PULLED_D] += weights[PULL_D, j] * u
            out[i, PULLED_DB] += pull * slope
            if columns > NEWTON:
                t = nodes[FIELD, j] - centre[i]
                margin, curved = nodes[MARGIN, j], nodes[NODE_CURVED, j]
                drift = -curved * margin * moving  # du / dlog scale at fixed t
                out[i, STEP_DL] += 2.0 * mass * u * drift
                out[i, PULLED_DL] += pull * drift
                out[i, PUSHED] += mass * t * u
                out[i, PUSHED_D] += weights[MASS_D, j] * t * u
                out[i, PUSHED_DB] += mass * t * slope
                out[i, PUSHED_DL] += mass * t * drift
                out[i, CURVED] += mass * curved
                out[i, CURVED_D] += weights[MASS_D, j] * curved
                out[i, PUSHED_SIZE] += abs(mass * t * u)
                if columns > COUPLED:
                    out[i, CURVED2] += mass * curved * curved
                    out[i, LOSS] += mass * loss[j]
                    if margin < 0.0:
                        out[i, NEGATIVE] += mass
                    if columns > OBSERVABLES:
                        out[i, MEAN] += mass * (margin - origin[i])
                        out[i, SQUARE_MEAN] += mass * (margin - origin[i]) ** 2


def moments(
    loss: Loss,
    parameter: Array,
    b: Array,
    measure: Measure,
    *,
    order: int,
    columns: int,
    refine: int = 0,
    origin: Array | None = None,
) -> Array:
    """The integrals of docs/theory.md, section 4, for n points on all processors.

    Parameters
    ----------
    loss, parameter : Loss, (n,) array
        Whose push is averaged, and its parameter.
    b : (n,) array
        log x.
    measure : Measure
        That of the n fields.
    order, refine : int
        Gauss-Legendre nodes a panel; how often each panel is halved.
    columns : int
        One of `COLUMNS`.
    origin : (n,) array, optional
        About which the moments of the margin are taken.
    """
    n = len(b)
    out = np.empty((n, columns))
    origin = np.zeros(n) if origin is None else origin
    rule = _rule(order, refine, columns)

    def rows(here: slice, now: Measure) -> int:
        """Fill the rows of as many of the points as fit; ``now`` is their measure."""
        at, x = (parameter, b) if n == 1 else (parameter[here], b[here])
        nodes = loss.nodes(at, x, now.breaks(), rule, now)
        fit = len(nodes)
        if fit < here.stop - here.start:
            here, now = slice(here.start, here.start + fit), now[:fit]
        values = NONE
        if columns >= OBSERVABLES:
            used = nodes.values[MARGIN, : nodes.start[-1]]
            owner = at if n == 1 else at[nodes.owner]
            with np.errstate(over="ignore", invalid="ignore"):
                values = loss.with_parameter(owner).value(used)
        average(
            nodes.start,
            nodes.values,
            now.weights(nodes),
            now.centre,
            origin[here],
            values,
            columns,
            0.0 if loss.hard else 1.0,  # kappa is counted in units of the field
            out[here],
        )
        return fit

    def task(part: slice) -> None:
        at = part.start
        while at < part.stop:
            here = slice(at, min(at + ROUND, part.stop))
            at += rows(here, measure[here])

    if n == 1:
        rows(slice(0, 1), measure)
        return out
    in_threads(task, n)
    return out


@cache
def _rule(order: int, refine: int, columns: int) -> Rule:
    return Rule(order, refine, whole=columns == MARGINS, observables=columns >= OBSERVABLES)


def in_threads(task: Callable[[slice], None], size: int) -> None:
    """Run ``task`` on slices of range(size), one slice a processor; kernels release the GIL."""
    threads = size // POINTS_PER_THREAD
    if threads > 1:
        threads = min(processors.count(), threads)
    if threads < 2:
        task(slice(0, size))
        return
    # Small slices even out points that cost more; 8 a thread.
    cuts = np.linspace(0, size, 8 * threads + 1).astype(int)
    slices = [slice(int(i), int(j)) for i, j in itertools.pairwise(cuts) if j > i]
    if not getattr(average, "signatures", True):
        task(slice(0, 1))  # whoever compiles, compiles alone
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(task, slices))
