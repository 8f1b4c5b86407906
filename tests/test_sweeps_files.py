"""Run files: whole or not at all, read with suspicion; a folder of them as a table."""

import dataclasses
import json
import os

import numpy as np
import pandas as pd
import pytest

from deepnorm.sweeps import Divergence, Result, grid, read_result, read_runs, storage, survey
from deepnorm.sweeps.files import WORK, DamagedFile, write_result
from deepnorm.sweeps.records import columns
from replica.scaling import curves_from_table

RUNS = grid("cnn-small", "digits", [50, 100], 2, steps=30, records=6)


def invented(run, *, divergence=None, data="d" * 64):
    """Numbers that a training might have left, without one."""
    steps = run.record_steps
    if divergence is not None:
        steps = tuple(step for step in steps if step < divergence.step)
    rng = np.random.default_rng([run.P, run.seed])
    records = {}
    for name in columns(run):
        values = rng.uniform(0.1, 0.9, len(steps))
        if name.startswith("log_norm"):
            values = 1.0 + np.log(steps) + 0.1 * values
        records[name] = steps if name == "step" else tuple(values.tolist())
    return Result(
        run=run,
        data_digest=data,
        records=records,
        divergence=divergence,
        seconds=tuple(np.linspace(0, 1, len(steps)).tolist()),
        environment={"host": "here"},
    )


@pytest.fixture
def folder(tmp_path):
    for run in RUNS:
        write_result(invented(run), tmp_path)
    return tmp_path


def test_what_is_read_is_what_was_written(tmp_path):
    for divergence in (None, Divergence(7, "the training loss is not finite")):
        result = invented(RUNS[0], divergence=divergence)
        back = read_result(write_result(result, tmp_path))
        assert back == result  # bit for bit: repr of a double is read back exactly
        assert back.seconds == result.seconds
        assert back.environment == result.environment
        assert back.status == ("finished" if divergence is None else "diverged")


def test_a_file_describes_itself(folder):
    body = json.loads((folder / RUNS[0].file_name).read_text())
    assert body["kind"] == "deepnorm run"
    assert body["run"]["P"] == 50
    assert body["run_digest"] == RUNS[0].digest
    assert body["records"]["step"] == list(RUNS[0].record_steps)


def test_where_and_when_does_not_make_a_difference():
    result = invented(RUNS[0])
    other = dataclasses.replace(
        result, seconds=tuple(2 * s for s in result.seconds), environment={"host": "there"}
    )
    assert other == result


def edited(path, change):
    """The file after somebody's change to its content, checksum included or not."""
    body = json.loads(path.read_text())
    change(body)
    path.write_text(json.dumps(body))


