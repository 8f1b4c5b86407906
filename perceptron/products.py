"""Products of the inputs with vectors, in all threads and yet the same to the bit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from perceptron import kernels
from replica.common import processors

__all__ = ["Products", "one_blas_thread", "thread_limit"]

Array = NDArray[np.float64]

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
    """The four products that every learning rule is made of.

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
        self._pool: ThreadPoolExecutor | None = None
        self._pool_of = 0  # the process whose threads it holds: a fork inherits none of them
        self._none = np.zeros(p)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_pool": None}

    def gradient(self, w: Array, lam: float, *, single: bool = False) -> tuple[Array, Array]:
        """Fields x.w/sqrt(N), (P,), and sum_mu V_lam'(Delta) y x / sqrt(N), (N,).

        ``single`` computes in single precision, twice as fast; the result is float64.
        """
        return self._sweep(kernels.LOGISTIC, w, self._none, lam, single)

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

    def _sweep(
        self, mode: int, v: Array, weights: Array, lam: float, single: bool
    ) -> tuple[Array, Array]:
        p, n = self.inputs.shape
        real = np.float32 if single else np.float64
        v = np.ascontiguousarray(v, dtype=real)
        fields = np.empty(p) if mode != kernels.COMBINE else self._none.copy()
        out = np.zeros((PARTS, n), dtype=real)
        weights = np.ascontiguousarray(weights, dtype=np.float64)

        def part(k: int) -> None:
            kernels.sweep(
                mode, self.inputs, self.labels, weights, float(lam), v,
                self.cuts[k], self.cuts[k + 1], fields, out[k],
            )  # fmt: skip

        self._in_threads(part)
        return fields, out.sum(axis=0, dtype=np.float64)

    def _in_threads(self, part: Callable[[int], None]) -> None:
        """All parts: thread t takes the parts t, t + threads, ...; this one is the last."""
        if self.threads == 1:
            for k in range(PARTS):
                part(k)
            return
        if self._pool is None or self._pool_of != os.getpid():
            self._pool = ThreadPoolExecutor(self.threads - 1)
            self._pool_of = os.getpid()

        def share(t: int) -> None:
            for k in range(t, PARTS, self.threads):
                part(k)

        others = [self._pool.submit(share, t) for t in range(self.threads - 1)]
        share(self.threads - 1)
        for other in others:
            other.result()
