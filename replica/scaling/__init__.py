"""Learning curves against the norm: power laws, optima, elbows, collapse, with honest error bars.

Start with `analyse(read_curves("curves.csv"))`. The same fits serve the theory's curves,
simulated perceptrons and deep networks; they know nothing of where a curve came from.
"""

# Passed on to those who see of `replica` this package only; their page is that of `replica`.
from replica.exponents import EffectiveSpectrum as EffectiveSpectrum
from replica.exponents import effective_spectrum as effective_spectrum
from replica.scaling.analysis import analyse, forecast
from replica.scaling.averages import MeanCurve
from replica.scaling.collapse import collapse
from replica.scaling.curves import Curves, curves_from_table
from replica.scaling.distances import houdayer_hartmann, mean_master_curve
from replica.scaling.extrapolation import Forecast
from replica.scaling.flags import Flag, Kind
from replica.scaling.joint import JointLaw
from replica.scaling.logs import holds_tables, learning_curve_table, read_curves
from replica.scaling.loss_law import Interval, LossLawFit, fit_loss_law
from replica.scaling.norm_offset import NormOffset
from replica.scaling.power_law import Band, PowerLawFit, fit_power_law
from replica.scaling.record import Analysis
from replica.scaling.regimes import Regimes
from replica.scaling.resampling import Estimate
from replica.scaling.synthetic import SyntheticLaw, synthetic_curves
from replica.scaling.tables import table_1, table_2
from replica.scaling.verdict import Collapse, Verdict

__all__ = [
    "Analysis",
    "Band",
    "Collapse",
    "Curves",
    "Estimate",
    "Flag",
    "Forecast",
    "Interval",
    "JointLaw",
    "Kind",
    "LossLawFit",
    "MeanCurve",
    "NormOffset",
    "PowerLawFit",
    "Regimes",
    "SyntheticLaw",
    "Verdict",
    "analyse",
    "collapse",
    "curves_from_table",
    "fit_loss_law",
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
