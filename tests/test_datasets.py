"""Data sets: standard files read right, anything else refused with words, downloads on request."""

import contextlib
import gzip
import hashlib
import http.server
import io
import os
import pickle
import struct
import sys
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from patience import lines
from rounding import U_SINGLE

from deepnorm.datasets import (
    NAMES,
    Images,
    cifar10,
    cifar100,
    download,
    fashion_mnist,
    fetch,
    load,
    mnist,
)
from deepnorm.datasets.batches import parse as parse_batch
from deepnorm.datasets.images import random_order

MODULES = {"mnist": mnist, "fashion-mnist": fashion_mnist, "cifar10": cifar10, "cifar100": cifar100}
#: Lines of Python that `load` goes through at most for MNIST: a loop over images takes 70,000.
WORK = 10_000
REAL = Path(os.environ.get("REPLICA_LEARNING_DATA", "/nowhere"))
needs_mnist = pytest.mark.skipif(
    not any((REAL / below).is_dir() for below in mnist.SOURCE.folders[:2]),
    reason="REPLICA_LEARNING_DATA names no folder with MNIST",
)


def needs(name):
    below = MODULES[name].SOURCE.folders[0]
    return pytest.mark.skipif(
        not (REAL / below).is_dir(), reason=f"REPLICA_LEARNING_DATA names no folder with {below}"
    )


# ------------------------------------------------------------- small standard files


def idx(array):
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + bytes(array)
    )


