"""LCDB, the learning curve database: accuracies at training sizes, by splits."""

from __future__ import annotations

from typing import Any

import pandas as pd

from replica.scaling.curves.rows import Log, Rows
from replica.scaling.curves.words import said

__all__ = ["lcdb_log"]

#: Columns by which the format is known.
NEEDED = {"size_train", "score_test", "outer_seed", "inner_seed"}


def lcdb_log(frame: pd.DataFrame) -> Log | None:
    """One learner on one data set: `P`, `seed` (outer and inner), `test_accuracy`.

    Raises
    ------
    ValueError
        If there are several learners or data sets.
    """
    if not set(frame.columns) >= NEEDED:
        return None
    for name in ("openmlid", "learner"):
        if name in frame:
            values: list[Any] = sorted({str(value) for value in frame[name].tolist()})
            if len(values) > 1:
                few = ", ".join(map(said, values[:5])) + (", ..." if len(values) > 5 else "")
                raise ValueError(
                    f"the table holds {len(values)} values of {name} ({few}); choose one, as in "
                    f"where={{{name!r}: {values[0]!r}}} (`--where {name}={said(values[0])}`)"
                )
    seed = frame["outer_seed"].astype(str).str.cat(frame["inner_seed"].astype(str), sep="/")
    found = pd.DataFrame(
        {"P": frame["size_train"], "seed": seed, "test_accuracy": frame["score_test"]}
    )
    note = "a table of LCDB: each pair of outer and inner seed counts as a seed"
    return Log(found, Rows.counted(len(found)), (note,))
