"""Newton's method for many small systems at once. The loop exists here and nowhere else.

It knows nothing of perceptrons, and of no number of unknowns: equations supply residuals and a
Jacobian, `newton` supplies damping, tolerance and the account of what happened, `follow` goes
along a path of systems where a guess is too far.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replica.common.compiled import kernel

__all__ = ["Equations", "Readings", "Root", "Walk", "follow", "newton", "newton_step", "readings"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
#: (unknowns (m, k), which of the n systems (m,)) -> residuals (m, k), Jacobian (m, k, k)
Equations = Callable[[Array, Indices], tuple[Array, Array]]

#: Steps in the (logarithmic) unknowns are cut to this length, relative to max(1, |z|).
LONGEST_STEP = 3.0
#: A step that does not reduce the residual is halved at most so often in a row.
HALVINGS = 12
#: Residuals so small are rounding, of which none is better than another.
ROUNDED = 1e-11
#: A path on which steps have become so short (in the logarithm) ends there.
SHORTEST_STRIDE = 1e-3


@dataclass(frozen=True)
class Root:
    """Where Newton ended for each of n systems."""

    unknowns: Array
    iterations: NDArray[np.int64]
    converged: NDArray[np.bool_]


# Elements one by one: a slice that is assigned costs a second of compilation.


@kernel(error_model="numpy")
def solve_linear(jacobian, i, right, matrix):
    """Gauss's elimination with pivoting: ``right`` becomes the solution of system i, or nan."""
    k = len(right)
    for row in range(k):
        for column in range(k):
            matrix[row, column] = jacobian[i, row, column]
    for column in range(k):
        pivot = column
        for row in range(column + 1, k):
            if abs(matrix[row, column]) > abs(matrix[pivot, column]):
                pivot = row
        if pivot != column:
            for j in range(k):
                matrix[column, j], matrix[pivot, j] = matrix[pivot, j], matrix[column, j]
            right[column], right[pivot] = right[pivot], right[column]
        for row in range(column + 1, k):
            factor = matrix[row, column] / matrix[column, column]  # nan where it is singular
            for j in range(column + 1, k):
                matrix[row, j] -= factor * matrix[column, j]
            right[row] -= factor * right[column]
    for row in range(k - 1, -1, -1):
        for j in range(row + 1, k):
            right[row] -= matrix[row, j] * right[j]
        right[row] /= matrix[row, row]
    for row in range(k):  # all or nothing
        if not abs(right[row]) < np.inf:
            for j in range(k):
                right[j] = np.nan


@kernel(error_model="numpy")
def fill_steps(residuals, jacobian, out):
    """The Newton step of each system."""
    k = residuals.shape[1]
    matrix, right = np.empty((k, k)), np.empty(k)
    for i in range(len(residuals)):
        for j in range(k):
            right[j] = -residuals[i, j]
        solve_linear(jacobian, i, right, matrix)
        for j in range(k):
            out[i, j] = right[j]


@kernel(error_model="numpy")
def fill_readings(residuals, jacobian, lever, step, z, along, rounding, error, slope, worst):
    """For `readings`, one system after the other."""
    k = z.shape[1]
    matrix, right = np.empty((k, k)), np.empty(k)
    amplified = np.empty(k)
    for i in range(len(z)):
        for row in range(k):
            amplified[row] = 1.0
        for column in range(k):
            for row in range(k):
                right[row] = 1.0 if row == column else 0.0
            solve_linear(jacobian, i, right, matrix)
            for row in range(k):
                amplified[row] += abs(right[row])
        for j in range(k):
            right[j] = -along[i, j]
        solve_linear(jacobian, i, right, matrix)
        error[i] = slope[i] = worst[i] = 0.0
        for j in range(k):
            ulp = np.spacing(abs(z[i, j]))
            error[i] += abs(lever[i, j]) * (abs(step[i, j]) + rounding * amplified[j] + ulp)
            slope[i] += lever[i, j] * right[j]
            worst[i] = max(worst[i], abs(residuals[i, j]))


