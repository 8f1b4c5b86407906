"""The p-norms of weights, in which a weight of 1 each has the norm 1."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["conjugate", "power_mean"]

Array = NDArray[np.float64]


def conjugate(p: float) -> float:
    """The q of 1/p + 1/q = 1."""
    return 1.0 if p == math.inf else math.inf if p == 1.0 else p / (p - 1)


def power_mean(w: Array, p: float) -> float:
    r"""\|w\|_p/N^(1/p), whatever the size of the weights; max \|w_j\| at p = inf."""
    largest = float(np.max(np.abs(w)))
    if largest == 0.0 or p == math.inf:
        return largest
    return largest * float(np.mean((np.abs(w) / largest) ** p)) ** (1 / p)
