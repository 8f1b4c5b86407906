"""Newton on the saddle-point equations: from a guess to the unknowns, their error, the observables.

Flat arrays of checked numbers only; users come in through `replica.solve`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replica.channel import moments as m
from replica.equations import SaddlePointEquations
from replica.nodes import Nodes
from replica.solver import (
    SHORTEST_STRIDE,
    Equations,
    Root,
    follow,
    newton,
    newton_step,
    readings,
)
from replica.weights import FixedRidge

__all__ = ["Group", "Observables", "solve_equations"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

#: Nodes a panel of the check that also gives the error estimate.
CHECK_ORDER = 28
#: Nodes a panel on the way along a path: good to its tolerance.
COARSE_ORDER = 10
#: Newton stops after a step this small; being quadratic it then stands far below 1e-14.
TOLERANCE = 1e-8
#: A check that moves log c by more than this asks for panels of half the width.
REFINE_ABOVE = 3e-13
#: After a correction by more than this the moments are taken again.
MOVED = 1e-13
#: The part of an integral that rounding can move: 300 positive terms, each good to 2 ulp,
#: most of it random. Measured (tests/test_quadrature.py): a standard deviation of 3e-16 to 1.4e-15.
#: tests/test_highprecision.py holds the estimate against certified values.
ROUNDING = 2e-15
#: Points solved at a time; bounds the memory for intermediate moments to a few MB.
BLOCK = 8192
#: lam at which a path towards maximum stability is given up: lam' is 1e50 there even if all
#: eigenvalues are as small as they may be; a choice.
FARTHEST = 1e100
#: 2 lam' kappa from which on a path counts as next to maximum stability; a choice.
NEXT_TO_HARD = 40.0
#: Share of the modes that may be learned where a path begins; a choice.
NEARLY_EMPTY = 0.1
#: A step in log scale that is as good as a derivative.
LITTLE = 1e-6
#: mu, or 1/x, vanishes if its slope leads to zero within so many of the shortest strides; a choice.
VANISHING = 10


@dataclass(frozen=True)
class Observables:
    """What is read off the moments at a solution; flat arrays."""

    generalization_error: Array
    train_loss: Array
    train_error: Array
    multiplier: Array
    nu: Array
    degrees_of_freedom: Array
    replicon: Array
    slope: Array
    error_estimate: Array
    overlap_error: Array
    variance_error: Array
    log_x_error: Array
    residual: Array

    @classmethod
    def unknown(cls, size: int) -> Observables:
        """All nan."""
        return cls(*(np.full(size, np.nan) for _ in dataclasses.fields(cls)))

    def put(self, which: Indices, values: Observables) -> None:
        """Enter the observables of some of the points."""
        for column in dataclasses.fields(self):
            getattr(self, column.name)[which] = getattr(values, column.name)


@dataclass(frozen=True)
class Group:
    """n points of one loss, solved.

    Attributes
    ----------
    equations : SaddlePointEquations
        What was solved.
    unknowns : (n, k) array
        The root, or the last iterate.
    iterations, converged : (n,) arrays
        Newton steps; whether the root was reached.
    beyond : (n,) array of bool
        Where the norm exceeds that of the unconstrained minimiser.
    observables : Observables
        At the root.
    """

    equations: SaddlePointEquations
    unknowns: Array
    iterations: NDArray[np.int64]
    converged: Mask
    beyond: Mask
    observables: Observables

    def __len__(self) -> int:
        return len(self.converged)

    @classmethod
    def join(cls, equations: SaddlePointEquations, parts: list[Group]) -> Group:
        """The blocks that a group was cut into."""

        def whole(name: str) -> Any:
            return np.concatenate([getattr(part, name) for part in parts])

        names = [column.name for column in dataclasses.fields(Observables)]
        columns = [np.concatenate([getattr(p.observables, name) for p in parts]) for name in names]
        return cls(
            equations,
            whole("unknowns"),
            whole("iterations"),
            whole("converged"),
            whole("beyond"),
            Observables(*columns),
        )


def solve_equations(equations: SaddlePointEquations, require_convex: bool = True) -> Group:
    """Newton from a guess; where there is none or it fails, along the path from Hebb's rule."""
    n = len(equations)
    if n > BLOCK:
        cuts = range(0, n, BLOCK)
        parts = [equations.select(np.arange(i, min(i + BLOCK, n))) for i in cuts]
        return Group.join(equations, [solve_equations(part, require_convex) for part in parts])
    z, iterations, converged, beyond = _solve(equations, require_convex)
    (done,) = converged.nonzero()
    if len(done) == n:
        z, observables = _check(equations, z, done)
    else:
        observables = Observables.unknown(n)
        if len(done):
            z[done], found = _check(equations, z[done], done)
            observables.put(done, found)
    beyond = beyond | (observables.multiplier > 1 + MULTIPLIER_SLACK)  # nan: not known to be
    return Group(equations, z, iterations, converged, beyond, observables)


