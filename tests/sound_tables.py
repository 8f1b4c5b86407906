"""Sound tables of learning curves, to put one thing wrong in; and what is said of it, exactly."""

import re

import numpy as np
import pandas as pd
from pandas.testing import assert_frame_equal

#: The way out of a gap.
GAP = "; fill the gap, or have such rows left out by `drop_missing=True` (`--drop-missing`)"


def frame(P=(1000, 2000, 4000), seeds=(0, 1), records=6, *, clock="step"):
    """A sound table: ln(norm) grows by 0.5 in every record, the error falls with it."""
    rows = []
    for p in P:
        for seed in seeds:
            for record in range(records):
                log_norm = 1 + 0.5 * record + 0.01 * (seed or 0)
                rows.append((p, seed, 10 * record, np.exp(log_norm), 0.8 * np.exp(-0.2 * log_norm)))
    table = pd.DataFrame(rows, columns=["P", "seed", clock or "step", "norm", "test_error"])
    if clock is None:
        table = table.drop(columns="step")
    return table if seeds != (None,) else table.drop(columns="seed")


def plain(**kwargs):
    """A sound table without seeds or steps, as the published ones are."""
    return frame(seeds=(None,), clock=None, **kwargs)


def put(table, column, row, value):
    """The table with another value in a row, counted from 1, as messages count."""
    cells = table[column].tolist()
    cells[row - 1] = value
    plain = all(type(cell) is float or (type(cell) is int and cell < 2**63) for cell in cells)
    return table.assign(**{column: pd.Series(cells, dtype=None if plain else object)})


def exactly(sentence):
    """A pattern for the whole of a message."""
    return f"^{re.escape(sentence)}$"


def same(left, right):
    assert_frame_equal(left.table, right.table, check_exact=True)
    assert left.averaged == right.averaged
    assert left.notes == right.notes
