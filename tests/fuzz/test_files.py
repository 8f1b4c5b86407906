"""Files that are broken, cut short, foreign or full: refused by name, and nothing is lost.

A process that is killed is played by a fault: from some call on, every step that touches the disk
fails, and what was being forced to disk has half of its bytes there.
"""

import contextlib
import dataclasses
import gzip
import io
import itertools
import json
import math
import os
import pickle
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from fuzz.strategies import guard
from fuzz.tables import expect, sound, times
from replica.common import files
from replica.scaling import curves_from_table, read_curves

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from deepnorm import datasets, sweeps  # noqa: E402
from deepnorm.datasets import load  # noqa: E402
from deepnorm.datasets.batches import parse as parse_batch  # noqa: E402
from deepnorm.datasets.idx import parse as parse_idx  # noqa: E402
from deepnorm.norms import read_weights, tensor_norms  # noqa: E402
from deepnorm.sweeps import claims, driver, grid, read_result, survey, sweep, train  # noqa: E402
from deepnorm.sweeps.checkpoints import read_checkpoint, write_checkpoint  # noqa: E402
from deepnorm.sweeps.files import WORK, DamagedFile, _checksum, write_result  # noqa: E402
from deepnorm.sweeps.records import columns  # noqa: E402

DIGITS = load("digits")
RUNS = grid("cnn-small", "digits", [20, 30], 1, steps=6, records=4, width=0.25, test_images=20)
CSV = sound().to_csv(index=False).encode()


def invented(run):
    """Numbers that a training might have left, without one."""
    steps = run.record_steps
    rng = np.random.default_rng([run.P, run.seed])
    records = {name: tuple(rng.uniform(0.1, 0.9, len(steps)).tolist()) for name in columns(run)}
    records["step"] = steps
    seconds = tuple(float(step) for step in steps)
    return sweeps.Result(run=run, data_digest="d" * 64, records=records, seconds=seconds)


def broken(content, data):
    """The bytes with something wrong: cut, flipped, put in, taken out, or said twice."""
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        to = at + data.draw(st.integers(0, 30))
        kind = data.draw(st.sampled_from(["cut", "flip", "put", "take", "twice"]))
        if kind == "cut":
            del content[at:]
        elif kind == "flip" and content:
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "put":
            junk = st.one_of(
                st.binary(max_size=5), st.sampled_from([b"\0", b'"', b"\n", b",", b"\r"])
            )
            content[at:at] = data.draw(junk)
        elif kind == "take":
            del content[at:to]
        else:
            content[at:at] = content[at:to]
    return bytes(content)


# ---------------------------------------------------------------------------- weights


def saved_weights():
    """Files of torch.save of both formats and two protocols, and one of safetensors."""
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 2), torch.nn.BatchNorm2d(2))
    files = []
    for content in (model.state_dict(), model, {"net": model.state_dict(), "epoch": 1}):
        for zipped, protocol in itertools.product((True, False), (2, 4)):
            buffer = io.BytesIO()
            options = {"_use_new_zipfile_serialization": zipped, "pickle_protocol": protocol}
            torch.save(content, buffer, **options)
            files.append(buffer.getvalue())
    return [*files, safetensors.save(model.state_dict())]


WEIGHTS = saved_weights()


