"""Hebb's rule: the limit lam -> 0 of the fixed-norm minimiser."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perceptron.data import Examples, check_examples
from perceptron.records import Learned
from replica.common.arguments import InvalidArgument

__all__ = ["hebb_rule", "pull_of_all"]

#: What rounding may leave of a sum of P terms that cancel, in units of P times the largest.
ROUNDING = 1e-15


def hebb_rule(examples: Examples) -> Learned:
    """Hebb's rule, w proportional to sum_mu y x.

    The minimiser of the logistic loss at fixed norm for lam -> 0, hence
    ``norm`` = 0 and ``train_loss`` = inf in the result.

    Parameters
    ----------
    examples : Examples

    Returns
    -------
    Learned

    Raises
    ------
    ValueError
        If the sum vanishes, so that it has no direction, or with an intercept.
    """
    check_examples(examples)
    if examples.intercept:
        raise InvalidArgument(
            "examples",
            "must have no intercept: at norm zero it is infinite unless the labels balance "
            "(`minimize_at_norm` at a small norm has one)",
            "intercept=True",
        )
    return Learned(examples, pull_of_all(examples), 0.0)


def pull_of_all(examples: Examples) -> NDArray[np.float64]:
    """Sum_mu y x/sqrt(N) in units of the largest input.

    With an intercept y - mean(y) stands for y: the difference of the means of the two classes.
    A `ValueError` if rounding is all that is left.
    """
    labels = examples.labels.astype(np.float64)
    pull = examples.products.combine(labels - labels.mean() if examples.intercept else labels)
    unit = pull / (examples.largest or 1.0)  # whose square is a number in any unit
    if not np.linalg.norm(unit) > ROUNDING * examples.P:
        raise InvalidArgument(
            "examples",
            "must not cancel in Hebb's sum of y x",
            f"{examples.P} examples whose sum is zero",
        )
    return unit
