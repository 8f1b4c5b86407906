"""The Fisher-Rao norm: how much the predictions move when all weights grow together."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from deepnorm.norms.calls import tensors_in
from deepnorm.norms.classification import read_batches
from deepnorm.norms.trace import quiet
from replica.common.arguments import InvalidArgument

__all__ = ["log_fisher_rao"]


def log_fisher_rao(
    model: nn.Module, images: Tensor, labels: Tensor | None = None, *, batch: int = 1000
) -> float:
    """Ln of the Fisher-Rao norm of a classifier, eq. (N18).

    ||theta||^2 = E_x E_y <theta, grad_theta l(f(x), y)>^2 with the cross-entropy l; since
    <theta, grad f> = f' is the derivative of the scores when all parameters grow by one factor, it
    is E_x sum_y p_y (f'_y - sum_k p_k f'_k)^2, with p the softmax of the scores.

    Parameters
    ----------
    model : Module
        Maps images to one score a class; run in evaluation mode and left as it was.
    images : (n, ...) Tensor
        As the model takes them; the mean over x is over these.
    labels : (n,) Tensor of integers, optional
        Classes y to be taken in place of the mean over the model's own p (the empirical Fisher
        matrix).
    batch : int
        Images at a time.

    Returns
    -------
    float
        -inf if the predictions do not move.

    Raises
    ------
    ValueError
        If the arguments do not fit together, or an operator of the model has no second derivative.

    References
    ----------
    T. Liang, T. Poggio, A. Rakhlin, J. Stokes, AISTATS 2019.
    """
    some_labels = torch.zeros(len(images), dtype=torch.long) if labels is None else labels
    batches = read_batches(model, images, some_labels, batch)
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    total = 0.0
    with quiet(model), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        for inputs, truth in batches:
            try:
                f, moved = _moved(model, parameters, inputs)
            except (NotImplementedError, RuntimeError) as error:
                raise InvalidArgument("model", f"must have second derivatives: {error}") from error
            p = torch.softmax(f, -1)
            mean = (p * moved).sum(-1, keepdim=True)
            if labels is None:
                total += float((p * (moved - mean).square()).sum())
            else:
                total += float((moved.gather(1, truth[:, None]) - mean).square().sum())
    return 0.5 * math.log(total / len(images)) if total > 0 else -math.inf


def _moved(
    model: nn.Module, parameters: dict[str, Tensor], inputs: Tensor
) -> tuple[Tensor, Tensor]:
    """Scores, and their derivative by a common factor of all parameters.

    The derivative of <f, v> by the factor is linear in v, and its gradient by v is f'.
    """
    factor = torch.ones((), dtype=torch.float64, device=inputs.device, requires_grad=True)
    grown = {name: p * factor.to(p.dtype) for name, p in parameters.items()}
    scores = next(tensors_in(functional_call(model, grown, (inputs,))))
    v = torch.zeros_like(scores, requires_grad=True)
    (slope,) = torch.autograd.grad((scores * v).sum(), factor, create_graph=True)
    (moved,) = torch.autograd.grad(slope, v)
    return scores.detach().double(), moved.double()
