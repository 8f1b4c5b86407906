"""Hebb's rule: the limit lam -> 0 of the fixed-norm minimiser."""

from __future__ import annotations

import numpy as np

from perceptron.data import Examples
from perceptron.records import Learned, measure

__all__ = ["hebb_rule"]


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
    pull = examples.products.combine(examples.labels.astype(np.float64))
    if not np.linalg.norm(pull) > 0:
        raise ValueError(
            f"`examples` must not cancel in Hebb's sum of y x; got {examples.P} examples "
            "whose sum is zero"
        )
    return Learned(**measure(examples, pull, 0.0))  # type: ignore[arg-type]
