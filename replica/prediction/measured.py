"""Logistic regression trained on parts of the table and tested on the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from threadpoolctl import threadpool_limits

from replica.prediction.table import Table

__all__ = ["Measured", "measure", "train"]

Array = NDArray[np.float64]

#: A share of the rows that must be left to test on.
LEFT = 0.2
#: Numbers in the largest matrix that is trained on, a choice: some seconds.
LARGEST = 10**7
#: Trainings of a size, up to so many numbers each; above that one.
REPEATS, SMALL = 5, 2 * 10**6
#: Of the gradient a unit of the loss, a hundredth of what changes an error.
GRADIENT = 1e-6
SEED = 20251


@dataclass(frozen=True)
class Measured:
    """(k,) arrays, nan at sizes that the table does not afford.

    Attributes
    ----------
    error : array
        Mean over the trainings.
    standard_error : array
        Of that mean, from the number of examples tested: trainings share them.
    """

    error: Array
    standard_error: Array


def train(features: Array, signs: Array, C: float) -> tuple[Array, float]:
    """Weights and intercept that minimise sum log(1 + exp(-y (w.x + b))) + |w|^2/(2 C)."""
    middle = features.mean(axis=0)  # the intercept is free: it makes the problem better posed
    x = features - middle
    scale = float(np.sqrt(np.mean(np.sum(x * x, axis=1)))) or 1.0

    def loss(v: Array) -> tuple[float, Array]:
        w, b = v[:-1], v[-1]
        margin = signs * (x @ w / scale + b)
        push = -signs * expit(-margin)
        value = np.sum(np.logaddexp(0.0, -margin)) + w @ w / (2 * C * scale**2)
        gradient = np.append(x.T @ push / scale + w / (C * scale**2), push.sum())
        return float(value) / len(x), gradient / len(x)

    # L-BFGS works on vectors, and threads of BLAS that wait for one another cost more than it does
    with threadpool_limits(1, user_api="blas"):
        found = minimize(
            loss,
            np.zeros(features.shape[1] + 1),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 2000, "gtol": GRADIENT, "ftol": 1e-13},
        )
    w = found.x[:-1] / scale
    return w, float(found.x[-1] - w @ middle)


def measure(table: Table, count: Array, C: Array) -> Measured:
    """The error at ``count`` training examples and ``C``, (k,) each."""
    rows, columns = table.features.shape
    error, standard_error = np.full((2, len(count)), np.nan)
    rng = np.random.default_rng(SEED)
    first = np.unique(table.groups)
    for i, (size, c) in enumerate(zip(count.astype(int).tolist(), C.tolist(), strict=True)):
        if not np.isfinite(c) or size > (1 - LEFT) * rows or size * columns > LARGEST:
            continue
        found = []
        for _ in range(REPEATS if size * columns <= SMALL else 1):
            # whole groups of equal rows, so that none is on both sides
            order = np.argsort(rng.permutation(rows)[np.searchsorted(first, table.groups)])
            inside, outside = order[:size], order[size:]
            outside = outside[~np.isin(table.groups[outside], table.groups[inside])]
            if len(np.unique(table.signs[inside])) < 2 or not len(outside):
                continue
            w, b = train(table.features[inside], table.signs[inside], c)
            wrong = table.signs[outside] * (table.features[outside] @ w + b) <= 0
            found.append((float(np.mean(wrong)), len(outside)))
        if found:
            mean = float(np.mean([e for e, _ in found]))
            error[i] = mean
            tested = min(rows, sum(n for _, n in found))
            spread = float(np.std([e for e, _ in found], ddof=1)) if len(found) > 1 else 0.0
            standard_error[i] = np.hypot(
                np.sqrt(mean * (1 - mean) / tested), spread / np.sqrt(len(found))
            )
    return Measured(error, standard_error)
