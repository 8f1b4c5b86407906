"""What the numbers of an experiment may be, each range with the words of its refusal."""

from __future__ import annotations

import numpy as np

from replica.common.arguments import Range

__all__ = ["FINITE", "at_least", "share", "tolerance", "within"]

FINITE = Range(-np.inf, np.inf, "must be finite", low_open=True, high_open=True)


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
