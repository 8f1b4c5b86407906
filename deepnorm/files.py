"""Files that are replaced in one step: no reader ever sees half of one."""

from __future__ import annotations

import os
import stat
import tempfile

__all__ = ["check_writable", "replace_file"]


def check_writable(name: str) -> None:
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


def replace_file(name: str, text: str) -> None:
    """Write beside the file and move into place; through a link, to what it points at.

    A device or a pipe is written to as it is.

    Raises
    ------
    OSError
        If it cannot be written; what was there before is then untouched.
    """
    check_writable(name)
    target = os.path.realpath(name)
    mode = os.stat(target).st_mode if os.path.exists(target) else None
    if mode is not None and not stat.S_ISREG(mode):
        with open(target, "w", encoding="utf-8", newline="") as device:
            device.write(text)
        return
    handle, draft = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".deepnorm-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.chmod(draft, stat.S_IMODE(mode) if mode is not None else 0o666 & ~_umask())
        os.replace(draft, target)
    except BaseException:
        os.unlink(draft)
        raise


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
