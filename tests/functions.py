"""Functions as modules, and what their graphs and Jacobians say; for the tests of norms."""

import math

import torch
from torch import nn

from deepnorm.norms.measure import logs, sigma_cold
from deepnorm.norms.trace import named_tensors, trace


class Lambda(nn.Module):
    """A function as a module, with parameters and modules to go with it."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, nn.Parameter(part) if isinstance(part, torch.Tensor) else part)

    def forward(self, *args, **kwargs):
        return self.function(self, *args, **kwargs)


def traced(module, given):
    """The graph of a module in double precision, and ln sigma of its matrices."""
    module.double().eval()
    graph = trace(module, given)
    tensors = named_tensors(module)
    return graph, logs([sigma_cold(use.map, use.weight(tensors)).value for use in graph.uses])


def gain(module, given):
    """G of a module in which nothing is unknown."""
    graph, log_sigma = traced(module, given)
    assert graph.unknown == []
    return math.exp(graph.gains(log_sigma).total)


def jacobian(function, x):
    """The matrix of all derivatives at x, of all outputs."""
    found = torch.autograd.functional.jacobian(function, x)
    parts = found if isinstance(found, tuple) else (found,)
    return torch.cat([part.reshape(-1, x.numel()) for part in parts])


def largest(matrix):
    """Its largest singular value."""
    return float(torch.linalg.matrix_norm(matrix.detach().double(), 2))
