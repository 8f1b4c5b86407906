"""A spectrum as three arrays: every sum of the theory over the modes of the inputs, by quadrature.

The weights' side of the theory asks for sums over the modes of the covariance,
sum_k f(omega_k) and sum_k tau_k f(omega_k), where f is built from
rho = omega / (mu + omega) and mu > 0 is unknown. A list of eigenvalues is its own
rule. A power law with endlessly many modes, and a continuous density, are replaced
here by a few hundred nodes with positive weights, good to 1e-14 at every mu down to
`Nodes.smallest`. As a function of log omega each f has its nearest poles at
distance pi from the real line (omega = -mu), whatever mu is: panels of one width
in log omega serve them all.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal
from scipy.special import roots_jacobi, roots_legendre

__all__ = [
    "Nodes",
    "cluster_list",
    "last_mode",
    "marchenko_pastur",
    "power_law",
    "teacher_list",
]

Array = NDArray[np.float64]

#: Nodes of a panel, and its width in log omega. Poles at distance pi bound the error of the
#: Gauss rule by rho^-40 with rho = y + sqrt(1 + y^2), y = 2 pi / 6: 1e-16 of the panel's sum.
ORDER, WIDTH = 20, 6.0
#: Widest panel in log k: the weight e^s grows by e^4 along it, which 20 nodes integrate to 1e-30.
WIDEST = 4.0
#: The signal k^-(1 + 2ar) may fall by this exponent along a panel (error below 1e-15 of its sum).
STEEPEST = 40.0
#: Where the signal's share of all sums has fallen below this it need not be resolved.
SHARE = 1e-20
#: Modes of an infinite power law up to here are covered by panels, the rest by one Gauss-Jacobi
#: rule in omega; and no panel reaches eigenvalues below the second, near the end of the doubles.
LAST_MODE, LEAST_EIGENVALUE = 1e18, 1e-290
#: Graded panels of a density with a hard edge end at this angle: eigenvalues of about 1e-40.
LEAST_ANGLE = 1e-20


@dataclass(frozen=True, eq=False)
class Nodes:
    r"""Quadrature rule for the sums over a spectrum.

    sum_k f(omega_k) = sum_j count_j f(eigenvalue_j) and
    sum_k tau_k f(omega_k) = sum_j signal_j f(eigenvalue_j).

    Attributes
    ----------
    eigenvalue : (J,) array
        omega_j > 0, in no particular order.
    count : (J,) array
        p_j >= 0: the share of the directions with this eigenvalue (a density), or their number.
    signal : (J,) array
        tau_j >= 0, of sum 1: p omega theta^2 over its sum, the share of the variance of the
        teacher's field; for clusters p mu^2 / omega over its sum, the share of the squared
        distance between them.
    total : float
        Sum of p: 1, less where some directions have no variance, the number of modes, or inf.
    density : bool
        Whether samples are counted by alpha = P/N and norms in units of sqrt(N); otherwise by
        P, and norms are Euclidean.
    smallest : float
        The mu = nu/g down to which the rule is good; 0 if it is good everywhere.
    distance : float
        Squared Mahalanobis distance of a cluster's mean, sum_k mu_k^2 / omega_k; nan for teachers.
    """

    eigenvalue: Array
    count: Array
    signal: Array
    total: float
    density: bool
    smallest: float = 0.0
    distance: float = np.nan

    def __post_init__(self) -> None:
        for array in (self.eigenvalue, self.count, self.signal):
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.eigenvalue)


def teacher_list(eigenvalue: Array, power: Array, count: Array, density: bool) -> Nodes:
    """A list of eigenvalues with the squared teacher components theta^2 along each."""
    there = count > 0
    eigenvalue, power, count = eigenvalue[there], power[there], count[there]
    signal = _scaled_product(count, eigenvalue, power)
    return Nodes(
        eigenvalue=eigenvalue,
        count=count,
        signal=signal / signal.sum(),
        total=1.0 if density else float(count.sum()),
        density=density,
    )


def _scaled_product(*factors: Array) -> Array:
    """Products up to a common power of 2 that keeps them within the doubles."""
    product, exponent = np.ones(1), np.zeros(1, dtype=int)
    for factor in factors:
        mantissa, power_of_two = np.frexp(factor)
        product, exponent = product * mantissa, exponent + power_of_two
    return np.ldexp(product, exponent - exponent[product > 0].max())


def cluster_list(eigenvalue: Array, mean: Array, count: Array, density: bool) -> Nodes:
    """A list of eigenvalues with the component of the cluster's mean along each."""
    there = count > 0
    eigenvalue, mean, count = eigenvalue[there], mean[there], count[there]
    distance = count * (mean / np.sqrt(eigenvalue)) ** 2
    return Nodes(
        eigenvalue=eigenvalue,
        count=count,
        signal=distance / distance.sum(),
        total=1.0 if density else float(count.sum()),
        density=density,
        distance=float(distance.sum()),
    )


# ------------------------------------------------------------------------------ power laws


