"""The classical learning rules, and the best norm of the logistic loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import elementwise
from scipy.special import erfcx, ndtr

from replica import existence, ranges
from replica.common import arguments
from replica.common.arguments import InvalidArgument, Range, quoted
from replica.common.refusals import Refusals
from replica.exponents import scaling_exponents
from replica.inputs import Clusters, Inputs, Isotropic, PowerLaw
from replica.losses import HardMargin, Linear, Logistic
from replica.margins import Margins
from replica.problem import Problem, pose
from replica.quadrature import gauss_legendre
from replica.solution import CONVERGED, FloatOrArray, Record, shaped
from replica.solver import newton
from replica.solving import solve
from replica.teachers import LabelModel, NoiseMixture, Teacher, given_teacher

__all__ = [
    "LearningRule",
    "MaximumStability",
    "OptimalNorm",
    "bayes_optimal",
    "gibbs",
    "hebb",
    "max_stability",
    "optimal_norm",
]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

#: How far beyond a guess an optimum is looked for, in log lam, and the smallest log lam for inputs
#: whose largest variance is 1: at both ends the slope of the error, of order 1/lam and of lam^2
#: at the least, is still some thousand times its rounding.
LARGEST_LOG_NORM, SMALLEST_LOG_NORM = 27.0, -13.0
#: log of the largest norm that is solved.
LAST_LOG_NORM = float(np.log(ranges.SHARPNESS.high))


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

    alpha: FloatOrArray
    overlap: FloatOrArray
    one_minus_overlap: FloatOrArray
    generalization_error: FloatOrArray
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

    stability: FloatOrArray
    margins: Margins = field(repr=False)


@dataclass(frozen=True)
class OptimalNorm(Record):
    """The norm at which the logistic loss generalizes best.

    Attributes
    ----------
    alpha : float
        Examples per dimension.
    lam : float
        The optimal norm; without noise, 0.8836 alpha for isotropic inputs at large alpha.
    overlap : float
        R there.
    generalization_error : float
        eps_opt.
    bayes_gap : float
        eps_opt / eps_Bayes - 1: never zero; below 7e-4 for isotropic inputs without noise.
    ridge : float
        Strength of the penalty whose minimiser has this norm, as in `Solution`; 0 at the limit of
        convexity.
    error_estimate : float
        Of the relative error of ``generalization_error``, as in `Solution`.
    status : str
        "converged", or why there is no answer.
    """

    alpha: FloatOrArray
    lam: FloatOrArray
    overlap: FloatOrArray
    generalization_error: FloatOrArray
    ridge: FloatOrArray
    bayes_gap: FloatOrArray
    error_estimate: FloatOrArray
    status: Any


def _examples(
    alpha: ArrayLike, teacher: LabelModel, allowed: Range = ranges.ALPHA
) -> tuple[Array, NoiseMixture, Refusals]:
    """Checked alpha and teachers, flat; bad entries of an array become nan."""
    given = {"alpha": (alpha, allowed), **teacher.parameters()}
    values = {name: value for name, (value, _) in given.items()}
    shape, flat = arguments.broadcast(values)
    refusals = Refusals(shape)
    for name, (_, each) in given.items():
        refusals.check(name, flat[name], each)
    bad = refusals.bad
    with np.errstate(over="ignore", invalid="ignore"):  # of entries that were refused
        labels = teacher.mixture(flat, len(bad))
    return np.where(bad, np.nan, flat["alpha"]), labels, refusals


def _told_about_samples(alpha: object, name: str) -> None:
    """Whoever passes samples meant the other package's function of the same name."""
    if hasattr(alpha, "inputs") and hasattr(alpha, "labels"):
        raise InvalidArgument(
            "alpha",
            f"must be a number of examples per dimension (`perceptron.{name}` takes samples)",
            type(alpha).__name__,
        )


def _status(refusals: Refusals, found: Sequence[str] | None = None) -> Any:
    """Why an entry was refused, or else what was ``found`` of it."""
    words = ([CONVERGED] * len(refusals.code)) if found is None else found
    words = [refusals.sentence(i) or word for i, word in enumerate(words)]
    return shaped(np.array(words, dtype=object), refusals.shape)


