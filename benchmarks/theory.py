"""The solver of `replica` beside `benchmarks.plain_scipy`."""

from __future__ import annotations

import os
import tempfile
import warnings
from dataclasses import dataclass, field

import mpmath

from benchmarks import plain_scipy
from benchmarks.table import Row
from benchmarks.timing import Sample, child, command, seconds
from replica import logistic_teacher_student
from replica.highprecision import Certificate, certify

#: Where the plain code converges from the exact Hebb solution.
EASY = [(alpha, lam) for alpha in (0.5, 1.0, 5.0, 20.0) for lam in (0.5, 2.0, 4.5)]
#: Where it has a harder time: the margin's edge is sharp, or 1 - R is small.
HARD = [(100.0, 88.5), (0.01, 1e4), (5.0, 1000.0), (1e6, 885000.0)]
#: Spread over the plane, for the accuracy of ours alone.
SPREAD = [
    (1e-3, 1e-3),
    (1e-3, 1e3),
    (0.01, 1e4),
    (0.1, 0.3),
    (1.0, 1.0),
    (5.0, 1000.0),
    (100.0, 88.5),
    (1e6, 885000.0),
    (1e8, 1e-3),
    (1e8, 1e6),
]
#: Digits of the certified values that both are compared with.
DIGITS = 20
#: The tolerance of somebody in a hurry.
LOOSE = 1e-6
#: Calls of ours that are timed together, a call being a thousandth of one of theirs.
CALLS = 20


#: Patience with the plain code at a hard point, in seconds.
PATIENCE = 10.0


@dataclass
class Column:
    """What one code did at the points where it found a solution."""

    times: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)


def error_of(value: float, exact: Certificate) -> float:
    """Relative error, in more digits than either number has."""
    with mpmath.workdps(2 * DIGITS):
        return float(abs(mpmath.mpf(value) / exact.generalization_error - 1))


def points(repeats: int) -> tuple[list[Row], Sample]:
    """A point at a time, side by side; also the plain code's time at each point."""
    logistic_teacher_student(5.0, 4.5)  # loads the kernels
    ours, tight, loose = Column(), Column(), Column()
    for alpha, lam in EASY:
        mine = logistic_teacher_student(alpha, lam)
        exact = certify(mine, DIGITS)
        ours.errors.append(error_of(mine.generalization_error, exact))
        pairs: dict[str, list[float]] = {"ours": [], "tight": [], "loose": []}
        for _ in range(repeats):
            pairs["tight"].append(seconds(plain_scipy.solve, alpha, lam))
            pairs["ours"].append(seconds(logistic_teacher_student, alpha, lam, calls=CALLS))
            pairs["loose"].append(seconds(plain_scipy.solve, alpha, lam, LOOSE))
        quick = Sample.of(pairs["ours"])
        ours.times.append(quick.median)
        for name, column, tolerance in (
            ("tight", tight, plain_scipy.TOLERANCE),
            ("loose", loose, LOOSE),
        ):
            found = plain_scipy.solve(alpha, lam, tolerance)
            if found is None:
                continue
            column.times.append(Sample.of(pairs[name]).median)
            column.ratios.append(Sample.of(pairs[name]).over(quick).median)
            column.errors.append(error_of(found.generalization_error, exact))
    rows = []
    for column, tolerance in ((tight, plain_scipy.TOLERANCE), (loose, LOOSE)):
        note = (
            f"{len(column.times)} of {len(EASY)} points found, alpha 0.5 to 20, lam 0.5 to 4.5; "
            f"each {repeats} times; theirs at tolerance {tolerance:g}"
        )
        spread = [Sample.of(part) for part in (ours.times, column.times, column.ratios)]
        rows.append(Row("one call, one point", "s", *spread, note))
        errors = Sample.of(ours.errors), Sample.of(column.errors)
        rows.append(Row("  relative error there", "", *errors, note=f"from {DIGITS} digits"))
    return rows, Sample.of(tight.times)


