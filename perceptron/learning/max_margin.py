"""Maximum stability: the hard-margin solution, exact but for rounding.

With a_mu = y x/sqrt(N), the primal is min |v|^2/2 with a_mu.v >= 1 and its dual
max sum(b) - |v|^2/2 with v = sum_mu b_mu a_mu, b >= 0; kappa = sqrt(N)/|v|. Any
b >= 0 bounds the stability of all weights, kappa <= sqrt(N) |v| / sum(b), so a
solution is proved as soon as its own smallest margin meets the bound.

Coordinate ascent on the dual comes first. Its steps are cheap and find nearly
all of the support, but the last few examples take it for ever. They are left to
proximal steps on the dual (the method of multipliers), max over b of

    sum(b) - |v|^2/2 - mu |b - c|^2/2 ,

with centre c, the previous b, and mu falling. Each is the minimisation over v of

    phi(v) = |v|^2/2 + sum_mu max(0, mu c_mu + 1 - a_mu.v)^2 / (2 mu) ,

strictly convex and piecewise quadratic: Newton's method with an exact line
search ends at its minimum after finitely many steps, whatever the start and
however degenerate the examples, and the matrices are never singular. Nothing
of size P x P is stored unless P <= N.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from threadpoolctl import threadpool_limits

from perceptron import kernels, ranges
from perceptron.data import Examples, check_examples
from perceptron.records import Learned
from replica.common import arguments
from replica.common.arguments import InvalidArgument

__all__ = ["MaximumStability", "NotSeparable", "max_stability"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Passes of coordinate ascent between two looks at all examples; a choice.
PASSES = 20
#: Newton's method takes over at this duality gap, or after so many passes: choices
#: that balance the two parts at alpha = 1 to 10.
ROUGH_GAP = 5e-3
MOST_PASSES = 2000
#: The first mu in units of (error of the margins) / (multiplier), both on the support.
FIRST_MU = 10.0
#: Then mu falls by this factor in each proximal step. Both are choices.
FALL = 0.1
#: From here on it stays: the condition number of Newton's matrix is about 1/mu.
SMALLEST_MU = 1e-8
#: A proximal step is done once its own duality gap, |v - sum b a|^2/2, is below this
#: share of mu |b - c|^2/2; any share below 1 converges (Solodov and Svaiter 1999).
SHARE = 0.25
#: |v - sum b a| over |v| that rounding leaves: some sqrt(N) units of it.
ROUNDING = 1e-14
#: So many steps in a row may bring nothing: exchanges of the support in which no fewer
#: examples change sides than before, or proximal steps at the smallest mu that do not
#: halve the gap.
PATIENCE = 4
#: Newton steps in all; 10 to 100 are usual.
MOST_STEPS = 1000
#: A proof that no stability exceeds this counts as a proof that none is positive.
SMALLEST_STABILITY = 1e-9
#: Rows that are converted to floating point together.
BLOCK = 1024


class NotSeparable(ValueError):
    r"""No weights give every example a positive margin.

    Attributes
    ----------
    multipliers : (P,) array
        The proof: non-negative, of sum 1, with \|sum_mu b_mu y x\| = ``bound``.
    bound : float
        Upper bound on the stability of any weights with \|w\|^2 = N; zero to rounding.
    """

    def __init__(self, message: str, multipliers: Array, bound: float):
        super().__init__(message)
        self.multipliers = multipliers
        self.bound = bound

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """So that it comes back from another process."""
        return type(self), (*self.args, self.multipliers, self.bound)


@dataclass(frozen=True, eq=False, kw_only=True)
class MaximumStability(Learned):
    r"""The weights with the largest smallest margin.

    Attributes
    ----------
    stability : float
        kappa, the smallest margin at \|w\|^2 = N.
    duality_gap : float
        Upper bound on (kappa_max - kappa)/kappa_max: no weights at all have a
        stability above kappa/(1 - duality_gap).
    support : (S,) int array
        The examples with a positive multiplier, whose margin is kappa.
    multipliers : (P,) array
        b >= 0 with w = sum_mu b_mu y x/sqrt(N), of sum N/kappa.
    steps : int
        Newton steps.
    """

    stability: float
    duality_gap: float
    support: NDArray[np.intp]
    multipliers: Array
    steps: int


def max_stability(
    examples: Examples, *, tolerance: float = 1e-10, start: Array | None = None
) -> MaximumStability:
    r"""Maximise the smallest margin kappa = min_mu y w.x/sqrt(N) at \|w\|^2 = N.

    The limit lam -> inf of the fixed-norm minimiser and the hard-margin support
    vector machine without threshold. The answer is exact in the sense of
    ``duality_gap``, the same for any order of the examples up to rounding, and
    the same to the bit with any number of threads.

    Parameters
    ----------
    examples : Examples
        Linearly separable.
    tolerance : float
        On ``duality_gap``, in [1e-13, 0.1].
    start : (P,) array, optional
        Multipliers to start from, non-negative and not all zero, of any scale:
        those of a similar problem, or expit(-2 lam margins) of the minimiser at norm lam.

    Returns
    -------
    MaximumStability

    Raises
    ------
    NotSeparable
        A ValueError: with a proof in multipliers that no weights have a stability
        above 1e-9, which cannot be told from zero.
    ValueError
        For a bad argument, if rounding keeps the gap above ``tolerance``, or if
        a thousand Newton steps decide nothing.
    """
    check_examples(examples, "replica.max_stability")
    tolerance = arguments.number("tolerance", tolerance, ranges.within(1e-13, 0.1))
    b = np.zeros(examples.P) if start is None else _multipliers(examples, start)
    here = _coordinate_ascent(examples, b, max(ROUGH_GAP, tolerance))
    # one thread of linear algebra: the same bits on any number of processors, and no team
    # of threads that waits for one of its own while the processors are busy elsewhere
    with threadpool_limits(1, user_api="blas"):
        here, steps = _proximal(examples, here, tolerance)
    stability = float(np.min(Learned(examples, here.v, np.inf).margins))
    gap = 1 - stability / here.bound
    if stability <= 0:
        raise InvalidArgument(
            "examples",
            f"must be linearly separable; {steps} Newton steps could neither separate "
            "these nor prove that nothing does: the largest stability is between "
            f"{stability:.1e} and {here.bound:.1e}",
        )
    if not gap <= tolerance:
        raise InvalidArgument(
            "tolerance",
            "must be one that rounding lets the duality gap reach",
            f"{tolerance:g}, reached {gap:.1e} at stability {stability:g}",
        )
    return MaximumStability(
        examples,
        here.v,
        np.inf,
        stability=stability,
        duality_gap=max(gap, 0.0),
        support=np.flatnonzero(here.b),
        multipliers=here.b * np.sqrt(examples.N) / np.linalg.norm(here.v),
        steps=steps,
    )


@dataclass
class _Pair:
    """Weights and multipliers, each with what it proves."""

    v: Array
    margins: Array  # a.v
    b: Array
    pull: Array  # sum b a
    stability: float  # reached by v
    bound: float  # from b

    @classmethod
    def of(cls, v: Array, margins: Array, b: Array, pull: Array) -> _Pair:
        root, length, total = np.sqrt(v.size), np.linalg.norm(v), b.sum()
        reached = margins.min() * root / length if length > 0 else -np.inf
        bound = root * np.linalg.norm(pull) / total if total > 0 else np.inf
        return cls(v, margins, b, pull, float(reached), float(bound))

    @property
    def gap(self) -> float:
        return 1 - self.stability / self.bound if self.bound > 0 else np.inf


def _gap(pair: _Pair) -> float:
    return pair.gap


def _multipliers(examples: Examples, start: Array) -> Array:
    """Those of the user, at the scale where the dual is largest."""
    rule = "finite, non-negative and not all zero"
    b = arguments.vector("start", start, examples.P, rule)
    if not (np.all(b >= 0) and b.any()):
        raise InvalidArgument("start", f"must be {rule}", f"{b.min()} to {b.max()}")
    b /= b.max()  # whose sum does not overflow
    b /= b.sum()
    pull = examples.products.combine(examples.labels * b)
    square = float(pull @ pull)
    return b / square if square > 0 else np.zeros_like(b)


def _coordinate_ascent(examples: Examples, b: Array, goal: float) -> _Pair:
    """From multipliers, changed in place, to a gap of ``goal`` or as far as the passes lead."""
    products, labels = examples.products, examples.labels
    squares = np.empty(examples.P)
    for low in range(0, examples.P, BLOCK):
        rows = examples.inputs[low : low + BLOCK].astype(np.float64)
        squares[low : low + BLOCK] = np.einsum("ij,ij->i", rows, rows) / examples.N
    squares[squares == 0] = np.inf  # an input of zeros: no multiplier helps it
    rng = np.random.default_rng(0)  # the order of the examples within a pass
    passes = 0
    while True:
        pull = products.combine(labels * b)
        here = _Pair.of(pull, labels * products.fields(pull), b, pull)
        if here.gap <= goal or passes >= MOST_PASSES:
            return here
        active = np.flatnonzero((b > 0) | (here.margins < 1))
        v = pull.astype(np.float32)
        for _ in range(PASSES):
            order = rng.permutation(active)
            kernels.ascend(examples.inputs, labels, squares, order, b, v)
        passes += PASSES


def _proximal(examples: Examples, here: _Pair, tolerance: float) -> tuple[_Pair, int]:
    """From a fair guess to a gap of ``tolerance``, or to where rounding ends it."""
    matrix = _Matrix(examples)
    mu, best, stalled = _first_mu(here), here, 0
    while matrix.solved < MOST_STEPS and stalled < PATIENCE:
        stage = _Stage(examples, matrix, here.b, mu, tolerance)
        last, here = here, stage.exchange(here) or stage.descend(here)
        _refuse_if_not_separable(examples, here, last.b)
        if best.gap <= tolerance:  # this was one more step, for the digits that it brings
            return min(here, best, key=_gap), matrix.solved
        slow = mu == SMALLEST_MU and here.stability > 0 and here.gap > 0.5 * best.gap
        stalled = stalled + 1 if slow else 0
        best = min(here, best, key=_gap)
        mu = max(FALL * mu, SMALLEST_MU)
    return best, matrix.solved


@dataclass
class _Stage:
    """One proximal step: phi is minimised, with multipliers b = max(0, c + (1 - a.v)/mu)."""

    examples: Examples
    matrix: _Matrix
    centre: Array
    mu: float
    tolerance: float

    def signed(self, margins: Array) -> Array:
        return self.centre + (1 - margins) / self.mu

    def pull(self, b: Array) -> Array:
        return self.examples.products.combine(self.examples.labels * b)

    def pair(self, v: Array, margins: Array) -> _Pair:
        b = np.maximum(0.0, self.signed(margins))
        return _Pair.of(v, margins, b, self.pull(b))

    def newton(self, v: Array, support: Mask, pull: Array) -> tuple[Array, Array]:
        """The step that minimises phi if the support stays, and the change of the margins."""
        step = self.matrix.solve(support, self.mu, self.mu * (pull - v))
        return step, self.examples.labels * self.examples.products.fields(step)

    def done(self, here: _Pair) -> bool:
        """Whether all is proved, or phi close enough to its minimum."""
        error = float(np.linalg.norm(here.v - here.pull))
        moved = float(np.linalg.norm(here.b - self.centre))
        enough = max((SHARE * self.mu) ** 0.5 * moved, ROUNDING * float(np.linalg.norm(here.v)))
        return here.gap <= self.tolerance or error <= enough

    def exchange(self, start: _Pair) -> _Pair | None:
        """Full steps from the support of the centre; None unless ever fewer examples change sides.

        Half a dozen steps where this works, but nothing says that it does.
        """
        v, margins, support = start.v, start.margins, self.centre > 0
        pull = self.pull(np.where(support, self.signed(margins), 0.0))
        fewest, patience = self.examples.P + 1, PATIENCE
        while patience > 0:
            step, change = self.newton(v, support, pull)
            v, margins = v + step, margins + change
            here = self.pair(v, margins)
            wrong = int(np.sum((here.b > 0) != support))
            if wrong == 0 or self.done(here):
                return here
            patience = PATIENCE if wrong < fewest else patience - 1
            fewest = min(wrong, fewest)
            support, pull = here.b > 0, here.pull
        return None

    def descend(self, start: _Pair) -> _Pair:
        """Newton's method with exact line searches: certain, but often slower."""
        here = self.pair(start.v, start.margins)
        while not self.done(here) and self.matrix.solved < MOST_STEPS:
            support = here.b > 0
            step, change = self.newton(here.v, support, here.pull)
            size = _line_search(here, step, change, self.centre, self.mu)
            here = self.pair(here.v + size * step, here.margins + size * change)
            if size == 1.0 and np.array_equal(here.b > 0, support):
                break
        return here


