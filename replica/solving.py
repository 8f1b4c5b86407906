"""`solve`: from a problem to its solution.

A module named after the function would take its place in the package once imported.
"""

from __future__ import annotations

from math import exp, hypot, log

import numpy as np
from numpy.typing import NDArray

from replica import existence
from replica.common.arguments import InvalidArgument, quoted
from replica.common.compiled import kernel
from replica.losses import Loss
from replica.margins import Margins, Solved
from replica.problem import Posed, Problem, pose
from replica.saddle_point import Group, solve_equations
from replica.solution import ConvergenceError, Outcome, Solution, Status, shaped
from replica.weights import Sphere

__all__ = ["answer", "solve"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

#: log x beyond which a loss that does not converge counts as one whose minimum is reached.
RUNAWAY = 20.0


def solve(problem: Problem, *, require_convex: bool = True) -> Solution:
    """Solve the replica-symmetric saddle-point equations at fixed norm.

    Finds R and x of docs/theory.md eqs. (13)-(14), or of section 9 for structured inputs, for one
    problem or for all the entries of a broadcast array of problems, on all processors.

    Parameters
    ----------
    problem : Problem
        alpha, loss, teacher and inputs; arrays broadcast.
    require_convex : bool
        Refuse entries whose multiplier exceeds 1: there the norm is larger than
        that of the unconstrained minimiser, the problem on the sphere is no
        longer convex, and replica symmetry is not to be trusted. With structured inputs such
        entries are refused always.

    Returns
    -------
    Solution

    Raises
    ------
    InvalidArgument
        If a scalar problem has a bad number or no solution. In arrays such entries are nan, with
        the reason in ``status``.
    ValueError
        If arrays do not broadcast.
    ConvergenceError
        If Newton and continuation both fail for a scalar problem.

    Examples
    --------
    >>> from replica import Hinge, Problem, solve
    >>> round(solve(Problem(alpha=5.0, loss=Hinge(margin=1.0))).generalization_error, 6)
    0.132559
    """
    if not isinstance(problem, Problem):
        raise InvalidArgument("problem", "must be a Problem", quoted(problem))
    if not isinstance(require_convex, bool | np.bool_):
        raise InvalidArgument("require_convex", "must be True or False", quoted(require_convex))
    problem.loss.check()
    return answer(pose(problem), require_convex)


def answer(posed: Posed, require_convex: bool = True) -> Solution:
    """Solve what was posed; see `solve`."""
    places: list[Indices] = []
    groups: list[Group] = []
    for loss, asked in _by_limit(posed):
        existence.refuse(loss, posed, asked)
        which = asked[~posed.refusals.bad[asked]]
        if len(which) == 0:
            continue
        group = solve_equations(posed.equations(which, loss), require_convex)
        _refuse_runaways(posed, which, group)
        if require_convex or not isinstance(posed.weights, Sphere):
            _refuse_nonconvex(posed, which, group)
        places.append(which)
        groups.append(group)
    solution = _collect(posed, groups, places)
    if posed.shape == () and solution.outcome.status == Status.NOT_CONVERGED:
        raise ConvergenceError(
            f"the saddle point was not reached in {solution.iterations} iterations for "
            f"{posed.problem}; the attribute `solution` holds the last iterate (log_c, log_x)",
            solution,
        )
    return solution


def _by_limit(posed: Posed) -> list[tuple[Loss, Indices]]:
    """The good entries by loss: ends of a parameter stand for other losses."""
    loss = posed.problem.loss
    good = ~posed.refusals.bad
    limits = loss.limits()
    if len(posed) == 1:
        one = limits.get(float(posed.parameter[0]), loss) if limits else loss
        return [(one, np.flatnonzero(good))]
    parts: list[tuple[Loss, Indices]] = []
    for value, limit in limits.items():
        at_end = posed.parameter == value
        if at_end.any():
            parts.append((limit, np.flatnonzero(good & at_end)))
            good &= ~at_end
    return [(loss, np.flatnonzero(good)), *parts]


def _refuse_runaways(posed: Posed, which: Indices, group: Group) -> None:
    """Refuse the entries where x diverged: the minimum of V is reached."""
    if group.equations.channel.loss.sharp or group.equations.channel.loss.hard:
        return
    gone = which[~group.converged & (group.unknowns[:, 1] > RUNAWAY)]
    posed.refusals.refuse(
        gone,
        "alpha",
        "must be large enough that not every example can be given a margin at the minimum "
        "of this loss: here log x diverges, many weights on the sphere reach it and the minimiser "
        "is not unique",
        posed.alpha[gone],
    )


def _refuse_nonconvex(posed: Posed, which: Indices, group: Group) -> None:
    """Refuse the entries whose norm exceeds that of the unconstrained minimiser."""
    bad = which[group.beyond]
    if len(bad) == 0:
        return
    loss = posed.problem.loss
    isotropic = isinstance(posed.weights, Sphere)
    if not loss.sharp:
        posed.refusals.refuse(
            bad,
            "alpha",
            "must be small enough for the norm sqrt(N) not to exceed that of the "
            "unconstrained minimiser, where the problem is no longer convex (a larger margin, or "
            "V of a multiple of the margin, asks for a larger norm"
            + ("; require_convex=False solves the equations all the same)" if isotropic else ")"),
            posed.alpha[bad],
        )
        return
    if posed.shape == ():
        limit = existence.sharpness_limit(posed.equations(bad))[0]
        way_out = f"{limit:.10g}, the limit of convexity at this alpha"
    else:
        way_out = "the limit of convexity at this alpha (`convexity_limit` computes it)"
    posed.refusals.refuse(
        bad,
        "lam",
        f"must not exceed {way_out}: there the norm is that of the unconstrained minimiser",
        posed.parameter[bad],
    )


def _collect(posed: Posed, groups: list[Group], places: list[Indices]) -> Solution:
    """The groups' answers in the shape of the problem."""
    n, shape = len(posed), posed.shape
    loss = posed.problem.loss
    bad = posed.refusals.bad
    if len(groups) == 1 and len(groups[0]) == n and groups[0].converged.all() and not bad.any():
        group = groups[0]  # nothing to sort
        owner, place = np.zeros(n, dtype=np.intp), np.arange(n)
        status, iterations = np.zeros(n, dtype=np.int8), group.iterations
        flat = _columns(group, loss.sharp)
    else:
        owner, place = np.full(n, -1), np.zeros(n, dtype=np.intp)
        status = np.where(bad, Status.REFUSED, Status.NOT_CONVERGED).astype(np.int8)
        iterations = np.zeros(n, dtype=np.int64)
        flat = {name: np.full(n, np.nan) for name in (*READ_OFF, *SEEN)}
        for number, (group, which) in enumerate(zip(groups, places, strict=True)):
            iterations[which] = group.iterations
            good = group.converged & ~bad[which]
            status[which[good]] = Status.CONVERGED
            # the last iterate of a scalar problem is for whoever catches the error
            rows = _columns(group, loss.sharp)
            for name, values in flat.items():
                keep = good | ((shape == ()) & (name in ("log_c", "log_x")))
                values[which[keep]] = rows[name][keep]
            owner[which[good]], place[which[good]] = number, np.flatnonzero(good)
    columns = {name: shaped(values, shape) for name, values in flat.items()}
    return Solution(
        alpha=shaped(posed.alpha.copy(), shape),
        lam=shaped(posed.parameter.copy() if loss.sharp else np.full(n, np.nan), shape),
        iterations=shaped(iterations, shape),
        outcome=Outcome(status.reshape(shape), posed.refusals, np.arange(n).reshape(shape)),
        margins=Margins(Solved(shape, tuple(groups), owner, place)),
        problem=posed.problem,
        **columns,
    )


#: Columns of a solution that follow from its unknowns, in the order of `read_off`.
READ_OFF = (
    "overlap",
    "one_minus_overlap",
    "log_x",
    "train_loss",
    "stability",
    "input_variance",
    "field_norm",
    "ridge",
    "intercept",
    "log_c",
    "log_mu",
)
#: And those that are observables.
SEEN = (
    "generalization_error",
    "train_error",
    "multiplier",
    "degrees_of_freedom",
    "replicon",
    "slope",
    "error_estimate",
    "overlap_error",
    "variance_error",
    "log_x_error",
    "residual",
)


def _columns(group: Group, sharp: bool) -> dict[str, Array]:
    """The columns of a solution by name; ``sharp``: whether the loss that was asked for has lam."""
    z, seen, names = group.unknowns, group.observables, group.equations.unknowns
    channel, loss = group.equations.channel, group.equations.channel.loss
    log_scale = group.equations.weights.log_scale(z)
    out = np.empty((len(READ_OFF), len(z)))
    read_off(
        z,
        np.zeros(len(z)) if log_scale is None else log_scale,
        names.index("log_mu") if "log_mu" in names else -1,
        names.index("intercept") if "intercept" in names else -1,
        channel.storage,
        channel.parameter.reshape(len(z), -1),
        loss.hard,
        loss.hebbian,
        loss.rate,
        sharp,
        seen.nu,
        seen.multiplier,
        seen.train_loss,
        out,
    )
    return dict(zip(READ_OFF, out, strict=True)) | {name: getattr(seen, name) for name in SEEN}


@kernel(error_model="numpy")
def read_off(
    z,
    log_scale,
    mu,
    intercept,
    storage,
    parameter,
    hard,
    hebbian,
    rate,
    sharp,
    nu,
    multiplier,
    train_loss,
    out,
):
    """The columns `READ_OFF`, a row each.

    mu, intercept: columns of these unknowns in z, -1 if there are none; parameter: (n, any);
    rate: 0 of a loss without lam; sharp: whether that which was asked for has one. A loss that has
    none may stand for an end of one that has: Hebb's rule for lam = 0, maximum stability for inf.
    """
    for i in range(len(z)):
        a, b = z[i, 0], z[i, 1]
        scale = exp(log_scale[i])
        c = 0.0 if storage[i] else exp(a)
        overlap = c / hypot(1.0, c)
        lam = parameter[i, 0] if rate > 0.0 else np.nan
        ridge = nu[i] / scale * exp(-b)
        norm = lam * scale
        if rate > 0.0:
            ridge /= rate * rate * lam
        elif hard:
            ridge = 0.0
        elif hebbian and sharp:
            ridge = np.inf
        if sharp and not rate > 0.0:
            norm = np.inf if hard else 0.0
        out[0, i] = overlap
        out[1, i] = 1.0 / ((1.0 + c * c) * (1.0 + overlap))
        out[2, i] = np.inf if hard else b
        # V is read off the limiting losses; V_lam itself is log(2)/lam -> inf and 0 (eq. 23)
        out[3, i] = np.inf if sharp and hebbian else train_loss[i]
        out[4, i] = exp(b) * scale if hard else np.nan
        out[5, i] = scale * scale
        out[6, i] = norm
        out[7, i] = ridge
        out[8, i] = z[i, intercept] * scale if intercept >= 0 else 0.0
        out[9, i] = -np.inf if storage[i] else a
        out[10, i] = z[i, mu] if mu >= 0 else log(nu[i] / multiplier[i])
