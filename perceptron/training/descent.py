"""The training of the paper, where the norm is free and grows: in steps, and in their limit.

Both rules minimise the sum over the examples of log(1 + exp(-2 Delta)), with
Delta = y w.x/sqrt(N) and lam = |w|/sqrt(N), that is V_lam of the fixed-norm
problem at lam = 1. Its second derivative is 1/cosh(Delta)^2, at most 1, so the
loss curves nowhere more than the largest eigenvalue of X^T X/N.
"""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from perceptron import kernels, ranges
from perceptron.data import Examples, check_examples
from perceptron.learning.hebb import pull_of_all
from perceptron.records import Trajectory, mean_loss, overlap_and_error
from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted
from replica.common.interruption import Interrupted, Interruption
from replica.common.progress import bar

__all__ = ["DescentError", "gradient_descent", "gradient_flow", "largest_curvature"]

Array = NDArray[np.float64]

#: Default learning rate in units of 1/(largest curvature). A choice: at one norm, the error
#: then leaves that of the flow by at most 0.5, 1.2, 2% at alpha = 1, 5, 20, and the path
#: starts at lam = 0.03 to 0.06.
CAUTION = 0.1
#: Records in each factor of ten of the steps, or of the time. A choice.
RECORDS = 20
#: More in a factor of ten than any run could use; far more would leave a step no room.
MOST_RECORDS = 10**6
#: A compiled call takes about so long, and then listens to the keyboard.
CHUNK_S = 0.2
#: Relative growth of the loss that single precision may cause by itself.
ROUNDING = 1e-6
#: Weights beyond this are no numbers to work with: single precision ends at 3e38.
LARGEST = 1e30
#: And below this their squares are none.
SMALLEST = 1e-100
LARGE_ENOUGH = (arguments.POSITIVE, ranges.at_least(SMALLEST))

#: First step of the flow, as a part of the norm there is or, from zero, as lam. A choice.
FIRST = 1e-3
#: The flow is at rest where d log|w| / d log(time) is below this. On separable data
#: it is 1/log(time) or more, which stays above 1e-3 for any time that a double holds.
AT_REST = 1e-4
#: Later there would be no room for the next step.
END_OF_TIME = 1e300
#: Two Lanczos steps from the last direction find the curvature to a few percent.
LANCZOS = 2
MARGIN = 1.1
#: Of one step of the flow: rounding errors grow with the square of the stages.
MOST_STAGES = 250
#: Damping of the Chebyshev steps, the choice of Sommeijer, Shampine and Verwer (1998).
DAMPING = 2 / 13


class DescentError(RuntimeError):
    """A run that cannot go on; what was recorded is in ``trajectory``."""

    def __init__(self, message: str, trajectory: Trajectory):
        super().__init__(message)
        self.trajectory = trajectory

    def __reduce__(self) -> tuple[type[DescentError], tuple[str, Trajectory]]:
        return type(self), (str(self), self.trajectory)


def largest_curvature(examples: Examples) -> float:
    """Largest eigenvalue of X^T X/N, from above.

    Gradient descent on the sum of the losses is stable from any start if the
    learning rate is below 2 over this. About (1 + sqrt(alpha))^2 for independent
    inputs.
    """
    check_examples(examples)
    value, error, _ = _lanczos(examples, np.ones(examples.P), None, 20)
    return value + error