def _first_mu(here: _Pair) -> float:
    """Such that b = max(0, c + (1 - margins)/mu) keeps most of the support of c."""
    on = here.b > 0
    if not on.any():
        return 1.0
    spread = np.sqrt(np.mean((1 - here.margins[on]) ** 2))
    return float(np.clip(FIRST_MU * spread / np.mean(here.b[on]), SMALLEST_MU, 1.0))


def _line_search(here: _Pair, step: Array, change: Array, centre: Array, mu: float) -> float:
    """The size in (0, 1] at which phi is least along the step.

    Its slope is increasing and piecewise linear in the size, and Newton's
    method, kept within the bracket, ends on the right piece.
    """
    low, high, size = 0.0, 1.0, 1.0
    along, square = float(here.v @ step), float(step @ step)
    for _ in range(60):
        b = np.maximum(0.0, centre + (1 - here.margins - size * change) / mu)
        slope = along + size * square - float(change @ b)
        curvature = square + float(change @ (change * (b > 0))) / mu
        if size == 1.0 and slope <= 0:
            return 1.0
        low, high = (size, high) if slope < 0 else (low, size)
        new = size - slope / curvature
        if not low < new < high:
            new = 0.5 * (low + high)
        if abs(new - size) <= 1e-12:
            return new
        size = new
    return size


