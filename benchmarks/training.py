"""Training beside the loops that everybody writes: over a tensor, and over a DataLoader.

All three train the same network on the same images in one thread, from the same weights, side by
side. Ours does what a sweep does: batches by index, a look at the clock and the
losses now and then, checkpoints as often as a sweep writes them; records are left out, since the
others take none. All run in a process that keeps its memory, as the workers of a sweep do. "Bare"
is PyTorch's manual: a permutation an epoch, index, forward, backward, step. The DataLoader has no
worker processes, which on one core only cost.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.table import Part, Result, Row
from benchmarks.timing import side_by_side
from deepnorm.datasets import Images
from deepnorm.sweeps import Run, train
from deepnorm.sweeps.executors import keep_memory
from deepnorm.sweeps.members import Member, build

BATCH = 128


@dataclass(frozen=True)
class Case:
    """A network, square images, how many of them, and the steps of one measurement."""

    model: str
    channels: int
    side: int
    P: int
    steps: int

    @property
    def rows(self) -> dict[str, Row]:
        """By what stands beside: the digits are in the long table only."""
        short = self.side > 8
        images = f"{self.channels} x {self.side} x {self.side}"
        name = f"a step of {self.model}, {BATCH} images of {images}"
        return {
            "bare": Row(name, "a loop over a tensor", short=short),
            "loader": Row(f"  the same {images}", "a loop over a DataLoader", short=short),
        }


CASES = (
    Case("cnn-small", 1, 8, 1200, 300),
    Case("cnn-small", 1, 28, 1500, 150),
    Case("resnet-small", 3, 32, 1500, 12),
)
PART = Part("Training", threads=1)


def noise(channels: int, side: int, P: int) -> Images:
    """Images without content: how long a step takes does not depend on what is seen."""
    source = torch.Generator().manual_seed(0)
    shape = (P, channels, side, side)
    pixels = torch.randint(0, 256, shape, generator=source, dtype=torch.uint8)
    labels = torch.randint(0, 10, (P,), generator=source)
    return Images("noise", pixels, labels, pixels[:10], labels[:10], 10)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()


def bare(model: nn.Module, x: Tensor, y: Tensor, steps: int) -> None:
    """Batches by index from one tensor."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    done = 0
    while done < steps:
        for batch in torch.randperm(len(x)).split(BATCH)[: steps - done]:
            step(model, optimizer, x[batch], y[batch])
            done += 1


def loader(model: nn.Module, x: Tensor, y: Tensor, steps: int) -> None:
    """The same images through a DataLoader."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches = DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=True)
    done = 0
    while done < steps:
        for images, labels in batches:
            step(model, optimizer, images, labels)
            done += 1
            if done == steps:
                break


def ours(run: Run, images: Images, folder: Path) -> None:
    """A training as a sweep does it, but for its records."""
    checkpoint = folder / "state.pt"
    checkpoint.unlink(missing_ok=True)
    with (
        mock.patch.object(Member, "record", return_value=None),
        mock.patch("deepnorm.sweeps.training._result"),  # there is none without records
    ):
        train(run, images, "cpu", checkpoint=checkpoint)


@PART.measures(*(row for case in CASES for row in case.rows.values()))
def steps(repeats: int) -> Iterator[Result]:
    """A training each time, set-up and checkpoints included."""
    keep_memory()
    for case in CASES:
        images = noise(case.channels, case.side, case.P)
        run = Run(
            dataset="noise",
            model=case.model,
            P=case.P,
            seed=0,
            steps=case.steps,
            batch_size=BATCH,
        )
        x, y = images.standardised("train"), images.train_labels
        with tempfile.TemporaryDirectory() as folder:
            functions = {
                "ours": lambda _, run=run, images=images, to=folder: ours(run, images, Path(to)),
                "bare": lambda _, run=run, images=images, x=x, y=y: bare(
                    build(run, images), x, y, run.steps
                ),
                "loader": lambda _, run=run, images=images, x=x, y=y: loader(
                    build(run, images), x, y, run.steps
                ),
            }
            found = side_by_side(functions, repeats)
        per_step = {name: sample.times(1 / case.steps) for name, sample in found.items()}
        for name, row in case.rows.items():
            note = f"{case.steps} steps; set-up and checkpoints included" if name == "bare" else ""
            yield row.measured(per_step["ours"], per_step[name], note)
