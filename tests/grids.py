"""Grids of cases, of which the default run takes a part and `-m slow` the rest."""

import itertools

import pytest


def diagonal(*axes):
    """Every combination of what the axes hold; but for a diagonal of them they are slow.

    The diagonal has every value of every axis: the k-th combination is made of the k-th of each,
    an axis that is over beginning anew.
    """
    axes = [list(axis) for axis in axes]
    kept = {tuple(k % len(axis) for axis in axes) for k in range(max(map(len, axes)))}
    return [
        pytest.param(
            *(axis[i] for axis, i in zip(axes, place, strict=True)),
            marks=() if place in kept else pytest.mark.slow,
        )
        for place in itertools.product(*(range(len(axis)) for axis in axes))
    ]


def slow(*case):
    """A case between others that the default run takes."""
    return pytest.param(*case, marks=pytest.mark.slow)
