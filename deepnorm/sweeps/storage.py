"""Bytes on disk that are there entirely or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["DRAFT", "check_folder", "replace", "set_aside"]

#: How the names of files begin that are still being written.
DRAFT = ".draft-"


def replace(path: Path, content: bytes) -> None:
    """Write beside the file, force to disk, and move into place.

    After a crash at any moment the file is the old one or the new one; drafts may be left.

    Raises
    ------
    OSError
        If it cannot be written; what was there before is then untouched.
    """
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=DRAFT)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(draft, 0o644)  # mkstemp's is for the owner alone: others share the folder
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def set_aside(path: Path) -> Path:
    """Rename a damaged file to one that nobody reads: ``.damaged``, and a number if need be."""
    target = path.with_name(path.name + ".damaged")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.damaged-{number}")
    os.replace(path, target)
    return target


def check_folder(folder: Path) -> None:
    """Make the folder where it is missing, and refuse one that cannot be written to.

    Raises
    ------
    OSError
        Whatever writing a file there says; the message names the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=folder, prefix=DRAFT)
        os.close(handle)
        os.unlink(draft)
    except OSError as error:
        reason = error.strerror or str(error)
        raise type(error)(
            error.errno, f"`folder` must be one that can be written to: {reason}", str(folder)
        ) from None
