"""When a problem has exactly one answer: capacity, reachable margins, convexity.

Each function answers for flat arrays of checked numbers; `replica.solving` turns the answers into
refusals. Equation numbers are those of docs/theory.md.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, elementwise
from scipy.special import erfcx, ndtr

from replica.channel import moments as m
from replica.channel.channel import CloudChannel, TeacherChannel
from replica.equations import SaddlePointEquations
from replica.inputs import Isotropic
from replica.losses import HardMargin, Loss
from replica.problem import Posed
from replica.saddle_point import norm_at_ridge, solve_equations
from replica.teachers import NoiseMixture
from replica.weights import SpectrumWeights, Sphere

__all__ = ["capacity", "maximum_stability", "refuse", "separability_capacity", "sharpness_limit"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

#: log c at the capacity of any teacher: one flip in 1e300 gives 230, noise of 1e100 gives -267.
_LOG_C = 340.0
#: Less noise than both of these leaves a capacity beyond 1e90, which counts as infinite.
LEAST_NOISE, LEAST_FLIP = 1e-100, 1e-300
#: A ridge that moves the norm of the unconstrained minimiser by about as much of itself.
LEAST_RIDGE = 1e-14
#: Least norm with an intercept, which grows like its inverse and takes the digits of the fields.
LEAST_NORM = 1e-6
#: A limit of convexity beyond this is reported as infinite.
LARGEST_LIMIT = 1e12


def _half_second_moment(x: Array) -> Array:
    """int_{t<0} Dt t^2 2 H(-c t) = (arctan(1/c) - c/(1 + c^2)) / pi, of x = 1/c."""
    # below x = 0.02 the two terms cancel; the series is then good to 1e-17
    small = np.minimum(x, 0.02)
    series = small**3 * (2 / 3 - small**2 * (4 / 5 - small**2 * (6 / 7 - small**2 * 8 / 9)))
    return np.where(x < 0.02, series, np.arctan(x) - 1 / (x + 1 / x)) / np.pi


def separability_capacity(labels: NoiseMixture) -> Array:
    """The alpha up to which labels of a teacher can be learned without error, eq. (24).

    inf for a noiseless teacher, 2 for random labels.

    Parameters
    ----------
    labels : NoiseMixture
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


def cloud_capacity(distance: float, positive: float) -> float:
    """Examples per mode up to which two clouds can be separated; D is their ``distance``.

    Eq. (54): clouds at stability 0, u = (-kappa - t)+ with kappa = D R; 1 - R^2 = n A and
    R = n D B per mode, an intercept balancing the two B.
    """

    def sums(kappa: float) -> tuple[float, float]:
        """A and B, and the fraction of the push that each cloud gives."""

        def push(shift: float) -> float:
            mills = np.sqrt(np.pi / 2) * erfcx(shift / np.sqrt(2))
            return float(np.exp(-(shift**2) / 2) / np.sqrt(2 * np.pi) * (1 - shift * mills))

        def square(shift: float) -> float:
            density = np.exp(-(shift**2) / 2) / np.sqrt(2 * np.pi)
            return float((1 + shift**2) * ndtr(-shift) - shift * density)

        if positive == 0.5:
            return square(kappa), push(kappa)

        def imbalance(beta: float) -> float:
            return positive * push(kappa + beta) - (1 - positive) * push(kappa - beta)

        beta = brentq(imbalance, -kappa - 8, kappa + 8, xtol=1e-15)
        a = positive * square(kappa + beta) + (1 - positive) * square(kappa - beta)
        return a, positive * push(kappa + beta) + (1 - positive) * push(kappa - beta)

    def mismatch(overlap: float) -> float:
        a, b = sums(distance * overlap)
        return overlap * a - (1 - overlap**2) * distance * b

    overlap = brentq(mismatch, 1e-300, 1.0, xtol=1e-15)
    return (1 - overlap**2) / sums(distance * overlap)[0]


def capacity(equations: SaddlePointEquations) -> Array:
    """The count up to which the examples can be learned without error.

    A spectrum of M modes has M times the capacity of isotropic inputs: at kappa = 0 every mode is
    learned, nu = 0, and the equations are the isotropic ones at n/M, eq. (51).
    """
    channel, total = equations.channel, 1.0
    if isinstance(equations.weights, SpectrumWeights):
        total = equations.weights.total
    if isinstance(channel, CloudChannel):
        return total * cloud_capacity(channel.distance, channel.positive) * np.ones(len(equations))
    assert isinstance(channel, TeacherChannel)
    return total * separability_capacity(channel.labels)


def maximum_stability(equations: SaddlePointEquations) -> Array:
    """The largest margin kappa that all examples can have; nan at and beyond capacity."""
    kappa = np.full(len(equations), np.nan)
    which = np.flatnonzero(equations.count < capacity(equations))
    if len(which):
        part = equations.select(which)
        channel = dataclasses.replace(
            part.channel, loss=HardMargin(), parameter=np.zeros(len(which))
        )
        found = solve_equations(dataclasses.replace(part, channel=channel))
        log_scale = part.weights.log_scale(found.unknowns)
        log_kappa = found.unknowns[:, 1] + (0.0 if log_scale is None else log_scale)
        kappa[which] = np.where(found.converged, np.exp(log_kappa), np.nan)
    return kappa


