"""Large perceptrons that check the theory, and share no physics with it.

Bring a table of your own to `examples`, or draw `teacher_student`, `clusters` or
`random_labels`; then learn them:
`hebb_rule`, `minimize_at_norm`, `minimize_at_ridge`, `max_stability`, `bayes_optimal`,
`gradient_descent`, `gradient_flow`; `over_seeds` repeats any of it.
"""

from perceptron.data import (
    Examples,
    LabelModel,
    Law,
    LogisticTeacher,
    StructuredInputs,
    Table,
    Teacher,
    clusters,
    power_law,
    random_labels,
    teacher_student,
)
from perceptron.data.own import examples
from perceptron.ensemble import Ensemble, over_seeds
from perceptron.learning.fixed_norm import FixedNorm, NoMinimiser, minimize_at_norm
from perceptron.learning.hebb import hebb_rule
from perceptron.learning.max_margin import MaximumStability, NotSeparable, max_stability
from perceptron.learning.message_passing import BayesOptimal, bayes_optimal
from perceptron.learning.newton import NotConverged
from perceptron.learning.ridge import RidgeMinimum, minimize_at_ridge
from perceptron.losses import (
    Exponential,
    Hinge,
    Linear,
    Logistic,
    Loss,
    Square,
    SquaredHinge,
)
from perceptron.records import Learned, Trajectory
from perceptron.training.descent import (
    DescentError,
    gradient_descent,
    gradient_flow,
    largest_curvature,
)

__all__ = [
    "BayesOptimal",
    "DescentError",
    "Ensemble",
    "Examples",
    "Exponential",
    "FixedNorm",
    "Hinge",
    "LabelModel",
    "Law",
    "Learned",
    "Linear",
    "Logistic",
    "LogisticTeacher",
    "Loss",
    "MaximumStability",
    "NoMinimiser",
    "NotConverged",
    "NotSeparable",
    "RidgeMinimum",
    "Square",
    "SquaredHinge",
    "StructuredInputs",
    "Table",
    "Teacher",
    "Trajectory",
    "bayes_optimal",
    "clusters",
    "examples",
    "gradient_descent",
    "gradient_flow",
    "hebb_rule",
    "largest_curvature",
    "max_stability",
    "minimize_at_norm",
    "minimize_at_ridge",
    "over_seeds",
    "power_law",
    "random_labels",
    "teacher_student",
]
