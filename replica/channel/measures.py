r"""The measure of the field t: what an example is like, had it not been learned.

A measure says where panels must end and what each node weighs: in averages over training
examples, E_W (``MASS``), in the pull of the teacher, B (``PULL``), and in their derivatives with
respect to the channel's own unknown. It knows no loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, exp, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from replica.common.compiled import kernel
from replica.quadrature import FIELD, GAUSS_WIDTH, REACH, WIDTH, Breaks, Nodes, workspace
from replica.teachers import NoiseMixture

__all__ = ["Flat", "Mixture", "Shifted"]

Array = NDArray[np.float64]

# Rows of the weights.
MASS = 0
PULL = 1
MASS_D = 2  # d MASS / d(unknown): log c of a teacher, the shift of a cloud
PULL_D = 3
KINDS = 4

#: Where exp(-t^2/2) leaves the doubles.
VANISHED = 38.6
INV_SQRT_2PI = 1.0 / sqrt(2.0 * pi)
INV_SQRT_2 = sqrt(0.5)


@kernel
def slope_of_teacher(c, sigma):
    """c_k = R / sqrt(1 + sigma^2 - R^2), from c = R / sqrt(1 - R^2)."""
    return c / sqrt(1.0 + sigma * sigma * (1.0 + c * c))


@kernel
def stretch(left, right, narrow, graded, out, n):
    """Points from ``left`` up to but without ``right``; doubling scales if graded."""
    if right - left < 1e-9:
        return n
    if graded:
        m = n
        size = narrow * REACH
        if left < 0.0:
            while size < REACH * (1.0 - 1e-9):
                out[n] = -size
                size *= 1.5
                n += 1
            out[n] = left
            n += 1
            for j in range((n - m) // 2):  # ascending
                out[m + j], out[n - 1 - j] = out[n - 1 - j], out[m + j]
            return n - 1 if abs(out[n - 1] - right) < 1e-9 else n
        while size < REACH * (1.0 - 1e-9):
            out[n] = size
            size *= 1.5
            n += 1
        return n
    count = int(np.ceil((right - left) / GAUSS_WIDTH))
    for j in range(count):
        out[n] = left + (right - left) * j / count
        n += 1
    return n


@kernel
def fill_breaks(a, signal, noise, random, flat, out, count):
    """Break points in t, ascending: the windows of every c_k inside that of the Gaussian."""
    for i in range(len(a)):
        c = exp(a[i])
        narrow = 1.0
        for k in range(signal.shape[1]):
            if signal[i, k] > 0.0:
                ck = slope_of_teacher(c, noise[i, k])
                width = 1.0 / ck if flat else 1.0 / sqrt(1.0 + ck * ck)
                if width < narrow or flat:
                    narrow = width
        # Without random labels the weight itself cuts t < 0 off at the narrow scale.
        graded = signal.shape[1] > 1
        clean = not graded and random[i] == 0.0
        n = 0
        inner = REACH * narrow
        if not clean and not flat:
            n = stretch(-REACH, -inner, narrow, graded, out[i], n)
        for j in range(-3, 3):
            out[i, n] = j * GAUSS_WIDTH * narrow
            n += 1
        if flat:
            # no Gaussian beyond: the loss alone ends the integral
            out[i, n] = inner
            out[i, n + 1] = np.inf
            n += 2
        else:
            n = stretch(inner, REACH, narrow, graded, out[i], n)
            out[i, n] = REACH
            n += 1
        count[i] = n


@kernel
def fill_mixture(start, nodes, a, signal, noise, random, flat, out):
    """Weights of the nodes, W of eq. (8); ``flat`` puts 1/sqrt(2 pi) in place of phi(t)."""
    teachers = signal.shape[1]
    cs = np.empty(teachers)
    widths = np.empty(teachers)
    dlog_c = np.empty(teachers)
    spread = np.empty(teachers)
    for i in range(len(a)):
        c = exp(a[i])
        for k in range(teachers):
            variance = noise[i, k] * noise[i, k]
            cs[k] = slope_of_teacher(c, noise[i, k])
            dlog_c[k] = (1.0 + variance) / (1.0 + variance * (1.0 + c * c))
            widths[k] = 1.0 / cs[k] if flat else 1.0 / sqrt(1.0 + cs[k] * cs[k])
            spread[k] = 1.0 / (widths[k] * sqrt(1.0 + variance))
        # random labels outweigh what follows; without them a steep loss may look at it
        tail = REACH + 1.0
        if random[i] == 0.0 and start[i] < start[i + 1]:
            tail = max(tail, -nodes[FIELD, start[i]] / widths.max())
        for j in range(start[i], start[i + 1]):
            t, dv = nodes[FIELD, j], nodes[WIDTH, j]
            gauss = INV_SQRT_2PI if flat else INV_SQRT_2PI * exp(-0.5 * t * t)
            label = random[i]
            pull = 0.0
            pull_a = 0.0
            weight_a = 0.0
            for k in range(teachers):
                w = signal[i, k]
                z = t / widths[k]
                if z > REACH:
                    label += 2.0 * w
                elif z > -tail and w > 0.0:
                    label += w * erfc(-cs[k] * t * INV_SQRT_2)
                    bell = w * INV_SQRT_2PI * exp(-0.5 * z * z)
                    p = bell * spread[k]
                    pull += p
                    shrink = cs[k] * cs[k] * widths[k] * widths[k]
                    pull_a += p * (1.0 - z * z) * shrink * dlog_c[k]
                    weight_a += bell * cs[k] * dlog_c[k]
            out[MASS, j] = dv * gauss * label
            out[PULL, j] = dv * pull
            out[MASS_D, j] = dv * 2.0 * INV_SQRT_2PI * weight_a * t
            out[PULL_D, j] = dv * pull_a


@kernel
def fill_shifted(start, nodes, shift, out):
    """Weights of a normal field about ``shift``."""
    for i in range(len(shift)):
        for j in range(start[i], start[i + 1]):
            t = nodes[FIELD, j] - shift[i]
            mass = nodes[WIDTH, j] * INV_SQRT_2PI * exp(-0.5 * t * t)
            out[MASS, j] = mass
            out[PULL, j] = mass
            out[MASS_D, j] = mass * t
            out[PULL_D, j] = mass * t


@dataclass(frozen=True)
class Mixture:
    """Fields in the direction of a teacher's label: phi(t) W(t), eq. (8).

    Parameters
    ----------
    a : (n,) array
        log c.
    labels : NoiseMixture
        The teachers.
    """

    a: Array
    labels: NoiseMixture
    flat = False

    def __getitem__(self, which: slice) -> Mixture:
        return type(self)(self.a[which], self.labels[which])

    @property
    def centre(self) -> Array:
        """About which the field is taken in E[t u]."""
        return self.labels.centre

    def breaks(self) -> Breaks:
        labels = self.labels
        most = 16
        if labels.signal.shape[1] > 1:  # graded: a factor 1.5 from the narrowest scale to 1
            with np.errstate(invalid="ignore"):
                decades = max(float(np.nanmax(self.a, initial=0.0)), 0.0) + 4.0
            most = 24 + 2 * int(min(decades, 800.0) / np.log(1.5))
        out, count = np.empty((len(self.a), most)), np.empty(len(self.a), dtype=np.int64)
        fill_breaks(self.a, labels.signal, labels.noise, labels.random, self.flat, out, count)
        return Breaks(out, count)

    def weights(self, nodes: Nodes) -> Array:
        labels = self.labels
        out = workspace("weights", KINDS, nodes.values.shape[1])
        fill_mixture(
            nodes.start,
            nodes.values,
            self.a,
            labels.signal,
            labels.noise,
            labels.random,
            self.flat,
            out,
        )
        return out


@dataclass(frozen=True)
class Flat(Mixture):
    """The limit of many examples, phi(t) = 1/sqrt(2 pi) at lam = ell alpha: eqs. (31)-(32)."""

    flat = True


@dataclass(frozen=True)
class Shifted:
    """Fields of one of two clouds: normal with unit variance about ``shift``."""

    shift: Array

    def __getitem__(self, which: slice) -> Shifted:
        return Shifted(self.shift[which])

    @property
    def centre(self) -> Array:
        """About which the field is taken in E[t u]."""
        return self.shift

    def breaks(self) -> Breaks:
        """Windows that go on to fields of zero: of a cloud far from them the tail is pushed."""
        far = np.clip(np.nan_to_num(self.shift), 0.0, VANISHED - REACH)
        left = 3 + np.ceil(far / GAUSS_WIDTH).astype(np.int64)
        count = left + 4
        at = self.shift[:, None] + (np.arange(count.max()) - left[:, None]) * GAUSS_WIDTH
        return Breaks(at, count)

    def weights(self, nodes: Nodes) -> Array:
        out = workspace("weights", KINDS, nodes.values.shape[1])
        fill_shifted(nodes.start, nodes.values, self.shift, out)
        return out
