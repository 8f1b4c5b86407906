"""Seeds that are unlike the others: which take part, which are left out, and why.

Each seed is compared with the median of the seeds of its P at equal norm, in units of their spread,
eq. (S2a); a zero with its neighbours, eq. (S2b). docs/scaling.md, section 1, gives the rules.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from replica.scaling.averages import (
    FEWEST_RECORDS,
    NARROWEST,
    Seed,
    common_grid,
    noise_of,
    on_grid,
    per_count,
)
from replica.scaling.curves import Curves
from replica.scaling.flags import Kind

__all__ = ["Remark", "Sample", "take"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: A median absolute deviation times this is the standard deviation of normal variables.
NORMAL = 1.4826
#: Standard deviations between seeds from which a seed counts as another kind of curve, and the part
#: of the fall of ln(error) that its error has to be off by as well. Choices.
FAR, PART_OF_FALL, LEAST_OFF, MOST_OFF = 6.0, 0.25, 0.05, 0.3
#: Neighbouring records of a seed that have to be that far off; fewer are spikes.
RUN = 3
#: A seed stays at chance if its ln(error) falls by less than this part of the others'.
NO_FALL = 0.2
#: The fall of ln(error) of seeds that learn is this quantile over the seeds of a P. A choice.
USUAL = 0.75
#: A fall of ln(error) by less than this is none that a seed could miss.
SOME_FALL = 0.3
#: Parts of the others' range of ln(norm) by which a seed that ends early or starts late is short.
SHORT = 0.15
#: ln of the probability of a zero beside its neighbours from which it is no count: 1e-6.
NO_COUNT = 14.0
#: Seeds below which nobody can say which of them is the odd one.
FEWEST = 3


@dataclass(frozen=True)
class Remark:
    """One seed, or records of it, unlike the others.

    Attributes
    ----------
    P : float
    seed : hashable
    kind : Kind
    used : bool
        Whether the seed takes part all the same.
    text : str
        What was seen.
    """

    P: float
    seed: Hashable
    kind: Kind
    used: bool
    text: str


@dataclass(frozen=True, eq=False)
class Sample:
    """The curves that take part.

    Attributes
    ----------
    curves : Curves
        All of them.
    remarks : tuple of Remark
    cleaned : mapping from P to its curves
        Without the records left out; seeds left out are among them.
    """

    curves: Curves
    remarks: tuple[Remark, ...]
    cleaned: dict[float, list[Seed]]

    @property
    def P(self) -> Array:
        """The distinct P, ascending."""
        return self.curves.P

    @property
    def quantity(self) -> str:
        """What the curves are of."""
        return self.curves.quantity

    @cached_property
    def _out(self) -> set[tuple[float, Hashable]]:
        return {(r.P, r.seed) for r in self.remarks if not r.used}

    def of(self, P: float) -> list[Seed]:
        """Seed, ln(norm) and error of every curve that takes part, without the records left out."""
        return [seed for seed in self.cleaned[P] if (P, seed[0]) not in self._out]

    def turned(self, P: float, name: Hashable) -> list[Seed]:
        """The same with one seed taken out, or put in where it was left out."""
        inside = (P, name) not in self._out
        return [
            seed
            for seed in self.cleaned[P]
            if (seed[0] != name if inside else seed[0] == name or (P, seed[0]) not in self._out)
        ]


def take(curves: Curves, *, robust: bool = True) -> Sample:
    """Judge the seeds of every P; ``robust=False`` leaves none out, but says what it sees.

    Too short a curve takes no part either way. Where more than half of the seeds of a P would be
    left out they are not the odd ones, and all stay.
    """
    cleaned = {P: curves.of(P) for P in curves.P.tolist()}
    remarks = []
    for P, seeds in cleaned.items():
        for k, seed in enumerate(seeds):
            good, found = _zeros(P, seed)
            remarks += found
            if robust and found:
                seeds[k] = seed[0], seed[1][good], seed[2][good]
    if curves.averaged or curves.abscissa == "none":
        return Sample(curves, tuple(remarks), cleaned)
    fit = {P: [seed for seed in seeds if _long_enough(seed)] for P, seeds in cleaned.items()}
    spread = _spread(curves, list(fit.values()))
    for P, seeds in cleaned.items():
        if not fit[P]:
            continue  # what is wrong with all of them is said where they are averaged
        short = [seed for seed in seeds if not _long_enough(seed)]
        found = [
            Remark(P, name, Kind.TOO_SHORT, False, _shortness(x, curves.along))
            for name, x, _ in short
        ]
        found += _of_range(P, fit[P], curves.along)
        unlike, spikes = _unlike(P, fit[P], spread, curves)
        if not robust or 2 * len([r for r in unlike if not r.used]) > len(fit[P]):
            unlike = [replace(remark, used=True) for remark in unlike]
        elif spikes:
            cleaned[P] = [
                (name, x[spikes[name]], e[spikes[name]]) if name in spikes else (name, x, e)
                for name, x, e in seeds
            ]
        remarks += found + unlike
    return Sample(curves, tuple(remarks), cleaned)


# ---------------------------------------------------------------------------- one curve by itself


def _zeros(P: float, seed: Seed) -> tuple[Mask, list[Remark]]:
    """Which records of a curve are counts, and what is said of zeros that are none, eq. (S2b).

    The smallest step between the errors of a curve is taken for one wrong answer.
    """
    name, _, error = seed
    good = np.ones(len(error), dtype=np.bool_)
    zero, above = np.flatnonzero(error == 0), np.flatnonzero(error > 0)
    if len(zero) == 0 or len(above) < RUN:
        return good, []
    answer = max(float(np.diff(np.unique(error)).min()), np.finfo(np.float64).eps)
    place = np.searchsorted(above, zero)
    left = np.where(place > 0, error[above[np.maximum(place - 1, 0)]], np.inf)
    right = np.where(place < len(above), error[above[np.minimum(place, len(above) - 1)]], np.inf)
    near = np.minimum(left, right)
    bad = near > NO_COUNT * answer
    if not bad.any():
        return good, []
    good[zero[bad]] = False
    records = "a record is" if bad.sum() == 1 else f"{bad.sum()} records are"
    text = f"{records} 0 beside {near[bad].min():.3g}, as a failed evaluation writes it"
    return good, [Remark(P, name, Kind.ZERO, True, text)]


def _long_enough(seed: Seed) -> bool:
    """Whether a curve has enough records, over some range of the norm."""
    x = seed[1]
    if len(x) < FEWEST_RECORDS:
        return False
    return bool(x[-1] - x[0] > NARROWEST * max(1.0, abs(x[0]), abs(x[-1])))


def _shortness(x: Array, along: str) -> str:
    if len(x) < FEWEST_RECORDS:
        return f"has {len(x)} records at increasing {along}; {FEWEST_RECORDS} are needed"
    return f"has a {along} that hardly changes"


# ------------------------------------------------------------------------------ beside the others


def _of_range(P: float, seeds: Sequence[Seed], along: str) -> list[Remark]:
    """Seeds that end before, or start after, most of the others by a part of their range."""
    if len(seeds) < FEWEST - 1:
        return []
    first = np.array([x[0] for _, x, _ in seeds])
    last = np.array([x[-1] for _, x, _ in seeds])
    begin, end = float(np.median(first)), float(np.median(last))
    if len(seeds) < FEWEST:
        begin, end = float(first.min()), float(last.max())
    width = end - begin
    if not width > 0:
        return []
    found = []
    for (name, *_), low, high in zip(seeds, first.tolist(), last.tolist(), strict=True):
        if end - high > SHORT * width:
            part = max(high - begin, 0.0) / width
            text = f"ends at {part:.0%} of the others' range of ln({along})"
            found.append(Remark(P, name, Kind.ENDS_EARLY, True, text))
        if low - begin > SHORT * width:
            text = f"starts at {(low - begin) / width:.0%} of the others' range of ln({along})"
            found.append(Remark(P, name, Kind.STARTS_LATE, True, text))
    return found


def _spread(curves: Curves, groups: Sequence[Sequence[Seed]]) -> Array:
    """The two terms of the noise between seeds, eq. (S2), by medians: odd seeds do not count."""
    errors, scatter = [], []
    for seeds in groups:
        if len(seeds) < FEWEST:
            continue
        members = on_grid(common_grid(seeds), seeds)
        middle = _median(members)
        off = _median(np.abs(members - middle))
        known = (middle > 0) & (np.count_nonzero(np.isfinite(members), axis=0) >= FEWEST)
        # the median of few distances is low, by about 0.8/n of itself
        size = NORMAL / (1 - 0.8 / len(seeds)) * off[known] / middle[known]
        errors.append(middle[known])
        scatter.append(size**2)
    return noise_of(errors, scatter, curves.quantity) if errors else np.full(2, np.nan)


def _unlike(
    P: float, seeds: Sequence[Seed], spread: Array, curves: Curves
) -> tuple[list[Remark], dict[Hashable, Mask]]:
    """Seeds that do not learn, jump or stay apart; and the good records of those with spikes."""
    found: list[Remark] = []
    spikes: dict[Hashable, Mask] = {}
    falls = np.array([_fall(e) for _, _, e in seeds])
    usual = float(np.quantile(falls, USUAL))
    grid = common_grid(seeds)
    learnt = falls > NO_FALL * usual
    members = on_grid(grid, seeds)
    middle = _median(members[learnt])
    if not np.isfinite(middle).any():
        middle = _median(members)
    middle = _filled(grid, middle)
    for (name, x, e), fall in zip(seeds, falls.tolist(), strict=True):
        inside = (x >= grid[0]) & (x <= grid[-1])
        expected = np.interp(x, grid, middle)
        if usual > SOME_FALL and fall < NO_FALL * _fall(expected[inside]):
            text = f"stays at chance: its {curves.word} falls by {1 - np.exp(-fall):.0%}"
            text += f", that of others by {1 - np.exp(-usual):.0%}"
            found.append(Remark(P, name, Kind.AT_CHANCE, False, text))
            continue
        if len(seeds) < FEWEST or not np.isfinite(spread).all():
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            # in parts of the error, not of its logarithm: few counts have a long tail below there
            off = np.abs(e / expected - 1)
            noise = spread[0] + spread[1] * per_count(expected, curves.quantity)
        least = min(max(PART_OF_FALL * usual, LEAST_OFF), MOST_OFF)
        # a count of zero has its own rule
        far = inside & (e > 0) & (off > np.maximum(FAR * np.sqrt(noise), least))
        if not far.any():
            continue
        first, longest = _longest_run(far)
        if longest < RUN:
            count = int(far.sum())
            text = f"{'a record lies' if count == 1 else f'{count} records lie'} far off the others"
            text += f": {e[far][0]:.3g} where they have {expected[far][0]:.3g}"
            found.append(Remark(P, name, Kind.SPIKE, True, text))
            spikes[name] = ~far
        elif first > len(x) / 4:
            text = f"leaves the others at ln({curves.along}) = {x[first]:.4g}, by a factor "
            text += f"{(e[far] / expected[far])[np.argmax(off[far])]:.3g}"
            found.append(Remark(P, name, Kind.JUMPS, False, text))
        else:
            text = f"stays apart from the others, by a factor {np.median((e / expected)[far]):.3g}"
            found.append(Remark(P, name, Kind.APART, False, text))
    return found, spikes


def _filled(grid: Array, values: Array) -> Array:
    """Values on a grid with gaps interpolated: where no seed that learns has records."""
    known = np.isfinite(values)
    return values if known.all() or not known.any() else np.interp(grid, grid[known], values[known])


def _median(members: Array) -> Array:
    """Median over the seeds that are there; nan where none is."""
    there = np.isfinite(members).any(axis=0)
    result = np.full(members.shape[1], np.nan)
    if there.any():
        result[there] = np.nanmedian(members[:, there], axis=0)
    return result


def _fall(error: Array) -> float:
    """By how much ln(error) falls from its early records to its lowest."""
    error = error[error > 0]
    if len(error) < RUN:
        return 0.0
    return float(np.log(np.median(error[:RUN]) / np.sort(error)[:RUN].max()))


def _longest_run(marks: Mask) -> tuple[int, int]:
    """First place and length of the longest run of marks."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marks.astype(np.int8), [0]])))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    best = int(np.argmax(lengths))
    return int(starts[best]), int(lengths[best])
