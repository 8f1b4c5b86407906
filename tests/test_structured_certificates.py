"""Certificates of problems with structured inputs."""

import dataclasses
import functools
import math

import mpmath
import numpy as np
import pytest
from grids import diagonal, slow
from structured_digits import CLOSE, ENDLESS, ROUND, STRUCTURED, THREE, TWO, UNEQUAL

import replica
from replica import (
    HardMargin,
    Hinge,
    Logistic,
    Problem,
    RandomLabels,
    SquaredHinge,
    Teacher,
    logistic_teacher_student,
    solve,
)
from replica.highprecision import certify, saddle_point
from replica.highprecision.precision import workspace
from replica.highprecision.spectra import MarchenkoPastur, Modes, PowerLaw
from replica.inputs import Clusters, Isotropic, Spectrum
from validation import soak

#: How far off a start may be: what the doors promise.
OFF = 1e-3
#: What the project promises of the float solver, of the generalization error and of the rest.
BUDGET, LOOSE = 1e-12, 1e-11
#: What is left of them where no equation amplifies rounding by more than a hundred.
NEARLY_ROUNDING = 1e-13
#: Digits of the sums below; they work with 10 more.
SUM_DIGITS = 30


def start(row, off=OFF):
    """A guess of what stands in the table, off by so much."""
    guess = {
        "log_c": float(row.log_c) if row.log_c != "-inf" else 0.0,
        "log_x": float(row.log_x),
        "stability": None if row.stability is None else float(row.stability) * (1 + off),
        "log_q": math.log(float(row.input_variance)),
        "log_mu": math.inf,
        "intercept": float(row.intercept) + off,
    }
    if float(row.degrees_of_freedom) > 0:
        guess["log_mu"] = math.log(float(row.nu) / float(row.degrees_of_freedom)) - off
    guess["log_c"] += off * max(1, abs(guess["log_c"]))
    guess["log_x"] -= off * max(1, abs(guess["log_x"]))
    guess["log_q"] += off
    return guess


def certificate(name, digits=30, **change):
    """Of a row of the table, with another problem next to it if one is given."""
    row = next(row for row in STRUCTURED if row.name == name)
    problem = {"loss": row.loss, "teacher": row.teacher, "inputs": row.inputs} | change
    alpha = problem.pop("alpha", row.count)
    return saddle_point(alpha, **problem, **start(row), digits=digits)


def agree(found, wanted, digits=30, *, scale=1):
    """Same numbers, whatever the input variance that belongs to ``scale`` of the eigenvalues."""
    with mpmath.workdps(digits + 10):
        bound = mpmath.mpf(10) ** -digits
        for name in ("log_c", "log_x", "generalization_error", "one_minus_overlap", "nu"):
            ours, theirs = getattr(found, name), getattr(wanted, name)
            assert abs(ours - theirs) <= 2 * bound * max(1, abs(theirs)), name
        assert abs(found.input_variance / wanted.input_variance - scale) <= 2 * bound * scale


# ------------------------------------------------------------------- digits known beforehand

QUICK = (
    "two levels",
    "random labels",
    "hard edge",
    "linear",
    "maximum stability, P = 1e8",
    "maximum stability, clusters",
)


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row.name, marks=() if row.name in QUICK else pytest.mark.slow)
        for row in STRUCTURED
    ],
)
def test_digits_come_back_from_a_perturbed_start(row):
    found = saddle_point(
        row.count, row.loss, row.teacher, inputs=row.inputs, **start(row), digits=15
    )
    names = ("generalization_error", "one_minus_overlap", "input_variance", "nu", "ridge")
    with mpmath.workdps(30):
        bound = mpmath.mpf(10) ** -15
        for name in names:
            wanted = mpmath.mpf(getattr(row, name))
            assert abs(getattr(found, name) - wanted) <= bound * wanted, name
        # g = 0 of Hebb's rule; beta = 0 of most.
        for name in ("degrees_of_freedom", "intercept"):
            wanted = mpmath.mpf(getattr(row, name))
            assert abs(getattr(found, name) - wanted) <= bound * abs(wanted), name


