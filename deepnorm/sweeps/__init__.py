"""Sweeps: networks trained over P and seeds, whose records become learning curves.

``sweep(grid("cnn-small", "digits"), "runs")`` trains what is not yet there;
``read_runs("runs")`` gives the records as one table. Reading needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepnorm.sweeps.configuration import Run, grid
    from deepnorm.sweeps.files import Survey, read_result, read_runs, survey
    from deepnorm.sweeps.progress import Progress
    from deepnorm.sweeps.records import Divergence, Result
    from deepnorm.sweeps.sweeping import Summary, SweepInterrupted, sweep
    from deepnorm.sweeps.training import train

#: Where each name lives; imported when it is asked for, since some need torch and others do not.
_HOMES = {
    "Divergence": "records",
    "Progress": "progress",
    "Result": "records",
    "Run": "configuration",
    "Summary": "sweeping",
    "Survey": "files",
    "SweepInterrupted": "sweeping",
    "grid": "configuration",
    "read_result": "files",
    "read_runs": "files",
    "survey": "files",
    "sweep": "sweeping",
    "train": "training",
}

__all__ = [
    "Divergence",
    "Progress",
    "Result",
    "Run",
    "Summary",
    "Survey",
    "SweepInterrupted",
    "grid",
    "read_result",
    "read_runs",
    "survey",
    "sweep",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"deepnorm.sweeps.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'deepnorm.sweeps' has no attribute {name!r}")
