"""The sweep of our own: its tables are whole, and say what docs/mnist.md says."""

import functools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from deepnorm.figures import margins
from deepnorm.sweeps import grid, sweep
from validation import evidence, figures

#: Two exponents that are one and the same differ by at most this in standard errors.
AGREE = 3.0


@pytest.fixture(scope="module")
def kept():
    return evidence.load()


@pytest.fixture(scope="module", autouse=True)
def few_repetitions():
    """Error bars good to 16%; those of the pages are good to a twentieth."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence, "analyse", functools.partial(evidence.analyse, bootstrap=20))
        evidence.analyses.cache_clear()
        yield
        evidence.analyses.cache_clear()


def test_every_run_is_there_and_whole(kept):
    table, about = kept.table, kept.about
    runs = table.groupby(["P", "seed"])
    assert runs.ngroups == about["runs"]
    assert table["P"].unique().tolist() == [94, 188, 375, 750, 1500, 3000, 6000]
    assert table.groupby("P")["seed"].nunique().min() >= 5
    assert (runs["step"].max() == about["settings"]["steps"]).all()
    assert np.isfinite(table.to_numpy()).all()


def test_the_norm_grows_along_every_run(kept):
    for name in evidence.CONVENTIONS:
        steps = kept.table.groupby(["P", "seed"])[f"log_norm_{name}"].diff().dropna()
        assert steps.min() > -0.05
        assert (steps > 0).mean() > 0.95


def test_prediction_and_measurement_agree_whatever_the_norm(kept):
    found = evidence.analyses()
    for title, analysis in found.items():
        total = np.hypot(analysis.gamma_pred.total, analysis.gamma_meas.total)
        assert abs(analysis.gamma_pred.value - analysis.gamma_meas.value) < AGREE * total, title
        assert analysis.settings["gamma_2_of"] == "elbows"
        assert analysis.collapse_elbow.rms < analysis.collapse.rms < analysis.collapse.rms_raw
    values = [analysis.gamma_pred.value for analysis in found.values()]
    errors = [analysis.gamma_pred.error for analysis in found.values()]
    assert np.ptp(values) < AGREE * max(errors)
    singles = [analysis.gamma_1.value for analysis in found.values()]
    assert np.ptp(singles) / np.mean(singles) > np.ptp(values) / np.mean(values)


def test_the_lower_edge_of_the_margins_rises(kept):
    table = margins.normalised(kept.margins)
    late = table[table["train_error"] < 0.5]
    assert late[0.01].iloc[-1] > 0 > late[0.01].iloc[0]


def test_a_figure_of_it_says_what_was_trained(kept):
    script = figures.load("mnist_tables")
    text = script.caption(script.compute())
    assert kept.about["command"] in " ".join(text.split())
    assert "Table 1" in text
    assert "Table 2" in text


def test_only_whole_sweeps_of_one_kind_are_kept(tmp_path, monkeypatch):
    small = {"P": [20, 40], "seeds": 1, "steps": 3, "records": 3}
    with ThreadPoolExecutor(1) as here:
        options = {"executor": here, "progress": False}
        sweep(grid("cnn-small", "digits", **small), tmp_path / "a", **options)
    monkeypatch.setattr(evidence, "_place", lambda suffix: tmp_path / f"kept{suffix}")
    evidence.keep(tmp_path / "a", "a command")
    places = sorted(path.name for path in tmp_path.glob("kept*"))
    assert places == ["kept-margins.csv.gz", "kept.csv.gz", "kept.json"]
    more = grid("cnn-small", "digits", P=[60], seeds=1, steps=2, records=2)
    with ThreadPoolExecutor(1) as here:
        sweep(more, tmp_path / "a", executor=here, progress=False, mix=True)
    with pytest.raises(ValueError, match="`folder` must hold runs of one kind; got 2"):
        evidence.keep(tmp_path / "a", "a command")
    next((tmp_path / "a").glob("*P20*.json")).write_text("{")
    with pytest.raises(ValueError, match="must hold whole, finished runs only"):
        evidence.keep(tmp_path / "a", "a command")
