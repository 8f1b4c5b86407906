"""Which figures are up to date, decided without importing what draws them.

Beside the files of a figure lies a stamp, NAME.json, with a fingerprint of
everything that decides the drawing and the digest of every file. A figure is
up to date if both still hold: sources unchanged, files whole.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import io
import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path

from validation import figures, settings

__all__ = ["fingerprint", "is_fresh", "suffixes", "update"]

#: Our packages and the foreign ones whose change may change a figure.
SOURCES = ("deepnorm", "perceptron", "replica", "validation")
LIBRARIES = ("matplotlib", "numba", "numpy", "pandas", "scipy")

suffixes = (".pdf", ".png", ".txt")


def _names(name: str) -> list[str]:
    """The files of a figure, its stamp apart."""
    return sorted(name + suffix for suffix in (*suffixes, *figures.ATTACHMENTS.get(name, ())))


@cache
def fingerprint() -> str:
    """Digest of our sources, of the tables among them, and of the versions of the libraries."""
    digest = hashlib.sha256()
    for package in SOURCES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"the sources of `{package}` are not to be found")
        root = Path(spec.origin).parent
        for path in sorted([*root.rglob("*.py"), *root.rglob("*.csv.gz")]):
            digest.update(f"{package}/{path.relative_to(root).as_posix()}\0".encode())
            digest.update(path.read_bytes() + b"\0")
    for library in LIBRARIES:
        digest.update(f"{library} {importlib.metadata.version(library)}\0".encode())
    return digest.hexdigest()


def _data(name: str) -> str:
    """Digest of the learning curves that a figure is drawn from; empty if it needs none."""
    if name not in figures.OF_CURVES:
        return ""
    return settings.digest()


def is_fresh(name: str, folder: Path, *, full: bool = False) -> bool:
    """Whether the files of a figure are there, whole, and made by these sources.

    A figure in full stands for the shorter form too.
    """
    try:
        stamp = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        if stamp["fingerprint"] != fingerprint() or stamp["data"] != _data(name):
            return False
        if full and name in figures.SIMULATED and not stamp["full"]:
            return False
        if sorted(stamp["files"]) != _names(name):
            return False
        return all(
            hashlib.sha256((folder / file).read_bytes()).hexdigest() == known
            for file, known in stamp["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False  # no stamp, or one that cannot be read: draw again


def update(
    name: str,
    folder: Path,
    *,
    force: bool = False,
    full: bool = False,
    writing: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> tuple[bool, str | None]:
    """Draw a figure unless it is up to date; whether it was drawn, and its objection if any.

    Files are written within the context ``writing``.
    """
    if not force and is_fresh(name, folder, full=full):
        return False, None
    files, objection = _render(name, full)
    stamp = {
        "figure": name,
        "title": figures.FIGURES[name],
        "fingerprint": fingerprint(),
        "data": _data(name),
        "full": full,
        "files": {file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
    }
    with writing():
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            _write(folder / file, content)
        if objection is None:
            # last, so that an interrupted run leaves the figure out of date
            _write(folder / f"{name}.json", (json.dumps(stamp, indent=2) + "\n").encode())
    return True, objection


def _render(name: str, full: bool) -> tuple[Mapping[str, bytes], str | None]:
    """The files of a figure by name, the same bytes whenever it is called; an objection."""
    from validation import style

    script, title = figures.load(name), figures.FIGURES[name]
    data = script.compute(full) if name in figures.SIMULATED else script.compute()
    png, pdf = io.BytesIO(), io.BytesIO()
    with style.context():
        figure = script.draw(data)
        # once, for both files
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        figure.savefig(png, format="png", dpi=style.DPI, metadata={"Title": title})
        figure.savefig(pdf, format="pdf", metadata={"Title": title, "CreationDate": None})
    files = {
        f"{name}.pdf": pdf.getvalue(),
        f"{name}.png": png.getvalue(),
        f"{name}.txt": script.caption(data).encode(),
    }
    for suffix in figures.ATTACHMENTS.get(name, ()):
        files[name + suffix] = script.attachments(data)[suffix]
    objection = script.verdict(data) if hasattr(script, "verdict") else None
    return files, objection


def _write(path: Path, content: bytes) -> None:
    """The whole file or none of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
