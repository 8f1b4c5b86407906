r"""Maximum margins in other norms than the Euclidean one.

On Delta = min_mu y (w.x/sqrt(N) + b_0) with sum_i |w_i|^p = N (for p = inf max_i |w_i| = 1): the
p-norm of each weight on average is 1, and p = 2 is `max_stability`. For p = 1 and inf this is a
linear program, solved by HiGHS, between them a smooth convex one (`interior`). Steepest descent in
the norm p ends there (Gunasekar et al. 2018): gradient descent for p = 2, coordinate descent for 1,
sign descent for inf.

With a_mu = y x/sqrt(N), multipliers b >= 0 of sum 1 bound every margin by Hoelder's inequality,

    min_mu a.w <= |sum_mu b_mu a_mu|_q |w|_p,    1/p + 1/q = 1,   |w|_p = N^(1/p) ,

where sum_mu b_mu y = 0 if b_0 is free; the multipliers are those of the program, so the gap does
not rest on its word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from perceptron.data import Examples, check_examples
from perceptron.learning.interior import in_norm
from perceptron.learning.proximal import Table
from perceptron.powers import conjugate, power_mean
from perceptron.records import Learned
from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["MaximumMargin", "max_margin_in_norm"]

Array = NDArray[np.float64]

#: The interior point method, which ends in a vertex and takes half as long as the simplex method.
METHOD: Final = "highs-ipm"
#: HiGHS's tolerance on the constraints of a table whose largest input is 1; its least is 1e-10.
FEASIBILITY = 1e-10
#: The gap at which an answer is one: what such constraints allow of margins of 1e-3.
LARGEST_GAP = 1e-6
#: The gap that the interior point method is asked for.
GAP = 1e-10
#: The norms between 1 and inf. Beyond, |w_i|^p and |w_i|^q differ by more decades than a double
#: has digits, and the gap may stay above 1e-6; those next to 1 and inf are better asked of these.
BETWEEN = (1.05, 20.0)


@dataclass(frozen=True, eq=False, kw_only=True)
class MaximumMargin(Learned):
    r"""The weights with the largest smallest margin in a norm.

    `Learned` reads its overlap and errors off these weights at \|w\|^2 = N; so are ``margins``.

    Attributes
    ----------
    p : float
        1, in [1.05, 20], or inf.
    weights_in_norm : (N,) array
        The same direction at sum_i \|w_i\|^p = N, or max_i \|w_i\| = 1 for p = inf.
    margin : float
        kappa_p, the smallest y (w.x/sqrt(N) + b_0) of these.
    duality_gap : float
        Upper bound on (kappa_max - kappa_p)/kappa_max.
    multipliers : (P,) array
        b >= 0 of sum 1, with kappa_max <= N^(1/p) \|sum_mu b_mu y x\|_q/sqrt(N).
    """

    p: float
    weights_in_norm: Array
    margin: float
    duality_gap: float
    multipliers: Array


def max_margin_in_norm(examples: Examples, p: float) -> MaximumMargin:
    r"""Maximise min_mu y (w.x/sqrt(N) + b_0) at sum_i \|w_i\|^p = N.

    For p = inf at max_i \|w_i\| = 1.
    Where the theory of l_p margins starts (isotropic inputs, large N) kappa_p is of order 1 in
    these units. For p = 2 `max_stability` is faster, and proves what it refuses.

    Parameters
    ----------
    examples : Examples
        Linearly separable.
    p : float
        1, in [1.05, 20], or inf.

    Returns
    -------
    MaximumMargin

    Raises
    ------
    InvalidArgument
        A ValueError: for another p; if no weights are found that classify all examples (whether
        there are any is for `max_stability` to prove); or if rounding, or the linear program's own
        tolerance, 1e-10 of the largest input, leaves a gap above 1e-6.
    MemoryError
        If the program does not fit into memory.
    """
    check_examples(examples)
    exponent = arguments.as_double(p)
    allowed = exponent in (1.0, np.inf) or (
        exponent is not None and BETWEEN[0] <= exponent <= BETWEEN[1]
    )
    if exponent is None or not allowed:
        raise InvalidArgument(
            "p", f"must be 1, in [{BETWEEN[0]:g}, {BETWEEN[1]:g}], or inf", quoted(p)
        )
    table = Table(examples)
    P, N = table.P, table.N
    arguments.check_memory("`examples` must leave room in memory", "a program takes", 24.0 * P * N)
    scale = float(table.sizes.max()) or 1.0
    rows = table.rows(slice(None)) / scale
    signs = examples.labels.astype(np.float64) if examples.intercept else None
    if exponent in (1.0, np.inf):
        w, b0, b = _by_program(examples, rows, signs, exponent)
    else:
        found = in_norm(rows / np.sqrt(N), signs, exponent, GAP)
        w, b = found.weights[:N], found.multipliers
        b0 = float(found.weights[N]) * np.sqrt(N) if examples.intercept else 0.0
    fields = table.margins(np.append(w, b0 * scale / np.sqrt(N)) if examples.intercept else w)
    margin = float(fields.min())
    bound = _bound(table, b, exponent)
    gap = 1 - margin / bound
    if not margin > 0:
        raise _none(examples, f"a smallest margin of {margin:.1e}")
    if not gap <= LARGEST_GAP:
        raise InvalidArgument(
            "examples",
            "must have a margin that double precision resolves in this norm",
            f"between {np.ldexp(margin, table.power):g} and {np.ldexp(bound, table.power):g}",
        )
    length = np.linalg.norm(w) / np.sqrt(N)
    return MaximumMargin(
        examples,
        w,
        np.inf,
        intercept=float(np.ldexp(b0 * scale / np.sqrt(N) / length, table.power)),
        p=exponent,
        weights_in_norm=w,
        margin=float(np.ldexp(margin, table.power)),
        duality_gap=max(gap, 0.0),
        multipliers=b / b.sum(),
    )


def _by_program(
    examples: Examples, rows: Array, signs: Array | None, p: float
) -> tuple[Array, float, Array]:
    """Weights of norm 1, the intercept beside rows.w, and multipliers, of the linear program."""
    P, N = rows.shape
    first = p == 1.0
    # max t with rows.w + signs b_0 >= t; of |w|_1 <= 1 the two signs of w, of |w|_inf <= 1 the box
    columns = [-rows, rows] if first else [-rows]
    if signs is not None:
        columns.append(-signs[:, None])
    matrix = np.hstack([*columns, np.ones((P, 1))])
    weights = 2 * N if first else N
    objective = np.zeros(matrix.shape[1])
    objective[-1] = -1.0
    free = [(None, None)] * (matrix.shape[1] - weights)
    bounds = [(0.0, None) if first else (-1.0, 1.0)] * weights + free
    right = np.zeros(P)
    if first:
        matrix = np.vstack([matrix, np.append(np.ones(weights), np.zeros(len(free)))])
        right = np.append(right, 1.0)
    found = linprog(
        objective, matrix, right, bounds=bounds, method=METHOD,
        options={
            "primal_feasibility_tolerance": FEASIBILITY, "dual_feasibility_tolerance": FEASIBILITY
        },
    )  # fmt: skip
    if found.x is None or not found.x[-1] > 0:
        raise _none(examples, found.message if found.x is None else "none found")
    w = found.x[:N] - found.x[N:weights] if first else found.x[:N]
    size = power_mean(w, p)
    b0 = float(found.x[weights]) / size if signs is not None else 0.0
    return w / size, b0, np.maximum(-found.ineqlin.marginals[:P], 0.0)


def _bound(table: Table, b: Array, p: float) -> float:
    """N^(1/p) |pull|_q for multipliers of sum 1, in balance if there is an intercept."""
    labels = table.examples.labels
    if table.intercept:
        for label in (-1, 1):
            total = b[labels == label].sum()
            if not total > 0:
                return np.inf
            b[labels == label] /= total
    if not b.sum() > 0:
        return np.inf
    pull = table.pull(b / b.sum())[: table.N]
    return table.N * power_mean(pull, conjugate(p))


def _none(examples: Examples, what: str) -> InvalidArgument:
    return InvalidArgument(
        "examples",
        f"must be linearly separable; of these {examples.P} in {examples.N} dimensions the "
        "search found no weights that classify all (`max_stability` proves it or finds some)",
        what,
    )