def rehashed(change):
    """A change by someone who knows how the checksum is made."""
    from deepnorm.sweeps.files import _checksum

    def both(body):
        body.pop("sha256")
        change(body)
        body["sha256"] = _checksum(body)

    return both


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "not JSON, or was cut short"),
        (lambda path: path.write_bytes(b""), "not JSON, or was cut short"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "not JSON, or was cut short"),
        (lambda path: path.write_text("[]"), "is no run file"),
        (lambda path: path.write_text('{"kind": "other"}'), "is no run file"),
        (lambda p: edited(p, lambda b: b.update(version=99)), "has version 99 of the format"),
        (lambda p: edited(p, lambda b: b["run"].update(seed=5)), "was altered"),
        (lambda p: edited(p, lambda b: b["records"]["test_error"].pop()), "was altered"),
        (
            lambda p: edited(p, rehashed(lambda b: b["run"].update(seed=5))),
            "does not hold together: its hash is not that of its configuration",
        ),
        (
            lambda p: edited(p, rehashed(lambda b: b["records"]["test_error"].pop())),
            "does not hold together: the columns of the records differ in length",
        ),
        (
            lambda p: edited(p, rehashed(lambda b: [c.pop() for c in b["records"].values()]
                                         + [b["seconds"].pop()])),
            "does not hold together: the records must be those of the steps",
        ),
        (lambda p: edited(p, rehashed(lambda b: b.pop("seconds"))), "does not hold together"),
        (lambda p: edited(p, rehashed(lambda b: b.update(records=3))), "does not hold together"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named_and_never_taken_for_finished(folder, damage, message):
    path = folder / RUNS[1].file_name
    damage(path)
    with pytest.raises(DamagedFile, match=message) as error:
        read_result(path)
    assert str(path) in str(error.value)
    found = survey(folder)
    assert list(found.damaged) == [path]
    assert [result.run for result in found.results] == [RUNS[0], *RUNS[2:]]
    with pytest.warns(UserWarning, match=message):
        table = read_runs(folder)
    assert len(table.groupby(["P", "seed"])) == 3


def test_the_table_makes_curves(folder):
    table = read_runs(folder)
    curves = curves_from_table(table, columns={"log_norm": "log_norm_eq2"})
    assert len(curves.table) == sum(len(run.record_steps) for run in RUNS)
    assert set(curves.table.columns) >= {"P", "seed", "step", "epoch", "test_error", "loss"}
    assert (table["loss"] == table["train_loss"]).all()
    assert set(table["run"]) == {run.digest[:12] for run in RUNS}
    assert set(table["learning_rate"]) == {1e-3}


def test_diverged_runs_are_left_out_unless_asked_for(folder):
    write_result(invented(RUNS[0], divergence=Divergence(7, "it exploded")), folder)
    note = f"{RUNS[0].file_name} diverged at step 7: it exploded"
    with pytest.warns(UserWarning, match=note):
        assert len(read_runs(folder).groupby(["P", "seed"])) == 3
    with pytest.warns(UserWarning, match=note):
        table = read_runs(folder, diverged=True)
    assert table[table["status"] == "diverged"]["step"].max() < 7
    assert survey(folder).notes == (note,)


def test_what_is_not_finished_is_told(folder):
    (folder / WORK).mkdir()
    other = dataclasses.replace(RUNS[0], seed=9)
    for run in (RUNS[0], other):  # the first was killed after its file was there
        (folder / WORK / f"{run.stem}.pt").touch()
    assert survey(folder).unfinished == (other.stem,)
    with pytest.warns(UserWarning, match=f"{other.stem} is not finished"):
        read_runs(folder)


def test_other_data_under_the_same_name(folder):
    write_result(invented(RUNS[0], data="e" * 64), folder)
    with pytest.raises(ValueError, match="saw different images under the name 'digits'"):
        read_runs(folder)


def test_nothing_to_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="`folder` must be that of a sweep"):
        read_runs(tmp_path / "none")
    with pytest.raises(ValueError, match=r"no run in .* is finished"):
        read_runs(tmp_path)
    assert survey(tmp_path).table().equals(pd.DataFrame())


def test_a_number_that_is_not_finite_is_no_record():
    result = invented(RUNS[0])
    spoilt = {**result.records, "test_loss": (float("nan"), *result.records["test_loss"][1:])}
    with pytest.raises(ValueError, match="not finite"):
        dataclasses.replace(result, records=spoilt)


def test_a_full_disk_leaves_what_was_there(folder, monkeypatch):
    path = folder / RUNS[0].file_name
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        write_result(invented(RUNS[0]), folder)
    assert path.read_bytes() == before
    assert not list(folder.glob(f"{storage.DRAFT}*"))


def test_damaged_files_set_aside_do_not_overwrite_one_another(tmp_path):
    names = []
    for content in ("a", "b", "c"):
        (tmp_path / "x.json").write_text(content)
        names.append(storage.set_aside(tmp_path / "x.json").name)
    assert names == ["x.json.damaged", "x.json.damaged-2", "x.json.damaged-3"]
    assert [(tmp_path / name).read_text() for name in names] == ["a", "b", "c"]
