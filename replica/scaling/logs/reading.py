"""`read_curves`: files of any known format, labelled, as learning curves."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replica.common import arguments
from replica.common.arguments import POSITIVE, InvalidArgument, quoted
from replica.common.text import printable
from replica.scaling.curves.record import Curves
from replica.scaling.curves.rows import Log, Rows
from replica.scaling.curves.table import curves_of
from replica.scaling.curves.words import listed_titles, said
from replica.scaling.logs.content import Limits, read_file
from replica.scaling.logs.keras import keras_history, keras_log
from replica.scaling.logs.labels import CONFIGURATIONS, Pattern, configuration
from replica.scaling.logs.lcdb import lcdb_log
from replica.scaling.logs.learning_curve import learning_curve_log
from replica.scaling.logs.lightning import lightning_log
from replica.scaling.logs.tensorboard import tensorboard_log
from replica.scaling.logs.transformers import trainer_state_log
from replica.scaling.logs.wandb import wandb_log

__all__ = ["holds_tables", "read_curves"]

#: Files that a folder is looked through for.
SUFFIXES = (".csv", ".csv.gz", ".tsv", ".parquet", ".pq", ".json", ".jsonl", ".npz")
#: Of a folder without a pattern, JSON is read if its name begins so: other JSON is of anything.
TOLD = ("trainer_state", "history", "learning_curve")
#: Titles of columns that hold names, which may look like numbers ("007").
NAMED = frozenset({"seed", "outer_seed", "inner_seed"})
#: Arguments, as opposed to what is in a file.
ASKED = frozenset(
    {"path", "columns", "percent", "accuracy", "quantity", "drop_missing", "pattern", "where"}
    | {"max_gigabytes", "max_columns"}
)
#: Where transformers keeps copies of a run's log.
CHECKPOINT = re.compile(r"checkpoint-[0-9]+")


def read_curves(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    columns: Mapping[str, Hashable] | None = None,
    percent: bool = False,
    accuracy: bool | None = None,
    quantity: str = "test_error",
    drop_missing: bool = False,
    pattern: str | None = None,
    where: Mapping[str, str] | None = None,
    max_gigabytes: float = 0.5,
    max_columns: int = 10_000,
) -> Curves:
    """Learning curves from a file, several files or a folder, checked.

    Parameters
    ----------
    path : path, or sequence of paths
        Tables with a header (separated by commas, semicolons or tabs; UTF-8; also packed by
        gzip), Parquet, JSON, or the logs listed on the page :doc:`/logs`; formats are told by the
        content. Of a folder every such file is read, in folders below it too.
    columns, percent, accuracy, quantity, drop_missing
        As for `curves_from_table`.
    pattern : str, optional
        Where names of files, or of runs in a file, tell P and seed: ``P{P}/seed{seed}``. If left
        out, names like "P1000" and "seed3" are looked for, and a ``config.json`` or
        ``hparams.yaml`` beside the file.
    where : mapping, optional
        Read only rows in which a column has a value, as in ``{"learner": "SVC"}``; compared as
        text.
    max_gigabytes : float
        Most that a file may hold when unpacked; memory of several times this is used.
    max_columns : int
        Most columns that a table may have.

    Returns
    -------
    Curves

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If a Parquet file is asked for and pyarrow is not installed.
    ValueError
        If a file cannot be read, is too large, or for the reasons of `curves_from_table`. Rows
        count from 1, which is the first below the header; blank lines do not count.
    """
    largest = arguments.number("max_gigabytes", max_gigabytes, POSITIVE)
    limits = Limits(largest, arguments.whole("max_columns", max_columns, 1))
    labels = Pattern(pattern)
    mapping = _mapping("columns", columns)
    chosen = _mapping("where", where)
    names = NAMED | {mapping[name] for name in ("seed",) if name in mapping}
    roots = [path] if isinstance(path, str | os.PathLike) else _paths(path)
    files = [file for root in roots for file in _files(Path(root), labels)]
    first = files[0][0] if len(files) == 1 else Path(roots[0])
    together = printable(str(first)) + (f" and {len(roots) - 1} more" if roots[1:] else "")
    try:
        whole = _joined(
            [_Read(*file, limits, names).log(labels, mapping, chosen) for file in files]
        )
        return curves_of(
            whole,
            columns=columns,
            percent=percent,
            accuracy=accuracy,
            quantity=quantity,
            drop_missing=drop_missing,
        )
    except InvalidArgument as error:
        if error.argument in ASKED:  # not what is in the file
            raise
        raise ValueError(f"{together}: {error}") from None
    except ValueError as error:
        said = str(error)
        if any(said.startswith(printable(str(file))) for file, _ in files):
            raise
        raise ValueError(f"{together}: {said}") from None


def _mapping(name: str, given: Any) -> Mapping[str, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise InvalidArgument(name, "must map names to columns or values", quoted(given))
    return {} if given is None else given


def _paths(given: Any) -> list[str | os.PathLike[str]]:
    """Several paths, checked."""
    paths = list(given) if isinstance(given, Sequence) and not isinstance(given, bytes) else []
    if not paths or not all(isinstance(path, str | os.PathLike) for path in paths):
        raise InvalidArgument(
            "path", "must be the path of a file or folder, or several", quoted(given)
        )
    return paths


def _files(root: Path, pattern: Pattern) -> Iterator[tuple[Path, str]]:
    """The files that a path stands for, each with the name in which P and seed may stand."""
    if not root.exists():
        raise FileNotFoundError(
            f"`path` must be a file of learning curves; {printable(str(root))} does not exist"
        )
    if root.is_file():
        yield root, root.as_posix()
        return
    if not root.is_dir():  # a pipe would be waited for, a device may never end
        raise InvalidArgument(
            "path",
            f"must be a regular file; {printable(str(root))} is a pipe, a socket or a device",
        )
    named = _tables_in(root, pattern.text is not None)
    found = [pair for pair in _last_checkpoints(named) if pattern.matches(pair[1])]
    if not found:
        seen = f"; none of its {len(named)} tables matches {pattern.text!r}" if named else ""
        raise InvalidArgument(
            "path",
            f"must be a file of learning curves, or a folder with such files ({', '.join(SUFFIXES)}"
            f"); {printable(str(root))} is a directory without{seen}",
        )
    yield from found


def holds_tables(folder: str | os.PathLike[str]) -> bool:
    """Whether `read_curves` finds some file to read in a folder, at any depth."""
    return bool(_tables_in(Path(folder)))


def _tables_in(root: Path, any_json: bool = False) -> list[tuple[Path, str]]:
    """The files of a folder, at any depth, that may hold curves, with their names within it."""
    inside = sorted(
        file
        for file in root.rglob("*")
        if file.name.lower().endswith(SUFFIXES)
        and file.name not in CONFIGURATIONS
        and (any_json or file.suffix.lower() != ".json" or file.name.startswith(TOLD))
    )
    return [(file, file.relative_to(root).as_posix()) for file in inside if file.is_file()]


def _last_checkpoints(files: list[tuple[Path, str]]) -> list[tuple[Path, str]]:
    """Of the copies of a log in checkpoints of one run, the last."""
    last: dict[Path, tuple[int, tuple[Path, str]]] = {}
    for file, name in files:
        inside = file.name == "trainer_state.json" and CHECKPOINT.fullmatch(file.parent.name)
        run = file.parent.parent if inside else file
        at = int(file.parent.name.rpartition("-")[2]) if inside else 0
        if inside and run / file.name in {other for other, _ in files}:
            continue  # the run's own, written at its end
        if run not in last or last[run][0] < at:
            last[run] = at, (file, name)
    return [pair for _, pair in last.values()]


@dataclass(frozen=True)
class _Read:
    """A file that is read: its path, the name in which P and seed may stand, limits, names."""

    file: Path
    name: str
    limits: Limits
    names: frozenset[Hashable]

    def log(self, pattern: Pattern, mapping: Mapping[str, Any], chosen: Mapping[str, Any]) -> Log:
        """What it holds, with P and seed."""
        content, notes = read_file(self.file, self.limits, self.names)
        if chosen and isinstance(content, pd.DataFrame):
            content = _select(content, chosen)
        told = pattern.labels(self.name)
        log = _recognised(content, self.file, pattern, (told or {}).get("tag"))
        P = mapping.get("P", "P")
        if P in log.frame:
            return replace(log, notes=(*notes, *log.notes))
        if told is None:
            raise InvalidArgument(
                "pattern", f"must match {printable(self.name)}", quoted(pattern.text)
            )
        labels = {key: told[key] for key in ("P", "seed") if key in told}
        if labels.keys() < {"P", "seed"}:
            beside = configuration(self.file.parent)
            for key in {"P", "seed"} - labels.keys():
                title = mapping.get(key, key)
                if title in beside:
                    labels[title] = str(beside[title])
        labels = {key: value for key, value in labels.items() if key not in log.frame}
        return replace(
            log,
            frame=log.frame.assign(**labels),
            notes=(*notes, *log.notes),
            labelled=", ".join(f"{key} = {said(value)}" for key, value in labels.items()),
            rows=replace(log.rows, names=log.rows.names or (self.name,)),
        )


def _recognised(content: Any, file: Path, pattern: Pattern, tag: str | None) -> Log:
    """The log that a file's content is."""
    if not isinstance(content, pd.DataFrame):
        for known in (trainer_state_log, keras_history, learning_curve_log):
            log = known(content)
            if log is not None:
                return log
        try:
            frame = pd.DataFrame(content)
        except (TypeError, ValueError) as error:
            raise InvalidArgument("table", f"must be something pandas reads: {error}") from None
        lines = isinstance(content, list)
        return wandb_log(frame, pattern) or Log(frame, Rows.counted(len(frame)), holes=lines)
    return (
        wandb_log(content, pattern)
        or tensorboard_log(content, file.stem, tag)
        or lcdb_log(content)
        or keras_log(content)
        or lightning_log(content)
        or Log(content, Rows.counted(len(content)))
    )


