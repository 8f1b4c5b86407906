"""Figures: the numbers they draw, that they can be read, and when they are drawn again."""

import dataclasses
import functools
import itertools
import json
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib import rcParams
from matplotlib.text import Text
from scipy.integrate import trapezoid

from replica import early_law, master_curve
from replica.exponents import scaling_exponents
from validation import agreement, cli, evidence, figures, pairs, settings, stamp, style
from validation.__main__ import main
from validation.figures import agreement as agreement_figure
from validation.figures import (
    figure1,
    figure2,
    figure5,
    figure6,
    phase_diagram,
    structured,
    trajectory,
)

#: A minimum read off a grid with steps h in log lam lies within h^2/8 times the curvature
#: of log eps, which is below 1: 1e-3 for the coarsest grid, 40 points a decade.
GRID = 1e-3
#: Trapezoidal rule on the grid of figure 6, whose finest peak has 30 points in its width.
QUADRATURE = 1e-4
#: How close curves and limits have to be before we speak of a collapse.
COLLAPSE = 1e-3
#: How far exponents between P = 10^7 and 10^8 may be from their limits; those of
#: `structured.LAWS` were measured to be off by 0.0025 at most, at (1.5, 0.6) next to a line.
LIMIT = 4e-3

SCRIPTS = {
    "figure1": figure1,
    "figure2": figure2,
    "figure5": figure5,
    "figure6": figure6,
    "structured": structured,
    "phase_diagram": phase_diagram,
    "trajectory": trajectory,
    "agreement": agreement_figure,
}
#: Laws of inputs whose exponents are measured: all, and by default one from each regime.
LAWS = structured.LAWS
FEW_LAWS = structured.GROWTH
#: Drawn without anybody's data: these, and those of our own sweep.
MADE = [name for name in figures.FIGURES if name not in figures.OF_CURVES]
#: Written to files by default: one that simulates, the quickest, those with a table, and one of our
#: sweep. The others are drawn, and written by a slow test.
WRITTEN = ("figure1", "figure5", "phase_diagram", "mnist_collapse", "mnist_tables", "agreement")


@pytest.fixture(scope="module", autouse=True)
def small_simulations():
    """The simulations at sizes of no use to anyone but tests."""
    with pytest.MonkeyPatch.context() as patch:
        # those of the paper's own curves have tests/test_pairs.py
        patch.delenv(settings.VARIABLE, raising=False)
        patch.setattr(figure1, "N", 300)
        patch.setattr(figure1, "STEPS", 10**4)
        patch.setattr(figure6, "N", 100)
        patch.setattr(figure6, "SEEDS", 6)
        patch.setattr(trajectory, "N", 80)
        patch.setattr(trajectory, "SEEDS", 4)
        patch.setattr(trajectory, "ALPHAS", (1.0, 5.0))
        patch.setattr(trajectory, "LAM", np.geomspace(0.1, 5, 7))
        patch.setattr(structured, "LAWS", FEW_LAWS)
        draws = [
            agreement.Draw(
                "noiseless", "rademacher", 3.0, ("logistic", "Bayes"), ((60, 6), (120, 5))
            ),
            agreement.Draw("flips", "two levels", 1.0, ("square",), ((60, 6), (120, 5))),
        ]
        patch.setattr(agreement, "default_draws", lambda: draws)
        # tests/test_agreement.py judges; here few seeds would often be refused
        patch.setattr(agreement_figure, "verdict", lambda data: None)
        # tests/test_evidence.py judges
        patch.setattr(evidence, "analyse", functools.partial(evidence.analyse, bootstrap=20))
        evidence.analyses.cache_clear()
        for script in SCRIPTS.values():  # drawn from `data`, and by the command
            patch.setattr(script, "compute", functools.cache(script.compute))
        yield
        evidence.analyses.cache_clear()


@pytest.fixture(scope="module")
def data():
    return {name: script.compute() for name, script in SCRIPTS.items()}


