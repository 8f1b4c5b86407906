"""Statistical errors: the whole pipeline repeated on other seeds, or without one P at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2 as chi2_distribution
from scipy.stats import t as student

from replica.scaling import pipeline
from replica.scaling.averages import MeanCurve, drawn
from replica.scaling.joint import JointLaw
from replica.scaling.optima import Optimum
from replica.scaling.pipeline import Window

__all__ = [
    "Estimate",
    "Progress",
    "Samples",
    "bootstrap",
    "covariance",
    "estimate",
    "jackknife",
    "misfit",
    "together",
]

Array = NDArray[np.float64]
#: Called with the number of repetitions done and to do.
Progress = Callable[[int, int], None]

#: Level of every interval.
LEVEL = 0.95
#: p-value of chi2 below which scatter is more than chance. A choice.
CHANCE = 0.1
#: A repetition this many robust standard deviations off is pulled in to there: a fit that
#: went astray must not decide an error bar. A choice.
ASTRAY = 6.0


@dataclass(frozen=True)
class Estimate:
    """A number with its statistical and its systematic error.

    Attributes
    ----------
    value : float
        The estimate; nan where nothing can be concluded.
    error : float
        One statistical standard error.
    low, high : float
        95% interval, statistical.
    systematic : float
        Half of the range of the value over the admissible choices of the analysis; nan where
        no choice was varied.
    reason : str
        Why nothing can be concluded; empty otherwise.
    """

    value: float
    error: float
    low: float
    high: float
    systematic: float = float("nan")
    reason: str = ""

    @property
    def total(self) -> float:
        """Both errors added in quadrature; the statistical one alone where no choice was varied."""
        return float(np.hypot(self.error, np.nan_to_num(self.systematic)))


@dataclass(frozen=True)
class Samples:
    """The analysis repeated: on seeds drawn anew, or without one P at a time.

    Attributes
    ----------
    kind : str
        "bootstrap" or "jackknife".
    P : (m,) array
    log_lam_opt, log_eps_opt, log_elbow : (repetitions, m) array
        Minima and elbows by P; nan where a P did not take part.
    gamma_1, drift : (repetitions,) array
    present : (repetitions, m) array
        1 where a P took part in a repetition, else 0.
    freedom : int
        Degrees of freedom of that variance.
    """

    kind: str
    P: Array
    log_lam_opt: Array
    log_eps_opt: Array
    log_elbow: Array
    gamma_1: Array
    drift: Array
    present: Array
    freedom: int


def bootstrap(
    means: Sequence[MeanCurve],
    window: Window,
    guess: Array | None,
    count: int,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Samples:
    """Repeat minima and joint law on seeds drawn anew, independently for each P.

    Of S seeds S - 1 are drawn, with replacement: that makes the variance of a mean
    unbiased, which it is not by the factor (S - 1)/S when S are drawn (Rao and Wu,
    J. Am. Stat. Assoc. 83, 231, 1988).
    """
    rows = []
    for done in range(count):
        again = [drawn(mean, rng) for mean in means]
        if all(np.all(mean.error > 0) for mean in again):
            rows.append(_repeat(again, pipeline.minima(again, window.rise), window, guess))
        if progress is not None:
            progress(done + 1, count)
    if len(rows) < 0.9 * count:
        raise ValueError(
            f"in {count - len(rows)} of {count} bootstrap samples the error vanishes for "
            "every seed drawn at some norm: a larger test set, or more seeds, are needed"
        )
    # Half of the seeds' own number: on synthetic sweeps of 5 seeds at 7 P the error bar of gamma_1
    # scatters by 20%, like one from 12 degrees of freedom, not from 28; some curves decide more.
    freedom = (sum(mean.seeds - 1 for mean in means) + 1) // 2
    present = np.ones((len(rows), len(means)))
    return _samples("bootstrap", means, rows, present, freedom)


def jackknife(
    means: Sequence[MeanCurve],
    ends: Sequence[Optimum],
    window: Window,
    law: JointLaw | None,
    guess: Array | None,
) -> Samples:
    """Repeat the joint law without one P at a time; for curves that came averaged."""
    rows = []
    for out in range(len(means)):
        fewer = [mean for k, mean in enumerate(means) if k != out]
        kept = [end for k, end in enumerate(ends) if k != out]
        first = guess
        if law is not None and guess is not None and means[out].P in law.P:
            place = int(np.flatnonzero(law.P == means[out].P)[0])
            first = np.delete(guess, len(guess) - len(law.P) + place)
        row = _repeat(fewer, kept, window, first)
        rows.append({k: np.insert(v, out, np.nan) if np.ndim(v) else v for k, v in row.items()})
    return _samples("jackknife", means, rows, 1.0 - np.eye(len(means)), len(means) - 1)


def _repeat(
    means: Sequence[MeanCurve], ends: Sequence[Optimum], window: Window, guess: Array | None
) -> dict[str, Array]:
    """Minima, exponent of the early law, its drift and the elbows of one repetition."""
    P = np.array([mean.P for mean in means])
    gamma, drift, elbow = np.nan, np.nan, np.full(len(P), np.nan)
    result = pipeline.fit_law(means, ends, window, guess) if guess is not None else None
    if result is not None:
        law, parameters = result
        gamma = law.gamma
        elbow[np.isin(P, law.P)] = law.elbow
        drifting = pipeline.fit_law(means, ends, replace(window, drift=True), parameters)
        drift = np.nan if drifting is None or len(law.P) < 2 else drifting[0].drift
    return {
        "log_lam_opt": np.array([end.log_norm for end in ends]),
        "log_eps_opt": np.array([end.log_error for end in ends]),
        "log_elbow": elbow,
        "gamma_1": np.asarray(gamma),
        "drift": np.asarray(drift),
    }


def _samples(
    kind: str,
    means: Sequence[MeanCurve],
    rows: Sequence[dict[str, Array]],
    present: Array,
    freedom: int,
) -> Samples:
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    P = np.array([mean.P for mean in means])
    return Samples(kind=kind, P=P, present=present, freedom=freedom, **columns)


def covariance(samples: Samples, values: Array) -> Array:
    """Covariance (k, k) of quantities (repetitions, k) that were repeated.

    Repetitions without a value are left out; strays of a bootstrap are pulled in.
    """
    values = values[np.all(np.isfinite(values), axis=1)]
    count = len(values)
    if count < 2:
        return np.full((values.shape[1],) * 2, np.nan)
    if samples.kind == "jackknife":
        scale = (count - 1) / count
    else:
        scale = 1 / (count - 1)
        low, centre, high = np.quantile(values, [0.16, 0.5, 0.84], axis=0)
        values = np.clip(values, *(centre + side * ASTRAY * (high - low) / 2 for side in (-1, 1)))
    distance = values - values.mean(axis=0)
    return np.asarray(scale * distance.T @ distance)


def misfit(chi2: float, freedom: int) -> float:
    """How much wider errors have to be for a law that the points scatter about beyond their noise.

    sqrt(chi2/dof) where that is above 1 by more than chance, and 1 elsewhere.
    """
    if freedom < 1 or not chi2_distribution.sf(chi2, freedom) < CHANCE:
        return 1.0
    return float(np.sqrt(chi2 / freedom))


def together(samples: Samples, columns: Sequence[Array]) -> Array:
    """Covariance of repeated quantities; nan in the rows of those that have no values."""
    stack = np.stack(columns, axis=1)
    known = np.isfinite(stack).any(axis=0)
    result = np.full((stack.shape[1],) * 2, np.nan)
    if known.any():
        result[np.ix_(known, known)] = covariance(samples, stack[:, known])
    return result


def estimate(value: float, variance: float, samples: Samples, reason: str) -> Estimate:
    """A value with its 95% interval by Student's t; nan where a reason speaks against one."""
    if not reason and not (variance >= 0 and samples.freedom > 0):
        reason = "there is nothing to take an error from"
    if reason:
        return Estimate(np.nan, np.nan, np.nan, np.nan, np.nan, reason)
    error = float(np.sqrt(variance))
    reach = float(student.ppf((1 + LEVEL) / 2, max(samples.freedom, 1))) * error
    return Estimate(value=value, error=error, low=value - reach, high=value + reach)
