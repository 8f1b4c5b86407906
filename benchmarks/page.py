"""The table in a page, between two markers that nobody sees.

    <!-- benchmarks:begin -->        all rows; `benchmarks:begin short` for the short table
    <!-- benchmarks:end -->

What stands between them is replaced; the rest of the page is left alone.
"""

from __future__ import annotations

import re
from pathlib import Path

from replica.common.files import check_writable, replace_file

BLOCK = re.compile(
    r"(?P<begin>^<!-- benchmarks:begin(?P<short> short)? -->\n)"
    r"(?P<text>.*?)"
    r"(?P<end>^<!-- benchmarks:end -->$)",
    re.S | re.M,
)
MARKER = re.compile(r"^<!-- benchmarks:", re.M)


def find(path: Path) -> re.Match[str]:
    """The one block of a page."""
    text = path.read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    if len(blocks) != 1 or len(MARKER.findall(text)) != 2:
        raise ValueError(
            f"{path} must hold one pair of lines `<!-- benchmarks:begin -->` (or `begin short`) "
            f"and `<!-- benchmarks:end -->`; got {len(blocks)}"
        )
    check_writable(str(path))
    return blocks[0]


def update(path: Path, *, full: str, short: str) -> None:
    """Put the text that the marker asks for between the markers, in one step."""
    block = find(path)
    text = short if block["short"] else full
    page = block.string
    new = f"{page[: block.end('begin')]}\n{text.strip()}\n\n{page[block.start('end') :]}"
    if new != page:
        replace_file(str(path), new)


def names(text: str) -> list[str]:
    """The first cells of the rows of a table in Markdown, headings left out."""
    cells = [
        line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line[:2] == "| "
    ]
    return [cell for cell in cells if cell.strip(" |-") and not cell.startswith("**")]
