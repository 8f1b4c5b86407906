"""Numbers as they are printed: digits, powers of ten, what a systematic error explains."""

import math

import numpy as np
import pytest

from deepnorm import words


@pytest.mark.parametrize(
    ("value", "error", "printed"),
    [
        (0.20968, 0.01143, ("0.210", "0.011")),
        (0.2097, 0.0996, ("0.21", "0.10")),
        (39.7, 14.2, ("40", "14")),
        (1234.5, 678.0, ("1230", "680")),
        (-0.5, 0.25, ("-0.50", "0.25")),
        (0.123456, math.nan, ("0.1235", "-")),
        (0.123456, 0.0, ("0.1235", "-")),
        (math.nan, math.nan, ("-", "-")),
    ],
)
def test_values_have_the_digits_that_their_error_bears(value, error, printed):
    assert words.rounded(value, error) == printed


@pytest.mark.parametrize(
    ("number", "printed"),
    [
        (("2.16", 0), "2.16"),
        (("1.00", 1), "10.0"),
        (("9.99", 3), "9990"),
        (("1.00", -3), "0.00100"),
        (("1.00", 4), None),
        (("9.99", -4), None),
    ],
)
def test_numbers_that_are_neither_large_nor_small_are_written_out(number, printed):
    assert words.plain(number) == printed


@pytest.mark.parametrize(
    ("logarithm", "printed"),
    [
        (-np.inf, ("0", 0)),
        (0.0, ("1.00", 0)),
        (1000.0, ("1.97", 434)),
        (-1000.0, ("5.08", -435)),
        (6.9077, ("1.00", 3)),
    ],
)
def test_norms_of_any_size_are_a_mantissa_and_a_power(logarithm, printed):
    assert words.power_of_ten(logarithm) == printed


@pytest.mark.parametrize(
    ("gap", "distance", "systematic", "covered"),
    [
        (0.0062, 2.5, (0.0069, 0.001), True),
        (-0.0062, -2.5, (0.0069, math.nan), True),
        (0.0062, 2.5, (0.001, math.nan), False),
        (0.0062, 2.5, (math.nan, math.nan), False),
        (0.0062, 0.5, (0.0069, 0.001), False),  # the statistical error suffices
        (0.0062, math.nan, (0.0069, 0.001), False),
    ],
)
def test_a_systematic_error_covers_what_is_within_it(gap, distance, systematic, covered):
    assert words.covered(gap, distance, *systematic) is covered
