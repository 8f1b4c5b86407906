"""What is refused, what is warned of, what is left as it was; the tracker and its state."""

import contextlib
import io
import math

import pytest
import torch
import torch.nn.utils.prune
from torch import nn

from deepnorm.norms import (
    CONVENTIONS,
    NormTracker,
    UncountedLayerWarning,
    complexity,
    other_norms,
    spectral_complexity,
)

#: A tracked sigma stops earlier than one from nothing; over four layers.
TRACKED = 4e-6


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(5)


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3),
        nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(216, 60),
        nn.ReLU(), nn.Linear(60, 3),
    )  # fmt: skip


SHAPE = (1, 14, 14)


def train(model, optimizer, steps):
    model.train()
    images, labels = torch.randn(32, *SHAPE), torch.randint(3, (32,))
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()


# ------------------------------------------------------------------------ left as it was


def snapshot(model):
    return (
        {name: value.clone() for name, value in model.state_dict().items()},
        [module.training for module in model.modules()],
        [parameter.requires_grad for parameter in model.parameters()],
        [parameter.grad for parameter in model.parameters()],
        torch.get_rng_state(),
        torch.is_grad_enabled(),
        torch.backends.mha.get_fastpath_enabled(),
    )


def same(before, after):
    states = (before[0], after[0])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert before[1:4] == after[1:4]
    assert torch.equal(before[4], after[4])
    assert before[5:] == after[5:]


def test_the_model_is_left_as_it_was():
    model = cnn()
    model[3].eval()
    model[0].weight.requires_grad_(False)
    before = snapshot(model)
    spectral_complexity(model, SHAPE)
    other_norms(model, SHAPE)
    NormTracker(model, SHAPE, conventions=tuple(CONVENTIONS)).measure()
    same(before, snapshot(model))


class Restless(nn.Module):
    """Counts its calls, replaces a buffer, draws random numbers, and may fail."""

    def __init__(self, fails=False):
        super().__init__()
        self.layer, self.fails = nn.Linear(4, 2), fails
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("other", torch.zeros(3))

    def forward(self, x):
        self.calls += 1
        self.other = torch.rand(3)
        if self.fails:
            raise RuntimeError("on purpose")
        return self.layer(x)


@pytest.mark.parametrize("fails", [False, True])
def test_buffers_and_random_numbers_too_even_if_the_model_fails(fails):
    model = Restless(fails)
    before, other = snapshot(model), model.other
    if fails:
        with pytest.raises(ValueError, match="it stopped: RuntimeError: on purpose"):
            spectral_complexity(model, (4,))
    else:
        spectral_complexity(model, (4,))
    same(before, snapshot(model))
    assert model.other is other


# -------------------------------------------------------------------- what is not known


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.table, self.last = (
            nn.Linear(4, 4),
            nn.Parameter(torch.rand(4, 4)),
            nn.Linear(4, 2),
        )

    def forward(self, x):
        return self.last(torch.cdist(self.first(x), self.table))


def test_an_unknown_function_is_listed_warned_of_and_refused_if_strict():
    with pytest.warns(UncountedLayerWarning, match="not counted in the norm: cdist") as caught:
        found = spectral_complexity(Odd(), (4,))
    assert caught[0].filename == __file__
    table = found.layers.set_index("name")
    assert not table.loc["table", "counted"]
    assert "cdist" in table.loc["table", "reason"]
    assert table.loc["(cdist)", "kind"] == "unknown"
    assert any("cdist" in note for note in found.notes)
    assert table.loc["first.weight", "counted"]
    with pytest.raises(ValueError, match=r"`strict` allows only what is known.*cdist"):
        spectral_complexity(Odd(), (4,), strict=True)


def test_dropout_that_stays_on_is_warned_of():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x):
            return nn.functional.dropout(self.layer(x))

    with pytest.warns(UncountedLayerWarning, match="active in evaluation too"):
        spectral_complexity(Noisy(), (4,))


def test_every_parameter_has_a_row():
    for model, shape in (
        (cnn(), SHAPE),
        (Restless(), (4,)),
        (nn.TransformerEncoderLayer(8, 2, 16), (5, 8)),
    ):
        for convention in ("eq2", "vit-paper"):
            table = spectral_complexity(model, shape, convention=convention).layers
            names = {name.split("[")[0] for name in table["name"]}
            assert {name for name, _ in model.named_parameters()} <= names
            assert (table["reason"] != "").all()
            assert {"sigma", "norm_21", "lower", "upper", "method", "shape", "kind"} <= set(table)
            known = table[table["sigma"].notna()]
            assert (known["lower"] <= known["sigma"] * (1 + 1e-12)).all()
            assert (known["sigma"] <= known["upper"] * (1 + 1e-12)).all()


