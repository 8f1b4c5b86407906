"""The recipe of the paper's authors, step by step, to compare with what they published.

D'Amico, Bocchi and Negri (2025), appendix D, as their public code does it; docs/scaling.md,
section 8, says what each step leaves out. It has no rule for its window.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replica.common.arguments import InvalidArgument, quoted
from replica.scaling.averages import MeanCurve, average
from replica.scaling.choices import half_range
from replica.scaling.collapse import collapse
from replica.scaling.curves import Curves
from replica.scaling.flags import Flag, Kind, listed
from replica.scaling.influence import COLUMNS
from replica.scaling.pipeline import lines_table, straight
from replica.scaling.record import Analysis
from replica.scaling.resampling import Estimate

__all__ = ["recipe"]

Array = NDArray[np.float64]

#: Points of the common grid on which seeds are averaged.
GRID = 50
#: The scan moves the end of the window by these parts of its length in ln(norm).
OTHER_ENDS = (-0.5, -0.25, 0.0, 0.25, 0.5)
#: Points that a line and its error need.
FEWEST = 3
#: Half of a 95% interval in standard errors.
NORMAL = 1.96


def recipe(
    curves: Curves,
    window: tuple[float, float],
    gamma_1_from: float | None,
    gamma_2_from: float | None,
    own: Array | None,
) -> Analysis:
    """gamma_1 from lines in a window of lam/lam_opt, gamma_2 from lam_opt, both by least squares.

    1. Mean curves: seeds interpolated linearly in ln(norm), averaged over those that reach a norm.
    2. Each is divided by its minimum in both coordinates; gamma_1 is the mean of minus the slopes
       of unweighted lines in the window, for P >= gamma_1_from. Its quoted error is the root mean
       square of their standard errors.
    3. gamma_2 from a line through ln(lam_opt), the arithmetic mean over seeds of the norm at each
       seed's own minimum, for P >= gamma_2_from.
    4. gamma_pred = gamma_1 gamma_2, errors as if independent; gamma_meas from all minima.
    """
    low, high = window
    means = _means(curves)
    P = np.array([mean.P for mean in means])
    for name, first in (("gamma_1_from", gamma_1_from), ("gamma_2_from", gamma_2_from)):
        least = 1 if name == "gamma_1_from" else FEWEST
        if np.count_nonzero((first or 0) <= P) < least:
            raise InvalidArgument(name, f"must leave at least {least} values of P", quoted(first))
    if len(P) < FEWEST:
        raise InvalidArgument("curves", f"must have at least {FEWEST} values of P", f"{len(P)}")
    lowest = [int(np.argmin(mean.error)) for mean in means]
    log_min = np.array([mean.log_norm[k] for mean, k in zip(means, lowest, strict=True)])
    log_eps = np.array([np.log(mean.error[k]) for mean, k in zip(means, lowest, strict=True)])
    log_lam = own if own is not None else _mean_optima(curves)

    with np.errstate(divide="ignore"):
        ends = np.log([low, high])
    rows = _lines(means, log_min, log_eps, gamma_1_from, ends)
    part = [mean for mean in means if (gamma_1_from or 0) <= mean.P]
    short = [mean for mean, row in zip(part, rows, strict=True) if row is None]
    if short:
        raise InvalidArgument(
            "window",
            f"must hold at least {FEWEST} records of every curve; {window!r} holds fewer "
            f"at P = {short[0].P:g}",
        )
    fits = lines_table([row for row in rows if row])
    gamma_1 = float(fits["gamma"].mean())
    error_1 = float(np.sqrt((fits["gamma_error"] ** 2).mean()))
    take = (gamma_2_from or 0) <= P
    gamma_2, error_2 = _line(np.log(P[take]), log_lam[take])
    slope, error_meas = _line(np.log(P), log_eps)
    product = gamma_1 * gamma_2
    error_pred = float(np.hypot(gamma_2 * error_1, gamma_1 * error_2))

    scan = _scan(means, log_min, log_eps, log_lam, ends, gamma_1_from, gamma_2_from)
    spread = {
        name: half_range(scan.loc[scan["exponent"] == name, "value"].tolist())
        for name in ("gamma_1", "gamma_2", "gamma_meas")
    }
    spread_pred = float(np.hypot(gamma_2 * spread["gamma_1"], gamma_1 * spread["gamma_2"]))
    names = ["gamma_1", "gamma_2", "gamma_pred", "gamma_meas"]
    errors = np.array([error_1, error_2, error_pred, error_meas])
    covariance = pd.DataFrame(np.diag(errors**2), index=names, columns=names)
    covariance.loc["gamma_1", "gamma_pred"] = covariance.loc["gamma_pred", "gamma_1"] = (
        gamma_2 * error_1**2
    )
    covariance.loc["gamma_2", "gamma_pred"] = covariance.loc["gamma_pred", "gamma_2"] = (
        gamma_1 * error_2**2
    )
    error = float(np.hypot(error_pred, error_meas))
    none = Estimate(np.nan, np.nan, np.nan, np.nan, np.nan, "not part of the paper's recipe")
    last = [k >= len(mean.error) - 1 for mean, k in zip(means, lowest, strict=True)]
    with np.errstate(over="ignore"):
        lam = np.exp(log_lam)
    optima = pd.DataFrame(
        {
            "P": P,
            "seeds": [len(curves.of(value)) for value in P.tolist()],
            "log_lam_opt": log_lam,
            "log_lam_opt_error": np.nan,
            "lam_opt": lam,
            "eps_opt": np.exp(log_eps),
            "log_eps_opt_error": np.nan,
            "at_end": last,
            "flat": False,
            "log_lam_min": log_min,
            "seed_log_lam_opt": np.nan,
            "seed_log_lam_opt_error": np.nan,
            "log_elbow": np.nan,
            "log_elbow_error": np.nan,
        }
    )
    return Analysis(
        method="paper",
        means=means,
        averaged=curves.averaged,
        optima=optima,
        joint=None,
        gamma_1=_estimate(gamma_1, error_1, spread["gamma_1"]),
        gamma_2=_estimate(gamma_2, error_2, spread["gamma_2"]),
        gamma_pred=_estimate(product, error_pred, spread_pred),
        gamma_meas=_estimate(-slope, error_meas, spread["gamma_meas"]),
        gamma_2_elbow=none,
        drift=none,
        covariance=covariance,
        difference=(product + slope) / error if error > 0 else float("nan"),
        collapse=collapse(means, log_min, log_eps, from_P=gamma_1_from or 0.0),
        collapse_elbow=None,
        regimes=None,
        forecast=None,
        choices=scan,
        settings={
            "window": (low, high),
            "gamma_1_from": float(fits["P"].min()),
            "gamma_2_from": float(P[take][0]),
            "gamma_meas_from": float(P[0]),
            "gamma_2_of": "optima",
            "offset": False,
            "errors": "residuals of straight lines",
        },
        flags=_flags(curves, P, last),
        seeds=pd.DataFrame(columns=list(COLUMNS)),
        norm_offset=None,
        local_fits=fits,
        samples=None,
        basis=None,
    )


def _flags(curves: Curves, P: Array, last: Sequence[bool]) -> tuple[Flag, ...]:
    flags = [
        *(Flag(Kind.NOTE, note) for note in curves.notes),
        Flag(
            Kind.QUOTED_ERRORS,
            "that of gamma_1 is the root mean square of the errors of the slopes, not the error of "
            "their mean; the window was chosen by hand, and what another would give is in the "
            "systematic error only",
        ),
    ]
    at_end = tuple(P[np.array(last)].tolist())
    if at_end:
        flags.append(
            Flag(
                Kind.AT_END,
                f"the {curves.word} is lowest at the last record for P = {listed(at_end)}; there "
                "lam_opt is that of the end of training",
                at_end,
            )
        )
    return tuple(flags)


def _means(curves: Curves) -> tuple[MeanCurve, ...]:
    """Mean curves over the seeds that reach each norm; averaged curves as they are."""
    means = average(curves)
    if curves.averaged:
        return means
    result = []
    for mean in means:
        seeds = curves.of(mean.P)
        x = np.linspace(min(s[1][0] for s in seeds), max(s[1][-1] for s in seeds), GRID)
        members = np.array([np.interp(x, *s[1:], left=np.nan, right=np.nan) for s in seeds])
        reached = np.isfinite(members).any(axis=0)
        x, error = x[reached], np.nanmean(members[:, reached], axis=0)
        if np.any(error <= 0):
            raise InvalidArgument(
                "test_error",
                f"of P = {mean.P:g} is 0 for every seed that reaches some norm, and has no "
                "logarithm there: a larger test set is needed",
            )
        variance = np.interp(x, mean.log_norm, mean.variance)
        one = np.ones(1)
        result.append(MeanCurve(mean.P, x, error, error[None, :], variance, one, mean.noise))
    return tuple(result)


def _mean_optima(curves: Curves) -> Array:
    """Logarithm of the arithmetic mean over seeds of the norm at each seed's own minimum."""
    result = []
    for P in curves.P.tolist():
        own = np.array([x[np.argmin(error)] for _, x, error in curves.of(P)])
        result.append(np.logaddexp.reduce(own) - np.log(len(own)))
    return np.array(result)