def _rule(alpha: Array, refusals: Refusals, c: Array) -> LearningRule:
    """The record of a rule from c = R / sqrt(1 - R^2)."""
    r = c / np.hypot(1.0, c)
    shape = refusals.shape
    return LearningRule(
        alpha=shaped(alpha, shape),
        overlap=shaped(r, shape),
        one_minus_overlap=shaped(1 / ((1 + c * c) * (1 + r)), shape),
        generalization_error=shaped(np.arctan2(1.0, c) / np.pi, shape),
        status=_status(refusals),
    )


def hebb(
    alpha: ArrayLike,
    *,
    label_flip: ArrayLike = 0.0,
    label_noise: ArrayLike = 0.0,
    teacher: LabelModel | None = None,
    inputs: Inputs | None = None,
) -> LearningRule:
    """Hebb's rule w = sum of y x: R = sqrt(2 alpha / (2 alpha + pi)), eq. (22).

    Parameters
    ----------
    alpha : float or array
        Examples per dimension (their number where the inputs count modes), positive; else
        `InvalidArgument`, or in arrays a marked entry.
    label_flip, label_noise, teacher, inputs
        As in `logistic_teacher_student`.
    """
    _told_about_samples(alpha, "hebb_rule")
    teacher = given_teacher(teacher, label_flip, label_noise)
    if inputs is None or isinstance(inputs, Isotropic):
        flat, labels, refusals = _examples(alpha, teacher)
        return _rule(flat, refusals, np.sqrt(2 * flat / np.pi) * labels.correlation)
    found = solve(Problem(alpha, Linear(), teacher, inputs))
    return LearningRule(**{f.name: getattr(found, f.name) for f in fields(LearningRule)})


def max_stability(
    alpha: ArrayLike,
    *,
    label_flip: ArrayLike = 0.0,
    label_noise: ArrayLike = 0.0,
    teacher: LabelModel | None = None,
    inputs: Inputs | None = None,
) -> MaximumStability:
    """The weights whose smallest margin is largest, eqs. (13)-(14) with u = (kappa - t)+.

    Parameters
    ----------
    alpha : float or array
        Examples per dimension (their number where the inputs count modes), positive; else
        `InvalidArgument`, or in arrays a marked entry.
    label_flip, label_noise, teacher, inputs
        As in `logistic_teacher_student`; noisy labels have a maximum stability below
        `separability_capacity`.
    """
    _told_about_samples(alpha, "max_stability")
    teacher = given_teacher(teacher, label_flip, label_noise)
    found = solve(Problem(alpha, HardMargin(), teacher, inputs or Isotropic()))
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


def _noiseless_slope(alpha: Array) -> Array:
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


def _information(log_a: Array, labels: NoiseMixture) -> Array:
    """J = 2 int Dh (sum_k w_k phi(f_k)/s_k)^2 / Z, s_k^2 = 1 - q + sigma_k^2, f_k = sqrt(q) h/s_k.

    Z = (1 - sum w)/2 + sum_k w_k Phi(f_k) is the probability of a label given the field that is
    known of, sqrt(q) h; q = a^2/(1 + a^2). Noiseless, (1 - q) J pi is the integral of eq. (28).
    """
    node, weight = gauss_legendre(24)
    q = 1 / (1 + np.exp(-2 * log_a))
    spread = np.sqrt(1 / (1 + np.exp(2 * log_a))[:, None] + labels.noise**2)
    slope = np.sqrt(q)[:, None] / spread  # f_k = slope h
    steep = np.where(labels.signal > 0, slope, 0.0).max(axis=1)
    narrow = 1 / np.hypot(1.0, steep)
    # the window of the steepest teacher inside that of h, and doubling scales between
    scales = np.geomspace(1.0, 1 / narrow.min(), 12) if narrow.min() < 1 else np.ones(1)
    inner = np.linspace(-9.0, 9.0, 13)
    result = np.empty(len(log_a))
    for i in range(len(log_a)):
        edges = np.unique(
            np.concatenate([inner * narrow[i], *(inner[[0, -1]] / s for s in scales), inner])
        )
        edges = edges[(edges >= -9.0) & (edges <= 9.0)]
        half = 0.5 * np.diff(edges)
        h = ((edges[:-1] + half)[:, None] + half[:, None] * node).ravel()
        dh = (half[:, None] * weight).ravel()
        f = slope[i] * h[:, None]
        density = np.exp(-0.5 * f * f) / np.sqrt(2 * np.pi) / spread[i]
        likelihood = labels.random[i] / 2 + np.sum(labels.signal[i] * ndtr(f), axis=1)
        score = np.sum(labels.signal[i] * density, axis=1)
        bell = np.exp(-0.5 * h * h) / np.sqrt(2 * np.pi)
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(score > 0, score**2 / likelihood, 0.0)
        result[i] = 2 * np.sum(dh * bell * np.nan_to_num(terms))
    return result


