r"""Sums over a spectrum, exactly: lists, power laws with their tails, Marchenko-Pastur.

The six sums of the weights' side (`Moments`), for any nu > 0 and g >= 0. None of them is a
quadrature over nodes made elsewhere: a list is summed mode by mode; a power law mode by
mode up to K - 1 and by Euler and Maclaurin's formula from K on, with the tail's integral
as incomplete beta functions; the law of Marchenko and Pastur follows from its quadratic.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import NamedTuple

from replica.highprecision.precision import CertificationError, Context, Mpf


class Moments(NamedTuple):
    """Sums over modes of weight p, eigenvalue omega and signal tau, with d = nu + g omega."""

    one: Mpf  # sum p omega / d
    W1: Mpf  # sum p omega / d^2
    W2: Mpf  # sum p omega^2 / d^2
    T1: Mpf  # sum tau omega / d
    T2: Mpf  # sum tau omega / d^2
    T3: Mpf  # sum tau omega^2 / d^2


class Spectral(abc.ABC):
    """One spectrum with its signal, in one precision.

    The signal of a mode is p omega theta^2 / sum for a teacher, p mean^2 / omega for
    clusters; ``power`` is its sum, 1 for a teacher, and ``count`` the sum of the weights
    of modes that have a variance.
    """

    power: Mpf
    count: Mpf

    @abc.abstractmethod
    def moments(self, nu: Mpf, g: Mpf) -> Moments:
        """The six sums."""


class Modes(Spectral):
    """A list of modes."""

    def __init__(
        self,
        context: Context,
        eigenvalues: Sequence[float],
        weights: Sequence[float],
        signal: Sequence[Mpf],
    ):
        self.context = context
        self.eigenvalues = [context.mpf(v) for v in eigenvalues]
        self.weights = [context.mpf(v) for v in weights]
        self.signal = [context.mpf(v) for v in signal]
        self.power = context.fsum(self.signal)
        self.count = context.fsum(self.weights)

    def moments(self, nu: Mpf, g: Mpf) -> Moments:
        """Mode by mode."""
        zero = self.context.zero
        one, W1, W2, T1, T2, T3 = (zero,) * 6
        for omega, p, s in zip(self.eigenvalues, self.weights, self.signal, strict=True):
            d = 1 / (nu + g * omega)
            rho = omega * d
            one += p * rho
            W1 += p * rho * d
            W2 += p * rho * rho
            T1 += s * rho
            T2 += s * rho * d
            T3 += s * rho * rho
        return Moments(one, W1, W2, T1, T2, T3)


class MarchenkoPastur(Spectral):
    r"""The law of Marchenko and Pastur of mean 1, theta^2 equal in all modes (tau = p omega).

    With q = g/nu and S = sum p/(1 + q omega), the quadratic c q S^2 + (1 + q (1 - c)) S = 1
    and T = sum p omega/(1 + q omega) = S/(1 + c q S). Derivatives by q give the squares,
    without cancellation. A point mass at zero takes no part in any of the sums.
    """

    def __init__(self, context: Context, ratio: Mpf):
        self.context = context
        self.ratio = context.mpf(ratio)
        self.power = context.one
        self.count = min(context.one, 1 / self.ratio)

    def moments(self, nu: Mpf, g: Mpf) -> Moments:
        """From T, S and their derivatives."""
        c, q = self.ratio, g / nu
        b = 1 + q * (1 - c)
        root = self.context.sqrt(b * b + 4 * c * q)
        S = 2 / (b + root) if b > 0 else (root - b) / (2 * c * q)
        T = S / (1 + c * q * S)
        slope = 1 / (T * T) + q / (S * S)
        first = T * (T / S + c)  # sum p omega^2 / (1 + q omega)
        W2 = (T / (S * S) + c) / slope  # -dT/dq
        W1 = 1 / (S * slope)  # T - q W2
        T3 = 2 * T * W2 / S - T * T * W1 / (S * S) + c * W2  # -d first/dq
        square = nu * nu
        return Moments(T / nu, W1 / square, W2 / square, first / nu, W2 / square, T3 / square)


class PowerLaw(Spectral):
    r"""omega_k = k^-a and tau_k = k^-b / sum, b = 1 + 2ar, for k = 1, 2, ... up to ``modes``.

    All sums are sum_k k^-p (1 + q k^-a)^-m with q = g/nu, p in (a, 2a, b + a, b + 2a) and
    m in (0, 1, 2).

    Parameters
    ----------
    digits : int
        Relative digits wanted of each sum.
    level : int
        Another level is another K and another order: their difference is the error.
    """

    def __init__(
        self,
        context: Context,
        capacity: Mpf,
        source: Mpf,
        modes: int | None,
        digits: int,
        level: int,
    ):
        self.context = context
        self.a = context.mpf(capacity)
        self.b = 1 + 2 * self.a * context.mpf(source)
        self.modes = modes
        self.digits = digits
        # Terms of order j are about (2j - 1)!/(2 pi K)^2j times powers of j: the last is below
        # 10^-digits. If it is not, `sums` doubles K.
        self.order = digits // 2 + 6 + level
        self.first = digits + 10 + 7 * level
        self._powers: dict[int, tuple[Mpf, Mpf]] = {}
        self.power = context.one
        self.count = context.inf if modes is None else context.mpf(modes)
        (norm,) = self.sums(context.zero, [(self.b, 0)])
        self.norm = norm

    def moments(self, nu: Mpf, g: Mpf) -> Moments:
        """As sums of powers of k."""
        a, b = self.a, self.b
        wanted = [(a, 1), (a, 2), (2 * a, 2), (b + a, 1), (b + a, 2), (b + 2 * a, 2)]
        one, W1, W2, T1, T2, T3 = self.sums(g / nu, wanted)
        square, Z = nu * nu, self.norm
        return Moments(
            one / nu, W1 / square, W2 / square, T1 / (Z * nu), T2 / (Z * square), T3 / (Z * square)
        )

    def sums(self, q: Mpf, wanted: Sequence[tuple[Mpf, int]]) -> list[Mpf]:
        """Sum over k of k^-p (1 + q k^-a)^-m, for each (p, m) that is wanted."""
        tolerance = self.context.mpf(10) ** -self.digits
        K = self.start(q)
        for _ in range(12):
            end = self.modes if self.modes is not None and self.modes < 2 * K else K - 1
            totals = [
                self.context.fsum(self.term(k, q, p, m) for k in range(1, end + 1))
                for p, m in wanted
            ]
            if end == self.modes:
                return totals
            tails = self.tail(K, q, wanted)
            if all(
                abs(last) <= tolerance * abs(total + tail)
                for total, (tail, last) in zip(totals, tails, strict=True)
            ):
                return [total + tail for total, (tail, _) in zip(totals, tails, strict=True)]
            K *= 2
        raise CertificationError("the tail of the power law needs more than a million modes")

    def start(self, q: Mpf) -> int:
        """K: beyond it the summand is smooth on the scale of one mode.

        Its singularities are 0 and kappa e^(+- i pi/a), kappa = q^(1/a) the last learned mode;
        one at distance d of the real axis beyond K costs e^(-2 pi d).
        """
        K = self.first + math.ceil(2 * self.b)
        if q > 0 and self.a > 2:
            kappa = float(self.context.log(q) / self.a)
            needed = math.log(10) * (self.digits + 5) / (2 * math.pi)
            height = math.log(math.sin(math.pi / float(self.a)))
            if kappa + height < math.log(needed):
                K += math.ceil(math.exp(kappa))
        return K

    def powers(self, k: int) -> tuple[Mpf, Mpf]:
        """(log k, k^-a)."""
        if k not in self._powers:
            log_k = self.context.log(k)
            self._powers[k] = log_k, self.context.exp(-self.a * log_k)
        return self._powers[k]

    def term(self, k: int, q: Mpf, p: Mpf, m: int) -> Mpf:
        """One mode."""
        log_k, omega = self.powers(k)
        return self.context.exp(-p * log_k) * (1 + q * omega) ** -m

    def tail(self, K: int, q: Mpf, wanted: Sequence[tuple[Mpf, int]]) -> list[tuple[Mpf, Mpf]]:
        """Sums from K to the end by Euler and Maclaurin, each with the last of its terms."""
        low = self.corrections(K, q, wanted)
        tails = [
            (self.integral(K, q, p, m) + self.term(K, q, p, m) / 2 - total, abs(last))
            for (p, m), (total, last) in zip(wanted, low, strict=True)
        ]
        if self.modes is None:
            return tails
        high = self.corrections(self.modes, q, wanted)
        return [
            (tail + self.term(self.modes, q, p, m) / 2 + total, last + abs(also))
            for (tail, last), (p, m), (total, also) in zip(tails, wanted, high, strict=True)
        ]

    def corrections(
        self, K: int, q: Mpf, wanted: Sequence[tuple[Mpf, int]]
    ) -> list[tuple[Mpf, Mpf]]:
        """Sums of B_2j/(2j)! times the derivatives of order 2j - 1 at K; and the last terms."""
        ctx, size = self.context, 2 * self.order
        log_K, omega = self.powers(K)
        inner = [q * omega * v for v in _binomial(ctx, -self.a, size)]
        inner[0] += 1
        powers = {m: _power(ctx, inner, -m) for m in {m for _, m in wanted}}
        factors = [
            ctx.bernoulli(2 * j) / (2 * j) / ctx.mpf(K) ** (2 * j - 1)
            for j in range(1, self.order + 1)
        ]
        found = []
        for p, m in wanted:
            outer, scale = _binomial(ctx, -p, size), ctx.exp(-p * log_K)
            terms = [
                scale * factor * ctx.fdot(zip(outer[: n + 1], powers[m][n::-1], strict=True))
                for n, factor in zip(range(1, size, 2), factors, strict=True)
            ]
            found.append((ctx.fsum(terms), terms[-1]))
        return found

    def integral(self, K: int, q: Mpf, p: Mpf, m: int) -> Mpf:
        r"""Integral of k^-p (1 + q k^-a)^-m from K to the end.

        With v = y/(1 + y), y = k^a/q, it is q^(h)/a int dv v^(h + m - 1) (1 - v)^(-h - 1),
        h = (1 - p)/a: power series of v below 1/2 and of 1 - v above. Where q k^-a is small
        (q = 0 included) the series in q itself.
        """
        ctx, a = self.context, self.a
        end = None if self.modes is None else ctx.mpf(self.modes)
        w = q * self.powers(K)[1]
        if abs(w) < 0.0625:
            total, factor, j = ctx.zero, ctx.mpf(K) ** (1 - p), 0
            span = None if end is None else ctx.log(end / K)
            while True:
                exponent = 1 - p - a * j
                step = factor * (-1 / exponent if span is None else _ratio(ctx, exponent, span))
                total += step
                if abs(step) <= ctx.eps * abs(total):
                    return total
                j += 1
                factor *= -w * (m + j - 1) / j
        h = (1 - p) / a
        low = 1 / w  # y at K
        high = None if end is None else end**a / q
        total = ctx.zero
        if low < 1:
            upper = ctx.one / 2 if high is None or high > 1 else high / (1 + high)
            total += _beta_piece(ctx, h + m, -h, low / (1 + low), upper)
        if high is None or high > 1:
            bottom = ctx.zero if high is None else 1 / (1 + high)
            top = ctx.one / 2 if low < 1 else 1 / (1 + low)
            total += _beta_piece(ctx, -h, h + m, bottom, top)
        return total * q**h / a


def _ratio(ctx: Context, exponent: Mpf, span: Mpf) -> Mpf:
    """(e^(exponent span) - 1)/exponent."""
    return span if exponent == 0 else ctx.expm1(exponent * span) / exponent


def _beta_piece(ctx: Context, p: Mpf, e: Mpf, low: Mpf, high: Mpf) -> Mpf:
    """Integral of v^(p - 1) (1 - v)^(e - 1) from low to high, 0 <= low < high <= 1/2."""
    span = ctx.inf if low == 0 else ctx.log(high / low)
    total, coefficient, j = ctx.zero, ctx.one, 0
    top, bottom = high**p, ctx.zero if low == 0 else low**p
    while True:
        exponent = p + j
        if abs(exponent) * span > 1:
            step = coefficient * (top - bottom) / exponent
        else:  # the two powers are close, or the exponent is zero: a logarithm
            step = coefficient * top * _ratio(ctx, -exponent, span)
        total += step
        if coefficient == 0 or (j > 4 and abs(step) <= ctx.eps * abs(total) and _settled(e, j)):
            return total
        j += 1
        coefficient *= (j - e) / j
        top, bottom = top * high, bottom * low


def _settled(e: Mpf, j: int) -> bool:
    """Whether the coefficients (1 - e)_j/j! no longer grow faster than 2^j falls."""
    return abs(j + 1 - e) < 1.5 * (j + 1)


def _binomial(ctx: Context, exponent: Mpf, size: int) -> list[Mpf]:
    """Taylor coefficients of (1 + d)^exponent."""
    series = [ctx.one]
    for j in range(1, size):
        series.append(series[-1] * (exponent - j + 1) / j)
    return series


def _power(ctx: Context, series: Sequence[Mpf], exponent: int) -> list[Mpf]:
    """Taylor series to an integer power, by the recurrence of its logarithmic derivative."""
    first = series[0]
    result = [first**exponent]
    for n in range(1, len(series)):
        total = sum((k * exponent - n + k) * series[k] * result[n - k] for k in range(1, n + 1))
        result.append(total / (n * first))
    return result
