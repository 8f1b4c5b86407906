"""Examples of the README, and of two pages, print what stands beside them."""

import contextlib
import doctest
import importlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [(ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in ("structured", "predict")]


def words(text):
    """Split into numbers, rounded to the ten digits that every platform gives, and the rest."""
    parts = re.split(r"(-?\d+\.\d+(?:e-?\d+)?)", " ".join(text.split()))
    return [f"{float(p):.9e}" if re.fullmatch(r"-?\d+\.\d+(e-?\d+)?", p) else p for p in parts]


EXAMPLES = [
    example
    for text in (README, *PAGES)
    for example in re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.S)
]


@pytest.mark.parametrize(("code", "output"), EXAMPLES)
def test_an_example_prints_what_stands_beside_it(code, output):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "an example", "exec"), {})
    assert words(printed.getvalue()) == words(output)
    assert len(words(output)) > 4


def test_there_are_examples():
    assert len(EXAMPLES) == 7 + 5 + 1


def test_files_that_the_readme_names_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parents[1] / target).exists(), target


@pytest.mark.parametrize("name", ["logistic", "losses.smooth", "population", "solving"])
def test_examples_in_docstrings(name):
    failed, tried = doctest.testmod(importlib.import_module(f"replica.{name}"))
    assert tried > 0
    assert failed == 0
