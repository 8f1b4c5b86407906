"""`certify` and `saddle_point`, and the record that they return."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, SupportsInt

import mpmath
import numpy as np

from replica.common.arguments import InvalidArgument, quoted
from replica.highprecision.precision import CertificationError, Mpf, number, public, workspace
from replica.highprecision.reading import read
from replica.highprecision.root import find_root, newton_step, size
from replica.highprecision.system import GUARD_DIGITS, System
from replica.inputs import Inputs
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
        The problem; ``parameter`` is the loss's (None if it has none). Of a count of modes
        ``alpha`` is the number P of examples.
    log_c : mpf
        Logarithm of R/sqrt(1 - R^2); -inf without signal.
    overlap, one_minus_overlap : mpf
        R and 1 - R, each to full relative accuracy. R is the correlation of the student's field
        with the teacher's; for clusters it is kappa/D, where kappa is the mean of the margin in
        units of the field and D^2 = <mean^2/omega>.
    generalization_error : mpf
        arccos(R)/pi; for clusters the share of examples on the wrong side.
    log_x : mpf
        Logarithm of x = beta (1 - q), of the loss U(D) = V(s D)/s in units of the field, s =
        sqrt(input_variance); inf for maximum stability.
    stability : mpf or None
        The smallest margin at unit norm of the weights, for maximum stability only.
    input_variance : mpf
        Q = <omega w^2> at unit norm of the weights; 1 for isotropic inputs.
    field_norm : mpf or None
        lam sqrt(Q), the norm of the student's field; None for a loss without lam.
    multiplier, degrees_of_freedom : mpf
        g = n E[1 - D0'] over the number of modes (0 if there is no end of them), and g itself;
        relatively good while g is above 10^-15 of the terms whose difference it is, which
        matters next to Hebb's rule only.
    nu : mpf
        Multiplier of the norm, 1 = <omega/(nu + g omega)>: 1 - g for isotropic inputs.
        The problem is convex while it is positive.
    ridge : mpf
        Strength of the penalty ridge \|w\|^2/2 whose minimiser has this norm, as in `Solution`.
    intercept : mpf
        Of clusters of unequal fractions, in units of the margin; else 0.
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
    input_variance: Mpf
    field_norm: Mpf | None
    multiplier: Mpf
    degrees_of_freedom: Mpf
    nu: Mpf
    ridge: Mpf
    intercept: Mpf
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
        raise InvalidArgument("solution", "must be a Solution", quoted(solution))
    if np.ndim(solution.log_c) != 0:
        raise InvalidArgument(
            "solution",
            "must be one point (take solution[i] of an array)",
            f"shape {np.shape(solution.log_c)}",
        )
    problem = solution.problem
    if isinstance(problem.loss, SmoothLoss) != isinstance(loss, SmoothLoss):
        raise InvalidArgument(
            "loss",
            "must be given for a SmoothLoss, as a SmoothLoss whose functions take mpmath numbers, "
            "and for no other loss",
            f"{loss!r} for {problem.loss!r}",
        )
    certificate = saddle_point(
        problem.alpha,
        problem.loss if loss is None else loss,
        problem.teacher,
        inputs=getattr(problem, "inputs", None),
        log_c=solution.log_c,
        log_x=solution.log_x,
        stability=solution.stability,
        log_mu=getattr(solution, "log_mu", None),
        log_q=_logarithm(getattr(solution, "input_variance", None)),
        intercept=getattr(solution, "intercept", None),
        digits=digits,
    )
    context = workspace(certificate.digits + GUARD_DIGITS)
    theirs = number(context, "solution", solution.generalization_error)
    relative = abs(theirs / certificate.generalization_error - 1)
    return dataclasses.replace(certificate, relative_error=public(relative))


def _logarithm(value: float | None) -> float | None:
    """Of a positive number that may be absent."""
    return None if value is None else math.log(value)


def saddle_point(
    alpha: Any,
    loss: Loss,
    teacher: LabelModel,
    *,
    inputs: Inputs | None = None,
    log_c: Any,
    log_x: Any = math.inf,
    stability: Any = None,
    log_mu: Any = None,
    log_q: Any = None,
    intercept: Any = None,
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
    inputs : Inputs, optional
        Isotropic by default. Lists are taken as the doubles that they hold; power laws have
        their exact tails.
    log_c, log_x : float
        The guess; 1e-3 relative is near enough. ``log_c`` is not read without signal; it and
        ``log_x`` are those of a `Certificate`.
    stability : float, optional
        The guess of kappa; takes the place of ``log_x`` for `HardMargin`.
    log_mu, log_q, intercept : float, optional
        Guesses for structured inputs: log(nu/g), infinite for Hebb's rule; log of
        ``input_variance``; and, for clusters of unequal fractions, the intercept in units of
        the margin.
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
        raise InvalidArgument("digits", "must be an integer from 5 to 200", quoted(digits))
    digits = int(digits)
    guess = {
        "log_c": log_c,
        "log_x": log_x,
        "stability": stability,
        "log_mu": log_mu,
        "log_q": log_q,
        "intercept": intercept,
    }
    task = read(alpha, loss, teacher, inputs, guess)
    start = list(task.start.values())
    z, jacobian = find_root(System(task, _ROUGH, level=0), start, _ROUGH_DONE)
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
    at = system.unknowns(z)
    p = system.point(at)
    second, scale = at[task.second], p.scale
    nu = ctx.exp(at["log_nu"]) if "log_nu" in at else 1 - p.g
    numbers = {
        "alpha": system.alpha,
        "log_c": at.get("log_c", ctx.ninf),
        "overlap": p.R,
        "one_minus_overlap": p.s2 / (1 + p.R),
        "generalization_error": system.generalization_error(at),
        "log_x": ctx.inf if task.hard else second,
        "input_variance": scale * scale,
        "multiplier": p.g if system.spectrum is None else p.g / system.spectrum.count,
        "degrees_of_freedom": p.g,
        "nu": nu,
        "ridge": _ridge(system, nu, scale, second),
        "intercept": at.get("intercept", ctx.zero) * scale,
        # Never below what the rounding of the last digits allows.
        "error": max(error, ctx.mpf(10) ** -(digits + GUARD_DIGITS)),
    }
    optional = {
        "parameter": task.parameter,
        "stability": ctx.exp(second) * scale if task.hard else None,
        "field_norm": None if task.norm is None else ctx.mpf(task.norm) * scale,
    }
    return Certificate(
        **{name: public(value) for name, value in numbers.items()},
        **{k: None if v is None else public(ctx.mpf(v)) for k, v in optional.items()},
        digits=digits,
    )


def _ridge(system: System, nu: Mpf, scale: Mpf, second: Mpf) -> Mpf:
    """nu/chi for V at unit norm; for ell(z) = lam V(D) at z = rate lam D it is 1/(rate^2 lam)."""
    ctx, task = system.context, system.task
    if task.hard:
        return ctx.zero
    found = nu / (scale * ctx.exp(second))
    if task.norm is None:
        return found
    lam = ctx.mpf(task.norm)
    return found / (task.loss.rate**2 * lam) if lam else ctx.inf
