"""What the learning rules return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit

from perceptron.data import Examples

__all__ = ["Learned", "Trajectory", "mean_loss", "measure", "overlap_and_error"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Learned:
    r"""Weights and how well they do.

    Attributes
    ----------
    weights : (N,) array
        \|w\|^2 = N; the direction is what was learned.
    norm : float
        lam, the norm in units of sqrt(N) at which the loss is read.
    overlap : float
        w.w*/N; nan without a teacher.
    generalization_error : float
        arccos(overlap)/pi: exact for new inputs in the limit of large N; 1/2 for labels drawn at
        random, nan for data from elsewhere, whose teacher nobody knows.
    train_loss : float
        Mean of V_lam(Delta) = log(1 + exp(-2 lam Delta))/lam over the examples, at \|w\|^2 = N;
        inf at lam = 0.
    train_error : float
        Fraction of negative margins.
    margins : (P,) array
        y w.x/sqrt(N) at \|w\|^2 = N.
    """

    weights: Array
    norm: float
    overlap: float
    generalization_error: float
    train_loss: float
    train_error: float
    margins: Array


@dataclass(frozen=True, eq=False)
class Trajectory:
    r"""A run of gradient descent or flow, recorded at some of its steps.

    Attributes
    ----------
    step : (K,) int array
        Steps done at each record, 0 first.
    time : (K,) array
        Sum of the learning rates up to there.
    norm : (K,) array
        lam = \|w\|/sqrt(N).
    overlap, generalization_error : (K,) array
        Of the direction of w; nan without a teacher (the error is then 1/2 where the labels were
        drawn at random).
    train_loss : (K,) array
        Mean of log(1 + exp(-2 Delta)) at the free norm.
    train_error : (K,) array
        Fraction of negative margins.
    weights : (N,) array
        At the last record, at their own norm.
    learning_rate : float
        That of the next step, from which the run can be resumed.
    complete : bool
        False if the run was interrupted; what was recorded is here.
    direction : (N,) array or None
        Where the loss curves most, which `gradient_flow` carries from step to step.
    """

    step: NDArray[np.int64]
    time: Array
    norm: Array
    overlap: Array
    generalization_error: Array
    train_loss: Array
    train_error: Array
    weights: Array
    learning_rate: float
    complete: bool
    direction: Array | None = None


def mean_loss(margins: Array, lam: float) -> float:
    """Mean of V_lam(Delta)."""
    if lam == 0:
        return float("inf")
    if np.isinf(lam):
        return float(np.mean(np.maximum(-2 * margins, 0.0)))
    return float(-np.mean(log_expit(2 * lam * margins)) / lam)


def overlap_and_error(examples: Examples, weights: Array) -> tuple[float, float]:
    """Overlap with the teacher, and the error on new examples, of weights of any length."""
    return examples.overlap_of(weights), examples.error_of(weights)


def measure(examples: Examples, weights: Array, norm: float) -> dict[str, object]:
    """The fields of `Learned` for weights of any length."""
    w = weights * np.sqrt(examples.N) / np.linalg.norm(weights)
    margins = examples.labels * examples.products.fields(w)
    overlap, error = overlap_and_error(examples, w)
    return {
        "weights": w,
        "norm": float(norm),
        "overlap": overlap,
        "generalization_error": error,
        "train_loss": mean_loss(margins, norm),
        "train_error": float(np.mean(margins < 0)),
        "margins": margins,
    }
