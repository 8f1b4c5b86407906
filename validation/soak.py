"""Random problems, each compared with its certificate, and how far off the worst of them is.

A problem is drawn from one of the `KINDS`, its numbers over as many orders of magnitude as the
solver promises; point number i of a seed is the same whatever was drawn before it. The solver
answers, `replica.highprecision` answers independently to `DIGITS` digits, and what lies between is
recorded. A problem that the solver refuses is drawn again, and the refusal counted.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from replica import (
    Clusters,
    Exponential,
    HardMargin,
    Hinge,
    Isotropic,
    Linear,
    Logistic,
    LogisticTeacher,
    MarchenkoPastur,
    PowerLaw,
    Problem,
    RandomLabels,
    SmoothLoss,
    Solution,
    Spectrum,
    Square,
    SquaredHinge,
    Teacher,
    convexity_limit,
    solve,
)
from replica.common import interruption, processors
from replica.highprecision import CertificationError, certify
from replica.inputs import Inputs
from replica.losses import Loss
from replica.teachers import LabelModel

__all__ = ["KINDS", "Point", "draw", "points", "read", "sound", "summary", "table", "workers"]

#: Digits of a certificate: it is then off by a hundredth of the last bit of a double.
DIGITS = 18
#: What the solver promises of every number compared, over the whole range that is drawn from.
BUDGET = 1e-12
#: The numbers of a `Point` that are summed up.
NUMBERS = ("error", "small", "log_x", "variance", "claimed", "ratio")
#: Draws of one point before it counts as "refused".
TRIES = 20

# A loss of the user's own, as the float solver and as the certificate take it:
# V(D) = log(1 + exp(-D)) + exp(-2 D)/4, neither symmetric nor in the library.
OWN = SmoothLoss(
    V=lambda d: np.logaddexp(0, -d) + np.exp(-2 * d) / 4,
    dV=lambda d: -np.exp(-np.logaddexp(0, d)) - np.exp(-2 * d) / 2,
    d2V=lambda d: np.exp(-np.logaddexp(0, d) - np.logaddexp(0, -d)) + np.exp(-2 * d),
    name="two exponentials",
)
OWN_IN_MPMATH = SmoothLoss(
    V=lambda d: mpmath.log1p(mpmath.exp(-d)) + mpmath.exp(-2 * d) / 4,
    dV=lambda d: -1 / (1 + mpmath.exp(d)) - mpmath.exp(-2 * d) / 2,
    d2V=lambda d: 1 / (2 + mpmath.exp(d) + mpmath.exp(-d)) + mpmath.exp(-2 * d),
    name="two exponentials",
)

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator], Problem]


@dataclass(frozen=True)
class Point:
    """One problem and how far the solver is from its certificate.

    Attributes
    ----------
    seed, number : int
        Of the draw; the two give the problem again.
    kind : str
        One of `KINDS`.
    problem : str
        In words.
    refused : int
        Draws before this one that have no unique minimiser.
    outcome : str
        "certified", or why there is nothing to compare.
    error : float
        Relative error of the generalization error (of 1/2 where the labels are random).
    small : float
        Relative error of 1 - R.
    log_x : float
        Error of log x, or of log kappa for maximum stability, relative to max(1, its size) and
        to its `condition`.
    variance : float
        Relative error of Q, the variance of the inputs along the student's direction.
    claimed : float
        The solver's own ``error_estimate``.
    ratio : float
        The largest of these four errors in units of the solver's own estimate of each; should stay
        below 1.
    """

    seed: int
    number: int
    kind: str
    problem: str
    refused: int
    outcome: str
    error: float = math.nan
    small: float = math.nan
    log_x: float = math.nan
    variance: float = math.nan
    claimed: float = math.nan
    ratio: float = math.nan


def _log(rng: np.random.Generator, low: float, high: float) -> float:
    """A number with a uniform logarithm."""
    return float(10 ** rng.uniform(math.log10(low), math.log10(high)))


def _below(limit: float, highest: float, rng: np.random.Generator) -> float:
    """A norm from 1e-6 to `highest`; every fourth one close to the limit of convexity, if any."""
    if math.isinf(limit):
        return _log(rng, 1e-6, highest)
    if rng.random() < 0.25:
        return limit * (1 - _log(rng, 1e-8, 1e-1))
    return _log(rng, 1e-6, min(limit, highest))


def _noiseless(loss: type[Any]) -> Draw:
    def draw(rng: np.random.Generator) -> Problem:
        return Problem(_log(rng, 1e-3, 1e8), loss(_log(rng, 1e-6, 1e6)))

    return draw


def _noisy(flips: bool, noise: bool) -> Draw:
    def draw(rng: np.random.Generator) -> Problem:
        alpha = _log(rng, 1e-3, 1e8)
        flip = 0.5 * _log(rng, 1e-6, 1) if flips else 0.0
        teacher = Teacher(flip, _log(rng, 1e-3, 1e2) if noise else 0.0)
        lam = _below(float(convexity_limit(alpha, teacher=teacher)), 1e6, rng)
        return Problem(alpha, Logistic(lam), teacher)

    return draw


def _steep(rng: np.random.Generator) -> Problem:
    """Wrong labels under a loss whose push grows exponentially."""
    teacher = Teacher(label_flip=0.5 * _log(rng, 1e-6, 1))
    return Problem(_log(rng, 1e-2, 1e12), Exponential(_log(rng, 1e-2, 1e1)), teacher)


def _storage(rng: np.random.Generator) -> Problem:
    alpha = _log(rng, 1e-2, 1e4) if rng.random() < 0.8 else 2 * (1 - _log(rng, 1e-8, 1e-1))
    lam = _below(float(convexity_limit(alpha, label_flip=0.5)), 1e4, rng)
    return Problem(alpha, Logistic(lam), RandomLabels())


def _hard(rng: np.random.Generator) -> Problem:
    if rng.random() < 0.5:
        return Problem(_log(rng, 1e-3, 1e8), HardMargin())
    return Problem(_log(rng, 1e-2, 1.999), HardMargin(), RandomLabels())


def _margin(loss: type[Any]) -> Draw:
    def draw(rng: np.random.Generator) -> Problem:
        flip = 0.5 * _log(rng, 1e-3, 1) if rng.random() < 0.5 else 0.0
        return Problem(_log(rng, 1e-2, 1e4), loss(_log(rng, 1e-1, 1e1)), Teacher(label_flip=flip))

    return draw


def _linear(rng: np.random.Generator) -> Problem:
    teacher = Teacher(0.5 * _log(rng, 1e-6, 1), _log(rng, 1e-3, 1e2))
    return Problem(_log(rng, 1e-3, 1e8), Linear(), teacher)


def _sigmoid(rng: np.random.Generator) -> Problem:
    teacher = LogisticTeacher(_log(rng, 0.1, 30))
    return Problem(_log(rng, 1e-2, 1e4), Logistic(_log(rng, 1e-3, 1e1)), teacher)


def _own(rng: np.random.Generator) -> Problem:
    return Problem(_log(rng, 1e-2, 1e4), OWN, Teacher(label_noise=_log(rng, 1e-3, 1e1)))


# --------------------------------------------------------------------- structured inputs


def _teacher(rng: np.random.Generator) -> LabelModel:
    """Noiseless in two of five."""
    kinds: list[Callable[[], LabelModel]] = [
        Teacher,
        Teacher,
        lambda: Teacher(label_flip=0.5 * _log(rng, 1e-6, 1)),
        lambda: Teacher(label_noise=_log(rng, 1e-3, 1e1)),
        RandomLabels,
    ]
    return kinds[int(rng.integers(len(kinds)))]()


def _posed(
    rng: np.random.Generator, count: float, inputs: Inputs, best: float, field: float
) -> Problem:
    """Any loss and teacher; ``best`` is a guess of the optimal norm, ``field`` that of a field."""
    teacher = Teacher() if isinstance(inputs, Clusters) else _teacher(rng)
    if rng.random() < 0.6:
        limit = float(np.asarray(convexity_limit(count, teacher=teacher, inputs=inputs)))
        return Problem(count, Logistic(_below(limit, 1e4 * best, rng)), teacher, inputs)
    margin = field * _log(rng, 1e-1, 1e1)
    losses: list[Callable[[], Loss]] = [
        lambda: Exponential(_log(rng, 1e-3, 1e2) * best),
        lambda: Hinge(margin),
        lambda: SquaredHinge(margin),
        lambda: Square(margin),
        HardMargin,
    ]
    return Problem(count, losses[int(rng.integers(len(losses)))](), teacher, inputs)


def _modes(rng: np.random.Generator) -> tuple[Array, Array, float]:
    """Eigenvalues over up to six decades, weights, and how many directions they are."""
    size = int(_log(rng, 1, 51))
    eigenvalues = _log(rng, 1e-2, 1e2) * 10 ** (rng.uniform(0, 6) * rng.uniform(-1, 0, size))
    if size == 1 or rng.random() < 0.5:
        share = rng.uniform(0.1, 1, size)
        return eigenvalues, share / share.sum(), 1.0
    counts = np.floor(10 ** rng.uniform(0, 2, size))
    return eigenvalues, counts, float(counts.sum())


def _spectrum(rng: np.random.Generator) -> Problem:
    eigenvalues, weights, total = _modes(rng)
    power = 10 ** rng.uniform(-4, 0, len(eigenvalues))
    power[1:] *= rng.random(len(power) - 1) < 0.8  # some directions tell nothing
    field = float(np.sqrt(weights @ eigenvalues / weights.sum()))
    per_mode = _log(rng, 5e-2, 1e5)
    inputs = Spectrum(eigenvalues, power, weights)
    return _posed(rng, per_mode * total, inputs, (1 + per_mode) / field, field)


def _power_law(endless: bool) -> Draw:
    def draw(rng: np.random.Generator) -> Problem:
        a, r, count = 1 + _log(rng, 0.05, 5), _log(rng, 0.02, 2), _log(rng, 1, 1e8)
        modes = None if endless else int(_log(rng, 1, 1e5))
        best = count ** (a / (2 * (1 + a * min(r, 0.5))))  # section 8 of the theory
        field = count ** (-a / (2 + a) * min(2 * r, 1)) + 1e-3
        return _posed(rng, count, PowerLaw(a, r, modes), best, field)

    return draw


def _marchenko_pastur(rng: np.random.Generator) -> Problem:
    ratio = _log(rng, 1e-2, 1e2) if rng.random() < 0.8 else 1.0
    count = _log(rng, 5e-2, 1e5) / max(1.0, ratio)
    return _posed(rng, count, MarchenkoPastur(ratio), 1 + count, 1.0)


def _clusters(rng: np.random.Generator) -> Problem:
    eigenvalues, weights, total = _modes(rng)
    mean = rng.standard_normal(len(eigenvalues)) * np.sqrt(eigenvalues)
    # a distance of the clouds between 0.1 and 3
    mean *= _log(rng, 0.1, 3.0) / np.sqrt(np.sum(weights * mean**2 / eigenvalues))
    positive = 0.5 if rng.random() < 0.5 else float(rng.uniform(0.05, 0.95))
    field = float(np.sqrt(weights @ eigenvalues / weights.sum()))
    inputs = Clusters(eigenvalues, mean, weights, positive)
    return _posed(rng, _log(rng, 0.1, 1e3) * total, inputs, 1 / field, field)


#: How often each kind is drawn, of the sum of them all, and how.
KINDS: dict[str, tuple[int, Draw]] = {
    "logistic": (8, _noiseless(Logistic)),
    "logistic, flips": (3, _noisy(flips=True, noise=False)),
    "logistic, probit": (3, _noisy(flips=False, noise=True)),
    "logistic, both": (2, _noisy(flips=True, noise=True)),
    "random labels": (3, _storage),
    "logistic teacher": (1, _sigmoid),
    "exponential": (4, _noiseless(Exponential)),
    "exponential, flips": (2, _steep),
    "maximum stability": (2, _hard),
    "hinge": (2, _margin(Hinge)),
    "squared hinge": (2, _margin(SquaredHinge)),
    "square": (2, _margin(Square)),
    "linear": (1, _linear),
    "one of our own": (1, _own),
    "list of modes": (2, _spectrum),
    "power law": (2, _power_law(endless=True)),
    "finite power law": (1, _power_law(endless=False)),
    "Marchenko-Pastur": (1, _marchenko_pastur),
    "clusters": (1, _clusters),
}


def draw(number: int, seed: int) -> Point:
    """Draw a problem, solve it, certify it, compare.

    Raises nothing for a problem that fails: the point says so in its ``outcome``.
    """
    names = list(KINDS)
    weight = np.array([KINDS[name][0] for name in names], dtype=float)
    rng = np.random.default_rng([seed, number])
    kind = names[int(rng.choice(len(names), p=weight / weight.sum()))]
    words, refused = "", 0
    for refused in range(TRIES):
        problem = KINDS[kind][1](rng)
        loss = problem.loss
        words = f"alpha={problem.alpha!r}, {getattr(loss, 'name', loss)}, {problem.teacher!r}"
        if not isinstance(problem.inputs, Isotropic):
            words += f", {problem.inputs!r}"
        try:
            solution = solve(problem)
        except ValueError:
            continue
        except RuntimeError as error:
            return Point(seed, number, kind, words, refused, f"not solved: {error}")
        try:
            return _compared(seed, number, kind, words, refused, solution)
        except CertificationError as error:
            return Point(seed, number, kind, words, refused, f"not certified: {error}")
    return Point(seed, number, kind, words, refused + 1, "refused")


def _compared(
    seed: int, number: int, kind: str, words: str, refused: int, solution: Solution
) -> Point:
    own = OWN_IN_MPMATH if solution.problem.loss is OWN else None
    proof = certify(solution, DIGITS, loss=own)
    with mpmath.workdps(DIGITS + 8):
        if proof.stability is None:
            true, found = proof.log_x, mpmath.mpf(solution.log_x)
        else:
            true, found = mpmath.log(proof.stability), mpmath.log(solution.stability)
        pairs = (
            (solution.generalization_error, proof.generalization_error),
            (solution.one_minus_overlap, proof.one_minus_overlap),
            (solution.input_variance, proof.input_variance),
        )
        error, small, variance = (float(abs(ours / exact - 1)) for ours, exact in pairs)
        log_x = float(abs(found - true))
        scale = float(max(1, abs(true))) * condition(solution.problem)
    claims = (
        (solution.error_estimate, error),
        (solution.overlap_error, small),
        (solution.variance_error, variance),
        (solution.log_x_error, log_x),
    )
    return Point(
        seed,
        number,
        kind,
        words,
        refused,
        "certified",
        error=error,
        small=small,
        log_x=log_x / scale,
        variance=variance,
        claimed=float(solution.error_estimate),
        ratio=max(_share(off, float(claim)) for claim, off in claims),
    )


def _share(error: float, claim: float) -> float:
    """Of a claim that is used up; 0 of nothing."""
    if error == 0:
        return 0.0
    return error / claim if claim > 0 else math.inf


def condition(problem: Problem) -> float:
    """How much of log x a digit of alpha decides: 1, but for random labels next to capacity.

    There log x is about 2 lam kappa, and kappa falls to zero like 1 - alpha/2.
    """
    alpha = float(np.asarray(problem.alpha))
    if not isinstance(problem.teacher, RandomLabels) or alpha >= 2:
        return 1.0
    return 1 / (1 - alpha / 2)


def points(
    count: int, seed: int, path: Path | None = None, executor: Executor | None = None
) -> Iterator[Point]:
    """Points 0 to count - 1 of a seed, as they come.

    Parameters
    ----------
    count, seed : int
        How many; where the random numbers begin.
    path : Path, optional
        A CSV file to which each point is added as soon as it is known. What it holds already
        is read, not computed again.
    executor : Executor, optional
        Who does the work; by default this process.

    Raises
    ------
    ValueError
        If the file holds points of another seed.
    """
    known = [] if path is None or not path.exists() else read(path)
    if any(point.seed != seed for point in known):
        raise ValueError(f"`seed` must be that of the points in {path}; got {seed}")
    known = [point for point in known if point.number < count]
    yield from known
    missing = sorted(set(range(count)) - {point.number for point in known})
    run = map if executor is None else executor.map
    with contextlib.ExitStack() as stack:
        add = None if path is None else stack.enter_context(_appending(path))
        for point in run(draw, missing, [seed] * len(missing)):
            if add is not None:
                add(point)
            yield point


@contextlib.contextmanager
def _appending(path: Path) -> Iterator[Callable[[Point], None]]:
    """What adds a point to the file; a last line that was cut off goes first."""
    whole = _whole_lines(path) if path.exists() else ""
    with path.open("a", newline="", encoding="utf-8") as file:
        file.truncate(len(whole.encode()))
        names = [field.name for field in fields(Point)]
        writer = csv.DictWriter(file, names, lineterminator="\n")
        if not whole:
            writer.writeheader()

        def add(point: Point) -> None:
            writer.writerow(asdict(point))
            file.flush()

        yield add


def _whole_lines(path: Path) -> str:
    """The text up to the last end of a line: a run that was killed may have left half of one."""
    text = path.read_bytes().decode("utf-8", "replace")
    return text[: text.rfind("\n") + 1]


def read(path: Path) -> list[Point]:
    """The points of a file.

    Raises
    ------
    ValueError
        If it is no file of points.
    """
    reader = {"int": int, "float": float}
    kinds = {field.name: reader.get(str(field.type), str) for field in fields(Point)}
    rows = csv.DictReader(io.StringIO(_whole_lines(path)))
    if rows.fieldnames is not None and list(rows.fieldnames) != list(kinds):
        raise ValueError(f"{path} must have the columns {', '.join(kinds)}")
    return [Point(**{name: kinds[name](row[name]) for name in kinds}) for row in rows]


def summary(found: Iterable[Point]) -> list[dict[str, Any]]:
    """One row a kind and one for all: how many, and the worst of each number."""
    found = list(found)
    rows = []
    for kind in (*KINDS, "all"):
        drawn = [point for point in found if kind in (point.kind, "all")]
        sound = [point for point in drawn if point.outcome == "certified"]
        if not drawn:
            continue
        rows.append(
            {
                "kind": kind,
                "points": len(sound),
                "refused": sum(point.refused for point in drawn),
                "failed": sum(point.outcome.startswith("not ") for point in drawn),
                **{
                    name: max((getattr(point, name) for point in sound), default=math.nan)
                    for name in NUMBERS
                },
                "underestimated": sum(point.ratio > 1 for point in sound),
            }
        )
    return rows


def sound(point: Point) -> bool:
    """Whether a point is as promised: within the budget and its own estimate, or refused."""
    if point.outcome != "certified":
        return point.outcome == "refused"
    worst = max(point.error, point.small, point.log_x, point.variance)
    return worst <= BUDGET and point.ratio <= 1


def table(found: Iterable[Point]) -> list[list[str]]:
    """The summary in words: titles, then a row for each kind."""
    counts = ("points", "refused", "underestimated")
    titles = [
        "problem",
        *counts[:2],
        "too small",
        "error",
        "1 - R",
        "log x",
        "Q",
        "claimed",
        "ratio",
    ]
    rows = [titles]
    for row in summary(found):
        digits = [f"{row[name]:.1e}" for name in NUMBERS[:-1]] + [f"{row[NUMBERS[-1]]:.2f}"]
        rows.append([row["kind"], *(str(row[name]) for name in counts), *digits])
    return rows


@contextlib.contextmanager
def workers(count: int | None) -> Iterator[Executor | None]:
    """So many processes; none for one. What they have not begun is given up on leaving."""
    count = count or processors.count()
    if count == 1:
        yield None
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=interruption.ignore)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
