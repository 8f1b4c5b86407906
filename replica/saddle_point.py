"""`solve`: the door from a problem to its solution."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import elementwise

from replica import adaptive, existence, kernels
from replica.equations import PerceptronEquations
from replica.losses import HardMargin, Linear, Loss
from replica.margins import Margins
from replica.problem import Posed, Problem, pose
from replica.solution import CONVERGED, ConvergenceError, Solution, shaped
from replica.solver import Equations, newton, newton_step

__all__ = ["equations_of", "sharpness_limit", "solve", "solve_equations"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Gauss-Legendre nodes a panel: for Newton's iterations (4e-14 over the plane of
#: docs/theory.md, section 6) and for the check that also gives the error estimate.
ORDER, CHECK_ORDER = 20, 28
#: Newton stops after a step this small; being quadratic it then stands far below 1e-14.
TOLERANCE = 1e-8
#: A check that moves log c by more than this asks for panels of half the width.
REFINE_ABOVE = 3e-13
#: The part of an integral that rounding can move: 300 positive terms, each good to 2 ulp.
ROUNDING = 6e-16
#: How far above 1 the multiplier may come out by rounding at the limit itself.
MULTIPLIER_SLACK = 1e-12
#: Points solved at a time; bounds the memory for intermediate moments to a few MB.
BLOCK = 8192
#: Continuation multiplies the sharpness by at most this factor a step.
STRIDE = 2.0


def solve(problem: Problem, *, require_convex: bool = True) -> Solution:
    """Solve the replica-symmetric saddle-point equations at fixed norm.

    Finds R and x of docs/theory.md eqs. (13)-(14), for one problem or for all
    the entries of a broadcast array of problems, on all processors.

    Parameters
    ----------
    problem : Problem
        alpha, loss and teacher; arrays broadcast.
    require_convex : bool
        Refuse entries whose multiplier exceeds 1: there the norm is larger than
        that of the unconstrained minimiser, the problem on the sphere is no
        longer convex, and replica symmetry is not to be trusted.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError
        If arrays do not broadcast, or a scalar problem has a bad number or no
        solution. In arrays such entries are nan, with the reason in ``status``.
    ConvergenceError
        If Newton and continuation both fail for a scalar problem.

    Examples
    --------
    >>> from replica import Hinge, Problem, solve
    >>> round(solve(Problem(alpha=5.0, loss=Hinge(margin=1.0))).generalization_error, 6)
    0.095206
    """
    posed = pose(problem)
    n = len(posed)
    table = {field.name: np.full(n, np.nan) for field in dataclasses.fields(Columns)}
    unknowns = np.full((n, 2), np.nan)
    group, local = np.full(n, -1), np.zeros(n, dtype=np.intp)
    iterations = np.zeros(n, dtype=np.int64)
    failed = np.zeros(n, dtype=bool)
    groups: list[PerceptronEquations] = []
    for loss, which in _by_limit(posed):
        which = _with_answer(loss, posed, which)
        if len(which) == 0:
            continue
        equations = equations_of(posed, which, loss)
        found = solve_equations(equations, require_convex)
        unknowns[which], iterations[which] = found.unknowns, found.iterations
        for name in table:
            table[name][which] = getattr(found.columns, name)
        group[which], local[which] = len(groups), np.arange(len(which))
        groups.append(equations)
        failed[which] = ~found.converged
        if require_convex:
            _refuse_nonconvex(posed, which, found)
    bad = posed.complaints.bad
    group[bad | failed] = -1
    for name in table:
        table[name][bad | failed] = np.nan
    status = np.full(n, CONVERGED, dtype=object)
    status[failed] = "not converged: Newton and continuation both stopped short"
    status[bad] = posed.complaints.reasons[bad]
    solution = _record(posed, table, unknowns, iterations, status, groups, group, local)
    if posed.shape == () and failed[0]:
        raise ConvergenceError(
            f"the saddle point was not reached in {iterations[0]} iterations for {problem}; "
            "the attribute `solution` holds the last iterate (log_c, log_x)",
            solution,
        )
    return solution


@dataclasses.dataclass(frozen=True)
class Columns:
    """What is read off the moments at a solution; flat arrays."""

    train_loss: Array
    train_error: Array
    multiplier: Array
    replicon: Array
    slope: Array
    error_estimate: Array
    residual: Array


@dataclasses.dataclass(frozen=True)
class Found:
    """The outcome for one group."""

    unknowns: Array
    iterations: NDArray[np.int64]
    converged: NDArray[np.bool_]
    beyond: NDArray[np.bool_]  # the multiplier passed 1 before the sharpness was reached
    columns: Columns

    @classmethod
    def join(cls, parts: list[Found]) -> Found:
        """The outcome for all the blocks that a group was cut into."""
        columns = {
            column.name: np.concatenate([getattr(part.columns, column.name) for part in parts])
            for column in dataclasses.fields(Columns)
        }
        return cls(
            np.concatenate([part.unknowns for part in parts]),
            np.concatenate([part.iterations for part in parts]),
            np.concatenate([part.converged for part in parts]),
            np.concatenate([part.beyond for part in parts]),
            Columns(**columns),
        )


def _by_limit(posed: Posed) -> list[tuple[Loss, Indices]]:
    """The good entries by loss: sharpness 0 is Hebb, inf is maximum stability."""
    good = ~posed.complaints.bad
    loss = posed.problem.loss
    if not loss.interpolates:
        return [(loss, np.flatnonzero(good))]
    zero, endless = posed.parameter == 0, np.isinf(posed.parameter)
    return [
        (loss, np.flatnonzero(good & ~zero & ~endless)),
        (Linear(), np.flatnonzero(good & zero)),
        (HardMargin(), np.flatnonzero(good & endless)),
    ]


def equations_of(posed: Posed, which: Indices, loss: Loss | None = None) -> PerceptronEquations:
    """The equations of some entries of a posed problem, with their own or another loss."""
    loss = posed.problem.loss if loss is None else loss
    return PerceptronEquations(
        loss,
        posed.alpha[which],
        posed.parameter[which],
        np.ascontiguousarray(posed.signal[which]),
        np.ascontiguousarray(posed.noise[which]),
    )


def _system(equations: PerceptronEquations) -> Equations:
    """Residuals and Jacobian as `newton` asks for them."""

    def system(z: Array, which: Indices) -> tuple[Array, Array]:
        return equations.residuals(z, which, equations.moments(z, which, order=ORDER))

    return system


def solve_equations(equations: PerceptronEquations, require_convex: bool = True) -> Found:
    """Newton from the global guess; where that fails, along the path from small sharpness."""
    n = len(equations.alpha)
    if n > BLOCK:
        blocks = [np.arange(i, min(i + BLOCK, n)) for i in range(0, n, BLOCK)]
        return Found.join(
            [solve_equations(equations.select(block), require_convex) for block in blocks]
        )
    root = newton(_system(equations), equations.start(), TOLERANCE)
    z, iterations, converged = root.unknowns, root.iterations, root.converged
    beyond = np.zeros_like(converged)
    lost = np.flatnonzero(~converged)
    if len(lost) and equations.loss.interpolates:
        z[lost], steps, converged[lost], beyond[lost] = _continue(
            equations.select(lost), require_convex
        )
        iterations[lost] += steps
    done = np.flatnonzero(converged)
    columns = {field.name: np.full(len(z), np.nan) for field in dataclasses.fields(Columns)}
    if len(done):
        z[done], read = _check(equations, z[done], done)
        for name in columns:
            columns[name][done] = getattr(read, name)
    return Found(z, iterations, converged, beyond, Columns(**columns))


def _continue(
    equations: PerceptronEquations, require_convex: bool
) -> tuple[Array, NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Follow each point from a sharpness where Hebb is a good start to its own.

    Returns the unknowns, the iterations spent, which points arrived, and which
    (with ``require_convex``) were given up because the multiplier passed 1.
    """
    goal = equations.parameter
    at = np.minimum(goal, 1e-3)
    z = dataclasses.replace(equations, parameter=at).start()
    n = len(goal)
    spent = np.zeros(n, dtype=np.int64)
    arrived, beyond = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    walking = np.arange(n)
    while len(walking):
        now = dataclasses.replace(equations, parameter=at).select(walking)
        root = newton(_system(now), z[walking], TOLERANCE)
        z[walking] = root.unknowns
        spent[walking] += root.iterations
        everyone = np.arange(len(walking))
        moments = now.moments(root.unknowns, everyone, order=ORDER, full=kernels.OBSERVABLES)
        passed = root.converged & (now.alpha * moments[:, kernels.CURVED] > 1) & require_convex
        there = root.converged & ~passed & (at[walking] >= goal[walking])
        arrived[walking], beyond[walking] = there, passed
        walking = walking[root.converged & ~passed & ~there]
        at[walking] = np.minimum(goal[walking], at[walking] * STRIDE)
    return z, spent, arrived, beyond


