"""From runs to the fitted law, its intervals, and whether the runs determine it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from replica.common import arguments
from replica.common.arguments import POSITIVE, InvalidArgument, Range, quoted, show
from replica.scaling.loss_law.record import Interval, LossLawFit
from replica.scaling.loss_law.search import END_OF, Objective, end, search
from replica.scaling.loss_law.surface import Runs

__all__ = ["fit_loss_law"]

Array = NDArray[np.float64]

LEVEL = Range(0.0, 1.0, "must lie between 0 and 1", low_open=True, high_open=True)
#: Parameters of the law.
PARAMETERS = 5
#: Three values of N tell E and A N^-alpha apart, if D does not vary; fewer never do.
VALUES = 3
#: N and D that are a power of each other to this part of ln D: one path, not a plane.
PATH = 0.05
#: Estimates that move together more than this are named: a choice.
TOGETHER = 0.95
#: At most so many pairs, and only where something is open: the record has them all.
PAIRS = 3
#: Columns whose smallest singular value is below this part of the largest are the same column.
SINGULAR = 1e-10
#: Residuals of ln L below this are rounding and the last steps of a fit.
ROUNDING = 1e-9
#: A statement about the residuals is made below this p-value: a choice.
SUSPICIOUS = 0.01
#: E below this part of the least loss is none.
NONE = 1e-6
NAMES = ("E", "A", "B", "alpha", "beta")


def fit_loss_law(
    N: ArrayLike,
    D: ArrayLike,
    L: ArrayLike,
    *,
    relative: ArrayLike | None = None,
    loss: str = "squares",
    delta: float = 1e-3,
    intervals: bool = True,
    level: float = 0.95,
    bootstrap: int = 0,
    seed: int = 0,
) -> LossLawFit:
    r"""Fit L = E + A N^-alpha + B D^-beta to the losses of trained networks.

    .. math:: \min \sum_i \rho\left(\frac{\ln L_i - \ln(E+AN_i^{-\alpha}+BD_i^{-\beta})}
        {\sigma_i}\right)

    with rho half the square, or Huber's loss of Hoffmann et al. (2022), half the square up to
    `delta` and linear beyond. The minimum is the best of descents from a scan of both exponents.
    An interval holds the values of one parameter at which the sum, least over the other four,
    has risen by no more than its quantile, eqs. (S20) to (S23) of `docs/scaling.md`. E, A, B,
    alpha and beta are not negative.

    Parameters
    ----------
    N, D, L : (n,) arrays
        Parameters, training examples (tokens) and final loss of each run; positive.
    relative : float or (n,) array, optional
        Standard errors of ln L. Without them they are equal and unknown.
    loss : {"squares", "huber"}
        "huber" where some runs failed; errors are then estimated.
    delta : float
        Corner of Huber's loss, in units of ln L.
    intervals : bool
        Whether to compute the profile intervals, which take most of the time.
    level : float
        Their confidence level, in (0, 1).
    bootstrap : int
        How many times to fit runs drawn with replacement, for `samples`.
    seed : int
        Of the random choice of runs.

    Raises
    ------
    InvalidArgument
        If there are fewer than 7 runs, or fewer than 3 different N or D; if an argument is not
        what is written above; if `relative` is given with Huber's loss.

    References
    ----------
    J. Hoffmann et al., Training compute-optimal large language models, arXiv:2203.15556 (2022).
    T. Besiroglu et al., Chinchilla scaling: a replication attempt, arXiv:2404.10102 (2024).
    """
    loss = arguments.word("loss", loss, ("squares", "huber"))
    level = arguments.number("level", level, LEVEL)
    delta = arguments.number("delta", delta, POSITIVE)
    count, seed = arguments.whole("bootstrap", bootstrap, 0), arguments.whole("seed", seed, 0)
    if relative is not None and loss == "huber":
        raise InvalidArgument(
            "relative", 'and `loss="huber"` are both given; that loss estimates errors'
        )
    runs = _read(N, D, L, relative)
    objective = Objective(runs, delta if loss == "huber" else None)
    best = search(objective)

    residuals, slopes = runs.residuals(best), runs.slopes(best)
    dof = len(residuals) - PARAMETERS
    exact = not runs.known and bool(np.abs(residuals).max() < ROUNDING)
    unit, spread = (np.nan, np.nan) if exact else _scale(objective, residuals, dof)
    covariance, condition, correlations = _information(slopes)
    covariance = covariance * spread
    upper = (1 + level) / 2
    quantile = special.ndtri(upper) if runs.known else special.stdtrit(dof, upper)
    limit = objective.value(best) + unit * float(quantile) ** 2
    values, errors = _values(best), _errors(best, covariance)
    profiled = intervals and not exact
    found = {}
    for name, value, error in zip(END_OF, values, errors, strict=True):
        logarithmic = error / (value * (1 - value) if name == "a" else value) if value else np.nan
        ends = [
            end(objective, best, name, limit, float(logarithmic), side) if profiled else np.nan
            for side in (-1, 1)
        ]
        found[name] = Interval(float(value), float(error), *ends)
    chi2 = float(residuals @ residuals)
    p_value = float(special.chdtrc(dof, chi2)) if runs.known else np.nan
    identified = profiled and all(
        found[name].low > 0 and found[name].high < END_OF[name][1]
        for name in ("alpha", "beta", "a")
    )
    return LossLawFit(
        **found,
        log_A=float(best[1] + best[3] * runs.means[0]),
        log_B=float(best[2] + best[4] * runs.means[1]),
        level=level,
        noise=_noise(objective, residuals, dof),
        dof=dof,
        p_value=p_value,
        residuals=residuals,
        correlations=correlations,
        condition=condition,
        samples=_bootstrap(objective, best, count, seed),
        loss=loss,
        identified=identified,
        status=_status(runs, found, correlations, p_value, level, exact, intervals),
    )


def _read(N: ArrayLike, D: ArrayLike, L: ArrayLike, relative: ArrayLike | None) -> Runs:
    """Checked runs, with logarithms centred."""
    columns = {}
    for name, given in (("N", N), ("D", D), ("L", L)):
        values = arguments.numbers(name, given)
        if values.ndim != 1:
            raise InvalidArgument(name, "must be one-dimensional", f"shape {values.shape}")
        bad = ~((values > 0) & np.isfinite(values))
        if bad.any():
            row = int(np.argmax(bad))
            rule = "must be positive and finite"
            raise InvalidArgument(name, rule, f"{show(values[row])} at row {row}")
        columns[name] = values
    n = len(columns["N"])
    for name in ("D", "L"):
        if len(columns[name]) != n:
            found = f"{len(columns[name])} for {n}"
            raise InvalidArgument(name, "must have as many values as `N`", found)
    if n < PARAMETERS + 2:
        rule = f"must have at least {PARAMETERS + 2} values for five parameters and their errors"
        raise InvalidArgument("L", rule, f"{n}")
    for name, other in (("N", "D"), ("D", "N")):
        different = len(np.unique(columns[name]))
        if different < VALUES:
            raise InvalidArgument(
                name,
                f"must have at least {VALUES} different values",
                f"{different}: `fit_power_law` fits L against `{other}` alone",
            )
    if np.all(columns["L"] == columns["L"][0]):
        raise InvalidArgument("L", "must not be the same everywhere", show(columns["L"][0]))
    error = np.ones(n)
    if relative is not None:
        given = arguments.numbers("relative", relative)
        if given.shape not in ((), (n,)):
            rule = "must be one number, or as many as `N`"
            raise InvalidArgument("relative", rule, f"shape {given.shape}")
        if not np.all((given > 0) & np.isfinite(given)):
            raise InvalidArgument("relative", "must be positive and finite", quoted(relative))
        error = np.broadcast_to(given, n)
    u, v = np.log(columns["N"]), np.log(columns["D"])
    means = (float(u.mean()), float(v.mean()))
    log_L = np.log(columns["L"])
    return Runs(u - means[0], v - means[1], log_L, error, relative is not None, means)


def _scale(objective: Objective, residuals: Array, dof: int) -> tuple[float, float]:
    """What the sum rises by per squared standard error, and the variance of a score, eq. (S22).

    With psi = rho', the first is <psi^2>/<psi'> and the second <psi^2>/<psi'>^2, which both are the
    variance of the residuals where psi is the residual itself.
    """
    if objective.runs.known:
        return 1.0, 1.0
    if objective.delta is None:
        variance = float(residuals @ residuals) / dof
        return variance, variance
    psi = np.clip(residuals, -objective.delta, objective.delta)
    square = float(psi @ psi) / dof
    # The share of residuals within the corners, smoothed over Silverman's bandwidth: at delta
    # far below the noise only a few lie there.
    width = 1.06 * np.median(np.abs(residuals)) / special.ndtri(0.75) * len(residuals) ** -0.2
    width = max(float(width), objective.delta / 100)
    ends = (np.array([[1.0], [-1.0]]) * objective.delta - residuals) / width
    inside = float(np.mean(special.ndtr(ends[0]) - special.ndtr(ends[1])))
    return square / inside, square / inside**2


def _noise(objective: Objective, residuals: Array, dof: int) -> float:
    """Standard deviation of ln L about the law."""
    if objective.delta is None:
        return float(np.sqrt(np.sum((residuals * objective.runs.error) ** 2) / dof))
    return float(np.median(np.abs(residuals)) / special.ndtri(0.75))


def _information(slopes: Array) -> tuple[Array, float, Array]:
    """Inverse of the Fisher matrix, condition number in scaled parameters, correlations."""
    size = np.linalg.norm(slopes, axis=0)
    nothing = np.full((PARAMETERS, PARAMETERS), np.nan)
    if not np.all(size > 0):
        return nothing, np.inf, nothing
    _, s, V = np.linalg.svd(slopes / size, full_matrices=False)
    if s[-1] < SINGULAR * s[0]:
        return nothing, np.inf, nothing
    half = V.T / s
    scaled = half @ half.T
    deviation = np.sqrt(np.diag(scaled))
    correlations = scaled / np.outer(deviation, deviation)
    return scaled / np.outer(size, size), float((s[0] / s[-1]) ** 2), correlations


def _values(p: Array) -> Array:
    """E, alpha, beta, a."""
    return np.array([np.exp(p[0]), p[3], p[4], p[4] / (p[3] + p[4])])


def _errors(p: Array, covariance: Array) -> Array:
    """Their standard errors."""
    of_a = np.array([-p[4], p[3]]) / (p[3] + p[4]) ** 2
    variances = [
        np.exp(2 * p[0]) * covariance[0, 0],
        covariance[3, 3],
        covariance[4, 4],
        of_a @ covariance[3:, 3:] @ of_a,
    ]
    return np.sqrt(variances)


def _bootstrap(objective: Objective, best: Array, count: int, seed: int) -> Array:
    """E, alpha, beta and a of runs drawn with replacement, each fitted to convergence."""
    rng, n = np.random.default_rng(seed), len(objective.runs.u)
    samples = [
        _values(Objective(objective.runs.drawn(rows), objective.delta).nearest(best))
        for rows in rng.integers(n, size=(count, n))
    ]
    return np.array(samples).reshape(count, len(END_OF))


def _status(
    runs: Runs,
    found: dict[str, Interval],
    correlations: Array,
    p_value: float,
    level: float,
    exact: bool,
    intervals: bool,
) -> str:
    """What stands out, in words."""
    said = ["the residuals are rounding: they do not say how large errors are"] if exact else []
    away = runs.v - runs.u * float(runs.u @ runs.v) / float(runs.u @ runs.u)
    if np.sqrt(away @ away) < PATH * np.sqrt(runs.v @ runs.v):
        said.append(
            "D is a power of N in all runs (D/N constant?): the two terms cannot be told apart; "
            "runs off that line are needed"
        )
    for name, one in found.items():
        if name != "E" and (one.low == 0 or one.high == END_OF[name][1]):
            side = "no limits" if one.low == 0 and one.high == END_OF[name][1] else None
            side = side or ("no lower limit" if one.low == 0 else "no upper limit")
            said.append(f"{name} has {side} at {level:.0%}")
    if found["E"].value < NONE * np.exp(runs.log_L.min()):
        said.append("E is at its bound 0")
    if not np.isfinite(correlations).all():
        said.append("the Fisher matrix is singular")
    elif said:
        pairs = [(abs(correlations[i, j]), i, j) for j in range(PARAMETERS) for i in range(j)]
        said += [
            f"{NAMES[i]} and {NAMES[j]} trade off (correlation {correlations[i, j]:+.3f})"
            for size, i, j in sorted(pairs, reverse=True)[:PAIRS]
            if size > TOGETHER
        ]
    if p_value < SUSPICIOUS:
        said.append(f"the law is rejected (p = {p_value:.2g})")
    if not (exact or intervals):
        said.append("without intervals nothing is said of what the runs determine")
    return "; ".join(said) or "determined"
