"""The `deepnorm` command itself: what is common to its commands, and the list of them."""

from __future__ import annotations

from typing import Any

import click

from deepnorm.cli.common import INTERRUPTED, WORDS
from deepnorm.cli.fit import fit

__all__ = ["main"]

# "\b" keeps click from wrapping the paragraph that follows.
EXAMPLES = """\b
Examples:
  deepnorm fit curves.csv                        exponents on the terminal
  deepnorm fit curves.csv --report report.html   with figures, in one file
  deepnorm fit curves.csv --json -               every number, for a script
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


main.add_command(fit)
