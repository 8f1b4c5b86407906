"""Who does which run: several processes and machines share a folder without double work.

A claim is a small file that only one process can create (O_EXCL). Its owner writes its progress
into it every few seconds, which is also its sign of life. A claim whose owner is dead, or gave no
sign for `STALE` seconds, is taken over. An owner that was only asleep, and lost its claim, notices
at its next sign of life and stops without writing anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import tempfile
import threading
import time
import uuid
from functools import cache
from pathlib import Path
from typing import Any

from replica.common.files import DRAFT, read_regular, replace_regular

__all__ = ["BEAT", "STALE", "Claim", "progress_of"]

#: Seconds between signs of life; a choice: small files, once every few seconds, trouble no server.
BEAT = 2.0
#: Seconds without a sign after which an owner on another machine counts as dead: many beats, since
#: file servers cache what they are asked, commonly up to a minute.
STALE = 300.0

#: The tokens of the claims that this process holds.
_held: set[str] = set()


class Claim:
    """The right to do one run, held until `release`.

    Attributes
    ----------
    path : Path
        The claim's file.
    lost : bool
        Somebody else holds the claim by now: nothing more may be written.
    """

    def __init__(self, path: Path, token: str) -> None:
        """Only `take` makes one."""
        self.path = path
        self.lost = False
        self._token = token
        self._step = 0
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="claim", daemon=True)

    @classmethod
    def take(cls, path: Path, *, stale: float = STALE) -> Claim | None:
        """Create the claim, or take over one whose owner is dead; None if somebody holds it.

        Raises
        ------
        OSError
            If the folder cannot be written to.
        """
        token = uuid.uuid4().hex
        _held.add(token)  # before it can be read: a token of ours that is not held is free
        try:
            taken = _create(path, token) or _take_over(path, token, stale)
        except BaseException:
            _held.discard(token)
            raise
        if not taken:
            _held.discard(token)
            return None
        claim = cls(path, token)
        claim._beating.start()
        return claim

    def advance(self, step: int) -> None:
        """Tell, at the next sign of life, how far the run has come."""
        self._step = step

    def release(self) -> None:
        """Give the right back."""
        self._over.set()
        self._beating.join()
        _held.discard(self._token)
        if not self.lost and _token(self.path) == self._token:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def _beat(self) -> None:
        """Signs of life, until it is over; in a thread, since a step may take long."""
        while not self._over.wait(BEAT):
            holder = _token(self.path)
            if holder is None:  # somebody tidied up
                with contextlib.suppress(OSError):
                    _create(self.path, self._token, self._step)
            elif holder != self._token:
                self.lost = True
                return
            else:
                # A full disk must not end a run that could finish: only signs are missed.
                with contextlib.suppress(OSError):
                    replace_regular(self.path, _content(self._token, self._step))


def progress_of(path: Path) -> int:
    """The step up to which the owner says it has come; 0 where nobody says."""
    step = _read(path).get("step")
    return step if type(step) is int and step >= 0 else 0


@cache
def _host() -> str:
    """Machine, boot and namespace of process numbers: where a pid means something."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _content(token: str, step: int) -> bytes:
    """What a claim's file says."""
    claim = {"host": _host(), "pid": os.getpid(), "token": token, "step": step, "time": time.time()}
    return json.dumps(claim).encode()


def _create(path: Path, token: str, step: int = 0) -> bool:
    """Make the file if there is none; False if there is one."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_content(token, step))
    except BaseException:  # a full disk: nobody could tell whose claim it is
        path.unlink(missing_ok=True)
        raise
    return True


def _read(path: Path) -> dict[str, Any]:
    """What the claim says; empty where it is missing, or being written."""
    try:
        content = json.loads(read_regular(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _token(path: Path) -> str | None:
    """Whose claim it is; None where there is none, "" where it does not say."""
    if not os.path.lexists(path):
        return None
    return str(_read(path).get("token", ""))


def _take_over(path: Path, token: str, stale: float) -> bool:
    """Put our name in place of a dead owner's; under a lock, since two may see that it is dead."""
    found = _read(path)
    if not _is_stale(path, found, stale):
        return False
    lock = path.with_suffix(".takeover")
    if not _create(lock, token):
        # Held for an instant, unless its owner died in it: the next attempt finds the way free.
        if _is_stale(lock, _read(lock), stale):
            lock.unlink(missing_ok=True)
        return False
    try:
        if not _is_stale(path, _read(path), stale):
            return False
        replace_regular(path, _content(token, 0))
        return True
    finally:
        lock.unlink(missing_ok=True)


def _is_stale(path: Path, claim: dict[str, Any], stale: float) -> bool:
    """Whether the owner is known to be dead, or gave no sign for so long that it must be."""
    if claim.get("host") == _host():
        pid, token = claim.get("pid"), claim.get("token")
        if pid == os.getpid():
            return not isinstance(token, str) or token not in _held
        if type(pid) is int and 0 < pid < 2**31 and not _alive(pid):
            return True
    try:
        state = path.lstat()
        if not stat.S_ISREG(state.st_mode):  # a link or a pipe: no owner of a run makes these
            return True
        # A sign far in the future is as dead as one in the past: the server's clock was changed.
        return abs(_clock(path.parent) - state.st_mtime) > stale
    except FileNotFoundError:
        return False


def _alive(pid: int) -> bool:
    """Whether there is such a process here."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    try:
        # "pid (command) state ...": a zombie was killed, and its parent has not looked yet.
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):  # no such files on this system
        return True
    return state not in "ZX"


def _clock(folder: Path) -> float:
    """The time of the file server, which need not be ours."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=DRAFT) as file:
        return os.fstat(file.fileno()).st_mtime
