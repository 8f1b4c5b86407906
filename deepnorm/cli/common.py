"""What the commands of `deepnorm` share: names that complete, and what the library refuses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from replica.common.terminal import refusal, unreadable

__all__ = [
    "CONVENTIONS",
    "FETCHED",
    "MODELS",
    "WORDS",
    "Names",
    "Suggested",
    "drawing_quietly",
    "library",
    "pairs",
]

#: As in `deepnorm.datasets`, `deepnorm.networks` and `deepnorm.norms`, which would import torch;
#: a test holds them together.
FETCHED = ("mnist", "fashion-mnist", "cifar10", "cifar100")
MODELS = (
    "cnn",
    "cnn-cifar100",
    "cnn-small",
    "resnet",
    "resnet-mnist",
    "resnet-cifar100",
    "resnet-small",
    "vit",
    "vit-mnist",
    "vit-cifar100",
    "vit-small",
)
CONVENTIONS = (
    *("eq2", "bartlett", "cnn-paper", "resnet-paper", "vit-paper"),
    *("l1-paper", "frobenius-paper", "sum-21-paper", "sigma-product-paper"),
)
#: Packages that not every installation has, and the extra that brings them.
OPTIONAL = {
    "distributed": "dask",
    "pyarrow": "parquet",
    "safetensors": "deep",
    "sklearn": "deep",
    "submitit": "slurm",
    "torch": "deep",
}
#: Where the words of the command line are kept for a report.
WORDS = "deepnorm.words"


# ---------------------------------------------------------------------- what one may type


class Suggested(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5 only
    """Text, for which a shell suggests some."""

    name = "text"

    def __init__(self, suggestions: Sequence[str]) -> None:
        self._suggestions = suggestions

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[Any]:
        """The suggestions that begin like it; after a comma, the same of the last word."""
        from click.shell_completion import CompletionItem

        done, comma, word = incomplete.rpartition(",")
        return [
            CompletionItem(f"{done}{comma}{name}")
            for name in self._suggestions
            if name.startswith(word)
        ]


class Names(Suggested):
    """One or several of the suggestions, with commas; a tuple."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Split, and refuse what is none of them."""
        names = tuple(value.split(",")) if isinstance(value, str) else tuple(value)
        for name in names:
            if name not in self._suggestions:
                self.fail(f"must be among {', '.join(self._suggestions)}; got {name!r}", param, ctx)
        return names


def pairs(example: str, ctx: click.Context, given: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE, ... as a dictionary."""
    found: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise click.BadParameter(f"must be {example}; got {pair!r}", ctx)
        if name in found:
            raise click.BadParameter(f"maps `{name}` twice", ctx)
        found[name] = value
    return found


# --------------------------------------------------------------------- what goes wrong


@contextlib.contextmanager
def library(names: Mapping[str, str] | None = None, *, files: bool = True) -> Iterator[None]:
    """Around calls of the library: what it refuses becomes a message.

    Parameters
    ----------
    names : mapping of str to str, optional
        Parameters of the command, by the library's arguments, where the two are not the same.
    files : bool
        A file that cannot be read becomes one too.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        raise click.ClickException(
            f'{error.name} is not installed: pip install "replica-learning[{OPTIONAL[error.name]}]"'
        ) from error
    except ImportError as error:
        raise click.ClickException(" ".join(str(error).split())) from error
    except ValueError as error:
        raise refusal(error, names) from error
    except OSError as error:
        if not files:
            raise
        raise unreadable(error) from error


def drawing_quietly() -> None:
    """Spare those without a home folder matplotlib's advice about where it keeps its fonts."""
    import logging

    logging.getLogger("matplotlib").setLevel(logging.ERROR)
