"""What is spelled otherwise in the wild: each spelling has the value of the one that is known."""

import math

import pytest
import torch
import torch.nn.functional as F
from functions import Lambda
from torch import nn

from deepnorm.norms import UncountedLayerWarning, accounting, spectral_complexity
from deepnorm.norms.trace import trace

#: Rounding of a chain of products in double precision.
ROUNDING = 1e-10


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def log_norm(model, example):
    """Ln R, with no complaint, and with a Jacobian that was measured."""
    found = spectral_complexity(model.double(), example=example, strict=True)
    assert not [note for note in found.notes if "could not" in note]
    return found.log_value


def same(first, second, example, other=None):
    ours, theirs = log_norm(first, example), log_norm(second, other or example)
    assert ours == pytest.approx(theirs, abs=ROUNDING)


# ------------------------------------------------------------------------------ lookups

TABLES = {
    "module": (lambda m, ids: m.table(ids), {"table": nn.Embedding(9, 4)}),
    "function": (lambda m, ids: F.embedding(ids, m.table), {"table": torch.rand(9, 4)}),
    "operator": (lambda m, ids: torch.embedding(m.table, ids), {"table": torch.rand(9, 4)}),
    "bag": (lambda m, ids: m.table(ids)[:, None], {"table": nn.EmbeddingBag(9, 4)}),
}


@pytest.mark.parametrize("spelling", TABLES)
def test_jacobian_begins_at_looked_up_vectors(spelling):
    look, parts = TABLES[spelling]
    model = Lambda(lambda m, ids: m.head(look(m, ids)), head=nn.Linear(4, 3), **parts)
    ids = torch.tensor([[1, 5, 2]])
    graph = trace(model, (ids,))
    sigma = float(torch.linalg.matrix_norm(model.head.weight.detach(), 2))
    gain = accounting._Jacobian(model, (ids,), graph.lookups, 0.0).gain()
    # Three power iterations come from below.
    assert 0.5 * sigma < gain < sigma * (1 + 1e-6)


