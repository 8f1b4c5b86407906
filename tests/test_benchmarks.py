"""The benchmarks' machinery: declared rows, tables, pages. No clock decides anything here."""

import io
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from benchmarks import PARTS, __main__, page
from benchmarks.running import load
from benchmarks.table import Part, Result, Row, cell, digits, markdown, number, terminal
from benchmarks.timing import Sample, rounds, side_by_side

pytest.importorskip("torch")  # two parts need it

ROOT = Path(__file__).parents[1]
ROWS = [row for name in PARTS for row in load(name).rows]
ALONE = Row("alone")
BESIDE = Row("beside", "a | b", short=True)
RESULTS = [
    ALONE.measured(Sample.of([1.0])),
    BESIDE.measured(Sample.of([1e-3, 2e-3, 4e-3]), Sample.of([2.0, 2.0, 2.0]), "tol=1e-4"),
    Result(Row("broken"), failure="ValueError: no"),
]


def names_in(text):
    return [name.strip() for name in page.names(text)]


@pytest.mark.parametrize("name", PARTS)
def test_a_part_declares_rows_and_says_who_measures_them(name):
    part = load(name)
    assert part.rows
    assert part.title
    assert all(task.__module__ == f"benchmarks.{name}" for _, task in part.tasks)


def test_every_row_is_named_once():
    names = [row.name.strip() for row in ROWS]
    assert len(set(names)) == len(names)
    assert {row.unit for row in ROWS} <= {"s", "MB", ""}


def test_numbers_have_three_digits():
    assert [digits(v) for v in (4231.0, 999.96, 42.31, 0.01234)] == [
        "4230",
        "1000",
        "42.3",
        "0.0123",
    ]
    assert [number(v, "s") for v in (12.0, 0.0123, 4.5e-5)] == ["12 s", "12.3 ms", "45 us"]
    assert number(1.23e-15, "") == "1.2e-15"
    assert number(258.4, "MB") == "258 MB"


def test_a_cell_keeps_the_unit_of_its_median():
    assert cell(Sample.of([0.9e-3, 1e-3, 1.5]), "s") == "1 ms [0.9, 1500]"
    assert cell(Sample.of([1e-3]), "s") == "1 ms"
    assert cell("no answer", "s") == "no answer"
    assert cell(None, "s") == ""


def test_the_ratio_is_that_of_the_pairs():
    ours, theirs = Sample.of([1.0, 10.0, 100.0]), Sample.of([2.0, 30.0, 400.0])
    ratio = ALONE.measured(ours, theirs).ratio
    assert ratio.values == (2.0, 3.0, 4.0)
    assert ALONE.measured(ours, "no answer").ratio is None
    with pytest.raises(ValueError, match="zip"):
        _ = ALONE.measured(ours, Sample.of([1.0])).ratio


def test_turns_are_reversed_in_every_second_round():
    assert list(rounds("ab", 3)) == [(0, "a"), (0, "b"), (1, "b"), (1, "a"), (2, "a"), (2, "b")]


def test_the_first_call_of_each_is_not_timed():
    called = []
    functions = {name: lambda k, name=name: called.append((name, k)) for name in "ab"}
    found = side_by_side(functions, 2, calls={"a": 3})
    assert called == [("a", 0), ("b", 0), *[("a", 0)] * 3, ("b", 0), ("b", 1), *[("a", 1)] * 3]
    assert [len(sample.values) for sample in found.values()] == [2, 2]


def test_a_task_that_fails_leaves_the_rows_it_has_and_those_of_others(capsys):
    part = Part("a part")
    first, second, third = Row("first"), Row("second"), Row("third")

    @part.measures(first, second)
    def breaks(repeats):
        yield first.measured(Sample.of([1.0]))
        raise RuntimeError("it broke\nfor a reason")

    @part.measures(third)
    def works(repeats):
        yield third.measured(Sample.of([float(repeats)]))

    results = list(part.results(7))
    assert [result.row for result in results] == [first, second, third]
    assert [result.failure for result in results] == ["", "RuntimeError: for a reason", ""]
    assert results[2].ours.values == (7.0,)
    assert "it broke" in capsys.readouterr().err


