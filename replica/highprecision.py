r"""Certificates: a saddle point to any number of digits, by a path of its own.

The fast solver integrates over the margin and uses equations that were
integrated by parts. This module shares neither its formulas nor its
quadrature: it integrates over t, finds each proximal point by a root solve,
and takes both equations from the free energy alone.

**Equations.** Up to a sign that moves no stationary point, eq. (13) of the
paper reads::

    e(x, R) = (1 - R^2)/(2x) - alpha int Dt W(t) M(t)
    M(t)    = min over D of V(D) + (D - t)^2/(2x)                (Moreau envelope)
    W(t)    = offset + sum_k w_k 2 H(-c_k t),   c_k = R/sqrt(1 + sigma_k^2 - R^2)

with D0(t) the minimiser, u = D0 - t, weights w_k of the noise levels sigma_k,
and offset = 1 - sum_k w_k the fraction of random labels. M is a minimum over
D, so only its explicit dependence on x counts (envelope theorem): dM/dx =
-u^2/(2x^2). R enters through (1 - R^2)/(2x) and W only, and
dW/dR = sum_k w_k 2 phi(c_k t) t dc_k/dR. Hence::

    de/dx = 0 :  1 - R^2 = alpha int Dt W u^2
    de/dR = 0 :  R = -(alpha/pi) sum_k w_k c_k' int dt t exp(-t^2/(2 s_k^2)) x M(t)

    s_k^2 = (1 + sigma_k^2 - R^2)/(1 + sigma_k^2)
    c_k'  = dc_k/dR = (1 + sigma_k^2)/(1 + sigma_k^2 - R^2)^(3/2)

A constant in M drops out of the second one, so x M(t) - x M(0) is integrated.
For maximum stability x -> inf, x M = (kappa - t)+^2/2 and u = (kappa - t)+.
Without signal R = 0 and the first equation stands alone.

**Unknowns.** log c with c = R/sqrt(1 - R^2), and log x (kappa for maximum
stability); 1 - R^2 = 1/(1 + c^2) loses no digit at large alpha. Both equations
are taken in logarithms.

**Quadrature.** Composite Gauss-Legendre on panels that are halved until the
Bernstein-ellipse bound is below the tolerance. It needs the complex
singularities of D0(t), the points where dt/dD = 0, which are explicit for the
logistic and the exponential loss; kinks are panel ends. The result is
confirmed by a second rule (other degree, other panels, wider range, more
digits of work), and what that moves is reported as the error.
"""

from __future__ import annotations

import abc
import contextlib
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from replica import losses
from replica.losses import Loss
from replica.teachers import LabelModel, Teacher

if TYPE_CHECKING:
    from replica.solution import Solution

__all__ = ["Certificate", "CertificationError", "certify", "saddle_point"]

Mpf = Any  # mpmath's numbers and contexts are untyped
Context = Any
Array = NDArray[np.float64]

#: Digits carried beyond those asked for; a choice, above the 4 that the quadrature keeps.
_GUARD_DIGITS = 15
#: Tolerance of the first, rough stage: log10; a choice that leaves the Jacobian 8 digits.
_ROUGH = 18
#: Relative step of the finite-difference Jacobian; noise is 10^-18/10^-8.
_STEP = 1e-8
#: The rough stage ends here; the Jacobian is then good to about `_STEP`.
_ROUGH_DONE = 1e-9
#: Digits kept of a number given as mpf or string; above the 200 that can be asked for.
_EXACT = 250


class CertificationError(RuntimeError):
    """The iteration or the quadrature did not reach the digits asked for."""


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


