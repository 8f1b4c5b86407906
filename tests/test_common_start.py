"""A system that has nothing left: one line and exit code 1, whatever was being done."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from replica.common.errors import InvalidArgument
from replica.common.start import require_memory, starved
from replica.common.terminal import group, refusal, unreadable

ROOT = Path(__file__).parents[1]
MAPPING = "libx.so: failed to map segment from shared object"


def failing(error):
    """A group with a command that fails so."""

    @group("toy", "")
    def main():
        """Do things."""

    @main.command()
    @click.option("--the-number", "number")
    def fail(number):
        """Fail."""
        raise error

    return main


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "not enough memory"),
        (MemoryError("cannot allocate 8 GB"), "cannot allocate 8 GB"),
        (ImportError(MAPPING), MAPPING),
        (caused(ImportError("a page of advice\n" * 50), OSError(MAPPING)), MAPPING),
        (caused(OSError("could not find or load"), OSError(MAPPING)), MAPPING),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE), "\x1b[2J"), r"open files: \x1b[2J"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), os.strerror(errno.ENOMEM)),
    ],
    ids=repr,
)
def test_what_is_wanting_is_one_line(error, words, capfd):
    result = CliRunner().invoke(failing(error), ["fail"])
    said = capfd.readouterr().err
    assert result.exit_code == 1
    assert said.startswith("Error: ")
    assert said.count("\n") == 1
    assert words in said


@pytest.mark.parametrize("error", [ImportError("no module named x"), OSError(errno.EPERM, "no")])
def test_what_means_something_else_is_raised(error):
    assert starved(error) is None
    assert CliRunner().invoke(failing(error), ["fail"]).exception is error


def test_who_cannot_be_read_and_who_cannot_read():
    """A file that is not there is bad input; a system without descriptors is not."""
    assert unreadable(OSError(errno.EACCES, "denied", "x")).exit_code == 2
    assert unreadable(OSError(errno.EMFILE, "too many", "x")).exit_code == 1


def test_a_refusal_names_the_option_of_its_command():
    main = failing(None)
    error = InvalidArgument("count", "must be small; see `other`", "1e9")
    with click.Context(main.commands["fail"]):
        assert refusal(error, {"count": "number"}).message == (
            "--the-number must be small; see `other`; got 1e9"
        )
        assert refusal(error).message == str(error)
        assert refusal(ValueError("in two\n  lines")).message == "in two lines"


def test_room_is_asked_for():
    require_memory(1 << 20)
    with pytest.raises(MemoryError, match="the system gives no"):
        require_memory(1 << 60)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the space of addresses")
@pytest.mark.parametrize("megabytes", [60, 250])
def test_little_memory_while_a_command_starts(megabytes):
    code = (
        "import resource, sys; "
        f"resource.setrlimit(resource.RLIMIT_AS, ({megabytes} << 20, {megabytes} << 20)); "
        "sys.argv = ['replica', 'solve', '--alpha', '5', '--lam', '1']; "
        "from replica.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