# --------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"input_shape": (1, 28)},
            r"`input_shape` must be the shape of one input of the model.*\(1, 28\)",
        ),
        ({"input_shape": (1, 0, 14)}, "positive integers without the batch"),
        ({"input_shape": "14"}, "`input_shape` must be the shape of one input, positive"),
        ({"input_shape": 14}, "`input_shape` must be the shape of one input, positive"),
        ({"input_shape": (1.5, 2, 3)}, r"got \(1.5, 2, 3\)"),
        ({"input_shape": torch.zeros(2, 1, 14, 14)}, "a batch axis of length 1"),
        ({"convention": "spectral"}, "`convention` must be one of eq2, bartlett, .*got 'spectral'"),
        (
            {"reference": "identity"},
            "`reference` must be one of paper, zero, initial; got 'identity'",
        ),
        ({"reference": "initial"}, "`initial` must be the model at its start, or its state_dict"),
        ({"reference": "initial", "initial": {}}, "`initial` must be a state of the same model"),
        ({"reference": "initial", "initial": nn.Linear(14, 3)}, "`initial` must have the layers"),
        ({"initial": {}}, "`initial` is read where `reference` is 'initial'; got 'paper'"),
        ({"model": lambda x: x}, "`model` must be a torch.nn.Module; got function"),
        ({"model": nn.Flatten()}, "`model` must have a matrix that acts on its input"),
        ({"model": nn.LazyLinear(3)}, "`weight` has no shape yet"),
        (
            {"model": nn.Linear(14, 3), "convention": "resnet-paper"},
            "`convention` resnet-paper needs",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    arguments = {"model": cnn(), "input_shape": SHAPE} | arguments
    with pytest.raises(ValueError, match=message):
        spectral_complexity(**arguments)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite(value):
    model = cnn()
    tracker = NormTracker(model, SHAPE)
    model[3].weight.data[0, 0, 0, 0] = value
    message = r"`model` must have finite weights; `3.weight` holds nan or inf"
    with pytest.raises(ValueError, match=message):
        spectral_complexity(model, SHAPE)
    with pytest.raises(ValueError, match=message):
        tracker.measure()
    with pytest.raises(ValueError, match=message):
        NormTracker(model, SHAPE)


def test_a_model_whose_calls_cannot_be_seen():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x):
            return torch.zeros(1, 2)

    with pytest.raises(ValueError, match="must return a tensor computed from its input"):
        spectral_complexity(Constant(), (4,))


# -------------------------------------------------------------------------- the tracker


@pytest.mark.parametrize("reference", ["paper", "zero", "initial"])
def test_the_tracker_follows_a_training(reference):
    model = cnn()
    names = tuple(CONVENTIONS)
    tracker = NormTracker(model, SHAPE, conventions=names, reference=reference)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(4):
        train(model, optimizer, 3)
        found = tracker.measure()
        assert tuple(found) == names
        for name in names:
            exact = spectral_complexity(
                model,
                SHAPE,
                convention=name,
                reference=reference,
                initial=start if reference == "initial" else None,
            ).log_value
            assert found[name] == pytest.approx(exact, abs=TRACKED)


@pytest.mark.parametrize("reference", ["paper", "initial"])
def test_a_tracker_that_was_saved_goes_on_to_the_bit(reference):
    model = cnn()
    tracker = NormTracker(model, SHAPE, conventions=("eq2", "vit-paper"), reference=reference)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    train(model, optimizer, 2)
    tracker.measure()
    buffer = io.BytesIO()
    torch.save(tracker.state_dict(), buffer)
    train(model, optimizer, 2)
    later = NormTracker(model, SHAPE, conventions=("eq2", "vit-paper"), reference=reference)
    buffer.seek(0)
    later.load_state_dict(torch.load(buffer, weights_only=True))
    for _ in range(3):
        assert tracker.measure() == later.measure()
        train(model, optimizer, 1)


def test_a_state_is_a_copy():
    model = cnn()
    tracker = NormTracker(model, SHAPE)
    tracker.measure()
    state = tracker.state_dict()
    before = {key: value.clone() for key, value in state["vectors"].items()}
    train(model, torch.optim.SGD(model.parameters(), 0.1), 2)
    tracker.measure()
    assert all(torch.equal(before[key], state["vectors"][key]) for key in before)


def test_states_of_another_model_are_refused():
    tracker = NormTracker(cnn(), SHAPE)
    other = NormTracker(
        nn.Sequential(nn.Flatten(), nn.Linear(196, 196), nn.Linear(196, 196)), SHAPE
    )
    other.measure()
    with pytest.raises(ValueError, match="`state` must come from a tracker of the same model"):
        tracker.load_state_dict(other.state_dict())
    initial = NormTracker(cnn(), SHAPE, reference="initial")
    with pytest.raises(ValueError, match="other initial weights"):
        tracker.load_state_dict(initial.state_dict())
    with pytest.raises(ValueError, match="`state` must be a state_dict of a NormTracker"):
        tracker.load_state_dict({"vectors": 3})


