"""The `replica` command: a file for each of its commands."""

try:
    from replica.cli.group import main
except KeyboardInterrupt:  # while it is being imported: no traceback for that either
    raise SystemExit(130) from None

__all__ = ["main"]
