"""Sweeps as a whole: whoever works, whatever happens, every run is done once."""

import dataclasses
import errno
import json
import os
import re
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from grids import slow

from deepnorm.datasets import load
from deepnorm.sweeps import (
    SweepInterrupted,
    grid,
    read_result,
    read_runs,
    storage,
    survey,
    sweep,
    train,
)
from deepnorm.sweeps import jobs as jobs_module
from deepnorm.sweeps.executors import slurm_executor
from deepnorm.sweeps.files import WORK
from deepnorm.sweeps.jobs import claim_path
from deepnorm.sweeps.progress import Lines, Progress, duration

ROOT = Path(__file__).parents[1]
DIGITS = load("digits")
SETTINGS = {"steps": 12, "records": 4, "batch_size": 32, "width": 0.5}
RUNS = grid("cnn-small", "digits", [40, 70], 2, **SETTINGS)


class Here:
    """The simplest executor: it does the work at once."""

    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


def quietly(runs, folder, **options):
    return sweep(runs, folder, **{"executor": Here(), "progress": False, "device": "cpu"} | options)


@pytest.fixture(scope="module")
def expected():
    """What each run gives by itself."""
    return {run: train(run, DIGITS, "cpu") for run in RUNS}


def assert_done(folder, expected):
    """Every run is there, with the numbers that it has by itself, and nothing is left over."""
    assert {result.run: result for result in survey(folder).results} == expected
    assert os.listdir(Path(folder) / WORK) == []


# ------------------------------------------------------------------------ who works


def test_processes_do_it_and_a_second_sweep_skips_it(tmp_path, expected, capfd):
    summary = sweep(RUNS, tmp_path, device="cpu")
    assert (summary.finished, summary.skipped, summary.failed) == (4, 0, 0)
    assert_done(tmp_path, expected)
    table = read_runs(tmp_path)
    assert sorted(set(zip(table["P"], table["seed"], strict=True))) == [
        (40, 0), (40, 1), (70, 0), (70, 1)
    ]  # fmt: skip
    said = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"[\d:]+ 4 of 4 runs, 48 of 48 steps \(100% of the work\), .*", said[-1])
    assert len(said) < 15
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    summary = sweep(RUNS, tmp_path, device="cpu", progress=False)
    assert (summary.finished, summary.skipped) == (0, 4)
    assert str(summary) == "4 skipped in 0 s"
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}


def test_any_executor_does_it(tmp_path, expected):
    with ThreadPoolExecutor(2) as pool:
        assert quietly(RUNS, tmp_path, executor=pool).finished == 4
    assert_done(tmp_path, expected)


@pytest.mark.parametrize("processes", [False, slow(True)])
def test_dask_does_it(processes, tmp_path, expected):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=processes, dashboard_address=":0"
    ) as cluster:
        summary = quietly(RUNS, tmp_path, executor="dask", scheduler=cluster.scheduler_address)
    assert summary.finished == 4
    assert_done(tmp_path, expected)


@pytest.mark.parametrize("cluster", [slow("local"), "debug"])
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_submitit_does_it(cluster, tmp_path, expected):
    pytest.importorskip("submitit")
    executor = slurm_executor(tmp_path / "runs", cluster=cluster, timeout_min=5)
    runs = RUNS[: 2 if cluster == "debug" else 1]  # each job imports torch
    assert quietly(runs, tmp_path / "runs", executor=executor).finished == len(runs)
    assert_done(tmp_path / "runs", {run: expected[run] for run in runs})


def test_slurm_is_told_from_what_is_not(tmp_path):
    pytest.importorskip("submitit")
    with pytest.raises(ValueError, match="there is no srun; with cluster=local"):
        slurm_executor(tmp_path)
    with pytest.raises(ValueError, match="colour"):
        slurm_executor(tmp_path, cluster="local", colour="red")


def test_packed_runs_are_those_of_separate_ones(tmp_path, expected):
    assert quietly(RUNS, tmp_path, pack=3).finished == 4
    for run in RUNS:
        result = read_result(tmp_path / run.file_name)
        assert result.records["test_loss"] == pytest.approx(
            expected[run].records["test_loss"], abs=1e-5
        )


def test_members_that_do_not_fit_are_halved(tmp_path, monkeypatch):
    sizes = []

    def narrow(runs, *arguments, **options):
        sizes.append(len(runs))
        if len(runs) > 1:
            raise torch.OutOfMemoryError("too many")
        return together(runs, *arguments, **options)

    together = jobs_module.train_together
    monkeypatch.setattr(jobs_module, "train_together", narrow)
    assert quietly(RUNS, tmp_path, pack=4).finished == 4
    assert sizes == [4, 2, 1, 1, 2, 1, 1]


def test_images_of_ones_own(tmp_path):
    images = dataclasses.replace(DIGITS, name="own")
    runs = grid("cnn-small", "own", [40], 1, **SETTINGS)
    assert quietly(runs, tmp_path, data=images).finished == 1
    with pytest.raises(ValueError, match="`data` is 'own', and there are runs of 'digits'"):
        quietly(RUNS, tmp_path, data=images)


