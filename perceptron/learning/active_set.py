r"""Hard margins by exchange, for tables whose columns or margins defeat sums of squares.

The dual method of Goldfarb and Idnani (1983) for min |v|^2/2 with a_mu.v >= 1. It holds a set S of
independent rows with their multipliers b >= 0 and v = sum_S b a, takes the most violated example
p in, and lets those whose multipliers reach zero on the way out. The step changes the
multipliers of S by -r for each unit of b_p, with r the coefficients of the projection of a_p on
the rows of S. |v|^2 grows in each exchange, so it ends: at the solution, or at a p that depends
on S with r <= 0, where b = (-r, 1) sums to zero: nothing separates the examples.

It is done twice at most: in double precision with a QR decomposition of S, which finds the support
of nearly all tables, whatever the sizes of their columns; and where that fails in decimal
arithmetic, with as many digits as the columns' sizes ask for, beginning with the support that was
found. An intercept is a weight at a column of `FAR` times the largest input, which makes its
share of the norm 1 / `FAR`^2.
"""

from __future__ import annotations

import decimal
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular

from perceptron import kernels
from perceptron.learning.proofs import UNIT, accurate

__all__ = ["Exchange", "exchange", "exchange_in_doubles", "refined"]

Array = NDArray[np.float64]
#: Of doubles or decimals.
Numbers = NDArray[Any]

#: Digits beyond those that the Gram matrix loses to columns of different size; a choice that
#: leaves margins of 1e-15 of the inputs, squared, 30 digits.
DIGITS = 60
#: |a_p - projection|^2 / |a_p|^2 below 10^-this, times what the columns' sizes take, is zero.
DEPENDENT = 30
#: The same in doubles.
DEPENDENT_IN_DOUBLES = 1e-24
#: The column of the intercept, in units of the largest input; and in doubles, where its condition
#: counts, and the support is all that is asked for.
FAR = 1e12
FAR_IN_DOUBLES = 1e4
#: Constraints count as met when violated by less: a tenth of the least tolerance.
VIOLATION = 1e-14
#: The same in doubles, where the solution is refined afterwards.
VIOLATION_IN_DOUBLES = 1e-9
#: Multiplications of long numbers in all; about half a minute. A choice.
MOST_WORK = 4e7
#: Exchanges in doubles: so many for each dimension, and some more. A choice.
MOST_STEPS = (50, 1000)
#: The most violated examples, among which one is chosen until none of them is: so many
#: for each dimension, and some more. A choice.
POOL = (4, 200)
#: Steps of refinement; each wins the digits that the condition leaves.
REFINEMENTS = 6


@dataclass
class Exchange:
    """Where it ended: "solved", "zero" (the multipliers sum to nothing) or "spent"."""

    outcome: str
    weights: Numbers  # (n,), v = sum b a without the intercept
    intercept: Any
    multipliers: dict[int, Any]
    steps: int

    @property
    def bound(self) -> float:
        """Upper bound on the stability, |v|/sum b; in all digits."""
        total = sum(self.multipliers.values(), Decimal(0))
        square: Any = self.weights @ self.weights
        return float(square.sqrt() / total) if total > 0 else np.inf


def exchange_in_doubles(rows: Array, signs: Array | None) -> Exchange:
    """Solve min |v|^2/2 with rows.v >= 1, or rows.v + signs b_0 >= 1 where signs are given.

    The compiled `kernels.exchanges` sees the most violated examples only, a pool, which is chosen
    anew until none is violated.
    """
    n = rows.shape[1]
    lengths = np.maximum(np.linalg.norm(rows, axis=1), 1e-300)
    sizes = np.abs(rows).max(axis=0)
    far = FAR_IN_DOUBLES * (float(sizes.max()) or 1.0)
    if signs is not None:  # the support does not move with the origin, and the intercept is small
        rows = np.column_stack([rows - np.outer(signs, signs @ rows / len(rows)), signs * far])
        sizes = np.append(np.abs(rows[:, :n]).max(axis=0), far)
    m = rows.shape[1]
    Q, R, v, b = np.zeros((m, m)), np.zeros((m, m)), np.zeros(m), np.zeros(m + 1)
    S, inside = np.zeros(m + 1, dtype=np.int64), np.zeros(len(rows), dtype=bool)
    count, error = np.zeros(2, dtype=np.int64), 4 * (n + 2) * UNIT
    most, ended = MOST_STEPS[0] * n + MOST_STEPS[1], kernels.MET
    while ended == kernels.MET:
        short = 1 - rows @ v
        short[short <= VIOLATION_IN_DOUBLES + error * float(sizes @ np.abs(v))] = -np.inf
        short[inside] = -np.inf
        short /= lengths
        size = min(POOL[0] * n + POOL[1], short.size)
        pool = np.sort(np.argpartition(-short, size - 1)[:size])
        pool = pool[short[pool] > 0]
        if not pool.size:
            break
        before = count[1]
        ended = kernels.exchanges(
            rows[pool], pool, lengths[pool], sizes, error, VIOLATION_IN_DOUBLES,
            DEPENDENT_IN_DOUBLES, most, Q, R, S, inside, b, v, count,
        )  # fmt: skip
        if count[1] == before:  # the sums of the kernel, in another order, say that all is met
            break
    outcome = {kernels.MET: "solved", kernels.ZERO: "zero", kernels.SPENT: "spent"}[ended]
    multipliers = {int(i): float(x) for i, x in zip(S[: count[0]], b, strict=False)}
    threshold = float(v[n] * far) if signs is not None else 0.0
    return Exchange(outcome, v[:n], threshold, multipliers, int(count[1]))


