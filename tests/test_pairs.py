"""The paper's exponents come back from its authors' own curves, and what rules make of them."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from deepnorm.cli import main as deepnorm
from replica.scaling import analyse
from validation import figures, pairs, settings, stamp
from validation.__main__ import main as validation

#: What the recipe is held to; docs/scaling.md, section 10.
WITHIN = 1e-3
#: Table 1 is printed with two digits.
ROUNDING = 0.005 + 1e-9

pytestmark = pytest.mark.skipif(
    settings.folder() is None,
    reason=f"{settings.VARIABLE} does not name a folder with the paper's curves (paper_curves/)",
)


@pytest.fixture(scope="module")
def loaded():
    return pairs.load()


@pytest.mark.parametrize("name", settings.PAIRS)
def test_the_recipe_gives_what_the_authors_saved(loaded, name):
    pair = loaded[name]
    found = pairs.by_recipe()[pair.title]
    for exponent in ("gamma_1", "gamma_2"):
        estimate = getattr(found, exponent)
        assert estimate.value == pytest.approx(pair.saved[exponent], rel=WITHIN)
        assert estimate.error == pytest.approx(pair.saved[f"err_{exponent}"], rel=WITHIN)


@pytest.mark.parametrize("name", pairs.PUBLISHED)
def test_table_1_of_the_paper_comes_back(loaded, name):
    pair = loaded[name]
    found, printed = pairs.by_recipe()[pair.title], pair.saved["published_table_1"]
    assert found.gamma_pred.value == pytest.approx(printed["gamma_pred"], abs=ROUNDING)
    assert found.gamma_meas.value == pytest.approx(printed["gamma_meas"], abs=ROUNDING)
    sigma = np.hypot(found.gamma_pred.error, found.gamma_meas.error)
    assert sigma == pytest.approx(printed["sigma"], abs=ROUNDING)


def test_the_pair_that_was_trained_again_does_not_agree_with_the_table(loaded):
    """The negative control: this table is not so coarse that anything would fit it."""
    pair = loaded["ResNet_CIFAR100"]
    found, printed = pairs.by_recipe()[pair.title], pair.saved["published_table_1"]
    assert abs(found.gamma_pred.value - printed["gamma_pred"]) > ROUNDING


@pytest.mark.parametrize(("end", "value"), [(0.2, 0.214), (0.3, 0.210), (0.5, 0.176)])
def test_gamma_1_moves_with_the_window(loaded, end, value):
    pair = loaded["CNN_CIFAR10"]
    found = analyse(
        pair.curves,
        method="paper",
        window=(0, end),
        gamma_1_from=28000,
        gamma_2_from=28000,
        optimum=pair.optimum,
    )
    assert found.gamma_1.value == pytest.approx(value, abs=0.0005)


def test_a_window_that_holds_two_records_of_a_curve_is_refused(loaded):
    with pytest.raises(ValueError, match=r"`window` must hold at least 3 records .* P = 28000"):
        analyse(loaded["CNN_CIFAR10"].curves, method="paper", window=(0, 0.1), gamma_1_from=28000)


def test_the_systematic_error_covers_the_windows_that_were_tried(loaded):
    found = pairs.by_recipe()[loaded["CNN_CIFAR10"].title]
    assert found.gamma_1.systematic > 0.02
    assert found.gamma_2.systematic > 2 * found.gamma_2.error


def test_minima_at_the_end_of_training_are_not_an_optimum(loaded):
    found = pairs.by_rule()[loaded["ResNet_CIFAR100"].title]
    assert found.optima["at_end"].all()
    assert "end of the records" in found.gamma_2.reason
    assert found.settings["gamma_2_of"] == "elbows"
    # the elbows obey the law that the paper found for the ends of training
    saved = loaded["ResNet_CIFAR100"].saved["gamma_2"]
    assert found.gamma_2_elbow.low < saved < found.gamma_2_elbow.high


def test_rules_say_that_no_window_holds_a_power_law(loaded):
    by_rule = pairs.by_rule()
    for name in ("CNN_CIFAR100", "ResNet_CIFAR100", "ResNet_MNIST"):
        flags = by_rule[loaded[name].title].flags
        assert any(flag.kind == "poor_law" for flag in flags), name


def test_the_command_reproduces_the_paper(loaded, tmp_path):
    """The command of the README, file by file."""
    folder = settings.folder()
    out, report = tmp_path / "out.json", tmp_path / "report.html"
    command = ["fit", str(folder / "CNN_CIFAR10.csv"), "--method", "paper", "--window", "0", "0.3"]
    command += ["--gamma1-from", "28000", "--gamma2-from", "28000"]
    command += ["--optimum", str(folder / "CNN_CIFAR10.json")]
    command += ["--json", str(out), "--report", str(report)]
    result = CliRunner().invoke(deepnorm, command)
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    saved = loaded["CNN_CIFAR10"].saved
    assert found["gamma_1"] == pytest.approx(saved["gamma_1"], rel=WITHIN)
    assert found["gamma_2_error"] == pytest.approx(saved["err_gamma_2"], rel=WITHIN)
    assert found["lambda_opt"] == pytest.approx(saved["mean_optimal_norm"])
    assert report.stat().st_size > 10_000


def test_the_tables_are_drawn_and_then_up_to_date(tmp_path):
    result = CliRunner().invoke(validation, ["tables", "--output", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "Table 2, authors' recipe" in result.output
    assert stamp.is_fresh("tables", tmp_path)
    assert (tmp_path / "tables.csv").read_text().startswith("curves,windows,")


@pytest.mark.parametrize("name", ["figure3", "figure4", "figure8", "figure9"])
def test_the_figures_of_the_pairs_say_whose_curves_they_show(name):
    script = figures.load(name)
    text = " ".join(script.caption(script.compute()).split())
    assert "authors published" in text
    for title in pairs.by_rule():
        assert title in text
