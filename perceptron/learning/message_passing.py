"""The Bayes-optimal predictor, by approximate message passing.

Prior: each weight standard normal, which on the scale of N is the uniform
prior on the sphere |w|^2 = N. Channel: P(y | z) = p + (1 - 2p) theta(y z) with
z = x.w/sqrt(N) and p the probability of a flipped label. The messages are
those of generalized approximate message passing (Rangan 2011) with scalar
variances; for inputs with independent components they give the posterior
mean in the limit of large N. Its direction is the best predictor (Opper and
Haussler 1991): theory says eps = arccos(sqrt q)/pi.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx

from perceptron import ranges
from perceptron.data import Examples, check_examples
from perceptron.records import Learned
from replica.common import arguments

__all__ = ["BayesOptimal", "bayes_optimal"]

Array = NDArray[np.float64]

#: A posterior narrower than this has collapsed: no weights agree with the labels.
SMALLEST_VARIANCE = 1e-12


@dataclass(frozen=True, eq=False, kw_only=True)
class BayesOptimal(Learned):
    """The posterior mean; ``norm`` is inf, so ``train_loss`` is the mean of max(0, -2 Delta).

    Attributes
    ----------
    q : float
        1 minus the variance of a weight in the posterior: the messages' own
        estimate of the squared overlap, with arccos(sqrt q)/pi for the error.
        It knows nothing of the teacher.
    label_flip : float
        p as assumed.
    iterations : int
        Done.
    converged : bool
        Whether the last iteration changed the mean by less than the tolerance.
        If not, the weights are those of the last one and deserve no trust.
    """

    q: float
    label_flip: float
    iterations: int
    converged: bool


def bayes_optimal(
    examples: Examples,
    *,
    label_flip: float = 0.0,
    tolerance: float = 1e-7,
    max_iterations: int = 1000,
    damping: float = 0.0,
) -> BayesOptimal:
    """The direction of the posterior mean of the teacher.

    The same to the bit with any number of threads.

    Parameters
    ----------
    examples : Examples
        Two passes over the inputs are made in each iteration.
    label_flip : float
        Probability that a label was inverted, in [0, 0.5).
    tolerance : float
        On the change of the mean in one iteration, relative to its length; in (0, 0.1].
    max_iterations : int
        At least 1; 20 to 200 are usual.
    damping : float
        Share of the last messages that is kept, in [0, 1). Raise it if the
        iteration does not converge, as happens at small N.

    Returns
    -------
    BayesOptimal
        Look at ``converged``. Without noise it is false, too, where the examples
        are not separable and there is no posterior.

    Raises
    ------
    ValueError
        For a bad argument.
    """
    check_examples(examples, "replica.bayes_optimal")
    p = arguments.number("label_flip", label_flip, ranges.share(0.5))
    tolerance = arguments.number("tolerance", tolerance, ranges.tolerance(0.1))
    max_iterations = arguments.whole(
        "max_iterations", max_iterations, 1, 10**9, "a positive integer"
    )
    keep = arguments.number("damping", damping, ranges.share(1.0))
    products, labels, alpha = examples.products, examples.labels, examples.alpha
    mean, variance = np.zeros(examples.N), 1.0
    pull = np.zeros(examples.P)  # g, the channel's message
    precision = 0.0
    converged, iterations = False, 0
    while not converged and iterations < max_iterations and variance > SMALLEST_VARIANCE:
        iterations += 1
        centre = products.fields(mean) - variance * pull
        new, slope = _channel(labels, centre, variance, p)
        pull = keep * pull + (1 - keep) * new
        precision = keep * precision + (1 - keep) * alpha * float(np.mean(-slope))
        if not precision > 0:  # only flipped labels bend the wrong way
            break
        # the field of a weight, precision * mean + sum g x, against the prior's precision of 1
        target = (precision * mean + products.combine(pull)) / (1 + precision)
        moved = keep * mean + (1 - keep) * target
        change, length = np.linalg.norm(moved - mean), np.linalg.norm(moved)
        converged = bool(change <= tolerance * (1 - keep) * length)
        mean, variance = moved, keep * variance + (1 - keep) / (1 + precision)
    return BayesOptimal(
        examples,
        mean,
        np.inf,
        q=1 - variance,
        label_flip=p,
        iterations=iterations,
        converged=converged,
    )


def _channel(
    labels: NDArray[np.int8], centre: Array, variance: float, p: float
) -> tuple[Array, Array]:
    """First and second derivative of log Z in the centre: Z = p + (1 - 2p) H(-u).

    u = y centre/sqrt(variance). Numerator and denominator of r = Z'/Z are divided
    by the Gaussian of u, so that nothing underflows; where they overflow, r = 0.
    """
    root = np.sqrt(variance)
    u = labels * centre / root
    with np.errstate(over="ignore"):
        mills = np.sqrt(np.pi / 2) * erfcx(-u / np.sqrt(2))  # H(-u) over the Gaussian
        flipped = p * np.sqrt(2 * np.pi) * np.exp(0.5 * u * u) if p > 0 else 0.0
    r = (1 - 2 * p) / (flipped + (1 - 2 * p) * mills)
    return labels * r / root, -r * (u + r) / variance
