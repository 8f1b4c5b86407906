"""Commands for inputs with structure: what they print is what the library returns."""

import csv
import dataclasses
import io
import json
import math
import os
import re

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy.special import ndtr

import replica
from replica import Clusters, MarchenkoPastur, PowerLaw, Spectrum, cli
from replica.cli.inputs import INPUTS, LARGEST, read_inputs
from replica.common.errors import InvalidArgument
from replica.exponents import Regime, effective_spectrum, scaling_exponents

LAW = ("--inputs", "power-law:1.5,0.3")


def run(*arguments: str, charset: str = "utf-8") -> Result:
    return CliRunner(charset=charset).invoke(cli.main, arguments)


def record(*arguments: str) -> dict:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def record_and_words(path, *arguments: str) -> tuple[dict, str]:
    """Both from one computation: a record in a file leaves the words on the standard output."""
    result = run(*arguments, "--json", str(path))
    assert result.exit_code == 0, result.output
    return json.loads(path.read_text()), result.stdout


def as_json(value):
    """What a number of the library must look like in a record."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """A folder with one table of each kind."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "density.csv").write_text(
        "eigenvalue,teacher,weight\n3,0.1,0.2\n1,1,0.3\n0.2,4,0.5\n"
    )
    (tmp_path / "modes.csv").write_text("eigenvalue\n1\n0.5\n0.25\n")
    (tmp_path / "clusters.csv").write_text("mean, eigenvalue\n\n0.9, 1\n0.3, 0.5\n0.2, 0.1\n")
    return tmp_path


# ---------------------------------------------------------------------------- --inputs


@pytest.mark.parametrize(
    ("word", "inputs"),
    [
        ("isotropic", replica.Isotropic()),
        ("power-law:1.5,0.3", PowerLaw(1.5, 0.3)),
        ("power-law: 1.5, 0.3, 1e3", PowerLaw(1.5, 0.3, 1000)),
        ("power-law:0.5,0.3,10", PowerLaw(0.5, 0.3, 10)),
        ("marchenko-pastur:0.5", MarchenkoPastur(0.5)),
        ("spectrum:density.csv", Spectrum([3, 1, 0.2], [0.1, 1, 4], [0.2, 0.3, 0.5])),
        ("spectrum:modes.csv", Spectrum([1, 0.5, 0.25])),
        ("clusters:clusters.csv", Clusters([1, 0.5, 0.1], [0.9, 0.3, 0.2])),
    ],
)
def test_a_word_is_what_the_library_makes_of_it(word, inputs, tables):
    assert read_inputs(word) == inputs


def test_the_share_of_the_positive_cluster_has_an_option(tables):
    found = read_inputs("clusters:clusters.csv", positive=0.2)
    assert found == Clusters([1, 0.5, 0.1], [0.9, 0.3, 0.2], positive=0.2)
    with pytest.raises(InvalidArgument, match="`positive` must be left out unless"):
        read_inputs("power-law:1.5,0.3", positive=0.2)


def test_the_home_folder_is_found_behind_the_colon(tables, monkeypatch):
    monkeypatch.setenv("HOME", str(tables))
    monkeypatch.setenv("USERPROFILE", str(tables))
    assert read_inputs("spectrum:~/modes.csv") == read_inputs("spectrum:modes.csv")


