"""Exports of wandb: wide, a column for each run, or long, a row for each step, with holes."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from replica.common.arguments import InvalidArgument, quoted
from replica.common.text import cut, printable
from replica.scaling.curves.cells import Column
from replica.scaling.curves.rows import Log, Rows
from replica.scaling.logs.labels import Pattern

__all__ = ["wandb_log"]

#: A chart's column: the run, and what was logged.
WIDE = re.compile(r"(?P<run>.+) - (?P<metric>.+?)(?P<band>__MIN|__MAX)?")
#: Titles of the first column of a chart, in lower case.
AXES = {"step": "step", "_step": "step", "global_step": "step", "trainer/global_step": "step",
        "epoch": "epoch"}  # fmt: skip
#: Rows that `run.history()` returns of a longer history, unless asked for more.
SAMPLED = 500


def wandb_log(frame: pd.DataFrame, pattern: Pattern) -> Log | None:
    """A chart's export, with P and seed from the names of runs; or a history with `_step`."""
    return _wide(frame, pattern) or _long(frame)


def _long(frame: pd.DataFrame) -> Log | None:
    """A history: `_step` is the step, and other names that begin with ``_`` are wandb's own."""
    if "_step" not in frame.columns:
        return None
    own = [title for title in frame.columns if str(title).startswith("_") and title != "_step"]
    found = frame.drop(columns=own)
    if "step" in found.columns:
        found = found.drop(columns="_step")
    else:
        found = found.rename(columns={"_step": "step"})
    note = "a history of wandb: rows without the error are none of its records"
    return Log(found, Rows.counted(len(found)), (note, *_sampled(found)), holes=True)


def _wide(frame: pd.DataFrame, pattern: Pattern) -> Log | None:
    """One record a row and run; extremes of what was averaged are left out."""
    titles = [str(title) for title in frame.columns]
    parts = [WIDE.fullmatch(title) for title in titles[1:]]
    axis = AXES.get(titles[0].lower()) if titles else None
    if axis is None or not parts or None in parts:
        return None
    runs: dict[str, dict[str, int]] = {}
    for place, part in enumerate(parts, start=1):
        if part is not None and part["band"] is None:
            runs.setdefault(part["run"], {})[part["metric"]] = place
    pieces, numbers, places, told = [], [], [], []
    for at, (run, metrics) in enumerate(runs.items()):
        cells = {metric: frame.iloc[:, place] for metric, place in metrics.items()}
        piece = pd.DataFrame({axis: frame.iloc[:, 0], **cells})
        there = np.zeros(len(piece), dtype=np.bool_)
        for metric in metrics:
            there |= ~Column(metric, piece[metric], Rows.counted(len(piece))).gaps()
        labels = pattern.labels(run)
        if labels is None or "P" not in labels:
            raise InvalidArgument(
                "pattern",
                "must tell P, and seed if there are several, from the names of runs, as "
                "'P{P}-seed{seed}' does of 'P1000-seed3' (`--pattern`); it finds no P in "
                f"{cut(run)!r}",
                quoted(pattern.text),
            )
        told.append(labels)
        piece = piece[there].assign(**labels)
        pieces.append(piece)
        numbers.append(np.flatnonzero(there) + 1)
        places.append(np.full(len(piece), at))
    first = next(iter(runs))
    label = ", ".join(f"{key} = {value}" for key, value in told[0].items())
    note = f"a chart of wandb with {len(runs)} runs, labelled by their names: {first!r} is {label}"
    rows = Rows(
        np.concatenate(numbers).astype(np.intp),
        np.concatenate(places).astype(np.intp),
        tuple(f"run {printable(cut(run))}" for run in runs),
    )
    found = pd.concat(pieces, ignore_index=True)
    return Log(found, rows, (note, *_sampled(found)), holes=True)


def _sampled(frame: pd.DataFrame) -> tuple[str, ...]:
    """A warning where a run has exactly as many rows as wandb samples of a longer one."""
    keys = [frame[key].astype(object) for key in ("P", "seed") if key in frame]
    counts = frame.groupby(keys, dropna=False).size() if keys else pd.Series([len(frame)])
    full = int((counts == SAMPLED).sum())
    if not full:
        return ()
    return (
        f"{full} of {len(counts)} runs have exactly {SAMPLED} rows, as many as `run.history()` "
        "samples of a longer one: `run.scan_history()` gives all of them",
    )
