"""The population curve: laws of the minimiser of the mean loss, and digits from mpmath."""

import mpmath as mp
import numpy as np
import pytest
from grids import slow
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize
from scipy.special import expit, ndtr, zeta
from scipy.stats import norm

from replica import (
    Exponential,
    HardMargin,
    Hinge,
    Linear,
    Logistic,
    LogisticTeacher,
    RandomLabels,
    SmoothLoss,
    Square,
    SquaredHinge,
    Teacher,
    logistic_clusters,
    logistic_teacher_student,
)
from replica.common.arguments import InvalidArgument
from replica.inputs import Clusters, Isotropic, MarchenkoPastur, PowerLaw, Spectrum
from replica.population import population_curve

EPS = np.finfo(float).eps
OMEGA, POWER, SHARES = [3.0, 1.0, 0.2], [0.1, 1.0, 4.0], [0.2, 0.3, 0.5]
LIST = Spectrum(OMEGA, POWER, SHARES)
MEANS = [0.8, -0.3, 0.5]

# ------------------------------------------------------------------ the twin, in mpmath

#: V', V'' without what a kink adds, and kinks with the jumps of V', in z = lam' t.
LOSSES = {
    Logistic(1.0): (lambda z: -2 / (1 + mp.exp(2 * z)), lambda z: mp.sech(z) ** 2, ()),
    Exponential(1.0): (lambda z: -mp.exp(-z), lambda z: mp.exp(-z), ()),
    Square(1.0): (lambda z: z - 1, lambda z: mp.mpf(1), ()),
    Hinge(1.0): (lambda z: mp.mpf(-1 if z < 1 else 0), lambda z: mp.mpf(0), ((1, 1),)),
    SquaredHinge(1.0): (lambda z: min(z - 1, mp.mpf(0)), lambda z: mp.mpf(z < 1), ((1, 0),)),
}


def phi(t):
    return mp.exp(-t * t / 2) / mp.sqrt(2 * mp.pi)


def cut(scales, reach=12):
    ends = {mp.mpf(0), mp.mpf(reach), -mp.mpf(reach), mp.mpf(4), mp.mpf(-4), mp.mpf(1), mp.mpf(-1)}
    for scale in scales:
        for k in (-64, -16, -4, -1, 1, 4, 16, 64):
            if abs(k * scale) < reach:
                ends.add(k * scale)
    return ends


class Twin:
    """Eqs. (60), (61) as they stand, V'' integrated and nothing by parts."""

    def __init__(self, loss, lam, inputs, flip=0.0, sigma=0.0):
        self.force, self.curvature, self.kinks = LOSSES[loss]
        self.lam, self.inputs = mp.mpf(lam), inputs
        self.share, self.sigma = 1 - 2 * mp.mpf(flip), mp.mpf(sigma)
        nodes = inputs.nodes
        self.omega = [mp.mpf(x) for x in nodes.eigenvalue]
        self.distance = mp.sqrt(nodes.distance) if isinstance(inputs, Clusters) else None
        given = inputs.weights if inputs.weights is not None else np.ones(len(self.omega))
        if self.distance is not None:
            tau = [mp.mpf(p) * mp.mpf(m) ** 2 / w
                   for p, m, w in zip(given, inputs.mean, self.omega, strict=True)]  # fmt: skip
            self.distance = mp.sqrt(mp.fsum(tau))
        else:
            tau = [mp.mpf(p) * w * mp.mpf(x)
                   for p, w, x in zip(given, self.omega, inputs.teacher, strict=True)]  # fmt: skip
        self.tau = [t / mp.fsum(tau) for t in tau]

    def overlaps(self, log_mu):
        mu = mp.exp(log_mu)
        rho = [w / (mu + w) for w in self.omega]
        mean = mp.fsum(t * r for t, r in zip(self.tau, rho, strict=True))
        square = mp.fsum(t * r * r for t, r in zip(self.tau, rho, strict=True))
        spread = mp.fsum(t * (r - mean) ** 2 for t, r in zip(self.tau, rho, strict=True))
        by = mp.fsum(t * r * r / w for t, r, w in zip(self.tau, rho, self.omega, strict=True))
        return mean / mp.sqrt(square), mp.sqrt(spread / square), square / by, square

    def average(self, density, function, scale, kinks):
        ends = cut([scale, 1 / self.norm]) | {k for k in kinks if abs(k) < 12}
        return mp.quad(lambda t: density(t) * function(t), sorted(ends))

    def ratio(self, log_mu):
        """log of (b/G^) sqrt(E rho^2)."""
        R, s, Q, square = self.overlaps(log_mu)
        self.norm = L = self.lam * mp.sqrt(Q)
        kinks = [(mp.mpf(z) / L, jump) for z, jump in self.kinks]
        where = [z for z, _ in kinks]
        if self.distance is None:
            width = mp.sqrt(self.sigma**2 + s * s)
            c = R / width
            sk = 1 / mp.sqrt(1 + c * c)

            def weight(t):
                return phi(t) * (1 - self.share + self.share * mp.erfc(-c * t / mp.sqrt(2)))

            def narrow(t):
                return phi(t / sk) / sk

            b = mp.sqrt(2 / mp.pi) * self.share / mp.sqrt(1 + self.sigma**2)
            b *= self.average(narrow, lambda t: -self.force(L * t), sk, where)
        else:
            kappa, sk = self.distance * R, mp.mpf(1)

            def weight(t):
                return phi(t - kappa)

            b = self.distance * self.average(weight, lambda t: -self.force(L * t), sk, where)
        g = L * self.average(weight, lambda t: self.curvature(L * t), sk, where)
        g += mp.fsum(jump * weight(z) for z, jump in kinks)
        return mp.log(b * mp.sqrt(square) / g)

    def error(self, near):
        # one secant step from a root good to 1e-12 or so
        here, there = self.ratio(near), self.ratio(near + mp.mpf("1e-6"))
        log_mu = near - mp.mpf("1e-6") * here / (there - here)
        R, s, _, _ = self.overlaps(log_mu)
        if self.distance is not None:
            return mp.erfc(self.distance * R / mp.sqrt(2)) / 2
        return mp.atan(s / R) / mp.pi


