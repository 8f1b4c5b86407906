"""How a command begins: its modules are imported under guard, before anything can be said nicely.

Importing takes a second, in which Ctrl-C may be pressed and memory may run out; neither deserves a
traceback. Nothing but Python is imported here.
"""

from __future__ import annotations

import importlib
import mmap
import os
from typing import TYPE_CHECKING

from replica.common.interruption import CODE, leaving_at_once

if TYPE_CHECKING:
    import click

__all__ = ["load", "require_memory", "starved"]

#: How the loader of libraries says that there is no memory for one.
STARVED = ("allocate memory", "failed to map segment", "out of memory")


def load(module: str) -> click.Group:
    """The group of commands ``main`` of a module; an exit with a line if that cannot be had."""
    try:
        with leaving_at_once():
            main: click.Group = importlib.import_module(module).main
    except KeyboardInterrupt:  # of somebody else's handler
        _say("Interrupted.")
        raise SystemExit(CODE) from None
    except (MemoryError, ImportError, OSError) as error:
        reason = starved(error)
        if reason is None:
            raise
        _say(f"Error: {reason}")
        raise SystemExit(1) from None
    return main


def starved(error: BaseException) -> str | None:
    """In one line that there is not enough memory, where that is the reason; else None.

    A library that does not fit is an ImportError, or an OSError of whoever loads it, in the words
    of the system's loader; so is what it was raised from.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError):
            told = " ".join(str(seen).split())
            return f"not enough memory{': ' * bool(told)}{told}"
        if isinstance(seen, ImportError | OSError):
            for line in str(seen).splitlines():
                if any(sign in line for sign in STARVED):
                    return f"not enough memory to load a library: {line.strip()}"
        seen = seen.__cause__ or seen.__context__
    return None


def require_memory(size: int) -> None:
    """Refuse to begin without so many bytes, for what would wait for them without end.

    Raises
    ------
    MemoryError
        If the system does not give them; what it gives is handed back.
    """
    try:
        mmap.mmap(-1, size).close()
    except OSError:
        raise MemoryError(f"the system gives no {size / 1e6:.0f} MB more") from None


def _say(line: str) -> None:
    """To the standard error stream, whatever has become of Python's own."""
    os.write(2, f"{line}\n".encode(errors="backslashreplace"))
