"""An analysis as a page that a referee can read: one HTML file with figures, tables and method."""

from __future__ import annotations

import base64
import importlib.metadata
import io
import math
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from deepnorm.figures import (
    choices,
    collapse,
    combined,
    curves,
    exponents,
    fits,
    margins,
    style,
    training,
)
from deepnorm.report import statements
from deepnorm.verdict import verdict
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
    "rise": "neighbourhood of a minimum: rise of ln(error)",
    "errors": "statistical errors from",
    "bootstrap": "repetitions",
    "seed": "seed of the repetitions",
    "chosen_by_user": "chosen by hand",
}


@dataclass(frozen=True)
class Picture:
    """A figure of the page: what it is called, its image as a URI, its caption."""

    name: str
    uri: str
    caption: str


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
    return pages.get_template("report.html").render(
        title=title,
        source=source,
        command=command,
        analysis=analysis,
        headline=statements.headline(analysis),
        verdict=verdict(analysis).sentence,
        exponents=statements.exponents(analysis),
        symbols=SYMBOLS,
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
    scripts: dict[str, Any] = {
        "Learning curves": curves,
        "Collapse": collapse,
        "Fits": fits,
        "Predicted against measured": exponents,
    }
    if analysis.regimes is not None:
        scripts["Combined law"] = combined
    with style.context():
        for name, script in scripts.items():
            yield Picture(name, _uri(script.draw(analysis)), script.caption(analysis))
            if script is collapse and analysis.settings["gamma_2_of"] == "elbows":
                yield Picture(
                    "Collapse by the elbows",
                    _uri(collapse.draw(analysis, "elbow")),
                    collapse.caption(analysis, "elbow"),
                )
        if trained is not None:
            time = training.draw(trained.curves), training.caption(trained.curves)
            yield Picture("Training time", _uri(time[0]), time[1])
            if trained.records is not None:
                what = trained.records, trained.convention
                yield Picture("Margins", _uri(margins.draw(*what)), margins.caption(*what))
        if len(analysis.choices):  # last: their table follows
            yield Picture("Choices", _uri(choices.draw(analysis)), choices.caption(analysis))


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
    known = [(words, analysis.settings.get(name)) for name, words in SETTINGS.items()]
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
    """Rows of the covariance by name."""
    table = analysis.covariance
    return [(name, [f"{value:.3g}" for value in table.loc[name]]) for name in table.index]


def _software() -> list[tuple[str, str]]:
    """Names and versions."""
    versions = [(name, importlib.metadata.version(name)) for name in SOFTWARE]
    return [("Python", platform.python_version()), *versions]
