"""Every link, anchor and image of the built pages is followed, as long as it stays on the site.

What is written in sources is checked while they are read (nitpicky references, MyST's links); this
looks at what came out, generated pages and raw HTML included, in a second or two. A general crawler
takes minutes, since it reads a page once for every anchor that is asked of it. Links to other
sites are left to Sphinx's linkcheck (`make docs-links`).
"""

from __future__ import annotations

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sphinx.util import logging

logger = logging.getLogger(__name__)


class Page(HTMLParser):
    """What a page offers as anchors, and what it asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each tag."""
        for name, value in attrs:
            if value is None:
                continue
            if name in ("id", "name"):
                self.anchors.add(value)
            elif name in ("href", "src"):
                self.links.add(value)


def broken(folder: Path) -> list[tuple[str, str]]:
    """Page and link of everything in a folder of pages that leads nowhere."""

    @cache
    def page(path: Path) -> Page:
        return Page(path.read_text(encoding="utf-8"))

    found = []
    for path in sorted(folder.rglob("*.html")):
        if "_static" in path.parts:  # templates of the theme
            continue
        for link in sorted(page(path).links):
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path.resolve()
            anchor = unquote(url.fragment) if target.suffix == ".html" else ""
            if not target.is_file() or (anchor and anchor not in page(target).anchors):
                found.append((path.relative_to(folder).as_posix(), link))
    return found


def check(app: Any, exception: Exception | None) -> None:
    """Complain of every broken link; `-W` makes a failure of it."""
    if exception is None and app.builder.format == "html":
        for page, link in broken(Path(app.outdir)):
            logger.warning("%s: nothing is at %s", page, link)


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