@pytest.fixture(scope="module")
def drawings(data):
    drawn = {}
    with style.context():
        for name, script in SCRIPTS.items():
            drawn[name] = script.draw(data[name])
            drawn[name].draw_without_rendering()
    return drawn


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


# ------------------------------------------------------------------------- figure 1


def test_the_star_of_figure_1_is_the_minimum_of_its_curve(data):
    d = data["figure1"]
    assert d.optimal_error < d.error.min() < d.optimal_error * (1 + GRID)
    assert d.bayes_gap <= d.zoom_gap.min() < d.bayes_gap + GRID


def test_the_minimum_is_above_bayes_by_a_small_gap_that_is_never_zero(data):
    d = data["figure1"]
    assert d.bayes_gap == pytest.approx(5.33e-4, rel=1e-3)  # docs/theory.md
    assert 0 < d.smallest_gap < d.bayes_gap < d.largest_gap < 6.3e-4


def test_the_curve_of_figure_1_runs_from_hebb_to_maximum_stability(data):
    d = data["figure1"]
    assert d.bayes < d.error.min()
    assert np.all(np.diff(d.trained_lam) > 0)
    assert d.trained_step[-1] == pytest.approx(figure1.STEPS, rel=1e-6)
    assert 0 < d.hebb - d.error[0] < 1e-3
    assert 0 < d.max_stability - d.error[-1] < 2e-4
    assert d.approach == pytest.approx(0.102, rel=0.01)


# ------------------------------------------------------------------------- figure 2


def test_the_stars_of_figure_2_are_minima_of_the_drawn_curves(data):
    d = data["figure2"]
    lowest = d.error.min(axis=1)
    assert np.all(d.optimal_error <= lowest)
    assert np.all(lowest < d.optimal_error * (1 + GRID))
    at = d.lam[d.error.argmin(axis=1)]
    assert np.all(np.abs(np.log(at / d.optimal_lam)) < np.log(d.lam[1] / d.lam[0]))


def test_the_curves_collapse_on_both_limits(data):
    d = data["figure2"]
    assert d.alpha[-1] >= 1e6
    assert d.early_spread[-1] < COLLAPSE
    assert d.master_spread[-1] < COLLAPSE
    # the distance from the early law is about 0.8 lam/alpha, that from the master curve
    # about 0.051/lam^2: at one lam the curves come closer with alpha
    assert np.all(np.diff(np.abs(d.early_gap[3:, d.lam < 0.1]), axis=0) < 0)
    large = d.lam[None, :] / d.alpha[:, None] > 1
    assert np.all(np.diff(np.max(np.abs(d.master_gap), axis=1, where=large, initial=0.0)) < 0)


def test_another_exponent_does_not_collapse_them(data):
    d = data["figure2"]
    inside = d.lam < 10
    for exponent in (0.49, 0.51):
        scaled = d.alpha[-3:, None] ** exponent * d.error[-3:, inside]
        assert np.ptp(scaled, axis=0).max() > 10 * COLLAPSE * scaled.max()


def test_the_two_limits_match_with_exponent_one_half(data):
    d = data["figure2"]
    assert early_law(1e6) * 1e3 == pytest.approx(d.constant, rel=1e-6)
    assert master_curve(1e-8) * 1e-4 == pytest.approx(d.constant, rel=1e-6)
    assert np.all(np.diff(d.steepest) > 0)
    assert np.all(d.steepest < 0.5)
    assert d.steepest[-1] > 0.4999


