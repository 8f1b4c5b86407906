"""The named cases: the logistic path, and the classical learning rules along it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import elementwise
from scipy.special import erf, erfcx, ndtr

from replica import ranges
from replica.common import arguments
from replica.equations import gauss_legendre
from replica.existence import separability_capacity as _capacity
from replica.existence import sharpness_limit
from replica.general import equations_of, solve
from replica.losses import HardMargin, Logistic
from replica.margins import Margins
from replica.problem import Problem, pose
from replica.solution import CONVERGED, Record, Solution, shaped
from replica.solver import newton
from replica.teachers import RandomLabels, Teacher

__all__ = [
    "LearningRule",
    "MaximumStability",
    "OptimalNorm",
    "bayes_optimal",
    "convexity_limit",
    "gardner_capacity",
    "gibbs",
    "hebb",
    "logistic_storage",
    "logistic_teacher_student",
    "max_stability",
    "optimal_norm",
    "separability_capacity",
    "storage_max_stability",
]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Below this alpha 1/sqrt(alpha) is the maximum stability to 1e-20.
FEW = 1e-20


def logistic_teacher_student(
    alpha: ArrayLike,
    lam: ArrayLike,
    *,
    label_flip: ArrayLike = 0.0,
    label_noise: ArrayLike = 0.0,
) -> Solution:
    r"""The minimiser of the logistic loss at fixed norm, labels from a teacher.

    V(D) = log(1 + exp(-2 lam D)) / lam on the sphere \|w\|^2 = N. Mind the 2:
    the textbook loss log(1 + exp(-z)) at weight norm \|w\| = sqrt(q N) is
    lam = sqrt(q)/2, while the loss log(1 + exp(-2 Delta)) at free norm has
    lam = \|w\|/sqrt(N).

    Parameters
    ----------
    alpha : float or array
        Examples per dimension P/N, positive.
    lam : float or array
        The norm, in [0, inf]: 0 is exactly Hebb, inf exactly maximum stability.
    label_flip : float or array
        Probability that a label is inverted, in [0, 0.5].
    label_noise : float or array
        Standard deviation of the Gaussian noise added to the teacher's field, in [0, inf].

    Returns
    -------
    Solution
        Of the broadcast shape; Python floats for scalars.

    Raises
    ------
    ValueError
        For a bad number, or where the answer does not exist (noisy labels and
        lam beyond `convexity_limit`); in arrays such entries are nan and say
        why in ``status``.

    Notes
    -----
    Equations (13)-(14) of docs/theory.md, from eq. (13) of D'Amico, Bocchi and
    Negri (2025).

    Examples
    --------
    >>> from replica import logistic_teacher_student
    >>> solution = logistic_teacher_student(alpha=5.0, lam=4.5)
    >>> round(solution.generalization_error, 12)
    0.083980359999
    """
    teacher = Teacher(label_flip=label_flip, label_noise=label_noise)
    return solve(Problem(alpha=alpha, loss=Logistic(lam), teacher=teacher))


def logistic_storage(alpha: ArrayLike, lam: ArrayLike) -> Solution:
    """The minimiser of the logistic loss at fixed norm, labels random: the storage problem.

    Parameters
    ----------
    alpha : float or array
        Examples per dimension P/N, positive; below 2 where lam = inf.
    lam : float or array
        The norm, in [0, inf]; above alpha = 2 at most the `convexity_limit`.

    Returns
    -------
    Solution
        With overlap 0; eq. (19) of docs/theory.md.

    Raises
    ------
    ValueError
        As `logistic_teacher_student`.
    """
    return solve(Problem(alpha=alpha, loss=Logistic(lam), teacher=RandomLabels()))


@dataclass(frozen=True)
class LearningRule(Record):
    """A classical rule at its alpha.

    Attributes
    ----------
    alpha : float
        Examples per dimension.
    overlap : float
        R = w.w*/N.
    one_minus_overlap : float
        1 - R to full relative accuracy.
    generalization_error : float
        arccos(R)/pi.
    status : str
        "converged", or why there is no answer.
    """

    alpha: Any
    overlap: Any
    one_minus_overlap: Any
    generalization_error: Any
    status: Any


@dataclass(frozen=True)
class MaximumStability(LearningRule):
    """The rule of maximum stability, with its margins.

    Attributes
    ----------
    stability : float
        kappa, the largest smallest margin.
    margins : Margins
        P(Delta), with its atom at kappa.
    """

    stability: Any
    margins: Margins = field(repr=False)


@dataclass(frozen=True)
class OptimalNorm(Record):
    """The norm at which the logistic loss generalizes best.

    Attributes
    ----------
    alpha : float
        Examples per dimension.
    lam : float
        The optimal norm; 0.8836 alpha at large alpha only.
    overlap : float
        R there.
    generalization_error : float
        eps_opt.
    bayes_gap : float
        eps_opt / eps_Bayes - 1: small (below 7e-4) but never zero.
    error_estimate : float
        Of the relative error of ``generalization_error``, as in `Solution`.
    status : str
        "converged", or why there is no answer.
    """

    alpha: Any
    lam: Any
    overlap: Any
    generalization_error: Any
    bayes_gap: Any
    error_estimate: Any
    status: Any


def _door(name: str, value: ArrayLike, rule: arguments.Range) -> tuple[Array, arguments.Complaints]:
    """One checked argument, flat; bad entries of an array become nan."""
    shape, flat = arguments.broadcast({name: value})
    complaints = arguments.Complaints(shape)
    complaints.check(name, flat[name], rule)
    return np.where(complaints.bad, np.nan, flat[name]), complaints


def _status(complaints: arguments.Complaints) -> NDArray[np.object_]:
    return np.where(complaints.bad, complaints.reasons, CONVERGED).astype(object)


def _rule(alpha: Array, complaints: arguments.Complaints, c: Array) -> LearningRule:
    """The record of a rule from c = R / sqrt(1 - R^2)."""
    r = c / np.sqrt(1 + c * c)
    shape = complaints.shape
    return LearningRule(
        alpha=shaped(alpha, shape),
        overlap=shaped(r, shape),
        one_minus_overlap=shaped(1 / ((1 + c * c) * (1 + r)), shape),
        generalization_error=shaped(np.arctan2(1.0, c) / np.pi, shape),
        status=shaped(_status(complaints), shape),
    )


def hebb(alpha: ArrayLike) -> LearningRule:
    """Hebb's rule w = sum of y x: R = sqrt(2 alpha / (2 alpha + pi)), eq. (22).

    Parameters
    ----------
    alpha : float or array
        Examples per dimension, positive; else `ValueError`, or in arrays a marked entry.
    """
    flat, complaints = _door("alpha", alpha, ranges.ALPHA)
    return _rule(flat, complaints, np.sqrt(2 * flat / np.pi))


def max_stability(alpha: ArrayLike) -> MaximumStability:
    """The weights whose smallest margin is largest, eqs. (13)-(14) with u = (kappa - t)+.

    Parameters
    ----------
    alpha : float or array
        Examples per dimension, positive; else `ValueError`, or in arrays a marked entry.
    """
    found = solve(Problem(alpha=alpha, loss=HardMargin()))
    names = [column.name for column in fields(MaximumStability)]
    return MaximumStability(**{name: getattr(found, name) for name in names})


def _gibbs_integral(log_a: Array) -> tuple[Array, Array]:
    """Int Du exp(-a^2 u^2) / H(-a u) and its logarithmic derivative in a.

    With v = a u, exp(-v^2/2)/H(-v) = 2 / erfcx(-v/sqrt 2) for all v, which is
    smooth on the scale 1; so int dv exp(-v^2 (1 + 1/a^2)/2) 2/erfcx / (a sqrt(2 pi)).
    """
    a = np.exp(log_a)[:, None]
    node, weight = gauss_legendre(24)
    # v in units of the width a/sqrt(1 + a^2) of the Gaussian, 10 panels over +-9 widths
    edges = np.linspace(-9.0, 9.0, 11)
    half = 0.5 * np.diff(edges)
    z = ((edges[:-1] + half)[:, None] + half[:, None] * node).ravel()[None, :]
    dz = (half[:, None] * weight).ravel()[None, :]
    width = a / np.sqrt(1 + a * a)
    v = width * z
    bell = np.exp(-0.5 * z * z) * dz / np.sqrt(2 * np.pi * (1 + a * a))
    # 1/H(-v) exp(-v^2/2) with H(-v) = erfc(-v/sqrt 2)/2; erfcx(-v/sqrt 2) overflows beyond v = 37
    ratio = 2.0 / erfcx(-v / np.sqrt(2))
    value = np.sum(bell * ratio, axis=1)
    # d/d log a at fixed v: the Gaussian gains v^2/a^2, the prefactor 1/a loses 1
    slope = np.sum(bell * ratio * ((v / a) ** 2 - 1), axis=1) / value
    return value, slope


def _gibbs_slope(alpha: Array) -> Array:
    """A = sqrt(q/(1 - q)) with q = (alpha/pi) int Du exp(-a^2 u^2)/H(-a u), eq. (28)."""

    def system(z: Array, which: Indices) -> tuple[Array, Array]:
        log_a = z[:, 0]
        value, slope = _gibbs_integral(log_a)
        log_q = 2 * log_a - np.logaddexp(0.0, 2 * log_a)
        residual = np.log(alpha[which] / np.pi) + np.log(value) - log_q
        jacobian = slope - 2 / (1 + np.exp(2 * log_a))
        return residual[:, None], jacobian[:, None, None]

    # q = 2 alpha/pi for few examples; eps = 0.6247/alpha for many, 1 - q = (0.6247 pi/alpha)^2/2
    start = 0.5 * np.log(2 * alpha / np.pi + (alpha / 1.388) ** 2)
    root = newton(system, start[:, None], 1e-9)
    return np.where(root.converged, np.exp(root.unknowns[:, 0]), np.nan)


def gibbs(alpha: ArrayLike) -> LearningRule:
    """Weights drawn at random among those that make no error: R = q, eq. (28).

    Parameters
    ----------
    alpha : float or array
        Examples per dimension, positive; else `ValueError`, or in arrays a marked entry.
    """
    flat, complaints = _door("alpha", alpha, ranges.ALPHA)
    a2 = _gibbs_slope(flat) ** 2
    # R = q = a^2/(1 + a^2): 1 - R^2 = (1 + 2 a^2)/(1 + a^2)^2
    return _rule(flat, complaints, a2 / np.sqrt(1 + 2 * a2))


def bayes_optimal(alpha: ArrayLike) -> LearningRule:
    """The smallest error that any rule reaches: R = sqrt(q), q that of `gibbs`, eq. (29).

    Parameters
    ----------
    alpha : float or array
        Examples per dimension, positive; else `ValueError`, or in arrays a marked entry.
    """
    flat, complaints = _door("alpha", alpha, ranges.ALPHA)
    return _rule(flat, complaints, _gibbs_slope(flat))


def optimal_norm(alpha: ArrayLike) -> OptimalNorm:
    """The norm lam at which the generalization error of the logistic loss is smallest.

    Found as the zero of d log eps / d log lam, which is known analytically
    (eq. 25), not as the smallest of values: lam is good to 1e-13 for alpha of order
    1 and above, and to 1e-14/alpha below, where the curve becomes flat.

    Parameters
    ----------
    alpha : float or array
        Examples per dimension, at least 1e-6; else `ValueError`, or in arrays a marked
        entry.

    Returns
    -------
    OptimalNorm
        ``lam``, the optimal norm; ``overlap``, ``generalization_error`` and
        ``error_estimate`` (relative, of the error) there; ``bayes_gap``, by which
        fraction that error exceeds the Bayes-optimal one; ``alpha`` and ``status``.

        Mind the 2: lam is in units of sqrt(N) for the loss log(1 + exp(-2 Delta)).
        For the textbook loss log(1 + exp(-z)) the optimal norm of the weights is
        2 lam sqrt(N).
    """
    flat, complaints = _door("alpha", alpha, ranges.ALPHA_OF_OPTIMUM)
    good = np.flatnonzero(~complaints.bad)
    n = len(flat)
    lam, overlap, eps, error = (np.full(n, np.nan) for _ in range(4))
    if len(good):
        at = flat[good]

        def slope(log_lam: Array, alpha: Array) -> Array:
            return np.asarray(solve(Problem(alpha, Logistic(np.exp(log_lam)))).slope)

        guess = np.log(0.8836 * at + 0.35)
        bracket = elementwise.bracket_root(slope, guess - 0.02, guess + 0.02, args=(at,))
        root = elementwise.find_root(
            slope, bracket.bracket, args=(at,), tolerances={"xatol": 1e-13, "fatol": 0.0}
        )
        lam[good] = np.exp(root.x)
        best = solve(Problem(at, Logistic(lam[good])))
        overlap[good], eps[good] = best.overlap, best.generalization_error
        error[good] = best.error_estimate
    bayes = np.arctan2(1.0, _gibbs_slope(flat)) / np.pi
    shape = complaints.shape
    return OptimalNorm(
        alpha=shaped(flat, shape),
        lam=shaped(lam, shape),
        overlap=shaped(overlap, shape),
        generalization_error=shaped(eps, shape),
        bayes_gap=shaped(eps / bayes - 1, shape),
        error_estimate=shaped(error, shape),
        status=shaped(_status(complaints), shape),
    )


def gardner_capacity(kappa: ArrayLike) -> Any:
    """The alpha up to which random labels can be stored with margin kappa, eq. (30).

    1/alpha = (1 + kappa^2) Phi(kappa) + kappa phi(kappa).

    Parameters
    ----------
    kappa : float or array
        Margin, in [0, 1e150]. Below 0 replica symmetry is broken and the formula
        is not the capacity: `ValueError`, or nan and a warning in arrays.

    Returns
    -------
    float or array
        Capacity, at most 2.
    """
    rule = arguments.Range(
        0.0, 1e150, "must be non-negative and at most 1e150 (below 0 replica symmetry breaks)"
    )
    flat, complaints = _door("kappa", kappa, rule)
    complaints.warn()
    return shaped(1 / (0.5 + _gardner_excess(flat)), complaints.shape)


def _gardner_excess(kappa: Array) -> Array:
    """int_{t < kappa} Dt (kappa - t)^2 - 1/2, for kappa >= 0."""
    density = np.exp(-0.5 * kappa**2) / np.sqrt(2 * np.pi)
    return kappa**2 * ndtr(kappa) + kappa * density + 0.5 * erf(kappa * np.sqrt(0.5))


def storage_max_stability(alpha: ArrayLike) -> Any:
    """The largest margin kappa with which alpha N random labels can be stored, eq. (30).

    Parameters
    ----------
    alpha : float or array
        Examples per dimension, in (0, 2). At 2 and above no weights store them
        all: `ValueError`, or nan and a warning in arrays.

    Returns
    -------
    float or array
        kappa, positive.
    """
    rule = arguments.Range(
        0.0,
        2.0,
        "must be in (0, 2): at 2 and above random labels cannot all be stored",
        low_open=True,
        high_open=True,
    )
    flat, complaints = _door("alpha", alpha, rule)
    complaints.warn()

    few = flat < FEW  # 1/alpha = 1 + kappa^2 there, and kappa^2 might overflow
    safe = np.where(few, 1.0, flat)
    excess = (2 - safe) / (2 * safe)  # 1/alpha - 1/2, to all its digits also near 2

    def system(z: Array, which: Indices) -> tuple[Array, Array]:
        kappa = z[:, 0]
        density = np.exp(-0.5 * kappa**2) / np.sqrt(2 * np.pi)
        slope = 2 * (kappa * ndtr(kappa) + density)
        return (_gardner_excess(kappa) - excess[which])[:, None], slope[:, None, None]

    start = excess / (np.sqrt(1 / safe) + np.sqrt(0.5))
    root = newton(system, start[:, None], 1e-14)  # kappa itself may be 1e-16
    kappa = np.where(root.converged, root.unknowns[:, 0], np.nan)
    return shaped(np.where(few, 1 / np.sqrt(np.where(few, flat, 1.0)), kappa), complaints.shape)


def separability_capacity(*, label_flip: ArrayLike = 0.0, label_noise: ArrayLike = 0.0) -> Any:
    """The alpha up to which a noisy teacher's labels can be learned without error, eq. (24).

    Parameters
    ----------
    label_flip, label_noise : float or array
        As in `logistic_teacher_student`.

    Returns
    -------
    float or array
        inf without noise, 2 for random labels; nan and a warning for bad entries.
    """
    teacher = Teacher(label_flip=label_flip, label_noise=label_noise)
    posed = pose(Problem(1.0, HardMargin(), teacher))
    posed.complaints.warn()
    capacity = np.full(len(posed), np.nan)
    good = ~posed.complaints.bad
    capacity[good] = _capacity(posed.labels[good])
    return shaped(capacity, posed.shape)


def convexity_limit(
    alpha: ArrayLike, *, label_flip: ArrayLike = 0.0, label_noise: ArrayLike = 0.0
) -> Any:
    """The largest lam at which the logistic loss at fixed norm is convex, eq. (20).

    It is the norm of the unconstrained minimiser; beyond it that minimiser lies
    inside the sphere.

    Parameters
    ----------
    alpha : float or array
        Examples per dimension, positive.
    label_flip, label_noise : float or array
        As in `logistic_teacher_student`; ``label_flip=0.5`` is storage.

    Returns
    -------
    float or array
        inf where the labels can be learned without error, and beyond 1e12.
    """
    teacher = Teacher(label_flip=label_flip, label_noise=label_noise)
    posed = pose(Problem(alpha, Logistic(1.0), teacher))
    posed.complaints.warn()
    limit = np.full(len(posed), np.nan)
    good = np.flatnonzero(~posed.complaints.bad)
    if len(good):
        limit[good] = sharpness_limit(equations_of(posed, good))
    return shaped(limit, posed.shape)
