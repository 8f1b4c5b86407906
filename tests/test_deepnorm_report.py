"""The page of `deepnorm fit --report`: whole, repeatable, readable on a phone, and true."""

import html.parser
import importlib.metadata
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from deepnorm import words
from deepnorm.cli import main
from deepnorm.cli.fit import _cells
from deepnorm.figures import phase_diagram, style
from deepnorm.report import page as report
from deepnorm.report import statements
from deepnorm.verdict import NO_RANGE, power_of_P, verdict
from replica import scaling

P = (500, 1000, 2000, 4000, 8000, 16000)
BOOTSTRAP = 20


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    """A small sweep of known exponents."""
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("report") / "curves.csv"
    scaling.synthetic_curves(scaling.SyntheticLaw(), P, 4, rng, records=30).to_csv(
        path, index=False
    )
    return path


@pytest.fixture(scope="module")
def analysis(csv):
    return scaling.analyse(scaling.read_curves(csv), bootstrap=BOOTSTRAP)


@pytest.fixture(scope="module")
def fitted(csv):
    """What the command printed, and its page as text."""
    path = csv.with_suffix(".html")
    arguments = ("fit", csv, "--bootstrap", BOOTSTRAP, "--report", path)
    result = CliRunner().invoke(main, [*map(str, arguments), "--title", "A sweep <of> 5 & 4"])
    assert result.exit_code == 0, result.output
    return result.stdout, path.read_text(encoding="utf-8")


