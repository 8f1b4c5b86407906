"""The Bayes-optimal predictor, by approximate message passing.

Prior: each weight standard normal, which on the scale of N is the uniform
prior on the sphere |w|^2 = N. Channel: P(y | z) = p + (1 - 2p) H(-y z/sigma) with
z = x.w/sqrt(N), p the probability of a flipped label and sigma the teacher's noise
(theta(y z) at sigma = 0); or H averaged over noise levels sigma = 2 K/slope with Kolmogorov's K,
which is the logistic 1/(1 + exp(-slope y z)) (Andrews and Mallows 1974). The messages are those
of generalized approximate message passing
(Rangan 2011); for inputs with independent components of mean zero they give the posterior
mean in the limit of large N. Its direction is the best predictor (Opper and
Haussler 1991): theory says eps = arccos(sqrt q)/pi.

Where all components are of one size, variances are scalars; else every weight and every field
has its own. Neither knows of correlations, for which the fixed point is something else than the
posterior mean: such inputs are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, ndtr

from perceptron import ranges
from perceptron.data import Examples, check_examples
from perceptron.products import one_blas_thread
from perceptron.records import Learned
from replica.common import arguments
from replica.common.arguments import InvalidArgument

__all__ = ["BayesOptimal", "bayes_optimal"]

Array = NDArray[np.float64]

#: A posterior narrower than this has collapsed: no weights agree with the labels.
SMALLEST_VARIANCE = 1e-12
#: Inputs count as of one size if no column and no row has a mean square that is further from
#: the others than so many times 1/sqrt(size of the sample): 5 standard errors of normal ones.
ONE_SIZE = 8.0
#: Standard errors beyond which means and correlations are not those of chance.
CHANCE = 6.0
#: Random directions along which correlations are looked for, and rows that suffice for that.
PROBES, MOST_ROWS = 8, 20_000
#: The messages are damped more if the residual is so many times the best one, or has brought
#: nothing new for so many iterations. Choices; 20 to 200 iterations are usual.
GROWTH, PATIENCE = 1e3, 100
#: Damping beyond which nothing is tried.
MOST_DAMPING = 0.98
#: Kolmogorov's K of a logistic channel, so many values between these: good to 1e-14 of P(y | z)
#: down to y z = -30/slope. Beyond, the far tail in K is missed, log P by 0.01 at -100/slope.
LEVELS, LEAST_K, MOST_K = 56, 0.14, 8.0
#: Terms of the series of its density: the next are below 1e-20.
TERMS = 6
#: Rows that are squared together.
BLOCK = 1024


@dataclass(frozen=True, eq=False, kw_only=True)
class BayesOptimal(Learned):
    """The posterior mean; ``norm`` is inf, so ``train_loss`` is the mean of max(0, -2 Delta).

    Attributes
    ----------
    q : float
        1 minus the mean variance of a weight in the posterior: the messages' own
        estimate of the squared overlap, with arccos(sqrt q)/pi for the error if all inputs are of
        one size. It knows nothing of the teacher.
    label_flip, label_noise : float
        p and sigma as assumed.
    slope : float or None
        Of the logistic channel, if that was assumed.
    iterations : int
        Done.
    converged : bool
        Whether the messages are finite and obey their own equations: ``residual`` is below the
        tolerance. If not, the weights are those of the smallest residual and deserve no trust.
    residual : float
        What another iteration would change in the mean and in the messages, relative to their
        lengths, the larger of the two.
    damping : float
        Share of the last messages that was kept in the end.
    """

    q: float
    label_flip: float
    label_noise: float
    slope: float | None
    iterations: int
    converged: bool
    residual: float
    damping: float


def bayes_optimal(
    examples: Examples,
    *,
    label_flip: float = 0.0,
    label_noise: float = 0.0,
    slope: float | None = None,
    tolerance: float = 1e-7,
    max_iterations: int = 1000,
    damping: float = 0.0,
) -> BayesOptimal:
    """The direction of the posterior mean of the teacher, for independent components.

    The same to the bit with any number of threads.

    Parameters
    ----------
    examples : Examples
        Inputs with independent components of mean zero, of any size each. Two passes over them
        are made in each iteration, four if their sizes differ.
    label_flip : float
        Probability that a label was inverted, in [0, 0.5).
    label_noise : float
        Standard deviation of the noise in the teacher's field w*.x/sqrt(N), not negative.
    slope : float, optional
        Of a logistic teacher, P(y = 1 | z) = 1/(1 + exp(-slope z)), positive; then without
        ``label_noise``. An iteration takes some 50 times as many error functions.
    tolerance : float
        On ``residual``, in (0, 0.1].
    max_iterations : int
        At least 1; 20 to 200 are usual.
    damping : float
        Share of the last messages that is kept at first, in [0, 1). If the residual grows it
        begins anew with more.

    Returns
    -------
    BayesOptimal
        Look at ``converged``. Without noise it is false, too, where the examples
        are not separable and there is no posterior.

    Raises
    ------
    InvalidArgument
        A ValueError: for a bad argument; for examples with an intercept, an input of zeros, or
        components whose means or correlations are not those of chance.
    """
    check_examples(examples, "replica.bayes_optimal")
    p = arguments.number("label_flip", label_flip, ranges.share(0.5))
    noise = arguments.number("label_noise", label_noise, arguments.NOT_NEGATIVE)
    if slope is not None:
        slope = arguments.number("slope", slope, arguments.POSITIVE)
        if noise > 0:
            raise InvalidArgument(
                "label_noise",
                "must be 0 where there is a `slope`, which is the noise",
                f"{noise:g}",
            )
    tolerance = arguments.number("tolerance", tolerance, ranges.tolerance(0.1))
    max_iterations = arguments.whole(
        "max_iterations", max_iterations, 1, 10**9, "a positive integer"
    )
    keep = arguments.number("damping", damping, ranges.share(1.0))
    if examples.intercept:
        raise InvalidArgument(
            "examples",
            "must have no intercept: the prior of message passing is one on weights alone",
            "intercept=True",
        )
    with one_blas_thread():
        sizes = _Sizes(examples)
        _refuse_if_dependent(examples, sizes)
        levels = _single(noise) if slope is None else _logistic(slope)
        equations = _Equations(examples, sizes, p, *levels)
        start = equations.nothing()
        here, best, iterations, since = start, (np.inf, start), 0, 0
        while iterations < max_iterations:
            iterations += 1
            since += 1
            there = equations.next(here)
            residual = here.distance(there) if there is not None else np.inf
            if residual < best[0]:
                best, since = (residual, here), 0
            if residual <= tolerance:
                break
            hopeless = there is None or residual > GROWTH * best[0] or since > PATIENCE
            if hopeless and keep >= MOST_DAMPING:
                break
            if hopeless or there is None:
                keep, here, since = min((1 + keep) / 2, MOST_DAMPING), start, 0
            else:
                here = here.towards(there, 1 - keep)
    residual, found = best
    if not np.any(found.mean):
        found = equations.next(start) or start  # the first step is Hebb's
    if not (np.any(found.mean) and np.all(np.isfinite(found.mean))):
        raise InvalidArgument("examples", "must not cancel in Hebb's sum")
    return BayesOptimal(
        examples,
        found.mean,
        np.inf,
        q=float(1 - np.mean(found.variance)),
        label_flip=p,
        label_noise=noise,
        slope=slope,
        iterations=iterations,
        converged=residual <= tolerance,
        residual=residual,
        damping=keep,
    )


class _Sizes:
    """Mean squares of the columns and rows, in units of that of all inputs."""

    def __init__(self, examples: Examples):
        P, N = examples.P, examples.N
        largest = examples.largest or 1.0
        self.columns, self.rows, sums = np.zeros(N), np.zeros(P), np.zeros(N)
        for low in range(0, P, BLOCK):
            block = examples.inputs[low : low + BLOCK] / largest
            sums += block.sum(axis=0, dtype=np.float64)
            block = np.square(block, dtype=np.float64)
            self.columns += block.sum(axis=0)
            self.rows[low : low + BLOCK] = block.sum(axis=1)
        if not np.all(self.rows > 0):
            raise InvalidArgument(
                "examples",
                "must hold no input of zeros, of which no teacher says anything",
                f"{int(np.sum(self.rows == 0))} of {P}",
            )
        square = float(self.rows.sum()) / (P * N)
        self.root = largest * np.sqrt(square)
        self.columns /= P * square
        self.rows /= N * square
        self.means = sums / (P * np.sqrt(square))
        self.equal = bool(
            np.all(np.abs(self.columns - 1) <= ONE_SIZE / np.sqrt(P))
            and np.all(np.abs(self.rows - 1) <= ONE_SIZE / np.sqrt(N))
        )


def _refuse_if_dependent(examples: Examples, sizes: _Sizes) -> None:
    """Raise if means or correlations are beyond what independent components would show.

    P mean^2/size sums to N +- sqrt(2N) over the columns. Of a random direction v the product
    X^T X v has, beside its own part, P sum_j v_j rho_ij in component i: of mean square 1 in
    units of P(N - 1)/N, +- sqrt(2 (2 + N/P)/(N probes)), if all correlations are chance.
    """
    P, N = min(examples.P, MOST_ROWS), examples.N
    used = sizes.columns > 0
    means = float(examples.P * np.sum(sizes.means[used] ** 2 / sizes.columns[used]))
    count = int(used.sum())
    if means > count + CHANCE * np.sqrt(2 * count):
        _refuse(f"columns whose means are {np.sqrt(means / count):.1f} times those of chance")
    if count < 2 or P < 2:
        return
    rng = np.random.default_rng(0)
    scale = np.zeros(N)
    scale[used] = 1 / (sizes.root * np.sqrt(sizes.columns[used]))
    v = rng.choice([-1.0, 1.0], (N, PROBES))
    out, own = np.zeros((N, PROBES)), np.zeros(N)
    for low in range(0, P, BLOCK):
        block = examples.inputs[low : min(low + BLOCK, P)] * scale
        out += block.T @ (block @ v)
        own += np.einsum("ij,ij->j", block, block)
    across = (out - own[:, None] * v)[used]
    # by the spread of x_i x_j, which is the product of their mean squares if independent
    excess = float(np.mean(across**2)) / (P * (count - 1))
    allowed = 1 + CHANCE * np.sqrt(2 * (2 + count / P) * (1 / (count * PROBES) + 1 / P**2))
    if excess > allowed:
        _refuse(f"correlations that are {np.sqrt(excess):.2f} times those of chance")


def _refuse(what: str) -> None:
    raise InvalidArgument(
        "examples",
        "must have independent components of mean zero: for others the fixed point of message "
        "passing is not the posterior mean (centre and whiten the inputs, or use "
        "`minimize_at_norm`)",
        what,
    )


@dataclass(frozen=True)
class _Messages:
    """Posterior mean and variance of the weights, and the channel's message g."""

    mean: Array
    variance: Array  # (1,) or (N,)
    pull: Array
    precision: Array  # (1,) or (N,)

    def distance(self, other: _Messages) -> float:
        """What changes, in units of the other's lengths."""
        pairs = ((self.mean, other.mean), (self.pull, other.pull))
        return max(
            float(np.linalg.norm(b - a)) / (float(np.linalg.norm(b)) or 1.0) for a, b in pairs
        )

    def towards(self, other: _Messages, share: float) -> _Messages:
        """Part of the way."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Messages(*((1 - share) * a + share * b for a, b in pairs))


@dataclass
class _Equations:
    """One undamped iteration. Inputs and noise are in units of the inputs' size."""

    examples: Examples
    sizes: _Sizes
    p: float
    noise: Array  # levels, and the share of each
    shares: Array

    def nothing(self) -> _Messages:
        """Before any example."""
        n = 1 if self.sizes.equal else self.examples.N
        zero = np.zeros(self.examples.N), np.ones(n), np.zeros(self.examples.P), np.zeros(n)
        return _Messages(*zero)

    def next(self, here: _Messages) -> _Messages | None:
        """The next messages, or None if they are nonsense."""
        if not np.min(here.variance) > SMALLEST_VARIANCE:
            return None
        products, root = self.examples.products, self.sizes.root
        spread = self.spread(here.variance)
        centre = products.fields(here.mean) / root - spread * here.pull
        noise = (self.noise / root) ** 2
        pull, slope = _channel(self.examples.labels, centre, spread, noise, self.shares, self.p)
        precision = self.gathered(-slope)
        if not (np.all(1 + precision > 0) and np.mean(precision) > 0):
            return None  # flipped labels alone bend the wrong way
        mean = (precision * here.mean + products.combine(pull) / root) / (1 + precision)
        if not (np.all(np.isfinite(mean)) and np.all(np.isfinite(pull))):
            return None
        return _Messages(mean, 1 / (1 + precision), pull, precision)

    def spread(self, variance: Array) -> Array:
        """Variances of the fields: sum_j x_j^2 var_j / N."""
        if self.sizes.equal:
            return np.full(self.examples.P, variance[0])
        out = np.empty(self.examples.P)
        for low in range(0, self.examples.P, BLOCK):
            out[low : low + BLOCK] = self.squares(low) @ variance
        return out / self.examples.N

    def gathered(self, bend: Array) -> Array:
        """Precisions of the weights: sum_mu x^2 bend_mu / N."""
        if self.sizes.equal:
            return np.array([self.examples.alpha * float(np.mean(bend))])
        out = np.zeros(self.examples.N)
        for low in range(0, self.examples.P, BLOCK):
            out += bend[low : low + BLOCK] @ self.squares(low)
        return out / self.examples.N

    def squares(self, low: int) -> Array:
        block = self.examples.inputs[low : low + BLOCK] / self.sizes.root
        return np.square(block, dtype=np.float64)


