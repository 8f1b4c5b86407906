"""What the commands of `replica` share: their options, their numbers, what the library refuses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from replica.common.terminal import refusal

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["alpha_option", "convert", "letters", "library", "number", "teacher_options"]

#: Digits in tables: what a double holds, up to its last bit.
DIGITS = 15
Command = Callable[..., None]

alpha_option = click.option(
    "--alpha", type=float, required=True, metavar="A", help="Examples per dimension P/N; positive."
)


def teacher_options(command: Command) -> Command:
    """The options of a noisy teacher."""
    flip = click.option(
        "--label-flip",
        type=float,
        default=0.0,
        show_default=True,
        metavar="P",
        help="Probability that a label is inverted, in [0, 0.5].",
    )
    noise = click.option(
        "--label-noise",
        type=float,
        default=0.0,
        show_default=True,
        metavar="S",
        help="Standard deviation of noise on the teacher's field; at least 0.",
    )
    return flip(noise(command))


@contextlib.contextmanager
def library() -> Iterator[None]:
    """Around calls of the library: what it refuses or cannot do becomes a message."""
    from replica.solution import ConvergenceError

    try:
        yield
    except ValueError as error:
        raise refusal(error, {"digits": "certify"}) from error
    except ConvergenceError as error:
        raise click.ClickException(" ".join(str(error).split())) from error


def convert(value: Any) -> Any:
    """JSON has neither nan nor infinities: null, "inf" and "-inf" stand for them."""
    if isinstance(value, dict):
        return {name: convert(part) for name, part in value.items()}
    if isinstance(value, float) and value - value != 0:
        return None if value != value else str(value)
    return value


def letters(console: Console) -> Callable[[str, str], str]:
    """Chooses Greek, or plain letters where the output cannot show it."""

    def choose(greek: str, plain: str) -> str:
        try:
            greek.encode(console.encoding)
        except (UnicodeEncodeError, LookupError):
            return plain
        return greek

    return choose


def number(value: float, digits: int = DIGITS) -> str:
    """So many digits, without zeros at the end."""
    return f"{value:.{digits}g}"
