"""The logistic loss at fixed norm, or at a ridge: the paths that the theory is about."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica import ranges
from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted
from replica.equations import SaddlePointEquations
from replica.inputs import Clusters, Inputs, Isotropic
from replica.losses import Logistic
from replica.problem import Problem, pose
from replica.saddle_point import norm_at_ridge
from replica.solution import ConvergenceError, Solution
from replica.solving import answer, solve
from replica.teachers import LabelModel, RandomLabels, given_teacher

__all__ = ["at_ridge", "logistic_clusters", "logistic_storage", "logistic_teacher_student"]

Array = NDArray[np.float64]


def logistic_teacher_student(
    alpha: ArrayLike,
    lam: ArrayLike,
    *,
    label_flip: ArrayLike = 0.0,
    label_noise: ArrayLike = 0.0,
    teacher: LabelModel | None = None,
    inputs: Inputs | None = None,
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
    teacher : Teacher, LogisticTeacher or RandomLabels, optional
        In place of the two numbers.
    inputs : Spectrum, PowerLaw, MarchenkoPastur or Isotropic, optional
        The covariance of the inputs; isotropic by default. Where they count modes, ``alpha`` is
        the number of examples P, and ``lam`` the norm of the weights over 2 for the textbook loss.

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
    teacher = given_teacher(teacher, label_flip, label_noise)
    return solve(Problem(alpha, Logistic(lam), teacher, inputs or Isotropic()))


def logistic_storage(alpha: ArrayLike, lam: ArrayLike, *, inputs: Inputs | None = None) -> Solution:
    """The minimiser of the logistic loss at fixed norm, labels random: the storage problem.

    Parameters
    ----------
    alpha : float or array
        Examples per dimension P/N, positive; below 2 where lam = inf.
    lam : float or array
        The norm, in [0, inf]; above alpha = 2 at most the `convexity_limit`.
    inputs : Inputs, optional
        As in `logistic_teacher_student`.

    Returns
    -------
    Solution
        With overlap 0; eq. (19) of docs/theory.md.

    Raises
    ------
    ValueError
        As `logistic_teacher_student`.
    """
    return solve(Problem(alpha, Logistic(lam), RandomLabels(), inputs or Isotropic()))


def logistic_clusters(alpha: ArrayLike, lam: ArrayLike, *, inputs: Clusters) -> Solution:
    """The minimiser of the logistic loss at fixed norm, labels those of two clusters.

    Parameters
    ----------
    alpha : float or array
        Examples: per dimension where the weights of ``inputs`` are a density, else their number.
    lam : float or array
        The norm, in [0, inf], below the `convexity_limit`.
    inputs : Clusters
        Covariance, mean and fractions. Unequal fractions come with an intercept that no norm
        constrains, in ``Solution.intercept``.

    Returns
    -------
    Solution
        ``generalization_error`` is that of new examples of the two clusters.

    Raises
    ------
    InvalidArgument
        As `logistic_teacher_student`.

    Notes
    -----
    Sections 8 and 9 of docs/theory.md.
    """
    if not isinstance(inputs, Clusters):
        raise InvalidArgument("inputs", "must be Clusters", quoted(inputs))
    return solve(Problem(alpha, Logistic(lam), inputs=inputs))


def at_ridge(
    alpha: ArrayLike,
    ridge: ArrayLike,
    *,
    label_flip: ArrayLike = 0.0,
    label_noise: ArrayLike = 0.0,
    teacher: LabelModel | None = None,
    inputs: Inputs | None = None,
) -> Solution:
    r"""Regularised logistic regression, the minimiser of sum ell(y w.x) + ridge \|w\|^2 / 2.

    ell(z) = log(1 + exp(-z)).

    Parameters
    ----------
    alpha : float or array
        Examples per dimension (their number where the inputs count modes), positive.
    ridge : float or array
        Strength of the penalty, positive: 1/C of scikit-learn. Fields are w.x/sqrt(N) where the
        inputs are a density, w.x where they count modes.
    label_flip, label_noise, teacher
        As in `logistic_teacher_student`.
    inputs : Inputs, optional
        As in `logistic_teacher_student`, or `Clusters`.

    Returns
    -------
    Solution
        At the norm ``lam`` that the penalty leaves: \|w\| = 2 lam (in units of sqrt(N) for a
        density).

    Raises
    ------
    InvalidArgument
        For a bad number; in arrays such entries are nan and say why in ``status``.

    Examples
    --------
    >>> from replica import at_ridge
    >>> found = at_ridge(2.0, 0.1)
    >>> round(found.lam, 6), round(found.generalization_error, 6)
    (1.018062, 0.179662)
    """
    teacher = given_teacher(teacher, label_flip, label_noise)
    inputs = inputs or Isotropic()
    shape, flat = arguments.broadcast(
        {"ridge": ridge, "alpha": alpha, **{k: v for k, (v, _) in teacher.parameters().items()}}
    )
    posed = pose(Problem(flat["alpha"].reshape(shape), Logistic(1.0), teacher, inputs))
    posed.refusals.check("ridge", flat["ridge"], ranges.RIDGE)
    lam = np.ones(len(posed))
    good = np.flatnonzero(~posed.refusals.bad)
    if len(good):
        lam[good] = _norm_at(posed.equations(good), inputs, flat["ridge"][good])
    problem = Problem(flat["alpha"].reshape(shape), Logistic(lam.reshape(shape)), teacher, inputs)
    return answer(dataclasses.replace(posed, problem=problem, parameter=lam))


def _norm_at(equations: SaddlePointEquations, inputs: Inputs, ridge: Array) -> Array:
    """The lam that a ridge leaves: along the path from a ridge under which Hebb's rule is left."""
    found = norm_at_ridge(equations, inputs.nodes, ridge)
    if not found.arrived.all():
        failed = int(np.flatnonzero(~found.arrived)[0])
        raise ConvergenceError(f"the norm at ridge {ridge[failed]:.6g} was not reached")
    return found.norm
