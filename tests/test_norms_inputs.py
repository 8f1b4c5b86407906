"""Models as people write them: several inputs, masks, recurrent layers, graphs, checks."""

import math
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from functions import Lambda, jacobian, largest
from torch import nn

from deepnorm.norms import (
    NormTracker,
    UncountedLayerWarning,
    margins,
    other_norms,
    spectral_complexity,
)
from deepnorm.norms import trace as tracing


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(3)


def log_gain(found):
    rows = found.layers[found.layers["norm_21"].notna() & found.layers["counted"].astype(bool)]
    terms = (rows["share"] * rows["norm_21"] / rows["sigma"]) ** (2 / 3)
    return found.log_value - 1.5 * math.log(terms.sum())


# ----------------------------------------------------------------------- what goes in


def test_two_inputs_by_shape_by_tensor_and_by_name():
    model = Lambda(lambda m, u, v: m.a(u) + m.b(v), a=nn.Linear(4, 3), b=nn.Linear(5, 3)).double()
    expected = math.log(largest(model.a.weight) + largest(model.b.weight))
    u, v = torch.rand(1, 4, dtype=torch.float64), torch.rand(1, 5, dtype=torch.float64)
    for given in (
        {"input_shape": ((4,), (5,))},
        {"input_shape": {"v": (5,), "u": (4,)}},
        {"example": (u, v)},
        {"example": {"u": u, "v": v}},
    ):
        assert log_gain(spectral_complexity(model, **given)) == pytest.approx(expected, rel=1e-12)
    tracker = NormTracker(model, example=(u, v))
    value = spectral_complexity(model, example=(u, v)).log_value
    assert tracker.measure()["eq2"] == pytest.approx(value, abs=1e-6)
    assert other_norms(model, example=(u, v))["log_sigma_product"] == pytest.approx(
        math.log(largest(model.a.weight) * largest(model.b.weight))
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "`input_shape` or `example` must be given, and not both"),
        ({"input_shape": (4,), "example": torch.zeros(1, 4)}, "must be given, and not both"),
        ({"example": (4,)}, "`example` must be the arguments of one pass"),
        ({"example": "text"}, "`example` must be the arguments of one pass"),
        ({"input_shape": ((4,), (0,))}, "positive integers"),
        ({"example": torch.zeros(1, 5)}, r"with .*\(1, 5\).* it stopped"),
    ],
)
def test_examples_that_do_not_fit(given, message):
    with pytest.raises(ValueError, match=message):
        spectral_complexity(nn.Linear(4, 2), **given)


class Words(nn.Module):
    """Embeddings, a mask for padding added to scores, and a head on the first token."""

    def __init__(self):
        super().__init__()
        self.table, self.places = nn.Embedding(11, 8), nn.Embedding(6, 8)
        self.q, self.k, self.v = (nn.Linear(8, 8) for _ in range(3))
        self.head = nn.Linear(8, 2)

    def forward(self, ids, mask=None):
        x = self.table(ids) + self.places(torch.arange(ids.shape[1]))
        scores = self.q(x) @ self.k(x).transpose(1, 2) / math.sqrt(8)
        if mask is not None:
            scores = scores + (1.0 - mask[:, None, :].to(scores.dtype)) * -1e4
        return self.head((torch.softmax(scores, -1) @ self.v(x))[:, 0])


def test_a_mask_beside_indices_is_a_constant():
    model = Words().double()
    ids = torch.tensor([[1, 5, 2, 0]])
    plain = spectral_complexity(model, example=ids, strict=True)
    masked = spectral_complexity(model, example=(ids, torch.tensor([[1, 1, 1, 0]])), strict=True)
    named = spectral_complexity(model, example={"ids": ids, "mask": ids > 0}, strict=True)
    assert masked.log_value == pytest.approx(plain.log_value, abs=1e-12)
    assert named.log_value == pytest.approx(plain.log_value, abs=1e-12)


def test_images_of_integers_that_become_numbers_are_data():
    model = Lambda(lambda m, x: m.layer(x.double() / 255), layer=nn.Linear(4, 2).double())
    found = spectral_complexity(model, example=torch.tensor([[1, 200, 3, 4]], dtype=torch.uint8))
    assert log_gain(found) == pytest.approx(math.log(largest(model.layer.weight) / 255))


@dataclass
class Out:
    logits: torch.Tensor
    hidden: tuple