def hard_points(limit: float) -> list[Row]:
    """Where the plain code is slow, or fails."""
    rows = []
    for alpha, lam in HARD:
        name = f"alpha = {alpha:g}, lam = {lam:g}"
        ours = Sample.of([seconds(logistic_teacher_student, alpha, lam, calls=CALLS)])
        mine = logistic_teacher_student(alpha, lam)
        exact = certify(mine, DIGITS)
        note = f"error of ours {error_of(mine.generalization_error, exact):.0e}, "
        done = child("plain", repr(alpha), repr(lam), timeout=limit)
        if done is None:
            rows.append(Row(name, "s", ours, note=note + f"theirs stopped after {limit:g} s"))
        elif done["generalization_error"] is None:
            note += f"theirs gave up after {done['seconds']:.1f} s"
            rows.append(Row(name, "s", ours, note=note))
        else:
            note += f"of theirs {error_of(done['generalization_error'], exact):.0e}"
            theirs = Sample.of([done["seconds"]])
            rows.append(Row(name, "s", ours, theirs, theirs.over(ours), note))
    return rows


def plane(repeats: int, plain: Sample) -> list[Row]:
    """100 x 1000 points at once, on one core and on all."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count()
    rows = []
    for count, name in ((1, "1 core"), (0, f"{cores} cores")):
        threads = {"NUMBA_NUM_THREADS": "1"} if count else {}
        done = child("grid", str(count), str(repeats), **threads)
        assert done is not None
        ours = Sample.of([1e-6 * value for value in done["us_per_point"]])
        # not in pairs: the spread is that of theirs over its points
        ratio = Sample.of([value / ours.median for value in plain.values])
        note = (
            f"alpha 1e-3 to 1e8, lam 1e-6 to 1e6; {done['unsolved']} unsolved, error estimate "
            f"at most {done['largest_error_estimate']:.1e}; theirs one by one, from above"
        )
        rows.append(Row(f"a point of 100 x 1000, {name}", "s", ours, plain, ratio, note))
        peak = Sample.of([done["memory_peak_mb"]])
        before = f"{done['memory_before_mb']:.0f} MB before it"
        rows.append(Row("  peak memory", "MB", peak, note=before))
    return rows


def starts(repeats: int) -> list[Row]:
    """What a new process waits for."""
    child("start", "ours")  # fills the cache
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(child("start", "ours"))
        theirs.append(child("start", "theirs"))
    names = {
        "import": "import in a new process",
        "first": "first call, kernels cached",
        "second": "second call",
        "wall": "new process to two answers",
    }
    rows = []
    for key, name in names.items():
        a, b = (Sample.of([run[key] for run in runs]) for runs in (ours, theirs))
        rows.append(Row(name, "s", a, b, b.over(a)))
    with tempfile.TemporaryDirectory() as empty:
        done = child("start", "ours", NUMBA_CACHE_DIR=empty)
    assert done is not None
    rows.append(Row("very first call", "s", Sample.of([done["first"]]), note="kernels compiled"))
    for arguments in ("--help", "solve --alpha 5 --lam 4.5"):
        taken = [command("-m", "replica.cli", *arguments.split()) for _ in range(repeats)]
        rows.append(Row(f"replica {arguments}", "s", Sample.of(taken)))
    return rows


def accuracy() -> list[Row]:
    """Ours against certified digits, over the plane."""
    errors, shares, times = [], [], []
    for alpha, lam in SPREAD:
        solution = logistic_teacher_student(alpha, lam)
        exact = certify(solution, DIGITS)
        times.append(seconds(certify, solution, DIGITS))
        errors.append(error_of(solution.generalization_error, exact))
        shares.append(errors[-1] / solution.error_estimate)
    where = f"{len(SPREAD)} points, alpha 1e-3 to 1e8, lam 1e-3 to 1e6"
    return [
        Row("relative error over the plane", "", Sample.of(errors), note=where),
        Row("  as a part of its estimate", "", Sample.of(shares), note="a bound if below 1"),
        Row(f"certificate of {DIGITS} digits", "s", Sample.of(times), note="the same points"),
    ]


def rows(repeats: int) -> list[Row]:
    """The lines of the table."""
    warnings.simplefilter("ignore")  # quad tells of rounding, at tolerances this tight
    result, plain = points(repeats)
    return [*result, *hard_points(PATIENCE), *plane(repeats, plain), *starts(repeats), *accuracy()]
