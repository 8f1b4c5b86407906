"""Where the work is done: processes here, a cluster of Dask, a queue of SLURM.

A sweep takes any object whose ``submit(function, argument)`` returns something with ``done()`` and
``result()``: every ``concurrent.futures.Executor`` and the executors of submitit do.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Protocol

import torch

from replica.common.arguments import InvalidArgument
from replica.common.interruption import held_back, ignore

__all__ = [
    "Executor",
    "Handle",
    "Processes",
    "dask_executor",
    "keep_memory",
    "slurm_executor",
]

#: Numbers of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


class Handle(Protocol):
    """A submitted piece of work."""

    def done(self) -> bool:
        """Whether it is over."""

    def result(self) -> Any:
        """What it returned, or raised."""


class Executor(Protocol):
    """Something that does work."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Handle:
        """Have the function called somewhere."""


class Processes:
    """Worker processes on this machine, started anew should one of them die.

    Parameters
    ----------
    workers : int
        How many.
    device : str
        Of a GPU machine each worker gets one GPU, in turn.
    """

    def __init__(self, workers: int, device: str) -> None:
        self.workers = workers
        self._device = device
        self._pool = self._start()

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Handle:
        """As for any executor; Ctrl-C never reaches the workers, whose owner tells them."""
        with held_back():
            return self._pool.submit(function, *arguments)

    def restart(self) -> None:
        """A new pool in place of a broken one."""
        self._pool.shutdown(wait=True)
        self._pool = self._start()

    def close(self) -> None:
        """Let the workers end."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def kill(self) -> None:
        """End the workers now, whatever they do."""
        for process in list((self._pool._processes or {}).values()):
            process.kill()

    def _start(self) -> ProcessPoolExecutor:
        """A pool: spawned, since a fork of a process that used torch's threads may hang."""
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(
            self.workers,
            mp_context=context,
            initializer=_begin,
            initargs=(os.getpid(), context.Value("i", 0), self._device),
        )


@contextlib.contextmanager
def dask_executor(scheduler: str | None = None) -> Iterator[Executor]:
    """A cluster of Dask, by the address of its scheduler; without one, a cluster on this machine.

    Raises
    ------
    ImportError
        If distributed is not installed.
    OSError
        If no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ImportError(
            'a sweep on Dask needs distributed: pip install "replica-learning[dask]"'
        ) from None
    options: dict[str, Any] = (
        {} if scheduler else {"threads_per_worker": 1, "dashboard_address": ":0"}
    )
    with Client(scheduler, **options) as client:
        # Not pure: a run that is submitted again has to be done again.
        yield client.get_executor(pure=False)


def slurm_executor(
    folder: str | os.PathLike[str], *, cluster: str | None = None, **parameters: Any
) -> Executor:
    """A queue of SLURM, through submitit: every task of a sweep becomes a job.

    Parameters
    ----------
    folder : path
        Of the sweep; the logs go to ``slurm`` in it, which all nodes have to see.
    cluster : {"slurm", "local", "debug"}, optional
        To try things without SLURM: jobs as processes of this machine, or done at once.
    **parameters
        As for ``submitit.AutoExecutor.update_parameters``, such as ``timeout_min=60`` or
        ``slurm_partition="gpu"``.

    Raises
    ------
    ImportError
        If submitit is not installed.
    ValueError
        If there is no SLURM here, or a parameter is unknown.
    """
    try:
        import submitit
    except ImportError:
        raise ImportError(
            'a sweep on SLURM needs submitit: pip install "replica-learning[slurm]"'
        ) from None
    cluster = cluster or "slurm"
    if cluster == "slurm" and shutil.which("srun") is None:
        raise InvalidArgument(
            "executor",
            "cannot be SLURM here: there is no srun; with cluster=local the jobs are "
            "processes of this machine",
        )
    executor = submitit.AutoExecutor(folder=os.path.join(folder, "slurm"), cluster=cluster)
    try:
        executor.update_parameters(**parameters)
    except NameError as error:  # what submitit raises for a parameter that it does not know
        raise ValueError(str(error)) from None
    result: Executor = executor
    return result


def _begin(parent: int, counter: Any, device: str) -> None:
    """The first thing that a worker does."""
    ignore()
    keep_memory()
    with counter.get_lock():
        number = counter.value
        counter.value += 1
    if device != "cpu" and torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())
    threading.Thread(target=_end_with, args=(parent,), name="orphan", daemon=True).start()


def keep_memory() -> None:
    """Tell glibc, where that is what allocates, not to give memory back between two steps.

    It would return what a step frees to the system, which has to fill it with zeros for the next:
    of a step of "cnn-small" with 128 images of 28 x 28 that is a third, of an evaluation half.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_MMAP_THRESHOLD, 2**25)  # the largest that it takes


def _end_with(parent: int) -> None:
    """Should the owner of the sweep be killed: checkpoint and end, as SIGTERM asks for."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)
