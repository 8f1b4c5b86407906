"""The `deepnorm` command itself: what is common to its commands, and the list of them."""

from __future__ import annotations

from typing import Any

import click

from deepnorm.cli.common import INTERRUPTED, WORDS
from deepnorm.cli.fetch import fetch
from deepnorm.cli.fit import fit
from deepnorm.cli.norm import norm
from deepnorm.cli.sweep import sweep

__all__ = ["main"]

# "\b" keeps click from wrapping the paragraph that follows.
EXAMPLES = """\b
Examples:
  deepnorm sweep -o runs                         train on the 8x8 digits, three minutes
  deepnorm fit runs --report report.html         exponents and figures, in one file
  deepnorm fit curves.csv                        of your own learning curves
  deepnorm norm model.pt --model cnn --input-shape 1,28,28
"""


class _Commands(click.Group):
    """A group of commands that leaves quietly when interrupted."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words as they were typed, for the report."""
        ctx.meta[WORDS] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; Ctrl-C leaves without a traceback."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


@click.group(
    cls=_Commands,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)
@click.version_option(package_name="replica-learning", prog_name="deepnorm")
def main() -> None:
    """Norms of networks, and learning curves as a function of them."""


for command in (fit, norm, sweep, fetch):
    main.add_command(command)
