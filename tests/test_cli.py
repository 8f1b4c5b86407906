"""The command line: what it prints is what the library returns, and failures are sentences."""

import csv
import dataclasses
import io
import json
import math
import os
import re
import stat

import numpy as np
import pytest
from click.testing import CliRunner, Result

import replica
from replica import cli, highprecision
from replica.cli.path import COLUMNS

#: Section 6 of docs/theory.md: alpha = 5, lam = 4.5, from a 34-digit calculation.
EPS_5_45 = "0.0839803599987673392178"


def run(*arguments: str, charset: str = "utf-8", env: dict[str, str] | None = None) -> Result:
    return CliRunner(charset=charset, env=env).invoke(cli.main, arguments)


def strict_json(text: str) -> dict:
    """Parse, refusing the NaN and Infinity that Python writes and no standard knows."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def as_json(value):
    """What a number of the library must look like in a record."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def same_number(cell: str, value: float) -> bool:
    return cell == "" if math.isnan(value) else float(cell) == value


# ------------------------------------------------------------------------------------ solve


@pytest.mark.parametrize("lam", ["0", "4.5", "inf"])
def test_solve_json_is_the_librarys_record_to_the_last_bit(lam):
    result = run("solve", "--alpha", "5", "--lam", lam, "--json")
    assert result.exit_code == 0
    record = strict_json(result.stdout)
    solution = replica.logistic_teacher_student(5.0, float(lam))
    for name, value in solution.to_dict().items():
        if name not in ("log_c", "log_mu"):
            assert record[name] == as_json(value), name
    assert record["margin_mean"] == solution.margins.mean()
    assert record["margin_var"] == solution.margins.var()
    assert record["atom_weight"] == solution.margins.atom.weight
    assert record["atom_position"] == as_json(solution.margins.atom.position)


def test_solve_json_spells_what_json_lacks():
    record = strict_json(run("solve", "--alpha", "5", "--lam", "inf", "--json").stdout)
    assert record["lam"] == "inf"
    assert record["log_x"] == "inf"
    assert record["slope"] is None
    assert record["stability"] == pytest.approx(0.196709612, abs=1e-9)


def test_solve_table_shows_fifteen_digits_and_the_error():
    text = run("solve", "--alpha", "5", "--lam", "4.5").stdout
    solution = replica.logistic_teacher_student(5.0, 4.5)
    numbers = [
        solution.generalization_error,
        solution.overlap,
        solution.one_minus_overlap,
        solution.log_x,
        solution.margins.mean(),
        solution.margins.var(),
        -solution.slope,
    ]
    for number in numbers:
        assert f"{number:.15g}" in text.split()
    error = solution.error_estimate * solution.generalization_error
    shown = re.search(r"its error, estimated[ |]+(?:±|\+-)[ |]+(\S+) \(relative (\S+)\)", text)
    assert shown.groups() == (f"{error:.2g}", f"{solution.error_estimate:.2g}")
    assert "kappa" not in text
    assert "κ" not in text


def test_solve_table_of_maximum_stability_shows_kappa_and_the_atom():
    text = run("solve", "--alpha", "5", "--lam", "inf").stdout
    solution = replica.logistic_teacher_student(5.0, math.inf)
    assert f"{solution.stability:.15g}" in text.split()
    assert f"{solution.margins.atom.weight:.15g}" in text.split()
    assert "local exponent" not in text


def test_solve_passes_the_noise_on():
    options = ["--label-flip", "0.1", "--label-noise", "0.3"]
    record = strict_json(run("solve", "--alpha", "2", "--lam", "0.5", *options, "--json").stdout)
    noisy = replica.logistic_teacher_student(2.0, 0.5, label_flip=0.1, label_noise=0.3)
    assert record["overlap"] == noisy.overlap
    assert (record["label_flip"], record["label_noise"]) == (0.1, 0.3)


def test_solve_storage():
    record = strict_json(run("solve", "--alpha", "0.4", "--lam", "1", "--storage", "--json").stdout)
    assert record["storage"] is True
    assert record["overlap"] == 0
    assert record["log_x"] == replica.logistic_storage(0.4, 1.0).log_x
    # Section 6 of docs/theory.md
    assert record["margin_mean"] == pytest.approx(1.4216672414, abs=1e-10)


