"""Inputs with structure: every sum over a spectrum against zeta functions, and what is refused."""

import pickle

import mpmath as mp
import numpy as np
import pytest
from grids import diagonal, slow
from hypothesis import given
from hypothesis import strategies as st

from replica.common.arguments import InvalidArgument
from replica.inputs import Clusters, Inputs, Isotropic, MarchenkoPastur, PowerLaw, Spectrum

EPS = np.finfo(float).eps
#: The Gauss rules of the panels: 1e-16 by their bound, and the rounding of their weights.
QUADRATURE = 20 * EPS


def tolerance(nodes):
    """omega = exp(-a log k): half an ulp of the exponent is that much of omega."""
    return QUADRATURE + EPS * (1 + abs(np.log(nodes.eigenvalue[nodes.eigenvalue > 0].min())))


def sums(nodes, mu):
    """All sums that the theory asks for."""
    omega, p, tau = nodes.eigenvalue, nodes.count, nodes.signal
    rho, h = omega / (mu + omega), mu / (mu + omega)
    by_omega = rho / (mu + omega)
    return {
        "p rho": p @ rho, "p rho^2": p @ rho**2, "p rho^2/omega": p @ by_omega,
        "t rho": tau @ rho, "t rho^2": tau @ rho**2, "t rho^2/omega": tau @ by_omega,
        "t h": tau @ h, "t h^2": tau @ h**2,
    }  # fmt: skip


#: f as mu^m k^(m a) (1 + mu k^a)^-n, or k^a (1 + mu k^a)^-2.
SHAPES = {
    "rho": (0, 1, 0), "rho^2": (0, 2, 0), "rho^2/omega": (0, 2, 1), "h": (1, 1, 0),
    "h^2": (2, 2, 0),
}  # fmt: skip


def powers(s, end):
    """sum_{k < end} k^s for end > 100: zeta(-s), and Euler-Maclaurin at the end."""
    end = mp.mpf(end)
    integral = mp.log(end) if s == -1 else end ** (s + 1) / (s + 1)
    corrections = [
        mp.bernoulli(2 * j) / mp.factorial(2 * j) * mp.ff(s, 2 * j - 1) * end ** (s - 2 * j + 1)
        for j in range(1, 15)
    ]
    constant = mp.euler if s == -1 else mp.zeta(-s)
    return constant + integral - end**s / 2 + mp.fsum(corrections)


class ZetaSums:
    """sum_k k^-P (1 + mu k^a)^-n in closed form: a series in mu or in 1/mu, with zeta functions."""

    def __init__(self, capacity, source, mu, modes=None):
        self.a, self.mu, self.modes = mp.mpf(capacity), mp.mpf(mu), modes
        self.decay = 1 + 2 * self.a * mp.mpf(source)

    def tail(self, P, n, first):
        """From a mode on where mu k^a > 2: the series in 1/(mu k^a)."""
        a, mu = self.a, self.mu
        count = int(mp.mp.prec / mp.log(mu * mp.mpf(first) ** a, 2)) + 2
        terms = [mp.binomial(-n, j) * mu ** (-n - j) * mp.zeta(P + a * (n + j), first)
                 for j in range(count)]  # fmt: skip
        return mp.fsum(terms)

    def endless(self, P, n):
        a, mu = self.a, self.mu
        last = int(mp.ceil((3 / mu) ** (1 / a))) + 1
        if last < 60:
            head = mp.fsum(mp.mpf(k) ** -P * (1 + mu * mp.mpf(k) ** a) ** -n
                           for k in range(1, last))  # fmt: skip
            return head + self.tail(P, n, last)
        # Mellin: the pole of zeta gives the integral, those of the summand the powers of mu
        s = (1 - P) / a
        integral = mu**-s * mp.gamma(s) * mp.gamma(n - s) / mp.gamma(n) / a
        powers = [mp.binomial(-n, j) * mu**j * mp.zeta(P - a * j) for j in range(20)]
        return integral + mp.fsum(powers)

    def value(self, P, n):
        if self.modes is None:
            return self.endless(P, n)
        a, mu, end = self.a, self.mu, self.modes + 1
        if end < 100:
            return mp.fsum(mp.mpf(k) ** -P * (1 + mu * mp.mpf(k) ** a) ** -n for k in range(1, end))
        y = mu * mp.mpf(end) ** a
        if y > 2:
            return self.endless(P, n) - self.tail(P, n, end)
        count = int(mp.mp.prec / -mp.log(y, 2)) + 2
        return mp.fsum(mp.binomial(-n, j) * mu**j * powers(a * j - P, end) for j in range(count))

    def all(self):
        found = {}
        power = mp.zeta(self.decay)
        if self.modes is not None:
            power -= mp.zeta(self.decay, self.modes + 1)
        for name, (m, n, up) in SHAPES.items():
            shift = (m + up) * self.a
            found["t " + name] = self.mu**m * self.value(self.decay - shift, n) / power
            if m == 0:
                found["p " + name] = self.value(-shift, n)
        return found