@kernel(error_model="numpy")
def advance(
    work,
    left,
    residuals,
    jacobian,
    tolerance,
    z,
    last,
    step,
    merit,
    halvings,
    iterations,
    converged,
    longest_step,
    most_halvings,
):
    """One round: accept or halve, take the next step; returns how many systems stay at work."""
    k = z.shape[1]
    matrix, new = np.empty((k, k)), np.empty(k)
    keep = 0
    for row in range(left):
        i = work[row]
        iterations[i] += 1
        size = 0.0
        for j in range(k):
            size += residuals[row, j] * residuals[row, j]
            new[j] = -residuals[row, j]
        size = np.sqrt(size)
        solve_linear(jacobian, row, new, matrix)
        if not abs(new[0]) < np.inf:
            size = np.inf
        # Near the root rounding decides which residual is larger: accept.
        better = size < merit[i] or size < ROUNDED
        if not better and halvings[i] < most_halvings:
            halvings[i] += 1
            for j in range(k):
                step[i, j] *= 0.5
                z[i, j] = last[i, j] + step[i, j]
            work[keep] = i
            keep += 1
            continue
        if not abs(size) < np.inf:
            continue  # lost
        longest = 0.0
        small = True
        for j in range(k):
            scale = max(1.0, abs(z[i, j]))
            longest = max(longest, abs(new[j]) / scale)
            if not abs(new[j]) <= tolerance * scale:
                small = False
        shrink = longest_step / longest if longest > longest_step else 1.0
        merit[i] = size
        halvings[i] = 0
        for j in range(k):
            last[i, j] = z[i, j]
            step[i, j] = new[j] * shrink
            z[i, j] += step[i, j]
        if small:
            converged[i] = True
        else:
            work[keep] = i
            keep += 1
    return keep


def newton_step(residuals: Array, jacobian: Array) -> Array:
    """Solve J step = -F for each of the systems; nan where J is singular."""
    out = np.empty_like(residuals)
    fill_steps(residuals, jacobian, out)
    return out


@dataclass(frozen=True)
class Readings:
    """What a root says of a function of the unknowns; (n,) arrays.

    Attributes
    ----------
    error : array
        How far the function is off: by a last step, by rounding of the residuals as the inverse
        Jacobian amplifies it, and by that of the unknowns themselves (at log c = 17 an ulp is
        3.6e-15).
    slope : array
        Its derivative along a parameter.
    residual : array
        The largest.
    """

    error: Array
    slope: Array
    residual: Array


def readings(
    residuals: Array,
    jacobian: Array,
    lever: Array,
    step: Array,
    z: Array,
    along: Array,
    rounding: float,
) -> Readings:
    """Read a function off roots ``z`` (n, k) of F = 0.

    Parameters
    ----------
    residuals, jacobian : (n, k), (n, k, k) arrays
    lever : (n, k) array
        Gradient of the function.
    step : (n, k) array
        What was last added to z.
    along : (n, k) array
        dF/dp of a parameter p at fixed z.
    rounding : float
        Of the residuals.
    """
    n = len(z)
    found = Readings(np.empty(n), np.empty(n), np.empty(n))
    fill_readings(
        residuals, jacobian, lever, step, z, along, rounding,
        found.error, found.slope, found.residual,
    )  # fmt: skip
    return found


def newton(equations: Equations, start: Array, tolerance: float, limit: int = 80) -> Root:
    """Damped Newton on n systems in lockstep.

    Parameters
    ----------
    equations : callable
        ``equations(z, which)`` for the systems ``which`` still at work.
    start : (n, k) array
        First iterate; systems that start at nan are left alone and unconverged.
    tolerance : float
        A system is done when its step is below ``tolerance * max(1, |z|)`` in
        every unknown; the step is still taken, so the iterate is better than that.
    limit : int
        Most evaluations of one system.
    """
    z = np.array(start, dtype=float)
    n = len(z)
    iterations = np.zeros(n, dtype=np.int64)
    converged = np.zeros(n, dtype=bool)
    (work,) = np.isfinite(z).all(axis=1).nonzero()
    merit = np.full(n, np.inf)
    last = z.copy()  # the last accepted iterate, and the step that led away from it
    step = np.zeros_like(z)
    halvings = np.zeros(n, dtype=np.int64)
    left = len(work)
    for _ in range(limit):
        if left == 0:
            break
        at = work[:left]
        residuals, jacobian = equations(z if left == n else z[at], at)
        left = advance(
            work, left, residuals, jacobian, tolerance,
            z, last, step, merit, halvings, iterations, converged, LONGEST_STEP, HALVINGS,
        )  # fmt: skip
    return Root(z, iterations, converged)