@pytest.mark.parametrize("row", STRUCTURED, ids=lambda row: row.name)
def test_the_error_estimate_of_the_float_solver_covers_its_error(row):
    solution = solve(Problem(row.count, row.loss, row.teacher, row.inputs))
    with mpmath.workdps(30):
        wanted = mpmath.mpf(row.generalization_error)
        error = abs(solution.generalization_error / wanted - 1)
        assert error <= solution.error_estimate
        assert error <= BUDGET
        for name in ("one_minus_overlap", "input_variance", "degrees_of_freedom"):
            wanted = mpmath.mpf(getattr(row, name))
            assert abs(getattr(solution, name) - wanted) <= LOOSE * wanted, name


# ------------------------------------------------------------------------------ sums


def relative(found, wanted):
    """Largest relative difference."""
    return max(abs(a / b - 1) for a, b in zip(found, wanted, strict=True))


def power_law(context, a, r, modes=None, level=0):
    return PowerLaw(context, context.mpf(a), context.mpf(r), modes, SUM_DIGITS, level)


@pytest.mark.parametrize(
    ("law", "mu"),
    diagonal(
        [("1.5", "0.3"), ("1.01", "0.02"), ("2", "0.5"), ("20", "5")],
        ["1e-30", "1e-4", "0.01", "1", "1e6"],
    ),
)
def test_tails_do_not_depend_on_where_they_start(law, mu):
    a, r = law
    context = workspace(SUM_DIGITS + 10)
    nu, one = context.mpf(mu), context.one
    sums = [power_law(context, a, r, level=level).moments(nu, one) for level in (0, 3)]
    assert relative(*sums) <= mpmath.mpf(10) ** -SUM_DIGITS


@pytest.mark.parametrize(
    ("law", "q"),
    diagonal(
        [("0.5", "0.3"), ("1", "0.5"), ("1.5", "0.3"), ("6", "2")],
        ["0", "1e-3", "1", "1e3", "1e12"],
    ),
)
def test_a_finite_power_law_is_its_list(law, q):
    context = workspace(SUM_DIGITS + 10)
    a, r, q = map(context.mpf, (*law, q))
    eigenvalues = [context.mpf(k) ** -a for k in range(1, 601)]
    signal = [context.mpf(k) ** (-1 - 2 * a * r) for k in range(1, 601)]
    total = context.fsum(signal)
    modes = Modes(context, eigenvalues, [1] * 600, [s / total for s in signal])
    ends = power_law(context, a, r, 600).moments(context.one, q)
    assert relative(ends, modes.moments(context.one, q)) <= mpmath.mpf(10) ** -SUM_DIGITS


@pytest.mark.parametrize(("a", "r"), [("1.5", "0.3"), ("3", "0.15"), ("1.1", "0.05")])
def test_many_learned_modes_follow_the_poles_of_their_mellin_transform(a, r):
    # sum_k k^-p/(1 + (k/K)^a) = pi/a K^(1 - p)/sin(pi (1 - p)/a) + sum_j (-1)^j K^-aj zeta(p - aj)
    # up to e^(-2 pi K sin(pi/a)).
    context = workspace(SUM_DIGITS + 10)
    a, K = context.mpf(a), context.mpf(10) ** 8
    law = power_law(context, a, r)
    found = law.moments(K**-a, context.one)

    def sum_of(p):
        pole = context.pi / a * K ** (1 - p) / context.sin(context.pi * (1 - p) / a)
        return pole + sum((-1) ** j * K ** (-a * j) * context.zeta(p - a * j) for j in range(12))

    b = 1 + 2 * a * context.mpf(r)
    assert abs(found.one / sum_of(0) - 1) <= mpmath.mpf(10) ** -SUM_DIGITS
    assert abs(found.T1 * context.zeta(b) / sum_of(b) - 1) <= mpmath.mpf(10) ** -SUM_DIGITS


