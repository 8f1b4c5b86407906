"""The table of rules, which every room enters its own into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepnorm.norms.calls import Rule

__all__ = ["RULES", "per_axis", "rule"]

RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Enter a rule under these names of operators."""

    def enter(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return enter


def per_axis(value: Any, axes: int) -> tuple[int, ...]:
    """One number for each axis."""
    if isinstance(value, (tuple, list)):
        return tuple(value) * axes if len(value) == 1 else tuple(value)
    return (value,) * axes
