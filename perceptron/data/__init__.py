"""What is learned from: tables of one's own, and examples drawn as the theory assumes them."""

from perceptron.data.examples import Examples, check_examples
from perceptron.data.laws import Law
from perceptron.data.sampling import clusters, random_labels, teacher_student
from perceptron.data.structured import StructuredInputs, power_law
from perceptron.data.teachers import LabelModel, LogisticTeacher, Teacher

__all__ = [
    "Examples",
    "LabelModel",
    "Law",
    "LogisticTeacher",
    "StructuredInputs",
    "Teacher",
    "check_examples",
    "clusters",
    "power_law",
    "random_labels",
    "teacher_student",
]
