"""What comes in: points checked, sorted and scaled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted, show

__all__ = ["LARGEST", "SMALLEST", "Data", "read"]

Array = NDArray[np.float64]

#: Errors outside these bounds, in units of the largest |y|, overflow when squared; so do
#: derivatives, of what is then not determined by any standard.
SMALLEST, LARGEST = 1e-100, 1e100
#: The largest |y| lies between these where errors are absolute: chi2 is as large as its square.
FAINTEST, GREATEST = 1e-150, 1e150
#: Errors span less than this: from there on weights, their inverse squares, leave nothing of the
#: other points in a double.
ERRORS_SPAN = 1e8


@dataclass(frozen=True)
class Data:
    """Points by increasing x, with y scaled: y/max|y|, or ln y less its mean.

    `place` is where each of them stood in y, of that shape, before some were left out.
    """

    log_x: Array
    y: Array
    sigma: Array
    scale: float
    place: NDArray[np.intp]
    shape: tuple[int, ...]
    known: bool
    relative: bool
    nonnegative: bool


def _column(name: str, value: ArrayLike) -> Array:
    """A one-dimensional array of finite numbers, or a `ValueError`."""
    values = arguments.numbers(name, value)
    if values.ndim != 1:
        raise InvalidArgument(name, "must be one-dimensional", f"shape {values.shape}")
    _refuse(name, "must be finite", values, ~np.isfinite(values))
    return values


def _refuse(name: str, rule: str, values: Array, bad: NDArray[np.bool_], way_out: str = "") -> None:
    """Raise `ValueError` for the first row that breaks a rule."""
    if np.any(bad):
        row = int(np.argmax(bad))
        raise InvalidArgument(name, f"{rule}", f"{show(values[row])} at row {row}{way_out}")


def read(
    x: ArrayLike,
    y: ArrayLike,
    sigma: ArrayLike | None,
    relative: ArrayLike | bool | None,
    offset: bool,
    nonnegative: bool,
    level: float,
    without: ArrayLike | None,
) -> Data:
    """Checked, sorted and scaled data."""
    x, y, shape = _points(x, y)
    equal = isinstance(relative, bool | np.bool_)
    is_relative = bool(relative) if equal else relative is not None
    _refuse("x", "must be positive", x, x <= 0)
    kept = np.arange(len(x))
    if without is not None:
        kept = np.delete(kept, _left_out(without, len(x)))
        x, y = x[kept], y[kept]
    least = 4 if offset else 3
    words = "with" if offset else "without"
    way_out = ": `offset=False` needs one less" if offset else ""
    if len(x) < least:
        raise InvalidArgument(
            "x",
            f"must have at least {least} values for a power law {words} offset",
            f"{len(x)}{way_out}",
        )
    order = np.argsort(x, kind="stable")
    log_x = np.log(x[order])
    different = 1 + np.count_nonzero(np.diff(log_x))
    if different < least - 1:
        raise InvalidArgument(
            "x",
            f"must have at least {least - 1} different values for a power law {words} offset",
            f"{different}{way_out}",
        )
    if np.all(y == y[0]):
        raise InvalidArgument(
            "y",
            "must not be the same everywhere",
            f"{show(y[0])} in all {len(y)} rows: a constant has no exponent",
        )
    if not 0 < level < 1:
        raise InvalidArgument("level", "must lie between 0 and 1", quoted(level))
    if is_relative and sigma is not None:
        raise InvalidArgument("sigma", "and `relative` are both given; errors are one or the other")
    if is_relative and offset and not nonnegative:
        raise InvalidArgument(
            "nonnegative=False", "needs absolute errors; give `sigma`, not `relative`"
        )
    if is_relative:
        _refuse("y", "must be positive where errors are relative", y, y <= 0, ": give `sigma`")
        span = float(np.ptp(np.log(y)))
        if span == 0 or span > 2 * np.log(LARGEST):
            rule = "have more than one logarithm" if span == 0 else "span less than a factor 1e+200"
            raise InvalidArgument(
                "y", f"must {rule}", f"values from {show(y.min())} to {show(y.max())}"
            )
    elif not FAINTEST <= np.abs(y).max() <= GREATEST:
        raise InvalidArgument(
            "y",
            f"must have its largest value between {FAINTEST:g} and {GREATEST:g}",
            f"{show(y[np.argmax(np.abs(y))])}: take another unit",
        )
    name, given = ("relative", relative) if is_relative else ("sigma", sigma)
    known = given is not None and not (is_relative and equal)
    y = y[order]
    scale = float(np.exp(np.log(y).mean()) if is_relative else np.abs(y).max())
    unit = 1.0 if is_relative else scale
    errors = np.ones(len(y))
    if known:
        errors = _errors(name, given, shape, unit)[kept]
    return Data(
        log_x=log_x,
        y=np.log(y) - np.log(scale) if is_relative else y / scale,
        sigma=errors[order],
        scale=scale,
        place=kept[order],
        shape=shape,
        known=known,
        relative=is_relative,
        nonnegative=nonnegative,
    )


def _points(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array, tuple[int, ...]]:
    """As many x as y, and the shape that y had: (n,), or (seeds, n)."""
    x, values = _column("x", x), arguments.numbers("y", y)
    if values.ndim not in (1, 2):
        shape = f"shape {values.shape}"
        raise InvalidArgument("y", "must have one row, or two dimensions (seeds, n)", shape)
    y = _column("y", values.ravel())
    if values.shape[-1] != len(x):
        found = f"{values.shape[-1]} for {len(x)}"
        raise InvalidArgument("y", "must have as many values as `x`", found)
    return x if values.ndim == 1 else np.tile(x, len(values)), y, values.shape


def _left_out(without: ArrayLike, count: int) -> NDArray[np.intp]:
    """Places of points that do not count."""
    places = np.atleast_1d(arguments.numbers("without", without))
    whole = (places == np.floor(places)) & (places >= 0) & (places < count)
    _refuse("without", f"must hold places from 0 to {count - 1}", places, ~whole)
    return places.astype(np.intp).ravel()


def _errors(name: str, given: ArrayLike | None, shape: tuple[int, ...], unit: float) -> Array:
    """Standard errors in units of the largest value: of each point, of each x, or one for all."""
    values = arguments.numbers(name, np.asarray(given))
    if values.shape not in ((), shape, shape[-1:]):
        if values.ndim > 1:
            raise InvalidArgument(name, "must be one-dimensional", f"shape {values.shape}")
        found = f"{values.size} for {shape[-1]}"
        raise InvalidArgument(name, "must have as many values as `x`", found)
    errors = np.broadcast_to(values, shape).ravel()
    _refuse(name, "must be finite", errors, ~np.isfinite(errors))
    _refuse(name, "must be positive", errors, errors <= 0)
    with np.errstate(over="ignore"):  # inf is outside
        parts = errors / unit
    outside = (parts < SMALLEST) | (parts > LARGEST)
    _refuse(name, f"must lie between {SMALLEST:g} and {LARGEST:g} of the values", errors, outside)
    if parts.max() > ERRORS_SPAN * parts.min():
        raise InvalidArgument(
            name,
            f"must span less than a factor {ERRORS_SPAN:g}",
            f"errors from {show(errors.min())} to {show(errors.max())}: leave out the "
            "points that tell nothing",
        )
    return parts
