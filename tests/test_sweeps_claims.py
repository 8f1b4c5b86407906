"""Who does which run: one process only, and another one if that is dead."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from patience import until

from deepnorm.sweeps import claims
from deepnorm.sweeps.claims import Claim, progress_of

ROOT = Path(__file__).parents[1]

OWNER = """
import sys, time
from pathlib import Path
from deepnorm.sweeps.claims import Claim
claim = Claim.take(Path(sys.argv[1]))
print(claim is not None, flush=True)
time.sleep(600)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.claim"


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(claims, "BEAT", 0.02)


def owner(path):
    """Another process that tries to take the claim, and keeps it."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    return process, process.stdout.readline() == "True\n"


def pretend(path, **changes):
    """The claim of some other process."""
    content = {"host": "elsewhere", "pid": 1, "token": "theirs", "step": 3, "time": 0.0}
    path.write_text(json.dumps(content | changes))


def test_one_of_many_gets_it(path):
    with ThreadPoolExecutor(8) as pool:
        taken = [claim for claim in pool.map(lambda _: Claim.take(path), range(32)) if claim]
    assert len(taken) == 1
    taken[0].release()
    assert not path.exists()
    with Claim.take(path):
        assert Claim.take(path) is None


def test_between_two_processes(path):
    process, got = owner(path)
    with process:
        assert got
        assert Claim.take(path) is None
        process.kill()
        process.wait()
        with Claim.take(path) as claim:  # its owner is dead: at once
            assert not claim.lost
            other, got = owner(path)
            with other:
                assert not got
                other.kill()


def test_a_sign_of_life_says_how_far_it_is(path, fast):
    assert progress_of(path) == 0
    with Claim.take(path) as claim:
        assert progress_of(path) == 0
        claim.advance(7)
        until(lambda: progress_of(path) == 7)
    assert progress_of(path) == 0


def test_another_machine_is_dead_when_it_gave_no_sign_for_long(path):
    pretend(path)
    assert Claim.take(path, stale=100) is None
    then = time.time() - 101
    os.utime(path, (then, then))
    claim = Claim.take(path, stale=100)
    assert claim is not None
    claim.release()
    assert list(path.parent.iterdir()) == []


def test_the_clock_is_that_of_the_file_server(path, monkeypatch):
    pretend(path)
    monkeypatch.setattr(time, "time", lambda: 1e12)  # ours is far ahead
    assert Claim.take(path, stale=100) is None


def test_one_of_many_takes_over(path):
    for _ in range(20):
        pretend(path)
        os.utime(path, (0, 0))
        with ThreadPoolExecutor(8) as pool:
            taken = [c for c in pool.map(lambda _: Claim.take(path, stale=100), range(16)) if c]
        assert len(taken) == 1
        taken[0].release()


def test_a_claim_left_by_a_thread_of_this_process_is_free(path):
    with Claim.take(path) as claim:
        kept = path.read_bytes()
        assert Claim.take(path) is None
    path.write_bytes(kept)
    with Claim.take(path) as claim:
        assert claim is not None


def test_a_claim_that_is_being_written_belongs_to_somebody(path):
    path.touch()
    assert Claim.take(path) is None


def test_who_lost_a_claim_notices_and_leaves_it_alone(path, fast):
    claim = Claim.take(path)
    pretend(path)
    until(lambda: claim.lost)
    claim.release()
    assert json.loads(path.read_text())["token"] == "theirs"


def test_a_claim_that_somebody_deletes_comes_back(path, fast):
    with Claim.take(path) as claim:
        path.unlink()
        until(path.exists)
        assert not claim.lost


def test_who_sleeps_through_a_takeover_does_not_take_over_too(path, monkeypatch):
    """Both saw a dead owner; the second looks again once it holds the lock."""
    pretend(path, token="dead")
    os.utime(path, (0, 0))
    create = claims._create

    def late(target, token, step=0):
        made = create(target, token, step)
        if target.suffix == ".takeover":
            pretend(path, token="fresh")
        return made

    monkeypatch.setattr(claims, "_create", late)
    assert Claim.take(path, stale=100) is None
    assert json.loads(path.read_text())["token"] == "fresh"
    assert list(path.parent.iterdir()) == [path]


def test_a_lock_left_by_the_dead_is_removed(path):
    pretend(path)
    lock = path.with_suffix(".takeover")
    pretend(lock)
    for file in (path, lock):
        os.utime(file, (0, 0))
    assert Claim.take(path, stale=100) is None
    with Claim.take(path, stale=100) as claim:
        assert claim is not None