def gradient_descent(
    examples: Examples,
    steps: int = 10**6,
    learning_rate: float | None = None,
    *,
    start: Array | None = None,
    records: int | Sequence[int] = RECORDS,
    resume: Trajectory | None = None,
    precision: str = "single",
    progress: bool = True,
) -> Trajectory:
    r"""Full-batch gradient descent on the sum of log(1 + exp(-2 Delta)), at free norm.

    w <- w + learning_rate * sum_mu 2 y x / (sqrt(N) (1 + exp(2 Delta))), from w = 0,
    so that the first step is Hebb's rule. The norm lam = \|w\|/sqrt(N) in this loss
    is the lam of V_lam at \|w\|^2 = N; for log(1 + exp(-z)) it would be half of that.

    Parameters
    ----------
    examples : Examples
    steps : int
        Counted from the start of the run, also where it is resumed.
    learning_rate : float, optional
        Positive; by default 0.1 over `largest_curvature`, which is stable throughout
        and follows the path of small steps. Below 2 over it the loss never grows.
    start : (N,) array, optional
        First weights, instead of 0.
    records : int or sequence of int
        Records in each factor of ten of the steps, or the steps to record at.
        The last step always is; with a number of records, so is step 0.
    resume : Trajectory, optional
        Of an earlier call with the same arguments; the result is the same to the bit
        as that of one uninterrupted run.
    precision : {"single", "double"}
        Of the products with the inputs. Weights are summed in double precision,
        and records taken in it, in any case.
    progress : bool
        Show the remaining time, if the standard error stream is a terminal.

    Returns
    -------
    Trajectory
        Where w = 0 the direction recorded is the one that the first step takes.
        Interrupted from the keyboard, the run warns and returns what it has, with
        ``complete=False`` and the step that it reached as its last record.

    Raises
    ------
    ValueError
        If an argument breaks its rule.
    DescentError
        If the loss grows beyond that at the start, or out of the numbers.
    """
    check_examples(examples)
    steps = arguments.whole("steps", steps, 1, 10**15, "a positive integer")
    if learning_rate is not None:
        learning_rate = arguments.number("learning_rate", learning_rate, *LARGE_ENOUGH)
    marks = _marks(records, steps)
    single = arguments.word("precision", precision, ("single", "double")) == "single"
    w = _first_weights(examples, start, resume)
    book = _Book(examples)
    done = 0
    if resume is not None:
        done, rate = int(resume.step[-1]), resume.learning_rate
        if learning_rate is not None and learning_rate != rate:
            raise InvalidArgument(
                "learning_rate", f"must be that of `resume`, {rate!r}", quoted(learning_rate)
            )
        if resume.time[-1] != done * rate:
            raise InvalidArgument(
                "resume",
                "must come from gradient_descent",
                "times that are not those of its steps (continue another rule with "
                "`start=resume.weights`)",
            )
        if done > steps:
            raise InvalidArgument(
                "steps", f"must be at least those of `resume`, {done}", f"{steps}"
            )
        book.keep(resume, np.isin(resume.step, marks))
    elif learning_rate is None:
        rate = _round_down(CAUTION / largest_curvature(examples))
    else:
        rate = learning_rate
    first_loss = book.loss_at(w) if resume is None else float(resume.train_loss[0])
    if marks[0] == done == 0 and resume is None:
        book.add(0, 0.0, w)

    chunk, stopped = 1, False
    with (
        Interruption(answered=True, twice=True) as interruption,
        bar(
            "gradient descent", steps, wanted=progress, unit="percent", remaining=True, kept=True
        ) as shown,
        _Team(examples, w, single) as team,
    ):
        for mark in marks[marks > done]:
            while done < mark and not stopped:
                begin = time.perf_counter()
                now = min(chunk, int(mark) - done)
                team.advance(now, rate)
                done += now
                each = (time.perf_counter() - begin) / now
                chunk = max(1, min(2 * chunk, int(CHUNK_S / max(each, 1e-9))))
                stopped = interruption.requested
                shown.update(done)
            loss = book.add(done, done * rate, w)
            if not loss <= first_loss * (1 + ROUNDING):
                bound = 2 / largest_curvature(examples)
                raise DescentError(
                    f"`learning_rate` = {rate:g} is too large: the mean loss went from "
                    f"{first_loss:.4g} to {loss:.4g} in {done} step{'s' * (done != 1)}; "
                    f"below {bound:.3g} it never grows",
                    book.trajectory(w, rate, complete=False),
                )
            if stopped:
                break
    complete = done == steps
    if not complete:
        _warn(f"gradient descent was interrupted at step {done} of {steps}")
    return book.trajectory(w, rate, complete=complete)


