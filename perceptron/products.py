"""Products of the inputs with vectors, in all threads and yet the same to the bit.

The rows are cut into eight parts; each thread sums its share of them in a compiled kernel that
lets go of Python, and the sums are added in order. The threads are Python's, not numba's: of the
layers under ``prange``, workqueue ends the process when two Python threads enter, which is what
`over_seeds` does, OpenMP ends a process that forks after its first use, and TBB is one more thing
to install. A step in one thread costs 5 microseconds beyond the kernel, a second thread 30 more
(60 to 80 with the futures of an executor), where the kernel takes 220 at N = 300, P = 1500.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache
from queue import SimpleQueue
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from perceptron import kernels
from replica.common import processors

__all__ = ["Products", "one_blas_thread", "thread_limit"]

Array = NDArray[np.float64]
#: What a thread is told when it is through: None, or what went wrong.
Done: TypeAlias = "SimpleQueue[BaseException | None]"
Job: TypeAlias = "tuple[Callable[[int, int], None], int, int, Done]"

#: The rows are summed in so many parts, whatever the number of threads: the order of the
#: additions, and so every bit of the result, is that of one thread.
PARTS = 8
#: Below this many inputs a second thread costs more than it saves.
INPUTS_PER_THREAD = 200_000


_limit: ContextVar[int] = ContextVar("threads", default=PARTS)


@contextmanager
def thread_limit(threads: int) -> Iterator[None]:
    """Let the `Products` that are made inside use at most so many threads."""
    token = _limit.set(threads)
    try:
        yield
    finally:
        _limit.reset(token)


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """Let BLAS and LAPACK use one thread: the same bits on any number of processors.

    `threadpoolctl.threadpool_limits` looks for the libraries in each call, which takes longer
    than a Newton step in 100 dimensions; here they are looked for once.
    """
    return _libraries().limit(limits=1, user_api="blas")


class Products:
    """The products that every learning rule is made of.

    Parameters
    ----------
    inputs : (P, N) int8, float32 or float64 array
    labels : (P,) int8 array
    threads : int, optional
        At most so many; by default all processors. Results do not depend on it.
    """

    def __init__(
        self,
        inputs: NDArray[np.int8] | NDArray[np.float32] | NDArray[np.float64],
        labels: NDArray[np.int8],
        threads: int | None = None,
    ):
        self.inputs, self.labels = inputs, labels
        p = len(inputs)
        # parts of whole groups of rows
        groups = -(-p // kernels.ROWS)
        cuts = np.linspace(0, groups, PARTS + 1).astype(int) * kernels.ROWS
        self.cuts = np.minimum(cuts, p)
        most = max(1, inputs.size // INPUTS_PER_THREAD)
        self.threads = min(threads or min(processors.count(), _limit.get()), PARTS, most)
        self._crew: _Crew | None = None
        self._none = np.zeros(p)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_crew": None}

    def gradient(self, w: Array, lam: float, *, single: bool = False) -> tuple[Array, Array]:
        """Fields x.w/sqrt(N), (P,), and sum_mu V_lam'(Delta) y x / sqrt(N), (N,), logistic loss.

        ``single`` computes in single precision, twice as fast; the result is float64.
        """
        return self._sweep(kernels.LOGISTIC, w, self._none, lam, single)

    def pull(
        self,
        w: Array,
        slope: Callable[[Array], Array],
        offset: float = 0.0,
        *,
        single: bool = False,
    ) -> tuple[Array, Array, Array]:
        """The same for any loss: fields, coefficients y V'(Delta), (P,), and their sum with x.

        ``slope`` is V', a function of the margins Delta = y (x.w/sqrt(N) + offset); the fields
        have the offset, too, and the sum is sum_mu y V'(Delta) x / sqrt(N). The rows are read
        twice, which costs up to twice the time of `gradient`.
        """
        v, sums = self._vector(w, single), self.sums(single)
        fields, coefficients = np.empty(len(self.inputs)), np.empty(len(self.inputs))
        none = self._none

        def share(first: int, stride: int) -> None:
            for k in range(first, PARTS, stride):
                part = slice(self.cuts[k], self.cuts[k + 1])
                self._parts(k, PARTS, kernels.FIELDS, none, 0.0, v, fields, sums)
                fields[part] += offset
                labels = self.labels[part]
                coefficients[part] = labels * slope(labels * fields[part])
                self._parts(k, PARTS, kernels.COMBINE, coefficients, 0.0, v, fields, sums)

        self._in_threads(share)
        return fields, coefficients, sums.sum(axis=0, dtype=np.float64)

    def pull_of(
        self,
        rows: NDArray[np.int64],
        w: Array,
        slope: Callable[[Array], Array],
        offset: float = 0.0,
        *,
        single: bool = False,
    ) -> tuple[Array, Array]:
        """Coefficients and sum of `pull` for some of the rows, in one thread."""
        x, labels = self.inputs[rows], self.labels[rows]
        v = self._vector(w, single)
        fields, out = np.empty(len(rows)), np.zeros_like(v)
        kernels.sweep(kernels.FIELDS, x, labels, fields, 0.0, v, 0, len(rows), fields, out)
        coefficients = labels * slope(labels * (fields + offset))
        kernels.sweep(kernels.COMBINE, x, labels, coefficients, 0.0, v, 0, len(rows), fields, out)
        return coefficients, out.astype(np.float64)

    def weighted(self, v: Array, weights: Array, *, single: bool = False) -> Array:
        """X^T diag(weights) X v / N, (N,)."""
        return self._sweep(kernels.WEIGHTED, v, weights, 0.0, single)[1]

    def fields(self, v: Array) -> Array:
        """X v / sqrt(N), (P,)."""
        return self._sweep(kernels.FIELDS, v, self._none, 0.0, False)[0]

    def combine(self, weights: Array) -> Array:
        """X^T weights / sqrt(N), (N,)."""
        v = np.zeros(self.inputs.shape[1])
        return self._sweep(kernels.COMBINE, v, weights, 0.0, False)[1]

    def sums(self, single: bool) -> NDArray[Any]:
        """Room for the sums of the parts, (8, N) zeros in the precision of the products."""
        real = np.float32 if single else np.float64
        return np.zeros((PARTS, self.inputs.shape[1]), dtype=real)

    def sweep(
        self, mode: int, weights: Array, lam: float, v: NDArray[Any], fields: Array,
        sums: NDArray[Any],
    ) -> None:  # fmt: skip
        """`kernels.sweep_parts` over all parts, in all threads: into ``fields`` and ``sums``."""

        def share(first: int, stride: int) -> None:
            self._parts(first, stride, mode, weights, lam, v, fields, sums)

        self._in_threads(share)

    def _sweep(
        self, mode: int, v: Array, weights: Array, lam: float, single: bool
    ) -> tuple[Array, Array]:
        fields = np.empty(len(self.inputs)) if mode != kernels.COMBINE else self._none.copy()
        sums = self.sums(single)
        weights = np.ascontiguousarray(weights, dtype=np.float64)
        self.sweep(mode, weights, float(lam), self._vector(v, single), fields, sums)
        return fields, sums.sum(axis=0, dtype=np.float64)

    def _vector(self, v: Array, single: bool) -> NDArray[Any]:
        return np.ascontiguousarray(v, dtype=np.float32 if single else np.float64)

    def _parts(
        self, first: int, stride: int, mode: int, weights: Array, lam: float, v: NDArray[Any],
        fields: Array, sums: NDArray[Any],
    ) -> None:  # fmt: skip
        kernels.sweep_parts(
            first, stride, mode, self.inputs, self.labels, weights, lam, v, self.cuts, fields, sums
        )

    def _in_threads(self, share: Callable[[int, int], None]) -> None:
        """All parts: thread t takes the parts t, t + threads, ...; this one is the first."""
        if self.threads == 1:
            share(0, 1)
            return
        if self._crew is None or self._crew.of != (os.getpid(), self.threads):
            self._crew = _Crew(self.threads)
        self._crew.do(share)


class _Crew:
    """Threads that wait for work as long as somebody holds this: half the price of an executor.

    A fork inherits none of them, hence the process in ``of``.
    """

    def __init__(self, threads: int):
        self.of = os.getpid(), threads
        self._desks: list[SimpleQueue[Job | None]] = []
        for _ in range(threads - 1):
            desk: SimpleQueue[Job | None] = SimpleQueue()
            try:
                threading.Thread(target=_work, args=(desk,), daemon=True).start()
            except RuntimeError:  # no more threads to be had: the others do its parts
                break
            self._desks.append(desk)

    def __del__(self) -> None:
        for desk in self._desks:
            desk.put(None)

    def do(self, share: Callable[[int, int], None]) -> None:
        """Each thread its share, this one too; what one of them raises is raised here."""
        stride = len(self._desks) + 1
        done: Done = SimpleQueue()  # of this call alone: another may have been interrupted
        for t, desk in enumerate(self._desks, start=1):
            desk.put((share, t, stride, done))
        share(0, stride)
        for _ in self._desks:
            if (error := done.get()) is not None:
                raise error


def _work(desk: SimpleQueue[Job | None]) -> None:
    """What a thread of a crew does; it must not hold the crew, whose end is its own."""
    while (job := desk.get()) is not None:
        share, first, stride, done = job
        try:
            share(first, stride)
            done.put(None)
        except BaseException as error:
            done.put(error)
        del job, share, done  # a thread that waits keeps no inputs alive