def write_idx(folder, *, zipped=True, seed=0):
    """The four files of the MNIST family with 7 + 5 images of 4x3."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for stem, count in (("train", 7), ("t10k", 5)):
        arrays[f"{stem}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 4, 3), np.uint8)
        arrays[f"{stem}-labels-idx1-ubyte"] = rng.integers(0, 10, count, np.uint8)
    for name, array in arrays.items():
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array), mtime=0))
        else:
            (folder / name).write_bytes(idx(array))
    return arrays


def legacy_batch(pixels, **labels):
    """A batch as Python 2 with an old numpy pickled it, protocol 2."""

    def string(value):
        size = len(value)
        return (
            b"U" + bytes([size]) + value if size < 256 else b"T" + struct.pack("<i", size) + value
        )

    def number(value):
        return b"J" + struct.pack("<i", value)

    kind = (
        b"cnumpy\ndtype\n" + string(b"u1") + number(0) + number(1) + b"\x87R"
        + b"(" + number(3) + string(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    )  # fmt: skip
    matrix = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + b"\x85"
        + string(b"b") + b"\x87R(" + number(1) + number(len(pixels)) + number(3072) + b"\x86"
        + kind + b"\x89" + string(pixels.tobytes()) + b"tb"
    )  # fmt: skip
    pairs = [string(b"batch_label") + string(b"training batch"), string(b"data") + matrix]
    for name, values in labels.items():
        pairs.append(string(name.encode()) + b"](" + b"".join(map(number, values)) + b"e")
    return b"\x80\x02}(" + b"".join(pairs) + b"u."


def write_batches(name, folder):
    """The files of a CIFAR set with three images each."""
    rng = np.random.default_rng(1)
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for file in MODULES[name].SOURCE.files:
        pixels = rng.integers(0, 256, (3, 3072), np.uint8)
        if name == "cifar10":
            labels = {"labels": rng.integers(0, 10, 3).tolist()}
        else:
            fine, coarse = rng.integers(0, 100, 3).tolist(), rng.integers(0, 20, 3).tolist()
            labels = {"fine_labels": fine, "coarse_labels": coarse}
        (folder / file).write_bytes(legacy_batch(pixels, **labels))
        written[file] = pixels, labels
    return written


def write_set(name, folder):
    """Small files of any set, in its usual folder below ``folder``."""
    place = folder / MODULES[name].SOURCE.folders[0]
    if "mnist" in name:
        write_idx(place)
    else:
        write_batches(name, place)
    return place


def publish(monkeypatch, name, folder, **changes):
    """Let the files in ``folder`` be the published ones."""
    source = MODULES[name].SOURCE
    files = {file: md5((folder / file).read_bytes()) for file in source.files}
    monkeypatch.setattr(MODULES[name], "SOURCE", replace(source, files=files, **changes))


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


# ------------------------------------------------------------------------- digits


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.mark.pinned
def test_digits_need_no_files_and_never_change(digits):
    assert digits.input_shape == (1, 8, 8)
    assert (len(digits.train_images), len(digits.test_images)) == (1200, 597)
    # The split and the scale are promises: this changes only if one of them does.
    assert digits.digest == "be37cc21e7fa2017135745b79f22088de60faeecac8763c8b0988bb912103c49"
    assert repr(digits) == "Images('digits', 1200 + 597 of shape (1, 8, 8), 10 classes)"


def test_digits_are_those_of_scikit_learn_times_fifteen(digits):
    from sklearn.datasets import load_digits

    source = load_digits()
    images = torch.cat([digits.train_images, digits.test_images]).squeeze(1)
    labels = torch.cat([digits.train_labels, digits.test_labels])
    order = random_order(1797, 0)
    assert sorted(order) == list(range(1797))
    assert np.array_equal(images.numpy(), 15 * source.images[order])
    assert np.array_equal(labels.numpy(), source.target[order])


def test_both_parts_of_the_digits_have_every_class_about_equally_often(digits):
    for labels in (digits.train_labels, digits.test_labels):
        expected = len(labels) / 10
        # Counts scatter like sqrt(n p (1 - p)) at most; four of those.
        assert (labels.bincount() - expected).abs().max() < 4 * (0.9 * expected) ** 0.5


def test_digits_without_scikit_learn_say_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install \"replica-learning\[deep\]\""):
        load("digits")


# ------------------------------------------------------------------------- Images


def small(**changes):
    generator = torch.Generator().manual_seed(0)
    parts = {
        "name": "mine",
        "train_images": torch.randint(0, 256, (20, 2, 3, 4), generator=generator).byte(),
        "train_labels": torch.arange(20) % 3,
        "test_images": torch.randint(0, 256, (6, 2, 3, 4), generator=generator).byte(),
        "test_labels": torch.arange(6) % 3,
        "classes": 3,
    }
    return Images(**(parts | changes))


def test_standardised_training_images_have_mean_zero_and_deviation_one_per_channel():
    images = small()
    x = images.standardised("train")
    assert x.dtype == torch.float32
    # Every pixel is rounded once to single precision; what is below 2 in size, by at most:
    rounded, x = 2 * U_SINGLE, x.double()
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(2).double(), rtol=0, atol=rounded)
    deviation = x.std((0, 2, 3), correction=0)
    torch.testing.assert_close(deviation, torch.ones(2).double(), rtol=rounded, atol=0)


def test_test_images_are_standardised_by_the_training_set():
    images = small()
    pixels = images.train_images.double()
    mean, deviation = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3), correction=0)
    for found, expected in zip(images.statistics, (mean, deviation), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    expected = (images.test_images - mean.view(2, 1, 1)) / deviation.view(2, 1, 1)
    torch.testing.assert_close(images.standardised("test"), expected.float(), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="`part` must be 'train' or 'test'; got 'valid'"):
        images.standardised("valid")


def test_standardising_leaves_the_pixels_and_works_by_batch():
    images = small()
    before = images.train_images.clone()
    whole = images.standardised()
    batch = images.standardise(images.train_images[4:7])
    assert torch.equal(images.train_images, before)
    assert torch.equal(batch, whole[4:7])


def test_a_channel_without_contrast_becomes_zero():
    flat = small().train_images.clone()
    flat[:, 1] = 9
    x = small(train_images=flat).standardised()
    assert (x[:, 1] == 0).all()
    assert x.isfinite().all()


def test_the_digest_tells_pixels_labels_and_shapes_apart():
    images = small()
    pixels = images.train_images.clone()
    pixels[0, 0, 0, 0] ^= 1
    others = [
        small(train_images=pixels),
        small(train_labels=(torch.arange(20) + 1) % 3),
        small(train_images=images.train_images.transpose(2, 3), test_images=torch.zeros(
            6, 2, 4, 3, dtype=torch.uint8)),
        small(test_labels=torch.zeros(6, dtype=torch.int64)),
    ]  # fmt: skip
    assert len({images.digest, *(other.digest for other in others)}) == 5
    assert small(name="other").digest == images.digest
    strided = images.train_images.contiguous(memory_format=torch.channels_last)
    assert small(train_images=strided).digest == images.digest


def test_a_subset_is_random_without_replacement_and_decided_by_P_and_seed():
    images = small()
    chosen = images.subset(8, 3)
    assert chosen.dtype == torch.int64
    assert len(set(chosen.tolist())) == 8
    assert chosen.min() >= 0
    assert chosen.max() < 20
    assert torch.equal(chosen, images.subset(8, 3))
    assert not torch.equal(chosen, images.subset(8, 4))
    assert not torch.equal(chosen, images.subset(9, 3)[:8])
    assert sorted(images.subset(20, 0).tolist()) == list(range(20))


@pytest.mark.pinned
def test_subsets_never_change(digits):
    assert digits.subset(5, 0).tolist() == [518, 817, 1154, 337, 791]


def test_every_image_is_chosen_equally_often():
    images, draws, P = small(), 2000, 5
    counts = torch.zeros(20)
    for seed in range(draws):
        counts[images.subset(P, seed)] += 1
    expected = draws * P / 20
    # Binomial scatter, five standard deviations for the largest of twenty.
    assert (counts - expected).abs().max() < 5 * (expected * (1 - P / 20)) ** 0.5


@pytest.mark.parametrize(
    ("P", "seed", "message"),
    [
        (21, 0, r"`P` must be an integer between 1 and 20, .* training images of mine; got 21"),
        (0, 0, r"`P` must be an integer between 1 and 20"),
        (2.0, 0, r"`P` must be an integer between 1 and 20.*got 2.0"),
        (True, 0, r"`P` must be an integer between 1 and 20"),
        (2, -1, r"`seed` must be a non-negative integer; got -1"),
    ],
)
def test_subsets_that_cannot_be_are_refused(P, seed, message):
    with pytest.raises(ValueError, match=message):
        small().subset(P, seed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": torch.zeros(20, 2, 3, 4)}, r"`train_images` must be uint8.*float32"),
        ({"test_images": torch.zeros(6, 3, 4).byte()}, r"`test_images` must be .* \(n, C, H, W\)"),
        ({"test_images": torch.zeros(6, 2, 3, 5).byte()}, r"one shape of image; got \(2, 3, 4\)"),
        ({"train_labels": torch.arange(19)}, r"`train_labels` must be int64 of shape \(20,\)"),
        ({"train_labels": torch.arange(20)}, r"`train_labels` must lie between 0 and 2; got 19"),
        ({"test_labels": -torch.arange(6)}, r"`test_labels` must lie between 0 and 2; got -5"),
        ({"classes": 1}, r"`classes` must be an integer of at least 2; got 1"),
    ],
)
def test_images_that_are_none_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        small(**change)


# ---------------------------------------------------------------------- idx files


@pytest.mark.parametrize("below", [".", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("zipped", [True, False])
def test_mnist_is_read_from_each_of_its_layouts(tmp_path, below, zipped):
    arrays = write_idx(tmp_path / below, zipped=zipped)
    images = load("mnist", tmp_path, check=False)
    assert images.input_shape == (1, 4, 3)
    assert images.train_labels.dtype == torch.int64
    for part, stem in (("train", "train"), ("test", "t10k")):
        pixels, labels = getattr(images, f"{part}_images"), getattr(images, f"{part}_labels")
        assert np.array_equal(pixels.squeeze(1).numpy(), arrays[f"{stem}-images-idx3-ubyte"])
        assert np.array_equal(labels.numpy(), arrays[f"{stem}-labels-idx1-ubyte"])
    (note,) = images.notes
    assert note.startswith("not the published files (their MD5 differs): train-images-idx3-ubyte")


def test_published_files_leave_no_note(tmp_path, monkeypatch):
    publish(monkeypatch, "mnist", write_set("mnist", tmp_path))
    assert load("mnist", tmp_path).notes == ()


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    write_set("mnist", tmp_path)
    monkeypatch.setenv("REPLICA_LEARNING_DATA", str(tmp_path))
    assert len(load("mnist", check=False).test_labels) == 5


def test_plain_fashion_mnist_is_read_with_a_note_that_nothing_vouches_for_it(tmp_path):
    write_idx(tmp_path / "FashionMNIST/raw", zipped=False)
    (note,) = load("fashion-mnist", tmp_path).notes
    assert note.startswith("no checksum is known for: train-images-idx3-ubyte, ")


def test_mnist_does_not_pass_for_fashion_mnist(tmp_path, monkeypatch):
    write_idx(tmp_path, zipped=False)
    wrong = {md5((tmp_path / "train-images-idx3-ubyte").read_bytes()): "MNIST"}
    monkeypatch.setattr(fashion_mnist, "SOURCE", replace(fashion_mnist.SOURCE, others=wrong))
    with pytest.raises(ValueError, match="is a file of MNIST, whose names are the same, not of Fa"):
        load("fashion-mnist", tmp_path, check=False)


def test_fashion_mnist_knows_every_file_of_mnist():
    theirs = {*mnist.SOURCE.files.values(), *mnist.SOURCE.unpacked.values()}
    assert theirs == set(fashion_mnist.SOURCE.others)


def test_a_wrong_checksum_says_which_file_what_and_how_to_go_on(tmp_path):
    place = write_set("mnist", tmp_path)
    file = place / "train-images-idx3-ubyte.gz"
    found = md5(file.read_bytes())
    with pytest.raises(ValueError, match="is not the published file of MNIST") as caught:
        load("mnist", tmp_path)
    for words in (str(file), "f68b3c2dcbeaaa9fbdd348bbdeb94873", found, "check=False", "fetch mni"):
        assert words in str(caught.value)


def zipped(content: bytes) -> bytes:
    """Without the time of day, which would be part of the names of the tests."""
    return gzip.compress(content, mtime=0)


IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
WHOLE = idx(np.zeros((7, 4, 3), np.uint8))
DAMAGED = [
    (IMAGES, b"", r"ubyte\.gz is empty; get it with `deepnorm fetch mnist`"),
    (IMAGES, b"no gzip at all", r"images-idx3-ubyte\.gz is no whole gzip file: .*header"),
    (IMAGES, zipped(WHOLE)[:-12], r"is no whole gzip file: it is cut short"),
    (IMAGES, zipped(b""), r"magic number 00000803 .*3 dimensions\); got nothing"),
    (IMAGES, zipped(idx(np.zeros(7, np.uint8))), r"magic number 00000803.*; got 00000801"),
    (LABELS, zipped(WHOLE), r"magic number 00000801.*; got 00000803"),
    (IMAGES, zipped(WHOLE[:9]), r"is cut short within its header of 16 bytes"),
    (IMAGES, zipped(WHOLE[:-1]), r"announces 7 x 4 x 3 bytes but holds 83; it is cut"),
    (IMAGES, zipped(WHOLE + b"!"), r"announces 7 x 4 x 3 bytes but holds 85"),
    (IMAGES, zipped(idx(np.zeros((6, 4, 3), np.uint8))), r"holds 6 images, but .* 7 labels"),
    (LABELS, zipped(idx(np.full(7, 10, np.uint8))), r"must lie between 0 and 9; got 10"),
]


@pytest.mark.parametrize(("name", "content", "message"), DAMAGED)
def test_damaged_idx_files_are_named_even_without_checksums(tmp_path, name, content, message):
    (write_set("mnist", tmp_path) / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load("mnist", tmp_path, check=False)


def test_any_single_changed_byte_is_noticed(tmp_path, monkeypatch):
    place = write_set("mnist", tmp_path)
    publish(monkeypatch, "mnist", place)
    whole = (place / IMAGES).read_bytes()
    for at in range(0, len(whole), 7):
        (place / IMAGES).write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(ValueError, match="is not the published file"):
            load("mnist", tmp_path)


# ---------------------------------------------------------------- missing files


@pytest.mark.parametrize("name", MODULES)
def test_a_missing_file_is_named(tmp_path, name):
    place = write_set(name, tmp_path)
    last = list(MODULES[name].SOURCE.files)[-1]
    (place / last).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{last} is missing.*`deepnorm fetch {name}`"):
        load(name, tmp_path, check=False)


@pytest.mark.parametrize("name", MODULES)
def test_an_empty_folder_says_where_it_looked(tmp_path, name):
    with pytest.raises(
        FileNotFoundError, match=r"no file of .* in any of .*deepnorm fetch"
    ) as caught:
        load(name, tmp_path)
    for below in MODULES[name].SOURCE.folders:
        assert str(tmp_path / below) in str(caught.value)


def test_folders_that_are_none_are_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("REPLICA_LEARNING_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"`folder` must name .*REPLICA_LEARNING_DATA"):
        load("mnist")
    with pytest.raises(FileNotFoundError, match=r"`folder` must exist; got .*absent"):
        load("mnist", tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"`folder` must be a folder; got the file"):
        load("mnist", tmp_path / "file")


def test_unknown_sets_are_answered_with_the_known():
    with pytest.raises(ValueError, match=f"`name` must be one of {', '.join(NAMES)}; got 'svhn'"):
        load("svhn")


# ---------------------------------------------------------------- CIFAR's pickles


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_is_read_in_the_order_of_its_batches(tmp_path, name):
    written = write_batches(name, tmp_path / MODULES[name].SOURCE.folders[0])
    images = load(name, tmp_path, check=False)
    assert images.classes == {"cifar10": 10, "cifar100": 100}[name]
    training = [file for file in written if "test" not in file]
    test = [file for file in written if "test" in file]
    for part, files in (("train", training), ("test", test)):
        pixels = np.concatenate([written[file][0] for file in files]).reshape(-1, 3, 32, 32)
        key = "labels" if name == "cifar10" else "fine_labels"
        labels = [label for file in files for label in written[file][1][key]]
        assert np.array_equal(getattr(images, f"{part}_images").numpy(), pixels)
        assert getattr(images, f"{part}_labels").tolist() == labels


@pytest.mark.parametrize("protocol", [3, 4])
def test_batches_that_a_newer_python_pickled_are_read(protocol):
    pixels = np.arange(2 * 3072, dtype=np.uint32).astype(np.uint8).reshape(2, 3072)
    content = pickle.dumps({b"data": pixels, b"labels": [3, 1]}, protocol=protocol)
    images, labels = parse_batch(Path("batch"), content, "labels", 10)
    assert np.array_equal(images.numpy().reshape(2, 3072), pixels)
    assert labels.tolist() == [3, 1]


class Hostile:
    """Asks for a function to be called when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_a_hostile_batch_is_refused_and_nothing_is_run(tmp_path):
    place = write_set("cifar10", tmp_path)
    mark = tmp_path / "mark"
    for function, arguments, name in (
        (os.system, (f"touch {mark}",), "system"),
        (os.mkdir, (str(mark),), "mkdir"),
        (eval, (f"open({str(mark)!r}, 'w')",), "builtins.eval"),
        (getattr, ("", "join"), "builtins.getattr"),
    ):
        content = pickle.dumps({b"data": Hostile(function, *arguments), b"labels": []})
        (place / "data_batch_1").write_bytes(content)
        with pytest.raises(ValueError, match=rf"data_batch_1 asks for .*{name}.*it was not run"):
            load("cifar10", tmp_path, check=False)
        assert not mark.exists()