@dataclass(frozen=True)
class Walk:
    """Where a path ended for each of n systems."""

    unknowns: Array
    parameter: Array
    iterations: NDArray[np.int64]
    arrived: NDArray[np.bool_]
    stopped: NDArray[np.bool_]


def follow(
    system_at: Callable[[Array], Equations],
    start: Array,
    first: Array,
    goal: Array,
    tolerance: float,
    *,
    stride: float = 2.0,
    loose: float = 1e-4,
    on_the_way: Callable[[Array], Equations] | None = None,
    stop: Callable[[Array, Array, Indices], NDArray[np.bool_]] | None = None,
) -> Walk:
    """Follow the roots of a family of systems from one value of its parameter to another.

    The parameter runs on a logarithmic scale. Each step predicts along the secant of the last two
    roots, corrects by Newton, grows after success and shrinks after failure.

    Parameters
    ----------
    system_at : callable
        ``system_at(p)``, p (n,), is the system whose n members have these parameters.
    start : (n, k) array
        Guess at ``first``.
    first, goal : (n,) arrays
        Positive; where the path begins and ends.
    tolerance : float
        Of Newton at the goal.
    stride : float
        First factor between parameters.
    loose : float
        Tolerance of Newton on the way.
    on_the_way : callable, optional
        The same family by a coarser rule, which will do up to the last step.
    stop : callable, optional
        ``stop(p, z, which)``: which systems need not go on.
    """
    n = len(start)
    z = np.array(start, dtype=float)
    here = np.log(np.where(goal < first, np.maximum(first, goal), np.minimum(first, goal)))
    end = np.log(goal)
    sign = np.where(end < here, -1.0, 1.0)
    stride_of = np.full(n, np.log(stride))
    before_z, before = z.copy(), np.full(n, np.nan)
    spent = np.zeros(n, dtype=np.int64)
    arrived, stopped = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    walking = np.flatnonzero(np.isfinite(z).all(axis=1) & np.isfinite(here))
    at = here.copy()  # where the next root is looked for
    guess = z.copy()
    begun = np.zeros(n, dtype=bool)
    while len(walking):
        parameters = np.exp(at)
        system = (on_the_way or system_at)(parameters)
        last = at[walking] == end[walking]

        def part(
            y: Array, rows: Indices, system: Equations = system, who: Indices = walking
        ) -> tuple[Array, Array]:
            return system(y, who[rows])

        root = newton(part, guess[walking], loose, limit=25)
        if last.any():
            closing = np.flatnonzero(last & root.converged)
            exact = system if on_the_way is None else system_at(parameters)
            fine = newton(
                functools.partial(part, system=exact, who=walking[closing]),
                root.unknowns[closing],
                tolerance,
            )
            root.unknowns[closing] = fine.unknowns
            root.converged[closing] = fine.converged
            root.iterations[closing] += fine.iterations
        spent[walking] += root.iterations
        good = root.converged
        won, lost = walking[good], walking[~good]
        before_z[won], before[won] = z[won], np.where(begun[won], here[won], np.nan)
        z[won], here[won] = root.unknowns[good], at[won]
        begun[won] = True
        quick = root.iterations[good] <= 4
        stride_of[won] = np.where(quick, stride_of[won] * 1.6, stride_of[won])
        stride_of[lost] *= 0.35
        arrived[won[last[good]]] = True
        if stop is not None and len(won):
            stopped[won[stop(parameters, z, won)]] = True
        walking = walking[
            ~arrived[walking] & ~stopped[walking] & (stride_of[walking] > SHORTEST_STRIDE)
        ]
        walking = walking[begun[walking]]  # a path whose first root was not found is given up
        step = np.minimum(stride_of[walking], np.abs(end[walking] - here[walking]))
        step = np.where(
            np.abs(end[walking] - here[walking]) - step < 0.3 * step,
            np.abs(end[walking] - here[walking]),
            step,
        )
        at[walking] = here[walking] + sign[walking] * step
        at[walking] = np.where(
            np.abs(at[walking] - end[walking]) < 1e-12, end[walking], at[walking]
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            secant = (z[walking] - before_z[walking]) / (here[walking] - before[walking])[:, None]
        secant = np.where(np.isfinite(secant), secant, 0.0)
        guess[walking] = z[walking] + secant * (at[walking] - here[walking])[:, None]
    return Walk(z, np.exp(here), spent, arrived, stopped)
