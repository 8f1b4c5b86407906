"""What is learned from: tables of one's own, and examples drawn as the theory assumes them."""

from perceptron.data.examples import Examples, check_examples
from perceptron.data.sampling import random_labels, teacher_student

__all__ = ["Examples", "check_examples", "random_labels", "teacher_student"]
