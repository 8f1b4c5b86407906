"""What `deepnorm fit` reads: tables and logs, with the options that say what they hold."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from deepnorm.cli.common import pairs
from replica.common.errors import InvalidArgument

if TYPE_CHECKING:
    from replica.scaling import Curves

__all__ = ["in_a_shell", "is_of_runs", "option_names", "reading", "source_of", "tables"]

Command = TypeVar("Command", bound=Callable[..., Any])


def _mapping(ctx: click.Context, _: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    return pairs("NAME=COLUMN, such as norm=R", ctx, given)


OPTIONS = (
    click.option(
        "--map",
        "columns",
        multiple=True,
        callback=_mapping,
        metavar="NAME=COLUMN",
        help="Where a column has another name, as in norm=spectral_norm; may be repeated.",
    ),
    click.option("--percent", is_flag=True, help="Errors, or accuracies, are in percent."),
    click.option(
        "--accuracy/--no-accuracy",
        default=None,
        help="The column of errors holds accuracies, or does not.  [default: by its name]",
    ),
    click.option(
        "--quantity",
        type=click.Choice(["test_error", "loss"]),
        default="test_error",
        show_default=True,
        help="What the curves are of; a loss may exceed 1.",
    ),
    click.option("--drop-missing", is_flag=True, help="Leave out rows with gaps."),
    click.option(
        "--pattern",
        metavar="TEXT",
        help="How names of files or runs tell P and seed, as in 'P{P}/seed{seed}'.",
    ),
    click.option(
        "--max-gigabytes",
        type=click.FloatRange(min=0, min_open=True),
        default=0.5,
        show_default=True,
        metavar="GB",
        help="Largest file, when unpacked.",
    ),
    click.option(
        "--max-columns",
        type=click.IntRange(min=1),
        default=10_000,
        show_default=True,
        metavar="N",
        help="Most columns of a table.",
    ),
)


def reading(command: Command) -> Command:
    """The options that say what tables and logs hold."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def option_names() -> list[str]:
    """How the options of `reading` are typed, those of limits left out."""
    context = click.get_current_context()
    names = ("columns", "percent", "accuracy", "quantity", "drop_missing", "pattern")
    return [p.opts[0] for p in context.command.params if p.name in names]


def is_of_runs(paths: Sequence[str]) -> bool:
    """Whether it is the folder of a sweep: one with files of runs, or without any table."""
    if len(paths) != 1 or not os.path.isdir(paths[0]):
        return False
    from deepnorm.sweeps.files import holds_runs
    from replica.scaling import holds_tables

    return holds_runs(paths[0]) or not holds_tables(paths[0])


def tables(paths: Sequence[str], options: dict[str, Any]) -> Curves:
    """The learning curves of one file, of several, or of a folder of logs."""
    from replica.scaling import read_curves

    try:
        return read_curves(paths[0] if len(paths) == 1 else paths, **options)
    except InvalidArgument:
        raise
    except ValueError as error:
        raise ValueError(in_a_shell(str(error))) from error


def in_a_shell(message: str) -> str:
    """Of a hint for Python and for the shell, only that for the shell."""
    return re.sub(
        r"`?\b[a-z_]+=(?:\{[^{}]*\}|'[^']*'|True|False)`? \((`--[^`]*`)\)", r"\1", message
    )


def source_of(paths: Sequence[str]) -> str:
    """The name of a file and the digest of what it holds, which says more than its date."""
    import hashlib

    if len(paths) > 1 or os.path.isdir(paths[0]):
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        return f"{os.path.basename(os.path.normpath(paths[0]))}{more}"
    with open(paths[0], "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{os.path.basename(paths[0])}, SHA-256 {digest}"
