"""What stands out about a set of curves, by kind: for programs to test and for people to read."""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

__all__ = ["Flag", "Kind", "listed"]

#: So many P are named in a sentence: a choice.
MOST_NAMED = 12


class Kind(enum.StrEnum):
    """Of what a flag speaks."""

    NOTE = "note"
    NOT_CONCLUDED = "not_concluded"
    QUOTED_ERRORS = "quoted_errors"
    AT_END = "at_end"
    AT_START = "at_start"
    FLAT = "flat"
    BY_ELBOWS = "by_elbows"
    POOR_LAW = "poor_law"
    SHORT_WINDOW = "short_window"
    EARLY_LAW_UNSEEN = "early_law_unseen"
    ELBOW_UNSEEN = "elbow_unseen"
    DRIFTING_LAW = "drifting_law"
    DRIFT = "drift"
    NORM_OFFSET = "norm_offset"
    DISAGREEMENT = "disagreement"
    FLOOR = "floor"
    ENDS_EARLY = "ends_early"
    STARTS_LATE = "starts_late"
    AT_CHANCE = "at_chance"
    JUMPS = "jumps"
    APART = "apart"
    ZERO = "zero"
    SPIKE = "spike"


@dataclass(frozen=True)
class Flag:
    """Something that stands out.

    Attributes
    ----------
    kind : Kind
    text : str
        A sentence.
    P : tuple of float
        The numbers of examples that it is about; empty where it is about all.
    seed : hashable
        The seed, where it is about one curve.
    """

    kind: Kind
    text: str
    P: tuple[float, ...] = ()
    seed: Hashable = None

    def __str__(self) -> str:
        return self.text if self.kind is Kind.NOTE else f"{self.kind}: {self.text}"


def listed(P: Iterable[float]) -> str:
    """Numbers of examples in a sentence, not too many of them."""
    names = [f"{one:g}" for one in P]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
