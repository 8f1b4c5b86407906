"""Conventions, other norms and margins against their formulas, written plainly."""

import math

import numpy as np
import pytest
import torch
from rounding import U_SINGLE, gamma
from torch import nn

from deepnorm.norms import (
    CONVENTIONS,
    NormTracker,
    UncountedLayerWarning,
    margins,
    other_norms,
    spectral_complexity,
)
from deepnorm.norms.conventions import MatrixConvention

#: Of ln R, from sigmas that are known to 1e-9.
LOG = 1e-7


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(3)


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 3),
    )  # fmt: skip


def matrices(model):
    return [
        module.weight.detach().double().flatten(1).numpy()
        for module in model.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]


def sigma(A):
    return np.linalg.norm(A, 2)


def columns(A):
    return np.linalg.norm(A, axis=0).sum()


def rows(A):
    return np.linalg.norm(A, axis=1).sum()


def operators(model, shape):
    """The dense matrices of the linear layers of a chain."""
    result, x = [], torch.zeros((1, *shape), dtype=torch.float64)
    for layer in model.double():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            size = x.numel()
            unit = torch.eye(size, dtype=torch.float64).view(size, *x.shape[1:])
            with torch.no_grad():
                result.append(
                    (layer(unit) - layer(torch.zeros_like(x))).reshape(size, -1).T.numpy()
                )
        x = layer(x)
    return result


def spelled(norms, sigmas):
    return math.log(np.prod(sigmas)) + 1.5 * math.log(
        sum((t / s) ** (2 / 3) for t, s in zip(norms, sigmas, strict=True))
    )


@pytest.mark.parametrize(("convention", "size"), [("eq2", np.mean), ("bartlett", np.sum)])
def test_eq_2_on_the_true_operators(convention, size):
    model = cnn()
    A = operators(model, (1, 6, 6))
    expected = spelled([size(np.linalg.norm(a, axis=1)) for a in A], [sigma(a) for a in A])
    found = spectral_complexity(model, (1, 6, 6), convention=convention)
    assert found.log_value == pytest.approx(expected, abs=LOG)
    assert found.value == pytest.approx(math.exp(expected), rel=LOG)


def test_the_rows_of_the_operator_and_not_its_columns():
    # ||A^T||_{2,1} has the columns of A^T, which are the rows of A.
    model = nn.Sequential(nn.Linear(8, 2)).double()
    model[0].weight.data = torch.tensor([[1.0] * 8, [0.0] * 8], dtype=torch.float64)
    norm = spectral_complexity(model, (8,)).layers["norm_21"][0]
    assert norm == pytest.approx(math.sqrt(8) / 2)


def test_what_was_logged_for_cnns():
    model = cnn()
    A = matrices(model)
    t = [columns(a) for a in A]
    total = sum((sum(t[i + 1 :]) / sigma(a)) ** (2 / 3) for i, a in enumerate(A))
    expected = sum(math.log(sigma(a)) for a in A) + 1.5 * math.log(total)
    found = spectral_complexity(model, (1, 6, 6), convention="cnn-paper")
    assert found.log_value == pytest.approx(expected, abs=1e-12)
    assert found.reference == "zero"


def test_what_was_logged_for_resnets():
    model = cnn()
    W = matrices(model)[-1]
    found = spectral_complexity(model, (1, 6, 6), convention="resnet-paper")
    assert found.value == pytest.approx(sigma(W) * columns(W), rel=1e-12)
    counted = found.layers[found.layers["counted"]]["name"].tolist()
    assert counted == ["0.weight", "8.weight"]


def test_what_was_logged_for_vits():
    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.patch = nn.Conv2d(1, 8, 3, 3)
            self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            return self.head(self.block(self.patch(x).flatten(2).transpose(1, 2))[:, 0])

    model = Small()
    found = spectral_complexity(model, (1, 6, 6), convention="vit-paper")
    weights = dict(model.named_parameters())
    inner = weights["block.self_attn.in_proj_weight"]
    A = [
        weights["patch.weight"].flatten(1),
        *inner.chunk(3),
        weights["block.self_attn.out_proj.weight"],
    ]
    A += [weights[f"block.linear{i}.weight"] for i in (1, 2)] + [weights["head.weight"]]
    A = [a.detach().double().numpy() for a in A]
    expected = spelled([rows(a) for a in A], [sigma(a) for a in A])
    assert found.log_value == pytest.approx(expected, abs=1e-12)
    assert found.layers["counted"].sum() == 8


