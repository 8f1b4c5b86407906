"""How figures look: deepnorm's look, and what belongs to the learning rules."""

from __future__ import annotations

from deepnorm.figures.style import (
    COLUMN,
    DPI,
    FULL,
    LAW,
    LIMIT,
    NOTE,
    SMALL,
    STAR,
    THEORY,
    Style,
    along,
    canvas,
    context,
    decades,
    note,
    panel,
    scale,
    series,
)

__all__ = [
    "BAYES",
    "COLUMN",
    "DPI",
    "FULL",
    "HEBB",
    "LAW",
    "LIMIT",
    "NOTE",
    "SMALL",
    "STABLE",
    "STAR",
    "THEORY",
    "Style",
    "along",
    "canvas",
    "context",
    "decades",
    "note",
    "panel",
    "scale",
    "series",
]

# Okabe and Ito's palette; every rule has its own dashes too, for print without colour.
HEBB: Style = {"color": "#7A4E00", "ls": (0, (1, 1.5)), "lw": 1.0}
BAYES: Style = {"color": "#006B4F", "ls": (0, (6, 1.5, 1, 1.5)), "lw": 1.0}
STABLE: Style = {"color": "#A63C00", "ls": (0, (5, 2)), "lw": 1.0}