def test_the_optimum_is_a_power_law_at_large_alpha_only(data):
    d = data["figure2"]
    assert d.lam_law.gamma == pytest.approx(-1, abs=1e-4)
    assert d.error_law.gamma == pytest.approx(1, abs=1e-4)
    for law, wide in ((d.lam_law, d.wide_lam_law), (d.error_law, d.wide_error_law)):
        assert 0 < law.gamma_high - law.gamma_low < 1e-4
        assert law.serial_p < 0.01  # no noise: what is left is the crossover
        assert abs(abs(wide.gamma) - 1) > 100 * abs(abs(law.gamma) - 1)
    # alpha = 1 is not yet on the master curve: 0.24 of its value away at lam = 10
    assert d.distance < 0.05 < 1 < d.distance_raw
    assert d.lam_law(1e6) == pytest.approx(d.best_ell * 1e6, rel=1e-4)
    assert d.error_law(1e6) == pytest.approx(d.best_value / 1e6, rel=1e-4)
    assert d.small_ratio == pytest.approx([1.18583, 0.999, 0.90722, 0.88979], abs=5e-4)
    assert np.all(np.diff(d.small_ratio) < 0)


# ------------------------------------------------------------------------- figure 6


def test_the_margins_integrate_to_one(data):
    d = data["figure6"]
    total = trapezoid(d.density, d.margin, axis=0)
    assert total == pytest.approx(np.ones(len(d.lam)), abs=QUADRATURE)
    limit = d.weight + trapezoid(d.limit_density, d.limit_margin)
    assert limit == pytest.approx(1, abs=QUADRATURE)


def test_the_density_drawn_has_the_mean_that_is_quoted(data):
    d = data["figure6"]
    mean = trapezoid(d.margin[:, None] * d.density, d.margin, axis=0)
    assert mean == pytest.approx(d.mean_at, abs=QUADRATURE)
    continuous = trapezoid(d.limit_margin * d.limit_density, d.limit_margin)
    assert d.weight * d.kappa + continuous == pytest.approx(d.limit_mean, abs=QUADRATURE)


def test_the_mean_falls_and_the_lower_edge_rises(data):
    d = data["figure6"]
    assert d.kappa == pytest.approx(1.2422583469, abs=1e-10)
    assert np.all(np.diff(d.mean) < 0)
    assert np.all(np.diff(d.edge) > 0)
    assert d.mean[-1] > d.limit_mean > d.kappa > d.edge[-1]


# ------------------------------------------------------- structured, phase diagram


def test_all_curves_leave_one_early_law_and_more_examples_are_better(data):
    d = data["structured"]
    assert np.all(d.error > d.early_error)
    assert np.all(np.diff(d.error, axis=0) < 0)
    assert d.early_spread < 0.02
    last = d.early_lam > 1e4
    law = d.early_constant * d.early_lam**-d.gamma_1
    assert np.all(np.abs(d.early_error / law - 1)[last] < COLLAPSE)


def test_the_stars_of_the_structured_curves_are_their_minima(data):
    d = data["structured"]
    lowest, step = d.error.min(axis=1), np.log(d.lam[1] / d.lam[0])
    assert np.all(d.best_error <= lowest)
    assert np.all(lowest < d.best_error * (1 + step**2 / 8))
    assert np.all(d.best_error < d.end_error)
    assert d.error[:, -1] == pytest.approx(d.end_error, rel=0.01)


def test_the_structured_curves_collapse_on_the_closed_form(data):
    d = data["structured"]
    assert np.all(np.diff(d.spread) < 0)
    assert d.spread[-1] < COLLAPSE
    scale = d.P**d.gamma_meas
    assert np.all(np.diff(np.abs(d.best_error * scale / d.master_best_error - 1)) < 0)
    assert d.best_error[-1] * scale[-1] == pytest.approx(d.master_best_error, rel=COLLAPSE)
    assert d.end_error[-1] * scale[-1] == pytest.approx(d.master_end_error, rel=COLLAPSE)
    # another exponent: the minima of the last two P differ by more than ten times the collapse
    for wrong in (-0.01, 0.01):
        other = d.best_error * d.P ** (d.gamma_meas + wrong)
        assert abs(other[-1] / other[-2] - 1) > 10 * COLLAPSE


