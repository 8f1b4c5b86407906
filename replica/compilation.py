"""Tell a waiting user that kernels are being compiled; silent once they are cached."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["notice"]

#: Loading from the disk cache takes a quarter of this.
PATIENCE_S = 1.0
MESSAGE = (
    "replica: compiling the numerical kernels, once for this installation (about 10 s); "
    "later runs load them from numba's cache"
)

_said = threading.Event()


def _say() -> None:
    if not _said.is_set():
        _said.set()
        print(MESSAGE, file=sys.stderr, flush=True)


@contextlib.contextmanager
def notice(kernel: Any) -> Iterator[bool]:
    """Around the first call of ``kernel`` in a process; yields whether it is the first.

    One line goes to the standard error stream, once, if the call takes longer
    than a cached kernel would.
    """
    if getattr(kernel, "signatures", True):  # loaded; a plain function with numba disabled
        yield False
        return
    timer = threading.Timer(PATIENCE_S, _say)
    timer.daemon = True
    timer.start()
    try:
        yield True
    finally:
        timer.cancel()
