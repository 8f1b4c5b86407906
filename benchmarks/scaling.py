"""`replica.scaling`: a whole analysis, power laws against scipy and lmfit, the law of N and D."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from scipy.optimize import curve_fit, minimize

from benchmarks.table import Part, Result, Row
from benchmarks.timing import side_by_side
from replica.scaling import (
    SyntheticLaw,
    analyse,
    curves_from_table,
    fit_loss_law,
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
#: E, A, B, alpha, beta of T. Besiroglu et al. (2024), runs, and noise of ln L.
LOSSES, RUNS, NOISE_OF_LOSS = (1.8172, 482.01, 2085.43, 0.3478, 0.3658), 240, 0.01
#: Starts of J. Hoffmann et al. (2022), appendix D.3: e, a, b, alpha, beta. One in ninety is timed.
STARTS = list(
    itertools.product(
        np.arange(-1, 1.5, 0.5), range(0, 30, 5), range(0, 30, 5), *[np.arange(0, 2.5, 0.5)] * 2
    )
)
SAMPLED = 90

PART = Part("Scaling")
SWEEP = Row(
    f"analysis of {len(P)} P x {SEEDS} seeds x {RECORDS} records, {BOOTSTRAP} resamplings",
    short=True,
)
FIT = Row("y = q + k x^-gamma through 12 points", "curve_fit", short=True)
PROFILE = Row("profile intervals of q, k x^-gamma, 12 points", "lmfit's conf_interval")
SURFACE = Row(f"L = E + A N^-alpha + B D^-beta, {RUNS} runs", "L-BFGS-B from a grid of starts")


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


def points() -> tuple[np.ndarray, np.ndarray]:
    """A noisy law, and its errors."""
    rng = np.random.default_rng(1)
    y = power_law(X, *LAW) * (1 + NOISE * rng.normal(size=len(X)))
    return y, NOISE * y


@PART.measures(FIT)
def fit(repeats: int) -> Iterator[Result]:
    y, sigma = points()
    found = side_by_side(
        {
            "ours": lambda _: fit_power_law(X, y, sigma=sigma, intervals=False),
            "theirs": lambda _: plain(y, sigma),
        },
        repeats,
        calls={"ours": 20, "theirs": 100},
    )
    note = "both with errors of the curvature; ours is the best of all minima, with tests"
    yield FIT.measured(found["ours"], found["theirs"], note)


@PART.measures(PROFILE)
def profile(repeats: int) -> Iterator[Result]:
    import lmfit  # only to be compared with

    y, sigma = points()
    start = lmfit.create_params(q={"value": 0.01, "min": 0.0}, k=float(y[0]), gamma=0.5)

    def residuals(p: lmfit.Parameters) -> np.ndarray:
        return (y - power_law(X, p["q"].value, p["k"].value, p["gamma"].value)) / sigma

    def theirs(_: int) -> object:
        minimizer = lmfit.Minimizer(residuals, start)
        return lmfit.conf_interval(minimizer, minimizer.minimize(), sigmas=[0.95])

    found = side_by_side(
        {"ours": lambda _: fit_power_law(X, y, sigma=sigma), "theirs": theirs},
        repeats,
        calls={"ours": 10},
    )
    yield PROFILE.measured(found["ours"], found["theirs"], "95%; ours of q and gamma, with tests")


@PART.measures(SURFACE)
def surface(repeats: int) -> Iterator[Result]:
    rng = np.random.default_rng(1)
    E, A, B, alpha, beta = LOSSES
    N = np.exp(rng.uniform(np.log(7e7), np.log(1.6e10), RUNS))
    D = 20 * N * np.exp(0.7 * rng.normal(size=RUNS))
    L = (E + A * N**-alpha + B * D**-beta) * np.exp(NOISE_OF_LOSS * rng.normal(size=RUNS))
    n, d, log_L = np.log(N), np.log(D), np.log(L)

    def objective(p: np.ndarray) -> tuple[float, np.ndarray]:
        terms = np.stack([np.full_like(n, p[0]), p[1] - p[3] * n, p[2] - p[4] * d])
        log_law = np.logaddexp.reduce(terms)
        parts, r = np.exp(terms - log_law), log_L - log_law
        psi = np.clip(r, -1e-3, 1e-3)
        slope = [*(parts @ psi), -psi @ (n * parts[1]), -psi @ (d * parts[2])]
        return float(np.sum(psi * (r - psi / 2))), -np.array(slope)

    def theirs(turn: int) -> None:
        for start in STARTS[turn % SAMPLED :: SAMPLED]:
            minimize(objective, start, jac=True, method="L-BFGS-B")

    ours = {"ours": lambda _: fit_loss_law(N, D, L, loss="huber", intervals=False)}
    found = side_by_side({**ours, "theirs": theirs}, repeats)
    whole = len(STARTS) / len(STARTS[::SAMPLED])
    note = (
        f"Huber's loss; theirs {len(STARTS[::SAMPLED])} of {len(STARTS)} starts, times {whole:.0f}"
    )
    yield SURFACE.measured(found["ours"], found["theirs"].times(whole), note)
