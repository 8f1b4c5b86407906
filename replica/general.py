"""`solve`: the general door, from a problem to its solution."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replica import existence, kernels
from replica.common.arguments import quoted
from replica.equations import PerceptronEquations
from replica.losses import HardMargin, Linear, Logistic, Loss, SmoothLoss
from replica.margins import Margins
from replica.problem import Posed, Problem, pose
from replica.saddle_point import Columns, Found, solve_equations
from replica.solution import CONVERGED, ConvergenceError, Solution, shaped
from replica.teachers import RandomLabels, Teacher

__all__ = ["equations_of", "solve"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

#: How far above 1 the multiplier may come out by rounding at the limit itself.
MULTIPLIER_SLACK = 1e-12
#: log x beyond which a loss that does not converge counts as one whose minimum is reached.
RUNAWAY = 20.0


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
    0.132559
    """
    if not isinstance(problem, Problem):
        raise ValueError(f"`problem` must be a Problem; got {quoted(problem)}")
    if not isinstance(require_convex, bool | np.bool_):
        raise ValueError(f"`require_convex` must be True or False; got {quoted(require_convex)}")
    problem.loss.check()
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
        _refuse_runaways(posed, which, found)
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
        posed.labels[which],
    )


def _with_answer(loss: Loss, posed: Posed, which: Indices) -> Indices:
    """Refuse the entries known beforehand to have no unique minimiser; the others."""
    if len(which) == 0:
        return which
    alpha, parameter, labels = posed.alpha[which], posed.parameter[which], posed.labels[which]
    for mask, sentence, values in existence.refusals(loss.code, alpha, parameter, labels):
        posed.complaints.refuse(which[mask], sentence, values[mask])
    return which[~posed.complaints.bad[which]]


def _refuse_runaways(posed: Posed, which: Indices, found: Found) -> None:
    """Refuse the entries of a user's loss where x diverged: the minimum of V is reached."""
    if not isinstance(posed.problem.loss, SmoothLoss):
        return
    gone = which[~found.converged & (found.unknowns[:, 1] > RUNAWAY)]
    posed.complaints.refuse(
        gone,
        "`alpha` must be large enough that not every example can be given a margin at the minimum "
        "of this loss: here log x diverges, many weights on the sphere reach it and the minimiser "
        "is not unique",
        posed.alpha[gone],
    )


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
            "`alpha` must be small enough for the norm sqrt(N) not to exceed that of the "
            "unconstrained minimiser, where the problem is no longer convex (a larger margin, or "
            "V of a multiple of the margin, asks for a larger norm; require_convex=False solves "
            "regardless)",
            posed.alpha[bad],
        )
        return
    if posed.shape == ():
        limit = existence.sharpness_limit(equations_of(posed, bad))[0]
        way_out = f"{limit:.10g}, the limit of convexity at this alpha"
    else:
        # a model of the user's own may extend either: `convexity_limit` knows these two alone
        named = isinstance(loss, Logistic) and type(posed.problem.teacher) in (
            Teacher,
            RandomLabels,
        )
        how = "`convexity_limit` computes it" if named else "solve the entry alone to be told it"
        way_out = f"the limit of convexity at this alpha ({how})"
    posed.complaints.refuse(
        bad,
        f"`lam` must not exceed {way_out}: there the norm is that of the unconstrained minimiser",
        posed.parameter[bad],
    )


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
    storage = solved & posed.labels.storage
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
