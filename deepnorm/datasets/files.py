"""Standard files in a folder: where they are looked for, and whether they are the published ones.

The checksums were read from the loaders of PyTorch's torchvision, which everyone's copies are
compared with; MD5 guards against accidents, not against an adversary.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["FOLDER_VARIABLE", "Reader", "Source", "locate", "md5", "root"]

#: Where `load` looks if it is given no folder.
FOLDER_VARIABLE = "REPLICA_LEARNING_DATA"


@dataclass(frozen=True)
class Source:
    """Where a set comes from and what its files are.

    Attributes
    ----------
    name : str
        What `load` calls the set.
    title : str
        What its authors call it.
    files : mapping of str to str
        The published files that are read, with their MD5.
    folders : tuple of str
        Where they are looked for below the user's folder; `fetch` writes to the first.
    mirrors : tuple of str
        Addresses to which the name of a file, or of the archive, is appended.
    archive : tuple of (str, str), optional
        Name and MD5 of the archive that holds the files, where they come in one.
    unpacked : mapping of str to str or None
        Names and MD5 (None: not known) of the same files without compression, which are read
        where the published are absent.
    others : mapping of str to str
        MD5 of files that bear the same names, and the set that they belong to.
    """

    name: str
    title: str
    files: Mapping[str, str]
    folders: tuple[str, ...]
    mirrors: tuple[str, ...]
    archive: tuple[str, str] | None = None
    unpacked: Mapping[str, str | None] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)

    @property
    def downloads(self) -> Mapping[str, str]:
        """Names and MD5 of what a mirror offers."""
        return dict([self.archive]) if self.archive else self.files

    @property
    def way_out(self) -> str:
        """What to do about a file that is missing or broken."""
        return (
            f"get it with `deepnorm fetch {self.name}`, which downloads, or copy it from a machine "
            "that has it"
        )


def root(source: Source, folder: str | os.PathLike[str] | None) -> Path:
    """The user's folder, or that of the environment variable, if it is there.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If it is not, or none was named.
    """
    named = folder if folder is not None else os.environ.get(FOLDER_VARIABLE)
    if not named:
        raise FileNotFoundError(
            f"`folder` must name the folder with the files of {source.title} (or set "
            f"{FOLDER_VARIABLE}); got None. `deepnorm fetch {source.name}` downloads them"
        )
    path = Path(named)
    if not path.exists():
        raise FileNotFoundError(f"`folder` must exist; got {path}")
    if not path.is_dir():
        raise NotADirectoryError(f"`folder` must be a folder; got the file {path}")
    return path


def locate(source: Source, folder: str | os.PathLike[str] | None) -> Path:
    """The first of a set's folders that holds any of its files.

    Raises
    ------
    FileNotFoundError
        If none does; the message lists where it looked.
    """
    base = root(source, folder)
    for below in source.folders:
        if any((base / below / name).is_file() for name in (*source.files, *source.unpacked)):
            return base / below
    places = ", ".join(str(base / below) for below in source.folders)
    raise FileNotFoundError(
        f"no file of {source.title} ({', '.join(source.files)}) in any of {places}; "
        f"`deepnorm fetch {source.name}` downloads them, or copy them from a machine that has them"
    )


class Reader:
    """Reads the files of a set in one folder, and keeps the names of those that differ."""

    def __init__(self, source: Source, folder: str | os.PathLike[str] | None, check: bool):
        self.source = source
        self.check = check
        self.place = locate(source, folder)
        self.differing: list[str] = []
        self.unchecked: list[str] = []

    def path(self, name: str) -> Path:
        """Where a file is; the unpacked one if the published one is absent.

        Raises
        ------
        FileNotFoundError
            If it is neither way there.
        """
        published = self.place / name
        plain = published.with_suffix("")
        if not published.is_file() and self.source.unpacked and plain.is_file():
            return plain
        if not published.is_file():
            raise FileNotFoundError(
                f"{published} is missing, a file of {self.source.title}; {self.source.way_out}"
            )
        return published

    def content(self, path: Path) -> bytes:
        """The bytes of a file, once its checksum is right.

        Raises
        ------
        ValueError
            If the file is empty, or its checksum differs and is to be checked.
        OSError
            If it cannot be read.
        """
        content = path.read_bytes()
        if not content:
            raise ValueError(f"{path} is empty; {self.source.way_out}")
        published = {**self.source.files, **self.source.unpacked}[path.name]
        found = md5(content)
        if found in self.source.others:
            raise ValueError(
                f"{path} is a file of {self.source.others[found]}, whose names are the same, "
                f"not of {self.source.title}"
            )
        if published is None:
            self.unchecked.append(path.name)
        elif found != published:
            if self.check:
                raise ValueError(
                    f"{path} is not the published file of {self.source.title}: it should have MD5 "
                    f"{published}, got {found} ({len(content)} bytes). Its download may have been "
                    f"cut short: {self.source.way_out}. If you trust this copy, pass "
                    "`check=False`, which reads it and keeps a note"
                )
            self.differing.append(path.name)
        return content

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of results should know about these files."""
        notes = []
        if self.differing:
            notes.append(
                f"not the published files (their MD5 differs): {', '.join(self.differing)}"
            )
        if self.unchecked:
            notes.append(f"no checksum is known for: {', '.join(self.unchecked)}")
        return tuple(notes)


def md5(content: bytes) -> str:
    """MD5 in hexadecimal; a checksum here, nothing that security rests on."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
