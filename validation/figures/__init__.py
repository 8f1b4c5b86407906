"""The figures by name: each is one script that makes one claim.

A script computes numbers (`compute`), draws them (`draw`) and says what they
show (`caption`); the three are apart so that tests can check numbers. Nothing
heavy is imported before `load`.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol, cast

__all__ = ["FIGURES", "Script", "load"]

#: Name of the script -> its claim, which is the title of the files as well.
FIGURES: dict[str, str] = {
    "figure1": "The logistic loss at fixed norm runs from Hebb through the optimum "
    "to maximum stability",
    "figure2": "Learning curves at fixed norm collapse onto two exact limits",
    "figure6": "As the norm grows the mean margin falls and the lower edge rises",
}


class Script(Protocol):
    """What the module of a figure offers."""

    def compute(self) -> Any:
        """The numbers, in a frozen dataclass."""

    def draw(self, data: Any) -> Any:
        """A matplotlib figure of them; call it within `validation.style.context`."""

    def caption(self, data: Any) -> str:
        """What is shown, with the numbers, in plain text."""


def load(name: str) -> Script:
    """The script of a figure; this imports matplotlib and the theory."""
    return cast(Script, importlib.import_module(f"{__name__}.{name}"))
