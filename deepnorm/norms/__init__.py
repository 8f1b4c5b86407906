"""Norms of PyTorch models: the spectral complexity of eq. (2), its variants, and others.

A model's forward pass is watched function by function (`calls`, `rules`, `trace`) and becomes
a `graph` of Lipschitz constants and linear `maps`; `measure` finds the norms of the maps,
and a convention makes one number of them. docs/norms.md derives the equations (N...).
"""

from deepnorm.norms.checks import UncountedLayerWarning
from deepnorm.norms.classification import margins
from deepnorm.norms.complexity import Complexity, spectral_complexity
from deepnorm.norms.conventions import CONVENTIONS, Convention
from deepnorm.norms.others import other_norms
from deepnorm.norms.tracker import NormTracker

__all__ = [
    "CONVENTIONS",
    "Complexity",
    "Convention",
    "NormTracker",
    "UncountedLayerWarning",
    "margins",
    "other_norms",
    "spectral_complexity",
]