CLUSTERS = Clusters(OMEGA, MEANS)
POINTS = [
    (Logistic(1.0), 1e-6, LIST, {}), slow(Logistic(1.0), 1.0, LIST, {}),
    (Logistic(1.0), 1e6, LIST, {}), slow(Logistic(1.0), 1.5, LIST, {"flip": 0.125}),
    (Logistic(1.0), 3.0, LIST, {"flip": 0.015625, "sigma": 0.25}),
    slow(Exponential(1.0), 1.0, LIST, {}), (Exponential(1.0), 1e4, LIST, {}),
    (Square(1.0), 1.0, LIST, {}), (Hinge(1.0), 0.2, LIST, {}),
    slow(Hinge(1.0), 1.0, LIST, {}), (Hinge(1.0), 1e4, LIST, {}),
    slow(SquaredHinge(1.0), 1.0, LIST, {}), (SquaredHinge(1.0), 1e3, LIST, {}),
    slow(Logistic(1.0), 1e-3, CLUSTERS, {}), (Logistic(1.0), 1.0, CLUSTERS, {}),
    (Hinge(1.0), 1.0, CLUSTERS, {}), slow(Exponential(1.0), 0.5, CLUSTERS, {}),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "lam", "inputs", "noise"), POINTS)
def test_digits_and_error_estimate(loss, lam, inputs, noise):
    names = {"flip": "label_flip", "sigma": "label_noise"}
    given = {names[name]: value for name, value in noise.items()}
    found = population_curve(lam, inputs=inputs, loss=loss, **given)
    # eq. (61) cancels to 1e-12 at the longest norm, as its two sides tend to 1
    with mp.workdps(32):
        exact = Twin(loss, lam, inputs, **noise).error(mp.mpf(found.log_mu))
        error = abs(mp.mpf(found.generalization_error) / exact - 1)
    assert found.error_estimate < 1e-12
    assert error <= found.error_estimate


# --------------------------------------------------------------------------------- laws


def gaussian(function):
    """Average over a normal number: panels of half a unit, where all that is asked is smooth."""
    x, weight = np.polynomial.legendre.leggauss(12)
    t = (np.arange(-12, 12, 0.5)[:, None] + 0.25 * (1 + x)).ravel()
    return np.tile(0.25 * weight, 48) @ (norm.pdf(t) * function(t))


