"""The figures by name: each is one script that makes one claim.

A script computes numbers (`compute`), draws them (`draw`) and says what they
show (`caption`); the three are apart so that tests can check numbers. It may
add files (`attachments`) and object to what it found (`verdict`). Scripts that
simulate take `full`. Nothing heavy is imported before `load`.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol, cast

__all__ = ["ATTACHMENTS", "FIGURES", "OF_CURVES", "SIMULATED", "Script", "load"]

#: Name of the script -> its claim, which is the title of the files as well.
FIGURES: dict[str, str] = {
    "figure1": "The logistic loss at fixed norm runs from Hebb through the optimum "
    "to maximum stability",
    "figure2": "Learning curves at fixed norm collapse onto two exact limits",
    "figure3": "Early learning curves of deep networks against the norm are nearly one",
    "figure4": "Learning curves of deep networks collapse in units of their optimum",
    "figure5": "Two power laws in one: three regimes of the test error",
    "figure6": "As the norm grows the mean margin falls and the lower edge rises",
    "figure8": "The exponents of the paper, by its authors' recipe",
    "figure9": "The predicted exponent of the test error beside the measured one",
    "structured": "With power-law inputs the fixed-norm perceptron has the laws of deep networks",
    "phase_diagram": "Where the product law of exponents must hold, and where nine networks lie",
    "mnist_curves": "Early learning curves of a small CNN on MNIST under three norms",
    "mnist_collapse": "Its learning curves in units of their optimum",
    "mnist_elbows": "Its learning curves in units of their elbow",
    "mnist_training": "Its test error and its norm against training time",
    "mnist_fits": "Where its exponents come from",
    "mnist_exponents": "The predicted exponent of its test error beside the measured one",
    "mnist_tables": "Its exponents under three norms",
    "tables": "Published exponents come back, and depend on the choice of windows",
    "trajectory": "Training at free norm leaves the curve of fixed norm, and returns to it",
    "agreement": "Simulated perceptrons meet the theory within standard errors",
}

#: Files of a figure beside PDF, PNG and caption.
ATTACHMENTS: dict[str, tuple[str, ...]] = {
    "agreement": (".csv",),
    "mnist_tables": (".csv",),
    "phase_diagram": (".csv",),
    "tables": (".csv",),
}
#: Figures of the paper's own learning curves, which a folder of data has to hold.
OF_CURVES = ("figure3", "figure4", "figure8", "figure9", "tables")
#: Figures that simulate, with how long they take on two cores: as they are, and in the longer
#: form that they have, with the paper's sizes.
SIMULATED: dict[str, tuple[str, str]] = {
    "agreement": ("about two minutes", "some hours"),
    "figure1": ("a quarter of a minute", "minutes"),
    "figure6": ("some ten seconds", "two to three minutes"),
    "trajectory": ("about a minute", "tens of minutes"),
}


class Script(Protocol):
    """What the module of a figure offers."""

    def compute(self, *full: bool) -> Any:
        """The numbers, in a frozen dataclass; in full or not where it is `SIMULATED`."""

    def draw(self, data: Any) -> Any:
        """A matplotlib figure of them; call it within `validation.style.context`."""

    def caption(self, data: Any) -> str:
        """What is shown, with the numbers, in plain text."""

    def attachments(self, data: Any) -> dict[str, bytes]:
        """More files by suffix; where `ATTACHMENTS` names some."""

    def verdict(self, data: Any) -> str | None:
        """What is wrong with the numbers, if anything; optional."""


def load(name: str) -> Script:
    """The script of a figure; this imports matplotlib and the theory."""
    return cast(Script, importlib.import_module(f"{__name__}.{name}"))