# --------------------------------------------------------------------------------------
# The two doors
# --------------------------------------------------------------------------------------


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
    if np.ndim(solution.log_c) != 0:
        raise ValueError(
            "`solution` must be one point (take solution[i] of an array); "
            f"got shape {np.shape(solution.log_c)}"
        )
    problem = solution.problem
    smooth = isinstance(problem.loss, losses.SmoothLoss)
    if smooth != isinstance(loss, losses.SmoothLoss):
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
    context = _context(digits + _GUARD_DIGITS)
    ours = context.mpf(certificate.generalization_error)
    relative = abs(_number(context, "solution", solution.generalization_error) / ours - 1)
    return Certificate(**{**vars(certificate), "relative_error": _public(relative)})


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
    """The stationary point of e(x, R) next to a float guess (see the module's page).

    Parameters
    ----------
    alpha : float
        Examples per dimension. This and the loss's parameter may also be
        ``mpf`` or decimal strings: "0.1" is not the float 0.1.
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
    if digits not in range(5, 201):
        raise ValueError(f"`digits` must be an integer from 5 to 200; got {digits!r}")
    digits = int(digits)
    guess = _Guess.read(alpha, loss, teacher, log_c, log_x, stability)
    # Digits that the numbers themselves eat: alpha multiplies every residual, and exp(log x)
    # loses as many as log x has before the point.
    spare = _GUARD_DIGITS + math.ceil(abs(math.log10(guess.alpha)))
    spare += math.ceil(math.log10(max(10.0, abs(guess.second))))
    spare += _cancelled_digits(guess, spare)

    system = _System(guess, _context(_ROUGH + spare), _ROUGH, level=0)
    z, jacobian = _rough_root(system, guess.start)

    tolerance = mpmath.mpf(10) ** -(digits + 2)
    system = _System(guess, _context(digits + spare), digits + 4, level=1)
    moved = mpmath.inf
    for level in range(2, 6):
        z, jacobian = _polish(system, z, jacobian, tolerance)
        system = _System(guess, _context(digits + spare + 5 * level), digits + 4, level=level)
        move = system.newton(jacobian, system.residual(z))
        moved = system.measure(z, move)
        z = [a - d for a, d in zip(z, move, strict=True)]
        if max(moved, system.size(z, move)) <= mpmath.mpf(10) ** -digits:
            return system.certificate(z, moved, digits)
    raise CertificationError(
        f"two quadrature rules still differ by {mpmath.nstr(moved, 3)} (relative) where "
        f"`digits` asks for {digits}; a loss with kinks or features far narrower than its "
        "proximal step can do that"
    )


# --------------------------------------------------------------------------------------
# Reading numbers
# --------------------------------------------------------------------------------------


def _context(digits: int) -> Context:
    """A private mpmath context; the global precision is never touched."""
    context = mpmath.mp.clone()
    context.dps = digits
    return context


def _public(number: Mpf) -> Mpf:
    """The same digits as an ordinary ``mpmath.mpf``."""
    return mpmath.mp.make_mpf(number._mpf_)


def _number(context: Context, name: str, value: Any, *, infinite: bool = False) -> Mpf:
    """One real number (float, mpf or decimal string) at full precision."""
    exact = isinstance(value, str) or hasattr(value, "_mpf_")
    try:
        number = context.mpf(value if exact else float(value))
    except (TypeError, ValueError):
        number = context.nan
    if context.isnan(number) or (context.isinf(number) and not infinite):
        kind = "number" if infinite else "finite number"
        raise ValueError(f"`{name}` must be one {kind}; got {value!r}")
    return number


@dataclass(frozen=True)
class _Guess:
    """A problem that went through the door, with floats to start from."""

    alpha_exact: Mpf
    parameter: Mpf | None
    loss: Loss
    teacher: LabelModel
    second: float  # log x, or kappa for maximum stability
    start: tuple[float, ...]
    unit: float  # kappa = unit * unknown

    @classmethod
    def read(
        cls, alpha: Any, loss: Any, teacher: Any, log_c: Any, log_x: Any, stability: Any
    ) -> _Guess:
        context = _context(_EXACT)
        if not isinstance(loss, Loss):
            raise ValueError(f"`loss` must be a Loss such as Logistic(lam=1.0); got {loss!r}")
        if not isinstance(teacher, LabelModel):
            raise ValueError(
                f"`teacher` must be a Teacher, LogisticTeacher or RandomLabels; got {teacher!r}"
            )
        exact = _number(context, "alpha", alpha)
        if not exact > 0:
            raise ValueError(f"`alpha` must be positive and finite; got {alpha!r}")
        parameter = None
        if loss.parameter:
            value = getattr(loss, loss.parameter)
            parameter = _number(context, loss.parameter, value, infinite=True)
            if not loss.rule.holds(np.asarray(float(parameter))):
                raise ValueError(f"`{loss.parameter}` {loss.rule.words}; got {value!r}")
            if loss.interpolates and parameter == 0:
                loss = losses.Linear()
            elif loss.interpolates and context.isinf(parameter):
                loss = losses.HardMargin()
        hard = isinstance(loss, losses.HardMargin)
        second = float(
            _number(context, "stability", stability) if hard else _number(context, "log_x", log_x)
        )
        unit, start = 1.0, [second]
        if _mixture(context, teacher):
            first = float(_number(context, "log_c", log_c))
            start.insert(0, first)
            unit = math.exp(-max(first, 0.0))
        if hard:
            unit = max(abs(second), unit)
            start[-1] = second / unit
        return cls(exact, parameter, loss, teacher, second, tuple(start), unit)

    @property
    def alpha(self) -> float:
        return float(self.alpha_exact)


def _mixture(context: Context, teacher: LabelModel) -> list[tuple[Mpf, Mpf]]:
    """Pairs (w_k, sigma_k) of the levels that carry signal; none for random labels."""
    if isinstance(teacher, Teacher):  # exact: 1 - 2p is not a float
        flip = _number(context, "label_flip", teacher.label_flip)
        noise = _number(context, "label_noise", teacher.label_noise, infinite=True)
        if not (0 <= flip <= 0.5 and noise >= 0):
            raise ValueError(
                "`label_flip` must lie in [0, 0.5] and `label_noise` be non-negative; "
                f"got {teacher!r}"
            )
        pairs = [(1 - 2 * flip, noise)]
    else:
        flat = {
            name: np.array([float(np.asarray(v))]) for name, (v, _) in teacher.parameters().items()
        }
        weight, sigma = teacher.mixture(flat)
        pairs = [
            (context.mpf(w), context.mpf(s))
            for w, s in zip(weight[0].tolist(), sigma[0].tolist(), strict=True)
        ]
    return [(w, s) for w, s in pairs if w != 0 and context.isfinite(s)]


# --------------------------------------------------------------------------------------
# Proximal maps: t -> (u, x M), and where they are not smooth
# --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Structure:
    """What the quadrature must know of u(t) and M(t); floats are enough."""

    marks: tuple[float, ...] = ()  # where panels must or should end
    exact: Mapping[float, Mpf] = field(default_factory=dict)  # marks that floats only round
    singular: tuple[complex, ...] = ()
    rate: float = 0.0  # u decays like exp(-rate t) ...
    edge: float = math.inf  # ... to the right of here,
    end: float = math.inf  # and is negligible from here on.


class _Proximal(abc.ABC):
    """One loss at one x, in one precision."""

    #: Whether panels must be found by looking at u(t).
    opaque = False

    @abc.abstractmethod
    def structure(self, digits: float) -> _Structure:
        """Kinks, singularities and the place where u < 10^-digits."""

    @abc.abstractmethod
    def solve(self, nodes: Sequence[Mpf]) -> Iterator[tuple[Mpf, Mpf]]:
        """Pairs of u = D0(t) - t and x M(t), one a node."""


class _Piecewise(_Proximal):
    """Losses whose u(t) is piecewise linear: its kinks, and u and x M between them."""

    def __init__(self, at: Callable[[Mpf], tuple[Mpf, Mpf]], kinks: Sequence[Mpf], ends: bool):
        self.at = at
        self.kinks = {float(k): k for k in kinks}
        self.ends = ends

    def structure(self, digits: float) -> _Structure:
        marks = tuple(self.kinks)
        end = marks[-1] if self.ends else math.inf
        return _Structure(marks=marks, exact=self.kinks, end=end)

    def solve(self, nodes: Sequence[Mpf]) -> Iterator[tuple[Mpf, Mpf]]:
        return map(self.at, nodes)


class _Edge(_Proximal):
    """Losses with one soft edge, in units of its width.

    With ``a = unit t``, ``v = unit u``, ``y = unit D0 = a + v``, ``E = e^y`` and
    ``X = e^L``, the proximal equation is h(v) = 0, increasing in v > 0.
    """

    def __init__(self, context: Context, unit: Mpf, log_strength: Mpf):
        self.context = context
        self.unit = unit
        self.strength = context.exp(log_strength)
        self.L = float(log_strength)

    @abc.abstractmethod
    def branch_points(self) -> list[complex]:
        """The a in the upper half plane nearest to the axis where da/dy = 0."""

    @abc.abstractmethod
    def attraction(self, y: Array) -> tuple[Array, Array]:
        """g(y) and g'(y) of the float form log v + g(a + v) = L."""

    @abc.abstractmethod
    def taylor(self, v: Mpf, E: Mpf) -> tuple[Mpf, Mpf, Mpf]:
        """h, h' and h'' at v."""

    @abc.abstractmethod
    def envelope(self, v: Mpf, y: Mpf, E: Mpf) -> Mpf:
        """unit^2 x M."""

    def structure(self, digits: float) -> _Structure:
        unit = float(self.unit)
        points = [a / unit for a in self.branch_points()]
        # u(t) <= u(0) e^(max(L, 0) + 1 - a) to the right of both the edge and the origin.
        end = (max(self.L, 0.0) + 1 + math.log(10) * (digits + 3)) / unit
        edge = max(p.real for p in points)
        return _Structure(
            marks=tuple(p.real for p in points),
            singular=tuple(points),
            rate=unit,
            edge=edge,
            end=end,
        )

    def seeds(self, a: Array) -> Array:
        """Floats log v; convex in log v, so Newton from above comes down to the root."""
        bound = np.maximum(self.L - a, 1.0)  # v <= max(L - a, 1), as g(y) >= y
        log_v = np.minimum(self.L - self.attraction(a)[0], np.log(bound))
        for _ in range(60):  # quadratic; about 6 are used
            v = np.exp(log_v)
            g, slope = self.attraction(a + v)
            step = (log_v + g - self.L) / (1 + v * slope)
            log_v = log_v - step
            if np.all(np.abs(step) <= 1e-14 * np.maximum(1.0, np.abs(log_v))):
                break
        return log_v

    def solve(self, nodes: Sequence[Mpf]) -> Iterator[tuple[Mpf, Mpf]]:
        exp, unit = self.context.exp, self.unit
        square = unit * unit
        tiny = self.context.eps
        a_all = [unit * t for t in nodes]
        for a, seed in zip(
            a_all, self.seeds(np.array([float(a) for a in a_all])).tolist(), strict=True
        ):
            v = exp(self.context.mpf(seed))
            for _ in range(40):
                E = exp(a + v)
                h, h1, h2 = self.taylor(v, E)
                d = -h / h1
                d = d / (1 + d * h2 / (2 * h1))  # Halley
                if v + d <= 0:
                    d = -v / 2  # safeguard; never met from a good seed
                v = v + d
                if abs(d * d * d) <= tiny * v:  # Halley's error is below |d|^3
                    break
            else:
                raise CertificationError(
                    f"the proximal point at t = {mpmath.nstr(a / unit, 8)} was not found"
                )
            E = E * (1 + d * (1 + d * (0.5 + d / 6)))
            yield v / unit, self.envelope(v, a + v, E) / square


