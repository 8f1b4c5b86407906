"""`deepnorm fit`: what it prints, writes and refuses."""

import importlib.metadata
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from deepnorm.cli import main
from deepnorm.report import export, statements
from deepnorm.report import page as report
from replica import scaling
from replica.common import files

P = (500, 1000, 2000, 4000, 8000, 16000)
BOOTSTRAP = "20"
#: Keys that a script may count on.
PROMISED = {
    *(
        name + end
        for name in ("gamma_1", "gamma_2", "gamma_pred", "gamma_meas", "gamma_2_elbow", "drift")
        for end in ("", "_error", "_low", "_high", "_systematic", "_reason")
    ),
    *("P", "lambda_opt", "log_lambda_opt", "log_lambda_opt_error", "eps_opt"),
    *("log_eps_opt_error", "at_end", "flat", "collapse", "collapse_elbow", "regimes"),
    *("forecast", "flags", "seeds_unlike"),
    *("choices", "settings", "covariance", "difference", "method", "averaged"),
}


def table(shift=0.0):
    """A small sweep of known exponents; ``shift`` is added to ln(norm)."""
    law = scaling.SyntheticLaw()
    frame = scaling.synthetic_curves(law, P, 4, np.random.default_rng(1), records=30)
    return frame.assign(log_norm=np.log(frame["norm"]) + shift).drop(columns="norm")


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def strict_json(text):
    """Parse, refusing the NaN and Infinity that Python writes and no standard knows."""

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fit")


@pytest.fixture(scope="module")
def csv(folder):
    path = folder / "curves.csv"
    table().to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def analysis(csv):
    return scaling.analyse(scaling.read_curves(csv), bootstrap=int(BOOTSTRAP))


@pytest.fixture(scope="module")
def fitted(csv, folder):
    """One run: what it printed, and its JSON."""
    result = run(
        *("fit", csv, "--bootstrap", BOOTSTRAP, "--json", folder / "out.json"),
    )
    assert result.exit_code == 0, result.output
    return result, strict_json((folder / "out.json").read_text())


# ------------------------------------------------------------------------------ the JSON


def test_json_holds_the_librarys_numbers_to_the_last_bit(fitted, analysis):
    record = fitted[1]
    assert set(record) >= PROMISED
    for name in export.EXPONENTS:
        estimate = getattr(analysis, name)
        for end in ("error", "low", "high", "systematic"):
            value = getattr(estimate, end)
            assert record[f"{name}_{end}"] == (None if math.isnan(value) else value), name
        assert record[name] == estimate.value
    assert record["P"] == list(P)
    assert record["lambda_opt"] == pytest.approx(analysis.optima["lam_opt"].tolist(), rel=1e-12)
    assert record["eps_opt"] == analysis.optima["eps_opt"].tolist()
    assert record["collapse"]["quality"] == analysis.collapse.quality
    assert [flag["text"] for flag in record["flags"]] == [flag.text for flag in analysis.flags]
    assert len(record["choices"]) == len(analysis.choices)
    assert record["forecast"]["fitted_to"] == P[-2]


def test_json_on_stdout_stands_alone(csv, fitted):
    result = run("fit", csv, "--bootstrap", BOOTSTRAP, "--json", "-")
    assert result.exit_code == 0
    assert strict_json(result.stdout) == fitted[1]


def test_norms_beyond_a_double_are_null_beside_their_logarithm(folder):
    path = folder / "huge.csv"
    table(shift=1000.0).to_csv(path, index=False)
    result = run("fit", path, "--bootstrap", BOOTSTRAP, "--json", folder / "huge.json")
    assert result.exit_code == 0, result.output
    record = strict_json((folder / "huge.json").read_text())
    assert record["lambda_opt"] == [None] * len(P)
    assert min(record["log_lambda_opt"]) > 1000
    assert re.search(r"\de43\d", result.stdout)  # 1000/ln(10) = 434


def test_json_has_every_seed_of_which_a_flag_names_a_few(analysis):
    """As many as there are in a sweep of which one seed of each P stops early."""
    rows = [(float(p), 0, "ends_early", True, "ends at 60%", 0.1, math.nan, -0.1) for p in P]
    many = replace(analysis, seeds=pd.DataFrame(rows, columns=analysis.seeds.columns))
    told = export.as_json(many)["seeds_unlike"]
    assert [row["P"] for row in told] == list(P)
    assert told[0]["what"] == "ends at 60%"
    assert (told[0]["used"], told[0]["d_gamma_2"]) == (True, None)


