"""The `deepnorm` command: a file for each of its commands."""

from deepnorm.cli.group import main

__all__ = ["main"]