def test_a_hostile_batch_does_not_even_reach_the_unpickler_while_checksums_are_on(tmp_path):
    place = write_set("cifar10", tmp_path)
    (place / "data_batch_1").write_bytes(pickle.dumps(Hostile(os.system, "false")))
    with pytest.raises(ValueError, match="is not the published file of CIFAR-10"):
        load("cifar10", tmp_path)


PIXELS = np.zeros((2, 3072), np.uint8)
ODD = [
    (b"", "is no batch of CIFAR, or a damaged one"),
    (b"\x80\x02garbage", "is no batch of CIFAR, or a damaged one"),
    (pickle.dumps([1, 2]), "must hold a dictionary; got list"),
    (pickle.dumps({"data": 1}), "lacks `labels`; it has data"),
    (pickle.dumps({"labels": [1]}), "lacks `data`; it has labels"),
    (pickle.dumps({"data": [1], "labels": [1]}), "must be a matrix with 3072 columns; got none"),
    (pickle.dumps({"data": PIXELS[:, 1:].copy(), "labels": [1, 2]}, 4), r"columns; got \(2, 3071"),
    (pickle.dumps({"data": PIXELS[:0], "labels": []}, 4), r"3072 columns; got \(0, 3072\)"),
    (pickle.dumps({"data": PIXELS.astype("i2"), "labels": [1, 2]}, 4), "not one of unsigned bytes"),
    (pickle.dumps({"data": np.array([{}, 1]), "labels": [1, 2]}, 4), "not one of unsigned bytes"),
    (
        pickle.dumps({"data": PIXELS.T, "labels": [1, 2]}, 4),
        "not one of unsigned bytes, row by row",
    ),
    (pickle.dumps({"data": PIXELS, "labels": [1]}, 4), "must be a list of 2 labels"),
    (pickle.dumps({"data": PIXELS, "labels": (1, 2)}, 4), "must be a list of 2 labels"),
    (pickle.dumps({"data": PIXELS, "labels": [1, 10]}, 4), "integers from 0 to 9; got 10"),
    (pickle.dumps({"data": PIXELS, "labels": [1, True]}, 4), "integers from 0 to 9; got True"),
    (
        legacy_batch(PIXELS, labels=[1, 2]).replace(b"\x00\x0c\x00\x00", b"\x01\x0c\x00\x00"),
        "shape",
    ),
]


