"""When a problem has exactly one answer: capacity, reachable margins, convexity.

Each function answers for flat arrays of checked numbers; `replica.general`
turns the answers into refusals. Equation numbers are those of docs/theory.md.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import elementwise

from replica import kernels
from replica.equations import PerceptronEquations
from replica.losses import HardMargin
from replica.saddle_point import ORDER, solve_equations
from replica.teachers import Labels

__all__ = ["maximum_stability", "refusals", "separability_capacity", "sharpness_limit"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: log c at the capacity of any teacher: one flip in 1e300 gives 230, noise of 1e100 gives -267.
_LOG_C = 340.0
#: Less noise than both of these leaves a capacity beyond 1e90, which counts as infinite.
LEAST_NOISE, LEAST_FLIP = 1e-100, 1e-300
#: A limit of convexity beyond this is reported as infinite.
LARGEST_LIMIT = 1e12


def _half_second_moment(x: Array) -> Array:
    """int_{t<0} Dt t^2 2 H(-c t) = (arctan(1/c) - c/(1 + c^2)) / pi, of x = 1/c."""
    # below x = 0.02 the two terms cancel; the series is then good to 1e-17
    small = np.minimum(x, 0.02)
    series = small**3 * (2 / 3 - small**2 * (4 / 5 - small**2 * (6 / 7 - small**2 * 8 / 9)))
    return np.where(x < 0.02, series, np.arctan(x) - 1 / (x + 1 / x)) / np.pi


def separability_capacity(labels: Labels) -> Array:
    """The alpha up to which labels of a teacher can be learned without error, eq. (24).

    inf for a noiseless teacher, 2 for random labels.

    Parameters
    ----------
    labels : Labels
        The teachers' mixtures.
    """
    result = np.full(len(labels.random), 2.0)
    quiet = np.all((labels.signal == 0) | (labels.noise < LEAST_NOISE), axis=1)
    clean = quiet & (labels.random < LEAST_FLIP)
    result[clean] = np.inf
    noisy = np.flatnonzero(~clean & ~labels.storage)
    if len(noisy) == 0:
        return result
    w, sigma, random = labels.signal[noisy], labels.noise[noisy], labels.random[noisy]

    def step_and_pull(log_c: Array, j: NDArray[np.intp]) -> tuple[Array, Array]:
        x = np.exp(-log_c)[:, None]
        xk = np.hypot(x, sigma[j] * np.hypot(x, 1.0))  # 1/c_k of eq. (9)
        step = 0.5 * random[j] + np.sum(w[j] * _half_second_moment(xk), axis=1)
        across = np.hypot(1.0, sigma[j]) * np.hypot(1.0, 1 / xk)
        pull = np.sum(w[j] / (across * np.sqrt(2 * np.pi)), axis=1)
        return step, pull

    def mismatch(log_c: Array, index: Array) -> Array:
        step, pull = step_and_pull(log_c, index.astype(int))
        ratio = np.log(np.sqrt(2 / np.pi) * pull / step)
        return ratio - log_c - 0.5 * np.logaddexp(0.0, 2 * log_c)

    index = np.arange(len(noisy))
    root = elementwise.find_root(
        mismatch,
        (np.full(len(noisy), -_LOG_C), np.full(len(noisy), _LOG_C)),
        args=(index.astype(float),),
        tolerances={"xatol": 1e-15, "xrtol": 1e-15},
    )
    step, _ = step_and_pull(root.x, index)
    result[noisy] = np.exp(-np.logaddexp(0.0, 2 * root.x)) / step
    return result


def maximum_stability(alpha: Array, labels: Labels) -> Array:
    """The largest margin kappa that all examples can have; nan at and beyond capacity."""
    kappa = np.full(len(alpha), np.nan)
    which = np.flatnonzero(alpha < separability_capacity(labels))
    if len(which):
        equations = PerceptronEquations(
            HardMargin(), alpha[which], np.zeros(len(which)), labels[which]
        )
        found = solve_equations(equations)
        kappa[which] = np.where(found.converged, np.exp(found.unknowns[:, 1]), np.nan)
    return kappa


def sharpness_limit(equations: PerceptronEquations) -> Array:
    """The sharpness at which the multiplier reaches 1, eq. (20); inf below capacity.

    ``equations.parameter`` is ignored. At many examples the limit is about
    1/sqrt(alpha) for random labels and of order 1 for a teacher; it diverges at
    the capacity, and counts as infinite beyond `LARGEST_LIMIT`.
    """
    capacity = separability_capacity(equations.labels)
    result = np.full(len(equations.alpha), np.inf)
    which = np.flatnonzero(equations.alpha > capacity)
    if len(which) == 0:
        return result
    part = equations.select(which)

    def excess(log_lam: Array, index: Array) -> Array:
        at = dataclasses.replace(part.select(index.astype(int)), parameter=np.exp(log_lam))
        found = solve_equations(at)
        # given up on the way because the multiplier had passed 1
        return np.where(found.beyond, 1.0, -_lack(at, found.unknowns))

    index = np.arange(len(which), dtype=float)
    low, high = np.full(len(which), -40.0), np.full(len(which), np.log(LARGEST_LIMIT))
    bracket = elementwise.bracket_root(
        excess, low + 39.0, low + 40.0, xmin=low, xmax=high, args=(index,)
    )
    root = elementwise.find_root(
        excess, bracket.bracket, args=(index,), tolerances={"xatol": 1e-14, "xrtol": 1e-14}
    )
    found = np.where(root.success, np.exp(root.x), np.nan)
    result[which] = np.where(~root.success & (excess(high, index) < 0), np.inf, found)
    return result


def _lack(equations: PerceptronEquations, unknowns: Array) -> Array:
    """1 - multiplier = 1 - R^2 + alpha E_W[t u], by parts, section 5 of the page.

    With few flips p at large alpha it is of the size of p, which 1 - alpha E_W[1 - D0'] has lost
    at p = 1e-12.
    """
    everyone = np.arange(len(equations.alpha))
    moments = equations.moments(unknowns, everyone, order=ORDER, full=kernels.OBSERVABLES)
    c = np.where(equations.storage, 0.0, np.exp(unknowns[:, 0]))
    return 1 / (1 + c * c) + equations.alpha * moments[:, kernels.FIELD_PUSH]


def square_loss_reach(alpha: Array, margin: Array, labels: Labels) -> Mask:
    """Where alpha < 1 examples can all be given the margin on the sphere: V = 0 is reached.

    Eq. (27) at g = x/(1+x) = 1; below 1 its left side means that x diverges.
    """
    rho = alpha * np.sqrt(2 / np.pi) * margin * labels.correlation
    return (alpha < 1) & (alpha * (margin**2 + 1) - rho**2 < 1)


def refusals(
    code: int | None, alpha: Array, parameter: Array, labels: Labels
) -> list[tuple[Mask, str, Array]]:
    """What is known beforehand to have no unique minimiser: where, why, and the value."""
    if code == kernels.HARD_MARGIN:
        capacity = separability_capacity(labels)
        return _against(
            alpha >= capacity,
            "`alpha` must be below {} for these labels, the capacity above which no weights "
            "classify all examples and maximum stability does not exist; use a finite lam",
            capacity,
            alpha,
        )
    if code in (kernels.HINGE, kernels.SQUARED_HINGE):
        kappa = maximum_stability(alpha, labels)
        with np.errstate(invalid="ignore"):
            reachable = parameter <= kappa
        return _against(
            reachable,
            "`margin` must exceed the maximum stability {} at this alpha, else many weights "
            "reach zero loss and the minimiser is not unique",
            kappa,
            parameter,
        )
    if code == kernels.SQUARE:
        reached = square_loss_reach(alpha, parameter, labels)
        sentence = (
            "`margin` must be large enough that zero loss is out of reach on the sphere; at this "
            "alpha < 1 every example can be given it exactly and the minimiser is not unique"
        )
        return [(reached, sentence, parameter)]
    return []


def _against(
    mask: Mask, sentence: str, limit: Array, value: Array
) -> list[tuple[Mask, str, Array]]:
    """One refusal for each distinct limit, so that every sentence names its own."""
    return [
        (mask & (limit == level), sentence.format(f"{level:.10g}"), value)
        for level in np.unique(limit[mask])
    ]
