r"""Inputs with a covariance: sums over its spectrum, and eqs. (45)-(49) of docs/theory.md.

Unknowns beside a = log c and b = log x are log mu, with mu = nu/g the eigenvalue down to which
modes are learned, and log s = log(Q)/2. Every sum is over rho = omega/(mu + omega), eq. (44).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from replica.channel import Averages, Centre, Channel
from replica.channel import moments as m
from replica.common.compiled import kernel
from replica.dual import Dual
from replica.nodes import Nodes
from replica.weights.base import Weights

__all__ = ["FixedRidge", "SpectrumWeights", "Traces"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

#: Columns of the unknowns.
LOG_C, LOG_X, LOG_MU, LOG_S = range(4)
#: Below this share of unlearned teacher the multiplier is read off E_W[t u]: g - total would
#: have lost the digits of mu.
FEW = 0.25
#: Share of its terms that E_tau h must have for the equation by parts to be a ratio; a choice.
TELLING = 0.1
#: lam' at which the logistic loss is a straight line to a few percent.
GENTLE = 0.05
#: log mu where every mode has its infinite-mu limit to rounding.
ENDLESS = 40.0

# Columns of the traces; the derivative with respect to log mu stands beside each.
DEGREES = 0  # log <rho>
SECOND = 1  # log(<rho^2>/<rho>^2)
SPREAD = 2  # Var_tau(rho)/(E_tau rho)^2
LEARNED = 3  # log E_tau rho
LOST = 4  # E_tau h, h = 1 - rho
NOISE = 5  # log(<rho^2/omega>/<rho>^2)
SIGNAL = 6  # log(E_tau[rho^2/omega]/(E_tau rho)^2)
TRACES = 7


#: Points whose sums run side by side: as many as the widest vector unit holds, and each in the
#: order of the modes.
LANES = 8


@kernel(error_model="numpy")
def fill(log_mu, omega, count, tau, value, slope):
    """The traces at every mu, and their derivatives with respect to log mu."""
    mu = np.empty(LANES)
    sums = np.empty((13, LANES))
    for first in range(0, len(log_mu), LANES):
        here = min(LANES, len(log_mu) - first)
        for lane in range(LANES):
            mu[lane] = exp(log_mu[first + min(lane, here - 1)])
        sums[:, :] = 0.0
        for j in range(len(omega)):
            p, t, w = count[j], tau[j], omega[j]
            for lane in range(LANES):
                inverse = 1.0 / (mu[lane] + w)
                rho, h = w * inverse, mu[lane] * inverse
                d = p * rho * h
                sums[0, lane] += p * rho
                sums[1, lane] -= d
                sums[2, lane] += p * rho * rho
                sums[3, lane] -= 2.0 * d * rho
                # rho^2/omega = rho/(mu + omega), which an omega near zero does not spoil
                sums[4, lane] += p * rho * inverse
                sums[5, lane] -= 2.0 * p * rho * h * inverse
                sums[6, lane] += t * rho
                sums[7, lane] += t * h
                sums[8, lane] -= t * rho * h
                sums[9, lane] += t * rho * inverse
                sums[10, lane] -= 2.0 * t * rho * h * inverse
        for j in range(len(omega)):
            t, w = tau[j], omega[j]
            for lane in range(LANES):
                inverse = 1.0 / (mu[lane] + w)
                rho, h = w * inverse, mu[lane] * inverse
                e1, eh = sums[6, lane], sums[7, lane]
                away = eh - h if eh < 0.5 else rho - e1
                sums[11, lane] += t * away * away
                sums[12, lane] -= 2.0 * t * away * rho * h
        for lane in range(here):
            i = first + lane
            r1, d1, r2, d2, rw, dw, e1, eh, de, ev, dv, spread, dspread = sums[:, lane]
            value[i, DEGREES], slope[i, DEGREES] = log(r1), d1 / r1
            value[i, SECOND], slope[i, SECOND] = log(r2 / (r1 * r1)), d2 / r2 - 2.0 * d1 / r1
            value[i, SPREAD] = spread / (e1 * e1)
            slope[i, SPREAD] = dspread / (e1 * e1) - 2.0 * value[i, SPREAD] * de / e1
            value[i, LEARNED], slope[i, LEARNED] = log(e1), de / e1
            value[i, LOST], slope[i, LOST] = eh, -de
            value[i, NOISE], slope[i, NOISE] = log(rw / (r1 * r1)), dw / rw - 2.0 * d1 / r1
            value[i, SIGNAL], slope[i, SIGNAL] = log(ev / (e1 * e1)), dv / ev - 2.0 * de / e1


@dataclass(frozen=True)
class Traces:
    """The sums over a spectrum at given mu, as duals of all unknowns."""

    degrees: Dual
    second: Dual
    spread: Dual
    learned: Dual
    lost: Dual
    noise: Dual
    signal: Dual

    @classmethod
    def at(cls, nodes: Nodes, z: Array) -> Traces:
        value, slope = np.empty((2, len(z), TRACES))
        log_mu = np.ascontiguousarray(z[:, LOG_MU])
        spectrum = nodes.eigenvalue, nodes.count, nodes.signal

        def part(rows: slice) -> None:
            fill(log_mu[rows], *spectrum, value[rows], slope[rows])

        m.in_threads(part, len(z))
        return cls(*(Dual.of(value[:, k], slope[:, k], LOG_MU, z.shape[1]) for k in range(TRACES)))


@dataclass(frozen=True)
class SpectrumWeights(Weights):
    """Weights of given norm, inputs with the spectrum of ``nodes``.

    Parameters
    ----------
    nodes : Nodes
        Eigenvalues, how many there are of each, and the teacher's power in them.
    """

    nodes: Nodes

    unknowns = ("log_mu", "log_scale")
    columns = m.COUPLED
    direct = False

    @property
    def rounding(self) -> float:  # type: ignore[override]
        """Of a plain sum of so many positive terms, most of it random, and of the two means."""
        return float(3e-15 + 1.1e-16 * np.sqrt(len(self.nodes)))

    def log_scale(self, z: Array) -> Array:
        return z[:, LOG_S]

    def residuals(
        self, channel: Channel, count: Array, z: Array, which: Indices, moments: Array
    ) -> tuple[Array, Array]:
        with np.errstate(all="ignore"):  # of iterates that leave the doubles
            parts = self._equations(channel, count, z, which, moments)
        return (
            np.stack([part.value for part in parts], axis=1),
            np.stack([part.gradient for part in parts], axis=1),
        )

    def start(self, channel: Channel, count: Array) -> Array:
        """Hebb's rule in closed form, eq. (50), with mu from G at Hebb's push.

        The push is -x V' at the centre of each cloud, taken as the same for all its examples.
        """
        p, omega, tau = self.nodes.count, self.nodes.eigenvalue, self.nodes.signal
        mean, square = np.sum(p * omega), np.sum(p * omega**2)
        learned = np.sum(tau * omega)
        spread = np.sum(tau * (omega - learned) ** 2) / learned**2
        stored = channel.storage
        z = np.zeros((len(count), 4 + len(channel.unknowns) - 1))

        def at(log_scale: Array, overlap: Array) -> tuple[Centre, Array, Array, Array]:
            """The push, c, x and log s where the field's scale and the overlap decide about it."""
            centre = channel.hebb(log_scale, overlap)
            with np.errstate(divide="ignore"):
                push = mean / (channel.hebb_pull * centre.push * learned)  # n x / R
            c = 1 / np.sqrt(spread + push**2 * centre.square * square / mean**2 / count)
            overlap2 = np.where(stored, 0.0, c**2 / (1 + c**2))
            free = 1 / np.sqrt(count * centre.square * square / mean**2)  # x without a signal
            x = np.where(stored, free, np.sqrt(overlap2) * np.where(stored, 1.0, push) / count)
            step = count * x**2 * centre.square
            return centre, c, x, -0.5 * np.log(step / mean + overlap2 / learned)

        _, c, _, log_s = at(np.zeros(len(count)), np.zeros(len(count)))
        centre, c, x, z[:, LOG_S] = at(log_s, c / np.hypot(1.0, c))
        z[:, LOG_C] = np.where(stored, 0.0, np.log(np.where(stored, 1.0, c)))
        z[:, LOG_X] = np.log(x)
        if len(channel.unknowns) > 1:
            z[:, -1] = centre.intercept
        everyone = np.arange(len(count))
        moments = channel.moments(z, everyone, order=12, columns=m.COUPLED, log_scale=z[:, LOG_S])
        curved = channel.merged(moments)[:, m.CURVED]
        with np.errstate(divide="ignore"):
            z[:, LOG_MU] = np.log(mean) - np.log(count * curved)
        top = ENDLESS + float(np.log(omega.max()))
        z[:, LOG_MU] = np.clip(z[:, LOG_MU], -top, top)
        return z

    def multiplier(self, count: Array, curved: Array) -> Array:
        return count * curved / self.total

    def nu(self, channel: Channel, z: Array, which: Indices, count: Array, moments: Array) -> Array:
        return np.exp(z[:, LOG_MU] + Traces.at(self.nodes, z).degrees.value)

    def filled(self, z: Array) -> Array:
        """<omega>/mu over the number of modes."""
        mean = np.sum(self.nodes.count * self.nodes.eigenvalue)
        with np.errstate(divide="ignore"):  # of endlessly many modes nothing is filled
            return np.exp(np.log(mean / self.total) - z[:, LOG_MU])

    @property
    def total(self) -> float:
        """Modes with variance: their number, or their share of a density."""
        return float(np.sum(self.nodes.count)) if np.isfinite(self.nodes.total) else np.inf

    def inverse_variance_at_limit(self, c2: Array) -> Array:
        """1/Q where nu = 0, eq. (51): <1/omega>/(M (1 + c^2)) + R^2 E_tau[1/omega]."""
        p, omega, tau = self.nodes.count, self.nodes.eigenvalue, self.nodes.signal
        spread = np.sum(p / omega) / self.total
        return (spread + c2 * np.sum(tau / omega)) / (1 + c2)

    def replicon(self, z: Array, count: Array, curved2: Array) -> Array:
        return count * curved2 * np.exp(Traces.at(self.nodes, z).second.value)

    def along_scale(self, moments: Array, jacobian: Array) -> Array:
        # lam enters as lam' = lam s, beside which only the norm's own equation knows s
        along = jacobian[:, :, LOG_S].copy()
        along[:, LOG_S] -= 2.0
        return along

    def beyond(self, z: Array, multiplier: Array) -> Mask:
        # where the nodes of an infinite spectrum, or of a list, resolve no mu
        least = self.nodes.smallest or self.nodes.eigenvalue.min() * np.exp(-ENDLESS)
        return z[:, LOG_MU] < np.log(least)

    def _equations(
        self, channel: Channel, count: Array, z: Array, which: Indices, moments: Array
    ) -> list[Dual]:
        storage = channel.storage[which]
        averages = channel.averages(z, which, moments, LOG_S)
        traces = Traces.at(self.nodes, z)
        a, b = Dual.unknown(z, LOG_C), Dual.unknown(z, LOG_X)
        square = (a * 2.0).exp().where(~storage, a * 0.0)  # c^2
        weight = averages.step * count * traces.second.exp()  # n A <rho^2>/<rho>^2
        unknown = _inverse(square + 1.0)  # 1 - R^2, of which 1 minus R^2 would keep nothing
        overlap2 = square * unknown  # R^2
        # the variance of the field that is not the teacher's, over all of it
        first = (weight * (square + 1.0) + square * traces.spread).log()
        pull = averages.pull * count
        second = pull.log() + traces.learned - traces.degrees - a + (square + 1.0).log() * 0.5
        second = second.where(~storage, a - a.value)
        fourth = self._norm(channel, which, b, traces, averages.step * count, overlap2, z)
        third = self._multiplier(channel, averages, count, unknown, traces)
        equations = [first, second, third, fourth]
        if averages.balance is not None:
            equations.append(averages.balance * (1 / averages.pull.value))
        if channel.loss.hebbian:  # G = 0: every mode at its limit mu -> inf
            log_mu = Dual.unknown(z, LOG_MU)
            equations[2] = log_mu - (ENDLESS + float(np.log(self.nodes.eigenvalue.max())))
        return equations

    def _multiplier(
        self,
        channel: Channel,
        averages: Averages,
        count: Array,
        unknown: Dual,
        traces: Traces,
    ) -> Dual:
        """Eq. (47), n G = <rho>; where little is left to learn eq. (49), the same by parts.

        1 - R^2 + n E_W[t u] E_tau rho/<rho> = E_tau h; ``unknown`` is 1 - R^2.
        """
        # a hinge may bend where no example is: mu then stays at its end
        p, omega = self.nodes.count, self.nodes.eigenvalue
        least = float(np.sum(p * omega) / omega.max() * np.exp(-ENDLESS))
        plain = (averages.curved * count + least).log() - traces.degrees
        few = channel.by_parts & (traces.lost.value < FEW)
        if not np.any(few):
            return plain
        share = (traces.learned - traces.degrees).exp()
        right = unknown + averages.pushed * count * share
        # T of eq. (49a): with noise E_W[t u] is a small difference
        size = np.maximum(unknown.value, averages.size * count * share.value)
        telling = traces.lost.value > TELLING * size
        ratio = right * _inverse(traces.lost)
        # a straight line where an iterate makes the ratio small or negative
        floor = 0.1
        straight = (ratio - floor) * (1 / floor) + float(np.log(floor))
        safe = Dual(np.maximum(ratio.value, floor), ratio.gradient)
        parts = safe.log().where(ratio.value > floor, straight)
        # the logarithm would amplify that rounding, and next to the limit of convexity, where
        # both sides vanish like mu, their difference is linear
        parts = parts.where(telling, (right - traces.lost) * (1 / size))
        return parts.where(few, plain)

    def _norm(
        self,
        channel: Channel,
        which: Indices,
        b: Dual,
        traces: Traces,
        step: Dual,
        overlap2: Dual,
        z: Array,
    ) -> Dual:
        """1/Q = n A <rho^2/omega>/<rho>^2 + R^2 E_tau[rho^2/omega]/(E_tau rho)^2, eq. (48)."""
        return (step * traces.noise.exp() + overlap2 * traces.signal.exp()).log() + Dual.unknown(
            z, LOG_S
        ) * 2.0


