"""The doors of `deepnorm`: norms of networks put together at random, and any configuration."""

import copy
import math
import multiprocessing
import random
import threading
import time
import warnings

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fuzz.strategies import NO_NUMBERS, any_float, any_number, guard
from fuzz.tables import expect, times

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.utils.parametrizations import spectral_norm, weight_norm  # noqa: E402

from deepnorm import other_norms, spectral_complexity  # noqa: E402
from deepnorm.norms import CONVENTIONS, NormTracker, lipschitz, margins  # noqa: E402
from deepnorm.sweeps import Run, grid  # noqa: E402

with warnings.catch_warnings():  # said once in a process, of an even kernel
    warnings.simplefilter("ignore")
    nn.Conv2d(1, 1, 2, padding="same")(torch.zeros(1, 1, 3, 3))

#: ln R against that of dense matrices and their SVD, in double precision: what Lanczos's method is
#: asked for (1e-9 of each sigma) and what its estimate may be short by, over a few layers.
EXACT = 1e-6
#: A tracker stops earlier, and may keep an overtaken vector for a while.
TRACKED = 2e-5

#: A thing whose words fail, or that has more digits than Python writes, cannot be named.
NAMED = [
    value
    for name, value in NO_NUMBERS.items()
    if name not in ("object without words", "endless int", "masked")
]

SLOPES = {
    nn.ReLU: 1.0, nn.Tanh: 1.0, nn.Sigmoid: 0.25, nn.Softplus: 1.0, nn.Flatten: 1.0,
    nn.MaxPool2d: 1.0, nn.Identity: 1.0,
}  # fmt: skip
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
MAPS = (nn.Linear, nn.Conv2d, *NORMS)


def slope(layer):
    """The Lipschitz constant of an activation."""
    if isinstance(layer, nn.LeakyReLU):
        return max(1.0, abs(layer.negative_slope))
    if isinstance(layer, nn.ELU):
        return max(1.0, layer.alpha)
    if isinstance(layer, nn.GELU):
        return lipschitz.GELU["none"]
    return SLOPES[type(layer)]


def convolution(draw, channels, size):
    """Any convolution that fits on the image; None if the one that was drawn does not."""
    groups = draw(st.sampled_from([1, 1, channels]))
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    dilation, stride = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    padding = draw(st.sampled_from([0, 1, 2, "same", "valid"]))
    mode = draw(st.sampled_from(["zeros", "zeros", "circular", "reflect", "replicate"]))
    if isinstance(padding, str):
        stride = 1
    reach = padding if isinstance(padding, int) else dilation * (max(kernel) - 1)
    if mode in ("reflect", "circular") and reach >= min(size):
        return None
    if min(size) + 2 * (padding if isinstance(padding, int) else 0) <= dilation * 2:
        return None
    return nn.Conv2d(
        channels,
        groups * draw(st.integers(1, 2)),
        kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        padding_mode=mode,
        bias=draw(st.booleans()),
    )


@st.composite
def chains(draw):
    """A `Sequential` of layers that fit together, and the shape of its input."""
    torch.manual_seed(draw(st.integers(0, 2**31)))
    if draw(st.booleans()):
        shape = (draw(st.integers(1, 3)), draw(st.integers(3, 6)), draw(st.integers(3, 6)))
    else:
        shape = (draw(st.integers(1, 5)),)
    first, layers = shape, []
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["map", "map", "map", "norm", "function", "other"]))
        image = len(shape) == 3
        layer = None
        if kind == "map" and image:
            layer = convolution(draw, shape[0], shape[1:])
        elif kind == "map":
            layer = nn.Linear(shape[0], draw(st.integers(1, 5)), bias=draw(st.booleans()))
        elif kind == "norm":
            layer = (nn.BatchNorm2d if image else nn.BatchNorm1d)(shape[0])
            layer.running_var.uniform_(0.1, 3)
            nn.init.uniform_(layer.weight, -2, 2)
        elif kind == "function":
            makes = [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.GELU, nn.Identity]
            makes += [lambda: nn.LeakyReLU(2.0), lambda: nn.ELU(1.5)]
            layer = draw(st.sampled_from(makes))()
        elif image:
            pools = [nn.Flatten] + [nn.AvgPool2d, nn.MaxPool2d] * (min(shape[1:]) >= 2)
            make = draw(st.sampled_from(pools))
            layer = make() if make is nn.Flatten else make(2)
        if layer is not None:
            layers.append(layer)
            with torch.no_grad():
                shape = tuple(layer.eval()(torch.zeros(1, *shape)).shape[1:])
    assume(any(isinstance(layer, MAPS) for layer in layers))
    return nn.Sequential(*layers).train(), first


