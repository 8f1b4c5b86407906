"""One file a run: written in one step, read with suspicion; a folder of them as one table."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from deepnorm.sweeps.configuration import Run
from deepnorm.sweeps.records import Divergence, Result
from replica.common.files import IRREGULAR, open_regular, read_regular, replace_regular

__all__ = [
    "WORK",
    "DamagedFile",
    "Survey",
    "holds_runs",
    "read_result",
    "read_runs",
    "survey",
    "write_result",
]

#: The first words of a run file, and the version of its layout.
KIND, VERSION = "deepnorm run", 1
#: Folder, inside that of the sweep, of what belongs to runs that are not over.
WORK = "in-progress"
#: Fields of a run that are columns of the table, to select by where settings were mixed.
SETTINGS = (
    "optimizer",
    "learning_rate",
    "momentum",
    "weight_decay",
    "batch_size",
    "width",
    "initial_scale",
    "precision",
    "steps",
)


class DamagedFile(ValueError):
    """A run file that cannot be trusted; the message names it and says why."""


def write_result(result: Result, folder: Path) -> Path:
    """Write the file of a run.

    Raises
    ------
    OSError
        If it cannot be written; nothing is then left of it.
    """
    body: dict[str, Any] = {
        "kind": KIND,
        "version": VERSION,
        "status": result.status,
        "run_digest": result.run.digest,
        "run": result.run.as_dict(),
        "data_digest": result.data_digest,
        "diverged": result.divergence
        and {"step": result.divergence.step, "reason": result.divergence.reason},
        "records": {name: list(column) for name, column in result.records.items()},
        "seconds": list(result.seconds),
        "environment": dict(result.environment),
    }
    body["sha256"] = _checksum(body)
    path = folder / result.run.file_name
    # One line a key: readable, and a diff of two runs says where they part.
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in body.items()]
    replace_regular(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())
    return path


def read_result(path: Path) -> Result:
    """Read the file of a run and check that it is whole.

    Raises
    ------
    DamagedFile
        If it was cut short, is no run file, is of another version, was altered, or its hash is
        not that of its configuration.
    OSError
        If it cannot be read.
    """
    try:
        body = json.loads(read_regular(path))
    except OSError as error:
        if error.errno in IRREGULAR:
            raise DamagedFile(f"{path} is no file of a run: {error.strerror}") from None
        raise
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path} is not JSON, or was cut short: {error}") from None
    if not isinstance(body, dict) or body.get("kind") != KIND:
        raise DamagedFile(f'{path} is no run file: it lacks "kind": "{KIND}"')
    if body.get("version") != VERSION:
        raise DamagedFile(
            f"{path} has version {body.get('version')!r} of the format; this library reads "
            f"version {VERSION}"
        )
    try:
        same = body.pop("sha256", None) == _checksum(body)
    except RecursionError as error:
        raise DamagedFile(f"{path} is not JSON of ours: {error}") from None
    if not same:
        raise DamagedFile(f"{path} was altered: its checksum is not that of its content")
    try:
        run = Run.from_dict(body["run"])
        if body["run_digest"] != run.digest:
            raise ValueError("its hash is not that of its configuration")
        return Result(
            run=run,
            data_digest=body["data_digest"],
            records={name: tuple(column) for name, column in body["records"].items()},
            divergence=Divergence(**body["diverged"]) if body["diverged"] else None,
            seconds=tuple(body["seconds"]),
            environment=body["environment"],
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DamagedFile(f"{path} does not hold together: {error}") from None


def _checksum(body: dict[str, Any]) -> str:
    """SHA-256 of the content, whatever its layout."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


# ---------------------------------------------------------------------- a whole folder


