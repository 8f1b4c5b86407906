"""The measured pair of exponents in the phase diagram: drawn as it is, told where it lies."""

import math
from dataclasses import replace

import numpy as np
import pytest

from deepnorm.figures import phase_diagram, style
from replica import scaling


@pytest.fixture(scope="module")
def usual():
    rng = np.random.default_rng(3)
    table = scaling.synthetic_curves(
        scaling.SyntheticLaw(), (500, 1000, 2000, 4000, 8000), 2, rng, records=20
    )
    return scaling.analyse(scaling.curves_from_table(table), bootstrap=20)


def with_pair(analysis, gamma_1, gamma_2, error=1e-6, systematic=0.0):
    """The analysis with another pair of exponents, as concluded."""
    pair = [
        scaling.Estimate(value, error, value - 2 * error, value + 2 * error, systematic)
        for value in (gamma_1, gamma_2)
    ]
    covariance = analysis.covariance.copy()
    covariance.loc[["gamma_1", "gamma_2"], ["gamma_1", "gamma_2"]] = np.diag([error**2, error**2])
    return replace(analysis, gamma_1=pair[0], gamma_2=pair[1], covariance=covariance, flags=())


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ((0.3, 0.9), "where the product law must hold, with probability above 0.99"),
        ((1.5, 0.3), "where the product law must hold, with probability above 0.99"),
        ((1.5, 0.7), "where the product law fails (1/2 < r < 1, a > 2:"),
        ((0.3, 4.0), "outside of what any spectrum gives (gamma_2 is too large"),
        ((1.5, 0.45), "outside of what any spectrum gives (gamma_2 lies in the gap"),
    ],
)
def test_a_pair_is_told_where_it_lies(usual, pair, said):
    analysis = with_pair(usual, *pair)
    assert phase_diagram.finding(analysis).startswith(f"The pair lies {said}")
    assert ("Inputs with" in phase_diagram.caption(analysis)) == ("outside" not in said)
    on_the_edge = with_pair(usual, *pair, error=0.0, systematic=3.0)
    assert "above 0.99" not in phase_diagram.finding(on_the_edge)


def test_a_pair_and_its_ellipse_are_drawn(usual):
    analysis = with_pair(usual, 0.3, 0.9, error=0.02, systematic=0.05)
    with style.context():
        lines = phase_diagram.draw(analysis).axes[0].lines
    paths = [np.asarray(line.get_xydata(), dtype=float) for line in lines]
    assert paths[-1] == pytest.approx(np.array([[0.3, 0.9]]))
    spans = sorted(np.ptp(xy[:, 0]) for xy in paths if len(xy) == 400)
    # 95% of a normal pair lie within chi2(2) < 5.991
    assert spans == pytest.approx(2 * math.sqrt(5.991) * np.array([0.02, 0.053852]), rel=1e-3)
    product = next(xy for xy in paths if len(xy) > 400)
    assert product.prod(axis=1) == pytest.approx(0.27)


@pytest.mark.parametrize("name", ["gamma_1", "gamma_2"])
def test_without_a_pair_there_is_no_phase_diagram(usual, name):
    assert phase_diagram.has_pair(with_pair(usual, 0.3, 0.9))
    reason = replace(usual.gamma_2, value=math.nan, reason="only 0 of 5 curves have a minimum")
    assert not phase_diagram.has_pair(replace(usual, flags=(), gamma_2=reason))
    poor = replace(with_pair(usual, 0.3, 0.9), flags=(scaling.Flag(scaling.Kind.POOR_LAW, "so"),))
    assert not phase_diagram.has_pair(poor)
    rising = replace(usual, flags=(), **{name: replace(usual.gamma_2, value=-0.1)})
    assert not phase_diagram.has_pair(rising)
    with pytest.raises(ValueError, match="`analysis` must have concluded a positive gamma_1"):
        phase_diagram.draw(rising)