def power_law(capacity: float, source: float, modes: int | None) -> Nodes:
    r"""Modes k = 1, 2, ... with omega_k = k^-a and omega_k theta_k^2 proportional to k^-(1+2ar).

    The integers are cut into panels of bounded width in log k. A panel of few integers is
    kept as it is; one of more is replaced by the Gauss rule, in the variable log k, of the
    measure that counts its integers. From a few thousand on, the sum is the integral from
    k - 1/2, corrected by the Euler-Maclaurin formula, and the panels are Gauss-Legendre
    rules. An infinite power law ends in two Gauss-Jacobi rules in omega:
    sum_k omega G(omega) -> (1/a) int d omega omega^(-1/a) G, and the signal likewise with
    omega^(2r - 1).

    Parameters
    ----------
    capacity, source : float
        a > 0 (above 1 if ``modes`` is None) and r > 0.
    modes : int or None
        Number of modes, or None for endlessly many.
    """
    a, r = capacity, source
    widths = _Widths(a, r)
    # Three terms of the Euler-Maclaurin formula err by (2a)^6 3e-5 / k^6 < 1e-16 from here on.
    smooth = int(2000 + 100 * a)
    end = modes + 1 if modes is not None and modes < 2 * smooth else smooth
    log_k, count = [], []
    k = 1
    while k < end:
        after = min(max(k + ORDER, int(np.ceil(k * np.exp(widths.at(k))))), end)
        s, weight = _counting_rule(np.log(np.arange(k, after, dtype=float)))
        log_k.append(s)
        count.append(weight)
        k = after
    last = np.inf
    if modes is None:
        last = last_mode(a)
    elif modes >= end:
        last = modes + 0.5
    if modes is None or modes >= end:
        for s, weight in _smooth_panels(k - 0.5, last, widths, ends=modes is not None):
            log_k.append(s)
            count.append(weight)
    s, p = np.concatenate(log_k), np.concatenate(count)
    omega, tau = np.exp(-a * s), p * np.exp(-(1 + 2 * a * r) * s)
    smallest, total = 0.0, float("inf")
    if modes is None:
        smallest = float(last**-a)
        omega_p, weight = _jacobi(smallest, -1 / a)
        # weights of the measure omega^(-1/a) d omega / a, and p = weight / omega
        p_tail = weight * smallest ** (1 - 1 / a) / (a - 1) / omega_p
        omega_t, weight = _jacobi(smallest, 2 * r - 1)
        t_tail = weight * smallest ** (2 * r) / (2 * a * r)
        omega = np.concatenate([omega, omega_p, omega_t])
        p = np.concatenate([p, p_tail, np.zeros(ORDER)])
        tau = np.concatenate([tau, np.zeros(ORDER), t_tail])
    else:
        total = float(modes)
    return Nodes(omega, p, tau / tau.sum(), total=total, density=False, smallest=smallest)


def last_mode(capacity: float) -> float:
    """The mode up to which a power law is cut into panels."""
    return float(np.exp(min(np.log(LAST_MODE), -np.log(LEAST_EIGENVALUE) / capacity)))


@dataclass(frozen=True)
class _Widths:
    """How wide a panel of a power law may be, in log k."""

    a: float
    r: float

    def at(self, k: float) -> float:
        """Width of the panel that begins at ``k``."""
        width = min(WIDTH / self.a, WIDEST)
        # The sum that leans most on small signals is sum tau (1 - rho)^2: relative to its first
        # term, the terms from k on count at most k^(2a(1 - r)).
        if 2 * self.a * (1 - self.r) * np.log(k) > np.log(SHARE):
            width = min(width, STEEPEST / (1 + 2 * self.a * self.r))
        return width


def _counting_rule(points: Array) -> tuple[Array, Array]:
    """Gauss rule of the measure that counts ``points``: Lanczos, then Golub and Welsch.

    The points themselves where there are no more than `ORDER` of them.
    """
    n = len(points)
    if n <= ORDER:
        return points, np.ones(n)
    middle = 0.5 * (points[0] + points[-1])
    x = points - middle
    basis = np.zeros((ORDER, n))
    diagonal, beside = np.zeros(ORDER), np.zeros(ORDER)
    vector = np.full(n, n**-0.5)
    for j in range(ORDER):
        basis[j] = vector
        vector = x * vector
        diagonal[j] = basis[j] @ vector
        for _ in range(2):  # orthogonal to rounding only when it is done twice
            vector = vector - (basis[: j + 1] @ vector) @ basis[: j + 1]
        beside[j] = np.sqrt(vector @ vector)
        vector = vector / beside[j]
    # QR by name: the relatively robust representations that scipy 1.15 chooses by itself leave the
    # weights good to 3e-14, and sums to 1.2e-14
    nodes, vectors = eigh_tridiagonal(diagonal, beside[:-1], lapack_driver="stev")
    return nodes + middle, n * vectors[0] ** 2


