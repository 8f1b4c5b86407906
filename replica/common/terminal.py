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
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from replica.common import interruption
from replica.common.errors import InvalidArgument
from replica.common.files import check_writable, replace_file
from replica.common.start import starved
from replica.common.text import cut, printable

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "BAD_INPUT",
    "FAILED",
    "FILE",
    "BadInput",
    "Command",
    "Commands",
    "check_outputs",
    "completion",
    "group",
    "json_option",
    "refusal",
    "say",
    "table",
    "terminal",
    "unreadable",
    "write",
    "write_json",
    "writing",
    "written",
]

#: Exit codes beside 0 and that of an interruption.
FAILED, BAD_INPUT = 1, 2
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
#: What a system says that has no more disk, descriptors, memory or processes to give.
EXHAUSTED = (*FULL, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
#: Shells that click can complete in.
SHELLS = ("bash", "zsh", "fish")
#: Characters of a message: what anybody reads, whatever was given.
LONGEST_MESSAGE = 2000
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
        with interruption.leaving_at_once(for_good=not (arguments or "args" in options)):
            try:
                return super().main(*arguments, **options)
            except (MemoryError, ImportError, OSError) as error:
                _give_up(error)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it does not let happen at once leaves here."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(interruption.CODE)
        except click.ClickException as error:
            lines = cut(error.message, LONGEST_MESSAGE).split("\n")
            error.message = "\n".join(map(printable, lines))  # type: ignore[misc]
            raise


def _give_up(error: MemoryError | ImportError | OSError) -> NoReturn:
    """Say in one line that the system has nothing left; raise again what means something else."""
    reason = starved(error)
    if reason is None and isinstance(error, OSError) and error.errno in EXHAUSTED:
        reason = f"{error.strerror}" + (f": {error.filename}" if error.filename else "")
        if error.filename is None and error.errno in FULL:
            # Files are written within `writing`: it is the standard output that takes no more.
            # Given up, so that Python does not try again as it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            reason = f"cannot write the standard output: {error.strerror}"
    if reason is None:
        raise error
    with contextlib.suppress(OSError):
        os.write(2, f"Error: {printable(cut(reason))}\n".encode(errors="backslashreplace"))
    sys.exit(FAILED)


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


# ---------------------------------------------------------------------------------- errors


class BadInput(click.ClickException):
    """One line on the standard error stream, without the usage text of a mistyped command."""

    exit_code = BAD_INPUT


def refusal(error: ValueError, names: Mapping[str, str] | None = None) -> BadInput:
    """What the library refuses, in one line, with the option in place of its argument.

    Parameters
    ----------
    error : ValueError
    names : mapping of str to str, optional
        Parameters of the command, by the library's arguments, where the two are not the same.
    """
    message = str(error)
    if isinstance(error, InvalidArgument):
        option = _option((names or {}).get(error.argument, error.argument))
        if option is not None:
            message = f"{option} {error.rule}" + (f"; got {error.value}" if error.value else "")
    return BadInput(" ".join(message.split()))


def _option(name: str) -> str | None:
    """How a parameter of the running command is typed; None if it has none of this name."""
    context = click.get_current_context(silent=True)
    for parameter in () if context is None else context.command.params:
        if parameter.name == name:
            if isinstance(parameter, click.Option):
                return max(parameter.opts, key=len)
            return parameter.human_readable_name
    return None


def unreadable(error: OSError) -> click.ClickException:
    """Why a file of the user cannot be read; a system that has nothing left is no bad input."""
    reason = error.strerror or str(error)
    named = f"cannot read {error.filename}: " if error.filename else ""
    kind = click.ClickException if error.errno in EXHAUSTED else BadInput
    return kind(f"{named}{reason}")


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
        with interruption.interruptible():
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
            say(f"written: {name}{note}", err=True)


def say(text: str, *, err: bool = False) -> None:
    """One line; what a terminal would obey, in the name of a file or a key, becomes an escape."""
    click.echo(printable(text), err=err)


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
        table.add_row(*map(printable, row))
    console.print(table)