@dataclass(frozen=True)
class Survey:
    """What a folder of runs holds.

    Attributes
    ----------
    results : tuple of Result
        Finished and diverged, in the order of model, data set, P and seed.
    damaged : mapping of Path to str
        Files that cannot be trusted, or hold a run once more, and why.
    unfinished : tuple of str
        Names, without ending, of runs that were begun and are not over.
    """

    results: tuple[Result, ...]
    damaged: dict[Path, str]
    unfinished: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each run that is not, or not wholly, in the table."""
        diverged = (
            f"{r.run.file_name} diverged at step {r.divergence.step}: {r.divergence.reason}"
            for r in self.results
            if r.divergence is not None
        )
        unfinished = (f"{name} is not finished" for name in self.unfinished)
        return (*self.damaged.values(), *diverged, *unfinished)

    def table(self, *, diverged: bool = False) -> pd.DataFrame:
        """One row a record; with those of diverged runs, up to where they make sense, or without.

        Columns are ``run`` (the hash), ``status``, those of the configuration, those of
        `records.columns`, ``seconds`` and ``loss`` (the same as ``train_loss``).
        """
        frames = [
            _frame(result) for result in self.results if diverged or result.divergence is None
        ]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def survey(folder: str | os.PathLike[str]) -> Survey:
    """Read every run file of a folder.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If two runs of one data set saw different images: no table can hold both.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"`folder` must be that of a sweep; {folder} does not exist")
    results: list[Result] = []
    damaged: dict[Path, str] = {}
    read: list[tuple[Path, Result]] = []
    for path in sorted(folder.glob("*.json")):
        try:
            read.append((path, read_result(path)))
        except FileNotFoundError:  # moved aside meanwhile by a sweep
            continue
        except DamagedFile as error:
            damaged[path] = str(error)
    first: dict[Run, Path] = {}
    # Files under their own names come first: a copy is told from its original.
    for path, result in sorted(read, key=lambda pair: pair[0].name != pair[1].run.file_name):
        if first.setdefault(result.run, path) == path:
            results.append(result)
        else:
            damaged[path] = f"{path} holds the same run as {first[result.run].name}: take one away"
    _check_same_data(results)
    results.sort(key=lambda r: (r.run.model, r.run.dataset, r.run.P, r.run.seed, r.run.digest))
    over = {result.run.stem for result in results}
    begun = {path.stem for path in (folder / WORK).glob("*_*.*")}
    return Survey(tuple(results), damaged, tuple(sorted(begun - over)))


def holds_runs(folder: str | os.PathLike[str]) -> bool:
    """Whether some file of a folder begins like that of a run, or a sweep has begun there."""
    folder = Path(folder)
    if (folder / WORK).is_dir():
        return True
    first = f'"kind": "{KIND}"'.encode()
    for path in folder.glob("*.json"):
        try:
            with open_regular(path) as file:
                if first in file.read(len(first) + 8):
                    return True
        except OSError:
            continue
    return False


def read_runs(folder: str | os.PathLike[str], *, diverged: bool = False) -> pd.DataFrame:
    """The runs of a folder as one table, a row for each record.

    Parameters
    ----------
    folder : path
        Of a sweep.
    diverged : bool
        Keep the records of diverged runs too, as far as they go.

    Returns
    -------
    DataFrame
        As `Survey.table` says. ``replica.scaling.curves_from_table`` takes it with
        ``columns={"log_norm": "log_norm_eq2"}``. Damaged, diverged and unfinished runs are warned
        about; `survey` gives them as values.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If no run in it is finished, or two of one data set saw different images.
    """
    found = survey(folder)
    for note in found.notes:
        warnings.warn(note, stacklevel=2)
    table = found.table(diverged=diverged)
    if table.empty:
        raise ValueError(f"no run in {folder} is finished")
    return table


def _frame(result: Result) -> pd.DataFrame:
    """The records of one run with what identifies it."""
    run = result.run
    records = pd.DataFrame(dict(result.records))
    records.insert(0, "status", result.status)
    for name in reversed(("model", "dataset", "P", "seed", *SETTINGS)):
        records.insert(0, name, getattr(run, name))
    records.insert(0, "run", run.stem.rpartition("_")[2])
    return records.assign(seconds=result.seconds, loss=records["train_loss"])


def _check_same_data(results: list[Result]) -> None:
    """Runs of one data set have to have seen the same images."""
    seen: dict[str, Result] = {}
    for result in results:
        first = seen.setdefault(result.run.dataset, result)
        if first.data_digest != result.data_digest:
            raise ValueError(
                f"{first.run.file_name} and {result.run.file_name} saw different images under "
                f"the name {result.run.dataset!r}; move one of them to another folder"
            )
