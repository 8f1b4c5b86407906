"""The way in for data from elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from perceptron.data.examples import Examples
from perceptron.data.tables import Table
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["examples"]


def examples(
    X: Any, y: ArrayLike, *, intercept: bool = False, scale: str | float | None = None
) -> Examples:
    r"""A table of one's own as `Examples`, for every rule of this package.

    Parameters
    ----------
    X : (P, N) array, list of lists, pandas DataFrame or sparse matrix
        Finite numbers, an example a row. Arrays of float32 stay what they are; all else becomes
        float64, and a sparse matrix a dense one.
    y : (P,) array or list
        Labels of any two values (numbers, words, booleans). In sorted order the first counts as
        -1 and the second as 1.
    intercept : bool
        Whether a threshold is learned, free and no part of the norm.
    scale : {None, "standard", "unit"} or float
        None takes the numbers as they are. "standard" subtracts each column's mean and divides by
        its standard deviation (a constant column becomes zero). "unit" divides the whole table by
        its root mean square, and a number by that: this changes the unit of norms and margins
        and nothing else, since lam, times the unit, gives the same weights.

    Returns
    -------
    data : Examples
        Without teacher and seed: ``overlap`` and ``generalization_error`` of what learns from
        them are nan. Its ``table`` keeps classes and scale, so that `Learned.predict` takes rows
        of the same table and answers in its labels.

    Raises
    ------
    InvalidArgument
        If an argument breaks its rule; it names the row and column of what is no number.
    MemoryError
        If the dense copy of a sparse matrix does not fit in this machine; before it is made.

    Examples
    --------
    >>> from perceptron import examples, minimize_at_norm
    >>> data = examples([[0.0, 1.0], [1.0, 0.5], [2.0, 2.0]], ["no", "no", "yes"], intercept=True)
    >>> learned = minimize_at_norm(data, 1.0)
    >>> learned.predict([[3.0, 3.0]]).tolist()
    ['yes']
    """
    if not isinstance(intercept, bool | np.bool_):
        raise InvalidArgument("intercept", "must be True or False", quoted(intercept))
    table, inputs, labels = Table.read(X, y, scale)
    return Examples(inputs, labels, intercept=bool(intercept), table=table)
