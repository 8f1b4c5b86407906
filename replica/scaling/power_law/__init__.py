r"""A power law with offset, y = q + k x^(-gamma), eqs. (3) and (4) of the paper.

At fixed gamma little is left to fit (variable projection), so chi2 is searched as a
function of gamma alone: a scan that no minimum can hide from, then the root of its slope.
The same function gives the profile-likelihood intervals.
"""

from replica.scaling.power_law.fit import fit_power_law
from replica.scaling.power_law.record import Band, PowerLawFit

__all__ = ["Band", "PowerLawFit", "fit_power_law"]
