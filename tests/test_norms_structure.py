"""From a module to its graph: what is seen, what is folded, and that gains bound what happens."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from functions import Lambda, gain, jacobian
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from deepnorm.norms import lipschitz, spectral_complexity

#: Rounding of a chain of products in double precision.
ROUNDING = 1e-10


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def steepest(module, shape, tries=5):
    """The largest Jacobian seen at random points."""
    module.double().eval()
    points = (torch.randn((1, *shape), dtype=torch.float64) for _ in range(tries))
    return max(float(torch.linalg.matrix_norm(jacobian(module, x), 2)) for x in points)


# -------------------------------------------------------------- functions without weights


@pytest.mark.parametrize(
    "module",
    [
        *(nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.3), nn.LeakyReLU(-2.0), nn.ELU(), nn.ELU(1.7)),
        *(nn.CELU(0.4), nn.SELU(), nn.GELU(), nn.GELU(approximate="tanh"), nn.SiLU(), nn.Mish()),
        *(nn.Sigmoid(), nn.Tanh(), nn.Softplus(), nn.Softplus(3.0), nn.Softsign(), nn.Hardtanh()),
        *(nn.Hardswish(), nn.Hardsigmoid(), nn.LogSigmoid(), nn.Tanhshrink(), nn.Softshrink()),
        *(nn.RReLU(), nn.PReLU(init=-1.5), nn.PReLU(3, 0.2), nn.Threshold(0.5, 0.5)),
    ],
    ids=str,
)
def test_slopes_of_activations(module):
    x = torch.linspace(-8, 8, 48000, dtype=torch.float64).view(1, 3, -1).requires_grad_()
    module.double().eval()
    (slope,) = torch.autograd.grad(module(x).sum(), x)
    # The steepest point lies within half a step of one that was tried; torch's own 1/6 of the
    # hard sigmoid is one in single precision.
    assert gain(module, (3, 8)) == pytest.approx(float(slope.abs().max()), rel=8e-4)
    assert gain(module, (3, 8)) >= float(slope.abs().max()) * (1 - 1e-7)


def test_softmax_and_its_logarithm():
    half = torch.tensor([[0.0, 0.0, -80.0, -80.0]], dtype=torch.float64)
    one = torch.tensor([[0.0, -80.0, -80.0, -80.0]], dtype=torch.float64)
    for module, worst in ((nn.Softmax(-1), half), (nn.LogSoftmax(-1), one)):
        exact = float(torch.linalg.matrix_norm(jacobian(module, worst), 2))
        assert gain(module, (4,)) == pytest.approx(exact, rel=1e-10)
        assert steepest(module, (4,)) <= exact


LINEAR = [
    (nn.AvgPool2d(2), (2, 6, 6)),
    (nn.AvgPool2d(3, 2, 1), (1, 7, 6)),
    (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (1, 7, 6)),
    (nn.AvgPool2d(3, 2, ceil_mode=True), (1, 6, 6)),
    (nn.AvgPool2d(2, divisor_override=3), (1, 6, 6)),
    (nn.AvgPool1d(3, 1), (2, 7)),
    (nn.AdaptiveAvgPool2d(1), (2, 5, 4)),
    (nn.AdaptiveAvgPool2d((3, 2)), (1, 7, 5)),
    (nn.Upsample(scale_factor=2), (1, 3, 4)),
    (nn.Upsample(size=(5, 7)), (1, 3, 4)),
    (nn.Upsample(scale_factor=2, mode="bilinear"), (1, 3, 4)),
    (nn.Upsample(size=(5, 7), mode="bilinear", align_corners=True), (1, 3, 4)),
    (nn.ReflectionPad2d(2), (1, 4, 5)),
    (nn.CircularPad1d(3), (2, 4)),
    (nn.ReplicationPad2d((1, 0, 2, 1)), (1, 4, 4)),
    (nn.ZeroPad2d(2), (1, 4, 4)),
    (nn.ConstantPad2d((-1, 1, 0, 0), 0.0), (1, 4, 4)),
    (nn.PixelShuffle(2), (4, 2, 3)),
    (nn.Unfold(3, padding=1), (1, 4, 5)),
    (Lambda(lambda m, x: x.repeat(1, 3)), (4,)),
    (Lambda(lambda m, x: x.expand(1, 5, 4)), (1, 4)),
    (Lambda(lambda m, x: x[:, 0]), (3, 4)),
    (Lambda(lambda m, x: x[:, [0, 0, 1]]), (3, 4)),
    (Lambda(lambda m, x: x.flip(1).transpose(1, 2).reshape(1, -1)), (3, 4)),
    (Lambda(lambda m, x: x.mean((1, 2))), (3, 4)),
    (Lambda(lambda m, x: x.sum(1)), (3, 4)),
    (Lambda(lambda m, x: x + x), (4,)),
    (Lambda(lambda m, x: torch.stack([x, x])), (4,)),
    (Lambda(lambda m, x: torch.cat([x, 2 * x], 1)), (4,)),
    (Lambda(lambda m, x: torch.add(x, 2 * x, alpha=3)), (4,)),
    (Lambda(lambda m, x: x / 4 + 1), (4,)),
    (Lambda(lambda m, x: 1 - x), (4,)),
    (Lambda(lambda m, x: x * torch.arange(4.0)), (4,)),
    (Lambda(lambda m, x: x.chunk(2, 1)[0]), (4,)),
    (Lambda(lambda m, x: x[:, :, None] + torch.zeros(1, 4, 3)), (4,)),
]


@pytest.mark.parametrize(("module", "shape"), LINEAR, ids=lambda value: str(value)[:50])
def test_linear_functions_without_weights_have_their_exact_norm(module, shape):
    x = torch.randn((1, *shape), dtype=torch.float64)
    exact = float(torch.linalg.matrix_norm(jacobian(module, x), 2))
    assert gain(module, shape) == pytest.approx(exact, rel=ROUNDING)


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.MaxPool2d(2), (1, 6, 6)),
        (nn.MaxPool2d(3, 2), (1, 9, 9)),
        (nn.MaxPool2d(3, 2, 1), (1, 8, 8)),
        (nn.MaxPool2d(3, 1), (1, 7, 7)),
        (nn.MaxPool1d(3, 2, dilation=2), (1, 12)),
        (nn.MaxPool2d(3, 2, ceil_mode=True), (1, 8, 8)),
        (nn.AdaptiveMaxPool2d((3, 4)), (1, 7, 6)),
        (nn.AdaptiveMaxPool2d(1), (1, 7, 6)),
    ],
    ids=str,
)
def test_max_pooling_is_exact(module, shape):
    # The steepest point has one peak where most windows see it: all places are tried.
    places = math.prod(shape)
    seen = 0.0
    for place in range(places):
        x = torch.rand(places, dtype=torch.float64)
        x[place] = 5.0
        J = jacobian(module, x.view(1, *shape))
        seen = max(seen, float(torch.linalg.matrix_norm(J, 2)))
    assert gain(module, shape) == pytest.approx(seen, rel=ROUNDING)


# ------------------------------------------------------------------- whole networks


class Block(nn.Module):
    def __init__(self, width, out, stride=1):
        super().__init__()
        self.one = nn.Conv2d(width, out, 3, stride, 1, bias=False)
        self.two = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(out), nn.BatchNorm2d(out)])
        self.short = nn.Conv2d(width, out, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        y = self.norms[1](self.two(F.relu(self.norms[0](self.one(x)))))
        return F.relu(y + self.short(x))


class Dense2(nn.Module):
    """Side by side, as in a DenseNet, with a U-shaped path."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (
            nn.Conv2d(1, 2, 3, padding=1),
            nn.Conv2d(3, 2, 3, padding=1),
            nn.Conv2d(5, 1, 1),
        )

    def forward(self, x):
        y = torch.cat([x, F.silu(self.a(x))], 1)
        low = F.interpolate(F.avg_pool2d(self.b(y), 2), scale_factor=2)
        return self.c(torch.cat([y, torch.tanh(low)], dim=1))


