"""The fixed-norm perceptron, solved: from Hebb through the optimum to maximum stability.

Start with `logistic_teacher_student(alpha, lam)`; `solve(Problem(...))` takes any
problem, `inputs=PowerLaw(...)` gives the inputs a covariance, and
`replica.highprecision.certify` checks a value in mpmath.

The names below are imported when they are asked for: neither the help of a command nor
`replica.scaling` waits for the solver.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as for type checkers, without an import of typing: this runs first of all
if TYPE_CHECKING:
    from typing import Any

    from replica.capacities import (
        convexity_limit,
        gardner_capacity,
        separability_capacity,
        storage_max_stability,
    )
    from replica.exponents import effective_spectrum, scaling_exponents
    from replica.inputs import Clusters, Isotropic, MarchenkoPastur, PowerLaw, Spectrum
    from replica.limits import EARLY_LAW_CONSTANT, early_law, master_curve, master_optimum
    from replica.logistic import (
        at_ridge,
        logistic_clusters,
        logistic_storage,
        logistic_teacher_student,
    )
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
    from replica.master import structured_master_curve
    from replica.population import population_curve
    from replica.prediction import estimate_inputs, predict_learning_curve
    from replica.problem import Problem
    from replica.rules import bayes_optimal, gibbs, hebb, max_stability, optimal_norm
    from replica.solution import ConvergenceError, Solution
    from replica.solving import solve
    from replica.teachers import LogisticTeacher, RandomLabels, Teacher

#: Where each name lives.
_HOMES = {
    "EARLY_LAW_CONSTANT": "limits",
    "Clusters": "inputs",
    "ConvergenceError": "solution",
    "Exponential": "losses",
    "HardMargin": "losses",
    "Hinge": "losses",
    "Isotropic": "inputs",
    "Linear": "losses",
    "Logistic": "losses",
    "LogisticTeacher": "teachers",
    "MarchenkoPastur": "inputs",
    "Margins": "margins",
    "PowerLaw": "inputs",
    "Problem": "problem",
    "RandomLabels": "teachers",
    "SmoothLoss": "losses",
    "Solution": "solution",
    "Spectrum": "inputs",
    "Square": "losses",
    "SquaredHinge": "losses",
    "Teacher": "teachers",
    "at_ridge": "logistic",
    "bayes_optimal": "rules",
    "convexity_limit": "capacities",
    "early_law": "limits",
    "effective_spectrum": "exponents",
    "estimate_inputs": "prediction",
    "gardner_capacity": "capacities",
    "gibbs": "rules",
    "hebb": "rules",
    "logistic_clusters": "logistic",
    "logistic_storage": "logistic",
    "logistic_teacher_student": "logistic",
    "master_curve": "limits",
    "master_optimum": "limits",
    "max_stability": "rules",
    "optimal_norm": "rules",
    "population_curve": "population",
    "predict_learning_curve": "prediction",
    "scaling_exponents": "exponents",
    "separability_capacity": "capacities",
    "solve": "solving",
    "storage_max_stability": "capacities",
    "structured_master_curve": "master",
}
#: Modules that need no import of their own, as in `replica.highprecision.certify`.
_MODULES = {*_HOMES.values(), "highprecision", "scaling"}

__all__ = [
    "EARLY_LAW_CONSTANT",
    "Clusters",
    "ConvergenceError",
    "Exponential",
    "HardMargin",
    "Hinge",
    "Isotropic",
    "Linear",
    "Logistic",
    "LogisticTeacher",
    "MarchenkoPastur",
    "Margins",
    "PowerLaw",
    "Problem",
    "RandomLabels",
    "SmoothLoss",
    "Solution",
    "Spectrum",
    "Square",
    "SquaredHinge",
    "Teacher",
    "at_ridge",
    "bayes_optimal",
    "convexity_limit",
    "early_law",
    "effective_spectrum",
    "estimate_inputs",
    "gardner_capacity",
    "gibbs",
    "hebb",
    "logistic_clusters",
    "logistic_storage",
    "logistic_teacher_student",
    "master_curve",
    "master_optimum",
    "max_stability",
    "optimal_norm",
    "population_curve",
    "predict_learning_curve",
    "scaling_exponents",
    "separability_capacity",
    "solve",
    "storage_max_stability",
    "structured_master_curve",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    found: Any
    if name in _HOMES:
        found = getattr(import_module(f"replica.{_HOMES[name]}"), name)
    elif name in _MODULES:
        found = import_module(f"replica.{name}")
    elif name == "__version__":
        from importlib.metadata import version

        found = version("replica-learning")
    else:
        raise AttributeError(f"module 'replica' has no attribute {name!r}")
    globals()[name] = found  # the next time it is simply there
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