def _log_odds(inputs: Inputs, strength: Array) -> Array:
    """Log-odds log(Q/(1 - Q)), Q = <omega tau qh omega tau/(1 + qh omega tau)>, qh = ``strength``.

    Q is what a Gaussian prior lets be known; of 1 - Q at 1e-18 no difference would be left.
    """
    nodes = inputs.nodes
    if isinstance(inputs, PowerLaw):
        exponent = (1 + 2 * inputs.capacity * inputs.source) / inputs.capacity
        total = nodes.signal[np.argmax(nodes.eigenvalue)]  # that of the first mode, alone
        power = nodes.eigenvalue**exponent * total
    else:
        power = nodes.signal / nodes.count
    part = strength[:, None] * power
    known = np.sum(nodes.signal * part / (1 + part), axis=1)
    lost = np.sum(nodes.signal / (1 + part), axis=1)
    with np.errstate(divide="ignore"):
        return np.log(known) - np.log(lost)


def _posterior_slope(alpha: Array, labels: NoiseMixture, inputs: Inputs) -> Array:
    """A = sqrt(q/(1 - q)) of the posterior average, eqs. (28) and (55)."""
    clean = (labels.signal.shape[1] == 1) & (labels.random == 0).all() & (labels.noise == 0).all()
    if clean and isinstance(inputs, Isotropic):
        return _noiseless_slope(alpha)
    result = np.zeros(len(alpha))
    which = np.flatnonzero(np.isfinite(alpha) & ~labels.storage)
    result[np.isnan(alpha)] = np.nan
    if len(which) == 0:
        return result

    def excess(log_a: Array, index: Array) -> Array:
        at = which[index.astype(int)]
        strength = alpha[at] * _information(log_a, labels[at])
        return _log_odds(inputs, strength) - 2 * log_a

    index = np.arange(len(which), dtype=float)
    root = elementwise.find_root(
        excess,
        (np.full(len(which), -40.0), np.full(len(which), 40.0)),
        args=(index,),
        tolerances={"xatol": 1e-15, "xrtol": 1e-15},
    )
    result[which] = np.exp(root.x)
    return result


def _posterior(
    alpha: ArrayLike,
    label_flip: ArrayLike,
    label_noise: ArrayLike,
    teacher: LabelModel | None,
    inputs: Inputs | None,
    name: str,
) -> tuple[Array, Array, Refusals]:
    """alpha, a, refusals."""
    _told_about_samples(alpha, name)
    inputs = Isotropic() if inputs is None else inputs
    if isinstance(inputs, Clusters):
        raise InvalidArgument(
            "inputs",
            "must be inputs with a teacher, drawn from a Gaussian prior (the best rule for two "
            "clouds that are known errs with probability Phi(-D))",
            quoted(inputs),
        )
    flat, labels, refusals = _examples(alpha, given_teacher(teacher, label_flip, label_noise))
    return flat, _posterior_slope(flat, labels, inputs), refusals


def gibbs(
    alpha: ArrayLike,
    *,
    label_flip: ArrayLike = 0.0,
    label_noise: ArrayLike = 0.0,
    teacher: LabelModel | None = None,
    inputs: Inputs | None = None,
) -> LearningRule:
    """Weights drawn from the posterior (noiseless: among those without error): R = q, eq. (28).

    Parameters
    ----------
    alpha : float or array
        Examples per dimension (their number where the inputs count modes), positive; else
        `InvalidArgument`, or in arrays a marked entry.
    label_flip, label_noise, teacher, inputs
        As in `bayes_optimal`.
    """
    flat, a, refusals = _posterior(alpha, label_flip, label_noise, teacher, inputs, "bayes_optimal")
    # R = q = a^2/(1 + a^2): 1 - R^2 = (1 + 2 a^2)/(1 + a^2)^2
    return _rule(flat, refusals, a**2 / np.sqrt(1 + 2 * a**2))