#: How far above 1 the multiplier may come out by rounding at the limit itself.
MULTIPLIER_SLACK = 1e-12


def _solve(
    equations: SaddlePointEquations, require_convex: bool
) -> tuple[Array, NDArray[np.int64], Mask, Mask]:
    """Unknowns, iterations, converged, beyond."""
    n = len(equations)
    beyond = np.zeros(n, dtype=bool)
    if equations.weights.direct:
        root = newton(equations.system(), equations.start(), TOLERANCE)
        z, iterations, converged = root.unknowns, root.iterations, root.converged
    else:
        z = np.full((n, len(equations.unknowns)), np.nan)
        iterations, converged = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
    (lost,) = (~converged).nonzero()
    if len(lost):
        part = equations.select(lost)
        found, steps, converged[lost], beyond[lost] = _along_path(part, require_convex)
        # where neither arrived, a diverging x is what Newton from the guess shows
        known = ~np.isnan(found).any(axis=1) & (
            converged[lost] | beyond[lost] | (not equations.weights.direct)
        )
        z[lost[known]] = found[known]
        iterations[lost] += steps
    return z, iterations, converged, beyond


def _along_path(
    equations: SaddlePointEquations, require_convex: bool
) -> tuple[Array, NDArray[np.int64], Mask, Mask]:
    """Follow each point from where its loss is a straight line, at scale s -> 0 of V(s D)/s."""
    n, channel = len(equations), equations.channel
    approach = channel.loss.approach()
    if channel.loss.hebbian or (approach is not None and equations.weights.direct):
        root = newton(equations.system(), equations.start(), TOLERANCE)
        return root.unknowns, root.iterations, root.converged, np.zeros(n, dtype=bool)
    if approach is not None:
        return _to_hard_margin(equations, require_convex)
    first = np.minimum(channel.loss.gentle_scale(channel.parameter), 1.0)
    start = equations.at_scale(np.log(first)).start()
    # with many examples the limit of convexity may lie before a loss looks bent
    full = np.flatnonzero(equations.weights.filled(start) > NEARLY_EMPTY)
    if len(full):
        first[full] *= NEARLY_EMPTY / equations.weights.filled(start)[full]
        start[full] = equations.select(full).at_scale(np.log(first[full])).start()
    walk = follow(
        lambda scale: equations.at_scale(np.log(scale)).system(),
        start,
        first,
        np.ones(n),
        TOLERANCE,
        on_the_way=lambda scale: equations.at_scale(np.log(scale)).system(COARSE_ORDER),
        stop=_stop_beyond(equations) if require_convex else None,
    )
    arrived, beyond = walk.arrived.copy(), walk.stopped.copy()
    near = np.flatnonzero(~arrived & ~walk.stopped & np.isfinite(walk.unknowns).all(axis=1))
    if len(near) and "log_mu" in equations.unknowns:
        root, beyond[near], runaway = _next_to_the_limit(
            equations.select(near), walk.unknowns[near], np.log(walk.parameter[near])
        )
        walk.unknowns[near[root.converged]] = root.unknowns[root.converged]
        walk.unknowns[near[runaway], LOG_X] = np.inf
        walk.iterations[near] += root.iterations
        arrived[near] = root.converged
    return walk.unknowns, walk.iterations, arrived, beyond


def _next_to_the_limit(
    equations: SaddlePointEquations, z: Array, log_scale: Array
) -> tuple[Root, Mask, Mask]:
    """Newton in mu itself, from the end of a path that stops short of the limit of convexity.

    There mu vanishes like the distance to the limit, and the equations are linear in it, while
    the path of log mu has no end. Also whether mu is about to vanish where the path ended, or 1/x,
    where the minimum of the loss is reached.
    """
    column = equations.unknowns.index("log_mu")
    unit = z[:, column].copy()

    def linear(equations: SaddlePointEquations) -> Equations:
        system = equations.system()

        def residuals(y: Array, which: Indices) -> tuple[Array, Array]:
            at = y.copy()
            with np.errstate(all="ignore"):  # where a step leads beyond the limit
                at[:, column] = unit[which] + np.log(y[:, column])
                residuals, jacobian = system(at, which)
                jacobian[:, :, column] /= y[:, None, column]
            return residuals, jacobian

        return residuals

    start = z.copy()
    start[:, column] = 1.0
    root = newton(linear(equations), start, TOLERANCE)
    ahead = linear(equations.at_scale(log_scale + LITTLE))
    slope = newton_step(*ahead(start, np.arange(len(start)))) / LITTLE
    steep = VANISHING * SHORTEST_STRIDE * slope
    with np.errstate(all="ignore"):
        root.unknowns[:, column] = unit + np.log(root.unknowns[:, column])
        lost = ~root.converged
        return root, lost & (steep[:, column] < -1), lost & (steep[:, LOG_X] > 1)


