"""Multipliers and weights of the hard-margin problem, in double precision.

With a_mu = y x/sqrt(N), the primal is min |v|^2/2 with a_mu.v >= 1 and its dual
max sum(b) - |v|^2/2 with v = sum_mu b_mu a_mu, b >= 0.

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

An intercept is one more component of v, with y in its column, that does not count in |v|^2:
where the minimum is reached the multipliers of the two labels have equal sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from perceptron import kernels
from perceptron.data import Examples
from replica.common import arguments

__all__ = ["Approach", "Pair", "Table", "approach"]

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
#: halve the gap or, before all examples are classified, the bound.
PATIENCE = 4
#: Newton steps in all; 10 to 100 are usual.
MOST_STEPS = 1000
#: Multipliers that leave no stability above this, in units of the largest input, may sum to zero.
NOTHING = 1e-9
#: Inputs whose largest lies within these powers of two are taken as they are.
NEAR_ONE = (-8, 8)
#: Columns whose lengths differ by more are left to exchanges: beyond, the proximal steps need mu
#: too small for their matrix. A choice.
UNEVEN = 100.0
#: Passes after which coordinate ascent stops if it has not classified all examples; a choice.
HOPELESS_PASSES = 100
#: Rows that are converted to floating point together.
BLOCK = 1024


def squares_of(examples: Examples) -> Array:
    r"""\|x\|^2/N of every example."""
    squares = np.empty(examples.P)
    for low in range(0, examples.P, BLOCK):
        block = examples.inputs[low : low + BLOCK].astype(np.float64)
        squares[low : low + BLOCK] = np.einsum("ij,ij->i", block, block) / examples.N
    return squares


class Table:
    r"""Examples at a size near 1, with a column for the intercept if there is one.

    Attributes
    ----------
    examples : Examples
        Those given, or a copy with inputs divided by 2^``power``.
    power : int
    sizes, lengths : (N,) array
        Largest \|x\| of each column, and the root of its sum of squares.
    squares : (P,) array
        \|x\|^2/N.
    intercept : bool
    """

    def __init__(self, examples: Examples):
        inputs = examples.inputs
        sizes = np.maximum(
            inputs.max(axis=0).astype(np.float64), -inputs.min(axis=0).astype(np.float64)
        )
        power = int(np.frexp(sizes.max())[1])
        if sizes.max() == 0 or NEAR_ONE[0] <= power <= NEAR_ONE[1]:
            power = 0
        else:
            arguments.check_memory(
                "`examples` must leave room in memory", "a copy takes", float(inputs.nbytes)
            )
            # exact but for what underflows beside the largest
            scaled = np.ldexp(inputs, -power).astype(inputs.dtype, copy=False)
            examples = Examples(scaled, examples.labels, None, None, examples.intercept)  # type: ignore[arg-type]
        self.examples, self.power = examples, power
        self.sizes = np.ldexp(sizes, -power)
        self.intercept = examples.intercept
        self.P, self.N = examples.P, examples.N
        self.squares, self.lengths = squares_of(examples), np.zeros(self.N)
        for low in range(0, self.P, BLOCK):
            block = examples.inputs[low : low + BLOCK].astype(np.float64)
            self.lengths += np.einsum("ij,ij->j", block, block)
        self.lengths = np.sqrt(self.lengths)

    @property
    def even(self) -> bool:
        """Whether the columns are of a size, so that sums of squares lose none of them."""
        used = self.lengths[self.lengths > 0]
        return used.size == 0 or bool(used.max() <= UNEVEN * used.min())

    @property
    def size(self) -> int:
        """Components of v."""
        return self.N + self.intercept

    def rows(self, which: NDArray[np.intp] | slice) -> Array:
        """Some examples as y x, without the intercept's column."""
        found = self.examples.inputs[which].astype(np.float64)
        found *= self.examples.labels[which, None]
        return found

    def margins(self, v: Array) -> Array:
        """a.v for all examples."""
        fields = self.examples.products.fields(v[: self.N])
        if self.intercept:
            fields += v[self.N]
        return np.asarray(self.examples.labels * fields)

    def pull(self, b: Array) -> Array:
        """The sum of b a."""
        signed = self.examples.labels * b
        pull = self.examples.products.combine(signed)
        return np.append(pull, signed.sum()) if self.intercept else pull

    def counted(self, v: Array) -> Array:
        """What of v counts in its length: the gradient of |v|^2/2."""
        return np.append(v[: self.N], 0.0) if self.intercept else v


@dataclass
class Approach:
    """As far as double precision went: a pair, and multipliers that may sum to zero."""

    pair: Pair
    zero: Array | None
    steps: int


def approach(table: Table, start: Array, tolerance: float) -> Approach:
    """From multipliers to a gap of ``tolerance``, or to where rounding ends it."""
    goal = max(ROUGH_GAP, tolerance)
    if not table.intercept:
        here = _coordinate_ascent(table, start, goal)
    else:
        here = _from_a_penalised_intercept(table, start, goal)
    return _proximal(table, here, tolerance)


