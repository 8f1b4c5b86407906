"""The two doors, `certify` and `saddle_point`, and the record that they return."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, SupportsInt

import mpmath
import numpy as np

from replica.common.arguments import quoted
from replica.highprecision.reading import CertificationError, Mpf, number, public, read, workspace
from replica.highprecision.root import find_root, newton_step, size
from replica.highprecision.system import GUARD_DIGITS, System
from replica.losses import Loss, SmoothLoss
from replica.teachers import LabelModel

if TYPE_CHECKING:
    from replica.solution import Solution

#: Digits and step size of the first, rough stage; a choice that leaves its Jacobian 8 digits.
_ROUGH, _ROUGH_DONE = 14, 1e-9


@dataclass(frozen=True)
class Certificate:
    r"""One saddle point, with as many digits as were asked for and proof of them.

    All numbers are ``mpmath.mpf``; print them with ``mpmath.nstr(number, digits)``,
    and compute with them (or unpickle them) inside ``mpmath.workdps(digits)``: mpmath
    rounds to its own precision, 15 digits unless told.

    Attributes
    ----------
    alpha, parameter : mpf
        The problem; ``parameter`` is the loss's (None if it has none).
    log_c : mpf
        Logarithm of R/sqrt(1 - R^2); -inf without signal.
    overlap, one_minus_overlap : mpf
        R and 1 - R, each to full relative accuracy.
    generalization_error : mpf
        arccos(R)/pi.
    log_x : mpf
        Logarithm of x = beta (1 - q); inf for maximum stability.
    stability : mpf or None
        kappa, for maximum stability only.
    digits : int
        Digits asked for.
    error : mpf
        What the confirming quadrature moved: relative error of
        ``generalization_error``; without signal, where that is 1/2 exactly,
        of x (or of ``stability``).
    relative_error : mpf or None
        \|relative error\| of the float solution's generalization error.
    """

    alpha: Mpf
    parameter: Mpf | None
    log_c: Mpf
    overlap: Mpf
    one_minus_overlap: Mpf
    generalization_error: Mpf
    log_x: Mpf
    stability: Mpf | None
    digits: int
    error: Mpf
    relative_error: Mpf | None = None

    def __str__(self) -> str:
        text = f"eps = {mpmath.nstr(self.generalization_error, self.digits)}"
        text += f" (relative error {mpmath.nstr(self.error, 2)})"
        if self.relative_error is not None:
            text += f"; the float solution is off by {mpmath.nstr(self.relative_error, 2)}"
        return text


def certify(solution: Solution, digits: int = 30, *, loss: Loss | None = None) -> Certificate:
    """Solve one point again, independently, to ``digits`` digits.

    Parameters
    ----------
    solution : Solution
        Of one point; take ``solution[i]`` of an array.
    digits : int
        Relative digits wanted, from 5 to 200.
    loss : SmoothLoss, optional
        For a `SmoothLoss`, the same loss with functions that take and return
        ``mpf`` (e.g. written with ``mpmath.exp``); refused for other losses.

    Returns
    -------
    Certificate
        With ``relative_error``, the error of the float solution.

    Raises
    ------
    ValueError
        For an array of solutions, or a `SmoothLoss` without its ``loss``.
    CertificationError
        If the digits could not be reached from this start.
    """
    if not hasattr(solution, "log_c") or not hasattr(solution, "problem"):
        raise ValueError(f"`solution` must be a Solution; got {quoted(solution)}")
    if np.ndim(solution.log_c) != 0:
        raise ValueError(
            "`solution` must be one point (take solution[i] of an array); "
            f"got shape {np.shape(solution.log_c)}"
        )
    problem = solution.problem
    if isinstance(problem.loss, SmoothLoss) != isinstance(loss, SmoothLoss):
        raise ValueError(
            "`loss` must be given for a SmoothLoss, as a SmoothLoss whose functions take "
            f"mpmath numbers, and for no other loss; got {loss!r} for {problem.loss!r}"
        )
    certificate = saddle_point(
        problem.alpha,
        problem.loss if loss is None else loss,
        problem.teacher,
        log_c=solution.log_c,
        log_x=solution.log_x,
        stability=solution.stability,
        digits=digits,
    )
    context = workspace(certificate.digits + GUARD_DIGITS)
    theirs = number(context, "solution", solution.generalization_error)
    relative = abs(theirs / certificate.generalization_error - 1)
    return dataclasses.replace(certificate, relative_error=public(relative))


def saddle_point(
    alpha: Any,
    loss: Loss,
    teacher: LabelModel,
    *,
    log_c: Any,
    log_x: Any = math.inf,
    stability: Any = None,
    digits: int = 30,
) -> Certificate:
    """The stationary point of e(x, R) next to a float guess (see the package's page).

    Parameters
    ----------
    alpha : float
        Examples per dimension. This and the parameters of the loss and of a
        `Teacher` may also be ``mpf`` or decimal strings: "0.1" is not the float 0.1.
    loss, teacher
        As in `Problem`, for one point. A mixture teacher is taken as its
        nodes and weights, not as the distribution that they discretise.
    log_c, log_x : float
        The guess; 1e-3 relative is near enough. ``log_c`` is not read without signal.
    stability : float, optional
        The guess of kappa; takes the place of ``log_x`` for `HardMargin`.
    digits : int
        Relative digits wanted, from 5 to 200.

    Raises
    ------
    ValueError
        For an argument that breaks its rule.
    CertificationError
        If the iteration leaves the guess for nowhere, or the digits are not reached.
    """
    given: object = digits
    if not isinstance(given, SupportsInt) or digits not in range(5, 201):
        raise ValueError(f"`digits` must be an integer from 5 to 200; got {quoted(digits)}")
    digits = int(digits)
    task = read(alpha, loss, teacher, log_c, log_x, stability)
    z, jacobian = find_root(System(task, _ROUGH, level=0), task.start, _ROUGH_DONE)
    asked = mpmath.mpf(10) ** -digits
    system, moved = System(task, digits, level=1), mpmath.inf
    for level in range(2, 6):
        z, jacobian = find_root(system, z, asked / 100, jacobian)
        system = System(task, digits, level)
        move = newton_step(system, jacobian, system.residual(z))
        z = [system.context.mpf(v) + d for v, d in zip(z, move, strict=True)]
        moved = system.error(z, move)
        if max(moved, size(z, move)) <= asked:
            return _certificate(system, z, moved, digits)
    raise CertificationError(
        f"two quadrature rules still differ by {mpmath.nstr(moved, 3)} (relative) where "
        f"`digits` asks for {digits}; a loss with kinks or features far narrower than its "
        "proximal step can do that"
    )


def _certificate(system: System, z: Sequence[Mpf], error: Mpf, digits: int) -> Certificate:
    """The record of a root."""
    ctx, task = system.context, system.task
    *log_c, second = z
    c, R, s2 = system.overlap(log_c)
    numbers = {
        "alpha": system.alpha,
        "log_c": log_c[0] if log_c else ctx.ninf,
        "overlap": R,
        "one_minus_overlap": s2 / (1 + R),
        "generalization_error": ctx.atan2(1, c) / ctx.pi,
        "log_x": ctx.inf if task.hard else second,
        # Never below what the rounding of the last digits allows.
        "error": max(error, ctx.mpf(10) ** -(digits + GUARD_DIGITS)),
    }
    return Certificate(
        **{name: public(value) for name, value in numbers.items()},
        parameter=None if task.parameter is None else public(ctx.mpf(task.parameter)),
        stability=public(ctx.exp(second)) if task.hard else None,
        digits=digits,
    )
