"""Training: the order of batches, records, exact resumption, divergence, packing, precision."""

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from grids import slow
from patience import HANGS, until
from torch.nn import functional as F

from deepnorm.datasets import load
from deepnorm.norms import NormTracker
from deepnorm.sweeps import Run, grid, train, training
from deepnorm.sweeps.checkpoints import read_checkpoint, write_checkpoint
from deepnorm.sweeps.evaluation import evaluate
from deepnorm.sweeps.members import Member, Order, build
from deepnorm.sweeps.packed import packs
from deepnorm.sweeps.records import QUANTILES
from deepnorm.sweeps.training import train_together
from replica.common.interruption import Interrupted, Interruption

ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")
DIGITS = load("digits")
TINY = Run(
    dataset="digits", model="cnn-small", P=70, seed=0, steps=14, records=5, batch_size=32, width=0.5
)


def variant(**settings):
    return dataclasses.replace(TINY, **settings)


# ---------------------------------------------------------------------------- one training


def test_every_epoch_shows_every_image_once():
    order = Order(TINY)
    epochs = [torch.cat([order.batch(3 * e + k) for k in range(3)]) for e in range(4)]
    for epoch in epochs:
        assert epoch.sort().values.tolist() == list(range(70))
    assert [len(order.batch(step)) for step in range(6)] == [32, 32, 6, 32, 32, 6]
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 4
    late = Order(TINY)  # nothing of what came before is needed
    assert torch.equal(late.batch(10), epochs[3][32:64])


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_training_is_what_anybody_would_write(optimizer):
    """A plain loop with PyTorch's optimizer as it comes; up to the rounding of fused arithmetic."""
    settings = {"momentum": 0.9} if optimizer == "sgd" else {}
    run = variant(optimizer=optimizer, learning_rate=0.01, weight_decay=0.1, **settings)
    result = train(run, DIGITS, "cpu")

    model = build(run, DIGITS)
    chosen = DIGITS.subset(run.P, run.seed)
    x, y = DIGITS.standardised("train")[chosen], DIGITS.train_labels[chosen]
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    plain = kinds[optimizer](model.parameters(), lr=0.01, weight_decay=0.1, **settings)
    order = Order(run)
    losses, errors = [], []
    for step in range(run.steps):
        batch = order.batch(step)
        plain.zero_grad()
        F.cross_entropy(model(x[batch]), y[batch]).backward()
        plain.step()
        with torch.no_grad():
            outputs = model(DIGITS.standardised("test"))
            losses.append(F.cross_entropy(outputs, DIGITS.test_labels).item())
            errors.append((outputs.argmax(1) != DIGITS.test_labels).double().mean().item())
    steps = np.array(run.record_steps) - 1
    np.testing.assert_allclose(result.records["test_loss"], np.array(losses)[steps], rtol=1e-4)
    one_image = 1 / len(DIGITS.test_labels)
    np.testing.assert_allclose(
        result.records["test_error"], np.array(errors)[steps], atol=1.01 * one_image
    )
    norms = NormTracker(model, DIGITS.input_shape, conventions=("eq2",)).measure()
    assert result.records["log_norm_eq2"][-1] == pytest.approx(norms["eq2"], rel=1e-4)


def test_an_evaluation_counts_wrong_answers_and_sorts_margins():
    model = build(TINY, DIGITS)
    x, y = DIGITS.standardised("test"), DIGITS.test_labels
    error, loss, *margins = evaluate(model, x, y)
    with torch.no_grad():
        outputs = model.eval()(x).double()
    own = outputs[torch.arange(len(y)), y]
    outputs[torch.arange(len(y)), y] = -torch.inf
    expected = (own - outputs.amax(1)).numpy()
    assert error == np.mean(expected <= 0)
    np.testing.assert_allclose(margins, np.quantile(expected, QUANTILES), rtol=1e-4, atol=1e-6)
    assert loss > 0


