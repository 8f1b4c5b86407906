"""A user's table, finite numbers in rows and labels of two values: read and refused here only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replica.common.arguments import InvalidArgument, as_double, quoted

__all__ = ["FEWEST", "Table", "read_features"]

Array = NDArray[np.float64]

#: Rows without which nothing is estimated.
FEWEST = 10
#: Rows of each class from which a variance within it can be told.
FEWEST_OF_A_CLASS = 2
#: Labels that a message lists.
LISTED = 4


@dataclass(frozen=True, eq=False)
class Table:
    """Rows with labels.

    Attributes
    ----------
    features : (n, N) array
        Float64.
    signs : (n,) array
        -1 or 1.
    classes : tuple
        The labels that stand for -1 and 1.
    constant : int
        Columns of one value, which say nothing and are left in: their variance is 0.
    groups : (n,) array
        Rows that repeat one another, label and all, have one number.
    """

    features: Array
    signs: Array
    classes: tuple[Any, Any]
    constant: int
    groups: NDArray[np.intp]

    @classmethod
    def read(cls, X: Any, y: Any) -> Table:
        """Check and convert a table.

        Raises
        ------
        InvalidArgument
            If ``X`` is no matrix of finite numbers with 10 rows or more, or no column varies; if
            ``y`` has not one label a row, or not exactly two different ones of two rows each.
        """
        features = read_features("X", X)
        if len(features) < FEWEST:
            raise InvalidArgument("X", f"must have at least {FEWEST} rows", str(len(features)))
        signs, classes = _signs(y, len(features))
        constant = int(np.sum(np.ptp(features, axis=0) == 0))
        if constant == features.shape[1]:
            raise InvalidArgument(
                "X", "must have a column that varies", f"{constant} columns of one value each"
            )
        groups = _groups(features, signs)
        different = len(np.unique(groups))
        if 2 * different <= len(features):
            raise InvalidArgument(
                "X",
                "must hold mostly different rows (repeated ones tell nothing new; drop them)",
                f"{different} different rows of {len(features)}",
            )
        return cls(features, signs, classes, constant, groups)

    @property
    def duplicates(self) -> int:
        """Rows that repeat an earlier one."""
        return len(self.groups) - len(np.unique(self.groups))

    @property
    def positive(self) -> float:
        """Share of the class that stands for 1."""
        return float(np.mean(self.signs > 0))


def read_features(name: str, X: Any) -> Array:
    """A matrix of finite float64.

    Raises
    ------
    InvalidArgument
        If it is none.
    """
    rule = "must be a table of finite numbers, one example a row"
    names = getattr(X, "columns", None)
    if hasattr(X, "toarray"):
        X = X.toarray()
    try:
        x = np.asarray(X)
    except (TypeError, ValueError, UserWarning):  # ragged
        raise InvalidArgument(name, rule, quoted(X)) from None
    if x.ndim != 2:
        raise InvalidArgument(name, rule, f"an array of shape {x.shape}")
    if x.size == 0:
        raise InvalidArgument(name, "must hold at least one number", f"shape {x.shape}")
    if x.dtype.kind not in "biufO":
        raise InvalidArgument(name, rule, f"an array of {x.dtype}")
    if x.dtype.kind == "O":
        numbers = [as_double(item) for item in x.flat]
        if None in numbers:
            at = numbers.index(None)
            raise InvalidArgument(
                name,
                "must hold numbers only",
                f"{quoted(x.flat[at])} in {_place(at, x.shape[1], names)}",
            )
        x = np.array(numbers, dtype=float).reshape(x.shape)
    result = x.astype(np.float64) + 0.0  # -0 is 0: equal rows have equal bytes
    bad = np.flatnonzero(~np.isfinite(result))
    if len(bad):
        at = int(bad[0])
        raise InvalidArgument(
            name,
            "must hold finite numbers (fill or drop what is missing first)",
            f"{result.flat[at]} in {_place(at, x.shape[1], names)}",
        )
    return result


def _groups(features: Array, signs: Array) -> NDArray[np.intp]:
    """For each row the number of the first that equals it; by bytes, which is quick."""
    first: dict[tuple[bytes, float], int] = {}
    rows = np.ascontiguousarray(features)
    return np.array(
        [
            first.setdefault((hashlib.blake2b(row, digest_size=16).digest(), sign), i)
            for i, (row, sign) in enumerate(zip(rows, signs.tolist(), strict=True))
        ],
        dtype=np.intp,
    )


def _place(at: int, columns: int, names: Any) -> str:
    row, column = divmod(at, columns)
    return f"row {row}, column {column if names is None else quoted(str(names[column]))}"


def _signs(y: Any, count: int) -> tuple[Array, tuple[Any, Any]]:
    """Labels as -1 and 1, and what they were."""
    rule = f"must be {count} labels, one for each row"
    try:
        labels = np.asarray(y)
    except (TypeError, ValueError, UserWarning):
        raise InvalidArgument("y", rule, quoted(y)) from None
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise InvalidArgument("y", rule, f"an array of shape {labels.shape}")
    missing = np.asarray(labels != labels) | np.array([label is None for label in labels])
    if missing.any():
        raise InvalidArgument(
            "y", "must not lack a label", f"none in row {int(np.flatnonzero(missing)[0])}"
        )
    try:
        classes, which, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    except TypeError:
        raise InvalidArgument("y", "must hold labels of one kind", quoted(y)) from None
    if len(classes) != 2:
        shown = ", ".join(quoted(c) for c in classes[:LISTED].tolist())
        more = ", ..." if len(classes) > LISTED else ""
        raise InvalidArgument(
            "y", "must hold exactly two different values", f"{len(classes)}: {shown}{more}"
        )
    if sizes.min() < FEWEST_OF_A_CLASS:
        rare = classes[int(np.argmin(sizes))].item() if sizes.min() else None
        raise InvalidArgument(
            "y",
            f"must hold each label at least {FEWEST_OF_A_CLASS} times",
            f"{quoted(rare)} once",
        )
    first, second = classes.tolist()
    return np.where(which == 1, 1.0, -1.0), (first, second)
