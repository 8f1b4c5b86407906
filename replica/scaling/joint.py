"""One law for the learning curves of every P: an early power law that they share, and elbows.

    ln(error - q) = ln k - kappa ln P - gamma x + (bend/rate) softplus(rate (x - elbow_P))

in x = ln(norm), eq. (S5): local exponent gamma early, gamma - bend past the elbow.
The fit is weighted least squares of ln(error), by Levenberg and Marquardt's method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replica.common.arguments import InvalidArgument, quoted
from replica.scaling import arrow

__all__ = ["JointLaw", "Records", "fit", "gather", "straight"]

Array = NDArray[np.float64]

#: Places of log_k, gamma, bend, ln(rate), offset and drift among the parameters; elbows follow.
LOG_K, GAMMA, BEND, RATE, OFFSET, DRIFT = range(arrow.COMMON)
ELBOWS = arrow.COMMON
#: Elbows per range of ln(norm) that `rate` may resolve: between a straight line that only
#: just bends and a corner sharper than records lie apart. A choice.
SOFTEST, SHARPEST = 2.0, 400.0
#: Turns of the two ways to step that a fit ends with, at most.
ROUNDS = 3


@dataclass(frozen=True)
class JointLaw:
    """One law for every P: a common early power law, each P with its own elbow, eq. (S5).

    ln(error - offset) = log_k - drift ln(P/P[-1]) - gamma ln(norm)
                         + (bend/rate) softplus(rate (ln(norm) - elbow_P))

    Attributes
    ----------
    P : (m,) array
        The numbers of examples that took part.
    log_k, gamma, bend, rate, offset, drift : float
        The early law is error = offset + exp(log_k) norm^(-gamma); past the elbow the local
        exponent changes by `bend` over a width 1/`rate` in ln(norm). `drift` is zero unless
        the law was allowed to move with P.
    elbow : (m,) array
        ln(norm) of the elbow of each P.
    start : float
        ln(norm) from which records took part.
    chi2 : float
        Sum of squared residuals in units of the noise.
    dof : int
        Points less parameters.
    """

    P: Array
    log_k: float
    gamma: float
    bend: float
    rate: float
    offset: float
    drift: float
    elbow: Array
    start: float
    chi2: float
    dof: int

    def early(self, log_norm: Array) -> Array:
        """The early power law, the same for every P (that of the largest if it drifts)."""
        return np.asarray(self.offset + np.exp(self.log_k - self.gamma * np.asarray(log_norm)))

    def __call__(self, log_norm: Array, P: float) -> Array:
        """Test error at ln(norm) of the curve of one of its P."""
        place = np.flatnonzero(self.P == P)
        if len(place) == 0:
            known = self.P.tolist()
            raise InvalidArgument("P", f"must be one of those that took part, {known}", quoted(P))
        x = np.asarray(log_norm, dtype=np.float64)
        late = np.logaddexp(0.0, self.rate * (x - self.elbow[place[0]])) * self.bend / self.rate
        level = self.log_k - self.drift * np.log(P / self.P[-1])
        return np.asarray(self.offset + np.exp(level - self.gamma * x + late))


@dataclass(frozen=True)
class Records:
    """Points of several curves: all in one array, with the row of their P.

    Attributes
    ----------
    P : (m,) array
    x, y, weight : (n,) array
        ln(norm), ln(error) and one over the standard error of the latter.
    row : (n,) array of int
        Index into ``P``.
    start : float
    """

    P: Array
    x: Array
    y: Array
    weight: Array
    row: NDArray[np.intp]
    start: float


def gather(
    P: Sequence[float],
    log_norm: Sequence[Array],
    log_error: Sequence[Array],
    variance: Sequence[Array],
    start: float,
    ends: Sequence[float],
) -> Records:
    """The records of each curve between `start` and its own end."""
    keep = [(x >= start) & (x <= end) for x, end in zip(log_norm, ends, strict=True)]
    return Records(
        P=np.asarray(P, dtype=np.float64),
        x=np.concatenate([x[k] for x, k in zip(log_norm, keep, strict=True)]),
        y=np.concatenate([y[k] for y, k in zip(log_error, keep, strict=True)]),
        weight=np.concatenate([v[k] for v, k in zip(variance, keep, strict=True)]) ** -0.5,
        row=np.repeat(np.arange(len(keep)), [np.count_nonzero(k) for k in keep]),
        start=start,
    )


def fit(
    records: Records,
    *,
    offset: bool = False,
    drift: bool = False,
    guess: Array | None = None,
    thorough: bool = False,
) -> tuple[JointLaw, Array]:
    """The law that fits best, and its parameters as a guess for a neighbouring fit.

    Parameters
    ----------
    records : Records
    offset, drift : bool
        Whether the floor q of the error, and the drift kappa of the early law with P, are
        free; zero otherwise. The floor is never negative.
    guess : (6 + m,) array, optional
        Where to begin; else, or if ``thorough``, several sharpnesses of the elbow are tried.
    """
    free = np.ones(ELBOWS, dtype=bool)
    free[[OFFSET, DRIFT]] = offset, drift
    firsts = _guesses(records) if guess is None or thorough else []
    if guess is not None:
        firsts.append(guess.copy())
        firsts[-1][[OFFSET, DRIFT]] *= offset, drift  # what is not free is zero
    tries = [_minimize(records, first, free) for first in firsts]
    parameters, chi2 = min(tries, key=lambda result: result[1])
    law = JointLaw(
        P=records.P,
        log_k=float(parameters[LOG_K]),
        gamma=float(parameters[GAMMA]),
        bend=float(parameters[BEND]),
        rate=float(np.exp(parameters[RATE])),
        offset=float(parameters[OFFSET]),
        drift=float(parameters[DRIFT]),
        elbow=parameters[ELBOWS:].copy(),
        start=records.start,
        chi2=chi2,
        dof=len(records.x) - int(free.sum()) - len(records.P),
    )
    return law, parameters


def straight(records: Records, *, drift: bool = False) -> tuple[float, int]:
    """chi2 and number of parameters of the law without any elbow and floor: a common line."""
    columns = [np.ones_like(records.x), records.x]
    if drift:
        columns.append((np.log(records.P) - np.log(records.P[-1]))[records.row])
    weighted = np.stack(columns, axis=1) * records.weight[:, None]
    target = records.y * records.weight
    rest = target - weighted @ np.linalg.lstsq(weighted, target, rcond=None)[0]
    return float(rest @ rest), len(columns)


def _guesses(records: Records) -> list[Array]:
    """An early line through all curves and, for several sharpnesses, elbows where it ends.

    Half of them bend down: that is no elbow, and must be seen where it fits better.
    """
    x, y, row = records.x, records.y, records.row
    floors = np.array([y[row == j].min() for j in range(len(records.P))])
    early = x <= np.median(x)
    dx = x[early] - x[early].mean()  # records of one norm have no slope
    slope = float(dx @ y[early]) / max(float(dx @ dx), np.finfo(float).tiny)
    level = float(y[early].mean()) - slope * float(x[early].mean())
    gamma = max(-slope, 1e-3)
    elbows = np.clip((level - floors) / gamma, x.min(), x.max())
    width = np.ptp(x)
    return [
        np.concatenate([[level, gamma, bend, np.log(sharp / width), 0.0, 0.0], elbows])
        for bend in (gamma, -gamma)
        for sharp in (5.0, 15.0, 45.0)
    ]


def _minimize(records: Records, first: Array, free: NDArray[np.bool_]) -> tuple[Array, float]:
    """The parameters of least chi2, kept within their bounds, and that chi2.

    Steps along the valley and across take turns until one gains nothing, since either alone can
    end on the way.
    By a minimiser of our own, since an analysis asks for thousands of fits: MINPACK, through
    ``scipy.optimize.least_squares`` with the same derivatives, finds the same minimum to 1e-10 in
    many times the time, and the ratio grows with the number of curves.
    """
    width = np.ptp(records.x)
    low, high = np.full(len(first), -np.inf), np.full(len(first), np.inf)
    low[RATE], high[RATE] = np.log(SOFTEST / width), np.log(SHARPEST / width)
    low[OFFSET], high[OFFSET] = 0.0, float(np.exp(records.y.min()))
    low[ELBOWS:], high[ELBOWS:] = records.x.min() - width, records.x.max() + width
    p = np.clip(first, low, high)
    if free[OFFSET] and p[OFFSET] == 0:
        p[OFFSET] = 0.1 * high[OFFSET]  # at zero the step could not tell which way to go
    if abs(p[BEND]) < arrow.STRAIGHT:
        p[BEND] = arrow.STRAIGHT
    log_P = np.log(records.P) - np.log(records.P[-1])
    chi2 = np.inf
    for along in (1.0, 0.0) * ROUNDS:
        before = chi2
        chi2 = arrow.minimise(
            records.x, records.y, records.weight, records.row, log_P, free, low, high, along, p
        )
        if chi2 > before * (1 - 1e-6):
            break
    if abs(p[BEND]) == arrow.STRAIGHT:
        p[BEND] = 0.0
    return p, float(chi2)
