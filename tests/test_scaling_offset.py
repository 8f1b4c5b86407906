"""Norms that do not count from zero: an early law in lam - lam_0 is found, and only where it is."""

import numpy as np
import pytest
from broken_curves import LAW, P

from replica.scaling import SyntheticLaw, analyse, curves_from_table, synthetic_curves

FEW = 20
LAM_0 = 3.0


def table(number=0):
    return synthetic_curves(LAW, P, 5, np.random.default_rng(number))


@pytest.fixture(scope="module")
def moved():
    """The same curves with a constant added to the norm, as norms that add up over layers have."""
    rows = table()
    return curves_from_table(rows.assign(norm=rows["norm"] + LAM_0))


def test_norms_that_count_from_zero_need_no_offset():
    found = analyse(curves_from_table(table()), bootstrap=FEW)
    assert not found.norm_offset.preferred
    assert "norm_offset" not in [flag.kind for flag in found.flags]
    # at its best it is hardly there, and gains nothing but a parameter's cost
    assert np.exp(found.norm_offset.log_value) < 0.2
    assert -4 < found.norm_offset.gain < 2


def test_an_offset_is_found_and_said(moved):
    found = analyse(moved, bootstrap=FEW)
    offset = found.norm_offset
    assert offset.preferred
    assert offset.log_low <= np.log(LAM_0) <= offset.log_high
    assert offset.gamma_1 == pytest.approx(LAW.gamma_1, abs=0.01)
    assert "norm_offset" in [flag.kind for flag in found.flags]
    # what adding a constant does to the law in the norm itself
    assert found.gamma_1.value > LAW.gamma_1 + 3 * found.gamma_1.error
    silent = analyse(moved, bootstrap=FEW, norm_offset="no")
    assert silent.norm_offset is None
    assert silent.gamma_1 == found.gamma_1


@pytest.mark.parametrize("asked", ["yes", LAM_0])
def test_in_lam_less_lam_0_the_exponents_are_those_of_the_law(moved, asked):
    found = analyse(moved, bootstrap=FEW, norm_offset=asked)
    for name, truth in (("gamma_1", LAW.gamma_1), ("gamma_2", LAW.gamma_2)):
        estimate = getattr(found, name)
        assert abs(estimate.value - truth) < 3 * estimate.total, name
    plain = analyse(curves_from_table(table()), bootstrap=FEW)
    # the constant taken off again: the very curves, up to interpolation at other places
    if asked == LAM_0:
        assert found.gamma_1.value == pytest.approx(plain.gamma_1.value, abs=0.005)


@pytest.mark.parametrize("asked", [100.0, -1.0, "maybe"])
def test_an_offset_beyond_the_norms_is_refused(moved, asked):
    with pytest.raises(ValueError, match="`norm_offset` must be"):
        analyse(moved, bootstrap=FEW, norm_offset=asked)


def test_the_product_is_the_same_for_powers_of_the_norm_and_not_for_sums():
    rows = table()
    plain, power, added = (
        analyse(curves_from_table(rows.assign(norm=norm)), bootstrap=FEW, norm_offset="no")
        for norm in (rows["norm"], 7 * rows["norm"] ** 2.5, rows["norm"] + LAM_0)
    )
    assert power.gamma_pred.value == pytest.approx(plain.gamma_pred.value, rel=1e-6)
    assert power.gamma_1.value == pytest.approx(plain.gamma_1.value / 2.5, rel=1e-6)
    assert abs(added.gamma_pred.value / plain.gamma_pred.value - 1) > 0.1


def test_a_law_over_less_than_half_a_decade_is_called_none():
    early = SyntheticLaw(elbow=0.8, rate=8.0)
    close = [1000.0, 1100.0, 1200.0, 1300.0, 1400.0]
    rows = synthetic_curves(early, close, 5, np.random.default_rng(0), records=80)
    found = analyse(curves_from_table(rows), bootstrap=FEW, norm_offset="no")
    assert "short_window" in [flag.kind for flag in found.flags]
    whole = analyse(curves_from_table(table()), bootstrap=FEW, norm_offset="no")
    assert "short_window" not in [flag.kind for flag in whole.flags]
