"""The weights' side of a problem: from what the examples do to the overlaps.

Weights know which unknowns they need and which equations fix them; the norm's multiplier is
eliminated or one of the unknowns.
"""

from replica.weights.base import Weights
from replica.weights.spectrum import FixedRidge, SpectrumWeights
from replica.weights.sphere import ScalingLimit, Sphere

__all__ = ["FixedRidge", "ScalingLimit", "SpectrumWeights", "Sphere", "Weights"]
