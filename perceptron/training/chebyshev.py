"""Stabilised Runge-Kutta-Chebyshev steps: long steps through a stiff flow, by gradients alone.

Of second order; B. Sommeijer, L. Shampine and J. Verwer, J. Comput. Appl. Math. 88, 315 (1998).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from perceptron.training.objective import Point

__all__ = ["chebyshev", "longest"]

Array = NDArray[np.float64]

#: Damping of the steps, the choice of the article.
DAMPING = 2 / 13


def longest(stages: int, steepest: float) -> float:
    """Longest stable step of so many stages, with a margin for the damping."""
    return (stages * stages - 1) / (1.54 * steepest) if steepest else math.inf


def chebyshev(point: Point, h: float, steepest: float) -> Point:
    """One step of dv/dt = -g, stable up to the curvature ``steepest``.

    T_j below is the Chebyshev polynomial, dT and ddT its derivatives, at w0 just
    above 1; names as in the article.
    """
    at, w, g = point.objective.at, point.v, point.gradient
    s = max(2, math.ceil(math.sqrt(1 + 1.54 * h * steepest)))
    w0 = 1 + DAMPING / s**2
    T, dT, ddT = [1.0, w0], [0.0, 1.0], [0.0, 0.0]
    for j in range(2, s + 1):
        T.append(2 * w0 * T[j - 1] - T[j - 2])
        dT.append(2 * w0 * dT[j - 1] - dT[j - 2] + 2 * T[j - 1])
        ddT.append(2 * w0 * ddT[j - 1] - ddT[j - 2] + 4 * dT[j - 1])
    w1 = dT[s] / ddT[s]
    b = [ddT[2] / dT[2] ** 2] * 2 + [ddT[j] / dT[j] ** 2 for j in range(2, s + 1)]
    before, y = w, w - b[1] * w1 * h * g
    for j in range(2, s + 1):
        mu, nu = 2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2]
        reach = 2 * b[j] * w1 / b[j - 1] * h
        a = 1 - b[j - 1] * T[j - 1]
        slope = at(y).gradient
        before, y = y, (1 - mu - nu) * w + mu * y + nu * before - reach * (slope - a * g)
    return at(y)
