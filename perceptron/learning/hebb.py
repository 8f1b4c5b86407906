"""Hebb's rule: the limit lam -> 0 of the fixed-norm minimiser."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perceptron.data import Examples, check_examples
from perceptron.records import Learned, measure
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
        If the sum vanishes, so that it has no direction.
    """
    check_examples(examples)
    return Learned(**measure(examples, pull_of_all(examples), 0.0))  # type: ignore[arg-type]


def pull_of_all(examples: Examples) -> NDArray[np.float64]:
    """Sum_mu y x / sqrt(N), or a `ValueError` if rounding is all that is left of it."""
    pull = examples.products.combine(examples.labels.astype(np.float64))
    largest = max(float(examples.inputs.max()), -float(examples.inputs.min()))
    if not np.linalg.norm(pull) > ROUNDING * examples.P * largest:
        raise InvalidArgument(
            "examples",
            "must not cancel in Hebb's sum of y x",
            f"{examples.P} examples whose sum is zero",
        )
    return pull