@dataclass
class Pair:
    """Weights and multipliers, each with what it proves."""

    v: Array
    margins: Array  # a.v
    b: Array
    pull: Array  # sum b a
    stability: float  # reached by v
    bound: float  # from b

    @classmethod
    def of(cls, table: Table, v: Array, margins: Array, b: Array, pull: Array) -> Pair:
        """With the stability and its bound."""
        root, n = np.sqrt(table.N), table.N
        length, total = np.linalg.norm(v[:n]), b.sum()
        reached = margins.min() * root / length if length > 0 else -np.inf
        drawn = root * np.linalg.norm(pull[:n])
        if table.intercept:
            # the best intercept is at most the largest field, and multiplies what is left
            drawn += root * np.sqrt(table.squares.max()) * abs(pull[n])
        return cls(
            v, margins, b, pull, float(reached), float(drawn / total) if total > 0 else np.inf
        )

    @property
    def gap(self) -> float:
        """Part of the bound that is missing."""
        return 1 - self.stability / self.bound if self.bound > 0 else np.inf


def _gap(pair: Pair) -> float:
    return pair.gap


def _coordinate_ascent(table: Table, b: Array, goal: float) -> Pair:
    """From multipliers, changed in place, to a gap of ``goal`` or as far as the passes lead."""
    inputs, labels = table.examples.inputs, table.examples.labels
    squares = np.where(table.squares > 0, table.squares, np.inf)  # nothing helps an input of zeros
    rng = np.random.default_rng(0)  # the order of the examples within a pass
    passes = 0
    while True:
        pull = table.pull(b)
        here = Pair.of(table, pull, table.margins(pull), b, pull)
        most = MOST_PASSES if here.stability > 0 else HOPELESS_PASSES
        if here.gap <= goal or passes >= most:
            return here
        active = np.flatnonzero((b > 0) | (here.margins < 1))
        v = pull.astype(np.float32)
        for _ in range(PASSES):
            order = rng.permutation(active)
            kernels.ascend(inputs, labels, squares, order, np.inf, b, v)
        passes += PASSES


def _from_a_penalised_intercept(table: Table, b: Array, goal: float) -> Pair:
    """Coordinate ascent where the intercept is the weight of a column as long as an input."""
    examples, n = table.examples, table.N
    kind = np.float32 if examples.inputs.dtype == np.int8 else examples.inputs.dtype
    arguments.check_memory(
        "`examples` must leave room in memory",
        "a copy with a column for the intercept takes",
        float(table.P * (n + 1) * np.dtype(kind).itemsize),
    )
    size = float(np.sqrt(n * np.mean(table.squares)) or 1.0)
    wide = np.empty((table.P, n + 1), dtype=kind)
    wide[:, :n], wide[:, n] = examples.inputs, size
    found = _coordinate_ascent(Table(Examples(wide, examples.labels)), b, goal)
    v = found.v / np.sqrt((n + 1) / n)  # fields are divided by sqrt(N) here, by sqrt(N + 1) there
    v[n] *= size / np.sqrt(n)
    return Pair.of(table, v, table.margins(v), found.b * n / (n + 1), table.pull(found.b))


def _proximal(table: Table, here: Pair, tolerance: float) -> Approach:
    """From a fair guess to a gap of ``tolerance``, or to where rounding ends it."""
    matrix = _Matrix(table)
    mu, best, stalled = _first_mu(here), here, 0
    scale = float(table.sizes.max())
    while matrix.solved < MOST_STEPS and stalled < PATIENCE:
        stage = _Stage(table, matrix, here.b, mu, tolerance)
        try:
            last, here = here, stage.exchange(here) or stage.descend(here)
        except np.linalg.LinAlgError:  # the matrix is singular to rounding
            break
        if here.stability <= 0:
            zero = _nearly_zero(table, here, last.b, scale)
            if zero is not None:
                return Approach(here, zero, matrix.solved)
        if best.gap <= tolerance:  # this was one more step, for the digits that it brings
            return Approach(min(here, best, key=_gap), None, matrix.solved)
        slow = mu == SMALLEST_MU and (
            here.gap > 0.5 * best.gap if here.stability > 0 else here.bound > 0.5 * last.bound
        )
        stalled = stalled + 1 if slow else 0
        best = min(here, best, key=_gap)
        mu = max(FALL * mu, SMALLEST_MU)
    return Approach(best, None, matrix.solved)


def _nearly_zero(table: Table, here: Pair, centre: Array, scale: float) -> Array | None:
    """The multipliers, or what they grow by, if their sum leaves next to no stability."""
    growth = np.maximum(0.0, here.b - centre)
    for b, pull in ((here.b, here.pull), (growth, None)):
        total = b.sum()
        if total > 0:
            pull = table.pull(b) if pull is None else pull
            if np.sqrt(table.N) * np.linalg.norm(pull) <= NOTHING * scale * total:
                return np.asarray(b / total)
    return None