def matrix(function, shape):
    """The matrix of an affine function."""
    zero = torch.zeros(1, *shape, dtype=torch.float64)
    units = torch.eye(zero.numel(), dtype=torch.float64).view(-1, *shape)
    return (function(units) - function(zero)).flatten(start_dim=1).T


def dense_twin(model, shape):
    """Eq. (2), with the average and with the sum over rows, from dense matrices and their SVD."""
    layers = [*copy.deepcopy(model).double().eval()]
    for layer in layers:  # what is added plays no part, and would drown the rest
        for name in ("bias", "running_mean"):
            if isinstance(getattr(layer, name, None), torch.Tensor):
                getattr(layer, name).data.zero_()
    x = torch.zeros(1, *shape, dtype=torch.float64)
    factor, sigmas, averages, sums = 0.0, [], [], []
    with torch.no_grad():
        while layers:
            layer, shape = layers.pop(0), tuple(x.shape[1:])
            if isinstance(layer, MAPS):
                folds = not isinstance(layer, NORMS)
                while layers and isinstance(layers[0], nn.Identity):
                    layers.pop(0)
                if folds and layers and isinstance(layers[0], NORMS):
                    layer = nn.Sequential(layer, layers.pop(0))
                A = matrix(layer, shape)
                rows = torch.linalg.vector_norm(A, dim=1)
                sigmas.append(float(torch.linalg.svdvals(A)[0]))
                averages.append(float(rows.mean()))
                sums.append(float(rows.sum()))
            elif isinstance(layer, nn.AvgPool2d):
                factor += math.log(float(torch.linalg.svdvals(matrix(layer, shape))[0]))
            else:
                factor += math.log(slope(layer))
            x = layer(x)
    if min(sigmas) == 0:
        return -math.inf, -math.inf
    sigma = np.array(sigmas)
    product = factor + np.log(sigma).sum()
    return tuple(
        product + 1.5 * math.log(((np.array(t) / sigma) ** (2 / 3)).sum()) for t in (averages, sums)
    )


class Untouched:
    """A model, and all random numbers, are as they were."""

    def __init__(self, model):
        self.model = model
        self.tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        self.rest = self.look()

    def look(self):
        model = self.model
        return (
            [module.training for module in model.modules()],
            [(id(p), p.requires_grad, id(p.grad)) for p in model.parameters()],
            [(id(b), b._version) for b in model.buffers()],
            [[*m._forward_hooks, *m._forward_pre_hooks] for m in model.modules()],
            torch.get_rng_state().tolist(),
            str(np.random.get_state()),  # noqa: NPY002
            random.getstate(),
            torch.is_grad_enabled(),
            torch.backends.mha.get_fastpath_enabled(),
        )

    def check(self):
        assert self.look() == self.rest
        for name, tensor in self.model.state_dict().items():
            assert torch.equal(tensor, self.tensors[name])


# ---------------------------------------------------------------------------------- networks