def test_every_word_of_the_help_is_taken(tables):
    words = re.findall(r"^  (\S+:\S+)  ", INPUTS, re.M)
    assert len(words) == 5
    (tables / "FILE.csv").write_text("eigenvalue\n1\n0.5\n")
    for word in words[:-1]:
        read_inputs(word)
    (tables / "FILE.csv").write_text("eigenvalue,mean\n1,0.5\n")
    read_inputs(words[-1])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("gaussian", r"must be isotropic, power-law:.* or clusters:FILE.csv; got 'gaussian'"),
        ("", r"must be isotropic, .*; got ''"),
        ("spectrum:", r"must be isotropic, .*; got 'spectrum:'"),
        ("isotropic:3", r"must be isotropic, .*; got 'isotropic:3'"),
        ("power-law:1.5", r"must be isotropic, .*; got 'power-law:1.5'"),
        ("power-law:1.5,x", r"must be isotropic, .*; got 'power-law:1.5,x'"),
        ("power-law:1_0,0.3", r"must be isotropic, .*; got 'power-law:1_0,0.3'"),
        ("power-law:1,0.3", r"must have its parts in range: capacity must exceed 1 .*; got 1"),
        ("power-law:1.5,0", r"must have its parts in range: source must be positive.*; got 0"),
        ("power-law:nan,0.3", r"must have its parts in range: capacity must .*; got nan"),
        ("power-law:1.5,1,2.5", r"must have its parts in range: modes must be a whole .*; got 2.5"),
        ("power-law:1.5,1,inf", r"must have its parts in range: modes must be a whole .*; got inf"),
        ("power-law:1.5,1,0", r"must have its parts in range: modes must be between 1 .*; got 0"),
        ("marchenko-pastur:0", r"must have its parts in range: ratio must be positive.*; got 0"),
    ],
)
def test_a_word_that_is_none_is_refused_in_the_words_of_its_part(word, message):
    result = run("solve", "--alpha", "5", "--lam", "1", "--inputs", word)
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(f"Error: --inputs {message}\n", result.stderr), result.stderr


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("spectrum", "", r"must name a table whose first line names .*; got an empty one"),
        ("spectrum", "omega\n1\n", r".*: eigenvalue \[, teacher\] \[, weight\]; got omega"),
        ("spectrum", "eigenvalue,eigenvalue\n1,1\n", r".* each column once: .*"),
        ("spectrum", "eigenvalue,mean\n1,1\n", r".*; got eigenvalue, mean"),
        ("clusters", "eigenvalue\n1\n", r".*: eigenvalue, mean \[, weight\]; got eigenvalue"),
        ("spectrum", "eigenvalue\n", r"must have its parts in range: eigenvalues must be a .*"),
        (
            "spectrum",
            "eigenvalue,teacher\n1,1\n\n2\n",
            r"must name a table with a number in each of its 2 columns; got 2 in line 4",
        ),
        ("spectrum", "eigenvalue\none\n", r".* each of its 1 columns; got one in line 2"),
        ("spectrum", "eigenvalue\n1\n-1\n", r".*: eigenvalues must be positive .* position 1"),
        ("spectrum", "eigenvalue,teacher\n1,0\n", r".*: teacher must be positive along .*"),
        ("spectrum", "eigenvalue,weight\n1,0.5\n2,0.1\n", r".*: weights must be shares .*"),
        ("clusters", "eigenvalue,mean\n1,0\n", r".*: mean must differ from zero .*"),
        ("spectrum", "eigenvalue\n\x1b[31m\n", r".* columns; got \\x1b\[31m in line 2"),
    ],
)
def test_a_table_is_refused_with_what_is_wrong_in_it(kind, content, message, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(content)
    result = run("optimum", "--alpha", "5", "--inputs", f"{kind}:{path}")
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(f"Error: --inputs {message}\n", result.stderr), result.stderr


def test_files_that_are_no_tables_are_refused(tmp_path):
    path = tmp_path / "table.csv"

    def said():
        result = run("optimum", "--alpha", "5", "--inputs", f"spectrum:{path}")
        assert (result.exit_code, result.stdout) == (2, "")
        return result.stderr

    assert said() == f"Error: cannot read {path}: No such file or directory\n"
    path.mkdir()
    assert said() == f"Error: cannot read {path}: Is a directory\n"
    path.rmdir()
    path.write_bytes(b"eigenvalue\n\xff\xfe\n")
    assert "must name a table of comma-separated numbers in UTF-8" in said()
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)  # a hole: nothing is written
    assert "must name a table of at most 100 MB" in said()
    path.unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)
        assert "must name a regular file" in said()  # and is not waited for