def _check(equations: PerceptronEquations, z: Array, which: Indices) -> tuple[Array, Columns]:
    """One more Newton step with a finer rule: the solution, its error and its observables."""
    z = z.copy()
    n = len(which)
    moments = np.empty((n, kernels.N_MOMENTS))
    residuals, jacobian = np.empty((n, 2)), np.empty((n, 2, 2))
    step = np.empty((n, 2))
    todo = np.arange(n)
    for refine in range(3):
        if refine:
            for _ in range(2):
                coarse = equations.moments(z[todo], which[todo], order=ORDER, refine=refine)
                f, j = equations.residuals(z[todo], which[todo], coarse)
                z[todo] += newton_step(f, j)
        moments[todo] = equations.moments(
            z[todo], which[todo], order=CHECK_ORDER, refine=refine, full=kernels.OBSERVABLES
        )
        residuals[todo], jacobian[todo] = equations.residuals(z[todo], which[todo], moments[todo])
        step[todo] = newton_step(residuals[todo], jacobian[todo])
        todo = todo[np.abs(step[todo, 0]) > REFINE_ABOVE]
        if len(todo) == 0:
            break
    z += step
    return z, _observables(equations, z, which, moments, residuals, jacobian, step)


def _observables(
    equations: PerceptronEquations,
    z: Array,
    which: Indices,
    moments: Array,
    residuals: Array,
    jacobian: Array,
    step: Array,
) -> Columns:
    alpha = equations.alpha[which]
    storage = equations.storage[which]
    p, q, r, s = jacobian.reshape(-1, 4).T
    det = p * s - q * r
    # |d log eps / d log c|, between 0 and 1; in the scaling limit eps is 1/c itself
    c = np.exp(z[:, 0])
    lever = np.ones_like(c) if equations.flat else c / ((1 + c * c) * np.arctan2(1.0, c))
    rounding = (ROUNDING if equations.compiled else adaptive.SPLIT_TOLERANCE) * (
        (np.abs(s) + np.abs(q)) / np.abs(det) + 1
    )
    error = lever * (np.abs(step[:, 0]) + rounding) + 2.3e-16
    slope = np.full(len(which), np.nan)
    if equations.loss.interpolates:
        f1_l = moments[:, kernels.STEP_DL] / moments[:, kernels.STEP]
        with np.errstate(divide="ignore", invalid="ignore"):
            f2_l = moments[:, kernels.PULL_DL] / moments[:, kernels.PULL]
        slope = -lever * (q * f2_l - s * f1_l) / det
    return Columns(
        train_loss=moments[:, kernels.LOSS],
        train_error=moments[:, kernels.NEGATIVE],
        multiplier=alpha * moments[:, kernels.CURVED],
        replicon=alpha * moments[:, kernels.CURVED2],
        slope=np.where(storage, 0.0, slope),
        error_estimate=np.where(storage, 0.0, error),
        residual=np.abs(residuals).max(axis=1),
    )