def _single(noise: float) -> tuple[Array, Array]:
    """One level of noise, and its share."""
    return np.array([noise]), np.ones(1)


def _logistic(slope: float) -> tuple[Array, Array]:
    """Noise levels 2 K/slope, descending, and their shares, by the trapezoidal rule in log K.

    Of the two series of Kolmogorov's density either is exact; each is used where it is short.
    """
    t = np.linspace(np.log(MOST_K), np.log(LEAST_K), LEVELS)
    K = np.exp(t)
    low, density = K < 0.9, np.zeros(LEVELS)
    for m in range(1, TERMS + 1):
        c = ((2 * m - 1) * np.pi) ** 2 / (8 * K * K)
        density += np.where(
            low,
            np.sqrt(2 * np.pi) / K**2 * np.exp(-c) * (2 * c - 1),
            8 * K * (-1.0) ** (m - 1) * m * m * np.exp(-2 * (m * K) ** 2),
        )
    shares = density * K
    return 2 * K / slope, shares / shares.sum()


def _channel(
    labels: NDArray[np.int8], centre: Array, spread: Array, noise: Array, shares: Array, p: float
) -> tuple[Array, Array]:
    """First and second derivative of log Z in the centre: Z = p + (1 - 2p) sum_k share_k H(-u_k).

    u_k = y centre/sqrt(variance_k), the variance being that of the field and of the noise, whose
    levels descend. Everything is divided by the Gaussian of the first u, the least in size, so that
    nothing underflows; where the divisor overflows, the derivatives are 0.
    """
    total, pull, bend = np.zeros(len(centre)), np.zeros(len(centre)), np.zeros(len(centre))
    first = labels * centre / np.sqrt(spread + noise[0])
    with np.errstate(over="ignore"):
        far = np.sqrt(2 * np.pi) * np.exp(0.5 * first * first)
        for level, share in zip(noise, shares, strict=True):
            root = np.sqrt(spread + level)
            u = labels * centre / root
            beside = np.exp(0.5 * (first - u) * (first + u))  # the Gaussian of u over the first's
            mills = np.sqrt(np.pi / 2) * erfcx(np.maximum(-u, 0.0) / np.sqrt(2))
            total += share * np.where(u < 0, mills * beside, ndtr(np.maximum(u, 0.0)) * far)
            pull += share * beside / root
            bend += share * beside * u / root**2
        total = p * far + (1 - 2 * p) * total if p > 0 else total
    r = (1 - 2 * p) * pull / total
    return np.asarray(labels * r), -(1 - 2 * p) * bend / total - r * r
