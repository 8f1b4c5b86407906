r"""Maximum stability: the hard-margin solution, exact but for rounding, in any units.

kappa = max over w of min_mu y (w.x/sqrt(N) + b_0) at |w|^2 = N. Any multipliers b >= 0 bound the
stability of all weights,

    kappa <= |sum_mu b_mu y x| / sum_mu b_mu   (with sum_mu b_mu y = 0 where b_0 is free),

so a solution is proved as soon as its own smallest margin meets the bound. Double precision
suffices for most tables: by exchanges (`active_set`) where the weights are few, by `proximal` steps
where they are many. Those whose columns differ so much in size, or whose margins are so small, that
it does not are solved in many digits. Nothing is called
inseparable without multipliers that are proved to sum to zero (`proofs`), and
nothing separable without margins that are positive whatever rounding did.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perceptron import ranges
from perceptron.data import Examples, check_examples
from perceptron.learning.active_set import exchange, exchange_in_doubles, refined
from perceptron.learning.proofs import UNIT, Proof, accurate, multipliers_of_zero
from perceptron.learning.proximal import BLOCK, Table, approach
from perceptron.products import one_blas_thread
from perceptron.records import Learned
from replica.common import arguments
from replica.common.arguments import InvalidArgument

__all__ = ["MaximumStability", "NotSeparable", "Undecided", "max_stability"]

Array = NDArray[np.float64]

#: Inputs up to which many digits are tried; each exchange looks at all of them. A choice.
MOST_INPUTS = 5 * 10**7
#: Up to so many weights exchanges in doubles come first. Each costs N^2 and their number grows with
#: N, while a Newton step costs N^3: from some 200 on they are slower at P = 2 N to 10 N. A choice.
FEW_WEIGHTS = 150
#: And up to so many inputs, of which exchanges take a copy in doubles: 160 MB. A choice.
QUICK_INPUTS = 2 * 10**7
#: What the exchange in many digits leaves of a constraint, far below every tolerance.
LEFT = 1e-13


class NotSeparable(ValueError):
    r"""No weights give every example a positive margin, and this is the proof.

    Attributes
    ----------
    multipliers : (P,) array
        Non-negative, of sum 1. There are exact ones, non-negative and not all zero, with
        sum_mu b_mu y x = 0 (and sum_mu b_mu y = 0 where there is an intercept), within ``radius``
        of these; so every w has some y w.x <= 0.
    radius : float
        0 where exact ones were found in integers, of which these are the rounded values; else
        a bound in interval arithmetic.
    """

    def __init__(self, message: str, multipliers: Array, radius: float):
        super().__init__(message)
        self.multipliers = multipliers
        self.radius = radius

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """So that it comes back from another process."""
        return type(self), (*self.args, self.multipliers, self.radius)


class Undecided(InvalidArgument):
    r"""The largest stability is known between two bounds only.

    Attributes
    ----------
    lower, upper : float
        Bounds on kappa, in the units of the inputs. Where ``lower`` is positive the examples are
        separable, and no weights in double precision are known that come closer to ``upper``.
    """

    def __init__(self, argument: str, rule: str, value: str, lower: float, upper: float):
        super().__init__(argument, rule, value)
        self.lower, self.upper = lower, upper

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:  # type: ignore[override]
        """So that it comes back from another process."""
        return type(self), (self.argument, self.rule, self.value, self.lower, self.upper)


@dataclass(frozen=True, eq=False, kw_only=True)
class MaximumStability(Learned):
    r"""The weights with the largest smallest margin.

    Attributes
    ----------
    stability : float
        kappa, the smallest margin at \|w\|^2 = N, in the units of the inputs.
    duality_gap : float
        Upper bound on (kappa_max - kappa)/kappa_max: no weights at all have a
        stability above kappa/(1 - duality_gap).
    support : (S,) int array
        The examples with a positive multiplier, whose margin is kappa.
    multipliers : (P,) array
        b >= 0 with w = sum_mu b_mu y x/sqrt(N), of sum N/kappa.
    steps : int
        Newton steps, and exchanges in many digits.
    """

    stability: float
    duality_gap: float
    support: NDArray[np.intp]
    multipliers: Array
    steps: int


def max_stability(
    examples: Examples, *, tolerance: float = 1e-10, start: Array | None = None
) -> MaximumStability:
    r"""Maximise the smallest margin kappa = min_mu y (w.x/sqrt(N) + b_0) at \|w\|^2 = N.

    The limit lam -> inf of the fixed-norm minimiser and the hard-margin support
    vector machine; b_0 = 0 unless the examples have an intercept, which is free. The answer is
    exact in the sense of ``duality_gap``, the same for any order of the examples up to rounding,
    and the same to the bit with any number of threads. Units do not matter: inputs that are c
    times as large have c times the stability.

    Parameters
    ----------
    examples : Examples
        Linearly separable.
    tolerance : float
        On ``duality_gap``, in [1e-13, 0.1]. Where kappa is tiny beside the inputs the gap is what
        rounding the weights to double precision costs, if that is more: some units of 1e-16 of
        sum_j \|w_j\| max_mu \|x_j\|/sqrt(N).
    start : (P,) array, optional
        Multipliers to start from, non-negative and not all zero, of any scale:
        those of a similar problem, or expit(-2 lam margins) of the minimiser at norm lam.
        Exchanges, which come first up to N = 150, have no use for it.

    Returns
    -------
    MaximumStability

    Raises
    ------
    NotSeparable
        A ValueError: no weights classify all examples, with a proof in multipliers.
    Undecided
        A ValueError, an `InvalidArgument`: neither could be proved, or the gap could not be closed;
        with the bounds.
    InvalidArgument
        A ValueError: for a bad argument, and for labels that are all the same where there is an
        intercept, which alone gives them any stability.
    """
    check_examples(examples, "replica.max_stability")
    tolerance = arguments.number("tolerance", tolerance, ranges.within(1e-13, 0.1))
    if examples.intercept and abs(int(examples.labels.sum(dtype=np.int64))) == examples.P:
        raise InvalidArgument(
            "examples",
            "must bear both labels where there is an intercept, which alone would give them any "
            "stability",
            f"{examples.P} labels {examples.labels[0]}",
        )
    first = np.zeros(examples.P) if start is None else _start(examples, start)
    table = Table(examples)
    nothing = np.flatnonzero(table.squares == 0)
    for i in nothing if not examples.intercept else ():
        if not np.any(examples.inputs[i]):  # and not only to rounding
            proof = np.zeros(examples.P)
            proof[i] = 1.0
            raise _not_separable(examples, Proof(proof, 0.0, True))
    if start is not None:
        pull = table.pull(first)[: table.N]
        square = float(pull @ pull)
        first = first / square if square > 0 else np.zeros_like(first)
    # one thread of linear algebra: the same bits on any number of processors, and no team
    # of threads that waits for one of its own while the processors are busy elsewhere
    with one_blas_thread():
        return _solve(examples, table, first, tolerance)


def _start(examples: Examples, start: Array) -> Array:
    """Those of the user, of sum 1."""
    rule = "finite, non-negative and not all zero"
    b = arguments.vector("start", start, examples.P, rule)
    if not (np.all(b >= 0) and b.any()):
        raise InvalidArgument("start", f"must be {rule}", f"{b.min()} to {b.max()}")
    b /= b.max()  # whose sum does not overflow
    return np.asarray(b / b.sum())


def _solve(examples: Examples, table: Table, start: Array, tolerance: float) -> MaximumStability:
    """By the first of three ways that ends in a proof."""
    tried = _Tried()
    fits = table.P * table.N <= MOST_INPUTS
    exchanged_first = table.N <= FEW_WEIGHTS and table.P * table.N <= QUICK_INPUTS
    if exchanged_first:
        answer = _by_exchanges(examples, table, tolerance, tried)
        if answer is not None:
            return answer
    if table.even:
        found = approach(table, start, tolerance)
        if found.zero is not None:
            _refuse_if_proved(examples, found.zero)
        answer = tried.answer(examples, table, found.pair.v, found.pair.b, tolerance, found.steps)
        if answer is not None:
            return answer
    if not fits:
        raise _undecided(examples, table, tried.lower, tried.upper, tolerance)
    if not exchanged_first:
        answer = _by_exchanges(examples, table, tolerance, tried)
        if answer is not None:
            return answer
    rows, signs = _as_rows(table)
    long = exchange(rows, signs, tried.support)
    steps = tried.steps + long.steps
    b = np.zeros(table.P)
    if long.outcome == "zero":
        scale = max(long.multipliers.values())
        for i, value in long.multipliers.items():
            b[i] = max(float(value / scale), 0.0)
        _refuse_if_proved(examples, b)
    if long.outcome != "solved":
        raise _undecided(examples, table, tried.lower, tried.upper, tolerance)
    upper = long.bound * (1 + 8 * UNIT)
    v = np.array([float(x) for x in long.weights])
    if table.intercept:
        v = np.append(v, float(long.intercept) / np.sqrt(table.N))
    best = _Judged.of(table, v, 0.0)
    for i, value in long.multipliers.items():
        b[i] = float(value)
    if best.proves(upper, tolerance):
        return _answer(examples, table, best, b, upper, steps)
    raise _undecided(examples, table, max(best.lower, upper * (1 - LEFT)), upper, tolerance)


@dataclass
class _Tried:
    """What is known after ways that did not end in a proof."""

    lower: float = -np.inf
    upper: float = np.inf
    support: list[int] = field(default_factory=list)
    steps: int = 0

    def answer(
        self, examples: Examples, table: Table, v: Array, b: Array, tolerance: float, steps: int
    ) -> MaximumStability | None:
        """The answer if these weights and multipliers prove it; the bounds are kept if not."""
        self.steps += steps
        best = _Judged.of(table, v, tolerance)
        bound = _bound(table, b, best.lower, tolerance)
        if best.proves(bound, tolerance):
            return _answer(examples, table, best, b, bound, self.steps)
        self.lower, self.upper = max(self.lower, best.lower), min(self.upper, bound)
        return None


def _as_rows(table: Table) -> tuple[Array, Array | None]:
    """All examples as y x, and the column of the intercept if there is one."""
    signs = table.examples.labels.astype(np.float64) if table.intercept else None
    return table.rows(slice(None)), signs


def _by_exchanges(
    examples: Examples, table: Table, tolerance: float, tried: _Tried
) -> MaximumStability | None:
    """The support by exchanges in doubles, and weights refined from it."""
    rows, signs = _as_rows(table)
    guess = exchange_in_doubles(rows, signs)
    tried.support = list(guess.multipliers)
    tried.steps += guess.steps
    support, b = tried.support, np.zeros(table.P)
    if guess.outcome == "zero":
        b[support] = np.maximum(list(guess.multipliers.values()), 0.0)
        _refuse_if_proved(examples, b)
    if guess.outcome != "solved":
        return None
    fine = refined(rows[support], None if signs is None else signs[support])
    if fine is None:
        return None
    b[support] = fine[2]
    v = fine[0] if signs is None else np.append(fine[0], fine[1] / np.sqrt(table.N))
    return tried.answer(examples, table, v, b, tolerance, 0)


@dataclass
class _Judged:
    """Weights and what they reach, whatever rounding did."""

    weights: Array  # |w|^2 = N, and the intercept behind them
    margins: Array
    stability: float
    lower: float  # stability less a bound on its error
    resolution: float  # what rounding the weights may cost

    def proves(self, upper: float, tolerance: float) -> bool:
        """Whether the gap is closed, to the tolerance or to what weights in doubles can reach."""
        return self.lower > 0 and upper - self.stability <= max(tolerance * upper, self.resolution)

    @classmethod
    def of(cls, table: Table, v: Array, tolerance: float) -> _Judged:
        """Margins near the smallest in twice the precision, where the plain ones may mislead."""
        n = table.N
        length = np.linalg.norm(v[:n])
        if not (length > 0 and np.isfinite(length)):
            return cls(v, np.zeros(table.P), -np.inf, -np.inf, 0.0)
        w = v * (np.sqrt(n) / length)
        margins = table.margins(w)
        # of any order of the sums: gamma_n sum_j |x_j| |w_j|
        size = float(table.sizes @ np.abs(w[:n])) / np.sqrt(n) + float(np.abs(w[n:]).sum())
        error = (n + 4) * UNIT * size * 1.01
        least = margins.min()
        if error > 0.25 * tolerance * least:
            near = np.flatnonzero(margins <= least + 2 * error)
            margins = margins.copy()
            error = 0.0
            for low in range(0, near.size, BLOCK):
                which = near[low : low + BLOCK]
                rows = table.rows(which)
                if table.intercept:
                    rows = np.column_stack([rows, table.examples.labels[which] * np.sqrt(n)])
                margins[which], errors = accurate(rows, w)
                margins[which] /= np.sqrt(n)
                error = max(error, float(errors.max()) / np.sqrt(n) + 2 * UNIT * size)
        least = float(margins.min())
        return cls(w, margins, least, least - error, 8 * UNIT * size)


def _bound(table: Table, b: Array, lower: float, tolerance: float) -> float:
    """|sum b y x| / sum b from above, the two labels in balance where there is an intercept."""
    on = np.flatnonzero(b)
    if not on.size:
        return np.inf
    labels = table.examples.labels[on]
    b = b[on] / b[on].sum()
    if table.intercept:
        b = b.copy()
        for label in (-1, 1):
            total = b[labels == label].sum()
            if not total > 0:
                return np.inf
            b[labels == label] /= 2 * total
    # the largest input has all of the error
    error = np.sqrt(table.N) * (on.size + 4) * UNIT * float(np.linalg.norm(table.sizes))
    if error <= 0.25 * tolerance * lower:
        full = np.zeros(table.P)
        full[on] = b
        pull = table.pull(full)[: table.N] * np.sqrt(table.N)
        return float(np.linalg.norm(pull))
    pull, errors = np.zeros(table.N), 0.0
    for low in range(0, on.size, BLOCK):
        rows = table.rows(on[low : low + BLOCK])
        part, bound = accurate(np.ascontiguousarray(rows.T), b[low : low + BLOCK])
        pull += part
        errors += float(np.linalg.norm(bound)) + UNIT * float(np.linalg.norm(pull))
    return float(np.linalg.norm(pull)) + errors + 8 * UNIT * lower


def _answer(
    examples: Examples, table: Table, best: _Judged, b: Array, upper: float, steps: int
) -> MaximumStability:
    n = table.N
    stability = float(np.ldexp(best.stability, table.power))
    found = MaximumStability(
        examples,
        best.weights[:n],
        np.inf,
        intercept=float(np.ldexp(best.weights[n], table.power)) if table.intercept else 0.0,
        stability=stability,
        duality_gap=max(1 - best.stability / upper, 0.0),
        support=np.flatnonzero(b),
        multipliers=b / b.sum() * (n / stability),
        steps=steps,
    )
    # the very weights that were judged, and what they reach: brought to |w|^2 = N once more they
    # would be others by rounding, and so would margins that are tiny beside the inputs
    for name, value in (
        ("weights", best.weights[:n]),
        ("margins", np.ldexp(best.margins, table.power)),
        ("train_error", 0.0),
        ("train_loss", 0.0),
    ):
        object.__setattr__(found, name, value)
    return found


def _refuse_if_proved(examples: Examples, b: Array) -> None:
    """Raise if multipliers near these are proved to sum to zero over the examples."""
    on = np.flatnonzero(b)
    signs = examples.labels[on].astype(np.float64)
    rows = examples.inputs[on].astype(np.float64) * signs[:, None]
    if examples.intercept:
        rows = np.column_stack([rows, signs])
    proof = multipliers_of_zero(rows, b[on])
    if proof is not None:
        full = np.zeros(examples.P)
        full[on] = proof.multipliers
        raise _not_separable(examples, Proof(full, proof.radius, proof.exact))


def _not_separable(examples: Examples, proof: Proof) -> NotSeparable:
    how = "exactly" if proof.exact else f"within {proof.radius:.0e} of these"
    return NotSeparable(
        f"`examples` must be linearly separable; got {examples.P} in {examples.N} "
        f"dimensions (alpha = {examples.alpha:g}) of which no weights classify all: "
        f"multipliers of {np.count_nonzero(proof.multipliers)} of them, {how}, prove it. "
        "`minimize_at_norm` learns such examples",
        proof.multipliers,
        proof.radius,
    )


def _undecided(
    examples: Examples, table: Table, lower: float, upper: float, tolerance: float
) -> Undecided:
    lower, upper = (float(np.ldexp(x, table.power)) for x in (lower, upper))
    between = f"the largest stability is between {lower:.3e} and {upper:.3e}"
    if lower > 0:
        return Undecided(
            "tolerance",
            "must be one that weights in double precision reach; the examples are separable, and "
            f"{between}",
            f"{tolerance:g}",
            lower,
            upper,
        )
    return Undecided(
        "examples",
        "must be such that this precision decides whether they are linearly separable; of these "
        f"{examples.P} in {examples.N} dimensions nothing is proved: {between}",
        "",
        lower,
        upper,
    )
