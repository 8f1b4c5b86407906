"""Proximal maps: t -> (u, x M), and where they are not smooth."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from replica import losses
from replica.common.arguments import InvalidArgument
from replica.highprecision.precision import CertificationError, Context, Mpf, public
from replica.highprecision.quadrature import Structure
from replica.highprecision.reading import Task

Array = NDArray[np.float64]


class ProximalMap(abc.ABC):
    """One loss at one x, in one precision."""

    #: Whether panels must be found by looking at u(t).
    opaque = False

    @abc.abstractmethod
    def structure(self, digits: float) -> Structure:
        """Kinks, singularities and the place where u < 10^-digits."""

    @abc.abstractmethod
    def solve(self, nodes: Sequence[Mpf]) -> Iterator[tuple[Mpf, Mpf]]:
        """Pairs of u = D0(t) - t and x M(t), one a node."""


def proximal_map(context: Context, task: Task, second: Mpf, scale: Mpf = 1) -> ProximalMap:
    """The map of U(D) = V(scale D)/scale at x, or kappa, = exp(second)."""
    loss, zero = task.loss, context.zero
    p: Mpf = context.mpf(task.parameter or 0)
    if isinstance(loss, losses.Logistic):
        p = p * scale
        return _Edge(context, 2 * p, context.log(4 * p) + second, floor=1)
    if isinstance(loss, losses.Exponential):
        p = p * scale
        return _Edge(context, p, context.log(p) + second, floor=0)
    x = context.exp(second)
    if isinstance(loss, losses.SmoothLoss):
        return _SmoothMap(context, loss, x, context.mpf(scale))
    p = p / scale  # where the losses with a margin turn
    if isinstance(loss, losses.Linear):
        return _Piecewise(lambda t: (x, -x * t - x * x / 2))
    if isinstance(loss, losses.Hinge):

        def hinge(t: Mpf) -> tuple[Mpf, Mpf]:
            gap = p - t
            if gap <= 0:
                return zero, zero
            return (gap, gap * gap / 2) if gap < x else (x, x * gap - x * x / 2)

        return _Piecewise(hinge, p - x, p)
    if isinstance(loss, losses.HardMargin | losses.SquaredHinge | losses.Square):
        # U = scale (p - D)^2/2
        strength = x * scale
        target, share = (x, context.one) if task.hard else (p, strength / (1 + strength))
        two_sided = isinstance(loss, losses.Square)

        def square(t: Mpf) -> tuple[Mpf, Mpf]:
            gap = target - t if two_sided or t < target else zero
            return share * gap, share * gap * gap / 2

        return _Piecewise(square) if two_sided else _Piecewise(square, target)
    raise InvalidArgument(
        "loss",
        "must be one of replica's losses, or a SmoothLoss with functions that take mpmath numbers",
        repr(loss),
    )


class _Piecewise(ProximalMap):
    """Losses whose u(t) is piecewise linear with kinks, and zero after the last of them."""

    def __init__(self, at: Callable[[Mpf], tuple[Mpf, Mpf]], *kinks: Mpf):
        self.at = at
        self.kinks = {float(kink): kink for kink in kinks}

    def structure(self, digits: float) -> Structure:
        return Structure(marks=self.kinks, end=max(self.kinks, default=math.inf))

    def solve(self, nodes: Sequence[Mpf]) -> Iterator[tuple[Mpf, Mpf]]:
        return map(self.at, nodes)


class _Edge(ProximalMap):
    """The logistic (``floor`` 1) and the exponential loss (0), in units of their soft edge.

    With ``a = unit t``, ``v = unit u``, ``y = unit D0 = a + v``, ``E = e^y`` and
    ``X = e^L``, the proximal equation is ``v (floor + E) = X``: V = log(1 + e^(-2 lam D))/lam
    has unit = 2 lam and X = 4 lam x, V = e^(-lam D)/lam has unit = lam and X = lam x.
    """

    def __init__(self, context: Context, unit: Mpf, log_strength: Mpf, *, floor: int):
        self.context = context
        self.unit = unit
        self.floor = floor
        self.strength = context.exp(log_strength)
        self.L = float(log_strength)

    def branch_points(self) -> list[complex]:
        """The a in the upper half plane nearest to the axis where da/dy = 0."""
        # floor + E + vE = 0. Without floor v = -1; so does the one on the right for large X
        # (to 1/X), and the one on the left is then at a < -e^600.
        if not self.floor or self.L > 600:
            return [complex(self.L + 1, math.pi)]
        # With floor v^2 - Xv - X = 0, and y = -log(1 + v) + i pi.
        X = math.exp(self.L)
        root = X * math.sqrt(1 + 4 / X)
        high, low = (X + root) / 2, 2 * X / (X + root)  # v = high and v = -low
        right = math.log1p(X / low) + low  # 1 - low = low/(X + low)
        left = -math.log1p(high) - high
        return [complex(left, math.pi), complex(right, math.pi)]

    def structure(self, digits: float) -> Structure:
        unit = float(self.unit)
        points = [a / unit for a in self.branch_points()]
        return Structure(
            marks={point.real: point.real for point in points},
            singular=tuple(points),
            rate=unit,
            edge=max(point.real for point in points),
            # u(t) <= u(0) e^(max(L, 0) + 1 - a) to the right of both the edge and the origin.
            end=(max(self.L, 0.0) + 1 + math.log(10) * (digits + 3)) / unit,
        )

    def seeds(self, a: Array) -> list[float]:
        """Floats log v; log v + log(floor + E) = L is convex in log v: Newton from above."""
        log_floor = 0.0 if self.floor else -math.inf
        bound = np.maximum(self.L - a, 1.0)  # v <= max(L - a, 1), as log(floor + E) >= y
        log_v = np.minimum(self.L - np.logaddexp(log_floor, a), np.log(bound))
        for _ in range(60):  # quadratic; about 6 are used
            v = np.exp(log_v)
            pull = np.logaddexp(log_floor, a + v)
            step = (log_v + pull - self.L) / (1 + v * np.exp(a + v - pull))
            log_v = log_v - step
            if np.all(np.abs(step) <= 1e-14 * np.maximum(1.0, np.abs(log_v))):
                break
        return [float(value) for value in log_v]

    def solve(self, nodes: Sequence[Mpf]) -> Iterator[tuple[Mpf, Mpf]]:
        exp, log1p = self.context.exp, self.context.log1p
        unit, floor, strength = self.unit, self.floor, self.strength
        square = unit * unit
        tiny = self.context.eps
        places = [unit * t for t in nodes]
        seeds = self.seeds(np.array([float(a) for a in places]))
        for a, seed in zip(places, seeds, strict=True):
            v = exp(self.context.mpf(seed))
            for _ in range(40):
                E = exp(a + v)
                base, vE = floor + E, v * E
                h1 = base + vE
                d = (strength - v * base) / h1
                d = d / (1 + d * (E + E + vE) / (2 * h1))  # Halley
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
            loss = log1p(1 / E) if floor else 1 / E
            yield v / unit, (strength * loss + v * v / 2) / square


class _SmoothMap(ProximalMap):
    """A user's loss: safeguarded Newton on D + x V'(scale D) = t, each node from the last."""

    opaque = True

    def __init__(self, context: Context, loss: losses.SmoothLoss, x: Mpf, scale: Mpf):
        self.context, self.loss, self.x, self.scale = context, loss, x, scale

    def structure(self, digits: float) -> Structure:
        return Structure()

    def call(self, function: Callable[[Any], Any], margin: Mpf) -> Mpf:
        """The user's function at our precision, whichever context it computes in."""
        with mpmath.mp.workprec(self.context.prec):
            try:
                value = function(public(margin))
            except (TypeError, AttributeError) as failure:  # NumPy's functions end here
                value = failure
            if not hasattr(value, "_mpf_") and not isinstance(value, int):
                raise InvalidArgument(
                    "loss",
                    "must have functions that take and return mpmath numbers",
                    f"{value!r} from {self.loss.name}",
                )
            return self.context.mpf(value)

    def point(self, t: Mpf, D: Mpf) -> Mpf:
        """D0(t) from the guess D."""
        x, scale = self.x, self.scale
        F = D + x * self.call(self.loss.dV, scale * D) - t
        # F' = 1 + x scale V'' >= 1 puts the root between D and D - F; twice that, for the rounding.
        low, high = min(D, D - 2 * F), max(D, D - 2 * F)
        for _ in range(400):
            step = F / (1 + x * scale * self.call(self.loss.d2V, scale * D))
            D = D - step
            if abs(step) <= 8 * self.context.eps * max(abs(D), abs(t)):
                return D
            if not low <= D <= high:
                D = (low + high) / 2
            F = D + x * self.call(self.loss.dV, scale * D) - t
            low, high = (low, D) if F > 0 else (D, high)
        raise CertificationError(
            f"the proximal point of {self.loss.name} at t = {mpmath.nstr(t, 8)} was not found"
        )

    def solve(self, nodes: Sequence[Mpf]) -> Iterator[tuple[Mpf, Mpf]]:
        D = nodes[0]
        for t in nodes:
            D = self.point(t, D)
            place = self.scale * D
            u = -self.x * self.call(self.loss.dV, place)
            yield u, self.x * self.call(self.loss.V, place) / self.scale + u * u / 2