def sharpness_limit(equations: SaddlePointEquations) -> Array:
    """The sharpness at which the multiplier reaches 1, eq. (20); inf below capacity.

    The parameter of the loss is ignored. At many examples the limit is about
    1/sqrt(alpha) for random labels and of order 1 for a teacher; it diverges at
    the capacity, and counts as infinite beyond `LARGEST_LIMIT`. A spectrum has the limit of
    isotropic inputs at n/M, in units of its field's norm, eq. (51).
    """
    weights = equations.weights
    if isinstance(weights, SpectrumWeights):
        if not np.isfinite(weights.total):
            return np.full(len(equations), np.inf)
        if isinstance(equations.channel, CloudChannel):
            return _cloud_limit(equations)
        isotropic = dataclasses.replace(
            equations, weights=Sphere(), count=equations.count / weights.total
        )
        limit = sharpness_limit(isotropic)
        finite = np.flatnonzero(np.isfinite(limit))
        if len(finite):
            part = isotropic.select(finite)
            at = _at_sharpness(part, limit[finite])
            c2 = np.where(
                part.channel.storage, 0.0, np.exp(2 * solve_equations(at, False).unknowns[:, 0])
            )
            limit[finite] *= np.sqrt(weights.inverse_variance_at_limit(c2))
        return limit
    result = np.full(len(equations), np.inf)
    which = np.flatnonzero(equations.count > capacity(equations))
    if len(which) == 0:
        return result
    part = equations.select(which)

    def excess(log_lam: Array, index: Array) -> Array:
        at = _at_sharpness(part.select(index.astype(int)), np.exp(log_lam))
        found = solve_equations(at)
        # given up on the way because the multiplier had passed 1
        gone = found.beyond & ~np.isfinite(found.observables.multiplier)
        return np.where(gone, 1.0, -_lack(at, found.unknowns))

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


def _cloud_limit(equations: SaddlePointEquations) -> Array:
    """The same for two clouds: the norm that next to no ridge leaves, at n/M in one mode."""
    weights = equations.weights
    assert isinstance(weights, SpectrumWeights)
    result = np.full(len(equations), np.inf)
    which = np.flatnonzero(equations.count > capacity(equations))
    if len(which) == 0:
        return result
    count = equations.count[which] / weights.total
    one = dataclasses.replace(equations.select(which), count=count)
    found = norm_at_ridge(one, Isotropic().nodes, np.full(len(which), LEAST_RIDGE))
    q = weights.inverse_variance_at_limit(np.exp(2 * found.unknowns[:, 0]))
    result[which] = np.where(found.arrived, found.norm * np.sqrt(q), np.nan)
    return result


def _at_sharpness(equations: SaddlePointEquations, sharpness: Array) -> SaddlePointEquations:
    channel = dataclasses.replace(equations.channel, parameter=sharpness)
    return dataclasses.replace(equations, channel=channel)


def _lack(equations: SaddlePointEquations, unknowns: Array) -> Array:
    """1 - multiplier."""
    everyone = np.arange(len(equations))
    moments = equations.moments(unknowns, everyone, columns=m.COUPLED)
    return equations.weights.nu(equations.channel, unknowns, everyone, equations.count, moments)


def refuse(loss: Loss, posed: Posed, which: Indices) -> None:
    """Mark the entries known beforehand to have no unique minimiser."""
    structured = not isinstance(posed.weights, Sphere)
    traits = (
        loss.hard,
        loss.reaches_minimum,
        loss.attained_on_sphere,
        structured and (loss.sharp or loss.hebbian),
    )
    if len(which) == 0 or not any(traits):
        return
    equations = posed.equations(which, loss)
    refusals = posed.refusals
    if loss.hebbian and "intercept" in equations.unknowns:
        refusals.refuse(
            which,
            "lam" if posed.problem.loss.sharp else "loss",
            "must not be Hebb's rule (lam = 0) for clusters of unequal size: no intercept balances "
            "pushes that are all the same",
            posed.parameter[which],
        )
        return
    if loss.sharp and "intercept" in equations.unknowns:
        little = which[posed.parameter[which] < LEAST_NORM]
        refusals.refuse(
            little,
            "lam",
            f"must be at least {LEAST_NORM:g} for clusters of unequal size: the intercept grows "
            "like 1/lam",
            posed.parameter[little],
        )
    if structured and loss.sharp:
        limit = sharpness_limit(equations)
        beyond = posed.parameter[which] >= limit
        for level in np.unique(limit[beyond]):
            here = which[beyond & (limit == level)]
            refusals.refuse(
                here,
                "lam",
                f"must not exceed {level:.10g}, the limit of convexity at this alpha: there the "
                "norm is that of the unconstrained minimiser",
                posed.parameter[here],
            )
    if loss.hard:
        most = capacity(equations)
        lost = equations.count >= most
        for level in np.unique(most[lost]):
            here = which[lost & (most == level)]
            refusals.refuse(
                here,
                "alpha",
                f"must be below {level:.10g} for these labels, the capacity above which no weights "
                "classify all examples and maximum stability does not exist; use a finite lam",
                posed.alpha[here],
            )
    if loss.reaches_minimum:
        kappa = maximum_stability(equations)
        with np.errstate(invalid="ignore"):
            reachable = posed.parameter[which] <= kappa
        for level in np.unique(kappa[reachable]):
            here = which[reachable & (kappa == level)]
            refusals.refuse(
                here,
                "margin",
                f"must exceed the maximum stability {level:.10g} at this alpha, else many weights "
                "reach zero loss and the minimiser is not unique",
                posed.parameter[here],
            )
    if loss.attained_on_sphere and not structured:
        assert isinstance(equations.channel, TeacherChannel)
        correlation = equations.channel.labels.correlation
        attained = which[loss.attained(equations.count, posed.parameter[which], correlation)]
        refusals.refuse(
            attained,
            "margin",
            "must be large enough that zero loss is out of reach on the sphere; at this "
            "alpha < 1 every example can be given it exactly and the minimiser is not unique",
            posed.parameter[attained],
        )
