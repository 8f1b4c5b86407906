"""The fixed-norm minimiser and the maximum margin as scikit-learn estimators.

Needs scikit-learn, the extra ``sklearn``. Nothing else of this package imports it.
"""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer
from sklearn.model_selection import check_cv
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from perceptron import ranges
from perceptron.data import Examples
from perceptron.data.own import examples
from perceptron.learning.fixed_norm import NoMinimiser, minimize_at_norm
from perceptron.learning.max_margin import NotSeparable, max_stability
from perceptron.records import Learned
from replica.common import arguments
from replica.common.arguments import InvalidArgument

__all__ = ["FixedNormClassifier", "FixedNormClassifierCV", "MaxStabilityClassifier"]

Array = NDArray[np.float64]

#: Below the norm of the unconstrained minimiser by this share, its place is taken: the minimiser
#: on the sphere of that very norm is not unique in rounding.
INSIDE = 1e-6
#: A norm, for inputs of unit size, that counts as none: some examples may be separated for good,
#: and then the loss has no minimum.
FAR = 1e3


class _BinaryClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A linear classifier of two classes: z = X coef + intercept, positive for ``classes_[1]``."""

    intercept: bool
    scale: str | float | None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.sparse = True
        return tags

    def _read(self, X: ArrayLike, y: ArrayLike) -> tuple[Any, NDArray[Any], Examples]:
        """The checked table, its labels, and both as examples."""
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=[np.float64, np.float32])
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind != "binary":
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {kind}."
            )
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"y must hold two classes; got one class: {self.classes_[0]!r}")
        data = examples(X, y, intercept=self.intercept, scale=self.scale)
        return X, np.asarray(y), data

    def _keep(self, data: Examples, learned: Learned) -> Self:
        """The coefficients in the units of the table."""
        coef, intercept = _coefficients(data, learned, 2.0 * learned.norm)
        self.coef_, self.intercept_ = coef[None, :], np.array([intercept])
        self.norm_ = learned.norm
        self.stability_ = float(np.min(learned.margins))
        return self

    def decision_function(self, X: ArrayLike) -> Array:
        """z, (Q,)."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=True, reset=False)
        return np.asarray(X @ self.coef_[0] + self.intercept_[0])

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Classes, (Q,)."""
        positive = self.decision_function(X) > 0
        return np.asarray(self.classes_[positive.astype(int)])

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Fraction of rows, weighted if weights are given, whose class is predicted."""
        return float(super().score(X, y, sample_weight))


class _LogisticClassifier(_BinaryClassifier):
    """One whose z is a logit."""

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities of the two classes by the logistic model, (Q, 2)."""
        p = expit(self.decision_function(X))
        return np.stack([1 - p, p], axis=1)


class FixedNormClassifier(_LogisticClassifier):
    r"""Logistic regression at a given norm of the weights, in place of a penalty.

    Minimises the mean of log(1 + exp(-y z)), z = x.coef + intercept, with \|coef\| = 2 lam (of
    scaled inputs if ``scale`` is given): lam is the norm of the theory in `replica` and of
    `minimize_at_norm`. Where the unconstrained minimiser has a smaller norm, that is the answer
    (``constrained_`` is False).

    Parameters
    ----------
    lam : float
        The largest norm, positive.
    intercept : bool
        Fit a threshold, which is no part of the norm.
    scale : {None, "standard", "unit"} or float
        As of `perceptron.examples`.
    tolerance : float
        On the angle of the gradient, see `minimize_at_norm`.

    Attributes
    ----------
    classes_ : (2,) array
    coef_ : (1, N) array
    intercept_ : (1,) array
        In the units of X.
    norm_ : float
        lam, or that of the unconstrained minimiser.
    constrained_ : bool
        Whether ``lam`` was reached.
    stability_ : float
        Smallest margin on the examples at \|w\|^2 = N, of scaled inputs; positive if these
        weights separate them.
    n_iter_ : int
        Newton steps.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from perceptron.estimators import FixedNormClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> fitted = FixedNormClassifier(lam=1.0, scale="standard").fit(X, y)
    >>> round(fitted.score(X, y), 3)
    0.984
    """

    def __init__(
        self,
        lam: float = 1.0,
        *,
        intercept: bool = True,
        scale: str | float | None = None,
        tolerance: float = 1e-6,
    ):
        self.lam = lam
        self.intercept = intercept
        self.scale = scale
        self.tolerance = tolerance

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit; errors are those of `perceptron.examples` and `minimize_at_norm`."""
        _, _, data = self._read(X, y)
        lam = arguments.number("lam", self.lam, arguments.POSITIVE)
        (learned,) = _within(data, [lam], self.tolerance)
        self.constrained_ = learned.norm == lam
        self.n_iter_ = max(1, learned.steps)
        return self._keep(data, learned)


