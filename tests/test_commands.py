"""What all commands have in common: help, examples, exit codes, completion, and how they end."""

import importlib.metadata
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
import torch
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from grids import slow
from patience import HANGS, until

import deepnorm.cli
import replica.cli
import validation.__main__
from deepnorm import datasets, networks, norms
from deepnorm.cli import common
from deepnorm.report import page as page_of_fit
from replica import exponents, rules
from replica.common import terminal
from replica.scaling import SyntheticLaw, synthetic_curves
from validation import figures, stamp

ROOT = Path(__file__).parents[1]
GROUPS = {
    "replica": replica.cli.main,
    "deepnorm": deepnorm.cli.main,
    "python -m validation": validation.__main__.main,
}
#: Everything that has a page of help, by the words that one types.
PAGES = {
    **GROUPS,
    **{
        f"{words} {name}": command
        for words, group in GROUPS.items()
        for name, command in group.commands.items()
    },
}
MODULES = {"replica": "replica", "deepnorm": "deepnorm", "python -m validation": "validation"}


def page(words, **environment):
    """The help, as on a terminal of eighty columns."""
    group, arguments = split(words)
    result = CliRunner(env={"COLUMNS": "80", **environment}).invoke(
        group, [*arguments, "--help"], prog_name=words.removesuffix(" ".join(arguments)).strip()
    )
    assert result.exit_code == 0
    return result.output


def split(line):
    """The group, and the words after it, of something that one types."""
    prefix = next(words for words in GROUPS if line == words or line.startswith(f"{words} "))
    return GROUPS[prefix], shlex.split(line.removeprefix(prefix), comments=True)


def examples(text):
    """What stands below Example: or Examples:, whole lines."""
    found = re.search(r"^  Examples?:\n((?:    .*\n)+)", text, re.M)
    assert found, text
    return [line.strip() for line in re.sub(r"\\\n +", "", found[1]).splitlines()]


