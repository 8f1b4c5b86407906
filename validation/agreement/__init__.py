"""Theory against experiment, in standard errors: a matrix of losses, teachers and inputs."""

from validation.agreement.cells import (
    INPUTS,
    LOSSES,
    MATRIX,
    TEACHERS,
    Draw,
    default_draws,
    full_draws,
    why_empty,
)
from validation.agreement.comparison import (
    Comparison,
    Verdict,
    compare,
    extrapolate,
    judge,
    write_csv,
)
from validation.agreement.experiment import Sample, simulate
from validation.agreement.theory import CONTROLS, Wrong

__all__ = [
    "CONTROLS",
    "INPUTS",
    "LOSSES",
    "MATRIX",
    "TEACHERS",
    "Comparison",
    "Draw",
    "Sample",
    "Verdict",
    "Wrong",
    "compare",
    "default_draws",
    "extrapolate",
    "full_draws",
    "judge",
    "simulate",
    "why_empty",
    "write_csv",
]