def _joined(logs: list[Log]) -> Log:
    """The tables of several files as one."""
    labelled = [log for log in logs if log.labelled]
    notes = [note for log in logs for note in log.notes]
    if labelled:
        first = labelled[0]
        notes.append(
            f"{len(labelled)} of {len(logs)} files are labelled by their names or by a "
            f"configuration beside: {printable(first.rows.names[0])} is {first.labelled}"
        )
    if len(logs) == 1:
        rows = logs[0].rows
        # of one file the row is enough
        rows = replace(rows, names=() if logs[0].labelled else rows.names)
        return replace(logs[0], rows=rows, notes=tuple(dict.fromkeys(notes)))
    names: list[str] = []
    places = []
    for at, log in enumerate(logs):
        places.append(log.rows.place + len(names))
        names += log.rows.names or (f"file {at + 1}",)
    rows = Rows(
        np.concatenate([log.rows.number for log in logs]), np.concatenate(places), tuple(names)
    )
    frame = pd.concat([log.frame for log in logs], ignore_index=True)
    return Log(frame, rows, tuple(dict.fromkeys(notes)), any(log.holes for log in logs))


def _select(frame: pd.DataFrame, chosen: Mapping[str, Any]) -> pd.DataFrame:
    """The rows in which columns have those values, compared as text."""
    for name, value in chosen.items():
        if name not in frame.columns:
            raise InvalidArgument(
                "where", f"must name columns of the table, {listed_titles(frame.columns)}",
                quoted(name),
            )  # fmt: skip
        kept = frame[frame[name].astype(str).str.strip() == str(value)]
        if kept.empty:
            there = listed_titles(sorted(set(frame[name].astype(str))))
            raise InvalidArgument("where", f"must have {name} among {there}", quoted(value))
        frame = kept
    return frame.reset_index(drop=True)
