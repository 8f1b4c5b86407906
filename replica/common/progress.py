"""One bar: on the standard error stream if that is a terminal, and nowhere else."""

# rich is imported where a bar is shown: most processes show none.
from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from replica.common.interruption import restoring
from replica.common.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Bar", "bar", "on_terminal"]

#: Clears the line of a bar, and shows the cursor that it hid.
RESTORED = b"\r\x1b[2K\x1b[?25h"


def on_terminal() -> bool:
    """Whether somebody would see a bar."""
    return sys.stderr is not None and sys.stderr.isatty()


class Bar:
    """How far a piece of work has come; without a terminal nobody is told.

    Attributes
    ----------
    shown : bool
        Whether it is seen.
    """

    def __init__(self, progress: Progress | None, task: TaskID | None) -> None:
        self._progress, self._task = progress, task
        self.shown = progress is not None

    def update(
        self, done: float | None = None, *, total: float | None = None, text: str | None = None
    ) -> None:
        """What is done so far, of how much, and what is being done; None leaves it as it was."""
        if self._progress is not None and self._task is not None:
            changes: dict[str, Any] = {} if total is None else {"total": total}
            if text is not None:
                changes["description"] = printable(text)
            self._progress.update(self._task, completed=done, **changes)

    def advance(self, by: float = 1) -> None:
        """So much more is done."""
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, by)

    def another(self, text: str, total: float | None = None) -> Bar:
        """A further bar below this one."""
        if self._progress is None:
            return self
        return Bar(self._progress, self._progress.add_task(printable(text), total=total))

    def line(self, text: str) -> None:
        """A line above the bar, which stays; nothing where there is no bar."""
        if self._progress is not None:
            self._progress.console.print(
                printable(text), markup=False, highlight=False, soft_wrap=True
            )


@contextlib.contextmanager
def bar(
    text: str | None = None,
    total: float | None = None,
    *,
    unit: str = "count",
    remaining: bool = False,
    kept: bool = False,
    wanted: bool = True,
) -> Iterator[Bar]:
    """A bar, gone once the work is over.

    Parameters
    ----------
    text : str, optional
        What is being done; without it there is no bar yet, and `Bar.another` adds one.
    total : float, optional
        Of what counts; unknown if left out.
    unit : {"count", "percent", "bytes", "text"}
        What is written behind the bar: done/total, a percentage, a size, or the text alone.
    remaining : bool
        Say how long it will take.
    kept : bool
        Left on the terminal afterwards.
    wanted : bool
        Without it nothing is shown, terminal or not.
    """
    if not (wanted and on_terminal()):
        yield Bar(None, None)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    words = TextColumn("{task.description}", markup=False)
    columns: list[ProgressColumn] = (
        [BarColumn(bar_width=30), words]
        if unit == "text"
        else [
            words,
            BarColumn(),
            {"count": MofNCompleteColumn, "percent": TaskProgressColumn, "bytes": DownloadColumn}[
                unit
            ](),
        ]
    )
    if remaining:
        columns.append(TimeRemainingColumn())
    progress = Progress(
        *columns,
        console=Console(stderr=True),
        transient=not kept,
        redirect_stdout=False,  # that may be a file
    )
    with restoring(RESTORED), progress:
        task = None if text is None else progress.add_task(printable(text), total=total)
        yield Bar(progress, task)
