"""Reading: every number exactly, and a problem made ready to be certified."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from replica import inputs as inputs_module
from replica.common.arguments import InvalidArgument, quoted
from replica.highprecision.precision import Context, Mpf, number, workspace
from replica.highprecision.spectra import MarchenkoPastur, Modes, PowerLaw, Spectral
from replica.losses import HardMargin, Linear, Loss
from replica.problem import Problem, pose
from replica.teachers import LabelModel, Teacher

#: Digits kept of a number given as mpf or string; above the 200 that can be asked for.
_EXACT = 250

SpectrumFactory = Callable[[Context, int, int], Spectral]


@dataclass(frozen=True)
class Task:
    """A problem whose arguments were checked, with floats to start from."""

    alpha: Mpf
    loss: Loss  # of an interpolating loss, the limit itself where it is meant
    parameter: Mpf | None
    norm: Mpf | None  # lam, of a loss that has one
    levels: tuple[tuple[Mpf, Mpf], ...]  # (w_k, sigma_k) that carry signal
    spectrum: SpectrumFactory | None  # None: isotropic
    positive: Mpf | None  # share of the positive cluster; None: a teacher
    start: dict[str, float]  # the unknowns in their order, see the package's page
    start_g: float = 0.0

    @property
    def hard(self) -> bool:
        """Whether x is infinite and log kappa unknown."""
        return isinstance(self.loss, HardMargin)

    @property
    def second(self) -> str:
        """The name of that unknown."""
        return "log_stability" if self.hard else "log_x"


def read(
    alpha: Any,
    loss: Loss,
    teacher: LabelModel,
    inputs: inputs_module.Inputs | None,
    guess: Mapping[str, Any],
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
    norm = parameter if loss.sharp else None
    if loss.sharp and parameter == 0:
        loss = Linear()
    elif loss.sharp and context.isinf(parameter):
        loss = HardMargin()

    def finite(name: str) -> float:
        return float(number(context, name, guess[name], finite=True))

    start: dict[str, float] = {}
    if levels:
        start["log_c"] = finite("log_c")
    if isinstance(loss, HardMargin):
        kappa = finite("stability")
        if not kappa > 0:
            raise InvalidArgument("stability", "must be positive", repr(guess["stability"]))
        start["log_stability"] = math.log(kappa)
    else:
        start["log_x"] = finite("log_x")
    if inputs is None or isinstance(inputs, inputs_module.Isotropic):
        return Task(alpha, loss, parameter, norm, tuple(levels), None, None, start)
    spectrum = factory(inputs)
    start["log_q"] = finite("log_q")
    scale = math.exp(start["log_q"] / 2)
    if "log_stability" in start:  # the unknowns are in units of the field
        start["log_stability"] -= start["log_q"] / 2
    # log mu = inf is Hebb's rule, g = 0
    q = math.exp(-float(number(context, "log_mu", guess["log_mu"])))
    rough = workspace(20)
    nu = spectrum(rough, 15, 0).moments(rough.one, rough.mpf(q)).one
    start["log_nu"] = float(rough.log(nu))
    positive = None
    if isinstance(inputs, inputs_module.Clusters):
        if levels != [(1, 0)]:
            raise InvalidArgument(
                "teacher", "must be noiseless: the clusters give the labels", repr(teacher)
            )
        positive = context.mpf(inputs.positive)
        if positive != 0.5:
            start["intercept"] = finite("intercept") / scale
    return Task(
        alpha, loss, parameter, norm, tuple(levels), spectrum, positive, start, float(nu) * q
    )


def factory(inputs: inputs_module.Inputs) -> SpectrumFactory:
    """The sums of these inputs, in any precision."""
    if isinstance(inputs, inputs_module.PowerLaw):
        return functools.partial(_power_law, inputs)
    if isinstance(inputs, inputs_module.MarchenkoPastur):
        return functools.partial(_marchenko_pastur, inputs)
    if isinstance(inputs, inputs_module.Spectrum | inputs_module.Clusters):
        return functools.partial(_modes, inputs)
    raise InvalidArgument("inputs", "must be one of replica's inputs", quoted(inputs))


def _power_law(
    inputs: inputs_module.PowerLaw, context: Context, digits: int, level: int
) -> Spectral:
    return PowerLaw(context, inputs.capacity, inputs.source, inputs.modes, digits, level)


def _marchenko_pastur(
    inputs: inputs_module.MarchenkoPastur, context: Context, digits: int, level: int
) -> Spectral:
    return MarchenkoPastur(context, context.mpf(inputs.ratio))


def _modes(
    inputs: inputs_module.Spectrum | inputs_module.Clusters,
    context: Context,
    digits: int,
    level: int,
) -> Spectral:
    """A list, exactly as its doubles: only the teacher's power is normalised."""
    eigenvalues = [context.mpf(v) for v in np.asarray(inputs.eigenvalues).tolist()]
    ones = [1.0] * len(eigenvalues)
    weights = ones if inputs.weights is None else np.asarray(inputs.weights).tolist()
    if isinstance(inputs, inputs_module.Clusters):
        means = [context.mpf(v) for v in np.asarray(inputs.mean).tolist()]
        signal = [p * m * m / v for p, m, v in zip(weights, means, eigenvalues, strict=True)]
        return Modes(context, eigenvalues, weights, signal)
    teacher = ones if inputs.teacher is None else np.asarray(inputs.teacher).tolist()
    signal = [context.mpf(p) * v * t for p, v, t in zip(weights, eigenvalues, teacher, strict=True)]
    total = context.fsum(signal)
    return Modes(context, eigenvalues, weights, [s / total for s in signal])