def mean_loss(w, lam, loss, flip):
    """E V(lam w.x), straight from the weights of a unit student, and their overlap."""
    p, omega, theta = np.array(SHARES), np.array(OMEGA), np.sqrt(POWER)
    theta = theta / np.sqrt(p @ (omega * theta**2))
    w = w / np.sqrt(p @ w**2)
    variance = p @ (omega * w**2)
    overlap = p @ (omega * w * theta) / np.sqrt(variance)
    size, c = lam * np.sqrt(variance), overlap / np.sqrt(1 - overlap**2)
    return overlap, gaussian(
        lambda t: (2 * flip + (1 - 2 * flip) * 2 * ndtr(c * t)) * loss.value(size * t)
    )


#: A search by values stops where they differ by less than this, and finds the place to about
#: the root of it.
FLAT = 1e-13
SEARCH = {"xatol": 1e-8, "fatol": FLAT, "maxiter": 2000}


@pytest.mark.parametrize(
    ("loss", "lam", "flip"),
    [(Logistic(1.0), 1.5, 0.0), (Logistic(1.0), 1.0, 0.1), (Square(1.0), 0.9, 0.0)],
)
def test_it_minimises_the_mean_loss(loss, lam, flip):
    found = population_curve(lam, inputs=LIST, loss=loss, label_flip=flip)
    best = minimize(
        lambda w: mean_loss(np.array([1.0, *w]), lam, loss, flip)[1],
        [1.0, 1.0], method="Nelder-Mead", options=SEARCH,
    )  # fmt: skip
    overlap, value = mean_loss(np.array([1.0, *best.x]), lam, loss, flip)
    assert found.overlap == pytest.approx(overlap, abs=30 * FLAT**0.5)
    # and the weights of eq. (59) are no worse
    mu, omega = np.exp(found.log_mu), np.array(OMEGA)
    again, least = mean_loss(omega * np.sqrt(POWER) / (mu + omega), lam, loss, flip)
    assert again == pytest.approx(found.overlap, rel=20 * EPS)
    assert least <= value + FLAT


def test_clusters_of_unequal_size_minimise_the_mean_loss():
    inputs, lam = Clusters(OMEGA, MEANS, positive=0.2), 0.7
    found = population_curve(lam, inputs=inputs)

    def field(w):
        w = np.array([1.0, *w])
        w = lam * w / np.linalg.norm(w)
        return np.sqrt(np.array(OMEGA) @ w**2), np.array(MEANS) @ w

    def loss(x):
        size, centre = field(x[:2])
        return 0.2 * gaussian(
            lambda t: np.logaddexp(0, -2 * (centre + x[2] + size * t))
        ) + 0.8 * gaussian(lambda t: np.logaddexp(0, -2 * (centre - x[2] + size * t)))

    best = minimize(loss, [-0.3, 1.0, 0.0], method="Nelder-Mead", options=SEARCH)
    size, centre = field(best.x[:2])
    assert found.field_norm == pytest.approx(size, abs=30 * FLAT**0.5)
    assert found.intercept == pytest.approx(best.x[2] / size, abs=30 * FLAT**0.5)
    error = 0.2 * ndtr(-(centre + best.x[2]) / size) + 0.8 * ndtr((-centre + best.x[2]) / size)
    assert found.generalization_error == pytest.approx(error, abs=30 * FLAT**0.5)


@given(st.floats(1.1, 8), st.floats(0.05, 0.95).filter(lambda r: abs(r - 0.5) > 0.05))
def test_power_law_of_the_norm(capacity, source):
    """eps ~ lam^-2r: gamma_1 = 2r up to r = 1, whatever the capacity."""
    lam = np.array([1e5, 2e5, 1e6, 2e6])
    log_error = np.log(
        population_curve(lam, inputs=PowerLaw(capacity, source)).generalization_error
    )
    slopes = (log_error[1::2] - log_error[::2]) / np.log(2)
    # corrections fall like powers of lam: nearer at the larger norm
    assert slopes[1] == pytest.approx(-2 * source, abs=0.1)
    assert abs(slopes[1] + 2 * source) < abs(slopes[0] + 2 * source) + 1e-9