def test_the_table_in_markdown():
    full = markdown([("a part", RESULTS)])
    lines = full.splitlines()
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {6}
    assert names_in(full) == ["alone", "beside", "broken"]
    assert r"| beside | 2 ms [1, 4] | 2 s [2, 2] | 1000 [500, 2000] | a \| b; tol=1e-4 |" in lines
    assert "| broken | failed: ValueError: no |  |  |  |" in lines
    short = markdown([("a part", RESULTS)], short=True)
    assert names_in(short) == ["beside"]
    assert r"| beside | 2 ms | 2 s, a \| b | 1000 [500, 2000] |" in short


def test_the_table_on_a_terminal():
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(terminal([("a [part]", RESULTS)]))
    text = console.export_text()
    for words in ("a [part]", "alone", "2 ms [1, 4]", "1000 [500, 2000]", "failed: ValueError: no"):
        assert words in text


@pytest.fixture
def measured(monkeypatch):
    """Every row as if it had been measured, at once."""
    sample = Sample.of([1.0, 2.0])
    monkeypatch.setattr(
        __main__,
        "measure_apart",
        lambda name, repeats: [
            row.measured(sample, sample if row.theirs else None) for row in load(name).rows
        ],
    )


def run(*arguments):
    return CliRunner().invoke(__main__.main, arguments)


def test_update_replaces_what_stands_between_the_markers(measured, tmp_path):
    full, short = tmp_path / "full.md", tmp_path / "short.md"
    words = "such as `<!-- benchmarks:end -->`\n"
    full.write_text(f"{words}<!-- benchmarks:begin -->\nold\n<!-- benchmarks:end -->\nafter\n")
    short.write_text("<!-- benchmarks:begin short -->\n<!-- benchmarks:end -->\n")
    done = run("--update", str(full), str(short))
    assert done.exit_code == 0, done.output
    text = full.read_text()
    assert text.startswith(f"{words}<!-- benchmarks:begin -->\n\n| ")
    assert text.endswith("\n\n<!-- benchmarks:end -->\nafter\n")
    assert "old" not in text
    assert names_in(text) == [row.name.strip() for row in ROWS]
    assert names_in(short.read_text()) == [row.name.strip() for row in ROWS if row.short]
    for word in ("cores", "numpy", "torch", "python -m benchmarks"):
        assert word in short.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full.md", "short.md"]


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "<!-- benchmarks:begin -->\n",
        "<!-- benchmarks:end -->\n<!-- benchmarks:begin -->\n",
        "<!-- benchmarks:begin -->\n<!-- benchmarks:end -->\n" * 2,
    ],
)
def test_a_page_without_one_pair_of_markers_is_refused_before_anything_runs(tmp_path, text):
    path = tmp_path / "page.md"
    path.write_text(text)
    done = run("--update", str(path))
    assert done.exit_code == 2
    assert "must hold one pair of lines" in " ".join(done.output.split())
    assert path.read_text() == text


def test_an_unknown_part_is_refused_and_named():
    done = run("theroy")
    assert done.exit_code == 2
    assert "there is no part 'theroy'" in done.output


def test_a_failure_is_the_exit_status(monkeypatch):
    monkeypatch.setattr(
        __main__,
        "measure_apart",
        lambda name, repeats: [Result(row, failure="no") for row in load(name).rows],
    )
    done = run("scaling", "--markdown")
    assert done.exit_code == 1
    assert "failed: no" in done.output


def test_list_names_every_row_and_measures_nothing():
    listed = run("--list").output
    assert all(row.name in listed for row in ROWS)


@pytest.mark.parametrize(("path", "short"), [("README.md", True), ("docs/benchmarks.md", False)])
def test_the_pages_hold_the_rows_that_are_declared(path, short):
    """After a row has changed: `make bench ARGS="--update README.md docs/benchmarks.md"`."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if "<!-- benchmarks:begin" not in text:
        pytest.skip(f"{path} holds no table of benchmarks")
    block = page.find(ROOT / path)
    assert bool(block["short"]) == short
    assert "failed:" not in block["text"]
    expected = [row.name.strip() for row in ROWS if row.short or not short]
    assert names_in(block["text"]) == expected
