"""What a worker does: claim runs, train them, write their files, and say how it went."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from deepnorm.datasets import Images, load
from deepnorm.sweeps import storage
from deepnorm.sweeps.claims import Claim
from deepnorm.sweeps.configuration import Run
from deepnorm.sweeps.files import WORK, DamagedFile, read_result, write_result
from deepnorm.sweeps.training import resolve, train_together
from replica.common.interruption import Interrupted, Interruption

__all__ = ["Outcome", "Report", "Task", "checkpoint_path", "claim_path", "perform", "tidy"]


@dataclass(frozen=True)
class Task:
    """Runs for one worker, with everything it has to know.

    Attributes
    ----------
    runs : tuple of Run
        One, or several that share a program.
    folder : Path
        Of the sweep.
    data : str, Images or None
        The folder of the data sets, or the images themselves.
    check : bool
        Whether files must have their published checksums.
    data_digest : str
        What the images must be.
    device : str
        As for `train`.
    threads : int
        Of torch, for each worker.
    every : float
        Seconds between checkpoints.
    stale : float
        Seconds after which a claim without a sign of life is taken over.
    stop : Path
        A file whose appearance asks to stop.
    """

    runs: tuple[Run, ...]
    folder: Path
    data: str | Images | None
    check: bool
    data_digest: str
    device: str
    threads: int
    every: float
    stale: float
    stop: Path


@dataclass(frozen=True)
class Outcome:
    """How it went with one run.

    Attributes
    ----------
    run : Run
    status : str
        "finished", "diverged", "skipped" (it was finished already), "elsewhere" (another process
        does it), "interrupted" or "failed".
    reason : str
        What happened, where something did.
    fatal : bool
        The next run would fail in the same way.
    """

    run: Run
    status: str
    reason: str = ""
    fatal: bool = False


@dataclass(frozen=True)
class Report:
    """How it went with a task: an outcome for each of its runs, and what else happened."""

    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...]


class _ClaimLost(Exception):
    """Another process has taken a run over; nothing more may be written."""


def claim_path(folder: Path, run: Run) -> Path:
    """The file that says who does the run."""
    return folder / WORK / f"{run.stem}.claim"


def checkpoint_path(folder: Path, run: Run) -> Path:
    """The file that an interrupted run goes on from."""
    return folder / WORK / f"{run.stem}.pt"


def tidy(folder: Path, run: Run, stale: float) -> None:
    """Take away what a process left of a finished run that was killed before it could."""
    paths = claim_path(folder, run), checkpoint_path(folder, run)
    if any(path.exists() for path in paths):
        claim = Claim.take(paths[0], stale=stale)
        if claim is not None:
            with claim:
                paths[1].unlink(missing_ok=True)


def perform(task: Task) -> Report:
    """Do the runs of a task that nobody has done or is doing."""
    outcomes: list[Outcome] = []
    notes: list[str] = []
    with (
        Interruption(task.stop) as interruption,
        _threads(task.threads),
        contextlib.ExitStack() as held,
    ):
        mine: list[tuple[Run, Claim]] = []
        if interruption.requested:
            reason = "before it began"
            return Report(tuple(Outcome(run, "interrupted", reason) for run in task.runs), ())
        try:
            for run in task.runs:
                outcome, claim = _claim(task, run, notes)
                if claim is not None:
                    held.enter_context(claim)
                if outcome is not None:
                    outcomes.append(outcome)
                elif claim is not None:
                    mine.append((run, claim))
            outcomes += _train(task, mine, interruption)
        except Interrupted as stopped:
            outcomes += [Outcome(run, "interrupted", str(stopped)) for run, _ in mine]
        except _ClaimLost:
            outcomes += [Outcome(run, "elsewhere") for run, _ in mine]
        except OSError as error:
            reason = f"{error.filename or task.folder}: {error.strerror or error}"
            told = {outcome.run for outcome in outcomes}
            outcomes += [
                Outcome(run, "failed", reason, fatal=True) for run in task.runs if run not in told
            ]
    return Report(tuple(outcomes), tuple(notes))


def _claim(task: Task, run: Run, notes: list[str]) -> tuple[Outcome | None, Claim | None]:
    """The right to do the run, or what to say where there is nothing to do."""
    if _over(task.folder, run):
        return Outcome(run, "skipped"), None
    claim = Claim.take(claim_path(task.folder, run), stale=task.stale)
    if claim is None:
        return Outcome(run, "elsewhere"), None
    # It may have been finished between the look and the claim.
    if _over(task.folder, run, notes):
        return Outcome(run, "skipped"), claim
    return None, claim


def _over(folder: Path, run: Run, notes: list[str] | None = None) -> bool:
    """Whether the run has a file; a damaged one is moved aside by whoever holds the claim."""
    path = folder / run.file_name
    try:
        read_result(path)
    except FileNotFoundError:
        return False
    except DamagedFile as error:
        if notes is not None:
            aside = storage.set_aside(path)
            notes.append(f"{error}. It is now {aside.name}, and the run is done again")
        return False
    return True


def _train(
    task: Task, mine: Sequence[tuple[Run, Claim]], interruption: Interruption
) -> list[Outcome]:
    """Train the claimed runs; in halves, should they not fit into memory together."""
    if not mine:
        return []
    images = _images(task)
    device = resolve(task.device)
    runs = [run for run, _ in mine]
    paths = [checkpoint_path(task.folder, run) for run in runs]
    try:
        results = train_together(
            runs,
            images,
            device,
            checkpoints=paths,
            every=task.every,
            watch=_watch([claim for _, claim in mine]),
            interruption=interruption,
        )
    except torch.OutOfMemoryError:
        if len(mine) == 1:
            raise
    else:
        outcomes = []
        for result, (run, claim), path in zip(results, mine, paths, strict=True):
            if claim.lost:
                outcomes.append(Outcome(run, "elsewhere"))
                continue
            try:
                write_result(result, task.folder)
            except OSError as error:  # those that were written before are not lost
                reason = f"{error.filename or task.folder}: {error.strerror or error}"
                outcomes.append(Outcome(run, "failed", reason, fatal=True))
                continue
            path.unlink(missing_ok=True)
            reason = ""
            if result.divergence is not None:
                reason = f"at step {result.divergence.step}: {result.divergence.reason}"
            outcomes.append(Outcome(run, result.status, reason))
        return outcomes
    if device.type == "cuda":
        torch.cuda.empty_cache()
    middle = len(mine) // 2
    return _train(task, mine[:middle], interruption) + _train(task, mine[middle:], interruption)


def _watch(claims: Sequence[Claim]) -> Callable[[int], None]:
    """Pass the progress on to the claims, and stop where one is lost."""

    def watch(step: int) -> None:
        for claim in claims:
            claim.advance(step)
            if claim.lost:
                raise _ClaimLost

    return watch


def _images(task: Task) -> Images:
    """The data, which have to be those that the sweep began with."""
    if isinstance(task.data, Images):
        return task.data
    name = task.runs[0].dataset
    images = _loaded(name, task.data, task.check)
    if images.digest != task.data_digest:
        raise ValueError(
            f"the images of {name!r} on this machine are not those of the machine that began the "
            "sweep; give both the same files"
        )
    return images


@lru_cache(maxsize=2)
def _loaded(name: str, folder: str | None, check: bool) -> Images:
    """A data set, read once by each process."""
    return load(name, folder, check=check)


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads of torch; before and after, those of whoever called."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