class _LogisticMap(_Edge):
    """V = log(1 + e^(-2 lam D))/lam: unit = 2 lam, X = 4 lam x, v (1 + e^(a+v)) = X."""

    def branch_points(self) -> list[complex]:
        # da/dy = 0 where 1 + E + vE = 0, that is v^2 - Xv - X = 0 and y = -log(1+v) + i pi.
        if self.L > 600:  # the left one is at a < -e^600; the right one at L + 1 (error 1/X)
            return [complex(self.L + 1, math.pi)]
        X = math.exp(self.L)
        root = X * math.sqrt(1 + 4 / X)
        high, low = (X + root) / 2, 2 * X / (X + root)  # v = high and v = -low
        right = math.log1p(X / low) + low  # 1 - low = low/(X + low)
        left = -math.log1p(high) - high
        return [complex(left, math.pi), complex(right, math.pi)]

    def attraction(self, y: Array) -> tuple[Array, Array]:
        return np.logaddexp(0.0, y), np.exp(-np.logaddexp(0.0, -y))

    def taylor(self, v: Mpf, E: Mpf) -> tuple[Mpf, Mpf, Mpf]:
        one = 1 + E
        vE = v * E
        return v * one - self.strength, one + vE, E + E + vE

    def envelope(self, v: Mpf, y: Mpf, E: Mpf) -> Mpf:
        c = self.context
        softplus = c.log1p(1 / E) if E > 1 else c.log(1 + E) - y
        return self.strength * softplus + v * v / 2


