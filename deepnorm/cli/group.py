"""The `deepnorm` command itself: the list of its commands."""

from __future__ import annotations

import click

from deepnorm.cli.common import WORDS
from deepnorm.cli.fetch import fetch
from deepnorm.cli.fit import fit
from deepnorm.cli.norm import norm
from deepnorm.cli.sweep import sweep
from replica.common.terminal import Commands, completion, group

__all__ = ["main"]

EXAMPLES = """\b
Examples:
  deepnorm sweep -o runs                  # train on the 8x8 digits, a minute
  deepnorm fit runs --report report.html  # exponents and figures, in one file
  deepnorm fit curves.csv                 # of your own learning curves
  deepnorm norm weights.pt --model cnn --input-shape 1,28,28
"""


class _Commands(Commands):
    """Keeps the words as they were typed, for the report."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[WORDS] = list(args)
        return super().parse_args(ctx, args)


@group("deepnorm", EXAMPLES, _Commands)
def main() -> None:
    """Measure norms of networks, and learning curves as a function of them.

    A sweep trains, a fit says what the learning curves tell; either works without the other.
    """


for command in (sweep, fit, norm, fetch, completion(main, "deepnorm")):
    main.add_command(command)