# 2r is no integer: there logarithms replace powers, in the formulas of this file only
LAWS = [
    (1.01, 0.01), (1.5, 0.3), (20.0, 0.05), slow(1.2, 1.3), slow(2.0, 0.26), slow(3.0, 0.7),
    slow(5.0, 0.99), slow(7.3, 4.9), slow(20.0, 1.1),
]  # fmt: skip


@pytest.mark.parametrize(("capacity", "source"), LAWS)
def test_sums_of_endless_power_laws(capacity, source):
    nodes = PowerLaw(capacity, source).nodes
    assert len(nodes) <= 140 * (capacity + 1)  # 20 a panel of 6 units of log omega, and the ends
    with mp.workdps(40):
        for log_k in (-1.0, 0.4, 2.1, 4.3, 8.0, 13.0):
            mu = 10.0 ** (-capacity * log_k)
            found = sums(nodes, mu)
            for name, exact in ZetaSums(capacity, source, mu).all().items():
                if exact < 1e-300:
                    continue  # rounded by the end of the doubles
                assert abs(found[name] / exact - 1) < tolerance(nodes), (name, log_k)


FINITE = [(1.5, 0.3), (0.7, 1.2), (4.0, 0.4)]


@pytest.mark.parametrize(
    ("modes", "law"),
    diagonal([1, 7, 50, 4800, 10**12], FINITE)
    + [slow(modes, law) for modes in (2100, 10**5) for law in FINITE],
)
def test_sums_of_finite_power_laws(modes, law):
    capacity, source = law
    nodes = PowerLaw(capacity, source, modes=modes).nodes
    assert nodes.smallest == 0
    assert nodes.total == modes
    end = np.log10(modes)
    with mp.workdps(40):
        for log_k in (-1.0, 0.6 * end, end + 2, end + 9):
            mu = 10.0 ** (-capacity * log_k)
            if 0.5 < mu * (modes + 1.0) ** capacity < 2:
                continue  # neither series converges
            found = sums(nodes, mu)
            for name, exact in ZetaSums(capacity, source, mu, modes).all().items():
                assert abs(found[name] / exact - 1) < tolerance(nodes), (name, log_k)


@given(st.floats(0.3, 12), st.floats(0.02, 5), st.integers(1, 3000), st.floats(-3, 8))
def test_a_finite_power_law_is_the_list_of_its_modes(capacity, source, modes, log_k):
    """Also across the places where panels, and the smooth part, begin and end."""
    k = np.arange(1.0, modes + 1)
    omega = k**-capacity
    long_list = Spectrum(omega, teacher=k ** (-1 - 2 * capacity * source + capacity)).nodes
    short = PowerLaw(capacity, source, modes=modes).nodes
    mu = 10.0 ** (-capacity * log_k)
    expected = sums(long_list, mu)
    # a thousand terms summed pairwise, and k^-a of both
    rounding = tolerance(short) + 40 * EPS
    for name, value in sums(short, mu).items():
        assert value == pytest.approx(expected[name], rel=rounding), name


@given(st.floats(1.05, 12), st.floats(0.02, 5))
def test_weights_of_power_laws_are_positive_and_normalised(capacity, source):
    nodes = PowerLaw(capacity, source).nodes
    assert np.all(nodes.count >= 0)
    assert np.all(nodes.signal >= 0)
    assert nodes.signal.sum() == pytest.approx(1, abs=8 * EPS)
    assert np.isinf(nodes.total)
    assert not nodes.density
    rho = nodes.eigenvalue / (1e-3 + nodes.eigenvalue)
    assert nodes.signal @ rho + nodes.signal @ (1 - rho) == pytest.approx(1, abs=8 * EPS)
    assert nodes.count @ nodes.eigenvalue == pytest.approx(
        float(mp.zeta(capacity)), rel=tolerance(nodes)
    )


