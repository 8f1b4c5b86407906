"""TensorBoard's CSV: one run and one tag a file, in its name."""

from __future__ import annotations

import re

import pandas as pd

from replica.scaling.curves.rows import Log, Rows

__all__ = ["tensorboard_log"]

TITLES = ["wall time", "step", "value"]
#: The name that the button "download" gives: ``run-NAME-tag-TAG.csv``.
NAME = re.compile(r"(?:run-.*?-)?tag-(?P<tag>.+)")


def tensorboard_log(frame: pd.DataFrame, stem: str, tag: str | None) -> Log | None:
    """`step`, and a column named by the tag: of the pattern, of the file's name, or the name."""
    if [str(title).lower() for title in frame.columns] != TITLES:
        return None
    if tag is None:
        known = NAME.fullmatch(stem)
        tag = known["tag"] if known else stem
    found = pd.DataFrame({"step": frame.iloc[:, 1], tag: frame.iloc[:, 2]})
    note = "a scalar of TensorBoard: the tag names the column"
    return Log(found, Rows.counted(len(found)), (note,), holes=True)