@pytest.mark.parametrize(
    ("ratio", "at"),
    diagonal(["1e-8", "0.5", "1", "2", "1e8"], [("1", "0"), ("0.3", "0.7"), ("1e-6", "1")]),
)
def test_marchenko_pastur_against_its_density(ratio, at):
    context = workspace(SUM_DIGITS + 25)
    c, nu, g = map(context.mpf, (ratio, *at))
    found = MarchenkoPastur(context, c).moments(nu, g)
    root = context.sqrt(c)
    low, high = (1 - root) ** 2, (1 + root) ** 2
    half = (high - low) / 2

    def mean(f):
        # omega = low + half (1 - cos y): the density's square root is half sin y; cut at the
        # scale of the pole at -nu/g, in y.
        def integrand(y):
            omega = low + 2 * half * context.sin(y / 2) ** 2
            return f(omega) * (half * context.sin(y)) ** 2 / (2 * context.pi * c)

        near = [context.mpf(10) ** -k for k in range(6, 0, -1)]
        return context.quad(integrand, [0, *near, 1, context.pi])

    d = lambda omega: nu + g * omega  # noqa: E731
    wanted = [
        mean(lambda w: 1 / d(w)),
        mean(lambda w: 1 / d(w) ** 2),
        mean(lambda w: w / d(w) ** 2),
        mean(lambda w: w / d(w)),
        mean(lambda w: w / d(w) ** 2),
        mean(lambda w: w * w / d(w) ** 2),
    ]
    assert relative(found, wanted) <= mpmath.mpf(10) ** -SUM_DIGITS


# ------------------------------------------------------------------------------ laws


def isotropic_guess(solution):
    return {
        "log_c": solution.log_c + OFF,
        "log_x": solution.log_x + OFF,
        "stability": solution.stability,
    }


@pytest.mark.parametrize(
    "inputs",
    [
        slow(Spectrum([1.0, 1.0], teacher=[1.0, 7.0], weights=[0.25, 0.75])),
        Spectrum([4.0, 4.0], teacher=[3.0, 0.0], weights=[0.5, 0.5]),
    ],
    ids=repr,
)
def test_equal_eigenvalues_are_isotropic_at_the_norm_of_the_field(inputs):
    variance = float(inputs.eigenvalues[0])
    plain = logistic_teacher_student(2.0, 1.5)
    guess = isotropic_guess(plain)
    wanted = saddle_point(2, Logistic(1.5), Teacher(), **guess, inputs=Isotropic(), digits=10)
    multiplier = float(wanted.multiplier)
    found = saddle_point(
        2,
        Logistic(1.5 / math.sqrt(variance)),  # exact: the root of 1 or 4
        Teacher(),
        inputs=inputs,
        log_mu=math.log(variance * (1 - multiplier) / multiplier) + OFF,
        log_q=math.log(variance) - OFF,
        **guess,
        digits=10,
    )
    with mpmath.workdps(30):
        assert abs(found.nu / variance - wanted.nu) <= mpmath.mpf(10) ** -9
        assert abs(found.field_norm - wanted.field_norm) <= mpmath.mpf(10) ** -9
    agree(found.__class__(**(vars(found) | {"nu": wanted.nu})), wanted, digits=9, scale=variance)


def test_splitting_a_mode_changes_nothing():
    halves = Spectrum([1.6, 0.4, 0.4], weights=[0.5, 0.25, 0.25])
    whole, split = (certificate("two levels", 10, inputs=inputs) for inputs in (TWO, halves))
    agree(split, whole, 10)


