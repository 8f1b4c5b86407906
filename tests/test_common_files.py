"""Files of the library's own: no link is followed, no pipe is waited for, no half is ever read."""

import errno
import json
import os

import pytest

from replica.common import files
from replica.common.files import open_regular, read_regular, replace_file, replace_regular

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links and pipes are made")


def test_a_regular_file_is_read(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    assert read_regular(tmp_path / "file") == b"content"
    with open_regular(tmp_path / "file") as file:
        assert file.read(4) == b"cont"


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    (tmp_path / "target").write_bytes(b"secret")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "dangling").symlink_to("nothing")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "dangling", "pipe", "."):
        with pytest.raises(OSError, match=r"link|regular|directory") as caught:
            read_regular(tmp_path / name)
        assert caught.value.errno in files.IRREGULAR
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none")


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path):
    (tmp_path / "target").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to("target")
    replace_regular(tmp_path / "link", b"ours")
    assert (tmp_path / "target").read_bytes() == b"theirs"
    assert read_regular(tmp_path / "link") == b"ours"
    os.mkfifo(tmp_path / "pipe")
    replace_regular(tmp_path / "pipe", b"ours", durable=False)
    assert read_regular(tmp_path / "pipe") == b"ours"
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe", "target"]


def test_a_path_of_the_user_may_be_a_link(tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    replace_file(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_text_that_utf8_cannot_hold_is_escaped(tmp_path):
    replace_file(tmp_path / "file", "a\udcff ε")
    assert (tmp_path / "file").read_bytes() == b"a\\udcff " + "ε".encode()


def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_regular(tmp_path / "file", b"new")
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


# ------------------------------------------------------------------------ folders of a sweep


def test_links_and_pipes_in_the_folder_of_a_sweep(tmp_path):
    """In place of a run, a claim, a checkpoint: replaced or refused, and nothing else touched."""
    torch = pytest.importorskip("torch")
    from deepnorm import sweeps
    from deepnorm.sweeps.checkpoints import read_checkpoint, write_checkpoint
    from deepnorm.sweeps.claims import Claim
    from deepnorm.sweeps.files import DamagedFile, read_result

    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for make in (lambda path: path.symlink_to(victim), os.mkfifo):
        for path in (tmp_path / "a.claim", tmp_path / "a.pt", tmp_path / "a.json"):
            path.unlink(missing_ok=True)
            make(path)
        with pytest.raises(DamagedFile, match=r"link|regular"):
            read_result(tmp_path / "a.json")
        assert read_checkpoint(tmp_path / "a.pt", torch.device("cpu")) is None
        write_checkpoint(tmp_path / "a.pt", {"step": torch.tensor(3)})
        assert read_checkpoint(tmp_path / "a.pt", torch.device("cpu"))["step"] == 3
        claim = Claim.take(tmp_path / "a.claim")
        assert claim is not None
        with claim:
            assert "token" in json.loads(read_regular(tmp_path / "a.claim"))
        assert not os.path.lexists(tmp_path / "a.claim")
        assert victim.read_bytes() == b"precious"
    assert sweeps.survey(tmp_path).damaged