def test_batch_norms_play_no_part_in_what_the_authors_logged():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))
    before = spectral_complexity(model, (1, 4, 4), convention="cnn-paper")
    model[1].weight.data *= 5
    after = spectral_complexity(model, (1, 4, 4), convention="cnn-paper")
    assert before.log_value == after.log_value
    assert not after.layers.set_index("name").loc["1.weight", "counted"]


def test_every_convention_has_its_formula_in_its_docstring():
    for name, convention in CONVENTIONS.items():
        assert convention.name == name
        assert convention.__doc__
    assert all("R = " in c.__doc__ for c in CONVENTIONS.values() if isinstance(c, MatrixConvention))


def test_the_initial_weights_as_a_reference():
    model = cnn().double()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    A0 = operators(model, (1, 6, 6))
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    A = operators(model, (1, 6, 6))
    norms = [np.linalg.norm(a - b, axis=1).mean() for a, b in zip(A, A0, strict=True)]
    expected = spelled(norms, [sigma(a) for a in A])
    for initial in (start, cnn().double()):
        if isinstance(initial, nn.Module):
            initial.load_state_dict(start)
        found = spectral_complexity(model, (1, 6, 6), reference="initial", initial=initial)
        assert found.log_value == pytest.approx(expected, abs=LOG)


def test_a_norm_beyond_a_double_has_a_logarithm():
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(200)))
    for layer in model:
        layer.weight.data *= 1e3
    found = spectral_complexity(model, (4,))
    assert found.log_value > 1000
    assert found.value == math.inf


# ---------------------------------------------------------------------- other norms


def test_other_norms_of_a_chain():
    model = cnn().double()
    found = other_norms(model, (1, 6, 6))
    raw, A = matrices(model), operators(model, (1, 6, 6))
    assert found["log_frobenius"] == pytest.approx(
        0.5 * math.log(sum((a**2).sum() for a in raw)), abs=1e-12
    )
    assert found["log_l1"] == pytest.approx(math.log(sum(abs(a).sum() for a in raw)), abs=1e-12)
    assert found["log_norm_21"] == pytest.approx(
        math.log(sum(np.linalg.norm(a, axis=1).mean() for a in A)), abs=1e-12
    )
    assert found["log_sigma_product"] == pytest.approx(sum(math.log(sigma(a)) for a in A), abs=LOG)


