"""Norms of networks: the tracker against an epoch, and sigma against what else finds it.

Sigma is the largest singular value of a convolution with its padding of zeros. Ours comes with a
rigorous upper bound, whose time is included; the others come without. Theirs are

- the dense matrix of the layer, and its SVD;
- ARPACK (`scipy.sparse.linalg.svds`) on the convolution and its transpose, with its own tolerance;
- power iteration with the same two, a fixed number of times, as spectral normalisation does it;
- the Fourier transform of the kernel and an SVD for each frequency (Sedghi, Gupta and Long 2019),
  which is exact for another map: the circular convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, svds
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.architectures import LARGE
from benchmarks.table import Part, Result, Row
from benchmarks.timing import Sample, child, seconds, side_by_side
from deepnorm.norms import NormTracker, spectral_complexity
from deepnorm.norms.maps import Convolution
from deepnorm.norms.measure import sigma_cold

#: Examples of an epoch, and of a batch, against which the tracker is held.
EXAMPLES, BATCH = 1500, 128
#: Epochs before a measurement, so that the warm start is that of a training.
EPOCHS = 3
#: Steps of power iteration: a choice, and many times what spectral normalisation takes.
POWER = 100


@dataclass(frozen=True)
class Layer:
    """A convolution of 3 x 3, padding 1, on square images, with PyTorch's initial weights."""

    inputs: int
    outputs: int
    side: int
    stride: int = 1

    def __str__(self) -> str:
        name = f"{self.inputs} to {self.outputs} channels, {self.side} x {self.side}"
        return name if self.stride == 1 else f"{name}, stride {self.stride}"

    @property
    def weight(self) -> Tensor:
        torch.manual_seed(0)
        return nn.Conv2d(self.inputs, self.outputs, 3).weight.detach().double()

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.inputs, self.side, self.side

    def apply(self, weight: Tensor, x: Tensor) -> Tensor:
        return F.conv2d(x, weight, stride=self.stride, padding=1)

    def adjoint(self, weight: Tensor, y: Tensor) -> Tensor:
        left = (self.side - 1) % self.stride
        return F.conv_transpose2d(y, weight, stride=self.stride, padding=1, output_padding=left)


#: An early one of a small CNN, a middle one of a ResNet, and one of which the dense matrix takes
#: 79 MB.
STRIDED, WIDE, HEAVY = Layer(8, 16, 14, 2), Layer(64, 64, 32), Layer(16, 16, 14)
#: The later the layer, the smaller the image, the more the border matters.
LATE = Layer(64, 64, 4)


def sigma(layer: Layer) -> float:
    """Ours, from the weights."""
    weight = layer.weight
    convolution = Convolution(
        tuple(weight.shape),
        layer.shape[1:],
        stride=(layer.stride,) * 2,
        padding=((1, 1),) * 2,
        dilation=(1, 1),
    )
    return sigma_cold(convolution, weight, 1e-6).value


def dense(layer: Layer) -> float:
    unit = torch.eye(int(np.prod(layer.shape)), dtype=torch.float64).view(-1, *layer.shape)
    matrix = layer.apply(layer.weight, unit).flatten(start_dim=1)
    return float(torch.linalg.matrix_norm(matrix, 2))


