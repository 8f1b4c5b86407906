"""Tables of one's own: numbers as people have them, and labels of any two values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["Table"]

Array = NDArray[np.float64]
Numbers = NDArray[np.float64] | NDArray[np.float32]
Signs = NDArray[np.int8]

#: Rows that are looked at together, so that no mask of the whole table is made.
BLOCK = 4096
#: Labels that a message lists.
LISTED = 4


@dataclass(frozen=True, eq=False)
class Table:
    """How rows of a table become inputs, and its labels -1 and 1.

    Attributes
    ----------
    classes : (2,) array
        The labels that stand for -1 and 1, in their order.
    columns : int
        N.
    centre : (N,) array or None
        Subtracted from each row.
    unit : (N,) array or None
        Each row is then divided by it.
    names : tuple of str or None
        Of the columns, where they have any.
    """

    classes: NDArray[Any]
    columns: int
    centre: Array | None = None
    unit: Array | None = None
    names: tuple[str, ...] | None = None

    @classmethod
    def read(cls, X: Any, y: Any, scale: str | float | None) -> tuple[Table, Numbers, Signs]:
        """The table, its inputs and its labels as -1 and 1; see `perceptron.examples`."""
        x = _matrix("X", X)
        labels = _labels("y", y, len(x))
        try:
            classes = np.unique(labels)
        except TypeError:
            raise InvalidArgument("y", "must hold labels of one kind", quoted(y)) from None
        if len(classes) != 2:
            raise InvalidArgument(
                "y",
                "must hold exactly two different values",
                f"{len(classes)}: {_listed(classes)}",
            )
        table = cls(classes, x.shape[1], *_scale(x, scale), _names(X))
        return table, table.inputs(x), table.signs(labels, len(x))

    def inputs(self, X: Any, name: str = "X") -> Numbers:
        """Rows of the same table as inputs, (Q, N).

        Raises
        ------
        InvalidArgument
            If they are no numbers, not finite, or not as many a row.
        """
        x = _matrix(name, X)
        if x.shape[1] != self.columns:
            raise InvalidArgument(name, f"must have {self.columns} columns", str(x.shape[1]))
        if self.centre is None and self.unit is None:
            return x
        x = x.astype(np.float64)
        if self.centre is not None:
            x -= self.centre
        if self.unit is not None:
            x /= self.unit
        return x

    def signs(self, y: Any, count: int, name: str = "y") -> NDArray[np.int8]:
        """Labels as -1 and 1.

        Raises
        ------
        InvalidArgument
            If one is neither of the two classes, or there are not ``count`` of them.
        """
        labels = _labels(name, y, count)
        signs = np.zeros(count, dtype=np.int8)
        signs[labels == self.classes[0]] = -1
        signs[labels == self.classes[1]] = 1
        if not np.all(signs):
            other = labels[signs == 0][0]
            raise InvalidArgument(
                name, f"must hold {_listed(self.classes)} only", quoted(_plain(other))
            )
        return signs

    def labels(self, signs: NDArray[Any]) -> NDArray[Any]:
        """Of -1 and 1 the labels that they stand for."""
        return np.asarray(self.classes[(np.asarray(signs) > 0).astype(int)])


def _matrix(name: str, X: Any) -> Numbers:
    """Numbers in rows: float32 where they are, else float64."""
    rule = "must be a table of finite numbers, one example a row"
    if hasattr(X, "toarray"):  # sparse, of scipy or another library
        size = float(np.prod(X.shape, dtype=float)) * 8
        arguments.check_memory(f"`{name}` must leave room in memory", "its dense copy takes", size)
        X = X.toarray()
    if isinstance(X, np.ma.MaskedArray | str | bytes | bytearray):
        raise InvalidArgument(name, rule, quoted(X))
    try:
        x = np.asarray(X)
    except (TypeError, ValueError, UserWarning):  # ragged
        raise InvalidArgument(name, rule, quoted(X)) from None
    if x.ndim != 2:
        hint = " (a single column is X[:, None])" if x.ndim == 1 else ""
        raise InvalidArgument(name, rule, f"an array of shape {x.shape}{hint}")
    if x.size == 0:
        raise InvalidArgument(name, "must hold at least one number", f"shape {x.shape}")
    if x.dtype.kind == "O":
        x = _from_objects(name, x, _names(X))
    if x.dtype.kind not in "biuf":
        raise InvalidArgument(name, rule, f"an array of {x.dtype}")
    if x.dtype.itemsize <= 4 and x.dtype.kind == "f":
        x = x.astype(np.float32, copy=False)
    else:
        with np.errstate(over="ignore"):  # of wider floats; inf is refused below
            x = x.astype(np.float64, copy=False)
    _check_finite(name, x, _names(X))
    return x


def _from_objects(name: str, x: NDArray[Any], names: tuple[str, ...] | None) -> Array:
    """Of a table whose columns differ in kind; whatever is no number is named."""
    out = np.empty(x.shape)
    for (i, j), item in np.ndenumerate(x):
        value = arguments.as_double(item)
        if value is None:
            raise InvalidArgument(
                name, "must hold numbers only", f"{quoted(item)} in {_place(i, j, names)}"
            )
        out[i, j] = value
    return out


def _check_finite(name: str, x: Numbers, names: tuple[str, ...] | None) -> None:
    for low in range(0, len(x), BLOCK):
        bad = ~np.isfinite(x[low : low + BLOCK])
        if bad.any():
            i, j = np.argwhere(bad)[0]
            raise InvalidArgument(
                name,
                "must hold finite numbers (fill or drop what is missing first)",
                f"{x[low + i, j]} in {_place(low + i, j, names)}",
            )


def _place(i: int, j: int, names: tuple[str, ...] | None) -> str:
    return f"row {i}, column {quoted(names[j]) if names else j}"


def _names(X: Any) -> tuple[str, ...] | None:
    """Names of the columns of a data frame."""
    columns = getattr(X, "columns", None)
    return None if columns is None else tuple(str(column) for column in columns)


def _labels(name: str, y: Any, count: int) -> NDArray[Any]:
    """One label a row, none of them missing."""
    rule = f"must be {count} labels, one for each row"
    if isinstance(y, np.ma.MaskedArray | str | bytes | bytearray):
        raise InvalidArgument(name, rule, quoted(y))
    try:
        labels = np.asarray(y)
    except (TypeError, ValueError, UserWarning):
        raise InvalidArgument(name, rule, quoted(y)) from None
    if labels.ndim == 2 and labels.shape[1] == 1:  # a frame of one column
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise InvalidArgument(name, rule, f"an array of shape {labels.shape}")
    missing = labels != labels  # nan, whatever it is inside
    if labels.dtype.kind == "O":
        missing = missing | np.array([label is None for label in labels])
    if np.any(missing):
        raise InvalidArgument(
            name, "must not lack a label", f"none in row {int(np.flatnonzero(missing)[0])}"
        )
    return labels


def _scale(x: Numbers, scale: str | float | None) -> tuple[Array | None, Array | None]:
    """What is subtracted from each row, and what it is divided by."""
    if scale is None:
        return None, None
    columns = x.shape[1]
    if isinstance(scale, str):
        kind = arguments.word("scale", scale, ("standard", "unit"))
        largest = np.abs(x).max(axis=0).astype(np.float64)  # whose squares may overflow
        if kind == "unit":
            whole = float(largest.max())
            if whole == 0:
                raise InvalidArgument("X", "must not be zero throughout to have a unit", "zeros")
            square = sum(
                float(np.sum((x[low : low + BLOCK] / whole) ** 2, dtype=np.float64))
                for low in range(0, len(x), BLOCK)
            )
            return None, np.full(columns, whole * np.sqrt(square / x.size))
        safe = np.where(largest > 0, largest, 1.0)
        centre = np.mean(x / safe, axis=0, dtype=np.float64)
        spread = np.std(x / safe, axis=0, dtype=np.float64)
        # what rounding leaves of the deviation of a constant column
        constant = spread <= 4 * np.finfo(x.dtype).eps * np.abs(centre)
        return centre * safe, np.where(constant, np.inf, spread * safe)
    return None, np.full(columns, arguments.number("scale", scale, arguments.POSITIVE))


def _plain(value: Any) -> Any:
    """A numpy scalar as Python's own, for a message."""
    return value.item() if isinstance(value, np.generic) else value


def _listed(values: NDArray[Any]) -> str:
    """A few values in words."""
    shown = ", ".join(quoted(_plain(value)) for value in values[:LISTED])
    return shown + (", ..." if len(values) > LISTED else "")
