"""From a list of runs to their files: whoever does the work, however often it is interrupted."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from deepnorm.datasets import Images
from deepnorm.sweeps import checks, storage
from deepnorm.sweeps.claims import STALE
from deepnorm.sweeps.configuration import Run
from deepnorm.sweeps.driver import Driver
from deepnorm.sweeps.executors import Executor, Processes, dask_executor
from deepnorm.sweeps.files import WORK, survey
from deepnorm.sweeps.jobs import Task, tidy
from deepnorm.sweeps.packed import packs
from deepnorm.sweeps.progress import Progress, duration, reporter
from deepnorm.sweeps.training import EVERY, resolve
from replica.common import processors
from replica.common.arguments import InvalidArgument, quoted
from replica.common.interruption import terminable

__all__ = ["Summary", "SweepInterrupted", "sweep"]

#: Members of one program on a GPU where nothing is said; halved if they do not fit. A choice.
PACK = 32
#: The evaluation of an image costs about so much of a step of training with it: a forward pass of
#: forward, backward in two products, and update.
FORWARD = 1 / 3
#: Seconds that other people's workers have to write their checkpoints. A choice.
PATIENCE = 60.0
#: The counts of a summary, in the order in which they are told.
COUNTED = ("finished", "skipped", "diverged", "elsewhere", "failed")


@dataclass(frozen=True)
class Summary:
    """What a sweep did.

    Attributes
    ----------
    finished, skipped, diverged, elsewhere, failed : int
        Runs trained to the end; found finished or diverged; stopped because something was not
        finite; being done by other processes when this one ended; without a result.
    seconds : float
        Wall time.
    reasons : mapping of str to str
        Why runs failed or diverged, by the name of their file.
    messages : tuple of str
        Everything worth a line that happened.
    """

    finished: int
    skipped: int
    diverged: int
    elsewhere: int
    failed: int
    seconds: float
    reasons: Mapping[str, str]
    messages: tuple[str, ...]

    def __str__(self) -> str:
        counts = ((name, getattr(self, name)) for name in COUNTED)
        told = ", ".join(f"{count} {name}" for name, count in counts if count)
        return f"{told or 'nothing'} in {duration(self.seconds)}"


class SweepInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; checkpoints are on disk, and the same sweep goes on from them.

    Attributes
    ----------
    summary : Summary
        What was done until then.
    """

    def __init__(self, message: str, summary: Summary) -> None:
        super().__init__(message)
        self.summary = summary