def test_clusters_bring_their_own_labels(tables):
    for command in (
        "solve --alpha 5 --lam 1 --storage",
        "solve --alpha 5 --lam 1 --label-flip 0.1",
        "optimum --alpha 5 --label-noise 0.1",
        "path --alpha 5 -o - --label-flip 0.1",
    ):
        result = run(*command.split(), "--inputs", "clusters:clusters.csv")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "clusters bring their own labels" in result.stderr


# ------------------------------------------------------------------------ solve, path


@pytest.mark.parametrize("lam", ["0", "3", "inf"])
def test_solve_with_inputs_is_the_librarys_record(lam):
    found = record("solve", "--alpha", "1000", "--lam", lam, *LAW)
    solution = replica.logistic_teacher_student(1000.0, float(lam), inputs=PowerLaw(1.5, 0.3))
    for name, value in solution.to_dict().items():
        if name not in ("log_c", "log_mu"):
            assert found[name] == as_json(value), name
    assert found["C"] == as_json(solution.C)
    assert found["inputs"] == LAW[1]


def test_the_table_shows_field_variance_ridge_and_c_where_they_say_something():
    numbers = ("field_norm", "input_variance", "ridge", "C", "degrees_of_freedom")
    text = run("solve", "--alpha", "1000", "--lam", "3", *LAW).stdout
    solution = replica.logistic_teacher_student(1000.0, 3.0, inputs=PowerLaw(1.5, 0.3))
    for name in numbers:
        assert f"{getattr(solution, name):.15g}" in text.split(), name
    assert text.startswith("Logistic loss at P = 1000, λ = 3, inputs power-law:1.5,0.3, labels of")
    # isotropic: the field is the norm and Q is 1, which need no line
    plain = run("solve", "--alpha", "5", "--lam", "4.5").stdout
    isotropic = replica.logistic_teacher_student(5.0, 4.5)
    assert f"{isotropic.ridge:.15g}" in plain.split()
    assert f"{isotropic.C:.15g}" in plain.split()
    assert "λ'" not in plain
    assert " Q " not in plain
    # neither end of the path has a ridge
    for lam in ("0", "inf"):
        assert "ridge" not in run("solve", "--alpha", "1000", "--lam", lam, *LAW).stdout


def test_a_density_counts_examples_per_dimension_and_can_be_certified(tables):
    arguments = ("solve", "--alpha", "3", "--lam", "20", "--inputs", "spectrum:density.csv")
    text = run(*arguments, "--certify", "20").stdout
    assert text.startswith("Logistic loss at α = 3, λ = 20, inputs spectrum:density.csv, labels")
    solution = replica.logistic_teacher_student(3.0, 20.0, inputs=read_inputs(arguments[-1]))
    digits = re.search(r"generalization error  (0\.\d{20,})", text)[1]
    assert float(digits) == pytest.approx(solution.generalization_error, rel=1e-14)


def test_solve_of_unequal_clusters_has_an_intercept(tables):
    arguments = ("solve", "--alpha", "50", "--lam", "1", "--inputs", "clusters:clusters.csv")
    inputs = read_inputs(arguments[-1], positive=0.2)
    solution = replica.logistic_clusters(50.0, 1.0, inputs=inputs)
    text = run(*arguments, "--positive", "0.2").stdout
    assert f"{solution.intercept:.15g}" in text.split()
    assert "labels of the clusters, a share 0.2 positive" in text
    assert record(*arguments, "--positive", "0.2")["intercept"] == solution.intercept
    assert "intercept" not in run(*arguments).stdout


def test_storage_takes_inputs():
    found = record("solve", "--alpha", "30", "--lam", "2", "--storage", *LAW)
    solution = replica.logistic_storage(30.0, 2.0, inputs=PowerLaw(1.5, 0.3))
    assert (found["overlap"], found["log_x"]) == (0, solution.log_x)


