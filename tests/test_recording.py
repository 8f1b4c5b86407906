"""The recorder: a clock, rows that are whole, several runs in one file, and what `fit` reads."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from deepnorm.norms import spectral_complexity
from deepnorm.recording import CurveRecorder, table
from replica.scaling import read_curves


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def recorder(path, model=None, **changes):
    options = {"P": 100, "seed": 0, "input_shape": (1, 2, 3), **changes}
    return CurveRecorder(network() if model is None else model, path, **options)


def grow(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 1.1


def train(path, steps, P=100, seed=0, **changes):
    """A training in which every weight grows by a tenth from record to record."""
    model = network(seed)
    curve = recorder(path, model, P=P, seed=seed, **changes)
    for step in range(steps):
        if curve.due(step):
            curve.record(step, test_error=0.9 / (1 + step) ** 0.5)
            grow(model)
    return curve


# ---------------------------------------------------------------------------------- clock


def asked(steps, n):
    class Measured(CurveRecorder):
        def __init__(self):
            self._last, self._growth = None, 2 ** (1 / n)

    clock, taken = Measured(), []
    for step in steps:
        if clock.due(step):
            taken.append(step)
            clock._last = step
    return np.array(taken)


@pytest.mark.parametrize("n", [1, 3, 12])
def test_records_come_at_equal_steps_of_the_logarithm(n):
    taken = asked(range(20001), n)
    ratio = taken[2:] / taken[1:-1]
    assert taken[:3].tolist() == [0, 1, 2]
    # never sooner than a factor, except that a step is a whole number; never a step later
    assert (taken[2:] >= taken[1:-1] * 2 ** (1 / n) * (1 - 1e-12)).all()
    assert (ratio <= 2 ** (1 / n) + 1 / taken[1:-1]).all()


def test_the_clock_is_of_the_steps_that_are_asked_about():
    """Every hundredth step only: all of them early, then a part."""
    taken = asked(range(0, 100_001, 100), 12)
    assert (taken % 100 == 0).all()
    assert taken[:10].tolist() == list(range(0, 1000, 100))
    assert ((taken[11:] - taken[10:-1]) / taken[10:-1] < 2 ** (1 / 12) - 1 + 0.1).all()


# ---------------------------------------------------------------------------------- rows


def test_a_record_is_the_norm_of_that_moment(tmp_path):
    model = network()
    path = tmp_path / "curves.csv"
    curve = recorder(path, model)
    expected = []
    for step in (0, 5, 7):
        assert curve.record(step, torch.tensor(0.5), train_error=0.25, loss=2.0) is True
        expected.append(spectral_complexity(model, (1, 2, 3)).log_value)
        grow(model)
    lines = path.read_text().splitlines()
    assert lines[0] == "P,seed,step,log_norm,test_error,train_error,loss"
    rows = [line.split(",") for line in lines[1:]]
    assert [(row[0], row[1], row[2], *row[4:]) for row in rows] == [
        ("100", "0", step, "0.5", "0.25", "2.0") for step in ("0", "5", "7")
    ]
    # both are asked for a part in 10^6 of ln R, the tracker's tolerance
    assert [float(row[3]) for row in rows] == pytest.approx(expected, rel=2e-6, abs=2e-6)


def test_what_is_recorded_is_what_fit_reads(tmp_path):
    path = tmp_path / "curves.csv"
    for P in (100, 200):
        for seed in (0, 1):
            train(path, 40, P=P, seed=seed)
    found = read_curves(path)
    assert found.P.tolist() == [100, 200]
    assert not found.averaged
    assert found.notes == ()
    assert found.table["used"].all()
    assert found.table["test_error"].tolist()[:3] == pytest.approx(
        [0.9 / (1 + k) ** 0.5 for k in range(3)]
    )
    assert read_curves([path]).table.equals(found.table)


def test_a_run_is_recorded_once(tmp_path):
    path = tmp_path / "curves.csv"
    train(path, 20)
    before = path.read_text()
    sentence = (
        "`path` must not hold this run (P = 100, seed = 0) yet; to go on with it pass "
        "`resume=True`, and for another run another `seed` or file; got "
        f"{path} with records up to step 19"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        recorder(path)
    recorder(path, seed=1), recorder(path, P=101), recorder(path, seed="0a")
    curve = recorder(path, resume=True)
    assert not curve.due(19)
    assert curve.record(12, test_error=0.1) is False  # after a checkpoint of an earlier step
    assert path.read_text() == before
    assert curve.record(20, test_error=0.1) is True
    assert path.read_text().startswith(before)
    assert read_curves(path).table["step"].is_monotonic_increasing


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_what_a_crash_left_of_a_row_is_taken_away(tmp_path, cut):
    path = tmp_path / "curves.csv"
    train(path, 5)
    whole = path.read_text()
    path.write_text(whole[:-cut])
    lines = whole[:-cut].rpartition("\n")[0] + "\n"
    curve = recorder(path, resume=True)
    assert path.read_text() == lines
    curve.record(50, test_error=0.1)
    assert path.read_text().startswith(lines)
    assert path.read_text().count("\n") == lines.count("\n") + 1


def test_a_torn_header_is_written_anew(tmp_path):
    path = tmp_path / "curves.csv"
    path.write_text("P,seed,st")
    train(path, 5)
    assert len(read_curves(path).table) == 5


@pytest.mark.parametrize("text", ["mine", "mine\nand more", "P,seed,norm\n1,2,3\n"])
def test_a_file_of_another_kind_is_left_alone(tmp_path, text):
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(
        ValueError, match="must be a new file, or a table that a recorder wrote; got"
    ):
        recorder(path)
    assert path.read_text() == text


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="`path` must be a regular file"):
        recorder(tmp_path / "pipe")
    with pytest.raises(OSError, match="directory"):
        recorder(tmp_path)


def test_a_row_that_does_not_fit_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "curves.csv"
    curve = train(path, 5)
    before = path.read_bytes()
    write = os.write

    def full(file, data):
        if len(data) > 4:
            return write(file, data[:4])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(table.os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        curve.record(6, test_error=0.123456789)
    assert path.read_bytes() == before
    monkeypatch.undo()
    assert curve.record(6, test_error=0.1) is True  # the record is not lost for another try


#: The module alone: importing torch takes longer than the test.
WRITER = f"""
import sys
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("table", {table.__file__!r})
module = module_from_spec(spec)
spec.loader.exec_module(module)
append = module.append
titles = ["P", "seed", "step", "log_norm", "test_error"]
for step in range(40):
    append(sys.argv[1], titles, ["1", sys.argv[2], str(step), "0." + "1" * 200, "0.5"])