def test_what_json_lacks_is_spelled():
    record = {"a": np.array([1.0, np.nan]), "b": (math.inf, -math.inf), "c": np.bool_(True)}
    assert export.jsonable(record) == {"a": [1.0, None], "b": ["inf", "-inf"], "c": True}


# ------------------------------------------------------------------------------ the terminal


def test_the_terminal_tells_every_exponent_optimum_and_flag(fitted, analysis):
    out = fitted[0].stdout
    for row in statements.exponents(analysis):
        line = next(line for line in out.splitlines() if line.startswith(row.name + " "))
        assert row.value in line
        assert row.error in line
    for count in P:
        assert re.search(rf"^{count} +\d+\.?\d* ", out, re.MULTILINE)
    assert f"S = {analysis.collapse.quality:.3g}" in out
    said = " ".join(out.split())
    for flag in analysis.flags:
        assert " ".join(str(flag).split()) in said


def test_two_values_of_P_are_a_statement_and_no_number(folder, monkeypatch):
    monkeypatch.setattr(report, "_pictures", lambda *_: [])
    path = folder / "two.csv"
    table().query("P <= 1000").to_csv(path, index=False)
    out, numbers = folder / "two.html", folder / "two.json"
    result = run("fit", path, "--bootstrap", BOOTSTRAP, "--json", numbers, "--report", out)
    assert result.exit_code == 0, result.output
    record = strict_json(numbers.read_text())
    assert record["gamma_2"] is None
    assert record["gamma_pred_error"] is None
    assert "at least 3 values of P" in record["gamma_2_reason"]
    assert "at least 3 values of P" in out.read_text()
    assert "gamma_2 " in result.stdout


def test_averaged_curves_are_said_to_be_averaged(folder, monkeypatch):
    monkeypatch.setattr(report, "_pictures", lambda *_: [])
    path = folder / "averaged.csv"
    table().query("seed == 0").drop(columns="seed").to_csv(path, index=False)
    result = run("fit", path, "--report", folder / "averaged.html", "--json", folder / "a.json")
    assert result.exit_code == 0, result.output
    assert "averaged over seeds" in result.stdout
    assert strict_json((folder / "a.json").read_text())["averaged"] is True
    assert "leaving out one" in (folder / "averaged.html").read_text()


# ------------------------------------------------------------------------------ the options


def test_the_papers_recipe_takes_its_window_and_optima(csv, folder, monkeypatch):
    monkeypatch.setattr(report, "_pictures", lambda *_: [])
    own = {"P": list(P), "mean_optimal_norm": [2.0 * count for count in P], "model": "CNN"}
    (folder / "optimum.json").write_text(json.dumps(own))
    result = run(
        *("fit", csv, "--method", "paper", "--window", "0", "0.3", "--gamma1-from", "1000"),
        *("--gamma2-from", "500", "--optimum", folder / "optimum.json", "--json", "-"),
        *("--report", folder / "paper.html"),
    )
    assert result.exit_code == 0, result.output
    record = strict_json(result.stdout)
    assert record["method"] == "paper"
    assert record["gamma_2"] == pytest.approx(1.0, abs=1e-12)
    assert record["settings"]["gamma_1_from"] == 1000
    assert "The recipe of the paper" in (folder / "paper.html").read_text()


def test_columns_are_mapped_and_percent_is_read(folder, fitted):
    frame = table().rename(columns={"log_norm": "ln R", "test_error": "wrong"})
    frame["wrong"] *= 100
    path = folder / "other.csv"
    frame.to_csv(path, index=False)
    result = run(
        *("fit", path, "--map", "log_norm=ln R", "--map", "test_error=wrong", "--percent"),
        *("--bootstrap", BOOTSTRAP, "--json", "-"),
    )
    assert result.exit_code == 0, result.output
    assert strict_json(result.stdout)["gamma_1"] == pytest.approx(fitted[1]["gamma_1"], rel=1e-9)


