"""`replica.scaling`: a whole analysis, and a fit of a power law with offset against scipy's."""

from __future__ import annotations

import numpy as np
from scipy.optimize import curve_fit

from benchmarks.table import Row
from benchmarks.timing import Sample, seconds
from replica.scaling import (
    SyntheticLaw,
    analyse,
    curves_from_table,
    fit_power_law,
    synthetic_curves,
)

#: A sweep as large as the paper's.
P = [4000.0 * k for k in range(1, 13)]
SEEDS, RECORDS, BOOTSTRAP = 30, 50, 1000
#: y = 0.05 + 3 x^-0.7 at twelve x, known to 1%.
LAW, NOISE = (0.05, 3.0, 0.7), 0.01
X = np.geomspace(1.0, 100.0, 12)


def power_law(x: np.ndarray, q: float, k: float, gamma: float) -> np.ndarray:
    return q + k * x**-gamma


def plain(y: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """The usual way: a local search from a guess, and errors from the curvature there."""
    return curve_fit(power_law, X, y, p0=(0.0, y[0], 0.5), sigma=sigma, maxfev=10_000)[1]


def rows(repeats: int) -> list[Row]:
    """Seconds of the analysis; milliseconds of a fit with profile intervals and test of q = 0."""
    table = synthetic_curves(SyntheticLaw(), P, SEEDS, np.random.default_rng(0), records=RECORDS)
    whole = [
        seconds(lambda: analyse(curves_from_table(table), bootstrap=BOOTSTRAP))
        for _ in range(min(repeats, 3))
    ]
    rng = np.random.default_rng(1)
    y = power_law(X, *LAW) * (1 + NOISE * rng.normal(size=len(X)))
    sigma = NOISE * y
    pairs = [
        (seconds(lambda: fit_power_law(X, y, sigma=sigma), calls=5), seconds(plain, y, sigma))
        for _ in range(repeats)
    ]
    ours, theirs = (Sample.of(side) for side in zip(*pairs, strict=True))
    return [
        Row(
            f"a sweep of {len(P)} P x {SEEDS} seeds x {RECORDS} records, {BOOTSTRAP} resamplings",
            "s",
            Sample.of(whole),
        ),
        Row(
            "y = q + k x^-gamma through 12 points",
            "s",
            ours,
            theirs,
            theirs.over(ours),
            "ours with profile intervals and a test of q = 0; theirs is curve_fit",
        ),
    ]