def test_many_modes_tend_to_endlessly_many():
    """The modes beyond 1e15 hold 1e15^(1 - a) of the trace, and 1e15^-2ar of the signal."""
    endless, finite = PowerLaw(2.0, 0.8).nodes, PowerLaw(2.0, 0.8, modes=10**15).nodes
    for name, value in sums(finite, 1e-12).items():
        assert value == pytest.approx(sums(endless, 1e-12)[name], rel=1e-8), name
    assert len(finite) < 400


# ------------------------------------------------------------------------------ densities


def resolvent(ratio, mu):
    """<1/(mu + omega)> over all directions, the zeros left out: the positive root of m."""
    c, z = mp.mpf(ratio), mp.mpf(mu)
    b = z + 1 - c
    # c z m^2 + b m - 1 = 0 for z < 0 in the usual sign; in the form that does not cancel
    root = mp.sqrt(b * b + 4 * c * z)
    m = 2 / (b + root) if b >= 0 else (root - b) / (2 * c * z)
    return m - max(0, 1 - 1 / c) / z


@pytest.mark.parametrize("ratio", [1e-8, 0.01, 0.5, 0.999, 1.0, 1.001, 3.7, 1e4])
def test_marchenko_pastur_against_its_resolvent(ratio):
    nodes = MarchenkoPastur(ratio).nodes
    with mp.workdps(90):
        for mu in 10.0 ** np.array([3, 0, -1, -4, -12, -25]):
            if mu < nodes.smallest:
                continue
            m = resolvent(ratio, mu)
            total = min(mp.mpf(1), 1 / mp.mpf(ratio))
            slope = -mp.diff(lambda z: resolvent(ratio, z), mu, h=mp.mpf(mu) * mp.mpf(10) ** -30)
            exact = {
                "p rho": total - mu * m,
                "p rho^2/omega": m - mu * slope,
                "t h": mu * (total - mu * m),
            }
            found = sums(nodes, mu)
            # some hundred terms; the lower edge (1 - ratio)^2 is given to an ulp of 1 - ratio
            edge = EPS * ratio / abs(1 - ratio) if ratio != 1 else 0.0
            for name, value in exact.items():
                assert abs(found[name] / value - 1) < QUADRATURE + 4 * edge, (name, mu)


@pytest.mark.parametrize("ratio", [0.2, 1.0, 6.0])
def test_moments_of_marchenko_pastur(ratio):
    """1, 1 + c, 1 + 3c + c^2 for all directions, of which a share 1 - 1/c has no variance."""
    nodes = MarchenkoPastur(ratio).nodes
    moments = [nodes.count @ nodes.eigenvalue**n for n in range(4)]
    exact = [min(1, 1 / ratio), 1, 1 + ratio, 1 + 3 * ratio + ratio**2]
    np.testing.assert_allclose(moments, exact, rtol=QUADRATURE)
    assert nodes.total == exact[0]
    assert nodes.density
    np.testing.assert_allclose(nodes.signal, nodes.count * nodes.eigenvalue, rtol=QUADRATURE)


# ---------------------------------------------------------------------------------- lists

LISTS = st.lists(
    st.tuples(st.floats(1e-6, 1e6), st.floats(0.01, 10), st.integers(1, 50)), min_size=1,
    max_size=12,
)  # fmt: skip


@given(LISTS, st.floats(-8, 8), st.data())
def test_splitting_a_mode_changes_nothing(modes, log_mu, data):
    omega, power, count = (np.array(column, dtype=float) for column in zip(*modes, strict=True))
    which = data.draw(st.integers(0, len(omega) - 1))
    first = data.draw(st.integers(0, int(count[which])))
    split = count.copy()
    split[which] -= first
    whole = sums(Spectrum(omega, power, count).nodes, 10.0**log_mu)
    parts = sums(
        Spectrum(
            np.append(omega, omega[which]), np.append(power, power[which]), np.append(split, first)
        ).nodes,
        10.0**log_mu,
    )
    for name, value in whole.items():
        # two dozen positive terms in another order
        assert parts[name] == pytest.approx(value, rel=24 * EPS), name


