"""Hebb's rule: the limit lam -> 0 of the fixed-norm minimiser."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perceptron import checks
from perceptron.data import Examples
from perceptron.records import Learned, measure

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
    checks.instance("examples", examples, Examples)
    return Learned(**measure(examples, pull_of_all(examples), 0.0))  # type: ignore[arg-type]


def pull_of_all(examples: Examples) -> NDArray[np.float64]:
    """Sum_mu y x / sqrt(N), or a `ValueError` if rounding is all that is left of it."""
    pull = examples.products.combine(examples.labels.astype(np.float64))
    largest = max(float(examples.inputs.max()), -float(examples.inputs.min()))
    if not np.linalg.norm(pull) > ROUNDING * examples.P * largest:
        raise ValueError(
            f"`examples` must not cancel in Hebb's sum of y x; got {examples.P} examples "
            "whose sum is zero"
        )
    return pull
