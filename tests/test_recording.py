"""The table that a training loop writes is the one that `deepnorm fit` reads."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from deepnorm.norms import spectral_complexity
from deepnorm.recording import CurveRecorder
from replica.scaling import read_curves


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def recorder(path, model=None, **options):
    given = {"P": 100, "seed": 0, "input_shape": (6,)} | options
    return CurveRecorder(network() if model is None else model, path, **given)


def test_what_a_loop_records_is_what_is_read(tmp_path):
    path, norms = tmp_path / "curves.csv", []
    for P in (100, 200):
        for seed in (0, 1):
            model = network(seed)
            records = recorder(path, model, P=P, seed=seed)
            for step in range(0, 60, 10):
                with torch.no_grad():
                    model[0].weight.mul_(1.3)
                logged = records.record(step, test_error=0.5 - step / 200)
                exact = spectral_complexity(model, (6,)).log_value
                assert logged == pytest.approx(exact, rel=2e-6)
                norms.append(logged)
    curves = read_curves(path)
    assert curves.P.tolist() == [100.0, 200.0]
    np.testing.assert_array_equal(curves.table["log_norm"], norms)
    assert curves.table["test_error"].tolist() == [0.5 - s / 200 for s in range(0, 60, 10)] * 4
    assert curves.abscissa == "norm"


def test_the_clock_is_logarithmic(tmp_path):
    records = recorder(tmp_path / "a.csv", per_doubling=2)
    taken = []
    for step in range(130):
        if records.due(step):
            records.record(step, test_error=0.5)
            taken.append(step)
    assert taken == [0, 1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128]


def test_a_line_that_was_cut_off_costs_no_other(tmp_path):
    path = tmp_path / "a.csv"
    records = recorder(path)
    records.record(0, test_error=0.5)
    records.record(1, test_error=0.4)
    path.write_text(path.read_text() + "100,0,2,1.2")
    recorder(path, seed=1).record(0, test_error=0.6)
    lines = path.read_text().splitlines()
    assert lines[3] == "100,0,2,1.2"
    assert lines[4].startswith("100,1,0,")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"P": 0}, "`P` must be a whole number of at least 1"),
        ({"seed": 1.5}, "`seed` must be an integer or a name"),
        ({"per_doubling": 0}, "`per_doubling` must be a whole number of at least 1"),
    ],
)
def test_bad_arguments_are_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        recorder(tmp_path / "a.csv", **options)


def test_bad_records_are_refused_and_write_nothing(tmp_path):
    path = tmp_path / "a.csv"
    records = recorder(path)
    records.record(5, test_error=0.5)
    before = path.read_text()
    with pytest.raises(ValueError, match="`step` must exceed that of the last record, 5; got 5"):
        records.record(5, test_error=0.5)
    with pytest.raises(ValueError, match="`test_error` must be finite"):
        records.record(6, test_error=math.nan)
    assert path.read_text() == before


def test_another_table_is_not_appended_to(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,2\n")
    with pytest.raises(ValueError, match="`path` must be new, or begin with P,seed,step"):
        recorder(path)
    assert path.read_text() == "x,y\n1,2\n"
