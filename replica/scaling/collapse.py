"""Whether curves fall on one another in units of a point of theirs, and on which curve.

Everything is done in logarithms: a curve is Y = ln(error) against X = ln(norm), and
rescaling is a shift.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.common import arguments
from replica.common.arguments import InvalidArgument
from replica.scaling import variation
from replica.scaling.averages import MeanCurve
from replica.scaling.distances import finite, houdayer_hartmann, mean_master_curve
from replica.scaling.optima import neighbourhood
from replica.scaling.verdict import Collapse, judge

__all__ = ["collapse"]

Array = NDArray[np.float64]

#: An error of ln(error) above this says nothing, whatever it is.
VAGUEST = 100.0


def collapse(
    means: Sequence[MeanCurve],
    log_lam: ArrayLike,
    log_eps: ArrayLike,
    *,
    at: str = "optimum",
    from_P: float = 0.0,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Collapse:
    """How well curves collapse in units of a point of theirs, and how well as they are.

    The same curves, those of P >= `from_P`, serve both. S and rms, eqs. (S9) and (S10), compare
    the mean curves in units of the points given. Their errors are taken as independent; those of
    the points are not part of them, so that a collapse may give a quality above 1 if the
    points are known less well than the curves. The verdict, eqs. (S11a) to (S11d), compares
    what differs between P with what differs between seeds, each seed in units of its own
    point, so that errors of the points count as noise.

    Parameters
    ----------
    means : sequence of MeanCurve
        One for each P.
    log_lam, log_eps : (m,) array
        ln(norm) and ln(error) of the point of each.
    at : str
        What the points are: "optimum", "elbow" (of the norm; the error is that of the optimum)
        or "end". It decides on the points of the seeds, see `replica.scaling.variation`.
    from_P : float
        The smallest P to take part.
    bootstrap : int
        Draws of seeds for the interval of the ratio, at least 20.
    seed : int
        Of those draws.

    Returns
    -------
    Collapse
        Qualities are nan and the master curve is empty where fewer than two curves take part or
        none reaches the range of another; the verdict is then "cannot tell".

    Raises
    ------
    ValueError
        If the points are not as many finite numbers as there are curves, or another argument
        is not what is written above.
    """
    points = []
    for name, given in (("log_lam", log_lam), ("log_eps", log_eps)):
        values = arguments.numbers(name, given)
        if values.shape != (len(means),):
            raise InvalidArgument(
                name,
                f"must have one value for each of the {len(means)} curves",
                f"shape {values.shape}",
            )
        finite(name, values)
        points.append(values)
    at = arguments.word("at", at, variation.POINTS)
    count = arguments.whole("bootstrap", bootstrap)
    if count < 20:
        raise InvalidArgument("bootstrap", "must be at least 20 for an interval", f"{count}")
    rng = np.random.default_rng(arguments.whole("seed", seed, 0))
    used = [i for i, mean in enumerate(means) if from_P <= mean.P]
    curves = [means[i] for i in used]
    lam, eps = points[0][used], points[1][used]
    raw_x = [mean.log_norm for mean in curves]
    raw_y = [np.log(mean.error) for mean in curves]
    errors = [np.sqrt(np.minimum(mean.variance, VAGUEST**2)) for mean in curves]
    x = [curve - by for curve, by in zip(raw_x, lam.tolist(), strict=True)]
    y = [curve - by for curve, by in zip(raw_y, eps.tolist(), strict=True)]
    rise = neighbourhood(curves) if curves else 0.0
    seeds = [
        variation.seed_points(mean, at, *point, rise=rise)
        for mean, *point in zip(curves, lam.tolist(), eps.tolist(), strict=True)
    ]
    found = variation.between(curves, lam, eps, seeds, rng, count)
    raw = variation.between(curves, 0 * lam, 0 * eps)
    verdict, sentence = judge(found, raw, max((mean.seeds for mean in curves), default=1))
    return Collapse(
        quality=houdayer_hartmann(x, y, errors),
        quality_raw=houdayer_hartmann(raw_x, raw_y, errors),
        rms=houdayer_hartmann(x, y),
        rms_raw=houdayer_hartmann(raw_x, raw_y),
        from_P=min((mean.P for mean in curves), default=float("nan")),
        master=mean_master_curve(x, y, errors),
        at=at,
        residual=found.residual,
        residual_raw=raw.residual,
        spread=found.spread,
        ratio=found.ratio,
        ratio_low=found.low,
        ratio_high=found.high,
        verdict=verdict,
        sentence=sentence,
    )
