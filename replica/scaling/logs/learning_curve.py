"""scikit-learn's `learning_curve`: scores at training sizes, a column a fold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from replica.common import arguments
from replica.common.arguments import InvalidArgument
from replica.scaling.curves.rows import Log, Rows

__all__ = ["learning_curve_log", "learning_curve_table"]


def learning_curve_table(train_sizes: ArrayLike, test_scores: ArrayLike) -> pd.DataFrame:
    """What ``sklearn.model_selection.learning_curve`` returns, as a table of single records.

    Parameters
    ----------
    train_sizes : (m,) array
        Numbers of training examples.
    test_scores : (m, folds) array
        Accuracies, in [0, 1]; of another score take the error yourself.

    Returns
    -------
    DataFrame
        `P`, `seed` (the fold) and `test_accuracy`, a row for each; `curves_from_table` takes it.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a score is no accuracy.
    """
    sizes = arguments.numbers("train_sizes", train_sizes)
    scores = arguments.numbers("test_scores", test_scores)
    if sizes.ndim != 1 or scores.ndim != 2 or len(scores) != len(sizes):
        raise InvalidArgument(
            "test_scores",
            "must have a row for each of `train_sizes` and a column for each fold",
            f"shapes {scores.shape} and {sizes.shape}",
        )
    if not bool(((scores >= 0) & (scores <= 1)).all()):
        raise InvalidArgument(
            "test_scores",
            "must be accuracies in [0, 1] (`scoring='accuracy'`); of other scores make a table "
            "with `P`, `seed` and `test_error`",
            f"numbers from {scores.min():g} to {scores.max():g}",
        )
    folds = scores.shape[1]
    return pd.DataFrame(
        {
            "P": np.repeat(sizes, folds),
            "seed": np.tile(np.arange(folds), len(sizes)),
            "test_accuracy": scores.ravel(),
        }
    )


def learning_curve_log(content: Any) -> Log | None:
    """The same of a file: an object with `train_sizes` and `test_scores`."""
    if not isinstance(content, Mapping) or not {"train_sizes", "test_scores"} <= content.keys():
        return None
    frame = learning_curve_table(content["train_sizes"], content["test_scores"])
    note = "scikit-learn's learning curve: each fold counts as a seed"
    return Log(frame, Rows.counted(len(frame)), (note,))
