"""Signals that ask to stop: who hears them, and when.

Python raises `KeyboardInterrupt` in the middle of anything, which suits neither a step that has to
be finished nor an import that must not be halved. Four answers, each a context:

- `Interruption` notes the wish, for a loop that asks at its own pace.
- `leaving_at_once` ends the process in one line: nothing is at stake.
- `interruptible`, inside of it, is Python's own way, for what cleans up after itself.
- `terminable` takes SIGTERM, with which batch systems announce the end, as Ctrl-C.

And `held_back` keeps Ctrl-C from a process that is being started, for good; `ignore` is what such
a process does itself.

Only the main thread is told of signals: elsewhere all of this does nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

__all__ = [
    "CODE",
    "Interrupted",
    "Interruption",
    "held_back",
    "ignore",
    "interruptible",
    "leaving_at_once",
    "restoring",
    "terminable",
]

#: The exit code that shells expect after Ctrl-C (128 + SIGINT).
CODE = 130
#: Seconds between two looks at a file that asks to stop. A choice: nobody waits for less.
LOOK_S = 0.5

Handler = Callable[[int, FrameType | None], None]


class Interrupted(Exception):
    """A piece of work stopped because it was asked to."""


@contextlib.contextmanager
def _handling(
    handlers: dict[int, Handler], wanted: Callable[[Any], bool], *, for_good: bool = False
) -> Iterator[dict[int, Any]]:
    """Within this context signals have other handlers, where those so far are ``wanted``.

    Yields the handlers so far of those that were changed.
    """
    before: dict[int, Any] = {}
    if threading.current_thread() is not threading.main_thread():
        yield before
        return
    try:
        for number, handler in handlers.items():
            now = signal.getsignal(number)
            if wanted(now):
                before[number] = now
                signal.signal(number, handler)
        yield before
    finally:
        if not for_good:
            for number, handler in before.items():
                signal.signal(number, handler)


class Interruption:
    """Within this context a signal only sets a flag, `requested`; on leaving it is delivered.

    Parameters
    ----------
    stop : Path, optional
        A file whose appearance asks to stop, too: where no signals arrive.
    twice : bool
        A second signal of one kind is obeyed at once, as it would be outside.
    answered : bool
        Ctrl-C alone, which the caller answers itself, by a result that says so: nothing is
        delivered, and whoever has a handler of their own for it keeps it.
    """

    def __init__(
        self, stop: Path | None = None, *, twice: bool = False, answered: bool = False
    ) -> None:
        self._stop = stop
        self._twice = twice
        self._answered = answered
        self._looked = -LOOK_S
        self._noted: int | None = None
        self._asked = False
        self._before: dict[int, Any] = {}
        self._context = contextlib.ExitStack()

    @property
    def requested(self) -> bool:
        """Whether somebody asked to stop."""
        if self._noted is not None or self._asked:
            return True
        if self._stop is not None and time.monotonic() - self._looked >= LOOK_S:
            self._looked = time.monotonic()
            self._asked = self._stop.exists()
        return self._asked

    def __enter__(self) -> Interruption:
        signals = (signal.SIGINT,) if self._answered else (signal.SIGINT, signal.SIGTERM)
        handlers: dict[int, Handler] = dict.fromkeys(signals, self._note)
        wanted = _is_default if self._answered else _is_heard
        self._before = self._context.enter_context(_handling(handlers, wanted))
        return self

    def __exit__(self, *error: object) -> None:
        self._context.close()
        if self._noted is not None and not self._answered:
            signal.raise_signal(self._noted)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """The handler."""
        if self._twice and self._noted == number:
            signal.signal(number, self._before[number])
            signal.raise_signal(number)
        self._noted = number


def _is_default(handler: Any) -> bool:
    """Whether Ctrl-C is a KeyboardInterrupt, as in any Python."""
    return handler is signal.default_int_handler


def _is_heard(handler: Any) -> bool:
    """Whether a signal does something.

    What is ignored stays so: the workers of a sweep leave Ctrl-C to its owner. None is a handler
    that is not Python's.
    """
    return handler not in (signal.SIG_IGN, None)


# ------------------------------------------------------------------------- of a command

#: What puts the terminal right again, should the process end at once; bars put theirs here.
_restoring: list[bytes] = []


@contextlib.contextmanager
def restoring(sequence: bytes) -> Iterator[None]:
    """Within this context leaving at once writes this to the standard error stream first."""
    _restoring.append(sequence)
    try:
        yield
    finally:
        _restoring.remove(sequence)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """Ctrl-C where nothing is at stake: at once, whatever is being imported or computed.

    An exception would be raised in the middle of anything, and not everybody lets it pass: some
    imports do not, and a simulation takes it as the wish to see how far it is.
    """
    with contextlib.suppress(OSError):
        os.write(2, b"".join(reversed(_restoring)) + b"Interrupted.\n")
    os._exit(CODE)


def leaving_at_once(*, for_good: bool = False) -> contextlib.AbstractContextManager[object]:
    """Within this context Ctrl-C ends the process in one line; ``for_good``, afterwards too."""
    return _handling({signal.SIGINT: _leave}, _is_default, for_good=for_good)


def interruptible() -> contextlib.AbstractContextManager[object]:
    """Within this context Ctrl-C is a KeyboardInterrupt, for what has to clean up after it."""
    return _handling({signal.SIGINT: signal.default_int_handler}, lambda handler: handler is _leave)


def terminable() -> contextlib.AbstractContextManager[object]:
    """Within this context SIGTERM is a KeyboardInterrupt."""
    return _handling({signal.SIGTERM: _interrupt}, lambda handler: True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def ignore() -> None:
    """Leave Ctrl-C, which reaches all processes of a terminal, to whoever started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Hold Ctrl-C back while a process is started, which inherits that for good."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # when it is started by the way it undoes the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
