"""What a fit of L(N, D) says: the record that comes back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.common import arguments
from replica.common.arguments import POSITIVE

__all__ = ["Interval", "LossLawFit"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A parameter with its errors.

    Attributes
    ----------
    value, error : float
        Estimate, and standard error of the law linearised there; nan where the runs do not
        tell the parameters apart.
    low, high : float
        Profile interval; 0 and inf where a side never closes (1 for the share `a`), nan where
        none was asked for.
    """

    value: float
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class LossLawFit:
    """The fitted law L = E + A N^-alpha + B D^-beta, and how well it is known.

    Attributes
    ----------
    E, alpha, beta : Interval
        Loss of the best of all models, and the two exponents.
    a : Interval
        beta/(alpha + beta): at compute C = flops * N * D the best N grows like C^a, the best D
        like C^(1 - a).
    log_A, log_B : float
        Logarithms of the prefactors, which trade off with the exponents: ln A moves by ln N
        times as much as alpha does.
    level : float
        Confidence level of the intervals.
    noise : float
        Standard deviation of ln L about the law; from the mean absolute deviation where the
        loss is Huber's.
    dof : int
        Runs less the five parameters.
    p_value : float
        Probability of a larger chi2; nan where errors are unknown.
    residuals : (n,) array
        ln L less ln of the law, over the errors where they are known.
    correlations : (5, 5) array
        Of the estimates of ln E, of the logarithms of both terms at the geometric mean of the
        runs, of alpha and of beta.
    condition : float
        Condition number of the Fisher matrix of the same five, each in units of what alone
        would be known of it: 1 where they do not trade off.
    samples : (bootstrap, 4) array
        E, alpha, beta and a from the runs drawn with replacement.
    loss : str
        What was minimised: "squares" or "huber".
    identified : bool
        Whether the intervals of alpha, beta and a close on both sides.
    status : str
        What cannot be concluded, and why; "determined" where nothing.
    """

    E: Interval
    alpha: Interval
    beta: Interval
    a: Interval
    log_A: float
    log_B: float
    level: float
    noise: float
    dof: int
    p_value: float
    residuals: Array
    correlations: Array
    condition: float
    samples: Array
    loss: str
    identified: bool
    status: str

    @property
    def A(self) -> float:
        """Prefactor of N^-alpha; inf or 0 where only its logarithm is a float."""
        with np.errstate(over="ignore", under="ignore"):
            return float(np.exp(self.log_A))

    @property
    def B(self) -> float:
        """Prefactor of D^-beta; inf or 0 where only its logarithm is a float."""
        with np.errstate(over="ignore", under="ignore"):
            return float(np.exp(self.log_B))

    def __call__(self, N: ArrayLike, D: ArrayLike) -> Array:
        """The law at N parameters and D examples, both positive."""
        of_N = np.exp(self.log_A - self.alpha.value * np.log(np.asarray(N, dtype=np.float64)))
        of_D = np.exp(self.log_B - self.beta.value * np.log(np.asarray(D, dtype=np.float64)))
        return np.asarray(self.E.value + of_N + of_D)

    def optimum(self, compute: ArrayLike, *, flops: float = 6.0) -> tuple[Array, Array]:
        r"""The N and D of the least loss at a given compute C = flops * N * D.

        .. math:: N = G\,(C/\mathrm{flops})^{a}, \quad D = G^{-1}(C/\mathrm{flops})^{1-a}, \quad
            G = (\alpha A/\beta B)^{1/(\alpha+\beta)}

        Parameters
        ----------
        compute : array
            Positive.
        flops : float
            Operations per parameter and example; 6 for a transformer.

        Raises
        ------
        InvalidArgument
            If `flops` is not positive.
        """
        flops = arguments.number("flops", flops, POSITIVE)
        alpha, beta = self.alpha.value, self.beta.value
        log_G = (np.log(alpha / beta) + self.log_A - self.log_B) / (alpha + beta)
        size = np.log(np.asarray(compute, dtype=np.float64) / flops)
        log_N = log_G + self.a.value * size
        return np.exp(log_N), np.exp(size - log_N)