def with_statistics(model, shape):
    """Running statistics and gains as after some training."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_var.uniform_(0.3, 3)
            module.running_mean.normal_()
            module.weight.data.normal_()
    return model


NETWORKS = {
    "residual": lambda: nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), Block(2, 2), Block(2, 3, 2), nn.Flatten(), nn.Linear(27, 4)
    ),
    "dense": Dense2,
    "norms before maps": lambda: nn.Sequential(
        nn.BatchNorm2d(1),
        nn.ReLU(),
        nn.Conv2d(1, 2, 2),
        nn.Flatten(),
        nn.BatchNorm1d(50),
        nn.ELU(),
        nn.Linear(50, 5),
        nn.BatchNorm1d(5),
    ),
    "layer scale": lambda: Lambda(
        lambda m, x: x + m.scale * m.layer(x.flatten(2)).view_as(x) - 0.5,
        scale=torch.randn(1, 1, 6),
        layer=nn.Linear(36, 36),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_no_jacobian_is_larger_than_the_gain(name):
    model = with_statistics(NETWORKS[name](), (1, 6, 6))
    seen = steepest(model, (1, 6, 6))
    bound = gain(model, (1, 6, 6))
    assert seen <= bound
    assert bound < 60 * seen  # a bound of products, not an absurd one


def test_a_chain_is_eq_2():
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.GELU(), nn.MaxPool2d(3, 2), nn.Flatten(), nn.Linear(12, 4)
    ).double()
    found = spectral_complexity(model, (1, 8, 8))
    layers = found.layers[found.layers["counted"]]
    rho = lipschitz.GELU["none"] * 2.0  # an entry is seen by four windows of the pooling
    terms = (layers["norm_21"] / layers["sigma"]) ** (2 / 3)
    eq2 = rho * layers["sigma"].prod() * terms.sum() ** 1.5
    assert found.value == pytest.approx(eq2, rel=1e-12)
    assert layers["share"].tolist() == pytest.approx([1, 1])


def test_the_rule_for_a_residual_layer():
    # y = C (x + B2 rho(B1 x)), eq. (N6): B contributes its share of s = 1 + rho sigma1 sigma2.
    B1, B2, C = (torch.randn(5, 5, dtype=torch.float64) for _ in range(3))
    model = Lambda(lambda m, x: (x + F.silu(x @ m.B1.T) @ m.B2.T) @ m.C.T, B1=B1, B2=B2, C=C)
    s1, s2, sc = (float(torch.linalg.matrix_norm(A, 2)) for A in (B1, B2, C))
    t1, t2, tc = (float(torch.linalg.vector_norm(A, dim=1).mean()) for A in (B1, B2, C))
    rho = lipschitz.SLOPES["silu"]
    s = 1 + rho * s1 * s2
    share = rho * s1 * s2 / s
    terms = [share * t1 / s1, share * t2 / s2, tc / sc]
    expected = sc * s * sum(t ** (2 / 3) for t in terms) ** 1.5
    assert spectral_complexity(model, (5,)).value == pytest.approx(expected, rel=1e-12)
    # With M = 0 the identity is a matrix like the others.
    terms.append(1 / s)
    expected = sc * s * sum(t ** (2 / 3) for t in terms) ** 1.5
    found = spectral_complexity(model, (5,), reference="zero")
    assert found.value == pytest.approx(expected, rel=1e-12)
    skip = found.layers.set_index("name").loc["identity skip 1"]
    assert (skip["sigma"], skip["norm_21"], bool(skip["counted"])) == (1, 1, True)


@given(st.integers(0, 200))
def test_shares_bound_what_a_small_change_does(seed):
    # A linear net with nested branches: change one matrix, and the whole changes by at most
    # (share G / sigma) times the norm of the change, eq. (N5).
    generator = torch.Generator().manual_seed(seed)
    A = {k: torch.randn(3, 3, generator=generator, dtype=torch.float64) for k in "abcde"}

    def whole(m, x):
        y = x @ m.a.T
        inner = y @ m.b.T + (y @ m.c.T) @ m.d.T
        return torch.cat([y + inner @ m.e.T, 2 * inner], dim=1)

    model = Lambda(whole, **A)
    table = spectral_complexity(model, (3,)).layers.set_index("name")
    total = gain(model, (3,))
    x = torch.zeros((1, 3), dtype=torch.float64)
    before = jacobian(model, x)
    assert float(torch.linalg.matrix_norm(before, 2)) <= total * (1 + ROUNDING)
    for name in A:
        change = torch.randn(3, 3, generator=generator, dtype=torch.float64)
        changed = Lambda(whole, **(A | {name: A[name] + change}))
        effect = float(torch.linalg.matrix_norm(jacobian(changed, x) - before, 2))
        size = float(torch.linalg.matrix_norm(change, 2))
        row = next(row for index, row in table.iterrows() if index.split(" ")[0] == name)
        assert effect <= row["share"] * total / row["sigma"] * size * (1 + ROUNDING)


def test_a_layer_of_zeros_in_a_branch_is_no_trouble():
    model = with_statistics(Block(2, 2), (2, 4, 4))
    model.norms[1].weight.data.zero_()
    found = spectral_complexity(model, (2, 4, 4))
    assert np.isfinite(found.log_value) or found.log_value == -math.inf
    assert found.layers["share"].max() <= 1
    model.two.weight.data[0, 0, 0, 0] = 1.0
    chain = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    chain[0].weight.data.zero_()
    # the product with what stands beside the zero is all that is left: t = 0 there
    assert spectral_complexity(chain, (3,)).value == 0


# ---------------------------------------------------------------------- batch norm


def folded(model):
    """The same network with its batch norms multiplied into the convolutions before them."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    model.eval()
    model.one = fuse_conv_bn_eval(model.one, model.norms[0])
    model.two = fuse_conv_bn_eval(model.two, model.norms[1])
    model.norms = nn.ModuleList([nn.Identity(), nn.Identity()])
    return model


