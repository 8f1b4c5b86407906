"""Files that are replaced in one step, and files that are read as bytes and nothing else.

Two kinds of place. A **path of the user**, given as an argument, is written through a link and to a
device, as by any program (`replace_file`). A **file of the library's own**, in a folder that others
may write to, too (caches, runs, checkpoints, claims), is never reached through a link, and read
only if it is a regular file (`open_regular`, `replace_regular`): a link planted there would have
something else read or overwritten, and a pipe would be waited for without end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import BinaryIO

__all__ = [
    "DRAFT",
    "IRREGULAR",
    "check_writable",
    "open_regular",
    "read_regular",
    "replace_file",
    "replace_regular",
]

#: How the names of files begin that are still being written.
DRAFT = ".draft-"
#: Numbers of the errors of `open_regular` that say what the file is, not that it cannot be read.
IRREGULAR = (errno.ELOOP, errno.EINVAL, errno.EISDIR)
#: Flags that not every system has: links are not followed; a pipe without a writer and a device
#: that is not ready do not block; no child inherits the file; no translation of line ends.
GUARDED = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def check_writable(name: str | os.PathLike[str]) -> None:
    """Refuse early what `replace_file` would refuse once everything is computed.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    target = os.path.realpath(name)
    folder = os.path.dirname(target)
    if os.path.isdir(target):
        raise IsADirectoryError(0, "it is a directory")
    if os.path.exists(target) and not os.access(target, os.W_OK):
        raise PermissionError(0, "it exists and is read-only")
    if not os.path.isdir(folder):
        raise FileNotFoundError(0, f"there is no folder {folder}")
    if not os.path.exists(target) and not os.access(folder, os.W_OK):
        raise PermissionError(0, f"the folder {folder} is read-only")


def replace_file(name: str | os.PathLike[str], content: str | bytes) -> None:
    """Write beside the file, force to disk, move into place; through a link, to what it points at.

    After a crash at any moment the file is the old one or the new one; a draft may be left.
    A device or a pipe is written to as it is. Text is encoded as UTF-8; what UTF-8 cannot hold
    (a file name of other bytes, half of a surrogate pair) becomes an escape of Python, so that
    nothing computed is lost to words.

    Raises
    ------
    OSError
        If it cannot be written; what was there before is then untouched.
    """
    check_writable(name)
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    target = os.path.realpath(name)
    mode = os.stat(target).st_mode if os.path.exists(target) else None
    if mode is not None and not stat.S_ISREG(mode):
        with open(target, "wb") as device:
            device.write(data)
        return
    _move_into_place(target, data, None if mode is None else stat.S_IMODE(mode))


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file of the library's own for reading, if it is a regular file and no link.

    Raises
    ------
    OSError
        If it cannot be opened; with ``errno.ELOOP`` if it is a link, ``errno.EINVAL`` if it is
        neither a link nor a regular file.
    """
    name = os.fspath(path)
    if not hasattr(os, "O_NOFOLLOW") and os.path.islink(name):
        raise OSError(errno.ELOOP, "it is a link, which is not followed", name)
    try:
        descriptor = os.open(name, os.O_RDONLY | GUARDED)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):  # the second is what FreeBSD says
            raise OSError(errno.ELOOP, "it is a link, which is not followed", name) from None
        if error.errno == errno.ENXIO:  # a socket
            raise OSError(errno.EINVAL, "it is not a regular file", name) from None
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", name)
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """All bytes of a file of the library's own.

    Raises
    ------
    OSError
        As of `open_regular`.
    """
    with open_regular(path) as file:
        return file.read()


def replace_regular(
    path: str | os.PathLike[str], content: bytes, *, durable: bool = True, mode: int | None = None
) -> None:
    """Put a file of the library's own in place in one step; a link there is itself replaced.

    Parameters
    ----------
    path : path
    content : bytes
    durable : bool
        Forced to disk before it is moved, so that no crash of the machine leaves half of it.
    mode : int, optional
        Permissions; those that the system gives to new files if left out.

    Raises
    ------
    OSError
        If it cannot be written; what was there before is then untouched.
    """
    _move_into_place(os.fspath(path), content, mode, durable=durable)


def _move_into_place(target: str, data: bytes, mode: int | None, *, durable: bool = True) -> None:
    """Write a draft in the folder of ``target`` and rename it."""
    draft = os.path.join(os.path.dirname(target), DRAFT + os.urandom(8).hex())
    try:
        with open(draft, "xb") as file:  # exclusive: neither a link nor a file is reused
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if mode is not None:
            os.chmod(draft, mode)
        os.replace(draft, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):  # interrupted before or after it was there
            os.unlink(draft)
        raise