def test_even_clusters_have_no_intercept():
    # Shares that differ from one half by one bit need an intercept of that order.
    even = certificate("clusters, isotropic", 14)
    nearly = Clusters([1.0], [0.8944271909999159], weights=[1.0], positive=0.5 + 2**-20)
    row = next(row for row in STRUCTURED if row.name == "clusters, isotropic")
    found = saddle_point(
        row.count,
        row.loss,
        row.teacher,
        inputs=nearly,
        **(start(row) | {"intercept": 0.0}),
        digits=14,
    )
    assert even.intercept == 0
    with mpmath.workdps(30):
        assert 0 < found.intercept < 100 * mpmath.mpf(2) ** -20
        # By symmetry the error changes in second order.
        change = abs(found.generalization_error / even.generalization_error - 1)
        assert change < 100 * mpmath.mpf(2) ** -40


@pytest.mark.slow  # that of the solver is `test_a_mirror_turns_the_intercept`
def test_unequal_clusters_mirrored_are_the_same_problem():
    mirrored = Clusters(
        UNEQUAL.eigenvalues, -UNEQUAL.mean, UNEQUAL.weights, positive=1 - UNEQUAL.positive
    )
    row = next(row for row in STRUCTURED if row.name == "clusters, unequal")
    guess = start(row)
    guess["intercept"] = -guess["intercept"]
    found = saddle_point(row.count, row.loss, row.teacher, inputs=mirrored, **guess, digits=16)
    wanted = certificate("clusters, unequal", 16)
    with mpmath.workdps(30):
        # 1 - 0.3 is rounded: 2^-54.
        bound = 100 * mpmath.mpf(2) ** -54
        assert abs(found.intercept / wanted.intercept + 1) <= bound
        assert abs(found.generalization_error / wanted.generalization_error - 1) <= bound


def test_hebb_in_closed_form():
    # u = x: K = n sqrt(2/pi) x, g = 0, and c^2 follows from sums of powers.
    found = certificate("linear", 30)
    assert found.degrees_of_freedom == 0
    with mpmath.workdps(50):
        a, r, n = mpmath.mpf(ENDLESS.capacity), mpmath.mpf(ENDLESS.source), 1000
        b, zeta = 1 + 2 * a * r, mpmath.zeta
        T1, T3, W2 = zeta(b + a) / zeta(b), zeta(b + 2 * a) / zeta(b), zeta(2 * a)
        overlap = T1 / mpmath.sqrt(T3 + mpmath.pi / (2 * n) * W2)
        assert abs(found.overlap / overlap - 1) <= mpmath.mpf(10) ** -30


# ----------------------------------------------------- the free energy, written down naively


def modes_of(inputs):
    """Weights, eigenvalues and signal, as arrays of mpf."""
    exact = np.vectorize(mpmath.mpf, otypes=[object])
    p, omega = exact(inputs.weights), exact(inputs.eigenvalues)
    if isinstance(inputs, Clusters):
        return p, omega, p * exact(inputs.mean) ** 2 / omega
    signal = p * omega * exact(inputs.teacher)
    return p, omega, signal / signal.sum()


def energy(margin, inputs, chi, Q, m, beta):
    """Mean envelope of the squared hinge, which is explicit."""
    root = mpmath.sqrt(Q)

    def mean(density, centre):
        """Of the envelope; nothing is left beyond the kink."""

        def integrand(t):
            return density(t) * max(margin - centre - root * t, 0) ** 2 / (2 * (1 + chi))

        return mpmath.quad(integrand, sorted([-14, -4, 0, (margin - centre) / root]))

    if isinstance(inputs, Clusters):
        shares = {1: mpmath.mpf(inputs.positive), -1: 1 - mpmath.mpf(inputs.positive)}
        return sum(v * mean(mpmath.npdf, m + root * y * beta) for y, v in shares.items())
    c = m / mpmath.sqrt(Q - m * m)
    return mean(lambda t: mpmath.npdf(t) * 2 * mpmath.ncdf(c * t), 0)


def free_energy(energy, n, inputs, point):
    """Eq. (36) of docs/theory.md, of the mean envelope at chi, Q, m and the intercept."""
    chi, Q, m, beta, chi_hat, Q_hat, m_hat, nu = point
    p, omega, tau = modes_of(inputs)
    weights = (p * chi_hat * omega + m_hat**2 * tau * omega) / (nu + Q_hat * omega)
    return (
        n * energy(chi, Q, m, beta)
        + (chi * chi_hat - Q * Q_hat - nu - weights.sum()) / 2
        + m * m_hat
    )