def arpack(layer: Layer) -> float:
    weight = layer.weight
    image = layer.apply(weight, torch.zeros(1, *layer.shape, dtype=torch.float64)).shape

    def apply(x: np.ndarray) -> np.ndarray:
        return layer.apply(weight, torch.from_numpy(x).view(1, *layer.shape)).numpy().ravel()

    def adjoint(y: np.ndarray) -> np.ndarray:
        return layer.adjoint(weight, torch.from_numpy(y).view(image)).numpy().ravel()

    size = int(np.prod(image)), int(np.prod(layer.shape))
    operator = LinearOperator(size, matvec=apply, rmatvec=adjoint, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(min(size))
    return float(svds(operator, k=1, return_singular_vectors=False, v0=start)[0])


def power(layer: Layer) -> float:
    weight = layer.weight
    x = torch.randn(1, *layer.shape, dtype=torch.float64)
    for _ in range(POWER):
        y = layer.apply(weight, x / torch.linalg.vector_norm(x))
        x = layer.adjoint(weight, y)
    return float(torch.linalg.vector_norm(x).sqrt())


def fourier(layer: Layer) -> float:
    """Half of the frequencies: the kernel is real."""
    transformed = torch.fft.rfft2(layer.weight, s=layer.shape[1:])
    return float(torch.linalg.svdvals(transformed.permute(2, 3, 0, 1)).max())


PART = Part("Norms of networks", threads=1)
TRACKED = Row("ln R of a small CNN while it trains", f"an epoch of {EXAMPLES} images", short=True)
COLD = Row("  from nothing, with bounds and table")
#: Layer, row, and who stands beside.
SIGMAS: list[tuple[Layer, Row, Callable[[Layer], float]]] = [
    (STRIDED, Row(f"sigma of a convolution, {STRIDED}", "SVD of its dense matrix", short=True),
     dense),
    (STRIDED, Row("  beside ARPACK", "scipy's svds on the convolution", short=True), arpack),
    (STRIDED, Row("  beside power iteration", f"{POWER} steps"), power),
    (WIDE, Row(f"sigma of a convolution, {WIDE}", "FFT, for circular padding", short=True),
     fourier),
    (WIDE, Row(f"  beside ARPACK, {WIDE}", "scipy's svds on the convolution"), arpack),
    (WIDE, Row(f"  beside power iteration, {WIDE}", f"{POWER} steps", short=True), power),
]  # fmt: skip
NETWORKS = {name: Row(f"ln R from nothing, {name}") for name in LARGE}
MEMORY = Row(f"memory for sigma, {HEAVY}", "SVD of its dense matrix", unit="MB", short=True)


@PART.measures(TRACKED, COLD)
def tracker(repeats: int) -> Iterator[Result]:
    """A small CNN on images that are drawn: ten blurred prototypes with noise, to be learnt."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 144, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    shape = (1, 28, 28)
    labels = torch.randint(10, (EXAMPLES,))
    coarse = torch.randn(10, 1, 7, 7).repeat_interleave(4, 2).repeat_interleave(4, 3)
    images = coarse[labels] + 2 * torch.randn(EXAMPLES, *shape)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def epoch() -> None:
        for index in torch.randperm(EXAMPLES).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(images[index]), labels[index]).backward()
            optimizer.step()

    tracked = NormTracker(model, shape)
    values: dict[str, float] = {}

    def measure() -> None:
        values.update(tracked.measure())

    for _ in range(EPOCHS):
        epoch()
        measure()
    ours, theirs, off = [], [], []
    for _ in range(repeats):  # the epoch first, every time: it is what a measurement follows
        theirs.append(seconds(epoch))
        ours.append(seconds(measure))
        off.append(abs(values["eq2"] - spectral_complexity(model, shape).log_value))
    note = f"ln R off by {max(off):.0e} at most"
    yield TRACKED.measured(Sample.of(ours), Sample.of(theirs), note)
    cold = side_by_side({"": lambda _: spectral_complexity(model, shape)}, repeats)[""]
    yield COLD.measured(cold)


@PART.measures(*(row for _, row, _ in SIGMAS))
def sigmas(repeats: int) -> Iterator[Result]:
    """Ours and one of the others, from the weights to the number."""
    exact = {layer: dense(layer) for layer in (STRIDED, LATE)}
    for layer, row, other in SIGMAS:
        functions = {
            "ours": lambda _, layer=layer: sigma(layer),
            "theirs": lambda _, layer=layer, other=other: other(layer),
        }
        found = side_by_side(functions, repeats)
        # Where the dense matrix is out of reach, ours and ARPACK's agree: ours stands for it.
        truth = exact.get(layer, sigma(layer))
        note = f"theirs off by {other(layer) / truth - 1:+.0e}"
        if layer in exact:
            note = f"off by {sigma(layer) / truth - 1:+.0e}, {note}"
        if other is fourier:
            note += f", on {LATE.side} x {LATE.side} by {fourier(LATE) / exact[LATE] - 1:+.0e}"
        yield row.measured(found["ours"], found["theirs"], note)


@PART.measures(*NETWORKS.values())
def networks(repeats: int) -> Iterator[Result]:
    """Each in a process of its own, once."""
    for name, row in NETWORKS.items():
        found = child("network", name) or {}
        cost = f"once; {found['processor']:.3g} s of processor, {found['peak_mb']:.3g} MB"
        note = f"{cost}; ln R within {found['log_error']:.0e}"
        yield row.measured(Sample.of([found["seconds"]]), None, note)


@PART.measures(MEMORY)
def memory(repeats: int) -> Iterator[Result]:
    """Beyond what a process holds that has done the same for a tiny layer."""
    mine, theirs = child("sigma", "ours") or {}, child("sigma", "dense") or {}
    difference = abs(theirs["sigma"] / mine["sigma"] - 1)
    note = f"once, {mine['seconds']:.2g} and {theirs['seconds']:.2g} s; differ by {difference:.0e}"
    yield MEMORY.measured(*(Sample.of([run["peak_mb"]]) for run in (mine, theirs)), note)
