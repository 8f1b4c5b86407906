"""The moments of a loss given as Python functions: NumPy, with panels that split themselves.

Nothing is known of where such a loss has structure, so each panel is halved
until its two halves agree with it. The margin D is the variable of
integration, as in `replica.kernels`: t = D + x V'(D) is explicit and
(1 + x V'') phi(t) W(t) is the margin density (docs/theory.md, section 4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc

from replica import kernels

if TYPE_CHECKING:
    from replica.losses import SmoothLoss

__all__ = ["log_typical_pull", "moments", "proximal"]

Array = NDArray[np.float64]

#: A panel is done when halving it changes each integral by less than this part of the whole.
SPLIT_TOLERANCE = 1e-14
#: First cuts where u has fallen by factors exp(LEVEL), down to 1e-18.
LEVEL, LEVELS = 3.0, 14
#: Rounds of halving: from panels of width 3 down to widths of 1e-8.
ROUNDS = 28
#: The sum stops splitting at so many panels: rounding noise, not structure.
MOST_PANELS = 4096


def log_typical_pull(loss: SmoothLoss, kappa: Array) -> Array:
    """log(-V') at a typical margin, left of the minimum of V if it has one.

    Raises
    ------
    ValueError
        If V' is nowhere negative: such a loss never raises a margin.
    """
    result = np.full(len(kappa), np.nan)
    # factors of two downwards from kappa, then to negative margins
    for margin in [kappa * 2.0**-j for j in range(12)] + [-(2.0**j) for j in range(-8, 8)]:
        pull = -loss.derivative(np.broadcast_to(margin, kappa.shape))
        new = np.isnan(result) & (pull > 0)
        result[new] = np.log(pull[new])
    if np.isnan(result).any():
        raise ValueError(
            "`dV` must be negative at some margin of [-128, kappa]; got no such margin"
        )
    return result


def proximal(loss: SmoothLoss, x: Array, t: Array) -> Array:
    """D0(t): the root of D + x V'(D) = t, by bisection and then Newton.

    ``x`` and ``t`` are arrays of one shape. The left side increases with D.
    """
    low, high = t - 1.0, t + 1.0
    with np.errstate(over="ignore", invalid="ignore"):  # far from the root x V' may overflow
        return _proximal(loss, x, t, low, high)


def _proximal(loss: SmoothLoss, x: Array, t: Array, low: Array, high: Array) -> Array:
    for _ in range(60):
        short = high + x * loss.derivative(high) < t
        if not short.any():
            break
        high = np.where(short, t + 2 * (high - t), high)
    for _ in range(60):
        long = low + x * loss.derivative(low) > t
        if not long.any():
            break
        low = np.where(long, t + 2 * (low - t), low)
    margin = 0.5 * (low + high)
    for _ in range(200):
        value = margin + x * loss.derivative(margin) - t
        low = np.where(value <= 0, margin, low)
        high = np.where(value >= 0, margin, high)
        step = value / (1 + x * loss.curvature(margin))
        newton = margin - step
        inside = (newton > low) & (newton < high)
        new = np.where(inside, newton, 0.5 * (low + high))
        done = np.abs(new - margin) <= 4e-16 * np.maximum(1e-300, np.abs(new))
        margin = new
        if done.all() or np.all(high - low <= 4e-16 * np.abs(margin)):
            break
    return margin


def moments(
    loss: SmoothLoss,
    a: Array,
    b: Array,
    signal: Array,
    noise: Array,
    random: Array,
    centre: Array,
    order: int,
    refine: int,
    full: int,
    out: Array,
) -> None:
    """Fill ``out`` as `replica.kernels.moments` does; the columns d/d log lam are nan."""
    # an iterate far from any solution may leave the doubles; its nan tells the solver
    with np.errstate(over="ignore", invalid="ignore"):
        for i in range(len(a)):
            mixture = signal[i], noise[i], random[i]
            point = _Point(loss, np.exp(a[i]), np.exp(b[i]), *mixture, centre[i], full)
            out[i] = point.integrate(order, refine)


class _Point:
    """One point's integrand and its panels."""

    def __init__(self, loss, c, x, signal, noise, random, centre, full):  # type: ignore[no-untyped-def]
        self.loss, self.x, self.random, self.centre, self.full = loss, x, random, centre, full
        use = signal > 0
        self.signal, self.noise = signal[use], noise[use]
        variance = self.noise**2
        self.c = c / np.sqrt(1 + variance * (1 + c * c))
        self.dlog_c = (1 + variance) / (1 + variance * (1 + c * c))
        self.width = 1 / np.sqrt(1 + self.c**2)

    def integrate(self, order: int, refine: int) -> Array:
        node, weight = np.polynomial.legendre.leggauss(order)
        narrow = self.width.min(initial=1.0)
        reach = kernels.REACH
        fields = np.unique(
            np.concatenate([np.linspace(-reach, reach, 7), narrow * np.linspace(-reach, reach, 7)])
        )
        edges = proximal(self.loss, np.full_like(fields, self.x), fields)
        if edges[0] < 0 < edges[-1]:  # so that whole panels have negative margins
            edges = np.unique(np.append(edges, 0.0))
        edges = np.unique(np.concatenate([edges, self._levels(edges[0], edges[-1])]))
        left, right = edges[:-1], edges[1:]
        values = self._panels(left, right, node, weight)
        total = np.zeros(values.shape[1])
        for _ in range(ROUNDS):
            middle = 0.5 * (left + right)
            left, right = np.stack([left, middle], 1).ravel(), np.stack([middle, right], 1).ravel()
            halves = self._panels(left, right, node, weight)
            pairs = halves.reshape(-1, 2, halves.shape[1]).sum(axis=1)
            scale = np.abs(total + pairs.sum(axis=0))
            wrong = np.abs(pairs - values) > SPLIT_TOLERANCE * np.where(scale > 0, scale, np.inf)
            split = wrong[:, self._decisive].any(axis=1)
            total += pairs[~split].sum(axis=0)
            both = np.repeat(split, 2)
            left, right, values = left[both], right[both], halves[both]
            if len(left) == 0 or len(left) > MOST_PANELS:
                break
        total += values.sum(axis=0)
        return total

    def _levels(self, low: float, high: float) -> Array:
        """Margins at which u has fallen to exp(-3), exp(-6), ... of its largest value.

        V is convex, so u falls from left to right. Without these cuts a decay far
        narrower than the first panels could slip between their nodes.
        """
        target = np.exp(-LEVEL * np.arange(1, LEVELS)) * self.loss.derivative(np.array([low]))
        left, right = np.full(LEVELS - 1, low), np.full(LEVELS - 1, high)
        for _ in range(50):
            middle = 0.5 * (left + right)
            above = self.loss.derivative(middle) < target
            left, right = np.where(above, middle, left), np.where(above, right, middle)
        return 0.5 * (left + right)

    @property
    def _decisive(self) -> list[int]:
        columns = [kernels.STEP, kernels.PULL]
        return (
            [*columns, kernels.LOSS, kernels.MEAN, kernels.CURVED]
            if self.full != kernels.NEWTON
            else columns
        )

    def _panels(self, left: Array, right: Array, node: Array, weight: Array) -> Array:
        """The moments of each panel, (panels, columns)."""
        half = 0.5 * (right - left)[:, None]
        margin = left[:, None] + half * (1 + node)
        x = self.x
        u = -x * self.loss.derivative(margin)
        q = x * self.loss.curvature(margin)
        t = margin - u
        dv = half * weight * (1 + q)
        curved = q / (1 + q)
        slope = u * (1 - curved)
        gauss = np.exp(-0.5 * t * t) / np.sqrt(2 * np.pi)
        label = np.full_like(t, self.random)
        pull, pull_a, weight_a = np.zeros_like(t), np.zeros_like(t), np.zeros_like(t)
        for w, sigma, c, dlog_c, width in zip(
            self.signal, self.noise, self.c, self.dlog_c, self.width, strict=True
        ):
            z = t / width
            label += w * erfc(-c * t / np.sqrt(2))
            bell = w * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
            p = bell / (width * np.sqrt(1 + sigma**2))
            pull += p
            pull_a += p * (1 - z * z) * (c * width) ** 2 * dlog_c
            weight_a += bell * c * dlog_c
        mass = dv * gauss * label
        columns = [
            mass * u * u,
            2 * mass * u * slope,
            dv * 2 / np.sqrt(2 * np.pi) * weight_a * t * u * u,
            dv * pull * u,
            dv * pull * slope,
            dv * pull_a * u,
        ]
        if self.full != kernels.NEWTON:
            off = margin - self.centre
            nan = np.full_like(t, np.nan)
            columns += [
                nan,
                nan,
                mass * curved,
                mass * curved**2,
                mass * self.loss.value(margin),
                mass * (margin < 0),
                mass * off,
                mass * off**2,
                mass * t * u,
            ]
        return np.stack([column.sum(axis=1) for column in columns], axis=1)
