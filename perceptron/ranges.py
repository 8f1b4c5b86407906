"""What the numbers of an experiment may be, each range with the words of its refusal."""

from __future__ import annotations

import numpy as np

from replica.common.arguments import Range

__all__ = [
    "CAPACITY", "EIGENVALUE", "FINITE", "NOISE", "RIDGE", "SHARE", "SHARPNESS", "SOURCE",
    "at_least", "share", "tolerance", "within",
]  # fmt: skip

FINITE = Range(-np.inf, np.inf, "must be finite", low_open=True, high_open=True)
SHARPNESS = Range(
    0.0, np.inf, "must be non-negative: 0 and inf stand for the limits of Hebb and of hard margins"
)
# Beyond 1e100 the squares of the noise would leave the doubles.
NOISE = Range(
    0.0, 1e100, "must be non-negative: at most 1e100, or inf (random labels)", also=(np.inf,)
)
# Roots of these are numbers of single precision.
EIGENVALUE = Range(1e-60, 1e60, "must be positive, between 1e-60 and 1e60")
CAPACITY = Range(0.0, 20.0, "must be positive and at most 20", low_open=True)
SOURCE = Range(1e-3, 10.0, "must be positive, between 1e-3 and 10")
SHARE = Range(0.0, 1.0, "must be in (0, 1)", low_open=True, high_open=True)
RIDGE = Range(1e-30, 1e30, "must be positive, between 1e-30 and 1e30")


def at_least(least: float) -> Range:
    """Large enough to compute with."""
    return Range(least, np.inf, f"must be at least {least:g}")


def within(low: float, high: float) -> Range:
    """Both ends included."""
    return Range(low, high, f"must be in [{low:g}, {high:g}]")


def share(high: float) -> Range:
    """A part of something: ``high`` itself is too much."""
    return Range(0.0, high, f"must be in [0, {high:g})", high_open=True)


def tolerance(high: float) -> Range:
    """A positive number up to ``high``."""
    return Range(0.0, high, f"must be in (0, {high:g}]", low_open=True)
