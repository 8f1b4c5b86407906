"""One training in memory: network, examples, the order of its batches, records so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from deepnorm import networks
from deepnorm.datasets import Images
from deepnorm.norms import NormTracker
from deepnorm.sweeps.configuration import Run
from deepnorm.sweeps.evaluation import evaluate
from deepnorm.sweeps.records import Divergence, columns
from deepnorm.sweeps.seeds import stream

__all__ = ["Member", "build", "build_optimizer", "has_dropout", "laid_out"]

#: How images and kernels lie in memory, where it is not the usual way. One thread of an AMD EPYC
#: trains with channels last 1.4 times as fast for "cnn-small" on 8 x 8 and "resnet-small" on
#: 32 x 32; "cnn" loses 4%, "vit-small" nothing.
LAYOUT = {"cpu": torch.channels_last}


class Order:
    """Which images each step sees: a permutation of all P for every epoch, cut into batches.

    The permutation of an epoch is a function of seed, P and the epoch, so that a training that
    is taken up again needs to remember none of them.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._epoch = -1
        self._batches: tuple[Tensor, ...] = ()

    def batch(self, step: int) -> Tensor:
        """The indices of the batch of a step, counted from 0; on the CPU."""
        run = self._run
        epoch, place = divmod(step, run.steps_per_epoch)
        if epoch != self._epoch:
            source = torch.Generator().manual_seed(stream("order", run.seed, run.P, epoch))
            self._batches = torch.randperm(run.P, generator=source).split(run.batch_size)
            self._epoch = epoch
        return self._batches[place]


class Member:
    """A run being trained.

    Attributes
    ----------
    run : Run
    data_digest : str
        What the images are.
    model : Module
        In training mode.
    images, labels : Tensor
        The P examples, on the device.
    order : Order
    step : int
        Steps done.
    records : dict of str to list
        By the names of `records.columns`.
    seconds : list of float
        When each record was taken.
    divergence : Divergence or None
    optimizer_state : dict
        Of the parameters by their number, from a checkpoint; for the trainer to take over.
    """

    def __init__(self, run: Run, images: Images, device: torch.device) -> None:
        self.run = run
        self.device = device
        self.data_digest = images.digest
        chosen = images.subset(run.P, run.seed)
        layout = LAYOUT.get(device.type, torch.contiguous_format)
        self.images = images.standardise(images.train_images[chosen].to(device))
        self.images = _copied(self.images, layout)
        self.labels = images.train_labels[chosen].to(device)
        self._test_images, self._test_labels = _test_set(images, run.test_images, device)
        self.model = laid_out(build(run, images).to(device), layout)
        self.model.train()
        self.tracker = NormTracker(
            self.model, images.input_shape, conventions=run.conventions, reference=run.reference
        )
        self.order = Order(run)
        self.step = 0
        self.records: dict[str, list[float]] = {name: [] for name in columns(run)}
        self.seconds: list[float] = []
        self.divergence: Divergence | None = None
        self.optimizer_state: dict[int, dict[str, Tensor]] = {}

    def record(self, seconds: float) -> None:
        """Measure, and append a record; or find that there is nothing finite to be measured."""
        count = self.run.train_images
        train = evaluate(self.model, self.images[:count], self.labels[:count])
        test = evaluate(self.model, self._test_images, self._test_labels)
        if not all(map(math.isfinite, train + test)):
            self.divergence = Divergence(self.step, "an output of the network is not finite")
            return
        try:
            norms = self.tracker.measure()
        except ValueError:  # a weight is not finite
            norms = {}
        if not norms or not all(map(math.isfinite, norms.values())):
            self.divergence = Divergence(self.step, "the norm is not finite")
            return
        epoch = self.step / self.run.steps_per_epoch
        logs = (norms[name] for name in self.run.conventions)
        numbers = (self.step, epoch, *logs, *train, *test)
        for column, number in zip(self.records.values(), numbers, strict=True):
            column.append(number)
        self.seconds.append(seconds)

    def state(
        self, optimizer: Mapping[int, Mapping[str, Tensor]], seconds: float
    ) -> dict[str, Any]:
        """Everything that a training taken up again needs, as a checkpoint holds it."""
        return {
            "run": self.run.digest,
            "data": self.data_digest,
            "step": self.step,
            "elapsed": seconds,
            "model": self.model.state_dict(),
            "optimizer": {number: dict(state) for number, state in optimizer.items()},
            "tracker": self.tracker.state_dict(),
            "records": self.records,
            "seconds": self.seconds,
        }

    def load(self, state: Mapping[str, Any]) -> float:
        """Go on from such a state; the seconds that it took so far."""
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.optimizer_state = state["optimizer"]
        self.tracker.load_state_dict(state["tracker"])
        self.records = state["records"]
        self.seconds = state["seconds"]
        return float(state["elapsed"])


def build(run: Run, images: Images) -> nn.Module:
    """The network of a run with its initial weights."""
    return networks.build(
        run.model,
        images.input_shape,
        images.classes,
        width=run.width,
        initial_scale=run.initial_scale,
        seed=stream("weights", run.seed, run.P),
    )


def laid_out(model: nn.Module, layout: torch.memory_format) -> nn.Module:
    """The model with its kernels in that layout; it is changed, and returned."""
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = _copied(parameter.data, layout)
    return model


def _copied(tensor: Tensor, layout: torch.memory_format) -> Tensor:
    """In that layout; copied even where a single channel makes all of them one.

    Which kernels torch takes goes by the strides, and `contiguous` would leave them.
    """
    return torch.empty_like(tensor, memory_format=layout).copy_(tensor)


def build_optimizer(run: Run, parameters: Sequence[Tensor]) -> torch.optim.Optimizer:
    """PyTorch's own optimizer, its arithmetic fused: element by element, so members may share."""
    settings: dict[str, Any] = {
        "lr": run.learning_rate,
        "weight_decay": run.weight_decay,
        "fused": True,
    }
    if run.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=run.momentum, **settings)
    if run.optimizer == "adamw":
        return torch.optim.AdamW(parameters, **settings)
    return torch.optim.Adam(parameters, **settings)


def has_dropout(model: nn.Module) -> bool:
    """Whether a step of training may draw random numbers; attention keeps its own rate."""
    return any(
        isinstance(module, nn.modules.dropout._DropoutNd) or getattr(module, "dropout", None)
        for module in model.modules()
    )


@lru_cache(maxsize=2)
def _test_set(images: Images, limit: int | None, device: torch.device) -> tuple[Tensor, Tensor]:
    """Test images and labels on the device, once for all runs of a process."""
    layout = LAYOUT.get(device.type, torch.contiguous_format)
    shown = images.standardise(images.test_images[:limit].to(device))
    return _copied(shown, layout), images.test_labels[:limit].to(device)
