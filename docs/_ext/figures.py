"""Figures of the gallery: they are made without pyplot, whose figures are all that it looks for."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

from deepnorm.figures import style

#: Pixels per inch: print has 300, and a page is read on a screen.
DPI = 200


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figure that a block of code has made, and say how it is shown."""
    figure = block_vars["example_globals"].pop("figure", None)
    if not isinstance(figure, Figure):
        return ""
    place = next(block_vars["image_path_iterator"])
    with style.context():
        # the same pixels from the same numbers: no date, no version inside
        figure.savefig(place, dpi=DPI, metadata={"Software": None})
    return figure_rst([place], gallery_conf["src_dir"], block[1].strip().split("\n")[0])