def _refuse_if_not_separable(examples: Examples, here: _Pair, centre: Array) -> None:
    """Raise if the multipliers, or what they grow by, prove that no stability is positive."""
    if here.stability > 0:
        return
    growth = np.maximum(0.0, here.b - centre)
    for b, pull in ((here.b, here.pull), (growth, None)):
        total = b.sum()
        if not total > 0:
            continue
        if pull is None:
            pull = examples.products.combine(examples.labels * b)
        bound = float(np.sqrt(examples.N) * np.linalg.norm(pull) / total)
        if bound <= SMALLEST_STABILITY:
            raise NotSeparable(
                f"`examples` must be linearly separable; got {examples.P} in {examples.N} "
                f"dimensions (alpha = {examples.alpha:g}) of which no weights classify all: "
                f"multipliers prove that no stability exceeds {bound:.0e}. "
                "`minimize_at_norm` learns such examples",
                b / total,
                bound,
            )


class _Matrix:
    """Newton's matrix, mu + sum over S of a a^T, kept up to date with S.

    The inputs -1, 1 make sums of integers below 2^24, which single precision adds exactly.
    """

    def __init__(self, examples: Examples):
        self.examples = examples
        self.dual = examples.P <= examples.N
        real = np.float32 if examples.inputs.dtype == np.int8 else np.float64
        self.inside: Mask = np.zeros(examples.P, dtype=bool)
        size = min(examples.P, examples.N)
        # the matrix, and the copy in double precision that is factorised
        arguments.check_memory(
            "`examples` must leave room in memory",
            f"a matrix of {size}^2 takes",
            size * size * (np.dtype(real).itemsize + 8.0),
        )
        self.gram = np.zeros((size, size), dtype=real)
        self.factor: tuple[Array, bool] | None = None
        self.mu = np.nan
        self.solved = 0
        if self.dual:
            rows = examples.inputs.astype(real)
            np.matmul(rows, rows.T, out=self.gram)
            self.gram *= examples.labels
            self.gram *= examples.labels[:, None]

    def solve(self, support: Mask, mu: float, right: Array) -> Array:
        """The vector that the matrix of this support and mu turns into ``right``."""
        self.solved += 1
        changed = np.any(support != self.inside)
        if changed and not self.dual:
            self._update(support)
        self.inside = support
        if changed or mu != self.mu or self.factor is None:
            self.factor, self.mu = self._factor(mu), mu
        if not self.dual:
            return cho_solve(self.factor, right, check_finite=False)
        products, labels = self.examples.products, self.examples.labels
        inner = np.zeros(self.examples.P)
        on = np.flatnonzero(support)
        fields = labels * products.fields(right)
        inner[on] = cho_solve(self.factor, fields[on], check_finite=False)
        return (right - products.combine(labels * inner)) / mu

    def _update(self, support: Mask) -> None:
        """Add the rows that came, subtract those that went, or start again if that is less."""
        changes = [(1, support & ~self.inside), (-1, self.inside & ~support)]
        if sum(int(mask.sum()) for _, mask in changes) >= support.sum():
            self.gram[:] = 0
            changes = [(1, support)]
        for sign, mask in changes:
            which = np.flatnonzero(mask)
            for low in range(0, which.size, BLOCK):
                rows = self.examples.inputs[which[low : low + BLOCK]].astype(self.gram.dtype)
                self.gram += sign * (rows.T @ rows)

    def _factor(self, mu: float) -> tuple[Array, bool]:
        gram = self.gram
        if self.dual:
            on = np.flatnonzero(self.inside)
            gram = gram[np.ix_(on, on)]
        matrix = np.array(gram, dtype=np.float64, order="F")
        matrix *= 1 / self.examples.N
        matrix[np.diag_indices_from(matrix)] += mu
        return cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