def _smooth_panels(first: float, last: float, widths: _Widths, ends: bool) -> list[list[Array]]:
    """Log k and weights of a sum over integers, as the integral from ``first`` to ``last``.

    Both lie half-way between integers. The correction of the midpoint rule,
    f'/24 - 7 f'''/5760 at each end (the next is 31 f^(5)/967680), is a small change of the
    weights of a short panel there; the upper end has one only if ``ends``.
    """
    low, high = np.log(first), np.log(last)
    # on a panel of width 1.5/a interpolation errs by rho^-20 = 1e-18, rho = y + sqrt(1 + y^2),
    # y = 2 pi / 1.5; and derivatives of the interpolating polynomial lose four digits of that
    short = min(1.5 / widths.a, 1.0, (high - low) / 3)
    long_end = high - short if ends else high
    pieces = int(np.ceil((long_end - low - short) / widths.at(first)))
    edges = [low, *np.linspace(low + short, long_end, pieces + 1), *([high] if ends else [])]
    x, weight = roots_legendre(ORDER)
    panels = []
    for a, b in itertools.pairwise(edges):
        half = (b - a) / 2
        s = a + half * (1 + x)
        panels.append([s, half * weight * np.exp(s)])
    for panel, end, side, sign in ((0, low, -1, 1.0), (-1, high, 1, -1.0)):
        if side < 0 or ends:
            d1, d2, d3 = _derivatives(x, weight, side)
            half = short / 2
            d1, d2, d3 = d1 / half, d2 / half**2, d3 / half**3
            k = np.exp(end)
            # f(k) = F(log k): f' = F'/k and f''' = (F''' - 3 F'' + 2 F')/k^3
            change = d1 / (24 * k) - 7 / 5760 * (d3 - 3 * d2 + 2 * d1) / k**3
            panels[panel][1] = panels[panel][1] + sign * change
    return panels


def _derivatives(x: Array, weight: Array, side: int) -> list[Array]:
    """The first three derivatives at -1 or 1 of the polynomial through values at Gauss nodes."""
    n = np.arange(len(x), dtype=float)
    coefficients = (n + 0.5) * np.polynomial.legendre.legvander(x, len(x) - 1) * weight[:, None]
    # P_n^(j)(1) = (n + j)! / ((n - j)! 2^j j!), and P_n^(j)(-1) = (-1)^(n + j) P_n^(j)(1)
    at_one = [n * (n + 1) / 2]
    for j in (2, 3):
        at_one.append(at_one[-1] * (n + j) * (n - j + 1) / (2 * j))
    sign = 1.0 if side > 0 else -1.0
    return [coefficients @ (sign ** (n + j) * value) for j, value in enumerate(at_one, start=1)]


def _jacobi(top: float, exponent: float) -> tuple[Array, Array]:
    """Gauss rule on (0, top) for the weight omega^exponent, its weights scaled to sum 1.

    f has its pole at -mu: with mu >= top the rule of 20 nodes errs by (3 + sqrt 8)^-40 = 1e-30.
    """
    x, weight = roots_jacobi(ORDER, 0.0, exponent)
    return top * (1 + x) / 2, weight / weight.sum()


# ------------------------------------------------------------------------------- densities


def marchenko_pastur(ratio: float) -> Nodes:
    r"""Eigenvalues of X'X/n for n samples in ``ratio`` n dimensions, white and independent.

    With x = x_- + (x_+ - x_-) sin^2(theta/2), x_+- = (1 +- sqrt(ratio))^2, the density
    sqrt((x_+ - x)(x - x_-)) / (2 pi ratio x) dx is (2/pi) sin^2(theta) d theta / x. Panels
    are graded towards theta = 0, down to where x_- takes over from mu. The teacher is
    isotropic, so that tau is p x over its sum.
    """
    root = np.sqrt(ratio)
    lower, span = ((1 - ratio) / (1 + root)) ** 2, 4 * root
    first = max(min(0.5 * np.sqrt(lower / span), 0.5), LEAST_ANGLE)
    x, weight = roots_legendre(ORDER)
    theta, step = [first * (1 + x) / 2], [first * weight / 2]
    # log omega is about 2 log theta up to here
    pieces = int(np.ceil(np.log(0.5 / first) / (WIDTH / 2)))
    for a, b in itertools.pairwise(np.linspace(np.log(first), np.log(0.5), pieces + 1)):
        half = (b - a) / 2
        theta.append(np.exp(a + half * (1 + x)))
        step.append(half * weight * theta[-1])
    # and these panels are at least their half width away from the poles: (2 + sqrt 3)^-40 = 1e-23
    for a, b in itertools.pairwise((0.5, 1.5, np.pi)):
        theta.append(a + (b - a) / 2 * (1 + x))
        step.append((b - a) / 2 * weight)
    angle, width = np.concatenate(theta), np.concatenate(step)
    omega = lower + span * np.sin(angle / 2) ** 2
    power = 2 / np.pi * np.sin(angle) ** 2 * width
    # Poles at theta = 2i sqrt((mu + x_-)/span) or beyond: 2 first away for this mu and all above,
    # where 20 nodes on (0, first) err by (8.1)^-40.
    covered = first**2 * span <= lower
    return Nodes(
        eigenvalue=omega,
        count=power / omega,
        signal=power / power.sum(),
        total=min(1.0, 1.0 / ratio),
        density=True,
        smallest=0.0 if covered else float(span * first**2),
    )
