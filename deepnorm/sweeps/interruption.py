"""Asked to stop: by a signal, or by a file that whoever started the sweep left in its folder."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["Interrupted", "Interruption"]

#: Seconds between two looks at the file.
LOOK = 0.5


class Interrupted(Exception):
    """A training stopped because it was asked to; its checkpoint is on disk if it has one."""


class Interruption:
    """Within this context SIGINT and SIGTERM only set a flag; on leaving they are delivered.

    Outside the main thread, where Python handles no signals, only the file counts.

    Parameters
    ----------
    stop : Path, optional
        A file whose appearance asks to stop.
    """

    def __init__(self, stop: Path | None = None) -> None:
        self._stop = stop
        self._looked = -LOOK
        self._signal: int | None = None
        self._asked = False
        self._handlers: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether somebody asked to stop."""
        if self._signal is not None or self._asked:
            return True
        if self._stop is not None and time.monotonic() - self._looked >= LOOK:
            self._looked = time.monotonic()
            self._asked = self._stop.exists()
        return self._asked

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # What is ignored stays ignored: the workers of a sweep leave Ctrl-C to its owner.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._signal is not None:
            signal.raise_signal(self._signal)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """The handler."""
        self._signal = number
