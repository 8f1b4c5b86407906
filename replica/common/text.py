"""Text of others, as it may be printed: names of files, titles, keys of a dictionary, cells.

A terminal obeys what it is sent, a log is one line a message, and a list may have 100,000 entries.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable

__all__ = ["cut", "listed", "printable"]

#: Characters of a text, and entries of a list, that a message repeats. Choices.
LONGEST, MOST = 200, 10


def printable(text: str) -> str:
    """The text with escapes of Python in place of everything that is not seen as it is.

    Control characters, marks that turn the direction of writing, half of a surrogate pair (a byte
    of a name that is not UTF-8); letters of any language stay.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def cut(text: str, most: int = LONGEST) -> str:
    """The beginning of a long text; all of a short one."""
    return text if len(text) <= most else text[:most] + "..."


def listed(entries: Collection[object] | Iterable[object], most: int = MOST) -> str:
    """The first entries, each in one printable line, and how many there are besides."""
    known = entries if isinstance(entries, Collection) else list(entries)
    told = [printable(cut(str(entry))) for entry in itertools.islice(known, most)]
    more = len(known) - len(told)
    return ", ".join(told) + (f" and {more:,} more" if more else "")
