"""The Fisher-Rao norm against its definition, and margins beside it."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepnorm.norms import log_fisher_rao


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(1)


def model():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(48, 4),
    ).double()


def by_definition(net, images, labels=None):
    """The mean over x and y of <theta, grad l(f(x), y)>^2, gradient by gradient."""
    net.eval()
    total = 0.0
    for number, image in enumerate(images):
        scores = net(image[None])
        p = torch.softmax(scores[0], -1).detach()
        classes = range(len(p)) if labels is None else [int(labels[number])]
        for y in classes:
            loss = F.cross_entropy(scores, torch.tensor([y]))
            grads = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
            pairs = zip(net.parameters(), grads, strict=True)
            inner = sum(float((w.detach() * g).sum()) for w, g in pairs)
            total += inner**2 * (float(p[y]) if labels is None else 1.0)
    return 0.5 * math.log(total / len(images))


def test_it_is_its_definition():
    net, images = model(), torch.randn(5, 1, 6, 6, dtype=torch.float64)
    labels = torch.tensor([0, 3, 1, 1, 2])
    expected = by_definition(net, images)
    assert log_fisher_rao(net, images) == pytest.approx(expected, rel=1e-10)
    assert log_fisher_rao(net, images, batch=2) == pytest.approx(expected, rel=1e-10)
    expected = by_definition(net, images, labels)
    assert log_fisher_rao(net, images, labels) == pytest.approx(expected, rel=1e-10)


def test_the_same_function_in_other_units_has_the_same_norm():
    # A ReLU layer up and the next one down: the function is the same, and so is its Fisher matrix
    # along the direction in which all weights grow.
    net = nn.Sequential(
        nn.Linear(4, 5, bias=False), nn.ReLU(), nn.Linear(5, 3, bias=False)
    ).double()
    images = torch.randn(6, 4, dtype=torch.float64)
    before = log_fisher_rao(net, images)
    net[0].weight.data *= 7
    net[2].weight.data /= 7
    assert log_fisher_rao(net, images) == pytest.approx(before, rel=1e-10)


def test_the_model_is_left_as_it_was_and_bad_arguments_are_refused():
    net, images = model(), torch.randn(3, 1, 6, 6, dtype=torch.float64)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert net.training
    log_fisher_rao(net, images)
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    for arguments, message in (
        ((net, images, torch.zeros(2, dtype=int)), "`labels` must hold one class for each"),
        ((net, images, torch.zeros(3)), "`labels` must be integers"),
        ((lambda x: x, images), "`model` must be a torch.nn.Module"),
    ):
        with pytest.raises(ValueError, match=message):
            log_fisher_rao(*arguments)
    net[-1].weight.data.zero_()
    net[-1].bias.data.zero_()
    assert log_fisher_rao(net, images) == -math.inf
