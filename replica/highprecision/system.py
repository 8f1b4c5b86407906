"""The equations as logarithmic residuals, in one precision and by one quadrature rule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from replica.highprecision.channel import Averages, Channel, ClusterChannel, TeacherChannel
from replica.highprecision.precision import CertificationError, Context, Mpf, workspace
from replica.highprecision.proximal import proximal_map
from replica.highprecision.quadrature import Rule
from replica.highprecision.reading import Task
from replica.highprecision.spectra import Spectral

#: Digits carried beyond those asked for; a choice, above the 4 that the quadrature keeps.
GUARD_DIGITS = 15
#: Most digits that g may lose to cancellation and is still given in full; a choice.
_MOST_LOST = 15


class Point(NamedTuple):
    """Where the unknowns are, and the data's averages there, in units of the field."""

    c: Mpf
    R: Mpf
    s2: Mpf  # 1 - R^2
    scale: Mpf  # sqrt(Q)
    nA: Mpf  # n E[u^2]
    K: Mpf  # n times the derivative of the envelope
    g: Mpf
    balance: Mpf  # of the pushes that the two clusters give the intercept


class System:
    """Residuals of one task, for ``digits`` digits; a higher level is another, finer rule."""

    def __init__(self, task: Task, digits: int, level: int):
        self.task = task
        cancelled = _cancelled_digits(task)
        lost = 0 if task.spectrum is None else _structured_digits(task)
        # Digits that the numbers themselves eat: alpha multiplies every residual, and exp(log x)
        # loses as many as log x has before the point.
        spare = GUARD_DIGITS + math.ceil(abs(math.log10(float(task.alpha)))) + cancelled + lost
        spare += math.ceil(math.log10(max(10.0, abs(task.start[task.second]))))
        self.context = workspace(digits + spare + 5 * level)
        self.alpha = self.context.mpf(task.alpha)
        kept = digits + 4 + cancelled + lost
        # 1.2 nodes a digit is near the optimum of nodes per unit length for this bound.
        rule = Rule(kept + 2 * level, math.ceil(1.2 * kept) + 5 * level)
        self.digits = kept
        self._averages: dict[tuple[Mpf, ...], Averages] = {}
        self.spectrum: Spectral | None = None
        if task.spectrum is not None:
            self.spectrum = task.spectrum(self.context, kept + 2 * level, level)
        self.distance = self.context.one
        self.channel: Channel = TeacherChannel(self.context, rule, task)
        if self.spectrum is not None and task.positive is not None:
            self.distance = self.context.sqrt(self.spectrum.power)
            self.channel = ClusterChannel(self.context, rule, self.distance, task.positive)

    def unknowns(self, z: Sequence[Mpf]) -> dict[str, Mpf]:
        """The unknowns by name."""
        return dict(zip(self.task.start, (self.context.mpf(v) for v in z), strict=True))

    def overlap(self, at: Mapping[str, Mpf]) -> tuple[Mpf, Mpf, Mpf]:
        """c, R and 1 - R^2; without ``log_c`` there is no signal."""
        c = self.context.exp(at["log_c"]) if "log_c" in at else self.context.zero
        s2 = 1 / (1 + c * c)
        return c, c * self.context.sqrt(s2), s2

    def averages(self, at: Mapping[str, Mpf], R: Mpf, s2: Mpf, scale: Mpf) -> Averages:
        """Those of the channel, which sees all unknowns but nu; the last few are kept."""
        key = tuple(at.values())
        if key not in self._averages:
            proximal = proximal_map(self.context, self.task, at[self.task.second], scale)
            found = self.channel.averages(proximal, R, s2, at.get("intercept"))
            recent = list(self._averages.items())[-len(self.task.start) :]
            self._averages = {**dict(recent), key: found}
        return self._averages[key]

    def point(self, at: Mapping[str, Mpf]) -> Point:
        """All that the data's side says at the unknowns."""
        ctx = self.context
        c, R, s2 = self.overlap(at)
        scale = ctx.exp(at["log_q"] / 2) if "log_q" in at else ctx.one
        found = self.averages({k: v for k, v in at.items() if k != "log_nu"}, R, s2, scale)
        K = self.alpha * found.pull
        # At fixed covariance with the teacher R falls with Q; the mean of a margin does not.
        g = -self.alpha * found.moment
        if self.task.positive is None:
            g = g + R * K
        if abs(g) <= abs(K) * ctx.mpf(10) ** -self.digits:
            g = ctx.zero  # a difference of nothing but rounding: Hebb's rule
        return Point(c, R, s2, scale, self.alpha * found.square, K, g, found.balance)

    def residual(self, z: Sequence[Mpf]) -> list[Mpf]:
        """log(right/left) of each equation."""
        ctx = self.context
        at = self.unknowns(z)
        p = self.point(at)
        ratios = self.sphere(p) if self.spectrum is None else self.structured(self.spectrum, p, at)
        residual = [ctx.log(ratio) for ratio in ratios]
        if not all(isinstance(r, ctx.mpf) and ctx.isfinite(r) for r in residual):
            raise CertificationError("an integral that must be positive was not")
        return residual

    def sphere(self, p: Point) -> list[Mpf]:
        """Eqs. (13) and (14), where nu and Q are eliminated: nu = 1 - g, Q = 1."""
        ratios = [p.nA / p.s2]
        if p.R:
            ratios.insert(0, p.K / p.R)
        return ratios

    def structured(self, spectrum: Spectral, p: Point, at: Mapping[str, Mpf]) -> list[Mpf]:
        """The same with nu and Q, and the intercept, unknown."""
        nu = self.context.exp(at["log_nu"])
        sums = spectrum.moments(nu, p.g)
        K = p.K if p.R else self.context.zero
        # T3 power/T1^2 >= 1 by Cauchy and Schwarz.
        spread = sums.T3 * spectrum.power / (sums.T1 * sums.T1) - 1
        ratios = [
            (p.nA * sums.W2 + p.R * p.R * spread) / p.s2,
            sums.one,
            p.scale * p.scale * (p.nA * sums.W1 + K * K * sums.T2),
        ]
        if p.R:
            ratios.insert(0, K * sums.T1 / (self.distance * p.R))
        if "intercept" in at:
            ratios.append(p.balance)
        return ratios

    def generalization_error(self, at: Mapping[str, Mpf]) -> Mpf:
        """Eq. (2), or the share of the Gaussians on the wrong side."""
        ctx = self.context
        c, R, _ = self.overlap(at)
        if self.task.positive is None:
            return ctx.atan2(1, c) / ctx.pi
        kappa, beta = self.distance * R, at.get("intercept", ctx.zero)
        share, root2 = ctx.mpf(self.task.positive), ctx.sqrt(2)
        return (
            share * ctx.erfc((kappa + beta) / root2)
            + (1 - share) * ctx.erfc((kappa - beta) / root2)
        ) / 2

    def error(self, z: Sequence[Mpf], move: Sequence[Mpf]) -> Mpf:
        """Relative change of eps (of x or kappa without signal) that a move makes."""
        ctx = self.context
        at = self.unknowns(z)
        by = dict(zip(self.task.start, move, strict=True))
        if "log_c" not in at:
            return abs(by[self.task.second])
        c, R, s2 = self.overlap(at)
        if self.task.positive is None:
            return abs(by["log_c"]) * c / ((1 + c * c) * ctx.atan(1 / c))
        kappa, beta = self.distance * R, at.get("intercept", ctx.zero)
        share, shift = ctx.mpf(self.task.positive), by.get("intercept", ctx.zero)
        step = kappa * s2 * by["log_c"]
        change = share * ctx.npdf(kappa + beta) * (step + shift)
        change += (1 - share) * ctx.npdf(kappa - beta) * (step - shift)
        return abs(change) / self.generalization_error(at)