def test_best_norms_tend_to_their_law_in_every_regime(data):
    d = data["structured"]
    law = d.growth_constant[:, None] * d.P ** d.growth_exponent[:, None]
    apart = np.abs(d.growth_lam / law - 1)
    assert np.all(apart[:, -1] < 0.01)
    assert np.all(apart[:, -1] < apart[:, 0])
    assert d.master_best_lam == d.growth_constant[0]


def test_the_product_law_holds_where_it_must_and_fails_elsewhere(data):
    d = data["structured"]
    assert np.abs(d.measured - d.closed).max() < LIMIT
    assert np.abs(d.measured - d.predicted)[d.holds].max() < LIMIT
    assert np.all((d.predicted - d.measured)[~d.holds] > 0.1)
    late = [a > 2 and r > 0.5 for a, r in structured.LAWS]
    assert 0 < sum(late) < len(late)
    np.testing.assert_array_equal(late, ~d.holds)


@pytest.mark.slow
@pytest.mark.parametrize(("a", "r"), LAWS)
def test_exponents_of_every_law_of_inputs_are_close_to_their_limits(a, r):
    assert structured._decade(a, r) == pytest.approx(
        float(scaling_exponents(a, r).gamma_meas), abs=LIMIT
    )


def test_each_pair_is_placed_where_its_exponents_come_back(data):
    rows = [row for row in data["phase_diagram"].pairs if row.product_law]
    assert len(rows) == 8
    for row in rows:
        found = scaling_exponents(row.capacity, row.source)
        # a few roundings of products and of 1 - gamma_1 gamma_2, which is 0.1 at the least
        assert found.gamma_1 == pytest.approx(row.gamma_1, rel=1e-14)
        assert found.gamma_2 == pytest.approx(row.gamma_2, rel=1e-13)
        assert found.gamma_meas == pytest.approx(row.gamma_pred, rel=1e-13)
        assert row.capacity_low < row.capacity < row.capacity_high


def test_the_pairs_that_need_not_obey_the_product_law_are_named(data):
    rows = {row.pair: row for row in data["phase_diagram"].pairs}
    unsure = {title for title, row in rows.items() if row.probability <= phase_diagram.SURE}
    assert unsure == {"CNN on MNIST", "ResNet on MNIST"}
    assert rows["CNN on MNIST"].capacity_high == np.inf
    assert np.isnan(rows["ResNet on MNIST"].capacity)
    caption = phase_diagram.caption(data["phase_diagram"])
    assert "in 7 pairs of 9" in caption
    for title in rows:
        assert title in " ".join(caption.split())
    table = phase_diagram.attachments(data["phase_diagram"])[".csv"].decode()
    assert table.splitlines()[0].startswith("pair,gamma_1,gamma_1_error,gamma_2,")
    assert len(table.splitlines()) == 10


def test_the_printed_tables_agree_with_each_other():
    """gamma_pred of Table 1 is the product from Table 2, up to how they were rounded."""
    for row in pairs.TABLES.values():
        last = 0.005 if row.gamma_1 > 0.02 else 5e-5  # the ViTs on CIFAR have four digits
        rounding = 0.005 + last * row.gamma_2 + row.gamma_1 * (0.05 if row.gamma_2 > 20 else 0.005)
        assert abs(row.gamma_1 * row.gamma_2 - row.gamma_pred) <= rounding


def test_lines_of_equal_exponent_are_those_of_equal_capacity_times_source(data):
    d = data["phase_diagram"]
    below = d.source < 0.5
    product = d.capacity * d.source[below, None]
    # a product, a sum and a quotient of positive numbers: a few roundings
    np.testing.assert_allclose(d.gamma_meas[below], product / (1 + product), rtol=1e-14)
    late = d.gamma_meas[np.ix_(~below, d.capacity > 2.1)]
    assert np.all(late == late[0])


# ------------------------------------------------------------------------- drawing


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_text_is_smaller_than_eight_points(drawings, name):
    for text in drawings[name].findobj(Text):
        assert text.get_fontsize() >= 8 or not text.get_text()


