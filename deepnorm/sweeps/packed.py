"""Several members in one program: their weights stacked, one launch for all of them.

A small network keeps a GPU waiting for launches; M of them side by side cost hardly more than one.
Every optimizer here acts element by element, so PyTorch's own does M members at once on stacked
weights: each member's numbers are those of a training of its own, up to the rounding of sums in
another order.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from deepnorm.sweeps.configuration import Run
from deepnorm.sweeps.members import Member, build_optimizer, has_dropout, laid_out
from deepnorm.sweeps.seeds import stream
from deepnorm.sweeps.separate import load_optimizer, precision

__all__ = ["Packed", "has_batch_statistics", "packs"]


class Packed:
    """Steps of several members at once.

    The weights of the members' own models become views of the stacked ones: whoever evaluates or
    saves a member sees its current state.

    Parameters
    ----------
    members : sequence of Member
        Of the same settings and at the same step; only P and seed may differ. Where the network
        has statistics over a batch, P must be the same too: a batch smaller than another
        member's is filled up, which weights hide from the loss but not from a batch norm.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._run = members[0].run
        self._device = members[0].device
        self._size = min(self._run.batch_size, max(member.run.P for member in members))
        # In the usual layout: some operators are batched in no other.
        models = [laid_out(member.model, torch.contiguous_format) for member in members]
        # The forward pass is taken from one model, its numbers from the stacks.
        self._base = copy.deepcopy(models[0]).to("meta")
        self._parameters, self._buffers = stack_module_state(models)
        for number, model in enumerate(models):
            _share(model, self._parameters, self._buffers, number)
        trained = [p for p in self._parameters.values() if p.requires_grad]
        self._optimizer = build_optimizer(self._run, trained)
        load_optimizer(self._optimizer, _stack([m.optimizer_state for m in members]))
        self._random = has_dropout(models[0])
        # All examples behind one another, so that one index fetches every member's batch.
        self._images = torch.cat([member.images for member in members]).contiguous()
        self._labels = torch.cat([member.labels for member in members])
        counts = [0, *(len(member.labels) for member in members[:-1])]
        self._offsets = torch.tensor(counts).cumsum(0)
        self._forward = torch.vmap(self._one, randomness="different")

    def advance(self, first: int, last: int) -> Tensor:
        """Do the steps from ``first`` up to, not including, ``last``; losses, (steps, members)."""
        index, weights, sizes = self._batches(first, last)
        losses = torch.empty(last - first, len(self._members), device=self._device)
        for step in range(first, last):
            size = sizes[step - first]
            chosen, weight = index[step - first, :, :size], weights[step - first, :, :size]
            if self._random:
                seeds = "-".join(str(member.run.seed) for member in self._members)
                torch.manual_seed(stream(f"dropout/{seeds}", self._run.seed, self._run.P, step))
            # Attention written out is products and a softmax, which vmap batches; some of its fused
            # kernels would be done member by member.
            fast = precision(self._run.precision, self._device)
            with fast, sdpa_kernel(SDPBackend.MATH):
                outputs = self._forward(self._parameters, self._buffers, self._images[chosen])
            each = F.cross_entropy(
                outputs.float().flatten(0, 1), self._labels[chosen].flatten(), reduction="none"
            )
            loss = (each.view_as(weight) * weight).sum(1)  # (M,)
            self._optimizer.zero_grad()
            loss.sum().backward()
            self._optimizer.step()
            losses[step - first] = loss.detach()
        return losses

    def optimizer_states(self) -> list[dict[int, dict[str, Tensor]]]:
        """What the optimizer remembers of each parameter, for each member."""
        state = self._optimizer.state_dict()["state"]
        return [
            {
                number: {
                    name: tensor if tensor.ndim == 0 else tensor[member].clone()
                    for name, tensor in memory.items()
                    if tensor is not None
                }
                for number, memory in state.items()
            }
            for member in range(len(self._members))
        ]

    def _one(self, parameters: Any, buffers: Any, images: Tensor) -> Any:
        """The forward pass of one member."""
        return functional_call(self._base, (parameters, buffers), (images,))

    def _batches(self, first: int, last: int) -> tuple[Tensor, Tensor, list[int]]:
        """Indices and weights of the batches, (steps, M, B), and the largest size at each step.

        A batch smaller than the largest is filled up with the member's first image at weight 0;
        the other weights are one over its size.
        """
        shape = last - first, len(self._members), self._size
        index, weights = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape)
        sizes = [0] * (last - first)
        for number, member in enumerate(self._members):
            for step in range(last - first):
                batch = member.order.batch(first + step)
                index[step, number, : len(batch)] = batch
                weights[step, number, : len(batch)] = 1 / len(batch)
                sizes[step] = max(sizes[step], len(batch))
        index += self._offsets[:, None]
        return index.to(self._device), weights.to(self._device), sizes


def packs(runs: Sequence[Run], members: int, *, same_P: bool) -> list[tuple[Run, ...]]:
    """Runs that may be trained in one program, at most so many in each, by increasing P.

    They agree in all but seed and P; with ``same_P``, which networks with statistics over a batch
    need, in all but the seed.
    """
    free = {"seed"} if same_P else {"seed", "P"}
    groups: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.P, run.seed)):
        settings = {name: value for name, value in run.as_dict().items() if name not in free}
        groups.setdefault(repr(settings), []).append(run)
    return [
        tuple(group[start : start + members])
        for group in groups.values()
        for start in range(0, len(group), members)
    ]


def has_batch_statistics(model: nn.Module) -> bool:
    """Whether what comes out for one image depends on the others of its batch."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


def _share(
    model: nn.Module, parameters: dict[str, Any], buffers: dict[str, Any], number: int
) -> None:
    """Make the model's own numbers views of the stacked ones."""
    for name, parameter in model.named_parameters():
        parameter.data = parameters[name].data[number]
    for name, _ in list(model.named_buffers()):
        owner, _, last = name.rpartition(".")
        setattr(model.get_submodule(owner), last, buffers[name][number])


def _stack(states: Sequence[dict[int, dict[str, Tensor]]]) -> dict[int, dict[str, Tensor]]:
    """Optimizer states of the members as one; the count of steps, a scalar, is common."""
    return {
        number: {
            name: tensor if tensor.ndim == 0 else torch.stack([s[number][name] for s in states])
            for name, tensor in memory.items()
        }
        for number, memory in states[0].items()
    }
