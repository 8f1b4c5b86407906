"""What is asked of an analysis: its arguments, checked once where they enter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replica.common import arguments
from replica.common.arguments import InvalidArgument, quoted
from replica.scaling.curves import Curves
from replica.scaling.resampling import Progress

__all__ = ["Question", "own_optimum", "question", "smallest_P", "window_of_lines"]

Array = NDArray[np.float64]

#: Why nothing is said of the norm, by what the curves are functions of; `{0}` is what they are of.
NO_NORM = {
    "step": "the table has no norm; logged beside the {0}, it would tell the early law and what "
    "{0} it predicts (`deepnorm.recording.CurveRecorder` does that)",
    "none": "the table has one {0} for each P and seed, and no curves",
}

#: Whether the early law has a floor, by word; None tries both.
OFFSETS = {"auto": None, "yes": True, "no": False}
#: Repetitions below which they give no error bar.
FEWEST_DRAWS = 20
#: Repetitions unless told otherwise, where there are at most 50 values of P. A choice.
MOST_DRAWS = 1000


@dataclass(frozen=True)
class Question:
    """How the exponents are to be found.

    Attributes
    ----------
    averaged : bool
        The curves came averaged: errors from leaving out one P at a time.
    no_norm : str
        Why nothing can be said of the norm, where the table has none; empty otherwise.
    gamma_1_from, gamma_2_from : float or None
        The smallest P, or None for the rule.
    own : (m,) array or None
        ln of the user's own lam_opt.
    offset : bool or None
        Whether the early law has a floor; None tries both.
    bootstrap, seed : int
        Repetitions, and the seed of the random choice of seeds.
    progress : callable or None
    """

    averaged: bool
    no_norm: str = ""
    gamma_1_from: float | None = None
    gamma_2_from: float | None = None
    own: Array | None = None
    offset: bool | None = None
    bootstrap: int = 1000
    seed: int = 0
    progress: Progress | None = None


def repetitions(count: int) -> int:
    """Of a bootstrap over curves of ``count`` values of P: 1000, fewer for more than 50.

    n of them know an error bar to 1/sqrt(2 n): 5% are left by the fewest, 200.
    """
    return min(max(MOST_DRAWS * 50 // count, 200), MOST_DRAWS)


def question(
    curves: Curves,
    *,
    gamma_1_from: float | None,
    gamma_2_from: float | None,
    own: Array | None,
    offset: str,
    bootstrap: int | None,
    seed: int,
    progress: Progress | None,
) -> Question:
    """What `analyse` was asked by its default method; smallest P and optima are checked before."""
    if not arguments.is_one_of(offset, OFFSETS):
        raise InvalidArgument(
            "offset", f"must be one of {', '.join(OFFSETS)}", f"{arguments.quoted(offset)}"
        )
    if bootstrap is None:
        bootstrap = repetitions(len(curves.P))
    bootstrap, seed = arguments.whole("bootstrap", bootstrap), arguments.whole("seed", seed)
    if bootstrap < FEWEST_DRAWS:
        raise InvalidArgument(
            "bootstrap", f"must be at least {FEWEST_DRAWS} for an error bar", quoted(bootstrap)
        )
    if seed < 0:
        raise InvalidArgument("seed", "must be at least 0", quoted(seed))
    return Question(
        averaged=curves.averaged,
        no_norm=NO_NORM.get(curves.abscissa, "").format(curves.word),
        gamma_1_from=gamma_1_from,
        gamma_2_from=gamma_2_from,
        own=own,
        offset=OFFSETS[offset],
        bootstrap=bootstrap,
        seed=seed,
        progress=progress,
    )


def window_of_lines(window: tuple[float, float] | None) -> tuple[float, float]:
    """The range of lam/lam_opt for the paper's recipe, which has no rule for it."""
    if window is None:
        raise InvalidArgument("window", 'of lam/lam_opt is needed by method="paper", e.g. (0, 0.3)')
    ends = arguments.numbers("window", window)
    if ends.shape != (2,) or not 0 <= ends[0] < ends[1]:
        raise InvalidArgument(
            "window", "must be two numbers 0 <= low < high", f"{arguments.quoted(window)}"
        )
    low, high = ends.tolist()
    return low, high


def own_optimum(curves: Curves, optimum: Mapping[float, float] | None) -> Array | None:
    """Logarithms of the user's own lam_opt, by P."""
    if optimum is None:
        return None
    if not isinstance(optimum, Mapping):
        raise InvalidArgument("optimum", "must map each P to a norm", f"{type(optimum).__name__}")
    given = {
        arguments.number("optimum", P): arguments.number("optimum", norm)
        for P, norm in optimum.items()
    }
    missing = [f"{P:g}" for P in curves.P.tolist() if P not in given]
    if missing:
        raise InvalidArgument(
            "optimum", f"needs a norm for every P of the curves; it lacks P = {', '.join(missing)}"
        )
    for P, norm in given.items():
        if not (norm > 0 and np.isfinite(norm)):
            raise InvalidArgument(
                "optimum", "must be positive and finite", f"{norm!r} at P = {P:g}"
            )
    return np.log([given[P] for P in curves.P.tolist()])


def smallest_P(name: str, first: float | None, curves: Curves) -> float | None:
    """The smallest P that is to take part."""
    if first is None:
        return None
    number = arguments.number(name, first)
    if not number <= curves.P[-1]:
        raise InvalidArgument(
            name, f"must not lie above the largest P, {curves.P[-1]:g}", quoted(first)
        )
    return number
