"""`Curves`: learning curves that were checked."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replica.common.arguments import InvalidArgument, show
from replica.scaling.curves.words import marks

__all__ = ["Curves"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curves:
    """Learning curves, as `curves_from_table` or `read_curves` found them.

    Attributes
    ----------
    table : DataFrame
        One row for each record, by P, seed and `step` or `epoch`: `P`, `seed` (if the table
        has seeds: integers, or whatever names them), `step` and `epoch` (if given), `log_norm`
        (natural), `test_error`, `train_error` and `loss` (if given), and `used`: whether the norm
        exceeds every norm before it in the curve. Only these records are taken where the error is
        a function of the norm.
    averaged : bool
        There is one curve for each P: nothing is known of the spread over seeds.
    notes : tuple of str
        What was noticed, joined, left out or lost.
    quantity : str
        What the column `test_error` holds: "test_error", in [0, 1], or "loss", not negative and
        not bounded by 1.
    abscissa : str
        What `log_norm` holds: "norm", ln of the norm; "step", ln of the step or epoch, where the
        table has no norm; "none", zero, where each curve is a single record.
    """

    table: pd.DataFrame
    averaged: bool
    notes: tuple[str, ...]
    quantity: str = "test_error"
    abscissa: str = "norm"

    @property
    def along(self) -> str:
        """What the error is followed along: "norm", "step", "epoch"; empty where along nothing."""
        if self.abscissa == "step":
            return "epoch" if "epoch" in self.table and "step" not in self.table else "step"
        return "" if self.abscissa == "none" else self.abscissa

    @property
    def word(self) -> str:
        """What the curves are of, in one word: "error" or "loss"."""
        return "loss" if self.quantity == "loss" else "error"

    @cached_property
    def P(self) -> Array:
        """The distinct P, ascending, shape (m,)."""
        return _frozen(np.array(list(self._curves), dtype=np.float64))

    def of(self, P: float) -> list[tuple[Hashable, Array, Array]]:
        """Seed, ln(norm) and test error of every curve of one P, by seed.

        The seed is None where the curves came averaged. ln(norm) increases strictly: records
        whose norm does not exceed those before are left out. The arrays are read-only. ln(norm)
        and test error are what `abscissa` and `quantity` say.

        Raises
        ------
        ValueError
            If there is no such P.
        """
        try:
            return list(self._curves[float(P)])
        except KeyError:
            known = ", ".join(show(p) for p in self._curves)
            raise InvalidArgument("P", f"must be one of {known}", f"{show(P)}") from None

    @cached_property
    def _curves(self) -> dict[float, list[tuple[Hashable, Array, Array]]]:
        """The curves of each P, by increasing P."""
        used = self.table[self.table["used"]]
        P, x, error = (used[name].to_numpy(np.float64) for name in ("P", "log_norm", "test_error"))
        if self.averaged:
            seeds: list[Hashable] = [None] * len(used)
            begins = marks(P)
        else:
            seeds = used["seed"].tolist()
            begins = marks(P, pd.factorize(used["seed"])[0])
        starts = np.flatnonzero(begins).tolist()
        curves: dict[float, list[tuple[Hashable, Array, Array]]] = {}
        for start, stop in zip(starts, [*starts[1:], len(used)], strict=True):
            curve = (seeds[start], _frozen(x[start:stop]), _frozen(error[start:stop]))
            curves.setdefault(float(P[start]), []).append(curve)
        return curves


def _frozen(values: Array) -> Array:
    """The same array, read-only: it is handed out more than once."""
    values.flags.writeable = False
    return values
