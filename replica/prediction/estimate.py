"""`estimate_inputs`: what a labelled table says of the two clusters that it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.common import arguments
from replica.common.arguments import InvalidArgument, show
from replica.prediction.moments import Moments
from replica.prediction.spectral import SpectralFunctions, Values
from replica.prediction.table import FEWEST, Table, read_features
from replica.prediction.total import TotalFunctions

__all__ = ["METHODS", "EstimatedInputs", "estimate_inputs", "estimated", "read_unlabelled"]

Array = NDArray[np.float64]

METHODS = ("resolvent", "plug-in")


@dataclass(frozen=True, eq=False)
class EstimatedInputs:
    r"""Two clusters as a sample shows them: spectral functions with their range and error.

    Every function is of nu, an eigenvalue of the covariance (units of the features squared):
    directions of more variance are what a student learns. Equation numbers are those of
    docs/predict.md.

    Attributes
    ----------
    rows, columns : int
        P0 and N.
    positive : float
        Share of the class that comes second in their order.
    classes : tuple
        The two labels, in their order.
    method : str
        "resolvent" or "plug-in".
    least_nu : float
        Eq. (P6): below it the sample says nothing. 0 where there are more rows than columns.
    trace : float
        tr S, the sum of the variances within a class.
    constant : int
        Columns of one value.
    duplicates : int
        Rows that repeat an earlier one.
    unlabelled : int
        Rows without labels that the covariance comes from; 0 if it comes from the labelled ones.
    """

    rows: int
    columns: int
    positive: float
    classes: tuple[Any, Any]
    method: str
    least_nu: float
    trace: float
    constant: int
    duplicates: int
    unlabelled: int
    functions: SpectralFunctions = field(repr=False)

    def degrees_of_freedom(self, nu: ArrayLike) -> Array:
        """df1 = tr S (S + nu)^-1, dimensionless; of the shape of ``nu``.

        Raises
        ------
        InvalidArgument
            For a nu that is not positive, or below `least_nu`.
        """
        return self._at(nu).df1

    def separation(self, nu: ArrayLike) -> Array:
        """A = mu (S + nu)^-1 mu, dimensionless and unbiased, so that noise may make it negative.

        Raises
        ------
        InvalidArgument
            As `degrees_of_freedom`.
        """
        return self._at(nu).a

    def separation_error(self, nu: ArrayLike) -> Array:
        """Standard error of `separation`, eq. (P10), for normal clusters.

        Raises
        ------
        InvalidArgument
            As `degrees_of_freedom`.
        """
        return np.sqrt(self._at(nu).variance)

    def _at(self, nu: ArrayLike) -> Values:
        values = arguments.numbers("nu", nu)
        broken = values[~(arguments.POSITIVE.holds(values) & (values > self.least_nu))]
        if broken.size:
            rule = f"must be positive and above {self.least_nu:.6g}, the least that "
            raise InvalidArgument(
                "nu", rule + f"{self.rows} rows tell anything of", show(float(broken.flat[0]))
            )
        return self.functions.at(self.functions.ridge_at(values))


def estimate_inputs(
    X: Any, y: Any, *, unlabelled: Any = None, method: str = "resolvent"
) -> EstimatedInputs:
    r"""Estimate covariance and distance of two classes as far as a sample determines them.

    The sample covariance S^ within the classes, of n = P0 - 2 degrees of freedom, and half the
    difference mu^ of their means are read at a ridge l. With d = tr S^ (S^ + l)^-1

        nu = l/(1 - d/n),   df1(nu) = d,   a(nu) = (l/nu) mu^ (S^ + l)^-1 mu^ - d/n_e,

    n_e = 4 n+ n-/P0. All else are derivatives, taken analytically (eqs. (P5) to (P9) of
    docs/predict.md). No target of shrinkage is chosen.

    Parameters
    ----------
    X : (P0, N) array or data frame
        Finite numbers, at least 10 rows.
    y : (P0,) array
        Labels of two values.
    unlabelled : (Q, N) array or data frame, optional
        Other rows of the same kind, whose covariance is then read in place of that of the labelled
        ones, eq. (P12). The range begins lower with Q > P0; the error of a is 1 + a times larger,
        so that with P0 > 2 N they are better left out.
    method : str
        "resolvent"; or "plug-in", which takes S^ for the covariance itself and subtracts the noise
        of the mean alone: a is then too large by up to N/P0, relatively, where nu is small.

    Returns
    -------
    EstimatedInputs

    Raises
    ------
    InvalidArgument
        For a table that is none, is not finite, has fewer than 10 rows, no column that varies or
        mostly repeated rows, or labels that are not of two values, two rows each.

    Notes
    -----
    Bias: of relative order 1/P0, for any covariance (0.3% of df1 in samples of 100 in 300
    dimensions). Range: nu > nu_min, eq. (P6), which is 0 for P0 - 2 >= N. Error: eq. (P10). Cost:
    one eigen-decomposition of size min(N, P0). Deterministic equivalents: Bai and Silverstein
    (2010); Hastie, Montanari, Rosset and Tibshirani (2022).
    """
    method = arguments.word("method", method, METHODS)
    if unlabelled is not None and method != "resolvent":
        raise InvalidArgument("unlabelled", 'must be left out where `method` is "plug-in"')
    table = Table.read(X, y)
    moments = Moments.of(table.features, table.signs)
    return estimated(table, moments, read_unlabelled(unlabelled, table), method)


def read_unlabelled(unlabelled: Any, table: Table) -> Array | None:
    """Rows without labels, of as many columns.

    Raises
    ------
    InvalidArgument
        If they are not, or fewer than 10.
    """
    if unlabelled is None:
        return None
    rows = read_features("unlabelled", unlabelled)
    columns = table.features.shape[1]
    if rows.shape[1] != columns:
        raise InvalidArgument("unlabelled", f"must have {columns} columns", str(rows.shape[1]))
    if len(rows) < FEWEST:
        raise InvalidArgument("unlabelled", f"must have at least {FEWEST} rows", str(len(rows)))
    if not np.any(np.ptp(rows, axis=0) > 0):
        raise InvalidArgument("unlabelled", "must have a column that varies")
    return rows


def estimated(
    table: Table, moments: Moments, unlabelled: Array | None, method: str = "resolvent"
) -> EstimatedInputs:
    """The record, of a table that was read."""
    functions = moments.functions(exact=method == "plug-in")
    if unlabelled is not None:
        functions = TotalFunctions.of(moments, unlabelled)
    return EstimatedInputs(
        rows=moments.count,
        columns=table.features.shape[1],
        positive=moments.positive,
        classes=table.classes,
        method=method,
        least_nu=functions.least_nu,
        trace=functions.trace,
        constant=table.constant,
        duplicates=table.duplicates,
        unlabelled=0 if unlabelled is None else len(unlabelled),
        functions=functions,
    )