@given(data=st.data())
def test_broken_weights_are_refused_by_name(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "weights.pt"
    path.write_bytes(broken(data.draw(st.sampled_from(WEIGHTS)), data))
    said, names = str(path), []
    with guard():
        try:
            tensors = read_weights(path).tensors
            names = tensor_norms(tensors)["name"].tolist()
        except ValueError as error:
            said, tensors = str(error), {}
    assert str(path) in said
    assert names == list(tensors)  # what was changed is not read, or numbers without a checksum


# ---------------------------------------------------------------------------- learning curves


def readable(path):
    """A sound table, or a refusal that names the file."""
    with guard():
        try:
            table = read_curves(path).table
        except (ValueError, OSError) as error:
            expect(str(path) in str(error), error)
            return
    assert np.isfinite(table[["P", "log_norm", "test_error"]].to_numpy()).all()
    assert table["test_error"].between(0, 1).all()


@times(3)
@given(data=st.data(), zipped=st.booleans())
def test_broken_text_is_read_or_refused(data, zipped, tmp_path):
    path = tmp_path / f"curves.csv{'.gz' if zipped else ''}"
    content = gzip.compress(CSV, mtime=0) if zipped else CSV
    path.write_bytes(broken(content, data))
    readable(path)


@times(2)
@given(data=st.data())
def test_broken_parquet_is_read_or_refused(data, tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "curves.parquet"
    content = io.BytesIO()
    sound().to_parquet(content)
    path.write_bytes(broken(content.getvalue(), data))
    readable(path)


def text(change):
    return change(CSV.decode()).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + CSV,
        text(lambda t: t.replace("\n", "\r\n")),
        text(lambda t: t.replace("\n", "\r")),
        text(lambda t: "\n" + t.replace("\n", "\n\n")),
        text(lambda t: "\n".join(",".join(f'"{c}"' for c in r.split(",")) for r in t.split())),
        text(lambda t: t.replace(",", " ,  ")),
        text(lambda t: t.rstrip()),
        text(lambda t: t.replace(",", ";")),
        text(lambda t: t.replace(",", "\t")),
        text(lambda t: t.replace(",", ";").replace(".", ",")),
        gzip.compress(CSV, mtime=0),
    ],
    ids=[
        "mark",
        "crlf",
        "cr",
        "blank lines",
        "quotes",
        "spaces",
        "no last newline",
        "semicolons",
        "tabs",
        "decimal commas",
        "packed",
    ],
)
def test_other_layouts_of_the_same_text(content, tmp_path):
    path = tmp_path / "curves.csv"
    path.write_bytes(content)
    with guard():
        assert_frame_equal(read_curves(path).table, curves_from_table(sound()).table)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"\0" * 64,
        CSV.split(b"\n")[0],
        text(lambda t: t.replace(",", "|")),
        text(lambda t: "# made by hand\n" + t),
        text(lambda t: t.replace("1000,", '"1,000",')),
        text(lambda t: t.replace("1000,0,0,", "1000,0,")),
        text(lambda t: t + "1,2,3,4,5,6\n"),
        text(lambda t: t + '"1000,0,60\n'),
        text(lambda t: t.replace("step", "P")),
        text(lambda t: t.replace("1000", "0x3e8")),
        CSV.decode().encode("utf-16"),
        CSV + b"1000,\xe9,1,1,1\n",
        gzip.compress(CSV, mtime=0)[:-9],
        CSV + b"\x1a",
    ],
)
def test_other_text_is_refused(content, tmp_path):
    path = tmp_path / "curves.csv"
    path.write_bytes(content)
    with guard(), pytest.raises(ValueError, match=r"curves.csv"):
        read_curves(path)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    with guard():
        os.mkfifo(path)
        with pytest.raises(ValueError, match=r"`path` must be a regular file"):
            read_curves(path)
        path.unlink()
        path.symlink_to("/dev/zero")  # would fill the memory
        with pytest.raises(ValueError, match=r"`path` must be a regular file"):
            read_curves(path)
        path.unlink()
        path.symlink_to(path)
        with pytest.raises(OSError, match=r"x"):
            read_curves(path)
        path.unlink()
        path.mkdir()
        with pytest.raises(ValueError, match=r"is a directory"):
            read_curves(path)
        for thing in (None, 5, b"x.csv", [], [5]):
            with pytest.raises(ValueError, match=r"`path` must be the path of a file"):
                read_curves(thing)
        with pytest.raises(OSError, match=r"does not exist|too long"):
            read_curves(tmp_path / ("x" * 300 + suffix))


# --------------------------------------------------------------------------------- run files


@pytest.fixture(scope="module")
def run_file(tmp_path_factory):
    path = write_result(invented(RUNS[0]), tmp_path_factory.mktemp("whole"))
    return path, path.read_bytes()


def test_a_run_file_cut_anywhere_is_damaged(run_file, tmp_path):
    path, content = run_file
    cut = tmp_path / path.name
    with guard():
        for length in range(0, len(content) - 2, 1 if settings().max_examples > 100 else 7):
            cut.write_bytes(content[:length])
            with pytest.raises(DamagedFile, match=r"not JSON, or was cut short"):
                read_result(cut)
        cut.write_bytes(content[:-1])  # all but the last newline
        assert read_result(cut) == read_result(path)


@times(5)
@given(data=st.data())
def test_a_broken_run_file_is_damaged_or_the_same(run_file, data, tmp_path):
    path, content = run_file
    other = tmp_path / path.name
    other.write_bytes(broken(content, data))
    with guard():
        try:
            found = read_result(other)
        except DamagedFile:
            return
    assert found == read_result(path)  # a blank that became another one


ANYTHING = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=4),
        st.sampled_from([10**400, -(10**30), math.nan, math.inf, 2**63, "\ud800", "0", 0.5]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)  # fmt: skip


