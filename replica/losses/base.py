r"""What a loss V(Delta) of the margin knows: its formula, its push, its nodes, its limits.

A built-in loss belongs to one of two families with a kernel each, `replica.losses.edge`
(V' = -1/(floor + e^y)) and `replica.losses.piecewise` (u(t) linear between kinks), and only
gives numbers to it. Any other subclass is integrated by the panels of
`replica.losses.adaptive`, from V' and V'' alone.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica import ranges
from replica.common.arguments import Range
from replica.losses import adaptive
from replica.quadrature import Breaks, Nodes, Rule

__all__ = ["Loss"]

Array = NDArray[np.float64]

#: s V''/|V'| where a path begins; a choice: its first point is Hebb's to a few percent.
GENTLE = 0.05


@dataclass(frozen=True)
class Force:
    """Where -V' changes, for integrals over the field that follow it; (n,) arrays.

    Attributes
    ----------
    unit : array
        Smallest scale on which V' changes.
    tilt : array
        Steepest fall of log(-V').
    bends : list of (array, float)
        Where V' has a kink or a jump, and the jump.
    endless : bool
        Whether log(-V') falls at the rate ``tilt`` everywhere, and not up to a bend or to zero.
    """

    unit: Array
    tilt: Array
    bends: list[tuple[Array, float]]
    endless: bool = False


class Loss(abc.ABC):
    """A convex function of the margin, differentiable but for kinks.

    A loss of your own gives `value`, `derivative` and `curvature`; it must then be twice
    differentiable but at a few margins (a kink needs a push of its own, as `Hinge` has).

    The numerical methods below take flat arrays: ``parameter`` holds a value of the loss's
    parameter for each point, ``b`` the logarithm of x.
    """

    #: The name of the one parameter, if there is one.
    parameter: ClassVar[str | None] = None
    #: What the parameter must satisfy.
    range: ClassVar[Range] = ranges.MARGIN
    #: How the parameter scales when V(D) becomes V(s D)/s: parameter * s**scaling.
    scaling: ClassVar[int] = 0
    #: The loss's own x for that of V(s D)/s is x * s**step_scaling.
    step_scaling: ClassVar[int] = 0
    #: z = rate * parameter * D where the loss is ell(z) of a free weight vector (0: V itself).
    rate: ClassVar[float] = 0.0
    #: Whether the second unknown is the stability kappa in place of x.
    hard: ClassVar[bool] = False
    #: Whether V reaches its minimum at a finite margin, the parameter.
    reaches_minimum: ClassVar[bool] = False
    #: Whether `attained` may hold somewhere.
    attained_on_sphere: ClassVar[bool] = False
    #: Whether V(s D)/s is no member of the same family.
    needs_rescaling: ClassVar[bool] = True
    #: Whether the push is the same for every example: Hebb's rule.
    hebbian: ClassVar[bool] = False

    # ------------------------------------------------------------------ what it is

    @abc.abstractmethod
    def value(self, margin: ArrayLike) -> Array:
        """V(Delta)."""

    @abc.abstractmethod
    def derivative(self, margin: ArrayLike) -> Array:
        """V'(Delta); where V has a kink, the derivative from the right."""

    @abc.abstractmethod
    def curvature(self, margin: ArrayLike) -> Array:
        """V''(Delta), without the point masses of a kink."""

    @property
    def sharp(self) -> bool:
        """Whether the parameter is a sharpness, the norm lam."""
        return self.rate > 0

    def with_parameter(self, values: ArrayLike) -> Self:
        """The same loss with another value, or an array of values, of its parameter."""
        if self.parameter is None:
            return self
        return type(self)(**{self.parameter: values})

    def attained(self, alpha: Array, parameter: Array, correlation: Array) -> NDArray[np.bool_]:
        """Where isotropic examples can all be given the margin of the minimum on the sphere.

        ``correlation`` is that of Hebb's rule with the teacher, sum_k w_k/sqrt(1 + sigma_k^2).
        """
        return np.zeros(len(alpha), dtype=bool)

    def approach(self) -> Loss | None:
        """A loss with a sharpness that becomes this one at infinity, to find a way to it."""
        return None

    def limits(self) -> Mapping[float, Loss]:
        """Values of the parameter that stand for another loss."""
        return {}

    def check(self) -> None:
        """Raise `InvalidArgument` if the loss is not what it claims to be."""
        one: Loss = self
        if self.parameter is not None:
            values = np.ravel(np.asarray(getattr(self, self.parameter), dtype=float))
            good = values[self.range.holds(values)]
            if len(good) == 0:
                return  # each entry is refused for its number
            one = self.with_parameter(float(good[0]))
        one.compare()

    def compare(self) -> None:
        """What `check` does for one value of the parameter."""
        adaptive.check(self)

    # ------------------------------------------------------------------ what the theory asks

    def first_guess(self, parameter: Array, push: Array, kappa: Array) -> Array:
        """Log x at which an example of margin ``kappa`` is pushed by about ``push``."""
        return np.log(push) - adaptive.log_typical_pull(self, parameter, kappa)

    def gentle_scale(self, parameter: Array) -> Array:
        """The s at which V(s D)/s looks like Hebb's straight line; nan if V'(0) >= 0."""
        loss = self.with_parameter(parameter)
        zero = np.zeros(len(parameter))
        with np.errstate(divide="ignore", invalid="ignore"):
            pull = -loss.derivative(zero)
            return np.where(pull > 0, GENTLE * pull / loss.curvature(zero), np.nan)

    def nodes(
        self, parameter: Array, b: Array, breaks: Breaks, rule: Rule, measure: adaptive.Measure
    ) -> Nodes:
        """Nodes of as many of the points as fit, from the first on.

        ``measure`` gives the weights of the integrals, for panels that look at them.
        """
        return adaptive.nodes(self, parameter, b, breaks, rule, measure)

    def proximal(self, parameter: Array, b: Array, t: Array) -> Array:
        """D0(t), one field a point."""
        return adaptive.proximal(self.with_parameter(parameter), np.exp(b), t)

    def field_of_margin(self, parameter: Array, b: Array, margin: Array) -> tuple[Array, Array]:
        """The largest t with D0(t) <= margin, and dt/dD there; one margin a point."""
        loss, x = self.with_parameter(parameter), np.exp(b)
        with np.errstate(over="ignore", invalid="ignore"):  # at margins that no example has
            return margin + x * loss.derivative(margin), 1 + x * loss.curvature(margin)

    def force(self, parameter: Array) -> Force:
        """Where -V' changes; of a loss of one's own nothing is known."""
        return Force(np.ones(len(parameter)), np.zeros(len(parameter)), [])

    def log_force(self, margin: Array) -> tuple[Array, Array, Array]:
        """Sign of -V', log abs(V') and log V''."""
        with np.errstate(divide="ignore", over="ignore"):
            force = -self.derivative(margin)
            return np.sign(force), np.log(np.abs(force)), np.log(self.curvature(margin))

    def atom(self, parameter: Array, b: Array) -> tuple[Array, Array, Array] | None:
        """Where margins pile up: the margin, and the fields between which D0 is that margin."""
        return None

    def scaled(self, parameter: Array, b: Array, log_scale: Array) -> tuple[Array, Array]:
        """Parameter and log x of this loss that stand for V(s D)/s at log x = b."""
        if self.scaling:
            parameter = parameter * np.exp(self.scaling * log_scale)
        if self.step_scaling:
            b = b + self.step_scaling * log_scale
        return parameter, b