def test_outputs_in_a_dataclass_and_margins_of_mappings():
    layer = nn.Linear(4, 2)
    model = Lambda(lambda m, x: Out(m.layer(x), ()), layer=layer)
    plain = spectral_complexity(nn.Sequential(layer), (4,)).log_value
    assert spectral_complexity(model, (4,)).log_value == plain
    images, labels = torch.rand(3, 4), torch.zeros(3, dtype=int)
    for wrapped in (model, Lambda(lambda m, x: {"logits": m.layer(x)}, layer=layer)):
        assert torch.equal(margins(wrapped, images, labels), margins(layer, images, labels))


# -------------------------------------------------------------------- recurrent layers


def unrolled(m, x, kind):
    h = torch.zeros(x.shape[0], m.hidden_size, dtype=x.dtype)
    c, out = h.clone(), []
    from_input = F.linear(x, m.weight_ih_l0, m.bias_ih_l0)
    for t in range(x.shape[1]):
        a, b = from_input[:, t], F.linear(h, m.weight_hh_l0, m.bias_hh_l0)
        if kind == "lstm":
            i, f, g, o = (a + b).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        else:
            (ar, az, an), (br, bz, bn) = a.chunk(3, -1), b.chunk(3, -1)
            r, z = torch.sigmoid(ar + br), torch.sigmoid(az + bz)
            n = torch.tanh(an + r * bn)
            h = n + z * (h - n) if kind == "gru" else (1 - z) * n + z * h
        out.append(h)
    return torch.stack(out, 1)


@pytest.mark.parametrize("kind", ["lstm", "gru", "gru, the other way"])
def test_recurrent_layers_are_the_loops_that_they_are(kind):
    layer = (nn.LSTM if kind == "lstm" else nn.GRU)(4, 3, batch_first=True).double()
    whole = Lambda(lambda m, x: m.layer(x)[0], layer=layer)
    loop = Lambda(lambda m, x: unrolled(m.layer, x, kind), layer=layer)
    x = torch.rand(1, 5, 4, dtype=torch.float64)
    assert torch.allclose(whole(x), loop(x))
    found = spectral_complexity(whole, (5, 4), strict=True)
    assert spectral_complexity(loop, (5, 4), strict=True).log_value == pytest.approx(
        found.log_value, abs=1e-10
    )
    uses = found.layers[found.layers["counted"].astype(bool)]["name"].str.split(r"[ \[]").str[0]
    assert set(uses) == {"layer.weight_ih_l0", "layer.weight_hh_l0"}


def test_an_lstm_is_bounded_without_a_convention():
    # Gates lie in (0, 1) and cells are bounded: products of bounded tensors are Lipschitz.
    layer = nn.LSTM(3, 2, batch_first=True).double()
    model = Lambda(lambda m, x: m.layer(x)[0], layer=layer)
    found = spectral_complexity(model, (4, 3), strict=True)
    assert found.notes == ()
    bound = log_gain(found)
    for scale in (0.3, 1.0, 3.0):
        x = scale * torch.randn(1, 4, 3, dtype=torch.float64)
        assert math.log(largest(jacobian(model, x))) <= bound


def test_a_gate_of_anything_else_counts_as_one():
    # Squeeze and excite: the gate's matrices are there, the gain is that of what is gated.
    model = Lambda(
        lambda m, x: m.last((y := m.first(x)) * torch.sigmoid(m.gate(y.mean(-1, keepdim=True)))),
        first=nn.Linear(4, 4), gate=nn.Linear(1, 4), last=nn.Linear(4, 2),
    ).double()  # fmt: skip
    found = spectral_complexity(model, (4,), strict=True)
    expected = largest(model.first.weight) * largest(model.last.weight)
    assert log_gain(found) == pytest.approx(math.log(expected), rel=1e-12)
    assert found.layers.set_index("name").loc["gate.weight", "share"] == pytest.approx(1)
    assert any("gate" in note for note in found.notes)


# ----------------------------------------------------------- graphs, low rank, attention


def propagation(edges, n, how):
    def convolve(x, layer):
        x = layer(x)
        row, col = edges
        degree = torch.bincount(col, minlength=n).to(x.dtype)
        weight = (degree[row] * degree[col]).rsqrt()
        if how == "matrix":
            A = torch.zeros(n, n, dtype=x.dtype)
            A[col, row] = weight
            return A @ x
        if how == "sparse":
            return torch.sparse_coo_tensor(torch.stack([col, row]), weight, (n, n)) @ x
        if how == "scatter":
            moved = x.index_select(0, row) * weight[:, None]
            index = col[:, None].expand_as(moved)
            return torch.zeros_like(x).scatter_add_(0, index, moved)
        return x.new_zeros(n, x.shape[1]).index_add(0, col, weight.view(-1, 1) * x[row])

    return convolve