def _with_answer(loss: Loss, posed: Posed, which: Indices) -> Indices:
    """Refuse the entries known beforehand to have no unique minimiser; the others."""
    if len(which) == 0:
        return which
    arguments = (posed.alpha, posed.parameter, posed.signal, posed.noise)
    part = (argument[which] for argument in arguments)
    for mask, sentence, values in existence.refusals(loss.code, *part):
        posed.complaints.refuse(which[mask], sentence, values[mask])
    return which[~posed.complaints.bad[which]]


def _refuse_nonconvex(posed: Posed, which: Indices, found: Found) -> None:
    """Refuse the entries whose norm exceeds that of the unconstrained minimiser."""
    with np.errstate(invalid="ignore"):
        beyond = found.beyond | (found.columns.multiplier > 1 + MULTIPLIER_SLACK)
    bad = which[beyond]
    if len(bad) == 0:
        return
    loss = posed.problem.loss
    if not loss.interpolates:
        posed.complaints.refuse(
            bad,
            "`alpha` is too large for this loss: the norm sqrt(N) exceeds that of the "
            "unconstrained minimiser and the problem is not convex",
            posed.alpha[bad],
        )
        return
    if posed.shape == ():
        limit = sharpness_limit(equations_of(posed, bad))[0]
        way_out = f"{limit:.10g}, the limit of convexity at this alpha"
    else:
        way_out = "the limit of convexity (`convexity_limit` computes it)"
    posed.complaints.refuse(
        bad,
        f"`lam` must not exceed {way_out}: there the norm is that of the unconstrained minimiser",
        posed.parameter[bad],
    )


