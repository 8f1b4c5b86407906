"""The commands `sweep`, `norm` and `fetch`, and `fit` of a folder of runs, as one types them."""

import argparse
import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from torch import nn

from deepnorm import datasets, networks, norms, sweeps
from deepnorm.cli import main

#: A sweep of seconds: four P, two seeds.
SMALL = ["sweep", "--P", "30,60,120,240", "--seeds", "2", "--steps", "40", "--records", "12"]
SMALL += ["--workers", "1", "--quiet"]


class Squares(nn.Module):
    """Something that no Lipschitz constant bounds."""

    def forward(self, x):
        return torch.square(x)


def run(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


def refused(*arguments):
    """The one line of a complaint."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


# ------------------------------------------------------------------------- sweep and fit


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep") / "runs"
    result = run(*SMALL, "-o", folder)
    assert result.exit_code == 0, result.output
    assert "8 finished" in result.output
    return folder


def test_a_sweep_that_is_done_is_not_done_again(runs):
    before = {path: path.stat().st_mtime_ns for path in runs.glob("*.json")}
    result = run(*SMALL, "-o", runs)
    assert result.exit_code == 0
    assert "8 skipped" in result.output
    assert {path: path.stat().st_mtime_ns for path in runs.glob("*.json")} == before


def test_other_settings_in_the_same_folder_are_refused_by_option(runs):
    message = refused(*SMALL, "--learning-rate", "0.01", "-o", runs)
    assert "learning_rate=0.001 and learning_rate=0.01" in message
    assert "--mix" in message


def test_a_fit_of_the_folder_is_that_of_its_table(runs, tmp_path):
    out, report = tmp_path / "fit.json", tmp_path / "fit.html"
    options = ["--bootstrap", 20, "--json", out, "--report", report]
    result = run("fit", runs, *options)
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    assert found["P"] == [30, 60, 120, 240]
    assert found["seeds"] == [2, 2, 2, 2]
    page = report.read_text()
    assert "8 runs of cnn-small on digits, norm eq2" in page
    for heading in ("Training time", "Margins"):
        assert heading in page

    table = sweeps.read_runs(runs)
    csv = tmp_path / "runs.csv"
    table.to_csv(csv, index=False)
    columns = ["--map", "log_norm=log_norm_bartlett"]
    assert run("fit", csv, *columns, "--bootstrap", 20, "--json", out).exit_code == 0
    by_table = json.loads(out.read_text())
    assert run("fit", runs, "--norm", "bartlett", "--bootstrap", 20, "--json", out).exit_code == 0
    by_folder = json.loads(out.read_text())
    assert by_folder["log_lambda_opt"] == pytest.approx(by_table["log_lambda_opt"], rel=1e-12)
    assert by_folder["gamma_meas"] == by_table["gamma_meas"]


def test_a_fit_chooses_among_runs(runs, tmp_path):
    assert "--norm must be one that was recorded: eq2, bartlett" in refused(
        "fit", runs, "--norm", "spectral"
    )
    assert "no run has model=vit" in refused("fit", runs, "--where", "model=vit")
    assert "--where knows model" in refused("fit", runs, "--where", "colour=red")
    for options in (["--percent"], ["--no-accuracy"], ["--map", "P=n"]):
        assert "--map, --percent, --accuracy" in refused("fit", runs, *options)
    assert "no run in" in refused("fit", tmp_path)
    csv = tmp_path / "a.csv"
    csv.write_text("P,norm,test_error\n")
    assert "--norm is of folders of runs" in refused("fit", csv, "--norm", "eq2")
    assert "a.csv: `table` has no rows" in refused("fit", tmp_path)  # a folder of tables


def test_mixed_runs_have_to_be_chosen(runs, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for path in runs.glob("*.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    other = sweeps.grid("cnn-small", "digits", [30], 1, steps=20, width=0.25)
    with ThreadPoolExecutor(1) as here:  # a worker of its own would import torch for it
        sweeps.sweep(other, folder, executor=here, device="cpu", progress=False, mix=True)
    again = ["sweep", "--P", "30", "--seeds", "1", "--steps", "20", "--width", "0.25", "-o", folder]
    assert "--mix" in refused(*again, "--quiet")
    assert "1 skipped" in run(*again, "--quiet", "--mix").output
    assert "the runs differ in width: 0.25, 1.0" in refused("fit", folder)
    assert run("fit", folder, "--where", "width=1.0", "--bootstrap", 20).exit_code == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--P", "10,x"], "must be whole numbers with commas"),
        (["--P", "5000"], "--P must be at most 1200, the training images of digits; got 5000"),
        (["--dataset", "letters"], "'letters' is not one of 'digits', 'mnist'"),
        (["--model", "mlp"], "'mlp' is not one of 'cnn'"),
        (["--norm", "eq2,eq3"], "must be among eq2, bartlett, cnn-paper, resnet-paper, vit-paper"),
        (["--learning-rate", "-1"], "--learning-rate must be positive and finite; got -1.0"),
        (["--steps", "10", "--epochs", "2"], "--epochs must not be given with `steps`"),
        (["--scheduler", "tcp://a:1"], "belongs to"),
        (["--slurm", "a=1"], "--slurm belongs to --executor slurm"),
    ],
)
def test_a_sweep_that_cannot_be_done_is_refused_before_it_begins(tmp_path, options, words):
    assert words in refused("sweep", *options, "-o", tmp_path / "runs")


def test_data_that_are_not_there_are_named(tmp_path):
    message = refused("sweep", "--dataset", "mnist", "--data", tmp_path, "-o", tmp_path / "runs")
    assert "deepnorm fetch mnist" in message


@pytest.mark.parametrize(
    ("device", "gpus", "rule"),
    [
        ("cuda", 0, "--device must be cpu or auto here: torch sees no GPU; got 'cuda'"),
        ("cuda:1", 1, "--device must be among the 1 GPUs that torch sees here"),
        ("mps", 0, "--device must be auto, cpu or cuda"),
        ("gpu", 0, "--device must be auto, cpu or cuda"),
    ],
)
def test_a_device_that_is_not_there_is_refused(tmp_path, monkeypatch, device, gpus, rule):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert rule in refused(*SMALL, "-o", tmp_path / "runs", "--device", device)
    assert not (tmp_path / "runs").exists()


def test_a_cluster_has_devices_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    sent = []

    class Elsewhere:
        def submit(self, function, task):
            sent.append(task)
            raise InterruptedError("enough is seen")

    runs = sweeps.grid("cnn-small", "digits", [30], 1, steps=2)
    with pytest.raises(InterruptedError):
        sweeps.sweep(runs, tmp_path, executor=Elsewhere(), device="cuda", progress=False)
    assert [task.device for task in sent] == ["cuda"]


# ---------------------------------------------------------------------------------- norm


@pytest.fixture
def network():
    return networks.build("cnn-small", (1, 8, 8), 10, seed=3)


SHAPE = ["--input-shape", "1,8,8"]
NAMED = ["--model", "cnn-small", *SHAPE]


def test_the_norm_of_weights_is_that_of_the_network(network, tmp_path):
    known = norms.spectral_complexity(network, (1, 8, 8))
    weights = network.state_dict()
    for content in (weights, {"epoch": 3, "state_dict": weights}):
        torch.save(content, tmp_path / "weights.pt")
        result = run("norm", tmp_path / "weights.pt", *NAMED, "--json", "-")
        assert result.exit_code == 0, result.output
        found = json.loads(result.output)
        assert found["log_value"] == pytest.approx(known.log_value, rel=1e-12)
        assert len(found["layers"]) == len(known.layers)
    result = run("norm", tmp_path / "weights.pt", *NAMED)
    assert f"ln R = {known.log_value:.6f}" in result.output
    assert all(name in result.output for name, _ in network.named_parameters())


def test_a_whole_module_is_read_on_trust_only(tmp_path):
    torch.save(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), tmp_path / "model.pt")
    message = refused("norm", tmp_path / "model.pt", *SHAPE)
    assert "runs code that it brings with it" in message
    assert "--trust" in message
    result = run("norm", tmp_path / "model.pt", *SHAPE, "--trust")
    assert result.exit_code == 0, result.output
    assert "1.weight" in result.output


def test_no_code_of_a_hostile_file_runs_without_trust(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    torch.save({"weights": Hostile()}, tmp_path / "model.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Hostile()))
    for name in ("model.pt", "plain.pt"):
        refused("norm", tmp_path / name, *NAMED)
    assert not (tmp_path / "ran").exists()


def test_an_exported_program_knows_its_input(network, tmp_path):
    network.eval()
    program = torch.export.export(network, (torch.zeros(1, 1, 8, 8),))
    torch.export.save(program, tmp_path / "model.pt2")
    assert "--trust" in refused("norm", tmp_path / "model.pt2")
    result = run("norm", tmp_path / "model.pt2", "--trust", "--json", "-")
    assert result.exit_code == 0, result.output
    known = norms.spectral_complexity(network, (1, 8, 8))
    assert json.loads(result.output)["log_value"] == pytest.approx(known.log_value, rel=1e-9)


def test_weights_of_a_training_script_are_read_and_told_of(network, tmp_path):
    known = norms.spectral_complexity(network, (1, 8, 8))
    weights = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    content = {"net": weights, "args": argparse.Namespace(lr=0.1), "loss": np.float64(0.3)}
    torch.save(content, tmp_path / "last.ckpt")
    result = run("norm", tmp_path / "last.ckpt", *NAMED, "--json", tmp_path / "norm.json")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "norm.json").read_text())
    assert found["log_value"] == pytest.approx(known.log_value, rel=1e-12)
    for said in ("from the key `net`", "argparse.Namespace", "the prefix `module.`"):
        assert said in " ".join(found["notes"])
        assert said in result.output


def test_of_several_weights_the_command_asks_for_one(network, tmp_path):
    other = networks.build("cnn-small", (1, 8, 8), 10, seed=4)
    path = tmp_path / "weights.pt"
    torch.save({"model": network.state_dict(), "ema": other.state_dict()}, path)
    message = refused("norm", path, *NAMED)
    assert f"--key must say which weights of {path} are meant: model, ema" in message
    result = run("norm", path, *NAMED, "--key", "ema", "--json")
    known = norms.spectral_complexity(other, (1, 8, 8))
    assert json.loads(result.output)["log_value"] == pytest.approx(known.log_value, rel=1e-12)


def test_an_architecture_may_come_from_python(network, tmp_path, monkeypatch):
    (tmp_path / "nets_of_mine.py").write_text(
        "from torch import nn\n"
        "from deepnorm.networks import build\n"
        "def small(): return build('cnn-small', (1, 8, 8), 10, seed=9)\n"
        "def broken(): raise RuntimeError('not today')\n"
        "def number(): return 3\n"
    )
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    safetensors.torch.save_file(network.state_dict(), "w.safetensors")
    result = run("norm", "w.safetensors", "--architecture", "nets_of_mine:small", *SHAPE, "--json")
    assert result.exit_code == 0, result.output
    known = norms.spectral_complexity(network, (1, 8, 8))
    assert json.loads(result.output)["log_value"] == pytest.approx(known.log_value, rel=1e-12)
    torch.save(network, "model.pt")  # of a module the weights alone are read
    result = run("norm", "model.pt", "--architecture", "nets_of_mine:small", *SHAPE, "--json")
    assert json.loads(result.output)["log_value"] == pytest.approx(known.log_value, rel=1e-12)
    for name, said in [
        ("small", "must be MODULE:FUNCTION"),
        ("nets_of_mine:none", "has no attribute 'none'"),
        ("nets_of_yours:small", "No module named 'nets_of_yours'"),
        ("nets_of_mine:broken", "failed: RuntimeError: not today"),
        ("nets_of_mine:number", "must return a torch.nn.Module; nets_of_mine:number returns int"),
    ]:
        assert said in refused("norm", "w.safetensors", "--architecture", name, *SHAPE)
    assert "exclude one another" in refused(
        "norm", "w.safetensors", "--architecture", "nets_of_mine:small", *NAMED
    )
    assert "--input-shape must be given with --architecture" in refused(
        "norm", "w.safetensors", "--architecture", "nets_of_mine:small"
    )
    assert sys.path == before


def test_without_an_architecture_each_tensor_has_its_norms(network, tmp_path):
    safetensors.torch.save_file(network.state_dict(), tmp_path / "w.safetensors")
    torch.save(network.state_dict(), tmp_path / "w.pt")
    for name in ("w.safetensors", "w.pt"):
        result = run("norm", tmp_path / name, "--json", "-")
        assert result.exit_code == 0, result.output
        found = {row["name"]: row for row in json.loads(result.output)["tensors"]}
        assert found.keys() == network.state_dict().keys()
        for key, tensor in network.state_dict().items():
            norm = torch.linalg.vector_norm(tensor.double()).item()
            assert found[key]["frobenius"] == pytest.approx(norm, rel=1e-12)
            assert (found[key]["sigma"] is None) == (tensor.ndim < 2)
        result = run("norm", tmp_path / name)
        assert "reshaped kernel" in result.output
        assert "no norm of a network" in result.output
        for option in (["--convention", "bartlett"], ["--strict"], ["--width", "1"]):
            assert f"{option[0]} needs --model" in refused("norm", tmp_path / name, *option)


def test_a_module_under_a_key_is_read_on_trust(tmp_path):
    path = tmp_path / "last.pt"
    torch.save({"ema": nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), "epoch": 3}, path)
    assert "--trust" in refused("norm", path, *SHAPE)
    result = run("norm", path, *SHAPE, "--trust")
    assert result.exit_code == 0, result.output
    assert "1.weight" in result.output


def test_files_that_are_no_networks_are_refused(network, tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"nothing of the kind")
    assert "neither a file of torch.save nor one of safetensors" in refused("norm", path, *NAMED)
    torch.save([1, 2], path)
    assert "holds no mapping of names to tensors; it is of type list" in refused(
        "norm", path, *NAMED
    )
    torch.save(network.state_dict(), path)
    assert "--input-shape needs --model, one of cnn" in refused("norm", path, *SHAPE)
    assert "--input-shape must be given" in refused("norm", path, "--model", "cnn-small")
    wrong = refused("norm", path, "--model", "cnn", *SHAPE)
    assert "does not hold the weights of 'cnn'" in wrong
    torch.save(torch.zeros(3), path)
    assert "it is of type Tensor" in refused("norm", path, *NAMED)
    assert "must be positive integers such as 1,28,28" in refused(
        "norm", path, "--input-shape", "1,x"
    )
    torch.save(network.state_dict(), path)
    assert "'a' is not one of 'eq2'" in refused("norm", path, *NAMED, "--convention", "a")


def test_what_the_norm_leaves_out_is_said(tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), Squares())
    torch.save(model, tmp_path / "model.pt")
    arguments = ["norm", tmp_path / "model.pt", "--input-shape", "1,2,2", "--trust"]
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert "Warning:" in result.output
    assert "square" in result.output
    assert "square" in refused(*arguments, "--strict")


# --------------------------------------------------------------------------------- fetch


def test_a_fetch_without_a_network_says_where_else_to_go(tmp_path, monkeypatch):
    def offline(*arguments, **options):
        raise ConnectionError("nobody answers: copy the file to FOLDER")

    monkeypatch.setattr(datasets, "fetch", offline)
    result = run("fetch", "mnist", "-o", tmp_path)
    assert result.exit_code == 1
    assert "nobody answers: copy the file to FOLDER" in result.output


# --------------------------------------------------------------------------- without torch

WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Absent())
from deepnorm.cli import main
main(sys.argv[1:])
"""


def without_torch(*arguments):
    command = [sys.executable, "-c", WITHOUT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_finished_runs_are_fitted_without_torch(runs):
    done = without_torch("fit", runs, "--bootstrap", 20)
    assert done.returncode == 0, done.stderr
    assert "gamma_meas" in done.stdout


@pytest.mark.parametrize("command", ["norm", "sweep", "fetch"])
def test_commands_that_need_torch_say_how_to_get_it(tmp_path, command):
    (tmp_path / "file.pt").touch()
    arguments = {
        "norm": [tmp_path / "file.pt", *NAMED],
        "sweep": ["-o", tmp_path],
        "fetch": ["mnist", "-o", tmp_path],
    }[command]
    done = without_torch(command, *arguments)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        'Error: torch is not installed: pip install "replica-learning[deep]"'
    )