def rows_of(*arguments: str) -> list[dict[str, str]]:
    result = run("path", *arguments, "-o", "-")
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.stdout)))


def test_path_with_inputs_is_the_librarys_curve():
    rows = rows_of("--alpha", "1000", "--points", "5", *LAW)
    assert [row["rule"] for row in rows] == (
        ["hebb"] + 4 * ["path"] + ["optimum", "path", "max_stability", "bayes_optimal"]
    )
    inputs = PowerLaw(1.5, 0.3)
    norms = np.array([float(row["lam"]) for row in rows[:-1]])
    curve = replica.logistic_teacher_student(1000.0, norms, inputs=inputs)
    for name in ("generalization_error", "field_norm", "input_variance", "degrees_of_freedom"):
        assert [float(row[name]) for row in rows[:-1]] == getattr(curve, name).tolist(), name
    assert float(rows[5]["lam"]) == replica.optimal_norm(1000.0, inputs=inputs).lam
    bayes = replica.bayes_optimal(1000.0, inputs=inputs).generalization_error
    assert float(rows[-1]["generalization_error"]) == bayes < curve.generalization_error.min()


def test_the_path_of_clusters_ends_at_the_error_of_those_who_know_them(tables):
    *rows, best = rows_of("--alpha", "9", "--points", "4", "--inputs", "clusters:clusters.csv")
    distance = 0.81 + 0.09 / 0.5 + 0.04 / 0.1
    known = 0.5 * math.erfc(math.sqrt(distance / 2))
    assert best["rule"] == "bayes_optimal"
    assert float(best["generalization_error"]) == pytest.approx(known, rel=1e-14)
    errors = [float(row["generalization_error"]) for row in rows if row["status"] == "converged"]
    assert len(errors) > 3
    assert min(errors) > known


def test_the_path_of_random_labels_has_neither_optimum_nor_bound():
    rows = rows_of("--alpha", "0.5", "--points", "3", "--label-flip", "0.5")
    assert [row["rule"] for row in rows] == ["hebb", "path", "path", "path", "max_stability"]


# ---------------------------------------------------------------------------- optimum


@pytest.mark.parametrize("options", [(), ("--label-flip", "0.05"), LAW])
def test_optimum_is_the_librarys_record(options):
    found = record("optimum", "--alpha", "5", *options)
    best = replica.optimal_norm(
        5.0,
        label_flip=0.05 if "--label-flip" in options else 0.0,
        inputs=PowerLaw(1.5, 0.3) if options == LAW else None,
    )
    for name, value in best.to_dict().items():
        assert found[name] == as_json(value), name
    assert found["C"] == 1 / best.ridge
    text = run("optimum", "--alpha", "5", *options).stdout
    for name in ("lam", "generalization_error", "ridge", "overlap"):
        assert f"{getattr(best, name):.15g}" in text.split(), name
    assert f"{100 * best.bayes_gap:.3g} %" in text


def test_where_no_norm_is_too_large_no_ridge_is_best():
    arguments = ("optimum", "--alpha", "20", "--label-flip", "0.05")
    found = record(*arguments)
    limit = replica.convexity_limit(20.0, label_flip=0.05)
    assert (found["lam"], found["ridge"], found["C"]) == (limit, 0.0, "inf")
    text = run(*arguments).stdout
    assert "falls all the way to the limit of convexity: no ridge is best" in text
    assert "scikit-learn" not in text
    # its row of the path is that of the unconstrained minimiser, which counts as solved
    rows = {row["rule"]: row for row in rows_of("--alpha", "20", "--label-flip", "0.05")}
    assert float(rows["optimum"]["lam"]) == limit
    assert float(rows["optimum"]["generalization_error"]) == found["generalization_error"]