@times(2)
@given(
    made=chains(),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    scale=st.sampled_from([1.0, 1.0, 1.0, 1e-20, 1e15, 0.0]),
)
def test_any_chain_has_the_norm_of_its_dense_matrices(made, dtype, scale):
    model, shape = made
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    model = model.to(dtype)
    before = Untouched(model)
    with guard():
        average = spectral_complexity(model, shape)
        total = spectral_complexity(model, shape, convention="bartlett")
        tracked = NormTracker(model, shape, conventions=("eq2", "bartlett")).measure()
        others = other_norms(model, shape)
    before.check()
    expected = dense_twin(model, shape)
    if math.isinf(expected[0]):
        assert average.log_value == total.log_value == tracked["eq2"] == -math.inf
        return
    assert_allclose([average.log_value, total.log_value], expected, rtol=1e-9, atol=EXACT)
    assert_allclose([tracked["eq2"], tracked["bartlett"]], expected, rtol=1e-9, atol=TRACKED)
    rows = average.layers[average.layers["sigma"].notna() & average.layers["counted"]]
    assert (rows["lower"] <= rows["sigma"] * (1 + 1e-12)).all()
    assert (rows["sigma"] <= rows["upper"] * (1 + 1e-12)).all()
    assert_allclose(others["log_sigma_product"], np.log(rows["sigma"]).sum(), atol=EXACT)


class Residual(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attend = nn.MultiheadAttention(4, 2, batch_first=True, dropout=0.3)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.attend(x, x, x, need_weights=False)[0])


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(4, 4)
        self.two = self.one

    def forward(self, x):
        return self.two(torch.relu(self.one(x)))


def odd_models():
    return {
        "residual": (nn.Sequential(Residual(nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 2)), (4,)),
        "attention": (Attention(), (3, 4)),
        "shared": (Shared(), (4,)),
        "weight norm": (nn.Sequential(weight_norm(nn.Linear(4, 3)), nn.Dropout(0.5)), (4,)),
        "spectral norm": (nn.Sequential(spectral_norm(nn.Linear(4, 3)), nn.Tanh()), (4,)),
        "layer norm": (nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 2)), (4,)),
        "frozen": (nn.Sequential(nn.Linear(4, 3).requires_grad_(False)), (4,)),
        "half": (nn.Sequential(nn.Linear(4, 3)).half(), (4,)),
    }


@pytest.mark.parametrize("name", odd_models())
def test_every_kind_of_model_is_measured_and_left_alone(name):
    model, shape = odd_models()[name]
    model.train()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.ones_like(parameter)
    called = []
    model.register_forward_hook(lambda *_: called.append(1))
    before = Untouched(model)
    with guard():
        first = spectral_complexity(model, shape).log_value
        tracker = NormTracker(model, shape)
        again = [tracker.measure()["eq2"] for _ in range(3)]
    before.check()
    assert math.isfinite(first)
    assert_allclose(again, first, atol=TRACKED)
    if name == "residual":
        twin = nn.Sequential(Residual(nn.Linear(4, 4)), nn.ReLU(), nn.Linear(4, 2))
        twin.load_state_dict(model.state_dict())
        assert spectral_complexity(twin, shape).log_value == first


def put(model, where, value):
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    with torch.no_grad():
        tensor = tensors[where]
        tensor.view(-1)[0] = torch.tensor(value, dtype=torch.float64).to(tensor.dtype)


@given(
    where=st.sampled_from(
        ["0.weight", "0.bias", "1.weight", "1.running_var", "1.running_mean", "4.weight"]
    ),
    value=any_float,
    dtype=st.sampled_from([torch.float32, torch.float64]),
    zero=st.booleans(),
)
@example(where="1.running_var", value=-1.0, dtype=torch.float32, zero=False)
@example(where="0.weight", value=1e-160, dtype=torch.float64, zero=True)
@example(where="0.weight", value=1e200, dtype=torch.float64, zero=False)
def test_any_entry_is_measured_or_refused(where, value, dtype, zero):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(18, 2)
    ).to(dtype)
    if zero:
        with torch.no_grad():
            model[0].weight.zero_()
    put(model, where, value)
    with guard():
        found = []
        for measure in (
            lambda: spectral_complexity(model, (1, 3, 3)).log_value,
            lambda: NormTracker(model, (1, 3, 3)).measure()["eq2"],
            lambda: spectral_complexity(model, (1, 3, 3), convention="cnn-paper").log_value,
        ):
            try:
                found.append(measure())
            except ValueError as error:
                expect("`model` must have" in str(error), error)
                found.append(None)
    assert all(value is None or value < math.inf for value in found)
    if found[0] is not None:
        twin = dense_twin(model, (1, 3, 3))[0]
        assert_allclose(found[0], twin, rtol=1e-9, atol=EXACT)
        assert_allclose(found[1], twin, rtol=1e-9, atol=TRACKED)