class Page(html.parser.HTMLParser):
    """What a browser would load, and the tags that are open."""

    VOID = ("meta", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads, self.open, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [value for name, value in attributes if name in ("src", "href", "srcset")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join("".join(self.words).split())


@pytest.fixture(scope="module")
def page(fitted):
    return Page(fitted[1])


def test_the_report_loads_nothing_and_is_small(page, fitted):
    assert page.loads
    assert all(uri.startswith(("data:image/", "#")) for uri in page.loads)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    text = fitted[1]
    assert "url(" not in text
    assert "@import" not in text
    assert len(text) < 3e6


def test_the_report_holds_every_number_and_figure(page, analysis):
    for row in statements.exponents(analysis):
        for part in (row.value, row.error, row.interval, row.systematic, row.statement):
            assert part in page.text
    for row in statements.optima(analysis):
        assert row["eps_opt"] in page.text
        assert words.plain(row["lam_opt"]) in page.text
    for line in (*statements.laws(analysis), *statements.standing_out(analysis)):
        assert " ".join(line.split()) in page.text
    for choice in analysis.choices["choice"]:
        assert " ".join(choice.split()) in page.text
    pair, law = phase_diagram.has_pair(analysis), not power_of_P(analysis).startswith(NO_RANGE)
    assert page.tags.count("img") == 5 + pair + law
    assert "A sweep <of> 5 & 4" in page.text
    assert "deepnorm fit" in page.text
    for name in ("replica-learning", "numpy", "scipy", "pandas"):
        assert f"{name} {importlib.metadata.version(name)}" in page.text
    assert re.search("SHA-256 [0-9a-f]{64}", page.text)


def test_the_same_analysis_gives_the_same_page(analysis, fitted, page):
    parts = re.search("How to repeat this (.*) Input: (.*) Python 3", page.text)
    command, source = parts.groups()
    again = report.render(analysis, title="A sweep <of> 5 & 4", source=source, command=command)
    assert again == fitted[1]


def test_large_drawings_become_pixels(monkeypatch):
    figure = style.canvas(1, 1)
    assert report._uri(figure).startswith("data:image/svg+xml;base64,")
    monkeypatch.setattr(report, "LARGEST_SVG", 0)
    assert report._uri(figure).startswith("data:image/png;base64,")


def test_what_is_no_number_is_a_dash_or_left_out(analysis):
    table = analysis.optima.assign(log_elbow=math.nan, log_elbow_error=0.7)
    table["log_lam_opt_error"] = 8.9e-16
    empty = replace(analysis.collapse, quality=math.nan, rms=math.nan, from_P=math.nan)
    estimate = replace(analysis.gamma_2, value=math.nan, systematic=0.1)
    bare = replace(analysis, optima=table, collapse=empty, collapse_elbow=None, gamma_2=estimate)
    for row in statements.optima(bare):
        assert (row["lam_error"], row["elbow"], row["elbow_error"]) == ("-", None, "-")
    row = statements.exponents(bare)[1]
    assert (row.value, row.error, row.interval, row.systematic) == ("-", "-", "-", "-")
    assert not any("nan" in line or "collapse" in line for line in statements.laws(bare))


def test_words_stand_below_the_numbers_and_wide_tables_scroll_alone(fitted):
    style, body = fitted[1].split("</style>")
    # What may break at any letter (code) has no least width of its own.
    assert re.search(r"code \{[^}]*overflow-wrap: anywhere", style)
    assert ".table { overflow-x: auto;" in style
    widths = [int(rem) for rem in re.findall(r"\.words \{ min-width: (\d+)rem; \}", style)]
    assert widths
    assert all(10 <= width <= 20 for width in widths)  # within a phone's page of 390 px
    told = re.search(r'<table class="told">(.*?)</table>', body, re.DOTALL)[1]
    columns = told.count("<th>")
    for row in re.findall(r"<tbody>(.*?)</tbody>", told, re.DOTALL):
        numbers, words = re.findall(r"<tr[^>]*>(.*?)</tr>", row, re.DOTALL)
        assert numbers.count("<td") == columns
        assert "<code>" not in numbers
        assert f'<td colspan="{columns - 1}"><code>' in words
    tables = re.findall(r'<div class="table(?: tall)?"><table', body)
    assert len(tables) == body.count("<table")
    code = re.findall(r"<td([^>]*)>(?:(?!</td>).)*<code>", body, re.DOTALL)
    assert all("colspan" in attributes for attributes in code)


def test_the_page_and_the_terminal_begin_with_the_verdict(fitted, page, analysis):
    printed, body = fitted
    sentence = verdict(analysis).sentence
    assert printed.startswith(sentence + "\n")
    lead = re.search(r'<p class="lead">(.*?)</p>', body)[1]
    assert re.fullmatch(r"[^<]*<i>P</i><sup>−[\d.]+ ± [\d.]+</sup>[^<]*", lead)
    said = sentence.replace("P^-", "P−").replace("+-", "±")
    assert page.text.index(said) < page.text.index("Exponents")
    for symbol, meaning in report._quantities(analysis, None).items():
        assert f"<dt>{symbol}</dt><dd>{meaning}</dd>" in body


def test_what_is_no_prediction_is_struck_out_and_in_brackets(analysis, monkeypatch):
    monkeypatch.setattr(report, "_pictures", lambda *_: [])
    poor = replace(analysis, flags=(scaling.Flag(scaling.Kind.POOR_LAW, "so"),))
    text = report.render(poor, title="none", source="nowhere")
    struck = re.findall(r'<tr class="numbers undone"><td>(.*?)</td>', text)
    assert struck == [report.SYMBOLS[name] for name in ("gamma_1", "gamma_pred", "gamma_2_elbow")]
    assert "no prediction: no window holds" in text
    row = statements.exponents(poor)[2]
    assert _cells(row)[:2] == ("gamma_pred", f"({row.value})")


def test_every_figure_has_a_finding_a_caption_and_another_alt_text(fitted):
    text = fitted[1]
    figures = re.findall(
        r'alt="([^"]+)"></div>\s*<figcaption><b>(.+?)</b> (.+?)</figcaption>', text, re.DOTALL
    )
    assert len(figures) == text.count("<img")
    for told in figures:
        assert len(set(told)) == 3
        for words_of in told:
            assert words_of.endswith(".")
            assert not {"nan", "inf"} & set(re.findall(r"\w+", words_of))


def test_the_page_explains_its_words(fitted, page):
    text = fitted[1]
    for name in ("choices", "words"):
        assert f'href="#{name}"' in text
        assert text.count(f'id="{name}"') == 1
    for word in ("elbow", "floor free", "minimum within", "criterion", "drift"):
        assert f"<dt>{word}" in text
    assert "dl" in page.tags
