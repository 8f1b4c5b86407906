"""`solve`: from a problem to its solution.

A module named after the function would take its place in the package once imported.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from replica import existence
from replica.common.arguments import InvalidArgument, quoted
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
        flat = vars(_Row.of(group, loss.sharp))
    else:
        owner, place = np.full(n, -1), np.zeros(n, dtype=np.intp)
        status = np.where(bad, Status.REFUSED, Status.NOT_CONVERGED).astype(np.int8)
        iterations = np.zeros(n, dtype=np.int64)
        flat = {field.name: np.full(n, np.nan) for field in dataclasses.fields(_Row)}
        for number, (group, which) in enumerate(zip(groups, places, strict=True)):
            iterations[which] = group.iterations
            good = group.converged & ~bad[which]
            status[which[good]] = Status.CONVERGED
            # the last iterate of a scalar problem is for whoever catches the error
            rows = _Row.of(group, loss.sharp)
            for name, values in flat.items():
                value = getattr(rows, name)
                keep = good | ((shape == ()) & (name in ("log_c", "log_x")))
                values[which[keep]] = value[keep]
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


@dataclasses.dataclass(frozen=True)
class _Row:
    """The columns of a solution that come from its unknowns and moments."""

    overlap: Array
    one_minus_overlap: Array
    generalization_error: Array
    log_x: Array
    train_loss: Array
    train_error: Array
    multiplier: Array
    degrees_of_freedom: Array
    replicon: Array
    stability: Array
    slope: Array
    input_variance: Array
    field_norm: Array
    ridge: Array
    intercept: Array
    error_estimate: Array
    residual: Array
    log_c: Array
    log_mu: Array

    @classmethod
    def of(cls, group: Group, sharp: bool) -> _Row:
        """``sharp``: whether the loss that was asked for has a norm."""
        z, seen = group.unknowns, group.observables
        channel, weights = group.equations.channel, group.equations.weights
        loss, n = channel.loss, len(group)
        log_scale = weights.log_scale(z)
        scale = np.ones(n) if log_scale is None else np.exp(log_scale)
        storage = channel.storage
        a, b = z[:, 0], z[:, 1]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            c = np.where(storage, 0.0, np.exp(a))
            r = c / np.hypot(1.0, c)
            nu = seen.nu
            log_mu = z[:, 2] if log_scale is not None else np.log(nu / seen.multiplier)
            lam = channel.parameter if loss.sharp else np.full(n, np.nan)
            if loss.hard:
                ridge = np.zeros(n)
            elif loss.hebbian and sharp:
                ridge = np.full(n, np.inf)  # lam = 0
            elif loss.sharp:
                ridge = nu / (loss.rate**2 * lam * scale) * np.exp(-b)
            else:
                ridge = nu / scale * np.exp(-b)
            norm = lam * scale
            if sharp and not loss.sharp:
                norm = np.full(n, np.inf if loss.hard else 0.0)
        beta = z[:, -1] * scale if "intercept" in group.equations.unknowns else np.zeros(n)
        endless = sharp and loss.hebbian
        return cls(
            overlap=r,
            one_minus_overlap=1 / ((1 + c * c) * (1 + r)),
            generalization_error=seen.generalization_error,
            log_x=np.full(n, np.inf) if loss.hard else b,
            # V is read off the limiting losses; V_lam itself is log(2)/lam -> inf and 0 (eq. 23)
            train_loss=np.full(n, np.inf) if endless else seen.train_loss,
            train_error=seen.train_error,
            multiplier=seen.multiplier,
            degrees_of_freedom=seen.degrees_of_freedom,
            replicon=seen.replicon,
            stability=np.exp(b) * scale if loss.hard else np.full(n, np.nan),
            slope=seen.slope,
            input_variance=scale**2,
            field_norm=norm,
            ridge=ridge,
            intercept=beta,
            error_estimate=seen.error_estimate,
            residual=seen.residual,
            log_c=np.where(storage, -np.inf, a),
            log_mu=log_mu,
        )
