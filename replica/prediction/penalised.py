r"""Logistic regression of penalty 1/C on clusters of given spectral functions: eqs. (P1) to (P4).

The unknowns of a system are log l, which fixes nu and with it the spectral functions, log gamma,
log m, log q and the intercept b.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replica.prediction.averages import Averages, averages, error_of
from replica.prediction.spectral import SpectralFunctions, Values
from replica.solver import Equations, follow, newton

__all__ = ["Penalised", "Trained", "solve_penalised"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Of Newton's last step; being quadratic it then stands far below.
TOLERANCE = 1e-9
#: Step in log l by which the spectral functions are differenced, which decides about the way to a
#: root, not about the root.
NUDGE = 1e-3
#: The path begins where gamma is about 1/GENTLE, and m about 1/GENTLE at most.
GENTLE = 30.0
#: Largest factor between penalties on the path to the first that is asked for.
STRIDE = 4.0


@dataclass(frozen=True)
class Trained:
    """What the equations say of minimisers; (n,) arrays, nan where there is no root.

    Attributes
    ----------
    error : array
        Share of new examples on the wrong side.
    norm : array
        Of the weights.
    nu, gamma, m, q, intercept : arrays
        The root.
    square, push, curved : arrays
        A, B and G there.
    ridge : array
        l, at which the sample was read.
    unknowns : (n, 5) array
    """

    error: Array
    norm: Array
    nu: Array
    gamma: Array
    m: Array
    q: Array
    intercept: Array
    square: Array
    push: Array
    curved: Array
    ridge: Array
    unknowns: Array


@dataclass(frozen=True, eq=False)
class Penalised:
    """Systems of one kind of inputs.

    Parameters
    ----------
    functions : SpectralFunctions
    positive : float
        Share of the positive class.
    count : (n,) array
        Numbers of training examples P.
    shift : (n,) array
        Standard errors by which a is moved, at all nu alike.
    """

    functions: SpectralFunctions
    positive: float
    count: Array
    shift: Array

    def values(self, log_l: Array, which: Indices) -> Values:
        """The spectral functions, with a moved by the shift and b by its derivative, eq. (P13)."""
        found = self.functions.at(np.exp(log_l))
        tiny, shift = np.finfo(float).tiny, self.shift[which]
        a, b = found.a, found.b
        if np.any(shift):
            low, high = (self.functions.at(np.exp(log_l + step)) for step in (-NUDGE, NUDGE))
            move = shift * np.sqrt(found.variance)
            with np.errstate(divide="ignore", invalid="ignore"):
                slope = np.log(high.variance / low.variance) / np.log(high.nu / low.nu)
            a, b = a + move, b + move * (1 + slope / 2)
        return Values(
            found.nu,
            found.df1,
            np.maximum(found.df2, tiny),
            a,
            np.maximum(b, tiny),  # a square, which noise may make negative
            found.variance,
        )

    def system(self, penalty: Array) -> Equations:
        """Residuals and Jacobian at penalties 1/C, (n,)."""

        def residuals(y: Array, which: Indices) -> tuple[Array, Array]:
            with np.errstate(all="ignore"):  # of iterates that leave the doubles
                mean = averages(y[:, 1:], self.positive)
                near = [self.values(y[:, 0] + step, which) for step in (0.0, -NUDGE, NUDGE)]
                value, low, high = (
                    self._residuals(y, which, mean, penalty[which], at) for at in near
                )
                jacobian = self._by_the_averages(y, which, mean, near[0])
                jacobian[:, :, 0] = (high - low) / (2 * NUDGE)
            return value, jacobian

        return residuals

    def _residuals(
        self, y: Array, which: Indices, mean: Averages, penalty: Array, at: Values
    ) -> Array:
        """Eqs. (P3) in logarithms, and the balance of eq. (P2)."""
        A, B, G = mean.square[0], mean.push[0], mean.curved[0]
        count = self.count[which]
        variance = A * at.df2 / (count * G * G) + (B / G) ** 2 * at.b
        return np.stack(
            [
                np.log(at.nu * count * G / penalty),
                y[:, 1] - np.log(at.df1 / (count * G)),
                y[:, 2] - np.log(at.a * B / G),
                y[:, 3] - np.log(variance),
                mean.balance[0] / B,
            ],
            axis=1,
        )

    def _by_the_averages(self, y: Array, which: Indices, mean: Averages, at: Values) -> Array:
        """The Jacobian but for its column of log l."""
        A, B, G = mean.square[0], mean.push[0], mean.curved[0]
        count = self.count[which]
        first, second = A * at.df2 / (count * G * G), (B / G) ** 2 * at.b
        log_a, log_b, log_g = (
            gradient / part[:, None] for part, gradient in (mean.square, mean.push, mean.curved)
        )
        share = (first / (first + second))[:, None]
        jacobian = np.zeros((len(y), 5, 5))
        jacobian[:, 0, 1:] = log_g
        jacobian[:, 1, 1:] = log_g
        jacobian[:, 2, 1:] = log_g - log_b
        jacobian[:, 3, 1:] = 2 * log_g - share * log_a - (1 - share) * 2 * log_b
        jacobian[:, 4, 1:] = (mean.balance[1] - mean.balance[0][:, None] * log_b) / B[:, None]
        for k in (1, 2, 3):
            jacobian[:, k, k] += 1
        return jacobian

    def start(self, penalty: Array) -> Array:
        """Hebb's rule: every push is that of the intercept alone."""
        share = self.positive
        spread = share * (1 - share)
        y = np.zeros((len(penalty), 5))
        y[:, 4] = np.log(share / (1 - share))
        y[:, 0] = np.log(penalty / (self.count * spread))
        at = self.values(y[:, 0], np.arange(len(penalty)))
        with np.errstate(invalid="ignore"):  # of a distance that is not positive
            y[:, 1] = np.log(at.df1 / (self.count * spread))
            y[:, 2] = np.log(2 * at.a)
            y[:, 3] = np.log(at.df2 / (self.count * spread) + 4 * at.b)
        return y

    def read(self, y: Array) -> Trained:
        """What is read off roots (n, 5)."""
        at = self.values(y[:, 0], np.arange(len(y)))
        with np.errstate(all="ignore"):
            mean = averages(y[:, 1:], self.positive)
            A, B, G = mean.square[0], mean.push[0], mean.curved[0]
            m, q = np.exp(y[:, 2]), np.exp(y[:, 3])
            error = error_of(m, q, y[:, 4], self.positive)
            noise = A * (at.df1 - at.df2) / (self.count * G * G)
            norm = np.sqrt((noise + (B / G) ** 2 * np.maximum(at.a - at.b, 0)) / at.nu)
        return Trained(
            error, norm, at.nu, np.exp(y[:, 1]), m, q, y[:, 4], A, B, G, np.exp(y[:, 0]), y
        )

    def select(self, which: Indices) -> Penalised:
        """Some of the systems."""
        return Penalised(self.functions, self.positive, self.count[which], self.shift[which])