@given(LISTS)
def test_the_common_factor_of_a_teacher_is_not_seen(modes):
    omega, power, count = (np.array(column, dtype=float) for column in zip(*modes, strict=True))
    one, other = Spectrum(omega, power, count).nodes, Spectrum(omega, 2.0**-40 * power, count).nodes
    np.testing.assert_array_equal(one.signal, other.signal)
    equal = Spectrum(omega, np.full(len(omega), 7.0)).nodes
    np.testing.assert_allclose(equal.signal, Spectrum(omega).nodes.signal, rtol=4 * EPS)


def test_a_list_as_density_and_as_count():
    shares = Spectrum([3, 1, 0.2], [0.1, 1, 4], weights=[0.2, 0.3, 0.5]).nodes
    modes = Spectrum([3, 1, 0.2], [0.1, 1, 4], weights=[2, 3, 5]).nodes
    assert shares.density
    assert not modes.density
    assert (shares.total, modes.total) == (1, 10)
    np.testing.assert_allclose(shares.signal, modes.signal, rtol=4 * EPS)
    np.testing.assert_allclose(10 * shares.count, modes.count, rtol=4 * EPS)
    assert not Spectrum([3, 1]).nodes.density
    assert Spectrum([3]).nodes.density  # one mode of weight 1 is both
    third = np.full(3, 1 / 3)
    assert Spectrum([3, 1, 2], weights=third).nodes.density
    assert Isotropic().nodes.total == 1


def test_modes_of_weight_zero_take_no_part():
    with_it = Spectrum([3, 1e-90, 1], [1, 1e99, 2], weights=[1, 0, 4]).nodes
    np.testing.assert_array_equal(with_it.eigenvalue, [3, 1])
    np.testing.assert_allclose(with_it.signal, [3 / 11, 8 / 11], rtol=4 * EPS)


def test_extreme_lists_stay_within_the_doubles():
    nodes = Spectrum([1e100, 1e-100, 1], [0, 1e-300, 0], weights=[1e15, 1, 0]).nodes
    np.testing.assert_array_equal(nodes.signal, [0, 1])


def test_clusters_measure_their_mean_in_the_covariance():
    inputs = Clusters([4.0, 1.0, 0.25], [2.0, -1.0, 0.5], weights=[1, 2, 3])
    nodes = inputs.nodes
    # 1 * 4/4 + 2 * 1/1 + 3 * 0.25/0.25
    assert nodes.distance == 6
    np.testing.assert_allclose(nodes.signal, [1 / 6, 2 / 6, 3 / 6], rtol=4 * EPS)
    other = Clusters([4.0, 1.0, 0.25], [-2.0, 1.0, 0.5], weights=[1, 2, 3])
    np.testing.assert_array_equal(nodes.signal, other.nodes.signal)
    assert np.isnan(Spectrum([1.0, 2.0]).nodes.distance)


# ------------------------------------------------------------------------- as Python objects

EXAMPLES = [
    Isotropic(), Spectrum([3, 1], [1, 2], [0.5, 0.5]), Spectrum(np.geomspace(1, 1e-3, 900)),
    PowerLaw(1.5, 0.3), PowerLaw(1.5, 0.3, modes=40), MarchenkoPastur(0.5),
    Clusters([1, 2], [1, 0], positive=0.2),
]  # fmt: skip


@pytest.mark.parametrize("inputs", EXAMPLES, ids=lambda i: type(i).__name__)
def test_inputs_are_values(inputs):
    copy = pickle.loads(pickle.dumps(inputs))
    assert copy == inputs
    assert hash(copy) == hash(inputs)
    assert sum(inputs == other for other in EXAMPLES) == 1
    assert isinstance(inputs, Inputs)
    assert inputs.nodes is inputs.nodes
    assert len(repr(inputs)) < 200
    with pytest.raises(AttributeError, match="immutable"):
        inputs.anything = 1
    with pytest.raises(ValueError, match="read-only"):
        inputs.nodes.count[0] = 2


