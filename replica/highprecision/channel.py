"""The data's side: averages of the push over the field of an example, for either kind of label."""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
from typing import NamedTuple

import numpy as np

from replica.highprecision.precision import CertificationError, Context, Mpf
from replica.highprecision.proximal import ProximalMap
from replica.highprecision.quadrature import Panel, Rule, Structure
from replica.highprecision.reading import Task


class Averages(NamedTuple):
    """What the equations need, per example."""

    square: Mpf  # E[u^2]
    pull: Mpf  # -x times the derivative of the mean envelope by R, or by kappa
    moment: Mpf  # E[t u]
    balance: Mpf  # E[u; positive]/E[u; negative]; 1 where there is nothing to balance


class _Level(NamedTuple):
    """A noise level at one R, in the letters of the package's page."""

    weight: Mpf  # w_k
    slope: Mpf  # c_k/sqrt(2)
    sharpness: Mpf  # 1/s_k^2
    pull: Mpf  # w_k c_k'

    @property
    def width(self) -> float:
        return 1 / math.sqrt(float(self.sharpness))


class Channel(abc.ABC):
    """One rule of integration; opaque maps are looked at once."""

    def __init__(self, context: Context, rule: Rule):
        self.context = context
        self.rule = rule
        self.found: dict[int, list[Panel]] = {}  # panels for an opaque map

    @abc.abstractmethod
    def averages(self, proximal: ProximalMap, R: Mpf, s2: Mpf, intercept: Mpf | None) -> Averages:
        """At overlap R, with s2 = 1 - R^2."""

    def panels(
        self,
        key: int,
        low: float,
        high: float,
        structure: Structure,
        proximal: ProximalMap,
        center: Mpf,
    ) -> list[Panel]:
        """Panels in t of a map whose argument is center + t."""
        if not low < high:
            raise CertificationError("the loss has no weight below its zero")
        if key in self.found:  # elsewhere the same panels would do
            return self.found[key]
        accept = functools.partial(self.accepts, proximal, center)
        panels = self.rule.panels(low, high, structure, accept)
        if proximal.opaque:
            self.found[key] = panels
        return panels

    def accepts(self, proximal: ProximalMap, center: Mpf, low: float, high: float) -> bool:
        """For an opaque map, whether the Legendre series of u decays as fast as is needed."""
        if not proximal.opaque:
            return True
        n = 16
        node, weight = np.polynomial.legendre.leggauss(n)
        ts = [self.context.mpf(low + (high - low) * (z + 1) / 2) + center for z in node.tolist()]
        values = [u for u, _ in proximal.solve(ts)]
        largest = max(abs(v) for v in values)
        if largest == 0:
            return True
        f = np.array([float(v / largest) for v in values])
        series = np.abs(np.polynomial.legendre.legvander(node, n - 1).T @ (weight * f))
        wanted = 10 ** (-self.rule.digits * n / (2 * self.rule.degree))
        return bool(series[-3:].max() <= max(wanted, 1e-13))