def unknowns_of(found, inputs):
    """All unknowns of eq. (36); m_hat and chi_hat from the derivatives by m_hat and nu'."""
    p, omega, tau = modes_of(inputs)
    s = mpmath.sqrt(found.input_variance)
    chi = s * mpmath.exp(found.log_x)
    nu, Q_hat = found.nu / chi, found.degrees_of_freedom / chi
    m = found.overlap * mpmath.sqrt(tau.sum()) * s
    d = nu + Q_hat * omega
    m_hat = m / (tau * omega / d).sum()
    chi_hat = (1 - m_hat**2 * (tau * omega / d**2).sum()) / (p * omega / d**2).sum()
    beta = found.intercept / s
    return [chi, found.input_variance, m, beta, chi_hat, Q_hat, m_hat, nu]


CLOSE_GUESS = {
    "log_c": 0.2,
    "log_x": 0.1,
    "log_mu": -0.3,
    "log_q": 0.1,
    "intercept": -0.3,
}
THREE_GUESS = {"log_c": 0.7, "log_x": -0.5, "log_mu": -1.0, "log_q": -0.3}


@pytest.mark.parametrize(
    ("inputs", "guess"), [(THREE, THREE_GUESS), (CLOSE, CLOSE_GUESS)], ids=["teacher", "clusters"]
)
def test_a_certificate_is_a_stationary_point_of_the_free_energy(inputs, guess):
    n, margin = 3.0, 2.0
    found = saddle_point(n, SquaredHinge(margin), Teacher(), inputs=inputs, **guess, digits=18)
    with mpmath.workdps(18):
        at = unknowns_of(found, inputs)
        h = mpmath.mpf(10) ** -6
        envelope = functools.cache(functools.partial(energy, margin, inputs))

        def slopes(at):
            for i in range(len(at)):
                ends = [[v + (k == i) * step for k, v in enumerate(at)] for step in (h, -h)]
                up, down = (free_energy(envelope, n, inputs, end) for end in ends)
                yield abs(up - down) / (2 * h)

        # Central differences leave h^2/6 times a third derivative of at most about 100.
        assert max(slopes(at)) < 1e-10
        # A wrong point must not pass: every unknown but the intercept of a teacher matters.
        wrong = [v * (1 + OFF) for v in at]
        moving = [s for s, v in zip(slopes(wrong), at, strict=True) if v != 0]
        assert sorted(moving)[-3] > 1e-5


# ------------------------------------------------------------- what a certificate says of itself


@pytest.mark.parametrize("few", [10, slow(20)])
@pytest.mark.parametrize("name", ["clusters that overlap", slow("power law, P = 1e3, lam = 30")])
def test_few_digits_agree_with_more(name, few):
    short, long = certificate(name, few), certificate(name, few + 10)
    assert short.error <= mpmath.mpf(10) ** -few
    agree(short, long, digits=few)


# Next to the largest norm of the population E_W[t u] is a small difference, and so is 1 - R^2 + n
# E_W[t u]: eqs. (46) and (47) would multiply rounding by 1.2e4 and 740 and claim 1.6e-10, 1e-11.
# The last is found only if the path to maximum stability goes on beyond lam = 1e12.
NOISY = [
    slow(
        Problem(
            3429436.510502625,
            Logistic(3303.6571226053093),
            Teacher(label_flip=1.236665820301925e-05),
            replica.PowerLaw(3.96207580017758, 0.5195592470315872),
        )
    ),
    Problem(
        32179.039824797313,
        Logistic(3139760.7666943762),
        Teacher(label_noise=0.025790426134361707),
        replica.PowerLaw(3.5684585661190877, 0.6357120862861867),
    ),
    Problem(
        3367440.264572146,
        HardMargin(),
        Teacher(label_flip=1.2323645739248846e-06),
        replica.PowerLaw(4.877308678133376, 0.024157047508667668),
    ),
]