def test_factor_behind_a_lookup_that_was_not_seen_is_told():
    class Hidden(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return torch.from_numpy(x.detach().numpy().copy()).clone()

        @staticmethod
        def backward(ctx, gradient):
            return 100 * gradient

    table, head = nn.Embedding(9, 4), nn.Linear(4, 3)
    model = Lambda(lambda m, ids: Hidden.apply(m.head(m.table(ids))), table=table, head=head)
    ids = torch.tensor([[1, 5, 2]])
    graph = trace(Lambda(lambda m, ids: m.head(m.table(ids)), table=table, head=head), (ids,))
    sigma = torch.linalg.matrix_norm(head.weight.detach().double(), 2)
    found, _ = accounting.larger_gain(model, (ids,), graph, sigma.log().reshape(1).numpy())
    assert "something on the way from input to output was not seen" in found


def test_table_indexed_as_a_tensor_is_looked_up():
    def head(rows):
        return Lambda(lambda m, ids: m.head(rows(m, ids)), table=table, head=nn.Linear(4, 3))

    table = torch.rand(9, 4)
    ids = torch.tensor([[1, 5, 2]])
    models = [
        head(lambda m, ids: m.table[ids]),
        head(lambda m, ids: m.table.index_select(0, ids[0])[None]),
        head(lambda m, ids: F.embedding(ids, m.table)),
    ]
    for model in models[:2]:
        model.load_state_dict(models[2].state_dict())
    values = [spectral_complexity(m, example=ids, strict=True).log_value for m in models]
    assert values == pytest.approx([values[2]] * 3, abs=ROUNDING)


def test_bias_of_attention_is_no_idle_parameter():
    def forward(m, x):
        q, k, v = m.heads(x).view(1, 5, 3, 2, 4).permute(2, 0, 3, 1, 4)
        places = torch.arange(5)
        bias = m.table((places[:, None] - places).abs()).permute(2, 0, 1)
        return m.attend(q, k, v, bias).transpose(1, 2).flatten(2)

    def written_out(q, k, v, bias):
        return torch.softmax(q @ k.mT / 2 + bias, -1) @ v

    parts = {"heads": nn.Linear(8, 24), "table": nn.Embedding(5, 2)}
    fused = Lambda(forward, attend=F.scaled_dot_product_attention, **parts)
    eager = Lambda(forward, attend=written_out, **parts)
    same(fused, eager, torch.rand(1, 5, 8).double())
    rows = spectral_complexity(fused, (5, 8)).layers.set_index("name")
    assert "additive" in set(rows.loc[["table.weight"], "kind"])


def _written_out(q, k, v, bias):
    return torch.softmax(q @ k.mT / math.sqrt(q.shape[-1]) + bias, -1) @ v


def test_bias_of_attention_that_is_data_counts_as_if_written_out():
    def forward(m, x):
        q, k, v = m.q(x), m.k(x), m.v(x)
        return m.attend(q, k, v, m.bias(x))

    parts = {name: nn.Linear(8, 8) for name in "qkv"} | {"bias": nn.Linear(8, 5)}
    fused = Lambda(forward, attend=F.scaled_dot_product_attention, **parts)
    same(fused, Lambda(forward, attend=_written_out, **parts), torch.rand(1, 5, 8).double())


def test_queries_that_are_parameters_are_a_matrix():
    def forward(m, x):
        q, k, v = (t.view(1, -1, 2, 4).transpose(1, 2) for t in (m.latent, m.k(x), m.v(x)))
        return m.attend(q, k, v, torch.zeros(3, 5).to(x))

    parts = {"latent": torch.rand(1, 3, 8), "k": nn.Linear(8, 8), "v": nn.Linear(8, 8)}
    fused = Lambda(forward, attend=F.scaled_dot_product_attention, **parts)
    eager = Lambda(forward, attend=_written_out, **parts)
    same(fused, eager, torch.rand(1, 5, 8).double())
    table = spectral_complexity(fused, (5, 8)).layers.set_index("name")
    assert table.loc["latent", "counted"]


# ------------------------------------------------------------------------------- graphs

EDGES = torch.tensor([[0, 1, 2, 3, 0, 2, 3], [1, 2, 3, 0, 2, 1, 1]])
WEIGHTS = torch.rand(7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def adjacency(weights=WEIGHTS):
    a = torch.zeros(4, 4, dtype=torch.float64)
    a[EDGES[1], EDGES[0]] = weights
    return a


def _scattered(m, x):
    rows = WEIGHTS[:, None] * x.index_select(-2, EDGES[0])
    return torch.zeros_like(x).scatter_add_(0, EDGES[1][:, None].expand_as(rows), rows)


PROPAGATIONS = {
    "scatter_add": _scattered,
    "index_add": lambda m, x: torch.zeros_like(x).index_add(
        0, EDGES[1], x[EDGES[0]] * WEIGHTS[:, None]
    ),
    "scatter_reduce": lambda m, x: torch.zeros_like(x).scatter_reduce(
        0,
        EDGES[1][:, None].expand(-1, 3),
        x.index_select(0, EDGES[0]) * WEIGHTS[:, None],
        "sum",
    ),
}


@pytest.mark.parametrize("spelling", PROPAGATIONS)
def test_rows_added_along_edges_are_a_matrix(spelling):
    head = nn.Linear(3, 2)
    propagate = PROPAGATIONS[spelling]
    sparse = Lambda(lambda m, x: m.head(propagate(m, x)), head=head)
    dense = Lambda(lambda m, x: m.head(adjacency() @ x), head=head)
    x = torch.rand(4, 3, dtype=torch.float64)
    assert torch.allclose(sparse.double()(x), dense.double()(x), rtol=ROUNDING)
    same(sparse, dense, x)


@pytest.mark.parametrize("reduce", ["sum", "mean", "amax"])
@pytest.mark.parametrize("own", [True, False])
def test_reductions_by_an_index_are_exact(reduce, own):
    """Their Lipschitz constants, against the Jacobian where it is largest."""
    index = torch.tensor([0, 2, 2, 2, 1])

    def reduced(m, x):
        return (
            torch.zeros(1, 3).double().scatter_reduce(1, index[None], x, reduce, include_self=own)
        )

    model = Lambda(lambda m, x: m.function2(m, m.scale * x), scale=torch.ones(5), function2=reduced)
    graph = trace(model.double(), (5,))
    assert not graph.unknown
    x = torch.rand(1, 5, dtype=torch.float64) + 1
    jacobian = torch.autograd.functional.jacobian(lambda x: reduced(None, x), x).reshape(3, 5)
    exact = float(torch.linalg.matrix_norm(jacobian, 2))
    gain = math.exp(graph.gains(torch.zeros(1).numpy()).total)
    assert gain == pytest.approx(exact, rel=ROUNDING)


def test_entries_added_to_data_by_an_index_are_a_sum():
    index = torch.tensor([[0, 1, 1, 1]])
    model = Lambda(lambda m, x: m.head(x).scatter_add(1, index, x), head=nn.Linear(4, 4))
    weight = model.double().head.weight.detach()
    sums = torch.zeros(4, 4, dtype=torch.float64).scatter_(0, index, 1.0)
    graph = trace(model, (4,))
    sigma = torch.linalg.matrix_norm(weight, 2)
    gain = math.exp(graph.gains(sigma.log().reshape(1).numpy()).total)
    assert gain == pytest.approx(float(sigma + torch.linalg.matrix_norm(sums, 2)), rel=ROUNDING)


def test_index_that_is_data_is_told():
    table = torch.zeros(1, 4)
    model = Lambda(
        lambda m, x, i: m.head(x).scatter_add(1, i + i.max(), m.head(x)), head=nn.Linear(4, 4)
    )
    ids = torch.zeros(1, 4, dtype=torch.long)
    assert not trace(model, (table, ids)).unknown  # beside numbers, integers are no data
    with pytest.warns(UncountedLayerWarning, match="chosen by index|depends on the input"):
        spectral_complexity(
            Lambda(
                lambda m, i: m.head(m.table(i)[..., 0]).scatter_add(
                    1, i, m.head(m.table(i)[..., 0])
                ),
                head=nn.Linear(4, 4),
                table=nn.Embedding(3, 1),
            ),
            example=ids,
        )


def _edge_softmax(scores, ends, nodes):
    wide = ends[:, None].expand_as(scores)
    largest = scores.new_zeros(nodes, scores.shape[1])
    largest = largest.scatter_reduce_(0, wide, scores.detach(), "amax", include_self=False)
    top = (scores - largest.index_select(0, ends)).exp()
    sums = top.new_zeros(nodes, top.shape[1]).scatter_add_(0, wide, top) + 1e-16
    return top / sums.index_select(0, ends)


def test_attention_over_the_edges_of_a_complete_graph_is_attention():
    starts, ends = torch.cartesian_prod(torch.arange(4), torch.arange(4)).unbind(1)

    def sparse(m, x):
        h = m.values(x)
        scores = F.leaky_relu(m.of(x)[starts] + m.to_(x)[ends], 0.2)
        alpha = _edge_softmax(scores, ends, 4)
        rows = F.dropout(alpha, 0.5, m.training) * h.index_select(0, starts)
        return torch.zeros_like(h).scatter_add_(0, ends[:, None].expand_as(rows), rows)

    def dense(m, x):
        scores = F.leaky_relu(m.to_(x) + m.of(x).T, 0.2)
        return scores.softmax(1) @ m.values(x)

    parts = {"values": nn.Linear(3, 5), "of": nn.Linear(3, 1), "to_": nn.Linear(3, 1)}
    ours, theirs = Lambda(sparse, **parts).eval(), Lambda(dense, **parts)
    x = torch.rand(4, 3, dtype=torch.float64)
    assert torch.allclose(ours.double()(x), theirs.double()(x), rtol=1e-9)
    same(ours, theirs, x)


# ---------------------------------------------------------------------- scalar products


def test_scalar_products_of_data_are_products_of_matrices():
    parts = {"q": nn.Linear(3, 6), "k": nn.Linear(3, 6)}
    spelled = Lambda(lambda m, x: (m.q(x) * m.k(x)).sum(-1), **parts)
    built_in = Lambda(lambda m, x: (m.q(x)[..., None, :] @ m.k(x)[..., None])[..., 0, 0], **parts)
    same(spelled, built_in, torch.rand(1, 3, dtype=torch.float64))


def test_scalar_products_with_a_parameter_are_dense():
    w = torch.rand(2, 4)
    parts = {"w": w, "first": nn.Linear(3, 8)}
    spelled = Lambda(lambda m, x: (m.first(x).view(-1, 2, 4) * m.w).sum(-1), **parts)
    built_in = Lambda(
        lambda m, x: torch.einsum("nhc,hc->nh", m.first(x).view(-1, 2, 4), m.w), **parts
    )
    same(spelled, built_in, torch.rand(1, 3, dtype=torch.float64))
    row = Lambda(lambda m, x: (m.first(x) * m.w.flatten()).sum(-1, keepdim=True), **parts)
    dense = Lambda(lambda m, x: F.linear(m.first(x), m.w.view(1, 8)), **parts)
    same(row, dense, torch.rand(1, 3, dtype=torch.float64))
    names = spectral_complexity(row, (3,)).layers["name"].tolist()
    assert names.count("w") == 1
    assert not any("use 2" in name for name in names)


# --------------------------------------------------------------------- Fourier transforms

TRANSFORMS = {
    "fft": lambda x: torch.view_as_real(torch.fft.fft(x)),
    "fftn, orthonormal": lambda x: torch.view_as_real(torch.fft.fftn(x, norm="ortho")),
    "rfft2": lambda x: torch.view_as_real(torch.fft.rfft2(x)),
    "irfft": lambda x: torch.fft.irfft(torch.view_as_complex(x[..., :2].contiguous()), n=4),
    "irfft of two": lambda x: torch.fft.irfft(torch.view_as_complex(x[..., :2].contiguous()), n=2),
    "there and back": lambda x: torch.fft.ifft2(torch.fft.fft2(x)).real,
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_fourier_transforms_are_exact(name):
    transform = TRANSFORMS[name]
    model = Lambda(lambda m, x: transform(m.scale * x), scale=torch.ones(4)).double()
    graph = trace(model, (3, 4))
    x = torch.rand(1, 3, 4, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(transform, x).reshape(-1, 12)
    exact = float(torch.linalg.matrix_norm(jacobian, 2))
    assert not graph.unknown
    assert math.exp(graph.gains(torch.zeros(1).numpy()).total) == pytest.approx(exact, rel=ROUNDING)


def test_transform_of_looked_up_vectors_is_seen():
    """Complex numbers that become real ones are no integers that become a mask."""
    table, head = nn.Embedding(9, 4), nn.Linear(4, 3)
    mix = Lambda(lambda m, ids: m.head(torch.fft.fft(m.table(ids)).real), table=table, head=head)
    masked = Lambda(lambda m, ids: mix(ids) + (ids > 3).float()[..., None], mix=mix)
    plain = Lambda(lambda m, ids: m.head(m.table(ids)), table=table, head=head)
    ids = torch.tensor([[1, 5, 2]])
    assert log_norm(masked, ids) - log_norm(plain, ids) == pytest.approx(math.log(2), abs=ROUNDING)


# ---------------------------------------------------------------- tensors over their sizes


def test_normalised_vectors_are_normalised():
    """`F.normalize` expands the norm like the data: that second argument is a shape alone."""
    parts = {"first": nn.Linear(3, 5), "last": nn.Linear(5, 2)}
    by_function = Lambda(lambda m, x: m.last(F.normalize(m.first(x), dim=-1)), **parts)
    by_hand = Lambda(lambda m, x: m.last((h := m.first(x)) / h.norm(dim=-1, keepdim=True)), **parts)
    plain = Lambda(lambda m, x: m.last(m.first(x)), **parts)
    x = torch.rand(1, 3, dtype=torch.float64)
    same(by_function, plain, x)
    same(by_hand, plain, x)


def test_positive_weights_over_their_sum_are_normalised():
    """The largest weights of a softmax, as a mixture of experts takes them."""

    def forward(m, x):
        top = m.first(x).softmax(-1).topk(2, dim=-1).values
        return m.last(top / top.sum(-1, keepdim=True) if m.over else top)

    parts = {"first": nn.Linear(3, 5), "last": nn.Linear(2, 2)}
    x = torch.rand(1, 3, dtype=torch.float64)
    same(Lambda(forward, over=True, **parts), Lambda(forward, over=False, **parts), x)


def test_constant_of_the_type_of_data_is_a_constant():
    parts = {"first": nn.Linear(3, 3)}
    mask = torch.tensor([True, False, True])
    typed = Lambda(lambda m, x: m.first(x) * mask.type_as(x), **parts)
    converted = Lambda(lambda m, x: m.first(x) * mask.double(), **parts)
    same(typed, converted, torch.rand(1, 3, dtype=torch.float64))


def test_complex_numbers_have_two_parts():
    weight = torch.rand(3, 3, dtype=torch.float64)
    model = Lambda(lambda m, x: torch.complex(x, m.w(x)), w=nn.Linear(3, 3, bias=False)).double()
    model.w.weight.data = weight
    sigma = torch.linalg.matrix_norm(weight, 2)
    gain = math.exp(trace(model, (3,)).gains(sigma.log().reshape(1).numpy()).total)
    assert gain == pytest.approx(math.hypot(1, float(sigma)), rel=ROUNDING)


@pytest.mark.parametrize("size", ["mean", "amax", "sum"])
def test_jacobian_of_a_tensor_over_its_size_is_below_its_bound(size):
    """A mean of absolute values is no root of squares: what divides by it may amplify more."""

    def forward(m, x):
        h = m.first(x)
        return h / getattr(h.abs(), size)(-1, keepdim=True)

    model = Lambda(forward, first=nn.Linear(3, 50)).double()
    with torch.no_grad():  # one large number among many
        model.first.weight.mul_(0.01)
        model.first.bias.fill_(0.1)[0] = 5.0
    log_norm(model, torch.rand(1, 3, dtype=torch.float64))


def test_dropout_in_place_is_dropout():
    parts = {"first": nn.Linear(3, 5), "last": nn.Linear(5, 2)}
    x = torch.rand(1, 3, dtype=torch.float64)
    place, apart = (
        Lambda(lambda m, x: m.last(m.drop(m.first(x))), drop=nn.Dropout(inplace=inplace), **parts)
        for inplace in (True, False)
    )
    same(place, apart, x)


def test_folded_patches_are_exact():
    """Patches that overlap are added up: the root of their largest number at one place."""

    def folded(x):
        return F.fold(x, (4, 4), 3, padding=1, stride=2)

    model = Lambda(lambda m, x: folded(m.scale * x), scale=torch.ones(4)).double()
    graph = trace(model, (9, 4))
    x = torch.rand(1, 9, 4, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(folded, x).reshape(16, 36)
    exact = float(torch.linalg.matrix_norm(jacobian, 2))
    assert not graph.unknown
    assert math.exp(graph.gains(torch.zeros(1).numpy()).total) == pytest.approx(exact, rel=ROUNDING)


def test_experts_that_the_data_choose_are_blocks():
    """Each row meets one of several matrices: the largest of their norms."""
    experts = torch.rand(2, 4, 8)  # float32: the operator knows no other
    ends = torch.tensor([3, 5], dtype=torch.int32)
    model = Lambda(lambda m, x: torch._grouped_mm(x, m.experts, ends), experts=experts)
    try:
        model(torch.rand(5, 4))
    except (RuntimeError, ValueError) as error:
        pytest.skip(f"no such operator here: {error}")
    found = spectral_complexity(model, example=torch.rand(5, 4), strict=True)
    sigma = float(torch.linalg.matrix_norm(experts.double(), 2).max())
    assert found.layers["sigma"][0] == pytest.approx(sigma, rel=ROUNDING)
