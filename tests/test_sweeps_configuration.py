"""What decides a run: checked fields, a hash that stays the same, records, grids."""

import dataclasses
import itertools
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepnorm.sweeps import Run, grid
from deepnorm.sweeps.defaults import DEFAULTS
from deepnorm.sweeps.seeds import stream

RUN = Run(dataset="digits", model="cnn-small", P=50, seed=0, steps=100)


def test_the_hash_is_the_same_everywhere_and_for_ever():
    """Files of earlier versions are found by it: it may change only together with FORMAT."""
    assert RUN.digest.startswith("4b12b552b388d04b")
    assert RUN.file_name == f"cnn-small_digits_P50_seed0_{RUN.digest[:12]}.json"


def test_equal_runs_have_equal_hashes_however_they_are_written():
    same = dataclasses.replace(
        RUN, learning_rate=np.float64("0.001"), width=1, conventions=list(RUN.conventions)
    )
    assert same == RUN
    assert same.digest == RUN.digest


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Run)])
def test_every_field_is_part_of_the_hash(field):
    other = {
        "dataset": "mnist", "model": "vit", "optimizer": "sgd", "conventions": ("eq2",),
        "reference": "zero", "precision": "bfloat16",
        "learning_rate": 0.5, "momentum": 0.5, "weight_decay": 0.5, "width": 0.5,
        "initial_scale": 0.5,
    }.get(field, 7)  # fmt: skip
    settings = {"optimizer": "sgd"} if field == "momentum" else {}
    before = dataclasses.replace(RUN, **settings)
    after = dataclasses.replace(before, **{field: other})
    assert after.digest != before.digest


def test_a_run_survives_being_written_down():
    assert Run.from_dict(RUN.as_dict()) == RUN
    with pytest.raises(ValueError, match="differing: \\['seed'\\]"):
        Run.from_dict({name: v for name, v in RUN.as_dict().items() if name != "seed"})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("P", 0, "`P` must be a whole number of at least 1; got 0"),
        ("P", 2.5, "`P` must be a whole number of at least 1; got 2.5"),
        ("P", True, "`P` must be a whole number of at least 1; got True"),
        ("seed", -1, "`seed` must be a whole number of at least 0; got -1"),
        ("steps", "many", "`steps` must be a whole number of at least 1; got 'many'"),
        ("records", 1, "`records` must be a whole number of at least 2; got 1"),
        ("test_images", 0, "`test_images` must be a whole number of at least 1; got 0"),
        ("learning_rate", 0.0, "`learning_rate` must be positive and finite; got 0.0"),
        ("learning_rate", float("nan"), "`learning_rate` must be positive and finite; got nan"),
        ("learning_rate", None, "`learning_rate` must be positive and finite; got None"),
        ("weight_decay", -1.0, "`weight_decay` must be 0 or positive and finite; got -1.0"),
        ("width", float("inf"), "`width` must be positive and finite; got inf"),
        ("optimizer", "lion", "`optimizer` must be one of adam, adamw, sgd; got 'lion'"),
        ("precision", "float16", "`precision` must be one of float32, bfloat16; got 'float16'"),
        ("momentum", 0.9, "`momentum` belongs to `optimizer=\"sgd\"`; got 0.9 with 'adam'"),
        ("model", "../cnn", "`model` must be a name of letters, digits, . and -; got '../cnn'"),
        ("conventions", (), "`conventions` must be one or more distinct names; got ()"),
        ("conventions", ("a", "a"), "`conventions` must be one or more distinct names"),
    ],
)
def test_fields_out_of_range(field, value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        dataclasses.replace(RUN, **{field: value})


def test_momentum_ends_before_1():
    with pytest.raises(ValueError, match=r"`momentum` must be below 1; got 1\.0"):
        dataclasses.replace(RUN, optimizer="sgd", momentum=1.0)


@given(steps=st.integers(1, 10**6), records=st.integers(2, 100))
def test_records_are_log_spaced_from_the_first_step_to_the_last(steps, records):
    taken = dataclasses.replace(RUN, steps=steps, records=records).record_steps
    assert taken[0] == 1
    assert taken[-1] == steps
    assert all(a < b for a, b in itertools.pairwise(taken))
    assert len(taken) <= records
    # Where rounding does not matter, neighbours are in one ratio.
    ratio = steps ** (1 / (records - 1))
    far = [(a, b) for a, b in itertools.pairwise(taken) if a > 100]
    for a, b in far:
        assert b / a == pytest.approx(ratio, rel=0.02) or ratio < 1.02


def test_a_grid_is_every_P_with_every_seed():
    runs = grid("cnn-small", "digits", [50, 100], 3, steps=10, width=0.5)
    assert [(r.P, r.seed) for r in runs] == [(P, s) for P in (50, 100) for s in range(3)]
    assert {(r.steps, r.width) for r in runs} == {(10, 0.5)}
    assert [r.seed for r in grid("cnn-small", "digits", [50], [4, 9], steps=10)] == [4, 9]


def test_epochs_are_as_many_steps_as_P_needs():
    runs = grid("cnn", "mnist", [94, 128, 129, 1500], 1, epochs=10)
    assert [r.steps for r in runs] == [10, 10, 20, 120]


def test_a_grid_without_numbers_is_that_of_the_data_set():
    for name, usual in DEFAULTS.items():
        runs = grid("cnn-small", name)
        assert len(runs) == len(usual.P) * usual.seeds
        assert {r.steps for r in runs} == {usual.steps}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 1, "epochs": 1}, "`epochs` must not be given with `steps`; got 1 and 1"),
        ({"P": []}, "`P` must hold at least one number"),
        ({"P": [50, 60, 50]}, "`P` must not repeat a number; twice: \\[50\\]"),
        ({"seeds": 0}, "`seeds` must be a whole number of at least 1; got 0"),
        ({"epochs": -1}, "`epochs` must be positive and finite; got -1"),
    ],
)
def test_grids_that_make_no_sense(arguments, message):
    with pytest.raises(ValueError, match=message):
        grid("cnn-small", "digits", **arguments)


def test_a_data_set_without_defaults_needs_numbers():
    with pytest.raises(
        ValueError, match=r"`P` and `steps` .* must be given for the data set 'own'"
    ):
        grid("cnn", "own")
    assert len(grid("cnn", "own", [5], 2, steps=3)) == 2


def test_streams_of_random_numbers_are_apart():
    numbers = [
        stream(purpose, seed, P, count)
        for purpose in ("order", "weights")
        for seed in range(3)
        for P in (1, 11)
        for count in (0, 1)
    ]
    assert len(set(numbers)) == len(numbers)
    assert all(0 <= number < 2**63 for number in numbers)


def test_configuring_and_reading_need_no_torch():
    code = (
        "import sys; from deepnorm.sweeps import Run, grid, read_runs, survey; "
        "grid('cnn-small', 'digits'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
