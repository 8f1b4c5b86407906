"""The `replica` command: a file for each of its commands."""

from replica.common.start import load

__all__ = ["main"]

main = load("replica.cli.group")