def solve_penalised(systems: Penalised, penalties: Array) -> list[Trained]:
    """Every system at each of the penalties (J,) or (J, n), which fall from one to the next.

    The path leads from a penalty so large that Hebb's rule is left; where it ends, because the
    sample says nothing of the nu that is asked for, the rest is nan.
    """
    functions = systems.functions
    n = len(systems.count)
    penalties = np.broadcast_to(penalties.reshape(len(penalties), -1), (len(penalties), n))
    length = float(np.sum(functions.squares)) + functions.outside
    first = GENTLE * np.maximum(functions.trace, systems.count * length)
    first = np.maximum(first, penalties[0])
    gentle = follow(
        systems.system,
        systems.start(first),
        first,
        penalties[0].copy(),
        TOLERANCE,
        stride=STRIDE,
    )
    y = np.where(gentle.arrived[:, None], gentle.unknowns, np.nan)
    found, before, here = [systems.read(y)], y, np.log(penalties[0])
    last = here
    for penalty in penalties[1:]:
        goal = np.log(penalty)
        with np.errstate(invalid="ignore", divide="ignore"):
            ahead = np.where(here == last, 0.0, (goal - here) / (here - last))
        guess = y + (y - before) * ahead[:, None]
        root = newton(systems.system(penalty), guess, TOLERANCE, limit=25)
        lost = np.flatnonzero(~root.converged & np.isfinite(y[:, 0]))
        if len(lost):
            some = systems.select(lost)
            walk = follow(
                some.system, y[lost], np.exp(here[lost]), penalty[lost], TOLERANCE, stride=1.2
            )
            root.unknowns[lost] = np.where(walk.arrived[:, None], walk.unknowns, np.nan)
        before, y, last, here = y, root.unknowns, here, goal
        found.append(systems.read(y))
    return found