def test_so_many_images_are_evaluated_as_asked_for():
    few = train(variant(train_images=10, test_images=25), DIGITS, "cpu").records
    assert all(round(10 * error, 9).is_integer() for error in few["train_error"])
    assert all(round(25 * error, 9).is_integer() for error in few["test_error"])


def test_seeds_differ_and_agree_with_themselves():
    first, again, other = (train(variant(seed=s), DIGITS, "cpu") for s in (0, 0, 1))
    assert first == again
    assert first.records["test_loss"] != other.records["test_loss"]


def test_controls_see_the_same_images_from_the_same_weights():
    adam, sgd = (Member(variant(optimizer=o), DIGITS, CPU) for o in ("adam", "sgd"))
    assert torch.equal(adam.images, sgd.images)
    for a, b in zip(adam.model.parameters(), sgd.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_dropout_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(variant(model="cnn-cifar100", width=0.05, steps=3, records=2), DIGITS, "cpu")
    assert torch.equal(torch.rand(3), expected)


def test_the_wrong_images_are_refused():
    with pytest.raises(ValueError, match="the run is of the data set 'mnist'; got 'digits'"):
        train(variant(dataset="mnist"), DIGITS, "cpu")


def test_a_loss_that_explodes_marks_the_run_and_keeps_its_records():
    run = variant(optimizer="sgd", learning_rate=1e4, steps=60, records=30)
    result = train(run, DIGITS, "cpu")
    assert result.status == "diverged"
    assert 1 < result.divergence.step < 60
    assert "not finite" in result.divergence.reason
    assert result.records["step"] == run.record_steps[: len(result.seconds)]


# ------------------------------------------------------------------- interrupted, resumed


class Killed(Exception):
    """Stands for any sudden end."""


def suddenly_ending_at(last):
    def watch(step):
        if step >= last:
            raise Killed

    return watch


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.01},
        {"optimizer": "adamw", "weight_decay": 0.1},
        {"model": "cnn-cifar100", "width": 0.05},  # dropout
        {"model": "resnet-small", "width": 0.25},  # batch norm
        {"model": "vit-small", "width": 0.25},
        {"precision": "bfloat16"},
        {"reference": "initial"},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())) or "adam",
)
def test_a_training_taken_up_again_is_the_uninterrupted_one_bit_for_bit(settings, tmp_path):
    run = variant(**settings)
    whole = train(run, DIGITS, "cpu")
    path = tmp_path / "state.pt"
    for last in (3, 7, 12):
        with pytest.raises(Killed):
            train(run, DIGITS, "cpu", checkpoint=path, every=0.0, watch=suddenly_ending_at(last))
    resumed = train(run, DIGITS, "cpu", checkpoint=path)
    assert 0 < read_checkpoint(path, CPU)["step"] < run.steps
    assert resumed == whole
    assert list(resumed.seconds) == sorted(resumed.seconds)


CHILD = """
import sys, torch
from deepnorm.datasets import load
from deepnorm.sweeps import Run, train
images = load("digits")
run = Run.from_dict({run!r})
print("ready", flush=True)
result = train(run, images, "cpu", checkpoint={path!r}, every=0.02)
print(result.records, flush=True)
"""


def child(run, path):
    """Another process that trains; back when it is about to begin."""
    code = CHILD.format(run=run.as_dict(), path=str(path))
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.pinned
@pytest.mark.parametrize(("steps", "kills"), [(600, 1), slow(1000, 2)])
def test_killed_at_random_moments_nothing_is_lost(steps, kills, tmp_path):
    run = variant(steps=steps, records=12)
    path = tmp_path / "state.pt"
    source = random.Random(0)
    steps = []
    for _ in range(kills):
        with child(run, path) as process:
            until(path.exists, process)
            time.sleep(source.uniform(0.0, 0.1))
            process.send_signal(signal.SIGKILL)
        state = read_checkpoint(path, CPU)
        assert state is not None  # whole, whenever it was
        steps.append(state["step"])
    assert steps == sorted(steps)
    assert 0 < steps[-1] < run.steps
    with child(run, path) as process:
        resumed = process.stdout.read()
    # beside a process of the same kind: this one has other threads, and so other last digits
    with child(run, tmp_path / "whole.pt") as process:
        assert process.stdout.read() == resumed != ""


