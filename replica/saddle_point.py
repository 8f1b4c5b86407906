"""Newton on the saddle-point equations: from a guess to the unknowns and their error.

Flat arrays of checked numbers only; the door for users is `replica.general.solve`.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from replica import adaptive, kernels
from replica.equations import PerceptronEquations
from replica.solver import Equations, newton, newton_step

__all__ = ["Columns", "Found", "solve_equations"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Gauss-Legendre nodes a panel: for Newton's iterations (4e-14 over the plane of
#: docs/theory.md, section 6) and for the check that also gives the error estimate.
ORDER, CHECK_ORDER = 20, 28
#: Newton stops after a step this small; being quadratic it then stands far below 1e-14.
TOLERANCE = 1e-8
#: A check that moves log c by more than this asks for panels of half the width.
REFINE_ABOVE = 3e-13
#: The part of an integral that rounding can move: 300 positive terms, each good to 2 ulp,
#: most of it random. tests/test_highprecision.py holds the estimate against certified values.
ROUNDING = 1e-15
#: Points solved at a time; bounds the memory for intermediate moments to a few MB.
BLOCK = 8192
#: Continuation starts at this sharpness, where Hebb's rule is a good guess, ...
FIRST_SHARPNESS = 1e-3
#: ... and multiplies it by at most this factor a step.
STRIDE = 2.0


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
    """Follow each point from a small sharpness to its own.

    Returns the unknowns, the iterations spent, which points arrived, and which
    (with ``require_convex``) were given up because the multiplier passed 1.
    """
    goal = equations.parameter
    at = np.minimum(goal, FIRST_SHARPNESS)
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
    # a itself is rounded: at log c = 17 an ulp is 3.6e-15
    error = lever * (np.abs(step[:, 0]) + rounding + np.spacing(np.abs(z[:, 0]))) + 2.3e-16
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