def bayes_optimal(
    alpha: ArrayLike,
    *,
    label_flip: ArrayLike = 0.0,
    label_noise: ArrayLike = 0.0,
    teacher: LabelModel | None = None,
    inputs: Inputs | None = None,
) -> LearningRule:
    """The smallest error that any rule reaches: R = sqrt(q), q that of `gibbs`, eq. (29).

    Parameters
    ----------
    alpha : float or array
        Examples per dimension (their number where the inputs count modes), positive; else
        `InvalidArgument`, or in arrays a marked entry.
    label_flip, label_noise, teacher
        As in `logistic_teacher_student`; the rule knows the noise.
    inputs : Inputs, optional
        Isotropic by default. With a spectrum the teacher's components are normal numbers of the
        variances theta_k^2, which the rule knows.
    """
    flat, a, refusals = _posterior(alpha, label_flip, label_noise, teacher, inputs, "bayes_optimal")
    return _rule(flat, refusals, a)


def optimal_norm(
    alpha: ArrayLike,
    *,
    label_flip: ArrayLike = 0.0,
    label_noise: ArrayLike = 0.0,
    teacher: LabelModel | None = None,
    inputs: Inputs | None = None,
) -> OptimalNorm:
    """The norm lam at which the generalization error of the logistic loss is smallest.

    Found as the zero of d log eps / d log lam, which is known analytically
    (eq. 25), not as the smallest of values: lam is good to 1e-13 for alpha of order
    1 and above, and to 1e-14/alpha below, where the curve becomes flat.

    Parameters
    ----------
    alpha : float or array
        Examples per dimension, at least 1e-6 (their number where the inputs count modes); else
        `InvalidArgument`, or in arrays a marked entry.
    label_flip, label_noise, teacher, inputs
        As in `logistic_teacher_student`.

    Returns
    -------
    OptimalNorm
        ``lam``, the optimal norm (inf where the error falls up to maximum stability, or the limit
        of convexity where it falls up to there; 0 where it rises from Hebb's rule on);
        ``overlap``, ``generalization_error``, ``ridge`` and ``error_estimate`` (relative, of the
        error) there; ``bayes_gap``, by which fraction that error exceeds the Bayes-optimal one;
        ``alpha`` and ``status``.

        Mind the 2: lam is in units of sqrt(N) for the loss log(1 + exp(-2 Delta)).
        For the textbook loss log(1 + exp(-z)) the optimal norm of the weights is
        2 lam sqrt(N).
    """
    _told_about_samples(alpha, "minimize_at_norm")
    teacher = given_teacher(teacher, label_flip, label_noise)
    inputs = Isotropic() if inputs is None else inputs
    flat, labels, refusals = _examples(alpha, teacher, ranges.ALPHA_OF_OPTIMUM)
    storage = np.flatnonzero(~refusals.bad & labels.storage)
    refusals.refuse(
        storage,
        "label_flip",
        "must leave the labels something to learn",
        np.full(len(storage), 0.5),
    )
    good = np.flatnonzero(~refusals.bad)
    n = len(flat)
    lam, overlap, eps, error, ridge = (np.full(n, np.nan) for _ in range(5))
    status = np.full(n, CONVERGED, dtype=object)
    if len(good):
        lam[good], unconstrained = _best_norm(flat[good], labels[good], inputs)
        best = solve(_problem(flat[good], lam[good], labels[good], inputs), require_convex=False)
        overlap[good], eps[good] = best.overlap, best.generalization_error
        status[good] = best.status
        # at the limit of convexity there is no penalty: what is left of it is rounding
        error[good], ridge[good] = best.error_estimate, np.where(unconstrained, 0.0, best.ridge)
    if isinstance(inputs, Clusters):
        bayes = np.full(n, ndtr(-np.sqrt(inputs.nodes.distance)))
    else:
        bayes = np.arctan2(1.0, _posterior_slope(flat, labels, inputs)) / np.pi
    shape = refusals.shape
    return OptimalNorm(
        alpha=shaped(flat, shape),
        lam=shaped(lam, shape),
        overlap=shaped(overlap, shape),
        generalization_error=shaped(eps, shape),
        ridge=shaped(ridge, shape),
        bayes_gap=shaped(eps / bayes - 1, shape),
        error_estimate=shaped(error, shape),
        status=_status(refusals, status.tolist()),
    )