@dataclass(frozen=True)
class FixedRidge(SpectrumWeights):
    """Weights with the penalty ridge |w|^2/2 beside the loss ell(z), z = rate lam D.

    The field's norm lam' takes the place of the scale: the channel's parameter is 1.

    Parameters
    ----------
    log_ridge : (n,) array
        Its logarithm.
    """

    log_ridge: Array

    def select(self, which: Indices) -> FixedRidge:
        return FixedRidge(self.nodes, self.log_ridge[which])

    def _norm(
        self,
        channel: Channel,
        which: Indices,
        b: Dual,
        traces: Traces,
        step: Dual,
        overlap2: Dual,
        z: Array,
    ) -> Dual:
        """Ridge = nu/(rate^2 lam' x), nu = mu <rho>: eq. (52)."""
        log_nu = Dual.unknown(z, LOG_MU) + traces.degrees
        log_rate = 2.0 * float(np.log(channel.loss.rate))
        return log_nu - b - Dual.unknown(z, LOG_S) - (log_rate + self.log_ridge[which])

    def gentle_start(self, channel: Channel, count: Array) -> tuple[Array, Array]:
        """A guess next to Hebb's rule, and the ridge that leads there."""
        z = self.start(channel, count)
        p, omega = self.nodes.count, self.nodes.eigenvalue
        log_nu = np.log(np.sum(p * omega))  # mu <rho> for mu -> inf
        log_rate = 2 * np.log(channel.loss.rate)
        # lam' of a ridge at Hebb's x, and the one at which the loss is still a straight line
        at_goal = np.exp(log_nu - log_rate - z[:, LOG_X] - self.log_ridge)
        z[:, LOG_S] = np.log(np.minimum(at_goal, GENTLE))
        z[:, LOG_MU] = log_nu - np.log(count) - z[:, LOG_X] - z[:, LOG_S]
        top = ENDLESS + float(np.log(omega.max()))
        z[:, LOG_MU] = np.clip(z[:, LOG_MU], -top, top)
        return z, np.exp(log_nu - log_rate - z[:, LOG_X] - z[:, LOG_S])

    def log_norm(self, channel: Channel, count: Array, z: Array) -> Array:
        """Log lam at a solution, whose scale is lam'."""
        everyone = np.arange(len(count))
        moments = channel.moments(z, everyone, order=28, columns=m.COUPLED, log_scale=z[:, LOG_S])
        step = channel.averages(z, everyone, moments, LOG_S).step.value
        traces = Traces.at(self.nodes, z)
        c2 = np.where(channel.storage, 0.0, np.exp(2 * z[:, LOG_C]))
        signal = c2 / (1 + c2) * np.exp(traces.signal.value)
        log_q = -np.log(count * step * np.exp(traces.noise.value) + signal)
        return z[:, LOG_S] - 0.5 * log_q


def _inverse(dual: Dual) -> Dual:
    value = 1 / dual.value
    return Dual(value, -dual.gradient * (value * value)[:, None])
