r"""Theory against experiment, in standard errors.

The perceptrons of `perceptron` have N dimensions, the theory of `replica` has
infinitely many. For every quantity the mean over seeds at several N is
extrapolated, m(N) = a + b/N, and a minus the prediction is counted in standard
errors, z. Means at size N are weighted with n(N) N / s^2: a self-averaging
quantity has variance s^2/N, and s^2 is pooled over the sizes, which gives it a
hundred degrees of freedom where a single size has ten.

**The rule.** Agreement means max \|z\| < 4.5 and rms z < 1.5. Of 160 independent
normal numbers the largest exceeds 4.5 once in a thousand runs; the quantities of
one alpha are measured on the same examples and so are correlated, which makes
large values rarer still and their rms vary more: with two or three independent
directions an alpha it has a standard deviation of about 0.2 around 1.

**The control.** Two wrong theories have to fail the same rule on the same data: one
that reads the norm with a factor of 2, as whoever forgets the 2 of
log(1 + exp(-2 Delta)) does, and one that believes 2% of the labels flipped.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

import perceptron
import replica
from replica import Solution

__all__ = ["CONTROLS", "Comparison", "Verdict", "compare", "judge", "simulate", "write_csv"]

Array = NDArray[np.float64]

#: Examples per dimension; storage has its own, as in the paper's Figure 6.
ALPHAS = (0.5, 1.0, 2.0, 5.0, 10.0)
STORAGE_ALPHA = 0.4
#: Norms. At larger ones the minimiser is maximum stability to within the noise.
LAMS = (0.3, 1.0, 3.0, 10.0)
#: Levels at which the distribution of the margins is compared.
LEVELS = (0.1, 0.5, 0.9)
#: Seeds for each N. By default two minutes on two cores; in full some twenty.
#: Where there are few examples a dimension the N are larger, see `enlarged`.
SIZES = {250: 96, 500: 48, 1000: 24}
FULL_SIZES = {500: 64, 1000: 32, 2000: 16, 4000: 8}
#: The rule.
LARGEST, LARGEST_RMS = 4.5, 1.5
#: Name of a wrong theory -> factor on lam, flipped fraction.
CONTROLS = {"lam off by a factor of 2": (2.0, 0.0), "2% of labels flipped": (1.0, 0.02)}


@dataclass(frozen=True)
class Comparison:
    """One quantity: what was simulated, extrapolated and predicted.

    Attributes
    ----------
    alpha, lam : float
        Where; lam is 0 for Hebb, inf for maximum stability, nan for Bayes.
    task : str
        "teacher" or "storage".
    quantity : str
        Name.
    predicted : float
        In infinite dimension.
    sizes : tuple of int
        N.
    means, errors : tuple of float
        Mean over the seeds at each N, and its standard error by the pooled variance.
    extrapolated, error : float
        a of a + b/N, and its standard error.
    """

    alpha: float
    lam: float
    task: str
    quantity: str
    predicted: float
    sizes: tuple[int, ...]
    means: tuple[float, ...]
    errors: tuple[float, ...]
    extrapolated: float
    error: float

    @property
    def z(self) -> float:
        """Extrapolated minus predicted in standard errors."""
        return (self.extrapolated - self.predicted) / self.error


@dataclass(frozen=True)
class Verdict:
    r"""Whether a list of comparisons agrees.

    Attributes
    ----------
    largest, rms : float
        Of \|z\| over the quantities.
    worst : Comparison
        Where the largest is.
    count : int
        How many quantities.
    passes : bool
        By the rule of this module's page.
    """

    largest: float
    rms: float
    worst: Comparison
    count: int

    @property
    def passes(self) -> bool:
        """By the rule."""
        return self.largest < LARGEST and self.rms < LARGEST_RMS


def judge(comparisons: list[Comparison]) -> Verdict:
    """Apply the rule."""
    z = np.array([c.z for c in comparisons])
    worst = int(np.argmax(np.abs(z)))
    return Verdict(
        largest=float(np.abs(z[worst])),
        rms=float(np.sqrt(np.mean(z**2))),
        worst=comparisons[worst],
        count=len(comparisons),
    )


# ------------------------------------------------------------------------ the experiment


@dataclass(frozen=True)
class Experiment:
    """One draw of examples, learned by every rule. An instance is called with a seed."""

    task: str
    alpha: float
    N: int
    levels: tuple[tuple[float, ...], ...]  # the predicted quantiles of the margins at each lam

    def __call__(self, seed: int) -> dict[str, float]:
        """All quantities of one seed, keyed as `_predictions` keys them."""
        draw = perceptron.teacher_student if self.task == "teacher" else perceptron.random_labels
        data = draw(self.N, self.alpha, seed)
        found: dict[str, float] = {}
        minima = perceptron.minimize_at_norm(data, list(LAMS))
        for lam, minimum, levels in zip(LAMS, minima, self.levels, strict=True):
            found[_key("log train_loss", lam)] = float(np.log(minimum.train_loss))
            found[_key("margin mean", lam)] = float(minimum.margins.mean())
            for p, level in zip(LEVELS, levels, strict=True):
                found[_key(f"P(margin < q{p:g})", lam)] = float(np.mean(minimum.margins < level))
            if self.task == "teacher":
                found[_key("error", lam)] = minimum.generalization_error
        stable = perceptron.max_stability(data)
        found[_key("stability", np.inf)] = stable.stability
        if self.task == "teacher":
            found[_key("error", np.inf)] = stable.generalization_error
            found[_key("error", 0.0)] = perceptron.hebb_rule(data).generalization_error
            found[_key("error", np.nan)] = perceptron.bayes_optimal(data).generalization_error
        return found


def _key(quantity: str, lam: float) -> str:
    return f"{quantity} @ {lam:g}"


def _predictions(
    task: str, alpha: float, factor: float = 1.0, flip: float = 0.0
) -> Iterator[tuple[str, float, float]]:
    """Quantity, lam and predicted value; with a factor or flips, by a wrong theory."""
    true_path, path = _path(task, alpha, 1.0, 0.0), _path(task, alpha, factor, flip)
    for i, lam in enumerate(LAMS):
        here = path[i]
        if not here.converged:
            continue
        # V_lam at a wrong norm is another function: what is compared is the loss at norm lam
        yield "log train_loss", lam, float(np.log(here.train_loss * here.lam / lam))
        yield "margin mean", lam, float(here.margins.mean())
        for p in LEVELS:
            level = true_path[i].margins.quantile(p)
            yield f"P(margin < q{p:g})", lam, float(here.margins.cdf(level))
        if task == "teacher":
            yield "error", lam, float(here.generalization_error)
    if task == "storage":
        yield "stability", np.inf, float(replica.storage_max_stability(alpha))
        return
    if flip and alpha >= replica.separability_capacity(label_flip=flip):
        return
    stable = replica.logistic_teacher_student(alpha, np.inf, label_flip=flip)
    yield "stability", np.inf, float(stable.stability)
    yield "error", np.inf, float(stable.generalization_error)
    hebb = replica.logistic_teacher_student(alpha, 0.0, label_flip=flip)
    yield "error", 0.0, float(hebb.generalization_error)
    if not flip:
        yield "error", np.nan, float(replica.bayes_optimal(alpha).generalization_error)


def _path(task: str, alpha: float, factor: float, flip: float) -> Solution:
    lams = factor * np.array(LAMS)
    if task == "storage":
        return replica.logistic_storage(alpha, lams)
    return replica.logistic_teacher_student(alpha, lams, label_flip=flip)


# ------------------------------------------------------------------------ the comparison

#: The smallest number of examples: a fluctuation of kappa, about P^(-1/2), has to be smaller
#: than the width of the margins that lam = 10 leaves, else m(N) is not a + b/N.
FEWEST_EXAMPLES = 400


def enlarged(sizes: dict[int, int], alpha: float) -> dict[int, int]:
    """The same seeds at N larger by an integer, so that all have `FEWEST_EXAMPLES`."""
    factor = int(np.ceil(FEWEST_EXAMPLES / (alpha * min(sizes))))
    return {factor * n: seeds for n, seeds in sizes.items()}


Samples = dict[tuple[str, float], dict[int, perceptron.Ensemble]]


def simulate(
    sizes: dict[int, int],
    *,
    executor: Executor | None = None,
    say: Callable[[str], None] = lambda line: None,
    alphas: tuple[float, ...] | None = None,
    storage: bool = True,
) -> Samples:
    """Learn fresh examples at every alpha and N.

    Parameters
    ----------
    sizes : dict
        Number of seeds by N, which `enlarged` may multiply; at least two sizes.
    executor : concurrent.futures.Executor, optional
        Where the seeds run.
    say : callable
        Told a line before each size.
    alphas : tuple of float, optional
        Of the teacher-student problems, instead of `ALPHAS`.
    storage : bool
        Whether random labels are included.

    Returns
    -------
    dict
        By (task, alpha), then by N.
    """
    if len(sizes) < 2:
        raise ValueError(f"`sizes` must hold at least two N to extrapolate from; got {sizes!r}")
    problems = [("teacher", alpha) for alpha in alphas or ALPHAS]
    problems += [("storage", STORAGE_ALPHA)] if storage else []
    samples: Samples = {}
    first = 0
    for task, alpha in problems:
        path = _path(task, alpha, 1.0, 0.0)
        levels = tuple(
            tuple(float(path[i].margins.quantile(p)) for p in LEVELS) for i in range(len(LAMS))
        )
        samples[task, alpha] = {}
        for n, seeds in enlarged(sizes, alpha).items():
            say(f"{task}, alpha = {alpha:g}, N = {n}: {seeds} seeds")
            samples[task, alpha][n] = perceptron.over_seeds(
                # one seed gives the same first rows at every alpha: no seed is used twice
                Experiment(task, alpha, n, levels),
                range(first, first + seeds),
                executor=executor,
            )
            first += seeds
    return samples


def compare(samples: Samples, factor: float = 1.0, flip: float = 0.0) -> list[Comparison]:
    """Extrapolate every quantity and set it beside the prediction.

    Parameters
    ----------
    samples : dict
        Of `simulate`.
    factor, flip : float
        The wrong theory of a control: a factor on lam, a fraction of flipped labels.
    """
    comparisons = []
    for (task, alpha), by_size in samples.items():
        for quantity, lam, predicted in _predictions(task, alpha, factor, flip):
            key = _key(quantity, lam)
            values = {n: ensemble.values[key] for n, ensemble in by_size.items()}
            comparisons.append(
                Comparison(alpha, lam, task, quantity, predicted, *extrapolate(values))
            )
    return comparisons


def extrapolate(
    values: dict[int, Array],
) -> tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...], float, float]:
    """Sizes, means, their standard errors, a of a + b/N and its standard error.

    Parameters
    ----------
    values : dict of (n,) arrays
        One number a seed, by N.
    """
    sizes = np.array(sorted(values), dtype=float)
    counts = np.array([len(values[int(n)]) for n in sizes])
    means = np.array([values[int(n)].mean() for n in sizes])
    squares = [n * (c - 1) * values[int(n)].var(ddof=1) for n, c in zip(sizes, counts, strict=True)]
    s2 = np.sum(squares) / np.sum(counts - 1)
    errors = np.sqrt(s2 / (sizes * counts))
    design = np.stack([np.ones_like(sizes), 1 / sizes], axis=1) / errors[:, None]
    covariance = np.linalg.inv(design.T @ design)
    a = covariance[0] @ (design.T @ (means / errors))
    return (
        tuple(int(n) for n in sizes),
        tuple(means.tolist()),
        tuple(errors.tolist()),
        float(a),
        float(np.sqrt(covariance[0, 0])),
    )


def write_csv(comparisons: list[Comparison], file: TextIO) -> None:
    """One row a quantity and size, with the extrapolation repeated."""
    names = [f.name for f in dataclasses.fields(Comparison)]
    fixed = [name for name in names if name not in ("sizes", "means", "errors")]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*fixed, "z", "N", "mean", "standard_error"])
    for c in comparisons:
        head = [getattr(c, name) for name in fixed]
        for n, mean, error in zip(c.sizes, c.means, c.errors, strict=True):
            writer.writerow([*head, c.z, n, mean, error])
