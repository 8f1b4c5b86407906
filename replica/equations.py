r"""The saddle-point equations of docs/theory.md as residuals and Jacobians.

Unknowns are a = log c, with c = R / sqrt(1 - R^2), and b = log x (log kappa for
maximum stability). With the moments A and B of eqs. (15)-(16) the residuals are

    F1 = log(alpha A) + log(1 + c^2)                       [eq. (13)]
    F2 = log(alpha sqrt(2/pi) B) - a + log(1 + c^2) / 2    [eq. (14)]

and, in the limit alpha -> inf at lam = ell alpha (``flat``), eqs. (31)-(32):

    F1 = log(A) + 2 a,    F2 = log(sqrt(2/pi) B).
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from replica import adaptive, kernels
from replica.common import compiled
from replica.losses import Loss, SmoothLoss
from replica.teachers import Labels

__all__ = ["PerceptronEquations", "gauss_legendre"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

SQRT_2_OVER_PI = np.sqrt(2.0 / np.pi)
LOG_SQRT_2_OVER_PI = 0.5 * np.log(2.0 / np.pi)
#: Logarithmic residuals below this are computed from products; a choice.
NEAR = 0.5
#: Below this many points a thread costs more than it saves (30 microseconds a point).
POINTS_PER_THREAD = 32


@cache
def gauss_legendre(order: int) -> tuple[Array, Array]:
    """Nodes and weights on [-1, 1]."""
    node, weight = np.polynomial.legendre.leggauss(order)
    return node, weight


def in_threads(task: Callable[[slice], None], size: int) -> None:
    """Run ``task`` on slices of range(size), one slice a processor; kernels release the GIL."""
    threads = min(_processors(), size // POINTS_PER_THREAD)
    if threads < 2:
        task(slice(0, size))
        return
    # Small slices even out points that cost more; 8 a thread.
    cuts = np.linspace(0, size, 8 * threads + 1).astype(int)
    slices = [slice(i, j) for i, j in itertools.pairwise(cuts) if j > i]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(task, slices))


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


@dataclasses.dataclass(frozen=True)
class PerceptronEquations:
    """The two saddle-point equations for n points with one loss.

    Parameters
    ----------
    loss : Loss
        Whose V enters; its own parameter is ignored in favour of ``parameter``.
    alpha, parameter : (n,) arrays
        Examples per dimension; the parameter of the loss.
    labels : Labels
        The teachers' mixtures; without signal R = 0, and only F1 counts.
    flat : bool
        The scaling limit, where the Gaussian measure of t becomes constant.
    """

    loss: Loss
    alpha: Array
    parameter: Array
    labels: Labels
    flat: bool = False

    def select(self, which: Indices) -> PerceptronEquations:
        """The equations of some of the points."""
        return dataclasses.replace(
            self,
            alpha=self.alpha[which],
            parameter=self.parameter[which],
            labels=self.labels[which],
        )

    @property
    def compiled(self) -> bool:
        """Whether the integrals come from `replica.kernels` (else from `replica.adaptive`)."""
        return not isinstance(self.loss, SmoothLoss)

    @cached_property
    def storage(self) -> NDArray[np.bool_]:
        """Points whose labels know nothing of the teacher."""
        return self.labels.storage

    def moments(
        self,
        z: Array,
        which: Indices,
        *,
        order: int,
        refine: int = 0,
        full: int = kernels.NEWTON,
        centre: Array | None = None,
    ) -> Array:
        """The integrals of section 4, columns as in `replica.kernels`.

        Parameters
        ----------
        z : (m, 2) array
            a and b.
        which : (m,) array of int
            The points they belong to.
        order, refine : int
            Gauss-Legendre nodes a panel; how often each panel is halved.
        full : int
            ``kernels.NEWTON``, ``OBSERVABLES`` or ``MARGINS``.
        centre : (m,) array, optional
            About which the moments of the margin are taken.
        """
        centre = np.zeros(len(which)) if centre is None else centre
        # c = 0 in storage problems; any finite value serves, as its weight is zero
        a = np.where(self.storage[which], 0.0, z[:, 0])
        b = np.ascontiguousarray(z[:, 1])
        labels = self.labels[which]
        mixture = labels.signal, labels.noise, labels.random
        arguments = (self.parameter[which], a, b, *mixture)
        columns = kernels.N_NEWTON if full == kernels.NEWTON else kernels.N_MOMENTS
        out = np.empty((len(which), columns))
        if isinstance(self.loss, SmoothLoss):
            adaptive.moments(self.loss, *arguments[1:], centre, order, refine, full, out)
            return out
        node, weight = gauss_legendre(order)
        if len(which) == 0:
            return out

        def task(part: slice) -> None:
            kernels.moments(
                self.loss.code,
                *(argument[part] for argument in arguments),
                self.flat,
                centre[part],
                node,
                weight,
                refine,
                full,
                out[part],
            )

        with compiled.notice(kernels.moments) as first:
            if first:
                task(slice(0, 1))
        in_threads(task, len(which))
        return out

    def residuals(self, z: Array, which: Indices, moments: Array) -> tuple[Array, Array]:
        """F (m, 2) and its Jacobian (m, 2, 2) with respect to (a, b)."""
        a, storage = z[:, 0], self.storage[which]
        alpha = self.alpha[which]
        step, pull = moments[:, kernels.STEP], moments[:, kernels.PULL]
        c = np.exp(a)
        if self.flat:
            log_1_c2, root_1_c2, p = 2 * a, c, np.ones_like(a)
        else:
            # in storage problems alpha E[u^2] = 1 alone (eq. 19), and a rests at its start
            log_1_c2 = np.where(storage, 0.0, np.logaddexp(0.0, 2 * a))
            root_1_c2 = np.where(storage, 1.0, np.hypot(1.0, c))
            p = 1.0 / (1.0 + np.exp(-2 * a))  # R^2
        jacobian = np.empty((len(which), 2, 2))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            f1 = np.log(alpha) + np.log(step) + log_1_c2
            f2 = np.log(alpha) + np.log(pull) + LOG_SQRT_2_OVER_PI - a + 0.5 * log_1_c2
            # Near the root these logarithms cancel, each rounded at its own size (4e-15 at
            # alpha = 1e6), where the logarithm of the product keeps 1e-15.
            product1 = alpha * step * root_1_c2 * root_1_c2
            product2 = alpha * pull * SQRT_2_OVER_PI * (root_1_c2 / c)
            f1 = np.where(np.abs(f1) < NEAR, np.log(product1), f1)
            f2 = np.where(np.abs(f2) < NEAR, np.log(product2), f2)
            jacobian[:, 0, 0] = moments[:, kernels.STEP_DA] / step + 2 * p
            jacobian[:, 0, 1] = moments[:, kernels.STEP_DB] / step
            jacobian[:, 1, 0] = moments[:, kernels.PULL_DA] / pull - 1 + p
            jacobian[:, 1, 1] = moments[:, kernels.PULL_DB] / pull
        f2[storage] = 0.0
        jacobian[storage, 0, 0] = 0.0
        jacobian[storage, 1, 0] = 1.0
        jacobian[storage, 1, 1] = 0.0
        return np.stack([f1, f2], axis=1), jacobian

    def start(self) -> Array:
        """A first guess for (a, b), good to tens of percent over the whole plane.

        Interpolates Hebb, the early law eps = C (alpha lam)^(-1/2) and maximum
        stability (docs/theory.md, section 6); Newton needs three steps from it.
        """
        alpha = self.alpha
        clean = self.labels.correlation
        hebb = 2 * alpha / np.pi * clean**2
        # c^2 grows from Hebb's 2 alpha/pi by alpha lam/(pi C)^2 = 3.24 lam 2 alpha/pi, up to
        # 1/(0.5005 pi)^2 alpha^2 = 0.635 alpha 2 alpha/pi; noise keeps it near Hebb.
        with np.errstate(divide="ignore"):
            sharpness = self.parameter if self.loss.interpolates else np.full_like(alpha, np.inf)
            noisy = (1 - clean) * 3
            growth = 1 / (1 / (3.24 * sharpness) + 1 / (0.635 * alpha) + noisy)
            a = 0.5 * np.log(hebb * (1 + growth))
        kappa = 1 / np.sqrt(alpha + (alpha / 1.0045) ** 2)
        step = 1 / np.sqrt(alpha * (1 + hebb))  # Hebb's x, the scale of u
        if self.flat:
            step, kappa = np.full_like(alpha, np.sqrt(np.pi / 2)), np.full_like(alpha, 1.0045)
            a = -0.5 * np.log(1 / (3.24 * 2 / np.pi * self.parameter) + (0.5005 * np.pi) ** 2)
        b = np.log(step)
        if self.loss.code == kernels.LOGISTIC:
            b += np.logaddexp(0.0, 2 * self.parameter * kappa) - np.log(2.0)
        elif self.loss.code == kernels.EXPONENTIAL:
            b += self.parameter * kappa
        elif self.loss.code == kernels.HARD_MARGIN:
            b = np.log(kappa)
        elif isinstance(self.loss, SmoothLoss):
            b = np.log(step) - adaptive.log_typical_pull(self.loss, kappa)
        return np.stack([np.where(self.storage, 0.0, a), b], axis=1)
