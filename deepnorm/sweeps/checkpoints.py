"""The state of an unfinished training on disk: whole, or refused."""

from __future__ import annotations

import errno
import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from replica.common.files import IRREGULAR, read_regular, replace_regular

__all__ = ["read_checkpoint", "write_checkpoint"]

#: Bytes of the checksum that precedes the content.
CHECKSUM = 32


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint in one step.

    Raises
    ------
    OSError
        If it cannot be written; the one before is then untouched.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    replace_regular(path, hashlib.sha256(content).digest() + content)


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any] | None:
    """The state, its tensors on the device; None where there is none, or it is damaged.

    A link, or a pipe, in its place is as good as none: the next checkpoint replaces it.

    Only tensors, numbers, strings and containers of them are read: nothing in the file is
    executed.

    Raises
    ------
    pickle.UnpicklingError
        If it is whole and asks for anything else: we did not write it.
    """
    try:
        content = read_regular(path)
    except OSError as error:
        if error.errno == errno.ENOENT or error.errno in IRREGULAR:
            return None
        raise
    checksum, content = content[:CHECKSUM], content[CHECKSUM:]
    if hashlib.sha256(content).digest() != checksum:
        return None
    state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    return state if isinstance(state, dict) else None