class _ExponentialMap(_Edge):
    """V = e^(-lam D)/lam: unit = lam, X = lam x, v e^(a+v) = X."""

    def branch_points(self) -> list[complex]:
        return [complex(self.L + 1, math.pi)]  # of Lambert's function of X e^(-a)

    def attraction(self, y: Array) -> tuple[Array, Array]:
        return y, np.ones_like(y)

    def taylor(self, v: Mpf, E: Mpf) -> tuple[Mpf, Mpf, Mpf]:
        vE = v * E
        return vE - self.strength, E + vE, E + E + vE

    def envelope(self, v: Mpf, y: Mpf, E: Mpf) -> Mpf:
        return self.strength / E + v * v / 2


class _SmoothMap(_Proximal):
    """A user's loss: safeguarded Newton on D + x V'(D) = t, each node from the last."""

    opaque = True

    def __init__(self, context: Context, loss: losses.SmoothLoss, x: Mpf):
        self.context, self.loss, self.x = context, loss, x

    def structure(self, digits: float) -> _Structure:
        return _Structure()

    def call(self, function: Callable[[Any], Any], margin: Mpf) -> Mpf:
        """The user's function at our precision, whichever context it computes in."""
        with mpmath.mp.workprec(self.context.prec):
            try:
                value = function(_public(margin))
            except (TypeError, AttributeError) as failure:  # NumPy's functions end here
                value = failure
            if not hasattr(value, "_mpf_") and not isinstance(value, int):
                raise ValueError(
                    "`loss` must have functions that take and return mpmath numbers; got "
                    f"{value!r} from {self.loss.name}"
                )
            return self.context.mpf(value)

    def point(self, t: Mpf, D: Mpf) -> Mpf:
        """D0(t) from the guess D."""
        c, x = self.context, self.x
        low, high = -c.inf, c.inf
        reach = c.mpf(1)
        for _ in range(400):
            F = D + x * self.call(self.loss.dV, D) - t
            if F == 0:
                return D
            if F > 0:
                high = D
            else:
                low = D
            slope = 1 + x * self.call(self.loss.d2V, D)
            new = D - F / slope
            if not low < new < high:  # also where V'' is negative
                if c.isinf(low) or c.isinf(high):
                    new = D - reach if F > 0 else D + reach
                    reach = 2 * reach
                else:
                    new = (low + high) / 2
            if abs(new - D) <= 8 * c.eps * max(abs(new), abs(t)):
                return new
            D = new
        raise CertificationError(
            f"the proximal point of {self.loss.name} at t = {mpmath.nstr(t, 8)} was not found"
        )

    def solve(self, nodes: Sequence[Mpf]) -> Iterator[tuple[Mpf, Mpf]]:
        D = nodes[0] if nodes else self.context.zero
        for t in nodes:
            D = self.point(t, D)
            u = -self.x * self.call(self.loss.dV, D)
            yield u, self.x * self.call(self.loss.V, D) + u * u / 2


