"""The draw check: weights that follow the theory's law, errors of real examples, eq. (P11)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from replica.prediction.folds import HeldOut
from replica.prediction.penalised import Penalised, Trained, solve_penalised
from replica.prediction.spectral import SpectralFunctions

__all__ = ["Drawn", "draw"]

Array = NDArray[np.float64]

#: The least share of the weights' noise that must be left beside that of the mean of the sample.
LEAST_NOISE = 0.02


@dataclass(frozen=True)
class Drawn:
    """Cross-fitted; (k,) arrays, nan where a fold does not allow it.

    Attributes
    ----------
    error : array
        Of real examples under weights of the theory's law.
    standard_error : array
        Over the examples.
    predicted : array
        The theory's own error, from the same moments.
    """

    error: Array
    standard_error: Array
    predicted: Array

    @property
    def gap(self) -> Array:
        """Log of drawn over predicted: above zero the theory is too optimistic."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(self.error / self.predicted)

    @property
    def gap_error(self) -> Array:
        """Its standard error, that of the drawn error alone."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.standard_error / self.error


def draw(folds: Iterable[HeldOut], count: Array, C: Array) -> Drawn:
    """At ``count`` training examples and ``C``, (k,) each: all folds together."""
    errors, predictions, weights = [], [], []
    for fold in folds:
        functions = fold.moments.functions()
        systems = Penalised(functions, fold.moments.positive, count, np.zeros(len(count)))
        # one penalty a system: `solve_penalised` asks for the first only
        trained = solve_penalised(systems, (1 / C)[None, :])[0]
        errors.append(_errors(fold, functions, trained, count))
        predictions.append(trained.error)
        weights.append(len(fold.signs))
    if not errors:
        nothing = np.full(len(count), np.nan)
        return Drawn(nothing, nothing, nothing)
    each = np.concatenate(errors, axis=1)
    total = each.shape[1]
    error = each.mean(axis=1)
    # an example errs or not, however surely its probability is known
    spread = np.sqrt(np.maximum(error * (1 - error), 0.0) / total)
    predicted = np.average(np.stack(predictions), axis=0, weights=weights)
    return Drawn(error, spread, predicted)


def _errors(fold: HeldOut, functions: SpectralFunctions, at: Trained, count: Array) -> Array:
    """Probability to err, (k, rows): over the weights' own noise in closed form."""
    moments, omega = fold.moments, fold.moments.eigenvalues
    away = fold.features - moments.middle
    along = away @ moments.directions
    squares, u = along**2, moments.components
    rest = away @ moments.mean - along @ u  # what lies outside of the sample's directions
    out = np.full((len(count), len(fold.signs)), np.nan)
    for i in range(len(count)):
        if not np.isfinite(at.error[i]):
            continue
        ridge = at.ridge[i]
        values = functions.at(ridge)
        pull, kappa = at.push[i] / at.curved[i], ridge / values.nu
        left = 1 - values.df2 / moments.freedom
        signal = max(float(values.b), 0.0)
        noise = at.q[i] - pull**2 * (signal + values.df2 / moments.effective) / left
        if noise < LEAST_NOISE * (at.q[i] - pull**2 * signal):
            continue
        inverse = 1 / (omega + ridge)
        # X of eq. (P11): kappa d - e
        unit = kappa * values.df1 - ridge * float(np.sum(omega * inverse**2))
        field = pull * kappa * (along @ (u * inverse) + rest / ridge)
        spread = kappa * np.sqrt(noise / unit * (squares @ (omega * inverse**2)))
        out[i] = ndtr(-(fold.signs * field + fold.signs * at.intercept[i]) / spread)
    return out