def test_folding_leaves_the_function_and_the_norm():
    model = with_statistics(Block(2, 2), (2, 5, 5)).double()
    x = torch.randn((3, 2, 5, 5), dtype=torch.float64)
    before, norm = model.eval()(x), spectral_complexity(model, (2, 5, 5))
    folded(model)
    assert torch.allclose(model(x), before)
    assert spectral_complexity(model, (2, 5, 5)).log_value == pytest.approx(
        norm.log_value, abs=1e-8
    )
    row = norm.layers.set_index("name").loc["norms.0.weight"]
    assert row["reason"] == "folded into one.weight"
    assert row["counted"]


@pytest.mark.parametrize("affine", [True, False])
def test_a_batch_norm_that_cannot_be_folded_is_a_diagonal_matrix(affine):
    model = nn.Sequential(nn.BatchNorm2d(2, affine=affine), nn.Conv2d(2, 2, 3)).double()
    model[0].running_var.copy_(torch.tensor([0.25, 4.0]))
    found = spectral_complexity(model, (2, 5, 5)).layers
    row = found[found["kind"] == "batch norm"].iloc[0]
    assert row["name"] == ("0.weight" if affine else "0.running_var")
    assert row["sigma"] == pytest.approx(2.0, rel=1e-4)
    assert row["norm_21"] == pytest.approx((2 + 0.5) / 2, rel=1e-4)
    assert row["counted"]


