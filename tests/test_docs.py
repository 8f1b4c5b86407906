"""The reference of the documentation: each public name has its page, and no page is of nothing."""

import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
#: The packages whose `__all__` is public, and the names that `deepnorm` lends from its parts.
PACKAGES = (
    "replica",
    "replica.scaling",
    "replica.highprecision",
    "perceptron",
    "deepnorm",
    "deepnorm.norms",
    "deepnorm.networks",
    "deepnorm.datasets",
    "deepnorm.sweeps",
    "validation.agreement",
    "validation.evidence",
    "validation.figures",
    "validation.pairs",
)


def listed():
    """Full names in the tables of docs/reference, and those that a page only speaks of."""
    names, lent = set(), set()
    for page in (DOCS / "reference").glob("*.rst"):
        text = page.read_text(encoding="utf-8")
        lent |= set(re.findall(r"^``(deepnorm\.\w+)``", text, re.M))
        module, table = "", False
        for line in text.splitlines():
            found = re.match(r"\.\. (?:module|currentmodule|automodule):: (\S+)", line)
            if found:
                module = found[1]
            found = re.match(r"\.\. data:: (\w+)", line)
            if found:
                names.add(f"{module}.{found[1]}")
            if line.strip():
                entry = re.fullmatch(r"   ([A-Za-z_][\w.]*)", line)
                if table and entry:
                    names.add(f"{module}.{entry[1]}")
                table = line.startswith(".. autosummary::") or (table and line.startswith("   "))
    return names, lent


NAMES, LENT = listed()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_reference(package):
    public = {f"{package}.{name}" for name in importlib.import_module(package).__all__}
    assert public - NAMES - LENT == set()


def test_every_name_in_the_reference_is_there():
    assert len(NAMES) > 100
    for name in sorted(NAMES | LENT):
        package, _, last = name.rpartition(".")
        try:
            thing = importlib.import_module(package)
        except ModuleNotFoundError:  # a class of a module, as replica.rules.LearningRule
            raise AssertionError(f"there is no {package}, of which {name} should be") from None
        assert hasattr(thing, last) or importlib.import_module(name), name


def test_every_page_of_the_site_is_in_a_table_of_contents():
    pages = {p.relative_to(DOCS).with_suffix("").as_posix() for p in DOCS.glob("*.md")} - {"index"}
    named = set()
    for page in (*DOCS.glob("*.md"), DOCS / "reference" / "index.md"):
        for contents in re.findall(r"```\{toctree\}(.*?)```", page.read_text("utf-8"), re.S):
            named |= set(re.findall(r"^(\w[\w/]*)$", contents, re.M))
    assert pages - named == set()


def test_numbers_of_equations_are_not_given_twice():
    tags = [tag for page in DOCS.glob("*.md") for tag in _tags(page)]
    assert len(tags) > 60
    assert {tag for tag in tags if tags.count(tag) > 1} == set()


def _tags(page):
    return re.findall(r"\\tag\{(\w+)\}", page.read_text(encoding="utf-8"))


def test_equations_that_docstrings_cite_are_there():
    tags = {tag for page in DOCS.glob("*.md") for tag in _tags(page)}
    cited = set()
    for package in ("replica", "perceptron", "deepnorm"):
        for file in (DOCS.parent / package).rglob("*.py"):
            cited |= set(re.findall(r"\(([SNE]\d+)\)", file.read_text(encoding="utf-8")))
    assert len(cited) > 5
    assert cited <= tags


def test_scripts_of_the_gallery_are_short_and_end_with_a_figure():
    scripts = sorted((DOCS / "gallery").glob("[0-9][0-9]_*.py"))
    assert len(scripts) >= 10
    for script in scripts:
        text = script.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 85, script.name
        assert "    figure = " in text.split("with style.context():")[-1], script.name
        assert "/tmp" not in text