@dataclass
class _Stage:
    """One proximal step: phi is minimised, with multipliers b = max(0, c + (1 - a.v)/mu)."""

    table: Table
    matrix: _Matrix
    centre: Array
    mu: float
    tolerance: float

    def signed(self, margins: Array) -> Array:
        return self.centre + (1 - margins) / self.mu

    def pair(self, v: Array, margins: Array) -> Pair:
        b = np.maximum(0.0, self.signed(margins))
        return Pair.of(self.table, v, margins, b, self.table.pull(b))

    def newton(self, v: Array, support: Mask, pull: Array) -> tuple[Array, Array]:
        """The step that minimises phi if the support stays, and the change of the margins."""
        step = self.matrix.solve(support, self.mu, self.mu * (pull - self.table.counted(v)))
        return step, self.table.margins(step)

    def done(self, here: Pair) -> bool:
        """Whether all is proved, or phi close enough to its minimum."""
        error = float(np.linalg.norm(self.table.counted(here.v) - here.pull))
        moved = float(np.linalg.norm(here.b - self.centre))
        enough = max((SHARE * self.mu) ** 0.5 * moved, ROUNDING * float(np.linalg.norm(here.v)))
        return here.gap <= self.tolerance or error <= enough

    def exchange(self, start: Pair) -> Pair | None:
        """Full steps from the support of the centre; None unless ever fewer examples change sides.

        Half a dozen steps where this works, but nothing says that it does.
        """
        v, margins, support = start.v, start.margins, self.centre > 0
        pull = self.table.pull(np.where(support, self.signed(margins), 0.0))
        fewest, patience = self.table.P + 1, PATIENCE
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

    def descend(self, start: Pair) -> Pair:
        """Newton's method with exact line searches: certain, but often slower."""
        here = self.pair(start.v, start.margins)
        while not self.done(here) and self.matrix.solved < MOST_STEPS:
            support = here.b > 0
            step, change = self.newton(here.v, support, here.pull)
            size = _line_search(self, here, step, change)
            here = self.pair(here.v + size * step, here.margins + size * change)
            if size == 1.0 and np.array_equal(here.b > 0, support):
                break
        return here


def _first_mu(here: Pair) -> float:
    """Such that b = max(0, c + (1 - margins)/mu) keeps most of the support of c."""
    on = here.b > 0
    if not on.any():
        return 1.0
    spread = np.sqrt(np.mean((1 - here.margins[on]) ** 2))
    return float(np.clip(FIRST_MU * spread / np.mean(here.b[on]), SMALLEST_MU, 1.0))


def _line_search(stage: _Stage, here: Pair, step: Array, change: Array) -> float:
    """The size in (0, 1] at which phi is least along the step.

    Its slope is increasing and piecewise linear in the size, and Newton's
    method, kept within the bracket, ends on the right piece.
    """
    low, high, size = 0.0, 1.0, 1.0
    counted, mu = stage.table.counted(step), stage.mu
    along, square = float(here.v @ counted), float(step @ counted)
    for _ in range(60):
        b = np.maximum(0.0, stage.signed(here.margins + size * change))
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


class _Matrix:
    """Newton's matrix, mu (0 for the intercept) + sum over S of a a^T, kept up to date with S.

    The inputs -1, 1 make sums of integers below 2^24, which single precision adds exactly.
    """

    def __init__(self, table: Table):
        self.table, self.examples = table, table.examples
        examples = self.examples
        self.dual = examples.P <= examples.N
        whole = examples.inputs.dtype == np.int8 and not table.intercept
        real = np.float32 if whole else np.float64
        self.inside: Mask = np.zeros(examples.P, dtype=bool)
        size = examples.P if self.dual else table.size
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
            return np.asarray(cho_solve(self.factor, right, check_finite=False))
        # t = a.step on the support obeys (mu + a a^T) t = a.right + mu y s, with s the intercept's
        # step, which makes sum y t what is asked for
        on, n, labels = np.flatnonzero(support), self.table.N, self.examples.labels
        fields = labels * self.examples.products.fields(right[:n])
        inner = np.zeros(self.table.P)
        inner[on] = cho_solve(self.factor, fields[on], check_finite=False)
        if not self.table.intercept:
            return np.asarray((right - self.table.pull(inner)) / mu)
        y = labels[on].astype(np.float64)
        ones = cho_solve(self.factor, y, check_finite=False)
        shift = (right[n] - y @ inner[on]) / (y @ ones) if on.size else 0.0
        inner[on] += shift * ones
        step = (right - self.table.pull(inner)) / mu
        step[n] = shift / mu
        return step

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
                if self.table.intercept:
                    ones = np.full((len(rows), 1), np.sqrt(self.table.N), dtype=rows.dtype)
                    rows = np.hstack([rows, ones])
                self.gram += sign * (rows.T @ rows)

    def _factor(self, mu: float) -> tuple[Array, bool]:
        gram = self.gram
        if self.dual:
            on = np.flatnonzero(self.inside)
            gram = gram[np.ix_(on, on)]
        matrix = np.array(gram, dtype=np.float64, order="F")
        matrix *= 1 / self.examples.N
        diagonal = np.full(len(matrix), mu)
        if self.table.intercept and not self.dual:
            # with nobody in the support nothing asks for a step there
            diagonal[-1] = 0.0 if np.any(self.inside) else 1.0
        matrix[np.diag_indices_from(matrix)] += diagonal
        return cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
