"""The ranges of the theory's arguments, each with the words that refuse what lies outside."""

from __future__ import annotations

import numpy as np

from replica.common.arguments import Range

__all__ = [
    "ALPHA",
    "ALPHA_OF_OPTIMUM",
    "ASPECT",
    "CAPACITY",
    "CAPACITY_OF_CURVE",
    "CAPACITY_OF_FINITE",
    "COMPONENT",
    "EIGENVALUE",
    "ERROR_OF_EXPONENT",
    "EXPONENT",
    "FLIP",
    "LAW_CAPACITY",
    "LAW_SOURCE",
    "MARGIN",
    "NOISE",
    "NORM",
    "POWER",
    "RATIO",
    "RIDGE",
    "SCALED_NORM",
    "SHARE",
    "SHARPNESS",
    "SLOPE",
    "SOURCE",
    "SOURCE_OF_CURVE",
    "TARGET",
    "WEIGHT",
]

# The ranges of alpha and lam are those over which the solver has been tried; it loses
# digits of log x, not of the error, like 1e-16/sqrt(alpha) below alpha = 1e-3.
ALPHA = Range(1e-15, 1e15, "must be positive and finite, between 1e-15 and 1e15")
# Below this the curve is too flat for its minimum to be located in double precision.
ALPHA_OF_OPTIMUM = Range(1e-6, 1e15, "must be positive and finite, between 1e-6 and 1e15 here")
SHARPNESS = Range(
    1e-30,
    1e20,
    "must be non-negative: 0 (Hebb), between 1e-30 and 1e20, or inf (maximum stability)",
    also=(0.0, np.inf),
)
RATIO = Range(1e-30, 1e20, "must be positive: between 1e-30 and 1e20, or inf", also=(np.inf,))
FLIP = Range(0.0, 0.5, "must lie in [0, 0.5] (0.5 is random labels)")
# Beyond 1e100 squares and cubes of the noise would leave the doubles.
NOISE = Range(
    0.0, 1e100, "must be non-negative: at most 1e100, or inf (random labels)", also=(np.inf,)
)
RIDGE = Range(1e-30, 1e30, "must be positive, between 1e-30 and 1e30")
SLOPE = Range(1e-6, 1e6, "must be positive, between 1e-6 and 1e6")
MARGIN = Range(-1e6, 1e6, "must be finite, between -1e6 and 1e6")
TARGET = Range(1e-6, 1e6, "must be positive, between 1e-6 and 1e6")

# Inputs. Squares, ratios and products of three numbers within 1e-100 to 1e100 are doubles.
EIGENVALUE = Range(
    1e-100,
    1e100,
    "must be positive and finite, between 1e-100 and 1e100 (a direction without variance takes no "
    "part: leave it out)",
)
POWER = Range(
    0.0, 1e100, "must be non-negative, squared components of at most 1e100 up to a factor"
)
COMPONENT = Range(-1e50, 1e50, "must be finite, between -1e50 and 1e50")
WEIGHT = Range(0.0, 1e15, "must be non-negative and finite, at most 1e15")
# Above 20, eigenvalues leave the doubles before mode 1e14.
CAPACITY = Range(
    1.0,
    20.0,
    "must exceed 1 and be at most 20 (at 1 or below k^-capacity has no finite sum: give a number "
    "of `modes`)",
    low_open=True,
)
CAPACITY_OF_FINITE = Range(0.0, 20.0, "must be positive, at most 20", low_open=True)
SOURCE = Range(1e-3, 10.0, "must be positive, between 1e-3 and 10")
ASPECT = Range(1e-8, 1e8, "must be positive, between 1e-8 and 1e8")
SHARE = Range(0.0, 1.0, "must lie between 0 and 1, both left out", low_open=True, high_open=True)
# A population minimiser's norm: where its curve has been tried.
NORM = Range(1e-12, 1e12, "must be non-negative: 0 (Hebb), or between 1e-12 and 1e12", also=(0.0,))
# Power laws of the inputs: below 1 their variance is infinite, and beyond 1e6 nothing is new.
LAW_CAPACITY = Range(
    1.0, 1e6, "must be above 1, where sum k^-a is finite, and at most 1e6", low_open=True
)
LAW_SOURCE = Range(0.0, 1e6, "must be positive, and at most 1e6", low_open=True)
# Of master curves, whose norms go like k^(a/2) and leave the doubles for larger capacities.
CAPACITY_OF_CURVE = Range(1.0001, 100.0, "must lie between 1.0001 and 100 here")
SOURCE_OF_CURVE = Range(1e-4, 5.0, "must lie between 1e-4 and 5 here")
SCALED_NORM = Range(
    0.0, 1e300, "must be positive: at most 1e300, or inf (maximum stability)", True, also=(np.inf,)
)
EXPONENT = Range(-1e6, 1e6, "must be finite, between -1e6 and 1e6")
ERROR_OF_EXPONENT = Range(0.0, 1e6, "must be non-negative: a standard error, at most 1e6")
