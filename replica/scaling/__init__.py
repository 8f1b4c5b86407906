"""Learning curves against the norm: power laws, optima, elbows, collapse, with honest error bars.

Start with `analyse(read_curves("curves.csv"))`. The same fits serve the theory's curves,
simulated perceptrons and deep networks; they know nothing of where a curve came from.
"""

from replica.scaling.analysis import analyse, forecast
from replica.scaling.collapse import collapse, houdayer_hartmann, master_curve
from replica.scaling.curves import Curves, curves_from_table, read_curves
from replica.scaling.loss_law import Interval, LossLawFit, fit_loss_law
from replica.scaling.power_law import Band, PowerLawFit, fit_power_law
from replica.scaling.records import (
    Analysis,
    Collapse,
    Estimate,
    Forecast,
    JointLaw,
    MeanCurve,
    Regimes,
)
from replica.scaling.synthetic import SyntheticLaw, synthetic_curves
from replica.scaling.tables import table_1, table_2

__all__ = [
    "Analysis",
    "Band",
    "Collapse",
    "Curves",
    "Estimate",
    "Forecast",
    "Interval",
    "JointLaw",
    "LossLawFit",
    "MeanCurve",
    "PowerLawFit",
    "Regimes",
    "SyntheticLaw",
    "analyse",
    "collapse",
    "curves_from_table",
    "fit_loss_law",
    "fit_power_law",
    "forecast",
    "houdayer_hartmann",
    "master_curve",
    "read_curves",
    "synthetic_curves",
    "table_1",
    "table_2",
]