def exchange(rows: Array, signs: Array | None, first: list[int]) -> Exchange:
    """The same in many digits, with the examples to look at first."""
    sizes = np.abs(rows).max(axis=0)
    largest = sizes.max(initial=0.0)
    decades = np.log10(largest / sizes[sizes > 0].min()) if largest > 0 else 0.0
    if signs is not None:
        decades = max(decades, 0.0) + np.log10(FAR)
    lost = int(np.ceil(decades))
    with decimal.localcontext() as context:
        context.prec = DIGITS + 4 * lost
        context.Emax, context.Emin = decimal.MAX_EMAX, decimal.MIN_EMIN
        # no trap but division by zero, which does not occur
        for trap in (decimal.Inexact, decimal.Rounded, decimal.Subnormal):
            context.traps[trap] = False
        return _Long(rows, signs, Decimal(10) ** -(DEPENDENT + 2 * lost), first).run()


class _Long:
    """In decimals, with the inverse of the Gram matrix of S."""

    def __init__(self, rows: Array, signs: Array | None, dependent: Decimal, first: list[int]):
        self.rows, self.signs = rows, signs
        self.sizes = np.abs(rows).max(axis=0)
        self.lengths = np.maximum(np.linalg.norm(rows, axis=1), 1e-300)
        self.n = rows.shape[1]
        self.far = Decimal(FAR * (float(self.sizes.max()) or 1.0))
        self.v: Numbers = np.full(self.n + (signs is not None), Decimal(0))
        self.b: Numbers = np.full(0, Decimal(0))
        self.S: list[int] = []
        self.steps = 0
        self.dependent, self.first = dependent, np.array(first, dtype=np.intp)
        self.A: Numbers = np.empty((0, self.v.size), dtype=object)
        self.M: Numbers = np.empty((0, 0), dtype=object)
        self.work = 0

    @property
    def threshold(self) -> Any:
        return self.v[self.n] * self.far if self.signs is not None else Decimal(0)

    def run(self) -> Exchange:
        """Exchange until all is met, nothing helps, or it takes too long."""
        while not self.spent():
            p = self.violated()
            if p is None:
                return self.ended("solved")
            outcome = self.take_in(p)
            if outcome != "taken":
                return self.ended(outcome)
        return self.ended("spent")

    def ended(self, outcome: str) -> Exchange:
        multipliers = dict(zip(self.S, self.b, strict=True))
        return Exchange(outcome, self.v[: self.n], self.threshold, multipliers, self.steps)

    def take_in(self, p: int) -> str:
        """Raise b_p from zero until its margin is 1; "zero" if that never happens."""
        a = self.row(p)
        short: Any = 1 - a @ self.v
        b_p: Any = Decimal(0)
        while not self.spent():
            self.steps += 1
            r, z, left = self.project(a)
            falling = [j for j in range(len(r)) if r[j] > 0]
            last = min(falling, key=lambda j: self.b[j] / r[j]) if falling else None
            if not left > 0 and last is None:
                # what all would grow by for ever
                one: Any = Decimal(1)
                self.b = np.append(-r, one)
                self.S.append(p)
                return "zero"
            size: Any = self.b[last] / r[last] if last is not None else None
            full = left > 0 and (size is None or short / left <= size)
            if full:
                size = short / left
            self.b, b_p = self.b - size * r, b_p + size
            if left > 0:
                self.v = self.v + size * z
                short -= size * left
            if full:
                self.add(a, r, left)
                self.S.append(p)
                self.b = np.append(self.b, b_p)
                return "taken"
            assert last is not None
            self.remove(last)
            self.b = np.delete(self.b, last)
            del self.S[last]
        return "spent"

    def row(self, i: int) -> Numbers:
        row = [Decimal(float(x)) for x in self.rows[i]]
        if self.signs is not None:
            row.append(Decimal(float(self.signs[i])) * self.far)
        return np.array(row, dtype=object)

    def spent(self) -> bool:
        return self.work > MOST_WORK

    def violated(self) -> int | None:
        if self.first.size:
            p = self.violated_of(self.first)
            if p is not None:
                return p
            self.first = self.first[:0]
        return self.violated_of(np.arange(len(self.rows)))

    def violated_of(self, which: NDArray[np.intp]) -> int | None:
        """By doubles, where these do not decide by pairs of them, and then in all digits."""
        high = np.array([float(x) for x in self.v[: self.n]])
        b0 = float(self.threshold)
        short = 1 - self.rows[which] @ high
        if self.signs is not None:
            short -= self.signs[which] * b0
        error = 2 * (self.n + 2) * UNIT * (float(self.sizes @ np.abs(high)) + abs(b0))
        short[np.isin(which, self.S)] = -np.inf
        clear = np.flatnonzero(short > 2 * error + VIOLATION)
        if clear.size:
            return int(which[clear[np.argmax(short[clear] / self.lengths[which[clear]])]])
        near = which[short > VIOLATION - 2 * error]
        if not near.size or error < VIOLATION / 4:
            return None
        pairs = zip(self.v[: self.n], high, strict=True)
        v, low = high, np.array([float(x - Decimal(h)) for x, h in pairs])
        rows = self.rows[near]
        if self.signs is not None:
            rows = np.column_stack([rows, self.signs[near]])
            v, low = np.append(v, b0), np.append(low, float(self.threshold - Decimal(b0)))
        exact, errors = accurate(rows, v, low)
        short = 1 - exact
        worst = int(np.argmax(short / self.lengths[near]))
        if short[worst] > 2 * errors[worst] + VIOLATION:
            return int(near[worst])
        doubtful = near[short > VIOLATION - 2 * errors]
        if not doubtful.size or errors.max() < VIOLATION / 4:
            return None
        self.work += doubtful.size * self.n
        gaps = {int(i): 1 - self.row(int(i)) @ self.v for i in doubtful}
        p = max(gaps, key=gaps.__getitem__)
        return p if gaps[p] > Decimal(VIOLATION) else None

    def project(self, a: Numbers) -> tuple[Numbers, Numbers, Decimal]:
        k, n = self.A.shape
        self.work += 3 * k * (k + n) + n
        square: Any = a @ a
        if not k:
            return self.b, a, square
        g = self.A @ a
        r = self.M @ g
        left: Any = square - g @ r
        return r, a - r @ self.A, left if left > self.dependent * square else Decimal(0)

    def add(self, a: Numbers, r: Numbers, left: Decimal) -> None:
        k = len(self.S)
        M = np.empty((k + 1, k + 1), dtype=object)
        M[:k, :k] = self.M + np.outer(r, r / left)
        M[:k, k] = M[k, :k] = -r / left
        M[k, k] = 1 / left
        self.M, self.A = M, np.vstack([self.A, a])

    def remove(self, j: int) -> None:
        column = np.delete(self.M[:, j], j)
        M = np.delete(np.delete(self.M, j, axis=0), j, axis=1)
        self.M = M - np.outer(column, column / self.M[j, j])
        self.A = np.delete(self.A, j, axis=0)


