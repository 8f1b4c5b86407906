"""Entries of an array of problems that cannot be solved: a code each, and its sentence."""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import NDArray

from replica.common.arguments import InvalidArgument, Range, show

__all__ = ["Refusals"]


class Refusals:
    """Which entries were refused, why, and for which value.

    Parameters
    ----------
    shape : tuple of int
        The broadcast shape; a refusal of a single scalar raises at once.

    Attributes
    ----------
    code : (n,) array of int
        0 for entries that are fine, else the number of a pair in ``rules``, from 1.
    rules : list of (argument, rule)
        What was broken.
    value : (n,) array
        The offending value.
    """

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape
        size = math.prod(shape)
        self.code = np.zeros(size, dtype=np.int32)
        self.value = np.zeros(size)
        self.rules: list[tuple[str, str]] = []

    @property
    def bad(self) -> NDArray[np.bool_]:
        """Flat mask of the entries that were refused."""
        return self.code > 0

    def refuse(
        self,
        which: NDArray[np.intp],
        argument: str,
        rule: str,
        values: NDArray[np.float64],
    ) -> None:
        """Mark the flat entries ``which``, unless they are marked already.

        Raises
        ------
        InvalidArgument
            At once, if the problem is a single scalar.
        """
        if len(which) == 0:
            return
        if self.shape == ():
            raise InvalidArgument(argument, rule, show(values[0]))
        new = self.code[which] == 0
        self.rules.append((argument, rule))
        self.code[which[new]] = len(self.rules)
        self.value[which[new]] = values[new]

    def check(self, name: str, values: NDArray[np.float64], allowed: Range) -> None:
        """Refuse the entries of ``values`` that leave their range."""
        if len(values) == 1 and allowed.allows(float(values[0])):
            return
        good = allowed.holds(values)
        if not good.all():
            broken = np.flatnonzero(~good)
            self.refuse(broken, name, allowed.words, values[broken])

    def sentence(self, entry: int) -> str:
        """Why the flat entry was refused; empty if it was not."""
        if self.code[entry] == 0:
            return ""
        argument, rule = self.rules[self.code[entry] - 1]
        return f"`{argument}` {rule}; got {show(self.value[entry])}"

    def warn(self) -> None:
        """Warn of refused entries, for functions that return bare numbers without a status."""
        bad = np.flatnonzero(self.bad)
        if len(bad):
            warnings.warn(
                f"{len(bad)} of {len(self.code)} entries are nan: {self.sentence(int(bad[0]))}",
                RuntimeWarning,
                stacklevel=3,
            )