def test_certify_prints_digits_that_a_double_does_not_hold():
    text = run("solve", "--alpha", "5", "--lam", "4.5", "--certify", "20").stdout
    assert EPS_5_45[:21] in text  # 20 digits, the last of them rounded
    record = strict_json(
        run("solve", "--alpha", "5", "--lam", "4.5", "--certify", "20", "--json").stdout
    )
    certificate = record["certificate"]
    assert certificate["digits"] == 20
    assert certificate["generalization_error"].startswith(EPS_5_45[:21])
    assert certificate["log_x"].startswith("-0.0862780811029043918")
    assert 0 < certificate["error"] < 1e-20
    assert 0 < certificate["relative_error"] < record["error_estimate"]


@pytest.mark.parametrize(
    ("options", "below", "symbol"),
    [
        ("--alpha 5 --lam 4.5", "generalization error", "(ε|eps)"),
        # without a signal eps is 1/2 exactly: the error is that of the number which is not known
        ("--alpha 0.4 --lam 1 --storage", "log x", "x"),
        ("--alpha 0.4 --lam inf --storage", "stability", "(κ|kappa)"),
    ],
)
def test_the_error_of_a_certificate_stands_below_the_number_that_it_is_of(options, below, symbol):
    text = run("solve", *options.split(), "--certify", "10").stdout
    lines = [line.strip() for line in text[text.index("Certified to") :].splitlines()]
    (at,) = (i for i, line in enumerate(lines) if line.startswith("relative error of"))
    assert re.fullmatch(rf"relative error of {symbol} +\d\.\de-\d+", lines[at])
    assert lines[at - 1].startswith(below)
    assert (below == "generalization error") == ("that of the" in text)


# ------------------------------------------------------------------------------------- path


def test_path_rows_are_the_librarys_solutions():
    rows = rows_of(run("path", "--alpha", "5", "--points", "7", "-o", "-").stdout)
    assert tuple(rows[0]) == COLUMNS
    assert [row["rule"] for row in rows] == (
        ["hebb"] + 4 * ["path"] + ["optimum"] + 3 * ["path"] + ["max_stability", "bayes_optimal"]
    )
    norms = np.array([float(row["lam"]) for row in rows[:-1]])
    assert np.all(np.diff(norms) > 0)
    np.testing.assert_array_equal(
        [float(row["lam"]) for row in rows if row["rule"] == "path"], np.geomspace(1e-3, 1e3, 7)
    )
    curve = replica.logistic_teacher_student(5.0, norms)
    for name in COLUMNS[1:-3]:
        for row, value in zip(rows, getattr(curve, name), strict=False):
            assert same_number(row[name], value), (name, row["rule"])
    for row, mean, var in zip(rows, curve.margins.mean(), curve.margins.var(), strict=False):
        assert (float(row["margin_mean"]), float(row["margin_var"])) == (mean, var)
    assert all(row["status"] == "converged" for row in rows)


def test_path_holds_the_exact_ends_the_optimum_and_the_bound():
    rows = {
        row["rule"]: row
        for row in rows_of(run("path", "--alpha", "5", "--points", "40", "-o", "-").stdout)
    }
    eps = {name: float(row["generalization_error"]) for name, row in rows.items()}
    assert eps["hebb"] == pytest.approx(replica.hebb(5.0).generalization_error, rel=1e-14)
    assert eps["max_stability"] == replica.max_stability(5.0).generalization_error
    assert float(rows["optimum"]["lam"]) == replica.optimal_norm(5.0).lam
    assert eps["bayes_optimal"] == replica.bayes_optimal(5.0).generalization_error
    assert abs(float(rows["optimum"]["slope"])) < 1e-12
    assert eps["bayes_optimal"] < eps["optimum"] < eps["max_stability"] < eps["hebb"]
    assert rows["bayes_optimal"]["lam"] == ""


