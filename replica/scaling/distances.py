"""How far curves are from one another, and their mean: eqs. (S9) to (S11)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from replica.common import arguments
from replica.common.arguments import InvalidArgument

__all__ = ["finite", "houdayer_hartmann", "mean_master_curve", "reached"]

Array = NDArray[np.float64]

#: A normal variable lies within this many standard deviations 95% of the time.
BAND = 1.96
#: x and y lie between -LARGEST and LARGEST, points are at least SMALLEST apart, and errors lie
#: between the two: squares and their ratios are then floats.
SMALLEST, LARGEST = 1e-50, 1e50
#: Errors span less than this, or their inverse squares leave nothing of the other points.
ERRORS_SPAN = 1e8


def houdayer_hartmann(
    x: Sequence[ArrayLike], y: Sequence[ArrayLike], sigma: Sequence[ArrayLike] | None = None
) -> float:
    r"""Distance of each curve to the others, in units of the errors: about 1 for a collapse.

    .. math:: S = \frac1N \sum_{ij} \frac{(y_{ij} - Y_{ij})^2}{\sigma_{ij}^2 + dY_{ij}^2}

    Y_ij and its error dY_ij are the value at x_ij of the weighted straight line through the two
    points next to x_ij, one on each side, of every other curve that has them; points
    where there is no such curve do not count. (J. Houdayer and A. K. Hartmann, Phys. Rev. B 70,
    014418 (2004), appendix.)

    Parameters
    ----------
    x, y : sequence of (n_i,) arrays
        The curves; each x increases. Numbers of points may differ.
    sigma : sequence of (n_i,) arrays, optional
        Standard errors of y, taken as independent. Without them all points weigh the same, and
        the result is the root mean square of y_ij - Y_ij, in units of y.

    Returns
    -------
    float
        S, or the root mean square; nan where no point lies within the range of another curve.

    Raises
    ------
    ValueError
        If there are unequal numbers of curves or of points, if an x does not increase, if an
        entry is beyond 1e50, an error or a distance in x below 1e-50, or if errors span more
        than a factor 1e8.
    """
    xs, ys, errors = _curves("x", x, "y", y, sigma)
    if len(xs) < 2:
        return float("nan")
    owner = np.repeat(np.arange(len(xs)), [len(curve) for curve in xs])
    X, Y = np.concatenate(xs), np.concatenate(ys)
    pairs = []  # for every curve whom it meets, and its two points there: u, y, w
    for i, (own_x, own_y, own_error) in enumerate(zip(xs, ys, errors, strict=True)):
        if len(own_x) < 2:
            continue
        inside = np.flatnonzero((owner != i) & reached(own_x, X))
        left = np.searchsorted(own_x, X[inside], side="right") - 1
        left = np.minimum(left, len(own_x) - 2)  # the last point has no right neighbour
        for side in (left, left + 1):
            # Measured from x_ij, so that the line's value there is its intercept.
            pairs.append((inside, own_x[side] - X[inside], own_y[side], own_error[side] ** -2))
    K, Kx, Ky, Sxx, Sxy = np.zeros((5, len(X)))
    for inside, u, v, w in pairs:
        K[inside] += w
        Kx[inside] += w * u
        Ky[inside] += w * v
    met = K > 0
    if not np.any(met):
        return float("nan")
    K[~met] = 1.0
    middle, level = Kx / K, Ky / K
    for inside, u, v, w in pairs:  # about the mean: K Kxx - Kx^2 would cancel
        Sxx[inside] += w * (u - middle[inside]) ** 2
        Sxy[inside] += w * (u - middle[inside]) * (v - level[inside])
    middle, level, K, Sxx, Sxy = middle[met], level[met], K[met], Sxx[met], Sxy[met]
    distance = Y[met] - (level - middle * Sxy / Sxx)
    if sigma is None:
        return float(np.sqrt(np.mean(distance**2)))
    variance = np.concatenate(errors)[met] ** 2 + 1 / K + middle**2 / Sxx
    return float(np.mean(distance**2 / variance))


def mean_master_curve(
    log_ratio: Sequence[ArrayLike],
    log_phi: Sequence[ArrayLike],
    sigma: Sequence[ArrayLike] | None = None,
    *,
    points: int = 101,
) -> pd.DataFrame:
    """The curve that rescaled curves share: their mean in ln at equal ln(lam/lam_opt).

    Curves are interpolated linearly; all count the same. The band holds 95% of the curves:
    phi exp(+-1.96 s), where s^2 is the variance over the curves or, if larger, the mean of
    their own (a few curves may lie close together by chance).

    Parameters
    ----------
    log_ratio, log_phi : sequence of (n_i,) arrays
        ln(norm/lam_opt), increasing, and ln(error/eps_opt).
    sigma : sequence of (n_i,) arrays, optional
        Standard errors of `log_phi`.
    points : int
        Points of the grid, which covers what at least two curves reach; at least 2.

    Returns
    -------
    DataFrame
        Columns `log_ratio`, `phi`, `low`, `high`, `curves`; places that fewer than two curves
        reach are left out, and it is empty where there are no others.

    Raises
    ------
    ValueError
        As `houdayer_hartmann`, or if there are fewer than two `points`.
    """
    points = arguments.whole("points", points)
    if points < 2:
        raise InvalidArgument("points", "must be at least 2", f"{points}")
    xs, ys, errors = _curves("log_ratio", log_ratio, "log_phi", log_phi, sigma)
    shared = [
        (max(a[0], b[0]), min(a[-1], b[-1]))
        for a, b in itertools.combinations(xs, 2)
        if max(a[0], b[0]) < min(a[-1], b[-1])
    ]
    grid = np.empty(0)
    if shared:
        grid = np.linspace(min(low for low, _ in shared), max(high for _, high in shared), points)
    values = np.full((len(xs), len(grid)), np.nan)
    own = np.zeros_like(values)
    for i, (x, y, error) in enumerate(zip(xs, ys, errors, strict=True)):
        inside = reached(x, grid)
        values[i, inside] = np.interp(grid[inside], x, y)
        if sigma is not None:
            own[i, inside] = np.interp(grid[inside], x, error) ** 2
    curves = np.count_nonzero(~np.isnan(values), axis=0)
    kept = curves >= 2
    grid, values, own, curves = grid[kept], values[:, kept], own[:, kept], curves[kept]
    middle = np.nansum(values, axis=0) / curves
    spread = np.nansum((values - middle) ** 2, axis=0) / (curves - 1)
    half = BAND * np.sqrt(np.maximum(spread, own.sum(axis=0) / curves))
    with np.errstate(over="ignore"):  # a band without an upper end
        return pd.DataFrame(
            {
                "log_ratio": grid,
                "phi": np.exp(middle),
                "low": np.exp(middle - half),
                "high": np.exp(middle + half),
                "curves": curves,
            }
        )


def reached(x: Array, places: Array) -> NDArray[np.bool_]:
    """Which places lie within the range of a curve."""
    first, last = x[0], x[-1]
    return np.asarray((places >= first) & (places <= last))


def _curves(
    x_name: str,
    x: Sequence[ArrayLike],
    y_name: str,
    y: Sequence[ArrayLike],
    sigma: Sequence[ArrayLike] | None,
) -> tuple[list[Array], list[Array], list[Array]]:
    """Checked curves, with errors of 1 where none are given."""
    xs = _columns(x_name, x)
    ys = _columns(y_name, y, xs)
    errors = (
        [np.ones_like(curve) for curve in xs] if sigma is None else _columns("sigma", sigma, xs)
    )
    for i, curve in enumerate(xs):
        if np.any(np.diff(curve) < SMALLEST):
            row = int(np.argmax(np.diff(curve) < SMALLEST))
            raise InvalidArgument(
                f"{x_name}[{i}]",
                "must increase",
                f"{arguments.show(curve[row + 1])} after {arguments.show(curve[row])}: "
                "sort the curve, and average points at equal x",
            )
        if np.any(errors[i] < SMALLEST):
            row = int(np.argmax(errors[i] < SMALLEST))
            rule = "positive" if errors[i][row] <= 0 else f"at least {SMALLEST:g}"
            raise InvalidArgument(
                f"sigma[{i}]", f"must be {rule}", f"{arguments.show(errors[i][row])} at row {row}"
            )
    if errors:
        low, high = min(e.min() for e in errors), max(e.max() for e in errors)
        if high > ERRORS_SPAN * low:
            raise InvalidArgument(
                "sigma",
                f"must span less than a factor {ERRORS_SPAN:g}",
                f"errors from {arguments.show(low)} to {arguments.show(high)}",
            )
    return xs, ys, errors


def _columns(
    name: str, curves: Sequence[ArrayLike], like: Sequence[Array] | None = None
) -> list[Array]:
    """One-dimensional arrays of finite numbers, as many and as long as others."""
    try:
        listed = list(curves)
    except TypeError:
        said = arguments.quoted(curves)
        raise InvalidArgument(name, "must be several arrays, one a curve", f"{said}") from None
    columns = [arguments.numbers(f"{name}[{i}]", curve) for i, curve in enumerate(listed)]
    if like is not None and len(columns) != len(like):
        raise InvalidArgument(name, "must have as many curves as x", f"{len(columns)}")
    for i, column in enumerate(columns):
        if column.ndim != 1 or len(column) == 0:
            raise InvalidArgument(
                f"{name}[{i}]",
                "must be a one-dimensional array that is not empty",
                f"shape {column.shape}",
            )
        if like is not None and len(column) != len(like[i]):
            raise InvalidArgument(
                f"{name}[{i}]", "must have as many points as x", f"{len(column)} for {len(like[i])}"
            )
        finite(f"{name}[{i}]", column)
    return columns


def finite(name: str, values: Array) -> None:
    """Raise `ValueError` for the first entry that is not finite, or too large to be squared."""
    good = np.abs(values) <= LARGEST
    if not np.all(good):
        row = int(np.argmin(good))
        rule = f"at most {LARGEST:g} in size" if np.isfinite(values[row]) else "finite"
        raise InvalidArgument(
            name, f"must be {rule}", f"{arguments.show(values[row])} at row {row}"
        )
