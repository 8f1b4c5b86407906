"""What learning curves are of, and what they are functions of: in words, and by a letter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replica.scaling import Analysis, Curves

__all__ = ["Quantities", "common", "of_analysis", "of_curves"]


@dataclass(frozen=True)
class Quantities:
    """The two axes of learning curves.

    Attributes
    ----------
    error : str
        What they are of: "test error", or "loss".
    abscissa : str
        What they are functions of: "norm", "step", "epoch", or "" where each is a single record.
    """

    error: str = "test error"
    abscissa: str = "norm"

    @property
    def short(self) -> str:
        """What they are of, in one word."""
        return self.error.split()[-1]

    @property
    def has_norm(self) -> bool:
        """Whether they are functions of the norm, so that there are exponents of it."""
        return self.abscissa == "norm"

    @property
    def along(self) -> str:
        """What they are functions of, within a sentence."""
        return {"norm": "norm", "": "norm"}.get(self.abscissa, f"{self.abscissa} of training")

    @property
    def letter(self) -> str:
        """The abscissa as it is written in front of "_opt"."""
        return "lam" if self.abscissa in ("norm", "") else self.abscissa

    @property
    def symbol(self) -> str:
        """The letter of the abscissa as it is set."""
        return r"\lambda" if self.abscissa in ("norm", "") else "t"

    @property
    def lowest(self) -> str:
        """What a power law of P is fitted to, as it is set: the optimum, where there are curves."""
        return r"\epsilon_{\rm opt}" if self.abscissa else r"\epsilon"


def of_analysis(analysis: Analysis) -> Quantities:
    """Those of the curves that were analysed."""
    return _of(analysis.settings)


def of_curves(curves: Curves) -> Quantities:
    """Those of a table of curves."""
    return _of({name: getattr(curves, name) for name in ("quantity", "abscissa", "along")})


def _of(known: Mapping[str, Any]) -> Quantities:
    """From what the table was read as; a test error against the norm where nothing is said."""
    along = {"norm": "norm", "none": ""}.get(known.get("abscissa", "norm"), "step")
    if along == "step" and known.get("along") == "epoch":
        along = "epoch"
    return Quantities("loss" if known.get("quantity") == "loss" else "test error", along)


def common(several: Iterable[Quantities]) -> Quantities:
    """Words for several sets of curves at once: "test error or loss" where they differ."""
    found = list(several)
    errors = " or ".join(dict.fromkeys(one.error for one in found))
    abscissae = " or ".join(dict.fromkeys(one.abscissa for one in found if one.abscissa))
    return Quantities(errors, abscissae)