def test_noisy_path_keeps_refused_rows_with_their_reason():
    arguments = ["--alpha", "5", "--label-flip", "0.1", "--points", "30", "-o", "-"]
    rows = rows_of(run("path", *arguments).stdout)
    assert {row["rule"] for row in rows} == {
        "hebb", "path", "optimum", "max_stability", "bayes_optimal"
    }  # fmt: skip
    best = replica.optimal_norm(5.0, label_flip=0.1)
    assert [float(row["lam"]) for row in rows if row["rule"] == "optimum"] == [best.lam]
    *rows, bayes = rows
    known = replica.bayes_optimal(5.0, label_flip=0.1).generalization_error
    assert float(bayes["generalization_error"]) == known < best.generalization_error
    limit = replica.convexity_limit(5.0, label_flip=0.1)
    for row in rows:
        solved = float(row["lam"]) <= limit
        assert (row["status"] == "converged") == solved
        assert (row["generalization_error"] != "") == solved
    assert "limit of convexity" in rows[-2]["status"]
    assert "maximum stability does not exist" in rows[-1]["status"]


def test_path_writes_to_a_file_what_it_prints(tmp_path):
    target = tmp_path / "path.csv"
    result = run("path", "--alpha", "2", "--points", "5", "-o", str(target))
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr == f"written: {target}, 9 rows\n"
    assert target.read_text() == run("path", "--alpha", "2", "--points", "5", "-o", "-").stdout
    assert os.listdir(tmp_path) == ["path.csv"]


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    target = tmp_path / "path.csv"
    target.write_text("old")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    result = run("path", "--alpha", "2", "--points", "5", "-o", str(target))
    assert result.exit_code == 1
    assert result.stderr == f"Error: cannot write {target}: No space left on device\n"
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["path.csv"]


def test_a_replaced_file_keeps_its_mode_and_its_link(tmp_path):
    target, link = tmp_path / "path.csv", tmp_path / "link.csv"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    assert run("path", "--alpha", "2", "--points", "5", "-o", str(link)).exit_code == 0
    assert link.is_symlink()
    assert target.read_text().startswith("rule,lam,")
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_new_file_has_the_usual_mode(tmp_path):
    target = tmp_path / "path.csv"
    (tmp_path / "usual").touch()
    run("path", "--alpha", "2", "--points", "5", "-o", str(target))
    assert target.stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_regular_file_is_written_to_and_not_replaced(tmp_path):
    # a pipe stands for /dev/null, which a failing test run by root would replace
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        result = run("path", "--alpha", "2", "--points", "5", "-o", str(pipe))
        assert result.exit_code == 0
        assert stat.S_ISFIFO(pipe.stat().st_mode)
        assert os.read(reader, 100).startswith(b"rule,lam,")
    finally:
        os.close(reader)


def test_a_read_only_file_is_not_replaced(tmp_path, monkeypatch):
    target = tmp_path / "path.csv"
    target.write_text("old")
    # chmod does not stop root, under which tests may run
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    result = run("path", "--alpha", "2", "--points", "5", "-o", str(target))
    assert result.exit_code == 1
    assert "it exists and is read-only" in result.stderr
    assert target.read_text() == "old"


# ------------------------------------------------------------------------------------ rules


def test_rules_json_is_the_librarys_records():
    record = strict_json(run("rules", "--alpha", "5", "--json").stdout)
    assert record["alpha"] == 5.0
    for name in ("hebb", "gibbs", "max_stability", "optimal_norm", "bayes_optimal"):
        expected = getattr(replica, name)(5.0).to_dict()
        del expected["alpha"]
        assert record[name] == expected, name


def test_rules_table_names_every_rule_with_its_error():
    text = run("rules", "--alpha", "5").stdout
    for name in ("hebb", "gibbs", "max_stability", "optimal_norm", "bayes_optimal"):
        assert f"{getattr(replica, name)(5.0).generalization_error:.15g}" in text.split()
    assert f"κ = {replica.max_stability(5.0).stability:.15g}" in text
    assert f"λ = {replica.optimal_norm(5.0).lam:.15g}" in text
    # the gap to Bayes: small, and not zero
    assert f"{100 * replica.optimal_norm(5.0).bayes_gap:.3g} %" in text