def sharpness_limit(equations: PerceptronEquations) -> Array:
    """The sharpness at which the multiplier reaches 1, eq. (20); inf below capacity.

    ``equations.parameter`` is ignored. Found by a bracketed search in log lam.
    """
    capacity = existence.separability_capacity(equations.signal, equations.noise)
    result = np.where(equations.alpha < capacity, np.inf, np.nan)
    which = np.flatnonzero(equations.alpha >= capacity)
    if len(which) == 0:
        return result
    part = equations.select(which)

    def excess(log_lam: Array, index: Array) -> Array:
        at = part.select(index.astype(int))
        found = solve_equations(dataclasses.replace(at, parameter=np.exp(log_lam)), True)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.log(found.columns.multiplier)
        return np.where(found.beyond, 1.0, value)

    # At alpha = capacity the limit is infinite, just above it beyond 1e12; at alpha >> 1 it is
    # about 1/sqrt(alpha).
    low = np.full(len(which), -35.0)
    bracket = elementwise.bracket_root(
        excess,
        low + 34.0,
        low + 35.0,
        xmin=low,
        xmax=np.full(len(which), 27.0),
        args=(np.arange(len(which), dtype=float),),
    )
    root = elementwise.find_root(
        excess,
        bracket.bracket,
        args=(np.arange(len(which), dtype=float),),
        tolerances={"xatol": 1e-14, "xrtol": 1e-14},
    )
    result[which] = np.where(root.success, np.exp(root.x), np.inf)
    return result


def _record(
    posed: Posed,
    table: dict[str, Array],
    unknowns: Array,
    iterations: NDArray[np.int64],
    status: NDArray[np.object_],
    groups: list[PerceptronEquations],
    group: Indices,
    local: Indices,
) -> Solution:
    solved = group >= 0
    a, b = np.where(solved, unknowns.T, np.nan)
    if posed.shape == () and not solved[0]:
        a, b = unknowns.T  # the last iterate, for whoever catches the error
    storage = solved & ~np.any(posed.signal > 0, axis=1)
    c = np.exp(a)
    c[storage], a[storage] = 0.0, -np.inf
    r = c / np.sqrt(1 + c * c)
    loss = posed.problem.loss
    sharp = loss.interpolates & np.isinf(posed.parameter) | (loss.code == kernels.HARD_MARGIN)
    flat = sharp & solved
    if loss.interpolates:
        # V is read off the limiting losses; V_lam itself is log(2)/lam -> inf and 0 (eq. 23)
        table["train_loss"][solved & (posed.parameter == 0)] = np.inf

    def field(values: NDArray[Any]) -> Any:
        return shaped(np.asarray(values), posed.shape)

    columns = {name: field(values) for name, values in table.items()}
    return Solution(
        alpha=field(posed.alpha.copy()),
        lam=field(posed.parameter.copy() if loss.interpolates else np.full(len(posed), np.nan)),
        overlap=field(r),
        one_minus_overlap=field(1 / ((1 + c * c) * (1 + r))),
        generalization_error=field(np.arctan2(1.0, c) / np.pi),
        log_x=field(np.where(flat, np.inf, b)),
        stability=field(np.where(flat, np.exp(np.where(flat, b, 0.0)), np.nan)),
        iterations=field(iterations),
        status=field(status),
        margins=Margins(posed.shape, groups, group, local, unknowns),
        log_c=field(a),
        problem=posed.problem,
        **columns,
    )
