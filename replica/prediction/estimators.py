"""Logistic regression that chooses its penalty from moments, as a scikit-learn estimator.

Needs scikit-learn, the extra ``sklearn``. Nothing else of this package imports it.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from replica.prediction.curve import FIRST, LAST, POINTS
from replica.prediction.moments import Moments
from replica.prediction.path import Path
from replica.prediction.table import FEWEST

__all__ = ["PredictedC"]

Array = NDArray[np.float64]

#: C tr S where nothing can be predicted: the best fixed choice for a hundred rows, in hindsight.
FALLBACK = 10.0


class PredictedC(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    r"""Logistic regression at the C that `replica.predict_learning_curve` finds for its own rows.

    One fit in place of a cross-validation: the moments of the table give the error at each C, and
    scikit-learn's LogisticRegression is trained at the best.

    Parameters
    ----------
    max_iter : int
        Of LogisticRegression.

    Attributes
    ----------
    C_ : float
    predicted_ : bool
        Whether the table determines it; else 10/tr S is taken, S the covariance within a class.
    classes_ : (2,) array
    coef_ : (1, N) array
    intercept_ : (1,) array
    n_iter_ : int
    model_ : LogisticRegression
        What was trained.

    Notes
    -----
    Two classes only. Features are taken as they are; a scaler belongs before it in a pipeline.
    """

    def __init__(self, *, max_iter: int = 1000):
        self.max_iter = max_iter

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Choose C, and train.

        Raises
        ------
        ValueError
            For a table that is none, or labels that are not of two values.
        """
        features, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind != "binary":
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {kind}."
            )
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"y must hold two classes; got one class: {self.classes_[0]!r}")
        self.C_, self.predicted_ = _choice(features, np.where(y == self.classes_[1], 1.0, -1.0))
        self.model_ = LogisticRegression(C=self.C_, max_iter=self.max_iter).fit(features, y)
        self.n_iter_ = int(np.max(self.model_.n_iter_))
        self.coef_, self.intercept_ = self.model_.coef_, self.model_.intercept_
        return self

    def decision_function(self, X: ArrayLike) -> Array:
        """The logit, (Q,)."""
        check_is_fitted(self)
        return np.asarray(self.model_.decision_function(self._checked(X)))

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities of the two classes, (Q, 2)."""
        check_is_fitted(self)
        return np.asarray(self.model_.predict_proba(self._checked(X)))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Classes, (Q,)."""
        check_is_fitted(self)
        return np.asarray(self.classes_[(self.decision_function(X) > 0).astype(int)])

    def _checked(self, X: ArrayLike) -> Array:
        return np.asarray(validate_data(self, X, dtype=np.float64, reset=False))


def _choice(features: Array, signs: Array) -> tuple[float, bool]:
    """The best C for as many rows as there are, and whether the table determines it."""
    spread = float(np.sum(np.var(features, axis=0)))
    fallback = FALLBACK / spread if spread > 0 else 1.0
    rows = len(signs)
    if rows < FEWEST or min(np.sum(signs > 0), np.sum(signs < 0)) < 2:
        return fallback, False
    moments = Moments.of(features, signs)
    functions = moments.functions()
    if not functions.trace > 0:
        return fallback, False
    grid = np.geomspace(FIRST, LAST, POINTS) / functions.trace
    best = Path.along(
        functions, moments.positive, np.array([float(rows)]), np.zeros(1), grid
    ).best()
    found = float(best.C[0])
    return (found, True) if np.isfinite(found) and not best.cut[0] else (fallback, False)
