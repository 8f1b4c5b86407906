"""``python -m validation`` is the command of `validation.cli`."""

from replica.common.start import load

__all__ = ["main"]

main = load("validation.cli")

if __name__ == "__main__":
    main(prog_name="python -m validation")