def test_a_convolution_that_others_read_keeps_its_batch_norm_apart():
    model = Lambda(
        lambda m, x: (lambda y: m.norm(y) + y)(m.conv(x)),
        conv=nn.Conv2d(1, 2, 3),
        norm=nn.BatchNorm2d(2),
    )
    kinds = spectral_complexity(with_statistics(model, ()), (1, 5, 5)).layers["kind"].tolist()
    assert kinds.count("batch norm") == 1
    table = spectral_complexity(model, (1, 5, 5)).layers
    assert np.isfinite(table[table["kind"] == "batch norm"]["sigma"]).all()


def test_scaling_a_relu_layer_up_and_the_next_down_changes_no_product():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)).double()
    before = spectral_complexity(model, (1, 6, 6))
    model[0].weight.data *= 7
    model[3].weight.data /= 7
    after = spectral_complexity(model, (1, 6, 6))
    assert after.log_value == pytest.approx(before.log_value, abs=1e-8)


# ------------------------------------------------------- the same network in other words


def test_modules_functions_and_bare_parameters_are_seen_alike():
    layer, kernel = nn.Linear(18, 4), nn.Conv2d(1, 2, 3)
    W = layer.weight.data
    module = nn.Sequential(kernel, nn.ReLU(inplace=True), nn.Flatten(), layer)

    def first(m, x):
        return F.relu(F.conv2d(x, m.K)).flatten(1)

    forms = [
        Lambda(lambda m, x: F.linear(first(m, x), m.W), K=kernel.weight.data, W=W),
        Lambda(lambda m, x: first(m, x) @ m.W, K=kernel.weight.data, W=W.T.clone()),
        Lambda(lambda m, x: first(m, x) @ m.W.T, K=kernel.weight.data, W=W),
        Lambda(
            lambda m, x: torch.addmm(m.b, first(m, x), m.W.t()),
            K=kernel.weight.data,
            W=W,
            b=torch.ones(4),
        ),
        Lambda(lambda m, x: torch.einsum("bi,oi->bo", first(m, x), m.W), K=kernel.weight.data, W=W),
        Lambda(lambda m, x: (m.W @ first(m, x).T).T, K=kernel.weight.data, W=W),
    ]
    expected = spectral_complexity(module, (1, 5, 5)).log_value
    for form in forms:
        found = spectral_complexity(form, (1, 5, 5))
        assert found.log_value == pytest.approx(expected, abs=1e-8)
        assert found.layers["counted"].sum() == 2