def test_the_optimum_of_unequal_clusters_is_not_lost_where_the_error_is_level(tables):
    """Short weights name the frequent cluster always: the error is 0.2 to all digits."""
    options = ("--alpha", "50", "--inputs", "clusters:clusters.csv", "--positive", "0.2")
    found = record("optimum", *options)
    *rows, known = rows_of(*options, "--points", "40")
    errors = [float(row["generalization_error"]) for row in rows if row["status"] == "converged"]
    assert found["generalization_error"] == min(errors) < 0.15
    # the best threshold of the best direction, by brute force: parabolic in its step, 1e-4
    distance = math.sqrt(0.81 + 0.09 / 0.5 + 0.04 / 0.1)
    shift = np.linspace(-3, 3, 60001)
    least = np.min(0.2 * ndtr(-distance - shift) + 0.8 * ndtr(-distance + shift))
    assert float(known["generalization_error"]) == pytest.approx(least, rel=1e-8)
    assert found["bayes_gap"] == pytest.approx(found["generalization_error"] / least - 1, abs=1e-7)
    assert found["bayes_gap"] > 0


def test_an_error_that_falls_to_maximum_stability_has_its_best_norm_there(tmp_path):
    """Capacity 1.05 and source 0.25 are in the part of the plane without a finite optimum."""
    arguments = ("optimum", "--alpha", "10000", "--inputs", "power-law:1.05,0.25")
    found, said = record_and_words(tmp_path / "optimum.json", *arguments)
    stable = replica.max_stability(1e4, inputs=PowerLaw(1.05, 0.25))
    assert (found["lam"], found["ridge"]) == ("inf", 0.0)
    assert found["generalization_error"] == stable.generalization_error
    assert "all the way to maximum stability: no ridge is best" in said


def test_of_isotropic_clusters_hebb_is_best(tmp_path):
    """Mignacco et al. (2020): equal clusters are best told apart by their means."""
    path = tmp_path / "clusters.csv"
    path.write_text("eigenvalue,mean,weight\n1,0.9,1\n")
    arguments = ("optimum", "--alpha", "2", "--inputs", f"clusters:{path}")
    found, said = record_and_words(tmp_path / "optimum.json", *arguments)
    assert (found["lam"], found["ridge"], found["C"]) == (0.0, "inf", 0.0)
    assert "rises from Hebb's rule on" in said


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_the_best_norm_goes_like_one_over_the_root_of_the_variance(scale):
    eigenvalues, rest = np.array([3.0, 1.0, 0.2]), ([0.1, 1, 4], [0.2, 0.3, 0.5])
    best = replica.optimal_norm([0.1, 3.0], inputs=Spectrum(eigenvalues, *rest)).lam
    found = replica.optimal_norm([0.1, 3.0], inputs=Spectrum(scale * eigenvalues, *rest)).lam
    # at small alpha the minimum is located to 1e-14/alpha
    np.testing.assert_allclose(found * np.sqrt(scale), best, rtol=2e-13)


def test_the_best_norm_is_found_at_both_ends_of_its_range():
    alpha = np.array([1e-6, 1e12, 1e14])
    best = replica.optimal_norm(alpha).lam
    assert 0 < best[0] < 0.01
    # docs/theory.md, section 7
    np.testing.assert_allclose(best[1:] / alpha[1:], 0.883585098446, rtol=1e-11)
    steep = replica.optimal_norm(1e4, inputs=PowerLaw(20, 0.05))
    assert 1e17 < steep.lam < 1e18


def test_the_best_ridge_of_clusters_is_where_no_other_is_better(tables):
    word = "clusters:clusters.csv"
    found = record("optimum", "--alpha", "9", "--inputs", word)
    inputs = read_inputs(word)
    ridge = found["ridge"] * np.array([0.8, 1.0, 1.25])
    errors = replica.at_ridge(9.0, ridge, inputs=inputs).generalization_error
    assert errors.argmin() == 1
    assert errors[1] == pytest.approx(found["generalization_error"], rel=1e-12)


def test_optimum_refuses_what_it_cannot_do():
    result = run("optimum", "--alpha", "5", "--label-flip", "0.5")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: --label-flip must leave the labels something to learn")