def test_inputs_print_what_they_were_given():
    assert repr(PowerLaw(1.5, 0.3)) == "PowerLaw(capacity=1.5, source=0.3)"
    assert repr(Spectrum([3, 1])) == "Spectrum(eigenvalues=[3, 1])"
    assert repr(Spectrum(np.ones(9))) == "Spectrum(eigenvalues=[1, 1, 1, ..., 1; 9 modes])"


def test_what_is_given_is_copied():
    omega = np.array([3.0, 1.0])
    inputs = Spectrum(omega)
    omega[0] = -1
    assert inputs.eigenvalues[0] == 3
    with pytest.raises(ValueError, match="read-only"):
        inputs.eigenvalues[0] = 2


@pytest.mark.parametrize(
    ("make", "argument", "message"),
    [
        (lambda: Spectrum([1, -1]), "eigenvalues", "must be positive.*; got -1 at position 1"),
        (lambda: Spectrum([1, 0]), "eigenvalues", "leave it out"),
        (lambda: Spectrum([1, np.nan]), "eigenvalues", "got nan at position 1"),
        (lambda: Spectrum([1, np.inf]), "eigenvalues", "got inf at position 1"),
        (lambda: Spectrum(["a"]), "eigenvalues", "real number"),
        (lambda: Spectrum([1, 1j]), "eigenvalues", "real number"),
        (lambda: Spectrum([[1, 2]]), "eigenvalues", r"list of numbers.*shape \(1, 2"),
        (lambda: Spectrum([]), "eigenvalues", r"list of numbers; got an array of shape \(0,\)"),
        (lambda: Spectrum(1.0), "eigenvalues", r"list of numbers; got an array of shape \(\)"),
        (lambda: Spectrum([1, 2], [1]), "teacher", "as long as `eigenvalues`, 2; got 1 numbers"),
        (lambda: Spectrum([1, 2], [1, -1]), "teacher", "non-negative"),
        (lambda: Spectrum([1, 2], [0, 0]), "teacher", "positive along some mode"),
        (lambda: Spectrum([1, 2], [1, 0], [0, 1]), "teacher", "positive along some mode"),
        (lambda: Spectrum([1, 2], weights=[1, 2, 3]), "weights", "as long as"),
        (lambda: Spectrum([1, 2], weights=[0.5, 1]), "weights", "sum to 1.*whole.*of sum 1.5"),
        (lambda: Spectrum([1, 2], weights=[0.5, 0.51]), "weights", "divide shares by their sum"),
        (lambda: Spectrum([1, 2], weights=[0, 0]), "weights", "not all be zero"),
        (lambda: Spectrum([1, 2], weights=[-1, 2]), "weights", "non-negative"),
        (lambda: PowerLaw(1.0, 0.3), "capacity", "exceed 1.*no finite sum.*; got 1"),
        (lambda: PowerLaw(21, 0.3), "capacity", "at most 20"),
        (lambda: PowerLaw(0, 0.3, modes=3), "capacity", "positive"),
        (lambda: PowerLaw(1.5, 0.0), "source", "positive.*; got 0"),
        (lambda: PowerLaw(1.5, -0.3), "source", "positive"),
        (lambda: PowerLaw(1.5, [0.3]), "source", "must be a number"),
        (lambda: PowerLaw(1.5, 0.3, modes=2.0), "modes", "whole number"),
        (lambda: PowerLaw(1.5, 0.3, modes=0), "modes", "between 1 and 1e\\+18.*None for endless"),
        (lambda: PowerLaw(20, 0.3, modes=10**16), "modes", "at this capacity"),
        (lambda: MarchenkoPastur(0), "ratio", "positive"),
        (lambda: MarchenkoPastur(np.nan), "ratio", "positive"),
        (lambda: Clusters([1, 2], [1]), "mean", "as long as"),
        (lambda: Clusters([1, 2], [0, 0]), "mean", "differ from zero.*RandomLabels"),
        (lambda: Clusters([1, 2], [1, np.nan]), "mean", "finite"),
        (lambda: Clusters([1], [1], positive=1), "positive", "between 0 and 1"),
    ],
)  # fmt: skip
def test_bad_inputs_are_refused_in_words(make, argument, message):
    with pytest.raises(InvalidArgument, match=f"`{argument}` .*{message}") as refused:
        make()
    assert refused.value.argument == argument
