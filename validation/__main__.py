"""``python -m validation`` is the command of `validation.cli`."""

try:
    from validation.cli import main
except KeyboardInterrupt:  # while it is being imported: no traceback for that either
    raise SystemExit(130) from None

__all__ = ["main"]

if __name__ == "__main__":
    main(prog_name="python -m validation")
