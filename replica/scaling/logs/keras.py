"""Keras: the file of `CSVLogger`, or `History.history` as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from replica.scaling.curves.rows import Log, Rows

__all__ = ["keras_history", "keras_log"]

NOTE = "a log of Keras, written at the end of each epoch: the first is counted as epoch 1"


def keras_log(frame: pd.DataFrame) -> Log | None:
    """A table with `epoch` from 0 on, `loss` and ``val_...``, and no `step`."""
    titles = [str(title) for title in frame.columns]
    metrics = any(title.startswith("val_") for title in titles)
    if "step" in titles or not {"epoch", "loss"} <= set(titles) or not metrics:
        return None
    epoch = pd.to_numeric(frame["epoch"], errors="coerce")
    if epoch.min() != 0:
        return None
    found = frame.drop(columns="loss").assign(epoch=epoch + 1)  # of the training examples
    return Log(found, Rows.counted(len(found)), (NOTE,))


def keras_history(content: Any) -> Log | None:
    """A dictionary of lists of equal length, a number for each epoch."""
    if isinstance(content, Mapping) and isinstance(content.get("history"), Mapping):
        content = content["history"]
    if not isinstance(content, Mapping) or not any(str(n).startswith("val_") for n in content):
        return None
    lists = {str(name): values for name, values in content.items() if isinstance(values, list)}
    lengths = {len(values) for values in lists.values()}
    if len(lists) < len(content) or len(lengths) != 1:
        return None
    lists.pop("loss", None)
    lists.setdefault("epoch", (np.arange(lengths.pop()) + 1).tolist())
    frame = pd.DataFrame(lists)
    return Log(frame, Rows.counted(len(frame)), (NOTE,))
