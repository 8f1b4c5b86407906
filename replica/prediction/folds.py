"""A table cut into folds: the moments of all rows but those of one, and these rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replica.prediction.moments import Moments, Sums
from replica.prediction.table import Table

__all__ = ["FOLDS", "HeldOut", "held_out", "split"]

Array = NDArray[np.float64]

#: A choice: moments of three quarters of the rows, and every row is held out once.
FOLDS = 4
#: Where the fold of a row is drawn from: the same table has the same answer.
SEED = 20250


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Moments, and rows that they have not seen."""

    moments: Moments
    features: Array
    signs: Array


def split(table: Table) -> NDArray[np.intp]:
    """The fold of every row: classes spread evenly, repeated rows together."""
    fold = np.empty(len(table.signs), dtype=np.intp)
    rng = np.random.default_rng(SEED)
    for sign in (-1.0, 1.0):
        groups = np.unique(table.groups[table.signs == sign])
        place = np.empty(len(groups), dtype=np.intp)
        place[rng.permutation(len(groups))] = np.arange(len(groups)) % FOLDS
        mine = table.signs == sign
        fold[mine] = place[np.searchsorted(groups, table.groups[mine])]
    return fold


def held_out(table: Table) -> Iterator[HeldOut]:
    """One fold after the other; folds that leave a class without two rows are passed over."""
    fold = split(table)
    tall = len(table.signs) > 2 * table.features.shape[1]
    whole = Sums.of(table.features, table.signs) if tall else None
    for k in range(FOLDS):
        out = fold == k
        sizes = [np.sum(table.signs[~out] == sign) for sign in (-1, 1)]
        if min(sizes) < 2 or not out.any():
            continue
        if whole is None:
            moments = Moments.of(table.features[~out], table.signs[~out])
        else:
            part = Sums.of(table.features[out], table.signs[out], whole.origin)
            moments = whole.without(part).moments()
        yield HeldOut(moments, table.features[out], table.signs[out])