# ---------------------------------------------------------------------------------- failure


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("solve --alpha -5 --lam 1", r"Error: --alpha must be positive .*; got -5\n"),
        ("solve --alpha 5 --lam nan", r"Error: --lam must be .*; got nan\n"),
        (
            "solve --alpha 5 --lam 4 --label-flip 0.1",
            r"Error: --lam must not exceed 1\.867\d*, the limit of convexity .*; got 4\n",
        ),
        (
            "solve --alpha 5 --lam 1 --label-flip 0.75",
            r"Error: --label-flip must lie in \[0, 0\.5\].*; got 0\.75\n",
        ),
        ("solve --alpha 5 --lam 1 --label-noise -1", r"Error: --label-noise must .*; got -1\n"),
        ("solve --alpha 5 --lam 1 --certify 3", r"Error: --certify must be .* 5 to 200; got 3\n"),
        ("rules --alpha 0", r"Error: --alpha must be positive .*; got 0\n"),
        ("path --alpha inf -o -", r"Error: --alpha must be positive .*; got inf\n"),
        (
            "path --alpha 5 -o - --label-flip 0.75",
            r"Error: --label-flip must lie in \[0, 0\.5\].*; got 0\.75\n",
        ),
    ],
)
def test_what_the_library_refuses_is_one_line_and_exit_code_2(arguments, message):
    result = run(*arguments.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.fullmatch(message, result.stderr), result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("solve --alpha x --lam 1", "'x' is not a valid float"),
        ("solve --alpha 5", "Missing option '--lam'"),
        ("solve --alpha 5 --lam 1 --storage --label-flip 0.1", "--storage has no teacher"),
        ("path --alpha 5 -o - --from 0", "must be positive and finite"),
        ("path --alpha 5 -o - --from nan", "must be positive and finite"),
        ("path --alpha 5 -o - --from 2 --to 1", "larger than --from"),
        ("path --alpha 5 -o - --to inf", "must be finite"),
        ("path --alpha 5 -o - --points 1", "1 is not in the range"),
    ],
)
def test_a_mistyped_command_is_explained(arguments, message):
    result = run(*arguments.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr


def test_a_solver_that_stops_short_is_exit_code_1(monkeypatch):
    solution = replica.logistic_teacher_student(5.0, 1.0)

    def fail(*_, **__):
        raise replica.ConvergenceError("stopped at `lam`\n too soon", solution)

    monkeypatch.setattr(replica, "logistic_teacher_student", fail)
    result = run("solve", "--alpha", "5", "--lam", "1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: stopped at `lam` too soon\n"


def test_a_certificate_that_fails_is_exit_code_1(monkeypatch):
    def fail(*_, **__):
        raise highprecision.CertificationError("short of digits")

    monkeypatch.setattr(highprecision, "certify", fail)
    result = run("solve", "--alpha", "5", "--lam", "1", "--certify", "20")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: short of digits\n"


def test_a_bug_is_not_dressed_up_as_bad_input(monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(replica, "logistic_teacher_student", fail)
    assert isinstance(run("solve", "--alpha", "5", "--lam", "1").exception, ZeroDivisionError)


def test_interrupted_leaves_with_130(monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(replica, "logistic_teacher_student", interrupt)
    result = run("solve", "--alpha", "5", "--lam", "1")
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "Interrupted.\n")


# ---------------------------------------------------------------------------- the terminal


def test_no_escape_codes_outside_a_terminal():
    for arguments in ("solve --alpha 5 --lam 4.5", "rules --alpha 5"):
        assert "\x1b" not in run(*arguments.split()).output


def test_a_narrow_terminal_wraps_words_and_keeps_digits():
    text = run("solve", "--alpha", "5", "--lam", "4.5", env={"COLUMNS": "40"}).stdout
    assert max(len(line) for line in text.splitlines()[1:]) <= 40
    solution = replica.logistic_teacher_student(5.0, 4.5)
    for name in ("generalization_error", "overlap", "log_x", "train_error"):
        assert f"{getattr(solution, name):.15g}" in text.split()


@pytest.mark.parametrize("arguments", ["solve --alpha 5 --lam 4.5", "rules --alpha 5"])
def test_output_that_knows_no_greek_gets_plain_letters(arguments):
    result = run(*arguments.split(), charset="ascii")
    assert result.exit_code == 0
    assert "alpha = 5" in result.stdout
    assert result.stdout.isascii()


def test_the_path_has_a_column_for_every_number_worth_plotting():
    skipped = {"alpha", "stability", "residual", "iterations", "margins", "problem", "outcome"}
    unknowns = {"log_c", "log_mu"}
    fields = {field.name for field in dataclasses.fields(replica.Solution)}
    told = {"rule", "margin_mean", "margin_var", "status"}
    assert set(COLUMNS) - told == fields - skipped - unknowns
