"""A table cut into folds: the moments of all rows but those of one, and these rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replica.prediction.moments import Moments, Sums
from replica.prediction.table import Table

__all__ = ["FOLDS", "Folds", "HeldOut", "split"]

Array = NDArray[np.float64]

#: A choice: moments of three quarters of the rows, and every row is held out once.
FOLDS = 4
#: Rows of a fold that weights are tried on, at most: an error of 0.1 is then known to 2%.
TRIED = 5000
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


@dataclass(frozen=True, eq=False)
class Folds:
    """A table in `FOLDS` parts.

    Attributes
    ----------
    table : Table
    fold : (n,) array
        The part of every row.
    parts : list of Sums or None
        Their sums, which add, where rows are so many that this is less work.
    """

    table: Table
    fold: NDArray[np.intp]
    parts: list[Sums] | None

    @classmethod
    def of(cls, table: Table) -> Folds:
        """Cut a table."""
        fold = split(table)
        if len(table.signs) <= 2 * table.features.shape[1]:
            return cls(table, fold, None)
        origin = table.features.mean(axis=0)
        parts = [
            Sums.of(table.features[fold == k], table.signs[fold == k], origin) for k in range(FOLDS)
        ]
        return cls(table, fold, parts)

    def moments(self) -> Moments:
        """Of all rows."""
        if self.parts is None:
            return Moments.of(self.table.features, self.table.signs)
        return self.parts[0].joined(*self.parts[1:]).moments()

    def held_out(self) -> Iterator[HeldOut]:
        """One fold after the other; folds that leave a class without two rows are passed over."""
        features, signs = self.table.features, self.table.signs
        for k in range(FOLDS):
            out = self.fold == k
            if min(np.sum(signs[~out] == sign) for sign in (-1, 1)) < 2 or not out.any():
                continue
            if self.parts is None:
                moments = Moments.of(features[~out], signs[~out])
            else:
                first, *others = self.parts[:k] + self.parts[k + 1 :]
                moments = first.joined(*others).moments()
            tried = np.flatnonzero(out)
            tried = tried[:: -(-len(tried) // TRIED)]
            yield HeldOut(moments, features[tried], signs[tried])