def sweep(
    runs: Iterable[Run],
    folder: str | Path,
    *,
    data: str | Path | Images | None = None,
    check: bool = True,
    executor: Executor | str | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    device: str = "auto",
    threads: int = 1,
    pack: int | None = None,
    checkpoint_every: float = EVERY,
    stale: float = STALE,
    mix: bool = False,
    wait: bool = True,
    progress: Callable[[Progress], None] | bool | None = None,
) -> Summary:
    """Train every run that has no file in the folder yet.

    Several sweeps, on one machine or on many that share the folder, may do the same runs at the
    same time: each run is done by one of them. What was interrupted, in whatever way, goes on
    from its last checkpoint when the sweep is started again. A script that calls this has to be
    guarded by ``if __name__ == "__main__":``, since the worker processes import it.

    Parameters
    ----------
    runs : iterable of Run
        As `grid` makes them.
    folder : path
        Where the files go; made if need be.
    data : path or Images, optional
        The folder of the data sets, as for `deepnorm.datasets.load`, or the images.
    check : bool
        Refuse files of a data set whose checksums are not the published ones.
    executor : Executor, "dask" or None
        Who works: any object with ``submit(function, argument)`` whose results have ``done()``
        and ``result()``. None takes processes on this machine.
    scheduler : str, optional
        For "dask": the address of the scheduler, as tcp://host:8786. Without it a cluster is
        started on this machine.
    workers : int, optional
        Processes where no executor is given: as many as cores, or as GPUs.
    device : str
        For each worker: "cpu", "cuda", or "auto", which takes a GPU where it finds one.
    threads : int
        Of torch in each worker. Records are reproducible bit for bit with the same number.
    pack : int, optional
        Runs that share one program; 1 on a CPU, where it does not help, and 32 on a GPU, less
        where they do not fit.
    checkpoint_every : float
        Seconds of work that a kill may cost.
    stale : float
        Seconds without a sign of life after which another machine's run is taken over.
    mix : bool
        Allow runs of one network and data set with different settings in the folder.
    wait : bool
        Wait for runs that other processes are doing, and take over those whose process dies.
    progress : function, bool or None
        Called with a `Progress` about once a second; False for silence; by default a bar on a
        terminal and a line now and then elsewhere, on standard error.

    Returns
    -------
    Summary

    Raises
    ------
    ValueError
        If a run cannot be done, the device is not there, or the folder holds runs that would be
        mixed with these; nothing is done then.
    OSError
        If the folder cannot be written to, or the data cannot be read.
    ImportError
        If Dask is asked for and not installed.
    SweepInterrupted
        After Ctrl-C or SIGTERM, once the workers have written their checkpoints.
    """
    chosen = checks.distinct(runs)
    checks.check_numbers(
        workers=workers,
        threads=threads,
        pack=pack,
        checkpoint_every=checkpoint_every,
        stale=stale,
    )
    if isinstance(executor, str) and executor != "dask":
        raise InvalidArgument("executor", 'must be an Executor, "dask" or None', quoted(executor))
    if scheduler is not None and executor != "dask":
        raise InvalidArgument(
            "scheduler", 'belongs to `executor="dask"`', f"{scheduler!r} without it"
        )
    # Workers elsewhere, as the jobs of a cluster, have devices of their own.
    here = executor is None or (executor == "dask" and scheduler is None)
    on_gpu = resolve(device, here=here).type == "cuda"
    teller = reporter(progress)
    try:
        folder = Path(folder).absolute()
        storage.check_folder(folder)
        storage.check_folder(folder / WORK)
        found = survey(folder)
        if not mix:
            checks.check_mixing(chosen, [result.run for result in found.results])
        source = data if data is None or isinstance(data, Images) else str(Path(data).absolute())
        sets = checks.load_data(chosen, source, check, found)
        same_P = checks.check_networks(chosen, sets)
        costs = {run: _cost(run, sets[run.dataset]) for run in chosen}
        have = {result.run for result in found.results}
        left = [run for run in chosen if run not in have]
        for run in have.intersection(chosen):
            tidy(folder, run, stale)
        stop = folder / WORK / f"stop-{uuid.uuid4().hex}"
        tasks = [
            Task(
                runs=group,
                folder=folder,
                data=source,
                check=check,
                data_digest=sets[group[0].dataset].digest,
                device=device,
                threads=threads,
                every=checkpoint_every,
                stale=stale,
                stop=stop,
            )
            for group in packs(left, pack or (PACK if on_gpu else 1), same_P=same_P)
        ]
        # The longest first, so that no worker begins a long one when the others are done.
        tasks.sort(key=lambda task: -sum(costs[run] for run in task.runs))
        driver = Driver(tasks, costs, [run for run in chosen if run in have], teller, wait)
        try:
            with terminable():
                if isinstance(executor, str):
                    with dask_executor(scheduler) as cluster:
                        _drive(driver, cluster)
                elif executor is not None:
                    _drive(driver, executor)
                elif tasks:
                    count = workers or (torch.cuda.device_count() if on_gpu else processors.count())
                    processes = Processes(min(count, len(tasks)), device)
                    try:
                        _drive(driver, processes, processes.workers)
                    except BaseException:
                        processes.kill()
                        raise
                    finally:
                        processes.close()
        except KeyboardInterrupt:
            summary = _summary(driver)
            message = f"interrupted; {summary}. The same sweep goes on from the checkpoints"
            driver.tell(message)
            raise SweepInterrupted(message, summary) from None
        return _summary(driver)
    finally:
        teller.close()


def _drive(driver: Driver, executor: Executor, room: int | None = None) -> None:
    """To the end, or to the checkpoints where somebody interrupts."""
    try:
        driver.drive(executor, room)
    except KeyboardInterrupt:
        driver.tell("interrupted: waiting for the workers to write their checkpoints")
        # Our own workers answer for certain; a job of a cluster may wait in a queue for days.
        driver.stop(math.inf if isinstance(executor, Processes) else PATIENCE)
        raise


def _cost(run: Run, images: Images) -> float:
    """How long a run takes, in units of a training step with one image."""
    training = run.steps * min(run.batch_size, run.P)
    evaluated = min(run.P, run.train_images or run.P) + len(images.test_images[: run.test_images])
    return training + FORWARD * len(run.record_steps) * evaluated


def _summary(driver: Driver) -> Summary:
    """What was done so far."""
    outcomes = driver.outcomes.values()
    counts = {name: sum(o.status == name for o in outcomes) for name in COUNTED}
    reasons = {o.run.file_name: o.reason for o in outcomes if o.status in ("diverged", "failed")}
    return Summary(
        **counts, seconds=driver.seconds, reasons=reasons, messages=tuple(driver.messages)
    )
