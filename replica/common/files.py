"""Files that are replaced in one step: no reader ever sees half of one.

It knows of nothing but files: `deepnorm` and `validation` write theirs with it too.
"""

from __future__ import annotations

import contextlib
import os
import stat

__all__ = ["check_writable", "replace_file"]

#: How the names of files begin that are still being written.
DRAFT = ".draft-"


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
    A device or a pipe is written to as it is.

    Raises
    ------
    OSError
        If it cannot be written; what was there before is then untouched.
    """
    check_writable(name)
    data = content.encode() if isinstance(content, str) else content
    target = os.path.realpath(name)
    mode = os.stat(target).st_mode if os.path.exists(target) else None
    if mode is not None and not stat.S_ISREG(mode):
        with open(target, "wb") as device:
            device.write(data)
        return
    draft = os.path.join(os.path.dirname(target), DRAFT + os.urandom(8).hex())
    try:
        with open(draft, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(draft, stat.S_IMODE(mode))
        os.replace(draft, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):  # interrupted before or after it was there
            os.unlink(draft)
        raise