@pytest.mark.parametrize("number", [slow(signal.SIGINT), signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint(number, tmp_path):
    run = variant(steps=10**6)
    path = tmp_path / "state.pt"
    watch = "lambda step: step == 3 and print('going', flush=True)"
    code = CHILD.format(run=run.as_dict(), path=str(path))
    code = code.replace("every=0.02", f"every=1e9, watch={watch}")
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert [process.stdout.readline() for _ in range(2)] == ["ready\n", "going\n"]
        process.send_signal(number)
        _, said = process.communicate(timeout=HANGS)
    assert process.returncode == -number
    assert ("KeyboardInterrupt" in said) == (number == signal.SIGINT)
    assert read_checkpoint(path, CPU)["step"] > 0


def test_a_file_asks_to_stop(tmp_path):
    stop = tmp_path / "stop"
    stop.touch()
    with pytest.raises(Interrupted, match="at step 1 of 14"):
        train_together([TINY], DIGITS, CPU, interruption=Interruption(stop))


def test_a_damaged_or_foreign_checkpoint_is_not_gone_on_from(tmp_path):
    whole = train(TINY, DIGITS, "cpu")
    path = tmp_path / "state.pt"
    with pytest.raises(Killed):
        train(
            variant(seed=5), DIGITS, "cpu", checkpoint=path, every=0.0, watch=suddenly_ending_at(9)
        )
    assert train(TINY, DIGITS, "cpu", checkpoint=path) == whole
    for content in (b"", b"short", path.read_bytes()[:-1]):
        path.write_bytes(content)
        assert read_checkpoint(path, CPU) is None
        assert train(TINY, DIGITS, "cpu", checkpoint=path) == whole


def test_a_checkpoint_executes_nothing(tmp_path):
    path = tmp_path / "state.pt"
    write_checkpoint(path, {"call": os.system})
    with pytest.raises(Exception, match=r"weights_only|Unsupported|GLOBAL"):
        read_checkpoint(path, CPU)


# ---------------------------------------------------------------------------- packed


def together(runs, **more):
    return train_together(runs, DIGITS, CPU, interruption=Interruption(), **more)


class Double(Member):
    """In double precision, where another order of sums is 1e-16 and no optimizer blows it up.

    In single precision Adam divides a gradient that is zero but for rounding by itself.
    """

    def __init__(self, run, images, device):
        super().__init__(run, images, device)
        self.model.double()
        self.images, self._test_images = self.images.double(), self._test_images.double()


@pytest.fixture
def in_double(monkeypatch):
    monkeypatch.setattr(training, "Member", Double)


#: The outputs of the training loss are rounded to single precision: where the last bit of one
#: falls otherwise, fourteen steps carry it on.
SAME = 1e-6


def assert_same_records(results, others, tolerance=SAME):
    """Sums in another order: rounding, which training amplifies."""
    for result, other in zip(results, others, strict=True):
        assert result.run == other.run
        assert (result.divergence is None) == (other.divergence is None)
        for name, column in result.records.items():
            # An image whose margin is within rounding of 0 may change sides.
            slack = 0.02 if "error" in name else tolerance
            np.testing.assert_allclose(column, other.records[name], atol=slack, err_msg=name)


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.01},
        {"optimizer": "adamw", "weight_decay": 0.1},
        {"model": "resnet-small", "width": 0.25},
        {"model": "vit-small", "width": 0.25},
    ],
    ids=["adam", "sgd", "adamw", "batch-norm", "attention"],
)
def test_packed_members_are_what_they_are_alone(settings):
    runs = [variant(seed=seed, **settings) for seed in range(2)]
    alone, packed = [train(run, DIGITS, "cpu") for run in runs], together(runs)
    assert_same_records(packed, alone)
    # A wrong pairing of members has to fail.
    pairs = zip(alone[::-1], alone, strict=True)
    with pytest.raises(AssertionError):
        assert_same_records(packed, [dataclasses.replace(r, run=o.run) for r, o in pairs])


