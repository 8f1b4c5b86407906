"""Files of weights as training scripts leave them: read, refused, and never run."""

import argparse
import json
import os
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
import torch
from rounding import gamma
from torch import nn

from deepnorm.norms import load_weights, read_weights, spectral_complexity, tensor_norms
from deepnorm.norms.weights import file_kind

safetensors = pytest.importorskip("safetensors.torch")


class Net(nn.Module):
    """A convolution, a norm with buffers, a head that is tied to nothing."""

    def __init__(self, width=3):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU())
        self.head = nn.Linear(width * 16, 4)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(5, 5, bias=False)
        self.second = nn.Linear(5, 5, bias=False)
        self.second.weight = self.first.weight


class AttributeDict(dict):
    """As old checkpoints of Lightning have it."""


class Thing:
    """An object of a training script."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


def randomised(model):
    draws = torch.Generator().manual_seed(4)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.randn(tensor.shape, generator=draws, dtype=tensor.dtype))
    return model


@pytest.fixture
def net():
    return randomised(Net())


def prefixed(state, prefix):
    return {prefix + name: tensor for name, tensor in state.items()}


def saved(content, tmp_path, **options):
    path = tmp_path / "file.pt"
    torch.save(content, path, **options)
    return path


def assert_same(tensors, state):
    assert list(tensors) == list(state)
    for name, tensor in state.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor), name


def refused(path, **options):
    with pytest.raises(ValueError, match=r".") as caught:
        read_weights(path, **options)
    assert str(path) in str(caught.value)
    return str(caught.value)


# ----------------------------------------------------------------- weights are found


@pytest.mark.parametrize(
    "key", ["", "state_dict", "model", "net", "some.thing", "trainer.callbacks.weights"]
)
@pytest.mark.parametrize("old", [False, True])
def test_weights_are_found_under_any_keys(net, tmp_path, key, old):
    content = net.state_dict()
    # As torch's optimizers keep it by number, and sharded ones by name.
    moments = {"step": torch.tensor(1.0), "exp_avg": torch.ones(3, 1, 3, 3)}
    optimizer = {"state": {0: moments, "features.0.weight": moments}, "param_groups": []}
    for part in reversed(key.split(".") if key else []):
        content = {part: content, "epoch": 3, "optimizer": optimizer}
        content["random"] = {"torch": torch.get_rng_state()}
        content["best"] = {"loss": torch.tensor(0.3)}
    path = saved(content, tmp_path, _use_new_zipfile_serialization=not old)
    assert file_kind(str(path)) == ("legacy" if old else "zip")
    found = read_weights(path)
    assert found.key == key
    assert_same(found.tensors, net.state_dict())
    assert found.left == ()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_objects_beside_the_weights_are_left_and_named(net, tmp_path, protocol):
    content = {
        "args": argparse.Namespace(lr=0.1),
        "hyper_parameters": AttributeDict(width=3),
        "best": np.float64(0.3),
        "counts": defaultdict(list, a=[1]),
        "seen": {1, 2},
        "thing": Thing(state=[Thing()]),
        "weights": net.state_dict(),
    }
    found = read_weights(saved(content, tmp_path, pickle_protocol=protocol))
    assert_same(found.tensors, net.state_dict())
    names = {name.rpartition(".")[2] for name in found.left}
    assert {"Namespace", "AttributeDict", "Thing"} <= names
    assert "Thing" in " ".join(found.notes)
    assert not names & {"set", "defaultdict", "OrderedDict"}


def test_weights_within_an_object_are_found(net, tmp_path):
    found = read_weights(saved({"state": Thing(weights=net.state_dict())}, tmp_path))
    assert found.key == "state.weights"
    assert_same(found.tensors, net.state_dict())
    found = read_weights(saved(AttributeDict(net.state_dict()), tmp_path))
    assert_same(found.tensors, net.state_dict())


def test_numbers_among_the_tensors_are_told_of(net, tmp_path):
    found = read_weights(saved({**net.state_dict(), "epoch": 3}, tmp_path))
    assert_same(found.tensors, net.state_dict())
    assert found.rest == ("epoch",)
    assert "epoch" in " ".join(found.notes)


def test_of_several_weights_one_has_to_be_named(net, tmp_path):
    other = randomised(Net()).state_dict()
    path = saved({"model": net.state_dict(), "ema": {"shadow": other}}, tmp_path)
    message = refused(path)
    assert "`key` must say which weights" in message
    assert "model, ema.shadow" in message
    assert_same(read_weights(path, key="ema.shadow").tensors, other)
    assert "got 'ema'" in refused(path, key="ema")


def test_a_pickled_module_is_read_without_its_class(net, tmp_path):
    net.register_buffer("fleeting", torch.ones(2), persistent=False)
    for content, key in ((net, ""), ({"ema": net, "epoch": 3}, "ema")):
        found = read_weights(saved(content, tmp_path))
        assert found.module
        assert found.key == key
        assert_same({k: found.tensors[k] for k in net.state_dict()}, net.state_dict())
        assert len(found.tensors) == len(net.state_dict())
        assert any(name.endswith(".Net") for name in found.left)


@pytest.mark.parametrize("old", [False, True])
def test_views_strides_and_types_are_kept(tmp_path, old):
    whole = torch.arange(24.0).view(4, 6)
    state = {
        "a": whole[1:3, ::2],
        "b": whole.T,
        "c": whole.bfloat16(),
        "d": whole.half()[2:],
        "e": whole > 3,
        "f": torch.empty(0, 3),
        "g": torch.tensor(3),
        "h": nn.Parameter(whole.double()),
        "i": torch.zeros(2, 2, dtype=torch.complex64),
    }
    found = read_weights(saved(state, tmp_path, _use_new_zipfile_serialization=not old))
    assert_same(found.tensors, state)


# ------------------------------------------------------------------- prefixes of names


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "_orig_mod.", "model.", "net.", "network.", "a.b.", "model._orig_mod."],
)
def test_a_prefix_is_taken_off_where_the_names_then_fit(net, tmp_path, prefix):
    state = prefixed(net.state_dict(), prefix)
    if prefix:  # a loss beside the network; an average's count
        state |= {"loss.weight": torch.ones(2, 2), "n_averaged": torch.tensor(3)}
    empty = Net()
    notes = load_weights(empty, read_weights(saved({"state_dict": state}, tmp_path)))
    assert_same(empty.state_dict(), net.state_dict())
    assert bool(notes) == bool(prefix)
    if prefix:
        assert f"`{prefix}`" in notes[0]
        assert "loss.weight" in notes[1]


def test_names_of_wrappers_within_names_are_taken_off(net, tmp_path):
    state = {
        "module." + name.replace("features.0.", "features._orig_mod.0.module."): tensor
        for name, tensor in net.state_dict().items()
    }
    empty = Net()
    notes = load_weights(empty, read_weights(saved(state, tmp_path)))
    assert_same(empty.state_dict(), net.state_dict())
    assert "_orig_mod" in notes[0]


def test_a_prefix_of_the_model_s_own_stays(net, tmp_path):
    wrapped = nn.ModuleDict({"module": net})
    empty = nn.ModuleDict({"module": Net()})
    notes = load_weights(empty, read_weights(saved(wrapped.state_dict(), tmp_path)))
    assert notes == ()
    assert_same(empty.state_dict(), wrapped.state_dict())


def test_no_prefix_is_taken_off_where_the_names_do_not_fit(net, tmp_path):
    state = prefixed(net.state_dict(), "module.")
    del state["module.head.bias"]
    with pytest.raises(ValueError, match=r"missing: head\.bias"):
        load_weights(Net(), read_weights(saved(state, tmp_path)))
    state = prefixed(net.state_dict(), "module.") | {"module.more.weight": torch.ones(2, 2)}
    with pytest.raises(ValueError, match=r"unknown: more\.weight"):
        load_weights(Net(), read_weights(saved(state, tmp_path)))
    with pytest.raises(ValueError, match=r"\(3, 1, 3, 3\), not \(5, 1, 3, 3\)"):
        load_weights(Net(5), read_weights(saved(net.state_dict(), tmp_path)))


def test_of_several_prefixes_one_has_to_be_named(net, tmp_path):
    other = randomised(Net()).state_dict()
    both = prefixed(net.state_dict(), "student.") | prefixed(other, "teacher.")
    for content, base in ((both, ""), ({"state_dict": both}, "state_dict.")):
        path = saved(content, tmp_path)
        with pytest.raises(ValueError, match=rf"{base}student, {base}teacher"):
            load_weights(Net(), read_weights(path))
        empty = Net()
        load_weights(empty, read_weights(path, key=f"{base}teacher"))
        assert_same(empty.state_dict(), other)


def test_tied_weights_are_saved_once(tmp_path):
    tied = randomised(Tied())
    safetensors.save_model(tied, str(tmp_path / "file.safetensors"))
    found = read_weights(tmp_path / "file.safetensors")
    assert len(found.tensors) == 1
    empty = Tied()
    load_weights(empty, found)
    assert_same(empty.state_dict(), tied.state_dict())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_no_digit_of_a_weight_is_lost(tmp_path, dtype):
    net = randomised(Net().to(dtype))
    empty = Net().to(torch.float16 if dtype == torch.bfloat16 else torch.float32)
    load_weights(empty, read_weights(saved(net.state_dict(), tmp_path)))
    for name, tensor in net.state_dict().items():
        assert torch.equal(empty.state_dict()[name].double(), tensor.double())


# -------------------------------------------------------------------- nothing is run


def hostile(name, *arguments):
    """An object whose pickle calls a function."""

    class Hostile:
        def __reduce__(self):
            return (name, arguments)

    return Hostile()


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("old", [False, True])
def test_no_code_in_a_file_is_run(net, tmp_path, protocol, old):
    ran = tmp_path / "ran"
    content = {
        "model": net.state_dict(),
        "a": hostile(os.system, f"touch {ran}"),
        "b": hostile(exec, f"open({str(ran)!r}, 'w').close()"),
    }
    found = read_weights(
        saved(content, tmp_path, pickle_protocol=protocol, _use_new_zipfile_serialization=not old)
    )
    assert_same(found.tensors, net.state_dict())
    assert {f"{os.system.__module__}.system", "builtins.exec"} <= {
        name.replace("__builtin__", "builtins") for name in found.left
    }
    assert not ran.exists()
    torch.load(tmp_path / "file.pt", weights_only=False)
    assert ran.exists()  # the file does run it where it is let


def archive(path, program):
    """A file of torch.save whose pickle is this program."""
    with zipfile.ZipFile(path, "w") as records:
        records.writestr("archive/data.pkl", program)
        records.writestr("archive/data/0", bytes(16))
        records.writestr("archive/version", b"3\n")


STORAGE = (
    b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"
)
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
TENSOR = REBUILD + b"(" + STORAGE + b"K\x00K\x02K\x02\x86K\x02K\x01\x86\x89NtR"
KNOWN = [
    REBUILD, b"ccollections\nOrderedDict\n", b"ctorch\nFloatStorage\n", b"ctorch\nfloat32\n",
    TENSOR, STORAGE, b"c__builtin__\nset\n", b"cos\nsystem\n",
]  # fmt: skip


def test_the_programs_below_are_of_the_right_kind(tmp_path):
    archive(tmp_path / "file.pt", b"\x80\x02}X\x01\x00\x00\x00a" + TENSOR + b"s.")
    assert torch.equal(torch.load(tmp_path / "file.pt", weights_only=True)["a"], torch.zeros(2, 2))
    assert torch.equal(read_weights(tmp_path / "file.pt").tensors["a"], torch.zeros(2, 2))


@pytest.mark.parametrize("thing", KNOWN)
@pytest.mark.parametrize("slots", [False, True])
def test_a_pickle_cannot_set_attributes_of_what_it_names(tmp_path, thing, slots):
    state = b"}X\x08\x00\x00\x00functionK\x01s"
    program = b"\x80\x02" + thing + (b"N" + state + b"\x86" if slots else state) + b"b."
    archive(tmp_path / "file.pt", program)
    refused(tmp_path / "file.pt")
    archive(tmp_path / "file.pt", b"\x80\x02}X\x01\x00\x00\x00a" + TENSOR + b"s.")
    assert list(read_weights(tmp_path / "file.pt").tensors) == ["a"]
    assert not hasattr(OrderedDict, "function")


@pytest.mark.parametrize(
    "tensor",
    [
        TENSOR.replace(
            b"K\x02K\x02\x86K\x02K\x01\x86", b"K\x02K\x09\x86K\x02K\x01\x86"
        ),  # too large
        TENSOR.replace(b"K\x00K\x02K\x02\x86", b"J\xff\xff\xff\xffK\x02K\x02\x86"),  # before it
        TENSOR.replace(b"K\x04tQ", b"J\xff\xff\xff\x7ftQ"),  # a storage of 8 GB
        TENSOR.replace(b"\x01\x00\x00\x000X", b"\x01\x00\x00\x007X"),  # of no record
        REBUILD + b"K\x01\x85R",
        TENSOR.replace(b"FloatStorage", b"NoneStorage"),
    ],
)
def test_a_tensor_that_its_file_does_not_hold_is_refused(tmp_path, tensor):
    archive(tmp_path / "file.pt", b"\x80\x02}X\x01\x00\x00\x00a" + tensor + b"s.")
    refused(tmp_path / "file.pt")


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_a_file_cut_short_is_refused(net, tmp_path, kind, share):
    path = tmp_path / ("file.safetensors" if kind == "safetensors" else "file.pt")
    if kind == "safetensors":
        safetensors.save_file(net.state_dict(), path)
    else:
        torch.save(net.state_dict(), path, _use_new_zipfile_serialization=kind == "zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path)


def test_damage_within_the_numbers_is_seen(net, tmp_path):
    path = saved(net.state_dict(), tmp_path)
    content = bytearray(path.read_bytes())
    at = content.find(net.head.weight.detach().numpy().tobytes())
    content[at] ^= 1
    path.write_bytes(content)
    assert "CRC" in refused(path)


def test_what_holds_no_weights_says_what_it_holds(tmp_path):
    assert "it is of type list" in refused(saved([1, 2], tmp_path))
    assert "it is of type Tensor" in refused(saved(torch.zeros(3, 3), tmp_path))
    message = refused(saved({"epoch": 3, "args": argparse.Namespace()}, tmp_path))
    assert "its keys are epoch (int), args (argparse.Namespace)" in message
    assert "neither a file of torch.save nor one of safetensors" in refused(
        written(tmp_path, b"nothing of the kind")
    )
    assert "GGUF" in refused(written(tmp_path, b"GGUF" + bytes(30)))
    assert "torch.save did not write" in refused(written(tmp_path, pickle.dumps({"a": 1})))


def written(tmp_path, content, name="file.bin"):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def test_only_regular_files_are_read(net, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "must be a regular file" in refused(tmp_path / "pipe")
    assert "must be a regular file" in refused(tmp_path)
    (tmp_path / "link").symlink_to(saved(net.state_dict(), tmp_path))  # as caches of models do
    assert_same(read_weights(tmp_path / "link").tensors, net.state_dict())
    with pytest.raises(FileNotFoundError):
        read_weights(tmp_path / "none")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # files outlive what wrote them
def test_scripts_and_programs_are_refused_in_a_sentence(net, tmp_path):
    path = tmp_path / "file.pt"
    torch.jit.save(torch.jit.trace(net.eval(), torch.ones(1, 1, 6, 6)), str(path))
    assert "is a TorchScript archive" in refused(path)
    torch.export.save(torch.export.export(net, (torch.ones(1, 1, 6, 6),)), tmp_path / "file.pt2")
    assert file_kind(str(tmp_path / "file.pt2")) == "exported"
    assert "is an exported program" in refused(tmp_path / "file.pt2")


BYTES, CODES = torch.zeros(8, 1, dtype=torch.uint8), torch.zeros(2, 8, dtype=torch.int32)


@pytest.mark.parametrize(
    ("state", "whose"),
    [
        ({"a.qweight": CODES, "a.qzeros": CODES, "a.scales": CODES, "a.g_idx": CODES}, "GPTQ)"),
        ({"a.qweight": CODES, "a.qzeros": CODES, "a.scales": CODES}, "AWQ"),
        ({"a.weight": BYTES, "a.weight.absmax": BYTES}, "bitsandbytes, 4 bits"),
        ({"a.weight": BYTES.char(), "a.SCB": torch.zeros(8)}, "bitsandbytes, 8 bits"),
        ({"a.W_q": BYTES, "a.meta": BYTES}, "HQQ"),
        ({"a.weight_packed": CODES}, "compressed-tensors"),
        ({"a.up_blocks": BYTES, "a.up_scales": BYTES}, "MXFP4"),
        ({"a.weight": BYTES}, "uint8"),
        ({"a.weight": torch.zeros(2, 2).to(torch.float8_e4m3fn)}, "float8_e4m3"),
    ],
)
def test_packed_weights_are_refused_by_name(tmp_path, state, whose):
    state["b.weight"] = torch.zeros(3, 3)
    apart = {name: tensor.clone() for name, tensor in state.items()}
    safetensors.save_file(apart, tmp_path / "file.safetensors")
    for path in (saved(state, tmp_path), tmp_path / "file.safetensors"):
        message = refused(path)
        assert "`a." in message
        assert "is packed" in message
        assert whose in message


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch advises against them itself
def test_quantized_modules_are_refused(tmp_path):
    state = {"a.weight": torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8)}
    assert "torch._utils._rebuild_qtensor" in refused(saved(state, tmp_path))


# -------------------------------------------------------------------- safetensors


def sharded(state, folder):
    """Two files and their index."""
    names = list(state)
    shards = {"m-1.safetensors": names[:2], "m-2.safetensors": names[2:]}
    for shard, own in shards.items():
        safetensors.save_file({name: state[name].contiguous() for name in own}, folder / shard)
    places = {name: shard for shard, own in shards.items() for name in own}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return index


def test_safetensors_and_their_shards_are_read(net, tmp_path):
    safetensors.save_file(net.state_dict(), tmp_path / "a.bin")
    for path in (tmp_path / "a.bin", sharded(net.state_dict(), tmp_path)):
        found = read_weights(path)
        assert dict(found.tensors).keys() == net.state_dict().keys()
        empty = Net()
        load_weights(empty, found)
        assert_same(empty.state_dict(), net.state_dict())


@pytest.mark.parametrize(
    "places",
    [
        {"a": "../a.safetensors"}, {"a": "/etc/passwd"}, {"a": "gone.safetensors"}, {"a": 3}, {},
        [], {"a": "plain.pt"}, {"a": "x\0y"}, None,
    ],
)  # fmt: skip
def test_an_index_names_files_beside_it_only(tmp_path, places):
    torch.save({"a": torch.zeros(2, 2)}, tmp_path / "plain.pt")
    index = tmp_path / "index.json"
    index.write_text(json.dumps({} if places is None else {"weight_map": places}))
    refused(index)


def test_a_hostile_header_of_safetensors_is_refused(tmp_path):
    for header in (b"{", b"{}" * 3, b'{"a":{"dtype":"F32","shape":[9,9],"data_offsets":[0,4]}}'):
        content = struct.pack("<Q", len(header)) + header
        assert "safetensors" in refused(written(tmp_path, content, "file.safetensors"))


def test_without_the_library_safetensors_are_said_to_be_missing(tmp_path, monkeypatch):
    safetensors.save_file({"a": torch.zeros(2, 2)}, tmp_path / "file.safetensors")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ModuleNotFoundError, match="safetensors"):
        read_weights(tmp_path / "file.safetensors")


# ----------------------------------------------------------- norms of single tensors


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_norms_of_tensors_are_those_of_their_matrices(tmp_path, dtype):
    draws = torch.Generator().manual_seed(5)
    state = {
        "dense": torch.randn(7, 5, generator=draws),
        "kernel": torch.randn(4, 3, 2, 2, generator=draws),
        "gain": torch.arange(3.0),
        "count": torch.tensor(3),
        "empty": torch.zeros(0, 2),
        "zero": torch.zeros(2, 2),
        "broken": torch.full((2, 2), torch.nan),
    }
    state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
    table = tensor_norms(read_weights(saved(state, tmp_path)).tensors).set_index("name")
    assert table.index.tolist() == list(state)
    for name in ("dense", "kernel", "zero"):
        matrix = state[name].double().flatten(1).numpy()
        row = table.loc[name]
        assert row["matrix"] == matrix.shape
        # A Gram matrix of n terms a number errs by gamma(n) of sigma^2 times its size.
        error = gamma(4 * matrix.size) * np.linalg.norm(matrix)
        assert row["sigma"] == pytest.approx(np.linalg.norm(matrix, 2), abs=error)
        assert row["lower"] <= row["sigma"] <= row["upper"]
        assert row["frobenius"] == pytest.approx(np.linalg.norm(matrix), abs=error)
        rows = np.linalg.norm(matrix, axis=1).mean()
        assert row["norm_21"] == pytest.approx(rows, abs=error)
        assert row["reason"] == ""
    assert table.loc["gain", "frobenius"] == pytest.approx(5**0.5, abs=gamma(5))
    reasons = {
        "gain": "a vector",
        "count": "whole numbers",
        "empty": "empty",
        "broken": "not finite",
    }
    assert table["reason"][table["reason"] != ""].to_dict() == reasons
    assert table.loc[list(reasons), "sigma"].isna().all()


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 1), (3, 0)])
def test_the_kernel_s_matrix_bounds_the_convolution(stride, padding):  # eq. (N20)
    layer = nn.Conv2d(2, 4, 3, stride=stride, padding=padding, bias=False)
    layer = randomised(layer).double()
    row = spectral_complexity(nn.Sequential(layer), (2, 9, 9)).layers.iloc[0]
    single = tensor_norms(layer.state_dict()).iloc[0]
    windows = np.ceil(3 / stride) ** 2
    # The bounds of sigma on either side hold rigorously (docs/norms.md, section 5).
    assert single["lower"] <= row["upper"]
    # Where windows do not meet both are Gram matrices of 18 numbers a row, and differ by rounding.
    assert row["lower"] <= windows**0.5 * single["upper"] * (1 + gamma(200))
    error = gamma(100) * single["norm_21"]
    assert row["norm_21"] <= single["norm_21"] + error
    assert (row["norm_21"] < single["norm_21"] - error) == (padding > 0)