def _stop_beyond(
    equations: SaddlePointEquations,
) -> Callable[[Array, Array, Indices], Mask]:
    """Where a path need not go on: the norm is beyond that of the unconstrained minimiser."""

    def stop(scale: Array, z: Array, which: Indices) -> Mask:
        now = equations.at_scale(np.log(scale))
        moments = now.channel.merged(now.moments(z[which], which, columns=m.OBSERVABLES))
        multiplier = now.weights.multiplier(now.count[which], moments[:, m.CURVED])
        return now.weights.beyond(z[which], multiplier)

    return stop


def _to_hard_margin(
    equations: SaddlePointEquations, require_convex: bool
) -> tuple[Array, NDArray[np.int64], Mask, Mask]:
    """Maximum stability from the end of a path of the loss that approaches it."""
    n = len(equations)
    loss = equations.channel.loss.approach()
    assert loss is not None
    soft = dataclasses.replace(
        equations,
        channel=dataclasses.replace(equations.channel, loss=loss, parameter=np.ones(n)),
    )
    first = soft.channel.loss.gentle_scale(soft.channel.parameter)

    def near(scale: Array, z: Array, which: Indices) -> Mask:
        """By the edge of the push, L = log(4 lam' x) = 2 lam' kappa."""
        sharpness = scale[which] * np.exp(z[which, LOG_S])
        return z[which, LOG_X] + np.log(4 * sharpness) > NEXT_TO_HARD

    reached = np.ones(n)

    def noted(scale: Array, z: Array, which: Indices) -> Mask:
        close = near(scale, z, which)
        reached[which[close]] = scale[which[close]]
        return close

    start = soft.at_scale(np.log(first)).start()
    walk = follow(
        lambda scale: soft.at_scale(np.log(scale)).system(),
        start,
        first,
        np.full(n, FARTHEST),
        TOLERANCE,
        on_the_way=lambda scale: soft.at_scale(np.log(scale)).system(COARSE_ORDER),
        stop=noted,
    )
    z = walk.unknowns
    sharpness = reached * np.exp(z[:, LOG_S])
    with np.errstate(all="ignore"):
        z[:, LOG_X] = np.log((z[:, LOG_X] + np.log(4 * sharpness)) / (2 * sharpness))
    z[~walk.stopped] = np.nan
    root = newton(equations.system(), z, TOLERANCE)
    return root.unknowns, walk.iterations + root.iterations, root.converged, np.zeros(n, dtype=bool)


#: Columns of the unknowns.
LOG_C, LOG_X, LOG_MU, LOG_S = 0, 1, 2, 3
#: Rounding of 1 - R = 1/((1 + c^2) (1 + R)) and of Q = s^2 at exact unknowns: five operations.
READ = 6e-16


@dataclass(frozen=True)
class AtRidge:
    """What a penalty leaves.

    Attributes
    ----------
    norm : (n,) array
        lam.
    unknowns : (n, k) array
        Of `FixedRidge`, whose scale is lam'.
    arrived : (n,) array of bool
        Where the path did not stop short.
    """

    norm: Array
    unknowns: Array
    arrived: Mask


def norm_at_ridge(equations: SaddlePointEquations, nodes: Nodes, ridge: Array) -> AtRidge:
    """The norm that a ridge leaves: along the path from one under which Hebb's rule is left.

    The loss must have a norm; it is looked for, whatever its parameter.
    """
    channel = dataclasses.replace(equations.channel, parameter=np.ones(len(equations)))
    equations = dataclasses.replace(equations, channel=channel)
    weights = FixedRidge(nodes, np.log(ridge))
    fixed = dataclasses.replace(equations, weights=weights)
    start, first = weights.gentle_start(equations.channel, equations.count)
    walk = follow(
        lambda at: dataclasses.replace(fixed, weights=FixedRidge(nodes, np.log(at))).system(),
        start,
        first,
        ridge,
        TOLERANCE,
    )
    log_lam = weights.log_norm(equations.channel, equations.count, walk.unknowns)
    return AtRidge(np.exp(log_lam), walk.unknowns, walk.arrived)


