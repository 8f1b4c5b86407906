"""`predict_learning_curve`: errors against the penalty, for any number of labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.common import arguments
from replica.common.arguments import InvalidArgument, Range, show
from replica.prediction.draw import Drawn, draw
from replica.prediction.estimate import EstimatedInputs, estimated, read_unlabelled
from replica.prediction.folds import FOLDS, Folds
from replica.prediction.measured import LEFT, Measured, measure
from replica.prediction.moments import Moments
from replica.prediction.path import Path
from replica.prediction.record import LearningCurve
from replica.prediction.table import Table
from replica.prediction.verdicts import Cell, verdict

__all__ = ["predict_learning_curve"]

Array = NDArray[np.float64]

#: C tr S at both ends of the path, and its points: from Hebb's rule to where regularisation ends.
FIRST, LAST, POINTS = 10.0**-2.5, 1e4, 40
#: Normal quantile of a 90% interval.
NINETY = 1.6448536269514722
#: Shares of the rows at which errors are predicted if nobody says.
SHARES = (0.1, 1 / 3, 1.0)
#: Training examples below which no asymptotic statement is made, and most.
EXAMPLES = Range(10.0, 1e12, "must be between 10 and 1e12")
#: Of the rows that the moments of a fold come from, at most this share is drawn as training
#: examples: the sample mean's own noise must leave room for that of the weights.
DRAWN = 0.8
#: Shares of the rows whose measured errors a power law goes through.
POWER = (0.2, 0.4, 1 - LEFT)


def predict_learning_curve(
    X: Any,
    y: Any,
    examples: ArrayLike | None = None,
    *,
    C: ArrayLike | None = None,
    lam: ArrayLike | None = None,
    unlabelled: Any = None,
    check: bool = True,
) -> LearningCurve:
    r"""Predict what regularised logistic regression would do with P labels, nothing fitted.

    The classifier is scikit-learn's LogisticRegression(C=C): the minimiser of
    sum log(1 + exp(-y (w.x + b))) + \|w\|^2/(2 C), b free. The theory takes each class as a cloud
    of its own mean and of the common covariance that `estimate_inputs` finds, and solves
    eqs. (P1) to (P4) of docs/predict.md.

    Parameters
    ----------
    X : (P0, N) array or data frame
        Features as they will be trained on (scaled, if they are to be).
    y : (P0,) array
        Labels of two values.
    examples : array, optional
        Numbers of training examples P, at least 10; by default a tenth, a third, and all of P0.
    C : array, optional
        Inverse penalties, positive, in place of 40 between 10^-2.5 and 10^4 over tr S.
    lam : array, optional
        Norms \|w\|/2 in place of them: the unit of `logistic_clusters`.
    unlabelled : (Q, N) array, optional
        As in `estimate_inputs`; the check does without them.
    check : bool
        Whether to draw weights from the theory and try them on held-out rows, and to train on parts
        of the table. Without, no prediction of the error is called trusted.

    Returns
    -------
    LearningCurve

    Raises
    ------
    InvalidArgument
        As `estimate_inputs`; for numbers outside their range, or both ``C`` and ``lam``.

    Notes
    -----
    Cost: an eigen-decomposition of size min(N, P0), with the check five; some 0.1 s for each P.
    Theory: Mignacco, Krzakala, Lu, Urbani and Zdeborova (2020); Loureiro et al. (2021).
    """
    if C is not None and lam is not None:
        raise InvalidArgument("lam", "must be left out where `C` is given", "both")
    table = Table.read(X, y)
    rows = len(table.signs)
    count = _several("examples", _default(rows) if examples is None else examples, EXAMPLES)
    asked_c = None if C is None else _several("C", C, arguments.POSITIVE)
    asked_norm = None if lam is None else 2 * _several("lam", lam, arguments.POSITIVE)
    folds = Folds.of(table) if check else None
    moments = Moments.of(table.features, table.signs) if folds is None else folds.moments()
    inputs = estimated(table, moments, read_unlabelled(unlabelled, table))
    k = len(count)
    path = Path.along(
        inputs.functions,
        inputs.positive,
        np.tile(count, 3),
        np.repeat([0.0, NINETY, -NINETY], k),
        _grid(inputs, asked_c),
    )
    best = path.best()
    error, low, high = _parts(best.error, k, inputs.positive)
    at = best.C[:k]
    drawn, measured, power_law = _nothing(k)
    checked = np.full(k, np.nan)
    if folds is not None:
        checked = np.minimum(count, np.floor(DRAWN * (1 - 1 / FOLDS) * rows))
        drawn = draw(folds.held_out(), checked, at)
        measured = measure(table, count, at)
        if np.any(count > rows):
            power_law = _power_law(table, inputs, path.log_c, count)
    words = [
        verdict(
            Cell(
                examples=float(count[i]),
                rows=rows,
                error=float(error[i]),
                low=float(low[i]),
                high=float(high[i]),
                gap=float(drawn.gap[i]),
                gap_error=float(drawn.gap_error[i]),
                at_edge=bool(best.at_edge[i]),
                cut=bool(best.cut[i]),
            )
        )
        for i in range(k)
    ]
    curves, c, norm = _curves(path, asked_c, asked_norm, k)
    return LearningCurve(
        examples=count,
        C=c,
        lam=norm / 2,
        error=curves[0],
        error_low=curves[1],
        error_high=curves[2],
        best_error=error,
        best_error_low=low,
        best_error_high=high,
        best_C=at,
        best_lam=best.norm[:k] / 2,
        verdict=tuple(word for word, _ in words),
        reason=tuple(why for _, why in words),
        drawn_error=drawn.error,
        drawn_standard_error=drawn.standard_error,
        drawn_examples=checked,
        gap=drawn.gap,
        measured_error=measured.error,
        measured_standard_error=measured.standard_error,
        power_law=power_law,
        inputs=inputs,
    )


def _several(name: str, value: ArrayLike, rule: Range) -> Array:
    """A list of numbers within their range."""
    result = np.atleast_1d(arguments.numbers(name, value))
    if result.ndim != 1 or result.size == 0:
        raise InvalidArgument(name, "must be a list of numbers", f"shape {result.shape}")
    broken = result[~rule.holds(result)]
    if broken.size:
        raise InvalidArgument(name, rule.words, show(float(broken[0])))
    return result


def _default(rows: int) -> list[float]:
    """Sizes to predict at, as far as they are allowed."""
    return [float(P) for P in np.floor(rows * np.array(SHARES)) if EXAMPLES.low <= P]


def _grid(inputs: EstimatedInputs, asked: Array | None) -> Array:
    """Rising C, evenly in the logarithm, beyond all that are asked for."""
    ends = [FIRST / inputs.trace, LAST / inputs.trace]
    if asked is not None:
        # a little further, lest the last bit of a logarithm be outside
        ends = [min(ends[0], asked.min() * 0.99), max(ends[1], asked.max() * 1.01)]
    return np.geomspace(ends[0], ends[1], POINTS)


def _parts(errors: Array, k: int, positive: float) -> tuple[Array, Array, Array]:
    """Error, and the ends of its interval: 0 and chance where a moved distance has no solution."""
    error, low, high = errors.reshape(3, k)
    chance = min(positive, 1 - positive)
    known = ~np.isnan(error)
    low = np.where(known & np.isnan(low), 0.0, low)
    return error, low, np.where(known & np.isnan(high), chance, high)


def _nothing(k: int) -> tuple[Drawn, Measured, Array]:
    """Of a check that was not made."""
    nothing = np.full(k, np.nan)
    return Drawn(nothing, nothing, nothing), Measured(nothing, nothing), nothing


def _curves(
    path: Path, c: Array | None, norm: Array | None, k: int
) -> tuple[tuple[Array, Array, Array], Array, Array]:
    """Errors with their ends, C and norm, (k, J) each."""
    if norm is not None:
        log_c = np.tile(path.log_c_of_norm(norm)[:k], (3, 1))
    elif c is not None:
        log_c = np.tile(np.log(c), (3 * k, 1))
    else:
        log_c = np.tile(path.log_c, (3 * k, 1))
    if c is None and norm is None:
        error, length = np.exp(path.log_error), np.exp(path.log_norm)
    else:
        found = path.at(log_c)
        error, length = found.error.reshape(log_c.shape), found.norm.reshape(log_c.shape)
    positive = path.systems.positive
    flat = _parts(error.reshape(3, -1).ravel(), k * log_c.shape[1], positive)
    shape = (k, log_c.shape[1])
    first, low, high = (part.reshape(shape) for part in flat)
    return (first, low, high), np.exp(log_c[:k]), length[:k]


def _power_law(table: Table, inputs: EstimatedInputs, log_c: Array, count: Array) -> Array:
    """A power law through measured errors at three sizes, carried to ``count``."""
    sizes = np.floor(np.array(POWER) * len(table.signs))
    path = Path.along(inputs.functions, inputs.positive, sizes, np.zeros(len(sizes)), np.exp(log_c))
    found = measure(table, sizes, path.best().C).error
    good = found > 0
    if good.sum() < len(sizes):
        return np.full(len(count), np.nan)
    slope, offset = np.polyfit(np.log(sizes), np.log(found), 1)
    return np.asarray(np.exp(offset + slope * np.log(count)))