# ------------------------------------------------------------------------ what happens


def test_two_sweeps_at_once_share_the_work(tmp_path, expected):
    with ThreadPoolExecutor(4) as pool, ThreadPoolExecutor(2) as sweeps:
        first, second = (
            sweeps.submit(quietly, RUNS, tmp_path, executor=pool, wait=wait) for wait in (True, 0)
        )
        summaries = first.result(), second.result()
    assert sum(summary.finished for summary in summaries) == 4
    assert summaries[0].elsewhere == 0
    assert_done(tmp_path, expected)


def test_runs_of_others_are_left_to_them_or_waited_for(tmp_path, expected):
    (tmp_path / WORK).mkdir()
    claim = claim_path(tmp_path, RUNS[0])
    claim.write_text(json.dumps({"host": "elsewhere", "pid": 1, "token": "theirs", "step": 5}))
    summary = quietly(RUNS, tmp_path, wait=False)
    assert (summary.finished, summary.elsewhere) == (3, 1)
    assert str(summary).startswith("3 finished, 1 elsewhere in ")
    os.utime(claim, (0, 0))  # no sign of life for long
    assert quietly(RUNS, tmp_path).finished == 1
    assert_done(tmp_path, expected)


def test_a_run_that_diverges_is_marked_and_the_others_go_on(tmp_path):
    wild = grid("cnn-small", "digits", [70], 1, optimizer="sgd", learning_rate=1e4, **SETTINGS)
    summary = quietly([*wild, *RUNS], tmp_path, mix=True)
    assert (summary.finished, summary.diverged) == (4, 1)
    assert re.match("at step 2: .* not finite", summary.reasons[wild[0].file_name])
    assert any("diverged: at step 2" in message for message in summary.messages)
    assert quietly(wild, tmp_path, mix=True).skipped == 1


def test_a_file_cut_short_is_moved_aside_and_done_again(tmp_path, expected):
    quietly(RUNS, tmp_path)
    path = tmp_path / RUNS[0].file_name
    path.write_bytes(path.read_bytes()[:1000])
    summary = quietly(RUNS, tmp_path)
    assert (summary.finished, summary.skipped) == (1, 3)
    (message,) = summary.messages
    assert f"{path} is not JSON, or was cut short" in message
    assert f"It is now {path.name}.damaged, and the run is done again" in message
    assert (tmp_path / f"{path.name}.damaged").stat().st_size == 1000
    assert_done(tmp_path, expected)


