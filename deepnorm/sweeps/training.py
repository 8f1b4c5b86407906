"""The loop of a training: steps up to the next record, a record, now and then a checkpoint."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from deepnorm.datasets import Images
from deepnorm.sweeps.checkpoints import read_checkpoint, write_checkpoint
from deepnorm.sweeps.configuration import Run
from deepnorm.sweeps.members import Member, has_dropout
from deepnorm.sweeps.packed import Packed
from deepnorm.sweeps.records import Divergence, Result
from deepnorm.sweeps.separate import Separate
from replica.common.errors import InvalidArgument, quoted
from replica.common.interruption import Interrupted, Interruption

__all__ = ["EVERY", "resolve", "train", "train_together"]

#: Seconds between checkpoints.
EVERY = 30.0
#: Seconds of steps between two looks at the clock and at the losses; and at most so many steps.
LOOK = 0.3
LONGEST = 256


class Trainer(Protocol):
    """What moves the members on."""

    def advance(self, first: int, last: int) -> Tensor:
        """Do steps; losses, (steps, members)."""

    def optimizer_states(self) -> list[dict[int, dict[str, Tensor]]]:
        """What the optimizer remembers, by member and parameter."""


def resolve(device: str | torch.device, *, here: bool = True) -> torch.device:
    """The device by its name; "auto" is a GPU where there is one.

    Parameters
    ----------
    device : str or device
        "auto", "cpu", "cuda" or "cuda:0" and so on. Norms are in double precision, which other
        kinds of devices (mps) do not have.
    here : bool
        Whether this process is to use it: it has to be there then.

    Raises
    ------
    ValueError
        If it is none of these, or torch sees no such GPU.
    """
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rule = "must be auto, cpu or cuda (norms are in double precision, which others lack)"
    unknown = InvalidArgument("device", rule, quoted(str(device)))
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        raise unknown from None
    if found.type not in ("cpu", "cuda"):
        raise unknown
    if here and found.type == "cuda":
        if not torch.cuda.is_available():
            raise InvalidArgument(
                "device", "must be cpu or auto here: torch sees no GPU", quoted(str(device))
            )
        count = torch.cuda.device_count()
        if (found.index or 0) >= count:
            rule = f"must be among the {count} GPUs that torch sees here, counted from 0"
            raise InvalidArgument("device", rule, quoted(str(device)))
    return found


def train(
    run: Run,
    images: Images,
    device: str | torch.device = "auto",
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    every: float = EVERY,
    watch: Callable[[int], None] | None = None,
) -> Result:
    """Train one network and record its error against its norm.

    The number of threads is the caller's (`torch.set_num_threads`). A loss that is not finite
    ends the training; the records up to there are kept.

    Parameters
    ----------
    run : Run
        What to train.
    images : Images
        The data set that the run names.
    device : str or device
        "auto" takes a GPU where there is one.
    checkpoint : path, optional
        Where the state is kept every so many seconds, and on SIGINT and SIGTERM; a training that
        finds its state there goes on from it. On the CPU, with the same number of threads, its
        records are then those of an uninterrupted one, bit for bit. The file is removed neither
        here nor by the library: `sweep` does that once the records are on disk.
    every : float
        Seconds between checkpoints.
    watch : callable, optional
        Called with the number of steps done, a few times a second.

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        If the images are not those of the run or too few, the network does not suit them, or the
        device is not there.
    KeyboardInterrupt
        After Ctrl-C, once the checkpoint is written.
    OSError
        If the checkpoint cannot be written.
    """
    paths = None if checkpoint is None else [Path(checkpoint)]
    with Interruption(twice=True) as interruption:
        (result,) = train_together(
            [run],
            images,
            resolve(device),
            checkpoints=paths,
            every=every,
            watch=watch,
            interruption=interruption,
        )
    return result


def train_together(
    runs: Sequence[Run],
    images: Images,
    device: torch.device,
    *,
    checkpoints: Sequence[Path] | None = None,
    every: float = EVERY,
    watch: Callable[[int], None] | None = None,
    interruption: Interruption,
) -> list[Result]:
    """Train runs that may share a program; `train` says what the arguments mean.

    Raises
    ------
    Interrupted
        If it was asked for, once the checkpoints are written.
    """
    for run in runs:
        if run.dataset != images.name:
            raise ValueError(f"the run is of the data set {run.dataset!r}; got {images.name!r}")
    members = [Member(run, images, device) for run in runs]
    elapsed = [0.0] * len(members)
    if checkpoints is not None:
        for number, path in enumerate(checkpoints):
            state = read_checkpoint(path, device)
            if state is None or state.get("run") != runs[number].digest:
                continue
            if state.get("data") != images.digest:  # other images under the same name
                continue
            try:
                elapsed[number] = members[number].load(state)
            except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):
                # Of an older layout: it is of no use, and half of it may be in the member.
                members[number] = Member(runs[number], images, device)
    results: dict[int, Result] = {}
    # Members that were saved at different steps cannot go on together.
    for step in sorted({member.step for member in members}):
        chosen = [number for number, member in enumerate(members) if member.step == step]
        together = [members[number] for number in chosen]
        before = max(elapsed[number] for number in chosen)
        paths = None if checkpoints is None else [checkpoints[number] for number in chosen]
        _train(together, before, paths, every, watch, interruption)
        for number in chosen:
            results[number] = _result(members[number], images)
    return [results[number] for number in range(len(runs))]


def _train(
    members: list[Member],
    before: float,
    checkpoints: list[Path] | None,
    every: float,
    watch: Callable[[int], None] | None,
    interruption: Interruption,
) -> None:
    """Bring members that are at the same step to the end, or to where they diverge."""
    trainer: Trainer = Separate(members) if len(members) == 1 else Packed(members)
    run, step = members[0].run, members[0].step
    stops = iter(s for s in run.record_steps if s > step)
    stop = next(stops, step)
    begin = saved = time.perf_counter()
    pace = 1  # steps between two looks
    with _own_random_numbers(members[0]):
        while step < run.steps and any(member.divergence is None for member in members):
            last = min(stop, step + pace)
            started = time.perf_counter()
            losses = trainer.advance(step, last)
            _note_divergence(members, step, losses)
            now = time.perf_counter()
            pace = max(1, min(2 * pace, LONGEST, int(LOOK * (last - step) / (now - started))))
            step = last
            for member in members:
                if member.divergence is None:
                    member.step = step
                    if step == stop:
                        member.record(before + time.perf_counter() - begin)
            if step == stop:
                stop = next(stops, step)
            if watch is not None:
                watch(step)
            asked = interruption.requested and step < run.steps
            if checkpoints is not None and (asked or time.perf_counter() - saved >= every):
                _save(members, trainer, before + time.perf_counter() - begin, checkpoints)
                saved = time.perf_counter()
            if asked:
                raise Interrupted(f"at step {step} of {run.steps}")


def _note_divergence(members: list[Member], first: int, losses: Tensor) -> None:
    """Mark the members whose loss was not finite, at the first such step."""
    bad = ~losses.isfinite().cpu()  # (steps, members)
    for number in bad.any(0).nonzero().flatten().tolist():
        if members[number].divergence is None:
            step = first + int(bad[:, number].nonzero()[0]) + 1
            members[number].divergence = Divergence(step, "the training loss is not finite")


def _save(members: list[Member], trainer: Trainer, seconds: float, checkpoints: list[Path]) -> None:
    """The state of every member that still makes sense."""
    states = trainer.optimizer_states()
    for member, state, path in zip(members, states, checkpoints, strict=True):
        if member.divergence is None:
            write_checkpoint(path, member.state(state, seconds))


@contextlib.contextmanager
def _own_random_numbers(member: Member) -> Iterator[None]:
    """Leave the caller's random numbers alone where dropout seeds them anew at each step."""
    if not has_dropout(member.model):
        yield
        return
    devices = [member.device] if member.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


def _result(member: Member, images: Images) -> Result:
    """What is left of a training that is over."""
    records: dict[str, tuple[float, ...]] = {
        name: tuple(column) for name, column in member.records.items()
    }
    return Result(
        run=member.run,
        data_digest=images.digest,
        records=records,
        divergence=member.divergence,
        seconds=tuple(member.seconds),
        environment=_environment(member.device),
    )


def _environment(device: torch.device) -> dict[str, Any]:
    """Where and with what, as far as it may matter to whoever wonders about a number."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "system": platform.platform(),
        "device": f"{device} ({name})",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{package: version(package) for package in ("torch", "numpy", "replica-learning")},
    }
