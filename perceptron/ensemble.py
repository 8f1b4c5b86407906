"""The same experiment for many seeds: mean, standard error and how many."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perceptron.products import one_blas_thread, thread_limit
from replica.common import arguments, processors
from replica.common.arguments import InvalidArgument, quoted
from replica.common.progress import bar

__all__ = ["Ensemble", "over_seeds"]

Array = NDArray[np.float64]
Experiment = Callable[[int], Mapping[str, ArrayLike]]

#: Seeds of one call; each waits in a list for its turn. A choice.
MOST_SEEDS = 10**6


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Numbers measured for many seeds.

    Attributes
    ----------
    seeds : (n,) int array
        The seeds that were done, ascending.
    values : dict of (n, ...) arrays
        What the experiment returned, by name.
    complete : bool
        False if the run was interrupted; what was done is here.
    """

    seeds: NDArray[np.int64]
    values: dict[str, Array]
    complete: bool

    @property
    def n(self) -> int:
        """How many seeds."""
        return len(self.seeds)

    def mean(self, name: str) -> Array:
        """Mean over the seeds."""
        return np.asarray(self.values[name].mean(axis=0))

    def standard_error(self, name: str) -> Array:
        """Standard deviation over sqrt(n); nan for a single seed."""
        if self.n < 2:
            return np.full(self.values[name].shape[1:], np.nan)
        return np.asarray(self.values[name].std(axis=0, ddof=1) / np.sqrt(self.n))


def over_seeds(
    experiment: Experiment,
    seeds: int | Iterable[int],
    *,
    executor: Executor | None = None,
    progress: str | None = None,
) -> Ensemble:
    """Run ``experiment(seed)`` for every seed, side by side.

    Parameters
    ----------
    experiment : callable
        Takes a seed, returns numbers or arrays by name. For an executor of
        processes it has to be picklable: a function of a module, not a lambda.
    seeds : int or iterable of int
        The seeds, or how many (0, 1, ...); at least one.
    executor : concurrent.futures.Executor, optional
        Any. By default threads, one a processor: the work is done in compiled
        code that lets other threads run. Inside, each experiment has one thread.
    progress : str, optional
        Word for a progress bar with the remaining time, shown on a terminal only.

    Raises
    ------
    ValueError
        For bad seeds, or an experiment that does not return numbers of one shape. What the
        experiment raises is raised here.

    Notes
    -----
    An interruption (Ctrl-C) keeps what was done: the record is returned with
    ``complete`` False, and a warning.
    """
    if isinstance(seeds, int | np.integer):
        seeds = range(arguments.whole("seeds", seeds, 1, MOST_SEEDS, "at least 1"))
    if not callable(experiment):
        raise InvalidArgument("experiment", "must be a function of the seed", quoted(experiment))
    order = _order(seeds)
    own = ThreadPoolExecutor(min(processors.count(), len(order))) if executor is None else None
    pool = executor or own
    assert pool is not None
    done: dict[int, dict[str, Array]] = {}
    futures: dict[Future[Mapping[str, ArrayLike]], int] = {}
    complete = False
    try:
        # two teams of BLAS threads on the same processors wait for one another: 20 times slower
        with (
            bar(progress, len(order), remaining=True, wanted=progress is not None) as shown,
            one_blas_thread(),
        ):
            for seed in order:  # one by one: those are known that an interruption has to call off
                futures[pool.submit(_alone, experiment, seed)] = seed
            for future in as_completed(futures):
                found = _numbers(future.result())
                _compare(found, next(iter(done.values()), found))
                done[futures[future]] = found
                shown.advance()
        complete = True
    except KeyboardInterrupt:
        for future, seed in futures.items():  # done, and not looked at yet
            if future.done() and not future.cancelled() and future.exception() is None:
                done.setdefault(seed, _numbers(future.result()))
        warnings.warn(
            f"interrupted: {len(done)} of {len(order)} seeds are kept", RuntimeWarning, stacklevel=2
        )
    finally:
        for future in futures:
            future.cancel()
        if own is not None:
            own.shutdown(wait=complete, cancel_futures=True)
    seeds_done = sorted(done)
    names = list(done[seeds_done[0]]) if done else []
    values = {name: np.stack([done[seed][name] for seed in seeds_done]) for name in names}
    return Ensemble(np.array(seeds_done, dtype=np.int64), values, complete)


def _order(seeds: Any) -> list[int]:
    """The seeds as they were given: different, and few enough to be listed."""
    try:
        if isinstance(seeds, str | bytes | bytearray | np.ma.MaskedArray):
            raise TypeError
        listed = list(itertools.islice(seeds, MOST_SEEDS + 1))
    except TypeError:
        raise InvalidArgument(
            "seeds", "must be an integer or a sequence of integers", quoted(seeds)
        ) from None
    rule = "non-negative integers"
    order = [arguments.whole("seeds", seed, 0, 2**63 - 1, rule) for seed in listed]
    if not order or len(order) > MOST_SEEDS or len(set(order)) < len(order):
        raise InvalidArgument(
            "seeds", f"must be different integers, from one to {MOST_SEEDS}", quoted(order)
        )
    return order


def _numbers(found: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """What an experiment returned, as arrays."""
    rule = "must return numbers or arrays by name"
    if not isinstance(found, Mapping):
        raise InvalidArgument("experiment", rule, quoted(found))
    values = {}
    for name, value in found.items():
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise InvalidArgument("experiment", rule, f"{quoted(value)} for {quoted(name)}")
        values[name] = array.astype(float)
    return values


def _compare(found: dict[str, Array], first: dict[str, Array]) -> None:
    """All seeds have the same names and shapes."""
    shapes = [{name: value.shape for name, value in one.items()} for one in (found, first)]
    if shapes[0] != shapes[1]:
        raise InvalidArgument(
            "experiment",
            "must return the same names and shapes for every seed",
            f"{shapes[0]} and {shapes[1]}",
        )


def _alone(experiment: Experiment, seed: int) -> Mapping[str, ArrayLike]:
    """One seed in one thread: the others are busy with other seeds."""
    with thread_limit(1), one_blas_thread():
        return experiment(seed)