# -------------------------------------------------------------------------- exponents


@pytest.mark.parametrize(("a", "r"), [(1.5, 0.3), (1.5, 0.5), (3.0, 0.7), (1.1, 0.2)])
def test_exponents_of_inputs_are_the_librarys(a, r):
    found = record("exponents", "--capacity", str(a), "--source", str(r))
    expected = scaling_exponents(a, r)
    for field in dataclasses.fields(expected):
        if field.name != "regime":
            assert found[field.name] == getattr(expected, field.name), field.name
    assert found["regime"] == Regime(expected.regime).name.lower()
    text = run("exponents", "--capacity", str(a), "--source", str(r)).stdout
    assert Regime(expected.regime).sentence in text
    for name in ("gamma_1", "gamma_2", "gamma_meas", "gamma_end"):
        assert f"{getattr(expected, name):.15g}" in text.split(), name
    assert ("the smallest error, holds" in text) == expected.product_law
    assert ("no finite norm is the best" in text) == (not expected.finite_optimum)
    assert ("of the logarithm" in text) == (r == 0.5)


def test_inputs_of_exponents_are_the_librarys():
    arguments = ["exponents", "--gamma-1", "0.21", "--gamma-2", "1.32"]
    errors = ["--gamma-1-error", "0.01", "--gamma-2-error", "0.32"]
    found = record(*arguments, *errors)
    expected = effective_spectrum(0.21, 1.32, gamma_1_error=0.01, gamma_2_error=0.32)
    for field in dataclasses.fields(expected):
        if field.name != "regime":
            assert found[field.name] == as_json(getattr(expected, field.name)), field.name
    text = run(*arguments, *errors).stdout
    assert f"{expected.capacity:.6g}" in text.split()
    assert f"holds with probability {expected.product_law_probability:.3g}" in text
    assert "probability" not in run(*arguments).stdout
    back = record("exponents", "--capacity", repr(found["capacity"]), "--source", "0.105")
    assert back["gamma_2"] == pytest.approx(1.32, rel=1e-14)


def test_exponents_that_no_inputs_have_are_an_answer():
    found = record("exponents", "--gamma-1", "1.15", "--gamma-2", "0.47")
    assert found["capacity"] is None
    assert found["regime"] == "between"
    text = run("exponents", "--gamma-1", "1.15", "--gamma-2", "0.47").stdout
    assert "which gamma_2 jumps over at capacity 2" in text
    assert "capacity  a" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "give --capacity and --source, or --gamma-1 and --gamma-2"),
        ("--capacity 1.5", "give --capacity and --source, or"),
        ("--gamma-1 0.3", "give --capacity and --source, or"),
        ("--capacity 1.5 --source 0.3 --gamma-1 0.3 --gamma-2 1", "give --capacity and"),
        ("--capacity 1.5 --source 0.3 --gamma-1-error 0.3", "give --capacity and --source, or"),
        ("--capacity 1 --source 0.3", "Error: --capacity must be above 1"),
        ("--capacity 2 --source -1", "Error: --source must be positive"),
        ("--gamma-1 nan --gamma-2 1", "Error: --gamma-1 must be finite"),
        ("--gamma-1 1 --gamma-2 1 --gamma-2-error -1", "Error: --gamma-2-error must be non-neg"),
    ],
)
def test_what_exponents_refuses(arguments, message):
    result = run("exponents", *arguments.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("solve", "--alpha", "1000", "--lam", "3", *LAW),
        ("optimum", "--alpha", "1000", *LAW),
        ("exponents", "--capacity", "1.1", "--source", "0.2"),
        ("exponents", "--gamma-1", "0.21", "--gamma-2", "1.32", "--gamma-2-error", "0.3"),
    ],
)
def test_output_that_knows_no_greek_gets_plain_letters(arguments):
    result = run(*arguments, charset="ascii")
    assert result.exit_code == 0
    assert result.stdout.isascii()
    assert "?" not in result.stdout
