"""Hebb's rule: the limit lam -> 0 of the fixed-norm minimiser."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perceptron.data import Examples, check_examples
from perceptron.records import Learned
from replica.common.arguments import InvalidArgument

__all__ = ["hebb_rule", "pull_of", "pull_of_all"]

Array = NDArray[np.float64]

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


def pull_of_all(examples: Examples) -> Array:
    """Sum_mu y x/sqrt(N) in units of the largest input.

    With an intercept y - mean(y) stands for y: the difference of the means of the two classes.
    A `ValueError` if rounding is all that is left.
    """
    labels = examples.labels.astype(np.float64)
    pull = pull_of(examples, labels - labels.mean() if examples.intercept else labels)
    return pull / (examples.largest or 1.0)  # whose square is a number in any unit


def pull_of(examples: Examples, coefficients: Array, way_out: str = "") -> Array:
    """Sum_mu coefficient_mu x/sqrt(N), or a `ValueError` if rounding is all that is left of it."""
    pull = examples.products.combine(coefficients)
    if not np.linalg.norm(pull / (examples.largest or 1.0)) > ROUNDING * examples.P:
        raise InvalidArgument(
            "examples",
            f"must not cancel in Hebb's sum of y x{way_out}",
            f"{examples.P} examples whose sum is zero",
        )
    return pull
