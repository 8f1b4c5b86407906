"""Sweeps of our own, kept as tables: the records of every run, with the command that made them.

A sweep of real images takes an hour on two cores, so that its records are part of the project;
`python -m validation keep FOLDER` makes the table of a folder that `deepnorm sweep` has filled.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from replica.common.files import replace_file
from replica.scaling import Analysis, Curves, analyse, curves_from_table

__all__ = ["CONVENTIONS", "Evidence", "analyses", "keep", "load"]

#: Norms that were recorded, as panels are titled.
CONVENTIONS = {
    "eq2": "eq. (2)",
    "bartlett": "eq. (2) with sums",
    "cnn-paper": "the authors' code",
}
#: Columns that are kept of every run, and those that one run keeps besides.
KEPT = ("P", "seed", "step", "epoch", "test_error", "train_error", "test_loss", "train_loss")
MARGINS = "train_margin_"
#: What is written about the sweep beside its table.
NAME = "mnist"


@dataclass(frozen=True)
class Evidence:
    """A sweep.

    Attributes
    ----------
    table : DataFrame
        A row for each record: P, seed, step, epoch, errors, losses, ``log_norm_<convention>``.
    margins : DataFrame
        The records of one run of the largest P, with its margins.
    about : mapping
        `command`, `model`, `dataset`, `runs`, `seconds` (training time of all runs together),
        `device`, `versions`, `data_digest`.
    """

    table: pd.DataFrame
    margins: pd.DataFrame
    about: Mapping[str, Any]

    def curves(self, convention: str) -> Curves:
        """Test error against that norm."""
        norm = f"log_norm_{convention}"
        return curves_from_table(self.table[[*KEPT[:6], norm]], columns={"log_norm": norm})


def _place(suffix: str) -> Path:
    return Path(str(resources.files(__name__).joinpath(NAME + suffix)))


@cache
def load() -> Evidence:
    """The sweep of MNIST."""
    return Evidence(
        table=pd.read_csv(_place(".csv.gz")),
        margins=pd.read_csv(_place("-margins.csv.gz")),
        about=json.loads(_place(".json").read_text(encoding="utf-8")),
    )


@cache
def analyses() -> dict[str, Analysis]:
    """Its analysis by rule under every convention, by title."""
    found = load()
    return {title: analyse(found.curves(name)) for name, title in CONVENTIONS.items()}


def keep(folder: Path, command: str) -> None:
    """Make the tables from a folder of runs.

    Raises
    ------
    ValueError
        If runs are missing, damaged or diverged, or of several settings.
    """
    from deepnorm.sweeps import survey

    found = survey(folder)
    if found.notes:
        raise ValueError(f"`folder` must hold whole, finished runs only; {'; '.join(found.notes)}")
    runs = [result.run for result in found.results]
    settings = {json.dumps({**run.as_dict(), "P": 0, "seed": 0}) for run in runs}
    if len(settings) != 1:
        raise ValueError(f"`folder` must hold runs of one kind; got {len(settings)}")
    table = found.table()
    norms = [f"log_norm_{name}" for name in runs[0].conventions]
    longest = table[(table["P"] == table["P"].max()) & (table["seed"] == table["seed"].min())]
    margins = [name for name in table if str(name).startswith(MARGINS)]
    identity = ["model", "dataset", "P", "seed", "step", "epoch", "train_error", "test_error"]
    _write(table[[*KEPT, *norms]], ".csv.gz")
    _write(longest[[*identity, *norms, *margins]], "-margins.csv.gz")
    environment = dict(found.results[0].environment)
    about = {
        "command": command,
        "model": runs[0].model,
        "dataset": runs[0].dataset,
        "runs": len(runs),
        "settings": json.loads(settings.pop()),
        "seconds": round(sum(result.seconds[-1] for result in found.results)),
        "device": environment["device"],
        "versions": {name: environment[name] for name in ("python", "torch", "numpy")},
        "data_digest": found.results[0].data_digest,
    }
    text = json.dumps(about, indent=2) + "\n"
    replace_file(_place(".json"), text)


def _write(table: pd.DataFrame, suffix: str) -> None:
    """The same bytes for the same table; seven digits are far below the noise."""
    content = io.BytesIO()
    table.to_csv(
        content,
        index=False,
        float_format="%.7g",
        compression={"method": "gzip", "mtime": 0},
        mode="wb",
    )
    replace_file(_place(suffix), content.getvalue())