def early_constant(capacity, source):
    """C of eq. (74), by scipy."""
    a, r = capacity, source

    def force(z):
        return 2 * expit(-2 * z)

    x, weight = np.polynomial.legendre.leggauss(20)

    def integral(function, low, high):
        """Over panels one wide; nothing asked here changes on a smaller scale."""
        edges = np.linspace(low, high, int(np.ceil(high - low)) + 1)
        half = np.diff(edges)[:, None] / 2
        return np.sum(half * weight * function(edges[:-1, None] + half * (1 + x)))

    def excess(log_ell):
        ell = np.exp(log_ell)
        e = integral(lambda t: ndtr(t) * 2 * t * force(ell * t), -12, 12 + 25 / ell)
        b = integral(lambda z: norm.pdf(z) * force(ell * z), -12, 12)
        return e / (2 * b) - 2 * r / (1 - 2 * r)

    ell = np.exp(brentq(excess, np.log(0.02), np.log(3.0), xtol=1e-12))
    square = (1 - 2 * r) * np.pi / (a * zeta(1 + 2 * a * r) * np.sin(2 * np.pi * r))
    return np.sqrt(square) / np.pi * (2 * r * ell**2 / (1 - 2 * r)) ** r


@pytest.mark.parametrize(("capacity", "source"), [(1.5, 0.3), (3.0, 0.15), (2.0, 0.25), (1.2, 0.4)])
def test_constant_of_the_power_law_in_closed_form(capacity, source):
    """The early law of structured inputs, eq. (74)."""
    lam = np.array([1e4, 1e6, 1e8])
    found = population_curve(lam, inputs=PowerLaw(capacity, source))
    ratio = found.generalization_error * lam ** (2 * source) / early_constant(capacity, source)
    assert abs(ratio[2] - 1) < 2e-3
    assert abs(ratio[2] - 1) <= abs(ratio[1] - 1) <= abs(ratio[0] - 1)


def test_digits_that_finite_numbers_of_examples_tend_to():
    """At P = 1e5 the full equations give 0.1234 and 0.0755, and approach like 1/P."""
    found = population_curve([1.0, 3.0], inputs=PowerLaw(1.5, 0.3))
    np.testing.assert_allclose(found.generalization_error, [0.1234, 0.0755], atol=2e-4)


@pytest.mark.parametrize(
    ("inputs", "lam"),
    [(PowerLaw(1.5, 0.3), 1.0), (PowerLaw(3.0, 0.7), 4.0), (LIST, 2.0), (MarchenkoPastur(0.5), 1.0),
     (CLUSTERS, 0.7), (Clusters(OMEGA, MEANS, positive=0.2), 0.7)],
)  # fmt: skip
def test_it_is_where_the_full_equations_end(inputs, lam):
    """Two codes that share no integral: what is left of their difference falls like 1/P."""
    limit = population_curve(lam, inputs=inputs)
    solve = logistic_clusters if isinstance(inputs, Clusters) else logistic_teacher_student
    P = 10.0 ** np.array([5, 6, 7])
    full = solve(P, lam, inputs=inputs)
    scaled = P * (full.generalization_error / limit.generalization_error - 1)
    # P times the relative error of both, and a tenth of the next order, 1/P^2
    known = P[2] * (limit.error_estimate + full.error_estimate.max())
    assert abs(scaled[2] - scaled[1]) < 0.15 * abs(scaled[1] - scaled[0]) + known
    assert known < 1e-3 * abs(scaled[2])


@settings(max_examples=5)
@given(st.floats(0.2, 20))
def test_the_right_model_is_unconstrained_at_its_own_slope(slope):
    """Logistic labels, logistic loss: 2 lam' = slope where the norm no longer pays, eq. (64)."""
    nodes = LIST.nodes
    limit = slope / 2 * np.sqrt(nodes.signal @ (1 / nodes.eigenvalue))
    teacher = LogisticTeacher(slope)
    with pytest.raises(ValueError, match=f"must be below {limit:.6g}"[:-1]):
        population_curve(limit * (1 + 1e-6), inputs=LIST, teacher=teacher)
    found = population_curve(limit * (1 - 1e-4), inputs=LIST, teacher=teacher)
    assert found.field_norm == pytest.approx(slope / 2, rel=1e-3)
    assert found.one_minus_overlap < 1e-4