@dataclass(frozen=True)
class _Given(LabelModel):
    """Teachers as their mixtures."""

    labels: NoiseMixture

    def parameters(self) -> dict[str, tuple[ArrayLike, Range]]:
        """None that could be checked."""
        return {}

    def with_parameters(self, values: dict[str, Array]) -> _Given:
        """The same."""
        return self

    def mixture(self, parameters: dict[str, Array], size: int) -> NoiseMixture:
        """As they are."""
        return self.labels


def _problem(alpha: Array, lam: Array, labels: NoiseMixture, inputs: Inputs) -> Problem:
    teacher = Teacher() if isinstance(inputs, Clusters) else _Given(labels)
    return Problem(alpha, Logistic(lam), teacher, inputs)


def _guessed_norm(alpha: Array, inputs: Inputs) -> Array:
    """Logarithm of the best norm, noiseless: about where the search begins."""
    if isinstance(inputs, Isotropic):
        return np.log(0.8836 * alpha + 0.35)
    if isinstance(inputs, PowerLaw) and inputs.capacity > 1:
        gamma_2 = float(scaling_exponents(inputs.capacity, inputs.source).gamma_2)
        learned = alpha if inputs.modes is None else np.minimum(alpha, inputs.modes)
        return gamma_2 * np.log(np.maximum(learned, 1.0))
    return np.zeros(len(alpha))


def _best_norm(
    alpha: Array, labels: NoiseMixture, inputs: Inputs
) -> tuple[Array, NDArray[np.bool_]]:
    """Where the slope of the error changes its sign; whether that is the limit of convexity."""
    posed = pose(_problem(alpha, np.ones(len(alpha)), labels, inputs))
    everyone = np.arange(len(alpha))
    limit = existence.sharpness_limit(posed.equations(everyone))
    # norms go like one over the root of the variance
    unit = -0.5 * np.log(inputs.nodes.eigenvalue.max())
    bottom = np.full(len(alpha), SMALLEST_LOG_NORM + unit)

    def slope(log_lam: Array, index: Array) -> Array:
        at = index.astype(int)
        problem = _problem(alpha[at], np.exp(log_lam), labels[at], inputs)
        return np.asarray(solve(problem).slope)

    guess = _guessed_norm(alpha, inputs) + unit
    # far above the best norm the slope falls like one over lam
    top = np.maximum(guess, unit) + LARGEST_LOG_NORM
    top = np.minimum(np.minimum(top, LAST_LOG_NORM), np.log(limit) - 1e-9)
    guess = np.minimum(guess, top - 0.05)
    bracket = elementwise.bracket_root(
        slope,
        guess - 0.02,
        guess + 0.02,
        xmin=bottom,
        xmax=top,
        args=(everyone.astype(float),),
    )
    root = elementwise.find_root(
        slope,
        bracket.bracket,
        args=(everyone.astype(float),),
        tolerances={"xatol": 1e-13, "fatol": 0.0},
    )
    lam = np.where(root.success, np.exp(root.x), np.nan)
    unconstrained = np.zeros(len(alpha), dtype=bool)
    ends = np.flatnonzero(~root.success)
    if len(ends):  # the error falls all the way to the end of the path, or rises from its beginning
        falling = slope(top[ends], everyone[ends].astype(float)) < 0
        rising = slope(bottom[ends], everyone[ends].astype(float)) > 0
        lam[ends[rising & ~falling]] = 0.0
        lam[ends[falling]] = np.where(np.isfinite(limit), limit, np.inf)[ends[falling]]
        unconstrained[ends[falling]] = np.isfinite(limit)[ends[falling]]
    return lam, unconstrained
