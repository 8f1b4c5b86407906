"""Compiled kernels: how they are made and kept on disk, and what a waiting user is told.

Machine code is kept by numba's disk cache, with three differences:

- Every file begins with a **checksum**, looked at before anything is unpickled or handed to LLVM,
  which ends the process at a wrong byte. It covers for what the code was made, too, so that a file
  under another's name is as damaged as a flipped bit. What is damaged is compiled anew, and
  replaced. It protects from accidents; who may write to the folder may run code by it.
- The **stamp** of a kernel covers all that is compiled into it: the files of the kernels that it
  calls, of theirs and so on, and the constants of other modules. numba's own covers the file of the
  outermost function, and would serve machine code from before an edit elsewhere.
- What cannot be read or written (a full disk, no rights) costs time and nothing else.
"""

from __future__ import annotations

import enum
import hashlib
import os
import pickle
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, cached_property
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numba
import numpy as np
from numba import njit
from numba.core import caching, event
from numba.core.dispatcher import Dispatcher
from numba.core.extending import _Intrinsic
from numba.core.serialize import dumps

from replica.common.files import read_regular, replace_regular

__all__ = ["kernel"]


def kernel(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile on first use, keep the machine code on disk where there is a place for it.

    A decorator, with or without numba's ``options`` (``fastmath``, ...). Kernels call each other
    across files; each stands at the level of its module and takes numbers and arrays: one that
    takes a function is compiled anew in every process.
    """
    if function is None:
        return lambda function: kernel(function, **options)
    compiled: Any = njit(nogil=True, **options)(function)
    if hasattr(compiled, "signatures"):  # else compilation is switched off
        with suppress(OSError, RuntimeError):  # no folder for a cache can be written
            compiled._cache = _Cache(function, options)
        _waiting.watch(compiled)
    return compiled


# ----------------------------------------------------------------------------- on disk


class _Cache(caching.FunctionCache):  # type: ignore[misc]  # numba is not typed
    """numba's cache of one kernel, with our files in place of its own."""

    _cache_file: Any

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        super().__init__(function)
        theirs = self._cache_file
        #: What numba knows of freshness: the content of the function's own file, as it was when
        #: the function was made. A later look might see what somebody has edited meanwhile.
        self.own_stamp = (
            f"{theirs._source_stamp!r} {sorted(str(_said(item)) for item in options.items())}"
        )
        self._cache_file = _Files(self, self._cache_path, self._impl.filename_base)

    def load_overload(self, *signature: Any) -> Any:
        """The machine code from the disk, or None: it is then compiled, and saved."""
        try:
            return super().load_overload(*signature)
        except Exception:  # whole, and yet not of this installation: pickle raises nearly anything
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, *signature: Any) -> None:
        """Write the machine code where that is possible."""
        with suppress(OSError):
            super().save_overload(*signature)

    @cached_property
    def stamp(self) -> str:
        """Digest of everything that is compiled into this kernel.

        Taken at the first load: when a kernel is made, those that stand below it in its file
        have no names yet.
        """
        parts = sorted(set(_parts(self._py_func, self, set())))
        return hashlib.sha256("\n".join((numba.__version__, *parts)).encode()).hexdigest()


