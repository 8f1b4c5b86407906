"""What refuses an argument, and how a message repeats what was given. Light: commands import it."""

from __future__ import annotations

__all__ = ["InvalidArgument", "quoted", "show"]

#: Characters of a value that a message repeats.
LONGEST_QUOTE = 200


class InvalidArgument(ValueError):
    """An argument that breaks its rule.

    Attributes
    ----------
    argument : str
        Its name.
    rule : str
        What it must satisfy, from "must" on, and the way out if there is one.
    value : str
        What was given, in words; may be empty.
    """

    def __init__(self, argument: str, rule: str, value: str = ""):
        super().__init__(f"`{argument}` {rule}" + (f"; got {value}" if value else ""))
        self.argument, self.rule, self.value = argument, rule, value

    def __reduce__(self) -> tuple[type[InvalidArgument], tuple[str, str, str]]:
        """So that it comes back from another process."""
        return type(self), (self.argument, self.rule, self.value)


def quoted(value: object) -> str:
    """What was given, as a message repeats it."""
    try:
        said = repr(value)
    except Exception:  # an integer of more than 4300 digits, or an object that has no words
        said = f"an object of type {type(value).__name__}"
    return said if len(said) <= LONGEST_QUOTE else said[:LONGEST_QUOTE] + "..."


def show(value: float) -> str:
    """The shortest digits that name this double; integers without a point."""
    return repr(float(value)).removesuffix(".0")
