"""The selector of C: scikit-learn's own checks, and what it chooses."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from replica import predict_learning_curve
from replica.prediction.estimators import PredictedC


@pytest.mark.slow  # a second each, some fifty of them
@parametrize_with_checks([PredictedC()])
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


def table(rows, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.random(rows) < 0.4
    k = np.arange(1, 41.0)
    x = np.where(y, 1, -1)[:, None] * 0.2 * k**-0.6 + k**-0.6 * rng.standard_normal((rows, 40))
    return x, np.where(y, "ill", "well")


def test_it_is_logistic_regression_at_the_predicted_c():
    x, y = table(150)
    found = PredictedC().fit(x, y)
    right = predict_learning_curve(x, y, [150], check=False).best_C[0]
    assert found.predicted_
    assert pytest.approx(right, rel=1e-6) == found.C_
    model = LogisticRegression(C=right, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(found.coef_, model.coef_, rtol=1e-3, atol=1e-5)
    # and near the best of all C on new rows: within a tenth of its error
    new, labels = table(20000, 1)
    errors = [
        1 - LogisticRegression(C=c, max_iter=1000).fit(x, y).score(new, labels)
        for c in np.geomspace(1e-3, 1e3, 13)
    ]
    assert 1 - found.score(new, labels) < 1.1 * min(errors)
    assert max(errors) > 1.3 * min(errors)


def test_where_nothing_can_be_predicted_it_says_so():
    x, y = table(9)
    found = PredictedC().fit(x, y)
    assert not found.predicted_
    assert pytest.approx(10 / np.var(x, axis=0).sum()) == found.C_
