"""How steeply the sum of the losses curves, which says how long a step may be."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from perceptron.data import Examples, check_examples
from perceptron.losses import Logistic, Loss
from perceptron.training.objective import Objective, length
from replica.common.arguments import InvalidArgument

__all__ = ["CAUTION", "careful_rate", "lanczos", "largest_curvature", "largest_row", "round_down"]

Array = NDArray[np.float64]

#: Default learning rate in units of 1/(largest curvature). A choice: at one norm, the error
#: then leaves that of the flow by at most 0.5, 1.2, 2% at alpha = 1, 5, 20, and the path
#: starts at lam = 0.03 to 0.06.
CAUTION = 0.1
#: So many Lanczos steps from a random direction come within 10% of the largest eigenvalue.
STEPS = 20
#: Inputs that are looked at together, which bounds the memory.
BLOCK = 10**6


def largest_curvature(examples: Examples) -> float:
    """Largest eigenvalue of X^T X/N, from above.

    Gradient descent on the sum of the losses is stable from any start if the
    learning rate is below 2 over this, times the largest V'', which is 1 for the
    default loss. About (1 + sqrt(alpha))^2 for independent inputs. Where the
    examples have an intercept, X has a column of ones for it.
    """
    check_examples(examples)
    value, error, _ = lanczos(Objective(examples, Logistic()), np.ones(examples.P), None, STEPS)
    return value + error


def careful_rate(loss: Loss, curvature: float, weight_decay: float = 0.0) -> float:
    """A tenth of 1/(largest curvature of the objective), two digits of it.

    ``curvature`` is that of the sum of the losses where V'' = 1.

    Raises
    ------
    InvalidArgument
        If the second derivative of the loss has no bound, or is zero.
    """
    steepest = loss.steepest * curvature + weight_decay
    if not 0 < steepest < math.inf:
        raise InvalidArgument(
            "learning_rate",
            f"must be given for {loss!r}, whose second derivative has no positive bound",
            "None",
        )
    return round_down(CAUTION / steepest)


def largest_row(examples: Examples, q: float) -> float:
    r"""Largest (mean_j \|x_j\|^q)^(1/q) of an example; with an intercept a 1 is among its x_j."""
    found = 0.0
    for first in range(0, examples.P, rows := max(1, BLOCK // examples.N)):
        x = np.abs(examples.inputs[first : first + rows].astype(np.float64))
        if examples.intercept:
            x = np.column_stack([x, np.ones(len(x))])
        top = np.maximum(x.max(axis=1), 1e-300)
        if q < math.inf:
            top = top * np.mean((x / top[:, None]) ** q, axis=1) ** (1 / q)
        found = max(found, float(top.max()))
    return found


def round_down(value: float) -> float:
    """To two digits, so that the last bits of an eigenvalue do not matter."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.floor(value / unit) * unit:.1e}")


def lanczos(
    objective: Objective, weights: Array, first: Array | None, steps: int
) -> tuple[float, float, Array]:
    """Largest eigenvalue of X^T diag(weights) X/N, its error bound, and the eigenvector.

    weights: (P,), not negative. Our own, since a flow asks at every step, with the last
    eigenvector as ``first``: two products with a bound are enough, where ``eigsh`` of scipy, which
    gives none, takes twenty.
    """
    n = objective.size
    steps = min(steps, n)
    unit = float(np.max(weights))  # late weights are too small for single precision
    v = np.random.default_rng(0).standard_normal(n) if first is None else first
    if unit == 0:  # the loss is straight here
        return 0.0, 0.0, v / length(v)
    basis, diagonal, beside = [v / length(v)], [], []
    for _ in range(steps):
        u = objective.weighted(basis[-1], weights / unit)
        diagonal.append(float(u @ basis[-1]))
        for b in basis:  # against all: rounding would let them turn back
            u -= (u @ b) * b
        beside.append(length(u))
        if beside[-1] <= 1e-6 * max(diagonal):  # rounding of the products
            break
        basis.append(u / beside[-1])
    size = len(diagonal)
    off = beside[: size - 1]
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    top = vectors[:, -1]
    vector = np.sum([c * b for c, b in zip(top, basis, strict=False)], axis=0)
    return unit * float(values[-1]), unit * float(beside[-1] * abs(top[-1])), vector