def test_a_full_disk_stops_the_sweep_and_keeps_the_checkpoint(tmp_path, expected, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(jobs_module, "write_result", lambda result, folder: full(folder, b""))
        patch.setattr("deepnorm.sweeps.training.EVERY", 0.0)
        summary = quietly(RUNS[::-1], tmp_path, checkpoint_every=1e-9)
    assert (summary.finished, summary.failed) == (0, 4)
    assert all("No space left on device" in reason for reason in summary.reasons.values())
    assert [p.name for p in (tmp_path / WORK).glob("*.pt")]
    assert list(tmp_path.glob("*.json")) == []
    assert quietly(RUNS, tmp_path).finished == 4
    assert_done(tmp_path, expected)


class Moody(Here):
    """Work fails a few times before it succeeds."""

    def __init__(self, failures, error):
        self.left = failures
        self.error = error

    def submit(self, function, *arguments):
        if self.left:
            self.left -= 1
            future = Future()
            future.set_exception(self.error)
            return future
        return super().submit(function, *arguments)


def test_a_worker_that_dies_once_is_forgiven(tmp_path, expected):
    summary = quietly(RUNS, tmp_path, executor=Moody(1, RuntimeError("node went down")))
    assert summary.finished == 4
    assert "begins again from its checkpoint: RuntimeError: node went down" in summary.messages[0]
    assert_done(tmp_path, expected)


def test_a_worker_that_dies_twice_is_given_up(tmp_path):
    summary = quietly(RUNS[:1], tmp_path, executor=Moody(2, RuntimeError("node went down")))
    assert summary.failed == 1
    assert summary.reasons == {
        RUNS[0].file_name: "twice; the last time: RuntimeError: node went down"
    }


def test_somebodys_executor_that_breaks_ends_the_sweep(tmp_path):
    summary = quietly(RUNS, tmp_path, executor=Moody(9, BrokenExecutor("gone")))
    assert summary.failed == 4
    assert set(summary.reasons.values()) == {"the executor broke"}


class Queue:
    """A cluster where nothing is begun before the sweep has gone."""

    def __init__(self):
        self.begin = []

    def submit(self, function, *arguments):
        future = Future()
        self.begin.append(lambda: future.set_result(function(*arguments)))
        return future


def test_jobs_that_still_wait_in_a_queue_are_called_off(tmp_path, monkeypatch):
    monkeypatch.setattr("deepnorm.sweeps.sweeping.PATIENCE", 0.2)
    queue = Queue()

    def interrupt(progress):
        if queue.begin:
            raise KeyboardInterrupt

    with pytest.raises(SweepInterrupted) as caught:
        quietly(RUNS, tmp_path, executor=queue, progress=interrupt)
    assert "4 tasks did not answer; they end as they look" in caught.value.summary.messages
    for job in queue.begin:
        job()
    assert survey(tmp_path).results == ()


# ------------------------------------------------------------------------ what is refused


def test_settings_that_a_fit_would_mix(tmp_path):
    quietly(RUNS[:1], tmp_path)
    for other, told in (
        (grid("cnn-small", "digits", [40], 2, **SETTINGS | {"steps": 20}), "steps=12 and steps=20"),
        (
            grid("cnn-small", "digits", [500], 1, optimizer="sgd", **SETTINGS),
            "optimizer='adam' and optimizer='sgd'",
        ),
    ):
        with pytest.raises(ValueError, match=re.escape(told)) as error:
            quietly(other, tmp_path)
        assert "`mix` must be given" in str(error.value)
        with pytest.raises(ValueError, match="`runs` holds some of cnn-small on digits"):
            quietly([*RUNS, *other], tmp_path / "new")
    longer = grid("cnn-small", "digits", [500], 1, **SETTINGS | {"steps": 20})
    assert quietly(longer, tmp_path).finished == 1  # another P may take longer
    another = grid("vit-small", "digits", [40], 1, **SETTINGS | {"steps": 2})
    assert quietly(another, tmp_path).finished == 1  # and another network is another curve


def test_other_data_than_those_of_the_folder(tmp_path):
    quietly(RUNS[:1], tmp_path)
    pixels = DIGITS.train_images.clone()
    pixels[0, 0, 0, 0] += 1
    other = dataclasses.replace(DIGITS, train_images=pixels)
    with pytest.raises(ValueError, match="saw other images of 'digits' than these"):
        quietly(RUNS, tmp_path, data=other)


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], "`runs` must hold at least one run"),
        (["cnn"], "`runs` must hold objects of the class Run; got 'cnn'"),
        (grid("cnn-small", "mnist-3d", [5], 1, **SETTINGS), "`dataset` must be one of digits"),
        (grid("perceptron", "digits", [5], 1, **SETTINGS), "`model` must be one of cnn"),
        (grid("cnn-small", "digits", [5000], 1, **SETTINGS), "`P` must be .* 1200"),
        (
            grid("cnn-small", "digits", [5], 1, conventions=("l7",), **SETTINGS),
            "`conventions` .* l7",
        ),
    ],
)
def test_runs_that_cannot_be_done_are_refused_before_any_work(runs, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        quietly(runs, tmp_path)
    assert list(tmp_path.glob("*.json")) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "`workers` must be a whole number of at least 1; got 0"),
        ({"pack": 1.5}, "`pack` must be a whole number of at least 1; got 1.5"),
        ({"checkpoint_every": -1}, "`checkpoint_every` must be a positive number of seconds"),
        ({"executor": "slurm"}, "`executor` must be an Executor, \"dask\" or None; got 'slurm'"),
        ({"scheduler": "tcp://a:1"}, '`scheduler` belongs to `executor="dask"`'),
        ({"progress": 3}, "`progress` must be a function, True, False or None; got 3"),
    ],
)
def test_options_out_of_range(options, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        quietly(RUNS, tmp_path, **options)


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="`folder` must be one that can be written to"):
        quietly(RUNS, tmp_path / "file" / "runs")
    with pytest.raises(OSError, match="`folder` must be one that can be written to"):
        storage.check_folder(Path("/proc/runs"))


# ------------------------------------------------------------------------ progress


def test_progress_is_told_to_a_function(tmp_path):
    heard = []
    with ThreadPoolExecutor(1) as pool:
        quietly(RUNS, tmp_path, executor=pool, progress=heard.append)
    assert heard[0].steps_done == 0
    assert (heard[-1].runs, heard[-1].runs_over, heard[-1].part) == (4, 4, 1.0)
    assert heard[-1].steps == heard[-1].steps_done == 48
    parts = [progress.part for progress in heard]
    assert parts == sorted(parts)


def test_a_log_is_not_flooded(capsys):
    lines = Lines()
    for step in range(1001):
        lines.update(Progress(4, 0, 1000, step, step / 1000, step, 1000.0 - step))
    lines.message("something")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 12
    assert said[1].endswith(
        "0 of 4 runs, 100 of 1,000 steps (10% of the work), 1 min 40 s, 15 min 00 s left"
    )


def test_durations():
    assert [duration(s) for s in (0.2, 59.6, 61, 3661)] == [
        "0 s", "1 min 00 s", "1 min 01 s", "1 h 01 min"
    ]  # fmt: skip
