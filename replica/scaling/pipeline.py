"""From mean curves to minima and the joint law, once; what is repeated is repeated around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replica.scaling import joint
from replica.scaling.averages import MeanCurve
from replica.scaling.joint import JointLaw
from replica.scaling.optima import Optimum, optimum

__all__ = [
    "BEFORE_ELBOW",
    "Window",
    "elbows",
    "fit_law",
    "fitted",
    "lines_table",
    "minima",
    "seen",
    "slopes",
    "straight",
]

Array = NDArray[np.float64]

#: Records that a curve needs between the start of the law and its minimum to take part.
FEWEST_BEFORE = 4
#: The early law of a curve counts as seen if it begins this many widths of the elbow before
#: it; there the bend has taken 1/(1 + e^2) = 12% of its course. A choice.
BEFORE_ELBOW = 2.0


@dataclass(frozen=True)
class Window:
    """Where the joint law is fitted, and what else a choice decides.

    Attributes
    ----------
    start : float
        ln(norm) from which records take part; each curve ends at its minimum.
    from_P : float
        The smallest P that takes part.
    rise : float
        The neighbourhood of the minima, see `replica.scaling.optima`.
    offset : bool
        Whether the error may tend to a floor above zero.
    drift : bool
        Whether the early law may move with P.
    """

    start: float
    from_P: float
    rise: float
    offset: bool = False
    drift: bool = False


def minima(means: Sequence[MeanCurve], rise: float) -> list[Optimum]:
    """The minimum of every curve."""
    return [optimum(mean.log_norm, mean.error, mean.variance, rise) for mean in means]


def fitted(
    means: Sequence[MeanCurve], ends: Sequence[Optimum], window: Window
) -> joint.Records | None:
    """The records that the joint law is fitted to; None if a curve has too few of them."""
    inside = [(mean, end) for mean, end in zip(means, ends, strict=True) if window.from_P <= mean.P]
    if not inside:
        return None
    records = joint.gather(
        [mean.P for mean, _ in inside],
        [mean.log_norm for mean, _ in inside],
        [np.log(mean.error) for mean, _ in inside],
        [mean.variance for mean, _ in inside],
        window.start,
        [end.log_norm for _, end in inside],
    )
    counts = np.bincount(records.row, minlength=len(inside))
    parameters = joint.ELBOWS + len(inside)
    if counts.min() < FEWEST_BEFORE or len(records.x) <= parameters:
        return None
    return records


def fit_law(
    means: Sequence[MeanCurve],
    ends: Sequence[Optimum],
    window: Window,
    guess: Array | None = None,
    *,
    thorough: bool = False,
) -> tuple[JointLaw, Array] | None:
    """The joint law within a window, and its parameters; None where it has too few records."""
    records = fitted(means, ends, window)
    if records is None:
        return None
    return joint.fit(
        records, offset=window.offset, drift=window.drift, guess=guess, thorough=thorough
    )


def seen(law: JointLaw, means: Sequence[MeanCurve]) -> NDArray[np.bool_]:
    """For which of its P the early law was seen, well before the elbow."""
    first = {mean.P: max(float(mean.log_norm[0]), law.start) for mean in means}
    begin = np.array([first[P] for P in law.P.tolist()])
    return np.asarray(law.rate * (law.elbow - begin) > BEFORE_ELBOW)


def elbows(law: JointLaw, means: Sequence[MeanCurve], ends: Sequence[Optimum]) -> Array:
    """ln(norm) of the elbow of every curve; nan where the law left it out, or where it is guessed.

    An elbow beyond the records that were fitted is guessed: the curve has not reached it.
    """
    found = np.full(len(means), np.nan)
    place = {P: k for k, P in enumerate(law.P.tolist())}
    for k, (mean, end) in enumerate(zip(means, ends, strict=True)):
        if mean.P in place and law.elbow[place[mean.P]] <= end.log_norm:
            found[k] = law.elbow[place[mean.P]]
    return found


def slopes(x: Array, y: Array, weight: Array) -> tuple[Array, Array]:
    """Weighted straight lines y = level + slope x, one for each row: slopes and levels.

    ``x`` (m,); ``y`` and ``weight`` (..., m); a weight of zero leaves a point out.
    """
    total = weight.sum(axis=-1)
    mean_x = (weight * x).sum(axis=-1) / total
    mean_y = (weight * y).sum(axis=-1) / total
    dx = x - mean_x[..., None]
    slope = (weight * dx * y).sum(axis=-1) / (weight * dx**2).sum(axis=-1)
    return slope, mean_y - slope * mean_x


def straight(
    mean: MeanCurve, log_lam: float, log_eps: float, low: float, high: float
) -> dict[str, float] | None:
    """A straight line through ln(eps/eps_opt) against ln(lam/lam_opt), by least squares.

    Between ln(norm) ``low`` and ``high``; None where that leaves fewer than three records. The
    error of the slope is that of the residuals.
    """
    keep = (mean.log_norm >= low) & (mean.log_norm <= high)
    count = int(np.count_nonzero(keep))
    if count < 3:
        return None
    x, y = mean.log_norm[keep] - log_lam, np.log(mean.error[keep]) - log_eps
    slope, intercept = slopes(x, y, np.ones(count))
    rest = y - intercept - slope * x
    error = np.sqrt((rest**2).sum() / (count - 2) / ((x - x.mean()) ** 2).sum())
    return {
        "P": mean.P,
        "gamma": -float(slope),
        "gamma_error": float(error),
        "intercept": float(intercept),
        "log_ratio_low": float(x[0]),
        "log_ratio_high": float(x[-1]),
        "records": count,
    }


def lines_table(rows: Sequence[dict[str, float]]) -> pd.DataFrame:
    """Those lines as a table, with its columns even if there are none."""
    columns = ["P", "gamma", "gamma_error", "intercept", "log_ratio_low", "log_ratio_high"]
    return pd.DataFrame(rows, columns=[*columns, "records"])
