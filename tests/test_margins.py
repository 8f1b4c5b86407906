"""P(Delta): one distribution, seen through density, quantiles, moments and samples."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive import average, proximal
from rounding import gamma
from scipy.integrate import quad

from replica import (
    Exponential,
    HardMargin,
    Hinge,
    Linear,
    Logistic,
    LogisticTeacher,
    Problem,
    RandomLabels,
    SmoothLoss,
    Square,
    SquaredHinge,
    Teacher,
    logistic_storage,
    logistic_teacher_student,
    max_stability,
    solve,
)

#: Of the sum of a mixture's weights: 28 noise levels at most, each weight a product.
MIXTURE = gamma(2 * 28)
QUARTIC = SmoothLoss(
    V=lambda d: (d - 3) ** 4 / 4, dV=lambda d: (d - 3) ** 3, d2V=lambda d: 3 * (d - 3) ** 2
)
CASES = {
    "logistic": Problem(5.0, Logistic(4.5)),
    "logistic, sharp": Problem(0.4, Logistic(50.0), RandomLabels()),
    "logistic, flips": Problem(5.0, Logistic(0.7), Teacher(label_flip=0.1)),
    "logistic, noise": Problem(2.0, Logistic(1.0), Teacher(label_flip=0.05, label_noise=0.5)),
    "logistic teacher": Problem(2.0, Logistic(1.0), LogisticTeacher(2.0)),
    "exponential": Problem(1.0, Exponential(2.0)),
    "linear": Problem(3.0, Linear()),
    "hinge": Problem(2.0, Hinge(1.2)),
    "squared hinge": Problem(2.0, SquaredHinge(1.2)),
    "square": Problem(2.0, Square(1.5)),
    "hard margin": Problem(2.0, HardMargin()),
    "own loss": Problem(2.0, QUARTIC),
}


@pytest.fixture(params=CASES, scope="module")
def solution(request):
    return solve(CASES[request.param])


def noise_of(solution):
    teacher = solution.problem.teacher
    if isinstance(teacher, RandomLabels):
        return {"flip": 0.5}
    return {"flip": teacher.label_flip, "sigma": teacher.label_noise}


def pieces(margins):
    """Where the density may jump, for quad."""
    inner = margins.quantile(np.array([1e-13, 1e-6, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1 - 1e-6]))
    ends = np.unique(np.append(inner, [inner[-1] + 6.0, *np.atleast_1d(margins.atom.position)]))
    return ends[np.isfinite(ends)]


def expectation(margins, function):
    cuts = pieces(margins)
    total = sum(
        quad(lambda d: margins.pdf(d) * function(d), a, b, epsabs=1e-12, epsrel=1e-11, limit=200)[0]
        for a, b in itertools.pairwise(cuts)
    )
    atom = margins.atom
    return total + (atom.weight * function(atom.position) if atom.weight > 0 else 0.0)


def test_density_integrates_to_one(solution):
    assert expectation(solution.margins, lambda d: 1.0) == pytest.approx(1, abs=1e-9)


def test_mean_and_variance(solution):
    margins = solution.margins
    mean = expectation(margins, lambda d: d)
    assert margins.mean() == pytest.approx(mean, rel=1e-8, abs=1e-9)
    var = expectation(margins, lambda d: (d - mean) ** 2)
    assert margins.var() == pytest.approx(var, rel=1e-7)


def test_mean_of_the_loss_is_the_training_loss(solution):
    if isinstance(solution.problem.loss, HardMargin):
        assert solution.train_loss == 0
        return
    loss = expectation(solution.margins, lambda d: float(solution.problem.loss.value(d)))
    assert solution.train_loss == pytest.approx(loss, rel=1e-7, abs=1e-12)


def test_mass_below_zero_is_the_training_error(solution):
    assert solution.margins.cdf(0.0) == pytest.approx(solution.train_error, rel=1e-9, abs=1e-14)


def test_cdf_is_the_integral_of_the_density(solution):
    margins = solution.margins
    low, high = margins.quantile(0.6), margins.quantile(0.95)
    mass = quad(margins.pdf, low, high, epsabs=1e-12)[0]
    assert margins.cdf(high) - margins.cdf(low) == pytest.approx(mass, abs=1e-9)
    assert margins.cdf(-np.inf) == 0
    assert margins.cdf(np.inf) == pytest.approx(1, abs=MIXTURE)


def test_quantile_inverts_cdf(solution):
    margins = solution.margins
    p = np.array([1e-9, 1e-3, 0.2, 0.5, 0.8, 0.999])
    d = margins.quantile(p)
    assert np.all(np.diff(d) >= 0)
    on_atom = d == margins.atom.position
    np.testing.assert_allclose(margins.cdf(d)[~on_atom], p[~on_atom], rtol=1e-9)
    assert np.all(margins.cdf(d)[on_atom] >= p[on_atom])
    assert margins.quantile(1.0) == np.inf


def test_samples_follow_the_distribution(solution):
    """Kolmogorov's distance of n samples: 1.95/sqrt(n) is exceeded once in a thousand."""
    margins = solution.margins
    n = 20_000
    draw = np.sort(margins.sample(n, seed=3))
    assert draw.shape == (n,)
    continuous = draw[draw != margins.atom.position]
    rank = np.searchsorted(draw, continuous, side="right") / n
    assert np.max(np.abs(margins.cdf(continuous) - rank)) < 1.95 / np.sqrt(n)
    atom = np.mean(draw == margins.atom.position)
    assert abs(atom - margins.atom.weight) < 4 / np.sqrt(n)
    np.testing.assert_array_equal(margins.sample(5, seed=1), margins.sample(5, seed=1))
    assert np.any(margins.sample(5, seed=1) != margins.sample(5, seed=2))


