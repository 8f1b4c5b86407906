r"""Numbered equations as link targets, and links wherever one is cited.

The pages number their equations by hand, with ``\tag{13}``, so that they read the same on a code
host; docstrings cite the numbers. Here an anchor ``eq-13`` is set before each such equation while
the page is read, and citations become links to it, on pages and in docstrings.

Numbers with a letter, (S5) or (N6), belong to one page and are linked wherever they stand. A plain
number is that of docs/theory.md only on `THEORY_PAGES` and in `replica`; elsewhere, and where it is
said to be the paper's, it is an equation of the paper and stays as it is.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.ext import autosummary

#: Pages whose plain numbers are those of docs/theory.md.
THEORY_PAGES = {"theory", "experiment", "notation", "numerics", "predict", "structured"}
#: Modules whose plain numbers are so too, less those that speak of the paper.
THEORY_MODULES, PAPER_MODULES = ("replica",), ("replica.scaling",)

#: What is no prose: fences, mathematics, code, links.
NOT_PROSE = re.compile(
    r"```.*?^```|\$\$.*?\$\$|\$[^$]+\$|`[^`]*`|\[[^\]]*\]\([^)]*\)|^#.*?$|^\(.*?\)=$",
    re.S | re.M,
)
DISPLAYED = re.compile(r"^\$\$(?:(?!\$\$).)*?\\tag\{(\w+)\}\s*\$\$", re.S | re.M)
LETTERED = re.compile(r"\(([A-Z]\d+)\)")
PLAIN = re.compile(
    r"(?<!paper's )\b(?P<word>[Ee]qs?\.|Equations?)(?P<space>\s+)"
    r"(?P<numbers>NUMBER(?:(?:-|, | and | to )NUMBER)*)".replace("NUMBER", r"(?:\(\d+\)|\d+)")
    + r"(?![\w)])(?!\s+of\s+(?:the\s+paper|D'Amico))"
)


def target(number: str) -> str:
    """The name of the anchor of an equation."""
    return f"eq-{number.lower()}"


def cite(text: str, link: str, *, plain: bool) -> str:
    """Make links of the equation numbers in prose; ``link`` is the markup for {text}, {target}."""

    def one(match: re.Match[str]) -> str:
        shown = match[0]
        return link.format(text=shown, target=target(shown.strip("()")))

    text = LETTERED.sub(one, text)
    if plain:
        text = PLAIN.sub(
            lambda m: m["word"] + m["space"] + re.sub(r"\(\d+\)|\d+", one, m["numbers"]), text
        )
    return text


def read_page(app: Any, docname: str, source: list[str]) -> None:
    """Set anchors before the numbered equations of a Markdown page, and link its citations."""
    if app.env.doc2path(docname).suffix != ".md":
        return
    text, done, parts = source[0], 0, []
    plain = docname in THEORY_PAGES
    for match in NOT_PROSE.finditer(text):
        parts += [cite(text[done : match.start()], "[{text}](#{target})", plain=plain), match[0]]
        done = match.end()
    parts.append(cite(text[done:], "[{text}](#{target})", plain=plain))
    source[0] = DISPLAYED.sub(lambda m: f"\n({target(m[1])})=\n\n{m[0]}", "".join(parts))


def read_docstring(
    app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Link the citations of a docstring, and the pages that it names."""
    plain = _within(name, THEORY_MODULES) and not _within(name, PAPER_MODULES)
    text = cite("\n".join(lines), ":ref:`{text} <{target}>`", plain=plain)
    text = re.sub(r"\bdocs/(\w+)\.md\b", r":doc:`docs/\1.md </\1>`", text)
    lines[:] = text.split("\n")


def _within(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    # the table of a package quotes the first sentence of a docstring, which "eq. (20)" does not end
    autosummary.WELL_KNOWN_ABBREVIATIONS += ("eq.", "eqs.")
    app.connect("source-read", read_page)
    app.connect("autodoc-process-docstring", read_docstring)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
