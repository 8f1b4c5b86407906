r"""Maximum margins in the p-norms between 1 and inf, by a primal-dual interior point method.

min sum_i |v_i|^p/p with a_mu.v >= t is strictly convex, and any t > 0 asks for the same direction.
With slacks z = a.v - t, multipliers b > 0 and s = sum_mu b_mu a_mu its conditions are

    s_i = phi(v_i) = sign(v_i) |v_i|^(p-1),    b_mu z_mu = 0,

met as the limit of b_mu z_mu = m, eq. (E3a) of `docs/experiment.md`. Newton's step for them has one
matrix in the weights,

    D + A^T (b/z) A ,    D = phi'(v) for p >= 2,    1/psi'(s) for p < 2 ,

psi the inverse of phi, whose power is q - 1 with 1/p + 1/q = 1: of the two that is linearised whose
slope is finite at zero. An intercept is a weight with D = 0 and s = 0.

Far from p = 2 the powers differ by decades, and a step from a poor guess leads nowhere. So p
begins at 2 and goes to its value in steps of p - 1, each once the duality gap of the last is fair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from perceptron.powers import conjugate, power_mean
from perceptron.products import one_blas_thread

__all__ = ["InNorm", "in_norm"]

Array = NDArray[np.float64]

#: p - 1 changes by this factor, once the gap is fair; choices.
FACTOR, FAIR = 1.6, 0.3
#: Until then m falls by no more than this; a choice.
HELD = 0.6
#: Steps in all; 15 to 60 are usual.
MOST_STEPS = 300
#: Part of the way to the bounds z, b > 0 that a step takes; no product b z may fall below
#: `CENTRAL` of their mean. Both usual choices.
TOWARDS, CENTRAL = 0.995, 1e-3
#: A step is cut by this factor until that holds, so often at most.
CUT, MOST_CUTS = 0.8, 30
#: Where a weight is fixed at zero: a slope beside which all others are nothing.
STEEPEST = 1e100
#: What is added to a matrix of unit diagonal that is not positive definite to rounding, at most.
LIFT, MOST_LIFT = 1e-14, 1e-2
#: Where the margins are not positive at the start, in units of their median size; a choice.
FIRST_MARGIN = 0.1


@dataclass(frozen=True, eq=False)
class InNorm:
    """Weights at sum |w|^p = N, the intercept behind them, and multipliers of sum 1.

    With the margin that these reach, and the bound that those prove.
    """

    weights: Array
    multipliers: Array
    margin: float
    bound: float

    @property
    def gap(self) -> float:
        """Part of the bound that is missing."""
        return 1 - self.margin / self.bound if self.margin > 0 else np.inf


def in_norm(rows: Array, signs: Array | None, p: float, tolerance: float) -> InNorm:
    r"""Maximise min_mu (rows.w + signs b_0) at sum_i \|w_i\|^p = N, 1 < p < inf.

    Parameters
    ----------
    rows : (P, N) array
        y x/sqrt(N), of size about 1.
    signs : (P,) array or None
        y where there is an intercept, which is free.
    p : float
    tolerance : float
        On the gap.

    Returns
    -------
    InNorm
        The best that was found; its ``gap`` says how good.
    """
    with one_blas_thread():
        return _Search(rows, signs).run(p, tolerance)


class _Search:
    """The point (v, z, b) on its way."""

    def __init__(self, rows: Array, signs: Array | None):
        self.n, self.signs = rows.shape[1], signs
        self.A = rows if signs is None else np.column_stack([rows, signs])
        v = self.A.sum(axis=0)
        v[self.n :] = 0.0
        self.p = 2.0
        self.v = v / (self.size(v) or 1.0)
        margins = self.A @ self.v
        self.t = max(float(margins.min()), FIRST_MARGIN * float(np.median(np.abs(margins))))
        self.z = np.maximum(margins - self.t, FIRST_MARGIN * float(np.std(margins)))
        # such that sum b t = sum |v|^p, as at the solution
        self.b = np.full(len(rows), self.n / (len(rows) * self.t) if self.t > 0 else np.inf)

    @property
    def q(self) -> float:
        return conjugate(self.p)

    def size(self, v: Array) -> float:
        """The p-norm of the weights, 1 where each is."""
        return power_mean(v[: self.n], self.p)

    def run(self, p: float, tolerance: float) -> InNorm:
        """To the gap, or as far as rounding lets it come."""
        changes = int(np.ceil(abs(np.log(p - 1)) / np.log(FACTOR)))
        path = [1 + (p - 1) ** (k / changes) for k in range(1, changes)] + [p]
        self.p = path.pop(0) if p == 2 else 2.0
        best = here = self.judged()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for _ in range(MOST_STEPS):
                if not self.step(HELD if path else 0.0):
                    break
                here = self.judged()
                if path and here.gap < FAIR:
                    self.turn_to(path.pop(0))
                    best = here = self.judged()
                if here.gap < best.gap:
                    best = here
                if not path and best.gap <= tolerance:
                    break
        # one that ended on the way says nothing of this norm but that of its weights
        self.p = p
        return best if not path else self.judged()

    def judged(self) -> InNorm:
        """What the weights reach and the multipliers prove."""
        w = self.v / (self.size(self.v) or 1.0)
        b = self.b / self.b.sum()
        if self.signs is not None:
            for side in (self.signs > 0, self.signs < 0):
                b[side] /= 2 * b[side].sum()
        pull = (self.A.T @ b)[: self.n]
        bound = self.n * power_mean(pull, self.q)
        return InNorm(w, b, float((self.A @ w).min()), bound)

    def turn_to(self, p: float) -> None:
        """Another norm; lengths and forces are 1 there."""
        self.p = p
        self.scale()
        self.b /= power_mean((self.A.T @ self.b)[: self.n], self.q)

    def scale(self) -> None:
        """Bring the weights to length 1, whose powers do not overflow."""
        factor = 1 / self.size(self.v)
        self.v, self.z, self.t = self.v * factor, self.z * factor, self.t * factor
        self.b = self.b * factor ** (self.p - 1)

    def step(self, held: float) -> bool:
        """Mehrotra's predictor and corrector; whether there was one in floating point."""
        n, A, p = self.n, self.A, self.p
        s = A.T @ self.b
        v = self.v[:n]
        D, rest = np.zeros(len(s)), -s
        if p >= 2:
            D[:n] = (p - 1) * np.abs(v) ** (p - 2)
            rest[:n] += _power(v, p - 1)
        else:
            slope = (self.q - 1) * np.abs(s[:n]) ** (self.q - 2)
            D[:n] = np.minimum(1 / slope, STEEPEST)
            rest[:n] = D[:n] * (v - _power(s[:n], self.q - 1))
        short = A @ self.v - self.t - self.z
        matrix = A.T @ ((self.b / self.z)[:, None] * A)
        matrix[np.diag_indices_from(matrix)] += D
        factor = _factor(matrix)
        if factor is None:
            return False

        def direction(products: Array) -> tuple[Array, Array, Array]:
            right = A.T @ ((products - self.b * short) / self.z) - rest
            dv = factor(right)
            dz = A @ dv + short
            return dv, dz, (products - self.b * dz) / self.z

        mean = float(self.b @ self.z) / len(self.b)
        _, dz, db = direction(-self.b * self.z)
        a = min(_reach(self.z, dz), _reach(self.b, db))
        left = float((self.b + a * db) @ (self.z + a * dz)) / len(self.b)
        aim = max((max(left, 0.0) / mean) ** 3, held) * mean
        dv, dz, db = direction(aim - self.b * self.z - min(1.0, a * a) * dz * db)
        a = min(_reach(self.z, dz), _reach(self.b, db))
        if not (np.all(np.isfinite(dv)) and np.all(np.isfinite(dz)) and np.all(np.isfinite(db))):
            return False
        for _ in range(MOST_CUTS):
            products = (self.z + a * dz) * (self.b + a * db)
            if products.min() >= CENTRAL * products.mean():
                break
            a *= CUT
        self.v, self.z, self.b = self.v + a * dv, self.z + a * dz, self.b + a * db
        self.scale()
        return bool(self.z.min() > 0 and self.b.min() > 0)


def _power(x: Array, exponent: float) -> Array:
    """sign(x) |x|^exponent."""
    return np.asarray(np.sign(x) * np.abs(x) ** exponent)


def _reach(x: Array, change: Array) -> float:
    """The part of a step that keeps x positive, 1 at most."""
    falling = change < 0
    if not np.any(falling):
        return 1.0
    return min(1.0, TOWARDS * float(np.min(-x[falling] / change[falling])))


def _factor(matrix: Array) -> Any:
    """What solves with the matrix, whose columns are brought to one size; None if nothing does."""
    if not np.all(np.isfinite(matrix)):
        return None
    scale = 1 / np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    matrix = matrix * scale * scale[:, None]
    lift = 0.0
    while lift <= MOST_LIFT:
        lifted = matrix.copy()
        lifted[np.diag_indices_from(lifted)] += lift
        try:
            factor = cho_factor(lifted, lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            lift = max(LIFT, 10 * lift)
            continue
        return lambda right: scale * cho_solve(factor, scale * right, check_finite=False)
    return None