class TeacherChannel(Channel):
    """Labels of a teacher: the field in the direction of the label has density W(t) phi(t)."""

    def __init__(self, context: Context, rule: Rule, task: Task):
        super().__init__(context, rule)
        self.levels = [(context.mpf(w), context.mpf(s)) for w, s in task.levels]
        self.offset = 1 - sum((w for w, _ in self.levels), context.zero)

    def at(self, R: Mpf, s2: Mpf) -> list[_Level]:
        """The noise levels at one R."""
        root2, levels = self.context.sqrt(2), []
        for w, sigma in self.levels:
            total = 1 + sigma * sigma
            rest = sigma * sigma + s2
            root = self.context.sqrt(rest)
            levels.append(_Level(w, R / (root * root2), total / rest, w * total / (rest * root)))
        return levels

    def averages(self, proximal: ProximalMap, R: Mpf, s2: Mpf, intercept: Mpf | None) -> Averages:
        """Int Dt W u^2; -(1/pi) sum_k w_k c_k' int dt t exp(-t^2/(2 s_k^2)) x M; int Dt W t u."""
        ctx, radius = self.context, self.rule.radius
        exp, erfc = ctx.exp, ctx.erfc
        levels = self.at(R, s2)
        structure = proximal.structure(self.rule.digits)
        widths = sorted(level.width for level in levels)
        low = -radius * (1.0 if self.offset != 0 or not widths else widths[-1])
        high = min(radius, structure.end)
        # Of many levels a few widths will do: between them the bounds change little.
        some = (*widths[:: max(1, len(widths) // 4)], 1.0)
        structure = dataclasses.replace(structure, widths=some)
        panels = self.panels(0, low, high, structure, proximal, ctx.zero)
        # Beyond `radius` standard deviations a Gaussian factor is dropped.
        limits = [(radius * level.width) ** 2 for level in levels]
        square = pull = moment = ctx.zero
        ts, weights = self.rule.nodes(ctx, panels, structure)
        for t, weight, (u, xM) in zip(ts, weights, proximal.solve(ts), strict=True):
            q = t * t / 2
            distance = float(t) ** 2
            W, slope = self.offset, ctx.zero
            for level, limit in zip(levels, limits, strict=True):
                if distance < limit:
                    W = W + level.weight * erfc(-level.slope * t)
                    slope = slope + level.pull * exp(-q * level.sharpness)
                elif t > 0:
                    W = W + 2 * level.weight
            mass = weight * exp(-q) * W * u
            square = square + mass * u
            moment = moment + mass * t
            if slope:
                pull = pull - weight * t * slope * xM
        norm = ctx.sqrt(2 * ctx.pi)
        return Averages(square / norm, pull / ctx.pi, moment / norm, ctx.one)


class ClusterChannel(Channel):
    """Labels are clusters: the field is y intercept + kappa + t with t normal."""

    def __init__(self, context: Context, rule: Rule, distance: Mpf, positive: Mpf):
        super().__init__(context, rule)
        self.distance = distance
        self.fractions = [(1, context.mpf(positive)), (-1, 1 - context.mpf(positive))]

    def averages(self, proximal: ProximalMap, R: Mpf, s2: Mpf, intercept: Mpf | None) -> Averages:
        """E[u^2], E[u], E[t u], each over t and over the clusters."""
        kappa = self.distance * R
        if intercept is None:
            return Averages(*self.side(1, proximal, kappa), balance=self.context.one)
        parts = []
        for y, share in self.fractions:
            part = self.side(y, proximal, kappa + y * intercept)
            parts.append([share * v for v in part])
        square, pull, moment = (a + b for a, b in zip(*parts, strict=True))
        return Averages(square, pull, moment, parts[0][1] / parts[1][1])

    def side(self, key: int, proximal: ProximalMap, center: Mpf) -> tuple[Mpf, Mpf, Mpf]:
        """The same of one cluster, whose fields are center + t."""
        ctx, radius = self.context, self.rule.radius
        middle = float(center)
        found = proximal.structure(self.rule.digits)
        structure = Structure(
            widths=(1.0,),
            marks={float(mark - center): mark - center for mark in found.marks.values()},
            singular=tuple(point - middle for point in found.singular),
            rate=found.rate,
            edge=found.edge - middle,
        )
        # Right of its edge u falls like exp(-rate f), while the Gaussian may grow by
        # exp((center - edge)^2/2) on the way to the bulk of the cluster.
        reach = found.end
        if found.rate:
            reach += max(0.0, middle - found.edge) ** 2 / (2 * found.rate)
        high = min(radius, reach - middle)
        # A push that few examples feel comes from t near -center.
        low = -radius - max(0.0, middle)
        panels = self.panels(key, low, high, structure, proximal, center)
        square = mean = moment = ctx.zero
        ts, weights = self.rule.nodes(ctx, panels, structure)
        places = [center + t for t in ts]
        for t, weight, (u, _) in zip(ts, weights, proximal.solve(places), strict=True):
            mass = weight * ctx.exp(-t * t / 2) * u
            mean = mean + mass
            square = square + mass * u
            moment = moment + mass * t
        norm = ctx.sqrt(2 * ctx.pi)
        return square / norm, mean / norm, moment / norm