class _Files(caching.IndexDataCacheFile):  # type: ignore[misc]
    """The index of a kernel, signature to file, and the files of machine code, all sealed."""

    def __init__(self, cache: _Cache, folder: str, base: str) -> None:
        super().__init__(folder, base, None)
        self._cache = cache

    def load(self, key: Any) -> Any:
        """What was saved under ``key``; None if nothing was, or it is damaged."""
        name = self._load_index().get(key)
        return None if name is None else self._read(name, repr(key))

    def save(self, key: Any, data: Any) -> None:
        """Enter and write, the machine code first: an index never promises what is not there."""
        names = self._load_index()
        if key not in names:
            taken = set(names.values())
            numbers = (self._data_name(i) for i in range(1, len(taken) + 2))
            names[key] = next(name for name in numbers if name not in taken)
        self._write(names[key], repr(key), data)
        self._save_index(names)

    def _load_index(self) -> dict[Any, str]:
        return self._read(self._index_name, "index") or {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        self._write(self._index_name, "index", overloads)

    def _read(self, name: str, purpose: str) -> Any:
        """The content of a file, if it is there, whole, fresh, and for this purpose."""
        try:
            content = read_regular(self._data_path(name))
        except OSError:
            return None
        payload = memoryview(content)[SEAL:]
        if content[:SEAL] != self._seal(purpose, payload):
            return None
        return pickle.loads(payload)

    def _write(self, name: str, purpose: str, data: Any) -> None:
        payload = dumps(data)
        # Not forced to disk: what a crash of the machine cuts short does not fit its seal.
        replace_regular(
            self._data_path(name), self._seal(purpose, payload) + payload, durable=False
        )

    def _seal(self, purpose: str, payload: bytes | memoryview) -> bytes:
        """Checksum of the content, of what it is for and of what it was made from."""
        seal = hashlib.sha256(f"{self._cache.stamp}\n{purpose}\n".encode())
        seal.update(payload)
        return seal.digest()


#: Bytes of the checksum that precedes the content.
SEAL = hashlib.sha256().digest_size

# --------------------------------------------------------------------------- freshness


def _parts(function: Any, kept: Any, seen: set[int]) -> Iterator[str]:
    """A line for everything that is compiled into a function; ``kept`` is its kernel's cache."""
    if id(function) in seen:
        return
    seen.add(id(function))
    if isinstance(kept, _Cache):
        yield kept.own_stamp
    else:  # part of an intrinsic, or a kernel without a place on disk
        yield _content_of(function.__code__.co_filename)
    for name, value in _globals_of(function):
        yield from _used(name, value, seen)


def _used(name: str, value: Any, seen: set[int]) -> Iterator[str]:
    """The same for a global that a kernel uses."""
    if isinstance(value, Dispatcher):
        yield from _parts(value.py_func, getattr(value, "_cache", None), seen)
    elif isinstance(value, _Intrinsic):
        yield from _parts(value._defn, None, seen)
    elif isinstance(value, FunctionType):
        # numpy and Python have functions, too, of which numba has versions of its own
        if str(value.__module__).partition(".")[0] not in FOREIGN:
            yield from _parts(value, None, seen)
    elif (said := _said(value)) is not None:
        yield f"{name} = {said}"


def _globals_of(function: Any) -> Iterator[tuple[str, Any]]:
    """Names that the code of a function asks for, and what they stand for.

    In ``module.name`` the module is asked for every name of the code: one too many costs nothing.
    """
    names = sorted(set(_names_in(function.__code__)))
    known = function.__globals__
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    local = {name: cell.cell_contents for name, cell in cells if _filled(cell)}
    for name, value in [*local.items(), *((n, known[n]) for n in names if n in known)]:
        if isinstance(value, ModuleType):
            if value.__name__.partition(".")[0] not in FOREIGN:
                inside = vars(value)
                yield from ((f"{name}.{n}", inside[n]) for n in names if n in inside)
        else:
            yield name, value


def _names_in(code: CodeType) -> Iterator[str]:
    """Global names and attributes in a code object and those nested in it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _filled(cell: Any) -> bool:
    """Whether a variable of a closure has a value yet."""
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _said(value: Any) -> str | None:
    """A constant in words that are the same in every process; None if it is no constant."""
    if isinstance(value, bool | int | float | complex | str | bytes | np.generic | type(None)):
        return repr(value)
    if isinstance(value, tuple):
        return f"({', '.join(str(_said(item)) for item in value)})"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(str(_said(item)) for item in value))}}}"
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(value.tobytes()).hexdigest()
        return f"{value.dtype} {value.shape} {digest}"
    if isinstance(value, type) and issubclass(value, enum.Enum):
        return ", ".join(f"{item.name}={_said(item.value)}" for item in value)
    return None


def _content_of(path: str) -> str:
    """Digest of a file; empty if it cannot be read: an installation without sources."""
    try:
        state = os.stat(path)
        return _digest_of(path, state.st_mtime_ns, state.st_size)
    except OSError:
        return ""


@cache
def _digest_of(path: str, time: int, size: int) -> str:
    """Read once a process, unless it changes."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


#: Packages whose versions numba's own stamp answers for, or whose functions it replaces.
FOREIGN = {"numba", "numpy", "llvmlite", "math", "cmath", "builtins", "operator"}

# ---------------------------------------------------------------- what a user is told

#: Loading from the disk takes a quarter of this.
PATIENCE_S = 1.0
MESSAGE = "{package}: compiling the numerical kernels, once for this installation; {later}"
LATER = "later runs load them from numba's cache"
NEVER = "there is no folder to keep them in (set NUMBA_CACHE_DIR to one)"


class _Waiting(event.Listener):  # type: ignore[misc]
    """One line on the standard error stream, once, if a compilation takes long."""

    def __init__(self) -> None:
        self._kernels: weakref.WeakSet[Any] = weakref.WeakSet()
        self._depth = 0  # a kernel is compiled within the one that calls it
        self._timer: threading.Timer | None = None
        self._done = False

    def watch(self, kernel: Any) -> None:
        """Tell of this kernel; numba compiles others, too, of which the user knows."""
        if not self._kernels:
            event.register("numba:compile", self)
        self._kernels.add(kernel)

    def on_start(self, event: Any) -> None:
        """A compilation begins; numba does one at a time."""
        kernel = event.data["dispatcher"]
        if kernel not in self._kernels:
            return
        self._depth += 1
        if self._depth == 1 and not self._done:
            self._timer = threading.Timer(PATIENCE_S, self._say, (kernel,))
            self._timer.daemon = True
            self._timer.start()

    def on_end(self, event: Any) -> None:
        """It is over, or failed."""
        if event.data["dispatcher"] not in self._kernels:
            return
        self._depth -= 1
        if self._depth == 0 and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _say(self, kernel: Any) -> None:
        self._done = True
        package = kernel.py_func.__module__.partition(".")[0]
        later = LATER if isinstance(kernel._cache, _Cache) else NEVER
        with suppress(OSError, ValueError, AttributeError):  # a closed stream, or none
            print(MESSAGE.format(package=package, later=later), file=sys.stderr, flush=True)


_waiting = _Waiting()
