"""The scikit-learn estimators: its own checks, and what they say of known problems."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from perceptron import NotSeparable, examples, minimize_at_norm
from perceptron.estimators import (
    FixedNormClassifier,
    FixedNormClassifierCV,
    MaxStabilityClassifier,
)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Can't check dok sparse matrix")
@parametrize_with_checks(
    [FixedNormClassifier(), FixedNormClassifierCV(lams=3, cv=2), MaxStabilityClassifier()]
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


def table(seed=0, rows=200, shift=0.7):
    rng = np.random.default_rng(seed)
    y = rng.random(rows) < 0.35
    x = rng.standard_normal((rows, 5)) * [1, 2, 0.5, 1, 3] + shift * np.where(y, 1, -1)[:, None]
    return x + np.array([3, 0, -1, 0, 10]), np.where(y, "ill", "well")


@pytest.mark.parametrize("scale", [None, "standard", "unit"])
def test_coefficients_are_those_of_the_minimiser(scale):
    x, y = table()
    fitted = FixedNormClassifier(lam=0.3, scale=scale).fit(x, y)
    learned = minimize_at_norm(examples(x, y, intercept=True, scale=scale), 0.3, tolerance=1e-6)
    assert fitted.constrained_
    z = fitted.decision_function(x)
    assert z == pytest.approx(0.6 * learned.decision_function(x), rel=1e-9, abs=1e-9)
    assert np.array_equal(fitted.predict(x), learned.predict(x))
    assert fitted.predict_proba(x)[:, 1] == pytest.approx(1 / (1 + np.exp(-z)))
    if scale is None:
        assert np.linalg.norm(fitted.coef_) == pytest.approx(0.6)


def test_beyond_the_unconstrained_minimiser_is_logistic_regression():
    x, y = table()
    fitted = FixedNormClassifier(lam=100.0).fit(x, y)
    free = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10**4).fit(x, y)
    assert not fitted.constrained_
    assert fitted.coef_ == pytest.approx(free.coef_, rel=1e-4)
    assert fitted.intercept_ == pytest.approx(free.intercept_, rel=1e-4)


def test_a_norm_is_a_ridge():
    """At the norm of a ridge solution the same weights come out."""
    x, y = table()
    ridge = LogisticRegression(C=0.05, tol=1e-12, max_iter=10**4).fit(x, y)
    fitted = FixedNormClassifier(lam=np.linalg.norm(ridge.coef_) / 2, tolerance=1e-9).fit(x, y)
    assert fitted.coef_ == pytest.approx(ridge.coef_, rel=1e-5, abs=1e-6)


def test_the_hard_margin():
    x, y = table(shift=4.0)
    fitted = MaxStabilityClassifier().fit(x, y)
    hard = SVC(kernel="linear", C=1e10, tol=1e-10).fit(x, y)
    assert fitted.separable_
    assert fitted.coef_ == pytest.approx(
        -hard.coef_ * np.sign(hard.coef_ @ fitted.coef_[0] * -1)[0]
    )
    assert np.array_equal(np.sort(fitted.support_), np.sort(hard.support_))
    on = fitted.decision_function(x[fitted.support_])
    assert np.abs(on) == pytest.approx(1)


def test_not_separable():
    x, y = table()
    with pytest.raises(NotSeparable):
        MaxStabilityClassifier(not_separable="refuse").fit(x, y)
    with pytest.warns(ConvergenceWarning, match="separable"):
        fitted = MaxStabilityClassifier().fit(x, y)
    assert not fitted.separable_
    assert fitted.coef_ == pytest.approx(FixedNormClassifier(lam=100.0).fit(x, y).coef_, rel=1e-3)


def test_the_path_of_cross_validation():
    x, y = table(rows=300)
    lams = [0.01, 0.1, 1.0, 10.0]
    path = FixedNormClassifierCV(lams, cv=4).fit(x, y)
    assert path.scores_.shape == (4, 4)
    search = GridSearchCV(FixedNormClassifier(), {"lam": lams}, cv=4).fit(x, y)
    assert path.scores_.mean(axis=0) == pytest.approx(
        search.cv_results_["mean_test_score"], abs=1e-12
    )
    assert path.lam_ == search.best_params_["lam"]
    assert path.coef_ == pytest.approx(search.best_estimator_.coef_, rel=1e-5)
    assert path.coefs_paths_.shape == (4, 4, 6)


def test_a_real_table():
    x, y = load_breast_cancer(return_X_y=True)
    model = FixedNormClassifierCV(5, scale="standard").fit(x, y)
    assert model.score(x, y) > 0.97