OWN = {"P": list(P), "mean_optimal_norm": [1.0] * len(P)}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("[]", "must hold a JSON object with `P` and `mean_optimal_norm`"),
        ("{", "is not JSON"),
        ('{"P": [1]}', "lacks `mean_optimal_norm`; it has P"),
        (json.dumps({**OWN, "P": [1, 2]}), "must be as long as each other; got 2 and 6"),
        (json.dumps({**OWN, "P": [1, 2, 3, 4, 5, 6]}), "must be that of the curves, 500, 1000"),
        (
            json.dumps({**OWN, "mean_optimal_norm": [1, 2, 3, 4, 5, 0]}),
            "list of positive numbers",
        ),
        (json.dumps({**OWN, "mean_optimal_norm": 3}), "list of positive numbers; got 3"),
    ],
)
def test_a_bad_table_of_optima_is_refused(csv, folder, record, message):
    path = folder / "bad.json"
    path.write_text(record)
    result = run("fit", csv, "--optimum", path)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--gamma1-from", "1e9"), "--gamma1-from must"),
        (("--gamma2-from", "1e9"), "--gamma2-from must"),
        (("--window", "0", "0.3"), "--window belongs to"),
        (("--method", "paper"), "--window of lam/lam_opt is needed"),
        (("--method", "paper", "--window", "1", "0.3"), "--window must be two numbers"),
        (("--map", "norm=R"), "--map must map `norm` to a column of the table"),
        (("--percent",), "percent"),
    ],
)
def test_what_the_library_refuses_is_one_line_in_terms_of_options(csv, arguments, message):
    result = run("fit", csv, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--map", "norm"), "must be NAME=COLUMN, such as norm=R; got 'norm'"),
        (("--map", "norm=a", "--map", "norm=b"), "maps `norm` twice"),
        (("--bootstrap", "3"), "--bootstrap"),
        (("--offset", "perhaps"), "--offset"),
    ],
)
def test_a_mistyped_command_is_refused(csv, arguments, message):
    result = run("fit", csv, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_table_that_is_not_there_or_no_table(folder, csv):
    assert run("fit", folder / "nothing.csv").exit_code == 2
    (folder / "no.csv").write_text("a,b\n1,2\n")
    result = run("fit", folder / "no.csv")
    assert result.exit_code == 2
    assert "the table has no column `P`" in result.stderr


@pytest.mark.parametrize("option", ["--json", "--report"])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(csv, folder, option):
    for name, reason in (
        (folder, "it is a directory"),
        (folder / "nowhere" / "out", "there is no folder"),
    ):
        result = run("fit", csv, option, name)
        assert result.exit_code == 1
        assert f"Error: cannot write {name}: {reason}" in result.stderr
        assert result.stdout == ""


def test_interruption_leaves_quietly(csv, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(scaling, "analyse", interrupt)
    result = run("fit", csv)
    assert result.exit_code == 130
    assert "Interrupted." in result.stderr


def test_a_file_is_replaced_whole_or_not_at_all(folder, monkeypatch):
    path = folder / "whole.txt"
    path.write_text("before")
    path.chmod(0o640)
    files.replace_file(str(path), "after")
    assert path.read_text() == "after"
    assert path.stat().st_mode & 0o777 == 0o640

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        files.replace_file(str(path), "later")
    assert path.read_text() == "after"
    assert not list(folder.glob(f"{files.DRAFT}*"))
    files.replace_file(os.devnull, "gone")


def test_help_is_quick_and_loads_nothing_heavy():
    code = (
        "import sys; from deepnorm.cli import main\n"
        "main(['fit', '--help'], standalone_mode=False)\n"
        "heavy = {'numpy', 'pandas', 'scipy', 'matplotlib', 'numba', 'rich', 'jinja2', 'torch'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "deepnorm fit curves.csv --method paper --window 0 0.3" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 88


def test_the_work_is_done_without_torch(csv):
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, *_):\n"
        "        assert name.partition('.')[0] != 'torch'\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from deepnorm.cli import main\n"
        f"main(['fit', {str(csv)!r}, '--bootstrap', '20'], standalone_mode=False)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_version_and_module():
    version = importlib.metadata.version("replica-learning")
    assert run("--version").stdout == f"deepnorm, version {version}\n"
    done = subprocess.run(
        [sys.executable, "-m", "deepnorm", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"deepnorm, version {version}\n"


@pytest.mark.parametrize(
    ("new", "hint"),
    [({"P": "p"}, "if 'p' is `P`, say so: `--map P=p`"), ({"norm": "R"}, "`--map norm=...`")],
)
def test_a_hint_in_a_shell_is_one_for_a_shell(folder, new, hint):
    path = folder / "renamed.csv"
    frame = table().assign(norm=1.0).drop(columns=["log_norm", "step"])
    frame.rename(columns=new).to_csv(path, index=False)
    result = run("fit", path)
    assert result.exit_code == 2
    assert hint in result.stderr
    assert "columns={" not in result.stderr