def _proximal(context: Context, guess: _Guess, second: Mpf) -> _Proximal:
    """The map of the guess's loss at x = exp(second), or kappa = second."""
    loss, zero = guess.loss, context.zero
    p: Mpf = context.mpf(guess.parameter or 0)
    if isinstance(loss, losses.HardMargin):

        def hard(t: Mpf) -> tuple[Mpf, Mpf]:
            u = second - t if t < second else zero
            return u, u * u / 2

        return _Piecewise(hard, [second], ends=True)
    if isinstance(loss, losses.Logistic):
        return _LogisticMap(context, 2 * p, context.log(4 * p) + second)
    if isinstance(loss, losses.Exponential):
        return _ExponentialMap(context, p, context.log(p) + second)
    x = context.exp(second)
    if isinstance(loss, losses.SmoothLoss):
        return _SmoothMap(context, loss, x)
    if isinstance(loss, losses.Linear):
        return _Piecewise(lambda t: (x, -x * t - x * x / 2), [], ends=False)
    if isinstance(loss, losses.Hinge):

        def hinge(t: Mpf) -> tuple[Mpf, Mpf]:
            gap = p - t
            if gap <= 0:
                return zero, zero
            return (gap, gap * gap / 2) if gap < x else (x, x * gap - x * x / 2)

        return _Piecewise(hinge, [p - x, p], ends=True)
    if isinstance(loss, losses.SquaredHinge | losses.Square):
        one_sided = isinstance(loss, losses.SquaredHinge)
        share = x / (1 + x)

        def square(t: Mpf) -> tuple[Mpf, Mpf]:
            gap = p - t
            if one_sided and gap <= 0:
                return zero, zero
            return share * gap, share * gap * gap / 2

        return _Piecewise(square, [p] if one_sided else [], ends=one_sided)
    raise ValueError(
        "`loss` must be one of replica's losses, or a SmoothLoss with functions that take "
        f"mpmath numbers; got {loss!r}"
    )


