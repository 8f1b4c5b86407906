"""The commands, given files that are broken: an exit code and one line, never a traceback."""

import json
import os

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from fuzz.strategies import guard
from fuzz.tables import expect, sound, times
from fuzz.test_files import RUNS, broken, invented

pytest.importorskip("torch")

from deepnorm.cli import main
from deepnorm.sweeps.files import write_result

CSV = sound(records=9).to_csv(index=False).encode()


def run(*arguments):
    """What a command says, and how it ends: well, with a complaint, or not at all."""
    with guard():
        done = CliRunner().invoke(main, [*map(str, arguments)])
    expect(done.exception is None or isinstance(done.exception, SystemExit), done.exception)
    assert done.exit_code in (0, 1, 2), done.output
    assert "Traceback" not in done.output
    return done


@times(1)
@given(data=st.data())
def test_a_fit_of_broken_text(data, tmp_path):
    path = tmp_path / "curves.csv"
    path.write_bytes(broken(CSV, data))
    out = tmp_path / "fit.json"
    out.unlink(missing_ok=True)
    done = run("fit", path, "--bootstrap", 20, "--json", out)
    if done.exit_code:
        assert not out.exists()
    else:
        json.loads(out.read_bytes())


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(60) + b"PAR1", CSV])
def test_a_fit_of_no_parquet(content, tmp_path):
    path = tmp_path / "curves.parquet"
    path.write_bytes(content)
    done = run("fit", path)
    assert done.exit_code == 2
    assert "curves.parquet" in done.output.replace("\n", "")


def test_a_fit_of_what_is_no_file(tmp_path):
    pipe, loop = tmp_path / "pipe.csv", tmp_path / "loop.csv"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    for path in (pipe, loop, tmp_path / "zero.csv", tmp_path / "none.csv", "/dev/null"):
        assert run("fit", path).exit_code == 2


def test_a_fit_of_a_folder_with_broken_runs(tmp_path):
    write_result(invented(RUNS[0]), tmp_path)
    (tmp_path / "deep.json").write_bytes(b"[" * 100_000)
    (tmp_path / "cut.json").write_bytes(b'{"kind": "deepnorm run"')
    (tmp_path / "folder.json").mkdir()
    assert run("fit", tmp_path).exit_code in (1, 2)  # one curve of four records bears no fit


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04" + bytes(50), b"\x80\x02."])
def test_a_norm_of_broken_weights(content, tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    done = run("norm", path, "--model", "cnn-small", "--input-shape", "1,8,8")
    assert done.exit_code in (1, 2)


@pytest.mark.parametrize(
    "options",
    [
        ["--P", "nan"], ["--P", "1e400"], ["--P", "-5"], ["--steps", "0"], ["--seeds", "-1"],
        ["--learning-rate", "inf"], ["--learning-rate", "nan"], ["--records", "1000000000"],
        ["--workers", "0"], ["--P", "99999999"], ["--model", "../x"], ["--dataset", "none"],
    ],
)  # fmt: skip
def test_a_sweep_of_what_cannot_be(options, tmp_path):
    folder = tmp_path / "runs"
    done = run("sweep", "-o", folder, "--steps", "2", "--P", "20", "--quiet", *options)
    assert done.exit_code == 2
    assert not [*folder.glob("*.json")]


def test_a_sweep_into_what_is_no_folder(tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    done = run("sweep", "-o", path, "--steps", "2", "--P", "20", "--quiet")
    assert done.exit_code in (1, 2)
    assert path.read_text() == "mine"
