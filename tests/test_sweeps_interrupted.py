"""Sweeps that are interrupted, killed, or lose a worker: they go on to the same numbers."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from patience import HANGS, until

from deepnorm.datasets import load
from deepnorm.sweeps import SweepInterrupted, grid, survey, sweep, train
from deepnorm.sweeps.files import WORK

ROOT = Path(__file__).parents[1]
DIGITS = load("digits")
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}


SCRIPT = """
import sys
from deepnorm.sweeps import grid, sweep
if __name__ == "__main__":
    runs = grid("cnn-small", "digits", [40], 2, steps=400, records=8, width=0.25)
    print("ready", flush=True)
    workers = int(sys.argv[2])
    options = {"device": "cpu", "workers": workers, "checkpoint_every": 0.02, "progress": True}
    print(sweep(runs, sys.argv[1], **options))
"""
#: Long enough to be interrupted between the first checkpoint and the end; each costs 1 s. Of two
#: runs one waits where there is one worker.
LONG = grid("cnn-small", "digits", [40], 2, steps=400, records=8, width=0.25)


def assert_done(folder, expected):
    """Every run is there, with the numbers that it has by itself, and nothing is left over."""
    assert {result.run: result for result in survey(folder).results} == expected
    assert os.listdir(folder / WORK) == []


def go_on(folder):
    """The same sweep once more, to the end."""
    with ThreadPoolExecutor(2) as pool:
        return sweep(LONG, folder, device="cpu", executor=pool, progress=False)


@pytest.fixture(scope="module")
def long_expected():
    return {run: train(run, DIGITS, "cpu") for run in LONG}


@pytest.fixture
def started(tmp_path):
    """A sweep in another process, whose workers have written checkpoints."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    folder = tmp_path / "runs"

    def start(workers=2):
        process = subprocess.Popen(
            [sys.executable, str(script), str(folder), str(workers)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=ENVIRONMENT,
        )
        assert process.stdout.readline() == "ready\n"
        until(lambda: len(list(folder.glob(f"{WORK}/*.pt"))) == workers, process)
        return process

    return folder, start


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_an_interrupted_sweep_says_how_to_go_on_and_does(number, started, long_expected):
    folder, start = started
    with start(workers=1) as process:
        process.send_signal(number)
        _, said = process.communicate(timeout=HANGS)
    assert "interrupted: waiting for the workers to write their checkpoints" in said
    assert "The same sweep goes on from the checkpoints" in said
    assert process.returncode != 0
    left = os.listdir(folder / WORK)
    assert left
    assert all(name.endswith(".pt") for name in left)  # no claims, no drafts, no request to stop
    assert go_on(folder).failed == 0
    assert_done(folder, long_expected)


def test_a_killed_sweep_leaves_no_orphans_and_goes_on(started, long_expected):
    folder, start = started
    with start() as process:
        claims = [json.loads(p.read_bytes() or b"{}") for p in folder.glob(f"{WORK}/*.claim")]
        process.kill()
    until(lambda: not any(alive(claim.get("pid", 0)) for claim in claims))
    assert go_on(folder).failed == 0
    assert_done(folder, long_expected)


def test_a_killed_worker_costs_its_run_an_interval(started, long_expected):
    folder, start = started
    with start(workers=1) as process:
        claim = json.loads(next(folder.glob(f"{WORK}/*.claim")).read_bytes())
        os.kill(claim["pid"], signal.SIGKILL)
        out, said = process.communicate(timeout=HANGS)
    assert process.returncode == 0, said
    assert "begins again from its checkpoint: its worker died" in said
    assert out.startswith("2 finished")
    assert_done(folder, long_expected)


@pytest.mark.slow
def test_a_script_without_a_guard_is_told(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace('if __name__ == "__main__":', "if True:"))
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "runs"), "2"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=ENVIRONMENT,
    )
    assert "2 failed" in done.stdout
    assert 'workers die as they start; a script needs `if __name__ == "__main__":`' in done.stderr


def alive(pid):
    """Whether there is such a process; 0 where none was noted."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return pid != 0 and (not state.exists() or ") Z" not in state.read_text())


def test_ctrl_c_with_somebodys_executor(tmp_path):
    """The threads are told through the folder; a checkpoint is what is left."""
    folder = tmp_path / "runs"
    endless = grid("cnn-small", "digits", [40], 2, steps=10**6, width=0.25)

    def interrupt(progress):
        if progress.steps_done:
            raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as pool, pytest.raises(SweepInterrupted) as caught:
        sweep(endless, folder, device="cpu", executor=pool, progress=interrupt)
    assert "The same sweep goes on from the checkpoints" in str(caught.value)
    assert caught.value.summary.finished == 0
    (left,) = os.listdir(folder / WORK)
    assert left.endswith(".pt")
