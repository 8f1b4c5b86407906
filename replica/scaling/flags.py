"""What stands out about a set of curves, by kind: for programs to test and for people to read."""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterable

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
    NO_SPREAD = "no_spread"
    TOO_SHORT = "too_short"
    ENDS_EARLY = "ends_early"
    STARTS_LATE = "starts_late"
    AT_CHANCE = "at_chance"
    JUMPS = "jumps"
    APART = "apart"
    ZERO = "zero"
    SPIKE = "spike"


class Flag(str):
    """Something that stands out: the sentence itself, and what it is about.

    Attributes
    ----------
    kind : Kind
    text : str
        The sentence without its kind in front.
    P : tuple of float
        The numbers of examples that it is about; empty where it is about all.
    seed : hashable
        The seed, where it is about one.
    """

    kind: Kind
    text: str
    P: tuple[float, ...]
    seed: Hashable

    def __new__(
        cls, kind: Kind, text: str, P: tuple[float, ...] = (), seed: Hashable = None
    ) -> Flag:
        """A flag of a kind; its own text has the kind in front, but for notes."""
        flag = super().__new__(cls, text if kind is Kind.NOTE else f"{kind}: {text}")
        flag.kind, flag.text, flag.P, flag.seed = kind, text, P, seed
        return flag

    def __getnewargs__(self) -> tuple[Kind, str, tuple[float, ...], Hashable]:  # type: ignore[override]
        """For copies and pickles."""
        return self.kind, self.text, self.P, self.seed


def listed(P: Iterable[float]) -> str:
    """Numbers of examples in a sentence, not too many of them."""
    names = [f"{one:g}" for one in P]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
