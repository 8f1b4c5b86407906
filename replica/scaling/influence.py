"""What one seed does to the exponents: each step again without it, or with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replica.scaling import pipeline
from replica.scaling.averages import MeanCurve, Seed, average_again
from replica.scaling.exponents import Exponents
from replica.scaling.laws_of_P import Line
from replica.scaling.optima import neighbourhood
from replica.scaling.seeds import Sample

__all__ = ["COLUMNS", "influence"]

Array = NDArray[np.float64]

COLUMNS = ("P", "seed", "kind", "used", "what", "d_gamma_1", "d_gamma_2", "d_gamma_meas")
#: A joint fit each, some milliseconds: beyond so many seeds the shifts are not computed.
MOST = 100


def influence(sample: Sample, means: Sequence[MeanCurve], found: Exponents) -> pd.DataFrame:
    """Seeds unlike the others, and how far the exponents move if one is turned.

    One that takes part is left out, one that was left out is put in; window and smallest P stay.
    nan where that leaves no curve or no law.
    """
    rows = []
    for k, remark in enumerate(sample.remarks):
        shift = (np.nan,) * 3
        if k < MOST and not sample.curves.averaged:
            seeds = sample.turned(remark.P, remark.seed)
            shift = _shift(sample, means, found, remark.P, seeds)
        rows.append((remark.P, remark.seed, str(remark.kind), remark.used, remark.text, *shift))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _shift(
    sample: Sample, means: Sequence[MeanCurve], found: Exponents, P: float, seeds: Sequence[Seed]
) -> tuple[float, float, float]:
    """How far gamma_1, gamma_2 and gamma_meas move with other seeds of one P."""
    place = next(k for k, mean in enumerate(means) if P == mean.P)
    other = average_again(means[place], seeds, sample.quantity) if seeds else None
    if other is None:
        return np.nan, np.nan, np.nan
    again = [*means[:place], other, *means[place + 1 :]]
    window = found.laws[0].window if found.laws else None
    rise = window.rise if window else neighbourhood(means)
    ends = [*found.ends]
    ends[place] = pipeline.minima([other], rise)[0]
    gamma_1, elbow = np.nan, np.full(len(means), np.nan)
    if window is not None:
        fitted = pipeline.fit_law(again, ends, window, found.laws[0].parameters)
        if fitted is not None:
            gamma_1 = fitted[0].gamma - found.gamma_1.value
            elbow = pipeline.elbows(fitted[0], again, ends)
    all_P = np.array([mean.P for mean in means])
    log_lam = elbow if found.by_elbow else np.array([end.log_norm for end in ends])
    log_eps = np.array([end.log_error for end in ends])
    return (
        gamma_1,
        _slope(found.used, all_P, log_lam) - found.used.slope,
        found.fall.slope - _slope(found.fall, all_P, log_eps),
    )


def _slope(line: Line, P: Array, log_y: Array) -> float:
    """The exponent of a line through other values."""
    if line.reason:
        return float("nan")
    P, log_y = P[line.took_part], log_y[line.took_part]
    take = (line.choices[0].from_P <= P) & np.isfinite(log_y)
    if np.count_nonzero(take) < 2:
        return float("nan")
    slope, _ = pipeline.slopes(np.log(P[take]), log_y[take], 1 / line.variance[take])
    return float(slope)