"""


def test_runs_may_write_to_one_file_at_once(tmp_path):
    path = tmp_path / "curves.csv"
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*command, str(seed)]) for seed in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    rows = table.read_rows(str(path))
    assert len(rows) == 120
    for seed in range(3):
        assert [int(r["step"]) for r in rows if r["seed"] == str(seed)] == list(range(40))


# ------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"P": 0}, "`P` must be positive and finite; got 0"),
        ({"seed": 0.5}, "`seed` must be an integer, or a name in one printable line; got 0.5"),
        ({"seed": "a\nb"}, "`seed` must be an integer, or a name in one printable line"),
        ({"seed": True}, "`seed` must be an integer"),
        ({"per_doubling": 0}, "`per_doubling` must be a whole number of at least 1; got 0"),
        ({"convention": "eq3"}, "eq3"),
        ({"input_shape": None}, "`input_shape`"),
    ],
)
def test_arguments_of_the_recorder(tmp_path, changes, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        recorder(tmp_path / "a.csv", **changes)


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({"step": 5}, "`step` must exceed that before, 5; got 5"),
        ({"step": 6.5}, "`step` must be a whole number of at least 0; got 6.5"),
        ({"test_error": float("nan")}, "`test_error` must be finite and not negative; got nan"),
        ({"test_error": -0.1}, "`test_error` must be finite and not negative; got -0.1"),
        ({"test_error": "0.1"}, "`test_error` must be finite and not negative; got '0.1'"),
        ({"loss": 1.0}, "`loss` must be given in every record of a run, or in none"),
    ],
)
def test_arguments_of_a_record(tmp_path, record, sentence):
    path = tmp_path / "curves.csv"
    curve = recorder(path)
    curve.record(5, test_error=0.5)
    before = path.read_text()
    with pytest.raises(ValueError, match=re.escape(sentence)):
        curve.record(**{"step": 6, "test_error": 0.4, **record})
    assert path.read_text() == before


def test_a_table_has_the_same_columns_throughout(tmp_path):
    path = tmp_path / "curves.csv"
    recorder(path).record(0, test_error=0.5)
    with pytest.raises(
        ValueError, match=r"with the columns P, .*test_error, loss; got .* with P,seed"
    ):
        recorder(path, seed=1).record(0, test_error=0.5, loss=1.0)


def test_a_head_that_starts_at_zero_is_recorded_and_left_out(tmp_path):
    path = tmp_path / "curves.csv"
    model = network()
    nn.init.zeros_(model[3].weight)
    nn.init.zeros_(model[3].bias)
    curve = recorder(path, model)
    curve.record(0, test_error=0.9)
    model.load_state_dict(network().state_dict())
    for step in (1, 2):
        grow(model)
        curve.record(step, test_error=0.9 / (1 + step))
    found = read_curves(path)
    assert found.table["step"].tolist() == [1, 2]
    assert "1 of 1 curve begin at log_norm = -inf" in found.notes[0]