def refined(rows: Array, signs: Array | None) -> tuple[Array, float, Array] | None:
    """Weights of least norm at which all these margins are 1, the intercept, and multipliers.

    Refined with residuals in twice the precision; the multipliers, in which the bound on the
    stability is stationary, are those of double precision. None if they are not positive.
    """
    k, n = rows.shape
    # the reflection that turns the signs into the first axis frees the others of the intercept
    u = np.zeros(k)
    if signs is not None:
        u[:] = signs
        u[0] += np.copysign(np.sqrt(k), signs[0])
        u /= np.linalg.norm(u)

    def reflect(x: Array) -> Array:
        return np.asarray(x - 2 * np.outer(u, u @ x).reshape(x.shape))

    skip = int(signs is not None)
    A = reflect(rows)[skip:]
    if not 0 < len(A) <= n:
        return None
    Q, R = qr(A.T, mode="economic", check_finite=False)
    if not np.abs(np.diag(R)).min() > 0:
        return None
    table = rows if signs is None else np.column_stack([rows, signs])
    high, low = np.zeros(n + skip), np.zeros(n + skip)
    for _ in range(REFINEMENTS):
        residual = 1 - accurate(table, high, low)[0]
        right = reflect(residual)
        step = Q @ solve_triangular(R, right[skip:], trans="T", check_finite=False)
        if signs is not None:
            step = np.append(step, signs @ (residual - rows @ step) / k)
        total = high + step
        low += step - (total - high)
        high = total
        if np.abs(step).max() <= UNIT**2 * np.abs(high).max():
            break
    c = solve_triangular(R, Q.T @ high[:n], check_finite=False)
    b = reflect(np.append(np.zeros(skip), c))
    if not (np.all(np.isfinite(high)) and np.all(b > 0)):
        return None
    return high[:n], float(high[n]) if signs is not None else 0.0, b