def _cancelled_digits(task: Task) -> int:
    """Digits that the second integral loses, odd but for M: log10 of x M(0) / (s u(0))."""
    if "log_c" not in task.start or task.positive is not None:
        return 0
    context = workspace(60)
    scale = context.exp(context.mpf(task.start.get("log_q", 0.0)) / 2)
    proximal = proximal_map(context, task, context.mpf(task.start[task.second]), scale)
    u, xM = next(proximal.solve([context.zero]))
    if u == 0 or xM == 0:
        return 0
    stretch = max(task.start["log_c"], 0.0) / math.log(10)
    return max(0, math.ceil(float(context.log10(abs(xM / u))) + stretch))


def _structured_digits(task: Task) -> int:
    """Digits lost by g and by 1 - R^2, both differences.

    g is one of numbers of the size of n E|t u| <= sqrt(n) sqrt(n E[u^2]) <= sqrt(n/W2). Its error
    is W2 times as large in sum p omega/d; g itself is wanted, too, unless it is next to nothing.
    """
    if task.spectrum is None:
        return 0
    context: Context = workspace(30)
    nu, g = context.exp(task.start["log_nu"]), context.mpf(task.start_g)
    W2 = task.spectrum(context, 15, 0).moments(nu, g).W2
    n = context.mpf(task.alpha)
    lost = float(context.log10(n * W2)) / 2
    if g > 0:
        lost = max(
            lost, min(float(_MOST_LOST), float(context.log10(n / W2)) / 2 - float(context.log10(g)))
        )
    lost = max(lost, 0.0) + 2 * max(task.start.get("log_c", 0.0), 0.0) / math.log(10)
    return math.ceil(lost)