def test_a_one_by_one_convolution_is_a_dense_matrix_at_every_place():
    conv = nn.Conv2d(3, 4, 1)
    dense = Lambda(
        lambda m, x: x.flatten(2).transpose(1, 2) @ m.W.T, W=conv.weight.data[:, :, 0, 0]
    )
    for convention in ("eq2", "bartlett", "vit-paper"):
        norms = [
            spectral_complexity(m, (3, 5, 4), convention=convention).log_value
            for m in (conv, dense)
        ]
        assert norms[0] == pytest.approx(norms[1], abs=1e-12)


class Attention(nn.Module):
    """Multi-head attention in four ways of writing it."""

    def __init__(self, module, how):
        super().__init__()
        self.module, self.how = module, how

    def forward(self, x):
        m, (B, T, D), H = self.module, x.shape, self.module.num_heads
        if self.how == "module":
            return m(x, x, x, need_weights=False)[0]
        if self.how == "split":
            q, k, v = F.linear(x, m.in_proj_weight, m.in_proj_bias).chunk(3, dim=-1)
            q, k, v = (y.reshape(B, T, H, D // H).transpose(1, 2) for y in (q, k, v))
        elif self.how == "unbind":
            joint = F.linear(x, m.in_proj_weight, m.in_proj_bias)
            q, k, v = joint.reshape(B, T, 3, H, D // H).permute(2, 0, 3, 1, 4).unbind(0)
        else:
            q, k, v = (
                (x @ m.in_proj_weight[i * D : (i + 1) * D].T).view(B, T, H, -1).transpose(1, 2)
                for i in range(3)
            )
        if self.how == "split":
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = F.softmax((q * (D // H) ** -0.5) @ k.transpose(-2, -1), dim=-1) @ v
        return m.out_proj(y.transpose(1, 2).reshape(B, T, D))


def test_attention_is_a_chain_however_it_is_written():
    module = nn.MultiheadAttention(8, 2, batch_first=True).double()
    found = {
        how: spectral_complexity(Attention(module, how), (5, 8))
        for how in ("module", "split", "unbind", "apart")
    }
    D = 8
    matrices = [module.in_proj_weight[i * D : (i + 1) * D] for i in range(3)]
    matrices.append(module.out_proj.weight)
    sigma = [float(torch.linalg.matrix_norm(A.detach(), 2)) for A in matrices]
    t = [float(torch.linalg.vector_norm(A.detach(), dim=1).mean()) for A in matrices]
    expected = (
        math.prod(sigma) * sum((a / b) ** (2 / 3) for a, b in zip(t, sigma, strict=True)) ** 1.5
    )
    for result in found.values():
        assert result.value == pytest.approx(expected, rel=1e-10)
        assert any("not globally Lipschitz" in note for note in result.notes)
    for how in ("module", "split", "unbind"):
        names = found[how].layers["name"].tolist()
        assert names[:3] == [f"module.in_proj_weight[{p}]" for p in ("0:8", "8:16", "16:24")]


def test_keys_and_values_of_another_width():
    class Cross(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.attend = (
                nn.Linear(8, 5),
                nn.MultiheadAttention(8, 2, kdim=5, vdim=5, batch_first=True),
            )

        def forward(self, x):
            y = self.inner(x)
            return self.attend(x, y, y)[0]

    table = spectral_complexity(Cross(), (4, 8)).layers
    names = table[table["counted"]]["name"].tolist()
    assert [name.split(".")[-1] for name in names] == [
        *("weight", "q_proj_weight", "k_proj_weight", "v_proj_weight", "weight")
    ]
    # The inner layer stands twice in the chain, before the keys and before the values.
    assert table[table["counted"]]["share"].tolist() == pytest.approx([2, 1, 1, 1, 1])


def test_a_transformer_block_is_seen_whole():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
    found = spectral_complexity(layer, (5, 8), strict=True)
    assert found.layers["counted"].sum() == 8  # four of attention, two of the MLP, two gains
    assert {"layer norm" in note for note in found.notes} == {True, False}


def test_a_layer_that_is_used_twice_is_two_layers():
    layer = nn.Linear(4, 4).double()
    model = nn.Sequential(layer, nn.ReLU(), layer)
    found = spectral_complexity(model, (4,))
    apart = nn.Sequential(layer, nn.ReLU(), nn.Linear(4, 4).double())
    apart[2].load_state_dict(layer.state_dict())
    assert found.log_value == pytest.approx(spectral_complexity(apart, (4,)).log_value, abs=1e-12)
    names = found.layers["name"].tolist()
    assert names == ["0.weight", "0.weight (use 2)", "0.bias"]
    assert "the same tensor as 2.weight" in found.layers["reason"][0]


def test_weights_that_are_computed_from_parameters():
    model = nn.utils.parametrizations.weight_norm(nn.Linear(5, 3))
    plain = nn.Linear(5, 3)
    plain.weight.data = model.weight.detach().clone()
    found = spectral_complexity(model, (5,))
    assert found.log_value == pytest.approx(spectral_complexity(plain, (5,)).log_value, abs=1e-10)
    assert found.layers["counted"].tolist() == [False, True, True]


def test_what_is_added_or_never_used_is_listed():
    model = Lambda(
        lambda m, x: m.layer(torch.cat([m.token.expand(len(x), -1, -1), x], 1) + m.position)[:, 0],
        token=torch.zeros(1, 1, 4),
        position=torch.randn(1, 4, 4),
        layer=nn.Linear(4, 2),
        spare=torch.ones(3),
    )
    table = spectral_complexity(model, (3, 4)).layers.set_index("name")
    assert table["counted"].to_dict() == {
        "token": False,
        "position": False,
        "spare": False,
        "layer.weight": True,
        "layer.bias": False,
    }
    assert "additive" in table.loc["position", "reason"]
    assert "never used" in table.loc["spare", "reason"]
    assert "bias" in table.loc["layer.bias", "reason"]


def test_a_branch_that_leads_nowhere_is_listed():
    model = Lambda(
        lambda m, x: (m.lost(x), m.layer(x))[1], lost=nn.Linear(3, 3), layer=nn.Linear(3, 2)
    )
    table = spectral_complexity(model, (3,)).layers.set_index("name")
    assert not table.loc["lost.weight", "counted"]
    assert "does not depend on it" in table.loc["lost.weight", "reason"]


def test_an_embedding_is_listed_and_the_rest_is_counted():
    model = nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 2))
    found = spectral_complexity(model, torch.tensor([[1, 2, 3]]))
    table = found.layers.set_index("name")
    assert not table.loc["0.weight", "counted"]
    assert table.loc["2.weight", "counted"]
    assert any("embedding" in note for note in found.notes)


def test_an_exported_program_has_the_norm_of_its_module():
    model = with_statistics(
        nn.Sequential(
            nn.Conv2d(1, 2, 3, padding="same", padding_mode="circular"),
            nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(),
            nn.Linear(18, 4), nn.GELU(), nn.Linear(4, 2),
        ),
        (),
    ).eval()  # fmt: skip
    program = torch.export.export(model, (torch.randn(1, 1, 6, 6),)).module()
    expected = spectral_complexity(model, (1, 6, 6)).log_value
    assert spectral_complexity(program, (1, 6, 6), strict=True).log_value == pytest.approx(
        expected, abs=1e-9
    )


def test_writing_in_place_is_seen():
    def write(m, x):
        y = torch.zeros(1, 8, dtype=x.dtype)
        y[:, :4] = m.layer(x)
        y[:, 4:] = x
        return y.relu_()

    model = Lambda(write, layer=nn.Linear(4, 4)).double()
    layer = model.layer.weight.detach()
    sigma = float(torch.linalg.matrix_norm(layer, 2))
    assert gain(model, (4,)) == pytest.approx(math.sqrt(1 + sigma**2), rel=ROUNDING)
    through_view = Lambda(
        lambda m, x: (lambda y: (y.view(-1).mul_(3.0), y)[1])(m.layer(x)), layer=nn.Linear(4, 4)
    )
    sigma = float(torch.linalg.matrix_norm(through_view.double().layer.weight.detach(), 2))
    assert gain(through_view, (4,)) == pytest.approx(3 * sigma, rel=ROUNDING)
