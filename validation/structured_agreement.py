"""Regularised logistic regression on Gaussian samples beside the theory of structured inputs.

The simulation shares nothing with `replica`: samples are drawn mode by mode, the minimiser is
found by Newton's method in the dual of P examples, and its error on new examples is known in
closed form (an arc cosine for a teacher, Phi for two clouds). `agree` asks for a theory within
so many standard errors of the mean over samples; the `CONTROLS` are theories that must fail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from replica import Clusters, Isotropic, PowerLaw, at_ridge
from replica.inputs import Inputs

__all__ = [
    "CAPACITY", "CONTROLS", "MODES", "RIDGES", "SOURCE", "Agreement", "clouds", "predicted",
    "teacher",
]  # fmt: skip

Array = NDArray[np.float64]

CAPACITY, SOURCE, MODES = 1.5, 0.3, 800
RIDGES = (1e-2, 1.0, 1e1, 1e2, 1e3)
#: Standard errors that a right theory may be off: one in 1e4 of five ridges exceeds it, and the
#: corrections of finite P, below 1% at P = 200, count too.
LARGEST = 4.0
FINITE = 0.01

#: Theories that are wrong, by name.
CONTROLS: dict[str, Callable[[int], Inputs]] = {
    "isotropic": lambda modes: Isotropic(),
    "another source": lambda modes: PowerLaw(CAPACITY, 2 * SOURCE, modes=modes),
    "another capacity": lambda modes: PowerLaw(CAPACITY + 0.5, SOURCE, modes=modes),
}


@dataclass(frozen=True)
class Agreement:
    """Errors at the ridges, simulated and predicted.

    Attributes
    ----------
    ridge, mean, standard_error, theory : (R,) arrays
    """

    ridge: Array
    mean: Array
    standard_error: Array
    theory: Array

    @property
    def z(self) -> Array:
        """Distances in standard errors, among them what finite P may do."""
        return (self.theory - self.mean) / np.hypot(self.standard_error, FINITE * self.mean / 2)

    def beside(self, theory: Array) -> Agreement:
        """The same samples beside another theory."""
        return replace(self, theory=theory)

    @property
    def agrees(self) -> bool:
        """Whether every ridge is within `LARGEST`."""
        return bool(np.all(np.abs(self.z) <= LARGEST))


def minimiser(inputs: Array, labels: Array, ridge: float, intercept: bool) -> tuple[Array, float]:
    """Weights and intercept of the smallest sum log(1 + exp(-y (w.x + b))) + ridge |w|^2/2.

    w = X' a, and ridge a = y sigma(-margin): Newton's method on that, its steps halved until
    the loss falls.
    """
    gram = inputs @ inputs.T
    count = len(labels)
    z = np.zeros(count + 1)

    def value(z: Array) -> float:
        image = gram @ z[:count]
        loss = np.logaddexp(0, -labels * (image + z[count])).sum()
        return float(loss + 0.5 * ridge * (z[:count] @ image))

    jacobian = np.zeros((count + 1, count + 1))
    jacobian[count, :count] = 1.0
    jacobian[count, count] = 0.0 if intercept else 1.0
    for _ in range(100):
        margin = labels * (gram @ z[:count] + z[count])
        pull, bend = labels * expit(-margin), expit(margin) * expit(-margin)
        jacobian[:count, :count] = ridge * np.eye(count) + bend[:, None] * gram
        jacobian[:count, count] = bend
        if not intercept:
            jacobian[count, :count] = 0.0
        residual = np.append(ridge * z[:count] - pull, z[:count].sum() if intercept else 0.0)
        step = np.linalg.solve(jacobian, -residual)
        here = value(z)
        for _ in range(30):
            if value(z + step) <= here * (1 + 1e-13):
                break
            step = step / 2
        z = z + step
        if np.abs(step).max() <= 1e-9 * np.abs(z).max():
            return inputs.T @ z[:count], float(z[count])
    raise RuntimeError("Newton's method did not end")


def predicted(inputs: Inputs, count: int) -> Array:
    """The errors that the theory of these inputs says."""
    alpha = count / MODES if isinstance(inputs, Isotropic) else count
    return np.asarray(at_ridge(alpha, RIDGES, inputs=inputs).generalization_error)


def _collected(errors: Array, theory: Array) -> Agreement:
    mean, spread = errors.mean(axis=0), errors.std(axis=0, ddof=1)
    return Agreement(np.array(RIDGES), mean, spread / np.sqrt(len(errors)), theory)


def teacher(count: int, seeds: int, seed: int, modes: int = MODES) -> Agreement:
    """P = ``count`` examples of a power law, labels from its teacher."""
    k = np.arange(1.0, modes + 1)
    deviation = k ** (-CAPACITY / 2)
    # omega theta^2 falls like k^(-1-2ar); signs do not matter to Gaussian inputs
    weights = np.sqrt(k ** (-1 - 2 * CAPACITY * SOURCE)) / deviation
    errors = np.empty((seeds, len(RIDGES)))
    for s in range(seeds):
        rng = np.random.default_rng([seed, s])
        x = rng.standard_normal((count, modes)) * deviation
        y = np.sign(x @ weights)
        for i, ridge in enumerate(RIDGES):
            w, _ = minimiser(x, y, ridge, intercept=False)
            along, across = deviation * w, deviation * weights
            cosine = along @ across / np.sqrt(along @ along * (across @ across))
            errors[s, i] = np.arccos(cosine) / np.pi
    return _collected(errors, predicted(PowerLaw(CAPACITY, SOURCE, modes=modes), count))


def clouds(count: int, seeds: int, seed: int, positive: float) -> Agreement:
    """P = ``count`` examples of two clouds of 300 modes, with an intercept if they are unequal."""
    k = np.arange(1.0, 301)
    deviation, mean = k**-0.5, 0.8 * k**-1.0
    errors = np.empty((seeds, len(RIDGES)))
    for s in range(seeds):
        rng = np.random.default_rng([seed, s])
        y = np.where(rng.random(count) < positive, 1.0, -1.0)
        x = y[:, None] * mean + rng.standard_normal((count, len(k))) * deviation
        for i, ridge in enumerate(RIDGES):
            w, b = minimiser(x, y, ridge, intercept=positive != 0.5)
            field, spread = w @ mean, np.sqrt(w**2 @ deviation**2)
            errors[s, i] = positive * ndtr(-(field + b) / spread) + (1 - positive) * ndtr(
                -(field - b) / spread
            )
    return _collected(errors, predicted(Clusters(deviation**2, mean, positive=positive), count))