@pytest.mark.parametrize(("content", "message"), ODD)
def test_pickles_that_are_no_batches_are_refused(content, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_batch(Path("data_batch_1"), content, "labels", 10)
    assert "data_batch_1" in str(caught.value)


def test_a_batch_cut_anywhere_is_refused():
    whole = legacy_batch(PIXELS, labels=[1, 2])
    for size in [*range(0, 300, 3), *range(300, len(whole), 97)]:
        with pytest.raises(ValueError, match="is no batch of CIFAR, or a damaged one"):
            parse_batch(Path("batch"), whole[:size], "labels", 10)


def test_random_damage_never_raises_anything_else():
    rng = np.random.default_rng(0)
    whole = np.frombuffer(legacy_batch(PIXELS, labels=[1, 2]), np.uint8)
    head = np.flatnonzero(whole)  # the pixels are zero, the rest mostly not
    for _ in range(300):
        damaged = whole.copy()
        damaged[rng.choice(head, 3)] = rng.integers(0, 128, 3)
        with contextlib.suppress(ValueError):
            parse_batch(Path("batch"), damaged.tobytes(), "labels", 10)


# ----------------------------------------------------------------------- downloads


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a word."""

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Serve folders on this machine alone; the address, with what a mirror's ends in."""
    servers = []

    def start(folder):
        def handler(*arguments):
            return Quiet(*arguments, directory=str(folder))

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def closed_port():
    """An address of this machine that refuses connections."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Quiet)
    port = server.server_port
    server.server_close()
    return f"http://127.0.0.1:{port}/"


@pytest.fixture
def published(tmp_path, monkeypatch, serve):
    """A mirror that offers small files of a set, whose checksums are the published ones."""

    def start(name, mirrors=None):
        place = write_set(name, tmp_path / "mirror")
        archive = MODULES[name].SOURCE.archive
        if archive:
            path = place / archive[0]
            with tarfile.open(path, "w:gz") as entries:
                for file in MODULES[name].SOURCE.files:
                    entries.add(place / file, f"{place.name}/{file}")
                readme = tarfile.TarInfo(f"{place.name}/readme.html")
                entries.addfile(readme, io.BytesIO())
            archive = archive[0], md5(path.read_bytes())
        mirrors = (*(mirrors or ()), serve(place))
        publish(monkeypatch, name, place, mirrors=mirrors, archive=archive)
        return place

    return start


def drafts(folder):
    return [path for path in folder.rglob(".*") if path.is_file()]


@pytest.mark.parametrize("name", MODULES)
def test_what_was_fetched_can_be_loaded(tmp_path, published, name):
    published(name)
    reports = []
    target = tmp_path / "data"
    place = fetch(name, target, progress=lambda *report: reports.append(report))
    assert place == target / MODULES[name].SOURCE.folders[0]
    assert {path.name for path in place.iterdir()} == set(MODULES[name].SOURCE.files)
    assert load(name, target).notes == ()
    assert {file for file, *_ in reports} == set(MODULES[name].SOURCE.downloads)
    assert all(done <= total for _, done, total in reports)
    assert drafts(target) == []
    assert {path.name for path in target.iterdir()} == {
        Path(MODULES[name].SOURCE.folders[0]).parts[0]
    }


def test_a_second_fetch_needs_no_network_and_repairs_what_is_damaged(
    tmp_path, published, monkeypatch
):
    published("mnist")
    place = fetch("mnist", tmp_path / "data")
    (place / IMAGES).write_bytes(b"damaged")
    fetch("mnist", tmp_path / "data")
    assert load("mnist", tmp_path / "data").notes == ()
    monkeypatch.setattr(download.urllib.request, "urlopen", None)
    assert fetch("mnist", tmp_path / "data") == place


def test_files_that_are_there_in_another_layout_are_not_fetched_again(
    tmp_path, published, monkeypatch
):
    place = published("mnist")
    monkeypatch.setattr(download.urllib.request, "urlopen", None)
    (tmp_path / "data").mkdir()
    place.rename(tmp_path / "data/mnist")
    assert fetch("mnist", tmp_path / "data") == tmp_path / "data/mnist"
    assert list((tmp_path / "data").iterdir()) == [tmp_path / "data/mnist"]


def test_the_next_mirror_is_asked_if_one_refuses_or_lacks_the_file_or_lies(
    tmp_path, published, serve
):
    (tmp_path / "empty").mkdir()
    write_idx(tmp_path / "liar", seed=9)
    mirrors = (closed_port(), serve(tmp_path / "empty"), serve(tmp_path / "liar"))
    published("mnist", mirrors)
    fetch("mnist", tmp_path / "data", timeout=5)
    assert load("mnist", tmp_path / "data").notes == ()


def test_offline_the_hosts_are_named_and_the_way_out(tmp_path, monkeypatch):
    address = closed_port()
    monkeypatch.setattr(cifar10, "SOURCE", replace(cifar10.SOURCE, mirrors=(address,)))
    with pytest.raises(ConnectionError, match=r"CIFAR-10 could not be downloaded") as caught:
        fetch("cifar10", tmp_path, timeout=5)
    for words in ("127.0.0.1", "refused", "another machine", f"{address}cifar-10-python.tar.gz"):
        assert words in str(caught.value)
    assert str(tmp_path / "cifar-10-python.tar.gz") in str(caught.value)
    assert drafts(tmp_path) == []


def test_no_address_is_resolved_offline_and_that_is_said(tmp_path, monkeypatch):
    def no_network(url, timeout):
        raise download.urllib.error.URLError("Temporary failure in name resolution")

    monkeypatch.setattr(download.urllib.request, "urlopen", no_network)
    for name, module in MODULES.items():
        with pytest.raises(ConnectionError, match="Temporary failure in name") as caught:
            fetch(name, tmp_path)
        for mirror in module.SOURCE.mirrors:
            assert mirror in str(caught.value)


def test_an_archive_copied_by_hand_is_unpacked_and_left(tmp_path, published, monkeypatch):
    place = published("cifar100")
    target = tmp_path / "data"
    target.mkdir()
    archive = target / "cifar-100-python.tar.gz"
    archive.write_bytes((place / archive.name).read_bytes())
    monkeypatch.setattr(download.urllib.request, "urlopen", None)
    fetch("cifar100", target)
    assert load("cifar100", target).notes == ()
    assert archive.exists()


def test_a_mirror_that_sends_something_else_leaves_nothing_behind(tmp_path, serve, monkeypatch):
    write_idx(tmp_path / "liar")
    mirrors = (serve(tmp_path / "liar"),)
    monkeypatch.setattr(mnist, "SOURCE", replace(mnist.SOURCE, mirrors=mirrors))
    with pytest.raises(ConnectionError, match=r"bytes of MD5 .*, not f68b3c2dcbeaaa9fbdd348bbdeb"):
        fetch("mnist", tmp_path / "data")
    assert list((tmp_path / "data/MNIST/raw").iterdir()) == []


def test_an_interrupted_download_leaves_nothing_behind(tmp_path, published):
    published("mnist")

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch("mnist", tmp_path / "data", progress=interrupt)
    assert list((tmp_path / "data/MNIST/raw").iterdir()) == []


def test_a_server_that_never_answers_is_given_up(tmp_path, monkeypatch):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        mirrors = (f"http://127.0.0.1:{silent.getsockname()[1]}/",)
        monkeypatch.setattr(mnist, "SOURCE", replace(mnist.SOURCE, mirrors=mirrors))
        with pytest.raises(ConnectionError, match="timed out"):
            fetch("mnist", tmp_path, timeout=0.2)


def test_fetching_what_or_where_nothing_can_be_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("REPLICA_LEARNING_DATA", raising=False)
    with pytest.raises(ValueError, match=r"`name` must be one of mnist.*got 'digits', which ships"):
        fetch("digits", tmp_path)
    with pytest.raises(ValueError, match=r"`name` must be one of mnist.*got 'svhn'$"):
        fetch("svhn", tmp_path)
    with pytest.raises(ValueError, match=r"`folder` must say where to"):
        fetch("mnist")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        fetch("mnist", tmp_path / "file")


def test_loading_never_touches_the_network(tmp_path, monkeypatch):
    import socket

    def forbidden(*_, **__):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "socket", forbidden)
    write_set("cifar10", tmp_path)
    load("cifar10", tmp_path, check=False)
    with pytest.raises(FileNotFoundError):
        load("cifar100", tmp_path)


# ----------------------------------------------------------------- the real thing


@needs_mnist
def test_mnist_is_mnist_and_read_without_a_loop():
    images = load("mnist", REAL)
    assert lines(lambda: load("mnist", REAL)) < WORK
    assert images.notes == ()
    assert images.input_shape == (1, 28, 28)
    assert (len(images.train_images), len(images.test_images)) == (60000, 10000)
    assert images.digest == "161dcace219dfb88ab6f7453772016287aca31a8e383c4e7092f4db60aad5f66"
    mean, deviation = images.statistics
    # The well-known ones, to the digits that are quoted.
    assert mean.item() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert deviation.item() / 255 == pytest.approx(0.3081, abs=5e-5)


@pytest.mark.parametrize(
    ("name", "mean"),
    [
        pytest.param("fashion-mnist", (0.2860,), marks=needs("fashion-mnist")),
        pytest.param("cifar10", (0.4914, 0.4822, 0.4465), marks=needs("cifar10")),
        pytest.param("cifar100", (0.5071, 0.4865, 0.4409), marks=needs("cifar100")),
    ],
)
def test_the_other_sets_are_themselves(name, mean):
    images = load(name, REAL, check=False)
    assert len(images.test_images) == 10000
    assert images.train_labels.bincount().unique().numel() == 1  # classes of one size
    torch.testing.assert_close(
        images.statistics[0] / 255, torch.tensor(mean, dtype=torch.float64), rtol=0, atol=5e-5
    )
