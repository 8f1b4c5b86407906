"""Norms of networks: the tracker against an epoch of training, and against a dense SVD."""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.table import Row
from benchmarks.timing import Sample, seconds

#: Examples of an epoch, and of a batch, against which the tracker is held.
EXAMPLES, BATCH = 1500, 128
#: Epochs before a measurement, so that the warm start is that of a training.
EPOCHS = 3


def rows(repeats: int) -> list[Row]:
    """A small CNN on images that are drawn: one thread, as in a sweep."""
    try:
        import torch
    except ImportError:
        print("norms: left out, as torch is not installed", file=sys.stderr)
        return []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [*_tracker(repeats), *_convolution(repeats)]
    finally:
        torch.set_num_threads(threads)


def _tracker(repeats: int) -> list[Row]:
    import torch
    from torch import nn

    from deepnorm.norms import NormTracker, spectral_complexity

    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 144, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    # Ten blurred prototypes with noise: something that can be learnt.
    labels = torch.randint(10, (EXAMPLES,))
    coarse = torch.randn(10, 1, 7, 7).repeat_interleave(4, 2).repeat_interleave(4, 3)
    images = coarse[labels] + 2 * torch.randn(EXAMPLES, 1, 28, 28)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def epoch() -> None:
        for index in torch.randperm(EXAMPLES).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[index]), labels[index]).backward()
            optimizer.step()

    tracker = NormTracker(model, (1, 28, 28))
    for _ in range(EPOCHS):
        epoch()
        tracker.measure()
    pairs, off = [], []
    for _ in range(max(repeats, 5)):
        training = seconds(epoch)
        found: dict[str, Any] = {}
        pairs.append((seconds(lambda found=found: found.update(tracker.measure())), training))
        off.append(abs(found["eq2"] - spectral_complexity(model, (1, 28, 28)).log_value))
    ours, theirs = (Sample.of([pair[k] for pair in pairs]) for k in (0, 1))
    cold = Sample.of([seconds(spectral_complexity, model, (1, 28, 28)) for _ in range(repeats)])
    note = f"theirs: an epoch of training, {EXAMPLES} images; ln R off by {max(off):.0e} at most"
    return [
        Row("ln R of a CNN, tracked", "s", ours, theirs, theirs.over(ours), note),
        Row("the same from nothing, with bounds and table", "s", cold),
    ]


def _convolution(repeats: int) -> list[Row]:
    import torch
    from torch import nn

    from deepnorm.norms.maps import Convolution
    from deepnorm.norms.measure import sigma_cold

    torch.manual_seed(0)
    layer = nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False).double()
    weight = layer.weight.detach()
    shape = (8, 14, 14)
    found: dict[str, float] = {}

    def ours() -> None:
        convolution = Convolution(
            tuple(weight.shape),
            shape[1:],
            stride=(2, 2),
            padding=((1, 1), (1, 1)),
            dilation=(1, 1),
        )
        found["ours"] = sigma_cold(convolution, weight).value

    def dense() -> None:
        with torch.no_grad():
            unit = torch.eye(8 * 14 * 14, dtype=torch.float64).view(-1, *shape)
            matrix = layer(unit).flatten(start_dim=1)
            found["theirs"] = float(torch.linalg.matrix_norm(matrix, 2))

    pairs = [(seconds(ours), seconds(dense)) for _ in range(min(repeats, 3))]
    mine, theirs = (Sample.of([pair[k] for pair in pairs]) for k in (0, 1))
    off = abs(found["ours"] / found["theirs"] - 1)
    note = f"theirs: the dense matrix and its SVD; relative difference {off:.0e}"
    return [Row("sigma of a convolution, 8 x 14 x 14", "s", mine, theirs, theirs.over(mine), note)]
