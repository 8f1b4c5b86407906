"""Composite Gauss-Legendre: which panels are fine enough, and the nodes on them."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from replica.highprecision.precision import CertificationError, Context, Mpf, workspace

Panel = tuple[float, float]

#: Where on the way to the nearest singularity the bound is tried; a choice.
_RATIOS = np.linspace(0.0, 1.0, 25)[1:]


@dataclass(frozen=True)
class Structure:
    """What the quadrature must know of its integrand; floats are enough, but for kinks."""

    widths: tuple[float, ...] = ()  # of the Gaussian factors
    marks: Mapping[float, Mpf] = field(default_factory=dict)  # where panels end, and exactly where
    singular: tuple[complex, ...] = ()
    rate: float = 0.0  # u decays like exp(-rate t) ...
    edge: float = math.inf  # ... to the right of here,
    end: float = math.inf  # and is negligible from here on.


@dataclass(frozen=True)
class Rule:
    """A tolerance 10^-digits and a degree."""

    digits: float
    degree: int

    @property
    def radius(self) -> float:
        """Where exp(-z^2/2) times a polynomial is below the tolerance."""
        return math.sqrt(2 * math.log(10) * (self.digits + 5))

    def resolves(self, low: float, high: float, structure: Structure) -> bool:
        """Whether rho^(-2n) max|f| on some Bernstein ellipse is below the tolerance."""
        half, middle = (high - low) / 2, (high + low) / 2
        log_rho = 4.0  # a choice: larger ellipses gain nothing
        for point in structure.singular:
            w = (point - middle) / half
            # The ellipse with foci -1 and 1 through w has semi-axis (|w + 1| + |w - 1|)/2.
            log_rho = min(log_rho, math.acosh(max(1.0, (abs(w + 1) + abs(w - 1)) / 2)))
        trial = log_rho * _RATIOS
        exponent = -2 * self.degree * trial
        nearest = max(low, -high, 0.0)
        reached = [s for s in structure.widths if nearest < self.radius * s]
        if reached:  # exp(-t^2/(2 s^2)) grows to exp(b^2/(2 s^2))
            exponent = exponent + (half * np.sinh(trial) / min(reached)) ** 2 / 2
        if high > structure.edge:  # u^2 grows to exp(2 rate half cosh)
            exponent = exponent + 2 * structure.rate * half * np.cosh(trial)
        return bool(exponent.min() <= -math.log(10) * self.digits)

    def panels(
        self, low: float, high: float, structure: Structure, accept: Callable[[float, float], bool]
    ) -> list[Panel]:
        """Panels of [low, high], halved until resolved and accepted."""
        marks = {0.0, *structure.marks}
        for s in structure.widths:
            marks |= {-self.radius * s, self.radius * s}
        ends = [low, *sorted(m for m in marks if low < m < high), high]
        stack = list(itertools.pairwise(ends))[::-1]
        done = []
        while stack:
            a, b = stack.pop()
            middle = a + (b - a) / 2
            narrow = not a < middle < b or b - a < 1e-12 * min(structure.widths)
            if narrow or (self.resolves(a, b, structure) and accept(a, b)):
                done.append((a, b))
            else:
                stack += [(middle, b), (a, middle)]
            if len(done) + len(stack) > 20_000:
                raise CertificationError("the integrand needs more than 20000 panels")
        return done

    def nodes(
        self, context: Context, panels: Sequence[Panel], structure: Structure
    ) -> tuple[list[Mpf], list[Mpf]]:
        """Nodes and weights on all panels."""
        rule = [
            (context.make_mpf(z), context.make_mpf(w))
            for z, w in _legendre(self.degree, context.dps)
        ]
        ts, weights = [], []
        for ends in panels:
            a, b = (context.mpf(structure.marks.get(end, end)) for end in ends)
            half, middle = (b - a) / 2, (b + a) / 2
            ts += [middle + half * z for z, _ in rule]
            weights += [half * w for _, w in rule]
        return ts, weights


@functools.lru_cache(maxsize=64)
def _legendre(n: int, digits: int) -> tuple[tuple[Any, Any], ...]:
    """Gauss-Legendre nodes and weights on [-1, 1], as raw mpmath tuples."""
    context = workspace(digits + 10)
    rule = []
    for seed in np.polynomial.legendre.leggauss(n)[0].tolist():
        z, step = context.mpf(seed), context.one
        while abs(step) >= context.mpf(10) ** -(digits // 2 + 4):
            p, q = context.one, z
            for k in range(2, n + 1):
                p, q = q, ((2 * k - 1) * z * q - (k - 1) * p) / k
            slope = n * (z * q - p) / (z * z - 1)
            step = q / slope
            z = z - step
        # The slope was taken before the last step, where P_n'' = 2 z P_n'/(1 - z^2).
        slope = slope * (1 - 2 * z * step / (1 - z * z))
        rule.append((z._mpf_, (2 / ((1 - z * z) * slope * slope))._mpf_))
    return tuple(rule)
