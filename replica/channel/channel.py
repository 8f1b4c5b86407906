"""Channels: averages over training examples, and how they depend on the unknowns."""

from __future__ import annotations

import abc
import dataclasses
from dataclasses import dataclass
from math import atan2, exp, pi
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from replica.channel import moments as m
from replica.channel.measures import Flat, Mixture, Shifted
from replica.common.compiled import kernel
from replica.dual import Dual
from replica.fields import Clouds, Fields, SkewNormal
from replica.losses import Loss
from replica.quadrature import REACH, gauss_legendre
from replica.teachers import NoiseMixture

__all__ = ["Averages", "Channel", "CloudChannel", "TeacherChannel"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

SQRT_2_OVER_PI = np.sqrt(2.0 / np.pi)
#: Columns of the unknowns that every channel has; the scale's column is the weights' affair.
LOG_C, LOG_X = 0, 1
#: Below this share of the pull, G is what rounding leaves of R sqrt(2/pi) B - E_W[t u].
FAINT = 1e-12
#: Doublings of a bracket for the intercept: 2^120 lies beyond any norm that is allowed.
LONGEST_BRACKET = 120
#: Halvings of it, and nodes of the normal number there: a guess needs no more.
HALVINGS, NORMAL_NODES = 50, 100


@dataclass(frozen=True)
class Averages:
    """The averages at given unknowns, with their gradients.

    Attributes
    ----------
    step : Dual
        A = E_W[u^2].
    pull : Dual
        sqrt(2/pi) B for a teacher; D E[u] for two clouds at Mahalanobis distance 2 D.
    pushed : Dual
        E_W[t u], t counted from the centre of its cloud.
    size : (m,) array
        E_W|t u|, by whose last digits rounding moves ``pushed``.
    curved : Dual
        G = E_W[1 - D0'].
    balance : Dual or None
        E[y u], which an intercept makes zero; None where there is none.
    """

    step: Dual
    pull: Dual
    pushed: Dual
    size: Array
    curved: Dual
    balance: Dual | None = None


@dataclass(frozen=True)
class Centre:
    """The push over x where a path begins.

    Attributes
    ----------
    push, square : (n,) arrays
        Averages of -V' and of its square.
    intercept : (n,) array
        Where both labels are pushed alike.
    """

    push: Array
    square: Array
    intercept: Array


@dataclass(frozen=True)
class Channel(abc.ABC):
    """A loss and the labels of n points.

    Parameters
    ----------
    loss : Loss
        Whose V enters; its own parameter is ignored in favour of ``parameter``.
    parameter : (n,) array
        The parameter of the loss.
    """

    loss: Loss
    parameter: Array

    #: Whether E_W[t u] = R sqrt(2/pi) B - G: by parts, with a teacher.
    by_parts = True

    def __len__(self) -> int:
        return len(self.parameter)

    @property
    def unknowns(self) -> tuple[str, ...]:
        """Names of the unknowns that belong to the channel alone."""
        return ("log_c",)

    @abc.abstractmethod
    def select(self, which: Indices) -> Self:
        """The channels of some of the points."""

    @property
    @abc.abstractmethod
    def storage(self) -> Mask:
        """Points whose labels know nothing of the teacher."""

    @property
    @abc.abstractmethod
    def hebb_pull(self) -> Array:
        """The pull at u = 1, that of Hebb's rule."""

    def hebb(self, log_scale: Array, overlap: Array) -> Centre:
        """Where the loss is a straight line: what an example of margin 0 gets, at any overlap."""
        pull = self._pull(log_scale, np.zeros(len(self)))
        return Centre(pull, pull**2, np.zeros(len(self)))

    def _pull(self, log_scale: Array, margin: Array) -> Array:
        """-U' of the loss as the field sees it, at margins (n,) or (n, m)."""
        if self.loss.hard:
            return np.ones(margin.shape)
        parameter, b = self.loss.scaled(self.parameter, np.zeros(len(self)), log_scale)
        if margin.ndim == 2:
            parameter, b = parameter[:, None], b[:, None]
        return -self.loss.with_parameter(parameter).derivative(margin) * np.exp(b)

    @abc.abstractmethod
    def moments(
        self,
        z: Array,
        which: Indices,
        *,
        order: int,
        columns: int,
        refine: int = 0,
        log_scale: Array | None = None,
        origin: Array | None = None,
    ) -> Array:
        """The columns of `replica.channel.moments` at the unknowns ``z`` of some points."""

    @abc.abstractmethod
    def averages(self, z: Array, which: Indices, moments: Array, scale: int) -> Averages:
        """The averages with gradients; ``scale`` is the column of log Q/2 in ``z``.

        The stability of a hard margin is in units of the field: nothing there knows the scale.
        """

    def merged(self, moments: Array) -> Array:
        """The averages over all examples: one row a point, columns as they are numbered."""
        return moments

    @abc.abstractmethod
    def generalization(self, z: Array) -> tuple[Array, Array]:
        """The generalization error (m,) and dlog of it/dz (m, k)."""

    def rounded(self, z: Array) -> Array:
        """What rounding does to the generalization error, relatively, at exact unknowns."""
        return np.full(len(z), 2.3e-16)

    @abc.abstractmethod
    def fields(self, z: Array, which: Indices) -> Fields:
        """The distribution of the field at a solution."""

    def at_scale(self, log_scale: Array) -> Self:
        """The same labels with V(s D)/s, whose x is the same."""
        parameter, _ = self.loss.scaled(self.parameter, np.zeros(len(self)), log_scale)
        return dataclasses.replace(self, parameter=parameter)

    def scaled(self, which: Indices, b: Array, log_scale: Array | None) -> tuple[Array, Array]:
        """Parameter and log x of the loss as the field of unit variance sees it."""
        parameter = self.parameter[which]
        if log_scale is None:
            return parameter, b
        return self.loss.scaled(parameter, b, log_scale)

    def _curved(self, moments: Array, overlap: Array, pull: Dual, pushed: Dual) -> Dual:
        """G itself, and its gradient by parts: a kink would need a point mass of V''."""
        value = moments[:, m.CURVED]
        gradient = -pushed.gradient.copy()
        if self.by_parts:
            gradient += overlap[:, None] * pull.gradient
        # where G is lost in the difference, u = -x V'(t) and G grows like x and like lam
        faint = value < FAINT * np.abs(pushed.value)
        gradient[faint] = np.where(pushed.gradient[faint] != 0, value[faint, None], 0.0)
        gradient[:, LOG_C] = moments[:, m.CURVED_D]
        return Dual(value, gradient)


@kernel(error_model="numpy")
def fill_generalization(z, flat, error, slope):
    """Eps = arccos(R)/pi and dlog eps/dlog c, which lies between -1 and 0.

    ``flat``: in the scaling limit eps is 1/(pi c).
    """
    for i in range(len(z)):
        c = exp(z[i, LOG_C])
        angle = 1.0 / c if flat else atan2(1.0, c)
        error[i] = angle / pi
        slope[i, LOG_C] = -1.0 if flat else -c / ((1.0 + c * c) * angle)


@dataclass(frozen=True)
class TeacherChannel(Channel):
    """Labels of teachers, noisy or not: eqs. (8)-(9).

    Parameters
    ----------
    labels : NoiseMixture
        The teachers; without signal R = 0.
    flat : bool
        The scaling limit, where the Gaussian measure of t becomes constant.
    """

    labels: NoiseMixture
    flat: bool = False

    def select(self, which: Indices) -> TeacherChannel:
        return TeacherChannel(self.loss, self.parameter[which], self.labels[which], self.flat)

    @property
    def storage(self) -> Mask:
        return self.labels.storage

    @property
    def hebb_pull(self) -> Array:
        return SQRT_2_OVER_PI * self.labels.correlation

    def moments(
        self,
        z: Array,
        which: Indices,
        *,
        order: int,
        columns: int,
        refine: int = 0,
        log_scale: Array | None = None,
        origin: Array | None = None,
    ) -> Array:
        labels = self.labels[which]
        a = np.array(z[:, LOG_C])
        if labels.some_storage:  # c = 0; any finite value serves, as its weight is zero
            a[labels.storage] = 0.0
        parameter, b = self.scaled(which, np.ascontiguousarray(z[:, LOG_X]), log_scale)
        measure = (Flat if self.flat else Mixture)(a, labels)
        return m.moments(
            self.loss,
            parameter,
            b,
            measure,
            order=order,
            columns=columns,
            refine=refine,
            origin=origin,
        )

    def generalization(self, z: Array) -> tuple[Array, Array]:
        error, slope = np.empty(len(z)), np.zeros(z.shape)
        fill_generalization(z, self.flat, error, slope)
        return error, slope

    def fields(self, z: Array, which: Indices) -> Fields:
        labels = self.labels[which]
        weight, noise = labels.signal, labels.noise
        c = np.exp(z[:, :1])
        slope = np.where(weight > 0, c / np.sqrt(1 + noise**2 * (1 + c * c)), 0.0)
        return SkewNormal(weight, slope, labels.random)

    def averages(self, z: Array, which: Indices, moments: Array, scale: int) -> Averages:
        columns = (LOG_C, LOG_X) if self.loss.hard else (LOG_C, LOG_X, scale)

        def dual(value: int, *slopes: int) -> Dual:
            gradient = np.zeros(z.shape)
            for column, slope in zip(columns, slopes, strict=False):
                gradient[:, column] = moments[:, slope]
            return Dual(moments[:, value], gradient)

        step = dual(m.STEP, m.STEP_D, m.STEP_DB, m.STEP_DL)
        pull = dual(m.PULLED, m.PULLED_D, m.PULLED_DB, m.PULLED_DL) * float(SQRT_2_OVER_PI)
        pushed = dual(m.PUSHED, m.PUSHED_D, m.PUSHED_DB, m.PUSHED_DL)
        c = np.where(self.storage[which], 0.0, np.exp(z[:, LOG_C]))
        overlap = c / np.hypot(1.0, c)
        curved = self._curved(moments, overlap, pull, pushed)
        return Averages(step, pull, pushed, moments[:, m.PUSHED_SIZE], curved)


@dataclass(frozen=True)
class CloudChannel(Channel):
    """Labels that are those of two clouds, x = y mean + noise, eqs. (42)-(43) and (53).

    R stands for kappa/D, the margin of a cloud's centre over the largest one that any
    direction gives.

    Parameters
    ----------
    distance : float
        D, with D^2 = <mu^2/omega>.
    positive : float
        Fraction of positive labels; with 1/2 no intercept is needed.
    """

    distance: float
    positive: float = 0.5

    by_parts = False

    @property
    def unknowns(self) -> tuple[str, ...]:
        return ("log_c",) if self.positive == 0.5 else ("log_c", "intercept")

    def select(self, which: Indices) -> CloudChannel:
        return CloudChannel(self.loss, self.parameter[which], self.distance, self.positive)

    @property
    def storage(self) -> Mask:
        return np.zeros(len(self), dtype=bool)

    @property
    def hebb_pull(self) -> Array:
        return np.full(len(self), self.distance)

    def hebb(self, log_scale: Array, overlap: Array) -> Centre:
        """Pushes -U'(kappa + y beta + t), t normal; beta where both labels are pushed alike.

        Where V bends at the centre Newton finds beta from zero; a hinge would tell it nothing.
        """
        loss = self.loss.with_parameter(self.parameter)
        bends = np.all(loss.curvature(np.zeros(len(self))) > 0)
        if self.positive == 0.5 or loss.hard or loss.hebbian or bends:
            return super().hebb(log_scale, overlap)
        kappa = self.distance * overlap
        node, weight = gauss_legendre(NORMAL_NODES)
        t, mass = REACH * node, REACH * weight * np.exp(-0.5 * (REACH * node) ** 2)
        mass /= np.sqrt(2 * np.pi)

        def pushes(beta: Array) -> Array:
            """-U' at the nodes of one cloud, (n, nodes)."""
            return self._pull(log_scale, (kappa + beta)[:, None] + t)

        def excess(beta: Array) -> Array:
            """What the positive labels push more; it falls with beta, V being convex."""
            return (self.positive * pushes(beta) - (1 - self.positive) * pushes(-beta)) @ mass

        low, high = -np.ones(len(self)), np.ones(len(self))
        with np.errstate(all="ignore"):  # far out an exponential loss overflows
            for _ in range(LONGEST_BRACKET):
                short, long = excess(low) < 0, excess(high) > 0
                if not np.any(short | long):
                    break
                low, high = np.where(short, 2 * low, low), np.where(long, 2 * high, high)
            for _ in range(HALVINGS):
                middle = 0.5 * (low + high)
                above = excess(middle) > 0
                low, high = np.where(above, middle, low), np.where(above, high, middle)
        beta = 0.5 * (low + high)
        here, there = pushes(beta), pushes(-beta)
        mean = self.positive * here + (1 - self.positive) * there
        square = self.positive * here**2 + (1 - self.positive) * there**2
        return Centre(mean @ mass, square @ mass, beta)

    def stability(self, z: Array) -> Array:
        """Kappa = D R, the margin of the centre in units of the field."""
        return self.distance / np.hypot(1.0, np.exp(-z[:, LOG_C]))

    def shifts(self, z: Array) -> list[tuple[float, float, Array]]:
        """Fraction, sign and centre of the field of each cloud."""
        kappa = self.stability(z)
        if self.positive == 0.5:
            return [(1.0, 0.0, kappa)]
        beta = z[:, -1]
        return [(self.positive, 1.0, kappa + beta), (1 - self.positive, -1.0, kappa - beta)]

    def _each(
        self,
        z: Array,
        which: Indices,
        *,
        order: int,
        columns: int,
        refine: int = 0,
        log_scale: Array | None = None,
        origin: Array | None = None,
    ) -> list[Array]:
        """The moments of each cloud, derivatives with respect to its own centre."""
        parameter, b = self.scaled(which, np.ascontiguousarray(z[:, LOG_X]), log_scale)
        return [
            m.moments(
                self.loss,
                parameter,
                b,
                Shifted(np.ascontiguousarray(shift)),
                order=order,
                columns=columns,
                refine=refine,
                origin=origin,
            )
            for _, _, shift in self.shifts(z)
        ]

    def moments(
        self,
        z: Array,
        which: Indices,
        *,
        order: int,
        columns: int,
        refine: int = 0,
        log_scale: Array | None = None,
        origin: Array | None = None,
    ) -> Array:
        """One row a point; of several clouds the columns stand one after the other."""
        rule = {"order": order, "columns": columns, "refine": refine}
        parts = self._each(z, which, **rule, log_scale=log_scale, origin=origin)
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def merged(self, moments: Array) -> Array:
        if self.positive == 0.5:
            return moments
        width = moments.shape[1] // 2
        return self.positive * moments[:, :width] + (1 - self.positive) * moments[:, width:]

    def generalization(self, z: Array) -> tuple[Array, Array]:
        error, slope = np.zeros(len(z)), np.zeros(z.shape)
        along = self.stability(z) / (1 + np.exp(2 * z[:, LOG_C]))  # dkappa/dlog c
        for fraction, sign, shift in self.shifts(z):
            error += fraction * ndtr(-shift)
            density = fraction * np.exp(-0.5 * shift**2) / np.sqrt(2 * np.pi)
            slope[:, LOG_C] -= density * along
            if sign:
                slope[:, -1] -= sign * density
        return error, slope / error[:, None]

    def rounded(self, z: Array) -> Array:
        """Two ulp of each shift, as far as Phi(-shift) counts, and two of the sum."""
        error, moved = np.zeros(len(z)), np.zeros(len(z))
        for fraction, _, shift in self.shifts(z):
            error += fraction * ndtr(-shift)
            density = np.exp(-0.5 * shift**2) / np.sqrt(2 * np.pi)
            moved += fraction * density * np.abs(shift)
        return 4.5e-16 * (1 + moved / error)

    def fields(self, z: Array, which: Indices) -> Fields:
        parts = [(fraction, shift) for fraction, _, shift in self.shifts(z)]
        weight = np.broadcast_to([fraction for fraction, _ in parts], (len(z), len(parts)))
        return Clouds(weight, np.stack([shift for _, shift in parts], axis=1))

    def averages(self, z: Array, which: Indices, moments: Array, scale: int) -> Averages:
        clouds = self.shifts(z)
        width = moments.shape[1] // len(clouds)
        slope = self.stability(z) / (1 + np.exp(2 * z[:, LOG_C]))  # dkappa/dlog c
        sums: dict[str, Dual] = {}
        balance: Dual | None = None
        names = {
            "step": (m.STEP, m.STEP_D, m.STEP_DB, m.STEP_DL),
            "pull": (m.PULLED, m.PULLED_D, m.PULLED_DB, m.PULLED_DL),
            "pushed": (m.PUSHED, m.PUSHED_D, m.PUSHED_DB, m.PUSHED_DL),
            "curved": (m.CURVED, m.CURVED_D, m.CURVED, m.CURVED),
        }
        for k, (fraction, sign, _) in enumerate(clouds):
            part = moments[:, k * width : (k + 1) * width]
            for name, (value, d_shift, d_b, d_scale) in names.items():
                gradient = np.zeros(z.shape)
                gradient[:, LOG_C] = part[:, d_shift] * slope
                gradient[:, LOG_X] = part[:, d_b]
                if not self.loss.hard:
                    gradient[:, scale] = part[:, d_scale]
                if sign:
                    gradient[:, -1] = sign * part[:, d_shift]
                term = Dual(part[:, value], gradient) * fraction
                sums[name] = sums[name] + term if name in sums else term
                if name == "pull" and sign:
                    signed = term * sign
                    balance = signed if balance is None else balance + signed
        # G = -E[(t - centre) u] by parts; CURVED itself keeps its digits where it is small
        curved = sums["curved"]
        gradient = -sums["pushed"].gradient
        faint = curved.value < FAINT * np.abs(sums["pull"].value)
        gradient[faint] = curved.gradient[faint]
        gradient[:, LOG_C] = curved.gradient[:, LOG_C]
        if len(clouds) > 1:
            gradient[:, -1] = curved.gradient[:, -1]
        return Averages(
            sums["step"],
            sums["pull"] * self.distance,
            sums["pushed"],
            self.merged(moments)[:, m.PUSHED_SIZE],
            Dual(curved.value, gradient),
            balance,
        )