def test_computed_weights_are_computed_again():
    model = nn.Sequential(
        nn.Flatten(),
        nn.utils.parametrizations.weight_norm(nn.Linear(196, 30)),
        nn.PReLU(),
        nn.Linear(30, 3),
    )
    tracker = NormTracker(model, SHAPE)
    tracker.measure()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.7)
    exact = spectral_complexity(model, SHAPE).log_value
    assert tracker.measure()["eq2"] == pytest.approx(exact, abs=TRACKED)


def test_parameters_that_were_replaced_are_found():
    model = cnn()
    tracker = NormTracker(model, SHAPE)
    model[8].weight = nn.Parameter(3 * model[8].weight.detach())
    exact = spectral_complexity(model, SHAPE).log_value
    assert tracker.measure()["eq2"] == pytest.approx(exact, abs=TRACKED)


def pruned(model):
    torch.nn.utils.prune.l1_unstructured(model[8], "weight", 0.5)


def grown(model):
    model[10] = nn.Linear(60, 7)


def thicker(model):
    model[3] = nn.Conv2d(4, 5, 3, bias=False)
    model[8] = nn.Linear(180, 60)


def steeper(model):
    model[2] = nn.LeakyReLU(1.5)


def steeper_in_place(model):
    model[9].negative_slope = 2.0


def normed(model):
    torch.nn.utils.parametrizations.weight_norm(model[8])


def hooked(model):
    model[8].register_forward_hook(lambda module, inputs, output: 3 * output)


@pytest.mark.parametrize(
    "change", [pruned, grown, thicker, steeper, steeper_in_place, normed, hooked]
)
def test_a_model_that_has_become_another_is_looked_at_again(change):
    model = cnn()
    model[9] = nn.LeakyReLU(0.1)
    tracker = NormTracker(model, SHAPE, conventions=("eq2", "cnn-paper"))
    before = tracker.measure()
    change(model)
    exact = spectral_complexity(model, SHAPE).log_value
    found = tracker.measure()
    assert found["eq2"] == pytest.approx(exact, abs=TRACKED)
    assert abs(found["eq2"] - before["eq2"]) > 100 * TRACKED or change is normed
    stored = spectral_complexity(model, SHAPE, convention="cnn-paper").log_value
    assert found["cnn-paper"] == pytest.approx(stored, abs=TRACKED)


def test_without_the_initial_weights_of_a_new_matrix_there_is_no_norm():
    model = cnn()
    tracker = NormTracker(model, SHAPE, reference="initial")
    model[10] = nn.Linear(60, 7)
    with pytest.raises(ValueError, match=r"`model` must keep the matrices .*another `10\.weight`"):
        tracker.measure()


@pytest.mark.parametrize("tolerance", [0, -1e-3, 1e-13, 0.5, math.nan, "1e-3", None, [1e-3, 1e-4]])
def test_a_tolerance_that_cannot_be_met_is_refused(tolerance):
    for call in (spectral_complexity, NormTracker):
        with pytest.raises(ValueError, match=r"`tolerance` must lie between 1e-12 and 0\.1"):
            call(cnn(), SHAPE, tolerance=tolerance)


def test_the_bar_comes_to_its_end(monkeypatch):
    seen = []

    class Shown:
        def update(self, done=None, *, total=None, text=None):
            seen.append(total)

        def advance(self, by=1):
            seen.append(-by)

    @contextlib.contextmanager
    def bar(*_, wanted, **options):
        assert options["remaining"]
        assert wanted
        yield Shown()

    monkeypatch.setattr(complexity, "bar", bar)
    spectral_complexity(cnn(), SHAPE, progress=True)
    assert len(seen) == 3
    assert sum(seen) == pytest.approx(0)


def test_a_tracker_refuses_what_the_norm_refuses():
    for arguments, message in (
        ({"conventions": ()}, "`conventions` must name at least one"),
        ({"conventions": ("eq3",)}, "`convention` must be one of"),
        ({"reference": "one"}, "`reference` must be one of"),
        ({"initial": {}}, "`initial` is read where"),
    ):
        with pytest.raises(ValueError, match=message):
            NormTracker(cnn(), SHAPE, **arguments)
    with pytest.warns(UncountedLayerWarning, match="cdist"):
        NormTracker(Odd(), (4,))


# ---------------------------------------------------------------------------- in a line


def test_a_complexity_is_printed_in_a_line():
    found = spectral_complexity(cnn(), SHAPE)
    table = found.layers
    assert table["norm_21"].notna().sum() == 4
    start = f"ln R = {found.log_value:.6g} (eq2, reference paper): 4 matrices counted, "
    assert str(found) == start + "5 parameters not"
    assert repr(found) == str(found)
    one = spectral_complexity(nn.Sequential(nn.Flatten(), nn.Linear(196, 3)), SHAPE)
    assert str(one).endswith(": 1 matrix counted, 1 parameter not")