def _check(equations: SaddlePointEquations, z: Array, which: Indices) -> tuple[Array, Observables]:
    """One more Newton step with a finer rule: the solution, its error and its observables."""
    moments = equations.moments(z, which, order=CHECK_ORDER, columns=m.OBSERVABLES)
    residuals, jacobian = equations.residuals(z, which, moments)
    step = newton_step(residuals, jacobian)
    for refine in (1, 2, 3):
        (todo,) = (np.abs(step[:, 0]) > REFINE_ABOVE).nonzero()
        if len(todo) == 0:
            break
        moments[todo] = equations.moments(
            z[todo], which[todo], order=CHECK_ORDER, refine=refine, columns=m.OBSERVABLES
        )
        residuals[todo], jacobian[todo] = equations.residuals(z[todo], which[todo], moments[todo])
        step[todo] = newton_step(residuals[todo], jacobian[todo])
    z = z + step
    far = np.flatnonzero((np.abs(step) > MOVED).any(axis=1))
    if len(far):  # observables belong to the corrected unknowns
        moments[far] = equations.moments(
            z[far], which[far], order=CHECK_ORDER, columns=m.OBSERVABLES
        )
    return z, _observables(equations, z, which, moments, residuals, jacobian, step)


def _observables(
    equations: SaddlePointEquations,
    z: Array,
    which: Indices,
    moments: Array,
    residuals: Array,
    jacobian: Array,
    step: Array,
) -> Observables:
    channel, weights, count = equations.channel, equations.weights, equations.count[which]
    storage = channel.storage[which]
    error, lever = channel.generalization(z)
    sharp = channel.loss.sharp
    along = weights.along_scale(moments, jacobian) if sharp else np.full(z.shape, np.nan)
    read = readings(residuals, jacobian, lever, step, z, along, ROUNDING + weights.rounding)
    slope, estimate = read.slope, read.error + channel.rounded(z)
    log_scale = weights.log_scale(z)
    overlap, variance, log_x = _other_errors(
        z, log_scale is not None, channel.loss.hard,
        lambda lever: readings(
            residuals, jacobian, lever, 2 * step, z, np.zeros(z.shape), ROUNDING + weights.rounding
        ).error,
    )  # fmt: skip
    if storage.any():
        error[storage], slope[storage], estimate[storage] = 0.5, 0.0, 0.0
        overlap[storage] = 0.0
    merged = channel.merged(moments)
    loss = merged[:, m.LOSS]
    if log_scale is not None:  # V(s D) from what the field of unit variance sees
        loss = loss * np.exp((1 + channel.loss.step_scaling) * log_scale)
    return Observables(
        generalization_error=error,
        train_loss=loss,
        train_error=merged[:, m.NEGATIVE],
        multiplier=weights.multiplier(count, merged[:, m.CURVED]),
        nu=weights.nu(channel, z, which, count, moments),
        degrees_of_freedom=count * merged[:, m.CURVED],
        replicon=weights.replicon(z, count, merged[:, m.CURVED2]),
        slope=slope,
        error_estimate=estimate,
        overlap_error=overlap,
        variance_error=variance,
        log_x_error=log_x,
        residual=read.residual,
    )


def _other_errors(
    z: Array, scaled: bool, hard: bool, error: Callable[[Array], Array]
) -> tuple[Array, Array, Array]:
    """Of log(1 - R), log Q and log x (log kappa where hard), eq. (26) with levers of their own.

    The correction counts twice: where sums cancel it is rounding itself, and leaves as much.
    ``scaled``: whether log sqrt(Q) is an unknown; else Q = 1. ``error``: of a lever.
    """
    c = np.exp(z[:, LOG_C])
    R = c / np.hypot(1.0, c)
    lever = np.zeros(z.shape)
    lever[:, LOG_C] = -R * (1 + R)
    overlap = error(lever) + READ
    lever = np.zeros(z.shape)
    variance = np.zeros(len(z))
    if scaled:
        lever[:, LOG_S] = 2.0
        variance = error(lever) + READ
    lever[:, LOG_X] = 1.0
    lever[:, LOG_S:] = float(scaled and hard) * lever[:, LOG_S:] / 2
    return overlap, variance, error(lever) + READ
