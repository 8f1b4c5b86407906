"""The rule by which theory and experiment agree, on made-up numbers and on real ones."""

import io

import numpy as np
import pytest

from validation import agreement
from validation.figures import agreement as figure

RNG = np.random.default_rng(7)


def fake(bias, noise=1.0, slope=3.0, count=150):
    """Comparisons of made-up quantities: truth + bias, a term slope/N, noise/sqrt(N)."""
    comparisons = []
    for k in range(count):
        values = {
            n: 0.5 + bias + slope / n + noise / np.sqrt(n) * RNG.standard_normal(seeds)
            for n, seeds in {250: 96, 500: 48, 1000: 24}.items()
        }
        comparisons.append(
            agreement.Comparison(
                1.0, 1.0, "teacher", f"error {k}", 0.5, *agreement.extrapolate(values)
            )
        )
    return comparisons


def test_extrapolation_is_exact_on_a_line():
    values = {n: 0.3 + 7 / n + np.array([1e-3, -1e-3]) / np.sqrt(n) for n in (100, 200, 400)}
    sizes, means, errors, a, error = agreement.extrapolate(values)
    assert sizes == (100, 200, 400)
    np.testing.assert_allclose(means, [0.37, 0.335, 0.3175], rtol=1e-12)
    np.testing.assert_allclose(np.array(errors) * np.sqrt(sizes), errors[0] * 10, rtol=1e-12)
    assert a == pytest.approx(0.3, rel=1e-12)
    assert error > errors[-1]


def test_scores_of_a_true_theory_are_standard_normal():
    z = np.array([c.z for c in fake(bias=0.0, count=2000)])
    assert abs(z.mean()) < 4 / np.sqrt(2000)
    assert z.std() == pytest.approx(1, abs=0.08)
    assert agreement.judge(fake(bias=0.0)).passes


def test_a_wrong_theory_fails():
    """A small bias everywhere is seen by the rms, a large one in one quantity by the maximum."""
    everywhere = agreement.judge(fake(bias=0.012))
    assert not everywhere.passes
    assert everywhere.rms > agreement.LARGEST_RMS
    once = [*fake(bias=0.0), *fake(bias=0.05, count=1)]
    assert not agreement.judge(once).passes
    assert agreement.judge(once).worst is once[-1]


def test_verdicts_in_words():
    good, bad = agreement.judge(fake(0.0)), agreement.judge(fake(0.05))
    sizes = {100: 2, 200: 2}
    assert figure.verdict(figure.Data([], good, {"x": bad}, sizes)) is None
    said = figure.verdict(figure.Data([], bad, {"x": bad}, sizes))
    assert said.startswith("theory and experiment disagree: max |z| =")
    weak = figure.verdict(figure.Data([], good, {"lam off": good}, sizes))
    assert weak == "the wrong theory (lam off) passes too: the comparison is too weak"


def test_csv():
    comparisons = fake(0.0, count=2)
    buffer = io.StringIO()
    agreement.write_csv(comparisons, buffer)
    rows = buffer.getvalue().splitlines()
    assert len(rows) == 1 + 2 * 3
    assert float(rows[1].split(",")[rows[0].split(",").index("z")]) == comparisons[0].z


def test_one_size_is_refused():
    with pytest.raises(ValueError, match="`sizes` must hold at least two N"):
        agreement.simulate({100: 5})


def test_few_examples_a_dimension_ask_for_more_dimensions():
    assert agreement.enlarged({250: 9, 500: 4}, 2.0) == {250: 9, 500: 4}
    assert agreement.enlarged({250: 9, 500: 4}, 0.4) == {1000: 9, 2000: 4}


@pytest.mark.parametrize("storage", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_simulated_perceptrons_agree_and_the_controls_do_not(storage):
    """alpha = 2 and storage, at small sizes; `python -m validation agreement` does the rest.

    Two problems have some five independent directions, not the rule's twenty: the
    chance that their rms exceeds 2 is that of chi^2_5 > 20, one in a thousand. Random labels
    ask for ten times the dimensions, and are left to the slow case.
    """
    samples = agreement.simulate({100: 48, 200: 24, 400: 12}, alphas=(2.0,), storage=storage)
    found = agreement.compare(samples)
    assert {c.quantity for c in found} >= {"error", "stability", "log train_loss", "margin mean"}
    verdict = agreement.judge(found)
    assert verdict.largest < agreement.LARGEST, verdict
    assert verdict.rms < 2, verdict
    for factor, flip in agreement.CONTROLS.values():
        control = agreement.judge(agreement.compare(samples, factor, flip))
        assert not control.passes
        assert control.rms > 2 * agreement.LARGEST_RMS
