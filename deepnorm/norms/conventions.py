"""What is called the norm of a network: eq. (2), its variants, and what the authors logged.

`OperatorConvention` measures the linear maps of the data flow as they act, batch norms
folded in, and weighs each by the gain of the paths through it, eq. (N6). `MatrixConvention`
is a formula over a list of matrices made from the stored weights: kernels are reshaped to
(out, in k k), batch norms, activations and the data flow play no part, and M = 0.
`ParameterConvention` is a norm of all parameters, whatever they do.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import Tensor

from deepnorm.norms.graph import Gains, Use

__all__ = [
    "CONVENTIONS",
    "Bartlett",
    "CnnPaper",
    "Convention",
    "Eq2",
    "FrobeniusPaper",
    "L1Paper",
    "MatrixConvention",
    "OperatorConvention",
    "ParameterConvention",
    "ResnetPaper",
    "SigmaProductPaper",
    "Sum21Paper",
    "VitPaper",
]

Array = NDArray[np.float64]

#: Kinds of uses that are weight matrices in the authors' sense.
MATRICES = ("dense", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d")


def power_sum(log_terms: Array) -> float:
    """Ln of (sum_i term_i^(2/3))^(3/2)."""
    return float(1.5 * logsumexp(2 / 3 * log_terms)) if len(log_terms) else -np.inf


class Convention(abc.ABC):
    """A formula for ln R; ``name`` is what it is called by."""

    name: str


class OperatorConvention(Convention):
    """R = (sum_i (t_i dG/dsigma_i)^(2/3))^(3/2), eq. (N6); ``sums`` tells what t is."""

    sums: bool

    def log_value(self, log_t: Array, gains: Gains) -> float:
        """Ln R from ln t of every use."""
        return power_sum(log_t + gains.before + gains.after)


class Eq2(OperatorConvention):
    """The paper's eq. (2), on the true linear maps of the network.

    R = prod_i rho_i sigma_i (sum_i (||A_i^T - M_i^T||_{2,1} / sigma_i)^(2/3))^(3/2)

    with ||A^T||_{2,1} the average of the Euclidean norms of the rows of A.
    """

    name, sums = "eq2", False


class Bartlett(OperatorConvention):
    """As `eq2`, with ||A^T||_{2,1} the sum over the rows (Bartlett, Foster, Telgarsky 2017)."""

    name, sums = "bartlett", True


class MatrixConvention(Convention):
    """A formula over a list of matrices, as the authors' programs logged it."""

    def chosen(self, uses: Sequence[Use]) -> list[int]:
        """Which uses are in the list: by default all weight matrices, in the order of the pass."""
        return [index for index, use in enumerate(uses) if use.kind in MATRICES]

    @abc.abstractmethod
    def norm_21(self, matrix: Tensor) -> Tensor:
        """T of one matrix (out, in k k)."""

    @abc.abstractmethod
    def log_value(self, log_sigma: Array, log_t: Array) -> float:
        """Ln R from the logarithms of the list's norms."""


class CnnPaper(MatrixConvention):
    """What was logged for the CNNs.

    R = prod_i sigma_i (sum_i (sum_{j>i} t_j / sigma_i)^(2/3))^(3/2)

    with sigma_i of the reshaped kernel, t_i the sum of its *column* norms (not transposed),
    and in the term of layer i the t of all later layers; the term of the last layer is zero.
    """

    name = "cnn-paper"

    def norm_21(self, matrix: Tensor) -> Tensor:
        """The sum of the column norms."""
        return torch.linalg.vector_norm(matrix, dim=0).sum()

    def log_value(self, log_sigma: Array, log_t: Array) -> float:
        """The formula above."""
        later = np.logaddexp.accumulate(log_t[:0:-1])[::-1]
        # prod over the others, not prod / sigma_i: a layer may be zero
        others = np.array([np.delete(log_sigma, i).sum() for i in range(len(later))])
        return power_sum(others + later)


class ResnetPaper(CnnPaper):
    """What was logged for the ResNets: `cnn-paper` over the first convolution and the head.

    With two layers it reduces to R = sigma(W_head) * sum of the column norms of W_head.
    """

    name = "resnet-paper"

    def chosen(self, uses: Sequence[Use]) -> list[int]:
        """The first convolution and the last dense matrix."""
        first = [i for i, use in enumerate(uses) if use.kind.startswith("conv")][:1]
        last = [i for i, use in enumerate(uses) if use.kind == "dense"][-1:]
        return first + last if first and last else []


class VitPaper(MatrixConvention):
    """What was logged for the ViTs.

    R = prod_i sigma_i (sum_i (t_i / sigma_i)^(2/3))^(3/2)

    over the reshaped patch kernel, the matrices of queries, keys, values and output and the
    two of the MLP in every block, and the head, with t_i the sum of the *row* norms.
    """

    name = "vit-paper"

    def norm_21(self, matrix: Tensor) -> Tensor:
        """The sum of the row norms."""
        return torch.linalg.vector_norm(matrix, dim=1).sum()

    def log_value(self, log_sigma: Array, log_t: Array) -> float:
        """The formula above."""
        others = np.array([np.delete(log_sigma, i).sum() for i in range(len(log_sigma))])
        return power_sum(others + log_t)


class Sum21Paper(CnnPaper):
    """What was logged later for a CNN: R = sum_i t_i, t_i the sum of the column norms."""

    name = "sum-21-paper"

    def log_value(self, log_sigma: Array, log_t: Array) -> float:
        """The formula above."""
        return float(logsumexp(log_t)) if len(log_t) else -np.inf


class SigmaProductPaper(CnnPaper):
    """What was logged later for a CNN: R = prod_i sigma_i of the reshaped kernels."""

    name = "sigma-product-paper"

    def log_value(self, log_sigma: Array, log_t: Array) -> float:
        """The formula above."""
        return float(log_sigma.sum())


class ParameterConvention(Convention):
    """A norm of all parameters as one vector, biases and gains included."""

    @abc.abstractmethod
    def log_value(self, parameters: Sequence[Tensor]) -> float:
        """Ln R."""


class L1Paper(ParameterConvention):
    """What was logged later for a CNN: R = sum of |theta| over all parameters."""

    name = "l1-paper"

    def log_value(self, parameters: Sequence[Tensor]) -> float:
        """The formula above."""
        return _log(sum(float(p.detach().double().abs().sum()) for p in parameters))


class FrobeniusPaper(ParameterConvention):
    """What was logged later for a CNN: R = sqrt(sum of theta^2 over all parameters)."""

    name = "frobenius-paper"

    def log_value(self, parameters: Sequence[Tensor]) -> float:
        """The formula above, by the largest entry: squares leave the range of a double."""
        sizes = [float(torch.linalg.vector_norm(p.detach().double())) for p in parameters]
        return _log(math.hypot(*sizes))


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


#: All conventions by name; the first is the default.
CONVENTIONS: dict[str, Convention] = {
    convention.name: convention
    for convention in (
        *(Eq2(), Bartlett(), CnnPaper(), ResnetPaper(), VitPaper()),
        *(L1Paper(), FrobeniusPaper(), Sum21Paper(), SigmaProductPaper()),
    )
}