@pytest.mark.parametrize("how", ["matrix", "sparse", "scatter", "index_add"])
@pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")
def test_a_graph_convolution_is_its_propagation_matrix(how):
    n = 7
    ring = torch.arange(n)
    edges = torch.stack(
        [torch.cat([ring, (ring + 1) % n, ring]), torch.cat([(ring + 1) % n, ring, ring])]
    )
    layers = {"a": nn.Linear(5, 4).double(), "b": nn.Linear(4, 2).double()}
    model = Lambda(
        lambda m, x, edges: (go := propagation(edges, n, how))(torch.relu(go(x, m.a)), m.b),
        **layers,
    )
    found = spectral_complexity(model, example=(torch.rand(n, 5, dtype=torch.float64), edges))
    # every degree is 3: the matrix has the norm 1
    expected = largest(model.a.weight) * largest(model.b.weight)
    assert log_gain(found) == pytest.approx(math.log(expected), abs=1e-9)


class LowRank(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.w, self.head = nn.Linear(6, 6), nn.Linear(6, 3)
        self.down, self.up = nn.Linear(6, 2, bias=False), nn.Linear(2, 6, bias=False)
        self.scale = scale

    def forward(self, x):
        y = self.w(x)
        if self.scale:
            y = y + self.up(self.down(F.dropout(x, 0.1, self.training))) * self.scale
        return self.head(torch.relu(y))


def test_low_rank_merged_and_unmerged_agree():
    apart, merged = LowRank(2.0).double(), LowRank(0).double()
    merged.load_state_dict(apart.state_dict())
    merged.w.weight.data += 2.0 * apart.up.weight.data @ apart.down.weight.data
    one = spectral_complexity(apart, (6,), merge_low_rank=True, strict=True)
    assert one.log_value == pytest.approx(spectral_complexity(merged, (6,)).log_value, abs=1e-12)
    table = one.layers.set_index("name")
    assert table.loc["down.weight", "reason"] == "a factor of w.weight"
    three = spectral_complexity(apart, (6,)).layers
    assert three["counted"].sum() == 4


class Grouped(nn.Module):
    """Two heads of queries share one of keys and values."""

    def __init__(self, how):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(8, 8), nn.Linear(8, 4), nn.Linear(8, 4)
        self.o, self.how = nn.Linear(8, 8), how

    def forward(self, x):
        b, t, _ = x.shape
        q = self.q(x).view(b, t, 2, 4).transpose(1, 2)
        k, v = (m(x).view(b, t, 1, 4).transpose(1, 2) for m in (self.k, self.v))
        if self.how == "eager":
            k, v = (z.expand(b, 2, t, 4) for z in (k, v))
            y = torch.softmax((q @ k.transpose(2, 3) / 2).float(), -1).to(x.dtype) @ v
        elif self.how == "by hand":
            k, v = (z.repeat_interleave(2, 1) for z in (k, v))
            scores = torch.exp(torch.einsum("bhid,bhjd->bhij", q, k) * 0.5)
            y = (scores / scores.sum(-1, keepdim=True)) @ v
        elif self.how == "repeated":
            k, v = (z.repeat(1, 2, 1, 1) for z in (k, v))
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
        return self.o(y.transpose(1, 2).reshape(b, t, 8))


def test_grouped_queries_have_one_value_however_they_are_written():
    values = []
    for how in ("eager", "by hand", "repeated", "grouped"):
        torch.manual_seed(0)
        model = Grouped(how).double()
        values.append(spectral_complexity(model, (5, 8), strict=True).log_value)
        if how == "eager":
            parts = (model.q, model.k, model.v, model.o)
            product = math.prod(largest(part.weight) for part in parts)
            found = spectral_complexity(model, (5, 8))
            assert log_gain(found) == pytest.approx(math.log(product), rel=1e-10)
    assert values == pytest.approx([values[0]] * 4, abs=1e-10)


# --------------------------------------------------------------- constants and masks


def test_constants_of_a_normalisation_are_one_thing_as_tensors_and_as_buffers():
    class Normalised(nn.Module):
        def __init__(self, buffers):
            super().__init__()
            std = torch.tensor([0.25, 0.5, 0.2]).view(1, 3, 1, 1)
            if buffers:
                self.register_buffer("std", std)
            else:
                self.std = std
            self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5))

        def forward(self, x):
            return self.net((x - 0.5) / self.std)

    plain, held = Normalised(False), Normalised(True)
    held.net.load_state_dict(plain.net.state_dict())
    values = [spectral_complexity(m, (3, 6, 6)) for m in (plain, held)]
    assert values[0].log_value == pytest.approx(values[1].log_value, abs=1e-12)
    tracker = NormTracker(held, (3, 6, 6))
    held.std.mul_(2.0)  # a buffer may change, and is then looked at again
    assert tracker.measure()["eq2"] == pytest.approx(values[0].log_value - math.log(2), abs=1e-5)


