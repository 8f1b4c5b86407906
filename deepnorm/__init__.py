"""Norms of networks, trainings recorded against them, and the exponents of their learning curves.

=====================  ==============================================================
`deepnorm.norms`       the norm of any PyTorch model, layer by layer (needs torch)
`deepnorm.networks`    the paper's networks and small ones (needs torch)
`deepnorm.datasets`    images from their standard files (needs torch)
`deepnorm.sweeps`      trainings over P and seeds (reading their files needs no torch)
`deepnorm.recording`   learning curves recorded while a network of yours trains (needs torch)
`deepnorm.figures`     the paper's figures as functions of analyses
`deepnorm.report`      an analysis as words, JSON, and a page
=====================  ==============================================================

The names below are imported when they are asked for. torch is an optional dependency:
``pip install "replica-learning[deep]"``.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as for type checkers, without an import of typing: this runs first of all
if TYPE_CHECKING:
    from typing import Any

    from deepnorm.norms import (
        Complexity,
        NormTracker,
        log_fisher_rao,
        margins,
        other_norms,
        spectral_complexity,
    )
    from deepnorm.recording import CurveRecorder
    from deepnorm.sweeps import Run, grid, read_runs, sweep

#: Where each name lives.
_HOMES = {
    "Complexity": "norms",
    "CurveRecorder": "recording",
    "NormTracker": "norms",
    "Run": "sweeps",
    "grid": "sweeps",
    "log_fisher_rao": "norms",
    "margins": "norms",
    "other_norms": "norms",
    "read_runs": "sweeps",
    "spectral_complexity": "norms",
    "sweep": "sweeps",
}

__all__ = [
    "Complexity",
    "CurveRecorder",
    "NormTracker",
    "Run",
    "grid",
    "log_fisher_rao",
    "margins",
    "other_norms",
    "read_runs",
    "spectral_complexity",
    "sweep",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'deepnorm' has no attribute {name!r}")
    try:
        return getattr(import_module(f"deepnorm.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ModuleNotFoundError(
            f'deepnorm.{name} needs torch: pip install "replica-learning[deep]"', name="torch"
        ) from error
