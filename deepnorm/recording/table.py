"""A table that grows by whole rows: several runs, also at once, and crashes at any moment."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import stat
from collections.abc import Iterator, Sequence

from replica.common.arguments import InvalidArgument
from replica.common.text import printable

try:
    import fcntl
except ImportError:  # Windows: one process a file there
    fcntl = None  # type: ignore[assignment]

__all__ = ["append", "read_rows"]

#: Bytes that are read at a time.
PIECE = 1 << 16
#: How every header begins.
BEGINS = b"P,seed,step,log_norm,"


def append(path: str, titles: Sequence[str], row: Sequence[str]) -> None:
    """Add a row, and the header where the file is new; on disk once this returns.

    A lock keeps runs that share the file from mixing rows. What a crash left of a row is taken
    away; where a row cannot be written whole (a full disk) none of it stays.

    Raises
    ------
    ValueError
        If it is no regular file, or has other columns.
    OSError
        If it cannot be written.
    """
    with _locked(path) as file:
        size = _whole(file, path)
        text = _line(row)
        if size == 0:
            text = _line(titles) + text
        else:
            _check_titles(file, path, titles)
        try:
            _write(file, text.encode())
            os.fsync(file)
        except BaseException:
            os.ftruncate(file, size)
            raise


def read_rows(path: str) -> list[dict[str, str]]:
    """The whole rows of a table, by titles; none of a file that is not there."""
    if not os.path.exists(path):
        return []
    with _locked(path) as file:
        size = _whole(file, path)
        content = _read(file, size).decode("utf-8", errors="replace")
    return list(csv.DictReader(io.StringIO(content, newline="")))


@contextlib.contextmanager
def _locked(path: str) -> Iterator[int]:
    """The file, open for reading and appending, and nobody else's meanwhile."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
    file = os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0), 0o666)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise InvalidArgument("path", "must be a regular file", printable(path))
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)  # which unlocks it


def _whole(file: int, path: str) -> int:
    """The size up to the last line that is whole; what a crash left behind it is cut off.

    Raises
    ------
    ValueError
        If the file does not begin like a table of a recorder: nothing is then cut.
    """
    size = end = os.fstat(file).st_size
    if _read(file, len(BEGINS)) != BEGINS[:size]:
        raise InvalidArgument(
            "path", "must be a new file, or a table that a recorder wrote", printable(path)
        )
    while end > 0:
        start = max(0, end - PIECE)
        os.lseek(file, start, os.SEEK_SET)
        last = os.read(file, end - start).rfind(b"\n")
        if last >= 0:
            end = start + last + 1
            break
        end = start
    if end < size:
        os.ftruncate(file, end)
    return end


def _read(file: int, size: int) -> bytes:
    os.lseek(file, 0, os.SEEK_SET)
    pieces = []
    while size > 0 and (piece := os.read(file, size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _check_titles(file: int, path: str, titles: Sequence[str]) -> None:
    """Refuse a table that has other columns."""
    first = _read(file, PIECE).split(b"\n", 1)[0].decode("utf-8", errors="replace")
    there = next(csv.reader([first.rstrip("\r")]), [])
    if there != list(titles):
        raise InvalidArgument(
            "path",
            f"must be a new file, or one with the columns {', '.join(titles)}",
            f"{printable(path)} with {printable(first[:200])}",
        )


def _line(cells: Sequence[str]) -> str:
    """A row as CSV."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