def test_the_path_norm_of_a_chain_is_a_product_of_squares():
    model = nn.Sequential(nn.Linear(4, 3), nn.GELU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    A = [a**2 for a in matrices(model)]
    expected = 0.5 * math.log((A[2] @ A[1] @ A[0]).sum())
    assert other_norms(model, (4,))["log_path_norm"] == pytest.approx(expected, abs=1e-6)


def test_paths_through_convolutions_skips_pools_and_batch_norms():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
            self.norm, self.head = nn.BatchNorm2d(2), nn.Linear(2, 3)

        def forward(self, x):
            y = self.a(x)
            y = torch.relu(y + self.norm(self.b(y)))
            y = nn.functional.max_pool2d(y, 2)
            return self.head(nn.functional.adaptive_avg_pool2d(y, 1).flatten(1))

    model = Net()
    model.norm.running_var.copy_(torch.tensor([0.5, 2.0]))
    model.norm.weight.data = torch.tensor([1.5, -0.5])
    squares = Net().double().eval()
    squares.load_state_dict(model.state_dict())
    for module in (squares.a, squares.b, squares.head):
        module.weight.data.square_()
        module.bias.data.zero_()
    gain = model.norm.weight.double() ** 2 / (model.norm.running_var.double() + model.norm.eps)
    with torch.no_grad():
        y = squares.a(torch.ones(1, 1, 6, 6, dtype=torch.float64))
        y = y + squares.b(y) * gain.view(1, -1, 1, 1)
        y = nn.functional.avg_pool2d(y, 2) * 4  # a maximum sums over its window
        y = y.mean((2, 3)) / 9  # an average of nine carries 1/9 squared, nine times
        expected = 0.5 * math.log(float(squares.head(y).sum()))
    assert other_norms(model, (1, 6, 6))["log_path_norm"] == pytest.approx(expected, abs=1e-6)


def test_rescaling_a_relu_layer_changes_no_path():
    model = cnn().double()
    before = other_norms(model, (1, 6, 6))["log_path_norm"]
    for parameter, factor in ((model[0].weight, 3.0), (model[2].weight, 1 / 3)):
        parameter.data *= factor
    assert other_norms(model, (1, 6, 6))["log_path_norm"] == pytest.approx(before, abs=1e-10)


def test_attention_has_no_path_norm_and_an_unknown_function_says_so():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    assert math.isnan(other_norms(layer, (5, 8))["log_path_norm"])

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            return torch.cumsum(self.layer(x), dim=1)

    with pytest.warns(UncountedLayerWarning, match="log_path_norm` is nan: cumsum"):
        assert math.isnan(other_norms(Odd(), (4,))["log_path_norm"])


# ------------------------------------------------------------------------- margins


def test_margins_in_units_of_the_norm():
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(6, 3))
    images, labels = torch.randn(25, 2, 3), torch.randint(3, (25,))
    weight, bias = (p.detach().double().numpy() for p in model[2].parameters())
    x = images.flatten(1).double().numpy()
    scores = x @ weight.T + bias
    expected = np.array(
        [scores[i, y] - max(scores[i, j] for j in range(3) if j != y) for i, y in enumerate(labels)]
    )
    # Of a difference of two scores, seven products each in single precision: an absolute error,
    # since the scores may nearly cancel.
    slack = 2 * gamma(7, U_SINGLE) * (abs(x) @ abs(weight).T + abs(bias)).max(axis=1)
    for log_norm in (0.0, 2.0, 900.0):
        found = margins(model, images, labels, log_norm=log_norm, batch=7)
        assert found.dtype == torch.float64
        scale = math.exp(-log_norm)
        assert np.all(abs(found.numpy() - scale * expected) <= scale * slack)
    assert model.training


def test_a_tie_has_margin_zero():
    model = nn.Linear(2, 2)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    assert margins(model, torch.ones(1, 2), torch.tensor([0])).tolist() == [0.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.zeros(3, dtype=torch.long)}, "`labels` must hold one class for each"),
        ({"labels": torch.zeros(4)}, "`labels` must be integers; got torch.float32"),
        ({"labels": torch.full((4,), 5)}, "`labels` must lie between 0 and 2; got 5 to 5"),
        ({"batch": 0}, "`batch` must be positive; got 0"),
        ({"log_norm": math.nan}, "`log_norm` must be finite; got nan"),
        ({"model": nn.Linear(6, 1)}, "of two or more"),
    ],
)
def test_margins_that_cannot_be(change, message):
    arguments = {
        "model": nn.Linear(6, 3),
        "images": torch.randn(4, 6),
        "labels": torch.zeros(4, dtype=torch.long),
    } | change
    with pytest.raises(ValueError, match=message):
        margins(**arguments)


def test_what_the_authors_logged_later():
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4)
    )
    matrices = [p.detach().double().reshape(len(p), -1) for p in (model[0].weight, model[4].weight)]
    vector = torch.cat([p.detach().double().flatten() for p in model.parameters()])
    columns = sum(float(torch.linalg.vector_norm(W, dim=0).sum()) for W in matrices)
    sigmas = [float(torch.linalg.matrix_norm(W, 2)) for W in matrices]
    expected = {
        "l1-paper": float(vector.abs().sum()),
        "frobenius-paper": float(vector.square().sum()) ** 0.5,
        "sum-21-paper": columns,
        "sigma-product-paper": sigmas[0] * sigmas[1],
    }
    tracker = NormTracker(model, (1, 6, 6), conventions=tuple(expected))
    tracked = tracker.measure()
    for name, value in expected.items():
        found = spectral_complexity(model, (1, 6, 6), convention=name)
        assert found.value == pytest.approx(value, rel=1e-10)
        assert tracked[name] == pytest.approx(math.log(value), abs=1e-10)
    found = spectral_complexity(model, (1, 6, 6), convention="l1-paper")
    assert found.layers["counted"].all()
    assert str(found).endswith("6 parameters counted, 0 parameters not")
