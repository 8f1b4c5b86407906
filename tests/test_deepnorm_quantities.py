"""Figures and pages name what was fitted: error or loss, against a norm, a step or an epoch."""

import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text

from deepnorm.figures import (
    choices,
    collapse,
    combined,
    curves,
    exponents,
    fits,
    panels,
    style,
    training,
)
from deepnorm.quantities import Quantities, common, of_analysis, of_curves
from deepnorm.report.page import render
from replica import scaling

P = (500, 1000, 2000, 4000, 8000)


def table():
    rng = np.random.default_rng(3)
    rows = scaling.synthetic_curves(scaling.SyntheticLaw(), P, 3, rng, records=20)
    return rows.assign(step=10 * (rows["step"] + 1))


def as_loss(rows):
    return rows.assign(val_loss=3 * rows["test_error"]).drop(columns="test_error")


def read(rows, **options):
    return scaling.curves_from_table(rows, **options)


KINDS = {
    "error along norm": lambda: read(table()),
    "loss along norm": lambda: read(as_loss(table()), quantity="loss"),
    "error along step": lambda: read(table().drop(columns="norm")),
    "loss along epoch": lambda: read(
        as_loss(table()).drop(columns="norm").rename(columns={"step": "epoch"}), quantity="loss"
    ),
    "error alone": lambda: read(table().groupby(["P", "seed"], as_index=False)["test_error"].min()),
}
EXPECTED = {
    "error along norm": Quantities(),
    "loss along norm": Quantities("loss"),
    "error along step": Quantities("test error", "step"),
    "loss along epoch": Quantities("loss", "epoch"),
    "error alone": Quantities("test error", ""),
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    """What the curves are, and their analysis."""
    found = KINDS[request.param]()
    assert of_curves(found) == EXPECTED[request.param]
    return EXPECTED[request.param], scaling.analyse(found, bootstrap=20)


def written(figure):
    """Everything that is written on a figure, legends included."""
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_an_analysis_knows_what_its_curves_were(kind):
    of, analysis = kind
    assert of_analysis(analysis) == of


def test_axes_legends_captions_and_alt_texts_name_what_was_fitted(kind):
    of, analysis = kind
    scripts = [exponents, choices]
    if of.abscissa:
        scripts += [curves, collapse, fits]
    if of.has_norm:
        scripts.append(combined)
    wrong = ["loss"] if of.error == "test error" else ["test error"]
    wrong += [] if of.has_norm else [r"\lambda", "gamma_1", r"\gamma_1", "gamma_2", r"\gamma_2"]
    for script in scripts:
        with style.context():
            figure = script.draw(analysis)
        told = [script.finding(analysis), script.caption(analysis), script.alt(analysis)]
        for text in (*written(figure), *told):
            assert not [word for word in wrong if word in text], (script.__name__, text)
        labels = [label for axes in figure.axes for label in (axes.get_xlabel(), axes.get_ylabel())]
        if script is not choices:
            # of curves without a norm the fits show the time of the optimum alone
            if of.has_norm or script is not fits:
                assert any(label.startswith(of.error) for label in labels), labels
            assert of.error in " ".join(told[1:]).lower()
        if script in (curves, collapse, fits):
            assert any(of.along in label for label in labels), labels
            assert all(of.along in text for text in told[1:])


def test_a_page_names_what_was_fitted(kind):
    of, analysis = kind
    text = render(analysis, title="a table", source="somewhere")
    text = text[text.index("<main>") :]
    said = re.sub(r'src="[^"]*"', "", text)
    assert of.error in said
    other = {"test error": r"\bloss\b", "loss": "test error"}[of.error]
    assert not re.search(other, re.sub("'val_loss'", "", said))
    letter = {"norm": "<i>λ</i>", "": None}.get(of.abscissa, "<i>t</i>")
    heads = said[: said.index("<h2>Method")]
    for one in ("<i>λ</i>", "<i>t</i>"):
        assert (one in heads) == (one == letter)
    assert ("gamma_1" in text[: text.index("<h2>What stands out")]) == of.has_norm
    if not of.has_norm:
        assert not re.search(r"\bnan\b", heads)


def test_several_analyses_with_different_axes_are_told_apart():
    assert common([Quantities("loss"), Quantities("loss")]) == Quantities("loss")
    both = common([Quantities(), Quantities("loss", "step")])
    assert (both.error, both.abscissa) == ("test error or loss", "norm or step")


def test_labels_of_axes():
    assert panels.abscissa_label(Quantities(), convention="eq2") == r"norm $\lambda$ (eq. 2)"
    assert panels.abscissa_label(Quantities("loss", "epoch")) == "epoch of training $t$"
    inside = panels.abscissa_label(Quantities("loss", "step"), "opt")
    assert inside == r"step of training $t/t_{\rm opt}$"
    assert panels.error_label(Quantities("loss")) == r"loss $\epsilon$"


def test_the_figure_of_training_time_says_loss_and_needs_a_norm():
    found = KINDS["loss along norm"]()
    with style.context():
        figure = training.draw(found)
    assert figure.axes[0].get_ylabel() == r"loss $\epsilon$"
    assert training.finding(found).startswith("Training ends at a loss of ")
    assert training.caption(found).startswith("Loss (left)")
    assert "the loss on the left" in training.alt(found)
    with pytest.raises(ValueError, match="`curves` '' must have a norm beside the time"):
        training.draw(KINDS["error along step"]())


def test_flags_name_what_is_lowest_and_along_what():
    rows = table()
    early = rows[rows["step"] <= 100].drop(columns="norm").rename(columns={"step": "epoch"})
    analysis = scaling.analyse(read(as_loss(early), quantity="loss"), bootstrap=20)
    flags = {flag.kind: flag.text for flag in analysis.flags}
    assert flags["at_end"].startswith("the loss is lowest at the end of the records for P = 500, ")
    assert flags["at_end"].endswith("there epoch_opt and eps_opt are those of the end of training")
    assert "what loss it predicts" in flags["not_concluded"]


def test_what_nothing_is_known_of_is_a_test_error_against_the_norm(kind):
    bare = replace(kind[1], settings={"gamma_2_of": "optima"})
    assert of_analysis(bare) == Quantities()