@pytest.mark.parametrize("mask", ["buffer", "tensor", "positive", "numbers"])
def test_a_mask_has_the_factor_one(mask):
    keep = torch.tensor([True, False, True, True])
    model = Lambda(
        lambda m, x: m.b(
            {
                "buffer": lambda y: y * m.keep,
                "tensor": lambda y: y * keep,
                "positive": lambda y: y * (y > 0),
                "numbers": lambda y: y * (y > 0).to(y.dtype),
            }[mask](m.a(x))
        ),
        a=nn.Linear(5, 4), b=nn.Linear(4, 3),
    ).double()  # fmt: skip
    model.register_buffer("keep", keep)
    found = spectral_complexity(model, (5,), strict=True)
    expected = largest(model.a.weight) * largest(model.b.weight)
    assert log_gain(found) == pytest.approx(math.log(expected), rel=1e-12)
    assert found.layers["counted"].sum() == 2


# ------------------------------------------------- checks that no list of rules can replace


class Block(nn.Module):
    def __init__(self, branch):
        super().__init__()
        self.l, self.a, self.h = nn.Linear(5, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.branch = branch

    def forward(self, x):
        y = self.l(x)
        return self.h(y + self.branch(self.a, y))


def scripted(function):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(function)


def fused(x, w, b):
    return torch.relu(torch.nn.functional.linear(x, w, b))


SEEN = {
    "a scripted function": lambda a, y: scripted(fused)(y, a.weight, a.bias),
    "vmap": lambda a, y: torch.vmap(lambda v: F.relu(a(v)))(y),
    "a view of numpy's": lambda a, y: torch.from_numpy(a(y).detach().numpy()).relu(),
    "complex and back": lambda a, y: F.relu(a(y).to(torch.complex128).real),
}
STEPS = {
    "int8": lambda a, y: F.relu(a((y * 16).to(torch.int8).double() / 16)),
    "round": lambda a, y: F.relu(a(torch.round(y * 16) / 16)),
    "sign": lambda a, y: F.relu(a(torch.sign(y))),
}
UNSEEN = {
    "a thread": lambda a, y: ThreadPoolExecutor(1).submit(lambda: F.relu(a(y))).result(),
    "numpy": lambda a, y: torch.from_numpy(np.maximum(a(y).detach().numpy(), 0)),
}


def block(branch):
    torch.manual_seed(5)
    return Block(branch).double()


@pytest.mark.parametrize("name", SEEN)
def test_a_branch_is_seen_however_it_is_run(name):
    expected = spectral_complexity(block(lambda a, y: F.relu(a(y))), (5,), strict=True).log_value
    found = spectral_complexity(block(SEEN[name]), (5,), strict=True)
    assert found.log_value == pytest.approx(expected, abs=1e-12)


def test_a_scripted_module_is_seen():
    model = block(lambda a, y: a(y))
    expected = spectral_complexity(block(lambda a, y: F.relu(a(y))), (5,)).log_value
    model.a = scripted(nn.Sequential(model.a, nn.ReLU()))
    assert spectral_complexity(model, (5,), strict=True).log_value == pytest.approx(expected)


@pytest.mark.parametrize("name", STEPS)
def test_steps_are_warned_of_and_drop_nothing(name):
    with pytest.warns(UncountedLayerWarning, match="jumps"):
        found = spectral_complexity(block(STEPS[name]), (5,))
    assert found.layers.set_index("name").loc["a.weight", "counted"]
    with pytest.raises(ValueError, match=r"`strict` allows only what is known.*jumps"):
        spectral_complexity(block(STEPS[name]), (5,), strict=True)


@pytest.mark.parametrize("name", UNSEEN)
def test_a_branch_that_cannot_be_seen_is_never_silent(name):
    message = r"the output depends on `a.weight`.* by a way that was not seen"
    with pytest.warns(UncountedLayerWarning, match=message):
        found = spectral_complexity(block(UNSEEN[name]), (5,))
    assert any("was not seen" in note for note in found.notes)
    with pytest.warns(UncountedLayerWarning, match=message):
        NormTracker(block(UNSEEN[name]), (5,))
    with pytest.raises(ValueError, match=r"`strict` allows only what is known.*was not seen"):
        spectral_complexity(block(UNSEEN[name]), (5,), strict=True)


def test_a_jacobian_above_its_bound_is_never_silent(monkeypatch):
    # A rule that is wrong: the negative of a tensor as its half.
    rules = dict(tracing.RULES)
    rules["neg"] = lambda call: call.through(call.data[0], 0.5)
    monkeypatch.setattr(tracing, "RULES", rules)
    model = Lambda(lambda m, x: -m.layer(x), layer=nn.Linear(4, 4))
    with pytest.warns(UncountedLayerWarning, match="Jacobian was measured"):
        spectral_complexity(model, (4,))
    with pytest.raises(ValueError, match="Jacobian was measured"):
        spectral_complexity(model, (4,), strict=True)


def test_what_is_looked_up_is_where_the_jacobian_begins(monkeypatch):
    right = tracing.RULES
    wrong = dict(right)
    wrong["linear"] = lambda call: (right["linear"](call), call.through(call.emitted[-1], 0.1))
    model = nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 2))
    ids = torch.tensor([[1, 2, 3]])
    spectral_complexity(model, example=ids, strict=True)
    monkeypatch.setattr(tracing, "RULES", wrong)
    with pytest.raises(ValueError, match="Jacobian was measured"):
        spectral_complexity(model, example=ids, strict=True)


