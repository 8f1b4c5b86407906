"""transformers' ``trainer_state.json``: what a Trainer logged, entry by entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from replica.scaling.curves.rows import Log, Rows

__all__ = ["trainer_state_log"]

#: Of an entry of training; the quantity of a curve is that of evaluations.
TRAINING = "loss"


def trainer_state_log(content: Any) -> Log | None:
    """A row for each entry of `log_history`; the training loss is left out."""
    if not isinstance(content, Mapping) or not isinstance(content.get("log_history"), list):
        return None
    entries = [entry for entry in content["log_history"] if isinstance(entry, Mapping)]
    plain = [
        {str(k): v for k, v in entry.items() if k != TRAINING and isinstance(v, int | float | str)}
        for entry in entries
    ]
    frame = pd.DataFrame(plain)
    note = "a log of transformers: rows without the error are none of its records"
    return Log(frame, Rows.counted(len(frame)), (note,), holes=True)