@pytest.mark.usefixtures("in_double")
def test_members_of_different_P_have_batches_of_different_sizes():
    runs = [variant(P=P) for P in (20, 70, 100)]
    assert_same_records(together(runs), [train(run, DIGITS, "cpu") for run in runs])


def test_a_packed_member_that_diverges_does_not_touch_the_others():
    runs = [variant(optimizer="sgd", learning_rate=0.01, seed=seed) for seed in range(3)]
    members = together(runs)

    class Poisoned(Member):
        """One member begins with a weight that is not a number."""

        def __init__(self, run, images, device):
            super().__init__(run, images, device)
            if run.seed == 1:
                next(self.model.parameters()).data[:] = torch.nan

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "Member", Poisoned)
        poisoned = together(runs)
    assert [result.status for result in poisoned] == ["finished", "diverged", "finished"]
    assert poisoned[1].divergence.step == 1
    assert poisoned[0] == members[0]
    assert poisoned[2] == members[2]


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize("model", ["cnn-small", "resnet-small"])
def test_packed_members_are_taken_up_again_together_and_alone(model, tmp_path):
    runs = [variant(model=model, width=0.25, seed=seed) for seed in range(2)]
    whole = together(runs)
    paths = [tmp_path / f"{run.stem}.pt" for run in runs]
    with pytest.raises(Killed):
        together(runs, checkpoints=paths, every=0.0, watch=suddenly_ending_at(7))
    kept = [path.read_bytes() for path in paths]
    assert together(runs, checkpoints=paths) == whole
    # One of them alone goes on from the same file, up to rounding.
    for path, content in zip(paths, kept, strict=True):
        path.write_bytes(content)
    alone = train(runs[1], DIGITS, "cpu", checkpoint=paths[1])
    assert_same_records([alone], whole[1:])
    # The other was saved earlier: they go on one after the other.
    paths[1].unlink()
    assert_same_records(together(runs, checkpoints=paths), whole)


def test_packs_hold_what_may_share_a_program():
    runs = grid("cnn-small", "digits", [50, 100], 3, steps=10)
    runs += grid("cnn-small", "digits", [50], 2, steps=20)
    sizes = [[(run.P, run.steps) for run in pack] for pack in packs(runs, 4, same_P=False)]
    assert sizes == [[(50, 10)] * 3 + [(100, 10)], [(100, 10)] * 2, [(50, 20)] * 2]
    sizes = [[(run.P, run.steps) for run in pack] for pack in packs(runs, 4, same_P=True)]
    assert sizes == [[(50, 10)] * 3, [(50, 20)] * 2, [(100, 10)] * 3]
    assert [len(pack) for pack in packs(runs, 1, same_P=False)] == [1] * 8


# ---------------------------------------------------------------------------- precision


def test_bfloat16_is_near_float32_and_not_the_same():
    runs = [variant(steps=60, precision=name, width=1.0) for name in ("float32", "bfloat16")]
    full, half = (train(run, DIGITS, "cpu").records for run in runs)
    assert full["test_loss"] != half["test_loss"]
    # A product in bfloat16 is off by 2^-9; the losses and norms of the curves by little more.
    np.testing.assert_allclose(half["test_loss"], full["test_loss"], rtol=0.1)
    np.testing.assert_allclose(half["log_norm_eq2"], full["log_norm_eq2"], atol=0.1)
    packed = together([runs[1], dataclasses.replace(runs[1], seed=1)])
    np.testing.assert_allclose(packed[0].records["test_loss"], half["test_loss"], rtol=0.1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is at hand")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_gpu_trains_the_same_alone_and_packed(precision):
    runs = [variant(seed=seed, precision=precision) for seed in range(3)]
    device = torch.device("cuda")
    packed = train_together(runs, DIGITS, device, interruption=Interruption())
    alone = [train(run, DIGITS, "cuda") for run in runs]
    assert_same_records(packed, alone, 1e-2)
