"""Gaussian samples beside the theory of structured inputs; theories that are wrong must fail."""

import numpy as np
import pytest

from replica.inputs import Clusters
from validation import structured_agreement as agreement


@pytest.mark.pinned
def test_samples_of_a_power_law_agree_and_wrong_theories_do_not():
    found = agreement.teacher(200, 5, seed=1)
    assert found.agrees, found
    for make in agreement.CONTROLS.values():
        control = agreement.predicted(make(agreement.MODES), 200)
        assert not found.beside(control).agrees


@pytest.mark.slow
@pytest.mark.parametrize("positive", [0.5, 0.25])
def test_samples_of_two_clouds(positive):
    found = agreement.clouds(1000, 6, seed=1, positive=positive)
    assert found.agrees, found
    k = np.arange(1.0, 301)
    other = Clusters(k**-1.3, 0.8 * k**-1.0, positive=positive)
    assert not found.beside(agreement.predicted(other, 1000)).agrees


@pytest.mark.slow
def test_many_samples_of_a_power_law():
    found = agreement.teacher(1000, 6, seed=1)
    assert found.agrees, found
    for make in agreement.CONTROLS.values():
        assert not found.beside(agreement.predicted(make(agreement.MODES), 1000)).agrees
