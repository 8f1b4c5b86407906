"""Models of many families: each is counted, or warned about as a table says.

The spellings that this brought to light have tests of their own, without other packages, in
test_norms_spellings.py.
"""

import pytest

pytest.importorskip("torch")
zoo = pytest.importorskip("benchmarks.zoo")

pytestmark = pytest.mark.slow

#: One value for two spellings of one model with the same weights, to rounding in double precision.
ROUNDING = 1e-9


def built(name):
    reason = zoo.missing(zoo.FAMILIES[name])
    if reason:
        pytest.skip(reason)
    return zoo.measure(zoo.FAMILIES[name])


@pytest.mark.parametrize("name", zoo.FAMILIES)
def test_family_is_counted_or_warned_about(name):
    _, found, told = built(name)
    named = tuple(
        item.split(":")[0].strip()
        for message in told
        for item in message.removeprefix("not counted in the norm: ").split("; ")
        if "counts as if" in item or item.split(":")[0].strip().isidentifier()
    )
    # No parameter is used unseen, and no Jacobian is larger than its bound.
    assert not [message for message in told if not message.startswith("not counted in the norm")]
    assert not [note for note in found.notes if "could not be measured" in note]
    assert set(zoo.WARNED.get(name, ())) <= set(named)
    assert bool(named) == (name in zoo.WARNED)


def test_the_table_names_families():
    assert set(zoo.WARNED) <= set(zoo.FAMILIES)


@pytest.mark.parametrize("name", ["BERT", "GPT-2", "Llama"])
def test_eager_and_fused_attention_have_one_value(name):
    values = [built(each)[1].log_value for each in (name, f"{name} eager")]
    assert values[0] == pytest.approx(values[1], abs=ROUNDING)
