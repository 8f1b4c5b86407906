"""Captions: paragraphs set to a width, and numbers in a sentence."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "AUTHORS_CURVES",
    "CONVENTION",
    "EQUATION",
    "THEORY_ONLY",
    "listed",
    "paragraphs",
    "trainings",
]

WIDTH = 92

#: The factor 2, which every caption with a norm on its axis has to state.
CONVENTION = """
    lam is the norm in units of sqrt(N), for the
    loss log(1 + exp(-2 lam Delta))/lam; the textbook loss log(1 + exp(-z)) at weight norm
    sqrt(q N) has lam = sqrt(q)/2.
"""

#: For figures of curves that are not ours.
AUTHORS_CURVES = """
    Curves: the averages over seeds that the paper's authors published with their code; no seed of
    ours. The norm is the one that they logged, which is not eq. (2) of the paper: single
    exponents depend on that, the product gamma_1 gamma_2 much less.
"""

#: For figures without a simulation.
THEORY_ONLY = "Theory only: no random numbers, no seeds."

#: The printing error on the way to the saddle point.
EQUATION = """
    Eq. (12) of the paper lost a factor in print: (2 alpha/beta) int Dt H(-...) belongs in
    front of the logarithm. Eq. (13), from which everything here is computed, is right.
"""


def paragraphs(*texts: str) -> str:
    """Each text filled to the same width, an empty line between two."""
    filled = (
        textwrap.fill(" ".join(text.split()), WIDTH, break_on_hyphens=False) for text in texts
    )
    return "\n\n".join(filled) + "\n"


def trainings(about: Mapping[str, Any]) -> str:
    """Which trainings a figure of our own sweep shows."""
    settings = about["settings"]
    return f"""
        Trainings: {about["runs"]} runs of {about["model"]} on {about["dataset"]},
        {settings["steps"]} steps of {settings["optimizer"]}, by `{about["command"]}`
        ({about["seconds"] / 3600:.1f} core hours).
    """


def listed(values: ArrayLike, spec: str) -> str:
    """Numbers in one format, in a sentence: 1, 2 and 3."""
    words = [format(value, spec) for value in np.ravel(np.asarray(values)).tolist()]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
