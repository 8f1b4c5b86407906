"""Newton's method for many small systems at once. The loop exists here and nowhere else.

It knows nothing of perceptrons: equations supply residuals and a Jacobian,
`newton` supplies damping, tolerance and the account of what happened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Root", "newton"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
#: (unknowns (m, k), which of the n systems (m,)) -> residuals (m, k), Jacobian (m, k, k)
Equations = Callable[[Array, Indices], tuple[Array, Array]]

#: Steps in the (logarithmic) unknowns are cut to this length, relative to max(1, |z|).
LONGEST_STEP = 3.0
#: A step that does not reduce the residual is halved at most so often in a row.
HALVINGS = 12


@dataclass(frozen=True)
class Root:
    """Where Newton ended for each of n systems."""

    unknowns: Array
    iterations: NDArray[np.int64]
    converged: NDArray[np.bool_]


def newton_step(residuals: Array, jacobian: Array) -> Array:
    """Solve J step = -F for each system; nan where J is singular."""
    if residuals.shape[1] == 2:
        (f, g), (p, q, r, s) = residuals.T, jacobian.reshape(-1, 4).T
        with np.errstate(divide="ignore", invalid="ignore"):
            det = p * s - q * r
            return np.stack([(q * g - s * f) / det, (r * f - p * g) / det], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return -residuals / jacobian[:, 0]


def newton(equations: Equations, start: Array, tolerance: float, limit: int = 80) -> Root:
    """Damped Newton on n systems in lockstep.

    Parameters
    ----------
    equations : callable
        ``equations(z, which)`` for the systems ``which`` still at work.
    start : (n, k) array, k = 1 or 2
        First iterate; systems that start at nan are left alone and unconverged.
    tolerance : float
        A system is done when its step is below ``tolerance * max(1, |z|)`` in
        every unknown; the step is still taken, so the iterate is better than that.
    limit : int
        Most evaluations of one system.
    """
    z = start.copy()
    n = len(z)
    iterations = np.zeros(n, dtype=np.int64)
    converged = np.zeros(n, dtype=bool)
    work = np.flatnonzero(np.isfinite(z).all(axis=1))
    merit = np.full(n, np.inf)
    last = z.copy()  # the last accepted iterate, and the step that led away from it
    step = np.zeros_like(z)
    halvings = np.zeros(n, dtype=np.int64)
    for _ in range(limit):
        if len(work) == 0:
            break
        iterations[work] += 1
        residuals, jacobian = equations(z[work], work)
        new = newton_step(residuals, jacobian)
        size = np.where(np.isfinite(new).all(axis=1), np.linalg.norm(residuals, axis=1), np.inf)
        # Near the root rounding decides which residual is larger: accept.
        better = (size < merit[work]) | (size < 1e-11)
        halve = work[~better & (halvings[work] < HALVINGS)]
        step[halve] *= 0.5
        halvings[halve] += 1
        z[halve] = last[halve] + step[halve]

        forward = better | (np.isfinite(size) & (halvings[work] >= HALVINGS))
        at = work[forward]
        new = new[forward]
        scale = np.maximum(1.0, np.abs(z[at]))
        small = (np.abs(new) <= tolerance * scale).all(axis=1)
        longest = (np.abs(new) / scale).max(axis=1, initial=0.0)
        new = new * np.minimum(1.0, LONGEST_STEP / np.maximum(longest, 1e-300))[:, None]
        last[at], step[at], merit[at], halvings[at] = z[at], new, size[forward], 0
        z[at] = z[at] + new
        converged[at[small]] = True
        lost = ~better & ~forward & (halvings[work] >= HALVINGS)
        keep = ~converged[work] & ~lost
        work = work[keep]
    return Root(z, iterations, converged)
