"""The figures of an analysis: they draw its numbers, and can be read."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from grids import slow
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text

from deepnorm.figures import (
    choices,
    collapse,
    combined,
    curves,
    exponents,
    fits,
    panels,
    phase_diagram,
    style,
)
from replica import scaling

LN10 = math.log(10)
P = (500, 1000, 2000, 4000, 8000, 16000)
#: The box of a line of text is higher and wider than its letters, by about this in pixels.
SLACK = -2.0
#: Figures of one or several analyses.
SCRIPTS = {
    "curves": curves,
    "collapse": collapse,
    "fits": fits,
    "exponents": exponents,
    "combined": combined,
}


def analysis(*, P=P[:5], seeds=3, shift=0.0, past=2.5, records=20):
    """The analysis of a small sweep of known exponents.

    ``shift`` is added to ln(norm); records reach ``past`` the minimum, or end before it.
    """
    law, rng = scaling.SyntheticLaw(), np.random.default_rng(3)
    frame = scaling.synthetic_curves(law, P, seeds, rng, records=records, past=max(past, 0.0))
    if past < 0:
        x = np.log(frame["norm"])
        last = x.groupby([frame["P"], frame["seed"]]).transform("max")
        frame = frame[x <= last + past]
    frame = frame.assign(log_norm=np.log(frame["norm"]) + shift).drop(columns="norm")
    if seeds == 1:
        frame = frame.drop(columns="seed")
    return scaling.analyse(scaling.curves_from_table(frame), bootstrap=20)


@pytest.fixture(scope="module")
def usual():
    return analysis(P=P)


@pytest.fixture(scope="module")
def found(usual):
    """Analyses of every kind, by what is peculiar to them."""
    return {
        "usual": usual,
        "huge norms": analysis(shift=1000.0),
        "averaged": analysis(seeds=1),
        "two values of P": analysis(P=P[:2]),
        "no minimum": analysis(past=-0.8, records=30),
    }


@pytest.fixture(scope="module")
def drawings(usual):
    """Every figure of one analysis, not laid out."""
    with style.context():
        return {name: script.draw(usual) for name, script in SCRIPTS.items()}


# ------------------------------------------------------------------- they can be read

WHICH = [
    *((name, "one") for name in (*SCRIPTS, "choices", "phase_diagram", "sketch")),
    ("curves", "five"),
    ("fits", "five"),
    *(slow((name, "five")) for name in ("collapse", "exponents", "combined")),
]


@pytest.mark.parametrize("which", WHICH)
def test_a_figure_can_be_read(usual, found, which):
    name, many = which
    with style.context():
        if name == "sketch":
            figure = combined.sketch()
        else:
            others = {"choices": choices, "phase_diagram": phase_diagram}
            script = {**SCRIPTS, **others}[name]
            figure = script.draw(usual if many == "one" else found)
        figure.draw_without_rendering()
    assert figure.get_size_inches()[0] == style.FULL
    assert figure.get_size_inches()[1] < 10
    for text in figure.findobj(Text):
        assert text.get_fontsize() >= 8 or not text.get_text()
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>" and axes.axison]
    expected = {"fits": 2, "choices": 4}.get(name, 1)
    assert len(panels) == expected * (1 if many == "one" else len(found))
    for axes in panels:
        assert axes.get_xlabel()
        assert axes.get_ylabel() or name == "choices"
        for axis in (axes.xaxis, axes.yaxis):
            assert 2 <= len(shown(axis)) <= 9
            assert all(label.get_text() for label in shown(axis))
    for key in figure.legends:
        box = key.get_window_extent()
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
    for axes in (axes for axes in figure.axes if axes.axison):
        boxes = words(axes, figure.canvas.get_renderer())
        for box in boxes:
            assert figure.bbox.x0 <= box.x0
            assert box.x1 <= figure.bbox.x1
        for box, other in itertools.combinations(boxes, 2):
            assert not box.overlaps(other), (box, other)


def shown(axis):
    """The labels of the ticks in view."""
    low, high = sorted(axis.get_view_interval())
    ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
    return [label for place, label in ticks if low <= place <= high]


def words(axes, renderer):
    """The boxes of everything written on a panel."""
    texts = [axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
    texts += [*shown(axes.xaxis), *shown(axes.yaxis)]
    boxes = [text.get_window_extent(renderer) for text in texts if text.get_text()]
    if axes.get_legend() is not None:
        boxes.append(axes.get_legend().get_window_extent(renderer))
    return [box.padded(SLACK) for box in boxes]


@pytest.mark.parametrize("name", SCRIPTS)
def test_captions_are_sentences(found, usual, name):
    for analyses in (usual, found):
        caption = SCRIPTS[name].caption(analyses)
        assert caption.endswith(".")
        assert "nan" not in caption.split()


@pytest.mark.parametrize("name", SCRIPTS)
def test_nothing_to_draw_is_refused(name):
    with pytest.raises(ValueError, match="`analyses` must hold at least one analysis; got none"):
        SCRIPTS[name].draw({})


# ------------------------------------------------------------------- they draw the numbers


def drawn(figure: Figure, panel: int = 0):
    """The lines of a panel: those of one point and those of more."""
    data = [np.asarray(line.get_xydata(), dtype=float) for line in figure.axes[panel].lines]
    return [xy for xy in data if len(xy) == 1], [xy for xy in data if len(xy) > 1]


def contains(lines, expected):
    return any(len(xy) == len(expected) and np.allclose(xy, expected) for xy in lines)


def test_curves_their_minima_and_the_early_law_are_drawn(drawings, usual):
    points, paths = drawn(drawings["curves"])
    for mean, row in zip(usual.means, usual.optima.itertuples(), strict=True):
        assert contains(paths, np.stack([mean.log_norm / LN10, mean.error], axis=1))
        assert contains(points, [[row.log_lam_min / LN10, row.eps_opt]])
    early = paths[-1]
    assert early[:, 1] == pytest.approx(usual.joint.early(early[:, 0] * LN10))


def test_rescaled_curves_and_their_master_curve_are_drawn(drawings, usual):
    points, paths = drawn(drawings["collapse"])
    for mean, row in zip(usual.means, usual.optima.itertuples(), strict=True):
        x, y = (mean.log_norm - row.log_lam_min) / LN10, mean.error / row.eps_opt
        assert contains(paths, np.stack([x, y], axis=1))
    master = usual.collapse.master
    assert contains(paths, np.stack([master["log_ratio"] / LN10, master["phi"]], axis=1))
    assert contains(points, [[0, 1]])


def test_curves_that_never_turn_are_divided_by_their_elbows(found):
    analysis = found["no minimum"]
    with style.context():
        figure = collapse.draw(analysis, "elbow")
    _, paths = drawn(figure)
    rows = zip(analysis.means, analysis.optima.itertuples(), strict=True)
    divided = [(mean, row) for mean, row in rows if np.isfinite(row.log_elbow)]
    assert len(divided) >= 3
    for mean, row in divided:
        x, y = (mean.log_norm - row.log_elbow) / LN10, mean.error / row.eps_opt
        assert contains(paths, np.stack([x, y], axis=1))
    assert "units of their elbow" in collapse.caption(analysis, "elbow")
    with pytest.raises(ValueError, match=r"`unit` must be .* got 'knee'"):
        collapse.draw(analysis, "knee")
    none = replace(analysis, optima=analysis.optima.assign(log_elbow=math.nan))
    with pytest.raises(ValueError, match=r"`unit` must be .* got 'elbow'"):
        collapse.draw(none, "elbow")


def test_the_local_fits_and_lam_opt_have_their_slopes(drawings, usual):
    _, paths = drawn(drawings["fits"], 0)
    for fit in usual.local_fits.itertuples():
        x = np.array([fit.log_ratio_low, fit.log_ratio_high])
        assert contains(paths, np.stack([x / LN10, np.exp(fit.intercept - fit.gamma * x)], axis=1))
    _, paths = drawn(drawings["fits"], 1)
    x, y = paths[-1].T
    assert np.ptp(y) * LN10 / np.ptp(np.log(x)) == pytest.approx(usual.gamma_2.value)


def test_without_minima_the_elbows_give_the_slope(found):
    analysis = found["no minimum"]
    assert analysis.settings["gamma_2_of"] == "elbows"
    with style.context():
        _, paths = drawn(fits.draw(analysis), 1)
    x, y = paths[-1].T
    assert np.ptp(y) * LN10 / np.ptp(np.log(x)) == pytest.approx(analysis.gamma_2_elbow.value)


def test_predicted_and_measured_lines_have_their_exponents(drawings, usual):
    _, paths = drawn(drawings["exponents"])
    slopes = [
        -np.diff(np.log(xy[[0, -1], 1]))[0] / np.diff(np.log(xy[[0, -1], 0]))[0] for xy in paths
    ]
    assert usual.gamma_meas.value in [pytest.approx(slope) for slope in slopes]
    assert usual.gamma_pred.value in [pytest.approx(slope) for slope in slopes]


def test_the_band_of_a_power_law_is_that_of_its_slope():
    x = np.log([1.0, 10.0, 100.0])
    slope = scaling.Estimate(2.0, 0.3, 1.4, 2.6, 0.4)
    line, half = panels.power_law(x, 1 + 2 * x, np.full(3, 1e-9), slope, x)
    assert line == pytest.approx(1 + 2 * x)
    assert half == pytest.approx(math.hypot(1.96 * 0.3, 0.4) * np.abs(x - x[1]), abs=1e-8)
    _, narrow = panels.power_law(x, 1 + 2 * x, np.full(3, np.nan), slope, x)
    assert narrow == pytest.approx(half, abs=1e-8)


def test_the_papers_sketch_has_its_plateaus_and_thresholds():
    law = combined.PAPER
    assert law(np.array(1e-300)) == pytest.approx(50 * 1000**-0.6 + 0.01)
    assert law(np.array(1e300)) == pytest.approx(0.01)
    # at P_- the norm is twice q2; at P_+ the power law meets the floor
    assert law(np.array(law.P_minus)) == pytest.approx(50 * 2000**-0.6 + 0.01)
    assert 50 * law.P_plus**-0.6 == pytest.approx(0.01)
    with style.context():
        written = [text.get_text() for text in combined.sketch().findobj(Text)]
    assert "$P_-$ = 1\N{NO-BREAK SPACE}000" in written
    assert r"$P_+$ = $1.5\times10^{6}$" in written
    for part in ("gamma_1 = 0.6", "k1 = 50", "q1 = 0.01", "gamma_2 = 1", "q2 = 1000", "not fitted"):
        assert part in combined.sketch_caption()


@pytest.mark.parametrize("script", [curves, collapse, fits, exponents, combined, choices])
def test_every_kind_of_analysis_has_a_finding_and_words_for_what_is_seen(found, script):
    for analysis in found.values():
        told = script.finding(analysis), script.caption(analysis), script.alt(analysis)
        assert len(set(told)) == 3
        for sentence in told:
            assert sentence.endswith(".")
            assert not {"nan", "inf", "None"} & set(sentence.replace("(", " ").split())


def test_what_cannot_be_concluded_is_neither_drawn_nor_written(found):
    never = found["no minimum"]
    P = tuple(never.optima["P"].tolist())
    unseen = replace(never, flags=(scaling.Flag(scaling.Kind.EARLY_LAW_UNSEEN, "so", P),))
    assert "fit and its band" in words_of(fits, replace(never, flags=()))
    assert "fit and its band" not in words_of(fits, unseen)
    with style.context():
        for script, symbols in ((curves, 1), (fits, 2)):
            texts = [text.get_text() for text in script.draw(unseen).findobj(Text)]
            assert sum("nothing can be concluded" in text for text in texts) == symbols
    assert fits.finding(unseen).startswith("How the norm at the elbow grows with P cannot be")
    assert curves.finding(unseen).startswith("No early law of these curves can be concluded")


def test_no_prediction_is_drawn_where_there_is_none(usual):
    poor = replace(usual, flags=(scaling.Flag(scaling.Kind.POOR_LAW, "so"),))
    legend = words_of(exponents, poor)
    assert not any("predicted" in text or "eq. (6)" in text for text in legend)
    assert any("predicted" in text for text in words_of(exponents, replace(usual, flags=())))
    assert "dashed" not in exponents.caption(poor).lower()
    assert exponents.finding(poor).startswith("Only the measured exponent can be concluded")


# ------------------------------------------------------------------- axes of any range


@given(
    low=st.floats(-300, 300),
    span=st.floats(0.01, 2000),
)
def test_any_range_of_norms_has_a_few_ticks_inside(low, span):
    axes = style.canvas(3, 2).add_subplot()
    panels.norm_scale(axes.xaxis, np.array([low, low + span]))
    ticks = axes.get_xticks()
    assert 2 <= len(ticks) <= 9
    assert np.all(np.diff(ticks) > 0)
    start, end = axes.get_xlim()
    assert start < low < low + span < end
    assert start <= ticks[0] + 1e-6
    assert ticks[-1] <= end + 1e-6


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (90, 48000, ["100", "1\N{NO-BREAK SPACE}000", "10\N{NO-BREAK SPACE}000"]),
        (0.006, 0.85, ["0.01", "0.1"]),
        (
            4000,
            48000,
            ["5\N{NO-BREAK SPACE}000", "10\N{NO-BREAK SPACE}000", "20\N{NO-BREAK SPACE}000"],
        ),
        (0.57, 0.97, ["0.6", "0.8"]),
        (1e5, 1e9, ["10^{5}", "10^{6}"]),
    ],
)
def test_numbers_are_written_as_one_writes_them(low, high, labels):
    with style.context():
        axes = style.canvas(3, 2).add_subplot()
        panels.log_scale(axes.xaxis, np.array([low, high]))
        written = [label.get_text().strip("$") for label in axes.get_xticklabels()]
    assert set(labels) <= set(written)


def test_equal_values_still_make_an_axis():
    with style.context():
        axes = style.canvas(3, 2).add_subplot()
        panels.log_scale(axes.yaxis, np.array([0.3, 0.3]))
    assert axes.get_ylim()[0] < 0.3 < axes.get_ylim()[1]


def words_of(script, analyses):
    """The words of the legend."""
    with style.context():
        figure = script.draw(analyses)
    return {text.get_text() for key in figure.legends for text in key.get_texts()}


def test_legends_name_only_what_is_drawn(found):
    turning, never = found["usual"], found["no minimum"]
    assert never.optima["at_end"].all()
    assert not turning.optima["at_end"].any()
    assert "minimum" in words_of(curves, turning)
    assert "minimum" not in words_of(curves, never)
    assert "lowest at the end of training" not in words_of(curves, turning)
    assert "lowest at the end of training" in words_of(curves, never)
    elbow = r"elbow $\lambda_{\rm elbow}(P)$"
    unseen = replace(turning, optima=turning.optima.assign(log_elbow=math.nan))
    assert elbow in words_of(curves, turning)
    assert elbow not in words_of(curves, unseen)
    for script in (fits, exponents, combined):
        assert not any("end of training" in text for text in words_of(script, turning))
        assert any("end of training" in text for text in words_of(script, never))
    assert r"$\lambda_{\rm opt}$" not in words_of(fits, never)
    assert not any("left out" in text for text in words_of(collapse, turning))
    everything = replace(turning, choices=turning.choices.assign(admissible=True))
    assert "rejected by the data" not in words_of(choices, everything)
