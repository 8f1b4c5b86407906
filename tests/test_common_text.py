"""Names, titles, keys and cells of others: escaped where they are printed, and cut."""

import json
import math
import os
import re
import sys
import unicodedata

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from deepnorm.cli import main
from deepnorm.report import page
from replica.common.text import cut, listed, printable

#: What a terminal would obey: clears the screen; names the window; turns the direction of writing.
EVIL = "\x1b[2J\x1b]0;title\x07\u202e\x9b31m"
#: Anything that a terminal may take as an order, after a line of a message is split off.
ORDERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@given(st.text(st.characters()))
def test_printable_text_can_be_printed_anywhere(text):
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in shown)
    if text.isprintable():
        assert shown == text


def test_letters_of_any_language_stay():
    assert printable("größe ε 学習.csv") == "größe ε 学習.csv"
    assert printable("a\udcff\n\x1b") == r"a\udcff\n\x1b"


def test_long_things_are_cut():
    assert cut("a" * 10**6) == "a" * 200 + "..."
    assert listed(range(100_000)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 99,990 more"
    assert len(listed(["k" * 10**6] * 10**5)) < 2200
    assert listed(["a"]) == "a"
    assert listed(iter([])) == ""


# ---------------------------------------------------------------------------- commands


def run(*arguments):
    return CliRunner().invoke(main, [str(word) for word in arguments])


def harmless(result):
    """A sentence or a table without an order to the terminal, and no traceback."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    said = result.stdout + result.stderr
    assert not ORDERS.search(said), said
    return said


@pytest.fixture(scope="module")
def table():
    rows = ["P,seed,step,norm,test_error"]
    for P in (1000, 2000, 4000):
        for k in range(12):
            lam = 0.1 * 1.6**k
            error = min(0.5, 0.3 * lam**-0.4 + 0.002 * lam / math.log(P))
            rows.append(f"{P},0,{k},{lam!r},{error!r}")
    return "\n".join(rows) + "\n"


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes here")
def test_names_of_files_lose_nothing_and_order_nothing(table, tmp_path, monkeypatch):
    """Bytes that are no UTF-8, and what a terminal obeys: in the table, the page and its title."""
    monkeypatch.setattr(page, "_pictures", lambda *_: [])
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff" + EVIL.encode() + b".csv")
    with open(path, "w") as file:
        file.write(table)
    out, report = tmp_path / f"{EVIL}.json", tmp_path / f"{EVIL}.html"
    result = run("fit", path, "--bootstrap", 20, "--json", out, "--report", report)
    assert result.exit_code == 0, result.output
    assert r"\udcff\x1b[2J" in harmless(result)
    assert r"\udcff" in report.read_text(encoding="utf-8")
    assert json.loads(out.read_bytes())
    with open(path, "w") as file:
        file.write("no table\n")
    assert r"\udcff\x1b[2J" in harmless(run("fit", path))
    assert harmless(run("fit", tmp_path / f"none{EVIL}.csv"))


def test_names_of_columns_and_seeds(table, tmp_path):
    path = tmp_path / "curves.csv"
    path.write_text(table.replace("norm", EVIL, 1))
    harmless(run("fit", path))
    path.write_text(table.replace("test_error", "x" * 10**6, 1))
    assert len(harmless(run("fit", path))) < 3000
    path.write_text(table.replace("1000,0,3,", "1000,0,2,"))
    harmless(run("fit", path))
    path.write_text(table.replace(",0,3,", f",0,{'9' * 10**6}x,", 1))
    assert len(harmless(run("fit", path))) < 3000


# ----------------------------------------------------------------------------- weights


def weights(tmp_path, state):
    torch = pytest.importorskip("torch")
    path = tmp_path / "weights.pt"
    torch.save(state, path)
    return run("norm", path, "--model", "cnn-small", "--input-shape", "1,8,8")


@pytest.fixture(scope="module")
def state():
    pytest.importorskip("torch")
    from deepnorm import networks

    return networks.build("cnn-small", (1, 8, 8), 10, seed=0).state_dict()


def test_odd_weights_are_a_sentence(state, tmp_path):
    torch = pytest.importorskip("torch")
    one = torch.zeros(1)
    first = next(iter(state))
    for odd, words in (
        ({3: one, **state}, "holds no mapping of names to tensors; its keys are 3 (Tensor)"),
        ({None: one}, "its keys are None (Tensor)"),
        ({("a", 1): one, **state}, "its keys are ('a', 1) (Tensor)"),
        ({EVIL: 3}, r"its keys are \x1b[2J"),
    ):
        result = weights(tmp_path, odd)
        assert result.exit_code == 2
        assert words in harmless(result)
    for odd, words in (
        ({**state, EVIL: one}, r"unknown: \x1b[2J"),
        ({**state, **{f"k{i}": one for i in range(100_000)}}, "and 99,990 more"),
        ({**state, "k" * 10**6: one}, "unknown: kkk"),
        ({name: value for name, value in state.items() if name != first}, f"missing: {first}"),
        ({**state, first: one}, f"other shapes: {first} is (1,), not"),
    ):
        result = weights(tmp_path, odd)
        assert result.exit_code == 2
        said = harmless(result)
        assert words in said
        assert "does not hold the weights of 'cnn-small'" in said
        assert len(said) < 3000
        assert said.count("\n") == 1


@pytest.mark.parametrize("metadata", [None, 3, [], {"": None}, {1: 2}, {"": {"version": "new"}}])
def test_odd_metadata_is_not_looked_at(state, metadata):
    from deepnorm import networks
    from deepnorm.norms.state import load_state

    odd = state.copy()
    odd._metadata = metadata
    model = networks.build("cnn-small", (1, 8, 8), 10, seed=1)
    load_state(model, odd)
    assert all((model.state_dict()[name] == value).all() for name, value in state.items())