@pytest.mark.parametrize("positive", [0.5, 0.2])
def test_clusters_end_in_the_discriminant_of_fisher(positive):
    """Logistic loss without a bound on the norm is Bayes-optimal, section 10."""
    inputs = Clusters(OMEGA, MEANS, positive=positive)
    distance = np.sqrt(np.sum(np.square(MEANS) / OMEGA))
    limit = distance * np.sqrt(inputs.nodes.signal @ (1 / np.array(OMEGA)))
    found = population_curve(limit * (1 - 1e-7), inputs=inputs)
    odds = np.log(positive / (1 - positive))
    # the norm falls short by 1e-7, and the error is stationary there
    assert found.field_norm == pytest.approx(distance, rel=1e-6)
    assert found.intercept == pytest.approx(odds / (2 * distance), rel=1e-5, abs=1e-12)
    beta = odds / (2 * distance)
    best = positive * ndtr(-distance - beta) + (1 - positive) * ndtr(-distance + beta)
    assert found.generalization_error == pytest.approx(best, rel=1e-10)
    with pytest.raises(ValueError, match=r"`lam` must be below .* unconstrained minimiser"):
        population_curve(limit * (1 + 1e-6), inputs=inputs)


def test_hebb_is_the_end_at_no_norm():
    nodes = LIST.nodes
    mean, square = nodes.signal @ nodes.eigenvalue, nodes.signal @ nodes.eigenvalue**2
    hebb = population_curve(0.0, inputs=LIST)
    assert hebb.overlap == pytest.approx(mean / np.sqrt(square), rel=8 * EPS)
    assert hebb.input_variance == pytest.approx(square / mean, rel=8 * EPS)
    assert np.isinf(hebb.log_mu)
    # at 1e-9 the correction is of that size
    near = population_curve(1e-9, inputs=LIST)
    assert near.generalization_error == pytest.approx(hebb.generalization_error, rel=1e-8)
    # a straight line learns as Hebb does at any norm; a hinge as long as its kink is out of sight
    for loss, lam in ((Linear(), 30.0), (Hinge(1.0), 1e-3)):
        other = population_curve(lam, inputs=LIST, loss=loss)
        assert other.generalization_error == pytest.approx(hebb.generalization_error, rel=8 * EPS)


@settings(max_examples=12)
@given(st.floats(-3, 3), st.sampled_from([Logistic(1.0), Hinge(1.0), Exponential(1.0)]))
def test_splitting_a_mode_changes_nothing(log_lam, loss):
    split = Spectrum([*OMEGA, 0.2], [*POWER, 4.0], [0.2, 0.3, 0.125, 0.375])
    one, two = (population_curve(10.0**log_lam, inputs=i, loss=loss) for i in (LIST, split))
    assert one.generalization_error == pytest.approx(
        two.generalization_error, rel=one.error_estimate + two.error_estimate
    )


def test_longer_weights_err_less_while_labels_are_clean():
    lam = np.geomspace(1e-3, 1e6, 60)
    for inputs in (LIST, PowerLaw(1.5, 0.3), PowerLaw(3.0, 0.8), MarchenkoPastur(0.7)):
        found = population_curve(lam, inputs=inputs)
        assert np.all(np.diff(found.generalization_error) < 0)
        assert np.all(np.diff(found.field_norm) > 0)
        assert np.all(found.error_estimate < 1e-12)
        np.testing.assert_allclose(
            found.field_norm, lam * np.sqrt(found.input_variance), rtol=4 * EPS
        )


def test_the_unit_of_the_inputs_is_that_of_the_norm():
    """Inputs of twice the size and weights of half the size are the same fields."""
    double = Spectrum(4 * np.array(OMEGA), POWER, SHARES)
    one, two = population_curve(3.0, inputs=LIST), population_curve(1.5, inputs=double)
    assert one.generalization_error == pytest.approx(
        two.generalization_error, rel=one.error_estimate + two.error_estimate
    )
    # and so are a sharper loss and a longer student
    sharp = population_curve(1.5, inputs=LIST, loss=Logistic(2.0))
    assert one.generalization_error == pytest.approx(
        sharp.generalization_error, rel=one.error_estimate + sharp.error_estimate
    )


def test_a_user_s_loss_is_solved_as_its_twin():
    mine = SmoothLoss(
        lambda d: np.logaddexp(0, -2 * d), lambda d: -2 * expit(-2 * d),
        lambda d: 4 * expit(2 * d) * expit(-2 * d),
    )  # fmt: skip
    lam = np.array([1e-3, 1.0, 1e3])
    one = population_curve(lam, inputs=LIST)
    two = population_curve(lam, inputs=LIST, loss=mine)
    np.testing.assert_allclose(
        one.generalization_error, two.generalization_error,
        rtol=float(np.max(one.error_estimate + two.error_estimate)),
    )  # fmt: skip


