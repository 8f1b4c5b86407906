"""Columns as numbers within their range: norms, errors, losses, accuracies, percent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replica.common.arguments import show
from replica.scaling.curves.cells import Column
from replica.scaling.curves.checks import Records
from replica.scaling.curves.rows import Rows

__all__ = ["Meaning", "read"]

Array = NDArray[np.float64]

#: ln(norm) beyond this is no norm (1e6 is a norm of 10^434294), and its squares lose digits.
LARGEST_LOG_NORM = 1e6
#: A fraction may pass its bound by so much: a mean of numbers in single precision, whose unit
#: roundoff is 6e-8, over batches of different size.
ROUNDING = 1e-6
#: The largest of numbers in percent exceeds this, that of cross-entropies does not: ln(classes)
#: is 11 for 60,000. A choice, for the wording of a hint only.
LARGEST_LOSS = 20.0


@dataclass(frozen=True)
class Meaning:
    """What the numbers of a table are.

    Attributes
    ----------
    percent : bool
        Errors, or accuracies, are in percent.
    accuracy : bool
        They are accuracies.
    quantity : str
        "test_error" or "loss".
    """

    percent: bool
    accuracy: bool
    quantity: str


def read(cells: Mapping[str, Column], rows: Rows, meaning: Meaning, notes: list[str]) -> Records:
    """Every column as numbers within their range; ln(norm) may be -inf, looked at later."""
    P = cells["P"].numbers()
    cells["P"].refuse(~(np.isfinite(P) & (P > 0)), "must be finite and positive")
    seeds = None
    seed = np.zeros(len(P), np.intp)
    if "seed" in cells:
        seed, seeds = cells["seed"].names()
    values: dict[str, Array] = {}
    for name in ("step", "epoch", "loss"):
        if name in cells:
            values[name] = cells[name].numbers()
            cells[name].refuse(~np.isfinite(values[name]), "must be finite")
    log_norm = _log_norm(cells, values)
    for name in ("test_error", "train_error"):
        if name not in cells:
            continue
        if name == "test_error" and meaning.quantity == "loss":
            values[name] = cells[name].numbers()
            good = np.isfinite(values[name]) & (values[name] >= 0)
            cells[name].refuse(~good, "must be finite and not negative, being a loss")
        else:
            values[name] = _rate(cells[name], meaning, notes)
    return Records(P, seed, seeds, log_norm, values, cells, rows)


def _log_norm(cells: Mapping[str, Column], values: Mapping[str, Array]) -> Array:
    """ln(norm), from whichever column there is; ln(step) without a norm, and zero without both."""
    if "log_norm" in cells:
        log = cells["log_norm"].numbers()
        cells["log_norm"].refuse(np.isnan(log) | (log == np.inf), "must be finite")
        beyond = (np.abs(log) > LARGEST_LOG_NORM) & (log != -np.inf)
        most = f"{LARGEST_LOG_NORM:g}"
        cells["log_norm"].refuse(beyond, f"must lie between -{most} and {most}")
        return log
    if "norm" in cells:
        norm = cells["norm"].numbers()
        bad = ~(np.isfinite(norm) & (norm >= 0))
        first = norm[np.argmax(bad)]
        way_out = ""
        if first < 0:
            way_out = "; if it is the natural logarithm of the norm, name it `log_norm`"
        elif first == np.inf:
            way_out = "; a norm beyond 1e308 has to come as `log_norm`"
        cells["norm"].refuse(bad, "must be finite and positive", way_out)
        return _log(norm)
    clock = next((name for name in ("step", "epoch") if name in values), None)
    if clock is None:
        return np.zeros(len(next(iter(cells.values())).cells))
    cells[clock].refuse(values[clock] < 0, "must not be negative where it takes the norm's place")
    return _log(values[clock])


def _log(values: Array) -> Array:
    with np.errstate(divide="ignore"):  # of a zero, looked at with the curve that it begins
        return np.asarray(np.log(values))


def _rate(column: Column, meaning: Meaning, notes: list[str]) -> Array:
    """A column of errors, or of accuracies, as errors in [0, 1]."""
    values = column.numbers()
    unit = 100.0 if meaning.percent else 1.0
    low, high = float(values.min()), float(values.max())
    beyond = (values < 0) | (values > unit)
    slight = beyond & (np.abs(values - np.clip(values, 0, unit)) <= ROUNDING * unit)
    if meaning.percent:
        column.refuse(beyond & ~slight, "must lie in [0, 100], being in percent")
        if 0 < high <= 1:
            raise ValueError(
                f"{column.label} looks like fractions: its largest value is {show(high)}, but "
                "`percent` is set; leave out `percent=True` (`--percent`)"
            )
    else:
        column.refuse(beyond & ~slight, "must lie in [0, 1]", _unit_hint(low, high, meaning))
    if slight.any():
        notes.append(
            f"{column.label} passes the end of its range by rounding (by at most "
            f"{float(np.abs(values - np.clip(values, 0, unit)).max()):.1g}), in row "
            f"{column.counted(slight)}: read as the end"
        )
        values = np.clip(values, 0, unit)
    values = values / unit
    return 1 - values if meaning.accuracy else values


def _unit_hint(low: float, high: float, meaning: Meaning) -> str:
    """What numbers above 1 may be, by the largest."""
    if low < -ROUNDING:
        return "; if it is a log-likelihood, take its negative as a loss" if high <= 0 else ""
    percent = "if these are percent, as they look, pass `percent=True` (`--percent`)"
    loss = "if these are losses, as they look, pass `quantity='loss'` (`--quantity loss`)"
    if meaning.accuracy:
        return f"; the largest is {show(high)}: {percent}" if high <= 100 else ""
    if LARGEST_LOSS < high <= 100:
        return f"; the largest is {show(high)}: {percent}"
    if high <= LARGEST_LOSS:
        return f"; the largest is {show(high)}: {loss}; if they are percent, `--percent`"
    return ""