# --------------------------------------------------------------------------------------
# Quadrature
# --------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def _legendre(n: int, digits: int) -> tuple[tuple[Any, Any], ...]:
    """Gauss-Legendre nodes and weights on [-1, 1], as raw mpmath tuples."""
    context = _context(digits + 10)
    one = context.one
    rule = []
    for seed in np.polynomial.legendre.leggauss(n)[0].tolist():
        z = context.mpf(seed)
        while True:
            p, q = one, z
            for k in range(2, n + 1):
                p, q = q, ((2 * k - 1) * z * q - (k - 1) * p) / k
            slope = n * (z * q - p) / (z * z - 1)
            step = q / slope
            z = z - step
            if abs(step) < context.mpf(10) ** -(digits // 2 + 4):
                break
        # The slope was taken before the last step, where P_n'' = 2 z P_n'/(1 - z^2).
        slope = slope * (1 - 2 * z * step / (1 - z * z))
        weight = 2 / ((1 - z * z) * slope * slope)
        rule.append((z._mpf_, weight._mpf_))
    return tuple(rule)


@dataclass(frozen=True)
class _Rule:
    """A tolerance 10^-digits and a degree; decides which panels are fine enough."""

    digits: float
    degree: int
    ratios: Array = field(default_factory=lambda: np.linspace(0.0, 1.0, 25)[1:], repr=False)

    @property
    def radius(self) -> float:
        """Where exp(-z^2/2) times a polynomial is below the tolerance."""
        return math.sqrt(2 * math.log(10) * (self.digits + 5))

    def resolves(
        self, low: float, high: float, structure: _Structure, scales: Sequence[float]
    ) -> bool:
        """Whether rho^(-2n) max|f| on some Bernstein ellipse is below the tolerance."""
        half, middle = (high - low) / 2, (high + low) / 2
        log_rho = 4.0  # a choice: larger ellipses gain nothing
        for point in structure.singular:
            w = (point - middle) / half
            # The ellipse with foci -1 and 1 through w has semi-axis (|w + 1| + |w - 1|)/2.
            log_rho = min(log_rho, math.acosh(max(1.0, (abs(w + 1) + abs(w - 1)) / 2)))
        trial = log_rho * self.ratios
        exponent = -2 * self.degree * trial
        nearest = max(low, -high, 0.0)
        reached = [s for s in scales if nearest < self.radius * s]
        if reached:  # exp(-t^2/(2 s^2)) grows to exp(b^2/(2 s^2))
            exponent = exponent + (half * np.sinh(trial) / min(reached)) ** 2 / 2
        if high > structure.edge:  # u^2 grows to exp(2 rate half cosh)
            exponent = exponent + 2 * structure.rate * half * np.cosh(trial)
        return bool(exponent.min() <= -math.log(10) * self.digits)

    def panels(
        self,
        low: float,
        high: float,
        structure: _Structure,
        scales: Sequence[float],
        accept: Callable[[float, float], bool] | None,
    ) -> list[tuple[float, float]]:
        """Panels of [low, high], halved until resolved."""
        marks = {0.0, *structure.marks}
        for s in scales:
            marks |= {-self.radius * s, self.radius * s}
        ends = [low, *sorted(m for m in marks if low < m < high), high]
        stack = list(itertools.pairwise(ends))[::-1]
        done = []
        while stack:
            a, b = stack.pop()
            middle = a + (b - a) / 2
            if (self.resolves(a, b, structure, scales) and (accept is None or accept(a, b))) or (
                not a < middle < b or b - a < 1e-12 * min(scales)
            ):
                done.append((a, b))
            else:
                stack += [(middle, b), (a, middle)]
            if len(done) + len(stack) > 20_000:
                raise CertificationError("the integrand needs more than 20000 panels")
        return done


# --------------------------------------------------------------------------------------
# The two equations
# --------------------------------------------------------------------------------------


class _System:
    """Both residuals, in logarithms, for one precision and one quadrature rule."""

    def __init__(self, guess: _Guess, context: Context, digits: int, level: int):
        self.guess, self.context = guess, context
        self.alpha = context.mpf(guess.alpha_exact)
        self.levels = _mixture(context, guess.teacher)
        self.offset = 1 - sum((w for w, _ in self.levels), context.zero)
        tolerance: float = digits + 2 * level
        if not self.levels:
            tolerance += max(0.0, math.log10(guess.alpha))
        # 1.2 nodes a digit is near the optimum of nodes per unit length for this bound.
        self.rule = _Rule(tolerance, math.ceil(1.2 * digits) + 5 * level)
        self.nodes = [
            (context.make_mpf(z), context.make_mpf(w))
            for z, w in _legendre(self.rule.degree, context.dps)
        ]
        self.found: list[tuple[float, float]] | None = None

    @property
    def hard(self) -> bool:
        return isinstance(self.guess.loss, losses.HardMargin)

    def unknowns(self, z: Sequence[Mpf]) -> tuple[Mpf, Mpf]:
        """c, and log x or kappa."""
        c = self.context.exp(z[0]) if self.levels else self.context.zero
        return c, (self.guess.unit * z[-1] if self.hard else z[-1])

    def residual(self, z: Sequence[Any], fresh: bool = True) -> list[Mpf]:
        """log(right/left) of each equation; ``fresh`` looks for panels again."""
        ctx = self.context
        z = [ctx.mpf(v) for v in z]
        c, second = self.unknowns(z)
        proximal = _proximal(ctx, self.guess, second)
        s2 = 1 / (1 + c * c)  # 1 - R^2
        R = c * ctx.sqrt(s2)
        terms = []  # w_k, c_k/sqrt(2), 1/s_k^2, w_k c_k'
        for w, sigma in self.levels:
            v = sigma * sigma
            spread = v + s2
            root = ctx.sqrt(spread)
            terms.append(
                (w, R / (root * ctx.sqrt(2)), (1 + v) / spread, w * (1 + v) / (spread * root))
            )
        first, envelope = self.integrals(proximal, terms, fresh)
        residual = [ctx.log(self.alpha * first / s2)]
        if self.levels:
            residual.insert(0, ctx.log(self.alpha * envelope / (ctx.pi * R)))
        if not all(isinstance(r, ctx.mpf) and ctx.isfinite(r) for r in residual):
            raise CertificationError("an integral that must be positive was not")
        return residual

    def integrals(
        self, proximal: _Proximal, terms: Sequence[tuple[Mpf, Mpf, Mpf, Mpf]], fresh: bool
    ) -> tuple[Mpf, Mpf]:
        """Int Dt W u^2, and -sum_k w_k c_k' int dt t exp(-t^2/(2 s_k^2)) x M."""
        ctx, radius = self.context, self.rule.radius
        exp, erfc = ctx.exp, ctx.erfc
        structure = proximal.structure(self.rule.digits)
        scales = sorted(1 / math.sqrt(float(inverse)) for _, _, inverse, _ in terms)
        high = min(radius, structure.end)
        low = -radius if self.offset != 0 or not scales else -radius * scales[-1]
        if low >= high:
            raise CertificationError("the loss has no weight below its zero")
        panels = self.panels(proximal, structure, scales, low, high, fresh)
        (_, reference) = next(proximal.solve([ctx.zero]))
        # Beyond `radius` standard deviations a Gaussian factor is dropped.
        limits = [radius * radius / float(inverse) for _, _, inverse, _ in terms]
        ts: list[Mpf] = []
        weights: list[Mpf] = []
        for ends in panels:
            a, b = (ctx.mpf(structure.exact.get(end, end)) for end in ends)
            half, middle = (b - a) / 2, (b + a) / 2
            ts += [middle + half * z for z, _ in self.nodes]
            weights += [half * w for _, w in self.nodes]
        first = envelope = ctx.zero
        for t, weight, (u, xM) in zip(ts, weights, proximal.solve(ts), strict=True):
            q = t * t / 2
            square = float(t) ** 2
            W, pull = self.offset, ctx.zero
            for (w, slope, inverse, turn), limit in zip(terms, limits, strict=True):
                if square < limit:
                    W = W + w * erfc(-slope * t)
                    pull = pull + turn * exp(-q * inverse)
                elif t > 0:
                    W = W + 2 * w
            first = first + weight * exp(-q) * W * u * u
            if pull:
                envelope = envelope - weight * t * pull * (xM - reference)
        end = structure.exact.get(high, ctx.mpf(high))
        if high < radius:  # M = 0 beyond, but the reference was to be taken away there too
            for _, _, inverse, turn in terms:
                envelope = envelope + turn * reference * exp(-(end * end) * inverse / 2) / inverse
        return first / ctx.sqrt(2 * ctx.pi), envelope

    def panels(
        self,
        proximal: _Proximal,
        structure: _Structure,
        scales: Sequence[float],
        low: float,
        high: float,
        fresh: bool,
    ) -> list[tuple[float, float]]:
        """Where to integrate; a user's loss is looked at only when ``fresh``."""
        accept = None
        if proximal.opaque:
            if self.found is not None and not fresh:
                return self.found

            accept = functools.partial(self.looks_smooth, proximal)
        spread = [*scales[:: max(1, len(scales) // 4)], 1.0]
        self.found = self.rule.panels(low, high, structure, spread, accept)
        return self.found

    def looks_smooth(self, proximal: _Proximal, low: float, high: float) -> bool:
        """Whether the Legendre series of u on a panel decays as fast as the rule needs."""
        n = 16
        node, weight = np.polynomial.legendre.leggauss(n)
        ts = [self.context.mpf(low + (high - low) * (z + 1) / 2) for z in node.tolist()]
        values = [u for u, _ in proximal.solve(ts)]
        largest = max(abs(v) for v in values)
        if largest == 0:
            return True
        f = np.array([float(v / largest) for v in values])
        series = np.abs(np.polynomial.legendre.legvander(node, n - 1).T @ (weight * f))
        wanted = 10 ** (-self.rule.digits * n / (2 * self.rule.degree))
        return bool(series[-3:].max() <= max(wanted, 1e-13))

    def newton(self, jacobian: Sequence[Sequence[Mpf]], residual: Sequence[Mpf]) -> list[Mpf]:
        """jacobian^-1 residual."""
        mpf = self.context.mpf
        r = [mpf(v) for v in residual]
        j = [[mpf(v) for v in row] for row in jacobian]
        if len(r) == 1:
            if j[0][0] == 0:
                raise CertificationError("the equation does not determine its unknown")
            return [r[0] / j[0][0]]
        det = j[0][0] * j[1][1] - j[0][1] * j[1][0]
        if det == 0:
            raise CertificationError("the two equations do not determine the two unknowns")
        return [
            (j[1][1] * r[0] - j[0][1] * r[1]) / det,
            (j[0][0] * r[1] - j[1][0] * r[0]) / det,
        ]

    def measure(self, z: Sequence[Mpf], move: Sequence[Mpf]) -> Mpf:
        """Relative change of eps (of x or kappa without signal) that a move makes."""
        ctx = self.context
        if not self.levels:
            scale = abs(ctx.mpf(z[0])) if self.hard else ctx.one
            return abs(move[0]) / scale
        c = ctx.exp(ctx.mpf(z[0]))
        return abs(move[0]) * c / ((1 + c * c) * ctx.atan(1 / c))

    def size(self, z: Sequence[Mpf], move: Sequence[Mpf]) -> Mpf:
        """Largest change of an unknown, relative where it is above 1."""
        return max(abs(d) / max(1, abs(v)) for v, d in zip(z, move, strict=True))

    def certificate(self, z: Sequence[Mpf], error: Mpf, digits: int) -> Certificate:
        """The record of a root."""
        ctx = self.context
        c, second = self.unknowns(z)
        s2 = 1 / (1 + c * c)
        R = c * ctx.sqrt(s2)
        parameter = self.guess.parameter
        numbers = {
            "alpha": self.alpha,
            "log_c": ctx.mpf(z[0]) if self.levels else ctx.ninf,
            "overlap": R,
            "one_minus_overlap": s2 / (1 + R),
            "generalization_error": ctx.atan2(1, c) / ctx.pi,
            "log_x": ctx.inf if self.hard else second,
            # Never below what the rounding of the last digits allows.
            "error": max(error, ctx.mpf(10) ** -(digits + _GUARD_DIGITS)),
        }
        return Certificate(
            **{name: _public(number) for name, number in numbers.items()},
            parameter=None if parameter is None else _public(ctx.mpf(parameter)),
            stability=_public(second) if self.hard else None,
            digits=digits,
        )


# --------------------------------------------------------------------------------------
# Root finding
# --------------------------------------------------------------------------------------


def _cancelled_digits(guess: _Guess, spare: int) -> int:
    """Digits of x M(t) that x M(0) takes away: log10 of x M(0) / (s u(0))."""
    context = _context(40 + spare)
    second = context.mpf(guess.second)
    u, xM = next(_proximal(context, guess, second).solve([context.zero]))
    if u == 0 or xM == 0:
        return 0
    width = math.exp(-max(guess.start[0], 0.0)) if len(guess.start) == 2 else 1.0
    return max(0, math.ceil(float(context.log10(abs(xM / (u * width))))))


def _jacobian(system: _System, z: Sequence[Mpf], base: Sequence[Mpf]) -> list[list[Mpf]]:
    """Forward differences from the residual ``base`` at z."""
    columns = []
    for i, value in enumerate(z):
        step = system.context.mpf(_STEP) * max(1, abs(value))
        moved = [v + step if k == i else v for k, v in enumerate(z)]
        there = system.residual(moved, fresh=False)
        columns.append([(b - a) / step for a, b in zip(base, there, strict=True)])
    return [list(row) for row in zip(*columns, strict=True)]


def _broyden(
    jacobian: list[list[Mpf]], step: Sequence[Mpf], residual: Sequence[Mpf]
) -> list[list[Mpf]]:
    """Rank-one update after a full quasi-Newton step that left ``residual``."""
    square = sum(d * d for d in step)
    return [
        [j + r * d / square for j, d in zip(row, step, strict=True)]
        for row, r in zip(jacobian, residual, strict=True)
    ]


def _rough_root(system: _System, start: Sequence[float]) -> tuple[list[Mpf], list[list[Mpf]]]:
    """Root to about 1e-9, and the Jacobian there; Newton's and Broyden's steps, halved at need."""
    z = [system.context.mpf(v) for v in start]
    residual = system.residual(z)
    jacobian = _jacobian(system, z, residual)
    for _ in range(60):
        norm = max(abs(r) for r in residual)
        move = system.newton(jacobian, residual)
        # At most 1 in log c, and 30% (or 1) in the other unknown: a choice.
        limit = [1.0, max(1.0, 0.3 * abs(float(z[-1])))][-len(z) :]
        longest = max(abs(d) / b for d, b in zip(move, limit, strict=True))
        factor = 1 / max(system.context.one, longest)
        for _ in range(12):
            step = [-factor * d for d in move]
            trial = [v + d for v, d in zip(z, step, strict=True)]
            # A step outside the domain counts as a bad one.
            with contextlib.suppress(CertificationError):
                there = system.residual(trial)
                if max(abs(r) for r in there) < norm or system.size(z, step) < _ROUGH_DONE:
                    break
            factor = factor / 2
        else:
            break
        done = system.size(z, step) < _ROUGH_DONE
        z, residual = trial, there
        if done:
            return z, _jacobian(system, z, residual)
        if factor == 1 and max(abs(r) for r in residual) < norm / 10:
            jacobian = _broyden(jacobian, step, residual)
        else:
            jacobian = _jacobian(system, z, residual)
    raise CertificationError(
        "no saddle point was found near the start "
        f"log_c, log_x (or stability) = {', '.join(f'{v:.6g}' for v in start)}; "
        f"largest residual {mpmath.nstr(max(abs(r) for r in residual), 3)}"
    )


def _polish(
    system: _System, z: Sequence[Mpf], jacobian: list[list[Mpf]], tolerance: Mpf
) -> tuple[list[Mpf], list[list[Mpf]]]:
    """Broyden's iteration at full precision, until a step is below the tolerance."""
    z = [system.context.mpf(v) for v in z]
    size, residual = mpmath.inf, system.residual(z)
    for _ in range(40):
        step = [-d for d in system.newton(jacobian, residual)]
        z = [v + d for v, d in zip(z, step, strict=True)]
        size = system.size(z, step)
        if size <= tolerance:
            return z, jacobian
        residual = system.residual(z, fresh=False)
        jacobian = _broyden(jacobian, step, residual)
    raise CertificationError(f"the iteration stalled at steps of {mpmath.nstr(size, 3)}")