@times(3)
@given(data=st.data(), value=ANYTHING)
def test_anything_under_a_right_checksum_is_damaged_or_whole(run_file, data, value, tmp_path):
    """Whoever writes such a file may know how to compute a checksum."""
    body = json.loads(run_file[1])
    spot = body
    keys = data.draw(st.sampled_from([1, 1, 2, 2, 3]))
    for depth in range(keys):
        if not isinstance(spot, (dict, list)) or not spot:
            break
        names = sorted(spot) if isinstance(spot, dict) else range(len(spot))
        key = data.draw(st.sampled_from(list(names)))
        if depth == keys - 1:
            spot[key] = value
        else:
            spot = spot[key]
    del body["sha256"]
    body["sha256"] = _checksum(body)
    path = tmp_path / "x_1.json"
    path.write_text(json.dumps(body))
    with guard():
        try:
            found = read_result(path)
        except DamagedFile as error:
            expect(str(path) in str(error), error)
            return
    assert all(math.isfinite(x) for column in found.records.values() for x in column)
    assert found.run.digest == body["run_digest"]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"null", b"[]", b"5", b'"deepnorm run"', b"{}", b"[" * 100_000, b'{"a":' * 100_000,
        b"9" * 10_000, b'{"kind": "deepnorm run", "version": 1}', b"\xff\xfe", b"NaN",
        b'{"kind": "deepnorm run", "version": 1, "run": ' + b"[" * 100_000,
        b'{"kind": "another program", "version": 1}', b"\0" * 4096,
    ],
)  # fmt: skip
def test_foreign_files_are_damaged(content, tmp_path):
    path = tmp_path / "x_1.json"
    path.write_bytes(content)
    with guard():
        with pytest.raises(DamagedFile, match=r"x_1.json"):
            read_result(path)
        assert [*survey(tmp_path).damaged] == [path]


def test_a_folder_with_everything_in_it_is_surveyed(tmp_path):
    """Copies, folders, pipes, drafts, another version, junk: named, and the rest is read."""
    whole = [write_result(invented(run), tmp_path) for run in RUNS]
    (tmp_path / "copy.json").write_bytes(whole[0].read_bytes())
    (tmp_path / "a folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    other = json.loads(whole[1].read_bytes()) | {"version": 2}
    (tmp_path / "newer.json").write_text(json.dumps(other))
    (tmp_path / f"{files.DRAFT}x_1.y").write_bytes(b"{")
    (tmp_path / "notes.txt").write_text("mine")
    with guard():
        found = survey(tmp_path)
    assert {result.run for result in found.results} == set(RUNS)
    assert len(found.results) == len(RUNS)
    assert {path.name for path in found.damaged} >= {
        "copy.json", "a folder.json", "pipe.json", "newer.json",
    }  # fmt: skip
    assert found.unfinished == ()


# --------------------------------------------------------------------- claims and checkpoints


@times(1)
@given(value=ANYTHING, junk=st.binary(max_size=50), kind=st.sampled_from(["junk", "one", "all"]))
@example(value=[], junk=b"[" * 100_000, kind="junk")
@example(value="abc", junk=b"", kind="all")
@example(value=10**30, junk=b"", kind="all")
def test_foreign_claims_do_no_harm(value, junk, kind, tmp_path):
    path = tmp_path / "x.claim"
    own = {"host": claims._host(), "pid": os.getpid(), "token": "t", "step": 3, "time": 0.0}
    if kind == "one":
        own["token"] = value
    elif kind == "all":
        own = own | dict.fromkeys(("pid", "token", "step"), value)
    path.write_bytes(junk if kind == "junk" else json.dumps(own).encode())
    with guard():
        assert claims.progress_of(path) >= 0
        held = claims.Claim.take(path)
        if held is not None:
            held.release()
            assert not path.exists()
    path.unlink(missing_ok=True)


@pytest.mark.parametrize("years", [-1, 1])
def test_a_claim_of_another_year_is_taken_over(years, tmp_path):
    """The clock of the server was set: an owner that is alive would have signed since."""
    path = tmp_path / "x.claim"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "token": "t", "step": 3}))
    then = time.time() + years * 3e7
    os.utime(path, (then, then))
    held = claims.Claim.take(path)
    assert held is not None
    held.release()


