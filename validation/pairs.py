"""The paper's own learning curves: five pairs of model and data set, averaged by its authors.

They are not part of this project. In a folder, named by the setting `VARIABLE` or the option
--data, `paper_curves/` holds a table MODEL_DATASET.csv with columns P, norm and test_error for
each pair, and beside it MODEL_DATASET.json with what the authors extracted from it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from replica.scaling import Analysis, Curves, analyse, read_curves
from validation.settings import PAIRS, VARIABLE, digest, folder

__all__ = ["PUBLISHED", "TABLES", "Exponents", "Pair", "by_recipe", "by_rule", "load"]

#: Pairs whose files agree with the published tables; the others were trained again later.
PUBLISHED = ("CNN_CIFAR10", "CNN_CIFAR100", "ResNet_MNIST", "ViT_MNIST")


@dataclass(frozen=True)
class Exponents:
    """What the paper prints for one pair: its Table 2, and the two columns of its Table 1."""

    gamma_1: float
    gamma_1_error: float
    gamma_2: float
    gamma_2_error: float
    gamma_pred: float
    gamma_meas: float
    sigma: float


#: Tables 2 and 1 of D'Amico, Bocchi and Negri (2025), all nine pairs, by title.
TABLES = {
    "CNN on MNIST": Exponents(0.46, 0.05, 1.94, 0.80, 0.88, 0.52, 0.38),
    "CNN on CIFAR-10": Exponents(0.21, 0.01, 1.32, 0.32, 0.28, 0.25, 0.07),
    "CNN on CIFAR-100": Exponents(0.112, 0.003, 1.44, 0.22, 0.16, 0.16, 0.03),
    "ResNet on MNIST": Exponents(1.15, 0.14, 0.50, 0.02, 0.57, 0.69, 0.08),
    "ResNet on CIFAR-10": Exponents(0.51, 0.02, 0.97, 0.09, 0.50, 0.54, 0.05),
    "ResNet on CIFAR-100": Exponents(0.29, 0.01, 1.17, 0.17, 0.34, 0.37, 0.05),
    "ViT on MNIST": Exponents(0.14, 0.01, 3.41, 0.11, 0.47, 0.54, 0.03),
    "ViT on CIFAR-10": Exponents(0.0105, 0.0003, 21.8, 3.3, 0.23, 0.20, 0.04),
    "ViT on CIFAR-100": Exponents(0.0053, 0.0002, 39.7, 14.2, 0.21, 0.11, 0.08),
}


@dataclass(frozen=True)
class Pair:
    """Curves of one pair, and what the authors extracted from them."""

    name: str
    curves: Curves
    saved: Mapping[str, Any]

    @property
    def title(self) -> str:
        """Model on data set."""
        model, data = self.name.split("_")
        return f"{model} on {data.replace('CIFAR', 'CIFAR-')}"

    @property
    def optimum(self) -> dict[float, float]:
        """The authors' lam_opt by P: the arithmetic mean over seeds."""
        return dict(zip(self.saved["P"], self.saved["mean_optimal_norm"], strict=True))


def load() -> dict[str, Pair]:
    """The pairs by name.

    Raises
    ------
    FileNotFoundError
        If the folder is not named, or files are missing from it.
    """
    path = folder()
    if path is None:
        raise FileNotFoundError(
            f"the paper's learning curves: name the folder that holds paper_curves/ by {VARIABLE}; "
            f"got {os.environ.get(VARIABLE)!r}"
        )
    return {
        name: Pair(
            name,
            read_curves(path / f"{name}.csv"),
            json.loads((path / f"{name}.json").read_text(encoding="utf-8")),
        )
        for name in PAIRS
    }


def by_recipe() -> dict[str, Analysis]:
    """The authors' recipe with their windows, by title."""
    return _analyses(digest(), recipe=True)


def by_rule() -> dict[str, Analysis]:
    """Windows by rule, errors from leaving out one P at a time, by title."""
    return _analyses(digest(), recipe=False)


@cache
def _analyses(_: str, recipe: bool) -> dict[str, Analysis]:
    """All pairs, once for each state of the files."""
    found = {}
    for pair in load().values():
        chosen = pair.saved["analysis"]
        found[pair.title] = (
            analyse(
                pair.curves,
                method="paper",
                window=tuple(chosen["window"]),
                gamma_1_from=chosen["gamma_1_from_P"],
                gamma_2_from=chosen["gamma_2_from_P"],
                optimum=pair.optimum,
            )
            if recipe
            else analyse(pair.curves)
        )
    return found