def _lines(
    means: Sequence[MeanCurve], log_min: Array, log_eps: Array, first: float | None, ends: Array
) -> list[dict[str, float] | None]:
    """A line in the window for each curve that takes part."""
    return [
        straight(mean, x, y, x + ends[0], x + ends[1])
        for mean, x, y in zip(means, log_min, log_eps, strict=True)
        if (first or 0) <= mean.P
    ]


def _line(x: Array, y: Array) -> tuple[float, float]:
    """Slope of an unweighted line, and its standard error from the residuals."""
    dx = x - x.mean()
    slope = float((dx * y).sum() / (dx**2).sum())
    rest = y - y.mean() - slope * dx
    return slope, float(np.sqrt((rest**2).sum() / (len(x) - 2) / (dx**2).sum()))


def _estimate(value: float, error: float, systematic: float) -> Estimate:
    return Estimate(value, error, value - NORMAL * error, value + NORMAL * error, systematic)


def _scan(
    means: Sequence[MeanCurve],
    log_min: Array,
    log_eps: Array,
    log_lam: Array,
    ends: Array,
    gamma_1_from: float | None,
    gamma_2_from: float | None,
) -> pd.DataFrame:
    """The exponents for other windows and other smallest P."""
    P = np.array([mean.P for mean in means])
    begins = [
        max(ends[0], float(mean.log_norm[0]) - x) for mean, x in zip(means, log_min, strict=True)
    ]
    length = ends[1] - float(np.median(begins))
    rows: list[tuple[str, str, float, bool]] = []
    for first in P[: len(P) - FEWEST + 1].tolist():
        for part in OTHER_ENDS:
            other = np.array([ends[0], ends[1] + part * length])
            lines = _lines(means, log_min, log_eps, first, other)
            slopes = [line["gamma"] for line in lines if line is not None]
            if len(slopes) < len(lines):
                continue
            chosen = part == 0 and first == max(P[0], gamma_1_from or 0)
            with np.errstate(over="ignore"):
                words = f"P >= {first:g}, lam/lam_opt <= {np.exp(other[1]):.3g}"
            rows.append(("gamma_1", words, float(np.mean(slopes)), chosen))
        take = first <= P
        chosen = first == max(P[0], gamma_2_from or 0)
        rows.append(
            ("gamma_2", f"P >= {first:g}", _line(np.log(P[take]), log_lam[take])[0], chosen)
        )
        fall = -_line(np.log(P[take]), log_eps[take])[0]
        rows.append(("gamma_meas", f"P >= {first:g}", fall, first == P[0]))
    table = pd.DataFrame(rows, columns=["exponent", "choice", "value", "chosen"])
    table = table.assign(chi2=np.nan, dof=0, criterion=np.nan, admissible=True)
    columns = ["exponent", "choice", "value", "chi2", "dof", "criterion", "admissible", "chosen"]
    return table[columns]