class Integers(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([[1, 2], [3, 4]]), requires_grad=False)

    def forward(self, x):
        return x @ self.w.to(x.dtype)


class Sparse(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.eye(4).to_sparse())

    def forward(self, x):
        return (self.w @ x.T).T


def test_integers_count_as_the_numbers_that_they_are():
    with guard():
        rows = spectral_complexity(Integers(), (2,)).layers
    sigma = np.linalg.svd(np.array([[1, 2], [3, 4]]))[1][0]
    assert rows["sigma"].dropna().tolist() == pytest.approx([sigma])


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.Sequential(nn.Linear(4, 3, device="meta")), "is on the meta device"),
        (nn.Sequential(nn.LazyLinear(3)), "has no shape yet"),
        (Sparse(), "must have dense tensors"),
        (nn.ReLU(), "must have a matrix"),
        (nn.Linear, "must be a torch.nn.Module; got type"),
        (None, "must be a torch.nn.Module; got NoneType"),
    ],
)
def test_models_without_numbers_are_refused(model, words):
    for measure in (spectral_complexity, NormTracker, other_norms):
        with guard(), pytest.raises(ValueError, match=words):
            measure(model, (4,))


def test_a_complex_model_is_refused():
    model = nn.Sequential(nn.Linear(4, 3, dtype=torch.complex64))
    with guard(), pytest.raises(ValueError, match=r"must have real weights; `0.weight` is complex"):
        spectral_complexity(model, torch.zeros(1, 4, dtype=torch.complex64))
    with guard(), pytest.raises(ValueError, match=r"it stopped"):
        spectral_complexity(model, (4,))


def test_a_quantised_model_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch is about to drop it
        model = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 3)), {nn.Linear})
    with pytest.raises(ValueError, match=r"`model` must"):
        spectral_complexity(model, (4,))


@times(2)
@given(
    shape=st.one_of(
        any_number,
        st.lists(any_number, max_size=3),
        st.sampled_from([*NAMED, (2**70,), (2**62, 2**62), "4", (4, 4), torch.Size([4])]),
        st.sampled_from([torch.zeros(2, 4), torch.zeros(()), torch.zeros(1, 4, device="meta")]),
    )
)
def test_any_shape_is_taken_or_refused(shape):
    model = nn.Linear(4, 2)
    with guard():
        try:
            value = spectral_complexity(model, shape).log_value
        except ValueError as error:
            expect("`input_shape`" in str(error), error)
            return
    assert math.isfinite(value)


@times(2)
@given(
    name=st.sampled_from(["convention", "conventions", "reference", "initial"]),
    value=st.one_of(any_number, st.sampled_from([*NAMED, [], {}, nn.Linear(4, 3), "initial"])),
)
def test_any_option_is_taken_or_refused(name, value):
    model = nn.Linear(4, 2)
    options = {name: value} | ({"reference": "initial"} if name == "initial" else {})
    with guard():
        try:
            if name == "conventions":
                NormTracker(model, (4,), **options).measure()
            else:
                spectral_complexity(model, (4,), **options)
        except ValueError as error:
            expect(f"`{name.removesuffix('s')}" in str(error), error)


def test_a_path_norm_beyond_a_double_is_not_given():
    model = nn.Sequential(*[nn.Linear(4, 4, bias=False, dtype=torch.float64) for _ in range(4)])
    for size in (1e50, 1e-50):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(size)
        with pytest.warns(UserWarning, match=r"leaves the range of a double"):
            found = other_norms(model, (4,))
        assert math.isnan(found["log_path_norm"])
        assert found["log_sigma_product"] == pytest.approx(4 * math.log(4 * size))


