"""What is minimised: a sum of losses over the examples, and weight decay, at free norm."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from perceptron.data import Examples
from perceptron.learning.hebb import pull_of
from perceptron.losses import Logistic, Loss
from replica.common.interruption import Interrupted

__all__ = ["Objective", "Point", "length"]

Array = NDArray[np.float64]


class Objective:
    r"""F(w) = sum_mu V(Delta_mu) + weight_decay \|w\|^2/2, Delta = y (w.x/sqrt(N) + b).

    The parameters are w, (N,), and where ``examples.intercept`` is set one more: the weight
    sqrt(N) b of a constant input, which is moved like the others (its curvature is then of their
    size), and is no part of the norm and of the decay.

    Parameters
    ----------
    examples : Examples
    loss : Loss
    weight_decay : float
    single : bool
        Gradients in single precision; the result is float64.

    Attributes
    ----------
    asked_to_stop : callable
        Looked at before each gradient, which raises `Interrupted` if it says so: a step may
        take a thousand of these.
    """

    def __init__(
        self,
        examples: Examples,
        loss: Loss,
        weight_decay: float = 0.0,
        *,
        single: bool = False,
    ):
        self.examples, self.loss, self.weight_decay = examples, loss, weight_decay
        self.single = single
        self.asked_to_stop: Callable[[], bool] = lambda: False
        self.root = math.sqrt(examples.N)
        self.size = examples.N + int(examples.intercept)
        #: Whether the compiled gradient of the logistic loss will do.
        self.plain = type(loss) is Logistic and not examples.intercept

    def at(self, v: Array) -> Point:
        """The objective at one point; v: (size,)."""
        return Point(self, v)

    def fields(self, v: Array) -> Array:
        """w.x/sqrt(N) + b, (P,), in double precision."""
        return self.examples.products.fields(v[: self.examples.N]) + self.offset(v)

    def offset(self, v: Array) -> float:
        """B, the intercept: zero without one."""
        return float(v[-1]) / self.root if self.examples.intercept else 0.0

    def gradient(self, v: Array) -> tuple[Array, Array]:
        """Fields and dF/dv."""
        if self.asked_to_stop():
            raise Interrupted
        products, w = self.examples.products, v[: self.examples.N]
        if self.plain:
            assert isinstance(self.loss, Logistic)
            fields, g = products.gradient(w, self.loss.lam, single=self.single)
        else:
            fields, coefficients, g = products.pull(
                w, self.loss.slope, self.offset(v), single=self.single
            )
            g = self._extended(g, coefficients)
        return fields, self._decayed(g, w)

    def gradient_of(self, rows: NDArray[np.int64], v: Array) -> Array:
        """dF/dv as some of the examples estimate it."""
        if self.asked_to_stop():
            raise Interrupted
        w = v[: self.examples.N]
        coefficients, g = self.examples.products.pull_of(
            rows, w, self.loss.slope, self.offset(v), single=self.single
        )
        g = self._extended(g, coefficients) * (self.examples.P / len(rows))
        return self._decayed(g, w)

    def weighted(self, v: Array, weights: Array) -> Array:
        """Sum_mu weight_mu x x.v/N, the second derivative but for the decay, times v."""
        products = self.examples.products
        if not self.examples.intercept:
            return products.weighted(v, weights, single=True)
        c = weights * self.fields(v)
        return self._extended(products.combine(c), c)

    def pull(self) -> Array:
        """Sum_mu y x/sqrt(N), the direction in which a step from zero goes.

        Raises
        ------
        InvalidArgument
            If rounding is all that is left of it.
        """
        labels = self.examples.labels.astype(np.float64)
        pull = pull_of(self.examples, labels, " (else give a `start`)")
        return self._extended(pull, labels)

    def _extended(self, g: Array, coefficients: Array) -> Array:
        """With the component of the constant input."""
        if not self.examples.intercept:
            return g
        return np.append(g, np.sum(coefficients) / self.root)

    def _decayed(self, g: Array, w: Array) -> Array:
        if self.weight_decay:
            g[: self.examples.N] += self.weight_decay * w
        return g


class Point:
    """The objective at one point, each part computed when it is asked for, and once.

    Attributes
    ----------
    v : (size,) array
        Never changed in place.
    """

    def __init__(self, objective: Objective, v: Array):
        self.objective, self.v = objective, v

    @property
    def w(self) -> Array:
        """The weights, without the constant's."""
        return self.v[: self.objective.examples.N]

    @cached_property
    def fields(self) -> Array:
        """w.x/sqrt(N) + b, (P,), in double precision."""
        return self.objective.fields(self.v)

    @cached_property
    def gradient(self) -> Array:
        """dF/dv."""
        fields, g = self.objective.gradient(self.v)
        if not self.objective.single:
            self.__dict__["fields"] = fields
        return g

    @property
    def intercept(self) -> float:
        """b, in units of the field."""
        return self.objective.offset(self.v)

    @property
    def margins(self) -> Array:
        """Delta, (P,)."""
        return self.objective.examples.labels * self.fields

    @property
    def norm(self) -> float:
        """Lam."""
        return length(self.w) / self.objective.root

    @property
    def loss(self) -> float:
        """Mean of V(Delta)."""
        return float(np.mean(self.objective.loss.value(self.margins)))

    @property
    def value(self) -> float:
        """F/P, what a descent lowers."""
        decay = self.objective.weight_decay
        if not decay:
            return self.loss
        return self.loss + decay * float(self.w @ self.w) / (2 * self.objective.examples.P)


def length(v: Array) -> float:
    """Euclidean."""
    return float(np.linalg.norm(v))
