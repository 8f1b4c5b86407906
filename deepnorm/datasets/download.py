"""Downloads, only ever on request: checked before they appear under their name."""

from __future__ import annotations

import hashlib
import http.client
import os
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from deepnorm.datasets.files import FOLDER_VARIABLE, Source, md5
from deepnorm.datasets.registry import SETS
from replica.common.arguments import InvalidArgument

__all__ = ["fetch"]

#: Told the file's name, the bytes that are there, and all its bytes (None: not announced).
Progress = Callable[[str, int, int | None], None]

#: Bytes read at a time: a choice.
PIECE = 1 << 18


def fetch(
    name: str,
    folder: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    *,
    timeout: float = 30.0,
) -> Path:
    """Download the standard files of a set, unless they are there; what is damaged is replaced.

    Each file is written under another name, compared with its published MD5 and moved into
    place, so that no half of a file ever bears its name. Mirrors are tried one after the
    other. An archive that was copied into the folder by hand is unpacked.

    Parameters
    ----------
    name : str
        One of `NAMES`, except "digits", which ships with scikit-learn.
    folder : path, optional
        Where to; made if need be. If not given, the environment variable
        REPLICA_LEARNING_DATA names it.
    progress : callable, optional
        Called as ``progress(file, done, total)`` with bytes; ``total`` is None if the server
        does not say.
    timeout : float
        Seconds without an answer after which a mirror is given up.

    Returns
    -------
    Path
        The folder that holds the files.

    Raises
    ------
    ValueError
        If there is no such set, or no folder is named.
    ConnectionError
        If no mirror has delivered a file: what each said, and where else to get it.
    OSError
        If the folder cannot be written.
    """
    if name not in SETS:
        why = ", which ships with scikit-learn and needs no files" if name == "digits" else ""
        raise InvalidArgument("name", f"must be one of {', '.join(SETS)}", f"{name!r}{why}")
    named = folder if folder is not None else os.environ.get(FOLDER_VARIABLE)
    if not named:
        raise InvalidArgument("folder", f"must say where to (or set {FOLDER_VARIABLE})", "None")
    source = SETS[name].SOURCE
    for below in source.folders:
        if not _missing(source, Path(named) / below):
            return Path(named) / below
    target = Path(named) / source.folders[0]
    target.mkdir(parents=True, exist_ok=True)
    if source.archive is None:
        for file in _missing(source, target):
            _download(source, file, target / file, progress, timeout)
        return target
    file, checksum = source.archive
    archive = Path(named) / file
    copied = _is(archive, checksum)
    if not copied:
        _download(source, file, archive, progress, timeout)
    _unpack(source, archive, target)
    if not copied:  # what the user has copied there stays
        archive.unlink()
    return target


def _missing(source: Source, place: Path) -> list[str]:
    """The files of a set that are not there, or not right."""
    return [file for file, checksum in source.files.items() if not _is(place / file, checksum)]


def _is(path: Path, checksum: str) -> bool:
    """Whether the file is there and right."""
    return path.is_file() and md5(path.read_bytes()) == checksum


def _download(
    source: Source, file: str, path: Path, progress: Progress | None, timeout: float
) -> None:
    """Get one file from the first mirror that delivers it whole."""
    failures = []
    for mirror in source.mirrors:
        try:
            _get(mirror + file, path, source.downloads[file], progress, timeout)
        except (urllib.error.URLError, http.client.HTTPException, _Broken, TimeoutError) as error:
            reason = getattr(error, "reason", None) or str(error) or type(error).__name__
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            failures.append(f"{urllib.parse.urlsplit(mirror).netloc} ({reason})")
        else:
            return
    addresses = "\n".join(f"  {mirror}{file}" for mirror in source.mirrors)
    raise ConnectionError(
        f"{file} of {source.title} could not be downloaded from {', '.join(failures)}: where there "
        f"is no network, download it on another machine and copy it to {path}.\n{addresses}"
    )


class _Broken(Exception):
    """The connection broke, or what came is not the published file."""


def _get(url: str, path: Path, checksum: str, progress: Progress | None, timeout: float) -> None:
    """Download to a draft beside ``path``, compare, move into place."""
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        announced = answer.headers.get("Content-Length", "")
        total = int(announced) if announced.isdigit() else None
        with _Draft(path) as draft:
            found = hashlib.md5(usedforsecurity=False)
            done = 0
            while True:
                try:
                    piece = answer.read(PIECE)
                except OSError as error:
                    raise _Broken(f"broke off after {done} bytes: {error}") from None
                if not piece:
                    break
                draft.write(piece)
                found.update(piece)
                done += len(piece)
                if progress is not None:
                    progress(path.name, done, total)
            if found.hexdigest() != checksum:
                raise _Broken(f"sent {done} bytes of MD5 {found.hexdigest()}, not {checksum}")
            draft.keep()


def _unpack(source: Source, archive: Path, target: Path) -> None:
    """The files of the set out of an archive whose checksum is right; others stay inside."""
    with tarfile.open(archive, "r:gz") as entries:
        for entry in entries:
            name = os.path.basename(entry.name)
            stream = entries.extractfile(entry) if name in source.files else None
            if stream is None:
                continue
            with stream, _Draft(target / name) as draft:
                draft.write(stream.read())
                draft.keep()


class _Draft:
    """A file under another name until `keep` moves it into place; gone if that never comes."""

    def __init__(self, path: Path):
        self.path = path
        handle, self.draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        self.file = os.fdopen(handle, "wb")

    def __enter__(self) -> _Draft:
        return self

    def write(self, piece: bytes) -> None:
        """Append."""
        self.file.write(piece)

    def keep(self) -> None:
        """Everything is there: give it its name."""
        self.file.close()
        os.chmod(self.draft, 0o644)  # a draft is the owner's alone
        os.replace(self.draft, self.path)

    def __exit__(self, *_: object) -> None:
        self.file.close()
        if os.path.exists(self.draft):
            os.unlink(self.draft)
