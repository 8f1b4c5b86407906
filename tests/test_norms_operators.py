"""Operators against their Jacobians: linear ones to the digit, others as a bound."""

import pytest
import torch
import torch.nn.functional as F
from functions import Lambda, gain, jacobian, largest

from deepnorm.norms.trace import trace

ROUNDING = 1e-9
SHAPE = (3, 4)


def gain_of(function):
    return gain(Lambda(lambda _, x: function(x)), torch.rand((1, *SHAPE), dtype=torch.float64))


def steepest(function, x):
    return largest(jacobian(function, x))


torch.manual_seed(11)
A, B, C = (torch.randn(n, m, dtype=torch.float64) for n, m in ((4, 4), (5, 3), (4, 2)))
BLOCKS = torch.randn(3, 4, 2, dtype=torch.float64)
BLUR = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64).view(1, 1, 3) / 4


def written(x):
    y = torch.zeros_like(x)
    y[..., :2] = x[..., 2:]
    y[..., 2:] = 3 * x[..., :2]
    return y


def accumulated(x):
    y = x.clone()
    y[:, 1:] += x[:, :-1].flip(1) * 0
    return y


LINEAR = {
    "a constant matrix on the right": lambda x: x @ A,
    "a constant matrix on the left": lambda x: B @ x,
    "F.linear with a constant": lambda x: F.linear(x, A),
    "addmm": lambda x: torch.addmm(torch.ones(2, dtype=x.dtype), x[0], C, alpha=2.5),
    "blocks": lambda x: torch.bmm(x.transpose(0, 1), BLOCKS),
    "blocks that see the same": lambda x: x[0, :1] @ BLOCKS,
    "baddbmm": lambda x: torch.baddbmm(torch.zeros(1, 1, 1, dtype=x.dtype), x.mT, B.mT[None]),
    "einsum": lambda x: torch.einsum("bij,jk->bik", x, C),
    "einsum that sums data": lambda x: torch.einsum("bij,jk->bk", x, C),
    "mv": lambda x: A @ x[0, 0],
    "sparse": lambda x: torch.sparse.mm(A.to_sparse(), x[0].T),
    "a filter that nobody trains": lambda x: F.conv1d(x.transpose(0, 1), BLUR, padding=1),
    "cumsum": lambda x: x.cumsum(-1),
    "lerp with a constant": lambda x: torch.lerp(x, 2 * x, 0.25),
    "where": lambda x: torch.where(torch.tensor([True, False, True, False]), x, 0.0),
    "masked fill": lambda x: x.masked_fill(torch.eye(3, 4) > 0, 1.0),
    "tril": lambda x: x.tril(),
    "index put": lambda x: x.index_put((torch.tensor([0]),), torch.zeros(3, 4, dtype=x.dtype)) + x,
    "written into": written,
    "in place on a view": lambda x: (y := x.clone(), y.view(-1).mul_(2.0), y)[2],
    "repeat interleave": lambda x: x.repeat_interleave(3, -1),
    "gather": lambda x: x.gather(-1, torch.tensor([[[0, 0, 1], [2, 2, 2], [3, 1, 0]]])),
    "take along": lambda x: torch.take_along_dim(x, torch.tensor([[[0, 0, 1]]]), -1),
    "diagonal": lambda x: x.diagonal(dim1=1, dim2=2),
    "stack of views": lambda x: torch.stack([x[..., 0], x[..., 1]], -1),
    "unbind and cat": lambda x: torch.cat(x.unbind(1), -1),
    "rotary halves": lambda x: torch.cat([-x[..., 2:], x[..., :2]], -1),
    "patch merging": lambda x: torch.cat([x[..., 0::2], 2 * x[..., 1::2]], -1),
    "parts that overlap": lambda x: torch.cat([x[..., :3], -x[..., 1:]], -1),
    "im2col": lambda x: F.unfold(x[None], 2),
    "as complex": lambda x: torch.view_as_complex(x.reshape(1, 6, 2)).real,
    "numpy": lambda x: x.T if x.dim() == 2 else x.mT,
    "divided by a tensor": lambda x: x / torch.tensor([1.0, 2.0, 0.5, 4.0]),
    "double negative": lambda x: torch.neg(x.neg()),
    "cancelled": lambda x: x + (2 * x.flip(-1) - x),
    "types": lambda x: x.float().double().to(torch.float64).type_as(x),
    "fold of strides": lambda x: x.as_strided((1, 3, 2), (12, 4, 2)),
}


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_linear_operators_have_their_norm(name):
    x = torch.randn((1, *SHAPE), dtype=torch.float64)
    found = gain_of(LINEAR[name])
    exact = steepest(LINEAR[name], x) if name != "types" else 1.0
    if name in ("index put", "einsum that sums data", "blocks that see the same", "written into"):
        assert exact <= found * (1 + ROUNDING) <= 3 * exact
    else:
        assert found == pytest.approx(exact, rel=ROUNDING)


BOUNDED = {
    "softmax of heads": lambda x: torch.softmax(3 * x, -1),
    "largest and smallest": lambda x: torch.stack(torch.aminmax(x, dim=-1)),
    "sorted": lambda x: x.sort(-1).values,
    "standard deviation": lambda x: x.std(-1),
    "norm": lambda x: torch.linalg.vector_norm(x, dim=-1),
    "log of a sum of exponentials": lambda x: torch.logsumexp(x, -1),
    "bounded by bounded": lambda x: torch.sigmoid(x) * torch.tanh(x.flip(-1)),
    "a square of a bounded one": lambda x: torch.tanh(x.flip(-1)) * torch.tanh(x),
    "clamped product": lambda x: x.clamp(-2, 2) * x.flip(-1).clamp(0, 3),
    "softplus by hand": lambda x: torch.log1p(torch.exp(-x.abs())) + x.clamp(min=0),
    "root of a square": lambda x: torch.sqrt(x * x + 1),
    "snake": lambda x: x + torch.sin(2 * x) ** 2 / 2,
    "inverse": lambda x: 1 / (1 + x**2),
    "larger of two": lambda x: torch.maximum(x, 0.1 * x.flip(-1)),
    "max pooling by hand": lambda x: x.unfold(-1, 2, 2).amax(-1),
}


@pytest.mark.parametrize("name", BOUNDED)
def test_other_operators_are_bounded(name):
    generator = torch.Generator().manual_seed(7)
    seen = 0.0
    for scale in (0.3, 1.0, 3.0):
        for _ in range(4):
            x = scale * torch.randn((1, *SHAPE), generator=generator, dtype=torch.float64)
            seen = max(seen, steepest(BOUNDED[name], x))
    found = gain_of(BOUNDED[name])
    assert seen <= found * (1 + 1e-6)
    assert found < 20 * seen


STEEP = {
    "square": lambda x: x * x,
    "exponential": torch.exp,
    "inverse": lambda x: 1 / x,
    "quotient": lambda x: x / x.flip(-1),
    "root": lambda x: x.abs().sqrt(),
    "running largest": lambda x: x.cummax(-1).values,
}


@pytest.mark.parametrize("name", STEEP)
def test_what_has_no_constant_is_never_silent(name):
    assert trace(Lambda(lambda _, x: STEEP[name](x)), (3, 4)).unknown
