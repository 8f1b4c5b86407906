"""Learning curves of known exponents, with the noise of a real sweep: to try an analysis on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted

__all__ = ["SyntheticLaw", "synthetic_curves"]

Array = NDArray[np.float64]

#: Exponents, sharpness and prefactor lie between these: beyond are no learning curves.
MEEKEST, WILDEST = 1e-6, 1e6
#: ln(norm) stays below this, with room for the scatter of its ends.
LONGEST = 650.0
#: So much scatter of ln(error) leaves nothing of a law.
LOUDEST = 10.0


@dataclass(frozen=True)
class SyntheticLaw:
    """Curves that obey the paper's laws: error = k lam^(-gamma_1) F(lam/lam_elbow(P)).

    Attributes
    ----------
    gamma_1, gamma_2 : float
        Exponents of the early law and of lam_elbow(P) = (P/1000)^gamma_2 exp(``elbow``).
    k : float
        Prefactor of the early law.
    rise : float
        Local exponent far past the elbow: positive for curves that overfit, zero for curves that
        saturate.
    rate : float
        Sharpness of the elbow in ln(norm).
    shape : str
        The local exponent crosses over like a logistic function ("logistic", the form that is
        fitted) or like an error function ("erf", which is not).
    elbow : float
        ln of the norm of the elbow at P = 1000.
    """

    gamma_1: float = 0.3
    gamma_2: float = 0.9
    k: float = 0.9
    rise: float = 0.1
    rate: float = 1.5
    shape: str = "logistic"
    elbow: float = 4.0

    def __post_init__(self) -> None:
        if not arguments.is_one_of(self.shape, ("logistic", "erf")):
            raise InvalidArgument("shape", 'must be "logistic" or "erf"', quoted(self.shape))
        between = f"between {MEEKEST:g} and {WILDEST:g}"
        for name in ("gamma_1", "gamma_2", "k", "rate", "rise"):
            value = arguments.number(name, getattr(self, name))
            if name == "rise" and value == 0:
                continue
            if not MEEKEST <= value <= WILDEST:
                sign = "non-negative" if name == "rise" else "positive"
                rule = between if value > 0 else sign
                raise InvalidArgument(name, f"must be {rule}", quoted(getattr(self, name)))
        if not abs(arguments.number("elbow", self.elbow)) <= WILDEST:
            raise InvalidArgument(
                "elbow", f"must lie between -{WILDEST:g} and {WILDEST:g}", quoted(self.elbow)
            )

    @property
    def bend(self) -> float:
        """Change of the local exponent across the elbow."""
        return self.gamma_1 + self.rise

    @property
    def width(self) -> float:
        """Standard deviation of the crossover in ln(norm) where it is an error function."""
        return 1.6 / self.rate  # close to the logistic function of that rate

    def log_elbow(self, P: ArrayLike) -> Array:
        """Logarithm of lam_elbow(P)."""
        return np.asarray(self.elbow + self.gamma_2 * np.log(np.asarray(P) / 1000.0))

    def log_lam_opt(self, P: ArrayLike) -> Array:
        """Logarithm of lam_opt(P); inf for curves that saturate."""
        if self.rise == 0:
            return np.full(np.shape(P), np.inf)
        if self.shape == "logistic":
            past = np.log(self.gamma_1 / self.rise) / self.rate
        else:
            past = self.width * ndtri(self.gamma_1 / self.bend)
        return np.asarray(self.log_elbow(P) + past)

    def eps_opt(self, P: ArrayLike) -> Array:
        """Test error at the minimum, or at infinite norm for curves that saturate."""
        if self.rise == 0:
            return np.asarray(self.k * np.exp(-self.gamma_1 * self.log_elbow(P)))
        return self(self.log_lam_opt(P), P)

    def __call__(self, log_norm: ArrayLike, P: ArrayLike) -> Array:
        """Test error at ln(norm)."""
        x = np.asarray(log_norm, dtype=np.float64)
        v = x - self.log_elbow(P)
        if self.shape == "logistic":
            late = np.logaddexp(0.0, self.rate * v) / self.rate
        else:
            z = v / self.width
            late = self.width * (z * ndtr(z) + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
        return np.asarray(self.k * np.exp(-self.gamma_1 * x + self.bend * late))


def synthetic_curves(
    law: SyntheticLaw,
    P: Sequence[float],
    seeds: int,
    rng: np.random.Generator,
    *,
    records: int = 40,
    test_images: int = 10_000,
    level: float = 0.02,
    past: float = 2.5,
) -> pd.DataFrame:
    """A table of learning curves that obey a law, as a sweep would record them.

    Every record is a count of errors on a finite test set, around a law whose logarithm scatters by
    ``level`` from record to record; every seed begins and ends at its own norm.

    Parameters
    ----------
    law : SyntheticLaw
    P : sequence of float
        Numbers of training examples.
    seeds : int
        Curves for each P.
    rng : Generator
    records : int
        Records of each curve, about evenly spaced in ln(norm).
    test_images : int
        Size of the test set.
    level : float
        Standard deviation of ln(error) beside that of the counts.
    past : float
        How far in ln(norm) the records reach past the minimum, or past the elbow by 4 and that
        much for curves that saturate.

    Returns
    -------
    DataFrame
        Columns P, seed, step, norm, test_error.

    Raises
    ------
    ValueError
        If an argument is not what is written above, or a norm would be no float.
    """
    if not isinstance(law, SyntheticLaw):
        raise InvalidArgument("law", "must be a SyntheticLaw", f"{type(law).__name__}")
    if not isinstance(rng, np.random.Generator):
        raise InvalidArgument("rng", "must be a numpy Generator", f"{type(rng).__name__}")
    counts = arguments.numbers("P", P)
    if counts.ndim != 1 or not counts.size or not np.all((counts > 0) & np.isfinite(counts)):
        raise InvalidArgument("P", "must be one or more positive, finite numbers", quoted(P))
    for name, whole in (("seeds", seeds), ("records", records), ("test_images", test_images)):
        if arguments.whole(name, whole) < 1:
            raise InvalidArgument(name, "must be at least 1", quoted(whole))
    for name, number, most in (("level", level, LOUDEST), ("past", past, LONGEST)):
        if not 0 <= arguments.number(name, number) <= most:
            raise InvalidArgument(name, f"must lie between 0 and {most:g}", quoted(number))
    ends = np.abs(law.log_elbow(counts) if law.rise == 0 else law.log_lam_opt(counts))
    if np.max(ends) + past > LONGEST:
        raise InvalidArgument(
            "law", "and `P` must give norms that are floats", f"one of exp({np.max(ends):.3g})"
        )
    frames = []
    for count in P:
        last = float(law.log_lam_opt(count)) if law.rise else float(law.log_elbow(count)) + 4.0
        for seed in range(seeds):
            shift = rng.normal(0.0, 0.3)
            x = np.linspace(0.2 * shift, last + past + shift, records)
            x = np.sort(x + rng.normal(0.0, 0.02, records))
            with np.errstate(over="ignore"):
                error = law(x, count) * np.exp(rng.normal(0.0, level, records))
            wrong = rng.binomial(test_images, np.minimum(error, 1.0))  # 1 where it overflows
            frames.append(
                pd.DataFrame(
                    {
                        "P": count,
                        "seed": seed,
                        "step": np.arange(records),
                        "norm": np.exp(x),
                        "test_error": wrong / test_images,
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)
