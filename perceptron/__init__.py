"""Large perceptrons that check the theory, and share no physics with it.

Bring a table of your own to `examples`, or draw `teacher_student`, `clusters` or
`random_labels`, then learn them:
`hebb_rule`, `minimize_at_norm`, `minimize_at_ridge`, `max_stability`, `max_margin_in_norm`,
`bayes_optimal`; or train them from step to step: `gradient_descent`, `gradient_flow`,
`momentum_descent`, `stochastic_gradient_descent`, `steepest_descent`, `sign_descent`,
`coordinate_descent`, `adam`.
`over_seeds` repeats any of it.
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
from perceptron.learning.max_margin import MaximumStability, NotSeparable, Undecided, max_stability
from perceptron.learning.message_passing import BayesOptimal, bayes_optimal
from perceptron.learning.newton import NotConverged
from perceptron.learning.norms import MaximumMargin, max_margin_in_norm
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
from perceptron.records import Learned
from perceptron.training.adam import adam
from perceptron.training.curvature import largest_curvature
from perceptron.training.gradient_descent import gradient_descent
from perceptron.training.gradient_flow import gradient_flow
from perceptron.training.minibatches import stochastic_gradient_descent
from perceptron.training.momentum import momentum_descent
from perceptron.training.steepest import coordinate_descent, sign_descent, steepest_descent
from perceptron.training.trajectory import DescentError, Records, State, Trajectory

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
    "MaximumMargin",
    "MaximumStability",
    "NoMinimiser",
    "NotConverged",
    "NotSeparable",
    "Records",
    "RidgeMinimum",
    "Square",
    "SquaredHinge",
    "State",
    "StructuredInputs",
    "Table",
    "Teacher",
    "Trajectory",
    "Undecided",
    "adam",
    "bayes_optimal",
    "clusters",
    "coordinate_descent",
    "examples",
    "gradient_descent",
    "gradient_flow",
    "hebb_rule",
    "largest_curvature",
    "max_margin_in_norm",
    "max_stability",
    "minimize_at_norm",
    "minimize_at_ridge",
    "momentum_descent",
    "over_seeds",
    "power_law",
    "random_labels",
    "sign_descent",
    "steepest_descent",
    "stochastic_gradient_descent",
    "teacher_student",
]
