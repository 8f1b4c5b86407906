"""The fixed-norm perceptron, solved: from Hebb through the optimum to maximum stability.

Start with `logistic_teacher_student(alpha, lam)`; `solve(Problem(...))` is the
general door, `replica.highprecision.certify` checks a value in mpmath.
"""

from replica.general import solve
from replica.limits import EARLY_LAW_CONSTANT, early_law, master_curve, master_optimum
from replica.losses import (
    Exponential,
    HardMargin,
    Hinge,
    Linear,
    Logistic,
    SmoothLoss,
    Square,
    SquaredHinge,
)
from replica.margins import Margins
from replica.problem import Problem
from replica.rules import (
    bayes_optimal,
    convexity_limit,
    gardner_capacity,
    gibbs,
    hebb,
    logistic_storage,
    logistic_teacher_student,
    max_stability,
    optimal_norm,
    separability_capacity,
    storage_max_stability,
)
from replica.solution import ConvergenceError, Solution
from replica.teachers import LogisticTeacher, RandomLabels, Teacher


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version

        return version("replica-learning")
    raise AttributeError(f"module 'replica' has no attribute {name!r}")


__all__ = [
    "EARLY_LAW_CONSTANT",
    "ConvergenceError",
    "Exponential",
    "HardMargin",
    "Hinge",
    "Linear",
    "Logistic",
    "LogisticTeacher",
    "Margins",
    "Problem",
    "RandomLabels",
    "SmoothLoss",
    "Solution",
    "Square",
    "SquaredHinge",
    "Teacher",
    "bayes_optimal",
    "convexity_limit",
    "early_law",
    "gardner_capacity",
    "gibbs",
    "hebb",
    "logistic_storage",
    "logistic_teacher_student",
    "master_curve",
    "master_optimum",
    "max_stability",
    "optimal_norm",
    "separability_capacity",
    "solve",
    "storage_max_stability",
]
