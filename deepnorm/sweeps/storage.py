"""The folder of a sweep: one that can be written to, and damaged files out of the way."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from replica.common.files import DRAFT

__all__ = ["DRAFT", "check_folder", "set_aside"]


def set_aside(path: Path) -> Path:
    """Rename a damaged file to one that nobody reads: ``.damaged``, and a number if need be."""
    target = path.with_name(path.name + ".damaged")
    number = 1
    while os.path.lexists(target):
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
