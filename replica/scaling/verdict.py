"""What is said of a collapse: the record, its verdict, and the verdict as a sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

__all__ = ["Between", "Collapse", "Verdict", "judge"]

#: Largest logarithm whose exponential is printed as a factor.
PRINTABLE = 100.0


class Verdict(StrEnum):
    """Whether curves of different P differ by less than seeds of equal P."""

    COLLAPSE = "collapse"
    NONE = "no collapse"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True)
class Between:
    """How much normalised curves differ between P, and between seeds of equal P: eq. (S11b).

    Attributes
    ----------
    residual, spread : float
        rms of ln(error) between P beyond the noise, and between seeds; nan where there is none.
    ratio, low, high : float
        Residual over spread, with its 95% interval.
    unresolved : float
        rms of what linear interpolation between records may be wrong by.
    """

    residual: float
    spread: float = math.nan
    ratio: float = math.nan
    low: float = math.nan
    high: float = math.nan
    unresolved: float = 0.0


@dataclass(frozen=True)
class Collapse:
    """How well the curves fall on one another in units of a point of theirs, eqs. (S9) to (S11d).

    Attributes
    ----------
    quality, quality_raw : float
        Houdayer and Hartmann's S of the rescaled curves and of the curves as they are: the mean
        squared distance to the others in units of the errors; about 1 for a collapse.
    rms, rms_raw : float
        The same without errors: root mean square distance in ln(error).
    from_P : float
        The smallest P that took part.
    master : DataFrame
        The master curve: `log_ratio` (ln of the norm over that of the point), `phi` (error over
        that of the point), `low`, `high` (95% band of the curves), `curves` (how many P reach
        that far).
    at : str
        The point: "optimum", "elbow" or "end".
    residual : float
        rms of ln(error) between curves of different P beyond their noise; nan where no two meet.
    residual_raw : float
        The same of the curves as they are.
    spread : float
        rms of ln(error) between seeds of equal P, each in units of its own point; nan where fewer
        than two P have three seeds.
    ratio, ratio_low, ratio_high : float
        residual/spread and its 95% interval, at least 0.
    verdict : Verdict
        Whether that interval lies below 1, above 1, or tells nothing.
    sentence : str
        The verdict with its numbers, or why there is none.
    """

    quality: float
    quality_raw: float
    rms: float
    rms_raw: float
    from_P: float
    master: pd.DataFrame
    at: str
    residual: float
    residual_raw: float
    spread: float
    ratio: float
    ratio_low: float
    ratio_high: float
    verdict: Verdict
    sentence: str


def judge(found: Between, raw: Between, seeds: int) -> tuple[Verdict, str]:
    """The verdict by eq. (S11d), and its sentence.

    ``raw`` is of the curves as they are; ``seeds`` the most that a P has.
    """
    reason = _unknown(found, raw, seeds)
    if reason:
        return Verdict.UNKNOWN, f"Cannot tell: {reason}"
    differ = f"curves of different P differ by {_size(found.residual)} rms beyond their noise"
    if found.low > 1:
        return Verdict.NONE, (
            f"No collapse: {differ}, {found.ratio:.2g} times (95%: {found.low:.2g} to "
            f"{found.high:.2g}) the spread between seeds of equal P"
        )
    return Verdict.COLLAPSE, (
        f"Collapse: {differ} (95%: at most {_size(found.high * found.spread)}), seeds of equal P "
        f"by {_size(found.spread)}"
    )


def _unknown(found: Between, raw: Between, seeds: int) -> str:
    """Why nothing can be said; empty where something can."""
    if math.isnan(found.residual):
        return "no two curves reach a common range in these units"
    differ = f"curves of different P differ by {_size(found.residual)} rms beyond"
    if seeds == 1:
        return f"there are no seeds to compare with; {differ} the roughness of the curves"
    if math.isnan(found.spread):
        return f"too few seeds, three at two or more P are needed; {differ} the noise of the means"
    if found.spread == 0:
        return f"seeds of equal P do not differ; {differ} that"
    if found.low > 1:
        if found.residual > found.unresolved:
            return ""
        return f"{differ} their noise, no more than records so far apart resolve"
    if not found.high < 1:
        return (
            f"curves of different P differ by {found.low:.2g} to {found.high:.2g} times (95%) the "
            f"spread between seeds of equal P, {_size(found.spread)} rms; more seeds would tell"
        )
    if raw.residual <= found.spread:
        return (
            f"seeds of equal P differ by {_size(found.spread)} rms, and the curves as they are by "
            f"no more than {_size(raw.residual)} between P: noise hides what rescaling could show"
        )
    return ""


def _size(rms: float) -> str:
    """A distance in ln(error): a percentage, or a factor where that is above 2."""
    if rms < math.log(2):
        return f"{100 * math.expm1(rms):.2g}%"
    return f"a factor {math.exp(min(rms, PRINTABLE)):.2g}"