class FixedNormClassifierCV(_LogisticClassifier):
    r"""`FixedNormClassifier` at the norm that cross-validation likes best.

    On each fold the whole path of norms is followed, each minimiser starting the next.

    Parameters
    ----------
    lams : int or (K,) array
        The norms, or how many: then from 0.01 to 100 in equal ratios.
    intercept, scale, tolerance
        As of `FixedNormClassifier`.
    cv : int or splitter, optional
        Folds, as everywhere in scikit-learn; 5 by default.
    scoring : str or callable, optional
        Accuracy by default.

    Attributes
    ----------
    classes_, coef_, intercept_, norm_, stability_, n_iter_
        As of `FixedNormClassifier`, refitted on all examples.
    lam_ : float
        The best norm.
    lams_ : (K,) array
        Ascending.
    scores_ : (F, K) array
        Of each fold at each norm.
    coefs_paths_ : (F, K, N + 1) array
        Coefficients of each fold and norm, the intercept last.
    """

    def __init__(
        self,
        lams: int | ArrayLike = 20,
        *,
        intercept: bool = True,
        scale: str | float | None = None,
        tolerance: float = 1e-6,
        cv: Any = None,
        scoring: Any = None,
    ):
        self.lams = lams
        self.intercept = intercept
        self.scale = scale
        self.tolerance = tolerance
        self.cv = cv
        self.scoring = scoring

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Follow the path on every fold, choose, and refit."""
        table, labels, data = self._read(X, y)
        self.lams_ = _norms(self.lams)
        folds = list(check_cv(self.cv, labels, classifier=True).split(table, labels))
        score = get_scorer("accuracy" if self.scoring is None else self.scoring)
        judge = FixedNormClassifier()
        judge.classes_, judge.n_features_in_ = self.classes_, self.n_features_in_
        shape = (len(folds), len(self.lams_))
        self.scores_ = np.empty(shape)
        self.coefs_paths_ = np.empty((*shape, data.N + 1))
        for f, (train, test) in enumerate(folds):
            part = examples(table[train], labels[train], intercept=self.intercept, scale=self.scale)
            for k, learned in enumerate(_within(part, self.lams_, self.tolerance)):
                coef, intercept = _coefficients(part, learned, 2.0 * learned.norm)
                judge.coef_, judge.intercept_ = coef[None, :], np.array([intercept])
                self.scores_[f, k] = score(judge, table[test], labels[test])
                self.coefs_paths_[f, k] = np.append(coef, intercept)
        self.lam_ = float(self.lams_[int(np.argmax(self.scores_.mean(axis=0)))])
        (learned,) = _within(data, [self.lam_], self.tolerance)
        self.n_iter_ = max(1, learned.steps)
        return self._keep(data, learned)


class MaxStabilityClassifier(_BinaryClassifier):
    r"""The hard-margin classifier, exact: weights with the largest smallest margin.

    Parameters
    ----------
    intercept, scale
        As of `FixedNormClassifier`.
    tolerance : float
        On the duality gap, see `max_stability`.
    not_separable : {"refuse", "logistic"}
        What becomes of examples that no weights separate: an error with its proof, or, with a
        warning, the unconstrained minimiser of the logistic loss.

    Attributes
    ----------
    classes_, coef_, intercept_
        z is 1 on the support.
    stability_ : float
        kappa, the smallest margin at \|w\|^2 = N, of scaled inputs.
    separable_ : bool
    support_ : (S,) int array
        Rows of the table whose margin is kappa.
    """

    def __init__(
        self,
        *,
        intercept: bool = True,
        scale: str | float | None = None,
        tolerance: float = 1e-10,
        not_separable: str = "logistic",
    ):
        self.intercept = intercept
        self.scale = scale
        self.tolerance = tolerance
        self.not_separable = not_separable

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit; raises `NotSeparable` if that is asked for."""
        _, _, data = self._read(X, y)
        way = arguments.word("not_separable", self.not_separable, ("refuse", "logistic"))
        try:
            stable = max_stability(data, tolerance=self.tolerance)
        except NotSeparable as error:
            if way == "refuse":
                raise
            warnings.warn(f"{error}; the logistic loss has a minimum", ConvergenceWarning, 2)
            size = float(np.sqrt(np.mean(np.square(data.inputs, dtype=np.float64)))) or 1.0
            (learned,) = _within(data, [FAR / size], 1e-6)
            self.separable_, self.support_ = False, np.zeros(0, dtype=np.intp)
            return self._keep(data, learned)
        self._keep(data, stable)
        coef, intercept = _coefficients(data, stable, 1 / stable.stability)
        self.coef_, self.intercept_ = coef[None, :], np.array([intercept])
        self.separable_, self.support_ = True, stable.support
        return self


def _coefficients(data: Examples, learned: Learned, factor: float) -> tuple[Array, float]:
    """``factor`` times the field as a linear function of a row of the table."""
    coef = learned.weights * (factor / np.sqrt(data.N))
    intercept = factor * learned.intercept
    table = data.table
    if table is not None:
        if table.unit is not None:
            coef = coef / table.unit
        if table.centre is not None:
            intercept -= float(coef @ table.centre)
    return coef, intercept


def _norms(lams: int | ArrayLike) -> Array:
    """Ascending, different and positive."""
    if isinstance(lams, int | np.integer) and not isinstance(lams, bool):
        return np.geomspace(0.01, 100.0, arguments.whole("lams", lams, 1, 10**4))
    values = np.unique(arguments.numbers("lams", lams))
    if values.size == 0 or not np.all(arguments.POSITIVE.holds(values)):
        raise InvalidArgument("lams", "must be a number of norms, or positive norms", repr(lams))
    return values


def _within(data: Examples, lams: ArrayLike, tolerance: float) -> list[Any]:
    """Minimisers among all weights of norm up to each of ``lams``, ascending."""
    tolerance = arguments.number("tolerance", tolerance, ranges.tolerance(0.1))
    found: list[Any] = []
    end: Any = None
    for lam in np.asarray(lams, dtype=float).tolist():
        if end is not None:  # the unconstrained minimiser was reached before
            found.append(end)
            continue
        start = found[-1].weights if found else None
        try:
            found.append(minimize_at_norm(data, lam, start=start, tolerance=tolerance))
        except NoMinimiser as error:
            if not 0 < error.limit < np.inf:
                raise
            inside = error.limit * (1 - INSIDE)
            end = minimize_at_norm(data, inside, start=start, tolerance=1e-4)
            found.append(end)
    return found
