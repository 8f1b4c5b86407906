"""What all commands share: exit codes, errors, Ctrl-C, where output goes, completion.

It knows of no command: those of `replica`, `deepnorm` and `validation` are made of it, so that they
look and fail alike.
"""

# rich is imported where it is needed: help and completion stay quick.
from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from replica.common.files import check_writable, replace_file

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

__all__ = [
    "BAD_INPUT",
    "FAILED",
    "FILE",
    "INTERRUPTED",
    "BadInput",
    "Command",
    "Commands",
    "bar",
    "check_outputs",
    "completion",
    "group",
    "in_options",
    "interruptible",
    "json_option",
    "table",
    "terminal",
    "write",
    "write_json",
    "writing",
    "written",
]

#: Exit codes beside 0; 130 is what shells expect after Ctrl-C (128 + SIGINT).
FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
# "\b" keeps click from wrapping the paragraph that follows.
EXIT_CODES = """
\b
Exit codes: 0 done; 1 something could not be done or written; 2 a bad
argument, or data without an answer; 130 interrupted.
"""
#: A file to write, or "-". Whether it can be written is asked by `check_outputs`.
FILE = click.Path(readable=False, allow_dash=True)
#: What writing to a full disk, or a broken one, says.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
#: Clears the line of a bar, and shows the cursor that it hid.
RESTORED = b"\r\x1b[2K\x1b[?25h"
#: Shells that click can complete in.
SHELLS = ("bash", "zsh", "fish")
#: A space and a hyphen at which no line is broken.
SPACE, HYPHEN = "\N{NO-BREAK SPACE}", "\N{NON-BREAKING HYPHEN}"

Decorator = Callable[[Callable[..., Any]], Any]


# -------------------------------------------------------------------------------- the help


class _Formatter(click.HelpFormatter):
    """Breaks no line inside of "[default: 1]" or at the hyphen of a name."""

    def write_dl(self, rows: Iterable[tuple[str, str]], *spacing: int, **options: int) -> None:
        """Terms and what they mean."""
        super().write_dl([(term, _unbroken(text)) for term, text in rows], *spacing, **options)

    def write_text(self, text: str) -> None:
        """A paragraph."""
        super().write_text(_unbroken(text))

    def getvalue(self) -> str:
        """The page."""
        return super().getvalue().replace(SPACE, " ").replace(HYPHEN, "-")


def _unbroken(text: str) -> str:
    """Spaces in short brackets, and hyphens within words, as those at which no line ends."""
    text = re.sub(r"\[default: \(([^)]*)\)", r"[default: \1", text)  # click's mark of a word
    text = re.sub(r"\[[^]]{1,45}\]", lambda found: found[0].replace(" ", SPACE), text)
    return re.sub(r"(?<=\w)-(?=\w)", HYPHEN, text)


class _Context(click.Context):
    formatter_class = _Formatter


class Command(click.Command):
    """A command whose help breaks lines at words."""

    context_class = _Context


# ------------------------------------------------------------------------------ the group


class Commands(click.Group):
    """A group of commands, listed as they were added, that leaves quietly when interrupted."""

    context_class = _Context

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which one meets them."""
        return list(self.commands)

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run a command and exit; an interrupt or a full disk is a sentence, not a traceback."""
        if not options.get("standalone_mode", True):
            return super().main(*arguments, **options)
        output: Any = sys.stdout  # None where it was closed
        if output is not None and output.errors == "strict":
            output.reconfigure(errors="replace")  # rather "?" than no answer
        # A process of its own is guarded until its very end.
        with _guarded(for_good=not (arguments or "args" in options)):
            try:
                return super().main(*arguments, **options)
            except OSError as error:
                if error.filename is not None or error.errno not in FULL:
                    raise
                # Files are written within `writing`: it is the standard output that takes no more.
                # Given up, so that Python does not try again as it ends.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                click.echo(f"Error: cannot write the standard output: {error.strerror}", err=True)
                sys.exit(FAILED)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it does not let happen at once leaves here."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


def group(name: str, examples: str, kind: type[Commands] = Commands) -> Decorator:
    """Make a function, whose docstring says what for, a group of commands."""

    def decorate(function: Callable[..., Any]) -> Any:
        versioned = click.version_option(package_name="replica-learning", prog_name=name)(function)
        return click.group(
            name,
            cls=kind,
            epilog=examples + EXIT_CODES,
            context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
        )(versioned)

    return decorate