def gradient_flow(
    examples: Examples,
    *,
    until_norm: float | None = None,
    until_time: float | None = None,
    tolerance: float = 1e-4,
    start: Array | None = None,
    records: int = RECORDS,
    resume: Trajectory | None = None,
    progress: bool = True,
) -> Trajectory:
    r"""The limit of gradient descent for small learning rates, at time = steps * learning_rate.

    dw/dt = - gradient of the sum of log(1 + exp(-2 Delta)), from w = 0. Steps grow
    with the time, as the loss and its curvature shrink: a factor of ten in time
    costs about a hundred gradients at alpha = 5, where fixed steps cost ten times more than all
    before. Stabilised Runge-Kutta-Chebyshev steps of second order (B. Sommeijer,
    L. Shampine and J. Verwer, J. Comput. Appl. Math. 88, 315 (1998)), all in
    double precision.

    Parameters
    ----------
    examples : Examples
    until_norm, until_time : float
        Positive; where to stop, whichever comes first. One must be given.
    tolerance : float
        Error of one step relative to \|w\|, and so in the angle of its direction and
        in the logarithm of its norm; within [1e-10, 0.01]. With the default the
        weights at a given time are good to about 3e-4.
    start : (N,) array, optional
        First weights, instead of 0, at time 0.
    records : int
        Steps in each factor of ten of the time, at least; each is recorded.
    resume : Trajectory, optional
        Of an earlier call. One that was interrupted is continued to the same bits;
        one that was complete is continued from its last record.
    progress : bool
        Show the remaining time, if the standard error stream is a terminal.

    Returns
    -------
    Trajectory
        As of `gradient_descent`; ``learning_rate`` is the next step in time. It is
        complete, too, if the weights came to rest before ``until_time``.

    Raises
    ------
    ValueError
        If an argument breaks its rule.
    DescentError
        If the norm stops growing below ``until_norm``.
    """
    check_examples(examples)
    if until_norm is None and until_time is None:
        raise InvalidArgument("until_norm", "or `until_time` must be given", "neither")
    last_norm, last_time = _end("until_norm", until_norm), _end("until_time", until_time)
    tolerance = arguments.number("tolerance", tolerance, ranges.within(1e-10, 0.01))
    records = arguments.whole("records", records, 1, MOST_RECORDS, "a positive integer")
    ratio = 10 ** (1 / records) - 1
    w = _first_weights(examples, start, resume)
    root = math.sqrt(examples.N)
    book = _Book(examples)
    fields, g = examples.products.gradient(w, 1.0)
    if resume is None:
        t, done, direction = 0.0, 0, None
        # from zero not far beyond a norm that is smaller still
        way = FIRST * _length(w) or min(FIRST, last_norm) * root
        h = way / max(_length(g), 1e-300)
        book.add(0, 0.0, w, fields)
    else:
        t, done, direction = float(resume.time[-1]), int(resume.step[-1]), resume.direction
        h = resume.learning_rate
        book.keep(resume, np.ones(len(resume.step), dtype=bool))
    norm = _length(w) / root
    for name, last, value in (("until_norm", last_norm, norm), ("until_time", last_time, t)):
        if value >= last:
            raise InvalidArgument(name, f"must be above that at the start, {value:g}", quoted(last))

    t_begin, rest, stopped = t, False, False
    with (
        Interruption(answered=True, twice=True) as interruption,
        bar(
            "gradient flow", 1.0, wanted=progress, unit="percent", remaining=True, kept=True
        ) as shown,
    ):

        def gradient(v: Array) -> tuple[Array, Array]:
            if interruption.requested:  # a step may take a thousand of these
                raise Interrupted
            return examples.products.gradient(v, 1.0)

        while norm < last_norm and t < last_time and not (rest or stopped):
            at_last = t, done, norm, h, direction
            try:
                curvature = 1 / np.cosh(np.minimum(np.abs(fields), 350.0)) ** 2
                steepest, _, direction = _lanczos(
                    examples, curvature, direction, LANCZOS if direction is not None else 20
                )
                steepest *= MARGIN
                h = min(h, ratio * t if t else h, _longest(MOST_STAGES, steepest))
                while True:
                    now = min(h, last_time - t)
                    after, fields_after, g_after = _chebyshev(gradient, w, g, now, steepest)
                    error = 0.8 * (w - after) - 0.4 * now * (g + g_after)
                    size = _length(error) / _length(after) / tolerance
                    # the error of a step of second order grows with its third power
                    better = now * min(5.0, max(0.2, 0.8 * max(size, 1e-9) ** (-1 / 3)))
                    if size <= 1:
                        break
                    h = better
                h = better if now == h else max(h, better)
                t, done = (last_time if now == last_time - t else t + now), done + 1
                norm = _length(after) / root
                if norm >= last_norm:
                    t, after = _on_sphere(last_norm * root, t - now, now, w, after, g, g_after)
                    fields_after, g_after = gradient(after)
                    norm = last_norm
                rest = _length(g_after) * t < AT_REST * _length(after) or t > END_OF_TIME
            except Interrupted:  # the step is left undone: the run stands at its last record
                t, done, norm, h, direction = at_last
                rest, stopped = False, True
                break
            w, fields, g = after, fields_after, g_after
            book.add(done, t, w, fields)
            stopped = interruption.requested
            shown.update(
                max(norm / last_norm, math.log1p(t - t_begin) / math.log1p(last_time - t_begin))
            )
    complete = norm >= last_norm or t >= last_time or (rest and until_time is not None)
    trajectory = book.trajectory(w, h, complete=complete, direction=direction)
    if rest and not complete:
        raise DescentError(
            f"`until_norm` must be a norm that the weights reach; at time {t:.3g} they have come "
            f"to rest at norm {norm:.6g}; got {last_norm!r}",
            trajectory,
        )
    if not complete:
        _warn(f"gradient flow was interrupted at time {t:.6g}, norm {norm:.6g}")
    return trajectory