def test_a_rule_that_stops_says_at_which_call(monkeypatch):
    def broken(call):
        raise KeyError("nothing")

    monkeypatch.setattr(tracing, "RULES", dict(tracing.RULES) | {"tanh": broken})
    with pytest.raises(ValueError, match=r"the rule of `tanh` \(aten.tanh.default\).*\(1, 3\)"):
        spectral_complexity(nn.Sequential(nn.Linear(4, 3), nn.Tanh()), (4,))


def test_parameters_without_a_part_are_one_line():
    model = Lambda(lambda m, x: m.a(x), a=nn.Linear(4, 2), b=nn.Linear(3, 3), c=nn.Linear(2, 2))
    found = spectral_complexity(model, (4,), strict=True)
    assert found.notes == (
        "4 parameters have no part in the output (18 numbers): b.weight, b.bias, c.weight, c.bias",
    )
    before = {name: p.clone() for name, p in model.named_parameters()}
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())


def test_a_model_of_chance_cannot_be_looked_at_and_says_so():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.spare = nn.Linear(4, 2), nn.Linear(4, 4)
            self.generator = torch.Generator().manual_seed(1)

        def forward(self, x):
            return self.layer(x) + torch.randn(2, generator=self.generator)

    notes = spectral_complexity(Noisy(), (4,)).notes
    assert any("could not be looked at" in note for note in notes)


def test_a_factor_that_hangs_on_a_parameter_is_looked_at_again():
    # |d(ab)| <= max|a| |db| + max|b| |da|, and max|tanh + shift| is the parameter's.
    model = Lambda(
        lambda m, x: (torch.tanh(m.first(x)) + m.shift) * torch.tanh(m.second(x)),
        first=nn.Linear(4, 3), second=nn.Linear(4, 3), shift=torch.ones(3),
    ).double()  # fmt: skip
    tracker = NormTracker(model, (4,))
    before = tracker.measure()["eq2"]
    model.shift.data *= 5
    after = spectral_complexity(model, (4,), strict=True).log_value
    assert after > before + 0.1
    assert tracker.measure()["eq2"] == pytest.approx(after, abs=1e-5)


def test_complex_weights_are_refused_by_name():
    model = Lambda(
        lambda m, x: m.h(m.l(x.to(torch.complex64)).abs()),
        l=nn.Linear(4, 4, dtype=torch.complex64), h=nn.Linear(4, 2),
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"must have real weights; `l.weight` is complex"):
        spectral_complexity(model, (4,))
