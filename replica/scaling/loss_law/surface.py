"""The law in the parameters in which it is fitted, and its derivatives.

With u and v the logarithms of N and D less their means, ln f = ln(e^p0 + e^(p1 - alpha u) +
e^(p2 - beta v)): no term becomes negative, and its size does not trade off with its exponent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Runs"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Runs:
    """Runs with logarithms centred, and errors of ln L (1 where they are unknown).

    Parameters p: ln E, ln of the first term and of the second at u = v = 0, alpha, beta.
    """

    u: Array
    v: Array
    log_L: Array
    error: Array
    known: bool
    means: tuple[float, float]

    def residuals(self, p: Array) -> Array:
        """(ln L - ln f)/error."""
        return (self.log_L - self._log_law(p)[0]) / self.error

    def slopes(self, p: Array) -> Array:
        """Derivatives of the residuals by the parameters, (n, 5)."""
        log_f, terms = self._log_law(p)
        parts = np.exp(terms - log_f)
        columns = [parts[0], parts[1], parts[2], -self.u * parts[1], -self.v * parts[2]]
        return -np.stack(columns, axis=1) / self.error[:, None]

    def _log_law(self, p: Array) -> tuple[Array, Array]:
        """The logarithm of the law, and those of its terms."""
        constant = np.full_like(self.u, p[0])
        terms = np.stack([constant, p[1] - p[3] * self.u, p[2] - p[4] * self.v])
        return np.logaddexp(np.logaddexp(terms[0], terms[1]), terms[2]), terms

    def drawn(self, rows: NDArray[np.intp]) -> Runs:
        """Some of the runs, in the same parameters."""
        return Runs(
            self.u[rows],
            self.v[rows],
            self.log_L[rows],
            self.error[rows],
            self.known,
            self.means,
        )