@times(2)
@given(
    rows=st.integers(0, 3), batch=any_number, log_norm=any_number,
    labels=st.one_of(st.lists(st.integers(-2, 4), max_size=3), st.sampled_from([None, "x", 5])),
)  # fmt: skip
def test_any_margins_are_given_or_refused(rows, batch, log_norm, labels):
    torch.manual_seed(0)
    images = torch.randn(rows, 4)
    truth = torch.tensor(labels, dtype=torch.int64) if isinstance(labels, list) else labels
    with guard():
        try:
            found = margins(nn.Linear(4, 3), images, truth, log_norm=log_norm, batch=batch)
        except ValueError as error:
            expect(str(error).startswith("`"), error)
            return
    assert found.shape == (rows,)
    assert not found.isnan().any()
    assert (found.abs() < math.inf).all() or log_norm < -600


# ------------------------------------------------------------------------------- the tracker


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["nudge", "zero", "huge", "tiny", "new", "save", "train"]),
            st.integers(0, 3),
        ),
        max_size=8,
    )
)
def test_a_tracker_follows_whatever_the_weights_do(steps):
    torch.manual_seed(1)

    def build():
        return nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4), nn.ReLU(),
            nn.Conv2d(4, 2, 3, stride=2), nn.Flatten(), nn.Linear(8, 3),
        )  # fmt: skip

    model, shape = build(), (2, 6, 6)
    tracker = NormTracker(model, shape, conventions=("eq2", "cnn-paper"))
    with guard():
        for kind, seed in steps:
            generator = torch.Generator().manual_seed(seed)
            weight = [p for p in model.parameters() if p.dim() > 1][seed % 3]
            with torch.no_grad():
                if kind == "nudge":
                    weight.add_(0.01 * torch.randn(weight.shape, generator=generator))
                elif kind == "zero":
                    weight.zero_()
                elif kind in ("huge", "tiny"):
                    weight.mul_(1e9 if kind == "huge" and weight.abs().max() < 1e3 else 1e-9)
                elif kind == "new":
                    weight.copy_(torch.randn(weight.shape, generator=generator))
                elif kind == "train":
                    model.train()
                    model(torch.randn((4, *shape), generator=generator))
            if kind == "save":
                other = NormTracker(model, shape, conventions=("eq2", "cnn-paper"))
                other.load_state_dict(tracker.state_dict())
                assert other.measure() == copy.deepcopy(tracker).measure()
                tracker = other
            found = tracker.measure()
            for name in found:
                cold = spectral_complexity(model, shape, convention=name).log_value
                assert_allclose(found[name], cold, atol=TRACKED)


def test_a_tracker_sees_singular_values_cross():
    """Two groups, of which the second one grows past the first: the old vector has none of it."""
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, groups=2, bias=False, dtype=torch.float64))
    tracker = NormTracker(model, (2, 6, 6))
    kernel = model[0].weight
    with torch.no_grad():
        kernel[1] = kernel[0]
        for step in range(-20, 21):
            kernel[1] = kernel[0] * (1 + 1e-3 * step)
            cold = spectral_complexity(model, (2, 6, 6)).log_value
            assert tracker.measure()["eq2"] == pytest.approx(cold, abs=TRACKED)


@pytest.mark.parametrize("state", [None, {}, 5, {"measurements": "x"}, {"measurements": 1}])
def test_a_foreign_state_is_refused(state):
    tracker = NormTracker(nn.Linear(4, 2), (4,))
    with guard(), pytest.raises(ValueError, match=r"`state` must"):
        tracker.load_state_dict(state)


# ----------------------------------------------------------------------- threads and processes


def measured(_=None):
    torch.manual_seed(4)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
    return spectral_complexity(model, (1, 6, 6)).log_value


