"""`replica.scaling`: a whole analysis, and a fit of a power law with offset against scipy's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.optimize import curve_fit

from benchmarks.table import Part, Result, Row
from benchmarks.timing import side_by_side
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
#: Of the analysis, which takes seconds.
MOST = 3
#: y = 0.05 + 3 x^-0.7 at twelve x, known to 1%.
LAW, NOISE = (0.05, 3.0, 0.7), 0.01
X = np.geomspace(1.0, 100.0, 12)

PART = Part("Scaling")
SWEEP = Row(
    f"analysis of {len(P)} P x {SEEDS} seeds x {RECORDS} records, {BOOTSTRAP} resamplings",
    short=True,
)
FIT = Row("y = q + k x^-gamma through 12 points", "curve_fit", short=True)


def power_law(x: np.ndarray, q: float, k: float, gamma: float) -> np.ndarray:
    return q + k * x**-gamma


def plain(y: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """The usual way: a local search from a guess, and errors from the curvature there."""
    return curve_fit(power_law, X, y, p0=(0.0, y[0], 0.5), sigma=sigma, maxfev=10_000)[1]


@PART.measures(SWEEP)
def sweep(repeats: int) -> Iterator[Result]:
    table = synthetic_curves(SyntheticLaw(), P, SEEDS, np.random.default_rng(0), records=RECORDS)
    analyse(curves_from_table(table), bootstrap=20)
    whole = {"ours": lambda _: analyse(curves_from_table(table), bootstrap=BOOTSTRAP)}
    found = side_by_side(whole, min(repeats, MOST), warm=False)
    yield SWEEP.measured(found["ours"], note="no other program is known to do it")


@PART.measures(FIT)
def fit(repeats: int) -> Iterator[Result]:
    rng = np.random.default_rng(1)
    y = power_law(X, *LAW) * (1 + NOISE * rng.normal(size=len(X)))
    sigma = NOISE * y
    found = side_by_side(
        {
            "ours": lambda _: fit_power_law(X, y, sigma=sigma),
            "theirs": lambda _: plain(y, sigma),
        },
        repeats,
        calls={"ours": 5, "theirs": 50},
    )
    note = "ours with profile intervals and a test of q = 0, theirs with errors of the curvature"
    yield FIT.measured(found["ours"], found["theirs"], note)