def _points(axes):
    """Points along the curves of a panel, in pixels."""
    for line in axes.lines:
        if len(line.get_xdata()) > 2 and line.get_linestyle() != "None":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                yield line.get_transform().transform(line.get_xydata())


def _boxes(axes, renderer):
    """What lies over a panel: insets with their labels, words, a legend."""
    boxes = [inset.get_tightbbox(renderer) for inset in axes.child_axes]
    words = [text for text in axes.texts if text.get_text() and text.get_rotation() == 0]
    boxes += [text.get_window_extent(renderer) for text in words]
    if axes.get_legend() is not None:
        boxes.append(axes.get_legend().get_window_extent(renderer))
    return boxes


@pytest.mark.parametrize("name", SCRIPTS)
def test_neither_insets_nor_words_cover_a_curve_or_each_other(drawings, name):
    figure = drawings[name]
    for axes in figure.axes:
        boxes = _boxes(axes, figure.canvas.get_renderer())
        for box, other in itertools.combinations(boxes, 2):
            assert not box.overlaps(other)
        for box, points in itertools.product(boxes, _points(axes)):
            assert not np.any(np.all((box.min < points) & (points < box.max), axis=1)), box


@pytest.mark.parametrize("name", sorted(set(SCRIPTS) - {"agreement", "figure5", "phase_diagram"}))
def test_data_are_frozen_and_finite(data, name):
    record = data[name]
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.alpha = 1.0
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, pd.DataFrame):
            value = value.select_dtypes("number")
        if not dataclasses.is_dataclass(value):
            assert np.all(np.isfinite(value)), field.name


@pytest.mark.parametrize("name", ["structured", "phase_diagram"])
def test_captions_are_set_to_their_width(data, name):
    assert max(map(len, SCRIPTS[name].caption(data[name]).splitlines())) <= 92


@pytest.mark.parametrize("name", ["figure1", "figure2", "figure6"])
def test_the_caption_says_where_the_theory_corrects_the_paper(data, name):
    caption = SCRIPTS[name].caption(data[name])
    assert caption.startswith(f"Figure {name[-1]}")
    assert "Where the theory corrects the paper." in caption
    assert "Eq. (12)" in caption
    assert max(map(len, caption.splitlines())) <= 92


def test_the_style_leaves_no_trace_and_takes_none():
    before = dict(rcParams)
    with style.context():
        assert rcParams["font.size"] == 9.0
        assert rcParams["lines.marker"] == "None"
    assert dict(rcParams) == before


# ------------------------------------------------------------------- the command line


def write(names, folder):
    """The command `figures`, as if there were those names and the figures of the paper's curves."""
    known = {n: claim for n, claim in figures.FIGURES.items() if n in {*names, *figures.OF_CURVES}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "FIGURES", known)
        result = run("figures", "--output", folder)
    assert result.exit_code == 0, result.output
    *lines, last = result.output.splitlines()
    expected = []
    for name in names:
        if name in figures.SIMULATED:
            expected.append([name, "simulating;"])
        expected.append([name, "drawn:"])
    assert [line.split()[:2] for line in lines] == expected
    assert "agreement  simulating; takes about two minutes" in lines
    names = ", ".join(figures.OF_CURVES)
    assert last.startswith(f"left out: {names}: they need the paper's learning curves: name the")
    rows = (folder / "agreement.csv").read_text().splitlines()
    assert rows[0].startswith("loss,teacher,inputs,alpha,value,quantity,")
    assert len(rows) > 50


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures") / "made"
    write(WRITTEN, folder)
    return folder


def assert_whole(output, name):
    title = figures.FIGURES[name].encode()
    png = (output / f"{name}.png").read_bytes()
    pdf = (output / f"{name}.pdf").read_bytes()
    assert png.startswith(b"\x89PNG\r\n")
    assert title in png
    width = int.from_bytes(png[16:20], "big")
    assert width in (round(style.COLUMN * 300), round(style.FULL * 300))
    assert len(png) > 5e4
    assert pdf.startswith(b"%PDF-")
    assert title in pdf
    assert b"CreationDate" not in pdf
    assert len(pdf) > 1e4
    assert not list(output.glob(".*"))


