"""The two equations as logarithmic residuals, in one precision and by one quadrature rule."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from replica.highprecision.proximal import ProximalMap, proximal_map
from replica.highprecision.quadrature import Panel, Rule
from replica.highprecision.reading import CertificationError, Mpf, Task, workspace

#: Digits carried beyond those asked for; a choice, above the 4 that the quadrature keeps.
GUARD_DIGITS = 15


class _Level(NamedTuple):
    """A noise level at one R, in the letters of the package's page."""

    weight: Mpf  # w_k
    slope: Mpf  # c_k/sqrt(2)
    sharpness: Mpf  # 1/s_k^2
    pull: Mpf  # w_k c_k'

    @property
    def width(self) -> float:
        return 1 / math.sqrt(float(self.sharpness))


class System:
    """Residuals of one task, for ``digits`` digits; a higher level is another, finer rule."""

    def __init__(self, task: Task, digits: int, level: int):
        self.task = task
        cancelled = _cancelled_digits(task)
        # Digits that the numbers themselves eat: alpha multiplies every residual, and exp(log x)
        # loses as many as log x has before the point.
        spare = GUARD_DIGITS + math.ceil(abs(math.log10(float(task.alpha)))) + cancelled
        spare += math.ceil(math.log10(max(10.0, abs(task.start[-1]))))
        self.context = workspace(digits + spare + 5 * level)
        self.alpha = self.context.mpf(task.alpha)
        self.levels = [(self.context.mpf(w), self.context.mpf(s)) for w, s in task.levels]
        self.offset = 1 - sum((w for w, _ in self.levels), self.context.zero)
        kept = digits + 4 + cancelled
        # 1.2 nodes a digit is near the optimum of nodes per unit length for this bound.
        self.rule = Rule(kept + 2 * level, math.ceil(1.2 * kept) + 5 * level)
        self.found: list[Panel] | None = None  # panels for an opaque map

    def overlap(self, log_c: Sequence[Mpf]) -> tuple[Mpf, Mpf, Mpf]:
        """c, R and 1 - R^2; an empty ``log_c`` is no signal."""
        c = self.context.exp(log_c[0]) if log_c else self.context.zero
        s2 = 1 / (1 + c * c)
        return c, c * self.context.sqrt(s2), s2

    def residual(self, z: Sequence[Mpf]) -> list[Mpf]:
        """log(right/left) of each equation."""
        ctx = self.context
        *log_c, second = (ctx.mpf(v) for v in z)
        _, R, s2 = self.overlap(log_c)
        levels = []
        for w, sigma in self.levels:
            total = 1 + sigma * sigma
            rest = sigma * sigma + s2
            root = ctx.sqrt(rest)
            levels.append(
                _Level(w, R / (root * ctx.sqrt(2)), total / rest, w * total / (rest * root))
            )
        in_x, in_R = self.integrals(proximal_map(ctx, self.task, second), levels)
        residual = [ctx.log(self.alpha * in_x / s2)]
        if levels:
            residual.insert(0, ctx.log(self.alpha * in_R / (ctx.pi * R)))
        if not all(isinstance(r, ctx.mpf) and ctx.isfinite(r) for r in residual):
            raise CertificationError("an integral that must be positive was not")
        return residual

    def integrals(self, proximal: ProximalMap, levels: Sequence[_Level]) -> tuple[Mpf, Mpf]:
        """Int Dt W u^2, and -sum_k w_k c_k' int dt t exp(-t^2/(2 s_k^2)) x M."""
        ctx, radius = self.context, self.rule.radius
        exp, erfc = ctx.exp, ctx.erfc
        structure = proximal.structure(self.rule.digits)
        widths = sorted(level.width for level in levels)
        low = -radius * (1.0 if self.offset != 0 or not widths else widths[-1])
        high = min(radius, structure.end)
        if low >= high:
            raise CertificationError("the loss has no weight below its zero")
        panels = self.found
        if panels is None:
            # Of many levels a few widths will do: between them the bounds change little.
            some = (*widths[:: max(1, len(widths) // 4)], 1.0)
            structure = dataclasses.replace(structure, widths=some)
            accept = functools.partial(self.accepts, proximal)
            panels = self.rule.panels(low, high, structure, accept)
        if proximal.opaque:  # looked at once: elsewhere the same panels would do
            self.found = panels
        # Beyond `radius` standard deviations a Gaussian factor is dropped.
        limits = [(radius * level.width) ** 2 for level in levels]
        in_x = in_R = ctx.zero
        ts, weights = self.rule.nodes(ctx, panels, structure)
        for t, weight, (u, xM) in zip(ts, weights, proximal.solve(ts), strict=True):
            q = t * t / 2
            square = float(t) ** 2
            W, pull = self.offset, ctx.zero
            for level, limit in zip(levels, limits, strict=True):
                if square < limit:
                    W = W + level.weight * erfc(-level.slope * t)
                    pull = pull + level.pull * exp(-q * level.sharpness)
                elif t > 0:
                    W = W + 2 * level.weight
            in_x = in_x + weight * exp(-q) * W * u * u
            if pull:
                in_R = in_R - weight * t * pull * xM
        return in_x / ctx.sqrt(2 * ctx.pi), in_R

    def accepts(self, proximal: ProximalMap, low: float, high: float) -> bool:
        """For an opaque map, whether the Legendre series of u decays as fast as is needed."""
        if not proximal.opaque:
            return True
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

    def error(self, z: Sequence[Mpf], move: Sequence[Mpf]) -> Mpf:
        """Relative change of eps (of x or kappa without signal) that a move makes."""
        if not self.levels:
            return abs(move[0])
        c, _, _ = self.overlap(z[:1])
        return abs(move[0]) * c / ((1 + c * c) * self.context.atan(1 / c))


def _cancelled_digits(task: Task) -> int:
    """Digits that the second integral loses, odd but for M: log10 of x M(0) / (s u(0))."""
    if len(task.start) == 1:
        return 0
    context = workspace(60)
    log_c, second = task.start
    u, xM = next(proximal_map(context, task, context.mpf(second)).solve([context.zero]))
    if u == 0 or xM == 0:
        return 0
    return max(0, math.ceil(float(context.log10(abs(xM / u))) + max(log_c, 0.0) / math.log(10)))