class Slow(nn.Flatten):
    """Long enough for another thread to begin before this one ends."""

    def forward(self, x):
        time.sleep(0.02)
        return super().forward(x)


def test_threads_measure_one_model_at_the_same_time():
    torch.manual_seed(4)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), Slow(), nn.Linear(48, 2))
    expected, found = spectral_complexity(model, (1, 6, 6)).log_value, []

    def work():
        found.append(spectral_complexity(model, (1, 6, 6)).log_value)

    threads = [threading.Thread(target=work) for _ in range(4)]
    with guard():
        for thread in threads:
            thread.start()
            time.sleep(0.01)
        for thread in threads:
            thread.join(60)
    assert found == [expected] * 4
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_other_processes_find_the_same(method):
    if method == "fork" and torch.get_num_threads() > 1:
        pytest.skip("a team of OpenMP threads does not survive a fork: torch waits for it for ever")
    expected = measured()
    with guard(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fork of a process with threads is warned about
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.map(measured, range(2)) == [expected] * 2


# ----------------------------------------------------------------------------- configurations


FIELDS = [*Run.__dataclass_fields__]
VALUES = st.one_of(
    any_number,
    st.text(max_size=4),
    st.sampled_from([*NAMED, [], ["eq2"], ("eq2", "eq2"), [[]], torch.tensor([1, 2])]),
    st.sampled_from([np.int64(3), np.float32(0.5), "sgd", "bfloat16", "zero", "../x", "a" * 300]),
)


def changed(**more):
    return {"dataset": "digits", "model": "cnn-small", "P": 50, "seed": 0, "steps": 10} | more


@times(6)
@given(name=st.sampled_from(FIELDS), value=VALUES)
@example(name="learning_rate", value=10**400)
@example(name="records", value=10**9)
@example(name="P", value=np.array([1, 2]))
def test_any_configuration_is_taken_or_refused(name, value):
    with guard():
        try:
            run = Run(**changed(**{name: value}))
        except ValueError as error:
            expect(f"`{name}`" in str(error), error)
            return
        assert Run.from_dict(run.as_dict()) == run
        again = Run.from_dict(run.as_dict())
        assert (again.digest, hash(again)) == (run.digest, hash(run))
        steps = run.record_steps
    assert steps[0] == 1
    assert list(steps) == sorted(set(steps))
    assert "/" not in run.file_name


def test_the_hash_of_a_configuration_does_not_change():
    """It names files: another hash would do every run again."""
    assert Run(**changed()).digest[:12] == "56f64fe4cafc"
    same = changed(P=np.int64(50), learning_rate=np.float64(0.001), conventions=["eq2", "bartlett"])
    assert Run(**same).digest == Run(**changed()).digest


@pytest.mark.parametrize("values", [None, 5, {}, [], "x", {**changed(), "colour": 3}])
def test_unknown_fields_are_refused(values):
    with guard(), pytest.raises(ValueError, match=r"the fields of a run are"):
        Run.from_dict(values)


@times(3)
@given(
    name=st.sampled_from(["model", "dataset", "P", "seeds", "steps", "epochs"]),
    value=st.one_of(VALUES, st.just(np.array([20, 30])), st.just(range(2)), st.just((1, 1))),
)
def test_any_grid_is_made_or_refused(name, value):
    assume(not (name == "seeds" and isinstance(value, int) and value > 1000))
    given = {"model": "cnn-small", "dataset": "digits", "P": [20], "seeds": 1, name: value}
    with guard():
        try:
            runs = grid(**given)
        except ValueError as error:
            expect("`" in str(error), error)
            return
    assert runs
    assert len({run.digest for run in runs}) == len(runs)


def test_conventions_are_all_measured():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
    found = NormTracker(model, (1, 6, 6), conventions=[*CONVENTIONS]).measure()
    for name, value in found.items():
        cold = spectral_complexity(model, (1, 6, 6), convention=name).log_value
        assert value == pytest.approx(cold, abs=TRACKED)
