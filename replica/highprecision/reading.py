"""Reading: every number exactly, and a problem made ready to be certified."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np

from replica.losses import HardMargin, Linear, Loss
from replica.problem import Problem, pose
from replica.teachers import LabelModel, Teacher

Mpf = Any  # mpmath's numbers and contexts are untyped
Context = Any

#: Digits kept of a number given as mpf or string; above the 200 that can be asked for.
_EXACT = 250


class CertificationError(RuntimeError):
    """The iteration or the quadrature did not reach the digits asked for."""


def workspace(digits: int) -> Context:
    """An mpmath context of our own; the global precision is not touched."""
    context = mpmath.mp.clone()
    context.dps = digits
    return context


def public(value: Mpf) -> Mpf:
    """The same digits as an ordinary ``mpmath.mpf``."""
    return mpmath.mp.make_mpf(value._mpf_)


def number(context: Context, name: str, value: Any, *, finite: bool = False) -> Mpf:
    """One real number (float, mpf or decimal string) at full precision."""
    exact = isinstance(value, str) or hasattr(value, "_mpf_")
    try:
        result = context.mpf(value if exact else float(value))
    except (TypeError, ValueError):
        result = context.nan
    if context.isnan(result) or (finite and context.isinf(result)):
        kind = "finite number" if finite else "number"
        raise ValueError(f"`{name}` must be one {kind}; got {value!r}")
    return result


@dataclass(frozen=True)
class Task:
    """A problem that went through the door, with floats to start from."""

    alpha: Mpf
    loss: Loss  # of an interpolating loss, the limit itself where it is meant
    parameter: Mpf | None
    levels: tuple[tuple[Mpf, Mpf], ...]  # (w_k, sigma_k) that carry signal
    start: tuple[float, ...]  # log c if there is signal, then log x or log kappa

    @property
    def hard(self) -> bool:
        """Whether the last unknown is log kappa."""
        return isinstance(self.loss, HardMargin)


def read(
    alpha: Any, loss: Loss, teacher: LabelModel, log_c: Any, log_x: Any, stability: Any
) -> Task:
    """Check and convert the arguments of `saddle_point`.

    The rules are those of `pose`, which sees every number rounded to a float.
    """
    context = workspace(_EXACT)
    Problem(alpha, loss, teacher)  # refuses what is no loss or no teacher
    labels = {k: number(context, k, value) for k, (value, _) in teacher.parameters().items()}
    alpha = number(context, "alpha", alpha)
    parameter = None
    if loss.parameter:
        parameter = number(context, loss.parameter, getattr(loss, loss.parameter))
        loss = loss.with_parameter(float(parameter))
    rounded = teacher.with_parameters({k: np.asarray(float(v)) for k, v in labels.items()})
    posed = pose(Problem(float(alpha), loss, rounded))
    if isinstance(teacher, Teacher):  # exact: 1 - 2p is not a float
        levels = [(1 - 2 * labels["label_flip"], labels["label_noise"])]
    else:
        mixture = zip(posed.labels.signal[0].tolist(), posed.labels.noise[0].tolist(), strict=True)
        levels = [(context.mpf(w), context.mpf(sigma)) for w, sigma in mixture]
    levels = [(w, sigma) for w, sigma in levels if w != 0 and context.isfinite(sigma)]
    if loss.sharp and parameter == 0:
        loss = Linear()
    elif loss.sharp and context.isinf(parameter):
        loss = HardMargin()
    if isinstance(loss, HardMargin):
        kappa = float(number(context, "stability", stability, finite=True))
        if not kappa > 0:
            raise ValueError(f"`stability` must be positive; got {stability!r}")
        start = [math.log(kappa)]
    else:
        start = [float(number(context, "log_x", log_x, finite=True))]
    if levels:
        start.insert(0, float(number(context, "log_c", log_c, finite=True)))
    return Task(alpha, loss, parameter, tuple(levels), tuple(start))