@pytest.mark.parametrize("problem", NOISY)
def test_noisy_labels_of_a_power_law_keep_their_digits(problem):
    solution = solve(problem)
    proof = certify(solution, 16)
    assert proof.relative_error <= solution.error_estimate <= NEARLY_ROUNDING
    with mpmath.workdps(30):
        assert abs(solution.input_variance / proof.input_variance - 1) <= NEARLY_ROUNDING


@pytest.mark.parametrize("name", ["three levels", "clusters that overlap", "steep power law"])
def test_certify_tells_how_far_off_the_float_is(name):
    row = next(row for row in STRUCTURED if row.name == name)
    solution = solve(Problem(row.count, row.loss, row.teacher, row.inputs))
    wrong = dataclasses.replace(
        solution, generalization_error=solution.generalization_error * (1 + 1e-9)
    )
    found = certify(wrong, 15)
    assert found.relative_error == pytest.approx(1e-9, rel=1e-4)
    # A hundred units in the last place: these are well-conditioned.
    for quantity in ("field_norm", "input_variance", "multiplier", "degrees_of_freedom", "ridge"):
        ours, theirs = getattr(found, quantity), getattr(solution, quantity)
        assert abs(theirs - ours) <= 100 * 2**-52 * ours, quantity
    assert abs(solution.intercept - found.intercept) <= 100 * 2**-52


@pytest.mark.parametrize(
    ("distance", "positive", "alpha", "margin"),
    [(0.5, 0.35, 3.0, 10.0), (3.0, 0.02, 20.0, 10.0), (3.0, 0.02, 200.0, 1.0)],
)
def test_a_hinge_finds_the_intercept_of_unequal_clusters(distance, positive, alpha, margin):
    # most of the larger cluster stands at the kink from the start of the path on
    clusters = Clusters([1.0], [distance], [1.0], positive=positive)
    solution = solve(Problem(alpha, Hinge(margin), inputs=clusters))
    assert certify(solution, 15).relative_error <= solution.error_estimate <= NEARLY_ROUNDING


def test_a_users_loss_on_a_spectrum():
    quartic, exact = soak.OWN, soak.OWN_IN_MPMATH
    plain = saddle_point(
        1.5, exact, Teacher(), **isotropic_guess(solve(Problem(1.5, quartic))), digits=10
    )
    multiplier = float(plain.multiplier)
    found = saddle_point(
        1.5,
        exact,
        Teacher(),
        inputs=Spectrum([1.0, 1.0], teacher=[1.0, 2.0], weights=[0.5, 0.5]),
        log_c=float(plain.log_c),
        log_x=float(plain.log_x),
        log_mu=math.log((1 - multiplier) / multiplier),
        log_q=OFF,
        digits=10,
    )
    agree(found, plain, digits=9)


# ---------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_mu": None}, "`log_mu` must be one number; got None"),
        ({"log_q": None}, "`log_q` must be one finite number; got None"),
        ({"inputs": "pixels"}, "`inputs` must be one of replica's inputs; got 'pixels'"),
        (
            {"inputs": ROUND, "teacher": Teacher(label_flip=0.1)},
            "`teacher` must be noiseless: the clusters give the labels",
        ),
        ({"inputs": ROUND, "teacher": RandomLabels()}, "`teacher` must be noiseless"),
        ({"inputs": UNEQUAL}, "`intercept` must be one finite number; got None"),
        ({"loss": HardMargin()}, "`stability` must be one finite number; got None"),
    ],
)
def test_a_bad_argument_is_named(change, message):
    arguments = {"alpha": 2.0, "loss": Logistic(1.0), "teacher": Teacher(), "inputs": TWO}
    arguments |= {"log_c": 0.5, "log_x": -0.2, "log_mu": -0.4, "log_q": 0.2}
    with pytest.raises(ValueError, match=message):
        saddle_point(**(arguments | change))
