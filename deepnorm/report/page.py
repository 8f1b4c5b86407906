"""An analysis as a page that a referee can read: one HTML file with figures, tables and method."""

from __future__ import annotations

import base64
import importlib.metadata
import io
import math
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from deepnorm.figures import (
    choices,
    collapse,
    combined,
    curves,
    exponents,
    fits,
    margins,
    phase_diagram,
    style,
    training,
)
from deepnorm.quantities import Quantities, of_analysis
from deepnorm.report import statements
from deepnorm.verdict import NO_RANGE, power_of_P, verdict
from deepnorm.words import plain
from replica.common.files import replace_file

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from replica.scaling import Analysis, Curves

__all__ = ["Training", "render", "write_report"]

#: A vector image larger than this is replaced by pixels: many curves of many records.
LARGEST_SVG = 400_000
#: Pixels per inch of those.
PIXELS = 200
#: Software whose version may change a digit or a line.
SOFTWARE = ("replica-learning", "numpy", "scipy", "pandas", "matplotlib")

#: How exponents are set.
SYMBOLS = {
    "gamma_1": Markup("<i>γ</i><sub>1</sub>"),
    "gamma_2": Markup("<i>γ</i><sub>2</sub>"),
    "gamma_pred": Markup("<i>γ</i><sub>pred</sub>"),
    "gamma_meas": Markup("<i>γ</i><sub>meas</sub>"),
    "gamma_2_elbow": Markup("<i>γ</i><sub>2</sub> (elbow)"),
    "drift": Markup("drift"),
}

#: What the settings of an analysis mean, in the order in which they are told.
SETTINGS = {
    "window": "window of lam/lam_opt in which straight lines are fitted",
    "start": "ln(norm) from which records take part in the early law",
    "gamma_1_from": "smallest P for the early law",
    "offset": "the early law has a floor",
    "drift": "the early law moves with P",
    "gamma_2_from": "smallest P for gamma_2",
    "gamma_2_of": "gamma_2 in the prediction is that of",
    "gamma_meas_from": "smallest P for the measured exponent",
    "rise": "neighbourhood of a minimum: rise of ln({})",
    "errors": "statistical errors from",
    "bootstrap": "repetitions",
    "seed": "seed of the repetitions",
    "chosen_by_user": "chosen by hand",
}


@dataclass(frozen=True)
class Picture:
    """A figure of the page: its name, its image as a URI, and words.

    ``finding`` says what it shows, ``caption`` how to read it, ``alt`` what is to be seen.
    """

    name: str
    uri: str
    finding: str
    caption: str
    alt: str


@dataclass(frozen=True)
class Training:
    """What is known of the trainings beside their curves.

    Attributes
    ----------
    curves : Curves
        With a column `epoch` or `step`.
    records : DataFrame or None
        Those of one run, from `deepnorm.sweeps.read_runs`, whose margins are drawn.
    convention : str
        Of the norm.
    """

    curves: Curves
    records: pd.DataFrame | None = None
    convention: str = "eq2"


