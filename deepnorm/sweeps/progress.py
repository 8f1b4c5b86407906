"""How far a sweep has come: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from replica.common.arguments import InvalidArgument, quoted
from replica.common.progress import bar, on_terminal
from replica.common.text import printable

__all__ = ["Progress", "Reporter", "reporter"]

#: Between two lines of a log: this part of the work, or so many seconds. Choices: some twenty lines
#: for a sweep that takes less than three hours, six an hour for a longer one.
PART, SECONDS = 0.1, 600.0


@dataclass(frozen=True)
class Progress:
    """How far a sweep has come.

    Attributes
    ----------
    runs, runs_over : int
        All of the sweep, and those that need nothing more, from earlier sweeps too.
    steps, steps_done : int
        The same in optimizer steps, those of unfinished runs included.
    part : float
        Of the work, in units of images seen, from 0 to 1.
    seconds : float
        Since the sweep began.
    remaining : float or None
        Seconds, at the pace so far; None while it is unknown.
    """

    runs: int
    runs_over: int
    steps: int
    steps_done: int
    part: float
    seconds: float
    remaining: float | None

    def __str__(self) -> str:
        left = "" if self.remaining is None else f", {duration(self.remaining)} left"
        return (
            f"{self.runs_over} of {self.runs} runs, {self.steps_done:,} of {self.steps:,} steps "
            f"({self.part:.0%} of the work), {duration(self.seconds)}{left}"
        )


class Reporter(Protocol):
    """Passes on what a sweep has to say."""

    def update(self, progress: Progress) -> None:
        """Called a few times a second."""

    def message(self, text: str) -> None:
        """Something worth a line happened."""

    def close(self) -> None:
        """No more will come."""


def reporter(progress: Callable[[Progress], None] | bool | None) -> Reporter:
    """Who tells: nobody for False, a function, or what suits where standard error goes to.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if progress is False:
        return Silent()
    if callable(progress):
        return Calls(progress)
    if progress is not None and progress is not True:
        raise InvalidArgument(
            "progress", "must be a function, True, False or None", quoted(progress)
        )
    return OnBar() if on_terminal() else Lines()


def duration(seconds: float) -> str:
    """Hours, minutes, seconds: the two that matter."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class Silent:
    """Passes nothing on."""

    def update(self, progress: Progress) -> None:
        """Say nothing."""

    def message(self, text: str) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Say nothing."""


class Calls(Silent):
    """A function of the user's."""

    def __init__(self, function: Callable[[Progress], None]) -> None:
        self._function = function

    def update(self, progress: Progress) -> None:
        """Call the function."""
        self._function(progress)


class Lines:
    """A line now and then on standard error."""

    def __init__(self) -> None:
        self._parts = -1
        self._time = -SECONDS
        self._said = ""

    def update(self, progress: Progress) -> None:
        """A line if there is enough news."""
        now = time.monotonic()
        parts = int(progress.part / PART + 1e-9)  # 0.3/0.1 is not 3
        if parts > self._parts or now - self._time >= SECONDS:
            self._parts, self._time = parts, now
            self._say(str(progress))

    def message(self, text: str) -> None:
        """A line at once."""
        self._say(text)

    def close(self) -> None:
        """Nothing is left to say."""

    def _say(self, text: str) -> None:
        """With the time of day, and not twice in a row."""
        if text != self._said:
            print(f"{time.strftime('%H:%M:%S')} {printable(text)}", file=sys.stderr, flush=True)
            self._said = text


class OnBar:
    """Shows a bar with the latest line beside it."""

    def __init__(self) -> None:
        self._shown = contextlib.ExitStack()
        self._bar = self._shown.enter_context(bar("starting", 1.0, unit="text", kept=True))

    def update(self, progress: Progress) -> None:
        """Move the bar."""
        self._bar.update(progress.part, text=str(progress))

    def message(self, text: str) -> None:
        """A line above the bar."""
        self._bar.line(text)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._shown.close()
