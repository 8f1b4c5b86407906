"""How many examples can be learned, and how far the norm may grow."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf, ndtr

from replica import existence
from replica.common import arguments
from replica.common.arguments import Range
from replica.common.refusals import Refusals
from replica.inputs import Inputs, Isotropic
from replica.losses import HardMargin, Logistic
from replica.problem import Problem, pose
from replica.solution import FloatOrArray, shaped
from replica.solver import newton
from replica.teachers import LabelModel, given_teacher

__all__ = [
    "convexity_limit",
    "gardner_capacity",
    "separability_capacity",
    "storage_max_stability",
]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Below this alpha 1/sqrt(alpha) is the maximum stability to 1e-20.
FEW = 1e-20


def _checked(name: str, value: ArrayLike, allowed: Range) -> tuple[Array, Refusals]:
    """One checked argument, flat; bad entries of an array become nan, with a warning."""
    shape, flat = arguments.broadcast({name: value})
    refusals = Refusals(shape)
    refusals.check(name, flat[name], allowed)
    refusals.warn()
    return np.where(refusals.bad, np.nan, flat[name]), refusals


def gardner_capacity(kappa: ArrayLike) -> FloatOrArray:
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
    allowed = Range(
        0.0, 1e150, "must be non-negative and at most 1e150 (below 0 replica symmetry breaks)"
    )
    flat, refusals = _checked("kappa", kappa, allowed)
    return shaped(1 / (0.5 + _gardner_excess(flat)), refusals.shape)


def _gardner_excess(kappa: Array) -> Array:
    """int_{t < kappa} Dt (kappa - t)^2 - 1/2, for kappa >= 0."""
    density = np.exp(-0.5 * kappa**2) / np.sqrt(2 * np.pi)
    return kappa**2 * ndtr(kappa) + kappa * density + 0.5 * erf(kappa * np.sqrt(0.5))


def storage_max_stability(alpha: ArrayLike) -> FloatOrArray:
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
    allowed = Range(
        0.0,
        2.0,
        "must be in (0, 2): at 2 and above random labels cannot all be stored",
        low_open=True,
        high_open=True,
    )
    flat, refusals = _checked("alpha", alpha, allowed)

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
    return shaped(np.where(few, 1 / np.sqrt(np.where(few, flat, 1.0)), kappa), refusals.shape)


def separability_capacity(
    *,
    label_flip: ArrayLike = 0.0,
    label_noise: ArrayLike = 0.0,
    teacher: LabelModel | None = None,
    inputs: Inputs | None = None,
) -> FloatOrArray:
    """The alpha up to which labels can be learned without error, eq. (24).

    Parameters
    ----------
    label_flip, label_noise, teacher, inputs
        As in `logistic_teacher_student`.

    Returns
    -------
    float or array
        inf without noise or with infinitely many modes, 2 for random labels and isotropic inputs,
        M times that for M modes; nan and a warning for bad entries.
    """
    teacher = given_teacher(teacher, label_flip, label_noise)
    posed = pose(Problem(1.0, HardMargin(), teacher, inputs or Isotropic()))
    posed.refusals.warn()
    capacity = np.full(len(posed), np.nan)
    good = np.flatnonzero(~posed.refusals.bad)
    capacity[good] = existence.capacity(posed.equations(good))
    return shaped(capacity, posed.shape)


def convexity_limit(
    alpha: ArrayLike,
    *,
    label_flip: ArrayLike = 0.0,
    label_noise: ArrayLike = 0.0,
    teacher: LabelModel | None = None,
    inputs: Inputs | None = None,
) -> FloatOrArray:
    """The largest lam at which the logistic loss at fixed norm is convex, eq. (20).

    It is the norm of the unconstrained minimiser; beyond it that minimiser lies
    inside the sphere.

    Parameters
    ----------
    alpha : float or array
        Examples per dimension (their number where the inputs count modes), positive.
    label_flip, label_noise, teacher, inputs
        As in `logistic_teacher_student`; ``label_flip=0.5`` is storage.

    Returns
    -------
    float or array
        inf where the labels can be learned without error, and beyond 1e12.
    """
    teacher = given_teacher(teacher, label_flip, label_noise)
    posed = pose(Problem(alpha, Logistic(1.0), teacher, inputs or Isotropic()))
    posed.refusals.warn()
    limit = np.full(len(posed), np.nan)
    good = np.flatnonzero(~posed.refusals.bad)
    if len(good):
        limit[good] = existence.sharpness_limit(posed.equations(good))
    return shaped(limit, posed.shape)