def write_report(
    analysis: Analysis,
    path: str,
    *,
    title: str,
    source: str,
    command: str = "",
    training: Training | None = None,
) -> None:
    """Write the page; the same analysis and words give the same bytes.

    Parameters
    ----------
    analysis : Analysis
    path : str
        The file, which is replaced in one step.
    title : str
        Heading of the page.
    source : str
        Where the curves came from, in words.
    command : str
        The command line that made the page, if one did.
    training : Training, optional
        For figures of training time and margins.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    text = render(analysis, title=title, source=source, command=command, training=training)
    replace_file(path, text)


def render(
    analysis: Analysis,
    *,
    title: str,
    source: str,
    command: str = "",
    training: Training | None = None,
) -> str:
    """The page as text, see `write_report`."""
    pages = Environment(
        loader=PackageLoader("deepnorm.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    pages.filters["set_norm"] = _norm
    pages.filters["set_law"] = _law
    return pages.get_template("report.html").render(
        title=title,
        source=source,
        command=command,
        analysis=analysis,
        headline=statements.headline(analysis),
        verdict=verdict(analysis).sentence,
        exponents=statements.exponents(analysis),
        symbols=SYMBOLS,
        quantities=_quantities(analysis, training),
        of=of_analysis(analysis),
        x=_letter(of_analysis(analysis)),
        standing_out=statements.standing_out(analysis),
        optima=statements.optima(analysis),
        laws=statements.laws(analysis),
        forecast=statements.forecast(analysis),
        pictures=list(_pictures(analysis, training)),
        choices=_choices(analysis),
        settings=_settings(analysis),
        covariance=_covariance(analysis),
        software=_software(),
    )


# ------------------------------------------------------------------------------ figures


def _pictures(analysis: Analysis, trained: Training | None) -> Iterator[Picture]:
    """The figures in order; those that would be empty are left out."""
    convention, of = "" if trained is None else trained.convention, of_analysis(analysis)
    with style.context():
        if of.abscissa:
            yield _picture("Learning curves", curves, analysis, convention=convention)
            yield _picture("Collapse", collapse, analysis)
        if analysis.settings["gamma_2_of"] == "elbows":
            yield _picture("Collapse by the elbows", collapse, analysis, "elbow")
        if of.abscissa:
            yield _picture("Fits" if of.has_norm else "Optimum", fits, analysis)
        name = "Predicted against measured" if of.has_norm else "Measured exponent"
        yield _picture(name, exponents, analysis)
        if phase_diagram.has_pair(analysis):
            yield _picture("Phase diagram", phase_diagram, analysis)
        if not power_of_P(analysis).startswith(NO_RANGE):
            yield _picture("Combined law", combined, analysis)
        if trained is not None:
            yield _picture("Training time", training, trained.curves, convention=convention)
            if trained.records is not None:
                yield _picture("Margins", margins, trained.records, convention)
        if len(analysis.choices):  # last: their table follows
            yield _picture("Choices", choices, analysis)


def _picture(name: str, script: Any, *data: Any, **looks: str) -> Picture:
    """A figure with its words; ``looks`` are of the drawing alone."""
    uri = _uri(script.draw(*data, **looks))
    return Picture(name, uri, script.finding(*data), script.caption(*data), script.alt(*data))


def _uri(figure: Figure) -> str:
    """The image itself as a URI: vectors, or pixels where those would be large."""
    image = io.BytesIO()
    figure.savefig(image, format="svg", metadata={"Date": None})
    kind = "svg+xml"
    if len(image.getvalue()) > LARGEST_SVG:
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=PIXELS)
        kind = "png"
    return f"data:image/{kind};base64,{base64.b64encode(image.getvalue()).decode()}"


# -------------------------------------------------------------------------------- words

#: What the curves may be of.
ERRORS = {
    "test error": "test error, the fraction of test examples that are classified wrongly",
    "loss": "loss on examples that were not trained on",
}
#: What they may be functions of.
ABSCISSAE = {
    "norm": "norm of the trained network, as the table gives it; its convention is not known here",
    "step": "step of training, since the table has no norm",
    "epoch": "epoch of training, since the table has no norm",
}


def _quantities(analysis: Analysis, trained: Training | None) -> dict[Markup, str]:
    """What each letter of the page stands for."""
    of = of_analysis(analysis)
    what = ABSCISSAE.get(of.abscissa)
    if trained is not None:
        name = "eq. (2)" if trained.convention == "eq2" else trained.convention
        what = f"norm of the trained network by the convention {name}, see docs/norms.md"
    lowest = "; at the optimum, the lowest of a curve" if of.abscissa else ""
    return {
        **({} if what is None else {_letter(of): what}),
        Markup("<i>P</i>"): "number of training examples",
        Markup("<i>ε</i>"): f"{ERRORS[of.error]}{lowest}",
    }


def _letter(of: Quantities) -> Markup:
    """The letter of the abscissa, as it is set."""
    return Markup("<i>λ</i>") if of.has_norm else Markup("<i>t</i>")


def _law(sentence: str) -> Markup:
    """A sentence with its powers set as such, and its errors with their sign."""
    text = str(escape(sentence)).replace("+-", "±")
    return Markup(re.sub(r"\b(P|lam)\^(-?\d+(?:\.\d+)?(?: ± \d+(?:\.\d+)?)?)", _power, text))


def _power(found: re.Match[str]) -> str:
    base = {"P": "P", "lam": "λ"}[found[1]]
    return f"<i>{base}</i><sup>{found[2].replace('-', '−')}</sup>"


# ------------------------------------------------------------------------------- tables


def _norm(number: tuple[str, int] | None) -> Markup:
    """A norm as 12.3, or as 1.57 10^38."""
    if number is None:
        return Markup("-")
    written = plain(number)
    if written is not None:
        return Markup("{}").format(written)
    return Markup("{} × 10<sup>{}</sup>").format(*number)


def _choices(analysis: Analysis) -> list[dict[str, Any]]:
    """The scan, row by row; chi2 and criterion where the method has them."""
    table = analysis.choices
    return [
        {
            "exponent": row["exponent"],
            "choice": row["choice"],
            "value": f"{row['value']:.4g}",
            "quality": f"{row['chi2'] / row['dof']:.3g}" if row["dof"] > 0 else "-",
            "criterion": f"{row['criterion']:.3g}" if math.isfinite(row["criterion"]) else "-",
            "admissible": bool(row["admissible"]),
            "chosen": bool(row["chosen"]),
        }
        for row in table.to_dict(orient="records")
    ]


def _settings(analysis: Analysis) -> list[tuple[str, str]]:
    """What was decided, in words; what plays no part is left out."""
    of = of_analysis(analysis)
    idle = set() if of.has_norm else {"gamma_2_of"} if of.abscissa else {"gamma_2_of", "rise"}
    known = [
        (words.format(of.short), analysis.settings.get(name))
        for name, words in SETTINGS.items()
        if name not in idle
    ]
    return [(words, _word(value)) for words, value in known if value is not None]


def _word(value: Any) -> str:
    """A setting as a word."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_word, value)) or "nothing"
    return str(value)


def _covariance(analysis: Analysis) -> list[tuple[str, list[str]]]:
    """Rows of the covariance by name; none where the measured exponent is the only one."""
    table = analysis.covariance
    if not table.notna().to_numpy()[:-1].any():
        return []

    def word(value: float) -> str:
        return f"{value:.3g}" if math.isfinite(value) else "-"

    return [(name, [word(value) for value in table.loc[name]]) for name in table.index]


def _software() -> list[tuple[str, str]]:
    """Names and versions."""
    versions = [(name, importlib.metadata.version(name)) for name in SOFTWARE]
    return [("Python", platform.python_version()), *versions]
