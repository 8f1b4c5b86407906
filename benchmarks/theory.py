"""The solver of `replica` beside `benchmarks.plain_scipy`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import mpmath

from benchmarks import plain_scipy
from benchmarks.plain_scipy import EASY
from benchmarks.table import Part, Result, Row
from benchmarks.timing import Sample, child, seconds, side_by_side
from replica import logistic_teacher_student
from replica.common import processors
from replica.highprecision import Certificate, certify

#: Where the plain code takes long: 1 - R is small, and lam has to be raised in steps.
HARD = (100.0, 88.5)
#: Where it finds nothing: the margin's edge is sharp, or 1 - R is too small.
HOPELESS = [(0.01, 1e4), (5.0, 1000.0), (1e6, 885000.0)]
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
#: Calls of ours that are timed together, a call being a hundredth of one of theirs.
CALLS = 20
#: Rounds of the plane, each of which is the mean of 100,000 points.
MOST = 3
#: Patience with the plain code at a hard point, in seconds.
PATIENCE = 10.0

PLANE = "a point of 100 x 1000, alpha 1e-3 to 1e8, lam 1e-6 to 1e6"
PART = Part("Theory, beside the paper's eq. (13) as plain scipy solves it")
GRID = Row(f"{PLANE}, 1 core", "plain scipy, easy points", short=True)
GRID_ALL = Row("the same, all cores", "plain scipy, in one process", short=True)
GRID_MEMORY = Row("peak memory of these 100,000 points", unit="MB", short=True)
SCALAR = Row("one scalar call", "plain scipy", short=True)
SCALAR_LOOSE = Row("one scalar call, theirs in a hurry", "plain scipy")
ONE_HARD = Row("alpha = {:g}, lam = {:g}".format(*HARD), "plain scipy", short=True)
NO_ANSWER = Row(
    ", ".join(f"({alpha:g}, {lam:g})" for alpha, lam in HOPELESS), "plain scipy", short=True
)
ERROR = Row("relative error over the plane", unit="")
SHARE = Row("  as a part of its estimate: a bound if below 1", unit="")
CERTIFICATE = Row(f"certificate of {DIGITS} digits")

STRUCTURED = {
    1000: Row(
        "1000 modes, a point of 100 x 100, P 10 to 1e6, lam 0.01 to 1000",
        "plain scipy, easy points",
        short=True,
    ),
    4000: Row("the same, 4000 modes", "plain scipy, easy points"),
    0: Row("the same, a power law without end", "plain scipy, 1000 modes, easy points", short=True),
}
STRUCTURED_MEMORY = Row("memory of these 10,000 points with 4000 modes, over 1000", unit="")


def error_of(value: float, exact: Certificate) -> float:
    """Relative error, in more digits than either number has."""
    with mpmath.workdps(2 * DIGITS):
        return float(abs(mpmath.mpf(value) / exact.generalization_error - 1))


def errors_at(points: list[tuple[float, float]], tolerance: float) -> tuple[str, str]:
    """Largest relative error of ours and of theirs, where theirs has an answer."""
    ours, theirs = [], []
    for alpha, lam in points:
        mine = logistic_teacher_student(alpha, lam)
        exact = certify(mine, DIGITS)
        found = plain_scipy.solve(alpha, lam, tolerance)
        ours.append(error_of(mine.generalization_error, exact))
        theirs += [] if found is None else [error_of(found.generalization_error, exact)]
    return f"{max(ours):.0e}", f"{max(theirs):.0e} at {len(theirs)} of {len(points)}"


@PART.measures(GRID, GRID_ALL, GRID_MEMORY)
def plane(repeats: int) -> Iterator[Result]:
    """100 x 1000 points at once; theirs are easy points, one by one, in the same process."""
    for row, count in ((GRID, 1), (GRID_ALL, 0)):
        limits = {"NUMBA_NUM_THREADS": "1"} if count else {}
        done = child("grid", str(count), str(min(repeats, MOST)), **limits)
        assert done is not None
        note = (
            f"{done['unsolved']} unsolved, error estimate at most "
            f"{done['largest_error_estimate']:.1e}"
        )
        if not count:
            note += f"; {processors.count()} cores"
        yield row.measured(Sample.of(done["ours"]), Sample.of(done["theirs"]), note)
    before = f"{done['memory_before_mb']:.0f} MB before them, libraries and kernels"
    yield GRID_MEMORY.measured(Sample.of([done["memory_peak_mb"]]), note=before)


@PART.measures(SCALAR, SCALAR_LOOSE)
def scalar(repeats: int) -> Iterator[Result]:
    """A point at a time, side by side."""
    warnings.simplefilter("ignore")  # quad tells of rounding, at tolerances this tight
    tolerances = {"tight": plain_scipy.TOLERANCE, "loose": LOOSE}
    found: dict[str, list[float]] = {"ours": [], **{name: [] for name in tolerances}}
    for alpha, lam in EASY:
        functions = {"ours": lambda _, at=(alpha, lam): logistic_teacher_student(*at)}
        for name, tolerance in tolerances.items():
            functions[name] = lambda _, at=(alpha, lam, tolerance): plain_scipy.solve(*at)
        for name, sample in side_by_side(functions, repeats, calls={"ours": CALLS}).items():
            found[name] += sample.values
    for row, (name, tolerance) in zip((SCALAR, SCALAR_LOOSE), tolerances.items(), strict=True):
        mine, other = errors_at(EASY, tolerance)
        note = (
            f"tolerance {tolerance:g}, alpha 0.5 to 20, lam 0.5 to 4.5; "
            f"largest error {mine}, theirs {other}"
        )
        yield row.measured(Sample.of(found["ours"]), Sample.of(found[name]), note)


@PART.measures(ONE_HARD)
def hard(repeats: int) -> Iterator[Result]:
    """Theirs takes seconds: twice at most."""
    warnings.simplefilter("ignore")
    functions = {
        "ours": lambda _: logistic_teacher_student(*HARD),
        "theirs": lambda _: plain_scipy.solve(*HARD),
    }
    logistic_teacher_student(*HARD)
    found = side_by_side(functions, min(repeats, 2), calls={"ours": CALLS}, warm=False)
    mine, other = errors_at([HARD], plain_scipy.TOLERANCE)
    yield ONE_HARD.measured(found["ours"], found["theirs"], f"error {mine}, theirs {other}")


@PART.measures(NO_ANSWER)
def hopeless(repeats: int) -> Iterator[Result]:
    """Theirs in a process that can be stopped."""
    ours, errors, said = [], [], []
    for alpha, lam in HOPELESS:
        solution = logistic_teacher_student(alpha, lam)
        errors.append(error_of(solution.generalization_error, certify(solution, DIGITS)))
        ours += [seconds(logistic_teacher_student, alpha, lam, calls=CALLS) for _ in range(repeats)]
        done = child("plain", repr(alpha), repr(lam), timeout=PATIENCE)
        if done is None:
            said.append(f"stopped after {PATIENCE:g} s")
        elif done["generalization_error"] is None:
            said.append(f"gave up after {done['seconds']:.2g} s")
        else:
            said.append(f"answered after {done['seconds']:.2g} s")
    answers = sum(words.startswith("answered") for words in said)
    verdict = "no answer" if not answers else f"{answers} of {len(said)} answered"
    note = f"largest error {max(errors):.0e}; theirs {', '.join(said)}"
    yield NO_ANSWER.measured(Sample.of(ours), verdict, note)


@PART.measures(*STRUCTURED.values(), STRUCTURED_MEMORY)
def structured(repeats: int) -> Iterator[Result]:
    """Inputs with a covariance, all cores; theirs in the same process, one by one."""
    memory = {}
    for modes, row in STRUCTURED.items():
        done = child("structured", str(modes), str(min(repeats, MOST)))
        assert done is not None
        memory[modes] = done["memory_mb"]
        note = (
            f"{processors.count()} cores; {done['unsolved']} unsolved, error estimate at most "
            f"{done['largest_error_estimate']:.1e}; theirs is off by "
            f"{done['largest_difference']:.0e}"
        )
        yield row.measured(Sample.of(done["ours"]), Sample.of(done["theirs"]), note)
    ratio = memory[4000] / memory[1000]
    note = f"{memory[1000]:.0f} MB for 1000 modes, {memory[0]:.0f} MB without end"
    yield STRUCTURED_MEMORY.measured(Sample.of([ratio]), note=note)


@PART.measures(ERROR, SHARE, CERTIFICATE)
def accuracy(repeats: int) -> Iterator[Result]:
    """Ours against certified digits, over the plane; a sample's spread is that over points."""
    errors, shares, times = [], [], []
    for alpha, lam in SPREAD:
        solution = logistic_teacher_student(alpha, lam)
        exact = certify(solution, DIGITS)
        times.append(seconds(certify, solution, DIGITS))
        errors.append(error_of(solution.generalization_error, exact))
        shares.append(errors[-1] / solution.error_estimate)
    where = f"{len(SPREAD)} points against {DIGITS} certified digits"
    yield ERROR.measured(Sample.of(errors), note=where)
    yield SHARE.measured(Sample.of(shares), note="the same points")
    yield CERTIFICATE.measured(Sample.of(times), note="the same points")
