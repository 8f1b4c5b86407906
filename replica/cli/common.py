"""What the commands of `replica` share: their options, their numbers, what the library refuses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from replica.common.terminal import refusal

if TYPE_CHECKING:
    from rich.console import Console

    from replica.inputs import Inputs

__all__ = [
    "alpha_option",
    "clouds_have_no_teacher",
    "convert",
    "count_option",
    "headline",
    "letters",
    "library",
    "number",
    "rounded",
    "teacher_options",
]

#: Digits in tables: what a double holds, up to its last bit.
DIGITS = 15
Command = Callable[..., None]

alpha_option = click.option(
    "--alpha", type=float, required=True, metavar="A", help="Examples per dimension P/N; positive."
)
#: The same where the inputs may have structure.
count_option = click.option(
    "--alpha",
    type=float,
    required=True,
    metavar="A",
    help="Examples per dimension P/N; their number P where the inputs count modes. Positive.",
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


def rounded(error: float) -> str:
    """An error, of which two digits are enough."""
    return number(error, 2)


def headline(
    at: dict[str, str],
    asked: dict[str, Any],
    inputs: Inputs,
    letter: Callable[[str, str], str],
    alpha: float,
) -> str:
    """The problem in one line: "Logistic loss at alpha = 5, ..., labels of a noiseless teacher".

    Parameters
    ----------
    at : dict of str to str
        What else is given, by its symbol.
    asked : dict
        The options of the inputs and of the labels.
    inputs : Inputs
        What the option means.
    letter : callable
        Of `letters`.
    alpha : float
    """
    from replica.inputs import Clusters, Isotropic

    count = letter("α", "alpha") if inputs.nodes.density else "P"
    given = [f"{name} = {value}" for name, value in ({count: number(alpha)} | at).items()]
    if not isinstance(inputs, Isotropic):
        given.append(f"inputs {asked['inputs']}")
    if isinstance(inputs, Clusters):
        given.append(f"labels of the clusters, a share {number(inputs.positive)} positive")
    elif asked.get("storage"):
        given.append("random labels")
    elif asked["label_flip"] or asked["label_noise"]:
        given.append("labels of a noisy teacher")
        if asked["label_flip"]:
            given.append(f"flipped with probability {number(asked['label_flip'])}")
        if asked["label_noise"]:
            given.append(f"field noise {number(asked['label_noise'])}")
    else:
        given.append("labels of a noiseless teacher")
    return f"Logistic loss at {', '.join(given)}"


def clouds_have_no_teacher(inputs: Inputs, asked: dict[str, Any]) -> None:
    """Refuse options of a teacher, or random labels, beside clusters.

    Raises
    ------
    UsageError
    """
    from replica.inputs import Clusters

    if isinstance(inputs, Clusters) and any(
        asked.get(name) for name in ("storage", "label_flip", "label_noise")
    ):
        raise click.UsageError(
            "clusters bring their own labels: leave out --storage, --label-flip and --label-noise"
        )