def test_a_wrong_distribution_would_be_noticed():
    """Control of the test above: the margins at twice the norm do not pass."""
    n = 20_000
    draw = np.sort(logistic_teacher_student(5.0, 9.0).margins.sample(n, seed=3))
    cdf = logistic_teacher_student(5.0, 4.5).margins.cdf(draw)
    assert np.max(np.abs(cdf - np.arange(1, n + 1) / n)) > 1.95 / np.sqrt(n)


@pytest.mark.parametrize("name", sorted(set(CASES) - {"hard margin", "logistic teacher"}))
def test_mean_margin_against_a_plain_integral(name):
    solution = solve(CASES[name])
    loss, x = solution.problem.loss, np.exp(solution.log_x)
    kinks = [loss.margin - x, loss.margin] if hasattr(loss, "margin") else []
    mean = average(
        lambda t: proximal(loss, x, t), solution.overlap, breaks=kinks, **noise_of(solution)
    )
    assert solution.margins.mean() == pytest.approx(mean, rel=1e-7)


@given(st.floats(-3, 8), st.floats(-6, 6))
def test_density_and_moments_over_the_plane(log_alpha, log_lam):
    """Mean of the margins as E[t] + E[u], from quantiles: int_0^1 quantile(p) dp."""
    solution = logistic_teacher_student(10.0**log_alpha, 10.0**log_lam)
    margins = solution.margins
    node, weight = np.polynomial.legendre.leggauss(200)
    # p = sin^2 takes the endpoint singularities of the quantile away
    theta = (node + 1) * np.pi / 4
    p, dp = np.sin(theta) ** 2, np.sin(2 * theta) * weight * np.pi / 4
    mean = np.sum(margins.quantile(p) * dp)
    assert margins.mean() == pytest.approx(mean, rel=1e-4)
    assert margins.var() > 0


def test_variance_survives_where_it_is_tiny():
    """At alpha = 0.01, lam = 1e4 all margins crowd at kappa: var/mean^2 is 1e-9."""
    margins = logistic_teacher_student(0.01, 1e4).margins
    spread = margins.quantile([0.16, 0.84])
    assert 0 < margins.var() < 1e-7
    assert margins.var() ** 0.5 == pytest.approx(np.diff(spread)[0] / 2, rel=0.3)


def test_atom_of_maximum_stability():
    margins = max_stability(5.0).margins
    kappa = margins.atom.position
    assert margins.pdf(kappa - 1e-9) == 0
    assert margins.cdf(kappa - 1e-9) == 0
    assert margins.cdf(kappa) == pytest.approx(margins.atom.weight, rel=1e-12)
    assert margins.quantile(0.5 * margins.atom.weight) == kappa
    # finite lam approaches it: the same mass within a few 1/lam of kappa
    sharp = logistic_teacher_student(5.0, 1e5).margins
    assert sharp.cdf(kappa + 1e-3) == pytest.approx(margins.cdf(kappa + 1e-3), abs=1e-3)
    assert np.isnan(logistic_storage(0.4, 1.0).margins.atom.position)


def test_methods_broadcast_against_the_solution():
    path = logistic_teacher_student(5.0, [0.0, 1.0, np.inf, -1.0])
    at = np.array([0.1, 0.5])[:, None]
    density = path.margins.pdf(at)
    assert density.shape == (2, 4)
    for j, lam in enumerate([0.0, 1.0, np.inf]):
        one = logistic_teacher_student(5.0, lam).margins
        np.testing.assert_array_equal(density[:, j], one.pdf(at[:, 0]))
        assert path.margins.mean()[j] == one.mean()
        assert path[j].margins.quantile(0.3) == one.quantile(0.3)
    assert np.isnan(density[:, 3]).all()
    assert path.margins.sample(7, seed=0).shape == (7, 4)


def test_bad_arguments():
    margins = logistic_teacher_student(5.0, [1.0, 2.0]).margins
    with pytest.raises(ValueError, match=r"`p` must lie in \[0, 1\]; got 1.5"):
        margins.quantile([0.5, 1.5])
    with pytest.raises(ValueError, match="`size` must be non-negative; got -1"):
        margins.sample(-1)
    with pytest.raises(ValueError, match="`margin` must broadcast against the solution's shape"):
        margins.pdf([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="`margin` must be a real number"):
        margins.cdf("wide")
