"""Help texts of commands are plain text: what reStructuredText would take for markup is escaped."""

from __future__ import annotations

import re
from typing import Any


def plain(app: Any, context: Any, lines: list[str]) -> None:
    """Paragraphs that click must not wrap, which come as line blocks, are set as typed."""
    kept: list[str] = []
    block = False
    for line in lines:
        if line.startswith("| "):
            kept += ["    " + line[2:]] if block else ["", "::", "", "    " + line[2:]]
            block = True
            continue
        block = block and not line.strip()
        kept.append(re.sub(r"[|*`]|(?<=\w)_(?!\w)", r"\\\g<0>", line))
    lines[:] = kept


def no_links(app: Any, context: Any, lines: list[str]) -> None:
    """The address of a scheduler, tcp://host:8786, is an example and leads nowhere."""
    lines[:] = [line.replace("tcp://", "tcp:\\ //") for line in lines]


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.setup_extension("sphinx_click")
    for part in ("description", "epilog"):
        app.connect(f"sphinx-click-process-{part}", plain)
    app.connect("sphinx-click-process-options", no_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