# ------------------------------------------------------------------------ descent


class _Team:
    """The threads that do steps of gradient descent; the caller leads them."""

    def __init__(self, examples: Examples, w: Array, single: bool):
        products = examples.products
        parts = len(products.cuts) - 1
        real = np.float32 if single else np.float64
        self.w = w
        self.shared: tuple[Any, ...] = (
            kernels.LOGISTIC,
            products.inputs,
            products.labels,
            w.astype(real),
            products.cuts,
            np.zeros(kernels.CLAIM + kernels.LINE * parts, dtype=np.int64),
            np.zeros(examples.P),
            np.zeros((parts, examples.N), dtype=real),
        )
        self.total = np.zeros(examples.N)
        self.sync = self.shared[5]
        count = products.threads if kernels.TEAMS else 1
        self.threads = [
            threading.Thread(
                target=kernels.follow, args=(t * parts // count, *self.shared), daemon=True
            )
            for t in range(1, count)
        ]

    def __enter__(self) -> _Team:
        self.advance(0, 0.0)  # compiles, or loads
        if self.threads:
            self.sync[kernels.STEP] = -1
            kernels.follow(0, *self.shared)  # likewise, and returns
            self.sync[kernels.STEP] = 0
        for thread in self.threads:
            try:
                thread.start()
            except RuntimeError:  # no more threads to be had; those that are do its parts
                break
        return self

    def __exit__(self, *exception: object) -> None:
        self.sync[kernels.STEP] = -1
        for thread in self.threads:
            if thread.ident is not None:
                thread.join()

    def advance(self, steps: int, learning_rate: float) -> None:
        """So many steps; they change ``w`` in place."""
        kernels.lead(steps, float(learning_rate), self.w, self.total, *self.shared)


def _marks(records: int | Sequence[int], steps: int) -> NDArray[np.int64]:
    """Steps to record at, in order; the last one is ``steps``."""
    rule = "a positive integer or a list of steps"
    marks = _steps(records)
    if marks is None and not isinstance(records, Sequence):
        a_decade = arguments.whole("records", records, 1, MOST_RECORDS, rule)
        exponents = np.arange(math.floor(a_decade * math.log10(steps)) + 1) / a_decade
        marks = np.concatenate([[0], np.rint(10.0**exponents).astype(np.int64)])
    elif marks is None or np.any(marks < 0):
        raise InvalidArgument("records", f"must be {rule} that are not negative", quoted(records))
    return np.unique(np.append(marks[marks <= steps], steps).astype(np.int64))


def _steps(records: Any) -> NDArray[np.int64] | None:
    """The steps of a list of integers; None for anything else, which may be a number."""
    if isinstance(records, np.ma.MaskedArray | bytearray):
        return None
    try:
        marks = np.asarray(records)
    except (TypeError, ValueError, UserWarning):  # ragged, or masked
        return None
    if marks.ndim != 1 or (marks.size and marks.dtype.kind not in "iu"):
        return None
    return np.array([min(int(mark), 10**15) for mark in marks], dtype=np.int64)


def _round_down(value: float) -> float:
    """To two digits, so that the last bits of an eigenvalue do not matter."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.floor(value / unit) * unit:.1e}")


# --------------------------------------------------------------------------- flow


def _end(name: str, value: float | None) -> float:
    if value is None:
        return math.inf
    return arguments.number(name, value, *LARGE_ENOUGH)


def _lanczos(
    examples: Examples, weights: Array, first: Array | None, steps: int
) -> tuple[float, float, Array]:
    """Largest eigenvalue of X^T diag(weights) X/N, its error bound, and the eigenvector."""
    n = examples.N
    steps = min(steps, n)
    unit = float(np.max(weights))  # late weights are too small for single precision
    v = np.random.default_rng(0).standard_normal(n) if first is None else first
    basis, diagonal, beside = [v / _length(v)], [], []
    for _ in range(steps):
        u = examples.products.weighted(basis[-1], weights / unit, single=True)
        diagonal.append(float(u @ basis[-1]))
        for b in basis:  # against all: rounding would let them turn back
            u -= (u @ b) * b
        beside.append(_length(u))
        if beside[-1] <= 1e-6 * max(diagonal):  # rounding of the products
            break
        basis.append(u / beside[-1])
    size = len(diagonal)
    off = beside[: size - 1]
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    top = vectors[:, -1]
    vector = np.sum([c * b for c, b in zip(top, basis, strict=False)], axis=0)
    return unit * float(values[-1]), unit * float(beside[-1] * abs(top[-1])), vector


def _longest(stages: int, steepest: float) -> float:
    """Longest stable step of so many stages, with a margin for the damping."""
    return (stages * stages - 1) / (1.54 * steepest)


def _chebyshev(
    gradient: Callable[[Array], tuple[Array, Array]], w: Array, g: Array, h: float, steepest: float
) -> tuple[Array, Array, Array]:
    """One step of dw/dt = -g, stable up to the curvature ``steepest``: w, fields and g after.

    T_j below is the Chebyshev polynomial, dT and ddT its derivatives, at w0 just
    above 1; names as in the article that `gradient_flow` cites.
    """
    s = max(2, math.ceil(math.sqrt(1 + 1.54 * h * steepest)))
    w0 = 1 + DAMPING / s**2
    T, dT, ddT = [1.0, w0], [0.0, 1.0], [0.0, 0.0]
    for j in range(2, s + 1):
        T.append(2 * w0 * T[j - 1] - T[j - 2])
        dT.append(2 * w0 * dT[j - 1] - dT[j - 2] + 2 * T[j - 1])
        ddT.append(2 * w0 * ddT[j - 1] - ddT[j - 2] + 4 * dT[j - 1])
    w1 = dT[s] / ddT[s]
    b = [ddT[2] / dT[2] ** 2] * 2 + [ddT[j] / dT[j] ** 2 for j in range(2, s + 1)]
    before, y = w, w - b[1] * w1 * h * g
    for j in range(2, s + 1):
        mu, nu = 2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2]
        reach = 2 * b[j] * w1 / b[j - 1] * h
        a = 1 - b[j - 1] * T[j - 1]
        slope = gradient(y)[1]
        before, y = y, (1 - mu - nu) * w + mu * y + nu * before - reach * (slope - a * g)
    return y, *gradient(y)


def _on_sphere(
    radius: float, t: float, h: float, w: Array, after: Array, g: Array, g_after: Array
) -> tuple[float, Array]:
    """Time and weights where the cubic through both ends of a step crosses the sphere."""

    def between(x: float) -> Array:
        values = (1 + 2 * x) * (1 - x) ** 2 * w + x * x * (3 - 2 * x) * after
        return values - h * x * (1 - x) * ((1 - x) * g - x * g_after)

    x = 1.0
    if _length(between(x)) > radius:  # by rounding the step may end on the sphere itself
        x = brentq(lambda x: _length(between(x)) - radius, 0.0, 1.0, xtol=1e-14)
    v = between(x)
    return t + x * h, v * (radius / _length(v))


# --------------------------------------------------------------------------- both


def _length(v: Array) -> float:
    return float(np.linalg.norm(v))


class _Book:
    """The records of a run, one after the other."""

    def __init__(self, examples: Examples):
        self.examples = examples
        self.rows: list[tuple[float, ...]] = []

    def keep(self, earlier: Trajectory, those: NDArray[np.bool_]) -> None:
        """Take over records of an earlier run."""
        columns = (
            earlier.step,
            earlier.time,
            earlier.norm,
            earlier.overlap,
            earlier.generalization_error,
            earlier.train_loss,
            earlier.train_error,
        )
        self.rows = [tuple(row) for row in zip(*(c[those].tolist() for c in columns), strict=True)]

    def loss_at(self, w: Array) -> float:
        """Mean loss, at the norm of w."""
        return mean_loss(self.examples.labels * self.examples.products.fields(w), 1.0)

    def add(self, step: int, t: float, w: Array, fields: Array | None = None) -> float:
        """Record one step, if its weights are numbers to work with; its loss."""
        examples = self.examples
        if not np.all(np.abs(w) < LARGEST):
            return math.inf
        if fields is None:
            fields = examples.products.fields(w)
        margins = examples.labels * fields
        loss = mean_loss(margins, 1.0)
        along = w
        if not np.any(w):
            along = pull_of_all(examples)
            margins = examples.labels * examples.products.fields(along)
        norm = _length(w) / math.sqrt(examples.N)
        scores = overlap_and_error(examples, along)
        self.rows.append((step, t, norm, *scores, loss, float(np.mean(margins < 0))))
        return loss

    def trajectory(
        self, w: Array, learning_rate: float, *, complete: bool, direction: Array | None = None
    ) -> Trajectory:
        """All of it."""
        columns = np.array(self.rows, dtype=np.float64).reshape(-1, 7).T
        step, t, norm, overlap, error, loss, train_error = columns
        return Trajectory(
            step=step.astype(np.int64),
            time=t,
            norm=norm,
            overlap=overlap,
            generalization_error=error,
            train_loss=loss,
            train_error=train_error,
            weights=w,
            learning_rate=learning_rate,
            complete=complete,
            direction=direction,
        )


def _first_weights(examples: Examples, start: Array | None, resume: Trajectory | None) -> Array:
    """A copy of the weights to begin with."""
    if resume is not None:
        arguments.instance("resume", resume, Trajectory)
        if start is not None:
            raise InvalidArgument("start", "must not be given with `resume`", "both")
        w = np.array(resume.weights, dtype=np.float64)
        loss = math.nan
        if w.shape == (examples.N,):
            loss = mean_loss(examples.labels * examples.products.fields(w), 1.0)
        # another machine may add in another order
        if not math.isclose(loss, resume.train_loss[-1], rel_tol=1e-9):
            raise InvalidArgument(
                "resume", "must come from the same examples", "weights with another loss on these"
            )
        return w
    if start is None:
        pull_of_all(examples)  # from zero the first step needs a direction
        return np.zeros(examples.N)
    w = arguments.vector("start", start, examples.N)
    largest = float(np.max(np.abs(w)))
    if not (largest == 0 or SMALLEST <= largest < LARGEST):
        raise InvalidArgument(
            "start",
            f"must be zero, or its largest weight between {SMALLEST:g} and {LARGEST:g}",
            f"{largest:g}",
        )
    return w


def _warn(what: str) -> None:
    warnings.warn(f"{what}; pass the result as `resume` to go on", RuntimeWarning, stacklevel=3)
