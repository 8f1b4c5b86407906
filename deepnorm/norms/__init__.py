"""Norms of PyTorch models: the spectral complexity of eq. (2), its variants, and others.

A model's forward pass is watched operator by operator (`calls`, `rules`, `patterns`, `trace`) and
becomes a `graph` of Lipschitz constants and linear `maps`, which `accounting` holds against the
model; `measure` finds the norms of the maps, and a convention makes one number of them. `weights`
reads files, of whose `pickles` nothing is run; `state` puts them into a model. docs/norms.md
derives the equations (N...).
"""

from deepnorm.norms.checks import UncountedLayerWarning
from deepnorm.norms.classification import margins
from deepnorm.norms.complexity import Complexity, spectral_complexity
from deepnorm.norms.conventions import CONVENTIONS, Convention
from deepnorm.norms.fisher import log_fisher_rao
from deepnorm.norms.others import other_norms
from deepnorm.norms.state import load_weights
from deepnorm.norms.tensors import tensor_norms
from deepnorm.norms.tracker import NormTracker
from deepnorm.norms.weights import Weights, read_weights

__all__ = [
    "CONVENTIONS",
    "Complexity",
    "Convention",
    "NormTracker",
    "UncountedLayerWarning",
    "Weights",
    "load_weights",
    "log_fisher_rao",
    "margins",
    "other_norms",
    "read_weights",
    "spectral_complexity",
    "tensor_norms",
]
