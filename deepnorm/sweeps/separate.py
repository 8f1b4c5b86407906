"""One member, trained as everybody trains a network."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from deepnorm.sweeps.members import Member, build_optimizer, has_dropout
from deepnorm.sweeps.seeds import stream

__all__ = ["Separate", "load_optimizer", "precision"]


class Separate:
    """Steps of one member.

    Parameters
    ----------
    members : sequence of Member
        Exactly one.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        (self._member,) = members
        self._model = self._member.model
        self._parameters = [p for p in self._model.parameters() if p.requires_grad]
        self._optimizer = build_optimizer(self._member.run, self._parameters)
        load_optimizer(self._optimizer, self._member.optimizer_state)
        self._random = has_dropout(self._model)

    def advance(self, first: int, last: int) -> Tensor:
        """Do the steps from ``first`` up to, not including, ``last``; their losses, (steps, 1)."""
        member, run = self._member, self._member.run
        losses = torch.empty(last - first, 1, device=member.device)
        for step in range(first, last):
            chosen = member.order.batch(step).to(member.device, non_blocking=True)
            if self._random:
                torch.manual_seed(stream("dropout", run.seed, run.P, step))
            with precision(run.precision, member.device):
                outputs = self._model(member.images[chosen])
            loss = F.cross_entropy(outputs.float(), member.labels[chosen])
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            losses[step - first, 0] = loss.detach()
        return losses

    def optimizer_states(self) -> list[dict[int, dict[str, Tensor]]]:
        """What the optimizer remembers of each parameter, for each member."""
        state = self._optimizer.state_dict()["state"]
        return [{number: _tensors(memory) for number, memory in state.items()}]


def precision(name: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Products in that precision."""
    if name == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def load_optimizer(
    optimizer: torch.optim.Optimizer, state: Mapping[int, Mapping[str, Tensor]]
) -> None:
    """Go on with what an optimizer remembered; its settings are those of the run."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    laid_out = {
        number: {name: _as_in(parameters[number], tensor) for name, tensor in memory.items()}
        for number, memory in state.items()
    }
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": laid_out, "param_groups": groups})


def _as_in(parameter: Tensor, tensor: Tensor) -> Tensor:
    """In the parameter's layout in memory, which fused arithmetic takes for granted."""
    if tensor.shape != parameter.shape:  # the count of steps
        return tensor
    return torch.empty_like(parameter, requires_grad=False).copy_(tensor)


def _tensors(memory: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    """Without what is not there: SGD without momentum keeps a None."""
    return {name: tensor for name, tensor in memory.items() if tensor is not None}