def test_teachers_and_their_short_forms():
    one = population_curve(1.0, inputs=LIST, label_flip=0.1, label_noise=0.2)
    two = population_curve(1.0, inputs=LIST, teacher=Teacher(label_flip=0.1, label_noise=0.2))
    assert one == two


# ------------------------------------------------------------------------ arrays, refusals


def test_arrays_are_their_entries():
    lam, flip = np.array([0.5, 1.0, 50.0]), np.array([[0.0], [0.2]])
    found = population_curve(lam, inputs=LIST, label_flip=flip)
    assert found.shape == (2, 3)
    assert found.status[1, 2].startswith("`lam` must be below 1.0943685, the norm of")
    assert np.isnan(found.generalization_error[1, 2])
    alone = population_curve(1.0, inputs=LIST, label_flip=0.2)
    assert isinstance(alone.generalization_error, float)
    # panels are laid for all points of a call together: another rule, the same answer
    assert found[1, 1].generalization_error == pytest.approx(
        alone.generalization_error, rel=2 * alone.error_estimate
    )
    margins = population_curve(1.0, inputs=LIST, loss=Hinge(np.array([0.5, 2.0])))
    assert margins.generalization_error[0] == pytest.approx(
        population_curve(2.0, inputs=LIST, loss=Hinge(1.0)).generalization_error, rel=1e-13
    )


@pytest.mark.parametrize(
    ("make", "argument", "message"),
    [
        (lambda: population_curve(1.0, inputs=Isotropic()), "inputs", "differ.*early_law"),
        (lambda: population_curve(1.0, inputs=Spectrum([2, 2], [1, 3])), "inputs", "differ"),
        (lambda: population_curve(1.0, inputs=[1, 2]), "inputs", "must be a Spectrum"),
        (
            lambda: population_curve(1.0, inputs=Clusters([1.0], [40.0])), "inputs",
            "overlap.*at most 37.*got 40",
        ),
        (lambda: population_curve(1.0, inputs=LIST, loss=HardMargin()), "loss", "have a limit"),
        (lambda: population_curve(1.0, inputs=LIST, loss="hinge"), "loss", "must be a Loss"),
        (lambda: population_curve(1.0, inputs=LIST, teacher=3), "teacher", "LogisticTeacher"),
        (
            lambda: population_curve(1.0, inputs=CLUSTERS, label_flip=0.1), "label_flip",
            "left out: clusters",
        ),
        (
            lambda: population_curve(1.0, inputs=LIST, label_flip=0.1, teacher=Teacher()),
            "teacher", "left out, or else",
        ),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_in_words(make, argument, message):
    with pytest.raises(InvalidArgument, match=f"`{argument}` .*{message}"):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: population_curve(-1.0, inputs=LIST), "`lam` must be non-negative.*; got -1"),
        (lambda: population_curve(np.inf, inputs=LIST), "`lam` must be non-negative.*; got inf"),
        (lambda: population_curve(1.0, inputs=LIST, label_flip=0.5), "random labels teach nothing"),
        (
            lambda: population_curve(1.0, inputs=LIST, teacher=RandomLabels()),
            "random labels teach nothing",
        ),
        (
            lambda: population_curve(1.0, inputs=LIST, loss=Hinge(-1.0)),
            r"push margins up at zero, V'\(0\) < 0",
        ),
        (
            lambda: population_curve(2.0, inputs=LIST, loss=Square(1.0)),
            "below 1.39.*unconstrained minimiser of the mean loss; got 2",
        ),
        (
            lambda: population_curve(1e12, inputs=PowerLaw(1.01, 0.3)),
            "last mode that is learned before",
        ),
        (
            lambda: population_curve(0.0, inputs=Clusters([1.0], [1.0], positive=0.3)),
            "unequal size: Hebb's rule has no intercept",
        ),
        (
            lambda: population_curve(
                1.0, inputs=Clusters([1.0], [0.1], positive=0.01), loss=Hinge(1.0)
            ),
            "`lam` must be 0: the mean loss grows",
        ),
    ],
)  # fmt: skip
def test_bad_numbers_are_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make()
