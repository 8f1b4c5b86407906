"""A folder of runs as learning curves, for `deepnorm fit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepnorm.cli.common import library
from replica.common.terminal import BadInput, say

if TYPE_CHECKING:
    import pandas as pd

    from replica.scaling import Curves

__all__ = ["Trained", "of_runs"]

#: Columns of the curves.
KEPT = ("P", "seed", "step", "epoch", "test_error", "train_error", "loss")


@dataclass(frozen=True)
class Trained:
    """Learning curves of a sweep.

    Attributes
    ----------
    curves : Curves
    longest : DataFrame
        The records of one run of the largest P.
    convention : str
        Of the norm.
    source : str
        Where they came from, in words.
    """

    curves: Curves
    longest: pd.DataFrame
    convention: str
    source: str


def of_runs(folder: str, convention: str, where: Mapping[str, str]) -> Trained:
    """The finished runs of a folder; says on the standard error stream what is left out.

    Raises
    ------
    BadInput
        If there are none, they are of several settings, or that norm was not recorded.
    """
    from deepnorm.sweeps.files import SETTINGS, survey
    from replica.scaling import curves_from_table

    # What makes runs one set of learning curves, if they agree in it; their length may depend on P.
    one_set = ("model", "dataset", *(name for name in SETTINGS if name != "steps"))
    with library():
        found = survey(folder)
    for note in found.notes:
        say(f"Left out: {note}", err=True)
    table = found.table()
    if table.empty:
        raise BadInput(f"no run in {folder} is finished")
    table = _select(table, where, (*one_set, "P", "seed"))
    for name in one_set:
        values = sorted(table[name].unique().tolist())
        if len(values) > 1:
            listed = ", ".join(map(str, values))
            raise BadInput(
                f"the runs differ in {name}: {listed}; choose with --where {name}={values[0]}"
            )
    norm = f"log_norm_{convention}"
    if norm not in table:
        known = [str(c)[9:] for c in table if str(c).startswith("log_norm_")]
        raise BadInput(f"--norm must be one that was recorded: {', '.join(known)}")
    with library():
        curves = curves_from_table(table[[*KEPT, norm]], columns={"log_norm": norm})
    largest = table[table["P"] == table["P"].max()]
    first = largest[largest["seed"] == largest["seed"].min()]
    model, dataset = table["model"].iloc[0], table["dataset"].iloc[0]
    count = table["run"].nunique()
    source = f"{count} runs of {model} on {dataset}, norm {convention}"
    return Trained(curves, first, convention, source)


def _select(table: pd.DataFrame, where: Mapping[str, str], known: tuple[str, ...]) -> pd.DataFrame:
    """The rows in which columns have those values, compared as text."""
    for name, value in where.items():
        if name not in known:
            raise BadInput(f"--where knows {', '.join(known)}; got {name!r}")
        kept = table[table[name].map(str) == value]
        if kept.empty:
            values = ", ".join(map(str, sorted(table[name].unique().tolist())))
            raise BadInput(f"no run has {name}={value}; there are {values}")
        table = kept
    return table
