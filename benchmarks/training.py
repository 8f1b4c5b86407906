"""Training beside the loops that everybody writes: over a tensor, and over a DataLoader.

All three train the same network on the same images in one thread, from the same weights, one
right after the other. Ours does what a sweep does: batches by index, a look at the clock and the
losses now and then, checkpoints as often as a sweep writes them; records are left out, since the
others take none. All run in a process that keeps its memory, as the workers of a sweep do. "Bare"
is PyTorch's manual: a permutation an epoch, index, forward, backward, step. The DataLoader has no
worker processes, which on one core only cost.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.table import Row, table
from benchmarks.timing import Sample, seconds
from deepnorm.datasets import Images
from deepnorm.sweeps import Run, train
from deepnorm.sweeps.executors import keep_memory
from deepnorm.sweeps.members import Member, build

BATCH = 128
#: Network, images (channels, side), P, steps of one measurement.
CASES = (
    ("cnn-small", 1, 8, 1200, 600),
    ("cnn-small", 1, 28, 1500, 150),
    ("resnet-small", 3, 32, 1500, 12),
)


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


def rows(repeats: int) -> list[Row]:
    """The lines of the table."""
    result = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    keep_memory()
    try:
        for case in CASES:
            result += compared(*case, repeats)
    finally:
        torch.set_num_threads(threads)
    return result


def compared(model: str, channels: int, side: int, P: int, steps: int, repeats: int) -> list[Row]:
    """One network on images of one size."""
    images = noise(channels, side, P)
    run = Run(dataset="noise", model=model, P=P, seed=0, steps=steps, batch_size=BATCH)
    x, y = images.standardised("train"), images.train_labels
    samples: dict[Callable[..., None], list[float]] = {ours: [], bare: [], loader: []}
    with tempfile.TemporaryDirectory() as folder:
        ours(run, images, Path(folder))  # first calls are slow
        for _ in range(repeats):
            for function in (bare, loader):
                took = seconds(function, build(run, images), x, y, steps)
                samples[function].append(took / steps)
            samples[ours].append(seconds(ours, run, images, Path(folder)) / steps)
    mine = Sample.of(samples[ours])
    name = f"a step of {model} with {BATCH} images of {channels} x {side} x {side}"
    return [
        Row(f"{name}, and a loop over a tensor", "s", mine, other, other.over(mine), note)
        if function is bare
        else Row("  and a loop over a DataLoader", "s", mine, other, other.over(mine))
        for function, other, note in (
            (bare, Sample.of(samples[bare]), "one thread; set-up and checkpoints included"),
            (loader, Sample.of(samples[loader]), ""),
        )
    ]


def main() -> None:
    Console(highlight=False).print(table(rows(5)))


if __name__ == "__main__":
    main()
