"""Learning curves against the norm: power laws, optima, elbows, collapse, with honest error bars.

Start with `analyse(read_curves("curves.csv"))`. The same fits serve the theory's curves,
simulated perceptrons and deep networks; they know nothing of where a curve came from.
"""

# Passed on to those who see of `replica` this package only; their page is that of `replica`.
from replica.exponents import EffectiveSpectrum as EffectiveSpectrum
from replica.exponents import effective_spectrum as effective_spectrum
from replica.scaling.analysis import analyse, forecast
from replica.scaling.collapse import collapse
from replica.scaling.curves import Curves, curves_from_table
from replica.scaling.distances import houdayer_hartmann, mean_master_curve
from replica.scaling.flags import Flag, Kind
from replica.scaling.logs import holds_tables, learning_curve_table, read_curves
from replica.scaling.power_law import PowerLawFit, fit_power_law
from replica.scaling.records import (
    Analysis,
    Estimate,
    Forecast,
    JointLaw,
    MeanCurve,
    NormOffset,
    Regimes,
)
from replica.scaling.synthetic import SyntheticLaw, synthetic_curves
from replica.scaling.tables import table_1, table_2
from replica.scaling.verdict import Collapse, Verdict

__all__ = [
    "Analysis",
    "Collapse",
    "Curves",
    "Estimate",
    "Flag",
    "Forecast",
    "JointLaw",
    "Kind",
    "MeanCurve",
    "NormOffset",
    "PowerLawFit",
    "Regimes",
    "SyntheticLaw",
    "Verdict",
    "analyse",
    "collapse",
    "curves_from_table",
    "fit_power_law",
    "forecast",
    "holds_tables",
    "houdayer_hartmann",
    "learning_curve_table",
    "mean_master_curve",
    "read_curves",
    "synthetic_curves",
    "table_1",
    "table_2",
]
