"""Lightning's `CSVLogger`: ``metrics.csv``, each quantity on rows of its own."""

from __future__ import annotations

import pandas as pd

from replica.scaling.curves.cells import missing
from replica.scaling.curves.rows import Log, Rows

__all__ = ["lightning_log"]


def lightning_log(frame: pd.DataFrame) -> Log | None:
    """A table with `step`, perhaps `epoch`, no `P`, and holes."""
    titles = set(frame.columns)
    if "step" not in titles or "P" in titles or len(titles) < 3:
        return None
    # Only columns that were no numbers throughout are still text.
    text = [column for _, column in frame.items() if column.dtype == object]
    if not any(missing(cell) for column in text for cell in column):
        return None
    note = "a log with holes, as Lightning's: rows without the error are none of its records"
    return Log(frame, Rows.counted(len(frame)), (note,), holes=True)