def test_a_claim_that_finds_no_room_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(claims, "_content", full)
    with pytest.raises(OSError, match=r"No space"):
        claims.Claim.take(tmp_path / "x.claim")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A checkpoint half way, and the records of a training that was not interrupted."""
    path = tmp_path_factory.mktemp("half") / "x.pt"
    seen = []

    def stop(step):
        seen.append(step)
        if step >= 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(RUNS[0], DIGITS, "cpu", checkpoint=path, every=0.0, watch=stop)
    return path.read_bytes(), train(RUNS[0], DIGITS, "cpu")


@times(0.4)
@given(data=st.data())
def test_a_broken_checkpoint_costs_nothing_but_time(interrupted, data, tmp_path):
    content, expected = interrupted
    path = tmp_path / "x.pt"
    path.write_bytes(broken(content, data))
    with guard():
        assert train(RUNS[0], DIGITS, "cpu", checkpoint=path, every=1e9) == expected


def test_a_checkpoint_of_something_else_is_not_gone_on_from(interrupted, tmp_path):
    content, expected = interrupted
    cpu = torch.device("cpu")
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    state = read_checkpoint(path, cpu)
    assert state["step"] > 0
    others = [
        {**state, "run": RUNS[1].digest},
        {**state, "model": {}},
        {**state, "tracker": None},
        {key: value for key, value in state.items() if key != "records"},
        {},
    ]
    for other in others:
        write_checkpoint(path, other)
        assert train(RUNS[0], DIGITS, "cpu", checkpoint=path, every=1e9) == expected
    write_checkpoint(path, state)
    write_checkpoint(path, {**state, "run": os.system})
    with pytest.raises(pickle.UnpicklingError):
        read_checkpoint(path, cpu)
    path.write_bytes(path.read_bytes()[:32] + pickle.dumps(print))
    assert read_checkpoint(path, cpu) is None
    path.unlink()
    path.mkdir()
    assert read_checkpoint(path, cpu) is None


def test_a_checkpoint_of_other_images_is_not_gone_on_from(interrupted, tmp_path):
    """The name of a data set says nothing of what is in it."""
    content, _ = interrupted
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    others = dataclasses.replace(DIGITS, train_images=255 - DIGITS.train_images)
    expected = train(RUNS[0], others, "cpu")
    assert train(RUNS[0], others, "cpu", checkpoint=path, every=1e9) == expected


# ------------------------------------------------------------------------- killed, full, twice


class Killed(BaseException):
    """The process is no more."""


class Fault:
    """From call number ``at`` on, every step that touches the disk fails."""

    def __init__(self, monkeypatch, at):
        self.left, self.dead, self.calls = at, False, 0
        self.lock = threading.Lock()
        for name in ("replace", "fsync", "unlink", "chmod"):
            monkeypatch.setattr(os, name, self._wrapped(name, getattr(os, name)))

    def _wrapped(self, name, function):
        def call(*arguments, **options):
            with self.lock:
                self.calls += 1
                self.left -= 1
                if self.left < 0 and not self.dead:
                    self.dead = True
                    if name == "fsync":
                        os.ftruncate(arguments[0], os.fstat(arguments[0]).st_size // 2)
            if self.dead:
                raise Killed
            return function(*arguments, **options)

        return call


def done(runs, folder, **options):
    with ThreadPoolExecutor(1) as pool:
        return sweep(
            runs, folder, data=DIGITS, device="cpu", executor=pool, progress=False, **options
        )


@pytest.fixture(scope="module")
def expected():
    return {run: train(run, DIGITS, "cpu") for run in RUNS}


def held(folder):
    return {result.run: result for result in survey(folder).results}


def test_killed_at_any_step_nothing_is_lost(expected, tmp_path):
    """At every call in turn; the next sweep brings the same numbers."""
    at, total = 0, math.inf
    while at < total:
        folder = tmp_path / str(at)
        with pytest.MonkeyPatch.context() as monkeypatch:
            fault = Fault(monkeypatch, at)
            with contextlib.suppress(Killed):
                done(RUNS, folder, checkpoint_every=1e-6)
            died = fault.dead
        if not died:
            total = at
        before = held(folder)
        assert all(expected[run] == result for run, result in before.items())
        assert survey(folder).damaged == {}
        done(RUNS, folder)
        assert held(folder) == expected
        assert not [*folder.glob(f"{WORK}/*.claim"), *folder.glob(f"{WORK}/*.pt")]
        at += 1 if settings().max_examples > 100 else 3
    assert at > 10


@pytest.mark.parametrize("at", range(6))
def test_a_file_is_the_old_one_or_the_new_one(at, tmp_path):
    path = tmp_path / "x"
    files.replace_file(str(path), "old")
    with pytest.MonkeyPatch.context() as monkeypatch:
        fault = Fault(monkeypatch, at)
        with contextlib.suppress(Killed):
            files.replace_file(str(path), "new")
            files.replace_file(path, b"newer")
    assert path.read_text() in ("old", "new", "newer")
    assert fault.dead or path.read_text() == "newer"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    try:
        subprocess.run(["mount", *options], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


def test_a_full_disk_keeps_what_it_has_and_says_so(small_disk, expected):
    folder = small_disk / "runs"
    done(RUNS[:1], folder)
    with (small_disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"x" * 512)
    for _ in range(2):
        try:
            summary = done(RUNS, folder)
        except OSError as error:
            expect("No space left" in str(error), error)
        else:
            assert summary.failed == 1
            assert "No space left" in " ".join(summary.reasons.values())
        assert held(folder) == {RUNS[0]: expected[RUNS[0]]}
        assert survey(folder).damaged == {}
    (small_disk / "filler").unlink()
    with guard():  # and nobody is waited for
        assert done(RUNS, folder).finished == 1
    assert held(folder) == expected


def test_a_disk_full_in_between_keeps_the_first_of_two(expected, tmp_path, monkeypatch):
    """Two runs that share a program: the file of the second finds no room."""
    count = []

    def full_at_last(result, folder):
        count.append(result)
        if len(count) == 2:
            raise OSError(28, "No space left on device", str(folder))
        return write_result(result, folder)

    monkeypatch.setattr(sweeps.jobs, "write_result", full_at_last)
    summary = done(RUNS, tmp_path, pack=2)
    assert (summary.finished, summary.failed) == (1, 1)
    assert len(survey(tmp_path).results) == 1


def test_two_sweeps_at_once_share_the_work(expected, tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "ELSEWHERE", 0.05)
    with ThreadPoolExecutor(3) as pool:
        summaries = [*pool.map(lambda _: done(RUNS, tmp_path), range(3))]
    assert sum(summary.finished for summary in summaries) == len(RUNS)
    assert held(tmp_path) == expected


# ----------------------------------------------------------------------------------- data sets


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return head + array.astype(np.uint8).tobytes()


@times(3)
@given(data=st.data(), zipped=st.booleans(), dimensions=st.sampled_from([1, 3]))
def test_a_broken_idx_file_is_refused_or_of_its_shape(data, zipped, dimensions):
    array = np.arange(4 * 3 * 2).reshape((4, 3, 2) if dimensions == 3 else (24,))
    content = gzip.compress(idx(array), mtime=0) if zipped else idx(array)
    path = Path("x.gz" if zipped else "x")
    with guard():
        try:
            found = parse_idx(path, broken(content, data), dimensions)
        except ValueError as error:
            expect(str(path) in str(error), error)
            return
    assert found.dtype == np.uint8
    assert found.ndim == dimensions


def test_a_gzip_file_that_swells_is_refused(monkeypatch):
    monkeypatch.setattr(datasets.idx, "MOST", 1 << 16)
    content = gzip.compress(bytes(1 << 20))
    with guard(), pytest.raises(ValueError, match=r"holds more than 65536 bytes"):
        parse_idx(Path("x.gz"), content, 3)


class Shell:
    """Runs a command when it is unpickled."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


@times(3)
@given(data=st.data(), protocol=st.integers(0, 5))
def test_a_broken_batch_is_refused_or_of_its_shape(data, protocol):
    batch = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 9]}
    content = broken(pickle.dumps(batch, protocol), data)
    with guard():
        try:
            images, labels = parse_batch(Path("x"), content, "labels", 10)
        except ValueError as error:
            expect("x" in str(error), error)
            return
    assert images.shape == (len(labels), 3, 32, 32)
    assert all(0 <= label < 10 for label in labels.tolist())


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_batch_is_not_run(protocol, tmp_path):
    place = tmp_path / "harm"
    for value in (Shell(place), {b"data": Shell(place), b"labels": []}, [Shell(place)]):
        with guard(), pytest.raises(ValueError, match=r"it was not run"):
            parse_batch(Path("x"), pickle.dumps(value, protocol), "labels", 10)
    assert not place.exists()


def test_pandas_reads_what_a_sweep_wrote(expected, tmp_path):
    done(RUNS, tmp_path)
    table = sweeps.read_runs(tmp_path)
    assert isinstance(table, pd.DataFrame)
    assert len(table) == sum(len(result.seconds) for result in expected.values())