def command(*arguments, **options):
    """A process of its own."""
    line = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder in which every example finds what it names."""
    folder = tmp_path_factory.mktemp("place")
    table = synthetic_curves(
        SyntheticLaw(gamma_1=0.3, gamma_2=0.9),
        [1000.0 * 2**k for k in range(5)],
        seeds=3,
        rng=np.random.default_rng(0),
    )
    table.to_csv(folder / "curves.csv", index=False)
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 1000)
    features = rng.standard_normal((1000, 3)) + 0.5 * labels[:, None]
    np.savez(folder / "features.npz", features=features, y=labels)
    for name, label in (("data", "y"), ("patients", "outcome")):
        rows = pd.DataFrame(features, columns=["a", "b", "c"]).assign(**{label: labels})
        rows.to_csv(folder / f"{name}.csv", index=False)
    model = networks.build("cnn", (1, 28, 28), 10, seed=0)
    torch.save(model.state_dict(), folder / "weights.pt")
    model = networks.build("cnn-small", (1, 8, 8), 10, seed=0)
    torch.save(model.state_dict(), folder / "small.pt")
    for name in (
        *("model.pt", "exported.pt2", "last.ckpt", "model.safetensors", "sweep.parquet"),
        "optimum.json",
    ):
        (folder / name).touch()
    for name in ("runs", "data", "logs"):
        (folder / name).mkdir()
    return folder


# ---------------------------------------------------------------------------------- help


@pytest.mark.parametrize("words", PAGES)
def test_a_page_of_help_has_a_summary_an_example_and_fits_eighty_columns(words):
    text = page(words)
    summary = PAGES[words].get_short_help_str(limit=100)
    assert summary.endswith(".")
    assert not summary.endswith("...")
    assert max(map(len, text.splitlines())) <= 80
    assert any(line.startswith(words) for line in examples(text)) or "completion" in words
    for option in PAGES[words].params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            assert (
                option.metavar
                or option.is_flag
                or isinstance(option.type, click.Choice)
                or (option.type is click.STRING)
            ), option.name
    # no line ends inside of a short bracket or at the hyphen of a word
    assert not re.search(r"\[default:\n|\w-\n", text)
    assert "\N{NO-BREAK SPACE}" not in text
    assert "\N{NON-BREAKING HYPHEN}" not in text


@pytest.mark.parametrize("words", GROUPS)
def test_the_help_of_a_group_tells_the_exit_codes(words):
    told = " ".join(page(words).split())
    assert "Exit codes: 0 done; 1 something could not be done or written; 2 a bad" in told
    assert "130 interrupted." in told


@pytest.mark.parametrize(
    ("words", "line"), [(words, line) for words in PAGES for line in examples(page(words))]
)
def test_an_example_is_understood_as_it_is_printed(words, line, place, monkeypatch):
    monkeypatch.chdir(place)
    line = re.sub(r"^eval \"\$\((.*)\)\".*|^(.*) > .*", r"\1\2", line)  # what the shell takes
    group, arguments = split(line)
    context = click.Context(group)
    name, chosen, rest = group.resolve_command(context, arguments)
    chosen.make_context(name, rest, parent=context).close()


#: Beginnings of examples that take no more than seconds.
QUICK = ("replica", "deepnorm fit curves.csv", "deepnorm completion")


@pytest.mark.parametrize(
    "line",
    sorted(
        {
            line
            for words in PAGES
            for line in examples(page(words))
            if line.startswith(QUICK) and "--optimum" not in line
        }
    ),
)
def test_a_quick_example_works_as_it_is_printed(line, place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setattr(page_of_fit, "_pictures", lambda *_: [])
    group, arguments = split(re.sub(r" > .*", "", line))
    if "fit" in arguments:
        arguments += ["--bootstrap", "20"]
    result = CliRunner().invoke(group, arguments)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("words", GROUPS)
def test_version(words):
    name = words.rpartition(" ")[2]
    version = importlib.metadata.version("replica-learning")
    assert CliRunner().invoke(GROUPS[words], ["--version"]).output == f"{name}, version {version}\n"
    done = command(MODULES[words], "--version")
    assert (done.returncode, done.stdout) == (0, f"{name}, version {version}\n")


@pytest.mark.parametrize("module", ["replica", "deepnorm", "validation"])
def test_help_and_completion_import_nothing_heavy(module):
    code = (
        f"import sys; from {module}.__main__ import main\n"
        if module == "validation"
        else f"import sys; from {module}.cli import main\n"
    ) + (
        "main(['--help'], standalone_mode=False)\n"
        "from click.shell_completion import ShellComplete\n"
        "assert ShellComplete(main, {}, 'x', '_X_COMPLETE').get_completions([], '')\n"
        "heavy = 'numpy scipy pandas numba torch matplotlib mpmath rich jinja2'.split()\n"
        "assert not set(heavy) & set(sys.modules), set(heavy) & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------------- completion


def completed(group, *words):
    *before, last = words
    found = ShellComplete(group, {}, "x", "_X_COMPLETE").get_completions(before, last)
    return [item.value for item in found]


def test_names_complete():
    deep, draw = deepnorm.cli.main, validation.__main__.main
    assert completed(replica.cli.main, "so") == ["solve"]
    assert completed(replica.cli.main, "path", "--lab") == ["--label-flip", "--label-noise"]
    assert completed(replica.cli.main, "solve", "--inputs", "po") == ["power-law:"]
    assert completed(replica.cli.main, "exponents", "--gamma-1") == ["--gamma-1", "--gamma-1-error"]
    assert completed(deep, "sweep", "--model", "vit") == [
        name for name in networks.NAMES if name.startswith("vit")
    ]
    assert completed(deep, "sweep", "--dataset", "") == list(datasets.NAMES)
    assert completed(deep, "fetch", "") == [name for name in datasets.NAMES if name != "digits"]
    assert completed(deep, "norm", "--convention", "") == list(norms.CONVENTIONS)
    assert completed(deep, "fit", "--norm", "ba") == ["bartlett"]
    assert completed(deep, "sweep", "--norm", "eq2,ba") == ["eq2,bartlett"]
    assert completed(deep, "sweep", "--device", "c") == ["cpu", "cuda"]
    assert completed(draw, "mnist") == [name for name in figures.FIGURES if "mnist" in name]


def test_names_on_the_command_line_are_those_of_the_library():
    assert networks.NAMES == common.MODELS
    assert tuple(norms.CONVENTIONS) == common.CONVENTIONS
    assert ("digits", *common.FETCHED) == datasets.NAMES


@pytest.mark.parametrize("name", ["replica", "deepnorm"])
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_asks_the_command(name, shell):
    result = CliRunner().invoke(GROUPS[name], ["completion", shell])
    assert result.exit_code == 0
    assert f"_{name.upper()}_COMPLETE={shell}_complete" in result.stdout


def test_a_shell_completes_by_itself():
    """In bash, with the script that `completion` prints."""
    folder = Path(sys.executable).parent
    if not (folder / "replica").exists():
        pytest.skip("the commands are not installed beside this interpreter")
    script = (
        'eval "$(replica completion bash)"; COMP_WORDS=(replica so); COMP_CWORD=1; '
        '_replica_completion replica; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["solve"], done.stderr


# ---------------------------------------------------------------------------- exit codes

SOLVE = ("solve", "--alpha", "5", "--lam", "4.5")


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("replica", ("solve", "--alpha", "-1", "--lam", "1")),
        ("replica", ("solve",)),
        ("deepnorm", ("fit", "nowhere.csv")),
        ("deepnorm", ("sweep", "--dataset", "letters", "-o", "runs")),
        ("python -m validation", ("figure7",)),
        ("python -m validation", ("keep", ".", "--command", "true")),
    ],
)
def test_a_bad_argument_is_2(words, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(GROUPS[words], arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert result.stdout == ""


def outputs(place, target):
    """Every command that writes a file, with that one."""
    fit = ("deepnorm", "fit", place / "curves.csv", "--bootstrap", "20")
    weights = (place / "small.pt", "--model", "cnn-small", "--input-shape", "1,8,8")
    return [
        ("replica", "path", "--alpha", "5", "--points", "3", "-o", target),
        ("replica", *SOLVE, "--json", target),
        ("replica", "rules", "--alpha", "5", "--json", target),
        ("replica", "optimum", "--alpha", "5", "--json", target),
        ("replica", "exponents", "--capacity", "3", "--source", "0.3", "--json", target),
        (*fit, "--json", target),
        (*fit, "--report", target),
        ("deepnorm", "norm", *weights, "--json", target),
    ]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
@pytest.mark.parametrize("which", range(8))
def test_a_full_disk_is_1(which, place, monkeypatch):
    monkeypatch.setattr(page_of_fit, "_pictures", lambda *_: [])
    group, *arguments = outputs(place, "/dev/full")[which]
    result = CliRunner().invoke(GROUPS[group], [str(word) for word in arguments])
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last == "Error: cannot write /dev/full: No space left on device"


@pytest.mark.parametrize("which", range(8))
def test_an_output_that_cannot_be_is_1_before_anything_is_computed(
    which, place, tmp_path, monkeypatch
):
    for name in ("logistic_teacher_student", "optimal_norm"):
        monkeypatch.setattr(replica, name, None)
    monkeypatch.setattr(rules, "hebb", None)
    monkeypatch.setattr(exponents, "scaling_exponents", None)
    for target, reason in (
        (tmp_path, "it is a directory"),
        (tmp_path / "no" / "where", f"there is no folder {tmp_path / 'no'}"),
    ):
        group, *arguments = outputs(place, target)[which]
        result = CliRunner().invoke(GROUPS[group], [str(word) for word in arguments])
        assert result.exit_code == 1, result.output
        assert result.stderr == f"Error: cannot write {target}: {reason}\n"
    assert os.listdir(tmp_path) == []


def test_folders_that_cannot_be_written_are_1(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "below"
    monkeypatch.setattr(stamp, "_render", lambda name, full: ({f"{name}.txt": b""}, None))
    for group, *arguments in (
        ("deepnorm", "sweep", "-o", below),
        ("deepnorm", "fetch", "mnist", "-o", below),
        ("python -m validation", "figure1", "-o", below),
    ):
        result = CliRunner().invoke(GROUPS[group], [str(word) for word in arguments])
        assert result.exit_code == 1, result.output
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith("Error: ")
        assert "Not a directory" in result.stderr
        assert "`" not in result.stderr


def test_json_goes_to_a_file_or_to_the_standard_output(tmp_path):
    target = tmp_path / "point.json"
    shown = [
        CliRunner().invoke(replica.cli.main, [*SOLVE, *more]).stdout
        for more in (["--json"], ["--json", "-"])
    ]
    assert shown[0] == shown[1]
    result = CliRunner().invoke(replica.cli.main, [*SOLVE, "--json", str(target)])
    assert target.read_text() == shown[0]
    assert json.loads(shown[0])["alpha"] == 5
    assert "generalization error" in result.stdout
    assert result.stderr == f"written: {target}\n"


# ---------------------------------------------------------------- where the output goes to


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        SOLVE,
        slow(("rules", "--alpha", "5", "--json")),
    ],
)
def test_a_standard_output_that_is_full_is_an_error(arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "replica", *arguments],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "Error: cannot write the standard output: No space left on device\n"


@pytest.mark.parametrize("arguments", [SOLVE, slow(("path", "--alpha", "5", "-o", "-"))])
def test_whoever_stops_reading_is_not_complained_to(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "replica", *arguments],
        stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_closed_output_and_a_home_that_is_none(tmp_path):
    environment = {**os.environ, "HOME": "/dev/null", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    for name in ("TERM", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR"):
        environment.pop(name, None)
    done = command("replica", *SOLVE, env=environment)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.isascii()
    target = tmp_path / "point.json"
    line = shlex.join([sys.executable, "-m", "replica", *SOLVE, "--json", str(target)])
    done = subprocess.run(f"{line} >&-", shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, f"written: {target}\n")
    assert json.loads(target.read_text())["alpha"] == 5


@pytest.mark.parametrize("report", [False, slow(True)])
def test_a_fit_on_a_narrow_terminal_without_greek_letters(report, place, tmp_path):
    page = tmp_path / "report.html"
    done = command(
        "deepnorm", "fit", place / "curves.csv", "--bootstrap", "20",
        *(("--report", page) if report else ()),
        env={**os.environ, "COLUMNS": "40", "PYTHONIOENCODING": "ascii", "NO_COLOR": "1",
             "HOME": "/dev/null", "TERM": "dumb", "MPLCONFIGDIR": ""},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, f"written: {page}\n" if report else "")
    assert done.stdout.isascii()
    assert "?" not in done.stdout
    assert not report or page.read_text().rstrip().endswith("</html>")


# ---------------------------------------------------------------------------- interrupts


#: A command that is sent Ctrl-C as it asks for a module: at a place, and not after a time.
WHILE_IMPORTING = """
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
runpy.run_module("replica", run_name="__main__")
"""


@pytest.mark.parametrize("name", ["click", "numpy", "numba", "replica.solving"])
def test_ctrl_c_leaves_a_line_and_no_half_file(name, tmp_path):
    """Whatever is being imported."""
    path = ("path", "--alpha", "5", "--points", "3", "-o", "path.csv")
    done = subprocess.run(
        [sys.executable, "-c", WHILE_IMPORTING.format(name=name), *path],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (130, "Interrupted.\n")
    assert os.listdir(tmp_path) == []


def test_ctrl_c_in_a_simulation_draws_no_figure_of_half_of_it(tmp_path):
    """The simulation itself would give back what it has so far."""
    code = (
        "import os, signal, sys, time, perceptron, validation.figures.figure1 as figure\n"
        "def flow(*_, **__):\n"
        "    try: os.kill(os.getpid(), signal.SIGINT); time.sleep(10)\n"
        "    except KeyboardInterrupt: print('half')\n"
        "figure.gradient_flow = flow\n"
        "from validation.__main__ import main\n"
        "main()"
    )
    line = [sys.executable, "-c", code, "figure1", "-o", str(tmp_path / "made")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 130
    # kernels may have to be compiled before, once for an installation, and say so
    assert done.stderr.splitlines()[-1] == "Interrupted."
    assert done.stdout.startswith("figure1  simulating")
    assert "drawn" not in done.stdout
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, slow(signal.SIGTERM)])
def test_a_sweep_that_is_told_to_stop_is_130_and_keeps_what_it_has(number, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "deepnorm", "sweep", "--P", "40", "--seeds", "1", "--steps",
         "1000000", "--workers", "1", "--checkpoint-every", "0.1", "--quiet", "-o", "runs"],
        stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    until(lambda: len(list(tmp_path.glob("runs/*/*.pt"))) == 1, process)
    process.send_signal(number)
    _, said = process.communicate(timeout=HANGS)
    assert process.returncode == 130
    assert said.startswith("interrupted; ")
    assert said.count("\n") == 1
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in left} == {".pt"}


@pytest.mark.parametrize(("signals", "code"), [slow(0, 0), (1, 130)])
def test_an_interrupt_under_a_bar_gives_the_cursor_back(signals, code, place):
    """A terminal whose cursor stays hidden is a nuisance."""
    owner, ours = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "deepnorm", "fit", str(place / "curves.csv"), "--bootstrap",
         "100000" if signals else "50"],
        stdout=subprocess.DEVNULL, stderr=ours, env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(ours)
    said = b""
    while True:
        try:
            said += os.read(owner, 1000)
        except OSError:  # how a terminal ends
            break
        if signals and b"bootstrap" in said:
            process.send_signal(signal.SIGINT)
            signals = 0
    assert process.wait(HANGS) == code
    assert said.count(b"\x1b[?25l") == said.count(b"\x1b[?25h") == 1
    assert said.endswith(b"Interrupted.\r\n") == (code == 130)
    assert b"Traceback" not in said
    os.close(owner)


def test_who_ignores_interrupts_is_not_interrupted():
    """As with nohup."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from replica.cli import main\n"
        "try: main(['--version'])\n"
        "finally: assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_test_or_a_program_keeps_its_own_handler():
    before = signal.getsignal(signal.SIGINT)
    assert CliRunner().invoke(terminal.Commands("x"), ["--help"]).exit_code == 0
    assert signal.getsignal(signal.SIGINT) is before