def completion(commands: Commands, name: str) -> click.Command:
    """The command that prints what a shell needs to complete the others."""

    @click.command(
        "completion",
        cls=Command,
        epilog=f"""\b
Examples:
  eval "$({name} completion bash)"  # a line for ~/.bashrc
  eval "$({name} completion zsh)"   # one for ~/.zshrc, after compinit
  {name} completion fish > ~/.config/fish/completions/{name}.fish
""",
    )
    @click.argument("shell", type=click.Choice(SHELLS))
    def command(shell: str) -> None:
        """Print the script by which a shell completes this command.

        Once the shell has read it, TAB completes commands, options, names and files.
        """
        from click.shell_completion import get_completion_class

        kind = get_completion_class(shell)
        assert kind is not None  # one of `SHELLS`
        variable = f"_{name}_COMPLETE".upper()
        click.echo(kind(commands, {}, name, variable).source())

    return command


# ------------------------------------------------------------------------------ interrupts


#: Those on the terminal.
_bars: list[Progress] = []


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """Ctrl-C where nothing is at stake: at once, whatever is being imported or computed.

    An exception would be raised in the middle of anything, and not everybody lets it pass: some
    imports do not, and a simulation takes it as the wish to see how far it is.
    """
    with contextlib.suppress(OSError):
        os.write(2, (RESTORED if _bars else b"") + b"Interrupted.\n")
    os._exit(INTERRUPTED)


@contextlib.contextmanager
def _handling(before: Any, handler: Any, *, for_good: bool = False) -> Iterator[None]:
    """Within this context Ctrl-C has another handler, where ``before`` is the one so far.

    Neither outside the main thread, where Python handles no signals, nor where it is ignored.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not before:
        yield
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        if not for_good:
            signal.signal(signal.SIGINT, before)


def _guarded(*, for_good: bool) -> contextlib.AbstractContextManager[None]:
    """Within this context Ctrl-C ends the process at once, in one line."""
    return _handling(signal.default_int_handler, _leave, for_good=for_good)


def interruptible() -> contextlib.AbstractContextManager[None]:
    """Within this context Ctrl-C is a KeyboardInterrupt, for what has to clean up after it."""
    return _handling(_leave, signal.default_int_handler)


# ---------------------------------------------------------------------------------- errors


class BadInput(click.ClickException):
    """One line on the standard error stream, without the usage text of a mistyped command."""

    exit_code = BAD_INPUT


def in_options(message: str, options: Mapping[str, str]) -> str:
    """The message in one line, with options, --lam, in place of the library's arguments, `lam`."""
    return re.sub(
        "`([^`]*)`", lambda found: options.get(found[1], found[0]), " ".join(message.split())
    )


# ---------------------------------------------------------------------------------- output

json_option = click.option(
    "--json",
    "json_to",
    is_flag=False,
    flag_value="-",
    type=FILE,
    metavar="[FILE]",
    help='Write JSON to the standard output, or to a file; nan is null, inf is "inf".',
)


@contextlib.contextmanager
def writing(name: str) -> Iterator[None]:
    """Around the writing of a file: why it cannot be written becomes a message."""
    try:
        with interruptible():
            yield
    except OSError as error:
        raise click.ClickException(f"cannot write {name}: {error.strerror or error}") from error


def check_outputs(*names: str | None) -> None:
    """Refuse files that cannot be written, before anything is computed."""
    for name in names:
        if name not in (None, "-"):
            with writing(str(name)):
                check_writable(str(name))


def write(text: str, name: str) -> None:
    """To a file, in one step, or to the standard output ("-")."""
    if name == "-":
        click.echo(text, nl=False)
        return
    with writing(name):
        replace_file(name, text)


def write_json(record: Mapping[str, Any], name: str) -> None:
    """A record without nan and infinities, to a file or to the standard output."""
    write(json.dumps(record, indent=2, allow_nan=False) + "\n", name)


def written(*names: str | None, note: str = "") -> None:
    """Say which files there are now."""
    for name in names:
        if name not in (None, "-"):
            click.echo(f"written: {name}{note}", err=True)


def terminal() -> Console:
    """Where tables go: no colour and no escape codes unless this is a terminal."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def table(
    console: Console,
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    wrapped: Collection[str],
) -> None:
    """A plain table; narrow terminals wrap the columns of words that are named, never digits."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for title in titles:
        table.add_column(title, no_wrap=title not in wrapped, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


@contextlib.contextmanager
def bar(*, bytes: bool = False) -> Iterator[Progress | None]:
    """A bar on the standard error stream, gone once it is over; None where that is no terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
    )

    found = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn() if bytes else MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,  # that may be a file
    )
    _bars.append(found)
    try:
        with found:
            yield found
    finally:
        _bars.pop()
