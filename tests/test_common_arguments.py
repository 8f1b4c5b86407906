"""One way to read and refuse an argument: what is a number, and what the refusal carries."""

import decimal
import fractions
import pickle

import numpy as np
import pytest

import perceptron
from replica.common.arguments import (
    POSITIVE,
    InvalidArgument,
    Range,
    as_double,
    instance,
    number,
    quoted,
    vector,
    whole,
    word,
)

NO_NUMBERS = ["5", b"5", None, 5j, np.complex64(5), np.timedelta64(5), object(), [5.0], {}]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: type(value).__name__)
def test_what_is_no_number_is_none_anywhere(value):
    assert as_double(value) is None
    for read in (number, whole, lambda name, value: number(name, value, POSITIVE)):
        with pytest.raises(InvalidArgument) as caught:
            read("a", value)
        assert caught.value.argument == "a"
        assert caught.value.rule.startswith("must be ")
        assert caught.value.value == quoted(value)
        assert str(caught.value) == f"`a` {caught.value.rule}; got {caught.value.value}"


@pytest.mark.parametrize(
    "value",
    [0.5, np.float32(0.5), np.array(0.5), fractions.Fraction(1, 2), decimal.Decimal("0.5")],
    ids=repr,
)
def test_a_number_in_any_clothes(value):
    assert as_double(value) == number("a", value) == 0.5


@pytest.mark.parametrize("value", [True, np.True_, 2.0, "2", np.timedelta64(2)], ids=repr)
def test_what_counts_nothing(value):
    with pytest.raises(InvalidArgument, match="whole number"):
        whole("a", value)


def test_rules_are_looked_at_in_turn():
    rules = (POSITIVE, Range(1e-100, np.inf, "must be at least 1e-100"))
    assert number("a", 1e-100, *rules) == 1e-100
    for value, words in ((0.0, "positive and finite"), (np.nan, "positive"), (1e-200, "at least")):
        with pytest.raises(InvalidArgument, match=words):
            number("a", value, *rules)
    assert whole("a", np.int8(3), 3, 3) == 3
    for value, words in ((2, "of at least 3; got 2"), (4, "must be at most 3; got 4")):
        with pytest.raises(InvalidArgument, match=words):
            whole("a", value, 3, 3)


def test_words_vectors_and_classes():
    assert word("a", "yes", ("yes", "no")) == "yes"
    with pytest.raises(InvalidArgument, match="`a` must be one of yes, no; got 'maybe'"):
        word("a", "maybe", ("yes", "no"))
    given = np.ones(3)
    assert vector("a", given, 3) is not given
    for value, words in (([1, 2], "shape"), ([1, 2, np.inf], "inf among them"), ("abc", "number")):
        with pytest.raises(InvalidArgument, match=words):
            vector("a", value, 3)
    with pytest.raises(InvalidArgument, match="must be of type int"):
        instance("a", "1", int)


def test_a_refusal_crosses_processes_and_stays_short():
    error = pickle.loads(pickle.dumps(InvalidArgument("a", "must be short", "x")))
    assert (error.argument, error.rule, error.value) == ("a", "must be short", "x")
    assert isinstance(error, ValueError)
    with pytest.raises(InvalidArgument) as caught:
        number("a", "x" * 10**6)
    assert len(str(caught.value)) < 400


def test_a_number_in_place_of_examples_is_told_of_the_theory():
    for name in ("bayes_optimal", "max_stability"):
        with pytest.raises(
            InvalidArgument, match=rf"function of alpha is `replica\.{name}`; got 5"
        ):
            getattr(perceptron, name)(5.0)
    with pytest.raises(InvalidArgument, match="`examples` must be of type Examples; got None"):
        perceptron.max_stability(None)