@pytest.mark.parametrize("name", WRITTEN)
def test_files_are_whole_and_carry_their_title(output, name):
    assert_whole(output, name)


@pytest.mark.slow
def test_files_of_all_figures_are_whole(tmp_path):
    write(MADE, tmp_path)
    for name in MADE:
        assert_whole(tmp_path, name)


@pytest.mark.parametrize("name", sorted({*MADE} - {*SCRIPTS} - {*WRITTEN}))
def test_figures_of_our_sweep_are_drawn(name):
    script = figures.load(name)
    found = script.compute()
    with style.context():
        assert script.draw(found).axes
    assert script.caption(found)


def test_a_second_run_skips_and_imports_nothing_heavy(output):
    code = (
        "import sys; from validation import cli; from validation.__main__ import main\n"
        f"cli.FIGURES = dict.fromkeys({WRITTEN!r})\n"
        f"main(['figures', '--output', {str(output)!r}], standalone_mode=False)\n"
        "assert not {'matplotlib', 'numba', 'numpy', 'replica.kernels', 'rich'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[: len(WRITTEN)] == [f"{name}  up to date" for name in WRITTEN]


def test_force_draws_again_the_same_bytes(output):
    files = [output / f"figure1{suffix}" for suffix in (*stamp.suffixes, ".json")]
    before = [(file.read_bytes(), file.stat().st_mtime_ns) for file in files]
    figure1.compute.cache_clear()
    assert "figure1  drawn" in run("figure1", "--force", "--output", output).output
    for file, (content, written) in zip(files, before, strict=True):
        assert file.read_bytes() == content
        assert file.stat().st_mtime_ns > written


def test_a_figure_is_out_of_date_if_files_or_sources_change(output, monkeypatch):
    assert stamp.is_fresh("figure1", output)
    caption = output / "figure1.txt"
    text = caption.read_text()
    caption.write_text(text + "edited")
    assert not stamp.is_fresh("figure1", output)
    caption.write_text(text)
    assert stamp.is_fresh("figure1", output)
    note = output / "figure1.json"
    whole = note.read_text()
    for broken in ("", "[]", json.dumps({**json.loads(whole), "files": {}})):
        note.write_text(broken)
        assert not stamp.is_fresh("figure1", output)
    note.write_text(whole)
    monkeypatch.setattr(stamp, "fingerprint", lambda: "of other sources")
    assert not stamp.is_fresh("figure1", output)


def test_an_unknown_figure_is_named_with_those_that_exist():
    result = run("figure7")
    assert result.exit_code == 2
    assert "no figure `figure7`; choose one of figure1, figure2, figure3, figure4" in result.output


def test_a_figure_of_curves_that_are_not_there_says_how_to_name_them(tmp_path):
    result = run("figure3", "--output", tmp_path)
    assert result.exit_code == 1
    assert "figure3 needs the paper's learning curves: name the folder" in result.output
    assert "--data or REPLICA_LEARNING_DATA" in " ".join(result.output.split())
    empty = run("tables", "--output", tmp_path, "--data", tmp_path)
    assert empty.exit_code == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(stamp, "_render", lambda name, full: ({f"{name}.txt": b""}, None))
    (tmp_path / "file").write_text("")
    assert run("figure1", "--output", tmp_path / "file").exit_code == 2
    result = run("figure1", "--output", tmp_path / "file" / "below")
    assert result.exit_code == 1
    assert "Error: cannot write figure1: Not a directory" in result.output


def test_help_has_examples_and_every_claim():
    result = run("--help")
    assert result.exit_code == 0
    assert "python -m validation figures" in result.output
    assert "Exit codes" in result.output
    for name in figures.FIGURES:
        assert figures.FIGURES[name] in " ".join(run(name, "--help").output.split())
