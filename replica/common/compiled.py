"""Compiled kernels: how they are made and kept on disk, and what a waiting user is told."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from numba import njit

__all__ = ["kernel", "notice"]


def kernel(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile on first use, keep the machine code on disk where there is a place for it.

    A decorator, with or without numba's ``options`` (``fastmath``, ...).
    """
    if function is None:
        return lambda function: kernel(function, **options)
    try:
        compiled = njit(cache=True, nogil=True, **options)(function)
    except (OSError, RuntimeError):  # neither this folder nor a cache folder can be written
        return njit(nogil=True, **options)(function)
    return _forgiving(compiled)


def _forgiving(compiled: Any) -> Any:
    """Go on where the cache on disk is damaged, or full: it only saves time.

    A damaged file (a machine that lost its power, a copy cut short) is replaced.
    """
    if not hasattr(getattr(compiled, "_cache", None), "save_overload"):
        return compiled  # compilation is switched off
    cache = compiled._cache
    load, save = cache.load_overload, cache.save_overload

    def load_overload(*signature: Any) -> Any:
        try:
            return load(*signature)
        except Exception:  # pickle raises nearly anything for bytes that are not its own
            with suppress(OSError):
                cache.flush()
            return None

    def save_overload(*signature: Any) -> None:
        with suppress(OSError):
            save(*signature)

    cache.load_overload, cache.save_overload = load_overload, save_overload
    return compiled


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
